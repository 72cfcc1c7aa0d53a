"""The facts of a run: settings, versions, machine, and how its designs were selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from hwnas_hls.values.estimate import Estimate


class LeftOutKind(StrEnum):
    """Why a chosen design is not exported."""

    #: Its outputs do not depend on its inputs, or its score is at chance level.
    USELESS = "useless"
    #: In the final numbers, another design is at least as good in every objective.
    DOMINATED = "dominated"
    #: In the final numbers, it differs from a design as good in every objective by no more than the noise.
    ALIKE = "alike"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A trained design that is not among the exported ones.

    Args:
        kind: the reason, for programs.
        reason: the reason, as text.
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
    """The score of a constant output on given rows.

    Args:
        metric: the task's metric.
        value: score of a constant output, for accuracy that of the most frequent class of the training rows.
        error: its standard error, from the number of rows.
        words: the constant output, as text.
        direction: ``max`` or ``min``, whichever is better for the metric.
    """

    metric: str
    value: float
    error: float
    words: str
    direction: str = "max"

    def reached(self, estimate: Estimate) -> bool:
        """Whether a score is at chance level: better by at most one standard error."""
        sign = 1.0 if self.direction == "max" else -1.0
        return sign * (estimate.value - self.value) <= self.error


@dataclass(frozen=True, slots=True)
class Baseline:
    """A usual model in floating point, to compare designs with.

    Args:
        name: ``linear``, ``mlp`` or ``trees``.
        words: the model, as text.
        estimate: its score on the test rows.
        seconds: wall clock time of its training and scoring.
    """

    name: str
    words: str
    estimate: Estimate
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "words": self.words,
            "metric": self.estimate.metric,
            **self.estimate.to_json(),
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Baseline:
        estimate = Estimate.from_json(str(data["metric"]), data)
        return cls(str(data["name"]), str(data["words"]), estimate, float(data["seconds"]))


@dataclass(frozen=True, slots=True)
class ChoiceFacts:
    """How the exported designs were selected from the records of the search.

    Args:
        method: ``cross-fitting``, ``validation rows`` or ``training and validation rows``.
        folds: number of folds of the cross-fitting; 0 without it.
        words: the method, as text.
        metric: the task's metric, for the scores.
        scores: key -> score by which it was chosen; empty if that is the score of the search.
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
        cpus: number of logical processors; ``None`` if unknown.
    """

    system: str = ""
    machine: str = ""
    cpus: int | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The facts of a run, for hooks of plugins and, as ``front.run``, for exporters.

    The fields are those of ``run`` in ``front.json``, described in ``docs/front-json.md``.

    Args:
        name: name of the run folder.
        folder: the run folder.
        seed: seed of all random numbers.
        started: time of the start, ISO 8601 in UTC.
        command: command that starts the same run again.
        clock_ns: clock period in ns of designs that set none; 0 means that of the part.
        trials: budget in candidates, or ``None``.
        minutes: budget in minutes, or ``None``.
        strategy, space, task: names of the plugins.
        versions: package -> version.
        plugins: name -> package that provides it.
        host: the machine.
        data_fingerprint: hash of the task's data.
        resources: stage that LUT, FF and DSP are of; empty for a run whose stage was not recorded.
        chance: score of a constant output on the test rows; ``None`` if unknown.
        further_chances: the same of the other metrics of predictions that objectives and limits name.
        data_warnings: what the data do not support: few rows, or a metric that rewards a constant output.
        lacking: why ``auto`` selected no synthesizer; otherwise empty.
        baselines: scores of usual models on the same test rows; empty until the designs are exported.
        seconds: wall clock time of the search in s; ``None`` until it ends.
        choice: how designs were selected; ``None`` before the selection.
        left_out: key -> why a trained design is not exported.
        finished: whether the run has finished; ``None`` while it is running.
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
    resources: str = ""
    chance: Chance | None = None
    further_chances: tuple[Chance, ...] = ()
    data_warnings: tuple[str, ...] = ()
    lacking: str = ""
    baselines: tuple[Baseline, ...] = ()
    seconds: float | None = None
    choice: ChoiceFacts | None = None
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    finished: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON-able form, without fields that are not yet known."""
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
            "further_chances": [asdict(chance) for chance in self.further_chances],
            "data_warnings": list(self.data_warnings),
            "baselines": [item.to_json() for item in self.baselines],
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
        values["further_chances"] = tuple(Chance(**item) for item in values.get("further_chances", ()))
        values["baselines"] = tuple(map(Baseline.from_json, values.get("baselines", ())))
        values["data_warnings"] = tuple(values.get("data_warnings", ()))
        if "host" in values:
            values["host"] = Host(**values["host"])
        left_out = values.get("left_out", {})
        return cls(**values | {"left_out": {key: LeftOut.from_json(item) for key, item in left_out.items()}})
