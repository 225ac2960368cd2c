/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <float.h>
#include <math.h>

/*
 * A group of k units under Poisson sampling: P = Σ_i w_i N(i, σ²), w_i = Bin(i; k, q), and Q = N(0, σ²). That
 * all units push the same way, as far as they may, is the worst case (Choquette-Choo, Ganesh, Steinke,
 * Thakurta 2023, arXiv:2310.15526, on mixtures of Gaussians). Neither direction is known to dominate for
 * k > 1, so both are computed, as in sampled_gaussian.c: with 1 + u = dP/dQ and l = log(1 + u),
 *
 *     h = ((1 + u)^β − 1 − βu)/t ≥ 0,   β = α for P from Q,   β = −t for Q from P,
 *     J = E_Q[h],   r = log(1 + tJ)/t.
 *
 * J is a trapezoid sum. In y = e^{z/σ²}, 1 + u is a polynomial all of whose zeros are real and negative (the
 * binomial's are, and e^{−ci²} keeps them so: Laguerre), so that h is analytic in |Im z| < πσ². There |1 + u|
 * is no larger than on the axis, and, at a distance d, smaller by no more than cos(d/(2σ²))^k.
 *
 * Which nodes matter is found by halving: l is convex, so that αl lies below its chords and −tl below its
 * tangents, and what is left is a parabola.
 */

enum { MAX_GROUP = 256 };     /* more units are bounded */
enum { MAX_PARTS = 1 << 12 }; /* still more are bounded more loosely */
enum { MAX_WORK = 1 << 18 };  /* terms evaluated before giving up for the bound */
enum { LEAF = 8 };            /* intervals of fewer nodes are not halved */
enum { SERIES_TERMS = 11 };

static const double DIGITS = 44.0;     /* discretisation error, relative, as −log */
static const double NEGLIGIBLE = 50.0; /* a node this far below the largest, as −log, is left out */
static const double SERIES = 0.05;     /* α|u| below which h is a series */

typedef struct integral {
    int group;
    double sigma, variance, t, alpha;
    double beta;                  /* α or −t */
    double weight[MAX_GROUP + 1]; /* w_i */
    double log_weight[MAX_GROUP + 1];
    double tail[MAX_GROUP + 1]; /* log of the β-th moment of w_i·dN(i)/dQ alone */
    double slack;               /* the constant by which h may exceed (1+u)^β or 1 + u, as log */
    double low, step;           /* node n is at low + n·step */
    double scale, sum;          /* the sum so far is sum·e^scale */
    long work;
} integral;

/* The likelihood ratio at a place. */
typedef struct ratio {
    double log;    /* l */
    double slope;  /* σ² times its derivative: the mean of i there */
    int largest;   /* the part that weighs most */
    double others; /* log of the whole over that part */
} ratio;

static ratio ratio_at(integral *in, double z)
{
    double top = -INFINITY, sum = 0.0, mean = 0.0;
    int largest = 0;
    for (int i = 0; i <= in->group; i++) {
        const double size = in->log_weight[i] + i * (z - 0.5 * i) / in->variance;
        if (size > top)
            top = size, largest = i;
    }
    for (int i = 0; i <= in->group; i++) {
        /* over the largest, by differences: far out the sizes themselves have no digits left for it */
        const double size = in->log_weight[i] - in->log_weight[largest] +
                            (i - largest) * (z - 0.5 * (i + largest)) / in->variance;
        const double share = size > -NEGLIGIBLE ? exp(size) : 0.0;
        sum += share;
        mean += i * share;
    }
    in->work += in->group;
    const double others = log1p(sum - 1.0); /* the largest is 1 of it */
    return (ratio){top + others, mean / sum, largest, others};
}

/* Σ w_i(e^{L_i} − 1), without the units that no sample held */
static double excess_at(integral *in, double z)
{
    double sum = 0.0;
    for (int i = 1; i <= in->group; i++) {
        const double power = i * (z - 0.5 * i) / in->variance;
        sum += power < 1.0 ? in->weight[i] * expm1(power) : exp(in->log_weight[i] + power) - in->weight[i];
    }
    in->work += in->group;
    return sum;
}

/* Σ C(β,k)u^k/t from k = 2, over its first term αu²/2: 1e-16 relative for α|u| below SERIES. */
static double series(double beta, double u)
{
    double sum = 1.0;
    for (int k = SERIES_TERMS + 1; k >= 2; k--)
        sum = 1.0 + sum * u * (beta - k) / (k + 1.0);
    return sum;
}

/* log((1+u)^β) + log of the normal density, its square completed about the part that weighs most. */
static double power_and_density(const integral *in, const ratio *at, double z)
{
    const double away = z - in->beta * at->largest;
    return in->tail[at->largest] + in->beta * at->others - 0.5 * away * away / in->variance;
}

/* log of h times the density, but for 1/(σ√2π), where u > 1 */
static double log_node_above(const integral *in, const ratio *at, double z)
{
    const double t = in->t, l = at->log, less = exp(-l);
    if (in->beta > 0.0) {
        const double rise = t > 0.0 ? -expm1(-t * l) / t : l;
        return power_and_density(in, at, z) + log(rise + expm1(-l) * exp(-t * l));
    }
    const double fall = t > 0.0 ? expm1(-t * l) / t : -l, away = z - at->largest;
    return in->log_weight[at->largest] + at->others - 0.5 * away * away / in->variance +
           log1p((fall - 1.0) * less);
}

static double log_node(integral *in, double z)
{
    const ratio at = ratio_at(in, z);
    if (at.log > M_LN2)
        return log_node_above(in, &at, z);
    const double u = excess_at(in, z), t = in->t, density = -0.5 * z * z / in->variance;
    if (fabs(u) * in->alpha < SERIES)
        return log(0.5 * in->alpha) + 2.0 * log(fabs(u)) + log(series(in->beta, u)) + density;
    const double l = u > -0.5 ? log1p(u) : at.log, tau = in->beta > 0.0 ? t * l : -t * l;
    if (tau > 500.0)
        return power_and_density(in, &at, z) - log(t);
    if (in->beta > 0.0)
        return log((1.0 + u) * (t > 0.0 ? expm1(tau) / t : l) - u) + density;
    return log((t > 0.0 ? expm1(tau) / t : -l) + u) + density;
}

/* The most that value + slope·(z − a) − z²/(2σ²) is on [a, b]; slope over σ². */
static double parabola(const integral *in, double value, double slope, double a, double b)
{
    const double z = fmin(fmax(slope, a), b);
    return value + slope * (z - a) / in->variance - 0.5 * z * z / in->variance;
}

/* No node between a and b has a log above this. */
static double bound(const integral *in, double a, double b, const ratio *at_a, const ratio *at_b)
{
    const double factor = in->beta > 0.0 ? in->beta : 1.0; /* h ≤ (1+u)^α/t and the like, or h ≤ u */
    const double left = fmax(factor * at_a->log, 0.0), right = fmax(factor * at_b->log, 0.0);
    double most = parabola(in, left, (right - left) / (b - a) * in->variance, a, b);
    if (in->beta <= 0.0) /* where u < 0 */
        most = fmax(most, parabola(in, -in->t * at_a->log, -in->t * at_a->slope, a, b));
    return most + in->slack;
}

static void add_node(integral *in, double z)
{
    const double size = log_node(in, z);
    if (size > in->scale) {
        in->sum *= exp(in->scale - size);
        in->scale = size;
    }
    if (size > -INFINITY)
        in->sum += exp(size - in->scale);
}

/* Add the nodes from `first` up to but not including `last`. */
static void add_nodes(integral *in, double first, double last, const ratio *at_first, const ratio *at_last)
{
    const double a = in->low + first * in->step, b = in->low + last * in->step;
    if (in->work > MAX_WORK || bound(in, a, b, at_first, at_last) < in->scale - NEGLIGIBLE)
        return;
    if (last - first <= LEAF) {
        for (double n = first; n < last; n += 1.0)
            add_node(in, in->low + n * in->step);
        return;
    }
    const double middle = floor(0.5 * (first + last));
    const ratio at_middle = ratio_at(in, in->low + middle * in->step);
    add_nodes(in, first, middle, at_first, &at_middle);
    add_nodes(in, middle, last, &at_middle, at_last);
}

/* The trapezoid rule's error is e^{d²s²/2 − 2πd/step} for all d in the strip. */
static double step_of(const integral *in)
{
    double curvature = 1.0 / in->variance, strip = M_PI * in->variance;
    if (in->beta < 0.0) { /* −log cos x ≤ 1.13x²/2 up to π/4 */
        curvature += 1.13 * in->t * in->group / (4.0 * in->variance * in->variance);
        strip *= 0.5;
    }
    const double distance = fmin(sqrt(2.0 * DIGITS / curvature), strip);
    return 2.0 * M_PI * distance / (DIGITS + 0.5 * distance * distance * curvature);
}

static void set_direction(integral *in, const sotto_mechanism *mechanism, double beta)
{
    in->beta = beta;
    const double group = (double)mechanism->group_size;
    const long double q = fmax(mechanism->sample_rate, 1e-200), exponent = beta;
    long double log_weight = group * log1pl(-q);
    for (int i = 0; i <= in->group; i++) {
        if (i > 0)
            log_weight += logl((group - i + 1) / (long double)i) + logl(q) - log1pl(-q);
        const long double growth = 0.5L * i * i * (exponent - 1) / in->sigma / in->sigma;
        /* what long double lacks is added: tails are rounded up */
        const long double lacks = 4.0L * LDBL_EPSILON * fabsl(exponent) * (fabsl(growth) + fabsl(log_weight));
        in->log_weight[i] = (double)log_weight;
        in->weight[i] = (double)expl(log_weight);
        in->tail[i] = (double)(exponent * (log_weight + growth) + lacks);
    }
}

/* log J; INFINITY where it would take too long */
static double log_expectation(integral *in)
{
    const double group = in->group, furthest = (in->alpha + 1.0) * group + 40.0 * in->sigma;
    in->slack = log1p(group * (furthest + group) / in->variance); /* of |l| */
    if (in->t > 0.0)
        in->slack = fmax(fmin(in->slack, -log(in->t)), 0.0);
    in->step = step_of(in);
    in->scale = -INFINITY;
    in->sum = 0.0;
    in->work = 0;
    in->scale = fmax(log_node(in, -sqrt(2.0) * in->sigma), log_node(in, sqrt(2.0) * in->sigma));
    const double depth = 1.5 * NEGLIGIBLE + in->slack + fmax(-in->scale, 0.0);
    const double margin = in->sigma * sqrt(2.0 * depth);
    in->low = (in->beta > 0.0 ? 0.0 : in->beta * group) - margin;
    const double high = (in->beta > 0.0 ? in->beta * group : group) + margin;
    const double nodes = ceil((high - in->low) / in->step);
    if (!(nodes < 0x1p40))
        return INFINITY;
    const ratio first = ratio_at(in, in->low), last = ratio_at(in, in->low + nodes * in->step);
    add_nodes(in, 0.0, nodes, &first, &last);
    if (in->work > MAX_WORK)
        return INFINITY;
    return in->scale + log(in->sum) + log(in->step / (in->sigma * sqrt(2.0 * M_PI)));
}

/* log1p(t·e^log_j)/t */
static double divergence(double log_j, double t)
{
    const double scaled = t > 0.0 ? log(t) + log_j : log_j;
    if (scaled > 700.0)
        return scaled / t;
    return t > 0.0 ? log1p(exp(scaled)) / t : exp(scaled);
}

/*
 * Minkowski's inequality in L^α: (∫P^αQ^{−t})^{1/α} ≤ Σ w_i e^{ti²/(2σ²)} =: e^m. It bounds the other
 * direction as well: there log(1 + u) ≥ Σ w_i L_i (Jensen), so that ∫Q^αP^{−t} ≤ exp(t(E[i²] +
 * tE[i]²)/(2σ²)), whose t-th part is at most αE[i²]/(2σ²) ≤ αm/t, again by Jensen.
 */
static double minkowski(const sotto_mechanism *mechanism, double t)
{
    const double k = (double)mechanism->group_size, q = mechanism->sample_rate;
    const double sigma = mechanism->noise_multiplier, alpha = 1.0 + t, unit = 0.5 * t / sigma / sigma;
    if (unit * k * k < 1e-12) /* e^x − 1 ≤ (1 + x)x there; m ≤ E[e^x − 1] */
        return alpha * (k * q * (1.0 - q) + k * k * q * q) / sigma / sigma * 0.5 * (1.0 + 1e-12);
    double log_weight = k * log1p(-q), sum = -INFINITY; /* log Σ w_i(e^{…} − 1) */
    const double parts = k <= MAX_PARTS ? k : 1.0;
    for (double i = 1.0; i <= parts; i += 1.0) {
        log_weight += log((k - i + 1.0) / i) + log(q) - log1p(-q);
        const double power = k <= MAX_PARTS ? unit * i * i : unit * k; /* i² ≤ ki: units of one by one */
        const double size = (k <= MAX_PARTS ? log_weight : log(q)) + power + log(-expm1(-power));
        const double high = fmax(sum, size), low = fmin(sum, size);
        sum = high + log1p(exp(low - high));
    }
    const double m = sum < 700.0 ? log1p(exp(sum)) : sum;
    return alpha / t * (k <= MAX_PARTS ? m : k * m) * (1.0 + 1e-12);
}

double accountant_sampled_group_one_way(const sotto_mechanism *mechanism, double t, bool remove)
{
    integral in = {.group = mechanism->group_size <= MAX_GROUP ? (int)mechanism->group_size : 0,
                   .sigma = fmin(mechanism->noise_multiplier, 1e50),
                   .t = t,
                   .alpha = 1.0 + t};
    in.variance = in.sigma * in.sigma;
    /* Beyond this nodes have no digits for their exponents. */
    if (in.group == 0 || in.alpha * in.group > 1e7 * in.sigma || in.sigma < 1e-3)
        return INFINITY;
    set_direction(&in, mechanism, remove ? in.alpha : -t);
    return divergence(log_expectation(&in), t);
}

double accountant_sampled_group_rdp(const sotto_mechanism *mechanism, double t)
{
    const double unsampled = accountant_gaussian.rdp(mechanism, t);
    const double at_most = fmin(minkowski(mechanism, t), unsampled);
    const double remove = accountant_sampled_group_one_way(mechanism, t, true);
    if (!(remove < at_most))
        return at_most;
    const double add = accountant_sampled_group_one_way(mechanism, t, false);
    return add < at_most ? fmax(remove, add) : at_most;
}
