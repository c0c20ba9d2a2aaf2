/* SPDX-License-Identifier: MIT */
/*
 * PIPC_GATHER: small messages wait in memory and go together. What sends them, how many and when,
 * and what does not.
 */
#include "gathering.h"

enum { SMALL = 16, MANY = GATHER_BYTES / (SMALL + FRAME_BYTES) }; /* not quite 16 KiB */

static const char bytes[GATHER_BYTES];

/* --- What sends ------------------------------------------------------------------------------- */

TEST_OF_KIND(small_messages_wait_in_memory)
{
    struct peers p;
    open_gathering(&p, kind, 0);
    gather_text(&p.a, "one");
    gather_text(&p.a, "");
    gather_text(&p.a, "three");
    assert_int_equal(writes_of_system(), 0);
    assert_int_equal(peer_pending(&p.b), 0);
    assert_int_equal(peer_stats(&p.a).messages_written, 3);
    assert_int_equal(peer_stats(&p.a).bytes_written, 8);
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(held_by(&p.a), 0);
    expect_text(&p.b, "one");
    expect_text(&p.b, "");
    expect_text(&p.b, "three");
    peers_close(&p);
}

static void do_read(struct peer *peer)
{
    char byte;
    assert_errno(peer_read(peer, &byte, 1), EAGAIN);
}

static void do_read_msg(struct peer *peer)
{
    pipc_msg_t message;
    assert_errno(peer_read_msg(peer, &message), EAGAIN);
}

static void do_read_pending(struct peer *peer)
{
    pipc_msg_t message;
    assert_int_equal(peer_read_pending(peer, &message, 1), 0);
}

static void do_peek(struct peer *peer)
{
    pipc_msg_t view;
    assert_errno(peer_peek(peer, &view), EAGAIN);
}

static void do_skip(struct peer *peer)
{
    assert_errno(peer_skip(peer), EAGAIN);
}

static void do_pending(struct peer *peer)
{
    assert_int_equal(peer_pending(peer), 0);
}

static void do_flush(struct peer *peer)
{
    assert_int_equal(peer_flush(peer), 0);
}

static void do_shutdown(struct peer *peer)
{
    assert_int_equal(peer_shutdown(peer), 0);
}

static void do_disconnect(struct peer *peer)
{
    assert_int_equal(peer_disconnect(peer, NULL), 0);
}

static void do_fd(struct peer *peer)
{
    assert_true(peer_fd(peer) >= 0);
}

static void do_want(struct peer *peer)
{
    assert_int_equal(peer_want(peer, PIPC_WANT_READ | PIPC_WANT_WRITE), 0);
}

typedef void call_fn(struct peer *peer);
static call_fn *const senders[] = {do_read,       do_read_msg, do_read_pending, do_peek,
                                   do_skip,       do_pending,  do_flush,        do_shutdown,
                                   do_disconnect, do_fd,       do_want,         peer_close};

TEST_OF_KIND(every_call_that_reads_polls_flushes_or_ends_sends_what_is_gathered)
{
    for (size_t i = 0; i < sizeof senders / sizeof senders[0]; i++) {
        struct peers p;
        open_gathering(&p, kind, 0);
        peer_set_timeout(&p.a, 0, 0);
        gather_text(&p.a, "one");
        gather_text(&p.a, "two");
        senders[i](&p.a);
        expect_text(&p.b, "one");
        expect_text(&p.b, "two");
        peers_close(&p);
    }
}

static void find_by_read(struct peer *peer)
{
    expect_text(peer, "for a");
}

static void find_by_read_pending(struct peer *peer)
{
    pipc_msg_t message;
    assert_int_equal(peer_read_pending(peer, &message, 1), 1);
    pipc_msg_free(&message);
}

static void find_by_pending(struct peer *peer)
{
    assert_int_equal(peer_pending(peer), 2);
}

static void find_by_peek(struct peer *peer)
{
    pipc_msg_t view;
    assert_int_equal(peer_peek(peer, &view), 0);
}

TEST_OF_KIND(a_read_that_finds_a_message_sends_what_is_gathered)
{
    static call_fn *const finders[] = {find_by_pending, find_by_peek, find_by_read,
                                       find_by_read_pending};
    struct peers p;
    open_gathering(&p, kind, 0);
    for (int i = 0; i < 2; i++)
        send_text(&p.b, "for a");
    assert_int_equal(peer_flush(&p.b), 0);
    expect_pending(&p.a, 2);
    for (size_t i = 0; i < sizeof finders / sizeof finders[0]; i++) {
        gather_text(&p.a, "for b");
        finders[i](&p.a);
        assert_int_equal(held_by(&p.a), 0);
        expect_text(&p.b, "for b");
    }
    peers_close(&p);
}

static intmax_t answer(struct peer *peer, void *unused)
{
    (void)unused;
    expect_text(peer, "question");
    send_text(peer, "answer");
    assert_int_equal(peer_flush(peer), 0);
    return 0;
}

TEST_OF_KIND(a_read_that_waits_has_sent_what_is_gathered)
{
    struct peers p;
    open_gathering(&p, kind, 0);
    peer_start(&p.b, answer, NULL);
    write_text(&p.a, "question");
    expect_text(&p.a, "answer");
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

TEST_OF_KIND(calls_that_only_look_at_the_handle_send_nothing)
{
    char text[100];
    struct peers p;
    open_gathering(&p, kind, 0);
    gather_text(&p.a, "one");
    assert_int_equal(peer_set_timeout(&p.a, 0, 0), 0);
    assert_int_equal(peer_name(&p.a, text, sizeof text), 0);
    assert_null(peer_bye_text(&p.a));
    assert_int_equal(held_by(&p.a), FRAME_BYTES + 3);
    assert_int_equal(peer_pending(&p.b), 0);
    peers_close(&p);
}

/* --- How much --------------------------------------------------------------------------------- */

TEST_OF_KIND(all_messages_go_when_16_KiB_have_come)
{
    struct peers p;
    open_gathering(&p, kind, 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(write_frozen(&p.a, bytes, SMALL), SMALL);
    assert_int_equal(held_by(&p.a), MANY * (SMALL + FRAME_BYTES));
    assert_int_equal(writes_of_system(), 0);
    assert_int_equal(write_frozen(&p.a, bytes, SMALL), SMALL);
    assert_int_equal(held_by(&p.a), 0);
    expect_writes(kind, (MANY + 1) * (SMALL + FRAME_BYTES), 1);
    expect_pending(&p.b, MANY + 1);
    gather_text(&p.a, "the next ones");
    peers_close(&p);
}

TEST_OF_KIND(a_limited_timeout_does_not_split_the_16_KiB)
{
    struct peers p;
    open_gathering(&p, kind, 0);
    peer_set_timeout(&p.a, 0, 0);
    for (int i = 0; i < MANY + 1; i++)
        assert_int_equal(write_frozen(&p.a, bytes, SMALL), SMALL);
    expect_writes(kind, (MANY + 1) * (SMALL + FRAME_BYTES), 1);
    expect_pending(&p.b, MANY + 1);
    peers_close(&p);
}

TEST_OF_KIND(a_large_message_goes_at_once_and_behind_what_is_gathered)
{
    struct peers p;
    open_gathering(&p, kind, 0);
    assert_int_equal(write_frozen(&p.a, bytes, GATHER_LARGEST), GATHER_LARGEST);
    assert_int_equal(held_by(&p.a), GATHER_LARGEST + FRAME_BYTES);
    gather_text(&p.a, "small");
    assert_int_equal(write_frozen(&p.a, bytes, GATHER_LARGEST + 1), GATHER_LARGEST + 1);
    assert_int_equal(held_by(&p.a), 0);
    expect_writes(kind, 2 * GATHER_LARGEST, 1);
    expect_pending(&p.b, 3);
    peers_close(&p);
}

TEST_OF_KIND(a_message_over_max_message_is_refused_and_disturbs_nothing)
{
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER;
    options.max_message = 10;
    peers_open(&p, kind, &options);
    fault_frozen_time();
    gather_text(&p.a, "0123456789");
    assert_errno(write_frozen(&p.a, bytes, 11), EMSGSIZE);
    gather_text(&p.a, "last");
    assert_int_equal(peer_flush(&p.a), 0);
    expect_text(&p.b, "0123456789");
    expect_text(&p.b, "last");
    peers_close(&p);
}

/* --- When ------------------------------------------------------------------------------------- */

TEST_OF_KIND(a_write_that_comes_a_millisecond_after_the_one_before_sends_all)
{
    struct peers p;
    open_gathering(&p, kind, 0);
    for (int i = 0; i < 3; i++) {
        gather_text(&p.a, "one");
        gather_text(&p.a, "two");
        fault_advance_ms(GATHER_MS);
        write_text(&p.a, "late");
        assert_int_equal(held_by(&p.a), 0);
        expect_text(&p.b, "one");
        expect_text(&p.b, "two");
        expect_text(&p.b, "late");
    }
    peers_close(&p);
}

/* A write with descriptors, or with none, is one of them. */
TEST(a_write_that_comes_a_millisecond_after_one_of_descriptors_is_late)
{
    pipc_t *end[2];
    pipc_stats_t stats = PIPC_STATS_INIT;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER | PIPC_ACCEPT_FDS;
    assert_int_equal(pipc_open_pair(end, &options), 0);
    fault_reset();
    fault_frozen_time();
    fault_advance_ms(GATHER_MS);
    fault_arm();
    int there = 0;
    ssize_t first = pipc_write_fds(end[0], "one", 3, &there, 1);
    fault_advance_ms(GATHER_MS);
    ssize_t second = pipc_write(end[0], "late", 4);
    fault_disarm();
    assert_int_equal(first, 3);
    assert_int_equal(second, 4);
    assert_int_equal(pipc_stats(end[0], &stats), 0);
    assert_int_equal(stats.bytes_held, 0);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

TEST_OF_KIND(slow_writes_go_one_by_one)
{
    struct peers p;
    open_gathering(&p, kind, 0);
    gather_text(&p.a, "first");
    for (int i = 0; i < 5; i++) {
        fault_advance_ms(GATHER_MS + i);
        write_text(&p.a, "one");
        assert_int_equal(held_by(&p.a), 0);
    }
    expect_pending(&p.b, 6);
    peers_close(&p);
}

/* A batch is one call: the whole of it is late. */
TEST_OF_KIND(a_batch_that_comes_a_millisecond_later_sends_all)
{
    const struct iovec batch[3] = {
        {(void *)(uintptr_t) "a", 1}, {NULL, 0}, {(void *)(uintptr_t) "b", 1}};
    struct peers p;
    open_gathering(&p, kind, 0);
    gather_text(&p.a, "one");
    fault_advance_ms(GATHER_MS);
    fault_arm();
    assert_int_equal(peer_write_batch(&p.a, batch, 3), 3);
    fault_disarm();
    assert_int_equal(held_by(&p.a), 0);
    expect_pending(&p.b, 4);
    peers_close(&p);
}

/* --- With other calls ------------------------------------------------------------------------- */

TEST_OF_KIND(parts_and_batches_are_gathered_too)
{
    const struct iovec parts[3] = {
        {(void *)(uintptr_t) "pa", 2}, {NULL, 0}, {(void *)(uintptr_t) "rts", 3}};
    struct peers p;
    open_gathering(&p, kind, 0);
    gather_text(&p.a, "first");
    fault_arm();
    assert_int_equal(peer_writev(&p.a, parts, 3), 5);
    assert_int_equal(peer_writev(&p.a, NULL, 0), 0);
    assert_int_equal(peer_write_batch(&p.a, parts, 3), 3);
    fault_disarm();
    assert_int_equal(writes_of_system(), 0);
    assert_int_equal(peer_stats(&p.a).messages_written, 6);
    assert_int_equal(peer_flush(&p.a), 0);
    static const char *const texts[] = {"first", "parts", "", "pa", "", "rts"};
    for (size_t i = 0; i < 6; i++)
        expect_text(&p.b, texts[i]);
    peers_close(&p);
}

TEST_OF_KIND(a_large_batch_goes_in_few_system_calls)
{
    enum { BATCH = 3 * MANY }; /* also in parts of pages, it fits into a pipe */
    static struct iovec batch[BATCH];
    struct peers p;
    open_gathering(&p, kind, 0);
    for (size_t i = 0; i < BATCH; i++)
        batch[i] = (struct iovec){(void *)(uintptr_t)bytes, SMALL};
    fault_arm();
    assert_int_equal(peer_write_batch(&p.a, batch, BATCH), BATCH);
    fault_disarm();
    expect_writes(kind, BATCH * (SMALL + FRAME_BYTES), 3);
    assert_int_equal(peer_flush(&p.a), 0);
    expect_pending(&p.b, BATCH);
    peers_close(&p);
}

TEST_OF_KIND(a_goodbye_comes_after_what_is_gathered)
{
    struct peers p;
    open_gathering(&p, kind, 0);
    gather_text(&p.a, "one");
    assert_int_equal(peer_disconnect(&p.a, "so long"), 0);
    expect_text(&p.b, "one");
    expect_bye(&p.b, "so long");
    assert_errno(peer_write(&p.a, "x", 1), EPIPE);
    peers_close(&p);
}

TEST_OF_KIND(after_shutdown_nothing_is_gathered)
{
    struct peers p;
    char byte;
    open_gathering(&p, kind, 0);
    gather_text(&p.a, "one");
    assert_int_equal(peer_shutdown(&p.a), 0);
    assert_errno(write_frozen(&p.a, "x", 1), EPIPE);
    assert_int_equal(held_by(&p.a), 0);
    expect_text(&p.b, "one");
    assert_errno(peer_read(&p.b, &byte, 1), EPIPE);
    peers_close(&p);
}

/* --- Where it has no effect ------------------------------------------------------------------- */

TEST_OF_KIND(on_pipc_open_the_flag_has_no_effect)
{
    struct peers p;
    open_gathering(&p, kind, 0);
    write_text(&p.a, "one");
    assert_int_equal(held_by(&p.a), 0);
    expect_text(&p.b, "one");
    peers_close(&p);
}

TEST_OF_KIND(without_the_flag_each_message_goes_at_once)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    fault_reset();
    for (unsigned long i = 1; i < 4; i++) {
        assert_int_equal(write_frozen(&p.a, "one", 3), 3);
        if (!kind->moves) /* those go in memory */
            assert_int_equal(writes_of_system(), i);
        expect_text(&p.b, "one");
    }
    peers_close(&p);
}

HARNESS_MAIN(
    "gather", OVER_TWO_HANDLE_KINDS(small_messages_wait_in_memory),
    OVER_TWO_HANDLE_KINDS(every_call_that_reads_polls_flushes_or_ends_sends_what_is_gathered),
    OVER_TWO_HANDLE_KINDS(a_read_that_finds_a_message_sends_what_is_gathered),
    OVER_TWO_HANDLE_KINDS(a_read_that_waits_has_sent_what_is_gathered),
    OVER_TWO_HANDLE_KINDS(calls_that_only_look_at_the_handle_send_nothing),
    OVER_TWO_HANDLE_KINDS(all_messages_go_when_16_KiB_have_come),
    OVER_TWO_HANDLE_KINDS(a_limited_timeout_does_not_split_the_16_KiB),
    OVER_TWO_HANDLE_KINDS(a_large_message_goes_at_once_and_behind_what_is_gathered),
    OVER_TWO_HANDLE_KINDS(a_message_over_max_message_is_refused_and_disturbs_nothing),
    OVER_TWO_HANDLE_KINDS(a_write_that_comes_a_millisecond_after_the_one_before_sends_all),
    IT(a_write_that_comes_a_millisecond_after_one_of_descriptors_is_late),
    OVER_TWO_HANDLE_KINDS(slow_writes_go_one_by_one),
    OVER_TWO_HANDLE_KINDS(a_batch_that_comes_a_millisecond_later_sends_all),
    OVER_TWO_HANDLE_KINDS(parts_and_batches_are_gathered_too),
    OVER_TWO_HANDLE_KINDS(a_large_batch_goes_in_few_system_calls),
    OVER_TWO_HANDLE_KINDS(a_goodbye_comes_after_what_is_gathered),
    OVER_TWO_HANDLE_KINDS(after_shutdown_nothing_is_gathered),
    OVER_ANONYMOUS_KINDS(on_pipc_open_the_flag_has_no_effect),
    OVER_TWO_HANDLE_KINDS(without_the_flag_each_message_goes_at_once))
