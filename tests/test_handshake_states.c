/* SPDX-License-Identifier: MIT */
/*
 * Walks the table in the head of src/rendezvous/handshake.c: each state of a handshake with each
 * event. The peer is played with the machine of src/codec/auth.h, one frame at a time.
 */
#include "auth_words.h"
#include "net.h"
#include "rendezvous/handshake.h"
#include "sys/sys.h"

enum state {
    CONNECTING,
    ACCEPTED_RESPONSE,
    ACCEPTED_CHALLENGE,
    ACCEPTED_VERDICT,
    CONNECTED_CHALLENGE,
    CONNECTED_VERDICT,
    CONNECTED_RESPONSE,
    REFUSED,
    DONE,
    STATES = DONE
};

enum event { NOTHING, HALF_A_FRAME, RIGHT_FRAME, ANOTHER_FRAME, PEER_GONE, DEADLINE, EVENTS };

/* A cell: the next state, or -errno. NONE: the event cannot happen there. */
enum { NONE = -100000 };

static const int table[STATES][EVENTS] = {
    [CONNECTING] = {CONNECTING, NONE, NONE, NONE, -ECONNREFUSED, -ETIMEDOUT},
    [ACCEPTED_RESPONSE] = {ACCEPTED_RESPONSE, ACCEPTED_RESPONSE, ACCEPTED_CHALLENGE, -EACCES,
                           -ECONNRESET, -ETIMEDOUT},
    [ACCEPTED_CHALLENGE] = {ACCEPTED_CHALLENGE, ACCEPTED_CHALLENGE, ACCEPTED_VERDICT, -EACCES,
                            -ECONNRESET, -ETIMEDOUT},
    [ACCEPTED_VERDICT] = {ACCEPTED_VERDICT, ACCEPTED_VERDICT, DONE, -EACCES, -ECONNRESET,
                          -ETIMEDOUT},
    [CONNECTED_CHALLENGE] = {CONNECTED_CHALLENGE, CONNECTED_CHALLENGE, CONNECTED_VERDICT, -EACCES,
                             -ECONNRESET, -ETIMEDOUT},
    [CONNECTED_VERDICT] = {CONNECTED_VERDICT, CONNECTED_VERDICT, CONNECTED_RESPONSE, -EACCES,
                           -ECONNRESET, -ETIMEDOUT},
    [CONNECTED_RESPONSE] = {CONNECTED_RESPONSE, CONNECTED_RESPONSE, DONE, -EACCES, -ECONNRESET,
                            -ETIMEDOUT},
    [REFUSED] = {REFUSED, REFUSED, REFUSED, REFUSED, -EACCES, -ETIMEDOUT},
};

static const struct auth_key no_key = {NULL, 0, false};

/* A handshake and the peer on the other end of its connection. */
struct scene {
    struct handshake *h;
    struct auth peer;
    int listener, fd;
};

/* What was sent over this machine has arrived. */
static void await_input(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&entry, 1, 10000), 1);
}

static void await_output(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&entry, 1, 10000), 1);
}

static enum state state_of(const struct handshake *h)
{
    static const enum state accepted[] = {[AUTH_AWAITS_CHALLENGE] = ACCEPTED_CHALLENGE,
                                          [AUTH_AWAITS_RESPONSE] = ACCEPTED_RESPONSE,
                                          [AUTH_AWAITS_VERDICT] = ACCEPTED_VERDICT,
                                          [AUTH_DONE] = DONE,
                                          [AUTH_REFUSED] = REFUSED};
    static const enum state connected[] = {[AUTH_AWAITS_CHALLENGE] = CONNECTED_CHALLENGE,
                                           [AUTH_AWAITS_RESPONSE] = CONNECTED_RESPONSE,
                                           [AUTH_AWAITS_VERDICT] = CONNECTED_VERDICT,
                                           [AUTH_DONE] = DONE,
                                           [AUTH_REFUSED] = REFUSED};
    return h->connecting       ? CONNECTING
           : h->auth.accepting ? accepted[h->auth.state]
                               : connected[h->auth.state];
}

/* ---- the peer ---- */

/* It reads what the handshake has sent, until it has something to send itself. */
static void peer_reads(struct scene *s)
{
    uint8_t *where;
    size_t size;
    while ((size = auth_wants(&s->peer, &where)) > 0) {
        await_input(s->fd);
        ssize_t got = recv(s->fd, where, size, 0);
        assert_true(got > 0);
        auth_received(&s->peer, (size_t)got);
    }
}

static void peer_sends(struct scene *s, size_t most)
{
    const uint8_t *bytes;
    size_t size = auth_output(&s->peer, &bytes);
    assert_true(size > 0);
    size = size < most ? size : most;
    net_give(s->fd, bytes, size);
    auth_sent(&s->peer, size);
    await_input(s->h->fd);
}

static void peer_sends_another_frame(struct scene *s)
{
    static const uint8_t frame[] = {0, 0, 0, 3, 'n', 'o', '!'};
    net_give(s->fd, frame, sizeof frame);
    await_input(s->h->fd);
}

/* ---- the way to each state ---- */

static void begin_accepted(struct scene *s)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    *s = (struct scene){.h = handshake_accept(fd[0], &auth_key), .listener = -1, .fd = fd[1]};
    auth_start_from(&s->peer, false, &auth_key, 100);
    assert_non_null(s->h);
}

static struct sys_address loopback(uint16_t port)
{
    return (struct sys_address){.family = SYS_IPV4, .bytes = {127, 0, 0, 1}, .port = port};
}

static void begin_connecting(struct scene *s, uint16_t port)
{
    struct sys_address address = loopback(port);
    *s = (struct scene){.h = handshake_connect(&address, &auth_key), .listener = -1, .fd = -1};
    assert_non_null(s->h);
}

static void begin_connected(struct scene *s)
{
    struct net_port port = net_reserve();
    int listener = net_listen(port.number);
    begin_connecting(s, port.number);
    s->listener = listener;
    s->fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(s->fd >= 0);
    auth_start_from(&s->peer, true, &auth_key, 100);
    await_output(s->h->fd);
    close(port.fd);
}

/* Nobody accepts, and the queue of the listener is full: the connection is neither made nor
 * refused. */
static void begin_unanswered(struct scene *s)
{
    struct net_port port = net_reserve();
    int listener = net_listen(port.number);
    assert_int_equal(listen(listener, 0), 0);
    s->fd = net_connect(port.number);
    int fd = s->fd;
    begin_connecting(s, port.number);
    s->listener = listener;
    s->fd = fd;
    close(port.fd);
}

static void begin_refused_by_host(struct scene *s)
{
    struct net_port port = net_reserve();
    begin_connecting(s, port.number);
    close(port.fd);
}

/* There is no room for the word that refuses. */
static void begin_refused(struct scene *s)
{
    static const char filler[4096];
    begin_accepted(s);
    assert_int_equal(handshake_step(s->h), 0);
    while (send(s->h->fd, filler, sizeof filler, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    peer_sends_another_frame(s);
    assert_int_equal(handshake_step(s->h), 0);
}

static void reach(struct scene *s, enum state state, enum event event)
{
    if (state == CONNECTING && event == PEER_GONE) {
        begin_refused_by_host(s);
        return;
    }
    if (state == CONNECTING) {
        begin_unanswered(s);
    } else if (state == REFUSED) {
        begin_refused(s);
    } else {
        state < CONNECTED_CHALLENGE ? begin_accepted(s) : begin_connected(s);
        assert_int_equal(handshake_step(s->h), 0);
        while (state_of(s->h) != state) {
            peer_reads(s);
            peer_sends(s, SIZE_MAX);
            assert_int_equal(handshake_step(s->h), 0);
        }
        peer_reads(s);
    }
    assert_int_equal(state_of(s->h), state);
    assert_int_equal(handshake_wants_out(s->h), state == CONNECTING || state == REFUSED);
}

/* ---- the walk ---- */

static void happen(struct scene *s, enum state state, enum event event)
{
    switch (event) {
    case HALF_A_FRAME:
        state == REFUSED ? net_give(s->fd, "\0\0", 2) : peer_sends(s, 5);
        break;
    case RIGHT_FRAME: /* REFUSED waits for none: any will do */
        state == REFUSED ? peer_sends_another_frame(s) : peer_sends(s, SIZE_MAX);
        break;
    case ANOTHER_FRAME:
        peer_sends_another_frame(s);
        break;
    case PEER_GONE:
        close(s->fd);
        s->fd = -1;
        state == CONNECTING ? await_output(s->h->fd) : await_input(s->h->fd);
        break;
    case DEADLINE:
        s->h->deadline = 1;
        break;
    default:
        break;
    }
}

static void check_cell(enum state state, enum event event)
{
    struct scene s = {.fd = -1};
    int expected = table[state][event];
    reach(&s, state, event);
    happen(&s, state, event);
    errno = 0;
    int result = handshake_step(s.h), error = errno;
    if (expected < 0)
        assert_int_equal(result, -1);
    else
        assert_int_equal(result, expected == DONE);
    if (expected < 0)
        assert_int_equal(error, -expected);
    else
        assert_int_equal(state_of(s.h), expected);
    handshake_close(s.h);
    close(s.fd);
    close(s.listener);
}

static void check_row(enum state state)
{
    for (int event = 0; event < EVENTS; event++)
        if (table[state][event] != NONE)
            check_cell(state, (enum event)event);
}

TEST(a_connection_that_is_not_answered_waits_fails_or_is_late)
{
    check_row(CONNECTING);
}

TEST(an_accepted_one_gets_response_challenge_and_verdict)
{
    check_row(ACCEPTED_RESPONSE);
    check_row(ACCEPTED_CHALLENGE);
    check_row(ACCEPTED_VERDICT);
}

TEST(a_connected_one_gets_challenge_verdict_and_response)
{
    check_row(CONNECTED_CHALLENGE);
    check_row(CONNECTED_VERDICT);
    check_row(CONNECTED_RESPONSE);
}

TEST(one_that_refuses_waits_until_its_word_has_room)
{
    char drop[4096];
    struct scene s;
    check_row(REFUSED);
    reach(&s, REFUSED, NOTHING);
    while (recv(s.fd, drop, sizeof drop, MSG_DONTWAIT) > 0)
        continue;
    assert_int_equal(handshake_step(s.h), -1);
    assert_int_equal(errno, EACCES);
    handshake_close(s.h);
    close(s.fd);
}

TEST(a_connection_that_is_made_has_a_new_deadline)
{
    struct scene s;
    begin_connected(&s);
    int64_t before = s.h->deadline;
    assert_int_equal(handshake_step(s.h), 0);
    assert_int_equal(state_of(s.h), CONNECTED_CHALLENGE);
    assert_true(s.h->deadline > before);
    handshake_close(s.h);
    close(s.fd);
    close(s.listener);
}

TEST(what_came_goes_before_the_deadline)
{
    struct scene s;
    reach(&s, ACCEPTED_VERDICT, RIGHT_FRAME);
    happen(&s, ACCEPTED_VERDICT, RIGHT_FRAME);
    s.h->deadline = 1;
    assert_int_equal(handshake_step(s.h), 1);
    handshake_close(s.h);
    close(s.fd);
}

TEST(an_accepted_one_has_shown_the_key_after_its_response)
{
    for (int state = ACCEPTED_RESPONSE; state <= ACCEPTED_VERDICT; state++) {
        struct scene s;
        reach(&s, (enum state)state, NOTHING);
        assert_int_equal(handshake_has_shown_key(s.h), state != ACCEPTED_RESPONSE);
        handshake_close(s.h);
        close(s.fd);
    }
}

TEST(without_a_key_there_is_no_handshake)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    struct handshake *h = handshake_accept(fd[0], &no_key);
    assert_non_null(h);
    assert_int_equal(handshake_step(h), 1);
    assert_int_equal(handshake_release(h), fd[0]);
    close(fd[0]);
    close(fd[1]);
}

HARNESS_MAIN("the states of a handshake",
             IT(a_connection_that_is_not_answered_waits_fails_or_is_late),
             IT(an_accepted_one_gets_response_challenge_and_verdict),
             IT(a_connected_one_gets_challenge_verdict_and_response),
             IT(one_that_refuses_waits_until_its_word_has_room),
             IT(a_connection_that_is_made_has_a_new_deadline),
             IT(what_came_goes_before_the_deadline),
             IT(an_accepted_one_has_shown_the_key_after_its_response),
             IT(without_a_key_there_is_no_handshake))
