"""What a run says of itself: where, by whom and with what it was made, and how its designs were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from hwnas_hls.values.estimate import Estimate


class LeftOutKind(StrEnum):
    """Why a design that was trained in full is not exported."""

    #: Its outputs do not depend on its inputs, or its score is at the level of chance.
    USELESS = "useless"
    #: By the final numbers another design is at least as good in every objective.
    DOMINATED = "dominated"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A trained design that is not among the exported ones.

    Args:
        kind: why; programs look at this.
        reason: the same in words, for people.
    """

    kind: LeftOutKind
    reason: str

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind.value, "reason": self.reason}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LeftOut:
        return cls(LeftOutKind(data["kind"]), str(data["reason"]))


@dataclass(frozen=True, slots=True)
class Chance:
    """The score of an answer that ignores the input, on given rows.

    Args:
        metric: of the task.
        value: of the most frequent class of the training rows (accuracy), or of the mean (r2: 0).
        error: one standard error of it, by the number of rows.
        words: the answer in words.
    """

    metric: str
    value: float
    error: float
    words: str

    def reached(self, estimate: Estimate) -> bool:
        """Whether a score is not better than chance by more than one standard error."""
        return estimate.value <= self.value + self.error


@dataclass(frozen=True, slots=True)
class ChoiceFacts:
    """How the exported designs were chosen among the records of the search.

    Args:
        method: ``cross-fitting`` or ``validation rows``.
        folds: of the cross-fitting; 0 without.
        words: how it was done, for people.
        metric: the task's, of which the scores are.
        scores: key -> score by rows that its networks had not seen; empty without cross-fitting.
        prices: key -> loss per LUT at which the weights of a design are refined.
    """

    method: str
    folds: int
    words: str
    metric: str
    scores: Mapping[str, Estimate]
    prices: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "folds": self.folds,
            "words": self.words,
            "metric": self.metric,
            "scores": {key: estimate.to_json() for key, estimate in self.scores.items()},
            "prices": dict(self.prices),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChoiceFacts:
        metric = str(data["metric"])
        scores = {key: Estimate.from_json(metric, item) for key, item in data["scores"].items()}
        return cls(data["method"], data["folds"], data["words"], metric, scores, data["prices"])


@dataclass(frozen=True, slots=True)
class Host:
    """The machine of a run.

    Args:
        system: operating system with its version.
        machine: kind of processor.
        cpus: logical processors; ``None`` where the system does not say.
    """

    system: str = ""
    machine: str = ""
    cpus: int | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run by its own account. Plugins get it in their hooks, exporters as ``front.run``.

    The fields are those of ``run`` in ``front.json``, described in ``docs/front-json.md``.

    Args:
        name: of the run folder.
        folder: the run folder.
        seed: of all random numbers.
        started: when, ISO 8601 in UTC.
        command: starts the same run again.
        clock_ns: clock period in ns of designs that name none; 0 where it is the part's.
        trials: budget in candidates; ``None`` without.
        minutes: budget in minutes; ``None`` without.
        strategy, space, task: names of the plugins.
        versions: package -> version.
        plugins: name -> package that it came from.
        host: the machine.
        data_fingerprint: of the task's data.
        chance: score on the test rows of an answer that ignores the input; ``None`` if not known.
        lacking: why nothing was synthesised although the spec says ``auto``; else empty.
        seconds: wall clock time of the search in s; ``None`` while it is not over.
        choice: how designs were chosen; ``None`` before that.
        left_out: key -> why a trained design is not exported.
        finished: whether the run went through; ``None`` while it goes on.
    """

    name: str = ""
    folder: str = ""
    seed: int = 0
    started: str = ""
    command: str = ""
    clock_ns: float = 0.0
    trials: int | None = None
    minutes: float | None = None
    strategy: str = ""
    space: str = ""
    task: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    host: Host = Host()
    data_fingerprint: str = ""
    chance: Chance | None = None
    lacking: str = ""
    seconds: float | None = None
    choice: ChoiceFacts | None = None
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    finished: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-able; what is not known yet is left out."""
        data: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("seconds", "choice", "finished"):
            if data[name] is None:
                del data[name]
        if self.choice is not None:
            data["choice"] = self.choice.to_json()
        return data | {
            "versions": dict(self.versions),
            "plugins": dict(self.plugins),
            "host": asdict(self.host),
            "chance": None if self.chance is None else asdict(self.chance),
            "left_out": {key: item.to_json() for key, item in self.left_out.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunFacts:
        """The inverse of :meth:`to_json`; a missing field has its default."""
        values = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        if values.get("choice") is not None:
            values["choice"] = ChoiceFacts.from_json(values["choice"])
        if values.get("chance") is not None:
            values["chance"] = Chance(**values["chance"])
        if "host" in values:
            values["host"] = Host(**values["host"])
        left_out = values.get("left_out", {})
        return cls(**values | {"left_out": {key: LeftOut.from_json(item) for key, item in left_out.items()}})
