/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DPSGD_LANES_H
#define SOTTO_DPSGD_LANES_H

/* Inside this room: sends a logical batch through a network chunk by chunk and adds up weighted gradients. */

#include "dpsgd/clip.h"

typedef struct sotto_lanes sotto_lanes;

/** What lanes are made for. */
typedef struct sotto_lanes_options {
    const sotto_weights *weights; /**< borrowed */
    size_t views;                 /**< ≥ 1 */
    size_t penalties;             /**< of them, below views */
    unsigned threads;             /**< ≥ 1 */
    bool exact;                   /**< integer sums, to be taken by sotto_lanes_integers */
} sotto_lanes_options;

/** One logical batch. */
typedef struct sotto_batch {
    const sotto_clipping *clipping; /**< NULL: every example counts in full (in floats) */
    sotto_exact_grid grid;          /**< exact lanes: units to 1, and the bound */
    const uint32_t *units;
    size_t unit_count;
    size_t public_count;
    /** Of the units' dropout, [unit_count]: drawn for each sampled unit by itself, so that who else is
     * sampled, or in the table, has no say in it. NULL where there are no units. */
    const uint64_t *unit_seeds;
    uint64_t public_seed; /**< of the public examples' dropout */
    sotto_pass *pass;
    void *context;
} sotto_batch;

sotto_status sotto_lanes_create(sotto_lanes **lanes, const sotto_lanes_options *options, sotto_error *err);
void sotto_lanes_destroy(sotto_lanes *lanes);

/**
 * Add up Σ_i c_i ∇_i over the batch's units and public examples, c_i the clip factor or 1, replacing what an
 * earlier batch left. The sum is then taken range by range, by several threads if they like: in floats in a
 * fixed order of summation; in integers, exactly, whatever the order.
 */
sotto_clip_counts sotto_lanes_sum(sotto_lanes *lanes, const sotto_batch *batch);

/** sums [count] of the parameters from `first` on, once for each batch. */
void sotto_lanes_floats(const sotto_lanes *lanes, size_t first, size_t count, float *sums);
void sotto_lanes_integers(sotto_lanes *lanes, size_t first, size_t count, int64_t *sums);

/** Every integer has been taken: spares the next batch clearing them again. */
void sotto_lanes_taken(sotto_lanes *lanes);

#endif
