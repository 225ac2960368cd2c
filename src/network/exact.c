/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Exact sums (contract rule P16): each example's weighted gradient becomes a vector of integers, whose norm
 * is compared with the bound in integer arithmetic, and the vectors are added without rounding.
 *
 * A matrix's gradient Σ_t a_t ⊗ b_t becomes Σ_t qa_t ⊗ qb_t with qa = round(a·2^e) and qb = round(b·s·2^-e),
 * where s is the example's weight times the units of the grid. The power of two, chosen for each pair from
 * its own a and b, lets both use their 15 bits. Whatever is rounded, saturated or wrapped, the result is an
 * integer vector that one example alone decides; that, and its norm, is all that privacy needs.
 * docs/exact-mode.md has the proof.
 */

#include "network/plan.h"

#include <math.h>
#include <string.h>

/* What a plain dense operation keeps for the whole chunk: both sides, quantised. */
typedef struct quantised {
    int32_t *left, *right;    /* packed from [examples, left] and [examples, right] */
    uint64_t *left2, *right2; /* [examples]: Σ q² of each row */
    int32_t *left_power;      /* [examples]: e of rows given by their entries */
} quantised;

struct sotto_exact {
    sotto_arena *arena;
    const sotto_network *network;
    quantised *plain;                  /* [operations]; all NULL for those that are not plain */
    int32_t *contribution;             /* [parameters]: one example's, but for plain matrices */
    int32_t *left, *right;             /* packed pairs of one example and one matrix */
    float *left_scales, *right_scales; /* [rows or positions] */
    int32_t *row;                      /* [widest right side] */
};

/* -------------------------------------------------------------------- creating */

static sotto_status take_plain(sotto_exact *x, const operation *op, size_t rows, sotto_error *err)
{
    quantised *q = &x->plain[op->number];
    q->left = sotto_arena_take(x->arena, sotto_tensor_left_count(rows, op->left), sizeof *q->left, err);
    q->right = sotto_arena_take(x->arena, sotto_tensor_right_count(rows, op->right), sizeof *q->right, err);
    q->left2 = sotto_arena_take(x->arena, rows, sizeof *q->left2, err);
    q->right2 = sotto_arena_take(x->arena, rows, sizeof *q->right2, err);
    q->left_power = sotto_arena_take(x->arena, rows, sizeof *q->left_power, err);
    return q->left && q->right && q->left2 && q->right2 && q->left_power ? SOTTO_OK : SOTTO_ERROR_MEMORY;
}

static sotto_status take(sotto_exact *x, const sotto_workspace *w, sotto_error *err)
{
    size_t left = 0, right = 0, rows = w->capacity, widest = 0;
    sotto_status status = SOTTO_OK;
    x->plain = sotto_arena_take(x->arena, x->network->count, sizeof *x->plain, err);
    for (size_t i = 0; x->plain && i < x->network->count && status == SOTTO_OK; i++) {
        const operation *op = &x->network->operations[i];
        const size_t pairs_count = most_pairs(op, w);
        const size_t lefts = sotto_tensor_left_count(pairs_count, op->left);
        const size_t rights = sotto_tensor_right_count(pairs_count, op->right);
        if (op->groups == 0)
            continue;
        left = lefts > left ? lefts : left;
        right = rights > right ? rights : right;
        rows = pairs_count > rows ? pairs_count : rows;
        widest = op->right > widest ? op->right : widest;
        if (is_plain(op, w))
            status = take_plain(x, op, w->capacity, err);
    }
    x->contribution = sotto_arena_take(x->arena, x->network->parameters, sizeof *x->contribution, err);
    x->left = sotto_arena_take(x->arena, left, sizeof *x->left, err);
    x->right = sotto_arena_take(x->arena, right, sizeof *x->right, err);
    x->left_scales = sotto_arena_take(x->arena, rows, sizeof *x->left_scales, err);
    x->right_scales = sotto_arena_take(x->arena, rows, sizeof *x->right_scales, err);
    x->row = sotto_arena_take(x->arena, widest, sizeof *x->row, err);
    const bool whole =
        x->plain && x->contribution && x->left && x->right && x->left_scales && x->right_scales && x->row;
    return status == SOTTO_OK && !whole ? SOTTO_ERROR_MEMORY : status;
}

sotto_status sotto_exact_create(sotto_exact **exact, sotto_workspace *workspace, sotto_error *err)
{
    sotto_arena *arena;
    *exact = NULL;
    sotto_status status = sotto_arena_create(&arena, err);
    if (status != SOTTO_OK)
        return status;
    sotto_exact *made = sotto_arena_take(arena, 1, sizeof *made, err);
    if (!made) {
        sotto_arena_destroy(arena);
        return SOTTO_ERROR_MEMORY;
    }
    *made = (sotto_exact){.arena = arena, .network = workspace->network};
    status = take(made, workspace, err);
    if (status != SOTTO_OK) {
        sotto_arena_destroy(arena);
        return status;
    }
    workspace->settled = true;
    *exact = made;
    return SOTTO_OK;
}

void sotto_exact_destroy(sotto_exact *exact)
{
    if (exact)
        sotto_arena_destroy(exact->arena);
}

/* ------------------------------------------------------------------- quantising */

/* Steps of the grid to one unit of the example's gradient: its weight times the grid's; 0 counts for nothing.
 */
static double steps_of(const sotto_exact_grid *grid, const float *weights, size_t example)
{
    const double weight = weights ? (double)weights[example] : 1.0;
    return isfinite(weight) && weight > 0.0 ? weight * grid->units : 0.0;
}

/*
 * The power e for which the entries of qa and qb come out alike in size: 2^2e = s·rms(b)/rms(a). Rounded
 * down; any integer would do.
 */
static int power_of(const operation *op, double steps, double left_norm2, double right_norm2)
{
    const double ratio2 = steps * steps * (right_norm2 / (double)op->right) / (left_norm2 / (double)op->left);
    if (!(ratio2 > 0.0) || !isfinite(ratio2))
        return 0;
    const int power = ilogb(ratio2) >> 2;
    return power < -100 ? -100 : power > 100 ? 100 : power;
}

/* One entry of a row, quantised as the products quantise: to the nearest integer within ±32767; NaN → 0. */
static int32_t quantise(float x, float scale)
{
    const float value = x * scale;
    if (isnan(value))
        return 0;
    return (int32_t)rintf(value < -32767.0f ? -32767.0f : value > 32767.0f ? 32767.0f : value);
}

/* A row given by its entries: its matrix part is a few rows of the parameters. Σ qa² of it. */
static uint64_t entry_squares(const entry_list *list, size_t row, float scale)
{
    uint64_t sum = 0;
    for (size_t e = 0; e < list->count; e++) {
        const int64_t q = quantise(list->values[row * list->count + e], scale);
        sum += (uint64_t)(q * q);
    }
    return sum;
}

static void quantise_plain(sotto_exact *x, const operation *op, sotto_workspace *w,
                           const sotto_exact_grid *grid, const float *weights)
{
    quantised *q = &x->plain[op->number];
    const size_t sparse = entry_rows_of(op, w);
    const entry_list *list = &w->entries[op->number > 0];
    const double *left = w->left_norms + op->block * w->capacity;
    const double *right = w->right_norms + op->block * w->capacity;
    for (size_t e = 0; e < w->examples; e++) {
        const double steps = steps_of(grid, weights, e);
        const int power = power_of(op, steps, left[e], right[e]);
        q->left_power[e] = power;
        x->left_scales[e] = steps > 0.0 ? ldexpf(1.0f, power) : 0.0f;
        x->right_scales[e] = (float)ldexp(steps, -power);
    }
    /* Rows given by entries keep their place on the left, as zeros: they are added by themselves. */
    for (size_t e = 0; e < sparse; e++)
        x->left_scales[e] = 0.0f;
    sotto_tensor_quantise_left(w->examples, op->left, value_in(op, w), op->left, x->left_scales, q->left,
                               q->left2);
    sotto_tensor_quantise_right(w->examples, op->right, gradient_out(op, w), op->right, x->right_scales,
                                q->right, q->right2);
    for (size_t e = 0; e < sparse; e++)
        q->left2[e] = entry_squares(list, e, ldexpf(1.0f, q->left_power[e]));
}

/* contribution = the example's part in the parameters after the matrices, at the grid's own resolution. */
static sotto_uint128 quantise_vector(sotto_exact *x, const operation *op, sotto_workspace *w, size_t example,
                                     double steps)
{
    int32_t *out = x->contribution + op->offset + matrix_parameters(op);
    const float scale = (float)steps;
    op->class->vector(op, w, example, w->vector);
    if (scale > 0.0f)
        sotto_tensor_quantise(op->vector, w->vector, scale, out);
    else
        memset(out, 0, op->vector * sizeof *out);
    return sotto_tensor_integer_squares(op->vector, out);
}

/* contribution = the example's part in one matrix, written out. */
static sotto_uint128 quantise_matrix(sotto_exact *x, const operation *op, sotto_workspace *w, size_t example,
                                     size_t group, double steps)
{
    const size_t count = op->left * op->right;
    int32_t *out = x->contribution + op->offset + group * count;
    pairs p;
    op->class->matrix(op, w, example, group, &p);
    for (size_t t = 0; t < p.count; t++) { /* a penalty's pairs may be of another size than the loss's */
        double left = 0.0, right = 0.0;
        sotto_tensor_row_squared_norms(1, op->left, p.a + t * p.a_stride, &left);
        sotto_tensor_row_squared_norms(1, op->right, p.b + t * p.b_stride, &right);
        const int power = power_of(op, steps, left, right);
        x->left_scales[t] = steps > 0.0 ? ldexpf(1.0f, power) : 0.0f;
        x->right_scales[t] = (float)ldexp(steps, -power);
    }
    sotto_tensor_quantise_left(p.count, op->left, p.a, p.a_stride, x->left_scales, x->left, NULL);
    sotto_tensor_quantise_right(p.count, op->right, p.b, p.b_stride, x->right_scales, x->right, NULL);
    sotto_tensor_integer_product(op->left, op->right, p.count, x->left, x->right, false, out, op->right);
    return sotto_tensor_integer_squares(count, out);
}

/* -------------------------------------------------------------------- the bound */

/* ⌈√n⌉. */
static uint64_t root_up(sotto_uint128 n)
{
    uint64_t low = 0, high = UINT64_MAX;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if ((sotto_uint128)middle * middle >= n)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The numerator over 2³¹ of the largest factor below bound/√norm2. */
static uint32_t shrink_factor(uint32_t bound, sotto_uint128 norm2)
{
    return (uint32_t)(((uint64_t)bound << 31) / root_up(norm2));
}

/* Make the example's vector shorter by numerator/2³¹, every number towards zero. */
static void shrink(sotto_exact *x, const sotto_workspace *w, size_t example, uint32_t numerator)
{
    for (size_t i = 0; i < x->network->count; i++) {
        const operation *op = &x->network->operations[i];
        int32_t *part = x->contribution + op->offset;
        const size_t matrices = matrix_parameters(op);
        if (!has_parameters(op))
            continue;
        if (is_plain(op, w)) {
            quantised *q = &x->plain[i];
            q->right2[example] =
                sotto_tensor_scale_right_row(w->examples, op->right, example, numerator, q->right);
        } else {
            sotto_tensor_integer_scale(matrices, numerator, part);
        }
        sotto_tensor_integer_scale(op->vector, numerator, part + matrices);
    }
}

/* Σ of squares over everything the example contributes. */
static sotto_uint128 contribution_norm(sotto_exact *x, sotto_workspace *w, const sotto_exact_grid *grid,
                                       const float *weights, bool by_block, size_t example)
{
    sotto_uint128 norm2 = 0;
    for (size_t i = 0; i < x->network->count; i++) {
        const operation *op = &x->network->operations[i];
        if (!has_parameters(op))
            continue;
        const float *of_block = weights && by_block ? weights + op->block * w->examples : weights;
        const double steps = steps_of(grid, of_block, example);
        if (is_plain(op, w))
            norm2 += (sotto_uint128)x->plain[i].left2[example] * x->plain[i].right2[example];
        else
            for (size_t g = 0; g < op->groups; g++)
                norm2 += quantise_matrix(x, op, w, example, g, steps);
        norm2 += quantise_vector(x, op, w, example, steps);
    }
    return norm2;
}

/* ----------------------------------------------------------------------- adding */

static void add_contribution(const sotto_exact *x, const sotto_workspace *w, int32_t *sums)
{
    for (size_t i = 0; i < x->network->count; i++) {
        const operation *op = &x->network->operations[i];
        const size_t skipped = is_plain(op, w) ? matrix_parameters(op) : 0;
        const size_t first = op->offset + skipped;
        if (has_parameters(op))
            sotto_tensor_integer_add(matrix_parameters(op) - skipped + op->vector, x->contribution + first,
                                     sums + first);
    }
}

/* Rows given by their entries. */
static void scatter_plain(sotto_exact *x, const operation *op, const sotto_workspace *w, int32_t *sums)
{
    const quantised *q = &x->plain[op->number];
    const entry_list *list = &w->entries[op->number > 0];
    const size_t sparse = entry_rows_of(op, w);
    for (size_t r = 0; r < sparse; r++) {
        if (q->right2[r] == 0)
            continue;
        const float scale = ldexpf(1.0f, q->left_power[r]);
        sotto_tensor_right_row(w->examples, op->right, r, q->right, x->row);
        for (size_t e = 0; e < list->count; e++) {
            const int32_t value = quantise(list->values[r * list->count + e], scale);
            int32_t *to = sums + list->columns[r * list->count + e] * op->right;
            for (size_t j = 0; j < op->right; j++)
                to[j] += value * x->row[j];
        }
    }
}

static void add_plain(sotto_exact *x, const sotto_workspace *w, int32_t *sums)
{
    for (size_t i = 0; i < x->network->count; i++) {
        const operation *op = &x->network->operations[i];
        const quantised *q = &x->plain[i];
        if (!has_parameters(op) || !is_plain(op, w))
            continue;
        if (entry_rows_of(op, w) < w->examples)
            sotto_tensor_integer_product(op->left, op->right, w->examples, q->left, q->right, true,
                                         sums + op->offset, op->right);
        scatter_plain(x, op, w, sums + op->offset);
    }
}

size_t sotto_exact_sum(sotto_exact *exact, sotto_workspace *workspace, const sotto_exact_grid *grid,
                       const float *weights, bool by_block, int32_t *sums)
{
    sotto_exact *x = exact;
    sotto_workspace *w = workspace;
    size_t shrunk = 0;
    for (size_t i = 0; i < x->network->count; i++) {
        const operation *op = &x->network->operations[i];
        if (has_parameters(op) && is_plain(op, w))
            quantise_plain(x, op, w, grid, weights && by_block ? weights + op->block * w->examples : weights);
    }
    for (size_t e = 0; e < w->examples; e++) {
        const sotto_uint128 norm2 = contribution_norm(x, w, grid, weights, by_block, e);
        if (norm2 > (sotto_uint128)grid->bound * grid->bound) {
            shrink(x, w, e, shrink_factor(grid->bound, norm2));
            shrunk++;
        }
        add_contribution(x, w, sums);
    }
    add_plain(x, w, sums);
    return shrunk;
}
