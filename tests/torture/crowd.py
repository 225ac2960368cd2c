# SPDX-License-Identifier: GPL-3.0-or-later
"""Many processes at once on one data set whose cap bears exactly some of them."""
import collections
import json

from scene import BUDGET, DONE, Scene, finish, want

CROWD, BORNE, DELTA = 32, 10, 1e-5


def members(programs, folder, name, count, ledger):
    return [Scene(programs, folder / f'{name}-{number}', 'gan', steps=20, every=5, ledger=ledger, data_id='crowd')
            for number in range(count)]


def show(scene):
    status, out, err = scene.tool('ledger', 'show', 'crowd', '--ledger', scene.ledger, '--json')
    want(status == DONE, f'the data set cannot be shown: {err}')
    return json.loads(out)


def declare(scene, epsilon):
    status, _, err = scene.tool('ledger', 'declare', 'crowd', '--ledger', scene.ledger, '--epsilon', repr(epsilon),
                                '--delta', repr(DELTA))
    want(status == DONE, f'no cap could be declared: {err}')


def spent(scene):
    (line,) = show(scene)['spent']
    return line['epsilon']


def find_cap(programs, folder):
    """Between what ten runs cost and what eleven do, by the ledger's own account where there is no cap."""
    scenes = members(programs, folder, 'alone', BORNE + 1, folder / 'alone.db')
    costs = []
    for scene in scenes:
        status, err = scene.run()
        want(status == DONE, f'a run ended with {status}: {err}')
        costs.append(spent(scene))
    want(costs[BORNE - 1] < costs[BORNE], f'runs cost nothing: {costs}')
    return (costs[BORNE - 1] + costs[BORNE]) / 2


def run(programs, folder):
    cap = find_cap(programs, folder)
    scenes = members(programs, folder, 'together', CROWD, folder / 'together.db')
    declare(scenes[0], cap)
    processes = [scene.start() for scene in scenes]
    ends = [finish(process, 300) for process in processes]
    statuses = collections.Counter(status for status, _ in ends)
    print(f'cap {cap:.6f}; of {CROWD} at once: ' + ', '.join(f'{n} ended with {s}' for s, n in sorted(statuses.items())))
    want(statuses == {DONE: BORNE, BUDGET: CROWD - BORNE},
         f'{dict(statuses)}: ' + '; '.join(err for status, err in ends if status not in (DONE, BUDGET)))
    total = spent(scenes[0])
    print(f'composed epsilon {total:.6f} at delta {DELTA}')
    want(total <= cap, f'{total} is above the cap of {cap}')
    for scene, (status, _) in zip(scenes, ends):
        want(scene.check() == (status == DONE), 'who was refused has a release, or who was not has none')
    scenes[0].check_command()
