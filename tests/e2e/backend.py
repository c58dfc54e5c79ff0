# SPDX-License-Identifier: Apache-2.0
"""The store behind the servers that the tests start: SQLite, or the Postgres of MF_TEST_DSN.

MF_TEST_STORE says which, sqlite, pg15, pg18 or citus; without it, it is the Postgres that
tests/lib/with_postgres.sh started, else SQLite. Every data folder has a store of its own:
a database, with Citus (which has one database) a schema.

    settings(data)     what a server with that data folder is told besides
    lock_writes(data)  nobody writes messages until .close() of what this returns
    lock_reads(data)   nor reads them
"""
import fcntl
import os
import sqlite3
import subprocess
from pathlib import Path

VERSION = os.environ.get("MF_TEST_PG_VERSION", "")
NAME = os.environ.get("MF_TEST_STORE") or ({"15": "pg15", "18": "pg18"}.get(VERSION, VERSION)
                                           or "sqlite")
IS_POSTGRES = NAME != "sqlite"
_databases = {}


def settings(data):
    return database(data).settings() if IS_POSTGRES else []


def lock_writes(data):
    if IS_POSTGRES:
        return database(data).session("BEGIN; LOCK TABLE messages IN EXCLUSIVE MODE")
    lock = sqlite3.connect(Path(data) / "memfuse.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    return lock


def lock_reads(data):
    if IS_POSTGRES:
        return database(data).session("BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
    f = open(Path(data) / "memfuse.db-shm", "r+b")  # the locks of SQLite's WAL index
    fcntl.lockf(f, fcntl.LOCK_EX, 8, 120)
    return f


def database(data):
    """The one that belongs to a data folder; made when it is asked for first."""
    key = str(Path(data).resolve())
    if key not in _databases:
        _databases[key] = Database(len(_databases) + 1)
    return _databases[key]


class Database:
    def __init__(self, n):
        base = os.environ.get("MF_TEST_DSN")
        version = {"pg15": "15", "pg18": "18"}.get(NAME, NAME)
        if not base or version != VERSION:
            raise RuntimeError(f"MF_TEST_STORE={NAME}: run this by tests/lib/with_postgres.sh {version}")
        self.name = f"e2e_{os.getpid()}_{n}"
        if NAME == "citus":
            psql(base, f"CREATE SCHEMA {self.name}")
            self.dsn = f"{base} options='-c search_path={self.name},public'"
        else:
            psql(base, f"CREATE DATABASE {self.name}")
            self.dsn = f"{base} dbname={self.name}"

    def settings(self, dsn=None):
        """dsn: another way to the same database."""
        more = ["store.postgres.distribute=citus"] if NAME == "citus" else []
        return ["store.backend=postgres", f"store.postgres.dsn={dsn or self.dsn}", *more]

    def sql(self, text):
        """Its rows, of texts."""
        return psql(self.dsn, text)

    def session(self, *statements):
        return Session(self.dsn, *statements)


def words_of(dsn):
    return [os.path.join(os.environ["MF_TEST_PG_BIN"], "psql"), "-qXAt", "-F", "\x1f", "-R", "\x1e",
            "-v", "ON_ERROR_STOP=1", "-d", dsn]


def psql(dsn, text):
    done = subprocess.run([*words_of(dsn), "-c", text], capture_output=True, text=True,
                          timeout=600, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{text}: {done.stderr}")
    out = done.stdout.removesuffix("\n")
    return [row.split("\x1f") for row in out.split("\x1e")] if out else []


class Session:
    """A psql that keeps what it began (a transaction, a lock) until it is closed."""

    def __init__(self, dsn, *statements):
        self.process = subprocess.Popen(words_of(dsn), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        for statement in statements:
            self.process.stdin.write(statement + ";\n")
        self.process.stdin.write("\\echo began\n")
        self.process.stdin.flush()
        assert "began" in self.process.stdout.readline(), statements

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)
