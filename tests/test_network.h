/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_NETWORK_H
#define TEST_NETWORK_H

#include "network/network.h"

#include "test_numbers.h"

enum { MOST_COLUMNS = 256, MOST_PARAMETERS = 4096, MOST_LAYERS = 12 };

/* ------------------------------------------------- test_network_plans.c */

/* An architecture as its caller writes it down. */
typedef struct plan {
    const char *name;
    size_t inputs, classes, count;
    sotto_layer layers[MOST_LAYERS];
} plan;

/* Every kind of layer, and the neighbourhoods in which buffers are shared or must not be. */
extern const plan plans[];
extern const size_t plan_count;

/* The number of the plan of this name. */
size_t plan_named(const char *name);

/* -------------------------------------------- test_network_reference.c */

/* What a row has besides its columns. */
typedef struct circumstances {
    size_t class_of;
    uint64_t seed;
    bool training; /* dropout drops, sample layers draw */
} circumstances;

/* One row through the layers in plain float64 loops; returns the number of outputs. */
size_t reference_forward(const plan *p, const double *parameters, const double *input, circumstances row,
                         double *output);

/*
 * The gradient of Σ_j direction[j]·output[j] and the divergences of sample layers for one row by central
 * differences in float64, with respect to the parameters and (where not NULL) to the input.
 */
void reference_gradient(const plan *p, size_t parameter_count, const float *parameters, const float *input,
                        circumstances row, const float *direction, double *gradient, double *input_gradient);

/* ------------------------------------------------ test_network_scene.c */

enum { EXAMPLES = 7, MOST_VIEWS = 3, MOST_ROWS = EXAMPLES * MOST_VIEWS };

/* One architecture at a random point with a random chunk. */
typedef struct scene {
    const plan *plan;
    sotto_network *network;
    sotto_weights *weights;
    sotto_workspace *workspace;
    size_t parameter_count, outputs, blocks, views, rows;
    size_t penalties; /* of an example's rows, or 0 */
    double lambda;
    bool training;
    float parameters[MOST_PARAMETERS];
    float input[MOST_ROWS * MOST_COLUMNS];
    float direction[MOST_ROWS * MOST_COLUMNS]; /* the output gradient */
    uint16_t classes[MOST_ROWS];
    uint64_t seeds[MOST_ROWS];
} scene;

extern scene s;

void open_scene(size_t which, size_t views);
void close_scene(void);

/* From now on the last `views` rows of each example are penalty rows; false where a layer forbids it. */
bool add_penalties(size_t views);

/* Put the scene's chunk through the network, forward and backward; returns the output. */
const float *run_network(bool want_input_gradient);

/* The first `examples` of them, which stay in use; and one alone, at the first place. */
const float *run_first(size_t examples, bool want_input_gradient);
const float *run_alone(size_t example, bool want_input_gradient);

/* ‖∇_i‖² of the first `used` examples: each block, and over all blocks. */
void block_norms_of(size_t used, double *norms2);
void norms_of(size_t used, double *norms2);

/* The weighted sum over the first `used` examples. */
void sum_of(size_t used, const float *weights, float *gradient, bool accumulate);

/* The gradient of example `example`: the sum in which it alone has a weight, and that weight is 1. */
void gradient_of(size_t used, size_t example, float *gradient);

/* What row `row` has besides its columns. */
circumstances circumstances_of(size_t row);

/* ----------------------------------------------- further test cases */

TCase *penalty_tests(void);  /* test_network_penalty.c */
TCase *row_tests(void);      /* test_network_rows.c */
TCase *entry_tests(void);    /* test_network_entries.c */
TCase *shape_tests(void);    /* test_network_shapes.c */
TCase *training_tests(void); /* test_network_training.c */

#endif
