/* SPDX-License-Identifier: MIT */
/*
 * A model for spin: the ring's doorbells and interest words. A reader and a writer sleep and wake
 * each other, with marks and steps, pieces of long messages, and the look for an answer.
 *
 *   here             there
 *   publish          ring_publish, after advance_head          src/transport/ring.c
 *   write_pieces     write_pieces                              likewise
 *   find_room        find_room, room_for, load_tail            likewise
 *   consume          ring_consume, advance_tail, make_step     likewise
 *   read_pieces      read_pieces, make_early_step              likewise
 *   may_wake_early   may_wake_early                            likewise
 *   wake             wake; then wake_peer                      likewise; src/peer/transport_ring.c
 *   is_ready, arm    ring_is_ready, ring_arm, ring_disarm      src/transport/ring.c
 *   wait             end_wait, wait_once, look_for_answer      src/peer/transport_ring.c
 *   leave            change_state                              src/peer/ends.c
 *   load_or_end      load_until, check_end                     src/transport/ring.c
 *
 * Memory is weak: each side has a store buffer of one entry. A plain store stays in there until a
 * fence, an exchange, or whenever `memory` likes. Another store of the same word takes its place
 * (as
 * if many could wait), that of another word lets it go first. Loads are not reordered: what comes
 * of
 * that comes of late stores too, where a store and a load follow each other.
 *
 * A doorbell is an eventfd (a wait takes its edge) or a pipe (the wait ends, then it is drained).
 *
 * Claims: no call sleeps while what it waits for is there (an invalid end state); a writer may
 * sleep
 * for good only behind a reader that has stopped reading, and only while over half of the ring is
 * unread; all that was written is read before the end is seen; nobody spins (no cycle at all).
 *
 * A step when all that was known is read (ring_consume) wakes nobody that the others would leave
 * asleep: it is there for the pace alone.
 *
 * Not here: the ticker, which would hide a lost wakeup; growth of the ring; life and death.
 *
 * check: STREAM -DSCENE=1
 * check: BOTH long -DSCENE=2
 * check: ANSWER -DSCENE=3
 * cycles: STREAM long -DSCENE=1 -DSIZE=4 -DSTEP=1 -DTOTAL=5
 * cycles: ANSWER -DSCENE=3
 * mutant: M1 -DSCENE=3   ring_publish: no fence
 * mutant: M2 -DSCENE=1   make_step: no fence
 * mutant: M3 -DSCENE=3   ring_arm: no fence
 * mutant: M4 -DSCENE=3   ring_arm: does not check once more
 * mutant: M5 -DSCENE=1   ring_consume: makes a step only when all that was known is read
 * mutant: M6 long -DSCENE=1   wake_mark: no step above the half
 * mutant: M7 -DSCENE=3   wake: rings before it clears the interest
 * mutant: M8 -DSCENE=1   ring_publish: relies on the early wakeups
 * mutant: M9 -DSCENE=1   ring_publish: leaves a peer on this processor asleep
 * mutant: M10 -DSCENE=1  ring_is_ready: room is an empty ring
 * mutant: M11 -DSCENE=1  check_end: does not load once more
 * mutant: M12 -DSCENE=1  change_state: rings, then changes
 * mutant: M13 -DSCENE=3  wait_once: drains the doorbell before it sleeps
 * mutant: M14 -DSCENE=1  ring_is_ready: does not look at the peer's version
 * mutant: M15 -DSCENE=2  make_step: clears the interest, and rings only when it is worth it
 * mutant: M16 -DSCENE=1  read_pieces: the last piece makes an early step too
 * turning: M17 -DSCENE=1  WAKE_MARK_OF: so high that a message may find no room behind a wakeup
 */
#if SCENE == 1 /* side 0 writes TOTAL bytes and leaves; side 1 reads, or stops reading */
#if !defined(SIZE) && defined(QUICK)
#define SIZE  4
#define STEP  1
#define TOTAL 5
#elif !defined(SIZE)
#define SIZE  6
#define STEP  2
#define TOTAL 8
#endif
#define WHOLE 1 /* RING_WHOLE_MAX */
#define LONG  2 /* the longest message */
#elif SCENE == 2 /* both write TOTAL bytes at once, and take in what comes while there is no room */
#define SIZE  2
#define STEP  0
#define TOTAL 3
#define WHOLE 1
#define LONG  1
#else /* SCENE 3: a byte there and back, TOTAL times */
#define SIZE  4
#define STEP  1
#define TOTAL 4
#define WHOLE 1
#define LONG  1
#endif
#if defined(M6)
#define MARK (SIZE / 2)
#elif defined(M17)
#define MARK SIZE
#else
#define MARK (SIZE / 2 + STEP)
#endif
#define BYTES 1
#define ROOM  2

/* The shared words; head[s] and tail[1 - s] are stored by side s. */
byte head[2], tail[2], interest[2];
bool version[2]; /* has left */
bool rung[2];
bool is_pipe; /* the doorbells */
bool may_stop, has_stopped; /* SCENE 1: the reader */
byte done; /* sides */

/* ---- weak memory ---- */

mtype = { NOTHING, HEAD, TAIL, INTEREST };
mtype what[2] = NOTHING;
byte value[2];

inline flush(s)
{
    if
    :: what[s] == HEAD -> head[s] = value[s]
    :: what[s] == TAIL -> tail[1 - s] = value[s]
    :: what[s] == INTEREST -> interest[s] = value[s]
    :: else
    fi;
    what[s] = NOTHING;
    value[s] = 0
}

#define STORE(w, v)             \
    d_step {                    \
        if                      \
        :: what[me] == w        \
        :: else -> flush(me)    \
        fi;                     \
        what[me] = w;           \
        value[me] = v           \
    }
#define FENCE       d_step { flush(me) }

active proctype memory()
{
end:
    do
    :: d_step { what[0] != NOTHING -> flush(0) }
    :: d_step { what[1] != NOTHING -> flush(1) }
    od
}

/* ---- wakeups ---- */

inline wake()
{
#ifdef M7
    rung[peer] = true;
    d_step { flush(me); interest[peer] = 0 }
#else
    d_step { flush(me); word = interest[peer]; interest[peer] = 0 }
    if
    :: word != 0 -> rung[peer] = true; word = 0
    :: else
    fi
#endif
}

/* The processor is a hint that may say anything. */
inline may_wake_early(event)
{
    if
    :: (interest[peer] & event) != 0 -> is_early = true
    :: true -> is_early = false
    fi
}

/* ---- output ---- */

inline publish()
{
    out_head++;
    STORE(HEAD, out_head);
#ifndef M1
    FENCE;
#endif
#if defined(M9)
    may_wake_early(BYTES);
    if
    :: is_early -> is_early = false; wake()
    :: else
    fi
#elif !defined(M8)
    if
    :: (interest[peer] & BYTES) != 0 -> wake()
    :: else
    fi
#endif
}

inline write_pieces()
{
    do
    :: size > 1 ->
        out_head++;
        size--;
        STORE(HEAD, out_head);
        may_wake_early(BYTES);
        if
        :: is_early -> is_early = false; wake()
        :: else
        fi
    :: else -> break
    od;
    publish()
}

#define FREE (SIZE - (out_head - out_tail))

inline room_for()
{
    if
    :: total <= WHOLE && FREE >= total -> size = total
    :: total <= WHOLE && FREE < total -> size = 0
    :: total > WHOLE && FREE < total -> size = FREE
    :: total > WHOLE && FREE >= total -> size = total
    fi
}

inline find_room()
{
    d_step { room_for() }
    if
    :: size < total ->
        d_step {
            out_tail = tail[me];
            assert(out_tail <= out_head && out_head - out_tail <= SIZE);
            room_for()
        }
    :: else
    fi
}

/* ---- input ---- */

inline load_head()
{
    d_step {
        in_head = head[peer];
        assert(in_head >= in_tail && in_head - in_tail <= SIZE)
    }
}

inline make_step()
{
    in_step = in_tail;
#ifndef M2
    FENCE;
#endif
#ifdef M15
    if
    :: (interest[peer] & ROOM) != 0 ->
        d_step { flush(me); interest[peer] = 0 }
        if
        :: head[peer] - in_tail <= MARK -> rung[peer] = true
        :: else
        fi
    :: else
    fi
#else
    if
    :: (interest[peer] & ROOM) != 0 ->
        if
        :: head[peer] - in_tail <= MARK -> wake()
        :: else
        fi
    :: else
    fi
#endif
}

inline make_early_step()
{
    may_wake_early(ROOM);
    if
    :: is_early ->
        is_early = false;
        if
        :: head[peer] - in_tail <= MARK -> wake()
        :: else
        fi
    :: else
    fi
}

inline read_pieces()
{
    do
    :: size > 1 ->
        in_tail++;
        size--;
        STORE(TAIL, in_tail);
        make_early_step()
    :: else -> break
    od;
    in_tail++; /* consume */
    STORE(TAIL, in_tail);
#ifdef M16
    make_early_step()
#else
    if
    :: in_tail == in_head -> make_step()
#ifndef M5
    :: in_tail - in_step >= STEP -> make_step()
#endif
    :: else
    fi
#endif
}

/* ---- waiting ---- */

inline is_ready()
{
    ready = false;
#ifndef M14
    if
    :: version[peer] != seen -> ready = true
    :: else
    fi;
#endif
    if
    :: !ready && (want & BYTES) != 0 && head[peer] != in_head -> ready = true
    :: else
    fi;
    if
#ifdef M10
    :: !ready && (want & ROOM) != 0 && out_head == tail[me] -> ready = true
#else
    :: !ready && (want & ROOM) != 0 && out_head - tail[me] <= MARK -> ready = true
#endif
    :: else
    fi
}

inline disarm()
{
    d_step { flush(me); interest[me] = 0 }
}

inline arm()
{
    STORE(INTEREST, want);
#ifndef M3
    FENCE;
#endif
#ifdef M4
    ready = false
#else
    is_ready();
    if
    :: ready -> disarm()
    :: else
    fi
#endif
}

inline look_for_answer()
{
    came = false;
    if
    :: want == BYTES && (head[peer] != in_head || version[peer] != seen) -> came = true
    :: true
    fi
}

inline wait(events)
{
    want = events;
    look_for_answer();
    if
    :: came
    :: else ->
        do
        :: arm();
            if
            :: ready -> break
            :: else
            fi;
#ifdef M13
            rung[me] = false;
#endif
            if
            :: atomic { rung[me] && !is_pipe -> rung[me] = false }
            :: rung[me] && is_pipe -> rung[me] = false
            fi;
            is_ready();
            if
            :: ready -> disarm(); break
            :: else
            fi
        od
    fi;
    want = 0;
    ready = false;
    came = false
}

/* The call that found too little: is there an end? What was written before it comes first. */
inline load_or_end()
{
    load_head();
    if
    :: in_head == in_tail ->
        if
        :: version[peer] != seen ->
            seen = version[peer];
            is_over = true;
#ifndef M11
            load_head()
#endif
        :: else
        fi
    :: else
    fi
}

inline leave()
{
#ifdef M12
    d_step { flush(me); interest[peer] = 0 }
    rung[peer] = true;
    version[me] = true
#else
    d_step { flush(me); version[me] = true }
    interest[peer] = 0;
    rung[peer] = true
#endif
}

/* ---- the sides ---- */

#define CHOOSE(v, low, high) \
    v = low;                 \
    do                       \
    :: v < high -> v++       \
    :: break                 \
    od

proctype side(byte me; byte peer)
{
    byte in_head, in_tail, in_step, out_head, out_tail; /* struct ring */
    byte total, size, word, want;
    bool seen, is_early, ready, came, is_over;
#if SCENE == 1
    if
    :: me == 0 ->
        do
        :: out_head < TOTAL ->
            CHOOSE(total, 1, (TOTAL - out_head < LONG -> TOTAL - out_head : LONG));
            do
            :: total > 0 ->
                find_room();
                total = total - size;
                if
                :: size > 0 -> write_pieces()
                :: else -> wait(ROOM)
                fi
            :: else -> break
            od
        :: else -> break
        od;
        leave()
    :: else ->
        do
        :: may_stop -> has_stopped = true; break
        :: true ->
            load_or_end();
            if
            :: in_head != in_tail && is_over && in_head == TOTAL -> break
            :: in_head != in_tail ->
                CHOOSE(size, 1, in_head - in_tail);
                read_pieces()
            :: in_head == in_tail && is_over -> assert(in_tail == TOTAL); break
            :: else -> wait(BYTES)
            fi
        od
    fi
#elif SCENE == 2
    do
    :: out_head < TOTAL || in_tail < TOTAL ->
        total = (out_head < TOTAL -> 1 : 0);
        size = 0;
        if
        :: total != 0 -> find_room()
        :: else
        fi;
        if
        :: size > 0 -> size = 1; publish()
        :: else ->
            load_head(); /* channel_take_in */
            if
            :: in_head != in_tail -> size = in_head - in_tail; read_pieces()
            :: else -> wait((in_tail < TOTAL -> BYTES : 0) | (total != 0 -> ROOM : 0))
            fi
        fi
    :: else -> break
    od
#else
    do
    :: in_tail < TOTAL || out_head < TOTAL ->
        if
        :: out_head < TOTAL && (me == 0 -> out_head == in_tail : out_head < in_tail) -> publish()
        :: else ->
            load_or_end();
            if
            :: in_head != in_tail -> size = 1; read_pieces()
            :: else -> wait(BYTES)
            fi
        fi
    :: else -> break
    od
#endif
    done++
}

init
{
    atomic {
        if
        :: is_pipe = true
        :: is_pipe = false
        fi;
#if SCENE == 1
        if
        :: may_stop = true
        :: may_stop = false
        fi;
#endif
        run side(0, 1);
        run side(1, 0)
    }
    timeout; /* nothing can happen any more */
    assert(done == 2 || (has_stopped && done == 1 && head[0] - tail[0] > SIZE / 2))
}
