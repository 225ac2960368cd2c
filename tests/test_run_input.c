/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What is wrong with the input, and what only looks so. Nothing is made or charged before all of it was
 * checked. */
#include <stdlib.h>
#include <string.h>

#include "test_run.h"

static void refuse(const char *what)
{
    sotto_run_options options = options_for(NULL);
    char *text;
    sotto_error err = {0};
    sotto_status status = sotto_run_train(&options, &text, &err);
    ck_assert_msg(status == SOTTO_ERROR_INPUT, "%s: %s", what, sotto_status_name(status));
    ck_assert_msg(strlen(err.message) > 15, "%s: no message", what);
    ck_assert_msg(strstr(err.message, sentinel) == NULL, "%s: quotes a cell: %s", what, err.message);
    ck_assert_msg(!exists("run"), "%s: left a run directory", what);
    ck_assert_ptr_null(text);
}

static char text_buffer[8192];

static const char *replace(const char *text, const char *from, const char *to)
{
    const char *found = strstr(text, from);
    ck_assert_msg(found != NULL, "no \"%s\" to replace", from);
    (void)snprintf(text_buffer, sizeof text_buffer, "%.*s%s%s", (int)(found - text), text, to,
                   found + strlen(from));
    return text_buffer;
}

START_TEST(bad_configs_are_refused)
{
    static const char *const edits[][2] = {
        {"epsilon: 2.0", "epsilon: -1"},
        {"epsilon: 2.0", "epsilon: .nan"},
        {"epsilon: 2.0", "epsilon: 1e400"},
        {"epsilon: 2.0", "epsilon: yes"},
        {"epsilon: 2.0", "epsilon: 0"},
        {"epsilon: 2.0", "epsilon: 900"},
        {"epsilon: 2.0", "epsilon: .inf"},
        {"epsilon: 2.0, ", ""},
        {"delta: 1.0e-5", "delta: 0.002"},
        {"delta: 1.0e-5", "delta: 0"},
        {"delta: 1.0e-5", "delta: 1.0e-13"},
        {"delta: 1.0e-5", "delta: 1.0e-5, accountant: moments"},
        {"delta: 1.0e-5", "delta: 1.0e-5, accountant: [pld]"},
        {"delta: 1.0e-5", "delta: 1.0e-5, noise: precise"},
        {"delta: 1.0e-5", "delta: 1.0e-5, clipping: none"},
        {"delta: 1.0e-5", "delta: 1.0e-5, unit: id"},
        {"delta: 1.0e-5", "delta: 1.0e-5, delta: 1.0e-6"},
        {"delta: 1.0e-5", "delta: 1.0e-5, epsilonn: 3"},
        {"privacy:", "privaci:"},
        {"model:\n", "model:\n\t"},
        {"output: run", "output: run\nbomb: [&a [x, x], &b [*a, *a], [*b, *b]]"},
        {"table: table.csv", "table: nowhere.csv"},
        {"schema: schema.yaml", "schema: nowhere.yaml"},
        {"steps: 30", "steps: 0"},
        {"steps: 30", "steps: 2.5"},
        {"steps: 30", "steps: auto"},
        {"expected_batch_size: 150", "expected_batch_size: 601"},
        {"discriminator_steps: 2", "discriminator_steps: 0"},
        {"discriminator_steps: 2", "discriminator_steps: automatic"},
        {"steps: 30", "steps: 30, optimizer: {type: lion}"},
        {"steps: 30", "steps: 30, generator_optimizer: {type: dp-adam}"},
        {"rows: 400", "rows: 0"},
        {"target: ill", "target: age"},
        {"output: run\n", ""},
        {"data: {table: table.csv, schema: schema.yaml}", "data: [table.csv]"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        put("config.yaml", replace(config, edits[i][0], edits[i][1]));
        refuse(edits[i][1]);
    }
    put("config.yaml", "");
    refuse("an empty config");
    sotto_run_options options = {.config = at("nothing.yaml")};
    train_with(&options, SOTTO_ERROR_INPUT);
}
END_TEST

START_TEST(bad_schemas_are_refused)
{
    static const char *const edits[][2] = {
        {"[north, south, east]", "[north, south, north]"},
        {"min: 0, max: 99}", "min: 100, max: 99}"},
        {"name: age", "name: pay"},
        {"rows: 600", "rows: 0"},
        {"rows: 600", "rows: {private: true, epsilon: 1}"},
        {"type: date", "type: day"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        put("schema.yaml", replace(schema, edits[i][0], edits[i][1]));
        refuse(edits[i][1]);
    }
}
END_TEST

static void put_raw_table(const char *header, const char *last_line, size_t last_length)
{
    FILE *file = fopen(at("table.csv"), "w");
    ck_assert_ptr_nonnull(file);
    (void)fprintf(file, "%s\n", header);
    for (size_t i = 0; i + 1 < ROWS; i++)
        (void)fputs("p,30,5.5,north,2020-02-03,no\n", file);
    (void)fwrite(last_line, 1, last_length, file);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(bad_tables_are_refused)
{
    static const char right[] = "id,age,pay,town,day,ill";
    static const char *const headers[] = {"id,age,pay,town,day", "id,age,pay,town,day,ill,more",
                                          "id,age,pay,towm,day,ill", "id,age,pay,town,day,day"};
    static const char *const lines[] = {
        "p,30,5.5,Xq7SECRETq7X,2020-02-03\n",      "p,30,5.5,Xq7SECRETq7X,2020-02-03,no,no\n",
        "p,30,5.5,\"Xq7SECRETq7X,2020-02-03,no\n", "p,Xq7SECRETq7X,5.5,north,2020-02-03,no\n",
        "p,30,Xq7SECRETq7X,north,2020-02-03,no\n", "p,30,5.5,north,Xq7SECRETq7X,no\n",
        "p,30,5.5,north,2020-02-30,no\n",          "p,30,5.5,north,2020-02-03,Xq7SECRETq7X\n",
        "p,30,5.5,north,2020-02-03,NA\n",          "p,NA,5.5,north,2020-02-03,no\n",
    };
    static const char nul[] = "p,30,5.5,nor\0th,2020-02-03,no\n";
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        put_raw_table(headers[i], "p,30,5.5,north,2020-02-03,no\n", 29);
        refuse(headers[i]);
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        put_raw_table(right, lines[i], strlen(lines[i]));
        refuse(lines[i]);
    }
    put_raw_table(right, nul, sizeof nul - 1);
    refuse("a NUL byte");
    put("table.csv", "");
    refuse("an empty file");
    put("table.csv", "id,age,pay,town,day,ill\n");
    refuse("a table without rows");
}
END_TEST

/* Neighbours by one row both have a release, under one schema: the guarantee is about adding and removing
 * rows. */
START_TEST(a_table_with_a_row_more_or_less_trains)
{
    static const char *const outputs[] = {"less", "more"};
    for (size_t i = 0; i < 2; i++) {
        put("schema.yaml", replace(schema, "rows: 600", i ? "rows: 599" : "rows: 601"));
        sotto_run_options options = options_for(outputs[i]);
        json_decref(train_with(&options, SOTTO_OK));
        char name[32];
        (void)snprintf(name, sizeof name, "%s/private/train.log", outputs[i]);
        char *log = get(name);
        ck_assert_ptr_nonnull(strstr(log, "the table has 600 rows"));
        free(log);
        (void)snprintf(name, sizeof name, "%s/release/privacy.json", outputs[i]);
        json_t *statement = read_json(name);
        ck_assert_double_eq(number(statement, "sampling", "rows"), i ? 599 : 601);
        json_decref(statement);
    }
}
END_TEST

/* P11: a drafted schema looked at the data; while a line of it is still marked, nothing is trained with it.
 */
START_TEST(a_drafted_schema_is_refused_until_it_is_edited)
{
    char *draft;
    ck_assert_int_eq(sotto_schema_draft(at("table.csv"), "NA", &draft, NULL), SOTTO_OK);
    put("schema.yaml", draft);
    free(draft);
    refuse("a draft");
}
END_TEST

/* P9: what is made of a table that was made with a test seed must not carry a guarantee without a stamp. */
START_TEST(a_stamped_table_is_not_trained_on)
{
    char *table = get("table.csv"), *json;
    char *stamped = malloc(strlen(table) + 64);
    ck_assert_ptr_nonnull(stamped);
    (void)sprintf(stamped, "%sfor tests\n%s", SOTTO_CSV_STAMP, table);
    put("table.csv", stamped);
    sotto_error err = {0};
    const sotto_run_options options = options_for("run");
    ck_assert_int_eq(sotto_run_train(&options, &json, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, "stamped NOT PRIVATE") != NULL, "%s", err.message);
    ck_assert(!exists("run"));
    put("table.csv", table);
    free(table);
    free(stamped);
    json_decref(train_with(&options, SOTTO_OK));
}
END_TEST

/* A model that no memory holds is refused with the column that makes it so, and one that fits is not. */
START_TEST(a_model_that_no_memory_holds_is_refused)
{
    sotto_config read;
    sotto_plan plan = {0};
    sotto_error err = {0};
    const sotto_run_options options = options_for(NULL);
    ck_assert_int_eq(sotto_config_load(&read, &options, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_plan_make(&plan, &read, 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_plan_check_memory(&plan, &read, 1e9, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_plan_check_memory(&plan, &read, 1e4, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, "\"pay\" alone makes 21") != NULL, "%s", err.message);
    sotto_plan_destroy(&plan);
    sotto_config_destroy(&read);

    char *whole = NULL;
    size_t length;
    FILE *file = open_memstream(&whole, &length);
    (void)fprintf(file, "rows: 600\ncolumns:\n  - {name: ill, type: category, values: [no, yes]}\n");
    for (int c = 0; c < 5000; c++)
        (void)fprintf(file, "  - {name: c%d, type: number, min: 0, max: 1, decimals: 9, bins: 1000}\n", c);
    ck_assert_int_eq(fclose(file), 0);
    put("schema.yaml", whole);
    free(whole);
    const char *settings[] = {"model.discriminator.hidden=[8192]", "model.generator.hidden=[8192]"};
    sotto_run_options wide = options_for(NULL);
    wide.settings = settings;
    wide.setting_count = 2;
    char *json;
    ck_assert_int_eq(sotto_run_plan(&wide, &json, &err), SOTTO_ERROR_INPUT); /* 6 TiB and more */
    ck_assert_msg(strstr(err.message, "GiB of memory") != NULL, "%s", err.message);
}
END_TEST

START_TEST(a_run_is_never_overwritten)
{
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    char *before = get("run/release/privacy.json");
    char *text;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_run_train(&options, &text, &err), SOTTO_ERROR_INPUT);
    char *after = get("run/release/privacy.json");
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

/* One row with NaN, Inf or 1e308 trains to the end, and is counted in private/ (P5, P11). */
START_TEST(hostile_numbers_train_to_the_end)
{
    static const char *const cells[] = {"nan", "inf", "-inf", "1e308", "-1e308", "1e-320"};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char output[16];
        (void)snprintf(output, sizeof output, "run%zu", i);
        put_table(0, 17, cells[i]);
        sotto_run_options options = options_for(output);
        json_decref(train_with(&options, SOTTO_OK));
        char name[64];
        (void)snprintf(name, sizeof name, "%s/private/metrics.json", output);
        json_t *metrics = read_json(name);
        const json_t *pay = json_array_get(json_object_get(metrics, "columns"), 2);
        const double counted = number(pay, "clamped_low", NULL) + number(pay, "clamped_high", NULL) +
                               number(pay, "not_a_number", NULL);
        ck_assert_double_eq(counted, i == 5 ? 0 : 1);
        ck_assert_uint_eq(json_array_size(json_object_get(metrics, "steps")), 30);
        json_decref(metrics);
    }
}
END_TEST

TCase *input_tests(void)
{
    TCase *tests = tcase_create("input");
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, bad_configs_are_refused);
    tcase_add_test(tests, bad_schemas_are_refused);
    tcase_add_test(tests, bad_tables_are_refused);
    tcase_add_test(tests, a_table_with_a_row_more_or_less_trains);
    tcase_add_test(tests, a_drafted_schema_is_refused_until_it_is_edited);
    tcase_add_test(tests, a_stamped_table_is_not_trained_on);
    tcase_add_test(tests, a_model_that_no_memory_holds_is_refused);
    tcase_add_test(tests, a_run_is_never_overwritten);
    tcase_add_test(tests, hostile_numbers_train_to_the_end);
    return tests;
}
