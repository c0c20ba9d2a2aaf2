/* SPDX-License-Identifier: MIT */
/*
 * A model for spin: the descriptor of an end of pipc_open, which its state machine makes readable
 * and not; and doorbells that the kernel has no memory to ring, which are owed. A reader that
 * polls, waits in calls, or does both by turns; a peer that writes, shuts, and waits for the
 * reader.
 *
 *   here               there
 *   step               descriptor_step, step_descriptor       src/peer/descriptor.c,
 *                                                             transport_ring.c
 *   update             end_update_readiness, work_event,      src/peer/transport_ring.c
 *                      idle_event                             likewise
 *   drain_and_arm      drain_and_arm                          likewise
 *   wait               end_wait, wait_once                    likewise
 *   ring, drain        sys_doorbell_ring, ring_pipe,          src/sys/linux/sys_doorbell.c
 *                      sys_epoll_drain_doorbell               likewise
 *   wake, wake_peer    wake; wake_peer                        src/transport/ring.c;
 *                                                             src/peer/transport_ring.c
 *   shut, change       ends_shutdown, wake_peer_of            src/peer/ends.c
 *   read               ring_peek with check_end               src/transport/ring.c
 *
 * A doorbell is an eventfd, which never fails, or a pipe, which does as often as `failures` says.
 * The set is readable after a ring until it is drained; each ring is an edge.
 *
 * Claims: when nothing can happen any more, the reader has read all, and has seen the shutdown:
 * level and edge, in calls and between them. (Edge: it reads until EAGAIN.) A ring that failed is
 * made up for by its side, which comes back until it is made. Nobody spins once there is memory.
 *
 * A limit: who cannot ring its own doorbell polls in vain until its next call, or the peer's ring.
 *
 * Without effect here, and so no mutants: that STILL_IDLE in UNKNOWN drains; that a failed ring of
 * wake puts the interest back, while it is owed; that an own ring that failed leaves UNKNOWN.
 *
 * Memory is consistent here; ring.pml has the fences.
 *
 * Not here: room (the reader writes nothing), the ticker, which ends a wait that should not have
 * lasted, life and death (ends.pml), the other thread of a duplex channel (readiness.pml).
 *
 * check: EVENTFD long -DIS_PIPE=false
 * check: PIPE long -DIS_PIPE=true
 * cycles: EVENTFD fair long -DIS_PIPE=false
 * cycles: PIPE fair long -DIS_PIPE=true -DFAILURES=1
 * quick: EVENTFD -DIS_PIPE=false -DMESSAGES=1
 * quick: PIPE -DIS_PIPE=true -DMESSAGES=1
 * mutant: M1 -DIS_PIPE=false  WORK in DRAINED: does not ring
 * mutant: M2 -DIS_PIPE=false  NEW_WORK in READABLE: does not ring
 * mutant: M4 -DIS_PIPE=false  IDLE in DRAINED: does not arm
 * mutant: M5 -DIS_PIPE=false  CAME: does not ring
 * mutant: M6 -DIS_PIPE=true  change_state: the interest of a failed ring is gone
 * mutant: M7 -DIS_PIPE=false  drain_and_arm: arms, then drains
 * turning: M8 fair -DIS_PIPE=false  IDLE in READABLE: does not drain
 * mutant: M10 -DIS_PIPE=true  end_wait: does not ring again
 * mutant: M11 -DIS_PIPE=true  end_update_readiness: does not ring again
 * mutant: M12 -DIS_PIPE=true  change_state: a failed ring is not owed
 * turning: M15 fair -DIS_PIPE=true -DFAILURES=1  wait_once: does not drain the pipe
 */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#if !defined(FAILURES) && defined(QUICK)
#define FAILURES 1
#elif !defined(FAILURES)
#define FAILURES 2
#endif
#ifndef WORKS
#define WORKS 1 /* calls after which the reader has to come back, for another reason */
#endif

mtype = { UNKNOWN, IS_DRAINED, IS_READABLE };
mtype = { WAITED, WORK, NEW_WORK, IDLE, STILL_IDLE, CAME };

/* The shared words, as far as the reader's end goes. */
byte head;
bool interest;
byte version; /* of the peer's state: 1, changed; 2, shut */

/* In the kernel: the reader's doorbell in its set; edges for who polls that. */
bool rung, edge;
byte failures = FAILURES;

bool is_edge, has_begun, has_read_all, owes, has_failed_last;
bool has_failed_own;  /* the reader's own ring, since its last call */
bool must_come_back; /* the reader polls, with work of its own */
byte answered;

inline ring(ok)
{
    d_step {
        ok = true;
        if
        :: IS_PIPE && failures > 0 -> failures--; ok = false
        :: true -> rung = true; edge = true
        fi
    }
}

/* ---- the end of the reader ---- */

inline arm()
{
    interest = true;
    if
    :: head != in_head || version != seen -> ready = true; interest = false
    :: else -> ready = false
    fi
}

inline drain_and_arm()
{
    interest = false;
#ifndef M7
    rung = false;
#endif
    is_armed = true;
    arm();
#ifdef M7
    rung = false
#endif
}

/* The table. */
inline step(event)
{
    d_step {
        must_ring = event == NEW_WORK || event == CAME || (event == WORK && state != IS_READABLE);
        must_drain = event == IDLE || (event == STILL_IDLE && state != IS_DRAINED);
#ifdef M1
        must_ring = must_ring && !(event == WORK && state == IS_DRAINED);
#endif
#ifdef M2
        must_ring = must_ring && !(event == NEW_WORK && state == IS_READABLE);
#endif
#ifdef M4
        must_drain = must_drain && !(event == IDLE && state == IS_DRAINED);
#endif
#ifdef M5
        must_ring = must_ring && event != CAME;
#endif
#ifdef M8
        must_drain = must_drain && !(event == IDLE && state == IS_READABLE);
#endif
        if
        :: event == IDLE || event == STILL_IDLE -> state = IS_DRAINED
        :: else -> state = IS_READABLE
        fi
    }
}

inline ring_own()
{
    if
    :: must_ring ->
        ring(ok);
        has_failed_own = !ok;
        if
        :: !ok -> state = UNKNOWN
        :: else
        fi;
        ok = false
    :: else
    fi
}

/* What was written before the end comes first. */
inline load_end()
{
    if
    :: version != seen -> seen = version; in_head = head
    :: else
    fi
}

/* After a look into memory: ring_peek of 0 bytes, by channel_update_polled. */
inline update()
{
    has_failed_own = false;
    in_head = head;
    load_end();
    changed = version != seen;
    if
    :: changed -> seen = version
    :: else
    fi;
    if
    :: in_head != in_tail || seen == 2 || has_own_work ->
        interest = false; /* work_event */
        if
        :: ran_short -> step(NEW_WORK)
        :: else -> step(WORK)
        fi
    :: else ->
        if
        :: updated_in != in_tail && !changed && is_armed && interest -> step(STILL_IDLE)
        :: else -> step(IDLE)
        fi;
        if
        :: must_drain ->
            drain_and_arm();
            if
            :: ready -> step(CAME)
            :: else
            fi;
            ready = false
        :: else
        fi
    fi;
    updated_in = in_tail;
    ring_own();
    ran_short = false;
    changed = false;
    must_ring = false;
    must_drain = false
}

inline read()
{
    got = false;
    if
    :: in_head == in_tail -> in_head = head
    :: else
    fi;
    if
    :: in_head == in_tail ->
        ran_short = true;
        load_end()
    :: else
    fi;
    if
    :: in_head != in_tail -> in_tail++; answered = in_tail; got = true
    :: in_head == in_tail && seen == 2 -> assert(in_tail == MESSAGES); has_read_all = true
    :: else
    fi
}

inline wait()
{
    state = UNKNOWN;
    do
    :: arm();
        if
        :: ready -> break
        :: else
        fi;
        if
        :: atomic { rung -> rung = false }
#ifdef M15
            rung = IS_PIPE
#endif
        fi;
        if
        :: head != in_head || version != seen -> break
        :: else
        fi
    od;
    interest = false;
    ready = false
}

inline poll()
{
    must_come_back = has_own_work;
    if
    :: !is_edge -> rung
    :: is_edge ->
        do
        :: atomic { edge -> edge = false }
            if
            :: rung -> break
            :: else
            fi
        od
    fi;
    must_come_back = false
}

active proctype reader()
{
    byte in_head, in_tail, updated_in;
    mtype state = UNKNOWN;
    byte seen, works = WORKS;
    bool ran_short, is_armed, changed, got, ready, ok, must_ring, must_drain, has_own_work;
    has_begun;
    do
    :: read(); /* a call; one that waits reads until there is something */
        if
        :: !got && !has_read_all -> wait(); read()
        :: true
        fi;
        if
        :: got ->
progress_read:
            skip
        :: else
        fi;
        if
        :: works > 0 -> works--; has_own_work = true
        :: true -> has_own_work = false
        fi;
        update();
        if
        :: has_read_all -> break
        :: !has_read_all && got && !is_edge -> poll()
        :: !has_read_all && got -> edge = false /* looks at others meanwhile */
        :: !has_read_all && got
        :: !has_read_all && !got -> poll()
        fi
    od
}

/* ---- the peer ---- */

inline wake_peer()
{
    ring(ok);
    owes = !ok;
    has_failed_last = has_failed_last || !ok
}

inline wake()
{
    atomic { has_word = interest; interest = false }
    if
    :: has_word ->
        wake_peer();
        if
        :: !ok -> interest = true
        :: else
        fi
    :: else
    fi;
    has_word = false;
    ok = false
}

/* The end of a call of a program that polls, and comes back; or a wait for what the reader does. */
inline come_back()
{
    do
    :: owes && is_polled ->
#ifdef M11
        break
#else
        wake_peer()
#endif
    :: owes && !is_polled ->
#ifdef M10
        break
#else
        wake_peer()
#endif
    :: !owes -> break
    od;
    ok = false
}

inline change_state(next)
{
    has_failed_last = false;
    version = next;
    atomic { has_word = interest; interest = false }
    wake_peer();
#ifndef M6
    if
    :: !ok && has_word -> interest = true
    :: else
    fi;
#endif
    has_word = false;
    ok = false;
#ifdef M12
    owes = false
#endif
}

active proctype peer()
{
    bool comes_back, is_polled, ok, has_word, shuts;
    if
    :: comes_back = true
    :: comes_back = false /* writes, and does nothing else */
    fi;
    if
    :: is_polled = true
    :: is_polled = false
    fi;
    if
    :: shuts = true
    :: shuts = false
    fi;
    do
    :: version == 0 && !shuts -> change_state(1)
    :: head < MESSAGES ->
        has_failed_last = false;
        head++;
        if
        :: interest -> wake()
        :: else
        fi;
        if
        :: comes_back -> come_back()
        :: true
        fi;
        if
        :: answered == head
        :: true
        fi
    :: else -> break
    od;
    if
    :: shuts -> change_state(2)
    :: else
    fi;
    if
    :: comes_back -> come_back(); has_failed_last = false
    :: else
    fi
}

init
{
    if
    :: is_edge = true
    :: is_edge = false
    fi;
    has_begun = true;
    timeout; /* nothing can happen any more */
    assert((answered == MESSAGES && (has_read_all || version != 2) && !must_come_back) ||
           has_failed_last || has_failed_own)
}
