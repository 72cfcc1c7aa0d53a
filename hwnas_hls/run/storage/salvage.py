"""Recovery of a damaged store: copies its intact rows to a new store.

A file that was truncated or partly overwritten still has most of its pages. Rows are read one by
one, so an unreadable page loses only its own rows. Batches are kept up to the first incomplete one,
because a strategy continues from the state after the last complete batch. Evaluations are
independent of each other and of batches; all readable ones are kept.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.network.design import Design
from hwnas_hls.run.storage.database import STORE_SCHEMA
from hwnas_hls.run.storage.store import Store

#: Number of consecutive missing or unreadable rows after which a table is considered to end.
_GAP = 5000
_SQLITE_MAGIC = b"SQLite format 3\x00"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Salvage:
    """The result of a recovery.

    Args:
        batches, records: complete batches from the first one without a gap, and their records.
        evaluations: of candidates, including those of lost batches.
        measurements: of synthesised designs.
        damaged: new path of the damaged store.
    """

    batches: int
    records: int
    evaluations: int
    measurements: int
    damaged: Path

    def __str__(self) -> str:
        return (
            f"recovered {self.batches} batches ({self.records} records), {self.evaluations} evaluations, "
            f"{self.measurements} measurements; the rest is lost. The damaged store is {self.damaged}"
        )


def salvage(folder: Path) -> Salvage:
    """Replace the store in ``folder`` by a new one with its intact rows; the damaged store is renamed.

    Raises:
        UserError: another process is working on the run, there is no store, or it is not an SQLite file;
            the store is then unchanged.
    """
    path = folder / "run.sqlite"
    if not path.is_file():
        raise UserError("there is no store to salvage", kind=ErrorKind.MISSING, where=str(path))
    lock = FileLock(folder / "run.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            "another process is working on this run", kind=ErrorKind.TAKEN, where=str(folder)
        ) from None
    try:
        with tempfile.TemporaryDirectory(prefix=".salvage-", dir=folder) as scratch:
            old = _opened(path, Path(scratch))
            with contextlib.closing(old):
                counts = _copied(old, Path(scratch) / "new")
            damaged = _aside(path)
            (Path(scratch) / "new" / "run.sqlite").replace(path)
    except (OSError, sqlite3.Error) as error:
        raise HwnasError(f"the store cannot be salvaged: {error}", kind=ErrorKind.NOT_ACCESSIBLE) from error
    finally:
        lock.release()
    return Salvage(*counts, damaged)


def _opened(path: Path, scratch: Path) -> sqlite3.Connection:
    """A copy of the store, extended with empty pages to the length in its header."""
    copy = scratch / "old.sqlite"
    shutil.copyfile(path, copy)
    log = path.with_name(f"{path.name}-wal")
    if log.is_file():
        shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
    with copy.open("r+b") as file:
        head = file.read(100)
        if not head.startswith(_SQLITE_MAGIC) or len(head) < 100:
            raise UserError(
                "nothing can be recovered: this is no longer an SQLite file",
                kind=ErrorKind.DAMAGED,
                where=str(path),
                remedy=f"start again: hwnas-hls run {path.parent / 'spec.toml'}",
            )
        page = int.from_bytes(head[16:18], "big")
        page = 65536 if page == 1 else page
        whole = page * int.from_bytes(head[28:32], "big")
        size = file.seek(0, 2)
        # A header with a far larger length was itself overwritten.
        if size < whole <= max(64 * size, 1 << 30):
            file.truncate(whole)
    database = sqlite3.connect(copy, isolation_level=None)
    version = _guarded(lambda: database.execute("pragma user_version").fetchone()[0])
    if version is not None and version > STORE_SCHEMA:
        database.close()
        raise UserError(
            "the store was written by a newer version of hwnas-hls",
            kind=ErrorKind.NEWER_VERSION,
            where=str(path),
        )
    return database


def _guarded(ask: Callable[[], Any]) -> Any:
    """The result of ``ask``; ``None`` if that part of the file cannot be read."""
    try:
        return ask()
    except sqlite3.OperationalError as error:
        # Errors of Python's own module (invalid UTF-8) have no code.
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM):
            raise  # a problem of this machine, not of the file
        return None
    except sqlite3.DatabaseError:
        return None


def _rows(database: sqlite3.Connection, table: str, columns: str) -> Iterator[Row]:
    """All readable rows, read one by one."""
    rowid, missing = 0, 0
    query = f"select {columns} from {table} where rowid = ?"  # noqa: S608 - names of this module
    while missing < _GAP:
        row = _guarded(lambda rowid=rowid: database.execute(query, (rowid,)).fetchone())  # type: ignore[misc]
        rowid += 1
        missing = missing + 1 if row is None else 0
        if row is not None:
            yield row


def _copied(old: sqlite3.Connection, folder: Path) -> tuple[int, int, int, int]:
    """Fill a new store in ``folder``; returns the counts of :class:`Salvage`."""
    folder.mkdir()
    with Store(folder) as store:  # the tables
        # An empty store is then valid: the run continues from the beginning.
        store.set_meta(salvaged=True)
    with contextlib.closing(sqlite3.connect(folder / "run.sqlite")) as new, new:
        batches, records = _batches(old, new)
        counts = {}
        for table, columns, sound in (
            ("meta", "name, value", lambda row: _is_json(row[1])),
            ("evaluation", "key, estimates, design", _is_evaluation),
            ("measurement", "digest, estimates, failure", lambda row: _is_json(row[1])),
            ("cache", "name, data", lambda row: isinstance(row[1], bytes)),
        ):
            kept = [row for row in _rows(old, table, columns) if isinstance(row[0], str) and sound(row)]
            marks = ", ".join("?" * len(columns.split(",")))
            new.executemany(f"insert or replace into {table} values ({marks})", kept)  # noqa: S608
            counts[table] = len(kept)
        new.execute(f"pragma user_version = {STORE_SCHEMA}")
    return batches, records, counts["evaluation"], counts["measurement"]


def _batches(old: sqlite3.Connection, new: sqlite3.Connection) -> tuple[int, int]:
    """Copy complete batches in order, and an unfinished one after them."""
    finished, copied = 0, 0
    while True:
        row = _one(old, "batch", "number, candidates, state, hypervolume, seconds", finished)
        if row is None or not _is_json(row[1]) or (row[2] is not None and not _is_json(row[2])):
            break
        if row[2] is None:
            new.execute("insert into batch values (?, ?, ?, ?, ?)", row)
            break
        count = len(json.loads(row[1]))
        found = (_one(old, "record", "number, batch, data", copied + place) for place in range(count))
        records = [item for item in found if item and item[1] == finished and _is_json(item[2])]
        if len(records) < count:
            break
        new.execute("insert into batch values (?, ?, ?, ?, ?)", row)
        new.executemany("insert into record values (?, ?, ?)", records)
        finished, copied = finished + 1, copied + count
    return finished, copied


def _one(database: sqlite3.Connection, table: str, columns: str, number: int) -> Row | None:
    query = f"select {columns} from {table} where number = ?"  # noqa: S608 - names of this module
    found: Row | None = _guarded(lambda: database.execute(query, (number,)).fetchone())
    return found


def _is_json(text: object) -> bool:
    try:
        json.loads(text)  # type: ignore[arg-type]
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _is_evaluation(row: Row) -> bool:
    _, estimates, design = row
    if not _is_json(estimates):
        return False
    if design is None:
        return True
    try:
        Design.from_bytes(design)
    except Exception:
        # Whatever the error: an evaluation with a damaged design is not intact.
        return False
    return True


def _aside(path: Path) -> Path:
    """Rename the damaged store and its log without overwriting another file."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged{number}")).exists():
        number += 1
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.replace(aside.with_name(aside.name + suffix))
    return aside
