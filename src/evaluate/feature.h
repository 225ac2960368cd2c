/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_EVALUATE_FEATURE_H
#define SOTTO_EVALUATE_FEATURE_H

/**
 * feature: rows of a table as what classifiers read. A plan says how, and is learned from the rows that a
 * model is trained on; with it any table of the same schema can be read.
 *
 * A category becomes a one-hot over the declared values, and over "missing" where that is allowed. A number
 * or date becomes (s − mean)/deviation, where s is log(1 + x − min) if the schema says so: 0 where missing,
 * and throughout where the column is constant. Behind it comes a one-hot of what else may be said of it:
 * that it is missing, where that is allowed, and which of the declared spikes it is; all 0 for neither.
 *
 * Every row has the same number of entries that may differ from zero, in ascending order of their columns.
 */

#include "data/data.h"

/** Some rows of a table. */
typedef struct sotto_features_source {
    const sotto_table *table;
    const uint32_t *rows; /**< [count]; NULL: the first `count` */
    size_t count;
} sotto_features_source;

/** The elements that belong to one column of the schema. */
typedef struct sotto_features_field {
    size_t column; /**< of the schema */
    bool category;
    bool missing;        /**< category: its last element says that it is missing; number: its second one */
    size_t offset;       /**< its first element in a row vector */
    size_t width;        /**< elements: categories and missing, or the value and its states */
    size_t entry;        /**< its first entry in a row: one for a category, one or two for a number */
    double mean, factor; /**< numbers: factor is 1/deviation, or 0 for a constant column */
} sotto_features_field;

/** How to read rows. Read-only once made; may be shared between threads. */
typedef struct sotto_features_plan {
    size_t width;   /**< elements of a row vector */
    size_t entries; /**< of them, how many each row may have that are not zero */
    size_t field_count;
    sotto_features_field *fields;
    const sotto_schema *schema; /**< borrowed */
    sotto_arena *arena;         /**< private */
} sotto_features_plan;

/**
 * A plan by the means and deviations of a stack of `sources` [count ≥ 1], all of one schema, which must
 * outlive the plan. `left_out` [columns of the schema] marks what is not to be read, the target for one; may
 * be NULL. Identifiers are never read. Caller destroys.
 */
sotto_status sotto_features_plan_create(sotto_features_plan **plan, const sotto_features_source *sources,
                                        size_t count, const bool *left_out, sotto_error *err);
void sotto_features_plan_destroy(sotto_features_plan *plan);

/** Rows as read by a plan. */
typedef struct sotto_features {
    const sotto_features_plan *plan; /**< borrowed */
    size_t rows;
    uint32_t *columns;  /**< [rows, entries], ascending in each row */
    float *values;      /**< [rows, entries] */
    sotto_arena *arena; /**< private */
} sotto_features;

/** Room for `rows` rows, all elements zero. The plan must outlive them. Caller destroys. */
sotto_status sotto_features_create(sotto_features **features, const sotto_features_plan *plan, size_t rows,
                                   sotto_error *err);
void sotto_features_destroy(sotto_features *features);

/**
 * Read a source into the rows from `first` on, so that a stack is filled in several calls. With `shuffle`
 * each column's cells are shuffled among these rows on their own, which makes the columns independent of one
 * another and leaves each as it is.
 */
sotto_status sotto_features_fill(sotto_features *features, size_t first, const sotto_features_source *source,
                                 sotto_stream *shuffle, sotto_error *err);

/**
 * The same rows as one number for each field, [rows, field_count], as trees want them: a category's number in
 * the order of the schema, a number's scaled value, NaN where missing.
 */
void sotto_features_dense(const sotto_features *features, float *out);

/**
 * A random sample of `wanted` of `rows` [count], drawn without replacement, moved to the front in random
 * order; where there are no more than that, all stay as they are. Returns how many there are.
 */
size_t sotto_rows_sample(uint32_t *rows, size_t count, size_t wanted, sotto_stream *stream);

/** Put `rows` [count] into a random order. */
void sotto_rows_shuffle(uint32_t *rows, size_t count, sotto_stream *stream);

#endif
