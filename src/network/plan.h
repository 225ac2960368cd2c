/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_NETWORK_PLAN_H
#define SOTTO_NETWORK_PLAN_H

/*
 * How a network is held inside this room. Layers become a chain of operations: operation i turns value i into
 * value i + 1, and value 0 is the input. By-class layers without classes vanish.
 *
 * Two values may lie in one buffer, and so may two gradients; which ones is decided once, when the network is
 * made.
 */

#include "network/network.h"

#define NO_BIAS ((size_t)-1)

typedef struct operation {
    sotto_layer_kind kind;
    size_t inputs;  /* width of value i */
    size_t outputs; /* width of value i + 1 */
    size_t offset;  /* dense, norm: first of its parameters */
    size_t bias;    /* activations: where the dense operation before left its bias to be added, or NO_BIAS */
    size_t skip;    /* residual: the other value */
    size_t fan_in;  /* dense: how many of its inputs may differ from zero at once */
    float slope;
    bool zero;

    bool in_place;          /* value i + 1 overwrites value i */
    bool gradient_in_place; /* so do their gradients, the other way round */
    bool accumulate;      /* the gradient of value i is added to what residuals further up have left there */
    bool accumulate_skip; /* and so is the gradient of value `skip` */
    bool bias_follows;    /* dense: the next operation adds the bias */
} operation;

struct sotto_network {
    sotto_arena *arena;
    size_t inputs, outputs, classes, parameters;
    size_t count; /* of operations */
    size_t
        first_parametric; /* values up to this one need no gradient unless the input's is wanted; or count */
    size_t widest;        /* value */
    operation *operations;
};

struct sotto_workspace {
    sotto_arena *arena;
    const sotto_network *network;
    size_t rows;
    uint16_t *classes;
    float **values;    /* [count + 1] of [rows, width] */
    float **gradients; /* [count + 1] of [rows, width] */
    float **kept;      /* [count]: SiLU's derivative and layer norm's normalised rows, [rows, outputs] */
    float **inverse;   /* [count]: layer norm's 1/deviation, [rows] */
    float *zeros;      /* [widest], in place of a bias */
    float *scaled;     /* [rows, widest dense output]: weighted output gradients */
    float *weights;    /* [rows] */
    double *input_norms, *output_norms; /* [rows] */
};

static inline bool has_parameters(sotto_layer_kind kind)
{
    return kind == SOTTO_LAYER_DENSE || kind == SOTTO_LAYER_NORM;
}

#endif
