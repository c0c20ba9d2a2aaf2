/* SPDX-License-Identifier: MIT */
/*
 * How a waiting peer of an anonymous pipe is woken: loads in which one peer's call comes just as
 * the other falls asleep. A lost wakeup hangs the test, since nothing else would end that wait.
 */
#include "anonymous.h"

#include <sched.h>
#include <sys/epoll.h>

#include "peer/shared.h"

/* --- Sleeping and waking --------------------------------------------------------------------- */

/* A side's ways to wait: in the call, again and again in short calls, at first not at all; and,
 * once it has asked for the descriptor, by poll and by an edge. */
enum way { BLOCKING, BRIEFLY, AWAKE, POLLED, BY_EDGE };
enum { WAYS_IN_CALLS = POLLED, WAYS = BY_EDGE + 1 };

struct waiter {
    pipc_t *pipe;
    int fd, set; /* -1: not asked for */
    uint64_t random;
    int tries; /* in vain, while awake */
};

/* More would only keep the peer from a processor that both need. */
enum { MOST_TRIES = 500 };

static bool with_descriptor;
static int64_t end_ms;

static uint64_t next_random(struct waiter *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

static struct waiter waiter_of(pipc_t *pipe)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    struct waiter w = {pipe, -1, -1, harness_random() | 1, 0};
    if (!with_descriptor)
        return w;
    w.fd = pipc_fd(pipe);
    w.set = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(epoll_ctl(w.set, EPOLL_CTL_ADD, w.fd, &event), 0);
    return w;
}

static void waiter_end(struct waiter *w)
{
    if (w->set >= 0)
        close(w->set);
}

static enum way choose_way(struct waiter *w)
{
    return (enum way)(next_random(w) % (w->fd < 0 ? WAYS_IN_CALLS : WAYS));
}

static void set_way(struct waiter *w, enum way way)
{
    int ms = way == BLOCKING ? -1 : way == BRIEFLY ? 1 : 0;
    set_timeouts(w->pipe, ms, ms);
    w->tries = 0;
}

/* After a call that found nothing to do. */
static void await_something(struct waiter *w, enum way way)
{
    struct epoll_event event;
    assert_true(way != BLOCKING);
    assert_int_equal(errno, way == BRIEFLY || w->tries > MOST_TRIES ? ETIMEDOUT : EAGAIN);
    if (way == AWAKE && ++w->tries > MOST_TRIES)
        set_timeouts(w->pipe, 1, 1);
    if (way == POLLED)
        assert_true(harness_readable(w->fd, SIDES_LONG_MS));
    if (way == BY_EDGE && epoll_wait(w->set, &event, 1, SIDES_LONG_MS) != 1)
        fail_msg("no edge came; the descriptor is %s, messages: %d",
                 harness_readable(w->fd, 0) ? "readable" : "silent", (int)pipc_pending(w->pipe));
}

static size_t receive(struct waiter *w, enum way way, char *buffer, size_t room)
{
    ssize_t n;
    while ((n = pipc_read(w->pipe, buffer, room)) < 0)
        await_something(w, way);
    return (size_t)n;
}

static void transmit(struct waiter *w, enum way way, const char *data, size_t size)
{
    while (pipc_write(w->pipe, data, size) < 0)
        await_something(w, way);
}

/* Held output moves as one calls: nothing may be held while this side waits for an answer. */
static void push_out(struct waiter *w)
{
    set_timeouts(w->pipe, -1, -1);
    assert_true(pipc_flush(w->pipe) >= 0);
}

static void spin(uint64_t rounds)
{
    for (volatile uint64_t i = 0; i < rounds; i++)
        continue;
}

/* A message of the largest size ends the talk. */
enum { STRESS_LARGEST = 100000 };

static uint64_t scramble(uint64_t number)
{
    uint64_t x = (number + 1) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

/* Both sides know it from the number of the message: many small ones, a few large ones. */
static size_t stress_size(uint64_t number)
{
    uint64_t x = scramble(number);
    return x % 1024 == 0 ? (size_t)(x >> 32) % STRESS_LARGEST : (size_t)(x >> 32) % 64;
}

/* How many messages one side sends before the other does. */
static uint64_t stress_burst(int round)
{
    uint64_t x = scramble((uint64_t)round + 7);
    return x >> 62 == 0 ? (x >> 32) % 200 + 1 : 1;
}

static void send_burst(struct waiter *w, char *data, uint64_t first, uint64_t count)
{
    enum way way = choose_way(w);
    set_way(w, way);
    for (uint64_t number = first; number < first + count; number++) {
        memcpy(data, &number, sizeof number);
        transmit(w, way, data, stress_size(number));
    }
    push_out(w);
}

/* False: the talk has ended. */
static bool receive_burst(struct waiter *w, char *data, uint64_t first, uint64_t count)
{
    enum way way = choose_way(w);
    set_way(w, way);
    for (uint64_t number = first; number < first + count; number++) {
        size_t size = receive(w, way, data, STRESS_LARGEST);
        if (size == STRESS_LARGEST)
            return false;
        if (size != stress_size(number) ||
            (size >= sizeof number && memcmp(data, &number, sizeof number) != 0))
            fail_msg("message %llu is another one", (unsigned long long)number);
    }
    return true;
}

static bool is_time_up(void)
{
    return harness_now_ms() >= end_ms;
}

/* The sides take turns. The pauses are of every length, so that one's call now and then meets the
 * other just as it falls asleep, and now and then finds the whole burst. */
static void take_turns(struct waiter *w, char *data, bool begins)
{
    uint64_t number = 0;
    for (int round = 0;; round++) {
        uint64_t count = stress_burst(round);
        bool sends = (round % 2 == 0) == begins;
        if (sends && begins && is_time_up())
            break;
        spin(next_random(w) % ((uint64_t)1 << next_random(w) % 16));
        if (sends)
            send_burst(w, data, number, count);
        else if (!receive_burst(w, data, number, count))
            break;
        number += count;
    }
}

static void stress_side(pipc_t *pipe, bool begins)
{
    struct waiter w = waiter_of(pipe);
    char *data = calloc(1, STRESS_LARGEST);
    assert_non_null(data);
    take_turns(&w, data, begins);
    set_timeouts(pipe, -1, -1);
    if (begins)
        assert_int_equal(pipc_write(pipe, data, STRESS_LARGEST), STRESS_LARGEST);
    free(data);
    waiter_end(&w);
}

static void stress_far(pipc_t *pipe)
{
    stress_side(pipe, false);
    leave(pipe, NULL);
}

static void stress(const struct kind *kind, int duration_ms)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    end_ms = harness_now_ms() + duration_ms;
    side_start(&far, kind, pipe, stress_far);
    stress_side(pipe, true);
    hear_bye(pipe, "");
    side_end(&far);
    pipc_close(pipe);
}

TEST_OF_KIND(no_wakeup_is_lost_in_any_way_of_waiting)
{
    stress(kind, 400);
}

TEST_OF_KIND(no_wakeup_is_lost_when_peers_also_wait_for_the_descriptor)
{
    with_descriptor = true;
    stress(kind, 400);
}

/* Messages of several pieces: a read takes some and finds no more, while the next are on their
 * way. */
static void write_long_ones_until_asked_to_stop(pipc_t *pipe)
{
    char *data = calloc(1, STRESS_LARGEST);
    assert_non_null(data);
    while (pipc_pending(pipe) == 0)
        assert_int_equal(pipc_write(pipe, data, STRESS_LARGEST), STRESS_LARGEST);
    free(data);
    leave(pipe, NULL);
}

TEST_OF_KIND(no_edge_is_lost_inside_a_long_message)
{
    pipc_t *pipe = open_anonymous();
    char *data = calloc(1, STRESS_LARGEST);
    struct side far;
    assert_non_null(data);
    with_descriptor = true;
    end_ms = harness_now_ms() + 400;
    struct waiter w = waiter_of(pipe);
    side_start(&far, kind, pipe, write_long_ones_until_asked_to_stop);
    set_way(&w, BY_EDGE);
    while (!is_time_up())
        assert_int_equal(receive(&w, BY_EDGE, data, STRESS_LARGEST), STRESS_LARGEST);
    say(pipe, "stop");
    set_timeouts(pipe, -1, -1);
    while (pipc_read(pipe, data, STRESS_LARGEST) >= 0)
        continue;
    assert_int_equal(errno, ESHUTDOWN);
    side_end(&far);
    waiter_end(&w);
    free(data);
    pipc_close(pipe);
}

/* --- As close as can be ---------------------------------------------------------------------- */

/* A question is long, so that a processor has much to write before it gets to the position which
 * says that it was written: by then it has long looked at whether somebody waits, unless a fence
 * keeps it from that. */
enum { QUESTION = 2000 };

/* Answers in its own way of waiting, and waits for the next question at once; until the last
 * one. */
static void answer_and_fall_asleep(pipc_t *pipe)
{
    struct waiter w = waiter_of(pipe);
    char question[QUESTION] = "";
    for (int round = 0; question[0] != '.'; round++) {
        enum way way = !with_descriptor ? BLOCKING : round % 2 == 0 ? POLLED : BY_EDGE;
        set_way(&w, way);
        receive(&w, way, question, QUESTION);
        transmit(&w, way, question, 1);
    }
    waiter_end(&w);
    set_timeouts(pipe, -1, -1);
    leave(pipe, NULL);
}

/* Never sleeps, so that it asks again within nanoseconds of the answer, while the peer is
 * about to fall asleep: each moment of that is met sooner or later. */
static void ask_at_every_moment(const struct kind *kind, int duration_ms)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    struct waiter w = {pipe, -1, -1, harness_random() | 1, 0};
    char question[QUESTION] = "?", answer;
    end_ms = harness_now_ms() + duration_ms;
    side_start(&far, kind, pipe, answer_and_fall_asleep);
    while (question[0] != '.') {
        question[0] = is_time_up() ? '.' : '?';
        set_way(&w, AWAKE);
        spin(next_random(&w) % 512);
        transmit(&w, AWAKE, question, 1 + (size_t)next_random(&w) % QUESTION);
        assert_int_equal(receive(&w, AWAKE, &answer, 1), 1);
    }
    set_timeouts(pipe, -1, -1);
    hear_bye(pipe, "");
    side_end(&far);
    pipc_close(pipe);
}

TEST_OF_KIND(a_reader_about_to_sleep_is_woken_by_a_simultaneous_message)
{
    ask_at_every_moment(kind, 400);
}

TEST_OF_KIND(a_reader_about_to_poll_detects_a_simultaneous_message)
{
    with_descriptor = true;
    ask_at_every_moment(kind, 400);
}

static char lump[RING_SIZE / 4 - 4];

/* Blocks in many writes, since the ring holds but sixteen of these. */
static void write_lumps_until_asked_to_stop(pipc_t *pipe)
{
    while (pipc_pending(pipe) == 0)
        assert_int_equal(pipc_write(pipe, lump, sizeof lump), sizeof lump);
    leave(pipe, NULL);
}

TEST_OF_KIND(a_writer_about_to_sleep_is_woken_by_simultaneous_room)
{
    static char room[sizeof lump];
    pipc_t *pipe = open_anonymous();
    struct side far;
    struct waiter w = {pipe, -1, -1, harness_random() | 1, 0};
    end_ms = harness_now_ms() + 400;
    side_start(&far, kind, pipe, write_lumps_until_asked_to_stop);
    while (!is_time_up()) {
        set_way(&w, AWAKE);
        spin(next_random(&w) % 2048);
        assert_int_equal(receive(&w, AWAKE, room, sizeof room), sizeof lump);
    }
    say(pipe, "stop");
    set_timeouts(pipe, -1, -1);
    while (pipc_read(pipe, room, sizeof room) >= 0)
        continue;
    assert_int_equal(errno, ESHUTDOWN);
    side_end(&far);
    pipc_close(pipe);
}

/* --- At the same time ------------------------------------------------------------------------ */

/* Lets both sides go at once, again and again, without a system call. */
static struct start {
    _Atomic int go, done; /* numbers of rounds */
} * start;

/* Some thousand rounds find a fence that is missing. */
enum { LAST_ROUND = -1, MESSAGE_ROUNDS = 60000, ROOM_ROUNDS = 1000 };

static int wait_for_round(_Atomic int *number, int before)
{
    int now;
    for (int tries = 0; (now = atomic_load(number)) == before; tries++)
        if (tries % 1000 == 999)
            sched_yield();
    return now;
}

/* The longer the message, the longer its bytes keep a processor from the position that it writes
 * after them; and the sooner, if no fence keeps it from that, it looks whether somebody waits. */
static void write_at_once(pipc_t *pipe)
{
    static char question[QUESTION];
    struct waiter w = {pipe, -1, -1, harness_random() | 1, 0};
    for (int round = 0; (round = wait_for_round(&start->go, round)) != LAST_ROUND;) {
        spin(next_random(&w) % 256);
        assert_true(pipc_write(pipe, question, 1 + (size_t)next_random(&w) % QUESTION) > 0);
        atomic_store(&start->done, round);
    }
    leave(pipe, NULL);
}

static void expect_told(struct waiter *w, int round)
{
    struct epoll_event event;
    if (round % 2 == 0 && !harness_readable(w->fd, 0))
        fail_msg("round %d: silent, and a message is there", round);
    if (round % 2 != 0 && epoll_wait(w->set, &event, 1, 0) != 1)
        fail_msg("round %d: no edge, and a message is there", round);
}

/* The reader looks and finds nothing while the writer writes. Whoever of the two was first: when
 * both have returned the descriptor must tell. */
static void look_while_the_other_writes(struct waiter *w)
{
    static char room[QUESTION];
    struct epoll_event event;
    for (int round = 1; round <= MESSAGE_ROUNDS && !is_time_up(); round++) {
        epoll_wait(w->set, &event, 1, 0);
        atomic_store(&start->go, round);
        spin(next_random(w) % 64);
        ssize_t n = pipc_read(w->pipe, room, sizeof room);
        wait_for_round(&start->done, round - 1);
        if (n > 0)
            continue;
        assert_int_equal(errno, EAGAIN);
        expect_told(w, round);
        assert_true(pipc_read(w->pipe, room, sizeof room) > 0);
    }
}

/* The given number of rounds, but not forever on a busy machine. */
static void race(const struct kind *kind, script *far_script, void (*near)(struct waiter *w))
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    with_descriptor = true;
    struct waiter w = waiter_of(pipe);
    start = shared_memory(sizeof *start);
    side_start(&far, kind, pipe, far_script);
    end_ms = harness_now_ms() + 3000;
    set_timeouts(pipe, 0, 0);
    near(&w);
    atomic_store(&start->go, LAST_ROUND);
    set_timeouts(pipe, -1, -1);
    hear_bye(pipe, "");
    side_end(&far);
    waiter_end(&w);
    pipc_close(pipe);
    munmap(start, sizeof *start);
}

TEST_OF_KIND(the_descriptor_reports_a_message_written_during_a_check)
{
    race(kind, write_at_once, look_while_the_other_writes);
}

static void read_all_at_once(pipc_t *pipe)
{
    static char room[sizeof lump];
    struct waiter w = {pipe, -1, -1, harness_random() | 1, 0};
    set_timeouts(pipe, 0, 0);
    for (int round = 0; (round = wait_for_round(&start->go, round)) != LAST_ROUND;) {
        spin(next_random(&w) % 64);
        while (pipc_read(pipe, room, sizeof room) >= 0)
            continue;
        assert_int_equal(errno, EAGAIN);
        atomic_store(&start->done, round);
    }
    leave(pipe, NULL);
}

/* The same for room: a write fails while the peer reads everything. */
static void fail_while_the_other_reads(struct waiter *w)
{
    struct epoll_event event;
    for (int round = 1; round <= ROOM_ROUNDS && !is_time_up(); round += 2) {
        for (size_t i = 0; i < RING_GROWN / (sizeof lump + 4); i++)
            assert_true(pipc_write(w->pipe, lump, sizeof lump) > 0);
        epoll_wait(w->set, &event, 1, 0);
        atomic_store(&start->go, round);
        ssize_t n = pipc_write(w->pipe, "", 0);
        wait_for_round(&start->done, round - 1);
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            expect_told(w, round);
            assert_int_equal(pipc_write(w->pipe, "", 0), 0);
        }
        atomic_store(&start->go, round + 1); /* what has been written since is read, too */
        wait_for_round(&start->done, round);
    }
}

TEST_OF_KIND(the_descriptor_reports_room_made_while_a_write_failed)
{
    race(kind, read_all_at_once, fail_while_the_other_reads);
}

HARNESS_MAIN("ring wake", OVER_ANONYMOUS_KINDS(no_wakeup_is_lost_in_any_way_of_waiting),
             OVER_ANONYMOUS_KINDS(no_wakeup_is_lost_when_peers_also_wait_for_the_descriptor),
             OVER_ANONYMOUS_KINDS(no_edge_is_lost_inside_a_long_message),
             OVER_ANONYMOUS_KINDS(a_reader_about_to_sleep_is_woken_by_a_simultaneous_message),
             OVER_ANONYMOUS_KINDS(a_reader_about_to_poll_detects_a_simultaneous_message),
             OVER_ANONYMOUS_KINDS(a_writer_about_to_sleep_is_woken_by_simultaneous_room),
             OVER_ANONYMOUS_KINDS(the_descriptor_reports_a_message_written_during_a_check),
             OVER_ANONYMOUS_KINDS(the_descriptor_reports_room_made_while_a_write_failed))
