/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs that go nowhere end themselves, and leave an honest record of what they spent. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "test_run.h"

static const char autoencoder[] = "data: {table: table.csv, schema: schema.yaml}\n"
                                  "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                                  "model: {type: vae, target: ill, latent: 3, encoder: [16], decoder: [16]}\n"
                                  "training: {expected_batch_size: 150, steps: 30}\n"
                                  "sample: {rows: 400}\n"
                                  "output: run\n";

static json_t *diverge(const char *const *settings, size_t count, const char *output, sotto_error *err)
{
    char *text = NULL;
    sotto_run_options options = options_for(output);
    options.settings = settings;
    options.setting_count = count;
    options.insecure_test_only_seed = true;
    const sotto_status status = sotto_run_train(&options, &text, err);
    ck_assert_msg(status == SOTTO_DIVERGED, "train gave %s: %s", sotto_status_name(status), err->message);
    json_t *outcome = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(outcome);
    free(text);
    return outcome;
}

static size_t files_in(const char *name)
{
    size_t count = 0;
    DIR *directory = opendir(at(name));
    ck_assert_ptr_nonnull(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    (void)closedir(directory);
    return count;
}

/* ε of the plan after so many steps. */
static double planned_epsilon(const char *const *settings, size_t count, uint64_t steps)
{
    sotto_config read;
    sotto_plan plan = {0};
    double epsilon;
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = count;
    ck_assert_int_eq(sotto_config_load(&read, &options, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_plan_make(&plan, &read, 1, NULL), SOTTO_OK);
    ck_assert_int_eq(
        sotto_plan_epsilon(&plan, &read, steps ? steps : plan.training.steps, &epsilon, NULL, NULL),
        SOTTO_OK);
    sotto_plan_destroy(&plan);
    sotto_config_destroy(&read);
    return epsilon;
}

/* Promised is what bounds any outcome, whenever a run may end; what was taken is told beside it. */
static void expect_promise_of_the_plan(const json_t *statement, double planned, double taken)
{
    const json_t *guarantee = json_object_get(statement, "guarantee"), *point;
    const double delta = number(statement, "guarantee", "delta");
    ck_assert_double_lt(taken, planned);
    ck_assert_double_eq(number(guarantee, "epsilon", NULL), planned);
    ck_assert_double_eq(number(guarantee, "epsilon_of_steps_taken", NULL), taken);
    size_t i, seen = 0;
    json_array_foreach(json_object_get(statement, "curve"), i, point)
    {
        const double at = number(point, "delta", NULL);
        if (at > delta * 0.999 && at < delta * 1.001) { /* the parts of δ are found anew there */
            ck_assert_double_eq_tol(number(point, "epsilon", NULL), planned, 1e-6 * planned);
            seen++;
        }
    }
    ck_assert_uint_eq(seen, 1);
    char *page = get("run/release/privacy.html");
    ck_assert_ptr_nonnull(strstr(page, "ε of the steps taken"));
    free(page);
}

/* Neither its rows nor a model can be had. */
static void expect_nothing_to_use(void)
{
    sotto_error err = {0};
    char *text = NULL;
    const sotto_sample_options wanted = {.model = at("run"), .rows = 10, .output = at("rows.csv")};
    ck_assert_int_eq(sotto_run_sample(&wanted, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, "this run diverged and ended itself after step") != NULL, "%s",
                  err.message);
    ck_assert(!exists("rows.csv"));
    const sotto_evaluate_options judged = {
        .schema = at("schema.yaml"), .train = at("table.csv"), .run = at("run"), .threads = 1};
    ck_assert_int_eq(sotto_run_evaluate(&judged, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, "neither a table nor a model") != NULL, "%s", err.message);
}

static void expect_honest_record(const char *const *settings, size_t count, const json_t *outcome)
{
    json_t *statement = read_json("run/release/privacy.json"),
           *metrics = read_json("run/private/metrics.json");
    const json_t *training = json_object_get(statement, "training"), *charge = NULL, *one;
    const uint64_t taken = (uint64_t)number(statement, "training", "steps_taken");
    size_t i;
    ck_assert_uint_gt(taken, 0);
    ck_assert_uint_lt(taken, 30);
    ck_assert_double_eq(number(outcome, "epsilon", NULL), planned_epsilon(settings, count, taken));
    expect_promise_of_the_plan(statement, planned_epsilon(settings, count, 0),
                               planned_epsilon(settings, count, taken));
    ck_assert_uint_eq((uint64_t)number(outcome, "steps", NULL), taken);
    ck_assert_double_eq(number(outcome, "rows", NULL), 0.0);
    json_array_foreach(json_object_get(statement, "accesses"), i, one)
    {
        charge = one; /* the last is of the steps */
    }
    ck_assert_uint_eq((uint64_t)number(charge, "count", NULL), taken);
    ck_assert_str_eq(json_string_value(json_object_get(training, "diverged")),
                     json_string_value(json_object_get(metrics, "diverged")));
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(training, "stopped")), "diverging"));
    ck_assert_uint_eq(json_array_size(json_object_get(statement, "released")), 0);
    ck_assert_uint_eq(files_in("run/release"), 2); /* the statement, as a record and as a page */
    ck_assert(exists("run/release/privacy.html"));
    ck_assert(!exists("run/release.unfinished"));
    ck_assert_uint_gt(json_array_size(json_object_get(metrics, "health")), 0);
    json_decref(statement);
    json_decref(metrics);
}

/* P7, P10: only what was taken is charged, and nothing is made of it. */
START_TEST(a_diverging_run_ends_itself)
{
    static const char *const settings[] = {"training.optimizer.learning_rate=50"};
    sotto_error err = {0};
    if (_i == 1)
        put("config.yaml", autoencoder);
    json_t *outcome = diverge(settings, 1, NULL, &err);
    ck_assert_str_eq(json_string_value(json_object_get(outcome, "stopped")), "it was diverging");
    ck_assert_ptr_nonnull(strstr(err.message, "ended itself after step"));
    ck_assert_ptr_nonnull(strstr(err.message, "ε = "));
    ck_assert_ptr_nonnull(strstr(err.message, "lower the learning rates"));
    expect_honest_record(settings, 1, outcome);
    expect_nothing_to_use();
    json_decref(outcome);
}
END_TEST

/* Rows that collapse are a sign too; a generator far too fast makes but a few. */
START_TEST(a_collapsed_generator_ends_the_run)
{
    static const char *const settings[] = {"training.generator_optimizer.learning_rate=20",
                                           "training.discriminator_steps=1", "model.marginals.tables=label"};
    sotto_error err = {0};
    json_t *outcome = diverge(settings, 3, NULL, &err);
    json_decref(outcome);
}
END_TEST

/* What any outcome's promise is, and what one of as many steps has beside it. */
START_TEST(a_diverged_run_promises_what_was_planned)
{
    static const char *const settings[] = {"training.optimizer.learning_rate=50"};
    const char *sentence;
    char *text = NULL;
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 1;
    put("config.yaml", autoencoder);
    ck_assert_int_eq(sotto_run_train(&options, &text, NULL), SOTTO_DIVERGED);
    free(text);
    json_t *statement = read_json("run/release/privacy.json");
    sentence = json_string_value(json_object_get(json_object_get(statement, "guarantee"), "sentence"));
    ck_assert_msg(strstr(sentence, "any outcome by a factor of at most e^2,") != NULL, "%s", sentence);
    ck_assert_msg(strstr(sentence, "Of outcomes in which the run ends after these") != NULL, "%s", sentence);
    json_decref(statement);
}
END_TEST

/* Whoever would rather have the rows may have them. */
START_TEST(a_run_may_be_told_to_go_on_regardless)
{
    static const char *const settings[] = {"training.optimizer.learning_rate=50",
                                           "training.stop_if_diverging=false"};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 2;
    put("config.yaml", autoencoder);
    json_t *outcome = train_with(&options, SOTTO_OK);
    ck_assert_double_eq(number(outcome, "steps", NULL), 30);
    check_rows("run/release/synthetic.csv", 400);
    json_decref(outcome);
    json_t *statement = read_json("run/release/privacy.json");
    ck_assert(
        json_is_null(json_object_get(json_object_get(statement, "guarantee"), "epsilon_of_steps_taken")));
    json_decref(statement);
}
END_TEST

/* But not of parameters that are no numbers: no rows could be made of their file. */
START_TEST(what_is_no_number_is_not_released)
{
    static const char *const settings[] = {"training.optimizer.learning_rate=50",
                                           "training.stop_if_diverging=false"};
    sotto_error err = {0};
    json_t *outcome = diverge(settings, 2, NULL, &err);
    ck_assert_double_eq(number(outcome, "steps", NULL), 30);
    ck_assert_double_eq(number(outcome, "rows", NULL), 0);
    ck_assert_msg(strstr(err.message, "made nothing after step 30 of 30") != NULL, "%s", err.message);
    ck_assert_ptr_null(strstr(err.message, "stop_if_diverging"));
    json_t *statement = read_json("run/release/privacy.json");
    const json_t *training = json_object_get(statement, "training");
    ck_assert_str_eq(json_string_value(json_object_get(training, "diverged")),
                     "its parameters are no numbers any more");
    ck_assert_ptr_nonnull(
        strstr(json_string_value(json_object_get(training, "stopped")), "without a release"));
    ck_assert_uint_eq(json_array_size(json_object_get(statement, "released")), 0);
    ck_assert_uint_eq(files_in("run/release"), 2);
    ck_assert_double_eq(number(statement, "guarantee", "epsilon"),
                        number(statement, "guarantee", "epsilon_of_steps_taken"));
    expect_nothing_to_use();
    json_decref(statement);
    json_decref(outcome);
}
END_TEST

/* Settings that are merely not the defaults end no run; every run has its looks, at the same steps. */
START_TEST(an_ordinary_run_goes_on)
{
    static const char *const settings[][2] = {
        {"model.loss=wasserstein", "training.optimizer.learning_rate=0.02"},
        {"model.loss=hinge", "model.marginals.tables=label"},
        {"training.ema=0", "privacy.epsilon=0.1"},
        {"model.marginals.weight=0", "training.discriminator_steps=1"},
        {"model.numbers=bounded", "training.steps=120"},
    };
    sotto_run_options options = options_for(NULL);
    options.settings = settings[_i];
    options.setting_count = 2;
    json_decref(train_with(&options, SOTTO_OK));
    json_t *metrics = read_json("run/private/metrics.json");
    const json_t *health = json_object_get(metrics, "health"), *look;
    const size_t every = _i == 4 ? 3 : 1;
    size_t i;
    ck_assert(json_is_null(json_object_get(metrics, "diverged")));
    ck_assert_uint_eq(json_array_size(health), _i == 4 ? 40 : 30);
    json_array_foreach(health, i, look)
    {
        ck_assert_uint_eq((size_t)number(look, "step", NULL), (i + 1) * every);
        ck_assert_double_gt(number(look, "distinct", NULL), 0.0);
    }
    json_decref(metrics);
}
END_TEST

/*
 * P6, P12: with frozen noise and a table that differs in a row, and has one more, which no step
 * samples, the run ends at the same step, for the same reason, and what it releases is the same to the
 * letter.
 */
START_TEST(neighbours_end_at_the_same_step)
{
    static const char *const settings[] = {"training.optimizer.learning_rate=50",
                                           "training.expected_batch_size=1", "model.marginals.tables=none",
                                           "model.target=none"};
    char *statements[2] = {NULL, NULL}, *pages[2] = {NULL, NULL};
    for (size_t i = 0; i < 2; i++) {
        size_t length;
        sotto_error err = {0};
        put_table(0, i ? 17 : SIZE_MAX, "999.5");
        FILE *table = fopen(at("table.csv"), "a");
        ck_assert_ptr_nonnull(table);
        (void)fputs(i ? "q,99,1000,east,2020-12-31,yes\n" : "", table);
        ck_assert_int_eq(fclose(table), 0);
        use_fresh_ledger(i ? "b.db" : "a.db");
        json_decref(diverge(settings, 4, i ? "b" : "a", &err));
        statements[i] = get_crossed(i ? "b" : "a", "release/privacy.json", &length);
        pages[i] = get_crossed(i ? "b" : "a", "release/privacy.html", &length);
    }
    ck_assert_int_eq(strcmp(statements[0], statements[1]), 0);
    ck_assert_int_eq(strcmp(pages[0], pages[1]), 0);
    for (size_t i = 0; i < 2; i++) {
        free(statements[i]);
        free(pages[i]);
    }
}
END_TEST

/* A sweep writes it down, charges the run as planned, and does not try again. */
START_TEST(a_sweep_records_what_diverged)
{
    char whole[4096], config_path[512], output[512], *text;
    (void)snprintf(
        whole, sizeof whole,
        "%ssweep:\n  training.optimizer.learning_rate: [0.002, 50]\n  evaluate: {test: test.csv}\n", config);
    put("config.yaml", whole);
    char *table = get("table.csv");
    put("test.csv", table);
    free(table);
    (void)snprintf(config_path, sizeof config_path, "%s", at("config.yaml"));
    (void)snprintf(output, sizeof output, "%s", at("sweep"));
    sotto_sweep_options options = {.run = {.config = config_path, .output = output, .threads = 1}, .jobs = 1};
    char *journals[2] = {NULL, NULL};
    for (int resumed = 0; resumed < 2; resumed++) {
        options.resume = resumed;
        ck_assert_int_eq(sotto_run_sweep(&options, &text, NULL), SOTTO_OK);
        json_t *record = json_loads(text, 0, NULL);
        const json_t *cells = json_object_get(record, "cells"), *bad = json_array_get(cells, 1);
        ck_assert_str_eq(json_string_value(json_object_get(json_array_get(cells, 0), "status")), "done");
        ck_assert_str_eq(json_string_value(json_object_get(bad, "status")), "diverged");
        ck_assert_ptr_nonnull(
            strstr(json_string_value(json_object_get(bad, "reason")), "ended itself after step"));
        ck_assert_double_gt(number(bad, "epsilon", NULL), 1.99); /* what its statement promises */
        ck_assert_uint_eq(json_object_size(json_object_get(bad, "figures")), 0);
        journals[resumed] = get("sweep/begun");
        if (!resumed) /* as if killed between its release and its record */
            ck_assert_int_eq(remove(at("sweep/cells/002/cell.json")), 0);
        json_decref(record);
        free(text);
    }
    ck_assert_str_eq(journals[0], journals[1]);
    free(journals[0]);
    free(journals[1]);
    char *page = get("sweep/sweep.html");
    ck_assert_ptr_nonnull(strstr(page, "1 diverged"));
    free(page);
}
END_TEST

/* Nothing is made of a table whose only column is the target, so nothing can collapse. */
START_TEST(a_table_of_targets_cannot_collapse)
{
    put("schema.yaml", "rows: 600\ncolumns:\n  - {name: ill, type: category, values: [no, yes]}\n");
    FILE *file = fopen(at("table.csv"), "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("ill\n", file);
    for (size_t i = 0; i < ROWS; i++)
        (void)fputs(i % 3 ? "no\n" : "yes\n", file);
    ck_assert_int_eq(fclose(file), 0);
    sotto_run_options options = options_for(NULL);
    static const char *const settings[] = {"model.marginals.tables=label"};
    options.settings = settings;
    options.setting_count = 1;
    json_decref(train_with(&options, SOTTO_OK));
}
END_TEST

TCase *diverging_tests(void)
{
    TCase *tests = tcase_create("diverging");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, a_diverging_run_ends_itself, 0, 2);
    tcase_add_test(tests, a_collapsed_generator_ends_the_run);
    tcase_add_test(tests, a_diverged_run_promises_what_was_planned);
    tcase_add_test(tests, what_is_no_number_is_not_released);
    tcase_add_test(tests, a_run_may_be_told_to_go_on_regardless);
    tcase_add_loop_test(tests, an_ordinary_run_goes_on, 0, 5);
    tcase_add_test(tests, neighbours_end_at_the_same_step);
    tcase_add_test(tests, a_table_of_targets_cannot_collapse);
    tcase_add_test(tests, a_sweep_records_what_diverged);
    return tests;
}
