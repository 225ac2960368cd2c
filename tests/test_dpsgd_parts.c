/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts: what a vector may tell, who is in which part, and what a round is charged. */

#include "test_dpsgd.h"

#include <math.h>

#include "dpsgd/vector.h"

enum { PARTS = 7, DIMENSION = 40, DRAWN = 1024 };

/* ---- one vector ---- */

static int64_t square_of_difference(const int64_t *a, const int64_t *b, size_t count)
{
    int64_t sum = 0;
    for (size_t j = 0; j < count; j++)
        sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sum;
}

/* Whatever the vectors, they are in the ball, so that any two are twice its radius apart at most; opposite
 * ones nearly are. */
START_TEST(two_vectors_differ_by_twice_the_bound)
{
    const double scales[] = {1e-9, 0.3, 1.0, 1e9, 1e150};
    const double sigmas[] = {1e-6, 0.7, 3.0, 1e5};
    struct scene *scene = open_scene();
    sotto_stream *stream;
    ck_assert_int_eq(sotto_stream_create(&stream, scene->random, SOTTO_PURPOSE_GENERATION, NULL), SOTTO_OK);
    for (size_t s = 0; s < 4; s++)
        for (size_t k = 0; k < 5; k++) {
            sotto_noise_grid grid;
            float raw[DIMENSION];
            double vector[DIMENSION], opposite[DIMENSION];
            int64_t one[DIMENSION], other[DIMENSION];
            ck_assert_int_eq(sotto_vector_grid_make(&grid, sigmas[s], NULL), SOTTO_OK);
            sotto_stream_gaussian(stream, 1.0, raw, DIMENSION);
            for (size_t j = 0; j < DIMENSION; j++)
                opposite[j] = -(vector[j] = scales[k] * (double)raw[j]);
            const int64_t bound = grid.bound;
            const sotto_vector_fate fate = sotto_vector_round(&grid, 0.5, vector, DIMENSION, one);
            ck_assert_int_eq(fate, scales[k] < 1e-3 ? SOTTO_VECTOR_WHOLE : SOTTO_VECTOR_CLIPPED);
            ck_assert_int_eq(sotto_vector_round(&grid, 0.5, opposite, DIMENSION, other), fate);
            const int64_t apart = square_of_difference(one, other, DIMENSION);
            ck_assert_int_le(apart, 4 * bound * bound);
            if (scales[k] > 1 && bound > 1000)
                ck_assert_double_ge(sqrt((double)apart), 1.98 * (double)bound);
            for (size_t j = 0; j < DIMENSION && scales[k] < 1e-3; j++) /* toward zero */
                ck_assert_double_le(fabs((double)one[j]), fabs(vector[j]) / 0.5 * (double)bound);
        }
    sotto_stream_destroy(stream);
    close_scene(scene);
}
END_TEST

START_TEST(what_is_no_number_is_nothing)
{
    const double odd[] = {NAN, INFINITY, -INFINITY, 1e300};
    sotto_noise_grid grid;
    ck_assert_int_eq(sotto_vector_grid_make(&grid, 1.0, NULL), SOTTO_OK);
    for (size_t k = 0; k < 4; k++) {
        const double vector[3] = {1.0, odd[k], -0.25};
        int64_t steps[3] = {1, 1, 1};
        ck_assert_int_eq(sotto_vector_round(&grid, 2.0, vector, 3, steps), SOTTO_VECTOR_NOT_FINITE);
        for (size_t j = 0; j < 3; j++)
            ck_assert_int_eq(steps[j], 0);
    }
}
END_TEST

/* 40 × 500 draws about the clipped vector: mean 0 and deviation 2σC within 6 standard errors (false-alarm
 * rate 4e-9). */
START_TEST(noise_is_made_for_twice_the_bound)
{
    enum { RELEASES = 500 };
    const double sigma = 1.5, bound = 0.25, wanted = 2.0 * sigma * bound;
    struct scene *scene = open_scene();
    sotto_stream *stream;
    sotto_noise_grid grid;
    double vector[DIMENSION], sum = 0.0, squares = 0.0;
    ck_assert_int_eq(sotto_stream_create(&stream, scene->random, SOTTO_PURPOSE_NOISE, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_vector_grid_make(&grid, sigma, NULL), SOTTO_OK);
    for (size_t j = 0; j < DIMENSION; j++)
        vector[j] = 10.0;
    for (int k = 0; k < RELEASES; k++) {
        int64_t steps[DIMENSION];
        float released[DIMENSION];
        ck_assert_int_eq(sotto_vector_release(&grid, bound, stream, vector, DIMENSION, steps, released),
                         SOTTO_VECTOR_CLIPPED);
        for (size_t j = 0; j < DIMENSION; j++) {
            const double off = (double)released[j] - bound / sqrt(DIMENSION);
            sum += off;
            squares += off * off;
        }
    }
    const double draws = DIMENSION * RELEASES;
    ck_assert_double_le(fabs(sum / draws), 6 * wanted / sqrt(draws) + 1e-5);
    ck_assert_double_le(fabs(squares / draws / (wanted * wanted) - 1), 6 * sqrt(2 / draws));
    sotto_stream_destroy(stream);
    close_scene(scene);
}
END_TEST

/* ---- parts ---- */

/* A scene whose parts note which rows they are given. */
struct parted {
    struct scene *scene;
    sotto_parts *parts;
    bool seen[PARTS][UNITS];
    size_t turn;
    uint32_t first[UNITS + 1]; /* of units of several rows */
};

static void noting_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    struct parted *parted = context;
    for (size_t i = 0; i < chunk->unit_count; i++)
        parted->seen[parted->turn % PARTS][chunk->units[i]] = true;
    pass(parted->scene, weights, chunk);
}

static sotto_parts_options options_of(struct parted *parted, size_t units, double sigma, double epsilon)
{
    struct scene *scene = parted->scene;
    sotto_parts_options options = {.clipping = {.max_grad_norm = 0.5},
                                   .parts = PARTS,
                                   .dimension = DIMENSION,
                                   .batch = DRAWN,
                                   .label = "rounds",
                                   .network = scene->network,
                                   .optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_SGD),
                                   .schedule = {.rate = 0.01, .steps = 1000},
                                   .threads = 1,
                                   .units = {.rows = scene->units, .count = units},
                                   .random = scene->random};
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, 1.0, sigma, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, epsilon, 1e-5, &scene->budget, NULL),
                     SOTTO_OK);
    options.budget = scene->budget;
    return options;
}

static struct parted *open_parts(size_t units, double sigma, double epsilon)
{
    struct parted *parted = calloc(1, sizeof *parted);
    sotto_error err = {0};
    ck_assert_ptr_nonnull(parted);
    parted->scene = open_scene();
    const sotto_parts_options options = options_of(parted, units, sigma, epsilon);
    ck_assert_msg(sotto_parts_create(&parted->parts, &options, &err) == SOTTO_OK, "%s", err.message);
    return parted;
}

static void close_parts(struct parted *parted)
{
    sotto_parts_destroy(parted->parts);
    close_scene(parted->scene);
    free(parted);
}

/* A whole turn; what it tells is all that the network's output layer has become. */
static void take_turn(struct parted *parted, size_t lessons, float *released)
{
    double vector[DIMENSION] = {0};
    ck_assert_int_eq(sotto_parts_begin(parted->parts, NULL), SOTTO_OK);
    for (size_t i = 0; i < lessons; i++)
        ck_assert_int_eq(sotto_parts_learn(parted->parts, PUBLIC, noting_pass, parted, NULL), SOTTO_OK);
    sotto_workspace *workspace;
    ck_assert_int_eq(sotto_workspace_create(&workspace, parted->scene->network, DIMENSION, 1, NULL),
                     SOTTO_OK);
    memcpy(sotto_workspace_input(workspace), parted->scene->rows[UNITS], DIMENSION * INPUTS * sizeof(float));
    const float *outputs = sotto_network_forward(sotto_parts_weights(parted->parts), workspace);
    for (size_t j = 0; j < DIMENSION; j++)
        vector[j] = (double)outputs[j];
    sotto_workspace_destroy(workspace);
    ck_assert_int_eq(sotto_parts_release(parted->parts, vector, released, NULL), SOTTO_OK);
    parted->turn++;
}

/*
 * Every unit is in one part; by coins, so that parts differ in size: of 700 units in 7 parts all of 100 or in
 * turns would be chance of less than 1e-6. A unit more is in one part, and changes the part of no other.
 */
START_TEST(each_unit_has_its_own_part)
{
    float released[DIMENSION];
    struct parted *fewer = open_parts(UNITS - 1, 1.0, 1e9), *all = open_parts(UNITS, 1.0, 1e9);
    size_t sizes[PARTS] = {0}, uneven = 0, in_turns = 0;
    for (size_t k = 0; k < PARTS; k++) {
        take_turn(fewer, 8, released);
        take_turn(all, 8, released);
    }
    for (size_t u = 0; u < UNITS; u++) {
        size_t of = 0;
        for (size_t k = 0; k < PARTS; k++) {
            of += all->seen[k][u];
            sizes[k] += all->seen[k][u];
            in_turns += all->seen[k][u] && k == u % PARTS;
            if (u + 1 < UNITS)
                ck_assert_int_eq(all->seen[k][u], fewer->seen[k][u]);
        }
        ck_assert_uint_eq(of, 1);
    }
    for (size_t k = 0; k < PARTS; k++) {
        ck_assert_uint_gt(sizes[k], 50); /* five deviations and more */
        ck_assert_uint_lt(sizes[k], 160);
        uneven += sizes[k] != UNITS / PARTS;
    }
    ck_assert_uint_gt(uneven, 0);
    ck_assert_uint_lt(in_turns, 160);
    close_parts(fewer);
    close_parts(all);
}
END_TEST

/* All that is drawn being the same, a unit more is seen in the turns of one part alone: of each round one
 * vector. */
START_TEST(a_unit_moves_one_vector_of_a_round)
{
    enum { ROUNDS = 3 };
    struct parted *scene[2] = {open_parts(UNITS - 1, 1.0, 1e9), open_parts(UNITS, 1.0, 1e9)};
    size_t moved[PARTS] = {0}, parts = 0;
    for (size_t turn = 0; turn < ROUNDS * PARTS; turn++) {
        float released[2][DIMENSION];
        for (size_t i = 0; i < 2; i++)
            take_turn(scene[i], 2, released[i]);
        moved[turn % PARTS] += memcmp(released[0], released[1], sizeof released[0]) != 0;
    }
    for (size_t k = 0; k < PARTS; k++) {
        ck_assert(moved[k] == 0 || moved[k] == ROUNDS);
        parts += moved[k] > 0;
        ck_assert_int_eq(moved[k] > 0, scene[1]->seen[k][UNITS - 1]);
    }
    ck_assert_uint_eq(parts, 1);
    close_parts(scene[0]);
    close_parts(scene[1]);
}
END_TEST

/* P7: one use for each round that was begun, before its first row; and no row where the budget refuses. */
START_TEST(a_round_is_charged_before_a_row_is_touched)
{
    float released[DIMENSION];
    size_t lines;
    sotto_mechanism one;
    struct parted *parted = open_parts(UNITS, 4.0, 1e9);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&one, 1.0, 4.0, NULL), SOTTO_OK);
    for (size_t turn = 0; turn < 2 * PARTS + 1; turn++) {
        (void)sotto_budget_charges(parted->scene->budget, &lines);
        ck_assert_uint_eq(lines, turn > 0);
        ck_assert_int_eq(sotto_parts_begin(parted->parts, NULL), SOTTO_OK);
        const sotto_charge *charge = sotto_budget_charges(parted->scene->budget, &lines);
        ck_assert_uint_eq(lines, 1);
        ck_assert_uint_eq(charge->count, turn / PARTS + 1);
        ck_assert(sotto_mechanism_equal(&charge->mechanism, &one));
        const double vector[DIMENSION] = {0};
        ck_assert_int_eq(sotto_parts_release(parted->parts, vector, released, NULL), SOTTO_OK);
    }
    close_parts(parted);
    parted = open_parts(UNITS, 4.0, 1.7); /* two rounds cost about 1.5, three about 1.9 */
    for (size_t turn = 0; turn < 2 * PARTS; turn++)
        take_turn(parted, 1, released);
    memset(parted->seen, 0, sizeof parted->seen);
    ck_assert_int_eq(sotto_parts_begin(parted->parts, NULL), SOTTO_ERROR_BUDGET);
    ck_assert_int_eq(sotto_parts_learn(parted->parts, 0, noting_pass, parted, NULL), SOTTO_ERROR_INPUT);
    ck_assert_uint_eq(sotto_budget_charges(parted->scene->budget, &lines)[0].count, 2);
    for (size_t u = 0; u < UNITS; u++)
        ck_assert(!parted->seen[0][u]);
    close_parts(parted);
}
END_TEST

/* Turns are begun, learned in and ended, in this order, and each tells one vector. */
START_TEST(turns_have_their_order)
{
    const double vector[DIMENSION] = {0};
    float released[DIMENSION];
    struct parted *parted = open_parts(UNITS, 1.0, 1e9);
    ck_assert_int_eq(sotto_parts_release(parted->parts, vector, released, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_parts_begin(parted->parts, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_parts_begin(parted->parts, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_parts_release(parted->parts, vector, released, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_parts_release(parted->parts, vector, released, NULL), SOTTO_ERROR_INPUT);
    ck_assert_uint_eq(sotto_parts_turns(parted->parts), 1);
    close_parts(parted);
}
END_TEST

/* Of each unit the rows that may be read, and a part without units, or a table without rows, is none to fail.
 */
START_TEST(parts_may_be_empty_and_units_have_several_rows)
{
    float released[DIMENSION];
    for (size_t units = 0; units < 4; units++) {
        struct parted *parted = calloc(1, sizeof *parted);
        ck_assert_ptr_nonnull(parted);
        parted->scene = open_scene();
        for (uint32_t u = 0; u <= units; u++)
            parted->first[u] = 10 * u;
        sotto_parts_options options = options_of(parted, units, 1.0, 1e9);
        options.units.first = parted->first;
        options.units.most = 4;
        ck_assert_int_eq(sotto_parts_create(&parted->parts, &options, NULL), SOTTO_OK);
        for (size_t k = 0; k < PARTS; k++) {
            take_turn(parted, 2, released);
            const size_t batch = sotto_parts_last(parted->parts).batch;
            ck_assert(batch == 0 || batch == DRAWN);
        }
        for (size_t u = 0; u < UNITS; u++) {
            size_t of = 0;
            for (size_t k = 0; k < PARTS; k++)
                of += parted->seen[k][u];
            ck_assert_uint_eq(of, u < 10 * units && u % 10 < 4);
        }
        close_parts(parted);
    }
}
END_TEST

START_TEST(other_ways_are_refused)
{
    struct parted parted = {.scene = open_scene()};
    sotto_mechanism wide;
    const sotto_parts_options sound = options_of(&parted, UNITS, 1.0, 1e9);
    sotto_parts_options bad[7];
    for (size_t i = 0; i < 7; i++)
        bad[i] = sound;
    bad[0].clipping.kind = SOTTO_CLIPPING_AUTOMATIC;
    bad[1].clipping.kind = SOTTO_CLIPPING_ADAPTIVE;
    bad[2].clipping.max_grad_norm = NAN;
    bad[3].parts = 0;
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&bad[4].mechanism, 0.5, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_group(&wide, &sound.mechanism, 2, NULL), SOTTO_OK);
    bad[5].mechanism = wide;
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&bad[6].mechanism, 1.0, 0x1p23, NULL), SOTTO_OK);
    for (size_t i = 0; i < 7; i++) {
        sotto_error err = {0};
        ck_assert_int_eq(sotto_parts_create(&parted.parts, &bad[i], &err), SOTTO_ERROR_INPUT);
        ck_assert_ptr_null(parted.parts);
        ck_assert_int_ne(err.message[0], 0);
    }
    close_scene(parted.scene);
}
END_TEST

TCase *parts_tests(void)
{
    TCase *tests = tcase_create("parts");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, two_vectors_differ_by_twice_the_bound);
    tcase_add_test(tests, what_is_no_number_is_nothing);
    tcase_add_test(tests, noise_is_made_for_twice_the_bound);
    tcase_add_test(tests, each_unit_has_its_own_part);
    tcase_add_test(tests, a_unit_moves_one_vector_of_a_round);
    tcase_add_test(tests, a_round_is_charged_before_a_row_is_touched);
    tcase_add_test(tests, turns_have_their_order);
    tcase_add_test(tests, parts_may_be_empty_and_units_have_several_rows);
    tcase_add_test(tests, other_ways_are_refused);
    return tests;
}
