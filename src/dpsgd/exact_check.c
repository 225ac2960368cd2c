/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/exact_check.h"

#include <math.h>
#include <string.h>

#include "dpsgd/clip.h"

/* One example's contribution, made in some company. */
typedef struct bench {
    const sotto_weights *weights;
    const sotto_network *network;
    size_t examples, views;
    sotto_arena *arena;
    sotto_workspace *workspace;
    sotto_exact *exact;
    double *norms2;  /* [blocks, examples] */
    float *factors;  /* [examples] */
    int32_t *alone;  /* [parameters] */
    int32_t *placed; /* [parameters] */
    uint64_t state;
} bench;

static sotto_status open_bench(bench *b, sotto_error *err)
{
    sotto_status status = sotto_arena_create(&b->arena, err);
    if (status != SOTTO_OK)
        return status;
    const size_t parameters = sotto_network_parameters(b->network);
    const size_t norms = sotto_network_blocks(b->network) * b->examples;
    b->norms2 = sotto_arena_take(b->arena, norms, sizeof *b->norms2, err);
    b->factors = sotto_arena_take(b->arena, b->examples, sizeof *b->factors, err);
    b->alone = sotto_arena_take(b->arena, parameters, sizeof *b->alone, err);
    b->placed = sotto_arena_take(b->arena, parameters, sizeof *b->placed, err);
    if (!b->norms2 || !b->factors || !b->alone || !b->placed)
        return SOTTO_ERROR_MEMORY;
    status = sotto_workspace_create(&b->workspace, b->network, b->examples, b->views, err);
    return status == SOTTO_OK ? sotto_exact_create(&b->exact, b->workspace, err) : status;
}

static void close_bench(bench *b)
{
    sotto_exact_destroy(b->exact);
    sotto_workspace_destroy(b->workspace);
    sotto_arena_destroy(b->arena);
}

/* Made-up numbers in [−1, 1). */
static void fill(bench *b, size_t count, float *x)
{
    for (size_t j = 0; j < count; j++) {
        b->state = b->state * 6364136223846793005u + 1442695040888963407u;
        x[j] = (float)(b->state >> 40) * 0x1p-23f - 1.0f;
    }
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

/* The contribution of the one example at `place` among `used`. */
static void contribute(bench *b, size_t place, size_t used, int32_t *sums)
{
    const sotto_exact_grid grid = {.units = 0x1p16, .bound = 1 << 16};
    const size_t outputs = sotto_network_outputs(b->network);
    sotto_workspace_use(b->workspace, used);
    fill_rows(b, place, used, sotto_network_inputs(b->network), sotto_workspace_input(b->workspace));
    for (size_t r = 0; r < used * b->views; r++)
        sotto_workspace_classes(b->workspace)[r] =
            (uint16_t)((r / b->views == place ? 1 : r) % sotto_network_classes(b->network));
    (void)sotto_network_forward(b->weights, b->workspace);
    fill_rows(b, place, used, outputs, sotto_workspace_output_gradient(b->workspace));
    sotto_network_backward(b->weights, b->workspace, false);
    sotto_network_squared_norms(b->network, b->workspace, b->norms2);
    double norm2 = 0.0;
    for (size_t block = 0; block < sotto_network_blocks(b->network); block++)
        norm2 += b->norms2[block * used + place];
    memset(b->factors, 0, b->examples * sizeof *b->factors);
    b->factors[place] = sotto_clip_factor(1.0, SOTTO_MARGIN_EXACT, norm2);
    memset(sums, 0, sotto_network_parameters(b->network) * sizeof *sums);
    (void)sotto_exact_sum(b->exact, b->workspace, &grid, b->factors, false, sums);
}

sotto_status sotto_exact_check(const sotto_weights *weights, size_t views, sotto_error *err)
{
    bench b = {.weights = weights,
               .network = sotto_weights_network(weights),
               .examples = views < SOTTO_CHUNK_ROWS ? SOTTO_CHUNK_ROWS / views : 1,
               .views = views,
               .state = 1};
    sotto_status status = sotto_tensor_check(err);
    if (status == SOTTO_OK)
        status = open_bench(&b, err);
    if (status == SOTTO_OK) {
        const size_t places[] = {0, 1, b.examples / 2, b.examples - 1};
        contribute(&b, 0, 1, b.alone);
        for (size_t i = 0; i < sizeof places / sizeof *places && status == SOTTO_OK; i++) {
            const size_t place = places[i] < b.examples ? places[i] : 0;
            contribute(&b, place, i == 2 ? place + 1 : b.examples, b.placed);
            if (memcmp(b.alone, b.placed, sotto_network_parameters(b.network) * sizeof *b.alone) != 0)
                status = sotto_error_set(
                    err, SOTTO_ERROR_NUMERIC,
                    "on this CPU an example's gradient depends on its place in the batch, so that exact "
                    "arithmetic would not be exact; nothing was trained. `noise: float` does without the proof");
        }
    }
    close_bench(&b);
    return status;
}
