/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Per-example squared norms and weighted sums of per-example gradients, from the input a and the output
 * gradient b that forward and backward have kept for each layer. A matrix's gradient in one example is
 * Σ_t a_t ⊗ b_t over its T positions.
 */

#include "network/plan.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------------- norms */

/* Dense without views: (‖a‖² + 1)·‖b‖², exact, the 1 being the bias. Both factors are kept. */
static void plain_norms(const operation *op, const sotto_workspace *w, double *norms2)
{
    const entry_list *list = &w->entries[op->number > 0];
    const size_t sparse = entry_rows_of(op, w);
    double *left = w->left_norms + op->block * w->capacity;
    double *right = w->right_norms + op->block * w->capacity;
    sotto_tensor_entry_squared_norms(sparse, op->left, list->count, list->columns, list->values, left);
    sotto_tensor_row_squared_norms(w->rows - sparse, op->left, value_in(op, w) + sparse * op->left,
                                   left + sparse);
    sotto_tensor_row_squared_norms(w->rows, op->right, gradient_out(op, w), right);
    for (size_t r = 0; r < w->rows; r++)
        norms2[r] = (left[r] + 1.0) * right[r];
}

/*
 * Σ_st (a_s·a_t)(b_s·b_t) takes T²/2 products in float64, the sum itself T·left·right in float32, which go
 * about four times as fast.
 */
static bool ghost_is_cheaper(const operation *op, size_t count)
{
    return 2 * (count + 1) * (op->left + op->right) <= op->left * op->right;
}

/* ‖Σ_t a_t ⊗ b_t‖². */
static double pairs_norm(const operation *op, const sotto_workspace *w, const pairs *p)
{
    double norm2 = 0.0;
    if (ghost_is_cheaper(op, p->count))
        return sotto_tensor_ghost_norm(p->count, op->left, p->a, p->a_stride, op->right, p->b, p->b_stride);
    sotto_tensor_product_rows(op->left, op->right, p->count, p->a, p->a_stride, NULL, p->b, p->b_stride,
                              false, w->matrix, op->right, NULL, w->product);
    sotto_tensor_row_squared_norms(1, op->left * op->right, w->matrix, &norm2);
    return norm2;
}

static double example_norm(const operation *op, sotto_workspace *w, size_t example)
{
    double norm2 = 0.0;
    op->class->vector(op, w, example, w->vector);
    sotto_tensor_row_squared_norms(1, op->vector, w->vector, &norm2);
    for (size_t g = 0; g < op->groups; g++) {
        pairs p;
        op->class->matrix(op, w, example, g, &p);
        norm2 += pairs_norm(op, w, &p);
    }
    return norm2;
}

void sotto_network_squared_norms(const sotto_network *network, sotto_workspace *workspace, double *norms2)
{
    sotto_workspace *w = workspace;
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        double *norms = norms2 + op->block * w->examples;
        if (!has_parameters(op))
            continue;
        if (is_plain(op, w))
            plain_norms(op, w, norms);
        else
            for (size_t e = 0; e < w->examples; e++)
                norms[e] = example_norm(op, w, e);
    }
}

/* ----------------------------------------------------------------------- sums */

/*
 * The weights as they will be used. Below FLT_MIN a float has lost its relative precision, and a clip factor
 * that is rounded up to the next subnormal could exceed the bound it was made for.
 */
static const float *keep_weights(size_t count, const float *weights, float *kept)
{
    for (size_t e = 0; e < count; e++) {
        const float weight = weights ? weights[e] : 1.0f;
        kept[e] = isfinite(weight) && fabsf(weight) >= FLT_MIN ? weight : 0.0f;
    }
    return kept;
}

/* Rows that are given by their entries: each adds to a few rows of the matrix. */
static void scatter(const operation *op, const sotto_workspace *w, size_t rows, const float *weights,
                    float *matrix, float *bias)
{
    const entry_list *list = &w->entries[op->number > 0];
    for (size_t r = 0; r < rows; r++) {
        if (weights[r] == 0.0f)
            continue;
        const float *b = gradient_out(op, w) + r * op->right;
        sotto_tensor_scale_rows(1, op->right, weights + r, b, w->right, bias);
        sotto_tensor_scatter(op->right, list->count, list->columns + r * list->count,
                             list->values + r * list->count, w->right, matrix);
    }
}

/* Each example's weight for each of its `views` rows. */
static const float *weights_of_rows(const sotto_workspace *w, size_t views)
{
    for (size_t r = 0; r < w->examples * views; r++)
        w->row_weights[r] = w->weights[r / views];
    return w->row_weights;
}

/* Dense: every row is one pair, so that all examples are one product, whatever their rows. */
static void dense_gradient(const operation *op, sotto_workspace *w, float *part)
{
    const sotto_workspace *t = w->tangents;
    const float *weights = weights_of_rows(w, w->views);
    float *bias = part + op->left * op->right;
    const size_t sparse = entry_rows_of(op, w);
    scatter(op, w, sparse, weights, part, bias);
    sotto_tensor_product_rows(op->left, op->right, w->rows - sparse, value_in(op, w) + sparse * op->left,
                              op->left, weights + sparse, gradient_out(op, w) + sparse * op->right, op->right,
                              true, part, op->right, bias, w->product);
    if (w->penalised)
        sotto_tensor_product_rows(op->left, op->right, t->rows, value_in(op, t), op->left,
                                  weights_of_rows(w, t->views), gradient_out(op, t), op->right, true, part,
                                  op->right, NULL, w->product);
}

/* One example at a time: every pair of an example has its weight. */
static void example_gradient(const operation *op, sotto_workspace *w, size_t example, float *part)
{
    const float weight = w->weights[example];
    if (weight == 0.0f)
        return;
    for (size_t g = 0; g < op->groups; g++) {
        pairs p;
        op->class->matrix(op, w, example, g, &p);
        for (size_t t = 0; t < p.count; t++)
            w->pair_weights[t] = weight;
        sotto_tensor_product_rows(op->left, op->right, p.count, p.a, p.a_stride, w->pair_weights, p.b,
                                  p.b_stride, true, part + g * op->left * op->right, op->right, NULL,
                                  w->product);
    }
    op->class->vector(op, w, example, w->vector);
    sotto_tensor_axpy(op->vector, weight, w->vector, part + matrix_parameters(op));
}

void sotto_network_weighted_gradient(const sotto_network *network, sotto_workspace *workspace,
                                     const float *weights, bool by_block, float *gradient, bool accumulate)
{
    sotto_workspace *w = workspace;
    if (!accumulate)
        memset(gradient, 0, network->parameters * sizeof *gradient);
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        if (!has_parameters(op))
            continue;
        const size_t shift = by_block ? op->block * w->examples : 0;
        keep_weights(w->examples, weights ? weights + shift : NULL, w->weights);
        if (op->class == &dense_class)
            dense_gradient(op, w, gradient + op->offset);
        else
            for (size_t e = 0; e < w->examples; e++)
                example_gradient(op, w, e, gradient + op->offset);
    }
}
