/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A figure of use: how often a logistic regression that learned from the synthetic rows is right about the
 * real ones. The regression is post-processing; of the real rows it is counted, with noise, for how many of
 * each class it is right. A row adds 1 to one cell of one table.
 */
#include <math.h>
#include <stdlib.h>

#include "evaluate/classifier.h"
#include "run/figures.h"

enum { LEARN_FROM = 100000 }; /* synthetic rows, which are alike: more take time and tell no more */

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
    const uint8_t *right;     /* [units], while counting: by row */
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

/* ----------------------------------------------------------------------- learning */

/* What was learned from synthetic rows. `model` is NULL where no row tells the target: then the guess is 0.
 */
struct learned {
    sotto_table *synthetic;
    uint32_t *rows; /* [LEARN_FROM] */
    double *targets;
    bool *left_out;
    sotto_features_plan *plan;
    sotto_classifier *model;
};

static void forget(struct learned *learned)
{
    sotto_classifier_destroy(learned->model);
    sotto_features_plan_destroy(learned->plan);
    sotto_table_destroy(learned->synthetic);
    free(learned->rows);
    free(learned->targets);
    free(learned->left_out);
}

static size_t gather(const sotto_prediction *prediction, struct learned *learned)
{
    const size_t rows = sotto_table_rows(learned->synthetic);
    size_t count = 0;
    for (size_t i = 0; i < rows && count < LEARN_FROM; i++) {
        const size_t value = sotto_table_category(learned->synthetic, i, prediction->target);
        if (value == SOTTO_NONE)
            continue;
        learned->rows[count] = (uint32_t)i;
        learned->targets[count++] = (double)value;
    }
    return count;
}

static sotto_status fit(const sotto_prediction *prediction, struct learned *learned, size_t count,
                        sotto_error *err)
{
    const sotto_features_source source = {learned->synthetic, learned->rows, count};
    const sotto_classifier_options options = {.kind = SOTTO_CLASSIFIER_LINEAR,
                                              .classes = prediction->classes};
    sotto_features *features = NULL;
    sotto_status status = sotto_features_plan_create(&learned->plan, &source, 1, learned->left_out, err);
    if (status == SOTTO_OK)
        status = sotto_features_create(&features, learned->plan, count, err);
    if (status == SOTTO_OK)
        status = sotto_features_fill(features, 0, &source, NULL, err);
    if (status == SOTTO_OK)
        status = sotto_classifier_fit(&learned->model, &options, features, learned->targets, err);
    sotto_features_destroy(features);
    return status;
}

static sotto_status learn(const sotto_prediction *prediction, struct learned *learned, const char *path,
                          sotto_error *err)
{
    const sotto_table_options any_rows = {.any_row_count = true};
    learned->rows = calloc(LEARN_FROM, sizeof *learned->rows);
    learned->targets = calloc(LEARN_FROM, sizeof *learned->targets);
    learned->left_out = calloc(prediction->schema->column_count, sizeof *learned->left_out);
    if (!learned->rows || !learned->targets || !learned->left_out)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a prediction");
    learned->left_out[prediction->target] = true;
    sotto_status status = sotto_table_load(&learned->synthetic, prediction->schema, path, &any_rows, err);
    const size_t count = status == SOTTO_OK ? gather(prediction, learned) : 0;
    return count > 0 ? fit(prediction, learned, count, err) : status;
}

/* ----------------------------------------------------------------------- counting */

static size_t likeliest(const double *probabilities, size_t classes)
{
    size_t best = 0;
    for (size_t k = 1; k < classes; k++)
        if (probabilities[k] > probabilities[best])
            best = k;
    return best;
}

/* Each row by itself: whether its guess is right does not depend on any other real row. */
static sotto_status guess(const sotto_prediction *prediction, const struct learned *learned,
                          const sotto_table *table, const uint32_t *units, size_t count, uint8_t *right,
                          sotto_error *err)
{
    enum { AT_ONCE = 8192 };
    const size_t classes = prediction->classes;
    sotto_features *features = NULL;
    sotto_status status = SOTTO_OK;
    double *probabilities = calloc(AT_ONCE, classes * sizeof *probabilities);
    if (!probabilities)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a prediction");
    for (size_t first = 0; first < count && status == SOTTO_OK; first += AT_ONCE) {
        const size_t here = count - first < AT_ONCE ? count - first : AT_ONCE;
        const sotto_features_source source = {table, units + first, here};
        if (learned->model) {
            status = sotto_features_create(&features, learned->plan, here, err);
            if (status == SOTTO_OK)
                status = sotto_features_fill(features, 0, &source, NULL, err);
            if (status == SOTTO_OK)
                status = sotto_classifier_predict(learned->model, features, probabilities, err);
            sotto_features_destroy(features);
            features = NULL;
        }
        for (size_t i = 0; i < here && status == SOTTO_OK; i++)
            right[units[first + i]] = sotto_table_category(table, units[first + i], prediction->target) ==
                                      likeliest(probabilities + i * classes, classes);
    }
    free(probabilities);
    return status;
}

static size_t cell(const void *context, uint32_t unit, size_t number)
{
    const sotto_prediction *prediction = context;
    (void)number;
    const size_t value = sotto_table_category(prediction->table, unit, prediction->target);
    return 2 * (value == SOTTO_NONE ? prediction->classes : value) + prediction->right[unit];
}

sotto_status sotto_prediction_buy(sotto_prediction *prediction, const char *path, const sotto_table *table,
                                  const sotto_mechanism *mechanism, sotto_budget *budget,
                                  const uint32_t *units, size_t unit_count, sotto_random *random,
                                  sotto_error *err)
{
    const sotto_counts_query query = {
        .tables = 1, .table_size = &prediction->table_size, .cell = cell, .context = prediction};
    struct learned learned = {0};
    uint8_t *right = calloc(sotto_table_rows(table), 1);
    sotto_status status = right ? learn(prediction, &learned, path, err)
                                : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a prediction");
    if (status == SOTTO_OK)
        status = guess(prediction, &learned, table, units, unit_count, right, err);
    if (status == SOTTO_OK) {
        prediction->table = table;
        prediction->right = right;
        prediction->deviation = mechanism->noise_multiplier;
        status = sotto_counts_release(&query, mechanism, budget, SOTTO_PREDICTION_LABEL, units, unit_count,
                                      random, prediction->noisy, err);
        prediction->bought = status == SOTTO_OK;
        prediction->table = NULL;
        prediction->right = NULL;
    }
    forget(&learned);
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
