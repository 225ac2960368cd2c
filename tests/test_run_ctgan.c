/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Whole runs of the conditional GAN: what is charged, what is released, and how it is asked for. */
#include <stdlib.h>
#include <string.h>

#include "test_run.h"

static void put_config(const char *model, const char *training)
{
    char whole[2048];
    (void)snprintf(whole, sizeof whole,
                   "data: {table: table.csv, schema: schema.yaml}\n"
                   "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                   "model: {type: ctgan, generator: {latent: 4, hidden: [16, 16]}%s}\n"
                   "training: {expected_batch_size: 150, %s}\n"
                   "sample: {rows: 400}\n"
                   "output: run\n",
                   model, training);
    put("config.yaml", whole);
}

/* P2, P7: the noisy counts, from which conditions are drawn too, are bought once, then steps: nothing else.
 */
START_TEST(the_charges_are_all_that_is_stated)
{
    static const char *const models[] = {"", ", target: ill, numbers: binned"};
    put_config(models[_i], "steps: 30, discriminator_steps: 2");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    check_rows("run/release/synthetic.csv", 400);
    json_t *statement = read_json("run/release/privacy.json");
    const json_t *accesses = json_object_get(statement, "accesses");
    ck_assert_uint_eq(json_array_size(accesses), 2);
    const json_t *counts = json_array_get(accesses, 0), *steps = json_array_get(accesses, 1);
    ck_assert_str_eq(json_string_value(json_object_get(counts, "name")), "marginals");
    ck_assert_double_eq(number(counts, "count", NULL), 1);
    ck_assert_double_eq_tol(number(counts, "epsilon_alone", NULL), 0.8, 1e-3);
    ck_assert_str_eq(json_string_value(json_object_get(steps, "name")), "discriminator steps");
    ck_assert_double_eq(number(steps, "count", NULL), 30);
    check_charges(statement, 2.0);
    json_decref(statement);
}
END_TEST

START_TEST(neighbours_differ_only_behind_a_mechanism)
{
    put_config(", target: ill", "steps: 20, discriminator_steps: 2");
    check_neighbours();
}
END_TEST

/* A label and a column's value together; and of a number's column nothing can be asked. */
START_TEST(rows_are_sampled_by_condition)
{
    const char *const where[] = {"ill=yes", "town=north"}, *const number_where[] = {"age=5"};
    char *text = NULL, *line, *rest = NULL;
    size_t rows = 0;
    put_config(", target: ill", "steps: 10");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    sotto_sample_options sample = {
        .model = at("run"), .output = at("some.csv"), .rows = 50, .where = where, .where_count = 2};
    ck_assert_int_eq(sotto_run_sample(&sample, &text, NULL), SOTTO_OK);
    free(text);
    text = get("some.csv");
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), rows++)
        ck_assert_msg(rows == 0 || (strstr(line, ",yes") && strstr(line, ",north,")), "row %zu", rows);
    ck_assert_uint_eq(rows, 51);
    free(text);
    sample.where = number_where;
    sample.where_count = 1;
    ck_assert_int_eq(sotto_run_sample(&sample, &text, NULL), SOTTO_ERROR_INPUT);
}
END_TEST

static const struct {
    const char *model, *training, *words;
} wrong[] = {
    {", discriminator: {pac: 10}", "steps: 5", "other rows of the batch"},
    {", discriminator: {batch_norm: true}", "steps: 5", "other rows of the batch"},
    {", marginals: {tables: label}", "steps: 5", "draws its conditions"},
    {", condition_weight: heavy", "steps: 5", "model.condition_weight"},
    {", condition: [town]", "steps: 5", "any column can be"},
    {", target: age", "steps: 5", "category"},
    {", loss: wasserstein", "steps: 5, discriminator_steps: auto", "Wasserstein"},
};

START_TEST(configs_that_cannot_be_are_refused)
{
    sotto_error err = {0};
    char *text;
    put_config(wrong[_i].model, wrong[_i].training);
    sotto_run_options options = options_for(NULL);
    ck_assert_int_eq(sotto_run_train(&options, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, wrong[_i].words), "%s", err.message);
    ck_assert_uint_gt(err.line, 0);
    ck_assert(!exists("run"));
}
END_TEST

/* Where every column has one value, there is nothing to condition on. */
START_TEST(a_table_of_one_row_over_and_over_is_refused)
{
    sotto_error err = {0};
    char *text;
    put("schema.yaml", "rows: 600\ncolumns:\n  - {name: one, type: integer, min: 3, max: 3}\n"
                       "  - {name: two, type: category, values: [a]}\n");
    put_config("", "steps: 5");
    sotto_run_options options = options_for(NULL);
    ck_assert_int_eq(sotto_run_plan(&options, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, "nothing to condition on"), "%s", err.message);
    ck_assert_uint_gt(err.line, 0);
}
END_TEST

/* A plan takes the kind's own defaults, and times made-up rows: no table is there. */
START_TEST(a_plan_needs_no_table)
{
    char *text;
    put("config.yaml", "data: {table: absent.csv, schema: schema.yaml}\n"
                       "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                       "model: {type: ctgan, target: ill}\n");
    sotto_run_options options = options_for(NULL);
    ck_assert_int_eq(sotto_run_plan(&options, &text, NULL), SOTTO_OK);
    json_t *plan = json_loads(text, 0, NULL);
    ck_assert_double_eq(number(plan, "steps", NULL), 500);
    ck_assert_double_gt(number(plan, "expected_seconds", NULL), 0.0);
    json_decref(plan);
    free(text);
}
END_TEST

TCase *ctgan_tests(void)
{
    TCase *tests = tcase_create("ctgan");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, the_charges_are_all_that_is_stated, 0, 2);
    tcase_add_test(tests, neighbours_differ_only_behind_a_mechanism);
    tcase_add_test(tests, rows_are_sampled_by_condition);
    tcase_add_loop_test(tests, configs_that_cannot_be_are_refused, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(tests, a_table_of_one_row_over_and_over_is_refused);
    tcase_add_test(tests, a_plan_needs_no_table);
    return tests;
}
