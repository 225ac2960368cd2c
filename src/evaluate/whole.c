/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The three parts as one record. */
#include <time.h>

#include "evaluate/evaluate.h"

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Put what a part has found, or why it was skipped, into the record, and how long it took. */
static void put(json_t *record, json_t *seconds, const char *part, json_t *found, const char *skipped,
                double start)
{
    (void)json_object_set_new(record, part, found ? found : json_pack("{s:s}", "skipped", skipped));
    (void)json_object_set_new(seconds, part, json_real(seconds_now() - start));
}

sotto_status sotto_evaluate(const sotto_evaluation *evaluation, const sotto_utility_options *options,
                            bool attacks, json_t **record, sotto_error *err)
{
    json_t *all = json_object(), *seconds = json_object(), *found = NULL;
    double start = seconds_now();
    sotto_status status = sotto_evaluate_fidelity(evaluation, &found, err);
    if (status == SOTTO_OK) {
        put(all, seconds, "fidelity", found, "", start);
        found = NULL;
        start = seconds_now();
        if (options && evaluation->test)
            status = sotto_evaluate_utility(evaluation, options, &found, err);
    }
    if (status == SOTTO_OK) {
        put(all, seconds, "utility", found, options ? "there is no test table" : "no target was named",
            start);
        found = NULL;
        start = seconds_now();
        if (attacks)
            status = sotto_evaluate_attacks(evaluation, &found, err);
    }
    if (status == SOTTO_OK) {
        put(all, seconds, "attacks", found, "they were not asked for", start);
        (void)json_object_set_new(all, "seconds", seconds);
        *record = all;
        return SOTTO_OK;
    }
    json_decref(all);
    json_decref(seconds);
    return status;
}
