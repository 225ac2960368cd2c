/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "../accountant/pld.h"
#include "test_accountant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what both bounds must be ---- */

static pld_bounds epsilon_bounds(const sotto_accountant *a, double delta, double gap)
{
    pld_bounds b;
    sotto_error err;
    ck_assert_msg(sotto_accountant_epsilon_bounds(a, delta, gap, &b.lower, &b.upper, &err) == SOTTO_OK, "%s",
                  err.message);
    ck_assert(b.lower >= 0.0 && b.upper >= b.lower);
    return b;
}

static pld_bounds delta_bounds(const sotto_accountant *a, double epsilon, double gap)
{
    pld_bounds b;
    sotto_error err;
    ck_assert_msg(sotto_accountant_delta_bounds(a, epsilon, gap, &b.lower, &b.upper, &err) == SOTTO_OK, "%s",
                  err.message);
    ck_assert(b.lower >= 0.0 && b.upper >= b.lower && b.upper <= 1.0);
    return b;
}

/* lower ≤ truth ≤ upper, where the truth is known to be off by at most `doubt`. */
static void assert_bracket(pld_bounds b, double truth, double doubt, const char *what)
{
    ck_assert_msg(b.lower <= truth + doubt, "%s: %.17g is above the truth, %.17g", what, b.lower, truth);
    ck_assert_msg(b.upper >= truth - doubt, "%s: %.17g is below the truth, %.17g", what, b.upper, truth);
}

static void assert_epsilon_gap(pld_bounds b, double gap, const char *what)
{
    ck_assert_msg(gap == INFINITY || b.upper - b.lower <= fmax(gap * b.upper, 0.1 * gap),
                  "%s: from %.12g to %.12g", what, b.lower, b.upper);
}

static void assert_delta_gap(pld_bounds b, double gap, const char *what)
{
    ck_assert_msg(gap == INFINITY || b.upper <= fmax((1.0 + 10.5 * gap) * b.lower, 1e-18),
                  "%s: from %.12g to %.12g", what, b.lower, b.upper);
}

/* ---- tables ---- */

/* The reference of a row, which is an estimate with an error, and the closed form where there is one. */
static void assert_epsilon_row(const sotto_accountant *a, const table *t, double gap, const char *row)
{
    const pld_bounds b = epsilon_bounds(a, table_number(t, "delta"), gap);
    const double reference = table_number(t, "eps_ref"), exact = table_number(t, "eps_exact");
    assert_bracket(b, reference, fmax(table_number(t, "eps_ref_err"), 1e-14 * reference), row);
    if (!isnan(exact))
        assert_bracket(b, exact, 1e-15 * exact, row);
    assert_epsilon_gap(b, gap, row);
}

static sotto_accountant *table_steps(const table *t, char *row, size_t size)
{
    const double q = table_number(t, "q"), sigma = table_number(t, "sigma"), steps = table_number(t, "steps");
    (void)snprintf(row, size, "q %g sigma %g steps %g", q, sigma, steps);
    return composed(sampled(q, sigma), (uint64_t)steps);
}

START_TEST(epsilon_brackets_the_reference)
{
    for (table *t = table_open("eps_pld.csv"); table_next(t, 60);) {
        char row[128];
        sotto_accountant *a = table_steps(t, row, sizeof row);
        assert_epsilon_row(a, t, SOTTO_ACCOUNTANT_DEFAULT_GAP, row);
        /* Where the unit is hardly ever seen grids of that gap have a million losses: seconds for each row.
         */
        if (table_number(t, "q") > 1e-4)
            assert_epsilon_row(a, t, 1e-4, row);
        sotto_accountant_destroy(a);
    }
}
END_TEST

START_TEST(delta_brackets_the_reference)
{
    for (table *t = table_open("delta.csv"); table_next(t, 20);) {
        char row[128];
        sotto_accountant *a = table_steps(t, row, sizeof row);
        const double reference = table_number(t, "delta_ref"), exact = table_number(t, "delta_exact");
        for (double gap = 1e-3; gap > 5e-5; gap *= 0.1) {
            const pld_bounds b = delta_bounds(a, table_number(t, "epsilon"), gap);
            if (!isnan(reference))
                assert_bracket(b, reference, fmax(table_number(t, "delta_ref_err"), 1e-11 * reference), row);
            if (!isnan(exact))
                assert_bracket(b, exact, 1e-15 * exact, row);
            assert_delta_gap(b, gap, row);
            if (table_number(t, "q") <= 1e-4)
                break;
        }
        sotto_accountant_destroy(a);
    }
}
END_TEST

START_TEST(heterogeneous_compositions_bracket_the_reference)
{
    for (table *t = table_open("compose.csv"); table_next(t, 16);) {
        sotto_accountant *a = composed(gaussian(1.0), 0);
        compose_spec(a, table_text(t, "spec"));
        assert_epsilon_row(a, t, SOTTO_ACCOUNTANT_DEFAULT_GAP, table_text(t, "spec"));
        assert_epsilon_row(a, t, 1e-4, table_text(t, "spec"));
        sotto_accountant_destroy(a);
    }
}
END_TEST

/* Another library's figures for groups are upper bounds on a grid of 1e-4: near, and above. */
START_TEST(groups_meet_the_reference)
{
    for (table *t = table_open("group_poisson.csv"); table_next(t, 8);) {
        char row[128];
        const double size = table_number(t, "group_size"), reference = table_number(t, "eps_pld");
        sotto_mechanism group = sampled(table_number(t, "q"), table_number(t, "sigma"));
        ck_assert_int_eq(sotto_mechanism_group(&group, &group, (uint64_t)size, NULL), SOTTO_OK);
        (void)snprintf(row, sizeof row, "q %g sigma %g group %g", group.sample_rate, group.noise_multiplier,
                       size);
        sotto_accountant *a = composed(group, (uint64_t)table_number(t, "steps"));
        const pld_bounds b = epsilon_bounds(a, table_number(t, "delta"), SOTTO_ACCOUNTANT_DEFAULT_GAP);
        assert_epsilon_gap(b, SOTTO_ACCOUNTANT_DEFAULT_GAP, row);
        ck_assert_msg(b.lower <= reference, "%s: %.12g is above %.12g", row, b.lower, reference);
        ck_assert_msg(b.upper >= 0.97 * reference, "%s: %.12g is below %.12g", row, b.upper, reference);
        sotto_accountant_destroy(a);
    }
}
END_TEST

START_TEST(gaussians_are_exact)
{
    for (table *t = table_open("gauss_delta.csv"); table_next(t, 25);) {
        char row[128];
        const double mu = table_number(t, "mu"), epsilon = table_number(t, "epsilon");
        const double delta = table_number(t, "delta"), log_delta = table_number(t, "log_delta");
        (void)snprintf(row, sizeof row, "mu %g epsilon %g", mu, epsilon);
        const double found = accountant_gaussian_log_delta(mu, epsilon);
        ck_assert_msg(fabs(found - log_delta) <= 1e-11, "%s: %.17g, wanted %.17g", row, found, log_delta);
        sotto_accountant *a = composed(gaussian(1.0 / mu), 1);
        const pld_bounds b = delta_bounds(a, epsilon, 1e-3);
        assert_bracket(b, delta, 0.0, row);
        ck_assert_msg(b.upper <= (1.0 + 1e-10) * b.lower, "%s: %.17g to %.17g", row, b.lower, b.upper);
        const pld_bounds e = epsilon_bounds(a, delta, 1e-3);
        assert_bracket(e, epsilon, 1e-16, row); /* the table rounds δ */
        ck_assert_msg(e.upper - e.lower <= (delta < 0.1 ? 1e-10 : 1e-8) * fmax(e.upper, mu),
                      "%s: %.17g to %.17g", row, e.lower, e.upper);
        sotto_accountant_destroy(a);
    }
    for (table *t = table_open("gauss_sigma.csv"); table_next(t, 18);) {
        const double epsilon = table_number(t, "epsilon"), delta = table_number(t, "delta");
        sotto_accountant *a = composed(gaussian(table_number(t, "sigma_exact")), 1);
        const pld_bounds b = epsilon_bounds(a, delta, 1e-3);
        assert_bracket(b, epsilon, 1e-14 * epsilon, table_text(t, "sigma_exact"));
        ck_assert(b.upper <= (1.0 + 1e-10) * b.lower);
        sotto_accountant_destroy(a);
    }
}
END_TEST

/* ---- truths in closed form ---- */

/* One release and `pure` uses of a pure one of ε = e, whose losses are ±e: δ is a binomial mean of the
 * release's own, whatever the window, the tilt or the grid. */
typedef struct truth {
    sotto_mechanism release;
    double uses; /* of the release, where it is a Gaussian; otherwise 1 */
    double e;
    int pure;
} truth;

static long double true_delta(const truth *t, int direction, long double epsilon)
{
    sotto_mechanism one = t->release;
    one.noise_multiplier /= sqrt(t->uses);
    const long double likely = 1.0L / (1.0L + expl(-(long double)t->e));
    long double sum = 0.0L;
    for (int j = 0; j <= t->pure; j++) {
        const long double ways = lgammal(t->pure + 1.0L) - lgammal(j + 1.0L) - lgammal(t->pure - j + 1.0L);
        const long double weight = expl(ways + j * logl(likely) + (t->pure - j) * log1pl(-likely));
        sum += weight * true_curve(&one, direction, epsilon - (2.0L * j - t->pure) * t->e);
    }
    return sum;
}

static long double larger_delta(const truth *t, long double epsilon)
{
    return fmaxl(true_delta(t, PLD_REMOVE, epsilon), true_delta(t, PLD_ADD, epsilon));
}

/* ε at which δ is about `delta`. */
static double true_epsilon(const truth *t, double delta)
{
    double low = 0.0, high = 1e-6;
    while (larger_delta(t, high) > delta)
        high *= 2.0;
    for (int i = 0; i < 60; i++) {
        const double middle = 0.5 * (low + high);
        if (larger_delta(t, middle) > delta)
            low = middle;
        else
            high = middle;
    }
    return high;
}

static sotto_mechanism pure_of(double epsilon)
{
    sotto_mechanism m;
    ck_assert_int_eq(sotto_mechanism_pure(&m, epsilon, NULL), SOTTO_OK);
    return m;
}

/* Both questions at one δ, asked with a gap of `gap` and answered with one of `wanted`. */
static void assert_truth(const truth *t, double delta, double gap, double wanted)
{
    char row[160];
    const double epsilon = true_epsilon(t, delta);
    (void)snprintf(row, sizeof row,
                   "kind %d q %.6g sigma %.6g uses %.0f e %.6g pure %d delta %.3g epsilon %.9g",
                   (int)t->release.kind, t->release.sample_rate, t->release.noise_multiplier, t->uses, t->e,
                   t->pure, delta, epsilon);
    sotto_accountant *a = composed(t->release, (uint64_t)t->uses);
    const sotto_mechanism pure = pure_of(t->e);
    ck_assert_int_eq(sotto_accountant_compose(a, &pure, (uint64_t)t->pure, NULL), SOTTO_OK);
    const double there = (double)larger_delta(t, epsilon); /* of the ε that a double holds */
    const pld_bounds d = delta_bounds(a, epsilon, gap);
    assert_bracket(d, there, 1e-15 * there, row);
    assert_delta_gap(d, wanted, row);
    if (there > 0.0 && there < 1.0) {
        const pld_bounds e = epsilon_bounds(a, there, gap);
        assert_bracket(e, epsilon, 4e-15 * epsilon, row);
        assert_epsilon_gap(e, wanted, row);
    }
    sotto_accountant_destroy(a);
}

START_TEST(one_sampled_step_is_bracketed)
{
    uint64_t state = 1;
    for (int i = 0; i < 60; i++) {
        const truth t = {sampled(power_between(&state, -5, 0), power_between(&state, -0.5, 1.5)), 1, 0.0, 0};
        /* δ(0) is the most there is */
        const double most = (double)larger_delta(&t, 0.0L);
        const double delta = most * power_between(&state, -12, -0.3), gap = i % 4 ? 1e-3 : 1e-4;
        /* a small δ of small losses asks for a larger tilt than is used: rounding is all that is left then */
        assert_truth(&t, delta, gap, delta > 1e-12 ? gap : INFINITY);
    }
}
END_TEST

/* Where there is no grid, or no noise at all, Rényi divergences answer from above, and nothing from below. */
START_TEST(hopeless_releases_are_left_to_renyi)
{
    const double cases[][3] = {{1e-6, 0.0, 1}, {1e-12, 1e-3, 256}, {0.5, 1e-4, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const sotto_mechanism single = sampled(cases[i][0], cases[i][1]);
        sotto_mechanism m;
        ck_assert_int_eq(sotto_mechanism_group(&m, &single, (uint64_t)cases[i][2], NULL), SOTTO_OK);
        sotto_accountant *a = composed(m, 1);
        const double renyi = epsilon_of(a, 1e-5);
        const pld_bounds epsilon = epsilon_bounds(a, 1e-5, 1e-3), delta = delta_bounds(a, 1.0, 1e-3);
        ck_assert_double_eq(epsilon.lower, 0.0);
        ck_assert_double_eq(epsilon.upper, renyi);
        ck_assert_double_eq(delta.lower, 0.0);
        ck_assert_double_le(delta.upper, 1.0);
        if (cases[i][2] <= 2) { /* dozens of δ of a large group take long */
            const double wrongly = 0.1;
            double missed = -1.0;
            sotto_error err = {0};
            ck_assert_int_eq(sotto_accountant_tradeoff(a, &wrongly, 1, &missed, &err), SOTTO_OK);
            ck_assert_str_eq(err.message, ""); /* written on failure only */
            ck_assert(missed >= 0.0 && missed <= 0.9);
        }
        sotto_accountant_destroy(a);
    }
}
END_TEST

START_TEST(one_laplace_is_bracketed)
{
    uint64_t state = 2;
    for (int i = 0; i < 40; i++) {
        sotto_mechanism laplace;
        ck_assert_int_eq(sotto_mechanism_laplace(&laplace, power_between(&state, -1, 2), NULL), SOTTO_OK);
        const truth t = {laplace, 1, 0.0, 0};
        assert_truth(&t, (double)larger_delta(&t, 0.0L) * power_between(&state, -8, -0.3), 1e-3, 1e-3);
    }
}
END_TEST

/* Atoms that no grid meets cost the side below the truth one spacing each, not a part of its square: a wider
 * gap than was asked for may be left. */
static const double ATOMS = 1e-2;

START_TEST(pure_releases_are_bracketed)
{
    uint64_t state = 3;
    for (int i = 0; i < 40; i++) {
        const int uses = (int)power_between(&state, 0, 3);
        const truth t = {gaussian(1e200), 1, power_between(&state, -3, 0), uses}; /* this Gaussian is free */
        assert_truth(&t, (double)larger_delta(&t, 0.0L) * power_between(&state, -10, -0.3), 1e-3, ATOMS);
    }
}
END_TEST

/* A pure release of next to nothing keeps Gaussians out of the closed form: they go through the transforms.
 */
START_TEST(gaussians_through_transforms_are_bracketed)
{
    uint64_t state = 4;
    for (int i = 0; i < 40; i++) {
        const double uses = floor(power_between(&state, 0, 6));
        const double mu = power_between(&state, -1.5, 0.8);
        const truth t = {gaussian(sqrt(uses) / mu), uses, 1e-9, 1};
        assert_truth(&t, (double)larger_delta(&t, 0.0L) * power_between(&state, -14, -0.3), 1e-3, 1e-3);
    }
}
END_TEST

/* Everything at once: a rare large loss, among very many small ones. */
START_TEST(a_step_among_pure_releases_is_bracketed)
{
    uint64_t state = 5;
    for (int i = 0; i < 20; i++) {
        const int uses = (int)power_between(&state, 0, 3);
        const truth t = {sampled(power_between(&state, -4, -0.05), power_between(&state, -0.4, 1)), 1,
                         power_between(&state, -2.5, -0.5) / sqrt(uses), uses};
        assert_truth(&t, (double)larger_delta(&t, 0.0L) * power_between(&state, -13, -0.3), 1e-3, ATOMS);
    }
}
END_TEST

TCase *pld_tests(void)
{
    TCase *tests = tcase_create("pld");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, epsilon_brackets_the_reference);
    tcase_add_test(tests, delta_brackets_the_reference);
    tcase_add_test(tests, heterogeneous_compositions_bracket_the_reference);
    tcase_add_test(tests, groups_meet_the_reference);
    tcase_add_test(tests, gaussians_are_exact);
    tcase_add_test(tests, one_sampled_step_is_bracketed);
    tcase_add_test(tests, one_laplace_is_bracketed);
    tcase_add_test(tests, pure_releases_are_bracketed);
    tcase_add_test(tests, hopeless_releases_are_left_to_renyi);
    tcase_add_test(tests, gaussians_through_transforms_are_bracketed);
    tcase_add_test(tests, a_step_among_pure_releases_is_bracketed);
    return tests;
}
