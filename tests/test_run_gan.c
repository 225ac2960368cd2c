/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Whole runs of the adversarial network with conditions: what is charged, what is released, and how rows are
 * asked for. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test_run.h"

static const char *const models[] = {
    "target: ill, condition: [town], marginals: {tables: label, share: 0.1}",
    "target: ill, condition: [town], marginals: {share: 0.1}",
    "condition: [ill, town], marginals: {tables: label, share: 0.1}",
    "target: ill, condition: [town], marginals: {tables: label, share: 0.1}, loss: wasserstein, gradient_penalty: 10",
};
enum { MODELS = sizeof models / sizeof *models };

static void put_config(const char *model)
{
    char whole[2048];
    (void)snprintf(whole, sizeof whole,
                   "data: {table: table.csv, schema: schema.yaml}\n"
                   "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                   "model: {generator: {latent: 4, hidden: [16]}, discriminator: {hidden: [16]}, %s}\n"
                   "training: {expected_batch_size: 150, steps: 30}\n"
                   "sample: {rows: 400}\n"
                   "output: run\n",
                   model);
    put("config.yaml", whole);
}

/* P2, P7: what the statement says was done, composed anew, is the ε it says; the conditions' counts are among
 * it, and nothing else is. */
START_TEST(the_charges_are_all_that_is_stated)
{
    sotto_accountant *accountant;
    double epsilon;
    put_config(models[_i]);
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    check_rows("run/release/synthetic.csv", 400);
    json_t *statement = read_json("run/release/privacy.json");
    const json_t *accesses = json_object_get(statement, "accesses");
    ck_assert_uint_eq(json_array_size(accesses), 2);
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    for (size_t i = 0; i < 2; i++) {
        const json_t *access = json_array_get(accesses, i);
        const double sigma = number(access, "noise_multiplier", NULL);
        sotto_mechanism one;
        ck_assert_str_eq(json_string_value(json_object_get(access, "name")), i         ? "discriminator steps"
                                                                             : _i == 1 ? "marginals"
                                                                                       : "condition counts");
        ck_assert_uint_eq((uint64_t)number(access, "count", NULL), i ? 30 : 1);
        if (i == 0) {
            const char *what = json_string_value(json_object_get(access, "what"));
            ck_assert_msg(strstr(what, "combination of values of the") != NULL, "%s", what);
            ck_assert_double_eq_tol(number(access, "epsilon_alone", NULL), 0.2, 1e-3);
            ck_assert_int_eq(sotto_mechanism_gaussian(&one, sigma, NULL), SOTTO_OK);
        } else {
            ck_assert_int_eq(
                sotto_mechanism_sampled_gaussian(&one, number(access, "sample_rate", NULL), sigma, NULL),
                SOTTO_OK);
        }
        ck_assert_int_eq(sotto_accountant_compose(accountant, &one, i ? 30 : 1, NULL), SOTTO_OK);
    }
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, number(statement, "noise", "delta_accountant"),
                                              &epsilon, NULL, NULL),
                     SOTTO_OK);
    ck_assert_double_eq(epsilon, number(statement, "guarantee", "epsilon"));
    ck_assert_double_le(epsilon, 2.0);
    ck_assert_double_gt(epsilon, 1.99);
    sotto_accountant_destroy(accountant);
    json_decref(statement);
}
END_TEST

/* The model file's text, without what mechanisms made of the rows: sizes and frequencies. */
static char *public_text(const char *model)
{
    const char *first = strchr(model, '\n') + 1, *frequencies = strstr(first, "frequencies: [");
    ck_assert_ptr_nonnull(frequencies);
    const char *rest = strchr(frequencies, '\n');
    ck_assert_ptr_nonnull(rest);
    const char *end = strstr(rest, "rows: 600");
    ck_assert_ptr_nonnull(end);
    char *text = calloc(1, (size_t)(end - first) + 1);
    ck_assert_ptr_nonnull(text);
    memcpy(text, first, (size_t)(frequencies - first));
    memcpy(text + (frequencies - first), rest, (size_t)(end - rest));
    return text;
}

/* P12: with frozen noise and a row that moves from the north to the south, a condition, nothing in release/
 * differs but what a mechanism made. */
START_TEST(neighbours_differ_only_behind_a_mechanism)
{
    json_t *statements[2];
    char *texts[2];
    put_config(models[_i]);
    for (size_t i = 0; i < 2; i++) {
        size_t k;
        const json_t *file;
        char *table = get("table.csv"), *cell = strstr(table, ",north,");
        ck_assert_ptr_nonnull(cell);
        memcpy(cell, i ? ",south," : ",north,", 7);
        put("table.csv", table);
        free(table);
        use_fresh_ledger(i ? "b.db" : "a.db");
        sotto_run_options options = options_for(i ? "b" : "a");
        options.insecure_test_only_seed = true;
        json_decref(train_with(&options, SOTTO_OK));
        statements[i] = read_statement(i ? "b" : "a");
        char *model = get(i ? "b/release/model.sotto" : "a/release/model.sotto");
        texts[i] = public_text(model);
        free(model);
        json_array_foreach(json_object_get(statements[i], "released"), k, file)(void)
            json_object_del((json_t *)file, "sha256");
    }
    ck_assert(json_equal(statements[0], statements[1]));
    ck_assert_str_eq(texts[0], texts[1]);
    for (size_t i = 0; i < 2; i++) {
        json_decref(statements[i]);
        free(texts[i]);
    }
}
END_TEST

/*
 * What is asked of two conditions holds for every row without drawing again: even of a value that the table
 * never has, which would be given up where rows are waited for.
 */
START_TEST(conditions_are_met_outright)
{
    static const char *const asked[][2] = {
        {"ill=yes", "town=east"}, {"ill=no", "town=NA"}, {"ill=no", "town=south"}};
    static const char *const cells[] = {",east,", ",NA,", ",south,"};
    char *table = get("table.csv");
    for (char *cell; (cell = strstr(table, ",east,"));) /* nobody lives in the east */
        memmove(cell, ",NA,", 4), memmove(cell + 4, cell + 6, strlen(cell + 6) + 1);
    put("table.csv", table);
    free(table);
    put_config(models[_i]);
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    for (size_t i = 0; i < 3; i++) {
        char *text;
        sotto_error err = {0};
        (void)unlink(at("some.csv"));
        const sotto_sample_options sample = {
            .model = at("run"), .output = at("some.csv"), .rows = 3000, .where = asked[i], .where_count = 2};
        ck_assert_msg(sotto_run_sample(&sample, &text, &err) == SOTTO_OK, "%s", err.message);
        free(text);
        check_rows("some.csv", 3000);
        char *csv = get("some.csv"), *rest = NULL;
        size_t rows = 0;
        for (char *line = strtok_r(csv, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), rows++)
            ck_assert_msg(rows == 0 || (strstr(line, cells[i]) && strstr(line, i ? ",no" : ",yes")), "%s",
                          line);
        ck_assert_uint_eq(rows, 3001);
        free(csv);
    }
}
END_TEST

TCase *gan_tests(void)
{
    TCase *tests = tcase_create("gan");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, the_charges_are_all_that_is_stated, 0, MODELS);
    tcase_add_loop_test(tests, neighbours_differ_only_behind_a_mechanism, 0, MODELS);
    tcase_add_loop_test(tests, conditions_are_met_outright, 0, MODELS);
    return tests;
}
