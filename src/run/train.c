/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The training loop: config, plan, table, the ledger, then steps until the plan's end, the budget's end, or a
 * wish to stop. */
#include <stdlib.h>
#include <string.h>

#include "run/figures.h"
#include "run/train.h"

static const uint64_t most_step_records = 100000;
enum { LOOKS = 50 }; /* at the model, in a whole run */

static void release(struct training *training)
{
    sotto_ledger_run_destroy(training->ledger_run);
    sotto_ledger_close(training->ledger);
    sotto_run_directory_close(&training->directory);
    sotto_checkpoint_destroy(&training->checkpoint);
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
    if (status == SOTTO_OK && !options->resume)
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
    record->ledger = training->ledger;
    record->ledger_run = training->ledger_run;
    record->real = (sotto_real_rows){training->table, units_of(training), training->budget};
    record->not_private = sotto_random_is_private(training->random) ? "" : SOTTO_NOT_PRIVATE;
    record->synthetic_rows = training->config.sample_rows ? training->config.sample_rows : plan->schema->rows;
    record->split = training->split;
    memcpy(record->table_sha256, sotto_table_sha256(training->table), sizeof record->table_sha256);
    const uint64_t last = plan->training.steps > 0 ? plan->training.steps - 1 : 0;
    record->stride = last / most_step_records + 1;
    training->step_room = last / record->stride + 1;
    training->look_room = LOOKS + 2;
    record->steps = calloc(training->step_room, sizeof *record->steps);
    record->health = calloc(training->look_room, sizeof *record->health);
    record->columns = column_counts(training->table);
    return record->steps && record->health && record->columns
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for records");
}

/* Which units, and which rows of each, training may see; all coins of it are tossed here, once. */
static sotto_status toss_split(struct training *training, sotto_error *err)
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
    return status == SOTTO_OK ? sotto_training_save_split(training, err) : status;
}

/* A resume has other keys than any attempt before it, even of a test seed (P8). */
static sotto_status open_random(struct training *training, const sotto_run_options *options, sotto_error *err)
{
    const uint64_t attempt = sotto_ledger_run_attempt(training->ledger_run);
    return sotto_run_random(&training->random, options->insecure_test_only_seed,
                            options->seed + (attempt - 1) * UINT64_C(0x9E3779B97F4A7C15), err);
}

static sotto_status set_up(struct training *training, const sotto_run_options *options, sotto_error *err)
{
    const sotto_plan *plan = &training->plan;
    bool found = false;
    sotto_status status = open_random(training, options, err);
    if (status == SOTTO_OK && options->resume)
        status = sotto_training_restore_split(training, &found, err);
    if (status == SOTTO_OK && !found)
        status = toss_split(training, err);
    if (status == SOTTO_OK)
        status = sotto_training_open_budget(training, err);
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
    if ((step - 1) % record->stride == 0 && record->step_count < training->step_room)
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
    if ((step % every != 0 && step != training->last_step) || record->health_count == training->look_room)
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

static bool is_asked_to_stop(const sotto_run_options *options)
{
    return options->stop && options->stop(options->stop_context);
}

/* What is known is saved, and nothing is released. */
static sotto_status interrupt(struct training *training, sotto_error *err)
{
    sotto_training_record *record = &training->record;
    record->interrupted = true;
    sotto_run_log(&training->directory, "stopped on request after step %llu of %llu",
                  (unsigned long long)record->steps_taken, (unsigned long long)training->plan.training.steps);
    return sotto_training_save(training, err);
}

/* A step that could not be paid for was not begun: what the steps before it made is whole, and was paid for.
 * Where it cannot be saved either, the first error is told. */
static void keep_what_is_paid(struct training *training, sotto_status status)
{
    if (status == SOTTO_ERROR_BUDGET || (status != SOTTO_OK && training->charge_failed))
        (void)sotto_training_save(training, NULL);
}

static sotto_status take_step(struct training *training, sotto_error *err)
{
    sotto_model *model = training->plan.model;
    sotto_status status = training->parts ? sotto_model_round(model, training->parts, err)
                                          : sotto_model_step(model, training->step, err);
    keep_what_is_paid(training, status);
    if (status != SOTTO_OK)
        return status;
    const uint64_t step = ++training->record.steps_taken;
    record_step(training, step);
    return look_at_model(training, step, err);
}

static sotto_status take_steps(struct training *training, const sotto_run_options *options, sotto_error *err)
{
    const double start = sotto_seconds();
    double shown = 0.0;
    training->first_step = training->record.steps_taken;
    while (training->record.steps_taken < training->last_step) {
        if (is_asked_to_stop(options))
            return interrupt(training, err);
        sotto_status status = take_step(training, err);
        if (status != SOTTO_OK || training->record.diverged[0])
            return status;
        const uint64_t step = training->record.steps_taken;
        const double now = sotto_seconds();
        if (options->progress && (now - shown > 0.2 || step == training->last_step)) {
            status = sotto_training_show(training, options, step, start, err);
            if (status != SOTTO_OK)
                return status;
            shown = now;
        }
        if (step < training->last_step && sotto_training_is_to_be_saved(training))
            status = sotto_training_save(training, err);
        if (status != SOTTO_OK)
            return status;
    }
    return sotto_training_save(training, err);
}

static sotto_status refuse_finish(const struct training *training, sotto_error *err)
{
    return sotto_error_set_at(
        err, SOTTO_ERROR_INPUT, training->directory.path, 0, 0,
        "there is no checkpoint of this run to finish with; leave --finish away to go on from the start, where "
        "the budget bears that, or give back what the run holds: sotto ledger close %s",
        training->identity.run);
}

/* Rows of a network that took no step are noise: nobody shall take them for what was paid for. */
static sotto_status check_worth(const struct training *training, const sotto_run_options *options,
                                sotto_error *err)
{
    const char *run = training->identity.run;
    if (!sotto_plan_takes_steps(&training->plan) || training->last_step > 0)
        return SOTTO_OK;
    if (options->finish)
        return sotto_error_set_at(
            err, SOTTO_ERROR_INPUT, training->directory.path, 0, 0,
            "no step was taken yet, so the network has learned nothing, and its rows would be noise; leave "
            "--finish away to go on, or give back what the run holds: sotto ledger close %s",
            run);
    return sotto_error_set_at(
        err, SOTTO_ERROR_BUDGET, training->directory.path, 0, 0,
        "work that was lost stays charged, and the budget bears no step beside it, so that nothing could be "
        "learned; give back what the run holds: sotto ledger close %s",
        run);
}

/* Whatever is bought once, on the disk before the first step. */
static sotto_status buy(struct training *training, sotto_error *err)
{
    sotto_status status = buy_releases(training, err);
    if (status == SOTTO_OK)
        status = buy_figures(training, err);
    return status == SOTTO_OK ? sotto_training_save(training, err) : status;
}

/* What the rows tell before the first step, or what an earlier attempt left. */
static sotto_status start(struct training *training, const sotto_run_options *options, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    if (options->resume)
        status = sotto_training_restore(training, err);
    if (status == SOTTO_OK)
        status = sotto_training_settle_last_step(training, options, err);
    if (status == SOTTO_OK && options->finish && !training->restored)
        status = refuse_finish(training, err);
    if (status == SOTTO_OK)
        status = check_worth(training, options, err);
    if (status != SOTTO_OK || training->restored)
        return status;
    return sotto_training_failed(training, buy(training, err), err);
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

static sotto_status make(struct training *training, const sotto_run_options *options, sotto_error *err)
{
    sotto_status status = start(training, options, err);
    if (status != SOTTO_OK)
        return status;
    status = take_steps(training, options, err);
    if (status == SOTTO_OK)
        check_numbers(training);
    if (status == SOTTO_OK && !training->record.interrupted)
        status = sotto_run_directory_finish(&training->directory, &training->record, training->random,
                                            options, err);
    training->record.interrupted = training->record.interrupted || status == SOTTO_INTERRUPTED;
    return status == SOTTO_INTERRUPTED ? SOTTO_OK : sotto_training_failed(training, status, err);
}

/* An earlier attempt wrote its release and entered it, and was ended before it appeared. */
static sotto_status let_appear(struct training *training, char **json, sotto_error *err)
{
    const sotto_ledger_artefact *artefacts;
    size_t count;
    if (!sotto_ledger_run_released(training->ledger, training->identity.run, &artefacts, &count))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "the ledger knows of no release of this run");
    const sotto_status status = sotto_run_directory_publish(&training->directory, artefacts, count, err);
    return status == SOTTO_OK ? sotto_training_appeared(training, json, err) : status;
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
    training.in_sweep = part != NULL;
    training.record.tuning =
        part ? part->tuning
             : "none was charged in this run; settings tuned on this table before it are not covered";
    if (status == SOTTO_OK)
        status = sotto_training_enroll(&training, options, err);
    if (status == SOTTO_OK && !training.ledger_run) {
        status = let_appear(&training, json, err);
        goto done;
    }
    if (status == SOTTO_OK)
        status = set_up(&training, options, err);
    if (status == SOTTO_OK &&
        sotto_plan_takes_steps(
            &training.plan)) /* before anything is charged: it looks whether exact arithmetic is exact here */
        status = make_step(&training, err);
    if (status == SOTTO_OK) {
        sotto_training_note(&training, options);
        status = make(&training, options, err);
    }
    training.record.seconds = sotto_seconds() - start;
    if (status == SOTTO_OK)
        status = sotto_training_conclude(&training, json, err);
    if (status != SOTTO_OK && status != SOTTO_INTERRUPTED)
        sotto_training_withdraw(&training);
done:
    release(&training);
    return status;
}
