/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_poll.h"
#include "sys/sys_socket.h"

/* How many may wait to be accepted: more than SOMAXCONN in some C libraries. */
enum { BACKLOG = 4096 };

/* ---- addresses ---- */

_Static_assert(sizeof(struct in_addr) == 4, "addresses fit");
_Static_assert(sizeof(struct in6_addr) == 16, "addresses fit");

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t to_kernel(const struct sys_address *address, union address *out)
{
    memset(out, 0, sizeof *out);
    if (address->family == SYS_IPV4) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(address->port);
        memcpy(&out->v4.sin_addr, address->bytes, 4);
        return sizeof out->v4;
    }
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(address->port);
    out->v6.sin6_scope_id = address->scope;
    memcpy(&out->v6.sin6_addr, address->bytes, 16);
    return sizeof out->v6;
}

static void from_kernel(const union address *in, struct sys_address *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    *address = (struct sys_address){.family = SYS_IPV4};
    if (in->any.sa_family == AF_INET) {
        address->port = ntohs(in->v4.sin_port);
        memcpy(address->bytes, &in->v4.sin_addr, 4);
        return;
    }
    const uint8_t *bytes = in->v6.sin6_addr.s6_addr;
    address->port = ntohs(in->v6.sin6_port);
    if (memcmp(bytes, mapped, sizeof mapped) == 0) {
        memcpy(address->bytes, bytes + sizeof mapped, 4);
        return;
    }
    address->family = SYS_IPV6;
    address->scope = in->v6.sin6_scope_id;
    memcpy(address->bytes, bytes, 16);
}

bool sys_is_loopback(const struct sys_address *address)
{
    static const uint8_t loopback[16] = {[15] = 1};
    return address->family == SYS_IPV4 ? address->bytes[0] == 127
                                       : memcmp(address->bytes, loopback, 16) == 0;
}

bool sys_same_host(const struct sys_address *a, const struct sys_address *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == SYS_IPV4)
        return memcmp(a->bytes, b->bytes, 4) == 0;
    return memcmp(a->bytes, b->bytes, 16) == 0 &&
           (a->scope == 0 || b->scope == 0 || a->scope == b->scope);
}

bool sys_is_unspecified(const struct sys_address *address)
{
    static const uint8_t zeros[16];
    return memcmp(address->bytes, zeros, address->family == SYS_IPV4 ? 4 : 16) == 0;
}

bool sys_lacks_scope(const struct sys_address *address)
{
    return address->family == SYS_IPV6 && address->scope == 0 && address->bytes[0] == 0xfe &&
           (address->bytes[1] & 0xc0) == 0x80;
}

static int open_inet_socket(enum sys_family family, int type)
{
    return sys_socket_open(family == SYS_IPV4 ? AF_INET : AF_INET6, type);
}

/* A datagram socket that connects only looks for the way, and sends nothing. */
static int find_way(int fd, const struct sys_address *to)
{
    union address kernel;
    struct sys_address there = *to;
    there.port = 9; /* any */
    socklen_t size = to_kernel(&there, &kernel);
    return connect_nocancel(fd, &kernel.any, size);
}

/* The address of all hosts of a network: there is a way to it only for who asks for that. */
static bool is_broadcast(const struct sys_address *address)
{
    if (sys_is_loopback(address))
        return memcmp(address->bytes + 1, "\377\377\377", 3) == 0;
    int fd = open_inet_socket(address->family, SOCK_DGRAM);
    bool is_one = fd >= 0 && find_way(fd, address) != 0 && errno == EACCES;
    if (is_one) {
        sys_socket_set(fd, SOL_SOCKET, SO_BROADCAST, 1);
        is_one = find_way(fd, address) == 0;
    }
    sys_close(fd);
    return is_one;
}

bool sys_is_host(const struct sys_address *address)
{
    const uint8_t *bytes = address->bytes;
    if (address->family == SYS_IPV6)
        return !sys_is_unspecified(address) && bytes[0] != 0xff;
    return bytes[0] != 0 && (bytes[0] & 0xf0) != 0xe0 &&
           memcmp(bytes, "\377\377\377\377", 4) != 0 && !is_broadcast(address);
}

/* ---- names ---- */

/* A resolver that has no descriptor to read its files with says that there is no such host. */
static int no_such_host(void)
{
    int probe = open_inet_socket(SYS_IPV4, SOCK_STREAM);
    bool is_short = probe < 0 && (errno == EMFILE || errno == ENFILE);
    int error = is_short ? errno : ENOENT;
    sys_close(probe);
    return error;
}

static int resolver_error(int error)
{
    switch (error) {
    case EAI_AGAIN:
        return EAGAIN;
    case EAI_MEMORY:
        return ENOMEM;
    case EAI_SYSTEM:
        return errno;
    default:
        return no_such_host();
    }
}

/* Where there is room for one more. Returns how many there are then: none is there twice. */
static int add_address(struct sys_address *addresses, int count, const struct sys_address *address)
{
    for (int i = 0; i < count; i++)
        if (sys_same_host(&addresses[i], address))
            return count;
    addresses[count] = *address;
    return count + 1;
}

int sys_add_loopback(struct sys_address *addresses, int count)
{
    static const struct sys_address v4 = {.family = SYS_IPV4, .bytes = {127, 0, 0, 1}};
    static const struct sys_address v6 = {.family = SYS_IPV6, .bytes = {[15] = 1}};
    count = add_address(addresses, count, &v4);
    return add_address(addresses, count, &v6);
}

static int list_addresses(const struct addrinfo *list, struct sys_address *addresses, int max)
{
    int count = 0;
    for (; list != NULL && count < max; list = list->ai_next) {
        union address one;
        struct sys_address address;
        if ((list->ai_family != AF_INET && list->ai_family != AF_INET6) ||
            list->ai_addrlen > sizeof one)
            continue;
        memset(&one, 0, sizeof one);
        memcpy(&one, list->ai_addr, list->ai_addrlen);
        from_kernel(&one, &address);
        count = add_address(addresses, count, &address);
    }
    return count;
}

bool sys_is_numeric(const char *host)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    if (getaddrinfo_nocancel(host, NULL, &hints, &list) != 0)
        return false;
    freeaddrinfo(list);
    return true;
}

int sys_resolve(const char *host, struct sys_address *addresses, int max)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (host != NULL && strcmp(host, "*") == 0) {
        addresses[0] = (struct sys_address){.family = SYS_ANY};
        return 1;
    }
    if (host == NULL)
        return sys_add_loopback(addresses, 0);
    int error = getaddrinfo_nocancel(host, NULL, &hints, &list);
    if (error != 0) {
        errno = resolver_error(error);
        return -1;
    }
    int count = list_addresses(list, addresses, max);
    freeaddrinfo(list);
    if (count > 0)
        return count;
    errno = ENOENT;
    return -1;
}

/* ---- sockets ---- */

static int socket_address(int fd, bool of_peer, struct sys_address *address)
{
    union address found;
    socklen_t size = sizeof found;
    memset(&found, 0, sizeof found);
    if ((of_peer ? getpeername(fd, &found.any, &size) : getsockname(fd, &found.any, &size)) != 0)
        return -1;
    if (found.any.sa_family != AF_INET && found.any.sa_family != AF_INET6) {
        errno = ENOTCONN;
        return -1;
    }
    from_kernel(&found, address);
    return 0;
}

int sys_local_address(int fd, struct sys_address *address)
{
    return socket_address(fd, false, address);
}

int sys_peer_address(int fd, struct sys_address *address)
{
    return socket_address(fd, true, address);
}

int sys_address_text(const struct sys_address *address, char *text, size_t size)
{
    union address kernel;
    char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE]; /* with a scope */
    socklen_t length = to_kernel(address, &kernel);
    if (getnameinfo_nocancel(&kernel.any, length, host, sizeof host, NULL, 0, NI_NUMERICHOST) !=
        0) {
        errno = ENOTCONN;
        return -1;
    }
    snprintf(text, size, address->family == SYS_IPV6 ? "[%s]:%u" : "%s:%u", host,
             (unsigned)address->port);
    return 0;
}

int sys_peer_address_text(int fd, char *text, size_t size)
{
    struct sys_address peer;
    return sys_peer_address(fd, &peer) == 0 ? sys_address_text(&peer, text, size) : -1;
}

int sys_source(const struct sys_address *to, struct sys_address *source)
{
    int fd = open_inet_socket(to->family, SOCK_DGRAM);
    if (fd < 0)
        return -1;
    int result = find_way(fd, to);
    if (result == 0)
        result = sys_local_address(fd, source);
    sys_close(fd);
    return result;
}

static bool can_bind(const struct sys_address *address)
{
    union address kernel;
    struct sys_address any_port = *address;
    any_port.port = 0;
    socklen_t size = to_kernel(&any_port, &kernel);
    int fd = open_inet_socket(address->family, SOCK_STREAM);
    bool is_bound = fd >= 0 && bind(fd, &kernel.any, size) == 0;
    sys_close(fd);
    return is_bound;
}

/* Some machines bind to any address: then to one that no machine has, too. */
static bool is_own_by_bind(const struct sys_address *address)
{
    static const struct sys_address nobody_v4 = {.family = SYS_IPV4, .bytes = {240, 0, 0, 1}};
    static const struct sys_address nobody_v6 = {.family = SYS_IPV6, .bytes = {1, [15] = 1}};
    return can_bind(address) && !can_bind(address->family == SYS_IPV4 ? &nobody_v4 : &nobody_v6);
}

/* A sandbox or a route may forbid to look for the way. */
int sys_is_own(const struct sys_address *address)
{
    struct sys_address source;
    if (sys_source(address, &source) == 0)
        return sys_same_host(address, &source);
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return -1;
    case EACCES:
    case EPERM:
        return is_own_by_bind(address);
    default:
        return 0;
    }
}

/* OpenBSD refuses to make a socket of IPv6 serve IPv4 as well. */
static int choose_families(int fd, enum sys_family family)
{
    int is_alone = family == SYS_IPV6;
    if (family == SYS_IPV4 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_alone, sizeof is_alone) == 0 || is_alone)
        return 0;
    errno = EOPNOTSUPP;
    return -1;
}

static int bind_and_listen(int fd, const struct sys_address *address)
{
    union address kernel;
    socklen_t size = to_kernel(address, &kernel);
    /* Remains of earlier connections do not matter. */
    sys_socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    int result = choose_families(fd, address->family);
    sys_tcp_options(fd);
    if (result == 0 && bind(fd, &kernel.any, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

int sys_listen(const struct sys_address *address)
{
    struct sys_address v4 = {.family = SYS_IPV4, .port = address->port};
    int fd = open_inet_socket(address->family, SOCK_STREAM);
    if (fd >= 0)
        return bind_and_listen(fd, address);
    if (address->family != SYS_ANY || errno != EAFNOSUPPORT)
        return -1;
    fd = open_inet_socket(SYS_IPV4, SOCK_STREAM); /* a kernel without IPv6 */
    return fd < 0 ? -1 : bind_and_listen(fd, &v4);
}

int sys_accept(int listener, struct sys_address *from)
{
    union address kernel;
    socklen_t size = sizeof kernel;
    memset(&kernel, 0, sizeof kernel);
    if (sys_room_above_standard(listener) != 0)
        return -1;
    int fd = sys_socket_accept(listener, &kernel.any, &size);
    if (fd >= 0 && kernel.any.sa_family == AF_UNIX)
        *from = (struct sys_address){.family = SYS_UNIX}; /* its name would be cut off */
    else if (fd >= 0)
        from_kernel(&kernel, from);
    return fd;
}

bool sys_is_somebody_waiting(int listener)
{
    struct pollfd entry = {.fd = listener, .events = POLLIN};
    return sys_poll(&entry, 1, 0) != 0;
}

int sys_connect(const struct sys_address *address)
{
    union address kernel;
    socklen_t size = to_kernel(address, &kernel);
    int fd = open_inet_socket(address->family, SOCK_STREAM);
    if (fd < 0)
        return -1;
    /* The port that it gets must not keep anybody from listening there. */
    sys_socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (connect_nocancel(fd, &kernel.any, size) == 0 || errno == EINPROGRESS || errno == EINTR)
        return fd;
    sys_close(fd);
    return -1;
}

/*
 * One that has a peer has no error to report; so the reason is asked for only without. A router
 * that forbids the way is EHOSTUNREACH by IPv4, EACCES by IPv6.
 */
int sys_connected(int fd, struct sys_address *peer)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (sys_peer_address(fd, peer) == 0)
        return 0;
    int missing = errno;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return -1;
    if (error == EACCES)
        error = EHOSTUNREACH;
    errno = error != 0 ? error : missing == ENOTCONN ? EINPROGRESS : missing;
    return -1;
}

void sys_socket_shutdown(int fd)
{
    int saved = errno;
    shutdown(fd, SHUT_RDWR);
    sys_close(fd);
    errno = saved;
}

void sys_socket_reset(int fd)
{
    static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    int saved = errno;
    bool is_reset = connect_nocancel(fd, &nowhere, sizeof nowhere) == 0;
    errno = saved;
    if (is_reset)
        sys_close(fd);
    else
        sys_socket_shutdown(fd);
}
