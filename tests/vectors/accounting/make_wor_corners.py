#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write wor_corners.csv: the bound of Wang, Balle, Kasiviswanathan 2019 (Thm 27, each term the lesser with Thm 9's) as
printed, with forward differences, and the lesser with joint convexity's, at integer orders. Needs mpmath; takes minutes.
"""
import random

import mpmath as mp

mp.mp.dps = 50


def difference(l, c):
    """The l-th forward difference at 0 of e^{x(x-1)c}, c = 1/(2 sigma^2)."""
    return mp.fsum((-1) ** (l - i) * mp.binomial(l, i) * mp.exp(i * (i - 1) * c) for i in range(l + 1))


def bound(q, sigma, alpha):
    # l-th differences at noise sigma are as small as sigma^-l
    mp.mp.dps = 50 + int(alpha * (1 + max(0, mp.log10(sigma)))) + int(alpha * alpha / (4 * sigma**2))
    q, c = mp.mpf(q), 1 / (2 * mp.mpf(sigma) ** 2)
    b = {l: difference(l, c) for l in range(2, alpha + 2, 2)}
    total = 1 + mp.binomial(alpha, 2) * q**2 * min(4 * mp.expm1(2 * c), 2 * mp.exp(2 * c))
    for j in range(3, alpha + 1):
        theorem = 4 * mp.sqrt(b[j // 2 * 2] * b[(j + 1) // 2 * 2])
        total += mp.binomial(alpha, j) * q**j * min(theorem, 2 * mp.exp(j * (j - 1) * c))
    convex = 1 + q * mp.expm1(alpha * (alpha - 1) * c)
    return min(mp.log(min(total, convex)) / (alpha - 1), alpha * c)


def main():
    rng = random.Random(22)
    rows = []
    for _ in range(150):
        q, sigma = 10 ** rng.uniform(-9, 0), 10 ** rng.uniform(-1.3, 4)
        alpha = round(2 + 10 ** rng.uniform(0, 2))
        if alpha * alpha / sigma**2 > 2000:
            sigma = alpha / 10 ** rng.uniform(0, 1.6)
        value = bound(q, sigma, alpha)
        rows.append("%r,%r,%d,%s" % (q, sigma, alpha, mp.nstr(value, 25)))
    with open("wor_corners.csv", "w") as out:
        out.write("q,sigma,alpha,rdp_25_digits\n" + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
