/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <math.h>

/*
 * Rounding. A curve is never lower than the truth by more than about 1e-13 relative (the tests allow 1e-12),
 * and a logarithm here is good to an ulp or two: the first two slacks cover that. MARGIN then lifts the
 * result above what any other careful minimisation of the same curve would give, at a cost nobody can
 * measure.
 */
static const double RDP_SLACK = 1e-12;
static const double LOG_SLACK = 1e-15;
static const double MARGIN = 1e-9;

/* log(1 − 1/α), without loss where α nears 1. */
static double log_one_less(double t)
{
    return t < 1.0 ? log(t / (1.0 + t)) : log1p(-1.0 / (1.0 + t));
}

/* ε = r + log(1 − 1/α) − log(δα)/(α − 1): Canonne, Kamath, Steinke 2020, Prop. 12. */
double accountant_epsilon_at(double rdp, double t, double log_delta)
{
    const double less = log_one_less(t);
    const double share = (log_delta + log1p(t)) / t;
    const double slack = RDP_SLACK * rdp + LOG_SLACK * (fabs(less) + (fabs(log_delta) + log1p(t)) / t);
    const double epsilon = rdp + less - share + slack;
    return epsilon + MARGIN * fabs(epsilon);
}

double accountant_rdp_within(double epsilon, double t, double log_delta)
{
    return epsilon / (1.0 + MARGIN) - log_one_less(t) + (log_delta + log1p(t)) / t;
}

/* log δ = (α − 1)(r − ε + log(1 − 1/α)) − log α: the same, solved for δ. */
double accountant_log_delta_at(double rdp, double t, double epsilon)
{
    const double less = log_one_less(t);
    const double slack = RDP_SLACK * rdp + LOG_SLACK * (epsilon + fabs(less));
    return t * (rdp - epsilon + less + slack) - log1p(t) * (1.0 - LOG_SLACK) + MARGIN;
}

/*
 * √(1 − e^−KL) bounds the total variation distance (Bretagnolle and Huber 1979; Canonne 2022), which is the δ
 * of ε = 0 and so bounds the δ of every ε.
 */
double accountant_delta_of_kl(double kl)
{
    const double delta = sqrt(-expm1(-kl * (1.0 + RDP_SLACK))) * (1.0 + MARGIN);
    return fmin(delta, 1.0);
}
