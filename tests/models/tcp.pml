/* SPDX-License-Identifier: MIT */
/*
 * A model for spin: the rendezvous over TCP without a key. Two sides, begun in any order, both with
 * the same name; who listens, and which of two connections lives.
 *
 *   here               there
 *   listen_here        tcp_listen_here, tcp_has_all_places         src/rendezvous/tcp_listen.c
 *   connect            is_due_to_connect, begin_to_connect,        src/rendezvous/tcp.c
 *                      connect_failed, end_round, is_ours
 *   accept             tcp_accept, step_any_pending                likewise
 *   step_own           step_own                                    likewise
 *   side               tcp_step, step_each, tcp_close              likewise
 *   established        finish_connecting                           src/rendezvous/handshake.c
 *
 * HERE 1: both on one host. There are two places (loopback of both families) with one listener at
 * most. HERE 0: two hosts, a place for each; side 0 has the lower address. The lower listens, and
 * connects again and again. The higher tries once before it listens. Its later tries (each second)
 * are left out: they are there for a lower that cannot reach it.
 *
 * The kernel: a connect to a place with a listener makes a connection, which waits to be accepted;
 * it
 * is established for its maker at once, who finds that out later. Without a listener it is refused;
 * or, at a place of this host, it may end at itself.
 *
 * Claims: each side ends with one connection, and the other side has its other end; when nothing
 * can
 * happen any more, both have met.
 *
 * M6 is no fault that somebody could make, but a limit of the rules: a higher that tries again
 * while
 * the lower connects may take one of two connections, and the lower the other. That takes a second
 * in which they missed each other, and no key: with a key, must_wait decides.
 *
 * Not here: keys (auth_model.c has the handshake and its attacker), foreign callers and listeners,
 * failing networks, times but for the order of events, who gives up; a host that is found to be
 * this one later: its side accepts who has come, closes its listener, and begins again as here.
 *
 * check: HERE -DHERE=1
 * check: HOSTS -DHERE=0
 * cycles: HERE fair -DHERE=1
 * cycles: HOSTS fair -DHERE=0
 * mutant: M1 -DHERE=1  tcp_listen_here: each side begins with another place
 * mutant: M2 -DHERE=1  go_to_next_address: does not leave out what is ours
 * mutant: M3 -DHERE=1  finish_connecting: takes a connection to itself
 * mutant: M4 -DHERE=0  find_out: the higher listens before it has tried to connect
 * turning: M5 fair -DHERE=0  tcp_listen_everywhere: the higher never listens
 * mutant: M6 -DHERE=0  the higher tries again at any time
 * mutant: M7 -DHERE=1  tcp_listen_here: goes on to the next place when the first is taken
 */
#define NONE 7

byte listener[2] = NONE; /* of each place: the side */
bool is_blocked; /* somebody else is bound to place 1, and does not listen */
/* Connection c is made by side c: to which place, and where it has got to. */
mtype = { NOTHING, CONNECTING, WAITING, ACCEPTED, REFUSED, SELF };
mtype state[2] = NOTHING;
byte to[2] = NONE;
byte taken[2] = NONE; /* the connection that each side ends with */

#define HIGHER (!HERE && me == 1)

inline add_listener(p)
{
    atomic {
        if
        :: p == 1 && is_blocked -> ok = false
        :: listener[p] == NONE && !(p == 1 && is_blocked) -> listener[p] = me; ok = true
        :: listener[p] != NONE -> ok = listener[p] == me
        fi
    }
}

inline listen_here()
{
#ifdef M1
    add_listener(me);
    next_place = (ok -> 1 : 0)
#else
    do
    :: next_place < 2 ->
        add_listener(next_place);
        if
        :: ok -> next_place++
#ifdef M7
        :: !ok -> next_place++
#else
        :: !ok -> break
#endif
        fi
    :: else -> break
    od
#endif
}

inline listen_everywhere()
{
    if
#ifdef M4
    :: true -> add_listener(me)
#elif defined(M5)
    :: !HIGHER -> add_listener(me)
#else
    :: !HIGHER || has_tried -> add_listener(me)
#endif
    :: else
    fi
}

/* The address: of two places here, the next one; there, that of the other host. */
inline begin_to_connect()
{
    place = (HERE -> 1 - place : 1 - me); /* go_to_next_address */
    atomic {
        if
#ifndef M2
        :: listener[place] == me -> skip /* ours */
#endif
        :: else ->
            to[me] = place;
            state[me] = (listener[place] != NONE -> WAITING : CONNECTING);
            is_out = true
        fi
    }
    if
    :: state[me] == CONNECTING && HERE -> state[me] = SELF
    :: state[me] == CONNECTING -> state[me] = REFUSED
    :: else
    fi
}

inline take(c)
{
    taken[me] = c
}

/* What has come to a listener of ours. A side takes one. */
inline step_pending()
{
    atomic {
        if
        :: state[1 - me] == WAITING && to[1 - me] != NONE && listener[to[1 - me]] == me ->
            state[1 - me] = ACCEPTED;
            take(1 - me)
        :: else
        fi
    }
}

inline step_own()
{
    atomic {
        if
        :: is_out && taken[me] == NONE ->
            if
            :: state[me] == WAITING || state[me] == ACCEPTED -> take(me)
#ifdef M3
            :: state[me] == SELF -> take(me)
#endif
            :: state[me] == REFUSED || state[me] == SELF -> /* connect_failed, end_round */
                is_out = false;
                has_tried = true;
                state[me] = NOTHING;
                to[me] = NONE
            :: else
            fi
        :: else
        fi
    }
}

proctype side(byte me)
{
    byte place, next_place;
    bool ok, is_out, has_tried;
    if
    :: place = 0
    :: place = 1 /* the first address that it was given */
    fi;
    do
    :: taken[me] == NONE ->
#if !HERE
        listen_everywhere();
        if
#ifdef M6
        :: !is_out -> begin_to_connect()
#else
        :: !is_out && (!HIGHER || !has_tried) -> begin_to_connect()
#endif
        :: else
        fi;
#else
        if
        :: !is_out && next_place < 2 ->
            listen_here();
            if
            :: next_place < 2 -> begin_to_connect()
            :: else
            fi
        :: else
        fi;
#endif
        if
        :: HIGHER -> step_pending(); step_own()
        :: else -> step_own();
            if
            :: taken[me] == NONE -> step_pending()
            :: else
            fi
        fi;
#ifndef M6
        if /* the poll; a pause between two tries */
        :: taken[me] == NONE && !is_out &&
           (next_place == 2 || (HIGHER && has_tried && listener[me] == me)) ->
            (state[1 - me] == WAITING && listener[to[1 - me]] == me)
        :: else
        fi
#endif
    :: else -> break
    od;
    /* tcp_close */
    atomic {
        listener[0] = (listener[0] == me -> NONE : listener[0]);
        listener[1] = (listener[1] == me -> NONE : listener[1])
    }
}

init
{
    if
    :: is_blocked = HERE
    :: is_blocked = false
    fi;
    atomic { run side(0); run side(1) }
    timeout; /* nothing can happen any more */
    assert(taken[0] != NONE && taken[0] == taken[1] && state[taken[0]] == ACCEPTED)
}
