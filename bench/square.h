/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BENCH_SQUARE_H
#define SOTTO_BENCH_SQUARE_H

/** What the machine is said to reach: OpenBLAS's product of large square matrices, on one thread. */

#include "tensor/tensor.h"

typedef struct bench_square {
    size_t size;   /**< the one of a few that was fastest */
    float *values; /**< three matrices */
} bench_square;

/** Memory is the arena's. SOTTO_ERROR_MEMORY. */
sotto_status bench_square_make(bench_square *square, sotto_arena *arena, sotto_error *err);

/** Multiply once; how many floating-point operations it was. */
double bench_square_multiply(const bench_square *square);

#endif
