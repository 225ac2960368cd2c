/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto ledger` says what is in the ledger, and which of several things does not agree with it. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/ledger.h"
#include "test_cli.h"

static char folder[] = "/tmp/sotto-cli-ledger-XXXXXX";
static char path[64], state[96];

static void begin_scene(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/ledger.db", folder);
    (void)snprintf(state, sizeof state, "%s/state", folder);
    ck_assert_int_eq(setenv("SOTTO_LEDGER", path, 1), 0);
    ck_assert_int_eq(unsetenv("SOTTO_LEDGER_MIRROR"), 0);
}

static void end_scene(void)
{
    static const char *const names[] = {"ledger.db", "ledger.db-head", "run/release/privacy.json",
                                        "run/release/rows.csv"};
    static const char *const folders[] = {"run/release", "run", "state/sotto", "state", ""};
    char name[160];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        (void)unlink(name);
    }
    (void)snprintf(name, sizeof name, "%s/sotto/ledger.db", state);
    (void)unlink(name);
    (void)snprintf(name, sizeof name, "%s/sotto/ledger.db-head", state);
    (void)unlink(name);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        (void)snprintf(name, sizeof name, "%s/%s", folder, folders[i]);
        (void)rmdir(name);
    }
}

static void expect_says(const char *part)
{
    ck_assert_msg(strstr(seen.out, part), "no \"%s\" in %s", part, seen.out);
}

/* A run with one charge, released or not; its id. */
static const char *make_run(bool released)
{
    static char id[32];
    const sotto_ledger_options options = {.path = path, .create = true};
    const char *hash = "1234567812345678123456781234567812345678123456781234567812345678";
    char rows[65];
    sotto_sha256_hex("a,b\n", 4, rows);
    const sotto_ledger_artefact artefact = {"rows.csv", "synthetic rows", rows};
    sotto_ledger *ledger;
    sotto_ledger_run *run;
    sotto_error err = {0};
    sotto_charge charge = {.label = "steps", .count = 1000};
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&charge.mechanism, 0.01, 1.1, &err), SOTTO_OK);
    const sotto_ledger_table table = {
        .id = "adult", .sha256 = hash, .path = "adult.csv", .adjacency = SOTTO_ADJACENCY_ADD_REMOVE};
    const sotto_ledger_plan plan = {.charges = &charge,
                                    .count = 1,
                                    .epsilon = 0.75,
                                    .delta = 1e-5,
                                    .config_sha256 = hash,
                                    .output = "runs/one",
                                    .version = "0.1.0"};
    ck_assert_msg(sotto_ledger_open(&ledger, &options, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_msg(sotto_ledger_run_begin(&run, ledger, &table, &plan, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_int_eq(sotto_ledger_run_charge(run, &charge.mechanism, 100, "steps", &err), SOTTO_OK);
    if (released)
        ck_assert_int_eq(sotto_ledger_run_release(run, &artefact, 1, &err), SOTTO_OK);
    (void)snprintf(id, sizeof id, "%s", sotto_ledger_run_id(run));
    sotto_ledger_run_destroy(run);
    sotto_ledger_close(ledger);
    return id;
}

START_TEST(where_there_is_no_ledger_none_is_made)
{
    static const char *const actions[] = {"list", "show x", "verify", "export", "close x", "adopt"};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        run("ledger %s", actions[i]);
        expect_usage("no ledger here");
    }
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(caps_are_declared_and_shown)
{
    ck_assert_int_eq(run("ledger declare adult --epsilon 3 --delta 1e-5"), 0);
    expect_says("ε = 3 at δ = 1e-5");
    ck_assert_int_eq(run("ledger declare adult --epsilon 2 --delta 1e-5 --quiet"), 0);
    ck_assert_str_eq(seen.out, "");
    const char *id = make_run(false);
    ck_assert_int_eq(run("ledger list"), 0);
    expect_says("1, 1 open");
    expect_says(id);
    ck_assert_int_eq(run("ledger show adult"), 0);
    expect_says("ε = 3 at δ = 1e-5");
    expect_says("with what is held");
    expect_says("adult.csv");
    ck_assert_int_eq(run("ledger show %s", id), 0);
    expect_says("sampled gaussian, q = 0.01, σ = 1.1");
    run("ledger declare adult --epsilon 2 --delta 1e-5 --unit person");
    expect_usage("units of one row");
    ck_assert_int_eq(run("ledger close %s --why lost", id), 0);
    expect_says("closed");
    expect_says("lost");
    run("ledger close %s", id);
    expect_usage("closed already");
}
END_TEST

START_TEST(figures_are_the_same_in_json)
{
    const char *id = make_run(true);
    run("ledger show adult --json");
    json_t *record = expect_json();
    const json_t *spent = json_array_get(json_object_get(record, "spent"), 0);
    sotto_accountant *accountant;
    sotto_mechanism step;
    double epsilon;
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&step, 0.01, 1.1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &step, 100, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-5, &epsilon, NULL, NULL), SOTTO_OK);
    sotto_accountant_destroy(accountant);
    ck_assert_double_eq(json_number_value(json_object_get(spent, "epsilon")), epsilon);
    /* its statement promises the whole plan, more than it was charged */
    ck_assert_double_gt(json_number_value(json_object_get(spent, "epsilon_with_held")), epsilon);
    json_decref(record);
    run("ledger show %s --json", id);
    record = expect_json();
    ck_assert_str_eq(json_string_value(json_object_get(record, "state")), "released");
    ck_assert_uint_eq(json_array_size(json_object_get(record, "artefacts")), 1);
    const json_t *line = json_array_get(json_object_get(record, "charges"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "planned")), 1000);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "charged")), 100);
    json_decref(record);
    ck_assert_int_eq(run("ledger export"), 0);
    size_t lines = 0;
    for (char *text = strtok(seen.out, "\n"); text; text = strtok(NULL, "\n"), lines++) {
        json_t *entry = json_loads(text, 0, NULL);
        ck_assert_ptr_nonnull(entry);
        ck_assert(lines == 0 || json_is_object(json_object_get(entry, "body")));
        json_decref(entry);
    }
    ck_assert_uint_eq(lines, 5); /* the head; table, run, charge, release */
}
END_TEST

static void write_statement(const sotto_ledger_head *head, const char *id)
{
    char name[128], text[512];
    (void)snprintf(name, sizeof name, "%s/run", folder);
    ck_assert(mkdir(name, 0700) == 0 || access(name, F_OK) == 0);
    (void)snprintf(name, sizeof name, "%s/run/release", folder);
    ck_assert(mkdir(name, 0700) == 0 || access(name, F_OK) == 0);
    (void)snprintf(name, sizeof name, "%s/run/release/privacy.json", folder);
    (void)snprintf(text, sizeof text, "{\"ledger\":{\"run\":\"%s\",\"ledger\":\"%s\",\"hash\":\"%s\"}}", id,
                   head->ledger, head->hash);
    ck_assert_int_eq(sotto_file_write(name, 0600, text, strlen(text), NULL), SOTTO_OK);
}

static void write_rows(const char *text)
{
    char name[128];
    (void)snprintf(name, sizeof name, "%s/run/release/rows.csv", folder);
    ck_assert_int_eq(sotto_file_write(name, 0600, text, strlen(text), NULL), SOTTO_OK);
}

START_TEST(verify_names_what_does_not_agree)
{
    sotto_ledger_head head;
    sotto_error err = {0};
    char sidecar[80];
    (void)snprintf(sidecar, sizeof sidecar, "%s-head", path);
    const char *id = make_run(true);
    const sotto_ledger_options options = {.path = path};
    sotto_ledger *ledger;
    ck_assert_int_eq(sotto_ledger_open(&ledger, &options, &err), SOTTO_OK);
    head = sotto_ledger_last(ledger);
    sotto_ledger_close(ledger);
    write_statement(&head, id);
    write_rows("a,b\n");
    ck_assert_int_eq(run("ledger verify %s %s/run %s/run/release/privacy.json", sidecar, folder, folder), 0);
    expect_says("sound");
    expect_says("run says; its 1 files are those that were released");
    run("ledger verify --json %s/run", folder);
    json_t *record = expect_json();
    ck_assert(json_is_true(json_object_get(record, "sound")));
    ck_assert_int_eq(json_integer_value(json_object_get(record, "charges")), 1);
    json_decref(record);
    write_rows("a,c\n");
    run("ledger verify %s/run", folder);
    expect_usage("rows.csv: this is not the file that was released");
    write_rows("a,b\n");
    write_statement(&head, "ffffffffffffffff");
    run("ledger verify %s/run", folder);
    expect_usage("no release of the run 'ffffffffffffffff'");
    head.hash[3] = head.hash[3] == 'a' ? 'b' : 'a';
    write_statement(&head, id);
    run("ledger verify %s/run", folder);
    expect_usage("no entry of this ledger has the hash");
    run("ledger verify %s/run/gone", folder);
    expect_usage("gone");
    run("ledger verify %s", path);
    expect_usage("no ledger's head");
}
END_TEST

START_TEST(nonsense_is_wrong_usage)
{
    static const char *const lines[][2] = {
        {"", "ACTION"},
        {"dance", "unknown action"},
        {"declare", "data set's id"},
        {"declare x", "--epsilon and --delta"},
        {"declare x --epsilon 1", "--epsilon and --delta"},
        {"declare x --epsilon 0 --delta 1e-5", "--epsilon"},
        {"declare x --epsilon 1 --delta 1", "--delta"},
        {"show", "a data set's id or a run's"},
        {"show x y", "too much"},
        {"list x", "too much"},
        {"list --epsilon 1", "--epsilon is for declare"},
        {"show x --why y", "--why is for close"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        run("ledger %s", lines[i][0]);
        expect_usage(lines[i][1]);
    }
    ck_assert_int_eq(run("ledger --help"), 0);
    expect_says("sotto ledger declare adult --epsilon 3 --delta 1e-5");
}
END_TEST

/* SOTTO_LEDGER, then XDG_STATE_HOME, then --ledger over both. */
START_TEST(the_ledger_is_where_the_environment_says)
{
    char name[160];
    ck_assert_int_eq(unsetenv("SOTTO_LEDGER"), 0);
    ck_assert_int_eq(setenv("XDG_STATE_HOME", state, 1), 0);
    ck_assert_int_eq(run("ledger declare adult --epsilon 3 --delta 1e-5 --quiet"), 0);
    (void)snprintf(name, sizeof name, "%s/sotto/ledger.db", state);
    ck_assert_int_eq(access(name, F_OK), 0);
    ck_assert_int_eq(setenv("SOTTO_LEDGER", path, 1), 0);
    run("ledger list");
    expect_usage("no ledger here");
    ck_assert_int_eq(run("ledger list --ledger %s", name), 0);
    expect_says("adult");
}
END_TEST

TCase *ledger_case(void)
{
    TCase *tests = tcase_create("ledger");
    tcase_add_checked_fixture(tests, begin_scene, end_scene);
    tcase_add_test(tests, where_there_is_no_ledger_none_is_made);
    tcase_add_test(tests, caps_are_declared_and_shown);
    tcase_add_test(tests, figures_are_the_same_in_json);
    tcase_add_test(tests, verify_names_what_does_not_agree);
    tcase_add_test(tests, nonsense_is_wrong_usage);
    tcase_add_test(tests, the_ledger_is_where_the_environment_says);
    return tests;
}
