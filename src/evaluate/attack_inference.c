/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "evaluate/attacks.h"

/* A guess may be off by so much of itself, or a date by so much of its declared range. */
#define TOLERANCE 0.05

/* Is the cell of a synthetic row as good as that of a real one? */
static bool guessed(const sotto_table *synthetic, size_t guess_row, const sotto_table *real, size_t row,
                    size_t column)
{
    const sotto_column *declared = &sotto_table_schema(real)->columns[column];
    const bool missing = sotto_table_missing(real, row, column);
    if (missing || sotto_table_missing(synthetic, guess_row, column))
        return missing && sotto_table_missing(synthetic, guess_row, column);
    if (declared->type == SOTTO_COLUMN_CATEGORY)
        return sotto_table_category(synthetic, guess_row, column) == sotto_table_category(real, row, column);
    const double guess = sotto_table_number(synthetic, guess_row, column);
    const double off = fabs(guess - sotto_table_number(real, row, column));
    /* Where days are counted from says nothing, so a date is measured by its range. */
    const double scale = declared->type == SOTTO_COLUMN_DATE ? declared->max - declared->min : fabs(guess);
    return off <= TOLERANCE * scale;
}

/* Rates of all secrets; each attempt tries them all on one person. */
typedef struct trial {
    const size_t *secrets; /* indices into the codes' columns */
    size_t secret_count;
    sotto_rate *rates;    /* of the attack */
    sotto_rate *guessing; /* of random rows instead, or NULL */
} trial;

static void judge(sotto_scene *scene, const sotto_table *real, const uint32_t *rows, size_t count,
                  const sotto_neighbour *found, const trial *t)
{
    const sotto_table *synthetic = scene->evaluation->synthetic;
    for (size_t s = 0; s < t->secret_count; s++) {
        const size_t column = scene->synthetic->about[t->secrets[s]].column;
        size_t hits = 0, lucky = 0;
        for (size_t i = 0; i < count; i++) {
            hits += guessed(synthetic, found[i * t->secret_count + s].row, real, rows[i], column);
            if (t->guessing)
                lucky += guessed(synthetic, sotto_stream_below(scene->stream, scene->synthetic->rows), real,
                                 rows[i], column);
        }
        t->rates[s] = sotto_wilson((double)hits, (double)count);
        if (t->guessing)
            t->guessing[s] = sotto_wilson((double)lucky, (double)count);
    }
}

static sotto_status infer(sotto_scene *scene, const sotto_table *real, const sotto_points *targets,
                          const trial *t, sotto_error *err)
{
    const size_t count = targets->rows < scene->attempts ? targets->rows : scene->attempts;
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    status = SOTTO_ERROR_MEMORY;
    const uint32_t *rows = sotto_sample_rows(scene->stream, targets->rows, count, arena, err);
    sotto_neighbour *found =
        rows ? sotto_arena_take(arena, count, t->secret_count * sizeof *found, err) : NULL;
    if (found) {
        const sotto_search search = {
            scene->synthetic,          targets, rows, count, sotto_stream_u64(scene->stream),
            scene->evaluation->threads};
        status = sotto_neighbours_without(&search, t->secrets, t->secret_count, found, err);
    }
    if (!status)
        judge(scene, real, rows, count, found, t);
    sotto_arena_destroy(arena);
    return status;
}

static sotto_status report(sotto_scene *scene, const trial *t, const sotto_rate *control, json_t *attacks,
                           sotto_error *err)
{
    const sotto_schema *schema = sotto_table_schema(scene->evaluation->train);
    sotto_status status = SOTTO_OK;
    for (size_t s = 0; s < t->secret_count && !status; s++) {
        const sotto_attack attack = {.key = "attribute_inference",
                                     .name = "Inferring a column from all the others",
                                     .secret =
                                         schema->columns[scene->train->about[t->secrets[s]].column].name,
                                     .train = t->rates[s],
                                     .baseline = t->guessing[s],
                                     .control = control[s],
                                     .has_control = scene->test != NULL};
        status = sotto_attack_report(scene, &attack, attacks, err);
    }
    return status;
}

sotto_status sotto_attack_inference(sotto_scene *scene, json_t *attacks, sotto_error *err)
{
    sotto_arena *arena = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status)
        return status;
    status = SOTTO_ERROR_MEMORY;
    const size_t count = scene->secrets;
    const uint32_t *drawn = sotto_sample_rows(scene->stream, scene->train->columns, count, arena, err);
    size_t *secrets = drawn ? sotto_arena_take(arena, count, sizeof *secrets, err) : NULL;
    sotto_rate *rates = secrets ? sotto_arena_take(arena, 3 * count, sizeof *rates, err) : NULL;
    if (!rates)
        goto done;
    for (size_t s = 0; s < count; s++)
        secrets[s] = drawn[s];
    trial t = {secrets, count, rates, rates + count};
    status = infer(scene, scene->evaluation->train, scene->train, &t, err);
    if (!status && scene->test) {
        const trial control = {secrets, count, rates + 2 * count, NULL};
        status = infer(scene, scene->evaluation->test, scene->test, &control, err);
    }
    if (!status)
        status = report(scene, &t, rates + 2 * count, attacks, err);
done:
    sotto_arena_destroy(arena);
    return status;
}
