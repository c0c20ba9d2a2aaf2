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
#include "platform.h"

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

/* *was_opening: the constructor has not reported it. */
static int come_armed(struct async_place *place, int timeout_ms, bool *was_opening)
{
    int before = harness_open_descriptors(), error = 0;
    fault_arm();
    pipc_t *pipe = async_try(place, timeout_ms, NULL);
    error = pipe == NULL ? errno : 0;
    *was_opening = pipe != NULL;
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

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* What the first attempt did not lack, a later one may lack for a moment. */
static void try_place(struct async_place *place, unsigned long nth, unsigned long more,
                      unsigned which)
{
    bool was_opening;
    fault_reset();
    fault_fail_plausibly(nth, more, which);
    int error = come_armed(place, more == 0 ? LONG_MS : SHORT_MS, &was_opening);
    if (error != 0)
        expect_explained(error);
    if (more == 0 && was_opening && error != 0 && is_shortage(fault_error()))
        fail_msg("%s ends it by %s", fault_summary(), strerror(error));
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
/* Of servers that were killed, maybe while they started, the next one removes what is there. */
static void remove_leftovers(const struct async_place *place)
{
    char command[200];
    if (place->path[0] != '\0')
        pipc_server_close(pipc_server_open_unix(place->path, NULL));
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
    bool unused;
    pid_t peer = harness_fork(answer_again_and_again, &place);
    sweep(&place);
    fault_reset();
    assert_int_equal(come_armed(&place, LONG_MS, &unused), 0);
    assert_true(fault_calls(CALL_ANY) >= 5);
    kill(peer, SIGKILL);
    assert_int_equal(harness_wait(peer), -SIGKILL);
    harness_assert_nothing_left();
    remove_leftovers(&place);
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
            bool unused;
            int error = come_armed(&place, 2, &unused);
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
enum { LOOKS = 100 };

/* Beyond the first attempt a lack is waited out. */
static int come_with_few(struct async_place *place, rlim_t limit)
{
    rlim_t before = harness_limit(RLIMIT_NOFILE, limit);
    pipc_t *pipe = async_try(place, LONG_MS, NULL);
    int error = pipe == NULL ? errno : EAGAIN;
    if (pipe != NULL)
        pipc_set_timeout(pipe, 0, 0);
    for (int i = 0; i < LOOKS && error == EAGAIN; i++) {
        error = pipc_flush(pipe) == -1 ? errno : 0;
        if (error == EAGAIN)
            poll(&(struct pollfd){pipc_fd(pipe), POLLIN, 0}, 1, 5);
    }
    harness_limit(RLIMIT_NOFILE, before);
    if (error == EAGAIN)
        assert_int_equal(async_outcome(pipe), 0);
    pipc_close(pipe);
    return error;
}

TEST_OF_KIND(with_few_descriptors_it_opens_or_returns_EMFILE_or_waits_for_more)
{
    struct async_place place;
    async_begin(&place, kind);
    pid_t peer = harness_fork(answer_again_and_again, &place);
    int opened = 0, spare = dup(0);
    close(spare);
    for (rlim_t more = 0; more < 20 && opened < 2; more++) {
        int error = come_with_few(&place, (rlim_t)spare + more);
        opened += error == 0;
        if (error != 0 && error != EAGAIN)
            assert_int_equal(error, EMFILE);
    }
    assert_int_equal(opened, 2);
    kill(peer, SIGKILL);
    assert_int_equal(harness_wait(peer), -SIGKILL);
    remove_leftovers(&place);
    async_end(&place);
}

/* Without a peer, so that there are attempts; each of a client needs a descriptor. */
TEST_OF_KIND(a_lack_of_descriptors_after_the_first_attempt_passes)
{
    struct async_place place;
    int attempts = 0;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    int fd = pipc_fd(pipe), spare = dup(0);
    close(spare);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)spare);
    int64_t begin = harness_now_ms();
    while (harness_now_ms() - begin < 200) {
        assert_errno(pipc_flush(pipe), EAGAIN);
        harness_readable(fd, 50);
        attempts++;
    }
    harness_limit(RLIMIT_NOFILE, before);
    assert_in_range(attempts, 1, platform_has(PLATFORM_EXACT) ? 20 : 200);
    pipc_t *peer = async_meet(&place, pipe, NULL);
    net_say(pipe, "ping");
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

static int flush_armed(pipc_t *pipe)
{
    fault_arm();
    int error = pipc_flush(pipe) == -1 ? errno : 0;
    fault_disarm();
    return error;
}

/* The peer comes only now. 0: both are there, and talk. */
static int meet_armed(struct async_place *place, pipc_t *pipe)
{
    pipc_t *peer = NULL;
    int error = EAGAIN;
    assert_true(pipc_fd(pipe) > 2);
    do {
        peer = peer != NULL ? peer : async_answer(place, NULL);
        error = error == EAGAIN ? flush_armed(pipe) : error;
        if (error == EAGAIN || (error == 0 && peer == NULL))
            async_await(place, error == 0 ? NULL : pipe, peer);
    } while (error == EAGAIN || (error == 0 && peer == NULL));
    if (error == 0)
        net_say(pipe, "ping");
    pipc_close(peer);
    return error;
}

static void end_peer(struct async_place *place)
{
    pipc_close(place->peer);
    place->peer = NULL;
    pipc_server_close(place->server);
    place->server = NULL;
}

TEST_OF_KIND(a_lack_at_any_system_call_after_the_first_attempt_passes)
{
    struct async_place place;
    bool has_failed = true;
    async_begin(&place, kind);
    for (unsigned long nth = 1; nth <= PLACES && has_failed; nth++)
        for (unsigned which = 0; which < ERRORS; which++) {
            if (which > 0 && harness_random_below((size_t)harness_scale()) != 0)
                continue;
            pipc_t *pipe = async_open_at(&place, -1, NULL);
            fault_reset();
            fault_fail_plausibly(nth, 0, which);
            int error = meet_armed(&place, pipe);
            has_failed = fault_failed() != CALL_NONE;
            if (error != 0 && is_shortage(fault_error()))
                fail_msg("%s ends it by %s", fault_summary(), strerror(error));
            if (error != 0)
                expect_explained(error);
            pipc_close(pipe);
            end_peer(&place);
            remove_leftovers(&place);
        }
    fault_reset();
    async_end(&place);
}

HARNESS_MAIN("async, faults",
             OVER_CASES(with_a_peer_it_survives_the_failure_of_any_system_call, async_ways),
             OVER_CASES(without_a_peer_it_survives_the_failure_of_any_system_call, async_ways),
             OVER_CASES(with_few_descriptors_it_opens_or_returns_EMFILE_or_waits_for_more,
                        async_ways),
             OVER_CASES(a_lack_at_any_system_call_after_the_first_attempt_passes, async_ways),
             OVER_CASES(a_lack_of_descriptors_after_the_first_attempt_passes, async_ways))
