/* SPDX-License-Identifier: MIT */
/*
 * Nothing reports that a server has begun to listen, so the client tries again and again. It tries
 * at most 20 times a second: a server is found within 50 ms.
 */
#include "rendezvous/unix.h"

#include <errno.h>
#include <pthread.h>

#include "rendezvous/handshake.h"
#include "rendezvous/limit.h"
#include "sys/sys.h"
#include "sys/sys_net.h"
#include "sys/sys_unix.h"

#define UNIX_PAUSE (50 * SYS_MILLISECOND)

struct unix_rendezvous {
    const struct unix_request *request;
    struct limit limit;
    struct handshake *handshake; /* NULL: not connected */
    int64_t connect_at;          /* the next try */
};

static void close_handshake(void *rendezvous)
{
    struct unix_rendezvous *r = rendezvous;
    handshake_close(r->handshake);
    r->handshake = NULL;
}

static int try_again_later(struct unix_rendezvous *r)
{
    r->connect_at = sys_now() + UNIX_PAUSE;
    return 0;
}

/* No server is there, or none that has room for one more. */
static bool is_absent(int error)
{
    return error == ENOENT || error == ECONNREFUSED || error == EAGAIN;
}

/* 1: connected, *fd has no key to show; 0: go on later; -1: errno. */
static int begin_connection(struct unix_rendezvous *r, int *fd)
{
    if (sys_now() < r->connect_at)
        return 0;
    *fd = sys_unix_connect(r->request->path);
    if (*fd < 0)
        return is_absent(errno) ? try_again_later(r) : -1;
    if (r->request->key.bytes == NULL)
        return 1;
    r->handshake = handshake_begin(*fd, &r->request->key);
    if (r->handshake == NULL)
        sys_socket_shutdown(*fd);
    return r->handshake == NULL ? -1 : 0;
}

/* The server closed before the handshake was done, or was silent: as if none were there. */
static bool is_turned_away(int error)
{
    return error == ECONNRESET || error == EPIPE || error == ETIMEDOUT;
}

static int step_handshake(struct unix_rendezvous *r, int *fd)
{
    int there = handshake_step(r->handshake);
    if (there > 0) {
        *fd = handshake_release(r->handshake);
        r->handshake = NULL;
    }
    if (there >= 0)
        return there;
    int error = errno;
    close_handshake(r);
    errno = error;
    return is_turned_away(error) ? try_again_later(r) : -1;
}

/* 1: *fd is it; 0: not yet; -1: errno. */
static int step(struct unix_rendezvous *r, int *fd)
{
    int there = r->handshake == NULL ? begin_connection(r, fd) : 0;
    return r->handshake == NULL ? there : step_handshake(r, fd);
}

static int wait_until(struct unix_rendezvous *r, struct pollfd *entry, int64_t until)
{
    enum limit_result result;
    pthread_cleanup_push(close_handshake, r); /* the thread may be cancelled here */
    result = limit_poll(&r->limit, entry, entry != NULL, until);
    pthread_cleanup_pop(0);
    return result == LIMIT_GOES_ON ? 0 : -1;
}

static int wait_for_event(struct unix_rendezvous *r)
{
    if (r->handshake == NULL)
        return wait_until(r, NULL, r->connect_at);
    short events = handshake_wants_out(r->handshake) ? POLLOUT : POLLIN;
    struct pollfd entry = {.fd = r->handshake->fd, .events = events};
    return wait_until(r, &entry, r->handshake->deadline);
}

int unix_open(const struct unix_request *request)
{
    struct unix_rendezvous r = {.request = request,
                                .limit = limit_of(request->timeout_ms, request->interruptible)};
    int fd = -1, there;
    while ((there = step(&r, &fd)) == 0 && wait_for_event(&r) == 0)
        continue;
    int error = errno;
    close_handshake(&r);
    errno = error;
    return there > 0 ? fd : -1;
}
