/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The plain Gaussian mechanism on one clipped vector (Dwork and Roth 2014, Theorem A.1, at the sensitivity of
 * a ball: its diameter), in integers. That any two vectors of the ball are within twice its radius needs no
 * word about how they came to be, so no floating point before the rounding can break it.
 */
#include "dpsgd/vector.h"

#include <math.h>

enum { BLOCK = 2048 };

sotto_status sotto_vector_grid_make(sotto_noise_grid *grid, double noise_multiplier, sotto_error *err)
{
    return sotto_noise_grid_make(grid, 2.0 * noise_multiplier, err);
}

/* Are the integers in the ball? Each square is below 2⁴³ where they are, and so is the sum when it leaves. */
static bool is_within(const int64_t *steps, size_t count, uint32_t bound)
{
    const uint64_t most = (uint64_t)bound * bound;
    uint64_t sum = 0;
    for (size_t j = 0; j < count; j++) {
        const uint64_t length = (uint64_t)(steps[j] < 0 ? -steps[j] : steps[j]);
        if (length > bound)
            return false;
        sum += length * length;
        if (sum > most)
            return false;
    }
    return true;
}

static void clear(int64_t *steps, size_t count)
{
    for (size_t j = 0; j < count; j++)
        steps[j] = 0;
}

sotto_vector_fate sotto_vector_round(const sotto_noise_grid *grid, double max_grad_norm, const double *vector,
                                     size_t count, int64_t *steps)
{
    double norm2 = 0.0;
    for (size_t j = 0; j < count; j++)
        norm2 += vector[j] * vector[j];
    clear(steps, count);
    if (!isfinite(norm2))
        return SOTTO_VECTOR_NOT_FINITE;
    /* Room for the rounding of the norm and of the products. */
    const double norm = sqrt(norm2), radius = max_grad_norm * (1.0 - 0x1p-20);
    const double scale = (norm > radius ? radius / norm : 1.0) / max_grad_norm * (double)grid->bound;
    for (size_t j = 0; j < count; j++)
        steps[j] = (int64_t)fmin(fmax(vector[j] * scale, -0x1p30), 0x1p30);
    if (!is_within(steps, count, grid->bound)) { /* beyond that room: nothing is told */
        clear(steps, count);
        return SOTTO_VECTOR_NOT_FINITE;
    }
    return norm > max_grad_norm ? SOTTO_VECTOR_CLIPPED : SOTTO_VECTOR_WHOLE;
}

sotto_vector_fate sotto_vector_release(const sotto_noise_grid *grid, double max_grad_norm,
                                       sotto_stream *noise, const double *vector, size_t count,
                                       int64_t *steps, float *released)
{
    const sotto_vector_fate fate = sotto_vector_round(grid, max_grad_norm, vector, count, steps);
    const double worth = max_grad_norm / grid->steps; /* of a step of the noise */
    int32_t draws[BLOCK];
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t piece = count - first < BLOCK ? count - first : BLOCK;
        sotto_stream_discrete_gaussian(noise, draws, piece);
        for (size_t j = 0; j < piece; j++)
            released[first + j] =
                (float)((double)(steps[first + j] * (INT64_C(1) << grid->shift) + draws[j]) * worth);
    }
    return fate;
}
