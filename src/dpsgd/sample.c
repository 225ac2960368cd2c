/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/dpsgd.h"

enum { COINS = 4096 };

size_t sotto_units_most(const sotto_units *units)
{
    return units->most ? units->most : 1;
}

const uint32_t *sotto_units_rows(const sotto_units *units, size_t u, size_t *count)
{
    const size_t most = sotto_units_most(units),
                 has = units->first ? units->first[u + 1] - units->first[u] : 1;
    *count = has < most ? has : most;
    return units->rows + (units->first ? units->first[u] : u);
}

size_t sotto_poisson_sample(sotto_stream *stream, double sample_rate, const sotto_units *units,
                            uint32_t *sample)
{
    uint8_t heads[COINS];
    size_t sampled = 0;
    for (size_t first = 0; first < units->count; first += COINS) {
        const size_t piece = units->count - first < COINS ? units->count - first : COINS;
        sotto_stream_coins(stream, sample_rate, heads, piece);
        for (size_t i = 0; i < piece; i++) {
            sample[sampled] = units->first ? (uint32_t)(first + i) : units->rows[first + i];
            sampled += heads[i]; /* without a branch, so time tells less of who is in */
        }
    }
    for (size_t i = 0; i < sampled && units->first; i++) {
        size_t count;
        const uint32_t *rows = sotto_units_rows(units, sample[i], &count);
        sample[i] = rows[sotto_stream_below(stream, count)];
    }
    return sampled;
}
