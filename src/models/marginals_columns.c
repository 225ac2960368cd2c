/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Counts of each column on its own, with which every algorithm begins. */
#include <string.h>

#include "models/marginals.h"

sotto_model_release marginals_columns_release(const marginals *model, double share)
{
    size_t cells = 0;
    for (size_t c = 0; c < model->column_count; c++)
        cells += model->labels * model->columns[c].slots;
    return (sotto_model_release){
        .label = "columns",
        .what = model->target != SOTTO_NONE
                    ? "how many rows fall into each slot of each column, for each value of the target column"
                    : "how many rows fall into each slot of each column",
        .kind = SOTTO_RELEASE_COUNTS,
        .share = share,
        .uses = 1,
        .tables = model->column_count,
        .cells = cells};
}

size_t marginals_label_of(const marginals *model, uint32_t unit)
{
    return model->target_block == SOTTO_NONE ? 0 : sotto_encoded_slot(model->data, unit, model->target_block);
}

static size_t column_cell(const void *context, uint32_t unit, size_t table)
{
    const marginals *model = context;
    const marginals_column *column = &model->columns[table];
    return marginals_label_of(model, unit) * column->slots +
           sotto_encoded_slot(model->data, unit, column->block);
}

/*
 * Slots with counts of no more than zero are rare. (MST joins all below 3 standard deviations: on Adult that
 * cost more of the target than it saved in noise, which shrinking takes care of.)
 */
static void group(marginals *model, const marginals_counts *counts, bool *is_rare)
{
    for (size_t c = 0; c < model->column_count; c++) {
        marginals_column *column = &model->columns[c];
        for (size_t s = 0; s < column->slots; s++) {
            double sum = 0.0;
            for (size_t k = 0; k < model->labels; k++)
                sum += counts->counts[counts->first[c] + k * column->slots + s];
            is_rare[s] = sum <= 0.0;
        }
        marginals_group(column, is_rare);
    }
}

/* Shares of slots by label. */
static void fit_slots(const marginals *model, const marginals_counts *counts)
{
    for (size_t c = 0; c < model->column_count; c++) {
        const size_t slots = model->columns[c].slots;
        for (size_t k = 0; k < model->labels; k++) {
            const size_t first = counts->first[c] + k * slots;
            memcpy(counts->slots + first, counts->counts + first, slots * sizeof(double));
            sotto_simplex_project(counts->slots + first, slots, counts->totals[k], counts->scratch);
        }
    }
}

static sotto_status take(marginals_counts *counts, const marginals *model, sotto_arena *arena,
                         sotto_error *err)
{
    const size_t columns = model->column_count;
    size_t cells = 0;
    counts->first = sotto_arena_take(arena, columns, sizeof *counts->first, err);
    counts->table_size = sotto_arena_take(arena, columns, sizeof *counts->table_size, err);
    counts->totals = sotto_arena_take(arena, model->labels, sizeof(double), err);
    if (!counts->first || !counts->table_size || !counts->totals)
        return SOTTO_ERROR_MEMORY;
    for (size_t c = 0; c < columns; c++) {
        counts->first[c] = cells;
        cells += counts->table_size[c] = model->labels * model->columns[c].slots;
    }
    counts->counts = sotto_arena_take(arena, cells, sizeof(double), err);
    counts->slots = sotto_arena_take(arena, cells, sizeof(double), err);
    counts->scratch = sotto_arena_take(arena, (size_t)UINT16_MAX + 1, sizeof(double), err);
    return counts->counts && counts->slots && counts->scratch ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

sotto_status marginals_columns_learn(marginals_counts *counts, marginals *model,
                                     const sotto_release_door *door, size_t number, sotto_arena *arena,
                                     sotto_error *err)
{
    sotto_status status = take(counts, model, arena, err);
    bool *is_rare =
        status == SOTTO_OK ? sotto_arena_take(arena, (size_t)UINT16_MAX + 1, sizeof *is_rare, err) : NULL;
    if (!is_rare)
        return SOTTO_ERROR_MEMORY;
    const sotto_counts_query query = {.tables = model->column_count,
                                      .table_size = counts->table_size,
                                      .cell = column_cell,
                                      .context = model};
    status = sotto_release_counts(door, number, &query, counts->counts, err);
    if (status != SOTTO_OK)
        return status;
    counts->deviation = sotto_release_deviation(door, number);
    sotto_label_totals(counts->counts, counts->table_size, model->column_count, model->labels,
                       counts->totals);
    group(model, counts, is_rare);
    fit_slots(model, counts);
    return SOTTO_OK;
}

/* ---- what is released of them ---- */

void marginals_set_shares(float *to, const double *from, size_t stride, size_t count, const double *otherwise)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += from[i * stride];
    for (size_t i = 0; i < count; i++)
        to[i] = (float)(sum > 0.0 ? from[i * stride] / sum : otherwise ? otherwise[i] : 1.0);
}

void marginals_columns_set_rare(marginals *model, const marginals_counts *counts)
{
    for (size_t c = 0; c < model->column_count; c++) {
        const marginals_column *column = &model->columns[c];
        for (size_t k = 0; k < model->labels; k++) {
            for (size_t i = 0; i < column->rare_count; i++)
                counts->scratch[i] = counts->slots[counts->first[c] + k * column->slots + column->rare[i]];
            marginals_set_shares(model->released + column->rare_chances + k * column->rare_count,
                                 counts->scratch, 1, column->rare_count, NULL);
        }
    }
}
