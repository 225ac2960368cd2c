/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/exact_check.h"

#include <math.h>
#include <string.h>

#include "dpsgd/clip.h"

enum { ENTRIES = 8 };

/* One example's contribution, made in some company. */
typedef struct bench {
    const sotto_network *network;
    size_t examples, views, penalties;
    size_t entries; /* of a row, where it is given so; 0: it is given whole */
    sotto_arena *arena;
    sotto_workspace *workspace;
    sotto_exact *exact;
    sotto_weights *weights;
    float *
        parameters; /* made up: those before training may stop all gradients, as a last layer of zeros does */
    uint32_t *columns; /* [examples·views, entries] */
    float *values;     /* [examples·views, entries] */
    double *norms2;    /* [blocks, examples] */
    float *factors;    /* [blocks, examples] */
    int32_t *alone;    /* [parameters] */
    int32_t *placed;   /* [parameters] */
    uint64_t state;
} bench;

/* Made-up numbers in [−1, 1). */
static void fill(bench *b, size_t count, float *x)
{
    for (size_t j = 0; j < count; j++) {
        b->state = b->state * 6364136223846793005u + 1442695040888963407u;
        x[j] = (float)(b->state >> 40) * 0x1p-23f - 1.0f;
    }
}

static sotto_status open_bench(bench *b, sotto_error *err)
{
    sotto_status status = sotto_workspace_create(&b->workspace, b->network, b->examples, b->views, err);
    if (status == SOTTO_OK && b->penalties > 0)
        status = sotto_workspace_penalty(b->workspace, b->penalties, err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&b->arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_workspace_train(b->workspace, true);
    const size_t parameters = sotto_network_parameters(b->network);
    const size_t norms = sotto_network_blocks(b->network) * b->examples;
    b->norms2 = sotto_arena_take(b->arena, norms, sizeof *b->norms2, err);
    b->factors = sotto_arena_take(b->arena, norms, sizeof *b->factors, err);
    b->alone = sotto_arena_take(b->arena, parameters, sizeof *b->alone, err);
    b->placed = sotto_arena_take(b->arena, parameters, sizeof *b->placed, err);
    b->parameters = sotto_arena_take(b->arena, parameters, sizeof *b->parameters, err);
    b->columns = sotto_arena_take(b->arena, b->examples * b->views, ENTRIES * sizeof *b->columns, err);
    b->values = sotto_arena_take(b->arena, b->examples * b->views, ENTRIES * sizeof *b->values, err);
    if (!b->norms2 || !b->factors || !b->alone || !b->placed || !b->parameters || !b->columns || !b->values)
        return SOTTO_ERROR_MEMORY;
    fill(b, parameters, b->parameters);
    for (size_t j = 0; j < parameters; j++)
        b->parameters[j] *= 0.25f;
    status = sotto_weights_create(&b->weights, b->network, b->parameters, err);
    return status == SOTTO_OK ? sotto_exact_create(&b->exact, b->workspace, err) : status;
}

static void close_bench(bench *b)
{
    sotto_exact_destroy(b->exact);
    sotto_workspace_destroy(b->workspace);
    sotto_weights_destroy(b->weights);
    sotto_arena_destroy(b->arena);
}

/* Rows [first, first + views) of a matrix: always the same; every other row: new, some of them no numbers. */
static void fill_rows(bench *b, size_t place, size_t used, size_t columns, float *x)
{
    const size_t width = b->views * columns;
    fill(b, used * width, x);
    for (size_t e = 0; e < used; e += 3)
        x[e * width] = e % 2 ? NAN : 1e30f;
    const uint64_t kept = b->state;
    b->state = 4711;
    fill(b, width, x + place * width);
    b->state = kept;
}

/* The rows in use, whole or by their entries, with their classes and seeds of dropout. */
static sotto_status give_rows(bench *b, size_t place, size_t used, sotto_error *err)
{
    const size_t inputs = sotto_network_inputs(b->network), rows = used * b->views;
    for (size_t r = 0; r < rows; r++) {
        const size_t who = r / b->views == place ? 1 + r % b->views : r + place;
        sotto_workspace_classes(b->workspace)[r] = (uint16_t)(who % sotto_network_classes(b->network));
        sotto_workspace_seeds(b->workspace)[r] = who;
        for (size_t e = 0; e < b->entries; e++)
            b->columns[r * b->entries + e] =
                (uint32_t)(e * (inputs / b->entries) + who % (inputs / b->entries));
    }
    if (b->entries == 0)
        fill_rows(b, place, used, inputs, sotto_workspace_input(b->workspace));
    else
        fill_rows(b, place, used, b->entries, b->values);
    return sotto_workspace_entries(b->workspace, b->entries ? rows : 0, b->entries, b->columns, b->values,
                                   err);
}

/* The contribution of the one example at `place` among `used`. */
static sotto_status contribute(bench *b, size_t place, size_t used, int32_t *sums, sotto_error *err)
{
    const sotto_exact_grid grid = {.units = 0x1p16, .bound = 1 << 20};
    const size_t outputs = sotto_network_outputs(b->network);
    sotto_workspace_use(b->workspace, used);
    const sotto_status status = give_rows(b, place, used, err);
    if (status != SOTTO_OK)
        return status;
    (void)sotto_network_forward(b->weights, b->workspace);
    fill_rows(b, place, used, outputs, sotto_workspace_output_gradient(b->workspace));
    sotto_network_backward(b->weights, b->workspace, false);
    if (b->penalties > 0)
        sotto_network_penalty(b->weights, b->workspace, 1.0, NULL);
    sotto_network_squared_norms(b->network, b->workspace, b->norms2);
    /* Each block by itself, so that none is so small beside the others that its integers are zeros. */
    const size_t blocks = sotto_network_blocks(b->network);
    memset(b->factors, 0, blocks * used * sizeof *b->factors);
    for (size_t block = 0; block < blocks; block++) {
        const double norm2 = b->norms2[block * used + place];
        b->factors[block * used + place] = norm2 > 0.0 && isfinite(norm2) ? (float)(1.0 / sqrt(norm2)) : 0.0f;
    }
    memset(sums, 0, sotto_network_parameters(b->network) * sizeof *sums);
    (void)sotto_exact_sum(b->exact, b->workspace, &grid, b->factors, true, sums);
    return SOTTO_OK;
}

/* Alone, and at several places in company. */
static sotto_status try_places(bench *b, sotto_error *err)
{
    const size_t places[] = {0, 1, b->examples / 2, b->examples - 1};
    sotto_status status = contribute(b, 0, 1, b->alone, err);
    for (size_t i = 0; i < sizeof places / sizeof *places && status == SOTTO_OK; i++) {
        const size_t place = places[i] < b->examples ? places[i] : 0;
        status = contribute(b, place, i == 2 ? place + 1 : b->examples, b->placed, err);
        if (status == SOTTO_OK &&
            memcmp(b->alone, b->placed, sotto_network_parameters(b->network) * sizeof *b->alone) != 0)
            status = sotto_error_set(
                err, SOTTO_ERROR_NUMERIC,
                "on this CPU an example's gradient depends on its place in the batch, so that exact "
                "arithmetic would not be exact; nothing was trained. `noise: float` does without the proof");
    }
    return status;
}

sotto_status sotto_exact_check(const sotto_network *network, size_t views, size_t penalties, sotto_error *err)
{
    const size_t inputs = sotto_network_inputs(network);
    bench b = {.network = network,
               .examples = views < SOTTO_CHUNK_ROWS ? SOTTO_CHUNK_ROWS / views : 1,
               .views = views,
               .penalties = penalties,
               .state = 1};
    sotto_status status = sotto_tensor_check(err);
    if (status == SOTTO_OK)
        status = open_bench(&b, err);
    if (status == SOTTO_OK)
        status = try_places(&b, err);
    b.entries = inputs < ENTRIES ? inputs : ENTRIES;
    if (status == SOTTO_OK)
        status = try_places(&b, err);
    close_bench(&b);
    return status;
}
