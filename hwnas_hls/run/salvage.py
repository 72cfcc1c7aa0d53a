"""What is whole of a damaged store, in a store of its own.

A file that was cut off or partly overwritten still holds most of its pages. Rows are asked for one
by one, so that an unreadable page costs the rows on it and no others. Batches count as whole up to
the first with a part missing: a strategy goes on from the state saved after the last whole one.
Evaluations are independent of each other and of their batch; every readable one saves its work.
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
from hwnas_hls.run.database import STORE_SCHEMA
from hwnas_hls.run.store import Store

#: Neighbouring rows that may be missing or unreadable before a table is taken to end.
_GAP = 5000
_SQLITE_MAGIC = b"SQLite format 3\x00"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Salvage:
    """What came over.

    Args:
        batches, records: of finished batches, without a gap from the first.
        evaluations: of candidates, those of batches that were lost included.
        measurements: of designs that were synthesised.
        damaged: where the old store lies now.
    """

    batches: int
    records: int
    evaluations: int
    measurements: int
    damaged: Path

    def __str__(self) -> str:
        return (
            f"kept {self.batches} whole batches ({self.records} records), {self.evaluations} evaluations, "
            f"{self.measurements} measurements; the rest is lost. The damaged store is {self.damaged}"
        )


def salvage(folder: Path) -> Salvage:
    """Replace the store of ``folder`` by one of everything that is whole in it; the old one is kept aside.

    Raises:
        UserError: another process works on the run, there is no store, or nothing of it is SQLite's;
            the old store then stays where it is.
    """
    path = folder / "run.sqlite"
    if not path.is_file():
        raise UserError("there is no store to salvage", kind=ErrorKind.MISSING, where=str(path))
    lock = FileLock(folder / "run.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            "another process works on this run", kind=ErrorKind.TAKEN, where=str(folder)
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
    """A copy of the store, filled up with empty pages to the length that its head says."""
    copy = scratch / "old.sqlite"
    shutil.copyfile(path, copy)
    log = path.with_name(f"{path.name}-wal")
    if log.is_file():
        shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
    with copy.open("r+b") as file:
        head = file.read(100)
        if not head.startswith(_SQLITE_MAGIC) or len(head) < 100:
            raise UserError(
                "nothing can be salvaged: this is no SQLite file any more",
                kind=ErrorKind.DAMAGED,
                where=str(path),
                remedy=f"begin again: hwnas-hls run {path.parent / 'spec.toml'}",
            )
        page = int.from_bytes(head[16:18], "big")
        page = 65536 if page == 1 else page
        whole = page * int.from_bytes(head[28:32], "big")
        size = file.seek(0, 2)
        # A head that promises far more than there is was overwritten itself.
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
    """What ``ask`` finds; ``None`` where that part of the file cannot be read."""
    try:
        return ask()
    except sqlite3.OperationalError as error:
        # An error of Python's own module (text that is no UTF-8) has no code.
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM):
            raise  # of this machine, not of the file
        return None
    except sqlite3.DatabaseError:
        return None


def _rows(database: sqlite3.Connection, table: str, columns: str) -> Iterator[Row]:
    """Every readable row, each found on its own."""
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
        # An empty store is then no accident: the run goes on from nothing.
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
    """Copy batches in order as long as each is whole; a begun one may follow the finished ones."""
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
        # Whatever is wrong with it: an evaluation with half a design is not whole.
        return False
    return True


def _aside(path: Path) -> Path:
    """Move the damaged store out of the way, with its log; nothing that was there before is overwritten."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged{number}")).exists():
        number += 1
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.replace(aside.with_name(aside.name + suffix))
    return aside
