/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_GAN_H
#define SOTTO_GAN_H

/*
 * Inside this room: the generative adversarial network, and the conditional one that shares its machinery.
 *
 * The generator turns latent noise z, a label k and values of further conditions into a row; the
 * discriminator, which alone sees real rows, is trained by the private step; the generator learns from the
 * discriminator and from noisy counts, which are both already private. With a target column both networks see
 * h⊗y, the label's own copy of their features. With `type: ctgan` both are also given, beside a
 * row, the value that one of its columns has or is to have.
 */

#include "models/kind.h"
#include "models/parts.h"
#include "tensor/tensor.h"

typedef enum gan_activation { GAN_LEAKY_RELU, GAN_RELU, GAN_SILU, GAN_TANH } gan_activation;
typedef enum gan_heads { GAN_STRAIGHT_THROUGH, GAN_GUMBEL } gan_heads;
/** What is released of what has read rows: the discriminator, or what the generator is taught. */
typedef enum gan_scope { GAN_SCOPE_DISCRIMINATOR, GAN_SCOPE_GENERATOR } gan_scope;
enum {
    GAN_CONDITIONS = 16, /**< the most conditions besides the target */
    GAN_PAIR_ROWS = 3,   /**< of an example under a gradient penalty: real, fake, and one between them */
    GAN_CELLS = 4096,    /**< the most combinations of a label and their values */
};

typedef enum gan_tables { GAN_TABLES_PER_LABEL, GAN_TABLES_LABEL, GAN_TABLES_NONE } gan_tables;

/** The hidden part of one network, as configured. */
typedef struct gan_trunk {
    sotto_hidden hidden;
    gan_activation activation;
    bool layer_norm;
    bool residual;
} gan_trunk;

/** The `model` section of a config. */
typedef struct gan_options {
    sotto_numbers numbers;
    size_t target;                    /**< schema column, or SOTTO_NONE */
    size_t condition[GAN_CONDITIONS]; /**< schema columns: category columns, not the target, none twice */
    size_t condition_count;
    size_t latent;
    gan_trunk generator;
    gan_trunk discriminator;
    sotto_adversarial_loss loss;
    double penalty; /**< weight of the gradient penalty; 0: none */
    gan_scope scope;
    size_t parts; /**< scope generator: discriminators, and parts of the units */
    gan_heads heads;
    double temperature; /**< of Gumbel heads */
    gan_tables tables;
    double share;            /**< of ε for the noisy counts */
    double weight;           /**< of the cross-entropy between noisy marginals and the generator's */
    double condition_weight; /**< of the cross-entropy between a fake's condition and what it is */
} gan_options;

/** What holds where the section says nothing, but for `numbers` and `condition_weight`. */
#define GAN_DEFAULTS                                                                                         \
    .target = SOTTO_NONE, .latent = 32,                                                                      \
    .generator = {.hidden = {.width = {128, 128}, .count = 2}, .activation = GAN_RELU},                      \
    .discriminator = {.hidden = {.width = {128, 128}, .count = 2}, .activation = GAN_LEAKY_RELU},            \
    .loss = SOTTO_ADVERSARIAL_CROSS_ENTROPY, .parts = 50, .heads = GAN_STRAIGHT_THROUGH, .temperature = 1.0, \
    .tables = GAN_TABLES_PER_LABEL, .share = 0.4, .weight = 3.0

typedef struct gan gan;

/** How the kinds of this machinery differ; one for each. */
typedef struct gan_dialect {
    const char *type;
    bool conditional;
    gan_options defaults;
    sotto_status (*generator)(gan *model, sotto_error *err); /**< make it, and set `last` */
} gan_dialect;

extern const gan_dialect gan_plain, ctgan_dialect;

/** Read the section; `schema` resolves the target. */
sotto_status gan_options_parse(gan_options *options, const gan_dialect *dialect, const sotto_node *section,
                               const sotto_schema *schema, sotto_error *err);

/** The scope, where the section says so; `type: ctgan` has no choice. */
sotto_status gan_scope_parse(gan_scope *scope, const sotto_node *section, sotto_error *err);

/** How numbers are to be encoded, where the section says so. */
sotto_status gan_numbers_parse(sotto_numbers *numbers, const sotto_node *section, sotto_error *err);

/** Write the section as YAML at an indent of two, so that parsing it gives the same options. */
void gan_options_format(const gan_options *options, const gan_dialect *dialect, const sotto_schema *schema,
                        FILE *file);

/** How many private steps there are for each step of the generator: as configured, or by the adaptive ladder
 * of Bie, Kamath and Zhang 2023. All it knows comes from fakes. */
typedef struct gan_ladder {
    bool climbs;     /**< else `steps` stays */
    uint64_t steps;  /**< private steps for each of the generator's, now */
    uint64_t taken;  /**< private steps since the generator's last */
    uint64_t since;  /**< the generator's steps since the ladder last moved */
    uint64_t wait;   /**< and how many there must be before it moves again */
    double accuracy; /**< moving average of the share of fakes that the discriminator finds out */
    double decay;    /**< of that average */
    bool told;       /**< there is one */
} gan_ladder;

/** Scratch memory of one thread: both networks and what the heads keep. Shapes [SOTTO_CHUNK_ROWS, width]. */
typedef struct gan_lane {
    sotto_workspace *generator;
    sotto_workspace *discriminator;
    float *soft;      /**< softmax of the logits */
    float *relaxed;   /**< what gradients pass through: Gumbel heads' softmax of the perturbed logits over
                         the temperature, and values before they are rounded */
    double *means;    /**< [classes, width]: sums of `soft` by label over this lane's chunks */
    float *anchor;    /**< [width]: scratch */
    double losses[3]; /**< sums over this lane: real, fake, generator */
    size_t found_out; /**< fakes of the generator's pass that the discriminator calls fakes */
    bool unread;      /**< a chunk could not be given its rows */
    double *taught;   /**< scope generator, [features, width]: sums of a vector over this lane's chunks */
    float *out;       /**< as above, [SOTTO_CHUNK_ROWS, width]: gradients with respect to the outputs */
    float *still;     /**< as above, [SOTTO_CHUNK_ROWS, the discriminator's inputs]: zeros */
    double *values;   /**< [SOTTO_CHUNK_ROWS] */
    sotto_entries entries; /**< [SOTTO_CHUNK_ROWS] */
} gan_lane;

/** A batch of fakes, all of it derived from noise and the generator. Capacity `rows`. */
typedef struct gan_batch {
    size_t rows;
    float *latent;    /**< [rows, latent] */
    uint32_t *cells;  /**< [rows]: label and conditions */
    uint16_t *labels; /**< [rows]: of them */
    uint32_t *wanted; /**< [rows], with conditions: the element of x that is to be 1 */
    float *uniforms;  /**< [rows, draws] in (0, 1): one for each block, or for each slot with Gumbel heads; in
                         modes one more for each block */
    size_t draws;
    float *x;        /**< [rows, width]: one-hot slots and bounded values, as the encoder lays them out */
    uint16_t *slots; /**< [rows, blocks] */
} gan_batch;

/**
 * What conditions may name, and how often they do: noisy frequencies, or public. A slot's pull is 5 − log m
 * of its noisy frequency m: beside an output bias of log m it makes the slot's softmax about 0.99 before the
 * first step, which a short run would hardly learn.
 */
typedef struct ctgan_conditions {
    size_t width;  /**< elements of a condition's vector, which is laid out as a row; 0 for none */
    size_t count;  /**< columns that may be named */
    size_t *block; /**< [count] */
    double *drawn; /**< [classes, width]: cumulative frequencies of slots given the label, in each block */
    float *pull;   /**< [classes, width]: what a condition adds to the logit of the slot that it names */
} ctgan_conditions;

struct gan {
    sotto_model base;
    const gan_dialect *dialect;
    sotto_arena *arena;
    gan_options options;
    size_t width, blocks, classes;
    size_t entries;                 /**< of a row that need not be zero: a slot and a value of each block */
    size_t target_block;            /**< or SOTTO_NONE */
    sotto_tensor_segment *segments; /**< each block with slots; [segment_count] */
    size_t segment_count;
    sotto_network *generator;
    sotto_network *discriminator;
    float *generator_parameters;
    sotto_weights *generator_weights;     /**< of them */
    sotto_weights *discriminator_weights; /**< of the discriminator's */
    sotto_weights *average_weights;       /**< of `average`, for sampling */
    float *average; /**< of the generator's parameters: what is sampled from and released */
    float *discriminator_parameters;
    size_t *condition_of; /**< [blocks]: which condition a block is, or SOTTO_NONE */
    size_t condition_block[GAN_CONDITIONS], condition_slots[GAN_CONDITIONS];
    size_t *wanted;      /**< [blocks]: scratch of asking for a label alone */
    size_t combinations; /**< of the conditions' slots; 1 without */
    size_t cells;        /**< classes × combinations */
    size_t told;         /**< inputs that tell the generator its cell */
    double *frequency;   /**< [cells], sums to 1 */
    double *cumulative;  /**< [cells]: scratch of a draw */
    size_t *table_size;  /**< [blocks], of the counts wanted */
    size_t *table_block; /**< [blocks]: which block a table counts by label; SOTTO_NONE for the cells */
    size_t table_count;
    float *marginals; /**< [classes, width]: noisy frequencies of slots given the label */
    bool anchored;
    sotto_training training;
    sotto_public_step *step;
    gan_ladder ladder;
    sotto_stream *stream;
    const sotto_encoded *data;
    gan_batch batch;        /**< [training.batch] */
    uint32_t *by_label;     /**< [training.batch]: its fakes, label by label, under a gradient penalty */
    size_t *first_of_label; /**< [classes + 1]: where each label's begin in that */
    double *means;          /**< [classes, width]: mean softmax of the last batch made, by label */
    size_t last;            /**< inputs of the generator's last layer */
    ctgan_conditions named;
    const sotto_weights *teacher; /**< scope generator: of the discriminator whose turn it is; private */
    size_t features;              /**< as above: what a row's gradient is told by */
    double *vector;               /**< as above, [features, width]; private */
    float *lesson;                /**< as above, [features, width]: the vector as it was released */
    sotto_model_losses losses;
    gan_lane lane[SOTTO_LANES];
};

/* gan_networks.c: the networks, from the options. */

sotto_status gan_generator(gan *model, sotto_error *err);

/** It sees a row, and the row's condition where there is one. */
sotto_status gan_discriminator(gan *model, sotto_error *err);

/** Append a trunk's hidden layers; returns how many layers there are now. */
size_t gan_add_trunk(const gan_trunk *trunk, sotto_layer *layers, size_t count);
sotto_layer gan_activation_layer(gan_activation activation);

/* gan_fakes.c: from noise to rows. */

/** Room for `rows` fakes. */
sotto_status gan_batch_take(gan *model, gan_batch *batch, size_t rows, sotto_error *err);

/** New latents, labels and conditions (such as `wanted` [blocks] has, where it is not NULL) and head draws
 * for the first `count` rows. */
void gan_batch_draw(const gan *model, gan_batch *batch, sotto_stream *stream, const size_t *wanted,
                    size_t count);

/** The same, all with the condition `element` unless that is SOTTO_NONE; labels that are not given are then
 * drawn as the noisy marginals have them beside it. */
void gan_batch_draw_given(const gan *model, gan_batch *batch, sotto_stream *stream, size_t label,
                          size_t element, size_t count);

/** Run the generator with `weights` on the first `count` rows of the batch: fills x and slots. */
void gan_generate(gan *model, const sotto_weights *weights, gan_batch *batch, size_t count, bool want_means);

/** Generator pass of one chunk up to the heads: the workspace's input, forward, heads into `x` [rows, width].
 */
void gan_fakes_forward(gan *model, const sotto_weights *weights, const gan_batch *batch, size_t first,
                       size_t count, gan_lane *lane, sotto_workspace *workspace, float *x, uint16_t *slots);

/**
 * Back through the heads: from the gradient with respect to x, and the anchor, to the gradient with respect
 * to the generator's outputs, in `out` [rows, width]. The anchor is left out where it is not wanted.
 */
void gan_heads_backward(const gan *model, const gan_lane *lane, const gan_batch *batch, size_t first,
                        size_t count, const float *x_gradient, bool anchor, float *out);

/* gan_conditions.c: labels and conditions as one number. */

/** Blocks, cells and room for their frequencies, all equal at first. */
sotto_status gan_conditions_plan(gan *model, sotto_error *err);

/** The cell of a row of the table: private. */
size_t gan_cell_of_row(const gan *model, uint32_t unit);

size_t gan_cell_label(const gan *model, size_t cell);
size_t gan_cell_slot(const gan *model, size_t cell, size_t condition);

/** What the generator is told: the one-hots of label and conditions, `input` [told]. */
void gan_cell_tell(const gan *model, size_t cell, float *input);

/** `count` draws by the frequencies, of cells that agree with `wanted` [blocks] (NULL: of all). */
void gan_cells_draw(const gan *model, sotto_stream *stream, const size_t *wanted, size_t count,
                    uint32_t *cells);

/* gan_marginals.c: noisy counts and what is made of them. */

/** Lay out the tables. */
sotto_status gan_tables_plan(gan *model, sotto_error *err);
sotto_counts_query gan_tables_query(const gan *model);

/** Turn noisy counts into frequencies of cells and marginals, and set the generator's output biases by them.
 */
sotto_status gan_tables_give(gan *model, const double *counts, sotto_error *err);

/* gan_ladder.c */

/** For so many private steps in all; 0 discriminator steps for one that climbs. */
gan_ladder gan_ladder_make(uint64_t discriminator_steps, uint64_t planned);

/** Count a private step: is it the generator's turn after it? */
bool gan_ladder_turn(gan_ladder *ladder);

/** After a step of the generator: which share of its fakes was found out. The ladder may move. */
void gan_ladder_tell(gan_ladder *ladder, double found_out);

/* gan_state.c */

void gan_state(sotto_model *base, sotto_state *state);

/* ctgan.c: conditions of `type: ctgan`. */

/** Which columns can be named. SOTTO_ERROR_INPUT, at the section, where none has two values. */
sotto_status ctgan_plan(gan *model, const sotto_node *section, sotto_error *err);

/** From the noisy marginals; false where they are none. */
bool ctgan_learn(gan *model);

/** Can a condition name the block? */
bool ctgan_names(const gan *model, size_t block);

/**
 * A condition for each of the first `count` rows, whose labels are drawn: a column, all alike, then a value
 * by the noisy marginals. Where `wanted` [blocks] (NULL: nothing) has columns that can be named, all get the
 * rarest of these, and labels that are not wanted are drawn anew, as the noisy marginals have them beside it.
 */
void ctgan_draw(const gan *model, gan_batch *batch, sotto_stream *stream, const size_t *wanted, size_t count);

/** The element that a row of the table has in the column that its `coin` picks. */
uint32_t ctgan_condition_of(const gan *model, uint32_t unit, uint64_t coin);

/* gan_pairs.c: the critic's step under a gradient penalty. */

/** Room for sorting `rows` fakes. */
sotto_status gan_pairs_take(gan *model, size_t rows, sotto_error *err);

/** Sort the first `count` ≥ 1 fakes of the batch by label. */
void gan_pairs_sort(gan *model, size_t count);

/** Which fake a row of this label is paired with, by the row's own seed: one of its label where there is any.
 */
size_t gan_pairs_fake(const gan *model, size_t label, uint64_t seed);

/** The pass: examples of GAN_PAIR_ROWS rows, the last of which is a penalty row. */
sotto_pass gan_pairs_pass;

/* gan_train.c */

/** The discriminator's pass: sampled rows are real, public examples are the batch of fakes. */
sotto_pass gan_discriminator_pass;

/** Send the rows of a chunk of fakes, `x` [count, width], through the discriminator with `weights` and back
 * to its input's gradient, in the lane's workspace. Adds up the generator's loss. */
void gan_judge(gan *model, const sotto_weights *weights, gan_lane *lane, const float *x, size_t first,
               size_t count);

void gan_clear_losses(gan *model);
double gan_mean_loss(const gan *model, size_t kind, size_t count);

/** SOTTO_ERROR_INPUT where a chunk could not be given its rows. */
sotto_status gan_all_read(const gan *model, sotto_error *err);

/* gan_parts.c: scope generator. */

/** Room for vectors; to be called while training is prepared. */
sotto_status gan_parts_take(gan *model, sotto_error *err);

/** How many numbers there are in a vector. */
size_t gan_parts_dimension(const gan *model);

/** One round: a turn of every part. */
sotto_status gan_round(sotto_model *model, sotto_parts *parts, sotto_error *err);

sotto_status gan_step(sotto_model *model, sotto_dpsgd *step, sotto_error *err);

#endif
