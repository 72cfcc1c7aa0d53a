"""Exporters: write the front of a finished run to files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.check import PASSED, CheckResult
from hwnas_hls.values.estimate import Estimate

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.space import Space
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.protocols.task import Dataset
    from hwnas_hls.values.objective import Goal
    from hwnas_hls.values.record import Record
    from hwnas_hls.values.run_facts import RunFacts


@dataclass(frozen=True, slots=True)
class Member:
    """One exported design.

    Args:
        key: the candidate's key; its folder is ``designs/KEY``.
        candidate: its knob values.
        record: the result of the search.
        design: as exported.
        estimates: final numbers; the task's metric (``accuracy``, ...) is measured on the test split.
        checks: ``alive``, ``limits``, ``project`` and ``csim`` (C simulation against the emulator)
            -> result.
        warnings: of the linter and of training, for the report.
        layer_estimates: per layer, metric -> estimate; empty if no estimator splits its numbers by
            layer.
    """

    key: str
    candidate: Candidate
    record: Record
    design: Design
    estimates: Mapping[str, Estimate]
    checks: Mapping[str, CheckResult] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    layer_estimates: Sequence[Mapping[str, Estimate]] = ()

    @property
    def unproven(self) -> list[str]:
        """The failed checks among ``alive``, ``project`` and ``csim``; checks not run do not count."""
        proofs = ((name, self.checks.get(name, PASSED)) for name in ("alive", "project", "csim"))
        return [f"{name}: {result}" for name, result in proofs if result.failed]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A prediction and the later measurement, for the report's parity plot.

    Args:
        key: key of the design.
        predicted, measured: of the same metric.
    """

    key: str
    predicted: Estimate
    measured: Estimate

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "metric": self.measured.metric,
            "predicted": self.predicted.to_json(),
            "measured": self.measured.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        metric = data["metric"]
        return cls(
            data["key"],
            Estimate.from_json(metric, data["predicted"]),
            Estimate.from_json(metric, data["measured"]),
        )


@dataclass(frozen=True, slots=True)
class Front:
    """The result of a run: everything an exporter needs.

    Args:
        run: the facts of the run.
        spec: the resolved spec as TOML text.
        target, goal, space, dataset: of the run.
        members: the exported designs, best task metric first.
        records: every candidate.
        trace: (candidates, seconds, hypervolume) after each batch.
        hypervolume: of the front of the search, scored on the validation rows.
        least_infeasible: the records closest to the limits, if no candidate was feasible.
        syntheses: predictions and measurements, in addition to those of the members.
    """

    run: RunFacts
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
    syntheses: Sequence[Comparison] = ()

    def __repr__(self) -> str:
        """Short: a run may have tens of thousands of records."""
        return (
            f"Front({self.run.name!r}, target {self.target.name}, {len(self.records)} records, "
            f"{len(self.members)} members, hypervolume {self.hypervolume:.4f})"
        )

    @property
    def clock_ns(self) -> float:
        """Clock period of designs that set none: that of the run, else that of the part."""
        return self.run.clock_ns or self.target.clock_ns

    @property
    def reference(self) -> dict[str, float]:
        """The reference point of the hypervolume: the ``worst`` of each objective, in its unit."""
        return {objective.metric: objective.worst for objective in self.goal.objectives}

    def comparisons(self) -> list[Comparison]:
        """Every prediction of the search that was measured later."""
        found = list(self.syntheses)
        seen = {(item.key, item.measured.metric, item.measured.source) for item in found}
        for member in self.members:
            for name, measured in member.estimates.items():
                predicted = member.record.estimates.get(name)
                if predicted is None or not predicted.is_predicted or measured.is_predicted:
                    continue
                if (member.key, name, measured.source) not in seen:
                    found.append(Comparison(member.key, predicted, measured))
        return found


class Exporter(Plugin):
    """Writes the front of a finished run to files.

    The constructor may take ``config`` and ``task``, the data of the run, to refuse settings that do not
    suit them before the search.
    """

    #: Whether it writes each design by itself. It can then be asked for one, by ``export RUN KEY --format
    #: NAME``: a front with this member only.
    takes_design: bool = False

    @abstractmethod
    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write files below ``folder``; returns their paths.

        Raises:
            Unsupported: it can write none of the front's designs.
            ToolMissing: a program or package that it needs is not here.
        """
