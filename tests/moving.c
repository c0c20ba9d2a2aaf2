/* SPDX-License-Identifier: MIT */
/* Before cmocka, whose macros have names of our members. */
#include "api/handle.h"
#include "channel/channel_internal.h"

#include "moving.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "net.h"
#include "paths.h"

struct fd_transport *moving_transport(const pipc_t *pipe)
{
    return fd_of(channel_transport(pipe->channel));
}

enum share_state moving_state(const pipc_t *pipe)
{
    const struct share *share = moving_transport(pipe)->share;
    return share == NULL ? SHARE_NEVER : share->state;
}

void moving_expect(pipc_t *end[2], enum share_state first, enum share_state second)
{
    assert_int_equal(moving_state(end[0]), first);
    assert_int_equal(moving_state(end[1]), second);
}

bool moving_is_possible(void)
{
    struct share_memory memory;
    int fd = share_memory_make(&memory, SHARE_LIMITED);
    if (fd < 0)
        return errno != ENOSYS && errno != EPERM;
    close(fd);
    share_memory_give_up(&memory);
    return true;
}

void moving_need(void)
{
    if (!moving_is_possible())
        harness_skip("no memory to share here");
}

bool moving_has_doorbells(void)
{
    struct share_doorbell doorbell;
    int others[2];
    if (!share_doorbell_make(&doorbell, others))
        return false;
    share_doorbell_close(&doorbell);
    close(others[0]);
    close(others[1]);
    return true;
}

void moving_open_each(pipc_t *end[2], uint64_t after, const pipc_options_t *client,
                      const pipc_options_t *server)
{
    struct paths paths;
    uint64_t before = share_after;
    moving_need();
    share_after = after;
    paths_begin(&paths);
    pipc_server_t *listening = paths_serve(paths_to(&paths, "kind"), server);
    end[0] = pipc_open_unix(paths_to(&paths, "kind"), 10000, client);
    assert_non_null(end[0]);
    end[1] = pipc_server_accept(listening, 10000);
    assert_non_null(end[1]);
    pipc_server_close(listening);
    paths_end(&paths);
    share_after = before;
}

void moving_open(pipc_t *end[2], uint64_t after, const pipc_options_t *options)
{
    moving_open_each(end, after, options, options);
}

static void forget_counts(pipc_t *pipe)
{
    struct channel *c = pipe->channel;
    atomic_store(&c->messages_read, 0);
    atomic_store(&c->messages_written, 0);
}

void moving_move(pipc_t *end[2])
{
    for (int i = 1; i <= 3; i++) {
        pipc_t *from = end[i % 2], *to = end[1 - i % 2];
        assert_int_equal(pipc_write(from, "", 0), 0);
        assert_int_equal(pipc_flush(from), 0);
        assert_int_equal(pipc_skip(to), 0);
    }
    forget_counts(end[0]);
    forget_counts(end[1]);
}

/* With its first message, or as the setting says, into memory that never grows. */
void moving_open_kind(pipc_t *end[2], const pipc_options_t *options)
{
    share_large_max = 0;
    moving_open(end, (uint64_t)harness_setting("PIPC_TEST_MOVE_AFTER", 0), options);
}

static bool keeps_socket(const pipc_options_t *options)
{
    return options != NULL && (options->flags & (PIPC_DUPLEX | PIPC_ACCEPT_FDS | PIPC_GATHER |
                                                 PIPC_NO_SHARED_MEMORY)) != 0;
}

void moving_open_moved_kind(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open(end, 0, options);
    if (keeps_socket(options))
        return;
    moving_move(end);
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
}

static void open_pair_after(pipc_t *end[2], uint64_t after, const pipc_options_t *options)
{
    uint64_t before = share_pair_after;
    moving_need();
    share_pair_after = after;
    assert_int_equal(pipc_open_pair(end, options), 0);
    share_pair_after = before;
}

void moving_open_pair(pipc_t *end[2], uint64_t after)
{
    open_pair_after(end, after, NULL);
}

void moving_open_pair_kind(pipc_t *end[2], const pipc_options_t *options)
{
    open_pair_after(end, (uint64_t)harness_setting("PIPC_TEST_MOVE_AFTER", 0), options);
}

void moving_open_moved_pair_kind(pipc_t *end[2], const pipc_options_t *options)
{
    open_pair_after(end, 0, options);
    if (keeps_socket(options))
        return;
    moving_move(end);
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
}

/* --- Messages --------------------------------------------------------------------------------- */

void moving_send(pipc_t *pipe, size_t size, unsigned tag)
{
    unsigned char *data = malloc(MOVING_LARGE); /* too large for a small stack */
    harness_fill(data, size, tag);
    assert_int_equal(pipc_write(pipe, data, size), size);
    free(data);
}

void moving_receive(pipc_t *pipe, size_t size, unsigned tag)
{
    unsigned char *data = malloc(MOVING_LARGE);
    assert_int_equal(pipc_read(pipe, data, MOVING_LARGE), size);
    harness_check(data, size, tag);
    free(data);
}

void moving_close(pipc_t *end[2])
{
    pipc_close(end[1]);
    pipc_close(end[0]);
}

/* --- A plain socket at one end ---------------------------------------------------------------- */

/* The library connects; the test is a server with a plain socket. */
pipc_t *moving_raw_client(int *raw)
{
    struct paths paths;
    uint64_t before = share_after;
    moving_need();
    share_after = 0;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "raw");
    int listener = paths_listen(path, 1);
    pipc_t *pipe = pipc_open_unix(path, 10000, NULL);
    assert_non_null(pipe);
    *raw = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(*raw >= 0);
    close(listener);
    unlink(path);
    paths_end(&paths);
    share_after = before;
    return pipe;
}

/* The library accepts; the test is a client with a plain socket. */
pipc_t *moving_raw_accepted(int *raw)
{
    struct paths paths;
    uint64_t before = share_after;
    moving_need();
    share_after = 0;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "raw");
    pipc_server_t *server = paths_serve(path, NULL);
    *raw = paths_connect(path);
    assert_true(*raw >= 0);
    assert_int_equal(fcntl(*raw, F_SETFL, 0), 0);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    pipc_server_close(server);
    paths_end(&paths);
    share_after = before;
    return pipe;
}

size_t moving_frame(unsigned char *frame, const char *text)
{
    size_t size = strlen(text);
    memset(frame, 0, MOVING_HEADER);
    frame[3] = (unsigned char)size;
    memcpy(frame + MOVING_HEADER, text, size);
    return MOVING_HEADER + size;
}

void moving_say_raw(int raw, const char *text)
{
    unsigned char frame[64];
    size_t size = moving_frame(frame, text);
    assert_int_equal(send(raw, frame, size, MSG_NOSIGNAL), size);
}

void moving_expect_raw(int raw, const char *text)
{
    unsigned char frame[64], got[64];
    size_t size = moving_frame(frame, text);
    assert_int_equal(recv(raw, got, size, MSG_WAITALL), size);
    assert_memory_equal(got, frame, size);
}

/* A frame whose first byte brings descriptors. */
void moving_say_with(int raw, const char *text, const int *fds, int count)
{
    unsigned char frame[64];
    size_t size = moving_frame(frame, text);
    fds_send_raw(raw, frame, 1, fds, count);
    assert_int_equal(send(raw, frame + 1, size - 1, MSG_NOSIGNAL), size - 1);
}

/* --- A hostile peer that has the memory --- */

/* Descriptors of an offer; their number. */
static int receive_offer(int raw, int *fds)
{
    unsigned char byte;
    struct msghdr message = {.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(SHARE_OFFER_MAX * sizeof(int))];
    } control;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    assert_int_equal(recvmsg(raw, &message, MSG_CMSG_CLOEXEC), 1);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    assert_non_null(header);
    size_t size = header->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(header), size);
    return (int)(size / sizeof *fds);
}

/* The victim is a server, which has offered. Its frame has been read. */
void moving_attack_server(struct moving_attack *a)
{
    unsigned char frame[64];
    int fds[SHARE_OFFER_MAX + 1];
    *a = (struct moving_attack){.own = 1, .doorbell = SHARE_NO_DOORBELL};
    a->pipe = moving_raw_accepted(&a->raw);
    net_say(a->pipe, "offer");
    assert_int_equal(moving_state(a->pipe), SHARE_OFFERED);
    int count = receive_offer(a->raw, fds);
    a->memory = fds[0];
    assert_true(count == 1 || count == SHARE_OFFER_MAX);
    if (count > 1)
        assert_true(share_doorbell_take(&a->doorbell, fds + 1));
    assert_int_equal(recv(a->raw, frame, 8, MSG_WAITALL), 8);
    assert_int_equal(share_memory_take(&a->shared, a->memory, SHARE_LIMITED), 0);
}

static void attack_client(struct moving_attack *a, bool has_doorbell)
{
    int fds[SHARE_OFFER_MAX];
    *a = (struct moving_attack){.own = 0, .doorbell = SHARE_NO_DOORBELL};
    a->pipe = moving_raw_client(&a->raw);
    a->memory = fds[0] = share_memory_make(&a->shared, SHARE_LIMITED);
    assert_true(a->memory >= 0);
    has_doorbell = has_doorbell && share_doorbell_make(&a->doorbell, fds + 1);
    moving_say_with(a->raw, "offer", fds, has_doorbell ? SHARE_OFFER_MAX : 1);
    for (int i = 1; has_doorbell && i < SHARE_OFFER_MAX; i++)
        close(fds[i]);
    net_expect(a->pipe, "offer");
    net_say(a->pipe, "answer");
    assert_int_equal(moving_state(a->pipe), SHARE_LEAVING);
}

/* The victim is a client, which has accepted. */
void moving_attack_client(struct moving_attack *a)
{
    attack_client(a, true);
}

void moving_attack_client_without_doorbell(struct moving_attack *a)
{
    attack_client(a, false);
}

void moving_end_attack(struct moving_attack *a)
{
    pipc_close(a->pipe);
    share_memory_give_up(&a->shared);
    share_doorbell_close(&a->doorbell);
    close(a->memory);
    close(a->raw);
}

void moving_ring(struct moving_attack *a)
{
    if (atomic_load(&a->shared.page->end[1 - a->own].doorbell) != 0)
        assert_int_equal(write(a->doorbell.peers, "", 1), 1);
    else
        assert_int_equal(send(a->raw, "", 1, MSG_NOSIGNAL), 1);
}

void moving_set_mark(struct moving_attack *a, uint64_t mark)
{
    atomic_store(&a->shared.page->end[a->own].mark, mark);
}

/* Bytes of the attacker's ring, as an honest writer puts them there. */
void moving_write_ring(struct moving_attack *a, const void *bytes, size_t size)
{
    struct ring_words *words = &a->shared.page->ring[a->own];
    uint64_t head = atomic_load(&words->head);
    memcpy(a->shared.data[a->own] + head, bytes, size);
    atomic_store(&words->head, head + size);
}
