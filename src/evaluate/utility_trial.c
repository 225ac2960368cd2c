/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/utility.h"

#include <math.h>
#include <time.h>

/* Rows trained on and tested on at most. With more than four classes, so many rows times classes, but not
 * fewer than the least. */
enum { ROWS_MOST = 200000, ROWS_MOST_MLP = 50000, ROWS_TIMES_CLASSES = 800000, ROWS_LEAST = 20000 };

size_t sotto_utility_rows_most(const sotto_utility_problem *problem, sotto_classifier_kind kind)
{
    const size_t most = kind == SOTTO_CLASSIFIER_MLP ? ROWS_MOST_MLP : ROWS_MOST;
    if (problem->classes <= ROWS_TIMES_CLASSES / ROWS_MOST)
        return most;
    const size_t shared = ROWS_TIMES_CLASSES / problem->classes;
    return shared < ROWS_LEAST ? ROWS_LEAST : shared < most ? shared : most;
}

double sotto_utility_target(const sotto_utility_problem *problem, const sotto_table *table, size_t row)
{
    if (problem->classes == 0)
        return sotto_table_number(table, row, problem->target);
    const size_t value = sotto_table_category(table, row, problem->target);
    return value == SOTTO_NONE ? NAN : (double)problem->class_of[value];
}

/* What a trial is trained on. */
typedef struct training_set {
    sotto_features_source source;
    double *targets; /* [source.count] */
    sotto_arena *arena;
} training_set;

/* A sample of the rows whose target is known; for a control, with targets in another order. */
static sotto_status gather(training_set *made, const sotto_utility_problem *problem,
                           const sotto_utility_trial *trial, sotto_error *err)
{
    const sotto_evaluation *evaluation = problem->evaluation;
    const sotto_table *table = trial->table == SOTTO_UTILITY_REAL ? evaluation->train : evaluation->synthetic;
    const size_t all = sotto_table_rows(table);
    uint32_t *rows = sotto_arena_take(made->arena, all, sizeof *rows, err);
    if (!rows)
        return SOTTO_ERROR_MEMORY;
    size_t known = 0;
    for (size_t i = 0; i < all; i++)
        if (!isnan(sotto_utility_target(problem, table, i)))
            rows[known++] = (uint32_t)i;
    const size_t count =
        sotto_rows_sample(rows, known, sotto_utility_rows_most(problem, trial->kind), trial->stream);
    uint32_t *order = sotto_arena_take(made->arena, count, sizeof *order, err);
    made->targets = sotto_arena_take(made->arena, count, sizeof *made->targets, err);
    if (!order || !made->targets)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        order[i] = rows[i];
    if (trial->table == SOTTO_UTILITY_INDEPENDENT || trial->table == SOTTO_UTILITY_PERMUTED)
        sotto_rows_shuffle(order, count, trial->stream);
    for (size_t i = 0; i < count; i++)
        made->targets[i] = sotto_utility_target(problem, table, order[i]);
    made->source = (sotto_features_source){table, rows, count};
    return SOTTO_OK;
}

static sotto_status fit(sotto_classifier **model, const sotto_utility_problem *problem,
                        const sotto_utility_trial *trial, const sotto_features_plan *plan,
                        const training_set *examples, sotto_error *err)
{
    const sotto_classifier_options options = {
        .kind = trial->kind, .classes = problem->classes, .stream = trial->stream};
    sotto_stream *shuffle = trial->table == SOTTO_UTILITY_INDEPENDENT ? trial->stream : NULL;
    sotto_features *features = NULL;
    sotto_status status = sotto_features_create(&features, plan, examples->source.count, err);
    if (status == SOTTO_OK)
        status = sotto_features_fill(features, 0, &examples->source, shuffle, err);
    if (status == SOTTO_OK)
        status = sotto_classifier_fit(model, &options, features, examples->targets, err);
    sotto_features_destroy(features);
    return status;
}

static sotto_status judge(const sotto_utility_problem *problem, sotto_utility_trial *trial,
                          const double *predicted, sotto_error *err)
{
    if (problem->classes == 0) {
        trial->score = sotto_utility_judge_numbers(problem->test_count, problem->truth, predicted);
        return SOTTO_OK;
    }
    for (size_t i = 0; trial->predicted && i < problem->test_count; i++)
        trial->predicted[i] = sotto_utility_predicted(predicted + i * problem->classes, problem->classes,
                                                      problem->positive) == problem->positive;
    return sotto_utility_judge_classes(&trial->score, problem->test_count, problem->classes,
                                       problem->positive, problem->truth, predicted, err);
}

static sotto_status test(const sotto_utility_problem *problem, sotto_utility_trial *trial,
                         const sotto_features_plan *plan, const sotto_classifier *model, sotto_error *err)
{
    const sotto_features_source source = {problem->evaluation->test, problem->test_rows, problem->test_count};
    const size_t columns = problem->classes > 0 ? problem->classes : 1;
    sotto_features *features = NULL;
    sotto_arena *scratch = NULL;
    sotto_status status = sotto_arena_create(&scratch, err);
    if (status != SOTTO_OK)
        return status;
    double *predicted = sotto_arena_take(scratch, source.count, columns * sizeof *predicted, err);
    status = predicted ? sotto_features_create(&features, plan, source.count, err) : SOTTO_ERROR_MEMORY;
    if (status == SOTTO_OK)
        status = sotto_features_fill(features, 0, &source, NULL, err);
    if (status == SOTTO_OK)
        status = sotto_classifier_predict(model, features, predicted, err);
    if (status == SOTTO_OK)
        status = judge(problem, trial, predicted, err);
    sotto_features_destroy(features);
    sotto_arena_destroy(scratch);
    return status;
}

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void sotto_utility_try(const sotto_utility_problem *problem, sotto_utility_trial *trial)
{
    const double start = seconds_now();
    sotto_error *err = &trial->error;
    training_set examples = {0};
    sotto_features_plan *plan = NULL;
    sotto_classifier *model = NULL;
    trial->score = sotto_utility_no_score();
    sotto_status status = sotto_arena_create(&examples.arena, err);
    if (status == SOTTO_OK)
        status = gather(&examples, problem, trial, err);
    trial->rows = examples.source.count;
    if (status != SOTTO_OK || trial->rows == 0)
        goto done;
    status = sotto_features_plan_create(&plan, &examples.source, 1, problem->left_out, err);
    if (status == SOTTO_OK)
        status = fit(&model, problem, trial, plan, &examples, err);
    if (status == SOTTO_OK)
        status = test(problem, trial, plan, model, err);
done:
    sotto_classifier_destroy(model);
    sotto_features_plan_destroy(plan);
    sotto_arena_destroy(examples.arena);
    trial->status = status;
    trial->seconds = seconds_now() - start;
}
