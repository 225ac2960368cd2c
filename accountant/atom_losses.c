/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <math.h>

/*
 * Releases whose loss has atoms at ±e and, for the Laplace mechanism, a density between them. Both have the
 * same law in either direction of adjacency.
 */

/* An atom of mass p at loss l, where that is in [a, b). */
static void add_atom(double p, double l, double a, double b, double *rise, double *fall)
{
    if (l >= a && l < b) {
        *rise -= p * expm1(a - l);
        *fall += p * expm1(b - l);
    }
}

/* Cells are closed at their low end: the atom at e, which is on the grid, is at the low end of the last one.
 */
static void set_range(double e, double *low, double *high)
{
    *low = -e;
    *high = e * (1.0 + 1e-12);
}

static pld_tails no_tails(const sotto_mechanism *mechanism, double low, double high)
{
    (void)mechanism, (void)low, (void)high;
    return (pld_tails){0};
}

/* ---- Laplace: P = Laplace(0, b), Q = Laplace(k, b), e = k/b ---- */

static double laplace_end(const sotto_mechanism *mechanism)
{
    return (double)mechanism->group_size / mechanism->noise_multiplier;
}

static void laplace_range(const sotto_mechanism *mechanism, double tail, double *low, double *high)
{
    (void)tail;
    set_range(laplace_end(mechanism), low, high);
}

/*
 * Between the atoms of P-mass 1/2 at e and e^{−e}/2 at −e the loss has the density e^{(l−e)/2}/4. Over [l, l
 * + d) that integrates to e^{(l−e)/2}(e^{d/2} − 1)/2, and 1 − e^{l−L} to 2e^{(l−e)/2} sinh²(d/4); from above
 * likewise.
 */
static void add_density(double e, double a, double b, double *rise, double *fall)
{
    const double low = fmax(a, -e), high = fmin(b, e), length = high - low;
    if (!(length > 0.0))
        return;
    const double mass = 0.5 * exp(0.5 * (low - e)) * expm1(0.5 * length);
    const double bend = 2.0 * sinh(0.25 * length) * sinh(0.25 * length);
    *rise += exp(a - low) * exp(0.5 * (low - e)) * bend - expm1(a - low) * mass;
    *fall += exp(b - high) * exp(0.5 * (high - e)) * bend + expm1(b - high) * mass;
}

static void laplace_cells(const sotto_mechanism *mechanism, double origin, double width, int64_t first,
                          size_t count, double *rise, double *fall)
{
    const double e = laplace_end(mechanism);
    for (size_t i = 0; i < count; i++) {
        const double a = origin + width * (double)(first + (int64_t)i);
        const double b = origin + width * (double)(first + (int64_t)i + 1);
        rise[i] = fall[i] = 0.0;
        add_density(e, a, b, &rise[i], &fall[i]);
        add_atom(0.5, e, a, b, &rise[i], &fall[i]);
        add_atom(0.5 * exp(-e), -e, a, b, &rise[i], &fall[i]);
    }
}

const struct accountant_losses accountant_laplace_losses = {.symmetric = true,
                                                            .center = laplace_end,
                                                            .range = laplace_range,
                                                            .tails = no_tails,
                                                            .cells = laplace_cells,
                                                            .largest = laplace_end};

/* ---- whatever is ε-differentially private: no worse than randomised response (Kairouz, Oh, Viswanath 2015)
 * ---- */

static double pure_end(const sotto_mechanism *mechanism)
{
    return (double)mechanism->group_size * mechanism->epsilon;
}

static void pure_range(const sotto_mechanism *mechanism, double tail, double *low, double *high)
{
    (void)tail;
    set_range(pure_end(mechanism), low, high);
}

static void pure_cells(const sotto_mechanism *mechanism, double origin, double width, int64_t first,
                       size_t count, double *rise, double *fall)
{
    const double e = pure_end(mechanism), likely = 1.0 / (1.0 + exp(-e)), unlikely = exp(-e) * likely;
    for (size_t i = 0; i < count; i++) {
        const double a = origin + width * (double)(first + (int64_t)i);
        const double b = origin + width * (double)(first + (int64_t)i + 1);
        rise[i] = fall[i] = 0.0;
        add_atom(likely, e, a, b, &rise[i], &fall[i]);
        add_atom(unlikely, -e, a, b, &rise[i], &fall[i]);
    }
}

const struct accountant_losses accountant_pure_losses = {.symmetric = true,
                                                         .center = pure_end,
                                                         .range = pure_range,
                                                         .tails = no_tails,
                                                         .cells = pure_cells,
                                                         .largest = pure_end};
