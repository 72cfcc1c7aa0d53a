"""The tables of a spec, each with its defaults and its checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwnas_hls.values.objective import MODES


@dataclass(frozen=True)
class RunTable:
    """``[run]``: budget, seed and what takes part.

    Args:
        trials: candidates to judge.
        minutes: wall time after which no new batch begins; ``None`` means only trials count.
        batch: candidates a batch; a batch is asked, judged and told together.
        seed: of everything random.
        device: ``auto``, ``cpu`` or ``cuda``.
        early_stop: drop dominated candidates during training, and before it where a forecast says so.
        keep_share: of a batch, that goes on at each rung of the successive halving, at least.
        estimators: names, in any order; cheap ones judge first.
        exporters: names.
    """

    trials: int = 600
    minutes: float | None = None
    batch: int = 50
    seed: int = 1
    device: str = "auto"
    early_stop: bool = True
    keep_share: float = 0.5
    estimators: tuple[str, ...] = ("static", "hls-model", "training", "da-cost")
    exporters: tuple[str, ...] = ("front-json", "html-report")

    def __post_init__(self) -> None:
        for name in ("trials", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes is above 0, not {self.minutes}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed lies in [0, 2**63), not {self.seed}")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device is auto, cpu or cuda, not {self.device}")
        if not 0 < self.keep_share <= 1:
            raise ValueError(f"keep_share lies in (0, 1], not {self.keep_share}")
        if not self.estimators:
            raise ValueError("estimators names at least one")


@dataclass(frozen=True)
class ObjectivesTable:
    """``[objectives]``: what is optimised.

    Args:
        mode: ``pareto``, ``weighted`` or ``constrained``.
        metrics: names; ``accuracy`` means the task's own metric where it has another.
        weights: metric -> weight, for ``weighted``.
        best, worst: metric -> ends of its scale, where the defaults do not fit.
    """

    mode: str = "pareto"
    metrics: tuple[str, ...] = ("accuracy", "lut")
    weights: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    worst: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}, not {self.mode}")
        if not self.metrics:
            raise ValueError("metrics names at least one")
        if len(set(self.metrics)) != len(self.metrics):
            raise ValueError(f"metrics names one twice: {', '.join(self.metrics)}")
        for metric, weight in self.weights.items():
            if metric not in self.metrics:
                raise ValueError(f"weights names {metric}, which is not among metrics")
            if weight <= 0:
                raise ValueError(f"the weight of {metric} is above 0, not {weight}")


@dataclass(frozen=True)
class LimitsTable:
    """``[limits]``: hard limits, held against the bad end of each interval.

    Args:
        max, min: metric -> bound.
        fit_part: also require that the design fits the part.
        sub_microsecond: also require ``latency_ns`` of at most 1000 where no latency is limited.
    """

    max: Mapping[str, float] = field(default_factory=dict)
    min: Mapping[str, float] = field(default_factory=dict)
    fit_part: bool = True
    sub_microsecond: bool = True

    def __post_init__(self) -> None:
        for metric, bound in (*self.min.items(), *self.max.items()):
            check_bound(metric, bound)
        for metric, low in self.min.items():
            high = self.max.get(metric)
            if high is not None and low > high:
                raise ValueError(f"{metric} is to be at least {low:g} and at most {high:g}: no design can be")


@dataclass(frozen=True)
class HandoverTable:
    """``[handover]``: what becomes of the front.

    Args:
        members: designs handed over at most; from a larger front those are chosen that
            together dominate the most.
        floor: share of the way from chance (always the most frequent class; the mean, in a regression)
            to the best of the front. Designs below it are of no use beside the best and are not handed
            over; 0 hands over whatever is better than chance.
        folds: of the cross-fitting that scores the shortlist of a front anew before designs are chosen,
            so that luck on few validation rows does not choose; below 2 the search's own scores do,
            as with 4,000 validation rows or more.
        refine: change single weights of the designs where that saves more LUTs than it costs accuracy,
            as far as the rows that chose the design say; where the trainer can and LUTs are wanted.
        csim: compile and run hls4ml's C simulation of each on the whole test split.
        workers: C simulations at once.
        training: keys that override the training estimator's for the final, full training.
    """

    members: int = 10
    floor: float = 0.8
    folds: int = 4
    refine: bool = True
    csim: bool = True
    workers: int = 2
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("members", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")
        if not 0 <= self.folds <= 20:
            raise ValueError(f"folds lies between 0 and 20, not {self.folds}")
        if not 0 <= self.floor < 1:
            raise ValueError(f"floor is at least 0 and below 1, not {self.floor}")


#: ``[synthesis] synthesizer``: the open tools where they are installed and build what the space holds.
AUTO = "auto"
#: ``[synthesis] synthesizer``: nothing is synthesised; an empty text means the same.
NO_SYNTHESIZER = "none"


@dataclass(frozen=True)
class SynthesisTable:
    """``[synthesis]``: real hardware in the loop.

    Args:
        synthesizer: name; ``auto`` takes ``open`` where its tools are installed and build every layer
            of the space, and nothing otherwise; ``none`` takes nothing.
        budget: syntheses in all, of which two thirds are kept for the designs handed over; ``None``
            means one for each design handed over and none in the search.
        stage: how far each goes; empty takes the synthesizer's default.
        workers: syntheses at once.
        config: configuration of the synthesizer.
    """

    synthesizer: str = AUTO
    budget: int | None = None
    stage: str = ""
    workers: int = 2
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers is at least 1, not {self.workers}")
        if self.budget is not None and self.budget < 1:
            raise ValueError(f"budget is at least 1, not {self.budget}")
        if self.budget is not None and self.none:
            raise ValueError("a budget of syntheses wants a synthesizer")

    @property
    def none(self) -> bool:
        """Whether nothing is synthesised."""
        return self.synthesizer in ("", NO_SYNTHESIZER)


@dataclass(frozen=True)
class NamedTable:
    """A table that chooses a plugin by ``name``; its other keys are that plugin's configuration."""

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    is_default: bool = False


def check_bound(metric: str, bound: float) -> None:
    """Raise a ValueError if ``bound`` cannot limit ``metric``."""
    if not math.isfinite(bound):
        raise ValueError(f"a limit's value is a finite number, not {bound:g}")
    if metric.partition(":")[0] == "accuracy" and not 0 <= bound <= 1:
        raise ValueError(f"accuracy is a share between 0 and 1, not {bound:g}; 93 % is 0.93")
