/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>

/*
 * Each question here asks for the border along one parameter, noise, sample rate or steps, between the values
 * that keep a target and those that do not. ε is monotone in each but for what an accountant's own accuracy
 * makes it waver by, so the search trusts nothing but its two ends: the nearest value found to keep the
 * target, which is what it hands out, and the nearest found not to.
 */

/* The σ and q tried: beyond them noise drowns whatever is released, or nobody is ever sampled. */
static const double LARGEST_NOISE = 1e15, LEAST_NOISE = 1e-9, LEAST_RATE = 1e-15;
/* How near both ends come, relatively: Rényi's ε is smooth to the last digits, the other to five or six. */
static const double RDP_TOLERANCE = 1e-12, PLD_TOLERANCE = 1e-6;
/* log ε over the target is taken to be within this. */
static const double LARGEST_EXCESS = 50.0;

typedef enum parameter { NOISE, RATE, STEPS } parameter;

typedef struct target {
    sotto_accountant_kind kind;
    double epsilon, delta;
    const sotto_accountant *rest; /* may be NULL */
} target;

/* One end of a search: a value, and log of ε over the target there. */
typedef struct end {
    bool found;
    double at, excess;
} end;

typedef struct border {
    target wanted;
    parameter along;
    sotto_mechanism mechanism; /* its σ or q replaced by the value tried */
    uint64_t steps;            /* replaced likewise */
    double least, most;        /* the values that may be tried */
    end keeps, breaks;
    sotto_error *err;
} border;

static double tolerance(const border *b)
{
    return b->wanted.kind == SOTTO_ACCOUNTANT_RDP ? RDP_TOLERANCE : PLD_TOLERANCE;
}

/* Try a value, and make it the end on its side. */
static sotto_status try(border *b, double value)
{
    if (b->along == NOISE)
        b->mechanism.noise_multiplier = value;
    else if (b->along == RATE)
        b->mechanism.sample_rate = value;
    else
        b->steps = (uint64_t)value;
    double epsilon;
    const sotto_status status = accountant_epsilon_with(b->wanted.kind, b->wanted.rest, &b->mechanism,
                                                        b->steps, b->wanted.delta, &epsilon, NULL, b->err);
    if (status != SOTTO_OK)
        return status;
    const double excess = fmin(fmax(log(epsilon / b->wanted.epsilon), -LARGEST_EXCESS), LARGEST_EXCESS);
    *(epsilon <= b->wanted.epsilon ? &b->keeps : &b->breaks) = (end){true, value, excess};
    return SOTTO_OK;
}

/* A value within reach, whole where steps are counted. */
static double within_reach(const border *b, double value)
{
    value = fmin(fmax(value, b->least), b->most);
    return b->along == STEPS ? floor(value) : value;
}

/*
 * From `start`, outwards until both ends are found or the other one is out of reach. ε grows about as σ falls
 * or q grows, or as the root of the steps, so its excess says how far to go; where it was not far enough,
 * three times that.
 */
static sotto_status find_ends(border *b, double start)
{
    const double nearest = 10.0 * tolerance(b), farthest = 3.0;
    sotto_status status = try(b, within_reach(b, start));
    for (double eager = 1.0; status == SOTTO_OK && !(b->keeps.found && b->breaks.found); eager *= 3.0) {
        const end *from = b->keeps.found ? &b->keeps : &b->breaks;
        const double stride = fmin(fmax(eager * fabs(from->excess), eager * nearest), farthest);
        const bool upwards = b->keeps.found != (b->along == NOISE);
        double next = within_reach(b, from->at * exp(upwards ? stride : -stride));
        if (b->along == STEPS && next == from->at)
            next = within_reach(b, next + (upwards ? 1.0 : -1.0));
        if (next == from->at)
            break;
        status = try(b, next);
    }
    return status;
}

/* Where a straight line through both ends of log ε over log value meets the target. */
static double interpolate(const end *keeps, const end *breaks)
{
    const double share = keeps->excess / (keeps->excess - breaks->excess);
    return keeps->at * exp(share * log(breaks->at / keeps->at));
}

/* Strictly between both ends, at least a tolerance (or one step) from either. */
static double between_ends(const border *b, double value)
{
    const double low = fmin(b->keeps.at, b->breaks.at), high = fmax(b->keeps.at, b->breaks.at);
    if (b->along == STEPS)
        return fmin(fmax(floor(value), low + 1.0), high - 1.0);
    const double apart = 0.6 * tolerance(b);
    return fmin(fmax(value, low * (1.0 + apart)), high * (1.0 - apart));
}

static bool is_narrow(const border *b)
{
    const double width = fabs(b->keeps.at - b->breaks.at);
    return b->along == STEPS ? width <= 1.0 : width <= tolerance(b) * fmax(b->keeps.at, b->breaks.at);
}

/*
 * False position (the Illinois rule: an end that stays twice counts half), and bisection where that does not
 * halve the interval in three steps.
 */
static sotto_status narrow(border *b)
{
    sotto_status status = SOTTO_OK;
    end keeps = b->keeps, breaks = b->breaks; /* excess as weighed */
    double width = INFINITY;
    int kept = 0; /* in a row, negative where broken */
    for (int i = 0; status == SOTTO_OK && !is_narrow(b); i++) {
        bool halve = false;
        if (i % 3 == 0) {
            const double now = fabs(log(b->keeps.at / b->breaks.at));
            halve = i > 0 && now > 0.5 * width;
            width = now;
        }
        const double value = halve ? sqrt(b->keeps.at) * sqrt(b->breaks.at) : interpolate(&keeps, &breaks);
        const double last = b->keeps.at;
        status = try(b, between_ends(b, value));
        if (b->keeps.at != last) {
            keeps = b->keeps;
            kept = kept > 0 ? kept + 1 : 1;
        } else {
            breaks = b->breaks;
            kept = kept < 0 ? kept - 1 : -1;
        }
        if (kept > 1)
            breaks.excess *= 0.5;
        else if (kept < -1)
            keeps.excess *= 0.5;
    }
    return status;
}

static sotto_status check_rest(const target *wanted, sotto_error *err)
{
    if (!wanted->rest)
        return SOTTO_OK;
    sotto_accountant rest = *wanted->rest;
    rest.kind = wanted->kind;
    double spent;
    const sotto_status status = sotto_accountant_epsilon(&rest, wanted->delta, &spent, NULL, err);
    if (status == SOTTO_OK && spent > wanted->epsilon)
        return sotto_error_set(
            err, SOTTO_ERROR_BUDGET,
            "what is spent already amounts to epsilon %.6g at delta %g, above the target %g; "
            "raise the target or spend less elsewhere",
            spent, wanted->delta, wanted->epsilon);
    return status;
}

static sotto_status check_steps(uint64_t steps, sotto_error *err)
{
    if (steps < 1 || steps > SOTTO_ACCOUNTANT_MAX_COUNT)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "steps is %llu; expected 1 to 2^53",
                               (unsigned long long)steps);
    return SOTTO_OK;
}

static sotto_status check_target(const target *wanted, sotto_error *err)
{
    const sotto_status status = accountant_check_kind(wanted->kind, err);
    return status == SOTTO_OK ? accountant_check_target(wanted->epsilon, wanted->delta, err) : status;
}

/* The question again, by Rényi divergences: they answer at once, on the safe side and near. */
static target by_renyi(target wanted)
{
    wanted.kind = SOTTO_ACCOUNTANT_RDP;
    return wanted;
}

/* err is written on failure only, and that there is no answer by Rényi divergences is none. */
static sotto_status pass_on(sotto_status status, const sotto_error *why, sotto_error *err)
{
    if (err)
        *err = *why;
    return status;
}

static sotto_status find_noise(target wanted, const sotto_mechanism *mechanism, uint64_t steps, double *noise,
                               sotto_error *err)
{
    double start = 1.0;
    if (wanted.kind != SOTTO_ACCOUNTANT_RDP) {
        sotto_error why;
        const sotto_status status = find_noise(by_renyi(wanted), mechanism, steps, &start, &why);
        if (status != SOTTO_OK && status != SOTTO_ERROR_BUDGET)
            return pass_on(status, &why, err);
    }
    sotto_status status = check_rest(&wanted, err);
    border b = {.wanted = wanted, .along = NOISE, .mechanism = *mechanism, .steps = steps, .err = err};
    b.least = LEAST_NOISE, b.most = LARGEST_NOISE;
    if (status == SOTTO_OK)
        status = find_ends(&b, start);
    if (status == SOTTO_OK && !b.keeps.found)
        status = sotto_error_set(
            err, SOTTO_ERROR_BUDGET,
            "no noise multiplier up to %g keeps epsilon %g at delta %g over %llu steps at sample rate %g; "
            "raise epsilon or delta, or take fewer steps",
            LARGEST_NOISE, wanted.epsilon, wanted.delta, (unsigned long long)steps, mechanism->sample_rate);
    if (status == SOTTO_OK && b.breaks.found)
        status = narrow(&b);
    if (status == SOTTO_OK)
        *noise = b.keeps.at;
    return status;
}

sotto_status sotto_calibrate_noise_multiplier(sotto_accountant_kind kind, double epsilon, double delta,
                                              double sample_rate, uint64_t steps,
                                              const sotto_accountant *rest, double *noise_multiplier,
                                              sotto_error *err)
{
    const target wanted = {kind, epsilon, delta, rest};
    sotto_status status = check_target(&wanted, err);
    if (status != SOTTO_OK)
        return status;
    if (!(sample_rate > 0.0 && sample_rate <= 1.0))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "sample rate is %g; expected a probability above 0 and at most 1 to find noise for", sample_rate);
    sotto_mechanism mechanism;
    status = check_steps(steps, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_sampled_gaussian(&mechanism, sample_rate, 1.0, err);
    return status == SOTTO_OK ? find_noise(wanted, &mechanism, steps, noise_multiplier, err) : status;
}

sotto_status sotto_calibrate_gaussian(sotto_accountant_kind kind, double epsilon, double delta,
                                      double *noise_multiplier, sotto_error *err)
{
    return sotto_calibrate_noise_multiplier(kind, epsilon, delta, 1.0, 1, NULL, noise_multiplier, err);
}

static sotto_status find_rate(target wanted, const sotto_mechanism *mechanism, uint64_t steps, double *rate,
                              sotto_error *err)
{
    double start = 1.0;
    if (wanted.kind != SOTTO_ACCOUNTANT_RDP) {
        sotto_error why;
        const sotto_status status = find_rate(by_renyi(wanted), mechanism, steps, &start, &why);
        if (status != SOTTO_OK && status != SOTTO_ERROR_BUDGET)
            return pass_on(status, &why, err);
    }
    sotto_status status = check_rest(&wanted, err);
    border b = {.wanted = wanted, .along = RATE, .mechanism = *mechanism, .steps = steps, .err = err};
    b.least = LEAST_RATE, b.most = 1.0;
    if (status == SOTTO_OK)
        status = find_ends(&b, start);
    if (status == SOTTO_OK && b.keeps.found && b.breaks.found)
        status = narrow(&b);
    if (status == SOTTO_OK)
        *rate =
            b.keeps.found ? b.keeps.at : 0.0; /* which costs nothing, and the rest was found to be within */
    return status;
}

sotto_status sotto_calibrate_sample_rate(sotto_accountant_kind kind, double epsilon, double delta,
                                         double noise_multiplier, uint64_t steps,
                                         const sotto_accountant *rest, double *sample_rate, sotto_error *err)
{
    const target wanted = {kind, epsilon, delta, rest};
    sotto_mechanism mechanism;
    sotto_status status = check_target(&wanted, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_sampled_gaussian(&mechanism, 1.0, noise_multiplier, err);
    if (status == SOTTO_OK)
        status = check_steps(steps, err);
    return status == SOTTO_OK ? find_rate(wanted, &mechanism, steps, sample_rate, err) : status;
}

static sotto_status find_steps(target wanted, const sotto_mechanism *mechanism, uint64_t *steps,
                               sotto_error *err)
{
    uint64_t start = 1;
    if (wanted.kind != SOTTO_ACCOUNTANT_RDP) {
        const sotto_status status = find_steps(by_renyi(wanted), mechanism, &start, err);
        if (status != SOTTO_OK)
            return status;
    }
    const uint64_t most =
        SOTTO_ACCOUNTANT_MAX_COUNT - (wanted.rest ? accountant_count(wanted.rest, mechanism) : 0);
    border b = {.wanted = wanted, .along = STEPS, .mechanism = *mechanism, .err = err};
    b.least = 1.0, b.most = (double)most;
    sotto_status status = most > 0 ? find_ends(&b, (double)start) : SOTTO_OK;
    if (status == SOTTO_OK && b.keeps.found && b.breaks.found)
        status = narrow(&b);
    if (status == SOTTO_OK)
        *steps = b.keeps.found ? (uint64_t)b.keeps.at : 0;
    return status;
}

sotto_status sotto_calibrate_steps(sotto_accountant_kind kind, double epsilon, double delta,
                                   const sotto_mechanism *mechanism, const sotto_accountant *rest,
                                   uint64_t *steps, sotto_error *err)
{
    const target wanted = {kind, epsilon, delta, rest};
    sotto_status status = check_target(&wanted, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_check(mechanism, err);
    return status == SOTTO_OK ? find_steps(wanted, mechanism, steps, err) : status;
}

/* The accountant's δ at ε, raised until its ε at δ agrees: the two are rounded up each on its own. */
static sotto_status find_delta(sotto_accountant *whole, double epsilon, double *delta, sotto_error *err)
{
    double found, spent = 0.0;
    sotto_status status = sotto_accountant_delta(whole, epsilon, &found, NULL, err);
    if (status == SOTTO_OK && found > 0.0 && found < 1.0)
        status = sotto_accountant_epsilon(whole, found, &spent, NULL, err);
    for (double more = tolerance(&(border){.wanted.kind = whole->kind});
         status == SOTTO_OK && spent > epsilon && found < 1.0; more *= 4.0) {
        found = fmin(nextafter(found * (1.0 + more), 1.0), 1.0);
        if (found < 1.0)
            status = sotto_accountant_epsilon(whole, found, &spent, NULL, err);
    }
    if (status == SOTTO_OK && found >= 1.0)
        status =
            sotto_error_set(err, SOTTO_ERROR_BUDGET,
                            "no delta below 1 is kept at epsilon %g; raise epsilon, or spend less", epsilon);
    if (status == SOTTO_OK)
        *delta = found;
    return status;
}

sotto_status sotto_calibrate_delta(sotto_accountant_kind kind, double epsilon, double sample_rate,
                                   double noise_multiplier, uint64_t steps, const sotto_accountant *rest,
                                   double *delta, sotto_error *err)
{
    sotto_mechanism mechanism;
    sotto_accountant *whole = NULL;
    sotto_status status = accountant_check_kind(kind, err);
    if (status == SOTTO_OK)
        status = accountant_check_target(epsilon, 0.5, err);
    if (status == SOTTO_OK)
        status = sotto_mechanism_sampled_gaussian(&mechanism, sample_rate, noise_multiplier, err);
    if (status == SOTTO_OK)
        status = check_steps(steps, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_create(kind, &whole, err);
    for (size_t i = 0; status == SOTTO_OK && rest && i < rest->length; i++)
        status = sotto_accountant_compose(whole, &rest->uses[i].mechanism, rest->uses[i].count, err);
    if (status == SOTTO_OK)
        status = sotto_accountant_compose(whole, &mechanism, steps, err);
    if (status == SOTTO_OK)
        status = find_delta(whole, epsilon, delta, err);
    sotto_accountant_destroy(whole);
    return status;
}
