/* SPDX-License-Identifier: MIT */
/*
 * Calls that must not block do not, even if a process that shares the open files changes
 * O_NONBLOCK. This holds on every kernel: with the flags that make it easy, and without them
 * behind a filter.
 */
#define _GNU_SOURCE
#include "filter.h"
#include "harness.h"
#include "raw.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static const char *const kernels[] = {"", "nosignal", "nosignal,nowait", "preadv2,pwritev2"};
enum { KERNELS = sizeof kernels / sizeof kernels[0] };

/* What is adopted, as raw_kind: the test has the peer. */
static void make_fifos(int pipe_side[2], int test_side[2])
{
    char directory[] = "/tmp/pipc-test-XXXXXX", name[64];
    assert_non_null(mkdtemp(directory));
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%d", directory, i);
        assert_int_equal(mkfifo(name, 0600), 0);
        int reader = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        int writer = open(name, O_WRONLY | O_CLOEXEC);
        assert_int_equal(fcntl(reader, F_SETFL, 0), 0);
        (i == 0 ? pipe_side : test_side)[0] = reader;
        (i == 0 ? test_side : pipe_side)[1] = writer;
        unlink(name);
    }
    rmdir(directory);
}

static void open_terminal(int pipe_side[2], int test_side[2], tcflag_t output)
{
    struct termios raw;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        harness_skip("no pseudo-terminals here");
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    assert_int_equal(tcgetattr(slave, &raw), 0);
    cfmakeraw(&raw);
    raw.c_oflag |= output;
    assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
    pipe_side[0] = pipe_side[1] = slave;
    test_side[0] = master;
    test_side[1] = fcntl(master, F_DUPFD_CLOEXEC, 0);
}

static void make_terminal(int pipe_side[2], int test_side[2])
{
    open_terminal(pipe_side, test_side, 0);
}

/* It makes two bytes of one, so that messages do not arrive. */
static void make_typewriter(int pipe_side[2], int test_side[2])
{
    open_terminal(pipe_side, test_side, OPOST | ONLCR);
}

struct stream {
    const char *name;
    struct raw_kind kind;
};
static const struct stream streams[] = {
    {"pipes", {raw_make_pipes}},   {"FIFOs", {make_fifos}},           {"socket", {raw_make_socket}},
    {"terminal", {make_terminal}}, {"typewriter", {make_typewriter}},
};
enum { STREAMS = sizeof streams / sizeof streams[0] };

/* A stream, and the same open files once more. */
struct shared {
    struct raw raw;
    int fd[2];
};

static void share(struct shared *shared, const struct stream *stream)
{
    int pipe_side[2], test_side[2];
    stream->kind.make(pipe_side, test_side);
    for (int i = 0; i < 2; i++)
        shared->fd[i] = fcntl(pipe_side[i], F_DUPFD_CLOEXEC, 0);
    shared->raw.in = test_side[0];
    shared->raw.out = test_side[1];
    shared->raw.pipe = harness_adopt(pipe_side[0], pipe_side[1], NULL);
}

static void set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    assert_int_equal(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), 0);
}

static void set_both(const struct shared *shared, bool on)
{
    for (int i = 0; i < 2; i++)
        set_nonblocking(shared->fd[i], on);
}

static void unshare_all(struct shared *shared)
{
    raw_close(&shared->raw);
    for (int i = 0; i < 2; i++)
        close(shared->fd[i]);
}

typedef void body_on(struct shared *shared);

static struct {
    const char *kernel;
    const struct stream *stream;
    body_on *body;
} now;

/* In a process of its own, since a filter stays. Where it cannot be set up nothing is to be
 * seen. */
static int run_body(void *unused)
{
    struct shared shared;
    (void)unused;
    if (!filter_refuse(now.kernel))
        return 0;
    share(&shared, now.stream);
    now.body(&shared);
    unshare_all(&shared);
    return 0;
}

static void everywhere(body_on *body)
{
    now.body = body;
    for (size_t i = 0; i < KERNELS * STREAMS; i++) {
        now.kernel = kernels[i / STREAMS];
        now.stream = &streams[i % STREAMS];
        int status = harness_wait(harness_fork(run_body, NULL));
        if (status != 0 && status != HARNESS_SKIP_STATUS)
            fail_msg("%s without \"%s\": %d", now.stream->name, now.kernel, status);
    }
}

/* --- Nothing to read, no room to write -------------------------------------------------------- */

static void expect_no_input(pipc_t *pipe)
{
    char byte;
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    assert_int_equal(pipc_pending(pipe), 0);
    assert_int_equal(pipc_set_timeout(pipe, 10, 10), 0);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
}

static void read_nothing(struct shared *shared)
{
    for (int round = 0; round < 2; round++) {
        set_both(shared, round % 2 == 1);
        expect_no_input(shared->raw.pipe);
        raw_send(&shared->raw, BYTES("\0\0\0\3x"));
        expect_no_input(shared->raw.pipe);
        set_both(shared, round % 2 == 0);
        raw_send(&shared->raw, BYTES("yz\0\1\0\0long"));
        assert_int_equal(pipc_set_timeout(shared->raw.pipe, -1, -1), 0);
        expect_message(shared->raw.pipe, "xyz", 3);
        expect_no_input(shared->raw.pipe);
        static char rest[65536 - 4];
        raw_send(&shared->raw, rest, 3000);
        expect_no_input(shared->raw.pipe);
        for (size_t at = 3000; at < sizeof rest; at += 3000) {
            raw_send(&shared->raw, rest, sizeof rest - at < 3000 ? sizeof rest - at : 3000);
            pipc_pending(shared->raw.pipe);
        }
        assert_int_equal(pipc_skip(shared->raw.pipe), 0);
    }
}

TEST(a_read_of_an_empty_blocking_descriptor_does_not_wait)
{
    everywhere(read_nothing);
}

static void fill_with(struct shared *shared, size_t size)
{
    static char data[100000];
    pipc_t *pipe = shared->raw.pipe;
    memset(data, '\n', sizeof data);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    while (pipc_write(pipe, data, size) >= 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(pipc_set_timeout(pipe, 10, 10), 0);
    assert_errno(pipc_write(pipe, data, size), ETIMEDOUT);
}

static void write_in_vain(struct shared *shared)
{
    static const size_t sizes[] = {100000, 5000, 100, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        set_both(shared, false);
        fill_with(shared, sizes[i]);
    }
}

TEST(a_write_to_a_full_blocking_descriptor_does_not_wait)
{
    everywhere(write_in_vain);
}

/* The opener's close gives back what flags it had set. */
static int write_after_close(void *arg)
{
    struct shared *shared = arg;
    char byte;
    assert_int_equal(read(shared->raw.in, &byte, 1), 1); /* the parent has closed */
    fill_with(shared, 100000);
    expect_no_input(shared->raw.pipe);
    return 0;
}

static void close_in_parent(struct shared *shared)
{
    struct harness_gate closed;
    harness_gate_init(&closed);
    set_both(shared, false);
    /* The child waits at the gate, which takes the place of what it would read. */
    int in = shared->raw.in;
    shared->raw.in = closed.fd[0];
    pid_t pid = harness_fork(write_after_close, shared);
    shared->raw.in = in;
    pipc_close(shared->raw.pipe);
    harness_gate_open(&closed);
    assert_int_equal(harness_wait(pid), 0);
    harness_gate_close(&closed);
    shared->raw.pipe = NULL;
}

TEST(a_child_does_not_block_after_its_parent_has_closed)
{
    everywhere(close_in_parent);
}

/* --- Traffic, while the flags change all the time --------------------------------------------- */

enum { MESSAGES = 70, LARGEST = 50000 };

struct side {
    pipc_t *pipe;
    uint64_t tag;
};

static size_t size_of(uint64_t tag, int i)
{
    return i % 7 == 0 ? LARGEST - (size_t)i - (size_t)tag : (size_t)i * 13 % 700;
}

static void expect_patience(void)
{
    assert_true(errno == EAGAIN || errno == ETIMEDOUT);
    sched_yield();
}

static void put(struct side *side, int i)
{
    static _Thread_local char data[LARGEST];
    size_t size = size_of(side->tag, i);
    harness_fill(data, size, side->tag + (uint64_t)i);
    while (pipc_write(side->pipe, data, size) < 0)
        expect_patience();
}

static void get(struct side *side, int i)
{
    static _Thread_local char data[LARGEST];
    uint64_t tag = 1000 - side->tag;
    ssize_t n;
    while ((n = pipc_read(side->pipe, data, sizeof data)) < 0)
        expect_patience();
    assert_int_equal(n, size_of(tag, i));
    harness_check(data, (size_t)n, tag + (uint64_t)i);
}

static void *talk(void *arg)
{
    static const int timeouts[] = {-1, 0, 1, 5};
    struct side *side = arg;
    for (int i = 0; i < MESSAGES; i++) {
        int timeout = timeouts[harness_random_below(4)];
        assert_int_equal(pipc_set_timeout(side->pipe, timeout, timeout), 0);
        put(side, i);
        get(side, i);
    }
    assert_int_equal(pipc_set_timeout(side->pipe, -1, -1), 0);
    assert_int_equal(pipc_flush(side->pipe) < 0, false);
    return NULL;
}

struct toggler {
    struct shared *shared;
    atomic_bool stop;
};

static void *toggle(void *arg)
{
    struct toggler *toggler = arg;
    while (!toggler->stop) {
        set_nonblocking(toggler->shared->fd[harness_random_below(2)], harness_random_below(2));
        sched_yield();
    }
    return NULL;
}

static void talk_meanwhile(struct shared *shared)
{
    pthread_t other, togglers;
    struct toggler toggler = {.shared = shared};
    struct side near = {shared->raw.pipe, 0};
    if (now.stream->kind.make == make_typewriter)
        return;
    struct side far = {harness_adopt(shared->raw.in, shared->raw.out, NULL), 1000};
    assert_int_equal(pthread_create(&togglers, NULL, toggle, &toggler), 0);
    assert_int_equal(pthread_create(&other, NULL, talk, &far), 0);
    talk(&near);
    assert_int_equal(pthread_join(other, NULL), 0);
    toggler.stop = true;
    assert_int_equal(pthread_join(togglers, NULL), 0);
    shared->raw.in = fcntl(shared->raw.in, F_DUPFD_CLOEXEC, 0);
    shared->raw.out = -1;
    pipc_close(far.pipe);
}

TEST(messages_arrive_while_another_process_changes_O_NONBLOCK)
{
    everywhere(talk_meanwhile);
}

/* --- SIGPIPE ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void count_signal(int unused)
{
    (void)unused;
    caught++;
}

static void expect_epipe(struct shared *shared)
{
    if (isatty(shared->raw.in))
        return;
    close(shared->raw.in);
    close(shared->raw.out);
    shared->raw.in = shared->raw.out = -1;
    assert_errno(pipc_write(shared->raw.pipe, "x", 1), EPIPE);
}

/* SIGPIPE is at its default: it would kill. */
TEST(a_write_without_a_reader_returns_EPIPE_and_raises_no_signal)
{
    everywhere(expect_epipe);
}

static void keep_own_signal(struct shared *shared)
{
    sigset_t pipe_only, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    signal(SIGPIPE, count_signal);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    raise(SIGPIPE);
    expect_epipe(shared);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 1);
    pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
    assert_int_equal(caught, 1);
}

TEST(the_programs_own_pending_SIGPIPE_stays_pending)
{
    everywhere(keep_own_signal);
}

HARNESS_MAIN("blocking", IT(a_read_of_an_empty_blocking_descriptor_does_not_wait),
             IT(a_write_to_a_full_blocking_descriptor_does_not_wait),
             IT(a_child_does_not_block_after_its_parent_has_closed),
             IT(messages_arrive_while_another_process_changes_O_NONBLOCK),
             IT(a_write_without_a_reader_returns_EPIPE_and_raises_no_signal),
             IT(the_programs_own_pending_SIGPIPE_stays_pending))
