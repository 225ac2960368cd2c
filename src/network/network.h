/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_NETWORK_H
#define SOTTO_NETWORK_H

/**
 * network: layers, losses and optimizers. Forward, backward, per-example squared norms, weighted gradient
 * sums.
 *
 * Book-keeping in the sense of Bu et al., "Differentially Private Optimization on Large Model at Small Cost"
 * (2023): one forward and one backward keep each dense layer's input a [rows, d] and the gradient b [rows, p]
 * of the unreduced loss with respect to its output; the norm of each example's gradient and any weighted sum
 * of the examples' gradients follow from those two, and no per-example gradient is ever in memory.
 *
 * No layer couples two rows of a batch and none can be configured (contract rule P13). A network is immutable
 * and may be shared by threads; a workspace belongs to one thread at a time. Nothing here starts a thread of
 * its own.
 */

#include "base/base.h"

/* ------------------------------------------------------------------ layers */

typedef enum sotto_layer_kind {
    SOTTO_LAYER_DENSE = 1,
    SOTTO_LAYER_LEAKY_RELU, /**< ReLU is the slope 0 */
    SOTTO_LAYER_SILU,       /**< x·sigmoid(x) */
    SOTTO_LAYER_TANH,
    SOTTO_LAYER_NORM,     /**< layer norm: each row to mean 0 and variance 1, then gain and bias */
    SOTTO_LAYER_RESIDUAL, /**< adds the output of an earlier layer */
    SOTTO_LAYER_BY_CLASS, /**< h [n] and the row's class k → [n·classes + classes]: h in block k, then one-hot
                             k */
} sotto_layer_kind;

/** In place of a layer's index: the network's own input. */
#define SOTTO_LAYER_INPUT ((size_t)-1)

/** What one layer is. A plain value: build it with the helpers below. */
typedef struct sotto_layer {
    sotto_layer_kind kind;
    size_t outputs; /**< dense: the width p */
    size_t from;    /**< residual: index of an earlier layer, or SOTTO_LAYER_INPUT; widths must agree */
    float slope;    /**< leaky ReLU: the slope below zero, in [0, 1] */
    bool zero;      /**< dense: weights start at 0, so that a residual branch starts as the identity */
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

static inline sotto_layer sotto_layer_by_class(void)
{
    return (sotto_layer){.kind = SOTTO_LAYER_BY_CLASS};
}

/* ----------------------------------------------------------------- network */

/** An architecture: layers, shapes and the offset of each parameter in one flat vector. Immutable, holds no
 * weights. */
typedef struct sotto_network sotto_network;

/**
 * `count` layers (copied) on `inputs` columns. `classes` is what by-class layers expand to; with 0 or 1 they
 * are the identity. SOTTO_ERROR_INPUT where a layer does not fit, naming it; SOTTO_ERROR_MEMORY. Caller
 * destroys, after every workspace made for it.
 *
 * Parameters, in the order of the layers: dense weights [d, p] row-major, then bias [p]; layer norm gain [n],
 * bias [n].
 */
sotto_status sotto_network_create(sotto_network **network, size_t inputs, size_t classes,
                                  const sotto_layer *layers, size_t count, sotto_error *err);
void sotto_network_destroy(sotto_network *network);

size_t sotto_network_inputs(const sotto_network *network);
size_t sotto_network_outputs(const sotto_network *network);

/** As given to create, at least 1. */
size_t sotto_network_classes(const sotto_network *network);

/** How many floats `parameters` and `gradient` hold below. */
size_t sotto_network_parameters(const sotto_network *network);

/**
 * Parameters before training. Dense weights are Kaiming-uniform at gain 1, U(±√(3/fan_in)), or 0 where the
 * layer says so; the fan-in behind a by-class layer counts one class only, since the other blocks are zero.
 * Dense biases 0, layer norm gain 1 and bias 0.
 */
void sotto_network_initialise(const sotto_network *network, sotto_stream *stream, float *parameters);

/* --------------------------------------------------------------- workspace */

/** The activations and gradients of one physical chunk of `rows` examples. Forward and backward never
 * allocate. */
typedef struct sotto_workspace sotto_workspace;

/**
 * Room for `rows` ≥ 1 examples. All rows are always computed; those without an example may hold anything
 * (zeros at first), and are left out by `rows_used` below. Caller destroys.
 */
sotto_status sotto_workspace_create(sotto_workspace **workspace, const sotto_network *network, size_t rows,
                                    sotto_error *err);
void sotto_workspace_destroy(sotto_workspace *workspace);

size_t sotto_workspace_rows(const sotto_workspace *workspace);

/** [rows, inputs], filled by the caller before forward. */
float *sotto_workspace_input(sotto_workspace *workspace);

/** [rows], filled by the caller before forward where the network has by-class layers; a class ≥ `classes` is
 * none. */
uint16_t *sotto_workspace_classes(sotto_workspace *workspace);

/** Compute every layer and return the output [rows, outputs], valid until the next forward. */
const float *sotto_network_forward(const sotto_network *network, const float *parameters,
                                   sotto_workspace *workspace);

/**
 * [rows, outputs], filled by the caller between forward and backward: the gradient of each row's own loss
 * with respect to its output, not averaged and not weighted. Backward overwrites it.
 */
float *sotto_workspace_output_gradient(sotto_workspace *workspace);

/** Carry the output gradient back through every layer, with the parameters that forward saw. */
void sotto_network_backward(const sotto_network *network, const float *parameters, sotto_workspace *workspace,
                            bool want_input_gradient);

/** [rows, inputs], valid after a backward that wanted it. */
const float *sotto_workspace_input_gradient(const sotto_workspace *workspace);

/**
 * norms2[i] = ‖∇_i‖² of the first `rows_used` examples, over all parameters, in float64: (‖a‖²+1)‖b‖² for a
 * dense layer (exact: the gradient is [a; 1] ⊗ b), Σ (b·x̂)² + Σ b² for layer norm. Non-finite exactly where
 * the example's gradient has a non-finite factor: such a row must get the weight 0. After backward, before
 * the weighted gradient.
 */
void sotto_network_squared_norms(const sotto_network *network, const sotto_workspace *workspace,
                                 size_t rows_used, double *norms2);

/**
 * gradient (+)= Σ_{i < rows_used} weights[i]·∇_i, over all parameters; NULL weights are ones. A row whose
 * weight is 0 (or NaN, or subnormal, where a float's relative precision is gone) contributes exactly nothing,
 * whatever infinities or NaN it holds: for that its kept activations are set to zero, which is why this comes
 * last. May be called again with other weights as long as the rows of weight 0 stay the same.
 */
void sotto_network_weighted_gradient(const sotto_network *network, sotto_workspace *workspace,
                                     size_t rows_used, const float *weights, float *gradient,
                                     bool accumulate);

/* ------------------------------------------------------------------ losses */

/* Each loss is per example: values [rows] (may be NULL) and gradients [rows] with respect to the logit,
 * unreduced. */

/** The losses of a generative adversarial pair. */
typedef enum sotto_adversarial_loss {
    SOTTO_ADVERSARIAL_CROSS_ENTROPY = 1, /**< D: log-loss; G: the non-saturating −log sigmoid(f) */
    SOTTO_ADVERSARIAL_WASSERSTEIN,       /**< D: −f on real, +f on fake; G: −f */
    SOTTO_ADVERSARIAL_HINGE,             /**< D: max(0, 1 − f) on real, max(0, 1 + f) on fake; G: −f */
} sotto_adversarial_loss;

/** The discriminator's loss on `rows` logits that are all real or all fake. */
void sotto_loss_discriminator(sotto_adversarial_loss kind, bool real, size_t rows, const float *logits,
                              double *values, float *gradients);

/** The generator's loss on the discriminator's logits for its fakes. */
void sotto_loss_generator(sotto_adversarial_loss kind, size_t rows, const float *logits, double *values,
                          float *gradients);

/** Binary cross-entropy with logits: log(1 + e^f) − t·f for targets t in [0, 1]; stable for every finite f.
 */
void sotto_loss_cross_entropy(size_t rows, const float *logits, const float *targets, double *values,
                              float *gradients);

/** ½‖prediction − target‖² for each row of [rows, columns]; gradients [rows, columns]. */
void sotto_loss_squared_error(size_t rows, size_t columns, const float *predictions, const float *targets,
                              double *values, float *gradients);

/* -------------------------------------------------------------- optimizers */

typedef enum sotto_optimizer_kind {
    SOTTO_OPTIMIZER_SGD = 1, /**< u = momentum·u + g; p −= rate·u */
    SOTTO_OPTIMIZER_ADAM,    /**< p −= rate·m̂/(√v̂ + epsilon) (Kingma, Ba 2015, Algorithm 1) */
    SOTTO_OPTIMIZER_DP_ADAM, /**< p −= rate·m̂/√max(v̂ − noise variance, floor) (Tang et al. 2024, DP-AdamBC) */
} sotto_optimizer_kind;

typedef struct sotto_optimizer_options {
    sotto_optimizer_kind kind;
    double momentum; /**< SGD, in [0, 1) */
    double beta1;    /**< Adam and DP-Adam, in [0, 1) */
    double beta2;    /**< Adam and DP-Adam, in [0, 1) */
    double epsilon;  /**< Adam, > 0 */
    double floor;    /**< DP-Adam's γ′ > 0: the least second moment that is divided by */
    double decay; /**< λ ≥ 0: each step also moves p by rate·λ·(p₀ − p), toward the initial parameters */
} sotto_optimizer_options;

/** Adam's defaults: beta 0.9 and 0.999, epsilon 1e-8, floor 1e-8; no momentum, no decay. */
sotto_optimizer_options sotto_optimizer_defaults(sotto_optimizer_kind kind);

/**
 * An optimizer over one flat parameter vector. Everything it knows is in this struct, so that a checkpoint
 * can copy it out and in; a vector that the options have no use for is NULL.
 */
typedef struct sotto_optimizer {
    sotto_optimizer_options options;
    size_t count;          /**< length of each vector */
    uint64_t steps;        /**< steps taken */
    double noise_variance; /**< DP-Adam: the β₂-weighted sum of noise_std², uncorrected, as `second` is */
    float *first;          /**< momentum u, or Adam's m */
    float *second;         /**< Adam's v */
    float *initial;        /**< p₀, where decay > 0 */
    sotto_arena *arena;    /**< owns the vectors */
} sotto_optimizer;

/** `initial` [count] is copied where the decay needs it. SOTTO_ERROR_INPUT for options out of range. Caller
 * destroys. */
sotto_status sotto_optimizer_create(sotto_optimizer **optimizer, const sotto_optimizer_options *options,
                                    size_t count, const float *initial, sotto_error *err);
void sotto_optimizer_destroy(sotto_optimizer *optimizer);

/**
 * One step on `parameters` [count] with the released gradient [count], at learning rate `rate`. `noise_std`
 * is the standard deviation of the noise in each coordinate of `gradient`, σC/B̄; only DP-Adam reads it. It
 * may change from step to step: what is subtracted is its β₂-weighted average. Post-processing throughout.
 */
void sotto_optimizer_step(sotto_optimizer *optimizer, double rate, double noise_std, const float *gradient,
                          float *parameters);

/** A learning rate that is a function of public step numbers alone (contract rule P6). */
typedef struct sotto_schedule {
    double rate;           /**< the rate at first */
    uint64_t steps;        /**< steps of the whole run */
    double decay_fraction; /**< the last part of the run, in [0, 1], over which the rate falls linearly
                              towards 0 */
} sotto_schedule;

/** The rate of step `step` (0-based): rate·min(1, (steps − step)/(decay_fraction·steps)); 0 from `steps` on.
 */
double sotto_schedule_rate(const sotto_schedule *schedule, uint64_t step);

/** average = decay·average + (1 − decay)·parameters, both [count]. */
void sotto_ema_update(size_t count, double decay, const float *parameters, float *average);

#endif
