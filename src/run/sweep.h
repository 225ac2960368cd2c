/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_SWEEP_H
#define SOTTO_RUN_SWEEP_H

/*
 * Inside this room: a grid of configs, what it costs, its runs as processes, and its record.
 *
 *     config.yaml with `sweep:` ─► sweep_config (grid) ─► sweep_cost (plans, ε of all) ─► sweep (processes)
 *                                                      each: sweep_cell (train, evaluate, cell.json)
 *                                                      all:  sweep_record (sweep.json, sweep.csv)
 *                                                      one:  sweep_select (release/), where asked for
 *
 * A combination is one choice for each key; a cell is one run of one combination.
 */

#include "run/run.h"

/** One key of the grid and its values, as texts of YAML. */
typedef struct sotto_sweep_key {
    const char *key; /**< "privacy.epsilon" */
    size_t count;
    const char **values;
} sotto_sweep_key;

/** By which of the figures that every run bought one of them is chosen; run/figures.h. */
typedef enum sotto_select {
    SOTTO_SELECT_NONE,
    SOTTO_SELECT_PREDICTION, /**< the largest balanced accuracy */
    SOTTO_SELECT_LIKENESS,   /**< the smallest mean total variation */
} sotto_select;

/** The section `sweep` of a config, checked. */
typedef struct sotto_sweep {
    sotto_config config; /**< as if it were for one run, but for `sweep` */
    const sotto_run_options *options;
    size_t key_count;
    sotto_sweep_key *keys;
    size_t repeats;
    size_t combinations, cells;     /**< cells = combinations × repeats */
    const char *test;               /**< path, or NULL */
    const char *target, *sensitive; /**< or NULL */
    bool attacks;                   /**< evaluate them too */
    sotto_select select;
    double budget_epsilon; /**< of all runs together; 0 where none was declared */
    double delta;          /**< at which all of them together are accounted */
    double mean_runs;      /**< of the random number of runs that the record tells the cost of */
    sotto_arena *arena;
} sotto_sweep;

/** Read the config and its `sweep`. Caller destroys, in every case. */
sotto_status sotto_sweep_load(sotto_sweep *sweep, const sotto_run_options *options, sotto_error *err);
void sotto_sweep_destroy(sotto_sweep *sweep);

/** Cell c is run c / combinations of combination c % combinations: all combinations once, then again. */
size_t sotto_sweep_combination(const sotto_sweep *sweep, size_t cell);

/** The value of key k in a combination. */
const char *sotto_sweep_value(const sotto_sweep *sweep, size_t combination, size_t k);

/** What the evaluation of a run is asked to do; `run` may be NULL. */
sotto_evaluate_options sotto_sweep_evaluation(const sotto_sweep *sweep, const char *run, unsigned threads);

/** What a combination's value is in a record: a number where it is one, else a text. New reference. */
json_t *sotto_sweep_chosen(const sotto_sweep *sweep, size_t combination);

/** The options of one combination: the sweep's own, and one setting for each key. `settings` has room for all
 * of them; texts are the arena's. */
sotto_status sotto_sweep_options_of(sotto_sweep *sweep, size_t combination, const char ***settings,
                                    sotto_run_options *options, sotto_error *err);

/* -------------------------------------------------------------------- cost */

/** Plan every combination; `costs` [combinations] is the arena's. Errors name the combination. */
sotto_status sotto_sweep_plan(sotto_sweep *sweep, sotto_run_cost **costs, sotto_error *err);

/** `runs[i]` runs of combination i, composed, and their draws of exact noise at most. Caller destroys. */
sotto_status sotto_sweep_compose(const sotto_sweep *sweep, const sotto_run_cost *costs, const size_t *runs,
                                 sotto_accountant **accountant, double *draws, sotto_error *err);

/** ε at the sweep's δ of `runs[i]` runs of combination i, composed; rounded up; 0 of none. */
sotto_status sotto_sweep_epsilon(const sotto_sweep *sweep, const sotto_run_cost *costs, const size_t *runs,
                                 double *epsilon, sotto_error *err);

/**
 * ε if a random number of runs, `mean_runs` on average, each of a combination drawn at random, had been made
 * and the best alone released (Papernot and Steinke 2022). One run is charged as the costliest in every
 * respect. `shape` is the distribution's that costs least.
 */
sotto_status sotto_sweep_best_of_random(const sotto_sweep *sweep, const sotto_run_cost *costs,
                                        double *epsilon, double *shape, sotto_error *err);

/* ------------------------------------------------------------------- cells */

enum { SOTTO_SWEEP_ID_SIZE = 24 };

/** "007": the cell's folder in cells/. */
void sotto_sweep_id(size_t cell, char id[SOTTO_SWEEP_ID_SIZE]);

/** Is the cell trained, its release whole? Then nothing is left to be charged. */
bool sotto_sweep_cell_trained(const char *directory, size_t cell);

/**
 * Train (unless it is) and evaluate one cell in DIR/cells/ID/, and write its cell.json, also where it failed:
 * the whole life of a child process. `part` is what was charged for, and what its statement says. `share`, in
 * [0, 1], tells how far it is.
 */
sotto_status sotto_sweep_run_cell(sotto_sweep *sweep, const char *directory, size_t cell, unsigned threads,
                                  const sotto_sweep_part *part, void (*share)(void *context, double share),
                                  void *context, sotto_error *err);

/** The record of a cell that has ended, done or failed; NULL where there is none, or none that can be read.
 */
json_t *sotto_sweep_cell_record(const char *directory, size_t cell);

/** Did it end in a way that another try would not mend: done, or diverged? */
bool sotto_sweep_cell_settled(const json_t *record);

/** Was it done (and neither failed nor diverged)? */
bool sotto_sweep_cell_done(const json_t *record);

/* ------------------------------------------------------------------ record */

/** All that the record is made of. */
typedef struct sotto_sweep_outcome {
    const sotto_sweep *sweep;
    const sotto_run_cost *costs;
    const size_t *begun; /**< [cells]: how often each was begun; all of them are charged */
    json_t **cells;      /**< [cells]: their records, NULL where missing */
    json_t *selected;    /**< what sotto_sweep_select made; NULL where nothing was asked */
    double seconds;
} sotto_sweep_outcome;

/** A choice among runs, in the ledger: a run of its own, that charges nothing and publishes. */
typedef struct sotto_sweep_choice {
    sotto_ledger *ledger;
    sotto_ledger_run *run;
} sotto_sweep_choice;

/** Begin it. The table is read, for its hash alone. Caller destroys, in every case. */
sotto_status sotto_sweep_enroll_choice(const sotto_sweep *sweep, const char *directory, double epsilon,
                                       sotto_sweep_choice *choice, sotto_error *err);
void sotto_sweep_choice_destroy(sotto_sweep_choice *choice);

/** What every record of a sweep says of itself. */
extern const char sotto_sweep_notice[];

/** Read `select: best` (or prediction, likeness) of the section; `node` may be NULL. The config must buy the
 * figures. */
sotto_status sotto_sweep_read_select(sotto_sweep *sweep, const sotto_node *node, sotto_error *err);

/**
 * Choose the run whose noisy figure is best, and publish it as DIR/release with a statement of what all runs
 * that were begun cost together. `*selected` is {"id", "settings", "by", "score", "epsilon", "delta",
 * "release"}, or {"skipped": why} where a run is missing. Looks at releases alone. New reference.
 */
sotto_status sotto_sweep_select(const sotto_sweep_outcome *outcome, const char *directory, json_t **selected,
                                sotto_error *err);

/** sweep.json as docs/records.md has it. New reference. */
sotto_status sotto_sweep_record(const sotto_sweep_outcome *outcome, json_t **record, sotto_error *err);

/** What it would cost, before any of it is done. New reference. */
sotto_status sotto_sweep_plan_record(const sotto_sweep *sweep, const sotto_run_cost *costs, json_t **record,
                                     sotto_error *err);

/** The cells of a sweep's record as CSV; caller frees. */
sotto_status sotto_sweep_csv(const json_t *record, char **text, sotto_error *err);

#endif
