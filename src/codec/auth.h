/* SPDX-License-Identifier: MIT */
/*
 * The handshake by which two sides show each other that they know the same key, before the first
 * message. A state machine: bytes in, bytes out, and never more bytes in than the handshake has, so
 * that what follows it is left alone. It does no I/O and knows no time; whoever drives it does.
 *
 * Each step is a frame. The accepting side sends a challenge, gets the response and sends its
 * verdict; then the connecting side does the same.
 *
 * A response says nothing of its sender. So what is bound to a connection is the challenge, all of
 * which the response authenticates: an attacker without the key can only have it answered by a peer
 * that takes it for its own connection. A peer that knows libpipc's challenge by its tag answers it
 * only
 *   - from the other role: of two sides that accept, or that connect, none answers the other;
 *   - from another process: one that accepts and connects does not answer itself;
 *   - as the accepting side, to the connection that has answered its own challenge.
 * What has no valid tag is another make's, and says nothing of this: it is answered.
 */
#ifndef PIPC_AUTH_H
#define PIPC_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUTH_NONCE     16
#define AUTH_MARK      16
#define AUTH_FRAME_MAX 256 /* longer frames are refused */

struct auth_key {
    const void *bytes;
    size_t size;
    bool md5; /* speak with peers that know nothing better */
};

enum auth_state {
    AUTH_AWAITS_CHALLENGE,
    AUTH_AWAITS_RESPONSE,
    AUTH_AWAITS_VERDICT,
    AUTH_DONE,   /* once the last output has gone */
    AUTH_REFUSED /* the same */
};

/* Why it was refused. */
enum auth_reason {
    AUTH_NO_REASON,      /* it was not */
    AUTH_NO_HANDSHAKE,   /* what came is no frame of a handshake */
    AUTH_ANOTHER_DIGEST, /* the peer wants one that the key may not be used with */
    AUTH_NOT_FOR_US,     /* the challenge was made for another connection */
    AUTH_WRONG_RESPONSE, /* of another key */
    AUTH_PEER_REFUSED
};

/* What follows "#CHALLENGE#" in a challenge of libpipc's. To other makes these are random bytes. */
struct auth_challenge {
    uint8_t digest[8];            /* "{sha256}" */
    uint8_t role;                 /* which side asks: 'a' accepted the connection, 'c' connected */
    uint8_t nonce[AUTH_NONCE];    /* random, for this connection */
    uint8_t mark[AUTH_MARK];      /* random, for this process */
    uint8_t answered[AUTH_NONCE]; /* 'c': the nonce of the challenge that it answered, or zeros */
    uint8_t tag[32];              /* HMAC-SHA-256 under the key of a label and all bytes above */
};

struct auth {
    const struct auth_key *key; /* the caller's, as long as the handshake lasts */
    enum auth_state state;
    enum auth_reason reason;
    bool accepting;
    struct auth_challenge own;
    uint8_t in[4 + AUTH_FRAME_MAX];
    uint8_t out[4 + AUTH_FRAME_MAX];
    size_t in_size;            /* bytes of the frame that is coming */
    size_t out_begin, out_end; /* what is still to be sent */
};

/* The nonce is new for each connection; the mark is this process's, and no other has it. */
void auth_init(struct auth *auth, bool accepting, const struct auth_key *key,
               const uint8_t nonce[AUTH_NONCE], const uint8_t mark[AUTH_MARK]);

/* What is to be sent now; 0: nothing. auth_sent tells how many of these bytes have gone. */
size_t auth_output(const struct auth *auth, const uint8_t **bytes);
void auth_sent(struct auth *auth, size_t size);

/* How many bytes are to be read now, and where to; 0: none, while there is output or it is over. */
size_t auth_wants(struct auth *auth, uint8_t **where);
void auth_received(struct auth *auth, size_t size); /* so many of them came */

/* Nothing is left to be sent or to be read: AUTH_DONE or AUTH_REFUSED is final. */
bool auth_is_over(const struct auth *auth);

/* Forget everything secret. */
void auth_fini(struct auth *auth);

#endif
