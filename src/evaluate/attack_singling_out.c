/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "evaluate/attacks.h"

/* Columns in a predicate, and how many are tried for each that is wanted. */
enum { LEAST_COLUMNS = 2, MOST_COLUMNS = 8, TRIES = 200, BATCH = 4096 };

/* A conjunction of intervals, in ascending order of columns. */
typedef struct predicate {
    size_t count;
    sotto_interval intervals[MOST_COLUMNS];
} predicate;

/* What is found of them, and in which tables they single somebody out. */
typedef struct predicates {
    size_t count, capacity;
    predicate *list;
} predicates;

/* ------------------------------------------------------------- one column */

/* Algorithm R: of all that are offered, each is as likely to be kept. `offered` counts them. */
static void offer(predicates *kept, size_t *offered, sotto_stream *stream, sotto_interval interval)
{
    const size_t place = *offered < kept->capacity ? *offered : sotto_stream_below(stream, *offered + 1);
    ++*offered;
    if (place < kept->capacity)
        kept->list[place] = (predicate){.count = 1, .intervals = {interval}};
    kept->count = *offered < kept->capacity ? *offered : kept->capacity;
}

/* "equals v" for each v that one row has; "≤ least" and "≥ greatest" where one row has that. */
static void offer_column(predicates *kept, size_t *offered, sotto_scene *scene, size_t column,
                         const int32_t *sorted)
{
    const size_t rows = scene->synthetic->rows;
    const sotto_point_column *about = &scene->synthetic->about[column];
    for (size_t i = 0; i < rows; i++) {
        const bool starts = i == 0 || sorted[i - 1] != sorted[i];
        const bool ends = i + 1 == rows || sorted[i + 1] != sorted[i];
        if (!starts || !ends)
            continue;
        const int32_t v = sorted[i];
        offer(kept, offered, scene->stream, (sotto_interval){column, v, v});
        if (!about->ordered || v == SOTTO_POINT_MISSING)
            continue;
        if (i == 0 || sorted[i - 1] == SOTTO_POINT_MISSING)
            offer(kept, offered, scene->stream, (sotto_interval){column, 0, v});
        if (i + 1 == rows)
            offer(kept, offered, scene->stream, (sotto_interval){column, v, about->steps});
    }
}

/* ----------------------------------------------------------- many columns */

/* What a synthetic row says of one column: its value, or on which side of the median it lies and how far out.
 */
static sotto_interval around(const sotto_point_column *about, size_t column, int32_t value, int32_t median)
{
    if (!about->ordered || value == SOTTO_POINT_MISSING)
        return (sotto_interval){column, value, value};
    if (value > median)
        return (sotto_interval){column, value, about->steps};
    return (sotto_interval){column, 0, value};
}

/* `count` random columns, ascending. */
static void choose_columns(sotto_stream *stream, size_t columns, predicate *p)
{
    size_t taken = 0;
    for (size_t c = 0; taken < p->count; c++)
        if (sotto_stream_below(stream, columns - c) < p->count - taken)
            p->intervals[taken++].column = c;
}

static size_t choose_count(sotto_stream *stream, size_t columns)
{
    const size_t most = columns < MOST_COLUMNS ? columns : MOST_COLUMNS;
    return LEAST_COLUMNS + sotto_stream_below(stream, most - LEAST_COLUMNS + 1);
}

static void draw_from_row(sotto_scene *scene, const int32_t *medians, predicate *p)
{
    const sotto_points *codes = scene->synthetic;
    const size_t row = sotto_stream_below(scene->stream, codes->rows);
    *p = (predicate){.count = choose_count(scene->stream, codes->columns)};
    choose_columns(scene->stream, codes->columns, p);
    for (size_t i = 0; i < p->count; i++) {
        const size_t c = p->intervals[i].column;
        p->intervals[i] = around(&codes->about[c], c, codes->codes[c][row], medians[c]);
    }
}

/* How many rows of a table a predicate holds for, counted up to two, and the first of them. */
typedef struct match {
    uint32_t rows, first;
} match;

static void match_rows(const sotto_points *codes, const predicate *list, size_t count, unsigned threads,
                       match *found)
{
#pragma omp parallel for num_threads(threads) schedule(dynamic, 16)
    for (size_t i = 0; i < count; i++)
        found[i].rows =
            (uint32_t)sotto_points_count(codes, list[i].intervals, list[i].count, 2, &found[i].first);
}

static bool same(const predicate *a, const predicate *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->intervals[i].column != b->intervals[i].column || a->intervals[i].low != b->intervals[i].low ||
            a->intervals[i].high != b->intervals[i].high)
            return false;
    return true;
}

/* Each different predicate once; a few thousand of them, so that looking at all costs little. */
static void keep(predicates *kept, const predicate *p)
{
    for (size_t i = 0; i < kept->count; i++)
        if (same(&kept->list[i], p))
            return;
    kept->list[kept->count++] = *p;
}

static sotto_status draw_conjunctions(sotto_scene *scene, predicates *kept, const int32_t *medians,
                                      sotto_arena *arena, sotto_error *err)
{
    predicate *tried = sotto_arena_take(arena, BATCH, sizeof *tried, err);
    match *found = tried ? sotto_arena_take(arena, BATCH, sizeof *found, err) : NULL;
    if (!found)
        return SOTTO_ERROR_MEMORY;
    size_t before =
        SIZE_MAX; /* a batch that finds nothing new is the last one: there is little left to find */
    for (size_t left = TRIES * kept->capacity;
         left > 0 && kept->count < kept->capacity && kept->count != before;) {
        const size_t count = left < BATCH ? left : BATCH;
        before = kept->count;
        for (size_t i = 0; i < count; i++)
            draw_from_row(scene, medians, &tried[i]);
        match_rows(scene->synthetic, tried, count, scene->evaluation->threads, found);
        for (size_t i = 0; i < count && kept->count < kept->capacity; i++)
            if (found[i].rows == 1)
                keep(kept, &tried[i]);
        left -= count;
    }
    return SOTTO_OK;
}

/* --------------------------------------------------------------- baseline */

/* What somebody would say who knows the schema alone. */
static sotto_interval draw_from_domain(const sotto_schema *schema, const sotto_point_column *about,
                                       size_t column, sotto_stream *stream)
{
    const bool missing = schema->columns[about->column].missing_allowed;
    const uint64_t points = (uint64_t)about->steps + 1;
    if (!about->ordered) {
        const uint64_t drawn = sotto_stream_below(stream, points + missing);
        const int32_t value = drawn < points ? (int32_t)drawn : SOTTO_POINT_MISSING;
        return (sotto_interval){column, value, value};
    }
    const int32_t value = (int32_t)sotto_stream_below(stream, points);
    switch (sotto_stream_below(stream, 3)) {
    case 0:
        return (sotto_interval){column, value, value};
    case 1:
        return (sotto_interval){column, 0, value};
    default:
        return (sotto_interval){column, value, about->steps};
    }
}

/* As many predicates of as many columns each. */
static void draw_guesses(sotto_scene *scene, const predicates *like, predicate *guesses)
{
    const sotto_schema *schema = sotto_table_schema(scene->evaluation->train);
    for (size_t i = 0; i < like->count; i++) {
        guesses[i] = (predicate){.count = like->list[i].count};
        choose_columns(scene->stream, scene->synthetic->columns, &guesses[i]);
        for (size_t k = 0; k < guesses[i].count; k++) {
            const size_t c = guesses[i].intervals[k].column;
            guesses[i].intervals[k] = draw_from_domain(schema, &scene->synthetic->about[c], c, scene->stream);
        }
    }
}

/* ----------------------------------------------------------------- attack */

/* What the rates are found with. */
typedef struct workspace {
    match *found;
    uint32_t *alone;
} workspace;

/*
 * Predicates that single out the same row succeed together, and would look like so many attempts that all
 * went well. Where c₁, c₂, … of them single out one row each, their s successes vary Σc²/s times as much as
 * those of independent ones.
 */
static sotto_rate rate_of(const sotto_scene *scene, const sotto_points *target, const predicate *list,
                          size_t count, const workspace *at)
{
    match_rows(target, list, count, scene->evaluation->threads, at->found);
    size_t successes = 0;
    for (size_t i = 0; i < count; i++)
        if (at->found[i].rows == 1)
            at->alone[successes++] = at->found[i].first;
    const double n = (double)count, s = (double)successes;
    return sotto_wilson_worth(s, n, successes ? n * s / sotto_sum_of_squares(at->alone, successes) : n);
}

/* Success is a predicate that holds for exactly one row, of as many rows of both tables. */
static sotto_status attack_with(sotto_scene *scene, const predicates *found, const char *key,
                                const char *name, sotto_arena *arena, json_t *attacks, sotto_error *err)
{
    predicate *guesses = sotto_arena_take(arena, found->count, sizeof *guesses, err);
    workspace at = {0};
    at.found = guesses ? sotto_arena_take(arena, found->count, sizeof *at.found, err) : NULL;
    at.alone = at.found ? sotto_arena_take(arena, found->count, sizeof *at.alone, err) : NULL;
    if (!at.alone)
        return SOTTO_ERROR_MEMORY;
    draw_guesses(scene, found, guesses);
    const sotto_points *train = scene->test ? scene->train_part : scene->train;
    sotto_attack attack = {.key = key,
                           .name = name,
                           .train = rate_of(scene, train, found->list, found->count, &at),
                           .baseline = rate_of(scene, train, guesses, found->count, &at),
                           .has_control = scene->test != NULL,
                           .has_whole = train != scene->train};
    if (attack.has_control)
        attack.control = rate_of(scene, scene->test_part, found->list, found->count, &at);
    if (attack.has_whole)
        attack.whole_train = rate_of(scene, scene->train, found->list, found->count, &at);
    return sotto_attack_report(scene, &attack, attacks, err);
}

/* The lower median of what is not missing; 0 where all is. */
static int32_t median_of(const int32_t *sorted, size_t rows)
{
    size_t missing = 0;
    while (missing < rows && sorted[missing] == SOTTO_POINT_MISSING)
        missing++;
    return missing < rows ? sorted[missing + (rows - missing - 1) / 2] : 0;
}

sotto_status sotto_attack_singling_out(sotto_scene *scene, json_t *attacks, sotto_error *err)
{
    const sotto_points *codes = scene->synthetic;
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    status = SOTTO_ERROR_MEMORY;
    predicates one = {.capacity = scene->attempts}, many = {.capacity = scene->attempts};
    one.list = sotto_arena_take(arena, one.capacity, sizeof *one.list, err);
    many.list = one.list ? sotto_arena_take(arena, many.capacity, sizeof *many.list, err) : NULL;
    int32_t *medians = many.list ? sotto_arena_take(arena, codes->columns, sizeof *medians, err) : NULL;
    int32_t *sorted = medians ? sotto_arena_take(arena, codes->rows, sizeof *sorted, err) : NULL;
    if (!sorted)
        goto done;
    size_t offered = 0;
    for (size_t c = 0; c < codes->columns; c++) {
        sotto_points_sort(codes, c, sorted);
        medians[c] = median_of(sorted, codes->rows);
        offer_column(&one, &offered, scene, c, sorted);
    }
    status = attack_with(scene, &one, "singling_out_univariate", "Singling out by one column", arena, attacks,
                         err);
    if (!status && codes->columns >= LEAST_COLUMNS)
        status = draw_conjunctions(scene, &many, medians, arena, err);
    if (!status)
        status = attack_with(scene, &many, "singling_out_multivariate", "Singling out by several columns",
                             arena, attacks, err);
done:
    sotto_arena_destroy(arena);
    return status;
}
