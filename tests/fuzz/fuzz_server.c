/* SPDX-License-Identifier: MIT */
/*
 * Hostile clients of a server: bytes that are no handshake, steps of a handshake in any order, what
 * the server said sent back, ends at any time. With a key nobody is handed out that does not know
 * it. At the end, an honest client must be served beside all of them.
 *
 *   input   1 byte: the kind of server and its options; then steps of 1 byte and its parameters
 */
#include "fuzz.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "stranger.h"

enum { CLIENTS = 8, HANDLES = 64, STEPS_MAX = 200, TOKEN = 16 };
enum { HONEST_ROUNDS = 2000, HONEST_POLL_MS = 5 };

static struct {
    pipc_server_t *server;
    struct sockaddr_storage address;
    socklen_t address_size;
    bool has_key;
    int knowing; /* clients that came and know the key */
    int accepted;
    pipc_t *handle[HANDLES];
    int handles;
    struct stranger client[CLIENTS];
    struct fuzz_input in;
} s;

/* ---- the server ---- */

static socklen_t abstract_address(struct sockaddr_un *address, const char *name)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path + 1, name, strlen(name));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static void open_by_name(const pipc_options_t *options)
{
    char name[64];
    snprintf(name, sizeof name, "@pipc-fuzz-%lld", (long long)getpid());
    s.server = pipc_server_open_unix(name, options);
    s.address_size = abstract_address((struct sockaddr_un *)&s.address, name + 1);
}

/* The kernel chooses the name. */
static void open_by_listener(const pipc_options_t *options)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    FUZZ_NEED(fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any.sun_family) == 0);
    s.address_size = sizeof s.address;
    FUZZ_NEED(getsockname(fd, (struct sockaddr *)&s.address, &s.address_size) == 0);
    FUZZ_NEED(listen(fd, CLIENTS) == 0);
    s.server = pipc_server_open_fd(fd, options);
}

static void open_by_port(const pipc_options_t *options)
{
    s.server = pipc_server_open("127.0.0.1", 0, options);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(pipc_server_port(s.server)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    memcpy(&s.address, &at, sizeof at);
    s.address_size = sizeof at;
}

static void open_server(struct fuzz_input *in)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    uint8_t how = fuzz_byte(in);
    memset(&s, 0, sizeof s);
    s.has_key = (how & 8) == 0;
    options.flags = (how & 16) ? PIPC_ACCEPT_FDS : 0;
    options.max_message = 1000;
    if (s.has_key) {
        options.flags |= (how & 32) ? PIPC_KEY_MD5 : 0;
        options.key = stranger_right_key.bytes;
        options.key_size = stranger_right_key.size;
    }
    if ((how & 7) == 0 && fuzz_has_loopback())
        open_by_port(&options);
    else if (how & 1)
        open_by_name(&options);
    else
        open_by_listener(&options);
    FUZZ_CHECK(s.server != NULL, "no server");
    for (int i = 0; i < CLIENTS; i++)
        s.client[i].fd = -1;
}

static void accept_one(void)
{
    pipc_t *handle = s.handles < HANDLES ? pipc_server_accept(s.server, 0) : NULL;
    FUZZ_CHECK(handle != NULL || s.handles == HANDLES || errno == EAGAIN, "pipc_server_accept");
    if (handle == NULL)
        return;
    fuzz_no_timeouts(handle);
    s.handle[s.handles++] = handle;
    s.accepted++;
    FUZZ_CHECK(!s.has_key || s.accepted <= s.knowing, "a client without the key is handed out");
}

/* Messages of a client are anything; calls fail as the manual says. */
static void read_handle(pipc_t *handle, bool writes)
{
    pipc_msg_t message;
    while (pipc_read_msg(handle, &message) == 0)
        pipc_msg_free(&message);
    FUZZ_CHECK(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET || errno == EPROTO,
               "pipc_read_msg");
    if (writes)
        FUZZ_CHECK(pipc_write(handle, "an answer", 9) == 9 || errno == EAGAIN || errno == EPIPE ||
                       errno == ECONNRESET || errno == EPROTO,
                   "pipc_write");
}

static void close_handle(int which)
{
    if (s.handles == 0)
        return;
    which %= s.handles;
    pipc_close(s.handle[which]);
    s.handle[which] = s.handle[--s.handles];
}

/* ---- clients ---- */

static void connect_client(struct stranger *client, enum stranger_key knows)
{
    if (client->fd >= 0)
        return;
    int fd = socket(s.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_NEED(fd >= 0);
    FUZZ_NEED(fuzz_connect(fd, (struct sockaddr *)&s.address, s.address_size) == 0);
    s.knowing += knows == STRANGER_KNOWS;
    stranger_begin(client, fd, false, knows);
}

static void take_step(void)
{
    unsigned step = fuzz_byte(&s.in) % 16, number = fuzz_byte(&s.in);
    struct stranger *client = &s.client[number % CLIENTS];
    fuzz_trace("step %u, client %u, %u\n", step, number % CLIENTS, number / CLIENTS);
    number /= CLIENTS;
    switch (step) {
    case 9:
    case 10:
        accept_one();
        break;
    case 11:
        if (s.handles > 0)
            read_handle(s.handle[number % (unsigned)s.handles], number & 1);
        break;
    case 12:
        close_handle((int)number);
        break;
    case 13:
        if (fuzz_is_readable(pipc_server_fd(s.server)))
            accept_one();
        break;
    case 0:
        connect_client(client, (enum stranger_key)(number % 3));
        break;
    default:
        stranger_take_step(client, step < 2 ? 0 : step - 2, number, &s.in);
        break;
    }
}

/* ---- the honest client ---- */

static bool has_said(pipc_t *handle, const uint8_t token[TOKEN])
{
    pipc_msg_t message;
    bool found = false;
    while (!found && pipc_read_msg(handle, &message) == 0) {
        found = message.size == TOKEN && memcmp(message.data, token, TOKEN) == 0;
        pipc_msg_free(&message);
    }
    return found;
}

/* Its message, and the answer of the server's program to that. */
static bool serve_honest(struct stranger *honest, const uint8_t token[TOKEN])
{
    uint8_t frame[4 + TOKEN] = {0, 0, 0, TOKEN};
    memcpy(frame + 4, token, TOKEN);
    if (!s.has_key || auth_is_over(&honest->auth))
        stranger_say(honest, frame, sizeof frame);
    else
        return false;
    for (int i = 0; i < HONEST_ROUNDS; i++) {
        accept_one();
        for (int h = 0; h < s.handles; h++)
            if (has_said(s.handle[h], token)) {
                FUZZ_CHECK(pipc_write(s.handle[h], token, TOKEN) == TOKEN, "no answer");
                return true;
            }
        struct pollfd entry = {.fd = pipc_server_fd(s.server), .events = POLLIN};
        poll(&entry, 1, HONEST_POLL_MS);
    }
    return false;
}

static void shake_hands(struct stranger *honest)
{
    for (int i = 0; i < HONEST_ROUNDS && !auth_is_over(&honest->auth); i++) {
        accept_one();
        if (stranger_shake_hands(honest, 1))
            continue;
        struct pollfd entries[2] = {{.fd = pipc_server_fd(s.server), .events = POLLIN},
                                    {.fd = honest->fd, .events = POLLIN}};
        poll(entries, 2, HONEST_POLL_MS);
    }
    FUZZ_CHECK(honest->auth.state == AUTH_DONE, "an honest client is turned away");
}

static void check_honest(void)
{
    static uint64_t dice = 1;
    uint8_t token[TOKEN], frame[4 + TOKEN];
    struct stranger honest = {.fd = -1};
    for (int i = 0; i < TOKEN; i++)
        token[i] = (uint8_t)fuzz_random(&dice); /* nobody else says this */
    connect_client(&honest, STRANGER_KNOWS);
    if (s.has_key)
        shake_hands(&honest);
    FUZZ_CHECK(serve_honest(&honest, token), "an honest client is not served");
    struct pollfd entry = {.fd = honest.fd, .events = POLLIN};
    FUZZ_CHECK(poll(&entry, 1, 10000) == 1 && recv(honest.fd, frame, sizeof frame, 0) == 20 &&
                   memcmp(frame + 4, token, TOKEN) == 0,
               "an honest client gets no answer");
    stranger_hang_up(&honest);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_fds before = fuzz_fds_now();
    struct fuzz_input in = {bytes, size};
    open_server(&in);
    s.in = in;
    for (int i = 0; i < STEPS_MAX && !fuzz_is_over(&s.in); i++)
        take_step();
    check_honest();
    for (int i = 0; i < CLIENTS; i++)
        stranger_hang_up(&s.client[i]);
    while (s.handles > 0)
        close_handle(0);
    pipc_server_close(s.server);
    fuzz_fds_check(&before);
    return 0;
}
