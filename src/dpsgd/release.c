/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dpsgd/release.h"

#include <math.h>

enum { BLOCK = 2048 };

/* gradient = (sum + noise)/B̄, the sum and the noise being integers: one rounding at the end of all. */
static void release_exact(const sotto_release *r, sotto_stream *noise, size_t first, size_t count,
                          float *gradient)
{
    int64_t sums[BLOCK];
    int32_t draws[BLOCK];
    /* A step of the noise is worth C/steps; what the division rounds is after the noise. */
    const double worth = r->max_grad_norm / r->grid.steps / r->divisor;
    sotto_lanes_integers(r->lanes, first, count, sums);
    sotto_stream_discrete_gaussian(noise, draws, count);
    for (size_t j = 0; j < count; j++) {
        /* Modulo 2⁶⁴, as the sum is: a sum too large for that is wrong, but as private as any. */
        const uint64_t total = ((uint64_t)sums[j] << r->grid.shift) + (uint64_t)(int64_t)draws[j];
        gradient[j] = (float)((double)(int64_t)total * worth);
    }
}

static void release_float(const sotto_release *r, sotto_stream *noise, size_t first, size_t count,
                          float *gradient)
{
    float draws[BLOCK];
    const float scale = (float)(1.0 / r->divisor);
    sotto_lanes_floats(r->lanes, first, count, gradient);
    sotto_stream_gaussian(noise, r->noise_std, draws, count);
    for (size_t j = 0; j < count; j++)
        gradient[j] = (gradient[j] + draws[j]) * scale;
}

/* Part `number` of SOTTO_LANES, of whole blocks. */
static void release_part(const sotto_release *r, size_t number)
{
    const size_t blocks = (r->parameter_count + BLOCK - 1) / BLOCK;
    const size_t begin = blocks * number / SOTTO_LANES, end = blocks * (number + 1) / SOTTO_LANES;
    float gradient[BLOCK];
    for (size_t b = begin; b < end; b++) {
        const size_t first = b * BLOCK, left = r->parameter_count - first;
        const size_t count = left < BLOCK ? left : BLOCK;
        if (r->exact)
            release_exact(r, r->noise[number], first, count, gradient);
        else
            release_float(r, r->noise[number], first, count, gradient);
        sotto_optimizer_apply(r->optimizer, first, count, gradient, r->parameters + first);
    }
}

void sotto_release_step(const sotto_release *release)
{
    sotto_optimizer_advance(release->optimizer, release->rate, release->noise_std / release->divisor);
#pragma omp parallel for num_threads(release->threads) schedule(static, 1) if (release->threads > 1)
    for (size_t number = 0; number < SOTTO_LANES; number++)
        release_part(release, number);
    sotto_lanes_taken(release->lanes);
}
