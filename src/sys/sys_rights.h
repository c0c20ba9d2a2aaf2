/* SPDX-License-Identifier: MIT */
/*
 * The seam's calls for descriptors that travel with the bytes of a stream socket of this host
 * (SCM_RIGHTS), with the rules of sys.h.
 */
#ifndef PIPC_SYS_RIGHTS_H
#define PIPC_SYS_RIGHTS_H

#include <stdbool.h>

/*
 * May the peer send descriptors here? Where the kernel knows no such switch (before Linux 6.16), it
 * may always, and this does nothing. Sockets that are accepted have it from their listener, as it
 * was when they connected.
 */
void sys_rights_permit(int fd, bool permit);

#endif
