/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Convolutions, one row at a time: the patches under the kernel become rows of a matrix ("im2col"), and the
 * rest is a matrix product. A transposed convolution is the same the other way round: a product first, whose
 * rows are patches that are added into the output. Channels may fall into groups, each with a matrix of its
 * own.
 */

#include "network/plan.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ geometry */

/* The sliding kernel: over `image` (which it reads, or which a transposed one adds to) at `out` positions. */
static sotto_tensor_patches patches_of(const operation *op, shape image, shape positions)
{
    return (sotto_tensor_patches){.height = image.height,
                                  .width = image.width,
                                  .channels = image.channels,
                                  .kernel = op->layer.kernel,
                                  .stride = op->layer.stride,
                                  .padding = op->layer.padding,
                                  .out_height = positions.height,
                                  .out_width = positions.width};
}

static sotto_status check_conv(size_t index, const operation *op, sotto_error *err)
{
    const sotto_layer *l = &op->layer;
    const char *name = op->class->name;
    if (l->kernel == 0 || l->stride == 0 || l->padding >= l->kernel)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (%s): kernel %zu, stride %zu, padding %zu; kernel and "
                               "stride must be at least 1 and the padding below the kernel",
                               index, name, l->kernel, l->stride, l->padding);
    if (l->groups == 0 || op->in.channels % l->groups != 0 || l->outputs % l->groups != 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (%s): %zu groups of %zu channels in and %zu out; the "
                               "groups must divide both",
                               index, name, l->groups, op->in.channels, l->outputs);
    return SOTTO_OK;
}

/* The image after the layer; its columns checked. */
static sotto_status take_shape(size_t index, operation *op, size_t height, size_t width, sotto_error *err)
{
    const size_t channels = op->layer.outputs;
    size_t columns = 0;
    op->out = (shape){height, width, channels};
    if (__builtin_mul_overflow(height, width, &columns) ||
        __builtin_mul_overflow(columns, channels, &columns))
        columns = SIZE_MAX;
    return check_width(index, columns, err);
}

static sotto_status take_matrices(size_t index, builder *b, operation *op, size_t channels,
                                  size_t other_channels, sotto_error *err)
{
    size_t patch = 0;
    if (__builtin_mul_overflow(op->layer.kernel, op->layer.kernel, &patch) ||
        __builtin_mul_overflow(patch, channels / op->layer.groups, &patch) ||
        check_width(index, patch, NULL) != SOTTO_OK)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (%s): a patch of %zu × %zu pixels is too large", index,
                               op->class->name, op->layer.kernel, op->layer.kernel);
    op->groups = op->layer.groups;
    op->left = patch;
    op->right = other_channels / op->layer.groups;
    op->vector = op->layer.outputs;
    b->active = columns_of(op->out);
    return SOTTO_OK;
}

static sotto_status add_conv(builder *b, size_t index, operation *op, sotto_error *err)
{
    const sotto_layer *l = &op->layer;
    const size_t height = op->in.height + 2 * l->padding, width = op->in.width + 2 * l->padding;
    sotto_status status = check_conv(index, op, err);
    if (status != SOTTO_OK)
        return status;
    if (l->padding > height || l->kernel > height || l->kernel > width)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (conv): a kernel of %zu does not fit an image of %zu × %zu "
                               "padded by %zu",
                               index, l->kernel, op->in.height, op->in.width, l->padding);
    status =
        take_shape(index, op, (height - l->kernel) / l->stride + 1, (width - l->kernel) / l->stride + 1, err);
    if (status == SOTTO_OK)
        status = take_matrices(index, b, op, op->in.channels, l->outputs, err);
    op->positions = op->out.height * op->out.width;
    op->fan_in = op->left;
    return status;
}

static sotto_status add_conv_transposed(builder *b, size_t index, operation *op, sotto_error *err)
{
    const sotto_layer *l = &op->layer;
    sotto_status status = check_conv(index, op, err);
    if (status != SOTTO_OK)
        return status;
    size_t side[2] = {op->in.height, op->in.width};
    for (size_t i = 0; i < 2; i++) {
        if (__builtin_mul_overflow(side[i] - 1, l->stride, &side[i]) ||
            __builtin_add_overflow(side[i], l->kernel, &side[i]) || side[i] <= 2 * l->padding)
            return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                   "network layer %zu (transposed conv): kernel %zu, stride %zu and padding "
                                   "%zu make no image of %zu × %zu",
                                   index, l->kernel, l->stride, l->padding, op->in.height, op->in.width);
        side[i] -= 2 * l->padding;
    }
    status = take_shape(index, op, side[0], side[1], err);
    if (status == SOTTO_OK)
        status = take_matrices(index, b, op, l->outputs, op->in.channels, err);
    if (status != SOTTO_OK)
        return status;
    const size_t patch = op->left;
    op->left = op->right;
    op->right = patch;
    op->positions = op->in.height * op->in.width;
    op->fan_in = op->left;
    return SOTTO_OK;
}

static void initialise(const operation *op, sotto_stream *stream, float *parameters)
{
    const size_t weights = matrix_parameters(op);
    const double bound = sqrt(3.0 / (double)op->fan_in);
    for (size_t j = 0; j < weights; j++)
        parameters[j] = (float)(bound * (2.0 * sotto_stream_uniform(stream) - 1.0));
    for (size_t j = 0; j < op->vector; j++)
        parameters[weights + j] = 0.0f;
}

/* The two packed forms of a group's matrix: as stored, and transposed. */
static const float *packed_of(const operation *op, const sotto_weights *weights, size_t group,
                              bool transposed)
{
    return weights->packed + op->packed + group * packed_floats(op) +
           (transposed ? sotto_tensor_packed_count(op->left, op->right) : 0);
}

/* --------------------------------------------------------------------- image */

static sotto_status add_image(builder *b, size_t index, operation *op, sotto_error *err)
{
    const sotto_layer *l = &op->layer;
    size_t pixels = 0, columns = 0;
    (void)b;
    if (__builtin_mul_overflow(l->height, l->width, &pixels) ||
        __builtin_mul_overflow(pixels, l->channels, &columns) || columns != op->inputs)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (image): %zu columns are no image of %zu × %zu pixels and "
                               "%zu channels",
                               index, op->inputs, l->height, l->width, l->channels);
    op->out = (shape){l->height, l->width, l->channels};
    return SOTTO_OK;
}

const layer_class image_class = {.kind = SOTTO_LAYER_IMAGE, .name = "image", .add = add_image};

/* ---------------------------------------------------------------------- conv */

static void forward_conv(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const sotto_tensor_patches patches = patches_of(op, op->in, op->out);
    const size_t channels = op->in.channels / op->groups;
    const float *bias = weights->parameters + op->offset + matrix_parameters(op);
    for (size_t r = 0; r < w->rows; r++) {
        const float *x = value_in(op, w) + r * op->inputs;
        float *y = value_out(op, w) + r * op->outputs;
        for (size_t g = 0; g < op->groups; g++) {
            sotto_tensor_to_patches(&patches, g * channels, channels, x, w->left);
            sotto_tensor_product(op->positions, op->right, op->left, w->left, op->left,
                                 packed_of(op, weights, g, false), false, y + g * op->right,
                                 op->out.channels);
        }
        if (!w->is_tangent)
            sotto_tensor_bias(op->positions, op->out.channels, bias, y);
    }
}

static void backward_conv(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const sotto_tensor_patches patches = patches_of(op, op->in, op->out);
    const size_t channels = op->in.channels / op->groups;
    for (size_t r = 0; r < w->rows; r++) {
        const float *dy = gradient_out(op, w) + r * op->outputs;
        float *dx = gradient_in(op, w) + r * op->inputs;
        if (!op->accumulate)
            memset(dx, 0, op->inputs * sizeof *dx);
        for (size_t g = 0; g < op->groups; g++) {
            sotto_tensor_product(op->positions, op->left, op->right, dy + g * op->right, op->out.channels,
                                 packed_of(op, weights, g, true), false, w->left, op->left);
            sotto_tensor_from_patches(&patches, g * channels, channels, w->left, dx);
        }
    }
}

static void own_conv(const operation *op, sotto_workspace *w, size_t example, size_t group, pairs *out)
{
    const sotto_tensor_patches patches = patches_of(op, op->in, op->out);
    const size_t channels = op->in.channels / op->groups, first = example * w->views;
    for (size_t v = 0; v < w->views; v++)
        sotto_tensor_to_patches(&patches, group * channels, channels,
                                value_in(op, w) + (first + v) * op->inputs,
                                w->left + v * op->positions * op->left);
    *out = (pairs){.a = w->left,
                   .b = gradient_out(op, w) + first * op->outputs + group * op->right,
                   .a_stride = op->left,
                   .b_stride = op->out.channels,
                   .count = w->views * op->positions};
}

static void matrix_conv(const operation *op, sotto_workspace *w, size_t example, size_t group, pairs *out)
{
    own_conv(op, w, example, group, out);
    if (w->penalised)
        join_tangents(op, w, example, group, own_conv, out);
}

/* The bias is added at every pixel of the output. */
static void vector_conv(const operation *op, const sotto_workspace *w, size_t example, float *out)
{
    memset(out, 0, op->vector * sizeof *out);
    sotto_tensor_column_sums(w->views * op->out.height * op->out.width, op->vector,
                             gradient_out(op, w) + example * w->views * op->outputs, out);
}

const layer_class conv_class = {
    .kind = SOTTO_LAYER_CONV,
    .name = "conv",
    .reads_input = true,
    .affine = true,
    .add = add_conv,
    .initialise = initialise,
    .forward = forward_conv,
    .backward = backward_conv,
    .matrix = matrix_conv,
    .vector = vector_conv,
};

/* ----------------------------------------------------------- transposed conv */

static void forward_transposed(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const sotto_tensor_patches patches = patches_of(op, op->out, op->in);
    const size_t channels = op->out.channels / op->groups;
    const float *bias = weights->parameters + op->offset + matrix_parameters(op);
    for (size_t r = 0; r < w->rows; r++) {
        const float *x = value_in(op, w) + r * op->inputs;
        float *y = value_out(op, w) + r * op->outputs;
        memset(y, 0, op->outputs * sizeof *y);
        for (size_t g = 0; g < op->groups; g++) {
            sotto_tensor_product(op->positions, op->right, op->left, x + g * op->left, op->in.channels,
                                 packed_of(op, weights, g, false), false, w->right, op->right);
            sotto_tensor_from_patches(&patches, g * channels, channels, w->right, y);
        }
        if (!w->is_tangent)
            sotto_tensor_bias(op->out.height * op->out.width, op->out.channels, bias, y);
    }
}

static void backward_transposed(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    const sotto_tensor_patches patches = patches_of(op, op->out, op->in);
    const size_t channels = op->out.channels / op->groups;
    for (size_t r = 0; r < w->rows; r++) {
        const float *dy = gradient_out(op, w) + r * op->outputs;
        float *dx = gradient_in(op, w) + r * op->inputs;
        for (size_t g = 0; g < op->groups; g++) {
            sotto_tensor_to_patches(&patches, g * channels, channels, dy, w->right);
            sotto_tensor_product(op->positions, op->left, op->right, w->right, op->right,
                                 packed_of(op, weights, g, true), op->accumulate, dx + g * op->left,
                                 op->in.channels);
        }
    }
}

static void own_transposed(const operation *op, sotto_workspace *w, size_t example, size_t group, pairs *out)
{
    const sotto_tensor_patches patches = patches_of(op, op->out, op->in);
    const size_t channels = op->out.channels / op->groups, first = example * w->views;
    for (size_t v = 0; v < w->views; v++)
        sotto_tensor_to_patches(&patches, group * channels, channels,
                                gradient_out(op, w) + (first + v) * op->outputs,
                                w->right + v * op->positions * op->right);
    *out = (pairs){.a = value_in(op, w) + first * op->inputs + group * op->left,
                   .b = w->right,
                   .a_stride = op->in.channels,
                   .b_stride = op->right,
                   .count = w->views * op->positions};
}

static void matrix_transposed(const operation *op, sotto_workspace *w, size_t example, size_t group,
                              pairs *out)
{
    own_transposed(op, w, example, group, out);
    if (w->penalised)
        join_tangents(op, w, example, group, own_transposed, out);
}

const layer_class conv_transposed_class = {
    .kind = SOTTO_LAYER_CONV_TRANSPOSED,
    .name = "transposed conv",
    .reads_input = true,
    .affine = true,
    .add = add_conv_transposed,
    .initialise = initialise,
    .forward = forward_transposed,
    .backward = backward_transposed,
    .matrix = matrix_transposed,
    .vector = vector_conv,
};
