/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Codes, and counts of their combinations in arrays and hash tables, against slow and simple ones. */
#include "test_evaluate_fidelity.h"

#include <math.h>
#include <string.h>

#include "evaluate/codes.h"

static sotto_codes *codes_of(const scene *from)
{
    sotto_codes *codes = NULL;
    sotto_error err = {0};
    ck_assert_msg(sotto_codes_create(&codes, &from->evaluation, &err) == SOTTO_OK, "%s", err.message);
    return codes;
}

/* Train 0, 5, 10: inner edges 1 … 9. */
START_TEST(codes_are_bins_and_indices)
{
    static const uint16_t bins[] = {0, 0, 0, 1, 1, 8, 9, 9, 10};
    static const uint16_t categories[] = {0, 1, 2, 3, 0, 0, 0, 0, 0};
    scene made;
    scene_make(&made,
               "rows: 3\ncolumns:\n  - {name: id, type: identifier}\n"
               "  - {name: x, type: number, min: -9, max: 99, decimals: 2, missing: allowed}\n"
               "  - {name: c, type: category, values: [a, b, c], missing: allowed}\n",
               "id,x,c\n1,0,a\n2,10,b\n3,5,\n", NULL,
               "id,x,c\n1,-9,a\n1,0,b\n1,0.99,c\n1,1,\n1,1.99,a\n1,8.99,a\n1,9,a\n1,99,a\n1,,a\n");
    sotto_codes *codes = codes_of(&made);
    ck_assert_uint_eq(codes->column_count, 2);
    ck_assert_uint_eq(sotto_codes_find(codes, 0), SOTTO_NONE);
    ck_assert_uint_eq(sotto_codes_find(codes, 2), 1);
    ck_assert(codes->rows[SOTTO_TRAIN] == 3 && codes->rows[SOTTO_TEST] == 0 &&
              !codes->columns[0].codes[SOTTO_TEST]);
    ck_assert(codes->columns[0].numeric && codes->columns[0].count == 11 && codes->columns[0].absent == 10);
    ck_assert(!codes->columns[1].numeric && codes->columns[1].count == 4 && codes->columns[1].absent == 3);
    ck_assert_mem_eq(codes->columns[0].codes[SOTTO_SYNTHETIC], bins, sizeof bins);
    ck_assert_mem_eq(codes->columns[1].codes[SOTTO_SYNTHETIC], categories, sizeof categories);
    sotto_codes_destroy(codes);
    scene_free(&made);
}
END_TEST

/* A constant is widened to a unit around it; without a value every value is of one bin. */
START_TEST(codes_of_narrow_columns)
{
    scene made;
    scene_make(&made,
               "rows: 2\ncolumns:\n  - {name: x, type: number, min: 0, max: 9, decimals: 1}\n"
               "  - {name: y, type: integer, min: 0, max: 9, missing: allowed}\n",
               "x,y\n3,\n3,\n", NULL, "x,y\n2.4,1\n2.6,9\n3,\n3.4,0\n");
    sotto_codes *codes = codes_of(&made);
    const uint16_t *x = codes->columns[0].codes[SOTTO_SYNTHETIC],
                   *y = codes->columns[1].codes[SOTTO_SYNTHETIC];
    ck_assert(x[0] == 0 && x[1] >= 1 && x[2] == 5 && x[3] == 9);
    ck_assert(y[0] == 0 && y[1] == 0 && y[2] == 10 && y[3] == 0);
    sotto_codes_destroy(codes);
    sotto_codes_destroy(NULL);
    scene_free(&made);
}
END_TEST

/* -------------------------------------------------------------------- cells */

enum { WIDE = 3, DOMAIN = 60, TRAIN_ROWS = 5000, OTHER_ROWS = 4000 };

static uint32_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Rows "a,b,c" of categories 0 to DOMAIN − 1, of which small ones are more frequent. */
static char *wide_text(size_t rows, uint64_t seed)
{
    char *text = malloc(rows * WIDE * 4 + 16);
    size_t used = (size_t)sprintf(text, "a,b,c\n");
    for (size_t row = 0; row < rows; row++)
        for (size_t c = 0; c < WIDE; c++)
            used += (size_t)sprintf(text + used, "v%u%c", next(&seed) % (1 + next(&seed) % DOMAIN),
                                    c + 1 < WIDE ? ',' : '\n');
    return text;
}

static void wide_scene(scene *made)
{
    char schema[4096];
    size_t used = (size_t)sprintf(schema, "rows: %d\ncolumns:\n", TRAIN_ROWS);
    for (size_t c = 0; c < WIDE; c++) {
        used += (size_t)sprintf(schema + used, "  - {name: %c, type: category, values: [v0", (int)('a' + c));
        for (size_t v = 1; v < DOMAIN; v++)
            used += (size_t)sprintf(schema + used, ", v%zu", v);
        used += (size_t)sprintf(schema + used, "]}\n");
    }
    char *train = wide_text(TRAIN_ROWS, 1), *test = wide_text(OTHER_ROWS, 2),
         *other = wide_text(OTHER_ROWS, 3);
    scene_make(made, schema, train, test, other);
    free(train);
    free(test);
    free(other);
}

/* Counts of all DOMAIN³ combinations of the three columns, or of the first `width`. */
static size_t *slow_counts(const scene *from, size_t table, size_t width)
{
    size_t *counts = calloc((size_t)DOMAIN * DOMAIN * DOMAIN, sizeof *counts);
    for (size_t row = 0; row < sotto_table_rows(from->tables[table]); row++) {
        size_t key = 0;
        for (size_t c = 0; c < width; c++)
            key = key * DOMAIN + sotto_table_category(from->tables[table], row, c);
        counts[key]++;
    }
    return counts;
}

static void expect_cells(const scene *from, const sotto_codes *codes, sotto_cells *cells, size_t width)
{
    static const size_t set[] = {0, 1, 2};
    double distance = 0, entropy = 0;
    size_t *train = slow_counts(from, 0, width), *other = slow_counts(from, 2, width);
    for (size_t i = 0; i < (size_t)DOMAIN * DOMAIN * DOMAIN; i++) {
        const double p = (double)train[i] / TRAIN_ROWS, q = (double)other[i] / OTHER_ROWS;
        distance += fabs(p - q) / 2;
        entropy -= q > 0 ? q * log(q) : 0;
    }
    ck_assert_int_eq(sotto_cells_count(cells, codes, set, width, NULL), SOTTO_OK);
    EXPECT(fabs(sotto_cells_similarity(cells, codes, SOTTO_TRAIN, SOTTO_SYNTHETIC) - (1 - distance)) < 1e-12,
           "width %zu: similarity", width);
    EXPECT(fabs(sotto_cells_entropy(cells, codes, SOTTO_SYNTHETIC) - entropy) < 1e-9, "width %zu: entropy",
           width);
    ck_assert(sotto_cells_similarity(cells, codes, SOTTO_TEST, SOTTO_TEST) == 1);
    free(train);
    free(other);
}

/* One and two columns make fewer combinations than rows, three make 17 times as many: hashed. */
START_TEST(cells_are_counted_in_any_form)
{
    scene made;
    sotto_cells cells = {0};
    wide_scene(&made);
    sotto_codes *codes = codes_of(&made);
    for (size_t round = 0; round < 2; round++)
        for (size_t width = WIDE; width >= 1; width--)
            expect_cells(&made, codes, &cells, width);
    expect_cells(&made, codes, &cells, 3);
    ck_assert_msg(cells.slot_count < (size_t)DOMAIN * DOMAIN * DOMAIN / 4, "%zu slots", cells.slot_count);
    sotto_cells_free(&cells);
    sotto_codes_destroy(codes);
    scene_free(&made);
}
END_TEST

/* What a thread has counted before leaves no trace in the order of the slots, and so none in any sum. */
START_TEST(cells_forget)
{
    static const size_t all[] = {0, 1, 2}, turned[] = {2, 1, 0};
    scene made;
    sotto_cells fresh = {0}, used = {0};
    wide_scene(&made);
    sotto_codes *codes = codes_of(&made);
    ck_assert_int_eq(sotto_cells_count(&fresh, codes, all, 3, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_cells_count(&used, codes, turned, 3, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_cells_count(&used, codes, all, 3, NULL), SOTTO_OK);
    ck_assert_uint_eq(fresh.slot_count, used.slot_count);
    ck_assert_mem_eq(fresh.counts, used.counts, fresh.slot_count * sizeof *fresh.counts);
    sotto_cells_free(&fresh);
    sotto_cells_free(&used);
    sotto_codes_destroy(codes);
    scene_free(&made);
}
END_TEST

TCase *codes_case(void)
{
    TCase *tests = tcase_create("codes");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, codes_are_bins_and_indices);
    tcase_add_test(tests, codes_of_narrow_columns);
    tcase_add_test(tests, cells_are_counted_in_any_form);
    tcase_add_test(tests, cells_forget);
    return tests;
}
