/* SPDX-License-Identifier: MIT */
/* Descriptors on pipes that carry none, and to readers that did not ask for any. */
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "net.h"
#include "paths.h"

TEST_OF_KIND(other_kinds_carry_none_and_send_nothing)
{
    pipc_t *end[2];
    struct fds fds;
    pipc_options_t options = fds_options(0);
    fds_make(&fds);
    kind_open(kind, end, &options);
    bool carries = strcmp(kind->name, "Unix socket") == 0 || strcmp(kind->name, "socketpair") == 0;
    if (!carries) {
        assert_errno(pipc_write_fds(end[0], "no", 2, fds.fd, 1), EOPNOTSUPP);
        assert_int_equal(pipc_take_fds(end[0], fds.fd, 1), 0);
    }
    if (!kind->same_handle) {
        assert_int_equal(pipc_write_fds(end[0], "yes", 3, fds.fd, 0), 3);
        fds_expect(end[1], "yes");
        assert_int_equal(pipc_take_fds(end[1], fds.fd, 1), 0);
        net_expect_talk(end[0], end[1]);
    }
    kind_close(kind, end);
    fds_end(&fds);
}

/* Since Linux 6.16 (SO_PASSRIGHTS). */
static bool can_refuse(void)
{
    int fd[2], value;
    socklen_t size = sizeof value;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    bool can = getsockopt(fd[0], SOL_SOCKET, 83, &value, &size) == 0;
    close(fd[0]);
    close(fd[1]);
    return can;
}

TEST_OF_KIND(a_peer_that_did_not_ask_is_EOPNOTSUPP_and_nothing_is_sent)
{
    pipc_t *end[2];
    struct fds fds;
    if (!can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    fds_make(&fds);
    kind_open(kind, end, NULL);
    for (int i = 0; i < 2; i++) {
        assert_errno(pipc_write_fds(end[i], "no", 2, fds.fd, 1), EOPNOTSUPP);
        net_expect_talk(end[i], end[1 - i]);
    }
    kind_close(kind, end);
    fds_end(&fds);
}

TEST(a_client_cannot_send_descriptors_before_it_is_accepted_by_a_server_that_did_not_ask)
{
    struct paths paths;
    struct fds fds;
    if (!can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    fds_make(&fds);
    paths_begin(&paths);
    for (unsigned asks = 0; asks < 2; asks++) {
        pipc_options_t options = fds_options(0);
        pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), asks ? &options : NULL);
        pipc_t *client = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL);
        if (asks)
            fds_say(client, "yes", &fds, 2);
        else
            assert_errno(pipc_write_fds(client, "no", 2, fds.fd, 2), EOPNOTSUPP);
        pipc_t *pipe = pipc_server_accept(server, 10000);
        if (asks) {
            fds_expect(pipe, "yes");
            fds_expect_taken(pipe, &fds, 2);
        }
        pipc_close(pipe);
        pipc_close(client);
        pipc_server_close(server);
    }
    paths_end(&paths);
    fds_end(&fds);
}

/* As O_NONBLOCK, this belongs to the open file, and others may serve the same listener. */
static void expect_refused_by(const char *path, const struct fds *fds)
{
    pipc_t *client = pipc_open_unix(path, 0, NULL);
    if (can_refuse())
        assert_errno(pipc_write_fds(client, "x", 1, fds->fd, 2), EOPNOTSUPP);
    pipc_close(client);
}

TEST(a_socket_that_is_given_back_takes_descriptors_as_before_and_a_listener_still_refuses)
{
    struct paths paths;
    struct fds fds;
    int detached[2], sockets[2];
    char byte;
    fds_make(&fds);
    paths_begin(&paths);
    int listener = paths_listen(paths_to(&paths, "socket"), 4);
    pipc_t *client = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL); /* before the server */
    pipc_server_t *server = pipc_server_open_fd(fcntl(listener, F_DUPFD_CLOEXEC, 0), NULL);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    if (can_refuse())
        assert_errno(pipc_write_fds(client, "x", 1, fds.fd, 1), EOPNOTSUPP);
    assert_int_equal(pipc_detach(pipe, detached), 0);
    assert_int_equal(pipc_write_fds(client, "x", 1, fds.fd, 1), 1);
    assert_int_equal(fds_receive_raw(detached[0], &byte), 1);
    close(detached[0]);
    pipc_close(client);
    pipc_server_close(server);
    expect_refused_by(paths_to(&paths, "socket"), &fds);
    close(listener);
    unlink(paths_to(&paths, "socket"));
    paths_end(&paths);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    pipe = harness_adopt(sockets[0], sockets[0], NULL);
    assert_int_equal(pipc_detach(pipe, detached), 0);
    fds_send_raw(sockets[1], "x", 1, fds.fd, 3);
    assert_int_equal(fds_receive_raw(sockets[0], &byte), 3);
    close(sockets[0]);
    close(sockets[1]);
    fds_end(&fds);
}

HARNESS_MAIN(
    "refused descriptors", OVER_KINDS(other_kinds_carry_none_and_send_nothing),
    OVER_CASES(a_peer_that_did_not_ask_is_EOPNOTSUPP_and_nothing_is_sent, fds_kinds),
    IT(a_client_cannot_send_descriptors_before_it_is_accepted_by_a_server_that_did_not_ask),
    IT(a_socket_that_is_given_back_takes_descriptors_as_before_and_a_listener_still_refuses))
