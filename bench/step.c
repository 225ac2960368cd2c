/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The private step in both arithmetics against the plain one, and against what its matrix products alone
 * would take at OpenBLAS's best. All take short turns and the best half of each one's turns counts, so that a
 * noisy machine disturbs them alike.
 */
#include "bench/scene.h"
#include "bench/square.h"
#include "bench/timing.h"

enum { TURNS = 24, PLAYERS = 2 * SOTTO_BENCH_MODES, PIECE_ROUNDS = 300000 /* about 1 ms */ };

/* Who takes turns: each mode on all threads, then each on one where scaling is asked, and the square. */
struct contest {
    const sotto_bench_options *options;
    size_t batch;
    bench_scene scene;
    bench_pool pool;
    size_t count;
    bench_player *player[PLAYERS];
    bench_square square;
    double times[PLAYERS][TURNS];
    double square_times[TURNS];      /* for one operation */
    double register_times[2][TURNS]; /* scaling: for the like of a step, on one thread and on all */
};

const char *sotto_bench_case_name(sotto_bench_case which)
{
    static const char *const names[SOTTO_BENCH_CASES] = {[SOTTO_BENCH_DENSE] = "dense",
                                                         [SOTTO_BENCH_WIDE] = "wide",
                                                         [SOTTO_BENCH_CONV] = "conv",
                                                         [SOTTO_BENCH_GAN] = "gan"};
    return names[which];
}

const char *sotto_bench_mode_name(sotto_bench_mode mode)
{
    static const char *const names[SOTTO_BENCH_MODES] = {
        [SOTTO_BENCH_PLAIN] = "plain", [SOTTO_BENCH_FLOAT] = "float", [SOTTO_BENCH_EXACT] = "exact"};
    return names[mode];
}

/* Seconds for each step over one turn of about `seconds`. */
static sotto_status turn(bench_player *player, double seconds, double *each, sotto_error *err)
{
    size_t steps = 0;
    double passed;
    const double start = bench_now();
    sotto_status status;
    do {
        status = bench_player_step(player, err);
        steps++;
        passed = bench_now() - start;
    } while (status == SOTTO_OK && passed < seconds);
    *each = passed / (double)steps;
    return status;
}

/* Seconds for each operation of the square product. */
static double square_turn(const bench_square *square, double seconds)
{
    double operations = 0, passed;
    const double start = bench_now();
    do {
        operations += bench_square_multiply(square);
        passed = bench_now() - start;
    } while (passed < seconds);
    return passed / operations;
}

/*
 * Seconds for arithmetic on registers alone, shared out as a step's chunks are: what several threads are
 * faster by here is what this machine gives, whatever they work at.
 */
static double register_turn(const struct contest *c, unsigned threads, double seconds)
{
    const size_t pieces = (c->batch + SOTTO_CHUNK_ROWS - 1) / SOTTO_CHUNK_ROWS;
    size_t rounds = 0;
    double passed;
    const double start = bench_now();
    do {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
        for (size_t i = 0; i < pieces; i++) {
            float sink = 0;
            (void)sotto_tensor_peak(PIECE_ROUNDS, &sink);
        }
        rounds++;
        passed = bench_now() - start;
    } while (passed < seconds);
    return passed / (double)rounds;
}

static sotto_status enter(struct contest *c, sotto_error *err)
{
    const sotto_bench_options *options = c->options;
    c->count = options->scaling ? PLAYERS : SOTTO_BENCH_MODES;
    c->scene = bench_scene_make(options->which);
    sotto_status status = bench_pool_enter(&c->pool, &c->scene, c->batch, err);
    if (status == SOTTO_OK)
        status = bench_square_make(&c->square, c->pool.arena, err);
    for (size_t i = 0; i < c->count && status == SOTTO_OK; i++) {
        const unsigned threads = i < SOTTO_BENCH_MODES ? options->threads : 1;
        status = bench_player_create(&c->player[i], &c->scene, &c->pool, c->batch, threads,
                                     (sotto_bench_mode)(i % SOTTO_BENCH_MODES), err);
    }
    return status;
}

static void leave(struct contest *c)
{
    for (size_t i = 0; i < PLAYERS; i++)
        bench_player_destroy(c->player[i]);
    bench_pool_leave(&c->pool);
}

static sotto_status play(struct contest *c, const bench_meter *meter, size_t done, sotto_error *err)
{
    const double seconds = c->options->seconds / (double)(TURNS * (c->count + (c->options->scaling ? 3 : 1)));
    double unused;
    sotto_status status = SOTTO_OK;
    for (size_t p = 0; p < c->count && status == SOTTO_OK; p++)
        status = turn(c->player[p], 2 * seconds, &unused, err);
    for (size_t i = 0; i < TURNS && status == SOTTO_OK; i++) {
        for (size_t p = 0; p < c->count && status == SOTTO_OK; p++)
            status = turn(c->player[p], seconds, &c->times[p][i], err);
        c->square_times[i] = square_turn(&c->square, seconds);
        for (size_t p = 0; p < 2 && c->options->scaling; p++)
            c->register_times[p][i] = register_turn(c, p == 0 ? 1 : c->options->threads, seconds);
        bench_meter_show(meter, done + i + 1);
    }
    return status;
}

static void conclude(struct contest *c, sotto_bench_step *line)
{
    *line = (sotto_bench_step){.batch = c->batch,
                               .operations = bench_scene_operations(&c->scene, c->batch),
                               .rate = 1 / bench_typical(c->square_times, TURNS)};
    line->floor = line->operations / line->rate / c->options->threads;
    float sink = 0;
    if (c->options->scaling && sotto_tensor_peak(1, &sink) > 0)
        line->machine_speedup =
            bench_typical(c->register_times[0], TURNS) / bench_typical(c->register_times[1], TURNS);
    for (size_t p = 0; p < c->count; p++) {
        double *to = p < SOTTO_BENCH_MODES ? line->seconds : line->seconds_alone;
        to[p % SOTTO_BENCH_MODES] = bench_typical(c->times[p], TURNS);
    }
}

static sotto_status measure(size_t batch, const sotto_bench_options *options, const bench_meter *meter,
                            size_t done, sotto_bench_step *line, sotto_error *err)
{
    struct contest contest = {.options = options, .batch = batch};
    sotto_status status = enter(&contest, err);
    if (status == SOTTO_OK)
        status = play(&contest, meter, done, err);
    if (status == SOTTO_OK)
        conclude(&contest, line);
    leave(&contest);
    return status;
}

sotto_status sotto_bench_steps(const sotto_bench_options *options, sotto_bench_steps_figures *out,
                               sotto_error *err)
{
    static const size_t batches[SOTTO_BENCH_STEP_LINES] = {64, 256, 1024, 4096};
    const bool several = options->batch == 0 && options->which == SOTTO_BENCH_DENSE;
    const size_t one = options->batch > 0 ? options->batch : 256;
    *out = (sotto_bench_steps_figures){.count = several ? SOTTO_BENCH_STEP_LINES : 1};
    const bench_meter meter = bench_meter_start(options->watch, "timing steps", out->count * TURNS);
    sotto_status status = SOTTO_OK;
    for (size_t i = 0; i < out->count && status == SOTTO_OK; i++)
        status = measure(several ? batches[i] : one, options, &meter, i * TURNS, &out->lines[i], err);
    return status;
}
