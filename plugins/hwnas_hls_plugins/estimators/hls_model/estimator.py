"""The estimator ``hls-model``: the hardware model for candidates of a search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.errors import HwnasError, UserError
from hwnas_hls.hls4ml.query import DEFAULT_TOOL, STAGES, Query, query_of
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.protocols.target import Targets
from hwnas_hls.values.estimate import Estimate, Estimates, Source
from hwnas_hls_plugins.estimators.hls_model.batch import Batch, predict_batch
from hwnas_hls_plugins.estimators.hls_model.calibration import read_calibration
from hwnas_hls_plugins.estimators.hls_model.graphs import graph_estimates
from hwnas_hls_plugins.estimators.hls_model.prediction import evidence_of, prediction_of

if TYPE_CHECKING:
    from hwnas_hls.network.architecture import Architecture
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.values.candidate import Candidate

PROVIDES = ("latency_cycles", "latency_ns", "ii_cycles", "lut", "ff", "dsp", "bram_18k", "uram")


@dataclass(frozen=True, slots=True)
class HlsModelConfig:
    """Settings of the estimator ``hls-model``: the predicted report.

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


class HlsModelEstimator(Estimator):
    """Latency, II, LUT, FF, DSP and BRAM, predicted by the calibrated laws of ``hls_model``.

    Weights are used as soon as a candidate is trained: they decide LUTs and DSPs of unrolled layers.
    """

    name = "hls-model"
    Config = HlsModelConfig
    config: HlsModelConfig
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
        """One :class:`Estimates` per candidate; an architecture that cannot be built is a failure."""
        networks: dict[int, tuple[Architecture, Design | None]] = {}
        queries: list[Query] = []
        out: dict[int, Estimates] = {}
        for number, candidate in enumerate(candidates):
            design = context.designs.get(candidate.key)
            try:
                architecture = context.architecture(candidate) if design is None else design.architecture
                queries.append(self._query(candidate, architecture, design, context))
                networks[number] = architecture, design
            except HwnasError as error:
                out[number] = Estimates(failure=f"hls-model: {error}", failure_kind=error.kind)
        if queries:
            targets = Targets({context.target.name: context.target})
            batch = predict_batch(queries, self.calibration, targets)
            chains = chain_estimates(batch, self._rests_on, self._suffix)
            for place, (number, (architecture, design)) in enumerate(networks.items()):
                out[number] = chains[place]
                if not architecture.is_chain:
                    prediction = prediction_of(batch, place, self.calibration.name)
                    out[number] = graph_estimates(prediction, architecture, design, self._suffix)
        return [out[number] for number in range(len(candidates))]

    @property
    def _rests_on(self) -> str:
        return f"calibration {self.calibration.name}"

    @property
    def _suffix(self) -> str:
        return f"{self.config.tool} {self.config.stage}"

    def _query(
        self, candidate: Candidate, architecture: Architecture, design: Design | None, context: Context
    ) -> Query:
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


def chain_estimates(batch: Batch, rests_on: str, suffix: str) -> list[Estimates]:
    """Estimates of chains of dense layers.

    Args:
        rests_on, suffix: of the evidence: calibration; tool and stage.
    """
    table = batch.table
    ends = np.searchsorted(table.owner, np.arange(table.count + 1)).tolist()
    numbers = [
        (metric, *(bound[metric].tolist() for bound in (batch.value, batch.low, batch.high, batch.coverage)))
        for metric in PROVIDES
    ]
    shares = [
        ("latency_cycles" if metric == "cycles" else metric, batch.layer[metric].tolist())
        for metric in ("lut", "ff", "dsp", "bram_18k", "cycles")
    ]
    out = []
    for number, knowledge in enumerate(batch.knowledge.tolist()):
        reasons = tuple(dict.fromkeys(batch.reasons[number]))
        evidence = evidence_of(rests_on, knowledge, reasons)
        text, share_text = f"{evidence}; {suffix}", f"its share of the design's number: {evidence}"
        values: dict[str, Estimate] = {}
        for metric, value, low, high, coverage in numbers:
            if not math.isfinite(value[number]):
                out.append(Estimates(failure=f"hls-model: {metric} is not finite"))
                break
            stated = None if math.isnan(coverage[number]) else coverage[number]
            values[metric] = Estimate(
                metric,
                value[number],
                low[number],
                high[number],
                Source.PREDICTED,
                text if stated is not None else f"{text}; interval not calibrated",
                stated,
                not reasons,
            )
        else:
            layers = tuple(
                {metric: _share(values[metric], share[row], share_text) for metric, share in shares}
                for row in range(ends[number], ends[number + 1])
            )
            warnings = tuple(dict.fromkeys(map(str, batch.warnings[number])))
            out.append(Estimates(values=values, warnings=warnings, layers=layers))
    return out


def _share(whole: Estimate, value: float, text: str) -> Estimate:
    """A layer's share of the design's number; its interval is the design's, in proportion."""
    low, high = whole.low, whole.high
    if whole.value:
        low, high = value * low / whole.value, value * high / whole.value
    return Estimate(whole.metric, value, low, high, whole.source, text, whole.coverage, whole.in_domain)
