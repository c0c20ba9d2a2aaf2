/* SPDX-License-Identifier: MIT */
/*
 * soak SECONDS [MESSAGES]: for each kind of pipe two processes that send each other messages of
 * random sizes by random calls, under signals a thousand times a second, stopped and continued,
 * with small buffers in half of the rounds. In some rounds one is killed. Every byte that comes is
 * checked. The first wrong one ends it all, with status 1. With MESSAGES it ends as soon as so many
 * have come; it is a failure if they do not.
 */
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../fuzz/fuzz.h"
#include "harness.h"
#include "moving.h"

enum { LARGEST = 80000, ROUND_MAX = 3000, BATCH = 8, END_MS = 60000, FD_MAX = 128 };

static struct {
    atomic_ulong messages, bytes, kills, rounds, stops;
    atomic_bool has_failed;
} * shared;

#define SOAK_CHECK(condition, ...)                                           \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, kind_in_use); \
            fprintf(stderr, __VA_ARGS__);                                    \
            fprintf(stderr, " (errno: %s)\n", strerror(errno));              \
            shared->has_failed = true;                                       \
            _exit(1);                                                        \
        }                                                                    \
    } while (0)

static const char *kind_in_use;

/* What the peer has done, as both processes of a pair see it. */
static struct {
    atomic_ulong got, sent;
    atomic_bool is_over;
} * peer_seen;

struct talker {
    pipc_t *pipe;
    uint64_t random, sent, got; /* messages of each direction, by number */
    uint64_t own_tag, peer_tag;
    bool is_over, writes_fail;
};

/* ---- messages ---- */

/* Mostly small; the same for both sides. */
static size_t size_of(uint64_t tag, uint64_t number)
{
    uint64_t state = (tag * 77 + number + 1) * 0x9e3779b97f4a7c15u | 1;
    harness_roll(&state);
    size_t roll = harness_roll(&state);
    return roll % 64 == 0 ? roll / 64 % LARGEST : roll / 64 % 500;
}

static size_t make_message(const struct talker *t, uint64_t number, unsigned char *data)
{
    size_t size = size_of(t->own_tag, number);
    harness_fill(data, size, t->own_tag + number);
    return size;
}

static void check_message(struct talker *t, const void *data, size_t size)
{
    SOAK_CHECK(size == size_of(t->peer_tag, t->got), "message %llu has %zu bytes",
               (unsigned long long)t->got, size);
    harness_check(data, size, t->peer_tag + t->got);
    t->got++;
    shared->messages++;
    shared->bytes += size;
}

static void note_read_error(struct talker *t)
{
    if (errno == EAGAIN || errno == ETIMEDOUT)
        return;
    SOAK_CHECK(errno == EPIPE || errno == ECONNRESET || errno == ESHUTDOWN, "a read fails");
    t->is_over = true;
}

static void note_write_error(struct talker *t)
{
    if (errno == EAGAIN || errno == ETIMEDOUT)
        return;
    SOAK_CHECK(errno == EPIPE || errno == ECONNRESET, "a write fails");
    t->writes_fail = true;
}

/* ---- calls ---- */

static void send_some(struct talker *t)
{
    static unsigned char data[LARGEST], small[BATCH][512];
    struct iovec parts[BATCH];
    size_t count = 0;
    if (harness_roll(&t->random) % 3 == 0) {
        while (count < BATCH && size_of(t->own_tag, t->sent + count) <= 512) {
            size_t size = make_message(t, t->sent + count, small[count]);
            parts[count] = (struct iovec){small[count], size};
            count++;
        }
    }
    if (count > 1) {
        ssize_t sent = pipc_write_batch(t->pipe, parts, count);
        t->sent += sent > 0 ? (uint64_t)sent : 0;
        if (sent < 0)
            note_write_error(t);
        return;
    }
    size_t size = make_message(t, t->sent, data);
    parts[0] = (struct iovec){data, size / 2};
    parts[1] = (struct iovec){data + size / 2, size - size / 2};
    ssize_t sent = harness_roll(&t->random) % 2 == 0 ? pipc_write(t->pipe, data, size)
                                                     : pipc_writev(t->pipe, parts, 2);
    if (sent < 0)
        note_write_error(t);
    else
        t->sent++;
}

static void take_view(struct talker *t)
{
    static unsigned char data[LARGEST];
    pipc_msg_t view;
    if (pipc_peek(t->pipe, &view) < 0) {
        note_read_error(t);
        return;
    }
    SOAK_CHECK(view.size <= sizeof data, "a view of %zu bytes", view.size);
    size_t size = view.size;
    bool is_data = view.kind == PIPC_DATA;
    memcpy(data, view.data, size);
    SOAK_CHECK(pipc_skip(t->pipe) == 0, "what was seen cannot be skipped");
    if (is_data)
        check_message(t, data, size);
    else
        t->is_over = true;
}

static void take_many(struct talker *t)
{
    pipc_msg_t messages[BATCH];
    ssize_t count = pipc_read_pending(t->pipe, messages, BATCH);
    if (count < 0)
        note_read_error(t);
    for (ssize_t i = 0; i < count; i++) {
        if (messages[i].kind == PIPC_DATA)
            check_message(t, messages[i].data, messages[i].size);
        else
            t->is_over = true;
        pipc_msg_free(&messages[i]);
    }
}

static void take_some(struct talker *t)
{
    static unsigned char data[LARGEST];
    size_t roll = harness_roll(&t->random) % 4;
    if (roll == 0) {
        take_view(t);
    } else if (roll == 1) {
        take_many(t);
    } else {
        ssize_t got = pipc_read(t->pipe, data, sizeof data);
        if (got < 0)
            note_read_error(t);
        else
            check_message(t, data, (size_t)got);
    }
}

static void step(struct talker *t)
{
    static const int timeouts[] = {0, 0, 1, 5};
    if (harness_roll(&t->random) % 16 == 0)
        SOAK_CHECK(pipc_set_timeout(t->pipe, timeouts[harness_roll(&t->random) % 4],
                                    timeouts[harness_roll(&t->random) % 4]) == 0,
                   "no timeout can be set");
    if (!t->writes_fail && harness_roll(&t->random) % 2 == 0)
        send_some(t);
    else
        take_some(t);
}

/*
 * What is left to come ends: the peer takes no more than was sent here, and sends no more once it
 * has seen the end. So it is these steps that have a deadline, however long all of them take.
 */
static uint64_t steps_to_the_end(const struct talker *t)
{
    return peer_seen->got + (peer_seen->is_over ? 1 + t->got : 0);
}

static void take_rest(struct talker *t)
{
    uint64_t steps = steps_to_the_end(t);
    int64_t begin = harness_now_ms();
    pipc_set_timeout(t->pipe, 1000, 1000);
    while (!t->is_over) {
        if (steps != steps_to_the_end(t))
            begin = harness_now_ms();
        steps = steps_to_the_end(t);
        SOAK_CHECK(harness_now_ms() < begin + END_MS * harness_scale(),
                   "the end of the peer is not reported: it got %lu of %llu, %s, and sent %lu, of "
                   "which %llu came",
                   peer_seen->got, (unsigned long long)t->sent,
                   peer_seen->is_over ? "then the end" : "no end", peer_seen->sent,
                   (unsigned long long)t->got);
        take_some(t);
    }
}

/* ---- a round ---- */

static void catch_signal(int number)
{
    (void)number;
}

static void disturb(bool on)
{
    struct itimerval each = {{0, on ? 1000 : 0}, {0, on ? 1000 : 0}};
    struct sigaction action = {.sa_handler = catch_signal};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &each, NULL);
}

static void shrink_buffers(void)
{
    int size = 4096;
    for (int fd = 3; fd < FD_MAX; fd++)
        if (fcntl(fd, F_SETPIPE_SZ, size) < 0)
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* Talks until the peer has ended. */
static void be_peer(struct talker *t)
{
    disturb(true);
    while (!t->is_over) {
        step(t);
        peer_seen->got = (unsigned long)t->got;
        peer_seen->sent = (unsigned long)t->sent;
    }
    peer_seen->is_over = true;
    disturb(false);
    pipc_set_timeout(t->pipe, 0, 1000);
    pipc_flush(t->pipe);
    pipc_close(t->pipe);
    _exit(0);
}

static void stop_and_go_on(pid_t peer, struct talker *t)
{
    kill(peer, SIGSTOP);
    for (int i = 0; i < 20 && !t->is_over; i++)
        step(t);
    kill(peer, SIGCONT);
    shared->stops++;
}

static void begin_sides(struct talker side[2], pipc_t *const end[2], uint64_t *random)
{
    for (int i = 0; i < 2; i++)
        side[i] = (struct talker){.pipe = end[i], .random = harness_roll(random) | 1};
    side[0].own_tag = side[1].peer_tag = harness_roll(random) % 1000000;
    side[1].own_tag = side[0].peer_tag = harness_roll(random) % 1000000;
}

static void run_round(const struct kind *kind, uint64_t *random, int64_t deadline)
{
    struct talker side[2];
    pipc_t *end[2];
    kind_open(kind, end, NULL);
    begin_sides(side, end, random);
    peer_seen->got = peer_seen->sent = 0;
    peer_seen->is_over = false;
    if (harness_roll(random) % 2 == 0)
        shrink_buffers();
    SOAK_CHECK(pipc_set_timeout(end[0], 0, 0) == 0, "no end");
    pid_t peer = fork();
    SOAK_CHECK(peer >= 0, "no process");
    if (peer == 0) {
        if (!kind->same_handle)
            pipc_close(end[0]);
        be_peer(&side[1]);
    }
    if (!kind->same_handle)
        pipc_close(end[1]);
    uint64_t steps = 1 + harness_roll(random) % ROUND_MAX;
    bool kills = harness_roll(random) % 3 == 0;
    disturb(true);
    for (uint64_t done = 0; done < steps || side[0].got == 0; done++) {
        if (side[0].is_over || harness_now_ms() >= deadline)
            break;
        step(&side[0]);
        if (harness_roll(random) % 500 == 0)
            stop_and_go_on(peer, &side[0]);
    }
    disturb(false);
    if (kills)
        kill(peer, SIGKILL);
    else
        pipc_shutdown(end[0]);
    if (side[0].got > 0 || !kind->same_handle) /* otherwise it may have been no holder yet */
        take_rest(&side[0]);
    int status = harness_wait(peer);
    SOAK_CHECK(status == 0 || (kills && status == -SIGKILL), "the peer ended with %d", status);
    pipc_close(end[0]);
    shared->kills += status == -SIGKILL;
    shared->rounds++;
}

static void *map_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static int soak_kind(const struct kind *kind, uint64_t seed, int64_t deadline, unsigned long enough)
{
    uint64_t random = seed * 0x9e3779b97f4a7c15u | 1;
    kind_in_use = kind->name;
    peer_seen = map_shared(sizeof *peer_seen);
    while (harness_now_ms() < deadline && shared->messages < enough && !shared->has_failed)
        run_round(kind, &random, deadline);
    return 0;
}

/* Whether this system has what it needs. */
static bool is_possible(const struct kind *kind)
{
    return (!kind->moves || moving_is_possible()) && (!kind->tcp || fuzz_has_loopback());
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 60, kinds = 0, failed = 0;
    uint64_t seed = (uint64_t)harness_setting("PIPC_TEST_SEED", 1);
    int64_t deadline = harness_now_ms() + seconds * (int64_t)1000;
    unsigned long wanted = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    unsigned long enough = argc > 2 ? wanted : ULONG_MAX;
    shared = map_shared(sizeof *shared);
    for (const struct kind *kind = NULL; (kind = kind_next(ALL_KINDS, kind)) != NULL; kinds++)
        if (fork() == 0)
            _exit(is_possible(kind) ? soak_kind(kind, seed + (uint64_t)kinds, deadline, enough)
                                    : 0);
    for (int status; kinds > 0 && wait(&status) > 0; kinds--)
        failed += status != 0;
    bool is_right = failed == 0 && shared->messages >= wanted;
    printf("%lu messages, %lu MB, %s; %lu rounds, %lu killed, %lu stopped\n",
           (unsigned long)shared->messages, (unsigned long)(shared->bytes / 1000000),
           is_right ? "each byte right" : "and a failure", (unsigned long)shared->rounds,
           (unsigned long)shared->kills, (unsigned long)shared->stops);
    return is_right ? 0 : 1;
}
