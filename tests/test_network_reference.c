/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The network room's formulas once more, one row at a time in float64: plain loops over the layers as the
 * caller wrote them, no matrix products, no buffers shared, and no backward pass at all.
 */

#include "test_network.h"

/* What stands after a layer: its columns, and the image that they are. */
typedef struct stage {
    size_t columns, height, width, channels;
    double values[MOST_COLUMNS];
} stage;

static void resize(stage *to, size_t height, size_t width, size_t channels)
{
    to->height = height;
    to->width = width;
    to->channels = channels;
    to->columns = height * width * channels;
    if (to->columns >
        MOST_COLUMNS) /* no assertion: Check writes down each that holds, and these are millions */
        ck_abort_msg("%zu columns, and MOST_COLUMNS are %d", to->columns, (int)MOST_COLUMNS);
    memset(to->values, 0, to->columns * sizeof *to->values);
}

static const double *dense(const sotto_layer *layer, const double *parameters, const stage *x, stage *y)
{
    const size_t inputs = x->columns, outputs = layer->outputs;
    resize(y, 1, 1, outputs);
    for (size_t j = 0; j < outputs; j++) {
        y->values[j] = parameters[inputs * outputs + j];
        for (size_t i = 0; i < inputs; i++)
            y->values[j] += x->values[i] * parameters[i * outputs + j];
    }
    return parameters + (inputs + 1) * outputs;
}

/* Group norm; layer norm is one group of one pixel. */
static const double *norm(const double *parameters, size_t pixels, size_t channels, size_t groups,
                          const stage *x, stage *y)
{
    const size_t width = channels / groups;
    const double count = (double)(width * pixels);
    for (size_t g = 0; g < groups; g++) {
        double mean = 0.0, variance = 0.0;
        for (size_t j = 0; j < x->columns; j++)
            mean += j % channels / width == g ? x->values[j] / count : 0.0;
        for (size_t j = 0; j < x->columns; j++)
            variance +=
                j % channels / width == g ? (x->values[j] - mean) * (x->values[j] - mean) / count : 0.0;
        for (size_t j = 0; j < x->columns; j++)
            if (j % channels / width == g)
                y->values[j] = parameters[j % channels] * (x->values[j] - mean) / sqrt(variance + 1e-5) +
                               parameters[channels + j % channels];
    }
    return parameters + 2 * channels;
}

static double *pixel(stage *image, size_t row, size_t column, size_t channel)
{
    return &image->values[(row * image->width + column) * image->channels + channel];
}

/*
 * A conv reads pixel (row·stride + ky − padding) of `large` into pixel row of `small`; a transposed one adds
 * it the other way round. `wide` says which of the two is x.
 */
static void slide(const sotto_layer *l, bool transposed, const double *parameters, stage *large, stage *small)
{
    const size_t in = large->channels / l->groups, out = small->channels / l->groups;
    for (size_t row = 0; row < small->height; row++)
        for (size_t column = 0; column < small->width; column++)
            for (size_t k = 0; k < l->kernel * l->kernel; k++) {
                const size_t y = row * l->stride + k / l->kernel, x = column * l->stride + k % l->kernel;
                if (y < l->padding || y >= l->padding + large->height || x < l->padding ||
                    x >= l->padding + large->width)
                    continue;
                for (size_t g = 0; g < l->groups; g++)
                    for (size_t i = 0; i < in; i++)
                        for (size_t o = 0; o < out; o++) {
                            const size_t matrix = g * l->kernel * l->kernel * in * out;
                            double *far = pixel(large, y - l->padding, x - l->padding, g * in + i);
                            double *near = pixel(small, row, column, g * out + o);
                            if (transposed) /* [channels in, ky, kx, channels out] */
                                *far += *near * parameters[matrix + (o * l->kernel * l->kernel + k) * in + i];
                            else /* [ky, kx, channels in, channels out] */
                                *near += *far * parameters[matrix + (k * in + i) * out + o];
                        }
            }
}

static const double *convolve(const sotto_layer *l, const double *parameters, stage *x, stage *y)
{
    const bool transposed = l->kind == SOTTO_LAYER_CONV_TRANSPOSED;
    const size_t matrices = l->kernel * l->kernel * x->channels * l->outputs / l->groups;
    if (transposed)
        resize(y, (x->height - 1) * l->stride + l->kernel - 2 * l->padding,
               (x->width - 1) * l->stride + l->kernel - 2 * l->padding, l->outputs);
    else
        resize(y, (x->height + 2 * l->padding - l->kernel) / l->stride + 1,
               (x->width + 2 * l->padding - l->kernel) / l->stride + 1, l->outputs);
    slide(l, transposed, parameters, transposed ? y : x, transposed ? x : y);
    for (size_t j = 0; j < y->columns; j++)
        y->values[j] += parameters[matrices + j % l->outputs];
    return parameters + matrices + l->outputs;
}

static double activation(const sotto_layer *layer, double x)
{
    if (layer->kind == SOTTO_LAYER_LEAKY_RELU)
        return x > 0.0 ? x : (double)layer->slope * x;
    return layer->kind == SOTTO_LAYER_TANH ? tanh(x) : x / (1.0 + exp(-x));
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* As documented: SplitMix64 from the row's seed and the number of the operation. */
static void drop(const sotto_layer *layer, uint64_t seed, size_t operation, stage *y)
{
    const uint64_t start = mix(seed ^ mix(operation + 1));
    for (size_t j = 0; j < y->columns; j++) {
        const uint32_t bits = (uint32_t)mix(start + (j + 1) * 0x9e3779b97f4a7c15u);
        y->values[j] *= (double)bits < (double)layer->rate * 0x1p32 ? 0.0 : 1.0 / (1.0 - (double)layer->rate);
    }
}

/* As documented: Box-Muller of the same generator, two draws from 64 bits; returns the divergence. */
static double sample(const sotto_layer *layer, circumstances row, size_t operation, const stage *x, stage *y)
{
    const uint64_t start = mix(row.seed ^ mix(operation + 1));
    const size_t n = x->columns / 2;
    double divergence = 0.0;
    resize(y, 1, 1, n);
    for (size_t j = 0; j < n; j++) {
        const uint64_t bits = mix(start + (j / 2 * 2 + 1) * 0x9e3779b97f4a7c15u);
        const double angle = 2.0 * acos(-1.0) * (double)(bits & 0xffffffff) / 0x1p32;
        const double noise =
            sqrt(-2.0 * log(((double)(bits >> 32) + 0.5) / 0x1p32)) * (j % 2 == 0 ? cos(angle) : sin(angle));
        const double mean = x->values[j], v = 8.0 * tanh(x->values[n + j] / 8.0);
        y->values[j] = mean + (row.training ? noise * exp(v / 2.0) : 0.0);
        divergence += (mean * mean + exp(v) - v - 1.0) / 2.0;
    }
    return (double)layer->beta * divergence;
}

static void softmax(const sotto_layer *layer, stage *y)
{
    for (size_t i = 0; i < layer->segment_count; i++) {
        double *x = y->values + layer->segments[i].offset, sum = 0.0;
        for (size_t j = 0; j < layer->segments[i].count; j++)
            sum += exp(x[j]);
        for (size_t j = 0; j < layer->segments[i].count; j++)
            x[j] = exp(x[j]) / sum;
    }
}

static void join(const sotto_layer *layer, const stage *other, const stage *x, stage *y)
{
    if (layer->kind == SOTTO_LAYER_CONCAT)
        resize(y, 1, 1, x->columns + other->columns);
    for (size_t j = 0; j < x->columns; j++)
        y->values[j] = x->values[j];
    for (size_t j = 0; j < other->columns; j++)
        y->values[layer->kind == SOTTO_LAYER_CONCAT ? x->columns + j : j] += other->values[j];
}

static void expand(size_t classes, size_t class_of, const stage *x, stage *y)
{
    const size_t n = x->columns;
    if (classes < 2)
        return;
    resize(y, 1, 1, (n + 1) * classes);
    if (class_of >= classes)
        return;
    memcpy(y->values + class_of * n, x->values, n * sizeof(double));
    y->values[n * classes + class_of] = 1.0;
}

/* Stage `l` + 1 from stage `l`, and the layer's own loss; returns the parameters of the layers after. */
static const double *step(const plan *p, size_t l, size_t operation, const double *parameters,
                          circumstances row, stage *stages, double *loss)
{
    const sotto_layer *layer = &p->layers[l];
    stage *x = &stages[l], *y = &stages[l + 1];
    *y = *x;
    switch (layer->kind) {
    case SOTTO_LAYER_DENSE:
        return dense(layer, parameters, x, y);
    case SOTTO_LAYER_NORM:
        return norm(parameters, 1, x->columns, 1, x, y);
    case SOTTO_LAYER_GROUP_NORM:
        return norm(parameters, x->height * x->width, x->channels, layer->groups, x, y);
    case SOTTO_LAYER_CONV:
    case SOTTO_LAYER_CONV_TRANSPOSED:
        return convolve(layer, parameters, x, y);
    case SOTTO_LAYER_RESIDUAL:
    case SOTTO_LAYER_CONCAT:
        join(layer, &stages[layer->from == SOTTO_LAYER_INPUT ? 0 : layer->from + 1], x, y);
        return parameters;
    case SOTTO_LAYER_BY_CLASS:
        expand(p->classes, row.class_of, x, y);
        return parameters;
    case SOTTO_LAYER_DROPOUT:
        if (row.training)
            drop(layer, row.seed, operation, y);
        return parameters;
    case SOTTO_LAYER_SAMPLE:
        *loss += sample(layer, row, operation, x, y);
        return parameters;
    case SOTTO_LAYER_SOFTMAX:
        softmax(layer, y);
        return parameters;
    case SOTTO_LAYER_IMAGE:
        y->height = layer->height;
        y->width = layer->width;
        y->channels = layer->channels;
        return parameters;
    default:
        for (size_t j = 0; j < x->columns; j++)
            y->values[j] = activation(layer, x->values[j]);
        return parameters;
    }
}

/* The output, and what layers add to the row's loss. */
static size_t walk(const plan *p, const double *parameters, const double *input, circumstances row,
                   double *output, double *loss)
{
    /* One for the input and one for each layer: nothing is ever overwritten. */
    static stage stages[MOST_LAYERS + 1];
    size_t operation = 0;
    resize(&stages[0], 1, 1, p->inputs);
    memcpy(stages[0].values, input, p->inputs * sizeof *input);
    for (size_t l = 0; l < p->count; l++) {
        const bool nothing = p->layers[l].kind == SOTTO_LAYER_IMAGE ||
                             (p->layers[l].kind == SOTTO_LAYER_BY_CLASS && p->classes < 2);
        parameters = step(p, l, operation, parameters, row, stages, loss);
        operation += !nothing;
    }
    const stage *last = &stages[p->count];
    memcpy(output, last->values, last->columns * sizeof *output);
    return last->columns;
}

size_t reference_forward(const plan *p, const double *parameters, const double *input, circumstances row,
                         double *output)
{
    double loss = 0.0;
    return walk(p, parameters, input, row, output, &loss);
}

/* Σ_j direction[j]·output[j], and the layers' own losses. */
static double objective(const plan *p, const double *parameters, const double *input, circumstances row,
                        const float *direction)
{
    double output[MOST_COLUMNS], sum = 0.0;
    const size_t outputs = walk(p, parameters, input, row, output, &sum);
    for (size_t j = 0; j < outputs; j++)
        sum += (double)direction[j] * output[j];
    return sum;
}

void reference_gradient(const plan *p, size_t parameter_count, const float *parameters, const float *input,
                        circumstances row, const float *direction, double *gradient, double *input_gradient)
{
    static double point[MOST_PARAMETERS], x[MOST_COLUMNS];
    const double step_size = 1e-6;
    ck_assert_uint_le(parameter_count, MOST_PARAMETERS);
    for (size_t j = 0; j < parameter_count; j++)
        point[j] = (double)parameters[j];
    for (size_t j = 0; j < p->inputs; j++)
        x[j] = (double)input[j];
    for (size_t j = 0; j < parameter_count + (input_gradient ? p->inputs : 0); j++) {
        double *at = j < parameter_count ? &point[j] : &x[j - parameter_count];
        const double before = *at;
        *at = before + step_size;
        const double above = objective(p, point, x, row, direction);
        *at = before - step_size;
        const double below = objective(p, point, x, row, direction);
        *at = before;
        *(j < parameter_count ? &gradient[j] : &input_gradient[j - parameter_count]) =
            (above - below) / (2.0 * step_size);
    }
}
