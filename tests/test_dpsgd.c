/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The private step: the contract's rules P1 to P7 and P10, each by a test that fails where the rule is
 * broken, in both arithmetics. σ near 0 with an absurd budget makes the sum visible; no real run can be
 * configured so.
 */
#include "test_dpsgd.h"

#include <float.h>
#include <math.h>

#include "suite.h"

/* A step of the standard scene. */
static void open_standard(struct scene *scene, int arithmetic, double sample_rate, double noise_multiplier,
                          size_t unit_count, double epsilon)
{
    const sotto_dpsgd_options options =
        step_options(scene, (sotto_arithmetic)arithmetic, sample_rate, noise_multiplier, unit_count);
    open_step(scene, &options, epsilon);
}

/* P3: a unit's rate is q whatever its place, and the batch size is random. Each count within 6 standard
 * deviations of Binomial(2000, q): false-alarm rate below 2e-6 for all 700 units. */
START_TEST(each_unit_has_its_own_coin)
{
    enum { STEPS = 2000 };
    const double q = 0.1;
    struct scene *scene = open_scene();
    sotto_stream *stream;
    uint32_t sample[UNITS];
    static int seen[UNITS];
    double sizes = 0;
    double squares = 0;
    double neighbours = 0;
    ck_assert_int_eq(sotto_stream_create(&stream, scene->random, SOTTO_PURPOSE_SAMPLING, NULL), SOTTO_OK);
    for (int step = 0; step < STEPS; step++) {
        size_t size =
            sotto_poisson_sample(stream, q, &(sotto_units){.rows = scene->units, .count = UNITS}, sample);
        for (size_t i = 0; i < size; i++) {
            seen[sample[i]]++;
            neighbours += i > 0 && sample[i] == sample[i - 1] + 1;
            ck_assert(i == 0 || sample[i] > sample[i - 1]);
        }
        sizes += (double)size / STEPS;
        squares += (double)size * (double)size / STEPS;
    }
    const double variance = UNITS * q * (1 - q);
    for (size_t i = 0; i < UNITS; i++)
        ck_assert_double_le(fabs(seen[i] - STEPS * q), 6 * sqrt(STEPS * q * (1 - q)));
    ck_assert_double_le(fabs(sizes - UNITS * q), 6 * sqrt(variance / STEPS));
    /* A batch of fixed size would have no variance; sd of the sample variance is about v·√(2/STEPS). */
    ck_assert_double_le(fabs(squares - sizes * sizes - variance), 7 * variance * sqrt(2.0 / STEPS));
    /* Pairs of neighbours come together with probability q². */
    ck_assert_double_le(fabs(neighbours - STEPS * (UNITS - 1) * q * q), 8 * sqrt(STEPS * UNITS * q * q));
    ck_assert_uint_eq(
        sotto_poisson_sample(stream, 1.0, &(sotto_units){.rows = scene->units, .count = UNITS}, sample),
        UNITS);
    ck_assert_uint_eq(
        sotto_poisson_sample(stream, 0.0, &(sotto_units){.rows = scene->units, .count = UNITS}, sample), 0);
    ck_assert_uint_eq(sotto_poisson_sample(stream, 0.5, &(sotto_units){0}, sample), 0);
    sotto_stream_destroy(stream);
    close_scene(scene);
}
END_TEST

/* P2: the batches of the step itself have the rate of its mechanism: 300 sizes, their mean within 6 standard
 * errors (false-alarm rate 2e-9). */
START_TEST(the_step_samples_at_the_rate_it_charges)
{
    enum { STEPS = 300 };
    struct scene *scene = open_scene();
    double mean = 0;
    open_standard(scene, _i, 0.2, 5.0, UNITS, 1e9);
    for (int step = 0; step < STEPS; step++) {
        take(scene, 0, silent_pass);
        mean += (double)sotto_dpsgd_last(scene->step).batch / STEPS;
    }
    ck_assert_double_le(fabs(mean - 0.2 * UNITS), 6 * sqrt(UNITS * 0.2 * 0.8 / STEPS));
    close_scene(scene);
}
END_TEST

START_TEST(clip_factor_never_exceeds_the_bound)
{
    for (double norm = 1e-30; norm < 1e30; norm *= 1.0173) {
        double clipped = (double)sotto_clip_factor(0.7, SOTTO_MARGIN_FLOAT, norm * norm) * norm;
        ck_assert_double_le(clipped, 0.7);
        ck_assert_double_ge(clipped, norm < 0.7 ? norm * (1 - 1e-6) : 0.7 * (1 - 2e-6));
        clipped = (double)sotto_clip_factor(0.7, SOTTO_MARGIN_EXACT, norm * norm) * norm;
        ck_assert_double_le(clipped, 0.7 * (1 - 0x1p-10));
    }
    ck_assert_float_eq(sotto_clip_factor(1.0, SOTTO_MARGIN_FLOAT, 0.25), 1.0f);
    ck_assert_float_eq(sotto_clip_factor(1.0, SOTTO_MARGIN_FLOAT, INFINITY), 0.0f);
    ck_assert_float_eq(sotto_clip_factor(1.0, SOTTO_MARGIN_FLOAT, NAN), 0.0f);
    ck_assert_float_eq(sotto_clip_factor(1.0, SOTTO_MARGIN_FLOAT, DBL_MAX), 0.0f);
    /* What rounding makes of a sum that cancels is not a norm. */
    ck_assert_float_eq(sotto_clip_factor(1.0, SOTTO_MARGIN_FLOAT, -1e-9), 0.0f);
    ck_assert_float_eq(sotto_clip_factor(1e-30, SOTTO_MARGIN_FLOAT, 1e76), 0.0f);
    ck_assert_float_eq(sotto_clip_factor(1e300, SOTTO_MARGIN_FLOAT, 1e76), 1.0f);
}
END_TEST

/* P5: whatever one unit holds, at whatever place, the clipped sum moves by at most C. */
START_TEST(one_unit_moves_the_sum_by_at_most_the_bound)
{
    const double bound = 0.5;
    const sotto_clipping clipping = {.max_grad_norm = bound};
    const float hostile[] = {0.0f, 1.0f, 1e4f, 1e30f, FLT_MAX, 1e-42f, INFINITY, -INFINITY, NAN};
    struct scene *scene = open_scene();
    float *with = calloc(scene->count, sizeof *with);
    float *without = calloc(scene->count, sizeof *without);
    uint32_t rest[UNITS];
    for (size_t h = 0; h < sizeof hostile / sizeof *hostile; h++)
        for (size_t place = 3; place < 300; place += 61) {
            size_t left = 0;
            for (size_t k = 0; k < INPUTS; k++)
                scene->rows[place][k] = k == h % INPUTS || h < 3 ? hostile[h] : 1.0f;
            for (size_t i = 0; i < 300; i++)
                if (i != place)
                    rest[left++] = (uint32_t)i;
            sotto_clip_counts counts =
                float_sum(scene, &clipping, 1 + place % 2, scene->units, 300, 40, pass, with);
            (void)float_sum(scene, &clipping, 1 + place % 2, rest, left, 40, pass, without);
            double distance2 = 0;
            for (size_t i = 0; i < scene->count; i++) {
                ck_assert(isfinite(with[i]));
                distance2 += pow((double)with[i] - without[i], 2);
            }
            /* The sums themselves are float32: about 340 terms of norm ≤ 0.5 round by some 1e-5. */
            ck_assert_double_le(sqrt(distance2), bound + 1e-4);
            ck_assert(h < 6 || counts.non_finite == 1);
            for (size_t k = 0; k < INPUTS; k++)
                scene->rows[place][k] = 0.5f;
        }
    free(with);
    free(without);
    close_scene(scene);
}
END_TEST

/* One example alone, of one view or more: its contribution has a norm of at most C, and of C where it was
 * clipped. */
START_TEST(a_clipped_example_has_the_norm_of_the_bound)
{
    struct scene *scene = open_scene();
    const sotto_clipping clipping = {.max_grad_norm = 0.01};
    float *sum = calloc(scene->count, sizeof *sum);
    for (uint32_t unit = 0; unit < 200; unit++) {
        double norm2 = 0;
        sotto_clip_counts counts = float_sum(scene, &clipping, 1 + unit % 3, &unit, 1, 0, pass, sum);
        for (size_t i = 0; i < scene->count; i++)
            norm2 += (double)sum[i] * sum[i];
        ck_assert_double_le(sqrt(norm2), 0.01);
        if (counts.clipped)
            ck_assert_double_ge(sqrt(norm2), 0.01 * (1 - 1e-5));
    }
    free(sum);
    close_scene(scene);
}
END_TEST

/* P4: half of the declared units are there, all of them sampled; the divisor is still the declared number. */
START_TEST(the_divisor_is_the_public_batch_size)
{
    struct scene *scene = open_scene();
    float *before = calloc(scene->count, sizeof *before);
    float *sum = calloc(scene->count, sizeof *sum);
    memcpy(before, scene->parameters, scene->count * sizeof *before);
    const sotto_clipping clipping = {.max_grad_norm = 0.5};
    (void)float_sum(scene, &clipping, 1, scene->units, UNITS / 2, 0, pass, sum);
    open_standard(scene, _i, 1.0, 1e-4, UNITS / 2, 1e15);
    ck_assert_double_eq(sotto_dpsgd_expected_batch_size(scene->step), UNITS);
    take(scene, 0, pass);
    for (size_t i = 0; i < scene->count; i++)
        ck_assert_double_le(fabs((double)before[i] - scene->parameters[i] - (double)sum[i] / UNITS), 2e-4);
    free(before);
    free(sum);
    close_scene(scene);
}
END_TEST

/*
 * The noise: standard deviation σC/B̄ in each coordinate, drawn once however many chunks the batch has, also
 * for an empty batch, and never the same twice. The pooled variance of 200 steps lies within 6 standard
 * errors (false-alarm rate 2e-9 each); lag-one products of steps and of coordinates likewise.
 */
START_TEST(noise_is_drawn_once_for_each_step)
{
    enum { STEPS = 200 };
    const size_t publics[] = {0, 300};
    for (size_t p = 0; p < 2; p++) {
        struct scene *scene = open_scene();
        const double sigma = 3.0 * 0.5 / (0.5 * UNITS);
        double squares = 0;
        double across_steps = 0;
        double across_coordinates = 0;
        float *before = calloc(scene->count, sizeof *before);
        float *last = calloc(scene->count, sizeof *last);
        open_standard(scene, _i, 0.5, 3.0, p == 0 ? 0 : UNITS, 1e9);
        for (int step = 0; step < STEPS; step++) {
            memcpy(before, scene->parameters, scene->count * sizeof *before);
            take(scene, publics[p], silent_pass);
            double previous = 0;
            for (size_t i = 0; i < scene->count; i++) {
                double move = ((double)scene->parameters[i] - before[i]) / sigma;
                squares += move * move;
                across_steps += move * last[i];
                across_coordinates += move * previous;
                last[i] = (float)move;
                previous = move;
            }
        }
        const double draws = STEPS * (double)scene->count;
        ck_assert_double_le(fabs(squares / draws - 1), 6 * sqrt(2 / draws));
        ck_assert_double_le(fabs(across_steps / draws), 6 / sqrt(draws));
        ck_assert_double_le(fabs(across_coordinates / draws), 6 / sqrt(draws));
        free(before);
        free(last);
        close_scene(scene);
    }
}
END_TEST

/* P2, P10: the budget that the step asks is that of its own q and σ; it takes what the accountant allows, no
 * more. */
START_TEST(the_step_stops_at_the_budget)
{
    struct scene *scene = open_scene();
    sotto_error err = {0};
    sotto_mechanism mechanism;
    uint64_t allowed;
    uint64_t taken = 0;
    open_standard(scene, _i, 0.05, 1.5, UNITS, 1.0);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&mechanism, 0.05, 1.5, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_calibrate_steps(SOTTO_ACCOUNTANT_RDP, 1.0, 1e-5, &mechanism, NULL, &allowed, NULL),
                     SOTTO_OK);
    ck_assert_uint_gt(allowed, 3);
    while (sotto_dpsgd_begin(scene->step, &err) == SOTTO_OK) {
        ck_assert_int_eq(sotto_dpsgd_accumulate(scene->step, 10, pass, scene, NULL), SOTTO_OK);
        ck_assert_int_eq(sotto_dpsgd_end(scene->step, NULL), SOTTO_OK);
        taken++;
        ck_assert_uint_le(taken, allowed);
    }
    ck_assert_int_eq(err.code, SOTTO_ERROR_BUDGET);
    ck_assert_uint_eq(taken, allowed);
    ck_assert_uint_eq(sotto_dpsgd_steps(scene->step), allowed);
    double epsilon;
    ck_assert_int_eq(sotto_budget_epsilon(scene->budget, &epsilon, NULL, NULL), SOTTO_OK);
    ck_assert_double_le(epsilon, 1.0);
    /* The refused step changed nothing. */
    ck_assert_int_eq(sotto_dpsgd_accumulate(scene->step, 0, pass, scene, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_dpsgd_end(scene->step, NULL), SOTTO_ERROR_INPUT);
    ck_assert_uint_eq(sotto_dpsgd_steps(scene->step), allowed);
    close_scene(scene);
}
END_TEST

/* P7: the charge stands as soon as the batch is drawn, whatever becomes of the step. */
START_TEST(the_charge_comes_before_the_batch)
{
    struct scene *scene = open_scene();
    size_t lines;
    open_standard(scene, _i, 0.05, 1.5, UNITS, 1.0);
    ck_assert_int_eq(sotto_dpsgd_begin(scene->step, NULL), SOTTO_OK);
    const sotto_charge *charges = sotto_budget_charges(scene->budget, &lines);
    ck_assert_uint_eq(lines, 1);
    ck_assert_uint_eq(charges[0].count, 1);
    ck_assert_double_eq(charges[0].mechanism.noise_multiplier, 1.5);
    ck_assert_double_eq(charges[0].mechanism.sample_rate, 0.05);
    ck_assert_int_eq(sotto_dpsgd_begin(scene->step, NULL), SOTTO_ERROR_INPUT);
    charges = sotto_budget_charges(scene->budget, &lines);
    ck_assert_uint_eq(charges[0].count, 1);
    close_scene(scene);
}
END_TEST

/* P9: threads change speed, not results. */
START_TEST(threads_do_not_change_a_bit)
{
    float *reference = NULL;
    for (unsigned threads = 1; threads <= 5; threads++) {
        struct scene *scene = open_scene();
        sotto_dpsgd_options options = step_options(scene, (sotto_arithmetic)_i, 0.6, 1.0, UNITS);
        options.threads = threads;
        open_step(scene, &options, 1e9);
        for (int step = 0; step < 5; step++)
            take(scene, PUBLIC, pass);
        if (!reference) {
            reference = calloc(scene->count, sizeof *reference);
            memcpy(reference, scene->parameters, scene->count * sizeof *reference);
        }
        ck_assert_mem_eq(reference, scene->parameters, scene->count * sizeof *reference);
        close_scene(scene);
    }
    free(reference);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    struct scene *scene = open_scene();
    sotto_error err = {0};
    sotto_dpsgd_options options = step_options(scene, SOTTO_ARITHMETIC_EXACT, 0.1, 1.0, UNITS);
    sotto_dpsgd *step;
    ck_assert_int_eq(sotto_mechanism_gaussian(&options.mechanism, 1.0, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&options.mechanism, 0.1, 1.0, NULL), SOTTO_OK);
    sotto_mechanism single = options.mechanism;
    ck_assert_int_eq(sotto_mechanism_group(&options.mechanism, &single, 2, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    options.mechanism = single;
    const double norms[] = {0.0, -1.0, NAN, INFINITY};
    for (size_t i = 0; i < 4; i++) {
        options.clipping.max_grad_norm = norms[i];
        ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    }
    options.clipping.max_grad_norm = 1.0;
    const double publics[] = {0.0, -5.0, NAN, INFINITY};
    for (size_t i = 0; i < 4; i++) {
        options.public_units = publics[i];
        ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    }
    options.public_units = UNITS;
    options.threads = 0;
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    options.threads = 1;
    options.arithmetic = (sotto_arithmetic)2;
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    options.arithmetic = SOTTO_ARITHMETIC_EXACT;
    options.views = SIZE_MAX;
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    options.views = 1;
    ck_assert_ptr_null(step);
    close_scene(scene);
}
END_TEST

/* There is nothing to clip, and nothing to release. */
START_TEST(a_network_without_parameters_is_refused)
{
    const sotto_layer layers[] = {sotto_layer_tanh()};
    struct scene *scene = open_scene_of(layers, 1, 1);
    sotto_error err = {0};
    sotto_dpsgd *step;
    sotto_dpsgd_options options = step_options(scene, (sotto_arithmetic)_i, 0.1, 1.0, UNITS);
    options.clipping.kind = SOTTO_CLIPPING_PER_LAYER;
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(step);
    ck_assert_ptr_nonnull(strstr(err.message, "parameters"));
    close_scene(scene);
}
END_TEST

/*
 * Bounds, multipliers and rows far outside of what a run has: parameters need not stay finite, but nothing
 * overflows into undefined behaviour, and steps go on.
 */
START_TEST(extremes_are_survived)
{
    const double norms[] = {1e-310, 1e-30, 1e30, 1e300}, sigmas[] = {1e-9, 1.0, 8e6};
    const float hostile[] = {1e38f, -FLT_MAX, 1e-45f, NAN, INFINITY, -INFINITY, 0.0f};
    for (size_t n = 0; n < 4; n++)
        for (size_t m = 0; m < 3; m++)
            for (int kind = SOTTO_CLIPPING_FLAT; kind <= SOTTO_CLIPPING_ADAPTIVE; kind++) {
                struct scene *scene = open_scene();
                for (size_t i = 0; i < UNITS; i++)
                    scene->rows[i][i % INPUTS] = hostile[i % 7];
                sotto_dpsgd_options options =
                    step_options(scene, (sotto_arithmetic)_i, 0.5, sigmas[m], UNITS);
                options.clipping = (sotto_clipping){.kind = (sotto_clipping_kind)kind,
                                                    .max_grad_norm = norms[n],
                                                    .count_noise = sigmas[m] < 1.0 ? sigmas[m] : 0.0,
                                                    .learning_rate = n == 3 ? 1e300 : 0.0};
                if (kind == SOTTO_CLIPPING_ADAPTIVE && sigmas[m] > 1.0) {
                    close_scene(scene);
                    continue;
                }
                options.views = 1 + n % 2;
                open_step(scene, &options, 1e300);
                for (int step = 0; step < 3; step++) {
                    take(scene, step ? PUBLIC : 0, pass);
                    const double bound = sotto_dpsgd_max_grad_norm(scene->step);
                    ck_assert(bound > 0.0 && isfinite(bound));
                    scene->parameters[step] = hostile[step + 3];
                    sotto_weights_refresh(scene->weights);
                }
                close_scene(scene);
            }
}
END_TEST

/* Nor those of the public step. */
START_TEST(threads_do_not_change_a_public_bit)
{
    float *reference = NULL;
    for (unsigned threads = 1; threads <= 4; threads++) {
        struct scene *scene = open_scene();
        sotto_public_step *step;
        const sotto_public_options options = {.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_ADAM),
                                              .schedule = {.rate = 0.01, .steps = 10},
                                              .threads = threads,
                                              .weights = scene->weights,
                                              .parameters = scene->parameters,
                                              .random = scene->random};
        ck_assert_int_eq(sotto_public_step_create(&step, &options, NULL), SOTTO_OK);
        for (size_t count = 1; count <= PUBLIC; count += 149)
            sotto_public_step_take(step, count, pass, scene);
        sotto_public_step_destroy(step);
        if (!reference) {
            reference = calloc(scene->count, sizeof *reference);
            memcpy(reference, scene->parameters, scene->count * sizeof *reference);
        }
        ck_assert_mem_eq(reference, scene->parameters, scene->count * sizeof *reference);
        close_scene(scene);
    }
    free(reference);
}
END_TEST

/* The public step: the mean gradient, unclipped; checked against lanes that clip at a bound nothing reaches.
 */
START_TEST(public_step_takes_the_mean_gradient)
{
    struct scene *scene = open_scene();
    sotto_public_step *step;
    float *sum = calloc(scene->count, sizeof *sum);
    float *before = calloc(scene->count, sizeof *before);
    const sotto_public_options options = {.optimizer = sotto_optimizer_defaults(SOTTO_OPTIMIZER_SGD),
                                          .schedule = {.rate = 1.0, .steps = 10},
                                          .threads = 2,
                                          .weights = scene->weights,
                                          .parameters = scene->parameters,
                                          .random = scene->random};
    memcpy(before, scene->parameters, scene->count * sizeof *before);
    const sotto_clipping clipping = {.max_grad_norm = 1e9};
    (void)float_sum(scene, &clipping, 1, NULL, 0, PUBLIC, pass, sum);
    ck_assert_int_eq(sotto_public_step_create(&step, &options, NULL), SOTTO_OK);
    sotto_public_step_take(step, PUBLIC, pass, scene);
    for (size_t i = 0; i < scene->count; i++)
        ck_assert_double_le(fabs((double)before[i] - scene->parameters[i] - (double)sum[i] / PUBLIC), 2e-6);
    sotto_public_step_destroy(step);
    sotto_public_options none = options;
    none.threads = 0;
    ck_assert_int_eq(sotto_public_step_create(&step, &none, NULL), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(step);
    free(sum);
    free(before);
    close_scene(scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dpsgd");
    TCase *tests = tcase_create("dpsgd");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, each_unit_has_its_own_coin);
    tcase_add_test(tests, clip_factor_never_exceeds_the_bound);
    tcase_add_test(tests, one_unit_moves_the_sum_by_at_most_the_bound);
    tcase_add_test(tests, a_clipped_example_has_the_norm_of_the_bound);
    tcase_add_test(tests, nonsense_is_refused);
    tcase_add_test(tests, threads_do_not_change_a_public_bit);
    tcase_add_test(tests, public_step_takes_the_mean_gradient);
    tcase_add_loop_test(tests, the_step_samples_at_the_rate_it_charges, 0, ARITHMETICS);
    tcase_add_loop_test(tests, the_divisor_is_the_public_batch_size, 0, ARITHMETICS);
    tcase_add_loop_test(tests, noise_is_drawn_once_for_each_step, 0, ARITHMETICS);
    tcase_add_loop_test(tests, the_step_stops_at_the_budget, 0, ARITHMETICS);
    tcase_add_loop_test(tests, the_charge_comes_before_the_batch, 0, ARITHMETICS);
    tcase_add_loop_test(tests, threads_do_not_change_a_bit, 0, ARITHMETICS);
    tcase_add_loop_test(tests, a_network_without_parameters_is_refused, 0, ARITHMETICS);
    tcase_add_loop_test(tests, extremes_are_survived, 0, ARITHMETICS);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, clipping_tests());
    suite_add_tcase(suite, noise_tests());
    suite_add_tcase(suite, counts_tests());
    suite_add_tcase(suite, start_tests());
    suite_add_tcase(suite, parts_tests());
    suite_add_tcase(suite, units_tests());
    return run_suite(suite);
}
