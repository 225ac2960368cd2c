/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "models/gan.h"

#include <string.h>

/* ---- making ---- */

static void gan_destroy(sotto_model *base)
{
    gan *model = (gan *)base;
    for (size_t i = 0; i < SOTTO_LANES; i++) {
        sotto_workspace_destroy(model->lane[i].generator);
        sotto_workspace_destroy(model->lane[i].discriminator);
    }
    sotto_public_step_destroy(model->step);
    sotto_weights_destroy(model->generator_weights);
    sotto_weights_destroy(model->discriminator_weights);
    sotto_weights_destroy(model->average_weights);
    sotto_stream_destroy(model->stream);
    sotto_network_destroy(model->generator);
    sotto_network_destroy(model->discriminator);
    sotto_arena_destroy(model->arena);
}

static sotto_status lay_out(gan *model, const sotto_node *section, sotto_error *err)
{
    const sotto_encoder *encoder = model->base.encoder;
    model->width = sotto_encoder_width(encoder);
    model->blocks = sotto_encoder_block_count(encoder);
    model->entries = sotto_entries_of_row(encoder) + model->dialect->conditional;
    model->classes = 1;
    model->target_block = SOTTO_NONE;
    if (model->options.target != SOTTO_NONE) {
        model->target_block = sotto_encoder_find(encoder, model->options.target);
        model->classes = sotto_encoder_block(encoder, model->target_block)->slot_count;
    }
    model->segments = sotto_arena_take(model->arena, model->blocks, sizeof *model->segments, err);
    if (!model->segments)
        return SOTTO_ERROR_MEMORY;
    for (size_t b = 0; b < model->blocks; b++) {
        const sotto_block *block = sotto_encoder_block(encoder, b);
        if (block->slot_count > 0)
            model->segments[model->segment_count++] =
                (sotto_tensor_segment){.offset = block->slot_offset, .count = block->slot_count};
    }
    sotto_status status = gan_conditions_plan(model, err);
    if (status == SOTTO_OK)
        status = gan_tables_plan(model, err);
    if (status == SOTTO_OK && model->dialect->conditional)
        status = ctgan_plan(model, section, err);
    if (status == SOTTO_OK)
        status = model->dialect->generator(model, err);
    return status == SOTTO_OK ? gan_discriminator(model, err) : status;
}

/* What is released: the generator, and where it is given conditions, the law that they are drawn from. */
static size_t released_count(const gan *model)
{
    return sotto_network_parameters(model->generator) + model->classes * model->named.width;
}

/* What sampling needs; a discriminator is only taken for training. */
static sotto_status take_released(gan *model, sotto_error *err)
{
    model->average = sotto_arena_take(model->arena, released_count(model), sizeof(float), err);
    model->means = sotto_arena_take(model->arena, model->classes, model->width * sizeof(double), err);
    if (!model->average || !model->means)
        return SOTTO_ERROR_MEMORY;
    if (model->dialect->conditional)
        model->marginals = model->average + sotto_network_parameters(model->generator);
    return sotto_weights_create(&model->average_weights, model->generator, model->average, err);
}

/* Discriminators that are trained on parts are not in the model. */
static bool is_parted(const gan *model)
{
    return model->options.scope == GAN_SCOPE_GENERATOR;
}

static sotto_status take_trained(gan *model, sotto_error *err)
{
    const size_t generator = sotto_network_parameters(model->generator);
    const size_t discriminator = sotto_network_parameters(model->discriminator);
    model->generator_parameters = sotto_arena_take(model->arena, generator, sizeof(float), err);
    if (!is_parted(model))
        model->discriminator_parameters = sotto_arena_take(model->arena, discriminator, sizeof(float), err);
    if (!model->marginals)
        model->marginals = sotto_arena_take(model->arena, model->classes, model->width * sizeof(float), err);
    bool complete = model->generator_parameters && (is_parted(model) || model->discriminator_parameters) &&
                    model->marginals;
    return complete ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

static sotto_status create(sotto_model **out, const sotto_node *section, const sotto_encoder *encoder,
                           const sotto_model_kind *kind, const gan_dialect *dialect, sotto_error *err)
{
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    gan *model = sotto_arena_take(arena, 1, sizeof *model, err);
    if (!model) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    model->base = (sotto_model){.kind = kind, .encoder = encoder};
    model->dialect = dialect;
    model->arena = arena;
    status = gan_options_parse(&model->options, dialect, section, sotto_encoder_schema(encoder), err);
    if (status == SOTTO_OK)
        status = lay_out(model, section, err);
    if (status != SOTTO_OK) {
        gan_destroy(&model->base);
        return status;
    }
    *out = &model->base;
    return SOTTO_OK;
}

static sotto_status create_gan(sotto_model **out, const sotto_node *section, const sotto_encoder *encoder,
                               sotto_error *err)
{
    return create(out, section, encoder, &sotto_gan_kind, &gan_plain, err);
}

static sotto_status create_ctgan(sotto_model **out, const sotto_node *section, const sotto_encoder *encoder,
                                 sotto_error *err)
{
    return create(out, section, encoder, &sotto_ctgan_kind, &ctgan_dialect, err);
}

static sotto_status gan_numbers(const sotto_node *section, sotto_numbers *numbers, sotto_error *err)
{
    *numbers = gan_plain.defaults.numbers;
    return gan_numbers_parse(numbers, section, err);
}

static sotto_status ctgan_numbers(const sotto_node *section, sotto_numbers *numbers, sotto_error *err)
{
    *numbers = ctgan_dialect.defaults.numbers;
    return gan_numbers_parse(numbers, section, err);
}

/* Its generator has more to learn than a gan's: what goes with each value. */
static sotto_status ctgan_training(const sotto_node *section, const sotto_node *training_section,
                                   sotto_training *training, sotto_error *err)
{
    (void)section, (void)training_section, (void)err;
    training->generator_learning_rate = 1e-3;
    return SOTTO_OK;
}

/* Rounds, of as many steps of the generator as there are parts. Nothing keeps discriminators from straying,
 * and without noise nothing makes them. */
static sotto_status gan_training(const sotto_node *section, const sotto_node *training_section,
                                 sotto_training *training, sotto_error *err)
{
    gan_scope scope = gan_plain.defaults.scope;
    const sotto_status status = gan_scope_parse(&scope, section, err);
    (void)training_section;
    if (status == SOTTO_OK && scope == GAN_SCOPE_GENERATOR) {
        training->steps = 20;
        training->discriminator_steps = 3;
        training->optimizer.decay = 0.0;
    }
    return status;
}

/* ---- before training ---- */

static sotto_status gan_fits(const sotto_model *base, const sotto_training *training, sotto_error *err)
{
    const gan *model = (const gan *)base;
    if (training->discriminator_steps == 0 && is_parted(model))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "training.discriminator_steps is auto, which looks at what a discriminator says, and "
            "with model.scope generator nobody may look: no noise was put on it; name a number");
    if (training->discriminator_steps == 0 && model->options.loss == SOTTO_ADVERSARIAL_WASSERSTEIN)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "training.discriminator_steps is auto, which goes by how many fakes the "
                               "discriminator finds out, and a Wasserstein critic calls none a fake; name a "
                               "number, or another model.loss");
    return SOTTO_OK;
}

static sotto_status take_lanes(gan *model, bool training, sotto_error *err)
{
    const size_t cells = (size_t)SOTTO_CHUNK_ROWS * model->width;
    for (size_t i = 0; i < SOTTO_LANES; i++) {
        gan_lane *lane = &model->lane[i];
        lane->soft = sotto_arena_take(model->arena, cells, sizeof(float), err);
        lane->relaxed = sotto_arena_take(model->arena, cells, sizeof(float), err);
        lane->anchor = sotto_arena_take(model->arena, model->width, sizeof(float), err);
        lane->values = sotto_arena_take(model->arena, SOTTO_CHUNK_ROWS, sizeof(double), err);
        lane->means = sotto_arena_take(model->arena, model->classes, model->width * sizeof(double), err);
        if (!lane->soft || !lane->relaxed || !lane->anchor || !lane->values || !lane->means)
            return SOTTO_ERROR_MEMORY;
        sotto_status status =
            sotto_entries_take(&lane->entries, model->arena, model->entries, SOTTO_CHUNK_ROWS, err);
        if (status == SOTTO_OK)
            status = sotto_workspace_create(&lane->generator, model->generator, SOTTO_CHUNK_ROWS, 1, err);
        if (status == SOTTO_OK && training)
            status =
                sotto_workspace_create(&lane->discriminator, model->discriminator, SOTTO_CHUNK_ROWS, 1, err);
        if (status != SOTTO_OK)
            return status;
    }
    return SOTTO_OK;
}

static sotto_status gan_prepare_sampling(sotto_model *base, unsigned threads, sotto_error *err)
{
    gan *model = (gan *)base;
    model->training.threads = threads;
    sotto_status status = take_released(model, err);
    if (status == SOTTO_OK)
        status = take_lanes(model, false, err);
    return status == SOTTO_OK ? gan_batch_take(model, &model->batch, SOTTO_MODEL_ROWS, err) : status;
}

static sotto_status initialise(gan *model, sotto_random *random, sotto_error *err)
{
    sotto_stream *stream;
    sotto_status status = sotto_stream_create(&stream, random, SOTTO_PURPOSE_INITIALISATION, err);
    if (status != SOTTO_OK)
        return status;
    sotto_network_initialise(model->generator, stream, model->generator_parameters);
    if (!is_parted(model))
        sotto_network_initialise(model->discriminator, stream, model->discriminator_parameters);
    memcpy(model->average, model->generator_parameters,
           sotto_network_parameters(model->generator) * sizeof *model->average);
    sotto_stream_destroy(stream);
    status =
        sotto_weights_create(&model->generator_weights, model->generator, model->generator_parameters, err);
    if (status == SOTTO_OK && !is_parted(model))
        status = sotto_weights_create(&model->discriminator_weights, model->discriminator,
                                      model->discriminator_parameters, err);
    if (status != SOTTO_OK)
        return status;
    return sotto_stream_create(&model->stream, random, SOTTO_PURPOSE_GENERATION, err);
}

static sotto_status gan_prepare(sotto_model *base, const sotto_training *training, sotto_random *random,
                                sotto_error *err)
{
    gan *model = (gan *)base;
    model->training = *training;
    model->ladder = gan_ladder_make(training->discriminator_steps, training->steps);
    if (training->rehearsal && model->options.penalty == 0) /* as many fakes more as there would be rows */
        model->training.batch *= 2;
    sotto_status status = take_released(model, err);
    if (status == SOTTO_OK)
        status = take_trained(model, err);
    if (status == SOTTO_OK)
        status = initialise(model, random, err);
    if (status == SOTTO_OK)
        status = take_lanes(model, true, err);
    if (status == SOTTO_OK && is_parted(model))
        status = gan_parts_take(model, err);
    if (status == SOTTO_OK)
        status = gan_batch_take(
            model, &model->batch,
            model->training.batch > SOTTO_MODEL_ROWS ? model->training.batch : (size_t)SOTTO_MODEL_ROWS, err);
    if (status == SOTTO_OK && model->options.penalty > 0)
        status = gan_pairs_take(model, model->training.batch, err);
    if (status != SOTTO_OK)
        return status;
    sotto_public_options options = {
        .optimizer = training->generator_optimizer,
        .schedule = {.rate = training->generator_learning_rate,
                     .steps = training->steps * (is_parted(model) ? model->options.parts : 1),
                     .decay_fraction = training->decay_fraction},
        .threads = training->threads,
        .weights = model->generator_weights,
        .parameters = model->generator_parameters,
        .random = random};
    return sotto_public_step_create(&model->step, &options, err);
}

/* What the counts are of, for the statement. */
static const char *counted(const gan *model)
{
    const bool by_label = model->target_block != SOTTO_NONE;
    if (model->combinations == 1)
        return !model->anchored ? "how many rows have each value of the target column"
               : by_label
                   ? "how many rows fall into each slot of each column, for each value of the target column"
                   : "how many rows fall into each slot of each column";
    if (!model->anchored)
        return by_label
                   ? "how many rows have each combination of values of the target and the condition columns"
                   : "how many rows have each combination of values of the condition columns";
    return by_label
               ? "how many rows fall into each slot of each column, for each value of the target column, and how "
                 "many have each combination of values of the target and the condition columns"
               : "how many rows fall into each slot of each column, and how many have each combination of values "
                 "of the condition columns";
}

static sotto_model_counts gan_counts_wanted(const sotto_model *base)
{
    const gan *model = (const gan *)base;
    return (sotto_model_counts){
        .label = model->anchored           ? "marginals"
                 : model->combinations > 1 ? "condition counts"
                                           : "label counts",
        .what = counted(model),
        .share = model->options.share,
        .query = gan_tables_query(model),
    };
}

static sotto_status gan_counts_give(sotto_model *base, const double *counts, sotto_error *err)
{
    return gan_tables_give((gan *)base, counts, err);
}

static sotto_model_private gan_private_wanted(const sotto_model *base)
{
    const gan *model = (const gan *)base;
    if (is_parted(model))
        return (sotto_model_private){
            .label = "rounds of discriminators",
            .what =
                "of each discriminator in turn, trained without noise on one part of the rows, the gradient of "
                "the generator's loss, told by label and latent numbers of made rows: one vector, clipped, with "
                "noise",
            .network = model->discriminator,
            .parts = model->options.parts,
            .dimension = gan_parts_dimension(model),
        };
    return (sotto_model_private){
        .label = "discriminator steps",
        .what =
            model->options.penalty > 0
                ? "the sampled rows' gradients of the critic's loss, each with a fake's and the gradient penalty's "
                  "between them clipped as one, added up with noise"
                : "the sampled rows' clipped gradients of the discriminator's loss, added up with noise",
        .network = model->discriminator,
        .weights = model->discriminator_weights,
        .parameters = model->discriminator_parameters,
        .views = model->options.penalty > 0 ? GAN_PAIR_ROWS : 1,
        .penalties = model->options.penalty > 0 ? 1 : 0,
    };
}

static void gan_data(sotto_model *base, const sotto_encoded *data)
{
    ((gan *)base)->data = data;
}

static sotto_model_losses gan_last_losses(const sotto_model *base)
{
    return ((const gan *)base)->losses;
}

/* Known of every column where per-label counts were bought. */
static bool gan_marginal(const sotto_model *base, size_t block, double *frequencies)
{
    const gan *model = (const gan *)base;
    const sotto_block *at = sotto_encoder_block(base->encoder, block);
    if (!model->anchored)
        return false;
    for (size_t s = 0; s < at->slot_count; s++) {
        frequencies[s] = 0.0;
        for (size_t c = 0; c < model->cells; c++)
            frequencies[s] +=
                model->frequency[c] *
                (double)model->marginals[gan_cell_label(model, c) * model->width + at->slot_offset + s];
    }
    return true;
}

/* ---- sampling and files ---- */

static bool gan_told(const sotto_model *base, size_t block)
{
    const gan *model = (const gan *)base;
    return block == model->target_block || model->condition_of[block] != SOTTO_NONE;
}

static bool gan_conditional(const sotto_model *base, size_t block)
{
    return gan_told(base, block) || ctgan_names((const gan *)base, block);
}

static sotto_status gan_sample_given(sotto_model *base, sotto_stream *stream, const size_t *wanted,
                                     size_t count, uint16_t *slots, float *values, sotto_error *err)
{
    gan *model = (gan *)base;
    if (count > SOTTO_MODEL_ROWS)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "at most %d rows are sampled at once",
                               SOTTO_MODEL_ROWS);
    for (size_t b = 0; b < model->blocks; b++)
        if (wanted[b] != SOTTO_NONE && gan_conditional(base, b) &&
            wanted[b] >= sotto_encoder_block(base->encoder, b)->slot_count)
            return sotto_error_set(err, SOTTO_ERROR_INPUT, "there is no label number %zu", wanted[b]);
    gan_batch_draw(model, &model->batch, stream, wanted, count);
    sotto_weights_refresh(model->average_weights); /* read from a file, or averaged further */
    gan_generate(model, model->average_weights, &model->batch, count, false);
    memcpy(slots, model->batch.slots, count * model->blocks * sizeof *slots);
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < model->blocks; b++) {
            const sotto_block *block = sotto_encoder_block(model->base.encoder, b);
            values[i * model->blocks + b] =
                block->has_value ? model->batch.x[i * model->width + block->value_offset] : 0.0f;
        }
    return SOTTO_OK;
}

static sotto_status gan_sample(sotto_model *base, sotto_stream *stream, size_t target_slot, size_t count,
                               uint16_t *slots, float *values, sotto_error *err)
{
    gan *model = (gan *)base;
    for (size_t b = 0; b < model->blocks; b++)
        model->wanted[b] = b == model->target_block ? target_slot : SOTTO_NONE;
    return gan_sample_given(base, stream, model->wanted, count, slots, values, err);
}

static size_t gan_target(const sotto_model *base)
{
    return ((const gan *)base)->target_block;
}

static void gan_format(const sotto_model *base, FILE *file)
{
    const gan *model = (const gan *)base;
    gan_options_format(&model->options, model->dialect, sotto_encoder_schema(base->encoder), file);
}

static float *gan_released(sotto_model *base, size_t *count)
{
    gan *model = (gan *)base;
    *count = released_count(model);
    return model->average;
}

static double *gan_frequencies(sotto_model *base, size_t *count)
{
    gan *model = (gan *)base;
    *count = model->cells;
    return model->frequency;
}

static sotto_status gan_loaded(sotto_model *base, sotto_error *err)
{
    gan *model = (gan *)base;
    return !model->dialect->conditional || ctgan_learn(model)
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_INPUT, "its frequencies are none");
}

/* All but what is named here is the same. */
#define GAN_KIND(...)                                                                                        \
    {                                                                                                        \
        .destroy = gan_destroy, .fits = gan_fits, .prepare = gan_prepare,                                    \
        .counts_wanted = gan_counts_wanted, .counts_give = gan_counts_give,                                  \
        .private_wanted = gan_private_wanted, .data = gan_data, .step = gan_step, .round = gan_round,        \
        .last_losses = gan_last_losses, .state = gan_state, .marginal = gan_marginal, .sample = gan_sample,  \
        .sample_given = gan_sample_given, .conditional = gan_conditional, .told = gan_told,                  \
        .target = gan_target, .format = gan_format, .released = gan_released,                                \
        .frequencies = gan_frequencies, .prepare_sampling = gan_prepare_sampling, .loaded = gan_loaded,      \
        __VA_ARGS__                                                                                          \
    }

const sotto_model_kind sotto_gan_kind =
    GAN_KIND(.type = "gan", .create = create_gan, .numbers = gan_numbers, .training = gan_training);
const sotto_model_kind sotto_ctgan_kind =
    GAN_KIND(.type = "ctgan", .create = create_ctgan, .numbers = ctgan_numbers, .training = ctgan_training);

const gan_dialect gan_plain = {
    .type = "gan",
    .generator = gan_generator,
    .defaults = {.numbers = SOTTO_NUMBERS_BINNED, GAN_DEFAULTS},
};
