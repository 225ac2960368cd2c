/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_EVALUATE_NEIGHBOURS_H
#define SOTTO_EVALUATE_NEIGHBOURS_H

/**
 * Private to evaluate: all rows of a table as small integers, and searches over them that read every row.
 *
 *     table ─► codes ─┬► nearest rows by a Gower distance, ties broken at random
 *                     ├► how many rows lie in a box
 *                     └► which rows equal a row of another table
 *
 * Memory is 4 bytes a cell. A search costs queries × rows × columns and runs in several threads over the
 * queries; no result depends on how many.
 */

#include "data/data.h"

/** The code of a missing cell: farther from every other code than these are from one another. */
#define SOTTO_POINT_MISSING (-(INT32_C(1) << 30))

/** What the codes of one modelled column mean. */
typedef struct sotto_point_column {
    size_t column; /**< index into the schema's columns */
    bool ordered;  /**< integer, number or date: code / steps is the place in the declared range */
    int32_t steps; /**< the largest code: grid steps between the bounds (at most 2^30 − 1), or the last
                      category */
} sotto_point_column;

/**
 * Rows as codes. A number's code is its grid point counted from the declared minimum; where the grid has more
 * than 2^30 points they are rounded to so many steps, and values within a step are equal from there on.
 */
typedef struct sotto_points {
    size_t rows, columns;
    const sotto_point_column *about;
    int32_t *const *codes; /**< codes[column][row] */
    sotto_arena *arena;    /**< private */
} sotto_points;

/** Rows `rows[0 … count−1]` of a table, or all of them where `rows` is NULL. The schema must outlive the
 * codes. Caller destroys. */
sotto_status sotto_points_create(sotto_points **codes, const sotto_table *table, const uint32_t *rows,
                                 size_t count, sotto_error *err);
void sotto_points_destroy(sotto_points *codes);

/** All codes of one column, missing ones first, in ascending order: `rows` of them. */
void sotto_points_sort(const sotto_points *codes, size_t column, int32_t *sorted);

/** Codes from `low` to `high` of one column (an index into `about`). */
typedef struct sotto_interval {
    size_t column;
    int32_t low, high;
} sotto_interval;

/** How many rows lie in all of the intervals, but at most `limit`, where the search ends; and the first of
 * them, if there is one. `first_row` may be NULL. */
size_t sotto_points_count(const sotto_points *codes, const sotto_interval *intervals, size_t count,
                          size_t limit, uint32_t *first_row);

/** How many rows of `codes` equal, missing equal to missing, some row of `among`. Memory: 16 bytes a row. */
sotto_status sotto_points_equal(const sotto_points *codes, const sotto_points *among, size_t *equal,
                                sotto_error *err);

/** What a distance of one whole column is worth, for so many columns: distances are sums of integers. */
uint32_t sotto_distance_unit(size_t columns);

/** One row found. Nearer is a smaller distance, then a smaller priority, which is a hash of seed, query, row.
 */
typedef struct sotto_neighbour {
    uint32_t distance; /**< in units of `sotto_distance_unit` / column */
    uint32_t row;
    uint64_t priority;
} sotto_neighbour;

/** What to look for, and where. */
typedef struct sotto_search {
    const sotto_points *among;
    const sotto_points *queries; /**< of the same schema */
    const uint32_t *rows;        /**< rows of `queries` to look for; NULL: the first `count` */
    size_t count;
    uint64_t seed; /**< of the ties */
    unsigned threads;
} sotto_search;

/**
 * The `k` nearest rows, k ≤ rows, nearest first, of each query: found[query × k + i]. The distance of two
 * rows is the sum over columns of |difference| / declared range for numbers, and of 0 or 1 for categories and
 * where one cell is missing (Gower 1971, unweighted).
 * \param uses count × columns bytes, 0 where a column is not looked at; NULL: all are
 */
sotto_status sotto_neighbours_find(const sotto_search *search, const uint8_t *uses, size_t k,
                                   sotto_neighbour *found, sotto_error *err);

/** The nearest row by all columns but one, for each of `left_out`: found[query × left_out_count + i]. */
sotto_status sotto_neighbours_without(const sotto_search *search, const size_t *left_out,
                                      size_t left_out_count, sotto_neighbour *found, sotto_error *err);

/** A hash that looks random (the finaliser of splitmix64, Steele et al. 2014). */
static inline uint64_t sotto_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif
