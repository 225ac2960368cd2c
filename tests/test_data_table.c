/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading tables: CSV in all its forms, what is refused and where, what is mapped and counted, and that no
 * message ever holds a cell (contract rule P15). */
#include <math.h>
#include <zlib.h>

#include "test_data.h"

/* A text that stands in every bad cell below and must never come out again. */
#define SECRET "XyZZy"

static const char people[] =
    "rows: 3\nmissing: \"?\"\ncolumns:\n"
    "  - {name: age, type: integer, min: 17, max: 90}\n"
    "  - {name: pay, type: number, min: 0, max: 1000, missing: allowed}\n"
    "  - {name: job, type: category, values: [clerk, cook, \"a, \\\"b\\\"\", rest], other: rest}\n"
    "  - {name: day, type: date, min: 2020-01-01, max: 2020-12-31, missing: allowed}\n"
    "  - {name: town, type: category, values: [Ulm, Bonn], missing: allowed}\n"
    "  - {name: id, type: identifier}\n";

#define HEADER "age,pay,job,day,town,id\n"
#define GOOD   "20,1.5,clerk,2020-02-29,Ulm,1\n"

static const sotto_table_options any = {.any_row_count = true};
static const sotto_table_options strict = {.any_row_count = true, .strict = true};

static sotto_table *load(const sotto_schema *schema, const char *text)
{
    sotto_table *table = NULL;
    sotto_error err = {0};
    sotto_status status = load_bytes(&table, schema, text, strlen(text), &any, &err);
    ck_assert_msg(status == SOTTO_OK, "line %zu: %s", err.line, err.message);
    return table;
}

START_TEST(reads_cells_of_every_type)
{
    sotto_schema *schema = schema_of(people);
    sotto_table *table = load(schema, "id,town,day,job,pay,age\n"
                                      "7,Bonn,2020-12-31,\"a, \"\"b\"\"\",1e2,40.0\n"
                                      "8,?,,cook,?,+17\n"
                                      "9, Ulm ,2020-01-01,\t\"clerk\" ,\"0.25\",9e1\n");
    ck_assert_uint_eq(sotto_table_rows(table), 3);
    ck_assert_ptr_eq(sotto_table_schema(table), schema);
    ck_assert(sotto_table_number(table, 0, 0) == 40 && sotto_table_number(table, 1, 0) == 17);
    ck_assert(sotto_table_number(table, 2, 0) == 90);
    ck_assert(sotto_table_number(table, 0, 1) == 100 && sotto_table_number(table, 2, 1) == 0.25);
    ck_assert(sotto_table_missing(table, 1, 1) && isnan(sotto_table_number(table, 1, 1)));
    ck_assert_uint_eq(sotto_table_category(table, 0, 2), 2);
    ck_assert_uint_eq(sotto_table_category(table, 1, 2), 1);
    ck_assert_uint_eq(sotto_table_category(table, 2, 2), 0);
    ck_assert(sotto_table_number(table, 0, 3) - sotto_table_number(table, 2, 3) == 365);
    ck_assert(sotto_table_missing(table, 1, 3) && !sotto_table_missing(table, 0, 3));
    ck_assert_uint_eq(sotto_table_category(table, 1, 4), SOTTO_NONE);
    ck_assert(sotto_table_missing(table, 1, 4));
    ck_assert_uint_eq(sotto_table_category(table, 2, 4), 0);
    ck_assert(sotto_table_missing(table, 0, 5));
    for (size_t i = 0; i < 6; i++)
        ck_assert_uint_eq(sotto_table_counts(table, i)->first_line, 0);
    ck_assert_uint_eq(sotto_table_counts(table, 1)->missing, 1);
    sotto_table_destroy(table);
    sotto_table_destroy(NULL);
    sotto_schema_destroy(schema);
}
END_TEST

/* The same three rows, however they are dressed. */
START_TEST(reads_every_dressing)
{
    static const char *const texts[] = {
        HEADER GOOD GOOD GOOD,
        HEADER GOOD GOOD "20,1.5,clerk,2020-02-29,Ulm,1", /* no last line end */
        "age,pay,job,day,town,id\r\n20,1.5,clerk,2020-02-29,Ulm,1\r\n20,1.5,clerk,2020-02-29,Ulm,1\r\n"
        "20,1.5,clerk,2020-02-29,Ulm,1\r\n",
        "age,pay,job,day,town,id\r20,1.5,clerk,2020-02-29,Ulm,1\r20,1.5,clerk,2020-02-29,Ulm,1\r"
        "20,1.5,clerk,2020-02-29,Ulm,1\r",
        "\xEF\xBB\xBF" HEADER GOOD GOOD GOOD,
        "\xEF\xBB\xBF\"age\",\"pay\",\"job\",\"day\",\"town\",\"id\"\n" GOOD GOOD GOOD,
        SOTTO_CSV_STAMP "made with a fixed seed, \"for\" tests\n" HEADER GOOD GOOD GOOD, /* P9 */
        "\xEF\xBB\xBF" SOTTO_CSV_STAMP "tests\r\n" HEADER GOOD GOOD GOOD,
        SOTTO_CSV_STAMP
        "tests\rage,pay,job,day,town,id\r20,1.5,clerk,2020-02-29,Ulm,1\r20,1.5,clerk,2020-02-29,Ulm,1"
        "\r20,1.5,clerk,2020-02-29,Ulm,1\n",
        "\n\n" HEADER "\r\n" GOOD "\n  \n" GOOD GOOD "\n\n",
        HEADER "\"20\",\"1.5\",\"clerk\",\"2020-02-29\",\"Ulm\",\"1\n2\"\n" GOOD GOOD,
        "age, pay, job, day, town, id\n20, 1.5, clerk, 2020-02-29, Ulm, 1\n" GOOD GOOD,
    };
    sotto_schema *schema = schema_of(people);
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        const bool stamped = strstr(texts[t], SOTTO_CSV_STAMP) != NULL;
        sotto_table *table = NULL;
        sotto_error err = {0};
        ck_assert_msg(load_bytes(&table, schema, texts[t], strlen(texts[t]), NULL, &err) == SOTTO_OK,
                      "text %zu, line %zu: %s", t, err.line, err.message);
        ck_assert_int_eq(sotto_table_stamped(table), stamped);
        ck_assert_uint_eq(sotto_table_rows(table), 3);
        for (size_t row = 0; row < 3; row++) {
            ck_assert(sotto_table_number(table, row, 0) == 20 && sotto_table_number(table, row, 1) == 1.5);
            ck_assert_uint_eq(sotto_table_category(table, row, 2), 0);
            ck_assert(sotto_table_number(table, row, 3) == 18321);
            ck_assert_uint_eq(sotto_table_category(table, row, 4), 0);
        }
        sotto_table_destroy(table);
    }
    sotto_schema_destroy(schema);
}
END_TEST

static char *gzip_of(const char *text, size_t length)
{
    char *path = file_of("", 0);
    gzFile file = gzopen(path, "wb");
    ck_assert_int_eq(gzwrite(file, text, (unsigned)length), (int)length);
    gzclose(file);
    return path;
}

START_TEST(reads_gzip_and_refuses_a_cut_one)
{
    sotto_schema *schema =
        schema_of("rows: 20000\ncolumns:\n  - {name: x, type: integer, min: 0, max: 99999}\n");
    char *text = malloc(20000 * 6 + 3), *at = text + sprintf(text, "x\n");
    for (int i = 0; i < 20000; i++)
        at += sprintf(at, "%05d\n", (int)((unsigned)i * 7919u % 99991u));
    char *path = gzip_of(text, (size_t)(at - text));
    sotto_table *table = NULL;
    sotto_error err = {0};
    char hex[65];
    ck_assert_msg(sotto_table_load(&table, schema, path, NULL, &err) == SOTTO_OK, "%s", err.message);
    ck_assert(sotto_table_number(table, 19999, 0) == 19999u * 7919u % 99991u);
    sotto_sha256_hex(text, (size_t)(at - text), hex);
    ck_assert_str_eq(sotto_table_sha256(table), hex); /* of what was packed */
    ck_assert_int_eq(sotto_table_file_sha256(path, hex, NULL), SOTTO_OK);
    ck_assert_str_eq(sotto_table_sha256(table), hex);
    sotto_table_destroy(table);
    ck_assert_int_eq(truncate(path, 20000), 0);
    ck_assert_int_eq(sotto_table_load(&table, schema, path, &any, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, "broken or cut short"), "%s", err.message);
    FILE *file = fopen(path, "r+b");
    fseek(file, 5000, SEEK_SET);
    fwrite("garbage garbage garbage", 1, 23, file);
    fclose(file);
    ck_assert_int_eq(sotto_table_load(&table, schema, path, &any, &err), SOTTO_ERROR_INPUT);
    drop_file(path);
    free(text);
    sotto_schema_destroy(schema);
}
END_TEST

/* What is refused, at which line and cell, and what the message says. */
static const struct {
    const char *text;
    size_t length; /* 0: strlen */
    size_t line, cell;
    const char *says;
} refusals[] = {
    {"", 0, 0, 0, "empty"},
    {"\n\n", 0, 0, 0, "empty"},
    {HEADER, 0, 0, 0, "no rows"},
    {HEADER GOOD GOOD, 0, 0, 0, "2 rows, but the schema declares rows: 3"},
    {HEADER GOOD GOOD GOOD GOOD GOOD, 0, 0, 0, "5 rows, but the schema declares rows: 3"},
    /* headers */
    {"age,pay,job,day,town\n", 0, 1, 0, "does not name column 'id'"},
    {"age,pay,job,day,town,id,wage\n", 0, 1, 7, "'wage', is no column"},
    {"age,pay,job,day,Town,id\n", 0, 1, 5, "'Town', is no column"},
    {"age,pay,job,day,age,id\n", 0, 1, 5, "'age', stands there twice"},
    {"age,pay,job,day,\x1b[31m,id\n", 0, 1, 5, "'?[31m', is no column"},
    {SECRET "," SECRET ",3\n", 0, 1, 0, "0 name columns of the schema; the table must begin with a header"},
    {"age," SECRET "," SECRET "\n", 0, 1, 0, "of which 1 name"},
    {"age;pay;job;day;town;id\n", 0, 1, 0, "commas between"},
    /* rows */
    {HEADER GOOD "20,1.5,clerk,2020-02-29," SECRET "\n", 0, 3, 0, "5 cells in this row; wanted 6"},
    {HEADER GOOD "20,1.5,clerk,2020-02-29,Ulm,1," SECRET "\n", 0, 3, 0, "7 cells in this row; wanted 6"},
    {HEADER GOOD SECRET "\n", 0, 3, 0, "1 cells in this row"},
    {HEADER "\"2\n0\",1,cook,,,\n", 0, 2, 1, "not a number"},
    {HEADER "\n  \n" GOOD "\r\n\r" SECRET ",1,cook,,,\n", 0, 7, 1, "not a number"},
    {HEADER "20,1,cook,,,\"1\n\n2\"\n20," SECRET ",cook,,,\n", 0, 5, 2, "not a number"},
    {HEADER GOOD "20,1.5,cl\"" SECRET "\n", 0, 3, 0, "a quote inside a cell"},
    {HEADER GOOD "20,\"1.5\"" SECRET ",clerk\n", 0, 3, 0, "text after a closing quote"},
    {HEADER GOOD "20,1.5,\"" SECRET "\n" GOOD GOOD GOOD, 0, 3, 0, "never closed"},
    {HEADER GOOD "20,1.5,\"" SECRET, 0, 3, 0, "never closed"},
    {HEADER GOOD SECRET "\0" GOOD, sizeof(HEADER GOOD SECRET "\0" GOOD) - 1, 3, 0, "NUL"},
    {"\xFF\xFE"
     "a\0g\0e\0",
     8, 1, 0, "UTF-16"},
    /* cells */
    {HEADER SECRET ",1,cook,,,\n", 0, 2, 1,
     "cell 1, column 'age': not a number, but the schema declares integer"},
    {HEADER "20," SECRET ",cook,,,\n", 0, 2, 2, "column 'pay': not a number"},
    {HEADER "20.5,1,cook,,,\n", 0, 2, 1, "not a whole number"},
    {HEADER "0x14,1,cook,,,\n", 0, 2, 1, "not a number"},
    {HEADER "1 0,1,cook,,,\n", 0, 2, 1, "not a number"},
    {HEADER "20,\"1,5\",cook,,,\n", 0, 2, 2, "not a number"},
    {HEADER "20,1," SECRET ",2020-02-30,,\n", 0, 2, 4, "not a date"},
    {HEADER "20,1,cook," SECRET ",,\n", 0, 2, 4, "not a date"},
    {HEADER "20,1,cook,nan,,\n", 0, 2, 4, "not a date"},
    {HEADER ",1,cook,,,\n", 0, 2, 1, "column 'age': missing"},
    {HEADER "?,1,cook,,,\n", 0, 2, 1, "column 'age': missing"},
    {HEADER "\"\",1,cook,,,\n", 0, 2, 1, "column 'age': missing"},
    {HEADER "20,1,?,,,\n", 0, 2, 3, "column 'job': missing"},
};

START_TEST(refuses_at_the_right_place_without_quoting)
{
    sotto_schema *schema = schema_of(people);
    sotto_table *table = NULL;
    sotto_error err = {0};
    const char *text = refusals[_i].text;
    size_t length = refusals[_i].length ? refusals[_i].length : strlen(text);
    sotto_status status = load_bytes(&table, schema, text, length, NULL, &err);
    ck_assert_msg(status == SOTTO_ERROR_INPUT, "accepted: %s", text);
    ck_assert_msg(strstr(err.message, refusals[_i].says), "'%s' does not say '%s'", err.message,
                  refusals[_i].says);
    ck_assert_msg(!strstr(err.message, SECRET), "quotes a cell: %s", err.message);
    ck_assert_msg(err.line == refusals[_i].line && err.column == refusals[_i].cell,
                  "%s: at %zu:%zu, wanted %zu:%zu", err.message, err.line, err.column, refusals[_i].line,
                  refusals[_i].cell);
    ck_assert_ptr_null(table);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(refuses_undeclared_categories_without_a_home)
{
    sotto_schema *schema = schema_of("rows: 1\ncolumns:\n  - {name: x, type: category, values: [a, b]}\n");
    static const char *const bad[] = {"x\n" SECRET "\n", "x\nA\n", "x\n\"a \"\n", "x\n\xff\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sotto_table *table = NULL;
        sotto_error err = {0};
        ck_assert_int_eq(load_bytes(&table, schema, bad[i], strlen(bad[i]), NULL, &err), SOTTO_ERROR_INPUT);
        ck_assert_ptr_nonnull(strstr(err.message, "none of the declared ones"));
        ck_assert_ptr_null(strstr(err.message, SECRET));
        ck_assert_uint_eq(err.line, 2);
    }
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(refuses_files_that_are_none)
{
    sotto_schema *schema = schema_of(people);
    sotto_table *table = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_table_load(&table, schema, "/nowhere/at/all.csv", NULL, &err), SOTTO_ERROR_INPUT);
    ck_assert_str_eq(err.file, "/nowhere/at/all.csv");
    ck_assert_int_eq(sotto_table_load(&table, schema, "/tmp", NULL, &err), SOTTO_ERROR_INPUT);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(refuses_rows_without_end)
{
    sotto_schema *schema = schema_of(people);
    size_t size = 3 << 20;
    char *text = malloc(size);
    memset(text, 'x', size);
    memcpy(text, HEADER "20,1,\"", sizeof HEADER "20,1,\"" - 1);
    sotto_table *table = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(load_bytes(&table, schema, text, size, NULL, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "longer than 1 MiB"));
    ck_assert_uint_eq(err.line, 2);
    memset(text, ',', size);
    memcpy(text, HEADER, sizeof HEADER - 1);
    ck_assert_int_eq(load_bytes(&table, schema, text, size, NULL, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "20,000 cells"));
    free(text);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(clamps_maps_and_counts)
{
    sotto_schema *schema = schema_of(people);
    sotto_table *table = load(schema, HEADER "16,-inf,zebra,2019-12-31,Rome,\n"
                                             "1e308,Infinity,cook,2021-01-01,Ulm,\n"
                                             "NaN,-1e308,rest,9999-12-31,Bonn,\n"
                                             "17,nan,clerk,,?,\n"
                                             "-1e999,1e999,yak,2020-06-01,Oslo,\n"
                                             "90,1000.0000001,cook,2020-06-01,Ulm,\n");
    static const double ages[] = {17, 90, 17, 17, 17, 90}, pays[] = {0, 1000, 0, NAN, 1000, 1000};
    static const size_t jobs[] = {3, 1, 3, 0, 3, 1}, towns[] = {SOTTO_NONE, 0, 1, SOTTO_NONE, SOTTO_NONE, 0};
    for (size_t row = 0; row < 6; row++) {
        double pay = sotto_table_number(table, row, 1);
        ck_assert(sotto_table_number(table, row, 0) == ages[row]);
        ck_assert(pay == pays[row] || (isnan(pay) && isnan(pays[row])));
        ck_assert_uint_eq(sotto_table_category(table, row, 2), jobs[row]);
        ck_assert_uint_eq(sotto_table_category(table, row, 4), towns[row]);
    }
    ck_assert(sotto_table_number(table, 0, 3) == schema->columns[3].min);
    ck_assert(sotto_table_number(table, 1, 3) == schema->columns[3].max);
    static const sotto_column_counts wanted[] = {
        {.clamped_low = 2, .clamped_high = 1, .not_a_number = 1, .first_line = 2},
        {.clamped_low = 2, .clamped_high = 3, .not_a_number = 1, .missing = 1, .first_line = 2},
        {.undeclared = 2, .first_line = 2},
        {.clamped_low = 1, .clamped_high = 2, .missing = 1, .first_line = 2},
        {.undeclared = 2, .missing = 3, .first_line = 2},
        {0},
    };
    for (size_t i = 0; i < 6; i++)
        ck_assert_msg(memcmp(sotto_table_counts(table, i), &wanted[i], sizeof *wanted) == 0, "column %zu", i);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(strict_reports_what_would_be_mapped)
{
    sotto_schema *schema = schema_of(people);
    sotto_table *table = NULL;
    sotto_error err = {0};
    const char *text = HEADER GOOD "20,1,cook,,,\n91,1," SECRET ",,,\n92,NaN,cook,2019-01-01,Ulm,\n";
    ck_assert_int_eq(load_bytes(&table, schema, text, strlen(text), &strict, &err), SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message,
                                 "in 4 columns: 'age' 2 (first on line 4), 'pay' 1 (first on line 5), "
                                 "'job' 1 (first on line 4), 'day' 1 (first on line 5)"));
    ck_assert_uint_eq(err.line, 4);
    ck_assert_ptr_null(strstr(err.message, SECRET));
    ck_assert_int_eq(load_bytes(&table, schema, HEADER GOOD, strlen(HEADER GOOD), &strict, &err), SOTTO_OK);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

/* 300 categories take two bytes each, and wide integers eight. */
START_TEST(stores_what_needs_more_bytes)
{
    char *yaml = malloc(1 << 16), *at = yaml;
    at += sprintf(
        at, "rows: 300\ncolumns:\n"
            "  - {name: n, type: integer, min: -1000000000000000, max: 1000000000000000, missing: allowed}\n"
            "  - {name: m, type: integer, min: -2147483648, max: 2147483647, missing: allowed}\n"
            "  - {name: c, type: category, missing: allowed, values: [c0");
    for (int i = 1; i < 300; i++)
        at += sprintf(at, ", c%d", i);
    sprintf(at, "]}\n");
    sotto_schema *schema = schema_of(yaml);
    at = yaml + sprintf(yaml, "n,m,c\n");
    for (int i = 0; i < 300; i++)
        at += sprintf(at, "%lld,-2147483648,%s%.0d\n", -1000000000000000LL + i, i ? "c" : "", i);
    sotto_table *table = load(schema, yaml);
    ck_assert(sotto_table_missing(table, 0, 2));
    for (size_t i = 0; i < 300; i++) {
        ck_assert(sotto_table_number(table, i, 0) == -1e15 + (double)i);
        ck_assert(sotto_table_number(table, i, 1) == -2147483648.0);
        ck_assert_uint_eq(sotto_table_category(table, i, 2), i ? i : SOTTO_NONE);
    }
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
    free(yaml);
}
END_TEST

/* More rows than one growth step and one read buffer, with line ends at every place of the buffer's edge. */
START_TEST(survives_buffer_edges)
{
    sotto_schema *schema =
        schema_of("rows: 30000\ncolumns:\n  - {name: x, type: integer, min: 0, max: 99999}\n"
                  "  - {name: t, type: identifier}\n");
    char *text = malloc(30000 * 20 + 10);
    for (size_t shift = 0; shift < 12; shift++) {
        char *at = text + sprintf(text, "x,t\r\n");
        for (int i = 0; i < 30000; i++)
            at += sprintf(at, "%d,\"%.*s\"\"\r\n\"\r\n", i, i ? 0 : (int)shift, "aaaaaaaaaaaa");
        sotto_table *table = NULL;
        sotto_error err = {0};
        ck_assert_msg(load_bytes(&table, schema, text, (size_t)(at - text), NULL, &err) == SOTTO_OK,
                      "%zu: %s", err.line, err.message);
        for (size_t i = 0; i < 30000; i++)
            EXPECT(sotto_table_number(table, i, 0) == (double)i, "row %zu", i);
        sotto_table_destroy(table);
        /* Two lines a row: the bad one's line must still be right. */
        sprintf(at, "oops,\r\n");
        ck_assert_int_eq(load_bytes(&table, schema, text, strlen(text), &any, &err), SOTTO_ERROR_INPUT);
        ck_assert_uint_eq(err.line, 60002);
    }
    free(text);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(reads_adult_where_it_lies)
{
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    char table_path[4096], schema_path[4096];
    snprintf(table_path, sizeof table_path, "%s/../shared/data/adult/adult_train.csv", root ? root : ".");
    snprintf(schema_path, sizeof schema_path, "%s/configs/adult.schema.yaml", root ? root : ".");
    if (access(table_path, R_OK) != 0) {
        printf("skipped: no Adult table beside this clone\n");
        return;
    }
    sotto_schema *schema = NULL;
    sotto_table *table = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(sotto_schema_load(&schema, schema_path, NULL), SOTTO_OK);
    const sotto_table_options declared = {.strict = true};
    ck_assert_msg(sotto_table_load(&table, schema, table_path, &declared, &err) == SOTTO_OK, "%zu: %s",
                  err.line, err.message);
    ck_assert_uint_eq(sotto_table_counts(table, sotto_schema_find(schema, "workclass"))->missing, 1836);
    ck_assert_uint_eq(sotto_table_counts(table, sotto_schema_find(schema, "native-country"))->missing, 583);
    size_t rich = 0, income = sotto_schema_find(schema, "income");
    for (size_t i = 0; i < sotto_table_rows(table); i++)
        rich += strcmp(schema->columns[income].values[sotto_table_category(table, i, income)], ">50K") == 0;
    ck_assert_uint_eq(rich, 7841);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data-table");
    TCase *table = tcase_create("table");
    tcase_set_timeout(table, 120);
    tcase_add_test(table, reads_cells_of_every_type);
    tcase_add_test(table, reads_every_dressing);
    tcase_add_test(table, reads_gzip_and_refuses_a_cut_one);
    tcase_add_loop_test(table, refuses_at_the_right_place_without_quoting, 0,
                        sizeof refusals / sizeof *refusals);
    tcase_add_test(table, refuses_undeclared_categories_without_a_home);
    tcase_add_test(table, refuses_files_that_are_none);
    tcase_add_test(table, refuses_rows_without_end);
    tcase_add_test(table, clamps_maps_and_counts);
    tcase_add_test(table, strict_reports_what_would_be_mapped);
    tcase_add_test(table, stores_what_needs_more_bytes);
    tcase_add_test(table, survives_buffer_edges);
    tcase_add_test(table, reads_adult_where_it_lies);
    suite_add_tcase(suite, table);
    return run_suite(suite);
}
