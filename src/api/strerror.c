/* SPDX-License-Identifier: MIT */
/* What the library means by an errno: section 5 of pipc.h in a sentence each. */
#include <errno.h>
#include <stddef.h>

#include "pipc.h"

struct meaning {
    int error;
    const char *text;
};

static const struct meaning meanings[] = {
    {0, "no error"},
    {EAGAIN, "nothing could be done without waiting"},
    {ETIMEDOUT, "the time was up before anything could be done"},
    {EINTR, "a signal ended the wait"},
    {EOPNOTSUPP, "this kind of pipe cannot do that, or its peer did not ask for descriptors"},
    {EMSGSIZE, "the message is larger than the buffer or the limit of the handle"},
    {ESHUTDOWN, "the peer said goodbye"},
    {EPIPE, "the peer has closed, died or ended writing, or writing was ended here"},
    {ECONNRESET, "the stream ended inside a message, or the connection was lost"},
    {EPROTO, "the bytes are no message, or announce one that is too large"},
    {EBUSY, "others hold both ends of the pipe"},
    {EPERM, "a child process cannot use this handle, or the system does not permit the call"},
    {EACCES, "the path or port does not permit it, or the key is wrong"},
    {ENOENT, "the directory or the path is missing, or the host has no address"},
    {ENOTDIR, "a part of the path is no directory"},
    {ELOOP, "the path has too many symbolic links"},
    {ENOTSOCK, "what is at the path is no socket"},
    {EPROTOTYPE, "what is at the path is a socket of another type"},
    {EADDRINUSE, "another server is there or is starting"},
    {EADDRNOTAVAIL, "this machine does not have that address"},
    {EEXIST, "what is at the path is no socket, and stays"},
    {ECONNREFUSED, "nobody listens there"},
    {EHOSTUNREACH, "the host cannot be reached"},
    {ENETUNREACH, "the network cannot be reached"},
    {EINVAL, "an argument or a kind of descriptor makes no sense, or a listener was shut down"},
    {EBADF, "a descriptor is not open"},
    {EISDIR, "a directory is no stream"},
    {ETOOMANYREFS, "too many descriptors are on their way and unread"},
    {EMFILE, "this process has no free descriptor"},
    {ENFILE, "the system has no free descriptor"},
    {ENOMEM, "there is no memory"},
    {ENOBUFS, "the system has no memory for it"},
    {EIO, "the device or the system had an error of its own"},
    {ENAMETOOLONG, "the name is too long"},
    {ENOSPC, "the file system or a limit of the system is full"},
    {EROFS, "the file system is read-only"},
    {EFBIG, "a limit on the size of files stands in the way"},
    {ERANGE, "the text does not fit into the buffer"},
};

const char *pipc_strerror(int error)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].error == error)
            return meanings[i].text;
    return "an error of the system; see errno(3)";
}
