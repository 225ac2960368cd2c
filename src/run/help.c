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

sotto_status sotto_json_text(json_t *json, char **text, sotto_error *err)
{
    *text = NULL;
    char *plain = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (plain) {
        const size_t length = strlen(plain);
        *text = realloc(plain, length + 2);
        if (*text)
            memcpy(*text + length, "\n", 2);
        else
            free(plain);
    }
    return *text ? SOTTO_OK : sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a record");
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
