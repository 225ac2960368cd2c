/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_NETWORK_OPTIMIZER_H
#define SOTTO_NETWORK_OPTIMIZER_H

/** What becomes of a released gradient: optimizers, schedules, averages. Post-processing throughout. */

#include "base/base.h"

typedef enum sotto_optimizer_kind {
    SOTTO_OPTIMIZER_SGD = 1, /**< u = momentum·u + g; p −= rate·u */
    SOTTO_OPTIMIZER_ADAM,    /**< p −= rate·m̂/(√v̂ + epsilon) (Kingma, Ba 2015, Algorithm 1) */
    SOTTO_OPTIMIZER_DP_ADAM, /**< p −= rate·m̂/√max(v̂ − noise variance, floor) (Tang et al. 2024, DP-AdamBC) */
} sotto_optimizer_kind;

typedef struct sotto_optimizer_options {
    sotto_optimizer_kind kind;
    double momentum; /**< SGD, in [0, 1) */
    double beta1;    /**< Adam and DP-Adam, in [0, 1) */
    double beta2;    /**< Adam and DP-Adam, in [0, 1) */
    double epsilon;  /**< Adam, > 0 */
    double floor;    /**< DP-Adam's γ′ > 0: the least second moment that is divided by */
    double decay; /**< λ ≥ 0: each step also moves p by rate·λ·(p₀ − p), toward the initial parameters */
} sotto_optimizer_options;

/** Adam's defaults: beta 0.9 and 0.999, epsilon 1e-8, floor 1e-8; no momentum, no decay. */
sotto_optimizer_options sotto_optimizer_defaults(sotto_optimizer_kind kind);

/**
 * An optimizer over one flat parameter vector. Everything it knows is in this struct, so that a checkpoint
 * can copy it out and in; a vector that the options have no use for is NULL.
 */
typedef struct sotto_optimizer {
    sotto_optimizer_options options;
    size_t count;          /**< length of each vector */
    uint64_t steps;        /**< steps taken */
    double rate;           /**< of the step under way */
    double noise_variance; /**< DP-Adam: the β₂-weighted sum of noise_std², uncorrected, as `second` is */
    float *first;          /**< momentum u, or Adam's m */
    float *second;         /**< Adam's v */
    float *initial;        /**< p₀, where decay > 0 */
    sotto_arena *arena;    /**< owns the vectors */
} sotto_optimizer;

/** `initial` [count] is copied where the decay needs it. SOTTO_ERROR_INPUT for options out of range. Caller
 * destroys. */
sotto_status sotto_optimizer_create(sotto_optimizer **optimizer, const sotto_optimizer_options *options,
                                    size_t count, const float *initial, sotto_error *err);
void sotto_optimizer_destroy(sotto_optimizer *optimizer);

/**
 * One step on `parameters` [count] with the released gradient [count], at learning rate `rate`. `noise_std`
 * is the standard deviation of the noise in each coordinate of `gradient`, σC/B̄; only DP-Adam reads it. It
 * may change from step to step: what is subtracted is its β₂-weighted average. Post-processing throughout.
 */
void sotto_optimizer_step(sotto_optimizer *optimizer, double rate, double noise_std, const float *gradient,
                          float *parameters);

/**
 * The same step in parts: first advance, then apply once to each parameter, in ranges [first, first + count)
 * and from several threads if the caller likes; `gradient` and `parameters` [count] begin at `first`.
 */
void sotto_optimizer_advance(sotto_optimizer *optimizer, double rate, double noise_std);
void sotto_optimizer_apply(const sotto_optimizer *optimizer, size_t first, size_t count,
                           const float *gradient, float *parameters);

/** Steps taken, and the vectors that there are. */
void sotto_optimizer_state(sotto_optimizer *optimizer, sotto_state *state);

/** A learning rate that is a function of public step numbers alone (contract rule P6). */
typedef struct sotto_schedule {
    double rate;           /**< the rate at first */
    uint64_t steps;        /**< steps of the whole run */
    double decay_fraction; /**< the last part of the run, in [0, 1], over which the rate falls linearly
                              towards 0 */
} sotto_schedule;

/** The rate of step `step` (0-based): rate·min(1, (steps − step)/(decay_fraction·steps)); 0 from `steps` on.
 */
double sotto_schedule_rate(const sotto_schedule *schedule, uint64_t step);

/** average = decay·average + (1 − decay)·parameters, both [count]. */
void sotto_ema_update(size_t count, double decay, const float *parameters, float *average);

#endif
