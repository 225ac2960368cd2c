/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What exact noise costs beyond the continuous noise that accountants charge: docs/exact-mode.md, "What it
 * costs".
 */
#include <math.h>

#include "run/run.h"

/* More than this part of δ for the noise is a run that nobody means: ε is absurd. */
static const double most_of_delta = 0.01;

/* δ − cost, rounded down. */
static double less(double delta, double cost)
{
    return cost > 0.0 ? nextafter(delta - cost, 0.0) : delta;
}

sotto_status sotto_delta_shares_make(sotto_delta_shares *shares, const sotto_config *config, double draws,
                                     sotto_error *err)
{
    const double cost = draws > 0.0 ? sotto_noise_delta(config->epsilon, draws) : 0.0;
    *shares = (sotto_delta_shares){.draws = draws, .noise = cost, .accountant = less(config->delta, cost)};
    if (cost <= most_of_delta * config->delta)
        return SOTTO_OK;
    const sotto_node *privacy = sotto_node_get(sotto_document_root(config->document), "privacy");
    return sotto_node_error(
        sotto_node_get(privacy, "epsilon"), err,
        "privacy.epsilon is %g: that exact noise is as good as the Gaussian noise it is accounted as is proved but "
        "for e^epsilon times a little, here %.2g, and that must be paid out of delta, %g, with at most a hundredth of "
        "it; write a smaller epsilon (one as large as this promises nothing), or `noise: float`, which claims no "
        "such proof",
        config->epsilon, cost, config->delta);
}

sotto_status sotto_noise_epsilon(const sotto_accountant *accountant, double delta, double draws,
                                 double *epsilon, sotto_error *err)
{
    sotto_status status = sotto_accountant_epsilon(accountant, delta, epsilon, NULL, err);
    if (status != SOTTO_OK || draws == 0.0 || !isfinite(*epsilon))
        return status;
    /* A smaller δ is a larger ε, which costs more: with some room for that, or else nothing is claimed. */
    const double cost = sotto_noise_delta(1.01 * *epsilon, draws);
    if (!(cost < most_of_delta * delta)) {
        *epsilon = INFINITY;
        return SOTTO_OK;
    }
    status = sotto_accountant_epsilon(accountant, less(delta, cost), epsilon, NULL, err);
    if (status == SOTTO_OK && !(sotto_noise_delta(*epsilon, draws) <= cost))
        *epsilon = INFINITY;
    return status;
}

sotto_status sotto_spending_find(sotto_spending *spending, sotto_error *err)
{
    double found;
    sotto_status status =
        sotto_noise_epsilon(spending->accountant, spending->delta, spending->draws, &spending->epsilon, err);
    spending->order = 0.0;
    if (status != SOTTO_OK || !isfinite(spending->epsilon))
        return status;
    spending->noise_delta =
        spending->draws > 0.0 ? sotto_noise_delta(spending->epsilon, spending->draws) : 0.0;
    spending->accountant_delta = less(spending->delta, spending->noise_delta);
    return sotto_accountant_epsilon(spending->accountant, spending->accountant_delta, &found,
                                    &spending->order, err);
}

/*
 * With both laws moved by t in total variation, a test of level α had level α + t at most before, missed at
 * least as often as the curve says there, and misses by t less at most.
 */
sotto_status sotto_noise_tradeoff(const sotto_accountant *accountant, double draws, const double *wrongly,
                                  size_t count, double *missed, sotto_error *err)
{
    enum { MOST = 64 };
    double before[MOST];
    const double moved = draws > 0.0 ? sotto_noise_delta(-INFINITY, draws) : 0.0;
    if (count > MOST)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "more than %d rates for a trade-off curve", MOST);
    for (size_t i = 0; i < count; i++)
        before[i] = moved > 0.0 ? fmin(nextafter(wrongly[i] + moved, 2.0), 1.0) : wrongly[i];
    const sotto_status status = sotto_accountant_tradeoff(accountant, before, count, missed, err);
    for (size_t i = 0; status == SOTTO_OK && i < count; i++)
        missed[i] = fmax(less(missed[i], moved), 0.0);
    return status;
}
