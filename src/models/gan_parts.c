/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Scope generator (after Chen, Orekondy and Fritz 2020, GS-WGAN): discriminators are trained without noise on
 * parts of the rows; what reaches the generator of one is a single clipped and noised vector.
 *
 * That vector has to be small, since noise grows with the root of its length. It is neither the gradient of
 * the generator's parameters nor that of a batch of rows, but what a row's gradient with respect to the
 * generator's outputs is, at best, as a linear function of what the row was made from: its label and its
 * latent numbers, both public. With A = E[g φᵀ] for features φ of covariance 1, the least-squares answer is
 * g ≈ A φ. From there back through the generator all is post-processing. Where noisy counts by label are at
 * hand, they tell what a label alone would, and only the latent numbers are features.
 */
#include <math.h>
#include <string.h>

#include "models/gan.h"

/* ---- what a vector is ---- */

static size_t features_of(const gan *model)
{
    return model->options.latent + (model->anchored ? 0 : model->classes);
}

size_t gan_parts_dimension(const gan *model)
{
    return features_of(model) * model->width;
}

sotto_status gan_parts_take(gan *model, sotto_error *err)
{
    const size_t inputs = sotto_network_inputs(model->discriminator);
    model->features = features_of(model);
    model->vector = sotto_arena_take(model->arena, gan_parts_dimension(model), sizeof *model->vector, err);
    model->lesson = sotto_arena_take(model->arena, gan_parts_dimension(model), sizeof *model->lesson, err);
    if (!model->vector || !model->lesson)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < SOTTO_LANES; i++) {
        gan_lane *lane = &model->lane[i];
        lane->taught = sotto_arena_take(model->arena, gan_parts_dimension(model), sizeof *lane->taught, err);
        lane->still = sotto_arena_take(model->arena, SOTTO_CHUNK_ROWS, inputs * sizeof *lane->still, err);
        lane->out = sotto_arena_take(model->arena, SOTTO_CHUNK_ROWS, model->width * sizeof *lane->out, err);
        if (!lane->taught || !lane->still || !lane->out)
            return SOTTO_ERROR_MEMORY;
    }
    return SOTTO_OK;
}

/* How often a label is drawn: noisy, or public. */
static double label_frequency(const gan *model, size_t label)
{
    double sum = 0.0;
    for (size_t c = 0; c < model->cells; c++)
        sum += gan_cell_label(model, c) == label ? model->frequency[c] : 0.0;
    return sum;
}

/* Feature j of a row of the batch: of mean square 1. */
static double feature(const gan *model, size_t row, size_t j)
{
    if (j < model->options.latent)
        return (double)model->batch.latent[row * model->options.latent + j];
    const size_t label = j - model->options.latent;
    const double frequency = label_frequency(model, label);
    return model->batch.labels[row] == label && frequency > 0.0 ? 1.0 / sqrt(frequency) : 0.0;
}

/* ---- what a discriminator would teach: private ---- */

static void add_taught(const gan *model, gan_lane *lane, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < model->features; j++) {
            const double by = feature(model, first + i, j);
            const float *gradient = lane->out + i * model->width;
            double *sum = lane->taught + j * model->width;
            for (size_t w = 0; w < model->width && by != 0.0; w++)
                sum[w] += by * (double)gradient[w];
        }
}

static void teach_lane(gan *model, size_t number)
{
    gan_lane *lane = &model->lane[number];
    const size_t stride = (size_t)SOTTO_LANES * SOTTO_CHUNK_ROWS, batch = model->training.batch;
    memset(lane->taught, 0, gan_parts_dimension(model) * sizeof *lane->taught);
    for (size_t first = number * SOTTO_CHUNK_ROWS; first < batch; first += stride) {
        const size_t count = batch - first < SOTTO_CHUNK_ROWS ? batch - first : SOTTO_CHUNK_ROWS;
        float *x = model->batch.x + first * model->width;
        sotto_workspace_use(lane->discriminator, count);
        gan_fakes_forward(model, model->generator_weights, &model->batch, first, count, lane, lane->generator,
                          x, model->batch.slots + first * model->blocks);
        gan_judge(model, model->teacher, lane, x, first, count);
        gan_heads_backward(model, lane, &model->batch, first, count,
                           sotto_workspace_input_gradient(lane->discriminator), false, lane->out);
        add_taught(model, lane, first, count);
    }
}

/* The vector of the discriminator whose turn it is, over the batch of fakes. */
static void find_vector(gan *model)
{
    const unsigned threads = model->training.threads;
    const size_t batch = model->training.batch;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1 && batch > SOTTO_CHUNK_ROWS)
    for (size_t number = 0; number < SOTTO_LANES; number++)
        teach_lane(model, number);
    for (size_t k = 0; k < gan_parts_dimension(model); k++) {
        double sum = 0.0;
        for (size_t number = 0; number < SOTTO_LANES; number++)
            sum += model->lane[number].taught[k];
        model->vector[k] = sum / (double)batch;
    }
}

/* ---- what the generator makes of it: post-processing ---- */

/* Does the generator say what the block is? It is told the label and conditions. */
static bool is_said(const gan *model, size_t b)
{
    return b != model->target_block && model->condition_of[b] == SOTTO_NONE;
}

static void add_lesson(const gan *model, size_t row, float *out)
{
    const uint16_t *slots = model->batch.slots + row * model->blocks;
    for (size_t j = 0; j < model->features; j++) {
        const float by = (float)feature(model, row, j);
        const float *lesson = model->lesson + j * model->width;
        for (size_t b = 0; b < model->blocks && by != 0.0f; b++) {
            const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
            if (!is_said(model, b))
                continue;
            for (size_t s = block->slot_offset; s < block->slot_offset + block->slot_count; s++)
                out[s] += by * lesson[s];
            if (block->has_value && slots[b] >= block->rest_slot)
                out[block->value_offset] += by * lesson[block->value_offset];
        }
    }
}

/* The generator's pass: the anchor, whose gradient is public, and the lesson. No discriminator is in sight.
 */
static void lesson_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    gan *model = context;
    gan_lane *lane = &model->lane[chunk->lane];
    const size_t count = chunk->public_count;
    float *out = sotto_workspace_output_gradient(chunk->workspace);
    gan_fakes_forward(model, weights, &model->batch, chunk->public_first, count, lane, chunk->workspace,
                      model->batch.x + chunk->public_first * model->width,
                      model->batch.slots + chunk->public_first * model->blocks);
    gan_heads_backward(model, lane, &model->batch, chunk->public_first, count, lane->still, true, out);
    for (size_t i = 0; i < count; i++)
        add_lesson(model, chunk->public_first + i, out + i * model->width);
    sotto_network_backward(weights, chunk->workspace, false);
}

static void draw_fakes(gan *model, bool want_means)
{
    const size_t batch = model->training.batch;
    gan_batch_draw(model, &model->batch, model->stream, NULL, batch);
    gan_generate(model, model->generator_weights, &model->batch, batch, want_means);
}

/* ---- turns ---- */

/* Train the discriminator whose turn it is, and find its vector. */
static sotto_status ask(gan *model, sotto_parts *parts, sotto_error *err)
{
    const size_t batch = model->training.batch;
    sotto_status status = SOTTO_OK;
    for (uint64_t i = 0; i < model->training.discriminator_steps && status == SOTTO_OK; i++) {
        gan_clear_losses(model);
        draw_fakes(model, false);
        status = sotto_parts_learn(parts, batch, gan_discriminator_pass, model, err);
    }
    if (status != SOTTO_OK)
        return status;
    model->losses.real = gan_mean_loss(model, 0, sotto_parts_last(parts).batch);
    model->losses.fake = gan_mean_loss(model, 1, batch);
    draw_fakes(model, model->anchored);
    model->teacher = sotto_parts_weights(parts);
    find_vector(model);
    model->losses.generator = gan_mean_loss(model, 2, batch);
    return gan_all_read(model, err);
}

/* What the discriminator told, as it told it, outlives its turn nowhere. */
static void forget(gan *model)
{
    model->teacher = NULL;
    memset(model->vector, 0, gan_parts_dimension(model) * sizeof *model->vector);
}

static sotto_status take_turn(gan *model, sotto_parts *parts, sotto_error *err)
{
    const uint64_t turn = sotto_parts_turns(parts);
    sotto_status status = sotto_parts_begin(parts, err);
    if (status == SOTTO_OK)
        status = ask(model, parts, err);
    if (status == SOTTO_OK)
        status = sotto_parts_release(parts, model->vector, model->lesson, err);
    forget(model);
    if (status != SOTTO_OK)
        return status;
    sotto_public_step_seek(model->step, turn);
    sotto_public_step_take(model->step, model->training.batch, lesson_pass, model);
    sotto_ema_update(sotto_network_parameters(model->generator), model->training.ema,
                     model->generator_parameters, model->average);
    return SOTTO_OK;
}

sotto_status gan_round(sotto_model *base, sotto_parts *parts, sotto_error *err)
{
    gan *model = (gan *)base;
    sotto_status status = SOTTO_OK;
    for (size_t k = 0; k < sotto_parts_count(parts) && status == SOTTO_OK; k++)
        status = take_turn(model, parts, err);
    model->losses.discriminator_steps = model->training.discriminator_steps;
    return status;
}
