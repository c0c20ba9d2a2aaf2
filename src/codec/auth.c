/* SPDX-License-Identifier: MIT */
#include "codec/auth.h"

#include <string.h>

#include "codec/digest.h"
#include "codec/frame.h"

#define CHALLENGE "#CHALLENGE#"
#define WELCOME   "#WELCOME#"
#define FAILURE   "#FAILURE#"
#define SHA256    "{sha256}" /* stands before random bytes and responses */

#define SIZE(text) (sizeof(text) - 1)

enum { ACCEPTED = 'a', CONNECTED = 'c' }; /* the roles */

/* A challenge of the old kind, for MD5, has so many bytes after its name; new ones have more. */
#define MD5_RANDOM 20

/*
 * Goes before what is tagged. It does not begin as a challenge's bytes do, so that no response to
 * anything can serve as a tag, and no tag as a response.
 */
#define LABEL "libpipc challenge"

_Static_assert(sizeof(struct auth_challenge) == 8 + 1 + 16 + 16 + 16 + 32, "no gaps on the wire");
_Static_assert(SIZE(CHALLENGE) + sizeof(struct auth_challenge) <= AUTH_FRAME_MAX, "a frame");

/* ---- output ---- */

static void put(struct auth *auth, const void *data, size_t size)
{
    memcpy(auth->out + auth->out_end, data, size);
    auth->out_end += size;
}

static void put_frame(struct auth *auth, const void *data, size_t size)
{
    uint8_t header[FRAME_HEADER_MAX];
    auth->out_begin = auth->out_end = 0;
    put(auth, header, frame_header(header, size, false));
    put(auth, data, size);
}

/* ---- our challenge ---- */

static void make_tag(const struct auth_key *key, const struct auth_challenge *challenge,
                     uint8_t tag[DIGEST_SHA256_SIZE])
{
    enum { TAGGED = offsetof(struct auth_challenge, tag) };
    uint8_t bytes[SIZE(LABEL) + TAGGED];
    memcpy(bytes, LABEL, SIZE(LABEL));
    memcpy(bytes + SIZE(LABEL), challenge, TAGGED);
    digest_hmac(DIGEST_SHA256, key->bytes, key->size, bytes, sizeof bytes, tag);
}

static void challenge(struct auth *auth)
{
    uint8_t payload[SIZE(CHALLENGE) + sizeof auth->own];
    make_tag(auth->key, &auth->own, auth->own.tag);
    memcpy(payload, CHALLENGE, SIZE(CHALLENGE));
    memcpy(payload + SIZE(CHALLENGE), &auth->own, sizeof auth->own);
    put_frame(auth, payload, sizeof payload);
    auth->state = AUTH_AWAITS_RESPONSE;
}

/* The other side is told, whatever it was waiting for. */
static void refuse(struct auth *auth, enum auth_reason reason)
{
    auth->reason = reason;
    put_frame(auth, FAILURE, SIZE(FAILURE));
    auth->state = AUTH_REFUSED;
}

/* ---- their challenge ---- */

static void respond(struct auth *auth, enum digest_kind kind, const uint8_t *message, size_t size)
{
    uint8_t response[SIZE(SHA256) + DIGEST_SIZE_MAX];
    size_t name = kind == DIGEST_SHA256 ? SIZE(SHA256) : 0;
    memcpy(response, SHA256, name);
    digest_hmac(kind, auth->key->bytes, auth->key->size, message, size, response + name);
    put_frame(auth, response, name + digest_size(kind));
    auth->state = AUTH_AWAITS_VERDICT;
}

/* Whether it is libpipc's, made by somebody who knows the key. */
static bool is_tagged(const struct auth *auth, const struct auth_challenge *theirs)
{
    uint8_t expected[DIGEST_SHA256_SIZE];
    make_tag(auth->key, theirs, expected);
    bool equal = digest_equal(theirs->tag, expected, sizeof expected);
    digest_wipe(expected, sizeof expected);
    return equal;
}

/* Whether it was made for this connection, as far as this side can tell: see auth.h. */
static bool is_for_us(const struct auth *auth, const struct auth_challenge *theirs)
{
    bool is_other_role = theirs->role == (auth->accepting ? CONNECTED : ACCEPTED);
    bool is_other_process = memcmp(theirs->mark, auth->own.mark, AUTH_MARK) != 0;
    bool has_answered_us = memcmp(theirs->answered, auth->own.nonce, AUTH_NONCE) == 0;
    return is_other_role && is_other_process && (has_answered_us || !auth->accepting);
}

/* Whether a challenge for SHA-256 may be answered. Of libpipc's, ours will say that it was. */
static bool may_answer(struct auth *auth, const uint8_t *message, size_t size)
{
    struct auth_challenge theirs;
    if (size != sizeof theirs)
        return true;
    memcpy(&theirs, message, sizeof theirs);
    if (!is_tagged(auth, &theirs))
        return true;
    if (!is_for_us(auth, &theirs))
        return false;
    if (!auth->accepting)
        memcpy(auth->own.answered, theirs.nonce, AUTH_NONCE);
    return true;
}

static void take_challenge(struct auth *auth, const uint8_t *payload, size_t size)
{
    if (size < SIZE(CHALLENGE) || memcmp(payload, CHALLENGE, SIZE(CHALLENGE)) != 0) {
        refuse(auth, AUTH_NO_HANDSHAKE);
        return;
    }
    const uint8_t *message = payload + SIZE(CHALLENGE);
    size -= SIZE(CHALLENGE);
    if (size == MD5_RANDOM && auth->key->md5)
        respond(auth, DIGEST_MD5, message, size);
    else if (size <= MD5_RANDOM || memcmp(message, SHA256, SIZE(SHA256)) != 0)
        refuse(auth, AUTH_ANOTHER_DIGEST);
    else if (may_answer(auth, message, size))
        respond(auth, DIGEST_SHA256, message, size);
    else
        refuse(auth, AUTH_NOT_FOR_US);
}

/* ---- their response ---- */

static bool is_mac(const struct auth *auth, enum digest_kind kind, const uint8_t *mac)
{
    uint8_t expected[DIGEST_SIZE_MAX];
    digest_hmac(kind, auth->key->bytes, auth->key->size, &auth->own, sizeof auth->own, expected);
    bool equal = digest_equal(mac, expected, digest_size(kind));
    digest_wipe(expected, sizeof expected);
    return equal;
}

static bool is_right(const struct auth *auth, const uint8_t *payload, size_t size)
{
    if (size == DIGEST_MD5_SIZE && auth->key->md5)
        return is_mac(auth, DIGEST_MD5, payload);
    return size == SIZE(SHA256) + DIGEST_SHA256_SIZE &&
           memcmp(payload, SHA256, SIZE(SHA256)) == 0 &&
           is_mac(auth, DIGEST_SHA256, payload + SIZE(SHA256));
}

static void take_response(struct auth *auth, const uint8_t *payload, size_t size)
{
    if (!is_right(auth, payload, size)) {
        refuse(auth, AUTH_WRONG_RESPONSE);
        return;
    }
    put_frame(auth, WELCOME, SIZE(WELCOME));
    auth->state = auth->accepting ? AUTH_AWAITS_CHALLENGE : AUTH_DONE;
}

/* ---- their verdict ---- */

static void take_verdict(struct auth *auth, const uint8_t *payload, size_t size)
{
    if (size != SIZE(WELCOME) || memcmp(payload, WELCOME, SIZE(WELCOME)) != 0) {
        auth->reason = AUTH_PEER_REFUSED;
        auth->state = AUTH_REFUSED; /* and nobody waits for a word of ours */
    } else if (auth->accepting)
        auth->state = AUTH_DONE;
    else
        challenge(auth);
}

/* ---- the machine ---- */

void auth_init(struct auth *auth, bool accepting, const struct auth_key *key,
               const uint8_t nonce[AUTH_NONCE], const uint8_t mark[AUTH_MARK])
{
    memset(auth, 0, sizeof *auth);
    auth->key = key;
    auth->accepting = accepting;
    auth->state = AUTH_AWAITS_CHALLENGE;
    memcpy(auth->own.digest, SHA256, SIZE(SHA256));
    auth->own.role = accepting ? ACCEPTED : CONNECTED;
    memcpy(auth->own.nonce, nonce, AUTH_NONCE);
    memcpy(auth->own.mark, mark, AUTH_MARK);
    if (accepting)
        challenge(auth);
}

size_t auth_output(const struct auth *auth, const uint8_t **bytes)
{
    *bytes = auth->out + auth->out_begin;
    return auth->out_end - auth->out_begin;
}

void auth_sent(struct auth *auth, size_t size)
{
    auth->out_begin += size;
}

static bool is_final(const struct auth *auth)
{
    return auth->state == AUTH_DONE || auth->state == AUTH_REFUSED;
}

/* Know the frame that is coming; one that is none, or too long, is refused. */
static enum frame_status parse(const struct auth *auth, struct frame *frame)
{
    enum frame_status status = frame_parse(auth->in, auth->in_size, AUTH_FRAME_MAX, frame);
    return frame->bye ? FRAME_BAD : status;
}

size_t auth_wants(struct auth *auth, uint8_t **where)
{
    struct frame frame;
    if (auth->out_begin < auth->out_end || is_final(auth))
        return 0;
    size_t whole = parse(auth, &frame) == FRAME_MORE ? frame.header : frame.header + frame.size;
    *where = auth->in + auth->in_size;
    return whole - auth->in_size;
}

static void take_frame(struct auth *auth, const uint8_t *payload, size_t size)
{
    switch (auth->state) {
    case AUTH_AWAITS_CHALLENGE:
        take_challenge(auth, payload, size);
        break;
    case AUTH_AWAITS_RESPONSE:
        take_response(auth, payload, size);
        break;
    default:
        take_verdict(auth, payload, size);
    }
}

void auth_received(struct auth *auth, size_t size)
{
    struct frame frame;
    auth->in_size += size;
    enum frame_status status = parse(auth, &frame);
    if (status == FRAME_BAD) {
        refuse(auth, AUTH_NO_HANDSHAKE);
    } else if (status == FRAME_WHOLE && auth->in_size == frame.header + frame.size) {
        auth->in_size = 0;
        take_frame(auth, auth->in + frame.header, frame.size);
    }
}

bool auth_is_over(const struct auth *auth)
{
    return is_final(auth) && auth->out_begin == auth->out_end;
}

void auth_fini(struct auth *auth)
{
    digest_wipe(auth, sizeof *auth);
}
