/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens before the first step: the check of exact arithmetic, and the memory that is taken for good.
 */

#include "test_dpsgd.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensor/gemm.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* --------------------------------------------------------------------- the check */

/* Every product a little wrong: what a library's kernels that reorder sums do. */
static void inexact(const gemm_work *w)
{
    sotto_gemm_float_portable.block(w);
    for (size_t i = 0; i < w->rows; i++)
        for (size_t j = 0; j < w->columns; j++) {
            float *sum = (float *)w->sums + i * w->stride + j;
            *sum = nextafterf(*sum, INFINITY);
        }
}

/* Right wherever the check of the products looks, but rows that have many before them come out otherwise. */
static void place_dependent(const gemm_work *w)
{
    sotto_gemm_float_portable.block(w);
    for (size_t i = 40; i < w->rows; i++)
        for (size_t j = 0; j < w->columns; j++)
            ((float *)w->sums)[i * w->stride + j] *= 1.0f + 0x1p-9f;
}

/* Exact arithmetic is refused, with nothing charged, and floats are not: they promise less. */
START_TEST(broken_kernels_start_no_exact_step)
{
    void (*const blocks[])(const gemm_work *) = {inexact, place_dependent};
    gemm_kernels bad = sotto_gemm_float_portable;
    bad.name = "bad";
    bad.block = blocks[_i % 2];
    sotto_gemm_choose_float(&bad);
    /* A last layer of zeros, as critics begin with, must not hide what lies behind it. */
    const sotto_layer layers[] = {sotto_layer_dense(9), sotto_layer_leaky_relu(0.2f), sotto_layer_dense(7),
                                  sotto_layer_tanh(), sotto_layer_dense_zero(1)};
    struct scene *scene = _i < 2 ? open_scene() : open_scene_of(layers, 5, 1);
    sotto_dpsgd_options options = step_options(scene, SOTTO_ARITHMETIC_EXACT, 0.1, 1.0, UNITS);
    sotto_error err = {0};
    sotto_dpsgd *step;
    size_t lines;
    ck_assert_int_eq(sotto_budget_create(SOTTO_ACCOUNTANT_RDP, 1.0, 1e-5, &options.budget, NULL), SOTTO_OK);
    for (options.views = 1; options.views <= 2; options.views++) {
        ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_ERROR_NUMERIC);
        ck_assert_ptr_null(step);
        ck_assert_ptr_nonnull(strstr(err.message, "exact"));
        (void)sotto_budget_charges(options.budget, &lines);
        ck_assert_uint_eq(lines, 0);
    }
    options.arithmetic = SOTTO_ARITHMETIC_FLOAT;
    options.views = 1;
    ck_assert_int_eq(sotto_dpsgd_create(&step, &options, &err), SOTTO_OK);
    sotto_dpsgd_destroy(step);
    sotto_budget_destroy(options.budget);
    close_scene(scene);
    sotto_gemm_choose_float(NULL);
}
END_TEST

/* ------------------------------------------------------------------------ memory */

enum { POOL = 65536 };

/* The peak of a process, in KiB, that takes one step with an expected batch of `batch` out of the same pool.
 */
static long peak_of(sotto_arithmetic arithmetic, double batch)
{
    int pipes[2];
    long peak = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const sotto_layer layers[] = {sotto_layer_dense(64), sotto_layer_silu(), sotto_layer_dense(256),
                                      sotto_layer_tanh(), sotto_layer_dense(1)};
        struct scene *scene = open_scene_of(layers, 5, 1);
        uint32_t *units = calloc(POOL, sizeof *units);
        for (uint32_t i = 0; i < POOL; i++)
            units[i] = i % UNITS;
        sotto_dpsgd_options options = step_options(scene, arithmetic, batch / POOL, 1.0, POOL);
        options.public_units = POOL;
        options.units.rows = units;
        open_step(scene, &options, 1e9);
        take(scene, 0, pass);
        struct rusage usage;
        (void)getrusage(RUSAGE_SELF, &usage);
        const bool told = write(pipes[1], &usage.ru_maxrss, sizeof usage.ru_maxrss) == sizeof usage.ru_maxrss;
        _exit(told ? 0 : 1);
    }
    int status = 0;
    (void)close(pipes[1]);
    ck_assert_int_eq(read(pipes[0], &peak, sizeof peak), sizeof peak);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    (void)close(pipes[0]);
    return peak;
}

START_TEST(memory_does_not_grow_with_the_batch)
{
    const long small = peak_of((sotto_arithmetic)_i, 1024), large = peak_of((sotto_arithmetic)_i, POOL);
    ck_assert_int_gt(small, 0);
    ck_assert_msg(large <= small + small / 10, "%ld KiB, then %ld KiB", small, large);
}
END_TEST

TCase *start_tests(void)
{
    TCase *tests = tcase_create("start");
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, broken_kernels_start_no_exact_step, 0, 4);
    if (!SANITIZED) /* they keep what was freed */
        tcase_add_loop_test(tests, memory_does_not_grow_with_the_batch, 0, ARITHMETICS);
    return tests;
}
