/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Optimizers: what is done with a released gradient. Post-processing throughout; nothing here sees an
 * example. Each step is one pass over the vectors in float32, with its scalars computed in float64
 * beforehand.
 */

#include "network/optimizer.h"
#include "tensor/tensor.h"

#include <float.h>
#include <math.h>
#include <string.h>

sotto_optimizer_options sotto_optimizer_defaults(sotto_optimizer_kind kind)
{
    return (sotto_optimizer_options){
        .kind = kind, .momentum = 0.0, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .floor = 1e-8};
}

static sotto_status refuse(sotto_error *err, const char *name, double found, const char *wanted)
{
    return sotto_error_set(err, SOTTO_ERROR_INPUT, "optimizer: %s is %g, but it must %s", name, found,
                           wanted);
}

static bool is_fraction(double x)
{
    return x >= 0.0 && x < 1.0;
}

static bool is_positive(double x)
{
    return x > 0.0 && isfinite(x);
}

static sotto_status check_options(const sotto_optimizer_options *o, sotto_error *err)
{
    const bool sgd = o->kind == SOTTO_OPTIMIZER_SGD;
    if (!sgd && o->kind != SOTTO_OPTIMIZER_ADAM && o->kind != SOTTO_OPTIMIZER_DP_ADAM)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "optimizer: unknown kind %d", (int)o->kind);
    if (sgd && !is_fraction(o->momentum))
        return refuse(err, "momentum", o->momentum, "lie in [0, 1)");
    if (!sgd && !is_fraction(o->beta1))
        return refuse(err, "beta1", o->beta1, "lie in [0, 1)");
    if (!sgd && !is_fraction(o->beta2))
        return refuse(err, "beta2", o->beta2, "lie in [0, 1)");
    if (o->kind == SOTTO_OPTIMIZER_ADAM && !is_positive(o->epsilon))
        return refuse(err, "epsilon", o->epsilon, "be positive and finite");
    if (o->kind == SOTTO_OPTIMIZER_DP_ADAM && !is_positive(o->floor))
        return refuse(err, "floor", o->floor, "be positive and finite");
    if (!(o->decay == 0.0 || is_positive(o->decay)))
        return refuse(err, "decay", o->decay, "be 0, or positive and finite");
    return SOTTO_OK;
}

static sotto_status take_vectors(sotto_optimizer *made, const float *initial, sotto_error *err)
{
    const bool sgd = made->options.kind == SOTTO_OPTIMIZER_SGD;
    if (!sgd || made->options.momentum > 0.0) {
        made->first = sotto_arena_take(made->arena, made->count, sizeof(float), err);
        if (!made->first)
            return SOTTO_ERROR_MEMORY;
    }
    if (!sgd) {
        made->second = sotto_arena_take(made->arena, made->count, sizeof(float), err);
        if (!made->second)
            return SOTTO_ERROR_MEMORY;
    }
    if (made->options.decay > 0.0) {
        made->initial = sotto_arena_take(made->arena, made->count, sizeof(float), err);
        if (!made->initial)
            return SOTTO_ERROR_MEMORY;
        memcpy(made->initial, initial, made->count * sizeof(float));
    }
    return SOTTO_OK;
}

sotto_status sotto_optimizer_create(sotto_optimizer **optimizer, const sotto_optimizer_options *options,
                                    size_t count, const float *initial, sotto_error *err)
{
    sotto_arena *arena = NULL;
    *optimizer = NULL;
    sotto_status status = check_options(options, err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_optimizer *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        status = SOTTO_ERROR_MEMORY;
        goto done;
    }
    *made = (sotto_optimizer){.options = *options, .count = count, .arena = arena};
    status = take_vectors(made, initial, err);
    if (status == SOTTO_OK)
        *optimizer = made;
done:
    if (status != SOTTO_OK)
        sotto_arena_destroy(arena);
    return status;
}

void sotto_optimizer_destroy(sotto_optimizer *optimizer)
{
    if (optimizer)
        sotto_arena_destroy(optimizer->arena);
}

/* ------------------------------------------------------------------- passes */

SOTTO_WIDE
static void sgd_pass(size_t count, float rate, float momentum, const float *restrict g, float *restrict u,
                     float *restrict p)
{
    for (size_t j = 0; j < count; j++) {
        u[j] = momentum * u[j] + g[j];
        p[j] -= rate * u[j];
    }
}

/* What one step of Adam or DP-Adam needs besides the vectors. */
typedef struct adam_scalars {
    float beta1, rest1; /* β₁ and 1 − β₁ */
    float beta2, rest2;
    float rate;     /* rate/(1 − β₁ᵗ) */
    float correct2; /* 1/(1 − β₂ᵗ) */
    float epsilon;
    float noise; /* the noise's part of v̂ */
    float floor;
} adam_scalars;

SOTTO_WIDE
static void adam_pass(size_t count, const adam_scalars *scalars, const float *restrict g, float *restrict m,
                      float *restrict v, float *restrict p)
{
    const adam_scalars s = *scalars;
    for (size_t j = 0; j < count; j++) {
        m[j] = s.beta1 * m[j] + s.rest1 * g[j];
        v[j] = s.beta2 * v[j] + s.rest2 * (g[j] * g[j]);
        p[j] -= s.rate * m[j] / (sqrtf(s.correct2 * v[j]) + s.epsilon);
    }
}

SOTTO_WIDE
static void dp_adam_pass(size_t count, const adam_scalars *scalars, const float *restrict g,
                         float *restrict m, float *restrict v, float *restrict p)
{
    const adam_scalars s = *scalars;
    for (size_t j = 0; j < count; j++) {
        m[j] = s.beta1 * m[j] + s.rest1 * g[j];
        v[j] = s.beta2 * v[j] + s.rest2 * (g[j] * g[j]);
        const float signal = s.correct2 * v[j] - s.noise;
        p[j] -= s.rate * m[j] / sqrtf(signal > s.floor ? signal : s.floor);
    }
}

/* p += pull·(p₀ − p), before the step proper: decoupled from the gradient as in AdamW (Loshchilov, Hutter
 * 2019). */
SOTTO_WIDE
static void decay_pass(size_t count, float pull, const float *restrict initial, float *restrict p)
{
    for (size_t j = 0; j < count; j++)
        p[j] += pull * (initial[j] - p[j]);
}

/* 1 − βᵗ, without cancellation for β near 1. */
static double bias_correction(double beta, uint64_t steps)
{
    return beta > 0.0 ? -expm1((double)steps * log(beta)) : 1.0;
}

static adam_scalars scalars_of(const sotto_optimizer *o, double rate)
{
    const double correct2 = bias_correction(o->options.beta2, o->steps);
    return (adam_scalars){.beta1 = (float)o->options.beta1,
                          .rest1 = (float)(1.0 - o->options.beta1),
                          .beta2 = (float)o->options.beta2,
                          .rest2 = (float)(1.0 - o->options.beta2),
                          .rate = (float)(rate / bias_correction(o->options.beta1, o->steps)),
                          .correct2 = (float)(1.0 / correct2),
                          .epsilon = (float)o->options.epsilon,
                          .noise = (float)(o->noise_variance / correct2),
                          .floor = (float)o->options.floor};
}

void sotto_optimizer_advance(sotto_optimizer *optimizer, double rate, double noise_std)
{
    sotto_optimizer *o = optimizer;
    const double beta2 = o->options.beta2;
    o->steps++;
    o->rate = rate;
    if (o->options.kind == SOTTO_OPTIMIZER_DP_ADAM)
        o->noise_variance = beta2 * o->noise_variance + (1.0 - beta2) * noise_std * noise_std;
}

void sotto_optimizer_apply(const sotto_optimizer *optimizer, size_t first, size_t count,
                           const float *gradient, float *parameters)
{
    const sotto_optimizer *o = optimizer;
    if (o->initial)
        decay_pass(count, (float)(o->rate * o->options.decay), o->initial + first, parameters);
    const adam_scalars scalars = scalars_of(o, o->rate);
    switch (o->options.kind) {
    case SOTTO_OPTIMIZER_SGD:
        if (o->first)
            sgd_pass(count, (float)o->rate, (float)o->options.momentum, gradient, o->first + first,
                     parameters);
        else
            sotto_tensor_axpy(count, (float)-o->rate, gradient, parameters);
        break;
    case SOTTO_OPTIMIZER_ADAM:
        adam_pass(count, &scalars, gradient, o->first + first, o->second + first, parameters);
        break;
    case SOTTO_OPTIMIZER_DP_ADAM:
        dp_adam_pass(count, &scalars, gradient, o->first + first, o->second + first, parameters);
        break;
    }
}

void sotto_optimizer_step(sotto_optimizer *optimizer, double rate, double noise_std, const float *gradient,
                          float *parameters)
{
    sotto_optimizer_advance(optimizer, rate, noise_std);
    sotto_optimizer_apply(optimizer, 0, optimizer->count, gradient, parameters);
}

void sotto_optimizer_state(sotto_optimizer *optimizer, sotto_state *state)
{
    sotto_optimizer *o = optimizer;
    sotto_state_object(state, "optimizer");
    sotto_state_u64(state, "steps", &o->steps, 0, SOTTO_STATE_MOST_COUNT);
    sotto_state_doubles_in(state, "noise_variance", &o->noise_variance, 1, 0.0, DBL_MAX);
    sotto_state_floats(state, "first", o->first, o->first ? o->count : 0);
    sotto_state_floats(state, "second", o->second, o->second ? o->count : 0);
    sotto_state_floats(state, "initial", o->initial, o->initial ? o->count : 0);
}

double sotto_schedule_rate(const sotto_schedule *schedule, uint64_t step)
{
    if (step >= schedule->steps)
        return 0.0;
    const double left = (double)(schedule->steps - step);
    const double fall = schedule->decay_fraction * (double)schedule->steps;
    return left < fall ? schedule->rate * (left / fall) : schedule->rate;
}

SOTTO_WIDE
static void ema_pass(size_t count, float rest, const float *restrict p, float *restrict average)
{
    for (size_t j = 0; j < count; j++)
        average[j] += rest * (p[j] - average[j]);
}

void sotto_ema_update(size_t count, double decay, const float *parameters, float *average)
{
    ema_pass(count, (float)(1.0 - decay), parameters, average);
}
