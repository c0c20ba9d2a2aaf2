/* SPDX-License-Identifier: MIT */
/*
 * What tests of descriptors that travel with messages share: the kinds of pipes over which they do,
 * descriptors that can be told apart, and raw bytes with descriptors.
 */
#ifndef PIPC_TESTS_FDS_H
#define PIPC_TESTS_FDS_H

#include "harness.h"

enum { FDS_MAX = 16, FDS_WAITING_MAX = 64 };

/* For OVER_CASES and kind_open: both ends are Unix sockets. */
extern const struct kind fds_kinds[];
/* Both ends of a kind, which take descriptors; timeouts of 10 s. */
void fds_open(const struct kind *kind, pipc_t *end[2], unsigned flags);
/* An adopted end that takes descriptors, with timeouts of 0, and a plain socket at the other. */
pipc_t *fds_open_raw(int *raw, unsigned flags);
int fds_adopted(pipc_t *pipe); /* the number of the one descriptor that it has adopted */
pipc_options_t fds_options(unsigned flags); /* PIPC_ACCEPT_FDS besides */

/* Sixteen descriptors, all of different files; each is read-only. */
struct fds {
    int fd[FDS_MAX];
};
void fds_make(struct fds *fds);
void fds_end(struct fds *fds);
bool fds_is_same(int a, int b); /* the same open pipe */

/* A message with the first `count` of them; it is sent. */
void fds_say(pipc_t *pipe, const char *text, const struct fds *fds, int count);
/* The next message is that text. */
void fds_expect(pipc_t *pipe, const char *text);
/* It has brought exactly these, which are close-on-exec, above 2, and closed now. */
void fds_expect_taken(pipc_t *pipe, const struct fds *fds, int count);
/* How many it has brought; they are closed. */
int fds_take_all(pipc_t *pipe);

/* Bytes by one sendmsg, with descriptors; asserts that they go. The kernel allows 253. */
void fds_send_raw(int socket, const void *bytes, size_t size, const int *fds, int count);
/* The same, and how many bytes went; -1: errno. */
ssize_t fds_try_send_raw(int socket, const void *bytes, size_t size, const int *fds, int count);
/* Sockets can be told to let none in: since Linux 6.16 (SO_PASSRIGHTS). */
bool fds_can_refuse(void);
/* How many descriptors come with the next byte; they are closed. */
int fds_receive_raw(int socket, void *byte);

int fds_count(pid_t pid); /* the open descriptors of a process */

#endif
