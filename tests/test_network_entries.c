/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows given by their entries: to the bit what the same rows written out give. */

#include "network/plan.h"
#include "test_network.h"

/* The input of the scene by its entries. */
static struct {
    size_t count;
    uint32_t columns[MOST_ROWS * MOST_COLUMNS];
    float values[MOST_ROWS * MOST_COLUMNS];
} entries;

static void draw_entries(size_t count)
{
    const size_t n = s.plan->inputs;
    entries.count = count;
    memset(s.input, 0, sizeof s.input);
    for (size_t r = 0; r < s.rows; r++) {
        size_t left = count;
        for (size_t j = 0; j < n; j++) {
            /* Knuth's selection sampling: `left` of the columns that are left. */
            if (left == 0 || (double)(n - j) * (draw() + 1.0) / 2.0 >= (double)left)
                continue;
            const size_t e = r * count + count - left--;
            entries.columns[e] = (uint32_t)j;
            entries.values[e] = s.input[r * n + j] = r % 3 == 1 && j % 2 ? 0.0f : 2.0f * draw();
        }
        ck_assert_uint_eq(left, 0);
        s.classes[r] = (uint16_t)(r % (s.plan->classes + 1));
    }
    /* One row of zeros with their entries, and one that is no row of numbers. */
    for (size_t e = 0; e < count; e++)
        entries.values[e] = s.input[entries.columns[e]] = 0.0f;
    for (size_t e = count; e < 2 * count; e += count)
        entries.values[e] = s.input[n + entries.columns[e]] = NAN;
}

typedef struct outcome {
    float output[MOST_ROWS * MOST_COLUMNS], input_gradient[MOST_ROWS * MOST_COLUMNS];
    float gradient[MOST_PARAMETERS];
    double norms2[MOST_LAYERS * EXAMPLES];
} outcome;

/* Of the example that is no number nothing is asked but that it stays alone. */
static void note(size_t used, outcome *o)
{
    static const float weights[EXAMPLES] = {0.5f, 1.0f, 1.5f, 3.0f, 0.125f, 0.0f, 1.0f};
    float without[EXAMPLES];
    const size_t rows = used * s.views;
    memset(o, 0, sizeof *o);
    bits_copy(EXAMPLES, weights, without);
    without[1 / s.views] = 0.0f;
    bits_copy(rows * s.outputs, run_first(used, true), o->output);
    bits_copy(rows * s.plan->inputs, sotto_workspace_input_gradient(s.workspace), o->input_gradient);
    block_norms_of(used, o->norms2);
    sum_of(used, without, o->gradient, false);
}

/* Equal numbers, or no numbers both. */
static void check_same(size_t count, const float *found, const float *wanted)
{
    for (size_t j = 0; j < count; j++)
        if (found[j] != wanted[j] && !(isnan(found[j]) && isnan(wanted[j])))
            ck_abort_msg("%s[%zu]: %.9g, not %.9g", s.plan->name, j, (double)found[j], (double)wanted[j]);
}

static void check_outcomes(const outcome *found, const outcome *wanted)
{
    check_same(MOST_ROWS * MOST_COLUMNS, found->output, wanted->output);
    check_same(MOST_ROWS * MOST_COLUMNS, found->input_gradient, wanted->input_gradient);
    check_same(MOST_PARAMETERS, found->gradient, wanted->gradient);
    for (size_t i = 0; i < MOST_LAYERS * EXAMPLES; i++)
        if (found->norms2[i] != wanted->norms2[i] && !(isnan(found->norms2[i]) && isnan(wanted->norms2[i])))
            ck_abort_msg("%s: norm2 %.17g, not %.17g", s.plan->name, found->norms2[i], wanted->norms2[i]);
}

static void give_entries(size_t sparse)
{
    ck_assert_int_eq(
        sotto_workspace_entries(s.workspace, sparse, entries.count, entries.columns, entries.values, NULL),
        SOTTO_OK);
}

START_TEST(entries_say_what_rows_say)
{
    static outcome wanted, found;
    static float rows[MOST_ROWS * MOST_COLUMNS];
    open_scene((size_t)_i / 2, 1 + (size_t)_i % 2);
    const size_t n = s.plan->inputs, columns[] = {1, n / 2, n, 0};
    const bool gathers = s.network->operations[0].takes_entries;
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        draw_entries(columns[c]);
        bits_copy(s.rows * n, s.input, rows);
        for (size_t used = 3; used <= EXAMPLES; used += 4) {
            for (size_t sparse = 0; sparse <= s.rows; sparse += 1 + s.rows / 4) {
                ck_assert_int_eq(sotto_workspace_entries(s.workspace, 0, 0, NULL, NULL, NULL), SOTTO_OK);
                note(used, &wanted);
                for (size_t j = 0; gathers && j < sparse * n; j++)
                    s.input[j] = NAN; /* not to be read */
                give_entries(sparse);
                note(used, &found);
                check_outcomes(&found, &wanted);
                bits_copy(s.rows * n, rows, s.input);
            }
        }
    }
    close_scene();
}
END_TEST

/* Where the input is read by others too, the rows are written out. */
/* A row of zeros has no entries; behind a by-class layer there is one all the same. */
START_TEST(rows_may_have_no_entries)
{
    const sotto_layer layers[] = {sotto_layer_by_class(), sotto_layer_dense(1)};
    sotto_network *network = NULL;
    sotto_weights *weights = NULL;
    sotto_workspace *workspace = NULL;
    float parameters[2 * 3 + 3 + 1];
    fill(10, 1.0f, parameters);
    ck_assert_int_eq(sotto_network_create(&network, 2, 3, layers, 2, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_weights_create(&weights, network, parameters, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_workspace_create(&workspace, network, 1, 1, NULL), SOTTO_OK);
    sotto_workspace_classes(workspace)[0] = 1;
    ck_assert_int_eq(sotto_workspace_entries(workspace, 1, 0, NULL, NULL, NULL), SOTTO_OK);
    ck_assert_float_eq(*sotto_network_forward(weights, workspace), parameters[6 + 1] + parameters[9]);
    sotto_workspace_destroy(workspace);
    sotto_weights_destroy(weights);
    sotto_network_destroy(network);
}
END_TEST

START_TEST(networks_that_cannot_gather_are_given_rows)
{
    static const plan identity = {"identity", 5, 0, 1, {{.kind = SOTTO_LAYER_BY_CLASS}}};
    static const plan activated = {"activated", 5, 0, 1, {{.kind = SOTTO_LAYER_TANH}}};
    const plan *const others[] = {&plans[plan_named("residual of the input")],
                                  &plans[plan_named("concat first")], &plans[plan_named("conv")], &identity,
                                  &activated};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        sotto_network *network = NULL;
        sotto_workspace *workspace = NULL;
        const plan *p = others[i];
        const uint32_t columns[] = {0, 3, 2, 4};
        const float values[] = {1.0f, 2.0f, 3.0f, 4.0f};
        ck_assert_int_eq(sotto_network_create(&network, p->inputs, p->classes, p->layers, p->count, NULL),
                         SOTTO_OK);
        ck_assert_int_eq(sotto_workspace_create(&workspace, network, 2, 1, NULL), SOTTO_OK);
        float *input = sotto_workspace_input(workspace);
        fill(2 * p->inputs, 1.0f, input);
        ck_assert_int_eq(sotto_workspace_entries(workspace, 2, 2, columns, values, NULL), SOTTO_OK);
        for (size_t j = 0; j < 2 * p->inputs; j++) {
            const float wanted = j == 0               ? 1.0f
                                 : j == 3             ? 2.0f
                                 : j == p->inputs + 2 ? 3.0f
                                 : j == p->inputs + 4 ? 4.0f
                                                      : 0.0f;
            ck_assert_float_eq(input[j], wanted);
        }
        sotto_workspace_destroy(workspace);
        sotto_network_destroy(network);
    }
}
END_TEST

static void refuse(size_t rows, size_t count, const uint32_t *columns, const char *word)
{
    const float values[EXAMPLES * 8] = {0};
    sotto_error err = {0};
    ck_assert_int_eq(sotto_workspace_entries(s.workspace, rows, count, columns, values, &err),
                     SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, word), "\"%s\" does not say \"%s\"", err.message, word);
    ck_assert_int_eq(sotto_workspace_entries(s.workspace, rows, count, columns, values, NULL),
                     SOTTO_ERROR_INPUT);
}

START_TEST(entries_out_of_order_are_refused)
{
    open_scene(plan_named("dense"), 1);
    const uint32_t equal[] = {1, 1}, falling[] = {2, 1}, outside[] = {1, 5}, second[] = {0, 1, 4, 3};
    const uint32_t many[EXAMPLES * 8] = {0, 1, 2, 3, 4, 5};
    refuse(1, 2, equal, "ascending");
    refuse(1, 2, falling, "ascending");
    refuse(1, 2, outside, "below 5");
    refuse(2, 2, second, "ascending");
    refuse(1, 6, many, "5 columns");
    refuse(EXAMPLES + 1, 1, many, "7 rows");
    close_scene();
}
END_TEST

TCase *entry_tests(void)
{
    TCase *tests = tcase_create("entries");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, entries_say_what_rows_say, 0, 2 * (int)plan_count);
    tcase_add_test(tests, rows_may_have_no_entries);
    tcase_add_test(tests, networks_that_cannot_gather_are_given_rows);
    tcase_add_test(tests, entries_out_of_order_are_refused);
    return tests;
}
