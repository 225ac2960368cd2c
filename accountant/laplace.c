/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>

/* (e^x − 1 − x)/x, of the sign of x. */
static double excess_slope(double x)
{
    enum { TERMS = 14 };
    if (fabs(x) >= 0.5)
        return expm1(x) / x - 1.0;
    double sum = 0.0;
    for (int k = TERMS; k >= 1; k--)
        sum = (1.0 + sum) * x / (k + 1.0);
    return sum;
}

/*
 * Mironov 2017, Prop. 6, with e = k/b for a group of k: the moment is (αe^{te} + te^{−αe})/(2α − 1). Its
 * constant and linear parts are taken off where they would cancel what is left,
 *
 *     moment − 1 = t·αe(s(te) − s(−αe))/(2α − 1),   s(x) = (e^x − 1 − x)/x,   both terms positive,
 *
 * and e^{te} is where it would be large. t → 0 is the Kullback–Leibler divergence, e + e^−e − 1.
 */
static double rdp(const sotto_mechanism *mechanism, double t)
{
    const double e = (double)mechanism->group_size / mechanism->noise_multiplier;
    if (!isfinite(e))
        return INFINITY;
    if (t * e > 1.0)
        return fmin(e, e + log1p(t * expm1(-e * (1.0 + 2.0 * t)) / (1.0 + 2.0 * t)) / t);
    const double alpha = 1.0 + t, slope = excess_slope(t * e) - excess_slope(-alpha * e);
    const double part = 0.5 * (1.0 + 1.0 / (1.0 + 2.0 * t)) * e * slope;
    return fmin(e, t > 0.0 ? log1p(t * part) / t : part);
}

const accountant_kind accountant_laplace = {
    .name = "laplace",
    .adjacencies = ACCOUNTANT_ADD_REMOVE | ACCOUNTANT_REPLACE_ONE,
    .parameters = ACCOUNTANT_NOISE_MULTIPLIER,
    .groups = true,
    .rdp = rdp,
    .losses = &accountant_laplace_losses,
};

sotto_status sotto_mechanism_laplace(sotto_mechanism *out, double noise_multiplier, sotto_error *err)
{
    return accountant_mechanism_make(
        out, (sotto_mechanism){.kind = SOTTO_MECHANISM_LAPLACE, .noise_multiplier = noise_multiplier}, err);
}
