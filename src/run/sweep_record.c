/* SPDX-License-Identifier: GPL-3.0-or-later */

/* sweep.json and sweep.csv: what each run gave, what repeats say together, and what all of it cost. */
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run/sweep.h"

const char sotto_sweep_notice[] =
    "Computed from real rows without noise: not covered by any guarantee. Keep it where the rows are.";

/* ------------------------------------------------------------------------ metrics */

static const struct {
    const char *key, *label, *better;
} labels[] = {
    {"auc_logistic", "AUC, logistic regression", "higher"},
    {"auc_trees", "AUC, boosted trees", "higher"},
    {"auc_mlp", "AUC, small network", "higher"},
    {"r2_ridge", "R², linear regression", "higher"},
    {"r2_trees", "R², boosted trees", "higher"},
    {"r2_mlp", "R², small network", "higher"},
    {"column_shapes", "Columns alike", "higher"},
    {"pair_trends", "Pairs alike", "higher"},
    {"tvd_1", "1-way total variation, mean", "lower"},
    {"tvd_2", "2-way total variation, mean", "lower"},
    {"tvd_3", "3-way total variation, mean", "lower"},
};
enum { METRICS = sizeof labels / sizeof *labels };

/* A cell's figure; NaN where it has none. */
static double figure(const json_t *cell, const char *metric)
{
    const json_t *value = json_object_get(json_object_get(cell, "figures"), metric);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool is_measured(const sotto_sweep_outcome *outcome, const char *metric)
{
    for (size_t i = 0; i < outcome->sweep->cells; i++)
        if (sotto_sweep_cell_done(outcome->cells[i]) && isfinite(figure(outcome->cells[i], metric)))
            return true;
    return false;
}

static json_t *metrics_of(const sotto_sweep_outcome *outcome)
{
    json_t *list = json_array();
    for (size_t m = 0; m < METRICS; m++)
        if (is_measured(outcome, labels[m].key))
            (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "key", labels[m].key, "label",
                                                        labels[m].label, "better", labels[m].better));
    return list;
}

/* -------------------------------------------------------------------------- groups */

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* Mean, a 95 % interval of it by Student's t (none for one value), least and most. */
static json_t *summary(const double *values, size_t count)
{
    double sum = 0.0, squares = 0.0, least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    const double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    double half = NAN;
    if (count > 1)
        half = gsl_cdf_tdist_Pinv(0.975, (double)(count - 1)) *
               sqrt(squares / (double)(count - 1) / (double)count);
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "mean", number_or_null(mean), "low",
                     number_or_null(mean - half), "high", number_or_null(mean + half), "least",
                     number_or_null(least), "most", number_or_null(most));
}

/* The finite values over a combination's finished repeats. */
static size_t gather(const sotto_sweep_outcome *outcome, size_t combination, const char *metric,
                     double *values)
{
    const sotto_sweep *sweep = outcome->sweep;
    size_t count = 0;
    for (size_t i = combination; i < sweep->cells; i += sweep->combinations) {
        const json_t *cell = outcome->cells[i];
        if (!sotto_sweep_cell_done(cell))
            continue;
        const double value =
            metric ? figure(cell, metric) : json_number_value(json_object_get(cell, "seconds"));
        if (isfinite(value))
            values[count++] = value;
    }
    return count;
}

static double mean_epsilon(const sotto_sweep_outcome *outcome, size_t combination)
{
    const sotto_sweep *sweep = outcome->sweep;
    double sum = 0.0;
    size_t count = 0;
    for (size_t i = combination; i < sweep->cells; i += sweep->combinations) {
        const json_t *epsilon = json_object_get(outcome->cells[i], "epsilon");
        if (sotto_sweep_cell_done(outcome->cells[i]) && json_is_number(epsilon)) {
            sum += json_number_value(epsilon);
            count++;
        }
    }
    return count ? sum / (double)count : NAN;
}

static json_t *groups_of(const sotto_sweep_outcome *outcome, double *values)
{
    json_t *list = json_array();
    for (size_t c = 0; c < outcome->sweep->combinations; c++) {
        const size_t runs = gather(outcome, c, NULL, values);
        if (runs == 0)
            continue;
        json_t *seconds = summary(values, runs), *figures = json_object();
        for (size_t m = 0; m < METRICS; m++) {
            const size_t count = gather(outcome, c, labels[m].key, values);
            if (count > 0)
                (void)json_object_set_new(figures, labels[m].key, summary(values, count));
        }
        (void)json_array_append_new(
            list, json_pack("{s:o, s:o, s:I, s:o, s:O}", "settings", sotto_sweep_chosen(outcome->sweep, c),
                            "epsilon", number_or_null(mean_epsilon(outcome, c)), "runs", (json_int_t)runs,
                            "figures", figures, "seconds", json_object_get(seconds, "mean")));
        json_decref(seconds);
    }
    return list;
}

/* The combination whose mean is best in the first metric. */
static json_t *best_of(const sotto_sweep_outcome *outcome, double *values)
{
    size_t metric = 0, best = SIZE_MAX;
    double found = NAN;
    while (metric < METRICS && !is_measured(outcome, labels[metric].key))
        metric++;
    for (size_t c = 0; c < outcome->sweep->combinations && metric < METRICS; c++) {
        const size_t count = gather(outcome, c, labels[metric].key, values);
        double sum = 0.0;
        for (size_t i = 0; i < count; i++)
            sum += values[i];
        const double mean = sum / (double)count;
        const bool higher = strcmp(labels[metric].better, "higher") == 0;
        if (count > 0 && (best == SIZE_MAX || (higher ? mean > found : mean < found))) {
            best = c;
            found = mean;
        }
    }
    return best == SIZE_MAX
               ? json_null()
               : json_pack("{s:o, s:s, s:f}", "settings", sotto_sweep_chosen(outcome->sweep, best), "metric",
                           labels[metric].key, "value", found);
}

/* --------------------------------------------------------------------------- lines */

/* Of the first finished cell: neither the real table nor the controls change from cell to cell by more than
 * their own randomness. */
static json_t *lines_of(const sotto_sweep_outcome *outcome)
{
    json_t *list = json_array();
    const json_t *lines = NULL, *figures;
    const char *label;
    for (size_t i = 0; i < outcome->sweep->cells && !lines; i++)
        if (sotto_sweep_cell_done(outcome->cells[i]))
            lines = json_object_get(outcome->cells[i], "lines");
    json_object_foreach((json_t *)lines, label, figures)
    {
        const char *metric;
        json_t *value;
        json_object_foreach((json_t *)figures, metric, value) if (json_is_number(value))(void)
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:O}", "metric", metric, "label", label, "value", value));
    }
    return list;
}

/* ------------------------------------------------------------------------- privacy */

static const char *shape_name(double shape)
{
    return isinf(shape) ? "Poisson" : shape == 0.0 ? "logarithmic" : "geometric";
}

static json_t *random_record(const sotto_sweep *sweep, const sotto_run_cost *costs)
{
    double epsilon, shape;
    sotto_error err = {0};
    if (sotto_sweep_best_of_random(sweep, costs, &epsilon, &shape, &err) != SOTTO_OK)
        return json_pack("{s:s}", "skipped", err.message);
    return json_pack(
        "{s:o, s:f, s:s, s:s}", "epsilon", number_or_null(epsilon), "mean_runs", sweep->mean_runs,
        "distribution", shape_name(shape), "explanation",
        "What releasing the best run alone would cost, had the number of runs been drawn from this distribution "
        "before the first, each run's settings been drawn at random, and nothing of the other runs been "
        "released or even looked at but for a score (Papernot and Steinke 2022). Scores that are computed from "
        "rows, like those here, must come from rows that this guarantee does not protect: the test table's. It "
        "is not what was done here.");
}

/* Of all that were begun; of a plan, of each run once. */
static sotto_status all_epsilon(const sotto_sweep_outcome *outcome, double *epsilon, sotto_error *err)
{
    const sotto_sweep *sweep = outcome->sweep;
    size_t *runs = calloc(sweep->combinations, sizeof *runs);
    if (!runs)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a sweep");
    for (size_t i = 0; i < sweep->cells; i++)
        runs[sotto_sweep_combination(sweep, i)] += outcome->begun ? outcome->begun[i] : 1;
    const sotto_status status = sotto_sweep_epsilon(sweep, outcome->costs, runs, epsilon, err);
    free(runs);
    return status;
}

static json_t *budget_of(const sotto_sweep *sweep)
{
    return sweep->budget_epsilon > 0
               ? json_pack("{s:f, s:f}", "epsilon", sweep->budget_epsilon, "delta", sweep->delta)
               : json_null();
}

static sotto_status privacy_of(const sotto_sweep_outcome *outcome, json_t **record, sotto_error *err)
{
    const sotto_sweep *sweep = outcome->sweep;
    double least = INFINITY, most = 0.0, all;
    size_t begun = 0, done = 0;
    sotto_status status = all_epsilon(outcome, &all, err);
    if (status != SOTTO_OK)
        return status;
    for (size_t c = 0; c < sweep->combinations; c++) {
        least = fmin(least, outcome->costs[c].epsilon);
        most = fmax(most, outcome->costs[c].epsilon);
    }
    for (size_t i = 0; i < sweep->cells; i++) {
        begun += outcome->begun ? outcome->begun[i] : 1;
        done += outcome->cells && sotto_sweep_cell_done(outcome->cells[i]);
    }
    json_t *statement =
        outcome->begun
            ? json_sprintf(
                  "%zu runs were begun and %zu finished; each that was begun is charged in full, those "
                  "that failed or were interrupted too. Whoever sees results of several runs, or one that "
                  "was chosen by looking at several, is covered by the figure for all runs together.",
                  begun, done)
            : json_sprintf("%zu runs are planned. Whoever sees results of several, or one that was chosen by "
                           "looking at several, is covered by the figure for all runs together.",
                           begun);
    *record = json_pack("{s:f, s:{s:f, s:f}, s:I, s:o, s:o, s:o, s:o}", "delta", sweep->delta, "each",
                        "least", least, "most", most, "runs", (json_int_t)begun, "all", number_or_null(all),
                        "best_of_random", random_record(sweep, outcome->costs), "budget", budget_of(sweep),
                        "statement", statement);
    return *record ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
}

/* --------------------------------------------------------------------------- whole */

static json_t *keys_of(const sotto_sweep *sweep)
{
    json_t *list = json_array();
    for (size_t k = 0; k < sweep->key_count; k++) {
        json_t *values = json_array();
        for (size_t i = 0; i < sweep->keys[k].count; i++) {
            double number;
            const char *text = sweep->keys[k].values[i];
            (void)json_array_append_new(values, sotto_text_double(text, &number) ? json_real(number)
                                                                                 : json_string(text));
        }
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:o}", "key", sweep->keys[k].key, "values", values));
    }
    return list;
}

static json_t *cell_of(const sotto_sweep_outcome *outcome, size_t i)
{
    char id[SOTTO_SWEEP_ID_SIZE];
    if (outcome->cells[i]) {
        json_t *cell = json_copy(outcome->cells[i]);
        (void)json_object_del(cell, "format");
        (void)json_object_del(cell, "lines");
        (void)json_object_del(cell, "notice");
        (void)json_object_del(cell, "not_private");
        return cell;
    }
    sotto_sweep_id(i, id);
    return json_pack("{s:s, s:o, s:I, s:s, s:n, s:n, s:n, s:{}}", "id", id, "settings",
                     sotto_sweep_chosen(outcome->sweep, sotto_sweep_combination(outcome->sweep, i)), "repeat",
                     (json_int_t)(i / outcome->sweep->combinations + 1), "status", "missing", "reason",
                     "epsilon", "seconds", "figures");
}

static void today(char date[16])
{
    const time_t now = time(NULL);
    struct tm parts;
    (void)strftime(date, 16, "%Y-%m-%d", gmtime_r(&now, &parts));
}

sotto_status sotto_sweep_record(const sotto_sweep_outcome *outcome, json_t **record, sotto_error *err)
{
    const sotto_sweep *sweep = outcome->sweep;
    char date[16];
    json_t *privacy = NULL, *cells = json_array();
    double *values = calloc(sweep->repeats, sizeof *values);
    if (!values) {
        json_decref(cells);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
    }
    today(date);
    sotto_status status = privacy_of(outcome, &privacy, err);
    for (size_t i = 0; i < sweep->cells; i++)
        (void)json_array_append_new(cells, cell_of(outcome, i));
    if (status == SOTTO_OK) {
        *record = json_pack(
            "{s:s, s:s, s:s, s:s?, s:s, s:s, s:f, s:I, s:o, s:o, s:O, s:o, s:o, s:o, s:o, s:O?, s:f}",
            "format", "sotto sweep 1", "made_by", "sotto " SOTTO_VERSION, "date", date, "not_private",
            sweep->options->insecure_test_only_seed ? SOTTO_NOT_PRIVATE : NULL, "notice", sotto_sweep_notice,
            "config", sweep->config.path, "delta", sweep->delta, "repeats", (json_int_t)sweep->repeats,
            "keys", keys_of(sweep), "metrics", metrics_of(outcome), "cells", cells, "groups",
            groups_of(outcome, values), "lines", lines_of(outcome), "privacy", privacy, "best",
            best_of(outcome, values), "selected", outcome->selected, "seconds", outcome->seconds);
        if (!*record)
            status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
    }
    json_decref(cells);
    free(values);
    return status;
}

/* Null where no private step is taken. */
static json_t *of_step(const sotto_run_cost *cost, double value)
{
    return cost->step.kind != 0 ? json_real(value) : json_null();
}

sotto_status sotto_sweep_plan_record(const sotto_sweep *sweep, const sotto_run_cost *costs, json_t **record,
                                     sotto_error *err)
{
    const sotto_sweep_outcome outcome = {.sweep = sweep, .costs = costs};
    json_t *privacy = NULL, *list = json_array();
    sotto_status status = privacy_of(&outcome, &privacy, err);
    for (size_t c = 0; c < sweep->combinations; c++)
        (void)json_array_append_new(
            list,
            json_pack("{s:o, s:f, s:o, s:o, s:I}", "settings", sotto_sweep_chosen(sweep, c), "epsilon",
                      costs[c].epsilon, "noise_multiplier",
                      of_step(&costs[c], costs[c].step.noise_multiplier), "sample_rate",
                      of_step(&costs[c], costs[c].step.sample_rate), "steps", (json_int_t)costs[c].steps));
    if (status == SOTTO_OK) {
        *record = json_pack("{s:s, s:s, s:f, s:I, s:I, s:o, s:O, s:o}", "format", "sotto sweep plan 1",
                            "config", sweep->config.path, "delta", sweep->delta, "repeats",
                            (json_int_t)sweep->repeats, "runs", (json_int_t)sweep->cells, "keys",
                            keys_of(sweep), "combinations", list, "privacy", privacy);
        if (!*record)
            status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
    }
    json_decref(list);
    return status;
}

/* ----------------------------------------------------------------------------- CSV */

static void put_text(FILE *file, const char *text)
{
    char *quoted = malloc(2 * strlen(text) + 3);
    if (quoted) {
        (void)fwrite(quoted, 1, sotto_csv_quote(text, quoted), file);
        free(quoted);
    }
}

static void put_value(FILE *file, const json_t *value)
{
    if (json_is_number(value))
        (void)fprintf(file, "%.17g", json_number_value(value));
    else if (json_is_string(value))
        put_text(file, json_string_value(value));
}

sotto_status sotto_sweep_csv(const json_t *record, char **text, sotto_error *err)
{
    size_t length, i, j;
    const json_t *cell, *item;
    *text = NULL;
    FILE *file = sotto_memory_open(text, &length);
    if (!file)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a table");
    const json_t *keys = json_object_get(record, "keys"), *metrics = json_object_get(record, "metrics");
    /* Each file says what it is (P12, P9), and this one has no other place for it. */
    const char *stamp = json_string_value(json_object_get(record, "not_private"));
    (void)fprintf(file, "# %s%s%s\n", stamp ? stamp : "", stamp ? ". " : "", sotto_sweep_notice);
    (void)fputs("run", file);
    json_array_foreach(keys, i, item)
    {
        (void)fputc(',', file);
        put_value(file, json_object_get(item, "key"));
    }
    (void)fputs(",repeat,status,epsilon,seconds", file);
    json_array_foreach(metrics, i, item)
    {
        (void)fputc(',', file);
        put_value(file, json_object_get(item, "key"));
    }
    (void)fputc('\n', file);
    json_array_foreach(json_object_get(record, "cells"), i, cell)
    {
        static const char *const rest[] = {"repeat", "status", "epsilon", "seconds"};
        put_value(file, json_object_get(cell, "id"));
        json_array_foreach(keys, j, item)
        {
            (void)fputc(',', file);
            put_value(file, json_object_get(json_object_get(cell, "settings"),
                                            json_string_value(json_object_get(item, "key"))));
        }
        for (j = 0; j < 4; j++) {
            (void)fputc(',', file);
            put_value(file, json_object_get(cell, rest[j]));
        }
        json_array_foreach(metrics, j, item)
        {
            (void)fputc(',', file);
            put_value(file, json_object_get(json_object_get(cell, "figures"),
                                            json_string_value(json_object_get(item, "key"))));
        }
        (void)fputc('\n', file);
    }
    return fclose(file) == 0 && *text ? SOTTO_OK
                                      : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a table");
}
