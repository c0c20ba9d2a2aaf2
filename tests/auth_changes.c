/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "auth_model.h"

struct frame *auth_model_add_frame(struct model *m, const struct auth_words *words)
{
    assert_true(m->frame_count < FRAMES_MAX);
    struct frame *frame = &m->frames[m->frame_count++];
    *frame = (struct frame){.words = *words, .needs = {-1, -1}, .asker = -1};
    return frame;
}

/* --- What is made up -------------------------------------------------------------------------- */

static void invent(struct model *m, const void *bytes, size_t size)
{
    struct auth_words words = {.size = size};
    memcpy(words.bytes, bytes, size);
    struct frame *frame = auth_model_add_frame(m, &words);
    snprintf(frame->name, sizeof frame->name, "invented \"%.19s\"", (const char *)words.bytes);
}

#define INVENT(m, text) invent(m, text, sizeof(text) - 1)

void auth_model_invent(struct model *m)
{
    struct auth_words forged = auth_challenge_of('a', 0xd0, 0xe0, -1);
    memset(forged.bytes + WORDS_TAG, 7, 32);
    invent(m, forged.bytes, forged.size);
    forged.bytes[WORDS_ROLE] = 'c';
    invent(m, forged.bytes, forged.size);
    INVENT(m, "#CHALLENGE#{sha256}0123456789012345678901234567890123456789");
    INVENT(m, "#CHALLENGE#01234567890123456789");
    INVENT(m, "{sha256}01234567890123456789012345678901");
    INVENT(m, "0123456789012345");
    INVENT(m, "#WELCOME#");
    INVENT(m, "#FAILURE#");
    INVENT(m, "hello");
    INVENT(m, "");
}

/* --- What is changed -------------------------------------------------------------------------- */

/* Made of frame `from`, and of `with` unless that is -1; if that changes anything. */
static void change(struct model *m, int from, int with, const void *bytes, size_t size,
                   const char *how)
{
    struct auth_words words = {.size = size};
    memcpy(words.bytes, bytes, size);
    if (memcmp(&words, &m->frames[from].words, sizeof words) == 0)
        return;
    struct frame *frame = auth_model_add_frame(m, &words);
    frame->needs[0] = from;
    frame->needs[1] = with;
    frame->is_changed = true;
    snprintf(frame->name, sizeof frame->name, "%.40s, %s", m->frames[from].name, how);
}

/* `size` bytes at `at` replaced. */
static void put(struct model *m, int from, size_t at, const void *bytes, size_t size,
                const char *how)
{
    struct auth_words words = m->frames[from].words;
    memcpy(words.bytes + at, bytes, size);
    change(m, from, -1, words.bytes, words.size, how);
}

static void change_fields(struct model *m, int from)
{
    static const uint8_t zeros[32];
    bool is_accepting = m->frames[from].words.bytes[WORDS_ROLE] == 'a';
    put(m, from, WORDS_ROLE, is_accepting ? "c" : "a", 1, "with the other role");
    put(m, from, WORDS_MARK, zeros, AUTH_MARK, "without a mark");
    put(m, from, WORDS_ANSWERED, zeros, AUTH_NONCE, "without what it answered");
    put(m, from, WORDS_TAG, zeros, 32, "without a tag");
    put(m, from, WORDS_DIGEST, "{md5}xxx", 8, "for MD5");
    for (int side = 0; side < m->side_count; side++) {
        const struct auth_challenge *own = &m->locals[side][0].auth.own;
        put(m, from, WORDS_NONCE, own->nonce, AUTH_NONCE, "with another nonce");
        put(m, from, WORDS_MARK, own->mark, AUTH_MARK, "with another mark");
        put(m, from, WORDS_ANSWERED, own->nonce, AUTH_NONCE, "as if it had answered another");
    }
}

static void cut_challenge(struct model *m, int from)
{
    static const uint8_t sizes[] = {11, 19, 30, 31, 32, 51, 59, 68, 84, 99, 101, 255};
    uint8_t bytes[AUTH_FRAME_MAX] = "#CHALLENGE#libpipc challenge";
    const struct auth_words words = m->frames[from].words;
    for (size_t i = 0; i < sizeof sizes; i++)
        change(m, from, -1, words.bytes, sizes[i], "cut or lengthened");
    memcpy(bytes + 28, words.bytes + WORDS_DIGEST, WORDS_TAG - WORDS_DIGEST);
    change(m, from, -1, bytes, 28 + WORDS_TAG - WORDS_DIGEST, "to get a tag");
    memcpy(bytes + 11, words.bytes + WORDS_ROLE, WORDS_SIZE - WORDS_ROLE);
    change(m, from, -1, bytes, WORDS_SIZE - 8, "without a digest");
    memcpy(bytes + 11, words.bytes + WORDS_SIZE - 20, 20);
    change(m, from, -1, bytes, 31, "its last 20 bytes");
}

static void change_challenge(struct model *m, int from)
{
    uint8_t tag[40] = "{sha256}";
    change_fields(m, from);
    cut_challenge(m, from);
    memcpy(tag + 8, m->frames[from].words.bytes + WORDS_TAG, 32);
    change(m, from, -1, tag, 40, "its tag as a response");
    change(m, from, -1, tag + 8, 16, "its tag as a response by MD5");
}

static void change_response(struct model *m, int from)
{
    uint8_t bytes[AUTH_FRAME_MAX] = "#CHALLENGE#";
    const struct auth_words words = m->frames[from].words;
    put(m, from, words.size - 1, words.bytes[words.size - 1] == 'x' ? "y" : "x", 1, "a byte wrong");
    change(m, from, -1, words.bytes, 16, "its first 16 bytes");
    change(m, from, -1, words.bytes + words.size - 16, 16, "its last 16 bytes");
    memcpy(bytes + 11, words.bytes, words.size);
    change(m, from, -1, bytes, 11 + words.size, "as a challenge");
    change(m, from, -1, bytes, 31, "as a challenge for MD5");
}

/* A challenge whose tag is a response. */
static void put_tag(struct model *m, int challenge, int response)
{
    struct auth_words words = m->frames[challenge].words;
    const struct auth_words *mac = &m->frames[response].words;
    if (mac->size != 40)
        return;
    memcpy(words.bytes + WORDS_TAG, mac->bytes + 8, 32);
    change(m, challenge, response, words.bytes, words.size, "a response for its tag");
    words.bytes[WORDS_ROLE] ^= 'a' ^ 'c';
    words.bytes[WORDS_MARK] ^= 1;
    change(m, challenge, response, words.bytes, words.size, "another role, a response for its tag");
}

void auth_model_change(struct model *m, int frame)
{
    bool is_challenge = m->frames[frame].asker >= 0;
    int count = m->frame_count;
    if (is_challenge)
        change_challenge(m, frame);
    else
        change_response(m, frame);
    for (int i = 0; i < count; i++) {
        const struct frame *other = &m->frames[i];
        if (other->is_honest && !other->is_changed && (other->asker >= 0) != is_challenge)
            put_tag(m, is_challenge ? frame : i, is_challenge ? i : frame);
    }
}
