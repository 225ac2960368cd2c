/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "../accountant/internal.h"
#include "test_accountant.h"

#include <math.h>
#include <string.h>

/* What every kind of accountant must do, with every mechanism that it has. */

static const sotto_accountant_kind kinds[] = {SOTTO_ACCOUNTANT_RDP, SOTTO_ACCOUNTANT_PLD};
enum { KINDS = 2 };

/* By how much two answers to one question may differ, relatively. */
static const double slack_of[KINDS] = {3e-9, SOTTO_ACCOUNTANT_DEFAULT_GAP};

typedef sotto_status (*constructor)(sotto_mechanism *out, double parameter, sotto_error *err);

static sotto_mechanism made(constructor make, double parameter)
{
    sotto_mechanism m;
    ck_assert_int_eq(make(&m, parameter, NULL), SOTTO_OK);
    return m;
}

static sotto_mechanism group_of(sotto_mechanism m, uint64_t size)
{
    ck_assert_int_eq(sotto_mechanism_group(&m, &m, size, NULL), SOTTO_OK);
    return m;
}

enum { PRICED = 6 };

/* One of each that both kinds know, and how often it is used. */
static void priced(sotto_mechanism out[PRICED], uint64_t count[PRICED])
{
    const sotto_mechanism all[PRICED] = {gaussian(3.0),
                                         sampled(0.02, 1.2),
                                         sampled(0.3, 5.0),
                                         made(sotto_mechanism_laplace, 8.0),
                                         made(sotto_mechanism_pure, 0.05),
                                         made(sotto_mechanism_exponential, 0.1)};
    const uint64_t uses[PRICED] = {4, 300, 60, 12, 40, 30};
    memcpy(out, all, sizeof all);
    memcpy(count, uses, sizeof uses);
}

static sotto_accountant *empty(int kind)
{
    sotto_accountant *a;
    ck_assert_int_eq(sotto_accountant_create(kinds[kind], &a, NULL), SOTTO_OK);
    return a;
}

static void add(sotto_accountant *a, sotto_mechanism m, uint64_t count)
{
    ck_assert_int_eq(sotto_accountant_compose(a, &m, count, NULL), SOTTO_OK);
}

static double epsilon_at(const sotto_accountant *a, double delta)
{
    double epsilon;
    ck_assert_int_eq(sotto_accountant_epsilon(a, delta, &epsilon, NULL, NULL), SOTTO_OK);
    ck_assert(epsilon >= 0.0);
    return epsilon;
}

static double delta_at(const sotto_accountant *a, double epsilon)
{
    double delta;
    ck_assert_int_eq(sotto_accountant_delta(a, epsilon, &delta, NULL, NULL), SOTTO_OK);
    ck_assert(delta >= 0.0 && delta <= 1.0);
    return delta;
}

static double alone(int kind, sotto_mechanism m, uint64_t count, double delta)
{
    sotto_accountant *a = empty(kind);
    add(a, m, count);
    const double epsilon = epsilon_at(a, delta);
    sotto_accountant_destroy(a);
    return epsilon;
}

START_TEST(nothing_costs_nothing)
{
    for (int k = 0; k < KINDS; k++) {
        sotto_accountant *a = empty(k);
        ck_assert_double_eq(epsilon_at(a, 1e-6), 0.0);
        ck_assert_double_eq(delta_at(a, 0.0), 0.0);
        add(a, sampled(0.0, 1.0), 1000);
        add(a, sampled(0.1, 1.0), 0);
        add(a, made(sotto_mechanism_pure, 0.0), 5);
        ck_assert_double_eq(epsilon_at(a, 1e-6), 0.0);
        ck_assert_double_eq(delta_at(a, 0.0), 0.0);
        sotto_accountant_destroy(a);
    }
}
END_TEST

START_TEST(no_noise_guarantees_nothing)
{
    for (int k = 0; k < KINDS; k++) {
        sotto_accountant *a = empty(k);
        add(a, gaussian(4.0), 3);
        add(a, sampled(0.1, 0.0), 1);
        ck_assert_double_eq(epsilon_at(a, 1e-6), INFINITY);
        ck_assert_double_eq(delta_at(a, 5.0), 1.0);
        sotto_accountant_destroy(a);
    }
}
END_TEST

/* Bit for bit, in pieces and in any order. */
START_TEST(order_does_not_matter)
{
    sotto_mechanism m[PRICED];
    uint64_t count[PRICED];
    priced(m, count);
    for (int k = 0; k < KINDS; k++) {
        sotto_accountant *forward = empty(k), *backward = empty(k);
        for (int i = 0; i < PRICED; i++)
            add(forward, m[i], count[i]);
        for (int piece = 0; piece < 2; piece++)
            for (int i = PRICED; i-- > 0;)
                add(backward, m[i], piece ? count[i] - count[i] / 3 : count[i] / 3);
        ck_assert_double_eq(epsilon_at(forward, 1e-5), epsilon_at(backward, 1e-5));
        ck_assert_double_eq(delta_at(forward, 4.0), delta_at(backward, 4.0));
        sotto_accountant_destroy(forward);
        sotto_accountant_destroy(backward);
    }
}
END_TEST

static void assert_rises(int kind, sotto_mechanism less, uint64_t n, sotto_mechanism more, uint64_t t)
{
    const double a = alone(kind, less, n, 1e-6), b = alone(kind, more, t, 1e-6);
    ck_assert_msg(b > a * (1.0 + 2.0 * slack_of[kind]), "kind %d, mechanism %d: %.12g, then %.12g", kind,
                  (int)less.kind, a, b);
}

START_TEST(more_costs_more)
{
    sotto_mechanism m[PRICED];
    uint64_t count[PRICED];
    priced(m, count);
    for (int k = 0; k < KINDS; k++) {
        for (int i = 0; i < PRICED; i++) {
            sotto_mechanism noisier = m[i];
            noisier.noise_multiplier *= 1.05;
            noisier.epsilon /= 1.05;
            assert_rises(k, m[i], count[i], m[i], count[i] + count[i] / 4);
            assert_rises(k, noisier, count[i], m[i], count[i]);
            assert_rises(k, m[i], count[i], group_of(m[i], 2), count[i]);
        }
        assert_rises(k, sampled(0.02, 1.2), 300, sampled(0.021, 1.2), 300);
        assert_rises(k, sampled(0.3, 5.0), 60, sampled(1.0, 5.0), 60);
    }
}
END_TEST

/* The least step there is may not show, but never lowers ε by more than the answers waver. */
START_TEST(one_more_never_costs_less)
{
    for (int k = 0; k < KINDS; k++) {
        double before = 0.0;
        for (uint64_t n = 50; n < 60; n++) {
            const double now = alone(k, sampled(0.05, 2.0), n, 1e-5);
            ck_assert_msg(now >= before * (1.0 - slack_of[k]), "%d: %.12g, then %.12g", (int)n, before, now);
            before = now;
        }
    }
}
END_TEST

START_TEST(delta_returns_to_epsilon)
{
    const double share[KINDS] = {1e-6, 3e-2};
    sotto_mechanism m[PRICED];
    uint64_t count[PRICED];
    priced(m, count);
    for (int k = 0; k < KINDS; k++)
        for (int i = 0; i < PRICED; i++) {
            sotto_accountant *a = empty(k);
            add(a, m[i], count[i]);
            const double epsilon = epsilon_at(a, 1e-6), delta = delta_at(a, epsilon);
            const double again = epsilon_at(a, delta);
            /* what lifts ε lowers δ by an order's multiple of that */
            ck_assert_msg(delta >= 1e-6 * (1.0 - share[k]) && delta <= 1e-6 * (1.0 + share[k]),
                          "kind %d, mechanism %d: %.12g", k, i, delta);
            ck_assert_msg(fabs(again - epsilon) <= 5.0 * slack_of[k] * epsilon,
                          "kind %d, mechanism %d: %.12g, then %.12g", k, i, epsilon, again);
            sotto_accountant_destroy(a);
        }
}
END_TEST

START_TEST(unsampled_steps_are_one_of_less_noise)
{
    for (int k = 0; k < KINDS; k++) {
        const double many = alone(k, gaussian(30.0), 400, 1e-6), one = alone(k, gaussian(1.5), 1, 1e-6);
        ck_assert_double_le(fabs(many / one - 1.0), 3e-9);
        ck_assert_double_le(fabs(alone(k, sampled(1.0, 30.0), 400, 1e-6) / one - 1.0), 3e-9);
        ck_assert_double_le(fabs(alone(k, group_of(gaussian(60.0), 2), 400, 1e-6) / one - 1.0), 3e-9);
    }
}
END_TEST

START_TEST(asking_equals_composing)
{
    sotto_mechanism m[PRICED];
    uint64_t count[PRICED];
    priced(m, count);
    for (int k = 0; k < KINDS; k++) {
        sotto_accountant *a = empty(k);
        for (int i = 0; i < PRICED; i++) {
            double asked;
            ck_assert_int_eq(accountant_epsilon_with(kinds[k], a, &m[i], count[i], 1e-6, &asked, NULL, NULL),
                             SOTTO_OK);
            add(a, m[i], count[i]);
            ck_assert_double_eq(asked, epsilon_at(a, 1e-6));
        }
        sotto_accountant_destroy(a);
    }
}
END_TEST

START_TEST(a_budget_allows_what_it_charges)
{
    const sotto_mechanism m[] = {sampled(0.05, 2.0), made(sotto_mechanism_laplace, 20.0)};
    uint64_t state = 31;
    for (int k = 0; k < KINDS; k++) {
        sotto_budget *budget;
        int refused = 0;
        ck_assert_int_eq(sotto_budget_create(kinds[k], 1.5, 1e-5, &budget, NULL), SOTTO_OK);
        for (int i = 0; i < 12; i++) {
            const uint64_t count = (uint64_t)power_between(&state, 0, 1.8);
            const bool fits = sotto_budget_allows(budget, &m[i % 2], count);
            ck_assert_int_eq(sotto_budget_charge(budget, &m[i % 2], count, "some", NULL),
                             fits ? SOTTO_OK : SOTTO_ERROR_BUDGET);
            double spent;
            ck_assert_int_eq(sotto_budget_epsilon(budget, &spent, NULL, NULL), SOTTO_OK);
            ck_assert_double_le(spent, 1.5);
            refused += !fits;
        }
        ck_assert_int_gt(refused, 0);
        sotto_budget_destroy(budget);
    }
}
END_TEST

START_TEST(distributions_never_cost_more)
{
    uint64_t state = 32;
    for (int i = 0; i < 30; i++) {
        const sotto_mechanism m = sampled(power_between(&state, -3, 0), power_between(&state, -0.3, 1));
        const uint64_t count = (uint64_t)power_between(&state, 0, 4);
        const double delta = power_between(&state, -10, -2);
        const double tight = alone(1, m, count, delta), loose = alone(0, m, count, delta);
        ck_assert_msg(tight <= loose, "q %g sigma %g: %.12g by distributions, %.12g by divergences",
                      m.sample_rate, m.noise_multiplier, tight, loose);
    }
}
END_TEST

/* By name, and with nothing left behind. */
START_TEST(what_has_no_distribution_is_refused)
{
    sotto_mechanism without[4], many = group_of(sampled(0.1, 2.0), 1000);
    ck_assert_int_eq(sotto_mechanism_gaussian_without_replacement(&without[0], 0.1, 2.0, NULL), SOTTO_OK);
    without[1] = made(sotto_mechanism_discrete_gaussian, 2.0);
    ck_assert_int_eq(sotto_mechanism_sampled_discrete_gaussian(&without[2], 0.1, 2.0, NULL), SOTTO_OK);
    without[3] = made(sotto_mechanism_zcdp, 0.1);
    for (int i = 0; i < 5; i++) {
        const sotto_mechanism *m = i < 4 ? &without[i] : &many;
        sotto_accountant *rdp = empty(0), *pld = empty(1);
        sotto_error err;
        double lower, upper;
        ck_assert_int_eq(sotto_accountant_compose(rdp, m, 1, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_accountant_compose(pld, m, 1, &err), SOTTO_ERROR_INPUT);
        ck_assert_msg(strstr(err.message, sotto_mechanism_kind_name(m->kind)) != NULL, "%s", err.message);
        ck_assert_double_eq(epsilon_at(pld, 1e-6), 0.0);
        ck_assert_int_eq(sotto_accountant_epsilon_bounds(rdp, 1e-6, 1e-3, &lower, &upper, NULL),
                         SOTTO_ERROR_INPUT);
        sotto_accountant_destroy(rdp);
        sotto_accountant_destroy(pld);
    }
}
END_TEST

TCase *conformance_tests(void)
{
    TCase *tests = tcase_create("conformance");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, nothing_costs_nothing);
    tcase_add_test(tests, no_noise_guarantees_nothing);
    tcase_add_test(tests, order_does_not_matter);
    tcase_add_test(tests, more_costs_more);
    tcase_add_test(tests, one_more_never_costs_less);
    tcase_add_test(tests, delta_returns_to_epsilon);
    tcase_add_test(tests, unsampled_steps_are_one_of_less_noise);
    tcase_add_test(tests, asking_equals_composing);
    tcase_add_test(tests, a_budget_allows_what_it_charges);
    tcase_add_test(tests, distributions_never_cost_more);
    tcase_add_test(tests, what_has_no_distribution_is_refused);
    return tests;
}
