/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#include "ledger/inner.h"

static bool add(EVP_MD_CTX *digest, const void *bytes, size_t count)
{
    return EVP_DigestUpdate(digest, bytes, count) == 1;
}

/* Least significant byte first, on every machine. */
static bool add_number(EVP_MD_CTX *digest, uint64_t number)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
    return add(digest, bytes, sizeof bytes);
}

static bool add_text(EVP_MD_CTX *digest, const char *text, size_t length)
{
    return add_number(digest, length) && add(digest, text, length);
}

sotto_status ledger_chain(void *digest, const unsigned char before[LEDGER_HASH], const ledger_entry *entry,
                          unsigned char hash[LEDGER_HASH], sotto_error *err)
{
    if (EVP_DigestInit_ex2(digest, EVP_sha256(), NULL) == 1 && add(digest, before, LEDGER_HASH) &&
        add_number(digest, entry->seq) && add_text(digest, entry->time, strlen(entry->time)) &&
        add_text(digest, entry->kind, strlen(entry->kind)) &&
        add_text(digest, entry->body, entry->body_length) && EVP_DigestFinal_ex(digest, hash, NULL) == 1)
        return SOTTO_OK;
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory hashing an entry of the ledger");
}

void ledger_chain_origin(const unsigned char salt[LEDGER_HASH], const char *id,
                         unsigned char hash[LEDGER_HASH])
{
    static const char title[] = "sotto ledger 1";
    unsigned char bytes[sizeof title - 1 + LEDGER_HASH + 32];
    memcpy(bytes, title, sizeof title - 1);
    memcpy(bytes + sizeof title - 1, salt, LEDGER_HASH);
    memcpy(bytes + sizeof title - 1 + LEDGER_HASH, id, 32);
    SHA256(bytes, sizeof bytes, hash);
}

sotto_status ledger_keyed(const sotto_ledger *ledger, const char *text, char hex[65], sotto_error *err)
{
    unsigned char code[LEDGER_HASH];
    unsigned length = 0;
    if (!HMAC(EVP_sha256(), ledger->salt, LEDGER_HASH, (const unsigned char *)text, strlen(text), code,
              &length) ||
        length != LEDGER_HASH)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory hashing for the ledger");
    ledger_hex(code, LEDGER_HASH, hex);
    return SOTTO_OK;
}
