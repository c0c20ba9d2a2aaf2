/* SPDX-License-Identifier: MIT */
/*
 * How a side waits in each state of the move into shared memory: what comes in the middle of a
 * wait, doorbells among other bytes, and the descriptor. The peer is the test, step by step.
 */
#include "moving.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "anonymous.h"
#include "fault.h"
#include "net.h"

enum { LONG_MS = 10000 };

static void set_timeout(pipc_t *pipe, int ms)
{
    assert_int_equal(pipc_set_timeout(pipe, ms, ms), 0);
}

/* --- In the middle of a wait --- */

static bool done;

/* An accepted offer, a message before the mark, and a doorbell with it. */
static bool leave_with_doorbells(void *context)
{
    struct moving_attack *a = context;
    unsigned char frame[64];
    size_t size = moving_frame(frame, "one");
    if (done)
        return false;
    done = true;
    memcpy(frame + size, "bell", 4);
    moving_set_mark(a, 1 + size);
    assert_int_equal(send(a->raw, frame, size + 4, MSG_NOSIGNAL), size + 4);
    moving_write_ring(a, frame, moving_frame(frame, "two"));
    return true;
}

TEST(doorbells_that_come_with_the_last_bytes_of_a_socket_are_no_message)
{
    for (int ms = -1; ms <= LONG_MS; ms += LONG_MS + 1) {
        struct moving_attack a;
        char text[8];
        moving_attack_server(&a);
        set_timeout(a.pipe, ms);
        done = false;
        fault_reset();
        fault_before_wait(leave_with_doorbells, &a);
        fault_arm();
        ssize_t size = pipc_read(a.pipe, text, sizeof text);
        fault_disarm();
        assert_int_equal(size, 3);
        assert_memory_equal(text, "one", 3);
        net_expect(a.pipe, "two");
        assert_int_equal(moving_state(a.pipe), SHARE_MOVED);
        moving_end_attack(&a);
    }
    fault_reset();
}

static bool say_hello(void *context)
{
    pipc_t **end = context;
    if (done)
        return false;
    done = true;
    net_say(end[1], "hello");
    return true;
}

/* A read that waits without a limit is a read of the socket, before the move. */
TEST(a_read_without_a_limit_is_woken_by_a_peer_that_leaves_the_socket)
{
    pipc_t *end[2];
    char text[8];
    moving_open(end, 0, NULL);
    net_say(end[1], "offer");
    net_expect(end[0], "offer");
    set_timeout(end[0], 10);
    assert_errno(pipc_read(end[0], text, sizeof text), ETIMEDOUT); /* it takes the offer */
    moving_expect(end, SHARE_LEAVING, SHARE_OFFERED);
    set_timeout(end[0], -1);
    done = false;
    fault_reset();
    fault_before_wait(say_hello, end);
    fault_arm();
    ssize_t size = pipc_read(end[0], text, sizeof text);
    fault_disarm();
    assert_int_equal(size, 5);
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    fault_reset();
    pipc_close(end[0]);
    pipc_close(end[1]);
}

/* --- Answers --- */

/* However slow the machine is, the wait begins before it ends. */
static void read_in_vain(pipc_t *pipe)
{
    char byte;
    fault_reset();
    fault_frozen_time();
    fault_arm();
    ssize_t size = pipc_read(pipe, &byte, 1);
    int error = errno;
    fault_disarm();
    assert_int_equal(size, -1);
    assert_int_equal(error, ETIMEDOUT);
    fault_reset();
}

TEST(a_side_that_has_written_looks_for_an_answer_and_then_yields_before_it_sleeps)
{
    pipc_t *end[2];
    moving_open(end, 0, NULL);
    moving_move(end);
    const struct ring_answer *answer = &moving_transport(end[0])->share->answer;
    set_timeout(end[0], 5);
    net_say(end[0], "question");
    assert_false(answer->yields);
    read_in_vain(end[0]);
    assert_true(answer->yields);
    read_in_vain(end[0]); /* it has asked nothing since */
    assert_true(answer->yields);
    net_say(end[0], "question");
    read_in_vain(end[0]);
    assert_int_equal(answer->to_skip, ANSWER_SKIPS_MIN);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

static uint64_t waits_of(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    return stats.waits;
}

static void answer(void *end)
{
    net_say(((pipc_t **)end)[1], "answer");
}

TEST(an_answer_that_comes_while_a_side_yields_is_read_without_a_sleep)
{
    pipc_t *end[2];
    char text[8];
    moving_open(end, 0, NULL);
    moving_move(end);
    set_timeout(end[0], 5);
    net_say(end[0], "question");
    read_in_vain(end[0]); /* so that it yields the next time */
    net_say(end[0], "question");
    fault_reset();
    fault_frozen_time();
    fault_before(CALL_sched_yield, 1, answer, end);
    uint64_t waits = waits_of(end[0]);
    fault_arm();
    ssize_t size = pipc_read(end[0], text, sizeof text);
    fault_disarm();
    assert_int_equal(size, 6);
    assert_int_equal(waits_of(end[0]), waits);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

static atomic_bool has_ended;

static void note_end(void *unused)
{
    (void)unused;
    atomic_store(&has_ended, true);
}

static void *ask_until_cancelled(void *pipe)
{
    char byte = 0;
    pthread_cleanup_push(note_end, NULL);
    while (pipc_write(pipe, &byte, 1) == 1 && pipc_read(pipe, &byte, 1) == 1)
        continue;
    pthread_cleanup_pop(1);
    return NULL;
}

/* The answers go on: only a look ends the thread, or a wait. */
TEST(a_thread_whose_answers_come_at_once_can_be_cancelled)
{
    pipc_t *end[2];
    pthread_t asker;
    void *result;
    char byte;
    moving_open(end, 0, NULL);
    moving_move(end);
    assert_int_equal(pthread_create(&asker, NULL, ask_until_cancelled, end[0]), 0);
    for (int i = 0; i < 1000 / harness_scale(); i++) {
        assert_int_equal(pipc_read(end[1], &byte, 1), 1);
        assert_int_equal(pipc_write(end[1], &byte, 1), 1);
    }
    assert_int_equal(pthread_cancel(asker), 0);
    set_timeout(end[1], 0);
    while (!atomic_load(&has_ended))
        if (pipc_read(end[1], &byte, 1) == 1)
            pipc_write(end[1], &byte, 1);
    assert_int_equal(pthread_join(asker, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

/* --- Room --- */

static char data[1000];

static void fill_ring(pipc_t *pipe)
{
    while (pipc_write(pipe, data, sizeof data) >= 0)
        continue;
    assert_int_equal(errno, EAGAIN);
}

/* What is unread in the socket does not hide a doorbell, and does not keep the descriptor ready. */
TEST(a_descriptor_that_waits_for_room_alone_is_not_readable_for_messages)
{
    struct moving_attack a;
    moving_attack_client(&a);
    set_timeout(a.pipe, 0);
    fill_ring(a.pipe);
    int fd = pipc_fd(a.pipe);
    moving_say_raw(a.raw, "later");
    assert_int_equal(pipc_want(a.pipe, PIPC_WANT_WRITE), 0);
    assert_errno(pipc_write(a.pipe, data, sizeof data), EAGAIN);
    assert_false(harness_readable(fd, 0));
    struct ring_words *words = &a.shared.page->ring[1 - a.own];
    moving_set_mark(&a, 1 + MOVING_HEADER + 5 + MOVING_HEADER + 5);
    atomic_store(&words->tail, atomic_load(&words->head));
    atomic_store(&words->steps, atomic_load(&words->head));
    moving_ring(&a);
    assert_true(harness_readable(fd, LONG_MS));
    assert_int_equal(pipc_write(a.pipe, data, sizeof data), sizeof data);
    assert_false(harness_readable(fd, 0));
    assert_int_equal(pipc_want(a.pipe, PIPC_WANT_READ), 0);
    assert_true(harness_readable(fd, 0));
    net_expect(a.pipe, "later");
    assert_false(harness_readable(fd, 0));
    assert_int_equal(moving_state(a.pipe), SHARE_MOVED);
    moving_end_attack(&a);
}

/* Only a doorbell has come: the call that finds nothing takes it. */
TEST(a_read_that_moves_the_pipe_leaves_its_descriptor_silent)
{
    struct moving_attack a;
    char byte;
    moving_attack_server(&a);
    set_timeout(a.pipe, 0);
    int fd = pipc_fd(a.pipe);
    for (int i = 0; i < 3; i++)
        assert_errno(pipc_read(a.pipe, &byte, 1), EAGAIN);
    moving_set_mark(&a, 1);
    assert_int_equal(send(a.raw, "", 1, MSG_NOSIGNAL), 1);
    assert_true(harness_readable(fd, LONG_MS));
    assert_errno(pipc_read(a.pipe, &byte, 1), EAGAIN);
    assert_int_equal(moving_state(a.pipe), SHARE_MOVED);
    assert_false(harness_readable(fd, 0));
    moving_end_attack(&a);
}

/* Its first doorbell comes when nobody waits for messages any more. */
TEST(a_doorbell_that_nobody_waits_for_keeps_no_descriptor_readable)
{
    struct moving_attack a;
    unsigned char frame[64];
    moving_attack_server(&a);
    set_timeout(a.pipe, 0);
    int fd = pipc_fd(a.pipe);
    moving_set_mark(&a, 1);
    assert_int_equal(pipc_flush(a.pipe), 0); /* it leaves, and moves */
    assert_int_equal(moving_state(a.pipe), SHARE_MOVED);
    assert_int_equal(pipc_want(a.pipe, 0), 0);
    for (int i = 0; i < 3; i++) {
        moving_write_ring(&a, frame, moving_frame(frame, "unread"));
        moving_ring(&a);
        assert_int_equal(pipc_pending(a.pipe), i + 1);
        assert_false(harness_readable(fd, 0));
    }
    moving_end_attack(&a);
}

/* --- The kernel lacks memory --- */

TEST(a_doorbell_for_which_the_kernel_had_no_memory_is_rung_later)
{
    pipc_t *end[2];
    char byte;
    moving_open(end, 0, NULL);
    moving_move(end);
    int fd = pipc_fd(end[0]);
    assert_false(harness_readable(fd, 0));
    set_timeout(end[1], 30);
    fault_reset();
    fault_frozen_time(); /* the wait begins before it ends */
    enum fault_call ring = moving_has_doorbells() ? CALL_pwritev2 : CALL_send;
    fault_fail(ring, 1, 1, ring == CALL_send ? ENOBUFS : ENOMEM);
    fault_arm();
    assert_int_equal(pipc_write(end[1], "wake", 4), 4);
    fault_disarm();
    assert_false(harness_readable(fd, 0));
    fault_arm();
    assert_errno(pipc_read(end[1], &byte, 1), ETIMEDOUT); /* rings as long as it waits */
    fault_disarm();
    assert_true(harness_readable(fd, 0));
    net_expect(end[0], "wake");
    fault_fail(ring, 1, 0, ENOMEM);
    fault_arm();
    assert_true(pipc_fd(end[1]) >= 0);
    assert_int_equal(pipc_write(end[1], "wake", 4), 4);
    fault_disarm();
    assert_true(harness_readable(fd, 0)); /* the update has rung */
    net_expect(end[0], "wake");
    fault_reset();
    pipc_close(end[0]);
    pipc_close(end[1]);
}

/* Meanwhile no call silences it: the program is to come back. */
TEST(a_doorbell_that_is_owed_keeps_a_descriptor_readable_whose_socket_has_no_room)
{
    static const char filling[4096];
    pipc_t *end[2];
    if (!moving_has_doorbells())
        harness_skip("no pipes for doorbells");
    anonymous_need_eventfd();
    moving_open(end, 0, NULL);
    moving_move(end);
    int fd = pipc_fd(end[1]), socket = moving_transport(end[1])->out;
    assert_true(pipc_fd(end[0]) >= 0);
    while (send(socket, filling, sizeof filling, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    fault_reset();
    fault_fail(CALL_pwritev2, 1, FAULT_FOREVER, ENOMEM);
    fault_arm();
    assert_int_equal(pipc_write(end[1], "wake", 4), 4);
    for (int i = 0; i < 3; i++) {
        fault_disarm();
        assert_true(harness_readable(fd, 0)); /* its poll may be a cancellation point */
        fault_arm();
        assert_int_equal(pipc_pending(end[1]), 0);
    }
    fault_lift();
    assert_int_equal(pipc_pending(end[1]), 0);
    fault_disarm();
    assert_false(harness_readable(fd, 0));
    net_expect(end[0], "wake");
    pipc_close(end[0]);
    pipc_close(end[1]);
}

/* --- Ends --- */

/* A peer that polls the memory looks at the socket when that word changes. */
TEST(a_close_changes_the_version_of_its_side)
{
    for (int who = 0; who < 2; who++) {
        pipc_t *end[2];
        char byte;
        moving_open(end, 0, NULL);
        moving_move(end);
        const struct share *share = moving_transport(end[1 - who])->share;
        const _Atomic uint64_t *version = share->ring->memory.peer_version;
        uint64_t before = atomic_load(version);
        pipc_close(end[who]);
        assert_true(atomic_load(version) != before);
        assert_errno(pipc_read(end[1 - who], &byte, 1), EPIPE);
        assert_errno(pipc_write(end[1 - who], &byte, 1), EPIPE);
        pipc_close(end[1 - who]);
    }
}

struct torn {
    pipc_t *end[2];
    struct harness_gate has_begun, may_die;
};

/* The first piece of a message that has two. */
static int die_inside_a_message(void *arg)
{
    static unsigned char frame[RING_PIECE_SIZE] = {0, 0, 12000 >> 8, 12000 & 0xff};
    struct torn *torn = arg;
    const struct iovec piece = {frame, sizeof frame};
    struct ring *ring = moving_transport(torn->end[1])->share->ring;
    pipc_close(torn->end[0]);
    assert_int_equal(ring_writev(ring, &piece, 1), sizeof frame);
    harness_gate_open(&torn->has_begun);
    harness_gate_wait(&torn->may_die);
    return raise(SIGKILL);
}

static void see_it_die_inside_a_message(void (*open)(pipc_t *end[2], const pipc_options_t *options))
{
    static char buffer[MOVING_LARGE];
    struct torn torn;
    ssize_t got;
    open(torn.end, NULL);
    harness_gate_init(&torn.has_begun);
    harness_gate_init(&torn.may_die);
    pid_t pid = harness_fork(die_inside_a_message, &torn);
    pipc_t *survivor = torn.end[0];
    pipc_close(torn.end[1]);
    harness_gate_wait(&torn.has_begun);
    set_timeout(survivor, 0);
    assert_errno(pipc_read(survivor, buffer, sizeof buffer), EAGAIN);
    harness_gate_open(&torn.may_die);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    int64_t until = harness_now_ms() + LONG_MS;
    do
        got = pipc_read(survivor, buffer, sizeof buffer);
    while (got < 0 && errno == EAGAIN && harness_now_ms() < until);
    assert_errno(got, ECONNRESET);
    pipc_close(survivor);
    harness_gate_close(&torn.has_begun);
    harness_gate_close(&torn.may_die);
}

TEST(reads_that_do_not_wait_report_a_peer_that_was_killed_inside_a_message)
{
    see_it_die_inside_a_message(moving_open_moved_kind);
    see_it_die_inside_a_message(moving_open_moved_pair_kind);
}

HARNESS_MAIN("moving into shared memory, waits",
             IT(doorbells_that_come_with_the_last_bytes_of_a_socket_are_no_message),
             IT(a_read_without_a_limit_is_woken_by_a_peer_that_leaves_the_socket),
             IT(a_side_that_has_written_looks_for_an_answer_and_then_yields_before_it_sleeps),
             IT(an_answer_that_comes_while_a_side_yields_is_read_without_a_sleep),
             IT(a_thread_whose_answers_come_at_once_can_be_cancelled),
             IT(a_descriptor_that_waits_for_room_alone_is_not_readable_for_messages),
             IT(a_read_that_moves_the_pipe_leaves_its_descriptor_silent),
             IT(a_doorbell_that_nobody_waits_for_keeps_no_descriptor_readable),
             IT(a_doorbell_for_which_the_kernel_had_no_memory_is_rung_later),
             IT(a_close_changes_the_version_of_its_side),
             IT(reads_that_do_not_wait_report_a_peer_that_was_killed_inside_a_message),
             IT(a_doorbell_that_is_owed_keeps_a_descriptor_readable_whose_socket_has_no_room))
