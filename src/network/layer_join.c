/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Layers that bring another value in: residual, concat, and the row's class. */

#include "network/plan.h"

#include <string.h>

/* ------------------------------------------------------------------ residual */

static sotto_status add_residual(builder *b, size_t index, operation *op, sotto_error *err)
{
    size_t width = 0;
    sotto_status status = find_joined(b, index, op, &width, err);
    if (status == SOTTO_OK && width != op->inputs)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "network layer %zu (residual): adds %zu columns to %zu; make the two widths agree", index, width,
            op->inputs);
    op->out = op->in;
    b->active = width;
    return status;
}

static void forward_residual(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    const size_t count = w->rows * op->outputs;
    float *y = value_out(op, w);
    if (!op->in_place)
        memcpy(y, value_in(op, w), count * sizeof *y);
    sotto_tensor_axpy(count, 1.0f, w->values[op->skip], y);
}

/* A column block of dy, [rows, stride] from `first`, becomes or is added to dx [rows, columns]. */
static void hand_back(size_t rows, size_t stride, size_t first, size_t columns, const float *dy,
                      bool accumulate, float *dx)
{
    for (size_t r = 0; r < rows; r++) {
        const float *from = dy + r * stride + first;
        if (accumulate)
            sotto_tensor_axpy(columns, 1.0f, from, dx + r * columns);
        else
            memcpy(dx + r * columns, from, columns * sizeof *dx);
    }
}

static void backward_residual(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    const float *dy = gradient_out(op, w);
    hand_back(w->rows, op->outputs, 0, op->outputs, dy, op->accumulate_skip, w->gradients[op->skip]);
    if (!op->gradient_in_place)
        sotto_tensor_axpy(w->rows * op->outputs, 1.0f, dy, gradient_in(op, w));
}

const layer_class residual_class = {
    .kind = SOTTO_LAYER_RESIDUAL,
    .name = "residual",
    .elementwise = true,
    .joins = true,
    .affine = true,
    .add = add_residual,
    .forward = forward_residual,
    .backward = backward_residual,
};

/* -------------------------------------------------------------------- concat */

static sotto_status add_concat(builder *b, size_t index, operation *op, sotto_error *err)
{
    size_t width = 0;
    sotto_status status = find_joined(b, index, op, &width, err);
    if (status != SOTTO_OK)
        return status;
    op->out = flat(op->inputs + width);
    b->active += width;
    return check_width(index, op->inputs + width, err);
}

static void forward_concat(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    const size_t width = op->outputs - op->inputs;
    const float *x = value_in(op, w), *other = w->values[op->skip];
    float *y = value_out(op, w);
    for (size_t r = 0; r < w->rows; r++) {
        memcpy(y + r * op->outputs, x + r * op->inputs, op->inputs * sizeof *y);
        memcpy(y + r * op->outputs + op->inputs, other + r * width, width * sizeof *y);
    }
}

static void backward_concat(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    const float *dy = gradient_out(op, w);
    hand_back(w->rows, op->outputs, op->inputs, op->outputs - op->inputs, dy, op->accumulate_skip,
              w->gradients[op->skip]);
    hand_back(w->rows, op->outputs, 0, op->inputs, dy, op->accumulate, gradient_in(op, w));
}

const layer_class concat_class = {
    .kind = SOTTO_LAYER_CONCAT,
    .name = "concat",
    .joins = true,
    .affine = true,
    .add = add_concat,
    .forward = forward_concat,
    .backward = backward_concat,
};

/* ------------------------------------------------------------------ by class */

static sotto_status add_by_class(builder *b, size_t index, operation *op, sotto_error *err)
{
    const size_t classes = b->network->classes;
    size_t outputs = 0;
    if (__builtin_mul_overflow(op->inputs + 1, classes, &outputs) ||
        check_width(index, outputs, NULL) != SOTTO_OK)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "network layer %zu (by class): %zu columns for each of %zu classes are too many; put a narrower "
            "layer before it",
            index, op->inputs + 1, classes);
    op->out = flat(outputs);
    b->active++;
    return SOTTO_OK;
}

/* The same of rows that are given by their entries; returns how many. */
static size_t expand_entries(const operation *op, sotto_workspace *w)
{
    const size_t n = op->inputs, classes = w->network->classes;
    const size_t rows = entry_rows_of(op, w);
    const entry_list *from = &w->entries[0];
    entry_list *to = &w->entries[1];
    to->count = from->count + 1;
    for (size_t r = 0; r < rows; r++) {
        const bool none = w->classes[r] >= classes;
        const size_t k = none ? 0 : w->classes[r];
        uint32_t *columns = to->columns + r * to->count;
        float *values = to->values + r * to->count;
        for (size_t e = 0; e < from->count; e++) {
            columns[e] = (uint32_t)(k * n) + from->columns[r * from->count + e];
            values[e] = none ? 0.0f : from->values[r * from->count + e];
        }
        columns[from->count] = (uint32_t)(n * classes + k);
        values[from->count] = none ? 0.0f : 1.0f;
    }
    return rows;
}

/* h [n] of class k → [n·K + K]: h in block k, a one at n·K + k. A class outside [0, K) expands to zeros. */
static void expand(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    const size_t n = op->inputs, classes = w->network->classes;
    const size_t sparse = expand_entries(op, w);
    const float *x = value_in(op, w);
    float *y = value_out(op, w);
    memset(y + sparse * op->outputs, 0, (w->rows - sparse) * op->outputs * sizeof *y);
    for (size_t r = sparse; r < w->rows; r++) {
        float *row = y + r * op->outputs;
        if (w->classes[r] >= classes)
            continue;
        memcpy(row + w->classes[r] * n, x + r * n, n * sizeof *x);
        row[n * classes + w->classes[r]] = w->is_tangent ? 0.0f : 1.0f;
    }
}

/* The block of the row's class is the gradient of h. */
static void contract(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    const size_t n = op->inputs;
    float *dx = gradient_in(op, w);
    for (size_t r = 0; r < w->rows; r++) {
        const float *row = gradient_out(op, w) + r * op->outputs;
        if (w->classes[r] < w->network->classes)
            hand_back(1, op->outputs, w->classes[r] * n, n, row, op->accumulate, dx + r * n);
        else if (!op->accumulate)
            memset(dx + r * n, 0, n * sizeof *dx);
    }
}

const layer_class by_class_class = {
    .kind = SOTTO_LAYER_BY_CLASS,
    .name = "by class",
    .affine = true,
    .add = add_by_class,
    .forward = expand,
    .backward = contract,
};
