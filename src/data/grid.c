/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "data/data.h"

/* ------------------------------------------------------------ points and ranks */

static uint64_t points_between(const sotto_grid *grid)
{
    return (uint64_t)(grid->high - grid->low) + 1 - grid->spike_count;
}

/* How many points that are no spikes lie below `point`. */
static uint64_t rank_of(const sotto_grid *grid, int64_t point)
{
    uint64_t rank = (uint64_t)(point - grid->low);
    for (size_t i = 0; i < grid->spike_count && grid->spikes[i] < point; i++)
        rank--;
    return rank;
}

static int64_t point_of(const sotto_grid *grid, uint64_t rank)
{
    int64_t point = grid->low + (int64_t)rank;
    for (size_t i = 0; i < grid->spike_count && grid->spikes[i] <= point; i++)
        point++;
    return point;
}

/* -------------------------------------------------------------------- bins */

/* The rank at which bin `i` of `bins` begins, 0 < i < bins; on a log scale perhaps the same for several. */
static uint64_t edge_of(const sotto_grid *grid, size_t i, size_t bins)
{
    uint64_t count = points_between(grid);
    if (!grid->log_scale)
        return (i * count + bins - 1) / bins; /* at most 1000 × 2·10^15 */
    double power = sotto_power_of_ten(grid->decimals);
    double whole = log1p((double)(grid->high - grid->low + 1) / power);
    double above = ceil(expm1(whole * (double)i / (double)bins) * power);
    double most = (double)(grid->high - grid->low);
    return rank_of(grid, grid->low + (int64_t)(above < most ? above : most));
}

static sotto_status make_bins(sotto_grid *grid, size_t wanted, sotto_arena *arena, sotto_error *err)
{
    uint64_t count = points_between(grid);
    size_t bins = wanted < count ? wanted : (size_t)count;
    uint64_t *edges = sotto_arena_take(arena, bins + 1, sizeof *edges, err);
    if (!edges)
        return SOTTO_ERROR_MEMORY;
    grid->edges = edges;
    grid->bin_count = 0;
    for (size_t i = 1; i < bins; i++) {
        uint64_t edge = edge_of(grid, i, bins);
        /* Where a log scale's bins are narrower than the grid, those without a point of their own fall away.
         */
        if (edge > edges[grid->bin_count] && edge < count)
            edges[++grid->bin_count] = edge;
    }
    if (bins)
        edges[++grid->bin_count] = count;
    return SOTTO_OK;
}

sotto_status sotto_grid_make(sotto_grid *grid, const sotto_column *column, sotto_arena *arena,
                             sotto_error *err)
{
    int64_t *spikes = sotto_arena_take(arena, column->spike_count, sizeof *spikes, err);
    if (!spikes)
        return SOTTO_ERROR_MEMORY;
    *grid = (sotto_grid){.decimals = column->decimals, .log_scale = column->log_scale};
    /* The schema has checked that these lie on the grid. */
    (void)sotto_grid_point(column->min, column->decimals, &grid->low);
    (void)sotto_grid_point(column->max, column->decimals, &grid->high);
    for (size_t i = 0; i < column->spike_count; i++)
        (void)sotto_grid_point(column->spikes[i], column->decimals, &spikes[i]);
    grid->spikes = spikes;
    grid->spike_count = column->spike_count;
    double range = (double)(grid->high - grid->low);
    grid->span = grid->log_scale ? log1p(range / sotto_power_of_ten(grid->decimals)) : range;
    return make_bins(grid, column->bins, arena, err);
}

size_t sotto_grid_spike(const sotto_grid *grid, int64_t point)
{
    for (size_t i = 0; i < grid->spike_count; i++)
        if (grid->spikes[i] == point)
            return i;
    return SOTTO_NONE;
}

size_t sotto_grid_bin(const sotto_grid *grid, int64_t point)
{
    uint64_t rank = rank_of(grid, point);
    size_t first = 0, beyond = grid->bin_count;
    while (beyond - first > 1) {
        size_t middle = first + (beyond - first) / 2;
        if (rank < grid->edges[middle])
            beyond = middle;
        else
            first = middle;
    }
    return first;
}

int64_t sotto_grid_draw(const sotto_grid *grid, size_t bin, sotto_stream *stream)
{
    uint64_t first = grid->edges[bin], count = grid->edges[bin + 1] - first;
    return point_of(grid, first + (count > 1 ? sotto_stream_below(stream, count) : 0));
}

/* ------------------------------------------------------------------ scalars */

static int64_t within(const sotto_grid *grid, double point)
{
    if (!(point > (double)grid->low))
        return grid->low;
    return point < (double)grid->high ? (int64_t)point : grid->high;
}

int64_t sotto_grid_nearest(const sotto_grid *grid, double value)
{
    return within(grid, nearbyint(value * sotto_power_of_ten(grid->decimals)));
}

float sotto_grid_scalar(const sotto_grid *grid, int64_t point)
{
    double above = (double)(point - grid->low);
    if (grid->span == 0)
        return 0;
    if (grid->log_scale)
        above = log1p(above / sotto_power_of_ten(grid->decimals));
    return (float)(2 * (above / grid->span) - 1);
}

/* A scalar's way from −1 to 1 in [0, 1]; NaN is half of it. */
static double way_of(float scalar)
{
    return isnan(scalar) ? 0.5 : scalar < -1 ? 0 : scalar > 1 ? 1 : ((double)scalar + 1) / 2;
}

int64_t sotto_grid_from_scalar(const sotto_grid *grid, float scalar)
{
    double above = way_of(scalar) * grid->span;
    if (grid->log_scale)
        above = expm1(above) * sotto_power_of_ten(grid->decimals);
    return within(grid, (double)grid->low + nearbyint(above));
}

float sotto_grid_offset(const sotto_grid *grid, int64_t point)
{
    const size_t bin = sotto_grid_bin(grid, point);
    const uint64_t first = grid->edges[bin], count = grid->edges[bin + 1] - first;
    return (float)((2.0 * (double)(rank_of(grid, point) - first) + 1.0) / (double)count - 1.0);
}

int64_t sotto_grid_from_offset(const sotto_grid *grid, size_t bin, float offset)
{
    const uint64_t first = grid->edges[bin], count = grid->edges[bin + 1] - first;
    const uint64_t above = (uint64_t)(way_of(offset) * (double)count);
    return point_of(grid, first + (above < count ? above : count - 1));
}
