/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Products of 16-bit integers, summed exactly. Two neighbouring rows make one word, so that one instruction
 * multiplies both and adds them up; an odd last row is paired with zeros.
 */

#include "tensor/gemm.h"

#include <string.h>

enum { WORDS = 16 * 14 }; /* quantised at once: 16 of the tallest tiles, or 14 panels */

static size_t pairs_of(size_t rows)
{
    return (rows + 1) / 2;
}

/* --------------------------------------------------------------------- packing */

/* Where the words of one row pair go: to each tile, or panel, a few neighbouring columns. */
typedef struct layout {
    size_t pairs;
    gemm_tiles tiles;
} layout;

static inline void copy_words(size_t count, const int32_t *from, int32_t *to)
{
    switch (count) {
    case 5:
        memcpy(to, from, 5 * sizeof *to);
        break;
    case 6:
        memcpy(to, from, 6 * sizeof *to);
        break;
    case PANEL:
        memcpy(to, from, PANEL * sizeof *to);
        break;
    default:
        memcpy(to, from, count * sizeof *to);
    }
}

static void quantise_rows(const layout *l, size_t pair, size_t columns, const float *const x[2],
                          const float scales[2], int32_t *packed, uint64_t squares[2])
{
    const integer_vectors *vectors = sotto_gemm_integer()->vectors;
    size_t done = 0;
    for (size_t t = 0; t < l->tiles.count;) {
        int32_t words[WORDS];
        size_t last = t, count = 0;
        while (last < l->tiles.count && count + gemm_tile_height(l->tiles, last) <= WORDS)
            count += gemm_tile_height(l->tiles, last++);
        const size_t real = columns - done < count ? columns - done : count;
        vectors->quantise(real, x[0] + done, x[1] + done, scales[0], scales[1], words, squares);
        memset(words + real, 0, (count - real) * sizeof *words);
        for (size_t at = 0; t < last; t++) {
            const size_t height = gemm_tile_height(l->tiles, t);
            copy_words(height, words + at, packed + (done + at) * l->pairs + pair * height);
            at += height;
        }
        done += count;
    }
}

static void quantise_matrix(const layout *l, size_t rows, size_t columns, const float *x, size_t x_stride,
                            const float *scales, int32_t *packed, uint64_t *squares)
{
    for (size_t r = 0; r < rows; r += 2) {
        const bool two = r + 1 < rows;
        const float *const pair[2] = {x + r * x_stride, x + (two ? r + 1 : r) * x_stride};
        const float by[2] = {scales[r], two ? scales[r + 1] : 0.0f};
        uint64_t both[2] = {0};
        quantise_rows(l, r / 2, columns, pair, by, packed, both);
        if (squares)
            memcpy(squares + r, both, (two ? 2 : 1) * sizeof *squares);
    }
}

size_t sotto_tensor_left_count(size_t rows, size_t columns)
{
    return gemm_round_up(pairs_of(rows) * columns, PANEL);
}

size_t sotto_tensor_right_count(size_t rows, size_t columns)
{
    return pairs_of(rows) * gemm_round_up(columns, PANEL);
}

void sotto_tensor_quantise_left(size_t rows, size_t columns, const float *x, size_t x_stride,
                                const float *scales, int32_t *packed, uint64_t *squares)
{
    const layout l = {pairs_of(rows), gemm_tiles_of(columns, sotto_gemm_integer()->tile_rows)};
    quantise_matrix(&l, rows, columns, x, x_stride, scales, packed, squares);
}

void sotto_tensor_quantise_right(size_t rows, size_t columns, const float *x, size_t x_stride,
                                 const float *scales, int32_t *packed, uint64_t *squares)
{
    const layout l = {pairs_of(rows), {(columns + PANEL - 1) / PANEL, PANEL, 0}};
    quantise_matrix(&l, rows, columns, x, x_stride, scales, packed, squares);
}

uint64_t sotto_tensor_scale_right_row(size_t rows, size_t columns, size_t row, uint32_t numerator,
                                      int32_t *packed)
{
    const unsigned shift = row % 2 ? 16 : 0;
    uint64_t sum = 0;
    for (size_t j = 0; j < columns; j++) {
        int32_t *at = packed + j / PANEL * PANEL * pairs_of(rows) + row / 2 * PANEL + j % PANEL;
        const uint32_t word = (uint32_t)*at;
        const int32_t q = integer_scaled((int16_t)(word >> shift & 0xffffu), numerator);
        *at = (int32_t)((word & 0xffff0000u >> shift) | ((uint32_t)q & 0xffffu) << shift);
        sum += (uint64_t)((int64_t)q * q);
    }
    return sum;
}

void sotto_tensor_right_row(size_t rows, size_t columns, size_t row, const int32_t *packed, int32_t *out)
{
    const unsigned shift = row % 2 ? 16 : 0;
    for (size_t j = 0; j < columns; j++) {
        const size_t at = j / PANEL * PANEL * pairs_of(rows) + row / 2 * PANEL + j % PANEL;
        out[j] = (int16_t)((uint32_t)packed[at] >> shift & 0xffffu);
    }
}

/* --------------------------------------------------------------------- products */

void sotto_tensor_integer_product(size_t d, size_t p, size_t rows, const int32_t *left, const int32_t *right,
                                  bool accumulate, int32_t *c, size_t c_stride)
{
    if (d == 0 || p == 0)
        return;
    sotto_gemm_integer()->block(&(gemm_work){.rows = d,
                                             .columns = p,
                                             .depth = pairs_of(rows),
                                             .left = left,
                                             .right = right,
                                             .right_step = PANEL,
                                             .right_panel = pairs_of(rows) * PANEL,
                                             .load = accumulate,
                                             .sums = c,
                                             .stride = c_stride});
}

/* ---------------------------------------------------------------------- vectors */

sotto_uint128 sotto_tensor_integer_squares(size_t count, const int32_t *x)
{
    return sotto_gemm_integer()->vectors->squares(count, x);
}

void sotto_tensor_integer_scale(size_t count, uint32_t numerator, int32_t *x)
{
    sotto_gemm_integer()->vectors->scale(count, numerator, x);
}

SOTTO_WIDE
void sotto_tensor_integer_add(size_t count, const int32_t *restrict x, int32_t *restrict sums)
{
    for (size_t j = 0; j < count; j++)
        sums[j] += x[j];
}

SOTTO_WIDE
void sotto_tensor_integer_flush(size_t count, int32_t *restrict sums, int64_t *restrict totals)
{
    for (size_t j = 0; j < count; j++) {
        totals[j] += sums[j];
        sums[j] = 0;
    }
}
