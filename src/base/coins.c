/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Many coins of one probability. A coin is 64 random bits below a threshold; the upper 16 settle all but one
 * of 65,536, and the rest take their lower 48 bits when all the others are settled.
 */
#include <openssl/crypto.h>

#include "base/noise.h"

enum { PIECE = 4096 };

SOTTO_WIDE
static size_t compare(const uint16_t *upper, size_t count, uint16_t threshold, uint8_t *heads)
{
    uint16_t ties = 0;
    for (size_t i = 0; i < count; i++) {
        heads[i] = upper[i] < threshold;
        ties |= upper[i] == threshold;
    }
    return ties;
}

void sotto_coins_settle(const uint16_t *upper, size_t count, uint64_t threshold, uint8_t *heads,
                        sotto_words *words)
{
    const uint16_t tie = (uint16_t)(threshold >> 48);
    if (!compare(upper, count, tie, heads))
        return;
    const uint64_t lower = threshold & ((UINT64_C(1) << 48) - 1);
    for (size_t i = 0; i < count; i++)
        if (upper[i] == tie)
            heads[i] = words->next(words->context) >> 16 < lower;
}

static uint64_t next_word(void *stream)
{
    return sotto_stream_u64(stream);
}

void sotto_stream_coins(sotto_stream *stream, double probability, uint8_t *heads, size_t count)
{
    uint16_t upper[PIECE];
    sotto_words words = {next_word, stream};
    const bool always = probability >= 1.0;
    const uint64_t threshold = !always && probability > 0.0 ? (uint64_t)(probability * 0x1p64) : 0;
    const size_t used = count < PIECE ? count : PIECE;
    for (size_t first = 0; first < count; first += PIECE) {
        const size_t piece = count - first < PIECE ? count - first : PIECE;
        sotto_stream_bytes(stream, upper, piece * sizeof *upper);
        sotto_coins_settle(upper, piece, threshold, heads + first, &words);
        for (size_t i = 0; i < piece; i++)
            heads[first + i] |= always;
    }
    OPENSSL_cleanse(upper, used * sizeof *upper);
}
