/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the benchmark know of each other. A contender is one library on one transport,
 * in one style of calling it; each library's contenders are a table in a file of its own,
 * with_NAME.c. To add one is a line there. The work itself (cell.c) is the same for all of them.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* The most messages that go in one call in the style "batch". */
#define BATCH_MAX 256

struct contender;

/* A connection, with its two ends: 0 leads the work, 1 follows. */
struct link {
    const struct contender *contender;
    size_t size;   /* of each message, in bytes */
    char path[80]; /* where nothing is yet, for those who meet by name */
    unsigned port; /* likewise */
    int fd[2][2];  /* for each end, where it reads and where it writes; unused by some */
    void *end[2];  /* whatever the contender makes of it */
};

/* Each of these ends the process when it fails, by fail() below. */
struct contender {
    const char *library, *transport, *style;
    const char *setup;              /* for the list: what differs from the defaults, and why */
    void (*prepare)(struct link *); /* in the first process, before the fork; may be NULL */
    void (*drop)(struct link *,
                 int side); /* after the fork: close this copy of the other's end; may be NULL */
    void (*join)(struct link *, int side); /* have an end that works; may wait for the peer */
    void (*send)(void *end, const void *data, size_t size);
    size_t (*receive)(void *end,
                      const void **data); /* which stays until the next receive on this end */
    void (*send_many)(void *end, const struct iovec *messages, size_t count); /* NULL: no batches */
    size_t (*receive_many)(void *end, struct iovec *messages, size_t max);    /* NULL: one by one */
    unsigned handles;   /* that make up a link, to divide its memory by */
    unsigned max_links; /* that one process can have; 0: no limit to speak of */
};

/* Tables, each with an empty last line. */
extern const struct contender with_pipc[], with_raw[], with_zmq[], with_nng[], with_nanomsg[];

/* ---- with_raw.c: descriptors, which libpipc adopts as well ---- */
void prepare_socketpair(struct link *link);
void prepare_tcp(struct link *link);
void drop_fds(struct link *link, int side);

/* ---- cell.c: one contender does one kind of work, in two processes ---- */
struct job {
    bool roundtrip; /* else one way */
    bool one_core;  /* else each process on a core of its own */
    bool sum_all;   /* add up every byte that arrives, also while the clock runs */
    size_t size;
    double seconds; /* that the timed part takes, about */
    size_t count;   /* not 0: just so many messages, not timed */
};
bool cell_cores(size_t cores[2]); /* false: there is but one */
struct cost {
    double ns;     /* for each message or round trip, by the clock */
    double cpu_ns; /* and of processor time, of both processes */
};
bool cell_run(const struct contender *contender, const struct job *job, struct cost *cost);

/* ---- idle.c: what connections cost while nothing happens ---- */
struct idle {
    double opened, used, after_large; /* bytes of resident memory for each handle */
};
bool idle_run(const struct contender *contender, unsigned links, struct idle *result);

/* ---- bench.c ---- */
_Noreturn void fail(const char *what); /* says so with errno, ends this process */
void link_start(struct link *link, const struct contender *contender, size_t size);
void link_url(const struct link *link, char *url, size_t size); /* ipc:// or tcp:// by transport */
void link_sweep(const struct link *link); /* removes what is left at its path */
pid_t fork_or_fail(void);
bool child_succeeded(pid_t child);

#endif
