/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Training (Kingma and Welling 2014; of tables, Xu et al. 2019): a row's loss is the cross-entropy of what
 * the decoder says of its columns, and the divergence of its latent law from the prior, which the network's
 * draw adds. Encoder and decoder see real rows, so both are trained by the private step, which clips a row's
 * gradient in both together (contract rule P5).
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "models/vae.h"

/* Softmax of a column's slots, in `gradient` already, against the row's own. */
static double slot_loss(const sotto_block *block, size_t slot, float *gradient)
{
    float *soft = gradient + block->slot_offset;
    const double loss = -log(fmax((double)soft[slot], FLT_MIN));
    soft[slot] -= 1.0f;
    return loss;
}

/* A normal law around what the decoder says, in the bounds: ½((tanh(a) − v)/deviation)². */
static double value_loss(const vae *model, float value, float *gradient)
{
    const double said = tanh((double)*gradient);
    const double off = (said - (double)value) / model->options.deviation;
    *gradient = (float)(off / model->options.deviation * (1.0 - said * said));
    return 0.5 * off * off;
}

double vae_row_loss(const vae *model, const uint16_t *slots, const float *values, float *gradient)
{
    double loss = 0.0;
    for (size_t b = 0; b < model->blocks; b++) {
        const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
        if (b == model->target_block) { /* it is told the label, and need not say it */
            memset(gradient + block->slot_offset, 0, block->slot_count * sizeof *gradient);
            continue;
        }
        if (block->slot_count > 0)
            loss += slot_loss(block, slots[b], gradient);
        if (block->has_value && (block->slot_count == 0 || slots[b] == block->rest_slot))
            loss += value_loss(model, values[b], gradient + block->value_offset);
        else if (block->has_value)
            gradient[block->value_offset] = 0.0f;
    }
    return loss;
}

/* A row of the table, or a made-up one of a rehearsal. */
static void read_row(const vae *model, const sotto_chunk *chunk, size_t i, uint16_t *slots, float *values)
{
    for (size_t b = 0; b < model->blocks; b++) {
        const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
        const bool real = i < chunk->unit_count;
        slots[b] = (uint16_t)(real                    ? sotto_encoded_slot(model->data, chunk->units[i], b)
                              : block->slot_count > 0 ? i % block->slot_count
                                                      : 0);
        values[b] = real ? sotto_encoded_value(model->data, chunk->units[i], b) : 0.0f;
    }
}

/* The encoder lays columns out in ascending order; a step of which a chunk had no input is not released. */
static void give_rows(const vae *model, vae_lane *lane, const sotto_chunk *chunk, size_t count)
{
    sotto_entries rows = lane->entries;
    uint16_t *classes = sotto_workspace_classes(chunk->workspace);
    for (size_t i = 0; i < count; i++) {
        const size_t row = i * model->blocks;
        read_row(model, chunk, i, lane->slots + row, lane->values + row);
        for (size_t b = 0; b < model->blocks; b++)
            sotto_entries_add(&rows, sotto_encoder_block(model->base.encoder, b), lane->slots[row + b],
                              lane->values[row + b]);
        if (model->target_block != SOTTO_NONE)
            classes[i] = lane->slots[row + model->target_block];
    }
    if (sotto_workspace_entries(chunk->workspace, count, model->entries, rows.columns, rows.values, NULL) !=
        SOTTO_OK)
        lane->unread = true;
}

static void pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    vae *model = context;
    vae_lane *lane = &model->lane[chunk->lane];
    const size_t count = chunk->unit_count + chunk->public_count;
    give_rows(model, lane, chunk, count);
    const float *outputs = sotto_network_forward(weights, chunk->workspace);
    float *gradient = sotto_workspace_output_gradient(chunk->workspace);
    memcpy(gradient, outputs, count * model->width * sizeof *gradient);
    sotto_tensor_softmax(count, model->width, model->segments, model->segment_count, gradient);
    for (size_t i = 0; i < count; i++)
        lane->loss += vae_row_loss(model, lane->slots + i * model->blocks, lane->values + i * model->blocks,
                                   gradient + i * model->width);
    sotto_network_backward(weights, chunk->workspace, false);
}

/* What is released: the decoder, averaged over the last steps; over all of them while there are few. */
static void average(vae *model, uint64_t steps)
{
    const size_t count = sotto_network_parameters(model->decoder);
    const float *end = model->parameters + sotto_network_parameters(model->whole);
    const double young = (double)steps / ((double)steps + 9.0);
    sotto_ema_update(count, fmin(model->training.ema, young), end - count, model->average);
}

sotto_status vae_step(sotto_model *base, sotto_dpsgd *step, sotto_error *err)
{
    vae *model = (vae *)base;
    double loss = 0.0;
    for (size_t i = 0; i < SOTTO_LANES; i++)
        model->lane[i].loss = 0.0;
    sotto_status status = sotto_dpsgd_begin(step, err);
    if (status == SOTTO_OK)
        status = sotto_dpsgd_accumulate(step, model->training.rehearsal ? model->training.batch : 0, pass,
                                        model, err);
    for (size_t i = 0; i < SOTTO_LANES && status == SOTTO_OK; i++) {
        loss += model->lane[i].loss;
        if (model->lane[i].unread)
            status =
                sotto_error_set(err, SOTTO_ERROR_INPUT, "encoded rows are not in the order of their columns");
    }
    if (status == SOTTO_OK)
        status = sotto_dpsgd_end(step, err);
    if (status != SOTTO_OK)
        return status;
    const size_t batch = sotto_dpsgd_last(step).batch;
    model->losses.real = batch ? loss / (double)batch : 0.0;
    average(model, sotto_dpsgd_steps(step));
    return SOTTO_OK;
}
