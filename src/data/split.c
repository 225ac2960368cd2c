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

/* -------------------------------------------------------------- there and back */

/* How large the lists are; of those that are to be read no more than the table has. */
static void visit_sizes(sotto_split *split, size_t rows, size_t units, bool has_units, sotto_state *state)
{
    sotto_state_object(state, "split");
    sotto_state_size(state, "train_count", &split->train_count, 0, rows);
    sotto_state_size(state, "holdout_count", &split->holdout_count, 0, rows);
    sotto_state_size(state, "train_units", &split->train_units, 0, units);
    sotto_state_size(state, "holdout_units", &split->holdout_units, 0, units);
    if (!sotto_state_reads(state) || !sotto_state_is_sound(state))
        return;
    if (split->train_units + split->holdout_units != units)
        sotto_state_refuse(state, "has another number of units than the table");
    if (!has_units &&
        (split->train_units != split->train_count || split->holdout_units != split->holdout_count))
        sotto_state_refuse(state, "has units of several rows, and there are none");
}

/* What is checked: which unit a row is of, and on which side that is. */
typedef struct checking {
    const sotto_table *table;
    size_t column, most;
    bool *row_seen;               /* [rows] */
    bool *in_training, *held_out; /* [units] */
    size_t held;                  /* units */
} checking;

static size_t unit_of(const checking *in, size_t row)
{
    return in->column == SOTTO_NONE ? row : sotto_table_unit(in->table, row, in->column);
}

/* A row that is in the table, and was not seen before. */
static bool take_row(checking *in, size_t row)
{
    if (row >= sotto_table_rows(in->table) || in->row_seen[row])
        return false;
    return in->row_seen[row] = true;
}

/* Of unit number u of the training side 1 to `most` rows, all of one unit that did not come before. */
static bool check_unit(checking *in, const sotto_split *split, size_t u)
{
    const size_t first = split->first ? split->first[u] : u, end = split->first ? split->first[u + 1] : u + 1;
    if (end <= first || end - first > in->most || end > split->train_count)
        return false;
    for (size_t i = first; i < end; i++)
        if (!take_row(in, split->train[i]) ||
            unit_of(in, split->train[i]) != unit_of(in, split->train[first]))
            return false;
    bool *in_training = &in->in_training[unit_of(in, split->train[first])];
    if (*in_training)
        return false;
    return *in_training = true;
}

static bool is_split(checking *in, const sotto_split *split)
{
    if (split->first && (split->first[0] != 0 || split->first[split->train_units] != split->train_count))
        return false;
    for (size_t u = 0; u < split->train_units; u++)
        if (!check_unit(in, split, u))
            return false;
    for (size_t i = 0; i < split->holdout_count; i++) {
        const size_t row = split->holdout[i];
        if (!take_row(in, row) || in->in_training[unit_of(in, row)])
            return false;
        in->held += !in->held_out[unit_of(in, row)];
        in->held_out[unit_of(in, row)] = true;
    }
    return in->held == split->holdout_units;
}

static void check_split(const sotto_split *split, const sotto_table *table, size_t column, size_t most,
                        sotto_state *state)
{
    const size_t rows = sotto_table_rows(table);
    checking in = {.table = table, .column = column, .most = most};
    in.row_seen = calloc(rows + 1, sizeof *in.row_seen); /* no more units than rows */
    in.in_training = calloc(rows + 1, sizeof *in.in_training);
    in.held_out = calloc(rows + 1, sizeof *in.held_out);
    if (!in.row_seen || !in.in_training || !in.held_out) {
        sotto_error err;
        sotto_state_fail(state, sotto_error_set(&err, SOTTO_ERROR_MEMORY, "out of memory for a split"), &err);
    } else if (!is_split(&in, split)) {
        sotto_state_refuse(state, "is no split of this table");
    }
    free(in.row_seen);
    free(in.in_training);
    free(in.held_out);
}

static void visit_lists(sotto_split *split, bool has_units, sotto_state *state)
{
    /* what is const to everybody is the arena's own while it is read, and not touched while it is written */
    sotto_state_u32s(state, "train", (uint32_t *)split->train, split->train_count);
    sotto_state_u32s(state, "holdout", (uint32_t *)split->holdout, split->holdout_count);
    sotto_state_u32s(state, "first", (uint32_t *)split->first, has_units ? split->train_units + 1 : 0);
}

static sotto_status take_lists(sotto_split *split, bool has_units, sotto_error *err)
{
    split->train = sotto_arena_take(split->arena, split->train_count, sizeof *split->train, err);
    split->holdout = sotto_arena_take(split->arena, split->holdout_count, sizeof *split->holdout, err);
    if (has_units)
        split->first = sotto_arena_take(split->arena, split->train_units + 1, sizeof *split->first, err);
    return split->train && split->holdout && (split->first || !has_units) ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

static sotto_split *new_split(sotto_state *state)
{
    sotto_error err;
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, &err);
    sotto_split *made = status == SOTTO_OK ? sotto_arena_take(arena, 1, sizeof *made, &err) : NULL;
    if (made) {
        made->arena = arena;
        return made;
    }
    if (status == SOTTO_OK)
        sotto_arena_destroy(arena);
    sotto_state_fail(state, SOTTO_ERROR_MEMORY, &err);
    return NULL;
}

void sotto_split_state(sotto_split **split, const sotto_table *table, size_t column, size_t most,
                       sotto_state *state)
{
    const size_t rows = sotto_table_rows(table);
    const size_t units = column == SOTTO_NONE ? rows : sotto_table_units(table, column);
    sotto_error err;
    if (!sotto_state_reads(state)) {
        visit_sizes(*split, rows, units, column != SOTTO_NONE, state);
        visit_lists(*split, column != SOTTO_NONE, state);
        return;
    }
    *split = NULL;
    sotto_split *made = new_split(state);
    if (!made)
        return;
    visit_sizes(made, rows, units, column != SOTTO_NONE, state);
    if (sotto_state_is_sound(state))
        sotto_state_fail(state, take_lists(made, column != SOTTO_NONE, &err), &err);
    if (sotto_state_is_sound(state))
        visit_lists(made, column != SOTTO_NONE, state);
    if (sotto_state_is_sound(state))
        check_split(made, table, column, column == SOTTO_NONE ? 1 : most, state);
    if (sotto_state_is_sound(state))
        *split = made;
    else
        sotto_split_destroy(made);
}

void sotto_split_destroy(sotto_split *split)
{
    if (split)
        sotto_arena_destroy(split->arena);
}
