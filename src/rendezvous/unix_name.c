/* SPDX-License-Identifier: MIT */
/*
 * Servers that start at once must agree on one, a name that a killed server left must not stop
 * them, and nobody may find a socket that does not listen yet. So, under a lock of the directory:
 *
 *   1. bind the socket to a private name in the directory, set its access, and listen;
 *   2. link it to its name, which fails if something is there (EEXIST);
 *   3. if that is a socket file that no process has bound, it is dead: a bound file is never bound
 *      again. Remove it and try again. Anything else stays, and the server fails;
 *   4. remove the private name.
 *
 * The lock is flock(2) of the directory itself: nothing is left of it, however a process dies.
 * Between the check and the removal of a dead name, only a program that does not ask for the lock
 * could put something else there.
 *
 * A process that is killed leaves at most a dead socket at either name. The next server removes the
 * private one in the same way. If it cannot, because it is another user's, it takes a random one.
 */
#include "rendezvous/unix_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/sys.h"
#include "sys/sys_file.h"
#include "sys/sys_random.h"
#include "sys/sys_unix.h"

#define UNIX_LOCK_NS (1 * SYS_SECOND)

#define RESERVED_BEGIN ".pipc-"
#define PRIVATE_NAME   RESERVED_BEGIN "new"

enum { PRIVATE_MAX = 32, PRIVATE_TRIES = 3, LINK_TRIES = 8 };

const struct unix_name unix_name_none = {.directory = -1};

/* A server that gets its name. */
struct naming {
    struct unix_name *name;
    const char *path;
    char *other_path; /* of the directory, or of something else in it */
    size_t before;    /* bytes of both paths before the name */
    char private_name[PRIVATE_MAX];
};

/* ---- paths ---- */

static const char *path_to(struct naming *n, const char *name)
{
    memcpy(n->other_path, n->path, n->before);
    snprintf(n->other_path + n->before, PRIVATE_MAX, "%s", name);
    return n->other_path;
}

static bool is_name(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strncmp(name, RESERVED_BEGIN, strlen(RESERVED_BEGIN)) != 0;
}

static int begin_naming(struct naming *n, struct unix_name *name, const char *path)
{
    const char *slash = strrchr(path, '/'), *last = slash == NULL ? path : slash + 1;
    *n = (struct naming){.name = name, .path = path, .before = (size_t)(last - path)};
    if (!is_name(last)) {
        errno = EINVAL;
        return -1;
    }
    n->other_path = sys_alloc(n->before + PRIVATE_MAX);
    name->name = n->other_path == NULL ? NULL : sys_alloc(strlen(last) + 1);
    if (name->name == NULL)
        return -1;
    memcpy(name->name, last, strlen(last) + 1);
    /* "DIR/." also when DIR is a symlink, as it may be for connect(2). */
    name->directory = sys_file_open_directory(sys_file_cwd, path_to(n, "."));
    return name->directory < 0 ? -1 : 0;
}

/* ---- what is there ---- */

static bool is_file(int directory, const char *name, uint64_t device, uint64_t inode)
{
    struct sys_file_status found;
    return sys_file_status_at(directory, name, &found) == 0 && found.device == device &&
           found.inode == inode;
}

static int remove_file(struct naming *n, int file, const struct sys_file_status *status,
                       const char *name, const char *path)
{
    if (!sys_unix_is_dead(file, path)) {
        errno = EADDRINUSE;
        return -1;
    }
    int directory = n->name->directory;
    if (!is_file(directory, name, status->device, status->inode) ||
        sys_file_remove(directory, name) == 0 || errno == ENOENT)
        return 0;
    if (errno == EPERM || errno == EACCES)
        errno = EADDRINUSE; /* another user left it, and it is not ours to remove */
    return -1;
}

/* 0: nothing is there any more. EADDRINUSE; EEXIST: it is no socket. */
static int remove_dead(struct naming *n, const char *name, const char *path)
{
    struct sys_file_status status;
    int file = sys_unix_open_file(n->name->directory, name);
    if (file < 0)
        return errno == ENOENT ? 0 : -1;
    int result = sys_file_status(file, &status);
    if (result == 0 && !status.is_socket) {
        errno = EEXIST;
        result = -1;
    }
    if (result == 0)
        result = remove_file(n, file, &status, name, path);
    sys_close(file);
    return result;
}

/* ---- the private name ---- */

static int choose_private_name(struct naming *n, int tries)
{
    uint32_t number;
    if (tries == 0) {
        snprintf(n->private_name, sizeof n->private_name, "%s", PRIVATE_NAME);
        remove_dead(n, n->private_name, path_to(n, n->private_name)); /* or another name serves */
        return 0;
    }
    if (sys_random(&number, sizeof number) != 0)
        return -1;
    snprintf(n->private_name, sizeof n->private_name, PRIVATE_NAME "-%08x", (unsigned)number);
    return 0;
}

static int bind_to_private_name(struct naming *n, unsigned access)
{
    for (int tries = 0; tries < PRIVATE_TRIES; tries++) {
        if (choose_private_name(n, tries) != 0)
            return -1;
        int fd =
            sys_unix_bind(n->name->directory, path_to(n, n->private_name), n->private_name, access);
        if (fd >= 0 || errno != EADDRINUSE)
            return fd;
    }
    return -1;
}

/* The umask belongs to the whole process, all threads of it: it is left alone and corrected. */
static int correct_access(struct naming *n, unsigned access)
{
    struct sys_file_status made = {.is_socket = false};
    int file = sys_unix_open_file(n->name->directory, n->private_name);
    if (file < 0)
        return -1;
    int result = sys_file_status(file, &made);
    if (result == 0 && !made.is_socket) {
        errno = EACCES; /* somebody put something else there */
        result = -1;
    }
    if (result == 0 && made.access != access)
        result = sys_unix_set_access(file, access);
    sys_close(file);
    n->name->device = made.device;
    n->name->inode = made.inode;
    return result;
}

/* ---- the name ---- */

static int publish(struct naming *n)
{
    for (int tries = 0; tries < LINK_TRIES; tries++) {
        if (sys_file_link(n->name->directory, n->private_name, n->name->name) == 0)
            return 0;
        if (errno != EEXIST || remove_dead(n, n->name->name, n->path) != 0)
            return -1;
    }
    errno = EADDRINUSE; /* foreign programs put one after the other there */
    return -1;
}

/* It may have failed before it was known which file it is: then any socket of this user's. */
static bool is_private_file(const struct unix_name *name, const char *private_name)
{
    struct sys_file_status found;
    if (name->inode != 0)
        return is_file(name->directory, private_name, name->device, name->inode);
    return sys_file_status_at(name->directory, private_name, &found) == 0 && found.is_socket &&
           found.is_own;
}

static void remove_private_name(const struct naming *n)
{
    if (is_private_file(n->name, n->private_name))
        sys_file_remove(n->name->directory, n->private_name);
}

static int listen_and_publish(struct naming *n, unsigned access)
{
    int fd = bind_to_private_name(n, access);
    if (fd < 0)
        return -1;
    int result = correct_access(n, access);
    if (result == 0)
        result = sys_unix_listen(fd);
    if (result == 0)
        result = publish(n);
    int saved = errno;
    remove_private_name(n);
    if (result == 0)
        return fd;
    sys_close(fd);
    errno = saved;
    return -1;
}

static int listen_locked(struct naming *n, unsigned access)
{
    if (sys_file_lock(n->name->directory, sys_now() + UNIX_LOCK_NS) != 0) {
        if (errno == ETIMEDOUT)
            errno = EADDRINUSE;
        return -1;
    }
    int fd = listen_and_publish(n, access);
    sys_file_unlock(n->name->directory);
    return fd;
}

static int listen_on_abstract_name(const char *path)
{
    int fd = sys_unix_bind_abstract(path);
    if (fd < 0 || sys_unix_listen(fd) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

int unix_name_listen(struct unix_name *name, const char *path, unsigned access)
{
    struct naming n;
    *name = unix_name_none;
    if (sys_unix_is_abstract(path))
        return listen_on_abstract_name(path);
    int fd = begin_naming(&n, name, path) == 0 ? listen_locked(&n, access) : -1;
    sys_free(n.other_path);
    if (fd < 0)
        unix_name_close(name, false);
    return fd;
}

static void remove_name(const struct unix_name *name)
{
    if (sys_file_lock(name->directory, 0) != 0)
        return; /* a server starts: it finds this name dead */
    if (is_file(name->directory, name->name, name->device, name->inode))
        sys_file_remove(name->directory, name->name);
    sys_file_unlock(name->directory);
}

void unix_name_close(struct unix_name *name, bool remove)
{
    int saved = errno;
    if (remove && name->directory >= 0)
        remove_name(name);
    sys_close(name->directory);
    sys_free(name->name);
    *name = unix_name_none;
    errno = saved;
}
