/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Noisy counts for the generator: how often each slot occurs under each label. They give the labels'
 * frequencies, set the generator's output biases, and anchor its mean output while the discriminator teaches
 * it the rest. Everything after the counts are noisy is post-processing.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/gan.h"

sotto_status gan_tables_plan(gan *model, sotto_error *err)
{
    model->table_size = sotto_arena_take(model->arena, model->blocks, sizeof *model->table_size, err);
    model->table_block = sotto_arena_take(model->arena, model->blocks, sizeof *model->table_block, err);
    if (!model->table_size || !model->table_block)
        return SOTTO_ERROR_MEMORY;
    model->table_count = 0;
    model->anchored = model->options.tables == GAN_TABLES_PER_LABEL;
    for (size_t b = 0; b < model->blocks && model->anchored; b++) {
        const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
        if (b == model->target_block || model->condition_of[b] != SOTTO_NONE || block->slot_count < 2)
            continue;
        model->table_size[model->table_count] = model->classes * block->slot_count;
        model->table_block[model->table_count++] = b;
    }
    model->anchored = model->table_count > 0;
    if (model->combinations > 1 || (!model->anchored && model->target_block != SOTTO_NONE)) {
        model->table_size[model->table_count] = model->cells;
        model->table_block[model->table_count++] = SOTTO_NONE;
    }
    return SOTTO_OK;
}

static size_t cell(const void *context, uint32_t unit, size_t table)
{
    const gan *model = context;
    const size_t block = model->table_block[table];
    if (block == SOTTO_NONE)
        return gan_cell_of_row(model, unit);
    size_t label =
        model->target_block == SOTTO_NONE ? 0 : sotto_encoded_slot(model->data, unit, model->target_block);
    size_t slots = sotto_encoder_block(model->base.encoder, block)->slot_count;
    return label * slots + sotto_encoded_slot(model->data, unit, block);
}

sotto_counts_query gan_tables_query(const gan *model)
{
    return (sotto_counts_query){
        .tables = model->table_count, .table_size = model->table_size, .cell = cell, .context = model};
}

/* The weights that a one-hot label multiplies in the generator's last layer are biases of the outputs, by
 * label. */
static void set_output_biases(gan *model)
{
    const size_t hidden = model->options.generator.hidden.width[model->options.generator.hidden.count - 1];
    float *biases = model->generator_parameters + sotto_network_parameters(model->generator) - model->width;
    if (model->classes > 1)
        biases -= (model->last - hidden * model->classes) * model->width;
    for (size_t i = 0; i < model->classes * model->width; i++)
        biases[i] = model->marginals[i] > 0.0f ? logf(model->marginals[i]) : 0.0f;
}

/* How often each cell occurs. A combination that noise took to 0 keeps a billionth of an equal share: rows of
 * it can be asked for, and then have labels and other conditions as they have them in general. */
static void give_cells(gan *model, const double *counts, const double *totals, double all, double *values,
                       double *order)
{
    const size_t combinations = model->combinations;
    for (size_t k = 0; k < model->classes; k++) {
        memcpy(values, counts + k * combinations, combinations * sizeof *values);
        sotto_simplex_project(values, combinations, totals[k], order);
        for (size_t c = 0; c < combinations; c++)
            model->frequency[k * combinations + c] =
                fmax(values[c], 1e-9 * totals[k] / (double)combinations) / all;
    }
}

/* How often each slot of a block occurs under each label. */
static void give_marginals(gan *model, const sotto_block *block, const double *counts, const double *totals,
                           double *values, double *order)
{
    for (size_t k = 0; k < model->classes; k++) {
        memcpy(values, counts + k * block->slot_count, block->slot_count * sizeof *values);
        sotto_simplex_project(values, block->slot_count, totals[k], order);
        /* A slot that noise took to 0 keeps one part in 10⁵: its softmax must stay finite. */
        for (size_t s = 0; s < block->slot_count; s++)
            model->marginals[k * model->width + block->slot_offset + s] =
                (float)fmax(values[s] / totals[k], 1e-5);
    }
}

sotto_status gan_tables_give(gan *model, const double *counts, sotto_error *err)
{
    size_t largest = model->classes;
    for (size_t t = 0; t < model->table_count; t++)
        largest = model->table_size[t] > largest ? model->table_size[t] : largest;
    double *scratch = calloc(3 * largest, sizeof *scratch);
    if (!scratch)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for noisy marginals");
    double *totals = scratch;
    double *order = scratch + largest;
    double *values = scratch + 2 * largest;
    sotto_label_totals(counts, model->table_size, model->table_count, model->classes, totals);
    double all = 0.0;
    for (size_t k = 0; k < model->classes; k++)
        all += totals[k];
    for (size_t k = 0; k < model->classes && model->combinations == 1; k++)
        model->frequency[k] = totals[k] / all;
    for (size_t t = 0; t < model->table_count; t++) {
        const size_t b = model->table_block[t];
        if (b != SOTTO_NONE)
            give_marginals(model, sotto_encoder_block(model->base.encoder, b), counts, totals, values, order);
        else if (model->combinations > 1)
            give_cells(model, counts, totals, all, values, order);
        counts += model->table_size[t];
    }
    if (model->anchored)
        set_output_biases(model);
    if (model->dialect->conditional)
        (void)ctgan_learn(model);
    sotto_weights_refresh(model->generator_weights);
    memcpy(model->average, model->generator_parameters,
           sotto_network_parameters(model->generator) * sizeof *model->average);
    free(scratch);
    return SOTTO_OK;
}
