/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rule P16 where it is used: over every kind of layer, two batches that differ in one unit have integer sums
 * that differ by what this unit adds alone, to the last bit, and that is never longer than the bound.
 * Whatever the unit holds, whatever its neighbours hold, at whatever place, for whatever number of threads
 * and views, in whatever way clipped.
 */
#include "dpsgd/lanes.h"
#include "test_network.h"

#include <float.h>
#include <math.h>

#include "suite.h"

uint64_t test_state;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ROUNDS = 150 };
#else
enum { ROUNDS = 1000 };
#endif

enum { MOST_UNITS = 512, MOST_PUBLIC = 40, MOST_INPUTS = 96, ENTRIES = 3, POOL = MOST_UNITS + MOST_PUBLIC };

/* One network, some units' rows and the gradients of their losses. */
static struct world {
    const plan *plan;
    sotto_network *network;
    sotto_weights *weights;
    size_t parameters, inputs, outputs, views;
    bool sparse; /* units' rows are given by their entries */
    float values[MOST_PARAMETERS];
    float rows[POOL][MOST_VIEWS][MOST_INPUTS];
    uint32_t columns[POOL][MOST_VIEWS][ENTRIES];
    float entries[POOL][MOST_VIEWS][ENTRIES];
    float direction[POOL][MOST_COLUMNS];
} world;

static size_t below(size_t count)
{
    test_state = test_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)((test_state >> 33) % count);
}

#define PICK(list) ((list)[below(sizeof(list) / sizeof *(list))])

/* ----------------------------------------------------------------------- the world */

static size_t entry_count(void)
{
    return world.inputs < ENTRIES ? world.inputs : ENTRIES;
}

/* Rows of a unit that are zero but for a few ascending columns. */
static void fill_sparse(size_t who, float scale)
{
    const size_t count = entry_count();
    for (size_t v = 0; v < world.views; v++) {
        memset(world.rows[who][v], 0, sizeof world.rows[who][v]);
        for (size_t e = 0, column = 0; e < count; e++, column++) {
            column += below(world.inputs - column - (count - e) + 1);
            world.columns[who][v][e] = (uint32_t)column;
            world.entries[who][v][e] = world.rows[who][v][column] = scale * draw();
        }
    }
}

static void fill_example(size_t who, float scale)
{
    for (size_t v = 0; v < world.views; v++)
        fill(world.inputs, 2.0f, world.rows[who][v]);
    if (world.sparse && who < MOST_UNITS)
        fill_sparse(who, 2.0f);
    fill(world.outputs, scale, world.direction[who]);
}

/* Put `value` somewhere into a row, or everywhere. */
static void spoil(size_t who, float value, bool everywhere)
{
    const size_t v = below(world.views), count = world.sparse ? entry_count() : world.inputs;
    const size_t first = everywhere ? 0 : below(count), last = everywhere ? count : first + 1;
    for (size_t k = first; k < last; k++) {
        const size_t column = world.sparse ? world.columns[who][v][k] : k;
        world.rows[who][v][column] = value;
        if (world.sparse)
            world.entries[who][v][k] = value;
    }
}

static const float hostile[] = {NAN,   INFINITY, -INFINITY, 1e-42f, -FLT_TRUE_MIN,
                                1e30f, -1e30f,   FLT_MAX,   0.0f};

static void open_world(size_t round)
{
    const float scales[] = {1e-3f, 0.1f, 1.0f, 1.0f, 30.0f, 1e4f};
    sotto_error err = {0};
    world.plan = &plans[round % plan_count];
    world.views = below(2) ? 1 : MOST_VIEWS;
    world.sparse = below(2);
    ck_assert_int_eq(sotto_network_create(&world.network, world.plan->inputs, world.plan->classes,
                                          world.plan->layers, world.plan->count, &err),
                     SOTTO_OK);
    world.parameters = sotto_network_parameters(world.network);
    world.inputs = world.plan->inputs;
    world.outputs = sotto_network_outputs(world.network);
    ck_assert(world.inputs <= MOST_INPUTS && world.outputs <= MOST_COLUMNS &&
              world.parameters <= MOST_PARAMETERS);
    fill(world.parameters, 0.7f, world.values);
    ck_assert_int_eq(sotto_weights_create(&world.weights, world.network, world.values, &err), SOTTO_OK);
    const float scale = PICK(scales);
    for (size_t who = 0; who < POOL; who++)
        fill_example(who, scale);
    for (size_t i = 0; i < 5; i++)
        spoil(1 + below(MOST_UNITS - 1), PICK(hostile), below(2));
    world.direction[1 + below(MOST_UNITS - 1)][0] = PICK(hostile);
}

static void close_world(void)
{
    sotto_weights_destroy(world.weights);
    sotto_network_destroy(world.network);
}

static size_t who_is(const sotto_chunk *chunk, size_t example)
{
    return example < chunk->unit_count ? chunk->units[example]
                                       : MOST_UNITS + chunk->public_first + example - chunk->unit_count;
}

static void give_entries(const sotto_chunk *chunk)
{
    uint32_t columns[SOTTO_CHUNK_ROWS * ENTRIES];
    float values[SOTTO_CHUNK_ROWS * ENTRIES];
    const size_t count = entry_count(), rows = chunk->unit_count * chunk->views;
    for (size_t r = 0; r < rows; r++) {
        const size_t who = chunk->units[r / chunk->views], v = r % chunk->views;
        memcpy(columns + r * count, world.columns[who][v], count * sizeof *columns);
        memcpy(values + r * count, world.entries[who][v], count * sizeof *values);
    }
    if (sotto_workspace_entries(chunk->workspace, rows, count, columns, values, NULL) != SOTTO_OK)
        ck_abort_msg("entries were refused");
}

/* A loss whose gradient is the row's direction and its output, so that it depends on all that went before. */
static void world_pass(void *context, const sotto_weights *weights, const sotto_chunk *chunk)
{
    sotto_workspace *w = chunk->workspace;
    const size_t rows = (chunk->unit_count + chunk->public_count) * chunk->views;
    (void)context;
    for (size_t r = 0; r < rows; r++) {
        const size_t who = who_is(chunk, r / chunk->views);
        memcpy(sotto_workspace_input(w) + r * world.inputs, world.rows[who][r % chunk->views],
               world.inputs * sizeof(float));
        sotto_workspace_classes(w)[r] = (uint16_t)((who + r % chunk->views) % (world.plan->classes + 1));
    }
    if (world.sparse)
        give_entries(chunk);
    const float *outputs = sotto_network_forward(weights, w);
    float *gradient = sotto_workspace_output_gradient(w);
    for (size_t r = 0; r < rows; r++) {
        const float *direction = world.direction[who_is(chunk, r / chunk->views)];
        for (size_t j = 0; j < world.outputs; j++)
            gradient[r * world.outputs + j] = direction[j] * (1.0f + 0.1f * outputs[r * world.outputs + j]);
    }
    sotto_network_backward(weights, w, false);
}

/* --------------------------------------------------------------------- neighbours */

static sotto_lanes *open_lanes(unsigned threads)
{
    const sotto_lanes_options options = {
        .weights = world.weights, .views = world.views, .threads = threads, .exact = true};
    sotto_lanes *lanes;
    ck_assert_int_eq(sotto_lanes_create(&lanes, &options, NULL), SOTTO_OK);
    return lanes;
}

/* A unit's own seeds of dropout, whatever its place; valid until the next call. */
static const uint64_t *seeds_of(const uint32_t *units, size_t count, uint64_t seed)
{
    static uint64_t seeds[8192];
    ck_assert_uint_le(count, 8192);
    for (size_t i = 0; i < count; i++)
        seeds[i] = seed ^ (units[i] + 1) * UINT64_C(0xbf58476d1ce4e5b9);
    return seeds;
}

static void sum_units(sotto_lanes *lanes, sotto_batch batch, const uint32_t *units, size_t unit_count,
                      size_t public_count, int64_t *sums)
{
    batch.unit_seeds = seeds_of(units, unit_count, batch.public_seed);
    batch.units = units;
    batch.unit_count = unit_count;
    batch.public_count = public_count;
    batch.pass = world_pass;
    (void)sotto_lanes_sum(lanes, &batch);
    sotto_lanes_integers(lanes, 0, world.parameters, sums);
}

static sotto_batch make_batch(const sotto_clipping *clipping, double sigma)
{
    sotto_noise_grid grid;
    ck_assert_int_eq(sotto_noise_grid_make(&grid, sigma, NULL), SOTTO_OK);
    return (sotto_batch){.clipping = clipping,
                         .grid = {.units = (double)grid.bound / clipping->max_grad_norm, .bound = grid.bound},
                         .public_seed = test_state};
}

static sotto_uint128 squares(const int64_t *x)
{
    sotto_uint128 sum = 0;
    for (size_t j = 0; j < world.parameters; j++)
        sum += (sotto_uint128)((__extension__(__int128) x[j]) * x[j]);
    return sum;
}

static void shuffle(size_t count, uint32_t *units)
{
    for (size_t i = count; i > 1; i--) {
        const size_t other = below(i);
        const uint32_t kept = units[i - 1];
        units[i - 1] = units[other];
        units[other] = kept;
    }
}

/* Units 1 … count in any order, and with unit 0 at any place; returns its norm over the bound's. */
static double compare(size_t round, const sotto_batch *batch, size_t count, size_t publics)
{
    static int64_t with[MOST_PARAMETERS], without[MOST_PARAMETERS], alone[MOST_PARAMETERS];
    const unsigned threads[] = {1, 2, 4};
    uint32_t units[MOST_UNITS];
    const uint32_t target = 0;
    sotto_lanes *one = open_lanes(PICK(threads)), *other = open_lanes(PICK(threads));
    for (size_t i = 0; i < count; i++)
        units[i] = (uint32_t)i + 1;
    sum_units(one, *batch, units, count, publics, without);
    shuffle(count, units);
    const size_t place = below(count + 1);
    memmove(units + place + 1, units + place, (count - place) * sizeof *units);
    units[place] = target;
    sum_units(other, *batch, units, count + 1, publics, with);
    sum_units(one, *batch, &target, 1, 0, alone);
    for (size_t j = 0; j < world.parameters; j++)
        if (with[j] - without[j] != alone[j])
            ck_abort_msg("round %zu, %s, %zu units, place %zu, parameter %zu: %lld - %lld is not %lld", round,
                         world.plan->name, count, place, j, (long long)with[j], (long long)without[j],
                         (long long)alone[j]);
    const sotto_uint128 norm2 = squares(alone);
    if (norm2 > (sotto_uint128)batch->grid.bound * batch->grid.bound)
        ck_abort_msg("round %zu, %s: a contribution of norm %g over a bound of %u", round, world.plan->name,
                     sqrt((double)norm2), batch->grid.bound);
    sotto_lanes_destroy(one);
    sotto_lanes_destroy(other);
    return sqrt((double)norm2) / batch->grid.bound;
}

START_TEST(neighbours_differ_by_one_contribution)
{
    const double bounds[] = {1e-3, 0.1, 1.0, 1.0, 100.0}, sigmas[] = {1e-4, 0.7, 1.0, 30.0, 1e4, 4e5, 8e6};
    size_t silent = 0, long_ones = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        test_state = round;
        (void)draw();
        sotto_clipping clipping = {.kind = (sotto_clipping_kind)below(4), .max_grad_norm = PICK(bounds)};
        ck_assert_int_eq(sotto_clipping_complete(&clipping, 100.0, 1.0, NULL), SOTTO_OK);
        open_world(round);
        const bool spoilt = below(3) == 0;
        if (spoilt)
            spoil(0, PICK(hostile), below(2));
        if (spoilt && below(3) == 0)
            world.direction[0][0] = PICK(hostile);
        const sotto_batch batch = make_batch(&clipping, PICK(sigmas));
        const size_t count = below(round % 8 ? 140 : MOST_UNITS);
        const double length = compare(round, &batch, count, below(MOST_PUBLIC));
        silent += length == 0.0;
        long_ones += length > 0.9;
        close_world();
    }
    /* Not that everything were zero, or far below what is allowed. */
    ck_assert_uint_lt(silent, ROUNDS / 3);
    ck_assert_uint_gt(long_ones, ROUNDS / 10);
}
END_TEST

/* -------------------------------------------------------------------------- sums */

/* Thousands of units that all push one parameter to the bound: exact beyond what an int32 holds. */
START_TEST(sums_leave_an_int32)
{
    enum { COUNT = 6000 };
    static uint32_t units[COUNT];
    const plan one = {
        .name = "one", .inputs = 1, .count = 1, .layers = {{.kind = SOTTO_LAYER_DENSE, .outputs = 1}}};
    const sotto_clipping clipping = {.max_grad_norm = 1.0};
    world.plan = &one;
    world.inputs = world.outputs = world.views = 1;
    world.sparse = false;
    ck_assert_int_eq(sotto_network_create(&world.network, 1, 0, one.layers, 1, NULL), SOTTO_OK);
    world.parameters = sotto_network_parameters(world.network);
    memset(world.values, 0, sizeof world.values);
    ck_assert_int_eq(sotto_weights_create(&world.weights, world.network, world.values, NULL), SOTTO_OK);
    world.rows[0][0][0] = 1e4f;
    world.direction[0][0] = -1e4f;
    const sotto_batch batch = make_batch(&clipping, 1.0);
    for (unsigned threads = 1; threads <= 4; threads++) {
        int64_t sums[2], alone[2];
        sotto_lanes *lanes = open_lanes(threads);
        sum_units(lanes, batch, units, 1, 0, alone);
        ck_assert_int_lt(alone[0], -(int64_t)(batch.grid.bound * 0.99));
        for (int again = 0; again < 2; again++) {
            sum_units(lanes, batch, units, COUNT, 0, sums);
            ck_assert_int_eq(sums[0], COUNT * alone[0]);
            ck_assert_int_eq(sums[1], COUNT * alone[1]);
        }
        sum_units(lanes, batch, units, 0, 0, sums);
        ck_assert_int_eq(sums[0], 0);
        sotto_lanes_destroy(lanes);
    }
    close_world();
}
END_TEST

/* Integers are what floats are, but for the grid: neither sum forgets a layer, a bias or an example. */
/* Taking rows out of a table renumbers all that follow; what they contribute stays, dropout's masks included.
 */
START_TEST(a_row_is_no_number)
{
    static int64_t before[MOST_PARAMETERS], after[MOST_PARAMETERS];
    enum { UNITS = 150 };
    uint32_t units[UNITS];
    const sotto_clipping clipping = {.max_grad_norm = 1.0};
    for (size_t i = 0; i < UNITS; i++)
        units[i] = (uint32_t)i;
    for (size_t which = 0; which < plan_count; which++) {
        test_state = which + 1;
        open_world(which);
        const uint32_t gone = (uint32_t)world.plan->classes + 1; /* that many, so that classes stay */
        for (size_t who = 0; who < UNITS + gone; who++)
            fill_example(who, 1.0f);
        sotto_batch batch = make_batch(&clipping, 1.0);
        batch.pass = world_pass;
        batch.unit_count = UNITS;
        batch.unit_seeds = seeds_of(units, UNITS, 7);
        batch.units = units;
        sotto_lanes *lanes = open_lanes(1);
        for (size_t i = 0; i < UNITS; i++)
            units[i] += gone;
        (void)sotto_lanes_sum(lanes, &batch);
        sotto_lanes_integers(lanes, 0, world.parameters, before);
        for (size_t i = 0; i < UNITS; i++) {
            units[i] -= gone;
            memcpy(world.rows[i], world.rows[i + gone], sizeof world.rows[i]);
            memcpy(world.columns[i], world.columns[i + gone], sizeof world.columns[i]);
            memcpy(world.entries[i], world.entries[i + gone], sizeof world.entries[i]);
            memcpy(world.direction[i], world.direction[i + gone], sizeof world.direction[i]);
        }
        (void)sotto_lanes_sum(lanes, &batch);
        sotto_lanes_integers(lanes, 0, world.parameters, after);
        (void)sotto_lanes_sum(lanes, &batch); /* not taken: must not come again */
        (void)sotto_lanes_sum(lanes, &batch);
        ck_assert_mem_eq(before, after, world.parameters * sizeof *before);
        sotto_lanes_integers(lanes, 0, world.parameters, after);
        ck_assert_mem_eq(before, after, world.parameters * sizeof *before);
        sotto_lanes_destroy(lanes);
        close_world();
    }
}
END_TEST

START_TEST(integers_say_what_floats_say)
{
    static int64_t integers[MOST_PARAMETERS];
    static float floats[MOST_PARAMETERS];
    uint32_t units[90];
    for (size_t i = 0; i < 90; i++)
        units[i] = (uint32_t)i;
    for (size_t which = 0; which < plan_count; which++) {
        sotto_clipping clipping = {.kind = which % 2 ? SOTTO_CLIPPING_FLAT : SOTTO_CLIPPING_PER_LAYER,
                                   .max_grad_norm = 1.0};
        ck_assert_int_eq(sotto_clipping_complete(&clipping, 100.0, 1.0, NULL), SOTTO_OK);
        test_state = which;
        open_world(which);
        for (size_t who = 0; who < 90; who++)
            fill_example(who, 3.0f);
        sotto_batch batch = make_batch(&clipping, 1.0);
        sotto_lanes *exact = open_lanes(1), *rounded;
        const sotto_lanes_options options = {.weights = world.weights, .views = world.views, .threads = 1};
        ck_assert_int_eq(sotto_lanes_create(&rounded, &options, NULL), SOTTO_OK);
        sum_units(exact, batch, units, 90, 0, integers);
        batch.unit_seeds = seeds_of(units, 90, batch.public_seed);
        batch.units = units;
        batch.unit_count = 90;
        batch.pass = world_pass;
        (void)sotto_lanes_sum(rounded, &batch);
        sotto_lanes_floats(rounded, 0, world.parameters, floats);
        double norm2 = 0, error2 = 0;
        for (size_t j = 0; j < world.parameters; j++) {
            norm2 += (double)floats[j] * floats[j];
            error2 += pow((double)integers[j] / batch.grid.units - floats[j], 2);
        }
        /* For each example a margin of 2⁻¹⁰, and factors that were rounded to some 10 bits. */
        ck_assert_msg(sqrt(error2) < 90 * 2e-3 && norm2 > 1.0, "%s: %g of %g", world.plan->name, sqrt(error2),
                      sqrt(norm2));
        sotto_lanes_destroy(exact);
        sotto_lanes_destroy(rounded);
        close_world();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dpsgd-neighbours");
    TCase *tests = tcase_create("neighbours");
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, neighbours_differ_by_one_contribution);
    tcase_add_test(tests, sums_leave_an_int32);
    tcase_add_test(tests, a_row_is_no_number);
    tcase_add_test(tests, integers_say_what_floats_say);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
