#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write closed_corners.csv: Rényi divergences of Laplace noise and randomised response, from their raw moments.

`parameter` is b or epsilon, `t` the order less 1. Needs mpmath; takes seconds.
"""
import random

import mpmath as mp

mp.mp.dps = 60


def laplace(b, t):
    """E_Q[(P/Q)^alpha]: two half-lines and the interval between the two centers, 0 and 1, integrated."""
    e, alpha = 1 / b, 1 + t
    moment = (mp.exp(t * e) + mp.exp(-alpha * e)) / 2
    rate = (2 * alpha - 1) * e
    return moment + mp.exp(t * e) * (1 - mp.exp(-rate)) / (2 * (2 * alpha - 1))


def response(epsilon, t):
    p = 1 / (1 + mp.exp(-epsilon))
    return p * mp.exp(t * epsilon) + (1 - p) * mp.exp(-t * epsilon)


def main():
    rng = random.Random(21)
    rows = []
    for name, moment in (("laplace", laplace), ("pure", response)):
        for _ in range(100):
            parameter, t = 10 ** rng.uniform(-4, 4), 10 ** rng.uniform(-6, 6)
            value = mp.log(moment(mp.mpf(parameter), mp.mpf(t))) / mp.mpf(t)
            rows.append("%s,%r,%r,%s" % (name, parameter, t, mp.nstr(value, 25)))
    with open("closed_corners.csv", "w") as out:
        out.write("kind,parameter,t,rdp_25_digits\n" + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
