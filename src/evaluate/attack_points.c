/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate/neighbours.h"

/* More grid steps than this are rounded to so many: the difference of any two codes must fit into an int32_t.
 */
#define MAX_STEPS ((INT32_C(1) << 30) - 1)

/* ------------------------------------------------------------------ making */

static bool is_ordered(const sotto_column *column)
{
    return column->type != SOTTO_COLUMN_CATEGORY && column->type != SOTTO_COLUMN_IDENTIFIER;
}

static double grid_steps(const sotto_column *column)
{
    return nearbyint((column->max - column->min) * sotto_power_of_ten(column->decimals));
}

static int32_t number_code(const sotto_column *column, double value)
{
    const double steps = grid_steps(column);
    const double place = (value - column->min) * sotto_power_of_ten(column->decimals);
    return (int32_t)nearbyint(steps <= MAX_STEPS ? place : place / steps * MAX_STEPS);
}

static int32_t cell_code(const sotto_table *table, size_t row, size_t c, const sotto_column *column)
{
    if (sotto_table_missing(table, row, c))
        return SOTTO_POINT_MISSING;
    if (column->type == SOTTO_COLUMN_CATEGORY)
        return (int32_t)sotto_table_category(table, row, c);
    return number_code(column, sotto_table_number(table, row, c));
}

static int compare_codes(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

void sotto_points_sort(const sotto_points *codes, size_t column, int32_t *sorted)
{
    memcpy(sorted, codes->codes[column], codes->rows * sizeof *sorted);
    qsort(sorted, codes->rows, sizeof *sorted, compare_codes);
}

static void describe(sotto_point_column *about, const sotto_schema *schema, size_t column)
{
    const sotto_column *declared = &schema->columns[column];
    const double steps = is_ordered(declared) ? grid_steps(declared) : (double)declared->value_count - 1;
    about->column = column;
    about->ordered = is_ordered(declared);
    about->steps = (int32_t)(steps < MAX_STEPS ? steps : MAX_STEPS);
}

static sotto_status fill(sotto_points *codes, sotto_point_column *about, int32_t **columns,
                         const sotto_table *table, const uint32_t *rows, sotto_error *err)
{
    const sotto_schema *schema = sotto_table_schema(table);
    size_t c = 0;
    for (size_t column = 0; column < schema->column_count; column++) {
        if (schema->columns[column].type == SOTTO_COLUMN_IDENTIFIER)
            continue;
        describe(&about[c], schema, column);
        columns[c] = sotto_arena_take(codes->arena, codes->rows, sizeof **columns, err);
        if (!columns[c])
            return SOTTO_ERROR_MEMORY;
        for (size_t i = 0; i < codes->rows; i++)
            columns[c][i] = cell_code(table, rows ? rows[i] : i, column, &schema->columns[column]);
        c++;
    }
    return SOTTO_OK;
}

sotto_status sotto_points_create(sotto_points **codes, const sotto_table *table, const uint32_t *rows,
                                 size_t count, sotto_error *err)
{
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    const sotto_schema *schema = sotto_table_schema(table);
    size_t columns = 0;
    for (size_t c = 0; c < schema->column_count; c++)
        columns += schema->columns[c].type != SOTTO_COLUMN_IDENTIFIER;
    sotto_points *made = sotto_arena_take(arena, 1, sizeof *made, err);
    sotto_point_column *about = sotto_arena_take(arena, columns, sizeof *about, err);
    int32_t **arrays = sotto_arena_take(arena, columns, sizeof *arrays, err);
    status = SOTTO_ERROR_MEMORY;
    if (made && about && arrays) {
        *made = (sotto_points){.rows = rows ? count : sotto_table_rows(table),
                               .columns = columns,
                               .about = about,
                               .codes = arrays,
                               .arena = arena};
        status = fill(made, about, arrays, table, rows, err);
    }
    if (status)
        sotto_arena_destroy(arena);
    else
        *codes = made;
    return status;
}

void sotto_points_destroy(sotto_points *codes)
{
    if (codes)
        sotto_arena_destroy(codes->arena);
}

/* ---------------------------------------------------------------- counting */

enum { CHUNK = 4096 };

/* inside[i] &= low ≤ codes[i] ≤ high; returns how many are left. A code below low wraps around to a large
 * number. */
SOTTO_WIDE static uint32_t keep_inside(const int32_t *codes, int32_t low, int32_t high, uint32_t *inside,
                                       size_t count)
{
    const uint32_t width = (uint32_t)high - (uint32_t)low;
    uint32_t left = 0;
    for (size_t i = 0; i < count; i++) {
        inside[i] &= (uint32_t)codes[i] - (uint32_t)low <= width;
        left += inside[i];
    }
    return left;
}

static uint32_t first_of(const uint32_t *inside)
{
    uint32_t row = 0;
    while (!inside[row])
        row++;
    return row;
}

size_t sotto_points_count(const sotto_points *codes, const sotto_interval *intervals, size_t count,
                          size_t limit, uint32_t *first_row)
{
    uint32_t inside[CHUNK];
    size_t found = 0;
    for (size_t first = 0; first < codes->rows && found < limit; first += CHUNK) {
        const size_t size = codes->rows - first < CHUNK ? codes->rows - first : CHUNK;
        for (size_t i = 0; i < size; i++)
            inside[i] = 1;
        size_t left = size;
        for (size_t k = 0; k < count && left; k++)
            left = keep_inside(codes->codes[intervals[k].column] + first, intervals[k].low, intervals[k].high,
                               inside, size);
        if (left && !found && first_row)
            *first_row = (uint32_t)first + first_of(inside);
        found += left;
    }
    return found < limit ? found : limit;
}

/* ---------------------------------------------------------------- equality */

static uint64_t row_hash(const sotto_points *codes, size_t row)
{
    uint64_t hash = 0;
    for (size_t c = 0; c < codes->columns; c++)
        hash = sotto_mix(hash ^ (uint32_t)codes->codes[c][row]);
    return hash;
}

static bool rows_equal(const sotto_points *a, size_t i, const sotto_points *b, size_t j)
{
    for (size_t c = 0; c < a->columns; c++)
        if (a->codes[c][i] != b->codes[c][j])
            return false;
    return true;
}

/* The place of a row's equal among `slots`, row numbers + 1 of `among` by open addressing, or of the free
 * slot. */
static size_t look_up(const sotto_points *codes, size_t row, const sotto_points *among, const uint32_t *slots,
                      size_t mask)
{
    size_t place = row_hash(codes, row) & mask;
    while (slots[place] && !rows_equal(codes, row, among, slots[place] - 1))
        place = (place + 1) & mask;
    return place;
}

sotto_status sotto_points_equal(const sotto_points *codes, const sotto_points *among, size_t *equal,
                                sotto_error *err)
{
    size_t size = 2;
    while (size < 2 * among->rows)
        size *= 2;
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    uint32_t *slots = sotto_arena_take(arena, size, sizeof *slots, err);
    if (slots) {
        for (size_t row = 0; row < among->rows; row++) {
            const size_t place = look_up(among, row, among, slots, size - 1);
            if (!slots[place])
                slots[place] = (uint32_t)row + 1;
        }
        *equal = 0;
        for (size_t row = 0; row < codes->rows; row++)
            *equal += slots[look_up(codes, row, among, slots, size - 1)] != 0;
    }
    sotto_arena_destroy(arena);
    return slots ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}
