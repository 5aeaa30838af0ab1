"""One SQLite file: how it is opened, brought to the present schema, and written to. No tables here.

WAL, so that readers never wait; synchronous FULL, so that what was committed survives a power cut;
one writer at a time, within the process by a lock, between processes by SQLite.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

from sipcore.errors import CannotStart, SipcoreError

_BUSY_S = 30.0  # an import of 50,000 extensions holds the write lock for some seconds


class StoreFault(SipcoreError):
    """The disk or the database refused: full, read-only, damaged. The same may work later."""


class Database:
    """A connection that threads may share: they take turns."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises CannotStart with one line that says why not."""
        self._lock = threading.RLock()
        try:
            with _alone(path.parent):
                self._connection = _open(path)
                self._begin(path)
        except OSError as fault:
            raise CannotStart(f"{path} cannot be opened: {fault}") from None

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Hold the one transaction: all of the block is kept, or nothing. Raises StoreFault."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            except sqlite3.Error as fault:
                raise StoreFault(f"the database refused: {fault}") from fault

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """See one state of all tables for the length of the block. Raises StoreFault."""
        with self._lock:
            try:
                self._connection.execute("BEGIN")
                try:
                    yield self._connection
                finally:
                    self._connection.execute("ROLLBACK")
            except sqlite3.Error as fault:
                raise StoreFault(f"the database refused: {fault}") from fault

    def _begin(self, path: Path) -> None:
        try:
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._migrate(path)
        except sqlite3.Error as fault:
            self._connection.close()
            raise CannotStart(f"{path} cannot be used: {fault}") from None
        except CannotStart:
            self._connection.close()
            raise

    def _migrate(self, path: Path) -> None:
        """Run the steps that the file has not seen, each in its own transaction."""
        steps = _steps()
        self._connection.execute("BEGIN IMMEDIATE")  # two processes may open a new file at once
        try:
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version > len(steps):
                raise CannotStart(
                    f"{path} has schema {version}, this sipcore knows up to {len(steps)}:"
                    " it was written by a later version"
                )
            for number, step in enumerate(steps[version:], start=version + 1):
                for statement in _statements(step):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {number}")
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _open(path: Path) -> sqlite3.Connection:
    """Open the file; make it for our eyes alone: digest hashes are as good as passwords.

    SQLite gives its other files the same mode. One that is there is not opened by ourselves: to
    close it again would let go of every lock that this process has on it (fcntl(2)).
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as fault:
        raise CannotStart(f"{path} cannot be opened: {fault}") from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from opening the same file at once: SQLite makes a new one WAL by
    turning a read lock into a write lock, and where two do so it refuses one without waiting."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _steps() -> list[str]:
    """Return the migrations that come with sipcore, in order: schema/NNNN_what.sql."""
    folder = resources.files("sipcore.store").joinpath("schema")
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".sql")), key=_name)
    return [one.read_text("utf-8") for one in files]


def _name(file: object) -> str:
    return str(getattr(file, "name", ""))


def _statements(script: str) -> Iterator[str]:
    """Split a script; sqlite3's executescript would end the transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
