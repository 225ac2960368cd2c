/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>
#include <threads.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_min.h>

/*
 * Both objectives fall and then rise in α, and so in x = log(α − 1). K(α) = (α − 1)r(α) is convex, being the
 * logarithm of a moment, and so is (α − 1)log(1 − 1/α) − log α, whose derivative is log(1 − 1/α); log δ is
 * their sum and a straight line. And ε(α) ≤ e says that a convex function of α lies below the line e(α − 1):
 * it does so on an interval. One descent from anywhere therefore finds the least value; one that stops early
 * costs tightness only, since every order is valid.
 */

typedef struct search {
    accountant_objective objective;
    const void *context;
    double best_x;
    double best_value;
    bool settled;
} search;

/* GSL refuses values that are not finite. */
static const double HUGE_VALUE = 1e200;
/*
 * The search has settled when a point beside the best one is no news: so near that ε, sharply though it bends
 * where the tail of a mixture begins to count, has below 1e-10 relative to lose; or near, with next to no
 * slope between.
 */
static const double NEAR = 1e-7, CLOSE = 1e-5, FLAT = 1e-6;
enum { MAX_ITERATIONS = 100 };

static double evaluate(double x, void *state)
{
    search *s = state;
    const double value = s->objective(exp(x), s->context);
    const double apart = fabs(x - s->best_x);
    const double change = fabs(value - s->best_value);
    s->settled = apart < NEAR || (apart < CLOSE && change <= FLAT * apart * fabs(s->best_value));
    if (value < s->best_value) {
        s->best_value = value;
        s->best_x = x;
    }
    return value < HUGE_VALUE ? value : HUGE_VALUE;
}

/* Three points of which the middle one is lowest, or ends that met the limit of the range. */
typedef struct bracket {
    double x[3], f[3];
} bracket;

/* Walk from the middle towards `side` (0 down, 2 up) with growing strides for as long as it goes downhill. */
static void descend(search *s, bracket *b, int side, double limit)
{
    const int other = 2 - side;
    double stride = b->x[side] - b->x[1];
    while ((b->f[side] < b->f[1] || (side == 0 && b->f[1] >= HUGE_VALUE)) && b->x[side] != limit) {
        b->x[other] = b->x[1], b->f[other] = b->f[1];
        b->x[1] = b->x[side], b->f[1] = b->f[side];
        stride *= 2.0;
        const double next = b->x[1] + stride;
        b->x[side] = side == 0 ? fmax(next, limit) : fmin(next, limit);
        b->f[side] = evaluate(b->x[side], s);
    }
}

static void quiet_gsl(void)
{
    gsl_set_error_handler_off();
}

void accountant_quiet_gsl(void)
{
    static once_flag once = ONCE_FLAG_INIT;
    call_once(&once, quiet_gsl);
}

static sotto_status refine(search *s, const bracket *b, sotto_error *err)
{
    accountant_quiet_gsl();
    gsl_min_fminimizer *minimizer = gsl_min_fminimizer_alloc(gsl_min_fminimizer_brent);
    if (!minimizer)
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for the search over Rényi orders");
    gsl_function curve = {.function = evaluate, .params = s};
    int state = gsl_min_fminimizer_set_with_values(minimizer, &curve, b->x[1], b->f[1], b->x[0], b->f[0],
                                                   b->x[2], b->f[2]);
    s->settled = false;
    for (int i = 0; state == GSL_SUCCESS && !s->settled && i < MAX_ITERATIONS; i++)
        state = gsl_min_fminimizer_iterate(minimizer);
    /* Whatever GSL says of its last step, the best value seen is that of a valid order. */
    gsl_min_fminimizer_free(minimizer);
    return SOTTO_OK;
}

sotto_status accountant_minimise(accountant_objective objective, const void *context, double start, double *t,
                                 double *value, sotto_error *err)
{
    const double lowest = log(ACCOUNTANT_T_MIN), highest = log(ACCOUNTANT_T_MAX), stride = 0.5;
    search s = {.objective = objective, .context = context, .best_x = lowest, .best_value = INFINITY};
    bracket b;
    b.x[1] = fmin(fmax(log(start), lowest + stride), highest - stride);
    b.x[0] = b.x[1] - stride;
    b.x[2] = b.x[1] + stride;
    for (int i = 0; i < 3; i++)
        b.f[i] = evaluate(b.x[i], &s);
    descend(&s, &b, 0, lowest);
    descend(&s, &b, 2, highest);

    sotto_status status = SOTTO_OK;
    if (b.f[1] < b.f[0] && b.f[1] < b.f[2])
        status = refine(&s, &b, err);
    *t = exp(s.best_x);
    *value = s.best_value;
    return status;
}
