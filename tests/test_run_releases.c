/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs without private steps: all of ε goes to the model's releases, and the statement says only that. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/figures.h"
#include "run/sweep.h"
#include "test_run.h"

static const char head[] = "data: {table: table.csv, schema: schema.yaml}\n"
                           "sample: {rows: 400}\n"
                           "output: run\n";

static const char *const models[] = {
    "model: {type: independent}\n",
    "model: {type: per-label, target: ill}\n",
    "model: {type: marginals, target: ill, algorithm: mst}\n",
    "model: {type: marginals, algorithm: mst}\n",
    "model: {type: marginals, target: ill, algorithm: aim}\n",
    "model: {type: marginals, algorithm: aim}\n",
};
enum { MODELS = sizeof models / sizeof *models };

static void put_config(const char *privacy, const char *model, const char *more)
{
    char whole[2048];
    (void)snprintf(whole, sizeof whole, "%sprivacy: {epsilon: 1.0, delta: 1.0e-5%s}\n%s%s", head, privacy,
                   model, more);
    put("config.yaml", whole);
}

/* Compose anew from a statement's or a plan's own accesses. */
static double recompose(const json_t *accesses, sotto_accountant_kind kind, double delta)
{
    sotto_accountant *accountant;
    double epsilon;
    size_t i;
    const json_t *access;
    ck_assert_int_eq(sotto_accountant_create(kind, &accountant, NULL), SOTTO_OK);
    json_array_foreach(accesses, i, access)
    {
        sotto_mechanism one;
        if (json_is_null(json_object_get(access, "noise_multiplier")))
            ck_assert_int_eq(sotto_mechanism_exponential(&one, number(access, "epsilon_of_one", NULL), NULL),
                             SOTTO_OK);
        else
            ck_assert_int_eq(sotto_mechanism_gaussian(&one, number(access, "noise_multiplier", NULL), NULL),
                             SOTTO_OK);
        ck_assert_double_eq(number(access, "sample_rate", NULL), 1.0);
        ck_assert_int_eq(
            sotto_accountant_compose(accountant, &one, (uint64_t)number(access, "count", NULL), NULL),
            SOTTO_OK);
    }
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, delta, &epsilon, NULL, NULL), SOTTO_OK);
    sotto_accountant_destroy(accountant);
    return epsilon;
}

/* P2, P10: plan, charges and statement are the same releases, which spend ε wholly and no more. */
START_TEST(all_of_epsilon_goes_to_the_releases)
{
    const bool pld = _i % 2, figures = _i / 2 % 2;
    const sotto_accountant_kind kind = pld ? SOTTO_ACCOUNTANT_PLD : SOTTO_ACCOUNTANT_RDP;
    put_config(pld ? ", accountant: pld" : "", models[_i / 4],
               figures ? "figures: {share: 0.3, predict: ill}\n" : "");
    sotto_run_options options = options_for(NULL);
    char *text;
    ck_assert_int_eq(sotto_run_plan(&options, &text, NULL), SOTTO_OK);
    json_t *plan = json_loads(text, 0, NULL);
    free(text);
    ck_assert_double_eq(number(plan, "steps", NULL), 0);
    ck_assert_ptr_null(json_object_get(plan, "sample_rate"));
    ck_assert_uint_eq(json_array_size(json_object_get(plan, "epsilon_after")), 0);
    json_t *summary = train_with(&options, SOTTO_OK);
    ck_assert_double_eq(number(summary, "steps_planned", NULL), 0);
    ck_assert_str_eq(json_string_value(json_object_get(summary, "stopped")), "at the plan's end");
    json_decref(summary);
    check_rows("run/release/synthetic.csv", 400);

    json_t *statement = read_json("run/release/privacy.json");
    const double delta = number(statement, "noise", "delta_accountant"),
                 epsilon = number(statement, "guarantee", "epsilon");
    ck_assert_double_le(epsilon, 1.0);
    ck_assert_double_gt(epsilon, pld ? 0.999 : 1 - 1e-6);
    ck_assert_double_eq(epsilon, recompose(json_object_get(statement, "accesses"), kind, delta));
    ck_assert_double_eq(number(plan, "epsilon", NULL),
                        recompose(json_object_get(plan, "releases"), kind, delta));
    ck_assert_double_eq(epsilon, number(plan, "epsilon", NULL));
    json_decref(statement);
    json_decref(plan);
}
END_TEST

/* The statement tells of no steps, batches or clipping: none was there. */
START_TEST(the_statement_says_only_what_was_done)
{
    put_config("", models[_i], "");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    char *text = get("run/release/privacy.json");
    static const char *const never[] = {"batch is", "losses",       "clipped",
                                        "Poisson",  "in each step", "steps it took"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        ck_assert_msg(strstr(text, never[i]) == NULL, "the statement says \"%s\"", never[i]);
    free(text);
    json_t *statement = read_json("run/release/privacy.json");
    const json_t *training = json_object_get(statement, "training");
    ck_assert(json_is_null(json_object_get(training, "max_grad_norm")));
    ck_assert(json_is_null(json_object_get(json_object_get(statement, "sampling"), "sample_rate")));
    ck_assert_double_eq(number(training, "private_parameters", NULL), 0);
    json_decref(statement);
    json_t *metrics = read_json("run/private/metrics.json");
    ck_assert_uint_eq(json_array_size(json_object_get(metrics, "steps")), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(metrics, "epsilon_by_step")), 1);
    json_decref(metrics);
}
END_TEST

static const struct {
    const char *privacy, *more, *words;
} idle[] = {
    {"", "training: {steps: 10}\n", "section `training`"},
    {", max_grad_norm: 1.0", "", "privacy.max_grad_norm"},
    {", clipping: adaptive", "", "privacy.clipping"},
    {", noise_multiplier: 2.0", "", "privacy.noise_multiplier"},
    {", noise: float", "", "privacy.noise float"},
};

START_TEST(settings_of_steps_are_refused_with_a_reason)
{
    sotto_error err = {0};
    char *text;
    put_config(idle[_i].privacy, models[1], idle[_i].more);
    sotto_run_options options = options_for(NULL);
    ck_assert_int_eq(sotto_run_train(&options, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, idle[_i].words) && strstr(err.message, "takes no private steps"), "%s",
                  err.message);
    ck_assert_uint_gt(err.line, 0);
    ck_assert(!exists("run"));
}
END_TEST

/* P12: with frozen noise and a table that differs in one row, of all that lies in release/ nothing differs
 * but what a mechanism made. */
START_TEST(neighbours_differ_only_behind_a_mechanism)
{
    json_t *statements[2];
    put_config("", models[_i], "figures: {columns: [town, ill]}\n");
    for (size_t i = 0; i < 2; i++) {
        put_table(0, i ? 17 : SIZE_MAX, "999.5");
        use_fresh_ledger(i ? "b.db" : "a.db");
        sotto_run_options options = options_for(i ? "b" : "a");
        options.insecure_test_only_seed = true;
        json_decref(train_with(&options, SOTTO_OK));
        statements[i] = read_statement(i ? "b" : "a");
        size_t k;
        const json_t *file;
        json_array_foreach(json_object_get(statements[i], "released"), k, file)(void)
            json_object_del((json_t *)file, "sha256");
    }
    ck_assert(json_equal(statements[0], statements[1]));
    json_decref(statements[0]);
    json_decref(statements[1]);
}
END_TEST

/* A sweep may put such a model beside one with steps: each is charged as what it is, and all together. */
START_TEST(sweeps_mix_models_with_and_without_steps)
{
    sotto_sweep sweep;
    sotto_run_cost *costs;
    sotto_error err = {0};
    const size_t runs[2] = {2, 1};
    double epsilon, alone, shape, best;
    put_config("", "model: {target: ill}\n", "sweep: {model.type: [per-label, gan]}\n");
    const sotto_run_options options = options_for("sweep");
    ck_assert_msg(sotto_sweep_load(&sweep, &options, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_msg(sotto_sweep_plan(&sweep, &costs, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_int_eq(costs[0].step.kind, 0);
    ck_assert_uint_eq(costs[0].steps, 0);
    ck_assert_uint_gt(costs[1].steps, 0);
    ck_assert_int_eq(sotto_sweep_epsilon(&sweep, costs, runs, &epsilon, NULL), SOTTO_OK);
    sotto_accountant *accountant;
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &costs[0].releases[0], 2, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &costs[1].releases[0], 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &costs[1].step, costs[1].steps, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-5, &alone, NULL, NULL), SOTTO_OK);
    ck_assert_double_ge(epsilon, alone);
    ck_assert_double_le(epsilon, alone * (1 + 1e-9));
    sotto_accountant_destroy(accountant);
    ck_assert_int_eq(sotto_sweep_best_of_random(&sweep, costs, &best, &shape, NULL), SOTTO_OK);
    ck_assert_double_gt(best, 1.0);
    json_t *record;
    ck_assert_int_eq(sotto_sweep_plan_record(&sweep, costs, &record, NULL), SOTTO_OK);
    const json_t *first = json_array_get(json_object_get(record, "combinations"), 0);
    ck_assert(json_is_null(json_object_get(first, "noise_multiplier")));
    json_decref(record);
    sotto_sweep_destroy(&sweep);
}
END_TEST

/* `--where` on the target holds for every row. */
START_TEST(a_label_can_be_asked_for)
{
    put_config("", models[1], "");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    const char *const where[] = {"ill=yes"};
    const sotto_sample_options sample = {
        .model = at("run"), .output = at("ill.csv"), .rows = 300, .where = where, .where_count = 1};
    char *text;
    sotto_error err = {0};
    ck_assert_msg(sotto_run_sample(&sample, &text, &err) == SOTTO_OK, "%s", err.message);
    free(text);
    check_rows("ill.csv", 300);
    char *csv = get("ill.csv");
    size_t rows = 0;
    for (const char *line = strchr(csv, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
        const char *end = strchr(line + 1, '\n');
        ck_assert_int_eq(memcmp(end - 4, ",yes", 4), 0);
        rows++;
    }
    ck_assert_uint_eq(rows, 300);
    free(csv);
}
END_TEST

TCase *releases_tests(void)
{
    TCase *tests = tcase_create("releases");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, all_of_epsilon_goes_to_the_releases, 0, 4 * MODELS);
    tcase_add_loop_test(tests, the_statement_says_only_what_was_done, 0, MODELS);
    tcase_add_loop_test(tests, settings_of_steps_are_refused_with_a_reason, 0, sizeof idle / sizeof *idle);
    tcase_add_loop_test(tests, neighbours_differ_only_behind_a_mechanism, 0, MODELS);
    tcase_add_test(tests, sweeps_mix_models_with_and_without_steps);
    tcase_add_test(tests, a_label_can_be_asked_for);
    return tests;
}
