/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/lanes.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* What one thread needs for one chunk; it keeps nothing from one chunk to the next. */
struct desk {
    sotto_workspace *workspace;
    sotto_exact *exact;
    float *weights; /* [blocks, examples] */
    double *norms2; /* [blocks, examples] */
    /* Integer sums: one for each thread, since their order does not matter. */
    int32_t *sums;   /* [parameters], of `examples` examples */
    int64_t *totals; /* [parameters]; zeros unless `flushed` */
    size_t examples;
    bool flushed;
};

/* What is summed in one order whatever the threads. */
struct lane {
    float *sums; /* [parameters], of float lanes */
    sotto_clip_counts counts;
    size_t chunks, done; /* of the batch */
    atomic_bool claimed; /* some thread is at it */
};

struct sotto_lanes {
    sotto_arena *arena;
    sotto_lanes_options options;
    const sotto_network *network;
    size_t parameters;
    size_t chunk;       /* examples of a chunk */
    size_t busy;        /* lanes that the last batch reached */
    atomic_size_t left; /* chunks of the batch that are not done */
    struct lane lane[SOTTO_LANES];
    size_t desks; /* one for each thread that finds work */
    struct desk desk[SOTTO_LANES];
};

/* ----------------------------------------------------------------------- creating */

void sotto_lanes_destroy(sotto_lanes *lanes)
{
    if (!lanes)
        return;
    for (size_t i = 0; i < lanes->desks; i++) {
        sotto_exact_destroy(lanes->desk[i].exact);
        sotto_workspace_destroy(lanes->desk[i].workspace);
    }
    sotto_arena_destroy(lanes->arena);
}

static sotto_status make_desk(sotto_lanes *lanes, struct desk *desk, sotto_error *err)
{
    const size_t factors = lanes->chunk * sotto_network_blocks(lanes->network);
    desk->weights = sotto_arena_take(lanes->arena, factors, sizeof *desk->weights, err);
    desk->norms2 = sotto_arena_take(lanes->arena, factors, sizeof *desk->norms2, err);
    if (!desk->weights || !desk->norms2)
        return SOTTO_ERROR_MEMORY;
    sotto_status status =
        sotto_workspace_create(&desk->workspace, lanes->network, lanes->chunk, lanes->options.views, err);
    if (status == SOTTO_OK && lanes->options.penalties > 0)
        status = sotto_workspace_penalty(desk->workspace, lanes->options.penalties, err);
    if (status == SOTTO_OK)
        sotto_workspace_train(desk->workspace, true);
    if (status != SOTTO_OK || !lanes->options.exact)
        return status;
    desk->sums = sotto_arena_take(lanes->arena, lanes->parameters, sizeof *desk->sums, err);
    desk->totals = sotto_arena_take(lanes->arena, lanes->parameters, sizeof *desk->totals, err);
    if (!desk->sums || !desk->totals)
        return SOTTO_ERROR_MEMORY;
    return sotto_exact_create(&desk->exact, desk->workspace, err);
}

static sotto_status make_sums(sotto_lanes *lanes, sotto_error *err)
{
    for (size_t i = 0; i < SOTTO_LANES && !lanes->options.exact; i++) {
        lanes->lane[i].sums = sotto_arena_take(lanes->arena, lanes->parameters, sizeof(float), err);
        if (!lanes->lane[i].sums)
            return SOTTO_ERROR_MEMORY;
    }
    return SOTTO_OK;
}

sotto_status sotto_lanes_create(sotto_lanes **lanes, const sotto_lanes_options *options, sotto_error *err)
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
    made->options = *options;
    made->network = sotto_weights_network(options->weights);
    made->parameters = sotto_network_parameters(made->network);
    made->chunk = options->views < SOTTO_CHUNK_ROWS ? SOTTO_CHUNK_ROWS / options->views : 1;
    made->desks = options->threads < SOTTO_LANES ? options->threads : SOTTO_LANES;
    status = make_sums(made, err);
    for (size_t i = 0; i < made->desks && status == SOTTO_OK; i++)
        status = make_desk(made, &made->desk[i], err);
    if (status != SOTTO_OK) {
        sotto_lanes_destroy(made);
        return status;
    }
    *lanes = made;
    return SOTTO_OK;
}

/* ------------------------------------------------------------------------- chunks */

/* Examples [first, first + count) of the batch, units before public ones. */
static sotto_chunk make_chunk(const sotto_lanes *lanes, const sotto_batch *batch, size_t first, size_t count,
                              size_t lane, sotto_workspace *workspace)
{
    sotto_chunk chunk = {.lane = lane, .views = lanes->options.views, .workspace = workspace};
    if (first < batch->unit_count) {
        const size_t left = batch->unit_count - first;
        chunk.units = batch->units + first;
        chunk.unit_count = count < left ? count : left;
    }
    chunk.public_count = count - chunk.unit_count;
    if (chunk.public_count > 0)
        chunk.public_first = first + chunk.unit_count - batch->unit_count;
    return chunk;
}

/*
 * Dropout's masks: of a unit from a seed of its own, of a public example from its number. A unit's number in
 * the table must not enter: it changes for all that follow when one is taken out.
 */
static void sow(const sotto_batch *batch, const sotto_chunk *chunk)
{
    uint64_t *seeds = sotto_workspace_seeds(chunk->workspace);
    const uint64_t odd = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < chunk->unit_count + chunk->public_count; i++) {
        const bool unit = i < chunk->unit_count;
        const uint64_t number = unit ? 0 : chunk->public_first + i - chunk->unit_count;
        const uint64_t seed = unit ? batch->unit_seeds[chunk->units - batch->units + (ptrdiff_t)i]
                                   : batch->public_seed + odd * number * chunk->views;
        for (size_t v = 0; v < chunk->views; v++)
            seeds[i * chunk->views + v] = seed + odd * (v + 1);
    }
}

static void add_counts(sotto_clip_counts *to, const sotto_clip_counts *from)
{
    to->clipped += from->clipped;
    to->non_finite += from->non_finite;
    to->units_within += from->units_within;
}

/* Add one chunk to the thread's integers, making room first where an int32 might overflow. */
static void add_exactly(const sotto_lanes *lanes, struct desk *desk, const sotto_batch *batch,
                        const float *weights, bool by_block, size_t count)
{
    if ((desk->examples + count) * batch->grid.bound > INT32_MAX) {
        sotto_tensor_integer_flush(lanes->parameters, desk->sums, desk->totals);
        desk->examples = 0;
        desk->flushed = true;
    }
    desk->examples += count;
    (void)sotto_exact_sum(desk->exact, desk->workspace, &batch->grid, weights, by_block, desk->sums);
}

static void run_chunk(const sotto_lanes *lanes, struct lane *lane, struct desk *desk,
                      const sotto_batch *batch, const sotto_chunk *chunk)
{
    const size_t count = chunk->unit_count + chunk->public_count;
    const bool by_block = batch->clipping && sotto_clipping_by_block(batch->clipping);
    const float *weights = batch->clipping ? desk->weights : NULL;
    sotto_workspace_use(desk->workspace, count);
    sow(batch, chunk);
    batch->pass(batch->context, lanes->options.weights, chunk);
    if (batch->clipping) {
        sotto_network_squared_norms(lanes->network, desk->workspace, desk->norms2);
        const sotto_clip_counts counts = sotto_clip_weigh(
            batch->clipping, lanes->options.exact ? SOTTO_MARGIN_EXACT : SOTTO_MARGIN_FLOAT,
            sotto_network_blocks(lanes->network), count, chunk->unit_count, desk->norms2, desk->weights);
        add_counts(&lane->counts, &counts);
    }
    if (lanes->options.exact)
        add_exactly(lanes, desk, batch, weights, by_block, count);
    else
        sotto_network_weighted_gradient(lanes->network, desk->workspace, weights, by_block, lane->sums,
                                        lane->done > 0);
}

/* The next chunk of a lane, which is the caller's alone meanwhile. */
static void run_next(sotto_lanes *lanes, size_t number, struct desk *desk, const sotto_batch *batch)
{
    struct lane *lane = &lanes->lane[number];
    const size_t first = (number + lane->done * SOTTO_LANES) * lanes->chunk;
    const size_t left = batch->unit_count + batch->public_count - first;
    const sotto_chunk chunk =
        make_chunk(lanes, batch, first, left < lanes->chunk ? left : lanes->chunk, number, desk->workspace);
    run_chunk(lanes, lane, desk, batch, &chunk);
    lane->done++;
}

/* Take a lane that has chunks left and is nobody's; SOTTO_LANES where there is none. */
static size_t claim(sotto_lanes *lanes, size_t number)
{
    struct lane *lane = &lanes->lane[number];
    if (atomic_exchange_explicit(&lane->claimed, true, memory_order_acquire))
        return SOTTO_LANES;
    if (lane->done < lane->chunks)
        return number;
    atomic_store_explicit(&lane->claimed, false, memory_order_release);
    return SOTTO_LANES;
}

/* One of thread t's own lanes, from number `turn` of them on, or else any. */
static size_t claim_any(sotto_lanes *lanes, size_t t, size_t threads, size_t turn)
{
    const size_t own = (SOTTO_LANES - t + threads - 1) / threads;
    size_t claimed = SOTTO_LANES;
    for (size_t i = 0; i < own && claimed == SOTTO_LANES; i++)
        claimed = claim(lanes, t + (turn + i) % own * threads);
    for (size_t i = 0; i < SOTTO_LANES && claimed == SOTTO_LANES; i++)
        claimed = claim(lanes, i);
    return claimed;
}

/*
 * One of several threads: takes its own lanes in turns, whose memory is at hand, then any that is left, so
 * that a slow core keeps nobody waiting. A lane's chunks come in order and one at a time, whoever runs them.
 */
static void run_shared(sotto_lanes *lanes, size_t t, size_t threads, const sotto_batch *batch)
{
    for (size_t turn = 0; atomic_load_explicit(&lanes->left, memory_order_relaxed) > 0;) {
        const size_t number = claim_any(lanes, t, threads, turn);
        if (number == SOTTO_LANES) {
            sched_yield();
            continue;
        }
        run_next(lanes, number, &lanes->desk[t], batch);
        atomic_store_explicit(&lanes->lane[number].claimed, false, memory_order_release);
        atomic_fetch_sub_explicit(&lanes->left, 1, memory_order_relaxed);
        turn++;
    }
}

/* One thread: a lane after the other. */
static void run_alone(sotto_lanes *lanes, const sotto_batch *batch)
{
    for (size_t i = 0; i < SOTTO_LANES; i++)
        while (lanes->lane[i].done < lanes->lane[i].chunks)
            run_next(lanes, i, &lanes->desk[0], batch);
}

/* Integers that nobody has said to be taken: an earlier batch must not go into this one. */
static void forget_integers(sotto_lanes *lanes)
{
    for (size_t i = 0; i < lanes->desks; i++) {
        struct desk *of = &lanes->desk[i];
        if (of->examples > 0)
            memset(of->sums, 0, lanes->parameters * sizeof *of->sums);
        if (of->flushed)
            memset(of->totals, 0, lanes->parameters * sizeof *of->totals);
    }
    sotto_lanes_taken(lanes);
}

void sotto_lanes_taken(sotto_lanes *lanes)
{
    for (size_t i = 0; i < lanes->desks; i++) {
        lanes->desk[i].examples = 0;
        lanes->desk[i].flushed = false;
    }
}

sotto_clip_counts sotto_lanes_sum(sotto_lanes *lanes, const sotto_batch *batch)
{
    const size_t examples = batch->unit_count + batch->public_count;
    const size_t chunks = (examples + lanes->chunk - 1) / lanes->chunk;
    const size_t busy = chunks < SOTTO_LANES ? chunks : SOTTO_LANES;
    const size_t threads = lanes->desks < busy ? lanes->desks : busy;
    sotto_clip_counts counts = {0};
    lanes->busy = busy;
    forget_integers(lanes);
    atomic_init(&lanes->left, chunks);
    for (size_t i = 0; i < SOTTO_LANES; i++) {
        struct lane *lane = &lanes->lane[i];
        lane->counts = (sotto_clip_counts){0};
        lane->chunks = (chunks + SOTTO_LANES - 1 - i) / SOTTO_LANES;
        lane->done = 0;
        atomic_init(&lane->claimed, false);
    }
    if (threads <= 1) {
        run_alone(lanes, batch);
    } else {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
        for (size_t t = 0; t < threads; t++)
            run_shared(lanes, t, threads, batch);
    }
    for (size_t i = 0; i < busy; i++)
        add_counts(&counts, &lanes->lane[i].counts);
    return counts;
}

/* ------------------------------------------------------------------------- taking */

void sotto_lanes_floats(const sotto_lanes *lanes, size_t first, size_t count, float *sums)
{
    if (lanes->busy == 0)
        memset(sums, 0, count * sizeof *sums);
    for (size_t i = 0; i < lanes->busy; i++) {
        if (i == 0)
            memcpy(sums, lanes->lane[i].sums + first, count * sizeof *sums);
        else
            sotto_tensor_axpy(count, 1.0f, lanes->lane[i].sums + first, sums);
    }
}

void sotto_lanes_integers(sotto_lanes *lanes, size_t first, size_t count, int64_t *sums)
{
    memset(sums, 0, count * sizeof *sums);
    for (size_t i = 0; i < lanes->desks; i++) {
        struct desk *from = &lanes->desk[i];
        if (from->examples > 0)
            sotto_tensor_integer_flush(count, from->sums + first, sums);
        if (from->flushed) {
            for (size_t j = first; j < first + count; j++) {
                sums[j - first] += from->totals[j];
                from->totals[j] = 0;
            }
        }
    }
}
