/* SPDX-License-Identifier: MIT */
/*
 * The seam's calls for sockets of this host (AF_UNIX), with the rules of sys.h: sockets on a path
 * or on a name of the abstract namespace, and who is at their other end. Knows nothing of servers.
 * All sockets here are stream sockets and do not block. Without `accepts_fds`, their peers cannot
 * send descriptors to them (sys_rights.h); what is accepted has it from its listener.
 *
 * A path of any length works: what does not fit into a socket's address (107 bytes) is reached by
 * a descriptor of it, through /proc. ENAMETOOLONG: there is no /proc.
 *
 * Where POSIX is all there is: names of the abstract namespace, a relative path after the process
 * has gone to another directory, and credentials are EOPNOTSUPP.
 */
#ifndef PIPC_SYS_UNIX_H
#define PIPC_SYS_UNIX_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/sys_file.h"

/* "@NAME" is a name of the abstract namespace; all else is a path. */
bool sys_unix_is_abstract(const char *path);
/*
 * A connected socket. A relative path begins in `directory`, which needs /proc as a long path does
 * unless it is sys_file_cwd. Nobody listens there: ENOENT, ECONNREFUSED. EAGAIN: too many wait
 * already. ENOTSOCK: something else is there. EPROTOTYPE: a socket of another type.
 */
int sys_unix_connect(int directory, const char *path, bool accepts_fds);

/* A socket on an abstract name. EADDRINUSE; ENAMETOOLONG; EINVAL: the name is empty. */
int sys_unix_bind_abstract(const char *name, bool accepts_fds);
/*
 * A socket on `name` in a directory. Its access is `access` without the umask. EADDRINUSE:
 * something is there. Where there is no /proc, by `path`, which may lead elsewhere by now.
 */
int sys_unix_bind(int directory, const char *name, const char *path, unsigned access,
                  bool accepts_fds);
int sys_unix_listen(int fd);

/*
 * A descriptor of the file itself, not even of the right to read it; no symlink is followed. Where
 * nothing can open such a file, it is a descriptor of something else, and the status is of the
 * name.
 */
int sys_unix_open_file(int directory, const char *name, struct sys_file_status *status);
/* For a socket's file. EOPNOTSUPP: before Linux 6.6 there is no way without /proc. */
int sys_unix_set_access(int file, int directory, const char *name, unsigned access);
/*
 * Of a socket's file. 1: no process has a socket on it, and none ever will again. 0: one has, or
 * this process may not know. -1: it cannot be found out. `path`: another way to it.
 */
int sys_unix_is_dead(int file, const char *path, const struct sys_file_status *status);

/* As the kernel vouches for them. */
struct sys_credentials {
    int64_t pid; /* 0: not visible here */
    uint32_t uid, gid;
};
/*
 * The process that called connect(2), or at the other end listen(2). EOPNOTSUPP: no such socket,
 * or one of a socketpair, which names its maker at both ends.
 */
int sys_unix_credentials(int fd, struct sys_credentials *credentials);
/*
 * For a system that forgets them when the peer closes: those of now, for a later question. NULL,
 * and the system is to be asked then: it does not forget them, or there are none, or no memory.
 * The caller frees them. Keeps errno.
 */
struct sys_credentials *sys_unix_keep_credentials(int fd);

/*
 * The peer was this process's user, or root, when it called connect(2) or listen(2). No, where that
 * cannot be known: a user who has no number here has the one of nobody.
 */
bool sys_unix_peer_is_own_user(int fd);

/* Two that are connected to each other, close-on-exec. */
int sys_unix_pair(int fd[2]);

/* A stream socket that listens; *is_unix: one of this host. Else EINVAL, also for no socket. */
int sys_listener_check(int fd, bool *is_unix);

#endif
