/* SPDX-License-Identifier: MIT */
/*
 * Nothing reports that a server has begun to listen, so the client tries again and again. It tries
 * at most 20 times a second: a server is found within 50 ms.
 */
#include "rendezvous/unix.h"

#include <errno.h>

#include "rendezvous/handshake.h"
#include "rendezvous/rendezvous.h"
#include "sys/sys.h"
#include "sys/sys_file.h"
#include "sys/sys_net.h"
#include "sys/sys_unix.h"
#include "trace/trace.h"

#define UNIX_PAUSE (50 * SYS_MILLISECOND)

struct unix_machine {
    struct rendezvous base;
    const char *path;
    struct auth_key key;
    bool keeps_directory, accepts_fds;
    int directory;               /* where a relative path begins, once it is kept */
    struct handshake *handshake; /* NULL: not connected */
    int64_t connect_at;          /* the next try */
    int reported;                /* why the last one failed, as the trace says */
};

_Static_assert(offsetof(struct unix_machine, base) == 0, "unix_of casts");

static struct unix_machine *unix_of(struct rendezvous *rendezvous)
{
    return (struct unix_machine *)rendezvous;
}

/* It tries many times a second: what is new is worth a line. */
static void report_failure(struct unix_machine *u, const char *what)
{
    if (errno != u->reported)
        trace(u->base.handle, TRACE_RENDEZVOUS, what, NULL, errno);
    u->reported = errno;
}

static enum rendezvous_result try_again_later(struct unix_machine *u)
{
    u->connect_at = sys_now() + UNIX_PAUSE;
    return RENDEZVOUS_AGAIN;
}

/* No server is there, or none that has room for one more. */
static bool is_absent(int error)
{
    return error == ENOENT || error == ECONNREFUSED || error == EAGAIN;
}

static bool is_relative(const char *path)
{
    return path[0] != '/' && !sys_unix_is_abstract(path);
}

/* One may be in a directory that one may not read: then the path begins where each try finds it. */
static int keep_directory(struct unix_machine *u)
{
    if (!u->keeps_directory || !is_relative(u->path))
        return 0;
    u->keeps_directory = false;
    int fd = sys_file_open_directory(sys_file_cwd, ".");
    if (fd < 0)
        return errno == EACCES ? 0 : -1;
    u->directory = fd;
    return 0;
}

static enum rendezvous_result connected(int fd, int fds[2])
{
    fds[0] = fds[1] = fd;
    return RENDEZVOUS_DONE;
}

static enum rendezvous_result begin_connection(struct unix_machine *u, int fds[2])
{
    if (sys_now() < u->connect_at)
        return RENDEZVOUS_AGAIN;
    if (keep_directory(u) != 0)
        return RENDEZVOUS_FAILED;
    int fd = sys_unix_connect(u->directory, u->path, u->accepts_fds && u->key.bytes == NULL);
    if (fd < 0) {
        report_failure(u, "no server takes this side in");
        return is_absent(errno) ? try_again_later(u) : RENDEZVOUS_FAILED;
    }
    trace(u->base.handle, TRACE_RENDEZVOUS, "connected", NULL, 0);
    if (u->key.bytes == NULL)
        return connected(fd, fds);
    u->handshake = handshake_begin(fd, &u->key);
    if (u->handshake == NULL) {
        sys_socket_shutdown(fd);
        return RENDEZVOUS_FAILED;
    }
    u->handshake->accepts_fds = u->accepts_fds;
    u->handshake->traced_as = u->base.handle;
    return RENDEZVOUS_AGAIN;
}

/* The server closed before the handshake was done, or was silent: as if none were there. */
static bool is_turned_away(int error)
{
    return error == ECONNRESET || error == EPIPE || error == ETIMEDOUT;
}

static enum rendezvous_result step_handshake(struct unix_machine *u, int fds[2])
{
    struct handshake *h = u->handshake;
    int there = handshake_step(h);
    if (there == 0)
        return RENDEZVOUS_AGAIN;
    u->handshake = NULL;
    if (there > 0)
        return connected(handshake_release(h), fds);
    handshake_close(h);
    return is_turned_away(errno) ? try_again_later(u) : RENDEZVOUS_FAILED;
}

static enum rendezvous_result unix_step(struct rendezvous *rendezvous, int fds[2])
{
    struct unix_machine *u = unix_of(rendezvous);
    enum rendezvous_result result =
        u->handshake == NULL ? begin_connection(u, fds) : RENDEZVOUS_AGAIN;
    return u->handshake == NULL ? result : step_handshake(u, fds);
}

static void unix_interests(struct rendezvous *rendezvous, struct rendezvous_interests *what)
{
    struct unix_machine *u = unix_of(rendezvous);
    what->until = u->connect_at;
    if (u->handshake == NULL)
        return;
    what->until = handshake_entry(u->handshake, &what->fds[0]);
    what->count = 1;
}

static enum rendezvous_result unix_give_up(struct rendezvous *rendezvous, int error, int fds[2])
{
    (void)rendezvous;
    (void)fds;
    errno = error;
    return RENDEZVOUS_FAILED;
}

static void unix_close(struct rendezvous *rendezvous, bool is_opener)
{
    struct unix_machine *u = unix_of(rendezvous);
    if (u->handshake != NULL && is_opener)
        handshake_close(u->handshake);
    else if (u->handshake != NULL)
        handshake_abandon(u->handshake);
    sys_close(u->directory); /* sys_file_cwd is negative */
    rendezvous_free(u, &u->key);
}

static const struct rendezvous_ops unix_ops = {unix_step, unix_interests, unix_give_up, unix_close};

struct rendezvous *unix_rendezvous(const struct unix_request *request)
{
    const char *path = request->path;
    struct auth_key key = request->key;
    const struct rendezvous_loan loan = {{&path}, &key};
    struct unix_machine *u = rendezvous_new(sizeof *u, &loan);
    if (u == NULL)
        return NULL;
    *u = (struct unix_machine){
        .base = {&unix_ops, request->limit, .is_socket = true, .carries_fds = true},
        .path = path,
        .key = key,
        .keeps_directory = request->keeps_directory,
        .accepts_fds = request->accepts_fds,
        .directory = sys_file_cwd};
    return &u->base;
}
