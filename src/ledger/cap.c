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
        status = sotto_accountant_epsilon(accountant, left, epsilon, order, err);
    if (status == SOTTO_OK && !(*epsilon <= most))
        *epsilon = INFINITY;
    return status;
}

/* Any one order bounds ε (Canonne, Kamath, Steinke 2020, Prop. 12): by so much more than the divergence. */
static double conversion(double order, double delta)
{
    return log1p(-1.0 / order) - (log(delta) + log(order)) / (order - 1.0);
}

static double convert(double rdp, double order, double delta)
{
    const double epsilon = rdp + conversion(order, delta);
    return fmax(0.0, epsilon + 1e-9 * (1.0 + fabs(epsilon) + rdp));
}

static double epsilon_at(const sotto_accountant *accountant, double draws, double delta, double order)
{
    const double rdp = sotto_accountant_rdp(accountant, order);
    const double most = 1.01 * convert(rdp, order, delta) + 1e-6, left = delta_left(delta, most, draws);
    const double epsilon = left > 0.0 ? convert(rdp, order, left) : INFINITY;
    return epsilon <= most ? epsilon : INFINITY;
}

double ledger_cap_share(const ledger_data_set *set, const sotto_accountant *accountant, double draws)
{
    const double left = delta_left(set->delta, set->epsilon, draws);
    const double allowed = left > 0.0 ? set->epsilon - conversion(set->order, left) : 0.0;
    return allowed > 0.0 ? sotto_accountant_rdp(accountant, set->order) / allowed : INFINITY;
}

/* The data set's runs, and so many repetitions of what would be added: best ε, and its order. */
static sotto_status best_of(const ledger_book *book, const ledger_data_set *set, size_t place,
                            const ledger_extra *extras, size_t count, uint64_t times, double *epsilon,
                            double *order, sotto_error *err)
{
    const ledger_choice choice = {.set = place, .unit = set->unit, .held = true};
    sotto_accountant *accountant = NULL;
    double draws;
    sotto_status status = ledger_compose(book, &choice, NULL, 0, &accountant, &draws, err);
    for (size_t i = 0; status == SOTTO_OK && i < count; i++) {
        draws += (double)times * extras[i].draws;
        for (size_t j = 0; status == SOTTO_OK && j < extras[i].count; j++)
            status = sotto_accountant_compose(accountant, &extras[i].charges[j].mechanism,
                                              times * extras[i].charges[j].count, err);
    }
    if (status == SOTTO_OK)
        status = ledger_epsilon(accountant, draws, set->delta, epsilon, order, err);
    sotto_accountant_destroy(accountant);
    return status;
}

/* How often `extras` may be repeated without an overflow: far more often than a cap bears. */
static uint64_t most_times(const ledger_extra *extras, size_t count)
{
    uint64_t largest = 1;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < extras[i].count; j++)
            largest = extras[i].charges[j].count > largest ? extras[i].charges[j].count : largest;
    const uint64_t most = SOTTO_ACCOUNTANT_MAX_COUNT / 4 / largest;
    return most < 1 ? 1 : most < 1 << 16 ? most : 1 << 16;
}

sotto_status ledger_cap_order(const ledger_book *book, const ledger_data_set *set, size_t place,
                              const ledger_extra *extras, size_t count, double *order, sotto_error *err)
{
    const uint64_t most = most_times(extras, count);
    uint64_t good = 1, bad = most + 1;
    double epsilon, found;
    sotto_status status = best_of(book, set, place, extras, count, 1, &epsilon, order, err);
    if (status == SOTTO_OK && !(epsilon <= set->epsilon))
        bad = 1; /* it will be refused, whatever the order */
    while (status == SOTTO_OK && good + 1 < bad) {
        const uint64_t next = bad > most && 2 * good < bad ? 2 * good : good + (bad - good) / 2;
        status = best_of(book, set, place, extras, count, next, &epsilon, &found, err);
        if (status == SOTTO_OK && epsilon <= set->epsilon) {
            good = next;
            *order = found;
        } else
            bad = next;
    }
    /* Where nothing is lost by any order, one that suits Gaussian noise of the cap's size. */
    if (status == SOTTO_OK && !(*order > 1.0 && *order <= LEDGER_MOST_ORDER)) {
        const double log_delta = -log(set->delta), root = sqrt(log_delta + set->epsilon) - sqrt(log_delta);
        *order = fmin(1.0 + sqrt(log_delta) / root, LEDGER_MOST_ORDER);
    }
    return status;
}

/* ε of the run of Gaussian noise that would still fit by the cap's order; 0 where none would. */
static double free_epsilon(const ledger_book *book, size_t place, double order)
{
    const ledger_data_set *set = &book->sets[place];
    const ledger_choice choice = {.set = place, .unit = set->unit, .held = true};
    sotto_accountant *spent = NULL, *rest = NULL;
    sotto_mechanism noise;
    double draws, epsilon = 0.0, free = 0.0;
    if (ledger_compose(book, &choice, NULL, 0, &spent, &draws, NULL) == SOTTO_OK) {
        const double left = delta_left(set->delta, set->epsilon, draws);
        free = left > 0.0 ? set->epsilon - conversion(order, left) - sotto_accountant_rdp(spent, order) : 0.0;
    }
    if (free > 0.0 && sotto_mechanism_gaussian(&noise, sqrt(order / (2.0 * free)), NULL) == SOTTO_OK &&
        sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &rest, NULL) == SOTTO_OK &&
        sotto_accountant_compose(rest, &noise, 1, NULL) == SOTTO_OK &&
        sotto_accountant_epsilon(rest, set->delta, &epsilon, NULL, NULL) != SOTTO_OK)
        epsilon = 0.0;
    sotto_accountant_destroy(spent);
    sotto_accountant_destroy(rest);
    return fmin(epsilon, set->epsilon);
}

/* What is added does not fit; or, where nothing is, what was let in does not any more. */
static sotto_status refuse(const ledger_book *book, size_t place, bool added, double order, double epsilon,
                           sotto_error *err)
{
    const ledger_data_set *set = &book->sets[place];
    char cap[LEDGER_FIGURE], delta[LEDGER_FIGURE], found[LEDGER_FIGURE], rest[LEDGER_FIGURE], room[96] = "";
    const double free = added ? free_epsilon(book, place, order) : 0.0;
    (void)ledger_figure_exact(set->epsilon, cap);
    (void)ledger_figure_exact(set->delta, delta);
    (void)ledger_figure_up(epsilon, found);
    if (!added)
        return sotto_error_set(
            err, SOTTO_ERROR_BUDGET,
            "the data set %s has a cap of epsilon %s at delta %s, and what its runs have spent and hold comes to "
            "epsilon %s; close a run (sotto ledger close), which then counts only with what it charged, or declare a "
            "larger cap",
            set->id, cap, delta, found);
    if (free >= 1e-3)
        (void)snprintf(room, sizeof room, " (one of epsilon %s or so would still fit)",
                       ledger_figure_down(free, rest));
    return sotto_error_set(
        err, SOTTO_ERROR_BUDGET,
        "the data set %s has a cap of epsilon %s at delta %s; with what its runs have spent and hold, this would bring "
        "it to epsilon %s%s; lower privacy.epsilon, or see what was spent (sotto ledger show %s) and give back what an "
        "abandoned run holds (sotto ledger close)",
        set->id, cap, delta, found, room, set->id);
}

/* What was found within the cap may come out in the last digits above it when it is added up in another turn.
 * The conversion has room for a hundred times as much. */
static double limit_of(const ledger_data_set *set, bool added)
{
    return added ? set->epsilon : set->epsilon + 1e-11 * (1.0 + set->epsilon);
}

sotto_status ledger_cap_check(const ledger_book *book, size_t place, const ledger_extra *extras, size_t count,
                              double order, sotto_error *err)
{
    const ledger_data_set *set = &book->sets[place];
    sotto_accountant *accountant = NULL;
    double draws, best, best_order;
    if (!set->capped)
        return SOTTO_OK;
    const ledger_choice choice = {.set = place, .unit = set->unit, .held = true};
    const double most = limit_of(set, count > 0);
    sotto_status status = ledger_compose(book, &choice, extras, count, &accountant, &draws, err);
    if (status != SOTTO_OK)
        return status;
    const double epsilon = epsilon_at(accountant, draws, set->delta, order);
    if (!(epsilon <= most)) { /* to the last digit, where this is the best order anyway */
        status = ledger_epsilon(accountant, draws, set->delta, &best, &best_order, err);
        if (status == SOTTO_OK && !(best_order == order && best <= most))
            status = refuse(book, place, count > 0, order, epsilon, err);
    }
    sotto_accountant_destroy(accountant);
    return status;
}
