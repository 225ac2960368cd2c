/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The private step. Abadi et al. 2016, Algorithm 1, with Poisson sampling and the public expected batch size
 * as the divisor; the gradient's norms without per-example gradients as in Bu et al. 2023 (book-keeping).
 */
#include <math.h>
#include <string.h>

#include "dpsgd/lanes.h"

enum phase { IDLE, BEGUN, ACCUMULATED };

struct sotto_dpsgd {
    sotto_arena *arena;
    sotto_dpsgd_options options;
    enum phase phase;
    uint64_t steps;
    sotto_lanes *lanes;
    sotto_optimizer *optimizer;
    sotto_stream *coins;
    sotto_stream *noise;
    uint32_t *sample; /* [unit_count] */
    float *gradient;  /* [parameters] */
    float *noises;    /* [parameters] */
    sotto_dpsgd_private last;
};

static sotto_status check(const sotto_dpsgd_options *options, sotto_error *err)
{
    if (options->mechanism.kind != SOTTO_MECHANISM_SAMPLED_GAUSSIAN)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a private step needs a sampled Gaussian mechanism");
    sotto_status status = sotto_mechanism_check(&options->mechanism, err);
    if (status != SOTTO_OK)
        return status;
    /* Noise is made for the sensitivity C of one unit added or removed: anything else would be charged
     * wrongly. */
    if (options->mechanism.adjacency != SOTTO_ADJACENCY_ADD_REMOVE || options->mechanism.group_size != 1)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "a private step is charged for one unit added or removed, not for a group of %llu, "
            "adjacency %s",
            (unsigned long long)options->mechanism.group_size,
            sotto_adjacency_name(options->mechanism.adjacency));
    if (!(options->max_grad_norm > 0) || !isfinite(options->max_grad_norm))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "max_grad_norm is %g; it must be positive and finite",
                               options->max_grad_norm);
    if (!(options->mechanism.sample_rate * options->public_units > 0) || !isfinite(options->public_units))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "the expected batch size is %g; it must be positive",
                               options->mechanism.sample_rate * options->public_units);
    if (options->threads == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a private step needs at least one thread");
    return SOTTO_OK;
}

void sotto_dpsgd_destroy(sotto_dpsgd *step)
{
    if (!step)
        return;
    sotto_lanes_destroy(step->lanes);
    sotto_optimizer_destroy(step->optimizer);
    sotto_stream_destroy(step->coins);
    sotto_stream_destroy(step->noise);
    sotto_arena_destroy(step->arena);
}

static sotto_status fill(sotto_dpsgd *step, sotto_error *err)
{
    const sotto_dpsgd_options *options = &step->options;
    const size_t parameters = sotto_network_parameters(options->network);
    step->sample = sotto_arena_take(step->arena, options->unit_count, sizeof *step->sample, err);
    step->gradient = sotto_arena_take(step->arena, parameters, sizeof *step->gradient, err);
    step->noises = sotto_arena_take(step->arena, parameters, sizeof *step->noises, err);
    if (!step->sample || !step->gradient || !step->noises)
        return SOTTO_ERROR_MEMORY;
    step->options.label = sotto_arena_copy(step->arena, options->label, strlen(options->label), err);
    if (!step->options.label)
        return SOTTO_ERROR_MEMORY;
    sotto_status status = sotto_lanes_create(&step->lanes, options->network, options->threads, err);
    if (status == SOTTO_OK)
        status = sotto_optimizer_create(&step->optimizer, &options->optimizer, parameters,
                                        options->parameters, err);
    if (status == SOTTO_OK)
        status = sotto_stream_create(&step->coins, options->random, SOTTO_PURPOSE_SAMPLING, err);
    if (status == SOTTO_OK)
        status = sotto_stream_create(&step->noise, options->random, SOTTO_PURPOSE_NOISE, err);
    return status;
}

sotto_status sotto_dpsgd_create(sotto_dpsgd **step, const sotto_dpsgd_options *options, sotto_error *err)
{
    *step = NULL;
    sotto_status status = check(options, err);
    if (status != SOTTO_OK)
        return status;
    sotto_arena *arena;
    status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_dpsgd *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    made->arena = arena;
    made->options = *options;
    status = fill(made, err);
    if (status != SOTTO_OK) {
        sotto_dpsgd_destroy(made);
        return status;
    }
    *step = made;
    return SOTTO_OK;
}

sotto_status sotto_dpsgd_begin(sotto_dpsgd *step, sotto_error *err)
{
    const sotto_dpsgd_options *options = &step->options;
    if (step->phase != IDLE)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a private step was begun twice");
    sotto_status status = sotto_stream_refresh(step->coins, err);
    if (status == SOTTO_OK)
        status = sotto_stream_refresh(step->noise, err);
    if (status == SOTTO_OK)
        status = sotto_budget_charge(options->budget, &options->mechanism, 1, options->label, err);
    if (status != SOTTO_OK)
        return status;
    size_t sampled = sotto_poisson_sample(step->coins, options->mechanism.sample_rate, options->units,
                                          options->unit_count, step->sample);
    step->last = (sotto_dpsgd_private){.batch = sampled};
    step->phase = BEGUN;
    return SOTTO_OK;
}

sotto_status sotto_dpsgd_accumulate(sotto_dpsgd *step, size_t public_count, sotto_pass *pass, void *context,
                                    sotto_error *err)
{
    if (step->phase != BEGUN)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a private step was accumulated without being begun");
    sotto_lanes_counts counts =
        sotto_lanes_sum(step->lanes, step->options.parameters, step->options.max_grad_norm, step->sample,
                        step->last.batch, public_count, pass, context, step->gradient);
    step->last.clipped = counts.clipped;
    step->last.non_finite = counts.non_finite;
    step->phase = ACCUMULATED;
    return SOTTO_OK;
}

sotto_status sotto_dpsgd_end(sotto_dpsgd *step, sotto_error *err)
{
    if (step->phase != ACCUMULATED)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a private step was ended without its examples");
    const sotto_dpsgd_options *options = &step->options;
    const size_t parameters = sotto_network_parameters(options->network);
    const double noise_std = options->mechanism.noise_multiplier * options->max_grad_norm;
    const double divisor = sotto_dpsgd_expected_batch_size(step);
    const float scale = (float)(1.0 / divisor);
    sotto_stream_gaussian(step->noise, noise_std, step->noises, parameters);
    for (size_t i = 0; i < parameters; i++)
        step->gradient[i] = (step->gradient[i] + step->noises[i]) * scale;
    sotto_optimizer_step(step->optimizer, sotto_schedule_rate(&options->schedule, step->steps),
                         noise_std / divisor, step->gradient, options->parameters);
    step->steps++;
    step->phase = IDLE;
    return SOTTO_OK;
}

double sotto_dpsgd_expected_batch_size(const sotto_dpsgd *step)
{
    return step->options.mechanism.sample_rate * step->options.public_units;
}

uint64_t sotto_dpsgd_steps(const sotto_dpsgd *step)
{
    return step->steps;
}

sotto_dpsgd_private sotto_dpsgd_last(const sotto_dpsgd *step)
{
    return step->last;
}
