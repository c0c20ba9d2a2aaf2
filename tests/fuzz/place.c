/* SPDX-License-Identifier: MIT */
#include "place.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static void begin(struct place *place, int reserved)
{
    *place = (struct place){.reserved = reserved, .listener = -1};
    for (int i = 0; i < PLACE_SERVERS; i++)
        place->server[i].fd = -1;
}

/* A port that is bound and does not listen is given to nobody who asks for any. */
void place_open_tcp(struct place *place)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    begin(place, fd);
    place->address_size = sizeof at;
    FUZZ_NEED(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    FUZZ_NEED(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    FUZZ_NEED(getsockname(fd, (struct sockaddr *)&at, &place->address_size) == 0);
    place->port = ntohs(at.sin_port);
    memcpy(&place->address, &at, sizeof at);
}

void place_open_unix(struct place *place)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    begin(place, -1);
    int size =
        snprintf(place->name, sizeof place->name, "@pipc-fuzz-client-%lld", (long long)getpid());
    memcpy(at.sun_path + 1, place->name + 1, (size_t)size - 1);
    place->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size);
    memcpy(&place->address, &at, sizeof at);
}

static void close_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void place_hang_up(struct place *place)
{
    for (int i = 0; i < PLACE_SERVERS; i++)
        stranger_hang_up(&place->server[i]);
}

void place_close(struct place *place)
{
    place_hang_up(place);
    close_open(&place->listener);
    close_open(&place->reserved);
}

static int open_socket(const struct place *place)
{
    int on = 1, fd = socket(place->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_NEED(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return fd;
}

void place_listen(struct place *place)
{
    int fd = open_socket(place);
    fuzz_nonblock(fd);
    if (bind(fd, (const struct sockaddr *)&place->address, place->address_size) == 0 &&
        listen(fd, PLACE_SERVERS) == 0)
        place->listener = fd;
    else
        close(fd);
}

static void toggle(struct place *place)
{
    if (place->listener < 0)
        place_listen(place);
    else
        close_open(&place->listener);
}

void place_accept(struct place *place, struct stranger *server)
{
    int fd = -1;
    if (place->listener >= 0 && server->fd < 0)
        fd = accept4(place->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        stranger_begin(server, fd, true, place->knows);
}

/* On loopback that is decided at once. */
void place_connect(struct place *place, struct stranger *server)
{
    if (!place->is_mutual || place->listener >= 0 || server->fd >= 0)
        return;
    int fd = open_socket(place);
    if (fuzz_connect(fd, (const struct sockaddr *)&place->address, place->address_size) == 0)
        stranger_begin(server, fd, false, place->knows);
    else
        close(fd);
}

void place_step(struct place *place, struct stranger *server, unsigned step, unsigned number,
                struct fuzz_input *in)
{
    if (step < STRANGER_STEPS)
        stranger_take_step(server, step, number, in);
    else if (step < STRANGER_STEPS + 2)
        place_accept(place, server);
    else if (step == STRANGER_STEPS + 2)
        place_connect(place, server);
    else if (number == 31) /* seldom */
        toggle(place);
}
