/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/classifier.h"

#include <math.h>

/*
 * The propensity score's mean squared error (Woo et al. 2009; Snoke et al. 2018, "General and specific
 * utility measures for synthetic data"): stack as many real as synthetic rows, let logistic regression guess
 * which are synthetic, and compare its guesses p with the share c of synthetic rows,
 *
 *     pMSE = (1/N)·Σ (p − c)²,    expected (k − 1)(1 − c)²c/N
 *
 * where k parameters are free and the synthetic rows are drawn from the very distribution of the real ones: a
 * bootstrap of the train table has the ratio 1. Other rows of the same population, whose own sampling counts
 * as well, have the ratio 1/(1 − c) = 2, and so the test table is held against the train table for
 * comparison.
 */

/* Rows of each table; elements of a row, since the rank of their Gram matrix is wanted; and how little the
 * fit is penalised, since the expectation is that of one without a penalty. */
enum { ROWS_MOST = 100000, WIDTH_MOST = 4096 };
#define COST 100.0

typedef struct pmse {
    double value, expected;
    size_t parameters, sampled;
} pmse;

/* --------------------------------------------------------------- parameters */

/* Σ x·xᵀ over the rows, x with a last element 1; lower triangle of [size, size]. */
static void sum_products(const sotto_features *features, size_t size, double *gram)
{
    const size_t entries = features->plan->entries;
    for (size_t i = 0; i < features->rows; i++) {
        const uint32_t *columns = features->columns + i * entries;
        const float *values = features->values + i * entries;
        for (size_t e = 0; e < entries; e++) {
            if (values[e] == 0)
                continue;
            for (size_t d = 0; d <= e; d++)
                gram[columns[e] * size + columns[d]] += (double)values[e] * (double)values[d];
            gram[(size - 1) * size + columns[e]] += (double)values[e];
        }
    }
    gram[size * size - 1] = (double)features->rows;
}

/*
 * The rank of a matrix whose lower triangle is given, which is overwritten: Cholesky's factorisation, where a
 * row whose pivot is next to nothing depends on those before it and is passed over.
 */
SOTTO_WIDE
static size_t rank_of(double *gram, size_t size)
{
    size_t rank = 0;
    for (size_t i = 0; i < size; i++) {
        double *row = gram + i * size;
        const double whole = row[i];
        for (size_t j = 0; j < i; j++) {
            const double *above = gram + j * size;
            double sum = row[j];
#pragma omp simd reduction(- : sum)
            for (size_t k = 0; k < j; k++)
                sum -= row[k] * above[k];
            row[j] = above[j] > 0 ? sum / above[j] : 0;
        }
        double rest = whole;
        for (size_t k = 0; k < i; k++)
            rest -= row[k] * row[k];
        row[i] = rest > 1e-8 * whole ? sqrt(rest) : 0;
        rank += row[i] > 0;
    }
    return rank;
}

/* How many parameters are free: one-hots that add up to 1, or columns that say the same, count once. */
static sotto_status count_parameters(const sotto_features *features, size_t *parameters, sotto_error *err)
{
    const size_t size = features->plan->width + 1;
    sotto_arena *scratch = NULL;
    sotto_status status = sotto_arena_create(&scratch, err);
    if (status != SOTTO_OK)
        return status;
    double *gram = sotto_arena_take(scratch, size * size, sizeof *gram, err);
    if (gram) {
        sum_products(features, size, gram);
        *parameters = rank_of(gram, size);
    }
    sotto_arena_destroy(scratch);
    return gram ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

/* ------------------------------------------------------------------ guesses */

static sotto_status guess(const sotto_features *features, size_t real, double *value, sotto_error *err)
{
    const sotto_classifier_options options = {.kind = SOTTO_CLASSIFIER_LINEAR, .classes = 2, .cost = COST};
    sotto_classifier *model = NULL;
    sotto_arena *scratch = NULL;
    sotto_status status = sotto_arena_create(&scratch, err);
    if (status != SOTTO_OK)
        return status;
    double *labels = sotto_arena_take(scratch, features->rows, sizeof *labels, err);
    double *guesses = sotto_arena_take(scratch, features->rows, 2 * sizeof *guesses, err);
    status = labels && guesses ? SOTTO_OK : SOTTO_ERROR_MEMORY;
    if (status == SOTTO_OK) {
        for (size_t i = real; i < features->rows; i++)
            labels[i] = 1;
        status = sotto_classifier_fit(&model, &options, features, labels, err);
    }
    if (status == SOTTO_OK)
        status = sotto_classifier_predict(model, features, guesses, err);
    if (status == SOTTO_OK) {
        const double share = 1 - (double)real / (double)features->rows;
        *value = 0;
        for (size_t i = 0; i < features->rows; i++)
            *value += (guesses[2 * i + 1] - share) * (guesses[2 * i + 1] - share) / (double)features->rows;
    }
    sotto_classifier_destroy(model);
    sotto_arena_destroy(scratch);
    return status;
}

/* `count` rows of a table at random. */
static sotto_status sample(sotto_features_source *source, const sotto_table *table, size_t count,
                           sotto_stream *stream, sotto_arena *arena, sotto_error *err)
{
    const size_t all = sotto_table_rows(table);
    uint32_t *rows = sotto_arena_take(arena, all, sizeof *rows, err);
    if (!rows)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < all; i++)
        rows[i] = (uint32_t)i;
    *source = (sotto_features_source){table, rows, sotto_rows_sample(rows, all, count, stream)};
    return SOTTO_OK;
}

static sotto_status compare_features(const sotto_features_plan *plan, const sotto_features_source *sources,
                                     pmse *found, sotto_error *err)
{
    sotto_features *features = NULL;
    const size_t real = sources[0].count, rows = real + sources[1].count;
    sotto_status status = sotto_features_create(&features, plan, rows, err);
    if (status == SOTTO_OK)
        status = sotto_features_fill(features, 0, &sources[0], NULL, err);
    if (status == SOTTO_OK)
        status = sotto_features_fill(features, real, &sources[1], NULL, err);
    if (status == SOTTO_OK)
        status = count_parameters(features, &found->parameters, err);
    if (status == SOTTO_OK)
        status = guess(features, real, &found->value, err);
    sotto_features_destroy(features);
    return status;
}

static sotto_status compare(const sotto_table *real, const sotto_table *other, sotto_stream *stream,
                            pmse *found, sotto_error *err)
{
    size_t count =
        sotto_table_rows(real) < sotto_table_rows(other) ? sotto_table_rows(real) : sotto_table_rows(other);
    count = count < ROWS_MOST ? count : ROWS_MOST;
    sotto_features_source sources[2];
    sotto_features_plan *plan = NULL;
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status == SOTTO_OK)
        status = sample(&sources[0], real, count, stream, arena, err);
    if (status == SOTTO_OK)
        status = sample(&sources[1], other, count, stream, arena, err);
    if (status == SOTTO_OK)
        status = sotto_features_plan_create(&plan, sources, 2, NULL, err);
    if (status == SOTTO_OK)
        status = compare_features(plan, sources, found, err);
    if (status == SOTTO_OK) {
        const double share = 0.5;
        found->sampled = count;
        found->expected =
            (double)(found->parameters - 1) * (1 - share) * (1 - share) * share / (2.0 * (double)count);
    }
    sotto_features_plan_destroy(plan);
    sotto_arena_destroy(arena);
    return status;
}

/* ------------------------------------------------------------------- record */

static size_t width_of(const sotto_schema *schema)
{
    size_t width = 0;
    for (size_t c = 0; c < schema->column_count; c++)
        width += 2 + schema->columns[c].value_count + schema->columns[c].spike_count;
    return width;
}

static sotto_status skipped(json_t **record, const char *why, sotto_error *err)
{
    *record = json_pack("{s:s}", "skipped", why);
    return *record ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
}

static json_t *ratio_of(const pmse *found)
{
    return found->expected > 0 ? json_real(found->value / found->expected) : json_null();
}

sotto_status sotto_evaluate_pmse(const sotto_evaluation *evaluation, json_t **record, sotto_error *err)
{
    const char *why = sotto_classifier_unavailable(SOTTO_CLASSIFIER_LINEAR);
    if (why)
        return skipped(record, why, err);
    if (width_of(sotto_table_schema(evaluation->train)) > WIDTH_MOST)
        return skipped(record, "the schema declares more than 4096 categories and columns", err);
    pmse found = {0}, control = {0};
    sotto_stream *stream = NULL;
    sotto_status status = sotto_evaluation_stream(evaluation, &stream, err);
    if (status == SOTTO_OK)
        status = compare(evaluation->train, evaluation->synthetic, stream, &found, err);
    if (status == SOTTO_OK && evaluation->test)
        status = compare(evaluation->train, evaluation->test, stream, &control, err);
    sotto_stream_destroy(stream);
    if (status != SOTTO_OK)
        return status;
    *record =
        json_pack("{s:o, s:f, s:f, s:s, s:I, s:I, s:o}", "ratio", ratio_of(&found), "value", found.value,
                  "expected", found.expected, "model", "logistic", "parameters", (json_int_t)found.parameters,
                  "sampled", (json_int_t)found.sampled, "control_ratio", ratio_of(&control));
    return *record ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
}
