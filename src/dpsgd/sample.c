/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/dpsgd.h"

enum { COINS = 4096 };

size_t sotto_poisson_sample(sotto_stream *stream, double sample_rate, const uint32_t *units, size_t count,
                            uint32_t *sample)
{
    uint8_t heads[COINS];
    size_t sampled = 0;
    for (size_t first = 0; first < count; first += COINS) {
        const size_t piece = count - first < COINS ? count - first : COINS;
        sotto_stream_coins(stream, sample_rate, heads, piece);
        for (size_t i = 0; i < piece; i++) {
            sample[sampled] = units[first + i];
            sampled += heads[i]; /* without a branch, so time tells less of who is in */
        }
    }
    return sampled;
}
