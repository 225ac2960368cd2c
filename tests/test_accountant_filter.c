/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "../accountant/internal.h"
#include "test_accountant.h"

#include <math.h>
#include <string.h>

static sotto_budget *filter_of(double epsilon, double delta, const sotto_accountant *plan)
{
    sotto_budget *filter;
    sotto_error err = {0};
    ck_assert_msg(sotto_budget_create_filter(epsilon, delta, plan, &filter, &err) == SOTTO_OK, "%s",
                  err.message);
    return filter;
}

static double guaranteed(const sotto_budget *filter)
{
    double epsilon, order;
    ck_assert_int_eq(sotto_budget_epsilon(filter, &epsilon, &order, NULL), SOTTO_OK);
    ck_assert(order >= 1.0);
    return epsilon;
}

/* ---- the arithmetic ---- */

START_TEST(uses_are_counted_at_every_order)
{
    const long double spent[] = {0.5L, 1.0L}, share[] = {1.0L, 5.0L}, little[] = {1.0L, 0.5L};
    const double one[] = {0.125, 1.0}, other[] = {0.01, 2.0}, none[] = {0.0, 0.0},
                 infinite[] = {0.01, INFINITY};
    ck_assert_uint_eq(accountant_filter_uses(2, spent, one, share, 100), 4);
    ck_assert_uint_eq(accountant_filter_uses(2, spent, one, share, 3), 3);
    ck_assert_uint_eq(accountant_filter_uses(2, spent, other, share, 100), 2);
    ck_assert_uint_eq(accountant_filter_uses(2, spent, none, share, 100), 100);
    ck_assert_uint_eq(accountant_filter_uses(2, spent, infinite, share, 100), 0);
    ck_assert_uint_eq(accountant_filter_uses(2, spent, one, little, 100), 0);
    ck_assert_uint_eq(accountant_filter_uses(2, spent, none, little, 100), 0);
}
END_TEST

/* The number handed out fits, one more does not, whatever the digits. */
START_TEST(uses_are_exact)
{
    enum { ORDERS = 3 };
    uint64_t state = 21;
    for (int i = 0; i < 20000; i++) {
        long double spent[ORDERS], share[ORDERS];
        double rdp[ORDERS];
        for (int k = 0; k < ORDERS; k++) {
            spent[k] = between(&state, 0, 1);
            rdp[k] = power_between(&state, -16, 0);
            share[k] =
                spent[k] + (i % 2 ? between(&state, 0, 1) : rdp[k] * floor(power_between(&state, 0, 12)));
        }
        const uint64_t n = accountant_filter_uses(ORDERS, spent, rdp, share, SOTTO_ACCOUNTANT_MAX_COUNT);
        bool more = true;
        for (int k = 0; k < ORDERS; k++) {
            ck_assert(n == 0 || spent[k] + (long double)n * rdp[k] <= share[k]);
            more = more && spent[k] + (long double)(n + 1) * rdp[k] <= share[k];
        }
        ck_assert(!more);
    }
}
END_TEST

/* ---- interactions in which the parameters of the second step depend on the outcome of the first ---- */

/* A step with an atom of P-probability p and loss l, and the rest. */
typedef struct step {
    double p, loss;
} step;

static double divergence(step s, double order)
{
    const double q = s.p * exp(-s.loss), t = order - 1.0;
    return log(pow(s.p, order) * pow(q, -t) + pow(1.0 - s.p, order) * pow(1.0 - q, -t)) / t;
}

static double share_at(double order, double epsilon, double delta)
{
    return epsilon - log1p(-1.0 / order) + log(delta * order) / (order - 1.0);
}

/* What the end of a path, taken with P-probability p and Q-probability q, adds to δ. */
static double beyond(double p, double q, double epsilon)
{
    return fmax(p - exp(epsilon) * q, 0.0);
}

static double true_delta(step first, const step second[2], double epsilon)
{
    double delta = 0.0;
    for (int atom = 0; atom < 2; atom++) {
        const step then = second[atom];
        const double q1 = first.p * exp(-first.loss), q2 = then.p * exp(-then.loss);
        const double p = atom ? first.p : 1.0 - first.p, q = atom ? q1 : 1.0 - q1;
        delta += beyond(p * then.p, q * q2, epsilon) + beyond(p * (1.0 - then.p), q * (1.0 - q2), epsilon);
    }
    return delta;
}

/*
 * On every path some order stays within its share, so the tempting rule admits the second step whatever the
 * first came to; and yet almost twice the target is leaked. The filter admits it on neither path.
 */
START_TEST(the_tempting_rule_leaks_and_ours_refuses)
{
    for (table *t = table_open("filter_counterexample.csv"); table_next(t, 2);) {
        const double epsilon = table_number(t, "epsilon"), target = table_number(t, "delta_target");
        const double orders[] = {table_number(t, "order_a"), table_number(t, "order_b")};
        const step first = {table_number(t, "p1"), table_number(t, "loss1")};
        const step second[] = {{table_number(t, "p2_if_rest"), table_number(t, "loss2_if_rest")},
                               {table_number(t, "p2_if_atom"), table_number(t, "loss2_if_atom")}};
        const char *kept[] = {"order_kept_if_rest", "order_kept_if_atom"},
                   *sums[] = {"rdp_spent_if_rest", "rdp_spent_if_atom"};
        for (int path = 0; path < 2; path++) {
            long double spent[2], share[2];
            double rdp[2];
            int some = 0;
            for (int k = 0; k < 2; k++) {
                spent[k] = divergence(first, orders[k]);
                rdp[k] = divergence(second[path], orders[k]);
                share[k] = share_at(orders[k], epsilon, target);
                const uint64_t alone = accountant_filter_uses(1, spent + k, rdp + k, share + k, 1);
                some += (int)alone;
                ck_assert_int_eq((int)alone, orders[k] == table_number(t, kept[path]));
                if (alone)
                    ck_assert_double_le(
                        fabs(excess((double)(spent[k] + rdp[k]), table_number(t, sums[path]))), 1e-9);
            }
            ck_assert_int_eq(some, 1); /* the tempting rule says yes */
            ck_assert_uint_eq(accountant_filter_uses(2, spent, rdp, share, 1), 0);
        }
        const double leaked = true_delta(first, second, epsilon);
        ck_assert_double_le(fabs(excess(leaked, table_number(t, "true_delta"))), 1e-9);
        ck_assert_double_gt(leaked, 1.8 * target);
    }
}
END_TEST

/* ---- the budget ---- */

/* A plan that meets its target to the last digit is borne to its last use, and no further. */
START_TEST(the_plan_itself_is_borne)
{
    uint64_t state = 22;
    for (int i = 0; i < 60; i++) {
        const sotto_mechanism m =
            sampled(power_between(&state, -4, i % 4 ? -0.2 : 0), power_between(&state, -0.3, 1));
        const double epsilon = power_between(&state, -1, 1.2), delta = power_between(&state, -9, -3);
        uint64_t steps;
        ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, epsilon, delta, &m, NULL, &steps, NULL),
                         SOTTO_OK);
        if (steps == 0)
            continue;
        sotto_accountant *plan = composed(m, steps);
        sotto_budget *filter = filter_of(epsilon, delta, plan);
        ck_assert_uint_eq(sotto_budget_remaining(filter, &m), steps);
        ck_assert_double_le(guaranteed(filter), epsilon);
        ck_assert_double_ge(guaranteed(filter), epsilon_of(plan, delta) * (1 - 1e-8));
        ck_assert_int_eq(sotto_budget_charge(filter, &m, steps, "all", NULL), SOTTO_OK);
        ck_assert(!sotto_budget_allows(filter, &m, 1));
        sotto_budget_destroy(filter);
        sotto_accountant_destroy(plan);
    }
}
END_TEST

/* In whatever portions and order its parts come. */
START_TEST(parts_of_the_plan_come_in_any_order)
{
    enum { KINDS = 3 };
    const sotto_mechanism parts[KINDS] = {sampled(0.01, 1.1), sampled(0.02, 9.0), gaussian(14.0)};
    const uint64_t counts[KINDS] = {900, 900, 3};
    sotto_accountant *plan = composed(parts[0], counts[0]);
    for (int k = 1; k < KINDS; k++)
        ck_assert_int_eq(sotto_accountant_compose(plan, &parts[k], counts[k], NULL), SOTTO_OK);
    const double delta = 1e-6, epsilon = epsilon_of(plan, delta);
    uint64_t state = 23;
    for (int trial = 0; trial < 20; trial++) {
        sotto_budget *filter = filter_of(epsilon, delta, plan);
        uint64_t left[KINDS], sum = 0;
        for (int k = 0; k < KINDS; k++)
            sum += left[k] = counts[k];
        while (sum > 0) {
            const int k = (int)between(&state, 0, KINDS);
            const uint64_t count = (uint64_t)between(&state, 0, (double)left[k] + 1.0);
            ck_assert_int_eq(sotto_budget_charge(filter, &parts[k], count, "part", NULL), SOTTO_OK);
            left[k] -= count;
            sum -= count;
        }
        for (int k = 0; k < KINDS; k++)
            ck_assert_uint_eq(sotto_budget_remaining(filter, &parts[k]), 0);
        sotto_budget_destroy(filter);
    }
    sotto_accountant_destroy(plan);
}
END_TEST

/*
 * Whatever is chosen, dry run equals commit, refusals leave no trace, what is guaranteed stays the same from
 * the first charge to the last, and the curve of what was taken is below the plan's, scaled, throughout.
 */
START_TEST(whatever_is_chosen_keeps_the_shares)
{
    const double target = 3.5, delta = 1e-6;
    uint64_t state = 24;
    int refused = 0, taken = 0;
    sotto_accountant *plan = composed(sampled(0.02, 1.0), 300);
    ck_assert_double_lt(epsilon_of(plan, delta), target);
    for (int run = 0; run < 8; run++) {
        sotto_budget *filter = filter_of(target, delta, plan);
        const double promised = guaranteed(filter);
        ck_assert(promised <= target && promised >= target * (1 - 1e-6));
        const sotto_accountant *record = sotto_budget_accountant(filter);
        for (int i = 0; i < 60; i++) {
            const sotto_mechanism m =
                sampled(power_between(&state, -2.5, -1.5), power_between(&state, -0.1, 0.4));
            const uint64_t count = (uint64_t)power_between(&state, 0, 2),
                           left = sotto_budget_remaining(filter, &m);
            const double before = sotto_accountant_rdp(record, 6.0);
            const bool fits = sotto_budget_allows(filter, &m, count);
            ck_assert_int_eq(fits, count <= left);
            sotto_error err = {0};
            ck_assert_int_eq(sotto_budget_charge(filter, &m, count, "chosen", &err),
                             fits ? SOTTO_OK : SOTTO_ERROR_BUDGET);
            if (!fits) {
                ck_assert_ptr_nonnull(strstr(err.message, "filter"));
                ck_assert_double_eq(sotto_accountant_rdp(record, 6.0), before);
            }
            ck_assert_uint_eq(sotto_budget_remaining(filter, &m), fits ? left - count : left);
            ck_assert_double_eq(guaranteed(filter), promised);
            ck_assert_double_le(epsilon_of(record, delta), promised);
            refused += !fits;
            taken += fits;
        }
        const sotto_mechanism last_one = sampled(0.015, 1.2); /* until some order is full */
        ck_assert_int_eq(
            sotto_budget_charge(filter, &last_one, sotto_budget_remaining(filter, &last_one), "rest", NULL),
            SOTTO_OK);
        /* the shares are the plan's, grown by one factor: by no more than the target bears */
        double factor = 0.0, first, last;
        ck_assert_int_eq(sotto_accountant_epsilon(plan, sqrt(delta), &first, &first, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_accountant_epsilon(plan, delta * delta, &last, &last, NULL), SOTTO_OK);
        for (int i = 0; i < 40; i++) {
            const double order = 1.0 + (first - 1.0) * pow((last - 1.0) / (first - 1.0), i / 39.0);
            factor = fmax(factor, sotto_accountant_rdp(record, order) / sotto_accountant_rdp(plan, order));
        }
        uint64_t growth;
        const sotto_mechanism planned = sampled(0.02, 1.0);
        ck_assert_int_eq(
            sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, target, delta, &planned, NULL, &growth, NULL),
            SOTTO_OK);
        ck_assert_double_le(factor, ((double)growth + 1.0) / 300.0);
        ck_assert_double_ge(factor, 0.95 * (double)growth / 300.0);
        sotto_budget_destroy(filter);
    }
    ck_assert_int_gt(refused, 50);
    ck_assert_int_gt(taken, 50);
    sotto_accountant_destroy(plan);
}
END_TEST

/* Where one order still has room, and the ε of all that was taken with it, another may not. */
START_TEST(an_order_that_is_full_refuses)
{
    const double delta = 1e-5;
    const sotto_mechanism planned = sampled(0.01, 2.0), coarse = sampled(0.01, 0.8);
    sotto_accountant *plan = composed(planned, 2000);
    const double epsilon = 3.0 * epsilon_of(plan, delta);
    sotto_budget *filter = filter_of(epsilon, delta, plan), *fixed;
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, epsilon, delta, &fixed, NULL), SOTTO_OK);
    ck_assert(sotto_budget_allows(fixed, &coarse, 1));
    ck_assert_uint_lt(sotto_budget_remaining(filter, &coarse), sotto_budget_remaining(fixed, &coarse) / 2);
    const uint64_t left = sotto_budget_remaining(filter, &coarse);
    /* and nothing of the charge that was refused is kept */
    ck_assert_int_eq(sotto_budget_charge(filter, &coarse, left + 1, "coarse", NULL), SOTTO_ERROR_BUDGET);
    ck_assert_int_eq(sotto_budget_charge(filter, &planned, 2000, "planned", NULL), SOTTO_OK);
    size_t lines;
    ck_assert_uint_eq(sotto_budget_charges(filter, &lines)[0].count, 2000);
    ck_assert_uint_eq(lines, 1);
    sotto_budget_destroy(filter);
    sotto_budget_destroy(fixed);
    sotto_accountant_destroy(plan);
}
END_TEST

START_TEST(hopeless_and_free_uses_are_told_apart)
{
    const sotto_mechanism bare = gaussian(0.0), unused = sampled(0.0, 1.0), m = sampled(0.01, 1.0);
    sotto_accountant *plan = composed(m, 100);
    sotto_budget *filter = filter_of(3.0, 1e-5, plan);
    ck_assert_uint_eq(sotto_budget_remaining(filter, &bare), 0);
    ck_assert(sotto_budget_allows(filter, &bare, 0));
    ck_assert_uint_eq(sotto_budget_remaining(filter, &unused), SOTTO_ACCOUNTANT_MAX_COUNT);
    ck_assert_int_eq(sotto_budget_charge(filter, &unused, 10, "nothing", NULL), SOTTO_OK);
    ck_assert_uint_eq(sotto_budget_remaining(filter, &unused), SOTTO_ACCOUNTANT_MAX_COUNT - 10);
    ck_assert_uint_ge(sotto_budget_remaining(filter, &m), 100);
    ck_assert_uint_eq(sotto_budget_remaining(filter, &unused), SOTTO_ACCOUNTANT_MAX_COUNT - 10);
    ck_assert_uint_eq(sotto_budget_remaining(filter, NULL), 0);
    ck_assert_uint_eq(sotto_budget_remaining(filter, &(sotto_mechanism){0}), 0);
    ck_assert_double_eq(sotto_budget_target_epsilon(filter), 3.0);
    ck_assert_double_eq(sotto_budget_delta(filter), 1e-5);
    sotto_budget_destroy(filter);
    sotto_accountant_destroy(plan);
}
END_TEST

/* The guarantee speaks of the plan's neighbours. */
START_TEST(other_neighbours_are_refused)
{
    sotto_mechanism one = gaussian(20.0), replaced;
    ck_assert_int_eq(sotto_mechanism_with_adjacency(&replaced, &one, SOTTO_ADJACENCY_REPLACE_ONE, NULL),
                     SOTTO_OK);
    sotto_accountant *plan = composed(one, 1);
    sotto_budget *filter = filter_of(3.0, 1e-5, plan);
    ck_assert(!sotto_budget_allows(filter, &replaced, 1));
    ck_assert_int_eq(sotto_budget_charge(filter, &replaced, 1, "replaced", NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_budget_charge(filter, &one, 1, "one", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_charge(filter, &replaced, 1, "replaced", NULL), SOTTO_ERROR_INPUT);
    sotto_budget_destroy(filter);
    sotto_accountant_destroy(plan);
}
END_TEST

static void expect_no_filter(double epsilon, double delta, const sotto_accountant *plan, sotto_status wanted)
{
    sotto_budget *untouched = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_budget_create_filter(epsilon, delta, plan, &untouched, &err), wanted);
    ck_assert_ptr_null(untouched);
    ck_assert_uint_gt(strlen(err.message), 10);
    ck_assert_ptr_null(strstr(err.message, "nan"));
}

START_TEST(impossible_plans_are_refused)
{
    sotto_accountant *plan = composed(sampled(0.01, 1.0), 1000), *empty = composed(gaussian(1.0), 0),
                     *infinite = composed(gaussian(0.0), 1), *unused = composed(sampled(0.0, 1.0), 5);
    const double epsilon = epsilon_of(plan, 1e-5), wrong[] = {0.0, -1.0, NAN, INFINITY};
    expect_no_filter(epsilon * (1 - 1e-9), 1e-5, plan, SOTTO_ERROR_BUDGET);
    expect_no_filter(epsilon, 1e-6, plan, SOTTO_ERROR_BUDGET);
    expect_no_filter(epsilon, 1e-5, NULL, SOTTO_ERROR_INPUT);
    expect_no_filter(epsilon, 1e-5, empty, SOTTO_ERROR_INPUT);
    expect_no_filter(epsilon, 1e-5, infinite, SOTTO_ERROR_INPUT);
    expect_no_filter(epsilon, 1e-5, unused, SOTTO_ERROR_INPUT);
    for (int i = 0; i < 4; i++) {
        sotto_budget *none = NULL;
        ck_assert_int_eq(sotto_budget_create_filter(wrong[i], 1e-5, plan, &none, NULL), SOTTO_ERROR_INPUT);
        ck_assert_int_eq(sotto_budget_create_filter(epsilon, wrong[i], plan, &none, NULL), SOTTO_ERROR_INPUT);
        ck_assert_ptr_null(none);
    }
    sotto_accountant_destroy(plan);
    sotto_accountant_destroy(empty);
    sotto_accountant_destroy(infinite);
    sotto_accountant_destroy(unused);
}
END_TEST

/* Where δ is so large that ε of the plan is 0. */
START_TEST(a_plan_may_cost_next_to_nothing)
{
    sotto_accountant *plan = composed(gaussian(1000.0), 1);
    const double delta = 0.01, epsilon = 1e-9;
    sotto_budget *filter = filter_of(epsilon, delta, plan);
    const sotto_mechanism m = gaussian(1000.0);
    const uint64_t left = sotto_budget_remaining(filter, &m);
    ck_assert_uint_ge(left, 1);
    ck_assert_double_le(epsilon_for(m, left, delta), epsilon);
    ck_assert_double_le(guaranteed(filter), epsilon);
    sotto_budget_destroy(filter);
    sotto_accountant_destroy(plan);
}
END_TEST

/* More mechanisms in turn than curves are kept for. */
START_TEST(many_mechanisms_take_turns)
{
    enum { MANY = 11, ROUNDS = 20 };
    sotto_accountant *plan = composed(gaussian(10.0), 3 * MANY * ROUNDS);
    sotto_budget *filter = filter_of(epsilon_of(plan, 1e-6), 1e-6, plan);
    double sum = 0.0;
    for (int i = 0; i < MANY * ROUNDS; i++) {
        const double sigma = 10.0 + i % MANY;
        const sotto_mechanism m = gaussian(sigma);
        ck_assert_int_eq(sotto_budget_charge(filter, &m, 1, "turn", NULL), SOTTO_OK);
        sum += 100.0 / (sigma * sigma);
    }
    /* Gaussians differ by a factor, so what is left can be told */
    const sotto_mechanism m = gaussian(10.0);
    ck_assert_uint_eq(sotto_budget_remaining(filter, &m), (uint64_t)(3 * MANY * ROUNDS - sum));
    sotto_budget_destroy(filter);
    sotto_accountant_destroy(plan);
}
END_TEST

TCase *filter_tests(void)
{
    TCase *tests = tcase_create("filter");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, uses_are_counted_at_every_order);
    tcase_add_test(tests, uses_are_exact);
    tcase_add_test(tests, the_tempting_rule_leaks_and_ours_refuses);
    tcase_add_test(tests, the_plan_itself_is_borne);
    tcase_add_test(tests, parts_of_the_plan_come_in_any_order);
    tcase_add_test(tests, whatever_is_chosen_keeps_the_shares);
    tcase_add_test(tests, an_order_that_is_full_refuses);
    tcase_add_test(tests, hopeless_and_free_uses_are_told_apart);
    tcase_add_test(tests, other_neighbours_are_refused);
    tcase_add_test(tests, impossible_plans_are_refused);
    tcase_add_test(tests, a_plan_may_cost_next_to_nothing);
    tcase_add_test(tests, many_mechanisms_take_turns);
    return tests;
}
