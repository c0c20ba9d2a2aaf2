/* SPDX-License-Identifier: MIT */
/*
 * Servers that start at once must agree on one, a name that a killed server left must not stop
 * them, and nobody may find a socket that does not listen yet. So:
 *
 *   1. bind the socket to a random private name in the directory, set its access, and listen;
 *   2. link it to its name, which fails if something is there (EEXIST);
 *   3. if that is a socket file that no process has bound, it is dead: a bound file is never bound
 *      again. Remove it, as below, and go to 2. Anything else stays, and the server fails;
 *   4. remove what killed starters of this user left, and the private name.
 *
 * To remove a dead file needs a claim on it. Otherwise, of two starters that have seen the same
 * dead file, the slower one would remove the name of the faster one's new server. Nor would it do
 * to move the name away, look, and move it back: a third starter could come meanwhile, and a kill
 * would leave the live server without a name. A lock serves no better: any program that may read
 * the directory could hold one of the directory, and one of a file would outlive its holder in
 * forked children, and other users could not open it.
 *
 * So the claim on a name of a file is the name .pipc-old-I in the directory, as one more link to
 * the socket of the starter that makes it. I is made of the file's inode and of the name. It is
 * there at most once (EEXIST), nobody can make it without permission to write to the directory,
 * and the kernel knows whether its maker lives, as of any other socket. The name, because the
 * number of an inode is used again: of two dead files, each could have a claim that was made for an
 * earlier one and leads to the other, and then nobody could ever remove either. The rules:
 *
 *   - Only a starter that has the claim on a dead file removes it. It first checks that the name is
 *     still that file. It has the file open all the time, so that no other one gets this inode.
 *   - A claim whose maker lives: another server is starting, EADDRINUSE. That is no deadlock, since
 *     a starter that has a claim looks at no other claim before it gives it up, and then goes on.
 *     The last one to go on finds the name free, or live.
 *   - A claim whose maker is dead is a dead file like any other. It is removed under a claim on it.
 *
 * Programs that know nothing of claims may put something at the name between the check and the
 * removal. So the name is first moved to a random one, looked at there, and moved back if it is not
 * the dead file. Where the kernel or the file system cannot do that, it is just removed.
 *
 * A process that is killed leaves dead sockets at its name, at its private one, and at one claim.
 * They stop nobody, and the next server that starts in the directory removes them.
 */
#include "rendezvous/unix_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/sys.h"
#include "sys/sys_random.h"
#include "sys/sys_unix.h"

#define RESERVED_BEGIN ".pipc-"
#define PRIVATE_BEGIN  RESERVED_BEGIN "new-"
#define CLAIM_BEGIN    RESERVED_BEGIN "old-"

enum { NAME_TRIES = 16 };

const struct unix_name unix_name_none = {.directory = -1};

/* ---- paths ---- */

/* Only for systems without /proc: by the directory's descriptor it is surer. */
static const char *path_to(struct unix_name *n, const char *name)
{
    snprintf(n->path + n->before, n->room, "%s", name);
    return n->path;
}

static bool is_reserved(const char *name)
{
    return strncmp(name, RESERVED_BEGIN, strlen(RESERVED_BEGIN)) == 0;
}

static bool is_name(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           !is_reserved(name);
}

static int find_directory(struct unix_name *n, const char *path)
{
    const char *slash = strrchr(path, '/'), *last = slash == NULL ? path : slash + 1;
    size_t length = strlen(last);
    if (!is_name(last)) {
        errno = EINVAL;
        return -1;
    }
    n->before = (size_t)(last - path);
    n->name = sys_alloc(length + 1);
    n->room = length + UNIX_NAME_PRIVATE_MAX;
    n->path = sys_alloc(n->before + n->room);
    if (n->name == NULL || n->path == NULL)
        return -1;
    memcpy(n->name, last, length + 1);
    memcpy(n->path, path, n->before);
    /* "DIR/." also when DIR is a symlink, as it may be for connect(2). */
    n->directory = sys_file_open_directory(sys_file_cwd, path_to(n, "."));
    return n->directory < 0 ? -1 : 0;
}

static int choose_private_name(char name[UNIX_NAME_PRIVATE_MAX])
{
    uint64_t number;
    if (sys_random(&number, sizeof number) != 0)
        return -1;
    snprintf(name, UNIX_NAME_PRIVATE_MAX, PRIVATE_BEGIN "%016llx", (unsigned long long)number);
    return 0;
}

/* ---- removing ---- */

static bool is_same(const struct sys_file_status *a, const struct sys_file_status *b)
{
    return a->device == b->device && a->inode == b->inode;
}

static bool is_file(int directory, const char *name, const struct sys_file_status *file)
{
    struct sys_file_status found;
    return sys_file_status_at(directory, name, &found) == 0 && is_same(&found, file);
}

/* Who cleans up may have found it at its random name, and been faster. */
static int remove_name(int directory, const char *name)
{
    return sys_file_remove(directory, name) == 0 || errno == ENOENT ? 0 : -1;
}

/* 0: the name is not that file, or not any more. */
static int take_away(int directory, const char *name, const struct sys_file_status *file)
{
    char away[UNIX_NAME_PRIVATE_MAX];
    if (!is_file(directory, name, file))
        return 0;
    if (choose_private_name(away) != 0 || sys_file_rename_new(directory, name, away) != 0)
        return remove_name(directory, name);
    if (is_file(directory, away, file))
        return remove_name(directory, away);
    sys_file_rename_new(directory, away, name); /* it came in between, and is somebody else's */
    return 0;
}

/* FNV-1a, from the inode on. */
static void name_claim(char claim[UNIX_NAME_PRIVATE_MAX], const char *name,
                       const struct sys_file_status *file)
{
    uint64_t id = file->inode ^ UINT64_C(0xcbf29ce484222325);
    for (; *name != '\0'; name++)
        id = (id ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    snprintf(claim, UNIX_NAME_PRIVATE_MAX, CLAIM_BEGIN "%016llx", (unsigned long long)id);
}

/*
 * *is_claimed: another starter has the claim, or had it when it was killed. Where a socket's file
 * cannot be held open, a new one may have its inode by now: so under the claim it is asked again.
 */
static int take_away_claimed(struct unix_name *n, const char *name, int file,
                             const struct sys_file_status *dead, bool *is_claimed)
{
    char claim[UNIX_NAME_PRIVATE_MAX];
    name_claim(claim, name, dead);
    if (sys_file_link(n->directory, n->private_name, claim) != 0) {
        *is_claimed = errno == EEXIST;
        return -1;
    }
    bool is_dead = sys_unix_is_dead(file, path_to(n, name), dead) > 0;
    int result = is_dead ? take_away(n->directory, name, dead) : 0;
    int error = errno;
    take_away(n->directory, claim, &n->file);
    /* Another user left it, and it is not ours to remove. */
    errno = error == EPERM || error == EACCES ? EADDRINUSE : error;
    return result;
}

static int open_socket_file(int directory, const char *name, struct sys_file_status *status)
{
    int file = sys_unix_open_file(directory, name, status);
    if (file < 0 || status->is_socket)
        return file;
    sys_close(file);
    errno = EEXIST;
    return -1;
}

/*
 * 1: the name, or a dead claim that was in the way, is gone: look again. 0: nothing was there. -1:
 * EADDRINUSE; EEXIST, it is no socket.
 */
static int remove_dead(struct unix_name *n, const char *name, int depth)
{
    struct sys_file_status status;
    int file = open_socket_file(n->directory, name, &status);
    if (file < 0)
        return errno == ENOENT ? 0 : -1;
    bool is_claimed = false;
    int result = -1, is_dead = sys_unix_is_dead(file, path_to(n, name), &status);
    bool is_gone = is_dead < 0 && errno == ENOENT; /* by now; looked for by its path */
    if (is_gone || (is_dead > 0 && take_away_claimed(n, name, file, &status, &is_claimed) == 0))
        result = 1;
    if (is_dead == 0 || (is_claimed && depth == NAME_TRIES)) {
        errno = EADDRINUSE;
    } else if (is_claimed) {
        char claim[UNIX_NAME_PRIVATE_MAX];
        name_claim(claim, name, &status);
        result = remove_dead(n, claim, depth + 1) < 0 ? -1 : 1;
    }
    sys_close(file);
    return result;
}

static void remove_leftover(void *context, const char *name)
{
    struct unix_name *n = context;
    struct sys_file_status found;
    if (!is_reserved(name) || strlen(name) >= UNIX_NAME_PRIVATE_MAX ||
        sys_file_status_at(n->directory, name, &found) != 0 || !found.is_socket || !found.is_own)
        return;
    for (int tries = 0; tries < NAME_TRIES && remove_dead(n, name, 0) > 0; tries++)
        continue;
}

/* ---- the private name ---- */

static int bind_to_private_name(struct unix_name *n, unsigned access, bool accepts_fds)
{
    char name[UNIX_NAME_PRIVATE_MAX];
    if (choose_private_name(name) != 0)
        return -1;
    int fd = sys_unix_bind(n->directory, name, path_to(n, name), access, accepts_fds);
    if (fd >= 0)
        memcpy(n->private_name, name, sizeof name);
    return fd;
}

static bool is_possibly_ours(const struct sys_file_status *found)
{
    return found->is_socket && found->is_own;
}

/* The umask belongs to the whole process, all threads of it: it is left alone and corrected. */
static int note_file(struct unix_name *n, unsigned access)
{
    struct sys_file_status made = {.is_socket = false};
    int file = sys_unix_open_file(n->directory, n->private_name, &made);
    int result = 0;
    if (file < 0)
        return -1;
    if (is_possibly_ours(&made)) {
        n->file = made;
    } else {
        errno = EACCES; /* somebody put something else there */
        result = -1;
    }
    if (result == 0 && made.access != access)
        result = sys_unix_set_access(file, n->directory, n->private_name, access);
    sys_close(file);
    return result;
}

static void remove_private_name(struct unix_name *n)
{
    struct sys_file_status found = n->file;
    if (n->private_name[0] == '\0')
        return;
    if (found.inode != 0 || (sys_file_status_at(n->directory, n->private_name, &found) == 0 &&
                             is_possibly_ours(&found)))
        take_away(n->directory, n->private_name, &found);
    n->private_name[0] = '\0';
}

static int listen_on_private_name(struct unix_name *n, unsigned access, bool accepts_fds)
{
    int fd = bind_to_private_name(n, access, accepts_fds);
    if (fd < 0 || (note_file(n, access) == 0 && sys_unix_listen(fd) == 0))
        return fd;
    sys_close(fd);
    return -1;
}

static int listen_on_abstract_name(const char *path, bool accepts_fds)
{
    int fd = sys_unix_bind_abstract(path, accepts_fds);
    if (fd < 0 || sys_unix_listen(fd) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

int unix_name_listen(struct unix_name *n, const char *path, unsigned access, bool accepts_fds)
{
    *n = unix_name_none;
    if (sys_unix_is_abstract(path))
        return listen_on_abstract_name(path, accepts_fds);
    return find_directory(n, path) == 0 ? listen_on_private_name(n, access, accepts_fds) : -1;
}

/* ---- the name ---- */

static int link_to_name(struct unix_name *n)
{
    for (int tries = 0; tries < NAME_TRIES; tries++) {
        if (sys_file_link(n->directory, n->private_name, n->name) == 0)
            return 0;
        if (errno != EEXIST || remove_dead(n, n->name, 0) < 0)
            return -1;
    }
    errno = EADDRINUSE; /* foreign programs put one after the other there */
    return -1;
}

/* Somebody who may write to the directory can have moved the private name. */
static int check_name(const struct unix_name *n)
{
    struct sys_file_status found;
    if (sys_file_status_at(n->directory, n->name, &found) != 0)
        return -1;
    if (is_same(&found, &n->file))
        return 0;
    errno = EACCES;
    return -1;
}

int unix_name_publish(struct unix_name *n)
{
    if (n->directory < 0)
        return 0;
    if (link_to_name(n) != 0)
        return -1;
    n->is_published = true;
    if (check_name(n) != 0)
        return -1;
    sys_file_list(n->directory, remove_leftover, n); /* while there is a private name to link */
    remove_private_name(n);
    return 0;
}

void unix_name_close(struct unix_name *n, bool remove)
{
    int saved = errno;
    if (remove && n->is_published)
        take_away(n->directory, n->name, &n->file);
    if (remove)
        remove_private_name(n);
    sys_close(n->directory);
    sys_free(n->name);
    sys_free(n->path);
    *n = unix_name_none;
    errno = saved;
}
