/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_TENSOR_H
#define SOTTO_TENSOR_H

/**
 * tensor: float32 kernels on row-major matrices. The only room that calls cblas.
 *
 * Every kernel is plain C in the order that its comment states, written so that the compiler vectorises it.
 * Sums run in a fixed number of lanes and nothing is contracted into fused multiply-adds, so the scalar, the
 * AVX2 and the AVX-512 build of one kernel give the same bits. (Matrix products are OpenBLAS's own and do
 * depend on the CPU.)
 *
 * No kernel lets one row of a batch touch another, except the sums over rows, which say so. Sizes must fit in
 * an int wherever a matrix product is involved; the network room checks that when shapes are made. Pointers
 * must not overlap except where "in place" is allowed. Nothing here allocates or fails.
 */

#include "base/base.h"

/** Once, before any product: one OpenBLAS thread, since parallelism is over chunks. May be called again. */
void sotto_tensor_initialise(void);

/* --------------------------------------------------------- matrix products */

/*
 * c [m, n] = alpha·A·B + beta·c, with A [m, k] and B [k, n] stored as follows; a stride is the distance
 * between two stored rows. With beta = 0, c is written without being read. k = 0 is an empty sum.
 */

/** a [m, k], b [k, n]. */
void sotto_tensor_product_nn(size_t m, size_t n, size_t k, float alpha, const float *a, size_t a_stride,
                             const float *b, size_t b_stride, float beta, float *c, size_t c_stride);

/** a [m, k], b [n, k] transposed. */
void sotto_tensor_product_nt(size_t m, size_t n, size_t k, float alpha, const float *a, size_t a_stride,
                             const float *b, size_t b_stride, float beta, float *c, size_t c_stride);

/** a [k, m] transposed, b [k, n]: a sum over k rows. */
void sotto_tensor_product_tn(size_t m, size_t n, size_t k, float alpha, const float *a, size_t a_stride,
                             const float *b, size_t b_stride, float beta, float *c, size_t c_stride);

/* ------------------------------------------------------------------ vectors */

/** y += alpha·x. */
void sotto_tensor_axpy(size_t count, float alpha, const float *x, float *y);

/** y *= x, element by element. */
void sotto_tensor_multiply(size_t count, const float *x, float *y);

/** Each row of x [rows, columns] += bias [columns]. */
void sotto_tensor_bias(size_t rows, size_t columns, const float *bias, float *x);

/** norms2[i] = Σ_j x[i,j]² in float64 (16 lanes, then pairwise). No finite float32 row overflows it. */
void sotto_tensor_row_squared_norms(size_t rows, size_t columns, const float *x, double *norms2);

/**
 * scaled[i,:] = weights[i]·x[i,:], exactly 0 where weights[i] = 0 whatever x holds, and sums[:] += the rows
 * of scaled, in the order of the rows. `scaled` may be x.
 */
void sotto_tensor_scale_rows(size_t rows, size_t columns, const float *weights, const float *x, float *scaled,
                             float *sums);

/** sums[j] += Σ_i x[i,j], in the order of the rows. */
void sotto_tensor_column_sums(size_t rows, size_t columns, const float *x, float *sums);

/* -------------------------------------------------------------- activations */

/* Forward: y = f(x + bias), bias [columns] added to each row; y may be x. Backward: in place on dy [count].
 */

/** f(v) = v where v > 0, else slope·v. */
void sotto_tensor_bias_leaky_relu(size_t rows, size_t columns, const float *x, const float *bias, float slope,
                                  float *y);

/** dy *= (y > 0 ? 1 : slope), from the *output* y: for 0 ≤ slope ≤ 1 it has the sign of the input or is 0. */
void sotto_tensor_leaky_relu_backward(size_t count, float slope, const float *y, float *dy);

/** f = tanh, within 3 ulp of the true value. */
void sotto_tensor_bias_tanh(size_t rows, size_t columns, const float *x, const float *bias, float *y);

/** dy *= 1 − y². */
void sotto_tensor_tanh_backward(size_t count, const float *y, float *dy);

/** f(v) = v·sigmoid(v); `derivative` [rows, columns] = f′(v), for sotto_tensor_multiply in the backward pass.
 */
void sotto_tensor_bias_silu(size_t rows, size_t columns, const float *x, const float *bias, float *y,
                            float *derivative);

/* ------------------------------------------------- exp, log and softmax */

/** y = exp(x), y may be x: within 2 ulp of the true value, subnormal results and both infinities included;
 * NaN stays. */
void sotto_tensor_exp(size_t count, const float *x, float *y);

/** y = log(x), y may be x: within 2 ulp; log 0 = −∞, of a negative number NaN, subnormal arguments included.
 */
void sotto_tensor_log(size_t count, const float *x, float *y);

/** A block of neighbouring columns. */
typedef struct sotto_tensor_segment {
    size_t offset; /**< the first column */
    size_t count;  /**< how many columns, at least 1 */
} sotto_tensor_segment;

/**
 * In each row of x [rows, stride], replace each segment by its softmax; columns in no segment stay. Stable:
 * the largest logit is subtracted first. Segments lie in ascending order and do not overlap.
 */
void sotto_tensor_softmax(size_t rows, size_t stride, const sotto_tensor_segment *segments, size_t count,
                          float *x);

/** Back through it: in each segment dy = y·(dy − Σ y·dy) from the softmax's output y [rows, stride]. */
void sotto_tensor_softmax_backward(size_t rows, size_t stride, const sotto_tensor_segment *segments,
                                   size_t count, const float *y, float *dy);

/* --------------------------------------------------------------- layer norm */

/**
 * normalised[i,:] = (x[i,:] − mean_i)·inverse_i with inverse_i = 1/√(variance_i + 1e-5), y = gain·normalised
 * + bias. x [rows, columns], gain and bias [columns], inverse [rows]; y or normalised may be x.
 */
void sotto_tensor_norm(size_t rows, size_t columns, const float *x, const float *gain, const float *bias,
                       float *normalised, float *inverse, float *y);

/** dx (+)= the gradient with respect to the layer's input, from what the forward pass kept and dy [rows,
 * columns]. */
void sotto_tensor_norm_backward(size_t rows, size_t columns, const float *gain, const float *normalised,
                                const float *inverse, const float *dy, bool accumulate, float *dx);

/** norms2[i] += Σ_j (dy·normalised)² + Σ_j dy²: the squared norm of row i's gradient in gain and bias, in
 * float64. */
void sotto_tensor_norm_squared_norms(size_t rows, size_t columns, const float *normalised, const float *dy,
                                     double *norms2);

/**
 * gain_gradient += Σ_i weights[i]·dy[i,:]·normalised[i,:] and bias_gradient += Σ_i weights[i]·dy[i,:], a sum
 * over rows in their order. A row of weight 0 is left out; NULL weights are ones.
 */
void sotto_tensor_norm_gradient(size_t rows, size_t columns, const float *weights, const float *normalised,
                                const float *dy, float *gain_gradient, float *bias_gradient);

#endif
