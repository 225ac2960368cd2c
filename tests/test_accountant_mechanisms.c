/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_accountant.h"

#include <math.h>
#include <string.h>

/* Every kind with parameters in the corners of what anybody might ask for. */
static sotto_mechanism draw(uint64_t *state, sotto_mechanism_kind kind)
{
    const double q = between(state, 0, 1) < 0.8 ? power_between(state, -9, 0) : 1.0;
    const double sigma = power_between(state, -1.3, 4), size = power_between(state, -4, 2);
    sotto_mechanism made;
    sotto_status status = SOTTO_ERROR_INPUT;
    switch (kind) {
    case SOTTO_MECHANISM_GAUSSIAN:
        status = sotto_mechanism_gaussian(&made, sigma, NULL);
        break;
    case SOTTO_MECHANISM_SAMPLED_GAUSSIAN:
        status = sotto_mechanism_sampled_gaussian(&made, q, sigma, NULL);
        break;
    case SOTTO_MECHANISM_GAUSSIAN_WITHOUT_REPLACEMENT:
        status = sotto_mechanism_gaussian_without_replacement(&made, q, sigma, NULL);
        break;
    case SOTTO_MECHANISM_SELECTION: /* test_accountant_selection.c */
        break;
    case SOTTO_MECHANISM_DISCRETE_GAUSSIAN:
        status = sotto_mechanism_discrete_gaussian(&made, sigma, NULL);
        break;
    case SOTTO_MECHANISM_SAMPLED_DISCRETE_GAUSSIAN:
        status = sotto_mechanism_sampled_discrete_gaussian(&made, q, sigma, NULL);
        break;
    case SOTTO_MECHANISM_LAPLACE:
        status = sotto_mechanism_laplace(&made, sigma, NULL);
        break;
    case SOTTO_MECHANISM_PURE:
        status = sotto_mechanism_pure(&made, size, NULL);
        break;
    case SOTTO_MECHANISM_ZCDP:
        status = sotto_mechanism_zcdp(&made, size, NULL);
        break;
    case SOTTO_MECHANISM_EXPONENTIAL:
        status = sotto_mechanism_exponential(&made, size, NULL);
        break;
    }
    ck_assert_int_eq(status, SOTTO_OK);
    return made;
}

static const sotto_mechanism_kind KINDS[] = {
    SOTTO_MECHANISM_GAUSSIAN_WITHOUT_REPLACEMENT,
    SOTTO_MECHANISM_GAUSSIAN,
    SOTTO_MECHANISM_SAMPLED_GAUSSIAN,
    SOTTO_MECHANISM_DISCRETE_GAUSSIAN,
    SOTTO_MECHANISM_SAMPLED_DISCRETE_GAUSSIAN,
    SOTTO_MECHANISM_LAPLACE,
    SOTTO_MECHANISM_PURE,
    SOTTO_MECHANISM_ZCDP,
    SOTTO_MECHANISM_EXPONENTIAL,
};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

/* Dearer by every parameter at once: more sampled, less noise. */
static sotto_mechanism dearer(sotto_mechanism mechanism, double factor)
{
    mechanism.sample_rate = fmin(1.0, mechanism.sample_rate * factor);
    mechanism.noise_multiplier /= factor;
    mechanism.epsilon *= factor;
    mechanism.rho *= factor;
    return mechanism;
}

START_TEST(every_curve_rises_and_is_never_nan)
{
    uint64_t state = 11;
    for (int i = 0; i < 600; i++)
        for (int k = 0; k < KIND_COUNT; k++) {
            const sotto_mechanism mechanism = draw(&state, KINDS[k]);
            const double order = 1 + power_between(&state, -6, 6), step = between(&state, 1, 1.5);
            const double here = sotto_mechanism_rdp(&mechanism, order);
            const double further = sotto_mechanism_rdp(&mechanism, 1 + (order - 1) * step);
            const sotto_mechanism more = dearer(mechanism, step);
            const double costlier = sotto_mechanism_rdp(&more, order);
            ck_assert_msg(here >= 0 && further >= here * (1 - 1e-11) && costlier >= here * (1 - 1e-11),
                          "%s q %.17g sigma %.17g epsilon %.17g rho %.17g order %.17g step %.17g: %.17g, "
                          "further %.17g, costlier %.17g",
                          sotto_mechanism_kind_name(KINDS[k]), mechanism.sample_rate,
                          mechanism.noise_multiplier, mechanism.epsilon, mechanism.rho, order, step, here,
                          further, costlier);
            const double kl = sotto_mechanism_rdp(&mechanism, 1.0);
            ck_assert_msg(kl >= 0 && kl <= here * (1 + 1e-11), "%s: %.17g at 1, %.17g at %g",
                          sotto_mechanism_kind_name(KINDS[k]), kl, here, order);
        }
}
END_TEST

START_TEST(absurd_parameters_give_no_nan)
{
    const double sizes[] = {0, 4.9e-324, 1e-300, 1e-160, 1e-20, 1, 1e20, 1e160, 1.7e308};
    const double orders[] = {1, 1 + 0x1p-52, 1.5, 2, 2.5, 1e9, 1e100, 1.7e308};
    enum { SIZES = sizeof sizes / sizeof *sizes, ORDERS = sizeof orders / sizeof *orders };
    uint64_t state = 12;
    for (int k = 0; k < KIND_COUNT; k++)
        for (int i = 0; i < SIZES * ORDERS; i++) {
            const double size = sizes[i % SIZES];
            sotto_mechanism m = draw(&state, KINDS[k]);
            m.noise_multiplier = m.noise_multiplier > 0 ? size : 0;
            m.epsilon = m.epsilon > 0 ? size : 0;
            m.rho = m.rho > 0 ? size : 0;
            ck_assert_int_eq(sotto_mechanism_check(&m, NULL), SOTTO_OK);
            const double rdp = sotto_mechanism_rdp(&m, orders[i / SIZES]);
            ck_assert_msg(rdp >= 0, "%s of %g at %g: %g", sotto_mechanism_kind_name(KINDS[k]), size,
                          orders[i / SIZES], rdp);
        }
}
END_TEST

START_TEST(laplace_meets_the_reference)
{
    for (table *t = table_open("laplace_rdp.csv"); table_next(t, 42);) {
        sotto_mechanism m;
        ck_assert_int_eq(sotto_mechanism_laplace(&m, table_number(t, "b"), NULL), SOTTO_OK);
        const double alpha = table_number(t, "alpha"), wanted = table_number(t, "rdp");
        /* α − 1 of 1.000001 has but ten digits */
        const double slack = alpha < 1.0001 ? 1e-9 : 1e-12;
        ck_assert_msg(fabs(excess(sotto_mechanism_rdp(&m, alpha), wanted)) <= slack,
                      "b %g order %g: %.17g, not %.17g", m.noise_multiplier, alpha,
                      sotto_mechanism_rdp(&m, alpha), wanted);
    }
}
END_TEST

/* The order is 1 + t but for a rounding, to which the curve is no more sensitive than a straight line. */
START_TEST(closed_curves_meet_our_own_reference)
{
    for (table *t = table_open("closed_corners.csv"); table_next(t, 200);) {
        sotto_mechanism m;
        const double parameter = table_number(t, "parameter"), wanted = table_number(t, "rdp_25_digits");
        const bool is_pure = strcmp(table_text(t, "kind"), "pure") == 0;
        ck_assert_int_eq(is_pure ? sotto_mechanism_pure(&m, parameter, NULL)
                                 : sotto_mechanism_laplace(&m, parameter, NULL),
                         SOTTO_OK);
        const double rdp = sotto_mechanism_rdp(&m, 1 + table_number(t, "t"));
        ck_assert_msg(fabs(excess(rdp, wanted)) <= 1e-14, "%s %.17g t %.17g: %.17g, not %.17g",
                      table_text(t, "kind"), parameter, table_number(t, "t"), rdp, wanted);
    }
}
END_TEST

START_TEST(closed_curves_have_their_limits)
{
    sotto_mechanism pure, laplace, zcdp, exponential;
    for (double epsilon = 1e-4; epsilon < 1e5; epsilon *= 3.3) {
        ck_assert_int_eq(sotto_mechanism_pure(&pure, epsilon, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_mechanism_laplace(&laplace, 1 / epsilon, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_mechanism_exponential(&exponential, epsilon, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_mechanism_zcdp(&zcdp, epsilon * epsilon / 8, NULL), SOTTO_OK);
        const double kl = epsilon * tanh(epsilon / 2), laplace_kl = epsilon + expm1(-epsilon);
        ck_assert_double_le(fabs(excess(sotto_mechanism_rdp(&pure, 1.0), kl)), 1e-14);
        ck_assert_double_le(fabs(sotto_mechanism_rdp(&laplace, 1.0) - laplace_kl),
                            1e-14 * laplace_kl + 1e-16);
        for (double order = 1; order < 1e15; order *= 7.7) {
            const double most = sotto_mechanism_rdp(&pure, order);
            ck_assert_double_le(most, epsilon);
            ck_assert_double_le(most, order * epsilon * epsilon / 2 * (1 + 1e-14)); /* Bun and Steinke */
            ck_assert_double_le(sotto_mechanism_rdp(&laplace, order), most * (1 + 1e-14));
            ck_assert_double_le(sotto_mechanism_rdp(&exponential, order),
                                fmin(most, sotto_mechanism_rdp(&zcdp, order)) * (1 + 1e-13));
        }
        ck_assert_double_ge(sotto_mechanism_rdp(&pure, 1e15), epsilon * (1 - 1e-9) - 1e-14);
    }
}
END_TEST

/* Losses of range ε: two of them, x and x − ε, are the worst for some x. None may cost more than is said, and
 * (α − 1)r is convex, so that the search over orders has one valley. */
START_TEST(bounded_ranges_cost_no_more_than_said)
{
    for (double range = 0.01; range < 40; range *= 1.07) {
        sotto_mechanism m;
        ck_assert_int_eq(sotto_mechanism_exponential(&m, range, NULL), SOTTO_OK);
        for (double t = 1e-3; t < 1e4; t *= 1.3) {
            const double bound = sotto_mechanism_rdp(&m, 1 + t);
            for (int i = 1; i < 60; i++) {
                const double x = range * i / 60, p = -expm1(x - range) / (exp(x) - exp(x - range));
                const double high = log(p) + (1 + t) * x, low = log1p(-p) + (1 + t) * (x - range);
                const double top = fmax(high, low), moment = top + log(exp(high - top) + exp(low - top));
                ck_assert_double_le(moment / t, bound * (1 + 1e-9) + 1e-11 / t);
            }
            const double below = t / 1.3, above = t * 1.3, share = (above - t) / (above - below);
            const double chord = share * below * sotto_mechanism_rdp(&m, 1 + below) +
                                 (1 - share) * above * sotto_mechanism_rdp(&m, 1 + above);
            ck_assert_double_le(t * bound, chord * (1 + 1e-9) + 1e-15);
        }
    }
}
END_TEST

/* Bounds at integers hold between them by convexity; the true curve at no order may exceed the bound. */
START_TEST(discrete_gaussian_is_bounded_at_integers)
{
    uint64_t state = 13;
    for (int i = 0; i < 2000; i++) {
        const double q = power_between(&state, -4, 0), sigma = power_between(&state, -0.3, 2);
        const sotto_mechanism smooth = sampled(q, sigma), plain = gaussian(sigma);
        sotto_mechanism lattice, whole;
        ck_assert_int_eq(sotto_mechanism_sampled_discrete_gaussian(&lattice, q, sigma, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_mechanism_discrete_gaussian(&whole, sigma, NULL), SOTTO_OK);
        const double order = between(&state, 1, 40), low = floor(order), part = order - low;
        const double wanted = ((1 - part) * (low - 1) * sotto_mechanism_rdp(&smooth, fmax(low, 2)) +
                               part * low * sotto_mechanism_rdp(&smooth, low + 1)) /
                              (order - 1);
        ck_assert_double_le(fabs(excess(sotto_mechanism_rdp(&lattice, order), wanted)), 1e-13);
        ck_assert_double_ge(sotto_mechanism_rdp(&lattice, order),
                            sotto_mechanism_rdp(&smooth, order) * (1 - 1e-12));
        ck_assert_double_eq(sotto_mechanism_rdp(&lattice, low + 1), sotto_mechanism_rdp(&smooth, low + 1));
        ck_assert_double_eq(sotto_mechanism_rdp(&whole, order), sotto_mechanism_rdp(&plain, order));
    }
}
END_TEST

/* Sampled noise on a coarse lattice, summed point by point, in both directions. */
START_TEST(sampled_discrete_gaussian_is_no_dearer_than_said)
{
    uint64_t state = 14;
    for (int i = 0; i < 200; i++) {
        const double q = power_between(&state, -3, 0), s = between(&state, 0.3, 3);
        const int shift = 1 + (int)between(&state, 0, 3);
        const double order = between(&state, 1.1, 12);
        long double total = 0, there = 0, back = 0;
        for (int x = -400; x <= 400; x++)
            total += expl(-0.5L * x * x / (s * s));
        for (int x = -400; x <= 400; x++) {
            const long double none = expl(-0.5L * x * x / (s * s)) / total;
            if (none < 1e-2000L)
                continue;
            const long double ratio = 1 - q + q * expl((x - 0.5L * shift) * shift / (s * s));
            there += none * powl(ratio, order);
            back += none * powl(ratio, 1 - order);
        }
        const double truth = (double)(logl(fmaxl(there, back)) / (order - 1));
        sotto_mechanism m;
        ck_assert_int_eq(sotto_mechanism_sampled_discrete_gaussian(&m, q, s / shift, NULL), SOTTO_OK);
        ck_assert_msg(sotto_mechanism_rdp(&m, order) >= truth * (1 - 1e-9) - 1e-15,
                      "q %g s %g shift %d order %g: %.17g below %.17g", q, s, shift, order,
                      sotto_mechanism_rdp(&m, order), truth);
    }
}
END_TEST

static sotto_mechanism without_replacement(double rate, double sigma)
{
    sotto_mechanism m;
    ck_assert_int_eq(sotto_mechanism_gaussian_without_replacement(&m, rate, sigma, NULL), SOTTO_OK);
    return m;
}

START_TEST(without_replacement_meets_the_reference)
{
    for (table *t = table_open("rdp_wor.csv"); table_next(t, 29);) {
        const sotto_mechanism m = without_replacement(table_number(t, "q"), table_number(t, "sigma"));
        const double alpha = table_number(t, "alpha"), wanted = table_number(t, "rdp_dp_accounting");
        ck_assert_msg(fabs(excess(sotto_mechanism_rdp(&m, alpha), wanted)) <= 1e-9,
                      "q %g sigma %g order %g: %.17g, not %.17g", m.sample_rate, m.noise_multiplier, alpha,
                      sotto_mechanism_rdp(&m, alpha), wanted);
    }
}
END_TEST

START_TEST(without_replacement_meets_our_own_reference)
{
    for (table *t = table_open("wor_corners.csv"); table_next(t, 150);) {
        const sotto_mechanism m = without_replacement(table_number(t, "q"), table_number(t, "sigma"));
        const double alpha = table_number(t, "alpha"), wanted = table_number(t, "rdp_25_digits");
        ck_assert_msg(fabs(excess(sotto_mechanism_rdp(&m, alpha), wanted)) <= 1e-12,
                      "q %.17g sigma %.17g order %g: %.17g, not %.17g", m.sample_rate, m.noise_multiplier,
                      alpha, sotto_mechanism_rdp(&m, alpha), wanted);
    }
}
END_TEST

/* Of one unit in four drawn, replaced 0 by 1: q·N(1) + (1−q)·N(0) against N(0), which no bound may undercut.
 */
START_TEST(without_replacement_bounds_an_example)
{
    uint64_t state = 18;
    for (int i = 0; i < 1000; i++) {
        const double q = power_between(&state, -6, 0), sigma = power_between(&state, -1, 3);
        const double order = 1 + power_between(&state, -3, 5);
        const sotto_mechanism bound = without_replacement(q, sigma), example = sampled(q, sigma);
        ck_assert_double_ge(sotto_mechanism_rdp(&bound, order),
                            sotto_mechanism_rdp(&example, order) * (1 - 1e-12));
        const sotto_mechanism whole = without_replacement(1.0, sigma), plain = gaussian(sigma);
        ck_assert_double_eq(sotto_mechanism_rdp(&whole, order), sotto_mechanism_rdp(&plain, order));
        ck_assert_double_le(sotto_mechanism_rdp(&bound, floor(order) + 1),
                            sotto_mechanism_rdp(&plain, floor(order) + 1));
    }
    const sotto_mechanism m = without_replacement(0.1, 2.0);
    ck_assert_int_eq(m.adjacency, SOTTO_ADJACENCY_REPLACE_ONE);
    sotto_mechanism other = m;
    ck_assert_int_eq(sotto_mechanism_with_adjacency(&other, &m, SOTTO_ADJACENCY_ADD_REMOVE, NULL),
                     SOTTO_ERROR_INPUT);
}
END_TEST

START_TEST(adjacency_is_a_choice_where_it_can_be)
{
    uint64_t state = 15;
    for (int k = 0; k < KIND_COUNT; k++) {
        const sotto_mechanism m = draw(&state, KINDS[k]);
        if (m.kind == SOTTO_MECHANISM_GAUSSIAN_WITHOUT_REPLACEMENT)
            continue; /* the other way round: below */
        const bool is_sampled =
            m.kind == SOTTO_MECHANISM_SAMPLED_GAUSSIAN || m.kind == SOTTO_MECHANISM_SAMPLED_DISCRETE_GAUSSIAN;
        ck_assert_int_eq(m.adjacency, SOTTO_ADJACENCY_ADD_REMOVE);
        sotto_mechanism other = m;
        sotto_error err = {0};
        const sotto_status status =
            sotto_mechanism_with_adjacency(&other, &other, SOTTO_ADJACENCY_REPLACE_ONE, &err);
        ck_assert_int_eq(status, is_sampled ? SOTTO_ERROR_INPUT : SOTTO_OK);
        ck_assert(sotto_mechanism_equal(&m, &other) == is_sampled);
        if (!is_sampled)
            ck_assert_double_eq(sotto_mechanism_rdp(&m, 3.0), sotto_mechanism_rdp(&other, 3.0));
        else
            ck_assert_ptr_nonnull(strstr(err.message, "replace one"));
        ck_assert_int_eq(sotto_mechanism_with_adjacency(&other, &m, (sotto_adjacency)3, NULL),
                         SOTTO_ERROR_INPUT);
    }
    ck_assert_int_eq(
        sotto_mechanism_with_adjacency(&(sotto_mechanism){0}, NULL, SOTTO_ADJACENCY_ADD_REMOVE, NULL),
        SOTTO_ERROR_INPUT);
}
END_TEST

START_TEST(adjacencies_do_not_mix)
{
    const sotto_mechanism one = sampled(0.01, 1.0);
    sotto_mechanism other = gaussian(5.0);
    ck_assert_int_eq(sotto_mechanism_with_adjacency(&other, &other, SOTTO_ADJACENCY_REPLACE_ONE, NULL),
                     SOTTO_OK);
    sotto_accountant *accountant = composed(one, 10);
    const double before = epsilon_of(accountant, 1e-5);
    sotto_error err = {0};
    ck_assert_int_eq(sotto_accountant_compose(accountant, &other, 1, &err), SOTTO_ERROR_INPUT);
    const char *const words[] = {"gaussian", "replace one", "sampled gaussian", "add or remove one"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        ck_assert_ptr_nonnull(strstr(err.message, words[i]));
    ck_assert_double_eq(epsilon_of(accountant, 1e-5), before);

    uint64_t steps = 77;
    ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, 1, 1e-5, &other, accountant, &steps, NULL),
                     SOTTO_ERROR_INPUT);
    ck_assert_uint_eq(steps, 77);
    sotto_budget *budget;
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 3, 1e-5, &budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_charge(budget, &other, 1, "statistics", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_charge(budget, &one, 1, "steps", NULL), SOTTO_ERROR_INPUT);
    ck_assert(!sotto_budget_allows(budget, &one, 1));
    ck_assert_int_eq(sotto_budget_charge(budget, &other, 1, "statistics", NULL), SOTTO_OK);
    sotto_budget_destroy(budget);
    sotto_accountant_destroy(accountant);
}
END_TEST

START_TEST(a_refusal_names_what_it_refuses)
{
    const char *const words[KIND_COUNT + 3] = {
        [SOTTO_MECHANISM_GAUSSIAN] = "a gaussian mechanism (noise multiplier 0.25)",
        [SOTTO_MECHANISM_SAMPLED_GAUSSIAN] =
            "a sampled gaussian mechanism (sample rate 0.5, noise multiplier 0.25)",
        [SOTTO_MECHANISM_LAPLACE] = "a laplace mechanism (noise multiplier 0.25, groups of 4)",
        [SOTTO_MECHANISM_PURE] = "a pure mechanism (epsilon 40)",
        [SOTTO_MECHANISM_ZCDP] = "a zcdp mechanism (rho 40)",
    };
    for (int kind = 0; kind < KIND_COUNT + 3; kind++) {
        sotto_mechanism m = gaussian(0.25);
        if (!words[kind])
            continue;
        if (kind == SOTTO_MECHANISM_SAMPLED_GAUSSIAN)
            m = sampled(0.5, 0.25);
        else if (kind == SOTTO_MECHANISM_LAPLACE)
            ck_assert(sotto_mechanism_laplace(&m, 0.25, NULL) == SOTTO_OK &&
                      sotto_mechanism_group(&m, &m, 4, NULL) == SOTTO_OK);
        else if (kind == SOTTO_MECHANISM_PURE)
            ck_assert_int_eq(sotto_mechanism_pure(&m, 40, NULL), SOTTO_OK);
        else if (kind == SOTTO_MECHANISM_ZCDP)
            ck_assert_int_eq(sotto_mechanism_zcdp(&m, 40, NULL), SOTTO_OK);
        sotto_budget *budget;
        sotto_error err = {0};
        ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1, 1e-5, &budget, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_budget_charge(budget, &m, 1, "statistics", &err), SOTTO_ERROR_BUDGET);
        ck_assert_msg(strstr(err.message, words[kind]) != NULL, "%s", err.message);
        sotto_budget_destroy(budget);
    }
}
END_TEST

START_TEST(nonsense_is_refused)
{
    const double bad[] = {-1.0, -1e-300, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const double x = bad[i];
        sotto_mechanism m = {0};
        ck_assert_int_eq(sotto_mechanism_discrete_gaussian(&m, x, NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_mechanism_sampled_discrete_gaussian(&m, 0.1, x, NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_mechanism_sampled_discrete_gaussian(&m, x, 1, NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_mechanism_laplace(&m, x, NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_mechanism_pure(&m, x, NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_mechanism_zcdp(&m, x, NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_mechanism_exponential(&m, x, NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(m.kind, 0);
    }
}
END_TEST

/* What a kind does not have must not be there: it would be priced as if it were not. */
START_TEST(foreign_parameters_are_refused)
{
    uint64_t state = 16;
    for (int k = 0; k < KIND_COUNT; k++) {
        const sotto_mechanism m = draw(&state, KINDS[k]);
        sotto_mechanism forged = m;
        forged.epsilon = 0.5;
        const bool has_epsilon = m.kind == SOTTO_MECHANISM_PURE || m.kind == SOTTO_MECHANISM_EXPONENTIAL;
        ck_assert_int_eq(sotto_mechanism_check(&forged, NULL), has_epsilon ? SOTTO_OK : SOTTO_ERROR_INPUT);
        ck_assert(!sotto_mechanism_equal(&forged, &m));
        forged = m;
        forged.rho = 0.5;
        ck_assert_int_eq(sotto_mechanism_check(&forged, NULL),
                         m.kind == SOTTO_MECHANISM_ZCDP ? SOTTO_OK : SOTTO_ERROR_INPUT);
        ck_assert(!sotto_mechanism_equal(&forged, &m));
        forged = m;
        forged.noise_multiplier = 0.5;
        const bool has_noise = m.noise_multiplier > 0;
        ck_assert_int_eq(sotto_mechanism_check(&forged, NULL), has_noise ? SOTTO_OK : SOTTO_ERROR_INPUT);
        forged.noise_multiplier = NAN;
        ck_assert_int_eq(sotto_mechanism_check(&forged, NULL), SOTTO_ERROR_INPUT);
    }
}
END_TEST

TCase *mechanism_tests(void)
{
    TCase *tests = tcase_create("mechanisms");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, every_curve_rises_and_is_never_nan);
    tcase_add_test(tests, absurd_parameters_give_no_nan);
    tcase_add_test(tests, laplace_meets_the_reference);
    tcase_add_test(tests, closed_curves_meet_our_own_reference);
    tcase_add_test(tests, closed_curves_have_their_limits);
    tcase_add_test(tests, bounded_ranges_cost_no_more_than_said);
    tcase_add_test(tests, discrete_gaussian_is_bounded_at_integers);
    tcase_add_test(tests, sampled_discrete_gaussian_is_no_dearer_than_said);
    tcase_add_test(tests, without_replacement_meets_the_reference);
    tcase_add_test(tests, without_replacement_meets_our_own_reference);
    tcase_add_test(tests, without_replacement_bounds_an_example);
    tcase_add_test(tests, adjacency_is_a_choice_where_it_can_be);
    tcase_add_test(tests, adjacencies_do_not_mix);
    tcase_add_test(tests, a_refusal_names_what_it_refuses);
    tcase_add_test(tests, nonsense_is_refused);
    tcase_add_test(tests, foreign_parameters_are_refused);
    return tests;
}
