"""Exporters: what turns a finished front into files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hwnas_hls.candidate import Candidate
from hwnas_hls.estimate import Estimate

if TYPE_CHECKING:
    from hwnas_hls.design import Design
    from hwnas_hls.objective import Goal
    from hwnas_hls.record import Record
    from hwnas_hls.space import Space
    from hwnas_hls.target import Target
    from hwnas_hls.task import Dataset


@dataclass(frozen=True, slots=True)
class Member:
    """One design of the final front, handed over.

    Args:
        key: the candidate's key; its folder is ``designs/KEY``.
        candidate: the knobs.
        record: what the search saw.
        design: fully trained.
        estimates: final numbers; ``accuracy`` (or the task's metric) is on the test split.
        checks: name -> ``ok`` or what is wrong (C simulation against emulator, lint).
        warnings: lint and others, for the report.
    """

    key: str
    candidate: Candidate
    record: Record
    design: Design
    estimates: Mapping[str, Estimate]
    checks: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Front:
    """The outcome of a run: everything an exporter needs.

    Args:
        run: name, seed, versions, seconds, counts: JSON-able.
        spec: the resolved spec as TOML text.
        target, goal, space, dataset: what the run was about.
        members: the front's designs, best task metric first.
        records: every candidate.
        trace: (candidates, seconds, hypervolume) after each batch.
        hypervolume: of the search's front, on validation numbers.
        least_infeasible: where nothing was feasible, the records nearest to it.
    """

    run: Mapping[str, Any]
    spec: str
    target: Target
    goal: Goal
    space: Space
    dataset: Dataset
    members: Sequence[Member]
    records: Sequence[Record]
    trace: Sequence[tuple[int, float, float]]
    hypervolume: float
    least_infeasible: Sequence[Record] = ()


@runtime_checkable
class Exporter(Protocol):
    """What an exporter plugin offers; ``name`` and a frozen ``Config`` stand on the class."""

    name: str

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write files below ``folder``; returns their paths."""
        ...
