/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BENCH_TIMING_H
#define SOTTO_BENCH_TIMING_H

/** What the benchmarks share: a clock, what a row of times says on a noisy machine, and how far they are. */

#include "bench/bench.h"

/** Seconds of a clock that is never set. */
double bench_now(void);

/** The median of the faster half; sorts `times`, of which there is at least one. */
double bench_typical(double *times, size_t count);

/** Tells whoever watches how many turns are done. */
typedef struct bench_meter {
    const sotto_bench_watch *watch; /**< or NULL */
    const char *phase;
    size_t turns;
    double start;
} bench_meter;

bench_meter bench_meter_start(const sotto_bench_watch *watch, const char *phase, size_t turns);
void bench_meter_show(const bench_meter *meter, size_t done);

#endif
