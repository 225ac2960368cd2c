/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_MARGINALS_H
#define SOTTO_MARGINALS_H

/*
 * Inside this room: how columns go together, learned from noisy counts. There are two algorithms.
 *
 * "MST" (McKenna, Miklau and Sheldon 2021), a tree of columns:
 *
 *     one-way counts ─► groups of slots, guesses of pairs ─► picks of a tree's pairs ─► counts of these
 *                                                                                          │
 *     rows, drawn from the root down ◄── chances of each column given its parent ◄── fitted tables
 *
 * "AIM" (McKenna, Mullins, Sheldon and Miklau 2022), a graphical model, one table after another:
 *
 *     one-way counts ─► groups ─► graphical model ─► pick of the pair or triple that it says worst ─► its
 * counts │     ▲                                                         │ rows, drawn clique by clique ◄───┘
 * └─────────────────────────────────────────────────────────┘
 *
 * With a target all of it is done for each of its values, which here are called labels: every table has the
 * label as its first index, and the tree is the same for all. Without, there is one label.
 */

#include "models/kind.h"
#include "models/marginals_field.h"

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

/** Columns whose chances, given those that were drawn before, are released in one table: [rows, width], rows
 * being of the label and the columns given, width of the fresh ones, both in rising order. */
typedef struct marginals_clique {
    marginals_set columns, fresh;
    size_t first, rows, width;
} marginals_clique;

typedef enum marginals_algorithm { MARGINALS_MST, MARGINALS_AIM } marginals_algorithm;

typedef struct marginals {
    sotto_model base;
    sotto_arena *arena;
    size_t target;       /**< schema column, or SOTTO_NONE */
    size_t target_block; /**< or SOTTO_NONE */
    size_t blocks, labels;
    size_t column_count; /**< those that can have more than one value; ≥ 1 */
    marginals_column *columns;
    marginals_algorithm algorithm;
    size_t *order;             /**< MST, [column_count]: every column after its parent */
    marginals_clique *cliques; /**< AIM, [column_count] */
    size_t clique_count;
    double *label_frequency; /**< [labels], sums to 1 */
    double *label_cumulative;
    size_t released_count;
    float *released;    /**< chances: NULL before learning or reading */
    double *cumulative; /**< of them, along the last index */
    const sotto_encoded *data;
} marginals;

/* marginals_tree.c: groups, tree and the room for what is released. */

/** `is_rare` [slots] of one column: its groups. A single rare slot stays what it is. */
void marginals_group(marginals_column *column, const bool *is_rare);

/** Parents and order from `column_count` − 1 edges; false where they are no tree. */
bool marginals_root(marginals *model, const size_t (*edges)[2]);

/** Lay out and take what is released, for the groups and the tree or cliques that are set. */
sotto_status marginals_take(marginals *model, sotto_error *err);

/** Make `cumulative` of what was learned or read; false where a row of chances is none. */
bool marginals_add_up(marginals *model);

/* marginals_columns.c: counts of columns on their own. */

typedef struct marginals_counts {
    double deviation;   /**< of a count */
    double *counts;     /**< [column][labels, slots] */
    double *slots;      /**< fitted shares, as `counts` */
    size_t *first;      /**< [columns]: where a column's begin */
    size_t *table_size; /**< [columns] */
    double *totals;     /**< [labels] */
    double *scratch;    /**< [slots] */
} marginals_counts;

sotto_model_release marginals_columns_release(const marginals *model, double share);

/** Release `number`: counts, totals, shares, and the columns' groups. Memory is the arena's. */
sotto_status marginals_columns_learn(marginals_counts *counts, marginals *model,
                                     const sotto_release_door *door, size_t number, sotto_arena *arena,
                                     sotto_error *err);
size_t marginals_label_of(const marginals *model, uint32_t unit);

/** `count` of `from`, `stride` apart, to sum to 1; where they are all 0, `otherwise` or alike. */
void marginals_set_shares(float *to, const double *from, size_t stride, size_t count,
                          const double *otherwise);

/** The released chances of slots that are joined in one group. */
void marginals_columns_set_rare(marginals *model, const marginals_counts *counts);

/* marginals_cliques.c */

marginals_domain marginals_domain_of(const marginals *model);

/** Set the cliques; false where one adds nothing, or they lack a column. */
bool marginals_cliques_set(marginals *model, const marginals_set *cliques, size_t count);

/** Lay out their chances from number `*count` on, which rises; false where they are more than
 * MARGINALS_MOST_CELLS. */
bool marginals_cliques_place(marginals *model, size_t *count);

/** The released chances of a clique, from its table. */
void marginals_cliques_release(marginals *model, size_t number, const double *table);

/** A row's groups, `groups` [column_count]. */
void marginals_cliques_draw(const marginals *model, sotto_stream *stream, size_t label, size_t *groups);

/* marginals_state.c */
void marginals_state(sotto_model *base, sotto_state *state);

/* marginals_mst.c, marginals_aim.c */
size_t marginals_mst_releases(const marginals *model, sotto_model_release *releases);
sotto_status marginals_mst_learn(marginals *model, const sotto_release_door *door, sotto_error *err);
size_t marginals_aim_releases(const marginals *model, sotto_model_release *releases);
sotto_status marginals_aim_learn(marginals *model, const sotto_release_door *door, sotto_error *err);

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
