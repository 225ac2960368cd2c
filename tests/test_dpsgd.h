/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_DPSGD_H
#define TEST_DPSGD_H

/* A little network, a table of made-up rows, and everything a private step borrows. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dpsgd/dpsgd.h"
#include "dpsgd/lanes.h"

enum { INPUTS = 5, UNITS = 700, PUBLIC = 300 };

struct scene {
    float rows[UNITS + PUBLIC][INPUTS];
    uint32_t units[UNITS];
    sotto_random *random;
    sotto_network *network;
    sotto_weights *weights;
    float *parameters;
    size_t count;
    sotto_budget *budget;
    sotto_dpsgd *step;
};

/* The network of most tests, and one of your own. Randomness comes from `seed`. */
struct scene *open_scene(void);
struct scene *open_scene_of(const sotto_layer *layers, size_t count, uint64_t seed);
void close_scene(struct scene *scene);

/* The row in the table of example i of a chunk. */
size_t row_of(const sotto_chunk *chunk, size_t example);

/* Squared error of the network's output against the sum of the inputs: a loss that touches the row itself.
 * With views, view v sees the row divided by v + 1. */
sotto_pass pass;

/* A loss of 0 for every row: what a step then does is noise alone. */
sotto_pass silent_pass;

/* Exact and float, for loop tests; `_i` picks one. */
enum { ARITHMETICS = 2 };

/* A step over the first `unit_count` units, clipped to 0.5, by SGD at rate 1, so that parameters move by
 * exactly −(sum + noise)/B̄. */
sotto_dpsgd_options step_options(struct scene *scene, sotto_arithmetic arithmetic, double sample_rate,
                                 double noise_multiplier, size_t unit_count);

/* Make the scene's step, with a budget of its own. */
void open_step(struct scene *scene, const sotto_dpsgd_options *options, double epsilon);

/* One whole step. */
void take(struct scene *scene, size_t public_count, sotto_pass *how);

/* Σ c_i ∇_i in floats, clipped as `clipping` says. */
sotto_clip_counts float_sum(const struct scene *scene, const sotto_clipping *clipping, size_t views,
                            const uint32_t *units, size_t unit_count, size_t public_count, sotto_pass *how,
                            float *sum);

/* ------------------------------------------------ further test cases */

TCase *clipping_tests(void); /* test_dpsgd_clipping.c */
TCase *noise_tests(void);    /* test_dpsgd_noise.c */
TCase *counts_tests(void);   /* test_dpsgd_counts.c */
TCase *parts_tests(void);    /* test_dpsgd_parts.c */
TCase *start_tests(void);    /* test_dpsgd_start.c */
TCase *units_tests(void);    /* test_dpsgd_units.c */

#endif
