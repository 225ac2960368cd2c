/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/lanes.h"

#include <math.h>
#include <string.h>

struct lane {
    sotto_workspace *workspace;
    float *gradient; /* [parameters] */
    float *weights;  /* [SOTTO_CHUNK_ROWS] */
    double *norms2;  /* [SOTTO_CHUNK_ROWS] */
    sotto_lanes_counts counts;
};

struct sotto_lanes {
    sotto_arena *arena;
    const sotto_network *network;
    unsigned threads;
    struct lane lane[SOTTO_LANES];
};

/* One logical batch on its way through the lanes. */
struct batch {
    const float *parameters;
    double max_grad_norm;
    const uint32_t *units;
    size_t unit_count;
    size_t examples; /* units and public examples together */
    sotto_pass *pass;
    void *context;
};

void sotto_lanes_destroy(sotto_lanes *lanes)
{
    if (!lanes)
        return;
    for (size_t i = 0; i < SOTTO_LANES; i++)
        sotto_workspace_destroy(lanes->lane[i].workspace);
    sotto_arena_destroy(lanes->arena);
}

static sotto_status make_lane(struct lane *lane, sotto_arena *arena, const sotto_network *network,
                              sotto_error *err)
{
    lane->gradient = sotto_arena_take(arena, sotto_network_parameters(network), sizeof(float), err);
    lane->weights = sotto_arena_take(arena, SOTTO_CHUNK_ROWS, sizeof(float), err);
    lane->norms2 = sotto_arena_take(arena, SOTTO_CHUNK_ROWS, sizeof(double), err);
    if (!lane->gradient || !lane->weights || !lane->norms2)
        return SOTTO_ERROR_MEMORY;
    return sotto_workspace_create(&lane->workspace, network, SOTTO_CHUNK_ROWS, err);
}

sotto_status sotto_lanes_create(sotto_lanes **lanes, const sotto_network *network, unsigned threads,
                                sotto_error *err)
{
    *lanes = NULL;
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_lanes *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    made->arena = arena;
    made->network = network;
    made->threads = threads;
    for (size_t i = 0; i < SOTTO_LANES && status == SOTTO_OK; i++)
        status = make_lane(&made->lane[i], arena, network, err);
    if (status != SOTTO_OK) {
        sotto_lanes_destroy(made);
        return status;
    }
    *lanes = made;
    return SOTTO_OK;
}

/* Examples [first, first + count) of the batch, units before public ones. */
static sotto_chunk make_chunk(const struct batch *batch, size_t first, size_t count, size_t number,
                              sotto_workspace *workspace)
{
    sotto_chunk chunk = {.lane = number, .workspace = workspace};
    if (first < batch->unit_count) {
        size_t left = batch->unit_count - first;
        chunk.units = batch->units + first;
        chunk.unit_count = count < left ? count : left;
    }
    chunk.public_count = count - chunk.unit_count;
    chunk.public_first = first + chunk.unit_count - batch->unit_count;
    return chunk;
}

static void weigh(struct lane *lane, const sotto_network *network, double max_grad_norm, size_t count)
{
    sotto_network_squared_norms(network, lane->workspace, count, lane->norms2);
    for (size_t i = 0; i < count; i++) {
        lane->weights[i] = sotto_clip_factor(max_grad_norm, lane->norms2[i]);
        lane->counts.non_finite += !isfinite(lane->norms2[i]);
        lane->counts.clipped += isfinite(lane->norms2[i]) && lane->norms2[i] > max_grad_norm * max_grad_norm;
    }
}

static void run_lane(const sotto_lanes *lanes, struct lane *lane, size_t number, const struct batch *batch)
{
    const size_t stride = (size_t)SOTTO_LANES * SOTTO_CHUNK_ROWS;
    lane->counts = (sotto_lanes_counts){0};
    bool accumulate = false;
    for (size_t first = number * SOTTO_CHUNK_ROWS; first < batch->examples; first += stride) {
        size_t left = batch->examples - first;
        size_t count = left < SOTTO_CHUNK_ROWS ? left : SOTTO_CHUNK_ROWS;
        sotto_chunk chunk = make_chunk(batch, first, count, number, lane->workspace);
        batch->pass(batch->context, lanes->network, batch->parameters, &chunk);
        if (batch->max_grad_norm > 0)
            weigh(lane, lanes->network, batch->max_grad_norm, count);
        sotto_network_weighted_gradient(lanes->network, lane->workspace, count,
                                        batch->max_grad_norm > 0 ? lane->weights : NULL, lane->gradient,
                                        accumulate);
        accumulate = true;
    }
}

sotto_lanes_counts sotto_lanes_sum(sotto_lanes *lanes, const float *parameters, double max_grad_norm,
                                   const uint32_t *units, size_t unit_count, size_t public_count,
                                   sotto_pass *pass, void *context, float *gradient)
{
    const struct batch batch = {parameters, max_grad_norm, units, unit_count, unit_count + public_count,
                                pass,       context};
    const size_t chunks = (batch.examples + SOTTO_CHUNK_ROWS - 1) / SOTTO_CHUNK_ROWS;
    const size_t busy = chunks < SOTTO_LANES ? chunks : SOTTO_LANES;
    const size_t parameter_count = sotto_network_parameters(lanes->network);
#pragma omp parallel for num_threads(lanes->threads) schedule(static, 1) if (busy > 1 && lanes->threads > 1)
    for (size_t i = 0; i < busy; i++)
        run_lane(lanes, &lanes->lane[i], i, &batch);

    sotto_lanes_counts counts = {0};
    if (busy == 0)
        memset(gradient, 0, parameter_count * sizeof *gradient);
    for (size_t i = 0; i < busy; i++) {
        const float *part = lanes->lane[i].gradient;
        if (i == 0)
            memcpy(gradient, part, parameter_count * sizeof *gradient);
        else
            for (size_t k = 0; k < parameter_count; k++)
                gradient[k] += part[k];
        counts.clipped += lanes->lane[i].counts.clipped;
        counts.non_finite += lanes->lane[i].counts.non_finite;
    }
    return counts;
}
