/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DPSGD_H
#define SOTTO_DPSGD_H

/**
 * dpsgd: the four doors through which real rows may reach a release (contract rule P1), and nothing else is.
 *
 *   - the private step: Poisson sample, per-example clipping, one noise draw, an optimizer's step;
 *   - parts: networks trained without noise on a part of the units each, of which one noisy vector at a time
 * is told;
 *   - noisy counts: several contingency tables in one Gaussian release;
 *   - picks: candidates chosen by the exponential mechanism, by how wrong a guess of their counts is.
 *
 * All read one sealed mechanism for what they do and what they charge (P2), and charge before they touch a
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

/** One physical chunk as a pass sees it. Example i takes the rows [i·views, (i + 1)·views) of the workspace.
 * Rows that no example takes hold leftovers and are ignored afterwards. */
typedef struct sotto_chunk {
    size_t lane;           /**< < SOTTO_LANES: which scratch memory of the caller's this pass may use */
    const uint32_t *units; /**< a row of each sampled unit: examples [0, unit_count) of the workspace */
    size_t unit_count;
    size_t public_first; /**< examples [unit_count, unit_count + public_count) are the batch's public ones */
    size_t public_count; /**< from number `public_first` on */
    size_t views;        /**< rows of each example */
    sotto_workspace *workspace;
} sotto_chunk;

/**
 * What a model does with a chunk: fill the workspace's input (and classes), run forward, fill the output
 * gradient with the gradient of each row's own loss, run backward. Called from several threads at once, each
 * with a lane of its own. Must not depend on anything but its arguments and data that no pass writes.
 */
typedef void sotto_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk);

/* --------------------------------------------------------------------- units */

/**
 * The units of privacy that are sampled and counted, and the rows that each brings: its own, and of them
 * `most` at most, whatever the lists say. All zero: no units. Plain data; the lists are borrowed.
 */
typedef struct sotto_units {
    const uint32_t *rows; /**< a unit's rows side by side */
    const uint32_t *first; /**< [count + 1]: unit u has rows[first[u]] to rows[first[u + 1] − 1], one or more;
                              NULL: unit u has rows[u] alone */
    size_t count;          /**< how many there are: private */
    size_t most;           /**< m, public: noise and odds are made for so many rows of one unit; 0 means 1 */
} sotto_units;

/** m ≥ 1. */
size_t sotto_units_most(const sotto_units *units);

/** The rows of unit u that may be read, and `*count`, how many: 1 to m of them. */
const uint32_t *sotto_units_rows(const sotto_units *units, size_t u, size_t *count);

/* ------------------------------------------------------------------ clipping */

/** How a unit's gradient ∇, over all its rows, is kept to the norm C. */
typedef enum sotto_clipping_kind {
    SOTTO_CLIPPING_FLAT = 0, /**< ∇·min(1, C/‖∇‖) (Abadi et al. 2016) */
    SOTTO_CLIPPING_AUTOMATIC, /**< ∇·C/(‖∇‖ + stability) (Bu et al. 2023, AUTO-S): C is a matter of the rate
                               */
    SOTTO_CLIPPING_PER_LAYER, /**< each of L layers with parameters to C/√L by itself: together C at most */
    SOTTO_CLIPPING_ADAPTIVE,  /**< flat, with C moving to a quantile of the norms (Andrew et al. 2021) */
} sotto_clipping_kind;

/** 0 in a field means its default. */
typedef struct sotto_clipping {
    sotto_clipping_kind kind;
    double max_grad_norm;   /**< C > 0; adaptive: the first one */
    double stability;       /**< automatic: > 0, 0.01 */
    double target_quantile; /**< adaptive: the share of units not clipped, in (0, 1); 0.5 */
    double learning_rate;   /**< adaptive: > 0; 0.2 */
    /** Adaptive: the noise of the count of units not clipped, > σ/2; B̄/20. The count and the gradient share
     * one step's noise multiplier σ: the gradient's own becomes (σ⁻² − (2·count_noise)⁻²)^(−½). */
    double count_noise;
} sotto_clipping;

/** Fill in defaults and check; σ and the expected batch size matter to the adaptive bound alone.
 * SOTTO_ERROR_INPUT for what is out of range. */
sotto_status sotto_clipping_complete(sotto_clipping *clipping, double expected_batch_size,
                                     double noise_multiplier, sotto_error *err);

/**
 * What is left of a step's noise multiplier σ for the gradient, for a completed clipping. The count of the
 * adaptive bound and the gradient are one vector, ((Σ ±½)/count_noise, Σ ∇/(σ_Δ C)), whose sensitivity must
 * be 1/σ: (2·count_noise)⁻² + σ_Δ⁻² = σ⁻² (Andrew et al. 2021, Theorem 1). Rounded up; σ itself for other
 * kinds.
 */
double sotto_clipping_gradient_noise(const sotto_clipping *clipping, double noise_multiplier);

/* ---------------------------------------------------------------- arithmetic */

/** How contributions are added up and noise is put on. */
typedef enum sotto_arithmetic {
    SOTTO_ARITHMETIC_EXACT = 0, /**< integers throughout (contract rule P16) */
    SOTTO_ARITHMETIC_FLOAT,     /**< float32 sums: the last bits of a sum are outside the proof */
} sotto_arithmetic;

/* ------------------------------------------------------------- private step */

/** What a private step is made of. Everything is copied except what is said to be borrowed. */
typedef struct sotto_dpsgd_options {
    sotto_mechanism mechanism; /**< sampled Gaussian: q and σ of every step */
    sotto_clipping clipping;
    sotto_arithmetic arithmetic;
    size_t views;        /**< rows of each example, 0 meaning 1: their gradients add up before the clip */
    size_t penalties;    /**< of them, the last ones: rows of a gradient penalty, which the pass adds */
    double public_units; /**< n, the public number of units that q is a share of; B̄ = q·n (P4) */
    const char *label;   /**< how charges are recorded, "discriminator steps" */
    sotto_optimizer_options optimizer;
    sotto_schedule schedule; /**< learning rate by step number */
    unsigned threads;        /**< ≥ 1; changes speed, never results */
    sotto_units units;       /**< borrowed: to sample from */
    sotto_weights *weights;  /**< borrowed, refreshed by each step */
    float *parameters;       /**< borrowed: what `weights` were made of, updated by each step */
    sotto_budget *budget;    /**< borrowed, asked and charged by each step */
    sotto_random *random;    /**< borrowed while creating */
} sotto_dpsgd_options;

/** The private step of one network. */
typedef struct sotto_dpsgd sotto_dpsgd;

/** SOTTO_ERROR_INPUT for a mechanism of another kind or options out of range. Caller destroys. */
sotto_status sotto_dpsgd_create(sotto_dpsgd **step, const sotto_dpsgd_options *options, sotto_error *err);
void sotto_dpsgd_destroy(sotto_dpsgd *step);

/**
 * Ask the budget, charge one use, then toss one coin for each unit (P3, P7). SOTTO_ERROR_BUDGET, with nothing
 * charged or drawn, where one more step would cross it (P10); SOTTO_ERROR_ENTROPY ends the run.
 *
 * A sampled unit of several rows brings one of them, drawn uniformly in this step, so that what it adds is
 * one row's clipped gradient: of norm C at most, whichever it is (P5). That the row is drawn costs nothing,
 * since divergences of both directions are jointly quasi-convex: a mixture of laws, each at most so far from
 * the law without the unit, is no farther from it.
 */
sotto_status sotto_dpsgd_begin(sotto_dpsgd *step, sotto_error *err);

/**
 * Send the sampled units and `public_count` public examples through `pass`, clip each example's gradient to C
 * and add it up. Public examples are clipped alike: they need no protection, but unclipped they would drown
 * the clipped units. An example whose gradient is not finite counts as zero (P5).
 */
sotto_status sotto_dpsgd_accumulate(sotto_dpsgd *step, size_t public_count, sotto_pass *pass, void *context,
                                    sotto_error *err);

/**
 * Add noise of standard deviation σC to each coordinate of the sum, once; divide by the public B̄; take the
 * optimizer's step, and the adaptive bound its own. An empty batch is an ordinary step: noise only.
 */
sotto_status sotto_dpsgd_end(sotto_dpsgd *step, sotto_error *err);

/** B̄ = q·n, public. */
double sotto_dpsgd_expected_batch_size(const sotto_dpsgd *step);

/** C of the next step: public, since it follows from noisy counts alone. */
double sotto_dpsgd_max_grad_norm(const sotto_dpsgd *step);

/** Steps ended so far. */
uint64_t sotto_dpsgd_steps(const sotto_dpsgd *step);

/** What the last step saw. Computed from real rows without noise: for private/ only (P12). */
typedef struct sotto_dpsgd_private {
    size_t batch;      /**< realised size of the Poisson sample */
    size_t clipped;    /**< of them and the public examples: norm above C, or of a layer above its own */
    size_t non_finite; /**< of them and the public examples: gradient not finite, counted as zero */
} sotto_dpsgd_private;

sotto_dpsgd_private sotto_dpsgd_last(const sotto_dpsgd *step);

/** Steps taken, the bound where it adapts, and the optimizer: between steps only. The parameters are the
 * model's. */
void sotto_dpsgd_state(sotto_dpsgd *step, sotto_state *state);

/* ------------------------------------------------------------------- parts */

/**
 * Networks trained without noise, each on a part of the units, and one noisy vector of one of them at a time
 * (Chen, Orekondy and Fritz 2020). Each unit falls into one of K parts by a coin of its own that nobody
 * learns. The parts take turns, in public order: K turns are a round.
 *
 * A vector is clipped to C. What a network has become may depend in any way on each of its rows, so a unit
 * more or less can turn a vector into any other of the ball: the sensitivity is 2C, and the noise of each
 * coordinate N(0, (2σC)²). Whatever part a unit is in, only one vector of a round was computed from that part
 * (all others from other parts and what was released before), so a round costs each unit one use of the
 * Gaussian mechanism: of the sampled Gaussian at rate 1. That the part is drawn costs nothing, divergences
 * being jointly quasi-convex; it gains nothing either, and no amplification is claimed.
 */
typedef struct sotto_parts_options {
    sotto_mechanism mechanism; /**< sampled Gaussian of rate 1: of one round */
    sotto_clipping clipping;   /**< flat, complete */
    size_t parts;              /**< K ≥ 1 */
    size_t dimension;          /**< of a vector, ≥ 1 */
    size_t batch;              /**< rows of an unnoised step, drawn with replacement */
    const char *label;
    const sotto_network *network;      /**< borrowed */
    sotto_optimizer_options optimizer; /**< of the networks: unnoised */
    sotto_schedule schedule;           /**< by number of round */
    unsigned threads;
    sotto_units units;    /**< borrowed */
    sotto_budget *budget; /**< borrowed, asked and charged by each round */
    sotto_random *random; /**< borrowed while creating */
} sotto_parts_options;

typedef struct sotto_parts sotto_parts;

/** Toss the coins, and initialise the networks. SOTTO_ERROR_INPUT for a mechanism or clipping of another
 * kind. Caller destroys. */
sotto_status sotto_parts_create(sotto_parts **parts, const sotto_parts_options *options, sotto_error *err);
void sotto_parts_destroy(sotto_parts *parts);

/** The next part's turn. With the first of a round one use is charged, before a row is touched (P7);
 * SOTTO_ERROR_BUDGET, with nothing charged or drawn, where that would cross the budget. */
sotto_status sotto_parts_begin(sotto_parts *parts, sotto_error *err);

/** One ordinary step, unclipped and without noise, of the network whose turn it is: on a batch of rows drawn
 * from its part, none where it is empty, and `public_count` public examples. */
sotto_status sotto_parts_learn(sotto_parts *parts, size_t public_count, sotto_pass *pass, void *context,
                               sotto_error *err);

/** Of the network whose turn it is: PRIVATE. What is computed from them is to leave by the release alone. */
const sotto_weights *sotto_parts_weights(const sotto_parts *parts);

/** Tell a noisy copy of `vector` [dimension], and end the turn. A vector that is not finite counts as zero.
 */
sotto_status sotto_parts_release(sotto_parts *parts, const double *vector, float *released, sotto_error *err);

/**
 * Which part each unit is in, and of each part's network the parameters and the optimizer: PRIVATE. Between
 * rounds only, since a round is charged with its first turn: gone on with twice from its middle, its other
 * vectors would be told twice for one charge.
 */
void sotto_parts_state(sotto_parts *parts, sotto_state *state);

/** K. */
size_t sotto_parts_count(const sotto_parts *parts);

/** Turns ended so far. */
uint64_t sotto_parts_turns(const sotto_parts *parts);

/** Of the last turn the batch, of its round the vectors clipped and not finite: for private/ only (P12). */
sotto_dpsgd_private sotto_parts_last(const sotto_parts *parts);

/* -------------------------------------------------------------- public step */

/** An update that sees no real row: a generator's, from fakes and an already private discriminator. Costs
 * nothing. */
typedef struct sotto_public_step sotto_public_step;

/** What a public step is made of, as above. */
typedef struct sotto_public_options {
    sotto_optimizer_options optimizer;
    sotto_schedule schedule;
    unsigned threads;
    sotto_weights *weights; /**< borrowed, refreshed by each step */
    float *parameters;      /**< borrowed: what `weights` were made of */
    sotto_random *random;   /**< borrowed while creating */
} sotto_public_options;

sotto_status sotto_public_step_create(sotto_public_step **step, const sotto_public_options *options,
                                      sotto_error *err);
void sotto_public_step_destroy(sotto_public_step *step);

/** Where the schedule of rates stands, counted as its steps are: for steps that are not taken at even
 * distances. Each step moves it on by one. */
void sotto_public_step_seek(sotto_public_step *step, uint64_t number);

/** Steps taken and the optimizer. The parameters are the model's. */
void sotto_public_step_state(sotto_public_step *step, sotto_state *state);

/** The mean gradient of `count` ≥ 1 public examples, unclipped, and one step of the optimizer. */
void sotto_public_step_take(sotto_public_step *step, size_t count, sotto_pass *pass, void *context);

/* ----------------------------------------------------------------- sampling */

/**
 * Poisson sampling: each of `units` enters by an independent coin that is never more likely than
 * `sample_rate` (rounded down to a multiple of 2⁻⁶⁴). Writes a row of each sampled unit, in their order, to
 * `sample` (room for all units) and returns how many they are: its only one, or one drawn uniformly, after
 * the coins, by the same amount of randomness for each.
 */
size_t sotto_poisson_sample(sotto_stream *stream, double sample_rate, const sotto_units *units,
                            uint32_t *sample);

/* ------------------------------------------------------------- noisy counts */

/**
 * Several contingency tables of the same units in one Gaussian release. Each row adds 1 to exactly one cell
 * of each table, and a unit has at most m rows, so that adding or removing it changes the counts by at most
 * m·√tables in L2, all its rows falling into the same cells: that is the sensitivity.
 */
typedef struct sotto_counts_query {
    size_t tables;            /**< ≥ 1 */
    const size_t *table_size; /**< cells of each table, ≥ 1 */
    /** The cell of `row` in `table`; below its size. */
    size_t (*cell)(const void *context, uint32_t row, size_t table);
    const void *context;
} sotto_counts_query;

/**
 * Charge one use of `mechanism` (Gaussian) under `label`, count, and add N(0, σ²·m²·tables) to each cell.
 * `counts` holds the tables one after the other; noisy counts are integers and may be negative.
 * SOTTO_ERROR_BUDGET where the budget refuses.
 */
sotto_status sotto_counts_release(const sotto_counts_query *query, const sotto_mechanism *mechanism,
                                  sotto_budget *budget, const char *label, const sotto_units *units,
                                  sotto_random *random, double *counts, sotto_error *err);

/** Could such a release be made at all, of units of `most` rows: has its noise a grid? Looks at no row.
 * SOTTO_ERROR_INPUT where not, so that a plan is refused before anything is charged. */
sotto_status sotto_counts_check(const sotto_mechanism *mechanism, size_t tables, size_t most,
                                sotto_error *err);

/* -------------------------------------------------------------------- picks */

/**
 * Candidates, each a contingency table of the same units beside a guess of it from what is public already. A
 * candidate's score is Σ|count − guess| over its table's cells: adding or removing a unit, of at most m rows
 * that each add 1 to one cell, moves it by m at most; a handicap, which is public, takes nothing from that.
 * The scores are made here, so that no caller's mistake can make them worse.
 */
typedef struct sotto_picks_query {
    size_t candidates;
    /** Cells of the candidate's table, 1 to 2²¹. */
    size_t (*cells)(const void *context, size_t candidate);
    /** The cell of `row` in it; below their number. */
    size_t (*cell)(const void *context, uint32_t row, size_t candidate);
    /** The guess, whole numbers, written to `counts` [cells]; looks at no row. */
    void (*guess)(const void *context, size_t candidate, int64_t *counts);
    /** What is taken off the candidate's score; looks at no row. NULL: nothing. */
    int64_t (*handicap)(const void *context, size_t candidate);
    /** May the candidate still be picked after these `count` picks? Looks at no row. One must be left. */
    bool (*open)(const void *context, size_t candidate, const size_t *picked, size_t count);
    const void *context;
} sotto_picks_query;

/**
 * Charge `picks` uses of `mechanism` (exponential) under `label`, score the candidates, and pick one after
 * another by odds of e^{ε·score/2m} among those that are open: exactly, by comparing random integers, but for
 * ε/2m being rounded down to a multiple of 2⁻³². `picked` [picks] are their numbers. SOTTO_ERROR_BUDGET where
 * the budget refuses.
 */
sotto_status sotto_picks_release(const sotto_picks_query *query, const sotto_mechanism *mechanism,
                                 size_t picks, sotto_budget *budget, const char *label,
                                 const sotto_units *units, sotto_random *random, size_t *picked,
                                 sotto_error *err);

#endif
