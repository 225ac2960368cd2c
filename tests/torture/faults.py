# SPDX-License-Identifier: GPL-3.0-or-later
"""Each system call on files and memory, and each allocation, of one short run fails once, one at a time."""
import collections
import re
import shutil
import signal
import subprocess

from scene import BUDGET, DONE, FAILED, INTERRUPTED, USAGE, Broken, Scene, allow_handles, finish, want

LIMIT = 60  # seconds: a run takes a tenth of one
# What the library watches (fault.c), whether a run makes such calls or not.
KNOWN = '''open creat mkdir rename unlink link chmod stat lstat access readlink renameat openat mkdirat renameat2
unlinkat linkat fchmodat fchmod newfstatat fstat statx fstatfs statfs faccessat faccessat2 readlinkat getdents64 read
pread64 write pwrite64 writev pwritev fsync fdatasync sync_file_range ftruncate fallocate close flock fcntl mmap
mremap getrandom fork wait4'''


class Case:
    """One fault: which call, which error; alone, or from there on."""

    def __init__(self, what, number, error, always=False):
        self.what, self.number, self.error, self.always = what, number, error, always

    def __str__(self):
        return (f'{self.what} {self.number} {self.error}' + (' and all after it' if self.always else ''))

    def environment(self):
        if self.what == 'allocation':
            return {'SOTTO_FAULT_MEMORY': self.number, 'SOTTO_FAULT_ALWAYS': int(self.always)}
        return {'SOTTO_FAULT_CALL': self.number, 'SOTTO_FAULT_ERROR': self.error,
                'SOTTO_FAULT_ALWAYS': int(self.always)}


class Template:
    """A run to be disturbed; where it is a resume, of a run that was stopped once, and is copied for each fault."""

    def __init__(self, programs, folder, kind, begun, steps=4, every=1):
        self.programs, self.kind, self.folder = programs, kind, folder
        self.steps, self.every = steps, every
        self.name = kind + ('-resumed' if begun else '')
        self.stopped = self.stop() if begun else None

    def begin(self, name):
        return Scene(self.programs, self.folder / name, self.kind, steps=self.steps, every=self.every, block=2)

    def stop(self):
        """A run that is asked to stop at the first call at which it then takes some steps, and not all."""
        for number in range(100, 2000, 20):
            scene = self.begin(f'{self.name}-stopped-{number}')
            status, _ = scene.run(**preloaded(scene, '/dev/null', SOTTO_FAULT_STOP=number))
            want(status in (DONE, INTERRUPTED, 77), f'asked to stop, a run ended with {status}')
            if status == INTERRUPTED and sum(scene.accesses().values()) > 3:
                return scene
            shutil.rmtree(scene.folder)
        raise Broken('no run could be stopped on its way')

    def make(self, name):
        if not self.stopped:
            return self.begin(f'{self.name}-{name}')
        return self.stopped.copied_to(self.folder / f'{self.name}-{name}')

    def options(self):
        return ('--resume',) if self.stopped else ()


def stop_early(scene):
    """Ask a long run to stop as soon as it has a checkpoint."""
    process = scene.start()
    while process.poll() is None and not (scene.output / 'private/checkpoint/state').exists():
        pass
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    return finish(process)


def preloaded(scene, report, **more):
    return {'LD_PRELOAD': scene.programs.fault, 'SOTTO_FAULT_REPORT': report, **more}


def count(template):
    """What one run does: [(call, its errors)], and how many allocations. None where the kernel refuses."""
    scene = template.make('count')
    report = scene.folder / 'report'
    status, err = scene.run(*template.options(), **preloaded(scene, report))
    if status == 77:
        return None
    want(status == DONE, f'a counted run ended with {status}: {err}')
    calls, allocations = [], 0
    for line in report.read_text(encoding='ascii').splitlines():
        words = line.split()
        if words[0] == 'call':
            calls.append((words[1], words[2:]))
        if words[0] == 'allocations':
            allocations = int(words[1])
    shutil.rmtree(scene.folder)
    want(calls and allocations, 'nothing was counted')
    return calls, allocations


def cases_of(calls, allocations):
    """Every call with every error it can give; then the lasting ones; then every allocation."""
    cases = []
    for k, (_, errors) in enumerate(calls, 1):
        cases += [Case('call', k, error) for error in errors]
        cases += [Case('call', k, error, True) for error in errors if error in ('ENOSPC', 'EMFILE')]
    cases += [Case('allocation', k, 'ENOMEM') for k in range(1, allocations + 1)]
    cases += [Case('allocation', k, 'ENOMEM', True) for k in range(1, allocations + 1, 25)]
    return cases


def hits(report):
    """What the library says it did: None, or its words."""
    text = report.read_text(encoding='ascii') if report.exists() else ''
    found = re.search(r'^hit (.*)$', text, re.M)
    return found[1] if found else None


def check_end(case, report, status, err):
    hit = hits(report)
    want(status >= 0, f'ended by signal {-status}: {err}')
    want(status in (DONE, FAILED, USAGE, BUDGET), f'ended with {status}: {err}')
    mute = hit and re.match(r'write 2 ', hit)
    want(status == DONE or err.strip() or mute, f'ended with {status} and said nothing')


def go_on(template, scene, told):
    """Without a fault the run, or another one, comes to its end."""
    if scene.check():
        return 'released'
    options = scene.how_to_go_on()
    status, err = scene.run(*options)
    told.append(f'{"resumed" if options else "begun again"}: {status} {err.strip()}')
    there = scene.check()
    if status == BUDGET and not there:
        return 'lost'
    want(status == DONE and there, f'going on ended with {status}: {err}')
    return 'gone on'


def run_case(arguments):
    """(case, what was hit, (how it ended, status) or a complaint)."""
    template, number, case = arguments
    told = []
    scene = template.make(number)
    report = scene.folder / 'report'
    before = scene.accesses()
    try:
        status, err = finish(scene.start(*template.options(), **preloaded(scene, report, **case.environment())), LIMIT)
        told.append(f'{case}: hit {hits(report)}: {status} {err.strip()}')
        check_end(case, report, status, err)
        want(status != USAGE or scene.accesses() == before, f'{err.strip()}: it ended with {USAGE}, and had been charged')
        end = go_on(template, scene, told)
    except (Broken, subprocess.SubprocessError, OSError) as error:
        return case, hits(report), f'{error}\n    ' + '\n    '.join(told)
    hit = hits(report)
    shutil.rmtree(scene.folder)
    return case, hit, (end, status)


def run_all(template, cases, workers, over):
    """Complaints; and what became of the rest is printed."""
    complaints, ends = [], collections.Counter()
    for case, hit, end in over(workers, run_case, ((template, i, case) for i, case in enumerate(cases))):
        if isinstance(end, str):
            complaints.append(end)
            continue
        words = f'{case.what} {case.error}' + (' from there on' if case.always else '')
        ends[(words, ('' if hit else 'not met, ') + f'exit {end[1]}, {end[0]}')] += 1
    for (words, end), number in sorted(ends.items()):
        print(f'  {number:6} {words}: {end}')
    return complaints


SEEN = re.compile(r'^\d+ +(\w+)\((.*)$')


def seen_by_strace(template):
    """How often each call is made after the start of main, by strace's own count: without the filter."""
    scene = template.make('strace')
    log = scene.folder / 'strace'
    words = ['strace', '-f', '-o', str(log), '-E', f'LD_PRELOAD={scene.programs.fault}', '-E', 'SOTTO_FAULT_MARK_ONLY=1',
             '-E', 'SOTTO_FAULT_REPORT=/dev/null', *scene.words(*template.options())]
    done = subprocess.run(words, cwd=scene.folder, env=scene.environment(), stdin=subprocess.DEVNULL,
                          capture_output=True, check=False, preexec_fn=allow_handles)
    want(done.returncode == DONE, f'under strace it ended with {done.returncode}: {done.stderr.decode()}')
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()
    start = next(i for i, line in enumerate(lines) if 'getpriority' in line and '7777777' in line)
    made = collections.Counter()
    for line in lines[start + 1:]:
        found = SEEN.match(line)
        if not found:
            continue
        own = re.match(r'9\d\d, ', found[2])  # the trace's
        lock = found[1] != 'fcntl' or 'LK' in found[2]
        process = found[1] == 'clone' and 'CLONE_VM' not in found[2]
        if not own and lock:
            made['fork' if process else found[1]] += 1
    shutil.rmtree(scene.folder)
    return made


def compare_with_strace(template, runs=4):
    """0 where the library counts each call as often as strace does, in some of the runs that each of them watches: how
    many numbers are drawn for a temporary name, or how much memory is mapped, is not the same each time."""
    ours, theirs = [], []
    for _ in range(runs):
        counted = count(template)
        if counted is None:
            return 77
        ours.append(collections.Counter(name for name, _ in counted[0]))
        theirs.append(seen_by_strace(template))
    names = {name for one in ours + theirs for name in one}
    bad = 0
    for name in sorted(names):
        here, there = {one[name] for one in ours}, {one[name] for one in theirs}
        watched = name in KNOWN.split()
        bad += watched and not here & there
        print(f'  {name}: {numbers(there)} by strace, ' + (f'{numbers(here)} by the library' if watched else 'not watched')
              + ('  DIFFERENT' if watched and not here & there else ''))
    return 1 if bad else 0


def numbers(found):
    return ' or '.join(map(str, sorted(found)))
