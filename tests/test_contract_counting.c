/* SPDX-License-Identifier: MIT */
/*
 * What a program can ask about every kind of pipe: the number of pending messages, statistics, the
 * peer's name. Also flush, which receives what it counts.
 */
#include "peers.h"

#include <stdio.h>

TEST_OF_KIND(pending_counts_whole_messages)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_pending(&p.b), 0);
    for (ssize_t i = 1; i <= 5; i++) {
        send_text(&p.a, "message");
        expect_pending(&p.b, i);
    }
    for (ssize_t i = 4; i >= 0; i--) {
        expect_text(&p.b, "message");
        assert_int_equal(peer_pending(&p.b), i);
    }
    peers_close(&p);
}

TEST_OF_KIND(pending_does_not_count_an_incomplete_message)
{
    struct peers p;
    enum { SIZE = MORE_THAN_A_PIPE };
    unsigned char *data = calloc(1, SIZE);
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, -1, 0);
    send_text(&p.a, "whole");
    assert_int_equal(peer_write(&p.a, data, SIZE), SIZE);
    expect_pending(&p.b, 1);
    expect_text(&p.b, "whole");
    assert_int_equal(peer_pending(&p.b), 0);
    free(data);
    peers_close(&p);
}

TEST_OF_KIND(flush_returns_the_number_of_pending_messages_and_drops_none)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_flush(&p.b), 0);
    send_text(&p.a, "one");
    send_text(&p.a, "two");
    expect_pending(&p.b, 2);
    assert_int_equal(peer_flush(&p.b), 2);
    assert_int_equal(peer_flush(&p.b), 2);
    expect_text(&p.b, "one");
    assert_int_equal(peer_flush(&p.b), 1);
    expect_text(&p.b, "two");
    assert_int_equal(peer_flush(&p.b), 0);
    peers_close(&p);
}

/* What b received leaves room in the pipe for as much again. */
TEST_OF_KIND(flush_makes_room_for_the_writer)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    size_t first = fill_pipe(&p.a, 1000, 0), second = 0;
    ssize_t pending = 0;
    for (int i = 0; i < 1000 && second == 0; i++) {
        pending = peer_flush(&p.b);
        second = fill_pipe(&p.a, 1000, first);
    }
    assert_in_range(pending, 1, first);
    assert_true(second > 0);
    peer_start(&p.b, read_filled, &(struct filled){1000, first + second, 0});
    peer_set_timeout(&p.a, -1, -1);
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

TEST_OF_KIND(stats_count_messages_and_bytes)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "four");
    send_text(&p.a, "");
    send_text(&p.a, "seven!!");
    expect_pending(&p.b, 3);
    pipc_stats_t a = peer_stats(&p.a), b = peer_stats(&p.b);
    assert_int_equal(a.messages_written, 3);
    assert_int_equal(a.bytes_written, 11);
    assert_int_equal(a.messages_read, 0);
    assert_int_equal(a.bytes_held, 0);
    assert_int_equal(b.messages_pending, 3);
    assert_int_equal(b.bytes_pending, 11);
    assert_int_equal(b.messages_read, 0);
    expect_text(&p.b, "four");
    assert_int_equal(peer_skip(&p.b), 0);
    b = peer_stats(&p.b);
    assert_int_equal(b.messages_read, 2);
    assert_int_equal(b.bytes_read, 4);
    assert_int_equal(b.messages_pending, 1);
    assert_int_equal(b.bytes_pending, 7);
    if (!kind->same_handle) /* statistics are the handle's */
        assert_int_equal(b.messages_written, 0);
    peers_close(&p);
}

TEST_OF_KIND(stats_report_held_output)
{
    enum { SIZE = MORE_THAN_A_PIPE };
    struct peers p;
    peers_open(&p, kind, NULL);
    unsigned char *data = calloc(1, SIZE);
    peer_set_timeout(&p.a, -1, 0);
    assert_int_equal(peer_write(&p.a, data, SIZE), SIZE);
    pipc_stats_t a = peer_stats(&p.a);
    assert_in_range(a.bytes_held, 1, SIZE + 64); /* frames have headers */
    assert_int_equal(a.messages_written, 1);
    assert_int_equal(a.bytes_written, SIZE);
    free(data);
    peers_close(&p);
}

/* A program that was built with a newer header, whose struct is longer. */
TEST_OF_KIND(stats_do_not_write_fields_of_a_newer_version)
{
    struct peers p;
    struct {
        pipc_stats_t known;
        uint64_t newer;
    } stats = {PIPC_STATS_INIT, 4711};
    peers_open(&p, kind, NULL);
    send_text(&p.a, "abc");
    stats.known.struct_size = sizeof stats;
    assert_int_equal(pipc_stats(p.a.pipe, &stats.known), 0);
    assert_int_equal(stats.known.bytes_written, 3);
    assert_int_equal(stats.newer, 4711);
    peers_close(&p);
}

TEST_OF_KIND(peer_returns_a_text_for_a_log_line)
{
    struct peers p;
    char text[256];
    peers_open(&p, kind, NULL);
    memset(text, '?', sizeof text);
    assert_int_equal(peer_name(&p.a, text, sizeof text), 0);
    size_t length = strnlen(text, sizeof text);
    assert_in_range(length, 1, sizeof text - 1);
    for (size_t i = 0; i < length; i++)
        assert_in_range(text[i], ' ', '~');
    assert_errno(peer_name(&p.a, text, 2), ERANGE);
    peers_close(&p);
}

TEST(the_version_is_that_of_the_header)
{
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", PIPC_VERSION_MAJOR, PIPC_VERSION_MINOR,
             PIPC_VERSION_PATCH);
    assert_string_equal(pipc_version(), version);
}

HARNESS_MAIN("counting", OVER_KINDS(pending_counts_whole_messages),
             OVER_KINDS(pending_does_not_count_an_incomplete_message),
             OVER_KINDS(flush_returns_the_number_of_pending_messages_and_drops_none),
             OVER_KINDS(flush_makes_room_for_the_writer),
             OVER_KINDS(stats_count_messages_and_bytes), OVER_KINDS(stats_report_held_output),
             OVER_KINDS(stats_do_not_write_fields_of_a_newer_version),
             OVER_KINDS(peer_returns_a_text_for_a_log_line), IT(the_version_is_that_of_the_header))
