/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Training (Goodfellow et al. 2014; under privacy, Bie, Kamath, Zhang 2023): the discriminator's update is
 * the private step, since its loss touches real rows; the generator's is post-processing, since it sees only
 * noise, the private discriminator and the noisy marginals. Several of the first for each of the second.
 */
#include <string.h>

#include "models/gan.h"

/* A row's condition stands behind the row. */
static void add_condition(const gan *model, uint32_t element, sotto_entries *to)
{
    to->columns[to->count] = (uint32_t)model->width + element;
    to->values[to->count++] = 1.0f;
}

/* Rows of the table; a row's coin, which the private step draws for each unit of a batch, picks the column
 * that its condition names. */
static void add_real(const gan *model, const uint32_t *units, const uint64_t *coins, size_t count,
                     sotto_entries *to)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t b = 0; b < model->blocks; b++)
            sotto_entries_add(to, sotto_encoder_block(model->base.encoder, b),
                              sotto_encoded_slot(model->data, units[i], b),
                              sotto_encoded_value(model->data, units[i], b));
        if (model->dialect->conditional)
            add_condition(model, ctgan_condition_of(model, units[i], coins[i]), to);
    }
}

/* Rows that the generator has made, from the batch's row `first` on: x [count, width]. */
static void add_fakes(const gan *model, const gan_batch *batch, const float *x, size_t first, size_t count,
                      sotto_entries *to)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t b = 0; b < model->blocks; b++) {
            const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
            sotto_entries_add(to, block, batch->slots[(first + i) * model->blocks + b],
                              block->has_value ? x[i * model->width + block->value_offset] : 0.0f);
        }
        if (model->dialect->conditional)
            add_condition(model, batch->wanted[first + i], to);
    }
}

/* The encoder lays columns out in ascending order; a step of which a chunk had no input is not released. */
static void give(gan_lane *lane, sotto_workspace *workspace, size_t count, const gan *model,
                 const sotto_entries *rows)
{
    if (sotto_workspace_entries(workspace, count, model->entries, rows->columns, rows->values, NULL) !=
        SOTTO_OK)
        lane->unread = true;
}

void gan_discriminator_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    gan *model = context;
    gan_lane *lane = &model->lane[chunk->lane];
    const size_t real = chunk->unit_count;
    const size_t fake = chunk->public_count;
    uint16_t *classes = sotto_workspace_classes(chunk->workspace);
    sotto_entries rows = lane->entries;
    add_real(model, chunk->units, sotto_workspace_seeds(chunk->workspace), real, &rows);
    add_fakes(model, &model->batch, model->batch.x + chunk->public_first * model->width, chunk->public_first,
              fake, &rows);
    give(lane, chunk->workspace, real + fake, model, &rows);
    for (size_t i = 0; i < real && model->target_block != SOTTO_NONE; i++)
        classes[i] = (uint16_t)sotto_encoded_slot(model->data, chunk->units[i], model->target_block);
    for (size_t i = 0; i < fake; i++)
        classes[real + i] = model->batch.labels[chunk->public_first + i];

    const float *logits = sotto_network_forward(weights, chunk->workspace);
    float *gradient = sotto_workspace_output_gradient(chunk->workspace);
    sotto_loss_discriminator(model->options.loss, true, real, logits, lane->values, gradient);
    sotto_loss_discriminator(model->options.loss, false, fake, logits + real, lane->values + real,
                             gradient + real);
    for (size_t i = 0; i < real + fake; i++)
        lane->losses[i < real ? 0 : 1] += lane->values[i];
    sotto_network_backward(weights, chunk->workspace, false);
}

void gan_judge(gan *model, const sotto_weights *weights, gan_lane *lane, const float *x, size_t first,
               size_t count)
{
    sotto_entries rows = lane->entries;
    add_fakes(model, &model->batch, x, first, count, &rows);
    give(lane, lane->discriminator, count, model, &rows);
    memcpy(sotto_workspace_classes(lane->discriminator), model->batch.labels + first,
           count * sizeof *model->batch.labels);
    const float *logits = sotto_network_forward(weights, lane->discriminator);
    sotto_loss_generator(model->options.loss, count, logits, lane->values,
                         sotto_workspace_output_gradient(lane->discriminator));
    for (size_t i = 0; i < count; i++)
        lane->losses[2] += lane->values[i];
    for (size_t i = 0; i < count; i++)
        lane->found_out += logits[i] < 0.0f;
    sotto_network_backward(weights, lane->discriminator, true);
}

/* The generator's pass: latent → row → the discriminator's logit, and all the way back. */
static void generator_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    gan *model = context;
    gan_lane *lane = &model->lane[chunk->lane];
    const size_t count = chunk->public_count;
    sotto_workspace_use(lane->discriminator, count);
    float *x = sotto_workspace_input(lane->discriminator);
    uint16_t *slots = model->batch.slots + chunk->public_first * model->blocks;
    gan_fakes_forward(model, weights, &model->batch, chunk->public_first, count, lane, chunk->workspace, x,
                      slots);
    gan_judge(model, model->discriminator_weights, lane, x, chunk->public_first, count);
    gan_heads_backward(model, lane, &model->batch, chunk->public_first, count,
                       sotto_workspace_input_gradient(lane->discriminator), true,
                       sotto_workspace_output_gradient(chunk->workspace));
    sotto_network_backward(weights, chunk->workspace, false);
}

void gan_clear_losses(gan *model)
{
    for (size_t i = 0; i < SOTTO_LANES; i++) {
        memset(model->lane[i].losses, 0, sizeof model->lane[i].losses);
        model->lane[i].found_out = 0;
    }
}

double gan_mean_loss(const gan *model, size_t kind, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < SOTTO_LANES; i++)
        sum += model->lane[i].losses[kind];
    return count ? sum / (double)count : 0.0;
}

/* The share of the generator's batch that the discriminator calls fakes. */
static double found_out(const gan *model, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < SOTTO_LANES; i++)
        sum += model->lane[i].found_out;
    return (double)sum / (double)count;
}

static void train_generator(gan *model, uint64_t private_steps)
{
    const size_t batch = model->training.batch;
    sotto_public_step_seek(model->step, private_steps - 1);
    gan_batch_draw(model, &model->batch, model->stream, NULL, batch);
    sotto_public_step_take(model->step, batch, generator_pass, model);
    model->losses.generator = gan_mean_loss(model, 2, batch);
    gan_ladder_tell(&model->ladder, found_out(model, batch));
    sotto_ema_update(sotto_network_parameters(model->generator), model->training.ema,
                     model->generator_parameters, model->average);
}

sotto_status gan_all_read(const gan *model, sotto_error *err)
{
    for (size_t i = 0; i < SOTTO_LANES; i++)
        if (model->lane[i].unread)
            return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                   "encoded rows are not in the order of their columns");
    return SOTTO_OK;
}

sotto_status gan_step(sotto_model *base, sotto_dpsgd *step, sotto_error *err)
{
    gan *model = (gan *)base;
    const size_t batch = model->training.batch;
    sotto_status status = sotto_dpsgd_begin(step, err);
    if (status != SOTTO_OK) /* a step that cannot be paid for leaves nothing behind: the model may be saved */
        return status;
    const bool generator_turn = gan_ladder_turn(&model->ladder);
    gan_clear_losses(model);
    gan_batch_draw(model, &model->batch, model->stream, NULL, batch);
    gan_generate(model, model->generator_weights, &model->batch, batch, generator_turn && model->anchored);
    if (model->options.penalty > 0) {
        gan_pairs_sort(model, batch);
        status =
            sotto_dpsgd_accumulate(step, model->training.rehearsal ? batch : 0, gan_pairs_pass, model, err);
    } else {
        status = sotto_dpsgd_accumulate(step, batch, gan_discriminator_pass, model, err);
    }
    if (status == SOTTO_OK)
        status = gan_all_read(model, err);
    if (status == SOTTO_OK)
        status = sotto_dpsgd_end(step, err);
    if (status != SOTTO_OK)
        return status;
    const size_t real = sotto_dpsgd_last(step).batch;
    model->losses.real = gan_mean_loss(model, 0, real);
    model->losses.fake = gan_mean_loss(model, 1, model->options.penalty > 0 ? real : batch);
    model->losses.discriminator_steps = model->ladder.steps;
    if (generator_turn)
        train_generator(model, sotto_dpsgd_steps(step));
    return SOTTO_OK;
}
