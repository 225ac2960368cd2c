/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of outer products that are not worth a matrix product: their norms, and rows with few entries. */

#include "tensor/lanes.h"
#include "tensor/tensor.h"

#include <math.h>

LANE_SUM(double, inner, (double)x[j] * (double)y[j], const float *x, const float *y)

SOTTO_WIDE
double sotto_tensor_ghost_norm(size_t count, size_t left, const float *a, size_t a_stride, size_t right,
                               const float *b, size_t b_stride)
{
    double sum = 0.0;
    for (size_t s = 0; s < count; s++) {
        sum += inner(left, a + s * a_stride, a + s * a_stride) *
               inner(right, b + s * b_stride, b + s * b_stride);
        for (size_t t = 0; t < s; t++)
            sum += 2.0 * inner(left, a + s * a_stride, a + t * a_stride) *
                   inner(right, b + s * b_stride, b + t * b_stride);
    }
    return sum;
}

/* The lanes of a sum over all columns: what is left out would have added zeros. */
static double entry_norm(size_t columns, size_t entries, const uint32_t *at, const float *values)
{
    const size_t whole = columns - columns % LANES;
    double lane[LANES] = {0};
    size_t e = 0;
    for (; e < entries && at[e] < whole; e++)
        lane[at[e] % LANES] += (double)values[e] * (double)values[e];
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t l = 0; l < width; l++)
            lane[l] += lane[l + width];
    for (; e < entries; e++)
        lane[0] += (double)values[e] * (double)values[e];
    return lane[0];
}

void sotto_tensor_entry_squared_norms(size_t rows, size_t columns, size_t entries, const uint32_t *at,
                                      const float *values, double *norms2)
{
    for (size_t i = 0; i < rows; i++)
        norms2[i] = entry_norm(columns, entries, at + i * entries, values + i * entries);
}

/* As SOTTO_WIDE, by what a CPU can do and not by its name, which is one maker's: without fused multiply-adds
 * fmaf is a function of libm's. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) &&                 \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FUSED __attribute__((target_clones("avx512f", "fma", "default")))
#else
#define FUSED
#endif

FUSED
void sotto_tensor_gather(size_t columns, size_t entries, const uint32_t *rows, const float *values,
                         const float *restrict matrix, float *restrict sum)
{
    for (size_t j = 0; j < columns; j++)
        sum[j] = 0.0f;
    for (size_t e = 0; e < entries; e++) {
        const float *row = matrix + rows[e] * columns;
        for (size_t j = 0; j < columns; j++)
            sum[j] = fmaf(values[e], row[j], sum[j]);
    }
}

FUSED
void sotto_tensor_scatter(size_t columns, size_t entries, const uint32_t *rows, const float *values,
                          const float *restrict x, float *restrict matrix)
{
    for (size_t e = 0; e < entries; e++) {
        float *row = matrix + rows[e] * columns;
        for (size_t j = 0; j < columns; j++)
            row[j] = fmaf(values[e], x[j], row[j]);
    }
}
