/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <errno.h>
#include <sys/types.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/sys_alloc.h"
#include "sys/sys_process.h"
#include "sys/sys_rights.h"
#include "sys/sys_unix.h"

/* Its own name, or the other end's. Some systems give what has no name an empty one. */
static bool has_name(int fd, bool is_own)
{
    struct sockaddr_un address = {.sun_family = AF_UNSPEC};
    struct sockaddr *where = (struct sockaddr *)&address;
    socklen_t size = sizeof address;
    int failed = is_own ? getsockname(fd, where, &size) : getpeername(fd, where, &size);
    return failed == 0 && address.sun_family == AF_UNIX && address.sun_path[0] != '\0';
}

/* The process of the peer, 0 where the system does not say. */
#if defined LOCAL_PEERPID /* macOS */
static pid_t find_process(int fd)
{
    pid_t pid = 0;
    socklen_t size = sizeof pid;
    return getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &pid, &size) == 0 ? pid : 0;
}
#elif defined LOCAL_PEEREID /* NetBSD */
static pid_t find_process(int fd)
{
    struct unpcbid peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, 0, LOCAL_PEEREID, &peer, &size) == 0 ? peer.unp_pid : 0;
}
#elif defined SO_PEERCRED   /* OpenBSD */
static pid_t find_process(int fd)
{
    struct sockpeercred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}
#else                       /* FreeBSD */
static pid_t find_process(int fd)
{
    (void)fd;
    return 0;
}
#endif

int sys_unix_credentials(int fd, struct sys_credentials *credentials)
{
    uid_t user;
    gid_t group;
    if (!has_name(fd, true) && !has_name(fd, false)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (getpeereid(fd, &user, &group) != 0)
        return -1;
    int saved = errno;
    *credentials = (struct sys_credentials){find_process(fd), user, group};
    errno = saved;
    return 0;
}

/* The peer's name goes when it closes, and on macOS its process is not known any more. */
struct sys_credentials *sys_unix_keep_credentials(int fd)
{
    int saved = errno;
    struct sys_credentials found, *kept = NULL;
    if (sys_unix_credentials(fd, &found) == 0)
        kept = sys_alloc(sizeof *kept);
    if (kept != NULL)
        *kept = found;
    errno = saved;
    return kept;
}

bool sys_unix_peer_is_own_user(int fd)
{
    uid_t user;
    gid_t group;
    return getpeereid(fd, &user, &group) == 0 && (user == 0 || user == sys_user_id());
}

/*
 * Descriptors do not travel. A reader has to look at them before it takes them, and these systems
 * answer such a look (MSG_PEEK) with numbers that are no descriptors.
 */
int sys_rights_are_carried(int fd)
{
    (void)fd;
    return 0;
}
#endif
