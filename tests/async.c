/* SPDX-License-Identifier: MIT */
#include "async.h"

#include <poll.h>

enum { PATH, CLIENT, CALLER, FIFO };

const struct kind async_ways[] = {{.name = "a path"},
                                  {.name = "a client over TCP"},
                                  {.name = "two callers over TCP"},
                                  {.name = "FIFOs"},
                                  {.name = NULL}};

static int way_of(const struct async_place *place)
{
    return (int)(place->way - async_ways);
}

void async_begin(struct async_place *place, const struct kind *way)
{
    *place = (struct async_place){.way = way};
    if (way_of(place) == PATH) {
        paths_begin(&place->paths);
        snprintf(place->path, sizeof place->path, "%s", paths_to(&place->paths, "socket"));
    } else if (way_of(place) == FIFO) {
        fifos_begin(&place->fifos);
    } else {
        place->port = net_reserve();
    }
}

void async_end(struct async_place *place)
{
    pipc_close(place->peer);
    pipc_server_close(place->server);
    if (way_of(place) == PATH) {
        paths_end(&place->paths);
    } else if (way_of(place) == FIFO) {
        fifos_end(&place->fifos);
    } else {
        assert_false(net_is_listening(place->port.number));
        close(place->port.fd);
    }
}

bool async_is_client(const struct async_place *place)
{
    return way_of(place) == PATH || way_of(place) == CLIENT;
}

int async_absent_error(const struct async_place *place)
{
    return way_of(place) == CLIENT ? ECONNREFUSED : ETIMEDOUT;
}

pipc_t *async_try(struct async_place *place, int timeout_ms, const pipc_options_t *options)
{
    pipc_options_t all = PIPC_OPTIONS_INIT;
    if (options != NULL)
        all = *options;
    all.flags |= PIPC_ASYNC;
    switch (way_of(place)) {
    case PATH:
        return pipc_open_unix(place->path, timeout_ms, &all);
    case FIFO:
        all.directory = place->fifos.directory;
        return pipc_open_fifo("x", timeout_ms, &all);
    case CLIENT:
        all.flags |= PIPC_CONNECT_ONLY;
        return pipc_open_tcp("127.0.0.1", place->port.number, timeout_ms, &all);
    default:
        return pipc_open_tcp("127.0.0.1", place->port.number, timeout_ms, &all);
    }
}

pipc_t *async_open_at(struct async_place *place, int timeout_ms, const pipc_options_t *options)
{
    pipc_t *pipe = async_try(place, timeout_ms, options);
    if (pipe == NULL)
        fail_msg("%s: %s", place->way->name, strerror(errno));
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

/* ---- the peer ---- */

static pipc_t *accept_at(struct async_place *place, const pipc_options_t *options)
{
    if (place->server == NULL)
        place->server = way_of(place) == PATH ? pipc_server_open_unix(place->path, options)
                                              : pipc_server_open(NULL, place->port.number, options);
    assert_non_null(place->server);
    pipc_t *pipe = pipc_server_accept(place->server, 0);
    if (pipe != NULL)
        assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

static pipc_t *call_at(struct async_place *place, const pipc_options_t *options)
{
    if (place->peer == NULL)
        place->peer = async_open_at(place, -1, options);
    pipc_t *pipe = place->peer;
    if (pipc_flush(pipe) == -1)
        return NULL;
    place->peer = NULL;
    return pipe;
}

pipc_t *async_answer(struct async_place *place, const pipc_options_t *options)
{
    return async_is_client(place) ? accept_at(place, options) : call_at(place, options);
}

static int fd_of_peer(const struct async_place *place, pipc_t *there)
{
    if (there != NULL)
        return -1;
    return place->server != NULL ? pipc_server_fd(place->server) : pipc_fd(place->peer);
}

void async_await(const struct async_place *place, pipc_t *pipe, pipc_t *there)
{
    struct pollfd fds[2] = {{.fd = pipe == NULL ? -1 : pipc_fd(pipe), .events = POLLIN},
                            {.fd = fd_of_peer(place, there), .events = POLLIN}};
    assert_true(poll(fds, 2, -1) > 0);
}

pipc_t *async_meet(struct async_place *place, pipc_t *pipe, const pipc_options_t *options)
{
    pipc_t *there = NULL;
    bool is_open = false;
    while (there == NULL || !is_open) {
        there = there != NULL ? there : async_answer(place, options);
        is_open = is_open || pipc_flush(pipe) >= 0;
        if (!is_open && errno != EAGAIN)
            fail_msg("%s: %s", place->way->name, strerror(errno));
        if (there == NULL || !is_open)
            async_await(place, is_open ? NULL : pipe, there);
    }
    return there;
}

int async_outcome(pipc_t *pipe)
{
    while (pipc_flush(pipe) == -1) {
        if (errno != EAGAIN)
            return errno;
        assert_true(harness_readable(pipc_fd(pipe), -1));
    }
    return 0;
}
