/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_RUN_SWEEP_WORK_H
#define SOTTO_RUN_SWEEP_WORK_H

/* Inside this room: a sweep under way, its directory (sweep_place.c) and its processes (sweep.c). */

#include <stdatomic.h>
#include <sys/types.h>

#include "run/sweep.h"

enum { SOTTO_SWEEP_JOBS = 256 };

/* One process, and how far it is, in memory that both share. */
typedef struct sotto_sweep_slot {
    pid_t process; /* 0 where none is at work */
    size_t cell;
} sotto_sweep_slot;

typedef struct sotto_sweep_work {
    const sotto_sweep_options *options;
    sotto_sweep sweep;
    sotto_run_cost *costs;
    const char *directory;
    int journal; /* DIR/begun, locked */
    size_t *begun;
    json_t **cells;
    unsigned jobs, threads; /* at once; of each */
    sotto_sweep_slot slots[SOTTO_SWEEP_JOBS];
    _Atomic double *shares; /* [jobs] */
    char tuning[480];
    size_t done_before; /* cells done when this began */
    double start;
    bool stopping;
} sotto_sweep_work;

/** Would the data set's cap bear `runs[i]` runs of combination i? SOTTO_ERROR_BUDGET where not. */
sotto_status sotto_sweep_check_cap(const sotto_sweep_work *work, const size_t *runs, sotto_error *err);

/** Runs of earlier tries that will not be gone on with hold nothing of the cap any more but what they were
 * charged. */
sotto_status sotto_sweep_let_go(const sotto_sweep_work *work, sotto_error *err);

/** SOTTO_ERROR_IO at `path`: what could not be done, and the system's reason. */
sotto_status sotto_sweep_io_error(const char *path, const char *what, sotto_error *err);

/**
 * Make the sweep's directory, or find it as it was left: lock it, hold its identity (config, schema, files,
 * random numbers) against this one's, read which runs were begun and what records they left.
 */
sotto_status sotto_sweep_open(sotto_sweep_work *work, sotto_error *err);

/**
 * Charge a run that is about to begin, onto the disk (P7), and give it an empty folder; what an earlier try
 * has left is kept under another name.
 */
sotto_status sotto_sweep_begin(sotto_sweep_work *work, size_t cell, sotto_error *err);

#endif
