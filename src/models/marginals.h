/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_MARGINALS_H
#define SOTTO_MARGINALS_H

/*
 * Inside this room: a tree of columns, learned from noisy counts (McKenna, Miklau and Sheldon 2021, "MST").
 *
 *     one-way counts ─► groups of slots, guesses of pairs ─► picks of a tree's pairs ─► counts of these
 *                                                                                          │
 *     rows, drawn from the root down ◄── chances of each column given its parent ◄── fitted tables
 *
 * With a target all of it is done for each of its values, which here are called labels: every table has the
 * label as its first index, and the tree is the same for all. Without, there is one label.
 */

#include "models/kind.h"

/** A modelled column other than the target. A group is one slot, but the last may be of several: those that
 * were counted too rarely to be told from noise. */
typedef struct marginals_column {
    size_t block, slots, groups;
    uint16_t *group_of;  /**< [slots] */
    uint16_t *slot_of;   /**< [groups]: of each but a group of rare slots, its slot */
    uint16_t *rare;      /**< [rare_count], rising: the slots of the last group, or none */
    size_t rare_count;   /**< 0, or 2 and more */
    size_t parent;       /**< column, or SOTTO_NONE for the root */
    size_t chances;      /**< first of [labels, parent's groups or 1, groups] of the released numbers */
    size_t rare_chances; /**< first of [labels, rare_count] */
} marginals_column;

typedef struct marginals {
    sotto_model base;
    sotto_arena *arena;
    size_t target;       /**< schema column, or SOTTO_NONE */
    size_t target_block; /**< or SOTTO_NONE */
    size_t blocks, labels;
    size_t column_count; /**< those that can have more than one value; ≥ 1 */
    marginals_column *columns;
    size_t *order;           /**< [column_count]: every column after its parent */
    double *label_frequency; /**< [labels], sums to 1 */
    double *label_cumulative;
    size_t released_count;
    float *released;    /**< chances: NULL before learning or reading */
    double *cumulative; /**< of them, along the last index */
    const sotto_encoded *data;
} marginals;

/** A learned table of a tree's edge: [labels, groups of a, groups of b], a < b columns. */
typedef struct marginals_pair {
    size_t a, b;
    double *cells;
} marginals_pair;

/* marginals_tree.c: groups, tree and the room for what is released. */

/** `is_rare` [slots] of one column: its groups. A single rare slot stays what it is. */
void marginals_group(marginals_column *column, const bool *is_rare);

/** Parents and order from `column_count` − 1 edges; false where they are no tree. */
bool marginals_root(marginals *model, const size_t (*edges)[2]);

/** Lay out and take what is released, for the groups and the tree that are set. */
sotto_status marginals_take(marginals *model, sotto_error *err);

/** Make `cumulative` of what was learned or read; false where a row of chances is none. */
bool marginals_add_up(marginals *model);

/* marginals_learn.c */
size_t marginals_releases(const sotto_model *model, sotto_model_release *releases);
sotto_status marginals_learn(sotto_model *model, const sotto_release_door *door, sotto_error *err);

/* marginals_fit.c: from noisy counts to tables that agree with each other. */

/** A noisy sum of what is sought, and its variance. */
void marginals_combine(double *mean, double *precision, double value, double variance);

/**
 * Draw a noisy table towards what its margins alone tell, g = row·column/total, the more where noise drowns
 * the difference: the best linear estimate if differences have a variance of τ·g, τ being found from the
 * table itself, whose cells carry noise of `variance` (empirical Bayes; Efron and Morris 1973). In place.
 */
void marginals_shrink(double *table, size_t rows, size_t columns, const double *row_sums,
                      const double *column_sums, double variance);

/**
 * The table nearest to `table` [rows, columns] of those that are nowhere below 0 and have these row and
 * column sums, both of the same total, in the least squares sense (Dykstra's alternating projections; what
 * they leave undone after a while is made up for by proportional fitting). In place; agrees with the sums to
 * one part in 10⁶ of the total. `scratch` has room for 3·rows·columns + 2·max(rows, columns).
 */
void marginals_fit(double *table, size_t rows, size_t columns, const double *row_sums,
                   const double *column_sums, double *scratch);

#endif
