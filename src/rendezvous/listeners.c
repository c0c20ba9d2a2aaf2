/* SPDX-License-Identifier: MIT */
#include "rendezvous/listeners.h"

#include <errno.h>

#include "sys/sys.h"

/* Half of what may pass at most, once the lack is over. */
#define PAUSE (50 * SYS_MILLISECOND)

static int add_one(struct listeners *l, const struct sys_address *address)
{
    int fd = sys_listen(address);
    if (fd < 0)
        return -1;
    l->fd[l->count++] = fd;
    return 0;
}

/* At the same port, which is any if the first has it from the system. A host may lack IPv6. */
static int add_both_families(struct listeners *l, uint16_t port)
{
    struct sys_address own, v4 = {.family = SYS_IPV4, .port = port}, v6 = {.family = SYS_IPV6};
    if (add_one(l, &v4) != 0)
        return -1;
    int first = l->fd[l->count - 1];
    if (sys_local_address(first, &own) == 0) {
        v6.port = own.port;
        if (add_one(l, &v6) == 0 || errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)
            return 0;
    }
    sys_close(first);
    l->count--;
    return -1;
}

int listeners_add(struct listeners *l, const struct sys_address *address)
{
    if (add_one(l, address) == 0)
        return 0;
    if (address->family != SYS_ANY || errno != EOPNOTSUPP)
        return -1;
    return add_both_families(l, address->port);
}

void listeners_adopt(struct listeners *l, int fd)
{
    l->fd[l->count++] = fd;
}

void listeners_close(struct listeners *l)
{
    while (l->count > 0)
        sys_close(l->fd[--l->count]);
}

static enum listeners_result classify(int error)
{
    switch (error) {
    case EAGAIN:
        return LISTENERS_EMPTY;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return LISTENERS_SHORTAGE;
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
        return LISTENERS_LOST;
    default:
        return LISTENERS_FAILED;
    }
}

enum listeners_result listeners_ask(int listener)
{
    if (!sys_is_somebody_waiting(listener))
        return LISTENERS_EMPTY;
    return sys_look_for_end(listener) == SYS_END ? LISTENERS_STOPPED : LISTENERS_SILENT;
}

enum listeners_result listeners_accept(int listener, int *fd, struct sys_address *from)
{
    *fd = sys_accept(listener, from);
    if (*fd >= 0)
        return LISTENERS_ACCEPTED;
    int error = errno;
    enum listeners_result result = classify(error);
    if ((error == EINVAL || error == ECONNABORTED) && listeners_ask(listener) == LISTENERS_STOPPED)
        result = LISTENERS_STOPPED;
    else if (result != LISTENERS_EMPTY && result != LISTENERS_LOST &&
             !sys_is_somebody_waiting(listener))
        return LISTENERS_EMPTY;
    errno = error;
    return result;
}

void listeners_pause(struct listeners *l)
{
    l->resume_at = sys_now() + PAUSE;
}

bool listeners_are_paused(const struct listeners *l)
{
    return sys_now() < l->resume_at;
}
