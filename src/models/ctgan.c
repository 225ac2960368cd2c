/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The conditional table GAN (Xu et al. 2019) on the machinery of the gan. Both networks are told, beside a
 * row, the value that one of its columns has, or is to have: its condition.
 *
 * A real row's condition is its own value in a column that a coin picks, so that it is a part of the row and
 * clipped with it; rows are sampled by their coins alone, never to suit a condition. A fake's condition is a
 * column, all alike, and a value drawn by the noisy marginals, the one release. Nothing here sees a count
 * without noise.
 */
#include <math.h>

#include "models/gan.h"

/* ---- networks ---- */

enum { MOST_LAYERS = 4 * SOTTO_MODEL_HIDDEN + 2 };

/*
 * From the second on, each hidden layer hands on its input beside its output, as in the paper; layer norm is
 * per row. The last layer sees h⊗y first.
 */
static sotto_status conditional_generator(gan *model, sotto_error *err)
{
    sotto_layer layers[MOST_LAYERS];
    const gan_trunk *trunk = &model->options.generator;
    const size_t labels = model->classes > 1 ? model->classes : 0;
    size_t count = 0, from = 0;
    model->last = labels;
    for (size_t i = 0; i < trunk->hidden.count; i++) {
        const bool last = i + 1 == trunk->hidden.count;
        layers[count++] = sotto_layer_dense(trunk->hidden.width[i]);
        if (trunk->layer_norm)
            layers[count++] = sotto_layer_norm();
        layers[count++] = gan_activation_layer(trunk->activation);
        if (last)
            layers[count++] = sotto_layer_by_class();
        if (i > 0)
            layers[count++] = sotto_layer_concat(from);
        from = count - 1;
        model->last += trunk->hidden.width[i] * (last ? model->classes : 1);
    }
    layers[count++] = sotto_layer_dense(model->width);
    return sotto_network_create(&model->generator, model->options.latent + model->told + model->named.width,
                                model->classes, layers, count, err);
}

/* ---- what conditions may name ---- */

sotto_status ctgan_plan(gan *model, const sotto_node *section, sotto_error *err)
{
    ctgan_conditions *conditions = &model->named;
    conditions->width = model->width;
    conditions->block = sotto_arena_take(model->arena, model->blocks, sizeof *conditions->block, err);
    conditions->drawn = sotto_arena_take(model->arena, model->classes, model->width * sizeof(double), err);
    conditions->pull = sotto_arena_take(model->arena, model->classes, model->width * sizeof(float), err);
    if (!conditions->block || !conditions->drawn || !conditions->pull)
        return SOTTO_ERROR_MEMORY;
    for (size_t b = 0; b < model->blocks; b++)
        if (b != model->target_block && sotto_encoder_block(model->base.encoder, b)->slot_count > 1)
            conditions->block[conditions->count++] = b;
    return conditions->count > 0
               ? SOTTO_OK
               : sotto_node_error(section, err,
                                  "no column of the schema can have more than one value: there is "
                                  "nothing to condition on");
}

bool ctgan_learn(gan *model)
{
    const ctgan_conditions *conditions = &model->named;
    bool sound = true;
    for (size_t k = 0; k < model->classes; k++)
        for (size_t c = 0; c < conditions->count; c++) {
            const sotto_block *block = sotto_encoder_block(model->base.encoder, conditions->block[c]);
            const size_t first = k * model->width + block->slot_offset;
            double sum = 0.0;
            for (size_t s = first; s < first + block->slot_count; s++) {
                sound = sound && model->marginals[s] >= 0.0f;
                conditions->drawn[s] = sum += (double)model->marginals[s];
                conditions->pull[s] = 5.0f - logf(fmaxf(model->marginals[s], 1e-5f));
            }
            sound = sound && sum > 0.0;
        }
    return sound;
}

/* ---- drawing ---- */

bool ctgan_names(const gan *model, size_t block)
{
    bool named = false;
    for (size_t c = 0; c < model->named.count; c++)
        named = named || model->named.block[c] == block;
    return named;
}

static void draw_conditions(const gan *model, gan_batch *batch, sotto_stream *stream, size_t count)
{
    const ctgan_conditions *conditions = &model->named;
    for (size_t i = 0; i < count; i++) {
        const size_t column = sotto_stream_below(stream, conditions->count);
        const sotto_block *block = sotto_encoder_block(model->base.encoder, conditions->block[column]);
        const double *law = conditions->drawn + batch->labels[i] * model->width + block->slot_offset;
        batch->wanted[i] =
            (uint32_t)(block->slot_offset + sotto_cumulative_draw(law, block->slot_count, stream));
    }
}

/* Labels' frequencies among rows that have `element`, [classes], by the noisy marginals: of sum 1. */
static void labels_beside(const gan *model, size_t element, double *frequency)
{
    double sum = 0.0;
    for (size_t k = 0; k < model->classes; k++)
        sum += frequency[k] =
            model->frequency[k] * fmax((double)model->marginals[k * model->width + element], 1e-5);
    for (size_t k = 0; k < model->classes; k++)
        frequency[k] = sum > 0.0 ? frequency[k] / sum : 1.0 / (double)model->classes;
}

/* How many rows of the label have an element, of all rows where it is SOTTO_NONE. */
static double share_of(const gan *model, size_t label, size_t element)
{
    double share = 0.0;
    for (size_t k = 0; k < model->classes; k++)
        if (label == SOTTO_NONE || label == k)
            share += model->frequency[k] * (double)model->marginals[k * model->width + element];
    return share;
}

/* Of what is wanted beside a label (SOTTO_NONE for any) the element that is rarest, for which drawing again
 * would take longest; SOTTO_NONE where nothing is wanted that can be named. */
static size_t rarest(const gan *model, size_t label, const size_t *wanted)
{
    size_t best = SOTTO_NONE;
    double least = INFINITY;
    for (size_t c = 0; c < model->named.count; c++) {
        const size_t b = model->named.block[c];
        if (wanted[b] == SOTTO_NONE)
            continue;
        const size_t element = sotto_encoder_block(model->base.encoder, b)->slot_offset + wanted[b];
        const double share = share_of(model, label, element);
        if (share < least) {
            least = share;
            best = element;
        }
    }
    return best;
}

void ctgan_draw(const gan *model, gan_batch *batch, sotto_stream *stream, const size_t *wanted, size_t count)
{
    const size_t target = model->target_block;
    const size_t label = wanted && target != SOTTO_NONE ? wanted[target] : SOTTO_NONE;
    const size_t element = wanted ? rarest(model, label, wanted) : SOTTO_NONE;
    double frequency[SOTTO_MODEL_CLASSES];
    if (element == SOTTO_NONE) {
        draw_conditions(model, batch, stream, count);
        return;
    }
    labels_beside(model, element, frequency);
    for (size_t i = 0; i < count; i++) {
        batch->wanted[i] = (uint32_t)element;
        if (label == SOTTO_NONE)
            batch->cells[i] = batch->labels[i] =
                (uint16_t)sotto_model_draw(frequency, model->classes, stream); /* a cell is a label here */
    }
}

uint32_t ctgan_condition_of(const gan *model, uint32_t unit, uint64_t coin)
{
    const ctgan_conditions *conditions = &model->named;
    const size_t column = (size_t)((coin >> 32) * conditions->count >> 32);
    const size_t b = conditions->block[column];
    const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
    return (uint32_t)(block->slot_offset + sotto_encoded_slot(model->data, unit, b));
}

const gan_dialect ctgan_dialect = {
    .type = "ctgan",
    .conditional = true,
    .generator = conditional_generator,
    .defaults = {.numbers = SOTTO_NUMBERS_MODES, GAN_DEFAULTS, .condition_weight = 1.0},
};
