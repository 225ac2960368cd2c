/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Workspaces: all the memory of one chunk's forward and backward pass, taken once. */

#include "network/plan.h"

#include <limits.h>

/* [rows, width] floats, zeroed; NULL where memory is short. */
static float *take_matrix(sotto_workspace *workspace, size_t width, sotto_error *err)
{
    return sotto_arena_take(workspace->arena, workspace->rows, width * sizeof(float), err);
}

/* The tables that point to the matrices, and everything that has no layer. */
static sotto_status take_tables(sotto_workspace *w, sotto_error *err)
{
    const sotto_network *network = w->network;
    const size_t count = network->count;
    w->values = sotto_arena_take(w->arena, count + 1, sizeof *w->values, err);
    w->gradients = sotto_arena_take(w->arena, count + 1, sizeof *w->gradients, err);
    w->kept = sotto_arena_take(w->arena, count + 1, sizeof *w->kept, err);
    w->inverse = sotto_arena_take(w->arena, count + 1, sizeof *w->inverse, err);
    w->classes = sotto_arena_take(w->arena, w->rows, sizeof *w->classes, err);
    w->zeros = sotto_arena_take(w->arena, network->widest, sizeof *w->zeros, err);
    w->weights = sotto_arena_take(w->arena, w->rows, sizeof *w->weights, err);
    w->input_norms = sotto_arena_take(w->arena, w->rows, sizeof *w->input_norms, err);
    w->output_norms = sotto_arena_take(w->arena, w->rows, sizeof *w->output_norms, err);
    const bool whole = w->values && w->gradients && w->kept && w->inverse && w->classes && w->zeros &&
                       w->weights && w->input_norms && w->output_norms;
    return whole ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

/* Values upwards, gradients downwards: each in its neighbour's place where the network allows it. */
static sotto_status take_matrices(sotto_workspace *w, sotto_error *err)
{
    const sotto_network *network = w->network;
    size_t widest_dense = 0;
    w->values[0] = take_matrix(w, network->inputs, err);
    w->gradients[network->count] = take_matrix(w, network->outputs, err);
    if (!w->values[0] || !w->gradients[network->count])
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        const bool keeps = op->kind == SOTTO_LAYER_SILU || op->kind == SOTTO_LAYER_NORM;
        w->values[i + 1] = op->in_place ? w->values[i] : take_matrix(w, op->outputs, err);
        w->kept[i] = keeps ? take_matrix(w, op->outputs, err) : NULL;
        w->inverse[i] = op->kind == SOTTO_LAYER_NORM ? take_matrix(w, 1, err) : NULL;
        if (!w->values[i + 1] || (keeps && !w->kept[i]) || (op->kind == SOTTO_LAYER_NORM && !w->inverse[i]))
            return SOTTO_ERROR_MEMORY;
        if (op->kind == SOTTO_LAYER_DENSE && op->outputs > widest_dense)
            widest_dense = op->outputs;
    }
    for (size_t i = network->count; i-- > 0;) {
        const operation *op = &network->operations[i];
        w->gradients[i] = op->gradient_in_place ? w->gradients[i + 1] : take_matrix(w, op->inputs, err);
        if (!w->gradients[i])
            return SOTTO_ERROR_MEMORY;
    }
    w->scaled = take_matrix(w, widest_dense, err);
    return w->scaled ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

sotto_status sotto_workspace_create(sotto_workspace **workspace, const sotto_network *network, size_t rows,
                                    sotto_error *err)
{
    sotto_arena *arena = NULL;
    *workspace = NULL;
    if (rows == 0 || rows > INT_MAX)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "workspace: %zu rows, but a physical chunk has between 1 and %d", rows,
                               INT_MAX);
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_workspace *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        status = SOTTO_ERROR_MEMORY;
        goto done;
    }
    *made = (sotto_workspace){.arena = arena, .network = network, .rows = rows};
    status = take_tables(made, err);
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

size_t sotto_workspace_rows(const sotto_workspace *workspace)
{
    return workspace->rows;
}

float *sotto_workspace_input(sotto_workspace *workspace)
{
    return workspace->values[0];
}

uint16_t *sotto_workspace_classes(sotto_workspace *workspace)
{
    return workspace->classes;
}

float *sotto_workspace_output_gradient(sotto_workspace *workspace)
{
    return workspace->gradients[workspace->network->count];
}

const float *sotto_workspace_input_gradient(const sotto_workspace *workspace)
{
    return workspace->gradients[0];
}
