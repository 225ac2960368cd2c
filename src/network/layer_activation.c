/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What works on each element where it lies: activations, dropout; and softmax, which works on segments. */

#include "network/plan.h"

#include <string.h>

/* The bias of the dense operation before, or zeros. */
static const float *bias_of(const operation *op, const sotto_weights *weights, const sotto_workspace *w)
{
    return op->bias == NO_BIAS ? w->zeros : weights->parameters + op->bias;
}

/* The gradient was made where dy lies; add it to what lies in another place. */
static void pass_on(const operation *op, const sotto_workspace *w)
{
    if (!op->gradient_in_place)
        sotto_tensor_axpy(w->rows * op->outputs, 1.0f, gradient_out(op, w), gradient_in(op, w));
}

static sotto_status keep_shape(builder *b, size_t index, operation *op, sotto_error *err)
{
    (void)b, (void)index, (void)err;
    op->out = op->in;
    return SOTTO_OK;
}

/* ---------------------------------------------------------------- leaky ReLU */

static sotto_status add_leaky_relu(builder *b, size_t index, operation *op, sotto_error *err)
{
    if (!(op->layer.slope >= 0.0f && op->layer.slope <= 1.0f))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (leaky ReLU): slope %g, but it must lie in [0, 1]", index,
                               (double)op->layer.slope);
    return keep_shape(b, index, op, err);
}

static void forward_leaky_relu(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    sotto_tensor_bias_leaky_relu(w->rows, op->outputs, value_in(op, w), bias_of(op, weights, w),
                                 op->layer.slope, value_out(op, w));
}

static void backward_leaky_relu(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    sotto_tensor_leaky_relu_backward(w->rows * op->outputs, op->layer.slope, value_out(op, w),
                                     gradient_out(op, w));
    pass_on(op, w);
}

static void slope_leaky_relu(const operation *op, const sotto_workspace *w, size_t row, float *x)
{
    sotto_tensor_leaky_relu_backward(op->outputs, op->layer.slope, value_out(op, w) + row * op->outputs, x);
}

const layer_class leaky_relu_class = {
    .kind = SOTTO_LAYER_LEAKY_RELU,
    .name = "leaky ReLU",
    .elementwise = true,
    .adds_bias = true,
    .reads_output = true,
    .add = add_leaky_relu,
    .forward = forward_leaky_relu,
    .backward = backward_leaky_relu,
    .slope = slope_leaky_relu,
};

/* ---------------------------------------------------------------------- SiLU */

/* φ″(z) = s(1 − s)(2 + z(1 − 2s)), s = sigmoid(z), of the penalty rows, before z is overwritten. */
static void keep_second(const operation *op, const sotto_weights *weights, const sotto_workspace *w)
{
    const sotto_workspace *t = w->tangents;
    const float *bias = bias_of(op, weights, w);
    for (size_t p = 0; p < t->rows; p++) {
        const float *x = value_in(op, w) + penalty_row(w, p) * op->outputs;
        float *second = t->second[op->number] + p * op->outputs;
        for (size_t j = 0; j < op->outputs; j++)
            second[j] = -(x[j] + bias[j]);
        sotto_tensor_exp(op->outputs, second, second);
        for (size_t j = 0; j < op->outputs; j++) {
            const float z = x[j] + bias[j], s = 1.0f / (1.0f + second[j]);
            second[j] = s * (1.0f - s) * (2.0f + z * (1.0f - 2.0f * s));
        }
    }
}

static void forward_silu(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    if (w->tangents)
        keep_second(op, weights, w);
    sotto_tensor_bias_silu(w->rows, op->outputs, value_in(op, w), bias_of(op, weights, w), value_out(op, w),
                           w->kept[op->number]);
}

/* SiLU has kept its derivative, dropout its mask. */
static void backward_kept(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    sotto_tensor_multiply(w->rows * op->outputs, w->kept[op->number], gradient_out(op, w));
    pass_on(op, w);
}

static void slope_kept(const operation *op, const sotto_workspace *w, size_t row, float *x)
{
    sotto_tensor_multiply(op->outputs, w->kept[op->number] + row * op->outputs, x);
}

static void bend_silu(const operation *op, const sotto_workspace *w, size_t row, float *x)
{
    sotto_tensor_multiply(op->outputs, w->tangents->second[op->number] + row * op->outputs, x);
}

const layer_class silu_class = {
    .kind = SOTTO_LAYER_SILU,
    .name = "SiLU",
    .elementwise = true,
    .adds_bias = true,
    .keeps = true,
    .add = keep_shape,
    .forward = forward_silu,
    .backward = backward_kept,
    .slope = slope_kept,
    .bend = bend_silu,
};

/* ---------------------------------------------------------------------- tanh */

static void forward_tanh(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    sotto_tensor_bias_tanh(w->rows, op->outputs, value_in(op, w), bias_of(op, weights, w), value_out(op, w));
}

static void backward_tanh(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    sotto_tensor_tanh_backward(w->rows * op->outputs, value_out(op, w), gradient_out(op, w));
    pass_on(op, w);
}

static void slope_tanh(const operation *op, const sotto_workspace *w, size_t row, float *x)
{
    sotto_tensor_tanh_backward(op->outputs, value_out(op, w) + row * op->outputs, x);
}

/* φ″ = −2y(1 − y²) */
static void bend_tanh(const operation *op, const sotto_workspace *w, size_t row, float *x)
{
    const float *y = value_out(op, w) + penalty_row(w, row) * op->outputs;
    for (size_t j = 0; j < op->outputs; j++)
        x[j] *= -2.0f * y[j] * (1.0f - y[j] * y[j]);
}

const layer_class tanh_class = {
    .kind = SOTTO_LAYER_TANH,
    .name = "tanh",
    .elementwise = true,
    .adds_bias = true,
    .reads_output = true,
    .add = keep_shape,
    .forward = forward_tanh,
    .backward = backward_tanh,
    .slope = slope_tanh,
    .bend = bend_tanh,
};

/* ------------------------------------------------------------------- dropout */

static sotto_status add_dropout(builder *b, size_t index, operation *op, sotto_error *err)
{
    if (!(op->layer.rate >= 0.0f && op->layer.rate < 1.0f))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (dropout): rate %g, but it must lie in [0, 1)", index,
                               (double)op->layer.rate);
    return keep_shape(b, index, op, err);
}

/* mask[j] is 0 with probability `rate`, else 1/(1 − rate): a function of the row's seed, the layer and j. */
static void draw_mask(const operation *op, uint64_t seed, float *mask)
{
    const float keep = 1.0f / (1.0f - op->layer.rate);
    const uint32_t threshold = (uint32_t)(op->layer.rate * 0x1p32f);
    const uint64_t start = row_start(op, seed);
    for (size_t j = 0; j < op->outputs; j++)
        mask[j] = (uint32_t)row_bits(start, j) < threshold ? 0.0f : keep;
}

static void forward_dropout(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    const size_t count = w->rows * op->outputs;
    float *mask = w->kept[op->number], *y = value_out(op, w);
    for (size_t r = 0; r < w->rows && w->training; r++)
        draw_mask(op, w->seeds[r], mask + r * op->outputs);
    for (size_t j = 0; j < count && !w->training; j++)
        mask[j] = 1.0f;
    if (!op->in_place)
        memcpy(y, value_in(op, w), count * sizeof *y);
    sotto_tensor_multiply(count, mask, y);
}

const layer_class dropout_class = {
    .kind = SOTTO_LAYER_DROPOUT,
    .name = "dropout",
    .elementwise = true,
    .keeps = true,
    .add = add_dropout,
    .forward = forward_dropout,
    .backward = backward_kept,
    .slope = slope_kept,
};

/* ------------------------------------------------------------------- softmax */

static sotto_status add_softmax(builder *b, size_t index, operation *op, sotto_error *err)
{
    const sotto_layer *layer = &op->layer;
    size_t end = 0;
    for (size_t s = 0; s < layer->segment_count; s++) {
        const sotto_tensor_segment *segment = &layer->segments[s];
        if (segment->offset < end || segment->count == 0 || segment->offset > op->inputs ||
            segment->count > op->inputs - segment->offset)
            return sotto_error_set(
                err, SOTTO_ERROR_INPUT,
                "network layer %zu (softmax): segment %zu is columns %zu to %zu, but segments must be "
                "ascending, apart, not empty and within %zu columns",
                index, s, segment->offset, segment->offset + segment->count, op->inputs);
        end = segment->offset + segment->count;
    }
    sotto_tensor_segment *copy = sotto_arena_take(b->network->arena, layer->segment_count, sizeof *copy, err);
    if (!copy)
        return SOTTO_ERROR_MEMORY;
    if (layer->segment_count > 0)
        memcpy(copy, layer->segments, layer->segment_count * sizeof *copy);
    op->layer.segments = copy;
    return keep_shape(b, index, op, err);
}

static void forward_softmax(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    float *y = value_out(op, w);
    if (!op->in_place)
        memcpy(y, value_in(op, w), w->rows * op->outputs * sizeof *y);
    sotto_tensor_softmax(w->rows, op->outputs, op->layer.segments, op->layer.segment_count, y);
}

static void backward_softmax(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    sotto_tensor_softmax_backward(w->rows, op->outputs, op->layer.segments, op->layer.segment_count,
                                  value_out(op, w), gradient_out(op, w));
    pass_on(op, w);
}

const layer_class softmax_class = {
    .kind = SOTTO_LAYER_SOFTMAX,
    .name = "softmax",
    .elementwise = true,
    .reads_output = true,
    .add = add_softmax,
    .forward = forward_softmax,
    .backward = backward_softmax,
};
