/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The network room's formulas once more, one example at a time in float64: plain loops over the layers as the
 * caller wrote them, no matrix products, no buffers shared, and no backward pass at all.
 */

#include "test_network.h"

#define DENSE(n)                                                                                             \
    {                                                                                                        \
        .kind = SOTTO_LAYER_DENSE, .outputs = (n)                                                            \
    }
#define LEAKY(s)                                                                                             \
    {                                                                                                        \
        .kind = SOTTO_LAYER_LEAKY_RELU, .slope = (s)                                                         \
    }
#define SILU                                                                                                 \
    {                                                                                                        \
        .kind = SOTTO_LAYER_SILU                                                                             \
    }
#define TANH                                                                                                 \
    {                                                                                                        \
        .kind = SOTTO_LAYER_TANH                                                                             \
    }
#define NORM                                                                                                 \
    {                                                                                                        \
        .kind = SOTTO_LAYER_NORM                                                                             \
    }
#define RESIDUAL(l)                                                                                          \
    {                                                                                                        \
        .kind = SOTTO_LAYER_RESIDUAL, .from = (l)                                                            \
    }
#define BY_CLASS                                                                                             \
    {                                                                                                        \
        .kind = SOTTO_LAYER_BY_CLASS                                                                         \
    }

const plan plans[] = {
    {"dense", 5, 0, 1, {DENSE(3)}},
    {"discriminator", 9, 0, 5, {DENSE(17), LEAKY(0.2f), DENSE(16), LEAKY(0.2f), DENSE(1)}},
    {"relu", 6, 0, 3, {DENSE(8), LEAKY(0.0f), DENSE(2)}},
    {"silu", 6, 0, 4, {DENSE(8), SILU, DENSE(7), SILU}},
    {"tanh", 6, 0, 4, {DENSE(8), TANH, DENSE(3), TANH}},
    {"norm", 6, 0, 4, {DENSE(18), NORM, LEAKY(0.2f), DENSE(2)}},
    {"norm at both ends", 7, 0, 3, {NORM, DENSE(19), NORM}},
    {"residual of the input", 8, 0, 4, {DENSE(8), RESIDUAL(SOTTO_LAYER_INPUT), TANH, DENSE(2)}},
    {"residual norm block",
     4,
     0,
     8,
     {DENSE(9), NORM, SILU, DENSE(11), SILU, DENSE(9), RESIDUAL(0), DENSE(3)}},
    {"two residuals of one layer",
     4,
     0,
     9,
     {DENSE(6), TANH, DENSE(6), RESIDUAL(1), LEAKY(0.1f), DENSE(6), RESIDUAL(1), SILU, DENSE(2)}},
    {"residual of a residual",
     5,
     0,
     6,
     {DENSE(5), RESIDUAL(SOTTO_LAYER_INPUT), DENSE(5), RESIDUAL(1), NORM, DENSE(1)}},
    {"residual of the layer before", 5, 0, 4, {DENSE(4), RESIDUAL(0), LEAKY(0.3f), DENSE(2)}},
    {"residual of what is activated next", 5, 0, 5, {DENSE(4), SILU, DENSE(4), RESIDUAL(0), DENSE(2)}},
    {"residual of what is leaky next", 5, 0, 5, {DENSE(4), LEAKY(0.2f), DENSE(4), RESIDUAL(0), TANH}},
    {"residual around an activation", 5, 0, 4, {DENSE(4), TANH, RESIDUAL(0), DENSE(3)}},
    {"residual of what is normed next", 5, 0, 5, {DENSE(4), NORM, DENSE(4), RESIDUAL(0), DENSE(2)}},
    {"residual onto tanh", 5, 0, 5, {DENSE(4), DENSE(4), TANH, RESIDUAL(0), DENSE(2)}},
    {"activation first", 6, 0, 3, {TANH, LEAKY(0.2f), DENSE(3)}},
    {"residual before any parameter", 6, 0, 4, {SILU, RESIDUAL(SOTTO_LAYER_INPUT), DENSE(6), RESIDUAL(0)}},
    {"activations in a row", 6, 0, 5, {DENSE(5), SILU, TANH, LEAKY(0.2f), DENSE(2)}},
    {"by class", 6, 3, 4, {DENSE(7), LEAKY(0.2f), BY_CLASS, DENSE(2)}},
    {"by class first", 4, 3, 4, {BY_CLASS, DENSE(7), TANH, DENSE(1)}},
    {"by class last", 4, 2, 3, {DENSE(5), TANH, BY_CLASS}},
    {"by class twice", 3, 2, 5, {BY_CLASS, DENSE(5), SILU, BY_CLASS, DENSE(2)}},
    {"by class beside a residual", 4, 3, 6, {DENSE(5), BY_CLASS, DENSE(5), RESIDUAL(0), TANH, DENSE(2)}},
    {"by class without classes", 4, 1, 6, {BY_CLASS, DENSE(5), BY_CLASS, TANH, RESIDUAL(2), DENSE(2)}},
    {"wide", 40, 0, 5, {DENSE(48), LEAKY(0.2f), DENSE(33), SILU, DENSE(1)}},
};
const size_t plan_count = sizeof plans / sizeof *plans;

static const double *dense(const double *parameters, size_t inputs, size_t outputs, const double *x,
                           double *y)
{
    for (size_t j = 0; j < outputs; j++) {
        y[j] = parameters[inputs * outputs + j];
        for (size_t i = 0; i < inputs; i++)
            y[j] += x[i] * parameters[i * outputs + j];
    }
    return parameters + (inputs + 1) * outputs;
}

static const double *norm(const double *parameters, size_t n, const double *x, double *y)
{
    double mean = 0.0, variance = 0.0;
    for (size_t j = 0; j < n; j++)
        mean += x[j] / (double)n;
    for (size_t j = 0; j < n; j++)
        variance += (x[j] - mean) * (x[j] - mean) / (double)n;
    for (size_t j = 0; j < n; j++)
        y[j] = parameters[j] * (x[j] - mean) / sqrt(variance + 1e-5) + parameters[n + j];
    return parameters + 2 * n;
}

static double activation(const sotto_layer *layer, double x)
{
    if (layer->kind == SOTTO_LAYER_LEAKY_RELU)
        return x > 0.0 ? x : (double)layer->slope * x;
    return layer->kind == SOTTO_LAYER_TANH ? tanh(x) : x / (1.0 + exp(-x));
}

size_t reference_forward(const plan *p, const double *parameters, const double *input, size_t class_of,
                         double *output)
{
    /* One row each for the input and every layer: nothing is ever overwritten. */
    static double values[13][MOST_COLUMNS];
    size_t widths[13] = {p->inputs};
    memcpy(values[0], input, p->inputs * sizeof *input);
    for (size_t l = 0; l < p->count; l++) {
        const sotto_layer *layer = &p->layers[l];
        const double *x = values[l];
        double *y = values[l + 1];
        const size_t n = widths[l];
        widths[l + 1] = n;
        memcpy(y, x, n * sizeof *y);
        if (layer->kind == SOTTO_LAYER_DENSE) {
            widths[l + 1] = layer->outputs;
            parameters = dense(parameters, n, layer->outputs, x, y);
        } else if (layer->kind == SOTTO_LAYER_NORM) {
            parameters = norm(parameters, n, x, y);
        } else if (layer->kind == SOTTO_LAYER_RESIDUAL) {
            const double *other = values[layer->from == SOTTO_LAYER_INPUT ? 0 : layer->from + 1];
            for (size_t j = 0; j < n; j++)
                y[j] += other[j];
        } else if (layer->kind == SOTTO_LAYER_BY_CLASS) {
            widths[l + 1] = p->classes > 1 ? (n + 1) * p->classes : n;
            for (size_t j = 0; p->classes > 1 && j < widths[l + 1]; j++)
                y[j] = j / n == class_of && j < n * p->classes ? x[j % n]
                       : j == n * p->classes + class_of        ? 1.0
                                                               : 0.0;
        } else {
            for (size_t j = 0; j < n; j++)
                y[j] = activation(layer, x[j]);
        }
    }
    memcpy(output, values[p->count], widths[p->count] * sizeof *output);
    return widths[p->count];
}

/* Σ_j direction[j]·output[j]. */
static double objective(const plan *p, const double *parameters, const double *input, size_t class_of,
                        const float *direction)
{
    double output[MOST_COLUMNS], sum = 0.0;
    const size_t outputs = reference_forward(p, parameters, input, class_of, output);
    for (size_t j = 0; j < outputs; j++)
        sum += (double)direction[j] * output[j];
    return sum;
}

void reference_gradient(const plan *p, size_t parameter_count, const float *parameters, const float *input,
                        size_t class_of, const float *direction, double *gradient, double *input_gradient)
{
    enum { MOST_PARAMETERS = 8192 };
    static double point[MOST_PARAMETERS], x[MOST_COLUMNS];
    const double step = 1e-6;
    ck_assert_uint_le(parameter_count, MOST_PARAMETERS);
    for (size_t j = 0; j < parameter_count; j++)
        point[j] = (double)parameters[j];
    for (size_t j = 0; j < p->inputs; j++)
        x[j] = (double)input[j];
    for (size_t j = 0; j < parameter_count + (input_gradient ? p->inputs : 0); j++) {
        double *at = j < parameter_count ? &point[j] : &x[j - parameter_count];
        const double before = *at;
        *at = before + step;
        const double above = objective(p, point, x, class_of, direction);
        *at = before - step;
        const double below = objective(p, point, x, class_of, direction);
        *at = before;
        *(j < parameter_count ? &gradient[j] : &input_gradient[j - parameter_count]) =
            (above - below) / (2.0 * step);
    }
}
