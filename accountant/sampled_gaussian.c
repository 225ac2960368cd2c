/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <float.h>
#include <math.h>

/*
 * Rényi divergence of the Poisson-sampled Gaussian: of (1−q)N(0,σ²) + qN(1,σ²) from N(0,σ²), which Mironov,
 * Talwar, Zhang 2019 (Thms 4 and 5) show to be the larger of both directions. The likelihood ratio is 1 + u:
 *
 *     u(z) = q·expm1(L),  L = (z − ½)/σ²,  l = log1p(u),  t = α − 1,
 *     h = (1 + u)·expm1(tl)/t − u ≥ 0,     J = E[h(z)], z ~ N(0, σ²),     r = log1p(tJ)/t.
 *
 * Since E[u] = 0, h has the constant and the linear part of the moment taken off before anything is summed:
 * no cancellation at small q, and t → 0 is the Kullback–Leibler divergence. The published series at
 * fractional α converges algebraically and is not used.
 *
 * J is a trapezoid sum. h is analytic in |Im z| < πσ², and there the integrand is at most exp(d²/(2σ²))
 * larger at distance d than on the axis, so the error e^{d²/(2σ²) − 2πd/step} falls below e^−DIGITS by
 * `step_of`.
 *
 * Which nodes matter. For u ≥ 0 the integrand is at most exp F, F(z) = αl − z²/(2σ²) + constant, whose slope
 * is (αs(z) − z)/σ² with s = qe^L/(1 + u), a sigmoid: it has one peak, or two and a valley. For u < 0, h ≤ q
 * and h ≤ αq². Walks from the peaks to where these bounds are negligible meet every node that matters, few
 * though they are among those from 0 to α.
 */

static const double DIGITS = 44.0;     /* discretisation error, relative, as −log */
static const double NEGLIGIBLE = 50.0; /* a node this far below the largest, as −log, is left out */
enum { MAX_NODES = 1 << 22 };          /* never met; no loop runs for ever */
enum { SERIES_TERMS = 11 };

typedef struct integral {
    double q, sigma, t, alpha;
    double variance, log_q;
    double log_odds; /* log((1−q)/q) */
    double center;   /* where the two parts of the mixture weigh the same: qe^L = 1 − q */
    double log_tail; /* log of α-th moment of qe^L alone: α(log q + t/(2σ²)) */
    double bound;    /* the constant of F */
    double cutoff;   /* log of what is negligible */
    double scale;    /* log of about the largest node */
    double series[SERIES_TERMS];
} integral;

/* Σ C(α,k)u^k/(α−1) from k = 2, over its first term αu²/2, for α|u| below SERIES: 1e-16 relative. */
static const double SERIES = 0.05;

static void prepare_series(integral *in)
{
    for (int k = 2; k < 2 + SERIES_TERMS; k++)
        in->series[k - 2] = (in->t + 1.0 - k) / (k + 1.0);
}

static double series(const integral *in, double u)
{
    double sum = 1.0;
    for (int k = SERIES_TERMS - 1; k >= 0; k--)
        sum = 1.0 + sum * u * in->series[k];
    return sum;
}

/* The integrand at a node, but for 1/(σ√2π): factor·e^exponent; and F there. */
typedef struct node {
    double factor, exponent, bound;
} node;

/* u ≤ 1 */
static node near_node(const integral *in, double z, double growth)
{
    const double u = in->q * growth, gauss = -0.5 * z * z / in->variance;
    if (fabs(u) * in->alpha < SERIES) /* one q of u² goes to the exponent, or it could underflow */
        return (node){0.5 * in->alpha * u * growth * series(in, u), gauss + in->log_q,
                      in->bound + gauss + in->alpha * u};
    const double l = log1p(u), tau = in->t * l, bound = in->bound + gauss + in->alpha * l;
    if (tau > 500.0)
        return (node){1.0 / in->t, gauss + l + tau, bound};
    return (node){(1.0 + u) * (in->t > 0.0 ? expm1(tau) / in->t : l) - u, gauss, bound};
}

/* u > 1. The square in (1+u)^α e^{−z²/(2σ²)} is completed: far out its log must not be a difference of
 * giants. */
static node far_node(const integral *in, double z, double L)
{
    const double excess = log1p(exp(in->log_odds - L)), l = in->log_q + L + excess;
    const double away = z - in->alpha, tau = in->t * l;
    const double power = in->log_tail - 0.5 * away * away / in->variance + in->alpha * excess;
    const double share = (in->t > 0.0 ? -expm1(-tau) / in->t : l) + expm1(-l) * exp(-tau);
    return (node){share, power, in->bound + power};
}

static node node_at(const integral *in, double z)
{
    const double L = (z - 0.5) / in->variance, growth = expm1(L);
    return in->q * growth <= 1.0 ? near_node(in, z, growth) : far_node(in, z, L);
}

/* αs(z) − z, of the sign of F's slope. */
static double pull(const integral *in, double z)
{
    return in->alpha / (1.0 + exp((in->center - z) / in->variance)) - z;
}

/* Its root where it falls from ≥ 0 at low to ≤ 0 at high; to a hundredth of σ, for it only starts a walk. */
static double root(const integral *in, double low, double high)
{
    while (high - low > 0.01 * in->sigma) {
        const double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high)
            break;
        if (pull(in, middle) > 0.0)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

/* Where F peaks: the first at `left`, the last at `right`, where there are such; never neither. */
typedef struct peaks {
    bool has_left, has_right;
    double left, right;
} peaks;

static peaks find_peaks(const integral *in)
{
    peaks found = {false, true, 0.0, 0.0};
    const double spread = 1.0 - 4.0 * in->variance / in->alpha;
    if (spread <= 0.0) { /* αs(z) − z falls everywhere */
        found.right = root(in, 0.0, in->alpha);
        return found;
    }
    /* It falls, rises between two turning points, where s(1−s) = σ²/α, and falls. */
    const double upper = 0.5 * (1.0 + sqrt(spread)), lower = in->variance / in->alpha / upper;
    const double reach = in->variance * log(upper / lower);
    const double low = in->center - reach, high = in->center + reach;
    found.has_left = low > 0.0 && pull(in, low) <= 0.0;
    found.has_right = high < in->alpha && pull(in, high) >= 0.0;
    if (found.has_left)
        found.left = root(in, 0.0, low);
    if (!found.has_left && !found.has_right) /* rounding only: the two meet */
        found.has_right = true;
    if (found.has_right)
        found.right = root(in, fmax(high, 0.0), in->alpha);
    return found;
}

/* The log of nodes known to be among the larger: what "negligible" is measured against. */
static double find_scale(const integral *in, const peaks *at)
{
    const double typical = sqrt(2.0) * in->sigma;
    const double places[] = {0.5 - typical, 0.5 + typical, 1.0, at->has_left ? at->left : 1.0,
                             at->has_right ? at->right : 1.0};
    double scale = -INFINITY;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const node n = node_at(in, places[i]);
        scale = fmax(scale, log(n.factor) + n.exponent);
    }
    return scale;
}

static double step_of(const integral *in)
{
    const double sigma = in->sigma, limit = sqrt(2.0 * DIGITS) / M_PI;
    if (sigma > limit) /* the best distance, √(2·DIGITS)σ, lies within the strip */
        return 2.0 * M_PI * sigma / sqrt(2.0 * DIGITS);
    return 2.0 * M_PI * M_PI * in->variance / (DIGITS + 0.5 * M_PI * M_PI * in->variance);
}

/* Sum nodes from `from` by `step` for as long as they matter, and at least to `past` on the way. */
static double walk(const integral *in, double from, double step, double past, double *end)
{
    double sum = 0.0;
    for (int k = 0; k < MAX_NODES; k++) {
        const double z = from + k * step;
        const node n = node_at(in, z);
        if (n.bound < in->cutoff && (step > 0.0 ? z > past : z < past)) {
            *end = z;
            return sum;
        }
        sum += n.factor * exp(n.exponent - in->scale);
    }
    *end = from;
    return INFINITY;
}

/* Is the last peak wholly where (1+u)^α is (qe^L)^α to the last digit? Then it is a Gaussian, and closed. */
static bool stands_clear(const integral *in, double right)
{
    const double depth = in->log_tail + in->bound - in->cutoff;
    const double v = (right - in->sigma * sqrt(2.0 * fmax(depth, 0.0)) - in->center) / in->variance;
    return v > 40.0 + log(in->alpha) && in->t * (v + log1p(-in->q)) > 40.0;
}

/* log J */
static double log_expectation(integral *in)
{
    const peaks at = find_peaks(in);
    in->scale = find_scale(in, &at);
    in->cutoff = in->scale - NEGLIGIBLE;
    const double step = step_of(in), weight = step / (in->sigma * sqrt(2.0 * M_PI));

    /* From the left: below ½ no node exceeds log_left − z²/(2σ²). */
    const double log_left = in->log_q + fmin(log(2.0 * in->alpha) + in->log_q, 0.0);
    const double left_depth = log_left - in->cutoff;
    const double from = left_depth > 0.0 ? -in->sigma * sqrt(2.0 * left_depth) : 0.5 + 0.5 * step;
    const bool passes_left = at.has_left && node_at(in, at.left).bound >= in->cutoff;
    double end;
    double sum = weight * walk(in, from, step, passes_left ? fmax(at.left, 0.5) : 0.5, &end);

    if (at.has_right && at.right > end && node_at(in, at.right).bound >= in->cutoff) {
        if (stands_clear(in, at.right)) {
            sum += exp(in->log_tail - log(in->t) - in->scale);
        } else {
            double unused;
            sum += weight * walk(in, at.right, -step, at.right, &unused);
            sum += weight * walk(in, at.right + step, step, at.right, &unused);
        }
    }
    return in->scale + log(sum);
}

/*
 * With so little noise that where the parts of the mixture meet has no weight, both are apart: the moment is
 * (1−q)^α + q^α e^{αt/(2σ²)}, what is left out being below e^−60 of it.
 */
static bool parts_are_apart(const integral *in)
{
    return in->sigma <= 0.03 && fabs(in->variance * in->log_odds) <= 0.15;
}

static double rdp_apart(const integral *in)
{
    const double q = in->q, t = in->t;
    const double low = log1p(-q), high = in->log_q + 0.5 * in->alpha / in->sigma / in->sigma;
    if (t == 0.0)
        return (1.0 - q) * low + q * high;
    if (t * high > 700.0)
        return high + in->log_q / t;
    return log1p((1.0 - q) * expm1(t * low) + q * expm1(t * high)) / t;
}

/*
 * At orders beyond all use, where exponents have no digits left behind the point: Minkowski's inequality in
 * L^α, (E[(1 − q + qe^L)^α])^(1/α) ≤ 1 − q + q·e^{t/(2σ²)}.
 */
static const double LARGEST_ORDER = 1e12;

static double rdp_bound(const integral *in)
{
    const double growth = 0.5 * in->t / in->sigma / in->sigma;
    const double norm = growth < 700.0 ? log1p(in->q * expm1(growth))
                                       : in->log_q + growth + log1p(exp(in->log_odds - growth));
    return in->alpha / in->t * norm;
}

/* α(log q + t/(2σ²)). Where that cancels, what long double lacks is added: the tail is rounded up. */
static double log_tail_moment(double q, double sigma, double t)
{
    const long double alpha = 1.0L + t, log_q = logl(q), growth = 0.5L * t / sigma / sigma;
    return (double)(alpha * (log_q + growth) + 2.0L * LDBL_EPSILON * alpha * (growth - log_q));
}

static double rdp(const sotto_mechanism *mechanism, double t)
{
    if (mechanism->sample_rate == 0.0)
        return 0.0;
    if (mechanism->noise_multiplier == 0.0)
        return INFINITY;
    if (mechanism->sample_rate == 1.0)
        return accountant_gaussian.rdp(mechanism, t);
    if (mechanism->group_size > 1)
        return accountant_sampled_group_rdp(mechanism, t);
    /* r rises with q and falls with σ: these limits keep all below in range and err upwards. */
    const double q = fmax(mechanism->sample_rate, 1e-200), sigma = fmin(mechanism->noise_multiplier, 1e50);
    integral in = {.q = q, .sigma = sigma, .t = t, .alpha = 1.0 + t};
    in.variance = sigma * sigma;
    in.log_q = log(q);
    in.log_odds = log1p(-q) - in.log_q;
    if (parts_are_apart(&in))
        return rdp_apart(&in);
    if (in.alpha > LARGEST_ORDER)
        return rdp_bound(&in);
    in.center = 0.5 + in.variance * in.log_odds;
    in.log_tail = log_tail_moment(q, sigma, t);
    /* h ≤ (1+u)^α·min(1/t, ℓ) for u ≥ 0 */
    in.bound = log1p((in.alpha + 20.0 * sigma) / in.variance);
    if (t > 0.0)
        in.bound = fmin(in.bound, -log(t));

    prepare_series(&in);
    const double log_j = log_expectation(&in);
    const double scaled = t > 0.0 ? log(t) + log_j : log_j;
    if (scaled > 700.0)
        return scaled / t;
    const double divergence = t > 0.0 ? log1p(exp(scaled)) / t : exp(scaled);
    return divergence >= 0.0 ? divergence : INFINITY; /* NaN too is no guarantee */
}

const accountant_kind accountant_sampled_gaussian = {
    .name = "sampled gaussian",
    .adjacencies = ACCOUNTANT_ADD_REMOVE,
    .parameters = ACCOUNTANT_SAMPLE_RATE | ACCOUNTANT_NOISE_MULTIPLIER,
    .groups = true,
    .rdp = rdp,
    .losses = &accountant_sampled_gaussian_losses,
};

sotto_status sotto_mechanism_sampled_gaussian(sotto_mechanism *out, double sample_rate,
                                              double noise_multiplier, sotto_error *err)
{
    return accountant_mechanism_make(out,
                                     (sotto_mechanism){.kind = SOTTO_MECHANISM_SAMPLED_GAUSSIAN,
                                                       .sample_rate = sample_rate,
                                                       .noise_multiplier = noise_multiplier},
                                     err);
}
