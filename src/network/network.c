/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Architectures: from a list of layers to a chain of operations with widths, offsets and buffer sharing. */

#include "network/plan.h"

#include <limits.h>
#include <math.h>

#include "tensor/tensor.h"

/* cblas takes ints; and with this bound no width in bytes overflows a size_t of 32 bits. */
#define WIDEST          ((size_t)INT_MAX / 16)
#define MOST_PARAMETERS (PTRDIFF_MAX / sizeof(double))
#define MOST_CLASSES    ((size_t)UINT16_MAX + 1)

static const char *kind_name(sotto_layer_kind kind)
{
    switch (kind) {
    case SOTTO_LAYER_DENSE:
        return "dense";
    case SOTTO_LAYER_LEAKY_RELU:
        return "leaky ReLU";
    case SOTTO_LAYER_SILU:
        return "SiLU";
    case SOTTO_LAYER_TANH:
        return "tanh";
    case SOTTO_LAYER_NORM:
        return "layer norm";
    case SOTTO_LAYER_RESIDUAL:
        return "residual";
    case SOTTO_LAYER_BY_CLASS:
        return "by class";
    }
    return NULL;
}

static bool is_activation(sotto_layer_kind kind)
{
    return kind == SOTTO_LAYER_LEAKY_RELU || kind == SOTTO_LAYER_SILU || kind == SOTTO_LAYER_TANH;
}

/* Whether the way back reads the value that this operation has put out. */
static bool reads_own_output(sotto_layer_kind kind)
{
    return kind == SOTTO_LAYER_LEAKY_RELU || kind == SOTTO_LAYER_TANH;
}

/* What is known while layers are added. */
typedef struct builder {
    sotto_network *network;
    const sotto_layer *layers;
    size_t *value_of; /* [layers]: the value that holds a layer's output */
    size_t width;     /* of the last value */
    size_t active;    /* how many of its columns may differ from zero at once */
} builder;

/* Reserve `count` parameters; SOTTO_ERROR_MEMORY where their number cannot be addressed. */
static sotto_status reserve(sotto_network *network, size_t layer, size_t inputs, size_t outputs,
                            sotto_error *err)
{
    if (outputs > MOST_PARAMETERS / inputs || inputs * outputs > MOST_PARAMETERS - network->parameters)
        return sotto_error_set(
            err, SOTTO_ERROR_MEMORY,
            "network layer %zu: %zu × %zu parameters more than the %zu before are too many to address; "
            "make the layers smaller",
            layer, inputs, outputs, network->parameters);
    network->parameters += inputs * outputs;
    return SOTTO_OK;
}

static sotto_status check_width(size_t layer, size_t width, sotto_error *err)
{
    if (width == 0 || width > WIDEST)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu: %zu columns, but a layer has between 1 and %zu", layer,
                               width, WIDEST);
    return SOTTO_OK;
}

static sotto_status add_dense(builder *b, size_t index, operation *op, sotto_error *err)
{
    op->outputs = b->layers[index].outputs;
    op->zero = b->layers[index].zero;
    op->fan_in = b->active;
    sotto_status status = check_width(index, op->outputs, err);
    if (status == SOTTO_OK)
        status = reserve(b->network, index, op->inputs + 1, op->outputs, err);
    b->active = op->outputs;
    return status;
}

static sotto_status add_residual(builder *b, size_t index, operation *op, sotto_error *err)
{
    const size_t from = b->layers[index].from;
    if (from != SOTTO_LAYER_INPUT && from >= index)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "network layer %zu (residual): adds the output of layer %zu, which is not an earlier one; "
            "name a layer below %zu or the input",
            index, from, index);
    op->skip = from == SOTTO_LAYER_INPUT ? 0 : b->value_of[from];
    const operation *operations = b->network->operations;
    const size_t width = op->skip == 0 ? b->network->inputs : operations[op->skip - 1].outputs;
    if (width != op->inputs)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "network layer %zu (residual): adds %zu columns to %zu; make the two widths agree", index, width,
            op->inputs);
    b->active = width;
    return SOTTO_OK;
}

static sotto_status add_by_class(builder *b, size_t index, operation *op, sotto_error *err)
{
    const size_t classes = b->network->classes;
    if (op->inputs + 1 > WIDEST / classes)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "network layer %zu (by class): %zu columns for each of %zu classes, but a layer has at "
            "most %zu columns in all; put a narrower layer before it",
            index, op->inputs + 1, classes, WIDEST);
    op->outputs = (op->inputs + 1) * classes;
    b->active++;
    return SOTTO_OK;
}

/* Append the layer's operation, or nothing for a by-class layer without classes. */
static sotto_status add_layer(builder *b, size_t index, sotto_error *err)
{
    sotto_network *network = b->network;
    const sotto_layer *layer = &b->layers[index];
    operation *op = &network->operations[network->count];
    sotto_status status = SOTTO_OK;
    *op = (operation){.kind = layer->kind,
                      .inputs = b->width,
                      .outputs = b->width,
                      .offset = network->parameters,
                      .bias = NO_BIAS,
                      .slope = layer->slope};
    if (!kind_name(layer->kind))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "network layer %zu: unknown kind %d", index,
                               (int)layer->kind);
    if (layer->kind == SOTTO_LAYER_LEAKY_RELU && !(layer->slope >= 0.0f && layer->slope <= 1.0f))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (leaky ReLU): slope %g, but it must lie in [0, 1]", index,
                               (double)layer->slope);
    if (layer->kind == SOTTO_LAYER_DENSE)
        status = add_dense(b, index, op, err);
    else if (layer->kind == SOTTO_LAYER_RESIDUAL)
        status = add_residual(b, index, op, err);
    else if (layer->kind == SOTTO_LAYER_BY_CLASS && network->classes > 1)
        status = add_by_class(b, index, op, err);
    else if (layer->kind == SOTTO_LAYER_NORM)
        status = reserve(network, index, op->inputs, 2, err);
    if (status != SOTTO_OK)
        return status;
    if (layer->kind == SOTTO_LAYER_NORM)
        b->active = op->outputs;
    if (layer->kind != SOTTO_LAYER_BY_CLASS || network->classes > 1)
        network->count++;
    b->value_of[index] = network->count;
    b->width = op->outputs;
    return SOTTO_OK;
}

/* Whether a residual reads value `value`, from operation `from` on. */
static bool is_skipped_from(const sotto_network *network, size_t value, size_t from)
{
    for (size_t i = from; i < network->count; i++) {
        if (network->operations[i].kind == SOTTO_LAYER_RESIDUAL && network->operations[i].skip == value)
            return true;
    }
    return false;
}

/*
 * Decide what may lie on top of what. A value may be overwritten by an elementwise operation unless it is the
 * caller's input, a residual reads it, or the operation before needs it on the way back. A gradient may be,
 * unless a residual adds to it: that residual comes first on the way back, and the rest is accumulated.
 */
static void share_buffers(sotto_network *network)
{
    network->first_parametric = network->count;
    for (size_t i = network->count; i-- > 0;) {
        operation *op = &network->operations[i];
        const operation *before = i > 0 ? op - 1 : NULL;
        const bool elementwise = is_activation(op->kind) || op->kind == SOTTO_LAYER_RESIDUAL;
        op->accumulate = is_skipped_from(network, i, 0);
        op->in_place = elementwise && before && !op->accumulate && !reads_own_output(before->kind);
        op->gradient_in_place = elementwise && !op->accumulate;
        if (op->kind == SOTTO_LAYER_RESIDUAL)
            op->accumulate_skip = is_skipped_from(network, op->skip, i + 1);
        if (op->in_place && is_activation(op->kind) && before->kind == SOTTO_LAYER_DENSE) {
            op->bias = before->offset + before->inputs * before->outputs;
            network->operations[i - 1].bias_follows = true;
        }
        if (has_parameters(op->kind))
            network->first_parametric = i;
        network->widest = op->outputs > network->widest ? op->outputs : network->widest;
    }
}

static sotto_status check_arguments(size_t inputs, size_t classes, size_t count, sotto_error *err)
{
    if (inputs == 0 || inputs > WIDEST)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network: %zu input columns, but there must be between 1 and %zu", inputs,
                               WIDEST);
    if (classes > MOST_CLASSES)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "network: %zu classes, but there may be at most %zu",
                               classes, MOST_CLASSES);
    if (count == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "network: no layers; give at least one");
    return SOTTO_OK;
}

sotto_status sotto_network_create(sotto_network **network, size_t inputs, size_t classes,
                                  const sotto_layer *layers, size_t count, sotto_error *err)
{
    sotto_arena *arena = NULL;
    *network = NULL;
    sotto_tensor_initialise(); /* no product runs without a network */
    sotto_status status = check_arguments(inputs, classes, count, err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    builder b = {.layers = layers, .width = inputs, .active = inputs};
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
    made->classes = classes > 1 ? classes : 1;
    status = SOTTO_OK;
    for (size_t i = 0; i < count && status == SOTTO_OK; i++)
        status = add_layer(&b, i, err);
    if (status != SOTTO_OK)
        goto done;
    made->outputs = b.width;
    share_buffers(made);
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

static void initialise_dense(const operation *op, sotto_stream *stream, float *parameters)
{
    const size_t weights = op->inputs * op->outputs;
    const double bound = op->zero ? 0.0 : sqrt(3.0 / (double)op->fan_in);
    for (size_t j = 0; j < weights; j++)
        parameters[j] = op->zero ? 0.0f : (float)(bound * (2.0 * sotto_stream_uniform(stream) - 1.0));
    for (size_t j = 0; j < op->outputs; j++)
        parameters[weights + j] = 0.0f;
}

void sotto_network_initialise(const sotto_network *network, sotto_stream *stream, float *parameters)
{
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        if (op->kind == SOTTO_LAYER_DENSE)
            initialise_dense(op, stream, parameters + op->offset);
        for (size_t j = 0; op->kind == SOTTO_LAYER_NORM && j < op->outputs; j++) {
            parameters[op->offset + j] = 1.0f;
            parameters[op->offset + op->outputs + j] = 0.0f;
        }
    }
}
