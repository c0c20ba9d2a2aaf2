/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_rights.h"

#include <sys/socket.h>

#include "sys/sys_socket.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

/* ---- options ---- */

void sys_rights_permit(int fd, bool permit)
{
    sys_socket_set(fd, SOL_SOCKET, SO_PASSRIGHTS, permit);
}
