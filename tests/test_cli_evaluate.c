/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto evaluate`, `sweep` and `report` of what they leave, as a user runs them. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "test_cli.h"

static char folder[] = "/tmp/sotto-evaluate-XXXXXX";

static const char schema[] = "rows: 300\n"
                             "columns:\n"
                             "  - {name: age, type: integer, min: 0, max: 99}\n"
                             "  - {name: town, type: category, values: [north, south]}\n"
                             "  - {name: ill, type: category, values: [no, yes]}\n";

static const char config[] =
    "data: {table: train.csv, schema: schema.yaml}\n"
    "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
    "model: {target: ill, generator: {latent: 4, hidden: [8]}, discriminator: {hidden: [8]}}\n"
    "training: {expected_batch_size: 60, steps: 5}\n"
    "output: run\n";

static const char *at(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    ck_assert_int_eq(sotto_file_write(at(name), 0644, text, strlen(text), NULL), SOTTO_OK);
}

static void put_table(const char *name, unsigned seed)
{
    FILE *file = fopen(at(name), "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("age,town,ill\n", file);
    for (unsigned i = 0; i < 300; i++) {
        const unsigned k = (i * 2654435761u + seed * 40503u) >> 8, age = k % 100;
        (void)fprintf(file, "%u,%s,%s\n", age, k / 100 % 2 ? "north" : "south",
                      age + k / 200 % 30 > 60 ? "yes" : "no");
    }
    ck_assert_int_eq(fclose(file), 0);
}

static void set_up(void)
{
    char sweep[1024];
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    use_ledger_in(folder);
    put("schema.yaml", schema);
    put("config.yaml", config);
    (void)snprintf(sweep, sizeof sweep,
                   "%ssweep: {privacy.epsilon: [1, 2], evaluate: {test: test.csv, target: ill}}\n", config);
    put("sweep.yaml", sweep);
    put_table("train.csv", 1);
    put_table("test.csv", 2);
    put_table("synthetic.csv", 3);
}

static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char child[1024];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        remove_tree(child);
    }
    if (directory)
        (void)closedir(directory);
    (void)remove(path);
}

static void tear_down(void)
{
    remove_tree(folder);
}

static int evaluate(const char *rest)
{
    return run("evaluate --schema %s/schema.yaml --train %s/train.csv --test %s/test.csv %s", folder, folder,
               folder, rest);
}

static void expect_closed(const char *name, unsigned mode)
{
    struct stat facts;
    ck_assert_msg(stat(at(name), &facts) == 0, "%s is not there", name);
    ck_assert_uint_eq(facts.st_mode & 0777, mode);
}

START_TEST(evaluate_writes_a_private_record_and_page)
{
    char rest[1024];
    (void)snprintf(rest, sizeof rest,
                   "--synthetic %s/synthetic.csv --output %s/out --target ill --sensitive town", folder,
                   folder);
    ck_assert_msg(evaluate(rest) == 0, "%s", seen.err);
    ck_assert_ptr_nonnull(strstr(seen.out, "logistic"));
    expect_closed("out", 0700);
    expect_closed("out/evaluation.json", 0600);
    expect_closed("out/report.html", 0600);

    /* The record again, from the record. */
    (void)run("report %s/out --json", folder);
    json_t *record = expect_json();
    ck_assert_str_eq(sotto_cli_text(record, "format"), "sotto evaluation 1");
    ck_assert_double_eq(sotto_cli_member(json_object_get(record, "rows"), "train"), 300);
    ck_assert(json_is_object(json_object_get(json_object_get(record, "utility"), "groups")));
    ck_assert_ptr_nonnull(json_object_get(json_object_get(record, "attacks"), "attacks"));
    json_decref(record);
}
END_TEST

/* Of two files of somebody's, and of an earlier evaluation, only the last is written over. */
START_TEST(evaluate_replaces_only_an_evaluation)
{
    static const char *const theirs[] = {"out/evaluation.json", "out/report.html"};
    char rest[600];
    (void)snprintf(rest, sizeof rest, "--synthetic %s/synthetic.csv --output %s/out --no-attacks --quiet",
                   folder, folder);
    ck_assert_int_eq(mkdir(at("out"), 0700), 0);
    for (size_t i = 0; i < 2; i++) {
        put(theirs[i], "{}");
        (void)evaluate(rest);
        expect_usage("is there already, and is no earlier evaluation's");
        ck_assert_int_eq(unlink(at(theirs[i])), 0);
    }
    for (int i = 0; i < 2; i++)
        ck_assert_msg(evaluate(rest) == 0, "%s", seen.err);
}
END_TEST

START_TEST(evaluate_leaves_out_what_is_not_asked)
{
    (void)run(
        "evaluate --schema %s/schema.yaml --train %s/train.csv --synthetic %s/synthetic.csv --output %s/out "
        "--no-attacks --json",
        folder, folder, folder, folder);
    json_t *record = expect_json();
    ck_assert_ptr_nonnull(json_object_get(json_object_get(record, "utility"), "skipped"));
    ck_assert_ptr_nonnull(json_object_get(json_object_get(record, "attacks"), "skipped"));
    ck_assert(json_is_null(json_object_get(json_object_get(record, "rows"), "test")));
    json_decref(record);
}
END_TEST

static const struct {
    const char *rest, *words;
} wrong[] = {
    {"", "--synthetic TABLE and --output DIR, or --run RUN"},
    {"--output %s/out", "--synthetic TABLE and --output DIR, or --run RUN"},
    {"--synthetic %s/synthetic.csv --output %s/out --target nothing", "no column \"nothing\""},
    {"--synthetic %s/synthetic.csv --output %s/out --target ill --sensitive age", "category column"},
    {"--synthetic %s/synthetic.csv --output %s/out --sensitive town", "without a target"},
    {"--synthetic %s/nothing.csv --output %s/out", "nothing.csv"},
    {"--run %s/nothing", "nothing"},
    {"--run %s/nothing --synthetic %s/synthetic.csv", "metrics.json"},
};

START_TEST(evaluate_says_what_is_wrong)
{
    char rest[1024];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(rest, sizeof rest, wrong[_i].rest, folder, folder);
#pragma GCC diagnostic pop
    (void)evaluate(rest);
    expect_usage(wrong[_i].words);
    ck_assert_int_ne(access(at("out"), F_OK), 0);
}
END_TEST

/* P12, and the reason why it can be shown: evaluating changes no byte of release/. */
START_TEST(evaluating_a_run_leaves_its_release_alone)
{
    static const char *const files[] = {"synthetic.csv", "model.sotto", "privacy.json", "privacy.html"};
    char before[4][65], after[65], name[64];
    ck_assert_msg(run("train %s/config.yaml --quiet", folder) == 0, "%s", seen.err);
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "run/release/%s", files[i]);
        ck_assert_int_eq(sotto_sha256_file(at(name), before[i], NULL), SOTTO_OK);
    }
    char rest[600];
    (void)snprintf(rest, sizeof rest, "--run %s/run --target ill --quiet", folder);
    ck_assert_msg(evaluate(rest) == 0, "%s", seen.err);
    expect_closed("run/private/report.html", 0600);
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "run/release/%s", files[i]);
        ck_assert_int_eq(sotto_sha256_file(at(name), after, NULL), SOTTO_OK);
        ck_assert_str_eq(before[i], after);
    }
    size_t there = 0;
    DIR *directory = opendir(at("run/release"));
    ck_assert_ptr_nonnull(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        there += entry->d_name[0] != '.';
    (void)closedir(directory);
    ck_assert_uint_eq(there, 4);

    /* Neither there, nor below it, nor of a table that the run never saw. */
    static const char *const places[] = {"run/release", "run/release/more"};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(rest, sizeof rest, "--run %s/run --output %s/%s", folder, folder, places[i]);
        (void)evaluate(rest);
        expect_usage("in a folder called release");
    }
    ck_assert_int_ne(access(at("run/release/more"), F_OK), 0);
    ck_assert_int_eq(mkdir(at("open"), 0755), 0);
    (void)snprintf(rest, sizeof rest, "--run %s/run --output %s/open", folder, folder);
    (void)evaluate(rest);
    expect_usage("others may look into this directory");
    expect_closed("open", 0755);
    (void)run("evaluate --schema %s/schema.yaml --train %s/test.csv --run %s/run", folder, folder, folder);
    expect_usage("not the table that the run was trained on");

    ck_assert_int_eq(run("report %s/run --evaluation", folder), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "logistic"));
    ck_assert_int_eq(run("report %s/run", folder), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "ε"));
}
END_TEST

START_TEST(a_sweep_is_planned_made_and_reported)
{
    ck_assert_int_eq(run("plan %s/sweep.yaml", folder), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "all runs together"));
    ck_assert_msg(run("sweep %s/sweep.yaml --output %s/sweep --quiet --jobs 2", folder, folder) == 0, "%s",
                  seen.err);
    expect_closed("sweep", 0700);
    expect_closed("sweep/sweep.html", 0600);
    ck_assert_int_eq(run("report %s/sweep", folder), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "privacy.epsilon"));
    (void)run("report %s/sweep --json", folder);
    json_t *record = expect_json();
    ck_assert_uint_eq(json_array_size(json_object_get(record, "cells")), 2);
    json_decref(record);
    (void)run("sweep %s/sweep.yaml --output %s/sweep", folder, folder);
    expect_usage("--resume");
    (void)run("sweep %s/config.yaml --output %s/other", folder, folder);
    expect_usage("no section `sweep`");
    (void)run("train %s/sweep.yaml --output %s/other", folder, folder);
    expect_usage("sotto sweep");
}
END_TEST

/* It fails, says why, and shows what is left of it all the same. */
START_TEST(a_diverging_run_exits_with_1)
{
    ck_assert_int_eq(
        run("train %s/config.yaml --set training.optimizer.learning_rate=90 --output %s/run", folder, folder),
        1);
    ck_assert_ptr_nonnull(strstr(seen.err, "ended itself after step"));
    ck_assert_ptr_nonnull(strstr(seen.out, "stopped: it was diverging"));
    ck_assert_ptr_nonnull(strstr(seen.out, "release/privacy.json"));
    ck_assert_ptr_null(strstr(seen.out, "synthetic.csv"));
    ck_assert_int_eq(run("report %s/run", folder), 0);
    ck_assert_int_eq(run("sample %s/run --output %s/more.csv", folder, folder), 2);
    ck_assert_int_ne(access(at("more.csv"), F_OK), 0);
    ck_assert_int_eq(
        run("evaluate --schema %s/schema.yaml --train %s/train.csv --run %s/run", folder, folder, folder), 2);
}
END_TEST

START_TEST(a_sweep_over_its_budget_exits_with_3)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%ssweep: {repeats: 9, budget: {epsilon: 2.5}}\n", config);
    put("sweep.yaml", text);
    ck_assert_int_eq(run("sweep %s/sweep.yaml --output %s/sweep", folder, folder), 3);
    ck_assert_int_ne(access(at("sweep"), F_OK), 0);
    ck_assert_int_eq(run("plan %s/sweep.yaml", folder), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "would be refused"));
}
END_TEST

TCase *evaluate_case(void)
{
    TCase *tests = tcase_create("evaluate");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, evaluate_writes_a_private_record_and_page);
    tcase_add_test(tests, evaluate_replaces_only_an_evaluation);
    tcase_add_test(tests, evaluate_leaves_out_what_is_not_asked);
    tcase_add_loop_test(tests, evaluate_says_what_is_wrong, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tests, evaluating_a_run_leaves_its_release_alone);
    tcase_add_test(tests, a_sweep_is_planned_made_and_reported);
    tcase_add_test(tests, a_diverging_run_exits_with_1);
    tcase_add_test(tests, a_sweep_over_its_budget_exits_with_3);
    return tests;
}
