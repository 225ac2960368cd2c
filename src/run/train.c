/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The training loop: config, plan, table, then steps until the plan's end, the budget's end, or a wish to
 * stop. */
#include <stdlib.h>
#include <string.h>

#include "run/figures.h"
#include "run/train.h"

static const uint64_t most_step_records = 100000;
enum { LOOKS = 50 }; /* at the model, in a whole run */

static void release(struct training *training)
{
    sotto_run_directory_close(&training->directory);
    free(training->record.steps);
    free(training->record.health);
    sotto_health_destroy(training->health);
    json_decref(training->record.columns);
    sotto_dpsgd_destroy(training->step);
    sotto_parts_destroy(training->parts);
    sotto_budget_destroy(training->budget);
    sotto_random_destroy(training->random);
    sotto_split_destroy(training->split);
    sotto_encoded_destroy(training->data);
    sotto_table_destroy(training->table);
    sotto_plan_destroy(&training->plan);
    sotto_config_destroy(&training->config);
}

/* Everything that can be wrong with the input is found here, before anything is made or charged. */
static sotto_status read_input(struct training *training, const sotto_run_options *options, sotto_error *err)
{
    const sotto_config *config = &training->config;
    sotto_plan *plan = &training->plan;
    /* Were a table with one row more refused, the release itself would tell that it was not there. */
    sotto_table_options any_rows = {.any_row_count = true};
    sotto_status status = sotto_config_load(&training->config, options, err);
    if (status == SOTTO_OK)
        status = sotto_plan_make(plan, config, sotto_run_threads(options->threads), err);
    if (status == SOTTO_OK && !config->output)
        status = sotto_error_set_at(err, SOTTO_ERROR_INPUT, config->path, 0, 0,
                                    "there is no output; add `output: runs/NAME` or give --output DIR");
    if (status == SOTTO_OK)
        status = sotto_run_directory_check(config->output, err);
    any_rows.units = config->unit != NULL;
    if (status == SOTTO_OK)
        status = sotto_table_load(&training->table, plan->schema, config->table, &any_rows, err);
    if (status == SOTTO_OK && sotto_table_stamped(training->table))
        status = sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, config->table, 1, 0,
            "this table was made with a test seed and is stamped NOT PRIVATE; what is made "
            "of it could not be called private either; train on the real table");
    if (status == SOTTO_OK)
        status = sotto_encode(&training->data, plan->encoder, training->table, err);
    return status;
}

/* What was mapped into the declared domain while reading: for private/ (P11). */
static json_t *column_counts(const sotto_table *table)
{
    const sotto_schema *schema = sotto_table_schema(table);
    json_t *list = json_array();
    for (size_t c = 0; c < schema->column_count; c++) {
        const sotto_column_counts *counts = sotto_table_counts(table, c);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "name", schema->columns[c].name, "missing",
                            (json_int_t)counts->missing, "clamped_low", (json_int_t)counts->clamped_low,
                            "clamped_high", (json_int_t)counts->clamped_high, "not_a_number",
                            (json_int_t)counts->not_a_number, "undeclared", (json_int_t)counts->undeclared));
    }
    return list;
}

/* Whatever is sampled, counted or picked from: nobody else's rows are read. */
static sotto_units units_of(const struct training *training)
{
    const sotto_split *split = training->split;
    return (sotto_units){.rows = split->train,
                         .first = split->first,
                         .count = split->train_units,
                         .most = training->config.max_rows_per_unit};
}

static sotto_status start_record(struct training *training, sotto_error *err)
{
    const sotto_plan *plan = &training->plan;
    sotto_training_record *record = &training->record;
    record->config = &training->config;
    record->plan = plan;
    record->budget = training->budget;
    record->real = (sotto_real_rows){training->table, units_of(training), training->budget};
    record->not_private = sotto_random_is_private(training->random) ? "" : SOTTO_NOT_PRIVATE;
    record->synthetic_rows = training->config.sample_rows ? training->config.sample_rows : plan->schema->rows;
    record->split = training->split;
    memcpy(record->table_sha256, sotto_table_sha256(training->table), sizeof record->table_sha256);
    const uint64_t last = plan->training.steps > 0 ? plan->training.steps - 1 : 0;
    record->stride = last / most_step_records + 1;
    record->steps = calloc(last / record->stride + 1, sizeof *record->steps);
    record->health = calloc(LOOKS + 2, sizeof *record->health);
    record->columns = column_counts(training->table);
    return record->steps && record->health && record->columns
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for records");
}

/* Which units, and which rows of each, training may see; all coins of it are tossed here, once. */
static sotto_status split_units(struct training *training, sotto_error *err)
{
    const sotto_config *config = &training->config;
    sotto_stream *coins = NULL;
    sotto_status status = sotto_stream_create(&coins, training->random, SOTTO_PURPOSE_SPLIT, err);
    if (status == SOTTO_OK && config->unit)
        status = sotto_split_create_units(&training->split, training->table, training->plan.unit_column,
                                          config->max_rows_per_unit, config->holdout, coins, err);
    else if (status == SOTTO_OK)
        status = sotto_split_create(&training->split, sotto_table_rows(training->table), config->holdout,
                                    coins, err);
    sotto_stream_destroy(coins);
    return status;
}

static sotto_status set_up(struct training *training, const sotto_run_options *options, sotto_error *err)
{
    const sotto_config *config = &training->config;
    const sotto_plan *plan = &training->plan;
    sotto_status status =
        sotto_run_random(&training->random, options->insecure_test_only_seed, options->seed, err);
    if (status == SOTTO_OK)
        status = split_units(training, err);
    if (status == SOTTO_OK)
        status = sotto_budget_create(config->accountant, config->epsilon, plan->shares.accountant,
                                     &training->budget, err);
    if (status == SOTTO_OK)
        status = start_record(training, err);
    if (status == SOTTO_OK)
        status = sotto_model_prepare(plan->model, &plan->training, training->random, err);
    if (status == SOTTO_OK)
        sotto_model_data(plan->model, training->data);
    return status;
}

/* All that the model wants of the rows before its first step. */
static sotto_status buy_releases(struct training *training, sotto_error *err)
{
    const sotto_plan *plan = &training->plan;
    uint64_t made[SOTTO_MODEL_RELEASES] = {0};
    const sotto_release_door door = {.count = plan->release_count,
                                     .releases = plan->releases,
                                     .mechanisms = plan->release_mechanisms,
                                     .made = made,
                                     .budget = training->budget,
                                     .random = training->random,
                                     .units = units_of(training)};
    for (size_t i = 0; i < plan->release_count; i++) {
        const sotto_mechanism *one = &plan->release_mechanisms[i];
        if (one->kind == SOTTO_MECHANISM_GAUSSIAN)
            sotto_run_log(&training->directory, "%s: %llu Gaussian release%s at noise multiplier %.9g",
                          plan->releases[i].label, (unsigned long long)plan->releases[i].uses,
                          plan->releases[i].uses == 1 ? "" : "s", one->noise_multiplier);
        else
            sotto_run_log(&training->directory, "%s: %llu exponential mechanisms of epsilon %.9g each",
                          plan->releases[i].label, (unsigned long long)plan->releases[i].uses, one->epsilon);
    }
    return sotto_model_learn(plan->model, &door, err);
}

static sotto_status buy_figures(struct training *training, sotto_error *err)
{
    const sotto_plan *plan = &training->plan;
    const sotto_units units = units_of(training);
    if (!plan->figures)
        return SOTTO_OK;
    sotto_run_log(&training->directory, "%s: one Gaussian release at noise multiplier %.9g",
                  SOTTO_FIGURES_LABEL, plan->figures_counts.noise_multiplier);
    return sotto_figures_buy(plan->figures, training->table, &plan->figures_counts, training->budget, &units,
                             training->random, err);
}

static sotto_status make_parts(struct training *training, sotto_error *err)
{
    sotto_parts_options options = sotto_plan_parts_options(&training->plan, &training->config);
    options.units = units_of(training);
    options.budget = training->budget;
    options.random = training->random;
    return sotto_parts_create(&training->parts, &options, err);
}

static sotto_status make_private_step(struct training *training, sotto_error *err)
{
    const sotto_model_private wanted = sotto_model_private_wanted(training->plan.model);
    sotto_dpsgd_options options = sotto_plan_step_options(&training->plan, &training->config);
    options.units = units_of(training);
    options.weights = wanted.weights;
    options.parameters = wanted.parameters;
    options.budget = training->budget;
    options.random = training->random;
    return sotto_dpsgd_create(&training->step, &options, err);
}

static sotto_status make_step(struct training *training, sotto_error *err)
{
    const bool parts = sotto_model_private_wanted(training->plan.model).parts > 0;
    const sotto_status status = parts ? make_parts(training, err) : make_private_step(training, err);
    return status == SOTTO_OK
               ? sotto_health_create(&training->health, training->plan.model, training->random, err)
               : status;
}

static void record_step(struct training *training, uint64_t step)
{
    sotto_training_record *record = &training->record;
    if ((step - 1) % record->stride == 0)
        record->steps[record->step_count++] = (sotto_step_record){
            .step = step,
            .seen = training->parts ? sotto_parts_last(training->parts) : sotto_dpsgd_last(training->step),
            .losses = sotto_model_last_losses(training->plan.model),
        };
}

/*
 * Every so often, and after the last step: does training still go somewhere? What is looked at has nothing of
 * a row but what private steps and counts let through, and when depends on the plan alone.
 */
static sotto_status look_at_model(struct training *training, uint64_t step, sotto_error *err)
{
    const uint64_t steps = training->plan.training.steps, every = (steps + LOOKS - 1) / LOOKS;
    sotto_training_record *record = &training->record;
    if (step % every != 0 && step != steps)
        return SOTTO_OK;
    sotto_model_health *seen = &record->health[record->health_count++];
    const sotto_status status = sotto_health_examine(training->health, seen, err);
    seen->step = step;
    const char *verdict = sotto_health_verdict(training->health);
    if (status != SOTTO_OK || !verdict || training->plan.training.keep_on)
        return status;
    (void)snprintf(record->diverged, sizeof record->diverged, "%s", verdict);
    sotto_run_log(&training->directory, "ended after step %llu of %llu: %s", (unsigned long long)step,
                  (unsigned long long)steps, verdict);
    return SOTTO_OK;
}

/* What may be shown to anyone: steps, time and the accountant's ε; no loss, no batch size. */
static sotto_status show_progress(const struct training *training, const sotto_run_options *options,
                                  uint64_t step, double start, sotto_error *err)
{
    const uint64_t steps = training->plan.training.steps;
    sotto_progress facts = {.phase = "training", .step = step, .steps = steps};
    sotto_status status = SOTTO_OK;
    if (training->config.accountant == SOTTO_ACCOUNTANT_RDP)
        status = sotto_budget_epsilon(training->budget, &facts.epsilon, NULL, err);
    else /* milliseconds or more: what the steps to come will have cost is known already */
        facts.epsilon = training->epsilon_ahead;
    if (status != SOTTO_OK)
        return status;
    const double elapsed = sotto_seconds() - start;
    facts.target_epsilon = training->config.epsilon;
    facts.steps_per_second = elapsed > 0 ? (double)step / elapsed : 0.0;
    facts.seconds_left = step ? elapsed / (double)step * (double)(steps - step) : -1.0;
    options->progress(options->progress_context, &facts);
    return SOTTO_OK;
}

/*
 * Every so often, what the coming steps will have cost at most, before they are taken: a run that is killed
 * leaves word of what it may have spent.
 */
static sotto_status log_coming_steps(struct training *training, uint64_t step, sotto_error *err)
{
    const uint64_t steps = training->plan.training.steps;
    const uint64_t block = steps / 20 + 1;
    if ((step - 1) % block != 0)
        return SOTTO_OK;
    const uint64_t last = step - 1 + block < steps ? step - 1 + block : steps;
    sotto_status status =
        sotto_plan_epsilon(&training->plan, &training->config, last, &training->epsilon_ahead, NULL, err);
    if (status == SOTTO_OK)
        sotto_run_log(&training->directory,
                      "steps %llu to %llu of %llu; after them epsilon is at most %.6g at delta %g",
                      (unsigned long long)step, (unsigned long long)last, (unsigned long long)steps,
                      training->epsilon_ahead * (1 + 1e-6), training->config.delta);
    return status;
}

static sotto_status take_steps(struct training *training, const sotto_run_options *options, sotto_error *err)
{
    const uint64_t steps = training->plan.training.steps;
    const double start = sotto_seconds();
    double shown = 0.0;
    for (uint64_t step = 1; step <= steps; step++) {
        sotto_status status = log_coming_steps(training, step, err);
        if (status != SOTTO_OK)
            return status;
        status = training->parts ? sotto_model_round(training->plan.model, training->parts, err)
                                 : sotto_model_step(training->plan.model, training->step, err);
        if (status != SOTTO_OK)
            return status;
        training->record.steps_taken = step;
        record_step(training, step);
        status = look_at_model(training, step, err);
        if (status != SOTTO_OK || training->record.diverged[0])
            return status;
        const double now = sotto_seconds();
        if (options->progress && (now - shown > 0.2 || step == steps)) {
            status = show_progress(training, options, step, start, err);
            if (status != SOTTO_OK)
                return status;
            shown = now;
        }
        if (options->stop && step < steps && options->stop(options->stop_context)) {
            training->record.interrupted = true;
            sotto_run_log(&training->directory, "stopped on request after step %llu of %llu",
                          (unsigned long long)step, (unsigned long long)steps);
            return SOTTO_OK;
        }
    }
    return SOTTO_OK;
}

/* Numbers that are none make neither rows nor a model, whatever training.stop_if_diverging says. */
static void check_numbers(struct training *training)
{
    sotto_training_record *record = &training->record;
    if (record->diverged[0] || !sotto_plan_takes_steps(&training->plan) ||
        sotto_model_is_finite(training->plan.model))
        return;
    (void)snprintf(record->diverged, sizeof record->diverged, "its parameters are no numbers any more");
    sotto_run_log(&training->directory, "neither rows nor a model are made: %s", record->diverged);
}

sotto_status sotto_run_train(const sotto_run_options *options, char **json, sotto_error *err)
{
    return sotto_train(options, NULL, json, err);
}

/* Is the plan what was charged for? */
static bool is_as_charged(const struct training *training, const sotto_run_cost *cost)
{
    const sotto_run_cost now = sotto_plan_cost(&training->plan, &training->config);
    if (now.release_count != cost->release_count)
        return false;
    for (size_t i = 0; i < now.release_count; i++)
        if (!sotto_mechanism_equal(&now.releases[i], &cost->releases[i]) || now.uses[i] != cost->uses[i])
            return false;
    if (now.step.kind != cost->step.kind ||
        (now.step.kind != 0 && !sotto_mechanism_equal(&now.step, &cost->step)))
        return false;
    return now.unit_column == cost->unit_column && now.max_rows_per_unit == cost->max_rows_per_unit &&
           now.steps == cost->steps && now.draws == cost->draws && now.epsilon == cost->epsilon &&
           strcmp(now.schema_sha256, cost->schema_sha256) == 0;
}

static sotto_status check_part(const struct training *training, const sotto_sweep_part *part,
                               sotto_error *err)
{
    if (!part && training->config.sweep)
        return sotto_node_error(
            training->config.sweep, err,
            "this config describes a sweep of many runs, and train makes one; run `sotto sweep`, "
            "or remove the section `sweep`");
    if (part && !is_as_charged(training, part->cost))
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, training->config.path, 0, 0,
            "the config or the schema was changed after the sweep began, so this run is not the "
            "one that was charged; put them back, or begin a sweep of its own");
    return SOTTO_OK;
}

sotto_status sotto_train(const sotto_run_options *options, const sotto_sweep_part *part, char **json,
                         sotto_error *err)
{
    struct training training = {0};
    const double start = sotto_seconds();
    *json = NULL;
    sotto_json_watch();
    sotto_status status = read_input(&training, options, err);
    if (status == SOTTO_OK)
        status = check_part(&training, part, err);
    training.record.tuning =
        part ? part->tuning
             : "none was charged in this run; settings tuned on this table before it are not covered";
    if (status == SOTTO_OK)
        status = set_up(&training, options, err);
    if (status == SOTTO_OK &&
        sotto_plan_takes_steps(
            &training.plan)) /* before anything is charged: it looks whether exact arithmetic is exact here */
        status = make_step(&training, err);
    if (status == SOTTO_OK)
        status = sotto_run_directory_open(&training.directory, training.config.output,
                                          training.record.not_private, err);
    if (status != SOTTO_OK)
        goto done;
    sotto_training_note(&training, options);
    status = buy_releases(&training, err);
    if (status == SOTTO_OK)
        status = buy_figures(&training, err);
    if (status == SOTTO_OK)
        status = take_steps(&training, options, err);
    if (status == SOTTO_OK)
        check_numbers(&training);
    if (status == SOTTO_OK)
        status =
            sotto_run_directory_finish(&training.directory, &training.record, training.random, options, err);
    training.record.seconds = sotto_seconds() - start;
    if (status == SOTTO_OK && training.record.scarce.code == SOTTO_OK)
        status = sotto_training_summary(&training, json, err);
    if (status == SOTTO_OK && training.record.diverged[0])
        status = sotto_training_diverged(&training, err);
    if (status == SOTTO_OK && (training.record.interrupted || training.record.sampling_stopped))
        status = sotto_error_set(err, SOTTO_INTERRUPTED, "stopped on request after step %llu of %llu",
                                 (unsigned long long)training.record.steps_taken,
                                 (unsigned long long)training.plan.training.steps);
    if (status == SOTTO_OK && training.record.scarce.code != SOTTO_OK)
        status = sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, training.directory.path, 0, 0,
            "%s. All else of the release is there, and paid for: `sotto sample` makes rows of "
            "its model",
            training.record.scarce.message);
done:
    release(&training);
    return status;
}
