/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "evaluate/attacks.h"

enum { BINS = 20 };

/* Distances of the sampled synthetic rows: the nearest of the train and of the test rows, of as many each. */
typedef struct closest {
    size_t count;
    const uint32_t *rows;
    sotto_neighbour *train, *test;
} closest;

static int compare_neighbours(const void *a, const void *b)
{
    const sotto_neighbour *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/*
 * The share that is closer to a train row, ties counted half. Synthetic rows whose nearest row is the same
 * one say the same thing, so n of them count as n² / Σ cluster² independent ones (Kish's design effect).
 */
static sotto_rate share_of(const closest *c, uint32_t *nearest)
{
    double closer = 0, clusters = 0;
    for (int side = 0; side < 2; side++) {
        size_t count = 0;
        for (size_t i = 0; i < c->count; i++) {
            const sotto_neighbour *mine = side ? &c->test[i] : &c->train[i];
            const sotto_neighbour *other = side ? &c->train[i] : &c->test[i];
            if (mine->distance < other->distance)
                nearest[count++] = mine->row;
        }
        clusters += sotto_sum_of_squares(nearest, count);
        closer += side ? -(double)count / 2 : (double)count / 2;
    }
    size_t ties = 0;
    for (size_t i = 0; i < c->count; i++)
        ties += c->train[i].distance == c->test[i].distance;
    const double n = (double)c->count;
    const double share = (n / 2 + closer) / n;
    const double worth = n * n / (clusters + (double)ties);
    return sotto_wilson_worth(share * n, n, worth);
}

/* ------------------------------------------------------------------ record */

/* The distance as a mean over columns, in [0, 1]. */
static double mean_distance(const sotto_neighbour *found, size_t columns)
{
    return (double)found->distance / ((double)sotto_distance_unit(columns) * (double)columns);
}

/* Shares of sorted distances in BINS bins of equal width up to `end`. */
static json_t *shares(const sotto_neighbour *sorted, size_t count, size_t columns, double end)
{
    size_t bins[BINS] = {0};
    for (size_t i = 0; i < count; i++) {
        const double place = end > 0 ? mean_distance(&sorted[i], columns) / end * BINS : 0;
        bins[place < BINS ? (size_t)place : BINS - 1]++;
    }
    json_t *list = json_array();
    for (size_t b = 0; b < BINS; b++)
        if (json_array_append_new(list, json_real((double)bins[b] / (double)count)))
            return json_decref(list), NULL;
    return list;
}

static json_t *edges(double end)
{
    json_t *list = json_array();
    for (size_t b = 0; b <= BINS; b++)
        if (json_array_append_new(list, json_real(end * (double)b / BINS)))
            return json_decref(list), NULL;
    return list;
}

static double median(const sotto_neighbour *sorted, size_t count, size_t columns)
{
    return (mean_distance(&sorted[(count - 1) / 2], columns) + mean_distance(&sorted[count / 2], columns)) /
           2;
}

/* Sorts the distances. */
static sotto_status report(const closest *c, size_t columns, const sotto_rate *share, json_t **record,
                           sotto_error *err)
{
    qsort(c->train, c->count, sizeof *c->train, compare_neighbours);
    qsort(c->test, c->count, sizeof *c->test, compare_neighbours);
    const double end =
        fmax(mean_distance(&c->train[c->count - 1], columns), mean_distance(&c->test[c->count - 1], columns));
    const bool leak = share->low > 0.5;
    *record = json_pack(
        "{s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:{s:o,s:o,s:o},s:s,s:s}", "sampled", (json_int_t)c->count,
        "share_closer_to_train", share->successes / share->attempts, "low", share->low, "high", share->high,
        "expected", 0.5, "median_to_train", median(c->train, c->count, columns), "median_to_test",
        median(c->test, c->count, columns), "histogram", "edges", edges(end), "train",
        shares(c->train, c->count, columns, end), "test", shares(c->test, c->count, columns, end), "verdict",
        leak ? "leak" : "inconclusive", "explanation",
        leak
            ? "Synthetic rows lie closer to the training table than to other people of the same population."
            : "Synthetic rows lie no closer to the training table than to other people, which proves little: "
              "distances to the closest record and holdout scores pass data that are highly attackable, and "
              "are themselves uncharged looks at the data.");
    return sotto_json_made(*record, err);
}

/* ------------------------------------------------------------------ search */

static sotto_status measure(sotto_scene *scene, const closest *c, sotto_error *err)
{
    sotto_search search = {
        scene->train_part,         scene->synthetic, c->rows, c->count, sotto_stream_u64(scene->stream),
        scene->evaluation->threads};
    const sotto_status status = sotto_neighbours_find(&search, NULL, 1, c->train, err);
    search.among = scene->test_part;
    return status ? status : sotto_neighbours_find(&search, NULL, 1, c->test, err);
}

sotto_status sotto_attack_distance(sotto_scene *scene, json_t **record, sotto_error *err)
{
    if (!scene->test) {
        *record = json_pack("{s:s}", "skipped", "there is no test table to compare with");
        return sotto_json_made(*record, err);
    }
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    const size_t rows = scene->synthetic->rows;
    closest c = {.count = rows < scene->attempts ? rows : scene->attempts};
    status = SOTTO_ERROR_MEMORY;
    c.rows = sotto_sample_rows(scene->stream, rows, c.count, arena, err);
    c.train = c.rows ? sotto_arena_take(arena, c.count, sizeof *c.train, err) : NULL;
    c.test = c.train ? sotto_arena_take(arena, c.count, sizeof *c.test, err) : NULL;
    uint32_t *nearest = c.test ? sotto_arena_take(arena, c.count, sizeof *nearest, err) : NULL;
    if (nearest)
        status = measure(scene, &c, err);
    if (!status) {
        const sotto_rate share = share_of(&c, nearest);
        status = report(&c, scene->synthetic->columns, &share, record, err);
    }
    sotto_arena_destroy(arena);
    return status;
}
