/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_FIGURES_H
#define SOTTO_RUN_FIGURES_H

/*
 * Inside this room: figures of how good the synthetic rows are that may be released, bought with a share of
 * ε.
 *
 *     config `figures` ─► columns, bins (public) ─► one noisy count of each column, charged before it is made
 *     synthetic rows, counted ─────────────────────► total variation between both ─► release/figures.json
 *     `predict` ─► a regression learned from synthetic rows ─► one noisy count of where it is right ──┘
 */

#include "run/run.h"

#define SOTTO_FIGURES_LABEL "figures"
#define SOTTO_FIGURES_WHAT                                                                                   \
    "how often each value, or bin of values, of the chosen columns occurs, to tell how near the synthetic rows come"

#define SOTTO_PREDICTION_LABEL "prediction"
#define SOTTO_PREDICTION_WHAT                                                                                \
    "about how many rows of each class a logistic regression that learned from the synthetic rows is right"

/** Which columns, from config and schema alone; `units` is how many units are expected, which is public. NULL
 * in `*figures` where the config asks for none. Caller destroys; the schema is borrowed. */
sotto_status sotto_figures_create(sotto_figures **figures, const sotto_config *config,
                                  const sotto_schema *schema, double units, sotto_error *err);
void sotto_figures_destroy(sotto_figures *figures);

/** Of ε. */
double sotto_figures_share(const sotto_figures *figures);

/** How many counts there are in all, those of a prediction included. */
size_t sotto_figures_cells(const sotto_figures *figures);

/** Tables, one for each column: how many. */
size_t sotto_figures_tables(const sotto_figures *figures);

/**
 * Count `units`, whose rows are rows of `table`, under `mechanism`, and keep the noisy counts: one charge to
 * the budget before the first row is looked at.
 */
sotto_status sotto_figures_buy(sotto_figures *figures, const sotto_table *table,
                               const sotto_mechanism *mechanism, sotto_budget *budget,
                               const sotto_units *units, sotto_random *random, sotto_error *err);

/** The noisy counts, if they were bought. */
void sotto_figures_state(sotto_figures *figures, sotto_state *state);

/** What is to be predicted; NULL where the config asks for nothing of the kind. */
sotto_prediction *sotto_figures_prediction(const sotto_figures *figures);

/**
 * The figures of the synthetic table at `path` as JSON, from it and the noisy counts alone: post-processing.
 * New reference.
 */
sotto_status sotto_figures_record(const sotto_figures *figures, const char *path, const char *not_private,
                                  json_t **record, sotto_error *err);

/* -------------------------------------------------------------- prediction */

/** What `figures.predict` asks for, from the section and the schema (borrowed) alone. NULL in `*prediction`
 * where it asks for nothing. Caller destroys. */
sotto_status sotto_prediction_create(sotto_prediction **prediction, const sotto_node *section,
                                     const sotto_schema *schema, sotto_error *err);
void sotto_prediction_destroy(sotto_prediction *prediction);

/** Of ε. */
double sotto_prediction_share(const sotto_prediction *prediction);

/** How many counts there are, in one table. */
size_t sotto_prediction_cells(const sotto_prediction *prediction);

/**
 * Learn from the synthetic table at `path`, and count of the rows of `units`, which are rows of `table`, how
 * many of each class are guessed rightly: charged to the budget before they are counted.
 */
sotto_status sotto_prediction_buy(sotto_prediction *prediction, const char *path, const sotto_table *table,
                                  const sotto_mechanism *mechanism, sotto_budget *budget,
                                  const sotto_units *units, sotto_random *random, sotto_error *err);

/** {"target", "model", "accuracy", "balanced_accuracy", "deviation_of_counts"} from the noisy counts alone;
 * NULL where none were bought. New reference. */
json_t *sotto_prediction_record(const sotto_prediction *prediction);

#endif
