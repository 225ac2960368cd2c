/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/square.h"

#include "bench/timing.h"

enum { SIZES = 3, TRIES = 5 };
static const size_t sizes[SIZES] = {256, 512, 1024};

double bench_square_multiply(const bench_square *square)
{
    const size_t n = square->size;
    sotto_tensor_product_nn(n, n, n, 1.0f, square->values, n, square->values + n * n, n, 0.0f,
                            square->values + 2 * n * n, n);
    return 2.0 * (double)n * (double)n * (double)n;
}

/* Operations in a second: the best of a few, after one to warm up. */
static double rate(const bench_square *square)
{
    double best = 0;
    (void)bench_square_multiply(square);
    for (int i = 0; i < TRIES; i++) {
        const double start = bench_now();
        const double operations = bench_square_multiply(square);
        const double found = operations / (bench_now() - start);
        best = found > best ? found : best;
    }
    return best;
}

sotto_status bench_square_make(bench_square *square, sotto_arena *arena, sotto_error *err)
{
    const size_t largest = sizes[SIZES - 1], count = 3 * largest * largest;
    double best = 0;
    size_t chosen = largest;
    square->values = sotto_arena_take(arena, count, sizeof *square->values, err);
    if (!square->values)
        return SOTTO_ERROR_MEMORY;
    sotto_tensor_initialise();
    for (size_t i = 0; i < count; i++)
        square->values[i] = (float)(i % 251) / 251 - 0.5f;
    for (size_t i = 0; i < SIZES; i++) {
        square->size = sizes[i];
        const double found = rate(square);
        chosen = found > best ? sizes[i] : chosen;
        best = found > best ? found : best;
    }
    square->size = chosen;
    return SOTTO_OK;
}
