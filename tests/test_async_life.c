/* SPDX-License-Identifier: MIT */
/*
 * PIPC_ASYNC beside threads, cancellation, signals, keys and a lack of descriptors.
 */
#include "async.h"

#include <poll.h>
#include <signal.h>
#include <sys/time.h>

#include "fault.h"
#include "platform.h"

/* ---- threads ---- */

static void *read_ping(void *pipe)
{
    net_expect(pipe, "ping");
    return NULL;
}

static void *write_pong(void *pipe)
{
    net_say(pipe, "pong");
    return NULL;
}

TEST_OF_KIND(with_duplex_a_reader_and_a_writer_wait_for_the_peer_at_once)
{
    struct async_place place;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_DUPLEX;
    async_begin(&place, kind);
    for (int i = 0; i < 10; i++) {
        pthread_t reader, writer;
        pipc_t *pipe = async_open_at(&place, -1, &options), *peer = NULL;
        assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
        if (i % 2 != 0)
            assert_true(pipc_fd(pipe) > 2);
        assert_int_equal(pthread_create(&reader, NULL, read_ping, pipe), 0);
        assert_int_equal(pthread_create(&writer, NULL, write_pong, pipe), 0);
        while ((peer = async_answer(&place, NULL)) == NULL)
            async_await(&place, NULL, NULL);
        assert_int_equal(pipc_set_timeout(peer, -1, -1), 0);
        net_expect(peer, "pong");
        net_say(peer, "ping");
        assert_int_equal(pthread_join(reader, NULL), 0);
        assert_int_equal(pthread_join(writer, NULL), 0);
        pipc_close(pipe);
        pipc_close(peer);
        pipc_server_close(place.server);
        place.server = NULL;
    }
    async_end(&place);
}

/* ---- cancellation ---- */

static void disarm(void *unused)
{
    (void)unused;
    fault_disarm();
}

static void *read_armed(void *pipe)
{
    char byte;
    int unused;
    pthread_cleanup_push(disarm, NULL);
    fault_arm();
    pipc_read(pipe, &byte, 1);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    pthread_cleanup_pop(1);
    return NULL;
}

TEST_OF_KIND(a_thread_that_is_cancelled_in_a_wait_leaves_the_handle_usable)
{
    struct async_place place;
    int ended = 0;
    harness_skip_if_cancelling_confuses();
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    assert_true(pipc_fd(pipe) > 2); /* async_meet goes on by it */
    assert_int_equal(pipc_set_timeout(pipe, 200, 0), 0);
    for (unsigned long nth = 1; nth == 1 || (fault_cancelled() && nth < 40); nth++) {
        pthread_t thread;
        void *result;
        fault_reset();
        fault_virtual_time();
        fault_cancel_at(nth, false);
        assert_int_equal(pthread_create(&thread, NULL, read_armed, pipe), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        ended += result == PTHREAD_CANCELED;
    }
    assert_true(ended > 2);
    fault_reset();
    pipc_t *peer = async_meet(&place, pipe, NULL);
    net_expect_talk(pipe, peer);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

/* ---- signals ---- */

static void note_signal(int number)
{
    (void)number;
}

TEST_OF_KIND(a_signal_ends_a_wait_when_interruptible_and_not_the_rendezvous)
{
    struct async_place place;
    char byte;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct sigaction action = {.sa_handler = note_signal};
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    async_begin(&place, kind);
    options.flags = PIPC_INTERRUPTIBLE;
    pipc_t *pipe = async_open_at(&place, -1, &options);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
    assert_errno(pipc_read(pipe, &byte, 1), EINTR);
    assert_errno(pipc_flush(pipe), EINTR);
    setitimer(ITIMER_REAL, &never, NULL);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    pipc_t *peer = async_meet(&place, pipe, NULL);
    net_say(pipe, "ping");
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

/* ---- detaching ---- */

TEST_OF_KIND(once_open_it_can_be_detached_and_its_descriptors_wait)
{
    struct async_place place;
    async_begin(&place, kind);
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        int fds[2];
        pipc_t *pipe = async_open_at(&place, -1, NULL);
        if (with_fd)
            assert_true(pipc_fd(pipe) > 2);
        pipc_t *peer = async_meet(&place, pipe, NULL);
        net_say(peer, "ping");
        assert_int_equal(pipc_detach(pipe, fds), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(fcntl(fds[i], F_GETFL) & O_NONBLOCK, 0);
        pipe = harness_adopt(fds[0], fds[1], NULL);
        net_expect(pipe, "ping");
        pipc_close(pipe);
        pipc_close(peer);
        pipc_server_close(place.server);
        place.server = NULL;
    }
    async_end(&place);
}

/* ---- gathering ---- */

TEST_OF_KIND(what_is_gathered_before_the_peer_has_come_is_sent_afterwards)
{
    struct async_place place;
    pipc_stats_t stats = PIPC_STATS_INIT;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, &options);
    assert_true(pipc_fd(pipe) > 2);
    net_say(pipe, "ping");
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    assert_int_equal(stats.bytes_held, 8);
    assert_errno(pipc_flush(pipe), EAGAIN);
    pipc_t *peer = async_meet(&place, pipe, NULL);
    assert_int_equal(pipc_set_timeout(peer, -1, -1), 0);
    net_expect(peer, "ping");
    pipc_close(pipe);
    pipc_close(peer);
    pipc_server_close(place.server);
    place.server = NULL;
    pipe = async_open_at(&place, 1, &options);
    net_say(pipe, "ping");
    assert_int_equal(async_outcome(pipe), async_absent_error(&place));
    assert_errno(pipc_write(pipe, "x", 1), async_absent_error(&place));
    pipc_close(pipe);
    async_end(&place);
}

TEST_OF_KIND(what_is_gathered_does_not_hide_why_the_peer_did_not_come)
{
    struct async_place place;
    char byte;
    int fds[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    async_begin(&place, kind);
    for (int i = 0; i < 4; i++) {
        int error = async_absent_error(&place);
        options.flags = PIPC_GATHER | (i & 1 ? PIPC_DUPLEX : 0u);
        pipc_t *pipe = async_open_at(&place, 1, &options);
        net_say(pipe, "ping");
        while (pipc_read(pipe, &byte, 1) == -1 && errno == EAGAIN)
            poll(NULL, 0, 1); /* pipc_fd would send it, and so find out */
        if (i & 2)
            assert_errno(pipc_shutdown(pipe), error);
        assert_errno(pipc_detach(pipe, fds), error);
        assert_errno(pipc_write(pipe, "x", 1), error);
        assert_errno(pipc_flush(pipe), error);
        assert_errno(pipc_detach(pipe, fds), error);
        pipc_close(pipe);
    }
    async_end(&place);
}

/* ---- descriptors ---- */

TEST_OF_KIND(a_lack_of_descriptors_for_pipc_fd_passes)
{
    struct async_place place;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    int spare = dup(0);
    close(spare);
    for (rlim_t more = 0; more < 2; more++) {
        rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)spare + more);
        int fd = pipc_fd(pipe), error = errno;
        harness_limit(RLIMIT_NOFILE, before);
        assert_int_equal(fd, -1);
        assert_int_equal(error, EMFILE);
    }
    pipc_t *peer = async_meet(&place, pipe, NULL);
    net_say(pipe, "ping");
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

/* What section 4 names: the socket and the set; of FIFOs the doorbell too, which may be a pipe. */
TEST_OF_KIND(an_open_handle_costs_as_many_descriptors_as_one_that_waited)
{
    struct async_place place;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    int fd = pipc_fd(pipe);
    pipc_t *peer = async_meet(&place, pipe, NULL);
    assert_int_equal(pipc_fd(pipe), fd);
    net_say(pipe, "ping");
    pipc_close(peer);
    pipc_server_close(place.server);
    place.server = NULL;
    int before = harness_open_descriptors();
    pipc_close(pipe);
    int most = strcmp(kind->name, "FIFOs") == 0 ? 5 : 2;
    if (!platform_has(PLATFORM_SETS))
        most += 2; /* the pipe that it may have to be */
    assert_in_range(before - harness_open_descriptors(), 2, most);
    async_end(&place);
}

/* ---- keys ---- */

struct keyed {
    struct async_place *place;
    const char *key;
};

/* In a child: with a key, a process does not connect to itself. */
static int answer_with_key(void *arg)
{
    struct keyed *keyed = arg;
    pipc_options_t options = net_with_key(keyed->key);
    pipc_t *peer;
    while ((peer = async_answer(keyed->place, &options)) == NULL)
        async_await(keyed->place, NULL, NULL);
    assert_int_equal(pipc_set_timeout(peer, -1, -1), 0);
    net_expect(peer, "ping");
    net_say(peer, "pong");
    pipc_close(peer);
    return 0;
}

static bool has_no_keys(const struct kind *kind)
{
    return strcmp(kind->name, "FIFOs") == 0;
}

TEST_OF_KIND(a_key_is_shown_before_it_is_open)
{
    struct async_place place;
    if (has_no_keys(kind))
        return;
    char key[] = "secret";
    pipc_options_t options = net_with_key(key);
    async_begin(&place, kind);
    struct keyed keyed = {&place, "secret"};
    pid_t child = harness_fork(answer_with_key, &keyed);
    pipc_t *pipe = async_open_at(&place, -1, &options);
    memset(key, 'x', sizeof key); /* it has a copy */
    assert_int_equal(async_outcome(pipe), 0);
    assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
    net_expect_process(pipe, child);
    pipc_close(pipe);
    unlink(place.path);
    async_end(&place);
}

TEST_OF_KIND(a_wrong_key_is_reported_by_every_call)
{
    struct async_place place;
    char byte;
    if (has_no_keys(kind))
        return;
    pipc_options_t options = net_with_key("Secret");
    async_begin(&place, kind);
    struct keyed keyed = {&place, "secret"};
    pid_t child = harness_fork(answer_with_key, &keyed);
    if (!async_is_client(&place))
        net_await_listener(place.port.number); /* who waits turns strangers away, and waits on */
    pipc_t *pipe = async_try(&place, -1, &options);
    if (pipe != NULL) { /* else its first step was enough */
        assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
        assert_int_equal(async_outcome(pipe), EACCES);
        assert_errno(pipc_read(pipe, &byte, 1), EACCES);
        assert_errno(pipc_write(pipe, "x", 1), EACCES);
        pipc_close(pipe);
    }
    kill(child, SIGKILL);
    harness_wait(child);
    if (place.path[0] != '\0')
        unlink(place.path);
    async_end(&place);
}

HARNESS_MAIN("async, life",
             OVER_CASES(with_duplex_a_reader_and_a_writer_wait_for_the_peer_at_once, async_ways),
             OVER_CASES(a_thread_that_is_cancelled_in_a_wait_leaves_the_handle_usable, async_ways),
             OVER_CASES(a_signal_ends_a_wait_when_interruptible_and_not_the_rendezvous, async_ways),
             OVER_CASES(once_open_it_can_be_detached_and_its_descriptors_wait, async_ways),
             OVER_CASES(what_is_gathered_before_the_peer_has_come_is_sent_afterwards, async_ways),
             OVER_CASES(what_is_gathered_does_not_hide_why_the_peer_did_not_come, async_ways),
             OVER_CASES(a_lack_of_descriptors_for_pipc_fd_passes, async_ways),
             OVER_CASES(an_open_handle_costs_as_many_descriptors_as_one_that_waited, async_ways),
             OVER_CASES(a_key_is_shown_before_it_is_open, async_ways),
             OVER_CASES(a_wrong_key_is_reported_by_every_call, async_ways))
