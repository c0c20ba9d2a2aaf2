/* SPDX-License-Identifier: MIT */
/*
 * Which challenges a peer answers. A challenge of libpipc names its role, process and connection,
 * and is refused everywhere else. Any other challenge is answered; so an attacker who changes one
 * of libpipc's gains only a response to the changed one.
 */
#include "auth_words.h"

/* The nonces and the marks of these tests count up from here. */
enum { OUR_NONCE = 0x10, OUR_MARK = 0x20, THEIR_NONCE = 0x40, THEIR_MARK = 0x50 };

/* A side that has come to the point where it takes a challenge. */
static void await_challenge(struct auth *auth, bool accepting, const struct auth_key *key)
{
    auth_start_as(auth, accepting, key, OUR_NONCE, OUR_MARK);
    if (!accepting)
        return;
    struct auth_words own = auth_challenge_of('a', OUR_NONCE, OUR_MARK, -1);
    auth_expect(auth, own.bytes, own.size);
    struct auth_words response = auth_response_to(&own);
    auth_say_words(auth, &response);
    auth_expect_words(auth, "#WELCOME#");
}

static void expect_refusal(bool accepting, const struct auth_words *challenge)
{
    struct auth auth;
    await_challenge(&auth, accepting, &auth_key);
    auth_say_words(&auth, challenge);
    auth_expect_words(&auth, "#FAILURE#");
    assert_int_equal(auth.state, AUTH_REFUSED);
}

/* Answers this challenge, and nothing else. */
static void expect_response(bool accepting, const struct auth_words *challenge)
{
    struct auth auth;
    struct auth_words response = auth_response_to(challenge);
    await_challenge(&auth, accepting, &auth_key);
    auth_say_words(&auth, challenge);
    auth_expect(&auth, response.bytes, response.size);
    assert_int_equal(auth.state, AUTH_AWAITS_VERDICT);
}

/* The one that each side is there to answer. */
static struct auth_words fitting(bool accepting)
{
    return accepting ? auth_challenge_of('c', THEIR_NONCE, THEIR_MARK, OUR_NONCE)
                     : auth_challenge_of('a', THEIR_NONCE, THEIR_MARK, -1);
}

/* --- Whom it is for --------------------------------------------------------------------------- */

TEST(a_challenge_is_answered_only_if_it_comes_from_the_other_role)
{
    for (int accepting = 0; accepting < 2; accepting++) {
        struct auth_words right = fitting(accepting), wrong = right;
        expect_response(accepting, &right);
        wrong.bytes[WORDS_ROLE] = accepting ? 'a' : 'c';
        auth_tag(&wrong, &auth_key);
        expect_refusal(accepting, &wrong);
        wrong.bytes[WORDS_ROLE] = 'x';
        auth_tag(&wrong, &auth_key);
        expect_refusal(accepting, &wrong);
    }
}

TEST(a_challenge_of_the_same_process_is_not_answered)
{
    for (int accepting = 0; accepting < 2; accepting++) {
        struct auth_words own = fitting(accepting);
        auth_count(own.bytes + WORDS_MARK, AUTH_MARK, OUR_MARK);
        auth_tag(&own, &auth_key);
        expect_refusal(accepting, &own);
    }
}

TEST(the_accepting_peer_answers_only_after_it_was_answered)
{
    struct auth_words other = auth_challenge_of('c', THEIR_NONCE, THEIR_MARK, OUR_NONCE + 1);
    expect_refusal(true, &other);
    struct auth_words nobody = auth_challenge_of('c', THEIR_NONCE, THEIR_MARK, -1);
    expect_refusal(true, &nobody);
}

TEST(a_reflected_challenge_is_not_answered)
{
    struct auth_words own = auth_challenge_of('a', OUR_NONCE, OUR_MARK, -1);
    expect_refusal(true, &own);
}

static void expect_challenge_after(const struct auth_words *theirs, int answered)
{
    struct auth auth;
    uint8_t payload[AUTH_FRAME_MAX];
    await_challenge(&auth, false, &auth_key);
    auth_say_words(&auth, theirs);
    auth_hear(&auth, payload);
    AUTH_SAY(&auth, "#WELCOME#");
    struct auth_words own = auth_challenge_of('c', OUR_NONCE, OUR_MARK, answered);
    auth_expect(&auth, own.bytes, own.size);
}

TEST(the_connecting_peer_names_the_challenge_that_it_answered)
{
    struct auth_words theirs = fitting(false), foreign = theirs;
    expect_challenge_after(&theirs, THEIR_NONCE);
    foreign.bytes[WORDS_TAG] ^= 1;
    expect_challenge_after(&foreign, -1);
}

TEST(a_process_does_not_authenticate_itself)
{
    struct auth server, client;
    uint8_t payload[AUTH_FRAME_MAX];
    auth_start_as(&server, true, &auth_key, OUR_NONCE, OUR_MARK);
    auth_start_as(&client, false, &auth_key, THEIR_NONCE, OUR_MARK);
    size_t size = auth_hear(&server, payload);
    auth_say(&client, payload, size);
    auth_expect_words(&client, "#FAILURE#");
    AUTH_SAY(&server, "#FAILURE#");
    auth_expect_words(&server, "#FAILURE#");
    assert_int_equal(client.state, AUTH_REFUSED);
    assert_int_equal(server.state, AUTH_REFUSED);
}

/* --- What was changed is another one ---------------------------------------------------------- */

/* Is refused as it is; when changed, only the changed one is answered. */
static void expect_nothing_from(bool accepting, const struct auth_words *refused,
                                const struct auth_words *changed)
{
    struct auth_words response = auth_response_to(changed), wanted = auth_response_to(refused);
    expect_refusal(accepting, refused);
    expect_response(accepting, changed);
    assert_memory_not_equal(response.bytes, wanted.bytes, wanted.size);
}

TEST(no_flipped_bit_makes_a_refused_challenge_acceptable)
{
    for (int accepting = 0; accepting < 2; accepting++) {
        struct auth_words own = fitting(accepting);
        auth_count(own.bytes + WORDS_MARK, AUTH_MARK, OUR_MARK);
        auth_tag(&own, &auth_key);
        for (int bit = 8 * WORDS_ROLE; bit < 8 * WORDS_SIZE; bit++) {
            struct auth_words changed = own;
            changed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            expect_nothing_from(accepting, &own, &changed);
        }
    }
}

TEST(no_other_length_makes_a_refused_challenge_acceptable)
{
    struct auth_words own = auth_challenge_of('a', THEIR_NONCE, OUR_MARK, -1), changed = own;
    for (changed.size = WORDS_DIGEST + 21; changed.size <= AUTH_FRAME_MAX; changed.size++)
        if (changed.size != own.size)
            expect_nothing_from(false, &own, &changed);
}

TEST(a_tag_made_with_another_key_is_refused)
{
    const struct auth_key other = {"Secret", 6, false};
    struct auth_words theirs = auth_challenge_of('c', THEIR_NONCE, OUR_MARK, -1);
    expect_refusal(false, &theirs);
    auth_tag(&theirs, &other);
    expect_response(false, &theirs);
}

/* --- Responses that do not serve as something else -------------------------------------------- */

/* With a response to these bytes an attacker would have a tag. */
TEST(bytes_that_begin_like_a_tag_are_not_answered)
{
    struct auth_words own = auth_challenge_of('a', OUR_NONCE, OUR_MARK, -1);
    struct auth_words asks = {"#CHALLENGE#libpipc challenge", 28 + WORDS_TAG - WORDS_DIGEST};
    memcpy(asks.bytes + 28, own.bytes + WORDS_DIGEST, WORDS_TAG - WORDS_DIGEST);
    for (int i = 0; i < 4; i++) {
        struct auth auth;
        await_challenge(&auth, i & 1, i & 2 ? &auth_key : &auth_old_key);
        auth_say_words(&auth, &asks);
        auth_expect_words(&auth, "#FAILURE#");
    }
}

TEST(a_tag_is_not_accepted_as_a_response)
{
    struct auth_words own = auth_challenge_of('a', OUR_NONCE, OUR_MARK, -1);
    struct auth_words tag = {"{sha256}", 40};
    struct auth auth;
    memcpy(tag.bytes + 8, own.bytes + WORDS_TAG, 32);
    auth_start_as(&auth, true, &auth_key, OUR_NONCE, OUR_MARK);
    auth_expect(&auth, own.bytes, own.size);
    auth_say_words(&auth, &tag);
    auth_expect_words(&auth, "#FAILURE#");
}

/* The old protocol's 20 bytes, cut out of a challenge of ours: the response is none to it. */
TEST(the_response_to_a_short_challenge_is_useless_to_an_attacker)
{
    for (size_t at = 0; at + 20 <= WORDS_SIZE; at++) {
        struct auth_words own = auth_challenge_of('a', THEIR_NONCE, THEIR_MARK, -1);
        struct auth_words piece = {"#CHALLENGE#", 11 + 20};
        struct auth asked, asking;
        uint8_t payload[AUTH_FRAME_MAX];
        memcpy(piece.bytes + 11, own.bytes + at, 20);
        await_challenge(&asked, false, &auth_old_key);
        auth_say_words(&asked, &piece);
        assert_int_equal(auth_hear(&asked, payload), DIGEST_MD5_SIZE);
        auth_start_as(&asking, true, &auth_old_key, THEIR_NONCE, THEIR_MARK);
        auth_expect(&asking, own.bytes, own.size);
        auth_say(&asking, payload, DIGEST_MD5_SIZE);
        auth_expect_words(&asking, "#FAILURE#");
    }
}

HARNESS_MAIN("auth, challenge", IT(a_challenge_is_answered_only_if_it_comes_from_the_other_role),
             IT(a_challenge_of_the_same_process_is_not_answered),
             IT(the_accepting_peer_answers_only_after_it_was_answered),
             IT(a_reflected_challenge_is_not_answered),
             IT(the_connecting_peer_names_the_challenge_that_it_answered),
             IT(a_process_does_not_authenticate_itself),
             IT(no_flipped_bit_makes_a_refused_challenge_acceptable),
             IT(no_other_length_makes_a_refused_challenge_acceptable),
             IT(a_tag_made_with_another_key_is_refused),
             IT(bytes_that_begin_like_a_tag_are_not_answered),
             IT(a_tag_is_not_accepted_as_a_response),
             IT(the_response_to_a_short_challenge_is_useless_to_an_attacker))
