"""Records: what became of each candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate


class RecordState(StrEnum):
    """How the evaluation of a candidate ended."""

    #: Judged in full.
    COMPLETE = "complete"
    #: Over a hard limit; perhaps never trained.
    INFEASIBLE = "infeasible"
    #: Dominated, and so not trained or not to the end.
    STOPPED = "stopped"
    #: Not judged, for the reason in the record.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """One judged candidate.

    Args:
        number: position in the run, from 0.
        batch: which ask it came from, from 0.
        candidate: the knobs.
        state: how its evaluation ended.
        estimates: metric -> estimate; whatever was found before the state was reached.
        losses: the minimised vector; ``None`` unless the candidate was judged in full.
        violations: broken limit -> relative excess.
        reason: why it is not complete; empty otherwise.
        warnings: of the estimators.
        seconds: time its evaluation took, its share of a batch.
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
        )
