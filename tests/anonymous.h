/* SPDX-License-Identifier: MIT */
/*
 * The sides of the handle of pipc_open: a side is a thread or a forked child that runs a script
 * with the handle. Also the calls that most scripts are made of. Nothing here closes a handle.
 */
#ifndef PIPC_TESTS_ANONYMOUS_H
#define PIPC_TESTS_ANONYMOUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

/* Far longer than anything here takes: a wait that ends by this timeout has failed. */
#define SIDES_LONG_MS (10000 * harness_scale())
/* A side must detect the death of its peer within that time. */
#define SIDES_NOTICE_MS (1000 * harness_scale())

typedef void script(pipc_t *pipe);

struct side {
    pipc_t *pipe;
    script *play;
    bool in_thread;
    pthread_t thread;
    pid_t pid;
    _Atomic pid_t tid; /* of the thread, or of the child's only one; 0: not started yet */
};

/* The script runs in a thread or in a child, as the kind says. */
void side_start(struct side *side, const struct kind *kind, pipc_t *pipe, script *play);
void side_end(struct side *side); /* waits for it, and asserts that it ended well */
void side_play(const struct kind *kind, pipc_t *pipe, script *play); /* both */

/* --- Sleeping threads ------------------------------------------------------------------------- */

struct sleeper {
    pid_t pid, tid;
};
struct sleeper sleeper_me(void);
struct sleeper sleeper_side(const struct side *side);
char sleeper_state(struct sleeper who); /* the letter of /proc/PID/stat */

/* Until that thread blocks. A test is right in either order; this makes the order likely that it is
 * about. It gives up after a second: under a sanitizer a blocked thread may look otherwise. */
void sleeper_wait(struct sleeper who);

/* --- What scripts are made of ----------------------------------------------------------------- */

/* Each asserts that its call works, or that it fails as expected. */
pipc_t *open_anonymous(void);
/* Skips the test where a doorbell is not rung by write(2), which it hooks. */
void anonymous_need_eventfd(void);
/* And where a holder that has forked, and leaves, cannot come back. */
void anonymous_need_tokens_that_stay(const struct kind *kind);
long anonymous_clone(void); /* a fork by the bare system call */
void say(pipc_t *pipe, const char *text);
void hear(pipc_t *pipe, const char *text);
void say_number(pipc_t *pipe, int number);
int hear_number(pipc_t *pipe);
void say_large(pipc_t *pipe, size_t size, uint64_t tag);
void hear_large(pipc_t *pipe, size_t size, uint64_t tag);
void leave(pipc_t *pipe, const char *text); /* pipc_disconnect */
void hear_bye(pipc_t *pipe, const char *text);
void set_timeouts(pipc_t *pipe, int read_ms, int write_ms);
void hear_nothing(pipc_t *pipe);           /* leaves the timeouts unlimited */
void hear_the_end(pipc_t *pipe, int code); /* the same error each time */

/* Writing fails, with one error each time: EPIPE, or read_code where that is what reading
 * reports. */
void expect_no_reader(pipc_t *pipe, int read_code);

/* Writes messages of zeros until EAGAIN; returns how many. */
int fill_up(pipc_t *pipe, size_t size);

/* --- What all threads and children share ------------------------------------------------------ */

/* Zeroed memory that children share. */
void *shared_memory(size_t size);

/* Gates for the scripts of one test. */
extern struct harness_gate gate[3];
void gates_init(void);
void gates_close(void);

#endif
