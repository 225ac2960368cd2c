/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The critic's step under a gradient penalty (Gulrajani et al. 2017). An example is a sampled row, a fake
 * paired with it, and a row on the line between them, and its loss
 *
 *     −D(real) + D(fake) + λ(‖∇D(between)‖ − 1)²
 *
 * is clipped as one (contract rule P5): the penalty looks at the real row through the row between. Which
 * fake, and where on the line, the unit's own seed decides, so that nobody else's presence changes what a
 * unit contributes. The fake is one of the row's own label, where there is one: then all three rows ask the
 * critic about one label.
 */
#include <string.h>

#include "models/gan.h"

sotto_status gan_pairs_take(gan *model, size_t rows, sotto_error *err)
{
    model->by_label = sotto_arena_take(model->arena, rows, sizeof *model->by_label, err);
    model->first_of_label = sotto_arena_take(model->arena, model->classes + 1, sizeof(size_t), err);
    return model->by_label && model->first_of_label ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

void gan_pairs_sort(gan *model, size_t count)
{
    size_t *first = model->first_of_label;
    memset(first, 0, (model->classes + 1) * sizeof *first);
    for (size_t i = 0; i < count; i++)
        first[model->batch.labels[i] + 1]++;
    for (size_t k = 0; k < model->classes; k++)
        first[k + 1] += first[k];
    for (size_t i = count; i-- > 0;) /* ends become beginnings again */
        model->by_label[--first[model->batch.labels[i] + 1]] = (uint32_t)i;
    memmove(first, first + 1, model->classes * sizeof *first);
    first[model->classes] = count;
}

/* Steele, Lea, Flood 2014, the finaliser of splitmix64: bits of one seed for several uses. */
static uint64_t mix(uint64_t seed)
{
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
    seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebu;
    return seed ^ (seed >> 31);
}

size_t gan_pairs_fake(const gan *model, size_t label, uint64_t seed)
{
    const size_t first = model->first_of_label[label], count = model->first_of_label[label + 1] - first;
    const uint32_t draw = (uint32_t)(mix(seed) >> 32); /* below 2³², as are the fakes of a batch */
    if (count == 0)
        return (size_t)((uint64_t)draw * model->first_of_label[model->classes] >> 32);
    return model->by_label[first + (size_t)((uint64_t)draw * count >> 32)];
}

/* In (0, 1). */
static float place_between(uint64_t seed)
{
    return ((float)(mix(seed + 0x9e3779b97f4a7c15u) >> 41) + 0.5f) * 0x1p-23f;
}

static void write_real(const gan *model, uint32_t row, float *x)
{
    memset(x, 0, model->width * sizeof *x);
    for (size_t b = 0; b < model->blocks; b++) {
        const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
        if (block->slot_count > 0)
            x[block->slot_offset + sotto_encoded_slot(model->data, row, b)] = 1.0f;
        if (block->has_value)
            x[block->value_offset] = sotto_encoded_value(model->data, row, b);
    }
}

/* The three rows of example i; a made-up one of a rehearsal has two fakes. */
static void write_example(const gan *model, const sotto_chunk *chunk, size_t i)
{
    const bool real = i < chunk->unit_count;
    const size_t number = real ? 0 : chunk->public_first + i - chunk->unit_count, width = model->width;
    float *x = sotto_workspace_input(chunk->workspace) + i * GAN_PAIR_ROWS * width;
    uint16_t *classes = sotto_workspace_classes(chunk->workspace) + i * GAN_PAIR_ROWS;
    const uint64_t seed = sotto_workspace_seeds(chunk->workspace)[i * GAN_PAIR_ROWS];
    size_t label = model->batch.labels[number];
    if (real && model->target_block == SOTTO_NONE)
        label = 0;
    else if (real)
        label = sotto_encoded_slot(model->data, chunk->units[i], model->target_block);
    if (real)
        write_real(model, chunk->units[i], x);
    else
        memcpy(x, model->batch.x + number * width, width * sizeof *x);
    const size_t fake = gan_pairs_fake(model, label, seed);
    const float place = place_between(seed);
    memcpy(x + width, model->batch.x + fake * width, width * sizeof *x);
    for (size_t j = 0; j < width; j++)
        x[2 * width + j] = place * x[j] + (1.0f - place) * x[width + j];
    classes[0] = classes[2] = (uint16_t)label;
    classes[1] = model->batch.labels[fake];
}

void gan_pairs_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    gan *model = context;
    gan_lane *lane = &model->lane[chunk->lane];
    const size_t count = chunk->unit_count + chunk->public_count;
    for (size_t i = 0; i < count; i++)
        write_example(model, chunk, i);
    const float *values = sotto_network_forward(weights, chunk->workspace);
    float *gradient = sotto_workspace_output_gradient(chunk->workspace);
    for (size_t i = 0; i < count; i++) {
        const size_t at = i * GAN_PAIR_ROWS;
        sotto_loss_discriminator(model->options.loss, true, 1, values + at, lane->values, gradient + at);
        sotto_loss_discriminator(model->options.loss, false, 1, values + at + 1, lane->values + 1,
                                 gradient + at + 1);
        gradient[at + 2] = 1.0f;
        lane->losses[0] += lane->values[0];
        lane->losses[1] += lane->values[1];
    }
    sotto_network_backward(weights, chunk->workspace, false);
    sotto_network_penalty(weights, chunk->workspace, model->options.penalty, lane->values);
    for (size_t i = 0; i < count; i++)
        lane->losses[0] += lane->values[i];
}
