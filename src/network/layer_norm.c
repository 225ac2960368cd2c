/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Layer norm over all columns of a row, group norm over groups of an image's channels: statistics of one row
 * at a time, never of a batch (contract rule P13).
 */

#include "network/plan.h"

#include <string.h>

static void initialise(const operation *op, sotto_stream *stream, float *parameters)
{
    (void)stream;
    for (size_t j = 0; j < op->vector; j++)
        parameters[j] = j < op->vector / 2 ? 1.0f : 0.0f;
}

/* ------------------------------------------------------------------ tangents */

/* Layer norm is group norm of one pixel in one group. */
typedef struct extent {
    size_t pixels, channels, groups;
} extent;

static extent extent_of(const operation *op)
{
    if (op->class == &norm_class)
        return (extent){1, op->inputs, 1};
    return (extent){op->in.height * op->in.width, op->in.channels, op->layer.groups};
}

static void push(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const sotto_workspace *t = w->tangents;
    const extent e = extent_of(op);
    const float *gain = weights->parameters + op->offset;
    for (size_t p = 0; p < t->rows; p++) {
        const size_t row = penalty_row(w, p), at = p * op->outputs;
        sotto_tensor_group_norm_tangent(
            e.pixels, e.channels, e.groups, gain, w->kept[op->number] + row * op->outputs,
            w->inverse[op->number] + row * e.groups, value_in(op, t) + at, t->kept[op->number] + at,
            t->inverse[op->number] + p * e.groups, value_out(op, t) + at);
    }
}

static void pull(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const sotto_workspace *t = w->tangents;
    const extent e = extent_of(op);
    const float *gain = weights->parameters + op->offset;
    for (size_t p = 0; p < t->rows; p++) {
        const size_t row = penalty_row(w, p), at = p * op->outputs;
        const sotto_tensor_norm_point point = {gain, w->kept[op->number] + row * op->outputs,
                                               w->inverse[op->number] + row * e.groups,
                                               gradient_out(op, w) + row * op->outputs};
        sotto_tensor_group_norm_backward_tangent(
            e.pixels, e.channels, e.groups, &point, t->kept[op->number] + at,
            t->inverse[op->number] + p * e.groups, gradient_out(op, t) + at, op->accumulate,
            gradient_in(op, t) + at);
    }
}

/* What the tangents of the normalised values bring to the gain of [channels]; to the bias, nothing. */
static void add_tangent_gain(const operation *op, const sotto_workspace *w, size_t example, float *gain)
{
    const sotto_workspace *t = w->tangents;
    const size_t channels = extent_of(op).channels, count = t->views * op->outputs, first = example * count;
    const float *hat = t->kept[op->number] + first, *b = gradient_out(op, t) + first;
    for (size_t i = 0; i < count; i += channels)
        for (size_t c = 0; c < channels; c++)
            gain[c] += b[i + c] * hat[i + c];
}

/* ---------------------------------------------------------------- layer norm */

static sotto_status add_norm(builder *b, size_t index, operation *op, sotto_error *err)
{
    (void)index, (void)err;
    op->out = op->in;
    op->vector = 2 * op->inputs;
    b->active = op->inputs;
    return SOTTO_OK;
}

static void forward_norm(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const float *gain = weights->parameters + op->offset;
    sotto_tensor_norm(w->rows, op->outputs, value_in(op, w), gain, gain + op->outputs, w->kept[op->number],
                      w->inverse[op->number], value_out(op, w));
}

static void backward_norm(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    sotto_tensor_norm_backward(w->rows, op->outputs, weights->parameters + op->offset, w->kept[op->number],
                               w->inverse[op->number], gradient_out(op, w), op->accumulate,
                               gradient_in(op, w));
}

static void vector_norm(const operation *op, const sotto_workspace *w, size_t example, float *out)
{
    const size_t first = example * w->views * op->outputs;
    memset(out, 0, op->vector * sizeof *out);
    sotto_tensor_norm_gradient(w->views, op->outputs, NULL, w->kept[op->number] + first,
                               gradient_out(op, w) + first, out, out + op->outputs);
    if (w->penalised)
        add_tangent_gain(op, w, example, out);
}

const layer_class norm_class = {
    .kind = SOTTO_LAYER_NORM,
    .name = "layer norm",
    .keeps = true,
    .add = add_norm,
    .initialise = initialise,
    .forward = forward_norm,
    .backward = backward_norm,
    .vector = vector_norm,
    .push = push,
    .pull = pull,
};

/* ---------------------------------------------------------------- group norm */

static sotto_status add_group_norm(builder *b, size_t index, operation *op, sotto_error *err)
{
    const size_t groups = op->layer.groups, channels = op->in.channels;
    if (groups == 0 || channels % groups != 0)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "network layer %zu (group norm): %zu groups of %zu channels; the groups must divide the channels",
            index, groups, channels);
    op->out = op->in;
    op->vector = 2 * channels;
    b->active = op->inputs;
    return SOTTO_OK;
}

static void forward_group_norm(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const size_t pixels = op->in.height * op->in.width, groups = op->layer.groups;
    const float *gain = weights->parameters + op->offset;
    sotto_tensor_group_norm(w->rows, pixels, op->in.channels, groups, value_in(op, w), gain,
                            gain + op->in.channels, w->kept[op->number], w->inverse[op->number],
                            value_out(op, w));
}

static void backward_group_norm(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const size_t pixels = op->in.height * op->in.width, groups = op->layer.groups;
    sotto_tensor_group_norm_backward(
        w->rows, pixels, op->in.channels, groups, weights->parameters + op->offset, w->kept[op->number],
        w->inverse[op->number], gradient_out(op, w), op->accumulate, gradient_in(op, w));
}

/* Every pixel is a row of channels with the same gain and bias. */
static void vector_group_norm(const operation *op, const sotto_workspace *w, size_t example, float *out)
{
    const size_t first = example * w->views * op->outputs;
    memset(out, 0, op->vector * sizeof *out);
    sotto_tensor_norm_gradient(w->views * op->in.height * op->in.width, op->in.channels, NULL,
                               w->kept[op->number] + first, gradient_out(op, w) + first, out,
                               out + op->in.channels);
    if (w->penalised)
        add_tangent_gain(op, w, example, out);
}

const layer_class group_norm_class = {
    .kind = SOTTO_LAYER_GROUP_NORM,
    .name = "group norm",
    .keeps = true,
    .add = add_group_norm,
    .initialise = initialise,
    .forward = forward_group_norm,
    .backward = backward_group_norm,
    .vector = vector_group_norm,
    .push = push,
    .pull = pull,
};
