/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/utility.h"

#include <math.h>

/* Each class is a model of its own. */
enum { CLASSES_MOST = 64, KINDS = 3, TABLES = 4 };

/* The slowest first, so that the threads end together; the record has its own order. */
static const sotto_classifier_kind kinds[KINDS] = {SOTTO_CLASSIFIER_MLP, SOTTO_CLASSIFIER_TREES,
                                                   SOTTO_CLASSIFIER_LINEAR};
static const sotto_classifier_kind kinds_in_record[KINDS] = {SOTTO_CLASSIFIER_LINEAR, SOTTO_CLASSIFIER_TREES,
                                                             SOTTO_CLASSIFIER_MLP};
static const char *const table_names[TABLES] = {"real", "synthetic", "independent", "permuted"};

/* --------------------------------------------------------------- the problem */

static sotto_status check_options(const sotto_evaluation *evaluation, const sotto_utility_options *options,
                                  sotto_error *err)
{
    const sotto_schema *schema = sotto_table_schema(evaluation->train);
    if (!evaluation->test)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "utility is measured on a test table, and there is none");
    if (options->target >= schema->column_count)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "there is no target column %zu", options->target);
    if (schema->columns[options->target].type == SOTTO_COLUMN_IDENTIFIER)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "the target %s is an identifier; nothing predicts one",
                               schema->columns[options->target].name);
    if (options->sensitive == SOTTO_NONE)
        return SOTTO_OK;
    if (options->sensitive >= schema->column_count)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "there is no sensitive column %zu",
                               options->sensitive);
    if (schema->columns[options->sensitive].type != SOTTO_COLUMN_CATEGORY ||
        options->sensitive == options->target)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "the sensitive column %s is %s; groups need a category column other than the "
                               "target",
                               schema->columns[options->sensitive].name,
                               options->sensitive == options->target
                                   ? "the target"
                                   : sotto_column_type_name(schema->columns[options->sensitive].type));
    return SOTTO_OK;
}

static void count_values(const sotto_table *table, size_t column, size_t *counts)
{
    for (size_t i = 0; i < sotto_table_rows(table); i++) {
        const size_t value = sotto_table_category(table, i, column);
        if (value != SOTTO_NONE)
            counts[value]++;
    }
}

/* Number the categories that occur in any table, and find the rarer of two. */
static sotto_status find_classes(sotto_utility_problem *problem, const sotto_column *target, sotto_error *err)
{
    const sotto_evaluation *evaluation = problem->evaluation;
    size_t *real = sotto_arena_take(problem->arena, target->value_count, sizeof *real, err);
    size_t *others = sotto_arena_take(problem->arena, target->value_count, sizeof *others, err);
    problem->class_of = sotto_arena_take(problem->arena, target->value_count, sizeof *problem->class_of, err);
    problem->names = sotto_arena_take(problem->arena, target->value_count, sizeof *problem->names, err);
    if (!real || !others || !problem->class_of || !problem->names)
        return SOTTO_ERROR_MEMORY;
    count_values(evaluation->train, problem->target, real);
    count_values(evaluation->test, problem->target, others);
    count_values(evaluation->synthetic, problem->target, others);
    size_t rarest = SIZE_MAX;
    for (size_t v = 0; v < target->value_count; v++) {
        problem->class_of[v] = SOTTO_NONE;
        if (real[v] + others[v] == 0)
            continue;
        if (real[v] <= rarest) {
            rarest = real[v];
            problem->positive = problem->classes;
        }
        problem->names[problem->classes] = target->values[v];
        problem->class_of[v] = problem->classes++;
    }
    return SOTTO_OK;
}

static sotto_status find_test_rows(sotto_utility_problem *problem, sotto_stream *stream, sotto_error *err)
{
    const sotto_table *test = problem->evaluation->test;
    const size_t all = sotto_table_rows(test);
    problem->test_rows = sotto_arena_take(problem->arena, all, sizeof *problem->test_rows, err);
    if (!problem->test_rows)
        return SOTTO_ERROR_MEMORY;
    size_t known = 0;
    for (size_t i = 0; i < all; i++)
        if (!isnan(sotto_utility_target(problem, test, i)))
            problem->test_rows[known++] = (uint32_t)i;
    problem->test_count = sotto_rows_sample(
        problem->test_rows, known, sotto_utility_rows_most(problem, SOTTO_CLASSIFIER_LINEAR), stream);
    problem->truth = sotto_arena_take(problem->arena, problem->test_count, sizeof *problem->truth, err);
    if (!problem->truth)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < problem->test_count; i++)
        problem->truth[i] = sotto_utility_target(problem, test, problem->test_rows[i]);
    return SOTTO_OK;
}

static sotto_status find_groups(sotto_utility_problem *problem, size_t sensitive, sotto_error *err)
{
    const sotto_table *test = problem->evaluation->test;
    const sotto_column *column = &sotto_table_schema(test)->columns[sensitive];
    const size_t count = column->value_count + 1;
    size_t *of = sotto_arena_take(problem->arena, problem->test_count, sizeof *of, err);
    const char **names = sotto_arena_take(problem->arena, count, sizeof *names, err);
    problem->truly_positive = sotto_arena_take(problem->arena, problem->test_count, 1, err);
    if (!of || !names || !problem->truly_positive)
        return SOTTO_ERROR_MEMORY;
    for (size_t v = 0; v < column->value_count; v++)
        names[v] = column->values[v];
    names[count - 1] = "missing";
    for (size_t i = 0; i < problem->test_count; i++) {
        const size_t value = sotto_table_category(test, problem->test_rows[i], sensitive);
        of[i] = value == SOTTO_NONE ? count - 1 : value;
        problem->truly_positive[i] = problem->truth[i] == (double)problem->positive;
    }
    problem->groups = (sotto_utility_groups){problem->test_count, count, of, names};
    problem->has_groups = true;
    return SOTTO_OK;
}

static sotto_status problem_create(sotto_utility_problem *problem, const sotto_utility_options *options,
                                   sotto_stream *stream, sotto_error *err)
{
    const sotto_schema *schema = sotto_table_schema(problem->evaluation->train);
    const sotto_column *target = &schema->columns[options->target];
    sotto_status status = sotto_arena_create(&problem->arena, err);
    if (status != SOTTO_OK)
        return status;
    problem->left_out =
        sotto_arena_take(problem->arena, schema->column_count, sizeof *problem->left_out, err);
    if (!problem->left_out)
        return SOTTO_ERROR_MEMORY;
    problem->target = options->target;
    problem->left_out[options->target] = true;
    if (target->type == SOTTO_COLUMN_CATEGORY)
        status = find_classes(problem, target, err);
    if (status == SOTTO_OK && (target->type != SOTTO_COLUMN_CATEGORY || problem->classes > 0))
        status = find_test_rows(problem, stream, err);
    if (status == SOTTO_OK && options->sensitive != SOTTO_NONE && problem->classes == 2)
        status = find_groups(problem, options->sensitive, err);
    return status;
}

/* NULL, or why there is nothing to learn. */
static const char *impossible(const sotto_utility_problem *problem, const sotto_column *target)
{
    if (target->type == SOTTO_COLUMN_CATEGORY && problem->classes < 2)
        return "the target has fewer than two categories in the tables";
    if (problem->classes > CLASSES_MOST)
        return "the target has more than 64 categories in the tables";
    if (problem->test_count == 0)
        return "the target is missing throughout the test table";
    return NULL;
}

/* ----------------------------------------------------------------- the trials */

/* All that this build can fit, each with random numbers of its own. */
static sotto_status prepare(const sotto_utility_problem *problem, sotto_utility_trial *trials, size_t *count,
                            sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    *count = 0;
    for (size_t k = 0; k < KINDS; k++)
        for (size_t t = 0; t < TABLES && !sotto_classifier_unavailable(kinds[k]); t++) {
            sotto_utility_trial *trial = &trials[(*count)++];
            *trial = (sotto_utility_trial){.kind = kinds[k], .table = (sotto_utility_table)t};
            if (problem->has_groups && t <= SOTTO_UTILITY_SYNTHETIC) {
                trial->predicted = sotto_arena_take(problem->arena, problem->test_count, 1, err);
                status = trial->predicted ? SOTTO_OK : SOTTO_ERROR_MEMORY;
            }
            if (status == SOTTO_OK)
                status = sotto_evaluation_stream(problem->evaluation, &trial->stream, err);
            if (status != SOTTO_OK)
                return status;
        }
    return SOTTO_OK;
}

static sotto_status run(const sotto_utility_problem *problem, sotto_utility_trial *trials, size_t count,
                        sotto_error *err)
{
    size_t done = 0;
    sotto_evaluation_tell(problem->evaluation, "utility", 0, count);
#pragma omp parallel for schedule(dynamic, 1) num_threads((int)problem->evaluation->threads)
    for (size_t i = 0; i < count; i++) {
        sotto_utility_try(problem, &trials[i]);
#pragma omp critical(sotto_utility_progress)
        sotto_evaluation_tell(problem->evaluation, "utility", ++done, count);
    }
    for (size_t i = 0; i < count; i++)
        if (trials[i].status != SOTTO_OK) {
            if (err)
                *err = trials[i].error;
            return trials[i].status;
        }
    return SOTTO_OK;
}

/* ------------------------------------------------------------------ the record */

/* A record is whole or none: each of these takes what it is given, and gives NULL where any of it is NULL. */
static json_t *joined(json_t *first, json_t *second)
{
    const bool whole = json_object_update(first, second) == 0;
    json_decref(second);
    if (whole)
        return first;
    json_decref(first);
    return NULL;
}

static json_t *appended(json_t *list, json_t *item)
{
    if (json_array_append_new(list, item) == 0)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *result_of(const sotto_utility_problem *problem, const sotto_utility_trial *trial)
{
    const sotto_utility_score *score = &trial->score;
    const bool number = problem->classes == 0;
    json_t *result =
        json_pack("{s:s, s:s, s:I, s:f}", "model", sotto_classifier_name(trial->kind, number), "trained_on",
                  table_names[trial->table], "rows", (json_int_t)trial->rows, "seconds", trial->seconds);
    if (number)
        return joined(result, json_pack("{s:o, s:o}", "r2", sotto_utility_number(score->r2), "rmse",
                                        sotto_utility_number(score->rmse)));
    return joined(result, json_pack("{s:o, s:o, s:o, s:o}", "auc", sotto_utility_number(score->auc), "f1",
                                    sotto_utility_number(score->f1), "balanced_accuracy",
                                    sotto_utility_number(score->balanced_accuracy), "log_loss",
                                    sotto_utility_number(score->log_loss)));
}

static const sotto_utility_trial *find_trial(const sotto_utility_trial *trials, size_t count,
                                             sotto_classifier_kind kind, size_t table)
{
    for (size_t i = 0; i < count; i++)
        if (trials[i].kind == kind && (size_t)trials[i].table == table)
            return &trials[i];
    return NULL;
}

static json_t *results_of(const sotto_utility_problem *problem, const sotto_utility_trial *trials,
                          size_t count)
{
    json_t *results = json_array();
    for (size_t k = 0; k < KINDS; k++)
        for (size_t t = 0; t < TABLES; t++) {
            const sotto_utility_trial *trial = find_trial(trials, count, kinds_in_record[k], t);
            if (trial)
                results = appended(results, result_of(problem, trial));
        }
    return results;
}

static json_t *group_results(const sotto_utility_problem *problem, const sotto_utility_trial *trials,
                             size_t count)
{
    json_t *results = json_array();
    for (size_t k = 0; k < KINDS; k++)
        for (size_t t = SOTTO_UTILITY_REAL; t <= SOTTO_UTILITY_SYNTHETIC; t++) {
            const sotto_utility_trial *trial = find_trial(trials, count, kinds_in_record[k], t);
            if (!trial || trial->rows == 0)
                continue;
            json_t *result = json_pack("{s:s, s:s}", "model", sotto_classifier_name(trial->kind, false),
                                       "trained_on", table_names[t]);
            results = appended(results, joined(result, sotto_utility_compare_groups(&problem->groups,
                                                                                    problem->truly_positive,
                                                                                    trial->predicted)));
        }
    return results;
}

/* {"groups": …}: the groups; or null, and why where they were asked for. */
static json_t *groups_of(const sotto_utility_problem *problem, const sotto_utility_options *options,
                         const sotto_utility_trial *trials, size_t count)
{
    const sotto_schema *schema = sotto_table_schema(problem->evaluation->train);
    if (problem->has_groups)
        return json_pack("{s:{s:s, s:o}}", "groups", "column", schema->columns[options->sensitive].name,
                         "results", group_results(problem, trials, count));
    if (options->sensitive == SOTTO_NONE)
        return json_pack("{s:n}", "groups");
    return json_pack("{s:n, s:s}", "groups", "groups_left_out",
                     "groups are compared for a target of two categories");
}

static json_t *left_out_models(bool number)
{
    json_t *list = json_array();
    for (size_t k = 0; k < KINDS; k++) {
        const char *why = sotto_classifier_unavailable(kinds_in_record[k]);
        if (why)
            list =
                appended(list, json_pack("{s:s, s:s}", "model",
                                         sotto_classifier_name(kinds_in_record[k], number), "reason", why));
    }
    return list;
}

static json_t *record_of(const sotto_utility_problem *problem, const sotto_utility_options *options,
                         const sotto_utility_trial *trials, size_t count)
{
    const sotto_schema *schema = sotto_table_schema(problem->evaluation->train);
    const bool number = problem->classes == 0;
    json_t *classes = number ? json_null() : json_array();
    for (size_t c = 0; c < problem->classes; c++)
        classes = appended(classes, json_string(problem->names[c]));
    json_t *record =
        json_pack("{s:s, s:s, s:o, s:o, s:I, s:o, s:o}", "target", schema->columns[problem->target].name,
                  "task", number ? "regression" : "classification", "classes", classes, "positive",
                  problem->classes == 2 ? json_string(problem->names[problem->positive]) : json_null(),
                  "test_rows", (json_int_t)problem->test_count, "results", results_of(problem, trials, count),
                  "left_out", left_out_models(number));
    return joined(record, groups_of(problem, options, trials, count));
}

sotto_status sotto_evaluate_utility(const sotto_evaluation *evaluation, const sotto_utility_options *options,
                                    json_t **record, sotto_error *err)
{
    sotto_utility_trial trials[KINDS * TABLES] = {0};
    sotto_utility_problem problem = {.evaluation = evaluation};
    sotto_stream *stream = NULL;
    size_t count = 0;
    json_t *made = NULL;
    sotto_status status = check_options(evaluation, options, err);
    if (status == SOTTO_OK)
        status = sotto_evaluation_stream(evaluation, &stream, err);
    if (status == SOTTO_OK)
        status = problem_create(&problem, options, stream, err);
    if (status != SOTTO_OK)
        goto done;
    const char *why = impossible(&problem, &sotto_table_schema(evaluation->train)->columns[options->target]);
    if (why) {
        made = json_pack("{s:s}", "skipped", why);
    } else {
        status = prepare(&problem, trials, &count, err);
        if (status == SOTTO_OK)
            status = run(&problem, trials, count, err);
        if (status == SOTTO_OK)
            made = record_of(&problem, options, trials, count);
    }
    if (status == SOTTO_OK && !made)
        status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
    if (status == SOTTO_OK)
        *record = made;
done:
    for (size_t i = 0; i < count; i++)
        sotto_stream_destroy(trials[i].stream);
    sotto_stream_destroy(stream);
    sotto_arena_destroy(problem.arena);
    return status;
}
