/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Matrix products by AVX-512: tiles of 14 rows by 32 columns for floats (28 of the 32 registers), of 12 rows
 * by 32 columns for integers.
 */

#include "tensor/gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* The same source is checked as AVX2; instrumented, these many large tiles would take minutes to compile. */
#define UNCHECKED __attribute__((no_sanitize("address"), no_sanitize("undefined")))

#define CASES_12(CASE)                                                                                       \
    CASE(1, 1)                                                                                               \
    CASE(2, 1)                                                                                               \
    CASE(3, 1)                                                                                               \
    CASE(4, 1)                                                                                               \
    CASE(5, 1)                                                                                               \
    CASE(6, 1)                                                                                               \
    CASE(7, 1)                                                                                               \
    CASE(8, 1)                                                                                               \
    CASE(9, 1)                                                                                               \
    CASE(10, 1)                                                                                              \
    CASE(11, 1)                                                                                              \
    CASE(12, 1)                                                                                              \
    CASE(1, 4)                                                                                               \
    CASE(2, 4)                                                                                               \
    CASE(3, 4)                                                                                               \
    CASE(4, 2)                                                                                               \
    CASE(5, 2)                                                                                               \
    CASE(6, 2)                                                                                               \
    CASE(7, 2)                                                                                               \
    CASE(8, 2)                                                                                               \
    CASE(9, 2)                                                                                               \
    CASE(10, 2)                                                                                              \
    CASE(11, 2)                                                                                              \
    CASE(12, 2)

#define CASES_14(CASE)                                                                                       \
    CASES_12(CASE)                                                                                           \
    CASE(13, 1)                                                                                              \
    CASE(14, 1)                                                                                              \
    CASE(13, 2)                                                                                              \
    CASE(14, 2)

#define PANELS(rows) ((rows) <= 3 ? 4u : 2u)

#define NAME(word)             float_##word
#define TARGET                 __attribute__((target("avx512f"))) UNCHECKED
#define WORD                   float
#define VECTOR                 __m512
#define WIDTH                  16
#define LOAD(p)                _mm512_loadu_ps(p)
#define STORE(p, v)            _mm512_storeu_ps(p, v)
#define SPLAT(p)               _mm512_set1_ps(*(p))
#define ZERO                   _mm512_setzero_ps()
#define ADD_PRODUCT(sum, l, r) _mm512_fmadd_ps(l, r, sum)
#define TILE_ROWS              14
#define TILE_PANELS(rows)      PANELS(rows)
#define TILE_CASES(CASE)       CASES_14(CASE)
#include "tensor/gemm_tiles.h"

#define NAME(word)             integer_##word
#define TARGET                 __attribute__((target("avx512f,avx512bw"))) UNCHECKED
#define WORD                   int32_t
#define VECTOR                 __m512i
#define WIDTH                  16
#define LOAD(p)                _mm512_loadu_si512(p)
#define STORE(p, v)            _mm512_storeu_si512(p, v)
#define SPLAT(p)               _mm512_set1_epi32(*(p))
#define ZERO                   _mm512_setzero_si512()
#define ADD_PRODUCT(sum, l, r) _mm512_add_epi32(sum, _mm512_madd_epi16(l, r))
#define TILE_ROWS              12
#define TILE_PANELS(rows)      PANELS(rows)
#define TILE_CASES(CASE)       CASES_12(CASE)
#include "tensor/gemm_tiles.h"

#define NAME(word)             vnni_##word
#define TARGET                 __attribute__((target("avx512f,avx512vnni"))) UNCHECKED
#define WORD                   int32_t
#define VECTOR                 __m512i
#define WIDTH                  16
#define LOAD(p)                _mm512_loadu_si512(p)
#define STORE(p, v)            _mm512_storeu_si512(p, v)
#define SPLAT(p)               _mm512_set1_epi32(*(p))
#define ZERO                   _mm512_setzero_si512()
#define ADD_PRODUCT(sum, l, r) _mm512_dpwssd_epi32(sum, l, r)
#define TILE_ROWS              12
#define TILE_PANELS(rows)      PANELS(rows)
#define TILE_CASES(CASE)       CASES_12(CASE)
#include "tensor/gemm_tiles.h"

/* A matrix times a vector waits for memory, not for arithmetic: AVX2 does as well. */
static void dots(size_t rows, size_t depth, const float *a, size_t a_stride, const float *b, bool accumulate,
                 float *c, size_t c_stride)
{
    sotto_gemm_float_avx2.dots(rows, depth, a, a_stride, b, accumulate, c, c_stride);
}

const gemm_kernels sotto_gemm_float_avx512 = {"AVX-512", 14, float_block, dots, NULL};
const gemm_kernels sotto_gemm_integer_avx512 = {"AVX-512", 12, integer_block, NULL, &sotto_integer_avx2};
const gemm_kernels sotto_gemm_integer_vnni = {"AVX-512 VNNI", 12, vnni_block, NULL, &sotto_integer_avx2};

#endif
