/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * One network trained in one way: by the private step (Poisson sample, per-example clip, noise, Adam) or by
 * the plain one (the same network, chunks and Adam). With a generator, the discriminator learns from as many
 * fakes as there are rows, and the generator from the discriminator, as models/gan_train.c does.
 */
#include <string.h>

#include "bench/scene.h"

/* A network, its parameters and what passes read of them. */
struct side {
    sotto_network *network;
    float *parameters;
    sotto_weights *weights;
};

/* What a chunk of one lane works in beside the workspace it is given. */
struct lane {
    sotto_workspace *generator, *discriminator;
};

struct bench_player {
    const bench_pool *pool;
    size_t batch;
    unsigned threads;
    sotto_bench_mode mode;
    sotto_arena *arena;
    struct side discriminator, generator;
    sotto_budget *budget;
    sotto_dpsgd *private;
    sotto_public_step *plain; /* the discriminator's, without privacy */
    sotto_public_step *teach; /* the generator's */
    struct lane lane[SOTTO_LANES];
    sotto_stream *stream; /* of latents */
    size_t latents;       /* columns; 0 without a generator */
    float *latent;        /* [batch, latents] */
    size_t next;          /* plain: the row of the pool that the next batch begins with */
};

/* ------------------------------------------------------------------------ passes */

/* Fakes [first, first + count) of the batch, by the generator. */
static void make_fakes(const bench_player *player, const sotto_weights *weights, sotto_workspace *workspace,
                       size_t first, size_t count, float *x)
{
    const size_t latents = player->latents, width = player->pool->inputs;
    sotto_workspace_use(workspace, count);
    memcpy(sotto_workspace_input(workspace), player->latent + first * latents,
           count * latents * sizeof(float));
    memcpy(x, sotto_network_forward(weights, workspace), count * width * sizeof(float));
}

/* Which row of the pool row i of the chunk is; without privacy, batches take turns. */
static size_t pool_row(const bench_player *player, const sotto_chunk *chunk, size_t i)
{
    return i < chunk->unit_count
               ? chunk->units[i]
               : (player->next + chunk->public_first + i - chunk->unit_count) % player->pool->rows;
}

/* How many rows of the chunk are of the pool: the others are fakes. */
static size_t real_rows(const bench_player *player, const sotto_chunk *chunk)
{
    if (player->mode != SOTTO_BENCH_PLAIN)
        return chunk->unit_count;
    const size_t left = player->batch > chunk->public_first ? player->batch - chunk->public_first : 0;
    return left < chunk->public_count ? left : chunk->public_count;
}

/*
 * Cross-entropy that tells rows from fakes; without a generator, even rows from odd ones: what a row costs
 * does not depend on its label.
 */
static void discriminator_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    const bench_player *player = context;
    const size_t width = player->pool->inputs, count = chunk->unit_count + chunk->public_count;
    const size_t real = real_rows(player, chunk);
    float *input = sotto_workspace_input(chunk->workspace);
    float targets[SOTTO_CHUNK_ROWS];
    for (size_t i = 0; i < real; i++) {
        const size_t row = pool_row(player, chunk, i);
        memcpy(input + i * width, player->pool->x + row * width, width * sizeof *input);
        targets[i] = player->latents == 0 && row % 2 ? 0.0f : 1.0f;
    }
    for (size_t i = real; i < count; i++)
        targets[i] = 0.0f;
    if (count > real) {
        const size_t rows = player->mode == SOTTO_BENCH_PLAIN ? player->batch : 0;
        const size_t first = chunk->public_first + real - chunk->unit_count - rows;
        make_fakes(player, player->generator.weights, player->lane[chunk->lane].generator, first,
                   count - real, input + real * width);
    }
    const float *logits = sotto_network_forward(weights, chunk->workspace);
    sotto_loss_cross_entropy(count, logits, targets, NULL, sotto_workspace_output_gradient(chunk->workspace));
    sotto_network_backward(weights, chunk->workspace, false);
}

/* From latents to fakes to the discriminator's verdict, and all the way back. */
static void generator_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    const bench_player *player = context;
    const size_t width = player->pool->inputs, count = chunk->public_count;
    sotto_workspace *judge = player->lane[chunk->lane].discriminator;
    sotto_workspace_use(judge, count);
    make_fakes(player, weights, chunk->workspace, chunk->public_first, count, sotto_workspace_input(judge));
    const float *logits = sotto_network_forward(player->discriminator.weights, judge);
    sotto_loss_generator(SOTTO_ADVERSARIAL_CROSS_ENTROPY, count, logits, NULL,
                         sotto_workspace_output_gradient(judge));
    sotto_network_backward(player->discriminator.weights, judge, true);
    memcpy(sotto_workspace_output_gradient(chunk->workspace), sotto_workspace_input_gradient(judge),
           count * width * sizeof(float));
    sotto_network_backward(weights, chunk->workspace, false);
}

/* ------------------------------------------------------------------------- steps */

static void draw_latents(bench_player *player)
{
    if (player->latents > 0)
        sotto_stream_gaussian(player->stream, 1.0, player->latent, player->batch * player->latents);
}

static sotto_status take_private(bench_player *player, sotto_error *err)
{
    const size_t fakes = player->latents > 0 ? player->batch : 0;
    sotto_status status = sotto_dpsgd_begin(player->private, err);
    if (status == SOTTO_OK)
        status = sotto_dpsgd_accumulate(player->private, fakes, discriminator_pass, player, err);
    return status == SOTTO_OK ? sotto_dpsgd_end(player->private, err) : status;
}

static void take_plain(bench_player *player)
{
    const size_t fakes = player->latents > 0 ? player->batch : 0;
    sotto_public_step_take(player->plain, player->batch + fakes, discriminator_pass, player);
    player->next = (player->next + player->batch) % player->pool->rows;
}

sotto_status bench_player_step(bench_player *player, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    draw_latents(player);
    if (player->mode == SOTTO_BENCH_PLAIN)
        take_plain(player);
    else
        status = take_private(player, err);
    if (status == SOTTO_OK && player->latents > 0) {
        draw_latents(player);
        sotto_public_step_take(player->teach, player->batch, generator_pass, player);
    }
    return status;
}

/* ---------------------------------------------------------------------- creating */

static void side_leave(struct side *side)
{
    sotto_weights_destroy(side->weights);
    sotto_network_destroy(side->network);
}

void bench_player_destroy(bench_player *player)
{
    if (!player)
        return;
    sotto_dpsgd_destroy(player->private);
    sotto_public_step_destroy(player->plain);
    sotto_public_step_destroy(player->teach);
    sotto_budget_destroy(player->budget);
    for (size_t i = 0; i < SOTTO_LANES; i++) {
        sotto_workspace_destroy(player->lane[i].generator);
        sotto_workspace_destroy(player->lane[i].discriminator);
    }
    sotto_stream_destroy(player->stream);
    side_leave(&player->discriminator);
    side_leave(&player->generator);
    sotto_arena_destroy(player->arena);
}

static sotto_status make_side(bench_player *player, const bench_shape *shape, struct side *side,
                              sotto_error *err)
{
    sotto_stream *stream;
    sotto_status status =
        sotto_network_create(&side->network, shape->inputs, 1, shape->layers, shape->count, err);
    if (status != SOTTO_OK)
        return status;
    const size_t count = sotto_network_parameters(side->network);
    side->parameters = sotto_arena_take(player->arena, count, sizeof *side->parameters, err);
    if (!side->parameters)
        return SOTTO_ERROR_MEMORY;
    status = sotto_stream_create(&stream, player->pool->random, SOTTO_PURPOSE_INITIALISATION, err);
    if (status != SOTTO_OK)
        return status;
    sotto_network_initialise(side->network, stream, side->parameters);
    sotto_stream_destroy(stream);
    return sotto_weights_create(&side->weights, side->network, side->parameters, err);
}

static sotto_status make_lanes(bench_player *player, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < SOTTO_LANES && status == SOTTO_OK; i++) {
        struct lane *lane = &player->lane[i];
        status =
            sotto_workspace_create(&lane->generator, player->generator.network, SOTTO_CHUNK_ROWS, 1, err);
        if (status == SOTTO_OK)
            status = sotto_workspace_create(&lane->discriminator, player->discriminator.network,
                                            SOTTO_CHUNK_ROWS, 1, err);
    }
    return status;
}

static const sotto_schedule schedule = {.rate = 2e-4, .steps = UINT64_MAX};

static sotto_status make_public(const bench_player *player, const struct side *side, sotto_public_step **step,
                                sotto_error *err)
{
    const sotto_public_options options = {.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM),
                                          .schedule = schedule,
                                          .threads = player->threads,
                                          .weights = side->weights,
                                          .parameters = side->parameters,
                                          .random = player->pool->random};
    return sotto_public_step_create(step, &options, err);
}

static sotto_status make_private(bench_player *player, sotto_error *err)
{
    const bench_pool *pool = player->pool;
    sotto_mechanism mechanism; /* and a budget so large that no benchmark uses it up */
    sotto_status status = sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e12, 1e-5, &player->budget, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_sampled_gaussian(&mechanism, (double)player->batch / (double)pool->rows, 1.0,
                                                  err);
    if (status != SOTTO_OK)
        return status;
    const sotto_dpsgd_options options = {
        .mechanism = mechanism,
        .clipping = {.max_grad_norm = 1.0},
        .arithmetic = player->mode == SOTTO_BENCH_FLOAT ? SOTTO_ARITHMETIC_FLOAT : SOTTO_ARITHMETIC_EXACT,
        .public_units = (double)pool->rows,
        .label = "benchmark on made-up rows",
        .optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM),
        .schedule = schedule,
        .threads = player->threads,
        .units = {.rows = pool->units, .count = pool->rows},
        .weights = player->discriminator.weights,
        .parameters = player->discriminator.parameters,
        .budget = player->budget,
        .random = pool->random};
    return sotto_dpsgd_create(&player->private, &options, err);
}

static sotto_status make_generator(bench_player *player, const bench_shape *shape, sotto_error *err)
{
    player->latents = shape->inputs;
    player->latent =
        sotto_arena_take(player->arena, player->batch, player->latents * sizeof *player->latent, err);
    if (!player->latent)
        return SOTTO_ERROR_MEMORY;
    sotto_status status = make_side(player, shape, &player->generator, err);
    if (status == SOTTO_OK)
        status = make_lanes(player, err);
    if (status == SOTTO_OK)
        status = make_public(player, &player->generator, &player->teach, err);
    return status == SOTTO_OK
               ? sotto_stream_create(&player->stream, player->pool->random, SOTTO_PURPOSE_GENERATION, err)
               : status;
}

static sotto_status fill(bench_player *player, const bench_scene *scene, sotto_error *err)
{
    sotto_status status = make_side(player, &scene->discriminator, &player->discriminator, err);
    if (status == SOTTO_OK && scene->generator.count > 0)
        status = make_generator(player, &scene->generator, err);
    if (status != SOTTO_OK)
        return status;
    return player->mode == SOTTO_BENCH_PLAIN
               ? make_public(player, &player->discriminator, &player->plain, err)
               : make_private(player, err);
}

sotto_status bench_player_create(bench_player **player, const bench_scene *scene, const bench_pool *pool,
                                 size_t batch, unsigned threads, sotto_bench_mode mode, sotto_error *err)
{
    sotto_arena *arena;
    *player = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    bench_player *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    made->arena = arena;
    made->pool = pool;
    made->batch = batch;
    made->threads = threads;
    made->mode = mode;
    status = fill(made, scene, err);
    if (status != SOTTO_OK) {
        bench_player_destroy(made);
        return status;
    }
    *player = made;
    return SOTTO_OK;
}
