/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Matrix products for any CPU, in vectors of 16 bytes: what the compiler makes of them is its affair. Where
 * the CPU that we compile for has no fused multiply-add, it is computed in float64, exactly.
 */

#include "tensor/gemm.h"

#include <string.h>

typedef float floats __attribute__((vector_size(16)));
typedef int32_t integers __attribute__((vector_size(16)));

#define LANES 4

GEMM_INLINE floats load_floats(const float *p)
{
    floats v;
    memcpy(&v, p, sizeof v);
    return v;
}

GEMM_INLINE integers load_integers(const int32_t *p)
{
    integers v;
    memcpy(&v, p, sizeof v);
    return v;
}

#if defined(__FP_FAST_FMAF)

GEMM_INLINE floats fused(floats sum, floats left, floats right)
{
    for (int i = 0; i < LANES; i++)
        sum[i] = __builtin_fmaf(left[i], right[i], sum[i]);
    return sum;
}

#else

typedef float float_pair __attribute__((vector_size(8)));
typedef double double_pair __attribute__((vector_size(16)));
typedef int64_t integer_pair __attribute__((vector_size(16)));

/*
 * left·right + sum in one rounding. The product of two floats is exact in float64. Its sum with a third is
 * rounded to odd there (an inexact sum takes the neighbour whose last bit is 1), and so the rounding to float
 * that follows goes where the exact value would have gone: Boldo and Melquiond 2008, "Emulation of FMA and
 * correctly rounded sums: proved algorithms using rounding to odd", theorem 3 (53 ≥ 24 + 2 bits, and
 * float64's range covers subnormal results). The error of the sum is Knuth's TwoSum; nothing overflows.
 */
GEMM_INLINE float_pair fused_pair(float_pair sum, float_pair left, float_pair right)
{
    const double_pair product =
        __builtin_convertvector(left, double_pair) * __builtin_convertvector(right, double_pair);
    const double_pair addend = __builtin_convertvector(sum, double_pair);
    double_pair total = product + addend;
    const double_pair part = total - product;
    const double_pair error = (product - (total - part)) + (addend - part);
    integer_pair bits;
    memcpy(&bits, &total, sizeof bits);
    /* An error of NaN belongs to a sum that is not finite: it is neither above nor below zero. */
    const integer_pair above = error > 0.0, below = error<0.0, positive = total> 0.0;
    const integer_pair even = (bits & 1) - 1;
    const integer_pair outwards = ~(above ^ positive); /* −1: the other neighbour is the larger in size */
    bits += (above | below) & even & (-1 - 2 * outwards);
    memcpy(&total, &bits, sizeof total);
    return __builtin_convertvector(total, float_pair);
}

GEMM_INLINE floats fused(floats sum, floats left, floats right)
{
    const float_pair low = fused_pair((float_pair){sum[0], sum[1]}, (float_pair){left[0], left[1]},
                                      (float_pair){right[0], right[1]});
    const float_pair high = fused_pair((float_pair){sum[2], sum[3]}, (float_pair){left[2], left[3]},
                                       (float_pair){right[2], right[3]});
    return (floats){low[0], low[1], high[0], high[1]};
}

#endif

/* Two 16-bit products in each lane, and their sum: below 2³¹ in size, for no factor is −2¹⁵. */
GEMM_INLINE integers dot_pairs(integers sum, integers left, integers right)
{
    for (int i = 0; i < LANES; i++) {
        const int32_t low = (int16_t)(left[i] & 0xffff) * (int16_t)(right[i] & 0xffff);
        const int32_t high = (left[i] >> 16) * (right[i] >> 16);
        sum[i] = (int32_t)((uint32_t)sum[i] + (uint32_t)low + (uint32_t)high);
    }
    return sum;
}

#define CASES(CASE)                                                                                          \
    CASE(1, 1)                                                                                               \
    CASE(2, 1)                                                                                               \
    CASE(3, 1)                                                                                               \
    CASE(4, 1)

#define NAME(word) float_##word
#define TARGET
#define WORD                   float
#define VECTOR                 floats
#define WIDTH                  LANES
#define LOAD(p)                load_floats(p)
#define STORE(p, v)            memcpy(p, &(v), sizeof(floats))
#define SPLAT(p)               ((floats){*(p), *(p), *(p), *(p)})
#define ZERO                   ((floats){0})
#define ADD_PRODUCT(sum, l, r) fused(sum, l, r)
#define TILE_ROWS              4
#define TILE_PANELS(rows)      ((rows) > 0 ? 1u : 0u)
#define TILE_CASES(CASE)       CASES(CASE)
#include "tensor/gemm_tiles.h"

#define NAME(word) integer_##word
#define TARGET
#define WORD                   int32_t
#define VECTOR                 integers
#define WIDTH                  LANES
#define LOAD(p)                load_integers(p)
#define STORE(p, v)            memcpy(p, &(v), sizeof(integers))
#define SPLAT(p)               ((integers){*(p), *(p), *(p), *(p)})
#define ZERO                   ((integers){0})
#define ADD_PRODUCT(sum, l, r) dot_pairs(sum, l, r)
#define TILE_ROWS              4
#define TILE_PANELS(rows)      ((rows) > 0 ? 1u : 0u)
#define TILE_CASES(CASE)       CASES(CASE)
#include "tensor/gemm_tiles.h"

/* Four rows at a time, the last ones again where fewer are left. */
static void dots(size_t rows, size_t depth, const float *a, size_t a_stride, const float *b, bool accumulate,
                 float *c, size_t c_stride)
{
    for (size_t first = 0; first < rows; first += LANES) {
        const size_t count = rows - first < LANES ? rows - first : LANES;
        const float *row[LANES];
        floats sum = {0};
        for (size_t i = 0; i < LANES; i++)
            row[i] = a + (first + (i < count ? i : 0)) * a_stride;
        for (size_t i = 0; accumulate && i < count; i++)
            sum[i] = c[(first + i) * c_stride];
        for (size_t k = 0; k < depth; k++)
            sum = fused(sum, (floats){row[0][k], row[1][k], row[2][k], row[3][k]},
                        (floats){b[k], b[k], b[k], b[k]});
        for (size_t i = 0; i < count; i++)
            c[(first + i) * c_stride] = sum[i];
    }
}

const gemm_kernels sotto_gemm_float_portable = {"portable", 4, float_block, dots, NULL};
const gemm_kernels sotto_gemm_integer_portable = {"portable", 4, integer_block, NULL,
                                                  &sotto_integer_portable};
