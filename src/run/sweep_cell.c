/* SPDX-License-Identifier: GPL-3.0-or-later */

/* One cell of a sweep, from its config to its cell.json: what a child process does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/sweep.h"

static const double share_of_training = 0.5; /* of a cell's time, at a guess; the rest is evaluation */

void sotto_sweep_id(size_t cell, char id[SOTTO_SWEEP_ID_SIZE])
{
    (void)snprintf(id, SOTTO_SWEEP_ID_SIZE, "%03zu", cell + 1);
}

/* DIR/cells/ID, and a name in it where there is one; caller frees. */
static char *cell_path(const char *directory, size_t cell, const char *name)
{
    char id[SOTTO_SWEEP_ID_SIZE], inner[SOTTO_SWEEP_ID_SIZE + 64];
    sotto_sweep_id(cell, id);
    (void)snprintf(inner, sizeof inner, "cells/%s%s%s", id, name ? "/" : "", name ? name : "");
    return sotto_path_join(directory, inner);
}

/* ------------------------------------------------------------------------ figures */

static void put_number(json_t *figures, const char *key, const json_t *value)
{
    (void)json_object_set_new(figures, key,
                              json_is_number(value) ? json_real(json_number_value(value)) : json_null());
}

/* "auc_logistic" and the like: what each model learned from `trained_on` reaches on the test table. */
static void put_utility(json_t *figures, const json_t *utility, const char *trained_on)
{
    const bool classes = strcmp(json_string_value(json_object_get(utility, "task")), "classification") == 0;
    const char *measure = classes ? "auc" : "r2";
    const json_t *result;
    size_t i;
    json_array_foreach(json_object_get(utility, "results"), i, result)
    {
        char key[64];
        const char *model = json_string_value(json_object_get(result, "model"));
        const char *from = json_string_value(json_object_get(result, "trained_on"));
        if (!model || !from || strcmp(from, trained_on) != 0)
            continue;
        (void)snprintf(key, sizeof key, "%s_%s", measure, model);
        put_number(figures, key, json_object_get(result, measure));
    }
}

static void put_fidelity(json_t *figures, const json_t *fidelity, const char *tvd)
{
    const json_t *way;
    size_t i;
    json_array_foreach(json_object_get(fidelity, "ways"), i, way)
    {
        char key[32];
        (void)snprintf(key, sizeof key, "tvd_%d", (int)json_integer_value(json_object_get(way, "k")));
        put_number(figures, key, json_object_get(way, tvd));
    }
}

static json_t *figures_of(const json_t *evaluation)
{
    const json_t *fidelity = json_object_get(evaluation, "fidelity");
    const json_t *utility = json_object_get(evaluation, "utility");
    json_t *figures = json_object();
    if (json_object_get(utility, "results"))
        put_utility(figures, utility, "synthetic");
    put_number(figures, "column_shapes", json_object_get(fidelity, "column_shapes"));
    put_number(figures, "pair_trends", json_object_get(fidelity, "pair_trends"));
    put_fidelity(figures, fidelity, "mean_tvd");
    return figures;
}

/* What the figures are to be held against: the same of the real table, and of the controls. */
static json_t *lines_of(const json_t *evaluation)
{
    static const char *const names[][2] = {{"real", "trained on the real table, without privacy"},
                                           {"independent", "columns drawn independently"},
                                           {"permuted", "target permuted"}};
    const json_t *utility = json_object_get(evaluation, "utility");
    json_t *lines = json_object();
    for (size_t i = 0; i < 3 && json_object_get(utility, "results"); i++) {
        json_t *figures = json_object();
        put_utility(figures, utility, names[i][0]);
        (void)json_object_set_new(lines, names[i][1], figures);
    }
    json_t *figures = json_object();
    put_fidelity(figures, json_object_get(evaluation, "fidelity"), "control_mean_tvd");
    (void)json_object_set_new(lines, "test table against train table", figures);
    return lines;
}

/* ------------------------------------------------------------------- running */

struct teller {
    void (*share)(void *context, double share);
    void *context;
};

static void tell_training(void *context, const sotto_progress *progress)
{
    const struct teller *to = context;
    const double done = progress->steps ? (double)progress->step / (double)progress->steps : 0.0;
    to->share(to->context, share_of_training * (progress->epsilon > 0 ? 0.9 * done : 0.9 + 0.1 * done));
}

static void tell_evaluation(void *context, const sotto_progress *progress)
{
    const struct teller *to = context;
    const double done = progress->steps ? (double)progress->step / (double)progress->steps : 0.0;
    const bool early = strcmp(progress->phase, "fidelity") == 0;
    to->share(to->context,
              share_of_training + (1 - share_of_training) * (early ? 0.2 * done : 0.2 + 0.8 * done));
}

static sotto_status train(sotto_sweep *sweep, size_t cell, const char *output, unsigned threads,
                          const sotto_sweep_part *part, struct teller *to, sotto_error *err)
{
    const char **settings;
    sotto_run_options options;
    char *text = NULL;
    sotto_status status =
        sotto_sweep_options_of(sweep, sotto_sweep_combination(sweep, cell), &settings, &options, err);
    if (status != SOTTO_OK)
        return status;
    options.output = output;
    options.threads = threads;
    options.seed += cell; /* of tests: runs must differ all the same */
    options.progress = tell_training;
    options.progress_context = to;
    options.warn = NULL;
    options.stop = NULL;
    status = sotto_train(&options, part, &text, err);
    free(text);
    return status;
}

sotto_evaluate_options sotto_sweep_evaluation(const sotto_sweep *sweep, const char *run, unsigned threads)
{
    return (sotto_evaluate_options){
        .schema = sweep->config.schema,
        .train = sweep->config.table,
        .test = sweep->test,
        .run = run,
        .target = sweep->target,
        .sensitive = sweep->sensitive,
        .no_attacks = !sweep->attacks,
        .threads = threads,
        .insecure_test_only_seed = sweep->options->insecure_test_only_seed,
        .seed = sweep->options->seed,
    };
}

static sotto_status evaluate(const sotto_sweep *sweep, const char *run, unsigned threads, struct teller *to,
                             json_t **evaluation, sotto_error *err)
{
    sotto_evaluate_options options = sotto_sweep_evaluation(sweep, run, threads);
    char *text = NULL;
    options.progress = tell_evaluation;
    options.progress_context = to;
    sotto_status status = sotto_run_evaluate(&options, &text, err);
    *evaluation = sotto_json_read(text);
    free(text);
    return status;
}

/* A finished run's statement, a new reference; NULL where there is none. */
static json_t *statement_of(const char *run)
{
    char *path = sotto_path_join(run, "release/privacy.json");
    json_t *statement = path ? sotto_json_read_file(path) : NULL;
    free(path);
    return statement;
}

/* A run that ended itself has a statement and nothing to evaluate: what an earlier try has seen holds. */
static sotto_status check_converged(const char *run, sotto_error *err)
{
    return sotto_run_directory_converged(run, err) == SOTTO_OK ? SOTTO_OK : SOTTO_DIVERGED;
}

/* ε of a whole release, by its own statement; NaN where there is none. */
static double epsilon_of(const char *run)
{
    json_t *statement = statement_of(run);
    const json_t *epsilon = json_object_get(json_object_get(statement, "guarantee"), "epsilon");
    const double value = json_is_number(epsilon) ? json_number_value(epsilon) : NAN;
    json_decref(statement);
    return value;
}

bool sotto_sweep_cell_trained(const char *directory, size_t cell)
{
    char *run = cell_path(directory, cell, "run");
    const bool trained = run && isfinite(epsilon_of(run));
    free(run);
    return trained;
}

static sotto_status write_cell(const sotto_sweep *sweep, const char *directory, size_t cell,
                               sotto_status status, double epsilon, const json_t *evaluation, double seconds,
                               const char *reason, sotto_error *err)
{
    char id[SOTTO_SWEEP_ID_SIZE];
    char *text = NULL, *path = cell_path(directory, cell, "cell.json");
    const bool done = status == SOTTO_OK;
    const size_t combination = sotto_sweep_combination(sweep, cell);
    sotto_sweep_id(cell, id);
    const bool stamped = sweep->options->insecure_test_only_seed;
    sotto_status written =
        sotto_json_text(json_pack("{s:s, s:s, s:s?, s:s, s:o, s:I, s:s, s:s?, s:o, s:f, s:o, s:o}", "format",
                                  "sotto sweep cell 1", "notice", sotto_sweep_notice, "not_private",
                                  stamped ? SOTTO_NOT_PRIVATE : NULL, "id", id, "settings",
                                  sotto_sweep_chosen(sweep, combination), "repeat",
                                  (json_int_t)(cell / sweep->combinations + 1), "status",
                                  done                       ? "done"
                                  : status == SOTTO_DIVERGED ? "diverged"
                                                             : "failed",
                                  "reason", done ? NULL : reason, "epsilon",
                                  isfinite(epsilon) ? json_real(epsilon) : json_null(), "seconds", seconds,
                                  "figures", done ? figures_of(evaluation) : json_object(), "lines",
                                  done ? lines_of(evaluation) : json_object()),
                        &text, err);
    if (written == SOTTO_OK)
        written = path ? sotto_file_write(path, 0600, text, strlen(text), err)
                       : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    free(text);
    free(path);
    return written;
}

sotto_status sotto_sweep_run_cell(sotto_sweep *sweep, const char *directory, size_t cell, unsigned threads,
                                  const sotto_sweep_part *part, void (*share)(void *context, double share),
                                  void *context, sotto_error *err)
{
    struct teller to = {share, context};
    json_t *evaluation = NULL;
    const double start = sotto_seconds();
    sotto_error why = {0};
    sotto_status status = SOTTO_OK;
    char *run = cell_path(directory, cell, "run");
    if (!run)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a path");
    if (!sotto_sweep_cell_trained(directory, cell))
        status = train(sweep, cell, run, threads, part, &to, &why);
    const double epsilon = epsilon_of(run);
    if (status == SOTTO_OK && !(epsilon <= part->cost->epsilon * (1 + 1e-9)))
        status = sotto_error_set(&why, SOTTO_ERROR_BUDGET, "this run has spent more than was planned for it");
    if (status == SOTTO_OK)
        status = check_converged(run, &why);
    if (status == SOTTO_OK)
        status = evaluate(sweep, run, threads, &to, &evaluation, &why);
    status = write_cell(sweep, directory, cell, status, epsilon, evaluation, sotto_seconds() - start,
                        why.message, err);
    json_decref(evaluation);
    free(run);
    return status;
}

/* ------------------------------------------------------------------- records */

json_t *sotto_sweep_cell_record(const char *directory, size_t cell)
{
    char *path = cell_path(directory, cell, "cell.json");
    json_t *record = path ? sotto_json_read_file(path) : NULL;
    const char *format = json_string_value(json_object_get(record, "format"));
    free(path);
    if (format && strcmp(format, "sotto sweep cell 1") == 0)
        return record;
    json_decref(record);
    return NULL;
}

bool sotto_sweep_cell_settled(const json_t *record)
{
    const char *status = json_string_value(json_object_get(record, "status"));
    return status && (strcmp(status, "done") == 0 || strcmp(status, "diverged") == 0);
}

bool sotto_sweep_cell_done(const json_t *record)
{
    const char *status = json_string_value(json_object_get(record, "status"));
    return status && strcmp(status, "done") == 0;
}
