"""The store of a run: an append-only SQLite file, from which the run resumes after any interruption."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.design import Design
from hwnas_hls.run.storage.database import Database
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import RunFacts


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of candidates.

    Args:
        number: from 0.
        asked: the candidates, as stored JSON.
        state: state of the strategy after the batch; ``None`` if the batch is unfinished.
        hypervolume: of the front after the batch.
        seconds: run time at the end of the batch, including earlier sessions.
    """

    number: int
    asked: str
    state: SavedState | None = None
    hypervolume: float = 0.0
    seconds: float = 0.0

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates, decoded on demand; finished batches have records instead."""
        return tuple(Candidate.from_json(item) for item in json.loads(self.asked))


class Store:
    """One run's records, evaluations and strategy states.

    Everything is written in transactions, so an evaluation is stored completely or not at all. One
    process at a time holds the file.

    Args:
        folder: the run folder, with ``run.sqlite`` and ``run.lock``.
        reading: open a snapshot without writing: works in a read-only folder, and while another
            process works on the run. New evaluations and measurements are then not stored.

    Raises:
        UserError: another process holds the run, a newer version wrote the store, the file is not a
            store, or the store of a started run is empty or missing.
    """

    def __init__(self, folder: Path, reading: bool = False) -> None:
        self._database = Database(folder, reading)

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._database.path

    @property
    def reading(self) -> bool:
        """Whether this is a snapshot for reading."""
        return self._database.reading

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- facts of the run --------------------------------------------------------------

    def set_meta(self, **facts: Any) -> None:
        with self._database.transaction() as connection:
            connection.executemany(
                "insert or replace into meta values (?, ?)",
                [(name, json.dumps(value)) for name, value in facts.items()],
            )

    def meta(self) -> dict[str, Any]:
        with self._database.decoding():
            return {name: json.loads(value) for name, value in self._database.read("select * from meta")}

    def run_facts(self) -> RunFacts | None:
        """The recorded facts of the run; ``None`` before it began."""
        stored = self.meta().get("run")
        return None if stored is None else RunFacts.from_json(stored)

    # -- batches and records -----------------------------------------------------------

    def begin_batch(self, number: int, candidates: Sequence[Candidate]) -> None:
        asked = json.dumps([candidate.to_json() for candidate in candidates])
        with self._database.transaction() as connection:
            connection.execute(
                "insert or ignore into batch (number, candidates) values (?, ?)", (number, asked)
            )
        self._database.mark_begun()

    def finish_batch(
        self, number: int, records: Sequence[Record], state: str, hypervolume: float, seconds: float
    ) -> None:
        """Write the records and the strategy's state (as JSON) in one transaction."""
        with self._database.transaction() as connection:
            connection.executemany(
                "insert into record values (?, ?, ?)",
                [(record.number, number, json.dumps(record.to_json())) for record in records],
            )
            connection.execute(
                "update batch set state = ?, hypervolume = ?, seconds = ? where number = ?",
                (state, hypervolume, seconds, number),
            )

    def batches(self) -> list[Batch]:
        rows = self._database.read("select * from batch order by number")
        with self._database.decoding():
            found = [
                Batch(
                    number,
                    asked,
                    None if state is None else SavedState(json.loads(state)),
                    hypervolume or 0.0,
                    seconds or 0.0,
                )
                for number, asked, state, hypervolume, seconds in rows
            ]
            # Decode the candidates of an unfinished batch now: they are needed, and damage is found early.
            for batch in found:
                if batch.state is None:
                    _ = batch.candidates
            return found

    def records(self) -> list[Record]:
        rows = self._database.read("select data from record order by number")
        with self._database.decoding():
            return [Record.from_json(json.loads(data)) for (data,) in rows]

    # -- measurements ------------------------------------------------------------------

    def measurement(self, digest: str) -> tuple[dict[str, Estimate], str] | None:
        """The measurements and the failure of the design with this digest; ``None`` if not synthesised."""
        rows = self._database.read("select estimates, failure from measurement where digest = ?", (digest,))
        if not rows:
            return None
        row = rows[0]
        with self._database.decoding():
            return {name: Estimate.from_json(name, item) for name, item in json.loads(row[0]).items()}, row[1]

    def add_measurement(self, digest: str, estimates: Mapping[str, Estimate], failure: str) -> None:
        if self.reading:
            return
        text = json.dumps({name: estimate.to_json() for name, estimate in estimates.items()})
        with self._database.transaction() as connection:
            connection.execute("insert or ignore into measurement values (?, ?, ?)", (digest, text, failure))

    # -- cache of estimators -----------------------------------------------------------

    @property
    def cache(self) -> Cache:
        """Bytes by name; see :attr:`hwnas_hls.protocols.estimator.Context.cache`."""
        return Cache(self)

    def cached(self, name: str) -> bytes | None:
        rows = self._database.read("select data from cache where name = ?", (name,))
        return rows[0][0] if rows else None

    def cached_names(self) -> list[str]:
        return [name for (name,) in self._database.read("select name from cache order by name")]

    def set_cached(self, name: str, data: bytes | None) -> None:
        """Store ``data``; ``None`` deletes the entry."""
        if self.reading:
            return
        with self._database.transaction() as connection:
            if data is None:
                connection.execute("delete from cache where name = ?", (name,))
            else:
                connection.execute("insert or replace into cache values (?, ?)", (name, data))

    # -- evaluations -------------------------------------------------------------------

    def evaluations(self, keys: Iterable[str]) -> dict[str, Estimates]:
        """The stored evaluations among ``keys``."""
        found = {}
        for key in keys:
            stored = self._evaluation(key)
            if stored is None:
                continue
            estimates, siblings = stored
            # Two candidates of one training refer to each other, so siblings of siblings are not followed.
            pairs = [
                (candidate, other[0])
                for candidate, name in siblings
                if (other := self._evaluation(name)) is not None
            ]
            found[key] = replace(estimates, siblings=tuple(pairs))
        return found

    def copy_evaluations(self, other: Store) -> None:
        """Copy the evaluations of another store that this one lacks, in one transaction."""
        rows = other._database.read("select key, estimates, design from evaluation")
        with self._database.transaction() as connection:
            connection.executemany("insert or ignore into evaluation values (?, ?, ?)", rows)

    def _evaluation(self, key: str) -> tuple[Estimates, list[tuple[Candidate, str]]] | None:
        """A stored evaluation without its siblings, and these with the keys of their evaluations."""
        rows = self._database.read("select estimates, design from evaluation where key = ?", (key,))
        if not rows:
            return None
        with self._database.decoding():
            return _estimates(*rows[0])

    def add_evaluations(
        self, found: Mapping[str, Estimates], names: Mapping[Candidate, str] | None = None
    ) -> None:
        """Store evaluations and their siblings in one transaction.

        Args:
            names: sibling -> key of its evaluation.
        """
        if self.reading:
            return
        names = names or {}
        rows: dict[str, Estimates] = dict(found)
        for estimates in found.values():
            for candidate, sibling in estimates.siblings:
                rows.setdefault(names[candidate], sibling)
        with self._database.transaction() as connection:
            connection.executemany(
                "insert or ignore into evaluation values (?, ?, ?)",
                [(key, *_row(estimates, names)) for key, estimates in rows.items()],
            )


class Cache(MutableMapping[str, bytes]):
    """The cache of estimators in a run, as a mapping."""

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
class SavedState:
    """A saved state; distinguishes a strategy whose state is ``None`` from no saved state."""

    state: Any


def _row(estimates: Estimates, names: Mapping[Candidate, str]) -> tuple[str, bytes | None]:
    data = {
        "values": {name: estimate.to_json() for name, estimate in estimates.values.items()},
        "failure": estimates.failure,
        "failure_kind": estimates.failure_kind.value,
        "stopped": estimates.stopped,
        "warnings": list(estimates.warnings),
        "layers": [{name: item.to_json() for name, item in layer.items()} for layer in estimates.layers],
        "time": time.time(),
    }
    if estimates.siblings:
        data["siblings"] = [[candidate.to_json(), names[candidate]] for candidate, _ in estimates.siblings]
    design = None if estimates.design is None else estimates.design.to_bytes()
    return json.dumps(data), design


def _estimates(text: str, design: bytes | None) -> tuple[Estimates, list[tuple[Candidate, str]]]:
    """An evaluation, and its siblings with the keys of their evaluations."""
    data = json.loads(text)
    siblings = [(Candidate.from_json(item), name) for item, name in data.get("siblings", ())]
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
        failure_kind=ErrorKind(data["failure_kind"]),
    ), siblings
