/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate/codes.h"

enum {
    TILE = 1024,         /* rows of which the keys are made at once */
    ARRAY_LEAST = 4096,  /* combinations that always get an array */
    ARRAY_MOST_LOG2 = 20 /* beyond this many, an array's own cache misses cost more than hashing */
};

#define EMPTY UINT64_MAX /* no key: three 16-bit codes make 48 bits */

/* ------------------------------------------------------------------- codes */

const sotto_table *sotto_evaluation_table(const sotto_evaluation *evaluation, size_t table)
{
    switch (table) {
    case SOTTO_TRAIN:
        return evaluation->train;
    case SOTTO_TEST:
        return evaluation->test;
    default:
        return evaluation->synthetic;
    }
}

/* The inner edges of numpy.histogram_bin_edges (ten bins) over the column's values, to the bit: a constant
 * column's range is widened by a half on both sides. Without a value there is nothing to divide. */
static void find_edges(sotto_coded_column *coded, const sotto_table *train)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t row = 0, rows = sotto_table_rows(train); row < rows; row++) {
        const double value = sotto_table_number(train, row, coded->column);
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    if (low == high) {
        low -= 0.5;
        high += 0.5;
    }
    const double step = (high - low) / SOTTO_CODE_BINS;
    for (size_t i = 0; i + 1 < SOTTO_CODE_BINS; i++)
        coded->edges[i] = low <= high ? (double)(i + 1) * step + low : INFINITY;
}

static uint16_t code_of_number(const sotto_coded_column *coded, double value)
{
    unsigned code = 0;
    if (isnan(value))
        return (uint16_t)coded->absent;
    for (size_t i = 0; i + 1 < SOTTO_CODE_BINS; i++)
        code += value >= coded->edges[i];
    return (uint16_t)code;
}

static uint16_t code_of_category(const sotto_coded_column *coded, size_t category)
{
    return (uint16_t)(category == SOTTO_NONE ? coded->absent : category);
}

static void code_column(sotto_coded_column *coded, uint16_t *const codes[SOTTO_TABLE_COUNT],
                        const sotto_evaluation *evaluation)
{
    if (coded->numeric)
        find_edges(coded, evaluation->train);
    for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++) {
        const sotto_table *table = sotto_evaluation_table(evaluation, t);
        const size_t rows = table ? sotto_table_rows(table) : 0;
        for (size_t row = 0; row < rows; row++)
            codes[t][row] = coded->numeric
                                ? code_of_number(coded, sotto_table_number(table, row, coded->column))
                                : code_of_category(coded, sotto_table_category(table, row, coded->column));
    }
}

/* Everything but the codes themselves, and room for those. */
static sotto_status plan(sotto_codes *codes, sotto_coded_column *columns, const sotto_evaluation *evaluation,
                         sotto_error *err)
{
    const sotto_schema *schema = sotto_table_schema(evaluation->train);
    for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++) {
        const sotto_table *table = sotto_evaluation_table(evaluation, t);
        codes->rows[t] = table ? sotto_table_rows(table) : 0;
    }
    for (size_t i = 0; i < schema->column_count; i++) {
        const sotto_column *column = &schema->columns[i];
        if (column->type == SOTTO_COLUMN_IDENTIFIER)
            continue;
        sotto_coded_column *coded = &columns[codes->column_count++];
        coded->column = i;
        coded->numeric = column->type != SOTTO_COLUMN_CATEGORY;
        coded->absent = coded->numeric ? SOTTO_CODE_BINS : (uint32_t)column->value_count;
        coded->count = coded->absent + 1;
        for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++) {
            if (codes->rows[t] == 0)
                continue;
            coded->codes[t] = sotto_arena_take(codes->arena, codes->rows[t], sizeof *coded->codes[t], err);
            if (!coded->codes[t])
                return SOTTO_ERROR_MEMORY;
        }
    }
    codes->columns = columns;
    return SOTTO_OK;
}

sotto_status sotto_codes_create(sotto_codes **codes, const sotto_evaluation *evaluation, sotto_error *err)
{
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    sotto_codes *made = sotto_arena_take(arena, 1, sizeof *made, err);
    sotto_coded_column *columns =
        sotto_arena_take(arena, sotto_table_schema(evaluation->train)->column_count, sizeof *columns, err);
    if (!made || !columns) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    made->arena = arena;
    status = plan(made, columns, evaluation, err);
    if (status) {
        sotto_arena_destroy(arena);
        return status;
    }
#pragma omp parallel for num_threads(evaluation->threads) schedule(dynamic) if (evaluation->threads > 1)
    for (size_t i = 0; i < made->column_count; i++) {
        uint16_t *room[SOTTO_TABLE_COUNT];
        for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++)
            room[t] = (uint16_t *)columns[i].codes[t]; /* the arena's: const for all others */
        code_column(&columns[i], room, evaluation);
    }
    *codes = made;
    return SOTTO_OK;
}

void sotto_codes_destroy(sotto_codes *codes)
{
    if (codes)
        sotto_arena_destroy(codes->arena);
}

size_t sotto_codes_find(const sotto_codes *codes, size_t column)
{
    for (size_t i = 0; i < codes->column_count; i++)
        if (codes->columns[i].column == column)
            return i;
    return SOTTO_NONE;
}

/* --------------------------------------------------------------------- keys */

/* keys [count] of the rows from `first` on: the codes as the digits of one number. */
static void make_keys(const sotto_codes *codes, const size_t *set, size_t width, size_t table, size_t first,
                      size_t count, uint64_t *keys)
{
    memset(keys, 0, count * sizeof *keys);
    for (size_t c = 0; c < width; c++) {
        const sotto_coded_column *column = &codes->columns[set[c]];
        const uint16_t *from = column->codes[table] + first;
        for (size_t i = 0; i < count; i++)
            keys[i] = keys[i] * column->count + from[i];
    }
}

/* ------------------------------------------------------------------ storage */

static sotto_status short_of_memory(size_t slots, sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY,
                           "out of memory for the counts of %zu combinations of values", slots);
}

/* `slots` zero counts, and as many empty keys where they are hashed. */
static sotto_status clear(sotto_cells *cells, size_t slots, bool hashed, sotto_error *err)
{
    if (slots > SIZE_MAX / sizeof *cells->counts)
        return short_of_memory(slots, err);
    if (slots > cells->capacity) {
        void *counts = realloc(cells->counts, slots * sizeof *cells->counts);
        if (!counts)
            return short_of_memory(slots, err);
        cells->counts = counts;
        cells->capacity = slots;
    }
    if (hashed && slots > cells->key_capacity) {
        void *keys = realloc(cells->keys, slots * sizeof *cells->keys);
        if (!keys)
            return short_of_memory(slots, err);
        cells->keys = keys;
        cells->key_capacity = slots;
    }
    memset(cells->counts, 0, slots * sizeof *cells->counts);
    if (hashed)
        memset(cells->keys, 0xff, slots * sizeof *cells->keys);
    cells->slot_count = slots;
    return SOTTO_OK;
}

void sotto_cells_free(sotto_cells *cells)
{
    free(cells->counts);
    free(cells->keys);
    *cells = (sotto_cells){0};
}

/* ------------------------------------------------------------------ hashing */

/* The slot of `key`, or the empty one where it belongs: linear probing from a multiplicative hash (Knuth, The
 * Art of Computer Programming, volume 3, 6.4). `slot_count` is a power of two and never full. */
static size_t slot_of(const sotto_cells *cells, uint64_t key)
{
    const size_t mask = cells->slot_count - 1;
    const uint64_t mixed = (key ^ key >> 23) * UINT64_C(0x9E3779B97F4A7C15);
    size_t slot = (size_t)(mixed >> 32 ^ mixed >> 12) & mask;
    while (cells->keys[slot] != key && cells->keys[slot] != EMPTY)
        slot = (slot + 1) & mask;
    return slot;
}

/* Twice the slots. */
static sotto_status grow(sotto_cells *cells, sotto_error *err)
{
    sotto_cells larger = {0};
    sotto_status status = clear(&larger, cells->slot_count * 2, true, err);
    if (status) {
        sotto_cells_free(&larger);
        return status;
    }
    for (size_t i = 0; i < cells->slot_count; i++) {
        if (cells->keys[i] == EMPTY)
            continue;
        const size_t slot = slot_of(&larger, cells->keys[i]);
        larger.keys[slot] = cells->keys[i];
        memcpy(larger.counts[slot], cells->counts[i], sizeof larger.counts[slot]);
    }
    sotto_cells_free(cells);
    *cells = larger;
    return SOTTO_OK;
}

static sotto_status add_hashed(sotto_cells *cells, const uint64_t *keys, size_t count, size_t table,
                               size_t *used, sotto_error *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t slot = slot_of(cells, keys[i]);
        if (cells->keys[slot] == EMPTY) {
            if (++*used > cells->slot_count / 2) {
                sotto_status status = grow(cells, err);
                if (status)
                    return status;
                slot = slot_of(cells, keys[i]);
            }
            cells->keys[slot] = keys[i];
        }
        cells->counts[slot][table]++;
    }
    return SOTTO_OK;
}

/* ----------------------------------------------------------------- counting */

/* How many combinations there may be. */
static uint64_t product_of(const sotto_codes *codes, const size_t *set, size_t width)
{
    uint64_t product = 1;
    for (size_t c = 0; c < width; c++)
        product *= codes->columns[set[c]].count;
    return product;
}

sotto_status sotto_cells_count(sotto_cells *cells, const sotto_codes *codes, const size_t *set, size_t width,
                               sotto_error *err)
{
    uint64_t keys[TILE], limit = 0;
    for (size_t t = 0; t < SOTTO_TABLE_COUNT; t++)
        limit += codes->rows[t];
    limit = limit < ARRAY_LEAST ? ARRAY_LEAST : limit;
    limit = limit > UINT64_C(1) << ARRAY_MOST_LOG2 ? UINT64_C(1) << ARRAY_MOST_LOG2 : limit;
    const uint64_t product = product_of(codes, set, width);
    const bool hashed = product > limit;
    size_t used = 0;
    /* A hash table begins small for each set, so that its order is the same whatever was counted before. */
    sotto_status status = clear(cells, hashed ? ARRAY_LEAST : (size_t)product, hashed, err);
    for (size_t t = 0; !status && t < SOTTO_TABLE_COUNT; t++) {
        for (size_t first = 0; !status && first < codes->rows[t]; first += TILE) {
            const size_t left = codes->rows[t] - first, count = left < TILE ? left : TILE;
            make_keys(codes, set, width, t, first, count, keys);
            if (hashed) {
                status = add_hashed(cells, keys, count, t, &used, err);
                continue;
            }
            for (size_t i = 0; i < count; i++)
                cells->counts[keys[i]][t]++;
        }
    }
    return status;
}

/* ------------------------------------------------------------------ figures */

double sotto_cells_similarity(const sotto_cells *cells, const sotto_codes *codes, size_t one, size_t other)
{
    /* 1 − ½ Σ |a/A − b/B| = Σ min(aB, bA) / AB, and AB < 2⁶⁴. */
    const uint64_t rows = codes->rows[one], other_rows = codes->rows[other];
    uint64_t shared = 0;
    if (rows == 0 || other_rows == 0)
        return NAN;
    for (size_t i = 0; i < cells->slot_count; i++) {
        const uint64_t left = cells->counts[i][one] * other_rows, right = cells->counts[i][other] * rows;
        shared += left < right ? left : right;
    }
    return (double)shared / (double)(rows * other_rows);
}

double sotto_cells_entropy(const sotto_cells *cells, const sotto_codes *codes, size_t table)
{
    const double rows = (double)codes->rows[table];
    double sum = 0;
    if (rows == 0)
        return NAN;
    for (size_t i = 0; i < cells->slot_count; i++) {
        const double count = cells->counts[i][table];
        if (count > 0)
            sum += count * log(count / rows);
    }
    return sum < 0 ? -sum / rows : 0;
}
