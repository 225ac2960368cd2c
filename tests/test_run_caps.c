/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs, sweeps and the cap of their data set: one for all of them, and nothing held by runs that will not go
 * on. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test_run.h"

static const char head[] = "data: {table: table.csv, schema: schema.yaml}\n"
                           "privacy: {epsilon: 1.0, delta: 1.0e-5}\n"
                           "model: {type: per-label, target: ill}\n"
                           "sample: {rows: 300}\n"
                           "figures: {columns: [town], predict: ill}\n"
                           "sweep: {privacy.epsilon: [0.5, 2], repeats: 2, select: best}\n";

static void declare_cap(double epsilon)
{
    sotto_ledger *ledger = open_ledger();
    ck_assert_int_eq(sotto_ledger_declare(ledger, "table", NULL, epsilon, 1e-4, NULL), SOTTO_OK);
    sotto_ledger_close(ledger);
}

/* Runs of the ledger in this state. */
static size_t runs_in(const char *state)
{
    sotto_ledger *ledger = open_ledger();
    size_t i, count = 0;
    json_t *list, *run;
    ck_assert_int_eq(sotto_ledger_list(ledger, &list, NULL), SOTTO_OK);
    json_array_foreach(json_object_get(list, "runs"), i, run) count +=
        strcmp(json_string_value(json_object_get(run, "state")), state) == 0;
    json_decref(list);
    sotto_ledger_close(ledger);
    return count;
}

static sotto_status sweep(bool resume, sotto_error *err)
{
    static char config_path[512], output[512];
    char *text = NULL;
    (void)snprintf(config_path, sizeof config_path, "%s", at("config.yaml"));
    (void)snprintf(output, sizeof output, "%s", at("sweep"));
    const sotto_sweep_options options = {
        .run = {.config = config_path, .output = output, .threads = 1}, .resume = resume, .jobs = 2};
    const sotto_status status = sotto_run_sweep(&options, &text, err);
    free(text);
    return status;
}

static uint64_t entries(void)
{
    sotto_ledger *ledger = open_ledger();
    const uint64_t count = sotto_ledger_last(ledger).entries;
    sotto_ledger_close(ledger);
    return count;
}

static void expect_refusal(const sotto_run_options *options, sotto_status wanted, const char *words)
{
    char *text;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_run_train(options, &text, &err), wanted);
    ck_assert_ptr_null(text);
    ck_assert_msg(strstr(err.message, words) != NULL, "it says: %s", err.message);
}

/* ------------------------------------------------------------------ runs */

/* Two fit under the cap, though their ε's add up to more; the third leaves nothing behind. */
START_TEST(a_cap_refuses_the_run_that_would_cross_it)
{
    json_decref(train_with(&(sotto_run_options){.config = at("config.yaml"), .output = at("a")}, SOTTO_OK));
    declare_cap(3.0);
    json_decref(train_with(&(sotto_run_options){.config = at("config.yaml"), .output = at("b")}, SOTTO_OK));
    const uint64_t before = entries();
    const sotto_run_options third = {.config = at("config.yaml"), .output = at("c")};
    expect_refusal(&third, SOTTO_ERROR_BUDGET, "cap");
    ck_assert(!exists("c"));
    ck_assert_uint_eq(entries(), before);
    char *table = get("table.csv");
    put("copy.csv", table);
    free(table);
    static const char *const elsewhere[] = {"data.table=copy.csv"};
    ck_assert_int_eq(chdir(at("")), 0);
    const sotto_run_options copied = {
        .config = at("config.yaml"), .output = at("c"), .settings = elsewhere, .setting_count = 1};
    expect_refusal(&copied, SOTTO_ERROR_BUDGET, "cap");
}
END_TEST

static bool stop_later(void *context)
{
    return ++*(int *)context > 7;
}

/* Its statement would promise the whole plan, which is above what the custodian allows now. */
START_TEST(a_stopped_run_is_not_released_above_a_lowered_cap)
{
    int asked = 0;
    declare_cap(2.1);
    sotto_run_options options = options_for(NULL);
    options.stop = stop_later;
    options.stop_context = &asked;
    json_decref(train_with(&options, SOTTO_INTERRUPTED));
    declare_cap(1.5);
    const sotto_run_options finish = {
        .config = at("config.yaml"), .output = at("run"), .resume = true, .finish = true, .threads = 1};
    expect_refusal(&finish, SOTTO_ERROR_BUDGET, "would promise epsilon 2 at delta 1e-5");
    ck_assert(!exists("run/release"));
    ck_assert_uint_eq(runs_in("open"), 1);
    declare_cap(2.1);
    json_decref(train_with(&finish, SOTTO_OK));
    ck_assert_uint_eq(runs_in("released"), 1);
}
END_TEST

/* P11: a test seed's noise can be foretold, so it is no way to spend a declared budget. */
START_TEST(a_test_seed_is_refused_under_a_cap)
{
    declare_cap(100.0);
    sotto_run_options options = options_for(NULL);
    options.insecure_test_only_seed = true;
    expect_refusal(&options, SOTTO_ERROR_INPUT, "NOT PRIVATE");
    ck_assert(!exists("run"));
}
END_TEST

/* What is refused before the first access holds nothing of the cap, and leaves no folder. */
START_TEST(a_run_that_never_began_holds_nothing)
{
    static const char *const impossible[] = {"model.generator.hidden=[16, 100000000]"};
    declare_cap(2.1);
    put_table(0, 5, sentinel);
    const sotto_run_options options = options_for(NULL);
    char *text;
    ck_assert_int_eq(sotto_run_train(&options, &text, NULL), SOTTO_ERROR_INPUT);
    ck_assert(!exists("run"));
    put_table(0, SIZE_MAX, "");
    sotto_run_options huge = options;
    huge.settings = impossible;
    huge.setting_count = 1;
    ck_assert_int_ne(sotto_run_train(&huge, &text, NULL), SOTTO_OK);
    ck_assert(!exists("run"));
    json_decref(train_with(&options, SOTTO_OK)); /* which takes all of the cap */
}
END_TEST

/* ---------------------------------------------------------------- sweeps */

/* Not a run of it is begun, and none is charged. */
START_TEST(a_cap_refuses_a_sweep_as_a_whole)
{
    sotto_error err = {0};
    put("config.yaml", head);
    declare_cap(2.5);
    ck_assert_int_eq(sweep(false, &err), SOTTO_ERROR_BUDGET);
    ck_assert_msg(strstr(err.message, "cap") != NULL, "%s", err.message);
    ck_assert(!exists("sweep"));
    ck_assert_uint_eq(runs_in("open") + runs_in("released") + runs_in("closed"), 0);
}
END_TEST

/* However it is copied: under another name, packed, or with another system's line ends. */
START_TEST(a_copy_of_a_capped_table_is_the_same_table)
{
    static const char *const copies[][2] = {
        {"mkdir %s/other && cp %s/table.csv %s/other/people.csv", "other/people.csv"},
        {"mkdir %s/other && gzip -c %s/table.csv > %s/other/p.csv.gz", "other/p.csv.gz"},
        {"mkdir %s/other && sed 's/$/\r/' %s/table.csv > %s/other/crlf.csv", "other/crlf.csv"}};
    char command[2048], setting[128];
    const char *settings[1] = {setting};
    put("config.yaml",
        "data: {table: table.csv, schema: schema.yaml}\nprivacy: {epsilon: 1.0, delta: 1.0e-5}\n"
        "model: {type: independent}\nsample: {rows: 30}\noutput: run\n");
    declare_cap(1.2);
    const sotto_run_options first = options_for("first");
    json_decref(train_with(&first, SOTTO_OK));
    (void)snprintf(command, sizeof command, copies[_i][0], at(""), at(""), at(""));
    ck_assert_int_eq(system(command), 0);
    (void)snprintf(setting, sizeof setting, "data.table=%s", at(copies[_i][1]));
    sotto_run_options options = options_for("again");
    options.settings = settings;
    options.setting_count = 1;
    json_decref(train_with(&options, SOTTO_ERROR_BUDGET));
    ck_assert(!exists("again"));
}
END_TEST

/* Four runs, and the choice among them, whose release an auditor finds in the ledger too. */
START_TEST(a_sweep_and_its_choice_are_in_the_ledger)
{
    sotto_error err = {0};
    put("config.yaml", head);
    declare_cap(20.0);
    ck_assert_msg(sweep(false, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_uint_eq(runs_in("released"), 5);
    ck_assert_uint_eq(runs_in("open"), 0);
    json_t *statement = read_statement("sweep");
    const char *id = NULL;
    json_decref(statement);
    statement = read_json("sweep/release/privacy.json");
    id = json_string_value(json_object_get(json_object_get(statement, "ledger"), "run"));
    sotto_ledger *ledger = open_ledger();
    const sotto_ledger_artefact *artefacts;
    size_t count, matched = 0;
    ck_assert(sotto_ledger_run_released(ledger, id, &artefacts, &count));
    ck_assert_uint_eq(count, 5); /* rows, model, figures, and the statement twice */
    for (size_t i = 0; i < count; i++) {
        char name[128], hex[65];
        (void)snprintf(name, sizeof name, "sweep/release/%s", artefacts[i].file);
        ck_assert_int_eq(sotto_sha256_file(at(name), hex, NULL), SOTTO_OK);
        matched += strcmp(hex, artefacts[i].sha256) == 0;
    }
    ck_assert_uint_eq(matched, count);
    sotto_ledger_close(ledger);
    json_decref(statement);
}
END_TEST

/* A run that was killed holds its plan until the sweep goes on; then it is charged for what it did alone. */
START_TEST(what_an_interrupted_run_held_is_given_back)
{
    sotto_error err = {0};
    char command[1024];
    put("config.yaml", head);
    ck_assert_msg(sweep(false, &err) == SOTTO_OK, "%s", err.message);
    (void)snprintf(command, sizeof command, "cd %s && rm -r 001/run/release 001/cell.json",
                   at("sweep/cells"));
    ck_assert_int_eq(system(command), 0);
    json_t *identity = read_json("sweep/cells/001/run/private/run.json");
    char name[17];
    sotto_ledger *ledger = open_ledger();
    sotto_ledger_run *run;
    const sotto_ledger_table table = {.sha256 =
                                          "00000000000000000000000000000000000000000000000000000000000000aa",
                                      .path = at("table.csv"),
                                      .adjacency = SOTTO_ADJACENCY_ADD_REMOVE};
    sotto_charge planned = {.label = "steps", .count = 10};
    ck_assert_int_eq(sotto_mechanism_gaussian(&planned.mechanism, 1.0, NULL), SOTTO_OK);
    const sotto_ledger_plan plan = {.charges = &planned,
                                    .count = 1,
                                    .epsilon = 1,
                                    .delta = 1e-5,
                                    .config_sha256 = table.sha256,
                                    .output = "x",
                                    .version = "0",
                                    .run = name};
    ck_assert_int_eq(sotto_ledger_name(name, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_ledger_run_begin(&run, ledger, &table, &plan, NULL), SOTTO_OK);
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
    (void)json_object_set_new(identity, "run", json_string(name)); /* as if it had been killed */
    ck_assert_int_eq(json_dump_file(identity, at("sweep/cells/001/run/private/run.json"), 0), 0);
    json_decref(identity);
    ck_assert_uint_eq(runs_in("open"), 1);
    ck_assert_int_eq(rename(at("sweep/release"), at("sweep/old")), 0);
    ck_assert_msg(sweep(true, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_uint_eq(runs_in("open"), 0);
    ck_assert_uint_eq(runs_in("closed"), 1);
}
END_TEST

TCase *caps_tests(void)
{
    TCase *tests = tcase_create("caps");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_cap_refuses_the_run_that_would_cross_it);
    tcase_add_test(tests, a_stopped_run_is_not_released_above_a_lowered_cap);
    tcase_add_test(tests, a_test_seed_is_refused_under_a_cap);
    tcase_add_test(tests, a_run_that_never_began_holds_nothing);
    tcase_add_test(tests, a_cap_refuses_a_sweep_as_a_whole);
    tcase_add_loop_test(tests, a_copy_of_a_capped_table_is_the_same_table, 0, 3);
    tcase_add_test(tests, a_sweep_and_its_choice_are_in_the_ledger);
    tcase_add_test(tests, what_an_interrupted_run_held_is_given_back);
    return tests;
}
