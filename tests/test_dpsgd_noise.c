/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The grid of exact noise, and whose noise is whose. */

#include "test_dpsgd.h"

#include <math.h>

/* --------------------------------------------------------------------- the grid */

/*
 * S² − 1/12 ≥ (σ·steps)² in integers. S·√(1 − 1/(12S²)) ≥ S(1 − 2⁻⁵⁷), since 1/(12S²) < 2⁻⁵⁷; so σ·steps ≤
 * 2²⁷ − 2⁻³⁰ is enough, with σ = m·2^e, m < 2⁵³, and steps = bound·2^shift: m·bound ≤ (2⁵⁷ − 1)·2^(−30 − e −
 * shift).
 */
static bool noise_covers(const sotto_noise_grid *grid, double sigma)
{
    int exponent;
    const sotto_uint128 product = (sotto_uint128)(uint64_t)ldexp(frexp(sigma, &exponent), 53) * grid->bound;
    const int shift = -30 - (exponent - 53) - (int)grid->shift;
    const sotto_uint128 most = (UINT64_C(1) << 57) - 1;
    ck_assert_int_lt(shift, 70);
    return shift >= 0 ? product <= most << shift : product << -shift <= most;
}

static double next_sigma(double sigma, int i)
{
    return i % 3 == 0   ? nextafter(sigma, 1e9)
           : i % 3 == 1 ? ldexp(rint(ldexp(sigma, 20)) + 1, -20)
                        : sigma * 1.00371;
}

START_TEST(the_grid_has_room_for_its_noise)
{
    size_t grids = 0;
    for (double sigma = 0x1p-18, last = 0; sigma <= 0x1p23; sigma = next_sigma(last = sigma, (int)grids++)) {
        sotto_noise_grid grid;
        ck_assert_int_eq(sotto_noise_grid_make(&grid, sigma, NULL), SOTTO_OK);
        ck_assert_msg(noise_covers(&grid, sigma), "%.17g: %u steps, shift %u", sigma, grid.bound, grid.shift);
        ck_assert_double_eq(grid.steps, ldexp(grid.bound, (int)grid.shift));
        /* As fine as it may be, but for the last of the bound's 20 bits, or 4 at 2²³. */
        ck_assert(grid.bound < 1u << 21 && grid.bound >= (grid.shift ? 1u << 20 : 15u));
        ck_assert(grid.steps > (1 - 0x1p-19) * 0x1p27 / sigma - 2 || grid.steps >= 0x1p42 * (1 - 0x1p-19));
        ck_assert_double_lt(last, sigma);
    }
    ck_assert_uint_gt(grids, 3000);
}
END_TEST

START_TEST(a_multiplier_without_a_grid_is_refused)
{
    const double sigmas[] = {0x1.00001p23, 1e9, INFINITY, NAN, -1.0};
    sotto_noise_grid grid;
    sotto_error err = {0};
    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
        ck_assert_int_eq(sotto_noise_grid_make(&grid, sigmas[i], &err), SOTTO_ERROR_INPUT);
        ck_assert_ptr_nonnull(strstr(err.message, "the largest is"));
    }
    struct scene *scene = open_scene();
    sotto_dpsgd_options options = step_options(scene, SOTTO_ARITHMETIC_EXACT, 0.1, 0x1p24, UNITS);
    sotto_dpsgd *step;
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    close_scene(scene);
}
END_TEST

/* (1 + e^ε)·n·2⁻¹¹⁵, rounded up, and at most 1. */
START_TEST(noise_costs_what_its_distance_is)
{
    const double eta = ldexp(1.0, SOTTO_NOISE_ROUNDED_TOTAL_VARIATION_LOG2);
    ck_assert_double_eq(sotto_noise_delta(1.0, 0.0), 0.0);
    ck_assert_double_ge(sotto_noise_delta(0.0, 1e9), 2e9 * eta);
    ck_assert_double_ge(sotto_noise_delta(3.0, 7.0), (1 + exp(3.0)) * 7 * eta);
    ck_assert_double_le(sotto_noise_delta(3.0, 7.0), (1 + exp(3.0)) * 7 * eta * (1 + 1e-9));
    ck_assert_double_eq(sotto_noise_delta(1e9, 1.0), 1.0);
    ck_assert_double_eq(sotto_noise_delta(NAN, 1.0), 1.0);
}
END_TEST

/* ------------------------------------------------------------------- whose noise */

enum { BLOCK = 2048, BLOCKS = 6, MOVES = 3 };

/*
 * Of 6 blocks of 2,048 parameters, dealt out to 4 streams, and 3 steps, no two share their draws: all 153
 * correlations within 6 standard errors (false-alarm rate 3e-7), and each variance is σC/B̄'s, whatever the
 * threads and the number of chunks.
 */
START_TEST(no_two_parts_share_noise)
{
    const sotto_layer layers[] = {sotto_layer_dense(96), sotto_layer_tanh(), sotto_layer_dense(120),
                                  sotto_layer_tanh(), sotto_layer_dense(1)};
    const double sigma = 3.0 * 0.5 / (0.5 * UNITS);
    struct scene *scene = open_scene_of(layers, 5, 5);
    sotto_dpsgd_options options = step_options(scene, (sotto_arithmetic)(_i % 2), 0.5, 3.0, UNITS);
    static double moves[MOVES * BLOCKS][BLOCK];
    float *before = calloc(scene->count, sizeof *before);
    options.threads = _i < 2 ? 1 : 4;
    open_step(scene, &options, 1e9);
    ck_assert_uint_ge(scene->count, BLOCKS * BLOCK);
    for (size_t step = 0; step < MOVES; step++) {
        memcpy(before, scene->parameters, scene->count * sizeof *before);
        take(scene, step * 150, silent_pass);
        for (size_t i = 0; i < BLOCKS * BLOCK; i++)
            moves[step * BLOCKS + i / BLOCK][i % BLOCK] = ((double)scene->parameters[i] - before[i]) / sigma;
    }
    for (size_t a = 0; a < MOVES * BLOCKS; a++)
        for (size_t b = 0; b <= a; b++) {
            double product = 0;
            for (size_t j = 0; j < BLOCK; j++)
                product += moves[a][j] * moves[b][j] / BLOCK;
            ck_assert_msg(fabs(product - (a == b)) <= 6 * sqrt((a == b ? 2.0 : 1.0) / BLOCK),
                          "blocks %zu and %zu: %g", a, b, product);
        }
    free(before);
    close_scene(scene);
}
END_TEST

/* In exact arithmetic a released sum lies on the grid, and the same noise under another sum moves it by
 * exactly the sum: two steps of one seed, one with silent rows. */
START_TEST(noise_does_not_look_at_the_sum)
{
    double moved[2][512];
    float *sum = NULL;
    size_t count = 0;
    for (int loud = 0; loud < 2; loud++) {
        struct scene *scene = open_scene();
        count = scene->count;
        ck_assert_uint_le(count, 512);
        memset(scene->parameters, 0, count * sizeof *scene->parameters);
        scene->parameters[count - 1] = 0.25f;
        sotto_weights_refresh(scene->weights);
        const sotto_dpsgd_options options = step_options(scene, (sotto_arithmetic)_i, 1.0, 0.01, UNITS);
        if (loud) {
            const sotto_clipping clipping = {.max_grad_norm = 0.5};
            sum = calloc(count, sizeof *sum);
            (void)float_sum(scene, &clipping, 1, scene->units, UNITS, PUBLIC, pass, sum);
        }
        open_step(scene, &options, 1e15);
        take(scene, PUBLIC, loud ? pass : silent_pass);
        for (size_t j = 0; j < count; j++)
            moved[loud][j] = (j == count - 1 ? 0.25 : 0.0) - (double)scene->parameters[j];
        close_scene(scene);
    }
    /* Margins of 2⁻¹⁰ and rounding to the grid: 1,000 clipped units differ by less than 1,000·0.5·2⁻⁹ in
     * norm. */
    for (size_t j = 0; j < count; j++)
        ck_assert_double_le(fabs((moved[1][j] - moved[0][j]) * UNITS - sum[j]), 1.0);
    free(sum);
}
END_TEST

TCase *noise_tests(void)
{
    TCase *tests = tcase_create("noise");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, the_grid_has_room_for_its_noise);
    tcase_add_test(tests, a_multiplier_without_a_grid_is_refused);
    tcase_add_test(tests, noise_costs_what_its_distance_is);
    tcase_add_loop_test(tests, no_two_parts_share_noise, 0, 2 * ARITHMETICS);
    tcase_add_loop_test(tests, noise_does_not_look_at_the_sum, 0, ARITHMETICS);
    return tests;
}
