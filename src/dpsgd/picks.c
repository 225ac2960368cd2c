/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The exponential mechanism, exactly: scores are integers of sensitivity m, odds are exp of a fraction of
 * integers, and every coin is tossed by comparing uniform integers (Canonne, Kamath, Steinke 2020, Alg. 1).
 */
#include <math.h>
#include <stdlib.h>

#include "dpsgd/dpsgd.h"

__extension__ typedef unsigned __int128 u128;

/* The exponent of a score of 1, ε/2m, as a multiple of 2⁻³², rounded down: never more than is charged. */
enum { FRACTION_BITS = 32 };

/* No guess is farther out: sums of as many as memory holds stay below 2⁶². */
static const int64_t most_guessed = INT64_C(1) << 40;
static const size_t most_cells = (size_t)1 << 21;

static int64_t clamp(int64_t guess)
{
    return guess < -most_guessed ? -most_guessed : guess > most_guessed ? most_guessed : guess;
}

static sotto_status check(const sotto_picks_query *query, const sotto_mechanism *mechanism, size_t picks,
                          size_t *largest, sotto_error *err)
{
    if (mechanism->kind != SOTTO_MECHANISM_EXPONENTIAL)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "picks need an exponential mechanism");
    const sotto_status status = sotto_mechanism_check(mechanism, err);
    if (status != SOTTO_OK)
        return status;
    if (mechanism->adjacency != SOTTO_ADJACENCY_ADD_REMOVE || mechanism->group_size != 1)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "picks are charged for one unit added or removed, not for a group of %llu, "
                               "adjacency %s",
                               (unsigned long long)mechanism->group_size,
                               sotto_adjacency_name(mechanism->adjacency));
    if (picks == 0 || picks > query->candidates)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "%zu picks cannot be made of %zu candidates", picks,
                               query->candidates);
    *largest = 0;
    for (size_t c = 0; c < query->candidates; c++) {
        const size_t cells = query->cells(query->context, c);
        if (cells == 0 || cells > most_cells)
            return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                   "candidate %zu of a pick has a table of %zu cells; it must have 1 to %zu",
                                   c, cells, most_cells);
        *largest = cells > *largest ? cells : *largest;
    }
    return SOTTO_OK;
}

/* Σ|count − guess| of each candidate, less its handicap: each row of a unit moves one count of each by 1, so
 * the unit each score by m at most. */
static void score(const sotto_picks_query *query, const sotto_units *units, int64_t *counts, int64_t *guesses,
                  int64_t *scores)
{
    for (size_t c = 0; c < query->candidates; c++) {
        const size_t cells = query->cells(query->context, c);
        for (size_t i = 0; i < cells; i++)
            counts[i] = guesses[i] = 0;
        query->guess(query->context, c, guesses);
        for (size_t u = 0; u < units->count; u++) {
            size_t count;
            const uint32_t *rows = sotto_units_rows(units, u, &count);
            for (size_t i = 0; i < count; i++) {
                const size_t cell = query->cell(query->context, rows[i], c);
                if (cell < cells)
                    counts[cell]++;
            }
        }
        scores[c] = query->handicap ? -clamp(query->handicap(query->context, c)) : 0;
        for (size_t i = 0; i < cells; i++) {
            scores[c] += llabs(counts[i] - clamp(guesses[i]));
        }
    }
}

/* One of `count` candidates, by odds of exp(step·score/2³²): a uniform one is taken with the chance that its
 * odds bear to the best's, or another is drawn. */
static size_t pick(sotto_stream *stream, uint64_t step, const size_t *open, size_t count,
                   const int64_t *scores)
{
    int64_t best = scores[open[0]];
    for (size_t i = 1; i < count; i++)
        best = scores[open[i]] > best ? scores[open[i]] : best;
    for (;;) {
        const size_t one = open[sotto_stream_below(stream, count)];
        const u128 behind = (u128)step * (uint64_t)(best - scores[one]);
        const uint64_t whole =
            behind >> (64 + FRACTION_BITS) != 0 ? UINT64_MAX : (uint64_t)(behind >> FRACTION_BITS);
        if (sotto_stream_exp_coin(stream, whole, (uint64_t)behind & UINT32_MAX, (uint64_t)1 << FRACTION_BITS))
            return one;
    }
}

static sotto_status pick_all(const sotto_picks_query *query, sotto_stream *stream, uint64_t step,
                             const int64_t *scores, size_t *open, size_t *picked, size_t picks,
                             sotto_error *err)
{
    for (size_t p = 0; p < picks; p++) {
        size_t count = 0;
        for (size_t c = 0; c < query->candidates; c++)
            if (query->open(query->context, c, picked, p))
                open[count++] = c;
        if (count == 0)
            return sotto_error_set(err, SOTTO_ERROR_INPUT, "no candidate is left for pick %zu of %zu", p + 1,
                                   picks);
        picked[p] = pick(stream, step, open, count, scores);
    }
    return SOTTO_OK;
}

sotto_status sotto_picks_release(const sotto_picks_query *query, const sotto_mechanism *mechanism,
                                 size_t picks, sotto_budget *budget, const char *label,
                                 const sotto_units *units, sotto_random *random, size_t *picked,
                                 sotto_error *err)
{
    size_t largest = 0;
    sotto_stream *stream = NULL;
    int64_t *tables = NULL;
    int64_t *scores = NULL;
    size_t *open = NULL;
    sotto_status status = check(query, mechanism, picks, &largest, err);
    if (status == SOTTO_OK) {
        tables = calloc(2 * largest, sizeof *tables);
        scores = calloc(query->candidates, sizeof *scores);
        open = calloc(query->candidates, sizeof *open);
        if (!tables || !scores || !open)
            status = sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for picks");
    }
    if (status == SOTTO_OK)
        status = sotto_stream_create(&stream, random, SOTTO_PURPOSE_NOISE, err);
    if (status == SOTTO_OK)
        status = sotto_budget_charge(budget, mechanism, picks, label, err);
    if (status == SOTTO_OK) {
        const uint64_t half = (uint64_t)ldexp(fmin(mechanism->epsilon / 2, 0x1p30), FRACTION_BITS);
        const uint64_t step = half / sotto_units_most(units);
        score(query, units, tables, tables + largest, scores);
        SOTTO_TRACED(sotto_trace_access(label, picks);)
        status = pick_all(query, stream, step, scores, open, picked, picks, err);
    }
    sotto_stream_destroy(stream);
    free(open);
    free(scores);
    free(tables);
    return status;
}
