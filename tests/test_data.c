/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The schema: what is read, what is refused, and that its text comes back equal. */
#include <math.h>

#include "test_data.h"

START_TEST(reads_every_setting)
{
    sotto_schema *schema = schema_of(
        "rows: 12\nmissing: \"?\"\ncolumns:\n"
        "  - {name: age, type: integer, min: 17, max: 90}\n"
        "  - {name: bmi, type: number, min: 10, max: 60.5, decimals: 1, missing: allowed, bins: 7}\n"
        "  - {name: cost, type: number, min: 0, max: 99999, scale: log, spikes: [250.25]}\n"
        "  - {name: sex, type: category, values: [f, m, \"other, or none\"], other: \"other, or none\"}\n"
        "  - {name: visit, type: date, min: 1970-01-01, max: 2024-02-29, spikes: [1970-01-02]}\n"
        "  - {name: id, type: identifier}\n");
    ck_assert_uint_eq(schema->rows, 12);
    ck_assert_str_eq(schema->missing, "?");
    ck_assert_uint_eq(schema->column_count, 6);
    const sotto_column *age = &schema->columns[0], *bmi = &schema->columns[1], *cost = &schema->columns[2];
    const sotto_column *sex = &schema->columns[3], *visit = &schema->columns[4], *id = &schema->columns[5];
    ck_assert_int_eq(age->type, SOTTO_COLUMN_INTEGER);
    ck_assert(age->min == 17 && age->max == 90 && age->decimals == 0 && age->bins == 20);
    ck_assert(!age->missing_allowed && !age->log_scale && age->spike_count == 0);
    ck_assert(bmi->missing_allowed && bmi->decimals == 1 && bmi->bins == 7 && bmi->max == 60.5);
    ck_assert(cost->log_scale && cost->decimals == 2);
    /* The minimum of a log column is a spike whether or not it is written. */
    ck_assert_uint_eq(cost->spike_count, 2);
    ck_assert(cost->spikes[0] == 0 && cost->spikes[1] == 250.25);
    ck_assert_uint_eq(sex->value_count, 3);
    ck_assert_uint_eq(sex->other, 2);
    ck_assert_uint_eq(sotto_column_find(sex, "m"), 1);
    ck_assert_uint_eq(sotto_column_find(sex, "x"), SOTTO_NONE);
    ck_assert(visit->min == 0 && visit->max == 19782 && visit->spikes[0] == 1);
    ck_assert_int_eq(id->type, SOTTO_COLUMN_IDENTIFIER);
    ck_assert_uint_eq(sotto_schema_find(schema, "visit"), 4);
    ck_assert_uint_eq(sotto_schema_find(schema, "Visit"), SOTTO_NONE);
    ck_assert_str_eq(sotto_column_type_name(visit->type), "date");
    sotto_schema_destroy(schema);
    sotto_schema_destroy(NULL);
}
END_TEST

/* Each refusal is one column's text, on line 4 of a schema whose marker is "?", or a whole schema. */
static const struct {
    const char *column;
    size_t at; /* column number of the error */
    const char *says;
} bad_columns[] = {
    {"{type: integer, min: 0, max: 1}", 5, "without a name"},
    {"{name: '', type: integer, min: 0, max: 1}", 12, "wanted a text"},
    {"{name: \"a\\nb\", type: integer, min: 0, max: 1}", 12, "control character"},
    {"{name: x, min: 0, max: 1}", 5, "has no type"},
    {"{name: x, type: float, min: 0, max: 1}", 21, "integer, number, category, date or identifier"},
    {"{name: x, type: integer, max: 1}", 5, "has no min"},
    {"{name: x, type: integer, min: 1}", 5, "has no max"},
    {"{name: x, type: integer, min: 2, max: 1}", 43, "below its min"},
    {"{name: x, type: integer, min: 0.5, max: 1}", 35, "whole number"},
    {"{name: x, type: integer, min: nan, max: 1}", 35, "number from"},
    {"{name: x, type: integer, min: 0, max: .inf}", 43, "number from"},
    {"{name: x, type: integer, min: 0, max: 1e400}", 43, "number from"},
    {"{name: x, type: integer, min: 0, max: 1.1e15}", 43, "number from"},
    {"{name: x, type: integer, min: 0, max: \"9\"}", 43, "number from"},
    {"{name: x, type: integer, min: yes, max: 9}", 35, "number from"},
    {"{name: x, type: integer, min: 0, max: 9, typo: 1}", 46, "no setting 'typo'"},
    {"{name: x, type: integer, min: 0, max: 9, decimals: 1}", 46, "no setting 'decimals'"},
    {"{name: x, type: integer, min: 0, max: 9, values: [a]}", 46, "no setting 'values'"},
    {"{name: x, type: integer, min: 0, max: 9, scale: cubic}", 53, "linear or log"},
    {"{name: x, type: integer, min: 0, max: 9, bins: 0}", 52, "1 to 1000"},
    {"{name: x, type: integer, min: 0, max: 9, bins: 1001}", 52, "1 to 1000"},
    {"{name: x, type: integer, min: 0, max: 9, spikes: [10]}", 55, "outside its bounds"},
    {"{name: x, type: integer, min: 0, max: 9, spikes: [-1]}", 55, "outside its bounds"},
    {"{name: x, type: integer, min: 0, max: 9, spikes: [3, 3]}", 58, "twice"},
    {"{name: x, type: integer, min: 0, max: 9, spikes: [0.5]}", 55, "whole number"},
    {"{name: x, type: integer, min: 0, max: 9, spikes: []}", 54, "1 to 100 values"},
    {"{name: x, type: integer, min: 0, max: 9, spikes: 3}", 54, "must be a list"},
    {"{name: x, type: integer, min: 0, max: 9, missing: yes}", 55, "allowed"},
    {"{name: x, type: number, min: 0.001, max: 1}", 34, "more than 2 digits"},
    {"{name: x, type: number, min: 0, max: 1, spikes: [0.005]}", 54, "more than 2 digits"},
    {"{name: x, type: number, min: 0, max: 1, decimals: 10}", 55, "0 to 9"},
    {"{name: x, type: number, min: 0, max: 10000000, decimals: 9}", 42, "number from"},
    {"{name: x, type: category}", 5, "needs values"},
    {"{name: x, type: category, values: []}", 39, "needs values"},
    {"{name: x, type: category, values: a}", 39, "needs values"},
    {"{name: x, type: category, values: [a, b, a]}", 46, "'a' twice"},
    {"{name: x, type: category, values: [a, \"?\"]}", 43, "missing marker"},
    {"{name: x, type: category, values: [a, \"\"]}", 43, "wanted a text"},
    {"{name: x, type: category, values: [a, [b]]}", 43, "wanted a text"},
    {"{name: x, type: category, values: [a], other: b}", 51, "one of its values"},
    {"{name: x, type: category, values: [a], min: 0}", 44, "no setting 'min'"},
    {"{name: x, type: date, min: 2023-02-29, max: 2024-01-01}", 32, "must be a date"},
    {"{name: x, type: date, min: 2024-01-01, max: 2024-13-01}", 49, "must be a date"},
    {"{name: x, type: date, min: 2024-01-01, max: 2024-1-1}", 49, "must be a date"},
    {"{name: x, type: date, min: 0000-01-01, max: 2024-01-01}", 32, "must be a date"},
    {"{name: x, type: date, min: 2024-01-02, max: 2024-01-01}", 49, "below its min"},
    {"{name: x, type: date, min: 2024-01-01, max: 2024-12-31, scale: log}", 61, "no setting 'scale'"},
    {"{name: x, type: identifier, min: 0}", 33, "no setting 'min'"},
    {"{name: x, type: identifier, missing: allowed}", 42, "without `units`"},
    {"{name: x, type: identifier}", 3, "nothing to model"},
    {"[x, integer]", 5, "wanted a map"},
};

static void expect_refusal(const char *text, size_t line, size_t column, const char *says)
{
    sotto_schema *schema = NULL;
    sotto_error err = {0};
    sotto_status status = sotto_schema_parse(&schema, "test.yaml", text, strlen(text), &err);
    ck_assert_msg(status == SOTTO_ERROR_INPUT, "accepted: %s", text);
    ck_assert_msg(strstr(err.message, says), "'%s' does not say '%s'", err.message, says);
    ck_assert_str_eq(err.file, "test.yaml");
    ck_assert_msg(err.line == line && err.column == column, "%s: at %zu:%zu, wanted %zu:%zu", err.message,
                  err.line, err.column, line, column);
    ck_assert_ptr_null(schema);
}

START_TEST(refuses_impossible_columns)
{
    char text[512];
    snprintf(text, sizeof text, "rows: 1\nmissing: \"?\"\ncolumns:\n  - %s\n", bad_columns[_i].column);
    expect_refusal(text, 4, bad_columns[_i].at, bad_columns[_i].says);
}
END_TEST

START_TEST(refuses_impossible_schemas)
{
#define COLUMN "  - {name: x, type: integer, min: 0, max: 9}\n"
    expect_refusal("[1, 2]\n", 1, 1, "wanted a map");
    expect_refusal("columns:\n" COLUMN, 1, 1, "rows is missing");
    expect_refusal("rows: 0\ncolumns:\n" COLUMN, 1, 7, "from 1 to");
    expect_refusal("rows: 4294967295\ncolumns:\n" COLUMN, 1, 7, "from 1 to");
    expect_refusal("rows: 1.5\ncolumns:\n" COLUMN, 1, 7, "whole number");
    expect_refusal("rows: {private: true, epsilon: 0.01}\ncolumns:\n" COLUMN, 1, 7, "public row count");
    expect_refusal("rows: 1\n", 1, 1, "columns must list");
    expect_refusal("rows: 1\ncolumns: []\n", 2, 10, "columns must list");
    expect_refusal("rows: 1\ncolumns: {x: 1}\n", 2, 10, "columns must list");
    expect_refusal("rows: 1\nmissing: [a]\ncolumns:\n" COLUMN, 2, 10, "marks a missing cell");
    expect_refusal("rows: 1\nmissing: \"a\\n\"\ncolumns:\n" COLUMN, 2, 10, "marks a missing cell");
    expect_refusal("rows: 1\ncolum:\n" COLUMN, 2, 1, "did you mean columns?");
    expect_refusal("rows: 1\ncolumns:\n" COLUMN COLUMN, 4, 12, "declared twice");
    /* A marker that is also a value of the column could not be told from it. */
    expect_refusal("rows: 1\nmissing: \"9.0\"\ncolumns:\n" COLUMN, 4, 5, "the missing marker is a value");
    expect_refusal("rows: 1\nmissing: 2024-01-01\ncolumns:\n"
                   "  - {name: d, type: date, min: 2023-01-01, max: 2024-12-31}\n",
                   4, 5, "the missing marker is a value");
    sotto_schema_destroy(schema_of("rows: 1\nmissing: \"-9\"\ncolumns:\n" COLUMN));
}
END_TEST

static void expect_equal(const sotto_column *a, const sotto_column *b)
{
    ck_assert_str_eq(a->name, b->name);
    ck_assert_int_eq(a->type, b->type);
    ck_assert_int_eq(a->missing_allowed, b->missing_allowed);
    ck_assert_int_eq(a->log_scale, b->log_scale);
    ck_assert_uint_eq(a->decimals, b->decimals);
    ck_assert_uint_eq(a->bins, b->bins);
    ck_assert(a->min == b->min && a->max == b->max);
    ck_assert_uint_eq(a->spike_count, b->spike_count);
    for (size_t i = 0; i < a->spike_count; i++)
        ck_assert(a->spikes[i] == b->spikes[i]);
    ck_assert_uint_eq(a->value_count, b->value_count);
    for (size_t i = 0; i < a->value_count; i++)
        ck_assert_str_eq(a->values[i], b->values[i]);
    ck_assert_uint_eq(a->other, b->other);
}

START_TEST(its_text_reads_back_equal)
{
    sotto_schema *schema = schema_of(
        "rows: 7\nmissing: \"n/a, \\\" unknown\"\ncolumns:\n"
        "  - {name: 'a \"b\", c', type: integer, min: -999999999999999, max: 1000000000000000, bins: 1000}\n"
        "  - {name: yes, type: number, min: -0.000000001, max: 999999.999999999, decimals: 9, spikes: [-0, "
        "0.3]}\n"
        "  - {name: cost, type: number, min: -2.5, max: 9.75, scale: log, missing: allowed}\n"
        "  - name: categories\n    type: category\n    other: \"no\"\n"
        "    values: [\"no\", yes, '1', '1.0', null, ~, 'a: b', ' blank ', \"tab\\t\", \"line\\nbreak\", "
        "\"\\x85\",\n"
        "             \"a \\u2028 b\", \"\\uFEFF\", \"\\x7f\", \"\\x90\", ü, 日本, \"\\U0001F600\", '#', '- "
        "x', "
        "'\\', \"'\"]\n"
        "  - {name: visit, type: date, min: 0001-01-01, max: 9999-12-31, spikes: [2000-02-29], bins: 3}\n"
        "  - {name: Ünïcode, type: identifier}\n");
    char *once = NULL, *twice = NULL;
    ck_assert_int_eq(sotto_schema_format(schema, &once, NULL), SOTTO_OK);
    ck_assert_ptr_nonnull(strstr(once, "\"\\uFEFF\"")); /* what cannot be seen is spelled out */
    sotto_schema *again = schema_of(once);
    ck_assert_int_eq(sotto_schema_format(again, &twice, NULL), SOTTO_OK);
    ck_assert_str_eq(once, twice);
    ck_assert_uint_eq(schema->rows, again->rows);
    ck_assert_str_eq(schema->missing, again->missing);
    ck_assert_uint_eq(schema->column_count, again->column_count);
    for (size_t i = 0; i < schema->column_count; i++)
        expect_equal(&schema->columns[i], &again->columns[i]);
    free(once);
    free(twice);
    sotto_schema_destroy(schema);
    sotto_schema_destroy(again);
}
END_TEST

START_TEST(points_print_and_read_alike)
{
    static const struct {
        double value;
        unsigned decimals;
        const char *text;
    } cases[] = {{0, 0, "0"},
                 {-5, 0, "-5"},
                 {0.05, 2, "0.05"},
                 {-0.05, 2, "-0.05"},
                 {1234.5, 2, "1234.50"},
                 {1e15, 0, "1000000000000000"},
                 {0.285, 3, "0.285"},
                 {-1e6, 9, "-1000000.000000000"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t point;
        char text[SOTTO_CELL_SIZE + 1] = {0};
        double back;
        ck_assert(sotto_grid_point(cases[i].value, cases[i].decimals, &point));
        text[sotto_cell_format_point(point, cases[i].decimals, text)] = '\0';
        ck_assert_str_eq(text, cases[i].text);
        ck_assert(sotto_cell_number(text, &back) && back == cases[i].value);
    }
    int64_t point;
    ck_assert(!sotto_grid_point(0.001, 2, &point));
    ck_assert(!sotto_grid_point(1e16, 0, &point));
    ck_assert(!sotto_grid_point(NAN, 0, &point));
    ck_assert(!sotto_grid_point(INFINITY, 0, &point));
}
END_TEST

/* Every day of the calendar, counted one by one. */
START_TEST(dates_are_the_calendar)
{
    int64_t days, first;
    char text[SOTTO_CELL_SIZE + 1] = {0};
    ck_assert(sotto_cell_date("0001-01-01", &first) && sotto_cell_date("1970-01-01", &days) && days == 0);
    ck_assert(sotto_cell_date("9999-12-31", &days) && days == 2932896);
    int year = 1, month = 1, day = 1;
    for (int64_t at = first; at <= 2932896; at++) {
        char wanted[40];
        snprintf(wanted, sizeof wanted, "%04d-%02d-%02d", year, month, day);
        EXPECT(sotto_cell_format_date(at, text) == 10 && strcmp(text, wanted) == 0, "%s, not %s", text,
               wanted);
        EXPECT(sotto_cell_date(text, &days) && days == at, "%s read as %lld", text, (long long)days);
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        int length = month == 2 ? 28 + leap : 30 + ((month + month / 8) & 1);
        if (++day > length) {
            day = 1;
            month = month % 12 + 1;
            year += month == 1;
        }
    }
    static const char *const bad[] = {"2023-02-29", "1900-02-29",  "2024-00-10", "2024-04-31",  "2024-01-00",
                                      "24-01-01",   "2024-01-1",   "2024/01/01", "2024-01-01 ", " 2024-01-01",
                                      "",           "2024-01-011", "+024-01-01"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!sotto_cell_date(bad[i], &days), "accepted %s", bad[i]);
}
END_TEST

START_TEST(the_bundled_schemas_are_sound)
{
    static const char *const paths[] = {"configs/adult.schema.yaml", "configs/quickstart/clinic.schema.yaml"};
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", root ? root : ".", paths[i]);
        sotto_schema *schema = NULL;
        sotto_error err = {0};
        ck_assert_msg(sotto_schema_load(&schema, path, &err) == SOTTO_OK, "%s:%zu: %s", err.file, err.line,
                      err.message);
        sotto_schema_destroy(schema);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data");
    TCase *schema = tcase_create("schema");
    tcase_set_timeout(schema, 60);
    tcase_add_test(schema, reads_every_setting);
    tcase_add_loop_test(schema, refuses_impossible_columns, 0, sizeof bad_columns / sizeof *bad_columns);
    tcase_add_test(schema, refuses_impossible_schemas);
    tcase_add_test(schema, its_text_reads_back_equal);
    tcase_add_test(schema, points_print_and_read_alike);
    tcase_add_test(schema, dates_are_the_calendar);
    tcase_add_test(schema, the_bundled_schemas_are_sound);
    suite_add_tcase(suite, schema);
    return run_suite(suite);
}
