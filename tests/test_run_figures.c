/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Figures for release/: bought, charged, and near the truth. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/figures.h"
#include "test_run.h"

static void put_config(const char *figures)
{
    char whole[2048];
    (void)snprintf(whole, sizeof whole, "%s%s", config, figures);
    put("config.yaml", whole);
}

static sotto_status make_plan(sotto_config *read, sotto_plan *plan, sotto_error *err)
{
    const sotto_run_options options = options_for(NULL);
    *plan = (sotto_plan){0};
    sotto_status status = sotto_config_load(read, &options, err);
    return status == SOTTO_OK ? sotto_plan_make(plan, read, 1, err) : status;
}

/* P2, P10: the plan, the budget and the statement count the same releases. */
START_TEST(figures_are_part_of_the_cost)
{
    sotto_config read;
    sotto_plan plan;
    sotto_accountant *accountant;
    double epsilon;
    put_config("figures: {share: 0.2, columns: [town, age], predict: ill, predict_share: 0.1}\n");
    ck_assert_int_eq(make_plan(&read, &plan, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &plan.release_mechanisms[0], 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &plan.figures_counts, 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &plan.prediction_counts, 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &plan.step, plan.training.steps, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, plan.shares.accountant, &epsilon, NULL, NULL),
                     SOTTO_OK);
    ck_assert_double_eq_tol(plan.epsilon, epsilon, 1e-12);
    ck_assert_double_le(plan.epsilon, 2.0);
    sotto_accountant_destroy(accountant);
    sotto_plan_destroy(&plan);
    sotto_config_destroy(&read);

    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    json_t *statement = read_json("run/release/privacy.json");
    ck_assert_double_eq_tol(number(statement, "guarantee", "epsilon"), epsilon, 1e-9);
    const json_t *access = NULL, *prediction = NULL, *one;
    size_t i;
    json_array_foreach(json_object_get(statement, "accesses"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "name")), SOTTO_FIGURES_LABEL) == 0)
            access = one;
        if (strcmp(json_string_value(json_object_get(one, "name")), SOTTO_PREDICTION_LABEL) == 0)
            prediction = one;
    }
    ck_assert_ptr_nonnull(access);
    ck_assert_ptr_nonnull(prediction);
    ck_assert_double_eq_tol(number(prediction, "epsilon_alone", NULL), 0.2, 1e-6);
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(prediction, "what")), "synthetic rows"));
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(access, "sensitivity")), "√2"));
    ck_assert_uint_eq(json_array_size(json_object_get(statement, "released")), 3);
    json_decref(statement);
}
END_TEST

/* With hardly any noise, a figure is the distance between the two tables: here worked out from the files. */
START_TEST(figures_are_near_the_truth)
{
    static const char *const towns[] = {"north", "south", "east", "NA"};
    double real[4] = {150, 150, 150, 150}, synthetic[4] = {0}, all = 0, wanted = 0;
    put_config("figures: {share: 0.5, columns: [town]}\n");
    const char *settings[] = {"privacy.epsilon=800", "privacy.noise=float", "model.marginals.share=0.1"};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 3;
    json_decref(train_with(&options, SOTTO_OK));
    char *csv = get("run/release/synthetic.csv");
    for (char *line = strtok(csv, "\n"); line; line = strtok(NULL, "\n")) {
        const char *at = line;
        for (int commas = 0; *at && commas < 3; at++)
            commas += *at == ',';
        for (size_t t = 0; t < 4; t++)
            synthetic[t] += t < 3 ? strncmp(at, towns[t], strlen(towns[t])) == 0 : *at == ',' || *at == 'N';
    }
    free(csv);
    for (size_t t = 0; t < 4; t++)
        all += synthetic[t];
    ck_assert_double_eq(all, 400);
    for (size_t t = 0; t < 4; t++)
        wanted += fabs(real[t] / ROWS - synthetic[t] / all) / 2;
    json_t *figures = read_json("run/release/figures.json");
    const json_t *town = json_array_get(json_object_get(figures, "columns"), 0);
    ck_assert_double_eq_tol(number(town, "total_variation", NULL), wanted, 0.01);
    ck_assert_double_lt(number(town, "from_noise_alone", NULL), 0.01);
    ck_assert_double_eq(number(figures, "mean_total_variation", NULL), number(town, "total_variation", NULL));
    json_decref(figures);
}
END_TEST

/*
 * Age alone decides who is ill, so rows drawn per label teach it, and rows whose columns are independent
 * teach nothing but that 61 of 100 are not. The seed is fixed: no false alarms.
 */
START_TEST(predictions_are_near_the_truth)
{
    static const char *const types[] = {"model: {type: per-label, target: ill}\n",
                                        "model: {type: independent}\n"};
    char whole[1024];
    (void)snprintf(whole, sizeof whole,
                   "data: {table: table.csv, schema: schema.yaml}\nsample: {rows: 2000}\noutput: run\n"
                   "privacy: {epsilon: 30, delta: 1.0e-5, accountant: pld}\n%s"
                   "figures: {columns: [town], predict: ill, predict_share: 0.4}\n",
                   types[_i]);
    put("config.yaml", whole);
    sotto_run_options options = options_for(NULL);
    options.insecure_test_only_seed = true;
    json_decref(train_with(&options, SOTTO_OK));
    json_t *figures = read_json("run/release/figures.json");
    const json_t *prediction = json_object_get(figures, "prediction");
    ck_assert_str_eq(json_string_value(json_object_get(prediction, "target")), "ill");
    ck_assert_double_lt(number(prediction, "deviation_of_counts", NULL), 1.0);
    if (_i == 0) {
        ck_assert_double_gt(number(prediction, "accuracy", NULL), 0.95);
        ck_assert_double_gt(number(prediction, "balanced_accuracy", NULL), 0.95);
    } else {
        ck_assert_double_eq_tol(number(prediction, "accuracy", NULL), 0.61, 0.05);
        ck_assert_double_eq_tol(number(prediction, "balanced_accuracy", NULL), 0.5, 0.05);
    }
    json_decref(figures);
}
END_TEST

/* P12: without the section nothing is bought, and nothing of the kind is released. */
START_TEST(nobody_buys_figures_unasked)
{
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    ck_assert(!exists("run/release/figures.json"));
}
END_TEST

static const struct {
    const char *section, *words;
} wrong[] = {
    {"figures: {share: 1.5}\n", "figures.share"},
    {"figures: {columns: town}\n", "list of column names"},
    {"figures: {columns: [nothing]}\n", "no column"},
    {"figures: {columns: [id]}\n", "identifier"},
    {"figures: {columns: [town, town]}\n", "twice"},
    {"figures: {columns: []}\n", "no column to tell of"},
    {"figures: {colums: [town]}\n", "columns"},
    {"figures: {predict: nothing}\n", "no column"},
    {"figures: {predict: age}\n", "category column"},
    {"figures: {predict_share: 0.1}\n", "predict: COLUMN"},
    {"figures: {predict: ill, predict_share: 2}\n", "predict_share"},
};

START_TEST(figures_that_cannot_be_are_refused)
{
    sotto_config read;
    sotto_plan plan;
    sotto_error err = {0};
    put_config(wrong[_i].section);
    ck_assert_int_eq(make_plan(&read, &plan, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, wrong[_i].words) != NULL, "%s", err.message);
    sotto_plan_destroy(&plan);
    sotto_config_destroy(&read);
}
END_TEST

/*
 * P12: with frozen noise and a table that differs in one row, of all that lies in release/ nothing differs
 * but what a mechanism made: rows, model, figures, and the hashes of those.
 */
START_TEST(neighbours_differ_only_behind_a_mechanism)
{
    json_t *statements[2];
    char *pages[2];
    put_config("figures: {columns: [town, ill], predict: ill}\n");
    for (size_t i = 0; i < 2; i++) {
        put_table(0, i ? 17 : SIZE_MAX, "999.5");
        use_fresh_ledger(i ? "b.db" : "a.db");
        sotto_run_options options = options_for(i ? "b" : "a");
        options.insecure_test_only_seed = true;
        json_decref(train_with(&options, SOTTO_OK));
        statements[i] = read_statement(i ? "b" : "a");
        size_t k, length;
        pages[i] = get_crossed(i ? "b" : "a", "release/privacy.html", &length);
        const json_t *file;
        json_array_foreach(json_object_get(statements[i], "released"), k, file)
        {
            char hash[65], *at;
            (void)snprintf(hash, sizeof hash, "%s", json_string_value(json_object_get(file, "sha256")));
            while ((at = strstr(pages[i], hash)))
                memset(at, '-', 64);
            (void)json_object_del((json_t *)file, "sha256");
        }
    }
    ck_assert(json_equal(statements[0], statements[1]));
    ck_assert_str_eq(pages[0], pages[1]);
    for (size_t i = 0; i < 2; i++) {
        json_decref(statements[i]);
        free(pages[i]);
    }
}
END_TEST

TCase *figures_tests(void)
{
    TCase *tests = tcase_create("figures");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, figures_are_part_of_the_cost);
    tcase_add_test(tests, figures_are_near_the_truth);
    tcase_add_loop_test(tests, predictions_are_near_the_truth, 0, 2);
    tcase_add_test(tests, nobody_buys_figures_unasked);
    tcase_add_loop_test(tests, figures_that_cannot_be_are_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tests, neighbours_differ_only_behind_a_mechanism);
    return tests;
}
