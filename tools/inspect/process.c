/* SPDX-License-Identifier: MIT */
/* /proc of one process. No file of the process is opened: its names are read, and its numbers. */
#include "inspect.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { PATH_SIZE = 4200, STAT_SIZE = 2048 };

static ssize_t read_at(int directory, const char *name, char *text, size_t size)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, text, size - 1);
    int saved = errno;
    close(fd);
    errno = saved;
    text[got > 0 ? got : 0] = '\0';
    return got;
}

enum code target_open(struct target *target, pid_t pid)
{
    char name[32];
    snprintf(name, sizeof name, "/proc/%ld", (long)pid);
    target->pid = pid;
    target->directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target->directory >= 0)
        return CODE_OK;
    return errno == ENOENT ? CODE_NO_PROCESS : CODE_LOCAL;
}

bool target_lives(const struct target *target)
{
    char stat[STAT_SIZE];
    return read_at(target->directory, "stat", stat, sizeof stat) > 0;
}

ssize_t target_read(const struct target *target, const char *name, char *text, size_t size)
{
    return read_at(target->directory, name, text, size);
}

void process_name(pid_t pid, char name[NAME_SIZE])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    ssize_t got = read_at(AT_FDCWD, path, name, NAME_SIZE);
    if (got <= 0)
        snprintf(name, NAME_SIZE, "?");
    else if (name[got - 1] == '\n')
        name[got - 1] = '\0';
}

/* ---- descriptors ---- */

/* Of a FIFO the link is a path, and only its state tells. That asks no file system that is slow. */
static bool is_fifo(int fds, const char *name, struct file_id *id)
{
#ifdef STATX_INO
    struct statx found;
    if (statx(fds, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &found) != 0)
        return false;
    *id = (struct file_id){makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino};
    return S_ISFIFO(found.stx_mode);
#else
    struct stat found;
    if (fstatat(fds, name, &found, 0) != 0)
        return false;
    *id = (struct file_id){found.st_dev, found.st_ino};
    return S_ISFIFO(found.st_mode);
#endif
}

static bool is_named(const char *link, const char *prefix, uint64_t *inode)
{
    size_t length = strlen(prefix);
    char *end;
    if (strncmp(link, prefix, length) != 0 || link[length] < '0' || link[length] > '9')
        return false;
    *inode = strtoull(link + length, &end, 10);
    return strcmp(end, "]") == 0;
}

/* Paths begin with a slash, so no file can have the name of a pipe or a socket. */
static bool describe(int fds, const char *name, char *link, size_t size, struct descriptor *d)
{
    ssize_t length = readlinkat(fds, name, link, size - 1);
    if (length <= 0)
        return false;
    link[length] = '\0';
    d->path = "";
    d->id.device = 0;
    if (is_named(link, "pipe:[", &d->id.inode))
        d->kind = KIND_PIPE;
    else if (is_named(link, "socket:[", &d->id.inode))
        d->kind = KIND_UNIX;
    else if (link[0] == '/' && is_fifo(fds, name, &d->id)) {
        d->kind = KIND_FIFO;
        d->path = link;
    } else
        return false;
    return true;
}

static void describe_ways(int fds, const char *name, struct descriptor *d)
{
    struct stat found;
    bool is_known = fstatat(fds, name, &found, AT_SYMLINK_NOFOLLOW) == 0;
    d->reads = is_known && (found.st_mode & S_IRUSR) != 0;
    d->writes = is_known && (found.st_mode & S_IWUSR) != 0;
}

bool each_descriptor(int directory, void (*found)(void *context, const struct descriptor *d),
                     void *context)
{
    char link[PATH_SIZE];
    int fds = openat(directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fds < 0 ? NULL : fdopendir(fds);
    if (stream == NULL) {
        if (fds >= 0)
            close(fds);
        return false;
    }
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        struct descriptor d = {.number = atoi(entry->d_name)};
        if (entry->d_name[0] == '.' || !describe(fds, entry->d_name, link, sizeof link, &d))
            continue;
        describe_ways(fds, entry->d_name, &d);
        found(context, &d);
    }
    closedir(stream);
    return true;
}

/* ---- mappings ---- */

/* What libpipc calls its memory; others can call theirs so. */
static bool may_be_ours(const char *path)
{
    return strncmp(path, "/memfd:pipc", 11) == 0 || strncmp(path, "/dev/shm/pipc", 13) == 0;
}

static bool parse_mapping(const char *line, struct mapping *m)
{
    uint64_t end, offset;
    unsigned major, minor;
    char modes[5];
    int path = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &m->address,
               &end, modes, &offset, &major, &minor, &m->id.inode, &path) != 7 ||
        path == 0)
        return false;
    m->size = end - m->address;
    m->id.device = makedev(major, minor);
    return offset == 0 && strcmp(modes, "rw-s") == 0 && may_be_ours(line + path);
}

bool each_mapping(int directory, void (*found)(void *context, const struct mapping *m),
                  void *context)
{
    char *line = NULL;
    size_t size = 0;
    struct file_id last = {0, 0};
    int fd = openat(directory, "maps", O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    struct mapping m;
    while (getline(&line, &size, file) > 0)
        if (parse_mapping(line, &m) && !same_file(m.id, last)) {
            last = m.id;
            found(context, &m);
        }
    free(line);
    fclose(file);
    return true;
}

/* ---- threads that wait ---- */

static unsigned waits_of_call(long call)
{
    switch (call) {
    case SYS_read:
    case SYS_readv:
    case SYS_preadv2:
    case SYS_recvfrom:
    case SYS_recvmsg:
        return WAITS_BYTES;
    case SYS_write:
    case SYS_writev:
    case SYS_pwritev2:
    case SYS_sendto:
    case SYS_sendmsg:
        return WAITS_ROOM;
    default:
        return 0;
    }
}

/* "running", or the number of the call and its arguments. */
static unsigned waits_of_thread(int tasks, const char *thread, int fd)
{
    char name[64], text[256];
    long call;
    unsigned long first;
    snprintf(name, sizeof name, "%.20s/syscall", thread);
    if (read_at(tasks, name, text, sizeof text) <= 0)
        return WAITS_UNKNOWN;
    if (sscanf(text, "%ld %lx", &call, &first) != 2 || first != (unsigned long)fd)
        return 0;
    return waits_of_call(call);
}

unsigned descriptor_waits(const struct target *target, int fd)
{
    unsigned waits = 0;
    int tasks = openat(target->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = tasks < 0 ? NULL : fdopendir(tasks);
    if (stream == NULL) {
        if (tasks >= 0)
            close(tasks);
        return WAITS_UNKNOWN;
    }
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL)
        if (entry->d_name[0] != '.')
            waits |= waits_of_thread(tasks, entry->d_name, fd);
    closedir(stream);
    return waits;
}
