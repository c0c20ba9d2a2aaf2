/* SPDX-License-Identifier: MIT */
/*
 * Both peers of a pipe at work at the same time, of any kind: the second is a forked child or a
 * thread.
 */
#include <pthread.h>
#include <signal.h>

#include "harness.h"

struct second_peer {
    pipc_t *const *end;
    bool same_handle;
    void (*run)(pipc_t *end, void *arg);
    void *arg;
    struct harness_gate claimed;
};

static int run_in_process(void *arg)
{
    struct second_peer *second = arg;
    if (!second->same_handle)
        pipc_close(second->end[0]);
    second->run(second->end[1], second->arg);
    pipc_close(second->end[1]);
    return 0;
}

/* The first call claims the thread's end: only then may the other thread close its own. */
static void *run_in_thread(void *arg)
{
    struct second_peer *second = arg;
    assert_int_equal(pipc_pending(second->end[1]), 0);
    harness_gate_open(&second->claimed);
    second->run(second->end[1], second->arg);
    pipc_close(second->end[1]);
    return NULL;
}

/* The thread has all signals blocked: those of a timer are the first peer's. */
static void run_beside_thread(struct second_peer *second, void (*first)(pipc_t *end, void *arg))
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    harness_gate_init(&second->claimed);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &all, &before), 0);
    assert_int_equal(harness_thread(&thread, run_in_thread, second), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    harness_gate_wait(&second->claimed);
    assert_int_equal(pipc_pending(second->end[0]) < 0, false);
    first(second->end[0], second->arg);
    pipc_close(second->end[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    harness_gate_close(&second->claimed);
}

static void run_beside_process(struct second_peer *second, void (*first)(pipc_t *end, void *arg))
{
    pid_t pid = harness_fork(run_in_process, second);
    if (!second->same_handle)
        pipc_close(second->end[1]);
    first(second->end[0], second->arg);
    pipc_close(second->end[0]);
    assert_int_equal(harness_wait(pid), 0);
}

void kind_run_both(const struct kind *kind, const pipc_options_t *options,
                   void (*first)(pipc_t *end, void *arg), void (*second)(pipc_t *end, void *arg),
                   void *arg)
{
    pipc_t *end[2];
    kind_open(kind, end, options);
    struct second_peer peer = {end, kind->same_handle, second, arg, {{-1, -1}}};
    if (kind->in_threads)
        run_beside_thread(&peer, first);
    else
        run_beside_process(&peer, first);
}
