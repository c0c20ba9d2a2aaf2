/* SPDX-License-Identifier: MIT */
/* Who is turned away when too many have come: see pending.h. */
#include "harness.h"
#include "rendezvous/pending.h"

enum { MANY = PENDING_MAX + 1 };

static struct pending pending;
static struct handshake handshakes[MANY];
static int count;

static struct sys_address ipv4(uint8_t last)
{
    return (struct sys_address){.family = SYS_IPV4, .bytes = {10, 0, 0, last}};
}

static struct sys_address ipv6(uint8_t network, uint8_t host)
{
    return (struct sys_address){.family = SYS_IPV6,
                                .bytes = {0x20, 0x01, [7] = network, [15] = host}};
}

static struct handshake *come(struct sys_address from)
{
    struct handshake *h = &handshakes[count];
    *h = (struct handshake){.fd = count++, .auth.state = AUTH_AWAITS_RESPONSE};
    pending_add(&pending, h, &from);
    return h;
}

static struct handshake *come_with_key(struct sys_address from)
{
    struct handshake *h = come(from);
    h->auth.state = AUTH_AWAITS_CHALLENGE;
    return h;
}

static void expect_to_go(struct handshake *h)
{
    assert_ptr_equal(pending_choose(&pending, false), h);
    pending_remove(&pending, h);
}

TEST(the_oldest_of_the_largest_group_is_dropped_first)
{
    come(ipv4(1));
    struct handshake *second = come(ipv4(2));
    struct handshake *third = come(ipv4(2));
    come(ipv4(3));
    struct handshake *last = come(ipv4(2));
    expect_to_go(second);
    expect_to_go(third);
    assert_ptr_not_equal(pending_choose(&pending, false), last); /* the groups are equal now */
}

TEST(the_oldest_is_dropped_when_all_groups_have_one_size)
{
    struct handshake *all[3] = {come(ipv4(3)), come(ipv4(1)), come(ipv4(2))};
    for (int i = 0; i < 3; i++)
        expect_to_go(all[i]);
    assert_null(pending_choose(&pending, false));
}

TEST(a_client_that_has_shown_the_key_is_dropped_after_silent_ones)
{
    struct handshake *friend = come_with_key(ipv4(1));
    struct handshake *silent = come(ipv4(1));
    struct handshake *refused = come(ipv4(1));
    refused->auth.state = AUTH_REFUSED;
    expect_to_go(silent);
    expect_to_go(refused);
    assert_null(pending_choose(&pending, true));
    expect_to_go(friend);
}

TEST(a_large_group_is_dropped_before_a_small_silent_one)
{
    struct handshake *first = come_with_key(ipv4(1));
    come_with_key(ipv4(1));
    struct handshake *silent = come(ipv4(2));
    assert_ptr_equal(pending_choose(&pending, true), silent);
    expect_to_go(first);
    expect_to_go(silent);
}

TEST(a_network_of_64_bits_is_one_group)
{
    come(ipv4(32)); /* 10.0.0.32, whose bytes are not to be taken for part of a network */
    struct handshake *first = come(ipv6(1, 1));
    come(ipv6(2, 1));
    come(ipv6(1, 2));
    expect_to_go(first);
}

TEST(networks_that_begin_alike_are_several_groups)
{
    come(ipv6(1, 1));
    struct handshake *first_of_two = come(ipv6(2, 1));
    come(ipv6(2, 2));
    expect_to_go(first_of_two);
}

TEST(a_full_table_of_any_mixture_has_one_to_drop)
{
    for (int round = 0; round < 20; round++) {
        memset(&pending, 0, sizeof pending);
        for (count = 0; count < MANY;)
            come(harness_random_below(2) ? ipv4((uint8_t)harness_random())
                                         : ipv6((uint8_t)harness_random(), 1));
        for (int left = MANY; left > 0; left--) {
            assert_int_equal(pending.count, left);
            struct handshake *h = &handshakes[harness_random_below(MANY)];
            h = pending_find(&pending, h->fd) != NULL ? h : pending_choose(&pending, false);
            assert_ptr_equal(pending_find(&pending, h->fd), h);
            pending_remove(&pending, h);
            assert_null(pending_find(&pending, h->fd));
        }
        assert_null(pending.oldest);
        assert_null(pending.newest);
    }
}

HARNESS_MAIN("pending handshakes", IT(the_oldest_of_the_largest_group_is_dropped_first),
             IT(the_oldest_is_dropped_when_all_groups_have_one_size),
             IT(a_client_that_has_shown_the_key_is_dropped_after_silent_ones),
             IT(a_large_group_is_dropped_before_a_small_silent_one),
             IT(a_network_of_64_bits_is_one_group),
             IT(networks_that_begin_alike_are_several_groups),
             IT(a_full_table_of_any_mixture_has_one_to_drop))
