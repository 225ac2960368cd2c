/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kinds of clipping, the adaptive bound, and examples of several rows. */

#include "test_dpsgd.h"

#include <math.h>

/* ------------------------------------------------------------------ weights alone */

enum { EXAMPLES = 200, LAYERS = 3 };

/* Norms over many sizes; the last ones hostile. Returns how many are. */
static size_t make_norms(double norms2[LAYERS * EXAMPLES])
{
    const double hostile[] = {NAN, INFINITY, -1e-3};
    for (size_t b = 0; b < LAYERS; b++)
        for (size_t e = 0; e < EXAMPLES; e++)
            norms2[b * EXAMPLES + e] =
                pow(10.0, 0.1 * ((double)e - 100.0)) * (1.0 + (double)((e * 7 + b) % 11));
    for (size_t i = 0; i < 3; i++)
        norms2[i * EXAMPLES + EXAMPLES - 3 + i] = i < 2 ? hostile[i] : -1e300;
    return 3;
}

static sotto_clipping complete(sotto_clipping clipping)
{
    ck_assert_int_eq(sotto_clipping_complete(&clipping, 100.0, 1.0, NULL), SOTTO_OK);
    return clipping;
}

/* Automatic: ∇·C/(‖∇‖ + stability), so always shorter than C. */
START_TEST(automatic_clipping_is_always_below_the_bound)
{
    double norms2[LAYERS * EXAMPLES], total[EXAMPLES];
    float weights[EXAMPLES];
    const sotto_clipping clipping =
        complete((sotto_clipping){.kind = SOTTO_CLIPPING_AUTOMATIC, .max_grad_norm = 0.7});
    const size_t hostile = make_norms(norms2);
    ck_assert_double_eq(clipping.stability, 0.01);
    for (size_t e = 0; e < EXAMPLES; e++)
        total[e] = norms2[e] + norms2[EXAMPLES + e] + norms2[2 * EXAMPLES + e];
    const sotto_clip_counts counts =
        sotto_clip_weigh(&clipping, SOTTO_MARGIN_FLOAT, LAYERS, EXAMPLES, EXAMPLES, norms2, weights);
    ck_assert_uint_eq(counts.non_finite, hostile);
    for (size_t e = 0; e < EXAMPLES; e++) {
        const double norm = sqrt(total[e]), wanted = 0.7 / (norm + 0.01);
        if (e >= EXAMPLES - hostile) {
            ck_assert_float_eq(weights[e], 0.0f);
            continue;
        }
        ck_assert_double_lt((double)weights[e] * norm, 0.7);
        ck_assert_double_le(weights[e], wanted);
        ck_assert_double_ge(weights[e], wanted * (1 - 2e-6));
    }
}
END_TEST

/* Each of L layers to C/√L, and with it all of them to C. */
START_TEST(per_layer_clipping_bounds_each_and_all)
{
    double norms2[LAYERS * EXAMPLES], kept[LAYERS * EXAMPLES];
    float weights[LAYERS * EXAMPLES];
    const sotto_clipping clipping =
        complete((sotto_clipping){.kind = SOTTO_CLIPPING_PER_LAYER, .max_grad_norm = 0.7});
    const size_t hostile = make_norms(norms2);
    memcpy(kept, norms2, sizeof kept);
    const sotto_clip_counts counts =
        sotto_clip_weigh(&clipping, SOTTO_MARGIN_FLOAT, LAYERS, EXAMPLES, EXAMPLES, norms2, weights);
    ck_assert_uint_eq(counts.non_finite, hostile);
    const double bound = 0.7 / sqrt(LAYERS);
    for (size_t e = 0; e < EXAMPLES; e++) {
        double together = 0;
        for (size_t b = 0; b < LAYERS; b++) {
            const double weight = weights[b * EXAMPLES + e], norm = sqrt(kept[b * EXAMPLES + e]);
            if (e >= EXAMPLES - hostile) {
                ck_assert_double_eq(weight, 0.0);
                continue;
            }
            ck_assert_double_le(weight * norm, bound);
            ck_assert_double_ge(weight * norm, fmin(norm, bound) * (1 - 2e-6));
            together += weight * norm * weight * norm;
        }
        ck_assert_double_le(sqrt(together), 0.7);
    }
}
END_TEST

/* An example's own contribution is below C in norm for every kind, at one view and more, and hostile rows
 * too. */
START_TEST(every_kind_bounds_an_example_by_itself)
{
    struct scene *scene = open_scene();
    float *sum = calloc(scene->count, sizeof *sum);
    const sotto_clipping clipping =
        complete((sotto_clipping){.kind = (sotto_clipping_kind)_i, .max_grad_norm = 0.3});
    double longest = 0;
    for (uint32_t unit = 0; unit < 300; unit++) {
        double norm2 = 0;
        if (unit % 4 == 0)
            scene->rows[unit][unit % INPUTS] *= 1e6f;
        (void)float_sum(scene, &clipping, 1 + unit % 5, &unit, 1, 0, pass, sum);
        for (size_t i = 0; i < scene->count; i++)
            norm2 += (double)sum[i] * sum[i];
        ck_assert_double_le(sqrt(norm2), 0.3);
        longest = fmax(longest, sqrt(norm2));
    }
    ck_assert_double_ge(longest, 0.25);
    free(sum);
    close_scene(scene);
}
END_TEST

/* P5: a unit of 3 rows moves the sum by C at most, not by 3·C. */
START_TEST(views_of_a_unit_are_clipped_as_one)
{
    struct scene *scene = open_scene();
    const sotto_clipping clipping = {.max_grad_norm = 0.1};
    float *with = calloc(scene->count, sizeof *with), *without = calloc(scene->count, sizeof *without);
    (void)float_sum(scene, &clipping, 3, scene->units, 200, 0, pass, with);
    for (size_t left = 199; left > 150; left -= 7) {
        double distance2 = 0;
        (void)float_sum(scene, &clipping, 3, scene->units, left, 0, pass, without);
        for (size_t i = 0; i < scene->count; i++)
            distance2 += pow((double)with[i] - without[i], 2);
        ck_assert_double_le(sqrt(distance2), 0.1 * (double)(200 - left) + 1e-5);
        if (left == 199)
            ck_assert_double_ge(sqrt(distance2), 0.05);
    }
    free(with);
    free(without);
    close_scene(scene);
}
END_TEST

/* ------------------------------------------------------------------ adaptive bound */

/* Unit u's gradient has the norm (u + 1)/350: spread evenly up to 2. Public examples: 1e3. */
static void spread_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    const struct scene *scene = context;
    float *input = sotto_workspace_input(chunk->workspace);
    const size_t count = chunk->unit_count + chunk->public_count;
    for (size_t i = 0; i < count; i++)
        memcpy(input + i * INPUTS, scene->rows[row_of(chunk, i)], INPUTS * sizeof(float));
    (void)sotto_network_forward(weights, chunk->workspace);
    float *gradient = sotto_workspace_output_gradient(chunk->workspace);
    for (size_t i = 0; i < count; i++) {
        const float *row = scene->rows[row_of(chunk, i)];
        double norm2 = 1.0;
        for (size_t k = 0; k < INPUTS; k++)
            norm2 += (double)row[k] * row[k];
        const double norm = i < chunk->unit_count ? (double)(chunk->units[i] + 1) / 350.0 : 1e3;
        gradient[i] = (float)(norm / sqrt(norm2));
    }
    sotto_network_backward(weights, chunk->workspace, false);
}

static struct scene *open_adaptive(int arithmetic, sotto_clipping clipping, double sample_rate, double sigma,
                                   size_t unit_count)
{
    const sotto_layer layers[] = {sotto_layer_dense(1)};
    struct scene *scene = open_scene_of(layers, 1, 77);
    sotto_dpsgd_options options =
        step_options(scene, (sotto_arithmetic)arithmetic, sample_rate, sigma, unit_count);
    options.clipping = clipping;
    options.clipping.kind = SOTTO_CLIPPING_ADAPTIVE;
    open_step(scene, &options, 1e9);
    return scene;
}

/* From below and from above, the bound comes to lie where the asked share of units is not clipped. log C then
 * moves by 0.2·(0.05 + the sample's noise) a step: the mean of 150 steps has a standard error of about 1 %.
 */
START_TEST(the_bound_finds_the_quantile)
{
    const double quantiles[] = {0.2, 0.5, 0.8}, starts[] = {1e-3, 40.0, 1.0};
    for (size_t i = 0; i < 3; i++) {
        double mean = 0;
        struct scene *scene =
            open_adaptive(_i, (sotto_clipping){.max_grad_norm = starts[i], .target_quantile = quantiles[i]},
                          0.5, 1.0, UNITS);
        for (int step = 0; step < 400; step++) {
            take(scene, i == 2 ? PUBLIC : 0, spread_pass);
            if (step >= 250)
                mean += sotto_dpsgd_max_grad_norm(scene->step) / 150;
        }
        ck_assert_msg(fabs(mean / (2.0 * quantiles[i]) - 1) < 0.08, "quantile %g: %g", quantiles[i], mean);
        close_scene(scene);
    }
}
END_TEST

/*
 * With no unit, ln(C′/C) = −rate·(noise/B̄ + ½ − γ), whatever the public examples do: the noise has mean 0 and
 * the standard deviation count_noise, both within 6 standard errors (false-alarm rate 4e-9). By default it is
 * B̄/20.
 */
START_TEST(the_count_has_the_noise_it_is_charged_for)
{
    enum { STEPS = 2000 };
    const double noises[] = {0.0, 2.0, 300.0};
    for (size_t i = 0; i < 3; i++) {
        struct scene *scene = open_adaptive(_i,
                                            (sotto_clipping){.max_grad_norm = 1.0,
                                                             .count_noise = noises[i],
                                                             .learning_rate = 1e-4,
                                                             .target_quantile = 0.6},
                                            0.5, 1.0, 0);
        const double batch = 0.5 * UNITS, deviation = i == 0 ? batch / 20 : noises[i];
        double last = 1.0, sum = 0, squares = 0;
        for (int step = 0; step < STEPS; step++) {
            take(scene, step % 2 ? 20 : 0, silent_pass);
            const double bound = sotto_dpsgd_max_grad_norm(scene->step);
            const double noise = (-log(bound / last) / 1e-4 - 0.5 + 0.6) * batch;
            sum += noise / deviation;
            squares += pow(noise / deviation, 2);
            last = bound;
        }
        ck_assert_double_le(fabs(sum / STEPS), 6 / sqrt(STEPS));
        ck_assert_double_le(fabs(squares / STEPS - 1), 6 * sqrt(2.0 / STEPS));
        close_scene(scene);
    }
}
END_TEST

/* P6: what the bound becomes follows from the noisy count alone: tables whose counts are equal, but not their
 * gradients, see the same bounds to the last bit; and a table with other counts does not. */
START_TEST(the_bound_is_made_of_the_noisy_count_alone)
{
    double bounds[3][20];
    for (size_t table = 0; table < 3; table++) {
        struct scene *scene =
            open_adaptive(_i, (sotto_clipping){.max_grad_norm = 1e5, .learning_rate = 0.1}, 0.5, 1.0, UNITS);
        for (size_t step = 0; step < 20; step++) {
            if (table == 2 && step == 10)
                for (size_t u = 0; u < UNITS; u++)
                    scene->rows[u][0] = NAN;
            take(scene, 10 * table, table == 0 ? silent_pass : spread_pass);
            bounds[table][step] = sotto_dpsgd_max_grad_norm(scene->step);
        }
        close_scene(scene);
    }
    ck_assert_mem_eq(bounds[0], bounds[1], sizeof bounds[0]);
    ck_assert_mem_eq(bounds[0], bounds[2], 10 * sizeof **bounds);
    ck_assert_double_ne(bounds[0][10], bounds[2][10]);
}
END_TEST

/* σ_Δ = (σ⁻² − (2·count_noise)⁻²)^(−½), rounded up; so ((±½)/count_noise, ∇/(σ_Δ C)) is at most 1/σ long. */
START_TEST(count_and_gradient_share_one_multiplier)
{
    const double sigmas[] = {1e-6, 0.3, 1.0, 3.7, 1e4};
    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++)
        for (double excess = 0x1p-50; excess < 1e5; excess *= 1.7) {
            const double sigma = sigmas[i];
            const sotto_clipping clipping = {.kind = SOTTO_CLIPPING_ADAPTIVE,
                                             .count_noise = 0.5 * sigma * (1.0 + excess)};
            const long double count = 2.0L * clipping.count_noise;
            if (!(2.0 * clipping.count_noise > sigma))
                continue;
            const long double wanted = sigma * count / sqrtl((count - sigma) * (count + sigma));
            const double found = sotto_clipping_gradient_noise(&clipping, sigma);
            ck_assert_msg(found >= wanted, "%g, %g", sigma, excess);
            ck_assert_double_le(found, (double)wanted * (1 + 0x1p-38));
            if (excess > 1e-6) {
                const long double norm2 = 1.0L / (count * count) + 1.0L / ((long double)found * found);
                ck_assert(norm2 <= 1.0L / ((long double)sigma * sigma));
            }
        }
    const sotto_clipping flat = {.kind = SOTTO_CLIPPING_FLAT, .count_noise = 0.1};
    ck_assert_double_eq(sotto_clipping_gradient_noise(&flat, 1.0), 1.0);
}
END_TEST

/* The gradient's noise is σ_Δ·C_t/B̄ with the bound of its own step: within 6 standard errors (2e-9). */
START_TEST(the_gradient_has_the_noise_that_is_left)
{
    enum { STEPS = 40 };
    const sotto_layer layers[] = {sotto_layer_dense(300), sotto_layer_tanh(), sotto_layer_dense(1)};
    struct scene *scene = open_scene_of(layers, 3, 9);
    sotto_dpsgd_options options = step_options(scene, (sotto_arithmetic)_i, 0.5, 2.0, UNITS);
    options.clipping = (sotto_clipping){
        .kind = SOTTO_CLIPPING_ADAPTIVE, .max_grad_norm = 3.0, .count_noise = 1.2, .learning_rate = 0.1};
    open_step(scene, &options, 1e9);
    float *before = calloc(scene->count, sizeof *before);
    const double left = 1.0 / sqrt(1.0 / 4.0 - 1.0 / (2.4 * 2.4));
    double squares = 0;
    for (int step = 0; step < STEPS; step++) {
        const double sigma = left * sotto_dpsgd_max_grad_norm(scene->step) / (0.5 * UNITS);
        memcpy(before, scene->parameters, scene->count * sizeof *before);
        take(scene, 0, silent_pass);
        for (size_t i = 0; i < scene->count; i++)
            squares += pow(((double)scene->parameters[i] - before[i]) / sigma, 2);
    }
    const double draws = STEPS * (double)scene->count;
    ck_assert_double_le(fabs(squares / draws - 1), 6 * sqrt(2 / draws));
    ck_assert_double_lt(sotto_dpsgd_max_grad_norm(scene->step), 1.5); /* it did move */
    free(before);
    close_scene(scene);
}
END_TEST

static void expect_refusal(sotto_clipping clipping, const char *word)
{
    sotto_error err = {0};
    ck_assert_int_eq(sotto_clipping_complete(&clipping, 100.0, 2.0, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, word), "%s", err.message);
}

START_TEST(nonsense_of_clipping_is_refused)
{
    const double bad[] = {-1.0, NAN, INFINITY};
    for (size_t i = 0; i < 3; i++) {
        expect_refusal((sotto_clipping){.max_grad_norm = bad[i]}, "max_grad_norm");
        expect_refusal((sotto_clipping){SOTTO_CLIPPING_AUTOMATIC, 1.0, .stability = bad[i]}, "stability");
        expect_refusal((sotto_clipping){SOTTO_CLIPPING_ADAPTIVE, 1.0, .target_quantile = bad[i]}, "quantile");
        expect_refusal((sotto_clipping){SOTTO_CLIPPING_ADAPTIVE, 1.0, .learning_rate = bad[i]},
                       "learning_rate");
        expect_refusal((sotto_clipping){SOTTO_CLIPPING_ADAPTIVE, 1.0, .count_noise = bad[i]}, "count_noise");
    }
    expect_refusal((sotto_clipping){.max_grad_norm = 0.0}, "max_grad_norm");
    expect_refusal((sotto_clipping){SOTTO_CLIPPING_ADAPTIVE, 1.0, .target_quantile = 1.0}, "quantile");
    /* σ = 2: half of it is not enough, and anything above it is. */
    expect_refusal((sotto_clipping){SOTTO_CLIPPING_ADAPTIVE, 1.0, .count_noise = 0.9}, "larger batch");
    expect_refusal((sotto_clipping){SOTTO_CLIPPING_ADAPTIVE, 1.0, .count_noise = 1.0}, "larger batch");
    expect_refusal((sotto_clipping){.kind = (sotto_clipping_kind)4, .max_grad_norm = 1.0}, "unknown kind");
    sotto_clipping enough = {SOTTO_CLIPPING_ADAPTIVE, 1.0, .count_noise = nextafter(1.0, 2.0)};
    ck_assert_int_eq(sotto_clipping_complete(&enough, 100.0, 2.0, NULL), SOTTO_OK);
}
END_TEST

TCase *clipping_tests(void)
{
    TCase *tests = tcase_create("clipping");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, automatic_clipping_is_always_below_the_bound);
    tcase_add_test(tests, per_layer_clipping_bounds_each_and_all);
    tcase_add_loop_test(tests, every_kind_bounds_an_example_by_itself, 0, SOTTO_CLIPPING_ADAPTIVE + 1);
    tcase_add_test(tests, views_of_a_unit_are_clipped_as_one);
    tcase_add_loop_test(tests, the_bound_finds_the_quantile, 0, ARITHMETICS);
    tcase_add_loop_test(tests, the_count_has_the_noise_it_is_charged_for, 0, ARITHMETICS);
    tcase_add_loop_test(tests, the_bound_is_made_of_the_noisy_count_alone, 0, ARITHMETICS);
    tcase_add_test(tests, count_and_gradient_share_one_multiplier);
    tcase_add_loop_test(tests, the_gradient_has_the_noise_that_is_left, 0, ARITHMETICS);
    tcase_add_test(tests, nonsense_of_clipping_is_refused);
    return tests;
}
