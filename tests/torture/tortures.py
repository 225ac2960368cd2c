# SPDX-License-Identifier: GPL-3.0-or-later
"""Each torture as scripts/torture calls it: gives the exit status."""
import collections
import concurrent.futures
import itertools
import shutil
import time

import crowd
import faults
import flips
import kill
import scenes
from scene import Broken, Chance, Programs, Scratch, life_of


def over(workers, function, tasks):
    """Results as they come; never more than a few tasks ahead, so that what is broken is seen early."""
    tasks = iter(tasks)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(function, task) for task in itertools.islice(tasks, 2 * workers)}
        while waiting:
            done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            for one in done:
                yield one.result()
            waiting |= {pool.submit(function, task) for task in itertools.islice(tasks, len(done))}


def verdict(complaints):
    for words in complaints[:20]:
        print(f'BROKEN: {words}')
    if complaints:
        print(f'{len(complaints)} broken')
    return 1 if complaints else 0


def torture_kill(options):
    chance = Chance(options.seed)
    print(f'seed {chance.seed}')
    programs, complaints, sums, ends = Programs(options.build), [], collections.Counter(), collections.Counter()
    noise, blocks = set(), 0
    with Scratch(options.scratch, 'kill') as folder:
        lives = {kind: life_of(programs, folder, kind) for kind in kill.KINDS}
        print('lives: ' + ', '.join(f'{kind} {seconds * 1000:.0f} ms' for kind, seconds in lives.items()))
        tasks = ((programs, folder, number, chance, lives)
                 for number in itertools.takewhile(lambda _: sums['kills'] < options.runs, itertools.count()))
        for story, end in over(options.workers, kill.run_story, tasks):
            sums.update(kills=story.kills, stops=story.stops, copies=story.copies, resumes=story.resumes,
                        refused=story.refused)
            sums.update({f'killed {place}': count for place, count in story.places.items()})
            if isinstance(end, str):
                complaints.append(end)
                continue
            ends[f'{story.kind}: {end[0]}'] += 1
            blocks += len(end[1])
            noise.update(end[1])
        if len(noise) != blocks:
            complaints.append(f'of {blocks} blocks of noise only {len(noise)} differ')
        print(f'{sum(ends.values())} runs; ' + ', '.join(f'{count} {name}' for name, count in sorted(sums.items())))
        print('; '.join(f'{name} {count}' for name, count in sorted(ends.items())))
        print(f'{blocks} blocks of noise and coins, {len(noise)} different')
        if complaints:
            verdict(complaints)
            raise SystemExit(1)
    return 0


def torture_fault(options):
    programs, complaints = Programs(options.build), []
    if not programs.fault.exists():
        print('no library of faults was built on this system')
        return 77
    with Scratch(options.scratch, 'fault') as folder:
        for kind, begun in (('gan-figures', False), ('gan-figures', True), ('aim', False)):
            template = faults.Template(programs, folder, kind, begun)
            counted = faults.count(template)
            if counted is None:
                print('this kernel refuses the filter')
                return 77
            cases = [case for case in faults.cases_of(*counted) if options.only in (None, case.what)]
            cases = cases[options.first::options.stride]
            print(f'{template.name}: {len(counted[0])} system calls, {counted[1]} allocations, '
                  f'{len(cases)} faults', flush=True)
            complaints += faults.run_all(template, cases, options.workers, over)
        if complaints:
            verdict(complaints)
            raise SystemExit(1)
    return 0


def torture_calls(options):
    programs = Programs(options.build)
    if not programs.fault.exists() or not shutil.which('strace'):
        print('no library of faults, or no strace')
        return 77
    with Scratch(options.scratch, 'calls') as folder:
        return faults.compare_with_strace(faults.Template(programs, folder, 'gan-figures', False))


def torture_crowd(options):
    with Scratch(options.scratch, 'crowd') as folder:
        crowd.run(Programs(options.build), folder)
    return 0


def of_list(name, functions, options):
    """A row of scenes, each in a folder of its own."""
    complaints = []
    programs = Programs(options.build)
    with Scratch(options.scratch, name) as folder:
        for number, function in enumerate(functions):
            start = time.monotonic()
            place = folder / str(number)
            place.mkdir()
            try:
                function(programs, place)
            except Broken as error:
                complaints.append(f'{function.__name__}: {error}')
                print(f'  FAIL {function.__name__}: {error}')
                continue
            print(f'  ok   {function.__name__} ({time.monotonic() - start:.1f} s)', flush=True)
        if complaints:
            raise SystemExit(verdict(complaints))
    return 0


def torture_scenes(options):
    return of_list('scenes', scenes.ALL, options)


def torture_flips(options):
    programs = Programs(options.build)
    with Scratch(options.scratch, 'flips') as folder:
        return verdict(flips.run(programs, folder, options.stride, options.workers, over))


ALL = {'kill': torture_kill, 'fault': torture_fault, 'calls': torture_calls, 'crowd': torture_crowd,
       'scenes': torture_scenes, 'flips': torture_flips}
