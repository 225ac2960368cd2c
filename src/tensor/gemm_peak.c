/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What this CPU could do at most: fused multiply-adds on registers alone. For benchmarks. */

#include "tensor/gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* Sums under way together: more than the instruction's latency times how many start in one cycle. */
enum { CHAINS = 12 };

__attribute__((target("avx2,fma"))) static double peak_avx2(size_t rounds, float *sink)
{
    const __m256 by = _mm256_set1_ps(0.5f), add = _mm256_set1_ps(1.0f);
    __m256 sum[CHAINS];
    GEMM_UNROLL
    for (size_t i = 0; i < CHAINS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (size_t r = 0; r < rounds; r++) {
        GEMM_UNROLL
        for (size_t i = 0; i < CHAINS; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], by, add);
    }
    for (size_t i = 0; i < CHAINS; i++)
        *sink += _mm256_cvtss_f32(sum[i]);
    return 2.0 * 8 * CHAINS * (double)rounds;
}

__attribute__((target("avx512f"))) static double peak_avx512(size_t rounds, float *sink)
{
    const __m512 by = _mm512_set1_ps(0.5f), add = _mm512_set1_ps(1.0f);
    __m512 sum[CHAINS];
    GEMM_UNROLL
    for (size_t i = 0; i < CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (size_t r = 0; r < rounds; r++) {
        GEMM_UNROLL
        for (size_t i = 0; i < CHAINS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], by, add);
    }
    for (size_t i = 0; i < CHAINS; i++)
        *sink += _mm512_cvtss_f32(sum[i]);
    return 2.0 * 16 * CHAINS * (double)rounds;
}

double sotto_tensor_peak(size_t rounds, float *sink)
{
    if (sotto_gemm_runs(&sotto_gemm_float_avx512))
        return peak_avx512(rounds, sink);
    return sotto_gemm_runs(&sotto_gemm_float_avx2) ? peak_avx2(rounds, sink) : 0.0;
}

#else

double sotto_tensor_peak(size_t rounds, float *sink)
{
    (void)rounds;
    (void)sink;
    return 0.0;
}

#endif

const char *sotto_tensor_kernels(bool integers)
{
    return (integers ? sotto_gemm_integer() : sotto_gemm_float())->name;
}
