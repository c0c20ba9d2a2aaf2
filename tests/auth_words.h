/* SPDX-License-Identifier: MIT */
/*
 * For tests of the handshake with a key (src/auth.h) as bytes: machines with random bytes that a
 * test knows, whole frames into a machine and out of it, and challenges that a test makes by
 * itself.
 */
#ifndef PIPC_TESTS_AUTH_WORDS_H
#define PIPC_TESTS_AUTH_WORDS_H

#include "codec/auth.h"
#include "codec/digest.h"
#include "harness.h"

static const struct auth_key auth_key = {"secret", 6, false};
static const struct auth_key auth_old_key = {"secret", 6, true};

/* Bytes that count up. */
static inline void auth_count(uint8_t *bytes, size_t size, int from)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((size_t)from + i);
}

/* A side whose nonce counts up from `nonce`, of the process whose mark counts up from `mark`. */
static inline void auth_start_as(struct auth *auth, bool accepting, const struct auth_key *key,
                                 int nonce, int mark)
{
    uint8_t bytes[AUTH_NONCE], marks[AUTH_MARK];
    auth_count(bytes, sizeof bytes, nonce);
    auth_count(marks, sizeof marks, mark);
    auth_init(auth, accepting, key, bytes, marks);
}

/* Of a process of its own, unless the nonces count up from the same. */
static inline void auth_start_from(struct auth *auth, bool accepting, const struct auth_key *key,
                                   int from)
{
    auth_start_as(auth, accepting, key, from, from + AUTH_NONCE);
}

/* Gives the machine a whole frame, as far as it wants it. Returns how many bytes it took. */
static inline size_t auth_say(struct auth *auth, const void *payload, size_t size)
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

#define AUTH_SAY(auth, text) auth_say(auth, text, sizeof(text) - 1)

/* Takes the frame that the machine has to say. */
static inline size_t auth_hear(struct auth *auth, uint8_t payload[AUTH_FRAME_MAX])
{
    const uint8_t *bytes;
    size_t size = auth_output(auth, &bytes);
    assert_true(size >= 4);
    assert_int_equal((size_t)bytes[2] << 8 | bytes[3], size - 4);
    memcpy(payload, bytes + 4, size - 4);
    auth_sent(auth, size);
    return size - 4;
}

static inline void auth_expect(struct auth *auth, const void *words, size_t size)
{
    uint8_t payload[AUTH_FRAME_MAX];
    assert_int_equal(auth_hear(auth, payload), size);
    assert_memory_equal(payload, words, size);
}

static inline void auth_expect_words(struct auth *auth, const char *words)
{
    auth_expect(auth, words, strlen(words));
}

static inline void auth_expect_nothing(const struct auth *auth)
{
    const uint8_t *bytes;
    assert_int_equal(auth_output(auth, &bytes), 0);
}

/* A challenge as the manual has it (pipc.h, 11), and as this test reads the manual. */
struct auth_words {
    uint8_t bytes[AUTH_FRAME_MAX];
    size_t size;
};

enum { WORDS_DIGEST = 11, WORDS_ROLE = 19, WORDS_NONCE = 20, WORDS_MARK = 36, WORDS_ANSWERED = 52 };
enum { WORDS_TAG = 68, WORDS_SIZE = 100 };

static inline void auth_tag(struct auth_words *words, const struct auth_key *key)
{
    uint8_t tagged[17 + WORDS_TAG - WORDS_DIGEST] = "libpipc challenge";
    memcpy(tagged + 17, words->bytes + WORDS_DIGEST, WORDS_TAG - WORDS_DIGEST);
    digest_hmac(DIGEST_SHA256, key->bytes, key->size, tagged, sizeof tagged,
                words->bytes + WORDS_TAG);
}

/* `answered` negative: zeros. */
static inline struct auth_words auth_challenge_of(char role, int nonce, int mark, int answered)
{
    struct auth_words words = {"#CHALLENGE#{sha256}", WORDS_SIZE};
    words.bytes[WORDS_ROLE] = (uint8_t)role;
    auth_count(words.bytes + WORDS_NONCE, AUTH_NONCE, nonce);
    auth_count(words.bytes + WORDS_MARK, AUTH_MARK, mark);
    if (answered >= 0)
        auth_count(words.bytes + WORDS_ANSWERED, AUTH_NONCE, answered);
    auth_tag(&words, &auth_key);
    return words;
}

/* What is right as a response to a challenge, shown by SHA-256. */
static inline struct auth_words auth_response_to(const struct auth_words *challenge)
{
    struct auth_words words = {"{sha256}", 40};
    digest_hmac(DIGEST_SHA256, auth_key.bytes, auth_key.size, challenge->bytes + WORDS_DIGEST,
                challenge->size - WORDS_DIGEST, words.bytes + 8);
    return words;
}

static inline void auth_say_words(struct auth *auth, const struct auth_words *words)
{
    auth_say(auth, words->bytes, words->size);
}

#endif
