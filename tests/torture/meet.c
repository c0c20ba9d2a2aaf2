/* SPDX-License-Identifier: MIT */
/* Two processes that find each other by a name: one waits in a call, one makes steps. */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "torture.h"

volatile bool *torture_listens;

bool torture_is_named(const struct kind *kind)
{
    static const char *const names[] = {"FIFOs", "TCP rendezvous", "TCP server", "Unix socket",
                                        "Unix socket, moving"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(kind->name, names[i]) == 0)
            return true;
    return false;
}

static bool has_server(const struct kind *kind)
{
    return kind->path || strcmp(kind->name, "TCP server") == 0;
}

static pipc_server_t *listen_at(const struct kind *kind, const pipc_options_t *options)
{
    return kind->path ? pipc_server_open_unix(torture_place.path, options)
                      : pipc_server_open(NULL, torture_place.free_port, options);
}

/* Of a server and its clients, side 1 is the server. */
static pipc_t *call_other(const struct kind *kind, int timeout_ms, const pipc_options_t *options)
{
    pipc_options_t calling = *options;
    if (kind->path)
        return pipc_open_unix(torture_place.path, timeout_ms, &calling);
    if (kind->tcp) {
        bool is_client = has_server(kind);
        calling.flags |= is_client ? PIPC_CONNECT_ONLY : 0;
        return pipc_open_tcp("127.0.0.1", is_client ? torture_place.free_port : torture_place.port,
                             timeout_ms, &calling);
    }
    calling.directory = torture_place.directory;
    return pipc_open_fifo("kill", timeout_ms, &calling);
}

pipc_t *torture_meet(const struct kind *kind, int who, int timeout_ms,
                     const pipc_options_t *options)
{
    if (!has_server(kind) || who == 0)
        return call_other(kind, timeout_ms, options);
    pipc_server_t *server = listen_at(kind, options);
    *torture_listens = server != NULL;
    pipc_t *pipe = server == NULL ? NULL : pipc_server_accept(server, timeout_ms);
    pipc_server_close(server);
    return pipe;
}

void torture_meet_begin(struct torture_meeting *meeting, const struct kind *kind, int who,
                        const pipc_options_t *options)
{
    *meeting = (struct torture_meeting){.kind = kind, .options = *options};
    meeting->options.flags |= PIPC_ASYNC;
    if (has_server(kind) && who == 1)
        meeting->server = listen_at(kind, options);
    else if (!has_server(kind))
        meeting->pipe = call_other(kind, -1, &meeting->options);
    TORTURE_CHECK(meeting->server != NULL || meeting->pipe != NULL || has_server(kind),
                  "the survivor does not open");
}

bool torture_meet_step(struct torture_meeting *meeting, int timeout_ms)
{
    if (meeting->pipe == NULL && meeting->server == NULL) {
        if (*torture_listens) /* a client that came too early would look again after 50 ms */
            meeting->pipe = call_other(meeting->kind, -1, &meeting->options);
        sched_yield();
        return false;
    }
    if (meeting->pipe == NULL)
        meeting->pipe = pipc_server_accept(meeting->server, timeout_ms);
    if (meeting->pipe == NULL)
        return false;
    TORTURE_CHECK(pipc_set_timeout(meeting->pipe, timeout_ms, timeout_ms) == 0, "no timeout");
    if (pipc_flush(meeting->pipe) >= 0)
        return true;
    TORTURE_CHECK(errno == EAGAIN || errno == ETIMEDOUT, "the survivor stops to wait");
    return false;
}

void torture_meet_end(struct torture_meeting *meeting)
{
    pipc_close(meeting->pipe);
    pipc_server_close(meeting->server);
}
