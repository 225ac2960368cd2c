/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "data/data.h"

sotto_status sotto_split_create(sotto_split **split, size_t rows, double holdout_fraction,
                                sotto_stream *stream, sotto_error *err)
{
    if (!(holdout_fraction >= 0 && holdout_fraction < 1))
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "the holdout fraction is %g; wanted 0 or more and below 1", holdout_fraction);
    if (rows > UINT32_MAX)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "%zu rows are more than 32-bit row numbers reach",
                               rows);
    sotto_arena *arena;
    sotto_status status = sotto_arena_create(&arena, err);
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
    *split = made;
    return SOTTO_OK;
}

void sotto_split_destroy(sotto_split *split)
{
    if (split)
        sotto_arena_destroy(split->arena);
}
