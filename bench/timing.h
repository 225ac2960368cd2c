/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BENCH_TIMING_H
#define SOTTO_BENCH_TIMING_H

/** What the benchmarks share: a clock, and what a row of times says on a noisy machine. */

#include <stddef.h>

/** Seconds of a clock that is never set. */
double bench_now(void);

/** The median of the faster half; sorts `times`, of which there is at least one. */
double bench_typical(double *times, size_t count);

#endif
