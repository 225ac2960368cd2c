/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What a sweep costs: each run, all of them composed, and the best of a random number of them. */
#include <math.h>

#include "run/sweep.h"

/* -------------------------------------------------------------------------- plans */

/* Where a combination cannot be: which one, and the plan's own words. */
static sotto_status name_combination(const sotto_sweep *sweep, size_t combination, sotto_status status,
                                     sotto_error *err)
{
    char words[256] = "";
    size_t used = 0;
    if (!err || sweep->key_count == 0)
        return status;
    for (size_t k = 0; k < sweep->key_count && used < sizeof words - 1; k++)
        used += (size_t)snprintf(words + used, sizeof words - used, "%s%s = %s", k ? ", " : "",
                                 sweep->keys[k].key, sotto_sweep_value(sweep, combination, k));
    sotto_error inner = *err;
    return sotto_error_set_at(err, status, sweep->config.path, inner.line, inner.column, "with %s: %.600s",
                              words, inner.message);
}

static sotto_status plan_one(sotto_sweep *sweep, size_t combination, sotto_run_cost *cost, sotto_error *err)
{
    const char **settings;
    sotto_run_options options;
    sotto_config config = {0};
    sotto_plan plan = {0};
    sotto_status status = sotto_sweep_options_of(sweep, combination, &settings, &options, err);
    if (status == SOTTO_OK)
        status = sotto_config_load(&config, &options, err);
    if (status == SOTTO_OK)
        status = sotto_plan_make(&plan, &config, sotto_run_threads(options.threads), err);
    if (status == SOTTO_OK)
        *cost = sotto_plan_cost(&plan, &config);
    if (status == SOTTO_OK && sweep->delta >= 1.0 / (double)plan.units)
        status = sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "sweep.budget.delta is %g; it must be below 1/%ss = %g, or publishing a %s at random would pass",
            sweep->delta, config.unit ? "unit" : "row", 1.0 / (double)plan.units,
            config.unit ? "unit" : "row");
    if (status == SOTTO_OK && config.delta > sweep->delta)
        status = sotto_error_set(err, SOTTO_ERROR_INPUT,
                                 "privacy.delta is %g, more than the %g at which all runs together are "
                                 "accounted; write a smaller one, or a larger sweep.budget.delta",
                                 config.delta, sweep->delta);
    sotto_plan_destroy(&plan);
    sotto_config_destroy(&config);
    return status == SOTTO_OK ? status : name_combination(sweep, combination, status, err);
}

sotto_status sotto_sweep_plan(sotto_sweep *sweep, sotto_run_cost **costs, sotto_error *err)
{
    *costs = sotto_arena_take(sweep->arena, sweep->combinations, sizeof **costs, err);
    if (!*costs)
        return SOTTO_ERROR_MEMORY;
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < sweep->combinations && status == SOTTO_OK; i++)
        status = plan_one(sweep, i, &(*costs)[i], err);
    return status;
}

/* ---------------------------------------------------------------------- composing */

static sotto_status compose(sotto_accountant *accountant, const sotto_run_cost *cost, uint64_t runs,
                            sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < cost->release_count && status == SOTTO_OK; i++)
        status = sotto_accountant_compose(accountant, &cost->releases[i], runs * cost->uses[i], err);
    return status == SOTTO_OK && cost->step.kind != 0
               ? sotto_accountant_compose(accountant, &cost->step, runs * cost->steps, err)
               : status;
}

sotto_status sotto_sweep_compose(const sotto_sweep *sweep, const sotto_run_cost *costs, const size_t *runs,
                                 sotto_accountant **accountant, double *draws, sotto_error *err)
{
    *draws = 0.0;
    sotto_status status = sotto_accountant_create(sweep->config.accountant, accountant, err);
    for (size_t i = 0; i < sweep->combinations && status == SOTTO_OK; i++) {
        status = compose(*accountant, &costs[i], runs[i], err);
        *draws += (double)runs[i] * costs[i].draws * (1 + 1e-9);
    }
    return status;
}

sotto_status sotto_sweep_epsilon(const sotto_sweep *sweep, const sotto_run_cost *costs, const size_t *runs,
                                 double *epsilon, sotto_error *err)
{
    sotto_accountant *accountant = NULL;
    double draws;
    sotto_status status = sotto_sweep_compose(sweep, costs, runs, &accountant, &draws, err);
    if (status == SOTTO_OK)
        status = sotto_noise_epsilon(accountant, sweep->delta, draws, epsilon, err);
    sotto_accountant_destroy(accountant);
    return status;
}

/* Several Gaussian releases cost at every order what one does, 1/σ² being the sum; a little less noise makes
 * up for rounding. */
static double joint_noise(const sotto_run_cost *cost)
{
    double sum = 0.0;
    for (size_t i = 0; i < cost->release_count; i++)
        if (cost->releases[i].kind == SOTTO_MECHANISM_GAUSSIAN)
            sum += (double)cost->uses[i] / pow(cost->releases[i].noise_multiplier, 2);
    return sum > 0.0 ? (1 - 1e-12) / sqrt(sum) : INFINITY;
}

/* The costliest in every respect: at every order it costs at least what any of them does. */
static sotto_status worst(const sotto_sweep *sweep, const sotto_run_cost *costs, sotto_run_cost *most,
                          sotto_error *err)
{
    double noise = INFINITY, pick = 0.0;
    uint64_t picks = 0;
    *most = (sotto_run_cost){0};
    for (size_t i = 0; i < sweep->combinations; i++) {
        const sotto_run_cost *one = &costs[i];
        uint64_t here = 0;
        most->draws = fmax(most->draws, one->draws);
        noise = fmin(noise, joint_noise(one));
        for (size_t r = 0; r < one->release_count; r++)
            if (one->releases[r].kind == SOTTO_MECHANISM_EXPONENTIAL) {
                here += one->uses[r];
                pick = fmax(pick, one->releases[r].epsilon);
            }
        picks = here > picks ? here : picks;
        if (one->step.kind == 0)
            continue;
        if (most->step.kind == 0)
            most->step = one->step;
        most->steps = one->steps > most->steps ? one->steps : most->steps;
        most->step.sample_rate = fmax(most->step.sample_rate, one->step.sample_rate);
        most->step.noise_multiplier = fmin(most->step.noise_multiplier, one->step.noise_multiplier);
    }
    sotto_status status = SOTTO_OK;
    if (isfinite(noise)) {
        most->uses[most->release_count] = 1;
        status = sotto_mechanism_gaussian(&most->releases[most->release_count++], noise, err);
    }
    if (status == SOTTO_OK && picks > 0) {
        most->uses[most->release_count] = picks;
        status = sotto_mechanism_exponential(&most->releases[most->release_count++], pick, err);
    }
    return status;
}

sotto_status sotto_sweep_best_of_random(const sotto_sweep *sweep, const sotto_run_cost *costs,
                                        double *epsilon, double *shape, sotto_error *err)
{
    const double shapes[] = {0.0, 1.0, INFINITY};
    sotto_run_cost one;
    sotto_accountant *run = NULL;
    sotto_status status = worst(sweep, costs, &one, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &run, err);
    if (status == SOTTO_OK)
        status = compose(run, &one, 1, err);
    *epsilon = INFINITY;
    *shape = shapes[0];
    for (size_t i = 0; i < 3 && status == SOTTO_OK; i++) {
        sotto_mechanism best;
        sotto_accountant *all = NULL;
        double found;
        status = sotto_mechanism_selection(&best, run, shapes[i], sweep->mean_runs, err);
        if (status == SOTTO_OK)
            status = sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &all, err);
        if (status == SOTTO_OK)
            status = sotto_accountant_compose(all, &best, 1, err);
        /* In total variation K runs are as far off as their sum, and on average that is mean_runs of one. */
        if (status == SOTTO_OK)
            status = sotto_noise_epsilon(all, sweep->delta, one.draws * sweep->mean_runs * (1 + 1e-9), &found,
                                         err);
        if (status == SOTTO_OK && found < *epsilon) {
            *epsilon = found;
            *shape = shapes[i];
        }
        sotto_accountant_destroy(all);
    }
    sotto_accountant_destroy(run);
    return status;
}
