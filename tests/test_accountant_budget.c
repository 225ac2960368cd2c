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

static double spent(const sotto_budget *budget)
{
    double epsilon;
    ck_assert_int_eq(sotto_budget_epsilon(budget, &epsilon, NULL, NULL), SOTTO_OK);
    return epsilon;
}

/* ---- budget
 * ---------------------------------------------------------------------------------------------------- */

START_TEST(budget_ends_where_the_accountant_says)
{
    const sotto_mechanism step = sampled(0.02, 1.1);
    const double target = 2.0, delta = 1e-6;
    sotto_budget *budget = budget_of(target, delta);
    uint64_t taken = 0;
    while (sotto_budget_allows(budget, &step, 1)) {
        ck_assert_uint_eq(sotto_budget_charge(budget, &step, 1, "discriminator steps", NULL), SOTTO_OK);
        taken++;
    }
    ck_assert_uint_gt(taken, 100);
    ck_assert_double_le(epsilon_for(step, taken, delta), target);
    ck_assert_double_gt(epsilon_for(step, taken + 1, delta), target);
    ck_assert_double_eq(spent(budget), epsilon_for(step, taken, delta));
    ck_assert_uint_eq(sotto_budget_remaining(budget, &step), 0);
    sotto_budget_destroy(budget);
}
END_TEST

/* What `allows` says before, `charge` does, at random among several mechanisms, and always as a plain
 * accountant would. */
START_TEST(dry_run_equals_commit)
{
    enum { KINDS = 4 };
    const sotto_mechanism mechanisms[KINDS] = {sampled(0.01, 1.0), sampled(0.05, 2.0), gaussian(8.0),
                                               sampled(0.3, 6.0)};
    const double target = 3.0, delta = 1e-5;
    uint64_t state = 9;
    int refused = 0;
    sotto_budget *budget = budget_of(target, delta);
    sotto_accountant *shadow = composed(gaussian(1.0), 0);
    for (int i = 0; i < 300; i++) {
        const sotto_mechanism *m = &mechanisms[(int)between(&state, 0, KINDS)];
        const uint64_t count = (uint64_t)power_between(&state, 0, i % 5 ? 1.3 : 3);
        sotto_accountant *trial = composed(gaussian(1.0), 0);
        for (int k = 0; k < KINDS; k++) {
            uint64_t so_far = 0;
            size_t lines;
            const sotto_charge *charges = sotto_budget_charges(budget, &lines);
            for (size_t l = 0; l < lines; l++)
                so_far += sotto_mechanism_equal(&charges[l].mechanism, &mechanisms[k]) ? charges[l].count : 0;
            so_far += m == &mechanisms[k] ? count : 0;
            ck_assert_int_eq(sotto_accountant_compose(trial, &mechanisms[k], so_far, NULL), SOTTO_OK);
        }
        const bool fits = epsilon_of(trial, delta) <= target;
        sotto_accountant_destroy(trial);
        ck_assert_int_eq(sotto_budget_allows(budget, m, count), fits);
        const double before = spent(budget);
        ck_assert_int_eq(sotto_budget_charge(budget, m, count, i % 2 ? "odd" : "even", NULL),
                         fits ? SOTTO_OK : SOTTO_ERROR_BUDGET);
        if (fits)
            ck_assert_int_eq(sotto_accountant_compose(shadow, m, count, NULL), SOTTO_OK);
        else
            ck_assert_double_eq(spent(budget), before);
        refused += !fits;
        ck_assert_double_eq(spent(budget), epsilon_of(shadow, delta));
        ck_assert_double_le(spent(budget), target);
    }
    ck_assert_int_gt(refused, 20);
    ck_assert_int_lt(refused, 280);
    ck_assert_double_eq(sotto_accountant_rdp(sotto_budget_accountant(budget), 4.0),
                        sotto_accountant_rdp(shadow, 4.0));
    sotto_accountant_destroy(shadow);
    sotto_budget_destroy(budget);
}
END_TEST

/* By either accountant: what is left is counted down exactly, and reported never above the target. */
START_TEST(every_kind_counts_exactly)
{
    const sotto_accountant_kind kinds[] = {SOTTO_ACCOUNTANT_RDP, SOTTO_ACCOUNTANT_PLD};
    const sotto_mechanism mechanisms[] = {sampled(0.05, 1.5), sampled(0.1, 4.0), gaussian(8.0)};
    const double target = 2.0;
    uint64_t state = 11;
    for (int k = 0; k < 2; k++) {
        sotto_budget *budget;
        int refused = 0, taken = 0;
        ck_assert_int_eq(sotto_budget_create(kinds[k], target, 1e-5, &budget, NULL), SOTTO_OK);
        for (int i = 0; i < 24; i++) {
            const sotto_mechanism *m = &mechanisms[(int)between(&state, 0, 3)];
            const uint64_t left = sotto_budget_remaining(budget, m);
            const uint64_t count =
                i % 4 == 3 ? left + 1 : (uint64_t)between(&state, 0, 0.4 * (double)left + 2.0);
            const bool fits = sotto_budget_allows(budget, m, count);
            const double before = spent(budget);
            ck_assert_int_eq(fits, count <= left);
            ck_assert_int_eq(sotto_budget_charge(budget, m, count, "some", NULL),
                             fits ? SOTTO_OK : SOTTO_ERROR_BUDGET);
            ck_assert_uint_eq(sotto_budget_remaining(budget, m), fits ? left - count : left);
            ck_assert_double_le(spent(budget), target);
            if (!fits)
                ck_assert_double_eq(spent(budget), before);
            refused += !fits;
            taken += fits && count > 0;
        }
        const uint64_t rest = sotto_budget_remaining(budget, &mechanisms[0]);
        ck_assert_int_eq(sotto_budget_charge(budget, &mechanisms[0], rest, "rest", NULL), SOTTO_OK);
        ck_assert_double_le(spent(budget), target);
        ck_assert_double_ge(spent(budget), 0.9 * target);
        ck_assert(refused >= 6 && taken >= 6);
        sotto_budget_destroy(budget);
    }
}
END_TEST

START_TEST(charges_are_recorded_and_merged)
{
    const sotto_mechanism marginal = gaussian(40.0), step = sampled(0.01, 2.0);
    char label[32] = "per-label marginals";
    size_t lines = 9;
    sotto_budget *budget = budget_of(1.0, 1e-5);
    ck_assert_ptr_null(sotto_budget_charges(budget, &lines));
    ck_assert_uint_eq(lines, 0);
    ck_assert_int_eq(sotto_budget_charge(budget, &marginal, 1, label, NULL), SOTTO_OK);
    memset(label, 'x', sizeof label - 1); /* the budget keeps its own copy */
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 10, "discriminator steps", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 5, "norm quantile", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 7, "discriminator steps", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_charge(budget, &marginal, 2, "discriminator steps", NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_charge(budget, &marginal, 0, "nothing", NULL), SOTTO_OK);
    const sotto_charge *charges = sotto_budget_charges(budget, &lines);
    ck_assert_uint_eq(lines, 4);
    const char *labels[] = {"per-label marginals", "discriminator steps", "norm quantile",
                            "discriminator steps"};
    const uint64_t counts[] = {1, 17, 5, 2};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_str_eq(charges[i].label, labels[i]);
        ck_assert_uint_eq(charges[i].count, counts[i]);
        ck_assert(sotto_mechanism_equal(&charges[i].mechanism, i % 3 ? &step : &marginal));
    }
    ck_assert_double_eq(sotto_budget_target_epsilon(budget), 1.0);
    ck_assert_double_eq(sotto_budget_delta(budget), 1e-5);
    sotto_budget_destroy(budget);
    sotto_budget_destroy(NULL);
}
END_TEST

START_TEST(refused_charge_leaves_no_trace)
{
    const sotto_mechanism step = sampled(0.05, 1.5), bare = gaussian(0.0);
    sotto_error err = {0};
    size_t lines;
    sotto_budget *budget = budget_of(1.0, 1e-5);
    const uint64_t left = sotto_budget_remaining(budget, &step);
    ck_assert_uint_gt(left, 0);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, left + 1, "steps", &err), SOTTO_ERROR_BUDGET);
    ck_assert_int_eq(err.code, SOTTO_ERROR_BUDGET);
    ck_assert_ptr_nonnull(strstr(err.message, "steps"));
    ck_assert_int_eq(sotto_budget_charge(budget, &step, UINT64_MAX, "steps", &err), SOTTO_ERROR_BUDGET);
    ck_assert_int_eq(sotto_budget_charge(budget, &bare, 1, "bare", &err), SOTTO_ERROR_BUDGET);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, "", &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, 1, NULL, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_budget_charge(budget, &(sotto_mechanism){0}, 1, "none", &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_budget_charge(budget, NULL, 1, "none", &err), SOTTO_ERROR_INPUT);
    ck_assert(!sotto_budget_allows(budget, &(sotto_mechanism){0}, 0));
    ck_assert_uint_eq(sotto_budget_remaining(budget, &(sotto_mechanism){0}), 0);
    (void)sotto_budget_charges(budget, &lines);
    ck_assert_uint_eq(lines, 0);
    ck_assert_double_eq(spent(budget), 0.0);
    ck_assert_uint_eq(sotto_budget_remaining(budget, &step), left);
    ck_assert_int_eq(sotto_budget_charge(budget, &step, left, "steps", &err), SOTTO_OK);
    sotto_budget_destroy(budget);
}
END_TEST

static uint64_t count_of(const sotto_budget *budget)
{
    size_t lines;
    const sotto_charge *charges = sotto_budget_charges(budget, &lines);
    ck_assert_uint_eq(lines, 1);
    return charges[0].count;
}

/* A training loop asks before every step, and each answer is that of the whole composition. */
START_TEST(a_long_loop_is_charged_step_by_step)
{
    enum { TIMES = 300000 };
    const sotto_mechanism step = sampled(0.0001, 2.0);
    sotto_budget *budget = budget_of(8.0, 1e-5);
    int taken = 0;
    ck_assert_uint_gt(sotto_budget_remaining(budget, &step), TIMES);
    for (int i = 0; i < TIMES; i++)
        taken += sotto_budget_allows(budget, &step, 1) &&
                 sotto_budget_charge(budget, &step, 1, "steps", NULL) == SOTTO_OK;
    ck_assert_int_eq(taken, TIMES);
    ck_assert_uint_eq(count_of(budget), TIMES);
    sotto_budget_destroy(budget);
}
END_TEST

/* Two mechanisms in turn: each charge unsettles what was known of the other. */
START_TEST(mechanisms_take_turns)
{
    enum { ROUNDS = 1500 };
    const sotto_mechanism step = sampled(0.01, 1.0), quantile = sampled(0.01, 20.0);
    sotto_budget *budget = budget_of(3.0, 1e-5);
    int taken = 0;
    for (int i = 0; i < ROUNDS; i++)
        taken += sotto_budget_charge(budget, &step, 1, "steps", NULL) == SOTTO_OK &&
                 sotto_budget_charge(budget, &quantile, 1, "norm quantile", NULL) == SOTTO_OK;
    ck_assert_int_eq(taken, ROUNDS);
    uint64_t steps; /* what is left is what a search from nothing finds */
    ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, 3.0, 1e-5, &step,
                                           sotto_budget_accountant(budget), &steps, NULL),
                     SOTTO_OK);
    ck_assert_uint_eq(sotto_budget_remaining(budget, &step), steps);
    sotto_budget_destroy(budget);
}
END_TEST

START_TEST(impossible_budgets_are_refused)
{
    sotto_budget *budget = NULL;
    const double pairs[][2] = {{0, 1e-5}, {-1, 1e-5}, {NAN, 1e-5}, {INFINITY, 1e-5},
                               {1, 0},    {1, 1},     {1, NAN},    {1, -1e-9}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, pairs[i][0], pairs[i][1], &budget, NULL),
                         SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(budget);
}
END_TEST

TCase *budget_tests(void)
{
    TCase *tests = tcase_create("budget");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, budget_ends_where_the_accountant_says);
    tcase_add_test(tests, dry_run_equals_commit);
    tcase_add_test(tests, every_kind_counts_exactly);
    tcase_add_test(tests, charges_are_recorded_and_merged);
    tcase_add_test(tests, refused_charge_leaves_no_trace);
    tcase_add_test(tests, a_long_loop_is_charged_step_by_step);
    tcase_add_test(tests, mechanisms_take_turns);
    tcase_add_test(tests, impossible_budgets_are_refused);
    return tests;
}
