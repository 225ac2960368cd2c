/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <stdatomic.h>
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

/*
 * A record is put together from some hundred parts, and jansson tells of each that it had no memory for; one
 * that was left out would make the record untrue. So all its requests pass here, and no record is written
 * after one failed.
 */
static atomic_bool json_short;
static json_malloc_t json_take_before;

static void *json_take(size_t size)
{
    void *memory = json_take_before(size);
    if (!memory)
        json_short = true;
    return memory;
}

static void json_watch(void)
{
    json_free_t give;
    json_get_alloc_funcs(&json_take_before, &give);
    json_set_alloc_funcs(json_take, give);
}

void sotto_json_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, json_watch);
    json_short = false;
}

sotto_status sotto_json_text(json_t *json, char **text, sotto_error *err)
{
    *text = NULL;
    char *plain = json && !json_short ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (plain) {
        const size_t length = strlen(plain);
        *text = realloc(plain, length + 2);
        if (*text)
            memcpy(*text + length, "\n", 2);
        else
            free(plain);
    }
    if (*text && json_short) { /* while it was written */
        free(*text);
        *text = NULL;
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
