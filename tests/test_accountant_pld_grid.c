/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "../accountant/pld.h"
#include "test_accountant.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the truth: H(v) = E_Q[(Λ − v)₊] of one release at v = e^loss, in long double ---- */

static long double normal_above(long double z)
{
    return 0.5L * erfcl(z * (long double)M_SQRT1_2);
}

enum { MOST = 8 };

/* Σ p_i N(i, σ²) and N(0, σ²) */
typedef struct truth {
    int parts;
    long double sigma, p[MOST + 1], shift[MOST + 1];
} truth;

static truth describe(const sotto_mechanism *m)
{
    const long double q = m->sample_rate;
    const int k = (int)m->group_size;
    truth t = {.parts = k, .sigma = m->noise_multiplier};
    ck_assert_int_le(k, MOST);
    if (q == 1.0L)
        t.parts = 1;
    for (int i = 0; i <= t.parts; i++) {
        const long double ways = tgammal(k + 1.0L) / tgammal(i + 1.0L) / tgammal(k - i + 1.0L);
        t.p[i] = q < 1.0L ? roundl(ways) * powl(q, i) * powl(1.0L - q, k - i) : (long double)i;
        t.shift[i] = q < 1.0L ? i : k * i;
    }
    return t;
}

/* The loss of part i alone at x. */
static long double exponent(const truth *t, int i, long double x)
{
    return (2.0L * x - t->shift[i]) * t->shift[i] / (2.0L * t->sigma * t->sigma);
}

/* x at which log Λ is `loss`, which rises; Λ − 1 is a sum that does not cancel near 0. */
static long double place(const truth *t, long double loss)
{
    const long double wanted = expm1l(loss);
    if (t->parts == 1)
        return t->shift[1] / 2.0L +
               t->sigma * t->sigma / t->shift[1] * (t->p[1] == 1.0L ? loss : log1pl(wanted / t->p[1]));
    long double low = -60.0L * t->sigma,
                high = t->shift[t->parts] * 60.0L + 60.0L * t->sigma + fabsl(loss) * t->sigma * t->sigma;
    for (int n = 0; n < 120; n++) {
        const long double x = 0.5L * (low + high);
        long double sum = 0.0L;
        for (int i = 1; i <= t->parts; i++)
            sum += t->p[i] * expm1l(exponent(t, i, x));
        if (sum < wanted)
            low = x;
        else
            high = x;
    }
    return low;
}

static long double mixture_curve(const truth *t, int direction, long double loss)
{
    const long double lowest = t->p[0] > 0.0L ? logl(t->p[0]) : -INFINITY;
    const long double seen = direction == PLD_REMOVE ? loss : -loss;
    if (seen <= lowest)
        return direction == PLD_REMOVE ? -expm1l(loss) : 0.0L;
    const long double x = place(t, seen), q = normal_above((direction == PLD_REMOVE ? x : -x) / t->sigma);
    long double sum = 0.0L;
    for (int i = 1; i <= t->parts; i++) {
        const long double weighed = expl(exponent(t, i, x)) * q, at = (x - t->shift[i]) / t->sigma;
        sum += t->p[i] * (direction == PLD_REMOVE ? normal_above(at) - weighed : weighed - normal_above(-at));
    }
    return direction == PLD_REMOVE ? sum : expl(loss) * sum;
}

long double true_curve(const sotto_mechanism *m, int direction, long double loss)
{
    if (m->kind == SOTTO_MECHANISM_LAPLACE) {
        const long double e = (long double)m->group_size / (long double)m->noise_multiplier;
        return loss < -e ? -expm1l(loss) : loss < e ? -expm1l(0.5L * (loss - e)) : 0.0L;
    }
    if (m->kind == SOTTO_MECHANISM_PURE || m->kind == SOTTO_MECHANISM_EXPONENTIAL) {
        const long double e = (long double)m->group_size * (long double)m->epsilon,
                          p = 1.0L / (1.0L + expl(-e));
        return p * fmaxl(-expm1l(loss - e), 0.0L) + (1.0L - p) * fmaxl(-expm1l(loss + e), 0.0L);
    }
    if (m->noise_multiplier > 1e100) /* there is no loss */
        return fmaxl(-expm1l(loss), 0.0L);
    const truth t = describe(m);
    return mixture_curve(&t, direction, loss);
}

/* ---- one release on a grid ---- */

static double loss_of(const pld_atoms *a, double spacing, size_t k)
{
    return a->origin + spacing * (double)(a->first + (int64_t)k);
}

/* H of a grid at e^loss. */
static long double grid_curve(const pld_atoms *a, double spacing, long double loss)
{
    long double sum = a->infinite;
    for (size_t k = 0; k < a->length; k++) {
        const long double above = (long double)loss_of(a, spacing, k) - loss;
        if (above > 0.0L)
            sum -= a->weights[k] * expm1l(-above);
    }
    return sum;
}

typedef struct worst {
    double above, below; /* the largest relative violation of a side, in units of 1e-14 */
} worst;

/* Both sides at one loss, relative to H itself, however small that is. */
static void assert_sides(const pld_release *r, double spacing, const sotto_mechanism *m, int direction,
                         long double loss, const char *what)
{
    const long double doubt = 4e-16L * (fabsl(loss) + (m->group_size > 1 ? 1.0L : 0.0L));
    const long double wanted = true_curve(m, direction, loss);
    const long double above = grid_curve(&r->atoms[direction][PLD_ABOVE], spacing, loss - doubt);
    const long double below = grid_curve(&r->atoms[direction][PLD_BELOW], spacing, loss + doubt);
    const long double slack = r->slack + 1e-13L;
    if (wanted < 1e-290L)
        return;
    ck_assert_msg(above >= wanted * (1.0L - slack),
                  "%s, direction %d, loss %.17Lg: above is %.17Lg, H %.17Lg, off by %.3Lg slack %.3g", what,
                  direction, loss, above, wanted, above / wanted - 1.0L, r->slack);
    ck_assert_msg(below <= wanted * (1.0L + slack),
                  "%s, direction %d, loss %.17Lg: below is %.17Lg, H %.17Lg, off by %.3Lg slack %.3g", what,
                  direction, loss, below, wanted, below / wanted - 1.0L, r->slack);
}

static void assert_weights(const pld_atoms *a, double slack, int side, const char *what)
{
    long double p = 0.0L, q = 0.0L;
    for (size_t k = 0; k < a->length; k++) {
        ck_assert_msg(a->weights[k] >= 0.0, "%s: weight %zu is %g", what, k, a->weights[k]);
        p += a->weights[k];
        q += a->weights[k] * expl(-(long double)loss_of(a, 0.0, k));
    }
    (void)q;
    ck_assert(a->infinite >= 0.0 && (side == PLD_ABOVE || a->infinite == 0.0));
    const double total = (double)p + a->infinite;
    ck_assert_msg(total <= 1.0 + slack + 1e-12, "%s: mass %.17g", what, total);
    if (side == PLD_ABOVE)
        ck_assert_msg(total >= 1.0 - slack - 1e-12, "%s: mass %.17g", what, total);
}

/* On, between and beyond the grid's losses. */
static void assert_release(const sotto_mechanism *m, double spacing, double tail, uint64_t *state,
                           const char *what)
{
    pld_release r;
    sotto_error err;
    const sotto_status status = pld_release_make(m, spacing, tail, &r, &err);
    ck_assert_msg(status == SOTTO_OK, "%s: %s", what, err.message);
    ck_assert_msg(r.slack >= 0.0 && r.slack < 1e-9, "%s: slack %g", what, r.slack);
    for (int direction = 0; direction < PLD_DIRECTIONS; direction++) {
        const pld_atoms *a = &r.atoms[direction][PLD_ABOVE];
        const double low = loss_of(a, spacing, 0), high = loss_of(a, spacing, a->length - 1);
        for (int side = 0; side < PLD_SIDES; side++)
            assert_weights(&r.atoms[direction][side], r.slack, side, what);
        for (int i = 0; i < 40; i++) {
            const double at = between(state, 0, (double)a->length - 1);
            assert_sides(&r, spacing, m, direction,
                         i % 3 ? low + at * spacing : loss_of(a, spacing, (size_t)at), what);
        }
        assert_sides(&r, spacing, m, direction, 0.0L, what);
        for (int i = 0; i < 6; i++) {
            const double beyond = spacing * power_between(state, -6, 2);
            assert_sides(&r, spacing, m, direction, low - beyond, what);
            assert_sides(&r, spacing, m, direction, high + beyond, what);
        }
    }
    pld_release_free(&r);
}

/* A release whose grid of `spacing` has no more losses than a test should take. */
static double some_spacing(const sotto_mechanism *m, double tail, uint64_t *state)
{
    double low, high;
    accountant_mechanism_losses(m)->range(m, tail, &low, &high);
    return (high - low) / power_between(state, -0.5, 3);
}

static void assert_releases(const sotto_mechanism *m, uint64_t *state)
{
    char what[256];
    const double tail = power_between(state, -30, -8), spacing = some_spacing(m, tail, state);
    (void)snprintf(
        what, sizeof what, "kind %d q %.17g noise %.17g group %d epsilon %.17g spacing %.17g tail %.17g",
        (int)m->kind, m->sample_rate, m->noise_multiplier, (int)m->group_size, m->epsilon, spacing, tail);
    assert_release(m, spacing, tail, state, what);
}

START_TEST(both_sides_hold_on_any_grid)
{
    uint64_t state = 21;
    for (int i = 0; i < 300; i++) {
        const sotto_mechanism m =
            i % 6 == 5 ? gaussian(power_between(&state, -0.7, 2))
                       : sampled(power_between(&state, -6, -0.001), power_between(&state, -0.6, 1.5));
        assert_releases(&m, &state);
    }
}
END_TEST

START_TEST(both_sides_hold_for_groups)
{
    uint64_t state = 22;
    for (int i = 0; i < 60; i++) {
        sotto_mechanism m = sampled(power_between(&state, -5, -0.01), power_between(&state, -0.2, 1.3));
        ck_assert_int_eq(sotto_mechanism_group(&m, &m, 2 + (uint64_t)i % 7, NULL), SOTTO_OK);
        assert_releases(&m, &state);
    }
}
END_TEST

START_TEST(both_sides_hold_for_atoms)
{
    uint64_t state = 23;
    for (int i = 0; i < 300; i++) {
        sotto_mechanism m;
        if (i % 2)
            ck_assert_int_eq(sotto_mechanism_laplace(&m, power_between(&state, -1, 3), NULL), SOTTO_OK);
        else
            ck_assert_int_eq(sotto_mechanism_pure(&m, power_between(&state, -4, 1), NULL), SOTTO_OK);
        assert_releases(&m, &state);
    }
}
END_TEST

TCase *pld_grid_tests(void)
{
    TCase *tests = tcase_create("pld grid");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, both_sides_hold_on_any_grid);
    tcase_add_test(tests, both_sides_hold_for_groups);
    tcase_add_test(tests, both_sides_hold_for_atoms);
    return tests;
}
