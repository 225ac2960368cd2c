/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fidelity against other people's figures, figures worked by hand, and what must hold for any tables. */
#include "test_evaluate_fidelity.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

/* -------------------------------------------------------------------- scenes */

static char *vector_text(const char *name)
{
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    char path[4096], *text;
    size_t length;
    (void)snprintf(path, sizeof path, "%s/tests/vectors/evaluate/fidelity_%s", root ? root : ".", name);
    ck_assert_msg(sotto_file_read(path, 1 << 20, &text, &length, NULL) == SOTTO_OK, "no %s", path);
    return text;
}

static sotto_table *table_of(const sotto_schema *schema, const char *text)
{
    static const sotto_table_options any = {.any_row_count = true};
    char path[] = "/tmp/sotto-test-fidelity-XXXXXX";
    sotto_table *table = NULL;
    sotto_error err = {0};
    const int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(descriptor);
    const sotto_status status = sotto_table_load(&table, schema, path, &any, &err);
    (void)unlink(path);
    ck_assert_msg(status == SOTTO_OK, "line %zu: %s", err.line, err.message);
    return table;
}

void scene_make(scene *made, const char *schema, const char *train, const char *test, const char *synthetic)
{
    sotto_error err = {0};
    memset(made, 0, sizeof *made);
    ck_assert_msg(!sotto_schema_parse(&made->schema, "test.yaml", schema, strlen(schema), &err), "%s",
                  err.message);
    made->tables[0] = table_of(made->schema, train);
    made->tables[1] = test ? table_of(made->schema, test) : NULL;
    made->tables[2] = table_of(made->schema, synthetic);
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&made->random, 7, &err), SOTTO_OK);
    made->evaluation = (sotto_evaluation){.train = made->tables[0],
                                          .test = made->tables[1],
                                          .synthetic = made->tables[2],
                                          .threads = 1,
                                          .random = made->random};
}

void scene_read(scene *made)
{
    char *schema = vector_text("schema.yaml"), *train = vector_text("train.csv");
    char *test = vector_text("test.csv"), *synthetic = vector_text("synthetic.csv");
    scene_make(made, schema, train, test, synthetic);
    free(schema);
    free(train);
    free(test);
    free(synthetic);
}

void scene_free(scene *made)
{
    for (size_t t = 0; t < 3; t++)
        sotto_table_destroy(made->tables[t]);
    sotto_schema_destroy(made->schema);
    sotto_random_destroy(made->random);
}

/* ------------------------------------------------------------------- records */

json_t *record_of(const scene *from)
{
    json_t *record = NULL;
    sotto_error err = {0};
    ck_assert_msg(sotto_evaluate_fidelity(&from->evaluation, &record, &err) == SOTTO_OK, "%s", err.message);
    expect_whole(record);
    return record;
}

static json_t *walk(const json_t *record, char *path)
{
    char *rest = NULL;
    json_t *here = (json_t *)record;
    for (char *key = strtok_r(path, ".", &rest); here && key; key = strtok_r(NULL, ".", &rest))
        here =
            json_is_array(here) ? json_array_get(here, strtoul(key, NULL, 10)) : json_object_get(here, key);
    return here;
}

static json_t *at_path(const json_t *record, const char *format, va_list rest)
{
    char path[256], walked[256];
    (void)vsnprintf(path, sizeof path, format, rest);
    memcpy(walked, path, sizeof walked);
    json_t *found = walk(record, walked);
    EXPECT(found, "nothing at %s", path);
    return found;
}

json_t *at(const json_t *record, const char *path, ...)
{
    va_list rest;
    va_start(rest, path);
    json_t *found = at_path(record, path, rest);
    va_end(rest);
    return found;
}

double number_at(const json_t *record, const char *path, ...)
{
    va_list rest;
    va_start(rest, path);
    const json_t *found = at_path(record, path, rest);
    va_end(rest);
    EXPECT(json_is_number(found), "no number at %s", path);
    return json_number_value(found);
}

void expect_same(const json_t *found, const json_t *wanted, const char *what)
{
    if (json_is_null(wanted)) {
        EXPECT(json_is_null(found), "%s is no null", what);
        return;
    }
    EXPECT(json_is_number(found), "%s is no number", what);
    const double is = json_number_value(found), should = json_number_value(wanted);
    EXPECT(fabs(is - should) <= 1e-9 * fmax(1, fabs(should)), "%s is %.17g, wanted %.17g", what, is, should);
}

/* Null, or a number in [low, 1]. */
static void expect_within(const json_t *value, double low, const char *what)
{
    if (json_is_null(value))
        return;
    const double is = json_number_value(value);
    EXPECT(json_is_number(value) && is >= low && is <= 1, "%s is %.17g", what, is);
}

static void expect_matrix(const json_t *record, const char *path, double low)
{
    const json_t *matrix = at(record, "%s", path);
    const size_t count = json_array_size(matrix);
    for (size_t i = 0; i < count; i++) {
        EXPECT(json_array_size(json_array_get(matrix, i)) == count, "%s is no square", path);
        for (size_t j = 0; j < count; j++) {
            const json_t *cell = at(record, "%s.%zu.%zu", path, i, j);
            expect_within(cell, low, path);
            EXPECT(json_equal(cell, at(record, "%s.%zu.%zu", path, j, i)), "%s is not symmetric", path);
        }
    }
}

static void expect_marginal(const json_t *marginal)
{
    static const char *const sides[] = {"real", "synthetic"};
    const size_t bars = json_array_size(at(marginal, "labels"));
    EXPECT(bars >= 1 && bars <= 24, "%zu bars", bars);
    for (size_t side = 0; side < 2; side++) {
        double sum = 0;
        EXPECT(json_array_size(at(marginal, "%s", sides[side])) == bars, "bars without labels");
        for (size_t i = 0; i < bars; i++)
            sum += number_at(marginal, "%s.%zu", sides[side], i);
        EXPECT(fabs(sum - 1) < 1e-12, "%s shares sum to %.17g", sides[side], sum);
    }
}

void expect_whole(const json_t *record)
{
    static const char *const shares[] = {"similarity",         "adherence",        "coverage",
                                         "missing_similarity", "spike_similarity", "control"};
    const size_t columns = json_array_size(at(record, "columns"));
    for (size_t i = 0; i < columns; i++) {
        const json_t *column = at(record, "columns.%zu", i);
        for (size_t k = 0; k < sizeof shares / sizeof *shares; k++)
            expect_within(at(column, "%s", shares[k]), 0, shares[k]);
        (void)at(column, "wasserstein");
        (void)at(column, "wasserstein_scaled");
        expect_marginal(at(column, "marginal"));
    }
    expect_within(at(record, "overall"), 0, "overall");
    expect_within(at(record, "column_shapes"), 0, "column_shapes");
    expect_within(at(record, "pair_trends"), 0, "pair_trends");
    expect_matrix(record, "correlation.real", -1);
    expect_matrix(record, "correlation.synthetic", -1);
    expect_matrix(record, "contingency.similarity", 0);
    expect_matrix(record, "mutual_information.real", 0);
    expect_matrix(record, "mutual_information.synthetic", 0);
    EXPECT(json_array_size(at(record, "contingency.similarity")) == columns, "columns are left out");
    EXPECT(json_array_size(at(record, "ways")) == (columns < 3 ? columns : 3), "ways are left out");
    for (size_t k = 0; k < json_array_size(at(record, "ways")); k++) {
        expect_within(at(record, "ways.%zu.mean_tvd", k), 0, "mean_tvd");
        expect_within(at(record, "ways.%zu.max_tvd", k), 0, "max_tvd");
        expect_within(at(record, "ways.%zu.control_mean_tvd", k), 0, "control_mean_tvd");
        EXPECT(json_array_size(at(record, "ways.%zu.worst", k)) == k + 1, "the worst of %zu ways", k);
    }
    EXPECT(json_is_object(at(record, "pmse")), "pmse is no object");
}

/* -------------------------------------------------------------- golden figures */

static size_t index_of(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++)
        if (strcmp(json_string_value(json_array_get(names, i)), name) == 0)
            return i;
    ck_abort_msg("no column %s", name);
    return 0;
}

/* A list of [one, other, figure] against a matrix. */
static void expect_pairs(const json_t *record, const json_t *expected, const char *part, const char *key)
{
    const json_t *names = at(record, "%s.columns", part), *pairs = at(expected, "%s.%s", part, key);
    EXPECT(json_array_size(pairs) > 0, "no pairs of %s", part);
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const char *one = json_string_value(at(pairs, "%zu.0", i));
        const char *other = json_string_value(at(pairs, "%zu.1", i));
        expect_same(at(record, "%s.%s.%zu.%zu", part, key, index_of(names, one), index_of(names, other)),
                    at(pairs, "%zu.2", i), other);
    }
}

static void expect_column(const json_t *record, const char *name, json_t *wanted)
{
    const size_t i = index_of(at(record, "contingency.columns"), name);
    ck_assert_str_eq(json_string_value(at(record, "columns.%zu.name", i)), name);
    ck_assert_uint_eq(json_object_size(wanted), 7);
    for (void *k = json_object_iter(wanted); k; k = json_object_iter_next(wanted, k))
        expect_same(at(record, "columns.%zu.%s", i, json_object_iter_key(k)), json_object_iter_value(k),
                    name);
}

START_TEST(agrees_with_others)
{
    scene vectors;
    scene_read(&vectors);
    char *text = vector_text("expected.json");
    json_t *record = record_of(&vectors), *expected = json_loads(text, 0, NULL);
    static const char *const scores[] = {"overall",
                                         "column_shapes",
                                         "pair_trends",
                                         "control.overall",
                                         "control.column_shapes",
                                         "control.pair_trends",
                                         "correlation.similarity",
                                         "contingency.mean",
                                         "mutual_information.mean_difference"};
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++)
        expect_same(at(record, "%s", scores[i]), at(expected, "%s", scores[i]), scores[i]);
    const json_t *names = at(expected, "columns");
    for (void *i = json_object_iter((json_t *)names); i; i = json_object_iter_next((json_t *)names, i))
        expect_column(record, json_object_iter_key(i), json_object_iter_value(i));
    expect_pairs(record, expected, "correlation", "real");
    expect_pairs(record, expected, "correlation", "synthetic");
    expect_pairs(record, expected, "contingency", "similarity");
    expect_pairs(record, expected, "mutual_information", "real");
    expect_pairs(record, expected, "mutual_information", "synthetic");
    for (size_t k = 0; k < 3; k++) {
        static const char *const figures[] = {"k", "sets", "mean_tvd", "max_tvd", "control_mean_tvd"};
        for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
            expect_same(at(record, "ways.%zu.%s", k, figures[i]), at(expected, "ways.%zu.%s", k, figures[i]),
                        figures[i]);
        EXPECT(json_equal(at(record, "ways.%zu.worst", k), at(expected, "ways.%zu.worst", k)), "another set");
    }
    json_decref(record);
    json_decref(expected);
    free(text);
    scene_free(&vectors);
}
END_TEST

/* Train 1 2 3 4, synthetic 2 2 3 8: F − G is ¼ on [1, 2), 0 on [2, 3), 0 on [3, 4), ¼ on [4, 8). */
START_TEST(agrees_with_hand)
{
    scene made;
    scene_make(&made,
               "rows: 4\ncolumns:\n  - {name: x, type: integer, min: 0, max: 10, spikes: [2]}\n"
               "  - {name: c, type: category, values: [a, b, c, d], missing: allowed}\n",
               "x,c\n1,a\n2,a\n3,b\n4,\n", NULL, "x,c\n2,a\n2,c\n3,c\n8,b\n");
    json_t *record = record_of(&made);
    ck_assert(number_at(record, "columns.0.similarity") == 0.75);
    ck_assert(number_at(record, "columns.0.wasserstein") == 1.25);
    ck_assert(number_at(record, "columns.0.wasserstein_scaled") == 0.125);
    ck_assert(number_at(record, "columns.0.adherence") == 0.75);
    ck_assert(fabs(number_at(record, "columns.0.coverage") - 2. / 3) < 1e-15); /* 2 … 4 of 1 … 4 */
    ck_assert(number_at(record, "columns.0.spike_similarity") == 0.75);        /* ¼ against ½ */
    ck_assert(json_is_null(at(record, "columns.0.missing_similarity")));
    /* Present shares ⅔ ⅓ 0 against ¼ ¼ ½; with missing ½ ¼ 0 ¼ against ¼ ¼ ½ 0. */
    ck_assert(fabs(number_at(record, "columns.1.similarity") - 0.5) < 1e-15);
    ck_assert(number_at(record, "columns.1.adherence") == 0.5);
    ck_assert(number_at(record, "columns.1.coverage") == 1);
    ck_assert(number_at(record, "columns.1.missing_similarity") == 0.75);
    ck_assert(number_at(record, "ways.0.max_tvd") == 0.5);
    ck_assert(json_is_null(at(record, "columns.1.control")) && json_is_null(at(record, "control")));
    ck_assert(json_is_null(at(record, "correlation.similarity"))); /* one numeric column has no pair */
    json_decref(record);
    scene_free(&made);
}
END_TEST

/* ------------------------------------------------------------------ properties */

START_TEST(identical_tables_are_perfect)
{
    scene made;
    scene_read(&made);
    made.evaluation.synthetic = made.evaluation.train;
    json_t *record = record_of(&made);
    ck_assert(number_at(record, "overall") == 1);
    ck_assert(number_at(record, "column_shapes") == 1 && number_at(record, "pair_trends") == 1);
    for (size_t i = 0; i < 8; i++) {
        ck_assert(number_at(record, "columns.%zu.similarity", i) == 1);
        ck_assert(number_at(record, "columns.%zu.adherence", i) == 1);
        ck_assert(number_at(record, "columns.%zu.coverage", i) == 1);
        ck_assert(json_equal(at(record, "columns.%zu.marginal.real", i),
                             at(record, "columns.%zu.marginal.synthetic", i)));
        if (i < 5)
            ck_assert(number_at(record, "columns.%zu.wasserstein", i) == 0);
    }
    ck_assert(number_at(record, "correlation.similarity") == 1);
    ck_assert(number_at(record, "contingency.mean") == 1);
    ck_assert(number_at(record, "mutual_information.mean_difference") == 0);
    for (size_t k = 0; k < 3; k++)
        ck_assert(number_at(record, "ways.%zu.max_tvd", k) == 0);
    json_decref(record);
    scene_free(&made);
}
END_TEST

/* A thousand rows in which y follows x and the synthetic table has y turned by a third of the rows: every
 * column alone is perfect, and what they say together is gone. */
START_TEST(a_permuted_target_shows_in_pairs_alone)
{
    enum { ROWS = 999 };
    static char train[ROWS * 16 + 8], synthetic[ROWS * 16 + 8];
    size_t one = (size_t)sprintf(train, "x,y\n"), other = (size_t)sprintf(synthetic, "x,y\n");
    for (int i = 0; i < ROWS; i++) {
        one += (size_t)sprintf(train + one, "%d,%s\n", i, i < ROWS / 3 ? "low" : "high");
        other += (size_t)sprintf(synthetic + other, "%d,%s\n", i,
                                 (i + ROWS / 3) % ROWS < ROWS / 3 ? "low" : "high");
    }
    scene made;
    scene_make(&made,
               "rows: 999\ncolumns:\n  - {name: x, type: integer, min: 0, max: 998}\n"
               "  - {name: y, type: category, values: [low, high]}\n",
               train, NULL, synthetic);
    json_t *record = record_of(&made);
    ck_assert(number_at(record, "column_shapes") == 1);
    ck_assert(number_at(record, "ways.0.max_tvd") == 0);
    ck_assert(number_at(record, "pair_trends") < 0.5);
    ck_assert(number_at(record, "ways.1.max_tvd") > 0.5);
    json_decref(record);
    scene_free(&made);
}
END_TEST

START_TEST(threads_change_nothing)
{
    json_t *records[3];
    for (size_t i = 0; i < 3; i++) {
        scene made;
        scene_read(&made);
        made.evaluation.threads = (unsigned)(1 + i * i * 2);
        records[i] = record_of(&made);
        scene_free(&made);
    }
    ck_assert(json_equal(records[0], records[1]) && json_equal(records[0], records[2]));
    for (size_t i = 0; i < 3; i++)
        json_decref(records[i]);
}
END_TEST

START_TEST(no_threads_are_refused)
{
    scene made;
    json_t *record = NULL;
    sotto_error err = {0};
    scene_read(&made);
    made.evaluation.threads = 0;
    ck_assert_int_eq(sotto_evaluate_fidelity(&made.evaluation, &record, &err), SOTTO_ERROR_INPUT);
    ck_assert(record == NULL && strstr(err.message, "threads"));
    scene_free(&made);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evaluate-fidelity");
    TCase *tests = tcase_create("fidelity");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, agrees_with_others);
    tcase_add_test(tests, agrees_with_hand);
    tcase_add_test(tests, identical_tables_are_perfect);
    tcase_add_test(tests, a_permuted_target_shows_in_pairs_alone);
    tcase_add_test(tests, threads_change_nothing);
    tcase_add_test(tests, no_threads_are_refused);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, codes_case());
    suite_add_tcase(suite, hostility_case());
    return run_suite(suite);
}
