/* SPDX-License-Identifier: MIT */
/*
 * What a transport promises: two streams of bytes, one each way, with no idea of messages. Nothing
 * here blocks but `wait`. A new transport is a file that fills in this table and a constructor.
 *
 * Reading and writing may happen in two threads at a time (PIPC_DUPLEX): the input operations share
 * no state with the output operations, and `wait` is called with the events of the caller's side
 * alone. `settle`, `descriptor` and `shutdown` are called under the channel's lock.
 */
#ifndef PIPC_TRANSPORT_H
#define PIPC_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* What `wait` waits for. */
enum { TRANSPORT_IN = 1, TRANSPORT_OUT = 2 };
/* What `settle` is given besides: the end of a direction alone; and a new edge for what is readable now. */
enum { TRANSPORT_IN_END = 4, TRANSPORT_OUT_END = 8, TRANSPORT_EDGE = 16 };
/* What `wait` is given besides: EINTR has to be a signal that was caught, and not a stop (SIGSTOP). */
enum { TRANSPORT_CAUGHT = 32 };

/* What became of a step that never waits. What IO_AGAIN and IO_FAILED (errno) mean stands with each. */
enum io_result { IO_DONE, IO_AGAIN, IO_FAILED };

struct transport {
    const struct transport_ops *ops;
    size_t window;     /* `peek` can show so many bytes at once */
    atomic_bool fills; /* it has `await`; cleared when that does not wait any more */
    size_t whole;      /* a `writev` of at most so many bytes goes entirely or not at all */
    size_t placed;     /* so many bytes can be written in place */
    bool drained;      /* a `peek` has read all there was; whoever wants to know clears it before */
};

struct transport_ops {
    /*
     * Show the next bytes without taking them: at least `want` (at most `window`) when they have
     * arrived. Returns how many lie at *bytes, until the next input operation. Fewer than `want`:
     * the rest has not arrived, or never will when *end is set. `want` 0 asks what is in memory,
     * without a system call. -1: the stream is broken.
     */
    ssize_t (*peek)(struct transport *transport, size_t want, const uint8_t **bytes, bool *end);
    /*
     * The same for what is in memory; when that is nothing, wait for ever and read at once, which
     * saves a system call. Where `fills` is set. 0: the end, or EINTR, or look with `peek`.
     */
    ssize_t (*await)(struct transport *transport, const uint8_t **bytes);
    /* Take `size` of the bytes that `peek` showed. */
    void (*skip)(struct transport *transport, size_t size);
    /* A goodbye has been taken from the stream. True: nobody comes after who said it. */
    bool (*goodbye)(struct transport *transport);
    /* Take up to `size` (> 0) bytes; 0: the end. EAGAIN: nothing has arrived. */
    ssize_t (*read)(struct transport *transport, void *buffer, size_t size);
    /* Give away as much as goes; EAGAIN: nothing does. EPIPE: nobody will read it. */
    ssize_t (*writev)(struct transport *transport, const struct iovec *parts, int count);
    /*
     * Where `placed` is not 0, for up to so many bytes: where they are to be put, before `publish`
     * gives them away. NULL: errno as for writev.
     */
    uint8_t *(*place)(struct transport *transport, size_t size);
    void (*publish)(struct transport *transport, size_t size);
    /* No more bytes from here: the other side finds the end after the last one. Nobody waits for room. */
    int (*shutdown)(struct transport *transport);
    /* Wait until one of `events` may have come, or the deadline (negative: for ever): ETIMEDOUT, EINTR. */
    int (*wait)(struct transport *transport, unsigned events, int64_t deadline);
    /* One descriptor to poll for input, the same each time, the transport's own. */
    int (*descriptor)(struct transport *transport);
    /*
     * After each call, once the descriptor was asked for: readable now when `loud`; otherwise quiet
     * until one of `events` comes.
     */
    void (*settle)(struct transport *transport, bool loud, unsigned events);
    /*
     * Which directions are over, without reading. TRANSPORT_IN: nothing comes after what is unread.
     * TRANSPORT_OUT: nobody will read what is written; for a transport whose descriptor is readable
     * then by itself it need not be told.
     */
    unsigned (*over)(struct transport *transport);
    /* Does anything lie in the kernel? For either side to ask, in the middle of a read as well. */
    bool (*unread)(struct transport *transport);
    /* Who is there, as text. */
    void (*peer)(struct transport *transport, char *text, size_t size);
    /* Free the transport and close what it owns. */
    void (*close)(struct transport *transport);
};

/* Two descriptors of the program's; owned when this succeeds. They may be the same one. */
struct transport *transport_fd(int read_fd, int write_fd);
/* The same for descriptors that libpipc has made, whose O_NONBLOCK nobody else looks at. */
struct transport *transport_fd_own(int read_fd, int write_fd);
/*
 * The same in two steps, for descriptors that take long to get: the memory is there before. The
 * second step takes the descriptors over, also when it fails. Until it has succeeded, `close` is
 * all that may be called.
 */
struct transport *transport_fd_reserve(void);
int transport_fd_adopt(struct transport *transport, int read_fd, int write_fd);

struct ends;
/* An end of an anonymous pipe, which `ends` outlives; first made, then given the end it is for. */
struct transport *transport_ring(struct ends *ends);
void transport_ring_take(struct transport *transport, unsigned end);
/* How many bytes it has written so far. */
uint64_t transport_ring_written(const struct transport *transport);
/* In a child after fork, at once: give up the copies of what only the parent may use. */
void transport_ring_disown(struct transport *transport);

#endif
