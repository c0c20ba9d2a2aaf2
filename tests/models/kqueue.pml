/* SPDX-License-Identifier: MIT */
/*
 * A model for spin: sets of descriptors where the kernel has kqueues. One thread reads, writes,
 * waits and polls. The peer is another program.
 *
 *   here                          there
 *   change_filter                 change_filter, add_filter       src/sys/bsd/sys_kqueue.c
 *   change_member                 set_member, change_filters      likewise
 *   note_end, take                note_end, take                  likewise
 *   update: the last take         sys_epoll_update                likewise
 *   drain                         sys_epoll_drain_doorbell        likewise
 *   wait                          sys_epoll_wait                  likewise; transport_ring.c
 *   by_room, by_doorbell          update_by_room, update_by_doorbell, watch_entry
 *                                                                 src/transport/ready.c
 *   call                          a call of pipc.h; note_input    src/channel/channel_ready.c
 *
 * The kernel: a filter is queued when something of its descriptor changes and it is ready, or when
 * it is added and is ready. It stays queued, ready or not, until kevent looks: then one that is not
 * ready goes, and so does one with EV_CLEAR. The descriptor is readable while any is queued. The
 * peer may act between any two calls of the system.
 *
 *   SOCKET 1  a stream on one descriptor. Low-water marks count, where LOWAT is 1. A death ends
 *             both directions; a shutdown one.
 *   SOCKET 0  a stream on two pipes, with a doorbell. There are no such marks. The directions end
 *             one by one.
 *   RING      the set of an end of pipc_open: a doorbell, and a process.
 *
 * Claims: when nothing can happen any more, the program has got all that it wanted: messages, ends,
 * room, and the peer's death, also while it does not want to read (pipc_want). At the end of each
 * call the descriptor is readable if a call is worth making, and at no other time, unless something
 * has happened since. Nobody spins.
 *
 * Without effect here, and so no mutants: that sys_epoll_wait looks before it believes a stream's
 * descriptor, as no call waits there; that what is left of a closed descriptor is replaced.
 *
 * Not here: what kevent refuses, and the filter for reading that a written pipe has for its reader's
 * end; servers and timers, other threads, children.
 *
 * check: PIPES long -DSOCKET=0 -DLOWAT=0
 * check: SOCKET -DSOCKET=1 -DLOWAT=1
 * check: CUT long -DSOCKET=1 -DLOWAT=0
 * check: RING -DRING
 * cycles: PIPES -DSOCKET=0 -DLOWAT=0
 * cycles: SOCKET -DSOCKET=1 -DLOWAT=1
 * cycles: CUT -DSOCKET=1 -DLOWAT=0
 * cycles: RING -DRING
 * mutant: M1 -DSOCKET=1 -DLOWAT=1  sys_epoll_update: does not look
 * mutant: M2 -DSOCKET=1 -DLOWAT=1  note_end: an end does not stay
 * mutant: M3 -DSOCKET=0 -DLOWAT=0  take: takes bytes for an end
 * mutant: M4 -DSOCKET=0 -DLOWAT=0  add_filter: what waits for an end is never edge-triggered
 * mutant: M5 -DSOCKET=1 -DLOWAT=1  change_filter: one that is edge-triggered no more is kept
 * mutant: M6 -DSOCKET=1 -DLOWAT=1  change_filter: adds without removing
 * mutant: M7 -DSOCKET=1 -DLOWAT=1  set_member: without events, nothing is waited for
 * mutant: M8 -DSOCKET=0 -DLOWAT=0  likewise
 * mutant: M9 -DSOCKET=0 -DLOWAT=0  note_end: the end of a pipe that is written does not stay
 * turning: M10 -DSOCKET=1 -DLOWAT=1  note_end: an end stays where nothing is waited for
 * mutant: M11 -DRING  sys_epoll_drain_doorbell: looks, then drains
 * mutant: M12 -DRING  sys_epoll_drain_doorbell: drains, and does not look
 * turning: M13 -DRING  sys_epoll_wait: does not look
 */
#ifdef RING
#define SOCKET 0
#define LOWAT  0
#endif
#ifndef MESSAGES
#ifdef QUICK
#define MESSAGES 1
#else
#define MESSAGES 3
#endif
#endif
#define WRITES   2
#define ROOM_MAX 1 /* of the stream */
#define READ_MAX 2 /* messages that a read may bring, of which a call takes one */
#define OFFS_MAX 2 /* how often the program does not want to read */

/* Events of a member. */
#define IN    1
#define OUT   2
#define EDGE  4
#define END   8
#define GONE  16
#define ENDED 32

/* ---- the kernel ---- */

/* Filters: what is read, what is written, the doorbell, the process. */
#define READ     0
#define WRITE    1
#define DOORBELL 2
#define PROCESS  3

bool there[4], is_clear[4], is_low[4], queued[4];
bool came[4], at_end[4]; /* what kevent has brought */
bool has_changed;        /* something has happened since then */

byte bytes, room = ROOM_MAX; /* messages */
bool eof, gone, rung, dead;

#define READABLE (queued[READ] || queued[WRITE] || queued[DOORBELL] || queued[PROCESS])

#define IS_READY(f)                                                   \
    ((f == READ && ((bytes > 0 && !(is_low[READ] && LOWAT)) || eof)) ||   \
     (f == WRITE && ((room > 0 && !(is_low[WRITE] && LOWAT)) || gone)) || \
     (f == DOORBELL && rung) || (f == PROCESS && dead))

inline wake(f)
{
    queued[f] = queued[f] || (there[f] && IS_READY(f))
}

inline happen(f)
{
    has_changed = true;
    wake(f)
}

inline remove(f)
{
    d_step { there[f] = false; queued[f] = false }
}

/* One that is there already keeps its flags. */
inline add(f, clear, low)
{
    d_step {
        is_clear[f] = (there[f] -> is_clear[f] : clear);
        is_low[f] = low;
        there[f] = true;
        wake(f)
    }
}

inline look(f)
{
    came[f] = queued[f] && IS_READY(f);
    at_end[f] = came[f] && ((f == READ && eof) || (f == WRITE && gone));
#ifdef M3
    at_end[f] = came[f];
#endif
    queued[f] = came[f] && !is_clear[f]
}

inline kevent()
{
    d_step {
        look(READ);
        look(WRITE);
        look(DOORBELL);
        look(PROCESS);
#ifndef RING
        has_changed = false
#endif
    }
}

#ifndef RING
/* ---- src/sys/bsd/sys_kqueue.c ---- */

byte events[2]; /* of the socket, or of both pipes; 0: no member */

#define MEMBER(f) (SOCKET -> 0 : f)
#define ALL(f)    (f == READ -> IN : OUT)
#define KINDS(f)  (f == READ -> IN | END : OUT | GONE)

#ifdef M5
#define COUNTS(f) (KINDS(f) | ENDED)
#else
#define COUNTS(f) (KINDS(f) | EDGE | ENDED)
#endif
#ifdef M4
#define IS_EDGE(after, low) ((after & EDGE) != 0)
#else
#define IS_EDGE(after, low) ((after & EDGE) != 0 || (low && (after & ENDED) == 0))
#endif

inline change_filter(f)
{
    if
    :: ((before ^ after) & COUNTS(f)) == 0
    :: else ->
#ifndef M6
        if
        :: (before & KINDS(f)) != 0 -> remove(f)
        :: else
        fi;
#endif
        if
        :: (after & KINDS(f)) != 0 ->
            low = (after & ALL(f)) == 0;
            add(f, IS_EDGE(after, low), low);
            low = false
        :: else -> remove(f)
        fi
    fi
}

inline change_filters(m)
{
    if
    :: MEMBER(READ) == m -> change_filter(READ)
    :: else
    fi;
    if
    :: MEMBER(WRITE) == m -> change_filter(WRITE)
    :: else
    fi;
    events[m] = after;
    before = 0;
    after = 0
}

inline remove_member(m)
{
    before = events[m];
    after = 0;
    change_filters(m)
}

inline change_member(m, wanted)
{
    before = events[m];
    after = wanted;
#if !defined M7 && !defined M8
    after = after | ((after & ~EDGE) == 0 -> GONE : 0);
#endif
    change_filters(m)
}

#ifdef M2
#define IS_NOTED(f) false
#elif defined M9
#define IS_NOTED(f) (at_end[f] && f == READ && (events[0] & (IN | EDGE | ENDED)) == 0)
#elif defined M10
#define IS_NOTED(f) (at_end[f] && (events[MEMBER(f)] & (ALL(f) | ENDED)) == 0)
#else
#define IS_NOTED(f) (at_end[f] && (events[MEMBER(f)] & (ALL(f) | EDGE | ENDED)) == 0)
#endif

inline note_end(f)
{
    if
    :: IS_NOTED(f) ->
        before = events[MEMBER(f)];
#ifdef M10
        after = (before & ~EDGE) | ENDED;
#else
        after = before | ENDED;
#endif
        change_filters(MEMBER(f))
    :: else
    fi;
    d_step { came[f] = false; at_end[f] = false }
}

inline take()
{
    kevent();
    note_end(READ);
    note_end(WRITE)
}

/* ---- src/transport/ready.c ---- */

#define NOT    0
#define AT_END 1
#define ALWAYS 2

/* What the program has in memory, and knows. */
byte in_memory, sent, got, written, offs;
bool wants_in = true, stays_off, is_over, has_failed, waits_for_room, is_done;

#define IN_EVENTS  (in == ALWAYS -> IN : (in == AT_END -> END : 0))
#define OUT_EVENTS (out == ALWAYS -> OUT : 0)

inline watch_entry(m, is_wanted, wanted)
{
    if
    :: !is_wanted || events[m] == 0 || (wanted & ~events[m]) != 0 -> remove_member(m)
    :: else
    fi;
    if
    :: is_wanted && (events[m] == 0 || (events[m] & (IN | OUT | END)) != wanted) ->
        change_member(m, wanted)
    :: else
    fi
}

inline ring()
{
    d_step { rung = true; wake(DOORBELL) }
}

inline by_doorbell()
{
    watch_entry(0, in != NOT, IN_EVENTS);
    watch_entry(1, out != NOT, OUT_EVENTS);
    if
    :: readable -> ring()
    :: !readable && was_readable -> rung = false; take()
    :: else
    fi
}

/* A doorbell is there while there is no room. */
inline by_room()
{
    wanted = (readable -> IN | OUT : (in == NOT && out == NOT -> EDGE : IN_EVENTS | OUT_EVENTS));
    renews = wanted == EDGE || (readable && (is_new || !was_readable)) || (wanted & ~entry) != 0;
    if
    :: renews -> change_member(0, wanted | EDGE); take()
    :: else
    fi;
    if
    :: wanted != EDGE && (renews || wanted != entry) -> change_member(0, wanted)
    :: else
    fi;
    entry = wanted;
    if
    :: readable && room == 0 -> ring()
    :: else -> d_step { rung = false; queued[DOORBELL] = false }
    fi;
    d_step { wanted = 0; renews = false }
}

#define IS_WORTH                                                              \
    (readable || (in == ALWAYS && (bytes > 0 || eof)) || (in == AT_END && eof) || \
     (out == ALWAYS && (room > 0 || gone)) || (out == AT_END && gone))

/* src/channel/channel_ready.c */
inline update()
{
    d_step {
        readable = wants_in && in_memory > 0;
        in = (is_over || (!wants_in && in_memory > 0) -> NOT : (wants_in -> ALWAYS : AT_END));
        out = (waits_for_room -> ALWAYS : (wants_in -> NOT : AT_END))
    }
#if SOCKET
    by_room();
#else
    by_doorbell();
#endif
#ifndef M1
    take();
#endif
    d_step {
        assert(has_changed || READABLE == IS_WORTH);
        was_readable = readable;
        readable = false;
        in = NOT;
        out = NOT;
        is_new = false
    }
}

/* ---- the program ---- */

/* With nothing but an end in the kernel, it is known; or one message is taken in. */
inline read()
{
    d_step {
        if
        :: in_memory == 0 && wants_in && bytes > 0 ->
            in_memory = (bytes > READ_MAX -> READ_MAX : bytes);
            bytes = bytes - in_memory
        :: in_memory == 0 && !wants_in && eof && bytes > 0 -> in_memory++; bytes--; did = true
        :: else
        fi;
        if
        :: wants_in && in_memory > 0 -> in_memory--; got++; did = true
        :: in_memory == 0 && bytes == 0 && eof && !is_over -> is_over = true; did = true
        :: else
        fi
    }
}

/* Who does not read learns of a death by a write. */
inline write()
{
    d_step {
        if
        :: gone && (written < WRITES || !wants_in) -> is_done = true
        :: !gone && written < WRITES && room > 0 ->
            room--;
            written++;
            waits_for_room = false;
            did = true
        :: !gone && written < WRITES && room == 0 -> waits_for_room = true
        :: else
        fi
    }
}

active proctype program()
{
    byte before, after, in, out, wanted, entry;
    bool readable, was_readable, is_new = true, renews, low, did;
    add(DOORBELL, false, false);
    do
    :: is_done -> break
    :: else ->
        read();
        write();
        if
        :: did ->
progress:
            did = false
        :: else
        fi;
        update();
        if
        :: READABLE /* poll */
        :: wants_in && offs < OFFS_MAX ->
            wants_in = false;
            offs++;
            if
            :: stays_off = true
            :: stays_off = false
            fi
        :: !wants_in && !stays_off -> wants_in = true; is_new = true
        :: written < WRITES && !waits_for_room
        fi
    od
}

active proctype peer()
{
    do
    :: sent < MESSAGES && !eof -> d_step { sent++; bytes++; happen(READ) }
    :: room < ROOM_MAX && !gone -> d_step { room++; happen(WRITE) }
    :: !eof -> d_step { eof = true; happen(READ) }
    :: !gone ->
        d_step {
            gone = true;
            eof = eof || SOCKET;
            happen(READ);
            happen(WRITE)
        }
    :: break
    od
}

active proctype at_rest()
{
    timeout; /* nothing can happen any more */
    assert(is_done || !wants_in || (got == sent && is_over == eof));
    assert(is_done || wants_in || ((!eof || is_over || in_memory > 0) && !gone));
    assert(is_done || !waits_for_room || (room == 0 && !gone))
}

#else
/* ---- an end of pipc_open ---- */

byte in_memory, got; /* messages: written, read */
bool knows_death;

inline ring()
{
    d_step { rung = true; happen(DOORBELL) }
}

inline note_death()
{
    knows_death = true;
    remove(PROCESS)
}

inline drain_pipe()
{
    d_step { rung = false; has_changed = false }
}

inline drain()
{
#ifdef M11
    kevent();
#endif
    drain_pipe();
#if !defined M11 && !defined M12
    kevent();
#endif
    if
    :: came[PROCESS] -> note_death()
    :: else
    fi
}

/* What comes after the doorbell was drained rings it. */
inline update()
{
    if
    :: in_memory > got -> ring()
    :: else ->
        drain();
        d_step { assert(has_changed || READABLE == (dead && !knows_death)) }
        if
        :: in_memory > got -> ring()
        :: else
        fi
    fi
}

/* It is asked of the kernel whether the peer lives when the wait has ended for nothing. */
inline wait()
{
    do
    :: in_memory > got || knows_death -> break
    :: else ->
        READABLE; /* poll */
#ifndef M13
        kevent();
#endif
        rung = false;
        if
        :: in_memory == got && dead -> note_death()
        :: else
        fi
    od
}

active proctype reader()
{
    add(DOORBELL, false, false);
    add(PROCESS, false, false);
    do
    :: in_memory > got ->
progress:
        got++
    :: in_memory == got && knows_death -> break
    :: in_memory == got && !knows_death ->
        if
        :: true -> wait()
        :: true -> update(); READABLE
        fi
    od
}

active proctype peer()
{
    do
    :: in_memory < MESSAGES -> in_memory++; ring()
    :: true -> break
    od;
    if
    :: d_step { dead = true; happen(PROCESS) }
    :: true
    fi
}

active proctype at_rest()
{
    timeout;
    assert(got == in_memory && knows_death == dead)
}
#endif
