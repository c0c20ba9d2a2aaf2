/* SPDX-License-Identifier: MIT */
/*
 * A model for spin: the descriptor of pipc_fd on a stream, with PIPC_DUPLEX: one thread reads and
 * polls, the other writes. The peer is another program.
 *
 *   here               there
 *   note_input         note_input, is_input_readable            src/channel/channel_ready.c
 *   update             channel_update_polled, update            likewise
 *   ask_for_fd         channel_descriptor                       likewise
 *   ready_update       update_by_doorbell (BY_ROOM 0),          src/transport/ready.c
 *                      update_by_room, make_readable (1)        likewise
 *   take_in, read      fd_peek, fill; inbound                   src/transport/transport_fd.c
 *   send               channel_send, channel_wait_for_room,     src/channel/channel_send.c,
 * channel.c
 *                      channel_stop; fd_writev                  src/channel/channel_send.c
 *
 * `readable` is what the kernel says of the set: its doorbell, or the stream's descriptor, as far
 * as
 * the set watches it.
 *
 * Memory: the flags of two threads (in_state, polled) are stored and loaded in order, but for M3.
 *
 * Claims: when nothing can happen any more, all that the peer wrote has been read and all of the
 * writer's has gone. The peer takes nothing in before all its messages have been answered, so the
 * reader must be woken while the writer waits for room. Level: a poll may follow each read. Edge:
 * the
 * reader reads until EAGAIN. Nobody spins: no poll wakes for ever while nobody has anything to do.
 *
 * Not here: goodbyes and ends, what pipc_want switches off, gathering, failing calls.
 *
 * check: DOORBELL -DBY_ROOM=0
 * check: ROOM -DBY_ROOM=1
 * cycles: DOORBELL fair long -DBY_ROOM=0 -DMESSAGES=2 -DWRITES=2
 * cycles: ROOM fair long -DBY_ROOM=1 -DMESSAGES=2 -DWRITES=2
 * mutant: M1 -DBY_ROOM=1  channel_wait_for_room: no update before the wait
 * mutant: M2 -DBY_ROOM=0  update: loads in_state before it takes the lock
 * mutant: M3 -DBY_ROOM=0  note_input: the store of in_state may be late (relaxed)
 * mutant: M4 -DBY_ROOM=0  is_input_readable: what is in memory does not count
 * mutant: M5 -DBY_ROOM=1  fd_writev: does not note that it wrote
 * mutant: M6 -DBY_ROOM=0  channel_descriptor: does not update
 * mutant: M7 -DBY_ROOM=0  channel_update_polled: notes nothing before there is a descriptor
 * mutant: M8 -DBY_ROOM=1  make_readable: without room, no doorbell
 * mutant: M9 -DBY_ROOM=0  output_events: a write that was refused does not count
 * turning: M10 fair long -DBY_ROOM=1 -DMESSAGES=2 -DWRITES=2  update_by_room: the doorbell stays
 * turning: M11 fair long -DBY_ROOM=0 -DMESSAGES=2 -DWRITES=2  update_by_doorbell: does not drain
 * turning: M12 fair long -DBY_ROOM=0 -DMESSAGES=2 -DWRITES=2  channel_begin_writing: leaves the interest
 * mutant: M13 -DBY_ROOM=0  watch_entry: changes an entry where it has to be added anew
 * mutant: M14 -DBY_ROOM=1 -DROOM_MAX=2  fd_update_readiness: clears `wrote` after the update
 */
#if !defined(MESSAGES) && defined(QUICK)
#define MESSAGES 2
#define WRITES   2
#elif !defined(MESSAGES)
#define MESSAGES 3
#endif
#ifndef ROOM_MAX
#define ROOM_MAX 1 /* of the stream */
#endif
#ifndef WRITES
#define WRITES 3 /* parts of what the writer writes; at least one has to wait */
#endif

byte in_kernel, in_memory; /* unread messages */
byte room = ROOM_MAX;
byte answered, written;
bool in_state; /* IN_READABLE */
bool is_late;  /* M3: the store of in_state */
bool polled, has_fd, write_interest, wrote, lock;
bool has_written, is_answered; /* the writer is done; the peer has all answers */

/* The set; a new edge for the thread that reads, and for the one that writes. */
bool rung, has_doorbell = !BY_ROOM, ready_readable, watches_in, watches_out;
bool is_edge, edge[2];

#define READABLE (rung || (watches_in && in_kernel > 0) || (watches_out && room > 0))
#define RAISE    edge[0] = true; edge[1] = true

/* ---- src/transport/ready.c ---- */

inline ready_by_doorbell()
{
    d_step {
        watches_in = true;
        if
        :: events_out && !watches_out ->
            watches_out = true;
#ifndef M13
            if
            :: room > 0 -> RAISE
            :: else
            fi
#endif
        :: else -> watches_out = events_out
        fi;
        if
        :: readable && !ready_readable -> rung = true; RAISE
#ifndef M11
        :: !readable && ready_readable -> rung = false
#endif
        :: else
        fi;
        ready_readable = readable
    }
}

/* In the order of the system calls: the entry, then whether there is room. */
inline ready_by_room()
{
    d_step {
        is_renewed = (readable && !ready_readable) || ((readable || events_out) && !watches_out);
        watches_in = true;
        watches_out = readable || events_out;
        if
        :: is_renewed && READABLE -> RAISE
        :: else
        fi
    }
    if
    :: !readable ->
#ifndef M10
        d_step { has_doorbell = false; rung = false }
#endif
    :: readable && (is_renewed || (saw_wrote && !has_doorbell)) ->
        if
        :: !has_doorbell && room > 0
        :: else ->
#ifdef M8
            readable = false
#else
            d_step { has_doorbell = true; rung = true; RAISE }
#endif
        fi
    :: else
    fi;
    ready_readable = readable
}

inline ready_update()
{
    saw_wrote = wrote;
#ifndef M14
    if
    :: saw_wrote -> wrote = false
    :: else
    fi;
#endif
#if BY_ROOM
    ready_by_room()
#else
    ready_by_doorbell()
#endif
#ifdef M14
    ;
    if
    :: saw_wrote -> wrote = false
    :: else
    fi
#endif
}

/* ---- src/channel/channel_ready.c ---- */

/* The thread that reads. With duplex also while nobody has asked for the descriptor. */
inline note_input()
{
#ifdef M4
    in_state = false
#elif defined(M7)
    if
    :: polled -> in_state = in_memory > 0
    :: else
    fi
#elif defined(M3)
    is_late = true
#else
    in_state = in_memory > 0
#endif
}

inline update()
{
    if
    :: polled ->
#ifdef M2
        readable = in_state;
#endif
        atomic { !lock -> lock = true }
#ifndef M9
        events_out = write_interest;
#endif
#ifndef M2
        readable = in_state;
#endif
        ready_update();
        lock = false;
        readable = false;
        events_out = false;
        saw_wrote = false;
        is_renewed = false
    :: else
    fi
}

#define LOCALS bool readable, events_out, saw_wrote, is_renewed

/* pipc_fd by any thread, while the others are in calls. */
active proctype asker()
{
    LOCALS;
    polled = true;
#ifndef M6
    update();
#else
    d_step { watches_in = true }
#endif
    has_fd = true
}

#ifdef M3
active proctype memory()
{
end:
    do
    :: d_step { is_late -> in_state = in_memory > 0; is_late = false }
    od
}
#endif

/* ---- the program ---- */

inline poll(who)
{
    has_fd;
    if
    :: atomic { !is_edge && READABLE }
    :: is_edge ->
        do
        :: atomic { edge[who] -> edge[who] = false }
            if
            :: READABLE -> break
            :: else
            fi
        od
    fi
}

active proctype reader()
{
    LOCALS;
    bool got;
    do
    :: true ->
        d_step { /* pipc_read */
            if
            :: in_memory == 0 -> in_memory = in_kernel; in_kernel = 0
            :: else
            fi;
            got = in_memory > 0;
            if
            :: got -> in_memory--
            :: else
            fi
        }
        note_input();
        update();
        if
        :: got ->
progress_read:
            answered++;
            got = false;
            if
            :: !is_edge -> poll(0)
            :: true
            fi
        :: else ->
            if
            :: !has_written && room > 0 ->
progress_other:
                skip
            :: else
            fi;
            poll(0)
        fi
    od
}

inline write_some()
{
    has_room = false;
    d_step {
        if
        :: room > 0 -> room--; written++; has_room = true
        :: else
        fi
    }
    if
    :: has_room ->
progress_write:
#ifndef M5
        wrote = true
#else
        skip
#endif
    :: else
    fi
}

active proctype writer()
{
    LOCALS;
    bool waits, has_room;
    if
    :: waits = true  /* one call that waits */
    :: waits = false /* calls that fail with EAGAIN, and polls between them */
    fi;
    do
    :: written < WRITES ->
        write_some();
        if
        :: has_room && !waits && written < WRITES -> update()
        :: !has_room && waits ->
#ifndef M1
            update();
#endif
            room > 0
        :: !has_room && !waits ->
            write_interest = true;
            update();
            if
            :: in_memory + in_kernel > 0 ->
progress_other:
                skip
            :: else
            fi;
            poll(1);
#ifndef M12
            write_interest = false
#endif
        :: else
        fi
    :: else -> break
    od;
    update();
    has_written = true
}

active proctype peer()
{
    byte sent;
    do
    :: sent < MESSAGES ->
        d_step { sent++; in_kernel++; RAISE }
        if
        :: true
        :: answered == sent
        fi
    :: else -> break
    od;
    answered == MESSAGES;
    is_answered = true;
    do
    :: !has_written ->
        if
        :: d_step {
               room < ROOM_MAX -> room++;
               if
               :: watches_out -> RAISE
               :: else
               fi
           }
        :: has_written
        fi
    :: else -> break
    od
}

init
{
    if
    :: is_edge = true
    :: is_edge = false
    fi;
    timeout; /* nothing can happen any more */
    assert(answered == MESSAGES && written == WRITES && has_written)
}
