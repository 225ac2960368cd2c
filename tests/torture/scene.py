# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tortures share: small runs of the command, the trace they leave, and what must hold of them whatever happened."""
import collections
import copy
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time

from book import Book, Unsound

DONE, FAILED, USAGE, BUDGET, INTERRUPTED = 0, 1, 2, 3, 130


class Broken(Exception):
    """An invariant does not hold."""


def want(condition, words):
    if not condition:
        raise Broken(words)


class Programs:
    """Where the built programs are: beside SOTTO_BINARY, or in a build directory."""

    def __init__(self, build):
        build = pathlib.Path(build).resolve()
        self.sotto = build / 'src/cli/sotto'
        self.traced = build / 'tests/torture/sotto-traced'
        self.fault = build / 'tests/torture/sotto-fault.so'
        for program in (self.sotto, self.traced):
            if not program.exists():
                sys.exit(f'torture: {program} is not there; build it, or name another --build')


SCHEMA = '''rows: 240
missing: NA
columns:
  - {name: id, type: identifier}
  - {name: age, type: integer, min: 0, max: 99}
  - {name: town, type: category, values: [north, south, east], missing: allowed}
  - {name: ill, type: category, values: [no, yes]}
'''

HEAD = '''data: {table: table.csv, schema: schema.yamlID}
ledger: {file: LEDGER, block: BLOCK}
privacy: {epsilon: 2.0, delta: 1.0e-5}
sample: {rows: 200}
'''
TRAINING = 'training: {expected_batch_size: 60, steps: STEPS}\ncheckpoint: EVERY\n'
FIGURES = 'figures: {share: 0.1, columns: [age, town], predict: ill}\n'
GAN = '''  generator: {latent: 4, hidden: [64]}
  discriminator: {hidden: [64, 64]}
'''
# kind → (what follows the head, how often each of its single releases is made)
KINDS = {
    'gan': 'model:\n  target: ill\n' + GAN + TRAINING,
    'gan-figures': 'model:\n  target: ill\n' + GAN + TRAINING + FIGURES,
    'vae': 'model: {type: vae, target: ill, latent: 4, encoder: [32], decoder: [32]}\n' + TRAINING + FIGURES,
    'parts': 'model:\n  target: ill\n  scope: generator\n  parts: 3\n' + GAN + TRAINING,
    'aim': 'model: {type: marginals, target: ill}\n' + FIGURES,
    'mst': 'model: {type: marginals, algorithm: mst, target: ill}\n',
    'per-label': 'model: {type: per-label, target: ill}\n' + FIGURES,
}
STEPPING = ('gan', 'gan-figures', 'vae', 'parts')


def put_table(path, rows=240, shift=0):
    towns = ['north', 'south', 'east', 'NA']
    lines = ['id,age,town,ill']
    for i in range(rows):
        k = i + shift
        lines.append(f'p{i},{k * 7 % 100},{towns[k % 4]},{"yes" if k * 7 % 100 > 60 else "no"}')
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')


class Scene:
    """One run in a folder of its own: config, table, schema, trace, and perhaps a ledger."""

    def __init__(self, programs, folder, kind, steps=100, every=10, block=7, ledger=None, shift=0, data_id=None,
                 tiny=False):
        self.programs, self.folder, self.kind = programs, pathlib.Path(folder), kind
        self.folder.mkdir(parents=True)
        self.ledger = pathlib.Path(ledger) if ledger else self.folder / 'ledger.db'
        self.trace = self.folder / 'trace'
        self.config = self.folder / 'run.yaml'
        self.output = self.folder / 'run'
        self.moved = 0
        self.origin = self.folder  # where its run was begun, and the ledger says it is
        put_table(self.folder / 'table.csv', shift=shift)
        (self.folder / 'schema.yaml').write_text(SCHEMA, encoding='utf-8')
        if kind == 'parts':
            steps, every = max(1, steps // 10), max(1, every // 10)
        text = (HEAD + KINDS[kind]).replace('LEDGER', str(self.ledger)).replace('BLOCK', str(block))
        text = text.replace('ID}', f', id: {data_id}}}' if data_id else '}')
        text = text.replace('STEPS', str(steps)).replace('EVERY', str(every))
        if tiny:
            text = text.replace('[64, 64]', '[2]').replace('[64]', '[2]').replace('latent: 4', 'latent: 1')
        self.config.write_text(text, encoding='utf-8')

    def copied_to(self, folder):
        """The same scene in a copy of its folder."""
        twin = copy.copy(self)
        shutil.copytree(self.folder, folder)
        for name in ('ledger', 'trace', 'config', 'output'):
            setattr(twin, name, pathlib.Path(str(getattr(self, name)).replace(str(self.folder), str(folder))))
        twin.folder = folder
        text = self.config.read_text(encoding='utf-8').replace(str(self.folder), str(folder))
        twin.config.write_text(text, encoding='utf-8')
        return twin

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(('SOTTO_', 'OPENBLAS_', 'XDG_')) and name != 'LD_PRELOAD'}
        kept.update(SOTTO_TRACE_FILE=str(self.trace), OPENBLAS_NUM_THREADS='1', OMP_WAIT_POLICY='passive',
                    HOME=str(self.folder))
        kept.update({name: str(value) for name, value in more.items()})
        return kept

    def words(self, *options, output=None, threads=1):
        return [str(self.programs.traced), 'train', str(self.config), '--output', str(output or self.output),
                '--threads', str(threads), '--quiet', *options]

    def start(self, *options, output=None, threads=1, **more):
        return subprocess.Popen(self.words(*options, output=output, threads=threads), cwd=self.folder,
                                env=self.environment(**more), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=allow_handles)

    def run(self, *options, output=None, threads=1, limit=120, **more):
        """(exit status, what it said on standard error); Broken where it hangs or ends by a signal."""
        return finish(self.start(*options, output=output, threads=threads, **more), limit)

    def how_to_go_on(self, output=None):
        """Options with which to go on in a run directory. One that was left before its run had a name is moved away."""
        output = output or self.output
        if (output / 'private/run.json').exists():
            return ('--resume',)
        if output.exists():
            self.moved += 1
            output.rename(output.with_name(f'{output.name}-moved-{self.moved}'))
        return ()

    def tool(self, *words, limit=60, **more):
        """A command of the product: (exit status, standard output, standard error)."""
        done = subprocess.run([str(self.programs.sotto), *map(str, words)], cwd=self.folder, timeout=limit,
                              env=self.environment(**more), stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return done.returncode, done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')

    # ---- what must hold ----

    def accesses(self):
        """Uses that were made, by label, from the trace."""
        made = collections.Counter()
        if self.trace.exists():
            data = self.trace.read_bytes()
            want(len(data) % 64 == 0, 'the trace has half a record')
            for at in range(0, len(data), 64):
                label = data[at + 8:at + 64].split(b'\0')[0].decode()
                made[label] += int.from_bytes(data[at:at + 8], 'little')
        return made

    def book(self):
        try:
            return Book(self.ledger)
        except Unsound as error:
            raise Broken(f'the ledger: {error}') from error

    def check_ledger(self, book, done):
        """Nothing was done that is not in it."""
        charged = book.charged(self.origin) if book else {}
        for label, count in done.items():
            want(charged.get(label, 0) >= count,
                 f'"{label}" was done {count} times and is charged {charged.get(label, 0)} times')

    def check_command(self):
        """The command itself finds the ledger sound too."""
        if self.ledger.exists():
            status, _, err = self.tool('ledger', 'verify', '--ledger', self.ledger)
            want(status == DONE, f'the ledger does not verify: {err}')

    def check_files(self, output=None):
        output = output or self.output
        if (output / 'private').exists():
            check_modes(output / 'private')
            check_private(output / 'private')
        for path in self.ledger.parent.glob(self.ledger.name + '*'):
            check_mode(path)

    def check_release(self, book, output=None):
        """release/ is absent, or whole and as the ledger has it. Gives whether it is there."""
        folder = (output or self.output) / 'release'
        if not folder.exists():
            return False
        want(book, 'there is a release, and no ledger')
        try:
            statement = json.loads((folder / 'privacy.json').read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise Broken(f'release/ has no sound statement: {error}') from error
        recorded = book.released()
        for path in folder.iterdir():
            want(sha256(path) in recorded, f'release/{path.name} is not in the ledger as it is')
        for entry in statement['released']:
            path = folder / entry['file']
            want(path.exists() and sha256(path) == entry['sha256'], f'release/{path.name} is not what the statement says')
        return True

    def check_noise(self):
        """No block of noise, nor of sampling coins, was ever drawn before."""
        blocks = self.noise()
        want(len(set(blocks)) == len(blocks), f'of {len(blocks)} blocks of noise some were drawn twice')

    def noise(self):
        path = self.trace.with_name(self.trace.name + '.noise')
        data = path.read_bytes() if path.exists() else b''
        return [data[at:at + 16] for at in range(0, len(data), 16)]

    def check(self, output=None):
        """All of it. Gives whether there is a release."""
        done = self.accesses()  # before the ledger is read: a copy may be at work, and charges before it does
        book = self.book() if self.ledger.exists() else None
        self.check_ledger(book, done)
        self.check_noise()
        self.check_files(output)
        return self.check_release(book, output)


def allow_handles():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard != resource.RLIM_INFINITY else 4096, hard))


def finish(process, limit=120):
    try:
        _, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Broken(f'it still ran after {limit} seconds') from None
    return process.returncode, err.decode(errors='replace')


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_mode(path):
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:  # a temporary file, which has its own name by now
        return
    allowed = 0o700 if path.is_dir() else 0o600
    want(mode & ~allowed == 0, f'{path} is open to others: {mode:o}')


def check_modes(folder):
    for path in [folder, *folder.rglob('*')]:
        check_mode(path)


def check_private(folder):
    """No file is half written under its own name."""
    for path in list(folder.rglob('*')):
        if path.suffix == '.json':
            try:
                json.loads(path.read_text(encoding='utf-8'))
            except ValueError as error:
                raise Broken(f'{path} is half written: {error}') from error
        if path.parent.name == 'checkpoint' and path.is_file() and '.' not in path.name:
            data = path.read_bytes()
            want(hashlib.sha256(data[:-64]).hexdigest().encode() == data[-64:], f'{path} is half written')


def has_room(path):
    try:
        about = os.statvfs(path)
    except OSError:
        return False
    return os.access(path, os.W_OK) and about.f_bavail * about.f_frsize > 1 << 28


class Scratch:
    """A folder that goes away at the end, unless something broke in it."""

    def __init__(self, where, name):
        base = pathlib.Path(where or ('/dev/shm' if has_room('/dev/shm') else '/tmp'))
        self.path = base / f'sotto-torture-{name}-{os.getpid()}'

    def __enter__(self):
        self.path.mkdir(parents=True)
        return self.path

    def __exit__(self, kind, *_):
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print(f'torture: what broke lies in {self.path}', file=sys.stderr)


class Chance:
    """All that a torture leaves to chance, from a seed that it tells."""

    def __init__(self, seed):
        self.seed = seed if seed is not None else random.SystemRandom().randrange(1 << 32)

    def of(self, number):
        return random.Random(f'{self.seed} {number}')


def life_of(programs, folder, kind):
    """Seconds that a run of this kind takes when nobody disturbs it; the second of two, as caches are warm then."""
    for attempt in range(2):
        scene = Scene(programs, folder / f'life-{kind}-{attempt}', kind)
        start = time.monotonic()
        status, err = scene.run()
        taken = time.monotonic() - start
        want(status == DONE, f'{kind}: a run that nobody disturbed ended with {status}: {err}')
        want(scene.check(), f'{kind}: a run that nobody disturbed left no release')
        shutil.rmtree(scene.folder)
    return taken


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()
