/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/*
 * A privacy filter for parameters that are chosen while looking at earlier releases.
 *
 * At one fixed order α: where on every path the divergences of all releases, each given what came before it,
 * add up to at most B(α), the whole interaction is (α, B(α))-RDP (Feldman and Zrnic 2021, Thm 3.1), and
 * refusing what would exceed B(α) makes it so (Thm 4.3, their Rényi filter). At α = 1 that is the chain rule
 * of the Kullback–Leibler divergence. Here the use is refused where *any* order would exceed its share: then
 * the theorem holds at each of them, so the curve B bounds the interaction, and with it the least ε over
 * these orders, at every δ. Refusing only where *no* order is left within its share would be unsound: which
 * order is the one that held then depends on the path, and the theorem speaks of none of them.
 *
 * Sums are made in long double. Their rounding (1e-19 for each change of mechanism) and ALLOWANCE, which lets
 * a plan be charged in any order of its parts, are far inside the 1e-12 of r that the conversion adds.
 */
static const long double ALLOWANCE = 1e-15L;

/*
 * The plan's best order at δ, and a grid over those that are best for it at some δ' from √δ to δ². No wider:
 * an order that no one would ever read ε from binds as hard as any other, and far from the plan's best the
 * curves of a sampled Gaussian differ by orders of magnitude for σ that differ by a tenth.
 */
enum { GRID = 40, ORDERS = GRID + 1 };

/* Curves of the mechanisms met last are kept: a few that take turns are then priced once each. */
enum { CURVES = 8 };

typedef struct curve {
    sotto_mechanism mechanism; /* of kind 0 where the place is free */
    double rdp[ORDERS];
} curve;

struct accountant_filter {
    size_t orders;
    double t[ORDERS];
    long double share[ORDERS];
    double epsilon, order;     /* what B guarantees at the δ it was made for */
    sotto_adjacency adjacency; /* of which the guarantee speaks */
    /* What was charged: spent[], and `taken` uses of the current mechanism. */
    long double spent[ORDERS];
    uint64_t taken;
    size_t current, next;
    curve curves[CURVES];
};

static bool is_within(size_t orders, const long double *spent, const double *rdp, const long double *share,
                      uint64_t uses)
{
    for (size_t i = 0; i < orders; i++)
        if (!(spent[i] + (long double)uses * rdp[i] <= share[i]))
            return false;
    return true;
}

uint64_t accountant_filter_uses(size_t orders, const long double *spent, const double *rdp,
                                const long double *share, uint64_t most)
{
    uint64_t uses = most;
    for (size_t i = 0; i < orders; i++) {
        const long double room = share[i] - spent[i];
        if (!(room >= 0.0L) || rdp[i] == INFINITY)
            return 0;
        if (!((long double)uses * rdp[i] <= room))
            uses = (uint64_t)(room / rdp[i]);
    }
    /* The quotient may have been rounded up, or down past a whole number. */
    while (uses > 0 && !is_within(orders, spent, rdp, share, uses))
        uses--;
    while (uses < most && is_within(orders, spent, rdp, share, uses + 1))
        uses++;
    return uses;
}

/* The plan's ε at a δ by Rényi divergences, whatever its kind, and the best t; 1 where none is finite. */
static sotto_status find_best(const sotto_accountant *plan, double delta, double *epsilon, double *t,
                              sotto_error *err)
{
    sotto_accountant by_renyi = *plan;
    by_renyi.kind = SOTTO_ACCOUNTANT_RDP;
    double order = 1.0;
    const sotto_status status = sotto_accountant_epsilon(&by_renyi, delta, epsilon, &order, err);
    *t = isfinite(order) ? order - 1.0 : 1.0;
    return status;
}

/* Add an order and what the plan spends there; not one of infinite divergence, where B is infinite as well.
 */
static void add_order(accountant_filter *filter, const sotto_accountant *plan, double t)
{
    long double sum = 0.0L;
    for (size_t k = 0; k < plan->length; k++)
        sum += (long double)plan->uses[k].count * accountant_mechanism_rdp(&plan->uses[k].mechanism, t);
    if (isfinite((double)sum)) {
        filter->t[filter->orders] = t;
        filter->share[filter->orders++] = sum;
    }
}

static sotto_status choose_orders(accountant_filter *filter, const sotto_accountant *plan, double delta,
                                  sotto_error *err)
{
    const double larger = fmin(sqrt(delta), nextafter(1.0, 0.0)), smaller = fmax(delta * delta, DBL_MIN);
    double unused, best, first = 0.0, last = 0.0;
    sotto_status status = find_best(plan, delta, &unused, &best, err);
    if (status == SOTTO_OK)
        status = find_best(plan, larger, &unused, &first, err);
    if (status == SOTTO_OK)
        status = find_best(plan, smaller, &unused, &last, err);
    if (status != SOTTO_OK)
        return status;
    add_order(filter, plan, best);
    first = fmax(first, 1e-3 * last); /* order 1 where ε is 0 there: no place on a logarithmic grid */
    for (int i = 0; i < GRID && first > 0.0; i++)
        add_order(filter, plan, first * pow(last / first, i / (GRID - 1.0)));
    return SOTTO_OK;
}

/* ε at one order, as the accountant would have it. */
static double convert(double rdp, double t, double delta)
{
    if (t > 0.0)
        return fmax(accountant_epsilon_at(rdp, t, log(delta)), 0.0);
    return delta >= accountant_delta_of_kl(rdp) ? 0.0 : INFINITY;
}

/* The factor by which the plan may grow before this order's ε crosses the target; 0 where it is of no use. */
static double largest_factor(double rdp, double t, double epsilon, double delta)
{
    const double room = t > 0.0 ? accountant_rdp_within(epsilon, t, log(delta)) : -log1p(-delta * delta);
    double factor = room / rdp;
    /* What the conversion adds for rounding is not in `room`. */
    for (double less = 1e-15; factor > 0.0 && convert(factor * rdp, t, delta) > epsilon; less *= 2.0)
        factor = less < 1.0 ? factor * (1.0 - less) : 0.0;
    return factor > 0.0 && isfinite(factor * rdp) ? factor : 0.0;
}

/* Scale the plan's curve up to the target. 1 is always in reach: the plan itself was found to keep it. */
static void share_out(accountant_filter *filter, double epsilon, double delta)
{
    double factor = 1.0;
    for (size_t i = 0; i < filter->orders; i++)
        factor = fmax(factor, largest_factor((double)filter->share[i], filter->t[i], epsilon, delta));
    filter->epsilon = INFINITY;
    for (size_t i = 0; i < filter->orders; i++) {
        filter->share[i] *= factor;
        const double guaranteed = convert((double)filter->share[i], filter->t[i], delta);
        if (guaranteed < filter->epsilon) {
            filter->epsilon = fmin(guaranteed, epsilon); /* sums here are longer: another last digit */
            filter->order = guaranteed > 0.0 ? 1.0 + filter->t[i] : 1.0;
        }
        filter->share[i] *= 1.0L + ALLOWANCE;
    }
}

static sotto_status check_plan(const sotto_accountant *plan, double epsilon, double delta, sotto_error *err)
{
    const double kl = plan ? accountant_rdp(plan, 0.0) : 0.0;
    if (!(kl > 0.0 && isfinite(kl)))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "the plan of a privacy filter %s; expected the releases that are intended, "
                               "each at a finite cost above 0",
                               !plan       ? "is NULL"
                               : kl == 0.0 ? "costs nothing"
                                           : "guarantees nothing");
    double needed, unused;
    const sotto_status status = find_best(plan, delta, &needed, &unused, err);
    if (status == SOTTO_OK && !(needed <= epsilon))
        return sotto_error_set(
            err, SOTTO_ERROR_BUDGET,
            "the plan of a privacy filter needs epsilon %.6g at delta %g, above the budget "
            "of %g; plan less, or raise epsilon or delta",
            needed, delta, epsilon);
    return status;
}

sotto_status accountant_filter_create(const sotto_accountant *plan, double epsilon, double delta,
                                      accountant_filter **out, sotto_error *err)
{
    sotto_status status = check_plan(plan, epsilon, delta, err);
    if (status != SOTTO_OK)
        return status;
    accountant_filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a privacy filter");
    filter->adjacency = plan->uses[0].mechanism.adjacency;
    status = choose_orders(filter, plan, delta, err);
    if (status != SOTTO_OK) {
        free(filter);
        return status;
    }
    share_out(filter, epsilon, delta);
    *out = filter;
    return SOTTO_OK;
}

void accountant_filter_destroy(accountant_filter *filter)
{
    free(filter);
}

double accountant_filter_epsilon(const accountant_filter *filter, double *order)
{
    if (order)
        *order = filter->order;
    return filter->epsilon;
}

/* The place of the mechanism's curve, which is made where it was not kept. */
static size_t find_curve(accountant_filter *filter, const sotto_mechanism *mechanism)
{
    for (size_t k = 0; k < CURVES; k++)
        if (filter->curves[k].mechanism.kind == mechanism->kind &&
            sotto_mechanism_equal(&filter->curves[k].mechanism, mechanism))
            return k;
    const size_t place = filter->next;
    filter->next = (filter->next + 1) % CURVES;
    /* A selection's run is not ours to keep: it is priced again whenever it comes. */
    const sotto_mechanism unknown = {0};
    filter->curves[place].mechanism = mechanism->run ? unknown : *mechanism;
    for (size_t i = 0; i < filter->orders; i++)
        filter->curves[place].rdp[i] = accountant_mechanism_rdp(mechanism, filter->t[i]);
    return place;
}

/* Make the mechanism the current one: what was taken of the last joins what is spent. */
static void turn_to(accountant_filter *filter, const sotto_mechanism *mechanism)
{
    const curve *last = &filter->curves[filter->current];
    if (last->mechanism.kind && sotto_mechanism_equal(&last->mechanism, mechanism))
        return;
    for (size_t i = 0; i < filter->orders && filter->taken > 0; i++)
        filter->spent[i] += (long double)filter->taken * last->rdp[i];
    filter->taken = 0;
    filter->current = find_curve(filter, mechanism);
}

sotto_status accountant_filter_remaining(accountant_filter *filter, const sotto_mechanism *mechanism,
                                         uint64_t most, uint64_t *remaining, sotto_error *err)
{
    const sotto_status status = sotto_mechanism_check(mechanism, err);
    if (status != SOTTO_OK)
        return status;
    if (mechanism->adjacency != filter->adjacency)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "%s mechanism is under the adjacency %s, but the privacy filter's plan is under %s, of "
            "which its guarantee speaks",
            sotto_mechanism_kind_name(mechanism->kind), sotto_adjacency_name(mechanism->adjacency),
            sotto_adjacency_name(filter->adjacency));
    turn_to(filter, mechanism);
    const uint64_t uses =
        accountant_filter_uses(filter->orders, filter->spent, filter->curves[filter->current].rdp,
                               filter->share, filter->taken + most);
    *remaining = uses > filter->taken ? uses - filter->taken : 0;
    return SOTTO_OK;
}

void accountant_filter_take(accountant_filter *filter, const sotto_mechanism *mechanism, uint64_t count)
{
    turn_to(filter, mechanism);
    filter->taken += count;
}
