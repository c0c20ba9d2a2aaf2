/* SPDX-License-Identifier: MIT */
/*
 * The seam's calls for the network, with the rules of sys.h: names to addresses, sockets that
 * listen, are accepted and connect. Knows nothing of handshakes, nor of who should connect to whom.
 * Sockets that listen or connect do not block. An accepted one has no O_NONBLOCK, but sys_read and
 * sys_writev do not block on it.
 */
#ifndef PIPC_SYS_NET_H
#define PIPC_SYS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SYS_NAMED_MAX = 16, /* addresses of one name that are looked at */
    SYS_LOOPBACK_MAX = 2,
    SYS_ADDRESSES_MAX = SYS_NAMED_MAX + SYS_LOOPBACK_MAX
};

enum sys_family { SYS_ANY, SYS_IPV4, SYS_IPV6, SYS_UNIX };

/*
 * IPv4 addresses that are mapped into IPv6 are reported as IPv4. SYS_UNIX is for what sys_accept
 * reports alone.
 */
struct sys_address {
    enum sys_family family;
    uint8_t bytes[16]; /* the first four for IPv4; of SYS_UNIX the user, where that is known */
    uint32_t scope;    /* the interface of a link-local address; 0: none */
    uint16_t port;     /* in the order of this machine */
};

/*
 * The addresses of a host, in the resolver's order; NULL: this machine's loopback, "*": one of
 * the family SYS_ANY. Returns how many, at most `max`. ENOENT: there is no such host; EAGAIN: the
 * resolver does not know now. Blocks as long as the resolver takes.
 */
int sys_resolve(const char *host, struct sys_address *addresses, int max);
bool sys_is_numeric(const char *host); /* an address, and not a name */
bool sys_is_loopback(const struct sys_address *address);
/*
 * Appends 127.0.0.1 and ::1 unless they are there; returns how many there are then. There is room
 * for SYS_LOOPBACK_MAX more.
 */
int sys_add_loopback(struct sys_address *addresses, int count);
/* A link-local address of no interface: there is no way to it, ever. */
bool sys_lacks_scope(const struct sys_address *address);
/* 0.0.0.0 or ::, which means all addresses of this machine, to who listens. */
bool sys_is_unspecified(const struct sys_address *address);
/* One host can have it: it is not unspecified, for many (multicast) or for all (broadcast). */
bool sys_is_host(const struct sys_address *address);

/*
 * The address that this machine would use to reach `to`; sends nothing. ENETUNREACH and the like.
 */
int sys_source(const struct sys_address *to, struct sys_address *source);
/*
 * Whether that is an address of this machine. 1; 0: not now, and it may come; -1: EMFILE and the
 * like, it could not be asked.
 */
int sys_is_own(const struct sys_address *address);

/*
 * SYS_ANY listens on all addresses of both families. What is accepted has sys_tcp_options from the
 * start. EADDRINUSE, EADDRNOTAVAIL. EOPNOTSUPP: no socket serves both families on this system, and
 * each needs its own.
 */
int sys_listen(const struct sys_address *address);
/* EAGAIN: nobody is waiting. A lack of descriptors is reported also then. */
int sys_accept(int listener, struct sys_address *from);
bool sys_is_somebody_waiting(int listener);
/* Begins to connect. */
int sys_connect(const struct sys_address *address);
/* 0: connected, to that peer; EINPROGRESS: not yet; EHOSTUNREACH: also, a router forbids it. */
int sys_connected(int fd, struct sys_address *peer);
int sys_local_address(int fd, struct sys_address *address);
int sys_peer_address(int fd, struct sys_address *address);  /* ENOTCONN */
int sys_peer_address_text(int fd, char *text, size_t size); /* "host:port"; ENOTCONN */
int sys_address_text(const struct sys_address *address, char *text, size_t size);
bool sys_same_host(const struct sys_address *a, const struct sys_address *b);

/* From now on a sys_read_wait ends after so long, with EAGAIN. If possible. Keeps errno. */
void sys_socket_limit_waits(int fd, int64_t time);
/*
 * From now on closing it does not wait until all is sent (SO_LINGER). A close that resets the
 * connection, without a wait, still does. Keeps errno.
 */
void sys_socket_end_linger(int fd);
/* What it holds, in bytes with the kernel's overhead, until the peer reads. 0: unknown. */
size_t sys_socket_buffer(int fd);
/* Closes for everybody who holds a copy; what is unread on the way is lost. Keeps errno. */
void sys_socket_shutdown(int fd);
/* The same with a reset, after which the kernel keeps nothing: for those who come in thousands. */
void sys_socket_reset(int fd);

#endif
