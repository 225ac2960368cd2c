/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quantisation, sums of squares and scaling of integers: for any CPU, and by AVX2. */

#include "tensor/gemm.h"

#include <string.h>

/*
 * x·scale to the nearest integer, ties to even, within ±32767, and 0 for NaN: in the low bits of a float that
 * has 1.5·2²³ added. A scale of 0 makes 0 of everything: of the infinities by way of NaN.
 */
static inline int32_t quantised(float x, float scale)
{
    float value = x * scale;
    uint32_t bits;
    value = value == value ? value : 0.0f;
    value = value > 32767.0f ? 32767.0f : value;
    value = value < -32767.0f ? -32767.0f : value;
    value += 12582912.0f;
    memcpy(&bits, &value, sizeof bits);
    return (int32_t)(bits - 0x4b400000u);
}

static inline int32_t word_of(int32_t low, int32_t high)
{
    return (int32_t)(((uint32_t)low & 0xffffu) | (uint32_t)high << 16);
}

static void quantise(size_t count, const float *x0, const float *x1, float scale0, float scale1,
                     int32_t *words, uint64_t squares[2])
{
    for (size_t j = 0; j < count; j++) {
        const int32_t q0 = quantised(x0[j], scale0), q1 = quantised(x1[j], scale1);
        words[j] = word_of(q0, q1);
        squares[0] += (uint32_t)(q0 * q0);
        squares[1] += (uint32_t)(q1 * q1);
    }
}

/* From two sums of 32-bit halves, neither of which overflows before 2³² elements. */
static sotto_uint128 sum_of_squares(size_t count, const int32_t *x)
{
    uint64_t low = 0, high = 0;
    for (size_t j = 0; j < count; j++) {
        const uint64_t square = (uint64_t)((int64_t)x[j] * x[j]);
        low += square & 0xffffffffu;
        high += square >> 32;
    }
    return ((sotto_uint128)high << 32) + low;
}

static void scale(size_t count, uint32_t numerator, int32_t *x)
{
    for (size_t j = 0; j < count; j++)
        x[j] = integer_scaled(x[j], numerator);
}

const integer_vectors sotto_integer_portable = {quantise, sum_of_squares, scale};

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))

/* As above; where scaled is not a number the comparison's mask is 0. */
GEMM_INLINE TARGET __m256i quantised_8(__m256 x, __m256 by)
{
    const __m256 most = _mm256_set1_ps(32767.0f), least = _mm256_set1_ps(-32767.0f);
    __m256 value = _mm256_mul_ps(x, by);
    value = _mm256_and_ps(value, _mm256_cmp_ps(value, value, _CMP_ORD_Q));
    value = _mm256_max_ps(_mm256_min_ps(value, most), least);
    return _mm256_cvtps_epi32(value);
}

/* sum [4] of uint64 += the 8 uint32 of x. */
GEMM_INLINE TARGET __m256i add_halves(__m256i sum, __m256i x)
{
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi64x(0xffffffff));
    return _mm256_add_epi64(sum, _mm256_add_epi64(low, _mm256_srli_epi64(x, 32)));
}

GEMM_INLINE TARGET uint64_t total_of(__m256i sum)
{
    uint64_t part[4];
    memcpy(part, &sum, sizeof part);
    return part[0] + part[1] + part[2] + part[3];
}

/* Eight columns of the two rows; a square is below 2³⁰. */
GEMM_INLINE TARGET __m256i quantise_8(__m256 x0, __m256 x1, __m256 by0, __m256 by1, __m256i sums[2])
{
    const __m256i high = _mm256_slli_epi32(quantised_8(x1, by1), 16);
    const __m256i low = _mm256_blend_epi16(quantised_8(x0, by0), _mm256_setzero_si256(), 0xaa);
    sums[0] = add_halves(sums[0], _mm256_madd_epi16(low, low));
    sums[1] = add_halves(sums[1], _mm256_madd_epi16(high, high));
    return _mm256_or_si256(low, high);
}

TARGET static void quantise_avx2(size_t count, const float *x0, const float *x1, float scale0, float scale1,
                                 int32_t *words, uint64_t squares[2])
{
    const __m256 by0 = _mm256_set1_ps(scale0), by1 = _mm256_set1_ps(scale1);
    __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t j = 0;
    for (; j + 8 <= count; j += 8) {
        const __m256i both = quantise_8(_mm256_loadu_ps(x0 + j), _mm256_loadu_ps(x1 + j), by0, by1, sums);
        _mm256_storeu_si256((__m256i *)(words + j), both);
    }
    if (j < count) {
        const __m256i place = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i there = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count - j)), place);
        const __m256i both =
            quantise_8(_mm256_maskload_ps(x0 + j, there), _mm256_maskload_ps(x1 + j, there), by0, by1, sums);
        _mm256_maskstore_epi32(words + j, there, both);
    }
    squares[0] += total_of(sums[0]);
    squares[1] += total_of(sums[1]);
}

TARGET static sotto_uint128 sum_of_squares_avx2(size_t count, const int32_t *x)
{
    const __m256i mask = _mm256_set1_epi64x(0xffffffff);
    __m256i low = _mm256_setzero_si256(), high = low;
    const size_t whole = count / 8 * 8;
    for (size_t j = 0; j < whole; j += 8) {
        const __m256i even = _mm256_loadu_si256((const __m256i *)(x + j)), odd = _mm256_srli_epi64(even, 32);
        const __m256i a = _mm256_mul_epi32(even, even), b = _mm256_mul_epi32(odd, odd);
        low = _mm256_add_epi64(low, _mm256_add_epi64(_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)));
        high = _mm256_add_epi64(high, _mm256_add_epi64(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)));
    }
    return ((sotto_uint128)total_of(high) << 32) + total_of(low) + sum_of_squares(count - whole, x + whole);
}

TARGET static void scale_avx2(size_t count, uint32_t numerator, int32_t *x)
{
    const __m256i by = _mm256_set1_epi64x(numerator);
    const size_t whole = count / 8 * 8;
    for (size_t j = 0; j < whole; j += 8) {
        const __m256i old = _mm256_loadu_si256((const __m256i *)(x + j));
        const __m256i size = _mm256_abs_epi32(old);
        const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(size, by), 31);
        const __m256i odd =
            _mm256_slli_epi64(_mm256_srli_epi64(_mm256_mul_epu32(_mm256_srli_epi64(size, 32), by), 31), 32);
        const __m256i both = _mm256_sign_epi32(_mm256_blend_epi32(even, odd, 0xaa), old);
        _mm256_storeu_si256((__m256i *)(x + j), both);
    }
    scale(count - whole, numerator, x + whole);
}

const integer_vectors sotto_integer_avx2 = {quantise_avx2, sum_of_squares_avx2, scale_avx2};

#endif
