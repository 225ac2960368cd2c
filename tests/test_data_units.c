/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Units of several rows: told apart by an identifier, kept to so many rows each, and never split over the two
 * sides of a holdout. */
#include <math.h>
#include <stdio.h>

#include "test_data.h"

#define SECRET "XyZZy"

static const char stays[] = "rows: 6\nmissing: \"?\"\ncolumns:\n"
                            "  - {name: who, type: identifier, units: 3}\n"
                            "  - {name: age, type: integer, min: 0, max: 99}\n";

static const char open_stays[] = "rows: 6\nmissing: \"?\"\ncolumns:\n"
                                 "  - {name: who, type: identifier, units: 4, missing: allowed}\n"
                                 "  - {name: stay, type: identifier}\n"
                                 "  - {name: age, type: integer, min: 0, max: 99}\n";

static const sotto_table_options by_unit = {.any_row_count = true, .units = true};

static sotto_table *load(const sotto_schema *schema, const char *text, const sotto_table_options *options)
{
    sotto_table *table = NULL;
    sotto_error err = {0};
    sotto_status status = load_bytes(&table, schema, text, strlen(text), options, &err);
    ck_assert_msg(status == SOTTO_OK, "line %zu: %s", err.line, err.message);
    return table;
}

/* ------------------------------------------------------------------ reading */

/* Rows of a unit need not lie together; numbers follow from where units first come. */
START_TEST(rows_with_the_same_identifier_are_one_unit)
{
    sotto_schema *schema = schema_of(stays);
    sotto_table *table = load(schema, "age,who\n1,b\n2,a\n3,b\n4, b \n5,\"c,\"\"\"\n6,a\n", &by_unit);
    const uint32_t wanted[] = {0, 1, 0, 0, 2, 1};
    ck_assert_uint_eq(sotto_table_units(table, 0), 3);
    ck_assert_uint_eq(sotto_table_units(table, 1), 0);
    for (size_t i = 0; i < 6; i++)
        ck_assert_uint_eq(sotto_table_unit(table, i, 0), wanted[i]);
    ck_assert(sotto_table_missing(table, 0, 0)); /* its texts are not kept */
    sotto_table_destroy(table);
    table = load(schema, "age,who\n1,b\n2,a\n", &(sotto_table_options){.any_row_count = true});
    ck_assert_uint_eq(sotto_table_units(table, 0), 0);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

/* What differs in a byte is two people: nothing is read as a number, folded, cut or decoded. */
START_TEST(identifiers_are_compared_byte_by_byte)
{
    static const char *const ids[] = {"7",   "07",        "7.0",       "7 7",      "a",
                                      "A",   "\xC3\xA4",  "a\xCC\x88", "\xFF\xFE", "NA",
                                      "nan", "aaaaaaaab", "aaaaaaaac", "-1"};
    enum { IDS = sizeof ids / sizeof *ids };
    sotto_schema *schema = schema_of("rows: 6\ncolumns:\n  - {name: who, type: identifier, units: 3}\n"
                                     "  - {name: age, type: integer, min: 0, max: 99}\n");
    char text[2000];
    size_t used = (size_t)snprintf(text, sizeof text, "who,age\n");
    for (size_t pass = 0; pass < 3; pass++)
        for (size_t i = 0; i < IDS; i++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s,1\n", ids[(i * 5 + pass) % IDS]);
    sotto_table *table = load(schema, text, &by_unit);
    ck_assert_uint_eq(sotto_table_units(table, 0), IDS);
    for (size_t row = 0; row < 3 * (size_t)IDS; row++) {
        const size_t id = (row % IDS * 5 + row / IDS) % IDS;
        for (size_t other = 0; other < row; other++)
            ck_assert_int_eq(sotto_table_unit(table, row, 0) == sotto_table_unit(table, other, 0),
                             (other % IDS * 5 + other / IDS) % IDS == id);
    }
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

/* Many units and long texts: everything that grows has grown. */
START_TEST(many_units_are_told_apart)
{
    enum { ROWS = 30000, PEOPLE = 7001 };
    sotto_schema *schema = schema_of(stays);
    char *text = malloc(ROWS * 40), *end = text;
    end += sprintf(end, "who,age\n");
    for (size_t i = 0; i < ROWS; i++)
        end += sprintf(end, "a-long-way-to-say-%zu,1\n", i * i % PEOPLE);
    sotto_table *table = load(schema, text, &by_unit);
    static uint32_t unit_of[PEOPLE];
    size_t seen = 0;
    memset(unit_of, 0xFF, sizeof unit_of);
    for (size_t i = 0; i < ROWS; i++) {
        uint32_t *unit = &unit_of[i * i % PEOPLE];
        if (*unit == UINT32_MAX)
            *unit = (uint32_t)seen++;
        EXPECT(sotto_table_unit(table, i, 0) == *unit, "row %zu is of unit %u", i,
               sotto_table_unit(table, i, 0));
    }
    ck_assert_uint_eq(sotto_table_units(table, 0), seen);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
    free(text);
}
END_TEST

/* Without `missing: allowed` a row that is nobody's is refused, like any missing cell, and nothing is quoted;
 * with it, each is a unit of its own, an empty cell as well as the marker. */
START_TEST(a_row_without_identifier_is_refused_or_a_unit_of_its_own)
{
    sotto_schema *schema = schema_of(stays), *open = schema_of(open_stays);
    sotto_table *table = NULL;
    static const char *const bad[] = {"who,age\n" SECRET ",1\n?,2\n", "who,age\n" SECRET ",1\n,2\n"};
    for (size_t i = 0; i < 2; i++) {
        sotto_error err = {0};
        ck_assert_int_eq(load_bytes(&table, schema, bad[i], strlen(bad[i]), &by_unit, &err),
                         SOTTO_ERROR_INPUT);
        ck_assert_uint_eq(err.line, 3);
        ck_assert_ptr_nonnull(strstr(err.message, "missing"));
        ck_assert_ptr_null(strstr(err.message, SECRET));
    }
    /* where nobody asks for units, identifiers are not looked at */
    table = load(schema, bad[0], &(sotto_table_options){.any_row_count = true});
    sotto_table_destroy(table);
    table = load(open, "who,stay,age\na,,1\n?,,2\n,,3\na,,4\n?,?,5\nb,,6\n", &by_unit);
    const uint32_t wanted[] = {0, 1, 2, 0, 3, 4};
    for (size_t i = 0; i < 6; i++)
        ck_assert_uint_eq(sotto_table_unit(table, i, 0), wanted[i]);
    ck_assert_uint_eq(sotto_table_units(table, 0), 5);
    ck_assert_uint_eq(sotto_table_counts(table, 0)->missing, 3);
    ck_assert_uint_eq(sotto_table_units(table, 1), 0);
    sotto_table_destroy(table);
    sotto_schema_destroy(open);
    sotto_schema_destroy(schema);
}
END_TEST

/* `sotto schema check` compares with the declared number; training, which asks for any, does not. */
START_TEST(another_number_of_units_is_found)
{
    static const char four[] = "who,age\na,1\nb,2\nc,3\nd,4\na,5\nb,6\n";
    sotto_schema *schema = schema_of(stays);
    sotto_table *table = NULL;
    sotto_error err = {0};
    ck_assert_int_eq(
        load_bytes(&table, schema, four, sizeof four - 1, &(sotto_table_options){.units = true}, &err),
        SOTTO_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "4 units by column 'who', but the schema declares units: 3"));
    table = load(schema, four, &by_unit);
    ck_assert_uint_eq(sotto_table_units(table, 0), 4);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(a_schema_with_units_is_written_as_it_was_read)
{
    sotto_schema *schema = schema_of(open_stays), *again;
    char *text, *twice;
    ck_assert_int_eq(sotto_schema_format(schema, &text, NULL), SOTTO_OK);
    again = schema_of(text);
    ck_assert_uint_eq(again->columns[0].units, 4);
    ck_assert(again->columns[0].missing_allowed);
    ck_assert_uint_eq(again->columns[1].units, 0);
    ck_assert_int_eq(sotto_schema_format(again, &twice, NULL), SOTTO_OK);
    ck_assert_str_eq(text, twice);
    free(text);
    free(twice);
    sotto_schema_destroy(schema);
    sotto_schema_destroy(again);
}
END_TEST

static const char *const impossible[][2] = {
    {"{name: who, type: identifier, units: 0}", "units"},
    {"{name: who, type: identifier, units: 7}", "more than the 6 rows"},
    {"{name: who, type: identifier, units: many}", "units"},
    {"{name: who, type: identifier, missing: allowed}", "without `units`"},
    {"{name: who, type: identifier, units: 3, missing: refused}", "allowed"},
    {"{name: who, type: integer, min: 0, max: 9, units: 3}", "no setting 'units'"},
    {"{name: who, type: category, values: [a], units: 3}", "no setting 'units'"},
};

START_TEST(impossible_units_are_refused)
{
    char text[400];
    sotto_schema *schema = NULL;
    sotto_error err = {0};
    const int length = snprintf(text, sizeof text,
                                "rows: 6\ncolumns:\n  - %s\n  - {name: age, type: integer, min: 0, max: 9}\n",
                                impossible[_i][0]);
    ck_assert_int_eq(sotto_schema_parse(&schema, "test.yaml", text, (size_t)length, &err), SOTTO_ERROR_INPUT);
    ck_assert_msg(strstr(err.message, impossible[_i][1]) != NULL, "%s", err.message);
    ck_assert_uint_eq(err.line, 3);
}
END_TEST

/* ---------------------------------------------------------------- splitting */

/* Unit u has u % 6 + 1 rows, unless it is left out; rows go round, so that units are interleaved. A `late`
 * unit's rows come at the end. */
static sotto_table *people(const sotto_schema *schema, size_t units, size_t late)
{
    char *text = malloc(units * 6 * 20 + late * 20 + 20), *end = text + sprintf(text, "who,age\n");
    for (size_t round = 0; round < 6; round++)
        for (size_t u = 0; u < units; u++)
            if (round <= u % 6)
                end += sprintf(end, "p%zu,1\n", u);
    for (size_t i = 0; i < late; i++)
        end += sprintf(end, "late,1\n");
    sotto_table *table = load(schema, text, &by_unit);
    free(text);
    return table;
}

static sotto_split *split_of(const sotto_table *table, size_t most, double holdout, uint64_t seed)
{
    sotto_random *random;
    sotto_stream *coins;
    sotto_split *split = NULL;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, seed, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&coins, random, SOTTO_PURPOSE_SPLIT, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_split_create_units(&split, table, 0, most, holdout, coins, NULL), SOTTO_OK);
    sotto_stream_destroy(coins);
    sotto_random_destroy(random);
    return split;
}

/* Every unit is on one side with all that is left of it: all rows where held out, else `most` at most, all
 * its own and none twice. The share held out within 6 standard deviations (false-alarm rate 2e-9). */
START_TEST(a_unit_lies_on_one_side_and_keeps_few_rows)
{
    enum { PEOPLE = 3000 };
    const size_t most = (size_t)_i + 1;
    sotto_schema *schema = schema_of(stays);
    sotto_table *table = people(schema, PEOPLE, 0);
    sotto_split *split = split_of(table, most, 0.3, 5);
    static int side[PEOPLE];
    bool *seen = calloc(sotto_table_rows(table), sizeof *seen);
    size_t rows = 0;
    memset(side, 0, sizeof side);
    ck_assert_uint_eq(split->train_units + split->holdout_units, PEOPLE);
    for (size_t u = 0; u < split->train_units; u++) {
        const uint32_t unit = sotto_table_unit(table, split->train[split->first[u]], 0);
        const size_t kept = split->first[u + 1] - split->first[u], has = unit % 6 + 1;
        EXPECT(side[unit]++ == 0, "unit %u comes twice", unit);
        EXPECT(kept == (has < most ? has : most), "of the %zu rows of unit %u %zu are kept", has, unit, kept);
        for (size_t i = split->first[u]; i < split->first[u + 1]; i++) {
            EXPECT(sotto_table_unit(table, split->train[i], 0) == unit, "row %zu is another unit's", i);
            EXPECT(!seen[split->train[i]], "row %u is kept twice", split->train[i]);
            seen[split->train[i]] = true;
        }
        rows += kept;
    }
    ck_assert_uint_eq(rows, split->train_count);
    ck_assert_uint_eq(split->first[split->train_units], split->train_count);
    size_t held[PEOPLE] = {0};
    for (size_t i = 0; i < split->holdout_count; i++) {
        const uint32_t unit = sotto_table_unit(table, split->holdout[i], 0);
        EXPECT(side[unit] == 0, "unit %u is on both sides", unit);
        held[unit]++;
    }
    for (size_t u = 0; u < PEOPLE; u++)
        EXPECT(side[u] || held[u] == u % 6 + 1, "of unit %zu %zu rows are held out", u, held[u]);
    ck_assert_double_le(fabs((double)split->holdout_units - 0.3 * PEOPLE), 6 * sqrt(PEOPLE * 0.21));
    free(seen);
    sotto_split_destroy(split);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

/* P3, P11: with the same coins, a unit of any number of rows more changes nothing of any other unit: neither
 * its side nor which of its rows are kept. */
START_TEST(a_unit_more_changes_nothing_of_another)
{
    enum { PEOPLE = 600 };
    const size_t most = (size_t)_i % 3 + 1, late = _i / 3 ? 40 : 1;
    const double holdout = _i / 3 ? 0.25 : 0.0;
    sotto_schema *schema = schema_of(stays);
    sotto_table *with = people(schema, PEOPLE, late), *without = people(schema, PEOPLE, 0);
    sotto_split *more = split_of(with, most, holdout, 9), *less = split_of(without, most, holdout, 9);
    ck_assert_uint_eq(more->train_units + more->holdout_units, PEOPLE + 1);
    ck_assert_mem_eq(more->train, less->train, less->train_count * sizeof *less->train);
    ck_assert_mem_eq(more->first, less->first, (less->train_units + 1) * sizeof *less->first);
    ck_assert_mem_eq(more->holdout, less->holdout, less->holdout_count * sizeof *less->holdout);
    const size_t added = more->train_count - less->train_count;
    ck_assert_uint_eq(added, more->train_units == less->train_units ? 0 : late < most ? late : most);
    sotto_split_destroy(more);
    sotto_split_destroy(less);
    sotto_table_destroy(with);
    sotto_table_destroy(without);
    sotto_schema_destroy(schema);
}
END_TEST

/* Each row of a unit is kept as often as any other, wherever it lies, and which of one unit's are kept tells
 * nothing of another's. χ² over 6 places, 5 degrees of freedom: 45 is crossed with probability 1.4e-8; of
 * pairs, 35 degrees, 100: 3e-8. */
START_TEST(rows_are_drawn_uniformly_and_independently)
{
    enum { TRIES = 6000, PAIRS = 36 };
    sotto_schema *schema = schema_of(stays);
    sotto_table *table = people(schema, 12, 0); /* units 5 and 11 have six rows */
    double seen[6] = {0}, pairs[PAIRS] = {0}, chi2 = 0, pairs2 = 0;
    for (uint64_t seed = 0; seed < TRIES; seed++) {
        sotto_split *split = split_of(table, 1, 0.0, seed);
        size_t place[2];
        for (size_t u = 0; u < 2; u++) {
            const uint32_t row = split->train[split->first[5 + 6 * u]];
            place[u] = 0;
            for (uint32_t i = 0; i < row; i++)
                place[u] += sotto_table_unit(table, i, 0) == 5 + 6 * u;
        }
        seen[place[0]]++;
        pairs[6 * place[0] + place[1]]++;
        sotto_split_destroy(split);
    }
    for (size_t i = 0; i < 6; i++)
        chi2 += pow(seen[i] - TRIES / 6.0, 2) / (TRIES / 6.0);
    for (size_t i = 0; i < PAIRS; i++)
        pairs2 += pow(pairs[i] - (double)TRIES / PAIRS, 2) / ((double)TRIES / PAIRS);
    ck_assert_double_lt(chi2, 45);
    ck_assert_double_lt(pairs2, 100);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

START_TEST(splits_without_sense_are_refused)
{
    sotto_schema *schema = schema_of(stays);
    sotto_table *table = people(schema, 6, 0);
    sotto_random *random;
    sotto_stream *coins;
    sotto_split *split = NULL;
    ck_assert_int_eq(sotto_random_create_insecure_for_tests(&random, 1, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_stream_create(&coins, random, SOTTO_PURPOSE_SPLIT, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_split_create_units(&split, table, 1, 1, 0, coins, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_split_create_units(&split, table, 0, 0, 0, coins, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_split_create_units(&split, table, 0, 1, 1.0, coins, NULL), SOTTO_ERROR_INPUT);
    ck_assert_int_eq(sotto_split_create_units(&split, table, 0, 1, NAN, coins, NULL), SOTTO_ERROR_INPUT);
    ck_assert_ptr_null(split);
    sotto_stream_destroy(coins);
    sotto_random_destroy(random);
    sotto_table_destroy(table);
    sotto_schema_destroy(schema);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data-units");
    TCase *reading = tcase_create("reading");
    tcase_set_timeout(reading, 60);
    tcase_add_test(reading, rows_with_the_same_identifier_are_one_unit);
    tcase_add_test(reading, identifiers_are_compared_byte_by_byte);
    tcase_add_test(reading, many_units_are_told_apart);
    tcase_add_test(reading, a_row_without_identifier_is_refused_or_a_unit_of_its_own);
    tcase_add_test(reading, another_number_of_units_is_found);
    tcase_add_test(reading, a_schema_with_units_is_written_as_it_was_read);
    tcase_add_loop_test(reading, impossible_units_are_refused, 0, sizeof impossible / sizeof *impossible);
    suite_add_tcase(suite, reading);
    TCase *splitting = tcase_create("splitting");
    tcase_set_timeout(splitting, 120);
    tcase_add_loop_test(splitting, a_unit_lies_on_one_side_and_keeps_few_rows, 0, 4);
    tcase_add_loop_test(splitting, a_unit_more_changes_nothing_of_another, 0, 6);
    tcase_add_test(splitting, rows_are_drawn_uniformly_and_independently);
    tcase_add_test(splitting, splits_without_sense_are_refused);
    suite_add_tcase(suite, splitting);
    return run_suite(suite);
}
