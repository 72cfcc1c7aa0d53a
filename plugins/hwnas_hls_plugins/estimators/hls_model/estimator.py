"""The estimator ``hls-model``: the hardware model for candidates of a search."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.errors import HwnasError, UserError
from hwnas_hls.hls4ml.query import DEFAULT_TOOL, Query, query_of
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.protocols.target import Targets
from hwnas_hls.values.estimate import CSYNTH_OF, Estimate, Estimates, Source
from hwnas_hls_plugins.estimators.hls_model.batch import Batch, predict_table
from hwnas_hls_plugins.estimators.hls_model.calibration import read_calibration
from hwnas_hls_plugins.estimators.hls_model.graphs import graph_estimates
from hwnas_hls_plugins.estimators.hls_model.prediction import evidence_of, prediction_of
from hwnas_hls_plugins.estimators.hls_model.table import tabulate

if TYPE_CHECKING:
    from hwnas_hls.network.architecture import Architecture
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.values.candidate import Candidate

_PREDICTED = ("latency_cycles", "latency_ns", "ii_cycles", "lut", "ff", "dsp", "bram_18k", "uram")
_SCHEDULED = ("latency_cycles", "latency_ns", "ii_cycles")
PROVIDES = (*_PREDICTED, *CSYNTH_OF.values())
#: Stages whose resources are comparable: the laws have the same scale factors for both.
IMPLEMENTED = ("logic_synth", "post_route")


@dataclass(frozen=True, slots=True)
class HlsModelConfig:
    """Settings of the estimator ``hls-model``: the predicted report.

    Args:
        tool: HLS compiler and version that will build the design.
        stage: ``logic_synth`` or ``post_route``: LUT, FF and DSP are predicted for it. The figures of
            C synthesis are the separate metrics ``lut_csynth``, ``ff_csynth`` and ``dsp_csynth``.
        clock_uncertainty: share of the clock period kept back; 0 takes the tool's default.
        softmax: hls4ml's softmax implementation.
        calibration: file that ``hwnas-hls calibrate`` wrote; empty takes the built-in one.
    """

    tool: str = DEFAULT_TOOL
    stage: str = "logic_synth"
    clock_uncertainty: float = 0.0
    softmax: str = "stable"
    calibration: str = ""

    def __post_init__(self) -> None:
        if self.stage == "csynth":
            raise UserError(
                "in a search, lut, ff and dsp are resources after logic synthesis",
                where="estimator hls-model: stage",
                found=self.stage,
                remedy="use the metrics lut_csynth, ff_csynth and dsp_csynth for those of C synthesis",
            )
        if self.stage not in IMPLEMENTED:
            raise UserError(
                "unknown stage", where="estimator hls-model: stage", found=self.stage, choices=IMPLEMENTED
            )
        if not 0.0 <= self.clock_uncertainty < 1.0:
            raise UserError(
                "clock_uncertainty is a share of the period, from 0 to below 1",
                where="estimator hls-model: clock_uncertainty",
                found=self.clock_uncertainty,
            )


class HlsModelEstimator(Estimator):
    """Latency, II, and LUT, FF, DSP and BRAM after logic synthesis, by the calibrated laws of ``hls_model``.

    LUT, FF and DSP as C synthesis would report them are given beside these, under their own names.

    Weights are used as soon as a candidate is trained: they decide LUTs and DSPs of unrolled layers.
    """

    name = "hls-model"
    Config = HlsModelConfig
    config: HlsModelConfig
    provides = PROVIDES
    #: Of the laws; an instance adds the hash of its calibration, so that no cache outlives one.
    version = "4"
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
            table = tabulate(queries)
            batch = predict_table(table, self.calibration, targets)
            reports = predict_table(table.at_stage("csynth"), self.calibration, targets)
            of_networks = list(networks.values())
            implemented = self._of_stage(batch, of_networks, self.config.stage)
            reported = self._of_stage(reports, of_networks, "csynth")
            for number, *both in zip(networks, implemented, reported, strict=True):
                out[number] = beside(*both)
        return [out[number] for number in range(len(candidates))]

    def _of_stage(
        self, batch: Batch, networks: Sequence[tuple[Architecture, Design | None]], stage: str
    ) -> list[Estimates]:
        suffix = f"{self.config.tool} {stage}"
        out = chain_estimates(batch, f"calibration {self.calibration.name}", suffix)
        for place, (architecture, design) in enumerate(networks):
            if not architecture.is_chain:
                prediction = prediction_of(batch, place, self.calibration.name)
                out[place] = graph_estimates(prediction, architecture, design, suffix)
        return out

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


def beside(implemented: Estimates, reported: Estimates) -> Estimates:
    """Estimates after logic synthesis, with what only C synthesis decides.

    Cycles and initiation interval are those of its schedule. Its LUT, FF and DSP have their own names.
    """
    if implemented.failure or reported.failure:
        return implemented
    schedule = {name: reported.values[name] for name in _SCHEDULED}
    own = {
        name: dataclasses.replace(reported.values[metric], metric=name) for metric, name in CSYNTH_OF.items()
    }
    layers = tuple(
        {**built, "latency_cycles": asked["latency_cycles"]}
        for built, asked in zip(implemented.layers, reported.layers, strict=True)
    )
    return dataclasses.replace(implemented, values={**implemented.values, **schedule, **own}, layers=layers)


def chain_estimates(batch: Batch, rests_on: str, suffix: str) -> list[Estimates]:
    """Estimates of chains of dense layers.

    Args:
        rests_on, suffix: of the evidence: calibration; tool and stage.
    """
    table = batch.table
    ends = np.searchsorted(table.owner, np.arange(table.count + 1)).tolist()
    numbers = [
        (metric, *(bound[metric].tolist() for bound in (batch.value, batch.low, batch.high, batch.coverage)))
        for metric in _PREDICTED
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
