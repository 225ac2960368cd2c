/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * SHA-256 by the functions that libcrypto calls deprecated, since they alone allocate nothing and cannot
 * fail. Its newer ones, SHA256() among them, leave the digest as it was where memory is short; a stream that
 * went on with the key it had would repeat its noise.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/base.h"

_Static_assert(sizeof(SHA256_CTX) <= sizeof(sotto_hash), "libcrypto's state of SHA-256 has grown");

static SHA256_CTX *inside(sotto_hash *hash)
{
    return (SHA256_CTX *)(void *)hash->opaque;
}

void sotto_hash_begin(sotto_hash *hash)
{
    *hash = (sotto_hash){0};
    (void)SHA256_Init(inside(hash));
}

void sotto_hash_add(sotto_hash *hash, const void *bytes, size_t length)
{
    if (length > 0)
        (void)SHA256_Update(inside(hash), bytes, length);
}

void sotto_hash_end(sotto_hash *hash, unsigned char digest[32])
{
    (void)SHA256_Final(digest, inside(hash));
    OPENSSL_cleanse(hash, sizeof *hash); /* what was hashed may be a key */
}

void sotto_hash_hex(sotto_hash *hash, char hex[65])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    sotto_hash_end(hash, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void sotto_sha256_hex(const void *bytes, size_t length, char hex[65])
{
    sotto_hash hash;
    sotto_hash_begin(&hash);
    sotto_hash_add(&hash, bytes, length);
    sotto_hash_hex(&hash, hex);
}
