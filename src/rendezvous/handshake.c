/* SPDX-License-Identifier: MIT */
#include "rendezvous/handshake.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "sys/self.h"
#include "sys/sys.h"
#include "sys/sys_random.h"

/* Ample for an exchange of six short frames across the world, short enough that the silent do not pile up. */
#define HANDSHAKE_NS ((int64_t)10 * 1000000000)
/* A connect that is not answered; the kernel knows after 3 s that no host is there. */
#define CONNECT_NS ((int64_t)4 * 1000000000)

/*
 * The mark of this process: all its threads see the same, and a child after fork another. Each
 * part stands beside the number of the process that chose it: a child finds its parent's outdated.
 * Of threads that choose at the same time, the first decides: `mark` comes as 16 random bytes, and
 * leaves as what was decided.
 */
static void agree_on_mark(uint8_t mark[AUTH_MARK])
{
    enum { PARTS = AUTH_MARK / sizeof(uint32_t) };
    static _Atomic uint64_t agreed[PARTS]; /* upper half: the process; lower half: of the mark */
    uint32_t parts[PARTS];
    uint64_t process = (uint64_t)self_process() << 32;
    memcpy(parts, mark, sizeof parts);
    for (int i = 0; i < PARTS; i++) {
        uint64_t part = atomic_load(&agreed[i]);
        while (part >> 32 != process >> 32)
            if (atomic_compare_exchange_weak(&agreed[i], &part, process | parts[i]))
                part = process | parts[i];
        parts[i] = (uint32_t)part;
    }
    memcpy(mark, parts, sizeof parts);
}

static int start_auth(struct handshake *h, bool accepting)
{
    uint8_t random[AUTH_NONCE + AUTH_MARK], *mark = random + AUTH_NONCE;
    if (h->key.bytes == NULL)
        return 0;
    if (sys_random(random, sizeof random) != 0)
        return -1;
    agree_on_mark(mark);
    auth_init(&h->auth, accepting, &h->key, random, mark);
    return 0;
}

static struct handshake *new_handshake(const struct auth_key *key, int64_t time)
{
    struct handshake *h = sys_alloc(sizeof *h);
    if (h != NULL)
        *h = (struct handshake){.fd = -1, .deadline = sys_now() + time, .key = *key};
    return h;
}

struct handshake *handshake_accept(int fd, const struct auth_key *key)
{
    struct handshake *h = new_handshake(key, HANDSHAKE_NS);
    if (h == NULL)
        return NULL;
    if (start_auth(h, true) != 0) {
        sys_free(h);
        return NULL;
    }
    h->fd = fd;
    return h;
}

struct handshake *handshake_connect(const struct sys_address *address, const struct auth_key *key)
{
    struct handshake *h = new_handshake(key, CONNECT_NS);
    if (h == NULL)
        return NULL;
    h->connecting = true;
    if (start_auth(h, false) != 0 || (h->fd = sys_connect(address)) < 0) {
        handshake_drop(h);
        return NULL;
    }
    return h;
}

/* A connect to a free port of this machine can meet itself. */
static bool is_self(int fd)
{
    struct sys_address own, peer;
    return sys_local_address(fd, &own) == 0 && sys_peer_address(fd, &peer) == 0 &&
           own.port == peer.port && sys_same_host(&own, &peer);
}

static int finish_connecting(struct handshake *h)
{
    if (sys_connected(h->fd) != 0)
        return errno == EINPROGRESS ? 0 : -1;
    if (is_self(h->fd)) {
        errno = ECONNREFUSED;
        return -1;
    }
    h->connecting = false;
    h->deadline = sys_now() + HANDSHAKE_NS;
    return 1;
}

/* 1: all is sent; 0: not now. */
static int send_output(struct handshake *h)
{
    const uint8_t *bytes;
    size_t size;
    while ((size = auth_output(&h->auth, &bytes)) > 0) {
        struct iovec part = {(void *)(uintptr_t)bytes, size};
        ssize_t sent = sys_writev(h->fd, SYS_SOCKET, &part, 1);
        if (sent < 0)
            return errno == EAGAIN ? 0 : -1;
        auth_sent(&h->auth, (size_t)sent);
    }
    return 1;
}

/* 1: all that was wanted has come; 0: not yet. */
static int take_input(struct handshake *h)
{
    uint8_t *where;
    size_t size;
    while ((size = auth_wants(&h->auth, &where)) > 0) {
        ssize_t got = sys_read(h->fd, SYS_SOCKET, where, size);
        if (got == 0)
            errno = ECONNRESET;
        if (got <= 0)
            return got < 0 && errno == EAGAIN ? 0 : -1;
        auth_received(&h->auth, (size_t)got);
    }
    return 1;
}

static int authenticate(struct handshake *h)
{
    int there = 1;
    while (there > 0 && !auth_is_over(&h->auth)) {
        there = send_output(h);
        if (there > 0)
            there = take_input(h);
    }
    if (h->auth.state != AUTH_REFUSED)
        return there;
    errno = EACCES; /* also when the word that says so has not gone through */
    return there == 0 ? 0 : -1;
}

int handshake_step(struct handshake *h)
{
    int there = h->connecting ? finish_connecting(h) : 1;
    if (there > 0 && h->key.bytes != NULL)
        there = authenticate(h);
    if (there == 0 && sys_now() >= h->deadline) {
        errno = ETIMEDOUT;
        return -1;
    }
    return there;
}

bool handshake_has_shown_key(const struct handshake *h)
{
    return h->auth.state != AUTH_AWAITS_RESPONSE && h->auth.state != AUTH_REFUSED;
}

bool handshake_wants_out(const struct handshake *h)
{
    const uint8_t *bytes;
    return h->connecting || auth_output(&h->auth, &bytes) > 0;
}

int handshake_release(struct handshake *h)
{
    int fd = h->fd;
    auth_fini(&h->auth);
    sys_free(h);
    return fd;
}

void handshake_drop(struct handshake *h)
{
    if (h == NULL)
        return;
    if (h->fd >= 0)
        sys_socket_shutdown(h->fd);
    handshake_release(h);
}

void handshake_cut_off(struct handshake *h)
{
    sys_socket_reset(h->fd);
    handshake_release(h);
}
