/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto plan`: the plan as a record, with a measured time. */
#include <stdlib.h>
#include <unistd.h>

#include "run/figures.h"
#include "run/sweep.h"

static sotto_status release_record(const sotto_plan *plan, const sotto_config *config, const char *name,
                                   const sotto_mechanism *mechanism, uint64_t count, json_t *list,
                                   sotto_error *err)
{
    double alone = 0.0;
    sotto_accountant *accountant;
    sotto_status status = sotto_accountant_create(config->accountant, &accountant, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_compose(accountant, mechanism, count, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_epsilon(accountant, plan->shares.accountant, &alone, NULL, err);
    sotto_accountant_destroy(accountant);
    if (status == SOTTO_OK) {
        json_t *record =
            json_pack("{s:s, s:s, s:f, s:I, s:f}", "name", name, "mechanism",
                      sotto_mechanism_kind_name(mechanism->kind), "sample_rate", mechanism->sample_rate,
                      "count", (json_int_t)count, "epsilon_alone", alone);
        sotto_mechanism_facts(mechanism, record);
        (void)json_array_append_new(list, record);
    }
    return status;
}

void sotto_mechanism_facts(const sotto_mechanism *mechanism, json_t *record)
{
    const bool noise = mechanism->kind != SOTTO_MECHANISM_EXPONENTIAL;
    (void)json_object_set_new(record, "noise_multiplier",
                              noise ? json_real(mechanism->noise_multiplier) : json_null());
    if (!noise)
        (void)json_object_set_new(record, "epsilon_of_one", json_real(mechanism->epsilon));
}

static sotto_status releases(const sotto_plan *plan, const sotto_config *config, json_t *list,
                             sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < plan->release_count && status == SOTTO_OK; i++)
        status = release_record(plan, config, plan->releases[i].label, &plan->release_mechanisms[i],
                                plan->releases[i].uses, list, err);
    if (status == SOTTO_OK && plan->figures)
        status = release_record(plan, config, SOTTO_FIGURES_LABEL, &plan->figures_counts, 1, list, err);
    if (status == SOTTO_OK && plan->prediction_counts.kind != 0)
        status = release_record(plan, config, SOTTO_PREDICTION_LABEL, &plan->prediction_counts, 1, list, err);
    if (status == SOTTO_OK && sotto_plan_takes_steps(plan))
        status = release_record(plan, config, sotto_model_private_wanted(plan->model).label, &plan->step,
                                plan->training.steps, list, err);
    return status;
}

static sotto_status epsilon_after(const sotto_plan *plan, const sotto_config *config, json_t *list,
                                  sotto_error *err)
{
    uint64_t last = 0;
    for (unsigned tenth = 0; tenth <= 10 && plan->training.steps > 0; tenth++) {
        const uint64_t steps =
            tenth == 0 ? 1 : plan->training.steps / 10 * tenth + plan->training.steps % 10 * tenth / 10;
        double epsilon;
        if (steps <= last)
            continue;
        last = steps;
        sotto_status status = sotto_plan_epsilon(plan, config, steps, &epsilon, NULL, err);
        if (status != SOTTO_OK)
            return status;
        (void)json_array_append_new(list,
                                    json_pack("{s:I, s:f}", "step", (json_int_t)steps, "epsilon", epsilon));
    }
    return SOTTO_OK;
}

/*
 * Seconds for one step: a few real steps of a throw-away model on an empty table. No row is read:
 * made-up ones stand in for the sampled rows.
 */
/* One use of either door; the one that is wanted is made. */
struct rehearsal {
    sotto_model *model;
    sotto_dpsgd *step;
    sotto_parts *parts;
};

static sotto_status rehearse(const struct rehearsal *at, sotto_error *err)
{
    return at->parts ? sotto_model_round(at->model, at->parts, err)
                     : sotto_model_step(at->model, at->step, err);
}

static sotto_status open_door(struct rehearsal *at, const sotto_config *config, const sotto_plan *plan,
                              sotto_budget *budget, sotto_random *random, sotto_error *err)
{
    const sotto_model_private wanted = sotto_model_private_wanted(at->model);
    if (wanted.parts > 0) {
        sotto_parts_options options = sotto_plan_parts_options(plan, config);
        options.label = "timing on an empty table";
        options.budget = budget;
        options.random = random;
        return sotto_parts_create(&at->parts, &options, err);
    }
    sotto_dpsgd_options options = sotto_plan_step_options(plan, config);
    options.label = "timing on an empty table";
    options.weights = wanted.weights;
    options.parameters = wanted.parameters;
    options.budget = budget;
    options.random = random;
    return sotto_dpsgd_create(&at->step, &options, err);
}

static sotto_status measure(const sotto_config *config, const sotto_plan *plan, double *seconds,
                            sotto_error *err)
{
    enum { WARM = 1, TIMED = 4 };
    struct rehearsal at = {0};
    sotto_random *random = NULL;
    sotto_budget *budget = NULL;
    sotto_training training = plan->training;
    const bool parts = sotto_model_private_wanted(plan->model).parts > 0;
    const int warm = parts ? 0 : WARM, timed = parts ? 1 : TIMED; /* a round is many turns */
    training.rehearsal = true;
    if (!parts && training.discriminator_steps > TIMED)
        training.discriminator_steps = TIMED;
    sotto_status status = sotto_model_create(&at.model, config->model, plan->encoder, err);
    if (status == SOTTO_OK)
        status = sotto_random_create(&random, err);
    if (status == SOTTO_OK)
        status = sotto_model_prepare(at.model, &training, random, err);
    if (status == SOTTO_OK)
        status = sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e12, config->delta, &budget, err);
    if (status == SOTTO_OK)
        status = open_door(&at, config, plan, budget, random, err);
    double start = 0.0;
    for (int i = 0; i < warm + timed && status == SOTTO_OK; i++) {
        if (i == warm)
            start = sotto_seconds();
        status = rehearse(&at, err);
    }
    *seconds = (sotto_seconds() - start) / timed;
    sotto_dpsgd_destroy(at.step);
    sotto_parts_destroy(at.parts);
    sotto_budget_destroy(budget);
    sotto_model_destroy(at.model);
    sotto_random_destroy(random);
    return status;
}

/* What there is to say of private steps. */
static void step_facts(const sotto_config *config, const sotto_plan *plan, double seconds_per_step,
                       json_t *record)
{
    const double seconds = seconds_per_step * (double)plan->training.steps;
    json_t *facts = json_pack(
        "{s:f, s:I, s:f, s:s, s:f, s:f, s:I, s:f, s:f, s:f}", "sample_rate", plan->step.sample_rate,
        "expected_batch_size", (json_int_t)config->expected_batch_size, "noise_multiplier",
        plan->step.noise_multiplier, "clipping", sotto_clipping_name(plan->clipping.kind), "max_grad_norm",
        plan->clipping.max_grad_norm, "gradient_noise_multiplier", sotto_plan_gradient_noise(plan),
        "steps_allowed", (json_int_t)plan->steps_allowed, "signal_to_noise", sotto_plan_signal_to_noise(plan),
        "seconds_per_step", seconds_per_step, "expected_seconds", seconds);
    const sotto_model_private wanted = sotto_model_private_wanted(plan->model);
    if (wanted.parts > 0) {
        (void)json_object_set_new(facts, "parts", json_integer((json_int_t)wanted.parts));
        (void)json_object_set_new(facts, "vector", json_integer((json_int_t)wanted.dimension));
    }
    (void)json_object_update(record, facts);
    json_decref(facts);
}

static json_t *plan_record(const sotto_config *config, const sotto_plan *plan, double seconds_per_step,
                           json_t *list, json_t *after)
{
    const bool steps = sotto_plan_takes_steps(plan);
    const sotto_model_private wanted = sotto_model_private_wanted(plan->model);
    const size_t private = !steps             ? 0
                           : wanted.parts > 0 ? sotto_model_parameters(plan->model)
                                              : sotto_network_parameters(wanted.network);
    json_t *record = json_pack(
        "{s:s, s:s, s:s, s:f, s:f, s:{s:f, s:f}, s:f, s:o, s:I, s:s, s:I, s:o, s:{s:I, s:I}, s:o, s:o}",
        "config", config->path, "model", sotto_model_type(plan->model), "accountant",
        sotto_accountant_kind_name(config->accountant), "target_epsilon", config->epsilon, "delta",
        config->delta, "delta_shares", "accountant", plan->shares.accountant, "noise", plan->shares.noise,
        "epsilon", plan->epsilon, "order", plan->order > 0 ? json_real(plan->order) : json_null(), "rows",
        (json_int_t)plan->schema->rows, "noise", sotto_arithmetic_name(config->arithmetic), "steps",
        (json_int_t)plan->training.steps, "releases", list, "parameters", "private", (json_int_t) private,
        "generator", (json_int_t)sotto_model_parameters(plan->model), "epsilon_after", after, "warnings",
        sotto_plan_warnings(plan, config));
    json_t *unit = config->unit
                       ? json_pack("{s:s, s:I, s:I}", "unit", config->unit, "units", (json_int_t)plan->units,
                                   "max_rows_per_unit", (json_int_t)config->max_rows_per_unit)
                       : json_pack("{s:s}", "unit", "row");
    (void)json_object_update(record, unit);
    json_decref(unit);
    if (steps)
        step_facts(config, plan, seconds_per_step, record);
    return record;
}

/* Would the ledger let such a run begin? By data.id or the table's path alone: the table is not opened. */
static sotto_status ask_cap(const sotto_config *config, const sotto_plan *plan, const char *file,
                            sotto_error *why)
{
    sotto_ledger *ledger = NULL;
    sotto_ledger_table table;
    char *path = NULL;
    sotto_charge charges[SOTTO_PLAN_CHARGES];
    const sotto_ledger_plan wanted = {.charges = charges,
                                      .count = sotto_plan_charges(plan, charges),
                                      .draws = plan->shares.draws,
                                      .epsilon = config->epsilon,
                                      .delta = config->delta};
    const sotto_ledger_options options = {.path = file, .mirror = config->mirror, .read_only = true};
    sotto_status status = sotto_config_table(config, NULL, &table, &path, why);
    if (status == SOTTO_OK)
        status = sotto_ledger_open(&ledger, &options, why);
    if (status == SOTTO_OK)
        status = sotto_ledger_bears(ledger, &table, &wanted, 1, why);
    sotto_ledger_close(ledger);
    free(path);
    return status;
}

/* As things stand; a plan needs no ledger, and makes none. */
static void warn_of_cap(const sotto_config *config, const sotto_plan *plan, json_t *warnings)
{
    char *file = NULL;
    sotto_error why = {0};
    if (sotto_ledger_find(config->ledger, &file, NULL) == SOTTO_OK && access(file, F_OK) == 0 &&
        ask_cap(config, plan, file, &why) != SOTTO_OK)
        (void)json_array_append_new(
            warnings, json_sprintf("the ledger would refuse this run as things stand: %s", why.message));
    free(file);
}

/* Of a config with a section `sweep`: what all its runs would cost. */
static sotto_status plan_sweep(const sotto_run_options *options, char **json, sotto_error *err)
{
    sotto_sweep sweep;
    sotto_run_cost *costs;
    json_t *record;
    sotto_status status = sotto_sweep_load(&sweep, options, err);
    if (status == SOTTO_OK)
        status = sotto_sweep_plan(&sweep, &costs, err);
    if (status == SOTTO_OK)
        status = sotto_sweep_plan_record(&sweep, costs, &record, err);
    if (status == SOTTO_OK)
        status = sotto_json_text(record, json, err);
    sotto_sweep_destroy(&sweep);
    return status;
}

sotto_status sotto_run_plan(const sotto_run_options *options, char **json, sotto_error *err)
{
    sotto_config config;
    sotto_plan plan = {0};
    json_t *list = json_array();
    json_t *after = json_array();
    double seconds = 0.0;
    *json = NULL;
    sotto_status status = sotto_config_load(&config, options, err);
    if (status == SOTTO_OK && config.sweep) {
        sotto_config_destroy(&config);
        json_decref(list);
        json_decref(after);
        return plan_sweep(options, json, err);
    }
    if (status == SOTTO_OK)
        status = sotto_plan_make(&plan, &config, sotto_run_threads(options->threads), err);
    if (status == SOTTO_OK)
        status = releases(&plan, &config, list, err);
    if (status == SOTTO_OK)
        status = epsilon_after(&plan, &config, after, err);
    if (status == SOTTO_OK)
        status = sotto_plan_takes_steps(&plan) ? measure(&config, &plan, &seconds, err) : SOTTO_OK;
    if (status == SOTTO_OK) {
        json_t *record = plan_record(&config, &plan, seconds, list, after);
        warn_of_cap(&config, &plan, json_object_get(record, "warnings"));
        status = sotto_json_text(record, json, err);
    } else {
        json_decref(list);
        json_decref(after);
    }
    sotto_plan_destroy(&plan);
    sotto_config_destroy(&config);
    return status;
}
