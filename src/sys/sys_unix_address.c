/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_unix_address.h"

#include <errno.h>
#include <string.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_rights.h"
#include "sys/sys_socket.h"

int sys_unix_too_long(void)
{
    errno = ENAMETOOLONG;
    return -1;
}

int sys_unix_address_of(struct sys_unix_address *address, const char *text, size_t size)
{
    memset(address, 0, sizeof *address);
    address->kernel.sun_family = AF_UNIX;
    if (size > sizeof address->kernel.sun_path)
        return sys_unix_too_long();
    memcpy(address->kernel.sun_path, text, size);
    address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return 0;
}

int sys_unix_path_address(struct sys_unix_address *address, const char *path)
{
    return sys_unix_address_of(address, path, strlen(path) + 1);
}

int sys_unix_stream(bool accepts_fds)
{
    int fd = sys_socket_open(AF_UNIX, SOCK_STREAM);
    if (fd >= 0 && !accepts_fds)
        sys_rights_permit(fd, false);
    return fd;
}

int sys_unix_connect_to(const struct sys_unix_address *address, bool accepts_fds)
{
    int fd = sys_unix_stream(accepts_fds);
    if (fd < 0 ||
        connect_nocancel(fd, (const struct sockaddr *)&address->kernel, address->size) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

int sys_unix_bind_to(int fd, const struct sys_unix_address *address)
{
    return bind(fd, (const struct sockaddr *)&address->kernel, address->size);
}
