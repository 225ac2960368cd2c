/* SPDX-License-Identifier: GPL-3.0-or-later */

/* From noise to rows, and back through the heads: everything here is post-processing. */
#include <math.h>
#include <string.h>

#include "models/gan.h"

/* In modes a value is drawn too: one uniform more for each block. */
static size_t spreads(const gan *model)
{
    return model->options.numbers == SOTTO_NUMBERS_MODES ? model->blocks : 0;
}

sotto_status gan_batch_take(gan *model, gan_batch *batch, size_t rows, sotto_error *err)
{
    sotto_arena *arena = model->arena;
    batch->rows = rows;
    batch->draws = (model->options.heads == GAN_GUMBEL ? model->width : model->blocks) + spreads(model);
    batch->latent = sotto_arena_take(arena, rows, model->options.latent * sizeof(float), err);
    batch->cells = sotto_arena_take(arena, rows, sizeof *batch->cells, err);
    batch->labels = sotto_arena_take(arena, rows, sizeof *batch->labels, err);
    batch->wanted = sotto_arena_take(arena, rows, sizeof *batch->wanted, err);
    batch->uniforms = sotto_arena_take(arena, rows, batch->draws * sizeof(float), err);
    batch->x = sotto_arena_take(arena, rows, model->width * sizeof(float), err);
    batch->slots = sotto_arena_take(arena, rows, model->blocks * sizeof *batch->slots, err);
    bool complete = batch->latent && batch->cells && batch->labels && batch->wanted && batch->uniforms &&
                    batch->x && batch->slots;
    return complete ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

void gan_batch_draw(const gan *model, gan_batch *batch, sotto_stream *stream, const size_t *wanted,
                    size_t count)
{
    sotto_stream_gaussian(stream, 1.0, batch->latent, count * model->options.latent);
    gan_cells_draw(model, stream, wanted, count, batch->cells);
    for (size_t i = 0; i < count; i++)
        batch->labels[i] = (uint16_t)gan_cell_label(model, batch->cells[i]);
    if (model->dialect->conditional)
        ctgan_draw(model, batch, stream, wanted, count);
    sotto_model_uniforms(stream, batch->uniforms, count * batch->draws);
}

/* Gumbel-max: argmax of logits − log(−log u) is a draw from the softmax; its relaxation, which takes the
 * place of the logits, carries the gradient. */
static size_t pick_gumbel(float *relaxed, const float *uniforms, size_t count, float temperature)
{
    size_t best = 0;
    for (size_t s = 0; s < count; s++) {
        relaxed[s] = (relaxed[s] - logf(-logf(uniforms[s]))) / temperature;
        if (relaxed[s] > relaxed[best])
            best = s;
    }
    const float top = relaxed[best];
    float sum = 0.0f;
    for (size_t s = 0; s < count; s++)
        sum += relaxed[s] = expf(relaxed[s] - top);
    for (size_t s = 0; s < count; s++)
        relaxed[s] /= sum;
    return best;
}

/*
 * Bounded: tanh of the logit l. In modes a value is a draw from [−1, 1], uniform at l = 0: a logit says which
 * way the numbers in a bin lean, not where they all are. It is then rounded as the decoder would, so that no
 * fake is known by a value that no row can have. The unrounded value takes the place of the logit.
 */
static float row_value(const gan *model, size_t b, size_t slot, float u, float *relaxed)
{
    if (model->options.numbers != SOTTO_NUMBERS_MODES)
        return *relaxed = tanhf(*relaxed);
    *relaxed = tanhf(*relaxed + 0.5f * logf(u / (1.0f - u)));
    return sotto_encoder_round(model->base.encoder, b, slot, *relaxed);
}

/* One row: a slot for each block, one-hot in x, and the bounded value where it speaks. `relaxed` holds the
 * logits. */
static void row_heads(const gan *model, const float *soft, const float *uniforms, size_t cell, float *relaxed,
                      float *x, uint16_t *slots)
{
    const float *spread =
        spreads(model) ? uniforms + model->batch.draws - spreads(model) : NULL; /* every batch has as many */
    memset(x, 0, model->width * sizeof *x);
    for (size_t b = 0; b < model->blocks; b++) {
        const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
        const size_t offset = block->slot_offset;
        size_t slot = block->rest_slot;
        if (b == model->target_block)
            slot = gan_cell_label(model, cell);
        else if (model->condition_of[b] != SOTTO_NONE)
            slot = gan_cell_slot(model, cell, model->condition_of[b]);
        else if (block->slot_count > 0 && model->options.heads == GAN_GUMBEL)
            slot = pick_gumbel(relaxed + offset, uniforms + offset, block->slot_count,
                               (float)model->options.temperature);
        else if (block->slot_count > 0)
            slot = sotto_model_pick(soft + offset, block->slot_count, uniforms[b]);
        if (block->slot_count > 0)
            x[offset + slot] = 1.0f;
        if (block->has_value && slot >= block->rest_slot)
            x[block->value_offset] =
                row_value(model, b, slot, spread ? spread[b] : 0.5f, relaxed + block->value_offset);
        slots[b] = (uint16_t)slot;
    }
}

void gan_fakes_forward(gan *model, const sotto_weights *weights, const gan_batch *batch, size_t first,
                       size_t count, gan_lane *lane, sotto_workspace *workspace, float *x, uint16_t *slots)
{
    const size_t latent = model->options.latent;
    const size_t inputs = sotto_network_inputs(model->generator);
    sotto_workspace_use(workspace, count);
    float *input = sotto_workspace_input(workspace);
    uint16_t *classes = sotto_workspace_classes(workspace);
    for (size_t i = 0; i < count; i++) {
        memcpy(input + i * inputs, batch->latent + (first + i) * latent, latent * sizeof *input);
        gan_cell_tell(model, batch->cells[first + i], input + i * inputs + latent);
        if (model->dialect->conditional) {
            float *condition = input + (i + 1) * inputs - model->named.width;
            memset(condition, 0, model->named.width * sizeof *condition);
            condition[batch->wanted[first + i]] = 1.0f;
        }
        classes[i] = batch->labels[first + i];
    }
    const float *logits = sotto_network_forward(weights, workspace);
    memcpy(lane->relaxed, logits, count * model->width * sizeof *lane->relaxed);
    for (size_t i = 0; i < count && model->dialect->conditional; i++) {
        const uint32_t wanted = batch->wanted[first + i];
        lane->relaxed[i * model->width + wanted] += model->named.pull[classes[i] * model->width + wanted];
    }
    memcpy(lane->soft, lane->relaxed, count * model->width * sizeof *lane->soft);
    sotto_tensor_softmax(count, model->width, model->segments, model->segment_count, lane->soft);
    for (size_t i = 0; i < count; i++)
        row_heads(model, lane->soft + i * model->width, batch->uniforms + (first + i) * batch->draws,
                  batch->cells[first + i], lane->relaxed + i * model->width, x + i * model->width,
                  slots + i * model->blocks);
}

static void add_means(const gan *model, gan_lane *lane, const uint16_t *labels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < model->width; j++)
            lane->means[labels[i] * model->width + j] += (double)lane->soft[i * model->width + j];
}

static void generate_lane(gan *model, const sotto_weights *weights, gan_batch *batch, size_t count,
                          size_t number, bool want_means)
{
    gan_lane *lane = &model->lane[number];
    const size_t stride = (size_t)SOTTO_LANES * SOTTO_CHUNK_ROWS;
    if (want_means)
        memset(lane->means, 0, model->classes * model->width * sizeof *lane->means);
    for (size_t first = number * SOTTO_CHUNK_ROWS; first < count; first += stride) {
        size_t rows = count - first < SOTTO_CHUNK_ROWS ? count - first : SOTTO_CHUNK_ROWS;
        gan_fakes_forward(model, weights, batch, first, rows, lane, lane->generator,
                          batch->x + first * model->width, batch->slots + first * model->blocks);
        if (want_means)
            add_means(model, lane, batch->labels + first, rows);
    }
}

static void gather_means(gan *model, const gan_batch *batch, size_t count)
{
    for (size_t k = 0; k < model->classes; k++) {
        size_t rows = 0;
        for (size_t i = 0; i < count; i++)
            rows += batch->labels[i] == k;
        for (size_t j = 0; j < model->width; j++) {
            double sum = 0.0;
            for (size_t lane = 0; lane < SOTTO_LANES; lane++)
                sum += model->lane[lane].means[k * model->width + j];
            model->means[k * model->width + j] = rows ? sum / (double)rows : 0.0;
        }
    }
}

void gan_generate(gan *model, const sotto_weights *weights, gan_batch *batch, size_t count, bool want_means)
{
    const unsigned threads = model->training.threads;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1 && count > SOTTO_CHUNK_ROWS)
    for (size_t number = 0; number < SOTTO_LANES; number++)
        generate_lane(model, weights, batch, count, number, want_means);
    if (want_means)
        gather_means(model, batch, count);
}

/*
 * The anchor: cross-entropy −Σ m log p̄ between the noisy marginals m and the generator's mean softmax p̄ under
 * each label. Its gradient with respect to one row's softmax is −m/p̄ (times the weight; the mean over the
 * batch is taken by the step). Ratios are capped so that a slot that no fake has yet reached does not swamp a
 * step.
 */
static void anchor_gradient(const gan *model, const sotto_block *block, size_t label, float *gradient)
{
    const float *wanted = model->marginals + label * model->width + block->slot_offset;
    const double *mean = model->means + label * model->width + block->slot_offset;
    for (size_t s = 0; s < block->slot_count; s++)
        gradient[s] = -(float)(model->options.weight * fmin((double)wanted[s] / fmax(mean[s], 1e-6), 20.0));
}

/* dl = y·(g − Σ g·y)·scale: back through a softmax y. */
static void add_softmax_backward(const float *y, const float *g, size_t count, float scale, float *dl)
{
    float inner = 0.0f;
    for (size_t s = 0; s < count; s++)
        inner += g[s] * y[s];
    for (size_t s = 0; s < count; s++)
        dl[s] += y[s] * (g[s] - inner) * scale;
}

/* The condition's cross-entropy −log y of the slot that it names: its gradient is y − 1 there, y elsewhere.
 */
static void add_condition(const sotto_block *block, const float *soft, size_t slot, float weight, float *dl)
{
    for (size_t s = 0; s < block->slot_count; s++)
        dl[s] += weight * (soft[s] - (s == slot ? 1.0f : 0.0f));
}

void gan_heads_backward(const gan *model, const gan_lane *lane, const gan_batch *batch, size_t first,
                        size_t count, const float *x_gradient, bool anchor, float *out)
{
    const size_t stride = sotto_network_inputs(model->discriminator);
    const bool gumbel = model->options.heads == GAN_GUMBEL;
    const float scale = gumbel ? 1.0f / (float)model->options.temperature : 1.0f;
    const float *taught = gumbel ? lane->relaxed : lane->soft;
    memset(out, 0, count * model->width * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        const size_t row = i * model->width;
        for (size_t b = 0; b < model->blocks; b++) {
            const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
            const size_t at = row + block->slot_offset;
            const float *g = x_gradient + i * stride;
            if (b == model->target_block || model->condition_of[b] != SOTTO_NONE)
                continue; /* it is told these, and need not say them */
            add_softmax_backward(taught + at, g + block->slot_offset, block->slot_count, scale, out + at);
            if (anchor && model->anchored && model->options.weight > 0 && block->slot_count > 1) {
                float *gradient = lane->anchor;
                anchor_gradient(model, block, batch->labels[first + i], gradient);
                add_softmax_backward(lane->soft + at, gradient, block->slot_count, 1.0f, out + at);
            }
            if (model->dialect->conditional &&
                batch->wanted[first + i] - block->slot_offset < block->slot_count)
                add_condition(block, lane->soft + at, batch->wanted[first + i] - block->slot_offset,
                              (float)model->options.condition_weight, out + at);
            if (block->has_value && batch->slots[(first + i) * model->blocks + b] >= block->rest_slot) {
                const float value = lane->relaxed[row + block->value_offset];
                out[row + block->value_offset] = g[block->value_offset] * (1.0f - value * value);
            }
        }
    }
}
