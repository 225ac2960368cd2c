/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Whole runs of the variational autoencoder: what is charged, what is released, and how it is asked for. */
#include <stdlib.h>
#include <string.h>

#include "test_run.h"

static void put_config(const char *model, const char *training, const char *more)
{
    char whole[2048];
    (void)snprintf(whole, sizeof whole,
                   "data: {table: table.csv, schema: schema.yaml}\n"
                   "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                   "model: {type: vae, latent: 3, encoder: [16], decoder: [16]%s}\n"
                   "training: {expected_batch_size: 150, %s}\n"
                   "sample: {rows: 400}\n"
                   "output: run\n%s",
                   model, training, more);
    put("config.yaml", whole);
}

/* P2, P7: what the statement says was done, composed anew, is the ε it says; labels are paid for where there
 * are any, and nothing else is. */
START_TEST(the_charges_are_all_that_is_stated)
{
    const bool target = _i == 1;
    size_t i;
    const json_t *access;
    put_config(target ? ", target: ill, labels: {share: 0.1}" : "", "steps: 30", "");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    check_rows("run/release/synthetic.csv", 400);
    json_t *statement = read_json("run/release/privacy.json");
    const json_t *accesses = json_object_get(statement, "accesses");
    ck_assert_uint_eq(json_array_size(accesses), target ? 2 : 1);
    json_array_foreach(accesses, i, access)
    {
        const uint64_t count = (uint64_t)number(access, "count", NULL);
        const bool labels = target && i == 0;
        ck_assert_str_eq(json_string_value(json_object_get(access, "name")),
                         labels ? "label counts" : "autoencoder steps");
        ck_assert_uint_eq(count, labels ? 1 : 30);
        if (labels)
            ck_assert_double_eq_tol(number(access, "epsilon_alone", NULL), 0.2, 1e-3);
    }
    check_charges(statement, 2.0);
    json_decref(statement);
}
END_TEST

/* P12: with frozen noise and a table that differs in one row, of all that lies in release/ nothing differs
 * but what a mechanism made: rows and model, and the hashes of those. */
START_TEST(neighbours_differ_only_behind_a_mechanism)
{
    put_config(", target: ill", "steps: 20", "");
    check_neighbours();
}
END_TEST

/* A label is made to order, another column's value is waited for. */
START_TEST(rows_are_sampled_by_condition)
{
    const char *const where[] = {"ill=yes", "town=north"};
    char *text, *line, *rest = NULL;
    size_t rows = 0;
    put_config(", target: ill", "steps: 10", "");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    const sotto_sample_options sample = {
        .model = at("run"), .output = at("some.csv"), .rows = 50, .where = where, .where_count = 2};
    ck_assert_int_eq(sotto_run_sample(&sample, &text, NULL), SOTTO_OK);
    free(text);
    text = get("some.csv");
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), rows++)
        ck_assert_msg(rows == 0 || (strstr(line, ",yes") && strstr(line, ",north,")), "row %zu", rows);
    ck_assert_uint_eq(rows, 51);
    free(text);
}
END_TEST

static const struct {
    const char *model, *training, *words;
} wrong[] = {
    {", target: town, hidden: [3]", "steps: 5", "hidden"},
    {", target: age", "steps: 5", "category"},
    {"", "steps: 5, discriminator_steps: 2", "training.discriminator_steps is for `type: gan`"},
    {"", "steps: 5, generator_optimizer: {type: adam}", "training.generator_optimizer is for `type: gan`"},
};

START_TEST(configs_that_cannot_be_are_refused)
{
    sotto_error err = {0};
    char *text;
    put_config(wrong[_i].model, wrong[_i].training, "");
    sotto_run_options options = options_for(NULL);
    ck_assert_int_eq(sotto_run_train(&options, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, wrong[_i].words), "%s", err.message);
    ck_assert_uint_gt(err.line, 0);
    ck_assert(!exists("run"));
}
END_TEST

/* A plan takes the kind's own defaults, and times made-up rows: no table is there. */
START_TEST(a_plan_needs_no_table)
{
    char *text;
    put("config.yaml", "data: {table: absent.csv, schema: schema.yaml}\n"
                       "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                       "model: {type: vae, target: ill}\n");
    sotto_run_options options = options_for(NULL);
    ck_assert_int_eq(sotto_run_plan(&options, &text, NULL), SOTTO_OK);
    json_t *plan = json_loads(text, 0, NULL);
    ck_assert_double_eq(number(plan, "steps", NULL), 800);
    ck_assert_double_gt(number(plan, "expected_seconds", NULL), 0.0);
    ck_assert_double_gt(number(plan, "parameters", "private"), number(plan, "parameters", "generator"));
    json_decref(plan);
    free(text);
}
END_TEST

TCase *vae_tests(void)
{
    TCase *tests = tcase_create("vae");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, the_charges_are_all_that_is_stated, 0, 2);
    tcase_add_test(tests, neighbours_differ_only_behind_a_mechanism);
    tcase_add_test(tests, rows_are_sampled_by_condition);
    tcase_add_loop_test(tests, configs_that_cannot_be_are_refused, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(tests, a_plan_needs_no_table);
    return tests;
}
