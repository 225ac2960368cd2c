/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Groups of slots, the tree over columns, and the room for the chances that are released. */
#include <math.h>

#include "models/marginals.h"

void marginals_group(marginals_column *column, const bool *is_rare)
{
    size_t rare = 0;
    for (size_t s = 0; s < column->slots; s++)
        rare += is_rare[s];
    const bool joined = rare > 1;
    column->groups = 0;
    column->rare_count = 0;
    for (size_t s = 0; s < column->slots; s++) {
        if (joined && is_rare[s]) {
            column->rare[column->rare_count++] = (uint16_t)s;
            continue;
        }
        column->slot_of[column->groups] = (uint16_t)s;
        column->group_of[s] = (uint16_t)column->groups++;
    }
    for (size_t i = 0; i < column->rare_count; i++)
        column->group_of[column->rare[i]] = (uint16_t)column->groups;
    column->groups += joined;
}

bool marginals_root(marginals *model, const size_t (*edges)[2])
{
    const size_t columns = model->column_count;
    size_t placed = 1;
    model->order[0] = 0;
    for (size_t c = 0; c < columns; c++)
        model->columns[c].parent = SOTTO_NONE;
    for (size_t at = 0; at < placed; at++)
        for (size_t e = 0; e + 1 < columns; e++) {
            const size_t from = model->order[at];
            const size_t to = edges[e][0] == from   ? edges[e][1]
                              : edges[e][1] == from ? edges[e][0]
                                                    : SOTTO_NONE;
            if (to == SOTTO_NONE || to == model->columns[from].parent)
                continue;
            if (to == 0 || to >= columns || model->columns[to].parent != SOTTO_NONE || placed == columns)
                return false;
            model->columns[to].parent = from;
            model->order[placed++] = to;
        }
    return placed == columns;
}

sotto_status marginals_take(marginals *model, sotto_error *err)
{
    size_t count = 0;
    bool fits = true;
    for (size_t c = 0; c < model->column_count; c++) {
        marginals_column *column = &model->columns[c];
        const size_t above = column->parent == SOTTO_NONE ? 1 : model->columns[column->parent].groups;
        size_t cells, rare = model->labels * column->rare_count;
        fits = fits && !__builtin_mul_overflow(model->labels * above, column->groups, &cells);
        column->chances = count;
        if (model->algorithm == MARGINALS_MST)
            fits = fits && !__builtin_add_overflow(count, cells, &count);
        column->rare_chances = count;
        fits = fits && !__builtin_add_overflow(count, rare, &count) && count < SIZE_MAX / 16;
    }
    fits = fits && (model->algorithm == MARGINALS_MST || marginals_cliques_place(model, &count));
    if (!fits || count >= SIZE_MAX / 16)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for tables of pairs");
    model->released_count = count;
    model->released = sotto_arena_take(model->arena, count, sizeof *model->released, err);
    model->cumulative = sotto_arena_take(model->arena, count, sizeof *model->cumulative, err);
    return model->released && model->cumulative ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

/* Rows of chances, [rows, width] from `first` on. */
static bool add_up_rows(marginals *model, size_t first, size_t rows, size_t width)
{
    bool sound = true;
    for (size_t r = 0; r < rows; r++, first += width) {
        double sum = 0.0;
        for (size_t i = first; i < first + width; i++) {
            sound = sound && model->released[i] >= 0.0f;
            model->cumulative[i] = sum += (double)model->released[i];
        }
        sound = sound && sum > 0.0;
    }
    return sound;
}

bool marginals_add_up(marginals *model)
{
    double sum = 0.0;
    for (size_t k = 0; k < model->labels; k++)
        model->label_cumulative[k] = sum += model->label_frequency[k];
    bool sound = sum > 0.0;
    for (size_t c = 0; c < model->column_count; c++) {
        const marginals_column *column = &model->columns[c];
        const size_t above = column->parent == SOTTO_NONE ? 1 : model->columns[column->parent].groups;
        if (model->algorithm == MARGINALS_MST)
            sound = add_up_rows(model, column->chances, model->labels * above, column->groups) && sound;
        if (column->rare_count > 0)
            sound = add_up_rows(model, column->rare_chances, model->labels, column->rare_count) && sound;
    }
    for (size_t c = 0; c < model->clique_count; c++) {
        const marginals_clique *clique = &model->cliques[c];
        sound = add_up_rows(model, clique->first, clique->rows, clique->width) && sound;
    }
    return sound;
}
