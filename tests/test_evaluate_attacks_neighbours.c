/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "test_evaluate_attacks.h"

/* Tables as points: codes, boxes, equality, and nearest rows by hand and by brute force. */

static const char *const mixed = "rows: 10\n"
                                 "missing: '?'\n"
                                 "columns:\n"
                                 "  - {name: id, type: identifier}\n"
                                 "  - {name: age, type: integer, min: 0, max: 100, missing: allowed}\n"
                                 "  - {name: pay, type: number, min: -10, max: 10, decimals: 1}\n"
                                 "  - {name: day, type: date, min: 2000-01-01, max: 2000-01-11}\n"
                                 "  - {name: sex, type: category, values: [f, m], missing: allowed}\n";

typedef struct scene {
    sotto_schema *schema;
    sotto_table *one, *other;
    sotto_points *a, *b;
} scene;

static scene scene_of(const char *schema, const char *one, const char *other)
{
    scene made = {.schema = schema_of(schema)};
    made.one = table_of(made.schema, one);
    made.other = table_of(made.schema, other);
    made.a = points_of(made.one);
    made.b = points_of(made.other);
    return made;
}

static void drop(scene *s)
{
    sotto_points_destroy(s->a);
    sotto_points_destroy(s->b);
    sotto_table_destroy(s->one);
    sotto_table_destroy(s->other);
    sotto_schema_destroy(s->schema);
}

START_TEST(codes_are_grid_points)
{
    scene s = scene_of(mixed, "id,age,pay,day,sex\n1,7,-9.8,2000-01-03,m\n2,?,10,2000-01-11,?\n",
                       "id,age,pay,day,sex\n1,7,-9.8,2000-01-03,m\n");
    ck_assert_uint_eq(s.a->columns, 4);
    ck_assert_uint_eq(s.a->rows, 2);
    static const int32_t wanted[4][2] = {
        {7, SOTTO_POINT_MISSING}, {2, 200}, {2, 10}, {1, SOTTO_POINT_MISSING}};
    static const int32_t steps[4] = {100, 200, 10, 1};
    for (size_t c = 0; c < 4; c++) {
        ck_assert_int_eq(s.a->about[c].steps, steps[c]);
        ck_assert_uint_eq(s.a->about[c].column, c + 1);
        for (size_t row = 0; row < 2; row++)
            ck_assert_int_eq(s.a->codes[c][row], wanted[c][row]);
    }
    drop(&s);
}
END_TEST

/* A grid of 2·10^14 points has 2^30 − 1 steps here, with the bounds at both ends. */
START_TEST(fine_grids_are_rounded)
{
    scene s =
        scene_of("rows: 3\ncolumns:\n  - {name: x, type: number, min: -100000, max: 100000, decimals: 9}\n",
                 "x\n-100000\n100000\n0\n", "x\n0\n");
    const int32_t end = (INT32_C(1) << 30) - 1;
    ck_assert_int_eq(s.a->about[0].steps, end);
    ck_assert_int_eq(s.a->codes[0][0], 0);
    ck_assert_int_eq(s.a->codes[0][1], end);
    ck_assert_int_eq(s.a->codes[0][2], s.b->codes[0][0]);
    ck_assert_int_le(abs(s.a->codes[0][2] - end / 2), 1);
    drop(&s);
}
END_TEST

static sotto_neighbour nearest(const sotto_points *queries, const sotto_points *among, uint32_t row,
                               const uint8_t *uses)
{
    sotto_neighbour found;
    const sotto_search search = {among, queries, &row, 1, 5, 1};
    ck_assert_int_eq(sotto_neighbours_find(&search, uses, 1, &found, NULL), SOTTO_OK);
    return found;
}

/* By hand, in columns: age 0.1 + pay 0.05 + day 0.2 + sex 1; a missing cell is 1 from any other, 0 from a
 * missing. */
START_TEST(distances_by_hand)
{
    scene s =
        scene_of(mixed, "id,age,pay,day,sex\n1,20,1,2000-01-03,m\n2,?,0,2000-01-01,?\n3,20,1,2000-01-03,?\n",
                 "id,age,pay,day,sex\n1,30,2,2000-01-05,f\n");
    const double unit = sotto_distance_unit(4);
    ck_assert_double_eq_tol(nearest(s.b, s.a, 0, (const uint8_t[]){1, 1, 1, 1}).distance / unit, 1.35, 1e-5);
    sotto_neighbour found[3];
    const sotto_search search = {s.a, s.a, NULL, 3, 5, 1};
    ck_assert_int_eq(sotto_neighbours_find(&search, NULL, 1, found, NULL), SOTTO_OK);
    for (uint32_t row = 0; row < 3; row++) {
        ck_assert_uint_eq(found[row].row, row);
        ck_assert_uint_eq(found[row].distance, 0);
    }
    /* Only age and sex: the row with both missing is 2 away, those with one differing are less. */
    const sotto_neighbour far = nearest(s.b, s.a, 0, (const uint8_t[]){1, 0, 0, 1});
    ck_assert_double_eq_tol(far.distance / unit, 1.1, 1e-5);
    sotto_points *second = NULL;
    ck_assert_int_eq(sotto_points_create(&second, s.one, (const uint32_t[]){1}, 1, NULL), SOTTO_OK);
    ck_assert_double_eq(nearest(s.b, second, 0, (const uint8_t[]){1, 0, 0, 1}).distance / unit, 2);
    sotto_points_destroy(second);
    drop(&s);
}
END_TEST

START_TEST(boxes_count_rows)
{
    scene s =
        scene_of(mixed, "id,age,pay,day,sex\n1,20,1,2000-01-03,m\n2,?,0,2000-01-01,?\n3,20,1,2000-01-03,?\n",
                 "id,age,pay,day,sex\n1,30,2,2000-01-05,f\n");
    const int32_t none = SOTTO_POINT_MISSING;
    uint32_t row = 9;
    ck_assert_uint_eq(sotto_points_count(s.a, (const sotto_interval[]){{0, 0, 100}}, 1, 9, NULL), 2);
    ck_assert_uint_eq(sotto_points_count(s.a, (const sotto_interval[]){{0, none, none}}, 1, 9, &row), 1);
    ck_assert_uint_eq(row, 1);
    ck_assert_uint_eq(
        sotto_points_count(s.a, (const sotto_interval[]){{0, 20, 20}, {3, none, none}}, 2, 9, NULL), 1);
    ck_assert_uint_eq(sotto_points_count(s.a, (const sotto_interval[]){{0, 0, 19}}, 1, 9, NULL), 0);
    ck_assert_uint_eq(sotto_points_count(s.a, NULL, 0, 2, NULL), 2);
    drop(&s);
}
END_TEST

START_TEST(equal_rows_are_counted)
{
    scene s =
        scene_of(mixed, "id,age,pay,day,sex\n1,20,1,2000-01-03,m\n2,?,0,2000-01-01,?\n3,20,1,2000-01-03,?\n",
                 "id,age,pay,day,sex\n9,?,0,2000-01-01,?\n8,20,1,2000-01-03,f\n");
    size_t equal = 9;
    ck_assert_int_eq(sotto_points_equal(s.a, s.b, &equal, NULL), SOTTO_OK);
    ck_assert_uint_eq(equal, 1);
    ck_assert_int_eq(sotto_points_equal(s.a, s.a, &equal, NULL), SOTTO_OK);
    ck_assert_uint_eq(equal, 3);
    drop(&s);
}
END_TEST

/* Rows that repeat a lot, so that there are ties, over several chunks of rows. */
static char *many_rows(size_t rows, uint64_t seed)
{
    char *text = malloc(32 * (rows + 1)), *end = text;
    end += sprintf(end, "x,y,c\n");
    for (size_t i = 0; i < rows; i++) {
        const uint64_t draw = sotto_mix(seed + i);
        end += sprintf(end, "%u,%u,%c\n", (unsigned)(draw % 8), (unsigned)(draw >> 8) % 5,
                       "ab?"[(draw >> 40) % 3]);
    }
    return text;
}

static const char *const small = "rows: 10\nmissing: '?'\ncolumns:\n"
                                 "  - {name: x, type: integer, min: 0, max: 7}\n"
                                 "  - {name: y, type: integer, min: 0, max: 4}\n"
                                 "  - {name: c, type: category, values: [a, b], missing: allowed}\n";

static scene many(size_t rows, size_t queries)
{
    char *one = many_rows(rows, 1), *other = many_rows(queries, UINT64_C(1) << 50);
    scene s = scene_of(small, one, other);
    free(one);
    free(other);
    return s;
}

/* In twenty-eighths of a column, where all distances are whole. */
static long distance(const scene *s, size_t query, size_t row, size_t without)
{
    long sum = 0;
    for (size_t c = 0; c < 3; c++) {
        const long difference = labs((long)s->b->codes[c][query] - s->a->codes[c][row]);
        if (c != without)
            sum += c == 0 ? 4 * difference : c == 1 ? 7 * difference : difference ? 28 : 0;
    }
    return sum;
}

static long kth_distance(const scene *s, size_t query, size_t k, size_t without)
{
    long seen[400] = {0};
    for (size_t row = 0; row < s->a->rows; row++)
        seen[distance(s, query, row, without)]++;
    long at = 0;
    for (size_t below = (size_t)seen[0]; below <= k;)
        below += (size_t)seen[++at];
    return at;
}

START_TEST(nearest_rows_are_nearest)
{
    scene s = many(5000, 40);
    sotto_neighbour found[40 * 7], without[40 * 3];
    const sotto_search search = {s.a, s.b, NULL, 40, 3, 2};
    ck_assert_int_eq(sotto_neighbours_find(&search, NULL, 7, found, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_neighbours_without(&search, (const size_t[]){0, 1, 2}, 3, without, NULL),
                     SOTTO_OK);
    for (size_t query = 0; query < 40; query++) {
        for (size_t i = 0; i < 7; i++) {
            ck_assert_int_eq(distance(&s, query, found[query * 7 + i].row, 3), kth_distance(&s, query, i, 3));
            for (size_t j = 0; j < i; j++)
                ck_assert_uint_ne(found[query * 7 + i].row, found[query * 7 + j].row);
        }
        for (size_t c = 0; c < 3; c++)
            ck_assert_int_eq(distance(&s, query, without[query * 3 + c].row, c),
                             kth_distance(&s, query, 0, c));
    }
    drop(&s);
}
END_TEST

/* 1,000 seeds among 10 equal rows: χ² of 9 degrees of freedom above 40 in fewer than one of 10^5 runs, were
 * the seeds not fixed. */
START_TEST(ties_fall_at_random)
{
    scene s = scene_of("rows: 10\ncolumns:\n  - {name: x, type: integer, min: 0, max: 9}\n",
                       "x\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n", "x\n3\n");
    size_t seen[10] = {0};
    for (uint64_t seed = 0; seed < 1000; seed++) {
        sotto_neighbour found;
        const sotto_search search = {s.a, s.b, NULL, 1, sotto_mix(seed), 1};
        ck_assert_int_eq(sotto_neighbours_find(&search, NULL, 1, &found, NULL), SOTTO_OK);
        seen[found.row]++;
    }
    double chi = 0;
    for (size_t row = 0; row < 10; row++)
        chi += pow((double)seen[row] - 100, 2) / 100;
    ck_assert_double_lt(chi, 40);
    drop(&s);
}
END_TEST

START_TEST(threads_change_no_neighbour)
{
    scene s = many(3000, 100);
    sotto_neighbour one[300], three[300];
    sotto_search search = {s.a, s.b, NULL, 100, 3, 1};
    ck_assert_int_eq(sotto_neighbours_find(&search, NULL, 3, one, NULL), SOTTO_OK);
    search.threads = 3;
    ck_assert_int_eq(sotto_neighbours_find(&search, NULL, 3, three, NULL), SOTTO_OK);
    ck_assert_mem_eq(one, three, sizeof one);
    drop(&s);
}
END_TEST

START_TEST(many_columns_do_not_overflow)
{
    ck_assert_uint_le((uint64_t)sotto_distance_unit(5000) * 5000, UINT32_MAX);
    ck_assert_uint_ge(sotto_distance_unit(5000), 1 << 19);
    ck_assert_uint_eq(sotto_distance_unit(15), 1 << 22);
}
END_TEST

Suite *neighbours_suite(void)
{
    Suite *suite = suite_create("neighbours");
    TCase *points = tcase_create("points");
    tcase_set_timeout(points, 120);
    tcase_add_test(points, codes_are_grid_points);
    tcase_add_test(points, fine_grids_are_rounded);
    tcase_add_test(points, boxes_count_rows);
    tcase_add_test(points, equal_rows_are_counted);
    suite_add_tcase(suite, points);
    TCase *search = tcase_create("search");
    tcase_set_timeout(search, 120);
    tcase_add_test(search, distances_by_hand);
    tcase_add_test(search, nearest_rows_are_nearest);
    tcase_add_test(search, ties_fall_at_random);
    tcase_add_test(search, threads_change_no_neighbour);
    tcase_add_test(search, many_columns_do_not_overflow);
    suite_add_tcase(suite, search);
    return suite;
}
