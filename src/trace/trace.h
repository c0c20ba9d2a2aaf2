/* SPDX-License-Identifier: MIT */
/*
 * What happens to the pipes of this process, a line for each event, for people who search for a
 * message that does not arrive. Lines go to the file that PIPC_TRACE names, at once; and to a
 * function of the program, once no lock is held. Nothing is traced for a message, and none of its
 * bytes.
 *
 * Off, a place that traces costs a load and a branch; on, no allocation. All keep errno.
 */
#ifndef PIPC_TRACE_H
#define PIPC_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum trace_event {
    TRACE_OPEN,
    TRACE_RENDEZVOUS,
    TRACE_HANDSHAKE,
    TRACE_GOODBYE,
    TRACE_SHUTDOWN,
    TRACE_DEATH, /* or another end of the stream */
    TRACE_MEMORY,
    TRACE_REFUSED,
    TRACE_CLOSE
};

enum { TRACE_PEER_MAX = 128 };

/* Fields that are NULL or 0 are left out. */
struct trace_line {
    unsigned handle; /* trace_number of the handle or server */
    enum trace_event event;
    const char *what; /* a constant */
    const char *name; /* of a place or a peer that was asked for */
    const char *peer;
    int error; /* an errno */
};

enum {
    TRACE_FILE = 1,     /* lines go to a file */
    TRACE_FUNCTION = 2, /* ... to the program; it may be the parent's */
    TRACE_WAITING = 4   /* there are lines that the function has not got yet */
};
extern atomic_uint trace_state;

static inline bool trace_is_on(void)
{
    return atomic_load_explicit(&trace_state, memory_order_relaxed) != 0;
}

/* Before a handle or server is made: the first time, look for PIPC_TRACE. */
void trace_begin(void);
/* Of a handle or server that is made, from 1 on. */
unsigned trace_number(void);
void trace_write(const struct trace_line *line);
void trace_write_plain(unsigned handle, enum trace_event event, const char *what, const char *name,
                       int error);

static inline void trace(unsigned handle, enum trace_event event, const char *what,
                         const char *name, int error)
{
    if (trace_is_on())
        trace_write_plain(handle, event, what, name, error);
}

/* ---- the function of the program (trace_function.c) ---- */

typedef void trace_function(void *context, const char *line);
/*
 * NULL: none. Waits until another thread has come back from the former one. A cancellation point,
 * when it waits.
 */
void trace_set_function(trace_function *function, void *context);

void trace_deliver_lines(void);
/* At the end of calls, and before they wait. No lock is held. */
static inline void trace_deliver(void)
{
    if ((atomic_load_explicit(&trace_state, memory_order_relaxed) & TRACE_WAITING) != 0)
        trace_deliver_lines();
}

/* Between the files of trace. */
enum { TRACE_LINE_MAX = 512 };
bool trace_has_function(void); /* in this process, and this thread is not in it */
void trace_keep_line(const char *line, size_t size);

#endif
