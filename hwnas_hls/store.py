"""The run's store: an append-only SQLite file from which any interruption can be resumed."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from filelock import FileLock, Timeout

from hwnas_hls.candidate import Candidate
from hwnas_hls.design import Design
from hwnas_hls.errors import HwnasError, UserError
from hwnas_hls.estimate import Estimate, Estimates
from hwnas_hls.record import Record

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


@dataclass(frozen=True, slots=True)
class Batch:
    """One ask of the strategy.

    Args:
        number: from 0.
        asked: the candidates, as they are stored.
        state: the strategy's state after it was told; ``None`` while the batch is not finished.
        hypervolume: of the front after it.
        seconds: of run time when it was finished, earlier sessions counted in.
    """

    number: int
    asked: str
    state: Told | None = None
    hypervolume: float = 0.0
    seconds: float = 0.0

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What was asked; read when it is wanted, since finished batches have records."""
        return tuple(Candidate.from_json(item) for item in json.loads(self.asked))


class Store:
    """One run's records, evaluations and strategy states.

    Everything is written in transactions: an evaluation is there whole or not at all. The file
    is held by one process at a time.

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
            self._database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._prepare()
        except sqlite3.OperationalError as error:
            self._lock.release()
            raise UserError("the store cannot be opened", where=str(self.path), found=error) from error
        except BaseException:
            self._lock.release()
            raise

    def _prepare(self) -> None:
        self._read("pragma journal_mode = wal")
        # WAL with `normal` may lose the last transactions on power loss, never on a killed process.
        self._read("pragma synchronous = full")
        version = self._read("pragma user_version")[0][0]
        # Milliseconds a megabyte; a damaged page would else be met in the middle of the run.
        flaws = self._read("pragma quick_check(1)")
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
        with self._transaction():
            for statement in _TABLES.strip().split(";\n"):
                self._database.execute(statement)
            self._database.execute(f"pragma user_version = {STORE_SCHEMA}")

    def _read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows that a statement finds."""
        try:
            with self._access:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            # Disk full, device gone, no permission: the file itself may be whole.
            raise HwnasError(f"the store cannot be used: {error} ({self.path})") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    @contextmanager
    def _decoding(self) -> Iterator[None]:
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
    def _transaction(self) -> Iterator[None]:
        with self._access:
            try:
                self._database.execute("begin immediate")
                yield
                self._database.execute("commit")
            except sqlite3.OperationalError as error:
                if self._database.in_transaction:
                    self._database.execute("rollback")
                raise HwnasError(f"the store could not be written: {error} ({self.path})") from error
            except sqlite3.DatabaseError as error:
                raise self._damaged(error) from error
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("rollback")
                raise

    def close(self) -> None:
        self._database.close()
        self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- facts of the run --------------------------------------------------------------

    def set_meta(self, **facts: Any) -> None:
        with self._transaction():
            self._database.executemany(
                "insert or replace into meta values (?, ?)",
                [(name, json.dumps(value)) for name, value in facts.items()],
            )

    def meta(self) -> dict[str, Any]:
        with self._decoding():
            return {name: json.loads(value) for name, value in self._read("select * from meta")}

    # -- batches and records -----------------------------------------------------------

    def begin_batch(self, number: int, candidates: Sequence[Candidate]) -> None:
        asked = json.dumps([candidate.to_json() for candidate in candidates])
        with self._transaction():
            self._database.execute(
                "insert or ignore into batch (number, candidates) values (?, ?)", (number, asked)
            )

    def finish_batch(
        self, number: int, records: Sequence[Record], state: Any, hypervolume: float, seconds: float
    ) -> None:
        """Records and the strategy's state after it was told them, in one transaction."""
        with self._transaction():
            self._database.executemany(
                "insert into record values (?, ?, ?)",
                [(record.number, number, json.dumps(record.to_json())) for record in records],
            )
            self._database.execute(
                "update batch set state = ?, hypervolume = ?, seconds = ? where number = ?",
                (json.dumps(state), hypervolume, seconds, number),
            )

    def batches(self) -> list[Batch]:
        rows = self._read("select * from batch order by number")
        with self._decoding():
            found = [
                Batch(
                    number,
                    asked,
                    None if state is None else Told(json.loads(state)),
                    hypervolume or 0.0,
                    seconds or 0.0,
                )
                for number, asked, state, hypervolume, seconds in rows
            ]
            # Of these alone the candidates are needed for sure: damage shows here.
            for batch in found:
                if batch.state is None:
                    _ = batch.candidates
            return found

    def records(self) -> list[Record]:
        rows = self._read("select data from record order by number")
        with self._decoding():
            return [Record.from_json(json.loads(data)) for (data,) in rows]

    # -- measurements ------------------------------------------------------------------

    def measurement(self, digest: str) -> tuple[dict[str, Estimate], str] | None:
        """What a synthesis found of the design of this digest; ``None`` if there was none."""
        rows = self._read("select estimates, failure from measurement where digest = ?", (digest,))
        if not rows:
            return None
        row = rows[0]
        with self._decoding():
            return {name: Estimate.from_json(name, item) for name, item in json.loads(row[0]).items()}, row[1]

    def add_measurement(self, digest: str, estimates: Mapping[str, Estimate], failure: str) -> None:
        text = json.dumps({name: estimate.to_json() for name, estimate in estimates.items()})
        with self._transaction():
            self._database.execute(
                "insert or ignore into measurement values (?, ?, ?)", (digest, text, failure)
            )

    # -- what estimators keep ----------------------------------------------------------

    @property
    def cache(self) -> Cache:
        """Bytes by name; see :attr:`hwnas_hls.estimator.Context.cache`."""
        return Cache(self)

    def cached(self, name: str) -> bytes | None:
        rows = self._read("select data from cache where name = ?", (name,))
        return rows[0][0] if rows else None

    def cached_names(self) -> list[str]:
        return [name for (name,) in self._read("select name from cache order by name")]

    def set_cached(self, name: str, data: bytes | None) -> None:
        """Keep ``data``, or forget what is kept."""
        with self._transaction():
            if data is None:
                self._database.execute("delete from cache where name = ?", (name,))
            else:
                self._database.execute("insert or replace into cache values (?, ?)", (name, data))

    # -- evaluations -------------------------------------------------------------------

    def evaluations(self, keys: Iterable[str]) -> dict[str, Estimates]:
        """Those of ``keys`` that were evaluated before."""
        found = {}
        for key in keys:
            rows = self._read("select estimates, design from evaluation where key = ?", (key,))
            if rows:
                with self._decoding():
                    found[key] = _estimates(*rows[0])
        return found

    def add_evaluations(self, found: Mapping[str, Estimates]) -> None:
        """All of them, in one transaction."""
        with self._transaction():
            self._database.executemany(
                "insert or ignore into evaluation values (?, ?, ?)",
                [(key, *_row(estimates)) for key, estimates in found.items()],
            )


class Cache(MutableMapping[str, bytes]):
    """What estimators keep in a run, as a mapping."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, name: str) -> bytes:
        data = self._store.cached(name)
        if data is None:
            raise KeyError(name)
        return data

    def __setitem__(self, name: str, data: bytes) -> None:
        self._store.set_cached(name, data)

    def __delitem__(self, name: str) -> None:
        if self._store.cached(name) is None:
            raise KeyError(name)
        self._store.set_cached(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.cached_names())

    def __len__(self) -> int:
        return len(self._store.cached_names())


@dataclass(frozen=True, slots=True)
class Told:
    """Wraps a saved state, so that a strategy whose state is ``None`` counts as told."""

    state: Any


def _row(estimates: Estimates) -> tuple[str, bytes | None]:
    data = {
        "values": {name: estimate.to_json() for name, estimate in estimates.values.items()},
        "failure": estimates.failure,
        "stopped": estimates.stopped,
        "warnings": list(estimates.warnings),
        "layers": [{name: item.to_json() for name, item in layer.items()} for layer in estimates.layers],
        "time": time.time(),
    }
    design = None if estimates.design is None else estimates.design.to_bytes()
    return json.dumps(data), design


def _estimates(text: str, design: bytes | None) -> Estimates:
    data = json.loads(text)
    return Estimates(
        {name: Estimate.from_json(name, item) for name, item in data["values"].items()},
        data["failure"],
        data["stopped"],
        None if design is None else Design.from_bytes(design),
        tuple(data["warnings"]),
        tuple(
            {name: Estimate.from_json(name, item) for name, item in layer.items()}
            for layer in data.get("layers", ())
        ),
    )
