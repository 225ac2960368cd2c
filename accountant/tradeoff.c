/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_cdf.h>

/*
 * A test that tells neighbours apart at a false positive rate a has a true positive rate of at most δ(ε) +
 * e^ε a, for every ε (Wasserman and Zhou 2010; Dong, Roth, Su 2022, Prop. 2.5): its false negative rate is at
 * least 1 − δ(ε) − e^ε a. Each figure is the largest of these over many ε, with δ rounded up; and the smaller
 * one of both directions of adjacency.
 */

typedef struct tests {
    const double *false_positive;
    double *false_negative; /* of the direction in work */
    size_t count;
} tests;

/* Of sums of numbers up to 1. */
static const double ROUNDING = 1e-15;

static void see(double epsilon, double delta, void *state)
{
    const tests *t = state;
    const double odds = exp(epsilon);
    for (size_t i = 0; i < t->count; i++) {
        const double rate = 1.0 - delta - odds * t->false_positive[i] - ROUNDING;
        if (rate > t->false_negative[i])
            t->false_negative[i] = rate;
    }
}

/* The same with P and Q swapped, for a δ(ε), ε ≥ 0, that holds in both directions. */
static void see_both(double epsilon, double delta, tests *t)
{
    see(epsilon, delta, t);
    for (size_t i = 0; i < t->count; i++) {
        const double rate = exp(-epsilon) * (1.0 - delta - t->false_positive[i]) - ROUNDING;
        if (rate > t->false_negative[i])
            t->false_negative[i] = rate;
    }
}

/* Rates that are written about on a logarithmic scale go down to this. */
static const double LEAST_DELTA = 1e-12;

/* By Rényi divergences. */
static sotto_status by_rdp(const sotto_accountant *accountant, tests *t, sotto_error *err)
{
    enum { POINTS = 96 };
    const double most = 60.0; /* above it only a rate below 1e-26 could be wrong by less than all */
    double highest, order;
    sotto_status status = accountant_rdp_epsilon(accountant, LEAST_DELTA, &highest, &order, err);
    if (status != SOTTO_OK || highest == INFINITY)
        return status;
    for (int i = 0; i <= POINTS && status == SOTTO_OK; i++) {
        const double epsilon = fmin(highest, most) * i / POINTS;
        double delta;
        status = accountant_rdp_delta(accountant, epsilon, &delta, &order, err);
        if (status == SOTTO_OK)
            see_both(epsilon, delta, t);
    }
    return status;
}

/* Of a Gaussian: Φ(Φ⁻¹(1 − a) − μ) (Dong, Roth, Su 2022, eq. 6), rounded down. */
static void by_gaussian(double mu, tests *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const double rate = t->false_positive[i];
        if (rate > 0.0 && rate < 1.0)
            t->false_negative[i] = gsl_cdf_ugaussian_P(gsl_cdf_ugaussian_Qinv(rate) - mu) * (1.0 - 1e-11);
        else
            t->false_negative[i] = 1.0 - rate;
    }
}

/* One direction, on the whole window of its losses: hardly tilted at all. */
static sotto_status walk_direction(const pld_bundle *bundle, const pld_use *uses, double spacing,
                                   int direction, pld_workspace *workspace, tests *t, sotto_error *err)
{
    const pld_aim aim = {.tilt = 1e-9, .epsilon = 0.0, .log_delta = log(LEAST_DELTA), .share = 1e-2};
    pld_curve curve;
    const sotto_status status =
        pld_compose(uses, bundle->length, spacing, direction, PLD_ABOVE, &aim, workspace, &curve, err);
    if (status != SOTTO_OK)
        return status;
    pld_curve_walk(&curve, PLD_ABOVE, see, t);
    pld_curve_free(&curve);
    return SOTTO_OK;
}

/* A spacing at which second-order errors of the composition are a thousandth of its deviation. */
static double choose_spacing(const sotto_accountant *accountant, const pld_bundle *bundle, double tail)
{
    const double kl = accountant_rdp(accountant, 0.0), deviation = sqrt(2.0 * kl);
    const double spacing = sqrt(8e-3 * deviation / bundle->steps) / (1.0 + sqrt(1.0 / deviation));
    return fmax(spacing, pld_finest_spacing(bundle, tail));
}

static sotto_status by_losses(const sotto_accountant *accountant, const pld_bundle *bundle, tests *t,
                              double *spare, sotto_error *err)
{
    const double tail = 1e-3 * LEAST_DELTA / bundle->steps;
    const double spacing = choose_spacing(accountant, bundle, tail);
    pld_use *uses = NULL;
    sotto_status status = pld_releases_make(bundle, spacing, tail, &uses, err);
    if (status != SOTTO_OK)
        return status;
    pld_workspace workspace = {0};
    tests other = {t->false_positive, spare, t->count};
    for (size_t i = 0; i < t->count; i++)
        spare[i] = 0.0;
    status = walk_direction(bundle, uses, spacing, PLD_REMOVE, &workspace, t, err);
    if (status == SOTTO_OK && !bundle->symmetric) {
        status = walk_direction(bundle, uses, spacing, PLD_ADD, &workspace, &other, err);
        for (size_t i = 0; i < t->count; i++)
            t->false_negative[i] = fmin(t->false_negative[i], spare[i]);
    }
    pld_workspace_free(&workspace);
    pld_releases_free(uses, bundle->length);
    return status;
}

static bool all_have_losses(const sotto_accountant *accountant)
{
    for (size_t i = 0; i < accountant->length; i++)
        if (!accountant_mechanism_losses(&accountant->uses[i].mechanism))
            return false;
    return true;
}

/* By the best means there is. */
static sotto_status find_rates(const sotto_accountant *accountant, tests *t, double *spare, sotto_error *err)
{
    if (!all_have_losses(accountant))
        return by_rdp(accountant, t, err);
    pld_bundle bundle;
    sotto_status status = pld_gather(accountant, &bundle, err);
    if (status != SOTTO_OK)
        return status;
    if (bundle.length == 0) {
        by_gaussian(bundle.mu, t);
    } else {
        status = by_losses(accountant, &bundle, t, spare, NULL);
        if (status == SOTTO_ERROR_MEMORY)
            (void)sotto_error_set(err, status, "out of memory for a trade-off curve");
        if (status == SOTTO_ERROR_NUMERIC) { /* no grid for these: what was found is void */
            for (size_t i = 0; i < t->count; i++)
                t->false_negative[i] = 0.0;
            status = by_rdp(accountant, t, err);
        }
    }
    pld_bundle_free(&bundle);
    return status;
}

sotto_status sotto_accountant_tradeoff(const sotto_accountant *accountant, const double *false_positive_rates,
                                       size_t count, double *false_negative_rates, sotto_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!(false_positive_rates[i] >= 0.0 && false_positive_rates[i] <= 1.0))
            return sotto_error_set(err, SOTTO_ERROR_INPUT, "false positive rate %zu is %g; expected 0 to 1",
                                   i, false_positive_rates[i]);
    if (count == 0)
        return SOTTO_OK;
    double *found = count <= SIZE_MAX / (2 * sizeof *found) ? calloc(2 * count, sizeof *found) : NULL;
    if (!found)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for %zu error rates", count);
    tests t = {false_positive_rates, found, count};
    const double kl = accountant_rdp(accountant, 0.0);
    sotto_status status = SOTTO_OK;
    if (kl < INFINITY)
        status = find_rates(accountant, &t, found + count, err);
    for (size_t i = 0; status == SOTTO_OK && i < count; i++) {
        const double none = 1.0 - false_positive_rates[i]; /* that of a guess */
        false_negative_rates[i] = kl == 0.0 ? none : fmin(found[i], none);
    }
    free(found);
    return status;
}
