/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_NETWORK_H
#define SOTTO_NETWORK_H

/**
 * network: layers, losses and optimizers. Forward, backward, per-example squared norms, weighted gradient
 * sums.
 *
 * Book-keeping in the sense of Bu et al., "Differentially Private Optimization on Large Model at Small Cost"
 * (2023): one forward and one backward keep each layer's input a and the gradient b of the unreduced loss
 * with respect to its output; the norm of each example's gradient and any weighted sum of the examples'
 * gradients follow from those two, and no more than one example's gradient is ever in memory.
 *
 * No layer couples two examples of a batch and none can be configured (contract rule P13). What a pass
 * computes for one row does not depend, to the bit, on the other rows, on its place among them or on their
 * number (P16). A network is immutable and may be shared by threads; a workspace belongs to one thread at a
 * time. Nothing here starts a thread of its own.
 */

#include "network/loss.h"
#include "network/optimizer.h"
#include "tensor/tensor.h"

/* ------------------------------------------------------------------ layers */

typedef enum sotto_layer_kind {
    SOTTO_LAYER_DENSE = 1,
    SOTTO_LAYER_LEAKY_RELU, /**< ReLU is the slope 0 */
    SOTTO_LAYER_SILU,       /**< x·sigmoid(x) */
    SOTTO_LAYER_TANH,
    SOTTO_LAYER_NORM,     /**< layer norm: each row to mean 0 and variance 1, then gain and bias */
    SOTTO_LAYER_RESIDUAL, /**< adds the output of an earlier layer */
    SOTTO_LAYER_BY_CLASS, /**< h [n] and the row's class k → [n·classes + classes]: h in block k, then
                             one-hot k */
    SOTTO_LAYER_CONCAT,   /**< appends the output of an earlier layer */
    SOTTO_LAYER_DROPOUT,  /**< zeroes columns at random, scales the rest; the identity outside training */
    SOTTO_LAYER_SOFTMAX,  /**< softmax of each segment of columns; columns in no segment stay */
    SOTTO_LAYER_IMAGE,    /**< declares the columns an image [height, width, channels]; computes nothing */
    SOTTO_LAYER_CONV,     /**< convolution of an image */
    SOTTO_LAYER_CONV_TRANSPOSED, /**< its transpose: stride s enlarges the image s times */
    SOTTO_LAYER_GROUP_NORM, /**< each row's groups of channels to mean 0 and variance 1, then gain and bias */
    SOTTO_LAYER_SAMPLE,     /**< means and log variances [2n] → draws [n]; the means outside training */
} sotto_layer_kind;

/** In place of a layer's index: the network's own input. */
#define SOTTO_LAYER_INPUT ((size_t)-1)

/** What one layer is. A plain value: build it with the helpers below. */
typedef struct sotto_layer {
    sotto_layer_kind kind;
    size_t outputs; /**< dense: the width p; convolutions: channels out */
    size_t from;    /**< residual, concat: index of an earlier layer, or SOTTO_LAYER_INPUT */
    float slope;    /**< leaky ReLU: the slope below zero, in [0, 1] */
    float rate;     /**< dropout: the share of columns zeroed, in [0, 1) */
    float beta;     /**< sample: weight ≥ 0 of the divergence from a standard normal law */
    bool zero;      /**< dense: weights start at 0, so that a residual branch starts as the identity */
    size_t height, width, channels;       /**< image */
    size_t kernel, stride, padding;       /**< convolutions: the same in both directions */
    size_t groups;                        /**< convolutions, group norm: must divide the channels */
    const sotto_tensor_segment *segments; /**< softmax: ascending; borrowed while a network is made */
    size_t segment_count;
} sotto_layer;

static inline sotto_layer sotto_layer_dense(size_t outputs)
{
    return (sotto_layer){.kind = SOTTO_LAYER_DENSE, .outputs = outputs};
}

static inline sotto_layer sotto_layer_dense_zero(size_t outputs)
{
    return (sotto_layer){.kind = SOTTO_LAYER_DENSE, .outputs = outputs, .zero = true};
}

static inline sotto_layer sotto_layer_leaky_relu(float slope)
{
    return (sotto_layer){.kind = SOTTO_LAYER_LEAKY_RELU, .slope = slope};
}

static inline sotto_layer sotto_layer_relu(void)
{
    return sotto_layer_leaky_relu(0.0f);
}

static inline sotto_layer sotto_layer_silu(void)
{
    return (sotto_layer){.kind = SOTTO_LAYER_SILU};
}

static inline sotto_layer sotto_layer_tanh(void)
{
    return (sotto_layer){.kind = SOTTO_LAYER_TANH};
}

static inline sotto_layer sotto_layer_norm(void)
{
    return (sotto_layer){.kind = SOTTO_LAYER_NORM};
}

static inline sotto_layer sotto_layer_residual(size_t from)
{
    return (sotto_layer){.kind = SOTTO_LAYER_RESIDUAL, .from = from};
}

static inline sotto_layer sotto_layer_concat(size_t from)
{
    return (sotto_layer){.kind = SOTTO_LAYER_CONCAT, .from = from};
}

static inline sotto_layer sotto_layer_by_class(void)
{
    return (sotto_layer){.kind = SOTTO_LAYER_BY_CLASS};
}

static inline sotto_layer sotto_layer_dropout(float rate)
{
    return (sotto_layer){.kind = SOTTO_LAYER_DROPOUT, .rate = rate};
}

static inline sotto_layer sotto_layer_softmax(const sotto_tensor_segment *segments, size_t count)
{
    return (sotto_layer){.kind = SOTTO_LAYER_SOFTMAX, .segments = segments, .segment_count = count};
}

static inline sotto_layer sotto_layer_image(size_t height, size_t width, size_t channels)
{
    return (sotto_layer){.kind = SOTTO_LAYER_IMAGE, .height = height, .width = width, .channels = channels};
}

/** Out: (height + 2·padding − kernel)/stride + 1, rounded down; the same for the width. */
static inline sotto_layer sotto_layer_conv(size_t channels, size_t kernel, size_t stride, size_t padding)
{
    return (sotto_layer){.kind = SOTTO_LAYER_CONV,
                         .outputs = channels,
                         .kernel = kernel,
                         .stride = stride,
                         .padding = padding,
                         .groups = 1};
}

/** Out: (height − 1)·stride − 2·padding + kernel; the same for the width. */
static inline sotto_layer sotto_layer_conv_transposed(size_t channels, size_t kernel, size_t stride,
                                                      size_t padding)
{
    sotto_layer layer = sotto_layer_conv(channels, kernel, stride, padding);
    layer.kind = SOTTO_LAYER_CONV_TRANSPOSED;
    return layer;
}

static inline sotto_layer sotto_layer_group_norm(size_t groups)
{
    return (sotto_layer){.kind = SOTTO_LAYER_GROUP_NORM, .groups = groups};
}

/**
 * The reparameterised draw of a variational autoencoder (Kingma, Welling 2014): columns μ [n], x [n] → z = μ
 * + e^(v/2)·ε with the log variance v = 8·tanh(x/8), which no x takes out of range, and standard normal ε of
 * the row's seed. In training or not, backward adds to each row's loss beta·KL(N(μ, e^v) ‖ N(0, 1)) =
 * beta·½·Σ(μ² + e^v − v − 1): it is the row's own, like the rest of its loss.
 */
static inline sotto_layer sotto_layer_sample(float beta)
{
    return (sotto_layer){.kind = SOTTO_LAYER_SAMPLE, .beta = beta};
}

/* ----------------------------------------------------------------- network */

/** An architecture: layers, shapes and the offset of each parameter in one flat vector. Immutable, holds no
 * weights. */
typedef struct sotto_network sotto_network;

/**
 * `count` layers (copied) on `inputs` columns. `classes` is what by-class layers expand to; with 0 or 1 they
 * are the identity. SOTTO_ERROR_INPUT where a layer does not fit, naming it; SOTTO_ERROR_MEMORY. Caller
 * destroys, after every workspace and all weights made for it.
 *
 * Images lie row by row, pixel by pixel, channel by channel. Parameters, in the order of the layers: dense
 * weights [d, p] row-major, then bias [p]; layer norm gain [n], bias [n]; group norm gain [channels], bias
 * [channels]; convolution for each group [kernel, kernel, channels in/groups, channels out/groups], then bias
 * [channels out]; transposed for each group [channels in/groups, kernel, kernel, channels out/groups], then
 * bias [channels out].
 */
sotto_status sotto_network_create(sotto_network **network, size_t inputs, size_t classes,
                                  const sotto_layer *layers, size_t count, sotto_error *err);
void sotto_network_destroy(sotto_network *network);

size_t sotto_network_inputs(const sotto_network *network);
size_t sotto_network_outputs(const sotto_network *network);

/** As given to create, at least 1. */
size_t sotto_network_classes(const sotto_network *network);

/** How many floats a vector of parameters or a gradient holds. */
size_t sotto_network_parameters(const sotto_network *network);

/** How many layers have parameters: the blocks of per-layer clipping. */
size_t sotto_network_blocks(const sotto_network *network);

/**
 * Parameters before training. Weights of dense layers and convolutions are Kaiming-uniform at gain 1,
 * U(±√(3/fan_in)), or 0 where the layer says so; the fan-in behind a by-class layer counts one class only,
 * since the other blocks are zero. Biases 0, norms' gain 1 and bias 0.
 */
void sotto_network_initialise(const sotto_network *network, sotto_stream *stream, float *parameters);

/* ----------------------------------------------------------------- weights */

/** A parameter vector as passes read it: with its matrices laid out for the products. Shared by threads. */
typedef struct sotto_weights sotto_weights;

/** `parameters` is borrowed and read at once. SOTTO_ERROR_MEMORY. Caller destroys. */
sotto_status sotto_weights_create(sotto_weights **weights, const sotto_network *network,
                                  const float *parameters, sotto_error *err);
void sotto_weights_destroy(sotto_weights *weights);

/** After the parameters changed, before the next pass. */
void sotto_weights_refresh(sotto_weights *weights);

const sotto_network *sotto_weights_network(const sotto_weights *weights);

/* --------------------------------------------------------------- workspace */

/**
 * The activations and gradients of one physical chunk. An example is `views` rows one after the other: the
 * augmented or noised copies of one unit, whose gradients add up to that unit's (P5). Passes never allocate.
 */
typedef struct sotto_workspace sotto_workspace;

/**
 * Room for `examples` ≥ 1 examples of `views` ≥ 1 rows. Rows hold zeros at first. All of it is in use until
 * sotto_workspace_use says otherwise. Caller destroys.
 */
sotto_status sotto_workspace_create(sotto_workspace **workspace, const sotto_network *network,
                                    size_t examples, size_t views, sotto_error *err);
void sotto_workspace_destroy(sotto_workspace *workspace);

/** How many rows and examples there is room for, and how many rows make an example. */
size_t sotto_workspace_rows(const sotto_workspace *workspace);
size_t sotto_workspace_views(const sotto_workspace *workspace);

/** From now on only the first `examples` count: at most what there is room for. */
void sotto_workspace_use(sotto_workspace *workspace, size_t examples);

/** [rows, inputs], filled by the caller before forward. */
float *sotto_workspace_input(sotto_workspace *workspace);

/**
 * The same input, given by its entries that are not zero: in each of the first `rows` rows, `entries` columns
 * in ascending order, none twice, and the values in them, both [rows, entries]. A first dense layer then
 * gathers weight rows instead of multiplying by zeros, to the same bit; where the network has none, or memory
 * for the entries is short, the rows of sotto_workspace_input are filled instead. 0 rows, as after creation,
 * means none is given so. SOTTO_ERROR_INPUT, and none given, where columns are out of order or range.
 */
sotto_status sotto_workspace_entries(sotto_workspace *workspace, size_t rows, size_t entries,
                                     const uint32_t *columns, const float *values, sotto_error *err);

/** [rows], filled by the caller before forward where the network has by-class layers; a class ≥ `classes` is
 * none. */
uint16_t *sotto_workspace_classes(sotto_workspace *workspace);

/**
 * [rows], filled by the caller before a forward in training where the network has dropout or sample layers:
 * what a row's masks and noise are drawn from, so that they depend on nothing else. Equal seeds give equal
 * ones.
 */
uint64_t *sotto_workspace_seeds(sotto_workspace *workspace);

/** Whether dropout drops and sample layers draw. Not at first. */
void sotto_workspace_train(sotto_workspace *workspace, bool training);

/** Compute every layer and return the output [rows, outputs], valid until the next forward. */
const float *sotto_network_forward(const sotto_weights *weights, sotto_workspace *workspace);

/**
 * [rows, outputs], filled by the caller between forward and backward: the gradient of each row's own loss
 * with respect to its output, not averaged and not weighted. Backward overwrites it.
 */
float *sotto_workspace_output_gradient(sotto_workspace *workspace);

/** Carry the output gradient back through every layer, with the parameters that forward saw. */
void sotto_network_backward(const sotto_weights *weights, sotto_workspace *workspace,
                            bool want_input_gradient);

/** [rows, inputs], valid after a backward that wanted it. */
const float *sotto_workspace_input_gradient(const sotto_workspace *workspace);

/* ---------------------------------------------------------- gradient penalties */

/**
 * From now on the last `views` views of each example are penalty rows: rows x at which the gradient of f, the
 * network's output, is to have norm 1 (Gulrajani et al. 2017). Makes the room that takes; once for a
 * workspace, and before anything else is made for it. The other rows of an example stay loss rows, and one
 * clip covers all of them together (P5). Entries are written out from now on, since penalty rows are dense.
 * SOTTO_ERROR_INPUT where an example has fewer rows, where scratch for exact sums was made before, or for a
 * layer that a penalty cannot go through, naming it; SOTTO_ERROR_MEMORY, after which the workspace can only
 * be destroyed.
 */
sotto_status sotto_workspace_penalty(sotto_workspace *workspace, size_t views, sotto_error *err);

/**
 * Between backward and the norms: what the penalty rows contribute becomes the gradient of
 * lambda·(‖∇_x f‖ − 1)² with respect to the parameters, 0 where ∇_x f is 0. f is the output times the output
 * gradient that the caller has set for these rows before backward: 1 for a scalar. Costs about a forward and
 * a backward of the penalty rows: what is wanted is the gradient of ⟨v, ∇_x f⟩ at v = 2·lambda·(‖∇_x f‖ −
 * 1)·∇_x f/‖∇_x f‖ held fixed, so that with the derivatives along v of every value a and gradient b a
 * matrix's is Σ_t ȧ_t ⊗ b_t + a_t ⊗ ḃ_t. Where ∇_x f is not finite, neither is the example's norm. Without
 * this call penalty rows are loss rows. Once after a backward. \param values [examples in use × penalty
 * views], each row's penalty; NULL: not wanted
 */
void sotto_network_penalty(const sotto_weights *weights, sotto_workspace *workspace, double lambda,
                           double *values);

/* ------------------------------------------------------ gradients of examples */

/**
 * norms2[block·examples + i] = ‖∇_i‖² over the parameters of one block, in float64, for the examples in use:
 * blocks are the layers with parameters, in order. A layer's matrix is the sum over an example's T positions
 * of a_t ⊗ b_t: at T = 1 its norm is ‖a‖²·‖b‖² (Goodfellow 2015, "Efficient per-example gradient
 * computations"), else Σ_st (a_s·a_t)(b_s·b_t) or the sum itself, whichever costs less. Non-finite where the
 * example's gradient has a non-finite factor: such an example must get the weight 0. After backward, before
 * the weighted gradient.
 */
void sotto_network_squared_norms(const sotto_network *network, sotto_workspace *workspace, double *norms2);

/**
 * gradient (+)= Σ_i weights[i]·∇_i, over all parameters and the examples in use; NULL weights are ones. With
 * `by_block` there are weights [blocks, examples], one for each block of parameters. An example whose weight
 * is 0 (or NaN, or subnormal, where a float's relative precision is gone) contributes exactly nothing,
 * whatever infinities or NaN it holds.
 */
void sotto_network_weighted_gradient(const sotto_network *network, sotto_workspace *workspace,
                                     const float *weights, bool by_block, float *gradient, bool accumulate);

/* ------------------------------------------------------------------ exact sums */

/**
 * The same sum without rounding (contract rule P16): example i's weighted gradient becomes a vector of
 * integers v_i, about weights[i]·units·∇_i, with ‖v_i‖ ≤ bound proved in integer arithmetic. v_i is decided
 * by the example's own rows, its weight and the parameters alone: not by its neighbours, its place, the
 * number of rows or the threads. docs/exact-mode.md has the proof.
 */
typedef struct sotto_exact_grid {
    double units;   /**< grid steps to 1 */
    uint32_t bound; /**< < 2³¹/examples, so that no sum over a chunk leaves an int32 */
} sotto_exact_grid;

/** Scratch memory for exact sums over the examples of one workspace. */
typedef struct sotto_exact sotto_exact;

/** For workspaces of the network, size, views and penalty rows of `workspace`, which can be given no more of
 * those. SOTTO_ERROR_MEMORY. Caller destroys. */
sotto_status sotto_exact_create(sotto_exact **exact, sotto_workspace *workspace, sotto_error *err);
void sotto_exact_destroy(sotto_exact *exact);

/**
 * sums [parameters] += Σ_i v_i over the examples in use, after their squared norms. Weights as for the
 * weighted gradient, but not negative. An example whose weight is chosen to keep its gradient somewhat below
 * bound/units is only rounded; one that is found over the bound is made shorter, towards zero. Returns how
 * many were.
 */
size_t sotto_exact_sum(sotto_exact *exact, sotto_workspace *workspace, const sotto_exact_grid *grid,
                       const float *weights, bool by_block, int32_t *sums);

#endif
