/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "ledger/inner.h"

/* Least significant byte first, on every machine. */
static void add_number(sotto_hash *hash, uint64_t number)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
    sotto_hash_add(hash, bytes, sizeof bytes);
}

static void add_text(sotto_hash *hash, const char *text, size_t length)
{
    add_number(hash, length);
    sotto_hash_add(hash, text, length);
}

void ledger_chain(const unsigned char before[LEDGER_HASH], const ledger_entry *entry,
                  unsigned char after[LEDGER_HASH])
{
    sotto_hash hash;
    sotto_hash_begin(&hash);
    sotto_hash_add(&hash, before, LEDGER_HASH);
    add_number(&hash, entry->seq);
    add_text(&hash, entry->time, strlen(entry->time));
    add_text(&hash, entry->kind, strlen(entry->kind));
    add_text(&hash, entry->body, entry->body_length);
    sotto_hash_end(&hash, after);
}

void ledger_chain_origin(const unsigned char salt[LEDGER_HASH], const char *id,
                         unsigned char origin[LEDGER_HASH])
{
    static const char title[] = "sotto ledger 1";
    sotto_hash hash;
    sotto_hash_begin(&hash);
    sotto_hash_add(&hash, title, sizeof title - 1);
    sotto_hash_add(&hash, salt, LEDGER_HASH);
    sotto_hash_add(&hash, id, 32);
    sotto_hash_end(&hash, origin);
}

/* RFC 2104. */
void ledger_keyed(const sotto_ledger *ledger, const char *text, char hex[65])
{
    unsigned char inner[64], outer[64], digest[LEDGER_HASH];
    sotto_hash hash;
    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5c, sizeof outer);
    for (size_t i = 0; i < LEDGER_HASH; i++) {
        inner[i] ^= ledger->salt[i];
        outer[i] ^= ledger->salt[i];
    }
    sotto_hash_begin(&hash);
    sotto_hash_add(&hash, inner, sizeof inner);
    sotto_hash_add(&hash, text, strlen(text));
    sotto_hash_end(&hash, digest);
    sotto_hash_begin(&hash);
    sotto_hash_add(&hash, outer, sizeof outer);
    sotto_hash_add(&hash, digest, sizeof digest);
    sotto_hash_hex(&hash, hex);
}
