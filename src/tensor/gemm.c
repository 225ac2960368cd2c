/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Matrix products of floats: packing, and the choice of shapes for the tiles. The order of every sum is
 * fixed by the law in tensor.h; what is decided here is only which sums are under way together.
 */

#include "tensor/gemm.h"

#include <string.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

/* --------------------------------------------------- a right-hand side packed beforehand */

/* A single column is kept as it is, for the kernel of dot products. */
size_t sotto_tensor_packed_count(size_t k, size_t n)
{
    return n == 1 ? gemm_round_up(k, PANEL) : k * gemm_round_up(n, PANEL);
}

SOTTO_WIDE
void sotto_tensor_pack(size_t k, size_t n, const float *b, size_t b_stride, float *packed)
{
    if (n == 1) {
        for (size_t l = 0; l < k; l++)
            packed[l] = b[l * b_stride];
        return;
    }
    for (size_t j = 0; j < n; j += PANEL) {
        const size_t count = n - j < PANEL ? n - j : PANEL;
        for (size_t l = 0; l < k; l++, packed += PANEL) {
            if (count == PANEL) {
                memcpy(packed, b + l * b_stride + j, PANEL * sizeof *packed);
                continue;
            }
            memset(packed, 0, PANEL * sizeof *packed);
            memcpy(packed, b + l * b_stride + j, count * sizeof *packed);
        }
    }
}

/* packed[l, j] = b[j, l] for 4 j and 4 l, both within one cache line. */
static inline void transpose(const float *b, size_t b_stride, float *packed)
{
#if defined(__SSE__)
    __m128 row0 = _mm_loadu_ps(b), row1 = _mm_loadu_ps(b + b_stride);
    __m128 row2 = _mm_loadu_ps(b + 2 * b_stride), row3 = _mm_loadu_ps(b + 3 * b_stride);
    _MM_TRANSPOSE4_PS(row0, row1, row2, row3);
    _mm_storeu_ps(packed, row0);
    _mm_storeu_ps(packed + PANEL, row1);
    _mm_storeu_ps(packed + 2 * PANEL, row2);
    _mm_storeu_ps(packed + 3 * PANEL, row3);
#else
    for (size_t l = 0; l < 4; l++) {
        for (size_t j = 0; j < 4; j++)
            packed[l * PANEL + j] = b[j * b_stride + l];
    }
#endif
}

/*
 * packed [k, PANEL] from PANEL rows of b, 16 steps of 4 rows at a time: rows at a distance of a power of two
 * share one set of the nearest cache, which has room for few of them.
 */
static void pack_rows(size_t k, const float *b, size_t b_stride, float *packed)
{
    size_t l = 0;
    for (; l + 16 <= k; l += 16) {
        for (size_t j = 0; j < PANEL; j += 4) {
            for (size_t step = l; step < l + 16; step += 4)
                transpose(b + j * b_stride + step, b_stride, packed + step * PANEL + j);
        }
    }
    for (; l < k; l++) {
        for (size_t j = 0; j < PANEL; j++)
            packed[l * PANEL + j] = b[j * b_stride + l];
    }
}

void sotto_tensor_pack_transposed(size_t k, size_t n, const float *b, size_t b_stride, float *packed)
{
    if (n == 1) {
        memcpy(packed, b, k * sizeof *packed);
        return;
    }
    for (size_t first = 0; first < n; first += PANEL, packed += k * PANEL) {
        const float *rows = b + first * b_stride;
        if (n - first >= PANEL) {
            pack_rows(k, rows, b_stride, packed);
            continue;
        }
        memset(packed, 0, k * PANEL * sizeof *packed);
        for (size_t j = 0; j < n - first; j++) {
            for (size_t l = 0; l < k; l++)
                packed[l * PANEL + j] = rows[j * b_stride + l];
        }
    }
}

void sotto_tensor_product(size_t m, size_t n, size_t k, const float *a, size_t a_stride, const float *packed,
                          bool accumulate, float *c, size_t c_stride)
{
    if (m == 0 || n == 0)
        return;
    if (n == 1) {
        sotto_gemm_float()->dots(m, k, a, a_stride, packed, accumulate, c, c_stride);
        return;
    }
    sotto_gemm_float()->block(&(gemm_work){.rows = m,
                                           .columns = n,
                                           .depth = k,
                                           .left = a,
                                           .left_row = a_stride,
                                           .left_step = 1,
                                           .right = packed,
                                           .right_step = PANEL,
                                           .right_panel = k * PANEL,
                                           .load = accumulate,
                                           .sums = c,
                                           .stride = c_stride});
}

/* ------------------------------------------------------------------- sums over rows */

static bool is_used(const float *weights, size_t row)
{
    return !weights || weights[row] != 0.0f;
}

/* One row of b, scaled, to its place in each panel; what it adds to the columns' sums. */
static inline void pack_scaled_row(size_t n, float weight, const float *restrict b, size_t panel,
                                   float *restrict packed, float *restrict sums)
{
    for (; n >= PANEL; n -= PANEL, b += PANEL, packed += panel) {
        for (size_t j = 0; j < PANEL; j++)
            packed[j] = weight * b[j];
        for (size_t j = 0; sums && j < PANEL; j++)
            sums[j] += packed[j];
        sums = sums ? sums + PANEL : NULL;
    }
    for (size_t j = 0; n > 0 && j < PANEL; j++) {
        packed[j] = j < n ? weight * b[j] : 0.0f;
        if (sums && j < n)
            sums[j] += packed[j];
    }
}

/* The rows of b in use as panels [used, PANEL]; returns how many they are. 1·x is x to the bit. */
SOTTO_WIDE
static size_t pack_right(size_t rows, size_t n, const float *weights, const float *b, size_t b_stride,
                         float *packed, float *sums)
{
    size_t used = 0;
    for (size_t r = 0; r < rows; r++)
        used += is_used(weights, r);
    for (size_t r = 0; r < rows; r++) {
        if (!is_used(weights, r))
            continue;
        pack_scaled_row(n, weights ? weights[r] : 1.0f, b + r * b_stride, used * PANEL, packed, sums);
        packed += PANEL;
    }
    return used;
}

/* `height` columns of a, a constant, as a tile [used, height]. */
GEMM_INLINE float *pack_tile(const size_t height, size_t rows, const float *weights, const float *a,
                             size_t a_stride, float *packed)
{
    for (size_t r = 0; r < rows; r++) {
        if (!is_used(weights, r))
            continue;
        memcpy(packed, a + r * a_stride, height * sizeof *packed);
        packed += height;
    }
    return packed;
}

/* Columns of a as rows of the left-hand side. Walking down a column of a wide matrix would find one and the
 * same set of the cache again and again. */
static void pack_left(size_t rows, size_t m, const float *weights, const float *a, size_t a_stride,
                      size_t tile_rows, float *packed)
{
    const gemm_tiles tiles = gemm_tiles_of(m, tile_rows);
    for (size_t t = 0; t < tiles.count; t++) {
        const size_t height = gemm_tile_height(tiles, t);
        switch (height) {
        case 4:
            packed = pack_tile(4, rows, weights, a, a_stride, packed);
            break;
        case 5:
            packed = pack_tile(5, rows, weights, a, a_stride, packed);
            break;
        case 6:
            packed = pack_tile(6, rows, weights, a, a_stride, packed);
            break;
        case 13:
            packed = pack_tile(13, rows, weights, a, a_stride, packed);
            break;
        case 14:
            packed = pack_tile(14, rows, weights, a, a_stride, packed);
            break;
        default:
            packed = pack_tile(height, rows, weights, a, a_stride, packed);
        }
        a += height;
    }
}

size_t sotto_tensor_rows_scratch(size_t rows, size_t m, size_t n)
{
    return rows * m + rows * gemm_round_up(n, PANEL);
}

/* The last columns of a, fewer than a panel, as a panel of its own. */
static void pack_last_columns(size_t rows, size_t count, const float *a, size_t a_stride, float *packed)
{
    memset(packed, 0, rows * PANEL * sizeof *packed);
    for (size_t r = 0; r < rows; r++)
        memcpy(packed + r * PANEL, a + r * a_stride, count * sizeof *packed);
}

/*
 * b is a single column: c is one row, the sum of the rows of a scaled by b. They are read where they lie, in
 * runs between rows that are left out.
 */
static void sum_of_rows(size_t m, size_t rows, const float *a, size_t a_stride, const float *weights,
                        const float *b, size_t b_stride, bool load, float *c, float *sums, float *scratch)
{
    const size_t whole = m / PANEL * PANEL;
    float *scaled = scratch + rows * PANEL;
    for (size_t r = 0, end; r < rows; r = end) {
        for (end = r; end < rows && is_used(weights, end); end++) {
            scaled[end] = (weights ? weights[end] : 1.0f) * b[end * b_stride];
            if (sums)
                sums[0] += scaled[end];
        }
        if (end == r) {
            end = r + 1;
            continue;
        }
        gemm_work work = {.rows = 1,
                          .columns = whole,
                          .depth = end - r,
                          .left = scaled + r,
                          .left_row = 1,
                          .left_step = 1,
                          .right = a + r * a_stride,
                          .right_step = a_stride,
                          .right_panel = PANEL,
                          .load = load,
                          .sums = c,
                          .stride = m};
        if (whole > 0)
            sotto_gemm_float()->block(&work);
        if (whole < m) {
            pack_last_columns(end - r, m - whole, a + r * a_stride + whole, a_stride, scratch);
            work.columns = m - whole;
            work.right = scratch;
            work.right_step = PANEL;
            work.sums = c + whole;
            sotto_gemm_float()->block(&work);
        }
        load = true;
    }
    if (!load)
        memset(c, 0, m * sizeof *c);
}

void sotto_tensor_product_rows(size_t m, size_t n, size_t rows, const float *a, size_t a_stride,
                               const float *weights, const float *b, size_t b_stride, bool accumulate,
                               float *c, size_t c_stride, float *sums, float *scratch)
{
    if (m == 0 || n == 0)
        return;
    if (n == 1 && c_stride == 1) {
        sum_of_rows(m, rows, a, a_stride, weights, b, b_stride, accumulate, c, sums, scratch);
        return;
    }
    const gemm_kernels *kernels = sotto_gemm_float();
    float *left = scratch + rows * gemm_round_up(n, PANEL);
    const size_t used = pack_right(rows, n, weights, b, b_stride, scratch, sums);
    pack_left(rows, m, weights, a, a_stride, kernels->tile_rows, left);
    kernels->block(&(gemm_work){.rows = m,
                                .columns = n,
                                .depth = used,
                                .left = left,
                                .right = scratch,
                                .right_step = PANEL,
                                .right_panel = used * PANEL,
                                .load = accumulate,
                                .sums = c,
                                .stride = c_stride});
}
