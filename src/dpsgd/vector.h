/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DPSGD_VECTOR_H
#define SOTTO_DPSGD_VECTOR_H

/* Inside this room: one vector that anything at all about the rows may have moved, and what may be told of
 * it. */

#include "dpsgd/clip.h"

/**
 * The grid of vectors clipped to C: another table may give any other vector of the ball, which is 2C away at
 * most. So the noise is made for 2C, twice that of a sum to which each unit adds C. SOTTO_ERROR_INPUT where
 * the multiplier leaves no grid.
 */
sotto_status sotto_vector_grid_make(sotto_noise_grid *grid, double noise_multiplier, sotto_error *err);

/** What became of a vector, told to nobody. */
typedef enum sotto_vector_fate {
    SOTTO_VECTOR_WHOLE = 1,
    SOTTO_VECTOR_CLIPPED,
    SOTTO_VECTOR_NOT_FINITE, /**< the zero vector stands for it */
} sotto_vector_fate;

/**
 * `vector` [count] clipped to C and put on the grid, `steps` [count]: rounded toward zero, Σ steps² ≤ bound²
 * in integers, whatever the vector.
 */
sotto_vector_fate sotto_vector_round(const sotto_noise_grid *grid, double max_grad_norm, const double *vector,
                                     size_t count, int64_t *steps);

/**
 * `released` [count]: the same plus noise of standard deviation 2σC in each coordinate, drawn once, in
 * integers; scaled at the end of all. `steps` [count] is scratch.
 */
sotto_vector_fate sotto_vector_release(const sotto_noise_grid *grid, double max_grad_norm,
                                       sotto_stream *noise, const double *vector, size_t count,
                                       int64_t *steps, float *released);

#endif
