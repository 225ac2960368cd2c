# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody turns time back, or makes copies: each is refused or charged, as docs/threat-model.md says."""
import fcntl
import json
import re
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time

from faults import preloaded, stop_early
from scene import BUDGET, DONE, FAILED, INTERRUPTED, USAGE, Scene, finish, kill, put_table, want


def done(scene, *options, **more):
    status, err = scene.run(*options, **more)
    want(status == DONE, f'it ended with {status}: {err}')
    want(scene.check(more.get('output')), 'there is no release')


def refused(scene, part, *options, wanted=USAGE, **more):
    """A run or a resume that must not touch a row, and says `part`."""
    before = scene.accesses()
    status, err = scene.run(*options, **more)
    want(status == wanted, f'it ended with {status}, not {wanted}: {err}')
    want('sotto: ' in err and part in err, f'it does not say "{part}": {err}')
    want(scene.accesses() == before, 'it was refused after it had touched the table')


def unsound(scene, part, *artefacts, **more):
    status, _, err = scene.tool('ledger', 'verify', *artefacts, '--ledger', scene.ledger, **more)
    want(status == USAGE and part in err, f'verify ended with {status} and does not say "{part}": {err}')


def sound(scene, *artefacts, **more):
    status, _, err = scene.tool('ledger', 'verify', *artefacts, '--ledger', scene.ledger, **more)
    want(status == DONE, f'the ledger does not verify: {err}')


def beside(scene, ending):
    return scene.ledger.with_name(scene.ledger.name + ending)


def save(scene, folder, endings=('',)):
    """Copies of the ledger's files while nobody has them open."""
    folder.mkdir()
    for ending in endings:
        shutil.copy2(beside(scene, ending), folder)


def restore(scene, folder):
    for ending in ('-wal', '-shm'):
        beside(scene, ending).unlink(missing_ok=True)
    for path in folder.iterdir():
        shutil.copy2(path, scene.ledger.parent)


def second_run(scene):
    return scene.output.with_name('second')


def a_restored_ledger_is_refused(programs, folder):
    scene = Scene(programs, folder / 'x', 'gan', steps=10)
    done(scene)
    save(scene, folder / 'old')
    done(scene, output=second_run(scene))
    save(scene, folder / 'new')
    restore(scene, folder / 'old')
    unsound(scene, 'older copy')
    refused(scene, 'older copy', output=scene.output.with_name('third'))
    restore(scene, folder / 'new')
    sound(scene)
    done(scene, output=scene.output.with_name('fourth'))


def a_restored_ledger_with_its_head_is_told_by_statement_and_mirror(programs, folder):
    scene = Scene(programs, folder / 'x', 'gan', steps=10)
    (folder / 'elsewhere').mkdir()
    mirror = {'SOTTO_LEDGER_MIRROR': folder / 'elsewhere/head'}
    done(scene, **mirror)
    save(scene, folder / 'old', ('', '-head'))
    done(scene, output=second_run(scene), **mirror)
    restore(scene, folder / 'old')
    unsound(scene, 'older', second_run(scene))
    unsound(scene, 'older', folder / 'elsewhere/head')
    refused(scene, 'elsewhere/head', output=scene.output.with_name('third'), **mirror)
    sound(scene)  # by itself it cannot know: that is what the mirror is for


def a_checkpoint_knows_a_newer_ledger(programs, folder):
    scene = Scene(programs, folder / 'x', 'gan', steps=400, every=1)
    first = Scene(programs, folder / 'y', 'gan', steps=10, ledger=scene.ledger, shift=1)
    done(first)
    save(scene, folder / 'old', ('', '-head'))
    want(stop_early(scene)[0] == INTERRUPTED, 'the run was not stopped')
    sound(scene, scene.output, first.output)
    restore(scene, folder / 'old')
    unsound(scene, 'older copy', scene.output, first.output)
    refused(scene, 'ledger', '--resume')


def a_deleted_log_is_refused(programs, folder):
    scene = Scene(programs, folder / 'x', 'gan', steps=400, every=5)
    done(Scene(programs, folder / 'y', 'gan', steps=10, ledger=scene.ledger, shift=1))
    process = scene.start()
    while process.poll() is None and not (scene.output / 'private/checkpoint/state').exists():
        pass
    kill(process)
    want(beside(scene, '-wal').stat().st_size > 0, 'the killed run left no log')
    save(scene, folder / 'torn', ('', '-head', '-wal'))
    beside(scene, '-wal').unlink()
    beside(scene, '-shm').unlink(missing_ok=True)
    unsound(scene, 'lost its log')
    refused(scene, 'lost its log', '--resume')
    restore(scene, folder / 'torn')
    done(scene, '--resume')


def a_ledger_without_its_head_is_refused_until_adopted(programs, folder):
    scene = Scene(programs, folder / 'x', 'gan', steps=10)
    done(scene)
    beside(scene, '-head').unlink()
    unsound(scene, 'adopt')
    refused(scene, 'adopt', output=second_run(scene))
    status, _, err = scene.tool('ledger', 'adopt', '--ledger', scene.ledger)
    want(status == DONE, f'it could not be adopted: {err}')
    want(len(scene.book().of('adopted')) == 1, 'that it was adopted is not written down')
    done(scene, output=second_run(scene))


def a_deleted_ledger_is_another_one(programs, folder):
    scene = Scene(programs, folder / 'x', 'gan', steps=400, every=1)
    want(stop_early(scene)[0] == INTERRUPTED, 'the run was not stopped')
    scene.ledger.unlink()
    refused(scene, 'sotto: ', '--resume')
    refused(scene, 'sotto: ', output=second_run(scene))
    beside(scene, '-head').unlink()
    refused(scene, 'ledger', '--resume')
    status, err = scene.run(output=second_run(scene), limit=200)
    want(status == DONE, f'a run in a new ledger ended with {status}: {err}')  # nothing is left to know it by
    refused(scene, 'ledger', '--resume')


def stopped_and_copied(programs, folder):
    scene = Scene(programs, folder / 'x', 'gan', steps=400, every=1)
    want(stop_early(scene)[0] == INTERRUPTED, 'the run was not stopped')
    twin = scene.output.with_name('copy')
    shutil.copytree(scene.output, twin)
    return scene, twin


def of_two_copies_one_after_the_other_one_is_released(programs, folder):
    scene, twin = stopped_and_copied(programs, folder)
    done(scene, '--resume')
    refused(scene, 'released', '--resume', output=twin)
    scene.check(twin)


def two_copies_in_turn_are_two_charges(programs, folder):
    scene, twin = stopped_and_copied(programs, folder)
    before = scene.book().charged(folder)['discriminator steps']
    for output in (twin, scene.output):  # each draws anew the steps that the other has drawn
        made = sum(scene.accesses().values())
        process = scene.start('--resume', output=output)
        while process.poll() is None and sum(scene.accesses().values()) < made + 3:
            pass
        kill(process)
        scene.check(output)
    after = scene.book().charged(folder)['discriminator steps']
    want(after >= before, 'charges were lost')
    status, err = scene.run('--resume', output=twin)
    want(status in (DONE, USAGE), f'it ended with {status}: {err}')
    want(len(scene.book().of('attempt')) >= 2, 'the attempts are not in the ledger')
    scene.check(twin)


def of_two_copies_at_once_the_older_attempt_ends(programs, folder):
    scene, twin = stopped_and_copied(programs, folder)
    outputs = (scene.output, twin)
    ends = [finish(process) for process in [scene.start('--resume', output=output) for output in outputs]]
    want([status for status, _ in ends].count(DONE) >= 1, f'neither came to its end: {ends}')
    want(all(status in (DONE, USAGE, FAILED, BUDGET) for status, _ in ends), f'they ended with {ends}')
    releases = [scene.check(output) for output in outputs]
    want(releases.count(True) == 1, f'{releases.count(True)} releases of one run')


def a_clock_set_back_changes_nothing(programs, folder):
    if not programs.fault.exists():
        return
    scene = Scene(programs, folder / 'x', 'gan', steps=400, every=1)
    want(stop_early(scene)[0] == INTERRUPTED, 'the run was not stopped')
    for number, years in enumerate((-20, 20, -50)):
        more = preloaded(scene, '/dev/null', SOTTO_FAULT_CLOCK=years * 31557600, SOTTO_FAULT_MARK_ONLY=1)
        done(Scene(programs, folder / f'y{number}', 'gan', steps=10, ledger=scene.ledger, shift=number), **more)
    times = [entry['time'] for entry in exported(scene) if 'time' in entry]  # its first line is of the ledger itself
    want(times != sorted(times), 'the clock was not set back at all')
    done(scene, '--resume', **preloaded(scene, '/dev/null', SOTTO_FAULT_CLOCK=-31557600, SOTTO_FAULT_MARK_ONLY=1))
    sound(scene)


def exported(scene):
    status, out, err = scene.tool('ledger', 'export', '--ledger', scene.ledger)
    want(status == DONE, f'it cannot be exported: {err}')
    return [json.loads(line) for line in out.splitlines()]


def rewritten(scene, old, new):
    scene.config.write_text(scene.config.read_text(encoding='utf-8').replace(old, new), encoding='utf-8')


def a_cap_follows_the_table(programs, folder):
    """By its content under another name, and by its name with another content; not where both are new."""
    scene = Scene(programs, folder / 'x', 'gan', steps=10, data_id='people')
    status, _, err = scene.tool('ledger', 'declare', 'people', '--ledger', scene.ledger, '--epsilon', '2.2', '--delta', '1e-5')
    want(status == DONE, f'no cap could be declared: {err}')
    done(scene)
    rewritten(scene, ', id: people', '')
    refused(scene, 'cap', output=second_run(scene), wanted=BUDGET)
    shutil.copy(scene.folder / 'table.csv', scene.folder / 'renamed.csv')
    rewritten(scene, 'table.csv', 'renamed.csv')
    refused(scene, 'cap', output=second_run(scene), wanted=BUDGET)
    (scene.folder / 'linked.csv').symlink_to('table.csv')
    put_table(scene.folder / 'table.csv', shift=1)  # edited, where it was
    rewritten(scene, 'renamed.csv', 'linked.csv')
    refused(scene, 'cap', output=second_run(scene), wanted=BUDGET)
    rewritten(scene, 'linked.csv', 'renamed.csv, id: others')
    refused(scene, 'people', output=second_run(scene))
    put_table(scene.folder / 'new.csv', shift=2)
    rewritten(scene, 'renamed.csv, id: others', 'new.csv')
    done(scene, output=second_run(scene))  # the threat model says so in plain words


def a_test_seed_spends_nothing_of_a_cap(programs, folder):
    scene = Scene(programs, folder / 'x', 'gan', steps=10, data_id='people')
    status, _, err = scene.tool('ledger', 'declare', 'people', '--ledger', scene.ledger, '--epsilon', '20', '--delta', '1e-5')
    want(status == DONE, f'no cap could be declared: {err}')
    refused(scene, 'NOT PRIVATE', '--test-only-insecure-seed', '1')
    done(scene, output=second_run(scene))


def two_ledgers_are_an_error(programs, folder):
    scene = Scene(programs, folder / 'x', 'gan', steps=10)
    refused(scene, 'SOTTO_LEDGER', SOTTO_LEDGER=folder / 'other.db')
    done(scene, SOTTO_LEDGER=scene.ledger)


def entries_of(head):
    return int(re.search(r'^entries (\d+)$', head.read_text(encoding='ascii'), re.M)[1])


def lock_heads(descriptor, kind):
    """The byte of the head file under which heads are written, by a lock of an open file (F_OFD_SETLKW)."""
    fcntl.fcntl(descriptor, 38, struct.pack('hhqqi4x', kind, 0, 1 << 41, 1, 0))


def a_faster_commit_keeps_no_mirror_back(programs, folder):
    """Between a commit and its mirror another process commits, and has another mirror, or none."""
    if sys.platform != 'linux':
        return
    for name, other in (('another', folder / 'other.head'), ('none', '')):
        scene = Scene(programs, folder / name, 'per-label')
        mirror = scene.folder / 'mirror.head'

        def declare(identity, path):
            return subprocess.Popen([programs.sotto, 'ledger', 'declare', identity, '--epsilon', '1', '--delta', '1e-5',
                                     '--ledger', scene.ledger], env=dict(scene.environment(), SOTTO_LEDGER_MIRROR=str(path)),
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        want(finish(declare('first', mirror))[0] == DONE, 'a ledger could not be made')
        ledger = sqlite3.connect(scene.ledger, isolation_level=None)
        ledger.execute('BEGIN IMMEDIATE')  # the slow one comes as far as its transaction
        slow = declare('slow', mirror)
        time.sleep(0.5)
        with open(beside(scene, '-head'), 'r+b') as head:
            lock_heads(head.fileno(), fcntl.F_WRLCK)
            ledger.execute('ROLLBACK')  # it commits, and waits for the heads
            while ledger.execute('SELECT max(seq) FROM entries').fetchone()[0] < 2 and slow.poll() is None:
                time.sleep(0.01)
            slow.send_signal(signal.SIGSTOP)
            fast = declare('fast', other)
            time.sleep(0.1)
            lock_heads(head.fileno(), fcntl.F_UNLCK)
        want(finish(fast)[0] == DONE, 'the fast one failed')
        slow.send_signal(signal.SIGCONT)
        want(finish(slow)[0] == DONE, 'the slow one failed')
        ledger.close()
        want(entries_of(beside(scene, '-head')) == 3, 'the head file went back')
        want(entries_of(mirror) >= 2, f'its mirror knows of {entries_of(mirror)} entries, and it committed the second')


def files_are_closed_to_others_whatever_the_umask(programs, folder):
    for number, mask in enumerate((0, 0o777 & ~0o700, 0o027)):
        scene = Scene(programs, folder / f'x{number}', 'gan-figures', steps=10, every=2)
        process = subprocess.Popen(scene.words(), cwd=scene.folder, env=scene.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, umask=mask)
        while process.poll() is None:
            if scene.ledger.exists():
                scene.check_files()
        status, err = finish(process)
        want(status == DONE and scene.check(), f'with the umask {mask:o} it ended with {status}: {err}')


def what_counts_is_on_the_disk_first(programs, folder):
    """For power cuts, which no test here can make: before an access the ledger's log is synced, and before a rename what
    is renamed."""
    if not programs.fault.exists() or not shutil.which('strace'):
        return
    scene = Scene(programs, folder / 'x', 'gan-figures', steps=20, every=2)
    log = folder / 'strace'
    words = ['strace', '-f', '-y', '-s', '300', '-e', 'trace=write,pwrite64,fsync,fdatasync,rename,ftruncate', '-o', str(log)]
    ended = subprocess.run([*words, *scene.words()], cwd=scene.folder, env=scene.environment(), stdin=subprocess.DEVNULL,
                           capture_output=True, check=False)
    want(ended.returncode == DONE, f'under strace it ended with {ended.returncode}: {ended.stderr.decode()}')
    unsynced, accesses, renames = set(), 0, 0
    for line in log.read_text(encoding='utf-8', errors='replace').splitlines():
        call = re.match(r'\d+ +(\w+)\((?:\d+<([^>]*)>|"([^"]*)")', line)
        if not call:
            continue
        name, path = call[1], call[2] or call[3]
        if path == str(scene.trace):
            accesses += 1
            want(not [one for one in unsynced if one.endswith('-wal')], 'an access was made before its charge was synced')
        elif name in ('write', 'pwrite64', 'ftruncate'):
            unsynced.add(path)
        elif name in ('fsync', 'fdatasync'):
            unsynced.discard(path)
        else:
            renames += 1
            inside = [one for one in unsynced if one == path or one.startswith(path + '/')]
            want(not inside, f'{path} was renamed before {inside} was synced')
    want(accesses >= 23 and renames >= 10, f'{accesses} accesses and {renames} renames were seen')


def without_file_handles_there_is_an_error(programs, folder):
    if not programs.fault.exists():
        return  # what a sanitizer does without handles is its own affair
    for handles in range(3, 24):
        scene = Scene(programs, folder / f'x{handles}', 'gan-figures', steps=4, every=1)
        words = [str(programs.sotto), *scene.words()[1:]]
        ended = subprocess.run(words, cwd=scene.folder, env=scene.environment(), stdin=subprocess.DEVNULL,
                               capture_output=True, timeout=60, check=False,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (handles, handles)))
        err = ended.stderr.decode()
        if ended.returncode == 127:  # not even its libraries could be opened
            continue
        want(ended.returncode in (DONE, FAILED, USAGE), f'with {handles} handles it ended with {ended.returncode}: {err}')
        want(ended.returncode == DONE or handles < 5 or 'sotto' in err, f'with {handles} handles it said nothing')
        there = scene.check()
        want(there == (ended.returncode == DONE), f'with {handles} handles it ended with {ended.returncode}: {err}')
        if not there:
            done(scene, *scene.how_to_go_on())


def without_address_space_there_is_an_end(programs, folder):
    """OpenBLAS's threads, which nothing here uses, would try for ever to get theirs, and be waited for at a fork."""
    if not programs.fault.exists():
        return  # a sanitizer needs all of it
    ends = set()
    for megabytes in (*range(100, 260, 20), 300, 400):
        scene = Scene(programs, folder / f'm{megabytes}', 'per-label')
        words = [str(programs.sotto), *scene.words()[1:]]
        environment = scene.environment()
        del environment['OPENBLAS_NUM_THREADS']
        limit = megabytes << 20
        process = subprocess.Popen(words, cwd=scene.folder, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        status, err = finish(process, 30)
        if status == 127:  # not even its libraries had room
            continue
        ends.add(status)
        want(status in (DONE, FAILED, USAGE), f'with {megabytes} MB of addresses it ended with {status}: {err}')
        there = scene.check()
        want(there == (status == DONE), f'with {megabytes} MB of addresses it ended with {status}: {err}')
        if not there:
            done(scene, *scene.how_to_go_on())
    want(DONE in ends, 'it never came to its end')


ALL = [function for name, function in list(globals().items())
       if callable(function) and getattr(function, '__module__', '') == __name__
       and getattr(function, '__code__', None) and function.__code__.co_varnames[:2] == ('programs', 'folder')
       and name != 'stopped_and_copied']
