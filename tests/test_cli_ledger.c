/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto ledger` says what is in the ledger, and which of several things does not agree with it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

static void put_statement(const char *text)
{
    char name[128];
    (void)snprintf(name, sizeof name, "%s/run", folder);
    ck_assert(mkdir(name, 0700) == 0 || access(name, F_OK) == 0);
    (void)snprintf(name, sizeof name, "%s/run/release", folder);
    ck_assert(mkdir(name, 0700) == 0 || access(name, F_OK) == 0);
    (void)snprintf(name, sizeof name, "%s/run/release/privacy.json", folder);
    ck_assert_int_eq(sotto_file_write(name, 0600, text, strlen(text), NULL), SOTTO_OK);
}

static void write_statement(const sotto_ledger_head *head, const char *id, char hash[65])
{
    char text[512];
    (void)snprintf(text, sizeof text, "{\"ledger\":{\"run\":\"%s\",\"ledger\":\"%s\",\"hash\":\"%s\"}}", id,
                   head->ledger, head->hash);
    put_statement(text);
    sotto_sha256_hex(text, strlen(text), hash);
}

static sotto_ledger_head stated; /* what the statement of a run that was released says */

/* A run with one charge, released or not; its id. */
static const char *make_run(bool released)
{
    static char id[32];
    const sotto_ledger_options options = {.path = path, .create = true};
    const char *hash = "1234567812345678123456781234567812345678123456781234567812345678";
    char rows[65], statement[65];
    sotto_sha256_hex("a,b\n", 4, rows);
    const sotto_ledger_artefact artefacts[] = {{"rows.csv", "synthetic rows", rows},
                                               {"privacy.json", "the statement", statement}};
    char output[64];
    (void)snprintf(output, sizeof output, "%s/runs/one", folder);
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
                                    .output = output,
                                    .version = "0.1.0"};
    ck_assert_msg(sotto_ledger_open(&ledger, &options, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_msg(sotto_ledger_run_begin(&run, ledger, &table, &plan, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_int_eq(sotto_ledger_run_charge(run, &charge.mechanism, 100, "steps", &err), SOTTO_OK);
    (void)snprintf(id, sizeof id, "%s", sotto_ledger_run_id(run));
    stated = sotto_ledger_last(ledger);
    if (released) {
        write_statement(&stated, id, statement);
        ck_assert_int_eq(sotto_ledger_run_release(run, artefacts, 2, &err), SOTTO_OK);
    }
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
    ck_assert_uint_eq(json_array_size(json_object_get(record, "artefacts")), 2);
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

static void write_rows(const char *text)
{
    char name[128];
    (void)snprintf(name, sizeof name, "%s/run/release/rows.csv", folder);
    ck_assert_int_eq(sotto_file_write(name, 0600, text, strlen(text), NULL), SOTTO_OK);
}

/* Exit 2, and a line of its own on standard error. */
static void expect_unsound(const char *part)
{
    ck_assert_msg(seen.status == 2, "status %d: %s", seen.status, seen.err);
    ck_assert_msg(strstr(seen.err, part) != NULL, "\"%s\" does not say %s", seen.err, part);
}

static void put_file(const char *name, const char *text)
{
    char whole[160];
    (void)snprintf(whole, sizeof whole, "%s/%s", folder, name);
    ck_assert_int_eq(sotto_file_write(whole, 0600, text, strlen(text), NULL), SOTTO_OK);
}

static void drop_file(const char *name)
{
    char whole[160];
    (void)snprintf(whole, sizeof whole, "%s/%s", folder, name);
    ck_assert_int_eq(remove(whole), 0);
}

START_TEST(verify_names_what_does_not_agree)
{
    char sidecar[80], hash[65];
    (void)snprintf(sidecar, sizeof sidecar, "%s-head", path);
    const char *id = make_run(true);
    sotto_ledger_head head = stated;
    write_rows("a,b\n");
    ck_assert_int_eq(run("ledger verify %s %s/run %s/run/release/privacy.json", sidecar, folder, folder), 0);
    expect_says("sound");
    expect_says("run says; its 2 files are those that were released");
    run("ledger verify --json %s/run", folder);
    json_t *record = expect_json();
    ck_assert(json_is_true(json_object_get(record, "sound")));
    ck_assert_int_eq(json_integer_value(json_object_get(record, "charges")), 1);
    json_decref(record);
    write_rows("a,c\n");
    run("ledger verify %s/run", folder);
    expect_unsound("rows.csv: this is not the file that was released");
    write_rows("a,b\n");
    put_file("run/release/people.csv", "Anna\n"); /* as if it had been released */
    run("ledger verify %s/run", folder);
    expect_unsound("people.csv was never released");
    drop_file("run/release/people.csv");
    write_statement(&head, "ffffffffffffffff", hash);
    run("ledger verify %s/run", folder);
    expect_unsound("no release of the run 'ffffffffffffffff'");
    head.hash[3] = head.hash[3] == 'a' ? 'b' : 'a';
    write_statement(&head, id, hash);
    run("ledger verify %s/run", folder);
    expect_unsound("no entry of this ledger has the hash");
    run("ledger verify %s/run/gone", folder);
    expect_unsound("gone");
    run("ledger verify %s", path);
    expect_unsound("no ledger's head");
}
END_TEST

/* One that does not agree is no reason to keep quiet about the rest. */
START_TEST(verify_tells_of_each_artefact)
{
    enum { MANY = 100 };
    static char line[MANY * 96];
    char sidecar[80];
    int used = 0;
    (void)snprintf(sidecar, sizeof sidecar, "%s-head", path);
    (void)make_run(true);
    write_rows("a,b\n");
    ck_assert_int_eq(run("ledger verify %s %s/gone %s/run", path, folder, folder), 2);
    ck_assert_ptr_nonnull(strstr(seen.err, "no ledger's head"));
    ck_assert_ptr_nonnull(strstr(seen.err, "gone"));
    expect_says("run says; its 2 files");
    ck_assert_int_eq(run("ledger verify %s/gone %s/run", folder, folder), 2);
    ck_assert_int_eq(run("ledger verify --json %s/run %s", folder, path), 2);
    json_t *record = json_loads(seen.out, 0, NULL);
    const json_t *list = json_object_get(record, "artefacts");
    ck_assert_uint_eq(json_array_size(list), 2);
    ck_assert(json_is_true(json_object_get(json_array_get(list, 0), "sound")));
    ck_assert(json_is_false(json_object_get(json_array_get(list, 1), "sound")));
    ck_assert(strstr(json_string_value(json_object_get(json_array_get(list, 1), "trouble")), "head"));
    json_decref(record);
    for (int i = 0; i < MANY; i++)
        used += snprintf(line + used, sizeof line - (size_t)used, " %s", sidecar);
    ck_assert_int_eq(run("ledger verify --json%s", line), 0);
    record = expect_json();
    ck_assert_uint_eq(json_array_size(json_object_get(record, "artefacts")), MANY);
    json_decref(record);
}
END_TEST

/* A run that was begun, and is not released: its name is all that is known of it. */
START_TEST(an_unfinished_run_is_said_to_be_one)
{
    static const char *const folders[] = {"run", "run/private"};
    char name[160], text[64];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(name, sizeof name, "%s/%s", folder, folders[i]);
        ck_assert_int_eq(mkdir(name, 0700), 0);
    }
    const char *id = make_run(false);
    (void)snprintf(text, sizeof text, "{\"run\":\"%s\"}", id);
    put_file("run/private/run.json", text);
    ck_assert_int_eq(run("ledger verify %s/run", folder), 0);
    expect_says("not released yet");
    ck_assert_int_eq(run("ledger close %s", id), 0);
    ck_assert_int_eq(run("ledger verify %s/run", folder), 0);
    expect_says("it was closed, and not released");
    id = make_run(true);
    (void)snprintf(text, sizeof text, "{\"run\":\"%s\"}", id);
    put_file("run/private/run.json", text);
    drop_file("run/release/privacy.json");
    drop_file("run/release");
    run("ledger verify %s/run", folder);
    expect_unsound("knows of a release of run");
    drop_file("run/private/run.json");
    drop_file("run/private");
}
END_TEST

/* By the lock that it has on its own folder; nothing is known of a copy of that. */
START_TEST(a_run_at_work_is_not_closed)
{
    char name[160], text[64];
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(mkdir("runs", 0700) | mkdir("runs/one", 0700) | mkdir("runs/one/private", 0700), 0);
    const char *id = make_run(false);
    (void)snprintf(text, sizeof text, "{\"run\":\"%s\"}", id);
    put_file("runs/one/private/run.json", text);
    (void)snprintf(name, sizeof name, "%s/runs/one/private", folder);
    const int lock = open(name, O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(flock(lock, LOCK_EX), 0);
    run("ledger close %s", id);
    expect_usage("a process is at work on run");
    put_file("runs/one/private/run.json",
             "{\"run\":\"0000000000000000\"}"); /* the folder is another run's by now */
    ck_assert_int_eq(run("ledger close %s", id), 0);
    expect_says("With it its data set had come to ε = ");
    ck_assert_int_eq(close(lock), 0);
    id = make_run(false);
    (void)snprintf(text, sizeof text, "{\"run\":\"%s\"}", id);
    put_file("runs/one/private/run.json", text);
    ck_assert_int_eq(run("ledger close %s --json", id), 0); /* nobody is at work on it */
    json_t *record = expect_json();
    const json_t *epsilon = json_object_get(record, "data_set_epsilon");
    ck_assert_double_gt(json_number_value(json_object_get(epsilon, "before")),
                        json_number_value(json_object_get(epsilon, "after")));
    json_decref(record);
    drop_file("runs/one/private/run.json");
    drop_file("runs/one/private");
    drop_file("runs/one");
    drop_file("runs");
}
END_TEST

START_TEST(a_declaration_says_what_follows_from_it)
{
    ck_assert_int_eq(run("ledger declare adult --epsilon 3 --delta 1e-5"), 0);
    expect_says("`data: {id: adult}`");
    const char *id = make_run(false);
    ck_assert_int_eq(run("ledger show adult"), 0);
    ck_assert_ptr_null(strstr(seen.out, "data: {id"));
    ck_assert_ptr_null(strstr(seen.out, "exceeded"));
    ck_assert_int_eq(run("ledger declare adult --epsilon 1.2 --delta 1e-5"), 0);
    expect_says("what is spent and held is above the cap");
    expect_says("closing a run");
    ck_assert_int_eq(run("ledger declare adult --epsilon 0.01 --delta 1e-5"), 0);
    expect_says("what was charged is above the cap");
    ck_assert_int_eq(run("ledger show %s", id), 0);
    run("ledger declare a/b --epsilon 3 --delta 1e-5");
    expect_usage("a slash");
}
END_TEST

/* Whatever is in a cell, what follows begins where its title does. */
START_TEST(long_cells_do_not_move_the_columns)
{
    ck_assert_int_eq(run("ledger declare %090d --epsilon 3 --delta 1e-5 --quiet", 1), 0);
    ck_assert_int_eq(run("ledger declare short --epsilon 3 --delta 1e-5 --quiet"), 0);
    (void)make_run(false);
    ck_assert_int_eq(run("ledger list"), 0);
    size_t place = 0, rows = 0;
    for (char *text = strtok(seen.out, "\n"); text; text = strtok(NULL, "\n")) {
        if (strncmp(text, "data set", 8) == 0)
            place = (size_t)(strstr(text, "cap ") - text);
        else if (place > 0 && strncmp(text, "run ", 4) == 0)
            break;
        else if (place > 0) {
            ck_assert_msg(strncmp(text + place, "ε = ", 4) == 0 || strncmp(text + place, "no cap", 6) == 0,
                          "%s", text);
            rows++;
        }
    }
    ck_assert_uint_eq(rows, 3);
}
END_TEST

START_TEST(an_adoption_is_told)
{
    char head[80];
    (void)make_run(false);
    ck_assert_int_eq(run("ledger adopt"), 2);
    ck_assert_ptr_nonnull(strstr(seen.err, "nothing to adopt"));
    (void)snprintf(head, sizeof head, "%s-head", path);
    ck_assert_int_eq(unlink(head), 0);
    ck_assert_int_eq(run("ledger adopt"), 0);
    expect_says("its head file was missing; it had 3 entries");
    ck_assert_ptr_nonnull(strstr(seen.err, "declare lower caps"));
    static const char *const actions[] = {"list", "show adult", "verify"};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        ck_assert_int_eq(run("ledger %s", actions[i]), 0);
        expect_says("its head file was missing");
        ck_assert_int_eq(run("ledger %s --json", actions[i]), 0);
        expect_says("\"adoptions\"");
    }
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
    tcase_add_test(tests, verify_tells_of_each_artefact);
    tcase_add_test(tests, an_unfinished_run_is_said_to_be_one);
    tcase_add_test(tests, a_run_at_work_is_not_closed);
    tcase_add_test(tests, a_declaration_says_what_follows_from_it);
    tcase_add_test(tests, long_cells_do_not_move_the_columns);
    tcase_add_test(tests, an_adoption_is_told);
    tcase_add_test(tests, nonsense_is_wrong_usage);
    tcase_add_test(tests, the_ledger_is_where_the_environment_says);
    return tests;
}
