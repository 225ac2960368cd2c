#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make fidelity_{train,test,synthetic}.csv and fidelity_expected.json in the current directory.

usage: python3 fidelity_make.py        needs sdmetrics 0.32, scikit-learn, scipy, pandas

Three made-up tables of fidelity_schema.yaml, and their figures by other people's programs: SDMetrics for all that it
defines, scipy for the Wasserstein distance, scikit-learn for mutual information, pandas for joint distributions.
Spikes are counted here, in the three lines that define them.
"""
import itertools
import json
import warnings

import numpy as np
import pandas as pd
import sdmetrics
from scipy.stats import wasserstein_distance
from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
from sdmetrics.single_column import (BoundaryAdherence, CategoryAdherence, CategoryCoverage, KSComplement,
                                     MissingValueSimilarity, RangeCoverage, TVComplement)
from sklearn.metrics import mutual_info_score

warnings.filterwarnings('ignore')
NUMBERS = ['age', 'pay', 'gain', 'depth', 'day']
NAMES = ['age', 'pay', 'gain', 'depth', 'day', 'job', 'town', 'sex']
MISSING = ['pay', 'day', 'job']
SPIKES = {'pay': [0, 450], 'gain': [0]}
JOBS = ['cook', 'clerk', 'miner', 'nurse', 'judge']


def make(rows, seed, drift, towns):
    draw = np.random.default_rng(seed)
    age = draw.integers(18 - drift, 70 + drift, rows)
    sex = draw.choice(['f', 'm'], rows, p=[.5 + drift / 40, .5 - drift / 40])
    pay = np.round(np.clip(age * 30 + draw.normal(0, 400, rows), 0, 5000), 2)
    pay[draw.random(rows) < .15] = 450
    gain = np.where(draw.random(rows) < .7, 0, np.floor(np.exp(draw.uniform(3, 11, rows)))).astype(int)
    depth = np.round(np.clip((sex == 'f') * 8 + draw.normal(0, 9 + drift, rows), -40, 40), 1)
    day = np.datetime64('2020-01-01') + draw.integers(0, 731 - 20 * drift, rows).astype('timedelta64[D]')
    job = draw.choice(JOBS[:5 - (drift > 0)], rows)
    job = np.where(draw.random(rows) < .3, np.where(sex == 'f', 'nurse', 'miner'), job)
    town = np.char.add('t', np.char.zfill(draw.integers(1, towns + 1, rows).astype(str), 2))
    table = pd.DataFrame({'id': np.arange(rows), 'age': age, 'pay': pay, 'gain': gain, 'depth': depth,
                          'day': pd.Series(day).dt.strftime('%Y-%m-%d'), 'job': job, 'town': town, 'sex': sex})
    for name in MISSING:
        table.loc[draw.random(rows) < .05 + drift / 100, name] = np.nan
    return table


def read(name):
    table = pd.read_csv(name, na_values=['?'], keep_default_na=False)
    table['day'] = (pd.to_datetime(table['day']) - pd.Timestamp('1970-01-01')).dt.days
    return table


def similarity(name, real, other):
    r, o = real[name].dropna(), other[name].dropna()
    if name in NUMBERS:
        return KSComplement.compute(r, o)
    # TVComplement counts a category that is new in the other table as a millionth of a real row: left out here.
    exact = 1 - r.value_counts(normalize=True).sub(o.value_counts(normalize=True), fill_value=0).abs().sum() / 2
    assert abs(exact - TVComplement.compute(r, o)) < 1e-7
    return exact


def spike_similarity(name, real, synthetic):
    shares = [[(t[name].dropna() == spike).mean() for spike in SPIKES[name]] for t in (real, synthetic)]
    shares = [s + [1 - sum(s)] for s in shares]
    return 1 - sum(abs(p - q) for p, q in zip(*shares)) / 2


def column(name, real, test, synthetic):
    r, s = real[name], synthetic[name]
    number = name in NUMBERS
    return {
        'similarity': similarity(name, real, synthetic),
        'control': similarity(name, real, test),
        'wasserstein': wasserstein_distance(r.dropna(), s.dropna()) if number else None,
        'adherence': (BoundaryAdherence if number else CategoryAdherence).compute(r, s),
        'coverage': (RangeCoverage if number else CategoryCoverage).compute(r, s),
        'missing_similarity': MissingValueSimilarity.compute(r, s) if name in MISSING else None,
        'spike_similarity': spike_similarity(name, real, synthetic) if name in SPIKES else None,
    }


def coded(table, real):
    codes = {}
    for name in NAMES:
        codes[name] = table[name].fillna('missing')
        if name in NUMBERS:
            edges = np.histogram_bin_edges(real[name].dropna(), bins=10)
            codes[name] = np.digitize(table[name], [-np.inf, *edges[1:-1], np.inf])
    return pd.DataFrame(codes)


def information(codes, one, other):
    own = [mutual_info_score(codes[n], codes[n]) for n in (one, other)]
    return mutual_info_score(codes[one], codes[other]) / np.sqrt(own[0] * own[1]) if one != other else 1


def distance(columns, one, other):
    p, q = (t.groupby(list(columns)).size() / len(t) for t in (one, other))
    return p.sub(q, fill_value=0).abs().sum() / 2


def way(k, real, test, synthetic):
    sets = list(itertools.combinations(NAMES, k))
    found = [distance(s, real, synthetic) for s in sets]
    return {'k': k, 'sets': len(sets), 'mean_tvd': np.mean(found), 'max_tvd': max(found),
            'worst': list(sets[int(np.argmax(found))]),
            'control_mean_tvd': np.mean([distance(s, real, test) for s in sets])}


def contingency(one, other, real, synthetic):
    pair = [one, other]
    return ContingencySimilarity.compute(real[pair].copy(), synthetic[pair].copy(),
                                         continuous_column_names=[n for n in pair if n in NUMBERS] or None)


def trends(real, synthetic):
    return np.mean([CorrelationSimilarity.compute(real[[a, b]], synthetic[[a, b]]) if {a, b} <= set(NUMBERS)
                    else contingency(a, b, real, synthetic) for a, b in itertools.combinations(NAMES, 2)])


def overall(real, other):
    shapes = np.mean([similarity(n, real, other) for n in NAMES])
    return {'column_shapes': shapes, 'pair_trends': trends(real, other),
            'overall': (shapes + trends(real, other)) / 2}


def main():
    made = {'train': make(240, 1, 0, 26), 'test': make(150, 2, 0, 26), 'synthetic': make(200, 3, 4, 28)}
    for name, table in made.items():
        table.to_csv(f'fidelity_{name}.csv', index=False, na_rep='?')
    real, test, synthetic = (read(f'fidelity_{name}.csv') for name in made)
    codes = [coded(t, real) for t in (real, test, synthetic)]
    pairs = list(itertools.combinations(NAMES, 2))
    numeric = list(itertools.combinations(NUMBERS, 2))
    differences = [abs(information(codes[0], a, b) - information(codes[2], a, b)) for a, b in pairs]
    expected = {
        'made_with': f'sdmetrics {sdmetrics.__version__}', **overall(real, synthetic),
        'control': overall(real, test),
        'columns': {name: column(name, real, test, synthetic) for name in NAMES},
        'correlation': {
            'similarity': np.mean([CorrelationSimilarity.compute(real[[a, b]], synthetic[[a, b]]) for a, b in numeric]),
            **{key: [[a, b, real_or[[a, b]].corr().iloc[0, 1]] for a, b in numeric]
               for key, real_or in (('real', real), ('synthetic', synthetic))}},
        'contingency': {'mean': np.mean([contingency(a, b, real, synthetic) for a, b in pairs]),
                        'similarity': [[a, b, contingency(a, b, real, synthetic)] for a, b in pairs]},
        'mutual_information': {
            'mean_difference': np.mean(differences),
            **{key: [[a, b, information(c, a, b)] for a, b in pairs]
               for key, c in (('real', codes[0]), ('synthetic', codes[2]))}},
        'ways': [way(k, *codes) for k in (1, 2, 3)],
    }
    with open('fidelity_expected.json', 'w', encoding='utf-8') as file:
        json.dump(expected, file, indent=1, default=float)
        file.write('\n')


main()
