/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *sotto_accountant_kind_name(sotto_accountant_kind kind)
{
    return kind == SOTTO_ACCOUNTANT_RDP ? "rdp" : kind == SOTTO_ACCOUNTANT_PLD ? "pld" : NULL;
}

sotto_status accountant_check_kind(sotto_accountant_kind kind, sotto_error *err)
{
    if (!sotto_accountant_kind_name(kind))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "accountant is of unknown kind %d; expected SOTTO_ACCOUNTANT_RDP (%d) or "
                               "SOTTO_ACCOUNTANT_PLD (%d)",
                               (int)kind, (int)SOTTO_ACCOUNTANT_RDP, (int)SOTTO_ACCOUNTANT_PLD);
    return SOTTO_OK;
}

sotto_status sotto_accountant_create(sotto_accountant_kind kind, sotto_accountant **out, sotto_error *err)
{
    const sotto_status status = accountant_check_kind(kind, err);
    if (status != SOTTO_OK)
        return status;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for an accountant");
    (*out)->kind = kind;
    return SOTTO_OK;
}

void sotto_accountant_destroy(sotto_accountant *accountant)
{
    if (!accountant)
        return;
    for (size_t i = 0; i < accountant->length; i++)
        accountant_mechanism_release(&accountant->uses[i].mechanism);
    free(accountant->uses);
    free(accountant);
}

/* The place of the mechanism: of its entry, or where its entry would go. */
static size_t find(const sotto_accountant *accountant, const sotto_mechanism *mechanism, bool *found)
{
    size_t low = 0, high = accountant->length;
    *found = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = accountant_mechanism_compare(&accountant->uses[middle].mechanism, mechanism);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static sotto_status reserve(sotto_accountant *accountant, size_t capacity, sotto_error *err)
{
    if (capacity <= accountant->capacity)
        return SOTTO_OK;
    struct accountant_use *uses = NULL;
    if (capacity <= SIZE_MAX / sizeof *uses)
        uses = realloc(accountant->uses, capacity * sizeof *uses);
    if (!uses)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for an accountant of %zu mechanisms",
                               capacity);
    accountant->uses = uses;
    accountant->capacity = capacity;
    return SOTTO_OK;
}

static sotto_status insert(sotto_accountant *accountant, size_t place, const sotto_mechanism *mechanism,
                           uint64_t count, sotto_error *err)
{
    sotto_mechanism owned = *mechanism;
    if (accountant->length == accountant->capacity) {
        const sotto_status status =
            reserve(accountant, accountant->capacity ? 2 * accountant->capacity : 4, err);
        if (status != SOTTO_OK)
            return status;
    }
    const sotto_status status = accountant_mechanism_own(&owned, err);
    if (status != SOTTO_OK)
        return status;
    memmove(accountant->uses + place + 1, accountant->uses + place,
            (accountant->length - place) * sizeof *accountant->uses);
    accountant->uses[place] = (struct accountant_use){owned, count};
    accountant->length++;
    return SOTTO_OK;
}

static sotto_status check_losses(const sotto_mechanism *mechanism, sotto_error *err)
{
    if (!accountant_mechanism_losses(mechanism))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "a %s mechanism for %llu unit%s has no privacy-loss distribution that is known; use "
            "the rdp accountant",
            sotto_mechanism_kind_name(mechanism->kind), (unsigned long long)mechanism->group_size,
            mechanism->group_size == 1 ? "" : "s");
    return SOTTO_OK;
}

/* All of a composition is about the same neighbours, or its sum is about none. */
sotto_status accountant_check_use(const sotto_accountant *accountant, const sotto_mechanism *mechanism,
                                  sotto_error *err)
{
    sotto_status status = sotto_mechanism_check(mechanism, err);
    if (status == SOTTO_OK && accountant->kind == SOTTO_ACCOUNTANT_PLD)
        status = check_losses(mechanism, err);
    if (status != SOTTO_OK)
        return status;
    if (accountant->length == 0 || accountant->uses[0].mechanism.adjacency == mechanism->adjacency)
        return SOTTO_OK;
    const sotto_mechanism *first = &accountant->uses[0].mechanism;
    return sotto_error_set(err, SOTTO_ERROR_INPUT,
                           "%s mechanism is under the adjacency %s, but what is composed already (%s and "
                           "others) is under %s; measure all noise under one adjacency and say so with "
                           "sotto_mechanism_with_adjacency",
                           sotto_mechanism_kind_name(mechanism->kind),
                           sotto_adjacency_name(mechanism->adjacency), sotto_mechanism_kind_name(first->kind),
                           sotto_adjacency_name(first->adjacency));
}

sotto_status sotto_accountant_compose(sotto_accountant *accountant, const sotto_mechanism *mechanism,
                                      uint64_t count, sotto_error *err)
{
    const sotto_status status = accountant_check_use(accountant, mechanism, err);
    if (status != SOTTO_OK || count == 0)
        return status;
    bool found;
    const size_t place = find(accountant, mechanism, &found);
    const uint64_t before = found ? accountant->uses[place].count : 0;
    if (count > SOTTO_ACCOUNTANT_MAX_COUNT - before)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "%llu uses of a %s mechanism on top of %llu; expected at most 2^53 in all",
                               (unsigned long long)count, sotto_mechanism_kind_name(mechanism->kind),
                               (unsigned long long)before);
    if (!found)
        return insert(accountant, place, mechanism, count, err);
    accountant->uses[place].count += count;
    return SOTTO_OK;
}

const sotto_mechanism *accountant_kept(const sotto_accountant *accountant, const sotto_mechanism *mechanism)
{
    bool found;
    const size_t place = find(accountant, mechanism, &found);
    return found ? &accountant->uses[place].mechanism : NULL;
}

uint64_t accountant_count(const sotto_accountant *accountant, const sotto_mechanism *mechanism)
{
    bool found;
    const size_t place = find(accountant, mechanism, &found);
    return found ? accountant->uses[place].count : 0;
}

/* Rényi divergences add up: Mironov 2017, Prop. 1. */
double accountant_rdp(const sotto_accountant *accountant, double t)
{
    double sum = 0.0;
    for (size_t i = 0; i < accountant->length; i++)
        sum +=
            (double)accountant->uses[i].count * accountant_mechanism_rdp(&accountant->uses[i].mechanism, t);
    return sum;
}

double sotto_accountant_rdp(const sotto_accountant *accountant, double order)
{
    return order >= 1.0 && isfinite(order) ? accountant_rdp(accountant, order - 1.0) : INFINITY;
}

sotto_status accountant_check_delta(double delta, sotto_error *err)
{
    if (!(delta > 0.0 && delta < 1.0))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "delta is %g; expected a number strictly between 0 and 1, well below one over "
                               "the number of units",
                               delta);
    return SOTTO_OK;
}

sotto_status accountant_check_target(double epsilon, double delta, sotto_error *err)
{
    if (!(epsilon > 0.0 && isfinite(epsilon)))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "epsilon is %g; expected a finite number above 0",
                               epsilon);
    return accountant_check_delta(delta, err);
}

/* What an objective needs besides the order. */
typedef struct question {
    const sotto_accountant *accountant;
    double given; /* log δ or ε */
} question;

static double epsilon_objective(double t, const void *context)
{
    const question *asked = context;
    return accountant_epsilon_at(accountant_rdp(asked->accountant, t), t, asked->given);
}

static double log_delta_objective(double t, const void *context)
{
    const question *asked = context;
    return accountant_log_delta_at(accountant_rdp(asked->accountant, t), t, asked->given);
}

/* An answer and the order that gave it. */
static sotto_status answer(double *out, double *order, double value, double at)
{
    *out = value;
    if (order)
        *order = at;
    return SOTTO_OK;
}

sotto_status accountant_rdp_epsilon(const sotto_accountant *accountant, double delta, double *epsilon,
                                    double *order, sotto_error *err)
{
    sotto_status status = accountant_check_delta(delta, err);
    if (status != SOTTO_OK)
        return status;
    const double kl = accountant_rdp(accountant, 0.0);
    if (kl == INFINITY) /* and then at every order, since r does not fall with α */
        return answer(epsilon, order, INFINITY, INFINITY);
    if (delta >= accountant_delta_of_kl(kl))
        return answer(epsilon, order, 0.0, 1.0);

    const question asked = {accountant, log(delta)};
    double t, value;
    /* Where r = αKL, as it nearly is at low orders, the best order is near this. */
    status = accountant_minimise(epsilon_objective, &asked, sqrt(-asked.given / kl), &t, &value, err);
    if (status != SOTTO_OK)
        return status;
    return answer(epsilon, order, fmax(value, 0.0), isfinite(value) ? 1.0 + t : INFINITY);
}

sotto_status accountant_rdp_delta(const sotto_accountant *accountant, double epsilon, double *delta,
                                  double *order, sotto_error *err)
{
    if (!(epsilon >= 0.0 && isfinite(epsilon)))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "epsilon is %g; expected a finite number of at least 0", epsilon);
    const double kl = accountant_rdp(accountant, 0.0);
    if (kl == INFINITY)
        return answer(delta, order, 1.0, INFINITY);
    if (kl == 0.0)
        return answer(delta, order, 0.0, 1.0);

    const question asked = {accountant, epsilon};
    double t, value;
    const sotto_status status = accountant_minimise(log_delta_objective, &asked,
                                                    fmax(0.5 * (epsilon / kl - 1.0), 0.1), &t, &value, err);
    if (status != SOTTO_OK)
        return status;
    const double by_kl = accountant_delta_of_kl(kl);
    if (value >= log(by_kl))
        return answer(delta, order, by_kl, 1.0);
    /* A δ too small for a double is rounded up to the least one above 0. */
    return answer(delta, order, fmax(exp(value), DBL_TRUE_MIN), 1.0 + t);
}

sotto_status sotto_accountant_epsilon(const sotto_accountant *accountant, double delta, double *epsilon,
                                      double *order, sotto_error *err)
{
    if (accountant->kind == SOTTO_ACCOUNTANT_RDP)
        return accountant_rdp_epsilon(accountant, delta, epsilon, order, err);
    pld_bounds bounds;
    const sotto_status status = sotto_accountant_epsilon_bounds(
        accountant, delta, SOTTO_ACCOUNTANT_DEFAULT_GAP, &bounds.lower, &bounds.upper, err);
    return status == SOTTO_OK ? answer(epsilon, order, bounds.upper, 0.0) : status;
}

sotto_status sotto_accountant_delta(const sotto_accountant *accountant, double epsilon, double *delta,
                                    double *order, sotto_error *err)
{
    if (accountant->kind == SOTTO_ACCOUNTANT_RDP)
        return accountant_rdp_delta(accountant, epsilon, delta, order, err);
    pld_bounds bounds;
    const sotto_status status = sotto_accountant_delta_bounds(
        accountant, epsilon, SOTTO_ACCOUNTANT_DEFAULT_GAP, &bounds.lower, &bounds.upper, err);
    return status == SOTTO_OK ? answer(delta, order, bounds.upper, 0.0) : status;
}

/* Can privacy-loss distributions answer this? */
static sotto_status check_bounds(const sotto_accountant *accountant, double gap, sotto_error *err)
{
    if (!(gap >= SOTTO_ACCOUNTANT_LEAST_GAP && gap <= 1.0))
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "gap is %g; expected a share of epsilon from %g to 1",
                               gap, SOTTO_ACCOUNTANT_LEAST_GAP);
    for (size_t i = 0; i < accountant->length; i++) {
        const sotto_status status = check_losses(&accountant->uses[i].mechanism, err);
        if (status != SOTTO_OK)
            return status;
    }
    return SOTTO_OK;
}

sotto_status sotto_accountant_epsilon_bounds(const sotto_accountant *accountant, double delta, double gap,
                                             double *lower, double *upper, sotto_error *err)
{
    pld_bounds bounds;
    sotto_status status = check_bounds(accountant, gap, err);
    if (status == SOTTO_OK)
        status = pld_epsilon(accountant, delta, gap, &bounds, err);
    if (status == SOTTO_OK)
        *lower = bounds.lower, *upper = bounds.upper;
    return status;
}

sotto_status sotto_accountant_delta_bounds(const sotto_accountant *accountant, double epsilon, double gap,
                                           double *lower, double *upper, sotto_error *err)
{
    pld_bounds bounds;
    sotto_status status = check_bounds(accountant, gap, err);
    if (status == SOTTO_OK)
        status = pld_delta(accountant, epsilon, gap, &bounds, err);
    if (status == SOTTO_OK)
        *lower = bounds.lower, *upper = bounds.upper;
    return status;
}

sotto_status accountant_epsilon_with(sotto_accountant_kind kind, const sotto_accountant *rest,
                                     const sotto_mechanism *mechanism, uint64_t count, double delta,
                                     double *epsilon, double *order, sotto_error *err)
{
    sotto_accountant whole = {.kind = kind};
    sotto_status status = SOTTO_OK;
    if (rest && rest->length) {
        status = reserve(&whole, rest->length + 1, err);
        if (status != SOTTO_OK)
            return status;
        memcpy(whole.uses, rest->uses, rest->length * sizeof *rest->uses);
        whole.length = rest->length;
    }
    status = sotto_accountant_compose(&whole, mechanism, count, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_epsilon(&whole, delta, epsilon, order, err);
    /* All but the new one belong to `rest`. */
    sotto_mechanism *new = mechanism ? (sotto_mechanism *)accountant_kept(&whole, mechanism) : NULL;
    if (new && !(rest && accountant_kept(rest, mechanism)))
        accountant_mechanism_release(new);
    free(whole.uses);
    return status;
}
