/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Workspaces: all the memory of one chunk's forward and backward pass, taken once. */

#include "network/plan.h"

#include <limits.h>
#include <string.h>

/* ---------------------------------------------------------------------- memory */

/* [rows, width] floats, zeroed; NULL where memory is short. */
static float *take_matrix(sotto_workspace *w, size_t width, sotto_error *err)
{
    return sotto_arena_take(w->arena, w->capacity * w->views, width * sizeof(float), err);
}

/* The tables that point to the matrices, and everything that has no layer. */
static sotto_status take_tables(sotto_workspace *w, sotto_error *err)
{
    const sotto_network *network = w->network;
    const size_t count = network->count, rows = w->capacity * w->views;
    w->values = sotto_arena_take(w->arena, count + 1, sizeof *w->values, err);
    w->gradients = sotto_arena_take(w->arena, count + 1, sizeof *w->gradients, err);
    w->kept = sotto_arena_take(w->arena, count + 1, sizeof *w->kept, err);
    w->inverse = sotto_arena_take(w->arena, count + 1, sizeof *w->inverse, err);
    w->classes = sotto_arena_take(w->arena, rows, sizeof *w->classes, err);
    w->seeds = sotto_arena_take(w->arena, rows, sizeof *w->seeds, err);
    w->zeros = sotto_arena_take(w->arena, network->widest, sizeof *w->zeros, err);
    w->vector = sotto_arena_take(w->arena, network->most_vector, sizeof *w->vector, err);
    w->matrix = sotto_arena_take(w->arena, network->most_matrix, sizeof *w->matrix, err);
    w->weights = sotto_arena_take(w->arena, w->capacity, sizeof *w->weights, err);
    w->row_weights = sotto_arena_take(w->arena, rows, sizeof *w->row_weights, err);
    const size_t norms = network->blocks * w->capacity;
    w->left_norms = sotto_arena_take(w->arena, norms, sizeof *w->left_norms, err);
    w->right_norms = sotto_arena_take(w->arena, norms, sizeof *w->right_norms, err);
    const bool whole = w->values && w->gradients && w->kept && w->inverse && w->classes && w->seeds &&
                       w->zeros && w->vector && w->matrix && w->weights && w->row_weights && w->left_norms &&
                       w->right_norms;
    return whole ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

sotto_status take_pairs(sotto_workspace *w, sotto_error *err)
{
    const sotto_network *network = w->network;
    size_t left = 0, right = 0, most = 1, product = 0;
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        if (op->groups == 0)
            continue;
        const size_t count = most_pairs(op, w);
        const size_t rows = count > w->capacity * w->views ? count : w->capacity * w->views;
        const size_t needs = sotto_tensor_rows_scratch(rows, op->left, op->right);
        left = count * op->left > left ? count * op->left : left;
        right = count * op->right > right ? count * op->right : right;
        most = count > most ? count : most;
        product = needs > product ? needs : product;
    }
    w->left = sotto_arena_take(w->arena, left, sizeof *w->left, err);
    w->right = sotto_arena_take(w->arena, right, sizeof *w->right, err);
    w->pair_weights = sotto_arena_take(w->arena, most, sizeof *w->pair_weights, err);
    w->product = sotto_arena_take(w->arena, product, sizeof *w->product, err);
    return w->left && w->right && w->pair_weights && w->product ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

/* Values upwards, gradients downwards: each in its neighbour's place where the network allows it. */
static sotto_status take_matrices(sotto_workspace *w, sotto_error *err)
{
    const sotto_network *network = w->network;
    w->values[0] = take_matrix(w, network->inputs, err);
    w->gradients[network->count] = take_matrix(w, network->outputs, err);
    if (!w->values[0] || !w->gradients[network->count])
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        const size_t inverses = op->class == &group_norm_class ? op->layer.groups : 1;
        w->values[i + 1] = op->in_place ? w->values[i] : take_matrix(w, op->outputs, err);
        w->kept[i] = op->class->keeps ? take_matrix(w, op->outputs, err) : NULL;
        w->inverse[i] = op->class->keeps ? take_matrix(w, inverses, err) : NULL;
        if (!w->values[i + 1] || (op->class->keeps && (!w->kept[i] || !w->inverse[i])))
            return SOTTO_ERROR_MEMORY;
    }
    for (size_t i = network->count; i-- > 0;) {
        const operation *op = &network->operations[i];
        w->gradients[i] = op->gradient_in_place ? w->gradients[i + 1] : take_matrix(w, op->inputs, err);
        if (!w->gradients[i])
            return SOTTO_ERROR_MEMORY;
    }
    return SOTTO_OK;
}

sotto_status sotto_workspace_create(sotto_workspace **workspace, const sotto_network *network,
                                    size_t examples, size_t views, sotto_error *err)
{
    sotto_arena *arena = NULL;
    size_t rows = 0;
    *workspace = NULL;
    if (__builtin_mul_overflow(examples, views, &rows) || rows == 0 || rows > INT_MAX)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "workspace: %zu examples of %zu rows, but a physical chunk has between 1 and "
                               "%d rows",
                               examples, views, INT_MAX);
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_workspace *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        status = SOTTO_ERROR_MEMORY;
        goto done;
    }
    *made = (sotto_workspace){.arena = arena,
                              .network = network,
                              .capacity = examples,
                              .views = views,
                              .examples = examples,
                              .rows = rows};
    status = take_tables(made, err);
    if (status == SOTTO_OK)
        status = take_pairs(made, err);
    if (status == SOTTO_OK)
        status = take_matrices(made, err);
    if (status == SOTTO_OK)
        *workspace = made;
done:
    if (status != SOTTO_OK)
        sotto_arena_destroy(arena);
    return status;
}

void sotto_workspace_destroy(sotto_workspace *workspace)
{
    if (workspace)
        sotto_arena_destroy(workspace->arena);
}

/* ------------------------------------------------------------------------ input */

size_t sotto_workspace_rows(const sotto_workspace *workspace)
{
    return workspace->capacity * workspace->views;
}

size_t sotto_workspace_views(const sotto_workspace *workspace)
{
    return workspace->views;
}

void sotto_workspace_use(sotto_workspace *workspace, size_t examples)
{
    workspace->examples = examples < workspace->capacity ? examples : workspace->capacity;
    workspace->rows = workspace->examples * workspace->views;
    if (workspace->tangents)
        sotto_workspace_use(workspace->tangents, examples);
}

float *sotto_workspace_input(sotto_workspace *workspace)
{
    return workspace->values[0];
}

/* Room for `entries` in each row, and one more behind a by-class operation. */
static bool make_room(sotto_workspace *w, size_t entries)
{
    const size_t rows = w->capacity * w->views;
    if (w->entries[1].columns && entries <= w->entry_room)
        return true;
    w->entry_room = 0;
    for (size_t i = 0; i < 2; i++) {
        entry_list *list = &w->entries[i];
        list->columns = sotto_arena_take(w->arena, rows, (entries + i) * sizeof *list->columns, NULL);
        list->values = sotto_arena_take(w->arena, rows, (entries + i) * sizeof *list->values, NULL);
        if (!list->columns || !list->values)
            return false;
    }
    w->entry_room = entries;
    return true;
}

static sotto_status check_entries(const sotto_workspace *w, size_t rows, size_t entries,
                                  const uint32_t *columns, sotto_error *err)
{
    if (rows > w->capacity * w->views || entries > w->network->inputs)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "workspace: %zu rows of %zu entries, but there are %zu rows of %zu columns",
                               rows, entries, w->capacity * w->views, w->network->inputs);
    for (size_t r = 0; r < rows; r++)
        for (size_t e = 0; e < entries; e++) {
            const uint32_t *row = columns + r * entries;
            if (row[e] >= w->network->inputs || (e > 0 && row[e] <= row[e - 1]))
                return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                       "workspace: entries of a row must be in ascending columns below %zu",
                                       w->network->inputs);
        }
    return SOTTO_OK;
}

/* For a network that cannot gather. */
static void write_entries(sotto_workspace *w, size_t rows, size_t entries, const uint32_t *columns,
                          const float *values)
{
    const size_t inputs = w->network->inputs;
    memset(w->values[0], 0, rows * inputs * sizeof(float));
    for (size_t r = 0; r < rows; r++)
        for (size_t e = 0; e < entries; e++)
            w->values[0][r * inputs + columns[r * entries + e]] = values[r * entries + e];
}

sotto_status sotto_workspace_entries(sotto_workspace *workspace, size_t rows, size_t entries,
                                     const uint32_t *columns, const float *values, sotto_error *err)
{
    sotto_workspace *w = workspace;
    sotto_status status = check_entries(w, rows, entries, columns, err);
    w->entry_rows = 0;
    if (status != SOTTO_OK)
        return status;
    if (w->network->count == 0 || !w->network->operations[0].takes_entries || w->tangents ||
        !make_room(w, entries)) {
        write_entries(w, rows, entries, columns, values);
        return SOTTO_OK;
    }
    if (rows > 0 && entries > 0) {
        memcpy(w->entries[0].columns, columns, rows * entries * sizeof *columns);
        memcpy(w->entries[0].values, values, rows * entries * sizeof *values);
    }
    w->entries[0].count = entries;
    w->entry_rows = rows;
    return SOTTO_OK;
}

uint16_t *sotto_workspace_classes(sotto_workspace *workspace)
{
    return workspace->classes;
}

uint64_t *sotto_workspace_seeds(sotto_workspace *workspace)
{
    return workspace->seeds;
}

void sotto_workspace_train(sotto_workspace *workspace, bool training)
{
    workspace->training = training;
}

/* --------------------------------------------------------------------- gradients */

float *sotto_workspace_output_gradient(sotto_workspace *workspace)
{
    return workspace->gradients[workspace->network->count];
}

const float *sotto_workspace_input_gradient(const sotto_workspace *workspace)
{
    return workspace->gradients[0];
}
