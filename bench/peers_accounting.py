# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's dp_accounting, asked what `sotto bench accountant` asks: python3 peers_accounting.py SECONDS.

Prints {"version": ..., "lines": {name: {"seconds": ..., "answer": ...}}}. Exit status 77: it is not installed.
Its losses are rounded to a grid of 1e-4 (its default), and of 1e-5 for the finer question.
"""
import json
import sys
import time
from importlib.metadata import PackageNotFoundError, version

try:
    import dp_accounting as dp
    from dp_accounting import pld, rdp
except ImportError:
    sys.exit(77)

RATE, NOISE, STEPS, DELTA, EPSILON, TURNS = 0.01, 1.0, 10000, 1e-5, 3.0, 9


def plan(noise):
    return dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(RATE, dp.GaussianDpEvent(noise)), STEPS)


def epsilon(make):
    return make().compose(plan(NOISE)).get_epsilon(DELTA)


def noise_multiplier(make):
    bracket = dp.ExplicitBracketInterval(0.5, 8.0)
    return dp.calibrate_dp_mechanism(make, plan, EPSILON, DELTA, bracket, tol=1e-6)


QUESTIONS = {
    'epsilon_rdp': (epsilon, rdp.RdpAccountant),
    'epsilon_pld': (epsilon, pld.PLDAccountant),
    'epsilon_pld_fine': (epsilon, lambda: pld.PLDAccountant(value_discretization_interval=1e-5)),
    'noise_rdp': (noise_multiplier, rdp.RdpAccountant),
    'noise_pld': (noise_multiplier, pld.PLDAccountant),
}


def measure(ask, make, seconds):
    times = []
    start = time.perf_counter()
    while not times or (len(times) < TURNS and time.perf_counter() - start < seconds):
        before = time.perf_counter()
        answer = ask(make)
        times.append(time.perf_counter() - before)
    return {'seconds': sorted(times)[len(times) // 4], 'answer': float(answer)}


try:
    release = version('dp-accounting')
except PackageNotFoundError:
    release = 'of unknown version'
budget = float(sys.argv[1])
lines = {name: measure(*asked, budget) for name, asked in QUESTIONS.items()}
print(json.dumps({'version': release, 'lines': lines}))
