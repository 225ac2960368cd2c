/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>

/*
 * A batch of fixed size, drawn without replacement, between data sets that differ in one unit's value. With
 * γ the sampling rate and ε(j) = j/(2σ²) the unsampled release's divergence, Wang, Balle, Kasiviswanathan
 * 2019 (Thms 9 and 27) bound the moment at integer orders by
 *
 *     1 + Σ_{j≥2} C(α,j) γ^j c_j,
 *     c_2 = min{4(e^{ε(2)} − 1), 2e^{ε(2)}},
 *     c_j = min{4√(B(2⌊j/2⌋)·B(2⌈j/2⌉)), 2e^{(j−1)ε(j)}},
 *
 * where B(l) = E_Q[(P/Q − 1)^l]. The paper has B as a forward difference, an alternating sum; here it is
 * integrated, and loses nothing. It is an upper bound: how far from the truth is not known.
 *
 * The moment is also jointly convex in P and Q, of which the share 1 − γ can be paired off as equal: at most
 * 1 + γ(e^{(α−1)ε(α)} − 1), at every order. That is the better one at high rates and orders, and exact at γ
 * = 1.
 */

/* Beyond this order, where its sum would take long, the theorem is left alone. */
static const double LARGEST_ORDER = 4096.0;

/* A node or term this far below the largest, as −log, is left out, or not refined. */
static const double NEGLIGIBLE = 45.0;

static double log_sum(double a, double b)
{
    const double high = fmax(a, b), low = fmin(a, b);
    return low == -INFINITY ? high : high + log1p(exp(low - high));
}

/* log of (e^L − 1)^l N(z; 0, σ²) but for 1/(σ√2π), L = (z − ½)/σ², l even */
static double log_node(double z, double l, double variance)
{
    return l * log(fabs(expm1((z - 0.5) / variance))) - 0.5 * z * z / variance;
}

/*
 * Where it peaks to the right of ½ (side 1) or to the left (side −1). Each side's log is concave: the slope
 * l·e^L/(e^L − 1) − z, over σ², falls.
 */
static double peak(double l, double variance, double side)
{
    double near = 0.5, far = side > 0.0 ? 0.5 + l + sqrt(l * variance) : 0.5 - sqrt(l * variance);
    for (int i = 0; i < 60; i++) {
        const double z = 0.5 * (near + far), slope = -l / expm1(-(z - 0.5) / variance) - z;
        if (side * slope > 0.0)
            near = z;
        else
            far = z;
    }
    return 0.5 * (near + far);
}

/*
 * log B(l). The integrand is entire and, at a distance d from the axis, at most about e^{d²/σ²} larger on
 * average than on it, so that the trapezoid sum errs by e^{−(πσ/step)²}: nothing.
 */
static double log_central_moment(double l, double sigma)
{
    const double variance = sigma * sigma, step = 0.4 * sigma;
    const double peaks[] = {peak(l, variance, 1.0), peak(l, variance, -1.0)};
    const double scale = fmax(log_node(peaks[0], l, variance), log_node(peaks[1], l, variance));
    double sum = 0.0;
    for (int side = 0; side < 2; side++) {
        /* Nodes are multiples of the step to the right of ½, or to the left of it. */
        const double direction = side == 0 ? 1.0 : -1.0;
        const double first = round((peaks[side] - 0.5) / step - direction * 0.5) + direction * 0.5;
        for (int way = 0; way < 2; way++)
            for (double k = first + way;; k += way ? 1.0 : -1.0) {
                if (k * direction < 0.0)
                    break;
                const double size = log_node(0.5 + k * step, l, variance) - scale;
                if (!(size > -NEGLIGIBLE))
                    break;
                sum += exp(size);
            }
    }
    return scale + log(sum * step / (sigma * sqrt(2.0 * M_PI)));
}

/* log c_j without the moments, which serves where B would be no smaller: ‖P/Q − 1‖_l ≥ ‖P/Q‖_l − 1. */
static bool is_far_apart(double j, double sigma)
{
    const double growth = 0.5 * (2.0 * floor(0.5 * j) - 1.0) / sigma / sigma;
    return (j + 1.0) * log1p(-exp(-growth)) > -M_LN2;
}

/* log of the moment's bound by the theorem at an integer order */
static double log_theorem(double rate, double sigma, double alpha)
{
    const double pair = 1.0 / sigma / sigma, log_rate = log(rate); /* ε(2) */
    double log_term = log_rate + log(alpha) + log_rate + log(0.5 * (alpha - 1.0));
    double sum = log_term + fmin(log(4.0 * expm1(pair)), M_LN2 + pair);
    double even = -1.0, log_even = 0.0; /* the last l, and log B(l) */
    for (double j = 3.0; j <= alpha; j += 1.0) {
        log_term += log_rate + log((alpha - j + 1.0) / j);
        double log_factor = M_LN2 + 0.5 * j * (j - 1.0) / sigma / sigma;
        if (log_term + log_factor > fmax(sum, -NEGLIGIBLE) - NEGLIGIBLE && !is_far_apart(j, sigma)) {
            const double low = 2.0 * floor(0.5 * j), high = 2.0 * ceil(0.5 * j);
            const double log_low = even == low ? log_even : log_central_moment(low, sigma);
            log_even = high == low ? log_low : log_central_moment(high, sigma);
            even = high;
            log_factor = fmin(log_factor, log(4.0) + 0.5 * (log_low + log_even));
        }
        sum = log_sum(sum, log_term + log_factor);
    }
    return sum < 700.0 ? log1p(exp(sum)) : sum;
}

/* log(1 + γ(e^{tα/(2σ²)} − 1))/t */
static double rdp_convex(double rate, double sigma, double t)
{
    const double unsampled = 0.5 * (1.0 + t) / sigma / sigma, growth = t * unsampled;
    if (growth < 1e-12)
        return rate * unsampled;
    if (growth < 700.0)
        return log1p(rate * expm1(growth)) / t;
    return unsampled + log(rate + (1.0 - rate) * exp(-growth)) / t;
}

static double rdp_at_integer(const sotto_mechanism *mechanism, double t)
{
    const double rate = mechanism->sample_rate, sigma = mechanism->noise_multiplier, alpha = 1.0 + t;
    const double convex = rdp_convex(rate, sigma, t);
    /* The limits keep the theorem's terms in range. */
    if (alpha > LARGEST_ORDER || sigma < 1e-100 || sigma > 1e50)
        return convex;
    return fmin(convex, log_theorem(rate, sigma, alpha) / t);
}

/* Between integers by convexity (their Cor. 10); what is known at every order is tried there as well. */
static double rdp(const sotto_mechanism *mechanism, double t)
{
    const double rate = mechanism->sample_rate, sigma = mechanism->noise_multiplier;
    if (rate == 0.0)
        return 0.0;
    if (sigma == 0.0)
        return INFINITY;
    if (rate == 1.0)
        return accountant_gaussian.rdp(mechanism, t);
    const double bound =
        fmin(accountant_interpolate(rdp_at_integer, mechanism, t), rdp_convex(rate, sigma, t));
    return bound >= 0.0 ? bound : INFINITY;
}

const accountant_kind accountant_gaussian_without_replacement = {
    .name = "gaussian without replacement",
    .adjacencies = ACCOUNTANT_REPLACE_ONE,
    .parameters = ACCOUNTANT_SAMPLE_RATE | ACCOUNTANT_NOISE_MULTIPLIER,
    .rdp = rdp,
};

sotto_status sotto_mechanism_gaussian_without_replacement(sotto_mechanism *out, double sample_rate,
                                                          double noise_multiplier, sotto_error *err)
{
    return accountant_mechanism_make(out,
                                     (sotto_mechanism){.kind = SOTTO_MECHANISM_GAUSSIAN_WITHOUT_REPLACEMENT,
                                                       .sample_rate = sample_rate,
                                                       .noise_multiplier = noise_multiplier},
                                     err);
}
