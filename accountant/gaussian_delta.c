/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pld.h"

#include <math.h>

#include <gsl/gsl_sf_erf.h>

/*
 * Balle and Wang 2018, Theorem 8: δ = Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ). With x = ε/μ − μ/2, y = x + μ and the
 * Mills ratio R(x) = Φ(−x)/φ(x), and since e^ε φ(y) = φ(x), that is φ(x)(R(x) − R(y)): nothing overflows, and
 * nothing underflows in the logarithm. Where x and y are near, the difference is an integral of
 * −R' = 1 − xR(x) > 0.
 */

static double mills(double x)
{
    return 1.0 / gsl_sf_hazard(x);
}

static double log_density(double x)
{
    return -0.5 * x * x - 0.5 * log(2.0 * M_PI);
}

/* 1 − xR(x). For large x by the asymptotic series of R, in which nothing cancels. */
static double fall(double x)
{
    if (x < 20.0)
        return 1.0 - x * mills(x);
    const double s = 1.0 / (x * x);
    return s * (1.0 - s * (3.0 - s * (15.0 - s * (105.0 - s * (945.0 - s * (10395.0 - s * 135135.0))))));
}

/* Gauss–Legendre, five nodes: of a smooth function over a length below one. */
static double integrate_fall(double x, double length)
{
    static const double nodes[] = {0.0, 0.53846931010568309104, 0.90617984593866399280};
    static const double weights[] = {0.56888888888888888889, 0.47862867049936646804, 0.23692688505618908751};
    const double half = 0.5 * length, middle = x + half;
    double sum = weights[0] * fall(middle);
    for (int i = 1; i < 3; i++)
        sum += weights[i] * (fall(middle - half * nodes[i]) + fall(middle + half * nodes[i]));
    return half * sum;
}

double accountant_gaussian_log_delta(double mu, double epsilon)
{
    const double x = epsilon / mu - 0.5 * mu;
    if (!isfinite(x)) /* μ so small, or so large, that δ is 0 or 1 in any arithmetic */
        return mu > 1.0 ? 0.0 : -INFINITY;
    if (mu < 0.25)
        return log_density(x) + log(integrate_fall(x, mu));
    if (x < -10.0) /* R(x) would overflow before long */
        return log1p(-0.5 * gsl_sf_erfc(-x * M_SQRT1_2) - exp(log_density(x)) * mills(x + mu));
    return log_density(x) + log(mills(x) - mills(x + mu));
}
