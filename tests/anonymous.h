/* SPDX-License-Identifier: MIT */
/*
 * The sides of a symmetric handle, for the tests of pipc_open: a side is a thread or a forked child
 * that plays a script with the handle that both inherited. Also the few sentences that most scripts
 * are made of. It may use the harness and pipc.h, and it never closes a handle on its own.
 */
#ifndef PIPC_TESTS_ANONYMOUS_H
#define PIPC_TESTS_ANONYMOUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "harness.h"

/* Far longer than anything here takes: a wait that ends by it has failed. */
#define SIDES_LONG_MS (10000 * harness_scale())
/* Within that time a side must learn that its partner has died. */
#define SIDES_NOTICE_MS (1000 * harness_scale())

typedef void script(pipc_t *pipe);

struct side {
    pipc_t *pipe;
    script *play;
    bool in_thread;
    pthread_t thread;
    pid_t pid;
    _Atomic pid_t tid; /* of the thread, or of the child's only one; 0: not begun yet */
};

/* When a thread is cancelled, or calls pthread_exit, the marks that AddressSanitizer made on the stack
 * for the functions it was in stay there, and the next ones would stumble over them. */
static inline void side_unmark_stack(void *unused)
{
    (void)unused;
#if defined(__SANITIZE_ADDRESS__)
    enum { DEPTH = 32768 };
    __asan_unpoison_memory_region((char *)__builtin_frame_address(0) - DEPTH, DEPTH);
#endif
}

static inline void *side_thread(void *arg)
{
    struct side *side = arg;
    atomic_store(&side->tid, gettid());
    pthread_cleanup_push(side_unmark_stack, NULL);
    side->play(side->pipe);
    pthread_cleanup_pop(0);
    return NULL;
}

static inline int side_child(void *arg)
{
    struct side *side = arg;
    side->play(side->pipe);
    return 0;
}

static inline void side_start(struct side *side, const struct kind *kind, pipc_t *pipe,
                              script *play)
{
    side->pipe = pipe;
    side->play = play;
    side->in_thread = kind->in_threads;
    atomic_store(&side->tid, 0);
    if (side->in_thread) {
        assert_int_equal(pthread_create(&side->thread, NULL, side_thread, side), 0);
    } else {
        side->pid = harness_fork(side_child, side);
        atomic_store(&side->tid, side->pid);
    }
}

static inline void side_end(struct side *side)
{
    if (side->in_thread)
        assert_int_equal(pthread_join(side->thread, NULL), 0);
    else
        assert_int_equal(harness_wait(side->pid), 0);
}

/* From beginning to end, while nothing happens here. */
static inline void side_play(const struct kind *kind, pipc_t *pipe, script *play)
{
    struct side side;
    side_start(&side, kind, pipe, play);
    side_end(&side);
}

/* --- Who sleeps ------------------------------------------------------------------------------ */

struct sleeper {
    pid_t pid, tid;
};

static inline struct sleeper sleeper_me(void)
{
    return (struct sleeper){getpid(), gettid()};
}

static inline struct sleeper sleeper_side(const struct side *side)
{
    pid_t tid = atomic_load(&side->tid);
    return (struct sleeper){side->in_thread ? getpid() : side->pid, tid};
}

static inline char sleeper_state(struct sleeper who)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)who.pid, (int)who.tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return '?';
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *after = strrchr(text, ')');
    return after == NULL ? '?' : after[2];
}

/*
 * Until that thread blocks. Tests are right in either order; this makes the order likely that they
 * are about. It gives up rather than hang: a thread under a sanitizer or valgrind may look otherwise.
 */
static inline void sleeper_wait(struct sleeper who)
{
    int64_t deadline = harness_now_ms() + 1000;
    while (sleeper_state(who) != 'S' && harness_now_ms() < deadline)
        nanosleep(&(struct timespec){0, 100000}, NULL);
}

/* --- Sentences ------------------------------------------------------------------------------- */

static inline pipc_t *open_anonymous(void)
{
    pipc_t *pipe = pipc_open(NULL);
    assert_non_null(pipe);
    return pipe;
}

static inline void say(pipc_t *pipe, const char *text)
{
    assert_int_equal(pipc_write(pipe, text, strlen(text)), strlen(text));
}

static inline void hear(pipc_t *pipe, const char *text)
{
    char got[256];
    ssize_t n = pipc_read(pipe, got, sizeof got - 1);
    if (n < 0)
        fail_msg("wanted \"%s\", got %s", text, strerror(errno));
    got[n] = '\0';
    assert_string_equal(got, text);
}

static inline void say_number(pipc_t *pipe, int number)
{
    assert_int_equal(pipc_write(pipe, &number, sizeof number), sizeof number);
}

static inline int hear_number(pipc_t *pipe)
{
    int number;
    ssize_t n = pipc_read(pipe, &number, sizeof number);
    if (n < 0)
        fail_msg("wanted a number, got %s", strerror(errno));
    assert_int_equal(n, sizeof number);
    return number;
}

static inline void leave(pipc_t *pipe, const char *text)
{
    assert_int_equal(pipc_disconnect(pipe, text), 0);
}

static inline void hear_bye(pipc_t *pipe, const char *text)
{
    char byte;
    assert_errno(pipc_read(pipe, &byte, sizeof byte), ESHUTDOWN);
    assert_non_null(pipc_bye_text(pipe));
    assert_string_equal(pipc_bye_text(pipe), text);
}

static inline void set_timeouts(pipc_t *pipe, int read_ms, int write_ms)
{
    assert_int_equal(pipc_set_timeout(pipe, read_ms, write_ms), 0);
}

/* Nothing comes now. Leaves the time-outs unlimited. */
static inline void hear_nothing(pipc_t *pipe)
{
    char byte;
    set_timeouts(pipe, 0, -1);
    assert_errno(pipc_read(pipe, &byte, sizeof byte), EAGAIN);
    set_timeouts(pipe, -1, -1);
}

static inline void say_large(pipc_t *pipe, size_t size, uint64_t tag)
{
    char *data = malloc(size);
    assert_non_null(data);
    harness_fill(data, size, tag);
    assert_int_equal(pipc_write(pipe, data, size), size);
    free(data);
}

static inline void hear_large(pipc_t *pipe, size_t size, uint64_t tag)
{
    pipc_msg_t message;
    if (pipc_read_msg(pipe, &message) != 0)
        fail_msg("wanted %zu bytes, got %s", size, strerror(errno));
    assert_int_equal(message.kind, PIPC_DATA);
    assert_int_equal(message.size, size);
    harness_check(message.data, size, tag);
    pipc_msg_free(&message);
}

/* The pipe is at an end, whichever way one asks, and says the same each time. */
static inline void hear_the_end(pipc_t *pipe, int code)
{
    static char room[1 << 20]; /* for a large message that will never be complete */
    for (int i = 0; i < 3; i++)
        assert_errno(pipc_read(pipe, room, sizeof room), code);
}

/* Nobody will read it; a pipe that was torn may say that instead, but not sometimes so. */
static inline void expect_no_reader(pipc_t *pipe, int read_code)
{
    assert_int_equal(pipc_write(pipe, "x", 1), -1);
    int code = errno;
    assert_true(code == EPIPE || code == read_code);
    for (int i = 0; i < 2; i++)
        assert_errno(pipc_write(pipe, "x", 1), code);
}

/* Fills what the pipe holds by itself, with a message of zeros at a time. How many went. */
static inline int fill_up(pipc_t *pipe, size_t size)
{
    static const char zeros[65536];
    int count = 0;
    set_timeouts(pipe, -1, 0);
    while (pipc_write(pipe, zeros, size) >= 0)
        count++;
    assert_int_equal(errno, EAGAIN);
    set_timeouts(pipe, -1, -1);
    return count;
}

/* --- What all sides share -------------------------------------------------------------------- */

/* Zeroed memory that stays the same in children. */
static inline void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

#endif
