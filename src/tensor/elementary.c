/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * exp, log, tanh and what is made of them. The polynomials and reductions are those of Moshier's Cephes
 * library (expf, logf, tanhf), written without branches so that the loops around them vectorise. Bits are
 * taken through unsigned integers, where no value, NaN included, has undefined behaviour.
 */

#include "tensor/lanes.h"
#include "tensor/tensor.h"

#include <float.h>
#include <math.h>
#include <string.h>

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/*
 * e^x = 2^n·e^r, n = round(x/ln 2), |r| ≤ ln 2/2. Adding 1.5·2²³ leaves n in the low bits of the sum. The
 * scale 2^n is applied in two halves, so that results down to the subnormal ones are rounded once.
 */
static inline float exp_lane(float x)
{
    const float magic = 12582912.0f;
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float shifted = x * 1.44269504088896341f + magic;
    float n = shifted - magic;
    float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    int32_t whole = (int32_t)(bits_of(shifted) - bits_of(magic));
    int32_t half = whole >> 1;
    float low = float_of(((uint32_t)half + 127u) << 23);
    float high = float_of(((uint32_t)whole - (uint32_t)half + 127u) << 23);
    return p * low * high;
}

/* log x = e·ln 2 + log m, m in [√½, √2). */
static inline float log_lane(float x)
{
    bool subnormal = x < FLT_MIN;
    float scaled = subnormal ? x * 8388608.0f : x;
    /* Shift the exponent's boundary from a power of two to √½ times it. */
    const uint32_t root_half = 0x3f3504f3u;
    uint32_t shifted = bits_of(scaled) - root_half;
    int32_t exponent = (int32_t)shifted >> 23;
    float m = float_of((shifted & 0x007fffffu) + root_half) - 1.0f;
    float e = (float)(exponent - (subnormal ? 23 : 0));
    float z = m * m;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    float y = m * z * p + e * -2.12194440e-4f - 0.5f * z;
    y = m + y + e * 0.693359375f;
    y = x > FLT_MAX ? x : y;
    y = x == 0.0f ? -INFINITY : y;
    return x >= 0.0f ? y : NAN;
}

static inline float tanh_lane(float x)
{
    float size = fabsf(x);
    float z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float small = p * z * x + x;
    float large = 1.0f - 2.0f / (exp_lane(2.0f * size) + 1.0f);
    return size < 0.625f ? small : copysignf(large, x);
}

SOTTO_WIDE
void sotto_tensor_exp(size_t count, const float *x, float *y)
{
#pragma omp simd
    for (size_t j = 0; j < count; j++)
        y[j] = exp_lane(x[j]);
}

SOTTO_WIDE
void sotto_tensor_log(size_t count, const float *x, float *y)
{
#pragma omp simd
    for (size_t j = 0; j < count; j++)
        y[j] = log_lane(x[j]);
}

SOTTO_WIDE
void sotto_tensor_bias_tanh(size_t rows, size_t columns, const float *x, const float *bias, float *y)
{
    for (size_t i = 0; i < rows; i++) {
        const float *from = x + i * columns;
        float *to = y + i * columns;
#pragma omp simd
        for (size_t j = 0; j < columns; j++)
            to[j] = tanh_lane(from[j] + bias[j]);
    }
}

SOTTO_WIDE
void sotto_tensor_bias_silu(size_t rows, size_t columns, const float *x, const float *bias, float *y,
                            float *derivative)
{
    for (size_t i = 0; i < rows; i++) {
        const float *from = x + i * columns;
        float *to = y + i * columns;
        float *slope = derivative + i * columns;
#pragma omp simd
        for (size_t j = 0; j < columns; j++) {
            float value = from[j] + bias[j];
            float sigmoid = 1.0f / (1.0f + exp_lane(-value));
            float product = value * sigmoid;
            to[j] = product;
            slope[j] = sigmoid + product * (1.0f - sigmoid);
        }
    }
}

/* ------------------------------------------------------------------ softmax */

LANE_SUM(float, sum, x[j], const float *x)
LANE_SUM(float, dot, x[j] * y[j], const float *x, const float *y)

static inline void subtract_largest(size_t count, float *x)
{
    float largest = x[0];
    for (size_t j = 1; j < count; j++)
        largest = x[j] > largest ? x[j] : largest;
    for (size_t j = 0; j < count; j++)
        x[j] -= largest;
}

static inline void divide_by_sum(size_t count, float *x)
{
    const float inverse = 1.0f / sum(count, x);
    for (size_t j = 0; j < count; j++)
        x[j] *= inverse;
}

/* Segments are short and mostly neighbours: the exponentials are taken over whole runs of them at once. */
SOTTO_WIDE
void sotto_tensor_softmax(size_t rows, size_t stride, const sotto_tensor_segment *segments, size_t count,
                          float *x)
{
    for (size_t i = 0; i < rows; i++) {
        float *row = x + i * stride;
        for (size_t s = 0; s < count; s++)
            subtract_largest(segments[s].count, row + segments[s].offset);
        for (size_t s = 0; s < count;) {
            size_t begin = segments[s].offset, end = begin;
            for (; s < count && segments[s].offset == end; s++)
                end += segments[s].count;
#pragma omp simd
            for (size_t j = begin; j < end; j++)
                row[j] = exp_lane(row[j]);
        }
        for (size_t s = 0; s < count; s++)
            divide_by_sum(segments[s].count, row + segments[s].offset);
    }
}

SOTTO_WIDE
void sotto_tensor_softmax_backward(size_t rows, size_t stride, const sotto_tensor_segment *segments,
                                   size_t count, const float *y, float *dy)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t s = 0; s < count; s++) {
            const float *p = y + i * stride + segments[s].offset;
            float *d = dy + i * stride + segments[s].offset;
            const float mean = dot(segments[s].count, p, d);
            for (size_t j = 0; j < segments[s].count; j++)
                d[j] = p[j] * (d[j] - mean);
        }
    }
}
