/* SPDX-License-Identifier: MIT */
/*
 * Events happen under locks, and in the middle of calls. So lines for the program wait here until
 * a call ends or waits. The thread that comes there first hands all of them over, one at a time;
 * others do not wait for it, and leave theirs to it. There is no lock: a child after fork could
 * find it taken for ever.
 *
 * A place in the ring has a turn: at place i, round r, it is free when turn is r * PLACES + i, and
 * has a line when it is one more. (Such queues are well known.) Lines beyond the ring are counted.
 *
 * What a child inherits is another process's: its function, its lines, and a thread that was in it.
 * Each is marked with the process, and then counts for nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "sys/self.h"
#include "sys/sys.h"
#include "trace/trace.h"

enum {
    PLACES = 64,
    ROUNDS = 4 /* of one thread, while others go on */
};

#define PAUSE (1 * SYS_MILLISECOND)

struct place {
    atomic_uint turn;
    char line[TRACE_LINE_MAX];
};

atomic_uint trace_state;
static struct place places[PLACES];
static atomic_uint next_put, lost;
static _Atomic uint32_t function_owner; /* the process that has a function; 0: none */

/* The process that has a thread in the function, or about to be there; and which thread. */
static _Atomic uint32_t busy;
static _Atomic uintptr_t busy_thread;
/* Of that thread. */
static unsigned next_taken;
static uint32_t ring_owner; /* whose lines are in the ring */
static trace_function *function;
static void *function_context;
static unsigned former_put; /* lines before that place are for a function that there is no more */

/* ---- who is in the function ---- */

static bool enter(void)
{
    uint32_t here = self_process(), seen = atomic_load(&busy);
    if (seen == here || !atomic_compare_exchange_strong(&busy, &seen, here))
        return false;
    atomic_store(&busy_thread, self_thread());
    return true;
}

static void leave(void)
{
    atomic_store(&busy_thread, 0);
    atomic_store(&busy, 0);
}

static bool is_inside(void)
{
    return atomic_load(&busy_thread) == self_thread() && self_is_process(atomic_load(&busy));
}

/* ---- lines ---- */

bool trace_has_function(void)
{
    return self_is_process(atomic_load(&function_owner)) && !is_inside();
}

static void note_waiting(void)
{
    atomic_fetch_or(&trace_state, TRACE_WAITING);
}

/* NULL: the ring is full. Both numbers are loaded anew after each failure: they go together. */
static struct place *claim_place(unsigned *put)
{
    for (;;) {
        *put = atomic_load(&next_put);
        struct place *place = &places[*put % PLACES];
        unsigned turn = atomic_load(&place->turn);
        if ((int)(turn - *put) < 0)
            return NULL;
        if (turn == *put && atomic_compare_exchange_weak(&next_put, put, *put + 1))
            return place;
    }
}

void trace_keep_line(const char *line, size_t size)
{
    unsigned put;
    struct place *place = claim_place(&put);
    if (place != NULL) {
        memcpy(place->line, line, size);
        place->line[size] = '\0';
        atomic_store(&place->turn, put + 1);
    } else {
        atomic_fetch_add(&lost, 1);
    }
    note_waiting();
}

/* NULL: there is none. It stays until done_with_line. */
static const char *next_line(void)
{
    struct place *place = &places[next_taken % PLACES];
    return atomic_load(&place->turn) == next_taken + 1 ? place->line : NULL;
}

static void done_with_line(void)
{
    atomic_store(&places[next_taken % PLACES].turn, next_taken + PLACES);
    next_taken++;
}

static void empty_ring(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        atomic_store(&places[i].turn, i);
    atomic_store(&next_put, 0);
    atomic_store(&lost, 0);
    next_taken = 0;
}

/* Lines that came before are not for the new function. */
static void drop_lines(void)
{
    while (next_line() != NULL)
        done_with_line();
    atomic_store(&lost, 0);
    atomic_fetch_and(&trace_state, ~(unsigned)TRACE_WAITING);
}

/* The function has set another one: what came before that, and no more. */
static void drop_former(void)
{
    while ((int)(next_taken - former_put) < 0 && next_line() != NULL)
        done_with_line();
    if ((int)(next_taken - former_put) > 0)
        former_put = next_taken;
}

/* ---- handing over ---- */

/* The program's function may do anything, also fork, or set another one. */
static void hand_over(const char *line)
{
    if (function != NULL)
        function(function_context, line);
}

static void report_lost(void)
{
    char line[64];
    unsigned count = atomic_exchange(&lost, 0);
    if (count == 0)
        return;
    snprintf(line, sizeof line, "%u lines were lost: too many came at once", count);
    hand_over(line);
}

static void hand_lines_over(void)
{
    const char *line;
    drop_former();
    for (int i = 0; i < PLACES && (line = next_line()) != NULL; i++) {
        hand_over(line);
        if (!self_is_process(atomic_load(&busy)))
            return; /* it has forked, and this is the child */
        done_with_line();
        drop_former();
    }
    report_lost();
}

static bool has_waiting_lines(void)
{
    return (atomic_load(&trace_state) & TRACE_WAITING) != 0 &&
           self_is_process(atomic_load(&function_owner));
}

/* A thread that ended in the function would keep all others from it. */
void trace_deliver_lines(void)
{
    int saved = errno, cancellation;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    for (int i = 0; i < ROUNDS && has_waiting_lines() && enter(); i++) {
        atomic_fetch_and(&trace_state, ~(unsigned)TRACE_WAITING);
        hand_lines_over();
        if (self_is_process(atomic_load(&busy)))
            leave();
    }
    pthread_setcancelstate(cancellation, NULL);
    errno = saved;
}

/* ---- setting it ---- */

static void set_function(trace_function *new_function, void *context)
{
    uint32_t here = self_process();
    function = new_function;
    function_context = context;
    if (ring_owner != here)
        empty_ring();
    ring_owner = here;
    atomic_store(&function_owner, new_function == NULL ? 0 : here);
    if (new_function != NULL)
        atomic_fetch_or(&trace_state, TRACE_FUNCTION);
    else
        atomic_fetch_and(&trace_state, ~(unsigned)TRACE_FUNCTION);
}

void trace_set_function(trace_function *new_function, void *context)
{
    if (is_inside()) {
        set_function(new_function, context);
        former_put = atomic_load(&next_put);
        atomic_store(&lost, 0);
        return;
    }
    while (!enter())
        sys_poll(NULL, 0, sys_now() + PAUSE);
    set_function(new_function, context);
    drop_lines();
    former_put = next_taken;
    leave();
}
