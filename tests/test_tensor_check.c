/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The start-up check: it passes with the kernels that there are, and refuses those that break the law. */

#include "test_tensor_gemm.h"

#include <stdio.h>

/* Kernels that break the law: the products are added up backwards. */
static void backwards(const gemm_work *w)
{
    for (size_t i = 0; i < w->rows; i++) {
        for (size_t j = 0; j < w->columns; j++) {
            float *sum = (float *)w->sums + i * w->stride + j;
            float total = w->load ? *sum : 0.0f;
            const gemm_tiles tiles = gemm_tiles_of(w->rows, 4);
            size_t tile = 0, row = i;
            while (row >= gemm_tile_height(tiles, tile))
                row -= gemm_tile_height(tiles, tile++);
            const size_t height = gemm_tile_height(tiles, tile);
            for (size_t k = w->depth; k-- > 0;) {
                const float *left = (const float *)w->left;
                left += w->left_row ? i * w->left_row + k * w->left_step
                                    : (i - row) * w->depth + k * height + row;
                const float *right = (const float *)w->right;
                right += j / PANEL * w->right_panel + k * w->right_step + j % PANEL;
                total = fmaf(*left, *right, total);
            }
            *sum = total;
        }
    }
}

/* Four sums side by side, as a library would. */
static void four_sums(size_t rows, size_t depth, const float *x, size_t stride, const float *y,
                      bool accumulate, float *z, size_t z_stride)
{
    for (size_t i = 0; i < rows; i++) {
        float sum[4] = {accumulate ? z[i * z_stride] : 0.0f};
        for (size_t k = 0; k < depth; k++)
            sum[k % 4] = fmaf(x[i * stride + k], y[k], sum[k % 4]);
        z[i * z_stride] = sum[0] + sum[1] + (sum[2] + sum[3]);
    }
}

/* The last bit of one number. */
static void one_off(const gemm_work *w)
{
    sotto_gemm_integer_portable.block(w);
    if (w->rows > 20)
        ((int32_t *)w->sums)[20 * w->stride + 3] ^= 1;
}

/* A norm too small, and a scaling that rounds away from zero: either would let a row out of its bound. */
static sotto_uint128 fewer_squares(size_t count, const int32_t *x)
{
    return sotto_integer_portable.squares(count - 1, x);
}

static void scale_up(size_t count, uint32_t numerator, int32_t *x)
{
    for (size_t j = 0; j < count; j++)
        x[j] = (int32_t)(((int64_t)x[j] * numerator + INT64_C(0x40000000)) >> 31);
}

static void no_squares(size_t count, const float *x0, const float *x1, float scale0, float scale1,
                       int32_t *words, uint64_t squares[2])
{
    uint64_t unused[2] = {0};
    (void)squares;
    sotto_integer_portable.quantise(count, x0, x1, scale0, scale1, words, unused);
}

static void expect_refusal(const char *name)
{
    sotto_error err = {0};
    ck_assert_int_eq(sotto_tensor_check(&err), SOTTO_ERROR_NUMERIC);
    ck_assert_msg(strstr(err.message, name) && strstr(err.message, "exact mode cannot run"), "%s",
                  err.message);
}

START_TEST(the_check_refuses_kernels_that_break_the_law)
{
    gemm_kernels bad = sotto_gemm_float_portable;
    bad.name = "backward";
    bad.block = backwards;
    sotto_gemm_choose_float(&bad);
    expect_refusal("backward");
    bad = sotto_gemm_float_portable;
    bad.name = "four-sum";
    bad.dots = four_sums;
    expect_refusal("four-sum");
    sotto_gemm_choose_float(NULL);
    bad = sotto_gemm_integer_portable;
    bad.name = "one-off";
    bad.block = one_off;
    sotto_gemm_choose_integer(&bad);
    expect_refusal("one-off");
    const integer_vectors broken[] = {
        {sotto_integer_portable.quantise, fewer_squares, sotto_integer_portable.scale},
        {sotto_integer_portable.quantise, sotto_integer_portable.squares, scale_up},
        {no_squares, sotto_integer_portable.squares, sotto_integer_portable.scale},
    };
    for (size_t i = 0; i < 3; i++) {
        bad = sotto_gemm_integer_portable;
        bad.name = "short";
        bad.vectors = &broken[i];
        sotto_gemm_choose_integer(&bad);
        expect_refusal("short");
    }
    sotto_gemm_choose_integer(NULL);
}
END_TEST

static void check_passes(void)
{
    sotto_error err = {0};
    ck_assert_msg(sotto_tensor_check(&err) == SOTTO_OK, "%s", err.message);
}

START_TEST(the_check_passes)
{
    for (const gemm_kernels *const *k = sotto_gemm_float_kernels; *k; k++) {
        if (sotto_gemm_runs(*k)) {
            sotto_gemm_choose_float(*k);
            check_passes();
        }
    }
    sotto_gemm_choose_float(NULL);
    for (const gemm_kernels *const *k = sotto_gemm_integer_kernels; *k; k++) {
        if (sotto_gemm_runs(*k)) {
            sotto_gemm_choose_integer(*k);
            check_passes();
        }
    }
    sotto_gemm_choose_integer(NULL);
}
END_TEST

START_TEST(the_best_kernels_that_run_are_used)
{
    const gemm_kernels *const *k = sotto_gemm_float_kernels;
    while (!sotto_gemm_runs(*k))
        k++;
    ck_assert_ptr_eq(sotto_gemm_float(), *k);
    ck_assert(sotto_gemm_runs(&sotto_gemm_float_portable) && sotto_gemm_runs(&sotto_gemm_integer_portable));
    (void)printf("floats: %s, integers: %s\n", sotto_gemm_float()->name, sotto_gemm_integer()->name);
}
END_TEST

TCase *check_tests(void)
{
    TCase *tests = tcase_create("check");
    tcase_add_test(tests, the_check_refuses_kernels_that_break_the_law);
    tcase_add_test(tests, the_check_passes);
    tcase_add_test(tests, the_best_kernels_that_run_are_used);
    return tests;
}
