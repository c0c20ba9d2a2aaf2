/* SPDX-License-Identifier: MIT */
/*
 * Each system call of a rendezvous by PIPC_ASYNC fails in turn, once and forever, with each
 * possible error. It opens, or reports an errno; it never hangs or leaks, and the next two connect.
 */
#include "async.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include "fault.h"

enum { SHORT_MS = 20, LONG_MS = 20000, PLACES = 50, ERRORS = 6 };

/* A peer to which nothing happens: it comes again and again, until it is killed. */
static int answer_again_and_again(void *arg)
{
    struct async_place *place = arg;
    for (;;) {
        pipc_t *peer = async_answer(place, NULL);
        if (peer == NULL)
            async_await(place, NULL, NULL);
        pipc_close(peer);
    }
    return 1;
}

static bool is_explained(int error)
{
    return error == ETIMEDOUT || error == ECONNREFUSED || error == ENOENT || error == EACCES ||
           error == ENOMEM || error == ENOTSOCK || error == EOPNOTSUPP || fault_injected(error) ||
           (error == EAGAIN && fault_failures(CALL_getaddrinfo) > 0);
}

static void expect_explained(int error)
{
    if (!is_explained(error))
        fail_msg("%s gives %s", fault_summary(), strerror(error));
}

/* With the descriptor when it can be had, else by looking again and again. */
static void drive(pipc_t *pipe, int *error)
{
    int fd = -1;
    *error = EAGAIN;
    while (*error == EAGAIN) {
        fault_arm();
        *error = pipc_flush(pipe) >= 0 ? 0 : errno;
        if (fd < 0)
            fd = pipc_fd(pipe);
        int fd_error = errno;
        fault_disarm();
        if (fd < 0)
            expect_explained(fd_error);
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        if (*error == EAGAIN)
            poll(&entry, 1, fd < 0 ? 1 : 1000 * harness_scale());
    }
}

static int come_armed(struct async_place *place, int timeout_ms)
{
    int before = harness_open_descriptors(), error = 0;
    fault_arm();
    pipc_t *pipe = async_try(place, timeout_ms, NULL);
    error = pipe == NULL ? errno : 0;
    if (pipe != NULL)
        pipc_set_timeout(pipe, 0, 0);
    fault_disarm();
    if (pipe != NULL)
        drive(pipe, &error);
    fault_arm();
    pipc_close(pipe);
    fault_disarm();
    assert_int_equal(fault_bad_closes(), 0);
    assert_int_equal(harness_open_descriptors(), before);
    return error;
}

static void try_place(struct async_place *place, unsigned long nth, unsigned long more,
                      unsigned which)
{
    fault_reset();
    fault_fail_plausibly(nth, more, which);
    int error = come_armed(place, SHORT_MS);
    if (error != 0)
        expect_explained(error);
}

static void sweep(struct async_place *place)
{
    for (unsigned long nth = 1; nth <= PLACES; nth++)
        for (unsigned which = 0; which < ERRORS; which++) {
            if (harness_random_below((size_t)harness_scale()) != 0)
                continue;
            try_place(place, nth, 0, which);
            try_place(place, nth, FAULT_FOREVER, which);
        }
}

/* Directories of FIFOs that could not be removed are removed by hand. */
static void remove_leftovers(const struct async_place *place)
{
    char command[200];
    if (place->fifos.directory[0] == '\0')
        return;
    snprintf(command, sizeof command, "rm -rf '%s'/.pipc-* '%s'/x", place->fifos.directory,
             place->fifos.directory);
    assert_int_equal(system(command), 0);
}

TEST_OF_KIND(with_a_peer_it_survives_the_failure_of_any_system_call)
{
    struct async_place place;
    async_begin(&place, kind);
    harness_new_baseline();
    pid_t peer = harness_fork(answer_again_and_again, &place);
    sweep(&place);
    fault_reset();
    assert_int_equal(come_armed(&place, LONG_MS), 0);
    assert_true(fault_calls(CALL_ANY) >= 5);
    kill(peer, SIGKILL);
    assert_int_equal(harness_wait(peer), -SIGKILL);
    harness_assert_nothing_left();
    remove_leftovers(&place);
    if (place.path[0] != '\0')
        unlink(place.path);
    async_end(&place);
}

TEST_OF_KIND(without_a_peer_it_survives_the_failure_of_any_system_call)
{
    struct async_place place;
    async_begin(&place, kind);
    harness_new_baseline();
    for (unsigned long nth = 1; nth <= PLACES; nth++)
        for (unsigned which = 0; which < ERRORS; which++) {
            if (harness_random_below((size_t)harness_scale()) != 0)
                continue;
            fault_reset();
            fault_fail_plausibly(nth, which % 2 == 0 ? 0 : FAULT_FOREVER, which / 2);
            int error = come_armed(&place, 2);
            assert_int_not_equal(error, 0);
            expect_explained(error);
            remove_leftovers(&place);
        }
    harness_assert_nothing_left();
    fault_reset();
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    pipc_t *there = async_meet(&place, pipe, NULL);
    net_say(pipe, "ping");
    pipc_close(pipe);
    pipc_close(there);
    async_end(&place);
}

/* Memory and descriptors: so much, and no more. */
TEST_OF_KIND(with_few_descriptors_it_opens_or_returns_EMFILE)
{
    struct async_place place;
    if (harness_emulated())
        harness_skip("valgrind has a limit of its own");
    async_begin(&place, kind);
    pid_t peer = harness_fork(answer_again_and_again, &place);
    int opened = 0, spare = dup(0);
    close(spare);
    for (rlim_t more = 0; more < 20 && opened < 2; more++) {
        rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)spare + more);
        pipc_t *pipe = async_try(&place, LONG_MS, NULL);
        int error = pipe == NULL ? errno : 0;
        if (pipe != NULL) {
            pipc_set_timeout(pipe, 0, 0);
            while (pipc_flush(pipe) == -1 && (error = errno) == EAGAIN)
                poll(&(struct pollfd){pipc_fd(pipe), POLLIN, 0}, 1, 5);
            if (error == EAGAIN)
                error = 0;
        }
        pipc_close(pipe);
        harness_limit(RLIMIT_NOFILE, before);
        opened += error == 0;
        if (error != 0)
            assert_int_equal(error, EMFILE);
    }
    assert_int_equal(opened, 2);
    kill(peer, SIGKILL);
    assert_int_equal(harness_wait(peer), -SIGKILL);
    remove_leftovers(&place);
    if (place.path[0] != '\0')
        unlink(place.path);
    async_end(&place);
}

HARNESS_MAIN("async, faults",
             OVER_CASES(with_a_peer_it_survives_the_failure_of_any_system_call, async_ways),
             OVER_CASES(without_a_peer_it_survives_the_failure_of_any_system_call, async_ways),
             OVER_CASES(with_few_descriptors_it_opens_or_returns_EMFILE, async_ways))
