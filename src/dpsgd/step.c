/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The private step. Abadi et al. 2016, Algorithm 1, with Poisson sampling and the public expected batch size
 * as the divisor; the gradient's norms without per-example gradients as in Bu et al. 2023 (book-keeping).
 */
#include <math.h>
#include <string.h>

#include "dpsgd/exact_check.h"
#include "dpsgd/release.h"

enum phase { IDLE, BEGUN, ACCUMULATED };

/* How far an adaptive bound may move. */
static const double least_norm = 0x1p-60, most_norm = 0x1p60;

struct sotto_dpsgd {
    sotto_arena *arena;
    sotto_dpsgd_options options;
    enum phase phase;
    uint64_t steps;
    double gradient_noise; /* the noise multiplier left for the gradient */
    sotto_noise_grid grid; /* exact arithmetic: of that multiplier */
    sotto_lanes *lanes;
    sotto_optimizer *optimizer;
    sotto_stream *coins;
    sotto_stream *masks; /* seeds of dropout */
    sotto_stream *noise[SOTTO_LANES];
    uint32_t *sample;     /* [units], a row of each sampled one */
    uint64_t *unit_seeds; /* [units], of the sampled ones */
    size_t units_within;
    sotto_dpsgd_private last;
};

/* ---------------------------------------------------------------------- creating */

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
    if (!(options->mechanism.sample_rate * options->public_units > 0) || !isfinite(options->public_units))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "the expected batch size is %g; it must be positive",
                               options->mechanism.sample_rate * options->public_units);
    if (sotto_network_blocks(sotto_weights_network(options->weights)) == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "a private step needs a network with parameters; this one has none");
    if (options->threads == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a private step needs at least one thread");
    if (options->arithmetic != SOTTO_ARITHMETIC_EXACT && options->arithmetic != SOTTO_ARITHMETIC_FLOAT)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "unknown arithmetic %d", (int)options->arithmetic);
    return SOTTO_OK;
}

void sotto_dpsgd_destroy(sotto_dpsgd *step)
{
    if (!step)
        return;
    sotto_lanes_destroy(step->lanes);
    sotto_optimizer_destroy(step->optimizer);
    sotto_stream_destroy(step->coins);
    sotto_stream_destroy(step->masks);
    for (size_t i = 0; i < SOTTO_LANES; i++)
        sotto_stream_destroy(step->noise[i]);
    sotto_arena_destroy(step->arena);
}

static bool is_exact(const sotto_dpsgd *step)
{
    return step->options.arithmetic == SOTTO_ARITHMETIC_EXACT;
}

/* Everything that follows from the options alone. */
static sotto_status settle(sotto_dpsgd *step, sotto_error *err)
{
    sotto_dpsgd_options *options = &step->options;
    const double sigma = options->mechanism.noise_multiplier;
    options->views = options->views ? options->views : 1;
    options->threads = options->threads < SOTTO_LANES ? options->threads : SOTTO_LANES;
    sotto_status status =
        sotto_clipping_complete(&options->clipping, sotto_dpsgd_expected_batch_size(step), sigma, err);
    if (status != SOTTO_OK)
        return status;
    step->gradient_noise = sotto_clipping_gradient_noise(&options->clipping, sigma);
    return is_exact(step) ? sotto_noise_grid_make(&step->grid, step->gradient_noise, err) : SOTTO_OK;
}

static sotto_status open_streams(sotto_dpsgd *step, sotto_error *err)
{
    sotto_random *random = step->options.random;
    sotto_status status = sotto_stream_create(&step->coins, random, SOTTO_PURPOSE_SAMPLING, err);
    if (status == SOTTO_OK)
        status = sotto_stream_create(&step->masks, random, SOTTO_PURPOSE_MASKS, err);
    for (size_t i = 0; i < SOTTO_LANES && status == SOTTO_OK; i++)
        status = sotto_stream_create(&step->noise[i], random, SOTTO_PURPOSE_NOISE, err);
    return status;
}

static sotto_status fill(sotto_dpsgd *step, sotto_error *err)
{
    const sotto_dpsgd_options *options = &step->options;
    const size_t parameters = sotto_network_parameters(sotto_weights_network(options->weights));
    const sotto_lanes_options lanes = {.weights = options->weights,
                                       .views = options->views,
                                       .penalties = options->penalties,
                                       .threads = options->threads,
                                       .exact = is_exact(step)};
    step->sample = sotto_arena_take(step->arena, options->units.count, sizeof *step->sample, err);
    step->options.label = sotto_arena_copy(step->arena, options->label, strlen(options->label), err);
    step->unit_seeds = sotto_arena_take(step->arena, options->units.count, sizeof *step->unit_seeds, err);
    if (!step->sample || !step->unit_seeds || !step->options.label)
        return SOTTO_ERROR_MEMORY;
    sotto_status status = is_exact(step) ? sotto_exact_check(sotto_weights_network(options->weights),
                                                             options->views, options->penalties, err)
                                         : SOTTO_OK;
    if (status == SOTTO_OK)
        status = sotto_lanes_create(&step->lanes, &lanes, err);
    if (status == SOTTO_OK)
        status = sotto_optimizer_create(&step->optimizer, &options->optimizer, parameters,
                                        options->parameters, err);
    return status == SOTTO_OK ? open_streams(step, err) : status;
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
    status = settle(made, err);
    if (status == SOTTO_OK)
        status = fill(made, err);
    if (status != SOTTO_OK) {
        sotto_dpsgd_destroy(made);
        return status;
    }
    *step = made;
    return SOTTO_OK;
}

/* -------------------------------------------------------------------------- steps */

/* New keys, so that what is seen of one step tells nothing of the next. */
static sotto_status refresh(sotto_dpsgd *step, sotto_error *err)
{
    sotto_status status = sotto_stream_refresh(step->coins, err);
    if (status == SOTTO_OK)
        status = sotto_stream_refresh(step->masks, err);
    for (size_t i = 0; i < SOTTO_LANES && status == SOTTO_OK; i++)
        status = sotto_stream_refresh(step->noise[i], err);
    return status;
}

sotto_status sotto_dpsgd_begin(sotto_dpsgd *step, sotto_error *err)
{
    const sotto_dpsgd_options *options = &step->options;
    if (step->phase != IDLE)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a private step was begun twice");
    sotto_status status = refresh(step, err);
    if (status == SOTTO_OK)
        status = sotto_budget_charge(options->budget, &options->mechanism, 1, options->label, err);
    if (status != SOTTO_OK)
        return status;
    size_t sampled =
        sotto_poisson_sample(step->coins, options->mechanism.sample_rate, &options->units, step->sample);
    SOTTO_TRACED(sotto_trace_access(options->label, 1);)
    step->last = (sotto_dpsgd_private){.batch = sampled};
    step->phase = BEGUN;
    return SOTTO_OK;
}

sotto_status sotto_dpsgd_accumulate(sotto_dpsgd *step, size_t public_count, sotto_pass *pass, void *context,
                                    sotto_error *err)
{
    if (step->phase != BEGUN)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a private step was accumulated without being begun");
    const sotto_clipping *clipping = &step->options.clipping;
    sotto_stream_bytes(step->masks, step->unit_seeds, step->last.batch * sizeof *step->unit_seeds);
    const sotto_batch batch = {
        .clipping = clipping,
        .grid = {.units = (double)step->grid.bound / clipping->max_grad_norm, .bound = step->grid.bound},
        .units = step->sample,
        .unit_count = step->last.batch,
        .public_count = public_count,
        .unit_seeds = step->unit_seeds,
        .public_seed = sotto_stream_u64(step->masks),
        .pass = pass,
        .context = context};
    const sotto_clip_counts counts = sotto_lanes_sum(step->lanes, &batch);
    step->last.clipped = counts.clipped;
    step->last.non_finite = counts.non_finite;
    step->units_within = counts.units_within;
    step->phase = ACCUMULATED;
    return SOTTO_OK;
}

/*
 * Andrew et al. 2021, Algorithm 1: C ← C·exp(−rate·(b − γ)), b the noisy share of units within the bound,
 * b = (Σ ±½ + noise)/B̄ + ½. In integers: each unit counts ±m, m noise steps to one half.
 */
static void move_bound(sotto_dpsgd *step)
{
    sotto_clipping *c = &step->options.clipping;
    int32_t noise;
    sotto_stream_discrete_gaussian(step->noise[0], &noise, 1);
    const double finest = floor((double)SOTTO_NOISE_STD * (1.0 - 0x1p-50) / (2.0 * c->count_noise));
    const double half = fmin(finest, 0x1p30); /* 2³² units, as many as there are names for, fit in an int64 */
    const int64_t within = (int64_t)step->units_within, batch = (int64_t)step->last.batch;
    const int64_t total = (2 * within - batch) * (int64_t)half + noise;
    const double share = (double)total / (2.0 * half) / sotto_dpsgd_expected_batch_size(step) + 0.5;
    c->max_grad_norm *= exp(-c->learning_rate * (share - c->target_quantile));
    c->max_grad_norm = fmin(fmax(c->max_grad_norm, least_norm), most_norm);
}

sotto_status sotto_dpsgd_end(sotto_dpsgd *step, sotto_error *err)
{
    if (step->phase != ACCUMULATED)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a private step was ended without its examples");
    const sotto_dpsgd_options *options = &step->options;
    const sotto_release release = {
        .lanes = step->lanes,
        .exact = is_exact(step),
        .grid = step->grid,
        .noise_std = step->gradient_noise * options->clipping.max_grad_norm,
        .max_grad_norm = options->clipping.max_grad_norm,
        .divisor = sotto_dpsgd_expected_batch_size(step),
        .noise = step->noise,
        .threads = options->threads,
        .optimizer = step->optimizer,
        .rate = sotto_schedule_rate(&options->schedule, step->steps),
        .parameters = options->parameters,
        .parameter_count = step->optimizer->count,
    };
    sotto_release_step(&release);
    if (options->clipping.kind == SOTTO_CLIPPING_ADAPTIVE)
        move_bound(step);
    sotto_weights_refresh(options->weights);
    step->steps++;
    step->phase = IDLE;
    return SOTTO_OK;
}

void sotto_dpsgd_state(sotto_dpsgd *step, sotto_state *state)
{
    sotto_state_object(state, "private step");
    if (step->phase != IDLE)
        sotto_state_refuse(state, "is in the middle of one");
    sotto_state_u64(state, "steps", &step->steps, 0, SOTTO_STATE_MOST_COUNT);
    if (step->options.clipping.kind == SOTTO_CLIPPING_ADAPTIVE)
        sotto_state_doubles_in(state, "max_grad_norm", &step->options.clipping.max_grad_norm, 1, least_norm,
                               most_norm);
    sotto_optimizer_state(step->optimizer, state);
}

/* ---------------------------------------------------------------------- questions */

double sotto_dpsgd_expected_batch_size(const sotto_dpsgd *step)
{
    return step->options.mechanism.sample_rate * step->options.public_units;
}

double sotto_dpsgd_max_grad_norm(const sotto_dpsgd *step)
{
    return step->options.clipping.max_grad_norm;
}

uint64_t sotto_dpsgd_steps(const sotto_dpsgd *step)
{
    return step->steps;
}

sotto_dpsgd_private sotto_dpsgd_last(const sotto_dpsgd *step)
{
    return step->last;
}
