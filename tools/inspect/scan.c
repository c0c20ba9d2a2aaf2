/* SPDX-License-Identifier: MIT */
/* Which processes have the same pipe, socket or memory: one look at all of them. */
#include "inspect.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct looking {
    struct scan *scan;
    pid_t pid;
};

void *grow(void **array, size_t *capacity, size_t count, size_t size)
{
    if (count == *capacity) {
        size_t more = *capacity == 0 ? 64 : 2 * *capacity;
        void *larger = realloc(*array, more * size);
        if (larger == NULL)
            return NULL;
        *array = larger;
        *capacity = more;
    }
    return (char *)*array + count * size;
}

static void add_holder(struct scan *scan, const struct holder *holder)
{
    struct holder *place =
        grow((void **)&scan->holders, &scan->capacity, scan->count, sizeof *scan->holders);
    if (place == NULL) {
        scan->failed = true;
        return;
    }
    *place = *holder;
    scan->count++;
}

static void add_descriptor(void *context, const struct descriptor *d)
{
    const struct looking *looking = context;
    const struct holder holder = {
        .pid = looking->pid, .id = d->id, .reads = d->reads, .writes = d->writes};
    add_holder(looking->scan, &holder);
}

static void add_mapping(void *context, const struct mapping *m)
{
    const struct looking *looking = context;
    const struct holder holder = {.pid = looking->pid, .is_memory = true, .id = m->id};
    add_holder(looking->scan, &holder);
}

static void look_at(struct scan *scan, int directory, pid_t pid)
{
    struct looking looking = {scan, pid};
    if (!each_descriptor(directory, add_descriptor, &looking) ||
        !each_mapping(directory, add_mapping, &looking))
        scan->is_partial = true;
}

void scan_processes(struct scan *scan)
{
    DIR *all = opendir("/proc");
    const struct dirent *entry;
    if (all == NULL) {
        scan->failed = true;
        return;
    }
    while ((entry = readdir(all)) != NULL) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (pid <= 0 || *end != '\0' || pid == getpid()) /* what this one has, it inherited */
            continue;
        int directory = openat(dirfd(all), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
            continue; /* it has ended */
        look_at(scan, directory, (pid_t)pid);
        close(directory);
    }
    closedir(all);
}

static bool has_peer(const struct row *row, pid_t pid)
{
    for (size_t i = 0; i < row->peer_count && i < PEERS_MAX; i++)
        if (row->peers[i] == pid)
            return true;
    return false;
}

void scan_peers(const struct scan *scan, struct row *row, bool is_memory, struct file_id id,
                pid_t self, bool must_read, bool must_write)
{
    pid_t last = 0; /* the entries of a process stand together */
    for (size_t i = 0; i < scan->count; i++) {
        const struct holder *h = &scan->holders[i];
        if (h->is_memory != is_memory || !same_file(h->id, id) || h->pid == self ||
            (must_read && !h->reads) || (must_write && !h->writes) || h->pid == last ||
            has_peer(row, h->pid))
            continue;
        last = h->pid;
        if (row->peer_count < PEERS_MAX)
            row->peers[row->peer_count] = h->pid;
        row->peer_count++;
    }
}

bool scan_has(const struct scan *scan, bool is_memory, struct file_id id, pid_t pid)
{
    for (size_t i = 0; i < scan->count; i++)
        if (scan->holders[i].is_memory == is_memory && scan->holders[i].pid == pid &&
            same_file(scan->holders[i].id, id))
            return true;
    return false;
}
