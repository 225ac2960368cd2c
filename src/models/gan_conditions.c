/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What the generator is told of a row before it makes it: a label, and a value of each further condition. One
 * number says all of it, the *cell* label·combinations + combination, in which the last condition runs
 * fastest. How often each cell occurs is known from one noisy table that was charged: neither training nor
 * sampling draws a fake's conditions from anything else.
 */
#include "models/gan.h"

sotto_status gan_conditions_plan(gan *model, sotto_error *err)
{
    const gan_options *options = &model->options;
    model->combinations = 1;
    model->told = model->classes > 1 ? model->classes : 0;
    model->condition_of = sotto_arena_take(model->arena, model->blocks, sizeof *model->condition_of, err);
    model->wanted = sotto_arena_take(model->arena, model->blocks, sizeof *model->wanted, err);
    if (!model->condition_of || !model->wanted)
        return SOTTO_ERROR_MEMORY;
    for (size_t b = 0; b < model->blocks; b++)
        model->condition_of[b] = SOTTO_NONE;
    for (size_t j = 0; j < options->condition_count; j++) {
        const size_t b = sotto_encoder_find(model->base.encoder, options->condition[j]);
        model->condition_of[b] = j;
        model->condition_block[j] = b;
        model->condition_slots[j] = sotto_encoder_block(model->base.encoder, b)->slot_count;
        model->combinations *= model->condition_slots[j]; /* of at most GAN_CELLS, as parsed */
        model->told += model->condition_slots[j];
    }
    model->cells = model->classes * model->combinations;
    model->frequency = sotto_arena_take(model->arena, model->cells, sizeof(double), err);
    model->cumulative = sotto_arena_take(model->arena, model->cells, sizeof(double), err);
    if (!model->frequency || !model->cumulative)
        return SOTTO_ERROR_MEMORY;
    for (size_t c = 0; c < model->cells; c++) /* until counts are given */
        model->frequency[c] = 1.0 / (double)model->cells;
    return SOTTO_OK;
}

size_t gan_cell_of_row(const gan *model, uint32_t unit)
{
    size_t cell =
        model->target_block == SOTTO_NONE ? 0 : sotto_encoded_slot(model->data, unit, model->target_block);
    for (size_t j = 0; j < model->options.condition_count; j++)
        cell = cell * model->condition_slots[j] +
               sotto_encoded_slot(model->data, unit, model->condition_block[j]);
    return cell;
}

size_t gan_cell_label(const gan *model, size_t cell)
{
    return cell / model->combinations;
}

size_t gan_cell_slot(const gan *model, size_t cell, size_t condition)
{
    for (size_t j = model->options.condition_count; --j > condition;)
        cell /= model->condition_slots[j];
    return cell % model->condition_slots[condition];
}

void gan_cell_tell(const gan *model, size_t cell, float *input)
{
    for (size_t i = 0; i < model->told; i++)
        input[i] = 0.0f;
    if (model->classes > 1) {
        input[gan_cell_label(model, cell)] = 1.0f;
        input += model->classes;
    }
    for (size_t j = 0; j < model->options.condition_count; j++) {
        input[gan_cell_slot(model, cell, j)] = 1.0f;
        input += model->condition_slots[j];
    }
}

static bool agrees(const gan *model, size_t cell, const size_t *wanted)
{
    const size_t target = model->target_block;
    if (target != SOTTO_NONE && wanted[target] != SOTTO_NONE && wanted[target] != gan_cell_label(model, cell))
        return false;
    for (size_t j = 0; j < model->options.condition_count; j++) {
        const size_t slot = wanted[model->condition_block[j]];
        if (slot != SOTTO_NONE && slot != gan_cell_slot(model, cell, j))
            return false;
    }
    return true;
}

void gan_cells_draw(const gan *model, sotto_stream *stream, const size_t *wanted, size_t count,
                    uint32_t *cells)
{
    double sum = 0.0;
    size_t allowed = 0, last = 0;
    for (size_t c = 0; c < model->cells; c++) {
        if (!wanted || agrees(model, c, wanted)) {
            sum += model->frequency[c];
            allowed++;
            last = c;
        }
        model->cumulative[c] = sum;
    }
    for (size_t i = 0; i < count; i++)
        cells[i] =
            (uint32_t)(allowed == 1 ? last : sotto_cumulative_draw(model->cumulative, model->cells, stream));
}
