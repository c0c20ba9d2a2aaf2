/* SPDX-License-Identifier: MIT */
/*
 * The peer monitor: follows the process of a peer. The death of that process wakes the calls that
 * wait, and is final, whatever the shared words say later. Knows nothing of bytes.
 */
#ifndef PIPC_MONITOR_H
#define PIPC_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "peer/ends.h"

struct monitor {
    struct ends *ends;
    unsigned end;
    uint64_t state;   /* of the peer, as last loaded */
    bool is_remote;   /* it holds its end in another process */
    bool has_left;    /* it said goodbye, and nobody has come since */
    bool is_dead;     /* for good */
    int process;      /* its pidfd, as long as it may still die unseen; -1: none */
    uint32_t name;    /* of the process that is monitored */
    bool has_token;   /* it has shown one */
    bool has_ended;   /* it has ended, and its pidfd is closed */
    int ticker;       /* makes waiting calls check again; -1: none yet */
    bool is_waited;   /* the set of a waiting call has `process` */
    bool is_polled;   /* the program's descriptor has it */
    bool ticks;       /* the program's descriptor listens to the ticker */
    int64_t retry_at; /* sys_now time: when to try again to open what is missing */
};

/* The two sets that a death has to wake; -1: not there yet. */
struct monitor_sets {
    int waits;      /* of a waiting call */
    int descriptor; /* the program's */
};

void monitor_init(struct monitor *monitor, struct ends *ends, unsigned end);
/* For each set, once it is made. -1: EMFILE, ENFILE, ENOMEM, ENOSPC, and the set is of no use. */
int monitor_join_waits(struct monitor *monitor, int waits);
int monitor_join_descriptor(struct monitor *monitor, int descriptor);

/* Follow the peer. True: it is another one than before, or in another state. */
bool monitor_update(struct monitor *monitor, const struct monitor_sets *sets);
/* A goodbye was taken from the stream. */
void monitor_goodbye(struct monitor *monitor, const struct monitor_sets *sets);
/* The descriptor's set has reported that `process` is dead. */
void monitor_process_ended(struct monitor *monitor, const struct monitor_sets *sets);
/* Has the peer died? `read`: so many bytes of what it wrote. `by_process`: ask the process too. */
bool monitor_is_dead(struct monitor *monitor, uint64_t read, bool by_process);

/* A wait that no ticker ends has to end by itself after so many nanoseconds; -1: it need not. */
int64_t monitor_wait_max(const struct monitor *monitor);
void monitor_drain(struct monitor *monitor); /* until the next tick */
void monitor_close(struct monitor *monitor);

#endif
