/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Losses against differences of their values, and optimizers against the papers' formulas in float64. */

#include "test_network.h"

/* -------------------------------------------------------------------- losses */

static const sotto_adversarial_loss kinds[] = {SOTTO_ADVERSARIAL_CROSS_ENTROPY, SOTTO_ADVERSARIAL_WASSERSTEIN,
                                               SOTTO_ADVERSARIAL_HINGE};

/* The value a textbook gives, for logits of moderate size. who: 0 the generator, 1 real, 2 fake. */
static double textbook(sotto_adversarial_loss kind, int who, double f)
{
    if (kind == SOTTO_ADVERSARIAL_CROSS_ENTROPY)
        return who == 2 ? -log(1.0 - 1.0 / (1.0 + exp(-f))) : -log(1.0 / (1.0 + exp(-f)));
    if (kind == SOTTO_ADVERSARIAL_HINGE && who != 0)
        return fmax(0.0, who == 1 ? 1.0 - f : 1.0 + f);
    return who == 2 ? f : -f;
}

static void adversarial(sotto_adversarial_loss kind, int who, size_t rows, const float *f, double *values,
                        float *gradients)
{
    if (who == 0)
        sotto_loss_generator(kind, rows, f, values, gradients);
    else
        sotto_loss_discriminator(kind, who == 1, rows, f, values, gradients);
}

START_TEST(adversarial_losses_agree_with_their_formulas)
{
    enum { rows = 41 };
    float f[rows], gradients[rows], again[rows];
    double values[rows];
    for (size_t i = 0; i < rows; i++)
        f[i] = -8.2f + 0.41f * (float)i; /* never on the hinge */
    for (size_t k = 0; k < 3; k++) {
        for (int who = 0; who < 3; who++) {
            adversarial(kinds[k], who, rows, f, values, gradients);
            adversarial(kinds[k], who, rows, f, NULL, again);
            ck_assert_mem_eq(gradients, again, sizeof again);
            for (size_t i = 0; i < rows; i++) {
                const double x = (double)f[i], h = 1e-5;
                const double slope =
                    (textbook(kinds[k], who, x + h) - textbook(kinds[k], who, x - h)) / (2.0 * h);
                close_to(values[i], textbook(kinds[k], who, x), 1.0, 1e-12, "value", i);
                close_to((double)gradients[i], slope, 1e-3, 1e-6, "gradient", i);
            }
        }
    }
}
END_TEST

START_TEST(losses_are_stable_at_large_logits)
{
    const float f[4] = {1e4f, -1e4f, 50.0f, -50.0f};
    float gradients[4];
    double values[4];
    sotto_loss_discriminator(SOTTO_ADVERSARIAL_CROSS_ENTROPY, true, 4, f, values, gradients);
    ck_assert(values[0] == 0.0 && values[1] == 1e4 && gradients[0] == 0.0f && gradients[1] == -1.0f);
    /* A small gradient keeps its relative accuracy: −e^{−50}, not sigmoid(50) − 1 = 0. */
    close_to((double)gradients[2], -exp(-50.0), 0.0, 1e-6, "gradient", 2);
    sotto_loss_discriminator(SOTTO_ADVERSARIAL_CROSS_ENTROPY, false, 4, f, values, gradients);
    ck_assert(values[0] == 1e4 && values[1] == 0.0 && gradients[0] == 1.0f && gradients[1] == 0.0f);
    close_to((double)gradients[3], exp(-50.0), 0.0, 1e-6, "gradient", 3);
}
END_TEST

START_TEST(a_bad_logit_stays_visible_and_alone)
{
    const float f[3] = {0.5f, NAN, -0.5f};
    float gradients[3];
    double values[3];
    for (size_t k = 0; k < 3; k++) {
        for (int who = 0; who < 3; who++) {
            adversarial(kinds[k], who, 3, f, values, gradients);
            ck_assert(isfinite(values[0]) && isnan(values[1]) && isfinite(values[2]));
            ck_assert(isfinite(gradients[0]) && isfinite(gradients[2]));
            ck_assert(kinds[k] != SOTTO_ADVERSARIAL_CROSS_ENTROPY || isnan(gradients[1]));
        }
    }
}
END_TEST

START_TEST(cross_entropy_takes_soft_targets)
{
    const float f[5] = {-3.0f, -0.5f, 0.0f, 2.0f, 9.0f}, targets[5] = {0.0f, 1.0f, 0.25f, 0.9f, 1.0f};
    float gradients[5];
    double values[5];
    sotto_loss_cross_entropy(5, f, targets, values, gradients);
    for (size_t i = 0; i < 5; i++) {
        const double x = (double)f[i], t = (double)targets[i];
        close_to(values[i], log1p(exp(x)) - t * x, 1.0, 1e-12, "value", i);
        close_to((double)gradients[i], 1.0 / (1.0 + exp(-x)) - t, 1e-3, 1e-6, "gradient", i);
    }
}
END_TEST

START_TEST(squared_error_sums_over_columns)
{
    const float found[6] = {1.0f, 2.0f, 3.0f, 0.0f, NAN, 1.0f},
                targets[6] = {1.0f, 0.0f, 0.0f, 0.5f, 1.0f, 1.0f};
    float gradients[6];
    double values[3];
    sotto_loss_squared_error(3, 2, found, targets, values, gradients);
    ck_assert(values[0] == 2.0 && values[1] == 4.625 && isnan(values[2]));
    ck_assert(gradients[0] == 0.0f && gradients[1] == 2.0f && gradients[2] == 3.0f && gradients[3] == -0.5f);
    ck_assert(isnan(gradients[4]) && gradients[5] == 0.0f);
}
END_TEST

/* ---------------------------------------------------------------- optimizers */

enum { COUNT = 37, STEPS = 50 };

/* The formulas as the papers print them, with running sums instead of running averages where they have those.
 */
typedef struct textbook_state {
    double u[COUNT], m[COUNT], v[COUNT], p[COUNT], initial[COUNT];
    double noise; /* Σ β₂^{t−s}(1 − β₂)·noise_std_s² */
} textbook_state;

static void textbook_step(const sotto_optimizer_options *o, textbook_state *t, int step, double rate,
                          double noise_std, const float *gradient)
{
    t->noise = o->beta2 * t->noise + (1.0 - o->beta2) * noise_std * noise_std;
    for (size_t j = 0; j < COUNT; j++) {
        const double g = (double)gradient[j], pull = rate * o->decay * (t->initial[j] - t->p[j]);
        t->u[j] = o->momentum * t->u[j] + g;
        t->m[j] = o->beta1 * t->m[j] + (1.0 - o->beta1) * g;
        t->v[j] = o->beta2 * t->v[j] + (1.0 - o->beta2) * g * g;
        const double correct1 = 1.0 - pow(o->beta1, step), correct2 = 1.0 - pow(o->beta2, step);
        const double m = t->m[j] / correct1, v = t->v[j] / correct2;
        double change = t->u[j];
        if (o->kind == SOTTO_OPTIMIZER_ADAM)
            change = m / (sqrt(v) + o->epsilon);
        if (o->kind == SOTTO_OPTIMIZER_DP_ADAM)
            change = m / sqrt(fmax(v - t->noise / correct2, o->floor));
        t->p[j] += pull - rate * change;
    }
}

/* 50 steps of both, with the noise level changing half-way. */
static void check_optimizer(const sotto_optimizer_options *options, double tolerance)
{
    textbook_state t = {0};
    sotto_optimizer *optimizer = NULL;
    float parameters[COUNT], gradient[COUNT];
    test_state = 99;
    fill(COUNT, 1.0f, parameters);
    for (size_t j = 0; j < COUNT; j++)
        t.p[j] = t.initial[j] = (double)parameters[j];
    ck_assert_int_eq(sotto_optimizer_create(&optimizer, options, COUNT, parameters, NULL), SOTTO_OK);
    for (int step = 1; step <= STEPS; step++) {
        const double rate = 0.01 * (1.0 - 0.01 * step), noise_std = step < 25 ? 0.2 : 0.1;
        for (size_t j = 0; j < COUNT; j++)
            gradient[j] = draw() + 0.05f * (float)j;
        sotto_optimizer_step(optimizer, rate, noise_std, gradient, parameters);
        textbook_step(options, &t, step, rate, noise_std, gradient);
        for (size_t j = 0; j < COUNT; j++)
            close_to((double)parameters[j], t.p[j], 1.0, tolerance, "parameter", j);
    }
    ck_assert_uint_eq(optimizer->steps, STEPS);
    sotto_optimizer_destroy(optimizer);
}

START_TEST(optimizers_follow_their_papers)
{
    for (int decay = 0; decay < 2; decay++) {
        for (int kind = SOTTO_OPTIMIZER_SGD; kind <= SOTTO_OPTIMIZER_DP_ADAM; kind++) {
            sotto_optimizer_options options = sotto_optimizer_defaults((sotto_optimizer_kind)kind);
            options.decay = decay ? 0.5 : 0.0;
            check_optimizer(&options, 2e-6);
            options.momentum = 0.9;
            options.beta1 = 0.0;
            options.beta2 = 0.9;
            options.floor = 1e-3;
            options.epsilon = 1e-2;
            check_optimizer(&options, 2e-6);
        }
    }
}
END_TEST

/* Gradients of pure noise: plain Adam moves by about the rate whatever their scale; DP-Adam knows them for
 * noise. */
START_TEST(dp_adam_takes_the_noise_out_of_the_second_moment)
{
    sotto_optimizer_options options = sotto_optimizer_defaults(SOTTO_OPTIMIZER_DP_ADAM);
    options.beta2 = 0.9;
    options.floor = 1e-4;
    const float start[2] = {0.0f, 0.0f};
    float parameters[2] = {0.0f, 0.0f};
    sotto_optimizer *optimizer = NULL;
    ck_assert_int_eq(sotto_optimizer_create(&optimizer, &options, 2, start, NULL), SOTTO_OK);
    /* One step from rest: m̂ = g, v̂ = g²; g² − noise² = 0.25 − 0.16 above the floor, 0.1521 − 0.16 below it.
     */
    const float gradient[2] = {0.5f, 0.39f};
    sotto_optimizer_step(optimizer, 0.1, 0.4, gradient, parameters);
    close_to((double)parameters[0], -0.1 * 0.5 / 0.3, 0.0, 1e-6, "above the floor", 0);
    close_to((double)parameters[1], -0.1 * 0.39 / 0.01, 0.0, 1e-6, "below the floor", 1);
    sotto_optimizer_destroy(optimizer);
}
END_TEST

START_TEST(optimizer_state_resumes_to_the_bit)
{
    sotto_optimizer_options options = sotto_optimizer_defaults(SOTTO_OPTIMIZER_DP_ADAM);
    options.decay = 0.1;
    sotto_optimizer *first = NULL, *second = NULL;
    float parameters[COUNT], copy[COUNT], gradient[COUNT];
    fill(COUNT, 1.0f, parameters);
    ck_assert_int_eq(sotto_optimizer_create(&first, &options, COUNT, parameters, NULL), SOTTO_OK);
    for (int step = 0; step < 5; step++) {
        fill(COUNT, 1.0f, gradient);
        sotto_optimizer_step(first, 0.01, 0.1, gradient, parameters);
    }
    ck_assert_int_eq(sotto_optimizer_create(&second, &options, COUNT, first->initial, NULL), SOTTO_OK);
    second->steps = first->steps;
    second->noise_variance = first->noise_variance;
    bits_copy(COUNT, first->first, second->first);
    bits_copy(COUNT, first->second, second->second);
    bits_copy(COUNT, parameters, copy);
    fill(COUNT, 1.0f, gradient);
    sotto_optimizer_step(first, 0.01, 0.1, gradient, parameters);
    sotto_optimizer_step(second, 0.01, 0.1, gradient, copy);
    ck_assert_mem_eq(parameters, copy, sizeof copy);
    sotto_optimizer_destroy(first);
    sotto_optimizer_destroy(second);
    sotto_optimizer_destroy(NULL);
}
END_TEST

static void refuse(sotto_optimizer_options options, const char *word)
{
    sotto_optimizer *optimizer = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_optimizer_create(&optimizer, &options, 1, (const float[]){0.0f}, &err),
                     SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(optimizer);
    ck_assert_msg(strstr(err.message, word), "\"%s\" does not say \"%s\"", err.message, word);
}

START_TEST(optimizer_options_out_of_range_are_refused)
{
    const sotto_optimizer_kind sgd = SOTTO_OPTIMIZER_SGD, adam = SOTTO_OPTIMIZER_ADAM;
    const sotto_optimizer_kind dp_adam = SOTTO_OPTIMIZER_DP_ADAM;
    refuse(sotto_optimizer_defaults((sotto_optimizer_kind)9), "kind");
    refuse((sotto_optimizer_options){.kind = sgd, .momentum = 1.0}, "momentum");
    refuse((sotto_optimizer_options){.kind = adam, .beta1 = -0.1, .epsilon = 1.0}, "beta1");
    refuse((sotto_optimizer_options){.kind = dp_adam, .beta2 = NAN, .floor = 1.0}, "beta2");
    refuse((sotto_optimizer_options){.kind = adam, .epsilon = 0.0}, "epsilon");
    refuse((sotto_optimizer_options){.kind = dp_adam, .floor = INFINITY}, "floor");
    refuse((sotto_optimizer_options){.kind = sgd, .decay = -1.0}, "decay");
    refuse((sotto_optimizer_options){.kind = sgd, .decay = NAN}, "decay");
}
END_TEST

START_TEST(the_schedule_is_constant_then_linear)
{
    const sotto_schedule schedule = {.rate = 0.5, .steps = 100, .decay_fraction = 0.4};
    const sotto_schedule flat = {.rate = 0.5, .steps = 100, .decay_fraction = 0.0};
    const sotto_schedule whole = {.rate = 0.5, .steps = 100, .decay_fraction = 1.0};
    for (uint64_t step = 0; step < 100; step++) {
        ck_assert_double_eq(sotto_schedule_rate(&flat, step), 0.5);
        close_to(sotto_schedule_rate(&whole, step), 0.5 * (1.0 - (double)step / 100.0), 0.0, 1e-15, "whole",
                 step);
        close_to(sotto_schedule_rate(&schedule, step), step < 60 ? 0.5 : 0.5 * (100.0 - (double)step) / 40.0,
                 0.0, 1e-15, "part", step);
    }
    ck_assert_double_eq(sotto_schedule_rate(&flat, 100), 0.0);
    ck_assert_double_eq(sotto_schedule_rate(&schedule, UINT64_MAX), 0.0);
}
END_TEST

START_TEST(the_average_of_weights_decays)
{
    float parameters[COUNT], average[COUNT];
    double wanted[COUNT];
    fill(COUNT, 1.0f, average);
    for (size_t j = 0; j < COUNT; j++)
        wanted[j] = (double)average[j];
    for (int step = 0; step < STEPS; step++) {
        fill(COUNT, 1.0f, parameters);
        sotto_ema_update(COUNT, 0.9, parameters, average);
        for (size_t j = 0; j < COUNT; j++) {
            wanted[j] = 0.9 * wanted[j] + 0.1 * (double)parameters[j];
            close_to((double)average[j], wanted[j], 1.0, 5e-7, "average", j);
        }
    }
    sotto_ema_update(COUNT, 0.0, parameters, average);
    for (size_t j = 0; j < COUNT; j++)
        close_to((double)average[j], (double)parameters[j], 1.0, 2e-7, "average without memory", j);
}
END_TEST

TCase *training_tests(void)
{
    TCase *tests = tcase_create("training");
    tcase_add_test(tests, adversarial_losses_agree_with_their_formulas);
    tcase_add_test(tests, losses_are_stable_at_large_logits);
    tcase_add_test(tests, a_bad_logit_stays_visible_and_alone);
    tcase_add_test(tests, cross_entropy_takes_soft_targets);
    tcase_add_test(tests, squared_error_sums_over_columns);
    tcase_add_test(tests, optimizers_follow_their_papers);
    tcase_add_test(tests, dp_adam_takes_the_noise_out_of_the_second_moment);
    tcase_add_test(tests, optimizer_state_resumes_to_the_bit);
    tcase_add_test(tests, optimizer_options_out_of_range_are_refused);
    tcase_add_test(tests, the_schedule_is_constant_then_linear);
    tcase_add_test(tests, the_average_of_weights_decays);
    return tests;
}
