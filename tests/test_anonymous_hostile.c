/* SPDX-License-Identifier: MIT */
/*
 * Hostile processes that inherited an anonymous pipe, as peer or bystander. They change every
 * flag, lock and counter of the inherited descriptors, and every word of the memory, at random
 * moments. The survivor's calls still keep their timeouts, it detects the death of its peer, and
 * afterwards it does not spin. Attacks on the contents of the rings are in test_ring_hostile.c.
 */
#include "anonymous.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#include "peer/shared.h"

enum { FD_MAX = 256, KIND_MAX = 48 };

static uint64_t dice;

static size_t roll(void)
{
    return harness_roll(&dice);
}

/* --- What is inherited ----------------------------------------------------------------------- */

/* "memfd:pipc", "[eventfd]" and the like; empty: not open. */
static void kind_of(int fd, char kind[KIND_MAX])
{
    char path[64], name[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(path, name, sizeof name - 1);
    name[size > 0 ? size : 0] = '\0';
    snprintf(kind, KIND_MAX, "%.40s", name);
}

static bool is_of_the_library(int fd)
{
    char kind[KIND_MAX];
    kind_of(fd, kind);
    return strstr(kind, "pipc") != NULL || strstr(kind, "anon_inode") != NULL;
}

static int list_inherited(int fds[FD_MAX])
{
    int count = 0;
    for (int fd = 3; fd < FD_MAX; fd++)
        if (is_of_the_library(fd))
            fds[count++] = fd;
    return count;
}

/* In a child: the memory and the two doorbells, and nothing by which the parent waits. */
static int see_only_what_is_shared(void *unused)
{
    int fds[FD_MAX], count = list_inherited(fds);
    (void)unused;
    for (int i = 0; i < count; i++) {
        char kind[KIND_MAX];
        kind_of(fds[i], kind);
        if (strstr(kind, "memfd:pipc") == NULL && strstr(kind, "eventfd") == NULL)
            fail_msg("inherited: %s", kind);
    }
    assert_int_equal(count, 3);
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

static int inherited[FD_MAX], inherited_count;

static int any_inherited(void)
{
    return inherited[roll() % (uint64_t)inherited_count];
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
    int fd = any_inherited(), flags = fcntl(fd, F_GETFL);
    uint64_t value = roll() % 3 == 0 ? UINT64_MAX - 1 : roll() % 3;
    char kind[KIND_MAX];
    kind_of(fd, kind);
    if (strstr(kind, "eventfd") == NULL)
        return;
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (roll() % 2 == 0 && read(fd, &value, sizeof value) < 0)
        return;
    value = roll() % 3 == 0 ? UINT64_MAX - 1 : roll() % 3;
    if (write(fd, &value, sizeof value) < 0)
        return;
    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

static void change_position(void)
{
    int one = 1;
    lseek(any_inherited(), (off_t)(roll() % 10000), SEEK_SET);
    ioctl(any_inherited(), FIONBIO, &one);
    if (ftruncate(any_inherited(), (off_t)(roll() % 10000)) == 0)
        abort(); /* the survivor's memory */
}

static volatile uint32_t *words;

static void find_words(void)
{
    char line[512];
    unsigned long begin, offset = 1;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (offset != 0 && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "pipc") == NULL || strstr(line, "rw-s") == NULL ||
            sscanf(line, "%lx-%*x %*s %lx", &begin, &offset) != 2)
            offset = 1;
    fclose(maps);
    assert_int_equal(offset, 0);
    words = (volatile uint32_t *)begin;
}

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
    find_words();
    inherited_count = list_inherited(inherited);
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

static void expect_within(int64_t begin, int ms, const char *what)
{
    if (harness_now_ms() - begin > ms * harness_scale())
        fail_msg("%s took %d ms", what, (int)(harness_now_ms() - begin));
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

static int64_t cpu_ms(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* However it is put: an end, a torn message, or bytes that were no frame. Not a timeout. */
static void expect_death_detected(pipc_t *pipe)
{
    static char room[1 << 20];
    int64_t begin = harness_now_ms(), cpu = cpu_ms();
    ssize_t n;
    pipc_want(pipe, PIPC_WANT_READ | PIPC_WANT_WRITE);
    set_timeouts(pipe, SIDES_LONG_MS, 0);
    while ((n = pipc_read(pipe, room, sizeof room)) >= 0 || errno == EMSGSIZE)
        if (n < 0)
            pipc_skip(pipe);
    if (errno != EPIPE && errno != ECONNRESET && errno != EPROTO)
        fail_msg("a read after the death: %s", strerror(errno));
    expect_within(begin, 2000, "to notice a death");
    assert_true(cpu_ms() - cpu < 500 * harness_scale());
}

/* As a level-triggered loop does that goes on after the end. */
static void expect_no_spin(pipc_t *pipe)
{
    char byte;
    int rounds = 0, fd = pipc_fd(pipe);
    set_timeouts(pipe, 0, 0);
    for (int64_t begin = harness_now_ms(); harness_now_ms() - begin < 100;) {
        if (!harness_readable(fd, 30))
            continue;
        while (pipc_read(pipe, &byte, 1) >= 0)
            continue;
        rounds++;
    }
    assert_in_range(rounds, 0, 20);
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
    int rounds = harness_scale() > 1 ? 1 : 4;
    for (int round = 0; round < rounds; round++)
        for (size_t attack = 0; attack <= ATTACKS; attack++)
            survive(attack, round % 2 == 0);
}

/* --- Doorbells ------------------------------------------------------------------------------- */

static void fill_all_counters(void)
{
    for (int i = 0; i < inherited_count; i++) {
        char kind[KIND_MAX];
        uint64_t value = UINT64_MAX - 1, was;
        kind_of(inherited[i], kind);
        if (strstr(kind, "eventfd") == NULL)
            continue;
        fcntl(inherited[i], F_SETFL, O_NONBLOCK);
        if (read(inherited[i], &was, sizeof was) < 0 || write(inherited[i], &value, 8) != 8)
            abort();
        fcntl(inherited[i], F_SETFL, 0);
    }
}

static void block_the_doorbells(pipc_t *pipe)
{
    inherited_count = list_inherited(inherited);
    find_words();
    say(pipe, "here");
    fill_all_counters();
    struct shared_page *page = (struct shared_page *)(uintptr_t)words;
    atomic_store(&page->end[0].interest, 3);
    atomic_store(&page->end[1].interest, 3);
    say(pipe, "blocked");
    for (;;)
        pause();
}

TEST(a_full_blocking_doorbell_delays_no_call)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    char byte;
    set_timeouts(pipe, -1, 0);
    int fd = pipc_fd(pipe);
    side_start(&far, anonymous_forked, pipe, block_the_doorbells);
    hear(pipe, "here");
    hear(pipe, "blocked");
    set_timeouts(pipe, 0, 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pipc_write(pipe, "x", 1), 1);
        assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
        harness_readable(fd, 0);
    }
    kill(far.pid, SIGKILL);
    assert_int_equal(harness_wait(far.pid), -SIGKILL);
    assert_true(harness_readable(fd, SIDES_NOTICE_MS));
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
}

/* --- Locks and states ------------------------------------------------------------------------ */

/* On the open file that everybody has, so that it outlives this process. */
static void hide_behind_locks(pipc_t *pipe)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    inherited_count = list_inherited(inherited);
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    for (int i = 0; i < inherited_count; i++)
        fcntl(inherited[i], F_OFD_SETLK, &all);
}

static void free_its_end_without_a_word(pipc_t *pipe)
{
    find_words();
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    struct shared_page *page = (struct shared_page *)(uintptr_t)words;
    uint64_t state = atomic_load(&page->end[1].state);
    atomic_store(&page->end[1].state, (state & ~(uint64_t)7) + 8 + 4); /* freed */
}

static void give_another_name(pipc_t *pipe)
{
    find_words();
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    struct shared_page *page = (struct shared_page *)(uintptr_t)words;
    uint64_t state = atomic_load(&page->end[1].state);
    atomic_store(&page->end[1].state, (state & UINT32_MAX) | (uint64_t)0x80000001 << 32); /* init */
}

/* The one that dies is hostile from the moment on when the survivor has begun to wait. */
static void see_it_die(script *hide, bool by_polling)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    char byte;
    harness_gate_init(&gate[0]);
    set_timeouts(pipe, 1, 1);
    int fd = by_polling ? pipc_fd(pipe) : -1;
    side_start(&far, anonymous_forked, pipe, hide);
    set_timeouts(pipe, SIDES_LONG_MS, 1);
    hear(pipe, "here");
    set_timeouts(pipe, 1, 1);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    harness_gate_open(&gate[0]);
    side_end(&far);
    int64_t begin = harness_now_ms();
    set_timeouts(pipe, by_polling ? 0 : SIDES_LONG_MS, 0);
    do
        assert_true(!by_polling || harness_readable(fd, SIDES_NOTICE_MS));
    while (pipc_read(pipe, &byte, 1) < 0 && errno == EAGAIN);
    assert_int_equal(errno, EPIPE);
    expect_within(begin, 2000, "to notice a death");
    assert_errno(pipc_write(pipe, "x", 1), EPIPE);
    expect_no_spin(pipe);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

TEST(the_death_of_a_peer_that_held_a_lock_is_detected)
{
    see_it_die(hide_behind_locks, false);
    see_it_die(hide_behind_locks, true);
}

TEST(a_peer_that_frees_its_end_without_a_goodbye_is_reported_dead)
{
    see_it_die(free_its_end_without_a_word, false);
    see_it_die(free_its_end_without_a_word, true);
}

TEST(a_peer_that_claims_to_be_another_process_is_reported_dead)
{
    see_it_die(give_another_name, false);
    see_it_die(give_another_name, true);
}

/* The survivor's own end, which one of its threads holds and will hold. */
static void free_the_other_end(pipc_t *pipe)
{
    find_words();
    say(pipe, "here");
    struct shared_page *page = (struct shared_page *)(uintptr_t)words;
    uint64_t state = atomic_load(&page->end[0].state);
    atomic_store(&page->end[0].state, (state & ~(uint64_t)7) + 8 + 4);
    say(pipe, "freed");
    harness_gate_wait(&gate[0]);
}

static void expect_to_be_a_third(pipc_t *pipe)
{
    assert_errno(pipc_set_timeout(pipe, 0, 0), EBUSY);
    assert_errno(pipc_write(pipe, "x", 1), EBUSY);
}

TEST(forged_memory_cannot_give_a_held_end_to_another_thread)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    harness_gate_init(&gate[0]);
    set_timeouts(pipe, -1, -1);
    side_start(&far, anonymous_forked, pipe, free_the_other_end);
    hear(pipe, "here");
    hear(pipe, "freed");
    side_play(anonymous_in_threads, pipe, expect_to_be_a_third);
    say(pipe, "mine");
    harness_gate_open(&gate[0]);
    side_end(&far);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

HARNESS_MAIN("anonymous hostile", IT(a_child_inherits_no_descriptor_that_its_parent_waits_on),
             IT_WITHIN(timeouts_hold_and_a_death_is_detected_when_a_child_misbehaves, 90000),
             IT(a_full_blocking_doorbell_delays_no_call),
             IT(the_death_of_a_peer_that_held_a_lock_is_detected),
             IT(a_peer_that_frees_its_end_without_a_goodbye_is_reported_dead),
             IT(a_peer_that_claims_to_be_another_process_is_reported_dead),
             IT(forged_memory_cannot_give_a_held_end_to_another_thread))
