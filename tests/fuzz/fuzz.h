/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzing harnesses share. Each harness is one file that defines LLVMFuzzerTestOneInput:
 * it takes decisions from the input, makes calls, and compares what they do with what the manual
 * promises. libFuzzer calls it (./dev fuzz), or fuzz_main.c does for each file of a corpus.
 */
#ifndef PIPC_TESTS_FUZZ_H
#define PIPC_TESTS_FUZZ_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Prints the sentence and errno, and aborts: that is a find. */
__attribute__((noreturn, format(printf, 3, 4))) void fuzz_fail(const char *file, int line,
                                                               const char *format, ...);
#define FUZZ_FAIL(...) fuzz_fail(__FILE__, __LINE__, __VA_ARGS__)
#define FUZZ_CHECK(condition, ...)                      \
    do {                                                \
        if (!(condition))                               \
            fuzz_fail(__FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

/* The harness itself lacks something (descriptors, memory): no find of the library's. */
#define FUZZ_NEED(condition) FUZZ_CHECK(condition, "the harness cannot go on: %s", #condition)

/* With PIPC_FUZZ_TRACE in the environment, prints what an input does. */
__attribute__((format(printf, 1, 2))) void fuzz_trace(const char *format, ...);

/* ---- the input: decisions, from its begin on ---- */

struct fuzz_input {
    const uint8_t *bytes;
    size_t size;
};

static inline bool fuzz_is_over(const struct fuzz_input *in)
{
    return in->size == 0;
}

/* Zeros follow the end. */
static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
    if (in->size == 0)
        return 0;
    in->size--;
    return *in->bytes++;
}

static inline uint32_t fuzz_word(struct fuzz_input *in)
{
    uint32_t word = 0;
    for (int i = 0; i < 4; i++)
        word = word << 8 | fuzz_byte(in);
    return word;
}

/* Up to *size bytes, as many as there are. */
static inline const uint8_t *fuzz_take(struct fuzz_input *in, size_t *size)
{
    const uint8_t *bytes = in->bytes;
    if (*size > in->size)
        *size = in->size;
    in->bytes += *size;
    in->size -= *size;
    return bytes;
}

/* A size that is small, or a little below a limit of the library or of the kernel. */
size_t fuzz_size(struct fuzz_input *in);

#define FUZZ_PICK(in, table) ((table)[fuzz_byte(in) % (sizeof(table) / sizeof((table)[0]))])

/* ---- a pseudo-random sequence, for contents and for attackers ---- */

static inline uint32_t fuzz_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* ---- descriptors ---- */

enum { FUZZ_FDS = 512 };

/* Which numbers below FUZZ_FDS are open. */
struct fuzz_fds {
    bool is_open[FUZZ_FDS];
};
struct fuzz_fds fuzz_fds_now(void);
/* The same are open as before; otherwise a find. */
void fuzz_fds_check(const struct fuzz_fds *before);

void fuzz_socketpair(int fd[2]);
/* connect(2), whatever signals come: libFuzzer has an alarm. */
int fuzz_connect(int fd, const struct sockaddr *address, socklen_t size);
void fuzz_nonblock(int fd);
bool fuzz_is_readable(int fd);
/* Waits so long; of -1 it waits all that time. */
bool fuzz_becomes_readable(int fd, int ms);
/* As much as there is room for; the descriptor does not wait. Returns how much went. */
size_t fuzz_write_some(int fd, const uint8_t *bytes, size_t size);

/* A sandbox may have no network at all: then inputs for TCP use Unix sockets. */
bool fuzz_has_loopback(void);
int64_t fuzz_now_ms(void);

/* ---- handles ---- */

/* Adopts the descriptors; timeouts are 0. */
pipc_t *fuzz_adopt(int in, int out, const pipc_options_t *options);
void fuzz_no_timeouts(pipc_t *pipe);
pipc_stats_t fuzz_stats(const pipc_t *pipe);

#endif
