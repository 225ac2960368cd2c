/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_VAE_H
#define SOTTO_VAE_H

/*
 * Inside this room: the label-conditional variational autoencoder.
 *
 * Encoder, draw and decoder are one network, which the private step trains: a row in, a distribution for each
 * of its columns out. The decoder is the network's end, so its parameters are the last of the network's; they
 * alone, averaged, are sampled from and released.
 */

#include "models/kind.h"
#include "models/parts.h"
#include "tensor/tensor.h"

/** The `model` section of a config. */
typedef struct vae_options {
    sotto_numbers numbers;
    size_t target; /**< schema column, or SOTTO_NONE */
    size_t latent;
    sotto_hidden encoder;
    sotto_hidden decoder;
    double beta;      /**< weight of the divergence */
    double deviation; /**< of a bounded value around what the decoder says */
    double share;     /**< of ε for the noisy counts of labels */
} vae_options;

/** Read the section; `schema` resolves the target. */
sotto_status vae_options_parse(vae_options *options, const sotto_node *section, const sotto_schema *schema,
                               sotto_error *err);

/** Write the section as YAML at an indent of two, so that parsing it gives the same options. */
void vae_options_format(const vae_options *options, const sotto_schema *schema, FILE *file);

/** Scratch memory of one thread. */
typedef struct vae_lane {
    sotto_workspace *decoder; /**< for sampling */
    sotto_entries entries;    /**< training: the rows of one chunk */
    uint16_t *slots;          /**< of them: [SOTTO_CHUNK_ROWS, blocks] */
    float *values;            /**< of them: [SOTTO_CHUNK_ROWS, blocks] */
    double loss;              /**< sum over this lane's rows */
    bool unread;              /**< a chunk could not be given its rows */
} vae_lane;

typedef struct vae {
    sotto_model base;
    sotto_arena *arena;
    vae_options options;
    size_t width, blocks, classes;
    size_t entries;                 /**< of a row that need not be zero: a slot and a value of each block */
    size_t target_block;            /**< or SOTTO_NONE */
    sotto_tensor_segment *segments; /**< each block with slots; [segment_count] */
    size_t segment_count;
    sotto_network *whole; /**< encoder, draw, decoder */
    sotto_network *decoder;
    float *parameters; /**< of the whole */
    sotto_weights *weights;
    float *average;                 /**< of the decoder's parameters: what is sampled from and released */
    sotto_weights *average_weights; /**< of them */
    double *label_frequency;        /**< [classes], sums to 1 */
    size_t table_size[1];           /**< of the counts wanted: the labels' */
    sotto_training training;
    const sotto_encoded *data;
    sotto_model_losses losses;
    vae_lane lane[SOTTO_LANES];

    /* A batch to be sampled, SOTTO_MODEL_ROWS. */
    float *latent;    /**< [rows, latent] */
    uint16_t *labels; /**< [rows] */
    float *uniforms;  /**< [rows, blocks], in (0, 1) */
    float *deviates;  /**< [rows, blocks], normal: of bounded values */
} vae;

/* vae_train.c */

/** The loss of a row of these slots and values [blocks], but for the divergence. `gradient` [width]: the
 * decoder's outputs, softmax taken of each column's slots; afterwards the loss's gradient with respect to the
 * outputs. */
double vae_row_loss(const vae *model, const uint16_t *slots, const float *values, float *gradient);

sotto_status vae_step(sotto_model *model, sotto_dpsgd *step, sotto_error *err);

/* vae_sample.c */
sotto_status vae_take_batch(vae *model, sotto_error *err);
sotto_status vae_sample(sotto_model *model, sotto_stream *stream, size_t target_slot, size_t count,
                        uint16_t *slots, float *values, sotto_error *err);

#endif
