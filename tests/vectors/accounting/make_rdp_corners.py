#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write rdp_corners.csv: Rényi divergences of the Poisson-sampled Gaussian at random points, 90 digits inside.

Nothing here is shared with the library: fractional orders integrate the raw moment, whose cancellation the digits
outweigh; integer orders are finite sums. Needs mpmath, NumPy and SciPy; takes some minutes.
"""
import math
import random

import mpmath as mp
import numpy as np
from scipy.special import gammaln

mp.mp.dps = 90
MAX_NODES = 30000
MAX_TERMS = 60000


def fractional(q, sigma, alpha):
    """log E[(1 - q + q e^L)^alpha] / (alpha - 1) by the trapezoid rule, error below e^-160; None if too long."""
    q, sigma, alpha = mp.mpf(q), mp.mpf(sigma), mp.mpf(alpha)
    digits = 160
    if sigma > mp.sqrt(2 * digits) / mp.pi:
        step = 2 * mp.pi * sigma / mp.sqrt(2 * digits)
    else:
        step = 2 * mp.pi**2 * sigma**2 / (digits + mp.pi**2 * sigma**2 / 2)
    low, high = -20 * sigma, alpha + 20 * sigma
    nodes = int((high - low) / step)
    if nodes > MAX_NODES:
        return None
    half = 1 / (2 * sigma**2)
    total = mp.mpf(0)
    for k in range(nodes + 1):
        z = low + k * step
        total += mp.exp(-z * z * half + alpha * mp.log(1 - q + q * mp.exp((2 * z - 1) * half)))
    return mp.log(total * step / (sigma * mp.sqrt(2 * mp.pi))) / (alpha - 1)


def integer(q, sigma, alpha):
    """The finite sum over the terms within e^-70 of the largest; None if too long."""
    k = np.arange(2, alpha + 1, dtype=float)
    c = k * (k - 1) / (2 * sigma**2)
    size = gammaln(alpha + 1) - gammaln(k + 1) - gammaln(alpha - k + 1) + k * math.log(q)
    size += (alpha - k) * math.log1p(-q)
    size += np.where(c > 1e-3, c + np.log(-np.expm1(-np.maximum(c, 1e-3))), np.log(c))
    terms = [int(x) for x in k[size > size.max() - 70]]
    if len(terms) > MAX_TERMS:
        return None
    q, sigma = mp.mpf(q), mp.mpf(sigma)
    log_q, log_rest = mp.log(q), mp.log(1 - q)
    whole = mp.loggamma(mp.mpf(alpha) + 1)
    total = mp.mpf(0)
    for j in terms:
        weight = whole - mp.loggamma(mp.mpf(j) + 1) - mp.loggamma(mp.mpf(alpha - j) + 1) + j * log_q
        total += mp.exp(weight + (alpha - j) * log_rest) * mp.expm1(mp.mpf(j) * (j - 1) / (2 * sigma**2))
    return mp.log1p(total) / (alpha - 1)


def anywhere(rng):
    q = 10 ** rng.uniform(-9, 0) if rng.random() < 2 / 3 else 1 - 10 ** rng.uniform(-9, -0.1)
    sigma = 10 ** (rng.uniform(math.log10(0.03), 4) if rng.random() < 0.5 else rng.uniform(-1.4, 0.7))
    if rng.random() < 0.5:
        return q, sigma, 1 + 10 ** rng.uniform(-6, 4)
    return q, sigma, int(round(1 + 10 ** rng.uniform(0, 6)))


def balanced(rng):
    """Where bulk and tail weigh about the same, or where the two peaks of the integrand merge."""
    q, alpha = 10 ** rng.uniform(-9, -0.05), int(round(10 ** rng.uniform(0.5, 6)))
    if rng.random() < 0.6:
        sigma = math.sqrt((alpha - 1) / (2 * math.log(1 / q))) * (1 + rng.choice([0, 1e-3, 0.03, 0.1]) * rng.uniform(-1, 1))
    else:
        sigma = math.sqrt(alpha / 4) * (1 + rng.uniform(-0.3, 0.3))
        q = rng.choice([q, math.exp(-2) * (1 + rng.uniform(-0.1, 0.1))])
    return q, sigma, alpha


def main():
    rng = random.Random(20)
    rows = []
    while len(rows) < 300:
        q, sigma, alpha = anywhere(rng) if len(rows) < 200 else balanced(rng)
        if not (0.03 < sigma < 1e4 and alpha > 1 and q < 1):
            continue
        rdp = (integer if isinstance(alpha, int) else fractional)(q, sigma, alpha)
        if rdp is not None:
            rows.append("%r,%r,%r,%s" % (q, sigma, alpha, mp.nstr(rdp, 25)))
    with open("rdp_corners.csv", "w") as out:
        out.write("q,sigma,alpha,rdp_25_digits\n" + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
