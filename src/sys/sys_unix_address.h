/* SPDX-License-Identifier: MIT */
/*
 * Addresses of sockets of this host, and what is done with one. Private to src/sys: sys_unix.c
 * calls what a system does in its own way, and both call this.
 */
#ifndef PIPC_SYS_UNIX_ADDRESS_H
#define PIPC_SYS_UNIX_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sys/sys_file.h"

struct sys_unix_address {
    struct sockaddr_un kernel;
    socklen_t size;
};

/* Of exactly that length. -1: ENAMETOOLONG. */
int sys_unix_address_of(struct sys_unix_address *address, const char *text, size_t size);
int sys_unix_path_address(struct sys_unix_address *address, const char *path);
int sys_unix_too_long(void); /* -1: ENAMETOOLONG */

/*
 * Who takes no descriptors lets nobody send any, from the start: the peer could send one whose
 * closing takes as long as the peer likes (SO_LINGER), and the kernel closes it in our next call.
 */
int sys_unix_stream(bool accepts_fds);
int sys_unix_connect_to(const struct sys_unix_address *address, bool accepts_fds);
int sys_unix_bind_to(int fd, const struct sys_unix_address *address);

/*
 * What a system does in its own way. -1 and errno: EOPNOTSUPP, where it cannot.
 *
 * The address of an abstract name, "@NAME"; and that of the file a descriptor is of. ENOENT: there
 * is no way to it but its path.
 */
int sys_unix_abstract_address(struct sys_unix_address *address, const char *name);
int sys_unix_file_address(struct sys_unix_address *address, int file);
/* As sys_unix_connect, with a path that begins in a directory, or fits no address. */
int sys_unix_connect_in(int directory, const char *path, bool accepts_fds);
/* As sys_unix_bind, of a socket. */
int sys_unix_bind_in(int fd, int directory, const char *name, const char *path, unsigned access);

#endif
