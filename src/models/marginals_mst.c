/* SPDX-License-Identifier: GPL-3.0-or-later */

/* MST: the three releases, and what is made of each. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/marginals.h"

/* By number; where there are no picks to make, the pairs come second. */
enum { ONE_WAY, PICKS, TWO_WAY };

/* Of ρ, by measurement on Adult. Public constants: they depend on no table. */
static const double shares[] = {[ONE_WAY] = 0.5, [PICKS] = 0.05, [TWO_WAY] = 0.45};

/* ---- what is wanted ---- */

static size_t two_way(const marginals *model)
{
    return model->column_count > 2 ? TWO_WAY : PICKS;
}

/* The most cells that tables of `count` pairs can have: each edge of a tree hangs one column on another. */
static size_t most_cells(const marginals *model)
{
    size_t largest = 0, sum = 0;
    for (size_t c = 0; c < model->column_count; c++) {
        largest = model->columns[c].slots > largest ? model->columns[c].slots : largest;
        sum += model->columns[c].slots;
    }
    return model->labels * sum * largest;
}

static sotto_model_release count_edges(const marginals *model)
{
    return (sotto_model_release){
        .label = "pairs",
        .what =
            model->target != SOTTO_NONE
                ? "how many rows fall into each pair of slots of the pairs that were picked, for each value of the "
                  "target column"
                : "how many rows fall into each pair of slots of the pairs that were picked",
        .kind = SOTTO_RELEASE_COUNTS,
        .share = shares[TWO_WAY],
        .uses = 1,
        .tables = model->column_count - 1,
        .cells = most_cells(model)};
}

size_t marginals_mst_releases(const marginals *model, sotto_model_release *releases)
{
    size_t count = 0;
    double all = 0.0;
    releases[count++] = marginals_columns_release(model, shares[ONE_WAY]);
    if (model->column_count > 2) /* of two columns there is one tree */
        releases[count++] = (sotto_model_release){
            .label = "pairs picked",
            .what =
                "which pairs of columns depend on each other most, judged by their counts and by what the columns' "
                "own counts let one guess: as many pairs as make a tree",
            .kind = SOTTO_RELEASE_PICKS,
            .share = shares[PICKS],
            .uses = model->column_count - 1};
    if (model->column_count > 1)
        releases[count++] = count_edges(model);
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
    double *means; /* of groups, [column][labels, groups], at `one.first`; fitted sums in the end */
    double *precision;
    size_t (*edges)[2]; /* [columns - 1] */
    size_t *table_size; /* [columns]: of a release */
    double *pairs;      /* the edges' tables, one after the other */
    double *scratch;
    size_t (*candidates)[2];
    size_t *component; /* [columns]: the same number for those that picks join */
    size_t *joined;    /* how many picks `component` knows */
} learning;

/* The cell of a pair of columns: label, group of the one, group of the other. */
static size_t pair_cell(const marginals *model, uint32_t unit, const size_t pair[2])
{
    const marginals_column *a = &model->columns[pair[0]], *b = &model->columns[pair[1]];
    const size_t i = a->group_of[sotto_encoded_slot(model->data, unit, a->block)];
    const size_t j = b->group_of[sotto_encoded_slot(model->data, unit, b->block)];
    return (marginals_label_of(model, unit) * a->groups + i) * b->groups + j;
}

static size_t pair_cells(const marginals *model, const size_t pair[2])
{
    return model->labels * model->columns[pair[0]].groups * model->columns[pair[1]].groups;
}

static size_t edge_cell(const void *context, uint32_t unit, size_t table)
{
    const learning *l = context;
    return pair_cell(l->model, unit, l->edges[table]);
}

/* ---- columns ---- */

/* The groups' sums as one-way counts alone tell them. */
static void learn_columns(learning *l)
{
    const marginals *model = l->model;
    const double variance = l->one.deviation * l->one.deviation;
    for (size_t c = 0; c < model->column_count; c++) {
        const marginals_column *column = &model->columns[c];
        for (size_t k = 0; k < model->labels; k++) {
            const double *counts = l->one.counts + l->one.first[c] + k * column->slots;
            double *means = l->means + l->one.first[c] + k * column->groups;
            double *precision = l->precision + l->one.first[c] + k * column->groups;
            for (size_t g = 0; g < column->groups; g++)
                means[g] = precision[g] = 0.0;
            for (size_t s = 0; s < column->slots; s++)
                means[column->group_of[s]] += counts[s];
            for (size_t g = 0; g < column->groups; g++) {
                const bool joined = column->rare_count > 0 && g + 1 == column->groups;
                precision[g] = 1.0 / (variance * (joined ? (double)column->rare_count : 1.0));
            }
        }
    }
}

/* ---- the tree ---- */

static size_t candidate_cells(const void *context, size_t candidate)
{
    const learning *l = context;
    return pair_cells(l->model, l->candidates[candidate]);
}

static size_t candidate_cell(const void *context, uint32_t unit, size_t candidate)
{
    const learning *l = context;
    return pair_cell(l->model, unit, l->candidates[candidate]);
}

/* Both columns independent given the label, as far as their own counts tell. */
static void guess(const void *context, size_t candidate, int64_t *counts)
{
    const learning *l = context;
    const marginals *model = l->model;
    const size_t a = l->candidates[candidate][0], b = l->candidates[candidate][1];
    const marginals_column *one = &model->columns[a], *other = &model->columns[b];
    const size_t cells = pair_cells(model, l->candidates[candidate]);
    memset(l->scratch, 0, cells * sizeof *l->scratch);
    for (size_t k = 0; k < model->labels; k++)
        for (size_t i = 0; i < one->slots; i++)
            for (size_t j = 0; j < other->slots; j++) {
                const double product = l->one.slots[l->one.first[a] + k * one->slots + i] *
                                       l->one.slots[l->one.first[b] + k * other->slots + j] /
                                       l->one.totals[k];
                l->scratch[(k * one->groups + one->group_of[i]) * other->groups + other->group_of[j]] +=
                    product;
            }
    for (size_t i = 0; i < cells; i++)
        counts[i] = (int64_t)llround(l->scratch[i]);
}

/* Would the candidate close a circle with the picks so far? Of each column the component is kept. */
static bool is_open(const void *context, size_t candidate, const size_t *picked, size_t count)
{
    const learning *l = context;
    for (; *l->joined < count; ++*l->joined) {
        const size_t *pair = l->candidates[picked[*l->joined]];
        const size_t from = l->component[pair[0]], to = l->component[pair[1]];
        for (size_t c = 0; c < l->model->column_count; c++)
            if (l->component[c] == from)
                l->component[c] = to;
    }
    return l->component[l->candidates[candidate][0]] != l->component[l->candidates[candidate][1]];
}

static sotto_status pick_tree(learning *l, const sotto_release_door *door, sotto_error *err)
{
    const size_t columns = l->model->column_count;
    size_t joined = 0;
    if (columns == 2)
        l->edges[0][0] = 0, l->edges[0][1] = 1;
    if (columns <= 2)
        return SOTTO_OK;
    size_t *picked = calloc(2 * columns, sizeof *picked);
    l->candidates = calloc(columns * (columns - 1) / 2, sizeof *l->candidates);
    sotto_status status = picked && l->candidates ? SOTTO_OK
                                                  : sotto_error_set(err, SOTTO_ERROR_MEMORY,
                                                                    "out of memory for pairs of columns");
    if (status == SOTTO_OK) {
        size_t count = 0;
        for (size_t a = 0; a < columns; a++)
            for (size_t b = a + 1; b < columns; b++, count++)
                l->candidates[count][0] = a, l->candidates[count][1] = b;
        l->component = picked + columns;
        l->joined = &joined;
        for (size_t c = 0; c < columns; c++)
            l->component[c] = c;
        const sotto_picks_query query = {.candidates = count,
                                         .cells = candidate_cells,
                                         .cell = candidate_cell,
                                         .guess = guess,
                                         .open = is_open,
                                         .context = l};
        status = sotto_release_picks(door, PICKS, &query, columns - 1, picked, err);
    }
    for (size_t e = 0; e + 1 < columns && status == SOTTO_OK; e++)
        memcpy(l->edges[e], l->candidates[picked[e]], sizeof l->edges[e]);
    free(l->candidates);
    free(picked);
    return status;
}

/* ---- pairs ---- */

static sotto_status count_pairs(learning *l, const sotto_release_door *door, sotto_error *err)
{
    const size_t edges = l->model->column_count - 1;
    size_t cells = 0;
    for (size_t e = 0; e < edges; e++)
        cells += l->table_size[e] = pair_cells(l->model, l->edges[e]);
    l->pairs = calloc(cells + 1, sizeof *l->pairs);
    if (!l->pairs)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for noisy counts of pairs");
    const sotto_counts_query query = {
        .tables = edges, .table_size = l->table_size, .cell = edge_cell, .context = l};
    return edges > 0 ? sotto_release_counts(door, two_way(l->model), &query, l->pairs, err) : SOTTO_OK;
}

/* What the sums of a pair's table tell of its columns: as many noises as cells are in a sum. */
static void learn_sums(learning *l, double variance)
{
    const marginals *model = l->model;
    const double *cell = l->pairs;
    for (size_t e = 0; e + 1 < model->column_count; e++) {
        const size_t a = l->edges[e][0], b = l->edges[e][1];
        const size_t rows = model->columns[a].groups, columns = model->columns[b].groups;
        for (size_t k = 0; k < model->labels; k++, cell += rows * columns)
            for (size_t side = 0; side < 2; side++) {
                const size_t own = side ? columns : rows, other = side ? rows : columns;
                const size_t first = l->one.first[side ? b : a] + k * own;
                for (size_t g = 0; g < own; g++) {
                    double sum = 0.0;
                    for (size_t h = 0; h < other; h++)
                        sum += side ? cell[h * columns + g] : cell[g * columns + h];
                    marginals_combine(&l->means[first + g], &l->precision[first + g], sum,
                                      variance * (double)other);
                }
            }
    }
    for (size_t c = 0; c < model->column_count; c++)
        for (size_t k = 0; k < model->labels; k++)
            sotto_simplex_project(l->means + l->one.first[c] + k * model->columns[c].groups,
                                  model->columns[c].groups, l->one.totals[k], l->scratch);
}

static void fit_pairs(learning *l, double variance)
{
    const marginals *model = l->model;
    double *cell = l->pairs;
    for (size_t e = 0; e + 1 < model->column_count; e++) {
        const size_t a = l->edges[e][0], b = l->edges[e][1];
        const size_t rows = model->columns[a].groups, columns = model->columns[b].groups;
        for (size_t k = 0; k < model->labels; k++, cell += rows * columns) {
            const double *row_sums = l->means + l->one.first[a] + k * rows;
            const double *column_sums = l->means + l->one.first[b] + k * columns;
            marginals_shrink(cell, rows, columns, row_sums, column_sums, variance);
            marginals_fit(cell, rows, columns, row_sums, column_sums, l->scratch);
        }
    }
}

/* ---- what is released ---- */

/* The chances of one column's groups under one label, for each group of its parent. */
static void set_chances(learning *l, size_t c, size_t k, const double *table, bool transposed)
{
    marginals *model = l->model;
    const marginals_column *column = &model->columns[c];
    const double *own = l->means + l->one.first[c] + k * column->groups;
    const size_t above = column->parent == SOTTO_NONE ? 1 : model->columns[column->parent].groups;
    for (size_t i = 0; i < above; i++) {
        float *to = model->released + column->chances + (k * above + i) * column->groups;
        if (table)
            marginals_set_shares(to, table + (transposed ? i : i * column->groups), transposed ? above : 1,
                                 column->groups, own);
        else
            marginals_set_shares(to, own, 1, column->groups, NULL);
    }
}

static void set_released(learning *l)
{
    marginals *model = l->model;
    const double *cell = l->pairs;
    double all = 0.0;
    for (size_t k = 0; k < model->labels; k++)
        all += l->one.totals[k];
    for (size_t k = 0; k < model->labels; k++)
        model->label_frequency[k] = l->one.totals[k] / all;
    for (size_t k = 0; k < model->labels; k++)
        set_chances(l, model->order[0], k, NULL, false);
    for (size_t e = 0; e + 1 < model->column_count; e++) {
        const size_t a = l->edges[e][0], b = l->edges[e][1];
        const bool transposed = model->columns[a].parent == b;
        for (size_t k = 0; k < model->labels; k++) {
            set_chances(l, transposed ? a : b, k, cell, transposed);
            cell += model->columns[a].groups * model->columns[b].groups;
        }
    }
    marginals_columns_set_rare(model, &l->one);
}

/* ---- all of it ---- */

static sotto_status take_learning(learning *l, sotto_arena *arena, sotto_error *err)
{
    const marginals *model = l->model;
    const size_t columns = model->column_count;
    size_t cells = 0, largest = 0;
    for (size_t c = 0; c < columns; c++) {
        const size_t slots = model->columns[c].slots;
        cells += model->labels * slots;
        largest = slots > largest ? slots : largest;
    }
    l->means = sotto_arena_take(arena, cells, sizeof(double), err);
    l->precision = sotto_arena_take(arena, cells, sizeof(double), err);
    l->edges = sotto_arena_take(arena, columns, sizeof *l->edges, err);
    l->table_size = sotto_arena_take(arena, columns, sizeof(size_t), err);
    l->scratch =
        sotto_arena_take(arena, (model->labels + 3) * (largest + 1), (largest + 1) * sizeof(double), err);
    const bool complete = l->means && l->precision && l->edges && l->table_size && l->scratch;
    return complete ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

static sotto_status learn_from(learning *l, const sotto_release_door *door, sotto_arena *arena,
                               sotto_error *err)
{
    marginals *model = l->model;
    const size_t columns = model->column_count;
    sotto_status status = take_learning(l, arena, err);
    if (status == SOTTO_OK)
        status = marginals_columns_learn(&l->one, model, door, ONE_WAY, arena, err);
    if (status != SOTTO_OK)
        return status;
    learn_columns(l);
    status = pick_tree(l, door, err);
    if (status == SOTTO_OK)
        status = count_pairs(l, door, err);
    if (status != SOTTO_OK)
        return status;
    const double deviation = columns > 1 ? sotto_release_deviation(door, two_way(model)) : 1.0;
    learn_sums(l, deviation * deviation);
    fit_pairs(l, deviation * deviation);
    if (!marginals_root(model, (const size_t(*)[2])l->edges))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "the pairs that were picked are no tree");
    status = marginals_take(model, err);
    if (status == SOTTO_OK) {
        set_released(l);
        (void)marginals_add_up(model);
    }
    return status;
}

sotto_status marginals_mst_learn(marginals *model, const sotto_release_door *door, sotto_error *err)
{
    learning l = {.model = model};
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    status = learn_from(&l, door, arena, err);
    free(l.pairs);
    sotto_arena_destroy(arena);
    return status;
}
