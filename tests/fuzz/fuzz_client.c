/* SPDX-License-Identifier: MIT */
/*
 * A hostile server, or a hostile peer that connects, and a client of libpipc. The server sends
 * bytes that are no handshake, steps of a handshake in any order, half of a frame, and ends at any
 * time. Each call of the client must return within its timeout, with an errno of the manual. With a
 * key, the client gets no pipe to a server that does not know it. With PIPC_ASYNC both take turns;
 * without it, the server is a second thread, since the constructor waits.
 *
 *   input   2 bytes: kinds, key and flags; the timeout; then steps of 2 bytes and what they send
 */
#include "lockstep.h"
#include "place.h"

enum { STEPS_MAX = 200, BLOCKING_STEPS_MAX = 12, STEP_MS = 2 };
enum { LONG_MS = 60000, GRACE_MS = 8000, ROUNDS_MAX = 2000, ROUND_MS = 5 };
enum kind { KIND_TCP, KIND_UNIX, KIND_CONNECT_ONLY, KINDS };

static struct {
    enum kind kind;
    bool has_key, is_blocking, is_gathering;
    int timeout; /* of the constructor */
    int64_t deadline;
    pipc_t *pipe;
    bool is_there, is_shut; /* the client has a peer; it has ended writing */
    int dead;               /* why the client never gets one; 0 */
    struct place place;
    struct fuzz_input in;
} s;

/* ---- the client ---- */

static bool is_of_constructor(int error)
{
    bool connects_only = s.kind == KIND_CONNECT_ONLY;
    return error == ETIMEDOUT || (error == EACCES && s.has_key) ||
           (connects_only && (error == ECONNREFUSED || error == ECONNRESET));
}

static void note_peer(void)
{
    FUZZ_CHECK(s.dead == 0, "a peer has come after %s", strerror(s.dead));
    FUZZ_CHECK(!s.has_key || s.place.knows == STRANGER_KNOWS, "a pipe to a server without the key");
    s.is_there = true;
}

/* A call has failed. */
static void check_error(void)
{
    int error = errno;
    fuzz_trace("    %s\n", strerror(error));
    FUZZ_CHECK(s.dead == 0 || error == s.dead, "it was %s before", strerror(s.dead));
    if (error == EAGAIN || (error == ETIMEDOUT && s.is_there && s.is_blocking))
        return;
    /* ECONNRESET may also come from a peer that was there: then a flush succeeds. */
    if (!s.is_there && is_of_constructor(error) && pipc_flush(s.pipe) == -1) {
        s.dead = error;
        return;
    }
    FUZZ_CHECK(error == EPIPE || error == ECONNRESET || error == EPROTO,
               "an errno that the manual does not name");
    note_peer();
}

static bool call_flush(void)
{
    bool can = pipc_flush(s.pipe) >= 0;
    if (can)
        note_peer();
    else
        check_error();
    return can;
}

static void call_read(void)
{
    pipc_msg_t message;
    if (pipc_read_msg(s.pipe, &message) == 0) {
        note_peer();
        pipc_msg_free(&message);
    } else {
        check_error();
    }
}

static void call_write(unsigned number)
{
    static const uint8_t bytes[2000];
    if (pipc_write(s.pipe, bytes, number * 50u) == -1) {
        if (!s.is_shut || errno != EPIPE)
            check_error();
    } else if (!s.is_gathering) {
        note_peer();
    }
}

static void call_poll(void)
{
    if (fuzz_is_readable(pipc_fd(s.pipe)) && (s.is_there || call_flush()))
        call_read();
}

static void call_pending(bool shuts)
{
    s.is_shut = s.is_shut || shuts;
    if ((shuts ? pipc_shutdown(s.pipe) : pipc_pending(s.pipe)) < 0)
        check_error();
}

/* ---- steps ---- */

static void take_step(void)
{
    unsigned step = fuzz_byte(&s.in) % 16, number = fuzz_byte(&s.in);
    struct stranger *server = &s.place.server[number % PLACE_SERVERS];
    fuzz_trace("step %u, server %u, %u\n", step, number % PLACE_SERVERS,
               number / PLACE_SERVERS % 32);
    number = number / PLACE_SERVERS % 32;
    if (step < PLACE_STEPS)
        place_step(&s.place, server, step, number, &s.in);
    else if (step == 11)
        call_flush();
    else if (step == 12)
        call_read();
    else if (step == 13)
        call_write(number);
    else if (step == 14)
        call_poll();
    else
        call_pending(number == 31);
}

/* The server beside a client that waits; it gives the client a little time to answer. */
static void serve(void *unused)
{
    (void)unused;
    for (int i = 0; i < BLOCKING_STEPS_MAX && !fuzz_is_over(&s.in); i++) {
        unsigned step = fuzz_byte(&s.in) % PLACE_STEPS, number = fuzz_byte(&s.in);
        struct stranger *server = &s.place.server[number % PLACE_SERVERS];
        if (step < STRANGER_STEPS && server->fd < 0)
            fuzz_becomes_readable(s.place.listener, STEP_MS); /* -1 waits all that time */
        place_accept(&s.place, server);
        if (step < STRANGER_STEPS && server->fd >= 0)
            fuzz_becomes_readable(server->fd, STEP_MS);
        place_step(&s.place, server, step, number / PLACE_SERVERS % 32, &s.in);
    }
}

/* ---- what must come in the end ---- */

/* The time of the constructor has passed: a loop is woken, and the call reports it. GRACE_MS is
 * less than the time of a handshake, which would wake it too. */
static void check_deadline(void)
{
    if (s.is_there || s.dead != 0 || call_flush() || s.dead != 0)
        return;
    FUZZ_CHECK(fuzz_becomes_readable(pipc_fd(s.pipe), s.timeout + GRACE_MS),
               "nothing wakes the loop");
    while (fuzz_now_ms() <= s.deadline)
        fuzz_becomes_readable(-1, 1);
    call_flush();
    FUZZ_CHECK(s.is_there || s.dead != 0, "the time is up, and that is not reported");
}

/* One round. What the server says follows its last word of the handshake at once. */
static bool serve_honestly(struct stranger *honest)
{
    const uint8_t frame[] = {0, 0, 0, 1, '!'};
    place_accept(&s.place, honest);
    place_connect(&s.place, honest);
    bool could = honest->fd >= 0 && s.has_key && stranger_shake_hands(honest, 1);
    bool is_over = honest->fd >= 0 && (!s.has_key || auth_is_over(&honest->auth));
    if (is_over) {
        FUZZ_CHECK(!s.has_key || honest->auth.state == AUTH_DONE, "an honest server is refused");
        stranger_say(honest, frame, sizeof frame);
    } else if (!could) {
        fuzz_becomes_readable(pipc_fd(s.pipe), ROUND_MS);
    }
    return is_over;
}

/* A server that knows the key gets the client, which makes a call only when it is woken. */
static void check_honest(void)
{
    struct stranger honest = {.fd = -1};
    pipc_msg_t message;
    bool has_said = false;
    place_hang_up(&s.place);
    s.place.knows = STRANGER_KNOWS;
    if (s.place.listener < 0 && s.kind != KIND_TCP)
        place_listen(&s.place);
    bool is_decided = call_flush() || s.dead != 0;
    for (int i = 0; i < ROUNDS_MAX && !is_decided; i++) {
        if (!has_said)
            has_said = serve_honestly(&honest);
        if (fuzz_becomes_readable(pipc_fd(s.pipe), has_said ? ROUND_MS : 0))
            is_decided = call_flush() || s.dead != 0;
    }
    FUZZ_CHECK(s.is_there || s.dead != 0, "an honest server does not get the client");
    if (has_said && s.dead == 0) {
        FUZZ_CHECK(pipc_set_timeout(s.pipe, GRACE_MS, 0) == 0, "pipc_set_timeout");
        FUZZ_CHECK(pipc_read_msg(s.pipe, &message) == 0 && message.size == 1, "no message");
        pipc_msg_free(&message);
    }
    stranger_hang_up(&honest);
}

/* ---- one input ---- */

static void open_client(uint8_t flags, const pipc_options_t *options)
{
    int64_t begin = fuzz_now_ms();
    s.deadline = begin + s.timeout;
    s.pipe = s.kind == KIND_UNIX ? pipc_open_unix(s.place.name, s.timeout, options)
                                 : pipc_open_tcp("127.0.0.1", s.place.port, s.timeout, options);
    int error = errno;
    FUZZ_CHECK(fuzz_now_ms() - begin <= s.timeout + GRACE_MS, "the constructor takes too long");
    fuzz_trace("opened: %s\n", s.pipe != NULL ? "yes" : strerror(error));
    FUZZ_CHECK(s.pipe != NULL || is_of_constructor(error) || (error == EAGAIN && s.timeout == 0),
               "the constructor fails with %s", strerror(error));
    if (s.pipe == NULL)
        return;
    if ((flags & PIPC_ASYNC) == 0 || s.timeout == 0)
        note_peer();
    fuzz_no_timeouts(s.pipe);
}

/* The server takes its steps while the constructor waits, and then a read and a write. */
static void run_blocking(const pipc_options_t *options)
{
    lockstep_start(serve, NULL);
    open_client(0, options);
    if (s.pipe != NULL) {
        int64_t begin = fuzz_now_ms();
        FUZZ_CHECK(pipc_set_timeout(s.pipe, s.timeout, s.timeout) == 0, "pipc_set_timeout");
        for (int i = 0; i < 3; i++) {
            call_read();
            call_write(40);
        }
        FUZZ_CHECK(fuzz_now_ms() - begin <= 6 * s.timeout + GRACE_MS, "a call takes too long");
    }
    lockstep_wait();
}

static void run_async(const pipc_options_t *options, bool is_honest)
{
    open_client(PIPC_ASYNC, options);
    for (int i = 0; i < STEPS_MAX && !fuzz_is_over(&s.in) && s.pipe != NULL; i++)
        take_step();
    if (s.pipe != NULL && s.timeout < LONG_MS)
        check_deadline();
    else if (s.pipe != NULL && is_honest && !s.is_there && s.dead == 0)
        check_honest();
}

static unsigned open_place(struct fuzz_input *in)
{
    static const int timeouts[] = {LONG_MS, LONG_MS, LONG_MS, LONG_MS, 0, 1, 5, 20};
    uint8_t how = fuzz_byte(in), limits = fuzz_byte(in);
    memset(&s, 0, sizeof s);
    s.kind = fuzz_has_loopback() ? (enum kind)(how % 4 % KINDS) : KIND_UNIX;
    s.has_key = (how & 4) != 0;
    s.is_blocking = (how & 32) != 0;
    s.is_gathering = (limits & 32) != 0;
    s.timeout = timeouts[s.is_blocking ? 4 + limits % 4 : limits % 8];
    if (s.kind == KIND_UNIX)
        place_open_unix(&s.place);
    else
        place_open_tcp(&s.place);
    s.place.knows = (enum stranger_key)((how >> 3) % 4 % 3);
    s.place.is_mutual = s.kind == KIND_TCP;
    if ((limits & 8) == 0)
        place_listen(&s.place);
    return (how & 64 ? PIPC_ACCEPT_FDS : 0) | (s.has_key && how & 128 ? PIPC_KEY_MD5 : 0) |
           (s.kind == KIND_CONNECT_ONLY ? PIPC_CONNECT_ONLY : 0) |
           (s.is_blocking ? 0 : PIPC_ASYNC) | (s.is_gathering ? PIPC_GATHER : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_fds before = fuzz_fds_now();
    struct fuzz_input in = {bytes, size};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    bool is_honest = size > 1 && (bytes[1] & 16) != 0;
    options.flags = open_place(&in);
    options.max_message = 3000;
    if (s.has_key) {
        options.key = stranger_right_key.bytes;
        options.key_size = stranger_right_key.size;
    }
    s.in = in;
    if (s.is_blocking)
        run_blocking(&options);
    else
        run_async(&options, is_honest);
    place_hang_up(&s.place);
    pipc_close(s.pipe);
    place_close(&s.place);
    fuzz_fds_check(&before);
    return 0;
}
