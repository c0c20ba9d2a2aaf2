/* SPDX-License-Identifier: MIT */
/*
 * The handshake as bytes. Two state machines talk in pieces of every size, also in the words of
 * the older protocol. Wrong keys, old digests without the flag, replays and other protocols are
 * refused.
 */
#include <stdio.h>

#include "auth_words.h"

static const struct auth_key other_key = {"Secret", 6, false};

/* Moves up to `most` bytes from one to the other; returns how many. */
static size_t move(struct auth *from, struct auth *to, size_t most)
{
    const uint8_t *bytes;
    uint8_t *where;
    size_t size = auth_output(from, &bytes), wanted = auth_wants(to, &where);
    if (size > wanted)
        size = wanted;
    if (size > most)
        size = most;
    if (size > 0)
        memcpy(where, bytes, size);
    auth_sent(from, size);
    if (size > 0)
        auth_received(to, size);
    return size;
}

static size_t pump(struct auth *a, struct auth *b, size_t most)
{
    size_t moved = 0, step;
    do {
        step = move(a, b, most) + move(b, a, most);
        moved += step;
    } while (step > 0);
    return moved;
}

TEST(a_handshake_works_in_pieces_of_any_size)
{
    struct auth server, client;
    for (size_t most = 1; most < 80; most++) {
        auth_start_from(&server, true, &auth_key, 0);
        auth_start_from(&client, false, &auth_key, 100);
        size_t bytes = pump(&server, &client, most);
        assert_true(auth_is_over(&server) && auth_is_over(&client));
        assert_int_equal(server.state, AUTH_DONE);
        assert_int_equal(client.state, AUTH_DONE);
        /* Two challenges of 100 bytes, responses of 40, verdicts of 9, and their lengths. */
        assert_int_equal(bytes, 2 * (100 + 40 + 9) + 6 * 4);
    }
}

TEST(keys_may_be_long)
{
    char long_key[1000];
    struct auth server, client;
    memset(long_key, 'k', sizeof long_key);
    const struct auth_key a = {long_key, sizeof long_key, false}, b = {long_key, 999, false};
    auth_start_from(&server, true, &a, 0);
    auth_start_from(&client, false, &a, 100);
    pump(&server, &client, 1000);
    assert_int_equal(client.state, AUTH_DONE);
    auth_start_from(&server, true, &a, 0);
    auth_start_from(&client, false, &b, 100);
    pump(&server, &client, 1000);
    assert_int_equal(client.state, AUTH_REFUSED);
}

TEST(a_wrong_key_is_refused_by_both_peers)
{
    struct auth server, client;
    auth_start_from(&server, true, &auth_key, 0);
    auth_start_from(&client, false, &other_key, 100);
    pump(&server, &client, 1000);
    assert_true(auth_is_over(&server) && auth_is_over(&client));
    assert_int_equal(server.state, AUTH_REFUSED);
    assert_int_equal(client.state, AUTH_REFUSED);
}

/* --- Known bytes ------------------------------------------------------------------------------ */

static const uint8_t sha256_vector[40] = {
    '{',  's',  'h',  'a',  '2',  '5',  '6',  '}',  0xfc, 0x57, 0xfb, 0xe6, 0x50, 0xd6,
    0x12, 0x4b, 0x98, 0x21, 0x5e, 0x7b, 0x5d, 0x19, 0x7d, 0x58, 0x07, 0xad, 0x69, 0x98,
    0x2d, 0x27, 0x5a, 0x97, 0x35, 0xea, 0x2d, 0x56, 0xf1, 0xfa, 0x69, 0x89};
static const uint8_t md5_vector[16] = {0x7d, 0xef, 0xa9, 0xcc, 0x46, 0xab, 0xc3, 0x58,
                                       0x33, 0x25, 0xd1, 0x7c, 0xcd, 0xa7, 0x51, 0x90};

/* Our challenges: nonce 00 ... 0f and mark 10 ... 1f, of the accepting side, with the right
 * responses; nonce 80 ... 8f and mark 90 ... 9f, of a connecting side that answered a foreign
 * one. */
static const uint8_t accepting_tag[32] = {
    0x1f, 0x2b, 0xf8, 0xe4, 0xf2, 0xeb, 0xe2, 0xaf, 0x72, 0x05, 0xc8, 0x8a, 0x0f, 0xd1, 0xad, 0xfe,
    0x42, 0xcd, 0xf8, 0x33, 0x96, 0xaa, 0xc5, 0x06, 0x9f, 0x7d, 0x69, 0x23, 0xfe, 0x33, 0xc3, 0xf0};
static const uint8_t accepting_sha256[40] = {
    '{',  's',  'h',  'a',  '2',  '5',  '6',  '}',  0xc0, 0x99, 0xac, 0x5e, 0xf8, 0x86,
    0x75, 0x36, 0x0a, 0x7e, 0x5b, 0x65, 0x1a, 0x53, 0xec, 0x14, 0xfe, 0xf2, 0x39, 0x5a,
    0xb5, 0x62, 0x1d, 0xb3, 0xe6, 0x40, 0x10, 0x2c, 0x7f, 0x8f, 0x40, 0x72};
static const uint8_t accepting_md5[16] = {0x29, 0x74, 0xb6, 0x9e, 0x2c, 0x3e, 0xdd, 0x39,
                                          0x51, 0x04, 0x13, 0x6c, 0xc7, 0x01, 0x9a, 0x45};
static const uint8_t connecting_tag[32] = {
    0xad, 0xf9, 0x71, 0x76, 0x80, 0xc3, 0x82, 0x10, 0x5b, 0xae, 0x8e, 0xca, 0xc0, 0xdd, 0xfe, 0x92,
    0x23, 0x54, 0xa7, 0xce, 0xb3, 0xd3, 0x95, 0x1d, 0x4d, 0xe5, 0xd5, 0xab, 0x01, 0x1b, 0xd0, 0x9d};
static const uint8_t connecting_sha256[40] = {
    '{',  's',  'h',  'a',  '2',  '5',  '6',  '}',  0xe0, 0xdf, 0x90, 0x8a, 0x4b, 0x84,
    0xd2, 0x7a, 0x99, 0xb4, 0x66, 0xf0, 0x5e, 0xf9, 0x56, 0x3a, 0x0a, 0xee, 0xfd, 0x8b,
    0x7b, 0x77, 0x7d, 0x1b, 0x54, 0x52, 0x41, 0xc3, 0x98, 0xb0, 0x8e, 0x15};

static void expect_challenge(struct auth *auth, char role, int from, const uint8_t tag[32])
{
    uint8_t expected[100] = "#CHALLENGE#{sha256}";
    expected[19] = (uint8_t)role;
    auth_count(expected + 20, 32, from);
    memcpy(expected + 68, tag, 32);
    auth_expect(auth, expected, sizeof expected);
}

/* Another make's: 40 bytes after the name of the digest. */
static const char foreign[] = "#CHALLENGE#{sha256}0123456789012345678901234567890123456789";

TEST(the_accepting_peer_sends_the_golden_bytes)
{
    struct auth auth;
    uint8_t payload[256];
    auth_start_from(&auth, true, &auth_key, 0);
    expect_challenge(&auth, 'a', 0, accepting_tag);
    assert_int_equal(auth_say(&auth, accepting_sha256, 40), 44);
    auth_expect_words(&auth, "#WELCOME#");
    AUTH_SAY(&auth, foreign);
    assert_int_equal(auth_hear(&auth, payload), 40);
    assert_false(auth_is_over(&auth));
    AUTH_SAY(&auth, "#WELCOME#");
    assert_true(auth_is_over(&auth));
    assert_int_equal(auth.state, AUTH_DONE);
}

TEST(the_connecting_peer_sends_the_golden_bytes)
{
    struct auth auth;
    uint8_t challenge[59] = "#CHALLENGE#{sha256}";
    auth_count(challenge + 19, 40, 0);
    auth_start_from(&auth, false, &auth_key, 0x80);
    auth_expect_nothing(&auth);
    auth_say(&auth, challenge, sizeof challenge);
    auth_expect(&auth, sha256_vector, sizeof sha256_vector);
    AUTH_SAY(&auth, "#WELCOME#");
    expect_challenge(&auth, 'c', 0x80, connecting_tag);
    assert_int_equal(auth.state, AUTH_AWAITS_RESPONSE);
    auth_say(&auth, connecting_sha256, 40);
    auth_expect_words(&auth, "#WELCOME#");
    assert_int_equal(auth.state, AUTH_DONE);
}

/* What a handshake leaves alone: the first message may come with its last word. */
TEST(bytes_after_the_handshake_are_not_consumed)
{
    struct auth auth;
    uint8_t *where, payload[256];
    auth_start_from(&auth, true, &auth_key, 0);
    auth_hear(&auth, payload);
    auth_say(&auth, accepting_sha256, 40);
    auth_expect_words(&auth, "#WELCOME#");
    AUTH_SAY(&auth, foreign);
    auth_hear(&auth, payload);
    AUTH_SAY(&auth, "#WELCOME#");
    assert_int_equal(auth_wants(&auth, &where), 0);
    assert_int_equal(AUTH_SAY(&auth, "a message"), 0);
}

/* --- The older protocol ----------------------------------------------------------------------- */

TEST(an_md5_response_is_accepted_only_with_the_flag)
{
    struct auth auth;
    uint8_t payload[256];
    auth_start_from(&auth, true, &auth_old_key, 0);
    auth_hear(&auth, payload);
    auth_say(&auth, accepting_md5, 16);
    auth_expect_words(&auth, "#WELCOME#");
    auth_start_from(&auth, true, &auth_key, 0);
    auth_hear(&auth, payload);
    auth_say(&auth, accepting_md5, 16);
    auth_expect_words(&auth, "#FAILURE#");
    assert_int_equal(auth.state, AUTH_REFUSED);
}

TEST(an_md5_challenge_is_answered_only_with_the_flag)
{
    struct auth auth;
    uint8_t payload[256], challenge[31] = "#CHALLENGE#";
    for (int i = 0; i < 20; i++)
        challenge[11 + i] = (uint8_t)i;
    auth_start_from(&auth, false, &auth_old_key, 0);
    auth_say(&auth, challenge, sizeof challenge);
    assert_int_equal(auth_hear(&auth, payload), 16);
    assert_memory_equal(payload, md5_vector, 16);
    auth_start_from(&auth, false, &auth_key, 0);
    auth_say(&auth, challenge, sizeof challenge);
    auth_expect_words(&auth, "#FAILURE#");
}

TEST(with_the_md5_flag_sha256_still_works)
{
    struct auth server, client;
    auth_start_from(&server, true, &auth_old_key, 0);
    auth_start_from(&client, false, &auth_key, 100);
    pump(&server, &client, 1000);
    assert_int_equal(server.state, AUTH_DONE);
    assert_int_equal(client.state, AUTH_DONE);
}

/* --- What is refused -------------------------------------------------------------------------- */

TEST(every_wrong_bit_of_a_response_is_refused)
{
    for (size_t bit = 0; bit < 8 * sizeof accepting_sha256; bit++) {
        struct auth auth;
        uint8_t response[40], payload[256];
        memcpy(response, accepting_sha256, sizeof response);
        response[bit / 8] ^= (uint8_t)(1u << bit % 8);
        auth_start_from(&auth, true, &auth_key, 0);
        auth_hear(&auth, payload);
        auth_say(&auth, response, sizeof response);
        auth_expect_words(&auth, "#FAILURE#");
    }
}

TEST(a_response_of_any_other_length_is_refused)
{
    for (size_t size = 0; size <= AUTH_FRAME_MAX; size++) {
        struct auth auth;
        uint8_t response[AUTH_FRAME_MAX] = {0}, payload[256];
        memcpy(response, accepting_sha256, sizeof accepting_sha256);
        auth_start_from(&auth, true, &auth_old_key, 0);
        auth_hear(&auth, payload);
        auth_say(&auth, response, size);
        auth_expect_words(&auth, size == 40 ? "#WELCOME#" : "#FAILURE#");
    }
}

TEST(a_replayed_response_is_refused)
{
    struct auth auth;
    uint8_t payload[256];
    auth_start_from(&auth, true, &auth_key, 1); /* another challenge than that of the vector */
    auth_hear(&auth, payload);
    auth_say(&auth, accepting_sha256, 40);
    auth_expect_words(&auth, "#FAILURE#");
}

TEST(a_malformed_challenge_is_refused)
{
    static const char *const words[] = {
        "",
        "#CHALLENGE",
        "#CHALLENGE#",
        "#WELCOME#",
        "#FAILURE#",
        "hello",
        "#CHALLENGE#{sha256}",
        "#CHALLENGE#{sha256}short",
        "#CHALLENGE#{md5}0123456789012345678901234567890123456789",
        "#CHALLENGE#0123456789012345678",
        "#CHALLENGE#012345678901234567890",
        "#CHALLENGE#{sha384}0123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (int md5 = 0; md5 < 2; md5++) {
            struct auth auth;
            auth_start_from(&auth, false, md5 ? &auth_old_key : &auth_key, 0);
            auth_say(&auth, words[i], strlen(words[i]));
            auth_expect_words(&auth, "#FAILURE#");
            assert_true(auth_is_over(&auth));
        }
}

TEST(a_malformed_verdict_is_refused)
{
    static const char *const words[] = {"", "#FAILURE#", "#WELCOME", "#WELCOME##", "hello"};
    uint8_t payload[256];
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct auth auth;
        auth_start_from(&auth, false, &auth_key, 0);
        AUTH_SAY(&auth, foreign);
        auth_hear(&auth, payload);
        auth_say(&auth, words[i], strlen(words[i]));
        assert_int_equal(auth.state, AUTH_REFUSED);
        auth_expect_nothing(&auth);
    }
}

/* The first bytes of a stream; nothing after them matters. */
static void expect_refusal_of(const char *bytes, size_t size)
{
    struct auth auth;
    uint8_t *where;
    size_t wanted, at = 0;
    auth_start_from(&auth, false, &auth_key, 0);
    while ((wanted = auth_wants(&auth, &where)) > 0) {
        assert_true(wanted <= AUTH_FRAME_MAX);
        assert_true(at + wanted <= size);
        memcpy(where, bytes + at, wanted);
        auth_received(&auth, wanted);
        at += wanted;
    }
    assert_int_equal(auth.state, AUTH_REFUSED);
}

#define BYTES(text) (text), (sizeof(text) - 1)

TEST(other_protocols_and_long_frames_are_refused)
{
    expect_refusal_of(BYTES("GET / HTTP/1.1\r\n\r\n"));
    expect_refusal_of(BYTES("SSH-2.0-x\r\n"));
    expect_refusal_of(BYTES("\x16\x03\x01\x02\x00\x01\x00\x01"));
    expect_refusal_of(BYTES("\0\0\1\1"));         /* one byte too long */
    expect_refusal_of(BYTES("\x7f\xff\xff\xff")); /* the longest */
    expect_refusal_of(BYTES("\xff\xff\xff\xff")); /* a long frame */
    expect_refusal_of(BYTES("\xff\xff\xff\xfe")); /* a goodbye */
    expect_refusal_of(BYTES("\x80\0\0\0"));
    char longest[4 + AUTH_FRAME_MAX] = {0, 0, 1, 0};
    expect_refusal_of(longest, sizeof longest);
}

TEST(random_bytes_do_no_harm)
{
    for (int i = 0; i < 20000 / harness_scale(); i++) {
        struct auth auth;
        uint8_t *where;
        const uint8_t *bytes;
        size_t wanted, size;
        auth_start_from(&auth, i & 1, i & 2 ? &auth_key : &auth_old_key, i);
        for (int word = 0; word < 8 && !auth_is_over(&auth); word++) {
            while ((size = auth_output(&auth, &bytes)) > 0)
                auth_sent(&auth, 1 + harness_random_below(size));
            while ((wanted = auth_wants(&auth, &where)) > 0) {
                size_t part = 1 + harness_random_below(wanted);
                harness_fill(where, part, harness_random());
                if (auth.in_size == 0 && part >= 3)
                    memset(where, 0, 3); /* mostly a length that is possible */
                auth_received(&auth, part);
            }
        }
        assert_int_not_equal(auth.state, AUTH_DONE);
    }
}

HARNESS_MAIN("auth", IT(a_handshake_works_in_pieces_of_any_size), IT(keys_may_be_long),
             IT(a_wrong_key_is_refused_by_both_peers),
             IT(the_accepting_peer_sends_the_golden_bytes),
             IT(the_connecting_peer_sends_the_golden_bytes),
             IT(bytes_after_the_handshake_are_not_consumed),
             IT(an_md5_response_is_accepted_only_with_the_flag),
             IT(an_md5_challenge_is_answered_only_with_the_flag),
             IT(with_the_md5_flag_sha256_still_works), IT(every_wrong_bit_of_a_response_is_refused),
             IT(a_response_of_any_other_length_is_refused), IT(a_replayed_response_is_refused),
             IT(a_malformed_challenge_is_refused), IT(a_malformed_verdict_is_refused),
             IT(other_protocols_and_long_frames_are_refused), IT(random_bytes_do_no_harm))
