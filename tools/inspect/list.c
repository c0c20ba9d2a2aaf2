/* SPDX-License-Identifier: MIT */
/* The pipes of one process: those in shared memory, then those of the kernel. */
#include "inspect.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct making {
    struct list *list;
    const struct target *target;
    struct scan scan;
    struct sockets sockets;
};

static void add_row(struct list *list, const struct row *row)
{
    struct row *place =
        grow((void **)&list->rows, &list->capacity, list->count, sizeof *list->rows);
    if (place == NULL) {
        list->failed = true;
        return;
    }
    *place = *row;
    list->count++;
}

static void add_memory(void *context, const struct mapping *m)
{
    struct making *making = context;
    struct row row;
    if (memory_row(making->target, m, &making->scan, &row))
        add_row(making->list, &row);
}

/* ---- pipes and FIFOs ---- */

static void describe_pipe(struct making *making, const struct descriptor *d, struct row *row)
{
    pid_t self = making->target->pid;
    bool has_own = false;
    int64_t unread = descriptor_unread(making->target, d->number);
    row->unread = d->reads ? unread : NONE;
    row->unread_peer = d->writes && !d->reads ? unread : NONE;
    scan_peers(&making->scan, row, false, d->id, self, d->writes && !d->reads,
               d->reads && !d->writes);
    for (size_t i = 0; i < making->scan.count; i++) {
        const struct holder *h = &making->scan.holders[i];
        has_own = has_own || (!h->is_memory && h->pid == self && same_file(h->id, d->id) &&
                              (d->reads ? h->writes : h->reads));
    }
    if (row->peer_count == 0 && has_own) {
        row->peers[0] = self;
        row->peer_count = 1;
    } else if (row->peer_count == 0 && !making->scan.is_partial)
        snprintf(row->state, sizeof row->state, d->reads ? "no writer" : "no reader");
}

/* ---- sockets ---- */

static bool describe_socket(struct making *making, const struct descriptor *d, struct row *row)
{
    const struct socket *s = socket_find(&making->sockets, d->id.inode);
    if (s == NULL || !s->is_connected)
        return false;
    const struct socket *peer = socket_find(&making->sockets, s->peer);
    struct file_id id = {0, s->peer};
    row->kind = s->kind;
    row->unread = s->unread;
    row->unread_peer = peer != NULL ? peer->unread : UNKNOWN;
    memcpy(row->address, s->address, sizeof row->address);
    if (row->address[0] == '\0' && peer != NULL)
        memcpy(row->address, peer->address, sizeof row->address);
    if (s->peer == 0) {
        if (s->kind == KIND_UNIX)
            snprintf(row->state, sizeof row->state, "gone");
        return true;
    }
    scan_peers(&making->scan, row, false, id, making->target->pid, false, false);
    if (row->peer_count == 0 && scan_has(&making->scan, false, id, making->target->pid)) {
        row->peers[0] = making->target->pid;
        row->peer_count = 1;
    }
    return true;
}

static void add_descriptor(void *context, const struct descriptor *d)
{
    struct making *making = context;
    struct row row = {.kind = d->kind,
                      .fd = d->number,
                      .reads = d->reads,
                      .writes = d->writes,
                      .unread = UNKNOWN,
                      .unread_peer = UNKNOWN};
    snprintf(row.address, sizeof row.address, "%s", d->path);
    if (d->kind == KIND_PIPE || d->kind == KIND_FIFO)
        describe_pipe(making, d, &row);
    else if (!describe_socket(making, d, &row))
        return;
    row.waits = descriptor_waits(making->target, d->number);
    add_row(making->list, &row);
}

void list_make(struct list *list, const struct target *target)
{
    struct making making = {.list = list, .target = target};
    scan_processes(&making.scan);
    sockets_load(&making.sockets, target);
    bool has_maps = each_mapping(target->directory, add_memory, &making);
    bool has_fds = each_descriptor(target->directory, add_descriptor, &making);
    list->is_denied = !has_maps || !has_fds;
    list->is_partial = making.scan.is_partial;
    list->failed = list->failed || making.scan.failed || making.sockets.failed;
    free(making.scan.holders);
    free(making.sockets.all);
}
