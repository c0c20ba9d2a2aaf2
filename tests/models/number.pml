/* SPDX-License-Identifier: MIT */
/*
 * A model for spin: the number that a program polls where there is nothing but POSIX. One thread
 * reads, writes and polls. The peer is another program.
 *
 *   here          there
 *   update        update, wanted_by, find_ready     src/sys/posix/sys_epoll.c
 *   show_pipe     show_pipe, mark                   likewise
 *   guess         guess                             likewise
 *   call          a call of pipc.h; ready_update    src/transport/ready.c
 *
 * What lies behind the number is changed by single calls of the system, and the peer may act
 * between any two of them. `rung` is the doorbell of what is in memory, `in_kernel` the input and
 * `room` the room of the stream.
 *
 * Claims: the program, which calls only when the number is readable, gets all messages and loses no
 * room to write: nothing waits for ever. And nobody spins: between two wakeups for nothing time
 * passes, a millisecond, or something happens. At times it does not want to read (pipc_want), until
 * it has a reason of its own.
 *
 * BELL 1: a set with a doorbell, as of pipes. 0: without, as of sockets.
 *
 * Not here: ends, timers, other threads, children, numbers that run out.
 *
 * check: BELL -DBELL=1
 * check: NONE -DBELL=0
 * cycles: BELL -DBELL=1
 * cycles: NONE -DBELL=0
 * mutant: M1 -DBELL=0  update: a copy of the input, although room is waited for
 * mutant: M2 -DBELL=1  update: a copy of the input, although the doorbell has been rung
 * mutant: M3 -DBELL=0  sys_epoll_update: not when the set waits for the same as before
 * mutant: M4 -DBELL=1  update: does not look what is ready when input alone is waited for
 * mutant: M5 -DBELL=0  update: nothing to wait for, although room is
 * turning: M6 -DBELL=0  mark: a byte stays in the pipe
 * turning: M7 -DBELL=0  guess: does not wait for the millisecond
 */
#define MESSAGES 3
#define WRITES   6
#define ROOM_MAX 1
#define READ_MAX (1 + BELL) /* that a read may bring, of which a call takes one */
#define OFFS_MAX 2          /* how often the program does not want to read */

mtype = { PIPE, COPY_OF_INPUT, COPY_OF_DOORBELL, NOTHING };

byte in_kernel, in_memory, sent, got; /* messages */
byte room = ROOM_MAX, written, taken;
bool wants_in = true, wants_out; /* what the set waits for; room: a write was refused */
byte offs;
bool rung;
mtype number = PIPE;
bool is_marked;
bool is_young; /* the last guess was within this millisecond */

#define READABLE                                                                     \
    ((number == PIPE && is_marked) || (number == COPY_OF_INPUT && in_kernel > 0) || \
     (number == COPY_OF_DOORBELL && rung))
#define SOMETHING ((wants_in && in_kernel > 0) || rung || (wants_out && room > 0))

inline show_pipe(marked)
{
#ifdef M6
    is_marked = is_marked || marked;
#else
    is_marked = marked;
#endif
    number = PIPE
}

/* A second one in the same millisecond waits for what the set waits for, or for the next. */
inline guess()
{
#ifndef M7
    if
    :: is_young && SOMETHING
    :: !is_young
    fi;
#endif
    is_young = true;
    show_pipe(true)
}

/* Members are in any order, so any that is ready may be found. One poll looks at all. */
inline find_ready()
{
    d_step {
        see_in = wants_in && in_kernel > 0;
        see_out = wants_out && room > 0;
        see_bell = rung
    }
    if
    :: see_in -> ready = COPY_OF_INPUT
    :: see_out -> ready = PIPE
#ifndef M2
    :: see_bell -> ready = COPY_OF_DOORBELL
    :: !see_in && !see_out && !see_bell -> ready = NOTHING
#else
    :: !see_in && !see_out -> ready = NOTHING
#endif
    fi
}

inline update()
{
    if
#ifdef M4
    :: wants_in && !wants_out -> number = COPY_OF_INPUT
#else
    :: wants_in && !wants_out && !BELL -> number = COPY_OF_INPUT
#endif
    :: !wants_in && !wants_out && BELL -> number = COPY_OF_DOORBELL
    :: else ->
        find_ready();
        if
        :: ready == PIPE -> show_pipe(true)
        :: ready == COPY_OF_INPUT || ready == COPY_OF_DOORBELL -> number = ready
        :: ready == NOTHING && wants_in && !wants_out -> number = COPY_OF_INPUT
        :: ready == NOTHING && !wants_in && !wants_out -> show_pipe(false)
        :: ready == NOTHING && wants_out ->
#ifdef M1
            number = COPY_OF_INPUT
#elif defined M5
            show_pipe(false)
#else
            guess()
#endif
        fi
    fi
}

/* A read brings what there is, up to READ_MAX; what is left in memory rings the doorbell. */
inline call()
{
    d_step {
        before_in = wants_in;
        before_out = wants_out;
        if
        :: wants_in && in_memory == 0 && in_kernel > 0 ->
            in_memory = (in_kernel > READ_MAX -> READ_MAX : in_kernel);
            in_kernel = in_kernel - in_memory
        :: else
        fi;
        if
        :: wants_in && in_memory > 0 -> in_memory--; got++
        :: else
        fi
    }
    d_step {
        if
        :: written < WRITES && room > 0 -> room--; written++
        :: else
        fi;
        wants_out = written < WRITES && room == 0
    }
    if
    :: wants_in && offs < OFFS_MAX -> wants_in = false; offs++
    :: true
    fi;
    rung = BELL && wants_in && in_memory > 0
}

/* A program goes on writing until it is refused. */
active proctype program()
{
    mtype ready;
    bool before_in, before_out, see_in, see_out, see_bell;
    call();
    update();
    do
    :: got == MESSAGES && written == WRITES -> break
    :: else ->
        if
        :: READABLE /* poll */
        :: written < WRITES && !wants_out
        :: !READABLE && !wants_in -> wants_in = true
        fi;
        call();
#ifdef M3
        if
        :: before_in == wants_in && before_out == wants_out
        :: else -> update()
        fi
#else
        update()
#endif
    od
}

active proctype peer()
{
    do
    :: sent < MESSAGES -> d_step { sent++; in_kernel++ }
    :: taken < written -> d_step { taken++; room++ }
    :: sent == MESSAGES && taken == WRITES -> break
    od
}

active proctype time()
{
end:
    do
    :: atomic { is_young -> is_young = false; }
progress:
        skip
    od
}

/* When nothing can happen any more. */
active proctype at_rest()
{
    timeout;
    assert(got == MESSAGES && written == WRITES)
}
