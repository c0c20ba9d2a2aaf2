/* SPDX-License-Identifier: MIT */
/*
 * A model for spin: the rendezvous of FIFOs by name. Two sides in any order, one of which may be
 * killed at any step; somebody who removes names (a cleaner of /tmp); two that survive must meet.
 *
 *   here            there
 *   claim           claim_waiter, open_offer, clear_part,          src/rendezvous/fifo.c
 *                   claim_offer, commit                            likewise
 *   clear_offer     clear_offer                                    likewise
 *   make, publish   fifo_offer_make (in one step); publish         fifo_offer.c; fifo.c
 *   discard         fifo_offer_discard, fifo_offer_remove_names    src/rendezvous/fifo_offer.c
 *   remove_names    fifo_offer_remove_names                        likewise
 *   look_at_door    look_at_door, claimed_by_peer,                 src/rendezvous/fifo.c
 *                   last_writer_gone, check_offer                  likewise
 *   take_back       take_back, await_commit, offer_taken_back      likewise
 *   LOOKS, WAITS, LEAVES are the states of struct fifo_machine
 *
 * The file system: a directory of names, in which NAME leads to one directory at most; each side
 * makes a directory per round (`dirs`), with the names door, in and out, which go one by one. The
 * door is a FIFO: readers and writers are counted; a reader sees a hang-up when a writer has come
 * and the last one has gone; a write without a reader fails with EPIPE.
 *
 * Claims: who has a peer is that one's peer, and nobody else's; when nothing can happen any more,
 * two sides that live do not both wait, and none waits at what has lost a part.
 *
 * Some rules are no more than faster ways to what check_offer finds within a second, so their
 * mutants
 * are not caught here: rename that replaces another's offer, a part that is left in place, a
 * claimer
 * whose death is not noticed at the door.
 *
 * Not here: the removal of the directory of all names, the sweep of private directories, timeouts
 * (take_back with an error), failing calls, a foreign reader. COMMIT_GRACE may end at any time. The
 * two FIFOs that stay have no content.
 *
 * check: TWO long -DSIDES=2 -DKILL=false -DCLEANS=4
 * check: THREE long -DSIDES=3 -DKILL=true -DCLEANS=0
 * check: ALIVE long -DSIDES=3 -DKILL=false -DCLEANS=0 -DROUNDS=1
 * cycles: TWO fair long -DSIDES=2 -DKILL=false -DCLEANS=1
 * cycles: KILLED fair -DSIDES=2 -DKILL=true -DCLEANS=0
 * quick: TWO -DSIDES=2 -DKILL=false -DCLEANS=1
 * quick: KILLED -DSIDES=2 -DKILL=true -DCLEANS=1
 * mutant: M1 -DSIDES=3 -DKILL=true -DCLEANS=0  claim_offer: does not remove the door
 * mutant: M2 -DSIDES=3 -DKILL=false -DCLEANS=0 -DROUNDS=1  claim_offer: takes an offer whose door another has removed
 * mutant: M3 -DSIDES=2 -DKILL=false -DCLEANS=2  commit: takes EPIPE for success
 * mutant: M4 -DSIDES=2 -DKILL=false -DCLEANS=2  take_back: does not wait for the byte of a claimer
 * mutant: M5 -DSIDES=2 -DKILL=false -DCLEANS=2  await_commit: keeps the door open
 * mutant: M6 -DSIDES=2 -DKILL=false -DCLEANS=4  look_at_door: does not check the offer
 * turning: M7 fair -DSIDES=2 -DKILL=true -DCLEANS=0  last_writer_gone: does not open the door anew
 * turning: M11 fair -DSIDES=3 -DKILL=true -DCLEANS=0  open_offer: does not remove what the dead have left
 */
#define DIRS (2 * SIDES) /* that can be made: two by each side */
#define NONE 15
#ifndef ROUNDS
#define ROUNDS (KILL && me == 0 -> 1 : 2)
#endif

byte name = NONE; /* the directory that NAME leads to */

/* Of each directory. */
bool has_door[DIRS], has_in[DIRS], has_out[DIRS];
byte readers[DIRS], writers[DIRS]; /* of its door */
bool hung[DIRS], byte_in[DIRS];    /* the last writer has gone; a byte is in it */
byte committer[DIRS];              /* whose byte that is */

byte peer_of[SIDES] = NONE;
bool waits[SIDES], is_killed;

/* A side that lives, and whose descriptors count. */
byte door_of[SIDES] = NONE;  /* the directory whose door it reads */
byte write_of[SIDES] = NONE; /* and whose door it writes */

#define EMPTY(d) (!has_door[d] && !has_in[d] && !has_out[d])

inline close_write()
{
    d_step {
        if
        :: write_of[me] != NONE ->
            writers[write_of[me]]--;
            if
            :: writers[write_of[me]] == 0 -> hung[write_of[me]] = true
            :: else
            fi;
            write_of[me] = NONE
        :: else
        fi
    }
}

inline close_door()
{
    d_step {
        if
        :: door_of[me] != NONE -> readers[door_of[me]]--; door_of[me] = NONE
        :: else
        fi
    }
}

/* The two that stay, then the directory, if it is empty and has still that name. */
inline remove_names(d)
{
#if CLEANS > 0
    has_in[d] = false;
    has_out[d] = false;
#endif
    d_step {
        has_in[d] = false;
        has_out[d] = false;
        if
        :: name != NONE && name == d && EMPTY(d) -> name = NONE
        :: name != NONE && name != d && EMPTY(name) -> name = NONE /* rmdir goes by the name */
        :: else
        fi
    }
}

/* An offer of our own: it is private, or nobody can claim it. */
inline discard()
{
    if
    :: offer != NONE ->
        has_door[offer] = false;
        if
        :: is_public -> remove_names(offer)
        :: else -> d_step { has_in[offer] = false; has_out[offer] = false }
        fi;
        close_door();
        offer = NONE;
        is_public = false
    :: else
    fi
}

/* NOBODY when NAME does not lead there any more. */
inline clear_offer(d)
{
    has_door[d] = false;
    remove_names(d)
}

/* `result`: 0 nobody is there, 1 done, 2 again. */
inline claim()
{
    result = 0;
    d = name;
    if
    :: d == NONE
    :: else ->
        d_step { /* the door, for writing: ENOENT, or ENXIO */
            if
            :: has_door[d] && readers[d] > 0 ->
                write_of[me] = d;
                writers[d]++;
                hung[d] = false
            :: else
            fi
        }
        if
        :: write_of[me] == NONE ->
#ifdef M11
            result = 2
#else
            clear_offer(d)
#endif
        :: write_of[me] != NONE && (!has_in[d] || !has_out[d]) -> /* clear_part */
            d_step {
                if
                :: has_door[d] -> has_door[d] = false
                :: else -> result = 2
                fi
            }
            if
            :: result == 0 -> clear_offer(d)
            :: else
            fi
        :: write_of[me] != NONE && has_in[d] && has_out[d] -> /* claim_offer */
            d_step {
                if
#ifdef M2
                :: true -> has_door[d] = false; result = 1
#elif defined(M1)
                :: has_door[d] -> result = 1
#else
                :: has_door[d] -> has_door[d] = false; result = 1
#endif
                :: else -> result = 2
                fi
            }
            if
            :: result == 1 ->
                remove_names(d);
                discard();
                d_step { /* commit */
                    if
#ifndef M3
                    :: readers[d] == 0 -> result = 2
#endif
                    :: else -> byte_in[d] = true; committer[d] = me
                    fi;
                    if
                    :: result == 1 -> peer_of[me] = d / 2
                    :: else
                    fi
                }
            :: else
            fi
        fi;
        close_write()
    fi
}

inline make()
{
    d_step {
        offer = 2 * me + rounds;
        rounds++;
        has_door[offer] = true;
        has_in[offer] = true;
        has_out[offer] = true;
        readers[offer] = 1;
        door_of[me] = offer
    }
}

inline publish()
{
    if
    :: offer == NONE -> make()
    :: else
    fi;
    d_step {
        if
        :: name == NONE || EMPTY(name) ->
            name = offer;
            is_public = true
        :: else /* another was faster; the offer is kept */
        fi
    }
}

inline claimed_by_peer()
{
    d_step {
        peer_of[me] = committer[offer];
        byte_in[offer] = false;
        offer = NONE;
        is_public = false
    }
    close_door()
}

/* The door is removed, so nobody claims any more; or somebody has, and may commit yet. */
inline take_back()
{
    d_step {
        is_gone = !has_door[offer];
        has_door[offer] = false
    }
#ifndef M4
    if
    :: is_gone -> /* LEAVES, await_commit; the grace may end at any time */
        if
        :: byte_in[offer]
        :: hung[offer]
        :: true
        fi;
        d_step { /* the read, and the door is closed */
            if
            :: byte_in[offer] -> result = 1
            :: else ->
#ifndef M5
                readers[offer]--;
                door_of[me] = NONE
#else
                skip
#endif
            fi
        }
    :: else
    fi;
#endif
    if
    :: result == 1 -> claimed_by_peer()
    :: else -> discard()
    fi
}

/* Until the offer is over. */
inline wait_at_door()
{
    result = 0;
    do
    :: byte_in[offer] -> result = 1; claimed_by_peer(); break
    :: hung[offer] && !byte_in[offer] -> /* last_writer_gone */
        if
        :: is_claimed ->
            discard();
            break
        :: else ->
            d_step { /* the door is opened anew */
                is_claimed = !has_door[offer];
#ifndef M7
                hung[offer] = (is_claimed -> hung[offer] : false)
#endif
            }
        fi
#ifndef M6
    :: !byte_in[offer] &&
       (name != offer || !has_door[offer] || !has_in[offer] || !has_out[offer]) ->
        take_back();
        break
#endif
    od
}

proctype side(byte me)
{
    byte offer = NONE, result, d, rounds;
    bool is_public, is_gone, is_claimed;
    {
        !KILL || is_killed || me < 2; /* a third comes afterwards */
        do
        :: claim(); /* LOOKS */
            d = NONE;
            if
            :: result == 1 -> break
            :: result == 2
            :: result == 0 && (offer != NONE || rounds < ROUNDS) ->
                publish();
                if
                :: is_public ->
                    is_claimed = false;
                    waits[me] = true;
                    wait_at_door();
                    waits[me] = false;
                    if
                    :: result == 1 -> break
                    :: else
                    fi
                :: else
                fi
            :: result == 0 && offer == NONE && rounds == ROUNDS ->
                goto too_many /* the bound of the model */
            fi
        od;
        discard();
too_many:
        skip
    } unless { is_killed && me == 0 }
}

/* Removes one name after another. */
active proctype cleaner()
{
    byte d, budget = CLEANS;
    do
    :: budget > 0 && name != NONE ->
        budget--;
        d_step {
            d = name;
            if
            :: d != NONE && has_in[d] -> has_in[d] = false
            :: d != NONE && has_out[d] -> has_out[d] = false
            :: d != NONE && has_door[d] -> has_door[d] = false
            :: d != NONE && EMPTY(d) -> name = NONE
            :: else
            fi
        }
    :: break
    od
}

init
{
    byte i, n, b;
    atomic {
        run side(0);
        run side(1);
#if SIDES > 2
        run side(2)
#endif
    }
    if
    :: KILL ->
        d_step {
            is_killed = true; /* the kernel closes what it had */
            if
            :: door_of[0] != NONE -> readers[door_of[0]]--
            :: else
            fi;
            door_of[0] = NONE;
            if
            :: write_of[0] != NONE ->
                writers[write_of[0]]--;
                hung[write_of[0]] = writers[write_of[0]] == 0
            :: else
            fi;
            write_of[0] = NONE
        }
    :: !KILL
    fi;
    timeout; /* nothing can happen any more */
    d_step {
        /* Of those that live one at most waits. Each meeting is of two. */
        n = 0;
        i = 0;
        do
        :: i < SIDES ->
            n = n + (waits[i] && !(is_killed && i == 0) -> 1 : 0);
            b = peer_of[i];
            assert(b == NONE || b != i);
            if
            :: b != NONE && !(is_killed && (i == 0 || b == 0)) -> assert(peer_of[b] == i)
            :: else
            fi;
            i++
        :: else -> break
        od;
        assert(n <= 1)
    }
}
