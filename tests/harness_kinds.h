/* SPDX-License-Identifier: MIT */
/*
 * The kinds of pipes that one test body runs over, and the two sides of a pipe at work at the same
 * time. A new transport is one more open function and a line in the tables. Part of harness.h.
 */
#ifndef PIPC_TESTS_HARNESS_KINDS_H
#define PIPC_TESTS_HARNESS_KINDS_H

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void harness_open_pair(pipc_t *end[2], const pipc_options_t *options)
{
    if (pipc_open_pair(end, options) != 0)
        fail_msg("pipc_open_pair: %s", strerror(errno));
}

static inline pipc_t *harness_adopt(int read_fd, int write_fd, const pipc_options_t *options)
{
    pipc_t *pipe = pipc_open_fds(read_fd, write_fd, options);
    if (pipe == NULL)
        fail_msg("pipc_open_fds: %s", strerror(errno));
    return pipe;
}

static inline void harness_open_sockets(pipc_t *end[2], const pipc_options_t *options)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    end[0] = harness_adopt(fd[0], fd[0], options);
    end[1] = harness_adopt(fd[1], fd[1], options);
}

static inline void harness_open_pipes(pipc_t *end[2], const pipc_options_t *options)
{
    int there[2], back[2];
    assert_int_equal(pipe2(there, O_CLOEXEC), 0);
    assert_int_equal(pipe2(back, O_CLOEXEC), 0);
    end[0] = harness_adopt(back[0], there[1], options);
    end[1] = harness_adopt(there[0], back[1], options);
}

static inline void harness_open_symmetric(pipc_t *end[2], const pipc_options_t *options)
{
    end[0] = end[1] = pipc_open(options);
    if (end[0] == NULL)
        fail_msg("pipc_open: %s", strerror(errno));
}

#define HARNESS_STREAM_KINDS                                                                       \
    {"pair", harness_open_pair, false, false}, {"socketpair", harness_open_sockets, false, false}, \
    {                                                                                              \
        "two pipes", harness_open_pipes, false, false                                              \
    }

/* Kinds whose two ends one thread can use in turn; and all kinds, for harness_two_sides. */
static const struct kind harness_kinds[] = {HARNESS_STREAM_KINDS, {NULL, NULL, false, false}};
static const struct kind harness_all_kinds[] = {
    HARNESS_STREAM_KINDS,
    {"open and fork", harness_open_symmetric, true, false},
    {"open and thread", harness_open_symmetric, true, true},
    {NULL, NULL, false, false},
};

struct harness_far_side {
    pipc_t *const *end;
    bool same_handle;
    void (*run)(pipc_t *end, void *arg);
    void *arg;
    struct harness_gate claimed;
};

static inline int harness_run_far_process(void *arg)
{
    struct harness_far_side *far = arg;
    if (!far->same_handle)
        pipc_close(far->end[0]);
    far->run(far->end[1], far->arg);
    pipc_close(far->end[1]);
    return 0;
}

/* The first call takes the thread's end: only then may the other thread close its own. */
static inline void *harness_run_far_thread(void *arg)
{
    struct harness_far_side *far = arg;
    assert_int_equal(pipc_pending(far->end[1]), 0);
    harness_gate_open(&far->claimed);
    far->run(far->end[1], far->arg);
    pipc_close(far->end[1]);
    return NULL;
}

static inline void harness_beside_thread(struct harness_far_side *far,
                                         void (*near)(pipc_t *end, void *arg))
{
    pthread_t thread;
    harness_gate_init(&far->claimed);
    assert_int_equal(pthread_create(&thread, NULL, harness_run_far_thread, far), 0);
    harness_gate_wait(&far->claimed);
    assert_int_equal(pipc_pending(far->end[0]) < 0, false);
    near(far->end[0], far->arg);
    pipc_close(far->end[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    harness_gate_close(&far->claimed);
}

static inline void harness_beside_process(struct harness_far_side *far,
                                          void (*near)(pipc_t *end, void *arg))
{
    pid_t pid = harness_fork(harness_run_far_process, far);
    if (!far->same_handle)
        pipc_close(far->end[1]);
    near(far->end[0], far->arg);
    pipc_close(far->end[0]);
    assert_int_equal(harness_wait(pid), 0);
}

/* Opens a pipe of that kind, runs far with one end in a child (or thread) and near with the other
 * end here, at the same time, closes each end in its side, waits, and asserts that the far side ended
 * well. The sides must not close. In the kinds with threads both hold their ends when they begin. */
static inline void harness_two_sides(const struct kind *kind, const pipc_options_t *options,
                                     void (*near)(pipc_t *end, void *arg),
                                     void (*far)(pipc_t *end, void *arg), void *arg)
{
    pipc_t *end[2];
    kind->open(end, options);
    struct harness_far_side side = {end, kind->same_handle, far, arg, {{-1, -1}}};
    if (kind->in_threads)
        harness_beside_thread(&side, near);
    else
        harness_beside_process(&side, near);
}

#endif
