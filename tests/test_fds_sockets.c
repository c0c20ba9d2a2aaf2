/* SPDX-License-Identifier: MIT */
/*
 * What a socket can do besides, and what a reader of descriptors makes of it: other things that
 * come with bytes, a place where looks begin, bytes out of band.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "platform.h"
#include "raw.h"

/* A program may have asked the kernel for more that comes with bytes, as far as it knows these. */
TEST(what_else_comes_with_bytes_does_not_disturb)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    enum { OPTIONS = 4, PASSPIDFD = 76, INQ = 84 };
    static const int options[OPTIONS] = {SO_PASSCRED, PASSPIDFD, SO_PASSSEC, INQ};
    struct fds fds;
    int raw, on = 1;
    fds_make(&fds);
    for (int which = 0; which < 1 << OPTIONS; which++) {
        pipc_t *pipe = fds_open_raw(&raw, 0);
        int fd = fds_adopted(pipe);
        for (int n = 0; n < OPTIONS; n++)
            if ((which >> n & 1) != 0)
                setsockopt(fd, SOL_SOCKET, options[n], &on, sizeof on);
        int open_before = harness_open_descriptors();
        fds_send_raw(raw, BYTES("\0\0\0\3one"), NULL, 0);
        fds_send_raw(raw, "\0", 1, fds.fd, FDS_MAX);
        fds_send_raw(raw, BYTES("\0\0\3two"), NULL, 0);
        fds_send_raw(raw, BYTES("\0\0\0\3one"), NULL, 0);
        fds_expect(pipe, "one");
        fds_expect_taken(pipe, &fds, 0);
        fds_expect(pipe, "two");
        fds_expect_taken(pipe, &fds, FDS_MAX);
        fds_expect(pipe, "one");
        fds_expect_taken(pipe, &fds, 0);
        expect_failure(pipe, EAGAIN);
        assert_int_equal(harness_open_descriptors(), open_before);
        close(raw);
        pipc_close(pipe);
    }
    fds_end(&fds);
}

TEST(messages_are_read_from_their_beginning_wherever_the_program_had_set_looks_to_begin)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct fds fds;
    int fd[2], offset = 100;
    pipc_options_t options = fds_options(0);
    fds_make(&fds);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    if (setsockopt(fd[0], SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) != 0)
        harness_skip("looks cannot be set to begin anywhere here");
    pipc_t *pipe = harness_adopt(fd[0], fd[0], &options);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    fds_send_raw(fd[1], BYTES("\0\0\0\3one"), fds.fd, 2);
    fds_send_raw(fd[1], BYTES("\0\0\0\3two"), fds.fd, 1);
    fds_expect(pipe, "one");
    fds_expect_taken(pipe, &fds, 2);
    fds_expect(pipe, "two");
    fds_expect_taken(pipe, &fds, 1);
    expect_failure(pipe, EAGAIN);
    close(fd[1]);
    pipc_close(pipe);
    fds_end(&fds);
}

/* A look passes over such a byte, but it makes the socket readable. */
TEST(a_byte_out_of_band_wakes_a_reader_no_more_than_twice)
{
    struct fds fds;
    int raw;
    fds_make(&fds);
    pipc_t *pipe = fds_open_raw(&raw, 0);
    int fd = pipc_fd(pipe), open_before = harness_open_descriptors();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send(raw, "!", 1, MSG_OOB), 1);
        for (int wakeup = 0; wakeup < 2 && harness_readable(fd, 0); wakeup++)
            expect_failure(pipe, EAGAIN);
        assert_false(harness_readable(fd, 0));
        fds_send_raw(raw, BYTES("\0\0"), fds.fd, 1);
        assert_int_equal(send(raw, "!", 1, MSG_OOB), 1);
        fds_send_raw(raw, BYTES("\0\3one"), fds.fd + 1, 1);
        fds_expect(pipe, "one");
        fds_expect_taken(pipe, &fds, 2);
        assert_int_equal(harness_open_descriptors(), open_before);
    }
    close(raw);
    expect_failure(pipe, EPIPE);
    pipc_close(pipe);
    fds_end(&fds);
}

TEST(a_handle_is_not_detached_when_a_byte_of_what_it_refuses_is_gone)
{
    struct fds fds;
    int raw, many[FDS_MAX + 1], detached[2] = {-1, -1};
    fds_make(&fds);
    memcpy(many, fds.fd, sizeof fds.fd);
    many[FDS_MAX] = fds.fd[0];
    pipc_t *pipe = fds_open_raw(&raw, 0);
    fds_send_raw(raw, BYTES("\0\0\0\3one"), NULL, 0);
    fds_send_raw(raw, "\0", 1, many, FDS_MAX + 1);
    fds_send_raw(raw, BYTES("\0\0\3two"), NULL, 0);
    fds_expect(pipe, "one");
    assert_errno(pipc_detach(pipe, detached), EPROTO);
    assert_int_equal(detached[0], -1);
    expect_failure(pipe, EPROTO);
    assert_errno(pipc_detach(pipe, detached), EPROTO);
    close(raw);
    pipc_close(pipe);
    fds_end(&fds);
}

HARNESS_MAIN("sockets that bring descriptors", IT(what_else_comes_with_bytes_does_not_disturb),
             IT(messages_are_read_from_their_beginning_wherever_the_program_had_set_looks_to_begin),
             IT(a_byte_out_of_band_wakes_a_reader_no_more_than_twice),
             IT(a_handle_is_not_detached_when_a_byte_of_what_it_refuses_is_gone))
