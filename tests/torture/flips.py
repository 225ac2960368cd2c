# SPDX-License-Identifier: GPL-3.0-or-later
"""One flipped bit anywhere in a checkpoint, a model file or a ledger is refused with a message."""
import collections
import shutil

from faults import stop_early
from scene import DONE, FAILED, INTERRUPTED, USAGE, Broken, Scene, kill, want


def flipped(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


class Target:
    """A file, and the command that must refuse it once a bit is flipped."""

    def __init__(self, name, scene, path, words, whole=True):
        self.name, self.scene, self.path, self.words, self.whole = name, scene, path, words, whole
        self.head = scene.book().head

    def bits(self, stride):
        return range(0, 8 * self.path.stat().st_size, stride)


def refuse(arguments):
    """None, or a complaint: (bit, words). Works in a copy of the scene's folder."""
    target, bit = arguments
    folder = target.scene.folder.with_name(f'{target.name}-{bit}'.replace(' ', '-'))
    scene = target.scene.copied_to(folder)
    victim = folder / target.path.relative_to(target.scene.folder)
    victim.write_bytes(flipped(target.path, bit))
    words = [str(word).replace(str(target.scene.folder), str(folder)) for word in target.words]
    status, _, err = scene.tool(*words)
    complaint = None
    if target.whole or status != DONE:
        if status not in (USAGE, FAILED) or not err.startswith('sotto: '):
            complaint = f'{target.name}, bit {bit % 8} of byte {bit // 8}: exit {status}: {err.strip()}'
    else:  # it went unnoticed: then nothing is different
        try:
            complaint = None if scene.book().head == target.head else 'its chain is another'
        except Broken as error:
            complaint = str(error)
        if complaint:
            complaint = f'{target.name}, bit {bit % 8} of byte {bit // 8}: taken for sound, and {complaint}'
    shutil.rmtree(folder)
    return bit, status, complaint


def targets(programs, folder):
    whole = Scene(programs, folder / 'whole', 'per-label', steps=1)
    status, err = whole.run()
    want(status == DONE, f'a run ended with {status}: {err}')
    release = whole.output / 'release'
    yield Target('model', whole, release / 'model.sotto',
                 ['sample', release / 'model.sotto', '--rows', 1, '--output', whole.folder / 'rows.csv', '--quiet'])
    verify = ['ledger', 'verify', '--quiet', '--ledger']
    yield Target('ledger', whole, whole.ledger, [*verify, whole.ledger])
    yield Target('head of the ledger', whole, whole.ledger.with_name('ledger.db-head'), [*verify, whole.ledger])

    stopped = Scene(programs, folder / 'stopped', 'gan', steps=400, every=1, tiny=True)
    status, err = stop_early(stopped)
    want(status == INTERRUPTED, f'asked to stop, a run ended with {status}: {err}')
    for name in ('state', 'split'):
        yield Target(f'checkpoint {name}', stopped, stopped.output / 'private/checkpoint' / name,
                     ['train', stopped.config, '--output', stopped.output, '--threads', 1, '--resume', '--finish',
                      '--quiet'])

    torn = Scene(programs, folder / 'torn', 'gan', steps=100, every=5, tiny=True)
    status, err = torn.run(output=torn.folder / 'first')  # so that the ledger's file has something of its own
    want(status == DONE, f'a run ended with {status}: {err}')
    process = torn.start()
    while process.poll() is None and not (torn.output / 'private/checkpoint/state').exists():
        pass
    kill(process)
    wal = torn.ledger.with_name('ledger.db-wal')
    want(wal.exists() and wal.stat().st_size > 0, 'a killed run left no log of its ledger')
    # What was superseded in the file, or in the log, may be flipped and nobody is the worse; but never another chain.
    yield Target('log after a kill', torn, wal, [*verify, torn.ledger], whole=False)
    yield Target('ledger after a kill', torn, torn.ledger, [*verify, torn.ledger], whole=False)


def run(programs, folder, stride, workers, over):
    complaints = []
    for target in targets(programs, folder):
        ends = collections.Counter()
        for _, status, complaint in over(workers, refuse, ((target, bit) for bit in target.bits(stride))):
            ends[status] += 1
            if complaint:
                complaints.append(complaint)
        size = target.path.stat().st_size
        print(f'{target.name}: {sum(ends.values())} of {8 * size} bits flipped; '
              + ', '.join(f'{count} ended with {status}' for status, count in sorted(ends.items())), flush=True)
    return complaints
