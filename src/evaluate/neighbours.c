/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/neighbours.h"

#include <stdatomic.h>
#include <string.h>

/* Rows are taken CHUNK at a time, so that their codes stay in the cache for a batch of queries. */
enum { CHUNK = 2048, BATCH = 16, BLOCK = 64 };

uint32_t sotto_distance_unit(size_t columns)
{
    const uint32_t finest = UINT32_C(1) << 22; /* exact in a float */
    const size_t room = UINT32_MAX / (columns ? columns : 1);
    return room < finest ? (uint32_t)room : finest;
}

/* --------------------------------------------------------------- distances */

/* In float, so that it vectorises, yet the same on every processor. Two codes that are closer than the unit
 * can tell count as equal; a missing code is so far from every other that the minimum makes it one unit. */
SOTTO_WIDE static void ordered_distances(const int32_t *codes, int32_t query, float scale, float unit,
                                         uint32_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int32_t difference = codes[i] > query ? codes[i] - query : query - codes[i];
        const float distance = (float)difference * scale;
        out[i] = (uint32_t)(int32_t)(distance < unit ? distance : unit);
    }
}

SOTTO_WIDE static void category_distances(const int32_t *codes, int32_t query, uint32_t unit, uint32_t *out,
                                          size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = codes[i] == query ? 0 : unit;
}

SOTTO_WIDE static void add(uint32_t *sum, const uint32_t *terms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += terms[i];
}

SOTTO_WIDE static void subtract(const uint32_t *sum, const uint32_t *term, uint32_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = sum[i] - term[i];
}

SOTTO_WIDE static uint32_t least(const uint32_t *values, size_t count)
{
    uint32_t found = UINT32_MAX;
    for (size_t i = 0; i < count; i++)
        found = values[i] < found ? values[i] : found;
    return found;
}

/* Of rows first … first + count − 1 in one column. */
static void column_distances(const sotto_points *among, size_t column, int32_t query, size_t first,
                             size_t count, uint32_t *out)
{
    const sotto_point_column *about = &among->about[column];
    const uint32_t unit = sotto_distance_unit(among->columns);
    const int32_t *codes = among->codes[column] + first;
    if (!about->ordered)
        category_distances(codes, query, unit, out, count);
    else
        ordered_distances(codes, query, (float)unit / (float)(about->steps ? about->steps : 1), (float)unit,
                          out, count);
}

/* ------------------------------------------------------------------- lists */

/* A list of the k nearest so far, nearest first; empty places are infinitely far. */
static void clear(sotto_neighbour *list, size_t k)
{
    for (size_t i = 0; i < k; i++)
        list[i] = (sotto_neighbour){.distance = UINT32_MAX, .row = UINT32_MAX, .priority = UINT64_MAX};
}

static bool nearer(const sotto_neighbour *a, const sotto_neighbour *b)
{
    if (a->distance != b->distance)
        return a->distance < b->distance;
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return a->row < b->row;
}

static void insert(sotto_neighbour *list, size_t k, sotto_neighbour candidate)
{
    if (!nearer(&candidate, &list[k - 1]))
        return;
    size_t place = k - 1;
    for (; place > 0 && nearer(&candidate, &list[place - 1]); place--)
        list[place] = list[place - 1];
    list[place] = candidate;
}

/* Show the list the distances of rows first … first + count − 1. Few blocks hold one near enough. */
static void offer(sotto_neighbour *list, size_t k, uint64_t seed, const uint32_t *distances, size_t first,
                  size_t count)
{
    for (size_t from = 0; from < count; from += BLOCK) {
        const size_t size = count - from < BLOCK ? count - from : BLOCK;
        if (least(distances + from, size) > list[k - 1].distance)
            continue;
        for (size_t i = from; i < from + size; i++) {
            if (distances[i] <= list[k - 1].distance) {
                const uint32_t row = (uint32_t)(first + i);
                insert(list, k, (sotto_neighbour){distances[i], row, sotto_mix(seed ^ row)});
            }
        }
    }
}

/* ---------------------------------------------------------------- searches */

/* What one thread works with: a distance for each column and row of a chunk, their sum, and a rest. */
typedef struct scratch {
    uint32_t *columns, *sum, *rest;
} scratch;

/* What is asked of each query: k nearest by some columns, or the nearest without each of some. */
typedef struct question {
    const sotto_search *search;
    const uint8_t *uses;
    size_t k;
    const size_t *left_out;
    size_t left_out_count;
    sotto_neighbour *found;
} question;

static uint32_t query_row(const sotto_search *search, size_t query)
{
    return search->rows ? search->rows[query] : (uint32_t)query;
}

static uint64_t query_seed(const sotto_search *search, size_t query)
{
    return sotto_mix(search->seed + query);
}

/* One query against one chunk. */
static void ask(const question *q, size_t query, size_t first, size_t count, const scratch *at)
{
    const sotto_search *search = q->search;
    const size_t columns = search->among->columns;
    const uint32_t row = query_row(search, query);
    const uint64_t seed = query_seed(search, query);
    memset(at->sum, 0, count * sizeof *at->sum);
    for (size_t c = 0; c < columns; c++) {
        if (q->uses && !q->uses[query * columns + c])
            continue;
        uint32_t *distances = at->columns + c * CHUNK;
        column_distances(search->among, c, search->queries->codes[c][row], first, count, distances);
        add(at->sum, distances, count);
    }
    if (!q->left_out) {
        offer(q->found + query * q->k, q->k, seed, at->sum, first, count);
        return;
    }
    for (size_t i = 0; i < q->left_out_count; i++) {
        subtract(at->sum, at->columns + q->left_out[i] * CHUNK, at->rest, count);
        offer(q->found + query * q->left_out_count + i, 1, sotto_mix(seed + i), at->rest, first, count);
    }
}

static void ask_batch(const question *q, size_t batch, const scratch *at)
{
    const size_t rows = q->search->among->rows;
    const size_t from = batch * BATCH;
    const size_t to = q->search->count - from < BATCH ? q->search->count : from + BATCH;
    for (size_t first = 0; first < rows; first += CHUNK)
        for (size_t query = from; query < to; query++)
            ask(q, query, first, rows - first < CHUNK ? rows - first : CHUNK, at);
}

static sotto_status ask_all(const question *q, sotto_error *err)
{
    const sotto_search *search = q->search;
    const size_t batches = (search->count + BATCH - 1) / BATCH;
    const size_t columns = search->among->columns;
    const size_t threads = search->threads < batches ? search->threads : batches ? batches : 1;
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    scratch *scratches = status ? NULL : sotto_arena_take(arena, threads, sizeof *scratches, err);
    if (!scratches)
        goto done;
    for (size_t t = 0; t < threads; t++) {
        uint32_t *memory = sotto_arena_take(arena, (columns + 2) * CHUNK, sizeof *memory, err);
        if (!memory) {
            scratches = NULL;
            goto done;
        }
        scratches[t] = (scratch){memory, memory + columns * CHUNK, memory + (columns + 1) * CHUNK};
    }
    clear(q->found, search->count * (q->left_out ? q->left_out_count : q->k));
    atomic_size_t next = 0; /* whoever is free takes the next batch */
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (size_t t = 0; t < threads; t++)
        for (size_t batch = atomic_fetch_add(&next, 1); batch < batches; batch = atomic_fetch_add(&next, 1))
            ask_batch(q, batch, &scratches[t]);
done:
    status = scratches ? SOTTO_OK : SOTTO_ERROR_MEMORY;
    sotto_arena_destroy(arena);
    return status;
}

sotto_status sotto_neighbours_find(const sotto_search *search, const uint8_t *uses, size_t k,
                                   sotto_neighbour *found, sotto_error *err)
{
    return ask_all(&(question){.search = search, .uses = uses, .k = k, .found = found}, err);
}

sotto_status sotto_neighbours_without(const sotto_search *search, const size_t *left_out,
                                      size_t left_out_count, sotto_neighbour *found, sotto_error *err)
{
    return ask_all(
        &(question){.search = search, .left_out = left_out, .left_out_count = left_out_count, .found = found},
        err);
}
