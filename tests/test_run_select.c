/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A sweep that chooses: by noisy figures alone, and at the price of all runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/sweep.h"
#include "test_run.h"

static const char head[] = "data: {table: table.csv, schema: schema.yaml}\n"
                           "privacy: {epsilon: 1.0, delta: 1.0e-5}\n"
                           "model: {type: per-label, target: ill}\n"
                           "sample: {rows: 300}\n";
static const char good[] = "figures: {columns: [town], share: 0.2, predict: ill, predict_share: 0.3}\n"
                           "sweep: {privacy.epsilon: [0.5, 2], repeats: 2, select: best}\n";

static void put_config(const char *rest)
{
    char whole[2048];
    (void)snprintf(whole, sizeof whole, "%s%s", head, rest);
    put("config.yaml", whole);
}

static json_t *sweep_with(bool resume, sotto_status wanted, sotto_error *err)
{
    static char config_path[512], output[512];
    sotto_error own = {0};
    char *text = NULL;
    (void)snprintf(config_path, sizeof config_path, "%s", at("config.yaml"));
    (void)snprintf(output, sizeof output, "%s", at("sweep"));
    const sotto_sweep_options options = {
        .run = {.config = config_path, .output = output, .threads = 1}, .resume = resume, .jobs = 2};
    const sotto_status status = sotto_run_sweep(&options, &text, &own);
    ck_assert_msg(status == wanted, "sweep gave %s: %s", sotto_status_name(status), own.message);
    json_t *record = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    if (err)
        *err = own;
    return record;
}

static const json_t *inside(const json_t *record, const char *first, const char *second)
{
    return json_object_get(json_object_get(record, first), second);
}

/* The figure by which a run is chosen, from its release. */
static double score_of(size_t cell)
{
    char name[64];
    (void)snprintf(name, sizeof name, "sweep/cells/%03zu/run/release/figures.json", cell + 1);
    json_t *figures = read_json(name);
    const double score = number(figures, "prediction", "balanced_accuracy");
    json_decref(figures);
    return score;
}

/* P14: ε of the chosen release is composed anew here from all that its statement lists. */
static double recompose(const json_t *statement)
{
    sotto_accountant *accountant;
    double epsilon;
    size_t i;
    const json_t *access;
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    json_array_foreach(json_object_get(statement, "accesses"), i, access)
    {
        sotto_mechanism one;
        ck_assert_int_eq(sotto_mechanism_gaussian(&one, number(access, "noise_multiplier", NULL), NULL),
                         SOTTO_OK);
        ck_assert_int_eq(
            sotto_accountant_compose(accountant, &one, (uint64_t)number(access, "count", NULL), NULL),
            SOTTO_OK);
    }
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, number(statement, "noise", "delta_accountant"),
                                              &epsilon, NULL, NULL),
                     SOTTO_OK);
    sotto_accountant_destroy(accountant);
    return epsilon;
}

static void check_release(const json_t *record, size_t accesses)
{
    json_t *statement = read_json("sweep/release/privacy.json");
    const double epsilon = number(statement, "guarantee", "epsilon");
    ck_assert_uint_eq(json_array_size(json_object_get(statement, "accesses")), accesses);
    ck_assert_double_eq_tol(epsilon, recompose(statement), 1e-9);
    ck_assert_double_eq(epsilon, number(record, "privacy", "all"));
    ck_assert_double_eq(epsilon, number(record, "selected", "epsilon"));
    ck_assert_double_gt(epsilon, 2.0);
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(statement, "released"), i, item)
    {
        char name[128], hex[65];
        (void)snprintf(name, sizeof name, "sweep/release/%s",
                       json_string_value(json_object_get(item, "file")));
        ck_assert_int_eq(sotto_sha256_file(at(name), hex, NULL), SOTTO_OK);
        ck_assert_str_eq(hex, json_string_value(json_object_get(item, "sha256")));
    }
    json_array_foreach(json_object_get(statement, "not_covered"), i, item)
    {
        ck_assert_ptr_null(strstr(json_string_value(item), "picked among"));
    }
    ck_assert_ptr_nonnull(
        strstr(json_string_value(json_object_get(statement, "tuning")), "of all of them together"));
    sotto_saved_model saved;
    ck_assert_int_eq(sotto_model_load(&saved, at("sweep/release/model.sotto"), 1, NULL), SOTTO_OK);
    ck_assert_double_eq(saved.facts.epsilon, epsilon);
    sotto_saved_model_destroy(&saved);
    json_decref(statement);
}

START_TEST(the_best_noisy_figure_is_chosen_at_the_price_of_all)
{
    size_t best = 0;
    put_config(good);
    json_t *record = sweep_with(false, SOTTO_OK, NULL);
    for (size_t i = 1; i < 4; i++)
        best = score_of(i) > score_of(best) ? i : best;
    ck_assert_int_eq(atoi(json_string_value(inside(record, "selected", "id"))), (int)best + 1);
    ck_assert_double_eq(number(record, "selected", "score"), score_of(best));
    check_release(record, 4 * 3);
    check_rows("sweep/release/synthetic.csv", 300);
    json_decref(record);
}
END_TEST

/* P7, P14: an attempt that ended otherwise is in the price, and in the list. */
START_TEST(interrupted_attempts_are_in_the_price)
{
    put_config(good);
    json_t *record = sweep_with(false, SOTTO_OK, NULL);
    const double before = number(record, "selected", "epsilon");
    json_decref(record);
    char *begun = get("sweep/begun"), more[64];
    (void)snprintf(more, sizeof more, "%s2\n", begun);
    free(begun);
    put("sweep/begun", more);
    ck_assert_int_eq(rename(at("sweep/release"), at("sweep/old")), 0);
    record = sweep_with(true, SOTTO_OK, NULL);
    ck_assert_double_gt(number(record, "selected", "epsilon"), before);
    check_release(record, 5 * 3);
    json_decref(record);
}
END_TEST

/* A run that made no rows, or ended itself, has no figure: it ranks last, and has its part in the price. */
START_TEST(a_run_without_a_figure_ranks_last)
{
    char name[64];
    put_config(good);
    json_t *record = sweep_with(false, SOTTO_OK, NULL);
    const int best = atoi(json_string_value(inside(record, "selected", "id")));
    const double epsilon = number(record, "selected", "epsilon");
    json_decref(record);
    (void)snprintf(name, sizeof name, "sweep/cells/%03d/run/release/figures.json", best);
    ck_assert_int_eq(remove(at(name)), 0);
    ck_assert_int_eq(rename(at("sweep/release"), at("sweep/old")), 0);
    record = sweep_with(true, SOTTO_OK, NULL);
    ck_assert_int_ne(atoi(json_string_value(inside(record, "selected", "id"))), best);
    ck_assert_double_eq(number(record, "selected", "epsilon"), epsilon);
    check_release(record, 4 * 3);
    json_decref(record);
}
END_TEST

/* What lies in release/ already is not passed off for a choice among more runs than it was. */
START_TEST(an_older_release_is_not_taken_for_a_new_one)
{
    sotto_error err;
    put_config(good);
    json_decref(sweep_with(false, SOTTO_OK, NULL));
    json_decref(sweep_with(true, SOTTO_OK, NULL));
    char *begun = get("sweep/begun"), more[64];
    (void)snprintf(more, sizeof more, "%s1\n", begun);
    free(begun);
    put("sweep/begun", more);
    json_decref(sweep_with(true, SOTTO_ERROR_INPUT, &err));
    ck_assert_msg(strstr(err.message, "move it away") != NULL, "%s", err.message);
}
END_TEST

/* Models with steps beside models without: the statement leaves out no gap of any of the runs. */
START_TEST(the_statement_is_of_all_runs)
{
    bool steps = false;
    size_t i;
    const json_t *item;
    put("config.yaml", "data: {table: table.csv, schema: schema.yaml}\n"
                       "privacy: {epsilon: 1.0, delta: 1.0e-5}\n"
                       "model: {target: ill}\nsample: {rows: 300}\n"
                       "figures: {columns: [town], share: 0.2, predict: ill, predict_share: 0.3}\n"
                       "sweep: {model.type: [per-label, vae], select: best}\n");
    json_decref(sweep_with(false, SOTTO_OK, NULL));
    json_t *statement = read_json("sweep/release/privacy.json");
    json_array_foreach(json_object_get(statement, "not_covered"), i, item)
    {
        steps = steps || strstr(json_string_value(item), "a row's gradient does not depend") != NULL;
    }
    ck_assert(steps);
    ck_assert_ptr_nonnull(
        strstr(json_string_value(inside(statement, "sampling", "assumed")), "in the chosen run"));
    ck_assert_ptr_nonnull(
        strstr(json_string_value(inside(statement, "training", "model")), "in the chosen run"));
    json_decref(statement);
}
END_TEST

/* A run that left no release may have failed because of a row. */
START_TEST(nothing_is_chosen_among_some_of_the_runs)
{
    put_config(good);
    json_decref(sweep_with(false, SOTTO_OK, NULL));
    ck_assert_int_eq(rename(at("sweep/release"), at("sweep/old")), 0);
    ck_assert_int_eq(rename(at("sweep/cells/003/run/release"), at("sweep/cells/003/run/away")), 0);
    json_t *record = sweep_with(true, SOTTO_OK, NULL);
    ck_assert_ptr_nonnull(json_string_value(inside(record, "selected", "skipped")));
    ck_assert(!exists("sweep/release"));
    json_decref(record);
}
END_TEST

START_TEST(a_sweep_that_does_not_choose_releases_nothing)
{
    put_config("sweep: {repeats: 2}\n");
    json_t *record = sweep_with(false, SOTTO_OK, NULL);
    ck_assert(json_is_null(json_object_get(record, "selected")));
    ck_assert(!exists("sweep/release"));
    json_decref(record);
}
END_TEST

static const struct {
    const char *rest, *words;
} wrong[] = {
    {"sweep: {repeats: 2, select: best}\n", "the config buys none"},
    {"figures: {}\nsweep: {repeats: 2, select: prediction}\n", "no `predict`"},
    {"figures: {}\nsweep: {repeats: 2, select: worst}\n", "sweep.select"},
    {"figures: {predict: ill}\nsweep: {privacy.noise: [exact, float], select: best}\n", "one statement"},
    {"figures: {predict: ill}\nsweep: {privacy.accountant: [rdp, pld], select: best}\n", "one statement"},
    {"figures: {predict: ill}\nsweep: {figures.share: [0.1, 0.2], select: best}\n", "cannot vary"},
};

START_TEST(choices_that_cannot_be_are_refused)
{
    sotto_error err;
    put_config(wrong[_i].rest);
    ck_assert_ptr_null(sweep_with(false, SOTTO_ERROR_INPUT, &err));
    ck_assert_msg(strstr(err.message, wrong[_i].words) != NULL, "%s", err.message);
    ck_assert_uint_gt(err.line, 0);
    ck_assert(!exists("sweep"));
}
END_TEST

TCase *select_tests(void)
{
    TCase *tests = tcase_create("select");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, the_best_noisy_figure_is_chosen_at_the_price_of_all);
    tcase_add_test(tests, interrupted_attempts_are_in_the_price);
    tcase_add_test(tests, a_run_without_a_figure_ranks_last);
    tcase_add_test(tests, an_older_release_is_not_taken_for_a_new_one);
    tcase_add_test(tests, the_statement_is_of_all_runs);
    tcase_add_test(tests, nothing_is_chosen_among_some_of_the_runs);
    tcase_add_test(tests, a_sweep_that_does_not_choose_releases_nothing);
    tcase_add_loop_test(tests, choices_that_cannot_be_are_refused, 0, sizeof wrong / sizeof *wrong);
    return tests;
}
