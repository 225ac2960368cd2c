/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate/attacks.h"

/* Fewer members or others say nothing: the interval leans on the normal distribution. */
enum { LEAST_ROWS = 20 };

/* --------------------------------------------------------------------- ROC */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/*
 * Mean and variance of the placements of `scores` among `others`, both ascending: the share of others that
 * are below, ties counted half. Returns the mean; `*variance` is that of the mean.
 */
static double placements(const double *scores, size_t count, const double *others, size_t other_count,
                         double *variance)
{
    double sum = 0, squares = 0;
    for (size_t i = 0, below = 0, until = 0; i < count; i++) {
        while (below < other_count && others[below] < scores[i])
            below++;
        while (until < other_count && others[until] <= scores[i])
            until++;
        const double place = (double)(below + until) / 2 / (double)other_count;
        sum += place;
        squares += place * place;
    }
    const double n = (double)count, mean = sum / n;
    const double spread = squares - n * mean * mean;
    *variance = count > 1 && spread > 0 ? spread / (n - 1) / n : 0;
    return mean;
}

sotto_roc sotto_roc_of(double *members, size_t member_count, double *others, size_t other_count)
{
    qsort(members, member_count, sizeof *members, compare_doubles);
    qsort(others, other_count, sizeof *others, compare_doubles);
    double of_members, of_others;
    const double auc = placements(members, member_count, others, other_count, &of_members);
    placements(others, other_count, members, member_count, &of_others);
    const double error = SOTTO_Z95 * sqrt(of_members + of_others);
    /* The highest score that one in a hundred others, rounded down, exceeds; only what lies above is called.
     */
    const double threshold = others[other_count - 1 - other_count / 100];
    size_t called = 0;
    while (called < member_count && members[member_count - 1 - called] > threshold)
        called++;
    return (sotto_roc){.auc = auc,
                       .low = auc - error > 0 ? auc - error : 0,
                       .high = auc + error < 1 ? auc + error : 1,
                       .true_positive_rate = (double)called / (double)member_count};
}

/* ------------------------------------------------------------------ attack */

/* The test table in two random halves: people that are no members, and the attacker's own sample of the
 * population.
 */
typedef struct halves {
    size_t other_count, reference_count;
    uint32_t *others, *reference;
} halves;

static sotto_status halve(sotto_scene *scene, halves *made, sotto_arena *arena, sotto_error *err)
{
    const size_t rows = scene->test->rows;
    made->other_count = rows / 2;
    made->reference_count = rows - made->other_count;
    made->others = sotto_sample_rows(scene->stream, rows, made->other_count, arena, err);
    made->reference = sotto_arena_take(arena, made->reference_count, sizeof *made->reference, err);
    if (!made->others || !made->reference)
        return SOTTO_ERROR_MEMORY;
    for (size_t row = 0, other = 0; row < rows; row++) {
        if (other < made->other_count && made->others[other] == row)
            other++;
        else
            made->reference[row - other] = (uint32_t)row;
    }
    return SOTTO_OK;
}

/*
 * The logarithm of (distance to the nearest reference row) / (distance to the nearest synthetic row), up to
 * what is the same for all: a nearest-neighbour estimate of the ratio of the two densities, to the power of
 * one by the dimension. One unit is added to both, so that equal rows have a score.
 */
static sotto_status score(sotto_scene *scene, const sotto_points *reference, const sotto_points *people,
                          const uint32_t *rows, size_t count, double *scores, sotto_arena *arena,
                          sotto_error *err)
{
    sotto_neighbour *near = sotto_arena_take(arena, count, 2 * sizeof *near, err);
    if (!near)
        return SOTTO_ERROR_MEMORY;
    sotto_search search = {scene->synthetic,          people, rows, count, sotto_stream_u64(scene->stream),
                           scene->evaluation->threads};
    sotto_status status = sotto_neighbours_find(&search, NULL, 1, near, err);
    search.among = reference;
    if (!status)
        status = sotto_neighbours_find(&search, NULL, 1, near + count, err);
    for (size_t i = 0; i < count && !status; i++)
        scores[i] = log((1.0 + near[count + i].distance) / (1.0 + near[i].distance));
    return status;
}

static sotto_status report(const sotto_roc *roc, size_t members, size_t others, json_t **record,
                           sotto_error *err)
{
    const bool leak = roc->low > 0.5;
    *record = json_pack(
        "{s:f,s:f,s:f,s:f,s:s,s:s,s:I,s:I}", "auc", roc->auc, "low", roc->low, "high", roc->high,
        "true_positive_rate_at_1_percent", roc->true_positive_rate, "verdict", leak ? "leak" : "inconclusive",
        "explanation",
        leak
            ? "People in the training table can be told from others of the same population by how close the "
              "synthetic table comes to them."
            : "This attack tells people in the training table from others no better than a coin does, which is no "
              "evidence of safety.",
        "sampled", (json_int_t)members, "others", (json_int_t)others);
    return sotto_json_made(*record, err);
}

static sotto_status attack(sotto_scene *scene, sotto_arena *arena, json_t **record, sotto_error *err)
{
    halves h;
    sotto_status status = halve(scene, &h, arena, err);
    if (status)
        return status;
    const size_t members = scene->train->rows < scene->attempts ? scene->train->rows : scene->attempts;
    const size_t others = h.other_count < scene->attempts ? h.other_count : scene->attempts;
    const uint32_t *member_rows = sotto_sample_rows(scene->stream, scene->train->rows, members, arena, err);
    uint32_t *other_rows =
        member_rows ? sotto_sample_rows(scene->stream, h.other_count, others, arena, err) : NULL;
    double *scores = other_rows ? sotto_arena_take(arena, members + others, sizeof *scores, err) : NULL;
    if (!scores)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < others; i++)
        other_rows[i] = h.others[other_rows[i]];
    sotto_points *reference = NULL;
    status = sotto_points_create(&reference, scene->evaluation->test, h.reference, h.reference_count, err);
    if (!status)
        status = score(scene, reference, scene->train, member_rows, members, scores, arena, err);
    if (!status)
        status = score(scene, reference, scene->test, other_rows, others, scores + members, arena, err);
    if (!status) {
        const sotto_roc roc = sotto_roc_of(scores, members, scores + members, others);
        status = report(&roc, members, others, record, err);
    }
    sotto_points_destroy(reference);
    return status;
}

sotto_status sotto_attack_membership(sotto_scene *scene, json_t **record, sotto_error *err)
{
    const char *why = !scene->test ? "there is no test table to compare with"
                      : scene->test->rows < 2 * LEAST_ROWS || scene->train->rows < LEAST_ROWS
                          ? "it needs 20 rows of the training table and 40 of the test table"
                          : NULL;
    if (why) {
        *record = json_pack("{s:s}", "skipped", why);
        return sotto_json_made(*record, err);
    }
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (!status)
        status = attack(scene, arena, record, err);
    sotto_arena_destroy(arena);
    return status;
}
