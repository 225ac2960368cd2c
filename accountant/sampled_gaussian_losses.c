/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <math.h>

#include <gsl/gsl_randist.h>

/*
 * P is the mixture Σ_i p_i N(i, σ²) with p_i = Bin(i; k, q), Q is N(0, σ²): a group of k units under Poisson
 * sampling, one unit for k = 1, no sampling for q = 1. The likelihood ratio
 *
 *     Λ(x) = Σ_i p_i e^{(2ix − i²)/(2σ²)}
 *
 * rises with x, so a cell of losses is an interval of x. There (Λ(x) − Λ(y)) dQ is
 * Σ_{i≥1} p_i N(x; i, σ²)(1 − e^{−i(x−y)/σ²}) dx: of one sign, and without the unit that no sample held.
 */

/* Beyond this many σ a normal density is 0 in double precision. */
static const double FAR = 39.0;

/* Larger groups than this are left to Rényi divergences. */
enum { MAX_GROUP = 256 };

typedef struct mixture {
    double sigma, variance;
    int parts; /* of the sum over i = 1, 2, … */
    double p[MAX_GROUP], log_p[MAX_GROUP];
    double none;   /* p_0 */
    double lowest; /* the loss at x → −∞, log p_0 */
    double bottom; /* the loss at x = −FAR σ, below which there is nothing in double precision */
    double group;
} mixture;

static void set_parts(const sotto_mechanism *mechanism, mixture *m)
{
    const double q = mechanism->sample_rate, sigma = mechanism->noise_multiplier;
    const double k = (double)mechanism->group_size;
    *m = (mixture){.sigma = sigma, .variance = sigma * sigma, .group = k, .parts = (int)k};
    if (q == 1.0) { /* all of the group, as one of sensitivity k */
        m->parts = 1;
        m->p[0] = 1.0;
        m->sigma = sigma / k;
        m->variance = m->sigma * m->sigma;
        m->group = 1.0;
        m->lowest = -INFINITY;
        return;
    }
    m->lowest = k * log1p(-q);
    m->none = exp(m->lowest);
    for (int i = 1; i <= m->parts; i++)
        m->p[i - 1] = k == 1.0 ? q : gsl_ran_binomial_pdf((unsigned)i, q, (unsigned)k);
    while (m->p[m->parts - 1] == 0.0) /* too rare for a double */
        m->parts--;
    for (int i = 0; i < m->parts; i++)
        m->log_p[i] = log(m->p[i]);
}

/* log of a term of Λ(x) */
static double log_term(const mixture *m, int part, double x)
{
    const double i = part + 1;
    return m->log_p[part] + i * (x - 0.5 * i) / m->variance;
}

/* log Λ(x), by the largest term; and its slope, where wanted. Convex in x. */
static double loss_at(const mixture *m, double x, double *slope)
{
    const double negligible = 45.0;
    double top = m->lowest;
    for (int part = 0; part < m->parts; part++)
        top = fmax(top, log_term(m, part, x));
    double sum = m->none > 0.0 ? exp(m->lowest - top) : 0.0, pull = 0.0;
    for (int part = 0; part < m->parts; part++) {
        const double below = log_term(m, part, x) - top;
        if (below < -negligible)
            continue;
        const double term = exp(below);
        sum += term;
        pull += (part + 1) * term;
    }
    if (slope)
        *slope = pull / sum / m->variance;
    return top + log(sum);
}

static void describe(const sotto_mechanism *mechanism, mixture *m)
{
    set_parts(mechanism, m);
    m->bottom = loss_at(m, -FAR * m->sigma, NULL);
}

/*
 * x of a loss; −FAR σ where the loss is below all there are. Newton's method from `start`: the loss is convex
 * in x, so that it comes down on the place from above, but for one step.
 */
static double place_of(const mixture *m, double loss, double start)
{
    const double lowest = -FAR * m->sigma;
    if (loss <= m->bottom)
        return lowest;
    if (m->parts == 1) {
        const double odds = (expm1(loss) + m->p[0]) / m->p[0]; /* (e^l − 1 + q)/q, but for overflow */
        const double log_odds = m->none == 0.0 ? loss : loss < 500.0 ? log(odds) : loss - m->log_p[0];
        return fmax(0.5 + m->variance * log_odds, lowest);
    }
    double x = start;
    for (int i = 0; i < 200; i++) {
        double slope;
        const double step = (loss_at(m, x, &slope) - loss) / slope;
        const double limit =
            10.0 * m->sigma + m->group; /* from where the loss is flat a step could go anywhere */
        x = fmax(x - fmin(fmax(step, -limit), limit), lowest);
        if (!(fabs(step) > 1e-15 * (fabs(x) + m->sigma)))
            break;
    }
    return x;
}

/* Φ(−z) ≤ e^{−z²/2} */
static double quantile(double tail)
{
    return sqrt(-2.0 * log(tail));
}

static double normal_above(double z)
{
    return 0.5 * erfc(z * M_SQRT1_2) * (1.0 + 1e-12);
}

/* P above x */
static double mass_above(const mixture *m, double x)
{
    double sum = m->none * normal_above(x / m->sigma);
    for (int part = 0; part < m->parts; part++)
        sum += m->p[part] * normal_above((x - part - 1) / m->sigma);
    return sum;
}

static double mass_below(const mixture *m, double x)
{
    double sum = m->none * normal_above(-x / m->sigma);
    for (int part = 0; part < m->parts; part++)
        sum += m->p[part] * normal_above((part + 1 - x) / m->sigma);
    return sum;
}

static void range(const sotto_mechanism *mechanism, double tail, double *low, double *high)
{
    mixture m;
    describe(mechanism, &m);
    const double z = fmin(quantile(tail), FAR - 1.0) * m.sigma;
    double near = 0.0, far = m.group + z; /* to a hundredth of σ: it is only an end */
    while (far - near > 0.01 * m.sigma) {
        const double middle = 0.5 * (near + far);
        if (mass_above(&m, middle) > tail)
            near = middle;
        else
            far = middle;
    }
    *low = loss_at(&m, -z, NULL);
    *high = loss_at(&m, far, NULL);
}

static pld_tails tails(const sotto_mechanism *mechanism, double low, double high)
{
    mixture m;
    describe(mechanism, &m);
    const double from = place_of(&m, low, 0.0), to = place_of(&m, high, m.group);
    const bool all = low <= m.bottom;
    return (pld_tails){.p_below = all ? 0.0 : mass_below(&m, from),
                       .q_below = all ? 0.0 : normal_above(-from / m.sigma),
                       .p_above = mass_above(&m, to),
                       .q_above = normal_above(to / m.sigma)};
}

/* Gauss–Legendre on [−1, 1]. */
typedef struct rule {
    int nodes;
    double node[5], weight[5];
} rule;
static const rule five = {
    5,
    {-0.90617984593866399280, -0.53846931010568309104, 0.0, 0.53846931010568309104, 0.90617984593866399280},
    {0.23692688505618908751, 0.47862867049936646804, 0.56888888888888888889, 0.47862867049936646804,
     0.23692688505618908751}};
static const rule three = {3,
                           {-0.77459666924148337704, 0.0, 0.77459666924148337704},
                           {0.55555555555555555556, 0.88888888888888888889, 0.55555555555555555556}};

/* e^y − 1; most cells of a fine grid are short. */
static inline double growth(double y)
{
    if (fabs(y) > 0x1p-6)
        return expm1(y);
    const double inner = 1.0 + y * (1.0 / 5) * (1.0 + y * (1.0 / 6) * (1.0 + y * (1.0 / 7)));
    return y * (1.0 + y * 0.5 * (1.0 + y * (1.0 / 3) * (1.0 + y * 0.25 * inner)));
}

/* One panel: the sums of the rule over Σ p_i N(x; i, σ²) times the growths from x to a and b, but for
 * constants. */
static void add_panel(const mixture *m, const rule *r, double a, double b, double low, double high,
                      double *up, double *down)
{
    const double middle = 0.5 * (low + high), half = 0.5 * (high - low), inverse = 1.0 / m->sigma;
    for (int part = 0; part < m->parts; part++) {
        const double i = part + 1, z = (middle - i) / m->sigma, rate = i / m->variance;
        const double density = half * m->p[part] * exp(-0.5 * z * z);
        if (density == 0.0)
            continue;
        for (int node = 0; node < r->nodes; node++) {
            const double step = half * r->node[node], x = middle + step, t = step * inverse;
            const double weight = density * r->weight[node] * (1.0 + growth(-t * (z + 0.5 * t)));
            *up -= weight * growth(rate * (a - x));
            *down += weight * growth(rate * (b - x));
        }
    }
}

/* Panels for each unit of x. */
static double panel_rate(const mixture *m)
{
    return 4.0 / m->sigma + 2.0 * m->group / m->variance;
}

/* Both integrals over x from a to b, in panels so short that the nodes are exact to the last digits. */
static void integrate(const mixture *m, double a, double b, double *rise, double *fall)
{
    const double panels = (b - a) * panel_rate(m);
    const int count = (int)fmin(ceil(panels), 1e5);
    const rule *r = panels < 0.05 ? &three : &five;
    const double scale = 1.0 / (m->sigma * sqrt(2.0 * M_PI));
    double up = 0.0, down = 0.0;
    for (int panel = 0; panel < count; panel++)
        add_panel(m, r, a, b, a + (b - a) * panel / count, a + (b - a) * (panel + 1) / count, &up, &down);
    *rise = scale * up;
    *fall = scale * down;
}

static void cells(const sotto_mechanism *mechanism, double origin, double width, int64_t first, size_t count,
                  double *rise, double *fall)
{
    mixture m;
    describe(mechanism, &m);
    double from = place_of(&m, origin + width * (double)first, 0.0);
    for (size_t i = 0; i < count; i++) {
        const double low = origin + width * (double)(first + (int64_t)i);
        const double to = place_of(&m, origin + width * (double)(first + (int64_t)i + 1), from);
        rise[i] = fall[i] = 0.0;
        if (to > from)
            integrate(&m, from, to, &rise[i], &fall[i]);
        if (to > from && low < m.bottom) /* the cell reaches below x = −FAR σ, where integrate began */
            rise[i] += exp(low) * expm1(m.bottom - low) * 0.5 * erfc(-to / m.sigma * M_SQRT1_2);
        from = to;
    }
}

/* The loss of Q's median: with a small q nearly all there is. */
static double center(const sotto_mechanism *mechanism)
{
    mixture m;
    describe(mechanism, &m);
    return loss_at(&m, 0.0, NULL);
}

static double largest(const sotto_mechanism *mechanism)
{
    (void)mechanism;
    return INFINITY;
}

/* A group's cells cost as much more as it has parts. */
static double effort(const sotto_mechanism *mechanism)
{
    return mechanism->sample_rate == 1.0 ? 1.0 : ceil((double)mechanism->group_size / 8.0);
}

/* How many panels all cells need at least, times the parts. */
static bool feasible(const sotto_mechanism *mechanism)
{
    mixture m;
    set_parts(mechanism, &m);
    const double length = m.group + 2.0 * FAR * m.sigma, rate = panel_rate(&m);
    return length * rate * m.parts < 3e7;
}

static bool covers(const sotto_mechanism *mechanism)
{
    return mechanism->group_size <= MAX_GROUP || mechanism->sample_rate == 1.0;
}

const struct accountant_losses accountant_sampled_gaussian_losses = {.covers = covers,
                                                                     .feasible = feasible,
                                                                     .effort = effort,
                                                                     .center = center,
                                                                     .range = range,
                                                                     .tails = tails,
                                                                     .cells = cells,
                                                                     .largest = largest};
const struct accountant_losses accountant_gaussian_losses = {.feasible = feasible,
                                                             .symmetric = true,
                                                             .center = center,
                                                             .range = range,
                                                             .tails = tails,
                                                             .cells = cells,
                                                             .largest = largest};
