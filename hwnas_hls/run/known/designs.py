"""Known designs of a run: those of earlier runs and the user's own. They are judged before the search.

Their weights are written to the store once, under the keys that the run's own trainings would have, so
that everything after this finds them as if this run had trained them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwnas_hls.network.design import Design
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.storage.store import Store
from hwnas_hls.values.candidate import Candidate, digest
from hwnas_hls.values.estimate import Estimates
from hwnas_hls.values.record import Record, RecordState

#: Begins the origin of the user's own designs.
YOURS = "yours"


@dataclass(frozen=True, slots=True)
class KnownDesign:
    """A design that exists before the search.

    Args:
        candidate: of the space of the run, or outside it (:mod:`hwnas_hls.run.given`).
        origin: ``from FOLDER`` or ``yours: NAME``.
        trained: the design, scored on the validation rows; ``None`` if the run must train it.
        final: the finished design, which is exported unchanged, if any.
    """

    candidate: Candidate
    origin: str
    trained: Estimates | None = None
    final: Design | None = None


def take_up(judge: Judge, store: Store, known: Sequence[KnownDesign]) -> None:
    """Write the weights of known designs and their origins to the store of a run."""
    rows: dict[str, Estimates] = {}
    for item in known:
        if item.trained is not None:
            for key in judge.training_keys(item.candidate):
                rows[key] = item.trained
        if item.final is not None:
            rows[_final_key(item.candidate.key)] = Estimates(design=item.final)
    store.add_evaluations(rows)
    store.set_meta(known={item.candidate.key: item.origin for item in known})


def origins(store: Store) -> Mapping[str, str]:
    """key -> origin of the known designs."""
    found: Mapping[str, str] = store.meta().get("known", {})
    return found


def final_designs(store: Store, keys: Sequence[str]) -> dict[str, Design]:
    """key -> design to export unchanged, of the known designs among ``keys`` that are finished."""
    found = {}
    for key in keys:
        for item in store.evaluations([_final_key(key)]).values():
            if item.design is not None:
                found[key] = item.design
    return found


def keep_finals(store: Store, designs: Mapping[str, Design]) -> None:
    """Store finished designs that a run does not export, for the runs that start from it."""
    store.add_evaluations({_final_key(key): Estimates(design=design) for key, design in designs.items()})


def split_yours(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """(The user's own designs, all other records)."""
    own = [record for record in records if record.origin.startswith(YOURS)]
    return own, [record for record in records if not record.origin.startswith(YOURS)]


def with_known(
    chosen: Sequence[Record], own: Sequence[Record], others: Sequence[Record], store: Store
) -> list[Record]:
    """The records to export: the chosen ones, the user's own, and those that an earlier run exported.

    Whether the last ones meet the limits is decided by their final numbers.
    """
    exported = final_designs(store, [record.key for record in others if record.origin])
    complete = [record for record in own if record.state in (RecordState.COMPLETE, RecordState.INFEASIBLE)]
    more = [*complete, *(record for record in others if record.key in exported)]
    return list({record.key: record for record in (*chosen, *more)}.values())


def distinct(known: Sequence[KnownDesign]) -> list[KnownDesign]:
    """One entry per candidate: the first, with an exported design if another entry has one."""
    found: dict[str, KnownDesign] = {}
    for item in known:
        first = found.setdefault(item.candidate.key, item)
        if first.final is None and item.final is not None:
            found[item.candidate.key] = dataclasses.replace(first, final=item.final)
    return list(found.values())


def _final_key(key: str) -> str:
    return digest(["exported design", key])
