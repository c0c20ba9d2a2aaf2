/* SPDX-License-Identifier: MIT */
/*
 * The handshake as bytes: two machines at each other in pieces of every size, the words of the older
 * protocol, and what is refused: wrong keys, old digests unasked, echoes, replays, other protocols.
 */
#include <stdio.h>

#include "auth.h"
#include "digest.h"
#include "harness.h"

static const struct auth_key key = {"secret", 6, false}, other_key = {"Secret", 6, false};
static const struct auth_key old_key = {"secret", 6, true};

/* Random bytes that a test knows: counting up from `from`. */
static void start(struct auth *auth, bool accepting, const struct auth_key *with, int from)
{
    uint8_t bytes[AUTH_RANDOM];
    for (int i = 0; i < AUTH_RANDOM; i++)
        bytes[i] = (uint8_t)(from + i);
    auth_start(auth, accepting, with, bytes);
}

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

TEST(the_same_key_opens_in_pieces_of_any_size)
{
    struct auth server, client;
    for (size_t most = 1; most < 80; most++) {
        start(&server, true, &key, 0);
        start(&client, false, &key, 100);
        size_t bytes = pump(&server, &client, most);
        assert_true(auth_is_over(&server) && auth_is_over(&client));
        assert_int_equal(server.state, AUTH_DONE);
        assert_int_equal(client.state, AUTH_DONE);
        /* Two challenges of 59 bytes, two responses of 40, two verdicts of 9, and their lengths. */
        assert_int_equal(bytes, 2 * (59 + 40 + 9) + 6 * 4);
    }
}

TEST(keys_may_be_long)
{
    char long_key[1000];
    struct auth server, client;
    memset(long_key, 'k', sizeof long_key);
    const struct auth_key a = {long_key, sizeof long_key, false}, b = {long_key, 999, false};
    start(&server, true, &a, 0);
    start(&client, false, &a, 100);
    pump(&server, &client, 1000);
    assert_int_equal(client.state, AUTH_DONE);
    start(&server, true, &a, 0);
    start(&client, false, &b, 100);
    pump(&server, &client, 1000);
    assert_int_equal(client.state, AUTH_REFUSED);
}

TEST(a_wrong_key_is_refused_on_both_sides)
{
    struct auth server, client;
    start(&server, true, &key, 0);
    start(&client, false, &other_key, 100);
    pump(&server, &client, 1000);
    assert_true(auth_is_over(&server) && auth_is_over(&client));
    assert_int_equal(server.state, AUTH_REFUSED);
    assert_int_equal(client.state, AUTH_REFUSED);
}

/* --- Words of the test's own ----------------------------------------------------------------------- */

/* Gives the machine a whole frame, as far as it wants it. Returns how many bytes it took. */
static size_t say(struct auth *auth, const void *payload, size_t size)
{
    uint8_t frame[1000] = {0, 0, (uint8_t)(size >> 8), (uint8_t)size};
    uint8_t *where;
    size_t at = 0, wanted;
    memcpy(frame + 4, payload, size);
    while (at < 4 + size && (wanted = auth_wants(auth, &where)) > 0) {
        assert_true(at + wanted <= 4 + size); /* it never asks for more than the frame has */
        memcpy(where, frame + at, wanted);
        auth_received(auth, wanted);
        at += wanted;
    }
    return at;
}

/* Takes the frame that the machine has to say. */
static size_t hear(struct auth *auth, uint8_t payload[256])
{
    const uint8_t *bytes;
    size_t size = auth_output(auth, &bytes);
    assert_true(size >= 4);
    assert_int_equal((size_t)bytes[2] << 8 | bytes[3], size - 4);
    memcpy(payload, bytes + 4, size - 4);
    auth_sent(auth, size);
    return size - 4;
}

#define SAY(auth, text) say(auth, text, sizeof(text) - 1)

static void expect_words(struct auth *auth, const char *words)
{
    uint8_t payload[256];
    size_t size = hear(auth, payload);
    assert_int_equal(size, strlen(words));
    assert_memory_equal(payload, words, size);
}

static void expect_nothing(const struct auth *auth)
{
    const uint8_t *bytes;
    assert_int_equal(auth_output(auth, &bytes), 0);
}

static const uint8_t sha256_vector[40] = {
    '{',  's',  'h',  'a',  '2',  '5',  '6',  '}',  0xfc, 0x57, 0xfb, 0xe6, 0x50, 0xd6,
    0x12, 0x4b, 0x98, 0x21, 0x5e, 0x7b, 0x5d, 0x19, 0x7d, 0x58, 0x07, 0xad, 0x69, 0x98,
    0x2d, 0x27, 0x5a, 0x97, 0x35, 0xea, 0x2d, 0x56, 0xf1, 0xfa, 0x69, 0x89};
static const uint8_t md5_of_new_vector[16] = {0x8e, 0x48, 0xd2, 0xbb, 0x34, 0x9b, 0x4b, 0x72,
                                              0xb9, 0x38, 0x29, 0x99, 0xed, 0x5b, 0x62, 0xeb};
static const uint8_t md5_vector[16] = {0x7d, 0xef, 0xa9, 0xcc, 0x46, 0xab, 0xc3, 0x58,
                                       0x33, 0x25, 0xd1, 0x7c, 0xcd, 0xa7, 0x51, 0x90};

static void expect_challenge(struct auth *auth, int from)
{
    uint8_t payload[256], expected[59] = "#CHALLENGE#{sha256}";
    for (int i = 0; i < 40; i++)
        expected[19 + i] = (uint8_t)(from + i);
    assert_int_equal(hear(auth, payload), sizeof expected);
    assert_memory_equal(payload, expected, sizeof expected);
}

TEST(the_accepting_side_says_the_golden_bytes)
{
    struct auth auth;
    uint8_t payload[256], challenge[59] = "#CHALLENGE#{sha256}";
    start(&auth, true, &key, 0);
    expect_challenge(&auth, 0);
    assert_int_equal(say(&auth, sha256_vector, 40), 44);
    expect_words(&auth, "#WELCOME#");
    harness_fill(challenge + 19, 40, 7);
    say(&auth, challenge, sizeof challenge);
    assert_int_equal(hear(&auth, payload), 40);
    assert_false(auth_is_over(&auth));
    SAY(&auth, "#WELCOME#");
    assert_true(auth_is_over(&auth));
    assert_int_equal(auth.state, AUTH_DONE);
}

TEST(the_connecting_side_says_the_golden_bytes)
{
    struct auth auth;
    uint8_t payload[256], challenge[59] = "#CHALLENGE#{sha256}";
    for (int i = 0; i < 40; i++)
        challenge[19 + i] = (uint8_t)i;
    start(&auth, false, &key, 0x80);
    expect_nothing(&auth);
    say(&auth, challenge, sizeof challenge);
    assert_int_equal(hear(&auth, payload), 40);
    assert_memory_equal(payload, sha256_vector, 40);
    SAY(&auth, "#WELCOME#");
    expect_challenge(&auth, 0x80);
    assert_int_equal(auth.state, AUTH_AWAITS_RESPONSE);
}

/* What a handshake leaves alone: the first message may come with its last word. */
TEST(nothing_is_taken_beyond_the_last_word)
{
    struct auth auth;
    uint8_t *where, challenge[59] = "#CHALLENGE#{sha256}", payload[256];
    start(&auth, true, &key, 0);
    expect_challenge(&auth, 0);
    say(&auth, sha256_vector, 40);
    expect_words(&auth, "#WELCOME#");
    harness_fill(challenge + 19, 40, 7);
    say(&auth, challenge, sizeof challenge);
    hear(&auth, payload);
    SAY(&auth, "#WELCOME#");
    assert_int_equal(auth_wants(&auth, &where), 0);
    assert_int_equal(SAY(&auth, "a message"), 0);
}

/* --- The older protocol ------------------------------------------------------------------------------ */

TEST(an_md5_response_is_taken_only_with_the_flag)
{
    struct auth auth;
    start(&auth, true, &old_key, 0);
    expect_challenge(&auth, 0);
    say(&auth, md5_of_new_vector, 16);
    expect_words(&auth, "#WELCOME#");
    start(&auth, true, &key, 0);
    expect_challenge(&auth, 0);
    say(&auth, md5_of_new_vector, 16);
    expect_words(&auth, "#FAILURE#");
    assert_int_equal(auth.state, AUTH_REFUSED);
}

TEST(an_md5_challenge_is_answered_only_with_the_flag)
{
    struct auth auth;
    uint8_t payload[256], challenge[31] = "#CHALLENGE#";
    for (int i = 0; i < 20; i++)
        challenge[11 + i] = (uint8_t)i;
    start(&auth, false, &old_key, 0);
    say(&auth, challenge, sizeof challenge);
    assert_int_equal(hear(&auth, payload), 16);
    assert_memory_equal(payload, md5_vector, 16);
    start(&auth, false, &key, 0);
    say(&auth, challenge, sizeof challenge);
    expect_words(&auth, "#FAILURE#");
}

TEST(with_the_flag_sha256_is_spoken_all_the_same)
{
    struct auth server, client;
    start(&server, true, &old_key, 0);
    start(&client, false, &key, 100);
    pump(&server, &client, 1000);
    assert_int_equal(server.state, AUTH_DONE);
    assert_int_equal(client.state, AUTH_DONE);
}

/* --- What is refused ------------------------------------------------------------------------------------ */

TEST(every_wrong_bit_of_a_response_is_refused)
{
    for (size_t bit = 0; bit < 8 * sizeof sha256_vector; bit++) {
        struct auth auth;
        uint8_t response[40], payload[256];
        memcpy(response, sha256_vector, sizeof response);
        response[bit / 8] ^= (uint8_t)(1u << bit % 8);
        start(&auth, true, &key, 0);
        hear(&auth, payload);
        say(&auth, response, sizeof response);
        expect_words(&auth, "#FAILURE#");
    }
}

TEST(a_response_of_any_other_length_is_refused)
{
    for (size_t size = 0; size <= AUTH_FRAME_MAX; size++) {
        struct auth auth;
        uint8_t response[AUTH_FRAME_MAX] = {0}, payload[256];
        memcpy(response, sha256_vector, sizeof sha256_vector);
        start(&auth, true, &old_key, 0);
        hear(&auth, payload);
        say(&auth, response, size);
        expect_words(&auth, size == 40 ? "#WELCOME#" : "#FAILURE#");
    }
}

TEST(a_response_that_was_right_once_is_not_right_again)
{
    struct auth auth;
    uint8_t payload[256];
    start(&auth, true, &key, 1); /* another challenge than that of the vector */
    hear(&auth, payload);
    say(&auth, sha256_vector, 40);
    expect_words(&auth, "#FAILURE#");
}

/* Somebody who does not know the key has our own challenge answered by us. */
TEST(our_own_challenge_is_not_answered)
{
    struct auth auth;
    uint8_t payload[256], echo[59];
    start(&auth, true, &key, 0);
    size_t size = hear(&auth, payload);
    memcpy(echo, payload, size);
    say(&auth, sha256_vector, 40);
    expect_words(&auth, "#WELCOME#");
    say(&auth, echo, size);
    expect_words(&auth, "#FAILURE#");
    assert_int_equal(auth.state, AUTH_REFUSED);
}

TEST(what_is_no_challenge_is_refused)
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
            start(&auth, false, md5 ? &old_key : &key, 0);
            say(&auth, words[i], strlen(words[i]));
            expect_words(&auth, "#FAILURE#");
            assert_true(auth_is_over(&auth));
        }
}

TEST(what_is_no_verdict_is_refused)
{
    static const char *const words[] = {"", "#FAILURE#", "#WELCOME", "#WELCOME##", "hello"};
    uint8_t challenge[59] = "#CHALLENGE#{sha256}", payload[256];
    harness_fill(challenge + 19, 40, 7);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct auth auth;
        start(&auth, false, &key, 0);
        say(&auth, challenge, sizeof challenge);
        hear(&auth, payload);
        say(&auth, words[i], strlen(words[i]));
        assert_int_equal(auth.state, AUTH_REFUSED);
        expect_nothing(&auth);
    }
}

/* The first bytes of a stream; nothing after them matters. */
static void expect_refusal_of(const char *bytes, size_t size)
{
    struct auth auth;
    uint8_t *where;
    size_t wanted, at = 0;
    start(&auth, false, &key, 0);
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

TEST(any_bytes_at_all_are_survived)
{
    for (int i = 0; i < 20000 / harness_scale(); i++) {
        struct auth auth;
        uint8_t *where;
        const uint8_t *bytes;
        size_t wanted, size;
        start(&auth, i & 1, i & 2 ? &key : &old_key, i);
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

HARNESS_MAIN("auth", IT(the_same_key_opens_in_pieces_of_any_size), IT(keys_may_be_long),
             IT(a_wrong_key_is_refused_on_both_sides), IT(the_accepting_side_says_the_golden_bytes),
             IT(the_connecting_side_says_the_golden_bytes),
             IT(nothing_is_taken_beyond_the_last_word),
             IT(an_md5_response_is_taken_only_with_the_flag),
             IT(an_md5_challenge_is_answered_only_with_the_flag),
             IT(with_the_flag_sha256_is_spoken_all_the_same),
             IT(every_wrong_bit_of_a_response_is_refused),
             IT(a_response_of_any_other_length_is_refused),
             IT(a_response_that_was_right_once_is_not_right_again),
             IT(our_own_challenge_is_not_answered), IT(what_is_no_challenge_is_refused),
             IT(what_is_no_verdict_is_refused), IT(other_protocols_and_long_frames_are_refused),
             IT(any_bytes_at_all_are_survived))
