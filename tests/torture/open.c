/* SPDX-License-Identifier: MIT */
/*
 * Openers in which any call may fail. Both ends are opened by one thread: a caller that would wait
 * for its peer opens with PIPC_ASYNC, and the two make their attempts in turn.
 */
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "fifos.h"
#include "harness.h"
#include "moving.h"
#include "net.h"
#include "paths.h"
#include "torture.h"

enum { LONG_MS = 10000, ATTEMPT_MS = 60, ATTEMPTS = 400 };

static struct {
    struct paths paths;
    struct fifos fifos;
    struct net_port port, free_port;
} place;

struct torture_place torture_place;

void torture_open_begin(void)
{
    paths_begin(&place.paths);
    fifos_begin(&place.fifos);
    place.port = place.free_port = (struct net_port){-1, 0};
    if (fuzz_has_loopback()) {
        place.port = net_reserve();
        place.free_port = net_reserve();
    }
    torture_place.port = place.port.number;
    torture_place.free_port = place.free_port.number;
    snprintf(torture_place.directory, sizeof torture_place.directory, "%s", place.fifos.directory);
    snprintf(torture_place.path, sizeof torture_place.path, "%s", paths_to(&place.paths, "socket"));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)type;
    return where->level == 0 ? 0 : remove(path);
}

/* Where a removal was made to fail, a name is left. */
void torture_open_end(void)
{
    nftw(place.paths.directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    nftw(place.fifos.directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    paths_end(&place.paths);
    fifos_end(&place.fifos);
    close(place.port.fd);
    close(place.free_port.fd);
}

/* A server, a client that connects to it, and the handle of the client that came. */
static bool open_by_server(pipc_t *end[2], pipc_server_t *server, bool on_path,
                           const pipc_options_t *options)
{
    pipc_options_t calling = *options;
    if (server == NULL)
        return false;
    calling.flags |= on_path ? 0 : PIPC_CONNECT_ONLY;
    end[0] = on_path ? pipc_open_unix(torture_place.path, LONG_MS, &calling)
                     : pipc_open_tcp("127.0.0.1", pipc_server_port(server), LONG_MS, &calling);
    end[1] = end[0] == NULL ? NULL : pipc_server_accept(server, LONG_MS);
    pipc_server_close(server);
    if (end[0] != NULL && end[1] != NULL)
        return true;
    pipc_close(end[0]);
    return false;
}

/* A name that could not be removed stays: the manual says so, and the next server replaces it. */
static bool open_path(pipc_t *end[2], const pipc_options_t *options)
{
    return open_by_server(end, pipc_server_open_unix(torture_place.path, options), true, options);
}

static bool open_server(pipc_t *end[2], const pipc_options_t *options)
{
    return open_by_server(end, pipc_server_open(NULL, 0, options), false, options);
}

static pipc_t *call_peer(const struct kind *kind, const pipc_options_t *options)
{
    pipc_options_t calling = *options;
    calling.flags |= PIPC_ASYNC;
    calling.directory = place.fifos.directory;
    if (!kind->tcp)
        return pipc_open_fifo("name", LONG_MS, &calling);
    calling.directory = NULL;
    return pipc_open_tcp("127.0.0.1", place.port.number, LONG_MS, &calling);
}

static bool is_there(pipc_t *pipe)
{
    return pipc_set_timeout(pipe, 0, 0) == 0 && pipc_flush(pipe) >= 0;
}

static bool open_rendezvous(const struct kind *kind, pipc_t *end[2], const pipc_options_t *options)
{
    bool is_done[2] = {false, false};
    end[0] = call_peer(kind, options);
    end[1] = call_peer(kind, options);
    for (int i = 0; i < ATTEMPTS && !(is_done[0] && is_done[1]); i++) {
        for (int side = 0; side < 2; side++)
            is_done[side] = is_done[side] || (end[side] != NULL && is_there(end[side]));
        fault_advance_ms(is_done[0] && is_done[1] ? 0 : ATTEMPT_MS);
    }
    bool opened = is_done[0] && is_done[1];
    for (int side = 0; side < 2 && opened; side++)
        pipc_set_timeout(end[side], -1, -1);
    for (int side = 0; side < 2 && !opened; side++)
        pipc_close(end[side]);
    return opened;
}

static bool open_other(const struct kind *kind, pipc_t *end[2], const pipc_options_t *options)
{
    bool is_strict = !kind->local; /* it asserts that it opens */
    if (is_strict)
        fault_disarm();
    bool opened = kind->open(end, options) == 0;
    if (is_strict)
        fault_arm();
    return opened;
}

static bool is_named(const struct kind *kind, const char *name)
{
    return strcmp(kind->name, name) == 0;
}

bool torture_opens_alone(const struct kind *kind)
{
    static const char *const names[] = {"anonymous",   "pair",       "pair of pipes", "FIFOs",
                                        "Unix socket", "TCP server", "TCP rendezvous"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is_named(kind, names[i]))
            return true;
    return false;
}

bool torture_open(const struct kind *kind, pipc_t *end[2], const pipc_options_t *options)
{
    uint64_t after = share_after;
    bool opened;
    fault_arm();
    if (is_named(kind, "Unix socket") || is_named(kind, "Unix socket, moving")) {
        share_after = kind->moves ? 0 : share_after;
        opened = open_path(end, options);
        share_after = after;
    } else if (is_named(kind, "TCP server")) {
        opened = open_server(end, options);
    } else if (is_named(kind, "FIFOs") || is_named(kind, "TCP rendezvous")) {
        opened = open_rendezvous(kind, end, options);
    } else {
        opened = open_other(kind, end, options);
    }
    fault_disarm();
    return opened;
}

const struct kind *torture_kind(const char *name)
{
    for (const struct kind *kind = NULL; (kind = kind_next(ALL_KINDS, kind)) != NULL;)
        if (strncmp(kind->name, name, strlen(name)) == 0)
            return kind;
    return NULL;
}
