/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/timing.h"

#include <stdlib.h>
#include <time.h>

double bench_now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_typical(double *times, size_t count)
{
    qsort(times, count, sizeof *times, ascending);
    return times[count / 4];
}
