/* SPDX-License-Identifier: MIT */
/* The C library's own names are not in all of them, and may allocate. */
#include "trace/trace_errno.h"

#include <errno.h>
#include <stddef.h>

#define NAME(error)   \
    {                 \
        error, #error \
    }

static const struct {
    int error;
    const char *name;
} names[] = {NAME(EACCES),       NAME(EADDRINUSE),   NAME(EADDRNOTAVAIL), NAME(EAFNOSUPPORT),
             NAME(EAGAIN),       NAME(EBADF),        NAME(EBUSY),         NAME(ECONNABORTED),
             NAME(ECONNREFUSED), NAME(ECONNRESET),   NAME(EEXIST),        NAME(EFBIG),
             NAME(EHOSTDOWN),    NAME(EHOSTUNREACH), NAME(EINTR),         NAME(EINVAL),
             NAME(EIO),          NAME(ELOOP),        NAME(EMFILE),        NAME(EMSGSIZE),
             NAME(ENAMETOOLONG), NAME(ENETDOWN),     NAME(ENETUNREACH),   NAME(ENFILE),
             NAME(ENOBUFS),      NAME(ENOENT),       NAME(ENOMEM),        NAME(ENOSPC),
             NAME(ENOSYS),       NAME(ENOTCONN),     NAME(ENOTDIR),       NAME(ENOTSOCK),
             NAME(EOPNOTSUPP),   NAME(EPERM),        NAME(EPIPE),         NAME(EPROTO),
             NAME(EPROTOTYPE),   NAME(ERANGE),       NAME(EROFS),         NAME(ESHUTDOWN),
             NAME(ETIMEDOUT),    NAME(ETOOMANYREFS)};

const char *trace_errno_name(int error)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].error == error)
            return names[i].name;
    return NULL;
}
