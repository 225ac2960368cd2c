/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * H(v) = E_Q[(Λ − v)₊] is convex. A pair of distributions with losses on the grid v_k = e^{kh} has an H of
 * straight lines between the v_k, and its atom's Q-mass at v_k is how much the slope changes there. So:
 *
 * Above the truth, the chords between the H(v_k) ("connect the dots", Doroshenko et al. 2022). The atoms
 * split the mass of each cell between its ends such that both its P- and its Q-mass are kept.
 *
 * Below the truth, a convex polygon under H with its corners at the v_k. Each cell has a line that supports H
 * in it; y_k is the lower one of the two lines that reach v_k. The chord of y over a cell lies under that
 * cell's line at both ends, and so under H. The lower convex hull of (0, H(0)) and the y_k is then convex,
 * under H, and has its corners on the grid and at 0; what it puts at 0 is more Q-mass of Λ = 0, which takes
 * nothing from H. The line of a cell is the tangent in its middle, unless that would come too near to 0 at
 * the cell's right end: then the best one that does not. This is where the bulk of a release that rarely sees
 * the unit lies within one cell.
 *
 * Both are second order: their distance from H is about H''h²/8. Everything is kept in units of P-mass, v_k
 * times Q-mass, and made from integrals of one sign, so that nothing cancels however fine the grid. The other
 * direction of adjacency is the same with P and Q swapped, which mirrors the grid.
 */

typedef struct grid {
    const sotto_mechanism *mechanism;
    const struct accountant_losses *losses;
    double spacing;
    double up, down;           /* e^h − 1 and 1 − e^{−h} */
    double half_up, half_down; /* e^{h/2} and e^{−h/2} */
    double origin;
    int64_t first; /* the first atom's loss is origin + first·spacing */
    bool mirrored; /* does it show −L, of Q? */
    size_t cells;  /* atoms are one more */
    double *memory;
    double *rise, *fall;   /* of half cells, [2·cells] */
    double *above, *below; /* P-mass of the atoms on each side, [cells + 1] */
    double *high, *low;    /* H(v_k), and H(v_k) − (1 − v_k), of the losses on the grid, [cells + 1] */
    double *deficit;       /* H(v_k) − y_k, [cells + 1] */
    size_t *stack;         /* [cells + 2] */
} grid;

/* The loss of an atom. */
static double loss_of(const grid *g, size_t k)
{
    return g->origin + g->spacing * (double)(g->first + (int64_t)k);
}

static void release(grid *g)
{
    free(g->memory);
    free(g->stack);
}

static sotto_status prepare(grid *g, const sotto_mechanism *mechanism, double spacing, double tail,
                            sotto_error *err)
{
    const struct accountant_losses *losses = accountant_mechanism_losses(mechanism);
    double low, high;
    losses->range(mechanism, tail, &low, &high);
    const double origin = losses->center(mechanism);
    const double first = floor((low - origin) / spacing), last = ceil((high - origin) / spacing);
    const double cells = fmax(last - first, 2.0);
    /* e^l of what is beyond this loses masses that matter */
    const double reach = 600.0;
    if (!(isfinite(spacing) && cells <= (double)PLD_MAX_CELLS && (losses->symmetric || low >= -reach)))
        return sotto_error_set(err, SOTTO_ERROR_NUMERIC,
                               "privacy losses from %g to %g do not fit a grid of spacing %g", low, high,
                               spacing);
    *g = (grid){.mechanism = mechanism,
                .losses = losses,
                .spacing = spacing,
                .up = expm1(spacing),
                .down = -expm1(-spacing),
                .half_up = exp(0.5 * spacing),
                .half_down = exp(-0.5 * spacing),
                .origin = origin,
                .first = (int64_t)first,
                .cells = (size_t)cells};
    const size_t atoms = g->cells + 1;
    g->memory = malloc((4 * g->cells + 5 * atoms) * sizeof *g->memory);
    g->stack = malloc((atoms + 1) * sizeof *g->stack);
    if (!g->memory || !g->stack) {
        release(g);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a grid of %zu privacy losses",
                               atoms);
    }
    g->rise = g->memory;
    g->fall = g->rise + 2 * g->cells;
    g->above = g->fall + 2 * g->cells;
    g->below = g->above + atoms;
    g->high = g->below + atoms;
    g->low = g->high + atoms;
    g->deficit = g->low + atoms;
    losses->cells(mechanism, origin, 0.5 * spacing, 2 * g->first, 2 * g->cells, g->rise, g->fall);
    return SOTTO_OK;
}

/* The integrals of a cell seen in the mirror: the cell (a, b] becomes (−b, −a], and P is what was Q. */
static void mirror_cell(double a, double b, double *rise, double *fall)
{
    const double risen = *rise;
    *rise = exp(-b) * *fall;
    *fall = exp(-a) * risen;
}

static void mirror(grid *g)
{
    const double half = 0.5 * g->spacing;
    const size_t count = 2 * g->cells;
    for (size_t i = 0; i < count; i++) {
        const double a = g->origin + half * (double)(2 * g->first + (int64_t)i);
        mirror_cell(a, a + half, &g->rise[i], &g->fall[i]);
    }
    for (size_t i = 0, j = count - 1; i < j; i++, j--) {
        const double rise = g->rise[i], fall = g->fall[i];
        g->rise[i] = g->rise[j], g->fall[i] = g->fall[j];
        g->rise[j] = rise, g->fall[j] = fall;
    }
    g->origin = -g->origin;
    g->first = -(g->first + (int64_t)g->cells);
    g->mirrored = true;
}

/* The integrals of any one cell: of the given width, its low end at index·width. */
static void one_cell(const grid *g, double width, int64_t index, double *rise, double *fall)
{
    const int64_t seen = g->mirrored ? -(index + 1) : index;
    const double origin = g->mirrored ? -g->origin : g->origin, low = origin + width * (double)seen;
    g->losses->cells(g->mechanism, origin, width, seen, 1, rise, fall);
    if (g->mirrored)
        mirror_cell(low, low + width, rise, fall);
}

/* ∫(Λ − v_a)dQ and ∫(v_b − Λ)dQ over a cell, from those over its halves. */
static double cell_rise(const grid *g, size_t cell)
{
    const double *rise = g->rise + 2 * cell, *fall = g->fall + 2 * cell;
    return rise[0] + rise[1] + g->half_down * (rise[1] + fall[1]);
}

static double cell_fall(const grid *g, size_t cell)
{
    const double *rise = g->rise + 2 * cell, *fall = g->fall + 2 * cell;
    return fall[0] + fall[1] + g->half_up * (rise[0] + fall[0]);
}

/* The chords. */
static void split_cells(grid *g)
{
    for (size_t k = 0; k <= g->cells; k++)
        g->above[k] = 0.0;
    for (size_t k = 0; k < g->cells; k++) {
        g->above[k + 1] += cell_rise(g, k) / g->down;
        g->above[k] += cell_fall(g, k) / g->up;
    }
}

/* H from the right, where it is 0, and H − (1 − v) from the left: of the losses on the grid alone. */
static void sum_curve(grid *g)
{
    const double up = g->up, down = g->down, ratio = exp(g->spacing);
    double right = 0.0; /* v_k Q(Λ > v_k) */
    g->high[g->cells] = 0.0;
    for (size_t k = g->cells; k-- > 0;) {
        g->high[k] = g->high[k + 1] + down * right + cell_rise(g, k);
        right = right / ratio + (cell_rise(g, k) + cell_fall(g, k)) / up;
    }
    double left = 0.0; /* v_k Q(Λ ≤ v_k) */
    g->low[0] = 0.0;
    for (size_t k = 0; k < g->cells; k++) {
        g->low[k + 1] = g->low[k] + up * left + cell_fall(g, k);
        left = ratio * (left + (cell_rise(g, k) + cell_fall(g, k)) / up);
    }
}

/* A line that supports H in a cell: how far it is below H at the cell's ends. */
typedef struct line {
    double left, right;
} line;

/*
 * A line of a cell that is `allowed` below H at its right end, or at its left end. The `index`-th half cell
 * is where its tangents touch H: `near` at the low end of that, `far` at the high end, one too far below H
 * and the other not. Bisect between them, and mix the last two: a mean of lines under H is under H. Even
 * where H has a corner, its best line is nearly met.
 */
static line bisect_line(const grid *g, int64_t index, line near, line far, bool at_right, double allowed)
{
    double width = 0.5 * g->spacing;
    const double a = width * (double)(index & ~(int64_t)1),
                 b = a + g->spacing; /* the cell, above the origin */
    for (int i = 0; i < 30; i++) {
        double rise[2], fall[2];
        width *= 0.5;
        index *= 2;
        for (int half = 0; half < 2; half++)
            one_cell(g, width, index + half, &rise[half], &fall[half]);
        const double from = width * (double)index, to = width * (double)(index + 2);
        const line middle = {
            near.left + rise[0] - expm1(a - from) / expm1(width) * (rise[0] + fall[0]),
            far.right + fall[1] + expm1(b - to) / -expm1(-width) * (rise[1] + fall[1]),
        };
        if (at_right ? middle.right > allowed : middle.left <= allowed) {
            near = middle;
            index++;
        } else {
            far = middle;
        }
    }
    const double share = at_right ? (allowed - far.right) / (near.right - far.right)
                                  : (far.left - allowed) / (far.left - near.left);
    if (!(share > 0.0))
        return far;
    if (share >= 1.0)
        return near;
    return (line){share * near.left + (1.0 - share) * far.left,
                  share * near.right + (1.0 - share) * far.right};
}

/*
 * By default the tangent in the middle of the cell, which is least far below H at both ends together. But y
 * may not come near 0 at the right end, and should not fall below 1 − v at the left one.
 */
static line supporting_line(const grid *g, size_t cell)
{
    const line first = {0.0, cell_fall(g, cell)}, last = {cell_rise(g, cell), 0.0};
    const line middle = {g->rise[2 * cell], g->fall[2 * cell + 1]};
    const double right = g->high[cell + 1], left = g->low[cell];
    const int64_t half = 2 * (g->first + (int64_t)cell);
    if (right == 0.0)
        return last;
    line found = middle;
    if (middle.left > 0.5 * left && middle.left > 1e-300)
        found = left > 0.0 ? bisect_line(g, half, first, middle, false, 0.5 * left) : first;
    if (found.right <= 0.75 * right)
        return found;
    if (middle.right <= 0.75 * right)
        return bisect_line(g, half, first, middle, true, 0.75 * right);
    return bisect_line(g, half + 1, middle, last, true, 0.75 * right);
}

/* An atom of negative mass is a corner that bends the wrong way: take the chord of its neighbours instead.
 * The neighbour of the first is at v = 0, and takes no P-mass. */
static void take_hull(grid *g)
{
    double *mass = g->below;
    const size_t base = SIZE_MAX;
    size_t depth = 0;
    g->stack[depth++] = base;
    for (size_t k = 0; k <= g->cells; k++) {
        g->stack[depth++] = k;
        while (depth > 2 && mass[g->stack[depth - 2]] < 0.0) {
            const size_t a = g->stack[depth - 3], b = g->stack[depth - 2];
            const double to_a = a == base ? INFINITY : g->spacing * (double)(b - a);
            const double to_c = g->spacing * (double)(k - b);
            /* Q-mass goes to a in proportion v_c − v_b, and each P-mass is v times Q-mass. */
            const double share = expm1(-to_c) / expm1(-to_a - to_c); /* (v_c − v_b)/(v_c − v_a) */
            if (a != base)
                mass[a] += mass[b] * share * exp(-to_a);
            mass[k] += mass[b] * (1.0 - share) * exp(to_c);
            mass[b] = 0.0;
            g->stack[--depth - 1] = k;
        }
    }
    mass[g->cells] = fmax(mass[g->cells], 0.0); /* rounding only */
}

/* The polygon below. */
static void fit_below(grid *g)
{
    const double up = g->up, down = g->down;
    double before = 0.0;
    for (size_t k = 0; k <= g->cells; k++) {
        const line here = k < g->cells ? supporting_line(g, k) : (line){0.0, 0.0};
        g->deficit[k] = fmax(here.left, before);
        before = here.right;
    }
    for (size_t k = 0; k <= g->cells; k++) {
        const double left = k > 0 ? (g->deficit[k] - g->deficit[k - 1]) / down : g->deficit[k];
        const double right = k < g->cells ? (g->deficit[k + 1] - g->deficit[k]) / up : 0.0;
        /* On a coarse grid nothing but rounding may be left: take off what that can be. */
        double parts = g->above[k] + g->deficit[k] * (1.0 + 1.0 / down + 1.0 / up);
        parts += k > 0 ? g->deficit[k - 1] / down : 0.0;
        parts += k < g->cells ? g->deficit[k + 1] / up : 0.0;
        g->below[k] = g->above[k] + left - right - 2e-14 * parts;
    }
    take_hull(g);
}

/* How far the masses are from adding up to what they are of: a measure of all errors of the integrals. */
static double total_error(const grid *g, const pld_tails *tails)
{
    long double p = tails->p_below + tails->p_above, q = tails->q_below + tails->q_above;
    for (size_t k = 0; k <= g->cells; k++) {
        p += g->above[k];
        q += g->above[k] * exp(-loss_of(g, k));
    }
    return (double)(fabsl(p - 1.0L) + fabsl(q - 1.0L));
}

/* Both sides of one direction. */
static void fit(grid *g, const pld_tails *tails, pld_atoms out[PLD_SIDES])
{
    const size_t atoms = g->cells + 1;
    split_cells(g);
    sum_curve(g);
    fit_below(g);
    for (int side = 0; side < PLD_SIDES; side++) {
        out[side].origin = g->origin;
        out[side].first = g->first;
        out[side].length = atoms;
        memcpy(out[side].weights, side == PLD_ABOVE ? g->above : g->below, atoms * sizeof *g->above);
    }
    /* Above the truth, losses below the grid are raised to its low end and those above it to infinity. */
    out[PLD_ABOVE].weights[0] += tails->p_below;
    out[PLD_ABOVE].infinite = tails->p_above;
}

sotto_status pld_release_make(const sotto_mechanism *mechanism, double spacing, double tail, pld_release *out,
                              sotto_error *err)
{
    grid g;
    sotto_status status = prepare(&g, mechanism, spacing, tail, err);
    if (status != SOTTO_OK)
        return status;
    const size_t atoms = g.cells + 1;
    pld_release made = {.memory = malloc(PLD_DIRECTIONS * PLD_SIDES * atoms * sizeof *made.memory)};
    if (made.memory) {
        for (int i = 0; i < PLD_DIRECTIONS * PLD_SIDES; i++)
            made.atoms[i / PLD_SIDES][i % PLD_SIDES].weights = made.memory + (size_t)i * atoms;
        const pld_tails tails = g.losses->tails(mechanism, loss_of(&g, 0), loss_of(&g, g.cells));
        const pld_tails swapped = {tails.q_above, tails.p_above, tails.q_below, tails.p_below};
        fit(&g, &tails, made.atoms[PLD_REMOVE]);
        /* a mass z deviations out errs by about z² units of roundoff; those of a binomial law by more */
        made.slack = 2e-13 * (1.0 + 0.25 * (double)(mechanism->group_size - 1)) + total_error(&g, &tails);
        if (!g.losses->symmetric) {
            mirror(&g);
            fit(&g, &swapped, made.atoms[PLD_ADD]);
        } else {
            memcpy(made.atoms[PLD_ADD], made.atoms[PLD_REMOVE], sizeof made.atoms[PLD_ADD]);
        }
        *out = made;
    } else {
        status =
            sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory for a grid of %zu privacy losses", atoms);
    }
    release(&g);
    return status;
}

void pld_release_free(pld_release *release)
{
    free(release->memory);
    *release = (pld_release){0};
}
