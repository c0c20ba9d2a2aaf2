/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says of connected sockets: Unix ones by sock_diag(7), TCP by /proc/PID/net. Unix
 * sockets of another network namespace are not shown by the former.
 */
#include "inspect.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SIZE = 32768, ESTABLISHED = 1 };

static struct socket *add(struct sockets *sockets)
{
    struct socket *place =
        grow((void **)&sockets->all, &sockets->capacity, sockets->count, sizeof *sockets->all);
    if (place == NULL) {
        sockets->failed = true;
        return NULL;
    }
    *place = (struct socket){.unread = UNKNOWN, .unsent = UNKNOWN};
    sockets->count++;
    return place;
}

const struct socket *socket_find(const struct sockets *sockets, uint64_t inode)
{
    for (size_t i = 0; i < sockets->count && inode != 0; i++)
        if (sockets->all[i].inode == inode)
            return &sockets->all[i];
    return NULL;
}

/* ---- Unix sockets ---- */

static void take_attribute(struct socket *s, const struct rtattr *a)
{
    const void *data = RTA_DATA(a);
    size_t size = RTA_PAYLOAD(a);
    if (a->rta_type == UNIX_DIAG_PEER && size >= sizeof(uint32_t)) {
        uint32_t peer;
        memcpy(&peer, data, sizeof peer);
        s->peer = peer;
    } else if (a->rta_type == UNIX_DIAG_RQLEN && size >= sizeof(struct unix_diag_rqlen)) {
        struct unix_diag_rqlen queues;
        memcpy(&queues, data, sizeof queues);
        s->unread = queues.udiag_rqueue;
    } else if (a->rta_type == UNIX_DIAG_NAME)
        snprintf(s->address, sizeof s->address, "%.*s", (int)size, (const char *)data);
}

static void take_unix(struct sockets *sockets, const struct nlmsghdr *head)
{
    const struct unix_diag_msg *found = NLMSG_DATA(head);
    size_t fixed = NLMSG_LENGTH(sizeof *found);
    if (head->nlmsg_len < fixed || found->udiag_type != SOCK_STREAM ||
        found->udiag_state != ESTABLISHED)
        return;
    struct socket *s = add(sockets);
    if (s == NULL)
        return;
    s->kind = KIND_UNIX;
    s->inode = found->udiag_ino;
    s->is_connected = true;
    unsigned left = (unsigned)(head->nlmsg_len - fixed);
    const char *at = (const char *)head + NLMSG_ALIGN(fixed);
    for (const struct rtattr *a = (const void *)at; RTA_OK(a, left); a = RTA_NEXT(a, left))
        take_attribute(s, a);
}

/* False: that was the last. */
static bool take_answer(struct sockets *sockets, const char *answer, size_t size)
{
    unsigned left = (unsigned)size;
    const struct nlmsghdr *head = (const void *)answer;
    for (; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
        if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR)
            return false;
        if (head->nlmsg_type == SOCK_DIAG_BY_FAMILY)
            take_unix(sockets, head);
    }
    return true;
}

static void load_unix(struct sockets *sockets)
{
    static _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
    struct {
        struct nlmsghdr head;
        struct unix_diag_req body;
    } ask = {.head = {.nlmsg_len = sizeof ask,
                      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
             .body = {.sdiag_family = AF_UNIX,
                      .udiag_states = 1u << ESTABLISHED,
                      .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN}};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return;
    ssize_t got = send(fd, &ask, sizeof ask, 0) == (ssize_t)sizeof ask ? 1 : 0;
    while (got > 0) {
        got = recv(fd, answer, sizeof answer, 0);
        if (got > 0 && !take_answer(sockets, answer, (size_t)got))
            break;
    }
    close(fd);
}

/* ---- TCP ---- */

static bool address_text(const char *hex, char *text, size_t size)
{
    uint32_t words[4];
    char address[INET6_ADDRSTRLEN];
    size_t digits = strspn(hex, "0123456789ABCDEFabcdef"), count = digits / 8;
    unsigned port;
    if ((count != 1 && count != 4) || digits % 8 != 0 || sscanf(hex + digits, ":%x", &port) != 1)
        return false;
    for (size_t i = 0; i < count; i++)
        sscanf(hex + 8 * i, "%8" SCNx32, &words[i]);
    if (inet_ntop(count == 1 ? AF_INET : AF_INET6, words, address, sizeof address) == NULL)
        return false;
    snprintf(text, size, count == 1 ? "%s:%u" : "[%s]:%u", address, port);
    return true;
}

static void take_tcp(struct sockets *sockets, const char *line)
{
    char own[64], peer[64], own_text[64], peer_text[64];
    unsigned state;
    uint32_t unsent, unread;
    uint64_t inode;
    if (sscanf(line, " %*d: %63s %63s %x %" SCNx32 ":%" SCNx32 " %*s %*s %*s %*s %" SCNu64, own,
               peer, &state, &unsent, &unread, &inode) != 6 ||
        state == TCP_LISTEN || inode == 0 || !address_text(own, own_text, sizeof own_text) ||
        !address_text(peer, peer_text, sizeof peer_text))
        return;
    struct socket *s = add(sockets);
    if (s == NULL)
        return;
    *s = (struct socket){
        .kind = KIND_TCP, .inode = inode, .unread = unread, .unsent = unsent, .is_connected = true};
    memcpy(s->own_address, own_text, sizeof own_text);
    memcpy(s->address, peer_text, sizeof peer_text);
}

static void load_tcp(struct sockets *sockets, const struct target *target, const char *name)
{
    char line[512];
    int fd = openat(target->directory, name, O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while (fgets(line, sizeof line, file) != NULL)
        take_tcp(sockets, line);
    fclose(file);
}

/* Both ends are on this host. */
static void find_tcp_peers(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; i++) {
        struct socket *s = &sockets->all[i];
        for (size_t j = 0; j < sockets->count && s->kind == KIND_TCP && s->peer == 0; j++) {
            const struct socket *other = &sockets->all[j];
            if (other->kind == KIND_TCP && strcmp(s->address, other->own_address) == 0 &&
                strcmp(s->own_address, other->address) == 0)
                s->peer = other->inode;
        }
    }
}

void sockets_load(struct sockets *sockets, const struct target *target)
{
    load_unix(sockets);
    load_tcp(sockets, target, "net/tcp");
    load_tcp(sockets, target, "net/tcp6");
    find_tcp_peers(sockets);
}
