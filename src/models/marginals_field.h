/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_MARGINALS_FIELD_H
#define SOTTO_MARGINALS_FIELD_H

/*
 * Inside this room: a distribution over columns given as a graphical model, fitted to noisy tables of some of
 * them. Everything here is post-processing: no row is seen.
 *
 *     log p(row) = Σ over tables measured θ_table(the row's cell) − log Z
 *
 * All tables have the label as their first index and then columns in rising order. Sums over all rows that
 * there could be go by a junction tree: cliques of columns such that each table lies within one, and those
 * that share a column hang together.
 */

#include "sotto/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MARGINALS_MOST_COLUMNS = 64,
    MARGINALS_MOST_CELLS = 1 << 18, /**< of all cliques together */
    MARGINALS_MOST_WORK = 1 << 22,  /**< of one table that is no clique's: cells to go through at once */
};

/** A set of columns, by number. */
typedef uint64_t marginals_set;

/** How many values there are of each. */
typedef struct marginals_domain {
    size_t labels, columns;
    size_t groups[MARGINALS_MOST_COLUMNS];
} marginals_domain;

/** Cells of a table over `columns`; SIZE_MAX where they are more than 2⁴⁰. */
size_t marginals_cells(const marginals_domain *domain, marginals_set columns);

/* ---- marginals_junction.c ---- */

/** Cliques, each after its parent; the first has none. `separator`: what a clique shares with its parent;
 * `below`: the columns of a clique and of all that hang on it. A forest is joined by empty separators (of
 * labels). */
typedef struct marginals_junction {
    size_t count;
    marginals_set clique[MARGINALS_MOST_COLUMNS], separator[MARGINALS_MOST_COLUMNS],
        below[MARGINALS_MOST_COLUMNS];
    size_t parent[MARGINALS_MOST_COLUMNS];
} marginals_junction;

/** A junction tree for `tables`, by eliminating the column whose clique is smallest first. Every column is in
 * some clique. Returns the cells of all cliques together. */
size_t marginals_junction_make(marginals_junction *junction, const marginals_domain *domain,
                               const marginals_set *tables, size_t count);

/** The same, without making the tree. */
size_t marginals_junction_cells(const marginals_domain *domain, const marginals_set *tables, size_t count);

/** A clique that holds all of `columns`, or the junction's count. */
size_t marginals_junction_find(const marginals_junction *junction, marginals_set columns);

/* ---- marginals_belief.c ---- */

/** Tables of a junction tree's cliques. */
typedef struct marginals_belief {
    const marginals_domain *domain;
    marginals_junction junction;
    double *clique[MARGINALS_MOST_COLUMNS];    /**< potentials' logarithms, then the distribution */
    double *separator[MARGINALS_MOST_COLUMNS]; /**< [first is none] */
    double *ratio;                             /**< scratch for one separator */
    double *own;                               /**< the memory of all */
} marginals_belief;

sotto_status marginals_belief_create(marginals_belief *belief, const marginals_domain *domain,
                                     const marginals_set *tables, size_t count, sotto_error *err);
void marginals_belief_destroy(marginals_belief *belief);

/** All logarithms 0. */
void marginals_belief_clear(marginals_belief *belief);

/** Add logarithms [cells of columns] to the clique `home` that holds `columns`. */
void marginals_belief_add(marginals_belief *belief, size_t home, marginals_set columns, const double *logs);

/** Potentials' logarithms to the cliques' distributions, which sum to `total`, and log Z to `log_sum`. False
 * where nothing is left but zeros. */
bool marginals_belief_propagate(marginals_belief *belief, double total, double *log_sum);

/** After propagating: the table of columns that clique `home` holds. */
void marginals_belief_sum(const marginals_belief *belief, size_t home, marginals_set columns, double *cells);

/** Cells of the largest table that is made on the way to the table of these columns. */
size_t marginals_belief_work(const marginals_belief *belief, marginals_set columns);

/** After propagating: the table of any columns, by eliminating the others along the tree. */
sotto_status marginals_belief_table(const marginals_belief *belief, marginals_set columns, double *cells,
                                    sotto_error *err);

/* ---- marginals_field.c ---- */

/** A table as it was measured, [cells], and its part of the distribution. */
typedef struct marginals_factor {
    marginals_set columns;
    size_t cells, home;
    double *counts;         /**< mean of the noisy counts */
    double *guess;          /**< what the field said before it was first measured */
    double *theta, *centre; /**< centre: where θ leans to */
    double variance;        /**< of each count */
    double ridge;           /**< on θ − centre: variance/τ */
} marginals_factor;

typedef struct marginals_field {
    marginals_domain domain;
    double total; /**< rows: Σ of every table */
    marginals_factor *factors;
    size_t count, room;
    marginals_belief belief;
} marginals_field;

/** Uniform over `domain`, of `total` rows. Caller destroys. */
sotto_status marginals_field_create(marginals_field *field, const marginals_domain *domain, double total,
                                    sotto_error *err);
void marginals_field_destroy(marginals_field *field);

/** Take in noisy counts [cells of columns]; of columns taken in before, the mean is kept. */
sotto_status marginals_field_add(marginals_field *field, marginals_set columns, const double *counts,
                                 double variance, sotto_error *err);

/**
 * Fit to all that was taken in: the minimum of
 *
 *     total·log Z − Σ θ·counts + ½ Σ ridge·(θ − centre)²,
 *
 * which is convex. Its dual is what a graphical model of noisy tables usually minimises, Σ (table −
 * counts)²/(2·variance), beside an entropy that keeps it near where it was before a table came in; τ, a
 * table's own ratio of the two, is found from the table (empirical Bayes). L-BFGS, until a step wins less
 * than `tolerance` or `steps` were made.
 */
sotto_status marginals_field_fit(marginals_field *field, double tolerance, unsigned steps, sotto_error *err);

#endif
