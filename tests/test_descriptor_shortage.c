/* SPDX-License-Identifier: MIT */
/* What the descriptor of pipc_fd reports while the kernel lacks descriptors or entries of sets. */
#include "platform.h"
#include "polling.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "raw.h"

/* As where another program of the user has all entries: the descriptor is readable for nothing. */
TEST(a_descriptor_is_not_readable_any_more_once_there_is_an_entry_for_it)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct raw raw;
    raw_open(&raw, &raw_pipes, NULL);
    int fd = pipc_fd(raw.pipe);
    assert_int_equal(pipc_want(raw.pipe, PIPC_WANT_WRITE), 0);
    fault_reset();
    fault_fail(CALL_epoll_ctl, 2, 1, ENOSPC); /* the first call removes the entry that it had */
    fault_arm();
    assert_int_equal(pipc_want(raw.pipe, PIPC_WANT_READ | PIPC_WANT_WRITE), 0);
    expect_failure(raw.pipe, EAGAIN);
    fault_disarm();
    assert_int_equal(fault_failures(CALL_epoll_ctl), 2);
    assert_true(harness_readable(fd, 0));
    expect_failure(raw.pipe, EAGAIN);
    assert_false(harness_readable(fd, 0));
    raw_send(&raw, BYTES("\0\0\0\1x"));
    assert_true(harness_readable(fd, 0));
    expect_message(raw.pipe, BYTES("x"));
    raw_close(&raw);
}

TEST(pipc_fd_returns_ENOSPC_without_an_entry_and_works_once_there_is_one)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct raw raw;
    raw_open(&raw, &raw_pipes, NULL);
    fault_reset();
    fault_fail(CALL_epoll_ctl, 1, 0, ENOSPC);
    fault_arm();
    assert_errno(pipc_fd(raw.pipe), ENOSPC);
    int fd = pipc_fd(raw.pipe);
    fault_disarm();
    assert_true(fd >= 0);
    raw_send(&raw, BYTES("\0\0\0\1x"));
    assert_true(harness_readable(fd, 0));
    expect_message(raw.pipe, BYTES("x"));
    raw_close(&raw);
}

/* No change of an entry is possible: it is readable for nothing, rather than silent for ever. */
static void want_write_after_a_refusal(pipc_t *pipe, int fd)
{
    fault_reset();
    fault_refuse_changes(true);
    fault_arm();
    assert_int_equal(pipc_want(pipe, PIPC_WANT_WRITE), 0);
    fault_disarm();
    assert_true(harness_readable(fd, 0));
    assert_int_equal(pipc_want(pipe, PIPC_WANT_WRITE), 0);
}

static void expect_readable_without_changes(const struct raw_kind *kind)
{
    struct raw raw;
    raw_open(&raw, kind, NULL);
    int fd = pipc_fd(raw.pipe);
    expect_failure(raw.pipe, EAGAIN);
    assert_false(harness_readable(fd, 0));
    want_write_after_a_refusal(raw.pipe, fd);
    assert_false(harness_readable(fd, 0));
    assert_int_equal(pipc_want(raw.pipe, PIPC_WANT_READ), 0);
    raw_send(&raw, BYTES("\0\0\0\1x"));
    assert_true(harness_readable(fd, 0));
    expect_message(raw.pipe, BYTES("x"));
    raw_close(&raw);
}

TEST(a_descriptor_whose_entries_cannot_be_changed_is_readable)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    expect_readable_without_changes(&raw_socket);
}

static void refuse_changes(void *unused)
{
    (void)unused;
    fault_refuse_changes(true);
}

/* A message in memory takes two changes to show, with a look at the set between them. */
TEST(a_descriptor_whose_entry_is_changed_in_half_is_readable_until_the_next_change)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    int fd = pipc_fd(raw.pipe);
    expect_failure(raw.pipe, EAGAIN);
    raw_send(&raw, BYTES("\0\0\0\1x\0\0\0\1y"));
    fault_reset();
    fault_before(CALL_epoll_wait, 1, refuse_changes, NULL);
    fault_arm();
    expect_message(raw.pipe, BYTES("x"));
    fault_disarm();
    assert_int_equal(fault_calls(CALL_epoll_ctl), 2); /* the other one is of a doorbell */
    assert_true(harness_readable(fd, 0));
    expect_message(raw.pipe, BYTES("y"));
    for (int i = 0; i < 2; i++) {
        expect_failure(raw.pipe, EAGAIN);
        assert_false(harness_readable(fd, 0));
        raw_send(&raw, BYTES("\0\0\0\1z"));
        assert_true(harness_readable(fd, 0));
        expect_message(raw.pipe, BYTES("z"));
    }
    raw_close(&raw);
}

/* Neither a message nor room is waited for then, but a hang-up alone. */
TEST(a_descriptor_without_PIPC_WANT_READ_shows_no_message_after_a_change_that_failed)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    int fd = pipc_fd(raw.pipe);
    raw_send(&raw, BYTES("\0\0\0\1x"));
    assert_int_equal(pipc_pending(raw.pipe), 1);
    want_write_after_a_refusal(raw.pipe, fd);
    raw_send(&raw, BYTES("\0\0\0\1y"));
    assert_false(harness_readable(fd, 0));
    assert_int_equal(pipc_want(raw.pipe, PIPC_WANT_READ), 0);
    assert_true(harness_readable(fd, 0));
    expect_message(raw.pipe, BYTES("x"));
    expect_message(raw.pipe, BYTES("y"));
    raw_close(&raw);
}

/* Of two descriptors: one change of an entry fails, and the next update makes it as it was. */
TEST(an_entry_that_could_not_be_changed_is_added_anew)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    static char filling[1000];
    struct raw raw;
    raw_open(&raw, &raw_pipes, NULL);
    int fd = pipc_fd(raw.pipe);
    while (pipc_write(raw.pipe, filling, sizeof filling) >= 0)
        continue;
    assert_int_equal(pipc_want(raw.pipe, PIPC_WANT_WRITE), 0);
    fault_reset();
    fault_refuse_changes(true);
    fault_arm();
    assert_int_equal(pipc_want(raw.pipe, 0), 0); /* of the output, nothing but its end */
    fault_disarm();
    assert_true(harness_readable(fd, 0));
    fault_arm();
    unsigned long before = fault_calls(CALL_epoll_ctl);
    assert_int_equal(pipc_want(raw.pipe, PIPC_WANT_WRITE), 0);
    assert_int_equal(fault_calls(CALL_epoll_ctl) - before, 2);
    fault_disarm();
    assert_false(harness_readable(fd, 0));
    raw_close(&raw);
}

/* --- Messages in memory, no room to write, and no descriptor to show it ----------------------- */

struct crowded {
    pipc_t *near, *far;
    struct poller poller; /* of near's */
    size_t written;       /* by near */
    rlim_t limit;         /* the usual one */
};

static pipc_t *adopt_socket(int fd)
{
    pipc_t *pipe = harness_adopt(fd, fd, NULL);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

static void read_byte(pipc_t *pipe)
{
    char byte;
    assert_int_equal(pipc_read(pipe, &byte, 1), 1);
}

static void forbid_descriptors(struct crowded *c)
{
    int next = dup(0);
    close(next);
    c->limit = harness_limit(RLIMIT_NOFILE, (rlim_t)next);
}

static void crowd(struct crowded *c, enum way way)
{
    static char filling[1000];
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    *c = (struct crowded){.near = adopt_socket(fd[0]), .far = adopt_socket(fd[1])};
    c->poller = poller_begin(way, pipc_fd(c->near));
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_write(c->far, "x", 1), 1);
    read_byte(c->near);
    forbid_descriptors(c);
    while (pipc_write(c->near, filling, sizeof filling) >= 0)
        c->written++;
    assert_true(pipc_flush(c->near) >= 0); /* the program gives up the last one */
    while (poller_reports(&c->poller, 0))
        continue;
}

static void part(struct crowded *c)
{
    harness_limit(RLIMIT_NOFILE, c->limit);
    poller_end(&c->poller);
    pipc_close(c->near);
    pipc_close(c->far);
}

static void expect_wakeup_by_bytes(enum way way)
{
    struct crowded c;
    crowd(&c, way);
    assert_int_equal(pipc_write(c.far, "y", 1), 1);
    assert_true(poller_reports(&c.poller, 0));
    read_byte(c.near);
    read_byte(c.near);
    part(&c);
}

static void expect_wakeup_by_room(enum way way)
{
    struct crowded c;
    char filling[1000];
    crowd(&c, way);
    for (size_t i = 0; i < c.written; i++)
        assert_int_equal(pipc_read(c.far, filling, sizeof filling), sizeof filling);
    assert_true(poller_reports(&c.poller, 0));
    read_byte(c.near);
    part(&c);
}

static void expect_wakeup_by_the_next_call(enum way way)
{
    struct crowded c;
    crowd(&c, way);
    harness_limit(RLIMIT_NOFILE, c.limit);
    assert_int_equal(pipc_pending(c.near), 1);
    assert_true(poller_reports(&c.poller, 0));
    read_byte(c.near);
    part(&c);
}

TEST(messages_in_memory_without_room_or_descriptors_are_reported_by_the_next_bytes_or_room)
{
    platform_needs(PLATFORM_EXACT);
    for (enum way way = BY_POLL; way < WAYS; way++) {
        expect_wakeup_by_bytes(way);
        expect_wakeup_by_room(way);
        expect_wakeup_by_the_next_call(way);
    }
}

HARNESS_MAIN(
    "descriptor shortage", IT(a_descriptor_is_not_readable_any_more_once_there_is_an_entry_for_it),
    IT(pipc_fd_returns_ENOSPC_without_an_entry_and_works_once_there_is_one),
    IT(a_descriptor_whose_entries_cannot_be_changed_is_readable),
    IT(a_descriptor_whose_entry_is_changed_in_half_is_readable_until_the_next_change),
    IT(a_descriptor_without_PIPC_WANT_READ_shows_no_message_after_a_change_that_failed),
    IT(an_entry_that_could_not_be_changed_is_added_anew),
    IT(messages_in_memory_without_room_or_descriptors_are_reported_by_the_next_bytes_or_room))
