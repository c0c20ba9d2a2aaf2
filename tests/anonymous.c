/* SPDX-License-Identifier: MIT */
/* The threads and children of anonymous.h, and what their scripts are made of. */
#include "anonymous.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "platform.h"

/* A thread that is cancelled or calls pthread_exit leaves marks of AddressSanitizer on its stack.
 * The next functions there would be reported. */
static void side_unmark_stack(void *unused)
{
    (void)unused;
#if defined(__SANITIZE_ADDRESS__)
    enum { DEPTH = 32768 };
    __asan_unpoison_memory_region((char *)__builtin_frame_address(0) - DEPTH, DEPTH);
#endif
}

static void *side_thread(void *arg)
{
    struct side *side = arg;
    atomic_store(&side->tid, gettid());
    pthread_cleanup_push(side_unmark_stack, NULL);
    side->play(side->pipe);
    pthread_cleanup_pop(0);
    return NULL;
}

static int side_child(void *arg)
{
    struct side *side = arg;
    side->play(side->pipe);
    return 0;
}

void side_start(struct side *side, const struct kind *kind, pipc_t *pipe, script *play)
{
    side->pipe = pipe;
    side->play = play;
    side->in_thread = kind->in_threads;
    atomic_store(&side->tid, 0);
    if (side->in_thread) {
        assert_int_equal(harness_thread(&side->thread, side_thread, side), 0);
    } else {
        side->pid = harness_fork(side_child, side);
        atomic_store(&side->tid, side->pid);
    }
}

void side_end(struct side *side)
{
    if (side->in_thread)
        assert_int_equal(pthread_join(side->thread, NULL), 0);
    else
        assert_int_equal(harness_wait(side->pid), 0);
}

void side_play(const struct kind *kind, pipc_t *pipe, script *play)
{
    struct side side;
    side_start(&side, kind, pipe, play);
    side_end(&side);
}

struct sleeper sleeper_me(void)
{
    return (struct sleeper){getpid(), gettid()};
}

struct sleeper sleeper_side(const struct side *side)
{
    pid_t tid = atomic_load(&side->tid);
    return (struct sleeper){side->in_thread ? getpid() : side->pid, tid};
}

char sleeper_state(struct sleeper who)
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

void sleeper_wait(struct sleeper who)
{
    int most = harness_has_proc() ? 1000 : 20; /* without it nothing is seen, and time must do */
    int64_t deadline = harness_now_ms() + most * harness_scale();
    while (sleeper_state(who) != 'S' && harness_now_ms() < deadline)
        nanosleep(&(struct timespec){0, 100000}, NULL);
}

void anonymous_need_eventfd(void)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    int fd = eventfd(0, EFD_CLOEXEC);
    if (fd < 0)
        harness_skip("a doorbell is not rung by write");
    close(fd);
}

void anonymous_need_tokens_that_stay(const struct kind *kind)
{
    if (kind == anonymous_forked)
        harness_skip_in_qemu("a child gets its parent's token: qemu knows no MADV_DONTFORK");
}

/* s390 takes the stack first. */
long anonymous_clone(void)
{
#ifdef __s390__
    return syscall(SYS_clone, 0L, (long)SIGCHLD, 0L, 0L, 0L);
#else
    return syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
#endif
}

pipc_t *open_anonymous(void)
{
    pipc_t *pipe = pipc_open(NULL);
    assert_non_null(pipe);
    return pipe;
}

void say(pipc_t *pipe, const char *text)
{
    assert_int_equal(pipc_write(pipe, text, strlen(text)), strlen(text));
}

void hear(pipc_t *pipe, const char *text)
{
    char got[256];
    ssize_t n = pipc_read(pipe, got, sizeof got - 1);
    if (n < 0)
        fail_msg("wanted \"%s\", got %s", text, strerror(errno));
    got[n] = '\0';
    assert_string_equal(got, text);
}

void say_number(pipc_t *pipe, int number)
{
    assert_int_equal(pipc_write(pipe, &number, sizeof number), sizeof number);
}

int hear_number(pipc_t *pipe)
{
    int number;
    ssize_t n = pipc_read(pipe, &number, sizeof number);
    if (n < 0)
        fail_msg("wanted a number, got %s", strerror(errno));
    assert_int_equal(n, sizeof number);
    return number;
}

void leave(pipc_t *pipe, const char *text)
{
    assert_int_equal(pipc_disconnect(pipe, text), 0);
}

void hear_bye(pipc_t *pipe, const char *text)
{
    char byte;
    assert_errno(pipc_read(pipe, &byte, sizeof byte), ESHUTDOWN);
    assert_non_null(pipc_bye_text(pipe));
    assert_string_equal(pipc_bye_text(pipe), text);
}

void set_timeouts(pipc_t *pipe, int read_ms, int write_ms)
{
    assert_int_equal(pipc_set_timeout(pipe, read_ms, write_ms), 0);
}

void hear_nothing(pipc_t *pipe)
{
    char byte;
    set_timeouts(pipe, 0, -1);
    assert_errno(pipc_read(pipe, &byte, sizeof byte), EAGAIN);
    set_timeouts(pipe, -1, -1);
}

void say_large(pipc_t *pipe, size_t size, uint64_t tag)
{
    char *data = malloc(size);
    assert_non_null(data);
    harness_fill(data, size, tag);
    assert_int_equal(pipc_write(pipe, data, size), size);
    free(data);
}

void hear_large(pipc_t *pipe, size_t size, uint64_t tag)
{
    pipc_msg_t message;
    if (pipc_read_msg(pipe, &message) != 0)
        fail_msg("wanted %zu bytes, got %s", size, strerror(errno));
    assert_int_equal(message.kind, PIPC_DATA);
    assert_int_equal(message.size, size);
    harness_check(message.data, size, tag);
    pipc_msg_free(&message);
}

void hear_the_end(pipc_t *pipe, int code)
{
    static char room[1 << 20]; /* for a large message that will never be complete */
    for (int i = 0; i < 3; i++)
        assert_errno(pipc_read(pipe, room, sizeof room), code);
}

void expect_no_reader(pipc_t *pipe, int read_code)
{
    assert_int_equal(pipc_write(pipe, "x", 1), -1);
    int code = errno;
    assert_true(code == EPIPE || code == read_code);
    for (int i = 0; i < 2; i++)
        assert_errno(pipc_write(pipe, "x", 1), code);
}

int fill_up(pipc_t *pipe, size_t size)
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

void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

struct harness_gate gate[3];

void gates_init(void)
{
    for (size_t i = 0; i < sizeof gate / sizeof gate[0]; i++)
        harness_gate_init(&gate[i]);
}

void gates_close(void)
{
    for (size_t i = 0; i < sizeof gate / sizeof gate[0]; i++)
        harness_gate_close(&gate[i]);
}
