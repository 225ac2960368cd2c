/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The graphical model: its junction tree, sums against going through every row there could be, and its fit.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/marginals_field.h"
#include "suite.h"

enum { COLUMNS = 5, LABELS = 2, EVERY = 2 * 3 * 2 * 4 * 1 * 3 };

static const marginals_domain domain = {.labels = LABELS, .columns = COLUMNS, .groups = {3, 2, 4, 1, 3}};

/* A circle, which is no tree as it stands, a column that hangs on nothing, and the labels. */
static const marginals_set circle[] = {0, 1 | 2, 2 | 4, 4 | 16, 16 | 1, 8};
enum { CIRCLE = sizeof circle / sizeof *circle };

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (double)(*state >> 11) * 0x1p-53;
}

/* The cell of a row, which is a cell of the table of all columns, in a table of some. */
static size_t cell_in(marginals_set columns, size_t row)
{
    size_t digits[COLUMNS], cell;
    for (size_t c = COLUMNS; c-- > 0;) {
        digits[c] = row % domain.groups[c];
        row /= domain.groups[c];
    }
    cell = row;
    for (size_t c = 0; c < COLUMNS; c++)
        if (columns >> c & 1)
            cell = cell * domain.groups[c] + digits[c];
    return cell;
}

/* All rows' chances times `total`, from tables' logarithms one after the other; returns log Z. */
static double go_through_all(const marginals_set *tables, size_t count, const double *logs, double total,
                             double *rows)
{
    double sum = 0.0, most = -INFINITY;
    for (size_t row = 0; row < EVERY; row++) {
        const double *table = logs;
        rows[row] = 0.0;
        for (size_t t = 0; t < count; t++) {
            rows[row] += table[cell_in(tables[t], row)];
            table += marginals_cells(&domain, tables[t]);
        }
        most = fmax(most, rows[row]);
    }
    for (size_t row = 0; row < EVERY; row++)
        sum += rows[row] = exp(rows[row] - most);
    for (size_t row = 0; row < EVERY; row++)
        rows[row] *= total / sum;
    return most + log(sum);
}

static void table_of(const double *rows, marginals_set columns, double *table)
{
    memset(table, 0, marginals_cells(&domain, columns) * sizeof *table);
    for (size_t row = 0; row < EVERY; row++)
        table[cell_in(columns, row)] += rows[row];
}

static size_t make_logs(const marginals_set *tables, size_t count, double spread, uint64_t *state,
                        double *logs)
{
    size_t made = 0;
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < marginals_cells(&domain, tables[t]); i++)
            logs[made++] = spread * (uniform(state) - 0.5);
    return made;
}

/* ---- junction trees ---- */

/* Every table lies within a clique, and the cliques of each column hang together: each clique but one that
 * has the column shares it with its parent. */
START_TEST(every_table_lies_within_a_tree_of_cliques)
{
    marginals_domain wide = {.labels = 2, .columns = MARGINALS_MOST_COLUMNS};
    marginals_set tables[100] = {0}, all = 0;
    marginals_junction junction;
    uint64_t state = 11 + (uint64_t)_i;
    wide.columns = _i % 2 ? MARGINALS_MOST_COLUMNS : 12;
    for (size_t c = 0; c < wide.columns; c++)
        wide.groups[c] = 1 + (size_t)(5 * uniform(&state));
    const size_t count = (size_t)_i * 10;
    for (size_t t = 0; t < count; t++)
        tables[t] = (marginals_set)1 << (size_t)(uniform(&state) * (double)wide.columns) |
                    (marginals_set)1 << (size_t)(uniform(&state) * (double)wide.columns);
    const size_t cells = marginals_junction_make(&junction, &wide, tables, count);
    ck_assert_uint_eq(cells, marginals_junction_cells(&wide, tables, count));
    for (size_t t = 0; t < count; t++)
        ck_assert_uint_lt(marginals_junction_find(&junction, tables[t]), junction.count);
    for (size_t column = 0; column < wide.columns; column++) {
        size_t tops = 0;
        for (size_t c = 0; c < junction.count; c++) {
            all |= junction.clique[c];
            if (c > 0)
                ck_assert_uint_lt(junction.parent[c], c);
            if (junction.clique[c] >> column & 1)
                tops += c == 0 || !(junction.clique[junction.parent[c]] >> column & 1);
        }
        ck_assert_uint_eq(tops, 1);
    }
    ck_assert_uint_eq((size_t)__builtin_popcountll(all), wide.columns);
}
END_TEST

START_TEST(tables_too_large_to_count_are_told)
{
    marginals_domain huge = {.labels = 64, .columns = 10};
    for (size_t c = 0; c < 10; c++)
        huge.groups[c] = 60000;
    const marginals_set all = 1023;
    ck_assert_uint_eq(marginals_cells(&huge, 1), 64 * 60000);
    ck_assert_uint_eq(marginals_cells(&huge, all), SIZE_MAX);
    ck_assert_uint_eq(marginals_junction_cells(&huge, &all, 1), SIZE_MAX);
}
END_TEST

/* ---- sums ---- */

/* Golden: cliques, separators, log Z, and the table of every set of columns. */
START_TEST(sums_are_those_of_all_rows)
{
    double logs[200], rows[EVERY], wanted[EVERY], got[EVERY], log_sum;
    uint64_t state = 23 + (uint64_t)_i;
    marginals_belief belief;
    const double spread = _i == 2 ? 900 : 6, total = 1000; /* 900: chances are out of a double's range */
    (void)make_logs(circle, CIRCLE, spread, &state, logs);
    const double wanted_log = go_through_all(circle, CIRCLE, logs, total, rows);
    ck_assert_int_eq(marginals_belief_create(&belief, &domain, circle, CIRCLE, NULL), SOTTO_OK);
    for (int again = 0; again < 2; again++) {
        const double *table = logs;
        marginals_belief_clear(&belief);
        for (size_t t = 0; t < CIRCLE; t++) {
            marginals_belief_add(&belief, marginals_junction_find(&belief.junction, circle[t]), circle[t],
                                 table);
            table += marginals_cells(&domain, circle[t]);
        }
        ck_assert(marginals_belief_propagate(&belief, total, &log_sum));
    }
    ck_assert_double_eq_tol(log_sum, wanted_log, 1e-9 * fmax(1, fabs(wanted_log)));
    for (marginals_set columns = 0; columns < 1 << COLUMNS; columns++) {
        ck_assert_int_eq(marginals_belief_table(&belief, columns, got, NULL), SOTTO_OK);
        ck_assert_uint_le(marginals_cells(&domain, columns), marginals_belief_work(&belief, columns));
        table_of(rows, columns, wanted);
        for (size_t i = 0; i < marginals_cells(&domain, columns); i++)
            ck_assert_double_eq_tol(got[i], wanted[i], 1e-8 * total);
    }
    marginals_belief_destroy(&belief);
}
END_TEST

/* ---- fits ---- */

/* With next to no noise, what is counted is fitted, and by it all of a distribution that is of this form. */
START_TEST(a_fit_to_exact_tables_is_the_distribution_itself)
{
    double logs[200], rows[EVERY], table[EVERY], got[EVERY];
    uint64_t state = 31 + (uint64_t)_i;
    marginals_field field;
    const double total = 50000;
    (void)make_logs(circle, CIRCLE, 5, &state, logs);
    (void)go_through_all(circle, CIRCLE, logs, total, rows);
    ck_assert_int_eq(marginals_field_create(&field, &domain, total, NULL), SOTTO_OK);
    for (size_t t = 0; t < CIRCLE; t++) {
        table_of(rows, circle[t], table);
        ck_assert_int_eq(marginals_field_add(&field, circle[t], table, 1e-8, NULL), SOTTO_OK);
        ck_assert_int_eq(marginals_field_fit(&field, 1e-9, 3000, NULL), SOTTO_OK);
    }
    for (marginals_set columns = 0; columns < 1 << COLUMNS; columns++) {
        ck_assert_int_eq(marginals_belief_table(&field.belief, columns, got, NULL), SOTTO_OK);
        table_of(rows, columns, table);
        for (size_t i = 0; i < marginals_cells(&domain, columns); i++)
            ck_assert_double_eq_tol(got[i], table[i], 1e-3 * total / EVERY);
    }
    marginals_field_destroy(&field);
}
END_TEST

/* Noisy tables that tell nothing new leave the distribution next to alone: of the noise's L1 less than a
 * third is left. (Of a fit by least squares about all that is not negative would be.) */
START_TEST(noise_alone_is_not_learned)
{
    double logs[200], rows[EVERY], table[EVERY], before[EVERY], after[EVERY], noise = 0, moved = 0;
    uint64_t state = 47;
    marginals_field field;
    const double total = 50000, deviation = 100;
    const marginals_set single[] = {0, 1, 2, 4, 8, 16}, pair = 1 | 4;
    (void)make_logs(single, 6, 2, &state, logs);
    (void)go_through_all(single, 6, logs, total, rows);
    ck_assert_int_eq(marginals_field_create(&field, &domain, total, NULL), SOTTO_OK);
    for (size_t t = 0; t < 6; t++) {
        table_of(rows, single[t], table);
        ck_assert_int_eq(marginals_field_add(&field, single[t], table, 1, NULL), SOTTO_OK);
    }
    ck_assert_int_eq(marginals_field_fit(&field, 1e-6, 1000, NULL), SOTTO_OK);
    table_of(rows, pair, before);
    for (size_t i = 0; i < marginals_cells(&domain, pair); i++) {
        const double one = deviation * sqrt(12) * (uniform(&state) - 0.5);
        table[i] = before[i] + one;
        noise += fabs(one);
    }
    ck_assert_int_eq(marginals_field_add(&field, pair, table, deviation * deviation, NULL), SOTTO_OK);
    ck_assert_int_eq(marginals_field_fit(&field, 1e-6, 1000, NULL), SOTTO_OK);
    ck_assert_int_eq(marginals_belief_table(&field.belief, pair, after, NULL), SOTTO_OK);
    for (size_t i = 0; i < marginals_cells(&domain, pair); i++)
        moved += fabs(after[i] - before[i]);
    ck_assert_double_lt(moved, noise / 3);
    marginals_field_destroy(&field);
}
END_TEST

/* Counts of the same columns are one table: their mean by precision, made to sum to the total. */
START_TEST(tables_counted_twice_are_one)
{
    marginals_field field;
    const double first[] = {100, 200, 300, 100, 200, 100}, second[] = {130, 170, 300, 100, 200, 100};
    ck_assert_int_eq(marginals_field_create(&field, &domain, 1000, NULL), SOTTO_OK);
    ck_assert_int_eq(marginals_field_add(&field, 1, first, 4, NULL), SOTTO_OK);
    ck_assert_int_eq(marginals_field_add(&field, 1, second, 2, NULL), SOTTO_OK);
    ck_assert_uint_eq(field.count, 1);
    ck_assert_double_eq_tol(field.factors[0].variance, 4.0 / 3, 1e-12);
    ck_assert_double_eq_tol(field.factors[0].counts[0], 120, 1e-9);
    ck_assert_double_eq_tol(field.factors[0].counts[1], 180, 1e-9);
    ck_assert_double_eq_tol(field.factors[0].counts[2], 300, 1e-9);
    marginals_field_destroy(&field);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models-field");
    TCase *tests = tcase_create("field");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, every_table_lies_within_a_tree_of_cliques, 0, 8);
    tcase_add_test(tests, tables_too_large_to_count_are_told);
    tcase_add_loop_test(tests, sums_are_those_of_all_rows, 0, 3);
    tcase_add_loop_test(tests, a_fit_to_exact_tables_is_the_distribution_itself, 0, 3);
    tcase_add_test(tests, noise_alone_is_not_learned);
    tcase_add_test(tests, tables_counted_twice_are_one);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
