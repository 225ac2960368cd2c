/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Floating-point Gaussian noise by Box–Muller (Box and Muller 1958). Its output is a float and so lies on a
 * grid that depends on the value: the guarantee's proof is for real numbers, and every statement made with it
 * says so.
 */
#include <math.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/base.h"

enum { PAIRS = 256 };

/* (k + ½)·2⁻⁵² from the upper 52 bits, by the bits of a double in [1, 2): exact, and no slow integer
 * conversion. */
static inline double unit_interval(uint64_t bits)
{
    uint64_t pattern = (bits >> 12) | UINT64_C(0x3FF0000000000000);
    double value;
    memcpy(&value, &pattern, sizeof value);
    return (value - 1.0) + 0x1p-53;
}

void sotto_gaussian_plain(const uint64_t *bits, size_t pairs, double scale, float *out)
{
    for (size_t i = 0; i < pairs; i++) {
        double radius = scale * sqrt(-2.0 * log(unit_interval(bits[i])));
        double angle = 6.283185307179586 * unit_interval(bits[pairs + i]);
        out[i] = (float)(radius * cos(angle));
        out[pairs + i] = (float)(radius * sin(angle));
    }
}

/* log u for u in (0, 1): u = 2^e·m with m in [2⁻½, 2½), log m = 2 atanh s, s = (m−1)/(m+1), |s| < 0.172. */
static inline double logarithm(double u)
{
    uint64_t pattern;
    memcpy(&pattern, &u, sizeof pattern);
    /* Adding this moves the binade's border from 1 to 2½, so that m is centred on 1. */
    uint64_t shifted = pattern + UINT64_C(0x00095F619980C433);
    /* The exponent as a double without an integer conversion: its bits below those of 2⁵², minus 2⁵² and the
     * bias. */
    uint64_t exponent_bits = (shifted >> 52) | UINT64_C(0x4330000000000000);
    double exponent;
    memcpy(&exponent, &exponent_bits, sizeof exponent);
    exponent -= 0x1p52 + 1023.0;
    uint64_t mantissa_bits =
        pattern - (shifted & UINT64_C(0xFFF0000000000000)) + UINT64_C(0x3FF0000000000000);
    double m;
    memcpy(&m, &mantissa_bits, sizeof m);
    double s = (m - 1.0) / (m + 1.0);
    double t = s * s;
    double series = 1.0 / 17;
    series = series * t + 1.0 / 15;
    series = series * t + 1.0 / 13;
    series = series * t + 1.0 / 11;
    series = series * t + 1.0 / 9;
    series = series * t + 1.0 / 7;
    series = series * t + 1.0 / 5;
    series = series * t + 1.0 / 3;
    series = series * t + 1.0;
    return exponent * 0.6931471805599453 + 2.0 * s * series;
}

/* sin and cos of 2πu: the nearest quarter turn is taken out exactly, the rest by Taylor series on [−π/4,
 * π/4]. */
static inline void turn(double u, double *cosine, double *sine)
{
    double quarters = 4.0 * u;
    double whole = (quarters + 0x1.8p52) - 0x1.8p52; /* rounded to nearest */
    double x = (quarters - whole) * 1.5707963267948966;
    double t = x * x;
    double s = -1.0 / 39916800 + t * (1.0 / 6227020800.0);
    s = 1.0 / 362880 + t * s;
    s = -1.0 / 5040 + t * s;
    s = 1.0 / 120 + t * s;
    s = -1.0 / 6 + t * s;
    s = x + x * t * s;
    double c = 1.0 / 479001600 - t * (1.0 / 87178291200.0);
    c = -1.0 / 3628800 + t * c;
    c = 1.0 / 40320 + t * c;
    c = -1.0 / 720 + t * c;
    c = 1.0 / 24 + t * c;
    c = -0.5 + t * c;
    c = 1.0 + t * c;
    double odd = (whole == 1.0 || whole == 3.0) ? 1.0 : 0.0;
    double first = odd != 0.0 ? s : c;
    double second = odd != 0.0 ? c : s;
    *cosine = (whole == 1.0 || whole == 2.0) ? -first : first;
    *sine = (whole == 2.0 || whole == 3.0) ? -second : second;
}

SOTTO_WIDE
void sotto_gaussian_fast(const uint64_t *bits, size_t pairs, double scale, float *out)
{
    const uint64_t *angles = bits + pairs;
    float *second = out + pairs;
#pragma omp simd
    for (size_t i = 0; i < pairs; i++) {
        double cosine;
        double sine;
        turn(unit_interval(angles[i]), &cosine, &sine);
        double radius = scale * sqrt(-2.0 * logarithm(unit_interval(bits[i])));
        out[i] = (float)(radius * cosine);
        second[i] = (float)(radius * sine);
    }
}

void sotto_stream_gaussian(sotto_stream *stream, double scale, float *out, size_t count)
{
    uint64_t bits[2 * PAIRS];
    float last[2 * PAIRS];
    while (count > 0) {
        size_t pairs = count >= 2 * PAIRS ? PAIRS : (count + 1) / 2;
        size_t piece = count >= 2 * PAIRS ? 2 * PAIRS : count;
        sotto_stream_bytes(stream, bits, 2 * pairs * sizeof *bits);
        sotto_gaussian_fast(bits, pairs, scale, last);
        memcpy(out, last, piece * sizeof *out);
        out += piece;
        count -= piece;
    }
    OPENSSL_cleanse(bits, sizeof bits);
    OPENSSL_cleanse(last, sizeof last);
}
