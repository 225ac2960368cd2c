/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_roots.h>

/* The largest σ tried: beyond it noise drowns whatever is released. */
static const double LARGEST_NOISE = 1e15;
static const double NOISE_TOLERANCE = 1e-12;
enum { MAX_PROPOSALS = 25 };

/* Probes led by tangents before plain bisection takes over. */
enum { TANGENT_PROBES = 12 };

typedef struct target {
    sotto_accountant_kind kind;
    double epsilon, delta;
    const sotto_accountant *rest; /* may be NULL */
} target;

static sotto_status check_rest(const target *wanted, sotto_error *err)
{
    double spent = 0.0;
    if (wanted->rest) {
        const sotto_status status = sotto_accountant_epsilon(wanted->rest, wanted->delta, &spent, NULL, err);
        if (status != SOTTO_OK)
            return status;
    }
    if (spent > wanted->epsilon)
        return sotto_error_set(
            err, SOTTO_ERROR_BUDGET,
            "what is spent already amounts to epsilon %.6g at delta %g, above the target %g; "
            "raise the target or spend less elsewhere",
            spent, wanted->delta, wanted->epsilon);
    return SOTTO_OK;
}

/* A search for the least σ that keeps a target, and what it has found so far. */
typedef struct noise_search {
    target wanted;
    double sample_rate;
    uint64_t steps;
    double low;  /* the largest σ seen that does not keep it; 0 before there is one */
    double high; /* the least seen that does; INFINITY before there is one */
    sotto_status status;
    sotto_error *err;
} noise_search;

/* Try a σ: log of ε over the target, within what GSL accepts. Falls with log σ. */
static double try_noise(double log_noise, void *state)
{
    noise_search *search = state;
    const double noise = exp(log_noise), limit = 50.0;
    sotto_mechanism mechanism;
    double epsilon = INFINITY;
    if (search->status == SOTTO_OK)
        search->status =
            sotto_mechanism_sampled_gaussian(&mechanism, search->sample_rate, noise, search->err);
    if (search->status == SOTTO_OK)
        search->status =
            accountant_epsilon_with(search->wanted.kind, search->wanted.rest, &mechanism, search->steps,
                                    search->wanted.delta, &epsilon, NULL, search->err);
    if (epsilon <= search->wanted.epsilon)
        search->high = fmin(search->high, noise);
    else
        search->low = fmax(search->low, noise);
    return fmin(fmax(log(epsilon / search->wanted.epsilon), -limit), limit);
}

/* A σ that keeps the target and, a factor of two below, one that does not. */
static void bracket_noise(noise_search *search)
{
    try_noise(0.0, search);
    while (search->status == SOTTO_OK && search->low == 0.0)
        try_noise(log(0.5 * search->high), search);
    while (search->status == SOTTO_OK && search->high == INFINITY) {
        if (search->low > LARGEST_NOISE)
            search->status = sotto_error_set(
                search->err, SOTTO_ERROR_BUDGET,
                "no noise multiplier up to %g keeps epsilon %g at delta %g over %llu steps at sample "
                "rate %g; raise epsilon or delta, or take fewer steps",
                LARGEST_NOISE, search->wanted.epsilon, search->wanted.delta,
                (unsigned long long)search->steps, search->sample_rate);
        else
            try_noise(log(2.0 * search->low), search);
    }
}

static bool is_narrow(const noise_search *search)
{
    return search->high - search->low <= NOISE_TOLERANCE * search->high;
}

/* Brent's method proposes, try_noise keeps the books; bisection has the last word. */
static void narrow_noise(noise_search *search)
{
    accountant_quiet_gsl();
    gsl_root_fsolver *solver = gsl_root_fsolver_alloc(gsl_root_fsolver_brent);
    if (!solver) {
        search->status =
            sotto_error_set(search->err, SOTTO_ERROR_MEMORY, "out of memory for a search for noise");
        return;
    }
    gsl_function curve = {.function = try_noise, .params = search};
    int state = gsl_root_fsolver_set(solver, &curve, log(search->low), log(search->high));
    for (int i = 0; state == GSL_SUCCESS && i < MAX_PROPOSALS && !is_narrow(search); i++)
        state = gsl_root_fsolver_iterate(solver);
    gsl_root_fsolver_free(solver);
    while (search->status == SOTTO_OK && !is_narrow(search))
        try_noise(log(0.5 * (search->low + search->high)), search);
}

sotto_status sotto_calibrate_noise_multiplier(sotto_accountant_kind kind, double epsilon, double delta,
                                              double sample_rate, uint64_t steps,
                                              const sotto_accountant *rest, double *noise_multiplier,
                                              sotto_error *err)
{
    sotto_status status = accountant_check_target(epsilon, delta, err);
    if (status != SOTTO_OK)
        return status;
    if (!(sample_rate > 0.0 && sample_rate <= 1.0))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "sample rate is %g; expected a probability above 0 and at most 1 to find noise for", sample_rate);
    if (steps < 1 || steps > SOTTO_ACCOUNTANT_MAX_COUNT)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "steps is %llu; expected 1 to 2^53",
                               (unsigned long long)steps);
    noise_search search = {{kind, epsilon, delta, rest}, sample_rate, steps, 0.0, INFINITY, SOTTO_OK, err};
    status = check_rest(&search.wanted, err);
    if (status != SOTTO_OK)
        return status;
    bracket_noise(&search);
    if (search.status == SOTTO_OK)
        narrow_noise(&search);
    if (search.status == SOTTO_OK)
        *noise_multiplier = search.high; /* which was found to keep the target */
    return search.status;
}

sotto_status sotto_calibrate_gaussian(sotto_accountant_kind kind, double epsilon, double delta,
                                      double *noise_multiplier, sotto_error *err)
{
    return sotto_calibrate_noise_multiplier(kind, epsilon, delta, 1.0, 1, NULL, noise_multiplier, err);
}

/*
 * At one order ε is a straight line in the number of uses, and the accountant's ε is the least of these
 * lines. So where one line meets the target, that many uses are within it: the next guess. From below such
 * guesses never overshoot: Newton's method on a concave function.
 */
static uint64_t tangent(const target *wanted, const sotto_mechanism *mechanism, double order, uint64_t most)
{
    const double t = order - 1.0, each = accountant_mechanism_rdp(mechanism, t);
    double room = accountant_rdp_within(wanted->epsilon, t, log(wanted->delta));
    if (wanted->rest)
        room -= accountant_rdp(wanted->rest, t);
    if (!(room > 0.0))
        return 0;
    return room < each * (double)most ? (uint64_t)(room / each) : most;
}

sotto_status sotto_calibrate_steps(sotto_accountant_kind kind, double epsilon, double delta,
                                   const sotto_mechanism *mechanism, const sotto_accountant *rest,
                                   uint64_t *steps, sotto_error *err)
{
    const target wanted = {kind, epsilon, delta, rest};
    sotto_status status = accountant_check_target(epsilon, delta, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_check(mechanism, err);
    if (status != SOTTO_OK)
        return status;

    /* low uses are within the target, high are not, or are more than can be counted. */
    const uint64_t most = SOTTO_ACCOUNTANT_MAX_COUNT - (rest ? accountant_count(rest, mechanism) : 0);
    uint64_t low = 0, high = most + 1, guess = 1;
    for (int probes = 0; high - low > 1; probes++) {
        const uint64_t probe = guess <= low ? low + 1 : guess >= high ? high - 1 : guess;
        double spent, order;
        status = accountant_epsilon_with(kind, rest, mechanism, probe, delta, &spent, &order, err);
        if (status != SOTTO_OK)
            return status;
        if (spent <= epsilon)
            low = probe;
        else
            high = probe;
        if (probes < TANGENT_PROBES && order > 1.0 && isfinite(order))
            guess = tangent(&wanted, mechanism, order, most);
        else if (high > most)
            guess = 2 * low;
        else
            guess = low + (high - low) / 2;
    }
    *steps = low;
    return SOTTO_OK;
}
