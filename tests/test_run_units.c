/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs whose unit of privacy is a person of several rows: plan, split, charges, statement, and what one
 * person more can change of a release. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/figures.h"
#include "run/sweep.h"
#include "test_run.h"

enum { PEOPLE = 300, LATE_ROWS = 9 };

static const char people_schema[] = "rows: 600\n"
                                    "missing: NA\n"
                                    "columns:\n"
                                    "  - {name: id, type: identifier, units: 300}\n"
                                    "  - {name: age, type: integer, min: 0, max: 99}\n"
                                    "  - {name: pay, type: number, min: 0, max: 1000, decimals: 1}\n"
                                    "  - {name: town, type: category, values: [north, south, east]}\n"
                                    "  - {name: ill, type: category, values: [no, yes]}\n";

static const char gan[] =
    "model: {target: ill, generator: {latent: 4, hidden: [16]}, discriminator: {hidden: [16]}}\n"
    "training: {expected_batch_size: 100, steps: 20, discriminator_steps: 2}\n";
static const char vae[] = "model: {type: vae, target: ill, latent: 3, encoder: [16], decoder: [16]}\n"
                          "training: {expected_batch_size: 100, steps: 20}\n";
static const char conditional[] =
    "model: {target: ill, condition: [town], generator: {latent: 4, hidden: [16]}, discriminator: {hidden: [16]}}\n"
    "training: {expected_batch_size: 100, steps: 20, discriminator_steps: 2}\n";
static const char parts[] =
    "model: {target: ill, scope: generator, parts: 5, generator: {latent: 3, hidden: [16]}, "
    "discriminator: {hidden: [16]}}\n"
    "training: {expected_batch_size: 64, steps: 4, discriminator_steps: 2}\n";
static const char ctgan[] =
    "model: {type: ctgan, target: ill, generator: {latent: 4, hidden: [16, 16]}, discriminator: {hidden: [16]}}\n"
    "training: {expected_batch_size: 100, steps: 20, discriminator_steps: 2}\n";
static const char *const models[] = {gan,
                                     parts,
                                     conditional,
                                     ctgan,
                                     vae,
                                     "model: {type: marginals, target: ill}\n",
                                     "model: {type: marginals}\n",
                                     "model: {type: per-label, target: ill}\n",
                                     "model: {type: independent}\n"};
enum { MODELS = sizeof models / sizeof *models };

/* Person u has u % 3 + 1 rows, in rounds; then, perhaps, one of LATE_ROWS at the end. */
static void put_people(bool late, const char *last)
{
    static const char *const towns[] = {"north", "south", "east"};
    FILE *file = fopen(at("table.csv"), "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("id,age,pay,town,ill\n", file);
    for (size_t round = 0; round < 3; round++)
        for (size_t u = 0; u < PEOPLE; u++)
            if (round <= u % 3)
                (void)fprintf(file, "%s%zu,%zu,%zu.5,%s,%s\n", sentinel, u, (u * 7 + round) % 100,
                              u * 13 % 1000, towns[u % 3], u % 5 ? "no" : "yes");
    for (size_t i = 0; late && i < LATE_ROWS; i++)
        (void)fprintf(file, "late,99,999.5,east,yes\n");
    (void)fputs(last, file);
    ck_assert_int_eq(fclose(file), 0);
}

static void put_units(const char *privacy, const char *model, const char *more)
{
    char whole[2048];
    (void)snprintf(whole, sizeof whole,
                   "data: {table: table.csv, schema: schema.yaml}\n"
                   "privacy: {epsilon: 2.0, delta: 1.0e-5, unit: id%s}\n"
                   "%ssample: {rows: 300}\noutput: run\n%s",
                   privacy, model, more);
    put("config.yaml", whole);
    put("schema.yaml", people_schema);
}

static void set_up_people(void)
{
    set_up();
    put_units("", gan, "");
    put_people(false, "");
}

static json_t *plan_of(const sotto_run_options *options)
{
    char *text;
    sotto_error err = {0};
    ck_assert_msg(sotto_run_plan(options, &text, &err) == SOTTO_OK, "%s", err.message);
    json_t *plan = json_loads(text, 0, NULL);
    free(text);
    return plan;
}

/* ----------------------------------------------------------------- planning */

/* q is a share of the public number of units, less those held out; so is the bound of δ. */
START_TEST(a_plan_goes_by_the_declared_units)
{
    const char *settings[] = {"data.holdout=0.25", "privacy.max_rows_per_unit=2"};
    sotto_run_options options = options_for(NULL);
    json_t *plan = plan_of(&options);
    ck_assert_double_eq(number(plan, "sample_rate", NULL), 100.0 / 300.0);
    ck_assert_double_eq(number(plan, "units", NULL), 300);
    ck_assert_double_eq(number(plan, "max_rows_per_unit", NULL), 1);
    ck_assert_str_eq(json_string_value(json_object_get(plan, "unit")), "id");
    const double sigma = number(plan, "noise_multiplier", NULL);
    json_decref(plan);
    options.settings = settings;
    options.setting_count = 1;
    plan = plan_of(&options);
    ck_assert_double_eq(number(plan, "sample_rate", NULL), 100.0 / 225.0);
    ck_assert_double_gt(number(plan, "noise_multiplier", NULL), sigma);
    json_decref(plan);
    /* more rows of a unit cost nothing more: it is their noise that grows */
    options.settings = settings + 1;
    plan = plan_of(&options);
    ck_assert_double_eq(number(plan, "max_rows_per_unit", NULL), 2);
    ck_assert_double_eq(number(plan, "noise_multiplier", NULL), sigma);
    json_decref(plan);
}
END_TEST

static const struct {
    const char *setting, *words;
} wrong[] = {
    {"privacy.unit=nobody", "no column of the schema"},
    {"privacy.unit=age", "must be of type: identifier"},
    {"privacy.unit=[id]", "privacy.unit"},
    {"privacy.max_rows_per_unit=0", "max_rows_per_unit"},
    {"privacy.max_rows_per_unit=1.5", "max_rows_per_unit"},
    {"privacy.max_rows_per_unit=1001", "max_rows_per_unit"},
    {"privacy.delta=0.0034", "below 1/units"},
    {"training.expected_batch_size=301", "declares 300 units"},
};

START_TEST(units_that_cannot_be_are_refused)
{
    sotto_run_options options = options_for(NULL);
    sotto_error err = {0};
    char *text;
    options.settings = &wrong[_i].setting;
    options.setting_count = 1;
    ck_assert_int_eq(sotto_run_train(&options, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, wrong[_i].words) != NULL, "%s", err.message);
    ck_assert(!exists("run"));
}
END_TEST

static void refuse(const char *words)
{
    sotto_run_options options = options_for(NULL);
    sotto_error err = {0};
    char *text;
    ck_assert_int_eq(sotto_run_train(&options, &text, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
    ck_assert_ptr_null(strstr(err.message, sentinel));
    ck_assert(!exists("run"));
}

START_TEST(a_unit_needs_its_public_number)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%s", people_schema);
    memset(strstr(text, ", units: 300"), ' ', strlen(", units: 300"));
    put("schema.yaml", text);
    refuse("does not say how many units");
    put("schema.yaml", people_schema);
    put("config.yaml", "data: {table: table.csv, schema: schema.yaml}\n"
                       "privacy: {epsilon: 1.0, delta: 1.0e-5, max_rows_per_unit: 2}\noutput: run\n");
    refuse("says nothing where each row is a unit");
}
END_TEST

/* Noise for so many rows of a unit could not be drawn: said by the plan, and not after something was paid
 * for. */
START_TEST(counts_that_cannot_be_made_are_refused_by_the_plan)
{
    static const struct {
        const char *figures, *label;
    } cases[] = {
        {"figures: {share: 0.001, columns: [town]}\n", "\"figures\""},
        {"figures: {share: 0.5, columns: [town], predict: ill, predict_share: 0.001}\n", "\"prediction\""},
        {"figures: {share: 0.03, predict: ill}\n", "\"figures\""},
    };
    static const char *const settings[] = {"privacy.epsilon=0.02", "privacy.delta=1e-6",
                                           "privacy.max_rows_per_unit=1000"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sotto_run_options options = options_for(NULL);
        sotto_error err = {0};
        char *text = NULL;
        put_units("", models[0], cases[i].figures);
        options.settings = settings;
        options.setting_count = 3;
        ck_assert_msg(sotto_run_plan(&options, &text, &err) == SOTTO_ERROR_INPUT, "%zu", i);
        ck_assert_msg(strstr(err.message, cases[i].label) && strstr(err.message, "of 1000 rows") &&
                          strstr(err.message, "lower privacy.max_rows_per_unit"),
                      "%s", err.message);
        ck_assert_int_eq(sotto_run_train(&options, &text, &err), SOTTO_ERROR_INPUT);
        ck_assert(!exists("run"));
        options.setting_count = 2;
        json_decref(plan_of(&options));
    }
}
END_TEST

/* What a sweep costs as a whole would be told of two kinds of unit at once. */
START_TEST(a_sweep_has_one_kind_of_unit)
{
    sotto_sweep sweep;
    sotto_error err = {0};
    const sotto_run_options options = options_for("sweep");
    put_units("", gan, "sweep: {privacy.unit: [row, id]}\n");
    ck_assert_int_eq(sotto_sweep_load(&sweep, &options, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "privacy.unit"));
    sotto_sweep_destroy(&sweep);
    put_units("", gan, "sweep: {privacy.max_rows_per_unit: [1, 3], budget: {epsilon: 50, delta: 0.0034}}\n");
    ck_assert_int_eq(sotto_sweep_load(&sweep, &options, NULL), SOTTO_OK);
    sotto_run_cost *costs;
    ck_assert_int_eq(sotto_sweep_plan(&sweep, &costs, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, "below 1/units") != NULL, "%s", err.message);
    sotto_sweep_destroy(&sweep);
}
END_TEST

/* ---------------------------------------------------------------- the table */

/* Whole units are held out, and of the others no more than so many rows are kept. */
START_TEST(people_are_held_out_with_all_their_rows)
{
    const char *settings[] = {"data.holdout=0.4", "privacy.max_rows_per_unit=2"};
    sotto_run_options options = options_for(NULL);
    options.settings = settings;
    options.setting_count = 2;
    json_decref(train_with(&options, SOTTO_OK));
    json_t *metrics = read_json("run/private/metrics.json");
    const double train = number(metrics, "train_units", NULL), held = number(metrics, "holdout_units", NULL);
    ck_assert_double_eq(train + held, PEOPLE);
    ck_assert_double_gt(held, 0.4 * PEOPLE - 60);
    ck_assert_double_lt(held, 0.4 * PEOPLE + 60);
    ck_assert_double_le(number(metrics, "train_rows", NULL), 2 * train);
    ck_assert_double_gt(number(metrics, "train_rows", NULL), train);
    const json_t *steps = json_object_get(metrics, "steps");
    for (size_t i = 0; i < json_array_size(steps); i++)
        ck_assert_double_le(number(json_array_get(steps, i), "batch", NULL), train);
    json_decref(metrics);
}
END_TEST

/* P3: coins are of people: with three rows each at most the mean batch is still q·units, where coins of rows
 * would make it q·rows, twice as many. Within 6 standard deviations of a mean of 20 (2e-9). */
START_TEST(batches_are_of_people)
{
    put_units(", max_rows_per_unit: 3", gan, "");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    json_t *metrics = read_json("run/private/metrics.json");
    ck_assert_double_eq(number(metrics, "train_rows", NULL), 2 * PEOPLE);
    const json_t *steps = json_object_get(metrics, "steps");
    double mean = 0;
    for (size_t i = 0; i < json_array_size(steps); i++)
        mean += number(json_array_get(steps, i), "batch", NULL) / (double)json_array_size(steps);
    ck_assert_double_lt(fabs(mean - 100), 6 * sqrt(PEOPLE * 2 / 9.0 / 20));
    json_decref(metrics);
}
END_TEST

/* P11: a table with more or fewer people trains; only who reads private/ is told. */
START_TEST(a_table_with_other_people_trains)
{
    put_people(true, "");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    char *log = get("run/private/train.log");
    ck_assert_ptr_nonnull(strstr(log, "301 units and the schema declares 300"));
    free(log);
}
END_TEST

START_TEST(rows_that_are_nobodys_are_refused_or_their_own)
{
    char text[1024];
    put_people(false, ",30,5.5,east,no\n");
    refuse("missing");
    (void)snprintf(text, sizeof text, "%.*sunits: 300, missing: allowed%s",
                   (int)(strstr(people_schema, "units: 300") - people_schema), people_schema,
                   strstr(people_schema, "units: 300") + strlen("units: 300"));
    put("schema.yaml", text);
    put_people(false, ",30,5.5,east,no\nNA,30,5.5,east,no\n");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    json_t *metrics = read_json("run/private/metrics.json");
    ck_assert_double_eq(number(metrics, "train_units", NULL), PEOPLE + 2);
    json_decref(metrics);
    char *statement = get("run/release/privacy.json");
    ck_assert_ptr_nonnull(strstr(statement, "without a value of id"));
    free(statement);
}
END_TEST

/* ------------------------------------------------------------ the statement */

/* P2: what the statement says of each access is for so many rows of a unit; noise of counts is m times what
 * it would be for one. */
START_TEST(the_statement_is_about_people)
{
    put_units(", max_rows_per_unit: 3", models[_i], "figures: {share: 0.2, columns: [town, age]}\n");
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    json_t *statement = read_json("run/release/privacy.json");
    const json_t *promise = json_object_get(statement, "guarantee"), *access;
    ck_assert_ptr_nonnull(
        strstr(json_string_value(json_object_get(promise, "sentence")), "all rows of one unit"));
    ck_assert_ptr_nonnull(
        strstr(json_string_value(json_object_get(promise, "unit")), "however many; 300 such units"));
    ck_assert_str_eq(json_string_value(json_object_get(promise, "adjacency")),
                     "add or remove all rows with one value of id");
    size_t i, counts = 0;
    json_array_foreach(json_object_get(statement, "accesses"), i, access)
    {
        const char *kind = json_string_value(json_object_get(access, "mechanism"));
        const char *sensitivity = json_string_value(json_object_get(access, "sensitivity"));
        if (strcmp(kind, "gaussian") == 0)
            ck_assert_msg(strncmp(sensitivity, "L2 norm 3·√", strlen("L2 norm 3·√")) == 0, "%s", sensitivity);
        else if (strcmp(kind, "exponential") == 0)
            ck_assert_msg(strncmp(sensitivity, "3: each unit", 12) == 0, "%s", sensitivity);
        else if (strstr(models[_i], "scope: generator"))
            ck_assert_msg(strstr(sensitivity, "Each unit is in one of 5 parts") != NULL, "%s", sensitivity);
        else
            ck_assert_msg(strncmp(sensitivity, "each unit's gradient, that of one of its rows,", 46) == 0,
                          "%s", sensitivity);
        counts += strcmp(kind, "gaussian") == 0;
    }
    ck_assert_uint_ge(counts, 2);
    char *text = get("run/release/privacy.json"), *page = get("run/release/privacy.html");
    ck_assert_ptr_nonnull(strstr(text, "3 rows at most"));
    ck_assert_ptr_nonnull(strstr(text, "one person under several values of id"));
    ck_assert_ptr_null(strstr(text, "each row's"));
    ck_assert_ptr_null(strstr(text, "the unit is a row"));
    ck_assert_ptr_nonnull(strstr(page, "all rows with one value of id"));
    ck_assert_ptr_null(strstr(text, sentinel));
    free(text);
    free(page);
    json_decref(statement);
}
END_TEST

/* A name of characters of three bytes, wherever it might be cut; 40 and 90 of them are 120 and 270 bytes. */
static void put_name(char *name, size_t characters)
{
    for (size_t i = 0; i < characters; i++)
        memcpy(name + 3 * i, "\u540d", 3);
    name[3 * characters] = '\0';
}

/* A long name of a column costs neither the statement nor a released file its place there. */
START_TEST(long_names_are_written_whole)
{
    char person[3 * 40 + 1], town[3 * 90 + 1], whole[2048];
    put_name(person, 40);
    put_name(town, 90);
    (void)snprintf(whole, sizeof whole,
                   "data: {table: table.csv, schema: schema.yaml}\n"
                   "privacy: {epsilon: 8.0, delta: 1.0e-5, unit: %s}\n"
                   "model: {type: independent}\nsample: {rows: 30, balance: %s}\noutput: run\n",
                   person, town);
    put("config.yaml", whole);
    (void)snprintf(whole, sizeof whole,
                   "rows: 600\nmissing: NA\ncolumns:\n"
                   "  - {name: %s, type: identifier, units: 300, missing: allowed}\n"
                   "  - {name: %s, type: category, values: [north, south]}\n",
                   person, town);
    put("schema.yaml", whole);
    FILE *table = fopen(at("table.csv"), "w");
    ck_assert_ptr_nonnull(table);
    (void)fprintf(table, "%s,%s\n", person, town);
    for (size_t u = 0; u < PEOPLE; u++)
        (void)fprintf(table, "%zu,north\n%zu,south\nNA,north\n", u, u + PEOPLE);
    ck_assert_int_eq(fclose(table), 0);
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));

    json_t *statement = read_json("run/release/privacy.json");
    const json_t *promise = json_object_get(statement, "guarantee");
    const json_t *released = json_object_get(statement, "released");
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(promise, "unit")), person));
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(promise, "adjacency")), person));
    ck_assert_uint_eq(json_array_size(released), 2);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(released, 0), "file")),
                     "synthetic.csv");
    ck_assert_ptr_nonnull(
        strstr(json_string_value(json_object_get(json_array_get(released, 0), "what")), town));
    char *text = json_dumps(json_object_get(statement, "not_covered"), 0);
    ck_assert_ptr_nonnull(strstr(text, "under several values of \u540d"));
    ck_assert_ptr_nonnull(strstr(text, "without a value of \u540d"));
    free(text);
    text = json_dumps(json_object_get(statement, "uncharged_accesses"), 0);
    ck_assert_ptr_nonnull(strstr(text, "rows with the same value of \u540d"));
    free(text);
    json_decref(statement);
}
END_TEST

/*
 * P12: with frozen noise and a table with one person of nine rows more, of all that lies in release/ nothing
 * differs but what a mechanism made.
 */
START_TEST(a_person_more_differs_only_behind_a_mechanism)
{
    json_t *statements[2];
    char *pages[2], made[2][512] = {"", ""};
    put_units(_i / MODELS ? ", max_rows_per_unit: 4" : "", models[_i % MODELS],
              "figures: {columns: [town, ill]}\n");
    for (size_t i = 0; i < 2; i++) {
        put_people(i == 1, "");
        use_fresh_ledger(i ? "b.db" : "a.db");
        sotto_run_options options = options_for(i ? "b" : "a");
        options.insecure_test_only_seed = true;
        json_decref(train_with(&options, SOTTO_OK));
        statements[i] = read_statement(i ? "b" : "a");
        size_t k, length;
        pages[i] = get_crossed(i ? "b" : "a", "release/privacy.html", &length);
        const json_t *file;
        json_array_foreach(json_object_get(statements[i], "released"), k, file)
        {
            char hash[65], *where;
            (void)snprintf(hash, sizeof hash, "%s", json_string_value(json_object_get(file, "sha256")));
            strncat(made[i], hash, sizeof made[i] - strlen(made[i]) - 1);
            while ((where = strstr(pages[i], hash)))
                memset(where, '-', 64);
            (void)json_object_del((json_t *)file, "sha256");
        }
    }
    ck_assert(json_equal(statements[0], statements[1]));
    ck_assert_str_eq(pages[0], pages[1]);
    ck_assert_str_ne(made[0], made[1]); /* the person was read at all */
    for (size_t i = 0; i < 2; i++) {
        json_decref(statements[i]);
        free(pages[i]);
    }
}
END_TEST

/* What is written of nobody's rows: identifiers reach neither half of the run directory. */
START_TEST(identifiers_are_written_nowhere)
{
    static const char *const files[] = {"run/release/synthetic.csv", "run/release/model.sotto",
                                        "run/release/privacy.json",  "run/private/train.log",
                                        "run/private/metrics.json",  "run/private/config.yaml"};
    sotto_run_options options = options_for(NULL);
    json_decref(train_with(&options, SOTTO_OK));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *bytes = NULL;
        size_t length = 0;
        ck_assert_int_eq(sotto_file_read(at(files[i]), 1 << 26, &bytes, &length, NULL), SOTTO_OK);
        ck_assert_msg(memmem(bytes, length, sentinel, strlen(sentinel)) == NULL, "%s", files[i]);
        free(bytes);
    }
}
END_TEST

TCase *units_tests(void)
{
    TCase *tests = tcase_create("units");
    tcase_add_checked_fixture(tests, set_up_people, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, a_plan_goes_by_the_declared_units);
    tcase_add_loop_test(tests, units_that_cannot_be_are_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tests, a_unit_needs_its_public_number);
    tcase_add_test(tests, counts_that_cannot_be_made_are_refused_by_the_plan);
    tcase_add_test(tests, a_sweep_has_one_kind_of_unit);
    tcase_add_test(tests, people_are_held_out_with_all_their_rows);
    tcase_add_test(tests, batches_are_of_people);
    tcase_add_test(tests, a_table_with_other_people_trains);
    tcase_add_test(tests, rows_that_are_nobodys_are_refused_or_their_own);
    tcase_add_loop_test(tests, the_statement_is_about_people, 0, MODELS);
    tcase_add_loop_test(tests, a_person_more_differs_only_behind_a_mechanism, 0, 2 * MODELS);
    tcase_add_test(tests, long_names_are_written_whole);
    tcase_add_test(tests, identifiers_are_written_nowhere);
    return tests;
}
