/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BENCH_SCENE_H
#define SOTTO_BENCH_SCENE_H

/** What `sotto bench step` trains: the networks of each case on made-up rows, with and without privacy. */

#include "bench/bench.h"
#include "dpsgd/dpsgd.h"

enum { BENCH_LAYERS = 8 };

/** A network's shape. */
typedef struct bench_shape {
    size_t inputs;
    size_t count; /**< 0: there is no such network */
    sotto_layer layers[BENCH_LAYERS];
} bench_shape;

/** One case: a discriminator, and the generator that it trains with where there is one. */
typedef struct bench_scene {
    bench_shape discriminator;
    bench_shape generator;
    size_t least_rows; /**< of the pool that batches are sampled from */
} bench_scene;

bench_scene bench_scene_make(sotto_bench_case which);

/**
 * Floating-point operations in the matrix products of one step without privacy, 2 for each multiply-add:
 * forward, the gradients of weights, and the gradients of inputs where something learns from them. With a
 * generator, of `batch` real rows and as many fakes, and of the generator's own step.
 */
double bench_scene_operations(const bench_scene *scene, size_t batch);

/** Made-up rows: of a size that no cache holds, as those of a table are. */
typedef struct bench_pool {
    size_t rows, inputs;
    float *x;        /**< [rows, inputs] */
    uint32_t *units; /**< [rows]: 0, 1, 2, … */
    sotto_random *random;
    sotto_arena *arena;
} bench_pool;

/** Caller leaves it, in either case. */
sotto_status bench_pool_enter(bench_pool *pool, const bench_scene *scene, size_t batch, sotto_error *err);
void bench_pool_leave(bench_pool *pool);

/** One network (or pair) that is trained in one way on so many threads. */
typedef struct bench_player bench_player;

/** `scene` and `pool` are borrowed. Caller destroys. */
sotto_status bench_player_create(bench_player **player, const bench_scene *scene, const bench_pool *pool,
                                 size_t batch, unsigned threads, sotto_bench_mode mode, sotto_error *err);
void bench_player_destroy(bench_player *player);

/** One step. */
sotto_status bench_player_step(bench_player *player, sotto_error *err);

#endif
