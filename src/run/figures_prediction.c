/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A figure of use: how often a logistic regression that learned from the synthetic rows is right about the
 * real ones. The regression is post-processing; of the real rows it is counted, with noise, for how many of
 * each class it is right. A row adds 1 to one cell of one table, and so does each row of a unit.
 */
#include <math.h>
#include <stdlib.h>

#include "evaluate/evaluate.h"
#include "run/figures.h"

struct sotto_prediction {
    sotto_arena *arena;
    const sotto_schema *schema;
    size_t target, classes;
    bool missing_allowed;
    double share;
    size_t table_size; /* cells: class (or missing) and whether the guess was right */
    double *noisy;     /* [table_size] */
    double deviation;
    bool bought;
    const uint8_t *right;     /* [rows of the table], while counting */
    const sotto_table *table; /* while counting */
};

/* ------------------------------------------------------------------------- making */

static sotto_status find_target(sotto_prediction *made, const sotto_node *node, sotto_error *err)
{
    const char *name;
    sotto_status status = sotto_node_string(node, "figures.predict", &name, err);
    if (status != SOTTO_OK)
        return status;
    made->target = sotto_schema_find(made->schema, name);
    if (made->target == SOTTO_NONE)
        return sotto_node_error(node, err, "figures.predict: the schema has no column \"%s\"", name);
    const sotto_column *column = &made->schema->columns[made->target];
    if (column->type != SOTTO_COLUMN_CATEGORY || column->value_count < 2 || column->value_count > 64)
        return sotto_node_error(node, err,
                                "figures.predict: \"%s\" must be a category column of 2 to 64 values", name);
    made->classes = column->value_count;
    made->missing_allowed = column->missing_allowed;
    made->table_size = 2 * (made->classes + made->missing_allowed);
    return SOTTO_OK;
}

sotto_status sotto_prediction_create(sotto_prediction **prediction, const sotto_node *section,
                                     const sotto_schema *schema, sotto_error *err)
{
    sotto_arena *arena;
    const sotto_node *node = sotto_node_get(section, "predict");
    const sotto_node *share = sotto_node_get(section, "predict_share");
    *prediction = NULL;
    if (!node)
        return share ? sotto_node_error(share, err,
                                        "figures.predict_share says nothing without `predict: COLUMN`")
                     : SOTTO_OK;
    if (sotto_evaluate_no_guesses())
        return sotto_node_error(node, err, "figures.predict: %s", sotto_evaluate_no_guesses());
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_prediction *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made = (sotto_prediction){.arena = arena, .schema = schema, .share = 0.03};
    status = find_target(made, node, err);
    if (status == SOTTO_OK && share)
        status = sotto_node_double(share, "figures.predict_share", 0.001, 0.9, &made->share, err);
    if (status == SOTTO_OK)
        made->noisy = sotto_arena_take(arena, made->table_size, sizeof *made->noisy, err);
    if (status == SOTTO_OK && !made->noisy)
        status = SOTTO_ERROR_MEMORY;
    if (status == SOTTO_OK)
        *prediction = made;
    else
        sotto_arena_destroy(arena);
    return status;
}

void sotto_prediction_destroy(sotto_prediction *prediction)
{
    if (prediction)
        sotto_arena_destroy(prediction->arena);
}

double sotto_prediction_share(const sotto_prediction *prediction)
{
    return prediction->share;
}

size_t sotto_prediction_cells(const sotto_prediction *prediction)
{
    return prediction->table_size;
}

/* ----------------------------------------------------------------------- counting */

static size_t cell(const void *context, uint32_t row, size_t number)
{
    const sotto_prediction *prediction = context;
    (void)number;
    const size_t value = sotto_table_category(prediction->table, row, prediction->target);
    return 2 * (value == SOTTO_NONE ? prediction->classes : value) + prediction->right[row];
}

static sotto_status guess(const sotto_prediction *prediction, const char *path, const sotto_table *table,
                          const sotto_units *units, uint8_t *right, sotto_error *err)
{
    const size_t rows = units->first ? units->first[units->count] : units->count;
    const sotto_table_options any_rows = {.any_row_count = true};
    sotto_table *synthetic = NULL;
    sotto_status status = sotto_table_load(&synthetic, prediction->schema, path, &any_rows, err);
    if (status == SOTTO_OK)
        status = sotto_evaluate_guesses(synthetic, table, units->rows, rows, prediction->target, right, err);
    sotto_table_destroy(synthetic);
    return status;
}

sotto_status sotto_prediction_buy(sotto_prediction *prediction, const char *path, const sotto_table *table,
                                  const sotto_mechanism *mechanism, sotto_budget *budget,
                                  const sotto_units *units, sotto_random *random, sotto_error *err)
{
    const sotto_counts_query query = {
        .tables = 1, .table_size = &prediction->table_size, .cell = cell, .context = prediction};
    uint8_t *right = calloc(sotto_table_rows(table), 1);
    sotto_status status = right ? guess(prediction, path, table, units, right, err)
                                : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a prediction");
    if (status == SOTTO_OK) {
        prediction->table = table;
        prediction->right = right;
        prediction->deviation = mechanism->noise_multiplier * (double)sotto_units_most(units);
        status = sotto_counts_release(&query, mechanism, budget, SOTTO_PREDICTION_LABEL, units, random,
                                      prediction->noisy, err);
        prediction->bought = status == SOTTO_OK;
        prediction->table = NULL;
        prediction->right = NULL;
    }
    free(right);
    return status;
}

/* ------------------------------------------------------------------------- figure */

static double share_right(double wrong, double right)
{
    const double all = fmax(wrong, 0.0) + fmax(right, 0.0);
    return all > 0.0 ? fmax(right, 0.0) / all : 0.0;
}

json_t *sotto_prediction_record(const sotto_prediction *prediction)
{
    double wrong = 0.0, right = 0.0, balanced = 0.0;
    if (!prediction->bought)
        return NULL;
    for (size_t k = 0; k < prediction->classes; k++) {
        wrong += prediction->noisy[2 * k];
        right += prediction->noisy[2 * k + 1];
        balanced += share_right(prediction->noisy[2 * k], prediction->noisy[2 * k + 1]);
    }
    return json_pack("{s:s, s:s, s:f, s:f, s:f}", "target",
                     prediction->schema->columns[prediction->target].name, "model", "logistic", "accuracy",
                     share_right(wrong, right), "balanced_accuracy", balanced / (double)prediction->classes,
                     "deviation_of_counts", prediction->deviation);
}
