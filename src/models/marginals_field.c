/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A graphical model fitted to noisy tables. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/marginals_field.h"

/* ---- making ---- */

sotto_status marginals_field_create(marginals_field *field, const marginals_domain *domain, double total,
                                    sotto_error *err)
{
    double log_sum;
    *field = (marginals_field){.domain = *domain, .total = total};
    const sotto_status status = marginals_belief_create(&field->belief, &field->domain, NULL, 0, err);
    if (status == SOTTO_OK)
        (void)marginals_belief_propagate(&field->belief, total, &log_sum);
    return status;
}

void marginals_field_destroy(marginals_field *field)
{
    for (size_t f = 0; f < field->count; f++)
        free(field->factors[f].counts);
    free(field->factors);
    marginals_belief_destroy(&field->belief);
}

static sotto_status out_of_memory(sotto_error *err)
{
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a graphical model of columns");
}

static marginals_factor *find(marginals_field *field, marginals_set columns)
{
    for (size_t f = 0; f < field->count; f++)
        if (field->factors[f].columns == columns)
            return &field->factors[f];
    return NULL;
}

static marginals_factor *append(marginals_field *field, marginals_set columns, double variance)
{
    if (field->count == field->room) {
        const size_t room = 2 * field->room + 16;
        marginals_factor *grown = realloc(field->factors, room * sizeof *grown);
        if (!grown)
            return NULL;
        field->factors = grown;
        field->room = room;
    }
    const size_t cells = marginals_cells(&field->domain, columns);
    double *own = calloc(4 * cells, sizeof *own);
    if (!own)
        return NULL;
    field->factors[field->count] = (marginals_factor){.columns = columns,
                                                      .cells = cells,
                                                      .counts = own,
                                                      .guess = own + cells,
                                                      .theta = own + 2 * cells,
                                                      .centre = own + 3 * cells,
                                                      .variance = variance};
    return &field->factors[field->count++];
}

/* The prior's variance of log-differences is τ/guess: what surplus there is of squares over noise (empirical
 * Bayes), and the ridge is noise over that. What noise explains alone is left alone: τ is next to nothing
 * then. A ridge of no less than a part of the noise's deviation keeps θ of empty cells from running away. */
static double ridge_of(const double *counts, const double *guess, size_t cells, double variance, double total)
{
    double surplus = 0.0;
    for (size_t i = 0; i < cells; i++)
        surplus += pow(counts[i] - guess[i], 2) - variance;
    return fmax(variance / fmax(surplus / total, 1e-4), 0.05 * sqrt(variance));
}

/* The δ of guess·e^δ + ridge·δ = count, by Newton's method on what grows slower than an exponential. */
static double lean(double guess, double ridge, double count)
{
    double delta = 0.0, move = 1.0;
    for (int step = 0; step < 60 && fabs(move) > 1e-7; step++) {
        const double table = guess * exp(delta);
        move = (count - table - ridge * delta) / (table + ridge);
        delta += fmin(fmax(move, -30.0), 1.0);
    }
    return delta;
}

/* First what the table tells of its columns whatever the label, which has less noise, then of the label: θ
 * leans from its centre, the former, as far as the latter warrants. */
static void set_prior(marginals_factor *factor, size_t labels, double total, double *scratch)
{
    const size_t width = factor->cells / labels;
    double *counts = scratch, *guess = scratch + width, *moved = scratch + 2 * width, sum = 0.0;
    memset(scratch, 0, 2 * width * sizeof *scratch);
    for (size_t i = 0; i < factor->cells; i++) {
        counts[i % width] += factor->counts[i];
        guess[i % width] += factor->guess[i];
    }
    const double ridge = ridge_of(counts, guess, width, factor->variance * (double)labels, total);
    for (size_t i = 0; i < factor->cells; i++) {
        factor->centre[i] =
            i < width ? lean(fmax(guess[i], 1e-9), ridge, counts[i]) : factor->centre[i - width];
        sum += moved[i] = factor->guess[i] * exp(factor->centre[i]);
    }
    for (size_t i = 0; i < factor->cells; i++)
        moved[i] *= total / sum;
    factor->ridge = ridge_of(factor->counts, moved, factor->cells, factor->variance, total);
    for (size_t i = 0; i < factor->cells; i++)
        factor->theta[i] = factor->centre[i] + lean(fmax(moved[i], 1e-9), factor->ridge, factor->counts[i]);
}

sotto_status marginals_field_add(marginals_field *field, marginals_set columns, const double *counts,
                                 double variance, sotto_error *err)
{
    marginals_factor *factor = find(field, columns);
    const bool is_new = factor == NULL;
    double excess = -field->total;
    if (is_new)
        factor = append(field, columns, INFINITY);
    double *scratch = factor ? calloc(3 * factor->cells, sizeof *scratch) : NULL;
    if (!scratch)
        return out_of_memory(err);
    sotto_status status = SOTTO_OK;
    if (is_new)
        status = marginals_belief_table(&field->belief, columns, factor->guess, err);
    const double weight = is_new ? 1.0 : factor->variance / (factor->variance + variance);
    for (size_t i = 0; i < factor->cells; i++)
        excess += counts[i];
    for (size_t i = 0; i < factor->cells; i++)
        factor->counts[i] += weight * (counts[i] - excess / (double)factor->cells - factor->counts[i]);
    factor->variance = is_new ? variance : 1.0 / (1.0 / factor->variance + 1.0 / variance);
    set_prior(factor, field->domain.labels, field->total, scratch);
    free(scratch);
    return status;
}

/* ---- fitting ---- */

enum { MEMORY = 16 }; /* steps that L-BFGS remembers */

/* Vectors hold the factors' cells one after the other. */
typedef struct fit {
    marginals_field *field;
    size_t size;
    double value, *at, *gradient;
    double tried, *next, *next_gradient;
    double *scale, *direction; /* scale: about the inverse of the second derivatives */
    double *moved[MEMORY], *turned[MEMORY], inverse[MEMORY];
    size_t steps;
    double *own;
} fit;

static double dot(const double *a, const double *b, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The objective and its gradient, table − counts + ridge·θ. INFINITY where it cannot be computed. */
static double evaluate(fit *f, const double *theta, double *gradient)
{
    marginals_field *field = f->field;
    double log_sum, value = 0.0;
    marginals_belief_clear(&field->belief);
    for (size_t i = 0, first = 0; i < field->count; first += field->factors[i++].cells)
        marginals_belief_add(&field->belief, field->factors[i].home, field->factors[i].columns,
                             theta + first);
    if (!marginals_belief_propagate(&field->belief, field->total, &log_sum))
        return INFINITY;
    for (size_t i = 0, first = 0; i < field->count; first += field->factors[i++].cells) {
        const marginals_factor *factor = &field->factors[i];
        marginals_belief_sum(&field->belief, factor->home, factor->columns, gradient + first);
        for (size_t j = 0; j < factor->cells; j++) {
            const double one = theta[first + j], leaning = one - factor->centre[j];
            gradient[first + j] += factor->ridge * leaning - factor->counts[j];
            value += 0.5 * factor->ridge * leaning * leaning - one * factor->counts[j];
        }
    }
    return field->total * log_sum + value;
}

static sotto_status fit_create(fit *f, marginals_field *field, sotto_error *err)
{
    marginals_set *tables = calloc(field->count + 1, sizeof *tables);
    sotto_status status = tables ? SOTTO_OK : out_of_memory(err);
    *f = (fit){.field = field};
    for (size_t i = 0; i < field->count && tables; i++) {
        tables[i] = field->factors[i].columns;
        f->size += field->factors[i].cells;
    }
    marginals_belief_destroy(&field->belief);
    if (status == SOTTO_OK)
        status = marginals_belief_create(&field->belief, &field->domain, tables, field->count, err);
    free(tables);
    if (status != SOTTO_OK)
        return status;
    for (size_t i = 0; i < field->count; i++)
        field->factors[i].home = marginals_junction_find(&field->belief.junction, field->factors[i].columns);
    f->own = calloc((6 + 2 * MEMORY) * f->size + 1, sizeof *f->own);
    if (!f->own)
        return out_of_memory(err);
    double **const vectors[] = {&f->at, &f->gradient, &f->next, &f->next_gradient, &f->scale, &f->direction};
    for (size_t i = 0; i < 6; i++)
        *vectors[i] = f->own + i * f->size;
    for (size_t i = 0; i < MEMORY; i++) {
        f->moved[i] = f->own + (6 + 2 * i) * f->size;
        f->turned[i] = f->own + (7 + 2 * i) * f->size;
    }
    return SOTTO_OK;
}

/* Start where the factors are; where that cannot be computed, at nothing. */
static void fit_start(fit *f)
{
    const marginals_field *field = f->field;
    for (size_t i = 0, first = 0; i < field->count; first += field->factors[i++].cells)
        memcpy(f->at + first, field->factors[i].theta, field->factors[i].cells * sizeof *f->at);
    f->value = evaluate(f, f->at, f->gradient);
    if (!isfinite(f->value)) {
        memset(f->at, 0, f->size * sizeof *f->at);
        f->value = evaluate(f, f->at, f->gradient);
    }
    for (size_t i = 0, first = 0; i < field->count; first += field->factors[i++].cells)
        for (size_t j = 0; j < field->factors[i].cells; j++) {
            const marginals_factor *factor = &field->factors[i];
            const double count = factor->counts[j];
            const double now =
                f->gradient[first + j] + count - factor->ridge * (f->at[first + j] - factor->centre[j]);
            f->scale[first + j] = 1.0 / (fmax(fmax(now, count), 1.0) + factor->ridge);
        }
}

/* Nocedal and Wright 2006, Algorithm 7.4, with `scale` for the first guess of the inverse. */
static void set_direction(fit *f)
{
    const size_t kept = f->steps < MEMORY ? f->steps : MEMORY;
    double by[MEMORY] = {0}, stretch = 1.0;
    memcpy(f->direction, f->gradient, f->size * sizeof *f->direction);
    for (size_t k = 0; k < kept; k++) {
        const size_t i = (f->steps - 1 - k) % MEMORY;
        by[i] = f->inverse[i] * dot(f->moved[i], f->direction, f->size);
        for (size_t j = 0; j < f->size; j++)
            f->direction[j] -= by[i] * f->turned[i][j];
    }
    if (kept > 0) {
        const size_t i = (f->steps - 1) % MEMORY;
        double length = 0.0;
        for (size_t j = 0; j < f->size; j++)
            length += f->turned[i][j] * f->turned[i][j] * f->scale[j];
        stretch = 1.0 / (f->inverse[i] * length);
    }
    for (size_t j = 0; j < f->size; j++)
        f->direction[j] *= stretch * f->scale[j];
    for (size_t k = kept; k-- > 0;) {
        const size_t i = (f->steps - 1 - k) % MEMORY;
        const double back = by[i] - f->inverse[i] * dot(f->turned[i], f->direction, f->size);
        for (size_t j = 0; j < f->size; j++)
            f->direction[j] += back * f->moved[i][j];
    }
}

/* Against the direction until the objective falls enough; false where it does not any more. */
static bool search(fit *f)
{
    const double slope = dot(f->gradient, f->direction, f->size);
    double step = 1.0;
    if (!(slope > 0.0))
        return false;
    for (int halvings = 0; halvings < 40; halvings++, step *= 0.5) {
        for (size_t j = 0; j < f->size; j++)
            f->next[j] = f->at[j] - step * f->direction[j];
        f->tried = evaluate(f, f->next, f->next_gradient);
        if (f->tried <= f->value - 1e-4 * step * slope)
            return true;
    }
    return false;
}

/* Move to what was tried, and remember how the gradient turned. */
static void take(fit *f)
{
    const size_t i = f->steps % MEMORY;
    for (size_t j = 0; j < f->size; j++) {
        f->moved[i][j] = f->next[j] - f->at[j];
        f->turned[i][j] = f->next_gradient[j] - f->gradient[j];
    }
    const double curvature = dot(f->moved[i], f->turned[i], f->size);
    double *const at = f->at, *const gradient = f->gradient;
    f->at = f->next;
    f->gradient = f->next_gradient;
    f->next = at;
    f->next_gradient = gradient;
    f->value = f->tried;
    if (curvature > 0.0) {
        f->inverse[i] = 1.0 / curvature;
        f->steps++;
    }
}

sotto_status marginals_field_fit(marginals_field *field, double tolerance, unsigned steps, sotto_error *err)
{
    fit f;
    sotto_status status = fit_create(&f, field, err);
    if (status == SOTTO_OK) {
        fit_start(&f);
        for (unsigned s = 0; s < steps; s++) {
            const double before = f.value;
            set_direction(&f);
            if (!search(&f))
                break;
            take(&f);
            if (before - f.value < tolerance)
                break;
        }
        (void)evaluate(&f, f.at, f.gradient); /* what was tried last may be another */
        for (size_t i = 0, first = 0; i < field->count; first += field->factors[i++].cells)
            memcpy(field->factors[i].theta, f.at + first, field->factors[i].cells * sizeof *f.at);
    }
    free(f.own);
    return status;
}
