/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Tables that agree with their margins. */
#include <math.h>
#include <string.h>

#include "models/marginals.h"

void marginals_combine(double *mean, double *precision, double value, double variance)
{
    const double weight = 1.0 / variance;
    *precision += weight;
    *mean += (value - *mean) * weight / *precision;
}

static double total_of(const double *sums, size_t count)
{
    double total = 0.0;
    for (size_t i = 0; i < count; i++)
        total += sums[i];
    return total;
}

void marginals_shrink(double *table, size_t rows, size_t columns, const double *row_sums,
                      const double *column_sums, double variance)
{
    const double total = total_of(row_sums, rows);
    double surplus = 0.0; /* Σ over cells of (difference² − variance): on average τ·Σg */
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const double guess = row_sums[i] * column_sums[j] / total;
            surplus += pow(table[i * columns + j] - guess, 2) - variance;
        }
    const double tau = fmax(surplus, 0.0) / total;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const double guess = row_sums[i] * column_sums[j] / total, prior = tau * guess;
            double *cell = &table[i * columns + j];
            *cell = guess + (prior > 0.0 ? (*cell - guess) * prior / (prior + variance) : 0.0);
        }
}

/* Each row onto its simplex. */
static void project_rows(double *table, size_t rows, size_t columns, const double *sums, double *order)
{
    for (size_t i = 0; i < rows; i++)
        sotto_simplex_project(table + i * columns, columns, sums[i], order);
}

static void project_columns(double *table, size_t rows, size_t columns, const double *sums, double *order)
{
    for (size_t j = 0; j < columns; j++) {
        double *one = order + rows;
        for (size_t i = 0; i < rows; i++)
            one[i] = table[i * columns + j];
        sotto_simplex_project(one, rows, sums[j], order);
        for (size_t i = 0; i < rows; i++)
            table[i * columns + j] = one[i];
    }
}

/* Dykstra's: what a projection took away is given back before the same one is made again. */
static void alternate(double *table, size_t rows, size_t columns, const double *row_sums,
                      const double *column_sums, double total, double *scratch)
{
    enum { ROUNDS = 200 };
    const size_t cells = rows * columns;
    double *of_rows = scratch, *of_columns = scratch + cells, *before = scratch + 2 * cells;
    double *order = scratch + 3 * cells;
    memset(scratch, 0, 2 * cells * sizeof *scratch);
    for (int round = 0; round < ROUNDS; round++) {
        double moved = 0.0;
        for (size_t i = 0; i < cells; i++)
            before[i] = table[i] += of_rows[i];
        project_rows(table, rows, columns, row_sums, order);
        for (size_t i = 0; i < cells; i++) {
            of_rows[i] = before[i] - table[i];
            before[i] = table[i] += of_columns[i];
        }
        project_columns(table, rows, columns, column_sums, order);
        for (size_t i = 0; i < cells; i++) {
            moved += fabs(before[i] - of_columns[i] - table[i]); /* between the two projections */
            of_columns[i] = before[i] - table[i];
        }
        if (moved <= 1e-7 * total)
            return;
    }
}

/* Rows, then columns, scaled to their sums, with a trace of the independent table so that none is empty. */
static void scale(double *table, size_t rows, size_t columns, const double *row_sums,
                  const double *column_sums, double total)
{
    enum { ROUNDS = 500 };
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            table[i * columns + j] += 1e-7 * row_sums[i] * column_sums[j] / total;
    for (int round = 0; round < ROUNDS; round++) {
        double off = 0.0;
        for (size_t i = 0; i < rows; i++) {
            double sum = 0.0;
            for (size_t j = 0; j < columns; j++)
                sum += table[i * columns + j];
            off += fabs(sum - row_sums[i]);
            for (size_t j = 0; j < columns && sum > 0.0; j++)
                table[i * columns + j] *= row_sums[i] / sum;
        }
        if (off <= 1e-7 * total)
            return;
        for (size_t j = 0; j < columns; j++) {
            double sum = 0.0;
            for (size_t i = 0; i < rows; i++)
                sum += table[i * columns + j];
            for (size_t i = 0; i < rows && sum > 0.0; i++)
                table[i * columns + j] *= column_sums[j] / sum;
        }
    }
}

void marginals_fit(double *table, size_t rows, size_t columns, const double *row_sums,
                   const double *column_sums, double *scratch)
{
    const double total = total_of(row_sums, rows);
    alternate(table, rows, columns, row_sums, column_sums, total, scratch);
    scale(table, rows, columns, row_sums, column_sums, total);
}
