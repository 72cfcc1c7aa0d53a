"""Records: the result of each candidate's evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate


class RecordState(StrEnum):
    """How the evaluation of a candidate ended."""

    #: Evaluated in full.
    COMPLETE = "complete"
    #: Over a hard limit; possibly not trained.
    INFEASIBLE = "infeasible"
    #: Dominated, and therefore not trained or not trained to the end.
    STOPPED = "stopped"
    #: Not evaluated; the record gives the reason.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """The result of one candidate.

    Args:
        number: position in the run, from 0.
        batch: number of its batch, from 0; -1 for known designs, which are evaluated before the search.
        candidate: its knob values.
        state: how its evaluation ended.
        estimates: metric -> estimate; all that were made before the evaluation ended.
        losses: the losses to minimise; ``None`` unless the state is complete.
        violations: broken limit -> relative excess.
        reason: why it is not complete; empty if it is.
        warnings: of the estimators.
        seconds: duration of its evaluation, its share of the batch.
        origin: of a design that existed before the search: ``from RUN`` or ``yours: NAME``; else empty.
    """

    number: int
    batch: int
    candidate: Candidate
    state: RecordState
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    losses: tuple[float, ...] | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    origin: str = ""

    @property
    def key(self) -> str:
        return self.candidate.key

    @property
    def feasible(self) -> bool:
        return self.state is RecordState.COMPLETE

    def metrics(self) -> dict[str, float]:
        """metric -> value, without intervals."""
        return {name: estimate.value for name, estimate in self.estimates.items()}

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "batch": self.batch,
            "candidate": self.candidate.to_json(),
            "state": self.state,
            "estimates": {name: estimate.to_json() for name, estimate in self.estimates.items()},
            "losses": None if self.losses is None else list(self.losses),
            "violations": dict(self.violations),
            "reason": self.reason,
            "warnings": list(self.warnings),
            "seconds": self.seconds,
            "origin": self.origin,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        losses = data["losses"]
        return cls(
            data["number"],
            data["batch"],
            Candidate.from_json(data["candidate"]),
            RecordState(data["state"]),
            {name: Estimate.from_json(name, item) for name, item in data["estimates"].items()},
            None if losses is None else tuple(losses),
            data["violations"],
            data["reason"],
            tuple(data["warnings"]),
            data["seconds"],
            data.get("origin", ""),
        )
