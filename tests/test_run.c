/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The whole way, from a config to a release: plans, refusals, stamps, threads, the two folders, the
 * statement. Each test works on a little table of its own in a scratch folder.
 */
#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/run.h"
#include "sotto/accountant.h"

enum { ROWS = 600 };
static const char sentinel[] = "Xq7SECRETq7X"; /* stands in cells; must never be quoted */

static char folder[] = "/tmp/sotto-run-XXXXXX";
static char text_buffer[8192];

static const char *at(const char *name)
{
    static char paths[8][512];
    static size_t next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    ck_assert_int_eq(sotto_file_write(at(name), 0644, text, strlen(text), NULL), SOTTO_OK);
}

static char *get(const char *name)
{
    char *bytes = NULL;
    size_t length = 0;
    ck_assert_msg(sotto_file_read(at(name), 1 << 26, &bytes, &length, NULL) == SOTTO_OK, "cannot read %s",
                  name);
    return bytes;
}

static bool exists(const char *name)
{
    return access(at(name), F_OK) == 0;
}

static const char schema[] =
    "rows: 600\n"
    "missing: NA\n"
    "columns:\n"
    "  - {name: id, type: identifier}\n"
    "  - {name: age, type: integer, min: 0, max: 99}\n"
    "  - {name: pay, type: number, min: 0, max: 1000, scale: log, decimals: 1}\n"
    "  - {name: town, type: category, values: [north, south, east], missing: allowed}\n"
    "  - {name: day, type: date, min: 2020-01-01, max: 2020-12-31}\n"
    "  - {name: ill, type: category, values: [no, yes]}\n";

static const char config[] = "data: {table: table.csv, schema: schema.yaml}\n"
                             "privacy: {epsilon: 2.0, delta: 1.0e-5}\n"
                             "model:\n"
                             "  target: ill\n"
                             "  generator: {latent: 4, hidden: [16]}\n"
                             "  discriminator: {hidden: [16]}\n"
                             "training: {expected_batch_size: 150, steps: 30, discriminator_steps: 2}\n"
                             "sample: {rows: 400}\n"
                             "output: run\n";

/* Row `odd` (SIZE_MAX: none) gets `cell` in the pay column. */
static void put_table(size_t shift, size_t odd, const char *cell)
{
    static const char *const towns[] = {"north", "south", "east", "NA"};
    FILE *file = fopen(at("table.csv"), "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("id,age,pay,town,day,ill\n", file);
    for (size_t i = 0; i < ROWS; i++) {
        size_t k = i + shift;
        (void)fprintf(file, "p%zu,%zu,", i, k * 7 % 100);
        if (i == odd)
            (void)fputs(cell, file);
        else
            (void)fprintf(file, "%zu.5", k % 3 ? k * 13 % 1000 : 0);
        (void)fprintf(file, ",%s,2020-%02zu-%02zu,%s\n", towns[k % 4], k % 12 + 1, k % 28 + 1,
                      k * 7 % 100 > 60 ? "yes" : "no");
    }
    ck_assert_int_eq(fclose(file), 0);
}

static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    if (directory) {
        for (struct dirent *entry; (entry = readdir(directory));) {
            char child[1024];
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            (void)snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
            remove_tree(child);
        }
        (void)closedir(directory);
    }
    (void)remove(path);
}

static void set_up(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    put("schema.yaml", schema);
    put("config.yaml", config);
    put_table(0, SIZE_MAX, "");
}

static void tear_down(void)
{
    remove_tree(folder);
}

static sotto_run_options options_for(const char *output)
{
    return (sotto_run_options){
        .config = at("config.yaml"), .output = output ? at(output) : NULL, .threads = 1};
}

static json_t *train_with(const sotto_run_options *options, sotto_status wanted)
{
    char *text;
    sotto_error err = {0};
    sotto_status status = sotto_run_train(options, &text, &err);
    ck_assert_msg(status == wanted, "train gave %s: %s", sotto_status_name(status), err.message);
    json_t *summary = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return summary;
}

static json_t *read_json(const char *name)
{
    json_error_t where;
    json_t *json = json_load_file(at(name), 0, &where);
    ck_assert_msg(json != NULL, "%s: %s", name, where.text);
    return json;
}

static double number(const json_t *json, const char *first, const char *second)
{
    const json_t *child = json_object_get(json, first);
    return json_number_value(second ? json_object_get(child, second) : child);
}

/* Every synthetic row is valid under the schema by the strict reader, and there are as many as asked for. */
static void check_rows(const char *name, size_t rows)
{
    sotto_schema *read;
    sotto_table *table;
    sotto_error err = {0};
    const sotto_table_options strict = {.any_row_count = true, .strict = true};
    ck_assert_int_eq(sotto_schema_load(&read, at("schema.yaml"), NULL), SOTTO_OK);
    ck_assert_msg(sotto_table_load(&table, read, at(name), &strict, &err) == SOTTO_OK, "%s", err.message);
    ck_assert_uint_eq(sotto_table_rows(table), rows);
    sotto_table_destroy(table);
    sotto_schema_destroy(read);
}

/* ---- plan and train ---- */

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

    /* Compose anew from the statement's own accesses, with one step more. */
    const json_t *accesses = json_object_get(statement, "accesses");
    ck_assert_uint_eq(json_array_size(accesses), 2);
    for (int more = 0; more < 2; more++) {
        sotto_accountant *accountant;
        ck_assert_int_eq(sotto_accountant_create(&accountant, NULL), SOTTO_OK);
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
        ck_assert_int_eq(sotto_accountant_epsilon(accountant, 1e-5, &epsilon, NULL, NULL), SOTTO_OK);
        if (more == 0)
            ck_assert_double_eq(epsilon, number(statement, "guarantee", "epsilon"));
        else
            ck_assert_double_gt(epsilon, 2.0);
        sotto_accountant_destroy(accountant);
    }
    json_decref(plan);
    json_decref(statement);
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

static bool stop_after(void *context)
{
    return ++*(int *)context >= 7;
}

/* A stop keeps what is paid for: a whole release, charged for the steps that were taken. */
START_TEST(a_stop_keeps_what_is_paid_for)
{
    int asked = 0;
    sotto_run_options options = options_for(NULL);
    options.stop = stop_after;
    options.stop_context = &asked;
    json_t *summary = train_with(&options, SOTTO_INTERRUPTED);
    json_t *statement = read_json("run/release/privacy.json");
    ck_assert_ptr_nonnull(summary);
    ck_assert_double_eq(number(statement, "training", "steps_taken"), 7);
    ck_assert_double_eq(number(statement, "training", "steps_planned"), 30);
    ck_assert_double_lt(number(statement, "guarantee", "epsilon"), 2.0);
    ck_assert(exists("run/release/synthetic.csv") && exists("run/release/model.sotto"));
    json_decref(summary);
    json_decref(statement);
}
END_TEST

static bool stop_while_sampling(void *context)
{
    return ++*(int *)context >= 32; /* 29 questions between 30 steps, then one for each piece of the table */
}

/* A stop while sampling keeps the rows that are there; the training was whole. */
START_TEST(a_stop_while_sampling_keeps_the_rows)
{
    static const char *const settings[] = {"sample.rows=500000"};
    int asked = 0;
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 1;
    options.stop = stop_while_sampling;
    options.stop_context = &asked;
    json_t *summary = train_with(&options, SOTTO_INTERRUPTED);
    const double rows = number(summary, "rows", NULL);
    ck_assert_double_gt(rows, 0);
    ck_assert_double_lt(rows, 500000);
    check_rows("run/release/synthetic.csv", (size_t)rows);
    json_t *statement = read_json("run/release/privacy.json");
    ck_assert_double_eq(number(statement, "training", "steps_taken"), 30);
    json_decref(statement);
    json_decref(summary);

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

/* ---- what is wrong with the input ---- */

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
        {"epsilon: 2.0", "epsilon: .inf"},
        {"epsilon: 2.0, ", ""},
        {"delta: 1.0e-5", "delta: 0.002"},
        {"delta: 1.0e-5", "delta: 0"},
        {"delta: 1.0e-5", "delta: 1.0e-13"},
        {"delta: 1.0e-5", "delta: 1.0e-5, accountant: pld"},
        {"delta: 1.0e-5", "delta: 1.0e-5, noise: exact"},
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
    for (size_t i = 0; i < 3; i++) {
        char output[16];
        (void)snprintf(output, sizeof output, "t%u", threads[i]);
        sotto_run_options options = options_for(output);
        options.threads = threads[i];
        options.insecure_test_only_seed = true;
        options.seed = 42;
        json_decref(train_with(&options, SOTTO_OK));
    }
    for (size_t a = 0; a < ARTEFACTS; a++) {
        char *bytes[3];
        size_t length[3];
        for (size_t i = 0; i < 3; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "t%u/%s", threads[i], artefacts[a]);
            ck_assert_int_eq(sotto_file_read(at(name), 1 << 26, &bytes[i], &length[i], NULL), SOTTO_OK);
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
        sotto_run_options options = options_for(i ? "b" : "a");
        options.insecure_test_only_seed = true;
        json_decref(train_with(&options, SOTTO_OK));
        statements[i] = read_json(i ? "b/release/privacy.json" : "a/release/privacy.json");
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

START_TEST(the_statement_says_what_is_not_covered)
{
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    json_t *statement = read_json("run/release/privacy.json");
    const json_t *list = json_object_get(statement, "not_covered");
    bool found = false;
    for (size_t i = 0; i < json_array_size(list); i++)
        found = found ||
                strstr(json_string_value(json_array_get(list, i)), "floating-point Gaussian noise") != NULL;
    ck_assert(found);
    char *html = get("run/release/privacy.html");
    ck_assert_ptr_nonnull(strstr(html, "floating-point Gaussian noise"));
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(statement, "noise"), "mode")),
                     "float");
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
    free(html);
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
    tcase_add_test(tests, steps_that_the_budget_cannot_bear_are_refused);
    tcase_add_test(tests, a_stop_keeps_what_is_paid_for);
    tcase_add_test(tests, a_stop_while_sampling_keeps_the_rows);
    tcase_add_test(tests, warnings_come_before_anything_is_charged);
    tcase_add_test(tests, bad_configs_are_refused);
    tcase_add_test(tests, bad_schemas_are_refused);
    tcase_add_test(tests, bad_tables_are_refused);
    tcase_add_test(tests, a_table_with_a_row_more_or_less_trains);
    tcase_add_test(tests, a_drafted_schema_is_refused_until_it_is_edited);
    tcase_add_test(tests, a_run_is_never_overwritten);
    tcase_add_test(tests, hostile_numbers_train_to_the_end);
    tcase_add_test(tests, test_seed_gives_equal_bytes_and_stamps_them);
    tcase_add_test(tests, private_runs_differ_and_carry_no_stamp);
    tcase_add_test(tests, private_files_are_closed_and_say_what_they_are);
    tcase_add_test(tests, the_statement_tells_nothing_of_the_table);
    tcase_add_test(tests, the_statement_says_what_is_not_covered);
    tcase_add_test(tests, samples_are_valid_and_meet_their_conditions);
    tcase_add_test(tests, no_release_without_a_place_for_it);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
