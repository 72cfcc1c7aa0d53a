"""The search's view of the hardware model: candidates in, estimates with intervals out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas_hls.errors import HwnasError, UserError
from hwnas_hls.estimate import Estimate, Estimates
from hwnas_hls_plugins.hls_model.calibration import read_calibration
from hwnas_hls_plugins.hls_model.graphs import graph_estimates
from hwnas_hls_plugins.hls_model.prediction import Prediction, predict
from hwnas_hls_plugins.hls_model.query import DEFAULT_TOOL, STAGES, Query, query_of

if TYPE_CHECKING:
    from hwnas_hls.architecture import Architecture
    from hwnas_hls.candidate import Candidate
    from hwnas_hls.design import Design
    from hwnas_hls.estimator import Context

PROVIDES = ("latency_cycles", "latency_ns", "ii_cycles", "lut", "ff", "dsp", "bram_18k", "uram")


@dataclass(frozen=True, slots=True)
class HlsModelConfig:
    """Which report is predicted.

    Args:
        tool: HLS compiler and version that will build the design.
        stage: ``csynth``, ``logic_synth`` or ``post_route``.
        clock_uncertainty: share of the clock period kept back; 0 takes the tool's default.
        softmax: hls4ml's softmax implementation.
        calibration: file that ``hwnas-hls calibrate`` wrote; empty takes the built-in one.
    """

    tool: str = DEFAULT_TOOL
    stage: str = "csynth"
    clock_uncertainty: float = 0.0
    softmax: str = "stable"
    calibration: str = ""

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise UserError(
                "unknown stage", where="estimator hls-model: stage", found=self.stage, choices=STAGES
            )
        if not 0.0 <= self.clock_uncertainty < 1.0:
            raise UserError(
                "clock_uncertainty is a share of the period, from 0 to below 1",
                where="estimator hls-model: clock_uncertainty",
                found=self.clock_uncertainty,
            )


class HlsModelEstimator:
    """Latency, II, LUT, FF, DSP and BRAM by the calibrated laws of :mod:`hwnas_hls_plugins.hls_model`.

    Weights are used as soon as a candidate is trained: they decide LUTs and DSPs of unrolled layers.
    """

    name = "hls-model"
    Config = HlsModelConfig
    provides = PROVIDES
    #: Of the laws; an instance adds the hash of its calibration, so that no cache outlives one.
    version = "3"
    cost = 0.0005
    uses_weights = True

    def __init__(self, config: HlsModelConfig | None = None) -> None:
        self.config = config or HlsModelConfig()
        file = self.config.calibration
        self.calibration = read_calibration(Path(file).expanduser() if file else None)
        self.version = f"{type(self).version}+{self.calibration.hash}"

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """One :class:`Estimates` a candidate; an architecture that cannot be made is a failure."""
        queries: list[Query] = []
        places: list[int] = []
        out: list[Estimates | None] = [None] * len(candidates)
        for number, candidate in enumerate(candidates):
            try:
                queries.append(self._query(candidate, context))
                places.append(number)
            except HwnasError as error:
                out[number] = Estimates(failure=f"hls-model: {error}")
        for number, prediction in zip(places, predict(queries, self.calibration), strict=True):
            architecture, design = self._network(candidates[number], context)
            if architecture.is_chain:
                out[number] = self._estimates(prediction)
            else:
                suffix = f"{self.config.tool} {self.config.stage}"
                out[number] = graph_estimates(prediction, architecture, design, suffix)
        return [estimates or Estimates(failure="hls-model: no prediction") for estimates in out]

    def _network(self, candidate: Candidate, context: Context) -> tuple[Architecture, Design | None]:
        design = context.designs.get(candidate.key)
        return (context.architecture(candidate) if design is None else design.architecture), design

    def _query(self, candidate: Candidate, context: Context) -> Query:
        architecture, design = self._network(candidate, context)
        return query_of(
            architecture,
            context.target.part,
            context.clock_ns,
            tool=self.config.tool,
            stage=self.config.stage,
            clock_uncertainty=self.config.clock_uncertainty or None,
            design=design,
            softmax=self.config.softmax,
            name=candidate.key,
        )

    def _estimates(self, prediction: Prediction) -> Estimates:
        if prediction.query.blockers:
            return Estimates(failure=f"hls-model: {'; '.join(prediction.query.blockers)}")
        values = {}
        evidence = f"{prediction.evidence}; {self.config.tool} {self.config.stage}"
        for metric in PROVIDES:
            interval = prediction.metrics[metric]
            if not math.isfinite(interval.value):
                return Estimates(failure=f"hls-model: {metric} is not finite")
            text = evidence if interval.coverage is not None else f"{evidence}; interval not calibrated"
            values[metric] = Estimate(
                metric,
                interval.value,
                interval.low,
                interval.high,
                "predicted",
                text,
                interval.coverage,
                prediction.in_domain,
            )
        return Estimates(values=values, warnings=prediction.warnings, layers=_layers(prediction))


def _layers(prediction: Prediction) -> tuple[dict[str, Estimate], ...]:
    """Each layer's share of the design's numbers; its interval is the design's, in proportion."""
    text = f"its share of the design's number: {prediction.evidence}"
    found: list[dict[str, Estimate]] = []
    for layer in prediction.layers:
        shares = {"lut": layer.lut, "ff": layer.ff, "dsp": layer.dsp, "bram_18k": layer.bram_18k}
        shares["latency_cycles"] = layer.cycles
        found.append({})
        for metric, value in shares.items():
            whole = prediction.metrics[metric]
            low, high = (value * end / whole.value if whole.value else end for end in (whole.low, whole.high))
            found[-1][metric] = Estimate(
                metric, value, low, high, "predicted", text, whole.coverage, prediction.in_domain
            )
    return tuple(found)


def calibration_name() -> str:
    """Name of the calibration that ships."""
    return read_calibration().name
