"""Predictions: numbers with intervals and evidence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas_hls.hls4ml.notes import Note
from hwnas_hls.hls4ml.query import Query
from hwnas_hls.protocols.target import Target
from hwnas_hls.values.estimate import CSYNTH_OF
from hwnas_hls_plugins.estimators.hls_model.batch import Batch
from hwnas_hls_plugins.estimators.hls_model.table import KNOWLEDGE

#: Metrics that C synthesis decides, also for implemented designs.
SCHEDULED = ("latency_cycles", "latency_ns", "ii_cycles")


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its interval; ``coverage`` is ``None`` where nothing was calibrated."""

    value: float
    low: float
    high: float
    coverage: float | None


@dataclass(frozen=True, slots=True)
class LayerShare:
    """What one layer, its activation included, adds to a design."""

    name: str
    lut: float
    ff: float
    dsp: float
    bram_18k: float
    cycles: float
    reuse_factor: int
    strategy: str


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The prediction for one design.

    Args:
        query: what was asked.
        metrics: ``latency_cycles latency_ns ii_cycles lut ff dsp bram_18k uram`` -> interval, resources of
            the query's stage; after :meth:`beside_report` and :meth:`as_report` also ``lut_csynth ff_csynth
            dsp_csynth``. Empty where the query was blocked.
        in_domain: whether the design lies where the model was calibrated.
        reasons: why not.
        warnings: assumptions and lint.
        layers: shares of each layer, summing to the design (wrappers aside).
        knowledge: 0 architecture only, 1 non-zeros known, 2 weights known (the least of all layers).
        calibration: name of the calibration.
        target: figures of the part; ``None`` where no target file has them.
        origin: what the numbers rest on where that is not the calibration; empty otherwise.
        earliest_cycles: the best case, a report's *min* column; ``latency_cycles`` of ``metrics`` is the
            worst. ``None`` where the query was blocked.
    """

    query: Query
    metrics: dict[str, Interval]
    in_domain: bool
    reasons: tuple[Note, ...]
    warnings: tuple[Note, ...]
    layers: tuple[LayerShare, ...]
    knowledge: int
    calibration: str
    target: Target | None = None
    origin: str = ""
    earliest_cycles: float | None = None

    @property
    def rests_on(self) -> str:
        """Calibration by name, or the tool whose own numbers these are."""
        return self.origin or f"calibration {self.calibration}"

    def as_report(self) -> Prediction:
        """A prediction of C synthesis, with LUT, FF and DSP under the names that they have in a search."""
        metrics = {CSYNTH_OF.get(name, name): interval for name, interval in self.metrics.items()}
        return dataclasses.replace(self, metrics=metrics)

    def beside_report(self, report: Prediction) -> Prediction:
        """An implemented design with what C synthesis decides: the schedule, and its own LUT, FF and DSP.

        Args:
            report: the prediction of C synthesis for the same design.
        """
        if not self.metrics or not report.metrics:
            return self
        theirs = report.as_report().metrics
        metrics = self.metrics | {name: theirs[name] for name in CSYNTH_OF.values()}
        layers, earliest = self.layers, self.earliest_cycles
        # da4ml's RTL is not scheduled by C synthesis.
        if not self.origin:
            metrics |= {name: theirs[name] for name in SCHEDULED}
            layers = tuple(
                dataclasses.replace(built, cycles=asked.cycles)
                for built, asked in zip(layers, report.layers, strict=True)
            )
            earliest = report.earliest_cycles
        return dataclasses.replace(self, metrics=metrics, layers=layers, earliest_cycles=earliest)

    @property
    def evidence(self) -> str:
        """In words a reviewer can follow: calibration, knowledge, domain."""
        return evidence_of(self.rests_on, self.knowledge, self.reasons)


def evidence_of(rests_on: str, knowledge: int, reasons: Sequence[Note]) -> str:
    """What a prediction rests on, in words; ``reasons``: why it lies outside the domain, if it does."""
    text = f"hls-model, {rests_on}, {KNOWLEDGE[knowledge]}"
    return f"{text}; outside its domain: {'; '.join(map(str, reasons))}" if reasons else text


def prediction_of(batch: Batch, number: int, name: str) -> Prediction:
    """One design of a batch of queries; ``name`` is the calibration's."""
    first, last = np.searchsorted(batch.table.owner, (number, number + 1)).tolist()
    query = batch.table.queries[number]
    metrics: dict[str, Interval] = {}
    shares: list[LayerShare] = []
    reasons = list(query.blockers) + batch.reasons[number]
    if not query.blockers and query.layers:
        for metric, values in batch.value.items():
            metrics[metric] = Interval(
                float(values[number]),
                float(batch.low[metric][number]),
                float(batch.high[metric][number]),
                None if math.isnan(batch.coverage[metric][number]) else float(batch.coverage[metric][number]),
            )
        for row in range(first, last):
            layer = query.layers[row - first]
            shares.append(
                LayerShare(
                    f"{layer.n_in} x {layer.n_out} {layer.activation}",
                    float(batch.layer["lut"][row]),
                    float(batch.layer["ff"][row]),
                    float(batch.layer["dsp"][row]),
                    float(batch.layer["bram_18k"][row]),
                    float(batch.layer["cycles"][row]),
                    int(batch.table.layer.legal_reuse[row]),
                    layer.strategy,
                )
            )
    return Prediction(
        query=query,
        metrics=metrics,
        in_domain=not reasons,
        reasons=tuple(dict.fromkeys(reasons)),
        warnings=tuple(dict.fromkeys(batch.warnings[number])),
        layers=tuple(shares),
        knowledge=int(batch.knowledge[number]),
        calibration=name,
        target=batch.targets[batch.table.condition[number]],
        earliest_cycles=float(batch.earliest[number]) if metrics else None,
    )
