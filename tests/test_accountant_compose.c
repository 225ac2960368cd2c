/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_accountant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* At or above the optimum of the exact curve, by no more than 1e-6 (the tables' rule; 1e-8 is what we hold).
 */
static void assert_just_above(double value, double optimum, const char *what, const char *row)
{
    ck_assert_msg(value >= optimum, "%s %s: %.17g is below %.17g", what, row, value, optimum);
    ck_assert_msg(excess(value, optimum) <= 1e-8, "%s %s: %.17g is above %.17g", what, row, value, optimum);
}

START_TEST(epsilon_meets_the_reference)
{
    for (table *t = table_open("eps_rdp.csv"); table_next(t, 60);) {
        char row[128];
        const double q = table_number(t, "q"), sigma = table_number(t, "sigma"),
                     steps = table_number(t, "steps");
        const double delta = table_number(t, "delta");
        (void)snprintf(row, sizeof row, "q %g sigma %g steps %g delta %g", q, sigma, steps, delta);
        const double epsilon = epsilon_for(sampled(q, sigma), (uint64_t)steps, delta);
        assert_just_above(epsilon, table_number(t, "eps_rdp_opt"), "epsilon", row);
        ck_assert_double_le(epsilon, table_number(t, "eps_dp_accounting") * (1 + 1e-9));
        const double tight = table_number(t, "eps_ref") - table_number(t, "eps_ref_err");
        ck_assert_msg(!(epsilon < tight), "%s: %.17g is below the truth, %.17g", row, epsilon, tight);
    }
}
END_TEST

START_TEST(delta_meets_the_reference)
{
    for (table *t = table_open("delta.csv"); table_next(t, 20);) {
        char row[128];
        const double q = table_number(t, "q"), sigma = table_number(t, "sigma"),
                     steps = table_number(t, "steps");
        const double epsilon = table_number(t, "epsilon");
        (void)snprintf(row, sizeof row, "q %g sigma %g steps %g epsilon %g", q, sigma, steps, epsilon);
        sotto_accountant *accountant = composed(sampled(q, sigma), (uint64_t)steps);
        const double delta = delta_of(accountant, epsilon);
        assert_just_above(delta, table_number(t, "delta_rdp_opt"), "delta", row);
        ck_assert(!(delta < table_number(t, "delta_ref")));
        sotto_accountant_destroy(accountant);
    }
}
END_TEST

START_TEST(heterogeneous_compositions_meet_the_reference)
{
    for (table *t = table_open("compose.csv"); table_next(t, 16);) {
        if (table_number(t, "order_opt") > 1e4) /* the table's search ends at 2e4, ours does not */
            continue;
        sotto_accountant *accountant = composed(gaussian(1.0), 0);
        compose_spec(accountant, table_text(t, "spec"));
        const double epsilon = epsilon_of(accountant, table_number(t, "delta"));
        assert_just_above(epsilon, table_number(t, "eps_rdp_opt"), "epsilon", table_text(t, "spec"));
        ck_assert_double_ge(epsilon, table_number(t, "eps_ref"));
        sotto_accountant_destroy(accountant);
    }
}
END_TEST

/* Rényi accounting never beats the exact δ of one Gaussian release (Balle and Wang 2018). */
START_TEST(gaussian_delta_is_never_below_the_truth)
{
    for (table *t = table_open("gauss_delta.csv"); table_next(t, 25);) {
        sotto_accountant *accountant = composed(gaussian(1.0 / table_number(t, "mu")), 1);
        const double delta = delta_of(accountant, table_number(t, "epsilon"));
        const double log_truth = table_number(t, "log_delta");
        ck_assert_double_ge(log(delta), log_truth);
        /* and stays within what the conversion loses: some nats where δ is small */
        ck_assert_double_le(log(delta), log_truth + 7.0);
        sotto_accountant_destroy(accountant);
    }
}
END_TEST

START_TEST(order_of_composition_is_irrelevant)
{
    enum { KINDS = 12 };
    uint64_t state = 5;
    sotto_mechanism mechanisms[KINDS];
    for (int i = 0; i < KINDS; i++)
        mechanisms[i] =
            i % 3 ? sampled(between(&state, 0.001, 0.2), between(&state, 0.8, 9)) : gaussian(20.0 + i);
    sotto_accountant *forward = composed(gaussian(1.0), 0), *backward = composed(gaussian(1.0), 0);
    for (int i = 0; i < KINDS; i++) {
        ck_assert_int_eq(sotto_accountant_compose(forward, &mechanisms[i], 10 + i, NULL), SOTTO_OK);
        const int j = KINDS - 1 - i;
        for (int k = 0; k < 10 + j; k++) /* one by one, interleaved with the next */
            ck_assert_int_eq(sotto_accountant_compose(backward, &mechanisms[j], 1, NULL), SOTTO_OK);
    }
    ck_assert_double_eq(epsilon_of(forward, 1e-6), epsilon_of(backward, 1e-6));
    ck_assert_double_eq(delta_of(forward, 1.0), delta_of(backward, 1.0));
    ck_assert_double_eq(sotto_accountant_rdp(forward, 3.5), sotto_accountant_rdp(backward, 3.5));
    double sum = 0.0;
    for (int i = 0; i < KINDS; i++)
        sum += (10 + i) * sotto_mechanism_rdp(&mechanisms[i], 3.5);
    ck_assert_double_le(fabs(excess(sotto_accountant_rdp(forward, 3.5), sum)), 1e-14);
    ck_assert_double_eq(sotto_accountant_rdp(forward, 0.5), INFINITY);
    sotto_accountant_destroy(forward);
    sotto_accountant_destroy(backward);
}
END_TEST

START_TEST(epsilon_and_delta_are_inverse)
{
    uint64_t state = 6;
    for (int i = 0; i < 200; i++) {
        sotto_accountant *accountant =
            composed(sampled(power_between(&state, -4, -0.3), power_between(&state, -0.3, 1)),
                     (uint64_t)power_between(&state, 0, 5));
        const double delta = power_between(&state, -12, -2), epsilon = epsilon_of(accountant, delta);
        if (epsilon > 0.0) {
            const double back = delta_of(accountant, epsilon);
            /* ε was rounded up, so δ comes back no larger but for its own rounding */
            ck_assert_double_le(back, delta * (1 + 2e-9));
            ck_assert_double_le(fabs(excess(epsilon_of(accountant, back), epsilon)), 1e-7);
        }
        sotto_accountant_destroy(accountant);
    }
}
END_TEST

START_TEST(epsilon_is_monotone)
{
    uint64_t state = 7;
    for (int i = 0; i < 150; i++) {
        const double q = power_between(&state, -5, -0.1), sigma = power_between(&state, -0.5, 1.3);
        const double delta = power_between(&state, -12, -1), wider = between(&state, 1, 1.1);
        const uint64_t steps = (uint64_t)power_between(&state, 0, 6);
        const double epsilon = epsilon_for(sampled(q, sigma), steps, delta), most = epsilon * (1 + 1e-10);
        ck_assert_double_le(epsilon_for(sampled(q / wider, sigma), steps, delta), most);
        ck_assert_double_le(epsilon_for(sampled(q, sigma * wider), steps, delta), most);
        ck_assert_double_le(epsilon_for(sampled(q, sigma), steps - steps / 10, delta), most);
        ck_assert_double_le(epsilon_for(sampled(q, sigma), steps, fmin(delta * wider, 0.999)), most);
    }
}
END_TEST

/* Σ over T of α/(2σ²) is α/(2(σ/√T)²), sampled at rate 1 or not sampled. */
START_TEST(unsampled_steps_are_one_with_less_noise)
{
    for (uint64_t steps = 1; steps < 100000; steps *= 7) {
        const double one = epsilon_for(gaussian(5.0 / sqrt((double)steps)), 1, 1e-6);
        ck_assert_double_le(fabs(excess(epsilon_for(gaussian(5.0), steps, 1e-6), one)), 1e-9);
        ck_assert_double_eq(epsilon_for(sampled(1.0, 5.0), steps, 1e-6),
                            epsilon_for(gaussian(5.0), steps, 1e-6));
    }
}
END_TEST

/* One Gaussian: ε over all orders by brute force, from far below the usual grid to far above it. */
static double scan(double sigma, double delta)
{
    double least = INFINITY;
    for (double x = log(1e-9); x < log(1e9); x += 1e-5) {
        const double t = exp(x), alpha = 1 + t;
        least = fmin(least, alpha / (2 * sigma * sigma) + log(t / alpha) - log(delta * alpha) / t);
    }
    return least;
}

START_TEST(extreme_orders_are_found)
{
    const double sigmas[] = {1e-4, 0.01, 1.0, 1e3, 3e5};
    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
        const double epsilon = epsilon_for(gaussian(sigmas[i]), 1, 1e-10), wanted = scan(sigmas[i], 1e-10);
        ck_assert_msg(epsilon >= wanted * (1 - 1e-10) && epsilon <= wanted * (1 + 1e-6),
                      "sigma %g: %.17g, not %.17g", sigmas[i], epsilon, wanted);
    }
}
END_TEST

/* ε = 0 where δ ≥ √(1 − e^−KL). It takes a rare but large loss for the conversion not to get there before. */
START_TEST(zero_epsilon_is_granted_by_kl)
{
    const sotto_mechanism heavy = sampled(0.01, 0.3);
    const double edge = sqrt(-expm1(-sotto_mechanism_rdp(&heavy, 1.0)));
    double epsilon, order;
    sotto_accountant *accountant = composed(heavy, 1);
    ck_assert_double_eq(epsilon_of(accountant, edge * (1 + 1e-8)), 0.0);
    ck_assert_double_gt(epsilon_of(accountant, edge * (1 - 1e-8)), 0.0);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 0.5, &epsilon, &order, NULL), SOTTO_OK);
    ck_assert_double_eq(order, 1.0);
    const double delta = delta_of(accountant, 0.0);
    ck_assert(delta >= edge && delta <= edge * (1 + 1e-8));
    sotto_accountant_destroy(accountant);
}
END_TEST

START_TEST(nothing_costs_nothing)
{
    double epsilon = 7, delta = 7, order = 7;
    sotto_accountant *accountant = composed(gaussian(1.0), 0);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-5, &epsilon, &order, NULL), SOTTO_OK);
    ck_assert_double_eq(epsilon, 0.0);
    ck_assert_double_eq(order, 1.0);
    ck_assert_int_eq(sotto_accountant_delta(accountant, 0.0, &delta, NULL, NULL), SOTTO_OK);
    ck_assert_double_eq(delta, 0.0);
    ck_assert_double_eq(sotto_accountant_rdp(accountant, 2.0), 0.0);
    const sotto_mechanism never = sampled(0.0, 1.0);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &never, 1000, NULL), SOTTO_OK);
    ck_assert_double_eq(epsilon_of(accountant, 1e-300), 0.0);
    sotto_accountant_destroy(accountant);
    sotto_accountant_destroy(NULL);
}
END_TEST

START_TEST(no_noise_is_no_guarantee)
{
    double epsilon, order;
    sotto_accountant *accountant = composed(sampled(0.01, 0.0), 1);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-5, &epsilon, &order, NULL), SOTTO_OK);
    ck_assert_double_eq(epsilon, INFINITY);
    ck_assert_double_eq(order, INFINITY);
    ck_assert_double_eq(delta_of(accountant, 1e6), 1.0);
    sotto_accountant_destroy(accountant);
}
END_TEST

/* A δ below the least double is not nought. */
START_TEST(delta_never_rounds_to_zero)
{
    sotto_accountant *accountant = composed(gaussian(10.0), 1);
    ck_assert_double_gt(delta_of(accountant, 1000.0), 0.0);
    ck_assert_double_le(delta_of(accountant, 1000.0), 1e-300);
    sotto_accountant_destroy(accountant);
}
END_TEST

START_TEST(answers_are_never_nan)
{
    uint64_t state = 8;
    for (int i = 0; i < 1000; i++) {
        const bool absurd = i % 4 == 0;
        const double q = power_between(&state, absurd ? -300 : -9, 0);
        const double sigma = absurd ? power_between(&state, -100, 100) : power_between(&state, -1, 5);
        sotto_accountant *accountant = composed(sampled(q, sigma), (uint64_t)power_between(&state, 0, 15.9));
        (void)epsilon_of(accountant, power_between(&state, absurd ? -307 : -18, -1e-9));
        (void)delta_of(accountant, absurd ? power_between(&state, -300, 300) : power_between(&state, -6, 4));
        sotto_accountant_destroy(accountant);
    }
}
END_TEST

START_TEST(wrong_questions_are_refused)
{
    sotto_accountant *accountant = composed(gaussian(2.0), 3);
    sotto_error err = {0};
    double answer = 42.0, order = 42.0;
    const double deltas[] = {0.0, 1.0, -0.1, 1.5, NAN, INFINITY},
                 epsilons[] = {-1e-9, -INFINITY, INFINITY, NAN};
    for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++)
        ck_assert_int_eq(sotto_accountant_epsilon(accountant, deltas[i], &answer, &order, &err),
                         SOTTO_ERROR_INPUT);
    for (size_t i = 0; i < sizeof epsilons / sizeof *epsilons; i++)
        ck_assert_int_eq(sotto_accountant_delta(accountant, epsilons[i], &answer, &order, &err),
                         SOTTO_ERROR_INPUT);
    ck_assert_double_eq(answer, 42.0);
    ck_assert_double_eq(order, 42.0);
    ck_assert_str_eq(sotto_status_name(err.code), "input");

    const double before = epsilon_of(accountant, 1e-5);
    const sotto_mechanism same = gaussian(2.0);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &same, SOTTO_ACCOUNTANT_MAX_COUNT - 2, &err),
                     SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &same, UINT64_MAX, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &(sotto_mechanism){0}, 1, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_accountant_compose(accountant, NULL, 1, &err), SOTTO_ERROR_INPUT);
    ck_assert_double_eq(epsilon_of(accountant, 1e-5), before);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &same, SOTTO_ACCOUNTANT_MAX_COUNT - 3, &err),
                     SOTTO_OK);
    sotto_accountant_destroy(accountant);
}
END_TEST

TCase *composition_tests(void)
{
    TCase *tests = tcase_create("composition");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, epsilon_meets_the_reference);
    tcase_add_test(tests, delta_meets_the_reference);
    tcase_add_test(tests, heterogeneous_compositions_meet_the_reference);
    tcase_add_test(tests, gaussian_delta_is_never_below_the_truth);
    tcase_add_test(tests, order_of_composition_is_irrelevant);
    tcase_add_test(tests, epsilon_and_delta_are_inverse);
    tcase_add_test(tests, epsilon_is_monotone);
    tcase_add_test(tests, unsampled_steps_are_one_with_less_noise);
    tcase_add_test(tests, extreme_orders_are_found);
    tcase_add_test(tests, zero_epsilon_is_granted_by_kl);
    tcase_add_test(tests, nothing_costs_nothing);
    tcase_add_test(tests, no_noise_is_no_guarantee);
    tcase_add_test(tests, delta_never_rounds_to_zero);
    tcase_add_test(tests, answers_are_never_nan);
    tcase_add_test(tests, wrong_questions_are_refused);
    return tests;
}
