/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Architectures: from a list of layers to a chain of operations with shapes, offsets and buffer sharing. */

#include "network/plan.h"

#include <limits.h>
#include <string.h>

/* cblas takes ints; and with this bound no width in bytes overflows a size_t of 32 bits. */
#define WIDEST          ((size_t)INT_MAX / 16)
#define MOST_PARAMETERS (PTRDIFF_MAX / 512) /* so that they can be addressed packed for the products, too */
#define MOST_CLASSES    ((size_t)UINT16_MAX + 1)

static const layer_class *const classes[] = {
    &dense_class,           &leaky_relu_class, &silu_class,    &tanh_class,    &norm_class,  &residual_class,
    &by_class_class,        &concat_class,     &dropout_class, &softmax_class, &image_class, &conv_class,
    &conv_transposed_class, &group_norm_class, &sample_class,
};

static const layer_class *class_of(sotto_layer_kind kind)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i]->kind == kind)
            return classes[i];
    return NULL;
}

/* ------------------------------------------------------------- adding layers */

sotto_status check_width(size_t layer, size_t width, sotto_error *err)
{
    if (width == 0 || width > WIDEST)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu: %zu columns, but a layer has between 1 and %zu", layer,
                               width, WIDEST);
    return SOTTO_OK;
}

sotto_status find_joined(builder *b, size_t index, operation *op, size_t *width, sotto_error *err)
{
    const size_t from = b->layers[index].from;
    if (from != SOTTO_LAYER_INPUT && from >= index)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "network layer %zu (%s): reads the output of layer %zu, which is not an earlier "
            "one; name a layer below %zu or the input",
            index, op->class->name, from, index);
    op->skip = from == SOTTO_LAYER_INPUT ? 0 : b->value_of[from];
    *width = op->skip == 0 ? b->network->inputs : b->network->operations[op->skip - 1].outputs;
    return SOTTO_OK;
}

/* Give the operation its parameters; SOTTO_ERROR_MEMORY where their number cannot be addressed. */
static sotto_status reserve(sotto_network *network, size_t layer, operation *op, sotto_error *err)
{
    size_t count = 0;
    op->offset = network->parameters;
    if (!has_parameters(op))
        return SOTTO_OK;
    if (__builtin_mul_overflow(op->left, op->right, &count) ||
        __builtin_mul_overflow(count, op->groups, &count) ||
        __builtin_add_overflow(count, op->vector, &count) || count > MOST_PARAMETERS ||
        network->parameters > MOST_PARAMETERS - count)
        return sotto_error_set(
            err, SOTTO_ERROR_MEMORY,
            "network layer %zu: %zu × %zu parameters more than the %zu before are too many to address; "
            "make the layers smaller",
            layer, op->left, op->right, network->parameters);
    network->parameters += count;
    op->block = network->blocks++;
    op->packed = network->packed;
    network->packed += op->groups * packed_floats(op);
    if (op->vector > network->most_vector)
        network->most_vector = op->vector;
    if (op->left * op->right > network->most_matrix)
        network->most_matrix = op->left * op->right;
    return SOTTO_OK;
}

/* Append the layer's operation, or nothing for a layer that computes nothing. */
static sotto_status add_layer(builder *b, size_t index, sotto_error *err)
{
    sotto_network *network = b->network;
    const sotto_layer *layer = &b->layers[index];
    operation *op = &network->operations[network->count];
    *op = (operation){.class = class_of(layer->kind),
                      .layer = *layer,
                      .number = network->count,
                      .index = index,
                      .in = b->shape,
                      .inputs = columns_of(b->shape),
                      .bias = NO_BIAS};
    if (!op->class)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "network layer %zu: unknown kind %d", index,
                               (int)layer->kind);
    const bool by_one_class = layer->kind == SOTTO_LAYER_BY_CLASS && network->classes == 1;
    op->out = op->in;
    sotto_status status = by_one_class ? SOTTO_OK : op->class->add(b, index, op, err);
    op->outputs = columns_of(op->out);
    if (status == SOTTO_OK)
        status = reserve(network, index, op, err);
    if (status != SOTTO_OK)
        return status;
    if (op->class->forward && !by_one_class)
        network->count++;
    b->value_of[index] = network->count;
    b->shape = op->out;
    return SOTTO_OK;
}

/* ------------------------------------------------------------ sharing buffers */

/* Whether something joins value `value` in, from operation `from` on. */
static bool is_joined_from(const sotto_network *network, size_t value, size_t from)
{
    for (size_t i = from; i < network->count; i++) {
        if (network->operations[i].class->joins && network->operations[i].skip == value)
            return true;
    }
    return false;
}

/*
 * Decide what may lie on top of what. A value may be overwritten by an elementwise operation unless it is the
 * caller's input, another reads it too, or the operation before needs it on the way back. A gradient may be,
 * unless a join adds to it: that join comes first on the way back, and the rest is accumulated.
 */
static void share_buffers(sotto_network *network)
{
    network->first_parametric = network->count;
    for (size_t i = network->count; i-- > 0;) {
        operation *op = &network->operations[i];
        const operation *before = i > 0 ? op - 1 : NULL;
        const bool elementwise = op->class->elementwise;
        op->accumulate = is_joined_from(network, i, 0);
        op->in_place = elementwise && before && !op->accumulate && !before->class->reads_output;
        op->gradient_in_place = elementwise && !op->accumulate;
        if (op->class->joins)
            op->accumulate_skip = is_joined_from(network, op->skip, i + 1);
        if (op->in_place && op->class->adds_bias && before->class == &dense_class) {
            op->bias = before->offset + matrix_parameters(before);
            network->operations[i - 1].bias_follows = true;
        }
        if (has_parameters(op))
            network->first_parametric = i;
        network->widest = op->outputs > network->widest ? op->outputs : network->widest;
    }
}

/* Which operations can read rows by their entries: nothing else may read the same value. */
static void find_gathers(sotto_network *network)
{
    operation *first = network->operations;
    operation *dense = first;
    if (network->count > 1 && first->class == &by_class_class)
        dense = first + 1;
    if (network->count == 0 || dense->class != &dense_class || is_joined_from(network, 0, 0) ||
        (dense != first && is_joined_from(network, 1, 0)))
        return;
    first->takes_entries = dense->takes_entries = true;
}

/* ------------------------------------------------------------------- network */

static sotto_status check_arguments(size_t inputs, size_t class_count, size_t count, sotto_error *err)
{
    if (inputs == 0 || inputs > WIDEST)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network: %zu input columns, but there must be between 1 and %zu", inputs,
                               WIDEST);
    if (class_count > MOST_CLASSES)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "network: %zu classes, but there may be at most %zu",
                               class_count, MOST_CLASSES);
    if (count == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "network: no layers; give at least one");
    return SOTTO_OK;
}

sotto_status sotto_network_create(sotto_network **network, size_t inputs, size_t class_count,
                                  const sotto_layer *layers, size_t count, sotto_error *err)
{
    sotto_arena *arena = NULL;
    *network = NULL;
    sotto_status status = check_arguments(inputs, class_count, count, err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    builder b = {.layers = layers, .shape = flat(inputs), .active = inputs};
    sotto_network *made = sotto_arena_take(arena, 1, sizeof *made, err);
    status = SOTTO_ERROR_MEMORY;
    if (!made)
        goto done;
    b.network = made;
    b.value_of = sotto_arena_take(arena, count, sizeof *b.value_of, err);
    made->operations = sotto_arena_take(arena, count, sizeof *made->operations, err);
    if (!b.value_of || !made->operations)
        goto done;
    made->arena = arena;
    made->inputs = made->widest = inputs;
    made->classes = class_count > 1 ? class_count : 1;
    status = SOTTO_OK;
    for (size_t i = 0; i < count && status == SOTTO_OK; i++)
        status = add_layer(&b, i, err);
    if (status != SOTTO_OK)
        goto done;
    made->outputs = columns_of(b.shape);
    share_buffers(made);
    find_gathers(made);
    *network = made;
done:
    if (status != SOTTO_OK)
        sotto_arena_destroy(arena);
    return status;
}

void sotto_network_destroy(sotto_network *network)
{
    if (network)
        sotto_arena_destroy(network->arena);
}

size_t sotto_network_inputs(const sotto_network *network)
{
    return network->inputs;
}

size_t sotto_network_outputs(const sotto_network *network)
{
    return network->outputs;
}

size_t sotto_network_classes(const sotto_network *network)
{
    return network->classes;
}

size_t sotto_network_parameters(const sotto_network *network)
{
    return network->parameters;
}

size_t sotto_network_blocks(const sotto_network *network)
{
    return network->blocks;
}

void sotto_network_initialise(const sotto_network *network, sotto_stream *stream, float *parameters)
{
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        if (op->class->initialise)
            op->class->initialise(op, stream, parameters + op->offset);
    }
}
