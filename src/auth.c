/* SPDX-License-Identifier: MIT */
#include "auth.h"

#include <string.h>

#include "digest.h"
#include "frame.h"

#define CHALLENGE "#CHALLENGE#"
#define WELCOME   "#WELCOME#"
#define FAILURE   "#FAILURE#"
#define SHA256    "{sha256}" /* how the name of the digest stands before random bytes and responses */

#define SIZE(text) (sizeof(text) - 1)

/* A challenge of the old kind, for MD5, has so many bytes after its name; new ones have more. */
#define MD5_RANDOM 20
#define OWN_SIZE   (SIZE(SHA256) + AUTH_RANDOM)

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

/* The bytes after CHALLENGE, all of which are authenticated. */
static void own_challenge(const struct auth *auth, uint8_t bytes[OWN_SIZE])
{
    memcpy(bytes, SHA256, SIZE(SHA256));
    memcpy(bytes + SIZE(SHA256), auth->random, AUTH_RANDOM);
}

static void challenge(struct auth *auth)
{
    uint8_t payload[SIZE(CHALLENGE) + OWN_SIZE];
    memcpy(payload, CHALLENGE, SIZE(CHALLENGE));
    own_challenge(auth, payload + SIZE(CHALLENGE));
    put_frame(auth, payload, sizeof payload);
    auth->state = AUTH_AWAITS_RESPONSE;
}

/* The other side is told, whatever it was waiting for. */
static void refuse(struct auth *auth)
{
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

/* Whoever sends our own challenge back wants us to answer it for him. */
static bool is_own(const struct auth *auth, const uint8_t *message, size_t size)
{
    uint8_t own[OWN_SIZE];
    own_challenge(auth, own);
    return size == OWN_SIZE && memcmp(message, own, size) == 0;
}

static void take_challenge(struct auth *auth, const uint8_t *payload, size_t size)
{
    if (size < SIZE(CHALLENGE) || memcmp(payload, CHALLENGE, SIZE(CHALLENGE)) != 0) {
        refuse(auth);
        return;
    }
    const uint8_t *message = payload + SIZE(CHALLENGE);
    size -= SIZE(CHALLENGE);
    if (size == MD5_RANDOM && auth->key->md5)
        respond(auth, DIGEST_MD5, message, size);
    else if (size > MD5_RANDOM && memcmp(message, SHA256, SIZE(SHA256)) == 0 &&
             !is_own(auth, message, size))
        respond(auth, DIGEST_SHA256, message, size);
    else
        refuse(auth);
}

/* ---- their response ---- */

static bool is_mac(const struct auth *auth, enum digest_kind kind, const uint8_t *mac)
{
    uint8_t own[OWN_SIZE], expected[DIGEST_SIZE_MAX];
    own_challenge(auth, own);
    digest_hmac(kind, auth->key->bytes, auth->key->size, own, sizeof own, expected);
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
        refuse(auth);
        return;
    }
    put_frame(auth, WELCOME, SIZE(WELCOME));
    auth->state = auth->accepting ? AUTH_AWAITS_CHALLENGE : AUTH_DONE;
}

/* ---- their verdict ---- */

static void take_verdict(struct auth *auth, const uint8_t *payload, size_t size)
{
    if (size != SIZE(WELCOME) || memcmp(payload, WELCOME, SIZE(WELCOME)) != 0)
        auth->state = AUTH_REFUSED; /* and nobody waits for a word of ours */
    else if (auth->accepting)
        auth->state = AUTH_DONE;
    else
        challenge(auth);
}

/* ---- the machine ---- */

void auth_start(struct auth *auth, bool accepting, const struct auth_key *key,
                const uint8_t random[AUTH_RANDOM])
{
    memset(auth, 0, sizeof *auth);
    auth->key = key;
    auth->accepting = accepting;
    auth->state = AUTH_AWAITS_CHALLENGE;
    memcpy(auth->random, random, AUTH_RANDOM);
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

static void take(struct auth *auth, const uint8_t *payload, size_t size)
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
        refuse(auth);
    } else if (status == FRAME_WHOLE && auth->in_size == frame.header + frame.size) {
        auth->in_size = 0;
        take(auth, auth->in + frame.header, frame.size);
    }
}

bool auth_is_over(const struct auth *auth)
{
    return is_final(auth) && auth->out_begin == auth->out_end;
}

void auth_end(struct auth *auth)
{
    digest_wipe(auth, sizeof *auth);
}
