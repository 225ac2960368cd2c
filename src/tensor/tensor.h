/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_TENSOR_H
#define SOTTO_TENSOR_H

/**
 * tensor: float32 kernels on row-major matrices. The only room that calls cblas.
 *
 * Every kernel is plain C in the order that its comment states, written so that the compiler vectorises it.
 * Sums run in a fixed number of lanes and nothing is contracted into fused multiply-adds, so the scalar, the
 * AVX2 and the AVX-512 build of one kernel give the same bits. Matrix products keep a law of their own,
 * below; only those that take alpha and beta are OpenBLAS's, and do depend on the CPU.
 *
 * No kernel lets one row of a batch touch another, except the sums over rows, which say so. Sizes must fit in
 * an int wherever a matrix product is involved; the network room checks that when shapes are made. Pointers
 * must not overlap except where "in place" is allowed. Nothing here allocates or fails.
 */

#include "base/base.h"

#ifdef __FAST_MATH__
#error "the law of the matrix products and the test for NaN do not hold under -ffast-math"
#endif

/** Once, before any product: one OpenBLAS thread, since parallelism is over chunks. May be called again. */
void sotto_tensor_initialise(void);

/* ------------------------------------------------ matrix products by OpenBLAS */

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

/* ------------------------------------------ matrix products of one fixed order */

/*
 * The law. Each number of a product is one running sum: it starts at +0, or at the old c[i,j] where
 * `accumulate` is set, and for rising k becomes fmaf(a[i,k], b[k,j], sum), one rounding for each step. So it
 * does not depend, to the bit, on the other rows or columns, on how many there are and where it lies among
 * them, or on the CPU. (A NaN is a NaN everywhere; which of the many is not said.)
 *
 * Matrices are row-major; a stride is the distance in floats between two stored rows. Without `accumulate`, c
 * is written without being read. Sizes of 0 are allowed: k = 0 is an empty sum. Scratch is aligned to 64
 * bytes, used by one thread at a time, and holds nothing between two calls.
 */

/** Floats that a packed b [k, n] takes. */
size_t sotto_tensor_packed_count(size_t k, size_t n);

/** Pack b [k, n], to be read by any number of products in any threads. `packed` is aligned to 64 bytes. */
void sotto_tensor_pack(size_t k, size_t n, const float *b, size_t b_stride, float *packed);

/** The same from its transpose b [n, k]. */
void sotto_tensor_pack_transposed(size_t k, size_t n, const float *b, size_t b_stride, float *packed);

/** c [m, n] (+)= a [m, k] · B, with B [k, n] packed. */
void sotto_tensor_product(size_t m, size_t n, size_t k, const float *a, size_t a_stride, const float *packed,
                          bool accumulate, float *c, size_t c_stride);

/** Floats of scratch that sotto_tensor_product_rows takes. */
size_t sotto_tensor_rows_scratch(size_t rows, size_t m, size_t n);

/**
 * c [m, n] (+)= Σ_r a[r,:] ⊗ (weights[r]·b[r,:]) for rising r < rows: a [rows, m], b [rows, n]. The scaled b
 * is rounded to float first, and then takes the place of b in the law. \param weights [rows]; a row of weight
 * 0 is left out, whatever a and b hold there. NULL: ones \param sums    [n] += Σ_r weights[r]·b[r,:], in the
 * order of the rows; NULL: not wanted \param scratch [sotto_tensor_rows_scratch(rows, m, n)]
 */
void sotto_tensor_product_rows(size_t m, size_t n, size_t rows, const float *a, size_t a_stride,
                               const float *weights, const float *b, size_t b_stride, bool accumulate,
                               float *c, size_t c_stride, float *sums, float *scratch);

/* ------------------------------------------------------ exact sums of integers */

/*
 * A matrix of floats is quantised row by row: q[r,j] = x[r,j]·scales[r] to the nearest integer (ties to
 * even), within ±32767; NaN becomes 0. A scale is a power of two, or 0 for a row that counts for nothing
 * whatever it holds. All results are the same on every CPU.
 *
 * Packed, two rows share a word of 32 bits: opaque, and for this process only. A packed matrix starts on a
 * pair of its own, so several examples of T rows each are packed one by one, and multiplied one by one.
 */

/** Words that [rows, columns] take, packed as the left and as the right side of a product; 64-byte aligned.
 */
size_t sotto_tensor_left_count(size_t rows, size_t columns);
size_t sotto_tensor_right_count(size_t rows, size_t columns);

/**
 * Quantise and pack x [rows, columns].
 * \param scales  [rows]
 * \param squares [rows] = Σ_j q[r,j]², exact while columns < 2³⁴; NULL: not wanted
 */
void sotto_tensor_quantise_left(size_t rows, size_t columns, const float *x, size_t x_stride,
                                const float *scales, int32_t *packed, uint64_t *squares);
void sotto_tensor_quantise_right(size_t rows, size_t columns, const float *x, size_t x_stride,
                                 const float *scales, int32_t *packed, uint64_t *squares);

/**
 * Replace row `row` of a packed right side of [rows, columns] by trunc(q·numerator/2³¹), towards zero;
 * numerator ≤ 2³¹. Returns the new Σ q². One column after the other: for the rare row.
 */
uint64_t sotto_tensor_scale_right_row(size_t rows, size_t columns, size_t row, uint32_t numerator,
                                      int32_t *packed);

/** row [columns] = row `row` of a packed right side of [rows, columns]. */
void sotto_tensor_right_row(size_t rows, size_t columns, size_t row, const int32_t *packed, int32_t *out);

/**
 * c [d, p] (+)= Σ_r left[r,:] ⊗ right[r,:], left packed from [rows, d] and right from [rows, p]. Exact as
 * long as every true result fits in an int32 (whatever the sums on the way); it is taken modulo 2³² where
 * not.
 */
void sotto_tensor_integer_product(size_t d, size_t p, size_t rows, const int32_t *left, const int32_t *right,
                                  bool accumulate, int32_t *c, size_t c_stride);

__extension__ typedef unsigned __int128 sotto_uint128;

/**
 * q = x·scale to the nearest integer (ties to even), within ±2³⁰; NaN becomes 0. The product is rounded to
 * float first.
 */
void sotto_tensor_quantise(size_t count, const float *x, float scale, int32_t *q);

/** Σ x², exact for fewer than 2³² elements. */
sotto_uint128 sotto_tensor_integer_squares(size_t count, const int32_t *x);

/** x = trunc(x·numerator/2³¹), towards zero; numerator ≤ 2³¹. */
void sotto_tensor_integer_scale(size_t count, uint32_t numerator, int32_t *x);

/** sums += x; the caller knows that no sum leaves an int32. */
void sotto_tensor_integer_add(size_t count, const int32_t *x, int32_t *sums);

/** totals += sums, and sums = 0. */
void sotto_tensor_integer_flush(size_t count, int32_t *sums, int64_t *totals);

/**
 * Compare, in about a millisecond, the kernels that this CPU uses with plain loops, bit for bit: floats at
 * odd shapes and with subnormal products, a row alone and among others; integers, their squares and scaling.
 * SOTTO_ERROR_NUMERIC where one differs: nothing that rests on the law may go on then. SOTTO_ERROR_MEMORY.
 */
sotto_status sotto_tensor_check(sotto_error *err);

/* --------------------------------------------------------------- for benchmarks */

/**
 * `rounds` of fused multiply-adds on registers alone, as wide as the CPU has them; `sink` takes their sum, so
 * that they are not left out. Returns how many floating-point operations they were, 0 where no such loop is
 * known for this CPU.
 */
double sotto_tensor_peak(size_t rounds, float *sink);

/** The instructions behind the products of floats, or of integers: "AVX2". */
const char *sotto_tensor_kernels(bool integers);

/** The kernels that OpenBLAS has chosen: "Zen". */
const char *sotto_tensor_blas_core(void);

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

/**
 * gain_gradient += Σ_i weights[i]·dy[i,:]·normalised[i,:] and bias_gradient += Σ_i weights[i]·dy[i,:], a sum
 * over rows in their order. A row of weight 0 is left out; NULL weights are ones.
 */
void sotto_tensor_norm_gradient(size_t rows, size_t columns, const float *weights, const float *normalised,
                                const float *dy, float *gain_gradient, float *bias_gradient);

/* -------------------------------------------------------------------- images */

/* An image is [height, width, channels]: row by row, pixel by pixel. */

/** A square kernel that slides over an image, zeros around it, and stops at so many places. */
typedef struct sotto_tensor_patches {
    size_t height, width, channels;
    size_t kernel, stride, padding;
    size_t out_height, out_width;
} sotto_tensor_patches;

/**
 * patches [out_height·out_width, kernel, kernel, channels]: what lies under the kernel at each place, in
 * `channels` channels from `channel` on.
 */
void sotto_tensor_to_patches(const sotto_tensor_patches *p, size_t channel, size_t channels,
                             const float *image, float *patches);

/** The transpose: image += each patch where it lies, place by place. */
void sotto_tensor_from_patches(const sotto_tensor_patches *p, size_t channel, size_t channels,
                               const float *patches, float *image);

/**
 * Layer norm over each group of channels of each row's image: x [rows, pixels, channels], gain and bias
 * [channels], inverse [rows, groups]. `groups` divides `channels`; y or normalised may be x.
 */
void sotto_tensor_group_norm(size_t rows, size_t pixels, size_t channels, size_t groups, const float *x,
                             const float *gain, const float *bias, float *normalised, float *inverse,
                             float *y);

/** dx (+)= the gradient with respect to the input, from what the forward pass kept and dy. */
void sotto_tensor_group_norm_backward(size_t rows, size_t pixels, size_t channels, size_t groups,
                                      const float *gain, const float *normalised, const float *inverse,
                                      const float *dy, bool accumulate, float *dx);

/**
 * The tangent of group norm on one row, along the tangent `dot` of x: normalised_dot and y_dot; `along`
 * [groups] is what the way back needs, the mean of normalised·dot.
 */
void sotto_tensor_group_norm_tangent(size_t pixels, size_t channels, size_t groups, const float *gain,
                                     const float *normalised, const float *inverse, const float *dot,
                                     float *normalised_dot, float *along, float *y_dot);

/** Where a norm of one row is differentiated a second time. */
typedef struct sotto_tensor_norm_point {
    const float *gain, *normalised, *inverse, *dy;
} sotto_tensor_norm_point;

/** dx_dot (+)= the tangent of sotto_tensor_group_norm_backward on one row, from what the function above left
 * and the tangent of dy. */
void sotto_tensor_group_norm_backward_tangent(size_t pixels, size_t channels, size_t groups,
                                              const sotto_tensor_norm_point *at, const float *normalised_dot,
                                              const float *along, const float *dy_dot, bool accumulate,
                                              float *dx_dot);

/* --------------------------------------------------------- sums of outer products */

/** ‖Σ_t a[t,:] ⊗ b[t,:]‖² = Σ_st (a_s·a_t)(b_s·b_t) in float64, for `count` pairs of [left] and [right]. */
double sotto_tensor_ghost_norm(size_t count, size_t left, const float *a, size_t a_stride, size_t right,
                               const float *b, size_t b_stride);

/**
 * The squared norms of rows of `columns` that are given by their entries, in ascending columns `at` [rows,
 * entries]: the same bits as sotto_tensor_row_squared_norms of the rows written out.
 */
void sotto_tensor_entry_squared_norms(size_t rows, size_t columns, size_t entries, const uint32_t *at,
                                      const float *values, double *norms2);

/**
 * sum [columns] = Σ_e values[e]·matrix[rows[e],:] by the law of the matrix products: for ascending `rows` the
 * same bits as the product of the row that has these entries and zeros, if the matrix is finite.
 */
void sotto_tensor_gather(size_t columns, size_t entries, const uint32_t *rows, const float *values,
                         const float *matrix, float *sum);

/** matrix[rows[e],:] += values[e]·x [columns], by the same law. */
void sotto_tensor_scatter(size_t columns, size_t entries, const uint32_t *rows, const float *values,
                          const float *x, float *matrix);

#endif
