/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DPSGD_H
#define SOTTO_DPSGD_H

/**
 * dpsgd: the two doors through which real rows may reach a release (contract rule P1), and nothing else is.
 *
 *   - the private step: Poisson sample, per-example clipping, one noise draw, an optimizer's step;
 *   - noisy counts: several contingency tables in one Gaussian release.
 *
 * Both read one sealed mechanism for what they do and what they charge (P2), and charge before they touch a
 * row (P7). Beside them stands the public step, for updates that see no real row.
 */

#include "network/network.h"
#include "sotto/accountant.h"

/* ------------------------------------------------------------------- chunks */

/**
 * A logical batch goes through the network in physical chunks of one fixed shape, so memory does not grow
 * with the batch. Chunk i belongs to lane i mod SOTTO_LANES; a lane's chunks are summed in order and the
 * lanes' sums in order, so the result is the same bit for bit whatever the number of threads.
 */
enum { SOTTO_LANES = 4, SOTTO_CHUNK_ROWS = 64 };

/** One physical chunk as a pass sees it. Rows that no example takes hold leftovers and are ignored
 * afterwards. */
typedef struct sotto_chunk {
    size_t lane;           /**< < SOTTO_LANES: which scratch memory of the caller's this pass may use */
    const uint32_t *units; /**< the sampled units in rows [0, unit_count) of the workspace */
    size_t unit_count;
    size_t public_first; /**< rows [unit_count, unit_count + public_count) are the batch's public examples */
    size_t public_count; /**< from number `public_first` on */
    sotto_workspace *workspace;
} sotto_chunk;

/**
 * What a model does with a chunk: fill the workspace's input (and classes), run forward, fill the output
 * gradient with the gradient of each row's own loss, run backward. Called from several threads at once, each
 * with a lane of its own. Must not depend on anything but its arguments and data that no pass writes.
 */
typedef void sotto_pass(void *context, const sotto_network *network, const float *parameters,
                        const sotto_chunk *chunk);

/* ------------------------------------------------------------- private step */

/** What a private step is made of. Everything is copied except what is said to be borrowed. */
typedef struct sotto_dpsgd_options {
    sotto_mechanism mechanism; /**< sampled Gaussian: q and σ of every step */
    double max_grad_norm;      /**< C > 0: the L2 norm to which each unit's gradient is clipped */
    double public_units;       /**< n, the public number of units that q is a share of; B̄ = q·n (P4) */
    const char *label;         /**< how charges are recorded, "discriminator steps" */
    sotto_optimizer_options optimizer;
    sotto_schedule schedule;      /**< learning rate by step number */
    unsigned threads;             /**< ≥ 1; changes speed, never results */
    const uint32_t *units;        /**< borrowed: the units to sample from */
    size_t unit_count;            /**< how many they really are: private */
    const sotto_network *network; /**< borrowed */
    float *parameters;            /**< borrowed, updated by each step */
    sotto_budget *budget;         /**< borrowed, asked and charged by each step */
    sotto_random *random;         /**< borrowed while creating */
} sotto_dpsgd_options;

/** The private step of one network. */
typedef struct sotto_dpsgd sotto_dpsgd;

/** SOTTO_ERROR_INPUT for a mechanism of another kind or options out of range. Caller destroys. */
sotto_status sotto_dpsgd_create(sotto_dpsgd **step, const sotto_dpsgd_options *options, sotto_error *err);
void sotto_dpsgd_destroy(sotto_dpsgd *step);

/**
 * Ask the budget, charge one use, then toss one coin for each unit (P3, P7). SOTTO_ERROR_BUDGET, with nothing
 * charged or drawn, where one more step would cross it (P10); SOTTO_ERROR_ENTROPY ends the run.
 */
sotto_status sotto_dpsgd_begin(sotto_dpsgd *step, sotto_error *err);

/**
 * Send the sampled units and `public_count` public examples through `pass`, clip each row's gradient to C and
 * add it up. Each unit is one row. Public examples are clipped alike: they need no protection, but unclipped
 * they would drown the clipped rows. A row whose gradient is not finite counts as zero (P5).
 */
sotto_status sotto_dpsgd_accumulate(sotto_dpsgd *step, size_t public_count, sotto_pass *pass, void *context,
                                    sotto_error *err);

/**
 * Add N(0, σ²C²) to each coordinate of the sum, once; divide by the public B̄; take the optimizer's step. An
 * empty batch is an ordinary step: noise only.
 */
sotto_status sotto_dpsgd_end(sotto_dpsgd *step, sotto_error *err);

/** B̄ = q·n, public. */
double sotto_dpsgd_expected_batch_size(const sotto_dpsgd *step);

/** Steps ended so far. */
uint64_t sotto_dpsgd_steps(const sotto_dpsgd *step);

/** What the last step saw. Computed from real rows without noise: for private/ only (P12). */
typedef struct sotto_dpsgd_private {
    size_t batch;      /**< realised size of the Poisson sample */
    size_t clipped;    /**< of them and the public examples: norm above C */
    size_t non_finite; /**< of them and the public examples: gradient not finite, counted as zero */
} sotto_dpsgd_private;

sotto_dpsgd_private sotto_dpsgd_last(const sotto_dpsgd *step);

/**
 * The clip factor min(1, C/‖∇‖) as a float that is never too large: after all float rounding ‖c·∇‖ ≤ C. 0
 * where `norm2` is not finite.
 */
float sotto_clip_factor(double max_grad_norm, double norm2);

/* -------------------------------------------------------------- public step */

/** An update that sees no real row: a generator's, from fakes and an already private discriminator. Costs
 * nothing. */
typedef struct sotto_public_step sotto_public_step;

/** What a public step is made of, as above. */
typedef struct sotto_public_options {
    sotto_optimizer_options optimizer;
    sotto_schedule schedule;
    unsigned threads;
    const sotto_network *network; /**< borrowed */
    float *parameters;            /**< borrowed */
} sotto_public_options;

sotto_status sotto_public_step_create(sotto_public_step **step, const sotto_public_options *options,
                                      sotto_error *err);
void sotto_public_step_destroy(sotto_public_step *step);

/** The mean gradient of `count` ≥ 1 public examples, unclipped, and one step of the optimizer. */
void sotto_public_step_take(sotto_public_step *step, size_t count, sotto_pass *pass, void *context);

/* ----------------------------------------------------------------- sampling */

/**
 * Poisson sampling: each of `count` units enters by an independent coin that is never more likely than
 * `sample_rate` (rounded down to a multiple of 2⁻⁶⁴). Writes the sampled units in order to `sample` (room for
 * `count`) and returns how many they are.
 */
size_t sotto_poisson_sample(sotto_stream *stream, double sample_rate, const uint32_t *units, size_t count,
                            uint32_t *sample);

/* ------------------------------------------------------------- noisy counts */

/**
 * Several contingency tables of the same units in one Gaussian release. Each unit adds 1 to exactly one cell
 * of each table, so adding or removing a unit changes the counts by √tables in L2: that is the sensitivity.
 */
typedef struct sotto_counts_query {
    size_t tables;            /**< ≥ 1 */
    const size_t *table_size; /**< cells of each table, ≥ 1 */
    /** The cell of `unit` in `table`; below its size. */
    size_t (*cell)(const void *context, uint32_t unit, size_t table);
    const void *context;
} sotto_counts_query;

/**
 * Charge one use of `mechanism` (Gaussian) under `label`, count, and add N(0, σ²·tables) to each cell.
 * `counts` holds the tables one after the other; noisy counts are integers and may be negative.
 * SOTTO_ERROR_BUDGET where the budget refuses.
 */
sotto_status sotto_counts_release(const sotto_counts_query *query, const sotto_mechanism *mechanism,
                                  sotto_budget *budget, const char *label, const uint32_t *units,
                                  size_t unit_count, sotto_random *random, double *counts, sotto_error *err);

#endif
