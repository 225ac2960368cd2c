/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Matrix products: OpenBLAS, and plain kernels where one side is a vector. A discriminator's last layer has
 * one output; OpenBLAS packs whole panels for it and takes several times as long as reading the matrix once.
 */

#include "tensor/lanes.h"
#include "tensor/tensor.h"

#include <cblas.h>

void sotto_tensor_initialise(void)
{
    openblas_set_num_threads(1);
}

const char *sotto_tensor_blas_core(void)
{
    return openblas_get_corename();
}

LANE_SUM(float, dot, x[j] * y[j], const float *x, const float *y)

/* c [m] = alpha·A·b + beta·c, b [k] contiguous. */
SOTTO_WIDE
static void matrix_by_vector(size_t m, size_t k, float alpha, const float *a, size_t a_stride, const float *b,
                             float beta, float *c, size_t c_stride)
{
    for (size_t i = 0; i < m; i++) {
        float value = alpha * dot(k, a + i * a_stride, b);
        c[i * c_stride] = beta == 0.0f ? value : value + beta * c[i * c_stride];
    }
}

/* c [m, n] = alpha·a·bᵀ + beta·c for a column a [m] and a contiguous b [n]. */
SOTTO_WIDE
static void outer_product(size_t m, size_t n, float alpha, const float *a, size_t a_stride, const float *b,
                          float beta, float *c, size_t c_stride)
{
    for (size_t i = 0; i < m; i++) {
        float scale = alpha * a[i * a_stride];
        float *restrict row = c + i * c_stride;
        if (beta == 0.0f) {
            for (size_t j = 0; j < n; j++)
                row[j] = scale * b[j];
        } else {
            for (size_t j = 0; j < n; j++)
                row[j] = scale * b[j] + beta * row[j];
        }
    }
}

/* c [m] = alpha·Aᵀ·b + beta·c for a [k, m] and a column b [k]: the rows of a are added up in their order. */
SOTTO_WIDE
static void sum_of_rows(size_t m, size_t k, float alpha, const float *a, size_t a_stride, const float *b,
                        size_t b_stride, float beta, float *restrict c)
{
    for (size_t j = 0; j < m; j++)
        c[j] = beta == 0.0f ? 0.0f : beta * c[j];
    for (size_t i = 0; i < k; i++) {
        float scale = alpha * b[i * b_stride];
        const float *row = a + i * a_stride;
        for (size_t j = 0; j < m; j++)
            c[j] += scale * row[j];
    }
}

/* A stride of one row or less is irrelevant to the result, but cblas wants it at least as long as the row. */
static int stride_of(size_t stride, size_t row)
{
    return (int)(stride > row ? stride : row > 0 ? row : 1);
}

void sotto_tensor_product_nn(size_t m, size_t n, size_t k, float alpha, const float *a, size_t a_stride,
                             const float *b, size_t b_stride, float beta, float *c, size_t c_stride)
{
    if (m == 0 || n == 0)
        return;
    if (n == 1 && b_stride == 1)
        matrix_by_vector(m, k, alpha, a, a_stride, b, beta, c, c_stride);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, alpha, a,
                    stride_of(a_stride, k), b, stride_of(b_stride, n), beta, c, stride_of(c_stride, n));
}

void sotto_tensor_product_nt(size_t m, size_t n, size_t k, float alpha, const float *a, size_t a_stride,
                             const float *b, size_t b_stride, float beta, float *c, size_t c_stride)
{
    if (m == 0 || n == 0)
        return;
    if (n == 1)
        matrix_by_vector(m, k, alpha, a, a_stride, b, beta, c, c_stride);
    else if (k == 1 && b_stride == 1)
        outer_product(m, n, alpha, a, a_stride, b, beta, c, c_stride);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, alpha, a,
                    stride_of(a_stride, k), b, stride_of(b_stride, k), beta, c, stride_of(c_stride, n));
}

void sotto_tensor_product_tn(size_t m, size_t n, size_t k, float alpha, const float *a, size_t a_stride,
                             const float *b, size_t b_stride, float beta, float *c, size_t c_stride)
{
    if (m == 0 || n == 0)
        return;
    if (n == 1 && c_stride == 1)
        sum_of_rows(m, k, alpha, a, a_stride, b, b_stride, beta, c);
    else
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)k, alpha, a,
                    stride_of(a_stride, m), b, stride_of(b_stride, n), beta, c, stride_of(c_stride, n));
}
