/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Noise and what it is made of, by turns of a few thousand draws each, so that a noisy machine disturbs all
 * alike; the best half of each one's turns counts.
 */
#include "base/base.h"
#include "bench/bench.h"
#include "bench/timing.h"

enum { TURNS = 60, DRAWS = 1 << 16, REFERENCES = 1 << 10 };

struct scene {
    sotto_arena *arena;
    sotto_random *random;
    sotto_stream *stream;
    int32_t *draws;
    float *floats;
    uint64_t *words;
    uint8_t *heads;
};

static void leave(struct scene *scene)
{
    sotto_stream_destroy(scene->stream);
    sotto_random_destroy(scene->random);
    sotto_arena_destroy(scene->arena);
}

static sotto_status enter(struct scene *scene, sotto_error *err)
{
    sotto_status status = sotto_arena_create(&scene->arena, err);
    if (status != SOTTO_OK)
        return status;
    scene->draws = sotto_arena_take(scene->arena, DRAWS, sizeof *scene->draws, err);
    scene->floats = sotto_arena_take(scene->arena, DRAWS, sizeof *scene->floats, err);
    scene->words = sotto_arena_take(scene->arena, DRAWS, sizeof *scene->words, err);
    scene->heads = sotto_arena_take(scene->arena, DRAWS, sizeof *scene->heads, err);
    if (!scene->draws || !scene->floats || !scene->words || !scene->heads)
        return SOTTO_ERROR_MEMORY;
    status = sotto_random_create_insecure_for_tests(&scene->random, 1, err);
    return status == SOTTO_OK ? sotto_stream_create(&scene->stream, scene->random, SOTTO_PURPOSE_NOISE, err)
                              : status;
}

/* Make the things once; how many they were. */
static size_t make(struct scene *scene, sotto_bench_noise_kind kind)
{
    switch (kind) {
    case SOTTO_BENCH_NOISE_EXACT:
        sotto_stream_discrete_gaussian(scene->stream, scene->draws, DRAWS);
        return DRAWS;
    case SOTTO_BENCH_NOISE_FLOAT:
        sotto_stream_gaussian(scene->stream, 1.5, scene->floats, DRAWS);
        return DRAWS;
    case SOTTO_BENCH_NOISE_REFERENCE:
        for (size_t i = 0; i < REFERENCES; i++)
            scene->draws[i] = (int32_t)sotto_stream_discrete_gaussian_reference(
                scene->stream, UINT64_C(1) << 2 * SOTTO_NOISE_STD_LOG2);
        return REFERENCES;
    case SOTTO_BENCH_NOISE_CIPHER:
        sotto_stream_bytes(scene->stream, scene->words, DRAWS * sizeof *scene->words);
        return DRAWS;
    case SOTTO_BENCH_NOISE_COINS:
    case SOTTO_BENCH_NOISE_KINDS:
        break;
    }
    sotto_stream_coins(scene->stream, 0.01, scene->heads, DRAWS);
    return DRAWS;
}

/* Seconds for each thing over one turn of about `seconds`. */
static double turn(struct scene *scene, sotto_bench_noise_kind kind, double seconds)
{
    size_t made = 0;
    const double start = bench_now();
    do {
        made += make(scene, kind);
    } while (bench_now() - start < seconds);
    return (bench_now() - start) / (double)made;
}

sotto_status sotto_bench_noises(double seconds, const sotto_bench_watch *watch,
                                double nanoseconds[SOTTO_BENCH_NOISE_KINDS], sotto_error *err)
{
    double times[SOTTO_BENCH_NOISE_KINDS][TURNS];
    struct scene scene = {.arena = NULL};
    const sotto_status status = enter(&scene, err);
    if (status == SOTTO_OK) {
        const bench_meter meter = bench_meter_start(watch, "timing noise", TURNS);
        for (size_t i = 0; i < TURNS; i++) {
            for (size_t k = 0; k < SOTTO_BENCH_NOISE_KINDS; k++)
                times[k][i] = turn(&scene, (sotto_bench_noise_kind)k, seconds / TURNS);
            bench_meter_show(&meter, i + 1);
        }
        for (size_t k = 0; k < SOTTO_BENCH_NOISE_KINDS; k++)
            nanoseconds[k] = 1e9 * bench_typical(times[k], TURNS);
    }
    leave(&scene);
    return status;
}

const char *sotto_bench_noise_name(sotto_bench_noise_kind kind)
{
    static const char *const names[SOTTO_BENCH_NOISE_KINDS] = {
        [SOTTO_BENCH_NOISE_EXACT] = "noise_exact",         [SOTTO_BENCH_NOISE_FLOAT] = "noise_float",
        [SOTTO_BENCH_NOISE_REFERENCE] = "noise_reference", [SOTTO_BENCH_NOISE_CIPHER] = "cipher_8_bytes",
        [SOTTO_BENCH_NOISE_COINS] = "sampling_coin",
    };
    return names[kind];
}
