/* SPDX-License-Identifier: MIT */
/*
 * What a socket can do besides, and what a reader of descriptors makes of it: other things that
 * come with bytes, a place where looks begin, bytes out of band.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "raw.h"

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

HARNESS_MAIN("sockets that bring descriptors",
             IT(a_handle_is_not_detached_when_a_byte_of_what_it_refuses_is_gone))
