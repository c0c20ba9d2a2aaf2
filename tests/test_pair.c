/* SPDX-License-Identifier: MIT */
/*
 * pipc_open_pair: sockets that move into shared memory, whichever end writes, and what else its
 * ends are with other flags.
 */
#include "moving.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "fds.h"
#include "net.h"
#include "paths.h"

enum { LONG_MS = 10000, LARGE = MOVING_LARGE, FIRST = 4096 };

static void open_with(pipc_t *end[2], unsigned flags)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = flags;
    assert_int_equal(pipc_open_pair(end, &options), 0);
}

/* --- When --- */

TEST(it_moves_after_4_KiB_whichever_end_writes)
{
    moving_need();
    for (int who = 0; who < 2; who++) {
        pipc_t *end[2];
        int before = harness_open_descriptors();
        open_with(end, 0);
        for (unsigned i = 0; i < FIRST / 16; i++) {
            moving_expect(end, SHARE_AWAIT, SHARE_AWAIT);
            moving_send(end[who], 12, i);
            moving_receive(end[1 - who], 12, i);
        }
        for (unsigned i = 0; i < 3; i++) {
            moving_send(end[who], 12, i);
            moving_receive(end[1 - who], 12, i);
        }
        moving_expect(end, SHARE_MOVED, SHARE_MOVED);
        assert_int_equal(harness_open_descriptors(), before + (moving_has_doorbells() ? 8 : 2));
        moving_close(end);
        assert_int_equal(harness_open_descriptors(), before);
    }
}

static const struct kind flags_cases[] = {
    {.name = "PIPC_NO_SHARED_MEMORY", .descriptors = PIPC_NO_SHARED_MEMORY},
    {.name = "PIPC_DUPLEX", .descriptors = PIPC_DUPLEX},
    {.name = "PIPC_GATHER", .descriptors = PIPC_GATHER},
    {.name = "PIPC_ACCEPT_FDS", .descriptors = PIPC_ACCEPT_FDS},
    {.name = "PIPC_ACCEPT_FDS and PIPC_DUPLEX", .descriptors = PIPC_ACCEPT_FDS | PIPC_DUPLEX},
    {.name = NULL}};

TEST_OF_KIND(with_other_flags_it_does_not_move)
{
    pipc_t *end[2];
    unsigned flags = (unsigned)kind->descriptors;
    int before = harness_open_descriptors();
    open_with(end, flags);
    int each = (flags & PIPC_ACCEPT_FDS) != 0 ? 1 : 2;
    assert_int_equal(harness_open_descriptors(), before + 2 * each);
    for (unsigned i = 0; i < 100; i++) {
        moving_send(end[i % 2], 1000, i);
        assert_true(pipc_flush(end[i % 2]) >= 0);
        moving_receive(end[1 - i % 2], 1000, i);
    }
    moving_expect(end, SHARE_NEVER, SHARE_NEVER);
    assert_int_equal(harness_open_descriptors(), before + 2 * each);
    moving_close(end);
}

/* What one process may share with others leaves room for no more than a hundred. */
TEST(any_number_of_pairs_moves)
{
    enum { PAIRS = 150 };
    pipc_t *end[PAIRS][2];
    moving_need();
    share_pair_after = 0;
    for (int i = 0; i < PAIRS; i++) {
        open_with(end[i], 0);
        moving_move(end[i]);
        moving_expect(end[i], SHARE_MOVED, SHARE_MOVED);
    }
    for (int i = 0; i < PAIRS; i++)
        moving_close(end[i]);
}

TEST(without_memory_it_stays_a_socket)
{
    pipc_t *end[2];
    int before = harness_open_descriptors();
    moving_open_pair(end, 0);
    fault_reset();
    fault_fail(CALL_memfd_create, 1, FAULT_FOREVER, ENOSYS);
    fault_arm();
    for (unsigned i = 0; i < 40; i++)
        for (int who = 0; who < 2; who++) {
            moving_send(end[who], LARGE / 2, i);
            moving_receive(end[1 - who], LARGE / 2, i);
        }
    fault_disarm();
    moving_expect(end, SHARE_NEVER, SHARE_NEVER);
    assert_int_equal(harness_open_descriptors(), before + 2);
    moving_close(end);
}

/* --- Both ends offer --- */

TEST(when_both_ends_offer_at_once_the_memory_of_the_first_is_used)
{
    pipc_t *end[2];
    int before = harness_open_descriptors();
    moving_open_pair(end, 0);
    net_say(end[0], "first");
    net_say(end[1], "second");
    moving_expect(end, SHARE_OFFERED, SHARE_OFFERED);
    struct share_page *page = moving_transport(end[0])->share->memory.page;
    size_t mapped = harness_mapped_bytes();
    net_expect(end[0], "second");
    moving_expect(end, SHARE_OFFERED, SHARE_OFFERED);
    net_expect(end[1], "first");
    net_expect_talk(end[1], end[0]);
    net_expect_talk(end[0], end[1]);
    net_expect_talk(end[1], end[0]);
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    assert_ptr_equal(moving_transport(end[0])->share->memory.page, page);
    assert_in_range(harness_mapped_bytes(), 1, mapped);
    assert_int_equal(harness_open_descriptors(), before + (moving_has_doorbells() ? 8 : 2));
    moving_close(end);
}

/* Whatever the ends do first. Steps: who writes or reads next; a read of what was not sent is left
 * out. */
TEST(all_orders_of_the_first_steps_of_both_ends_move_it_and_change_no_message)
{
    enum { STEPS = 7 };
    moving_need();
    share_pair_after = 0;
    for (unsigned order = 0; order < 1u << (2 * STEPS); order++) {
        pipc_t *end[2];
        unsigned sent[2] = {0, 0}, got[2] = {0, 0};
        open_with(end, 0);
        for (int i = 0; i < STEPS; i++) {
            unsigned step = order >> (2 * i) & 3, who = step & 1;
            if (step < 2)
                moving_send(end[who], sent[who] % 5, sent[who] + who * 100), sent[who]++;
            else if (got[who] < sent[1 - who])
                moving_receive(end[who], got[who] % 5, got[who] + (1 - who) * 100), got[who]++;
        }
        for (unsigned who = 0; who < 2; who++)
            for (; got[who] < sent[1 - who]; got[who]++)
                moving_receive(end[who], got[who] % 5, got[who] + (1 - who) * 100);
        for (int i = 0; i < 5; i++)
            net_expect_talk(end[i % 2], end[1 - i % 2]);
        moving_expect(end, SHARE_MOVED, SHARE_MOVED);
        assert_int_equal(pipc_disconnect(end[order % 2], "done"), 0);
        unsigned char byte;
        assert_errno(pipc_read(end[1 - order % 2], &byte, 1), ESHUTDOWN);
        moving_close(end);
    }
}

/* --- Where in the stream --- */

static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 40, 300, 20000, LARGE, 0, 7};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void talk_crosswise(pipc_t *end[2])
{
    for (unsigned i = 0; i < SIZES; i++) {
        moving_send(end[0], sizes[i], i);
        moving_send(end[1], sizes[i], i + 100);
        if (i % 3 != 2)
            continue;
        for (unsigned k = i - 2; k <= i; k++) {
            moving_receive(end[1], sizes[k], k);
            moving_receive(end[0], sizes[k], k + 100);
        }
    }
}

TEST(no_message_changes_wherever_it_moves_while_both_send)
{
    for (uint64_t after = 0; after < 100000; after += after < 160 ? 1 : 7919) {
        pipc_t *end[2];
        moving_open_pair(end, after);
        talk_crosswise(end);
        for (int i = 0; i < 4; i++)
            net_expect_talk(end[i % 2], end[1 - i % 2]);
        moving_expect(end, SHARE_MOVED, SHARE_MOVED);
        moving_close(end);
    }
}

struct talk {
    pipc_t *pipe;
    unsigned tag;
};

/* Both threads write and read as fast as they can. */
static void *talk(void *arg)
{
    struct talk *t = arg;
    for (unsigned i = 0; i < 200; i++) {
        moving_send(t->pipe, i % 50, i + t->tag);
        moving_receive(t->pipe, i % 50, i + 1000 - t->tag);
    }
    return NULL;
}

TEST(it_moves_while_two_threads_talk)
{
    for (int i = 0; i < 100; i++) {
        pipc_t *end[2];
        pthread_t thread;
        moving_open_pair(end, (uint64_t)i);
        struct talk here = {end[0], 0}, there = {end[1], 1000};
        assert_int_equal(pthread_create(&thread, NULL, talk, &there), 0);
        talk(&here);
        assert_int_equal(pthread_join(thread, NULL), 0);
        moving_expect(end, SHARE_MOVED, SHARE_MOVED);
        moving_close(end);
    }
}

/* --- Processes --- */

static int echo_in_child(void *arg)
{
    pipc_t **end = arg;
    pipc_close(end[0]);
    for (unsigned i = 0; i < 30; i++) {
        moving_receive(end[1], 5000, i);
        moving_send(end[1], 5000, i + 100);
    }
    pipc_close(end[1]);
    return 0;
}

/* In each step of the move, of which either end makes the first. */
TEST(a_child_takes_over_an_end_wherever_the_move_is)
{
    for (int step = 0; step < 8; step++)
        for (int who = 0; who < 2; who++) {
            pipc_t *end[2];
            char byte;
            moving_open_pair(end, 0);
            for (int i = 0; i < step; i++)
                if (i % 2 == 0)
                    net_say(end[who], "step");
                else
                    net_expect(end[1 - who], "step");
            if (step % 2 == 1)
                net_expect(end[1 - who], "step");
            pid_t pid = harness_fork(echo_in_child, end);
            pipc_close(end[1]);
            for (unsigned i = 0; i < 30; i++) {
                moving_send(end[0], 5000, i);
                moving_receive(end[0], 5000, i + 100);
            }
            assert_int_equal(moving_state(end[0]), SHARE_MOVED);
            assert_errno(pipc_read(end[0], &byte, 1), EPIPE);
            assert_int_equal(harness_wait(pid), 0);
            pipc_close(end[0]);
        }
}

/* --- Descriptors --- */

TEST(descriptors_travel_only_with_PIPC_ACCEPT_FDS)
{
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    moving_open_pair(end, 0);
    for (int i = 0; i < 6; i++) {
        assert_errno(pipc_write_fds(end[i % 2], "no", 2, fds.fd, 1), EOPNOTSUPP);
        net_expect_talk(end[i % 2], end[1 - i % 2]);
    }
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    moving_close(end);
    open_with(end, PIPC_NO_SHARED_MEMORY);
    assert_errno(pipc_write_fds(end[0], "no", 2, fds.fd, 1), EOPNOTSUPP);
    moving_close(end);
    open_with(end, PIPC_ACCEPT_FDS | PIPC_NO_SHARED_MEMORY);
    fds_say(end[0], "yes", &fds, 3);
    fds_expect(end[1], "yes");
    fds_expect_taken(end[1], &fds, 3);
    moving_close(end);
    fds_end(&fds);
}

TEST(an_end_is_one_socket_that_can_be_detached_until_it_has_moved)
{
    pipc_t *end[2];
    int fds[2];
    moving_open_pair(end, 0);
    assert_int_equal(pipc_detach(end[0], fds), 0);
    assert_int_equal(fds[0], fds[1]);
    close(fds[0]);
    pipc_close(end[1]);
    moving_open_pair(end, 0);
    moving_move(end);
    for (int i = 0; i < 2; i++)
        assert_errno(pipc_detach(end[i], fds), EOPNOTSUPP);
    moving_close(end);
}

/* A recv(2) ends behind the byte that brings descriptors, also if they are dropped. */
static void expect_raw(int raw, const char *text)
{
    unsigned char frame[64], got[64];
    size_t size = moving_frame(frame, text);
    for (size_t at = 0; at < size;) {
        ssize_t more = recv(raw, got + at, size - at, 0);
        assert_true(more > 0);
        at += (size_t)more;
    }
    assert_memory_equal(got, frame, size);
}

/* Who has it may be a program of another make. */
TEST(a_peer_that_was_detached_sees_nothing_of_the_memory)
{
    pipc_t *end[2];
    int fds[2];
    moving_open_pair(end, 0);
    assert_int_equal(pipc_detach(end[1], fds), 0);
    for (int i = 0; i < 3; i++) {
        moving_say_raw(fds[0], "question");
        net_expect(end[0], "question");
        net_say(end[0], "answer");
        expect_raw(fds[0], "answer");
    }
    assert_int_equal(moving_state(end[0]), SHARE_OFFERED);
    close(fds[0]);
    pipc_close(end[0]);
}

TEST(the_ends_name_nobody)
{
    pipc_t *end[2];
    pipc_credentials_t credentials = PIPC_CREDENTIALS_INIT;
    moving_open_pair(end, 0);
    assert_errno(pipc_credentials(end[0], &credentials), EOPNOTSUPP);
    moving_move(end);
    assert_errno(pipc_credentials(end[1], &credentials), EOPNOTSUPP);
    moving_close(end);
}

HARNESS_MAIN("pair", IT(it_moves_after_4_KiB_whichever_end_writes),
             OVER_CASES(with_other_flags_it_does_not_move, flags_cases),
             IT(any_number_of_pairs_moves), IT(without_memory_it_stays_a_socket),
             IT(when_both_ends_offer_at_once_the_memory_of_the_first_is_used),
             IT_WITHIN(all_orders_of_the_first_steps_of_both_ends_move_it_and_change_no_message,
                       3 * HARNESS_TIMEOUT_MS),
             IT(no_message_changes_wherever_it_moves_while_both_send),
             IT(it_moves_while_two_threads_talk),
             IT(a_child_takes_over_an_end_wherever_the_move_is),
             IT(descriptors_travel_only_with_PIPC_ACCEPT_FDS),
             IT(an_end_is_one_socket_that_can_be_detached_until_it_has_moved),
             IT(a_peer_that_was_detached_sees_nothing_of_the_memory), IT(the_ends_name_nobody))
