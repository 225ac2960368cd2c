#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write utility.json, utility_train.csv and utility_test.csv: what scikit-learn makes of the same tables and predictions.

usage: tests/vectors/evaluate/utility_make.py     (beside this file; needs numpy and scikit-learn, here 1.9.1)

Nothing of sotto is used: features are built here from the definitions in docs/evaluation.md.
"""
import csv
import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, r2_score, roc_auc_score
from sklearn.multiclass import OneVsRestClassifier

HERE = pathlib.Path(__file__).resolve().parent
COLOURS = ['red', 'green', 'blue']
DOSES = [0.0, 2.5]  # declared spikes


def scores_of_classes(rng, rows, classes, spread, absent=(), impossible=()):
    """Random probabilities on a coarse grid, so that there are ties, and some exact zeros."""
    truth = rng.integers(0, classes, rows)
    for k in absent:
        truth[truth == k] = (k + 1) % classes
    logits = spread * (truth[:, None] == np.arange(classes)) + rng.normal(size=(rows, classes))
    grid = np.round(np.exp(logits) / np.exp(logits).sum(1, keepdims=True) * 20)
    grid[:, list(impossible)] = 0
    grid[grid.sum(1) == 0] = 1
    p = grid / grid.sum(1, keepdims=True)
    case = {'classes': classes, 'positive': classes - 1, 'truth': truth.tolist(), 'probabilities': p.tolist()}
    if classes == 2:
        predicted = (p[:, 1] > 0.5).astype(int)
        case['auc'] = roc_auc_score(truth == 1, p[:, 1])
        case['f1'] = f1_score(truth, predicted, pos_label=1)
    else:
        predicted = p.argmax(1)
        case['auc'] = float(np.mean([roc_auc_score(truth == k, p[:, k]) for k in range(classes) if (truth == k).any()]))
        case['f1'] = f1_score(truth, predicted, average='macro')
    case['balanced_accuracy'] = balanced_accuracy_score(truth, predicted)
    clipped = np.clip(p, 1e-15, 1)
    if not absent and (p > 0).all():
        assert np.isclose(log_loss(truth, p), -np.log(clipped[np.arange(rows), truth]).mean())
    case['log_loss'] = float(-np.log(clipped[np.arange(rows), truth]).mean())
    return case


def scores_of_numbers(rng, rows, noise):
    truth = rng.normal(50, 10, rows)
    predicted = truth + rng.normal(0, noise, rows)
    return {'truth': truth.tolist(), 'predicted': predicted.tolist(), 'r2': r2_score(truth, predicted),
            'rmse': float(np.sqrt(np.mean((truth - predicted) ** 2)))}


def table(rng, rows):
    """age, dose (log scale, spikes, may be missing), colour (may be missing) → outcome, shade, weight."""
    made = []
    for _ in range(rows):
        age = int(rng.integers(18, 91))
        dose = [0.0, 2.5, round(float(rng.exponential(8)), 1), None][rng.choice(4, p=[.3, .2, .4, .1])]
        dose = None if dose is None else min(dose, 100.0)
        colour = [*COLOURS, None][rng.choice(4, p=[.4, .3, .2, .1])]
        pull = (age - 54) / 15 + (0 if dose is None else np.log1p(dose) - 1) + {'red': 1, 'blue': -1}.get(colour, 0)
        outcome = 'yes' if rng.random() < 1 / (1 + np.exp(1 - pull)) else 'no'
        shade = ['light', 'middle', 'dark'][int(np.digitize(pull + rng.logistic(), [-1, 1]))]
        weight = round(float(np.clip(70 + 6 * pull + rng.normal(0, 5), 0, 200)), 1)
        made.append((age, dose, colour, outcome, shade, weight))
    return made


def features(rows, mean_of):
    """One-hots with 'missing'; numbers standardised by the rows of mean_of, log scale first, spikes of their own."""
    def scales(some):
        return [[float(r[0]) for r in some], [np.log1p(r[1]) for r in some if r[1] is not None]]
    (a, d) = scales(mean_of)
    columns = [[(r[0] - np.mean(a)) / np.std(a) for r in rows],
               [0 if r[1] is None else (np.log1p(r[1]) - np.mean(d)) / np.std(d) for r in rows],
               [r[1] is None for r in rows]]
    columns += [[r[1] == spike for r in rows] for spike in DOSES]
    columns += [[r[2] == colour for r in rows] for colour in [*COLOURS, None]]
    return np.array(columns, dtype=float).T


def write(name, rows):
    with open(HERE / name, 'w', newline='', encoding='ascii') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['age', 'dose', 'colour', 'outcome', 'shade', 'weight'])
        for age, dose, colour, *rest in rows:
            writer.writerow([age, '' if dose is None else f'{dose:.1f}', colour or '', *rest[:2], f'{rest[2]:.1f}'])


def logistic(labels, train_x, test_x, names):
    """liblinear's own objective: the intercept is a feature that is always 1, and penalised."""
    x, z = (np.hstack([m, np.ones((len(m), 1))]) for m in (train_x, test_x))
    y = np.array([names.index(v) for v in labels])
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=10000)
    if len(names) == 2:
        return model.fit(x, y).predict_proba(z)
    return OneVsRestClassifier(model).fit(x, y).predict_proba(z)


def main():
    rng = np.random.default_rng(20261122)
    train, test = table(rng, 400), table(rng, 60)
    write('utility_train.csv', train)
    write('utility_test.csv', test)
    x, z = features(train, train), features(test, train)
    y = np.array([r[5] for r in train])
    # ½‖w‖² + Σ (w·x − y)² on standardised y is a ridge of penalty ½.
    ones = [np.hstack([m, np.ones((len(m), 1))]) for m in (x, z)]
    ridge = Ridge(alpha=0.5, fit_intercept=False).fit(ones[0], (y - y.mean()) / y.std())
    record = {
        'made_by': 'utility_make.py with scikit-learn',
        'classes': [scores_of_classes(rng, 40, 2, 1.0), scores_of_classes(rng, 60, 2, 0.0),
                    scores_of_classes(rng, 80, 4, 1.5), scores_of_classes(rng, 50, 5, 1.0, absent=(2,)),
                    scores_of_classes(rng, 50, 4, 1.0, absent=(1,), impossible=(1,))],
        'numbers': [scores_of_numbers(rng, 30, 3.0), scores_of_numbers(rng, 25, 30.0)],
        'outcome': logistic([r[3] for r in train], x, z, ['no', 'yes']).tolist(),
        'shade': logistic([r[4] for r in train], x, z, ['light', 'middle', 'dark']).tolist(),
        'weight': (y.mean() + y.std() * ridge.predict(ones[1])).tolist(),
    }
    (HERE / 'utility.json').write_text(json.dumps(record, indent=1) + '\n', encoding='ascii')


if __name__ == '__main__':
    main()
