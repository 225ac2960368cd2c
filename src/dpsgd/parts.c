/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Networks that are trained without noise, each on a part of the units, and one noisy vector of each at a
 * time (Chen, Orekondy and Fritz 2020). What has read a row without noise lives here, and leaves by
 * sotto_parts_release alone.
 */
#include <string.h>

#include "dpsgd/lanes.h"
#include "dpsgd/vector.h"

enum phase { IDLE, BEGUN };

/* What one network knows. */
struct part {
    float *parameters; /* [count] */
    sotto_optimizer *optimizer;
    const uint32_t *units; /* numbers of its units */
    size_t unit_count;
};

struct sotto_parts {
    sotto_arena *arena;
    sotto_parts_options options;
    enum phase phase;
    uint64_t turns; /* ended so far */
    SOTTO_TRACED(uint64_t traced;)
    size_t count; /* parameters of a network */
    sotto_noise_grid grid;
    struct part *part;      /* [parts] */
    uint32_t *part_of;      /* [units] */
    uint32_t *dealt;        /* [units]: part by part */
    float *current;         /* [count]: of the network whose turn it is */
    sotto_weights *weights; /* of them */
    sotto_lanes *lanes;
    float *gradient; /* [count] */
    int64_t *steps;  /* [dimension] */
    uint32_t *rows;  /* [batch]: drawn */
    uint64_t *seeds; /* [batch]: of their dropout */
    sotto_stream *coins, *draws, *noise;
    sotto_dpsgd_private last;
};

/* ---------------------------------------------------------------------- creating */

static sotto_status check(const sotto_parts_options *options, sotto_error *err)
{
    const sotto_mechanism *one = &options->mechanism;
    if (one->kind != SOTTO_MECHANISM_SAMPLED_GAUSSIAN || one->sample_rate != 1.0)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "parts need a Gaussian mechanism of sample rate 1: who is in which part is no sampling");
    sotto_status status = sotto_mechanism_check(one, err);
    if (status != SOTTO_OK)
        return status;
    if (one->adjacency != SOTTO_ADJACENCY_ADD_REMOVE || one->group_size != 1)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "parts are charged for one unit added or removed, not for a group of %llu, adjacency %s",
            (unsigned long long)one->group_size, sotto_adjacency_name(one->adjacency));
    if (options->clipping.kind != SOTTO_CLIPPING_FLAT || !(options->clipping.max_grad_norm > 0.0))
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "a vector of a part is clipped as a whole: only flat clipping to a norm above 0 is known");
    if (options->parts == 0 || options->dimension == 0 || options->batch == 0 || options->threads == 0)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "parts need at least one part, coordinate, row of a batch and thread");
    return SOTTO_OK;
}

void sotto_parts_destroy(sotto_parts *parts)
{
    if (!parts)
        return;
    for (size_t k = 0; parts->part && k < parts->options.parts; k++)
        sotto_optimizer_destroy(parts->part[k].optimizer);
    sotto_lanes_destroy(parts->lanes);
    sotto_weights_destroy(parts->weights);
    sotto_stream_destroy(parts->coins);
    sotto_stream_destroy(parts->draws);
    sotto_stream_destroy(parts->noise);
    sotto_arena_destroy(parts->arena);
}

/* The units of each part, by which part each unit is in. */
static void gather(sotto_parts *parts)
{
    const size_t units = parts->options.units.count, count = parts->options.parts;
    uint32_t *next = parts->dealt;
    for (size_t k = 0; k < count; k++)
        parts->part[k].unit_count = 0;
    for (size_t u = 0; u < units; u++)
        parts->part[parts->part_of[u]].unit_count++;
    for (size_t k = 0; k < count; k++) {
        parts->part[k].units = next;
        next += parts->part[k].unit_count;
        parts->part[k].unit_count = 0;
    }
    for (size_t u = 0; u < units; u++) {
        struct part *of = &parts->part[parts->part_of[u]];
        parts->dealt[(size_t)(of->units - parts->dealt) + of->unit_count++] = (uint32_t)u;
    }
}

/*
 * A coin for each unit, in their order: where it falls depends on nothing of any unit, so that one more
 * changes the part of no other.
 */
static sotto_status deal(sotto_parts *parts, sotto_error *err)
{
    const size_t units = parts->options.units.count;
    parts->part_of = sotto_arena_take(parts->arena, units, sizeof *parts->part_of, err);
    parts->dealt = sotto_arena_take(parts->arena, units, sizeof *parts->dealt, err);
    if (!parts->part_of || !parts->dealt)
        return SOTTO_ERROR_MEMORY;
    for (size_t u = 0; u < units; u++)
        parts->part_of[u] = (uint32_t)sotto_stream_below(parts->coins, parts->options.parts);
    gather(parts);
    return SOTTO_OK;
}

static sotto_status open_streams(sotto_parts *parts, sotto_error *err)
{
    sotto_random *random = parts->options.random;
    sotto_status status = sotto_stream_create(&parts->coins, random, SOTTO_PURPOSE_SPLIT, err);
    if (status == SOTTO_OK)
        status = sotto_stream_create(&parts->draws, random, SOTTO_PURPOSE_SAMPLING, err);
    return status == SOTTO_OK ? sotto_stream_create(&parts->noise, random, SOTTO_PURPOSE_NOISE, err) : status;
}

static sotto_status make_networks(sotto_parts *parts, sotto_error *err)
{
    const sotto_parts_options *options = &parts->options;
    sotto_stream *stream;
    sotto_status status = sotto_stream_create(&stream, options->random, SOTTO_PURPOSE_INITIALISATION, err);
    for (size_t k = 0; k < options->parts && status == SOTTO_OK; k++) {
        struct part *part = &parts->part[k];
        part->parameters = sotto_arena_take(parts->arena, parts->count, sizeof *part->parameters, err);
        if (!part->parameters) {
            status = SOTTO_ERROR_MEMORY;
            break;
        }
        sotto_network_initialise(options->network, stream, part->parameters);
        status = sotto_optimizer_create(&part->optimizer, &options->optimizer, parts->count, part->parameters,
                                        err);
    }
    sotto_stream_destroy(stream);
    return status;
}

static sotto_status fill(sotto_parts *parts, sotto_error *err)
{
    sotto_parts_options *options = &parts->options;
    sotto_arena *arena = parts->arena;
    parts->count = sotto_network_parameters(options->network);
    options->label = sotto_arena_copy(arena, options->label, strlen(options->label), err);
    parts->part = sotto_arena_take(arena, options->parts, sizeof *parts->part, err);
    parts->current = sotto_arena_take(arena, parts->count, sizeof *parts->current, err);
    parts->gradient = sotto_arena_take(arena, parts->count, sizeof *parts->gradient, err);
    parts->steps = sotto_arena_take(arena, options->dimension, sizeof *parts->steps, err);
    parts->rows = sotto_arena_take(arena, options->batch, sizeof *parts->rows, err);
    parts->seeds = sotto_arena_take(arena, options->batch, sizeof *parts->seeds, err);
    if (!options->label || !parts->part || !parts->current || !parts->gradient || !parts->steps ||
        !parts->rows || !parts->seeds)
        return SOTTO_ERROR_MEMORY;
    sotto_status status = open_streams(parts, err);
    if (status == SOTTO_OK)
        status = deal(parts, err);
    if (status == SOTTO_OK)
        status = make_networks(parts, err);
    if (status == SOTTO_OK)
        status = sotto_weights_create(&parts->weights, options->network, parts->current, err);
    if (status != SOTTO_OK)
        return status;
    const sotto_lanes_options lanes = {
        .weights = parts->weights, .views = 1, .threads = options->threads, .exact = false};
    return sotto_lanes_create(&parts->lanes, &lanes, err);
}

sotto_status sotto_parts_create(sotto_parts **parts, const sotto_parts_options *options, sotto_error *err)
{
    sotto_arena *arena;
    sotto_noise_grid grid;
    *parts = NULL;
    sotto_status status = check(options, err);
    if (status == SOTTO_OK)
        status = sotto_vector_grid_make(&grid, options->mechanism.noise_multiplier, err);
    if (status == SOTTO_OK)
        status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_parts *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    made->arena = arena;
    made->options = *options;
    made->grid = grid;
    status = fill(made, err);
    if (status != SOTTO_OK) {
        sotto_parts_destroy(made);
        return status;
    }
    *parts = made;
    return SOTTO_OK;
}

/* -------------------------------------------------------------------------- turns */

static struct part *turn_of(const sotto_parts *parts)
{
    return &parts->part[parts->turns % parts->options.parts];
}

sotto_status sotto_parts_begin(sotto_parts *parts, sotto_error *err)
{
    const sotto_parts_options *options = &parts->options;
    if (parts->phase != IDLE)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a part's turn was begun before the last had ended");
    sotto_status status = sotto_stream_refresh(parts->draws, err);
    if (status == SOTTO_OK)
        status = sotto_stream_refresh(parts->noise, err);
    if (status == SOTTO_OK && parts->turns % options->parts == 0) {
        status = sotto_budget_charge(options->budget, &options->mechanism, 1, options->label, err);
        parts->last = (sotto_dpsgd_private){0};
    }
    if (status != SOTTO_OK)
        return status;
    memcpy(parts->current, turn_of(parts)->parameters, parts->count * sizeof *parts->current);
    sotto_weights_refresh(parts->weights);
    parts->phase = BEGUN;
    return SOTTO_OK;
}

/* x·n/2⁶⁴ for a uniform x: below n. What little it is uneven is a matter of learning, not of privacy. */
static size_t scaled(uint64_t x, size_t n)
{
    return (size_t)((double)(x >> 11) * 0x1p-53 * (double)n);
}

/* As much of the stream goes for each, whoever is in the part and even if nobody is: no draw of another part
 * depends on that. */
static size_t draw(sotto_parts *parts)
{
    const sotto_units *units = &parts->options.units;
    const struct part *part = turn_of(parts);
    for (size_t i = 0; i < parts->options.batch; i++) {
        const uint64_t who = sotto_stream_u64(parts->draws), which = sotto_stream_u64(parts->draws);
        parts->seeds[i] = sotto_stream_u64(parts->draws);
        if (part->unit_count == 0)
            continue;
        size_t count;
        const uint32_t *rows = sotto_units_rows(units, part->units[scaled(who, part->unit_count)], &count);
        parts->rows[i] = rows[scaled(which, count)];
    }
    return part->unit_count ? parts->options.batch : 0;
}

#ifdef SOTTO_TRACE
/* Once in a round, when the first rows of it were read. */
static void trace_round(sotto_parts *parts)
{
    const uint64_t round = parts->turns / parts->options.parts + 1;
    if (parts->traced != round)
        sotto_trace_access(parts->options.label, 1);
    parts->traced = round;
}
#endif

sotto_status sotto_parts_learn(sotto_parts *parts, size_t public_count, sotto_pass *pass, void *context,
                               sotto_error *err)
{
    const sotto_parts_options *options = &parts->options;
    if (parts->phase != BEGUN)
        return sotto_error_set(err, SOTTO_ERROR_INPUT, "a network learned out of its turn");
    const size_t real = draw(parts);
    SOTTO_TRACED(trace_round(parts);)
    const sotto_batch batch = {.units = parts->rows,
                               .unit_count = real,
                               .unit_seeds = parts->seeds,
                               .public_count = public_count,
                               .public_seed = sotto_stream_u64(parts->draws),
                               .pass = pass,
                               .context = context};
    (void)sotto_lanes_sum(parts->lanes, &batch);
    sotto_lanes_floats(parts->lanes, 0, parts->count, parts->gradient);
    const float scale = 1.0f / (float)options->batch;
    for (size_t j = 0; j < parts->count; j++)
        parts->gradient[j] *= scale;
    sotto_optimizer_step(turn_of(parts)->optimizer,
                         sotto_schedule_rate(&options->schedule, parts->turns / options->parts), 0.0,
                         parts->gradient, parts->current);
    sotto_weights_refresh(parts->weights);
    parts->last.batch = real;
    return SOTTO_OK;
}

const sotto_weights *sotto_parts_weights(const sotto_parts *parts)
{
    return parts->phase == BEGUN ? parts->weights : NULL;
}

sotto_status sotto_parts_release(sotto_parts *parts, const double *vector, float *released, sotto_error *err)
{
    const sotto_parts_options *options = &parts->options;
    if (parts->phase != BEGUN)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "a part's vector is released once, at the end of its turn");
    const sotto_vector_fate fate =
        sotto_vector_release(&parts->grid, options->clipping.max_grad_norm, parts->noise, vector,
                             options->dimension, parts->steps, released);
    parts->last.clipped += fate == SOTTO_VECTOR_CLIPPED;
    parts->last.non_finite += fate == SOTTO_VECTOR_NOT_FINITE;
    memcpy(turn_of(parts)->parameters, parts->current, parts->count * sizeof *parts->current);
    parts->turns++;
    parts->phase = IDLE;
    return SOTTO_OK;
}

/* A unit of no part would index beyond them. */
static void visit_deal(sotto_parts *parts, sotto_state *state)
{
    const size_t units = parts->options.units.count;
    sotto_state_u32s(state, "part_of", parts->part_of, units);
    if (!sotto_state_reads(state) || !sotto_state_is_sound(state))
        return;
    for (size_t u = 0; u < units; u++)
        if (parts->part_of[u] >= parts->options.parts) {
            sotto_state_refuse(state, "has a unit in a part that there is not");
            parts->part_of[u] = 0;
        }
    gather(parts);
}

void sotto_parts_state(sotto_parts *parts, sotto_state *state)
{
    const size_t count = parts->options.parts;
    sotto_state_object(state, "parts");
    if (parts->phase != IDLE || parts->turns % count != 0)
        sotto_state_refuse(state, "is in the middle of a round");
    uint64_t rounds = parts->turns / count;
    sotto_state_u64(state, "rounds", &rounds, 0, SOTTO_STATE_MOST_COUNT / count);
    if (sotto_state_reads(state) && sotto_state_is_sound(state))
        parts->turns = rounds * count;
    visit_deal(parts, state);
    for (size_t k = 0; k < count && sotto_state_is_sound(state); k++) {
        sotto_state_floats(state, "parameters", parts->part[k].parameters, parts->count);
        sotto_optimizer_state(parts->part[k].optimizer, state);
    }
}

/* ---------------------------------------------------------------------- questions */

size_t sotto_parts_count(const sotto_parts *parts)
{
    return parts->options.parts;
}

uint64_t sotto_parts_turns(const sotto_parts *parts)
{
    return parts->turns;
}

sotto_dpsgd_private sotto_parts_last(const sotto_parts *parts)
{
    return parts->last;
}
