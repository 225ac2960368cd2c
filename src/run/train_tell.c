/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What a run of training says: to its private log before it begins, and to whoever asked for it at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "run/train.h"

static json_t *released_files(const struct training *training)
{
    if (training->record.interrupted)
        return json_array();
    if (training->record.diverged[0])
        return json_pack("[s,s]", "release/privacy.json", "release/privacy.html");
    return json_pack("[s,s,s,s,s*]", "release/synthetic.csv", "release/model.sotto", "release/privacy.json",
                     "release/privacy.html", training->plan.figures ? "release/figures.json" : NULL);
}

static json_t *private_files(const struct training *training)
{
    return training->record.interrupted
               ? json_pack("[s,s,s,s]", "private/config.yaml", "private/train.log", "private/run.json",
                           "private/checkpoint")
               : json_pack("[s,s,s,s,s]", "private/config.yaml", "private/train.log", "private/metrics.json",
                           "private/run.json", "private/checkpoint");
}

static const char *how_it_stopped(const sotto_training_record *record)
{
    return record->diverged[0]                    ? "it was diverging"
           : record->interrupted                  ? "interrupted"
           : record->finished_early               ? "on request, before the planned steps"
           : record->spent                        ? "at the budget's end, since lost work stays charged"
           : sotto_plan_takes_steps(record->plan) ? "at the planned steps"
                                                  : "at the plan's end";
}

/* How much of the cap the data set's runs for units of this kind have taken; null where that is not known. */
static json_t *share_of_cap(const json_t *set, const char *unit)
{
    const json_t *spent = json_object_get(set, "spent");
    for (size_t i = 0; i < json_array_size(spent); i++) {
        const json_t *one = json_array_get(spent, i);
        const char *of = json_string_value(json_object_get(one, "unit"));
        if (unit && of ? strcmp(unit, of) == 0 : !unit && !of)
            return json_incref(json_object_get(one, "share_of_cap"));
    }
    return json_null();
}

/* Where it is charged, for whoever runs the job: it depends on other runs, and belongs into no release. A
 * ledger that cannot be asked any more is told of by its name alone. */
static json_t *ledger_facts(const struct training *training)
{
    json_t *run = NULL, *set = NULL;
    sotto_ledger *ledger = training->ledger;
    (void)sotto_ledger_show(ledger, training->identity.run, &run, NULL);
    const char *name = json_string_value(json_object_get(run, "data_set"));
    if (name)
        (void)sotto_ledger_show(ledger, name, &set, NULL);
    const json_t *cap = json_object_get(set, "cap");
    json_t *facts =
        json_pack("{s:s, s:s?, s:s, s:O?, s:O?, s:o}", "file", sotto_ledger_path(ledger), "data_set", name,
                  "run", training->identity.run, "attempts", json_object_get(run, "attempt"), "cap", cap,
                  "share_of_cap", share_of_cap(set, training->config.unit));
    json_decref(run);
    json_decref(set);
    return facts;
}

/* What the statement promises; null where there is none. */
static sotto_status put_promise(const sotto_training_record *record, json_t *summary, sotto_error *err)
{
    double promised;
    if (record->interrupted)
        return SOTTO_OK;
    const sotto_status status = sotto_statement_promise(record, &promised, err);
    if (status == SOTTO_OK)
        (void)json_object_set_new(summary, "promised", json_real(promised));
    return status;
}

static sotto_status summarize(const struct training *training, char **json, sotto_error *err)
{
    const sotto_training_record *record = &training->record;
    double epsilon;
    sotto_status status = sotto_budget_epsilon(training->budget, &epsilon, NULL, err);
    if (status != SOTTO_OK)
        return status;
    json_t *summary = json_pack(
        "{s:s, s:f, s:f, s:f, s:I, s:I, s:I, s:s?, s:f, s:s, s:s?, s:o, s:o, s:o, s:o}", "output",
        training->directory.path, "epsilon", epsilon, "delta", training->config.delta, "target_epsilon",
        training->config.epsilon, "steps", (json_int_t)record->steps_taken, "steps_planned",
        (json_int_t)training->plan.training.steps, "rows",
        (json_int_t)(record->interrupted ? 0 : record->synthetic_rows), "balance",
        sotto_plan_balance(&training->plan), "seconds", record->seconds, "stopped", how_it_stopped(record),
        "not_private", record->not_private[0] ? record->not_private : NULL, "ledger", ledger_facts(training),
        "release", released_files(training), "private", private_files(training), "warnings",
        sotto_plan_warnings(&training->plan, &training->config));
    (void)json_object_set_new(summary, "promised", json_null());
    status = put_promise(record, summary, err);
    if (status != SOTTO_OK) {
        json_decref(summary);
        return status;
    }
    return sotto_json_text(summary, json, err);
}

sotto_status sotto_training_appeared(const struct training *training, char **json, sotto_error *err)
{
    json_t *statement = NULL, *summary = NULL;
    char *path = sotto_path_join(training->directory.path, "release/privacy.json");
    if (path)
        statement = sotto_json_read_file(path);
    const json_t *guarantee = json_object_get(statement, "guarantee");
    const json_t *steps = json_object_get(statement, "training");
    if (statement)
        summary = json_pack(
            "{s:s, s:O*, s:O*, s:O*, s:O*, s:O*, s:I, s:f, s:s, s:o, s:[], s:[], s:[]}", "output",
            training->directory.path, "epsilon", json_object_get(guarantee, "epsilon"), "delta",
            json_object_get(guarantee, "delta"), "target_epsilon",
            json_object_get(guarantee, "target_epsilon"), "steps", json_object_get(steps, "steps_taken"),
            "steps_planned", json_object_get(steps, "steps_planned"), "rows", (json_int_t)0, "seconds", 0.0,
            "stopped", "before: its release had been made, and only had to appear", "ledger",
            ledger_facts(training), "release", "private", "warnings");
    json_decref(statement);
    free(path);
    return summary
               ? sotto_json_text(summary, json, err)
               : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory, or no statement in the release");
}

static sotto_status tell_divergence(const struct training *training, sotto_error *err)
{
    double epsilon;
    char figure[SOTTO_FIGURE_SIZE];
    const sotto_training_record *record = &training->record;
    sotto_status status = sotto_budget_epsilon(training->budget, &epsilon, NULL, err);
    if (status != SOTTO_OK)
        return status;
    sotto_figure_up(epsilon, 4, figure);
    return sotto_error_set(
        err, SOTTO_DIVERGED,
        "training %s after step %llu of %llu, since it was diverging: %s. ε = %s was spent, and "
        "no table was made; lower the learning rates%s",
        training->plan.training.keep_on ? "made nothing" : "ended itself",
        (unsigned long long)record->steps_taken, (unsigned long long)training->plan.training.steps,
        record->diverged, figure,
        training->plan.training.keep_on ? ""
                                        : ", or set training.stop_if_diverging to false to go on regardless");
}

sotto_status sotto_training_conclude(const struct training *training, char **json, sotto_error *err)
{
    const sotto_training_record *record = &training->record;
    sotto_status status = SOTTO_OK;
    if (record->scarce.code == SOTTO_OK)
        status = summarize(training, json, err);
    if (status != SOTTO_OK && err && !record->interrupted) {
        const sotto_error why = *err;
        return sotto_error_set_at(err, status, training->directory.path, 0, 0,
                                  "the release is there, whole and recorded, but cannot be summed up: %.400s",
                                  why.message);
    }
    if (status == SOTTO_OK && record->interrupted)
        return sotto_error_set(
            err, SOTTO_INTERRUPTED,
            "stopped on request after step %llu of %llu; what is done is saved, and --resume "
            "goes on",
            (unsigned long long)record->steps_taken, (unsigned long long)training->plan.training.steps);
    if (status == SOTTO_OK && record->diverged[0])
        return tell_divergence(training, err);
    return status == SOTTO_OK && record->scarce.code != SOTTO_OK
               ? sotto_error_set_at(
                     err, SOTTO_ERROR_INPUT, training->directory.path, 0, 0,
                     "%s. All else of the release is there, and paid for: `sotto sample` makes "
                     "rows of its model",
                     record->scarce.message)
               : status;
}

/* Sampling and division go by the declared number alone; the custodian should know where it is off. */
static void note_unit_count(struct training *training)
{
    const sotto_plan *plan = &training->plan;
    const bool by_row = plan->unit_column == SOTTO_NONE;
    const size_t declared = plan->units;
    const size_t found =
        by_row ? sotto_table_rows(training->table) : sotto_table_units(training->table, plan->unit_column);
    const char *noun = by_row ? "rows" : "units";
    if (found == declared)
        return;
    if (sotto_plan_takes_steps(plan) && !training->parts)
        sotto_run_log(
            &training->directory,
            "the table has %zu %s and the schema declares %zu: sampling goes by the declared number, so "
            "batches are %.3g times as large as planned; correct `%s` if it is not meant so",
            found, noun, declared, (double)found / (double)declared, noun);
    else
        sotto_run_log(&training->directory,
                      "the table has %zu %s and the schema declares %zu; correct `%s` if it is not meant so",
                      found, noun, declared, noun);
}

static void note_split(struct training *training)
{
    const sotto_split *split = training->split;
    if (training->plan.unit_column == SOTTO_NONE)
        sotto_run_log(&training->directory, "%zu rows for training, %zu held out", split->train_count,
                      split->holdout_count);
    else
        sotto_run_log(
            &training->directory,
            "of %zu units at most %zu rows each: %zu units with %zu rows for training, %zu with %zu held out; "
            "%zu rows of units for training were dropped",
            sotto_table_units(training->table, training->plan.unit_column),
            training->config.max_rows_per_unit, split->train_units, split->train_count, split->holdout_units,
            split->holdout_count,
            sotto_table_rows(training->table) - split->train_count - split->holdout_count);
}

/* Before anything is charged: whoever sees that nothing can be learned may still stop for free. */
static void give_warnings(const struct training *training, const sotto_run_options *options)
{
    json_t *warnings = sotto_plan_warnings(&training->plan, &training->config);
    for (size_t i = 0; options->warn && i < json_array_size(warnings); i++)
        options->warn(options->warn_context, json_string_value(json_array_get(warnings, i)));
    json_decref(warnings);
}

/* ----------------------------------------------------------- on the way, and short of the end */

sotto_status sotto_training_show(struct training *training, const sotto_run_options *options, uint64_t step,
                                 double start, sotto_error *err)
{
    const uint64_t steps = training->plan.training.steps;
    sotto_progress facts = {.phase = "training", .step = step, .steps = steps};
    if (!training->epsilon_known) { /* milliseconds or more, by privacy-loss distributions */
        const sotto_status status = sotto_budget_epsilon(training->budget, &training->epsilon, NULL, err);
        if (status != SOTTO_OK)
            return status;
        training->epsilon_known = true;
    }
    facts.epsilon = training->epsilon;
    const double elapsed = sotto_seconds() - start;
    facts.target_epsilon = training->config.epsilon;
    const double here = (double)(step - training->first_step);
    facts.steps_per_second = elapsed > 0 ? here / elapsed : 0.0;
    facts.seconds_left = here > 0 ? elapsed / here * (double)(training->last_step - step) : -1.0;
    options->progress(options->progress_context, &facts);
    return SOTTO_OK;
}

/* Is a way on to be told of? Not of a run that was charged nothing or that the ledger lets do no more; nor
 * where something else is wrong than want of room, space or memory. */
static bool has_way_on(const struct training *training, sotto_status status)
{
    size_t lines = 0;
    json_t *record = NULL;
    const bool hindered = status == SOTTO_ERROR_BUDGET || status == SOTTO_ERROR_IO ||
                          status == SOTTO_ERROR_MEMORY || status == SOTTO_ERROR_ENTROPY ||
                          status == SOTTO_ERROR_NUMERIC;
    if (!hindered)
        return false;
    (void)sotto_ledger_run_charges(training->ledger_run, &lines);
    if (lines == 0 || !sotto_ledger_is_open(training->ledger, training->identity.run))
        return false;
    if (sotto_ledger_show(training->ledger, training->identity.run, &record, NULL) != SOTTO_OK)
        return true; /* the ledger cannot be asked: its disk is full, say */
    const bool newest = (uint64_t)json_integer_value(json_object_get(record, "attempt")) ==
                        sotto_ledger_run_attempt(training->ledger_run);
    json_decref(record);
    return newest;
}

/* `text` is of what a run leaves that has no checkpoint: whatever it was charged for. */
static void tell_lost_run(const struct training *training, sotto_status status, char *text, size_t size)
{
    (void)snprintf(text, size,
                   "what was charged stays charged, and what it told is not saved; %ssotto ledger close %s "
                   "gives back what the run holds and has not spent",
                   status == SOTTO_ERROR_BUDGET ? ""
                                                : "--resume begins again, and is charged again where the "
                                                  "budget bears it, and ",
                   training->identity.run);
}

static void tell_saved_run(const struct training *training, sotto_status status, char *text, size_t size)
{
    char saved[96] = "what was learned is saved";
    const char *room = status == SOTTO_ERROR_BUDGET ? "where there is room again, " : "";
    const bool steps = sotto_plan_takes_steps(&training->plan);
    if (steps)
        (void)snprintf(saved, sizeof saved, "%llu of %llu steps are saved",
                       (unsigned long long)training->saved_step,
                       (unsigned long long)training->plan.training.steps);
    (void)snprintf(text, size, "what was charged stays charged, and %s; %s--resume goes on%s", saved, room,
                   steps && training->saved_step > 0 ? ", and --resume --finish releases what there is" : "");
}

sotto_status sotto_training_failed(const struct training *training, sotto_status status, sotto_error *err)
{
    char ways[320];
    if (!err || !has_way_on(training, status))
        return status;
    const sotto_error why = *err;
    if (training->can_go_on)
        tell_saved_run(training, status, ways, sizeof ways);
    else
        tell_lost_run(training, status, ways, sizeof ways);
    return sotto_error_set_at(err, status, why.file, why.line, why.column, "%.*s; %s",
                              (int)(sizeof err->message - strlen(ways) - 3), why.message, ways);
}

void sotto_training_note(struct training *training, const sotto_run_options *options)
{
    note_split(training);
    note_unit_count(training);
    give_warnings(training, options);
}
