/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/fidelity.h"

#include <math.h>
#include <stdlib.h>

#include "evaluate/classifier.h"

/* ------------------------------------------------------------------ helpers */

size_t fidelity_table(size_t side)
{
    return side == FIDELITY_CONTROL ? SOTTO_TEST : SOTTO_SYNTHETIC;
}

const sotto_column *fidelity_column(const fidelity *in, size_t coded)
{
    return &in->schema->columns[in->codes->columns[coded].column];
}

double fidelity_overlap(const size_t *one, size_t one_sum, const size_t *other, size_t other_sum,
                        size_t count)
{
    uint64_t shared = 0; /* ≤ one_sum × other_sum < 2⁶⁴ */
    if (one_sum == 0 || other_sum == 0)
        return one_sum == other_sum ? 1 : 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t left = (uint64_t)one[i] * other_sum, right = (uint64_t)other[i] * one_sum;
        shared += left < right ? left : right;
    }
    return (double)shared / (double)((uint64_t)one_sum * other_sum);
}

void fidelity_mean_add(fidelity_mean *mean, double value)
{
    if (isfinite(value)) {
        mean->sum += value;
        mean->count++;
    }
}

double fidelity_mean_of(const fidelity_mean *mean)
{
    return mean->count ? mean->sum / (double)mean->count : NAN;
}

json_t *fidelity_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *fidelity_names(const fidelity *in, bool numeric)
{
    json_t *names = json_array();
    for (size_t i = 0; names && i < in->codes->column_count; i++) {
        if (numeric && !in->codes->columns[i].numeric)
            continue;
        if (json_array_append_new(names, json_string(fidelity_column(in, i)->name))) {
            json_decref(names);
            return NULL;
        }
    }
    return names;
}

static json_t *matrix_row(const fidelity *in, const double *row, bool numeric)
{
    json_t *cells = json_array();
    for (size_t j = 0; cells && j < in->codes->column_count; j++) {
        if (numeric && !in->codes->columns[j].numeric)
            continue;
        if (json_array_append_new(cells, fidelity_number(row[j]))) {
            json_decref(cells);
            return NULL;
        }
    }
    return cells;
}

json_t *fidelity_matrix(const fidelity *in, const double *matrix, bool numeric)
{
    const size_t columns = in->codes->column_count;
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < columns; i++) {
        if (numeric && !in->codes->columns[i].numeric)
            continue;
        if (json_array_append_new(rows, matrix_row(in, matrix + i * columns, numeric))) {
            json_decref(rows);
            return NULL;
        }
    }
    return rows;
}

sotto_status fidelity_no_memory(sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for the record of fidelity");
}

/* -------------------------------------------------------------------- lanes */

static sotto_status give_room(const fidelity *in, fidelity_lane *lane, sotto_error *err)
{
    size_t codes = 0;
    for (size_t i = 0; i < in->codes->column_count; i++)
        codes = in->codes->columns[i].count > codes ? in->codes->columns[i].count : codes;
    for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++) {
        lane->values[t] = calloc(in->codes->rows[t] + 1, sizeof *lane->values[t]);
        lane->counts[t] = calloc(codes + 1, sizeof *lane->counts[t]);
        if (!lane->values[t] || !lane->counts[t])
            return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a column of %zu rows",
                                   in->codes->rows[t]);
    }
    return SOTTO_OK;
}

static void free_lane(fidelity_lane *lane)
{
    sotto_cells_free(&lane->cells);
    for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++) {
        free(lane->values[t]);
        free(lane->counts[t]);
    }
}

sotto_status fidelity_share(const fidelity *in, bool columnwise,
                            void (*work)(const fidelity *in, void *context, fidelity_lane *lane),
                            void *context, sotto_error *err)
{
    const unsigned count = in->evaluation->threads;
    fidelity_lane *lanes = calloc(count, sizeof *lanes);
    sotto_status status = lanes ? SOTTO_OK : fidelity_no_memory(err);
    for (unsigned i = 0; !status && i < count; i++) {
        lanes[i].number = i;
        if (columnwise)
            status = give_room(in, &lanes[i], err);
    }
    if (!status) {
#pragma omp parallel for num_threads(count) schedule(static, 1) if (count > 1)
        for (unsigned i = 0; i < count; i++)
            work(in, context, &lanes[i]);
    }
    for (unsigned i = 0; !status && i < count; i++) {
        status = lanes[i].status;
        if (status && err)
            *err = lanes[i].err;
    }
    for (unsigned i = 0; lanes && i < count; i++)
        free_lane(&lanes[i]);
    free(lanes);
    return status;
}

/* --------------------------------------------------------------- the record */

static double pair_trends(const fidelity *in, const fidelity_pairs *pairs, size_t side)
{
    fidelity_mean mean = {0};
    for (size_t i = 0; i < in->codes->column_count; i++)
        for (size_t j = i + 1; j < in->codes->column_count; j++)
            fidelity_mean_add(&mean, fidelity_pair_score(in, pairs, side, i, j));
    return fidelity_mean_of(&mean);
}

/* Shapes, trends and their mean; of shapes alone where there are no pairs. */
static json_t *scores(double shapes, double trends)
{
    const double overall = isfinite(trends) ? (shapes + trends) / 2 : shapes;
    return json_pack("{s:o, s:o, s:o}", "overall", fidelity_number(overall), "column_shapes",
                     fidelity_number(shapes), "pair_trends", fidelity_number(trends));
}

enum { PHASES = 5 };

/* The scores of both sides; `control` null without a test table. */
static sotto_status add_scores(const fidelity *in, const fidelity_pairs *pairs,
                               const double shapes[FIDELITY_SIDES], json_t *record, sotto_error *err)
{
    json_t *made = scores(shapes[FIDELITY_SYNTHETIC], pair_trends(in, pairs, FIDELITY_SYNTHETIC));
    const bool failed = !made || json_object_update(record, made);
    json_decref(made);
    made = in->evaluation->test ? scores(shapes[FIDELITY_CONTROL], pair_trends(in, pairs, FIDELITY_CONTROL))
                                : json_null();
    if (json_object_set_new(record, "control", made) || failed)
        return fidelity_no_memory(err);
    return SOTTO_OK;
}

static sotto_status fill(const fidelity *in, json_t *record, sotto_error *err)
{
    json_t *columns = NULL, *ways = NULL;
    double shapes[FIDELITY_SIDES];
    fidelity_pairs pairs = {0};
    sotto_evaluation_tell(in->evaluation, "fidelity", 1, PHASES);
    sotto_status status = fidelity_columns(in, &columns, shapes, err);
    if (status)
        goto done;
    sotto_evaluation_tell(in->evaluation, "fidelity", 2, PHASES);
    status = fidelity_pairs_measure(in, &pairs, err);
    if (status)
        goto done;
    sotto_evaluation_tell(in->evaluation, "fidelity", 3, PHASES);
    status = fidelity_ways(in, &pairs, &ways, err);
    if (status)
        goto done;
    sotto_evaluation_tell(in->evaluation, "fidelity", 4, PHASES);
    status = add_scores(in, &pairs, shapes, record, err);
    if (!status && json_object_set(record, "columns", columns))
        status = fidelity_no_memory(err);
    if (!status)
        status = fidelity_pairs_record(in, &pairs, record, err);
    if (!status && json_object_set(record, "ways", ways))
        status = fidelity_no_memory(err);
done:
    json_decref(columns);
    json_decref(ways);
    return status;
}

sotto_status sotto_evaluate_fidelity(const sotto_evaluation *evaluation, json_t **record, sotto_error *err)
{
    fidelity in = {.evaluation = evaluation, .schema = sotto_table_schema(evaluation->train)};
    sotto_codes *codes = NULL;
    json_t *made = NULL, *pmse = NULL;
    if (evaluation->threads == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "an evaluation by 0 threads; give it 1 or more");
    sotto_status status = sotto_arena_create(&in.arena, err);
    if (status)
        return status;
    sotto_evaluation_tell(evaluation, "fidelity", 0, PHASES);
    status = sotto_codes_create(&codes, evaluation, err);
    if (status)
        goto done;
    in.codes = codes;
    made = json_object();
    status = made ? fill(&in, made, err) : fidelity_no_memory(err);
    if (status)
        goto done;
    status = sotto_evaluate_pmse(evaluation, &pmse, err);
    if (status)
        goto done;
    if (json_object_set(made, "pmse", pmse)) {
        status = fidelity_no_memory(err);
        goto done;
    }
    sotto_evaluation_tell(evaluation, "fidelity", PHASES, PHASES);
    *record = json_incref(made);
done:
    json_decref(pmse);
    json_decref(made);
    sotto_codes_destroy(codes);
    sotto_arena_destroy(in.arena);
    return status;
}
