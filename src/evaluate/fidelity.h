/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_EVALUATE_FIDELITY_H
#define SOTTO_EVALUATE_FIDELITY_H

/* Inside this room: the parts of the fidelity record. A figure that is not defined is NaN inside and null in
 * the record; docs/evaluation.md says when. */

#include "evaluate/codes.h"

/** What is held against the train table. */
enum { FIDELITY_SYNTHETIC, FIDELITY_CONTROL, FIDELITY_SIDES };

/** The table of a side. */
size_t fidelity_table(size_t side);

/** What the parts work on. */
typedef struct fidelity {
    const sotto_evaluation *evaluation;
    const sotto_schema *schema;
    const sotto_codes *codes;
    sotto_arena *arena; /**< what the parts keep */
} fidelity;

/** The schema's column of a coded one. */
const sotto_column *fidelity_column(const fidelity *in, size_t coded);

/* ------------------------------------------------------------------- lanes */

/** What one thread works with. */
typedef struct fidelity_lane {
    unsigned number;
    sotto_cells cells;
    double *values[SOTTO_TABLE_COUNT]; /**< room for one column's numbers; NULL where not asked for */
    size_t *counts[SOTTO_TABLE_COUNT]; /**< room for one column's codes; the same */
    sotto_status status;
    sotto_error err;
} fidelity_lane;

/**
 * Call `work` once for each of the evaluation's threads, in parallel. It takes every threads-th piece from
 * the lane's number on and leaves its failure in the lane; the first lane's failure is returned.
 * \param columnwise give each lane room for one column's numbers and codes
 */
sotto_status fidelity_share(const fidelity *in, bool columnwise,
                            void (*work)(const fidelity *in, void *context, fidelity_lane *lane),
                            void *context, sotto_error *err);

/* -------------------------------------------------------------------- parts */

/** Each column alone: the record's `columns`, and the mean similarity of each side; NaN without a test table.
 */
sotto_status fidelity_columns(const fidelity *in, json_t **columns, double shapes[FIDELITY_SIDES],
                              sotto_error *err);

/** A column's bars for drawing. `values[t]` holds `present[t]` ascending numbers (numeric columns),
 * `counts[t]` the tally of each code (categories). NULL where memory is short. */
typedef struct fidelity_marginal_input {
    const double *values[SOTTO_TABLE_COUNT];
    const size_t *counts[SOTTO_TABLE_COUNT];
    size_t present[SOTTO_TABLE_COUNT];
} fidelity_marginal_input;
json_t *fidelity_marginal(const fidelity *in, size_t coded, const fidelity_marginal_input *input);

/** Matrices over the coded columns, row by row, [n × n], symmetric. */
typedef struct fidelity_pairs {
    double *correlation[SOTTO_TABLE_COUNT]; /**< NaN for categories, constants, absent tables */
    double *similarity[FIDELITY_SIDES];     /**< contingency; on the diagonal of one column's codes */
    double *information[SOTTO_TABLE_COUNT]; /**< normalised; not for the test table */
} fidelity_pairs;

/** `pairs` lies in `in->arena`. */
sotto_status fidelity_pairs_measure(const fidelity *in, fidelity_pairs *pairs, sotto_error *err);

/** Pearson's correlations alone; called by the above. */
sotto_status fidelity_correlate(const fidelity *in, fidelity_pairs *pairs, sotto_error *err);

/** The score of a pair on one side: correlation similarity of two numbers, contingency similarity otherwise;
 * NaN where neither table has a correlation. */
double fidelity_pair_score(const fidelity *in, const fidelity_pairs *pairs, size_t side, size_t one,
                           size_t other);

/** Add `correlation`, `contingency` and `mutual_information` to the record. */
sotto_status fidelity_pairs_record(const fidelity *in, const fidelity_pairs *pairs, json_t *record,
                                   sotto_error *err);

/** How many sets of three columns are counted at most; of more there are, a random sample of this size. */
enum { FIDELITY_TRIPLES = 1000 };

/** The record's `ways`. */
sotto_status fidelity_ways(const fidelity *in, const fidelity_pairs *pairs, json_t **ways, sotto_error *err);

/* ------------------------------------------------------------------ helpers */

/** 1 − ½ Σ |p − q| of two tallies with sums `one_sum` and `other_sum` below 2³², rounded once. Where one is
 * empty: 1 if the other is empty too, else 0. */
double fidelity_overlap(const size_t *one, size_t one_sum, const size_t *other, size_t other_sum,
                        size_t count);

/** A mean of what is defined. Begins as {0}. */
typedef struct fidelity_mean {
    double sum;
    size_t count;
} fidelity_mean;
void fidelity_mean_add(fidelity_mean *mean, double value);
double fidelity_mean_of(const fidelity_mean *mean); /**< NaN of nothing */

/** A JSON number; null for what is not finite. */
json_t *fidelity_number(double value);

/** The coded columns' names, or those of the numeric ones alone. */
json_t *fidelity_names(const fidelity *in, bool numeric);

/** A matrix over the coded columns, or over the numeric ones alone, as a list of rows. */
json_t *fidelity_matrix(const fidelity *in, const double *matrix, bool numeric);

/** For a record that could not be put together. */
sotto_status fidelity_no_memory(sotto_error *err);

#endif
