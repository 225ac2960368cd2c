/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Units of several rows: one coin each, one clipped row in a step, at most m rows in a count, and noise for
 * m. */

#include "test_dpsgd.h"

#include <math.h>

/* Units 0 … PEOPLE − 1 of one row each, then one of LATE rows. */
enum { PEOPLE = 200, LATE = 8 };

struct people {
    uint32_t rows[PEOPLE + LATE];
    uint32_t first[PEOPLE + 2];
    sotto_units units;
};

static void gather(struct people *people, size_t most, bool late)
{
    for (size_t i = 0; i < PEOPLE + LATE; i++)
        people->rows[i] = (uint32_t)i;
    for (size_t u = 0; u <= PEOPLE; u++)
        people->first[u] = (uint32_t)u;
    people->first[PEOPLE + 1] = PEOPLE + LATE;
    people->units =
        (sotto_units){.rows = people->rows, .first = people->first, .count = PEOPLE + late, .most = most};
}

/* ----------------------------------------------------------------- sampling */

/* P3: a person of many rows is in a batch no oftener than one of a single row, with one row, which is any of
 * the first m alike. Within 6 standard deviations (2e-9); χ² of the rows as its degrees of freedom have it.
 */
START_TEST(each_unit_has_one_coin_whatever_its_rows)
{
    enum { STEPS = 8000 };
    const double q = 0.2;
    static const size_t mosts[] = {1, 2, 5, LATE, 100};
    const size_t most = mosts[_i], kept = most < LATE ? most : LATE;
    struct scene *scene = open_scene();
    struct people people;
    sotto_stream *stream;
    double seen[PEOPLE + LATE] = {0}, sizes = 0, times = 0, chi2 = 0;
    gather(&people, most, true);
    ck_assert_int_eq(sotto_stream_create(&stream, scene->random, SOTTO_PURPOSE_SAMPLING, NULL), SOTTO_OK);
    for (int step = 0; step < STEPS; step++) {
        uint32_t sample[PEOPLE + 1];
        const size_t size = sotto_poisson_sample(stream, q, &people.units, sample);
        for (size_t i = 0; i < size; i++) {
            ck_assert_msg(sample[i] < PEOPLE || i + 1 == size, "two rows of one unit in a batch");
            seen[sample[i]]++;
        }
        sizes += (double)size / STEPS;
    }
    const double deviation = sqrt(STEPS * q * (1 - q));
    for (size_t u = 0; u < PEOPLE; u++)
        ck_assert_double_le(fabs(seen[u] - STEPS * q), 6 * deviation);
    for (size_t i = 0; i < LATE; i++)
        times += seen[PEOPLE + i];
    ck_assert_double_le(fabs(times - STEPS * q), 6 * deviation);
    ck_assert_double_le(fabs(sizes - (PEOPLE + 1) * q), 6 * sqrt((PEOPLE + 1) * q * (1 - q) / STEPS));
    for (size_t i = 0; i < kept; i++)
        chi2 += pow(seen[PEOPLE + i] - times / (double)kept, 2) / (times / (double)kept);
    ck_assert_double_lt(chi2, 50); /* 7 degrees of freedom at most: 1.4e-8 */
    for (size_t i = kept; i < LATE; i++)
        ck_assert_double_eq(seen[PEOPLE + i], 0);
    sotto_stream_destroy(stream);
    close_scene(scene);
}
END_TEST

/* -------------------------------------------------------------------- steps */

static const float hostile[] = {1.0f, 1e4f, 1e30f, INFINITY, NAN};

/* One step at rate 1 and q = 1 over all people, with the late one or without; what the parameters moved by.
 */
static void moved_by(sotto_arithmetic arithmetic, size_t most, bool late, float value, double *moves)
{
    struct scene *scene = open_scene();
    struct people people;
    gather(&people, most, late);
    for (size_t i = 0; i < LATE; i++)
        for (size_t k = 0; k < INPUTS; k++)
            scene->rows[PEOPLE + i][k] = value * (float)(1 + i % 2);
    sotto_dpsgd_options options = step_options(scene, arithmetic, 1.0, 0.01, 0);
    options.units = people.units;
    options.public_units = PEOPLE;
    open_step(scene, &options, 1e9);
    float *before = calloc(scene->count, sizeof *before);
    memcpy(before, scene->parameters, scene->count * sizeof *before);
    take(scene, 0, pass);
    ck_assert_uint_eq(sotto_dpsgd_last(scene->step).batch, PEOPLE + late);
    for (size_t i = 0; i < scene->count; i++)
        moves[i] = ((double)before[i] - (double)scene->parameters[i]) * PEOPLE;
    free(before);
    close_scene(scene);
}

/* P5: all that a person of many rows adds to a step is no longer than C, with frozen noise and whatever the
 * rows hold; and it is not nothing. Parameters are floats, whose rounding is multiplied by B̄. */
START_TEST(a_unit_of_many_rows_moves_a_step_by_at_most_the_bound)
{
    const sotto_arithmetic arithmetic = (sotto_arithmetic)(_i % ARITHMETICS);
    const float value = hostile[_i / ARITHMETICS];
    static const size_t mosts[] = {1, 3, LATE};
    double with[400], without[400];
    struct scene *scene = open_scene();
    const size_t count = scene->count;
    ck_assert_uint_le(count, 400);
    close_scene(scene);
    for (size_t m = 0; m < 3; m++) {
        double distance2 = 0;
        moved_by(arithmetic, mosts[m], true, value, with);
        moved_by(arithmetic, mosts[m], false, value, without);
        for (size_t i = 0; i < count; i++)
            distance2 += pow(with[i] - without[i], 2);
        ck_assert_double_le(sqrt(distance2), 0.5 + 2e-3);
        if (_i / ARITHMETICS == 0)
            ck_assert_double_ge(sqrt(distance2), 0.1);
    }
}
END_TEST

/* ------------------------------------------------------------------- counts */

static size_t one_cell(const void *context, uint32_t row, size_t table)
{
    (void)context;
    return row >= PEOPLE ? 1 : (row + table) % 3; /* the late one's rows all fall into the same */
}

static const sotto_counts_query three_tables = {
    .tables = 3, .table_size = (const size_t[]){3, 3, 3}, .cell = one_cell};

static void count(const sotto_units *units, double sigma, uint64_t seed, double counts[9])
{
    struct scene *scene = open_scene_of(&(sotto_layer){.kind = SOTTO_LAYER_TANH}, 1, seed);
    sotto_mechanism mechanism;
    sotto_budget *budget;
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, sigma, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e300, 1e-5, &budget, NULL), SOTTO_OK);
    ck_assert_int_eq(
        sotto_counts_release(&three_tables, &mechanism, budget, "counts", units, scene->random, counts, NULL),
        SOTTO_OK);
    sotto_budget_destroy(budget);
    close_scene(scene);
}

/* P2, P11: with frozen noise a person more moves the counts by m·√tables in L2 and no more, however many rows
 * there are; the first m are counted. */
START_TEST(a_unit_moves_counts_by_the_rows_that_are_charged)
{
    for (size_t most = 0; most <= LATE + 2; most++) {
        const size_t charged = most ? most : 1, counted = charged < LATE ? charged : LATE;
        struct people with, without;
        double more[9], less[9], distance2 = 0;
        gather(&with, most, true);
        gather(&without, most, false);
        count(&with.units, 20.0, most + 7, more);
        count(&without.units, 20.0, most + 7, less);
        for (size_t i = 0; i < 9; i++) {
            ck_assert_double_eq(more[i] - less[i], i % 3 == 1 ? (double)counted : 0);
            distance2 += pow(more[i] - less[i], 2);
        }
        ck_assert_double_le(distance2, (double)(charged * charged) * 3);
    }
}
END_TEST

/* Residuals have variance σ²·m²·tables, within 6 standard errors (2e-9). */
START_TEST(counts_of_units_carry_the_noise_of_their_rows)
{
    enum { RELEASES = 300 };
    static const size_t mosts[] = {1, 2, 7};
    const size_t most = mosts[_i];
    const double sigma = 15.0;
    struct people people;
    double squares = 0, truth[9];
    gather(&people, most, true);
    count(&people.units, 1e-6, 1, truth);
    for (uint64_t release = 0; release < RELEASES; release++) {
        double counts[9];
        count(&people.units, sigma, release, counts);
        for (size_t i = 0; i < 9; i++)
            squares += pow(counts[i] - truth[i], 2);
    }
    const double variance = sigma * sigma * (double)(most * most) * 3, draws = 9 * RELEASES;
    ck_assert_double_le(fabs(squares / draws / variance - 1), 6 * sqrt(2 / draws));
}
END_TEST

TCase *units_tests(void)
{
    TCase *tests = tcase_create("units");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, each_unit_has_one_coin_whatever_its_rows, 0, 5);
    tcase_add_loop_test(tests, a_unit_of_many_rows_moves_a_step_by_at_most_the_bound, 0,
                        ARITHMETICS * (int)(sizeof hostile / sizeof *hostile));
    tcase_add_test(tests, a_unit_moves_counts_by_the_rows_that_are_charged);
    tcase_add_loop_test(tests, counts_of_units_carry_the_noise_of_their_rows, 0, 3);
    return tests;
}
