/* SPDX-License-Identifier: MIT */
/*
 * Hostile processes that inherited an anonymous pipe, as peer or bystander. They change every
 * flag, lock and counter of the inherited descriptors, and every word of the memory, at random
 * moments. The survivor's calls still keep their timeouts, it detects the death of its peer, and
 * afterwards it does not spin. Attacks on the contents of the rings are in test_ring_hostile.c,
 * single forgeries in test_anonymous_forged.c.
 */
#include "hostile.h"
#include "platform.h"

#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static uint64_t dice;

static size_t roll(void)
{
    return harness_roll(&dice);
}

/* --- What is inherited ----------------------------------------------------------------------- */

/* In a child: the memory and the doorbells, and nothing by which the parent waits. */
static int see_only_what_is_shared(void *unused)
{
    (void)unused;
    assert_int_equal(hostile_list("pipc").count, 1);
    assert_int_equal(hostile_list("").count, 1 + hostile_list("eventfd").count);
    return 0;
}

static void say_and_stay(pipc_t *pipe)
{
    say(pipe, "here");
    for (;;)
        pause();
}

TEST(a_child_inherits_no_descriptor_that_its_parent_waits_on)
{
    struct side far;
    char byte;
    harness_need_proc();
    pipc_t *pipe = open_anonymous();
    side_start(&far, anonymous_forked, pipe, say_and_stay);
    hear(pipe, "here");
    set_timeouts(pipe, 1, 1);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT); /* it has waited, and watches its peer */
    assert_true(pipc_fd(pipe) >= 0);
    assert_true(harness_open_descriptors() > 3);
    assert_int_equal(harness_wait(harness_fork(see_only_what_is_shared, NULL)), 0);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    kill(far.pid, SIGKILL);
    assert_int_equal(harness_wait(far.pid), -SIGKILL);
    pipc_close(pipe);
}

/* --- Attacks --------------------------------------------------------------------------------- */

static struct hostile_fds inherited, counters;

static int any_inherited(void)
{
    return inherited.fd[roll() % (uint64_t)inherited.count];
}

static void change_flags(void)
{
    static const int flags[] = {0, O_NONBLOCK, O_APPEND, O_ASYNC, O_NONBLOCK | O_ASYNC};
    fcntl(any_inherited(), F_SETFL, flags[roll() % 5]);
}

static void change_locks(void)
{
    struct flock lock = {.l_type = roll() % 3 == 0 ? F_UNLCK : F_WRLCK, .l_whence = SEEK_SET};
    static const int how[] = {F_SETLK, F_OFD_SETLK};
    lock.l_start = roll() % 2 == 0 ? 0 : (off_t)(roll() % (1ull << 33));
    lock.l_len = roll() % 2 == 0 ? 0 : 1;
    fcntl(any_inherited(), how[roll() % 2], &lock);
    flock(any_inherited(), (roll() % 2 == 0 ? LOCK_EX : LOCK_UN) | LOCK_NB);
}

static void change_counter(void)
{
    uint64_t value;
    if (counters.count == 0)
        return;
    int fd = counters.fd[roll() % (uint64_t)counters.count], flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (roll() % 2 == 0 && read(fd, &value, sizeof value) < 0)
        return;
    value = roll() % 3 == 0 ? UINT64_MAX - 1 : roll() % 3;
    if (write(fd, &value, sizeof value) < 0)
        return;
    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

/* Without memfd_create (./dev old-kernels) nothing keeps the memory's size, as the manual says. */
static bool has_memfd(void)
{
    int fd = memfd_create("pipc", MFD_CLOEXEC);
    close(fd);
    return fd >= 0;
}

static void change_position(void)
{
    static int may_shorten = -1; /* not known yet */
    int one = 1;
    lseek(any_inherited(), (off_t)(roll() % 10000), SEEK_SET);
    ioctl(any_inherited(), FIONBIO, &one);
    if (may_shorten < 0)
        may_shorten = has_memfd();
    if (may_shorten && ftruncate(any_inherited(), (off_t)(roll() % 10000)) == 0)
        abort(); /* the survivor's memory */
}

static volatile uint32_t *words;

/* Of states, interests and whatever else stands before the rings; their positions too. */
static void scribble(void)
{
    enum { WORDS = sizeof(struct shared_page) / sizeof(uint32_t) };
    static const uint32_t values[] = {0, 1, UINT32_MAX, 0x80000000, 0x40000000};
    uint64_t any = roll();
    words[roll() % WORDS] = any % 2 == 0 ? (uint32_t)(any >> 32) : values[any % 5];
}

static void (*const attacks[])(void) = {change_flags, change_locks, change_counter, change_position,
                                        scribble};
enum { ATTACKS = sizeof attacks / sizeof attacks[0] };

struct attacker {
    pipc_t *pipe;
    bool is_peer;
    size_t one_attack; /* ATTACKS: all of them */
    struct harness_gate ready, go;
};

_Noreturn static int attack_for_ever(void *arg)
{
    struct attacker *a = arg;
    if (a->is_peer)
        say(a->pipe, "here");
    words = (volatile uint32_t *)(void *)hostile_page();
    inherited = hostile_list("");
    counters = hostile_list("eventfd");
    dice ^= (uint64_t)getpid() << 32;
    harness_gate_open(&a->ready);
    harness_gate_wait(&a->go);
    for (;;) {
        attacks[a->one_attack == ATTACKS ? roll() % ATTACKS : a->one_attack]();
        if (roll() % 16 == 0)
            sched_yield();
    }
}

/* --- The survivor ---------------------------------------------------------------------------- */

static void read_or_write(pipc_t *pipe)
{
    static char room[100000];
    pipc_msg_t message;
    switch (roll() % 8) {
    case 0:
        pipc_read(pipe, room, sizeof room);
        break;
    case 1:
        if (pipc_read_msg(pipe, &message) == 0)
            pipc_msg_free(&message);
        break;
    case 2:
        pipc_peek(pipe, &message);
        break;
    case 3:
        pipc_pending(pipe);
        break;
    case 4:
        pipc_flush(pipe);
        break;
    case 5:
        pipc_want(pipe, (unsigned)(roll() % 4));
        break;
    default:
        pipc_write(pipe, room, roll() % 8 == 0 ? sizeof room : roll() % 100);
    }
}

/* With each timeout, and by polling as well. */
static void live_on(pipc_t *pipe)
{
    for (int i = 0; i < 200 / harness_scale(); i++) {
        int64_t begin = harness_now_ms();
        int ms = (int)(roll() % 3);
        pipc_set_timeout(pipe, ms, ms);
        read_or_write(pipe);
        int fd = roll() % 4 == 0 ? pipc_fd(pipe) : -1;
        if (fd >= 0)
            harness_readable(fd, 1);
        expect_within(begin, 1000, "a call");
    }
}

/* However it is put: an end, a torn message, or bytes that were no frame. Not a timeout. */
static void expect_death_detected(pipc_t *pipe)
{
    static char room[1 << 20];
    int64_t begin = harness_now_ms(), cpu = harness_cpu_ms();
    ssize_t n;
    pipc_want(pipe, PIPC_WANT_READ | PIPC_WANT_WRITE);
    set_timeouts(pipe, SIDES_LONG_MS, 0);
    while ((n = pipc_read(pipe, room, sizeof room)) >= 0 || errno == EMSGSIZE)
        if (n < 0)
            pipc_skip(pipe);
    if (errno != EPIPE && errno != ECONNRESET && errno != EPROTO)
        fail_msg("a read after the death: %s", strerror(errno));
    expect_within(begin, 2000, "to notice a death");
    assert_true(harness_cpu_ms() - cpu < 500 * harness_scale());
}

static void start_attacker(struct attacker *a, pid_t *pid)
{
    harness_gate_init(&a->ready);
    harness_gate_init(&a->go);
    dice = harness_random() | 1;
    *pid = harness_fork(attack_for_ever, a);
    harness_gate_wait(&a->ready);
}

static void stop_attacker(struct attacker *a, pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    harness_gate_close(&a->ready);
    harness_gate_close(&a->go);
}

static void survive(size_t attack, bool has_descriptor)
{
    pipc_t *pipe = open_anonymous();
    struct attacker peer = {pipe, true, attack, {{-1, -1}}, {{-1, -1}}};
    struct attacker bystander = {pipe, false, attack, {{-1, -1}}, {{-1, -1}}};
    pid_t peer_pid, bystander_pid;
    char byte;
    set_timeouts(pipe, 1, 1);
    if (has_descriptor)
        assert_true(pipc_fd(pipe) >= 0);
    start_attacker(&peer, &peer_pid);
    hear(pipe, "here");
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT); /* by now it knows its peer */
    start_attacker(&bystander, &bystander_pid);
    harness_gate_open(&peer.go);
    harness_gate_open(&bystander.go);
    live_on(pipe);
    stop_attacker(&peer, peer_pid);
    stop_attacker(&bystander, bystander_pid);
    int64_t begin = harness_now_ms();
    if (pipc_set_timeout(pipe, 0, 0) == 0) { /* it has its end still */
        expect_death_detected(pipe);
        expect_no_spin(pipe);
    }
    pipc_close(pipe);
    expect_within(begin, 4000, "the aftermath");
}

TEST(timeouts_hold_and_a_death_is_detected_when_a_child_misbehaves)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    harness_need_proc();
    int rounds = harness_scale() > 1 ? 1 : 4;
    for (int round = 0; round < rounds; round++)
        for (size_t attack = 0; attack <= ATTACKS; attack++)
            survive(attack, round % 2 == 0);
}

HARNESS_MAIN("anonymous hostile", IT(a_child_inherits_no_descriptor_that_its_parent_waits_on),
             IT_WITHIN(timeouts_hold_and_a_death_is_detected_when_a_child_misbehaves, 90000))
