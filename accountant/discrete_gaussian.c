/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

/*
 * Canonne, Kamath, Steinke 2020: about integer vectors μ and ν, D_α ≤ α|μ − ν|²/(2σ²), with equality where
 * αμ + (1−α)ν is one too, as it is at integer orders.
 */
static double rdp(const sotto_mechanism *mechanism, double t)
{
    return accountant_gaussian.rdp(mechanism, t);
}

const accountant_kind accountant_discrete_gaussian = {
    .name = "discrete gaussian",
    .adjacencies = ACCOUNTANT_ADD_REMOVE | ACCOUNTANT_REPLACE_ONE,
    .parameters = ACCOUNTANT_NOISE_MULTIPLIER,
    .groups = true,
    .rdp = rdp,
};

sotto_status sotto_mechanism_discrete_gaussian(sotto_mechanism *out, double noise_multiplier,
                                               sotto_error *err)
{
    return accountant_mechanism_make(
        out,
        (sotto_mechanism){.kind = SOTTO_MECHANISM_DISCRETE_GAUSSIAN, .noise_multiplier = noise_multiplier},
        err);
}

/*
 * With Q the noise about 0, P about μ, and X = dP/dQ, the moment at an integer order is
 *
 *     E_Q[(1 − q + qX)^α] = Σ_k C(α,k) q^k (1−q)^{α−k} E_Q[X^k],
 *
 * all of whose terms are positive, and E_Q[X^k] = e^{(k−1)D_k} ≤ e^{k(k−1)/(2σ²)}, which is what the
 * continuous Gaussian has there. At other orders there is no such sum, so that nothing is known but the
 * convexity. The other direction is no larger: z → μ − z maps the lattice onto itself and swaps P and Q,
 * which is all that Thm 5 of Mironov, Talwar, Zhang 2019 asks.
 */
static double sampled_rdp(const sotto_mechanism *mechanism, double t)
{
    return accountant_interpolate(accountant_sampled_gaussian.rdp, mechanism, t);
}

const accountant_kind accountant_sampled_discrete_gaussian = {
    .name = "sampled discrete gaussian",
    .adjacencies = ACCOUNTANT_ADD_REMOVE,
    .parameters = ACCOUNTANT_SAMPLE_RATE | ACCOUNTANT_NOISE_MULTIPLIER,
    .rdp = sampled_rdp,
};

sotto_status sotto_mechanism_sampled_discrete_gaussian(sotto_mechanism *out, double sample_rate,
                                                       double noise_multiplier, sotto_error *err)
{
    return accountant_mechanism_make(out,
                                     (sotto_mechanism){.kind = SOTTO_MECHANISM_SAMPLED_DISCRETE_GAUSSIAN,
                                                       .sample_rate = sample_rate,
                                                       .noise_multiplier = noise_multiplier},
                                     err);
}
