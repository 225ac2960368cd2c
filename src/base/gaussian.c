/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Floating-point Gaussian noise: discrete Gaussian draws times a scale. Its sums with other floats are
 * rounded, and the guarantee's proof is for exact ones: every statement made with it says so.
 */
#include <openssl/crypto.h>

#include "base/base.h"

enum { PIECE = 2048 };

/* A draw has 31 bits and the unit is a float's scale: the product in double, then one rounding. */
SOTTO_WIDE
static void scale_draws(const int32_t *draws, size_t count, double unit, float *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(draws[i] * unit);
}

void sotto_stream_gaussian(sotto_stream *stream, double scale, float *out, size_t count)
{
    int32_t draws[PIECE];
    const size_t used = count < PIECE ? count : PIECE;
    while (count > 0) {
        const size_t piece = count < PIECE ? count : PIECE;
        sotto_stream_discrete_gaussian(stream, draws, piece);
        scale_draws(draws, piece, scale / SOTTO_NOISE_STD, out);
        out += piece;
        count -= piece;
    }
    OPENSSL_cleanse(draws, used * sizeof *draws);
}
