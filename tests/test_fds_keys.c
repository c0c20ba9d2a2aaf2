/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and keys: when a peer may send the first ones. The other side of the handshake is
 * played with the machine of src/codec/auth.h, one frame at a time.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "auth_words.h"
#include "fault.h"
#include "fds.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

struct side {
    int fd;
    struct auth auth;
    const struct fds *fds;
};

static pipc_options_t options_with_key(unsigned flags)
{
    pipc_options_t options = fds_options(flags);
    options.key = auth_key.bytes;
    options.key_size = auth_key.size;
    return options;
}

static void hear(struct side *s)
{
    uint8_t *where;
    size_t size;
    while ((size = auth_wants(&s->auth, &where)) > 0) {
        assert_true(net_take(s->fd, where, size));
        auth_received(&s->auth, size);
    }
}

static void say(struct side *s)
{
    const uint8_t *bytes;
    size_t size = auth_output(&s->auth, &bytes);
    assert_true(size > 0);
    net_give(s->fd, bytes, size);
    auth_sent(&s->auth, size);
}

static void expect_refused(const struct side *s)
{
    assert_errno(fds_try_send_raw(s->fd, "\0", 1, s->fds->fd, 1), EPERM);
}

/* A message, at the first moment at which the peer can know that it may. */
static void send_at_once(const struct side *s)
{
    fds_send_raw(s->fd, "\0\0\0\2at", 6, s->fds->fd, 3);
}

static void expect_sent(pipc_t *pipe, const struct side *s)
{
    assert_non_null(pipe);
    fds_expect(pipe, "at");
    fds_expect_taken(pipe, s->fds, 3);
}

/* ---- clients of a server ---- */

static pipc_server_t *open_server(const char *path, bool is_adopted, const pipc_options_t *options)
{
    pipc_server_t *server = is_adopted ? pipc_server_open_fd(paths_listen(path, 4), options)
                                       : pipc_server_open_unix(path, options);
    assert_non_null(server);
    return server;
}

static void expect_nobody_yet(pipc_server_t *server)
{
    assert_null(pipc_server_accept(server, 0));
    assert_int_equal(errno, EAGAIN);
}

static void follow_client(struct side *s, pipc_server_t *server)
{
    auth_start_from(&s->auth, false, &auth_key, 100);
    expect_refused(s);
    expect_nobody_yet(server);
    expect_refused(s);
    hear(s); /* the challenge */
    say(s);  /* the response: it shows the key */
    expect_refused(s);
    expect_nobody_yet(server);
    hear(s);
    say(s);
    expect_nobody_yet(server);
    hear(s);
    say(s); /* the last word */
    send_at_once(s);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    expect_sent(pipe, s);
    pipc_close(pipe);
}

TEST(a_client_may_send_descriptors_once_it_has_shown_the_key_and_not_before)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    struct fds fds;
    pipc_options_t options = options_with_key(0);
    if (!fds_can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    fds_make(&fds);
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    for (int is_adopted = 0; is_adopted < 2; is_adopted++) {
        pipc_server_t *server = open_server(path, is_adopted != 0, &options);
        struct side client = {.fd = paths_connect(path), .fds = &fds};
        follow_client(&client, server);
        close(client.fd);
        pipc_server_close(server);
        unlink(path);
    }
    paths_end(&paths);
    fds_end(&fds);
}

TEST(a_client_with_a_wrong_key_cannot_send_descriptors)
{
    platform_needs(PLATFORM_SWITCH);
    static const struct auth_key wrong = {"guessed", 7, false};
    struct paths paths;
    struct fds fds;
    pipc_options_t options = options_with_key(0);
    if (!fds_can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    fds_make(&fds);
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    pipc_server_t *server = open_server(path, false, &options);
    struct side client = {.fd = paths_connect(path), .fds = &fds};
    auth_start_from(&client.auth, false, &wrong, 100);
    expect_nobody_yet(server);
    hear(&client);
    say(&client);
    expect_refused(&client);
    expect_nobody_yet(server);
    assert_true(fds_try_send_raw(client.fd, "\0", 1, fds.fd, 1) < 0);
    close(client.fd);
    pipc_server_close(server);
    paths_end(&paths);
    fds_end(&fds);
}

/* Else a client whose descriptors come at that moment is refused. */
TEST(an_accepted_client_of_a_listener_that_was_taken_over_is_refused_at_no_moment)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    pipc_options_t options = fds_options(0);
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    pipc_server_t *server = open_server(path, true, &options);
    pipc_t *client = pipc_open_unix(path, 0, NULL);
    fault_reset();
    fault_fail(CALL_setsockopt, 2, FAULT_FOREVER, EPERM); /* one says it, and none takes it back */
    fault_arm();
    pipc_t *pipe = pipc_server_accept(server, 10000);
    fault_disarm();
    assert_in_range(fault_calls(CALL_setsockopt), 1, 1);
    fault_reset();
    net_expect_talk(client, pipe);
    pipc_close(client);
    pipc_close(pipe);
    pipc_server_close(server);
    unlink(path);
    paths_end(&paths);
}

/* ---- the server of a client ---- */

static void follow_server(struct side *s, pipc_t *client)
{
    auth_start_from(&s->auth, true, &auth_key, 100);
    expect_refused(s);
    say(s); /* the challenge */
    assert_errno(pipc_flush(client), EAGAIN);
    expect_refused(s);
    hear(s);
    say(s);
    assert_errno(pipc_flush(client), EAGAIN);
    hear(s);
    say(s); /* the response: it shows the key */
    expect_refused(s);
    assert_int_equal(pipc_flush(client), 0);
    hear(s); /* the last word */
    send_at_once(s);
    expect_sent(client, s);
}

TEST(a_server_may_send_descriptors_once_it_has_shown_the_key_and_not_before)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    struct fds fds;
    pipc_options_t options = options_with_key(PIPC_ASYNC);
    if (!fds_can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    fds_make(&fds);
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    int listener = paths_listen(path, 4);
    pipc_t *client = pipc_open_unix(path, 10000, &options);
    assert_non_null(client);
    assert_int_equal(pipc_set_timeout(client, 0, 0), 0);
    struct side server = {.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), .fds = &fds};
    follow_server(&server, client);
    pipc_close(client);
    close(server.fd);
    close(listener);
    unlink(path);
    paths_end(&paths);
    fds_end(&fds);
}

HARNESS_MAIN("descriptors and keys",
             IT(a_client_may_send_descriptors_once_it_has_shown_the_key_and_not_before),
             IT(a_client_with_a_wrong_key_cannot_send_descriptors),
             IT(an_accepted_client_of_a_listener_that_was_taken_over_is_refused_at_no_moment),
             IT(a_server_may_send_descriptors_once_it_has_shown_the_key_and_not_before))
