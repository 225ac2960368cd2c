/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What belongs to one example: its rows, and nothing of any other. Every architecture of
 * test_network_plans.c, with one row and with several rows in an example.
 */

#include "network/plan.h"
#include "test_network.h"

/* ---------------------------------------------------------------- isolation */

/* One example of the scene, and what the network makes of it. */
typedef struct outcome {
    float input[MOST_VIEWS * MOST_COLUMNS], direction[MOST_VIEWS * MOST_COLUMNS];
    uint16_t classes[MOST_VIEWS];
    uint64_t seeds[MOST_VIEWS];
    float output[MOST_VIEWS * MOST_COLUMNS], input_gradient[MOST_VIEWS * MOST_COLUMNS];
    float gradient[MOST_PARAMETERS];
    double norms2[MOST_LAYERS];
} outcome;

static void take_out(size_t example, outcome *o)
{
    const size_t first = example * s.views;
    bits_copy(s.views * s.plan->inputs, s.input + first * s.plan->inputs, o->input);
    bits_copy(s.views * s.outputs, s.direction + first * s.outputs, o->direction);
    memcpy(o->classes, s.classes + first, s.views * sizeof *o->classes);
    memcpy(o->seeds, s.seeds + first, s.views * sizeof *o->seeds);
}

/* Everything of the chunk anew, with a few rows that are no numbers, and the example at place `to`. */
static void change_neighbours(size_t to, const outcome *o)
{
    const size_t first = to * s.views;
    fill(s.rows * s.plan->inputs, 50.0f, s.input);
    fill(s.rows * s.outputs, 50.0f, s.direction);
    for (size_t r = 0; r < s.rows; r++) {
        s.seeds[r] += 77;
        s.classes[r] = (uint16_t)(s.plan->classes > 1 ? (s.classes[r] + 1) % (s.plan->classes + 1) : 0);
        if (draw() > 0.5f)
            s.input[r * s.plan->inputs] = NAN;
        if (draw() > 0.5f)
            s.direction[r * s.outputs] = INFINITY;
    }
    bits_copy(s.views * s.plan->inputs, o->input, s.input + first * s.plan->inputs);
    bits_copy(s.views * s.outputs, o->direction, s.direction + first * s.outputs);
    memcpy(s.classes + first, o->classes, s.views * sizeof *o->classes);
    memcpy(s.seeds + first, o->seeds, s.views * sizeof *o->seeds);
}

/* What the passes just run say of the example at place `at` of `used`. */
static void note(size_t at, size_t used, const float *output, outcome *o)
{
    static double norms2[MOST_LAYERS * EXAMPLES];
    const size_t first = at * s.views;
    bits_copy(s.views * s.outputs, output + first * s.outputs, o->output);
    bits_copy(s.views * s.plan->inputs, sotto_workspace_input_gradient(s.workspace) + first * s.plan->inputs,
              o->input_gradient);
    block_norms_of(used, norms2);
    for (size_t b = 0; b < s.blocks; b++)
        o->norms2[b] = norms2[b * used + at];
    gradient_of(used, at, o->gradient);
}

static void check_same(const outcome *found, const outcome *wanted)
{
    ck_assert_mem_eq(found->output, wanted->output, s.views * s.outputs * sizeof *found->output);
    ck_assert_mem_eq(found->input_gradient, wanted->input_gradient,
                     s.views * s.plan->inputs * sizeof *found->input_gradient);
    ck_assert_mem_eq(found->norms2, wanted->norms2, s.blocks * sizeof *found->norms2);
    ck_assert_mem_eq(found->gradient, wanted->gradient, s.parameter_count * sizeof *found->gradient);
}

enum { VARIANTS = 3 };

/* Examples of one row, of two, and of two with a penalty row behind them. */
static void open_variant(size_t number)
{
    const size_t views = 1 + number % VARIANTS;
    open_scene(number / VARIANTS, views);
    if (views == 3)
        add_penalties(1);
}

/* Contract rule P16: alone, and at every place among every number of others, the same bits. */
START_TEST(an_example_is_the_same_in_any_company)
{
    static outcome alone, found;
    open_variant((size_t)_i);
    take_out(2, &alone);
    note(0, 1, run_alone(2, true), &alone);
    for (size_t used = 1; used <= EXAMPLES; used++) {
        for (size_t at = 0; at < used; at++) {
            change_neighbours(at, &alone);
            note(at, used, run_first(used, true), &found);
            check_same(&found, &alone);
        }
    }
    close_scene();
}
END_TEST

/* -------------------------------------------------------------------- views */

/* The gradient of row `row` by itself, as an example of one row. */
static void gradient_of_row(size_t row, double *gradient)
{
    static float found[MOST_PARAMETERS];
    sotto_workspace *whole = s.workspace;
    const size_t views = s.views;
    ck_assert_int_eq(sotto_workspace_create(&s.workspace, s.network, 1, 1, NULL), SOTTO_OK);
    s.views = 1;
    run_alone(row, false);
    gradient_of(1, 0, found);
    for (size_t j = 0; j < s.parameter_count; j++)
        gradient[j] = (double)found[j];
    sotto_workspace_destroy(s.workspace);
    s.workspace = whole;
    s.views = views;
}

static double square_sum(size_t count, const double *x)
{
    double sum = 0.0;
    for (size_t j = 0; j < count; j++)
        sum += x[j] * x[j];
    return sum;
}

START_TEST(the_views_of_an_example_add_up)
{
    static double of_row[MOST_PARAMETERS], of_example[EXAMPLES][MOST_PARAMETERS], norms2[EXAMPLES];
    static float gradient[MOST_PARAMETERS];
    const float weights[EXAMPLES] = {0.5f, 1.0f, 0.0f, 3.0f, 0.125f, 2.0f, 1.0f};
    double size = 0.0;
    open_scene((size_t)_i, MOST_VIEWS);
    memset(of_example, 0, sizeof of_example);
    for (size_t r = 0; r < s.rows; r++) {
        gradient_of_row(r, of_row);
        for (size_t j = 0; j < s.parameter_count; j++)
            of_example[r / MOST_VIEWS][j] += of_row[j];
    }
    run_network(false);
    norms_of(EXAMPLES, norms2);
    for (size_t i = 0; i < EXAMPLES; i++) {
        const double wanted = square_sum(s.parameter_count, of_example[i]);
        close_to(norms2[i], wanted, 1e-3, 3e-6, s.plan->name, i);
        size += (double)weights[i] * sqrt(wanted);
    }
    sum_of(EXAMPLES, weights, gradient, false);
    for (size_t j = 0; j < s.parameter_count; j++) {
        double wanted = 0.0;
        for (size_t i = 0; i < EXAMPLES; i++)
            wanted += (double)weights[i] * of_example[i][j];
        close_to((double)gradient[j], wanted, size, 1e-6, s.plan->name, j);
    }
    close_scene();
}
END_TEST

/* ------------------------------------------------------------------- blocks */

/* The parameters of each block. */
static size_t find_blocks(size_t begin[MOST_LAYERS], size_t end[MOST_LAYERS])
{
    size_t count = 0;
    for (size_t i = 0; i < s.network->count; i++) {
        const operation *op = &s.network->operations[i];
        if (!has_parameters(op))
            continue;
        begin[count] = op->offset;
        end[count++] = op->offset + matrix_parameters(op) + op->vector;
    }
    return count;
}

START_TEST(a_block_is_weighted_and_measured_by_itself)
{
    static float weights[MOST_LAYERS * EXAMPLES], by_block[MOST_PARAMETERS], whole[MOST_PARAMETERS];
    static double norms2[MOST_LAYERS * EXAMPLES];
    size_t begin[MOST_LAYERS], end[MOST_LAYERS], covered = 0;
    open_variant((size_t)_i);
    ck_assert_uint_eq(find_blocks(begin, end), s.blocks);
    run_network(false);
    fill(s.blocks * EXAMPLES, 1.0f, weights);
    block_norms_of(EXAMPLES, norms2);
    sotto_network_weighted_gradient(s.network, s.workspace, weights, true, by_block, false);
    for (size_t b = 0; b < s.blocks; b++) {
        sum_of(EXAMPLES, weights + b * EXAMPLES, whole, false);
        ck_assert_mem_eq(by_block + begin[b], whole + begin[b], (end[b] - begin[b]) * sizeof *whole);
        covered += end[b] - begin[b];
    }
    ck_assert_uint_eq(covered, s.parameter_count);
    for (size_t i = 0; i < EXAMPLES; i++) {
        gradient_of(EXAMPLES, i, whole);
        for (size_t b = 0; b < s.blocks; b++) {
            double wanted = 0.0;
            for (size_t j = begin[b]; j < end[b]; j++)
                wanted += (double)whole[j] * (double)whole[j];
            close_to(norms2[b * EXAMPLES + i], wanted, 1e-4, 3e-6, s.plan->name, b);
        }
    }
    close_scene();
}
END_TEST

/* ------------------------------------------------------------- two ways to a norm */

/* ‖Σ_t a_t ⊗ b_t‖² by the sum itself, and how large it could be. */
static double norm_of_sum(const operation *op, const pairs *p, double *most)
{
    double norm2 = 0.0;
    *most = 0.0;
    for (size_t i = 0; i < op->left; i++) {
        for (size_t j = 0; j < op->right; j++) {
            double sum = 0.0, size = 0.0;
            for (size_t t = 0; t < p->count; t++) {
                const double product = (double)p->a[t * p->a_stride + i] * (double)p->b[t * p->b_stride + j];
                sum += product;
                size += fabs(product);
            }
            norm2 += sum * sum;
            *most += size * size;
        }
    }
    return norm2;
}

/* Whichever of the two the network chooses for a shape, the other would have said the same. */
START_TEST(ghost_norms_are_norms_of_sums)
{
    pairs p;
    open_variant((size_t)_i);
    run_network(false);
    for (size_t i = 0; i < s.network->count; i++) {
        const operation *op = &s.network->operations[i];
        for (size_t at = 0; at < EXAMPLES * op->groups; at++) {
            double most = 0.0;
            op->class->matrix(op, s.workspace, at / op->groups, at % op->groups, &p);
            if (p.count != (s.views + s.penalties) * op->positions)
                ck_abort_msg("%s: %zu pairs", s.plan->name, p.count);
            const double wanted = norm_of_sum(op, &p, &most);
            close_to(sotto_tensor_ghost_norm(p.count, op->left, p.a, p.a_stride, op->right, p.b, p.b_stride),
                     wanted, most, 1e-12, s.plan->name, i);
        }
    }
    close_scene();
}
END_TEST

TCase *row_tests(void)
{
    TCase *tests = tcase_create("rows");
    const int count = (int)plan_count;
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, an_example_is_the_same_in_any_company, 0, VARIANTS * count);
    tcase_add_loop_test(tests, the_views_of_an_example_add_up, 0, count);
    tcase_add_loop_test(tests, a_block_is_weighted_and_measured_by_itself, 0, VARIANTS * count);
    tcase_add_loop_test(tests, ghost_norms_are_norms_of_sums, 0, VARIANTS * count);
    return tests;
}
