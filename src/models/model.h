/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_MODEL_H
#define SOTTO_MODEL_H

/**
 * models: generative models behind one small interface.
 *
 * A model never sees a noise generator, a clip bound or an ε. Before training it declares what it wants: the
 * releases to be made of the rows before the first step, and the network that the private step is to train;
 * it may want either alone. In the place of private steps it may want parts. Whoever runs it pays for both
 * and hands over a door for the releases and the private step; everything else a model does is
 * post-processing. Each model is one kind in the table of model.c.
 */

#include "data/data.h"
#include "document/document.h"
#include "dpsgd/dpsgd.h"

typedef struct sotto_model sotto_model;

/** What the `training` section of a config says to a model. */
typedef struct sotto_training {
    size_t batch;                 /**< public examples in a step: the public expected batch size, rounded */
    uint64_t steps;               /**< planned private steps, or rounds of parts */
    uint64_t discriminator_steps; /**< private steps for each step of the generator; 0 for auto */
    double learning_rate;         /**< of the private step */
    double decay_fraction;        /**< last part of the run over which both rates fall towards 0 */
    sotto_optimizer_options optimizer;
    double generator_learning_rate;
    sotto_optimizer_options generator_optimizer;
    double ema; /**< decay of the average of the released weights, in [0, 1); 0 is none */
    unsigned threads;
    bool keep_on;   /**< even where training goes nowhere, which else ends the run */
    bool rehearsal; /**< no table will be given: made-up rows stand in for sampled ones, to time a step */
} sotto_training;

/** What a model asks the private step to train. All NULL where it takes no private step. */
typedef struct sotto_model_private {
    const char *label; /**< how the charge is recorded */
    const char *what;  /**< one sentence for the privacy statement */
    const sotto_network *network;
    sotto_weights *weights; /**< NULL before training is prepared, and with parts, which have their own */
    float *parameters;
    size_t views;     /**< rows of each example, 0 meaning 1 */
    size_t penalties; /**< of them, rows of a gradient penalty */
    size_t parts;     /**< above 0: by rounds of so many parts, in the place of private steps */
    size_t dimension; /**< of a part's vector */
} sotto_model_private;

/** What a model asks to have counted. `query.tables` is 0 where it wants nothing. */
typedef struct sotto_model_counts {
    const char *label;
    const char *what;
    double share; /**< as of a release, below */
    sotto_counts_query query;
} sotto_model_counts;

enum { SOTTO_MODEL_RELEASES = 4 }; /**< the most that a model may declare */

typedef enum sotto_release_kind {
    SOTTO_RELEASE_COUNTS = 1, /**< noisy counts: a Gaussian release */
    SOTTO_RELEASE_PICKS,      /**< candidates picked by how wrong a guess of their counts is: exponential */
} sotto_release_kind;

/**
 * One release to be made of the rows before the first step. All that is to be charged is declared here before
 * a row is read, and does not depend on what other releases tell: what is counted or picked from may.
 */
typedef struct sotto_model_release {
    const char *label; /**< how the charge is recorded; no two of a model's are the same */
    const char *what;  /**< for the privacy statement */
    sotto_release_kind kind;
    /** Of a model that takes private steps: of ε, what the release alone would cost at the run's δ. Of one
     * that takes none: of the budget in ρ of zero-concentrated privacy, of which its shares sum to 1. */
    double share;
    uint64_t uses; /**< picks to be made, or times that counts are made */
    size_t tables; /**< counts: how many each time; of these each row adds 1 to one cell of each */
    size_t cells;  /**< counts: how many in all each time, at most */
} sotto_model_release;

/** Losses of the last step on real rows: for private/ only. */
typedef struct sotto_model_losses {
    double real, fake, generator;
    uint64_t
        discriminator_steps; /**< for each step of the generator, as a ladder has it now; 0: no such thing */
} sotto_model_losses;

/* ---------------------------------------------------------------- releases */

/**
 * The one way of a model to its releases: with the mechanisms that were planned for what it declared, as
 * often as it declared. Plain data; `mechanisms[i]` is for the model's release i.
 */
typedef struct sotto_release_door {
    size_t count;
    const sotto_model_release *releases;
    const sotto_mechanism *mechanisms;
    uint64_t *made; /**< [count]: uses so far, kept here; 0 at first */
    sotto_budget *budget;
    sotto_random *random;
    sotto_units units; /**< whose rows are rows of the table */
} sotto_release_door;

/** Make release `number`, which is of counts, once: `counts` as the query lays them out. SOTTO_ERROR_INPUT
 * where the query has other tables than were declared, or more cells, or all uses were made; nothing is
 * charged then. */
sotto_status sotto_release_counts(const sotto_release_door *door, size_t number,
                                  const sotto_counts_query *query, double *counts, sotto_error *err);

/** Make `picks` of the picks of release `number`: `picked` [picks], candidates' numbers. SOTTO_ERROR_INPUT
 * where it was not declared as picks, or not as so many; nothing is charged then. */
sotto_status sotto_release_picks(const sotto_release_door *door, size_t number,
                                 const sotto_picks_query *query, size_t picks, size_t *picked,
                                 sotto_error *err);

/** The standard deviation of each count of release `number`: public. */
double sotto_release_deviation(const sotto_release_door *door, size_t number);

/* ------------------------------------------------------------------ making */

/**
 * A model as the `model` section of a config describes it, for rows as `encoder` (borrowed) lays them out;
 * see `sotto_model_numbers` for which encoder. Everything about it is public. Caller destroys.
 */
sotto_status sotto_model_create(sotto_model **model, const sotto_node *section, const sotto_encoder *encoder,
                                sotto_error *err);
void sotto_model_destroy(sotto_model *model);

/** How the model section wants numbers to be encoded: needed before there is an encoder. */
sotto_status sotto_model_numbers(const sotto_node *section, sotto_numbers *numbers, sotto_error *err);

/**
 * Change what holds where the `training` section says nothing to what suits the kind of model that `section`
 * names. SOTTO_ERROR_INPUT where the training section (may be NULL) has a key that says nothing to that kind.
 */
sotto_status sotto_model_training(const sotto_node *section, const sotto_node *training_section,
                                  sotto_training *training, sotto_error *err);

/** Do the model and these settings of training go together? SOTTO_ERROR_INPUT, with the reason, where not. */
sotto_status sotto_model_fits(const sotto_model *model, const sotto_training *training, sotto_error *err);

/** The names of all model kinds, NULL-terminated. */
const char *const *sotto_model_types(void);

/** Does training take private steps? */
bool sotto_model_takes_steps(const sotto_model *model);

/** "gan", "vae", … */
const char *sotto_model_type(const sotto_model *model);

/** Trained floats that may be released. */
size_t sotto_model_parameters(const sotto_model *model);

/* ---------------------------------------------------------------- training */

/** Initial parameters from `random`, and room for the steps. `training` is copied. */
sotto_status sotto_model_prepare(sotto_model *model, const sotto_training *training, sotto_random *random,
                                 sotto_error *err);

/** Write the releases wanted, in the order in which they are made; returns how many. Valid as long as the
 * model. */
size_t sotto_model_releases(const sotto_model *model, sotto_model_release releases[SOTTO_MODEL_RELEASES]);

/** Make the releases through `door`, and learn from them: after the data are given, before the first step. */
sotto_status sotto_model_learn(sotto_model *model, const sotto_release_door *door, sotto_error *err);

/** What is to be counted; valid as long as the model. Only of kinds whose one release is counts. */
sotto_model_counts sotto_model_counts_wanted(const sotto_model *model);

/** Hand over the noisy counts, as the query lays them out: what learning does with them. */
sotto_status sotto_model_counts_give(sotto_model *model, const double *counts, sotto_error *err);

/** What the private step is to train; valid as long as the model. */
sotto_model_private sotto_model_private_wanted(const sotto_model *model);

/** The table whose rows the private step and the counts take up by their units; borrowed. */
void sotto_model_data(sotto_model *model, const sotto_encoded *data);

/** One private step, and the post-processing that belongs to it. */
sotto_status sotto_model_step(sotto_model *model, sotto_dpsgd *step, sotto_error *err);

/** One round of parts, and the post-processing that belongs to it, of a model that wants parts. */
sotto_status sotto_model_round(sotto_model *model, sotto_parts *parts, sotto_error *err);

/**
 * All that the model knows, of a prepared model that has learned from its releases: between two steps, or
 * after the last. What is read into a prepared model of the same section and schema goes on, and makes rows,
 * as the one that was written would have.
 */
void sotto_model_state(sotto_model *model, sotto_state *state);

/** Of the last step. */
sotto_model_losses sotto_model_last_losses(const sotto_model *model);

/* ------------------------------------------------------------------ health */

/** How a model in training looks, from its parameters and from SOTTO_MODEL_ROWS rows that it makes beside
 * noisy counts: post-processing (P6), but shown in private/ alone. NaN where there is none. */
typedef struct sotto_model_health {
    uint64_t step;         /**< after which; left to the caller */
    double parameters;     /**< the larger root mean square of those trained privately and those released */
    double entropy;        /**< of a column's slots, in nats, mean over the columns that are made */
    double wanted_entropy; /**< the same of noisy frequencies, over the columns that have them */
    double distance;       /**< total variation between the two, mean over those columns */
    double
        distinct; /**< how many different rows there are, of all, the target and other conditions left out */
} sotto_model_health;

enum { SOTTO_HEALTH_VERDICT = 200 };

/** Looks at one model while it is trained. */
typedef struct sotto_health sotto_health;

/** For a prepared model that takes private steps (borrowed). Caller destroys. */
sotto_status sotto_health_create(sotto_health **health, sotto_model *model, sotto_random *random,
                                 sotto_error *err);
void sotto_health_destroy(sotto_health *health);

/** Look. Draws from a stream of its own, so that training goes on as if nobody had looked. */
sotto_status sotto_health_examine(sotto_health *health, sotto_model_health *seen, sotto_error *err);

/** What was seen at earlier looks. Not the stream. */
void sotto_health_state(sotto_health *health, sotto_state *state);

/** Why training is going nowhere, as the part of a sentence that follows a colon; NULL while it is not. */
const char *sotto_health_verdict(const sotto_health *health);

/* ---------------------------------------------------------------- sampling */

enum { SOTTO_MODEL_ROWS = 1024 }; /**< the most rows that one call of sample makes */

/**
 * `count` ≤ SOTTO_MODEL_ROWS synthetic rows: slots [count, blocks] and values [count, blocks], as a csv
 * writer takes them. `target_slot` fixes the conditioning column, SOTTO_NONE leaves it to the learned
 * frequencies; where the model has no conditioning column it is ignored.
 */
sotto_status sotto_model_sample(sotto_model *model, sotto_stream *stream, size_t target_slot, size_t count,
                                uint16_t *slots, float *values, sotto_error *err);

/** Can rows be asked for by what they have in this block, without drawing again? */
bool sotto_model_conditional(const sotto_model *model, size_t block);

/**
 * The same, asked for by `wanted` [blocks]: a slot of each block, SOTTO_NONE for any. Slots of blocks that
 * the model is not conditional on are passed over: rows are what they would be without.
 */
sotto_status sotto_model_sample_given(sotto_model *model, sotto_stream *stream, const size_t *wanted,
                                      size_t count, uint16_t *slots, float *values, sotto_error *err);

/** The conditioning block of the encoder, or SOTTO_NONE. */
size_t sotto_model_target(const sotto_model *model);

/* ------------------------------------------------------------------- files */

/** What is written beside the parameters. */
typedef struct sotto_model_facts {
    double epsilon;
    double delta;
    const char *not_private; /**< "" for a private model, else the stamp (P9) */
} sotto_model_facts;

/** Is every number that would be released finite? A file of others could not be read back, and no rows be
 * made. */
bool sotto_model_is_finite(const sotto_model *model);

/** The bytes of a model file; caller frees. */
sotto_status sotto_model_save(const sotto_model *model, const sotto_model_facts *facts, char **bytes,
                              size_t *length, sotto_error *err);

/** A model read back from a file, with the schema and the encoder it was made for. */
typedef struct sotto_saved_model {
    sotto_model *model;
    sotto_encoder *encoder;
    sotto_schema *schema;
    sotto_document *header;
    sotto_model_facts facts;
} sotto_saved_model;

/** Read a model file; its bytes are taken for hostile. Ready to sample. Caller destroys `*saved`. */
sotto_status sotto_model_load(sotto_saved_model *saved, const char *path, unsigned threads, sotto_error *err);
void sotto_saved_model_destroy(sotto_saved_model *saved);

#endif
