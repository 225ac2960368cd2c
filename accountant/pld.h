/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_ACCOUNTANT_PLD_H
#define SOTTO_ACCOUNTANT_PLD_H

/**
 * Privacy-loss distributions. A pair (P, Q) of output distributions on neighbouring data has the loss
 * L = log dP/dQ, the likelihood ratio Λ = e^L and the curve H(v) = E_Q[(Λ − v)₊]; δ(ε) is H(e^ε). A curve
 * that lies above another one everywhere does so after any composition too (Zhu, Dong, Wang 2022), so that
 * bounds of one release bound them all. P is the larger data set's distribution ("remove"); the other
 * direction of adjacency ("add") swaps the two.
 *
 * The way: a kind describes its losses (`accountant_losses`); they are put on a grid of losses kh, once
 * above and once below the truth (pld_grid.c); composed by FFT after exponential tilting, with a bound on
 * every rounding (pld_compose.c, pld_curve.c); and the grid is made finer until both sides are near (pld.c).
 */

#include "internal.h"

/** Masses of losses at or outside the ends of a grid. */
typedef struct pld_tails {
    double p_below, q_below; /**< P and Q of losses below its low end */
    double p_above, q_above; /**< and above its high end */
} pld_tails;

/** What a kind says of its losses. Every function is called with a checked mechanism that is not free of cost
 * (q > 0, σ > 0). */
struct accountant_losses {
    /** Does the loss have the same law in both directions of adjacency? */
    bool symmetric;
    /** A loss that many units' worth of mass is near: it will be on the grid. */
    double (*center)(const sotto_mechanism *mechanism);
    /** Ends outside of which P has at most `tail` above and Q at most `tail` below. */
    void (*range)(const sotto_mechanism *mechanism, double tail, double *low, double *high);
    /** The masses outside of two ends; rounded up. */
    pld_tails (*tails)(const sotto_mechanism *mechanism, double low, double high);
    /**
     * Integrals over the `count` cells (a, b] of that width, the first of which begins at origin +
     * first·width: rise[i] = ∫ (1 − e^{a−L}) dP and fall[i] = ∫ (e^{b−L} − 1) dP over the losses in the cell,
     * both ≥ 0 and to about 1e-14 relative. Λ − e^a under Q and e^b − Λ under Q, in other words.
     */
    void (*cells)(const sotto_mechanism *mechanism, double origin, double width, int64_t first, size_t count,
                  double *rise, double *fall);
    /** Is it described? NULL: always. */
    bool (*covers)(const sotto_mechanism *mechanism);
    /** Can its cells be integrated in reasonable time? NULL: always. */
    bool (*feasible)(const sotto_mechanism *mechanism);
    /** What a cell costs, ≥ 1; NULL: 1. Grids are coarser for it. */
    double (*effort)(const sotto_mechanism *mechanism);
    /** The largest loss in either direction; INFINITY where there is none. */
    double (*largest)(const sotto_mechanism *mechanism);
};

/** Directions of adjacency. */
enum { PLD_REMOVE, PLD_ADD, PLD_DIRECTIONS };

/** Which side of the truth. */
enum { PLD_ABOVE, PLD_BELOW, PLD_SIDES };

/** One release on a grid, seen from one direction. */
typedef struct pld_atoms {
    double origin; /**< weights[0] belongs to the loss origin + first·h */
    int64_t first;
    size_t length;   /**< atoms */
    double *weights; /**< P's mass on each; owned by the `pld_release` */
    double infinite; /**< P's mass where Q has none; 0 below the truth */
} pld_atoms;

/** One release on a grid: in both directions, from both sides. */
typedef struct pld_release {
    pld_atoms atoms[PLD_DIRECTIONS][PLD_SIDES];
    double slack;   /**< relative error that any weight may have */
    double *memory; /**< of all weights */
} pld_release;

/** More cells than this are not made: 8 MB for each of the arrays over them. */
#define PLD_MAX_CELLS ((size_t)1 << 20)

/**
 * Put a mechanism that has losses on a grid.
 * \param spacing  h > 0
 * \param tail     mass that may be cut off at each end
 * \param[out] out the caller's, for `pld_release_free`; untouched on failure
 * \return SOTTO_ERROR_NUMERIC where the grid would have more than PLD_MAX_CELLS cells or reach beyond what
 *         doubles hold, SOTTO_ERROR_MEMORY
 */
sotto_status pld_release_make(const sotto_mechanism *mechanism, double spacing, double tail, pld_release *out,
                              sotto_error *err);

void pld_release_free(pld_release *release);

/** A release and how often it is used. */
typedef struct pld_use {
    pld_release release;
    uint64_t count;
} pld_use;

/** Distinct mechanisms of a composition that cost something. */
typedef struct pld_bundle {
    sotto_mechanism *mechanisms;
    uint64_t *counts;
    size_t length;  /**< 0 where all is Gaussian */
    double steps;   /**< Σ counts */
    double mu;      /**< sensitivity over noise of all that is Gaussian; 0 where nothing is */
    double largest; /**< the most that all losses can add up to, in either direction */
    bool symmetric; /**< are both directions of adjacency the same? */
} pld_bundle;

/** \param[out] out the caller's, for `pld_bundle_free`. All mechanisms must have losses. */
sotto_status pld_gather(const sotto_accountant *accountant, pld_bundle *out, sotto_error *err);

void pld_bundle_free(pld_bundle *bundle);

/** All of a bundle on one grid: `bundle->length` of them, for `pld_releases_free`; as `pld_release_make`. */
sotto_status pld_releases_make(const pld_bundle *bundle, double spacing, double tail, pld_use **out,
                               sotto_error *err);

void pld_releases_free(pld_use *uses, size_t count);

/** The finest grid that has room for all losses of a bundle, PLD_MAX_CELLS together; INFINITY where there is
 * none. */
double pld_finest_spacing(const pld_bundle *bundle, double tail);

/** What e^{λL} does to the loss of a composition. */
typedef struct pld_moments {
    double log_moment;     /**< K(λ) = log E[e^{λL}] */
    double mean, variance; /**< K′ and K″: of the tilted loss */
} pld_moments;

pld_moments pld_total_moments(const pld_use *uses, size_t count, double spacing, int direction, int side,
                              double tilt);

/** A composition on a grid, seen from one direction and side, tilted: see pld_compose.c. */
typedef struct pld_curve {
    double spacing;
    double tilt;      /**< λ ≥ 0 */
    double log_scale; /**< log E[e^{λL}] of the composition */
    double low;       /**< loss of mass[0] */
    size_t length;
    double *mass;    /**< tilted masses; owned */
    double error;    /**< by which each of them may be off */
    double missing;  /**< tilted mass that may be beyond the high end */
    double wrapped;  /**< tilted mass from outside that may be among them, */
    double aliased;  /**< and mass of δ itself that may be */
    double infinite; /**< mass at infinity, not tilted */
    double slack;    /**< relative error of all masses, not tilted */
} pld_curve;

/** Buffers and tables for FFTs, kept from one composition to the next. Initialise with {0}. */
typedef struct pld_workspace {
    size_t length;
    double *sum, *factor; /**< [length], halfcomplex */
    void *forward, *backward, *scratch;
} pld_workspace;

void pld_workspace_free(pld_workspace *workspace);

/** What a composition is made for. */
typedef struct pld_aim {
    double tilt;      /**< λ > 0 */
    double epsilon;   /**< about where it will be read, */
    double log_delta; /**< and about what will be found there */
    double share;     /**< of δ that a window may add */
} pld_aim;

/**
 * Compose releases on one grid.
 * \param[out] curve the caller's, for `pld_curve_free`; untouched on failure
 * \return SOTTO_ERROR_NUMERIC where the window would be too long or rounding too coarse, SOTTO_ERROR_MEMORY
 */
sotto_status pld_compose(const pld_use *uses, size_t count, double spacing, int direction, int side,
                         const pld_aim *aim, pld_workspace *workspace, pld_curve *curve, sotto_error *err);

void pld_curve_free(pld_curve *curve);

/** log δ of a curve at ε, by its side rounded up or down; −INFINITY where nothing can be said from below. */
double pld_curve_log_delta(const pld_curve *curve, int side, double epsilon);

/**
 * ε of a curve at log δ, by its side rounded up or down.
 * \return SOTTO_ERROR_NUMERIC where it is not within the window: `epsilon` is then its nearer end
 */
sotto_status pld_curve_epsilon(const pld_curve *curve, int side, double log_delta, double *epsilon);

/** Is shown δ at one ε. */
typedef void (*pld_visit)(double epsilon, double delta, void *state);

/** Visit each loss of the window, the highest first, with δ rounded up or down by the side. */
void pld_curve_walk(const pld_curve *curve, int side, pld_visit visit, void *state);

/** Both sides of a figure. */
typedef struct pld_bounds {
    double lower, upper;
} pld_bounds;

/** ε at δ of a composition that has losses, within the gap where memory allows. */
sotto_status pld_epsilon(const sotto_accountant *accountant, double delta, double gap, pld_bounds *epsilon,
                         sotto_error *err);

/** δ at ε. */
sotto_status pld_delta(const sotto_accountant *accountant, double epsilon, double gap, pld_bounds *delta,
                       sotto_error *err);

/** log δ at ε ≥ 0 of a Gaussian release of sensitivity over noise μ > 0; to about 5e-12 relative in δ where μ
 * and ε/μ are moderate. */
double accountant_gaussian_log_delta(double mu, double epsilon);

#endif
