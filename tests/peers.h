/* SPDX-License-Identifier: MIT */
/*
 * The two peers of a pipe of any kind, for one test. Peer a makes its calls in the test's own
 * thread, peer b in a thread of its own, since the ends of an anonymous pipe belong to threads.
 * peer_NAME makes the call pipc_NAME on a peer and waits for it; it returns the result and errno
 * of that call. peer_start lets peer b work while peer a does something else.
 */
#ifndef PIPC_TESTS_PEERS_H
#define PIPC_TESTS_PEERS_H

#include "harness.h"

#include <pthread.h>

struct peer;
typedef intmax_t peer_fn(struct peer *peer, void *arg);

struct peer {
    pipc_t *pipe;  /* NULL once closed */
    int fd;        /* what peer_fd gave last; to poll without a call */
    int delay_ms;  /* kind_delay_ms */
    bool threaded; /* its calls are made in `thread` */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    peer_fn *fn; /* what to do, NULL when idle; guarded by lock, as what follows */
    void *arg;
    bool done, leave;
    intmax_t result;
    int error;
};

struct peers {
    const struct kind *kind;
    struct peer a, b;
};

/* Opens a pipe of that kind, and lets both peers make a first call, so that both hold their
 * ends. */
void peers_open(struct peers *peers, const struct kind *kind, const pipc_options_t *options);
/* Closes what is still open, each peer in its own thread, a first, and ends the thread. A peer that
 * gave its end of an anonymous pipe back must have closed before: afterwards the handle is gone. */
void peers_close(struct peers *peers);

/* The same pipe with peer b in a child: fn runs there and its result is the exit status; it need
 * not close. Peer b here counts as closed. */
pid_t peers_fork(struct peers *peers, const struct kind *kind, const pipc_options_t *options,
                 int (*fn)(struct peer *b, void *arg), void *arg);

/* Runs fn in the peer's thread; and the same in two steps, for peer b only. */
intmax_t peer_do(struct peer *peer, peer_fn *fn, void *arg);
void peer_start(struct peer *peer, peer_fn *fn, void *arg);
intmax_t peer_finish(struct peer *peer);

/* The calls of pipc.h. */
ssize_t peer_write(struct peer *peer, const void *data, size_t size);
ssize_t peer_writev(struct peer *peer, const struct iovec *parts, int count);
ssize_t peer_write_batch(struct peer *peer, const struct iovec *messages, size_t count);
ssize_t peer_read(struct peer *peer, void *buffer, size_t size);
int peer_read_msg(struct peer *peer, pipc_msg_t *message);
ssize_t peer_read_pending(struct peer *peer, pipc_msg_t *messages, size_t max);
int peer_peek(struct peer *peer, pipc_msg_t *view);
int peer_skip(struct peer *peer);
const char *peer_bye_text(struct peer *peer);
ssize_t peer_pending(struct peer *peer);
ssize_t peer_flush(struct peer *peer);
int peer_shutdown(struct peer *peer);
int peer_disconnect(struct peer *peer, const char *text);
int peer_fd(struct peer *peer);
int peer_want(struct peer *peer, unsigned events);
int peer_set_timeout(struct peer *peer, int read_ms, int write_ms);
int peer_name(struct peer *peer, char *buffer, size_t size); /* pipc_peer */
pipc_stats_t peer_stats(struct peer *peer);
void peer_close(struct peer *peer); /* nothing when it is closed already */

/* A text as a message, without its NUL; and a message of bytes that harness_fill makes of a tag.
 * They assert that the call works and that what is read is what is expected. */
void send_text(struct peer *peer, const char *text);
void expect_text(struct peer *peer, const char *text);
void send_filled(struct peer *peer, size_t size, uint64_t tag);
void expect_filled(struct peer *peer, size_t size, uint64_t tag);
void expect_bye(struct peer *peer, const char *text);

/* That many messages are pending, at once or, where the kind may take its time, soon. */
void expect_pending(struct peer *peer, ssize_t count);

/* For peer_start: writes or reads `count` messages of the tags from `tag` on. */
struct filled {
    size_t size, count;
    uint64_t tag;
};
intmax_t write_filled(struct peer *peer, void *filled);
intmax_t read_filled(struct peer *peer, void *filled);

/* Where bytes are in flight for a while, room may still come after the first EAGAIN: TCP sends what
 * does not fill a segment when its window probe comes, 200 ms later. */
enum { PROBE_MS = 250 };

/* Writes messages of that size, made of the tags from `tag` on, with timeout 0 until EAGAIN;
 * returns how many were accepted. The peer's timeouts are 0 and 0 afterwards. A smaller message may
 * still fit, unless the pipe was filled to the brim: with messages of BRIM_SIZE and then with empty
 * ones. */
size_t fill_pipe(struct peer *peer, size_t size, uint64_t tag);
enum { BRIM_SIZE = 1000 };
struct brim {
    size_t large, empty;
};
struct brim fill_to_the_brim(struct peer *peer);
intmax_t read_brim(struct peer *peer, void *brim); /* for peer_start */

#endif
