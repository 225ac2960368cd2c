#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write evaluation.json, evaluation_metrics.json and sweep.json beside this script: made-up records of the shape and
size that a table like UCI Adult has, from a fixed seed. No figure in them was measured."""
import json
import math
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
R = random.Random(20261122)
NOTICE = ('Computed from real data without noise. It is not covered by any guarantee and must never be released.')
NUMBERS = [('age', 17, 90, 0), ('fnlwgt', 12285, 1490400, 0), ('education_num', 1, 16, 0),
           ('capital_gain', 0, 99999, 0), ('capital_loss', 0, 4356, 0), ('hours_per_week', 1, 99, 0)]
CATEGORIES = {
    'workclass': ['Private', 'Self-emp-not-inc', 'Local-gov', 'State-gov', 'Self-emp-inc', 'Federal-gov', 'Without-pay',
                  'Never-worked'],
    'education': ['HS-grad', 'Some-college', 'Bachelors', 'Masters', 'Assoc-voc', '11th', 'Assoc-acdm', '10th',
                  '7th-8th', 'Prof-school', '9th', '12th', 'Doctorate', '5th-6th', '1st-4th', 'Preschool'],
    'marital_status': ['Married-civ-spouse', 'Never-married', 'Divorced', 'Separated', 'Widowed',
                       'Married-spouse-absent', 'Married-AF-spouse'],
    'occupation': ['Prof-specialty', 'Craft-repair', 'Exec-managerial', 'Adm-clerical', 'Sales', 'Other-service',
                   'Machine-op-inspct', 'Transport-moving', 'Handlers-cleaners', 'Farming-fishing', 'Tech-support',
                   'Protective-serv', 'Priv-house-serv', 'Armed-Forces'],
    'relationship': ['Husband', 'Not-in-family', 'Own-child', 'Unmarried', 'Wife', 'Other-relative'],
    'race': ['White', 'Black', 'Asian-Pac-Islander', 'Amer-Indian-Eskimo', 'Other'],
    'sex': ['Male', 'Female'],
    'native_country': ['United-States', 'Mexico', 'Philippines', 'Germany', 'Canada', 'Puerto-Rico', 'El-Salvador',
                       'India', 'Cuba', 'England', 'Jamaica', 'South', 'China', 'Italy', 'Dominican-Republic', 'Vietnam',
                       'Guatemala', 'Japan', 'Poland', 'Columbia', 'Taiwan', 'Haiti', '(other 19)'],
    'income': ['<=50K', '>50K'],
}
NAMES = ['age', 'workclass', 'fnlwgt', 'education', 'education_num', 'marital_status', 'occupation', 'relationship',
         'race', 'sex', 'capital_gain', 'capital_loss', 'hours_per_week', 'native_country', 'income']


def normal(weights):
    total = sum(weights)
    return [w / total for w in weights]


def blurred(shares, by):
    return normal([max(s * math.exp(R.gauss(0, by)) + abs(R.gauss(0, by / 90)), 0) for s in shares])


def alike(p, q):
    return 1 - sum(abs(a - b) for a, b in zip(p, q)) / 2


def bins(name, low, high):
    width = (high + 1 - low) / min(20, high - low + 1)
    labels, weights = [], []
    for i in range(min(20, high - low + 1)):
        first, last = math.ceil(low + i * width), math.ceil(low + (i + 1) * width) - 1
        labels.append(f'{first}–{last}' if last > first else f'{first}')
        x = (i + 0.5) / 20
        weights.append({'age': x * math.exp(-4.5 * x), 'fnlwgt': math.exp(-((x - .12) / .1) ** 2) + .001,
                        'education_num': math.exp(-((x - .58) / .14) ** 2) + .03,
                        'capital_gain': .917 if i == 0 else .07 * math.exp(-i), 'capital_loss':
                        .953 if i == 0 else .02 * math.exp(-((x - .43) / .08) ** 2) + 1e-4,
                        'hours_per_week': math.exp(-((x - .4) / .05) ** 2) + .2 * math.exp(-((x - .5) / .2) ** 2)}[name])
    return labels, normal(weights)


def column(name):
    numbers = {n: (low, high) for n, low, high, _ in NUMBERS}
    if name in numbers:
        labels, real = bins(name, *numbers[name])
        kind, measure = 'integer', 'KS'
    else:
        labels = CATEGORIES[name]
        real = normal([math.exp(-.45 * i) for i in range(len(labels))])
        kind, measure = 'category', 'TV'
        if name == 'native_country':
            real = normal([.895] + [.02 * math.exp(-.12 * i) for i in range(1, len(labels))])
    synthetic = blurred(real, .5 if name in ('capital_gain', 'native_country') else .22)
    missing = name in ('workclass', 'occupation', 'native_country')
    if missing:
        labels = labels + ['(missing)']
        real, synthetic = normal(real + [.055]), normal(synthetic + [.047])
    distance = abs(R.gauss(.012, .006)) + .002
    return {'name': name, 'type': kind, 'measure': measure, 'similarity': alike(real, synthetic),
            'wasserstein': distance * (numbers[name][1] - numbers[name][0]) if name in numbers else None,
            'wasserstein_scaled': distance if name in numbers else None,
            'adherence': 1 if name != 'fnlwgt' else .9987, 'coverage': .62 if name == 'native_country' else
            min(1, .93 + R.random() * .09), 'missing_similarity': .992 if missing else None,
            'spike_similarity': .961 if name in ('capital_gain', 'capital_loss') else None,
            'control': 1 - abs(R.gauss(.008, .003)),
            'marginal': {'labels': labels, 'real': real, 'synthetic': synthetic}}


def matrix(count, draw, diagonal):
    made = [[None] * count for _ in range(count)]
    for i in range(count):
        made[i][i] = diagonal
        for k in range(i):
            made[i][k] = made[k][i] = draw(i, k)
    return made


def both(count, draw, noise, low):
    real = matrix(count, draw, 1)
    synthetic = matrix(count, lambda i, k: min(1, max(low, real[i][k] * (1 - abs(R.gauss(0, .35))) + R.gauss(0, noise))), 1)
    return real, synthetic


def fidelity():
    columns = [column(name) for name in NAMES]
    numbers = [n for n, *_ in NUMBERS]
    real, synthetic = both(len(numbers), lambda i, k: R.gauss(.05, .18), .03, -1)
    mi_real, mi_synthetic = both(len(NAMES), lambda i, k: min(1, abs(R.gauss(.02, .1))), .01, 0)
    education = NAMES.index('education'), NAMES.index('education_num')
    for i, k in (education, education[::-1]):
        mi_real[i][k], mi_synthetic[i][k] = .98, .61
    pairs = matrix(len(NAMES), lambda i, k: max(.4, 1 - abs(R.gauss(.06, .06))), None)
    shapes = sum(c['similarity'] for c in columns) / len(columns)
    flat = [pairs[i][k] for i in range(len(NAMES)) for k in range(i)]
    trends = sum(flat) / len(flat)
    return {'overall': (shapes + trends) / 2, 'column_shapes': shapes, 'pair_trends': trends, 'columns': columns,
            'correlation': {'columns': numbers, 'real': real, 'synthetic': synthetic, 'similarity': .957},
            'contingency': {'columns': NAMES, 'similarity': pairs, 'mean': trends},
            'mutual_information': {'columns': NAMES, 'real': mi_real, 'synthetic': mi_synthetic,
                                   'mean_difference': .0231},
            'ways': [{'k': 1, 'sets': 15, 'mean_tvd': .047, 'max_tvd': .101, 'worst': ['native_country'],
                      'control_mean_tvd': .007},
                     {'k': 2, 'sets': 105, 'mean_tvd': .098, 'max_tvd': .231, 'worst': ['education', 'native_country'],
                      'control_mean_tvd': .021},
                     {'k': 3, 'sets': 455, 'mean_tvd': .176, 'max_tvd': .352,
                      'worst': ['education', 'occupation', 'native_country'], 'control_mean_tvd': .053}],
            'pmse': {'ratio': 14.2, 'value': .0131, 'expected': .00092, 'model': 'logistic'}}


def utility():
    auc = {'logistic': (.904, .867, .502, .498), 'trees': (.926, .874, .497, .505), 'mlp': (.908, .861, .512, .489)}
    results = []
    for model, scores in auc.items():
        for on, score in zip(('real', 'synthetic', 'independent', 'permuted'), scores):
            results.append({'model': model, 'trained_on': on, 'rows': 32561, 'auc': score,
                            'f1': max(0, 1.6 * (score - .5) + R.gauss(0, .01)), 'balanced_accuracy':
                            .5 + .7 * (score - .5), 'log_loss': .75 - score / 2, 'seconds': 1.4 + 3 * R.random()})
    groups = [{'model': model, 'trained_on': on, 'groups': [
        {'group': group, 'rows': rows, 'positive_rate': base + (.02 if on == 'synthetic' else 0),
         'true_positive_rate': .6 + base / 3, 'false_positive_rate': base / 3}
        for group, rows, base in (('Male', 10860, .25), ('Female', 5421, .09))],
        'demographic_parity_difference': .16 if on == 'real' else .23,
        'equalised_odds_difference': .054 if on == 'real' else .081} for model in auc for on in ('real', 'synthetic')]
    return {'target': 'income', 'task': 'classification', 'classes': ['<=50K', '>50K'], 'positive': '>50K',
            'results': results, 'left_out': [], 'groups': {'column': 'sex', 'results': groups}}


def interval(rate, attempts, **more):
    z, s = 1.959964, rate * attempts
    middle = (s + z * z / 2) / (attempts + z * z)
    error = z / (attempts + z * z) * math.sqrt(s * (attempts - s) / attempts + z * z / 4)
    return {'rate': middle, 'low': max(0, middle - error), 'high': middle + error, **more}


def attack(key, name, train, control, baseline, verdict, explanation, secret=None):
    risk = (train - control) / (1 - control)
    made = {'key': key, 'name': name, 'attempts': 2000, 'train': interval(train, 2000),
            'control': interval(control, 2000), 'baseline': interval(baseline, 2000),
            'risk': {'value': risk, 'low': risk - .018, 'high': risk + .019}, 'verdict': verdict,
            'explanation': explanation}
    return {**made, 'secret': secret} if secret else made


def attacks():
    beats = ('The attack beats guessing, but by no more on people in the training table than on others: what it learns '
             'holds for the whole population.')
    silent = 'The attack does no better than guessing, so it says nothing about the table: this is no evidence of safety.'
    leak = ('The attack succeeds more often on people in the training table than on others: the synthetic table gives '
            'them away.')
    edges = [i / 20 for i in range(21)]
    shape = normal([math.exp(-((e - .22) / .12) ** 2) for e in edges[:-1]])
    return {'attacks': [
        attack('singling_out_univariate', 'Singling out by one column', .012, .011, .010, 'inconclusive', silent),
        attack('singling_out_multivariate', 'Singling out by several columns', .124, .081, .022, 'leak', leak),
        attack('linkability', 'Linking two halves of a row', .009, .008, .007, 'inconclusive', silent),
        attack('attribute_inference', 'Inferring a secret column', .771, .768, .602, 'no excess', beats, 'income'),
        attack('attribute_inference', 'Inferring a secret column', .318, .311, .251, 'no excess', beats, 'occupation')],
        'distance': {'sampled': 10000, 'share_closer_to_train': .506, 'low': .496, 'high': .516, 'expected': .5,
                     'median_to_train': .2113, 'median_to_test': .2127,
                     'histogram': {'edges': edges, 'train': blurred(shape, .04), 'test': blurred(shape, .04)},
                     'verdict': 'inconclusive', 'explanation':
                     'Synthetic rows lie no closer to the training table than to other people, which proves little.'},
        'matches': {'exact_train': 0, 'exact_test': 0, 'near_train': .0004, 'near_test': .0003, 'near':
                    'all categories equal and all numbers within 1 % of the declared range', 'sampled': 10000},
        'membership': {'auc': .507, 'low': .496, 'high': .518, 'true_positive_rate_at_1_percent': .0112,
                       'verdict': 'inconclusive', 'explanation': silent, 'sampled': 10000}}


def evaluation():
    return {'format': 'sotto evaluation 1', 'made_by': 'sotto 0.1.0', 'date': '2026-11-22', 'not_private': None,
            'notice': NOTICE, 'rows': {'train': 32561, 'test': 16281, 'synthetic': 32561}, 'fidelity': fidelity(),
            'utility': utility(), 'attacks': attacks(), 'seconds': {'fidelity': 9.4, 'utility': 48.2, 'attacks': 131.7}}


def metrics():
    steps = [[0, .1022]] + [[k, .1022 + .8976 * math.sqrt(k / 4000)] for k in range(50, 4001, 50)]
    return {'format': 'sotto metrics 1', 'not_private': None, 'covered': 'no', 'data_sha256': '0' * 64,
            'train_rows': 32561, 'holdout_rows': 0, 'columns': [], 'steps': [], 'epsilon_by_step': steps}


def sweep():
    epsilons, widths, repeats = [.3, 1, 3, 10], [64, 128], 3
    keys = [('auc', 'AUC, logistic regression', 'higher'), ('column_shapes', 'Column shapes', 'higher'),
            ('pair_trends', 'Pair trends', 'higher')]
    cells, groups = [], []
    for width in widths:
        for epsilon in epsilons:
            settings = {'privacy.epsilon': epsilon, 'model.hidden': width}
            runs = []
            for repeat in range(1, repeats + 1):
                reach = 1 - math.exp(-(.9 + math.log1p(2 * epsilon)) * (1.05 if width == 128 else 1))
                figures = {'auc': .5 + .39 * reach + R.gauss(0, .012), 'column_shapes': .78 + .2 * reach + R.gauss(0, .008),
                           'pair_trends': .66 + .3 * reach + R.gauss(0, .01)}
                failed = width == 128 and epsilon == .3 and repeat == 3
                cells.append({'id': f'{len(cells) + 1:03d}', 'settings': settings, 'repeat': repeat,
                              'status': 'failed' if failed else 'done',
                              'reason': 'not enough free memory for the workspace' if failed else None,
                              'epsilon': None if failed else epsilon * .9993, 'seconds': None if failed else
                              (210 if width == 64 else 340) + R.gauss(0, 12), 'figures': {} if failed else figures})
                if not failed:
                    runs.append(cells[-1])
            made = {}
            for key, *_ in keys:
                values = [run['figures'][key] for run in runs]
                mean = sum(values) / len(values)
                deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
                reach = {2: 12.706, 3: 4.303}[len(values)] * deviation / math.sqrt(len(values))
                made[key] = {'mean': mean, 'low': mean - reach, 'high': mean + reach, 'least': min(values),
                             'most': max(values)}
            groups.append({'settings': settings, 'epsilon': epsilon * .9993, 'runs': len(runs), 'figures': made,
                           'seconds': sum(run['seconds'] for run in runs) / len(runs)})
    lines = [{'metric': 'auc', 'label': label, 'value': value} for label, value in
             (('trained on the real table (no privacy)', .904), ('independent columns', .503), ('target permuted', .497))]
    best = max(groups, key=lambda group: group['figures']['auc']['mean'])
    return {'format': 'sotto sweep 1', 'made_by': 'sotto 0.1.0', 'date': '2026-11-22', 'not_private': None,
            'notice': NOTICE, 'config': 'configs/adult/sweep.yaml', 'delta': 1e-5, 'repeats': repeats,
            'keys': [{'key': 'privacy.epsilon', 'values': epsilons}, {'key': 'model.hidden', 'values': widths}],
            'metrics': [{'key': key, 'label': label, 'better': better} for key, label, better in keys],
            'cells': cells, 'groups': groups, 'lines': lines,
            'privacy': {'delta': 1e-5, 'each': {'least': .2998, 'most': 9.993}, 'all': 28.41, 'best_of_random':
                        {'epsilon': 14.2, 'mean_runs': 24, 'distribution': 'logarithmic', 'explanation':
                         'Had the number of runs been drawn from this distribution, and only the best been released, '
                         'the release would cost this ε.'}, 'budget': {'epsilon': 30, 'delta': 1e-5}, 'statement':
                        'All 24 runs used the same table. Whoever sees all of them, or one that was chosen by looking '
                        'at them, learns as much as ε = 28.41 allows, and not what one run alone would.'},
            'best': {'settings': best['settings'], 'metric': 'auc', 'value': best['figures']['auc']['mean']},
            'seconds': sum(cell['seconds'] or 0 for cell in cells)}


for name, record in (('evaluation', evaluation()), ('evaluation_metrics', metrics()), ('sweep', sweep())):
    (HERE / f'{name}.json').write_text(json.dumps(record, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
