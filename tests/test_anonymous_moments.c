/* SPDX-License-Identifier: MIT */
/*
 * Moments of an anonymous pipe. Its doorbells are pipes, as on a kernel without eventfd, and the
 * kernel has no memory to ring them: a message that has not rung is rung for later. And another
 * process takes an end just now, or has ended.
 */
#include "fault.h"
#include "hostile.h"
#include "platform.h"

#include <signal.h>

static pipc_t *open_with_pipes(void)
{
    fault_reset();
    fault_fail(CALL_eventfd, 1, FAULT_FOREVER, ENOSYS);
    fault_arm();
    pipc_t *pipe = pipc_open(NULL);
    fault_disarm();
    assert_non_null(pipe);
    set_timeouts(pipe, -1, -1);
    return pipe;
}

/* In a process of its own: the calls that fail are those of this one alone. */
struct peer {
    pipc_t *pipe;
    struct harness_gate ready;
    pid_t pid;
};

static int answer_once(void *arg)
{
    struct peer *peer = arg;
    harness_gate_open(&peer->ready);
    hear(peer->pipe, "question");
    say(peer->pipe, "answer");
    pipc_close(peer->pipe);
    return 0;
}

static void start_peer(struct peer *peer, int (*act)(void *))
{
    harness_gate_init(&peer->ready);
    peer->pid = harness_fork(act, peer);
    harness_gate_wait(&peer->ready);
}

/* It sleeps in its read. */
static void start_reader(struct peer *peer)
{
    start_peer(peer, answer_once);
    sleeper_wait((struct sleeper){peer->pid, peer->pid});
}

static void end_peer(struct peer *peer)
{
    assert_int_equal(harness_wait(peer->pid), 0);
    harness_gate_close(&peer->ready);
    pipc_close(peer->pipe);
}

/* So many times. */
static void lack_memory_to_ring(unsigned long times)
{
    fault_reset();
    fault_fail(CALL_pwritev2, 1, times - 1, ENOMEM);
}

TEST(a_wait_rings_until_the_kernel_has_the_memory)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct peer peer = {.pipe = open_with_pipes()};
    start_reader(&peer);
    lack_memory_to_ring(3);
    fault_arm();
    say(peer.pipe, "question");
    hear(peer.pipe, "answer");
    fault_disarm();
    assert_int_equal(fault_failures(CALL_pwritev2), 3);
    end_peer(&peer);
}

TEST(a_descriptor_is_readable_until_the_peer_was_rung)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct peer peer = {.pipe = open_with_pipes()};
    start_reader(&peer);
    int fd = pipc_fd(peer.pipe);
    assert_true(fd >= 0);
    hear_nothing(peer.pipe);
    assert_false(harness_readable(fd, 0));
    lack_memory_to_ring(2);
    fault_arm();
    say(peer.pipe, "question");
    fault_disarm();
    assert_true(harness_readable(fd, 0));
    hear(peer.pipe, "answer");
    end_peer(&peer);
}

static int say_two(void *arg)
{
    struct peer *peer = arg;
    say(peer->pipe, "one");
    say(peer->pipe, "two");
    harness_gate_open(&peer->ready);
    pipc_close(peer->pipe);
    return 0;
}

TEST(a_descriptor_that_could_not_be_made_readable_is_so_after_the_next_call)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct peer peer = {.pipe = open_with_pipes()};
    int fd = pipc_fd(peer.pipe);
    hear_nothing(peer.pipe);
    assert_false(harness_readable(fd, 0));
    start_peer(&peer, say_two);
    lack_memory_to_ring(1);
    fault_arm();
    hear(peer.pipe, "one");
    fault_disarm();
    assert_int_equal(fault_failures(CALL_pwritev2), 1);
    assert_int_equal(pipc_pending(peer.pipe), 1);
    assert_true(harness_readable(fd, 0));
    hear(peer.pipe, "two");
    end_peer(&peer);
}

static int expect_the_end(void *arg)
{
    struct peer *peer = arg;
    harness_gate_open(&peer->ready);
    hear_the_end(peer->pipe, EPIPE);
    say(peer->pipe, "answer");
    pipc_close(peer->pipe);
    return 0;
}

TEST(a_shutdown_that_could_not_ring_is_rung_for_by_the_next_wait)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct peer peer = {.pipe = open_with_pipes()};
    assert_int_equal(pipc_pending(peer.pipe), 0);
    start_peer(&peer, expect_the_end);
    sleeper_wait((struct sleeper){peer.pid, peer.pid});
    lack_memory_to_ring(1);
    fault_arm();
    assert_int_equal(pipc_shutdown(peer.pipe), 0);
    assert_int_equal(fault_failures(CALL_pwritev2), 1);
    hear(peer.pipe, "answer");
    fault_disarm();
    /* The peer would look at last by itself. More calls show which flags a kernel has not. */
    assert_true(fault_calls(CALL_pwritev2) >= 2);
    end_peer(&peer);
}

/* On a kernel without memfd_create a random name is needed for a moment, in a directory. */
TEST(without_a_name_for_the_memory_opening_returns_the_reason)
{
    static const int none[] = {EACCES, ENOENT, ENOSPC, EROFS};
    platform_needs(PLATFORM_LINUX_CALLS);
    for (size_t i = 0; i < 5; i++) {
        enum fault_call call = i < 4 ? CALL_shm_open : CALL_getrandom;
        int reason = i < 4 ? none[i] : ENOSYS;
        fault_reset();
        fault_fail(CALL_memfd_create, 1, FAULT_FOREVER, ENOSYS);
        fault_fail(call, 1, FAULT_FOREVER, reason);
        fault_arm();
        assert_null_errno(pipc_open(NULL), reason);
        fault_disarm();
        assert_int_equal(fault_failures(call), 1);
    }
}

/* Older kernels give up in the middle. */
TEST(a_signal_while_the_memory_gets_its_pages_changes_nothing)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    fault_reset();
    fault_fail(CALL_memfd_create, 1, FAULT_FOREVER, ENOSYS);
    fault_fail(CALL_posix_fallocate, 1, 2, EINTR);
    fault_arm();
    pipc_t *pipe = pipc_open(NULL);
    fault_disarm();
    assert_non_null(pipe);
    assert_int_equal(fault_failures(CALL_posix_fallocate), 3);
    pipc_close(pipe);
}

/* --- Who takes an end ------------------------------------------------------------------------- */

struct race {
    pipc_t *pipe;
    struct harness_gate go, taken;
};

static int take_at_the_gate(void *arg)
{
    struct race *race = arg;
    harness_gate_wait(&race->go);
    say(race->pipe, "mine");
    harness_gate_open(&race->taken);
    hear(race->pipe, "yours");
    pipc_close(race->pipe);
    return 0;
}

static void let_it_take(void *arg)
{
    struct race *race = arg;
    harness_gate_open(&race->go);
    harness_gate_wait(&race->taken);
}

TEST(a_caller_whose_end_another_process_takes_at_this_moment_gets_the_other_one)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct race race = {.pipe = open_anonymous()};
    harness_gate_init(&race.go);
    harness_gate_init(&race.taken);
    pid_t pid = harness_fork(take_at_the_gate, &race);
    fault_reset();
    fault_before(CALL_openat, 1, let_it_take, &race); /* it makes its token */
    fault_arm();
    say(race.pipe, "yours");
    fault_disarm();
    hear(race.pipe, "mine");
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(race.pipe);
    harness_gate_close(&race.go);
    harness_gate_close(&race.taken);
}

/* --- Who leaves an end that another process takes at this moment --------------------------- */

struct handover {
    pipc_t *pipe;
    struct shared_page *page;
    struct harness_gate peer_ready, go, taken, look, looked, left, end;
    pid_t peer;
};

static void for_each_gate(struct handover *h, void (*act)(struct harness_gate *))
{
    struct harness_gate *gates[] = {&h->peer_ready, &h->go,   &h->taken, &h->look,
                                    &h->looked,     &h->left, &h->end};
    for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++)
        act(gates[i]);
}

static void let_the_successor_take_it(void *arg)
{
    struct handover *h = arg;
    harness_gate_open(&h->go);
    harness_gate_wait(&h->taken);
}

/* The next ring is the one for the goodbye: the peer begins to wait for bytes at this moment. */
static void let_the_peer_wait(void *arg)
{
    struct handover *h = arg;
    atomic_store(&h->page->end[1].interest, RING_BYTES);
    fault_before(CALL_write, 2, let_the_successor_take_it, h);
}

/* The caller has the first end. Its peer takes the second one, and opens `peer_ready`. */
static void begin_handover(struct handover *h, int (*play_peer)(void *))
{
    h->page = hostile_page();
    for_each_gate(h, harness_gate_init);
    h->peer = harness_fork(play_peer, h);
    harness_gate_wait(&h->peer_ready);
}

static void hand_over(struct handover *h, int (*play_successor)(void *))
{
    pid_t successor = harness_fork(play_successor, h);
    fault_reset();
    fault_before(CALL_write, 1, let_the_peer_wait, h);
    fault_arm();
    leave(h->pipe, "mine no more");
    fault_disarm();
    assert_true(fault_calls(CALL_write) >= 2);
    bool has_all_been_read =
        atomic_load(&h->page->ring[1].tail) == atomic_load(&h->page->ring[1].head);
    harness_gate_open(&h->left);
    int result = harness_wait(successor);
    harness_gate_open(&h->end); /* the peer's death would wake it too */
    assert_int_equal(harness_wait(h->peer), 0);
    assert_int_equal(result, 0);
    assert_true(has_all_been_read);
    pipc_close(h->pipe);
    for_each_gate(h, harness_gate_close);
}

static int say_to_the_successor(void *arg)
{
    struct handover *h = arg;
    say(h->pipe, "anybody's");
    harness_gate_open(&h->peer_ready);
    harness_gate_wait(&h->left);
    say(h->pipe, "yours");
    hear_bye(h->pipe, "mine no more");
    harness_gate_wait(&h->end);
    return 0;
}

static int poll_for_the_peer(void *arg)
{
    struct handover *h = arg;
    harness_gate_wait(&h->go);
    int fd = pipc_fd(h->pipe);
    hear(h->pipe, "anybody's");
    hear_nothing(h->pipe);
    assert_false(harness_readable(fd, 0));
    harness_gate_open(&h->taken);
    assert_true(harness_readable(fd, SIDES_LONG_MS));
    hear(h->pipe, "yours");
    return 0;
}

TEST(a_successor_that_polls_is_woken_though_its_predecessor_is_still_leaving)
{
    anonymous_need_eventfd();
    harness_skip_without_proc();
    struct handover h = {.pipe = open_anonymous()};
    set_timeouts(h.pipe, -1, -1);
    begin_handover(&h, say_to_the_successor);
    assert_true(harness_readable(pipc_fd(h.pipe), 0)); /* so nothing rings its own doorbell */
    hand_over(&h, poll_for_the_peer);
}

static int say_two_and_shut(void *arg)
{
    struct handover *h = arg;
    say(h->pipe, "one");
    say(h->pipe, "two");
    assert_int_equal(pipc_shutdown(h->pipe), 0);
    harness_gate_open(&h->peer_ready);
    harness_gate_wait(&h->end);
    return 0;
}

static int hear_two_and_the_end(void *arg)
{
    struct handover *h = arg;
    harness_gate_wait(&h->go);
    hear(h->pipe, "one");
    hear(h->pipe, "two");
    harness_gate_open(&h->taken);
    hear_the_end(h->pipe, EPIPE);
    return 0;
}

TEST(a_message_that_a_successor_reads_is_not_taken_by_its_predecessor_too)
{
    anonymous_need_eventfd();
    harness_skip_without_proc();
    struct handover h = {.pipe = open_anonymous()};
    assert_int_equal(pipc_want(h.pipe, PIPC_WANT_WRITE), 0);
    assert_true(pipc_fd(h.pipe) >= 0);
    begin_handover(&h, say_two_and_shut);
    hand_over(&h, hear_two_and_the_end);
}

/* Holds the second end, beside the thread that leaves the first one. */
static void *poll_beside(void *arg)
{
    struct handover *h = arg;
    int fd = pipc_fd(h->pipe);
    hear_nothing(h->pipe);
    harness_gate_open(&h->peer_ready);
    harness_gate_wait(&h->look);
    hear_bye(h->pipe, "mine no more");
    hear_nothing(h->pipe);
    assert_false(harness_readable(fd, 0));
    harness_gate_open(&h->looked);
    harness_gate_wait(&h->left);
    assert_true(harness_readable(fd, 0)); /* there was more to see */
    hear_nothing(h->pipe);
    assert_false(harness_readable(fd, 0));
    harness_gate_open(&h->end);
    assert_true(harness_readable(fd, SIDES_LONG_MS));
    hear_the_end(h->pipe, EPIPE);
    return NULL;
}

static int take_and_stay(void *arg)
{
    struct handover *h = arg;
    harness_gate_wait(&h->go);
    set_timeouts(h->pipe, -1, -1);
    harness_gate_open(&h->taken);
    for (;;)
        pause();
    return 0;
}

/* The end is free, and its former holder still stands as one of this process. */
static void let_it_take_and_the_peer_look(void *arg)
{
    struct handover *h = arg;
    let_the_successor_take_it(h);
    harness_gate_open(&h->look);
    harness_gate_wait(&h->looked);
}

TEST(poll_detects_the_death_of_a_successor_that_came_while_a_thread_beside_was_leaving)
{
    anonymous_need_eventfd();
    struct handover h = {.pipe = open_anonymous()};
    pthread_t peer;
    set_timeouts(h.pipe, -1, -1);
    for_each_gate(&h, harness_gate_init);
    pid_t successor = harness_fork(take_and_stay, &h);
    assert_int_equal(pthread_create(&peer, NULL, poll_beside, &h), 0);
    harness_gate_wait(&h.peer_ready);
    fault_reset();
    fault_before(CALL_write, 2, let_it_take_and_the_peer_look, &h);
    fault_arm();
    leave(h.pipe, "mine no more");
    fault_disarm();
    assert_int_equal(fault_calls(CALL_write), 3); /* the last one: who has looked looks again */
    harness_gate_open(&h.left);
    harness_gate_wait(&h.end);
    kill(successor, SIGKILL);
    assert_int_equal(harness_wait(successor), -SIGKILL);
    assert_int_equal(pthread_join(peer, NULL), 0);
    pipc_close(h.pipe);
    for_each_gate(&h, harness_gate_close);
}

/* --- Who has left, and ended ------------------------------------------------------------------ */

struct leaver {
    pipc_t *pipe;
    struct harness_gate go;
};

static int say_much_and_leave(void *arg)
{
    struct leaver *leaver = arg;
    say(leaver->pipe, "here");
    harness_gate_wait(&leaver->go);
    for (int i = 0; i < 3; i++)
        say_large(leaver->pipe, 2000, 1);
    leave(leaver->pipe, "that was all");
    return 0;
}

/* Its goodbye stays unread, since no more can be pending. */
TEST(a_wait_for_room_does_not_spin_when_the_peer_has_left_and_ended)
{
    enum { MS = 100, WAITS = 10 };
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pipc_stats_t before = PIPC_STATS_INIT, after = PIPC_STATS_INIT;
    char byte = 0;
    options.max_pending = 1000;
    struct leaver leaver = {.pipe = pipc_open(&options)};
    assert_non_null(leaver.pipe);
    harness_gate_init(&leaver.go);
    pid_t pid = harness_fork(say_much_and_leave, &leaver);
    hear(leaver.pipe, "here");
    set_timeouts(leaver.pipe, 1, 0);
    assert_errno(pipc_read(leaver.pipe, &byte, 1), ETIMEDOUT); /* it watches its peer */
    harness_gate_open(&leaver.go);
    assert_int_equal(harness_wait(pid), 0);
    fill_up(leaver.pipe, 2000);
    fill_up(leaver.pipe, 1);
    set_timeouts(leaver.pipe, -1, MS);
    assert_int_equal(pipc_stats(leaver.pipe, &before), 0);
    fault_reset();
    fault_virtual_time();
    fault_arm();
    assert_errno(pipc_write(leaver.pipe, &byte, 1), ETIMEDOUT);
    fault_disarm();
    fault_reset();
    assert_int_equal(pipc_stats(leaver.pipe, &after), 0);
    assert_in_range(after.waits - before.waits, 1, WAITS);
    for (int i = 0; i < 3; i++)
        hear_large(leaver.pipe, 2000, 1);
    hear_bye(leaver.pipe, "that was all");
    pipc_close(leaver.pipe);
    harness_gate_close(&leaver.go);
}

HARNESS_MAIN("anonymous pipes, moments", IT(a_wait_rings_until_the_kernel_has_the_memory),
             IT(a_descriptor_is_readable_until_the_peer_was_rung),
             IT(a_descriptor_that_could_not_be_made_readable_is_so_after_the_next_call),
             IT(a_shutdown_that_could_not_ring_is_rung_for_by_the_next_wait),
             IT(without_a_name_for_the_memory_opening_returns_the_reason),
             IT(a_signal_while_the_memory_gets_its_pages_changes_nothing),
             IT(a_caller_whose_end_another_process_takes_at_this_moment_gets_the_other_one),
             IT(a_successor_that_polls_is_woken_though_its_predecessor_is_still_leaving),
             IT(a_message_that_a_successor_reads_is_not_taken_by_its_predecessor_too),
             IT(poll_detects_the_death_of_a_successor_that_came_while_a_thread_beside_was_leaving),
             IT(a_wait_for_room_does_not_spin_when_the_peer_has_left_and_ended))
