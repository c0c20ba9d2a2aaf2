/* SPDX-License-Identifier: MIT */
/*
 * A model for spin: who holds which end of pipc_open, and whether a dead holder is noticed.
 * Process 0
 * has two threads; process 1 is forked from it at any time, and killed at any step.
 *
 *   here               there
 *   change_state       store_state, change_state, wake_peer_of  src/peer/ends.c
 *   try_claim          try_claim, load_and_free_left,           likewise
 *                      help_to_leave, is_free, enter_state      likewise
 *   claim              ends_claim, holder_is_gone               likewise
 *   change_own         change_own                               likewise
 *   release_end        release_end, clear_holder                likewise
 *   leave              ends_begin_leaving, ends_stay, ends_free likewise
 *                      in try_to_leave                          src/api/anonymous.c
 *   proof              ends_peer_proof                          src/peer/ends.c
 *   mine, disown       ends_mine; notice_fork, ends_disown      src/peer/ends.h;
 * src/api/anonymous.c
 *   follow, goodbye    follow, follow_held, monitor_goodbye     src/peer/monitor.c
 *   is_dead            monitor_is_dead, is_dead_holder,         likewise
 *                      has_holder_died, has_lost_proof          likewise
 *
 * A state word is a status, a name (of the process) and a count of changes. A token is a lock that
 * the kernel drops when its process dies. Changes of what a process holds are made under its lock.
 *
 * Claims: an end has never two holders (`user`: who believes to hold it); nobody living is taken
 * for
 * dead; when nothing can happen any more, a survivor knows its peer's state, and that it was
 * killed.
 *
 * That is_free asks for a holder in this process matters with forged states alone.
 *
 * Not here: pidfds (the monitor goes by tokens alone, as where the kernel has none), exec, forged
 * states, namespaces, and a survivor beside which a thread leaves the peer's end or tries it
 * (is_mistaken; a test has it). A wait of a survivor ends by its doorbell, or when the other process
 * is killed (a tick, at the latest).
 *
 * check: TWO long -DTWO
 * check: THREE long -DTHREE
 * cycles: TWO long -DTWO -DLIMIT=1
 * quick: TWO -DTWO -DLIMIT=1
 * mutant: M1 -DTWO  try_claim: state, then token
 * mutant: M2 -DTWO  release_end: token, then state
 * mutant: M3 -DTHREE  change_state: stores without comparing
 * mutant: M4 -DTHREE  help_to_leave: does not ask whether the goodbye is out
 * mutant: M5 long -DTHREE  change_own: replaces what is there, not what it wrote
 * mutant: M7 long -DTWO  ends_begin_leaving: the state, then `until`
 * mutant: M8 -DTHREE  ends_peer_proof: does not load the state once more
 * mutant: M9 -DTWO  monitor_is_dead: does not load the state once more
 * mutant: M10 long -DTWO  change_state: rings, then changes
 * mutant: M11 -DTWO  next_state: does not count
 * mutant: M12 -DTHREE  ends_mine: does not ask whose copy it is
 * mutant: M14 -DTWO  is_dead_holder: a holder without a token may live
 */
#define THREADS 3
#define NONE    7
#ifdef TWO /* one thread of each process: the child may be killed, the parent survives */
#ifndef LIMIT
#define LIMIT 2 /* times that a thread leaves, or finds no end */
#endif
#define KILL  true
#else /* THREE: two of process 0, and the child */
#define LIMIT 1
#define KILL  false
#endif

mtype = { DEAD, FREED, LEAVING, SHUT, HELD, UNUSED }; /* UNUSED is 1 */

/* Shared memory. */
short state[2];
byte until[2];
byte head[2], tail[2]; /* bytes that each end has written, goodbyes alone, and that are read */
bool rung[2];

/* In the kernel: token[2 * end + process]. */
bool token[4];
bool is_killed, is_forked;

/* What process p knows: holder[2 * p + end], a thread and 1; and its own state there. */
byte holder[4];
short own[4];
bool lock, inherited; /* of process 0; process 1 has not noticed the fork yet */

byte user[2] = NONE; /* of each end */
bool wants[THREADS], survives[THREADS];
short known[THREADS]; /* what a survivor that sleeps knows, and of which end */
byte known_end[THREADS];

#define STATUS(w)        (w & 7)
#define NAME(w)          ((w >> 3) & 1)
#ifdef M11
#define NEXT(w, s, n)    ((n << 3) | s)
#else
#define NEXT(w, s, n)    ((((w >> 4) + 1) << 4) | (n << 3) | s)
#endif
#define IS_HELD(w)       (STATUS(w) == HELD || STATUS(w) == SHUT || STATUS(w) == LEAVING)
#define TOKEN(end, name) token[2 * (end) + (name)]
#define HOLDER(end)      holder[2 * process + (end)]
#define OWN(end)         own[2 * process + (end)]

/* The result goes to `ok`. */
inline change_state(e, seen, next)
{
#ifdef M10
    rung[1 - (e)] = true;
#endif
    d_step {
#ifdef M3
        ok = true;
#else
        ok = state[e] == seen;
#endif
        if
        :: ok -> state[e] = next
        :: else
        fi
    }
#ifndef M10
    if
    :: ok -> rung[1 - (e)] = true
    :: else
    fi
#endif
}

inline change_own(e, status)
{
#ifdef M5
    word = state[e];
#else
    word = OWN(e);
#endif
    OWN(e) = NEXT(word, status, NAME(word));
    change_state(e, word, OWN(e))
}

inline release_end(e, status)
{
#ifdef M2
    TOKEN(e, process) = false;
#endif
    d_step { user[e] = (user[e] == me -> NONE : user[e]) }
    change_own(e, status);
    TOKEN(e, process) = false;
    HOLDER(e) = 0;
    if
    :: state[e] != OWN(e) -> rung[1 - (e)] = true
    :: else
    fi
}

/* 0: the proof holds, or nothing is known. */
inline proof(e, w)
{
    is_lost = !TOKEN(e, NAME(w));
#ifndef M8
    is_lost = is_lost && state[e] == w
#endif
}

/* The verdict is about the holder of that very state. */
inline bury(e, w)
{
    d_step {
        assert(state[e] != w || STATUS(w) == DEAD || (is_killed && NAME(w) == 1));
        assert(user[e] == NONE || state[e] != w)
    }
    change_state(e, w, NEXT(w, DEAD, NAME(w)))
}

/* ---- claiming ---- */

inline try_claim(e)
{
    seen = state[e];
    if
    :: STATUS(seen) == LEAVING ->
#ifndef M4
        if
        :: head[e] == until[e] -> change_state(e, seen, NEXT(seen, FREED, 0))
        :: else
        fi;
#else
        change_state(e, seen, NEXT(seen, FREED, 0));
#endif
        seen = state[e]
    :: else
    fi;
    ok = false;
    if
    :: HOLDER(e) == 0 && (STATUS(seen) == UNUSED || STATUS(seen) == FREED) ->
        d_step { ok = !TOKEN(e, process) }
#ifndef M1
        if
        :: ok -> TOKEN(e, process) = true
        :: else
        fi;
#endif
        if
        :: ok ->
            HOLDER(e) = me + 1;
            word = NEXT(seen, HELD, process);
            change_state(e, seen, word);
            if
            :: ok ->
                d_step {
                    assert(user[e] == NONE);
                    user[e] = me;
                    OWN(e) = word
                }
#ifdef M1
                TOKEN(e, process) = true
#endif
            :: else ->
                HOLDER(e) = 0;
                rung[1 - (e)] = true;
                TOKEN(e, process) = false
            fi
        :: else
        fi
    :: else
    fi
}

inline holder_is_gone(e)
{
    seen = state[e];
    if
    :: IS_HELD(seen) && HOLDER(e) == 0 ->
        proof(e, seen);
        if
        :: is_lost -> assert(is_killed); bury(e, seen); is_lost = false; is_over = true
        :: else
        fi
    :: STATUS(seen) == DEAD -> is_over = true
    :: else
    fi
}

/* `end`: the one it got, or NONE. is_over: EPIPE. */
inline claim()
{
    end = NONE;
    if
    :: e = 0
    :: e = 1
    fi;
    try_claim(e);
    if
    :: !ok -> e = 1 - e; try_claim(e)
    :: else
    fi;
    if
    :: ok -> end = e
    :: else ->
        e = 0;
        do
        :: e < 2 -> holder_is_gone(e); e++
        :: else -> break
        od
    fi;
    ok = false;
    seen = 0;
    word = 0;
    e = 0
}

/* ---- leaving ---- */

inline leave()
{
#ifdef M7
    change_own(end, LEAVING);
    until[end] = head[end] + 1;
#else
    until[end] = head[end] + 1;
    change_own(end, LEAVING);
#endif
    if
    :: d_step { head[end]++; user[end] = NONE } /* the goodbye is out */
        release_end(end, FREED);
        end = NONE
    :: change_own(end, HELD) /* no room for it: ends_stay */
    fi;
    ok = false;
    word = 0
}

/* ---- the peer's death, as its survivor sees it ---- */

#define PEER    (1 - end)
#define IS_HERE (HOLDER(PEER) != 0)

inline drop_process()
{
    has_token = false
}

inline follow()
{
    was_held = IS_HELD(followed);
    followed = word;
    if
    :: IS_HELD(word) ->
        proof(PEER, word);
        d_step {
        if
        :: IS_HERE || (name != NAME(word) && (has_left || !is_lost)) -> drop_process()
        :: else
        fi;
        if
        :: !IS_HERE && !has_token -> name = NAME(word); has_token = !is_lost
        :: else
        fi;
        if
        :: !was_held -> has_left = false
        :: else
        fi
        }
    :: else ->
        if
        :: has_left || STATUS(word) == DEAD -> drop_process()
        :: else
        fi
    fi;
    is_lost = false;
    was_held = false
}

inline goodbye()
{
    word = state[PEER];
    if
    :: word != followed -> follow()
    :: else
    fi;
    has_left = true;
    if
    :: !IS_HELD(followed) -> drop_process()
    :: else
    fi
}

inline is_dead_holder()
{
    dead = false;
    if
    :: IS_HELD(word) && IS_HERE
    :: STATUS(word) == DEAD -> dead = true
    :: else ->
        if
        :: IS_HELD(word) ->
#ifndef M14
            proof(PEER, word);
#endif
            dead = is_lost || (name == NAME(word) && has_token && !TOKEN(PEER, name))
        :: else ->
            dead = !has_left && head[PEER] == tail[PEER] && has_token && !TOKEN(PEER, name)
        fi;
        is_lost = false
    fi
}

/* The tries of monitor_is_dead: here as many as it takes. */
inline is_dead_now()
{
    do
    :: word = state[PEER];
        is_dead_holder();
#ifdef M14
        dead = STATUS(word) == DEAD;
#endif
        if
        :: !dead -> break
#ifndef M9
        :: dead && state[PEER] != word
        :: dead && state[PEER] == word ->
#else
        :: dead ->
#endif
            if
            :: STATUS(word) != DEAD -> bury(PEER, word)
            :: else
            fi;
            break
        fi
    od;
    ok = false
}

/* Until the peer is dead. Goodbyes are read meanwhile. */
inline survive()
{
    followed = 0;
    has_left = false;
    has_token = false;
    do
    :: rung[end] = false; /* arm, and check once more */
        if
        :: head[PEER] > tail[PEER] -> tail[PEER]++; goodbye()
        :: else
        fi;
        word = state[PEER];
        if
        :: word != followed -> follow()
        :: else
        fi;
        is_dead_now();
        if
        :: dead -> assert(is_killed); break
        :: else -> d_step { survives[me] = true; known[me] = followed; known_end[me] = PEER }
        fi;
        if
        :: rung[end]
        :: is_killed && !has_looked -> has_looked = true /* a tick */
        fi;
        survives[me] = false
    od;
    dead = false
}

/* ---- threads ---- */

inline enter()
{
    if
    :: process == 0 -> atomic { !lock -> lock = true }
    :: else -> /* notice_fork, ends_disown */
        if
        :: inherited ->
            d_step {
                holder[2] = 0;
                holder[3] = 0;
                own[2] = 0;
                own[3] = 0;
                inherited = false
            }
        :: else
        fi
    fi
}

inline quit()
{
    if
    :: process == 0 -> lock = false
    :: else
    fi
}

/* In the child the thread that forked goes on: it is number 0 there too, for HOLDER. */
proctype thread(byte me; byte process)
{
    byte end = NONE, e, name, rounds;
    short seen, word, followed;
    bool ok, is_lost, is_over, dead, has_left, has_token, was_held, has_looked;
    {
        do
        :: end == NONE && !is_over && rounds < LIMIT ->
            if /* ends_mine */
#ifdef M12
            :: process == 1 && inherited && holder[2] == 1 -> end = 0
            :: process == 1 && inherited && holder[3] == 1 -> end = 1
#endif
            :: else ->
                enter();
                claim();
                quit();
                if
                :: end == NONE && !is_over ->
                    wants[me] = true;
                    (STATUS(state[0]) != HELD && STATUS(state[0]) != LEAVING) ||
                    (STATUS(state[1]) != HELD && STATUS(state[1]) != LEAVING) ||
                    (STATUS(state[0]) == LEAVING && head[0] == until[0]) ||
                    (STATUS(state[1]) == LEAVING && head[1] == until[1]) || is_killed;
                    wants[me] = false;
                    rounds++
                :: else
                fi
            fi;
            assert(end == NONE || user[end] == me)
        :: end != NONE && rounds < LIMIT && !(KILL && me == 0) ->
            rounds++;
            enter();
            leave();
            quit()
        :: end != NONE && !KILL -> /* its thread ends */
            enter();
            release_end(end, DEAD);
            quit();
            end = NONE;
            is_over = true
        :: end != NONE && KILL -> survive(); break
        :: end != NONE && !KILL -> break
        :: end == NONE && (is_over || rounds == LIMIT) -> break
        od
    } unless { process == 1 && is_killed }
}

init
{
    atomic {
        state[0] = UNUSED;
        state[1] = UNUSED;
        run thread(0, 0);
#ifndef TWO
        run thread(1, 0)
#endif
    }
    if
    :: atomic {
           !lock -> /* fork hooks hold it */
           holder[2] = holder[0];
           holder[3] = holder[1];
           own[2] = own[0];
           own[3] = own[1];
           inherited = true;
           is_forked = true;
           run thread(2, 1)
       }
        if
        :: KILL ->
           d_step {
               is_killed = true;
               token[1] = false;
               token[3] = false;
               user[0] = (user[0] == 2 -> NONE : user[0]);
               user[1] = (user[1] == 2 -> NONE : user[1])
           }
        :: true
        fi
    fi;
    timeout; /* nothing can happen any more */
    d_step {
        assert(!survives[0] || known[0] == state[known_end[0]]);
        /* A survivor sleeps behind a peer that was killed. */
        assert(!(is_killed && IS_HELD(state[0]) && NAME(state[0]) == 1 &&
                 (survives[0] || survives[1])));
        assert(!(is_killed && IS_HELD(state[1]) && NAME(state[1]) == 1 &&
                 (survives[0] || survives[1])))
    }
}
