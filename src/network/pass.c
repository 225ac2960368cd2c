/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Forward and backward, side by side. Every operation works on each row of the chunk by itself. */

#include "network/plan.h"
#include "tensor/tensor.h"

#include <string.h>

/* ------------------------------------------------------------------ by class */

/* h [n] of class k → [n·K + K]: h in block k, a one at n·K + k. A class outside [0, K) expands to zeros. */
static void expand(const operation *op, size_t rows, size_t classes, const uint16_t *class_of, const float *x,
                   float *y)
{
    const size_t n = op->inputs;
    memset(y, 0, rows * op->outputs * sizeof *y);
    for (size_t i = 0; i < rows; i++) {
        float *row = y + i * op->outputs;
        if (class_of[i] >= classes)
            continue;
        memcpy(row + class_of[i] * n, x + i * n, n * sizeof *x);
        row[n * classes + class_of[i]] = 1.0f;
    }
}

/* The block of the row's class is the gradient of h. */
static void contract(const operation *op, size_t rows, size_t classes, const uint16_t *class_of,
                     const float *dy, float *dx)
{
    const size_t n = op->inputs;
    for (size_t i = 0; i < rows; i++) {
        const float *block = dy + i * op->outputs + class_of[i] * n;
        if (class_of[i] >= classes) {
            if (!op->accumulate)
                memset(dx + i * n, 0, n * sizeof *dx);
        } else if (op->accumulate) {
            sotto_tensor_axpy(n, 1.0f, block, dx + i * n);
        } else {
            memcpy(dx + i * n, block, n * sizeof *dx);
        }
    }
}

/* ------------------------------------------------------------------- forward */

static void forward_dense(const operation *op, const float *parameters, size_t rows, const float *x, float *y)
{
    const float *weights = parameters + op->offset;
    sotto_tensor_product_nn(rows, op->outputs, op->inputs, 1.0f, x, op->inputs, weights, op->outputs, 0.0f, y,
                            op->outputs);
    if (!op->bias_follows)
        sotto_tensor_bias(rows, op->outputs, weights + op->inputs * op->outputs, y);
}

static void forward_operation(const sotto_network *network, const float *parameters, sotto_workspace *w,
                              size_t i)
{
    const operation *op = &network->operations[i];
    const float *x = w->values[i];
    float *y = w->values[i + 1];
    const float *bias = op->bias == NO_BIAS ? w->zeros : parameters + op->bias;
    const float *gain = parameters + op->offset;
    switch (op->kind) {
    case SOTTO_LAYER_DENSE:
        forward_dense(op, parameters, w->rows, x, y);
        break;
    case SOTTO_LAYER_LEAKY_RELU:
        sotto_tensor_bias_leaky_relu(w->rows, op->outputs, x, bias, op->slope, y);
        break;
    case SOTTO_LAYER_SILU:
        sotto_tensor_bias_silu(w->rows, op->outputs, x, bias, y, w->kept[i]);
        break;
    case SOTTO_LAYER_TANH:
        sotto_tensor_bias_tanh(w->rows, op->outputs, x, bias, y);
        break;
    case SOTTO_LAYER_NORM:
        sotto_tensor_norm(w->rows, op->outputs, x, gain, gain + op->outputs, w->kept[i], w->inverse[i], y);
        break;
    case SOTTO_LAYER_RESIDUAL:
        if (!op->in_place)
            memcpy(y, x, w->rows * op->outputs * sizeof *y);
        sotto_tensor_axpy(w->rows * op->outputs, 1.0f, w->values[op->skip], y);
        break;
    case SOTTO_LAYER_BY_CLASS:
        expand(op, w->rows, network->classes, w->classes, x, y);
        break;
    }
}

const float *sotto_network_forward(const sotto_network *network, const float *parameters,
                                   sotto_workspace *workspace)
{
    for (size_t i = 0; i < network->count; i++)
        forward_operation(network, parameters, workspace, i);
    return workspace->values[network->count];
}

/* ------------------------------------------------------------------ backward */

/* Activations turn dy into the gradient of their input where it lies; pass it on where that is another place.
 */
static void pass_on(const operation *op, const sotto_workspace *w, const float *dy, float *dx)
{
    if (!op->gradient_in_place)
        sotto_tensor_axpy(w->rows * op->outputs, 1.0f, dy, dx);
}

static void backward_residual(const operation *op, const sotto_workspace *w, bool want_skip, bool want,
                              const float *dy, float *dx)
{
    const size_t count = w->rows * op->outputs;
    float *skip = w->gradients[op->skip];
    if (want_skip && op->accumulate_skip)
        sotto_tensor_axpy(count, 1.0f, dy, skip);
    else if (want_skip)
        memcpy(skip, dy, count * sizeof *dy);
    if (want)
        pass_on(op, w, dy, dx);
}

/* The gradient of value i from that of value i + 1. */
static void backward_operation(const sotto_network *network, const float *parameters, sotto_workspace *w,
                               size_t i)
{
    const operation *op = &network->operations[i];
    const size_t count = w->rows * op->outputs;
    const float *y = w->values[i + 1];
    float *dy = w->gradients[i + 1], *dx = w->gradients[i];
    switch (op->kind) {
    case SOTTO_LAYER_DENSE:
        sotto_tensor_product_nt(w->rows, op->inputs, op->outputs, 1.0f, dy, op->outputs,
                                parameters + op->offset, op->outputs, op->accumulate ? 1.0f : 0.0f, dx,
                                op->inputs);
        break;
    case SOTTO_LAYER_LEAKY_RELU:
        sotto_tensor_leaky_relu_backward(count, op->slope, y, dy);
        pass_on(op, w, dy, dx);
        break;
    case SOTTO_LAYER_SILU:
        sotto_tensor_multiply(count, w->kept[i], dy);
        pass_on(op, w, dy, dx);
        break;
    case SOTTO_LAYER_TANH:
        sotto_tensor_tanh_backward(count, y, dy);
        pass_on(op, w, dy, dx);
        break;
    case SOTTO_LAYER_NORM:
        sotto_tensor_norm_backward(w->rows, op->outputs, parameters + op->offset, w->kept[i], w->inverse[i],
                                   dy, op->accumulate, dx);
        break;
    case SOTTO_LAYER_RESIDUAL:
        break; /* has two inputs: see backward_residual */
    case SOTTO_LAYER_BY_CLASS:
        contract(op, w->rows, network->classes, w->classes, dy, dx);
        break;
    }
}

void sotto_network_backward(const sotto_network *network, const float *parameters, sotto_workspace *workspace,
                            bool want_input_gradient)
{
    /* Values at or below this one lead to no parameter. */
    const size_t lowest = network->first_parametric;
    for (size_t i = network->count; i-- > 0;) {
        const operation *op = &network->operations[i];
        const bool want = want_input_gradient || i > lowest;
        if (op->kind == SOTTO_LAYER_RESIDUAL)
            backward_residual(op, workspace, want_input_gradient || op->skip > lowest, want,
                              workspace->gradients[i + 1], workspace->gradients[i]);
        else if (want)
            backward_operation(network, parameters, workspace, i);
    }
}
