/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_MODEL_KIND_H
#define SOTTO_MODEL_KIND_H

/* Inside this room: what a kind of model implements. One file defines one kind; model.c lists them. */

#include "models/model.h"

typedef struct sotto_model_kind {
    const char *type;
    sotto_status (*create)(sotto_model **, const sotto_node *, const sotto_encoder *, sotto_error *);
    void (*destroy)(sotto_model *);
    sotto_status (*numbers)(const sotto_node *, sotto_numbers *, sotto_error *);
    /* What the kind, as its own section has it, takes for granted where the `training` section, the second,
     * says nothing; refuses keys that say nothing to it. NULL: neither. */
    sotto_status (*training)(const sotto_node *, const sotto_node *, sotto_training *, sotto_error *);
    /* What of the two sections does not go together. NULL: only `discriminator_steps: auto`. */
    sotto_status (*fits)(const sotto_model *, const sotto_training *, sotto_error *);
    sotto_status (*prepare)(sotto_model *, const sotto_training *, sotto_random *, sotto_error *);

    /* One release, of counts: wanted and given. A kind that makes several, or picks, has `releases` and
     * `learn` instead. */
    sotto_model_counts (*counts_wanted)(const sotto_model *);
    sotto_status (*counts_give)(sotto_model *, const double *, sotto_error *);
    size_t (*releases)(const sotto_model *, sotto_model_release *);
    sotto_status (*learn)(sotto_model *, const sotto_release_door *, sotto_error *);
    void (*data)(sotto_model *, const sotto_encoded *);

    /* All NULL for a kind that takes no private steps; `round` NULL for one that wants no parts. */
    sotto_model_private (*private_wanted)(const sotto_model *);
    sotto_status (*step)(sotto_model *, sotto_dpsgd *, sotto_error *);
    sotto_status (*round)(sotto_model *, sotto_parts *, sotto_error *);
    sotto_model_losses (*last_losses)(const sotto_model *);
    /* The noisy frequencies of a block's slots, sum 1: what made rows are held against in training. False,
     * or NULL, where they were not bought. Looks at no row. */
    bool (*marginal)(const sotto_model *, size_t block, double *frequencies);

    /* All that it knows between two steps, or after it has learned, there and back: what it goes on from. */
    void (*state)(sotto_model *, sotto_state *);

    sotto_status (*sample)(sotto_model *, sotto_stream *, size_t, size_t, uint16_t *, float *, sotto_error *);
    size_t (*target)(const sotto_model *);
    /* Of a kind that is conditional on more than its target; both NULL for any other. */
    bool (*conditional)(const sotto_model *, size_t block);
    sotto_status (*sample_given)(sotto_model *, sotto_stream *, const size_t *wanted, size_t, uint16_t *,
                                 float *, sotto_error *);
    /* Which slots are what it was told, and not of its making; NULL where that is all that it is conditional
     * on. */
    bool (*told)(const sotto_model *, size_t block);

    /* Files: the section as YAML, the learned label frequencies, and the released parameters. */
    void (*format)(const sotto_model *, FILE *);
    /* What was learned beside numbers, as the lines of a map at an indent of two, and back: after that the
     * number of released parameters is known. Both NULL where there is nothing of the kind. */
    void (*format_learned)(const sotto_model *, FILE *);
    sotto_status (*read_learned)(sotto_model *, const sotto_node *, sotto_error *);
    float *(*released)(sotto_model *, size_t *count);
    double *(*frequencies)(sotto_model *, size_t *count);
    sotto_status (*prepare_sampling)(sotto_model *, unsigned threads,
                                     sotto_error *);      /* NULL: nothing to do */
    sotto_status (*loaded)(sotto_model *, sotto_error *); /* what was read can be sampled from; may be NULL */
} sotto_model_kind;

struct sotto_model {
    const sotto_model_kind *kind;
    const sotto_encoder *encoder;
};

extern const sotto_model_kind sotto_gan_kind;
extern const sotto_model_kind sotto_ctgan_kind;
extern const sotto_model_kind sotto_vae_kind;
extern const sotto_model_kind sotto_independent_kind;
extern const sotto_model_kind sotto_per_label_kind;
extern const sotto_model_kind sotto_marginals_kind;

/** The least-squares projection of `values` on {v ≥ 0, Σ v = total}; Duchi et al. 2008, Fig. 1. `order`
 * [count] is scratch. */
void sotto_simplex_project(double *values, size_t count, double total, double *order);

/**
 * How many rows each of `classes` labels has, `totals` [classes], from `tables` tables of label × slots, one
 * after the other, whose counts all have the same noise: each table tells it once more, with a variance that
 * grows with its slots, and the weighted mean of all is the most precise. At least 1 each.
 */
void sotto_label_totals(const double *counts, const size_t *table_size, size_t tables, size_t classes,
                        double *totals);

/** A draw from cumulative weights, [count], whose last is above 0 unless count is 0: then, and of one, 0.
 * None of weight 0 is drawn. */
size_t sotto_cumulative_draw(const double *cumulative, size_t count, sotto_stream *stream);

/** Of the last step, which may be no numbers. */
void sotto_model_losses_state(sotto_model_losses *losses, sotto_state *state);

enum { SOTTO_MODEL_CLASSES = 64 }; /**< the most values that a target may have */

/** A model's target, a category column of at most so many values, as the section names it: a schema column.
 * An error where it is none, or no such column. */
sotto_status sotto_model_read_target(const sotto_node *node, const sotto_schema *schema, size_t *target,
                                     sotto_error *err);

/** A double-quoted YAML scalar: a column may be called anything. */
void sotto_model_format_quoted(const char *text, FILE *file);

#endif
