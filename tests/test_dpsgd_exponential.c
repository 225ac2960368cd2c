/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Picks: charged first, by the odds that are charged, from scores that one unit moves by 1 at most. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dpsgd/dpsgd.h"
#include "suite.h"

enum { UNITS = 40, CANDIDATES = 4, CELLS = 3 };

/* Unit u of candidate c is in cell (u·(c + 1)) % 3, and the guesses are the true counts, off by `off` once.
 */
struct scene {
    sotto_random *random;
    sotto_budget *budget;
    uint32_t units[UNITS];
    size_t unit_count;
    int64_t off[CANDIDATES], handicap[CANDIDATES];
    size_t closed; /* candidate that may not be picked, or CANDIDATES; nor what was picked before */
    bool *looked;  /* at a row */
    bool seen;
};

static size_t cells(const void *context, size_t candidate)
{
    (void)context, (void)candidate;
    return CELLS;
}

static size_t cell(const void *context, uint32_t unit, size_t candidate)
{
    *((const struct scene *)context)->looked = true;
    return unit * (candidate + 1) % CELLS;
}

static void guess(const void *context, size_t candidate, int64_t *counts)
{
    const struct scene *scene = context;
    for (size_t i = 0; i < scene->unit_count; i++)
        counts[scene->units[i] * (candidate + 1) % CELLS]++;
    counts[0] += scene->off[candidate];
}

static int64_t handicap(const void *context, size_t candidate)
{
    return ((const struct scene *)context)->handicap[candidate];
}

static bool is_open(const void *context, size_t candidate, const size_t *picked, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (picked[i] == candidate)
            return false;
    return candidate != ((const struct scene *)context)->closed;
}

static void open_scene(struct scene *scene)
{
    *scene = (struct scene){.unit_count = UNITS, .closed = CANDIDATES, .off = {0, 3, -5, 6}};
    scene->looked = &scene->seen;
    for (uint32_t i = 0; i < UNITS; i++)
        scene->units[i] = i;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&scene->random, 11, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1e6, 1e-5, &scene->budget, NULL), SOTTO_OK);
}

static void close_scene(struct scene *scene)
{
    sotto_budget_destroy(scene->budget);
    sotto_random_destroy(scene->random);
}

static sotto_status release(struct scene *scene, const sotto_mechanism *mechanism, size_t picks,
                            size_t *picked, sotto_error *err)
{
    const sotto_picks_query query = {.candidates = CANDIDATES,
                                     .cells = cells,
                                     .cell = cell,
                                     .guess = guess,
                                     .handicap = handicap,
                                     .open = is_open,
                                     .context = scene};
    return sotto_picks_release(&query, mechanism, picks, scene->budget, "picks",
                               &(sotto_units){.rows = scene->units, .count = scene->unit_count},
                               scene->random, picked, err);
}

static sotto_mechanism exponential(double epsilon)
{
    sotto_mechanism mechanism;
    ck_assert_int_eq(sotto_mechanism_exponential(&mechanism, epsilon, NULL), SOTTO_OK);
    return mechanism;
}

/*
 * P2: the first pick by odds of e^{ε·score/2}, where a score is less a handicap, the second by the same odds
 * among the rest. χ² of 20,000 ordered pairs of picks, 12 cells; 11 degrees of freedom, critical value 49 at
 * a false-alarm rate of 1e-6.
 */
START_TEST(picks_have_the_odds_that_are_charged)
{
    enum { TRIES = 20000 };
    struct scene scene;
    open_scene(&scene);
    const double epsilon = 0.7;
    const sotto_mechanism mechanism = exponential(epsilon);
    double seen[CANDIDATES][CANDIDATES] = {{0}}, odds[CANDIDATES], all = 0, chi2 = 0;
    const int64_t handicaps[2][CANDIDATES] = {{0}, {-2, 1, 3, 4}};
    memcpy(scene.handicap, handicaps[_i], sizeof scene.handicap);
    for (size_t c = 0; c < CANDIDATES; c++)
        all += odds[c] = exp(epsilon / 2 * (double)(llabs(scene.off[c]) - scene.handicap[c]));
    for (int i = 0; i < TRIES; i++) {
        size_t picked[2];
        ck_assert_int_eq(release(&scene, &mechanism, 2, picked, NULL), SOTTO_OK);
        seen[picked[0]][picked[1]]++;
    }
    for (size_t a = 0; a < CANDIDATES; a++)
        for (size_t b = 0; b < CANDIDATES; b++) {
            const double wanted = a == b ? 0 : TRIES * odds[a] / all * odds[b] / (all - odds[a]);
            if (a == b)
                ck_assert_double_eq(seen[a][b], 0);
            else
                chi2 += pow(seen[a][b] - wanted, 2) / wanted;
        }
    ck_assert_double_lt(chi2, 49);
    close_scene(&scene);
}
END_TEST

/*
 * The odds of exact coins: e^{−whole − part/of}, 40,000 tosses each, within 5 standard deviations (a false
 * alarm in 2 of a million for each of the fixed seed's six).
 */
START_TEST(coins_of_exponentials_are_exact)
{
    enum { TOSSES = 40000 };
    static const struct {
        uint64_t whole, part, of;
    } coins[] = {{0, 0, 1}, {0, 1, 2}, {0, 5, 5},
                 {1, 1, 7}, {3, 0, 1}, {2, (uint64_t)1 << 31, (uint64_t)1 << 32}};
    struct scene scene;
    open_scene(&scene);
    sotto_stream *stream;
    ck_assert_int_eq(sotto_stream_create(&stream, scene.random, SOTTO_PURPOSE_NOISE, NULL), SOTTO_OK);
    for (size_t i = 0; i < sizeof coins / sizeof *coins; i++) {
        const double p = exp(-(double)coins[i].whole - (double)coins[i].part / (double)coins[i].of);
        double heads = 0;
        for (int toss = 0; toss < TOSSES; toss++)
            heads += sotto_stream_exp_coin(stream, coins[i].whole, coins[i].part, coins[i].of);
        ck_assert_double_le(fabs(heads - TOSSES * p), 5 * sqrt(TOSSES * p * (1 - p)));
    }
    ck_assert(!sotto_stream_exp_coin(stream, UINT64_MAX, 0, 1)); /* and in no time */
    sotto_stream_destroy(stream);
    close_scene(&scene);
}
END_TEST

/*
 * With one unit less every score moves by 1 at most, so no pick's probability by more than e^ε: at ε = 0 all
 * are alike, and with far-off guesses the best alone is picked. Seen through the mechanism: 20,000 picks with
 * and without a unit; the ratio of frequencies is within e^ε and 6 standard deviations.
 */
START_TEST(neighbours_pick_alike)
{
    enum { TRIES = 20000 };
    struct scene scene;
    open_scene(&scene);
    const double epsilon = 1.0;
    const sotto_mechanism mechanism = exponential(epsilon);
    double seen[2][CANDIDATES] = {{0}};
    for (int without = 0; without < 2; without++)
        for (int i = 0; i < TRIES; i++) {
            size_t picked;
            const sotto_picks_query query = {.candidates = CANDIDATES, /* the guesses stay: they are public */
                                             .cells = cells,
                                             .cell = cell,
                                             .guess = guess,
                                             .open = is_open,
                                             .context = &scene};
            const sotto_units units = {.rows = scene.units, .count = (size_t)(UNITS - without)};
            ck_assert_int_eq(sotto_picks_release(&query, &mechanism, 1, scene.budget, "picks", &units,
                                                 scene.random, &picked, NULL),
                             SOTTO_OK);
            seen[without][picked]++;
        }
    bool moved = false;
    for (size_t c = 0; c < CANDIDATES; c++)
        for (int side = 0; side < 2; side++) {
            const double here = seen[side][c], there = seen[!side][c];
            ck_assert_double_le(here, exp(epsilon) * there + 6 * sqrt(here + exp(2 * epsilon) * there));
            moved = moved || here > 1.15 * there;
        }
    ck_assert(moved); /* the unit does matter */
    close_scene(&scene);
}
END_TEST

/*
 * Units of several rows: odds of e^{ε·score/(2m)}. A person of four rows, all in the same cell, moves a score
 * by 4 and a pick's probability by no more than e^ε; charged for one row, it would by far more. As above.
 */
START_TEST(units_of_several_rows_have_the_odds_that_are_charged)
{
    enum { TRIES = 20000, LATE = 4 };
    const size_t most = LATE;
    struct scene scene;
    open_scene(&scene);
    const double epsilon = 2.0;
    const sotto_mechanism mechanism = exponential(epsilon);
    uint32_t rows[UNITS + 2 * LATE], first[UNITS + 2];
    double seen[2][CANDIDATES] = {{0}}, odds[2][CANDIDATES], all[2] = {0, 0};
    for (uint32_t i = 0; i <= UNITS; i++)
        first[i] = i;
    first[UNITS + 1] = UNITS + 2 * LATE; /* more than are read */
    for (uint32_t i = 0; i < UNITS + 2 * LATE; i++)
        rows[i] = i < UNITS ? i : 0;
    for (size_t c = 0; c < CANDIDATES; c++)
        for (int with = 0; with < 2; with++) {
            const int64_t score = llabs(scene.off[c] - (with ? LATE : 0));
            all[with] += odds[with][c] = exp(epsilon * (double)score / (2.0 * (double)most));
        }
    for (int with = 0; with < 2; with++)
        for (int i = 0; i < TRIES; i++) {
            size_t picked;
            const sotto_units units = {
                .rows = rows, .first = first, .count = UNITS + (size_t)with, .most = most};
            const sotto_picks_query query = {.candidates = CANDIDATES,
                                             .cells = cells,
                                             .cell = cell,
                                             .guess = guess,
                                             .open = is_open,
                                             .context = &scene};
            ck_assert_int_eq(sotto_picks_release(&query, &mechanism, 1, scene.budget, "picks", &units,
                                                 scene.random, &picked, NULL),
                             SOTTO_OK);
            seen[with][picked]++;
        }
    for (size_t c = 0; c < CANDIDATES; c++)
        for (int with = 0; with < 2; with++) {
            const double p = odds[with][c] / all[with], here = seen[with][c], there = seen[!with][c];
            ck_assert_double_le(fabs(here - TRIES * p), 6 * sqrt(TRIES * p * (1 - p)));
            ck_assert_double_le(here, exp(epsilon) * there + 6 * sqrt(here + exp(2 * epsilon) * there));
        }
    close_scene(&scene);
}
END_TEST

/* P7, P10: all picks are charged at once before a row is looked at; refused, nothing is charged or seen. */
START_TEST(picks_are_charged_before_a_row_is_read)
{
    struct scene scene;
    open_scene(&scene);
    const sotto_mechanism mechanism = exponential(0.5);
    size_t picked[CANDIDATES], count;
    ck_assert_int_eq(release(&scene, &mechanism, 3, picked, NULL), SOTTO_OK);
    const sotto_charge *charges = sotto_budget_charges(scene.budget, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(charges[0].count, 3);
    ck_assert(sotto_mechanism_equal(&charges[0].mechanism, &mechanism));
    ck_assert(scene.seen);
    sotto_budget_destroy(scene.budget);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 0.6, 1e-9, &scene.budget, NULL), SOTTO_OK);
    scene.seen = false;
    ck_assert_int_eq(release(&scene, &mechanism, 3, picked, NULL), SOTTO_ERROR_BUDGET);
    (void)sotto_budget_charges(scene.budget, &count);
    ck_assert_uint_eq(count, 0);
    ck_assert(!scene.seen);
    close_scene(&scene);
}
END_TEST

START_TEST(picks_that_cannot_be_are_refused)
{
    struct scene scene;
    open_scene(&scene);
    const sotto_mechanism mechanism = exponential(0.5);
    sotto_mechanism other;
    size_t picked[CANDIDATES + 1], count;
    ck_assert_int_eq(sotto_mechanism_gaussian(&other, 1, NULL), SOTTO_OK);
    ck_assert_int_eq(release(&scene, &other, 1, picked, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_group(&other, &mechanism, 2, NULL), SOTTO_OK);
    ck_assert_int_eq(release(&scene, &other, 1, picked, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(release(&scene, &mechanism, 0, picked, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(release(&scene, &mechanism, CANDIDATES + 1, picked, NULL), SOTTO_ERROR_INPUT);
    (void)sotto_budget_charges(scene.budget, &count);
    ck_assert_uint_eq(count, 0);
    scene.closed = 2; /* of which the third pick finds none left */
    ck_assert_int_eq(release(&scene, &mechanism, CANDIDATES, picked, NULL), SOTTO_ERROR_INPUT);
    close_scene(&scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dpsgd-exponential");
    TCase *tests = tcase_create("exponential");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, picks_have_the_odds_that_are_charged, 0, 2);
    tcase_add_test(tests, coins_of_exponentials_are_exact);
    tcase_add_test(tests, neighbours_pick_alike);
    tcase_add_test(tests, units_of_several_rows_have_the_odds_that_are_charged);
    tcase_add_test(tests, picks_are_charged_before_a_row_is_read);
    tcase_add_test(tests, picks_that_cannot_be_are_refused);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
