/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Per-example squared norms and weighted sums of per-example gradients, from the input a and the output
 * gradient b that forward and backward have kept for each layer. An example's gradient in a dense layer is
 * [a; 1] ⊗ b, so its squared norm is (‖a‖² + 1)·‖b‖² (Goodfellow 2015, "Efficient per-example gradient
 * computations") and Σ w_i ∇_i is one matrix product with the rows of b scaled by w.
 */

#include "network/plan.h"
#include "tensor/tensor.h"

#include <float.h>
#include <math.h>
#include <string.h>

void sotto_network_squared_norms(const sotto_network *network, const sotto_workspace *workspace,
                                 size_t rows_used, double *norms2)
{
    const sotto_workspace *w = workspace;
    for (size_t r = 0; r < rows_used; r++)
        norms2[r] = 0.0;
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        if (op->kind == SOTTO_LAYER_NORM)
            sotto_tensor_norm_squared_norms(rows_used, op->outputs, w->kept[i], w->gradients[i + 1], norms2);
        if (op->kind != SOTTO_LAYER_DENSE)
            continue;
        sotto_tensor_row_squared_norms(rows_used, op->inputs, w->values[i], w->input_norms);
        sotto_tensor_row_squared_norms(rows_used, op->outputs, w->gradients[i + 1], w->output_norms);
        for (size_t r = 0; r < rows_used; r++)
            norms2[r] += (w->input_norms[r] + 1.0) * w->output_norms[r];
    }
}

static void dense_gradient(const operation *op, size_t rows, const float *weights, const float *a,
                           const float *b, float *scaled, float *gradient, bool accumulate)
{
    float *bias = gradient + op->inputs * op->outputs;
    if (!accumulate)
        memset(bias, 0, op->outputs * sizeof *bias);
    if (weights) {
        sotto_tensor_scale_rows(rows, op->outputs, weights, b, scaled, bias);
        b = scaled;
    } else {
        sotto_tensor_column_sums(rows, op->outputs, b, bias);
    }
    sotto_tensor_product_tn(op->inputs, op->outputs, rows, 1.0f, a, op->inputs, b, op->outputs,
                            accumulate ? 1.0f : 0.0f, gradient, op->outputs);
}

/*
 * The weights as they will be used. Below FLT_MIN a float has lost its relative precision, and a clip factor
 * that is rounded up to the next subnormal could exceed the bound it was made for.
 */
static void keep_weights(size_t rows, const float *weights, float *kept)
{
    for (size_t r = 0; r < rows; r++)
        kept[r] = isfinite(weights[r]) && fabsf(weights[r]) >= FLT_MIN ? weights[r] : 0.0f;
}

/* 0 × NaN is NaN: a row of weight 0 must be zero on both sides of the product. Its b is zeroed where it is
 * scaled. */
static void clear_unweighted(size_t rows, size_t columns, const float *weights, float *a)
{
    for (size_t r = 0; r < rows; r++) {
        if (weights[r] == 0.0f)
            memset(a + r * columns, 0, columns * sizeof *a);
    }
}

void sotto_network_weighted_gradient(const sotto_network *network, sotto_workspace *workspace,
                                     size_t rows_used, const float *weights, float *gradient, bool accumulate)
{
    const sotto_workspace *w = workspace;
    if (weights) {
        keep_weights(rows_used, weights, w->weights);
        weights = w->weights;
    }
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        float *part = gradient + op->offset;
        if (op->kind == SOTTO_LAYER_NORM) {
            if (!accumulate)
                memset(part, 0, 2 * op->outputs * sizeof *part);
            sotto_tensor_norm_gradient(rows_used, op->outputs, weights, w->kept[i], w->gradients[i + 1], part,
                                       part + op->outputs);
        }
        if (op->kind != SOTTO_LAYER_DENSE)
            continue;
        if (weights)
            clear_unweighted(rows_used, op->inputs, weights, w->values[i]);
        dense_gradient(op, rows_used, weights, w->values[i], w->gradients[i + 1], w->scaled, part,
                       accumulate);
    }
}
