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
    double q, sigma, variance;
    int parts;           /* of the sum over i; those of no weight are left out */
    double p[MAX_GROUP]; /* of i = first + part */
    int first;           /* ≥ 1 */
    double none;         /* p_0 */
    double lowest;       /* the loss at x → −∞, log p_0 */
    double bottom;       /* the loss at x = −FAR σ, below which there is nothing in double precision */
    double group;
} mixture;

static void set_parts(const sotto_mechanism *mechanism, mixture *m)
{
    const double q = mechanism->sample_rate, sigma = mechanism->noise_multiplier;
    const double k = (double)mechanism->group_size;
    *m = (mixture){.q = q, .sigma = sigma, .variance = sigma * sigma, .first = 1, .group = k};
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
    m->parts = (int)k;
    for (int i = 1; i <= m->parts; i++)
        m->p[i - 1] = k == 1.0 ? q : gsl_ran_binomial_pdf((unsigned)i, q, (unsigned)k);
}

/* log Λ(x), by the largest term */
static double loss_at(const mixture *m, double x)
{
    double top = m->lowest;
    for (int i = 0; i < m->parts; i++)
        if (m->p[i] > 0.0)
            top = fmax(top, log(m->p[i]) + (m->first + i) * (x - 0.5 * (m->first + i)) / m->variance);
    double sum = m->none > 0.0 ? exp(m->lowest - top) : 0.0;
    for (int i = 0; i < m->parts; i++)
        if (m->p[i] > 0.0)
            sum += exp(log(m->p[i]) + (m->first + i) * (x - 0.5 * (m->first + i)) / m->variance - top);
    return top + log(sum);
}

static void describe(const sotto_mechanism *mechanism, mixture *m)
{
    set_parts(mechanism, m);
    m->bottom = loss_at(m, -FAR * m->sigma);
}

/* x of a loss; −FAR σ where the loss is below all there are */
static double place_of(const mixture *m, double loss)
{
    const double lowest = -FAR * m->sigma;
    if (loss <= m->lowest)
        return lowest;
    if (m->parts == 1) {
        const double odds = (expm1(loss) + m->p[0]) / m->p[0]; /* (e^l − 1 + q)/q, but for overflow */
        const double log_odds = m->none == 0.0 ? loss : loss < 500.0 ? log(odds) : loss - log(m->p[0]);
        return fmax(0.5 + m->variance * log_odds, lowest);
    }
    double low = lowest, high = fmax(m->group + FAR * m->sigma, m->variance * loss + m->group);
    while (loss_at(m, high) < loss)
        high *= 2.0;
    for (int i = 0; i < 200 && high - low > 1e-15 * (fabs(low) + fabs(high)); i++) {
        const double middle = 0.5 * (low + high);
        if (loss_at(m, middle) < loss)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Φ(−z) ≤ e^{−z²/2} */
static double quantile(double tail)
{
    return sqrt(-2.0 * log(tail));
}

static void range(const sotto_mechanism *mechanism, double tail, double *low, double *high)
{
    mixture m;
    describe(mechanism, &m);
    const double z = fmin(quantile(tail), FAR - 1.0) * m.sigma;
    *low = loss_at(&m, -z);
    *high = loss_at(&m, m.group + z);
}

static double normal_above(double z)
{
    return 0.5 * erfc(z * M_SQRT1_2) * (1.0 + 1e-12);
}

static pld_tails tails(const sotto_mechanism *mechanism, double low, double high)
{
    mixture m;
    describe(mechanism, &m);
    const double from = place_of(&m, low), to = place_of(&m, high);
    const bool all = low <= m.bottom;
    pld_tails out = {
        .p_below = all ? 0.0 : m.none * normal_above(-from / m.sigma),
        .q_below = all ? 0.0 : normal_above(-from / m.sigma),
        .p_above = m.none * normal_above(to / m.sigma),
        .q_above = normal_above(to / m.sigma),
    };
    for (int i = 0; i < m.parts; i++) {
        if (!all)
            out.p_below += m.p[i] * normal_above((m.first + i - from) / m.sigma);
        out.p_above += m.p[i] * normal_above((to - m.first - i) / m.sigma);
    }
    return out;
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
        const double i = m->first + part, z = (middle - i) / m->sigma, rate = i / m->variance;
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

/* Both integrals over x from a to b, in panels so short that the nodes are exact to the last digits. */
static void integrate(const mixture *m, double a, double b, double *rise, double *fall)
{
    const double panels = (b - a) * (4.0 / m->sigma + 2.0 * m->group / m->variance);
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
    double from = place_of(&m, origin + width * (double)first);
    for (size_t i = 0; i < count; i++) {
        const double low = origin + width * (double)(first + (int64_t)i);
        const double to = place_of(&m, origin + width * (double)(first + (int64_t)i + 1));
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
    return loss_at(&m, 0.0);
}

static double largest(const sotto_mechanism *mechanism)
{
    (void)mechanism;
    return INFINITY;
}

static bool covers(const sotto_mechanism *mechanism)
{
    return mechanism->group_size <= MAX_GROUP || mechanism->sample_rate == 1.0;
}

const struct accountant_losses accountant_sampled_gaussian_losses = {
    .covers = covers, .center = center, .range = range, .tails = tails, .cells = cells, .largest = largest};
const struct accountant_losses accountant_gaussian_losses = {
    .symmetric = true, .center = center, .range = range, .tails = tails, .cells = cells, .largest = largest};
