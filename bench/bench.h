/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the benchmark know of each other. A contender is one library on one transport,
 * in one style of calling it; each library's contenders are a table in a file of its own,
 * with_NAME.c. To add one is a line there. The work itself (cell.c) is the same for all of them.
 */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

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
    /* After the fork: close this copy of the peer's end; may be NULL. */
    void (*drop)(struct link *, int side);
    void (*join)(struct link *, int side); /* have an end that works; may wait for the peer */
    void (*send)(void *end, const void *data, size_t size);
    /* The data stays until the next receive on this end. */
    size_t (*receive)(void *end, const void **data);
    void (*send_many)(void *end, const struct iovec *messages, size_t count); /* NULL: no batches */
    size_t (*receive_many)(void *end, struct iovec *messages, size_t max);    /* NULL: one by one */
    unsigned handles;                  /* that make up a link, to divide its memory by */
    unsigned max_links;                /* that one process can have; 0: no limit to speak of */
    bool one_size;                     /* a link carries messages of its size, and no others */
    const char *(*lacks)(size_t size); /* why such messages cannot go; NULL: they can. Or NULL */
    void (*look)(void *end); /* find that nothing has come, as a loop does; NULL: costs nothing */
};

/* Tables, each with an empty last line. */
extern const struct contender with_pipc[], with_raw[], with_framed[], with_packets[], with_ring[],
    with_zmq[], with_nng[], with_nanomsg[], with_boost[];

/* ---- with_raw.c: descriptors, which libpipc adopts as well ---- */
void prepare_pipe(struct link *link);
void prepare_large_pipe(struct link *link);
void prepare_socketpair(struct link *link);
void drop_fds(struct link *link, int side);
void set_fds(struct link *link, int side, int in, int out);

/* ---- cell.c: one contender does one kind of work, in two processes ---- */

/* Where the two processes run. BUSY_CORES: two cores, with a busy loop on each. */
enum setting { ONE_CORE, TWO_CORES, BUSY_CORES, SETTINGS };

struct job {
    bool roundtrip; /* else one way */
    enum setting setting;
    bool sum_all; /* add up every byte that arrives, also while the clock runs */
    size_t size;
    double seconds; /* that the timed part takes, about */
    size_t count;   /* not 0: just so many messages, not timed */
};
struct cost {
    double ns;     /* for each message or round trip, by the clock */
    double cpu_ns; /* and of processor time, of both processes */
};
bool cell_run(const struct contender *contender, const struct job *job, struct cost *cost);
bool python_run(const char *program, const struct job *job, struct cost *cost); /* with_python.c */

/* ---- idle.c: what connections cost while nothing happens ---- */
struct idle {
    double opened, used, after_large; /* bytes of resident memory for each handle */
};
bool idle_run(const struct contender *contender, unsigned links, struct idle *result);

/* ---- many.c and open.c: connections to a server, many at once or one after the other ---- */

/* Where a server is: a path, or a port on loopback, which it finds. */
struct place {
    char path[64];
    unsigned port;
};
void place_make(struct place *place); /* link.c */

/* Calls of one library. Each ends the process when it fails. */
struct service {
    const char *library, *transport;
    void *(*listen)(struct place *place);
    int (*listen_fd)(void *server); /* to poll */
    void *(*accept)(void *server);  /* NULL: nobody waits */
    void (*stop)(void *server);     /* also in the process that goes on without it */
    int (*fd)(void *connection);    /* to poll; from now on it has an event loop */
    int (*echo)(void *connection);  /* send back what has come: how many; -1: the peer has left */
    void *(*connect)(const struct place *place);
    void (*send)(void *, const void *data, size_t size); /* this and the next may wait */
    void (*receive)(void *, void *data, size_t size);    /* a message of this size */
    void (*close)(void *connection);
};
/*
 * service_pipc.c, service_raw.c: the same transports in the same order, with an empty last one.
 * Nested: each connection has an epoll set of its own, which the event loop polls.
 */
extern const struct service services_pipc[], services_raw[], services_nested[];

struct many {
    double ns;          /* for each echo */
    double bytes;       /* of the server's memory for each connection, once it was used */
    double descriptors; /* of the server for each connection */
};
bool many_run(const struct service *service, unsigned connections, double seconds,
              struct many *result);

/* Opening, using and closing, of one kind of connection. */
struct opener {
    const char *library, *transport, *setup;
    void (*use)(void);             /* all of it, in one process; NULL: with a server in another */
    const struct service *service; /* that server */
};
extern const struct opener openers[]; /* with an empty last line */
bool open_run(const struct opener *opener, double *ns);
void open_anonymous(void); /* service_pipc.c */
void open_pair(void);      /* likewise */

/* ---- options.c ---- */
struct plan {
    size_t sizes[16];
    size_t size_count;
    const char *only, *work, *settings, *python;
    unsigned rounds, idle, many;
    double seconds;
    size_t count;
    int sum_all, list;
};
extern struct plan plan;
void parse_options(int count, char **arguments);
bool is_listed(const char *list, const char *name); /* between commas */
bool is_chosen(const char *library, const char *transport, const char *style);

/* ---- link.c ---- */
void make_folder(void);
void link_start(struct link *link, const struct contender *contender, size_t size);
void link_url(const struct link *link, char *url, size_t size); /* ipc:// or tcp:// by transport */
void link_sweep(const struct link *link); /* removes what is left at its path */

/* ---- process.c ---- */
void fail(const char *what) __attribute__((noreturn)); /* reports errno, ends this process */
void catch_stop(void);    /* from now on SIGINT and the like end the driver in child_succeeded */
pid_t fork_or_fail(void); /* a child that does not outlive this process */
bool child_succeeded(pid_t child);
void *new_shared(size_t size); /* zeros, in memory that children share; free by munmap */
void barrier_init(pthread_barrier_t *barrier); /* for two processes, in such memory */
void allow_descriptors(void);                  /* as many as this process may have */
double now(clockid_t clock);                   /* nanoseconds */
double resident(void);                         /* bytes of this process, Pss */
size_t find_cores(size_t cores[2]);            /* how many there are, at most 2 */
void pin(int side, enum setting setting);
void busy_begin(void); /* a busy loop on each of the two cores */
void busy_end(void);

#ifdef __cplusplus
}
#endif

#endif
