/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The discrete Gaussian by exact rational arithmetic: Canonne, Kamath and Steinke, "The discrete Gaussian for
 * differential privacy", NeurIPS 2020. Rejection from the discrete Laplace distribution; every probability is
 * a fraction of integers, every coin a uniform integer below a bound.
 */
#include <math.h>

#include "base/noise.h"

/* A uniform integer below `bound` ≥ 1, by as many bits as the bound has. */
static sotto_u128 below(sotto_stream *stream, sotto_u128 bound)
{
    sotto_u128 mask = bound - 1;
    for (unsigned shift = 1; shift < 128; shift *= 2)
        mask |= mask >> shift;
    for (;;) {
        sotto_u128 draw = sotto_stream_u64(stream);
        if (mask >> 64 != 0)
            draw = draw << 64 | sotto_stream_u64(stream);
        draw &= mask;
        if (draw < bound)
            return draw;
    }
}

/* True with probability exp(−a/b), a ≤ b: Algorithm 1, where a coin of a/(b·k) is one of a/b and one of 1/k.
 */
static bool exp_coin_of_part(sotto_stream *stream, sotto_u128 a, sotto_u128 b)
{
    uint64_t k = 1;
    while (below(stream, b) < a && sotto_stream_below(stream, k) == 0)
        k++;
    return k % 2 == 1;
}

/* True with probability exp(−a/b): the whole numbers in a/b one by one. */
static bool exp_coin(sotto_stream *stream, sotto_u128 a, sotto_u128 b)
{
    for (; a > b; a -= b)
        if (!exp_coin_of_part(stream, 1, 1))
            return false;
    return exp_coin_of_part(stream, a, b);
}

bool sotto_stream_exp_coin(sotto_stream *stream, uint64_t whole, uint64_t part, uint64_t of)
{
    for (; whole > 0; whole--)
        if (!exp_coin_of_part(stream, 1, 1))
            return false;
    return exp_coin_of_part(stream, part, of);
}

/* Algorithm 2 with an integer scale t: P(x) ∝ exp(−|x|/t). `negative` is true for x < 0 only. */
static uint64_t laplace(sotto_stream *stream, uint64_t scale, bool *negative)
{
    for (;;) {
        const uint64_t part = sotto_stream_below(stream, scale);
        if (!exp_coin(stream, part, scale))
            continue;
        uint64_t wholes = 0;
        while (exp_coin(stream, 1, 1))
            wholes++;
        const uint64_t magnitude = part + scale * wholes;
        *negative = sotto_stream_u64(stream) & 1;
        if (magnitude > 0 || !*negative)
            return magnitude;
    }
}

static uint64_t floor_of_root(uint64_t value)
{
    uint64_t root = (uint64_t)sqrt((double)value);
    while (root * root > value)
        root--;
    while ((root + 1) * (root + 1) <= value)
        root++;
    return root;
}

/* Algorithm 3. With t = ⌊σ⌋ + 1 the coin is exp(−(|y|·t − σ²)²/(2σ²t²)): at most 2¹¹⁰ below, and above less
 * than 2¹²⁸ for |y| < 512·t, which all but e⁻⁵¹² of the Laplace draws are; the others' coin would show heads
 * with probability e^(−10⁵), and is not thrown. */
int64_t sotto_stream_discrete_gaussian_reference(sotto_stream *stream, uint64_t variance)
{
    const uint64_t scale = floor_of_root(variance) + 1;
    const sotto_u128 below_line = (sotto_u128)2 * variance * scale * scale;
    for (;;) {
        bool negative;
        const uint64_t magnitude = laplace(stream, scale, &negative);
        if (magnitude >= 512 * scale)
            continue;
        const sotto_u128 product = (sotto_u128)magnitude * scale;
        const sotto_u128 distance = product > variance ? product - variance : variance - product;
        if (exp_coin(stream, distance * distance, below_line))
            return negative ? -(int64_t)magnitude : (int64_t)magnitude;
    }
}
