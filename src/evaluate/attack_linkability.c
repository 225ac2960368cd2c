/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/attacks.h"

enum { MOST_NEIGHBOURS = 10 };

/* Neighbours looked at on each side: one in a thousand rows, at least one. */
static size_t neighbours_of(size_t rows)
{
    const size_t k = rows / 1000;
    return k < 1 ? 1 : k > MOST_NEIGHBOURS ? MOST_NEIGHBOURS : k;
}

/* Each attempt splits the columns anew into two random halves. */
static void split_columns(sotto_stream *stream, uint8_t *left, uint8_t *right, size_t columns)
{
    size_t missing = columns / 2;
    for (size_t c = 0; c < columns; c++) {
        left[c] = sotto_stream_below(stream, columns - c) < missing;
        missing -= left[c];
        right[c] = !left[c];
    }
}

static bool share_a_row(const sotto_neighbour *a, const sotto_neighbour *b, size_t k)
{
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++)
            if (a[i].row == b[j].row)
                return true;
    return false;
}

/* Random people of `targets`: do the nearest synthetic rows of both halves of their columns share one? */
static sotto_status link_halves(sotto_scene *scene, const sotto_points *targets, size_t k, sotto_rate *rate,
                                sotto_error *err)
{
    const size_t count = targets->rows < scene->attempts ? targets->rows : scene->attempts;
    const size_t columns = targets->columns;
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    status = SOTTO_ERROR_MEMORY;
    const uint32_t *rows = sotto_sample_rows(scene->stream, targets->rows, count, arena, err);
    uint8_t *left = rows ? sotto_arena_take(arena, count, columns, err) : NULL;
    uint8_t *right = left ? sotto_arena_take(arena, count, columns, err) : NULL;
    sotto_neighbour *a = right ? sotto_arena_take(arena, count, k * sizeof *a, err) : NULL;
    sotto_neighbour *b = a ? sotto_arena_take(arena, count, k * sizeof *b, err) : NULL;
    if (!b)
        goto done;
    for (size_t i = 0; i < count; i++)
        split_columns(scene->stream, left + i * columns, right + i * columns, columns);
    sotto_search search = {scene->synthetic,          targets, rows, count, sotto_stream_u64(scene->stream),
                           scene->evaluation->threads};
    status = sotto_neighbours_find(&search, left, k, a, err);
    search.seed = sotto_stream_u64(scene->stream); /* ties of the halves must not fall alike */
    if (!status)
        status = sotto_neighbours_find(&search, right, k, b, err);
    size_t linked = 0;
    for (size_t i = 0; i < count && !status; i++)
        linked += share_a_row(a + i * k, b + i * k, k);
    *rate = sotto_wilson((double)linked, (double)count);
done:
    sotto_arena_destroy(arena);
    return status;
}

/* k different rows of `rows`. */
static void draw(sotto_stream *stream, size_t rows, sotto_neighbour *drawn, size_t k)
{
    size_t count = 0;
    while (count < k) {
        drawn[count].row = (uint32_t)sotto_stream_below(stream, rows);
        size_t same = 0;
        while (drawn[same].row != drawn[count].row)
            same++;
        count += same == count;
    }
}

static sotto_rate guess(sotto_scene *scene, size_t k, size_t count)
{
    sotto_neighbour a[MOST_NEIGHBOURS], b[MOST_NEIGHBOURS];
    size_t linked = 0;
    for (size_t i = 0; i < count; i++) {
        draw(scene->stream, scene->synthetic->rows, a, k);
        draw(scene->stream, scene->synthetic->rows, b, k);
        linked += share_a_row(a, b, k);
    }
    return sotto_wilson((double)linked, (double)count);
}

sotto_status sotto_attack_linkability(sotto_scene *scene, json_t *attacks, sotto_error *err)
{
    const size_t k = neighbours_of(scene->synthetic->rows);
    sotto_attack attack = {.key = "linkability",
                           .name = "Linking two halves of a person's columns",
                           .train = sotto_wilson(0, 0),
                           .control = sotto_wilson(0, 0),
                           .baseline = sotto_wilson(0, 0),
                           .has_control = scene->test != NULL};
    sotto_status status = SOTTO_OK;
    if (scene->train->columns >= 2) {
        status = link_halves(scene, scene->train, k, &attack.train, err);
        if (!status && scene->test)
            status = link_halves(scene, scene->test, k, &attack.control, err);
        attack.baseline = guess(scene, k, (size_t)attack.train.attempts);
    }
    return status ? status : sotto_attack_report(scene, &attack, attacks, err);
}
