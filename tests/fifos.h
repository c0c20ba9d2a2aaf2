/* SPDX-License-Identifier: MIT */
/*
 * What tests of pipc_open_fifo share: directories of their own, and callers in threads and
 * processes.
 */
#ifndef PIPC_TESTS_FIFOS_H
#define PIPC_TESTS_FIFOS_H

#include "harness.h"

/* Long enough for any rendezvous that succeeds. */
#define FIFOS_LONG_MS (10000 * harness_scale())

struct fifos {
    char directory[64];
    pipc_options_t options; /* with that directory */
};

/* A new directory of mode 0700; and its removal, which asserts that nothing is left in it. */
void fifos_begin(struct fifos *fifos);
void fifos_end(struct fifos *fifos);
/* What is in the directory, and in the directories in it. */
int fifos_count(const struct fifos *fifos);
void fifos_assert_empty(const struct fifos *fifos);
/* NAME in the directory, or in a directory of it; in a static buffer. */
const char *fifos_path(const struct fifos *fifos, const char *name);
/* Waits until a caller waits at the name. */
void fifos_await_offer(const struct fifos *fifos, const char *name);

/* Opens both ends in this process, one in a thread. */
void fifos_open_both(const struct fifos *fifos, const char *name, pipc_t *end[2]);
/* For a table of kinds. */
void fifos_open_kind(pipc_t *end[2], const pipc_options_t *options);

/* A child that opens the name, sends its process id and expects the peer's. So both know whether
 * they are connected to each other. Exits with 0 if so, else with an errno or a number from 200
 * on. */
pid_t fifos_fork_caller(const struct fifos *fifos, const char *name, int timeout_ms);
/* The same in this process. */
int fifos_introduce(pipc_t *pipe); /* and closes it */
int fifos_call(const struct fifos *fifos, const char *name, int timeout_ms);
/* Two callers of the name connect and leave nothing. */
void fifos_assert_two_connect(const struct fifos *fifos, const char *name);

/* Parts of an offer, and the directory of the names. */
enum {
    FIFOS_DOOR = 1,
    FIFOS_IN = 2,
    FIFOS_OUT = 4,
    FIFOS_DIRECTORY = 8,
    FIFOS_HOME = 16,
    FIFOS_SUBSETS = 32,
    FIFOS_ALL = FIFOS_SUBSETS - 1
};

/* Deletes these parts of every offer, whether it has its name or is still private. */
void fifos_clean(const struct fifos *fifos, unsigned what);
/* An offer of "x" is complete, and a caller has it open. This check wakes the waiter. */
bool fifos_is_offered(const struct fifos *fifos);
void fifos_await_whole_offer(const struct fifos *fifos);
/* Waits until a child stops or ends; true: it has stopped. */
bool fifos_has_stopped(pid_t pid);

/* Both descriptors of a FIFO that has no name any more; both are non-blocking or blocking as open()
 * with O_RDONLY | O_NONBLOCK and with O_WRONLY makes them. */
void fifos_make_unnamed(int fd[2]);

/* For a child: a claimer that stops before its commit. Returns the errno of pipc_open_fifo, or
 * 0. */
int fifos_stop_before_commit(const struct fifos *fifos);

#endif
