/* SPDX-License-Identifier: MIT */
#include "rendezvous/fifo_dir.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "sys/sys.h"
#include "sys/sys_file.h"
#include "sys/sys_process.h"

#define FIFO_DIR_DEFAULT    "/tmp/pipc-%lu" /* the user's number */
#define FIFO_PRIVATE_PREFIX ".pipc-"
#define FIFO_DIR_TRIES      32 /* to make it before somebody deletes it */

/* Of the longest numbers: 20 digits, or 16 and 8 of sixteen. */
_Static_assert(sizeof FIFO_PRIVATE_PREFIX + 20 + 1 + 16 + 1 + 8 <= FIFO_PRIVATE_SIZE,
               "a name fits");
_Static_assert(sizeof FIFO_DIR_DEFAULT - 3 + 20 <= sizeof((struct fifo_dir *)0)->own,
               "a path fits");

static int not_trusted(void)
{
    errno = EACCES;
    return -1;
}

static bool is_private_directory(const struct sys_file_status *status)
{
    return status->is_directory && status->is_own && status->access == 0700;
}

static bool is_private_fifo(const struct sys_file_status *status)
{
    return status->is_fifo && status->is_own && status->access == 0600;
}

/* ---- opening what can be trusted ---- */

int fifo_dir_open_directory(int base, const char *name)
{
    struct sys_file_status status;
    int fd = sys_file_open_directory(base, name);
    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP ? not_trusted() : -1;
    int result = sys_file_status(fd, &status);
    if (result == 0 && is_private_directory(&status))
        return fd;
    sys_close(fd);
    return result == 0 ? not_trusted() : -1;
}

/* Looked at first, since opening a device may do something; and afterwards, since names move. */
int fifo_dir_open_fifo(int directory, const char *name, bool writing)
{
    struct sys_file_status seen, opened;
    if (sys_file_status_at(directory, name, &seen) != 0)
        return -1;
    if (!is_private_fifo(&seen))
        return not_trusted();
    int fd = sys_file_open_fifo(directory, name, writing);
    if (fd < 0)
        return errno == ELOOP ? not_trusted() : -1;
    int result = sys_file_status(fd, &opened);
    if (result == 0 && is_private_fifo(&opened))
        return fd;
    sys_close(fd);
    return result == 0 ? not_trusted() : -1;
}

int fifo_dir_remove_fifo(int directory, const char *name)
{
    struct sys_file_status status;
    int result = sys_file_status_at(directory, name, &status);
    if (result == 0 && status.is_own && status.is_fifo)
        result = sys_file_remove(directory, name);
    return result != 0 && errno == ENOENT ? 0 : result;
}

/*
 * Made under a umask that keeps even the owner out, the directory has no access at all until its
 * maker gets to correct that: any process that finds it so does it, since the maker may have died.
 */
static int finish_making(const char *directory)
{
    struct sys_file_status status;
    if (sys_file_status_at(sys_file_cwd, directory, &status) != 0)
        return errno == ENOENT ? 0 : -1;
    if (!status.is_directory || !status.is_own || status.access != 0)
        return 0;
    return sys_file_set_access(sys_file_cwd, directory, 0700);
}

static int make_and_open(const struct fifo_dir *dir)
{
    if (dir->path == dir->own && finish_making(dir->path) != 0)
        return -1;
    int fd = fifo_dir_open_directory(dir->start, dir->path);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (sys_file_make_directory(dir->start, dir->path) != 0 && errno != EEXIST)
        return -1;
    return fifo_dir_open_directory(dir->start, dir->path);
}

/* Somebody who deletes it again and again looks like a missing parent, but not for long. */
int fifo_dir_reopen(struct fifo_dir *dir)
{
    sys_close(dir->fd);
    dir->fd = -1;
    for (int i = 0; i < FIFO_DIR_TRIES && dir->fd < 0; i++) {
        dir->fd = make_and_open(dir);
        if (dir->fd < 0 && errno != ENOENT)
            return -1;
    }
    return dir->fd < 0 ? -1 : 0;
}

int fifo_dir_open(struct fifo_dir *dir, const char *directory)
{
    *dir = (struct fifo_dir){.fd = -1, .start = sys_file_cwd, .path = directory};
    if (directory == NULL) {
        snprintf(dir->own, sizeof dir->own, FIFO_DIR_DEFAULT, sys_user_id());
        dir->path = dir->own;
    } else if (directory[0] != '/') {
        dir->start = sys_file_open_directory(sys_file_cwd, ".");
        if (dir->start < 0 && errno != EACCES) /* one may be in a directory that one may not read */
            return -1;
        if (dir->start < 0)
            dir->start = sys_file_cwd;
    }
    return fifo_dir_reopen(dir);
}

void fifo_dir_close(struct fifo_dir *dir)
{
    sys_close(dir->fd);
    sys_close(dir->start); /* sys_file_cwd is negative */
    dir->fd = dir->start = -1;
}

enum fifo_name fifo_dir_find(int fd, int directory, const char *name)
{
    struct sys_file_status opened, named;
    if (sys_file_status_at(directory, name, &named) != 0)
        return errno == ENOENT || errno == ENOTDIR ? FIFO_LOST : FIFO_UNKNOWN;
    if (sys_file_status(fd, &opened) != 0)
        return FIFO_UNKNOWN;
    return opened.device == named.device && opened.inode == named.inode ? FIFO_KEPT : FIFO_LOST;
}

bool fifo_dir_stands(const struct fifo_dir *dir)
{
    return dir->fd >= 0 && fifo_dir_find(dir->fd, dir->start, dir->path) != FIFO_LOST;
}

/* ---- names ---- */

int fifo_dir_check_name(const char *name)
{
    if (name != NULL && name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
        strchr(name, '/') == NULL &&
        strncmp(name, FIFO_PRIVATE_PREFIX, strlen(FIFO_PRIVATE_PREFIX)) != 0)
        return 0;
    errno = EINVAL;
    return -1;
}

void fifo_dir_private_name(char name[FIFO_PRIVATE_SIZE])
{
    static atomic_uint serial;
    snprintf(name, FIFO_PRIVATE_SIZE, FIFO_PRIVATE_PREFIX "%ld-%llx-%x", (long)sys_process_id(),
             (unsigned long long)sys_now(), atomic_fetch_add(&serial, 1));
}

/* The process that made a private directory; 0: it is none. */
static long maker_of(const char *name)
{
    long process = 0;
    size_t prefix = strlen(FIFO_PRIVATE_PREFIX);
    if (strncmp(name, FIFO_PRIVATE_PREFIX, prefix) != 0)
        return 0;
    for (name += prefix; *name >= '0' && *name <= '9' && process < INT_MAX / 10; name++)
        process = process * 10 + (*name - '0');
    return *name == '-' ? process : 0;
}

/* ---- what the dead have left ---- */

static bool has_reader(int directory)
{
    int door = fifo_dir_open_fifo(directory, FIFO_DOOR, true);
    sys_close(door);
    return door >= 0;
}

/*
 * A process in another pid namespace looks dead. So the directory is moved first, which is atomic:
 * if its maker lives, its own rename fails with ENOENT, and it starts again.
 */
static void sweep_one(void *context, const char *name)
{
    const int *base = context;
    char taken[FIFO_PRIVATE_SIZE];
    long maker = maker_of(name);
    if (maker <= 0 || sys_process_exists(maker))
        return;
    int directory = fifo_dir_open_directory(*base, name);
    fifo_dir_private_name(taken);
    if (directory >= 0 && !has_reader(directory) && sys_file_rename(*base, name, taken) == 0) {
        fifo_dir_remove_fifo(directory, FIFO_DOOR);
        fifo_dir_remove_fifo(directory, FIFO_IN);
        fifo_dir_remove_fifo(directory, FIFO_OUT);
        sys_file_remove_directory(*base, taken);
    }
    sys_close(directory);
}

void fifo_dir_sweep(int base)
{
    sys_file_list(base, sweep_one, &base); /* what cannot be swept now is swept by the next one */
}
