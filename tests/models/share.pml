/* SPDX-License-Identifier: MIT */
/*
 * A model for spin: how a socket of this host moves into shared memory. Both sides write and read;
 * bytes leave the socket for the ring, each direction at any byte, also while more is to come.
 *
 *   here              there
 *   offer             share_offer                            src/transport/share.c
 *   advance, take     share_advance, take_offer, decide      likewise
 *   leave, withdraw   leave, share_withdraw                  likewise
 *   receive           receive_in_step, cut_at_mark           likewise
 *   give_way          give_way                               likewise
 *   arm               share_arm; ring_is_ready               src/transport/share_wait.c; ring.c
 *   wait              share_wait_in_ring, share_absorb       likewise
 *   doorbell          share_ring_doorbell, by the socket     src/transport/share_life.c
 *   publish, consume  ring_publish, ring_consume             src/transport/ring.c
 *
 * Memory is weak as in ring.pml: a store of a side may be late, until it makes a fence. A call of
 * the system is one: the kernel takes a lock.
 *
 * Claims: no byte is lost, repeated or read out of turn, and no doorbell is read as a byte of the
 * stream ; both sides come to their ends; each sees one end, and
 * behind all that the peer has written, also of a peer that is killed at any step (KILL); of both
 * answers to an offer one counts.
 *
 * Whoever arms looks for the mark once more; no state was found that needs it. What a wait for room
 * alone takes in (absorb) keeps it from spinning, which is no state either.
 *
 * Not here: a peer that is hostile, doorbells by a pipe, refused offers, shutdown.
 *
 * check: SOCKET -DPAIR=0
 * check: ANSWERS long -DPAIR=0 -DANSWERS -DTOTAL=3
 * check: PAIR long -DPAIR=1 -DTOTAL=2
 * check: KILL long -DPAIR=0 -DKILL -DTOTAL=2
 * quick: ANSWERS -DPAIR=0 -DANSWERS
 * quick: KILL -DPAIR=0 -DKILL -DTOTAL=2
 * mutant: M1 -DPAIR=0   leave: the mark comes behind the first bytes
 * mutant: M2 -DPAIR=0 -DANSWERS   share_arm: no fence
 * mutant: M3 -DPAIR=0   share_withdraw: does not decide
 * mutant: M4 -DPAIR=0   take_offer: does not decide
 * mutant: M5 -DPAIR=0 -DANSWERS   make_ring: no interest, so the first bytes do not ring
 * mutant: M6 -DPAIR=0   receive_in_step: does not look for the mark behind what came
 * mutant: M7 -DPAIR=0 -DKILL   receive_in_step: nor at the end of the socket
 * mutant: M8 -DPAIR=0   share_advance: arrives before the socket is read up to the mark
 * mutant: M9 -DPAIR=1 -DTOTAL=2  give_way: both give way
 * mutant: M10 -DPAIR=0 -DKILL  check_end: does not load the head behind the end
 */
#ifndef TOTAL
#ifdef QUICK
#define TOTAL 2
#else
#define TOTAL 3 /* bytes, each way */
#endif
#endif
#define ROOM_OF_SOCKET 1
#define ROOM_OF_RING   1
#define BYTES          1
#define ROOM           2

mtype = { AWAIT, OFFERED, LEAVING, MOVED, NEVER };
mtype = { NOTHING, MARK, INTEREST, HEAD, TAIL };
mtype = { OPEN, ACCEPTED, WITHDRAWN };

/* The sockets: what side s has sent, and nobody has read. */
byte bytes[2], doorbells[2];
byte offer_in[2]; /* the place of the byte that has the offer; 0: none */
bool closed[2];

/* The memory that side s has offered; `in_use` is whose memory side s uses, + 1. */
mtype answer[2] = OPEN;
byte in_use[2];
byte mark[2], interest[2], head[2], tail[2];

byte published[2], done[2]; /* bytes written, and read by the peer */
bool ended[2];

/* ---- weak memory ---- */

mtype what[2] = NOTHING;
byte value[2];

inline flush(s)
{
    if
    :: what[s] == MARK -> mark[s] = value[s]
    :: what[s] == INTEREST -> interest[s] = value[s]
    :: what[s] == HEAD -> head[s] = value[s]
    :: what[s] == TAIL -> tail[1 - s] = value[s]
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
#define FENCE d_step { flush(me) }

active proctype memory()
{
end:
    do
    :: d_step { what[0] != NOTHING -> flush(0) }
    :: d_step { what[1] != NOTHING -> flush(1) }
    od
}

/* A process that is killed at one of these. */
#ifdef KILL
#define DIES_HERE         \
    if                    \
    :: me == 1 -> goto die \
    :: true               \
    fi
#else
#define DIES_HERE skip
#endif

/* ---- doorbells ---- */

inline doorbell()
{
    d_step {
        flush(me);
        if
        :: bytes[me] + doorbells[me] < ROOM_OF_SOCKET && !closed[peer] -> doorbells[me]++
        :: else /* full: the peer has something unread there */
        fi
    }
}

inline wake_for(event)
{
    if
    :: (interest[peer] & event) != 0 ->
        d_step { flush(me); word = interest[peer]; interest[peer] = 0 }
        if
        :: word != 0 -> DIES_HERE; doorbell()
        :: else
        fi
    :: else
    fi
}

/* ---- steps ---- */

#ifdef M5
#define FIRST_INTEREST 0
#else
#define FIRST_INTEREST (BYTES | ROOM)
#endif

inline load_mark()
{
    d_step {
        if
        :: !has_mark && in_use[me] != 0 && in_use[me] == in_use[peer] && mark[peer] != 0 ->
            has_mark = true;
            the_mark = mark[peer] - 1
        :: else
        fi
    }
}

inline leave()
{
    DIES_HERE;
#ifndef M1
    STORE(MARK, sent + 1);
    FENCE;
#endif
    state = LEAVING;
    DIES_HERE
}

/* One of two words for the memory of side `whose`. */
#define DECIDE(whose, word) d_step { decided = answer[whose] == OPEN; \
                                     if :: decided -> answer[whose] = word :: else fi; flush(me) }

inline take()
{
    has_offer = false;
    in_use[me] = peer + 1;
    STORE(INTEREST, FIRST_INTEREST);
    DECIDE(peer, ACCEPTED);
    if
#ifdef M4
    :: true -> leave()
#else
    :: decided -> leave()
    :: !decided -> in_use[me] = 0; state = NEVER
#endif
    fi
}

inline withdraw()
{
    DECIDE(me, WITHDRAWN);
    if
#ifdef M3
    :: true -> in_use[me] = 0; state = NEVER
#else
    :: decided -> in_use[me] = 0; state = NEVER
    :: !decided -> leave()
#endif
    fi
}

inline advance()
{
    if
    :: state == AWAIT && has_offer -> take()
    :: state == OFFERED ->
        load_mark();
        if
        :: has_mark -> leave()
        :: !has_mark && may_withdraw ->
            if
            :: withdraw()
            :: true
            fi;
            may_withdraw = false
        :: else
        fi
    :: else
    fi;
    if
    :: state == LEAVING ->
        load_mark();
        if
#ifdef M8
        :: has_mark -> state = MOVED
#else
        :: has_mark && received == the_mark -> state = MOVED
#endif
        :: else
        fi
    :: else
    fi
}

inline offer()
{
    d_step {
        bytes[me]++;
        offer_in[me] = bytes[me];
        in_use[me] = me + 1;
        interest[me] = FIRST_INTEREST;
        flush(me);
        sent++;
        published[me]++;
        written++;
        state = OFFERED
    }
    DIES_HERE
}
/* ---- writing ---- */

inline publish()
{
    written++;
    d_step {
        if
        :: what[me] == HEAD
        :: else -> flush(me)
        fi;
        out_head++;
        what[me] = HEAD;
        value[me] = out_head;
        published[me]++
    }
    FENCE;
    DIES_HERE;
    wake_for(BYTES)
#ifdef M1
    ;
    STORE(MARK, sent + 1);
    FENCE
#endif
}

#define HAS_LEFT (state == LEAVING || state == MOVED)

inline write_one()
{
    advance();
    if
    :: HAS_LEFT && out_head - tail[me] < ROOM_OF_RING -> publish(); moved = true
    :: state == AWAIT && may_offer && bytes[me] < ROOM_OF_SOCKET -> offer(); moved = true
    :: atomic { !HAS_LEFT && bytes[me] < ROOM_OF_SOCKET && !closed[peer] ->
        d_step { bytes[me]++; sent++; written++; published[me]++; flush(me); moved = true } }
    :: else
    fi
}

/* ---- reading ---- */

inline count_read()
{
    done[peer]++;
    assert(done[peer] <= published[peer])
}

/* Both ends of a pair have offered. */
inline give_way()
{
    if
    :: has_offer && state == OFFERED ->
        if
#ifdef M9
        :: true -> in_use[me] = 0; state = AWAIT
#else
        :: me == 1 -> in_use[me] = 0; state = AWAIT
        :: else -> has_offer = false
#endif
        fi
    :: else
    fi
}

/* A byte of the socket, or its end; `got`: one for the program; `over`. */
inline receive()
{
    got = false;
    if
    :: has_mark && received == the_mark /* what follows are doorbells */
    :: else ->
        if
        :: atomic { bytes[peer] > 0 -> d_step {
            bytes[peer]--;
            flush(me);
            came = true;
            got = true;
            if
            :: offer_in[peer] > 0 ->
                offer_in[peer]--;
                if
                :: offer_in[peer] == 0 -> has_offer = (state == AWAIT || state == OFFERED)
                :: else
                fi
            :: else
            fi } }
        :: atomic { bytes[peer] == 0 && doorbells[peer] > 0 ->
            d_step { doorbells[peer]--; flush(me); came = true } }
        :: bytes[peer] == 0 && doorbells[peer] == 0 && closed[peer] -> over = true
        :: else
        fi;
        give_way();
#ifndef M7
        if
        :: over -> load_mark(); over = !has_mark
        :: else
        fi;
#endif
        if
#ifndef M6
        :: came ->
            if
            :: has_mark
            :: else -> load_mark()
            fi;
            if
            :: has_mark && received == the_mark -> assert(!got)
            :: else -> assert(got); received++; count_read()
            fi
#else
        :: came -> assert(got); received++; count_read()
#endif
        :: else
        fi
    fi;
    came = false
}

inline consume()
{
    assert(received == sent_of[peer]);
    in_tail++;
    count_read();
    STORE(TAIL, in_tail);
    FENCE;
    DIES_HERE;
    wake_for(ROOM)
}

byte sent_of[2]; /* in all, by the socket; for the assertion alone */

/* The peer has ended: what it wrote before comes first. */
inline read_ring()
{
    got = false;
    if
    :: head[peer] != in_tail -> consume(); got = true
    :: else ->
        if
        :: closed[peer] ->
            if
#ifndef M10
            :: head[peer] != in_tail -> consume(); got = true
            :: head[peer] == in_tail -> over = true
#else
            :: over = true
#endif
            fi
        :: else
        fi
    fi
}

inline read_one()
{
    advance();
    if
    :: state == MOVED -> read_ring()
    :: else ->
        receive();
        if
        :: !got && !over && has_mark &&
           (state == OFFERED || (state == LEAVING && received == the_mark)) ->
            advance();
            if
            :: state == MOVED -> read_ring()
            :: else
            fi
        :: else
        fi
    fi;
    if
    :: got -> moved = true
    :: else
    fi
}

/* ---- waiting ---- */

inline is_ready()
{
    ready = ((want & ROOM) != 0 && out_head - tail[me] < ROOM_OF_RING) ||
            (state == MOVED && (want & BYTES) != 0 && head[peer] != in_tail)
}

inline arm()
{
    STORE(INTEREST, want);
#ifndef M2
    FENCE;
#endif
    had_mark = has_mark;
    load_mark();
    is_ready();
    ready = ready || (had_mark != has_mark)
}

#define HAS_INPUT (bytes[peer] + doorbells[peer] > 0 || closed[peer])

/* For room alone, before the socket has been read up to the mark: a doorbell lies behind bytes. */
inline absorb()
{
    do
    :: !over && HAS_INPUT && !(has_mark && received == the_mark) ->
        receive()
    :: else -> break
    od;
    advance()
}

inline wait()
{
    if
    :: !HAS_LEFT ->
        if
        :: (want & BYTES) != 0 && HAS_INPUT
        :: (want & ROOM) != 0 && (bytes[me] + doorbells[me] < ROOM_OF_SOCKET || closed[peer])
        fi
    :: else ->
        do
        :: true ->
            if
            :: want == ROOM && state == LEAVING -> absorb()
            :: else
            fi;
            arm();
            if
            :: ready || over -> break
            :: else
            fi;
            HAS_INPUT;
            if
            :: state == MOVED -> doorbells[peer] = 0
            :: state == LEAVING && (want & BYTES) != 0 -> break
            :: else
            fi;
            is_ready();
            if
            :: ready || closed[peer] -> break
            :: else
            fi
        od;
        skip;
        d_step { flush(me); interest[me] = 0; ready = false }
    fi
}

/* ---- the sides ---- */

/* A byte there and back, so that no end hides a lost wakeup. */
#ifdef ANSWERS
#define IS_DUE (me == 0 -> written <= done[peer] : written < done[peer])
#else
#define IS_DUE true
#endif
#define MAY_WRITE (written < TOTAL && !closed[peer] && IS_DUE)

proctype side(byte me; byte peer)
{
    mtype state = AWAIT;
    byte sent, received, written, out_head, in_tail, the_mark, word, want;
    bool has_mark, had_mark, has_offer, may_withdraw = true, may_offer = (me == 0 || PAIR);
    bool decided, got, over, came, moved, ready;
    do
    :: over -> break
    :: !over ->
        moved = false;
        DIES_HERE;
        if
        :: MAY_WRITE -> write_one(); sent_of[me] = sent
        :: else
        fi;
        /* A side may write all before it reads; one of the two alone, or both might wait. */
        if
        :: me == 0 && MAY_WRITE -> want = ROOM
        :: true -> want = BYTES | (MAY_WRITE -> ROOM : 0); read_one()
        fi;
        if
        :: over || moved
        :: else ->
            if
            :: written == TOTAL && done[peer] == TOTAL -> break
            :: else -> wait()
            fi
        fi
    od;
    assert(!over || closed[peer]);
    assert(!over || done[peer] == published[peer]);
die:
    skip;
    d_step { flush(me); closed[me] = true };
    ended[me] = true
}

init
{
    atomic {
        run side(0, 1);
        run side(1, 0)
    }
    timeout; /* nothing can happen any more */
    assert(ended[0] && ended[1])
}
