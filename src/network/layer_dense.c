/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Dense layers, y = x·W + bias. On the network's own input a row may be given by its few entries that are not
 * zero: then rows of W are gathered instead of multiplied by zeros. A fused multiply-add by zero changes no
 * sum, so both ways give the same bits.
 */

#include "network/plan.h"

#include <math.h>
#include <string.h>

static sotto_status add(builder *b, size_t index, operation *op, sotto_error *err)
{
    op->out = flat(op->layer.outputs);
    op->groups = 1;
    op->left = op->inputs;
    op->right = op->vector = op->layer.outputs;
    op->positions = 1;
    op->fan_in = b->active;
    b->active = op->layer.outputs;
    return check_width(index, op->layer.outputs, err);
}

static void initialise(const operation *op, sotto_stream *stream, float *parameters)
{
    const size_t weights = matrix_parameters(op);
    const double bound = op->layer.zero ? 0.0 : sqrt(3.0 / (double)op->fan_in);
    for (size_t j = 0; j < weights; j++)
        parameters[j] = op->layer.zero ? 0.0f : (float)(bound * (2.0 * sotto_stream_uniform(stream) - 1.0));
    for (size_t j = 0; j < op->vector; j++)
        parameters[weights + j] = 0.0f;
}

static void forward(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const size_t sparse = entry_rows_of(op, w);
    const float *matrix = weights->parameters + op->offset;
    float *y = value_out(op, w);
    const entry_list *list = &w->entries[op->number > 0];
    for (size_t r = 0; r < sparse; r++)
        sotto_tensor_gather(op->right, list->count, list->columns + r * list->count,
                            list->values + r * list->count, matrix, y + r * op->right);
    sotto_tensor_product(w->rows - sparse, op->right, op->left, value_in(op, w) + sparse * op->left, op->left,
                         weights->packed + op->packed, false, y + sparse * op->right, op->right);
    if (!op->bias_follows && !w->is_tangent)
        sotto_tensor_bias(w->rows, op->outputs, matrix + op->left * op->right, y);
}

static void backward(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const float *transposed = weights->packed + op->packed + sotto_tensor_packed_count(op->left, op->right);
    sotto_tensor_product(w->rows, op->left, op->right, gradient_out(op, w), op->right, transposed,
                         op->accumulate, gradient_in(op, w), op->left);
}

/* A row given by its entries, written out. */
static void write_out(const operation *op, const sotto_workspace *w, size_t row, float *a)
{
    const entry_list *list = &w->entries[op->number > 0];
    const size_t first = row * list->count;
    memset(a, 0, op->left * sizeof *a);
    for (size_t e = 0; e < list->count; e++)
        a[list->columns[first + e]] = list->values[first + e];
}

static void own(const operation *op, sotto_workspace *w, size_t example, size_t group, pairs *out)
{
    (void)group;
    const size_t first = example * w->views, sparse = entry_rows_of(op, w);
    *out = (pairs){.a = value_in(op, w) + first * op->left,
                   .b = gradient_out(op, w) + first * op->right,
                   .a_stride = op->left,
                   .b_stride = op->right,
                   .count = w->views};
    if (first >= sparse)
        return;
    for (size_t v = 0; v < w->views; v++) {
        if (first + v < sparse)
            write_out(op, w, first + v, w->left + v * op->left);
        else
            memcpy(w->left + v * op->left, out->a + v * op->left, op->left * sizeof(float));
    }
    out->a = w->left;
}

static void matrix(const operation *op, sotto_workspace *w, size_t example, size_t group, pairs *out)
{
    own(op, w, example, group, out);
    if (w->penalised)
        join_tangents(op, w, example, group, own, out);
}

static void vector(const operation *op, const sotto_workspace *w, size_t example, float *out)
{
    const float *b = gradient_out(op, w) + example * w->views * op->right;
    memcpy(out, b, op->right * sizeof *out);
    for (size_t v = 1; v < w->views; v++)
        sotto_tensor_axpy(op->right, 1.0f, b + v * op->right, out);
}

const layer_class dense_class = {
    .kind = SOTTO_LAYER_DENSE,
    .name = "dense",
    .reads_input = true,
    .affine = true,
    .add = add,
    .initialise = initialise,
    .forward = forward,
    .backward = backward,
    .matrix = matrix,
    .vector = vector,
};
