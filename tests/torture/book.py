# SPDX-License-Identifier: GPL-3.0-or-later
"""A second reader of the ledger, which shares no line with the first: sums its charges, and verifies its chain."""
import collections
import hashlib
import json
import pathlib
import shutil
import sqlite3
import tempfile


class Unsound(Exception):
    """The ledger is not what it must be."""


def text(value):
    data = value.encode()
    return len(data).to_bytes(8, 'little') + data


class Book:
    """Reads a copy of the file and its log, so that the ledger itself is neither locked nor touched."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.entries = []
        self.head = b''
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            copy = pathlib.Path(folder) / 'ledger.db'
            for ending in ('-wal', ''):  # the log first: what is moved from it to the file meanwhile is then in both
                source = self.path.with_name(self.path.name + ending)
                if source.exists():
                    shutil.copyfile(source, copy.with_name(copy.name + ending))
            try:
                self.read(copy)
            except sqlite3.DatabaseError as error:
                raise Unsound(f'SQLite cannot read it: {error}') from error

    def read(self, copy):
        database = sqlite3.connect(copy)
        try:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'origin'").fetchall():
                return  # it was being made
            if database.execute('PRAGMA integrity_check').fetchall() != [('ok',)]:
                raise Unsound('SQLite finds its file broken')
            identity, salt = database.execute('SELECT id, salt FROM origin').fetchone()
            self.head = hashlib.sha256(b'sotto ledger 1' + salt + identity.encode()).digest()
            rows = database.execute('SELECT seq, time, kind, body, hash FROM entries ORDER BY seq').fetchall()
        finally:
            database.close()
        for number, (seq, time, kind, body, digest) in enumerate(rows, 1):
            chained = self.head + seq.to_bytes(8, 'little') + text(time) + text(kind) + text(body)
            self.head = hashlib.sha256(chained).digest()
            if seq != number or self.head != digest:
                raise Unsound(f'entry {seq} does not follow from the one before')
            self.entries.append((kind, json.loads(body)))

    def of(self, kind):
        return [body for found, body in self.entries if found == kind]

    def charged(self, folder):
        """Uses by label, of all runs that write below `folder`."""
        root = str(pathlib.Path(folder))
        runs = {body['run'] for body in self.of('run') if (body['output'] or '').startswith(root)}
        sums = collections.Counter()
        for body in self.of('charge'):
            if body['run'] in runs:
                sums[body['label']] += body['count']
        return sums

    def released(self):
        """SHA-256 of each file that was ever recorded as released."""
        return {artefact['sha256'] for body in self.of('release') for artefact in body['artefacts']}
