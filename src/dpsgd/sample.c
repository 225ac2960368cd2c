/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/dpsgd.h"

enum { COINS = 512 };

size_t sotto_poisson_sample(sotto_stream *stream, double sample_rate, const uint32_t *units, size_t count,
                            uint32_t *sample)
{
    uint64_t coins[COINS];
    const bool always = sample_rate >= 1.0;
    const uint64_t threshold = !always && sample_rate > 0.0 ? (uint64_t)(sample_rate * 0x1p64) : 0;
    size_t sampled = 0;
    for (size_t first = 0; first < count; first += COINS) {
        size_t piece = count - first < COINS ? count - first : COINS;
        sotto_stream_bytes(stream, coins, piece * sizeof *coins);
        for (size_t i = 0; i < piece; i++) {
            sample[sampled] = units[first + i];
            sampled += always || coins[i] < threshold; /* without a branch, so time tells less of who is in */
        }
    }
    return sampled;
}
