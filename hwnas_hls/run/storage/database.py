"""The SQLite file of a run: locking, transactions and clear error messages."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from filelock import FileLock, Timeout

from hwnas_hls.errors import ErrorKind, HwnasError, UserError

STORE_SCHEMA = 1
_TABLES = """
create table if not exists meta (name text primary key, value text not null);
create table if not exists batch (
    number integer primary key, candidates text not null, state text, hypervolume real, seconds real);
create table if not exists evaluation (key text primary key, estimates text not null, design blob);
create table if not exists cache (name text primary key, data blob not null);
create table if not exists measurement (digest text primary key, estimates text not null, failure text);
create table if not exists record (number integer primary key, batch integer not null, data text not null);
"""


#: Marks that candidates have been stored; a missing or empty store is then an error.
BEGUN = "run.begun"
#: Other files of a run that has results.
_RESULTS = ("front.json", "report.html", "designs")
_COPY_FOLDER = "copy the run folder to a writable place, and use the copy"


def unwritable(folder: Path, error: OSError) -> UserError:
    """The error of a run folder that cannot be written."""
    return UserError(
        "the run folder cannot be written",
        kind=ErrorKind.NOT_ACCESSIBLE,
        where=str(folder),
        found=error,
        remedy=_COPY_FOLDER,
    )


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Lock a run folder against other processes.

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    lock = _acquired(folder)
    try:
        yield
    finally:
        lock.release()


def _acquired(folder: Path) -> FileLock:
    lock = FileLock(folder / "run.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            "another process is working on this run",
            kind=ErrorKind.TAKEN,
            where=str(folder),
            remedy="wait for it to end, or stop it, then try again",
        ) from None
    except OSError as error:
        raise unwritable(folder, error) from error
    return lock


class Database:
    """The SQLite tables of a run, opened and locked.

    Args:
        folder: the run folder, with ``run.sqlite`` and ``run.lock``.
        reading: open a snapshot without writing: works in a read-only folder, and while another
            process works on the run.

    Raises:
        UserError: another process holds the run, a newer version wrote the store, the file is not a
            store, or the store of a started run is empty or missing.
    """

    def __init__(self, folder: Path, reading: bool = False) -> None:
        self.reading = reading
        self.path = folder / "run.sqlite"
        # Synthesis threads write measurements concurrently with the loop.
        self._access = threading.RLock()
        # A folder without write permission cannot hold the shared memory of SQLite's log.
        self._fixed = reading and folder.is_dir() and not os.access(folder, os.W_OK)
        self._lock = None
        if not self._fixed:
            try:
                self._lock = _acquired(folder)
            except UserError as error:
                if not reading or error.kind is not ErrorKind.TAKEN:
                    raise
        self._snapshot = self._lock is None
        try:
            if not self.path.exists() or (self.path.is_file() and self.path.stat().st_size == 0):
                self._check_not_lost()
            self._connection = self._opened()
            try:
                self._prepare()
                if self._is_lost():
                    self._check_not_lost()
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.OperationalError as error:
            self._release()
            raise UserError(
                "the store cannot be opened", kind=ErrorKind.NOT_ACCESSIBLE, where=str(self.path), found=error
            ) from error
        except BaseException:
            self._release()
            raise

    def _opened(self) -> sqlite3.Connection:
        if not self._snapshot:
            return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        if not self._fixed:
            address = f"{self.path.resolve().as_uri()}?mode=ro"
            connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
            # All reads see the same state, whatever another process writes meanwhile.
            connection.execute("begin")
            return connection
        log = self.path.with_name(f"{self.path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise UserError(
                "the run was interrupted, and its store cannot be recovered in a read-only folder",
                kind=ErrorKind.NOT_ACCESSIBLE,
                where=str(self.path.parent),
                remedy=_COPY_FOLDER,
            )
        address = f"{self.path.resolve().as_uri()}?mode=ro&immutable=1"
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)

    def _is_lost(self) -> bool:
        """Whether the store is empty although the run has candidates or results."""
        if any(self.read(f"select 1 from {table} limit 1") for table in ("batch", "evaluation")):  # noqa: S608
            return False
        # A run that was interrupted before its first candidate has results without candidates.
        names = {name for (name,) in self.read("select name from meta")}
        return "salvaged" not in names and (not names or (self.path.parent / BEGUN).exists())

    def _check_not_lost(self) -> None:
        """Raise UserError if other files in the folder show that the store was not empty."""
        folder = self.path.parent
        found = [name for name in (BEGUN, *_RESULTS) if (folder / name).exists()]
        if found:
            raise UserError(
                "the store of this run is empty or missing, although the run had started",
                kind=ErrorKind.DAMAGED,
                where=str(self.path),
                found=f"in the same folder: {', '.join(found)}",
                remedy=f"restore it from a backup; or start again: hwnas-hls run {folder / 'spec.toml'} "
                "--output NEW",
            )

    def mark_begun(self) -> None:
        """Mark that the store holds candidates; a missing store is then an error, not an empty run."""
        mark = self.path.parent / BEGUN
        try:
            if not mark.exists():
                mark.write_text(
                    "run.sqlite holds candidates of this run; without it the run cannot continue.\n"
                )
        except OSError as error:
            raise HwnasError(
                f"the run folder could not be written: {error} ({mark})", kind=ErrorKind.NOT_ACCESSIBLE
            ) from error

    def _prepare(self) -> None:
        if not self._snapshot:
            self.read("pragma journal_mode = wal")
            # WAL with `normal` may lose the last transactions on power loss, never on a killed process.
            self.read("pragma synchronous = full")
        version = self.read("pragma user_version")[0][0]
        # Takes milliseconds per megabyte, and finds damaged pages before the run starts.
        flaws = self.read("pragma quick_check(1)")
        if flaws != [("ok",)]:
            raise self._damaged(flaws[0][0])
        if version > STORE_SCHEMA:
            raise UserError(
                "the store was written by a newer version of hwnas-hls",
                kind=ErrorKind.NEWER_VERSION,
                where=str(self.path),
                found=f"schema {version}",
                choices=[f"schema {STORE_SCHEMA} and older"],
                remedy="upgrade hwnas-hls",
            )
        if self._snapshot or (self.reading and version):
            return
        with self.transaction() as connection:
            for statement in _TABLES.strip().split(";\n"):
                connection.execute(statement)
            connection.execute(f"pragma user_version = {STORE_SCHEMA}")

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""
        try:
            with self._access:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            # Disk full, device missing or no permission: the file itself may be intact.
            raise HwnasError(
                f"the store cannot be used: {error} ({self.path})", kind=ErrorKind.NOT_ACCESSIBLE
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Report values that cannot be decoded as damage: the file was truncated or overwritten."""
        try:
            yield
        except (ValueError, KeyError, TypeError, BadZipFile) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from error

    def _damaged(self, found: object) -> UserError:
        return UserError(
            "the store cannot be read: the file is damaged or not a store",
            kind=ErrorKind.DAMAGED,
            where=str(self.path),
            found=found,
            remedy=(
                f"restore it from a backup; recover the intact part: hwnas-hls resume {self.path.parent} "
                f"--salvage; or start again: hwnas-hls run {self.path.parent / 'spec.toml'}"
            ),
        )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements in a transaction: all are written, or none."""
        with self._access:
            try:
                self._connection.execute("begin immediate")
                yield self._connection
                self._connection.execute("commit")
            except sqlite3.OperationalError as error:
                self._roll_back()
                raise HwnasError(
                    f"the store could not be written: {error} ({self.path})", kind=ErrorKind.NOT_ACCESSIBLE
                ) from error
            except sqlite3.DatabaseError as error:
                self._roll_back()
                raise self._damaged(error) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        # The first error is reported; a failed rollback in a damaged file adds no information.
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("rollback")

    def close(self) -> None:
        # A synthesis thread may still be in a query; SQLite crashes if its connection closes meanwhile.
        with self._access:
            self._connection.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
