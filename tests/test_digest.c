/* SPDX-License-Identifier: MIT */
/*
 * SHA-256, MD5 and HMAC against published vectors: FIPS 180-4's examples, RFC 1321, RFC 2202,
 * RFC 4231, and those of the handshake.
 */
#include <stdio.h>

#include "codec/digest.h"
#include "harness.h"

static void to_hex(const uint8_t *bytes, size_t size, char *text)
{
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static void digest_of(enum digest_kind kind, const void *data, size_t size, char *text)
{
    struct digest digest;
    uint8_t result[DIGEST_SIZE_MAX];
    digest_init(&digest, kind);
    digest_add(&digest, data, size);
    digest_finish(&digest, result);
    to_hex(result, digest_size(kind), text);
}

static void expect_digest(enum digest_kind kind, const char *data, const char *expected)
{
    char text[65];
    digest_of(kind, data, strlen(data), text);
    assert_string_equal(text, expected);
}

TEST(sha256_matches_published_digests)
{
    expect_digest(DIGEST_SHA256, "abc",
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_digest(DIGEST_SHA256, "",
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_digest(DIGEST_SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect_digest(DIGEST_SHA256,
                  "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
                  "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

TEST(md5_matches_published_digests)
{
    expect_digest(DIGEST_MD5, "", "d41d8cd98f00b204e9800998ecf8427e");
    expect_digest(DIGEST_MD5, "a", "0cc175b9c0f1b6a831c399e269772661");
    expect_digest(DIGEST_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72");
    expect_digest(DIGEST_MD5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0");
    expect_digest(DIGEST_MD5, "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b");
    expect_digest(DIGEST_MD5, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                  "d174ab98d277d9f5a5611c2c9f419d9f");
    expect_digest(DIGEST_MD5,
                  "1234567890123456789012345678901234567890"
                  "1234567890123456789012345678901234567890",
                  "57edf4a22be3c955ac49da2e2107b67a");
}

TEST(digests_of_a_million_letters)
{
    char text[65];
    char *letters = malloc(1000000);
    assert_non_null(letters);
    memset(letters, 'a', 1000000);
    digest_of(DIGEST_SHA256, letters, 1000000, text);
    assert_string_equal(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    digest_of(DIGEST_MD5, letters, 1000000, text);
    assert_string_equal(text, "7707d6ae4e027c70eea2a935c2296f21");
    free(letters);
}

/* Around the ends of blocks the padding takes one block or two. */
TEST(a_digest_does_not_depend_on_the_pieces)
{
    uint8_t data[200], whole[DIGEST_SIZE_MAX], pieces[DIGEST_SIZE_MAX];
    struct digest digest;
    harness_fill(data, sizeof data, 1);
    for (int kind = DIGEST_SHA256; kind <= DIGEST_MD5; kind++)
        for (size_t size = 0; size <= sizeof data; size++) {
            digest_init(&digest, (enum digest_kind)kind);
            digest_add(&digest, data, size);
            digest_finish(&digest, whole);
            size_t cut = harness_random_below(size + 1);
            digest_init(&digest, (enum digest_kind)kind);
            digest_add(&digest, data, cut);
            digest_add(&digest, data + cut, size - cut);
            digest_finish(&digest, pieces);
            assert_memory_equal(whole, pieces, digest_size((enum digest_kind)kind));
        }
}

static void expect_hmac(enum digest_kind kind, const void *key, size_t key_size, const void *data,
                        size_t size, const char *expected)
{
    uint8_t result[DIGEST_SIZE_MAX];
    char text[65];
    digest_hmac(kind, key, key_size, data, size, result);
    to_hex(result, digest_size(kind), text);
    assert_string_equal(text, expected);
}

#define TEXT(text) (text), (sizeof(text) - 1)

static const char large_key_text[] = "Test Using Larger Than Block-Size Key - Hash Key First";

TEST(hmac_sha256_matches_rfc_4231)
{
    uint8_t key[131], data[50];
    memset(key, 0x0b, 20);
    expect_hmac(DIGEST_SHA256, key, 20, TEXT("Hi There"),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    expect_hmac(DIGEST_SHA256, TEXT("Jefe"), TEXT("what do ya want for nothing?"),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    expect_hmac(DIGEST_SHA256, key, 20, data, sizeof data,
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    expect_hmac(DIGEST_SHA256, key, sizeof key, TEXT(large_key_text),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(hmac_md5_matches_rfc_2202)
{
    uint8_t key[80], data[50];
    memset(key, 0x0b, 16);
    expect_hmac(DIGEST_MD5, key, 16, TEXT("Hi There"), "9294727a3638bb1c13f48ef8158bfc9d");
    expect_hmac(DIGEST_MD5, TEXT("Jefe"), TEXT("what do ya want for nothing?"),
                "750c783e6ab0b503eaa86e310a5db738");
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    expect_hmac(DIGEST_MD5, key, 16, data, sizeof data, "56be34521d144c88dbb8c733f0e8b3f6");
    expect_hmac(DIGEST_MD5, key, sizeof key, TEXT(large_key_text),
                "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
}

TEST(hmacs_match_those_of_the_handshake)
{
    uint8_t message[48] = "{sha256}", counting[20];
    for (size_t i = 0; i < 40; i++)
        message[8 + i] = (uint8_t)i;
    for (size_t i = 0; i < 20; i++)
        counting[i] = (uint8_t)i;
    expect_hmac(DIGEST_MD5, TEXT("secret"), counting, 20, "7defa9cc46abc3583325d17ccda75190");
    expect_hmac(DIGEST_MD5, TEXT("secret"), message, 48, "8e48d2bb349b4b72b9382999ed5b62eb");
    expect_hmac(DIGEST_SHA256, TEXT("secret"), message, 48,
                "fc57fbe650d6124b98215e7b5d197d5807ad69982d275a9735ea2d56f1fa6989");
}

TEST(a_comparison_covers_every_byte)
{
    uint8_t a[32], b[32];
    harness_fill(a, sizeof a, 1);
    memcpy(b, a, sizeof a);
    assert_true(digest_equal(a, b, sizeof a));
    assert_true(digest_equal(a, b, 0));
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(digest_equal(a, b, sizeof a));
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

HARNESS_MAIN("digest", IT(sha256_matches_published_digests), IT(md5_matches_published_digests),
             IT(digests_of_a_million_letters), IT(a_digest_does_not_depend_on_the_pieces),
             IT(hmac_sha256_matches_rfc_4231), IT(hmac_md5_matches_rfc_2202),
             IT(hmacs_match_those_of_the_handshake), IT(a_comparison_covers_every_byte))
