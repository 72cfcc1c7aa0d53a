"""The SQLite file of a run: held by one process at a time, its faults told in words."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from filelock import FileLock, Timeout

from hwnas_hls.errors import HwnasError, UserError

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


class Database:
    """The tables of a run, opened and locked.

    Args:
        folder: the run folder; ``run.sqlite`` and ``run.lock`` lie in it.

    Raises:
        UserError: another process holds the run, the store was written by a newer version, or
            the file is no store.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run.sqlite"
        # Threads that synthesise write their measurements beside the loop.
        self._access = threading.RLock()
        self._lock = FileLock(folder / "run.lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                "another process works on this run",
                where=str(folder),
                remedy="wait for it to end, or stop it, and try again",
            ) from None
        except OSError as error:
            raise UserError("the run folder cannot be written", where=str(folder), found=error) from error
        try:
            self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._prepare()
        except sqlite3.OperationalError as error:
            self._lock.release()
            raise UserError("the store cannot be opened", where=str(self.path), found=error) from error
        except BaseException:
            self._lock.release()
            raise

    def _prepare(self) -> None:
        self.read("pragma journal_mode = wal")
        # WAL with `normal` may lose the last transactions on power loss, never on a killed process.
        self.read("pragma synchronous = full")
        version = self.read("pragma user_version")[0][0]
        # Milliseconds a megabyte; a damaged page would else be met in the middle of the run.
        flaws = self.read("pragma quick_check(1)")
        if flaws != [("ok",)]:
            raise self._damaged(flaws[0][0])
        if version > STORE_SCHEMA:
            raise UserError(
                "the store was written by a newer version of hwnas-hls",
                where=str(self.path),
                found=f"schema {version}",
                choices=[f"schema {STORE_SCHEMA} and older"],
                remedy="upgrade hwnas-hls",
            )
        with self.transaction() as connection:
            for statement in _TABLES.strip().split(";\n"):
                connection.execute(statement)
            connection.execute(f"pragma user_version = {STORE_SCHEMA}")

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows that a statement finds."""
        try:
            with self._access:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            # Disk full, device gone, no permission: the file itself may be whole.
            raise HwnasError(f"the store cannot be used: {error} ({self.path})") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Rows that SQLite reads may still hold what nobody wrote: the file was cut or overwritten."""
        try:
            yield
        except (ValueError, KeyError, TypeError, BadZipFile) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from error

    def _damaged(self, found: object) -> UserError:
        return UserError(
            "the store cannot be read: it is damaged, or no store",
            where=str(self.path),
            found=found,
            remedy=(
                f"restore it from a copy; keep what is whole: hwnas-hls resume {self.path.parent} --salvage; "
                f"or begin again: hwnas-hls run {self.path.parent / 'spec.toml'}"
            ),
        )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is executed in it is written whole or not at all."""
        with self._access:
            try:
                self._connection.execute("begin immediate")
                yield self._connection
                self._connection.execute("commit")
            except sqlite3.OperationalError as error:
                self._roll_back()
                raise HwnasError(f"the store could not be written: {error} ({self.path})") from error
            except sqlite3.DatabaseError as error:
                self._roll_back()
                raise self._damaged(error) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        # What went wrong is said; that it cannot be undone either, in a file that is damaged, adds nothing.
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("rollback")

    def close(self) -> None:
        self._connection.close()
        self._lock.release()
