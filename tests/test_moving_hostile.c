/* SPDX-License-Identifier: MIT */
/*
 * Hostile peers of the move into shared memory: what they write into the memory at any moment, and
 * what they never do. No call crashes, hangs or spins; messages that an honest part
 * of the stream has brought arrive.
 */
#include "moving.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "fds.h"
#include "net.h"
#include "paths.h"

static void set_timeout(pipc_t *pipe, int ms)
{
    assert_int_equal(pipc_set_timeout(pipe, ms, ms), 0);
}

/* --- A peer that has the memory --------------------------------------------------------------- */

TEST(a_mark_before_what_was_read_is_EPROTO)
{
    struct moving_attack a;
    char byte;
    moving_attack_server(&a);
    moving_say_raw(a.raw, "one");
    net_expect(a.pipe, "one");
    moving_set_mark(&a, 1 + MOVING_HEADER);
    moving_say_raw(a.raw, "two");
    assert_errno(pipc_read(a.pipe, &byte, 1), EPROTO);
    assert_errno(pipc_write(a.pipe, "", 0), EPROTO);
    moving_end_attack(&a);
}

/* What comes by the socket is read, up to the mark; and the ring only then. */
TEST(a_mark_that_lies_ahead_keeps_the_socket_until_then)
{
    struct moving_attack a;
    unsigned char frame[64], byte;
    for (int who = 0; who < 2; who++) {
        who == 0 ? moving_attack_server(&a) : moving_attack_client(&a);
        uint64_t sent = who == 0 ? 0 : MOVING_HEADER + 5;
        moving_set_mark(&a, 1 + sent + 3 * (MOVING_HEADER + 3));
        moving_write_ring(&a, frame, moving_frame(frame, "ring"));
        set_timeout(a.pipe, 0);
        moving_say_raw(a.raw, "one");
        moving_say_raw(a.raw, "two");
        net_expect(a.pipe, "one");
        net_expect(a.pipe, "two");
        assert_errno(pipc_read(a.pipe, &byte, 1), EAGAIN);
        moving_say_raw(a.raw, "3rd");
        moving_say_raw(a.raw, "no message, but doorbells");
        net_expect(a.pipe, "3rd");
        net_expect(a.pipe, "ring");
        assert_errno(pipc_read(a.pipe, &byte, 1), EAGAIN);
        assert_int_equal(moving_state(a.pipe), SHARE_MOVED);
        moving_end_attack(&a);
    }
}

/* A message lies before and behind the mark. */
TEST(a_message_across_the_mark_is_put_together)
{
    for (size_t cut = 0; cut <= MOVING_HEADER + 6; cut++)
        for (int who = 0; who < 2; who++) {
            struct moving_attack a;
            unsigned char frame[64];
            size_t size = moving_frame(frame, "whole!");
            who == 0 ? moving_attack_server(&a) : moving_attack_client(&a);
            set_timeout(a.pipe, 0);
            uint64_t sent = who == 0 ? 0 : MOVING_HEADER + 5;
            assert_int_equal(send(a.raw, frame, cut, MSG_NOSIGNAL), cut);
            if (cut % 2 == 0)
                assert_errno(pipc_read(a.pipe, frame, 1), cut < size ? EAGAIN : EMSGSIZE);
            moving_frame(frame, "whole!");
            moving_set_mark(&a, 1 + sent + cut);
            moving_write_ring(&a, frame + cut, size - cut);
            net_expect(a.pipe, "whole!");
            moving_end_attack(&a);
        }
}

/* --- Nothing spins ---------------------------------------------------------------------------- */

static unsigned long calls_of_a_read(pipc_t *pipe)
{
    char byte;
    set_timeout(pipe, 100);
    fault_reset();
    fault_arm();
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    fault_disarm();
    return fault_calls(CALL_ANY);
}

static unsigned long calls_of_a_poll_loop(pipc_t *pipe)
{
    char byte;
    int fd = pipc_fd(pipe);
    set_timeout(pipe, 0);
    fault_reset();
    fault_arm();
    for (int64_t end = harness_now_ms() + 100; harness_now_ms() < end;)
        if (harness_readable(fd, 20))
            assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    fault_disarm();
    return fault_calls(CALL_ANY);
}

/* Unless the victim has withdrawn its offer, and closed the other end. */
static void ring_by_pipe(const struct moving_attack *a)
{
    struct pollfd entry = {.fd = a->doorbell.peers, .events = POLLOUT};
    if (a->doorbell.peers < 0 || poll(&entry, 1, 0) < 0 || (entry.revents & POLLERR) != 0)
        return;
    if (write(a->doorbell.peers, "", 1) < 0)
        assert_true(errno == EAGAIN || errno == EPIPE);
}

/* Each word of the attacker changes once. Then nothing comes, and the victim sleeps. */
static void change_words(struct moving_attack *a, int what)
{
    struct share_page *page = a->shared.page;
    switch (what) {
    case 0:
        atomic_store(&page->end[a->own].version, 78);
        break;
    case 1:
        atomic_store(&page->ring[a->own].head, 5000); /* no mark */
        break;
    case 2:
        atomic_store(&page->end[1 - a->own].interest, 0);
        break;
    case 3:
        moving_set_mark(a, UINT64_MAX);
        atomic_store(&page->ring[a->own].head, 5000);
        break;
    case 4:
        atomic_store(&page->answer, 12345);
        atomic_store(&page->magic, 0);
        break;
    case 5:
        send(a->raw, "", 1, MSG_NOSIGNAL); /* a part of a message, or a doorbell */
        break;
    case 6:
        ring_by_pipe(a);
        break;
    case 7:
        atomic_store(&page->end[a->own].doorbell, 1);
        atomic_store(&page->end[1 - a->own].doorbell, 0);
        break;
    case 8:
        share_doorbell_close(&a->doorbell); /* the socket lives */
        break;
    default:
        fallocate(a->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)1 << 24);
    }
}

TEST(a_word_that_changes_keeps_nobody_busy)
{
    for (int what = 0; what <= 9; what++)
        for (int who = 0; who < 3; who++) {
            struct moving_attack a;
            who == 0 ? moving_attack_server(&a) : moving_attack_client(&a);
            if (who == 2)
                moving_set_mark(&a, 1 + MOVING_HEADER + 5); /* it has moved */
            change_words(&a, what);
            if (who == 2 && (what == 1 || what == 3)) {
                moving_end_attack(&a); /* a head that makes sense, with bytes that make none */
                continue;
            }
            assert_in_range(calls_of_a_read(a.pipe), 1, 40);
            assert_in_range(calls_of_a_poll_loop(a.pipe), 1, 80);
            moving_end_attack(&a);
        }
    fault_reset();
}

/* --- Anything, at any moment ------------------------------------------------------------------ */

static uint64_t odd_number(void)
{
    static const uint64_t known[] = {0,
                                     1,
                                     2,
                                     3,
                                     RING_SIZE,
                                     RING_GROWN,
                                     RING_SIZE + 1,
                                     1u << 31,
                                     1ull << 63,
                                     UINT64_MAX,
                                     UINT64_MAX - 1,
                                     RING_GROWN + 1,
                                     9,
                                     4096};
    size_t choice = harness_random_below(20);
    return choice < 14 ? known[choice] : harness_random() >> harness_random_below(64);
}

static void scribble(struct moving_attack *a)
{
    struct share_page *page = a->shared.page;
    unsigned end = (unsigned)harness_random_below(2);
    switch (harness_random_below(15)) {
    case 0:
        atomic_store(&page->end[end].version, odd_number());
        break;
    case 1:
        atomic_store(&page->end[end].mark, odd_number());
        break;
    case 2:
        atomic_store(&page->end[end].interest, (unsigned)odd_number());
        break;
    case 3:
        atomic_store(&page->ring[end].head, odd_number());
        break;
    case 4:
        atomic_store(&page->ring[end].tail, odd_number());
        break;
    case 5:
        atomic_store(&page->ring[end].grown, odd_number());
        break;
    case 6:
        atomic_store(&page->ring[end].steps, odd_number());
        break;
    case 7:
        atomic_store(&page->answer, (unsigned)odd_number());
        break;
    case 8:
        fallocate(a->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)(harness_random_below(600) * 4096), 4096);
        break;
    case 9: { /* some steps forward, with lengths that may make sense */
        unsigned char bytes[64] = {0};
        bytes[harness_random_below(8)] = (unsigned char)harness_random_below(60);
        uint64_t head = atomic_load(&page->ring[a->own].head) & (RING_SIZE / 2 - 1);
        memcpy(a->shared.data[a->own] + head, bytes, sizeof bytes);
        atomic_fetch_add(&page->ring[a->own].head, harness_random_below(64));
        break;
    }
    case 10:
        send(a->raw, "\0\0\0\1x", harness_random_below(6), MSG_NOSIGNAL | MSG_DONTWAIT);
        break;
    case 11:
        atomic_store(&page->end[end].doorbell, (unsigned)odd_number());
        break;
    case 12:
        ring_by_pipe(a);
        break;
    case 13:
        if (a->doorbell.own >= 0) {
            char drop[64];
            read(a->doorbell.own, drop, sizeof drop) < 0 ? assert_int_equal(errno, EAGAIN)
                                                         : (void)0;
        }
        break;
    default: {
        char drop[64];
        recv(a->raw, drop, sizeof drop, MSG_DONTWAIT);
    }
    }
}

static bool is_documented(int error)
{
    return error == EAGAIN || error == ETIMEDOUT || error == EPIPE || error == EPROTO ||
           error == ECONNRESET || error == EMSGSIZE || error == ESHUTDOWN;
}

static void use_somehow(pipc_t *pipe)
{
    static unsigned char data[300000];
    pipc_msg_t messages[4];
    ssize_t result;
    switch (harness_random_below(9)) {
    case 0:
        result = pipc_read(pipe, data, sizeof data);
        break;
    case 1:
        result = pipc_write(pipe, data, harness_random_below(100));
        break;
    case 2:
        result = pipc_write(pipe, data, harness_random_below(sizeof data));
        break;
    case 3:
        result = pipc_flush(pipe);
        break;
    case 4:
        result = pipc_pending(pipe);
        break;
    case 5:
        result = pipc_read_pending(pipe, messages, 4);
        for (ssize_t i = 0; i < result; i++)
            pipc_msg_free(&messages[i]);
        break;
    case 6:
        result = pipc_fd(pipe);
        harness_readable((int)result, 0);
        break;
    case 7:
        result = pipc_want(pipe, (unsigned)harness_random_below(4));
        break;
    default:
        result = pipc_peek(pipe, messages);
    }
    if (result < 0 && !is_documented(errno))
        fail_msg("%s", strerror(errno));
}

TEST(whatever_is_written_into_the_memory_each_call_ends_with_a_documented_result)
{
    int rounds = harness_setting("PIPC_TEST_ATTACKS", 600) / harness_scale() + 3;
    for (int round = 0; round < rounds; round++) {
        struct moving_attack a;
        share_large_max = harness_random_below(2) == 0 ? 0 : (size_t)1 << 30;
        round % 2 == 0 ? moving_attack_server(&a) : moving_attack_client(&a);
        set_timeout(a.pipe, (int)harness_random_below(2));
        if (round % 3 == 0)
            moving_set_mark(&a, round % 2 == 0 ? 1 : 1 + MOVING_HEADER + 5);
        for (int step = 0; step < 60; step++) {
            if (harness_random_below(3) == 0)
                scribble(&a);
            use_somehow(a.pipe);
        }
        moving_end_attack(&a);
    }
}

struct beside {
    struct moving_attack *a;
    atomic_bool stop;
};

static void *scribble_beside(void *arg)
{
    struct beside *b = arg;
    sigset_t own; /* of a pipe that the victim closes meanwhile */
    sigemptyset(&own);
    sigaddset(&own, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &own, NULL);
    while (!atomic_load(&b->stop))
        scribble(b->a);
    return NULL;
}

TEST(whatever_is_written_during_a_call_it_ends_with_a_documented_result)
{
    for (int round = 0; round < 60 / harness_scale() + 2; round++) {
        struct moving_attack a;
        pthread_t thread;
        share_large_max = harness_random_below(2) == 0 ? 0 : (size_t)1 << 30;
        round % 2 == 0 ? moving_attack_server(&a) : moving_attack_client(&a);
        set_timeout(a.pipe, (int)harness_random_below(2));
        struct beside b = {.a = &a};
        assert_int_equal(pthread_create(&thread, NULL, scribble_beside, &b), 0);
        for (int step = 0; step < 300; step++)
            use_somehow(a.pipe);
        atomic_store(&b.stop, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        moving_end_attack(&a);
    }
}

/* --- A peer that only sends ------------------------------------------------------------------- */

/* It has accepted, and goes on by the socket for ever, while the victim waits for room alone. */
TEST(a_peer_that_never_leaves_the_socket_fills_no_memory_without_end)
{
    struct moving_attack a;
    static unsigned char junk[65536];
    moving_attack_client(&a);
    set_timeout(a.pipe, 0);
    while (pipc_write(a.pipe, junk, 1000) >= 0)
        continue;
    assert_int_equal(pipc_want(a.pipe, PIPC_WANT_WRITE), 0);
    assert_true(pipc_fd(a.pipe) >= 0);
    harness_heap_peak_reset();
    size_t before = harness_heap_bytes();
    for (int i = 0; i < 2000; i++) {
        send(a.raw, junk, sizeof junk, MSG_NOSIGNAL | MSG_DONTWAIT);
        pipc_want(a.pipe, PIPC_WANT_WRITE);
    }
    assert_true(harness_heap_peak() - before < (size_t)2 << 20);
    moving_end_attack(&a);
}

HARNESS_MAIN("moving into shared memory, hostile peers", IT(a_mark_before_what_was_read_is_EPROTO),
             IT(a_mark_that_lies_ahead_keeps_the_socket_until_then),
             IT(a_message_across_the_mark_is_put_together),
             IT(a_word_that_changes_keeps_nobody_busy),
             IT_WITHIN(whatever_is_written_into_the_memory_each_call_ends_with_a_documented_result,
                       2 * HARNESS_TIMEOUT_MS),
             IT_WITHIN(whatever_is_written_during_a_call_it_ends_with_a_documented_result,
                       2 * HARNESS_TIMEOUT_MS),
             IT(a_peer_that_never_leaves_the_socket_fills_no_memory_without_end))
