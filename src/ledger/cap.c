/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The sum over all runs of a data set, by Rényi divergences, and whether its cap bears it. */
#include <math.h>
#include <string.h>

#include "ledger/inner.h"

static sotto_status compose_lines(const ledger_run_record *run, const sotto_charge *lines, size_t count,
                                  bool planned, bool held, sotto_accountant *accountant, sotto_error *err)
{
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; status == SOTTO_OK && i < count; i++) {
        const sotto_charge *line = &lines[i];
        if (!planned && ledger_find_line(run->plan, run->plan_count, line->label, &line->mechanism))
            continue;
        status =
            sotto_accountant_compose(accountant, &line->mechanism, ledger_run_counts(run, line, held), err);
    }
    return status;
}

/* Each line once: of the plan, then what was charged beside it. */
static sotto_status compose_run(const ledger_run_record *run, bool held, sotto_accountant *accountant,
                                sotto_error *err)
{
    const sotto_status status = compose_lines(run, run->plan, run->plan_count, true, held, accountant, err);
    return status == SOTTO_OK
               ? compose_lines(run, run->charges, run->charge_count, false, held, accountant, err)
               : status;
}

sotto_status ledger_compose(const ledger_book *book, const ledger_choice *choice, const ledger_extra *extras,
                            size_t count, sotto_accountant **accountant, double *draws, sotto_error *err)
{
    *draws = 0.0;
    *accountant = NULL;
    sotto_status status = sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, accountant, err);
    for (size_t i = 0; status == SOTTO_OK && i < book->run_count; i++) {
        const ledger_run_record *run = &book->runs[i];
        if (run->data_set != choice->set || !ledger_same_unit(run->unit, choice->unit) ||
            (choice->adjacency && run->adjacency != choice->adjacency))
            continue;
        status = compose_run(run, choice->held, *accountant, err);
        *draws += ledger_run_draws(run);
    }
    for (size_t i = 0; status == SOTTO_OK && i < count; i++) {
        *draws += extras[i].draws;
        for (size_t j = 0; status == SOTTO_OK && j < extras[i].count; j++)
            status = sotto_accountant_compose(*accountant, &extras[i].charges[j].mechanism,
                                              extras[i].charges[j].count, err);
    }
    if (status != SOTTO_OK) {
        sotto_accountant_destroy(*accountant);
        *accountant = NULL;
    }
    return status;
}

/* δ less what the noise takes of it where ε is no more than `epsilon`; rounded down. */
static double delta_left(double delta, double epsilon, double draws)
{
    const double cost = draws > 0.0 ? sotto_noise_delta(epsilon, draws) : 0.0;
    return cost > 0.0 ? nextafter(delta - cost, 0.0) : delta;
}

sotto_status ledger_epsilon(const sotto_accountant *accountant, double draws, double delta, double *epsilon,
                            double *order, sotto_error *err)
{
    sotto_status status = sotto_accountant_epsilon(accountant, delta, epsilon, order, err);
    if (status != SOTTO_OK || draws == 0.0 || !isfinite(*epsilon))
        return status;
    /* What the noise takes makes ε larger, which takes more: with some room for that, or else nothing is
     * claimed. */
    const double most = 1.01 * *epsilon + 1e-6, left = delta_left(delta, most, draws);
    *epsilon = INFINITY;
    if (left > 0.0)
        status = sotto_accountant_epsilon(accountant, left, epsilon, NULL, err);
    if (status == SOTTO_OK && !(*epsilon <= most))
        *epsilon = INFINITY;
    return status;
}

static sotto_status refuse(const ledger_data_set *set, double epsilon, sotto_error *err)
{
    return sotto_error_set(
        err, SOTTO_ERROR_BUDGET,
        "the data set %s has a cap of epsilon %.9g at delta %.9g; with what its runs have spent "
        "and hold, this would bring it to epsilon %.9g; sotto ledger show %s tells what was spent, "
        "and sotto ledger close gives back what an abandoned run holds",
        set->id, set->epsilon, set->delta, epsilon, set->id);
}

/*
 * Is the cap kept by the order that was best when it was last asked for? Any one order bounds ε (Canonne,
 * Kamath, Steinke 2020, Prop. 12), and asking one takes a hundredth of the time of finding the best.
 */
static bool kept_at(const ledger_data_set *set, const sotto_accountant *accountant, double draws)
{
    const double order = set->order, left = delta_left(set->delta, set->epsilon, draws);
    if (!(order > 1.0 && isfinite(order) && left > 0.0))
        return false;
    const double rdp = sotto_accountant_rdp(accountant, order);
    const double epsilon = rdp + log1p(-1.0 / order) - (log(left) + log(order)) / (order - 1.0);
    return epsilon + 1e-9 * (1.0 + fabs(epsilon) + rdp) <= set->epsilon;
}

sotto_status ledger_cap_check(const ledger_book *book, size_t place, const ledger_extra *extras, size_t count,
                              sotto_error *err)
{
    ledger_data_set *set = &book->sets[place];
    sotto_accountant *accountant = NULL;
    double draws, epsilon;
    if (!set->capped)
        return SOTTO_OK;
    const ledger_choice choice = {.set = place, .unit = set->unit, .held = true};
    sotto_status status = ledger_compose(book, &choice, extras, count, &accountant, &draws, err);
    if (status != SOTTO_OK)
        return status;
    if (!kept_at(set, accountant, draws)) {
        status = ledger_epsilon(accountant, draws, set->delta, &epsilon, &set->order, err);
        if (status == SOTTO_OK && !(epsilon <= set->epsilon))
            status = refuse(set, epsilon, err);
    }
    sotto_accountant_destroy(accountant);
    return status;
}
