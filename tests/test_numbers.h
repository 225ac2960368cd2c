/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_NUMBERS_H
#define TEST_NUMBERS_H

/* What the numerical rooms' tests share: inputs from a fixed generator, and comparison. */

#include <check.h>
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The generator's state, defined by each test program; set it for inputs that depend on nothing that ran
 * before. */
extern uint64_t test_state;

/* Uniform in (−1, 1). */
static inline float draw(void)
{
    test_state = test_state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(test_state >> 11) * 0x1p-52 - 1.0);
}

static inline void fill(size_t count, float scale, float *x)
{
    for (size_t i = 0; i < count; i++)
        x[i] = scale * draw();
}

static inline float *bits_copy(size_t count, const float *x, float *y)
{
    memcpy(y, x, count * sizeof *x);
    return y;
}

/* |found − wanted| ≤ tolerance·(scale + |wanted|), and NaN never passes. */
static inline void close_to(double found, double wanted, double scale, double tolerance, const char *what,
                            size_t at)
{
    /* Check writes down every assertion that holds: there are too many of these. */
    if (!(fabs(found - wanted) <= tolerance * (scale + fabs(wanted))))
        ck_abort_msg("%s[%zu]: %.9g, wanted %.9g", what, at, found, wanted);
}

#endif
