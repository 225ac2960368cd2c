/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

/*
 * The best of K runs, K random and told to nobody: Papernot and Steinke 2022. With ε(λ) the divergence of one
 * run and E[K] the mean,
 *
 *     truncated negative binomial (Thm 2), shape η > −1, 0 < γ ≤ 1:
 *         r(λ) = ε(λ) + log E[K]/(λ−1) + (1+η)·min over λ̂ of ((1 − 1/λ̂)ε(λ̂) + log(1/γ)/λ̂),
 *     Poisson (Thm 6):
 *         r(λ) = ε(λ) + log E[K]/(λ−1) + E[K]·δ̂, where one run is (log(1 + 1/(λ−1)), δ̂)-private.
 *
 * A divergence does not fall with its order, so at orders below the least value of r that one holds.
 * (Poisson's r may have more than one valley. The one found is as valid, and perhaps not the lowest.)
 */

typedef struct selection {
    const sotto_accountant *run;
    double mean, log_mean;
    bool is_poisson;
    double log_inverse; /* log(1/γ) */
    double constant;    /* what does not depend on λ */
} selection;

/* log(1 − e^−y) */
static double log_one_less_exp(double y)
{
    return log(-expm1(-y));
}

/* log E[K] at γ = e^−x: log of η(e^x − 1)/(1 − e^{−ηx}), or of (e^x − 1)/x at η = 0. */
static double log_mean_of(double shape, double x)
{
    const double top = x + log_one_less_exp(x), size = fabs(shape);
    if (size < 1e-15)
        return top - log(x);
    return top + log(size) - log_one_less_exp(size * x) - (shape < 0.0 ? size * x : 0.0);
}

/* log(1/γ) that gives the mean, rounded up: the price rises with it. */
static double log_inverse_gamma(double shape, double log_mean)
{
    if (log_mean == 0.0)
        return 0.0;
    double low = 0.0, high = 1.0;
    while (log_mean_of(shape, high) < log_mean)
        low = high, high *= 2.0;
    for (int i = 0; i < 100; i++) {
        const double middle = 0.5 * (low + high);
        if (middle > low && log_mean_of(shape, middle) < log_mean)
            low = middle;
        else
            high = middle;
    }
    /* A few roundings of the logarithms above, over the slope, which is no less than (1+η)/2 or 1+η. */
    return high + 1e-14 * (1.0 + high) / fmin(1.0 + shape, 1.0);
}

/* ((λ̂ − 1)ε(λ̂) + log(1/γ))/λ̂: a convex function over a line, which falls and then rises. */
static double choice_objective(double t, const void *context)
{
    const selection *s = context;
    return (t * accountant_rdp(s->run, t) + s->log_inverse) / (1.0 + t);
}

static double value_at(double t, const void *context)
{
    const selection *s = context;
    double value = accountant_rdp(s->run, t) + s->constant;
    if (s->log_mean > 0.0)
        value += t > 0.0 ? s->log_mean / t : INFINITY;
    if (!s->is_poisson || value == INFINITY)
        return value;
    if (t == 0.0) /* λ = 1: left to the orders above it */
        return INFINITY;
    const double loss = log1p(1.0 / t);
    sotto_accountant by_divergence = *s->run;
    by_divergence.kind = SOTTO_ACCOUNTANT_RDP;
    double delta = 0.0;
    if (isfinite(loss) && sotto_accountant_delta(&by_divergence, loss, &delta, NULL, NULL) != SOTTO_OK)
        return INFINITY;
    return value + s->mean * delta;
}

static double rdp(const sotto_mechanism *mechanism, double t)
{
    selection s = {.run = mechanism->run,
                   .mean = mechanism->mean,
                   .log_mean = log(mechanism->mean),
                   .is_poisson = mechanism->shape == INFINITY};
    if (accountant_rdp(s.run, ACCOUNTANT_T_MAX) == 0.0) /* K depends on no data */
        return 0.0;
    const double kl = accountant_rdp(s.run, 0.0);
    if (kl == INFINITY)
        return INFINITY;
    double at, least;
    if (!s.is_poisson && s.log_mean > 0.0) {
        s.log_inverse = log_inverse_gamma(mechanism->shape, s.log_mean);
        if (accountant_minimise(choice_objective, &s, sqrt(s.log_inverse / kl), &at, &least, NULL) !=
            SOTTO_OK)
            return INFINITY;
        s.constant = (1.0 + mechanism->shape) * least;
    }
    const double here = value_at(t, &s), step = 1e-3;
    if (t > 0.0 && value_at(t * (1.0 + step), &s) >= here)
        return here;
    if (accountant_minimise(value_at, &s, fmax(t, sqrt(s.log_mean / kl)), &at, &least, NULL) != SOTTO_OK)
        return INFINITY;
    return at >= t ? fmin(here, least) : here;
}

sotto_status accountant_check_selection(const sotto_mechanism *mechanism, sotto_error *err)
{
    const sotto_accountant *run = mechanism->run;
    if (!run)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "selection mechanism has no run; expected an accountant of what one run costs");
    if (!(mechanism->shape > -1.0))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "selection mechanism has shape %g; expected a number above -1 (0 logarithmic, 1 "
            "geometric), or infinity for a Poisson number of runs",
            mechanism->shape);
    if (!(mechanism->mean >= 1.0 && isfinite(mechanism->mean)))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "selection mechanism has %g runs on average; expected a finite number of at "
                               "least 1",
                               mechanism->mean);
    for (size_t i = 0; i < run->length; i++) {
        if (run->uses[i].mechanism.kind == SOTTO_MECHANISM_SELECTION)
            return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                   "selection mechanism's run has a selection in it; expected none: select "
                                   "once, among all");
        if (run->uses[i].mechanism.adjacency != mechanism->adjacency)
            return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                   "selection mechanism is under the adjacency %s, but its run under %s",
                                   sotto_adjacency_name(mechanism->adjacency),
                                   sotto_adjacency_name(run->uses[i].mechanism.adjacency));
    }
    return SOTTO_OK;
}

int accountant_run_compare(const sotto_accountant *a, const sotto_accountant *b)
{
    if (a == b || !a || !b)
        return (a != NULL) - (b != NULL);
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    for (size_t i = 0; i < a->length; i++) {
        const struct accountant_use *one = &a->uses[i], *other = &b->uses[i];
        const int order = accountant_mechanism_compare(&one->mechanism, &other->mechanism);
        if (order != 0 || one->count != other->count)
            return order ? order : one->count < other->count ? -1 : 1;
    }
    return 0;
}

sotto_status accountant_mechanism_own(sotto_mechanism *mechanism, sotto_error *err)
{
    const sotto_accountant *run = mechanism->run;
    if (!run)
        return SOTTO_OK;
    sotto_accountant *copy;
    sotto_status status = sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &copy, err);
    for (size_t i = 0; status == SOTTO_OK && i < run->length; i++) {
        status = sotto_accountant_compose(copy, &run->uses[i].mechanism, run->uses[i].count, err);
        if (status != SOTTO_OK)
            sotto_accountant_destroy(copy);
    }
    if (status == SOTTO_OK)
        mechanism->run = copy;
    return status;
}

void accountant_mechanism_release(sotto_mechanism *mechanism)
{
    sotto_accountant_destroy((sotto_accountant *)mechanism->run);
    mechanism->run = NULL;
}

const accountant_kind accountant_selection = {
    .name = "selection",
    .adjacencies = ACCOUNTANT_ADD_REMOVE | ACCOUNTANT_REPLACE_ONE,
    .parameters = ACCOUNTANT_SELECTION,
    .rdp = rdp,
};

sotto_status sotto_mechanism_selection(sotto_mechanism *out, const sotto_accountant *run, double shape,
                                       double mean, sotto_error *err)
{
    sotto_mechanism draft = {
        .kind = SOTTO_MECHANISM_SELECTION, .shape = shape + 0.0, .mean = mean, .run = run};
    if (run && run->length)
        draft.adjacency = run->uses[0].mechanism.adjacency;
    return accountant_mechanism_make(out, draft, err);
}
