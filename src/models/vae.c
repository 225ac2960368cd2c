/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "models/vae.h"

#include <math.h>
#include <string.h>

/* ---- making ---- */

static void vae_destroy(sotto_model *base)
{
    vae *model = (vae *)base;
    for (size_t i = 0; i < SOTTO_LANES; i++)
        sotto_workspace_destroy(model->lane[i].decoder);
    sotto_weights_destroy(model->weights);
    sotto_weights_destroy(model->average_weights);
    sotto_network_destroy(model->whole);
    sotto_network_destroy(model->decoder);
    sotto_arena_destroy(model->arena);
}

/* Appends the hidden layers; returns how many layers there are now. */
static size_t add_hidden(const sotto_hidden *hidden, sotto_layer *layers, size_t count)
{
    for (size_t i = 0; i < hidden->count; i++) {
        layers[count++] = sotto_layer_dense(hidden->width[i]);
        layers[count++] = sotto_layer_relu();
    }
    return count;
}

enum { MOST_LAYERS = 4 * SOTTO_MODEL_HIDDEN + 4 };

static sotto_status make_networks(vae *model, sotto_error *err)
{
    sotto_layer layers[MOST_LAYERS];
    const vae_options *options = &model->options;
    size_t count = add_hidden(&options->encoder, layers, 0);
    layers[count++] = sotto_layer_dense(2 * options->latent);
    layers[count++] = sotto_layer_sample((float)options->beta);
    const size_t encoder = count;
    layers[count++] = sotto_layer_by_class();
    count = add_hidden(&options->decoder, layers, count);
    layers[count++] = sotto_layer_dense(model->width);
    sotto_status status =
        sotto_network_create(&model->whole, model->width, model->classes, layers, count, err);
    return status == SOTTO_OK ? sotto_network_create(&model->decoder, options->latent, model->classes,
                                                     layers + encoder, count - encoder, err)
                              : status;
}

static sotto_status lay_out(vae *model, sotto_error *err)
{
    const sotto_encoder *encoder = model->base.encoder;
    model->width = sotto_encoder_width(encoder);
    model->blocks = sotto_encoder_block_count(encoder);
    model->entries = sotto_entries_of_row(encoder);
    model->classes = 1;
    model->target_block = SOTTO_NONE;
    if (model->options.target != SOTTO_NONE) {
        model->target_block = sotto_encoder_find(encoder, model->options.target);
        model->classes = sotto_encoder_block(encoder, model->target_block)->slot_count;
    }
    model->table_size[0] = model->classes;
    model->segments = sotto_arena_take(model->arena, model->blocks, sizeof *model->segments, err);
    model->label_frequency = sotto_arena_take(model->arena, model->classes, sizeof(double), err);
    if (!model->segments || !model->label_frequency)
        return SOTTO_ERROR_MEMORY;
    for (size_t k = 0; k < model->classes; k++)
        model->label_frequency[k] = 1.0 / (double)model->classes;
    for (size_t b = 0; b < model->blocks; b++) {
        const sotto_block *block = sotto_encoder_block(encoder, b);
        if (block->slot_count > 0)
            model->segments[model->segment_count++] =
                (sotto_tensor_segment){.offset = block->slot_offset, .count = block->slot_count};
    }
    return make_networks(model, err);
}

static sotto_status vae_create(sotto_model **out, const sotto_node *section, const sotto_encoder *encoder,
                               sotto_error *err)
{
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    vae *model = sotto_arena_take(arena, 1, sizeof *model, err);
    if (!model) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    model->base = (sotto_model){.kind = &sotto_vae_kind, .encoder = encoder};
    model->arena = arena;
    model->losses = (sotto_model_losses){.real = NAN, .fake = NAN, .generator = NAN};
    status = vae_options_parse(&model->options, section, sotto_encoder_schema(encoder), err);
    if (status == SOTTO_OK)
        status = lay_out(model, err);
    if (status != SOTTO_OK) {
        vae_destroy(&model->base);
        return status;
    }
    *out = &model->base;
    return SOTTO_OK;
}

static sotto_status vae_numbers(const sotto_node *section, sotto_numbers *numbers, sotto_error *err)
{
    static const char *const names[] = {"binned", "bounded", NULL};
    const sotto_node *node = sotto_node_get(section, "numbers");
    size_t choice = 0;
    sotto_status status = node ? sotto_node_choice(node, "model.numbers", names, &choice, err) : SOTTO_OK;
    *numbers = choice == 0 ? SOTTO_NUMBERS_BINNED : SOTTO_NUMBERS_BOUNDED;
    return status;
}

static sotto_status vae_training(const sotto_node *model, const sotto_node *section, sotto_training *training,
                                 sotto_error *err)
{
    (void)model;
    static const char *const foreign[] = {"discriminator_steps", "generator_optimizer"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        const sotto_node *found = sotto_node_get(section, foreign[i]);
        if (found)
            return sotto_node_error(
                found, err,
                "training.%s is for `type: gan`: a variational autoencoder is one network "
                "with one optimizer; remove it",
                foreign[i]);
    }
    training->steps = 800;
    training->learning_rate = 5e-3;
    training->optimizer.beta1 = 0.9;
    training->optimizer.decay = 0.0;
    return SOTTO_OK;
}

/* ---- before training ---- */

/* What sampling needs. */
static sotto_status take_released(vae *model, sotto_error *err)
{
    const size_t count = sotto_network_parameters(model->decoder);
    model->average = sotto_arena_take(model->arena, count, sizeof(float), err);
    if (!model->average)
        return SOTTO_ERROR_MEMORY;
    sotto_status status = sotto_weights_create(&model->average_weights, model->decoder, model->average, err);
    for (size_t i = 0; i < SOTTO_LANES && status == SOTTO_OK; i++)
        status = sotto_workspace_create(&model->lane[i].decoder, model->decoder, SOTTO_CHUNK_ROWS, 1, err);
    return status == SOTTO_OK ? vae_take_batch(model, err) : status;
}

static sotto_status vae_prepare_sampling(sotto_model *base, unsigned threads, sotto_error *err)
{
    vae *model = (vae *)base;
    model->training.threads = threads;
    return take_released(model, err);
}

static sotto_status initialise(vae *model, sotto_random *random, sotto_error *err)
{
    sotto_stream *stream;
    const size_t whole = sotto_network_parameters(model->whole);
    const size_t decoder = sotto_network_parameters(model->decoder);
    sotto_status status = sotto_stream_create(&stream, random, SOTTO_PURPOSE_INITIALISATION, err);
    if (status != SOTTO_OK)
        return status;
    sotto_network_initialise(model->whole, stream, model->parameters);
    memcpy(model->average, model->parameters + whole - decoder, decoder * sizeof *model->average);
    sotto_stream_destroy(stream);
    return sotto_weights_create(&model->weights, model->whole, model->parameters, err);
}

/* Room for the rows of one chunk. */
static sotto_status take_rows(vae *model, vae_lane *lane, sotto_error *err)
{
    const size_t rows = SOTTO_CHUNK_ROWS, blocks = model->blocks;
    lane->slots = sotto_arena_take(model->arena, rows, blocks * sizeof *lane->slots, err);
    lane->values = sotto_arena_take(model->arena, rows, blocks * sizeof *lane->values, err);
    return lane->slots && lane->values
               ? sotto_entries_take(&lane->entries, model->arena, model->entries, rows, err)
               : SOTTO_ERROR_MEMORY;
}

static sotto_status vae_prepare(sotto_model *base, const sotto_training *training, sotto_random *random,
                                sotto_error *err)
{
    vae *model = (vae *)base;
    model->training = *training;
    sotto_status status = take_released(model, err);
    if (status != SOTTO_OK)
        return status;
    model->parameters =
        sotto_arena_take(model->arena, sotto_network_parameters(model->whole), sizeof(float), err);
    if (!model->parameters)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < SOTTO_LANES && status == SOTTO_OK; i++)
        status = take_rows(model, &model->lane[i], err);
    return status == SOTTO_OK ? initialise(model, random, err) : status;
}

static size_t label_of(const void *context, uint32_t unit, size_t table)
{
    const vae *model = context;
    (void)table;
    return sotto_encoded_slot(model->data, unit, model->target_block);
}

static sotto_model_counts vae_counts_wanted(const sotto_model *base)
{
    const vae *model = (const vae *)base;
    return (sotto_model_counts){
        .label = "label counts",
        .what = "how many rows have each value of the target column",
        .share = model->options.share,
        .query = {.tables = model->target_block != SOTTO_NONE,
                  .table_size = model->table_size,
                  .cell = label_of,
                  .context = model},
    };
}

/* Noise may have taken a count below zero: each label keeps at least one row's worth. */
static sotto_status vae_counts_give(sotto_model *base, const double *counts, sotto_error *err)
{
    vae *model = (vae *)base;
    double all = 0.0;
    (void)err;
    for (size_t k = 0; k < model->classes; k++)
        all += fmax(counts[k], 1.0);
    for (size_t k = 0; k < model->classes; k++)
        model->label_frequency[k] = fmax(counts[k], 1.0) / all;
    return SOTTO_OK;
}

static sotto_model_private vae_private_wanted(const sotto_model *base)
{
    const vae *model = (const vae *)base;
    return (sotto_model_private){
        .label = "autoencoder steps",
        .what = "the sampled rows' clipped gradients of the encoder's and the decoder's loss, added up with "
                "noise",
        .network = model->whole,
        .weights = model->weights,
        .parameters = model->parameters,
    };
}

static void vae_data(sotto_model *base, const sotto_encoded *data)
{
    ((vae *)base)->data = data;
}

static sotto_model_losses vae_last_losses(const sotto_model *base)
{
    return ((const vae *)base)->losses;
}

static void vae_state(sotto_model *base, sotto_state *state)
{
    vae *model = (vae *)base;
    sotto_state_floats(state, "parameters", model->parameters, sotto_network_parameters(model->whole));
    sotto_state_floats(state, "average", model->average, sotto_network_parameters(model->decoder));
    sotto_state_doubles_in(state, "label_frequency", model->label_frequency, model->classes, 0.0, 1.0 + 1e-6);
    sotto_model_losses_state(&model->losses, state);
    if (sotto_state_reads(state) && sotto_state_is_sound(state))
        sotto_weights_refresh(model->weights); /* those of the average are by whoever samples */
}

/* ---- files ---- */

static size_t vae_target(const sotto_model *base)
{
    return ((const vae *)base)->target_block;
}

static void vae_format(const sotto_model *base, FILE *file)
{
    vae_options_format(&((const vae *)base)->options, sotto_encoder_schema(base->encoder), file);
}

static float *vae_released(sotto_model *base, size_t *count)
{
    vae *model = (vae *)base;
    *count = sotto_network_parameters(model->decoder);
    return model->average;
}

static double *vae_frequencies(sotto_model *base, size_t *count)
{
    vae *model = (vae *)base;
    *count = model->classes;
    return model->label_frequency;
}

const sotto_model_kind sotto_vae_kind = {
    .type = "vae",
    .create = vae_create,
    .destroy = vae_destroy,
    .numbers = vae_numbers,
    .training = vae_training,
    .prepare = vae_prepare,
    .counts_wanted = vae_counts_wanted,
    .counts_give = vae_counts_give,
    .private_wanted = vae_private_wanted,
    .data = vae_data,
    .step = vae_step,
    .last_losses = vae_last_losses,
    .state = vae_state,
    .sample = vae_sample,
    .target = vae_target,
    .format = vae_format,
    .released = vae_released,
    .frequencies = vae_frequencies,
    .prepare_sampling = vae_prepare_sampling,
};
