/* SPDX-License-Identifier: GPL-3.0-or-later */

/* AIM: rounds of picking what the graphical model says worst, counting it, and fitting the model anew. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/marginals.h"

/* By number; with fewer than three columns there is nothing to pick, and counts of pairs come second. */
enum { ONE_WAY, PICKS, TABLES };

/* Of ρ, by measurement on Adult. Public constants: they depend on no table. */
static const double shares[] = {[ONE_WAY] = 0.35, [PICKS] = 0.05, [TABLES] = 0.6};

/* ---- what is wanted ---- */

/* One and a half times as many as there are columns, or all pairs. (AIM begins with sixteen times as many,
 * and halves σ where it sees no gain; here no charge depends on what was seen.) */
static size_t rounds(const marginals *model)
{
    const size_t columns = model->column_count, pairs = columns * (columns - 1) / 2;
    const size_t most = columns + columns / 2;
    return pairs < most ? pairs : most;
}

/* Of the release of tables. */
static size_t tables_number(const marginals *model)
{
    return model->column_count > 2 ? TABLES : PICKS;
}

size_t marginals_aim_releases(const marginals *model, sotto_model_release *releases)
{
    size_t count = 0;
    double all = 0.0;
    releases[count++] = marginals_columns_release(model, shares[ONE_WAY]);
    if (model->column_count > 2)
        releases[count++] = (sotto_model_release){
            .label = "tables picked",
            .what =
                "which pair or triple of columns the model so far describes worst, judged by its counts: one a "
                "round",
            .kind = SOTTO_RELEASE_PICKS,
            .share = shares[PICKS],
            .uses = rounds(model)};
    if (model->column_count > 1)
        releases[count++] = (sotto_model_release){
            .label = "tables",
            .what =
                model->target != SOTTO_NONE
                    ? "how many rows fall into each combination of slots of the columns that were picked, for "
                      "each value of the target column: one table a round"
                    : "how many rows fall into each combination of slots of the columns that were picked: one "
                      "table a round",
            .kind = SOTTO_RELEASE_COUNTS,
            .share = shares[TABLES],
            .uses = rounds(model),
            .tables = 1,
            .cells = MARGINALS_MOST_CELLS};
    for (size_t i = 0; i < count; i++)
        all += releases[i].share;
    for (size_t i = 0; i < count; i++)
        releases[i].share /= all;
    return count;
}

/* ---- while learning ---- */

typedef struct learning {
    marginals *model;
    marginals_counts one;
    marginals_field field;
    marginals_set *candidates, *tables;
    size_t candidate_count, candidate_room, table_count;
    double deviation; /* of the count of a table to be picked */
    double *cells;    /* [MARGINALS_MOST_CELLS] */
    size_t round;
    marginals_set picked;
    sotto_status failed; /* what a guess could not be made for */
} learning;

static size_t cell_of(const marginals *model, uint32_t unit, marginals_set columns)
{
    size_t cell = marginals_label_of(model, unit);
    for (marginals_set left = columns; left; left &= left - 1) {
        const marginals_column *column = &model->columns[__builtin_ctzll(left)];
        cell = cell * column->groups + column->group_of[sotto_encoded_slot(model->data, unit, column->block)];
    }
    return cell;
}

static size_t picked_cell(const void *context, uint32_t unit, size_t table)
{
    const learning *l = context;
    (void)table;
    return cell_of(l->model, unit, l->picked);
}

static size_t candidate_cells(const void *context, size_t candidate)
{
    const learning *l = context;
    return marginals_cells(&l->field.domain, l->candidates[candidate]);
}

static size_t candidate_cell(const void *context, uint32_t unit, size_t candidate)
{
    const learning *l = context;
    return cell_of(l->model, unit, l->candidates[candidate]);
}

static void guess(const void *context, size_t candidate, int64_t *counts)
{
    learning *l = (learning *)context;
    if (marginals_belief_table(&l->field.belief, l->candidates[candidate], l->cells, NULL) != SOTTO_OK)
        l->failed = SOTTO_ERROR_MEMORY;
    const size_t cells = candidate_cells(context, candidate);
    for (size_t i = 0; i < cells; i++)
        counts[i] = (int64_t)llround(l->cells[i]);
}

/* A quarter of what noise alone would leave of a table's error, √(2/π)·σ a cell: there is less to be won the
 * larger it is. (AIM takes off all of it; but here what is noise is told from what is not before it reaches
 * the model.) */
static int64_t handicap(const void *context, size_t candidate)
{
    const learning *l = context;
    return (int64_t)llround(0.25 * sqrt(2.0 / M_PI) * l->deviation *
                            (double)candidate_cells(context, candidate));
}

static bool is_open(const void *context, size_t candidate, const size_t *picked, size_t count)
{
    (void)context, (void)candidate, (void)picked, (void)count;
    return true;
}

/* ---- candidates ---- */

/* A table may be picked where the cliques that the model has with it stay within what the round allows, and a
 * guess of it is not too much work. */
static void consider(learning *l, marginals_set columns)
{
    const marginals_belief *belief = &l->field.belief;
    const double share = (double)(l->round + 1) / (double)rounds(l->model);
    if (marginals_junction_find(&belief->junction, columns) == belief->junction.count) {
        l->tables[l->table_count] = columns;
        const size_t cells = marginals_junction_cells(&l->field.domain, l->tables, l->table_count + 1);
        if ((double)cells > share * MARGINALS_MOST_CELLS ||
            marginals_belief_work(belief, columns) > MARGINALS_MOST_WORK)
            return;
    }
    l->candidates[l->candidate_count++] = columns;
}

static bool is_in_a_clique(const learning *l, marginals_set columns)
{
    const marginals_junction *junction = &l->field.belief.junction;
    return marginals_junction_find(junction, columns) < junction->count;
}

/* Pairs, and triples that lie within a clique already: whose pairs were picked, or follow from what was.
 * Where nothing may be picked, columns are counted once more. */
static void list_candidates(learning *l)
{
    const size_t columns = l->model->column_count;
    l->candidate_count = 0;
    for (size_t a = 0; a < columns; a++)
        for (size_t b = a + 1; b < columns; b++) {
            const marginals_set pair = (marginals_set)1 << a | (marginals_set)1 << b;
            consider(l, pair);
            for (size_t c = b + 1; c < columns; c++)
                if (is_in_a_clique(l, pair | (marginals_set)1 << c))
                    consider(l, pair | (marginals_set)1 << c);
        }
    const bool none = l->candidate_count == 0;
    for (size_t a = 0; a < columns && none; a++)
        l->candidates[l->candidate_count++] = (marginals_set)1 << a;
}

/* ---- rounds ---- */

static sotto_status pick(learning *l, const sotto_release_door *door, sotto_error *err)
{
    size_t picked;
    list_candidates(l);
    const sotto_picks_query query = {.candidates = l->candidate_count,
                                     .cells = candidate_cells,
                                     .cell = candidate_cell,
                                     .guess = guess,
                                     .handicap = handicap,
                                     .open = is_open,
                                     .context = l};
    const sotto_status status = sotto_release_picks(door, PICKS, &query, 1, &picked, err);
    if (status != SOTTO_OK)
        return status;
    if (l->failed != SOTTO_OK)
        return sotto_error_set(err, l->failed, "out of memory for guesses of tables");
    l->picked = l->candidates[picked];
    return SOTTO_OK;
}

static bool is_new(const learning *l)
{
    for (size_t t = 0; t < l->table_count; t++)
        if (l->tables[t] == l->picked)
            return false;
    return true;
}

static sotto_status count_table(learning *l, const sotto_release_door *door, sotto_error *err)
{
    const size_t cells = marginals_cells(&l->field.domain, l->picked);
    const sotto_counts_query query = {.tables = 1, .table_size = &cells, .cell = picked_cell, .context = l};
    const sotto_status status = sotto_release_counts(door, tables_number(l->model), &query, l->cells, err);
    if (is_new(l))
        l->tables[l->table_count++] = l->picked;
    return status == SOTTO_OK
               ? marginals_field_add(&l->field, l->picked, l->cells, l->deviation * l->deviation, err)
               : status;
}

/* Each round's fit is rough: the next one goes on from it. */
static sotto_status make_rounds(learning *l, const sotto_release_door *door, sotto_error *err)
{
    const size_t columns = l->model->column_count, all = rounds(l->model);
    sotto_status status = SOTTO_OK;
    l->picked = marginals_cells(&l->field.domain, 3) <= MARGINALS_MOST_CELLS ? 3 : 1; /* of two columns */
    for (; l->round < all && status == SOTTO_OK; l->round++) {
        if (columns > 2)
            status = pick(l, door, err);
        if (status == SOTTO_OK)
            status = count_table(l, door, err);
        if (status == SOTTO_OK)
            status = marginals_field_fit(&l->field, 1.0, 100, err);
    }
    return status == SOTTO_OK ? marginals_field_fit(&l->field, 0.01, 1000, err) : status;
}

/* How many rows each label has: as precise as all columns' tables make it. */
static sotto_status add_labels(learning *l, sotto_error *err)
{
    const marginals *model = l->model;
    double weight = 0.0;
    for (size_t c = 0; c < model->column_count; c++)
        weight += 1.0 / (double)model->columns[c].slots;
    const sotto_status status =
        marginals_field_add(&l->field, 0, l->one.totals, l->one.deviation * l->one.deviation / weight, err);
    return status == SOTTO_OK ? marginals_field_fit(&l->field, 0.01, 100, err) : status;
}

/* The counts of columns' groups. */
static sotto_status add_columns(learning *l, sotto_error *err)
{
    const marginals *model = l->model;
    sotto_status status = add_labels(l, err);
    for (size_t c = 0; c < model->column_count && status == SOTTO_OK; c++) {
        const marginals_column *column = &model->columns[c];
        memset(l->cells, 0, model->labels * column->groups * sizeof *l->cells);
        for (size_t i = 0; i < model->labels * column->slots; i++)
            l->cells[i / column->slots * column->groups + column->group_of[i % column->slots]] +=
                l->one.counts[l->one.first[c] + i];
        status = marginals_field_add(&l->field, (marginals_set)1 << c, l->cells,
                                     l->one.deviation * l->one.deviation, err);
        l->tables[l->table_count++] = (marginals_set)1 << c;
    }
    return status == SOTTO_OK ? marginals_field_fit(&l->field, 0.01, 200, err) : status;
}

static sotto_status set_released(learning *l, sotto_error *err)
{
    marginals *model = l->model;
    const marginals_belief *belief = &l->field.belief;
    double all = 0.0;
    if (!marginals_cliques_set(model, belief->junction.clique, belief->junction.count))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "the cliques lack a column");
    const sotto_status status = marginals_take(model, err);
    if (status != SOTTO_OK)
        return status;
    marginals_belief_sum(belief, 0, 0, model->label_frequency);
    for (size_t k = 0; k < model->labels; k++)
        all += model->label_frequency[k];
    for (size_t k = 0; k < model->labels; k++)
        model->label_frequency[k] /= all; /* none is above 1, if by a rounding */
    for (size_t c = 0; c < model->clique_count; c++)
        marginals_cliques_release(model, c, belief->clique[c]);
    marginals_columns_set_rare(model, &l->one);
    (void)marginals_add_up(model);
    return SOTTO_OK;
}

static sotto_status learn_from(learning *l, const sotto_release_door *door, sotto_arena *arena,
                               sotto_error *err)
{
    marginals *model = l->model;
    const size_t columns = model->column_count;
    double total = 0.0;
    l->cells = sotto_arena_take(arena, MARGINALS_MOST_CELLS, sizeof *l->cells, err);
    l->tables = sotto_arena_take(arena, columns + rounds(model) + 1, sizeof *l->tables, err);
    l->candidates =
        sotto_arena_take(arena, columns * (columns * columns + 5) / 6 + 1, sizeof *l->candidates, err);
    if (!l->cells || !l->tables || !l->candidates)
        return SOTTO_ERROR_MEMORY;
    sotto_status status = marginals_columns_learn(&l->one, model, door, ONE_WAY, arena, err);
    if (status != SOTTO_OK)
        return status;
    for (size_t k = 0; k < model->labels; k++)
        total += l->one.totals[k];
    const marginals_domain domain = marginals_domain_of(model);
    status = marginals_field_create(&l->field, &domain, total, err);
    if (status == SOTTO_OK)
        status = add_columns(l, err);
    if (status == SOTTO_OK && columns > 1)
        l->deviation = sotto_release_deviation(door, tables_number(model));
    if (status == SOTTO_OK)
        status = make_rounds(l, door, err);
    return status == SOTTO_OK ? set_released(l, err) : status;
}

sotto_status marginals_aim_learn(marginals *model, const sotto_release_door *door, sotto_error *err)
{
    learning l = {.model = model};
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    status = learn_from(&l, door, arena, err);
    marginals_field_destroy(&l.field);
    sotto_arena_destroy(arena);
    return status;
}
