/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "evaluate/attacks.h"

/* How near "near" is, of the declared range. */
#define NEAR 0.01

/* The sampled synthetic rows as boxes: `columns` intervals for each. */
typedef struct boxes {
    size_t count, columns;
    sotto_interval *intervals;
    uint8_t *found;
} boxes;

static sotto_interval box_of(const sotto_point_column *about, size_t column, int32_t value)
{
    if (!about->ordered || value == SOTTO_POINT_MISSING)
        return (sotto_interval){column, value, value};
    const int32_t reach = (int32_t)floor(NEAR * about->steps);
    return (sotto_interval){column, value > reach ? value - reach : 0,
                            value < about->steps - reach ? value + reach : about->steps};
}

static sotto_status make_boxes(sotto_scene *scene, boxes *made, sotto_arena *arena, sotto_error *err)
{
    const sotto_points *codes = scene->synthetic;
    made->count = codes->rows < scene->attempts ? codes->rows : scene->attempts;
    made->columns = codes->columns;
    const uint32_t *rows = sotto_sample_rows(scene->stream, codes->rows, made->count, arena, err);
    made->found = rows ? sotto_arena_take(arena, made->count, 1, err) : NULL;
    made->intervals = made->found
                          ? sotto_arena_take(arena, made->count, made->columns * sizeof *made->intervals, err)
                          : NULL;
    if (!made->intervals)
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < made->count; i++)
        for (size_t c = 0; c < made->columns; c++)
            made->intervals[i * made->columns + c] = box_of(&codes->about[c], c, codes->codes[c][rows[i]]);
    return SOTTO_OK;
}

/* The share of boxes that hold a row of the table. */
static double near_share(const boxes *b, const sotto_points *among, unsigned threads)
{
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (size_t i = 0; i < b->count; i++)
        b->found[i] = (uint8_t)sotto_points_count(among, b->intervals + i * b->columns, b->columns, 1, NULL);
    size_t hits = 0;
    for (size_t i = 0; i < b->count; i++)
        hits += b->found[i];
    return (double)hits / (double)b->count;
}

static sotto_status add(json_t *record, const char *key, double share, sotto_error *err)
{
    return sotto_json_made(json_object_set_new(record, key, json_real(share)) ? NULL : record, err);
}

static sotto_status compare(const sotto_scene *scene, const boxes *b, const sotto_points *among,
                            json_t *record, const char *exact_key, const char *near_key, sotto_error *err)
{
    if (!among) {
        const int failed = json_object_set_new(record, exact_key, json_null()) |
                           json_object_set_new(record, near_key, json_null());
        return sotto_json_made(failed ? NULL : record, err);
    }
    size_t equal = 0;
    sotto_status status = sotto_points_equal(scene->synthetic, among, &equal, err);
    if (!status)
        status = add(record, exact_key, (double)equal / (double)scene->synthetic->rows, err);
    return status ? status : add(record, near_key, near_share(b, among, scene->evaluation->threads), err);
}

/* A larger table is met more often: the same with as many rows of both. */
static sotto_status compare_parts(const sotto_scene *scene, const boxes *b, json_t *record, sotto_error *err)
{
    if (!scene->test)
        return sotto_json_made(json_object_set_new(record, "equal_size", json_null()) ? NULL : record, err);
    json_t *parts = json_pack("{s:I}", "rows", (json_int_t)scene->train_part->rows);
    sotto_status status = sotto_json_made(parts, err);
    if (!status)
        status = compare(scene, b, scene->train_part, parts, "exact_train", "near_train", err);
    if (!status)
        status = compare(scene, b, scene->test_part, parts, "exact_test", "near_test", err);
    if (status) {
        json_decref(parts);
        return status;
    }
    return sotto_json_made(json_object_set_new(record, "equal_size", parts) ? NULL : record, err);
}

sotto_status sotto_attack_matches(sotto_scene *scene, json_t **record, sotto_error *err)
{
    json_t *made = NULL;
    sotto_arena *arena = NULL;
    boxes b = {0};
    sotto_status status = sotto_arena_create(&arena, err);
    if (!status)
        status = make_boxes(scene, &b, arena, err);
    if (!status) {
        made = json_pack("{s:s,s:I}", "near",
                         "every category is equal, and every number lies within 1 % of its declared range",
                         "sampled", (json_int_t)b.count);
        status = sotto_json_made(made, err);
    }
    if (!status)
        status = compare(scene, &b, scene->train, made, "exact_train", "near_train", err);
    if (!status)
        status = compare(scene, &b, scene->test, made, "exact_test", "near_test", err);
    if (!status)
        status = compare_parts(scene, &b, made, err);
    sotto_arena_destroy(arena);
    if (status)
        json_decref(made);
    else
        *record = made;
    return status;
}
