/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/fidelity.h"

#include <math.h>
#include <string.h>

/* -------------------------------------------------------------------- measuring */

/* Similarities, and where information will stand the entropies that it is made of: joint ones, and a column's
 * own on the diagonal. */
static sotto_status measure_pair(const fidelity *in, const fidelity_pairs *pairs, size_t one, size_t other,
                                 fidelity_lane *lane)
{
    const size_t set[] = {one, other}, columns = in->codes->column_count;
    const size_t at = one * columns + other, mirrored = other * columns + one;
    sotto_status status = sotto_cells_count(&lane->cells, in->codes, set, one == other ? 1 : 2, &lane->err);
    if (status)
        return status;
    for (size_t side = 0; side < FIDELITY_SIDES; side++)
        pairs->similarity[side][at] = pairs->similarity[side][mirrored] =
            sotto_cells_similarity(&lane->cells, in->codes, SOTTO_TRAIN, fidelity_table(side));
    for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++)
        if (pairs->information[t])
            pairs->information[t][at] = pairs->information[t][mirrored] =
                sotto_cells_entropy(&lane->cells, in->codes, t);
    return SOTTO_OK;
}

static void work(const fidelity *in, void *context, fidelity_lane *lane)
{
    const fidelity_pairs *pairs = context;
    const size_t columns = in->codes->column_count;
    size_t pair = 0;
    for (size_t i = 0; i < columns; i++)
        for (size_t j = i; j < columns; j++)
            if (!lane->status && pair++ % in->evaluation->threads == lane->number)
                lane->status = measure_pair(in, pairs, i, j, lane);
}

enum { MOST_DRAWN = 200 /* columns whose pairs are listed one by one */ };

/* I/√(H_i H_j) with I = H_i + H_j − H_ij. A constant column has nothing to share: 0. */
static void normalise(double *matrix, size_t columns)
{
    for (size_t i = 0; i < columns; i++)
        for (size_t j = i + 1; j < columns; j++) {
            const double own = matrix[i * columns + i], others = matrix[j * columns + j];
            const double shared = own + others - matrix[i * columns + j];
            const double scale = sqrt(own * others);
            const double share = scale > 0 ? fmin(fmax(shared / scale, 0), 1) : 0;
            matrix[i * columns + j] = matrix[j * columns + i] = share;
        }
    for (size_t i = 0; i < columns; i++)
        matrix[i * columns + i] = 1;
}

static double *matrix_of(const fidelity *in, size_t columns, sotto_error *err)
{
    if (columns > SIZE_MAX / columns) {
        (void)fidelity_no_memory(err);
        return NULL;
    }
    double *matrix = sotto_arena_take(in->arena, columns * columns, sizeof *matrix, err);
    for (size_t i = 0; matrix && i < columns * columns; i++)
        matrix[i] = NAN;
    return matrix;
}

sotto_status fidelity_pairs_measure(const fidelity *in, fidelity_pairs *pairs, sotto_error *err)
{
    const size_t columns = in->codes->column_count;
    *pairs = (fidelity_pairs){0};
    for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++) {
        pairs->correlation[t] = matrix_of(in, columns, err);
        pairs->information[t] = t == SOTTO_TEST ? NULL : matrix_of(in, columns, err);
        if (!pairs->correlation[t] || (t != SOTTO_TEST && !pairs->information[t]))
            return SOTTO_ERROR_MEMORY;
    }
    for (size_t side = 0; side < FIDELITY_SIDES; side++)
        if (!(pairs->similarity[side] = matrix_of(in, columns, err)))
            return SOTTO_ERROR_MEMORY;
    sotto_status status = fidelity_share(in, false, work, pairs, err);
    if (status)
        return status;
    normalise(pairs->information[SOTTO_TRAIN], columns);
    normalise(pairs->information[SOTTO_SYNTHETIC], columns);
    return fidelity_correlate(in, pairs, err);
}

/* ---------------------------------------------------------------------- scoring */

static double correlation_similarity(double real, double other)
{
    if (isnan(real) && isnan(other))
        return NAN;
    /* A column that has become constant keeps no trend: as if uncorrelated, and not left out of the mean. */
    return 1 - fabs((isnan(real) ? 0 : real) - (isnan(other) ? 0 : other)) / 2;
}

double fidelity_pair_score(const fidelity *in, const fidelity_pairs *pairs, size_t side, size_t one,
                           size_t other)
{
    const size_t at = one * in->codes->column_count + other;
    if (in->codes->rows[fidelity_table(side)] == 0)
        return NAN;
    if (in->codes->columns[one].numeric && in->codes->columns[other].numeric)
        return correlation_similarity(pairs->correlation[SOTTO_TRAIN][at],
                                      pairs->correlation[fidelity_table(side)][at]);
    return pairs->similarity[side][at];
}

/* -------------------------------------------------------------------- the record */

/* Means over the pairs i < j of the whole record. */
typedef struct pair_means {
    fidelity_mean correlation, contingency, information;
} pair_means;

static pair_means means_of(const fidelity *in, const fidelity_pairs *pairs)
{
    const size_t columns = in->codes->column_count;
    pair_means means;
    memset(&means, 0, sizeof means);
    for (size_t i = 0; i < columns; i++)
        for (size_t j = i + 1; j < columns; j++) {
            const size_t at = i * columns + j;
            if (in->codes->columns[i].numeric && in->codes->columns[j].numeric)
                fidelity_mean_add(&means.correlation,
                                  fidelity_pair_score(in, pairs, FIDELITY_SYNTHETIC, i, j));
            fidelity_mean_add(&means.contingency, pairs->similarity[FIDELITY_SYNTHETIC][at]);
            fidelity_mean_add(&means.information, fabs(pairs->information[SOTTO_TRAIN][at] -
                                                       pairs->information[SOTTO_SYNTHETIC][at]));
        }
    return means;
}

/* So many numbers that neither a page nor a person has use for them. */
static sotto_status leave_out(json_t *record, sotto_error *err)
{
    static const char *const parts[] = {"correlation", "contingency", "mutual_information"};
    for (size_t i = 0; i < 3; i++)
        if (json_object_set_new(
                record, parts[i],
                json_pack("{s:s}", "skipped",
                          "the tables have more than 200 columns; `pair_trends` has their mean")))
            return fidelity_no_memory(err);
    return SOTTO_OK;
}

sotto_status fidelity_pairs_record(const fidelity *in, const fidelity_pairs *pairs, json_t *record,
                                   sotto_error *err)
{
    const pair_means means = means_of(in, pairs);
    if (in->codes->column_count > MOST_DRAWN)
        return leave_out(record, err);
    json_t *correlation = json_pack("{s:o, s:o, s:o, s:o}", "columns", fidelity_names(in, true), "real",
                                    fidelity_matrix(in, pairs->correlation[SOTTO_TRAIN], true), "synthetic",
                                    fidelity_matrix(in, pairs->correlation[SOTTO_SYNTHETIC], true),
                                    "similarity", fidelity_number(fidelity_mean_of(&means.correlation)));
    if (json_object_set_new(record, "correlation", correlation))
        return fidelity_no_memory(err);
    json_t *contingency = json_pack("{s:o, s:o, s:o}", "columns", fidelity_names(in, false), "similarity",
                                    fidelity_matrix(in, pairs->similarity[FIDELITY_SYNTHETIC], false), "mean",
                                    fidelity_number(fidelity_mean_of(&means.contingency)));
    if (json_object_set_new(record, "contingency", contingency))
        return fidelity_no_memory(err);
    json_t *information = json_pack("{s:o, s:o, s:o, s:o}", "columns", fidelity_names(in, false), "real",
                                    fidelity_matrix(in, pairs->information[SOTTO_TRAIN], false), "synthetic",
                                    fidelity_matrix(in, pairs->information[SOTTO_SYNTHETIC], false),
                                    "mean_difference", fidelity_number(fidelity_mean_of(&means.information)));
    if (json_object_set_new(record, "mutual_information", information))
        return fidelity_no_memory(err);
    return SOTTO_OK;
}
