/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_NETWORK_PLAN_H
#define SOTTO_NETWORK_PLAN_H

/*
 * How a network is held inside this room. Layers become a chain of operations: operation i turns value i into
 * value i + 1, and value 0 is the input. Layers that compute nothing vanish. What an operation does is a row
 * of functions, one set for each kind of layer, each in the file of its family (layer_*.c).
 *
 * Two values may lie in one buffer, and so may two gradients; which ones is decided once, when the network is
 * made.
 */

#include "network/network.h"

#define NO_BIAS ((size_t)-1)

typedef struct operation operation;
typedef struct builder builder;

/* A value's columns as an image, channels last; flat values are 1 × 1 × columns. */
typedef struct shape {
    size_t height, width, channels;
} shape;

/*
 * One example's side of a matrix of parameters: its gradient is Σ_{t < count} a_t ⊗ b_t, with a_t [left] at
 * a + t·a_stride and b_t [right] at b + t·b_stride.
 */
typedef struct pairs {
    const float *a, *b;
    size_t a_stride, b_stride, count;
} pairs;

/* What a kind of layer does. Functions that a kind has no use for are NULL. */
typedef struct layer_class {
    sotto_layer_kind kind;
    const char *name;
    bool elementwise;  /* works on each element where it lies, in both directions */
    bool adds_bias;    /* elementwise: can add the bias of the dense operation before it */
    bool reads_output; /* the way back reads the value it has put out */
    bool reads_input;  /* the way back reads the value it was given */
    bool joins;        /* reads the value `skip` too */
    bool keeps;        /* wants kept[i], as large as its output */

    /* Check the layer and fill the operation: outputs, out, groups, left, right, vector, fan_in. */
    sotto_status (*add)(builder *b, size_t index, operation *op, sotto_error *err);
    void (*initialise)(const operation *op, sotto_stream *stream, float *parameters);

    /* Value i + 1 from value i; the gradient of value i from that of value i + 1. */
    void (*forward)(const operation *op, const sotto_weights *weights, sotto_workspace *w);
    void (*backward)(const operation *op, const sotto_weights *weights, sotto_workspace *w);

    /* The pairs of one example in one group; may lie in w->left and w->right. Kinds with matrices. */
    void (*matrix)(const operation *op, sotto_workspace *w, size_t example, size_t group, pairs *out);
    /* The example's gradient [op->vector] in the parameters after the matrices. */
    void (*vector)(const operation *op, const sotto_workspace *w, size_t example, float *out);

    /*
     * For gradient penalties, one of three. Affine: tangents go both ways as values and gradients do, but for
     * constants, which w->is_tangent leaves out. Else elementwise: x [outputs] *= φ′ at row `row`, and where
     * φ is curved x *= φ″ at penalty row `row`. Else: the tangents of value i + 1 from those of value i, and
     * those of the gradient of value i from those of value i + 1, in w->tangents. None: a penalty is refused.
     */
    bool affine;
    void (*slope)(const operation *op, const sotto_workspace *w, size_t row, float *x);
    void (*bend)(const operation *op, const sotto_workspace *w, size_t row, float *x);
    void (*push)(const operation *op, const sotto_weights *weights, sotto_workspace *w);
    void (*pull)(const operation *op, const sotto_weights *weights, sotto_workspace *w);
} layer_class;

/* As layer_class.matrix, of a workspace's own values and gradients alone. */
typedef void own_pairs(const operation *op, sotto_workspace *w, size_t example, size_t group, pairs *out);

struct operation {
    const layer_class *class;
    sotto_layer layer;
    size_t number; /* of the operation: the index of the value it reads */
    size_t index;  /* of its layer, as the caller counts */
    shape in, out;
    size_t inputs, outputs; /* columns of value i and i + 1 */

    /* Parameters: `groups` matrices [left, right], then a vector. */
    size_t offset;
    size_t groups, left, right, vector;
    size_t positions; /* pairs that one row brings to each matrix */
    size_t block;     /* number among the operations with parameters */
    size_t packed;    /* where its packed matrices begin, [group][forward, backward] */

    size_t bias;   /* adds_bias: where the dense operation before left its bias to be added, or NO_BIAS */
    size_t skip;   /* joins: the other value */
    size_t fan_in; /* matrices: how many of the inputs of an output may differ from zero at once */

    bool in_place;          /* value i + 1 overwrites value i */
    bool gradient_in_place; /* so do their gradients, the other way round */
    bool accumulate;        /* the gradient of value i is added to what joins further up have left there */
    bool accumulate_skip;   /* and so is the gradient of value `skip` */
    bool bias_follows;      /* dense: the next operation adds the bias */
    bool takes_entries;     /* reads rows by their entries: a first dense, or by-class before a first dense */
};

struct sotto_network {
    sotto_arena *arena;
    size_t inputs, outputs, classes, parameters;
    size_t count;  /* of operations */
    size_t blocks; /* of them with parameters */
    size_t packed; /* floats of all packed matrices */
    size_t
        first_parametric; /* values up to this one need no gradient unless the input's is wanted; or count */
    size_t widest;        /* value */
    size_t most_vector, most_matrix; /* parameters of one operation */
    operation *operations;
};

struct sotto_weights {
    sotto_arena *arena;
    const sotto_network *network;
    const float *parameters;
    float *packed;
};

/* Rows by their entries that are not zero. */
typedef struct entry_list {
    size_t count;      /* of entries in each row */
    uint32_t *columns; /* [entry_rows, count], ascending */
    float *values;
} entry_list;

struct sotto_workspace {
    sotto_arena *arena;
    const sotto_network *network;
    size_t capacity; /* examples there is room for */
    size_t views;    /* rows of an example */
    size_t examples; /* in use */
    size_t rows;     /* in use */
    bool training;
    uint16_t *classes;
    uint64_t *seeds;
    float **values;      /* [count + 1] of [rows, width] */
    float **gradients;   /* [count + 1] of [rows, width] */
    float **kept;        /* [count]: what the way back needs besides values, [rows, outputs] */
    float **inverse;     /* [count]: norms' 1/deviation, [rows, groups] */
    float *zeros;        /* [widest], in place of a bias */
    float *left, *right; /* pairs of one example: [positions·views, left], [positions·views, right] */
    float *vector;       /* [most_vector] */
    float *matrix;       /* [most_matrix] */
    float *weights;      /* [examples] */
    float *row_weights;  /* [rows] */
    float *pair_weights; /* [positions·views] */
    float *product;      /* the products' own scratch */
    double *left_norms, *right_norms; /* [blocks, examples]: ‖a‖² and ‖b‖² of plain operations */

    size_t lowest; /* the last backward went down to this value */
    bool settled;  /* scratch for its sums was made, whose size penalty rows would change */

    /*
     * Gradient penalties: a workspace of the penalty rows alone, the last `tangents->views` of each example,
     * whose values and gradients are tangents. NULL without.
     */
    sotto_workspace *tangents;
    bool penalised;   /* since the last backward, sotto_network_penalty has been called */
    bool is_tangent;  /* this is such a workspace */
    bool is_short;    /* there: up to the first parameters all is affine, so that the last steps of the way
                         back to the input can be gone for penalty rows alone */
    float **second;   /* there: [count] of [rows, outputs], φ″ where it cannot be found later */
    float **upstream; /* there: [count] of [rows, outputs], gradients before they were overwritten */

    size_t entry_rows;     /* the first so many rows are given by their entries */
    size_t entry_room;     /* entries of a row there is room for */
    entry_list entries[2]; /* of value 0, and of value 1 behind a by-class operation */
};

/* What is known while layers are added. */
struct builder {
    sotto_network *network;
    const sotto_layer *layers;
    size_t *value_of; /* [layers]: the value that holds a layer's output */
    shape shape;      /* of the last value */
    size_t active;    /* how many of its columns may differ from zero at once */
};

/* ------------------------------------------------------- network.c, for layers */

/* SOTTO_ERROR_INPUT where a layer is to have no columns, or too many. */
sotto_status check_width(size_t layer, size_t width, sotto_error *err);

/* Find the value that the layer joins, and its columns. */
sotto_status find_joined(builder *b, size_t index, operation *op, size_t *width, sotto_error *err);

static inline size_t columns_of(shape s)
{
    return s.height * s.width * s.channels;
}

static inline shape flat(size_t columns)
{
    return (shape){1, 1, columns};
}

static inline size_t matrix_parameters(const operation *op)
{
    return op->groups * op->left * op->right;
}

/* Floats of one packed matrix: [left, right] as the way forward wants it, then transposed for the way back.
 */
static inline size_t packed_floats(const operation *op)
{
    return sotto_tensor_packed_count(op->left, op->right) + sotto_tensor_packed_count(op->right, op->left);
}

static inline bool has_parameters(const operation *op)
{
    return op->groups > 0 || op->vector > 0;
}

/* How many of the rows in use the operation reads by their entries. */
static inline size_t entry_rows_of(const operation *op, const sotto_workspace *w)
{
    if (!op->takes_entries)
        return 0;
    return w->entry_rows < w->rows ? w->entry_rows : w->rows;
}

/* The values and gradients on both sides of an operation. */
static inline float *value_in(const operation *op, const sotto_workspace *w)
{
    return w->values[op->number];
}

static inline float *value_out(const operation *op, const sotto_workspace *w)
{
    return w->values[op->number + 1];
}

static inline float *gradient_in(const operation *op, const sotto_workspace *w)
{
    return w->gradients[op->number];
}

static inline float *gradient_out(const operation *op, const sotto_workspace *w)
{
    return w->gradients[op->number + 1];
}

/* ------------------------------------------------------------- draws of a row */

/* Steele, Lea, Flood 2014: the finaliser of SplitMix64. Privacy rests on no such draw; they need no cipher.
 */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Where an operation's draws for a row begin, and 64 bits of them: of the row's seed, the operation and j. */
static inline uint64_t row_start(const operation *op, uint64_t seed)
{
    return mix(seed ^ mix(op->number + 1));
}

static inline uint64_t row_bits(uint64_t start, size_t j)
{
    return mix(start + (j + 1) * 0x9e3779b97f4a7c15u);
}

/* ------------------------------------------------------------------ families */

extern const layer_class dense_class;                                    /* layer_dense.c */
extern const layer_class leaky_relu_class, silu_class, tanh_class;       /* layer_activation.c */
extern const layer_class dropout_class, softmax_class;                   /* layer_activation.c */
extern const layer_class norm_class, group_norm_class;                   /* layer_norm.c */
extern const layer_class residual_class, concat_class, by_class_class;   /* layer_join.c */
extern const layer_class image_class, conv_class, conv_transposed_class; /* layer_conv.c */
extern const layer_class sample_class;                                   /* layer_sample.c */

/* ------------------------------------------------------------- examples' gradients */

/* One pair for each example, lying where the passes left it: a dense layer without views. */
static inline bool is_plain(const operation *op, const sotto_workspace *w)
{
    return op->class == &dense_class && w->views == 1 && !w->tangents;
}

/* Pairs that one example brings to each of the operation's matrices, at most. */
static inline size_t most_pairs(const operation *op, const sotto_workspace *w)
{
    return op->positions * (w->views + (w->tangents ? w->tangents->views : 0));
}

/* The row of the main workspace that is penalty row `row`. */
static inline size_t penalty_row(const sotto_workspace *w, size_t row)
{
    const size_t penalties = w->tangents->views;
    return row / penalties * w->views + w->views - penalties + row % penalties;
}

/* penalty.c: append what the tangents bring to an example's own pairs. */
void join_tangents(const operation *op, sotto_workspace *w, size_t example, size_t group, own_pairs *own,
                   pairs *out);

/* penalty.c: before an operation's gradient is overwritten on the way back. */
void keep_upstream(const operation *op, sotto_workspace *w);

/* workspace.c: room for the pairs of one example, and for the products. */
sotto_status take_pairs(sotto_workspace *w, sotto_error *err);

#endif
