/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <math.h>
#include <stdlib.h>

/* A question, and the best that is known of its answer on either side. */
typedef struct question {
    const pld_bundle *bundle;
    bool wants_epsilon;
    double given;    /* log δ, or ε */
    double tail;     /* mass to cut off a release */
    double tilt;     /* about the best λ, */
    bool tilted;     /* once it has been looked for */
    double spacing;  /* of the grid in work */
    double share;    /* of δ that windows may add */
    int directions;  /* of adjacency that differ */
    pld_bounds best; /* ε, or log δ */
    pld_workspace workspace;
} question;

/* Largest tilt used: beyond it e^{λh} would ask for a grid finer than the losses do. */
static const double MIN_TILT = 1e-3, MAX_TILT = 1e5;

/*
 * By how much the λ falls short at which the saddle-point approximation meets the question: for ε at δ,
 * log δ ≈ K − λK′ − log(λ(λ+1)√(2πK″)); for δ at ε, ε ≈ K′. Only a choice of window: any λ gives bounds.
 */
static double shortfall(const question *q, const pld_use *uses, double tilt)
{
    const pld_moments at =
        pld_total_moments(uses, q->bundle->length, q->spacing, PLD_REMOVE, PLD_ABOVE, tilt);
    if (!q->wants_epsilon)
        return q->given - at.mean;
    const double spread = 0.5 * log(2.0 * M_PI * fmax(at.variance, 1e-300));
    return at.log_moment - tilt * at.mean - log(tilt * (tilt + 1.0)) - spread - q->given;
}

static double choose_tilt(const question *q, const pld_use *uses)
{
    const double least = log(MIN_TILT), most = log(fmin(MAX_TILT, 2.0 / q->spacing));
    double low = fmin(fmax(log(q->tilt), least), most), high = low; /* a guess that is seldom far off */
    while (low > least && shortfall(q, uses, exp(low)) <= 0.0) {
        high = low;
        low = fmax(low - 0.5, least);
    }
    while (high == low && high < most) {
        high = fmin(high + 0.5, most);
        if (shortfall(q, uses, exp(high)) > 0.0)
            low = high;
    }
    while (high - low > 0.1) {
        const double middle = 0.5 * (low + high);
        if (shortfall(q, uses, exp(middle)) > 0.0)
            low = middle;
        else
            high = middle;
    }
    return exp(low);
}

/* What is known of the answer on one side, one direction; `least` is the figure that another direction has.
 */
static sotto_status read_curve(const question *q, const pld_curve *curve, int side, double least,
                               double *answer)
{
    const double high = curve->low + curve->spacing * (double)(curve->length - 1);
    if (!q->wants_epsilon) {
        *answer = pld_curve_log_delta(curve, side, q->given);
        if (*answer <= least) /* true outside of the window, too */
            return SOTTO_OK;
        return q->given >= curve->low && q->given <= high ? SOTTO_OK : SOTTO_ERROR_NUMERIC;
    }
    if (least > 0.0 && pld_curve_log_delta(curve, side, least) <= q->given) {
        *answer = least;
        return SOTTO_OK;
    }
    sotto_status status = pld_curve_epsilon(curve, side, q->given, answer);
    if (status != SOTTO_OK && *answer == curve->low && curve->low <= 0.0)
        status = SOTTO_OK; /* ε is 0 */
    *answer = fmax(*answer, 0.0);
    return status;
}

enum { MAX_ATTEMPTS = 8 };

/* Compose near where the answer is thought to be, and nearer where it is not. */
static sotto_status answer_side(question *q, const pld_use *uses, int direction, int side, double least,
                                double *answer, sotto_error *err)
{
    pld_aim aim = {.tilt = q->tilt,
                   .epsilon = q->wants_epsilon ? q->best.upper : q->given,
                   .log_delta = q->wants_epsilon ? q->given : q->best.upper,
                   .share = q->share};
    sotto_status status = SOTTO_ERROR_NUMERIC;
    for (int i = 0; i < MAX_ATTEMPTS && status == SOTTO_ERROR_NUMERIC; i++) {
        pld_curve curve;
        double factor = 0.5; /* where the window was too long: tilted into a far tail */
        status = pld_compose(uses, q->bundle->length, q->spacing, direction, side, &aim, &q->workspace,
                             &curve, err);
        if (status == SOTTO_OK) {
            status = read_curve(q, &curve, side, least, answer);
            const double found = q->wants_epsilon ? *answer : q->given;
            factor = found > curve.low ? 1.7 : 0.5;
            pld_curve_free(&curve);
        }
        aim.tilt *= factor;
    }
    return status;
}

/* One grid: improves what is known. */
static sotto_status answer_grid(question *q, sotto_error *err)
{
    pld_use *uses = NULL;
    sotto_status status = pld_releases_make(q->bundle, q->spacing, q->tail, &uses, err);
    if (status != SOTTO_OK)
        return status;
    if (!q->tilted)
        q->tilt = choose_tilt(q, uses);
    q->tilted = true;
    double upper = -INFINITY, lower = -INFINITY;
    int worst = PLD_REMOVE;
    for (int direction = 0; direction < q->directions && status == SOTTO_OK; direction++) {
        double value = -INFINITY;
        status = answer_side(q, uses, direction, PLD_ABOVE, upper, &value, err);
        if (status == SOTTO_OK && value > upper) {
            upper = value;
            worst = direction;
        }
    }
    if (status == SOTTO_OK) {
        q->best.upper = fmin(q->best.upper, upper);
        status = answer_side(q, uses, worst, PLD_BELOW, -INFINITY, &lower, err);
    }
    if (status == SOTTO_OK)
        q->best.lower = fmax(q->best.lower, lower);
    pld_releases_free(uses, q->bundle->length);
    return status == SOTTO_ERROR_MEMORY ? status : SOTTO_OK; /* what no window shows a finer grid may */
}

/*
 * Chords and tangents add and take from the variance of each loss up to h²/4 between them, keeping the mean
 * of e^{−L}: together T h²λ(λ+1)/8 of K(λ) = log E[e^{λL}], and that over λ of ε.
 */
static double first_spacing(const question *q, double gap)
{
    const double share = q->wants_epsilon ? 1.0 : q->tilt;
    const double spacing = 1.2 * sqrt(8.0 * gap / (q->bundle->steps * share * (q->tilt + 1.0)));
    return fmin(spacing, 2.0 / q->tilt);
}

/* What may be cut off each release: a ten-millionth of δ in all. */
static double tail_of(const question *q)
{
    const double log_delta = q->wants_epsilon ? q->given : q->best.upper;
    return fmax(1e-7 * exp(log_delta) / q->bundle->steps, 1e-300);
}

enum { MAX_GRIDS = 12 };

/* A δ below e to this is small enough for anybody: 1e-18. */
static const double LOG_NO_DELTA = -41.4;

/* Finer and finer, until both sides are within the gap or memory ends. But for errors it always succeeds:
 * what is known at the start is an answer, too. */
static sotto_status narrow(question *q, double relative, double absolute, double guess, sotto_error *err)
{
    q->tail = tail_of(q);
    const double finest = pld_finest_spacing(q->bundle, q->tail);
    if (!(finest > 0.0 && isfinite(finest)))
        return SOTTO_OK;
    q->spacing = fmax(first_spacing(q, fmax(absolute, relative * guess)), finest);
    int idle = 0; /* grids that brought nothing: rounding is all that is left of the gap */
    double before = INFINITY;
    for (int i = 0; i < MAX_GRIDS && idle < 2; i++) {
        const sotto_status status = answer_grid(q, NULL);
        if (status == SOTTO_ERROR_MEMORY)
            return sotto_error_set(err, status, "out of memory for privacy-loss distributions");
        const double gap = q->best.upper - q->best.lower;
        const double wanted = fmax(absolute, relative * fmax(q->best.lower, 0.0));
        if (!q->wants_epsilon && q->best.upper < LOG_NO_DELTA)
            break;
        if (gap <= wanted || q->spacing <= finest || status != SOTTO_OK)
            break;
        /* far from the goal all grids may have been coarser than the losses */
        idle = gap < 0.95 * before || gap > 30.0 * wanted ? 0 : idle + 1;
        before = gap;
        q->tail = tail_of(q);
        q->tilted = q->wants_epsilon; /* the tail has a say in where δ(ε) comes from */
        q->spacing = fmax(q->spacing * fmin(fmax(sqrt(0.8 * wanted / gap), 0.2), 0.8), finest);
    }
    return SOTTO_OK;
}

/* ---- ε ---- */

/* By how much log δ of a Gaussian may be off: the formula's own error, and that of x = ε/μ − μ/2 in its
 * density. */
static double gaussian_error(double mu, double epsilon)
{
    const double x = epsilon / mu - 0.5 * mu;
    return 1e-11 + 1e-15 * fabs(x) * (epsilon / mu + mu);
}

/* log δ of a Gaussian, rounded up or down. */
static double gaussian_side(double mu, double epsilon, int side)
{
    const double error = gaussian_error(mu, epsilon);
    return accountant_gaussian_log_delta(mu, epsilon) + (side == PLD_ABOVE ? error : -error);
}

/* ε of a Gaussian alone, by bisection: the safe end of the last interval. */
static double gaussian_epsilon(double mu, double log_delta, int side)
{
    double low = 0.0, high = 1.0;
    if (gaussian_side(mu, 0.0, side) <= log_delta)
        return 0.0;
    while (high < 1e300 && gaussian_side(mu, high, side) > log_delta)
        high *= 2.0;
    for (int i = 0; i < 200 && high - low > 1e-15 * high; i++) {
        const double middle = 0.5 * (low + high);
        if (gaussian_side(mu, middle, side) > log_delta)
            low = middle;
        else
            high = middle;
    }
    return side == PLD_ABOVE ? high : low;
}

/* μ to 1e-15: the release with more of it costs more. */
static pld_bounds gaussian_bounds(double mu, double log_delta)
{
    return (pld_bounds){gaussian_epsilon(mu * (1.0 - 4e-15), log_delta, PLD_BELOW),
                        gaussian_epsilon(mu * (1.0 + 4e-15), log_delta, PLD_ABOVE)};
}

sotto_status pld_epsilon(const sotto_accountant *accountant, double delta, double gap, pld_bounds *epsilon,
                         sotto_error *err)
{
    double by_rdp, order;
    sotto_status status = accountant_rdp_epsilon(accountant, delta, &by_rdp, &order, err);
    if (status != SOTTO_OK)
        return status;
    if (by_rdp == 0.0 || by_rdp == INFINITY) { /* that Rényi divergences guarantee nothing proves nothing */
        *epsilon = (pld_bounds){0.0, by_rdp};
        return SOTTO_OK;
    }
    pld_bundle b;
    status = pld_gather(accountant, &b, err);
    if (status != SOTTO_OK)
        return status;
    const double most = fmin(by_rdp, b.largest);
    if (b.length == 0) {
        *epsilon = gaussian_bounds(b.mu, log(delta));
        epsilon->upper = fmin(epsilon->upper, most);
    } else {
        question q = {.bundle = &b,
                      .share = 0.03 * gap,
                      .directions = b.symmetric ? 1 : PLD_DIRECTIONS,
                      .wants_epsilon = true,
                      .given = log(delta),
                      .best = {0.0, most}};
        q.tilt = fmin(fmax(order - 1.0, 2.0 * MIN_TILT), 0.5 * MAX_TILT);
        status = narrow(&q, gap, 0.1 * gap, by_rdp, err);
        *epsilon = q.best;
        pld_workspace_free(&q.workspace);
    }
    pld_bundle_free(&b);
    return status;
}

/* ---- δ ---- */

sotto_status pld_delta(const sotto_accountant *accountant, double epsilon, double gap, pld_bounds *delta,
                       sotto_error *err)
{
    double by_rdp, order;
    sotto_status status = accountant_rdp_delta(accountant, epsilon, &by_rdp, &order, err);
    if (status != SOTTO_OK)
        return status;
    if (by_rdp == 0.0 || order == INFINITY) {
        *delta = (pld_bounds){0.0, by_rdp};
        return SOTTO_OK;
    }
    pld_bundle b;
    status = pld_gather(accountant, &b, err);
    if (status != SOTTO_OK)
        return status;
    if (epsilon >= b.largest) {
        *delta = (pld_bounds){0.0, 0.0};
    } else if (b.length == 0) {
        const double low = gaussian_side(b.mu * (1.0 - 4e-15), epsilon, PLD_BELOW);
        const double high = gaussian_side(b.mu * (1.0 + 4e-15), epsilon, PLD_ABOVE);
        *delta =
            (pld_bounds){exp(low) * (1.0 - 1e-15), fmin(fmax(exp(high) * (1.0 + 1e-15), 0x1p-1074), by_rdp)};
    } else {
        question q = {.bundle = &b,
                      .share = 0.03 * gap,
                      .directions = b.symmetric ? 1 : PLD_DIRECTIONS,
                      .given = epsilon,
                      .best = {-INFINITY, log(by_rdp)}};
        q.tilt = fmin(fmax(order - 1.0, 2.0 * MIN_TILT), 0.5 * MAX_TILT);
        status = narrow(&q, 0.0, 10.0 * gap, 0.0, err);
        *delta = (pld_bounds){exp(q.best.lower) * (1.0 - 1e-12),
                              fmin(fmax(exp(q.best.upper) * (1.0 + 1e-12), 0x1p-1074), by_rdp)};
        pld_workspace_free(&q.workspace);
    }
    pld_bundle_free(&b);
    return status;
}
