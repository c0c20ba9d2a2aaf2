/* SPDX-License-Identifier: MIT */
/* Where the two ends of a link find each other: a path in a folder of this run, and a port. */
#include <arpa/inet.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

static char folder[] = "/tmp/bench-XXXXXX";

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    remove(path);
    return 0;
}

/* With what a killed process left in it. */
static void remove_folder(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void make_folder(void)
{
    if (mkdtemp(folder) == NULL || atexit(remove_folder) != 0)
        fail(folder);
}

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        fail("a free port");
    close(fd);
    return ntohs(address.sin_port);
}

void place_make(struct place *place)
{
    static unsigned number;
    *place = (struct place){0};
    snprintf(place->path, sizeof place->path, "%s/server-%ld-%u", folder, (long)getpid(), number++);
}

void link_start(struct link *link, const struct contender *contender, size_t size)
{
    static unsigned number;
    *link = (struct link){.contender = contender, .size = size, .port = free_port()};
    snprintf(link->path, sizeof link->path, "%s/%u", folder, number++);
}

void link_url(const struct link *link, char *url, size_t size)
{
    if (strcmp(link->contender->transport, "tcp") == 0)
        snprintf(url, size, "tcp://127.0.0.1:%u", link->port);
    else
        snprintf(url, size, "ipc://%s", link->path);
}

void link_sweep(const struct link *link)
{
    unlink(link->path);
}
