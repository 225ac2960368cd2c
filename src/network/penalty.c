/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gradient penalties inside the clip. The gradient of ⟨v, ∇_x f⟩ in the parameters is the derivative along v
 * of f's own gradient Σ_t a_t ⊗ b_t: forward-over-reverse, one tangent pass up and one down. Tangents live in
 * a workspace of their own, with the penalty rows one after the other, so that affine layers carry them as
 * they carry values.
 *
 * Afterwards b and ḃ change places: the main workspace holds the pairs (a, ḃ), which bring the biases, and
 * that of the tangents (ȧ, b), which bring none.
 */

#include "network/plan.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------------- memory */

static bool carries_tangents(const layer_class *class)
{
    return class->affine || class->slope || (class->push && class->pull);
}

static sotto_status check_layers(const sotto_network *network, sotto_error *err)
{
    for (size_t i = 0; i < network->count; i++) {
        const operation *op = &network->operations[i];
        if (!carries_tangents(op->class))
            return sotto_error_set(err, SOTTO_ERROR_INPUT,
                                   "workspace: a gradient penalty cannot go through network layer %zu (%s); "
                                   "leave that layer out of the critic, or the penalty",
                                   op->index, op->class->name);
    }
    return SOTTO_OK;
}

static float *take_matrix(sotto_workspace *t, size_t width, sotto_error *err)
{
    return sotto_arena_take(t->arena, t->capacity * t->views, width * sizeof(float), err);
}

/* What one operation needs; an activation that is curved reads the tangent it was given on the way back. */
static bool take_operation(sotto_workspace *t, const operation *op, sotto_error *err)
{
    const size_t i = op->number;
    const bool is_norm = op->class->push;
    t->values[i + 1] = op->in_place && !op->class->bend ? t->values[i] : take_matrix(t, op->outputs, err);
    if (is_norm) {
        t->kept[i] = take_matrix(t, op->outputs, err);
        t->inverse[i] = take_matrix(t, op->class == &group_norm_class ? op->layer.groups : 1, err);
    }
    if (op->class->bend) {
        t->upstream[i] = take_matrix(t, op->outputs, err);
        t->second[i] = take_matrix(t, op->outputs, err);
    }
    return t->values[i + 1] && (!is_norm || (t->kept[i] && t->inverse[i])) &&
           (!op->class->bend || (t->upstream[i] && t->second[i]));
}

static sotto_status take(sotto_workspace *t, sotto_error *err)
{
    const sotto_network *network = t->network;
    const size_t count = network->count + 1;
    float ***const tables[] = {&t->values, &t->gradients, &t->kept, &t->inverse, &t->second, &t->upstream};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        *tables[i] = sotto_arena_take(t->arena, count, sizeof **tables[i], err);
        if (!*tables[i])
            return SOTTO_ERROR_MEMORY;
    }
    t->classes = sotto_arena_take(t->arena, t->capacity * t->views, sizeof *t->classes, err);
    t->values[0] = take_matrix(t, network->inputs, err);
    t->gradients[network->count] = take_matrix(t, network->outputs, err);
    if (!t->classes || !t->values[0] || !t->gradients[network->count])
        return SOTTO_ERROR_MEMORY;
    for (size_t i = 0; i < network->count; i++)
        if (!take_operation(t, &network->operations[i], err))
            return SOTTO_ERROR_MEMORY;
    for (size_t i = network->count; i-- > 0;) {
        const operation *op = &network->operations[i];
        t->gradients[i] = op->gradient_in_place ? t->gradients[i + 1] : take_matrix(t, op->inputs, err);
        if (!t->gradients[i])
            return SOTTO_ERROR_MEMORY;
    }
    return SOTTO_OK;
}

static bool is_short(const sotto_network *network)
{
    for (size_t i = 0; i < network->count && i <= network->first_parametric; i++)
        if (!network->operations[i].class->affine)
            return false;
    return true;
}

sotto_status sotto_workspace_penalty(sotto_workspace *workspace, size_t views, sotto_error *err)
{
    sotto_workspace *w = workspace;
    if (views == 0 || views > w->views || w->tangents)
        return sotto_error_set(
            err, SOTTO_ERROR_INPUT,
            "workspace: %zu penalty rows in an example of %zu rows; there must be at least one, "
            "not more than there are rows, and asked for once",
            views, w->views);
    if (w->settled)
        return sotto_error_set(err, SOTTO_ERROR_INPUT,
                               "workspace: scratch for its exact sums was made without penalty rows; ask for "
                               "those first");
    sotto_status status = check_layers(w->network, err);
    if (status != SOTTO_OK)
        return status;
    sotto_workspace *t = sotto_arena_take(w->arena, 1, sizeof *t, err);
    if (!t)
        return SOTTO_ERROR_MEMORY;
    *t = (sotto_workspace){.arena = w->arena,
                           .network = w->network,
                           .capacity = w->capacity,
                           .views = views,
                           .examples = w->examples,
                           .rows = w->examples * views,
                           .is_tangent = true,
                           .is_short = is_short(w->network)};
    w->tangents = t;
    w->entry_rows = 0;
    status = take(t, err);
    if (status == SOTTO_OK)
        status = take_pairs(w, err);
    t->left = w->left;
    t->right = w->right;
    t->zeros = w->zeros;
    return status;
}

/* ---------------------------------------------------------------------- tangents */

void keep_upstream(const operation *op, sotto_workspace *w)
{
    const size_t width = op->outputs;
    for (size_t p = 0; p < w->tangents->rows; p++)
        memcpy(w->tangents->upstream[op->number] + p * width, gradient_out(op, w) + penalty_row(w, p) * width,
               width * sizeof(float));
}

/* The penalty rows of the gradient of a value. */
static void copy_gradients(const sotto_workspace *w, size_t value, size_t width)
{
    for (size_t p = 0; p < w->tangents->rows; p++)
        memcpy(w->tangents->gradients[value] + p * width, w->gradients[value] + penalty_row(w, p) * width,
               width * sizeof(float));
}

/* ∇_x f of the penalty rows: from as far down as backward went, the rest of the way is theirs alone. */
static const float *input_gradients(const sotto_weights *weights, sotto_workspace *w)
{
    const sotto_network *network = w->network;
    const size_t lowest = w->lowest;
    copy_gradients(w, lowest,
                   lowest < network->count ? network->operations[lowest].inputs : network->outputs);
    for (size_t i = lowest; i-- > 0;) {
        const operation *op = &network->operations[i];
        if (op->accumulate)
            copy_gradients(w, i, op->inputs);
    }
    for (size_t i = lowest; i-- > 0;)
        network->operations[i].class->backward(&network->operations[i], weights, w->tangents);
    return w->tangents->gradients[0];
}

/* v = 2λ(‖g‖ − 1)·g/‖g‖ of one row, NaN where g is not finite; returns λ(‖g‖ − 1)². */
static double direction(size_t count, const float *g, double lambda, float *v)
{
    double norm2 = 0.0;
    sotto_tensor_row_squared_norms(1, count, g, &norm2);
    const double norm = sqrt(norm2);
    const double factor = norm > 0.0 ? 2.0 * lambda * (norm - 1.0) / norm : 0.0;
    for (size_t j = 0; j < count; j++)
        v[j] = isfinite(norm) ? (float)(factor * (double)g[j]) : NAN;
    return lambda * (norm - 1.0) * (norm - 1.0);
}

static void push(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    sotto_workspace *t = w->tangents;
    const size_t width = op->outputs;
    if (op->class->affine) {
        op->class->forward(op, weights, t);
        return;
    }
    if (op->class->push) {
        op->class->push(op, weights, w);
        return;
    }
    if (value_out(op, t) != value_in(op, t))
        memcpy(value_out(op, t), value_in(op, t), t->rows * width * sizeof(float));
    for (size_t p = 0; p < t->rows; p++)
        op->class->slope(op, w, penalty_row(w, p), value_out(op, t) + p * width);
}

/* φ′·ḃ + φ″·ȧ·b, and the second of them is made where b was kept. */
static void pull_elementwise(const operation *op, sotto_workspace *w)
{
    sotto_workspace *t = w->tangents;
    const size_t width = op->outputs;
    for (size_t p = 0; p < t->rows; p++) {
        float *dot = gradient_out(op, t) + p * width;
        op->class->slope(op, w, penalty_row(w, p), dot);
        if (op->class->bend) {
            float *bent = t->upstream[op->number] + p * width;
            sotto_tensor_multiply(width, value_in(op, t) + p * width, bent);
            op->class->bend(op, w, p, bent);
            sotto_tensor_axpy(width, 1.0f, bent, dot);
        }
    }
    if (!op->gradient_in_place)
        sotto_tensor_axpy(t->rows * width, 1.0f, gradient_out(op, t), gradient_in(op, t));
}

static void pull(const operation *op, const sotto_weights *weights, sotto_workspace *w)
{
    if (op->class->affine)
        op->class->backward(op, weights, w->tangents);
    else if (op->class->pull)
        op->class->pull(op, weights, w);
    else
        pull_elementwise(op, w);
}

/* b and ḃ of an operation with parameters change places. */
static void exchange(const operation *op, const sotto_workspace *w)
{
    const size_t width = op->outputs;
    for (size_t p = 0; p < w->tangents->rows; p++) {
        float *b = gradient_out(op, w) + penalty_row(w, p) * width;
        float *dot = gradient_out(op, w->tangents) + p * width;
        for (size_t j = 0; j < width; j++) {
            const float kept = b[j];
            b[j] = dot[j];
            dot[j] = kept;
        }
    }
}

void sotto_network_penalty(const sotto_weights *weights, sotto_workspace *workspace, double lambda,
                           double *values)
{
    sotto_workspace *w = workspace, *t = w->tangents;
    const sotto_network *network = w->network;
    const size_t inputs = network->inputs;
    for (size_t p = 0; p < t->rows; p++)
        t->classes[p] = w->classes[penalty_row(w, p)];
    const float *g = input_gradients(weights, w);
    for (size_t p = 0; p < t->rows; p++) {
        const double penalty = direction(inputs, g + p * inputs, lambda, t->values[0] + p * inputs);
        if (values)
            values[p] = penalty;
    }
    for (size_t i = 0; i < network->count; i++)
        push(&network->operations[i], weights, w);
    memset(t->gradients[network->count], 0, t->rows * network->outputs * sizeof(float));
    for (size_t i = network->count; i-- > network->first_parametric + 1;)
        pull(&network->operations[i], weights, w);
    for (size_t i = 0; i < network->count; i++)
        if (has_parameters(&network->operations[i]))
            exchange(&network->operations[i], w);
    w->penalised = true;
}

/* ------------------------------------------------------------------------- pairs */

/* Copy pairs to [count, left] and [count, right], unless they lie there. */
static void gather(const operation *op, const pairs *from, float *left, float *right)
{
    for (size_t s = 0; from->a != left && s < from->count; s++)
        memcpy(left + s * op->left, from->a + s * from->a_stride, op->left * sizeof *left);
    for (size_t s = 0; from->b != right && s < from->count; s++)
        memcpy(right + s * op->right, from->b + s * from->b_stride, op->right * sizeof *right);
}

void join_tangents(const operation *op, sotto_workspace *w, size_t example, size_t group, own_pairs *own,
                   pairs *out)
{
    sotto_workspace *t = w->tangents;
    pairs more;
    gather(op, out, w->left, w->right);
    t->left = w->left + out->count * op->left;
    t->right = w->right + out->count * op->right;
    own(op, t, example, group, &more);
    gather(op, &more, t->left, t->right);
    t->left = w->left;
    t->right = w->right;
    *out = (pairs){.a = w->left,
                   .b = w->right,
                   .a_stride = op->left,
                   .b_stride = op->right,
                   .count = out->count + more.count};
}
