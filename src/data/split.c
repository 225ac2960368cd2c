/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "data/data.h"

static sotto_status check_fraction(double holdout_fraction, sotto_error *err)
{
    return holdout_fraction >= 0 && holdout_fraction < 1
               ? SOTTO_OK
               : sotto_error_set(err, SOTTO_ERROR_INPUT,
                                 "the holdout fraction is %g; wanted 0 or more and below 1",
                                 holdout_fraction);
}

sotto_status sotto_split_create(sotto_split **split, size_t rows, double holdout_fraction,
                                sotto_stream *stream, sotto_error *err)
{
    sotto_status status = check_fraction(holdout_fraction, err);
    if (status)
        return status;
    if (rows > UINT32_MAX)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "%zu rows are more than 32-bit row numbers reach",
                               rows);
    sotto_arena *arena;
    status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    sotto_split *made = sotto_arena_take(arena, 1, sizeof *made, err);
    uint32_t *train = sotto_arena_take(arena, rows, sizeof *train, err);
    uint32_t *holdout = sotto_arena_take(arena, rows, sizeof *holdout, err);
    if (!made || !train || !holdout) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made = (sotto_split){.train = train, .holdout = holdout, .arena = arena};
    for (size_t row = 0; row < rows; row++) {
        if (sotto_stream_coin(stream, holdout_fraction))
            holdout[made->holdout_count++] = (uint32_t)row;
        else
            train[made->train_count++] = (uint32_t)row;
    }
    made->train_units = made->train_count;
    made->holdout_units = made->holdout_count;
    *split = made;
    return SOTTO_OK;
}

/* ------------------------------------------------------------------- units */

/* A row and where chance puts it among the rows of its unit. */
typedef struct ticket {
    uint64_t priority;
    uint32_t unit, row;
} ticket;

static int by_unit_then_chance(const void *left, const void *right)
{
    const ticket *a = left, *b = right;
    if (a->unit != b->unit)
        return a->unit < b->unit ? -1 : 1;
    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

/* The memory of a split by units; `tickets` and `held` are for making it. */
typedef struct making {
    sotto_split *split;
    uint32_t *train, *holdout, *first;
    ticket *tickets; /* [rows] */
    bool *held;      /* [units] */
} making;

static sotto_status make_room(making *in, sotto_arena *arena, size_t rows, size_t units, sotto_error *err)
{
    in->split = sotto_arena_take(arena, 1, sizeof *in->split, err);
    in->train = sotto_arena_take(arena, rows, sizeof *in->train, err);
    in->holdout = sotto_arena_take(arena, rows, sizeof *in->holdout, err);
    in->first = sotto_arena_take(arena, units + 1, sizeof *in->first, err);
    in->tickets = sotto_arena_take(arena, rows, sizeof *in->tickets, err);
    in->held = sotto_arena_take(arena, units, sizeof *in->held, err);
    return in->split && in->train && in->holdout && in->first && in->tickets && in->held ? SOTTO_OK
                                                                                         : SOTTO_ERROR_MEMORY;
}

/* A unit's coin where its first row lies, and a number for each row. */
static void toss(making *in, const sotto_table *table, size_t column, double holdout_fraction,
                 sotto_stream *stream)
{
    size_t units = 0;
    for (size_t row = 0; row < sotto_table_rows(table); row++) {
        const uint32_t unit = sotto_table_unit(table, row, column);
        if (unit == units)
            in->held[units++] = sotto_stream_coin(stream, holdout_fraction);
        in->tickets[row] = (ticket){sotto_stream_u64(stream), unit, (uint32_t)row};
    }
    qsort(in->tickets, sotto_table_rows(table), sizeof *in->tickets, by_unit_then_chance);
}

/* The first `most` rows of each unit for training, by chance; all of those held out. */
static void deal(making *in, size_t rows, size_t most)
{
    sotto_split *to = in->split;
    size_t taken = 0; /* of the unit */
    for (size_t i = 0; i < rows; i++) {
        const ticket *one = &in->tickets[i];
        const bool begins = i == 0 || one->unit != in->tickets[i - 1].unit;
        if (in->held[one->unit]) {
            to->holdout_units += begins;
            in->holdout[to->holdout_count++] = one->row;
            continue;
        }
        if (begins) {
            in->first[to->train_units++] = (uint32_t)to->train_count;
            taken = 0;
        }
        if (taken++ < most)
            in->train[to->train_count++] = one->row;
    }
    in->first[to->train_units] = (uint32_t)to->train_count;
}

sotto_status sotto_split_create_units(sotto_split **split, const sotto_table *table, size_t column,
                                      size_t most, double holdout_fraction, sotto_stream *stream,
                                      sotto_error *err)
{
    const size_t units = sotto_table_units(table, column);
    making in = {0};
    sotto_arena *arena;
    if (units == 0 || most == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a table without units, or no row of a unit wanted");
    sotto_status status = check_fraction(holdout_fraction, err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    status = make_room(&in, arena, sotto_table_rows(table), units, err);
    if (status != SOTTO_OK) {
        sotto_arena_destroy(arena);
        return status;
    }
    toss(&in, table, column, holdout_fraction, stream);
    deal(&in, sotto_table_rows(table), most);
    in.split->train = in.train;
    in.split->holdout = in.holdout;
    in.split->first = in.first;
    in.split->arena = arena;
    *split = in.split;
    return SOTTO_OK;
}

void sotto_split_destroy(sotto_split *split)
{
    if (split)
        sotto_arena_destroy(split->arena);
}
