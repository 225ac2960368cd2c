/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The private step (Poisson sample, per-example clip, noise, Adam) against the plain step (the same network,
 * chunks and Adam) on made-up rows. The two alternate in short turns and the best half of each one's turns
 * counts, so that a noisy machine disturbs both alike.
 */
#include <string.h>

#include "bench/bench.h"
#include "bench/timing.h"
#include "dpsgd/dpsgd.h"
#include "tensor/tensor.h"

enum { INPUTS = 128, TURNS = 24 };

struct scene {
    size_t batch;
    size_t pool; /* rows to sample from */
    float *rows; /* [pool, INPUTS] */
    uint32_t *units;
    sotto_arena *arena;
    sotto_random *random;
    sotto_network *network;
    sotto_weights *private_weights;
    sotto_weights *plain_weights;
    float *private_parameters;
    float *plain_parameters;
    sotto_budget *budget;
    sotto_dpsgd *private;
    sotto_public_step *plain;
};

/* Cross-entropy on rows of which the even ones are real: what one row costs does not depend on its label. */
static void pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    const struct scene *scene = context;
    const size_t count = chunk->unit_count + chunk->public_count;
    float *input = sotto_workspace_input(chunk->workspace);
    float targets[SOTTO_CHUNK_ROWS];
    for (size_t i = 0; i < count; i++) {
        const size_t row =
            i < chunk->unit_count ? chunk->units[i] : chunk->public_first + i - chunk->unit_count;
        memcpy(input + i * INPUTS, scene->rows + row * INPUTS, INPUTS * sizeof *input);
        targets[i] = row % 2 ? 0.0f : 1.0f;
    }
    const float *logits = sotto_network_forward(weights, chunk->workspace);
    sotto_loss_cross_entropy(count, logits, targets, NULL, sotto_workspace_output_gradient(chunk->workspace));
    sotto_network_backward(weights, chunk->workspace, false);
}

static void leave(struct scene *scene)
{
    sotto_dpsgd_destroy(scene->private);
    sotto_public_step_destroy(scene->plain);
    sotto_budget_destroy(scene->budget);
    sotto_weights_destroy(scene->private_weights);
    sotto_weights_destroy(scene->plain_weights);
    sotto_network_destroy(scene->network);
    sotto_random_destroy(scene->random);
    sotto_arena_destroy(scene->arena);
}

static sotto_status make_rows(struct scene *scene, sotto_error *err)
{
    sotto_stream *stream;
    sotto_status status = sotto_arena_create(&scene->arena, err);
    if (status != SOTTO_OK)
        return status;
    scene->rows = sotto_arena_take(scene->arena, scene->pool, INPUTS * sizeof *scene->rows, err);
    scene->units = sotto_arena_take(scene->arena, scene->pool, sizeof *scene->units, err);
    if (!scene->rows || !scene->units)
        return SOTTO_ERROR_MEMORY;
    status = sotto_random_create_insecure_for_tests(&scene->random, 1, err);
    if (status == SOTTO_OK)
        status = sotto_stream_create(&stream, scene->random, SOTTO_PURPOSE_GENERATION, err);
    if (status != SOTTO_OK)
        return status;
    sotto_stream_gaussian(stream, 1.0, scene->rows, scene->pool * INPUTS);
    for (size_t i = 0; i < scene->pool; i++)
        scene->units[i] = (uint32_t)i;
    sotto_stream_destroy(stream);
    return SOTTO_OK;
}

static sotto_status make_network(struct scene *scene, sotto_error *err)
{
    const sotto_layer layers[] = {sotto_layer_dense(256), sotto_layer_leaky_relu(0.2f),
                                  sotto_layer_dense(256), sotto_layer_leaky_relu(0.2f), sotto_layer_dense(1)};
    sotto_stream *stream;
    sotto_status status =
        sotto_network_create(&scene->network, INPUTS, 1, layers, sizeof layers / sizeof *layers, err);
    if (status != SOTTO_OK)
        return status;
    const size_t count = sotto_network_parameters(scene->network);
    scene->private_parameters = sotto_arena_take(scene->arena, count, sizeof(float), err);
    scene->plain_parameters = sotto_arena_take(scene->arena, count, sizeof(float), err);
    if (!scene->private_parameters || !scene->plain_parameters)
        return SOTTO_ERROR_MEMORY;
    status = sotto_stream_create(&stream, scene->random, SOTTO_PURPOSE_INITIALISATION, err);
    if (status != SOTTO_OK)
        return status;
    sotto_network_initialise(scene->network, stream, scene->private_parameters);
    memcpy(scene->plain_parameters, scene->private_parameters, count * sizeof(float));
    sotto_stream_destroy(stream);
    status = sotto_weights_create(&scene->private_weights, scene->network, scene->private_parameters, err);
    if (status == SOTTO_OK)
        status = sotto_weights_create(&scene->plain_weights, scene->network, scene->plain_parameters, err);
    return status;
}

static sotto_status make_steps(struct scene *scene, unsigned threads, sotto_error *err)
{
    const sotto_optimizer_options adam = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM);
    const sotto_schedule schedule = {.rate = 2e-4, .steps = UINT64_MAX};
    sotto_mechanism mechanism;
    sotto_status status = sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e12, 1e-5, &scene->budget, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_sampled_gaussian(&mechanism, (double)scene->batch / (double)scene->pool, 1.0,
                                                  err);
    if (status != SOTTO_OK)
        return status;
    const sotto_dpsgd_options private = {.mechanism = mechanism,
                                         .clipping = {.max_grad_norm = 1.0},
                                         .public_units = (double)scene->pool,
                                         .label = "benchmark on made-up rows",
                                         .optimizer = adam,
                                         .schedule = schedule,
                                         .threads = threads,
                                         .units = scene->units,
                                         .unit_count = scene->pool,
                                         .weights = scene->private_weights,
                                         .parameters = scene->private_parameters,
                                         .budget = scene->budget,
                                         .random = scene->random};
    const sotto_public_options plain = {.optimizer = adam,
                                        .schedule = schedule,
                                        .threads = threads,
                                        .weights = scene->plain_weights,
                                        .parameters = scene->plain_parameters,
                                        .random = scene->random};
    status = sotto_dpsgd_create(&scene->private, &private, err);
    return status == SOTTO_OK ? sotto_public_step_create(&scene->plain, &plain, err) : status;
}

static sotto_status take_private(struct scene *scene, sotto_error *err)
{
    sotto_status status = sotto_dpsgd_begin(scene->private, err);
    if (status == SOTTO_OK)
        status = sotto_dpsgd_accumulate(scene->private, 0, pass, scene, err);
    return status == SOTTO_OK ? sotto_dpsgd_end(scene->private, err) : status;
}

/* Seconds for each step over one turn of about `seconds`. */
static sotto_status turn(struct scene *scene, bool private, double seconds, double *each, sotto_error *err)
{
    size_t steps = 0;
    const double start = bench_now();
    sotto_status status = SOTTO_OK;
    do {
        if (private)
            status = take_private(scene, err);
        else
            sotto_public_step_take(scene->plain, scene->batch, pass, scene);
        steps++;
    } while (status == SOTTO_OK && bench_now() - start < seconds);
    *each = (bench_now() - start) / (double)steps;
    return status;
}

static sotto_status measure(size_t batch, const sotto_bench_options *options, sotto_bench_step *line,
                            sotto_error *err)
{
    struct scene scene = {.batch = batch, .pool = 4 * batch > 16384 ? 4 * batch : 16384};
    double times[2][TURNS];
    double unused;
    sotto_status status = make_rows(&scene, err);
    if (status == SOTTO_OK)
        status = make_network(&scene, err);
    if (status == SOTTO_OK)
        status = make_steps(&scene, options->threads, err);
    for (int private = 0; private < 2 && status == SOTTO_OK; private ++)
        status = turn(&scene, private, options->seconds / 10, &unused, err);
    for (size_t i = 0; i < TURNS && status == SOTTO_OK; i++)
        for (int private = 0; private < 2 && status == SOTTO_OK; private ++)
            status = turn(&scene, private, options->seconds / (2 * TURNS), &times[private][i], err);
    if (status == SOTTO_OK) {
        const double plain = bench_typical(times[0], TURNS);
        const double private = bench_typical(times[1], TURNS);
        *line = (sotto_bench_step){.batch = batch,
                                   .private_steps_per_second = 1 / private,
                                   .plain_steps_per_second = 1 / plain,
                                   .ratio = private / plain};
    }
    leave(&scene);
    return status;
}

sotto_status sotto_bench_steps(const sotto_bench_options *options,
                               sotto_bench_step lines[SOTTO_BENCH_STEP_LINES], sotto_error *err)
{
    static const size_t batches[SOTTO_BENCH_STEP_LINES] = {64, 256, 1024, 4096};
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < SOTTO_BENCH_STEP_LINES && status == SOTTO_OK; i++)
        status = measure(batches[i], options, &lines[i], err);
    return status;
}
