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
     * Asked after every step, and while sampling unless training was stopped already; true stops cleanly,
     * keeping what is paid for. May be NULL.
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
 * SOTTO_INTERRUPTED (with `json` filled and the directory complete) where `stop` said so.
 */
SOTTO_API sotto_status sotto_run_train(const sotto_run_options *options, char **json, sotto_error *err);

/** What sample is asked to do. Initialise with `{0}`. */
typedef struct sotto_sample_options {
    const char *model;        /**< a run directory or a model file */
    size_t rows;              /**< how many rows; 0 for as many as the schema declares */
    const char *const *where; /**< "COLUMN=VALUE" conditions on category columns, all of which must hold */
    size_t where_count;
    const char *output; /**< CSV path to write; "-" for standard output */
    bool insecure_test_only_seed;
    uint64_t seed;
    void (*progress)(void *context, const sotto_progress *progress);
    void *progress_context;

    /** Asked now and then; true gives up: SOTTO_INTERRUPTED, and no file. May be NULL. */
    bool (*stop)(void *context);
    void *stop_context;
} sotto_sample_options;

/** Synthetic rows from a trained model: post-processing, free of privacy cost. */
SOTTO_API sotto_status sotto_run_sample(const sotto_sample_options *options, char **json, sotto_error *err);

#ifdef __cplusplus
}
#endif

#endif
