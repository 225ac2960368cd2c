/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Is training still going somewhere? Asked of parameters that private steps have made and of rows drawn from
 * them, beside noisy counts: of nothing that a real row could move outside of a mechanism (P6). So neither an
 * answer nor what is done about it costs anything.
 */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/kind.h"

/* Initial parameters are below 1, and those of a network that learns stay within a few units. */
static const double most_parameters = 100.0;
/* Of the entropy of noisy counts; of different rows at the first look; of total variation, added to the
 * first. */
static const double least_entropy = 0.1, least_distinct = 0.005, most_drift = 0.5;
enum { PATIENCE = 5 }; /* looks in a row at which something is wrong with rows: they may recover */

struct sotto_health {
    sotto_arena *arena;
    sotto_model *model;
    sotto_stream *stream; /* of its own: what is looked at changes nothing of what is trained */
    size_t blocks;
    bool *drawn;            /* [blocks]: its slots are drawn, as a condition, and not made */
    bool has_made;          /* a column that can differ is made */
    uint16_t *slots;        /* [SOTTO_MODEL_ROWS, blocks] */
    float *values;          /* as above */
    uint64_t *marks;        /* [SOTTO_MODEL_ROWS]: equal for equal rows */
    double *found, *wanted; /* [slots of the largest block] */
    unsigned looks, faulty; /* in all; in a row, up to now */
    size_t first_distinct;  /* at the first look */
    double first_distance;
    char verdict[SOTTO_HEALTH_VERDICT];
};

void sotto_health_destroy(sotto_health *health)
{
    if (!health)
        return;
    sotto_stream_destroy(health->stream);
    sotto_arena_destroy(health->arena);
}

static sotto_status take(sotto_health *health, sotto_random *random, sotto_error *err)
{
    const sotto_encoder *encoder = health->model->encoder;
    size_t most = 1;
    health->blocks = sotto_encoder_block_count(encoder);
    health->drawn = sotto_arena_take(health->arena, health->blocks, sizeof *health->drawn, err);
    if (!health->drawn)
        return SOTTO_ERROR_MEMORY;
    for (size_t b = 0; b < health->blocks; b++) {
        const sotto_block *block = sotto_encoder_block(encoder, b);
        most = block->slot_count > most ? block->slot_count : most;
        health->drawn[b] = health->model->kind->told ? health->model->kind->told(health->model, b)
                                                     : sotto_model_conditional(health->model, b);
        health->has_made =
            health->has_made || (!health->drawn[b] && (block->slot_count > 1 || block->has_value));
    }
    const size_t cells = SOTTO_MODEL_ROWS * health->blocks;
    health->slots = sotto_arena_take(health->arena, cells, sizeof *health->slots, err);
    health->values = sotto_arena_take(health->arena, cells, sizeof *health->values, err);
    health->marks = sotto_arena_take(health->arena, SOTTO_MODEL_ROWS, sizeof *health->marks, err);
    health->found = sotto_arena_take(health->arena, most, sizeof *health->found, err);
    health->wanted = sotto_arena_take(health->arena, most, sizeof *health->wanted, err);
    if (!health->slots || !health->values || !health->marks || !health->found || !health->wanted)
        return SOTTO_ERROR_MEMORY;
    return sotto_stream_create(&health->stream, random, SOTTO_PURPOSE_GENERATION, err);
}

sotto_status sotto_health_create(sotto_health **health, sotto_model *model, sotto_random *random,
                                 sotto_error *err)
{
    sotto_arena *arena;
    *health = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_health *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    made->arena = arena;
    made->model = model;
    status = take(made, random, err);
    if (status != SOTTO_OK) {
        sotto_health_destroy(made);
        return status;
    }
    *health = made;
    return SOTTO_OK;
}

/* ---- what is measured ---- */

static double root_mean_square(const float *values, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return count ? sqrt(sum / (double)count) : 0.0;
}

/* The larger of two; what is no number is larger than any. */
static double larger(double a, double b)
{
    return a >= b || isnan(a) ? a : b;
}

static double parameters_of(sotto_model *model)
{
    const sotto_model_private wanted = sotto_model_private_wanted(model);
    size_t count;
    const float *released = model->kind->released(model, &count);
    /* Of discriminators that no noise was put on there is nothing to be seen here. */
    const size_t trained = wanted.parameters ? sotto_network_parameters(wanted.network) : 0;
    return larger(root_mean_square(wanted.parameters, trained), root_mean_square(released, count));
}

static double entropy_of(const double *frequency, size_t count)
{
    double sum = 0.0;
    for (size_t s = 0; s < count; s++)
        if (frequency[s] > 0.0)
            sum -= frequency[s] * log(frequency[s]);
    return sum;
}

/* Sums over the columns that are made: the target and other conditions are drawn. */
struct sums {
    double entropy;      /* of made rows */
    double held_entropy; /* the same, of columns of which there are noisy frequencies */
    double wanted_entropy;
    double distance;
    size_t columns, held;
};

static void add_block(const sotto_health *health, size_t b, struct sums *sums)
{
    const size_t slots = sotto_encoder_block(health->model->encoder, b)->slot_count;
    const sotto_model_kind *kind = health->model->kind;
    memset(health->found, 0, slots * sizeof *health->found);
    for (size_t i = 0; i < SOTTO_MODEL_ROWS; i++)
        health->found[health->slots[i * health->blocks + b]] += 1.0 / SOTTO_MODEL_ROWS;
    const double entropy = entropy_of(health->found, slots);
    sums->columns++;
    sums->entropy += entropy;
    if (!kind->marginal || !kind->marginal(health->model, b, health->wanted))
        return;
    double distance = 0.0;
    for (size_t s = 0; s < slots; s++)
        distance += fabs(health->found[s] - health->wanted[s]) / 2;
    sums->held++;
    sums->distance += distance;
    sums->held_entropy += entropy;
    sums->wanted_entropy += entropy_of(health->wanted, slots);
}

static int compare_marks(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* FNV-1a over a row's slots and values; those that are drawn left out. Two unequal rows in 2⁶⁴ are taken for
 * equal.
 */
static uint64_t mark_of(const sotto_health *health, size_t row)
{
    uint64_t mark = 0xcbf29ce484222325U;
    for (size_t b = 0; b < health->blocks; b++) {
        unsigned char bytes[6];
        if (health->drawn[b])
            continue;
        memcpy(bytes, &health->slots[row * health->blocks + b], 2);
        memcpy(bytes + 2, &health->values[row * health->blocks + b], 4);
        for (size_t k = 0; k < sizeof bytes; k++)
            mark = (mark ^ bytes[k]) * 0x100000001b3U;
    }
    return mark;
}

static size_t count_distinct(const sotto_health *health)
{
    size_t distinct = 1;
    for (size_t i = 0; i < SOTTO_MODEL_ROWS; i++)
        health->marks[i] = mark_of(health, i);
    qsort(health->marks, SOTTO_MODEL_ROWS, sizeof *health->marks, compare_marks);
    for (size_t i = 1; i < SOTTO_MODEL_ROWS; i++)
        distinct += health->marks[i] != health->marks[i - 1];
    return distinct;
}

/* ---- what follows ---- */

/*
 * What is wrong with rows as they are made now; NULL for nothing. Noisy frequencies of what is made say how
 * much rows should vary, and where the columns should stay; without them, the first look says a little of the
 * former.
 */
static const char *find_fault(const sotto_health *health, const struct sums *sums, size_t distinct)
{
    if (!health->has_made)
        return NULL;
    if (sums->held == 0)
        return distinct == 1 || (double)distinct < least_distinct * (double)health->first_distinct
                   ? "hardly two rows that it made were different"
                   : NULL;
    if (sums->wanted_entropy >= 0.1 * (double)sums->held &&
        sums->held_entropy < least_entropy * sums->wanted_entropy)
        return "the rows that it made varied less than a tenth as much as the noisy counts do";
    if (sums->distance / (double)sums->held > health->first_distance + most_drift)
        return "the columns of the rows that it made were far from the noisy counts, from which they began";
    return NULL;
}

static void judge(sotto_health *health, const struct sums *sums, size_t distinct)
{
    if (health->looks++ == 0) {
        health->first_distinct = distinct;
        health->first_distance = sums->held ? sums->distance / (double)sums->held : 0.0;
    }
    const char *fault = find_fault(health, sums, distinct);
    health->faulty = fault ? health->faulty + 1 : 0;
    if (health->faulty >= PATIENCE)
        (void)snprintf(health->verdict, sizeof health->verdict, "at %d looks in a row %s", PATIENCE, fault);
}

sotto_status sotto_health_examine(sotto_health *health, sotto_model_health *seen, sotto_error *err)
{
    struct sums sums = {0};
    *seen = (sotto_model_health){.parameters = parameters_of(health->model),
                                 .entropy = NAN,
                                 .wanted_entropy = NAN,
                                 .distance = NAN,
                                 .distinct = NAN};
    if (!(seen->parameters <= most_parameters)) {
        if (isfinite(seen->parameters))
            (void)snprintf(
                health->verdict, sizeof health->verdict,
                "its parameters have grown to %.3g in the root mean square, and above %g nothing is "
                "learned",
                seen->parameters, most_parameters);
        else
            (void)snprintf(health->verdict, sizeof health->verdict, "its parameters are no numbers any more");
        return SOTTO_OK; /* rows of such a model say nothing */
    }
    const sotto_status status = sotto_model_sample(health->model, health->stream, SOTTO_NONE,
                                                   SOTTO_MODEL_ROWS, health->slots, health->values, err);
    if (status != SOTTO_OK)
        return status;
    for (size_t b = 0; b < health->blocks; b++)
        if (!health->drawn[b] && sotto_encoder_block(health->model->encoder, b)->slot_count > 1)
            add_block(health, b, &sums);
    const size_t distinct = count_distinct(health);
    seen->entropy = sums.columns ? sums.entropy / (double)sums.columns : NAN;
    seen->wanted_entropy = sums.held ? sums.wanted_entropy / (double)sums.held : NAN;
    seen->distance = sums.held ? sums.distance / (double)sums.held : NAN;
    seen->distinct = (double)distinct / SOTTO_MODEL_ROWS;
    judge(health, &sums, distinct);
    return SOTTO_OK;
}

const char *sotto_health_verdict(const sotto_health *health)
{
    return health->verdict[0] ? health->verdict : NULL;
}

void sotto_health_state(sotto_health *health, sotto_state *state)
{
    uint64_t looks = health->looks, faulty = health->faulty;
    sotto_state_object(state, "health");
    sotto_state_u64(state, "looks", &looks, 0, INT_MAX);
    sotto_state_u64(state, "faulty", &faulty, 0, looks);
    sotto_state_size(state, "first_distinct", &health->first_distinct, 0, SOTTO_MODEL_ROWS);
    sotto_state_doubles_in(state, "first_distance", &health->first_distance, 1, 0.0, 1.0 + 1e-6);
    sotto_state_text(state, "verdict", health->verdict, sizeof health->verdict);
    health->looks = (unsigned)looks;
    health->faulty = (unsigned)faulty;
}
