/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BENCH_H
#define SOTTO_BENCH_H

/**
 * bench: what things cost, as ratios measured in one run on one machine. Like `openssl speed`: prints a
 * table.
 */

#include <stdbool.h>

#include "sotto/status.h"

/** What `sotto bench step` is asked. */
typedef struct sotto_bench_options {
    unsigned threads; /**< ≥ 1 */
    double seconds;   /**< of timing for each line, > 0 */
} sotto_bench_options;

/** One line: a private step against the same network's step without privacy. */
typedef struct sotto_bench_step {
    size_t batch;
    double private_steps_per_second;
    double plain_steps_per_second;
    double ratio; /**< time of the private step over time of the plain one */
} sotto_bench_step;

enum { SOTTO_BENCH_STEP_LINES = 4 };

/** The discriminator 128-256-256-1 with Adam at batches of 64, 256, 1024 and 4096 made-up rows. */
sotto_status sotto_bench_steps(const sotto_bench_options *options,
                               sotto_bench_step lines[SOTTO_BENCH_STEP_LINES], sotto_error *err);

#endif
