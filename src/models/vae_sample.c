/* SPDX-License-Identifier: GPL-3.0-or-later */

/* From noise and a label to rows: post-processing of the decoder that was trained privately. */
#include <math.h>
#include <string.h>

#include "models/vae.h"

sotto_status vae_take_batch(vae *model, sotto_error *err)
{
    const size_t rows = SOTTO_MODEL_ROWS;
    model->latent = sotto_arena_take(model->arena, rows, model->options.latent * sizeof(float), err);
    model->labels = sotto_arena_take(model->arena, rows, sizeof *model->labels, err);
    model->uniforms = sotto_arena_take(model->arena, rows, model->blocks * sizeof(float), err);
    model->deviates = sotto_arena_take(model->arena, rows, model->blocks * sizeof(float), err);
    return model->latent && model->labels && model->uniforms && model->deviates ? SOTTO_OK
                                                                                : SOTTO_ERROR_MEMORY;
}

static void draw_batch(vae *model, sotto_stream *stream, size_t label, size_t count)
{
    sotto_stream_gaussian(stream, 1.0, model->latent, count * model->options.latent);
    for (size_t i = 0; i < count; i++)
        model->labels[i] = (uint16_t)(label != SOTTO_NONE
                                          ? label
                                          : sotto_model_draw(model->label_frequency, model->classes, stream));
    sotto_model_uniforms(stream, model->uniforms, count * model->blocks);
    if (model->options.numbers == SOTTO_NUMBERS_BOUNDED)
        sotto_stream_gaussian(stream, model->options.deviation, model->deviates, count * model->blocks);
}

/* A slot for each column is drawn from its softmax: the likeliest one would make all rows alike. */
static void draw_row(const vae *model, size_t row, const float *outputs, const float *soft, uint16_t *slots,
                     float *values)
{
    for (size_t b = 0; b < model->blocks; b++) {
        const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
        const size_t at = row * model->blocks + b;
        size_t slot = 0;
        if (b == model->target_block)
            slot = model->labels[row];
        else if (block->slot_count > 0)
            slot = sotto_model_pick(soft + block->slot_offset, block->slot_count, model->uniforms[at]);
        slots[at] = (uint16_t)slot;
        values[at] = 0.0f;
        if (block->has_value)
            values[at] = fminf(fmaxf(tanhf(outputs[block->value_offset]) + model->deviates[at], -1.0f), 1.0f);
    }
}

/* Rows [first, first + count) of the batch. */
static void draw_chunk(const vae *model, sotto_workspace *workspace, size_t first, size_t count,
                       uint16_t *slots, float *values)
{
    const size_t latent = model->options.latent;
    sotto_workspace_use(workspace, count);
    memcpy(sotto_workspace_input(workspace), model->latent + first * latent, count * latent * sizeof(float));
    memcpy(sotto_workspace_classes(workspace), model->labels + first, count * sizeof *model->labels);
    const float *outputs = sotto_network_forward(model->average_weights, workspace);
    float *soft = sotto_workspace_output_gradient(workspace); /* there is no way back: its room is free */
    memcpy(soft, outputs, count * model->width * sizeof *soft);
    sotto_tensor_softmax(count, model->width, model->segments, model->segment_count, soft);
    for (size_t i = 0; i < count; i++)
        draw_row(model, first + i, outputs + i * model->width, soft + i * model->width, slots, values);
}

static void draw_lane(const vae *model, size_t number, size_t count, uint16_t *slots, float *values)
{
    const size_t stride = (size_t)SOTTO_LANES * SOTTO_CHUNK_ROWS;
    for (size_t first = number * SOTTO_CHUNK_ROWS; first < count; first += stride) {
        const size_t rows = count - first < SOTTO_CHUNK_ROWS ? count - first : SOTTO_CHUNK_ROWS;
        draw_chunk(model, model->lane[number].decoder, first, rows, slots, values);
    }
}

sotto_status vae_sample(sotto_model *base, sotto_stream *stream, size_t target_slot, size_t count,
                        uint16_t *slots, float *values, sotto_error *err)
{
    vae *model = (vae *)base;
    const unsigned threads = model->training.threads;
    if (count > SOTTO_MODEL_ROWS)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "at most %d rows are sampled at once",
                               SOTTO_MODEL_ROWS);
    if (model->target_block == SOTTO_NONE)
        target_slot = SOTTO_NONE;
    if (target_slot != SOTTO_NONE && target_slot >= model->classes)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "there is no label number %zu", target_slot);
    draw_batch(model, stream, target_slot, count);
    sotto_weights_refresh(model->average_weights); /* read from a file, or averaged further */
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1 && count > SOTTO_CHUNK_ROWS)
    for (size_t number = 0; number < SOTTO_LANES; number++)
        draw_lane(model, number, count, slots, values);
    return SOTTO_OK;
}
