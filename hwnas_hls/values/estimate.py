"""Metrics, estimates with their evidence, and the results of estimators."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, HwnasError

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.values.candidate import Candidate


class Source(StrEnum):
    """How a number was obtained, from the weakest evidence to the strongest."""

    #: Predicted by a model; always shown with its interval.
    PREDICTED = "predicted"
    #: Counted from the layers and weights of the network, exactly; it says nothing of the circuit.
    COUNTED = "counted"
    #: Scored in floating point, with simulated quantisation, or on rows that the network was trained on.
    TRAINED = "trained"
    #: Scored by bit-exact integer arithmetic.
    EMULATED = "emulated"
    #: Scored by hls4ml's C simulation.
    CSIM = "csim"
    #: Simulated on the RTL.
    SIMULATED_RTL = "simulated_rtl"
    #: From a C synthesis report: cycles, and resources as ``lut_csynth``, ``ff_csynth``, ``dsp_csynth``.
    CSYNTH = "csynth"
    #: Counted by open synthesis.
    OPEN_SYNTHESIS = "open_synthesis"
    #: From a logic synthesis report.
    LOGIC_SYNTHESIS = "logic_synthesis"
    #: From the report of a routed design.
    POST_ROUTE = "post_route"


#: Sources of numbers that are computed from outputs on rows of the task.
SCORED = (Source.TRAINED, Source.EMULATED)
#: Sources of numbers that tools read off a circuit.
HARDWARE = (
    Source.SIMULATED_RTL,
    Source.CSYNTH,
    Source.OPEN_SYNTHESIS,
    Source.LOGIC_SYNTHESIS,
    Source.POST_ROUTE,
)
#: From weakest to strongest.
SOURCES = tuple(Source)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its name, unit and direction.

    Args:
        name: with its unit, for example ``latency_ns``.
        direction: ``max`` or ``min``, whichever is better.
        label: for tables and axes.
        unit: as printed; empty for pure numbers.
        best, worst: ends of its scale as an objective, if it has natural ones; a spec can override
            them.
    """

    name: str
    direction: str
    label: str
    unit: str = ""
    best: float | None = None
    worst: float | None = None


#: The stage that ``lut``, ``ff`` and ``dsp`` are of, whether predicted or counted.
RESOURCE_STAGE = "logic_synth"
#: Resource after logic synthesis -> the figure of C synthesis for it, which is another number.
CSYNTH_OF = {"lut": "lut_csynth", "ff": "ff_csynth", "dsp": "dsp_csynth"}

METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "max", "accuracy"),
        Metric("auc", "max", "AUC"),
        Metric("balanced_accuracy", "max", "balanced accuracy"),
        Metric("f1", "max", "F1"),
        Metric("efficiency_at_fpr", "max", "efficiency at FPR"),
        Metric("r2", "max", "R2"),
        Metric("rmse", "min", "RMSE"),
        Metric("latency_cycles", "min", "latency", "cycles"),
        Metric("latency_ns", "min", "latency", "ns"),
        Metric("ii_cycles", "min", "initiation interval", "cycles"),
        Metric("lut", "min", "LUT"),
        Metric("ff", "min", "FF"),
        Metric("dsp", "min", "DSP"),
        Metric("lut_csynth", "min", "LUT by C synthesis"),
        Metric("ff_csynth", "min", "FF by C synthesis"),
        Metric("dsp_csynth", "min", "DSP by C synthesis"),
        Metric("bram_18k", "min", "BRAM 18K"),
        Metric("uram", "min", "URAM"),
        Metric("fmax_mhz", "max", "Fmax", "MHz"),
        Metric("energy_pj", "min", "energy per inference", "pJ"),
        Metric("model_size_bytes", "min", "model size", "bytes"),
        Metric("parameters", "min", "parameters"),
        Metric("macs", "min", "multiply-accumulates"),
        Metric("bit_operations", "min", "bit operations"),
        Metric("adder_bits", "min", "adder bits"),
    )
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number of one candidate.

    Args:
        metric: name with unit.
        value: the best guess, or what was measured.
        low, high: interval of the stated coverage; both equal ``value`` where it was measured.
        source: kind of its evidence, a :class:`Source` or its text.
        evidence: calibration, report or rows behind it, as text that a reviewer can follow.
        coverage: share of held-out designs whose truth lay in the interval; ``None`` where
            nothing was calibrated (the evidence says so).
        in_domain: whether the design is in the range for which the estimator is calibrated or exact.
        circuit: SHA-256 of the sources that were measured; empty if the number does not belong to an
            exported circuit.
    """

    metric: str
    value: float
    low: float
    high: float
    source: str
    evidence: str
    coverage: float | None = None
    in_domain: bool = True
    circuit: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.source, Source):
            if self.source not in SOURCES:
                raise ValueError(
                    f"unknown source {self.source!r} of {self.metric}; expected one of {', '.join(SOURCES)}"
                )
            object.__setattr__(self, "source", Source(self.source))
        if not (type(self.value) is type(self.low) is type(self.high) is float):
            self._make_numbers_plain()
        if math.isnan(self.value):
            raise ValueError(f"{self.metric} is not a number; return Estimates(failure=...) instead")

    def _make_numbers_plain(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if not isinstance(number, int | float):  # numpy's scalars are not JSON-able
                object.__setattr__(self, name, _as_float(number, f"{name} of {self.metric}"))

    @property
    def is_predicted(self) -> bool:
        """Whether it was predicted by a model; all other sources are counts or measurements of the design."""
        return self.source == Source.PREDICTED

    def worst(self, direction: str) -> float:
        """The pessimistic end of the interval, which limits are checked against."""
        return self.low if direction == "max" else self.high

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "value": self.value,
            "low": _finite(self.low),
            "high": _finite(self.high),
            "source": str(self.source),
            "evidence": self.evidence,
        }
        if self.coverage is not None:
            out["coverage"] = self.coverage
        if not self.in_domain:
            out["in_domain"] = False
        if self.circuit:
            out["circuit"] = self.circuit
        return out

    @classmethod
    def from_json(cls, metric: str, data: Mapping[str, Any]) -> Estimate:
        low, high = data["low"], data["high"]
        return cls(
            metric,
            data["value"],
            -math.inf if low is None else low,
            math.inf if high is None else high,
            data["source"],
            data["evidence"],
            data.get("coverage"),
            data.get("in_domain", True),
            data.get("circuit", ""),
        )


def _finite(value: float) -> float | None:
    """JSON has no infinity; the open end of an interval becomes null."""
    return value if math.isfinite(value) else None


def in_ns(cycles: Estimate, clock_ns: float) -> Estimate:
    """A latency in ns from one in cycles: always predicted, because only routing shows that a clock is met.

    The ends are the cycles' at this clock; with measured cycles, both equal the value.
    """
    return replace(
        cycles,
        metric="latency_ns",
        value=cycles.value * clock_ns,
        low=cycles.low * clock_ns,
        high=cycles.high * clock_ns,
        source=Source.PREDICTED,
        evidence=(
            f"{cycles.value:g} cycles x {clock_ns:g} ns, if that clock is met; "
            f"cycles by {cycles.source}: {cycles.evidence}"
        ),
    )


def measured(metric: str, value: float, source: str, evidence: str) -> Estimate:
    """A measured or counted estimate, whose interval is its value."""
    return Estimate(metric, value, value, value, source, evidence)


@dataclass(frozen=True, slots=True)
class Estimates:
    """The result of one estimator for one candidate: estimates, or a reason why there are none.

    Args:
        values: metric name -> estimate.
        failure: why the candidate could not be evaluated; empty on success.
        stopped: why training was stopped early (the candidate was dominated); empty otherwise.
        design: the trained fixed-point design, if the estimator trains.
        warnings: for the record and the report.
        layers: per layer, metric -> estimate, if the estimator splits its numbers by layer.
        siblings: the results of the same training for other candidates; those that are not
            ``stopped`` become records. See :attr:`hwnas_hls.protocols.estimator.Context.siblings`.
        failure_kind: the kind of the failure, if there is one.
    """

    values: Mapping[str, Estimate] = field(default_factory=dict)
    failure: str = ""
    stopped: str = ""
    design: Design | None = None
    warnings: tuple[str, ...] = ()
    layers: tuple[Mapping[str, Estimate], ...] = ()
    siblings: tuple[tuple[Candidate, Estimates], ...] = ()
    failure_kind: ErrorKind = ErrorKind.FAILED

    @classmethod
    def failed(cls, error: HwnasError) -> Estimates:
        """No numbers, for the reason that an error gives."""
        return cls(failure=str(error), failure_kind=error.kind)


def _as_float(number: object, what: str) -> float:
    if not isinstance(number, numbers.Real):
        raise TypeError(f"the {what} is {number!r}; it must be a number")
    return float(number)
