/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "dpsgd/clip.h"

static sotto_status check(const sotto_counts_query *query, const sotto_mechanism *mechanism, size_t *cells,
                          sotto_error *err)
{
    if (mechanism->kind != SOTTO_MECHANISM_GAUSSIAN)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "noisy counts need an unsampled Gaussian mechanism");
    const sotto_status status = sotto_mechanism_check(mechanism, err);
    if (status != SOTTO_OK)
        return status;
    if (mechanism->adjacency != SOTTO_ADJACENCY_ADD_REMOVE || mechanism->group_size != 1)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "noisy counts are charged for one unit added or removed, not for a group of %llu, "
            "adjacency %s",
            (unsigned long long)mechanism->group_size, sotto_adjacency_name(mechanism->adjacency));
    if (query->tables == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "noisy counts need at least one table");
    *cells = 0;
    for (size_t t = 0; t < query->tables; t++)
        if (query->table_size[t] == 0 || __builtin_add_overflow(*cells, query->table_size[t], cells))
            return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                   "a table of noisy counts has no cells, or too many");
    return SOTTO_OK;
}

/* The standard deviation of each count: σ times the sensitivity. */
static double spread(const sotto_mechanism *mechanism, size_t tables, size_t most)
{
    return mechanism->noise_multiplier * sqrt((double)tables) * (double)most;
}

sotto_status sotto_counts_check(const sotto_mechanism *mechanism, size_t tables, size_t most,
                                sotto_error *err)
{
    sotto_noise_grid grid;
    const double deviation = spread(mechanism, tables, most);
    if (sotto_noise_grid_make(&grid, deviation, NULL) == SOTTO_OK)
        return SOTTO_OK;
    return sotto_error_set(err, SOTTO_ERROR_INPUT,
                           "each of its counts would have noise of standard deviation %.3g, and counts with "
                           "exact noise bear %.3g at most",
                           deviation, (double)SOTTO_NOISE_STD / 16.0);
}

static void count_units(const sotto_counts_query *query, const sotto_units *units, double *counts)
{
    size_t offset = 0;
    for (size_t t = 0; t < query->tables; t++) {
        for (size_t u = 0; u < units->count; u++) {
            size_t count;
            const uint32_t *rows = sotto_units_rows(units, u, &count);
            for (size_t i = 0; i < count; i++) {
                const size_t cell = query->cell(query->context, rows[i], t);
                if (cell < query->table_size[t])
                    counts[offset + cell] += 1.0;
            }
        }
        offset += query->table_size[t];
    }
}

/* ⌊numerator/denominator⌋ for a positive denominator. */
static int64_t floor_division(int64_t numerator, int64_t denominator)
{
    const int64_t quotient = numerator / denominator;
    return quotient - (numerator % denominator < 0);
}

/*
 * A count of one is `each` steps of the noise, so that the release is each·count + noise, an integer.
 * Rounding it to a multiple of `each` is post-processing; since ⌊(each·count + noise)/each + ½⌋ = count +
 * ⌊noise/each + ½⌋, only the noise needs to be rounded.
 */
static void add_noise(const sotto_noise_grid *grid, sotto_stream *stream, double *counts, size_t cells)
{
    const int64_t each = (int64_t)grid->steps;
    for (size_t i = 0; i < cells; i++) {
        int32_t noise;
        sotto_stream_discrete_gaussian(stream, &noise, 1);
        counts[i] += (double)floor_division(2 * (int64_t)noise + each, 2 * each);
    }
}

sotto_status sotto_counts_release(const sotto_counts_query *query, const sotto_mechanism *mechanism,
                                  sotto_budget *budget, const char *label, const sotto_units *units,
                                  sotto_random *random, double *counts, sotto_error *err)
{
    size_t cells = 0;
    sotto_stream *stream = NULL;
    sotto_noise_grid grid;
    sotto_status status = check(query, mechanism, &cells, err);
    if (status == SOTTO_OK)
        status = sotto_noise_grid_make(&grid, spread(mechanism, query->tables, sotto_units_most(units)), err);
    if (status == SOTTO_OK)
        status = sotto_stream_create(&stream, random, SOTTO_PURPOSE_NOISE, err);
    if (status == SOTTO_OK)
        status = sotto_budget_charge(budget, mechanism, 1, label, err);
    if (status != SOTTO_OK)
        goto done;
    for (size_t i = 0; i < cells; i++)
        counts[i] = 0.0;
    count_units(query, units, counts);
    SOTTO_TRACED(sotto_trace_access(label, 1);)
    add_noise(&grid, stream, counts, cells);
done:
    sotto_stream_destroy(stream);
    return status;
}
