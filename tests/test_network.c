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

enum { ROWS = 7, USED = 5, MOST_PARAMETERS = 8192 };

/* One architecture at a random point with a random chunk, and what the reference says of each example. */
typedef struct scene {
    const plan *plan;
    sotto_network *network;
    sotto_workspace *workspace;
    size_t parameter_count, outputs;
    float parameters[MOST_PARAMETERS];
    float input[ROWS * MOST_COLUMNS];
    float direction[ROWS * MOST_COLUMNS]; /* the output gradient */
    uint16_t classes[ROWS];
    double gradients[ROWS][MOST_PARAMETERS];
    double input_gradients[ROWS][MOST_COLUMNS];
    double norms2[ROWS];
} scene;

static scene s;

static void open_scene(size_t which)
{
    const plan *p = &plans[which];
    sotto_error err = {0};
    test_state = which + 1;
    s.plan = p;
    ck_assert_msg(sotto_network_create(&s.network, p->inputs, p->classes, p->layers, p->count, &err) ==
                      SOTTO_OK,
                  "%s: %s", p->name, err.message);
    ck_assert_int_eq(sotto_workspace_create(&s.workspace, s.network, ROWS, &err), SOTTO_OK);
    s.parameter_count = sotto_network_parameters(s.network);
    s.outputs = sotto_network_outputs(s.network);
    fill(s.parameter_count, 0.7f, s.parameters);
    fill(ROWS * p->inputs, 2.0f, s.input);
    fill(ROWS * s.outputs, 1.5f, s.direction);
    for (size_t i = 0; i < ROWS; i++)
        s.classes[i] = (uint16_t)(p->classes > 1 ? (i * 2 + 1) % p->classes : 0);
}

static void close_scene(void)
{
    sotto_workspace_destroy(s.workspace);
    sotto_network_destroy(s.network);
}

static void run_reference(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        reference_gradient(s.plan, s.parameter_count, s.parameters, s.input + i * s.plan->inputs,
                           s.classes[i], s.direction + i * s.outputs, s.gradients[i], s.input_gradients[i]);
        s.norms2[i] = 0.0;
        for (size_t j = 0; j < s.parameter_count; j++)
            s.norms2[i] += s.gradients[i][j] * s.gradients[i][j];
    }
}

/* Put the scene's chunk through the network, forward and backward; returns the output. */
static const float *run_network(bool want_input_gradient)
{
    memcpy(sotto_workspace_input(s.workspace), s.input, ROWS * s.plan->inputs * sizeof *s.input);
    memcpy(sotto_workspace_classes(s.workspace), s.classes, sizeof s.classes);
    const float *output = sotto_network_forward(s.network, s.parameters, s.workspace);
    memcpy(sotto_workspace_output_gradient(s.workspace), s.direction, ROWS * s.outputs * sizeof *s.direction);
    sotto_network_backward(s.network, s.parameters, s.workspace, want_input_gradient);
    return output;
}

/* |found[j] − Σ_i weights[i]·∇_i[j]| for every parameter, relative to the size of what is summed. */
static void check_sum(const float *found, size_t used, const float *weights, double offset)
{
    double scale = 0.0;
    for (size_t i = 0; i < used; i++)
        scale += fabs(weights ? (double)weights[i] : 1.0) * sqrt(s.norms2[i]);
    for (size_t j = 0; j < s.parameter_count; j++) {
        double wanted = offset;
        for (size_t i = 0; i < used; i++)
            wanted += (weights ? (double)weights[i] : 1.0) * s.gradients[i][j];
        close_to((double)found[j], wanted, scale, 2e-6, s.plan->name, j);
    }
}

START_TEST(forward_agrees_with_the_reference)
{
    open_scene((size_t)_i);
    double parameters[MOST_PARAMETERS], input[MOST_COLUMNS], wanted[MOST_COLUMNS];
    const float *output = run_network(false);
    for (size_t j = 0; j < s.parameter_count; j++)
        parameters[j] = (double)s.parameters[j];
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < s.plan->inputs; j++)
            input[j] = (double)s.input[i * s.plan->inputs + j];
        ck_assert_uint_eq(reference_forward(s.plan, parameters, input, s.classes[i], wanted), s.outputs);
        for (size_t j = 0; j < s.outputs; j++)
            close_to((double)output[i * s.outputs + j], wanted[j], 3.0, 2e-6, s.plan->name,
                     i * s.outputs + j);
    }
    close_scene();
}
END_TEST

START_TEST(squared_norms_agree_with_one_example_at_a_time)
{
    open_scene((size_t)_i);
    run_reference();
    run_network(false);
    double norms2[ROWS];
    sotto_network_squared_norms(s.network, s.workspace, ROWS, norms2);
    for (size_t i = 0; i < ROWS; i++)
        close_to(norms2[i], s.norms2[i], 0.0, 1e-5, s.plan->name, i);
    close_scene();
}
END_TEST

START_TEST(weighted_gradients_are_sums_of_single_examples)
{
    static float gradient[MOST_PARAMETERS];
    const float weights[ROWS] = {0.5f, 1.0f, 0.0f, 3.0f, 0.125f, 2.0f, 1.0f};
    open_scene((size_t)_i);
    run_reference();
    run_network(false);
    for (size_t j = 0; j < s.parameter_count; j++)
        gradient[j] = NAN; /* not to be read unless accumulated to */
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, NULL, gradient, false);
    check_sum(gradient, ROWS, NULL, 0.0);
    sotto_network_weighted_gradient(s.network, s.workspace, USED, NULL, gradient, false);
    check_sum(gradient, USED, NULL, 0.0);
    for (size_t j = 0; j < s.parameter_count; j++)
        gradient[j] = 1.0f;
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, weights, gradient, true);
    check_sum(gradient, ROWS, weights, 1.0);
    sotto_network_weighted_gradient(s.network, s.workspace, USED, weights, gradient, false);
    check_sum(gradient, USED, weights, 0.0);
    sotto_network_weighted_gradient(s.network, s.workspace, 0, weights, gradient, false);
    for (size_t j = 0; j < s.parameter_count; j++)
        ck_assert_float_eq(gradient[j], 0.0f);
    close_scene();
}
END_TEST

START_TEST(a_norm_is_that_of_the_gradient_it_clips)
{
    static float gradient[MOST_PARAMETERS];
    open_scene((size_t)_i);
    for (size_t i = 0; i < ROWS; i++) {
        float weights[ROWS] = {0};
        double norms2[ROWS], wanted = 0.0;
        weights[i] = 1.0f;
        run_network(false);
        sotto_network_squared_norms(s.network, s.workspace, ROWS, norms2);
        sotto_network_weighted_gradient(s.network, s.workspace, ROWS, weights, gradient, false);
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
    open_scene((size_t)_i);
    run_reference();
    run_network(false);
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, NULL, without, false);
    run_network(true);
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, NULL, with, false);
    ck_assert_mem_eq(with, without, s.parameter_count * sizeof *with);
    const float *found = sotto_workspace_input_gradient(s.workspace);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < s.plan->inputs; j++)
            close_to((double)found[i * s.plan->inputs + j], s.input_gradients[i][j], 3.0, 2e-6, s.plan->name,
                     j);
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
    open_scene((size_t)_i);
    run_network(false);
    sotto_network_squared_norms(s.network, s.workspace, ROWS, clean2);
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, weights, clean, false);
    const size_t n = s.plan->inputs;
    for (size_t j = 0; j < n; j++) {
        s.input[2 * n + j] = j % 2 ? INFINITY : NAN;
        s.input[3 * n + j] = -INFINITY;
    }
    for (size_t j = 0; j < s.outputs; j++)
        s.direction[6 * s.outputs + j] = NAN;
    run_network(true);
    sotto_network_squared_norms(s.network, s.workspace, ROWS, norms2);
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, weights, found, false);
    for (size_t i = 0; i < ROWS; i++) {
        if (i == 2 || i == 6)
            ck_assert_msg(!isfinite(norms2[i]), "%s: norm2 of row %zu is %g", s.plan->name, i, norms2[i]);
        else if (i != 3)
            ck_assert_double_eq(norms2[i], clean2[i]);
    }
    for (size_t j = 0; j < s.parameter_count; j++)
        ck_assert_msg(found[j] == clean[j], "%s[%zu]: %g with bad rows, %g without", s.plan->name, j,
                      (double)found[j], (double)clean[j]);
    const float *input_gradient = sotto_workspace_input_gradient(s.workspace);
    for (size_t j = 0; j < ROWS * n; j++)
        ck_assert(j / n == 2 || j / n == 3 || j / n == 6 || isfinite(input_gradient[j]));
    close_scene();
}
END_TEST

START_TEST(weights_that_are_no_weights_count_as_zero)
{
    static float clean[MOST_PARAMETERS], found[MOST_PARAMETERS];
    const float zeros[ROWS] = {1.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 1.0f};
    const float odd[ROWS] = {1.0f, NAN, 1e-40f, -1e-44f, INFINITY, -INFINITY, 1.0f};
    open_scene((size_t)_i);
    run_network(false);
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, zeros, clean, false);
    run_network(false);
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, odd, found, false);
    ck_assert_mem_eq(found, clean, s.parameter_count * sizeof *found);
    close_scene();
}
END_TEST

/* Copy example 2 to place `to`, and make everything else of the chunk new. */
static void change_neighbours(size_t to)
{
    const size_t n = s.plan->inputs;
    float example[MOST_COLUMNS], direction[MOST_COLUMNS];
    bits_copy(n, s.input + 2 * n, example);
    bits_copy(s.outputs, s.direction + 2 * s.outputs, direction);
    fill(ROWS * n, 50.0f, s.input);
    fill(ROWS * s.outputs, 50.0f, s.direction);
    bits_copy(n, example, s.input + to * n);
    bits_copy(s.outputs, direction, s.direction + to * s.outputs);
    s.classes[to] = s.classes[2];
}

START_TEST(an_example_does_not_feel_its_neighbours)
{
    double before[ROWS], after[ROWS];
    float output[MOST_COLUMNS];
    open_scene((size_t)_i);
    bits_copy(s.outputs, run_network(false) + 2 * s.outputs, output);
    sotto_network_squared_norms(s.network, s.workspace, ROWS, before);

    change_neighbours(2); /* at its own place: the same bits */
    const float *found = run_network(false);
    sotto_network_squared_norms(s.network, s.workspace, ROWS, after);
    ck_assert_mem_eq(found + 2 * s.outputs, output, s.outputs * sizeof *output);
    ck_assert_double_eq(after[2], before[2]);

    change_neighbours(
        4); /* elsewhere: many matrix products add in another order in the last rows of a chunk */
    found = run_network(false);
    sotto_network_squared_norms(s.network, s.workspace, ROWS, after);
    close_to(sqrt(after[4]), sqrt(before[2]), 0.0, 2e-6, s.plan->name, 4);
    for (size_t j = 0; j < s.outputs; j++)
        close_to((double)found[4 * s.outputs + j], (double)output[j], 1.0, 2e-6, s.plan->name, j);
    close_scene();
}
END_TEST

START_TEST(a_second_pass_forgets_the_first)
{
    static float first[MOST_PARAMETERS], second[MOST_PARAMETERS];
    const float none[ROWS] = {0};
    open_scene((size_t)_i);
    run_network(true);
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, NULL, first, false);
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, none, second, false);
    run_network(true);
    sotto_network_weighted_gradient(s.network, s.workspace, ROWS, NULL, second, false);
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
    tcase_add_loop_test(tests, an_example_does_not_feel_its_neighbours, 0, count);
    tcase_add_loop_test(tests, a_second_pass_forgets_the_first, 0, count);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, shape_tests());
    suite_add_tcase(suite, training_tests());
    return run_suite(suite);
}
