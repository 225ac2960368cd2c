# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed at any moment of their life, copied, and gone on with."""
import collections
import json
import shutil
import signal
import subprocess
import time

from scene import BUDGET, DONE, FAILED, INTERRUPTED, KINDS, USAGE, Broken, Scene, finish, kill, want

STOPPED = (None, INTERRUPTED, -signal.SIGTERM)  # killed; asked to stop; asked before it could listen
MOST = 30  # attempts until a run must have come to its end


class Story:
    """One run from its start to its end, and what happened to it on the way."""

    def __init__(self, programs, folder, number, chance, lives):
        self.random = chance.of(number)
        self.kind = self.random.choice(list(KINDS))
        self.life = lives[self.kind]
        self.scene = Scene(programs, folder / str(number), self.kind, shift=number)
        self.kills = self.stops = self.copies = self.resumes = self.refused = 0
        self.places = collections.Counter()
        self.told = []

    def start(self, output):
        """Begin, or go on with what is there."""
        options = self.scene.how_to_go_on(output)
        self.resumes += bool(options)
        return self.scene.start(*options, output=output, threads=self.random.choice([1, 2]))

    def place(self, output):
        """Where in its life a run was killed, by what it left."""
        private = output / 'private'
        if (output / 'release').exists():
            return 'after its release'
        if (output / 'release.unfinished').exists():
            return 'while it wrote its release'
        if (private / 'checkpoint' / 'state').exists():
            return 'after a checkpoint'
        if self.scene.accesses():
            return 'after its first access'
        return 'before any access' if private.exists() else 'before it made a folder'

    def disturb(self, process, output):
        """Kill it, or ask it to stop, after any time up to the length of its life. Status None: it was killed."""
        gentle = self.random.random() < 0.1
        pause = self.random.uniform(0, self.life)
        try:
            process.wait(pause)
        except subprocess.TimeoutExpired:
            pass
        if process.poll() is not None:
            return finish(process)
        if gentle:
            self.stops += 1
            process.send_signal(signal.SIGTERM)
            status, err = finish(process)
            self.told.append(f'asked to stop after {pause:.4f} s: {status} {err.strip()}')
            return status, err
        kill(process)
        self.kills += 1
        where = self.place(output)
        self.places[where] += 1
        self.told.append(f'killed after {pause:.4f} s, {where}')
        return None, ''

    def advance(self, output, odds):
        """One process from its start to its end, whoever ends it; then all must hold. Gives its status."""
        process = self.start(output)
        disturbed = self.random.random() < odds
        status, err = self.disturb(process, output) if disturbed else finish(process)
        self.told.append(f'{output.name}: {status} {err.strip()}')
        self.scene.check(output)
        want(status in STOPPED or 'sotto: ' in err or status == DONE, f'ended with {status}: {err}')
        return status

    def copy(self):
        """What is there, under another name, as a backup or a colleague has it."""
        twin = self.scene.output.with_name('copy')
        shutil.copytree(self.scene.output, twin)
        self.copies += 1
        return twin

    def both(self, outputs):
        """All go on at once: only the newest attempt at a run may charge."""
        processes = [self.start(output) for output in outputs]
        for output, process in zip(outputs, processes):
            status, err = finish(process)
            self.told.append(f'{output.name}, at once: {status} {err.strip()}')
            there = self.scene.check(output)
            want(there if status == DONE else status in (FAILED, USAGE, BUDGET), f'ended with {status}: {err}')
            self.refused += status != DONE

    def tell(self):
        """How it ended: DONE, BUDGET where a release that is made once was paid for and lost, or what a copy took."""
        output = self.scene.output
        status = self.advance(output, 1.0)
        outputs = [output]
        if status in STOPPED and output.exists() and self.random.random() < 0.3:
            outputs.append(self.copy())
            if self.random.random() < 0.5:
                self.both(outputs)
        ends = [self.to_the_end(output) for output in outputs]
        self.scene.check_command()
        if ends == [DONE, DONE]:
            self.compare(outputs)
        want(DONE in ends or BUDGET in ends, f'it ended with {ends}')
        return '/'.join(map(str, sorted(ends)))

    def compare(self, outputs):
        """Two directories with a release: of two runs, or of one that was copied when it was whole."""
        runs = [json.loads((output / 'private/run.json').read_text(encoding='utf-8')) for output in outputs]
        releases = [(output / 'release/synthetic.csv').read_bytes() for output in outputs]
        want(runs[0] != runs[1] or releases[0] == releases[1], 'one run was released twice')

    def to_the_end(self, output):
        for _ in range(MOST):
            if self.scene.check(output):
                return DONE
            status = self.advance(output, 0.3)
            if status == BUDGET:
                self.refused += 1
                return BUDGET
            if status == USAGE:  # of two copies the other one was released
                want(self.copies, 'refused, and there is no copy: ' + self.told[-1])
                self.refused += 1
                return USAGE
            want(status in STOPPED or status == DONE, f'going on, it ended with {status}')
        raise Broken('it never came to an end')


def run_story(arguments):
    programs, folder, number, chance, lives = arguments
    story = Story(programs, folder, number, chance, lives)
    try:
        end = story.tell()
    except (Broken, subprocess.SubprocessError, OSError) as error:
        return story, f'run {number} ({story.kind}): {error}\n    ' + '\n    '.join(story.told)
    blocks = story.scene.noise()
    shutil.rmtree(story.scene.folder)
    return story, (end, blocks)
