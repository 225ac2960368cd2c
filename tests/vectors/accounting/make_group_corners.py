#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write group_corners.csv: Rényi divergences between sum_i Bin(i; k, q) N(i, sigma^2) and N(0, sigma^2), both ways, from
the raw moments by the trapezoid rule. Needs mpmath; takes minutes.
"""
import random

import mpmath as mp

mp.mp.dps = 60


def moment(q, sigma, k, beta, low, high, step):
    """E_Q[(dP/dQ)^beta]"""
    c = 1 / (2 * sigma**2)
    weights = [mp.binomial(k, i) * q**i * (1 - q) ** (k - i) * mp.exp(-i * i * c) for i in range(k + 1)]
    total = mp.mpf(0)
    for n in range(int((high - low) / step) + 1):
        z = low + n * step
        total += mp.exp(-z * z * c) * mp.polyval(weights[::-1], mp.exp(2 * z * c)) ** beta
    return total * step / (sigma * mp.sqrt(2 * mp.pi))


def main():
    rng = random.Random(23)
    rows = []
    while len(rows) < 80:
        k = rng.choice([1, 2, 3, 5, 10, 25])
        q = 10 ** rng.uniform(-8, 0) if rng.random() < 0.7 else 1 - 10 ** rng.uniform(-6, -0.1)
        sigma, t = 10 ** rng.uniform(-1, 3), 10 ** rng.uniform(-4, 2.5)
        # error of the "add" direction as of a normal density of this width
        s2 = 1 / (1 / sigma**2 + 1.2 * t * k / (4 * sigma**4))
        step = 2 * mp.pi * min(mp.sqrt(180 * s2), mp.pi * sigma**2 / 2) / 180
        nodes = ((1 + 2 * t) * k + 42 * sigma) / step
        if nodes * (k + 5) > 60000:
            continue
        q, sigma, t = mp.mpf(q), mp.mpf(sigma), mp.mpf(t)
        remove = mp.log(moment(q, sigma, k, 1 + t, -21 * sigma, (1 + t) * k + 21 * sigma, step)) / t
        add = mp.log(moment(q, sigma, k, -t, -t * k - 21 * sigma, k + 21 * sigma, step)) / t
        rows.append("%r,%r,%d,%r,%s,%s" % (float(q), float(sigma), k, float(t), mp.nstr(remove, 25), mp.nstr(add, 25)))
    with open("group_corners.csv", "w") as out:
        out.write("q,sigma,group_size,t,remove_25_digits,add_25_digits\n" + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
