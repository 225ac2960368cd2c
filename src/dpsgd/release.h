/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DPSGD_RELEASE_H
#define SOTTO_DPSGD_RELEASE_H

/* Inside this room: from a sum over real rows to what may be told. */

#include "dpsgd/lanes.h"

/** What a release of a sum needs. */
typedef struct sotto_release {
    sotto_lanes *lanes;
    bool exact;
    sotto_noise_grid grid; /**< exact */
    double noise_std;      /**< σC, of each coordinate of the sum */
    double max_grad_norm;  /**< C */
    double divisor;        /**< the public B̄ */
    sotto_stream **noise;  /**< [SOTTO_LANES]: each draws for its own part of the coordinates */
    unsigned threads;
    sotto_optimizer *optimizer;
    double rate;
    float *parameters;
    size_t parameter_count;
} sotto_release;

/**
 * Add noise to the sum, each coordinate once, divide by B̄ and take the optimizer's step, a few thousand
 * coordinates at a time: no gradient is ever in memory as a whole. The same for any number of threads.
 */
void sotto_release_step(const sotto_release *release);

#endif
