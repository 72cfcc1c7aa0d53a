"""The tables of a spec, each with its defaults and its checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwnas_hls.network.fields import STRATEGIES
from hwnas_hls.protocols.target import RESOURCES
from hwnas_hls.values.objective import MODES, Mode
from hwnas_hls.values.score_metrics import BY_KIND, CLASSIFICATION


@dataclass(frozen=True)
class RunTable:
    """``[run]``: budget, seed, estimators and exporters.

    Args:
        trials: number of candidates.
        minutes: wall clock time after which no new batch starts; ``None``: no limit.
        batch: maximum number of candidates per batch; a batch is proposed, estimated and returned as a
            whole. In a space with starts, the first batch has at most five. With ``minutes``, it has one
            candidate per core (at least two), and a later one at most as many as all before it.
        seed: seed of all random numbers; the same seed gives the same front.
        device: where networks are trained: ``cpu``, ``cuda``, or ``auto`` for CUDA if there is a device.
        early_stop: stop dominated candidates during training, or before it on the basis of a forecast.
        keep_share: minimum share of a batch that continues at each rung of successive halving.
        estimators: names of the estimators, in any order; cheap ones run first.
        exporters: names of the exporters that write the results; ``[exporters.NAME]`` has their settings.
        from_: folders of earlier runs of the same data, whose candidates, weights and designs are imported.
    """

    trials: int = 175
    minutes: float | None = None
    batch: int = 25
    seed: int = 1
    device: str = "auto"
    early_stop: bool = True
    keep_share: float = 0.5
    estimators: tuple[str, ...] = ("static", "hls-model", "training", "da-law", "da-cost")
    exporters: tuple[str, ...] = ("verilog", "vhdl", "front-json", "html-report")
    from_: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("trials", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes must be above 0, not {self.minutes}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be in [0, 2**63), not {self.seed}")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, not {self.device}")
        if not 0 < self.keep_share <= 1:
            raise ValueError(f"keep_share must be in (0, 1], not {self.keep_share}")
        if not self.estimators:
            raise ValueError("estimators must name at least one")


@dataclass(frozen=True)
class ObjectivesTable:
    """``[objectives]``: the metrics to optimise.

    Args:
        mode: ``pareto`` (a front of all objectives), ``weighted`` (their weighted sum) or ``constrained``
            (one objective under limits).
        metrics: names; ``accuracy`` means the task's metric, whatever its name, unless that is named, too.
        weights: metric -> weight, for ``weighted``; 1 for those that are not named.
        best: metric -> value that counts as 0 on the scale of its losses, instead of the default.
        worst: metric -> value that counts as 1, which is also the reference point of the hypervolume.
    """

    mode: str = "pareto"
    metrics: tuple[str, ...] = ("accuracy", "lut")
    weights: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    worst: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {self.mode}")
        if self.weights and self.mode != Mode.WEIGHTED:
            raise ValueError(f"weights need mode weighted; {self.mode} would ignore them")
        if not self.metrics:
            raise ValueError("metrics must name at least one")
        if len(set(self.metrics)) != len(self.metrics):
            raise ValueError(f"metrics contains duplicates: {', '.join(self.metrics)}")
        for metric, weight in self.weights.items():
            if metric not in self.metrics:
                raise ValueError(f"weights names {metric}, which is not among metrics")
            if weight <= 0:
                raise ValueError(f"the weight of {metric} must be above 0, not {weight}")


@dataclass(frozen=True)
class LimitsTable:
    """``[limits]``: hard limits, checked against the pessimistic end of each interval.

    Args:
        max: metric -> upper limit. A text with a unit is read as one: "8k", "1us", "93%".
        min: metric -> lower limit, likewise.
        max_share: resource -> bound as a share of the part, between 0 and 1; also written as
            ``max.lut = "10%"``.
        fit_part: also require that the design fits the part.
        sub_microsecond: also require ``latency_ns`` of at most 1000 unless a latency is limited.
    """

    max: Mapping[str, float] = field(default_factory=dict)
    min: Mapping[str, float] = field(default_factory=dict)
    max_share: Mapping[str, float] = field(default_factory=dict)
    fit_part: bool = True
    sub_microsecond: bool = True

    def __post_init__(self) -> None:
        for metric, bound in (*self.min.items(), *self.max.items()):
            check_bound(metric, bound)
        for metric, low in self.min.items():
            high = self.max.get(metric)
            if high is not None and low > high:
                raise ValueError(f"contradictory limits: {metric} >= {low:g} and <= {high:g}")
        for metric, share in self.max_share.items():
            if metric not in RESOURCES:
                raise ValueError(f"max_share names {metric}, which is not a resource of a part")
            if not 0 <= share <= 1:
                raise ValueError(f"a share of the part must be between 0 and 1, not {share:g}")
            if metric in self.max:
                raise ValueError(f"{metric} is limited twice, by max and by max_share")


@dataclass(frozen=True)
class ExportTable:
    """``[export]``: the export of the front.

    Args:
        members: maximum number of exported designs; from a larger front, the subset with the
            largest hypervolume is exported. Exported designs of earlier runs (``--from``) and your own
            (``--design``) do not count.
        floor: minimum score of an exported design, as a share of the way from chance (the most frequent
            class; the mean, in a regression) to the best of the front; 0 exports everything above chance.
        folds: number of folds of the cross-fitting that rescores a shortlist of the front before designs
            are selected, to reduce selection by chance on few validation rows. Below 2, and with 4,000
            or more validation rows, nothing is trained for the choice. ``None``: 4, and 0 where one training
            covers several candidates.
        refine: change single weights of the designs where this saves more LUTs than it costs accuracy
            on the rows that selected the design; needs a trainer that can refine, and LUTs as an objective
            or limit.
        restarts: number of full trainings of each exported design, from different seeds; the best on the
            rows of the training is exported. 0 means six, and fewer for tables of more than 4,000 rows; where
            one training covers several candidates, 0 means none: the designs of the search are exported.
        noise_filter: leave out designs that are better than a cheaper one by no more than the noise of the
            rows; false keeps all non-dominated designs, for example to draw a curve, and considers the next
            ones behind them, up to ``members``; those dominated in their final numbers are left out.
        csim: compile and run hls4ml's C simulation of each on the whole test split.
        baselines: train a linear model, a float MLP and boosted trees in seconds, and score them on the test
            rows beside the designs.
        workers: number of parallel C simulations.
        training: keys that override the training estimator's for full trainings.
    """

    members: int = 10
    floor: float = 0.8
    folds: int | None = None
    refine: bool = True
    restarts: int = 0
    noise_filter: bool = True
    csim: bool = True
    baselines: bool = True
    workers: int = 2
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("members", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.restarts <= 100:
            raise ValueError(f"restarts must be between 0 and 100, not {self.restarts}")
        if self.folds is not None and not 0 <= self.folds <= 20:
            raise ValueError(f"folds must be between 0 and 20, not {self.folds}")
        if not 0 <= self.floor < 1:
            raise ValueError(f"floor must be at least 0 and below 1, not {self.floor}")


#: ``[synthesis] synthesizer``: the open tools, if they are installed and support the space.
AUTO = "auto"
#: ``[synthesis] synthesizer``: no synthesis; an empty string means the same.
NO_SYNTHESIZER = "none"


@dataclass(frozen=True)
class SynthesisTable:
    """``[synthesis]``: measurements during the search and of the exported designs.

    Args:
        synthesizer: name; ``auto`` selects ``open`` if its tools are installed and support every layer
            of the space, and otherwise nothing; ``none`` disables synthesis.
        budget: total number of syntheses, of which two thirds are reserved for the exported designs;
            ``None`` means one for each exported design and none during the search.
        stage: last stage to run; empty takes the synthesizer's default.
        workers: number of parallel syntheses.
        config: settings of the synthesizer, listed below for each.
    """

    synthesizer: str = AUTO
    budget: int | None = None
    stage: str = ""
    workers: int = 2
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")
        if self.budget is not None and self.budget < 1:
            raise ValueError(f"budget must be at least 1, not {self.budget}")
        if self.budget is not None and self.none:
            raise ValueError("a budget of syntheses requires a synthesizer")

    @property
    def none(self) -> bool:
        """Whether synthesis is disabled."""
        return self.synthesizer in ("", NO_SYNTHESIZER)


@dataclass(frozen=True)
class SeedTable:
    """``[[seeds]]``: a design of your own, evaluated before the search.

    Args:
        design: widths such as ``16-64-32-32-5`` (trained by the run), or the path of a design folder, an
            hls4ml project, a torch file, an ONNX or QONNX file, or a Keras or QKeras file (exported as it
            is).
        name: its name in tables; default: the widths or the file name.
        precision: type of inputs, weights, sums and results for which the design states none.
        strategy: HLS strategy of layers for which the design states none; default: the first that the
            synthesizer of the run builds.
        inputs: what a model of another tool takes: ``standardised`` (the features of the task,
            standardised on its training rows) or ``raw``.
    """

    design: str
    name: str = ""
    precision: str = "ap_fixed<16,6>"
    strategy: str = ""
    inputs: str = "standardised"

    def __post_init__(self) -> None:
        if not self.design:
            raise ValueError("design is empty: give widths such as 16-64-32-32-5, or a path")
        if self.inputs not in ("standardised", "raw"):
            raise ValueError(f"inputs must be standardised or raw, not {self.inputs}")
        if self.strategy not in ("", *STRATEGIES):
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, not {self.strategy}")


@dataclass(frozen=True)
class NamedTable:
    """A table that chooses a plugin by ``name``; its other keys configure that plugin."""

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    is_default: bool = False


def check_bound(metric: str, bound: float) -> None:
    """Raise a ValueError if ``bound`` cannot limit ``metric``."""
    if not math.isfinite(bound):
        raise ValueError(f"the value of a limit must be a finite number, not {bound:g}")
    name = metric.partition(":")[0]
    if name in BY_KIND[CLASSIFICATION] and not 0 <= bound <= 1:
        raise ValueError(f"{name} must be between 0 and 1, not {bound:g}; 93 % is 0.93")
