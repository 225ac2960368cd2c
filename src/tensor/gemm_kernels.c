/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which instructions carry out the matrix products: the best that this CPU has. */

#include "tensor/gemm.h"

#include <stdatomic.h>

const gemm_kernels *const sotto_gemm_float_kernels[] = {
#if defined(__x86_64__)
    &sotto_gemm_float_avx512,
    &sotto_gemm_float_avx2,
#endif
    &sotto_gemm_float_portable,
    NULL,
};

const gemm_kernels *const sotto_gemm_integer_kernels[] = {
#if defined(__x86_64__)
    &sotto_gemm_integer_vnni,     &sotto_gemm_integer_avx512,
    &sotto_gemm_integer_avx2,
#endif
    &sotto_gemm_integer_portable, NULL,
};

#if defined(__x86_64__)
bool sotto_gemm_runs(const gemm_kernels *kernels)
{
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f");
    if (kernels == &sotto_gemm_float_avx2 || kernels == &sotto_gemm_integer_avx2)
        return avx2;
    if (kernels == &sotto_gemm_float_avx512)
        return avx512;
    if (kernels == &sotto_gemm_integer_avx512)
        return avx512 && __builtin_cpu_supports("avx512bw");
    if (kernels == &sotto_gemm_integer_vnni)
        return avx512 && __builtin_cpu_supports("avx512vnni");
    return true;
}
#else
bool sotto_gemm_runs(const gemm_kernels *kernels)
{
    return kernels != NULL;
}
#endif

/* Two threads that ask first at once find, and write, the same. */
static _Atomic(const gemm_kernels *) chosen_float, chosen_integer;

static const gemm_kernels *best(const gemm_kernels *const *list)
{
    while (!sotto_gemm_runs(*list))
        list++;
    return *list;
}

const gemm_kernels *sotto_gemm_float(void)
{
    const gemm_kernels *kernels = atomic_load_explicit(&chosen_float, memory_order_relaxed);
    if (!kernels) {
        kernels = best(sotto_gemm_float_kernels);
        atomic_store_explicit(&chosen_float, kernels, memory_order_relaxed);
    }
    return kernels;
}

const gemm_kernels *sotto_gemm_integer(void)
{
    const gemm_kernels *kernels = atomic_load_explicit(&chosen_integer, memory_order_relaxed);
    if (!kernels) {
        kernels = best(sotto_gemm_integer_kernels);
        atomic_store_explicit(&chosen_integer, kernels, memory_order_relaxed);
    }
    return kernels;
}

void sotto_gemm_choose_float(const gemm_kernels *kernels)
{
    atomic_store_explicit(&chosen_float, kernels, memory_order_relaxed);
}

void sotto_gemm_choose_integer(const gemm_kernels *kernels)
{
    atomic_store_explicit(&chosen_integer, kernels, memory_order_relaxed);
}
