/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/fidelity.h"

#include <math.h>
#include <stdlib.h>

/* Pearson's correlation of every two numeric columns, one table at a time. */

typedef struct correlation {
    size_t table, rows;
    size_t count;   /* numeric columns */
    size_t *coded;  /* [count] */
    double *values; /* [count × rows], each column less its mean; NaN where missing */
    double *matrix; /* [columns × columns] */
} correlation;

/* One column's numbers less their mean, so that sums of products cancel as little as they can. */
static void fill_column(const fidelity *in, const correlation *work, size_t number)
{
    const sotto_table *table = sotto_evaluation_table(in->evaluation, work->table);
    const size_t column = in->codes->columns[work->coded[number]].column;
    double *values = work->values + number * work->rows, sum = 0;
    size_t present = 0;
    for (size_t row = 0; row < work->rows; row++) {
        values[row] = sotto_table_number(table, row, column);
        if (!isnan(values[row])) {
            sum += values[row];
            present++;
        }
    }
    const double mean = present ? sum / (double)present : 0;
    for (size_t row = 0; row < work->rows; row++)
        values[row] -= mean;
}

/* Over the rows in which both are present; NaN where one does not vary there. */
static double pearson(const double *x, const double *y, size_t rows)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0, first_x = NAN, first_y = NAN;
    bool varies_x = false, varies_y = false;
    for (size_t row = 0; row < rows; row++) {
        const double a = x[row], b = y[row];
        if (isnan(a) || isnan(b))
            continue;
        if (n == 0) {
            first_x = a;
            first_y = b;
        }
        n++;
        sx += a;
        sy += b;
        sxx += a * a;
        syy += b * b;
        sxy += a * b;
        varies_x |= a != first_x;
        varies_y |= b != first_y;
    }
    const double spread = sqrt(sxx - sx * sx / n) * sqrt(syy - sy * sy / n);
    if (!varies_x || !varies_y || !(spread > 0))
        return NAN;
    const double found = (sxy - sx * sy / n) / spread;
    return found > 1 ? 1 : found < -1 ? -1 : found;
}

static void correlate(const fidelity *in, void *context, fidelity_lane *lane)
{
    const correlation *work = context;
    const size_t columns = in->codes->column_count;
    size_t pair = 0;
    for (size_t i = 0; i < work->count; i++)
        for (size_t j = i; j < work->count; j++) {
            if (pair++ % in->evaluation->threads != lane->number)
                continue;
            const double found =
                pearson(work->values + i * work->rows, work->values + j * work->rows, work->rows);
            const double kept = i == j && !isnan(found) ? 1 : found;
            work->matrix[work->coded[i] * columns + work->coded[j]] = kept;
            work->matrix[work->coded[j] * columns + work->coded[i]] = kept;
        }
}

static void fill_columns(const fidelity *in, void *context, fidelity_lane *lane)
{
    const correlation *work = context;
    for (size_t i = lane->number; i < work->count; i += in->evaluation->threads)
        fill_column(in, work, i);
}

sotto_status fidelity_correlate(const fidelity *in, fidelity_pairs *pairs, sotto_error *err)
{
    const size_t columns = in->codes->column_count;
    correlation work = {.coded = sotto_arena_take(in->arena, columns, sizeof *work.coded, err)};
    if (!work.coded)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < columns; i++)
        if (in->codes->columns[i].numeric)
            work.coded[work.count++] = i;
    sotto_status status = SOTTO_OK;
    for (size_t t = 0; !status && work.count && t < SOTTO_TABLE_COUNT; t++) {
        work.table = t;
        work.rows = in->codes->rows[t];
        work.matrix = pairs->correlation[t];
        if (work.rows == 0)
            continue;
        work.values = calloc(work.count, work.rows * sizeof *work.values);
        if (!work.values)
            return sotto_error_set(err, SOTTO_ERROR_MEMORY,
                                   "out of memory for %zu numeric columns of %zu rows", work.count,
                                   work.rows);
        status = fidelity_share(in, false, fill_columns, &work, err);
        if (!status)
            status = fidelity_share(in, false, correlate, &work, err);
        free(work.values);
    }
    return status;
}
