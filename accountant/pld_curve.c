/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <math.h>
#include <stdlib.h>

/* Reading a composition: δ at ε and ε at δ, from the tilted masses and the bounds on their errors. */

void pld_curve_free(pld_curve *curve)
{
    free(curve->mass);
    *curve = (pld_curve){0};
}

/* Σ t e^{−λd} and Σ t e^{−λd}(1 − e^{−d}) over all masses t at a distance d above some loss; and of t = 1. */
typedef struct sums {
    double all, part;
    double count, weight;
} sums;

/* The same seen from `step` farther below. All terms are positive: nothing cancels. */
static sums move_down(const pld_curve *curve, const sums *s, double step)
{
    const double decay = exp(-curve->tilt * step), less = -expm1(-step);
    return (sums){.all = decay * s->all,
                  .part = decay * (less * s->all + (1.0 - less) * s->part),
                  .count = decay * s->count,
                  .weight = decay * (less * s->count + (1.0 - less) * s->weight)};
}

static double log_delta_of(const pld_curve *curve, int side, const sums *s, double epsilon)
{
    /* e^{−λd}(1 − e^{−d}) ≤ 1/(1 + λ): what mass outside the window can weigh */
    const double outside = 1.0 / (1.0 + curve->tilt);
    const double scale = curve->log_scale - curve->tilt * epsilon;
    if (side == PLD_BELOW) {
        const double sum = s->part - curve->error * s->weight - curve->wrapped * outside;
        const double kept = (1.0 - 1e-12) * exp(-curve->slack * 2.0) * sum;
        const double log_kept = kept > 0.0 ? scale - 1e-15 * fabs(scale) + log(kept) : -INFINITY;
        const double lost = curve->aliased * exp(-log_kept); /* of that */
        return lost < 1.0 ? log_kept + log1p(-lost) : -INFINITY;
    }
    const double sum = s->part + curve->error * s->weight + curve->missing * outside;
    if (!(sum >= 0.0)) /* of an error that is infinite nothing can be said */
        return INFINITY;
    const double tilted = scale + 1e-15 * fabs(scale) + log(sum) + curve->slack + 1e-12;
    const double top = fmax(tilted, log(curve->infinite));
    return top == -INFINITY ? top : top + log(exp(tilted - top) + curve->infinite * exp(-top));
}

/* The sums seen from the loss of index k, that of its own mass left out, from those seen from k + 1. */
static sums next_down(const pld_curve *curve, const sums *above, double decay, double less, size_t k)
{
    const double all = above->all + curve->mass[k + 1], count = above->count + 1.0;
    return (sums){.all = decay * all,
                  .part = decay * (less * all + (1.0 - less) * above->part),
                  .count = decay * count,
                  .weight = decay * (less * count + (1.0 - less) * above->weight)};
}

/* Walk down from the high end to the last index k ≥ `stop` at which log δ is still at most the target. */
static size_t walk_down(const pld_curve *curve, int side, double log_delta, size_t stop, sums *s)
{
    const double decay = exp(-curve->tilt * curve->spacing), less = -expm1(-curve->spacing);
    size_t k = curve->length - 1, stride = 64;
    while (k > stop) {
        const size_t to = k - stop > stride ? k - stride : stop;
        sums next = *s;
        for (size_t j = k; j > to; j--)
            next = next_down(curve, &next, decay, less, j - 1);
        if (log_delta_of(curve, side, &next, curve->low + curve->spacing * (double)to) <= log_delta) {
            *s = next;
            k = to;
        } else if (stride == 1) {
            break;
        } else {
            stride = 1; /* it is within this block */
        }
    }
    return k;
}

double pld_curve_log_delta(const pld_curve *curve, int side, double epsilon)
{
    const double place = (epsilon - curve->low) / curve->spacing;
    if (!(place >= 0.0 && place < (double)curve->length)) {
        const double chernoff = curve->log_scale - curve->tilt * epsilon + curve->slack + 1e-12;
        return side == PLD_ABOVE ? log(exp(fmin(chernoff, 0.0)) + curve->infinite) : -INFINITY;
    }
    sums s = {0};
    const size_t stop = (size_t)ceil(place);
    const size_t k = stop < curve->length ? walk_down(curve, side, INFINITY, stop, &s) : curve->length - 1;
    if (stop >= curve->length) /* between the last loss of the window and its end: nothing above */
        return log_delta_of(curve, side, &s, epsilon);
    s.all += curve->mass[k];
    s.count += 1.0;
    const double step = fmax(curve->low + curve->spacing * (double)k - epsilon, 0.0);
    const sums there = move_down(curve, &s, step);
    return log_delta_of(curve, side, &there, epsilon);
}

sotto_status pld_curve_epsilon(const pld_curve *curve, int side, double log_delta, double *epsilon)
{
    sums s = {0};
    const double high = curve->low + curve->spacing * (double)(curve->length - 1);
    if (log_delta_of(curve, side, &s, high) > log_delta) {
        *epsilon = high;
        return SOTTO_ERROR_NUMERIC;
    }
    const size_t k = walk_down(curve, side, log_delta, 0, &s);
    const double at = curve->low + curve->spacing * (double)k;
    if (k == 0) {
        *epsilon = at;
        return SOTTO_ERROR_NUMERIC;
    }
    /* Between k − 1 and k: at k the δ is small enough, at k − 1 no longer. */
    s.all += curve->mass[k];
    s.count += 1.0;
    double near = 0.0, far = curve->spacing;
    for (int i = 0; i < 60; i++) {
        const double step = 0.5 * (near + far);
        const sums there = move_down(curve, &s, step);
        if (log_delta_of(curve, side, &there, at - step) > log_delta)
            far = step;
        else
            near = step;
    }
    *epsilon = at - (side == PLD_ABOVE ? near : far);
    return SOTTO_OK;
}

void pld_curve_walk(const pld_curve *curve, int side, pld_visit visit, void *state)
{
    const double decay = exp(-curve->tilt * curve->spacing), less = -expm1(-curve->spacing);
    sums s = {0};
    for (size_t k = curve->length; k-- > 0;) {
        if (k + 1 < curve->length)
            s = next_down(curve, &s, decay, less, k);
        const double epsilon = curve->low + curve->spacing * (double)k;
        visit(epsilon, exp(log_delta_of(curve, side, &s, epsilon)), state);
    }
}
