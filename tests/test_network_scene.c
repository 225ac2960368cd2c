/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One architecture at a random point with a random chunk, for the tests of passes. */

#include "test_network.h"

scene s;

void open_scene(size_t which, size_t views)
{
    const plan *p = &plans[which];
    sotto_error err = {0};
    test_state = which + 1;
    s.plan = p;
    ck_assert_msg(sotto_network_create(&s.network, p->inputs, p->classes, p->layers, p->count, &err) ==
                      SOTTO_OK,
                  "%s: %s", p->name, err.message);
    ck_assert_int_eq(sotto_workspace_create(&s.workspace, s.network, EXAMPLES, views, &err), SOTTO_OK);
    s.parameter_count = sotto_network_parameters(s.network);
    s.outputs = sotto_network_outputs(s.network);
    s.blocks = sotto_network_blocks(s.network);
    s.views = views;
    s.rows = EXAMPLES * views;
    s.training = true;
    s.penalties = 0;
    s.lambda = 10.0;
    ck_assert_uint_le(s.parameter_count, MOST_PARAMETERS);
    ck_assert_uint_le(s.outputs, MOST_COLUMNS);
    fill(s.parameter_count, 0.7f, s.parameters);
    ck_assert_int_eq(sotto_weights_create(&s.weights, s.network, s.parameters, &err), SOTTO_OK);
    fill(s.rows * p->inputs, 2.0f, s.input);
    fill(s.rows * s.outputs, 1.5f, s.direction);
    for (size_t r = 0; r < s.rows; r++) {
        s.classes[r] = (uint16_t)(p->classes > 1 ? (r * 2 + 1) % p->classes : 0);
        s.seeds[r] = r * r + 3;
    }
}

bool add_penalties(size_t views)
{
    sotto_error err = {0};
    if (sotto_workspace_penalty(s.workspace, views, &err) != SOTTO_OK) {
        ck_assert_msg(strstr(err.message, "(softmax)") || strstr(err.message, "(sample)"), "%s: %s",
                      s.plan->name, err.message);
        return false;
    }
    s.penalties = views;
    return true;
}

void close_scene(void)
{
    sotto_workspace_destroy(s.workspace);
    sotto_weights_destroy(s.weights);
    sotto_network_destroy(s.network);
}

/* Rows [first, first + rows) of the scene as the first rows of the workspace, forward and backward. */
static const float *run_rows(size_t first, size_t rows, bool want_input_gradient)
{
    const size_t n = s.plan->inputs;
    memcpy(sotto_workspace_input(s.workspace), s.input + first * n, rows * n * sizeof *s.input);
    memcpy(sotto_workspace_classes(s.workspace), s.classes + first, rows * sizeof *s.classes);
    memcpy(sotto_workspace_seeds(s.workspace), s.seeds + first, rows * sizeof *s.seeds);
    sotto_workspace_train(s.workspace, s.training);
    const float *output = sotto_network_forward(s.weights, s.workspace);
    memcpy(sotto_workspace_output_gradient(s.workspace), s.direction + first * s.outputs,
           rows * s.outputs * sizeof *s.direction);
    sotto_network_backward(s.weights, s.workspace, want_input_gradient);
    if (s.penalties > 0)
        sotto_network_penalty(s.weights, s.workspace, s.lambda, NULL);
    return output;
}

const float *run_first(size_t examples, bool want_input_gradient)
{
    sotto_workspace_use(s.workspace, examples);
    return run_rows(0, examples * s.views, want_input_gradient);
}

const float *run_network(bool want_input_gradient)
{
    return run_first(EXAMPLES, want_input_gradient);
}

const float *run_alone(size_t example, bool want_input_gradient)
{
    sotto_workspace_use(s.workspace, 1);
    return run_rows(example * s.views, s.views, want_input_gradient);
}

void block_norms_of(size_t used, double *norms2)
{
    sotto_workspace_use(s.workspace, used);
    sotto_network_squared_norms(s.network, s.workspace, norms2);
}

void norms_of(size_t used, double *norms2)
{
    static double blocks[MOST_LAYERS * EXAMPLES];
    block_norms_of(used, blocks);
    for (size_t i = 0; i < used; i++) {
        norms2[i] = 0.0;
        for (size_t b = 0; b < s.blocks; b++)
            norms2[i] += blocks[b * used + i];
    }
}

void sum_of(size_t used, const float *weights, float *gradient, bool accumulate)
{
    sotto_workspace_use(s.workspace, used);
    sotto_network_weighted_gradient(s.network, s.workspace, weights, false, gradient, accumulate);
}

void gradient_of(size_t used, size_t example, float *gradient)
{
    float weights[EXAMPLES] = {0};
    weights[example] = 1.0f;
    sum_of(used, weights, gradient, false);
}

circumstances circumstances_of(size_t row)
{
    return (circumstances){.class_of = s.classes[row], .seed = s.seeds[row], .training = s.training};
}
