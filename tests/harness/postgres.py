"""The private PostgreSQL of a test session, and scratch databases in it."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import uuid

import psycopg2

TOP = pathlib.Path(__file__).resolve().parents[2]
PG = TOP / "scripts" / "pg"


def with_database(url, name):
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}?{query}" if query else f"{head.rsplit('/', 1)[0]}/{name}"


class Cluster:
    """A server the tests may create databases in. `folder` is None when it is not ours to
    stop: CALLGATE_TEST_DATABASE_URL then said where it is."""

    def __init__(self, url, folder=None):
        self.url, self.folder = url, folder

    @classmethod
    def shared(cls):
        given = os.environ.get("CALLGATE_TEST_DATABASE_URL")
        return cls(given) if given else cls.start(TOP / "build" / "test")

    @classmethod
    def scratch(cls):
        """A cluster of one test's own, to be stopped, restarted and killed at will."""
        return cls.start(pathlib.Path(tempfile.mkdtemp(prefix="callgate-", dir="/tmp")))

    @classmethod
    def start(cls, folder):
        return cls(cls._pg("start", folder), folder)

    @staticmethod
    def _pg(verb, folder):
        done = subprocess.run([PG, verb, folder], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, f"scripts/pg {verb}: {done.stderr}"
        return done.stdout.strip()

    def stop(self):
        self._pg("stop", self.folder)

    def resume(self):
        self._pg("start", self.folder)

    def restart(self):
        self._pg("restart", self.folder)

    def crash(self):
        self._pg("kill", self.folder)

    def remove(self):
        self._pg("remove", self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self):
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        return connection

    def create(self, template="template0", prefix="t"):
        """A new database; returns its URL."""
        name = f"{prefix}_{uuid.uuid4().hex[:16]}"
        with contextlib.closing(self.connect()) as connection:
            connection.cursor().execute(f'create database "{name}" template "{template}"')
        return with_database(self.url, name)

    def drop(self, url):
        name = url.partition("?")[0].rsplit("/", 1)[1]
        with contextlib.closing(self.connect()) as connection:
            connection.cursor().execute(f'drop database if exists "{name}" with (force)')


class Database:
    """One scratch database, seen from the test: plain SQL, committed at once."""

    def __init__(self, url):
        self.url = url
        self._connection = None

    def _cursor(self):
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(self.url)
            self._connection.autocommit = True
        return self._connection.cursor()

    def execute(self, sql, *args):
        cursor = self._cursor()
        try:
            cursor.execute(sql, args or None)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self.close()
            raise
        return cursor

    def rows(self, sql, *args):
        return self.execute(sql, *args).fetchall()

    def row(self, sql, *args):
        found = self.rows(sql, *args)
        assert len(found) == 1, f"one row was expected, {len(found)} came: {sql}"
        return found[0]

    def value(self, sql, *args):
        return self.row(sql, *args)[0]

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None
