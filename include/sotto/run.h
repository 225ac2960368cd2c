/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_H
#define SOTTO_RUN_H

/**
 * run: what the `sotto` command does, as functions. A config in; a plan, a run directory or synthetic rows
 * out.
 *
 * Figures come back as JSON text (jansson, 17 significant digits) that the caller frees, so that every reader
 * — the command line, a report, another program — reads the same record. docs/records.md lists the keys.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sotto/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * How far a job is. Steps and ε are public; the speed is not quite, since a step's time depends on how many
 * rows its coins chose, so this is for whoever runs the job.
 */
typedef struct sotto_progress {
    const char *phase;       /**< "training", "sampling" */
    uint64_t step;           /**< steps or rows done */
    uint64_t steps;          /**< of how many */
    double epsilon;          /**< ε spent so far, at the config's δ; 0 while sampling */
    double target_epsilon;   /**< the budget */
    double steps_per_second; /**< over the last seconds */
    double seconds_left;     /**< an estimate; negative where there is none yet */
} sotto_progress;

/** What plan and train are asked to do. Initialise with `{0}` and set `config`. */
typedef struct sotto_run_options {
    const char *config;          /**< path of the config file */
    const char *const *settings; /**< "KEY=VALUE" texts that override the config, as `--set` */
    size_t setting_count;
    const char *output;           /**< run directory; NULL for the config's `output` */
    unsigned threads;             /**< 0 for as many as the machine has */
    bool resume;                  /**< train: go on with the run in the output directory */
    bool finish;                  /**< with resume: take no further step, make and publish what there is */
    bool insecure_test_only_seed; /**< take all randomness from `seed`: every artefact is stamped NOT PRIVATE
                                     (P9) */
    uint64_t seed;

    /** Called a few times a second, from the calling thread; may be NULL. */
    void (*progress)(void *context, const sotto_progress *progress);
    void *progress_context;

    /** Called for each warning about the plan, before anything is charged; may be NULL. */
    void (*warn)(void *context, const char *text);
    void *warn_context;

    /**
     * Asked before every step, and while sampling; true saves the run and ends it, for `resume` to go on
     * with. May be NULL.
     */
    bool (*stop)(void *context);
    void *stop_context;
} sotto_run_options;

/**
 * What a config would do and cost, without touching data: noise multiplier, steps, ε after each tenth of the
 * steps, expected time, warnings. Reads the config and the schema; never opens the table.
 */
SOTTO_API sotto_status sotto_run_plan(const sotto_run_options *options, char **json, sotto_error *err);

/**
 * Train, sample and write the run directory. SOTTO_ERROR_INPUT before anything is charged or made where
 * config, schema or table are wrong; SOTTO_ERROR_BUDGET where ε does not suffice for the plan;
 * also of a cap in the ledger;
 * SOTTO_INTERRUPTED (with `json` filled, the run saved and nothing released) where `stop` said so;
 * SOTTO_DIVERGED (with `json` filled, and the privacy statement alone in release/) where training went
 * nowhere and ended itself.
 */
SOTTO_API sotto_status sotto_run_train(const sotto_run_options *options, char **json, sotto_error *err);

/** Has the run in this directory made its release? SOTTO_ERROR_INPUT, saying how to go on, where one was
 * begun that has not; SOTTO_OK of anything else, a directory without a run included. */
SOTTO_API sotto_status sotto_run_check_finished(const char *run, sotto_error *err);

/** What sample is asked to do. Initialise with `{0}`. */
typedef struct sotto_sample_options {
    const char *model;        /**< a run directory or a model file */
    size_t rows;              /**< how many rows; 0 for as many as the schema declares */
    const char *const *where; /**< "COLUMN=VALUE" conditions on category columns, all of which must hold */
    size_t where_count;
    const char *balance; /**< a category column, each of whose values is wanted equally often; or NULL */
    const char *output;  /**< CSV path to write, which must not be there yet; "-" for standard output */
    bool insecure_test_only_seed;
    uint64_t seed;
    void (*progress)(void *context, const sotto_progress *progress);
    void *progress_context;

    /** Asked now and then; true gives up: SOTTO_INTERRUPTED, and no file. May be NULL. */
    bool (*stop)(void *context);
    void *stop_context;
} sotto_sample_options;

/** Synthetic rows from a trained model: post-processing, free of privacy cost. Replaces no file:
 * SOTTO_ERROR_INPUT, before any work, where `output` is there. */
SOTTO_API sotto_status sotto_run_sample(const sotto_sample_options *options, char **json, sotto_error *err);

/** What evaluate is asked to do. Initialise with `{0}`. */
typedef struct sotto_evaluate_options {
    const char *schema;    /**< path */
    const char *train;     /**< the table that the synthetic one was learned from */
    const char *test;      /**< other rows of the same population; NULL: no utility, no control for attacks */
    const char *synthetic; /**< NULL: `run`'s */
    const char *run;       /**< a run directory: its synthetic table, and its private/ to write to; or NULL */
    const char *output;    /**< directory to write to, made where it is absent; NULL: `run`'s private/ */
    const char *target;    /**< the column that models learn to predict; NULL: no utility */
    const char *sensitive; /**< a column whose groups are compared; or NULL */
    bool no_attacks;       /**< leave the attacks out */
    unsigned threads;      /**< 0 for as many as the machine has */
    bool insecure_test_only_seed;
    uint64_t seed;
    void (*progress)(void *context, const sotto_progress *progress); /**< may be NULL */
    void *progress_context;
} sotto_evaluate_options;

/**
 * Compare a synthetic table with the real ones: fidelity, utility, attacks. Writes evaluation.json and
 * report.html to the output, both for private/ only: they are computed from real rows without noise.
 * \param[out] json the record; caller frees
 */
SOTTO_API sotto_status sotto_run_evaluate(const sotto_evaluate_options *options, char **json,
                                          sotto_error *err);

/** What sweep is asked to do. Initialise with `{0}`. */
typedef struct sotto_sweep_options {
    sotto_run_options
        run;       /**< config with a section `sweep`, settings, output, threads of all runs together */
    unsigned jobs; /**< runs at once; 0 for as many as threads */
    bool resume;   /**< go on with the sweep in the output directory */
} sotto_sweep_options;

/**
 * Train and evaluate once for each combination of the config's `sweep` and each repeat, in processes of their
 * own. The caller must have one thread only, since it forks. Writes sweep.json, sweep.csv and sweep.html, all
 * of them private; runs that fail are noted there.
 * \param[out] json the record; caller frees
 * \return SOTTO_ERROR_BUDGET where all runs together would cross the sweep's own budget; SOTTO_INTERRUPTED
 *         where `stop` said so: `resume` goes on
 */
SOTTO_API sotto_status sotto_run_sweep(const sotto_sweep_options *options, char **json, sotto_error *err);

#ifdef __cplusplus
}
#endif

#endif
