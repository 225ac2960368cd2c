/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "evaluate/attacks.h"

/* Attempts of each attack, fewer where a table has so many cells that they would take too long. */
enum { MOST_ATTEMPTS = 2000, LEAST_ATTEMPTS = 200, MOST_SECRETS = 50 };
static const double most_cells_read = 1e11;

/* ----------------------------------------------------------------- figures */

sotto_rate sotto_wilson_worth(double successes, double attempts, double worth)
{
    const double z2 = SOTTO_Z95 * SOTTO_Z95;
    const double share = attempts > 0 ? successes / attempts : 0;
    const double centre = (share * worth + z2 / 2) / (worth + z2);
    const double error = SOTTO_Z95 / (worth + z2) * sqrt(share * (1 - share) * worth + z2 / 4);
    return (sotto_rate){.successes = successes,
                        .attempts = attempts,
                        .worth = worth,
                        .rate = centre,
                        .error = error,
                        .low =
                            successes > 0 ? centre - error : 0, /* what the formulas give but for rounding */
                        .high = successes < attempts || attempts <= 0 ? fmin(centre + error, 1) : 1};
}

sotto_rate sotto_wilson(double successes, double attempts)
{
    return sotto_wilson_worth(successes, attempts, attempts);
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double sotto_sum_of_squares(uint32_t *numbers, size_t count)
{
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    double sum = 0;
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from; to < count && numbers[to] == numbers[from];)
            to++;
        sum += (double)(to - from) * (double)(to - from);
    }
    return sum;
}

sotto_risk sotto_risk_of(const sotto_rate *train, const sotto_rate *control, double z)
{
    const double rest = 1 - control->rate; /* > 0: a Wilson centre is below 1 */
    const double value = (train->rate - control->rate) / rest;
    const double error = hypot(train->error / rest, control->error * (1 - train->rate) / (rest * rest));
    const double wide = error * z / SOTTO_Z95;
    return (sotto_risk){value, value - wide, value + wide < 1 ? value + wide : 1};
}

double sotto_joint_z(size_t tests)
{
    const double tail = 0.05 / (double)tests; /* of both sides */
    double low = 0, high = 40;
    for (int i = 0; i < 60; i++) {
        const double middle = (low + high) / 2;
        if (erfc(middle / sqrt(2)) > tail)
            low = middle;
        else
            high = middle;
    }
    return high;
}

uint32_t *sotto_sample_rows(sotto_stream *stream, size_t total, size_t count, sotto_arena *arena,
                            sotto_error *err)
{
    uint32_t *rows = sotto_arena_take(arena, count, sizeof *rows, err);
    size_t taken = 0;
    for (size_t row = 0; rows && taken < count; row++) /* Knuth's algorithm S */
        if (sotto_stream_below(stream, total - row) < count - taken)
            rows[taken++] = (uint32_t)row;
    return rows;
}

/* ----------------------------------------------------------------- records */

sotto_status sotto_json_made(const json_t *made, sotto_error *err)
{
    if (made)
        return SOTTO_OK;
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "the record of the attacks found no memory");
}

json_t *sotto_rate_record(const sotto_rate *rate)
{
    return json_pack("{s:f,s:f,s:f,s:I,s:I,s:f}", "rate", rate->rate, "low", rate->low, "high", rate->high,
                     "successes", (json_int_t)rate->successes, "attempts", (json_int_t)rate->attempts,
                     "worth", rate->worth);
}

static const char *verdict(const sotto_attack *attack, const sotto_risk *risk, const char **explanation)
{
    if (attack->train.attempts == 0) {
        *explanation = "The tables are too small, or have too few columns, for a single attempt.";
        return "inconclusive";
    }
    if (attack->train.low <= attack->baseline.high) {
        *explanation =
            "The attack does no better than guessing, so it says nothing about the table: this is no "
            "evidence of safety.";
        return "inconclusive";
    }
    if (!attack->has_control) {
        *explanation =
            "The attack beats guessing, but without a test table nothing tells what it learned about "
            "the people in the training table from what holds for everybody.";
        return "inconclusive";
    }
    if (risk->low > 0) {
        *explanation = "The attack succeeds more often on people in the training table than on others: the "
                       "synthetic table gives them away.";
        return "leak";
    }
    *explanation =
        "The attack beats guessing, but by no more on people in the training table than on others: "
        "what it learns holds for the whole population.";
    return "no excess";
}

sotto_status sotto_attack_report(const sotto_scene *scene, const sotto_attack *attack, json_t *attacks,
                                 sotto_error *err)
{
    const sotto_risk risk = sotto_risk_of(&attack->train, &attack->control, scene->joint_z);
    const char *explanation;
    const char *found = verdict(attack, &risk, &explanation);
    json_t *record =
        json_pack("{s:s,s:s,s:I,s:o,s:o,s:s,s:s}", "key", attack->key, "name", attack->name, "attempts",
                  (json_int_t)attack->train.attempts, "train", sotto_rate_record(&attack->train), "baseline",
                  sotto_rate_record(&attack->baseline), "verdict", found, "explanation", explanation);
    json_t *control = attack->has_control ? sotto_rate_record(&attack->control) : json_null();
    json_t *excess = attack->has_control
                         ? json_pack("{s:f,s:f,s:f}", "value", risk.value, "low", risk.low, "high", risk.high)
                         : json_null();
    int failed = json_object_set_new(record, "control", control);
    failed |= json_object_set_new(record, "risk", excess);
    if (attack->secret)
        failed |= json_object_set_new(record, "secret", json_string(attack->secret));
    if (attack->has_whole)
        failed |= json_object_set_new(record, "whole_train", sotto_rate_record(&attack->whole_train));
    if (failed) {
        json_decref(record);
        return sotto_json_made(NULL, err);
    }
    return sotto_json_made(json_array_append_new(attacks, record) ? NULL : attacks, err);
}

/* ------------------------------------------------------------------- scene */

static sotto_status part_of(sotto_scene *scene, const sotto_table *table, sotto_points *whole, size_t count,
                            sotto_points **part, sotto_error *err)
{
    if (whole->rows == count) {
        *part = whole;
        return SOTTO_OK;
    }
    uint32_t *rows = sotto_sample_rows(scene->stream, whole->rows, count, scene->arena, err);
    return rows ? sotto_points_create(part, table, rows, count, err) : SOTTO_ERROR_MEMORY;
}

static sotto_status encode(sotto_scene *scene, sotto_error *err)
{
    const sotto_evaluation *e = scene->evaluation;
    sotto_status status = sotto_points_create(&scene->train, e->train, NULL, 0, err);
    if (!status)
        status = sotto_points_create(&scene->synthetic, e->synthetic, NULL, 0, err);
    if (status || !e->test)
        return status;
    status = sotto_points_create(&scene->test, e->test, NULL, 0, err);
    if (status)
        return status;
    const size_t count = scene->train->rows < scene->test->rows ? scene->train->rows : scene->test->rows;
    status = part_of(scene, e->train, scene->train, count, &scene->train_part, err);
    return status ? status : part_of(scene, e->test, scene->test, count, &scene->test_part, err);
}

static void clear(sotto_scene *scene)
{
    if (scene->train_part != scene->train)
        sotto_points_destroy(scene->train_part);
    if (scene->test_part != scene->test)
        sotto_points_destroy(scene->test_part);
    sotto_points_destroy(scene->train);
    sotto_points_destroy(scene->test);
    sotto_points_destroy(scene->synthetic);
    sotto_stream_destroy(scene->stream);
    sotto_arena_destroy(scene->arena);
}

static void plan(sotto_scene *scene)
{
    const sotto_points *largest = scene->synthetic;
    if (scene->test_part && scene->test_part->rows > largest->rows)
        largest = scene->test_part;
    const double affordable = most_cells_read / ((double)largest->rows * (double)largest->columns);
    scene->attempts = affordable > MOST_ATTEMPTS    ? MOST_ATTEMPTS
                      : affordable < LEAST_ATTEMPTS ? LEAST_ATTEMPTS
                                                    : (size_t)affordable;
    scene->secrets = scene->train->columns < MOST_SECRETS ? scene->train->columns : MOST_SECRETS;
    scene->joint_z = sotto_joint_z(3 + scene->secrets);
}

/* ------------------------------------------------------------------- parts */

static sotto_status keep(sotto_status status, json_t *record, const char *key, json_t *part, sotto_error *err)
{
    if (status)
        return status;
    return sotto_json_made(json_object_set_new(record, key, part) ? NULL : record, err);
}

/* The attacks in the order in which they are told of; each draws on from where the last one stopped. */
static sotto_status attack_all(sotto_scene *scene, json_t *record, sotto_error *err)
{
    static sotto_status (*const attack[])(sotto_scene *, json_t *, sotto_error *) = {
        sotto_attack_singling_out, sotto_attack_linkability, sotto_attack_inference};
    static const struct {
        const char *key;
        sotto_status (*make)(sotto_scene *, json_t **, sotto_error *);
    } other[] = {{"distance", sotto_attack_distance},
                 {"matches", sotto_attack_matches},
                 {"membership", sotto_attack_membership}};
    const size_t attacks = sizeof attack / sizeof *attack, others = sizeof other / sizeof *other;
    json_t *list = json_array();
    sotto_status status = sotto_json_made(list, err);
    for (size_t i = 0; i < attacks && !status; i++) {
        sotto_evaluation_tell(scene->evaluation, "attacks", i, attacks + others);
        status = attack[i](scene, list, err);
    }
    if (status)
        json_decref(list);
    else
        status = keep(status, record, "attacks", list, err);
    for (size_t i = 0; i < others && !status; i++) {
        sotto_evaluation_tell(scene->evaluation, "attacks", attacks + i, attacks + others);
        json_t *part = NULL;
        status = other[i].make(scene, &part, err);
        status = keep(status, record, other[i].key, part, err);
    }
    return status;
}

sotto_status sotto_evaluate_attacks(const sotto_evaluation *evaluation, json_t **record, sotto_error *err)
{
    sotto_scene scene = {.evaluation = evaluation};
    json_t *made = json_object();
    sotto_status status = sotto_json_made(made, err);
    if (!status)
        status = sotto_arena_create(&scene.arena, err);
    if (!status)
        status = sotto_evaluation_stream(evaluation, &scene.stream, err);
    if (!status)
        status = encode(&scene, err);
    if (!status) {
        plan(&scene);
        status = attack_all(&scene, made, err);
    }
    clear(&scene);
    if (status)
        json_decref(made);
    else
        *record = made;
    return status;
}
