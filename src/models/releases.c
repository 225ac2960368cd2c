/* SPDX-License-Identifier: GPL-3.0-or-later */

/* From what a model declared to the doors of dpsgd: nothing else than was planned passes. */
#include <math.h>

#include "models/model.h"

static sotto_status check(const sotto_release_door *door, size_t number, sotto_release_kind kind,
                          sotto_error *err)
{
    if (number < door->count && door->releases[number].kind == kind)
        return SOTTO_OK;
    return sotto_error_set(err, SOTTO_ERROR_INPUT, "the model asks for a release that it did not declare");
}

sotto_status sotto_release_counts(const sotto_release_door *door, size_t number,
                                  const sotto_counts_query *query, double *counts, sotto_error *err)
{
    sotto_status status = check(door, number, SOTTO_RELEASE_COUNTS, err);
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
    return sotto_counts_release(query, &door->mechanisms[number], door->budget, declared->label, &door->units,
                                door->random, counts, err);
}

sotto_status sotto_release_picks(const sotto_release_door *door, size_t number,
                                 const sotto_picks_query *query, size_t *picked, sotto_error *err)
{
    sotto_status status = check(door, number, SOTTO_RELEASE_PICKS, err);
    if (status != SOTTO_OK)
        return status;
    const sotto_model_release *declared = &door->releases[number];
    return sotto_picks_release(query, &door->mechanisms[number], declared->uses, door->budget,
                               declared->label, &door->units, door->random, picked, err);
}

double sotto_release_deviation(const sotto_release_door *door, size_t number)
{
    return door->mechanisms[number].noise_multiplier * sqrt((double)door->releases[number].tables) *
           (double)sotto_units_most(&door->units);
}
