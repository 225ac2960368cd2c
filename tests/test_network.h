/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_NETWORK_H
#define TEST_NETWORK_H

#include "network/network.h"

#include "test_numbers.h"

/* -------------------------------------------- test_network_reference.c */

/* An architecture as its caller writes it down. */
typedef struct plan {
    const char *name;
    size_t inputs, classes, count;
    sotto_layer layers[12];
} plan;

/* Every kind of layer, and the neighbourhoods in which buffers are shared or must not be. */
extern const plan plans[];
extern const size_t plan_count;

enum { MOST_COLUMNS = 96 };

/* One example through the layers in plain float64 loops; returns the number of outputs. */
size_t reference_forward(const plan *p, const double *parameters, const double *input, size_t class_of,
                         double *output);

/*
 * The gradient of Σ_j direction[j]·output[j] for one example by central differences in float64, with respect
 * to the parameters and (where not NULL) to the input.
 */
void reference_gradient(const plan *p, size_t parameter_count, const float *parameters, const float *input,
                        size_t class_of, const float *direction, double *gradient, double *input_gradient);

/* ----------------------------------------------- further test cases */

TCase *shape_tests(void);    /* test_network_shapes.c */
TCase *training_tests(void); /* test_network_training.c */

#endif
