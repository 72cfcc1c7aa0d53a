"""The estimator ``hls-model``: the hardware model for candidates of a search."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hwnas_hls.errors import HwnasError, UserError
from hwnas_hls.hls4ml.query import DEFAULT_TOOL, Query, query_of
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.protocols.target import Targets
from hwnas_hls.values.estimate import CSYNTH_OF, Estimate, Estimates, Source
from hwnas_hls_plugins.estimators.hls_model.batch import Batch, predict_table
from hwnas_hls_plugins.estimators.hls_model.calibration import read_calibration
from hwnas_hls_plugins.estimators.hls_model.graphs import graph_estimates
from hwnas_hls_plugins.estimators.hls_model.prediction import SCHEDULED, evidence_of, prediction_of
from hwnas_hls_plugins.estimators.hls_model.table import tabulate

if TYPE_CHECKING:
    from hwnas_hls.network.architecture import Architecture
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.values.candidate import Candidate

_PREDICTED = ("latency_cycles", "latency_ns", "ii_cycles", "lut", "ff", "dsp", "bram_18k", "uram")
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
    version = "5"
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
            trained = {place for place, (_, design) in enumerate(networks.values()) if design is not None}
            found = chain_estimates(batch, reports, self.calibration.name, trained)
            for place, (number, (architecture, design)) in enumerate(networks.items()):
                out[number] = found[place]
                if not architecture.is_chain:
                    both = (
                        graph_estimates(
                            prediction_of(each, place, self.calibration.name),
                            architecture,
                            design,
                            tool_and_stage(each, place),
                        )
                        for each in (batch, reports)
                    )
                    out[number] = beside(*both)
        return [out[number] for number in range(len(candidates))]

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
    schedule = {name: reported.values[name] for name in SCHEDULED}
    own = {
        name: dataclasses.replace(reported.values[metric], metric=name) for metric, name in CSYNTH_OF.items()
    }
    layers = tuple(
        {**built, "latency_cycles": asked["latency_cycles"]}
        for built, asked in zip(implemented.layers, reported.layers, strict=True)
    )
    return dataclasses.replace(implemented, values={**implemented.values, **schedule, **own}, layers=layers)


class _Words(NamedTuple):
    """The evidence of one design's numbers at one stage, and whether the design is in the domain."""

    whole: str
    uncalibrated: str
    share: str
    in_domain: bool


class _Column(NamedTuple):
    """One number of all designs: its name, lists with one entry per design, and their evidence."""

    name: str
    value: list[float]
    low: list[float]
    high: list[float]
    coverage: list[float | None]
    words: list[_Words]

    @classmethod
    def of(cls, name: str, batch: Batch, metric: str, words: list[_Words]) -> _Column:
        coverage = [None if math.isnan(share) else share for share in batch.coverage[metric].tolist()]
        value, low, high = (bound[metric].tolist() for bound in (batch.value, batch.low, batch.high))
        return cls(name, value, low, high, coverage, words)

    def estimate(self, number: int) -> Estimate:
        """Of the design with this number."""
        words, coverage = self.words[number], self.coverage[number]
        return Estimate(
            self.name,
            self.value[number],
            self.low[number],
            self.high[number],
            Source.PREDICTED,
            words.uncalibrated if coverage is None else words.whole,
            coverage,
            words.in_domain,
        )


def chain_estimates(
    implemented: Batch, reported: Batch, calibration: str, split: Collection[int]
) -> list[Estimates]:
    """Estimates of chains of dense layers.

    Args:
        implemented, reported: the same designs after implementation, and as C synthesis reports them, which
            decides the schedule.
        calibration: name of the calibration.
        split: places of the designs whose numbers are also given by layer. A search asks for thousands of
            candidates and shows the layers of the trained designs only.
    """
    built, asked = _words(implemented, calibration), _words(reported, calibration)
    columns = [
        _Column.of(metric, reported, metric, asked)
        if metric in SCHEDULED
        else _Column.of(metric, implemented, metric, built)
        for metric in _PREDICTED
    ]
    columns += [_Column.of(name, reported, metric, asked) for metric, name in CSYNTH_OF.items()]
    shares = [
        (metric, implemented.layer[metric].tolist(), built) for metric in ("lut", "ff", "dsp", "bram_18k")
    ]
    shares.append(("latency_cycles", reported.layer["cycles"].tolist(), asked))
    table = implemented.table
    ends = np.searchsorted(table.owner, np.arange(table.count + 1)).tolist()
    out = []
    for number in range(table.count):
        infinite = next((column.name for column in columns if not math.isfinite(column.value[number])), None)
        if infinite is not None:
            out.append(Estimates(failure=f"hls-model: {infinite} is not finite"))
            continue
        values = {column.name: column.estimate(number) for column in columns}
        layers = tuple(
            {
                metric: _share(values[metric], share[row], words[number].share)
                for metric, share, words in shares
            }
            for row in range(ends[number], ends[number + 1] if number in split else ends[number])
        )
        warnings = tuple(dict.fromkeys(map(str, implemented.warnings[number])))
        out.append(Estimates(values=values, warnings=warnings, layers=layers))
    return out


def _words(batch: Batch, calibration: str) -> list[_Words]:
    out = []
    for number, knowledge in enumerate(batch.knowledge.tolist()):
        reasons = tuple(dict.fromkeys(batch.reasons[number]))
        evidence = evidence_of(f"calibration {calibration}", knowledge, reasons)
        whole = f"{evidence}; {tool_and_stage(batch, number)}"
        share = f"its share of the design's number: {evidence}"
        out.append(_Words(whole, f"{whole}; interval not calibrated", share, not reasons))
    return out


def tool_and_stage(batch: Batch, number: int) -> str:
    """Of a design's prediction, for its evidence."""
    each = batch.table.conditions[batch.table.condition[number]]
    return f"{each.tool} {each.stage}"


def _share(whole: Estimate, value: float, text: str) -> Estimate:
    """A layer's share of the design's number; its interval is the design's, in proportion."""
    low, high = whole.low, whole.high
    if whole.value:
        low, high = value * low / whole.value, value * high / whole.value
    return Estimate(whole.metric, value, low, high, whole.source, text, whole.coverage, whole.in_domain)
