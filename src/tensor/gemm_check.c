/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The start-up check: the kernels in use against plain loops. */

#include "tensor/gemm.h"

#include <math.h>
#include <string.h>

enum { ROWS = 29, COLUMNS = 67, DEPTH = DEPTH_BLOCK + 5 };

typedef struct check {
    sotto_arena *arena;
    uint64_t state;
    float *a;      /* [ROWS, DEPTH], and as [DEPTH, ROWS] */
    float *b;      /* [DEPTH, COLUMNS] */
    float *scales; /* [DEPTH]: weights, then scales */
    float *packed, *scratch;
    float *found, *wanted; /* [ROWS, COLUMNS] */
    int32_t *left, *right, *sums;
} check;

static sotto_status take(check *k, sotto_error *err)
{
    sotto_arena *arena = k->arena;
    k->a = sotto_arena_take(arena, ROWS * DEPTH, sizeof *k->a, err);
    k->b = sotto_arena_take(arena, DEPTH * COLUMNS, sizeof *k->b, err);
    k->scales = sotto_arena_take(arena, DEPTH, sizeof *k->scales, err);
    k->packed = sotto_arena_take(arena, sotto_tensor_packed_count(DEPTH, COLUMNS), sizeof *k->packed, err);
    k->scratch =
        sotto_arena_take(arena, sotto_tensor_rows_scratch(DEPTH, ROWS, COLUMNS), sizeof *k->scratch, err);
    k->found = sotto_arena_take(arena, ROWS * COLUMNS, sizeof *k->found, err);
    k->wanted = sotto_arena_take(arena, ROWS * COLUMNS, sizeof *k->wanted, err);
    k->left = sotto_arena_take(arena, sotto_tensor_left_count(DEPTH, ROWS), sizeof *k->left, err);
    k->right = sotto_arena_take(arena, sotto_tensor_right_count(DEPTH, COLUMNS), sizeof *k->right, err);
    k->sums = sotto_arena_take(arena, ROWS * COLUMNS, sizeof *k->sums, err);
    const bool whole = k->a && k->b && k->scales && k->packed && k->scratch && k->found && k->wanted &&
                       k->left && k->right && k->sums;
    return whole ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

/* Any numbers do whose sums are rounded: uniform in (−scale, scale). */
static void fill(check *k, size_t count, float scale, float *x)
{
    for (size_t i = 0; i < count; i++) {
        k->state = k->state * 6364136223846793005u + 1442695040888963407u;
        x[i] = scale * (float)((double)(k->state >> 11) * 0x1p-52 - 1.0);
    }
}

static bool same(const check *k, size_t count)
{
    return memcmp(k->found, k->wanted, count * sizeof *k->found) == 0;
}

/* Products of a given size, all rows and then each one alone. */
static bool check_product(check *k, size_t m, size_t n, size_t depth, float scale)
{
    fill(k, m * depth, scale, k->a);
    fill(k, depth * n, scale, k->b);
    sotto_tensor_pack(depth, n, k->b, n, k->packed);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            float sum = 0.0f;
            for (size_t l = 0; l < depth; l++)
                sum = fmaf(k->a[i * depth + l], k->b[l * n + j], sum);
            k->wanted[i * n + j] = sum;
        }
    }
    sotto_tensor_product(m, n, depth, k->a, depth, k->packed, false, k->found, n);
    bool kept = same(k, m * n);
    for (size_t i = 0; i < m; i++)
        sotto_tensor_product(1, n, depth, k->a + i * depth, depth, k->packed, false, k->found + i * n, n);
    return kept && same(k, m * n);
}

/* A sum over rows, added to what is there, every third row left out. */
static bool check_rows(check *k, size_t m, size_t n, size_t rows)
{
    fill(k, rows * m, 1.0f, k->a);
    fill(k, rows * n, 1.0f, k->b);
    fill(k, rows, 1.0f, k->scales);
    fill(k, m * n, 1.0f, k->wanted);
    memcpy(k->found, k->wanted, m * n * sizeof *k->found);
    for (size_t r = 0; r < rows; r++) {
        if (r % 3 == 1)
            k->scales[r] = 0.0f;
        for (size_t at = 0; k->scales[r] != 0.0f && at < m * n; at++)
            k->wanted[at] = fmaf(k->a[r * m + at / n], k->scales[r] * k->b[r * n + at % n], k->wanted[at]);
    }
    sotto_tensor_product_rows(m, n, rows, k->a, m, k->scales, k->b, n, true, k->found, n, NULL, k->scratch);
    return same(k, m * n);
}

static int32_t plain_integer(float x)
{
    return (int32_t)lrintf(fminf(fmaxf(x, -32767.0f), 32767.0f));
}

static uint64_t plain_squares(size_t count, const float *x, float scale)
{
    uint64_t sum = 0;
    for (size_t j = 0; j < count; j++) {
        const int64_t q = plain_integer(x[j] * scale);
        sum += (uint64_t)(q * q);
    }
    return sum;
}

static bool check_integers(check *k, size_t d, size_t p, size_t rows)
{
    fill(k, rows * d, 1000.0f, k->a);
    fill(k, rows * p, 1000.0f, k->b);
    for (size_t r = 0; r < rows; r++)
        k->scales[r] = r == rows / 2 ? 64.0f : 0.25f; /* the one row saturates */
    uint64_t left[ROWS], right[ROWS];
    sotto_tensor_quantise_left(rows, d, k->a, d, k->scales, k->left, left);
    sotto_tensor_quantise_right(rows, p, k->b, p, k->scales, k->right, right);
    for (size_t r = 0; r < rows; r++)
        if (left[r] != plain_squares(d, k->a + r * d, k->scales[r]) ||
            right[r] != plain_squares(p, k->b + r * p, k->scales[r]))
            return false;
    sotto_tensor_integer_product(d, p, rows, k->left, k->right, false, k->sums, p);
    for (size_t at = 0; at < d * p; at++) {
        int64_t sum = 0;
        for (size_t r = 0; r < rows; r++)
            sum += (int64_t)plain_integer(k->a[r * d + at / p] * k->scales[r]) *
                   plain_integer(k->b[r * p + at % p] * k->scales[r]);
        if (sum != k->sums[at])
            return false;
    }
    return true;
}

/* What norms are made of, and what keeps them within the bound: rounding, squares, scaling towards zero. */
static bool check_vectors(check *k, size_t count)
{
    const uint32_t numerator = 0x5a5a5a5b; /* over 2³¹ */
    sotto_uint128 wanted = 0;
    fill(k, count, 3.0f, k->a);
    k->a[count / 2] = NAN;
    k->a[count / 3] = INFINITY;
    sotto_tensor_quantise(count, k->a, 0x1p28f, k->sums);
    for (size_t j = 0; j < count; j++) {
        const float scaled = k->a[j] * 0x1p28f;
        const int64_t q = isnan(scaled) ? 0 : (int64_t)rintf(fminf(fmaxf(scaled, -0x1p30f), 0x1p30f));
        if (q != k->sums[j])
            return false;
        wanted += (sotto_uint128)(q * q);
    }
    if (sotto_tensor_integer_squares(count, k->sums) != wanted)
        return false;
    memcpy(k->left, k->sums, count * sizeof *k->sums);
    sotto_tensor_integer_scale(count, numerator, k->sums);
    for (size_t j = 0; j < count; j++)
        if (k->sums[j] != (int64_t)k->left[j] * numerator / (INT64_C(1) << 31))
            return false;
    return true;
}

static const char *first_difference(check *k)
{
    if (!check_product(k, ROWS, COLUMNS, 9, 1.0f) || !check_product(k, 5, 33, DEPTH, 1.0f) ||
        !check_product(k, ROWS, 1, 19, 1.0f) || !check_product(k, 7, 19, 1, 1.0f))
        return "a product";
    if (!check_product(k, 9, 17, 6, 0x1p-70f))
        return "a product of subnormal size";
    if (!check_rows(k, ROWS, 35, 11) || !check_rows(k, ROWS, 1, 11) || !check_rows(k, 1, COLUMNS, 11) ||
        !check_rows(k, 3, 18, DEPTH))
        return "a sum over rows";
    if (!check_integers(k, ROWS, 35, 11) || !check_integers(k, 1, 17, 8))
        return "a sum of integers";
    if (!check_vectors(k, ROWS * 7) || !check_vectors(k, 3))
        return "a vector of integers";
    return NULL;
}

sotto_status sotto_tensor_check(sotto_error *err)
{
    check k = {.state = 1};
    sotto_status status = sotto_arena_create(&k.arena, err);
    if (status != SOTTO_OK)
        return status;
    status = take(&k, err);
    const char *what = status == SOTTO_OK ? first_difference(&k) : NULL;
    if (what)
        status = sotto_error_set(err, SOTTO_ERROR_NUMERIC,
                                 "matrix products: %s by this CPU's kernels (%s, %s) differs from the plain "
                                 "loop that each number of it must agree with to the bit; exact mode cannot "
                                 "run on this machine",
                                 what, sotto_gemm_float()->name, sotto_gemm_integer()->name);
    sotto_arena_destroy(k.arena);
    return status;
}
