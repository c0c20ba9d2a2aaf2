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
    uint64_t state;     /* of the peer, as last loaded */
    bool is_remote;     /* it holds its end in another process */
    bool has_left;      /* it said goodbye, and nobody has come since */
    bool is_dead;       /* for good */
    const char *how;    /* that was noticed, for the trace; NULL: it is not known */
    int process;        /* its pidfd, as long as it may still die unseen; -1: none */
    uint32_t name;      /* of the process that is monitored */
    bool has_token;     /* it has shown one */
    bool has_ended;     /* it has ended, and its pidfd is closed */
    int ticker;         /* makes waiting calls check again; -1: none */
    bool has_no_timers; /* the kernel refuses them */
    bool is_member;     /* the set has it */
    bool ticks;         /* the set listens to the ticker */
    int64_t retry_at;   /* sys_now time: when to try again to open what is missing */
};

/*
 * The set that a death has to wake. Calls wait on it, and it is the program's descriptor once the
 * program has asked for that.
 */
struct monitor_set {
    int fd; /* -1: not there yet */
    bool is_polled;
};

void monitor_init(struct monitor *monitor, struct ends *ends, unsigned end);
/* Once the set is made. -1: EMFILE, ENFILE, ENOMEM, ENOSPC, and the set is of no use. */
int monitor_join(struct monitor *monitor, const struct monitor_set *set);
/* The program will poll it from now on. */
void monitor_note_polled(struct monitor *monitor, const struct monitor_set *set);

/* Follow the peer. True: it is another one than before, or in another state. */
bool monitor_update(struct monitor *monitor, const struct monitor_set *set);
/* A goodbye was taken from the stream. */
void monitor_goodbye(struct monitor *monitor, const struct monitor_set *set);
/* The set has reported that `process` is dead; or it has woken a wait, and may have. */
void monitor_process_ended(struct monitor *monitor, const struct monitor_set *set);
void monitor_look_at_process(struct monitor *monitor, const struct monitor_set *set);
/*
 * Has the peer died? `tried`: how far what it wrote has been read, or makes no whole message.
 * `by_process`: ask the process too.
 */
bool monitor_is_dead(struct monitor *monitor, uint64_t tried, bool by_process);

/* Whether the peer lives is not seen by any descriptor; the kernel can be asked. */
bool monitor_is_blind(const struct monitor *monitor);

/* A wait that no ticker ends has to end by itself after so many nanoseconds; -1: it need not. */
int64_t monitor_wait_max(const struct monitor *monitor);
void monitor_drain(struct monitor *monitor); /* until the next tick */
void monitor_close(struct monitor *monitor);

#endif
