/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_DPSGD_CLIP_H
#define SOTTO_DPSGD_CLIP_H

/* Inside this room: from norms to weights. */

#include "dpsgd/dpsgd.h"

/** What became of some examples. */
typedef struct sotto_clip_counts {
    size_t clipped;
    size_t non_finite;
    size_t units_within; /**< units (not public examples) whose norm is at most C */
} sotto_clip_counts;

/** Whether weights differ from block to block. */
static inline bool sotto_clipping_by_block(const sotto_clipping *clipping)
{
    return clipping->kind == SOTTO_CLIPPING_PER_LAYER;
}

/**
 * weights from norms2 [blocks, examples]: [examples], or [blocks, examples] for per-layer clipping. `margin`
 * in (0, 1) is how far, relatively, every clipped norm stays below its bound: room for rounding. Of the
 * examples the first `units` are units. Norms are summed over blocks in place.
 */
sotto_clip_counts sotto_clip_weigh(const sotto_clipping *clipping, double margin, size_t blocks,
                                   size_t examples, size_t units, double *norms2, float *weights);

/**
 * The clip factor min(1, C/‖∇‖) as a float that is never too large: after all float rounding ‖c·∇‖ ≤ C. 0
 * where `norm2` is no squared norm: not finite, or negative.
 */
float sotto_clip_factor(double max_grad_norm, double margin, double norm2);

/* Room for the rounding of float32 rows and of their norms; and for the rounding to integers. */
#define SOTTO_MARGIN_FLOAT 0x1p-20
#define SOTTO_MARGIN_EXACT 0x1p-10

/* ------------------------------------------------------------------- grids */

/** The grid of exact sums and noise for one noise multiplier. */
typedef struct sotto_noise_grid {
    uint32_t bound; /**< in sums' steps: no contribution is longer */
    unsigned shift; /**< a step of the sums is 2^shift steps of the noise */
    double steps;   /**< bound·2^shift: the sensitivity in the noise's own steps */
} sotto_noise_grid;

/**
 * The finest grid whose noise of standard deviation SOTTO_NOISE_STD is at least `noise_multiplier` times the
 * sensitivity: S² − 1/12 ≥ σ²·steps², the 1/12 being what rounding a continuous Gaussian adds to its
 * variance. SOTTO_ERROR_INPUT where the multiplier is so large that no step is left.
 */
sotto_status sotto_noise_grid_make(sotto_noise_grid *grid, double noise_multiplier, sotto_error *err);

#endif
