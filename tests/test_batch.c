/* SPDX-License-Identifier: MIT */
/*
 * Batches, whose small messages share a write. However much of it the kernel accepts, each message
 * arrives once, in order, and the returned count is right. Messages that are received together
 * share memory.
 */
#include <pthread.h>

#include "fault.h"
#include "peers.h"

enum { COUNT = 1000, LARGEST = 5000 };

static unsigned char bytes[LARGEST + COUNT];

/* Mostly small, with runs of larger ones that go alone, and empty ones. */
static size_t size_of(size_t i)
{
    size_t x = i * 2654435761u >> 7;
    return i % 50 < 40 ? x % 60 : x % LARGEST;
}

/* Message i starts at another place of the same bytes, so that no two neighbours are alike. */
static void make_messages(struct iovec messages[COUNT])
{
    harness_fill(bytes, sizeof bytes, 1);
    for (size_t i = 0; i < COUNT; i++)
        messages[i] = (struct iovec){bytes + i, size_of(i)};
}

static void expect_message(struct peer *peer, size_t i)
{
    static char got[LARGEST]; /* by one thread at a time */
    assert_int_equal(peer_read(peer, got, sizeof got), size_of(i));
    if (memcmp(got, bytes + i, size_of(i)) != 0)
        fail_msg("message %zu is another one", i);
}

static intmax_t read_all(struct peer *peer, void *unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT; i++)
        expect_message(peer, i);
    return 0;
}

TEST_OF_KIND(a_batch_of_all_sizes_arrives_in_order)
{
    static struct iovec messages[COUNT];
    struct peers p;
    make_messages(messages);
    peers_open(&p, kind, NULL);
    peer_start(&p.b, read_all, NULL);
    assert_int_equal(peer_write_batch(&p.a, messages, COUNT), COUNT);
    assert_int_equal(peer_finish(&p.b), 0);
    pipc_stats_t stats = peer_stats(&p.a);
    assert_int_equal(stats.messages_written, COUNT);
    peers_close(&p);
}

/* As much as goes, again and again, while the peer reads a few at a time. */
static void write_and_read_by_turns(struct peers *p, bool armed)
{
    static struct iovec messages[COUNT];
    size_t sent = 0, read = 0;
    static char got[LARGEST]; /* by one thread at a time */
    make_messages(messages);
    peer_set_timeout(&p->a, 0, 0);
    peer_set_timeout(&p->b, 0, 0);
    while (read < COUNT) {
        if (armed)
            fault_arm();
        ssize_t went = sent < COUNT ? peer_write_batch(&p->a, messages + sent, COUNT - sent)
                                    : peer_flush(&p->a);
        fault_disarm();
        assert_true(went >= 0 || errno == EAGAIN);
        sent += went > 0 ? (size_t)went : 0;
        for (size_t end = read + 7; read < end; read++) {
            ssize_t n = peer_read(&p->b, got, sizeof got);
            if (n < 0)
                break;
            assert_int_equal(n, size_of(read));
            if (memcmp(got, bytes + read, (size_t)n) != 0)
                fail_msg("message %zu is another one", read);
        }
        assert_true(read <= sent);
    }
    assert_errno(peer_read(&p->b, got, sizeof got), EAGAIN);
}

TEST_OF_KIND(the_rest_of_a_batch_can_be_written_with_the_next_one)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    for (int i = 0; i < 20 / harness_scale() + 1; i++)
        write_and_read_by_turns(&p, false);
    peers_close(&p);
}

TEST_OF_KIND(short_writes_split_no_message_of_a_batch)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    fault_reset();
    fault_shorten(true);
    fault_eagain_after_poll(true);
    write_and_read_by_turns(&p, true);
    peers_close(&p);
}

/* All alike. */
static void make_small(struct iovec messages[COUNT])
{
    for (size_t i = 0; i < COUNT; i++)
        messages[i] = (struct iovec){bytes, 16};
}

TEST_OF_KIND(small_messages_of_a_batch_share_a_system_call)
{
    static struct iovec messages[COUNT];
    struct peers p;
    make_small(messages);
    peers_open(&p, kind, NULL);
    fault_reset();
    fault_arm();
    ssize_t went = peer_write_batch(&p.a, messages, 100);
    fault_disarm();
    assert_int_equal(went, 100);
    /* In shared memory it takes none while the peer's doorbell still rings. */
    unsigned long least = kind->moves || kind->same_handle ? 0 : 1;
    assert_in_range(fault_calls(CALL_ANY), least, strstr(kind->name, ", moving") ? 40 : 5);
    expect_pending(&p.b, 100);
    peers_close(&p);
}

TEST_OF_KIND(a_batch_after_shutdown_is_refused)
{
    static struct iovec messages[COUNT];
    struct peers p;
    make_messages(messages);
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_shutdown(&p.a), 0);
    assert_errno(peer_write_batch(&p.a, messages, COUNT), EPIPE);
    assert_int_equal(peer_write_batch(&p.b, messages, 3), 3);
    peers_close(&p);
}

TEST_OF_KIND(small_received_messages_share_allocations)
{
    static struct iovec messages[COUNT];
    struct peers p;
    make_small(messages);
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_write_batch(&p.b, messages, 400), 400);
    fault_reset();
    fault_arm();
    while (peer_pending(&p.a) < 400)
        continue;
    fault_disarm();
    assert_in_range(fault_calls(CALL_malloc) + fault_calls(CALL_realloc), 1, 40);
    peers_close(&p);
}

static unsigned long reads(void)
{
    return fault_calls(CALL_read) + fault_calls(CALL_readv) + fault_calls(CALL_preadv2) +
           fault_calls(CALL_recv);
}

/* Of descriptors that are its own: reads of others may bring bit by bit what is there. */
TEST_OF_KIND(receiving_pending_messages_makes_no_empty_read)
{
    enum { MANY = 400 };
    static pipc_msg_t got[MANY + 1];
    static struct iovec messages[COUNT];
    struct peers p;
    unsigned long looks = 0;
    make_small(messages);
    peers_open(&p, kind, NULL);
    int fd = peer_fd(&p.a);
    assert_int_equal(peer_write_batch(&p.b, messages, MANY), MANY);
    fault_reset();
    fault_arm();
    for (ssize_t left = MANY, taken; left > 0; left -= taken, looks++) {
        assert_true(harness_readable(fd, HARNESS_TIMEOUT_MS));
        taken = peer_read_pending(&p.a, got, MANY + 1);
        assert_in_range(taken, 0, left);
        for (ssize_t i = 0; i < taken; i++)
            pipc_msg_free(&got[i]);
    }
    fault_disarm();
    /* One finds out how much comes, and one, before a move, whether a doorbell can be read. */
    assert_in_range(reads(), 0, looks + (kind->moves ? 2 : 1));
    peers_close(&p);
}

static void take_all(struct peer *peer, size_t count, size_t most_at_once)
{
    static pipc_msg_t got[COUNT];
    while (count > 0) {
        size_t most = most_at_once < count ? most_at_once : count;
        ssize_t taken = peer_read_pending(peer, got, most);
        assert_in_range(taken, 0, most);
        count -= (size_t)taken;
        while (taken > 0)
            pipc_msg_free(&got[--taken]);
    }
}

/* Many messages that arrive at once, the last one long, read in groups of all sizes. */
TEST_OF_KIND(an_empty_handle_keeps_4_KiB_at_most)
{
    enum { MANY = 400, LONG = 20000 };
    static char large[LONG];
    static struct iovec messages[COUNT];
    struct peers p;
    make_small(messages);
    messages[MANY] = (struct iovec){large, LONG};
    peers_open(&p, kind, NULL);
    size_t before = harness_heap_bytes();
    for (size_t most = 1; most <= MANY + 1; most = most * 3 + 1) {
        for (size_t count = MANY; count <= MANY + 1; count++) {
            assert_int_equal(peer_write_batch(&p.b, messages, count), count);
            take_all(&p.a, count, most);
            assert_in_range(harness_heap_bytes(), 0, before + 4096);
        }
    }
    peers_close(&p);
}

/* What a leaver has taken into its memory is lost to its successor. */
TEST_OF_KIND(reading_a_few_messages_leaves_the_others_in_the_pipe)
{
    enum { FEW = 10 };
    pipc_msg_t got[FEW];
    static struct iovec messages[COUNT];
    struct peers p;
    ssize_t taken;
    make_small(messages);
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_write_batch(&p.b, messages, 400), 400);
    while ((taken = peer_read_pending(&p.a, got, FEW)) == 0)
        continue;
    assert_in_range(taken, 1, FEW);
    assert_int_equal(peer_stats(&p.a).messages_pending, 0);
    while (taken > 0)
        pipc_msg_free(&got[--taken]);
    peers_close(&p);
}

static void check_messages(const pipc_msg_t got[COUNT])
{
    for (size_t i = 0; i < COUNT; i++) {
        if (got[i].data == NULL)
            continue;
        assert_int_equal(got[i].size, size_of(i));
        if (memcmp(got[i].data, bytes + i, got[i].size) != 0)
            fail_msg("message %zu is another one", i);
    }
}

static void *free_every_other(void *got)
{
    for (size_t i = 0; i < COUNT; i += 2)
        pipc_msg_free((pipc_msg_t *)got + i);
    return NULL;
}

/* From b to a, over a pipe that is gone afterwards. */
static void carry(const struct kind *kind, const struct iovec messages[COUNT],
                  pipc_msg_t got[COUNT])
{
    struct peers p;
    size_t count = 0;
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.b, 0, 0);
    for (size_t sent = 0; count < COUNT;) {
        ssize_t went = sent < COUNT ? peer_write_batch(&p.b, messages + sent, COUNT - sent) : 0;
        sent += went > 0 ? (size_t)went : 0;
        ssize_t taken = peer_read_pending(&p.a, got + count, COUNT - count);
        assert_true(taken >= 0);
        count += (size_t)taken;
        peer_flush(&p.b);
    }
    peers_close(&p);
}

TEST_OF_KIND(messages_received_together_can_be_freed_separately_by_any_thread)
{
    static pipc_msg_t got[COUNT];
    static struct iovec messages[COUNT];
    pthread_t other;
    make_messages(messages);
    carry(kind, messages, got);
    for (int i = 0; i < COUNT / 2; i++)
        pipc_msg_free(&got[harness_random_below(COUNT)]);
    check_messages(got);
    assert_int_equal(pthread_create(&other, NULL, free_every_other, got), 0);
    for (size_t i = 1; i < COUNT; i += 2)
        pipc_msg_free(&got[i]);
    pthread_join(other, NULL);
}

TEST_OF_KIND(a_kept_message_retains_4_KiB_at_most)
{
    enum { KEPT = 5 };
    static pipc_msg_t got[COUNT];
    static struct iovec messages[COUNT];
    make_small(messages);
    carry(kind, messages, got);
    for (size_t i = 0; i < COUNT; i++)
        if (i % (COUNT / KEPT) != 0)
            pipc_msg_free(&got[i]);
    size_t with = harness_heap_bytes();
    for (size_t i = 0; i < COUNT; i += COUNT / KEPT)
        pipc_msg_free(&got[i]);
    assert_in_range(with - harness_heap_bytes(), KEPT * 16, KEPT * 4096);
}

HARNESS_MAIN("batches", OVER_KINDS(a_batch_of_all_sizes_arrives_in_order),
             OVER_KINDS(the_rest_of_a_batch_can_be_written_with_the_next_one),
             OVER_KINDS(short_writes_split_no_message_of_a_batch),
             OVER_TWO_HANDLE_KINDS(small_messages_of_a_batch_share_a_system_call),
             OVER_KINDS(a_batch_after_shutdown_is_refused),
             OVER_KINDS(small_received_messages_share_allocations),
             OVER_MADE_KINDS(receiving_pending_messages_makes_no_empty_read),
             OVER_KINDS(reading_a_few_messages_leaves_the_others_in_the_pipe),
             OVER_KINDS(an_empty_handle_keeps_4_KiB_at_most),
             OVER_KINDS(messages_received_together_can_be_freed_separately_by_any_thread),
             OVER_KINDS(a_kept_message_retains_4_KiB_at_most))
