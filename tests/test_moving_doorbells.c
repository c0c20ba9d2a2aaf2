/* SPDX-License-Identifier: MIT */
/*
 * Pipes as doorbells between two sides that share memory, one of them hostile: no call waits for
 * such a pipe, whatever it is.
 */
#include "moving.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fault.h"
#include "net.h"
#include "sys/linux/sys_linux.h"

static void set_moved(struct moving_attack *a)
{
    moving_set_mark(a, 1 + MOVING_HEADER + 5);
    assert_int_equal(pipc_set_timeout(a->pipe, 0, 0), 0);
    char byte;
    assert_errno(pipc_read(a->pipe, &byte, 1), EAGAIN);
    assert_int_equal(moving_state(a->pipe), SHARE_MOVED);
}

/* The client's end to write is one open file with the attacker's. */
TEST(a_pipe_that_is_full_and_blocks_or_that_nobody_reads_keeps_no_call)
{
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        struct moving_attack a;
        static char junk[65536];
        if (!moving_has_doorbells())
            harness_skip("no pipes as doorbells here");
        moving_attack_client(&a);
        set_moved(&a);
        int ring = moving_transport(a.pipe)->share->doorbell.peers;
        while (write(ring, junk, sizeof junk) > 0)
            continue;
        assert_int_equal(fcntl(ring, F_SETFL, 0), 0);
        if (is_closed)
            share_doorbell_close(&a.doorbell);
        for (int i = 0; i < 100; i++) {
            atomic_store(&a.shared.page->end[a.own].doorbell, 1);
            atomic_store(&a.shared.page->end[a.own].interest, RING_INTERESTS);
            net_say(a.pipe, "ring");
            assert_int_equal(atomic_load(&a.shared.page->end[a.own].interest), 0);
        }
        moving_end_attack(&a);
    }
}

/* Opened anew by its name: it is the same pipe, and another open file. */
static void reopen(int *fd, int flags)
{
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", *fd);
    int again = open(name, flags | O_CLOEXEC);
    assert_true(again >= 0);
    close(*fd);
    *fd = again;
}

static bool takes_nowait(int fd, bool writes)
{
    char byte = 0;
    struct iovec part = {&byte, 1};
    ssize_t moved =
        writes ? pwritev2(fd, &part, 1, -1, RWF_NOWAIT) : preadv2(fd, &part, 1, -1, RWF_NOWAIT);
    return moved >= 0 || errno == EAGAIN;
}

/* A client with timeout 0 would have to poll and then to wait, where the attacker is faster. */
TEST(a_client_that_is_offered_pipes_which_can_make_it_wait_keeps_the_socket)
{
    harness_skip_without_proc();
    if (!moving_has_doorbells())
        harness_skip("no pipes as doorbells here");
    for (int which = 0; which < 3; which++) {
        struct moving_attack a = {.own = 0, .doorbell = SHARE_NO_DOORBELL};
        int fds[SHARE_OFFER_MAX];
        a.pipe = moving_raw_client(&a.raw);
        a.memory = fds[0] = share_memory_make(&a.shared, SHARE_LIMITED);
        assert_true(share_doorbell_make(&a.doorbell, fds + 1));
        if (which > 0)
            reopen(&fds[which], which == 1 ? O_WRONLY : O_RDONLY);
        bool is_good = which == 0 || takes_nowait(fds[which], which == 1);
        moving_say_with(a.raw, "offer", fds, SHARE_OFFER_MAX);
        close(fds[1]);
        close(fds[2]);
        net_expect(a.pipe, "offer");
        net_say(a.pipe, "answer");
        assert_int_equal(moving_state(a.pipe), is_good ? SHARE_LEAVING : SHARE_NEVER);
        if (!is_good)
            moving_expect_raw(a.raw, "answer");
        moving_end_attack(&a);
    }
}

/* A filter that is set up later refuses the flag, and the attacker has cleared O_NONBLOCK. */
TEST(a_doorbell_that_could_wait_is_not_rung)
{
    struct moving_attack a;
    if (!moving_has_doorbells())
        harness_skip("no pipes as doorbells here");
    moving_attack_client(&a);
    set_moved(&a);
    int ring = moving_transport(a.pipe)->share->doorbell.peers;
    atomic_store(&a.shared.page->end[a.own].doorbell, 1);
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        assert_int_equal(fcntl(ring, F_SETFL, flags), 0);
        atomic_store(&a.shared.page->end[a.own].interest, RING_INTERESTS);
        fault_reset();
        fault_fail(CALL_pwritev2, 1, FAULT_FOREVER, EPERM);
        fault_arm();
        net_say(a.pipe, "ring");
        fault_disarm();
        assert_int_equal(fault_calls(CALL_writev), flags == 0 ? 0 : 1);
    }
    moving_end_attack(&a);
}

HARNESS_MAIN("moving into shared memory, hostile doorbells",
             IT(a_pipe_that_is_full_and_blocks_or_that_nobody_reads_keeps_no_call),
             IT(a_client_that_is_offered_pipes_which_can_make_it_wait_keeps_the_socket),
             IT(a_doorbell_that_could_wait_is_not_rung))
