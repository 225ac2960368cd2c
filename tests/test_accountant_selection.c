/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_accountant.h"

#include <math.h>
#include <string.h>

static sotto_mechanism selected(const sotto_accountant *run, double shape, double mean)
{
    sotto_mechanism m;
    ck_assert_int_eq(sotto_mechanism_selection(&m, run, shape, mean, NULL), SOTTO_OK);
    return m;
}

/* The orders that the reference library minimises over. */
enum { GRID = 99 + 53 + 4 };
static void fill_grid(double *orders)
{
    int n = 0;
    for (int i = 1; i < 100; i++)
        orders[n++] = 1 + i / 10.0;
    for (int i = 11; i < 64; i++)
        orders[n++] = i;
    for (int i = 128; i <= 1024; i *= 2)
        orders[n++] = i;
    ck_assert_int_eq(n, GRID);
}

/* The theorems as printed, every minimum over the grid. */
static double on_grid(const sotto_accountant *run, double shape, double mean, double gamma, double order)
{
    double orders[GRID], least = INFINITY;
    fill_grid(orders);
    double rdp = sotto_accountant_rdp(run, order) + log(mean) / (order - 1);
    for (int i = 0; i < GRID; i++) {
        const double a = orders[i], r = sotto_accountant_rdp(run, a);
        if (!isinf(shape) && a > order) /* a divergence does not fall */
            rdp = fmin(rdp, r + log(mean) / (a - 1));
        if (isinf(shape)) {
            const double loss = log1p(1 / (order - 1));
            const double delta = exp((a - 1) * (r - loss + log1p(-1 / a)) - log(a));
            least = fmin(least, mean * fmin(fmin(delta, 1), sqrt(-expm1(-r))));
        } else {
            least = fmin(least, (1 + shape) * ((1 - 1 / a) * r - log(gamma) / a));
        }
    }
    return rdp + least;
}

START_TEST(selection_meets_the_reference)
{
    for (table *t = table_open("selection.csv"); table_next(t, 23);) {
        sotto_accountant *run = composed(sampled(table_number(t, "q"), table_number(t, "sigma")),
                                         (uint64_t)table_number(t, "steps"));
        const double shape = table_number(t, "shape"), mean = table_number(t, "mean");
        const sotto_mechanism m = selected(run, shape, mean);
        for (int order = 8; order <= 32; order += 24) {
            const double wanted = table_number(t, order == 8 ? "rdp_at_8" : "rdp_at_32");
            const double grid = on_grid(run, shape, mean, table_number(t, "gamma"), order);
            const double rdp = sotto_mechanism_rdp(&m, order);
            /* its one run is dearer than it should be at fractional orders of a sampled release */
            const double excused = table_number(t, "q") < 1 ? 1e-3 : 1e-9;
            ck_assert_msg(excess(grid, wanted) >= -excused && excess(grid, wanted) <= 1e-9,
                          "shape %g mean %g order %d: %.17g, not %.17g", shape, mean, order, grid, wanted);
            ck_assert_msg(rdp <= wanted * (1 + 1e-8) && rdp >= 0.9 * wanted,
                          "shape %g mean %g order %d: %.17g, not within %.17g", shape, mean, order, rdp,
                          wanted);
        }
        const double delta = table_number(t, "delta"), wanted = table_number(t, "eps_selected");
        const double epsilon = epsilon_for(m, 1, delta);
        ck_assert_msg(epsilon <= wanted * (1 + 1e-8) && epsilon >= 0.9 * wanted &&
                          epsilon > epsilon_of(run, delta),
                      "shape %g mean %g: %.17g, not %.17g", shape, mean, epsilon, wanted);
        sotto_accountant_destroy(run);
    }
}
END_TEST

/*
 * Two runs on average decided by hand: a run that answers 0 or 1, randomised response with odds of e^ε, and
 * the best is 1 where there is one. The exact divergence must not exceed the bound.
 */
static double generating(double shape, double gamma, double mean, double x)
{
    if (isinf(shape))
        return exp(mean * (x - 1));
    if (shape == 0)
        return log1p(-(1 - gamma) * x) / log(gamma);
    return (pow(1 - (1 - gamma) * x, -shape) - 1) / (pow(gamma, -shape) - 1);
}

START_TEST(selection_bounds_randomised_response)
{
    const double shapes[] = {-0.5, 0, 0.5, 1, 3, INFINITY};
    uint64_t state = 41;
    for (int i = 0; i < 300; i++) {
        const double shape = shapes[i % 6], epsilon = power_between(&state, -2, 0.7);
        const double gamma = between(&state, 0.01, 0.9), order = 1 + power_between(&state, -1, 2);
        double mean = shape == 0 ? (1 / gamma - 1) / -log(gamma)
                                 : shape * (1 - gamma) / (gamma * (1 - pow(gamma, shape)));
        if (isinf(shape))
            mean = 1 / gamma;
        sotto_mechanism one;
        ck_assert_int_eq(sotto_mechanism_pure(&one, epsilon, NULL), SOTTO_OK);
        sotto_accountant *run = composed(one, 1);
        const sotto_mechanism m = selected(run, shape, mean);
        const double high = 1 / (1 + exp(-epsilon)), ps[] = {high, 1 - high};
        for (int way = 0; way < 2; way++) {
            const double p = ps[way], q = ps[1 - way]; /* of answering 1 */
            const double none = generating(shape, gamma, mean, 0);
            const double low_p = generating(shape, gamma, mean, 1 - p) - none;
            const double low_q = generating(shape, gamma, mean, 1 - q) - none;
            const double top_p = 1 - none - low_p, top_q = 1 - none - low_q;
            const double truth = log(none + pow(low_p, order) * pow(low_q, 1 - order) +
                                     pow(top_p, order) * pow(top_q, 1 - order)) /
                                 (order - 1);
            ck_assert_msg(truth <= sotto_mechanism_rdp(&m, order) + 1e-9,
                          "shape %g gamma %g epsilon %g order %g: %.17g above %.17g", shape, gamma, epsilon,
                          order, truth, sotto_mechanism_rdp(&m, order));
        }
        sotto_accountant_destroy(run);
    }
}
END_TEST

START_TEST(selection_is_monotone_and_never_nan)
{
    uint64_t state = 42;
    for (int i = 0; i < 200; i++) {
        const double shape = i % 4 == 0   ? INFINITY
                             : i % 4 == 1 ? 0
                                          : power_between(&state, -17, 2) - (i % 4 == 2);
        const double mean = 1 + power_between(&state, -12, 6), t = power_between(&state, -6, 6);
        sotto_accountant *run =
            composed(sampled(power_between(&state, -6, 0), power_between(&state, -0.5, 2)),
                     (uint64_t)power_between(&state, 0, 4));
        if (!(shape > -1)) {
            sotto_accountant_destroy(run);
            continue;
        }
        const sotto_mechanism m = selected(run, shape, mean), more = selected(run, shape, mean * 1.2);
        const double here = sotto_mechanism_rdp(&m, 1 + t), kl = sotto_mechanism_rdp(&m, 1);
        const double others[] = {sotto_accountant_rdp(run, 1 + t), kl, sotto_mechanism_rdp(&m, 1 + t / 1.3)};
        /* With a Poisson number of runs the bound may fall again, and stays one. */
        const double least = isinf(shape) ? INFINITY : here * (1 + 1e-8) + 1e-12;
        ck_assert_msg(others[0] >= 0 && others[0] <= here * (1 + 1e-9) && others[1] >= 0 &&
                          others[1] <= least && others[2] >= 0 && others[2] <= least,
                      "shape %g mean %.17g t %.17g: run %.17g, kl %.17g, before %.17g, here %.17g", shape,
                      mean, t, others[0], others[1], others[2], here);
        ck_assert_double_le(here, sotto_mechanism_rdp(&more, 1 + t) * (1 + 1e-8));
        ck_assert(isfinite(kl));
        sotto_accountant_destroy(run);
    }
}
END_TEST

START_TEST(selection_has_its_limits)
{
    sotto_accountant *run = composed(sampled(0.01, 1.0), 100), *nothing = composed(gaussian(1.0), 0);
    const sotto_accountant *const runs[] = {run, nothing};
    for (int i = 0; i < 2; i++)
        for (double order = 1; order < 1e5; order *= 3) {
            /* once is once, and nothing is nothing */
            const sotto_mechanism once = selected(runs[i], 1.0, 1.0);
            ck_assert_double_eq(sotto_mechanism_rdp(&once, order), sotto_accountant_rdp(runs[i], order));
            const sotto_mechanism often = selected(nothing, i ? 0.0 : INFINITY, 1e6);
            ck_assert_double_eq(sotto_mechanism_rdp(&often, order), 0.0);
        }
    /* shapes on both sides of 0 meet there */
    const sotto_mechanism at = selected(run, 0, 10), above = selected(run, 1e-9, 10),
                          below = selected(run, -1e-9, 10);
    ck_assert_double_le(fabs(excess(sotto_mechanism_rdp(&above, 8), sotto_mechanism_rdp(&at, 8))), 1e-8);
    ck_assert_double_le(fabs(excess(sotto_mechanism_rdp(&below, 8), sotto_mechanism_rdp(&at, 8))), 1e-8);
    /* no guarantee of one, none of the best */
    sotto_accountant *bare = composed(gaussian(0.0), 1);
    const sotto_mechanism none = selected(bare, 1, 10);
    ck_assert_double_eq(sotto_mechanism_rdp(&none, 2), INFINITY);
    sotto_accountant_destroy(bare);
    sotto_accountant_destroy(nothing);
    sotto_accountant_destroy(run);
}
END_TEST

START_TEST(selection_refuses_nonsense)
{
    sotto_accountant *run = composed(sampled(0.01, 1.0), 100);
    const sotto_mechanism good = selected(run, 1, 10);
    sotto_mechanism m = good;
    const double shapes[] = {-1, -2, -INFINITY, NAN}, means[] = {0.999, 0, -1, INFINITY, NAN};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        ck_assert_int_eq(sotto_mechanism_selection(&m, run, shapes[i], 10, NULL), SOTTO_ERROR_INPUT);
    for (size_t i = 0; i < sizeof means / sizeof *means; i++)
        ck_assert_int_eq(sotto_mechanism_selection(&m, run, 1, means[i], NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_selection(&m, NULL, 1, 10, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_group(&m, &good, 2, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_with_adjacency(&m, &good, SOTTO_ADJACENCY_REPLACE_ONE, NULL),
                     SOTTO_ERROR_INPUT);
    sotto_accountant *nested = composed(good, 1);
    sotto_error err = {0};
    ck_assert_int_eq(sotto_mechanism_selection(&m, nested, 1, 10, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "selection in it"));
    ck_assert(sotto_mechanism_equal(&m, &good));
    m = sampled(0.1, 1.0);
    m.run = run;
    ck_assert_int_eq(sotto_mechanism_check(&m, NULL), SOTTO_ERROR_INPUT);
    sotto_accountant_destroy(nested);

    sotto_mechanism replaced;
    ck_assert_int_eq(sotto_mechanism_gaussian_without_replacement(&replaced, 0.1, 4, NULL), SOTTO_OK);
    nested = composed(replaced, 3);
    ck_assert_int_eq(selected(nested, 1, 10).adjacency, SOTTO_ADJACENCY_REPLACE_ONE);
    sotto_accountant_destroy(nested);
    sotto_accountant_destroy(run);
}
END_TEST

/* What was composed or charged stays what it was, whatever becomes of the run. */
START_TEST(a_copy_of_the_run_is_kept)
{
    sotto_accountant *run = composed(sampled(0.01, 1.0), 100), *same = composed(sampled(0.01, 1.0), 100);
    sotto_accountant *longer = composed(sampled(0.01, 1.0), 101);
    const sotto_mechanism m = selected(run, 1, 3), equal = selected(same, 1, 3),
                          other = selected(longer, 1, 3);
    ck_assert(sotto_mechanism_equal(&m, &equal) && !sotto_mechanism_equal(&m, &other));
    const sotto_mechanism shaped = selected(run, 2, 3), often = selected(run, 1, 4);
    ck_assert(!sotto_mechanism_equal(&m, &shaped) && !sotto_mechanism_equal(&m, &often));

    sotto_budget *budget, *filter;
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 20, 1e-6, &budget, NULL), SOTTO_OK);
    sotto_accountant *whole = composed(m, 1);
    ck_assert_int_eq(sotto_budget_create_filter(20, 1e-6, whole, &filter, NULL), SOTTO_OK);
    const double epsilon = epsilon_of(whole, 1e-6), twice = epsilon_for(m, 2, 1e-6);
    sotto_budget *const budgets[] = {budget, filter};
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_gt(sotto_budget_remaining(budgets[i], &m), 0);
        ck_assert(sotto_budget_allows(budgets[i], &other, 1));
        ck_assert_int_eq(sotto_budget_charge(budgets[i], &m, 1, "tuning", NULL), SOTTO_OK);
    }
    const uint64_t left = sotto_budget_remaining(budget, &m), of_filter = sotto_budget_remaining(filter, &m);
    uint64_t steps;
    ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, 20, 1e-6, &m, whole, &steps, NULL),
                     SOTTO_OK);
    ck_assert_uint_eq(steps, left);
    sotto_accountant_destroy(run);
    sotto_accountant_destroy(longer);

    ck_assert_double_eq(epsilon_of(whole, 1e-6), epsilon);
    ck_assert_int_eq(sotto_accountant_compose(whole, &equal, 1, NULL), SOTTO_OK);
    ck_assert_double_eq(epsilon_of(whole, 1e-6), twice);
    ck_assert_uint_eq(sotto_budget_remaining(budget, &equal), left);
    ck_assert_uint_eq(sotto_budget_remaining(filter, &equal), of_filter);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sotto_budget_charge(budgets[i], &equal, 1, "tuning", NULL), SOTTO_OK);
        size_t lines;
        const sotto_charge *charges = sotto_budget_charges(budgets[i], &lines);
        ck_assert_uint_eq(lines, 1);
        ck_assert_uint_eq(charges[0].count, 2);
        ck_assert(sotto_mechanism_equal(&charges[0].mechanism, &equal));
    }
    sotto_accountant_destroy(same);
    size_t lines;
    const sotto_charge *charges = sotto_budget_charges(budget, &lines);
    ck_assert_double_gt(sotto_mechanism_rdp(&charges[0].mechanism, 3.0), 0.0);
    ck_assert_uint_eq(sotto_budget_remaining(budget, &charges[0].mechanism), left - 1);
    sotto_budget_destroy(budget);
    sotto_budget_destroy(filter);
    sotto_accountant_destroy(whole);
}
END_TEST

/* An accountant may even take in a selection from itself. */
START_TEST(a_run_may_be_what_it_joins)
{
    sotto_accountant *run = composed(sampled(0.01, 1.0), 100);
    const double once = sotto_accountant_rdp(run, 4);
    const sotto_mechanism m = selected(run, 1, 3);
    const double more = sotto_mechanism_rdp(&m, 4);
    ck_assert_int_eq(sotto_accountant_compose(run, &m, 2, NULL), SOTTO_OK);
    ck_assert_double_le(fabs(excess(sotto_accountant_rdp(run, 4), once + 2 * more)), 1e-15);
    ck_assert_double_eq(sotto_mechanism_rdp(&m, 4), INFINITY); /* now nested */
    sotto_accountant_destroy(run);
}
END_TEST

TCase *selection_tests(void)
{
    TCase *tests = tcase_create("selection");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, selection_meets_the_reference);
    tcase_add_test(tests, selection_bounds_randomised_response);
    tcase_add_test(tests, selection_is_monotone_and_never_nan);
    tcase_add_test(tests, selection_has_its_limits);
    tcase_add_test(tests, selection_refuses_nonsense);
    tcase_add_test(tests, a_copy_of_the_run_is_kept);
    tcase_add_test(tests, a_run_may_be_what_it_joins);
    return tests;
}
