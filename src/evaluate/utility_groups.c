/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/utility.h"

#include <math.h>

/* Rows of one group. */
typedef struct group {
    double rows, predicted;            /* all, and predicted positive */
    double positives, true_positives;  /* truly positive, and of them predicted so */
    double negatives, false_positives; /* truly negative, and of them predicted positive */
} group;

/* The largest less the smallest of what is defined; NaN for fewer than two. */
typedef struct span {
    double low, high;
    size_t count;
} span;

static double rate(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

static void widen(span *of, double value)
{
    if (isnan(value))
        return;
    of->low = of->count == 0 || value < of->low ? value : of->low;
    of->high = of->count == 0 || value > of->high ? value : of->high;
    of->count++;
}

static double length(const span *of)
{
    return of->count >= 2 ? of->high - of->low : NAN;
}

static void count_groups(const sotto_utility_groups *groups, const uint8_t *truth, const uint8_t *predicted,
                         group *counted)
{
    for (size_t i = 0; i < groups->rows; i++) {
        group *at = &counted[groups->of[i]];
        at->rows += 1;
        at->predicted += predicted[i];
        at->positives += truth[i];
        at->negatives += 1 - truth[i];
        at->true_positives += truth[i] & predicted[i];
        at->false_positives += (1 - truth[i]) & predicted[i];
    }
}

json_t *sotto_utility_compare_groups(const sotto_utility_groups *groups, const uint8_t *truth,
                                     const uint8_t *predicted)
{
    span positive = {0}, true_positive = {0}, false_positive = {0};
    sotto_arena *scratch = NULL;
    json_t *list = json_array();
    if (sotto_arena_create(&scratch, NULL) != SOTTO_OK) {
        json_decref(list);
        return NULL;
    }
    group *counted = sotto_arena_take(scratch, groups->count, sizeof *counted, NULL);
    bool whole = counted && list;
    if (whole)
        count_groups(groups, truth, predicted, counted);
    for (size_t g = 0; whole && g < groups->count; g++) {
        const group *at = &counted[g];
        if (at->rows == 0)
            continue;
        const double all = rate(at->predicted, at->rows), right = rate(at->true_positives, at->positives),
                     wrong = rate(at->false_positives, at->negatives);
        widen(&positive, all);
        widen(&true_positive, right);
        widen(&false_positive, wrong);
        whole = json_array_append_new(list, json_pack("{s:s, s:I, s:o, s:o, s:o}", "group", groups->names[g],
                                                      "rows", (json_int_t)at->rows, "positive_rate",
                                                      sotto_utility_number(all), "true_positive_rate",
                                                      sotto_utility_number(right), "false_positive_rate",
                                                      sotto_utility_number(wrong))) == 0;
    }
    sotto_arena_destroy(scratch);
    if (!whole) {
        json_decref(list);
        return NULL;
    }
    /* fmax takes the other one where one is not defined. */
    return json_pack("{s:o, s:o, s:o}", "groups", list, "demographic_parity_difference",
                     sotto_utility_number(length(&positive)), "equalised_odds_difference",
                     sotto_utility_number(fmax(length(&true_positive), length(&false_positive))));
}
