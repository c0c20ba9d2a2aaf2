/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 (FIPS 180-4), MD5 (RFC 1321) and HMAC over them (RFC 2104), and what goes with secrets:
 * comparing in constant time, and wiping. Pure: no system, no memory of its own. MD5 is here for
 * old peers alone (README, "Keys").
 */
#ifndef PIPC_DIGEST_H
#define PIPC_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SHA256_SIZE 32
#define DIGEST_MD5_SIZE    16
#define DIGEST_SIZE_MAX    32
#define DIGEST_BLOCK       64 /* both work on blocks of so many bytes */

enum digest_kind { DIGEST_SHA256, DIGEST_MD5 };

struct digest {
    enum digest_kind kind;
    uint32_t state[8]; /* MD5 uses four of them */
    uint64_t size;     /* bytes so far */
    uint8_t block[DIGEST_BLOCK];
};

size_t digest_size(enum digest_kind kind);
void digest_init(struct digest *digest, enum digest_kind kind);
void digest_add(struct digest *digest, const void *data, size_t size);
/* Writes digest_size bytes; the digest is used up, and wiped. */
void digest_finish(struct digest *digest, uint8_t *result);

void digest_hmac(enum digest_kind kind, const void *key, size_t key_size, const void *data,
                 size_t size, uint8_t *result);

/* Takes as long whether they are equal or not, and wherever they differ. */
bool digest_equal(const uint8_t *a, const uint8_t *b, size_t size);

/* Zeros that the compiler does not leave out. */
void digest_wipe(void *secret, size_t size);

#endif
