/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/clip.h"

#include <math.h>

/* ----------------------------------------------------------------------- options */

static double default_to(double value, double otherwise)
{
    return value == 0.0 ? otherwise : value;
}

static sotto_status refuse(sotto_error *err, const char *what, double found, const char *wanted)
{
    return sotto_error_set(err, SOTTO_ERROR_INPUT, "%s is %g; it must be %s", what, found, wanted);
}

static sotto_status check_adaptive(const sotto_clipping *c, double noise_multiplier, sotto_error *err)
{
    if (!(c->target_quantile > 0.0 && c->target_quantile < 1.0))
        return refuse(err, "target_quantile", c->target_quantile, "between 0 and 1");
    if (!(c->learning_rate > 0.0) || !isfinite(c->learning_rate))
        return refuse(err, "the adaptive bound's learning_rate", c->learning_rate, "positive");
    if (!(c->count_noise <= 1e6))
        return refuse(err, "count_noise", c->count_noise, "at most a million");
    if (!(2.0 * c->count_noise > noise_multiplier))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "count_noise is %g, which leaves nothing of a noise multiplier of %g for the gradient; it must be "
            "above half the noise multiplier: give more, or a larger batch",
            c->count_noise, noise_multiplier);
    return SOTTO_OK;
}

sotto_status sotto_clipping_complete(sotto_clipping *clipping, double expected_batch_size,
                                     double noise_multiplier, sotto_error *err)
{
    sotto_clipping *c = clipping;
    if (c->kind < SOTTO_CLIPPING_FLAT || c->kind > SOTTO_CLIPPING_ADAPTIVE)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "unknown kind of clipping %d", (int)c->kind);
    if (!(c->max_grad_norm > 0) || !isfinite(c->max_grad_norm))
        return refuse(err, "max_grad_norm", c->max_grad_norm, "positive and finite");
    c->stability = default_to(c->stability, 0.01);
    c->target_quantile = default_to(c->target_quantile, 0.5);
    c->learning_rate = default_to(c->learning_rate, 0.2);
    c->count_noise = default_to(c->count_noise, expected_batch_size / 20.0);
    if (c->kind == SOTTO_CLIPPING_AUTOMATIC && (!(c->stability > 0.0) || !isfinite(c->stability)))
        return refuse(err, "stability", c->stability, "positive");
    return c->kind == SOTTO_CLIPPING_ADAPTIVE ? check_adaptive(c, noise_multiplier, err) : SOTTO_OK;
}

double sotto_clipping_gradient_noise(const sotto_clipping *clipping, double noise_multiplier)
{
    if (clipping->kind != SOTTO_CLIPPING_ADAPTIVE)
        return noise_multiplier;
    /* The difference is exact where the two are near each other: nothing cancels that was rounded before. */
    const double count = 2.0 * clipping->count_noise;
    const double left = (count - noise_multiplier) / count * ((count + noise_multiplier) / count);
    return noise_multiplier / sqrt(left) * (1.0 + 0x1p-40);
}

/* ----------------------------------------------------------------------- weights */

static float float_down(double value)
{
    const float rounded = (float)value;
    return (double)rounded > value ? nextafterf(rounded, 0.0f) : rounded;
}

/* Rounding can leave a sum of products that cancel below zero: that tells nothing of what it stands for. */
static bool is_squared_norm(double norm2)
{
    return norm2 >= 0.0 && isfinite(norm2);
}

float sotto_clip_factor(double max_grad_norm, double margin, double norm2)
{
    if (!is_squared_norm(norm2))
        return 0.0f;
    const double norm = sqrt(norm2), bound = max_grad_norm * (1.0 - margin);
    return float_down(norm > bound ? bound / norm : 1.0);
}

static float automatic_factor(const sotto_clipping *c, double margin, double norm2)
{
    if (!is_squared_norm(norm2))
        return 0.0f;
    return float_down(c->max_grad_norm * (1.0 - margin) / (sqrt(norm2) + c->stability));
}

/* Every layer by itself; an example with one layer out of bounds counts as clipped. */
static void weigh_blocks(const sotto_clipping *c, double margin, size_t blocks, size_t examples,
                         const double *norms2, float *weights, sotto_clip_counts *counts)
{
    const double bound = c->max_grad_norm / sqrt((double)blocks);
    for (size_t e = 0; e < examples; e++) {
        bool clipped = false, finite = true;
        for (size_t b = 0; b < blocks; b++)
            finite = finite && is_squared_norm(norms2[b * examples + e]);
        for (size_t b = 0; b < blocks; b++) {
            const double norm2 = norms2[b * examples + e];
            weights[b * examples + e] = finite ? sotto_clip_factor(bound, margin, norm2) : 0.0f;
            clipped = clipped || norm2 > bound * bound;
        }
        counts->clipped += finite && clipped;
        counts->non_finite += !finite;
    }
}

sotto_clip_counts sotto_clip_weigh(const sotto_clipping *clipping, double margin, size_t blocks,
                                   size_t examples, size_t units, double *norms2, float *weights)
{
    const sotto_clipping *c = clipping;
    const double bound2 = c->max_grad_norm * c->max_grad_norm;
    sotto_clip_counts counts = {0};
    if (sotto_clipping_by_block(c))
        weigh_blocks(c, margin, blocks, examples, norms2, weights, &counts);
    for (size_t b = 1; b < blocks; b++)
        for (size_t e = 0; e < examples; e++)
            norms2[e] += norms2[b * examples + e];
    for (size_t e = 0; e < units; e++)
        counts.units_within += norms2[e] <= bound2;
    if (sotto_clipping_by_block(c))
        return counts;
    for (size_t e = 0; e < examples; e++) {
        weights[e] = c->kind == SOTTO_CLIPPING_AUTOMATIC
                         ? automatic_factor(c, margin, norms2[e])
                         : sotto_clip_factor(c->max_grad_norm, margin, norms2[e]);
        counts.non_finite += !is_squared_norm(norms2[e]);
        counts.clipped += is_squared_norm(norms2[e]) && norms2[e] > bound2;
    }
    return counts;
}

/* ------------------------------------------------------------------------- grids */

/* Sums of 2²⁰ units stay within int64 with room for the noise; and sums of 1,024 within int32. */
#define MOST_STEPS 0x1p42
#define MOST_BOUND ((UINT32_C(1) << 21) - 1)

sotto_status sotto_noise_grid_make(sotto_noise_grid *grid, double noise_multiplier, sotto_error *err)
{
    /* Of S²(1 − 2⁻⁵⁰)² the difference to S² is more than 1/12, and more than the division's rounding. */
    const double finest = floor((double)SOTTO_NOISE_STD * (1.0 - 0x1p-50) / noise_multiplier);
    if (!(finest >= 16.0))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "a noise multiplier of %g leaves exact arithmetic no grid; the largest is %g",
                               noise_multiplier, (double)SOTTO_NOISE_STD / 16.0);
    uint64_t steps = (uint64_t)(finest < MOST_STEPS ? finest : MOST_STEPS);
    *grid = (sotto_noise_grid){0};
    while (steps >> grid->shift > MOST_BOUND)
        grid->shift++;
    grid->bound = (uint32_t)(steps >> grid->shift);
    grid->steps = ldexp((double)grid->bound, (int)grid->shift);
    return SOTTO_OK;
}
