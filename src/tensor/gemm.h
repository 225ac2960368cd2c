/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_TENSOR_GEMM_H
#define SOTTO_TENSOR_GEMM_H

/*
 * Inside the tensor room: what the matrix products of floats and of integers have in common, and which
 * instructions carry them out.
 *
 * Both work on words of 4 bytes: a float, or two 16-bit integers of neighbouring rows. The right-hand side
 * lies in panels of PANEL columns, so that one step down a panel is one cache line; the result is made tile
 * by tile, a tile being a few rows by one panel or more, with every sum of a tile in a register.
 */

#include "tensor/tensor.h"

enum {
    PANEL = 16,        /* columns of a panel of the right-hand side */
    DEPTH_BLOCK = 256, /* steps taken down a panel before the next panel has its turn: 16 KiB of a panel */
};

/** sums [rows, columns] (+)= Σ_k left[·, k]·right[k, ·], k from 0 to depth − 1; rows and columns ≥ 1. */
typedef struct gemm_work {
    size_t rows, columns, depth;
    const void *left;
    size_t left_row;  /* words from one row of left to the next; 0: left lies in tiles, see gemm_tile */
    size_t left_step; /* words from one k to the next, where it does not */
    const void *right;
    size_t right_step;  /* words from one k to the next within a panel */
    size_t right_panel; /* words from one panel to the next */
    bool load;          /* start from what sums hold instead of from zero */
    void *sums;         /* floats, or int32 */
    size_t stride;      /* words from one row of sums to the next */
} gemm_work;

/** Matrix products of one kind of number by one set of instructions. */
typedef struct gemm_kernels {
    const char *name;
    size_t tile_rows; /* rows of the tallest tile */
    void (*block)(const gemm_work *work);
    /* Floats: c[i·c_stride] (+)= Σ_k a[i,k]·b[k] for i < rows, b contiguous. */
    void (*dots)(size_t rows, size_t depth, const float *a, size_t a_stride, const float *b, bool accumulate,
                 float *c, size_t c_stride);
    const struct integer_vectors *vectors; /* integers: what is done to one row after the other */
} gemm_kernels;

/** Integers without a product; the portable ones say what they do. */
typedef struct integer_vectors {
    /* words[j] = the integers x0[j]·scale0 and x1[j]·scale1 in one word; squares[i] += the squares of row i.
     */
    void (*quantise)(size_t count, const float *x0, const float *x1, float scale0, float scale1,
                     int32_t *words, uint64_t squares[2]);
    sotto_uint128 (*squares)(size_t count, const int32_t *x);
    void (*scale)(size_t count, uint32_t numerator, int32_t *x);
} integer_vectors;

extern const integer_vectors sotto_integer_portable;
#if defined(__x86_64__)
extern const integer_vectors sotto_integer_avx2;
#endif

/* trunc(x·numerator/2³¹) towards zero. */
static inline int32_t integer_scaled(int32_t x, uint32_t numerator)
{
    const uint32_t size = x < 0 ? 0u - (uint32_t)x : (uint32_t)x;
    const uint32_t part = (uint32_t)((uint64_t)size * numerator >> 31);
    return (int32_t)(x < 0 ? 0u - part : part);
}

/** The floats' kernels and the integers', the best first, as many as this build knows; NULL ends the list. */
extern const gemm_kernels *const sotto_gemm_float_kernels[];
extern const gemm_kernels *const sotto_gemm_integer_kernels[];

extern const gemm_kernels sotto_gemm_float_portable, sotto_gemm_integer_portable;
#if defined(__x86_64__)
extern const gemm_kernels sotto_gemm_float_avx2, sotto_gemm_integer_avx2;
extern const gemm_kernels sotto_gemm_float_avx512, sotto_gemm_integer_avx512, sotto_gemm_integer_vnni;
#endif

/** Whether this CPU, and its operating system, can run them. */
bool sotto_gemm_runs(const gemm_kernels *kernels);

/** The kernels in use: the first of the list that runs, unless a test has chosen others. */
const gemm_kernels *sotto_gemm_float(void);
const gemm_kernels *sotto_gemm_integer(void);

/**
 * For tests: use these kernels from now on, in every thread; NULL goes back to the best. What was packed
 * before must not be used any more.
 */
void sotto_gemm_choose_float(const gemm_kernels *kernels);
void sotto_gemm_choose_integer(const gemm_kernels *kernels);

/**
 * How rows are dealt out to tiles: as evenly as can be, so that no last tile is too low to keep the
 * arithmetic units busy. A left-hand side that lies in tiles holds, for each tile, [depth, height] words.
 */
typedef struct gemm_tiles {
    size_t count, low, taller; /* `taller` tiles of low + 1 rows come first, then those of `low` rows */
} gemm_tiles;

static inline gemm_tiles gemm_tiles_of(size_t rows, size_t tile_rows)
{
    const size_t count = (rows + tile_rows - 1) / tile_rows;
    return (gemm_tiles){count, count ? rows / count : 0, count ? rows % count : 0};
}

static inline size_t gemm_tile_height(gemm_tiles tiles, size_t tile)
{
    return tiles.low + (tile < tiles.taller);
}

static inline size_t gemm_round_up(size_t count, size_t multiple)
{
    return (count + multiple - 1) / multiple * multiple;
}

#if defined(__clang__)
#define GEMM_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GEMM_UNROLL _Pragma("GCC unroll 16")
#else
#define GEMM_UNROLL
#endif

#if defined(__GNUC__)
#define GEMM_INLINE static inline __attribute__((always_inline))
#else
#define GEMM_INLINE static inline
#endif

#endif
