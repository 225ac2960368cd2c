/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_TENSOR_LANES_H
#define SOTTO_TENSOR_LANES_H

/*
 * Sums inside the tensor room: 16 running sums, added up pairwise, then the tail in order. The order is the
 * same for every vector width, so every build of a kernel agrees to the bit; and 16 chains hide the latency
 * of an addition.
 */

#include <stddef.h>

#define LANES 16

/* Define a static inline function NAME of `count` and pointers: the sum of EXPRESSION over the index j. */
#define LANE_SUM(TYPE, NAME, EXPRESSION, ...)                                                                \
    static inline TYPE NAME(size_t count, __VA_ARGS__)                                                       \
    {                                                                                                        \
        const size_t whole = count - count % LANES;                                                          \
        TYPE total = 0;                                                                                      \
        if (whole > 0) {                                                                                     \
            TYPE lane[LANES] = {0};                                                                          \
            for (size_t first = 0; first < whole; first += LANES) {                                          \
                for (size_t l = 0; l < LANES; l++) {                                                         \
                    const size_t j = first + l;                                                              \
                    lane[l] += (EXPRESSION);                                                                 \
                }                                                                                            \
            }                                                                                                \
            for (size_t width = LANES / 2; width > 0; width /= 2) {                                          \
                for (size_t l = 0; l < width; l++)                                                           \
                    lane[l] += lane[l + width];                                                              \
            }                                                                                                \
            total = lane[0];                                                                                 \
        }                                                                                                    \
        for (size_t j = whole; j < count; j++)                                                               \
            total += (EXPRESSION);                                                                           \
        return total;                                                                                        \
    }

#endif
