/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Forward, backward, per-example norms and weighted gradients of every architecture in
 * test_network_reference.c, against one example at a time in float64. Deterministic: no false alarms.
 */

#include "test_network.h"
#include "suite.h"
#include "tensor/tensor.h"

#include <stdlib.h>

uint64_t test_state = 1;

enum { ROWS = EXAMPLES, USED = 5 };

/* What the reference says of each example, one row being one example. */
static struct {
    double gradients[ROWS][MOST_PARAMETERS];
    double input_gradients[ROWS][MOST_COLUMNS];
    double norms2[ROWS];
} wanted_of;

static void run_reference(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        reference_gradient(s.plan, s.parameter_count, s.parameters, s.input + i * s.plan->inputs,
                           circumstances_of(i), s.direction + i * s.outputs, wanted_of.gradients[i],
                           wanted_of.input_gradients[i]);
        wanted_of.norms2[i] = 0.0;
        for (size_t j = 0; j < s.parameter_count; j++)
            wanted_of.norms2[i] += wanted_of.gradients[i][j] * wanted_of.gradients[i][j];
    }
}

/* |found[j] − Σ_i weights[i]·∇_i[j]| for every parameter, relative to the size of what is summed. */
static void check_sum(const float *found, size_t used, const float *weights, double offset)
{
    double scale = 0.0;
    for (size_t i = 0; i < used; i++)
        scale += fabs(weights ? (double)weights[i] : 1.0) * sqrt(wanted_of.norms2[i]);
    for (size_t j = 0; j < s.parameter_count; j++) {
        double wanted = offset;
        for (size_t i = 0; i < used; i++)
            wanted += (weights ? (double)weights[i] : 1.0) * wanted_of.gradients[i][j];
        close_to((double)found[j], wanted, scale, 2e-6, s.plan->name, j);
    }
}

START_TEST(forward_agrees_with_the_reference)
{
    open_scene((size_t)_i, 1);
    double parameters[MOST_PARAMETERS], input[MOST_COLUMNS], wanted[MOST_COLUMNS];
    const float *output = run_network(false);
    for (size_t j = 0; j < s.parameter_count; j++)
        parameters[j] = (double)s.parameters[j];
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < s.plan->inputs; j++)
            input[j] = (double)s.input[i * s.plan->inputs + j];
        ck_assert_uint_eq(reference_forward(s.plan, parameters, input, circumstances_of(i), wanted),
                          s.outputs);
        for (size_t j = 0; j < s.outputs; j++)
            close_to((double)output[i * s.outputs + j], wanted[j], 3.0, 2e-6, s.plan->name,
                     i * s.outputs + j);
    }
    close_scene();
}
END_TEST

START_TEST(squared_norms_agree_with_one_example_at_a_time)
{
    open_scene((size_t)_i, 1);
    run_reference();
    run_network(false);
    double norms2[ROWS];
    norms_of(ROWS, norms2);
    for (size_t i = 0; i < ROWS; i++)
        close_to(norms2[i], wanted_of.norms2[i], 0.0, 1e-5, s.plan->name, i);
    close_scene();
}
END_TEST

START_TEST(weighted_gradients_are_sums_of_single_examples)
{
    static float gradient[MOST_PARAMETERS];
    const float weights[ROWS] = {0.5f, 1.0f, 0.0f, 3.0f, 0.125f, 2.0f, 1.0f};
    open_scene((size_t)_i, 1);
    run_reference();
    run_network(false);
    for (size_t j = 0; j < s.parameter_count; j++)
        gradient[j] = NAN; /* not to be read unless accumulated to */
    sum_of(ROWS, NULL, gradient, false);
    check_sum(gradient, ROWS, NULL, 0.0);
    sum_of(USED, NULL, gradient, false);
    check_sum(gradient, USED, NULL, 0.0);
    for (size_t j = 0; j < s.parameter_count; j++)
        gradient[j] = 1.0f;
    sum_of(ROWS, weights, gradient, true);
    check_sum(gradient, ROWS, weights, 1.0);
    sum_of(USED, weights, gradient, false);
    check_sum(gradient, USED, weights, 0.0);
    sum_of(0, weights, gradient, false);
    for (size_t j = 0; j < s.parameter_count; j++)
        close_to((double)gradient[j], 0.0, 0.0, 0.0, s.plan->name, j);
    close_scene();
}
END_TEST

START_TEST(a_norm_is_that_of_the_gradient_it_clips)
{
    static float gradient[MOST_PARAMETERS];
    open_scene((size_t)_i, 1);
    for (size_t i = 0; i < ROWS; i++) {
        float weights[ROWS] = {0};
        double norms2[ROWS], wanted = 0.0;
        weights[i] = 1.0f;
        run_network(false);
        norms_of(ROWS, norms2);
        sum_of(ROWS, weights, gradient, false);
        for (size_t j = 0; j < s.parameter_count; j++)
            wanted += (double)gradient[j] * (double)gradient[j];
        close_to(norms2[i], wanted, 0.0, 2e-6, s.plan->name, i);
    }
    close_scene();
}
END_TEST

START_TEST(the_input_gradient_agrees_and_changes_nothing_else)
{
    static float with[MOST_PARAMETERS], without[MOST_PARAMETERS];
    open_scene((size_t)_i, 1);
    run_reference();
    run_network(false);
    sum_of(ROWS, NULL, without, false);
    run_network(true);
    sum_of(ROWS, NULL, with, false);
    ck_assert_mem_eq(with, without, s.parameter_count * sizeof *with);
    const float *found = sotto_workspace_input_gradient(s.workspace);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < s.plan->inputs; j++)
            close_to((double)found[i * s.plan->inputs + j], wanted_of.input_gradients[i][j], 3.0, 2e-6,
                     s.plan->name, j);
    }
    close_scene();
}
END_TEST

/* ---------------------------------------------------------------- isolation */

START_TEST(a_non_finite_row_contributes_exactly_nothing)
{
    static float clean[MOST_PARAMETERS], found[MOST_PARAMETERS];
    float weights[ROWS] = {0.5f, 1.0f, 0.0f, 0.0f, 2.0f, 1.0f, 0.0f};
    double clean2[ROWS], norms2[ROWS];
    open_scene((size_t)_i, 1);
    run_network(false);
    norms_of(ROWS, clean2);
    sum_of(ROWS, weights, clean, false);
    const size_t n = s.plan->inputs;
    for (size_t j = 0; j < n; j++) {
        s.input[2 * n + j] = j % 2 ? INFINITY : NAN;
        s.input[3 * n + j] = -INFINITY;
    }
    for (size_t j = 0; j < s.outputs; j++)
        s.direction[6 * s.outputs + j] = NAN;
    run_network(true);
    norms_of(ROWS, norms2);
    sum_of(ROWS, weights, found, false);
    for (size_t i = 0; i < ROWS; i++) {
        if (i == 2 || i == 6)
            ck_assert_msg(!isfinite(norms2[i]), "%s: norm2 of row %zu is %g", s.plan->name, i, norms2[i]);
        else if (i != 3)
            ck_assert_double_eq(norms2[i], clean2[i]);
    }
    for (size_t j = 0; j < s.parameter_count; j++)
        close_to((double)found[j], (double)clean[j], 0.0, 0.0, s.plan->name, j);
    const float *input_gradient = sotto_workspace_input_gradient(s.workspace);
    for (size_t j = 0; j < ROWS * n; j++)
        if (j / n != 2 && j / n != 3 && j / n != 6 && !isfinite(input_gradient[j]))
            ck_abort_msg("%s: row %zu has a bad neighbour", s.plan->name, j / n);
    close_scene();
}
END_TEST

START_TEST(weights_that_are_no_weights_count_as_zero)
{
    static float clean[MOST_PARAMETERS], found[MOST_PARAMETERS];
    const float zeros[ROWS] = {1.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 1.0f};
    const float odd[ROWS] = {1.0f, NAN, 1e-40f, -1e-44f, INFINITY, -INFINITY, 1.0f};
    open_scene((size_t)_i, 1);
    run_network(false);
    sum_of(ROWS, zeros, clean, false);
    run_network(false);
    sum_of(ROWS, odd, found, false);
    ck_assert_mem_eq(found, clean, s.parameter_count * sizeof *found);
    close_scene();
}
END_TEST

START_TEST(a_second_pass_forgets_the_first)
{
    static float first[MOST_PARAMETERS], second[MOST_PARAMETERS];
    const float none[ROWS] = {0};
    open_scene((size_t)_i, 1);
    run_network(true);
    sum_of(ROWS, NULL, first, false);
    sum_of(ROWS, none, second, false);
    run_network(true);
    sum_of(ROWS, NULL, second, false);
    ck_assert_mem_eq(first, second, s.parameter_count * sizeof *first);
    close_scene();
}
END_TEST

int main(void)
{
    sotto_tensor_initialise();
    Suite *suite = suite_create("network");
    TCase *tests = tcase_create("passes");
    const int count = (int)plan_count;
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, forward_agrees_with_the_reference, 0, count);
    tcase_add_loop_test(tests, squared_norms_agree_with_one_example_at_a_time, 0, count);
    tcase_add_loop_test(tests, weighted_gradients_are_sums_of_single_examples, 0, count);
    tcase_add_loop_test(tests, a_norm_is_that_of_the_gradient_it_clips, 0, count);
    tcase_add_loop_test(tests, the_input_gradient_agrees_and_changes_nothing_else, 0, count);
    tcase_add_loop_test(tests, a_non_finite_row_contributes_exactly_nothing, 0, count);
    tcase_add_loop_test(tests, weights_that_are_no_weights_count_as_zero, 0, count);
    tcase_add_loop_test(tests, a_second_pass_forgets_the_first, 0, count);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, row_tests());
    suite_add_tcase(suite, penalty_tests());
    suite_add_tcase(suite, entry_tests());
    suite_add_tcase(suite, shape_tests());
    suite_add_tcase(suite, training_tests());
    return run_suite_together(suite);
}
