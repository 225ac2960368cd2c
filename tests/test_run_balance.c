/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Rows with each value of a column equally often: exact in every kind of model, and told. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test_run.h"

static const char *const models[] = {
    "model: {type: gan, target: ill, generator: {latent: 4, hidden: [16]}, discriminator: {hidden: [16]}}\n"
    "training: {expected_batch_size: 150, steps: 10}\n",
    "model: {type: vae, target: ill, latent: 4, encoder: [16], decoder: [16]}\n"
    "training: {expected_batch_size: 150, steps: 10}\n",
    "model: {type: independent}\n",
    "model: {type: per-label, target: ill}\n",
    "model: {type: marginals, target: ill}\n",
    "model: {type: marginals}\n",
};
enum { MODELS = sizeof models / sizeof *models };

static void put_config(const char *model, const char *sample)
{
    char whole[2048];
    (void)snprintf(whole, sizeof whole,
                   "data: {table: table.csv, schema: schema.yaml}\n"
                   "privacy: {epsilon: 8.0, delta: 1.0e-5}\n"
                   "%ssample: %s\noutput: run\n",
                   model, sample);
    put("config.yaml", whole);
}

static void train(void)
{
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
}

static sotto_status sample(const char *balance, const char *const *where, size_t where_count, size_t rows,
                           sotto_error *err)
{
    const sotto_sample_options options = {.model = at("run"),
                                          .rows = rows,
                                          .balance = balance,
                                          .where = where,
                                          .where_count = where_count,
                                          .output = at("rows.csv")};
    char *text;
    (void)unlink(at("rows.csv")); /* none is replaced */
    const sotto_status status = sotto_run_sample(&options, &text, err);
    free(text);
    return status;
}

/* Lines of the first `most` rows that contain `cell`; a town stands between commas, the label at the end. */
static size_t rows_with(const char *file, const char *cell, size_t most)
{
    char *csv = get(file);
    size_t count = 0;
    char *line = strchr(csv, '\n') + 1;
    for (size_t i = 0; i < most && *line; i++) {
        char *end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end);
        const char after = end[1];
        end[1] = '\0';
        count += strstr(line, cell) != NULL;
        end[1] = after;
        line = end + 1;
    }
    free(csv);
    return count;
}

static const char *const towns[] = {",north,", ",south,", ",east,", ",NA,"};

/*
 * Of 9001 rows: the label, which some of the models are conditional on, and a column of three values that is
 * also missing in a quarter of the table's rows. The order is random: of the first 600 rows at least 180 of
 * 300 expected are of either label (false-alarm rate below 1e-20).
 */
START_TEST(each_value_comes_equally_often)
{
    sotto_error err = {0};
    put_config(models[_i], "{rows: 100}");
    train();
    ck_assert_msg(sample("ill", NULL, 0, 9001, &err) == SOTTO_OK, "%s", err.message);
    check_rows("rows.csv", 9001);
    ck_assert_uint_eq(rows_with("rows.csv", ",no\n", SIZE_MAX), 4501);
    ck_assert_uint_eq(rows_with("rows.csv", ",yes\n", SIZE_MAX), 4500);
    const size_t early = rows_with("rows.csv", ",yes\n", 600);
    ck_assert_uint_gt(early, 180);
    ck_assert_uint_lt(early, 420);

    ck_assert_msg(sample("town", NULL, 0, 9001, &err) == SOTTO_OK, "%s", err.message);
    check_rows("rows.csv", 9001);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(rows_with("rows.csv", towns[i], SIZE_MAX), i == 0 ? 3001 : i == 3 ? 0 : 3000);
}
END_TEST

/* Balanced in one column and bound in another, whichever of them the model is conditional on. */
START_TEST(balance_goes_with_conditions_on_other_columns)
{
    static const char *const south[] = {"town=south"}, *const yes[] = {"ill=yes"};
    sotto_error err = {0};
    put_config(models[_i], "{rows: 100}");
    train();
    ck_assert_msg(sample("ill", south, 1, 1000, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_uint_eq(rows_with("rows.csv", ",south,", SIZE_MAX), 1000);
    ck_assert_uint_eq(rows_with("rows.csv", ",yes\n", SIZE_MAX), 500);
    ck_assert_msg(sample("town", yes, 1, 900, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_uint_eq(rows_with("rows.csv", ",yes\n", SIZE_MAX), 900);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(rows_with("rows.csv", towns[i], SIZE_MAX), 300);
}
END_TEST

START_TEST(all_of_several_conditions_hold)
{
    static const char *const where[] = {"town=east", "ill=no", "town=east"};
    put_config(models[_i], "{rows: 100}");
    train();
    ck_assert_int_eq(sample(NULL, where, 3, 700, NULL), SOTTO_OK);
    check_rows("rows.csv", 700);
    ck_assert_uint_eq(rows_with("rows.csv", ",east,", SIZE_MAX), 700);
    ck_assert_uint_eq(rows_with("rows.csv", ",no\n", SIZE_MAX), 700);
}
END_TEST

START_TEST(what_cannot_be_balanced_is_refused)
{
    static const struct {
        const char *balance, *where, *part;
    } cases[] = {
        {"pay", NULL, "only the values of a category column"},
        {"sickness", NULL, "which the schema has no column called"},
        {"ill", "ill=yes", "cannot hold together"},
        {"town", "town=NA", "cannot hold together"},
    };
    put_config(models[3], "{rows: 100}");
    train();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sotto_error err = {0};
        ck_assert_int_eq(sample(cases[i].balance, &cases[i].where, cases[i].where != NULL, 10, &err),
                         SOTTO_ERROR_INPUT);
        ck_assert_msg(strstr(err.message, cases[i].part) != NULL, "%s", err.message);
        ck_assert(!exists("rows.csv"));
    }
}
END_TEST

/* In a config: before the table is opened, at its own place in the file. */
START_TEST(a_config_that_cannot_be_balanced_is_refused)
{
    static const struct {
        const char *balance, *part;
    } cases[] = {{"pay", "sample.balance \"pay\" is of type number"},
                 {"sickness", "sample.balance is \"sickness\""},
                 {"[ill]", "sample.balance"}};
    ck_assert_int_eq(remove(at("table.csv")), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char section[64];
        char *text;
        sotto_error err = {0};
        (void)snprintf(section, sizeof section, "{balance: %s}", cases[i].balance);
        put_config(models[0], section);
        const sotto_run_options options = options_for(NULL);
        ck_assert_int_eq(sotto_run_train(&options, &text, &err), SOTTO_ERROR_INPUT);
        ck_assert_msg(strstr(err.message, cases[i].part) != NULL, "%s", err.message);
        ck_assert_uint_eq(err.line, 5);
    }
}
END_TEST

/* The statement, which all may see, the private record and the outcome. */
START_TEST(a_rebalanced_run_says_so)
{
    static const char *const back[] = {"sample.balance=none"};
    put_config("model: {type: per-label, target: ill}\n", "{rows: 400, balance: ill}");
    sotto_run_options options = options_for(NULL);
    json_t *summary = train_with(&options, SOTTO_OK);
    ck_assert_str_eq(json_string_value(json_object_get(summary, "balance")), "ill");
    check_rows("run/release/synthetic.csv", 400);
    ck_assert_uint_eq(rows_with("run/release/synthetic.csv", ",yes\n", SIZE_MAX), 200);
    json_t *statement = read_json("run/release/privacy.json");
    const char *what =
        json_string_value(json_object_get(json_array_get(json_object_get(statement, "released"), 0), "what"));
    ck_assert_msg(strstr(what, "each value of the column ill is made equally often") != NULL, "%s", what);
    json_t *metrics = read_json("run/private/metrics.json");
    ck_assert_str_eq(json_string_value(json_object_get(metrics, "balance")), "ill");
    json_decref(metrics);
    json_decref(statement);
    json_decref(summary);

    options.settings = back;
    options.setting_count = 1;
    options.output = at("plain");
    summary = train_with(&options, SOTTO_OK);
    ck_assert(json_is_null(json_object_get(summary, "balance")));
    statement = read_json("plain/release/privacy.json");
    what =
        json_string_value(json_object_get(json_array_get(json_object_get(statement, "released"), 0), "what"));
    ck_assert_str_eq(what, "synthetic rows");
    json_decref(statement);
    json_decref(summary);
}
END_TEST

/* A table that never is in the east, counted with hardly any noise. */
static void put_table_without_east(void)
{
    FILE *file = fopen(at("table.csv"), "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("id,age,pay,town,day,ill\n", file);
    for (size_t i = 0; i < ROWS; i++)
        (void)fprintf(file, "p%zu,%zu,%zu.5,%s,2020-01-%02zu,%s\n", i, i % 100, i % 1000,
                      i % 2 ? "north" : "south", i % 28 + 1, i % 3 ? "no" : "yes");
    ck_assert_int_eq(fclose(file), 0);
}

/*
 * What was paid for is kept: the model and its statement are released, with the rows that could be made.
 * Noise takes the count of a value that never occurs below 0, and so to 0, in at least a third of all runs:
 * one in 40 does it but for a chance of 1e-7, and no chance is left once the seeds are fixed.
 */
START_TEST(a_value_too_rare_is_told_and_costs_nothing_else)
{
    static const char *const settings[] = {"figures={share: 0.1, columns: [ill]}"};
    sotto_error err = {0};
    char *text = NULL;
    sotto_status status = SOTTO_OK;
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 1;
    options.insecure_test_only_seed = true;
    for (options.seed = 1; options.seed <= 40 && status == SOTTO_OK; options.seed++) {
        tear_down();
        set_up();
        put_table_without_east();
        put_config(models[2], "{rows: 90, balance: town}");
        options.config = at("config.yaml");
        status = sotto_run_train(&options, &text, &err);
        if (status == SOTTO_OK)
            free(text);
    }
    ck_assert_int_eq(status, SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(text);
    ck_assert_msg(strstr(err.message, "town cannot be balanced") && strstr(err.message, "\"east\"") &&
                      strstr(err.message, "0 of 90 rows are made"),
                  "%s", err.message);
    ck_assert(exists("run/release/model.sotto"));
    char *csv = get("run/release/synthetic.csv");
    ck_assert_str_eq(strchr(csv, '\n') + 1, "id,age,pay,town,day,ill\n"); /* below the stamp */
    free(csv);
    json_t *statement = read_json("run/release/privacy.json");
    ck_assert_double_gt(number(statement, "guarantee", "epsilon"), 0);
    json_decref(statement);

    ck_assert_int_eq(sample("town", NULL, 0, 90, &err), SOTTO_ERROR_INPUT);
    ck_assert(strstr(err.message, "cannot be balanced") != NULL);
    ck_assert(!exists("rows.csv"));
    ck_assert_int_eq(sample("ill", NULL, 0, 90, &err), SOTTO_OK);
}
END_TEST

TCase *balance_tests(void)
{
    TCase *tests = tcase_create("balance");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, each_value_comes_equally_often, 0, MODELS);
    tcase_add_loop_test(tests, balance_goes_with_conditions_on_other_columns, 0, MODELS);
    tcase_add_loop_test(tests, all_of_several_conditions_hold, 0, MODELS);
    tcase_add_test(tests, what_cannot_be_balanced_is_refused);
    tcase_add_test(tests, a_config_that_cannot_be_balanced_is_refused);
    tcase_add_test(tests, a_rebalanced_run_says_so);
    tcase_add_test(tests, a_value_too_rare_is_told_and_costs_nothing_else);
    return tests;
}
