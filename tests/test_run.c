/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The whole way, from a config to a release: plans, stops, stamps, threads, the two folders, the statement.
 * Each test works on a little table of its own in a scratch folder.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sotto/accountant.h"
#include "suite.h"
#include "test_run.h"

/* ---- plan and train ---- */

/* No false negative rate of the statement is above 1 − δ − e^ε·(false positive rate) at its own (ε, δ) by
 * more than the exact curve allows: never above guessing, and at least what (ε, δ) alone proves. */
static void expect_missed(const json_t *statement)
{
    const json_t *attack = json_object_get(statement, "attack");
    const double epsilon = number(statement, "guarantee", "epsilon"),
                 delta = number(statement, "guarantee", "delta");
    ck_assert_uint_gt(json_array_size(attack), 5);
    for (size_t i = 0; i < json_array_size(attack); i++) {
        const json_t *point = json_array_get(attack, i);
        const double wrongly = number(point, "false_positive_rate", NULL);
        const double missed = number(point, "false_negative_rate", NULL);
        const double proved = fmax(1 - delta - exp(epsilon) * wrongly, exp(-epsilon) * (1 - delta - wrongly));
        ck_assert_double_lt(missed, 1 - wrongly);
        ck_assert_double_ge(missed, proved - 2e-4); /* four digits are kept, rounded down */
    }
}

/* Compose anew from the statement's own accesses: they cost what it says, and one step more crosses ε. */
static void expect_exhausted(const json_t *statement, sotto_accountant_kind kind)
{
    const json_t *accesses = json_object_get(statement, "accesses");
    ck_assert_uint_eq(json_array_size(accesses), 2);
    for (int more = 0; more < 2; more++) {
        sotto_accountant *accountant;
        ck_assert_int_eq(sotto_accountant_create(kind, &accountant, NULL), SOTTO_OK);
        for (size_t i = 0; i < 2; i++) {
            const json_t *access = json_array_get(accesses, i);
            const bool sampled = number(access, "sample_rate", NULL) < 1.0;
            sotto_mechanism mechanism;
            if (sampled)
                ck_assert_int_eq(
                    sotto_mechanism_sampled_gaussian(&mechanism, number(access, "sample_rate", NULL),
                                                     number(access, "noise_multiplier", NULL), NULL),
                    SOTTO_OK);
            else
                ck_assert_int_eq(
                    sotto_mechanism_gaussian(&mechanism, number(access, "noise_multiplier", NULL), NULL),
                    SOTTO_OK);
            uint64_t count = (uint64_t)number(access, "count", NULL) + (uint64_t)(sampled ? more : 0);
            ck_assert_int_eq(sotto_accountant_compose(accountant, &mechanism, count, NULL), SOTTO_OK);
        }
        double epsilon;
        ck_assert_int_eq(sotto_accountant_epsilon(accountant, number(statement, "noise", "delta_accountant"),
                                                  &epsilon, NULL, NULL),
                         SOTTO_OK);
        if (more == 0)
            ck_assert_double_eq(epsilon, number(statement, "guarantee", "epsilon"));
        else
            ck_assert_double_gt(epsilon, 2.0);
        sotto_accountant_destroy(accountant);
    }
}

/* The plan names the steps, train takes exactly those, and one more would cross ε by the accountant's own
 * word. */
START_TEST(train_takes_the_planned_steps_and_no_more)
{
    sotto_run_options options = options_for(NULL);
    char *text;
    ck_assert_int_eq(sotto_run_plan(&options, &text, NULL), SOTTO_OK);
    json_t *plan = json_loads(text, 0, NULL);
    free(text);
    ck_assert(!exists("run"));
    json_decref(train_with(&options, SOTTO_OK));
    json_t *statement = read_json("run/release/privacy.json");
    const uint64_t steps = (uint64_t)number(plan, "steps", NULL);
    ck_assert_uint_eq(steps, 30);
    ck_assert_uint_eq((uint64_t)number(plan, "steps_allowed", NULL), steps);
    ck_assert_uint_eq((uint64_t)number(statement, "training", "steps_taken"), steps);
    ck_assert_double_eq(number(statement, "guarantee", "epsilon"), number(plan, "epsilon", NULL));
    ck_assert_double_le(number(statement, "guarantee", "epsilon"), 2.0);

    expect_exhausted(statement, SOTTO_ACCOUNTANT_RDP);
    expect_missed(statement);
    json_decref(plan);
    json_decref(statement);
}
END_TEST

/* Private steps, and what they cost, do not depend on how many of them the generator waits for. */
START_TEST(a_ladder_changes_no_cost_and_can_be_timed)
{
    const char *settings[] = {"training.discriminator_steps=auto", "model.loss=wasserstein"};
    sotto_run_options options = options_for(NULL);
    sotto_error err = {0};
    char *texts[2];
    ck_assert_int_eq(sotto_run_plan(&options, &texts[0], NULL), SOTTO_OK);
    options.settings = settings;
    options.setting_count = 1;
    ck_assert_int_eq(sotto_run_plan(&options, &texts[1], NULL), SOTTO_OK);
    json_t *fixed = json_loads(texts[0], 0, NULL), *ladder = json_loads(texts[1], 0, NULL);
    ck_assert_double_eq(number(fixed, "epsilon", NULL), number(ladder, "epsilon", NULL));
    ck_assert_double_gt(number(ladder, "seconds_per_step", NULL), 0.0);
    json_t *outcome = train_with(&options, SOTTO_OK), *metrics = read_json("run/private/metrics.json");
    ck_assert_double_eq(number(outcome, "epsilon", NULL), number(ladder, "epsilon", NULL));
    const json_t *first = json_array_get(json_object_get(metrics, "steps"), 0);
    ck_assert_double_eq(number(first, "discriminator_steps", NULL), 1.0); /* the lowest rung */
    json_decref(metrics);
    options.setting_count = 2;
    char *text;
    ck_assert_int_eq(sotto_run_plan(&options, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "Wasserstein"));
    ck_assert_uint_gt(err.line, 0);
    json_decref(outcome);
    json_decref(fixed);
    json_decref(ladder);
    for (size_t i = 0; i < 2; i++)
        free(texts[i]);
}
END_TEST

START_TEST(steps_that_the_budget_cannot_bear_are_refused)
{
    const char *settings[] = {"privacy.noise_multiplier=0.8", "training.steps=5000"};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 2;
    train_with(&options, SOTTO_ERROR_BUDGET);
    ck_assert(!exists("run"));
    const char *automatic[] = {"privacy.noise_multiplier=6", "training.steps=auto"};
    options.settings = automatic;
    json_decref(train_with(&options, SOTTO_OK));
    json_t *statement = read_json("run/release/privacy.json");
    ck_assert_double_eq(number(statement, "training", "noise_multiplier"), 6);
    ck_assert_double_gt(number(statement, "guarantee", "epsilon"), 1.8);
    ck_assert_double_le(number(statement, "guarantee", "epsilon"), 2.0);
    json_decref(statement);
}
END_TEST

/* By privacy-loss distributions the same promise needs less noise; the statement holds the certified other
 * side. */
START_TEST(the_accountant_is_the_one_asked_for)
{
    static const char *const settings[] = {"privacy.accountant=pld"};
    sotto_run_options options = options_for("rdp");
    json_decref(train_with(&options, SOTTO_OK));
    options = options_for("pld");
    options.settings = settings;
    options.setting_count = 1;
    json_decref(train_with(&options, SOTTO_OK));
    json_t *rdp = read_json("rdp/release/privacy.json"), *pld = read_json("pld/release/privacy.json");
    ck_assert_double_lt(number(pld, "training", "noise_multiplier"),
                        number(rdp, "training", "noise_multiplier"));
    const double epsilon = number(pld, "guarantee", "epsilon"),
                 lower = number(pld, "accounting", "epsilon_lower");
    ck_assert_double_le(epsilon, 2.0);
    ck_assert_double_gt(epsilon, 1.99);
    ck_assert_double_le(lower, epsilon);
    ck_assert_double_ge(lower, 0.999 * epsilon);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(pld, "accounting"), "accountant")),
                     "pld");
    ck_assert_ptr_null(json_object_get(json_object_get(pld, "accounting"), "order"));
    ck_assert_double_gt(number(rdp, "accounting", "order"), 1.0);
    expect_exhausted(pld, SOTTO_ACCOUNTANT_PLD);
    json_decref(rdp);
    json_decref(pld);
}
END_TEST

static bool stop_while_sampling(void *context)
{
    return ++*(int *)context >= 32; /* 30 questions before 30 steps, then one for each piece of the table */
}

/* A stop while sampling releases nothing; the training was whole, and is kept. Nor does `sample` leave half a
 * file. */
START_TEST(a_stop_while_sampling_releases_nothing)
{
    static const char *const settings[] = {"sample.rows=500000"};
    int asked = 0;
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 1;
    options.stop = stop_while_sampling;
    options.stop_context = &asked;
    json_t *summary = train_with(&options, SOTTO_INTERRUPTED);
    ck_assert_double_eq(number(summary, "rows", NULL), 0);
    ck_assert_double_eq(number(summary, "steps", NULL), 30);
    ck_assert(!exists("run/release"));
    json_decref(summary);
    options.stop = NULL;
    options.settings = NULL;
    options.setting_count = 0;
    options.resume = true;
    json_decref(train_with(&options, SOTTO_OK));

    char *text;
    sotto_sample_options sample = {.model = at("run"),
                                   .rows = 500000,
                                   .output = at("never.csv"),
                                   .stop = stop_while_sampling,
                                   .stop_context = &asked};
    ck_assert_int_eq(sotto_run_sample(&sample, &text, NULL), SOTTO_INTERRUPTED);
    ck_assert(!exists("never.csv"));
}
END_TEST

static void note_warning(void *context, const char *text)
{
    ck_assert_uint_gt(strlen(text), 20);
    ck_assert(!exists("run/release")); /* told in time */
    ++*(int *)context;
}

START_TEST(warnings_come_before_anything_is_charged)
{
    static const char *const settings[] = {"training.expected_batch_size=1"};
    int warnings = 0;
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 1;
    options.warn = note_warning;
    options.warn_context = &warnings;
    json_decref(train_with(&options, SOTTO_OK));
    ck_assert_int_ge(warnings, 1);
}
END_TEST

/* ---- what is written ---- */

static const char *const artefacts[] = {
    "release/synthetic.csv", "release/model.sotto", "release/privacy.json", "release/privacy.html",
    "private/config.yaml",   "private/train.log",   "private/metrics.json"};
enum { ARTEFACTS = 7 };

static bool contains(const char *bytes, size_t length, const char *text)
{
    return memmem(bytes, length, text, strlen(text)) != NULL;
}

/* P9 and the fixed order of sums: with the test seed, 1, 2 and 4 threads give the same bytes, all stamped. */
START_TEST(test_seed_gives_equal_bytes_and_stamps_them)
{
    const unsigned threads[] = {1, 2, 4};
    static const char *const ledgers[] = {"1.db", "2.db", "4.db"};
    for (size_t i = 0; i < 3; i++) {
        char output[16];
        (void)snprintf(output, sizeof output, "t%u", threads[i]);
        sotto_run_options options = options_for(output);
        options.threads = threads[i];
        options.insecure_test_only_seed = true;
        options.seed = 42;
        use_fresh_ledger(ledgers[i]);
        json_decref(train_with(&options, SOTTO_OK));
    }
    for (size_t a = 0; a < ARTEFACTS; a++) {
        char *bytes[3];
        size_t length[3];
        for (size_t i = 0; i < 3; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "t%u", threads[i]);
            bytes[i] = get_crossed(name, artefacts[a], &length[i]);
            ck_assert_msg(contains(bytes[i], length[i], "NOT PRIVATE"), "%s carries no stamp", name);
            ck_assert_msg(length[i] == length[0] && memcmp(bytes[i], bytes[0], length[0]) == 0,
                          "%s differs from that of one thread", name);
        }
        for (size_t i = 0; i < 3; i++)
            free(bytes[i]);
    }
}
END_TEST

/* P8: two private runs share nothing, and nothing of them is stamped. */
START_TEST(private_runs_differ_and_carry_no_stamp)
{
    char *synthetic[2];
    for (int i = 0; i < 2; i++) {
        sotto_run_options options = options_for(i ? "b" : "a");
        json_decref(train_with(&options, SOTTO_OK));
        synthetic[i] = get(i ? "b/release/synthetic.csv" : "a/release/synthetic.csv");
    }
    ck_assert_str_ne(synthetic[0], synthetic[1]);
    for (size_t a = 0; a < ARTEFACTS; a++) {
        char name[64];
        char *bytes;
        size_t length;
        (void)snprintf(name, sizeof name, "a/%s", artefacts[a]);
        ck_assert_int_eq(sotto_file_read(at(name), 1 << 26, &bytes, &length, NULL), SOTTO_OK);
        ck_assert_msg(!contains(bytes, length, "NOT PRIVATE:"), "%s is stamped", name);
        free(bytes);
    }
    free(synthetic[0]);
    free(synthetic[1]);
}
END_TEST

/* P12: modes whatever the umask, and each private file says that it is not covered. */
START_TEST(private_files_are_closed_and_say_what_they_are)
{
    struct stat facts;
    mode_t old = umask(0);
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    umask(old);
    ck_assert_int_eq(stat(at("run/private"), &facts), 0);
    ck_assert_int_eq(facts.st_mode & 0777, 0700);
    for (size_t a = 4; a < ARTEFACTS; a++) {
        char name[64];
        (void)snprintf(name, sizeof name, "run/%s", artefacts[a]);
        ck_assert_int_eq(stat(at(name), &facts), 0);
        ck_assert_int_eq(facts.st_mode & 0777, 0600);
    }
    char *metrics = get("run/private/metrics.json");
    char *log = get("run/private/train.log");
    ck_assert_ptr_nonnull(strstr(metrics, "not covered by the guarantee"));
    ck_assert_ptr_nonnull(strstr(log, "not covered by the guarantee"));
    free(metrics);
    free(log);
    ck_assert(!exists("run/release.unfinished"));
}
END_TEST

/*
 * P12: two tables that differ in every row, the same seed: release/ holds nothing but the two mechanisms'
 * offspring. The statement, without the hashes of what was released, is the same to the letter.
 */
START_TEST(the_statement_tells_nothing_of_the_table)
{
    json_t *statements[2];
    char *synthetic[2];
    for (size_t i = 0; i < 2; i++) {
        put_table(i * 31, i ? 5 : SIZE_MAX, "1e308");
        use_fresh_ledger(i ? "b.db" : "a.db");
        sotto_run_options options = options_for(i ? "b" : "a");
        options.insecure_test_only_seed = true;
        json_decref(train_with(&options, SOTTO_OK));
        statements[i] = read_statement(i ? "b" : "a");
        synthetic[i] = get(i ? "b/release/synthetic.csv" : "a/release/synthetic.csv");
        ck_assert_int_eq(json_object_del(statements[i], "released"), 0);
    }
    ck_assert_str_ne(synthetic[0], synthetic[1]);
    char *a = json_dumps(statements[0], JSON_SORT_KEYS);
    char *b = json_dumps(statements[1], JSON_SORT_KEYS);
    ck_assert_str_eq(a, b);
    for (size_t i = 0; i < 2; i++) {
        json_decref(statements[i]);
        free(synthetic[i]);
    }
    free(a);
    free(b);
}
END_TEST

START_TEST(the_statement_names_what_was_released)
{
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    json_t *statement = read_json("run/release/privacy.json");
    /* The hash of each released file is that of the file. */
    const json_t *released = json_object_get(statement, "released");
    ck_assert_uint_eq(json_array_size(released), 2);
    for (size_t i = 0; i < 2; i++) {
        char name[64];
        char hex[65];
        const json_t *file = json_array_get(released, i);
        (void)snprintf(name, sizeof name, "run/release/%s", json_string_value(json_object_get(file, "file")));
        ck_assert_int_eq(sotto_sha256_file(at(name), hex, NULL), SOTTO_OK);
        ck_assert_str_eq(hex, json_string_value(json_object_get(file, "sha256")));
    }
    json_decref(statement);
}
END_TEST

/* Lines that contain `inside` and end in `end`. */
static size_t lines_with(char *csv, const char *inside, const char *end)
{
    size_t count = 0;
    FILE *file = fmemopen(csv, strlen(csv), "r");
    char line[512];
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file)) {
        const size_t length = strlen(line);
        count +=
            strstr(line, inside) && length >= strlen(end) && strcmp(line + length - strlen(end), end) == 0;
    }
    (void)fclose(file);
    return count;
}

START_TEST(samples_are_valid_and_meet_their_conditions)
{
    static const char *const settings[] = {"model.numbers=bounded", "data.holdout=0.25",
                                           "model.heads={type: gumbel, temperature: 0.8}"};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 3;
    json_decref(train_with(&options, SOTTO_OK));
    check_rows("run/release/synthetic.csv", 400);
    json_t *metrics = read_json("run/private/metrics.json");
    const json_t *spent = json_object_get(metrics, "epsilon_by_step");
    const size_t points = json_array_size(spent);
    json_t *statement = read_json("run/release/privacy.json");
    double before = 0.0;
    ck_assert_uint_ge(points, 2);
    for (size_t i = 0; i < points; i++) {
        const double epsilon = json_number_value(json_array_get(json_array_get(spent, i), 1));
        ck_assert_double_gt(epsilon, before);
        before = epsilon;
    }
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(spent, 0), 0)), 0);
    ck_assert_double_eq_tol(before, number(statement, "guarantee", "epsilon"), 1e-9);
    json_decref(statement);
    const double held = number(metrics, "holdout_rows", NULL);
    ck_assert_double_eq(held + number(metrics, "train_rows", NULL), ROWS);
    ck_assert_double_le(fabs(held - 150), 6 * sqrt(600 * 0.25 * 0.75)); /* false-alarm rate 2e-9 */
    json_decref(metrics);

    const char *where[] = {"ill=yes", "town=south"};
    char *text;
    sotto_sample_options sample = {
        .model = at("run"), .rows = 300, .where = where, .where_count = 2, .output = at("more.csv")};
    ck_assert_int_eq(sotto_run_sample(&sample, &text, NULL), SOTTO_OK);
    free(text);
    check_rows("more.csv", 300);
    char *csv = get("more.csv");
    ck_assert_uint_eq(lines_with(csv, ",south,", ",yes\n"), 300);
    free(csv);

    const char *both[] = {"ill=yes", "ill=no"};
    sample.where = both;
    sample.output = at("never.csv");
    ck_assert_int_eq(sotto_run_sample(&sample, &text, NULL), SOTTO_ERROR_INPUT);

    const char *wrong[] = {"age=3", "nothing=1", "ill=perhaps", "ill"};
    for (size_t i = 0; i < 4; i++) {
        sample.where = &wrong[i];
        sample.where_count = 1;
        sample.output = at("never.csv");
        ck_assert_int_eq(sotto_run_sample(&sample, &text, NULL), SOTTO_ERROR_INPUT);
        ck_assert(!exists("never.csv"));
    }
}
END_TEST

/* A release that cannot be written leaves none behind. */
START_TEST(no_release_without_a_place_for_it)
{
    sotto_error err = {0};
    char *text;
    put("file", "");
    sotto_run_options options = options_for("file/run");
    ck_assert_int_ne(sotto_run_train(&options, &text, &err), SOTTO_OK);
    ck_assert_uint_gt(strlen(err.message), 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run");
    TCase *tests = tcase_create("run");
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, train_takes_the_planned_steps_and_no_more);
    tcase_add_test(tests, a_ladder_changes_no_cost_and_can_be_timed);
    tcase_add_test(tests, steps_that_the_budget_cannot_bear_are_refused);
    tcase_add_test(tests, the_accountant_is_the_one_asked_for);
    tcase_add_test(tests, a_stop_while_sampling_releases_nothing);
    tcase_add_test(tests, warnings_come_before_anything_is_charged);
    tcase_add_test(tests, test_seed_gives_equal_bytes_and_stamps_them);
    tcase_add_test(tests, private_runs_differ_and_carry_no_stamp);
    tcase_add_test(tests, private_files_are_closed_and_say_what_they_are);
    tcase_add_test(tests, the_statement_tells_nothing_of_the_table);
    tcase_add_test(tests, the_statement_names_what_was_released);
    tcase_add_test(tests, samples_are_valid_and_meet_their_conditions);
    tcase_add_test(tests, no_release_without_a_place_for_it);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, input_tests());
    suite_add_tcase(suite, noise_tests());
    suite_add_tcase(suite, figures_tests());
    suite_add_tcase(suite, select_tests());
    suite_add_tcase(suite, resume_tests());
    suite_add_tcase(suite, stays_tests());
    suite_add_tcase(suite, caps_tests());
    suite_add_tcase(suite, sweep_tests());
    suite_add_tcase(suite, releases_tests());
    suite_add_tcase(suite, vae_tests());
    suite_add_tcase(suite, balance_tests());
    suite_add_tcase(suite, units_tests());
    suite_add_tcase(suite, gan_tests());
    suite_add_tcase(suite, parts_tests());
    suite_add_tcase(suite, diverging_tests());
    suite_add_tcase(suite, ctgan_tests());
    return run_suite(suite);
}
