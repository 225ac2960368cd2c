/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `sotto sample` as a user runs it: what is asked of the rows, what is said of them, what is refused. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "test_cli.h"

static char folder[] = "/tmp/sotto-sample-XXXXXX";
static const char *const files[] = {"run/release/synthetic.csv",
                                    "run/release/model.sotto",
                                    "run/release/privacy.json",
                                    "run/release/privacy.html",
                                    "run/release",
                                    "run/private/config.yaml",
                                    "run/private/train.log",
                                    "run/private/metrics.json",
                                    "run/private",
                                    "run",
                                    "rows.csv",
                                    "table.csv",
                                    "schema.yaml",
                                    "config.yaml"};

static const char schema[] = "rows: 300\n"
                             "columns:\n"
                             "  - {name: town, type: category, values: [north, south, east]}\n"
                             "  - {name: ill, type: category, values: [no, yes]}\n";

static const char config[] = "data: {table: table.csv, schema: schema.yaml}\n"
                             "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                             "model: {type: per-label, target: ill}\n"
                             "sample: {rows: 60, balance: town}\n"
                             "output: run\n";

static const char *at(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void set_up(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    use_ledger_in(folder);
    ck_assert_int_eq(sotto_file_write(at("schema.yaml"), 0644, schema, strlen(schema), NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_file_write(at("config.yaml"), 0644, config, strlen(config), NULL), SOTTO_OK);
    FILE *file = fopen(at("table.csv"), "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("town,ill\n", file);
    for (int i = 0; i < 300; i++)
        (void)fprintf(file, "%s,%s\n",
                      i % 5 < 3   ? "north"
                      : i % 5 < 4 ? "south"
                                  : "east",
                      i % 7 ? "no" : "yes");
    ck_assert_int_eq(fclose(file), 0);
}

static void tear_down(void)
{
    char command[600];
    (void)snprintf(command, sizeof command, "rm -r %s/second %s/third 2>/dev/null", folder, folder);
    (void)!system(command);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)remove(at(files[i]));
    (void)remove(folder);
}

static size_t lines_with(const char *name, const char *part)
{
    char *bytes;
    size_t length, count = 0;
    ck_assert_int_eq(sotto_file_read(at(name), 1 << 20, &bytes, &length, NULL), SOTTO_OK);
    for (const char *found = bytes; (found = strstr(found, part)); found++)
        count++;
    free(bytes);
    return count;
}

START_TEST(sample_meets_what_is_asked)
{
    ck_assert_msg(run("train %s/config.yaml", folder) == 0, "%s", seen.err);
    ck_assert_msg(strstr(seen.out, "\nRebalanced: each value of town equally often.\n") != NULL, "%s",
                  seen.out);
    ck_assert_uint_eq(lines_with("run/release/synthetic.csv", "east,"), 20);
    ck_assert_uint_ge(lines_with("run/release/privacy.html", "rebalanced"), 1);

    ck_assert_msg(run("sample %s/run --rows 90 --balance ill --where town=east --output %s/rows.csv", folder,
                      folder) == 0,
                  "%s", seen.err);
    ck_assert_msg(strstr(seen.out, "\nRebalanced: each value of ill equally often.\n") != NULL, "%s",
                  seen.out);
    ck_assert_uint_eq(lines_with("rows.csv", "east,yes\n"), 45);
    ck_assert_uint_eq(lines_with("rows.csv", "east,no\n"), 45);

    ck_assert_int_eq(unlink(at("rows.csv")), 0);
    ck_assert_int_eq(
        run("sample %s/run --rows 90 --where ill=yes --where town=south --output %s/rows.csv --json", folder,
            folder),
        0);
    json_t *said = expect_json();
    ck_assert(json_is_null(json_object_get(said, "balance")));
    json_decref(said);
    ck_assert_uint_eq(lines_with("rows.csv", "south,yes\n"), 90);
}
END_TEST

/* A model that is conditional on both columns makes what it hardly ever would. */
START_TEST(conditions_are_asked_for_outright)
{
    ck_assert_msg(run("train %s/config.yaml --quiet --set model.type=gan --set model.condition=[town] "
                      "--set training.steps=3 --set training.expected_batch_size=50",
                      folder) == 0,
                  "%s", seen.err);
    ck_assert_uint_eq(lines_with("run/release/synthetic.csv", "east,"), 20);
    ck_assert_uint_ge(lines_with("run/release/privacy.json", "target and the condition columns"), 1);
    ck_assert_msg(
        run("sample %s/run --rows 5000 --where ill=yes --where town=east --output %s/rows.csv --quiet",
            folder, folder) == 0,
        "%s", seen.err);
    ck_assert_uint_eq(lines_with("rows.csv", "east,yes\n"), 5000);
    (void)run("train %s/config.yaml --output %s/other --set model.type=gan --set model.condition=[ill]",
              folder, folder);
    expect_usage("\"ill\" is a condition already");
    (void)run("train %s/config.yaml --output %s/other --set model.type=vae --set model.condition=[town]",
              folder, folder);
    expect_usage("model has no setting 'condition'");
}
END_TEST

/* A plan times steps of pairs; a penalty that would make no sense is refused where it stands. */
START_TEST(a_gradient_penalty_is_planned_or_refused)
{
    const char *gan = "--set model.type=gan --set sample.balance=none --set model.gradient_penalty=10";
    ck_assert_msg(run("plan %s/config.yaml %s --set model.loss=wasserstein --set training.steps=20 "
                      "--set training.expected_batch_size=50",
                      folder, gan) == 0,
                  "%s", seen.err);
    ck_assert_ptr_nonnull(strstr(seen.out, "discriminator steps, sampled gaussian"));
    (void)run("plan %s/config.yaml %s", folder, gan);
    expect_usage("write `loss: wasserstein`, or remove the penalty");
}
END_TEST

/* A plan of rounds says how many parts there are, and claims no sampling. */
START_TEST(parts_are_planned_or_refused)
{
    const char *gan = "--set model.type=gan --set sample.balance=none --set training.expected_batch_size=50 "
                      "--set model.scope=generator";
    ck_assert_msg(run("plan %s/config.yaml %s --set model.parts=4 --set training.steps=3", folder, gan) == 0,
                  "%s", seen.err);
    ck_assert_ptr_nonnull(strstr(seen.out, "4, each with a discriminator of its own; a step is a round"));
    ck_assert_ptr_nonnull(strstr(seen.out, "rounds of discriminators, sampled gaussian"));
    ck_assert_ptr_null(strstr(seen.out, "in a batch with chance"));
    (void)run("plan %s/config.yaml %s --set privacy.clipping=automatic", folder, gan);
    expect_usage("a single vector is clipped");
}
END_TEST

START_TEST(sample_says_what_cannot_be)
{
    static const struct {
        const char *words, *part;
    } cases[] = {
        {"--balance ill --where ill=yes", "--where \"ill=yes\" and --balance \"ill\" cannot hold together"},
        {"--balance sickness", "balance is \"sickness\", which the schema has no column called"},
        {"--where ill=yes --where ill=no", "cannot hold together"},
        {"--balance ill --balance town", "--balance is given twice"},
        {"--balance=", "--balance is empty"},
    };
    ck_assert_msg(run("train %s/config.yaml --quiet --set sample.balance=none", folder) == 0, "%s", seen.err);
    ck_assert_uint_eq(lines_with("run/release/privacy.json", "rebalanced"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)run("sample %s/run --output %s/rows.csv %s", folder, folder, cases[i].words);
        expect_usage(cases[i].part);
        ck_assert_int_ne(access(at("rows.csv"), F_OK), 0);
    }
    (void)run("train %s/config.yaml --output %s/other --set sample.balance=sickness", folder, folder);
    expect_usage("sample.balance is \"sickness\"");
    ck_assert_int_ne(access(at("other"), F_OK), 0);
}
END_TEST

/* A private table, a released file, the ledger itself, a name that leads nowhere: none is replaced. */
START_TEST(sample_replaces_no_file)
{
    static const char *const taken[] = {"table.csv", "run/release/synthetic.csv", "run/release/privacy.json",
                                        "ledger.db", "config.yaml"};
    ck_assert_msg(run("train %s/config.yaml --quiet", folder) == 0, "%s", seen.err);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        char before[65], after[65];
        ck_assert_int_eq(sotto_sha256_file(at(taken[i]), before, NULL), SOTTO_OK);
        (void)run("sample %s/run --output %s/%s", folder, folder, taken[i]);
        expect_usage("is there already; choose another --output, or remove it first");
        ck_assert_int_eq(sotto_sha256_file(at(taken[i]), after, NULL), SOTTO_OK);
        ck_assert_str_eq(before, after);
    }
    ck_assert_int_eq(symlink("nowhere", at("rows.csv")), 0);
    (void)run("sample %s/run --output %s/rows.csv", folder, folder);
    expect_usage("is there already");
    ck_assert_int_eq(unlink(at("rows.csv")), 0);
    (void)run("sample %s/nothing --output %s/table.csv", folder, folder); /* before any work */
    expect_usage("is there already");
}
END_TEST

/* Where it is charged, how much of the cap that takes, and that all of private/ stays; nothing of it in what
 * is released. Of a plan that the cap does not bear, a warning. */
START_TEST(train_says_where_it_was_charged)
{
    char *text;
    size_t length;
    ck_assert_msg(run("train %s/config.yaml", folder) == 0, "%s", seen.err);
    ck_assert_msg(strstr(seen.out, "\nCharged to the data set table in /") != NULL, "%s", seen.out);
    ck_assert_msg(strstr(seen.out, "/ledger.db, which has no cap.\n") != NULL, "%s", seen.out);
    ck_assert_msg(strstr(seen.out, "/run/private/ (all of it)\n") != NULL, "%s", seen.out);
    ck_assert_int_eq(run("plan %s/config.yaml --quiet", folder), 0);
    ck_assert_str_eq(seen.err, "");
    ck_assert_int_eq(run("ledger declare table --epsilon 3.25 --delta 1e-5"), 0);
    ck_assert_int_eq(run("plan %s/config.yaml --quiet", folder), 0);
    ck_assert_str_eq(seen.err, "");
    ck_assert_msg(run("train %s/config.yaml --output %s/second", folder, folder) == 0, "%s", seen.err);
    ck_assert_msg(strstr(seen.out, ", whose cap is ε = 3.25 at δ = 1e-5: ") != NULL, "%s", seen.out);
    ck_assert_msg(strstr(seen.out, " % of it is taken.\n") != NULL, "%s", seen.out);
    ck_assert_int_eq(sotto_file_read(at("second/release/privacy.json"), 1 << 20, &text, &length, NULL),
                     SOTTO_OK);
    ck_assert_ptr_null(strstr(text, "3.25"));
    ck_assert_ptr_null(strstr(text, "ledger.db"));
    free(text);
    ck_assert_int_eq(run("plan %s/config.yaml --quiet", folder), 0);
    ck_assert_msg(strstr(seen.err, "the ledger would refuse this run as things stand: ") != NULL, "%s | %s",
                  seen.err, seen.out);
    (void)run("train %s/config.yaml --output %s/third --json", folder, folder);
    ck_assert_int_eq(seen.status, 3);
    ck_assert_int_eq(run("ledger declare table --epsilon 9 --delta 1e-5"), 0);
    (void)run("train %s/config.yaml --output %s/third --json", folder, folder);
    json_t *said = expect_json(), *ledger = json_object_get(said, "ledger");
    ck_assert_double_eq(sotto_cli_member(json_object_get(ledger, "cap"), "epsilon"), 9);
    ck_assert_double_gt(sotto_cli_member(ledger, "share_of_cap"), 0.1);
    ck_assert_double_le(sotto_cli_member(ledger, "share_of_cap"), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(said, "private")), 5);
    json_decref(said);
}
END_TEST

/* Begun, and neither stopped nor released as far as its files tell. */
START_TEST(an_unfinished_run_says_how_to_go_on)
{
    ck_assert_int_eq(mkdir(at("run"), 0755), 0);
    ck_assert_int_eq(mkdir(at("run/private"), 0700), 0);
    ck_assert_int_eq(sotto_file_write(at("run/private/train.log"), 0600, "", 0, NULL), SOTTO_OK);
    (void)run("train %s/config.yaml", folder);
    expect_usage("--resume goes on with it, --resume --finish releases what there is");
    (void)run("sample %s/run --output %s/rows.csv", folder, folder);
    expect_usage("goes on with --resume");
    (void)run("report %s/run", folder);
    expect_usage("goes on with --resume");
    (void)run("evaluate --schema %s/schema.yaml --train %s/table.csv --run %s/run", folder, folder, folder);
    expect_usage("goes on with --resume");
}
END_TEST

TCase *sample_case(void)
{
    TCase *tests = tcase_create("sample");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, sample_meets_what_is_asked);
    tcase_add_test(tests, conditions_are_asked_for_outright);
    tcase_add_test(tests, a_gradient_penalty_is_planned_or_refused);
    tcase_add_test(tests, parts_are_planned_or_refused);
    tcase_add_test(tests, sample_says_what_cannot_be);
    tcase_add_test(tests, sample_replaces_no_file);
    tcase_add_test(tests, train_says_where_it_was_charged);
    tcase_add_test(tests, an_unfinished_run_says_how_to_go_on);
    return tests;
}
