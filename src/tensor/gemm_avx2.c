/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matrix products by AVX2 and FMA: tiles of 6 rows by 16 columns, 12 of the 16 registers. */

#include "tensor/gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define CASES(CASE)                                                                                          \
    CASE(1, 1)                                                                                               \
    CASE(2, 1)                                                                                               \
    CASE(3, 1)                                                                                               \
    CASE(4, 1)                                                                                               \
    CASE(5, 1)                                                                                               \
    CASE(6, 1)                                                                                               \
    CASE(1, 4)                                                                                               \
    CASE(2, 2)                                                                                               \
    CASE(3, 2)

/* Few rows: more panels beside each other, or the sums would wait for one another. */
#define PANELS(rows) ((rows) == 1 ? 4u : (rows) <= 3 ? 2u : 1u)

#define NAME(word)             float_##word
#define TARGET                 __attribute__((target("avx2,fma")))
#define WORD                   float
#define VECTOR                 __m256
#define WIDTH                  8
#define LOAD(p)                _mm256_loadu_ps(p)
#define STORE(p, v)            _mm256_storeu_ps(p, v)
#define SPLAT(p)               _mm256_broadcast_ss(p)
#define ZERO                   _mm256_setzero_ps()
#define ADD_PRODUCT(sum, l, r) _mm256_fmadd_ps(l, r, sum)
#define TILE_ROWS              6
#define TILE_PANELS(rows)      PANELS(rows)
#define TILE_CASES(CASE)       CASES(CASE)
#include "tensor/gemm_tiles.h"

#define NAME(word)             integer_##word
#define TARGET                 __attribute__((target("avx2")))
#define WORD                   int32_t
#define VECTOR                 __m256i
#define WIDTH                  8
#define LOAD(p)                _mm256_loadu_si256((const __m256i *)(p))
#define STORE(p, v)            _mm256_storeu_si256((__m256i *)(p), v)
#define SPLAT(p)               _mm256_set1_epi32(*(p))
#define ZERO                   _mm256_setzero_si256()
#define ADD_PRODUCT(sum, l, r) _mm256_add_epi32(sum, _mm256_madd_epi16(l, r))
#define TILE_ROWS              6
#define TILE_PANELS(rows)      PANELS(rows)
#define TILE_CASES(CASE)       CASES(CASE)
#include "tensor/gemm_tiles.h"

#define TARGET __attribute__((target("avx2,fma")))

/* sums[g] += a[8g + lane, k]·b[k] over four k: four columns of eight rows are turned into vectors of rows. */
GEMM_INLINE TARGET __m256 four_steps(const float *a, size_t stride, const float *b, __m256 sum)
{
    __m256 t[4];
    GEMM_UNROLL
    for (size_t i = 0; i < 4; i++)
        t[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a + i * stride)),
                                    _mm_loadu_ps(a + (i + 4) * stride), 1);
    const __m256 low01 = _mm256_unpacklo_ps(t[0], t[1]), high01 = _mm256_unpackhi_ps(t[0], t[1]);
    const __m256 low23 = _mm256_unpacklo_ps(t[2], t[3]), high23 = _mm256_unpackhi_ps(t[2], t[3]);
    sum = _mm256_fmadd_ps(_mm256_shuffle_ps(low01, low23, 0x44), _mm256_broadcast_ss(b), sum);
    sum = _mm256_fmadd_ps(_mm256_shuffle_ps(low01, low23, 0xee), _mm256_broadcast_ss(b + 1), sum);
    sum = _mm256_fmadd_ps(_mm256_shuffle_ps(high01, high23, 0x44), _mm256_broadcast_ss(b + 2), sum);
    return _mm256_fmadd_ps(_mm256_shuffle_ps(high01, high23, 0xee), _mm256_broadcast_ss(b + 3), sum);
}

/* The rest of one row's sum. */
TARGET static float dot(size_t depth, const float *a, const float *b, float sum)
{
    for (size_t k = 0; k < depth; k++)
        sum = __builtin_fmaf(a[k], b[k], sum);
    return sum;
}

/* Eight rows for each of `groups`, a constant: as many sums under way. */
GEMM_INLINE TARGET void dots_of(const size_t groups, size_t depth, const float *a, size_t a_stride,
                                const float *b, bool accumulate, float *c, size_t c_stride)
{
    float start[32] = {0};
    __m256 sum[4];
    for (size_t i = 0; accumulate && i < 8 * groups; i++)
        start[i] = c[i * c_stride];
    GEMM_UNROLL
    for (size_t g = 0; g < groups; g++)
        sum[g] = _mm256_loadu_ps(start + 8 * g);
    size_t k = 0;
    for (; k + 4 <= depth; k += 4) {
        GEMM_UNROLL
        for (size_t g = 0; g < groups; g++)
            sum[g] = four_steps(a + 8 * g * a_stride + k, a_stride, b + k, sum[g]);
    }
    GEMM_UNROLL
    for (size_t g = 0; g < groups; g++)
        _mm256_storeu_ps(start + 8 * g, sum[g]);
    for (size_t i = 0; i < 8 * groups; i++)
        c[i * c_stride] = dot(depth - k, a + i * a_stride + k, b + k, start[i]);
}

TARGET static void dots(size_t rows, size_t depth, const float *a, size_t a_stride, const float *b,
                        bool accumulate, float *c, size_t c_stride)
{
    size_t i = 0;
    for (; i + 32 <= rows; i += 32)
        dots_of(4, depth, a + i * a_stride, a_stride, b, accumulate, c + i * c_stride, c_stride);
    for (; i + 8 <= rows; i += 8)
        dots_of(1, depth, a + i * a_stride, a_stride, b, accumulate, c + i * c_stride, c_stride);
    for (; i < rows; i++)
        c[i * c_stride] = dot(depth, a + i * a_stride, b, accumulate ? c[i * c_stride] : 0.0f);
}

const gemm_kernels sotto_gemm_float_avx2 = {"AVX2", 6, float_block, dots, NULL};
const gemm_kernels sotto_gemm_integer_avx2 = {"AVX2", 6, integer_block, NULL, &sotto_integer_avx2};

#endif
