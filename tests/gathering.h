/* SPDX-License-Identifier: MIT */
/*
 * For tests of PIPC_GATHER. Peer a writes, in the test's own thread and armed, by a clock that
 * stands still: so no write is late unless the test says so.
 */
#ifndef PIPC_TESTS_GATHERING_H
#define PIPC_TESTS_GATHERING_H

#include <limits.h>
#include <stdint.h>

#include "fault.h"
#include "peers.h"
#include "sys/sys_pipe.h"

enum {
    GATHER_BYTES = 16384, /* so many go together */
    GATHER_LARGEST = 4096,
    GATHER_MS = 1,
    FRAME_BYTES = 4
};

static inline void open_gathering(struct peers *p, const struct kind *kind, unsigned flags)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER | flags;
    peers_open(p, kind, &options);
    fault_reset();
    fault_frozen_time();
}

static inline ssize_t write_frozen(struct peer *a, const void *data, size_t size)
{
    fault_arm();
    ssize_t result = peer_write(a, data, size);
    fault_disarm();
    return result;
}

static inline void write_text(struct peer *a, const char *text)
{
    assert_int_equal(write_frozen(a, text, strlen(text)), strlen(text));
}

static inline size_t held_by(struct peer *peer)
{
    return (size_t)peer_stats(peer).bytes_held;
}

/* Nothing is sent. */
static inline void gather_text(struct peer *a, const char *text)
{
    size_t before = held_by(a);
    write_text(a, text);
    assert_int_equal(held_by(a), before + FRAME_BYTES + strlen(text));
}

static inline unsigned long writes_of_system(void)
{
    return fault_calls(CALL_write) + fault_calls(CALL_writev) + fault_calls(CALL_pwritev2) +
           fault_calls(CALL_send) + fault_calls(CALL_sendmsg);
}

/*
 * So many bytes went in at most so many calls. Only into a pipe that was adopted they go in pieces
 * of PIPE_BUF, where the kernel has no write that does not wait: poll reports room for no more.
 */
static inline void expect_writes(const struct kind *kind, size_t size, unsigned long most)
{
    bool is_adopted_pipe = !kind->made && kind->descriptors == 4;
    if (is_adopted_pipe && !sys_pipe_has_nowait())
        most += size / PIPE_BUF + 1;
    assert_in_range(writes_of_system(), 1, most);
}

/*
 * The next write of what is gathered fails so, alone or with the message behind it. Time goes on
 * standing still, unlike after fault_reset.
 */
static inline void refuse_next_write(bool alone, int error)
{
    const enum fault_call calls[] = {alone ? CALL_send : CALL_sendmsg, CALL_pwritev2, CALL_writev};
    for (size_t i = 0; i < 3; i++)
        fault_fail(calls[i], fault_calls(calls[i]) + 1, 0, error);
}

#endif
