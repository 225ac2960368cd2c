/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Noisy counts: what they are charged, and the noise they carry. */

#include "test_dpsgd.h"

#include <math.h>

static size_t parity_cell(const void *context, uint32_t unit, size_t table)
{
    (void)context;
    return table == 0 ? unit % 2 : unit % 5;
}

/* Residuals of 400 releases: mean 0 and variance σ²·tables within 6 standard errors (false-alarm rate 4e-9).
 */
START_TEST(counts_carry_the_noise_of_their_sensitivity)
{
    enum { RELEASES = 400 };
    const size_t sizes[] = {2, 5};
    const double truth[] = {350, 350, 140, 140, 140, 140, 140};
    const sotto_counts_query query = {.tables = 2, .table_size = sizes, .cell = parity_cell};
    struct scene *scene = open_scene();
    sotto_mechanism mechanism;
    sotto_budget *budget;
    double sum = 0;
    double squares = 0;
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, 10.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e6, 1e-5, &budget, NULL), SOTTO_OK);
    for (int release = 0; release < RELEASES; release++) {
        double counts[7];
        ck_assert_int_eq(sotto_counts_release(&query, &mechanism, budget, "counts",
                                              &(sotto_units){.rows = scene->units, .count = UNITS},
                                              scene->random, counts, NULL),
                         SOTTO_OK);
        for (size_t i = 0; i < 7; i++) {
            /* On the integers' own grid: low-order bits of the noise would tell the count beneath it. */
            ck_assert_double_eq(counts[i], nearbyint(counts[i]));
            sum += counts[i] - truth[i];
            squares += pow(counts[i] - truth[i], 2);
        }
    }
    const double draws = 7 * RELEASES;
    const double variance = 10.0 * 10.0 * 2;
    ck_assert_double_le(fabs(sum / draws), 6 * sqrt(variance / draws));
    ck_assert_double_le(fabs(squares / draws / variance - 1), 6 * sqrt(2 / draws));
    size_t lines;
    ck_assert_uint_eq(sotto_budget_charges(budget, &lines)[0].count, RELEASES);
    sotto_budget_destroy(budget);
    close_scene(scene);
}
END_TEST

START_TEST(counts_are_refused_beyond_the_budget)
{
    const size_t size = 2;
    const sotto_counts_query query = {.tables = 1, .table_size = &size, .cell = parity_cell};
    struct scene *scene = open_scene();
    sotto_mechanism mechanism;
    sotto_budget *budget;
    double counts[2] = {-1.0, -1.0};
    size_t lines;
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 0.1, 1e-5, &budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_counts_release(&query, &mechanism, budget, "counts",
                                          &(sotto_units){.rows = scene->units, .count = UNITS}, scene->random,
                                          counts, NULL),
                     SOTTO_ERROR_BUDGET);
    ck_assert_double_eq(counts[0], -1.0);
    /* priced for another neighbourhood than the noise is made for */
    sotto_mechanism wide, replaced;
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, 1000.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_group(&wide, &mechanism, 2, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_with_adjacency(&replaced, &mechanism, SOTTO_ADJACENCY_REPLACE_ONE, NULL),
                     SOTTO_OK);
    const sotto_mechanism others[] = {wide, replaced};
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(sotto_counts_release(&query, &others[i], budget, "counts",
                                              &(sotto_units){.rows = scene->units, .count = UNITS},
                                              scene->random, counts, NULL),
                         SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&mechanism, 0.1, 100.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_counts_release(&query, &mechanism, budget, "counts",
                                          &(sotto_units){.rows = scene->units, .count = UNITS}, scene->random,
                                          counts, NULL),
                     SOTTO_ERROR_INPUT);
    (void)sotto_budget_charges(budget, &lines);
    ck_assert_uint_eq(lines, 0);
    sotto_budget_destroy(budget);
    close_scene(scene);
}
END_TEST

/* The release of a table with a unit more is the other's with 1 more in the unit's cells, whatever the noise:
 * how the noise is rounded to counts does not look at the counts. */
START_TEST(a_unit_moves_each_table_by_one_cell)
{
    const size_t sizes[] = {2, 5};
    const sotto_counts_query query = {.tables = 2, .table_size = sizes, .cell = parity_cell};
    const double sigmas[] = {1e-6, 0.3, 1.0, 77.7, 1e5, 4e6};
    for (size_t s = 0; s < sizeof sigmas / sizeof *sigmas; s++)
        for (size_t count = 0; count < 40; count++) {
            double released[2][7];
            for (size_t more = 0; more < 2; more++) {
                struct scene *scene = open_scene_of(&(sotto_layer){.kind = SOTTO_LAYER_TANH}, 1, s + 10);
                sotto_mechanism mechanism;
                sotto_budget *budget;
                ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, sigmas[s], NULL), SOTTO_OK);
                ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e300, 1e-5, &budget, NULL),
                                 SOTTO_OK);
                const sotto_units units = {.rows = scene->units, .count = count + more};
                ck_assert_int_eq(sotto_counts_release(&query, &mechanism, budget, "counts", &units,
                                                      scene->random, released[more], NULL),
                                 SOTTO_OK);
                sotto_budget_destroy(budget);
                close_scene(scene);
            }
            for (size_t i = 0; i < 7; i++)
                ck_assert_double_eq(released[1][i] - released[0][i],
                                    i == count % 2 || i == 2 + count % 5 ? 1.0 : 0.0);
        }
}
END_TEST

/* A multiplier for which there is no grid is refused before anything is charged. */
START_TEST(counts_beyond_the_grid_are_refused)
{
    const size_t sizes[] = {2, 5};
    const sotto_counts_query query = {.tables = 2, .table_size = sizes, .cell = parity_cell};
    struct scene *scene = open_scene();
    sotto_mechanism mechanism;
    sotto_budget *budget;
    double counts[7] = {-1.0};
    size_t lines;
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, 0x1p23, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1.0, 1e-5, &budget, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_counts_release(&query, &mechanism, budget, "counts",
                                          &(sotto_units){.rows = scene->units, .count = UNITS}, scene->random,
                                          counts, NULL),
                     SOTTO_ERROR_INPUT);
    (void)sotto_budget_charges(budget, &lines);
    ck_assert_uint_eq(lines, 0);
    ck_assert_double_eq(counts[0], -1.0);
    sotto_budget_destroy(budget);
    close_scene(scene);
}
END_TEST

TCase *counts_tests(void)
{
    TCase *tests = tcase_create("counts");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, counts_carry_the_noise_of_their_sensitivity);
    tcase_add_test(tests, counts_are_refused_beyond_the_budget);
    tcase_add_test(tests, a_unit_moves_each_table_by_one_cell);
    tcase_add_test(tests, counts_beyond_the_grid_are_refused);
    return tests;
}
