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
    long double p = 0.0L;
    for (size_t k = 0; k < a->length; k++) {
        ck_assert_msg(a->weights[k] >= 0.0, "%s: weight %zu is %g", what, k, a->weights[k]);
        p += a->weights[k];
    }
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

/* ---- composition: against sums over all pairs, in long double ---- */

typedef struct composed_grid {
    long double low; /* loss of mass[0] */
    size_t length;
    long double *mass, infinite;
} composed_grid;

static composed_grid convolve(const pld_use *uses, size_t count, double spacing, int direction, int side)
{
    composed_grid all = {.length = 1, .mass = malloc(sizeof(long double))};
    all.mass[0] = 1.0L;
    for (size_t i = 0; i < count; i++) {
        const pld_atoms *a = &uses[i].release.atoms[direction][side];
        for (uint64_t n = 0; n < uses[i].count; n++) {
            const size_t length = all.length + a->length - 1;
            long double *mass = calloc(length, sizeof *mass);
            for (size_t j = 0; j < all.length; j++)
                for (size_t k = 0; k < a->length; k++)
                    mass[j + k] += all.mass[j] * a->weights[k];
            free(all.mass);
            all.mass = mass;
            all.length = length;
            all.low += (long double)a->origin + (long double)spacing * a->first;
            all.infinite += a->infinite;
        }
    }
    return all;
}

static long double composed_delta(const composed_grid *all, double spacing, long double epsilon)
{
    long double sum = all->infinite;
    for (size_t k = 0; k < all->length; k++) {
        const long double above = all->low + (long double)spacing * k - epsilon;
        if (above > 0.0L)
            sum -= all->mass[k] * expm1l(-above);
    }
    return sum;
}

/* The tilt whose mean is at ε, where that is within reason. */
static double saddle(const pld_use *uses, size_t count, double spacing, int direction, int side,
                     double epsilon)
{
    double low = 1e-3, high = fmin(2000.0, 2.0 / spacing);
    for (int i = 0; i < 40; i++) {
        const double middle = sqrt(low * high);
        if (pld_total_moments(uses, count, spacing, direction, side, middle).mean < epsilon)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Every composed mass is within the error that is claimed of it. */
static void assert_masses(const pld_curve *c, const composed_grid *all, const char *what)
{
    for (size_t k = 0; k < c->length; k++) {
        const long double loss = c->low + c->spacing * (double)k;
        const long double place = roundl((loss - all->low) / c->spacing);
        const long double mass =
            place >= 0.0L && place < (long double)all->length ? all->mass[(size_t)place] : 0.0L;
        const long double wanted = mass * expl(c->tilt * loss - c->log_scale);
        const long double allowed =
            c->error + 2.0 * c->slack * wanted + (c->aliased > 0.0 ? INFINITY : c->wrapped);
        ck_assert_msg(fabsl(c->mass[k] - wanted) <= allowed,
                      "%s: mass %zu is %.17g, wanted %.17Lg, off by %.3Lg of %.3Lg", what, k, c->mass[k],
                      wanted, fabsl(c->mass[k] - wanted), allowed);
    }
}

static void assert_curve(const pld_curve *c, int side, const composed_grid *all, uint64_t *state,
                         const char *what)
{
    const double from = (double)all->low, to = from + c->spacing * (double)all->length;
    for (int i = 0; i < 24; i++) {
        const double epsilon = i % 2 ? between(state, from - c->spacing, to + c->spacing)
                                     : between(state, c->low, c->low + c->spacing * (double)(c->length - 1));
        const long double wanted = composed_delta(all, c->spacing, epsilon);
        const double found = pld_curve_log_delta(c, side, epsilon);
        ck_assert_msg(!isnan(found), "%s: NaN at %g", what, epsilon);
        if (side == PLD_ABOVE)
            ck_assert_msg(wanted < 1e-300L || found >= (double)logl(wanted) - 1e-13,
                          "%s at %.17g: %.17g, wanted %.17Lg", what, epsilon, found, logl(wanted));
        else
            ck_assert_msg(found == -INFINITY || found <= (double)logl(wanted) + 1e-13,
                          "%s at %.17g: %.17g, wanted %.17Lg", what, epsilon, found, logl(wanted));
    }
}

/* One composition, from one side, by a tilt and a window of whatever kind; near where it was aimed at the
 * saddle. */
static void assert_composition(const pld_use *uses, size_t count, double spacing, int direction, int side,
                               pld_workspace *workspace, uint64_t *state)
{
    char what[200];
    const composed_grid all = convolve(uses, count, spacing, direction, side);
    const double epsilon = (double)all.low + spacing * (double)all.length * between(state, 0.3, 0.95);
    const long double delta = composed_delta(&all, spacing, epsilon);
    const bool aimed = between(state, 0, 1) < 0.5;
    const double best = saddle(uses, count, spacing, direction, side, epsilon);
    const pld_aim aim = {.tilt = aimed ? best : fmin(power_between(state, -3, 2), 2.0 / spacing),
                         .epsilon = epsilon,
                         .log_delta =
                             (double)logl(fmaxl(delta, 1e-300L)) + (aimed ? 0.0 : between(state, -20, 20)),
                         .share = aimed ? 1e-6 : power_between(state, -6, 0)};
    (void)snprintf(what, sizeof what, "%d × %zu, direction %d, side %d, spacing %.9g, tilt %.6g, share %.3g",
                   (int)uses[0].count, count, direction, side, spacing, aim.tilt, aim.share);
    pld_curve c;
    if (pld_compose(uses, count, spacing, direction, side, &aim, workspace, &c, NULL) == SOTTO_OK) {
        assert_masses(&c, &all, what);
        assert_curve(&c, side, &all, state, what);
        if (aimed && best > 0.1 && best < fmin(1900.0, 1.9 / spacing) && delta - all.infinite > 1e-250L) {
            const long double near = logl(delta) - pld_curve_log_delta(&c, side, epsilon);
            ck_assert_msg(fabsl(near) < 1e-2L, "%s at %.17g: off by %.3Lg of %.3Lg", what, epsilon, near,
                          delta);
        }
        pld_curve_free(&c);
    }
    free(all.mass);
}

START_TEST(compositions_hold_on_either_side)
{
    static const uint64_t uses_of[] = {1, 2, 3, 7};
    uint64_t state = 24;
    pld_workspace workspace = {0};
    for (int i = 0; i < 240; i++) {
        sotto_mechanism m[2] = {sampled(power_between(&state, -4, 0), power_between(&state, -0.4, 0.8))};
        ck_assert_int_eq(sotto_mechanism_laplace(&m[1], power_between(&state, -0.3, 1), NULL), SOTTO_OK);
        const double spacing = fmin(some_spacing(&m[0], 1e-14, &state) * 6.0, 0.4);
        const size_t count = i % 3 ? 1 : 2;
        pld_use uses[2] = {{.count = uses_of[i % 4]}, {.count = 2}};
        size_t made = 0, atoms = 0;
        while (made < count &&
               pld_release_make(&m[made], spacing, 1e-14, &uses[made].release, NULL) == SOTTO_OK)
            atoms += uses[made].count * uses[made].release.atoms[0][0].length, made++;
        for (int k = 0; made == count && atoms < 3000 && k < PLD_DIRECTIONS * PLD_SIDES; k++)
            assert_composition(uses, count, spacing, k / 2, k % 2, &workspace, &state);
        while (made > 0)
            pld_release_free(&uses[--made].release);
    }
    pld_workspace_free(&workspace);
}
END_TEST

/* Halving a small spacing quarters what lies between both sides. */
START_TEST(grids_are_of_second_order)
{
    const sotto_mechanism m[] = {sampled(0.1, 1.5), gaussian(1.0), sampled(0.5, 4.0)};
    for (int i = 0; i < 3; i++)
        for (int direction = 0; direction < PLD_DIRECTIONS; direction++) {
            long double gaps[2];
            const double loss = 0.04;
            for (int n = 0; n < 2; n++) {
                pld_release r;
                const double spacing = n ? 0.001 : 0.004;
                ck_assert_int_eq(pld_release_make(&m[i], spacing, 1e-20, &r, NULL), SOTTO_OK);
                gaps[n] = 0.0L; /* the mean of both gaps over a cell */
                for (int k = 0; k < 16; k++) {
                    const long double at = loss + spacing * k / 16;
                    gaps[n] += grid_curve(&r.atoms[direction][PLD_ABOVE], spacing, at) -
                               grid_curve(&r.atoms[direction][PLD_BELOW], spacing, at);
                }
                pld_release_free(&r);
            }
            ck_assert_msg(gaps[1] > 0.0L && gaps[1] < gaps[0] / 12.0L, "%d: %.3Lg, then %.3Lg", i, gaps[0],
                          gaps[1]);
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
    tcase_add_test(tests, grids_are_of_second_order);
    tcase_add_test(tests, compositions_hold_on_either_side);
    return tests;
}
