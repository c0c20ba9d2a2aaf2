/* SPDX-License-Identifier: MIT */
/* Descriptors on pipes that carry none, and to readers that did not ask for any. */
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

TEST_OF_KIND(other_kinds_carry_none_and_send_nothing)
{
    pipc_t *end[2];
    struct fds fds;
    pipc_options_t options = fds_options(0);
    fds_make(&fds);
    kind_open(kind, end, &options);
    bool is_pair = strncmp(kind->name, "pair", 4) == 0 && strcmp(kind->name, "pair of pipes") != 0;
    bool carries = kind->path || is_pair || strcmp(kind->name, "socketpair") == 0;
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

TEST_OF_KIND(a_peer_that_did_not_ask_is_EOPNOTSUPP_and_nothing_is_sent)
{
    platform_needs(PLATFORM_SWITCH);
    pipc_t *end[2];
    struct fds fds;
    if (!fds_can_refuse())
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
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    struct fds fds;
    if (!fds_can_refuse())
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

/* As O_NONBLOCK, this belongs to the open file, which others may use as well. */
TEST(a_listener_and_its_sockets_refuse_descriptors_also_when_they_are_given_back)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    struct fds fds;
    int detached[2];
    if (!fds_can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    fds_make(&fds);
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    int listener = paths_listen(path, 4);
    pipc_t *client = pipc_open_unix(path, 0, NULL); /* before the server */
    pipc_server_t *server = pipc_server_open_fd(fcntl(listener, F_DUPFD_CLOEXEC, 0), NULL);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_errno(pipc_write_fds(client, "x", 1, fds.fd, 1), EOPNOTSUPP);
    assert_int_equal(pipc_detach(pipe, detached), 0);
    assert_errno(pipc_write_fds(client, "x", 1, fds.fd, 1), EOPNOTSUPP);
    close(detached[0]);
    pipc_close(client);
    pipc_server_close(server);
    client = pipc_open_unix(path, 0, NULL);
    assert_errno(pipc_write_fds(client, "x", 1, fds.fd, 2), EOPNOTSUPP);
    pipc_close(client);
    close(listener);
    unlink(path);
    paths_end(&paths);
    fds_end(&fds);
}

static int copy_of(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    assert_true(copy >= 0);
    return copy;
}

static void expect_refused(int sender, const struct fds *fds)
{
    assert_errno(fds_try_send_raw(sender, "x", 1, fds->fd, 1), EPERM);
}

static void expect_brought(int sender, int fd, const struct fds *fds)
{
    char byte;
    fds_send_raw(sender, "x", 1, fds->fd, 3);
    assert_int_equal(fds_receive_raw(fd, &byte), 3);
}

/* Under two numbers, as 0 and 1 are in a program that inetd has started. */
TEST(a_socket_that_is_adopted_twice_takes_descriptors_if_it_was_asked_to)
{
    platform_needs(PLATFORM_SWITCH);
    struct fds fds;
    int socket[2], detached[2];
    if (!fds_can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    fds_make(&fds);
    for (unsigned accepts = 0; accepts < 2; accepts++) {
        pipc_options_t options = fds_options(0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket), 0);
        pipc_t *pipe = harness_adopt(socket[0], copy_of(socket[0]), accepts ? &options : NULL);
        if (accepts) {
            fds_send_raw(socket[1], "\0\0\0\1x", 5, fds.fd, 2);
            fds_expect(pipe, "x");
            fds_expect_taken(pipe, &fds, 2);
        } else {
            expect_refused(socket[1], &fds);
        }
        assert_int_equal(pipc_detach(pipe, detached), 0);
        expect_brought(socket[1], detached[0], &fds);
        close(detached[0]);
        close(detached[1]);
        close(socket[1]);
    }
    fds_end(&fds);
}

/* The one that is only written to brings nothing. */
TEST(adopted_sockets_take_descriptors_as_before_when_they_are_given_back)
{
    platform_needs(PLATFORM_SWITCH);
    struct fds fds;
    int in[2], out[2], detached[2];
    if (!fds_can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    fds_make(&fds);
    for (unsigned accepts = 0; accepts < 2; accepts++) {
        pipc_options_t options = fds_options(0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out), 0);
        pipc_t *pipe = harness_adopt(in[0], out[0], accepts ? &options : NULL);
        if (!accepts)
            expect_refused(in[1], &fds);
        expect_refused(out[1], &fds);
        assert_int_equal(pipc_detach(pipe, detached), 0);
        expect_brought(in[1], in[0], &fds);
        expect_brought(out[1], out[0], &fds);
        for (int i = 0; i < 2; i++) {
            close(in[i]);
            close(out[i]);
        }
    }
    fds_end(&fds);
}

/* --- What would take long to close --- */

/* A TCP socket whose last copy takes a minute to close, since its peer reads nothing. */
static int make_lingering(int *peer)
{
    static const char data[65536];
    struct net_port port = net_reserve();
    struct linger minute = {1, 60};
    int listener = net_listen(port.number), fd = net_connect(port.number);
    *peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(*peer >= 0);
    while (send(fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &minute, sizeof minute), 0);
    close(listener);
    close(port.fd);
    return fd;
}

/* The peer of a handle sends it together with a frame, as well as the system lets it. */
static void send_lingering(int sender, int *peer)
{
    int fd = make_lingering(peer);
    if (fds_try_send_raw(sender, "\0\0\0\1x", 5, &fd, 1) == 5) {
        close(fd); /* that in the message is the last one */
        return;
    }
    assert_int_equal(errno, EPERM);
    net_reset(fd);
    fds_send_raw(sender, "\0\0\0\1x", 5, NULL, 0);
}

static void expect_no_wait(pipc_t *pipe, int sender)
{
    int peers[2]; /* of what it is sent */
    int64_t begin = harness_now_ms();
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    send_lingering(sender, &peers[0]);
    fds_expect(pipe, "x");
    send_lingering(sender, &peers[1]);
    pipc_close(pipe);
    assert_in_range(harness_now_ms() - begin, 0, 30000);
    close(sender);
    close(peers[0]);
    close(peers[1]);
}

TEST(a_reader_that_did_not_ask_does_not_wait_for_what_it_would_have_to_close)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    int sockets[2];
    pipc_options_t async = PIPC_OPTIONS_INIT;
    if (!fds_can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    async.flags = PIPC_ASYNC;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    expect_no_wait(harness_adopt(sockets[0], sockets[0], NULL), sockets[1]);
    int listener = paths_listen(path, 4);
    pipc_t *client = pipc_open_unix(path, 0, NULL);
    expect_no_wait(client, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    client = pipc_open_unix(path, -1, &async);
    expect_no_wait(client, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    int before = paths_connect(path); /* the server */
    pipc_server_t *server = pipc_server_open_fd(listener, NULL);
    expect_no_wait(pipc_server_accept(server, 10000), before);
    int after = paths_connect(path);
    expect_no_wait(pipc_server_accept(server, 10000), after);
    pipc_server_close(server);
    unlink(path);
    server = paths_serve(path, NULL);
    int sender = paths_connect(path);
    expect_no_wait(pipc_server_accept(server, 10000), sender);
    pipc_server_close(server);
    paths_end(&paths);
}

HARNESS_MAIN(
    "refused descriptors", OVER_KINDS(other_kinds_carry_none_and_send_nothing),
    OVER_CASES(a_peer_that_did_not_ask_is_EOPNOTSUPP_and_nothing_is_sent, fds_kinds),
    IT(a_client_cannot_send_descriptors_before_it_is_accepted_by_a_server_that_did_not_ask),
    IT(a_listener_and_its_sockets_refuse_descriptors_also_when_they_are_given_back),
    IT(a_socket_that_is_adopted_twice_takes_descriptors_if_it_was_asked_to),
    IT(adopted_sockets_take_descriptors_as_before_when_they_are_given_back),
    IT(a_reader_that_did_not_ask_does_not_wait_for_what_it_would_have_to_close))
