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

bench_meter bench_meter_start(const sotto_bench_watch *watch, const char *phase, size_t turns)
{
    return (bench_meter){.watch = watch, .phase = phase, .turns = turns, .start = bench_now()};
}

void bench_meter_show(const bench_meter *meter, size_t done)
{
    if (!meter->watch)
        return;
    const double passed = bench_now() - meter->start;
    const sotto_progress progress = {
        .phase = meter->phase,
        .step = done,
        .steps = meter->turns,
        .seconds_left = passed / (double)done * (double)(meter->turns - done),
    };
    meter->watch->show(meter->watch->context, &progress);
}
