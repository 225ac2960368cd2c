/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The draw in the middle of a variational autoencoder. Its noise is a row's own, of the row's seed, so that a
 * row's gradient stays the same in any company; and so is its divergence, which is part of the row's loss.
 */

#include "network/plan.h"

#include <math.h>

/* Log variances lie between ±LIMIT: deviations between e^-4 and e^4, and no overflow of their squares. */
#define LIMIT 8.0f

static sotto_status add(builder *b, size_t index, operation *op, sotto_error *err)
{
    if (op->inputs % 2 != 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (sample): %zu columns, but there must be as many log "
                               "variances as means; put a dense layer of an even width before it",
                               index, op->inputs);
    if (!(op->layer.beta >= 0.0f) || !isfinite(op->layer.beta))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "network layer %zu (sample): beta %g, but it must be at least 0 and finite",
                               index, (double)op->layer.beta);
    op->out = flat(op->inputs / 2);
    b->active = op->inputs / 2;
    return SOTTO_OK;
}

/* Box and Muller 1958: two draws from 64 bits. */
static void draw_noise(const operation *op, uint64_t seed, float *noise)
{
    const double turn = 6.283185307179586;
    const uint64_t start = row_start(op, seed);
    for (size_t j = 0; j < op->outputs; j += 2) {
        const uint64_t bits = row_bits(start, j);
        const double radius = sqrt(-2.0 * log(((double)(bits >> 32) + 0.5) * 0x1p-32));
        const double angle = turn * 0x1p-32 * (double)(uint32_t)bits;
        noise[j] = (float)(radius * cos(angle));
        if (j + 1 < op->outputs)
            noise[j + 1] = (float)(radius * sin(angle));
    }
}

/* What is kept is the noise at its deviation, z − μ. */
static void forward(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    const size_t n = op->outputs;
    for (size_t r = 0; r < w->rows; r++) {
        const float *x = value_in(op, w) + r * 2 * n;
        float *kept = w->kept[op->number] + r * n, *z = value_out(op, w) + r * n;
        if (w->training)
            draw_noise(op, w->seeds[r], kept);
        for (size_t j = 0; j < n; j++) {
            kept[j] = w->training ? kept[j] * expf(0.5f * LIMIT * tanhf(x[n + j] / LIMIT)) : 0.0f;
            z[j] = x[j] + kept[j];
        }
    }
}

static void put(const operation *op, float gradient, float *dx)
{
    *dx = op->accumulate ? *dx + gradient : gradient;
}

/* ∂z/∂μ = 1, ∂z/∂v = (z − μ)/2, ∂v/∂x = 1 − tanh²(x/8); and those of the divergence. */
static void backward(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    (void)weights;
    const size_t n = op->outputs;
    const float beta = op->layer.beta;
    for (size_t r = 0; r < w->rows; r++) {
        const float *x = value_in(op, w) + r * 2 * n, *dz = gradient_out(op, w) + r * n;
        const float *kept = w->kept[op->number] + r * n;
        float *dx = gradient_in(op, w) + r * 2 * n;
        for (size_t j = 0; j < n; j++) {
            const float t = tanhf(x[n + j] / LIMIT);
            const float of_variance = 0.5f * (dz[j] * kept[j] + beta * expm1f(LIMIT * t));
            put(op, dz[j] + beta * x[j], dx + j);
            put(op, of_variance * (1.0f - t * t), dx + n + j);
        }
    }
}

const layer_class sample_class = {
    .kind = SOTTO_LAYER_SAMPLE,
    .name = "sample",
    .reads_input = true,
    .keeps = true,
    .add = add,
    .forward = forward,
    .backward = backward,
};
