"""The training examples of the predictor: trained candidates of this run and of earlier ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.configuration import to_table
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.record import Record, RecordState


@dataclass(frozen=True, slots=True)
class Example:
    """A trained candidate.

    Args:
        candidate: its knobs.
        value: its score on the validation split.
        known: metric -> value, the known metrics of a candidate.
    """

    candidate: Candidate
    value: float
    known: Mapping[str, float]


def of_records(records: Iterable[Record], metric: str, features: Sequence[str]) -> list[Example]:
    """The examples among records: fully evaluated, one per candidate."""
    found: dict[str, Example] = {}
    for record in records:
        estimate = record.estimates.get(metric)
        # A stopped candidate was scored earlier in its training, which is not comparable.
        if (
            record.state not in (RecordState.COMPLETE, RecordState.INFEASIBLE)
            or estimate is None
            or estimate.is_predicted
        ):
            continue
        if all(name in record.estimates for name in features):
            known = {name: record.estimates[name].value for name in features}
            found[record.key] = Example(record.candidate, estimate.value, known)
    return list(found.values())


def of_runs(folders: Sequence[str], dataset: Dataset, space: Space, features: Sequence[str]) -> list[Example]:
    """The examples of earlier runs.

    Raises:
        UserError: a folder is not a run, is in use, or has other data or another space.
    """
    found: dict[str, Example] = {}
    for folder in folders:
        where = f"estimators.performance-predictor.runs: {folder}"
        tables = run_spec(Path(folder)).to_tables()["space"]
        config = space.config
        ours: dict[str, Any] = {"name": space.name}
        if dataclasses.is_dataclass(config) and not isinstance(config, type):
            ours |= to_table(config)
        else:
            tables = {"name": tables["name"]}
        if _plain(tables) != _plain(ours):
            changed = sorted(
                key for key in {*tables, *ours} if _plain(tables.get(key)) != _plain(ours.get(key))
            )
            raise UserError(
                "the earlier run searched another space",
                where=where,
                found=", ".join(changed),
                kind=ErrorKind.CHANGED,
            )
        with Store(Path(folder), reading=True) as store:
            facts = store.run_facts()
            fingerprint = None if facts is None else facts.data_fingerprint
            if fingerprint != dataset.fingerprint:
                raise UserError(
                    "the earlier run used other data",
                    where=where,
                    found=f"fingerprint {fingerprint}, not {dataset.fingerprint}",
                    kind=ErrorKind.CHANGED,
                )
            for example in of_records(store.records(), dataset.metric, features):
                found[example.candidate.key] = example
    return list(found.values())


def _plain(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=list)


def to_bytes(examples: Sequence[Example]) -> bytes:
    """Examples as JSON, for the cache of a run."""
    rows = [[example.candidate.to_json(), example.value, dict(example.known)] for example in examples]
    return json.dumps(rows).encode()


def from_bytes(data: bytes) -> list[Example]:
    """Examples from :func:`to_bytes`."""
    return [Example(Candidate.from_json(row[0]), row[1], row[2]) for row in json.loads(data)]
