/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DPSGD_LANES_H
#define SOTTO_DPSGD_LANES_H

/* Inside this room: sends a logical batch through a network chunk by chunk and adds up weighted gradients. */

#include "dpsgd/dpsgd.h"

typedef struct sotto_lanes sotto_lanes;

/** What became of one call. */
typedef struct sotto_lanes_counts {
    size_t clipped;
    size_t non_finite;
} sotto_lanes_counts;

sotto_status sotto_lanes_create(sotto_lanes **lanes, const sotto_network *network, unsigned threads,
                                sotto_error *err);
void sotto_lanes_destroy(sotto_lanes *lanes);

/**
 * gradient = Σ_i c_i ∇_i over `unit_count` units and `public_count` public examples, in a fixed order of
 * summation. c_i is the clip factor for `max_grad_norm`, or 1 for a `max_grad_norm` of 0 (public examples
 * only).
 */
sotto_lanes_counts sotto_lanes_sum(sotto_lanes *lanes, const float *parameters, double max_grad_norm,
                                   const uint32_t *units, size_t unit_count, size_t public_count,
                                   sotto_pass *pass, void *context, float *gradient);

#endif
