/* SPDX-License-Identifier: MIT */
#include "codec/digest.h"

#include <string.h>

/* ---- SHA-256 ---- */

/* The first 32 bits of the fractional parts of the square roots of the first 8 primes. */
static const uint32_t sha256_start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* The same of the cube roots of the first 64 primes. */
static const uint32_t sha256_round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate_right(uint32_t x, int count)
{
    return x >> count | x << (32 - count);
}

static uint32_t get_word(const uint8_t *bytes, bool big_endian)
{
    uint32_t word = 0;
    for (int i = 0; i < 4; i++)
        word = word << 8 | bytes[big_endian ? i : 3 - i];
    return word;
}

static void put_word(uint8_t *bytes, uint32_t word, bool big_endian)
{
    for (int i = 0; i < 4; i++)
        bytes[big_endian ? 3 - i : i] = (uint8_t)(word >> (8 * i));
}

static void sha256_expand(uint32_t w[64], const uint8_t *block)
{
    for (size_t i = 0; i < 16; i++)
        w[i] = get_word(block + 4 * i, true);
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        uint32_t sigma0 = rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3;
        uint32_t sigma1 = rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10;
        w[i] = w[i - 16] + sigma0 + w[i - 7] + sigma1;
    }
}

static void sha256_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64], s[8]; /* s: a to h of the standard */
    sha256_expand(w, block);
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t sum1 = rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25);
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t t1 = s[7] + sum1 + choice + sha256_round[i] + w[i];
        uint32_t sum0 = rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + sum0 + majority;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

/* ---- MD5 ---- */

static const uint32_t md5_start[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

/* The integer part of 2^32 times the absolute sine of 1 to 64 (radians). */
static const uint32_t md5_sine[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

static const uint8_t md5_shift[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static uint32_t md5_mix(int round, uint32_t b, uint32_t c, uint32_t d)
{
    switch (round) {
    case 0:
        return (b & c) | (~b & d);
    case 1:
        return (b & d) | (c & ~d);
    case 2:
        return b ^ c ^ d;
    default:
        return c ^ (b | ~d);
    }
}

/* Which word of the block each step of a round takes. */
static int md5_word(int round, int step)
{
    static const uint8_t factor[4] = {1, 5, 3, 7}, offset[4] = {0, 1, 5, 0};
    return (factor[round] * step + offset[round]) % 16;
}

static void md5_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 64; i++) {
        int round = i / 16;
        uint32_t sum = a + md5_mix(round, b, c, d) + md5_sine[i] +
                       get_word(block + (size_t)4 * (size_t)md5_word(round, i), false);
        a = d;
        d = c;
        c = b;
        b += rotate_right(sum, 32 - md5_shift[round][i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

/* ---- both ---- */

size_t digest_size(enum digest_kind kind)
{
    return kind == DIGEST_SHA256 ? DIGEST_SHA256_SIZE : DIGEST_MD5_SIZE;
}

void digest_init(struct digest *digest, enum digest_kind kind)
{
    memset(digest, 0, sizeof *digest);
    digest->kind = kind;
    if (kind == DIGEST_SHA256)
        memcpy(digest->state, sha256_start, sizeof sha256_start);
    else
        memcpy(digest->state, md5_start, sizeof md5_start);
}

static void take_block(struct digest *digest)
{
    if (digest->kind == DIGEST_SHA256)
        sha256_block(digest->state, digest->block);
    else
        md5_block(digest->state, digest->block);
}

void digest_add(struct digest *digest, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        digest->block[digest->size++ % DIGEST_BLOCK] = bytes[i];
        if (digest->size % DIGEST_BLOCK == 0)
            take_block(digest);
    }
}

void digest_finish(struct digest *digest, uint8_t *result)
{
    bool big_endian = digest->kind == DIGEST_SHA256;
    uint64_t bits = digest->size * 8;
    uint8_t length[8];
    put_word(length, (uint32_t)(big_endian ? bits >> 32 : bits), big_endian);
    put_word(length + 4, (uint32_t)(big_endian ? bits : bits >> 32), big_endian);
    digest_add(digest, "\x80", 1);
    while (digest->size % DIGEST_BLOCK != DIGEST_BLOCK - sizeof length)
        digest_add(digest, "", 1);
    digest_add(digest, length, sizeof length);
    for (size_t i = 0; i < digest_size(digest->kind) / 4; i++)
        put_word(result + 4 * i, digest->state[i], big_endian);
    digest_wipe(digest, sizeof *digest);
}

/* ---- HMAC ---- */

static void start_with_key(struct digest *digest, enum digest_kind kind,
                           const uint8_t key[DIGEST_BLOCK], uint8_t mask)
{
    uint8_t masked[DIGEST_BLOCK];
    for (size_t i = 0; i < DIGEST_BLOCK; i++)
        masked[i] = key[i] ^ mask;
    digest_init(digest, kind);
    digest_add(digest, masked, sizeof masked);
    digest_wipe(masked, sizeof masked);
}

/* A key longer than a block is replaced by its digest. */
static void fit_key(uint8_t fitted[DIGEST_BLOCK], enum digest_kind kind, const void *key,
                    size_t size)
{
    struct digest digest;
    memset(fitted, 0, DIGEST_BLOCK);
    if (size > DIGEST_BLOCK) {
        digest_init(&digest, kind);
        digest_add(&digest, key, size);
        digest_finish(&digest, fitted);
    } else if (size > 0) {
        memcpy(fitted, key, size);
    }
}

void digest_hmac(enum digest_kind kind, const void *key, size_t key_size, const void *data,
                 size_t size, uint8_t *result)
{
    struct digest digest;
    uint8_t fitted[DIGEST_BLOCK];
    fit_key(fitted, kind, key, key_size);
    start_with_key(&digest, kind, fitted, 0x36);
    digest_add(&digest, data, size);
    digest_finish(&digest, result);
    start_with_key(&digest, kind, fitted, 0x5c);
    digest_add(&digest, result, digest_size(kind));
    digest_finish(&digest, result);
    digest_wipe(fitted, sizeof fitted);
}

/* ---- secrets ---- */

bool digest_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < size; i++)
        difference = (uint8_t)(difference | (a[i] ^ b[i]));
    return difference == 0;
}

void digest_wipe(void *secret, size_t size)
{
    volatile uint8_t *bytes = secret;
    for (size_t i = 0; i < size; i++)
        bytes[i] = 0;
}
