/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_FIGURES_H
#define SOTTO_RUN_FIGURES_H

/*
 * Inside this room: figures of how good the synthetic rows are that may be released, bought with a share of
 * ε.
 *
 *     config `figures` ─► columns, bins (public) ─► one noisy count of each column, charged before it is made
 *     synthetic rows, counted ─────────────────────► total variation between both ─► release/figures.json
 */

#include "run/run.h"

#define SOTTO_FIGURES_LABEL "figures"
#define SOTTO_FIGURES_WHAT                                                                                   \
    "how often each value, or bin of values, of the chosen columns occurs, to tell how near the synthetic rows come"

/** Which columns, from config and schema alone. NULL in `*figures` where the config asks for none. Caller
 * destroys; the schema is borrowed. */
sotto_status sotto_figures_create(sotto_figures **figures, const sotto_config *config,
                                  const sotto_schema *schema, sotto_error *err);
void sotto_figures_destroy(sotto_figures *figures);

/** Of ε. */
double sotto_figures_share(const sotto_figures *figures);

/** How many counts there are in all. */
size_t sotto_figures_cells(const sotto_figures *figures);

/** Tables, one for each column: how many. */
size_t sotto_figures_tables(const sotto_figures *figures);

/**
 * Count `units`, rows of `table`, under `mechanism`, and keep the noisy counts: one charge to the budget
 * before the first row is looked at.
 */
sotto_status sotto_figures_buy(sotto_figures *figures, const sotto_table *table,
                               const sotto_mechanism *mechanism, sotto_budget *budget, const uint32_t *units,
                               size_t unit_count, sotto_random *random, sotto_error *err);

/**
 * The figures of the synthetic table at `path` as JSON, from it and the noisy counts alone: post-processing.
 * New reference.
 */
sotto_status sotto_figures_record(const sotto_figures *figures, const char *path, const char *not_private,
                                  json_t **record, sotto_error *err);

#endif
