/* SPDX-License-Identifier: MIT */
/* pipc_stats on how the bytes went, and what the calls waited for; the other counts are in
 * test_contract_counting.c. */
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>

#include "peers.h"

enum { HEADER = 4, COUNT = 10, SOON_MS = 20000 };

static uint64_t written_by(const pipc_stats_t *stats)
{
    return stats->kernel_written + stats->shared_written;
}

static uint64_t read_by(const pipc_stats_t *stats)
{
    return stats->kernel_read + stats->shared_read;
}

TEST_OF_KIND(stats_count_each_byte_of_the_stream_once_by_kernel_or_memory)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    pipc_stats_t a = peer_stats(&p.a), b = peer_stats(&p.b);
    uint64_t was_written = written_by(&a), was_read = read_by(&b);
    for (size_t i = 0; i < COUNT; i++) {
        send_filled(&p.a, 1000 + i, i);
        expect_filled(&p.b, 1000 + i, i);
    }
    a = peer_stats(&p.a);
    b = peer_stats(&p.b);
    assert_int_equal(written_by(&a) - was_written, COUNT * (1000 + HEADER) + 45);
    assert_int_equal(read_by(&b) - was_read, COUNT * (1000 + HEADER) + 45);
    if (kind->same_handle)
        assert_int_equal(a.kernel_written, 0);
    if (!kind->same_handle && !kind->moves && !kind->moves_later)
        assert_int_equal(a.shared_written, 0);
    peers_close(&p);
}

/* As pipc_read does, and not pipc_read_msg. */
static intmax_t read_into_place(struct peer *peer, void *filled)
{
    const struct filled *f = filled;
    unsigned char *buffer = malloc(f->size);
    for (size_t i = 0; i < f->count; i++) {
        assert_int_equal(pipc_read(peer->pipe, buffer, f->size), f->size);
        harness_check(buffer, f->size, f->tag + i);
    }
    free(buffer);
    return 0;
}

/* They go past the buffer, and some reads bring what follows as well. */
TEST_OF_KIND(stats_count_the_bytes_of_long_messages_that_reads_wait_for)
{
    struct peers p;
    struct filled four = {.size = 200000, .count = 4, .tag = 1};
    peers_open(&p, kind, NULL);
    pipc_stats_t a = peer_stats(&p.a), b = peer_stats(&p.b);
    uint64_t was_written = written_by(&a), was_read = read_by(&b);
    peer_start(&p.b, read_into_place, &four);
    for (size_t i = 0; i < four.count; i++)
        send_filled(&p.a, four.size, four.tag + i);
    peer_finish(&p.b);
    a = peer_stats(&p.a);
    b = peer_stats(&p.b);
    assert_int_equal(written_by(&a) - was_written, four.count * (four.size + HEADER));
    assert_int_equal(read_by(&b) - was_read, four.count * (four.size + HEADER));
    peers_close(&p);
}

TEST_OF_KIND(stats_show_what_lies_unread_in_shared_memory)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    uint64_t before = peer_stats(&p.a).shared_written;
    for (size_t i = 0; i < 3; i++)
        send_filled(&p.a, 100, i);
    pipc_stats_t a = peer_stats(&p.a), b = peer_stats(&p.b);
    assert_int_equal(a.shared_unread_by_peer, a.shared_written - before);
    if (kind->same_handle)
        assert_int_equal(a.shared_unread_by_peer, 3 * (100 + HEADER));
    if (b.shared_written + b.shared_read > 0) /* b has moved too */
        assert_int_equal(b.shared_unread, a.shared_unread_by_peer);
    for (size_t i = 0; i < 3; i++)
        expect_filled(&p.b, 100, i);
    assert_int_equal(peer_stats(&p.a).shared_unread_by_peer, 0);
    assert_int_equal(peer_stats(&p.b).shared_unread, 0);
    peers_close(&p);
}

static pipc_stats_t stats_of(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    return stats;
}

/* Asked from another thread than the one that waits. */
TEST_OF_KIND(stats_count_a_wait_when_it_begins_and_the_wakeup_that_ends_it)
{
    struct peers p;
    struct filled one = {.size = 10, .count = 1, .tag = 7};
    peers_open(&p, kind, NULL);
    uint64_t waits = stats_of(p.b.pipe).waits;
    pipc_stats_t before = stats_of(p.a.pipe);
    peer_start(&p.b, read_filled, &one);
    int64_t begin = harness_now_ms();
    while (stats_of(p.b.pipe).waits == waits && harness_now_ms() - begin < SOON_MS)
        poll(NULL, 0, 1);
    assert_true(stats_of(p.b.pipe).waits > waits);
    send_filled(&p.a, 10, 7);
    pipc_stats_t after = stats_of(p.a.pipe);
    peer_finish(&p.b);
    if (after.shared_written > before.shared_written)
        assert_true(after.wakeups > before.wakeups);
    else
        assert_int_equal(after.wakeups, before.wakeups);
    peers_close(&p);
}

TEST(stats_of_an_end_of_pipc_open_go_on_when_its_holder_has_left)
{
    struct peers p;
    peers_open(&p, anonymous_in_threads, NULL);
    send_filled(&p.b, 50, 1);
    expect_filled(&p.a, 50, 1);
    pipc_stats_t before = stats_of(p.a.pipe);
    assert_int_equal(peer_disconnect(&p.b, ""), 0);
    pipc_stats_t after = stats_of(p.a.pipe);
    assert_in_range(after.shared_unread, HEADER, 64); /* the goodbye */
    assert_int_equal(after.shared_written, before.shared_written + after.shared_unread);
    expect_bye(&p.a, "");
    after = stats_of(p.a.pipe);
    assert_int_equal(after.shared_unread, 0);
    assert_int_equal(after.shared_read, after.shared_written);
    peers_close(&p);
}

/* A program that was built with the first header, whose struct is shorter. */
TEST_OF_KIND(stats_do_not_write_behind_the_struct_of_an_older_version)
{
    struct peers p;
    pipc_stats_t stats;
    size_t size = offsetof(pipc_stats_t, kernel_read);
    memset(&stats, 0x55, sizeof stats);
    peers_open(&p, kind, NULL);
    send_text(&p.a, "abc");
    stats.struct_size = size;
    assert_int_equal(pipc_stats(p.a.pipe, &stats), 0);
    assert_int_equal(stats.struct_size, size);
    assert_int_equal(stats.bytes_written, 3);
    for (size_t i = size; i < sizeof stats; i++)
        assert_int_equal(((unsigned char *)&stats)[i], 0x55);
    stats.struct_size = size - 1;
    assert_errno(pipc_stats(p.a.pipe, &stats), EINVAL);
    peers_close(&p);
}

HARNESS_MAIN("stats", OVER_KINDS(stats_count_each_byte_of_the_stream_once_by_kernel_or_memory),
             OVER_KINDS(stats_count_the_bytes_of_long_messages_that_reads_wait_for),
             OVER_KINDS(stats_show_what_lies_unread_in_shared_memory),
             OVER_KINDS(stats_count_a_wait_when_it_begins_and_the_wakeup_that_ends_it),
             IT(stats_of_an_end_of_pipc_open_go_on_when_its_holder_has_left),
             OVER_KINDS(stats_do_not_write_behind_the_struct_of_an_older_version))
