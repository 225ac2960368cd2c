/* SPDX-License-Identifier: GPL-3.0-or-later */

/* From what a model declared to the doors of dpsgd: nothing else than was planned passes. */
#include <math.h>

#include "models/model.h"

static sotto_status check(const sotto_release_door *door, size_t number, sotto_release_kind kind,
                          uint64_t uses, sotto_error *err)
{
    if (number >= door->count || door->releases[number].kind != kind)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "the model asks for a release that it did not declare");
    const sotto_model_release *declared = &door->releases[number];
    if (uses <= declared->uses - door->made[number])
        return SOTTO_OK;
    return sotto_error_set(err, SOTTO_ERROR_INPUT,
                           "the model asks for \"%s\" more often than the %llu times it declared",
                           declared->label, (unsigned long long)declared->uses);
}

sotto_status sotto_release_counts(const sotto_release_door *door, size_t number,
                                  const sotto_counts_query *query, double *counts, sotto_error *err)
{
    sotto_status status = check(door, number, SOTTO_RELEASE_COUNTS, 1, err);
    if (status != SOTTO_OK)
        return status;
    const sotto_model_release *declared = &door->releases[number];
    size_t cells = 0;
    for (size_t t = 0; t < query->tables; t++)
        if (__builtin_add_overflow(cells, query->table_size[t], &cells))
            cells = SIZE_MAX;
    if (query->tables != declared->tables || cells > declared->cells)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "the model asks for %zu tables of %zu cells as \"%s\", and declared %zu of %zu", query->tables,
            cells, declared->label, declared->tables, declared->cells);
    status = sotto_counts_release(query, &door->mechanisms[number], door->budget, declared->label,
                                  &door->units, door->random, counts, err);
    door->made[number] += status == SOTTO_OK;
    return status;
}

sotto_status sotto_release_picks(const sotto_release_door *door, size_t number,
                                 const sotto_picks_query *query, size_t picks, size_t *picked,
                                 sotto_error *err)
{
    sotto_status status = check(door, number, SOTTO_RELEASE_PICKS, picks, err);
    if (status != SOTTO_OK)
        return status;
    const sotto_model_release *declared = &door->releases[number];
    status = sotto_picks_release(query, &door->mechanisms[number], picks, door->budget, declared->label,
                                 &door->units, door->random, picked, err);
    door->made[number] += status == SOTTO_OK ? picks : 0;
    return status;
}

double sotto_release_deviation(const sotto_release_door *door, size_t number)
{
    return door->mechanisms[number].noise_multiplier * sqrt((double)door->releases[number].tables) *
           (double)sotto_units_most(&door->units);
}
