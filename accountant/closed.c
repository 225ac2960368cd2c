/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>

/* Releases known by a figure alone: pure differential privacy, zCDP, bounded range. */

/*
 * Randomised response between two answers with odds of e^ε: every ε-private pair of distributions is its
 * post-processing (Kairouz, Oh, Viswanath 2015). The moment is
 *
 *     (e^{αε} + e^{−tε})/(1 + e^ε) = 1 + (e^{αε} − 1)(1 − e^{−tε})/(1 + e^ε),
 *
 * and where e^{tε} could overflow it is taken off; what is left is then no small difference. Groups of k are
 * kε-private. t → 0: ε·tanh(ε/2).
 */
static double rdp_of_pure(double epsilon, double t)
{
    if (!isfinite(epsilon))
        return INFINITY;
    const double grown = t * epsilon;
    if (grown > 1.0)
        return fmin(epsilon, epsilon + (log1p(exp(-epsilon - 2.0 * grown)) - log1p(exp(-epsilon))) / t);
    const double odds = exp(grown) * -expm1(-epsilon - grown) / (1.0 + exp(-epsilon));
    return fmin(epsilon, t > 0.0 ? log1p(odds * -expm1(-grown)) / t : odds * epsilon);
}

static double pure_rdp(const sotto_mechanism *mechanism, double t)
{
    return rdp_of_pure((double)mechanism->group_size * mechanism->epsilon, t);
}

const accountant_kind accountant_pure = {
    .name = "pure",
    .adjacencies = ACCOUNTANT_ADD_REMOVE | ACCOUNTANT_REPLACE_ONE,
    .parameters = ACCOUNTANT_EPSILON,
    .groups = true,
    .rdp = pure_rdp,
    .losses = &accountant_pure_losses,
};

sotto_status sotto_mechanism_pure(sotto_mechanism *out, double epsilon, sotto_error *err)
{
    return accountant_mechanism_make(out, (sotto_mechanism){.kind = SOTTO_MECHANISM_PURE, .epsilon = epsilon},
                                     err);
}

/* αρ, and αk²ρ for groups of k (Bun and Steinke 2016, Prop. 1.9). */
static double zcdp_rdp(const sotto_mechanism *mechanism, double t)
{
    const double group = (double)mechanism->group_size;
    return (1.0 + t) * group * group * mechanism->rho;
}

const accountant_kind accountant_zcdp = {
    .name = "zcdp",
    .adjacencies = ACCOUNTANT_ADD_REMOVE | ACCOUNTANT_REPLACE_ONE,
    .parameters = ACCOUNTANT_RHO,
    .groups = true,
    .rdp = zcdp_rdp,
};

sotto_status sotto_mechanism_zcdp(sotto_mechanism *out, double rho, sotto_error *err)
{
    return accountant_mechanism_make(out, (sotto_mechanism){.kind = SOTTO_MECHANISM_ZCDP, .rho = rho}, err);
}

/*
 * A loss within an interval of length ε, whose exponential has mean 1 under one of the distributions, has
 * a Rényi divergence of at most αε²/8 (Hoeffding's lemma), and is itself at most ε. Ranges add up along the
 * steps of a group. The first bounds K(t) = t·r by t(1 + t)ε²/8, the second its slope, which is a mean of
 * losses, by ε: from where the first grows as fast, at t = 4/ε − 1/2, the line of slope ε goes on below it.
 * Both parts together are convex, as the true K is. Where the line would not get below what any ε-private
 * release costs, that.
 */
static double exponential_rdp(const sotto_mechanism *mechanism, double t)
{
    const double range = (double)mechanism->group_size * mechanism->epsilon;
    const double lead = 2.0 * (1.0 - range / 8.0) * (1.0 - range / 8.0); /* of εt over the line */
    if (range >= 8.0 || lead < log1p(exp(-range)))
        return rdp_of_pure(range, t);
    return t <= 4.0 / range - 0.5 ? (1.0 + t) * (range * range / 8.0) : range - lead / t;
}

const accountant_kind accountant_exponential = {
    .name = "exponential",
    .adjacencies = ACCOUNTANT_ADD_REMOVE | ACCOUNTANT_REPLACE_ONE,
    .parameters = ACCOUNTANT_EPSILON,
    .groups = true,
    .rdp = exponential_rdp,
    .losses = &accountant_pure_losses,
};

sotto_status sotto_mechanism_exponential(sotto_mechanism *out, double epsilon, sotto_error *err)
{
    return accountant_mechanism_make(
        out, (sotto_mechanism){.kind = SOTTO_MECHANISM_EXPONENTIAL, .epsilon = epsilon}, err);
}
