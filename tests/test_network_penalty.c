/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gradient penalties against differences in float64: the gradient of λ(‖∇_x f‖ − 1)² is that of ⟨v, ∇_x f⟩ at
 * a fixed v, a mixed second difference of the reference's forward pass.
 */

#include "test_network.h"

/* Rows are shared by the tests of this file: an example's loss row, and its penalty rows. */
enum { CHECKED = 3 };

static double objective(const double *parameters, const double *x, size_t row)
{
    double output[MOST_COLUMNS], sum = 0.0;
    const size_t outputs = reference_forward(s.plan, parameters, x, circumstances_of(row), output);
    for (size_t j = 0; j < outputs; j++)
        sum += (double)s.direction[row * outputs + j] * output[j];
    return sum;
}

/* f at x + step·v, less f at x − step·v. */
static double along(const double *parameters, const double *v, double step, size_t row)
{
    const size_t n = s.plan->inputs;
    double above[MOST_COLUMNS], below[MOST_COLUMNS];
    for (size_t j = 0; j < n; j++) {
        above[j] = (double)s.input[row * n + j] + step * v[j];
        below[j] = (double)s.input[row * n + j] - step * v[j];
    }
    return objective(parameters, above, row) - objective(parameters, below, row);
}

/* The penalty of one row, and its gradient. */
static double reference_penalty(size_t row, double *gradient)
{
    static double point[MOST_PARAMETERS], g[MOST_COLUMNS], v[MOST_COLUMNS];
    const double step = 2e-5;
    double norm2 = 0.0;
    for (size_t j = 0; j < s.parameter_count; j++)
        point[j] = (double)s.parameters[j];
    for (size_t j = 0; j < s.plan->inputs; j++) {
        memset(v, 0, sizeof v);
        v[j] = 1.0;
        g[j] = along(point, v, 1e-6, row) / 2e-6;
        norm2 += g[j] * g[j];
    }
    const double norm = sqrt(norm2);
    for (size_t j = 0; j < s.plan->inputs; j++)
        v[j] = norm > 0.0 ? g[j] / norm : 0.0;
    for (size_t j = 0; j < s.parameter_count; j++) {
        const double before = point[j];
        point[j] = before + step;
        const double above = along(point, v, step, row);
        point[j] = before - step;
        const double below = along(point, v, step, row);
        point[j] = before;
        gradient[j] = 2.0 * s.lambda * (norm - 1.0) * (above - below) / (4.0 * step * step);
    }
    return s.lambda * (norm - 1.0) * (norm - 1.0);
}

/* What example `i` should contribute: the gradients of its loss rows and of its penalty rows. */
static void reference_example(size_t i, const double *values, double *gradient)
{
    static double part[MOST_PARAMETERS];
    memset(gradient, 0, s.parameter_count * sizeof *gradient);
    for (size_t v = 0; v < s.views; v++) {
        const size_t row = i * s.views + v, loss_views = s.views - s.penalties;
        if (v < loss_views) {
            reference_gradient(s.plan, s.parameter_count, s.parameters, s.input + row * s.plan->inputs,
                               circumstances_of(row), s.direction + row * s.outputs, part, NULL);
        } else {
            const double wanted = reference_penalty(row, part);
            close_to(values[i * s.penalties + v - loss_views], wanted, 0.1, 1e-5, s.plan->name, row);
        }
        for (size_t j = 0; j < s.parameter_count; j++)
            gradient[j] += part[j];
    }
}

static double size_of(size_t count, const double *x)
{
    double sum = 0.0;
    for (size_t j = 0; j < count; j++)
        sum += x[j] * x[j];
    return sqrt(sum);
}

/* The scene with penalties, run; their values. */
static bool run_penalties(size_t which, size_t views, size_t penalties, bool want_input_gradient,
                          double *values)
{
    open_scene(which, views);
    if (!add_penalties(penalties))
        return false;
    s.penalties = 0; /* by hand, for the values */
    run_network(want_input_gradient);
    sotto_network_penalty(s.weights, s.workspace, s.lambda, values);
    s.penalties = penalties;
    return true;
}

/* A loss row and a penalty row; penalty rows alone; a loss row and two penalty rows. */
START_TEST(penalties_agree_with_differences)
{
    static double wanted[MOST_PARAMETERS], values[MOST_ROWS], norms2[EXAMPLES];
    static float found[MOST_PARAMETERS];
    const size_t shape = (size_t)_i % 3, views[] = {2, 1, 3}, penalties[] = {1, 1, 2};
    if (run_penalties((size_t)_i / 3, views[shape], penalties[shape], false, values)) {
        norms_of(EXAMPLES, norms2);
        for (size_t i = 0; i < CHECKED; i++) {
            reference_example(i, values, wanted);
            gradient_of(EXAMPLES, i, found);
            const double size = size_of(s.parameter_count, wanted);
            for (size_t j = 0; j < s.parameter_count; j++)
                close_to((double)found[j], wanted[j], size + 1.0, 1e-5, s.plan->name, j);
            close_to(sqrt(norms2[i]), size, 1.0, 1e-5, s.plan->name, i);
        }
    }
    close_scene();
}
END_TEST

START_TEST(a_norm_is_that_of_loss_and_penalty_together)
{
    static double values[MOST_ROWS], norms2[EXAMPLES];
    static float gradient[MOST_PARAMETERS], sum[MOST_PARAMETERS], parts[MOST_PARAMETERS];
    const float weights[EXAMPLES] = {0.5f, 1.0f, 0.0f, 3.0f, 0.125f, 2.0f, 1.0f};
    double size = 1.0;
    if (run_penalties((size_t)_i, 2, 1, true, values)) {
        norms_of(EXAMPLES, norms2);
        memset(parts, 0, sizeof parts);
        for (size_t i = 0; i < EXAMPLES; i++) {
            double wanted = 0.0;
            gradient_of(EXAMPLES, i, gradient);
            for (size_t j = 0; j < s.parameter_count; j++) {
                wanted += (double)gradient[j] * (double)gradient[j];
                parts[j] += weights[i] * gradient[j];
            }
            close_to(norms2[i], wanted, 1e-6, 3e-6, s.plan->name, i);
            size += (double)weights[i] * sqrt(norms2[i]);
        }
        sum_of(EXAMPLES, weights, sum, false);
        for (size_t j = 0; j < s.parameter_count; j++)
            close_to((double)sum[j], (double)parts[j], size, 1e-6, s.plan->name, j);
    }
    close_scene();
}
END_TEST

/* However far down the caller wanted backward to go: the same bits; and so a second time. */
START_TEST(penalties_do_not_depend_on_the_input_gradient)
{
    static double values[2][MOST_ROWS];
    static float gradients[2][MOST_PARAMETERS];
    if (run_penalties((size_t)_i, 2, 1, false, values[0])) {
        sum_of(EXAMPLES, NULL, gradients[0], false);
        run_network(true);
        sum_of(EXAMPLES, NULL, gradients[1], false);
        ck_assert_mem_eq(gradients[0], gradients[1], s.parameter_count * sizeof **gradients);
        s.penalties = 0;
        run_network(true);
        sotto_network_penalty(s.weights, s.workspace, s.lambda, values[1]);
        ck_assert_mem_eq(values[0], values[1], EXAMPLES * sizeof **values);
    }
    close_scene();
}
END_TEST

/* Room for penalties changes nothing until there are some, nor do those of the backward before. */
START_TEST(without_the_call_penalty_rows_are_loss_rows)
{
    static float with[MOST_PARAMETERS], without[MOST_PARAMETERS];
    static double norms2[2][EXAMPLES];
    open_scene((size_t)_i, 2);
    run_network(false);
    sum_of(EXAMPLES, NULL, without, false);
    norms_of(EXAMPLES, norms2[0]);
    if (add_penalties(1)) {
        run_network(false);
        s.penalties = 0;
        memcpy(sotto_workspace_output_gradient(s.workspace), s.direction,
               s.rows * s.outputs * sizeof *s.direction);
        sotto_network_backward(s.weights, s.workspace, false);
        sum_of(EXAMPLES, NULL, with, false);
        norms_of(EXAMPLES, norms2[1]);
        ck_assert_mem_eq(with, without, s.parameter_count * sizeof *with);
        ck_assert_mem_eq(norms2[0], norms2[1], sizeof *norms2);
    }
    close_scene();
}
END_TEST

/* A critic that does not see its input has the penalty λ, and no gradient of it. */
START_TEST(a_gradient_of_zero_contributes_nothing)
{
    static float gradient[MOST_PARAMETERS];
    static double values[EXAMPLES];
    open_scene(plan_named("discriminator"), 1);
    ck_assert(add_penalties(1));
    memset(s.parameters, 0, sizeof s.parameters);
    sotto_weights_refresh(s.weights);
    s.penalties = 0;
    run_network(false);
    sotto_network_penalty(s.weights, s.workspace, 10.0, values);
    sum_of(EXAMPLES, NULL, gradient, false);
    for (size_t i = 0; i < EXAMPLES; i++)
        ck_assert_double_eq(values[i], 10.0);
    for (size_t j = 0; j < s.parameter_count; j++)
        close_to((double)gradient[j], 0.0, 0.0, 0.0, "gradient", j);
    close_scene();
}
END_TEST

/* A penalty that is no number makes its example's norm none, and stays alone. */
START_TEST(a_non_finite_penalty_contributes_exactly_nothing)
{
    static float clean[MOST_PARAMETERS], found[MOST_PARAMETERS];
    static double values[MOST_ROWS], clean2[EXAMPLES], norms2[EXAMPLES];
    const float weights[EXAMPLES] = {0.5f, 1.0f, 0.0f, 1.0f, 2.0f, 0.0f, 1.0f};
    if (run_penalties((size_t)_i, 2, 1, false, values)) {
        norms_of(EXAMPLES, clean2);
        sum_of(EXAMPLES, weights, clean, false);
        for (size_t j = 0; j < s.plan->inputs; j++)
            s.input[(2 * 2 + 1) * s.plan->inputs + j] = NAN;
        for (size_t j = 0; j < s.outputs; j++)
            s.direction[(2 * 5 + 1) * s.outputs + j] = INFINITY;
        run_network(false);
        norms_of(EXAMPLES, norms2);
        sum_of(EXAMPLES, weights, found, false);
        ck_assert_msg(!isfinite(norms2[2]) && !isfinite(norms2[5]), "%s: %g, %g", s.plan->name, norms2[2],
                      norms2[5]);
        for (size_t i = 0; i < EXAMPLES; i++)
            if (i != 2 && i != 5)
                close_to(norms2[i], clean2[i], 0.0, 0.0, s.plan->name, i);
        ck_assert_mem_eq(found, clean, s.parameter_count * sizeof *found);
    }
    close_scene();
}
END_TEST

/* The same in integers: what an example contributes is rounded, and never longer than the bound. */
START_TEST(exact_sums_hold_penalties)
{
    static float gradient[MOST_PARAMETERS];
    static int32_t sums[MOST_PARAMETERS];
    static double values[MOST_ROWS], norms2[EXAMPLES];
    const sotto_exact_grid grid = {.units = 0x1p20, .bound = 1100000};
    sotto_exact *exact = NULL;
    if (run_penalties((size_t)_i, 3, 2, false, values)) {
        ck_assert_int_eq(sotto_exact_create(&exact, s.workspace, NULL), SOTTO_OK);
        norms_of(EXAMPLES, norms2);
        for (size_t i = 0; i < EXAMPLES; i++) {
            float weights[EXAMPLES] = {0};
            double norm2 = 0.0;
            weights[i] = (float)(1.0 / sqrt(norms2[i]));
            memset(sums, 0, sizeof sums);
            sum_of(EXAMPLES, weights, gradient, false);
            sotto_exact_sum(exact, s.workspace, &grid, weights, false, sums);
            for (size_t j = 0; j < s.parameter_count; j++)
                close_to((double)sums[j] / grid.units, (double)gradient[j], 1.0, 4e-3, s.plan->name, j);
            weights[i] *= 5.0f;
            memset(sums, 0, sizeof sums);
            ck_assert_uint_eq(sotto_exact_sum(exact, s.workspace, &grid, weights, false, sums), 1);
            for (size_t j = 0; j < s.parameter_count; j++)
                norm2 += (double)sums[j] * (double)sums[j];
            ck_assert_double_le(norm2, (double)grid.bound * (double)grid.bound);
            ck_assert_double_ge(norm2, 0.99 * (double)grid.bound * (double)grid.bound);
        }
        sotto_exact_destroy(exact);
    }
    close_scene();
}
END_TEST

/* Entries are written out where penalty rows are among the rows. */
START_TEST(penalty_rows_are_dense)
{
    const uint32_t columns[] = {1, 3};
    const float values[] = {0.5f, -2.0f};
    open_scene(plan_named("dense"), 1);
    ck_assert_int_eq(sotto_workspace_entries(s.workspace, 1, 2, columns, values, NULL), SOTTO_OK);
    ck_assert(add_penalties(1));
    for (int again = 0; again < 2; again++) {
        ck_assert_int_eq(sotto_workspace_entries(s.workspace, 1, 2, columns, values, NULL), SOTTO_OK);
        for (size_t j = 0; j < 5; j++)
            ck_assert_float_eq(sotto_workspace_input(s.workspace)[j], j == 1 ? 0.5f : j == 3 ? -2.0f : 0.0f);
    }
    close_scene();
}
END_TEST

static void refuse(size_t which, size_t views, const char *word)
{
    sotto_error err = {0};
    open_scene(which, 2);
    ck_assert_int_eq(sotto_workspace_penalty(s.workspace, views, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, word), "\"%s\" does not say \"%s\"", err.message, word);
    ck_assert_int_eq(sotto_workspace_penalty(s.workspace, views, NULL), SOTTO_ERROR_INPUT);
    close_scene();
}

START_TEST(penalties_after_their_scratch_are_refused)
{
    sotto_exact *exact;
    open_scene(plan_named("dense"), 2);
    ck_assert_int_eq(sotto_exact_create(&exact, s.workspace, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_workspace_penalty(s.workspace, 1, NULL), SOTTO_ERROR_INPUT);
    sotto_exact_destroy(exact);
    close_scene();
}
END_TEST

START_TEST(penalties_that_cannot_be_are_refused)
{
    refuse(plan_named("dense"), 0, "at least one");
    refuse(plan_named("dense"), 3, "3 penalty rows in an example of 2");
    refuse(plan_named("softmax between"), 1, "layer 1 (softmax)");
    open_scene(plan_named("dense"), 2);
    ck_assert(add_penalties(1));
    ck_assert_int_eq(sotto_workspace_penalty(s.workspace, 1, NULL), SOTTO_ERROR_INPUT);
    close_scene();
}
END_TEST

TCase *penalty_tests(void)
{
    TCase *tests = tcase_create("penalties");
    const int count = (int)plan_count;
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, penalties_agree_with_differences, 0, 3 * count);
    tcase_add_loop_test(tests, a_norm_is_that_of_loss_and_penalty_together, 0, count);
    tcase_add_loop_test(tests, penalties_do_not_depend_on_the_input_gradient, 0, count);
    tcase_add_loop_test(tests, without_the_call_penalty_rows_are_loss_rows, 0, count);
    tcase_add_loop_test(tests, a_non_finite_penalty_contributes_exactly_nothing, 0, count);
    tcase_add_loop_test(tests, exact_sums_hold_penalties, 0, count);
    tcase_add_test(tests, a_gradient_of_zero_contributes_nothing);
    tcase_add_test(tests, penalty_rows_are_dense);
    tcase_add_test(tests, penalties_after_their_scratch_are_refused);
    tcase_add_test(tests, penalties_that_cannot_be_are_refused);
    return tests;
}
