/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "../accountant/internal.h"
#include "test_accountant.h"

#include <math.h>
#include <string.h>

static sotto_budget *budget_of(double epsilon, double delta)
{
    sotto_budget *budget;
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, epsilon, delta, &budget, NULL), SOTTO_OK);
    return budget;
}
static double noise_for(double epsilon, double delta, double q, uint64_t steps, const sotto_accountant *rest)
{
    double sigma;
    sotto_error err = {0};
    ck_assert_msg(sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, epsilon, delta, q, steps, rest,
                                                   &sigma, &err) == SOTTO_OK,
                  "%s", err.message);
    return sigma;
}

static uint64_t steps_for(double epsilon, double delta, sotto_mechanism m, const sotto_accountant *rest)
{
    uint64_t steps;
    ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, epsilon, delta, &m, rest, &steps, NULL),
                     SOTTO_OK);
    return steps;
}

START_TEST(noise_meets_the_reference)
{
    for (table *t = table_open("calibrate.csv"); table_next(t, 21);) {
        const double epsilon = table_number(t, "epsilon"), delta = table_number(t, "delta"),
                     q = table_number(t, "q");
        const uint64_t steps = (uint64_t)table_number(t, "steps");
        const double sigma = noise_for(epsilon, delta, q, steps, NULL),
                     wanted = table_number(t, "sigma_rdp_opt");
        ck_assert_msg(sigma >= wanted && sigma <= wanted * (1 + 1e-8), "%.17g, not %.17g", sigma, wanted);
        ck_assert_double_ge(sigma, table_number(t, "sigma_ref"));
        /* the promise is kept, and not by a hair's breadth less noise */
        ck_assert_double_le(epsilon_for(sampled(q, sigma), steps, delta), epsilon);
        ck_assert_double_gt(epsilon_for(sampled(q, sigma * (1 - 1e-9)), steps, delta), epsilon);
        ck_assert_uint_ge(steps_for(epsilon, delta, sampled(q, sigma), NULL), steps);
    }
}
END_TEST

START_TEST(gaussian_noise_is_enough)
{
    for (table *t = table_open("gauss_sigma.csv"); table_next(t, 18);) {
        const double epsilon = table_number(t, "epsilon"), delta = table_number(t, "delta");
        double sigma;
        ck_assert_int_eq(sotto_calibrate_gaussian(SOTTO_ACCOUNTANT_RDP, epsilon, delta, &sigma, NULL),
                         SOTTO_OK);
        ck_assert_double_ge(sigma, table_number(t, "sigma_exact"));
        ck_assert_double_le(sigma, table_number(t, "sigma_exact") * 3.0);
        ck_assert_double_le(epsilon_for(gaussian(sigma), 1, delta), epsilon);
        ck_assert_double_gt(epsilon_for(gaussian(sigma * (1 - 1e-9)), 1, delta), epsilon);
    }
}
END_TEST

START_TEST(one_step_more_is_too_many)
{
    uint64_t state = 10;
    int some = 0;
    for (int i = 0; i < 150; i++) {
        const sotto_mechanism m = sampled(power_between(&state, -5, -0.2), power_between(&state, -0.3, 1.2));
        const double epsilon = power_between(&state, -1.5, 1.3), delta = power_between(&state, -10, -3);
        const uint64_t steps = steps_for(epsilon, delta, m, NULL);
        if (steps)
            ck_assert_double_le(epsilon_for(m, steps, delta), epsilon);
        ck_assert_double_gt(epsilon_for(m, steps + 1, delta), epsilon);
        some += steps > 1;
    }
    ck_assert_int_gt(some, 50);
}
END_TEST

START_TEST(the_rest_is_taken_into_account)
{
    const double epsilon = 1.5, delta = 1e-6;
    sotto_accountant *rest = composed(gaussian(9.0), 2);
    const sotto_mechanism other = sampled(0.05, 3.0);
    ck_assert_int_eq(sotto_accountant_compose(rest, &other, 20, NULL), SOTTO_OK);
    const double alone = noise_for(epsilon, delta, 0.01, 500, NULL),
                 sigma = noise_for(epsilon, delta, 0.01, 500, rest);
    ck_assert_double_gt(sigma, alone);

    /* a budget that was charged with the rest bears just these steps, at this noise */
    sotto_budget *budget = budget_of(epsilon, delta);
    const sotto_mechanism nine = gaussian(9.0), step = sampled(0.01, sigma),
                          quieter = sampled(0.01, sigma * (1 - 1e-9));
    ck_assert_int_eq(sotto_budget_charge(budget, &other, 20, "other", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_charge(budget, &nine, 2, "counts", NULL), SOTTO_OK);
    ck_assert(!sotto_budget_allows(budget, &quieter, 500));
    ck_assert(sotto_budget_allows(budget, &step, 500));
    ck_assert(!sotto_budget_allows(budget, &step, 501));
    ck_assert_uint_eq(steps_for(epsilon, delta, step, rest), 500);
    /* more of what is in the rest already */
    const uint64_t more = steps_for(epsilon, delta, other, rest);
    ck_assert_uint_eq(sotto_budget_remaining(budget, &other), more);
    ck_assert_int_eq(sotto_accountant_compose(rest, &other, more, NULL), SOTTO_OK);
    ck_assert_double_le(epsilon_of(rest, delta), epsilon);
    ck_assert_int_eq(sotto_accountant_compose(rest, &other, 1, NULL), SOTTO_OK);
    ck_assert_double_gt(epsilon_of(rest, delta), epsilon);
    sotto_budget_destroy(budget);

    /* where the rest alone is too much, nothing helps */
    double unused = 42.0;
    sotto_error err = {0};
    ck_assert_int_eq(
        sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, epsilon, delta, 0.01, 1, rest, &unused, &err),
        SOTTO_ERROR_BUDGET);
    ck_assert_double_eq(unused, 42.0);
    ck_assert_uint_eq(steps_for(epsilon, delta, step, rest), 0);
    sotto_accountant_destroy(rest);
}
END_TEST

START_TEST(free_and_hopeless_mechanisms_are_counted)
{
    ck_assert_uint_eq(steps_for(1.0, 1e-5, sampled(0.0, 1.0), NULL), SOTTO_ACCOUNTANT_MAX_COUNT);
    sotto_accountant *rest = composed(sampled(0.0, 1.0), 10);
    ck_assert_uint_eq(steps_for(1.0, 1e-5, sampled(0.0, 1.0), rest), SOTTO_ACCOUNTANT_MAX_COUNT - 10);
    sotto_accountant_destroy(rest);
    ck_assert_uint_eq(steps_for(1.0, 1e-5, gaussian(0.0), NULL), 0);
    ck_assert_uint_eq(steps_for(1.0, 1e-5, gaussian(0.1), NULL), 0);
    /* so little each that only doubling and bisection get there */
    const sotto_mechanism faint = gaussian(1e7);
    const uint64_t steps = steps_for(1e-3, 1e-3, faint, NULL);
    ck_assert_double_le(epsilon_for(faint, steps, 1e-3), 1e-3);
    ck_assert_double_gt(epsilon_for(faint, steps + 1, 1e-3), 1e-3);
}
END_TEST

static const sotto_accountant_kind both[] = {SOTTO_ACCOUNTANT_RDP, SOTTO_ACCOUNTANT_PLD};

/* ε by an accountant of a kind, of `count` uses beside the rest, which may be NULL. */
static double epsilon_by(sotto_accountant_kind kind, const sotto_accountant *rest, sotto_mechanism m,
                         uint64_t count, double delta)
{
    double epsilon;
    ck_assert_int_eq(accountant_epsilon_with(kind, rest, &m, count, delta, &epsilon, NULL, NULL), SOTTO_OK);
    return epsilon;
}

/* What is found keeps the target by the accountant that was asked, and a little more does not. */
START_TEST(rates_are_the_largest)
{
    uint64_t state = 31;
    int inside = 0;
    for (int i = 0; i < 60; i++) {
        const sotto_accountant_kind kind = both[i % 10 == 0];
        const double epsilon = power_between(&state, -1, 1), delta = power_between(&state, -8, -4),
                     sigma = power_between(&state, -0.2, 1.3);
        const uint64_t steps = (uint64_t)power_between(&state, 0, 4);
        double q;
        ck_assert_int_eq(sotto_calibrate_sample_rate(kind, epsilon, delta, sigma, steps, NULL, &q, NULL),
                         SOTTO_OK);
        ck_assert(q >= 0.0 && q <= 1.0);
        if (q > 0.0)
            ck_assert_double_le(epsilon_by(kind, NULL, sampled(q, sigma), steps, delta), epsilon);
        if (q > 0.0 && q < 1.0)
            ck_assert_double_gt(
                epsilon_by(kind, NULL, sampled(fmin(q * (kind == both[0] ? 1 + 1e-9 : 1.001), 1.0), sigma),
                           steps, delta),
                epsilon);
        inside += q > 0.0 && q < 1.0;
    }
    ck_assert_int_gt(inside, 30);
    double q;
    ck_assert_int_eq(sotto_calibrate_sample_rate(both[0], 1, 1e-5, 1e6, 1, NULL, &q, NULL), SOTTO_OK);
    ck_assert_double_eq(q, 1.0);
    ck_assert_int_eq(sotto_calibrate_sample_rate(both[0], 1, 1e-5, 0.0, 1, NULL, &q, NULL), SOTTO_OK);
    ck_assert_double_eq(q, 0.0);
}
END_TEST

START_TEST(deltas_are_the_smallest)
{
    uint64_t state = 32;
    int some = 0;
    for (int i = 0; i < 60; i++) {
        const sotto_accountant_kind kind = both[i % 15 == 0];
        const double epsilon = power_between(&state, -1, 1), q = power_between(&state, -3, 0),
                     sigma = power_between(&state, -0.2, 1.3);
        const uint64_t steps = (uint64_t)power_between(&state, 0, 3);
        double delta = 42.0;
        const sotto_status status = sotto_calibrate_delta(kind, epsilon, q, sigma, steps, NULL, &delta, NULL);
        if (status == SOTTO_ERROR_BUDGET) {
            ck_assert_double_eq(delta, 42.0);
            ck_assert_double_gt(epsilon_by(kind, NULL, sampled(q, sigma), steps, 1 - 1e-9), epsilon);
            continue;
        }
        ck_assert_int_eq(status, SOTTO_OK);
        ck_assert(delta > 0.0 && delta < 1.0);
        ck_assert_double_le(epsilon_by(kind, NULL, sampled(q, sigma), steps, delta), epsilon);
        if (delta > (kind == both[0] ? 1e-300 : 1e-15))
            ck_assert_double_gt(
                epsilon_by(kind, NULL, sampled(q, sigma), steps, delta * (kind == both[0] ? 1 - 1e-5 : 0.95)),
                epsilon);
        some += delta > 1e-12 && delta < 0.5;
    }
    ck_assert_int_gt(some, 15);
    double delta;
    ck_assert_int_eq(sotto_calibrate_delta(both[0], 1, 0.0, 1.0, 5, NULL, &delta, NULL), SOTTO_OK);
    ck_assert_double_eq(delta, 0.0);
    ck_assert_int_eq(sotto_calibrate_delta(both[0], 1, 0.5, 0.0, 5, NULL, &delta, NULL), SOTTO_ERROR_BUDGET);
}
END_TEST

/* The rest is read by the accountant that is asked, whatever its own kind, and so is a budget charged with
 * it. */
START_TEST(rest_of_any_kind_is_read_by_the_kind_asked)
{
    const double epsilon = 2.0, delta = 1e-5;
    const sotto_mechanism spent = sampled(0.02, 1.2), step = sampled(0.01, 1.5);
    for (int k = 0; k < 4; k++) {
        const sotto_accountant_kind kind = both[k / 2], other = both[k % 2];
        sotto_accountant *rest;
        sotto_budget *budget;
        ck_assert_int_eq(sotto_accountant_create(other, &rest, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_accountant_compose(rest, &spent, 30, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_budget_create(kind, epsilon, delta, &budget, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_budget_charge(budget, &spent, 30, "rest", NULL), SOTTO_OK);
        double sigma, q, least;
        uint64_t steps;
        ck_assert_int_eq(
            sotto_calibrate_noise_multiplier(kind, epsilon, delta, 0.01, 200, rest, &sigma, NULL), SOTTO_OK);
        const sotto_mechanism noisy = sampled(0.01, sigma), bare = sampled(0.01, sigma * 0.999);
        ck_assert(sotto_budget_allows(budget, &noisy, 200));
        ck_assert(!sotto_budget_allows(budget, &bare, 200));
        ck_assert_int_eq(sotto_calibrate_sample_rate(kind, epsilon, delta, 1.5, 200, rest, &q, NULL),
                         SOTTO_OK);
        const sotto_mechanism rare = sampled(q, 1.5), often = sampled(q * 1.001, 1.5);
        ck_assert(sotto_budget_allows(budget, &rare, 200));
        ck_assert(!sotto_budget_allows(budget, &often, 200));
        ck_assert_int_eq(sotto_calibrate_steps(kind, epsilon, delta, &step, rest, &steps, NULL), SOTTO_OK);
        ck_assert_uint_eq(sotto_budget_remaining(budget, &step), steps);
        ck_assert_int_eq(sotto_calibrate_delta(kind, epsilon, 0.01, 1.5, steps, rest, &least, NULL),
                         SOTTO_OK);
        ck_assert_double_le(least, delta * (kind == both[0] ? 1 + 1e-6 : 1.02));
        ck_assert_double_ge(least, delta * 0.9);
        /* where the rest alone is too much */
        ck_assert_int_eq(sotto_calibrate_sample_rate(kind, 0.1, delta, 1.5, 200, rest, &q, NULL),
                         SOTTO_ERROR_BUDGET);
        ck_assert_int_eq(sotto_calibrate_noise_multiplier(kind, 0.1, delta, 0.01, 200, rest, &sigma, NULL),
                         SOTTO_ERROR_BUDGET);
        sotto_budget_destroy(budget);
        sotto_accountant_destroy(rest);
    }
}
END_TEST

/* Privacy-loss distributions need no more than 0.2 % above the least noise there is, and never less. */
START_TEST(noise_by_distributions_is_tight)
{
    for (table *t = table_open("calibrate.csv"); table_next(t, 21);) {
        const double epsilon = table_number(t, "epsilon"), delta = table_number(t, "delta"),
                     q = table_number(t, "q"), least = table_number(t, "sigma_ref");
        const uint64_t steps = (uint64_t)table_number(t, "steps");
        double sigma;
        ck_assert_int_eq(sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_PLD, epsilon, delta, q, steps,
                                                          NULL, &sigma, NULL),
                         SOTTO_OK);
        ck_assert_msg(sigma >= least && sigma <= least * 1.002, "%.17g, not %.17g", sigma, least);
        ck_assert_double_le(epsilon_by(SOTTO_ACCOUNTANT_PLD, NULL, sampled(q, sigma), steps, delta), epsilon);
    }
    for (table *t = table_open("gauss_sigma.csv"); table_next(t, 18);) {
        const double least = table_number(t, "sigma_exact");
        double sigma;
        ck_assert_int_eq(sotto_calibrate_gaussian(SOTTO_ACCOUNTANT_PLD, table_number(t, "epsilon"),
                                                  table_number(t, "delta"), &sigma, NULL),
                         SOTTO_OK);
        ck_assert_msg(sigma >= least && sigma <= least * 1.00001, "%.17g, not %.17g", sigma, least);
    }
}
END_TEST

START_TEST(wrong_calibrations_are_refused)
{
    double sigma = 42.0;
    uint64_t steps = 42;
    const sotto_mechanism fine = gaussian(1.0);
    const double rates[] = {0.0, -0.1, 1.1, NAN, INFINITY}, bad[] = {0.0, -1.0, NAN, INFINITY};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        ck_assert_int_eq(
            sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, 1, 1e-5, rates[i], 1, NULL, &sigma, NULL),
            SOTTO_ERROR_INPUT);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(
            sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, bad[i], 1e-5, 0.1, 1, NULL, &sigma, NULL),
            SOTTO_ERROR_INPUT);
        ck_assert_int_eq(
            sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, 1, bad[i], 0.1, 1, NULL, &sigma, NULL),
            SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_calibrate_gaussian(SOTTO_ACCOUNTANT_RDP, bad[i], 1e-5, &sigma, NULL),
                         SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, bad[i], 1e-5, &fine, NULL, &steps, NULL),
                         SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, 1, bad[i], &fine, NULL, &steps, NULL),
                         SOTTO_ERROR_INPUT);
    }
    ck_assert_int_eq(
        sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, 1, 1e-5, 0.1, 0, NULL, &sigma, NULL),
        SOTTO_ERROR_INPUT);
    ck_assert_int_eq(
        sotto_calibrate_noise_multiplier(SOTTO_ACCOUNTANT_RDP, 1, 1e-5, 0.1, UINT64_MAX, NULL, &sigma, NULL),
        SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, 1, 1e-5, NULL, NULL, &steps, NULL),
                     SOTTO_ERROR_INPUT);
    ck_assert_double_eq(sigma, 42.0);
    ck_assert_uint_eq(steps, 42);
}
END_TEST

TCase *calibration_tests(void)
{
    TCase *tests = tcase_create("calibration");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, noise_meets_the_reference);
    tcase_add_test(tests, gaussian_noise_is_enough);
    tcase_add_test(tests, one_step_more_is_too_many);
    tcase_add_test(tests, the_rest_is_taken_into_account);
    tcase_add_test(tests, free_and_hopeless_mechanisms_are_counted);
    tcase_add_test(tests, rates_are_the_largest);
    tcase_add_test(tests, deltas_are_the_smallest);
    tcase_add_test(tests, rest_of_any_kind_is_read_by_the_kind_asked);
    tcase_add_test(tests, noise_by_distributions_is_tight);
    tcase_add_test(tests, wrong_calibrations_are_refused);
    return tests;
}
