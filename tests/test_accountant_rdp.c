/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_accountant.h"

#include <math.h>
#include <string.h>

/*
 * The tables' promise is 1e-10 both ways. The rounding of ε (RDP_SLACK in conversion.c) counts on 1e-12
 * downwards; upwards the curve errs by more where it rounds up what long double lacks, at orders near 1e6.
 */
static const double BELOW = 1e-12, ABOVE = 1e-11;

static void compare_table(const char *name, const char *column, int rows)
{
    for (table *t = table_open(name); table_next(t, rows);) {
        const double q = table_number(t, "q"), sigma = table_number(t, "sigma");
        const double order = table_number(t, "alpha"), wanted = table_number(t, column);
        const sotto_mechanism mechanism = sampled(q, sigma);
        const double rdp = sotto_mechanism_rdp(&mechanism, order);
        ck_assert_msg(excess(rdp, wanted) >= -BELOW && excess(rdp, wanted) <= ABOVE,
                      "%s: q %g sigma %g order %.17g: %.17g, not %.17g", name, q, sigma, order, rdp, wanted);
    }
}

START_TEST(curve_meets_the_reference)
{
    compare_table("rdp_sgm.csv", "rdp", 100);
}
END_TEST

START_TEST(curve_meets_the_reference_in_hard_corners)
{
    compare_table("rdp_sgm_hp.csv", "rdp", 15);
    compare_table("rdp_sgm_hp.csv", "rdp_40_digits", 15);
}
END_TEST

START_TEST(curve_meets_our_own_reference)
{
    compare_table("rdp_corners.csv", "rdp_25_digits", 300);
}
END_TEST

/* The finite sum of Mironov, Talwar, Zhang 2019 at integer orders, in long double: nothing in common with
 * quadrature. */
static double finite_sum(double q, double sigma, int order)
{
    long double sum = 0.0L, binomial = 1.0L;
    for (int k = 1; k <= order; k++) {
        binomial = binomial * (order - k + 1) / k;
        sum += binomial * powl(q, k) * powl(1.0L - q, order - k) *
               expm1l(0.5L * k * (k - 1) / ((long double)sigma * sigma));
    }
    return (double)(log1pl(sum) / (order - 1));
}

START_TEST(integer_orders_meet_the_finite_sum)
{
    uint64_t state = 1;
    for (int i = 0; i < 2000; i++) {
        const double q = power_between(&state, -9, 0), sigma = power_between(&state, -1, 3);
        const int order = 2 + (int)between(&state, 0, 60);
        const sotto_mechanism mechanism = sampled(q, sigma);
        const double rdp = sotto_mechanism_rdp(&mechanism, order), wanted = finite_sum(q, sigma, order);
        if (isfinite(wanted))
            ck_assert_msg(fabs(excess(rdp, wanted)) <= 1e-13,
                          "q %.17g sigma %.17g order %d: %.17g, not %.17g", q, sigma, order, rdp, wanted);
    }
}
END_TEST

START_TEST(unsampled_gaussian_is_closed)
{
    for (double sigma = 0.01; sigma < 1e4; sigma *= 3.7)
        for (double order = 1.0; order < 1e6; order *= 5.3) {
            const sotto_mechanism plain = gaussian(sigma), whole = sampled(1.0, sigma);
            ck_assert_double_le(fabs(excess(sotto_mechanism_rdp(&plain, order), order / (2 * sigma * sigma))),
                                1e-15);
            ck_assert_double_eq(sotto_mechanism_rdp(&whole, order), sotto_mechanism_rdp(&plain, order));
        }
}
END_TEST

/* r(α) is convex times 1/(α−1) and rises, so near 1 it leaves KL = r(1) linearly: KL = 2r(1+t) − r(1+2t) +
 * O(t²). */
START_TEST(order_one_is_the_limit)
{
    uint64_t state = 2;
    for (int i = 0; i < 500; i++) {
        const sotto_mechanism mechanism =
            sampled(power_between(&state, -9, 0), power_between(&state, -1.3, 3));
        const double t = 1e-5, kl = sotto_mechanism_rdp(&mechanism, 1.0);
        const double near = sotto_mechanism_rdp(&mechanism, 1.0 + t),
                     twice = sotto_mechanism_rdp(&mechanism, 1.0 + 2 * t);
        ck_assert_double_gt(kl, 0.0);
        ck_assert_double_ge(near, kl * (1 - BELOW));
        ck_assert_double_le(fabs(excess(2 * near - twice, kl)), 1e-4);
    }
    /* (1 + u)log(1 + u) − u to second order in q: KL → (q²/2)(e^(1/σ²) − 1) */
    const sotto_mechanism rare = sampled(1e-9, 2.0);
    ck_assert_double_le(fabs(excess(sotto_mechanism_rdp(&rare, 1.0), 0.5e-18 * expm1(0.25))), 1e-8);
}
END_TEST

/* Draw parameters as a nervous user might: mostly sensible, some of them absurd. */
static void draw(uint64_t *state, double *q, double *sigma, double *order)
{
    const double kind = between(state, 0, 1);
    *q = kind < 0.7 ? power_between(state, -12, 0) : 1 - power_between(state, -15, 0);
    *sigma = power_between(state, -2.5, 5);
    *order = 1 + power_between(state, -9, 6);
    if (kind < 0.1) {
        *q = power_between(state, -300, 0);
        *sigma = power_between(state, -200, 200);
        *order = 1 + power_between(state, -15, 200);
    }
}

/* Minkowski's inequality bounds the moment from above; Jensen's the divergence from below, by 0. */
static double upper_bound(double q, double sigma, double order)
{
    const double growth = (order - 1) / (2 * sigma * sigma);
    const double norm =
        growth < 700 ? log1p(q * expm1(growth)) : log(q) + growth + log1p(exp(log1p(-q) - log(q) - growth));
    return order / (order - 1) * norm;
}

START_TEST(curve_is_monotone_and_never_nan)
{
    uint64_t state = 3;
    for (int i = 0; i < 20000; i++) {
        double q, sigma, order;
        draw(&state, &q, &sigma, &order);
        const sotto_mechanism mechanism = sampled(q, sigma);
        const double rdp = sotto_mechanism_rdp(&mechanism, order);
        ck_assert_msg(rdp >= 0.0, "q %.17g sigma %.17g order %.17g: %g", q, sigma, order, rdp);
        const double wider = between(&state, 1, 1.2);
        const sotto_mechanism rarer = sampled(q / wider, sigma), noisier = sampled(q, sigma * wider);
        const double others[] = {sotto_mechanism_rdp(&rarer, order), sotto_mechanism_rdp(&noisier, order),
                                 sotto_mechanism_rdp(&mechanism, 1 + (order - 1) / wider)};
        for (int k = 0; k < 3; k++)
            ck_assert_msg(others[k] >= 0.0 && others[k] <= rdp * (1 + ABOVE) + 1e-200,
                          "q %.17g sigma %.17g order %.17g wider %.17g: %d gives %.17g above %.17g", q, sigma,
                          order, wider, k, others[k], rdp);
        if (q > 1e-12 && sigma < 1e6)
            ck_assert_msg(rdp <= upper_bound(q, sigma, order) * (1 + 1e-9),
                          "q %.17g sigma %.17g order %.17g: %.17g", q, sigma, order, rdp);
    }
}
END_TEST

START_TEST(no_guarantee_is_infinite)
{
    const sotto_mechanism bare = sampled(0.5, 0.0), never = sampled(0.0, 0.0), naked = gaussian(0.0);
    const sotto_mechanism fine = sampled(0.1, 1.0);
    ck_assert_double_eq(sotto_mechanism_rdp(&bare, 2.0), INFINITY);
    ck_assert_double_eq(sotto_mechanism_rdp(&bare, 1.0), INFINITY);
    ck_assert_double_eq(sotto_mechanism_rdp(&naked, 2.0), INFINITY);
    ck_assert_double_eq(sotto_mechanism_rdp(&never, 2.0), 0.0);
    const double nonsense[] = {0.999, 0.0, -3.0, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
        ck_assert_double_eq(sotto_mechanism_rdp(&fine, nonsense[i]), INFINITY);
    sotto_mechanism forged = fine;
    forged.noise_multiplier = NAN;
    ck_assert_double_eq(sotto_mechanism_rdp(&forged, 2.0), INFINITY);
    ck_assert_double_eq(sotto_mechanism_rdp(&(sotto_mechanism){0}, 2.0), INFINITY);
    ck_assert_double_eq(sotto_mechanism_rdp(NULL, 2.0), INFINITY);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    const sotto_mechanism before = sampled(0.25, 1.5);
    sotto_mechanism m = before;
    const double bad[] = {-1.0, -1e-300, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sotto_error err = {0};
        ck_assert_int_eq(sotto_mechanism_gaussian(&m, bad[i], &err), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(err.code, SOTTO_ERROR_INPUT);
        ck_assert_uint_gt(strlen(err.message), 20);
        ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&m, 0.5, bad[i], NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&m, bad[i], 1.0, NULL), SOTTO_ERROR_INPUT);
    }
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&m, 1.0000001, 1.0, NULL), SOTTO_ERROR_INPUT);
    ck_assert(sotto_mechanism_equal(&m, &before));

    m.kind = (sotto_mechanism_kind)77;
    ck_assert_int_eq(sotto_mechanism_check(&m, NULL), SOTTO_ERROR_INPUT);
    m = before;
    m.adjacency = (sotto_adjacency)0;
    ck_assert_int_eq(sotto_mechanism_check(&m, NULL), SOTTO_ERROR_INPUT);
    m = gaussian(1.0);
    m.sample_rate = 0.5; /* a sampled release must say so */
    ck_assert_int_eq(sotto_mechanism_check(&m, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_check(NULL, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_check(&(sotto_mechanism){0}, NULL), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(sotto_mechanism_kind_name((sotto_mechanism_kind)-1));
    ck_assert_ptr_null(sotto_mechanism_kind_name((sotto_mechanism_kind)0));
    ck_assert_str_eq(sotto_mechanism_kind_name(SOTTO_MECHANISM_SAMPLED_GAUSSIAN), "sampled gaussian");
}
END_TEST

TCase *rdp_tests(void)
{
    TCase *tests = tcase_create("rdp");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, curve_meets_the_reference);
    tcase_add_test(tests, curve_meets_the_reference_in_hard_corners);
    tcase_add_test(tests, curve_meets_our_own_reference);
    tcase_add_test(tests, integer_orders_meet_the_finite_sum);
    tcase_add_test(tests, unsampled_gaussian_is_closed);
    tcase_add_test(tests, order_one_is_the_limit);
    tcase_add_test(tests, curve_is_monotone_and_never_nan);
    tcase_add_test(tests, no_guarantee_is_infinite);
    tcase_add_test(tests, nonsense_is_refused);
    return tests;
}
