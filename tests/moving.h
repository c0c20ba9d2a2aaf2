/* SPDX-License-Identifier: MIT */
/* What tests of pipes that move into shared memory share: pipes in each state of the move. */
#ifndef PIPC_TESTS_MOVING_H
#define PIPC_TESTS_MOVING_H

#include "harness.h"
#include "transport/share.h"

/* A Unix socket on a path: end[0] has connected, and end[1] has accepted and offers. It moves after
 * so many bytes; 0: with the first message of end[1]. */
void moving_open(pipc_t *end[2], uint64_t after, const pipc_options_t *options);
/* The same, with its client and server apart in their options. */
void moving_open_each(pipc_t *end[2], uint64_t after, const pipc_options_t *client,
                      const pipc_options_t *server);
/* The kernel has memory for that, or fails for another reason. */
bool moving_is_possible(void);
/* Skips the test where the kernel has no memory for that. */
void moving_need(void);
/* Empty messages move it; afterwards no counter shows them. */
void moving_move(pipc_t *end[2]);

/* Kinds: one that moves with its first messages, and one that has moved. */
void moving_open_kind(pipc_t *end[2], const pipc_options_t *options);
void moving_open_moved_kind(pipc_t *end[2], const pipc_options_t *options);

/* The same of pipc_open_pair. */
void moving_open_pair(pipc_t *end[2], uint64_t after);
void moving_open_pair_kind(pipc_t *end[2], const pipc_options_t *options);
void moving_open_moved_pair_kind(pipc_t *end[2], const pipc_options_t *options);

/* A message whose content is known by its size, at most MOVING_LARGE, and its tag. */
enum { MOVING_LARGE = 70000 };
void moving_send(pipc_t *pipe, size_t size, unsigned tag);
void moving_receive(pipc_t *pipe, size_t size, unsigned tag);
void moving_close(pipc_t *end[2]);

/* The library connects, or accepts, and looks for an offer, or makes one with its first byte. The
 * test has a plain socket. */
pipc_t *moving_raw_client(int *raw);
pipc_t *moving_raw_accepted(int *raw);
enum { MOVING_HEADER = 4 };
size_t moving_frame(unsigned char *frame, const char *text); /* returns its size */
void moving_say_raw(int raw, const char *text);
void moving_expect_raw(int raw, const char *text);
/* A frame whose first byte brings descriptors. */
void moving_say_with(int raw, const char *text, const int *fds, int count);

/* Where pipes cannot be used as doorbells, sockets are: no test needs them then. */
bool moving_has_doorbells(void);

/* The library's peer: a plain socket, the memory, and the pipes where there are some. */
struct moving_attack {
    pipc_t *pipe; /* the victim */
    int raw, memory;
    struct share_memory shared;
    struct share_doorbell doorbell;
    unsigned own; /* the attacker's end of it */
};
/* The victim is a server, which has offered and whose frame has been read; or a client, which has
 * accepted. */
void moving_attack_server(struct moving_attack *a);
void moving_attack_client(struct moving_attack *a);
/* The same, of a client that is offered memory alone. */
void moving_attack_client_without_doorbell(struct moving_attack *a);
void moving_end_attack(struct moving_attack *a);
/* Where an honest peer would ring. */
void moving_ring(struct moving_attack *a);
void moving_set_mark(struct moving_attack *a, uint64_t mark);
/* Bytes of the attacker's ring, as an honest writer puts them there. */
void moving_write_ring(struct moving_attack *a, const void *bytes, size_t size);

struct fd_transport *moving_transport(const pipc_t *pipe);
/* SHARE_NEVER: it stays a socket. */
enum share_state moving_state(const pipc_t *pipe);
void moving_expect(pipc_t *end[2], enum share_state first, enum share_state second);

#endif
