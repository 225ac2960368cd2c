/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run/run.h"

double sotto_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

sotto_status sotto_run_random(sotto_random **random, bool insecure_test_only_seed, uint64_t seed,
                              sotto_error *err)
{
    return insecure_test_only_seed ? sotto_random_create_insecure_for_tests(random, seed, err)
                                   : sotto_random_create(random, err);
}

unsigned sotto_run_threads(unsigned wanted)
{
    long machine = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = wanted ? wanted : machine > 0 ? (unsigned)machine : 1;
    return threads < SOTTO_LANES ? threads : SOTTO_LANES;
}
