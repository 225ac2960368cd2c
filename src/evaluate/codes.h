/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_EVALUATE_CODES_H
#define SOTTO_EVALUATE_CODES_H

/* Inside this room: every column of the tables as small whole numbers, and how often they come together. What
 * asks only whether values agree (pairs, triples, mutual information) asks it of codes. */

#include "evaluate/evaluate.h"

/** The tables of an evaluation. */
enum { SOTTO_TRAIN, SOTTO_TEST, SOTTO_SYNTHETIC, SOTTO_TABLE_COUNT };

/** Bins of a number, as SDMetrics' ContingencySimilarity has them by default. */
enum { SOTTO_CODE_BINS = 10 };

/** The train, test or synthetic table; NULL for a test table that is not there. */
const sotto_table *sotto_evaluation_table(const sotto_evaluation *evaluation, size_t table);

/** One column in all tables. A code tells whether two cells count as the same. */
typedef struct sotto_coded_column {
    size_t column;   /**< index into the schema's columns */
    uint32_t count;  /**< codes run from 0 to count − 1 */
    uint32_t absent; /**< the code of a missing cell: the last, whether there are any or not */
    bool numeric;    /**< an integer, number or date; its codes are bins in ascending order */
    /** Numbers: where bins 1 to 9 begin. A value has as many edges at or below it as its code says, so what
     * lies outside the train table's range falls into the first or last bin. */
    double edges[SOTTO_CODE_BINS - 1];
    const uint16_t *codes[SOTTO_TABLE_COUNT]; /**< [rows]; NULL where there is no such table */
} sotto_coded_column;

/** Read-only once made; may be shared between threads. */
typedef struct sotto_codes {
    size_t rows[SOTTO_TABLE_COUNT]; /**< 0 where there is no such table */
    size_t column_count;            /**< all but identifiers, in schema order */
    const sotto_coded_column *columns;
    sotto_arena *arena; /**< private */
} sotto_codes;

/**
 * Code all tables: categories by their index, numbers by ten bins of equal width between the least and the
 * greatest value of the train table. Two bytes a cell. Caller destroys.
 */
sotto_status sotto_codes_create(sotto_codes **codes, const sotto_evaluation *evaluation, sotto_error *err);
void sotto_codes_destroy(sotto_codes *codes);

/** The coded column of a schema column, or SOTTO_NONE for identifiers. */
size_t sotto_codes_find(const sotto_codes *codes, size_t column);

/* ------------------------------------------------------------------- cells */

/** The most columns that are counted together. */
enum { SOTTO_CELLS_COLUMNS = 3 };

/**
 * Counts of the combinations of a few columns' codes. Combinations lie in an array where there are no more of
 * them than rows, else in a hash table of those that occur: memory grows with the rows, never with the
 * product of the domains. One for each thread.
 */
typedef struct sotto_cells {
    size_t slot_count;
    uint32_t (*counts)[SOTTO_TABLE_COUNT]; /**< [slot_count]; many are zero */
    uint64_t *keys;                        /**< private */
    size_t capacity, key_capacity;         /**< private */
} sotto_cells;

/**
 * Count the combinations of the `width` (1 to SOTTO_CELLS_COLUMNS) coded columns `set` in all tables,
 * replacing what was there. The slots' order depends on the codes alone. `cells` begins as {0} and is freed
 * by `sotto_cells_free`.
 */
sotto_status sotto_cells_count(sotto_cells *cells, const sotto_codes *codes, const size_t *set, size_t width,
                               sotto_error *err);
void sotto_cells_free(sotto_cells *cells);

/**
 * 1 − ½ Σ |p − q| of two tables' shares, in [0, 1]; NaN where either has no rows. Computed in whole numbers
 * and rounded once, so that equal tables give exactly 1.
 */
double sotto_cells_similarity(const sotto_cells *cells, const sotto_codes *codes, size_t one, size_t other);

/** The entropy −Σ p log p of one table's combinations in nats, ≥ 0; NaN where it has no rows. */
double sotto_cells_entropy(const sotto_cells *cells, const sotto_codes *codes, size_t table);

#endif
