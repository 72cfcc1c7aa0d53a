"""From queries to numbers with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.hls_model.calibration import (
    METRICS,
    OFFSETS,
    Calibration,
    half_widths,
    read_calibration,
)
from hwnas_hls_plugins.hls_model.capacity import target_of
from hwnas_hls_plugins.hls_model.domain import design_reasons, design_warnings, novelty, unusual
from hwnas_hls_plugins.hls_model.laws import Costs, evaluate
from hwnas_hls_plugins.hls_model.query import Query
from hwnas_hls_plugins.hls_model.regimes import (
    factor_group,
    knowledge_of,
    log_factors_of,
    regimes,
    site_of,
)
from hwnas_hls_plugins.hls_model.silicon import PART_CLASSES
from hwnas_hls_plugins.hls_model.table import KNOWLEDGE, DesignTable, tabulate

FloatArray = NDArray[np.float64]

#: LUTs that replace one DSP, per bit of input times bit of weight, where a part runs out of DSPs.
OVERFLOW_LUT_PER_BIT2 = 0.36
_SHARED_METRICS = ("lut", "ff", "dsp", "bram_18k")


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
    """What the model says of one design.

    Args:
        query: what was asked.
        metrics: ``latency_cycles latency_ns ii_cycles lut ff dsp bram_18k uram`` -> interval; empty
            where the query was blocked.
        in_domain: whether the design lies where the model was calibrated.
        reasons: why not.
        warnings: assumptions and lint.
        layers: shares of each layer, summing to the design (wrappers aside).
        knowledge: 0 architecture only, 1 non-zeros known, 2 weights known (the least of all layers).
        calibration: name of the calibration.
        origin: what the numbers rest on where that is not the calibration; empty otherwise.
    """

    query: Query
    metrics: dict[str, Interval]
    in_domain: bool
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    layers: tuple[LayerShare, ...]
    knowledge: int
    calibration: str
    origin: str = ""

    @property
    def rests_on(self) -> str:
        """Calibration by name, or the tool whose own numbers these are."""
        return self.origin or f"calibration {self.calibration}"

    @property
    def evidence(self) -> str:
        """In words a reviewer can follow: calibration, knowledge, domain."""
        text = f"hls-model, {self.rests_on}, {KNOWLEDGE[self.knowledge]}"
        return text if self.in_domain else f"{text}; outside its domain: {'; '.join(self.reasons)}"


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Predictions as arrays, one entry a design; blocked designs hold NaN.

    Args:
        value, low, high: metric -> array.
        coverage: metric -> list.
        layer: metric -> array over layers, scaled like the totals.
    """

    table: DesignTable
    value: dict[str, FloatArray]
    low: dict[str, FloatArray]
    high: dict[str, FloatArray]
    coverage: dict[str, list[float | None]]
    layer: dict[str, FloatArray]
    knowledge: NDArray[np.int64]
    reasons: list[list[str]]
    warnings: list[list[str]]


def predict_batch(queries: Sequence[Query], calibration: Calibration | None = None) -> Batch:
    """Predict many designs at once, as arrays."""
    calibration = calibration or read_calibration()
    table = tabulate(queries)
    costs = evaluate(table, calibration.coefficients)
    names = regimes(table)
    log_factors = log_factors_of(table, calibration, names)
    know = knowledge_of(table)
    distance = novelty(table, calibration, [factor_group(name) for name in names])
    reasons = design_reasons(table, calibration)
    sites = _sites(queries, names, calibration)
    names = ["outside" if outside else name for name, outside in zip(names, unusual(table), strict=True)]
    warnings = design_warnings(table, calibration)
    value = {metric: costs.design[metric] * np.exp(log_factors[metric]) for metric in METRICS}
    layer = {name: costs.layer[name] * np.exp(log_factors[name])[table.owner] for name in _SHARED_METRICS}
    layer["cycles"] = costs.layer["cycles"] + costs.layer["activation_cycles"]
    overflow(table, value, reasons)
    low: dict[str, FloatArray] = {}
    high: dict[str, FloatArray] = {}
    coverage: dict[str, list[float | None]] = {}
    cache: dict[tuple[str, str, int, float, str], int] = {}
    bands: list[tuple[list[tuple[float, float]], list[float | None]]] = []
    kinds = np.zeros(len(queries), np.int64)
    for number, (query, name, level, away, site) in enumerate(
        zip(queries, names, know.tolist(), distance.tolist(), sites, strict=True)
    ):
        key = (name, query.stage, level, away, site)
        kind = cache.get(key)
        if kind is None:
            kind = cache[key] = len(bands)
            found = [
                calibration.stage_band(name, query.stage, level, away == 0, metric, site)
                for metric in METRICS
            ]
            bands.append(
                (
                    [half_widths(band, metric, away) for band, metric in zip(found, METRICS, strict=True)],
                    [band.coverage for band in found],
                )
            )
        kinds[number] = kind
    for place, metric in enumerate(METRICS):
        sides = np.array([band[0][place] for band in bands] or [(0.0, 0.0)])[kinds]
        coverage[metric] = [bands[kind][1][place] for kind in kinds.tolist()]
        c = OFFSETS[metric]
        value[metric] = np.rint(value[metric])
        low[metric] = np.maximum(0.0, np.floor((value[metric] + c) * np.exp(-sides[:, 0]) - c + 1e-6))
        high[metric] = np.ceil((value[metric] + c) * np.exp(sides[:, 1]) - c - 1e-6)
    low["ii_cycles"] = np.maximum(1.0, low["ii_cycles"])
    value["uram"] = low["uram"] = high["uram"] = np.zeros(len(queries))
    coverage["uram"] = [None] * len(queries)
    clock = table.design["clock_ns"]
    for bound in (value, low, high):
        bound["latency_ns"] = bound["latency_cycles"] * clock
    coverage["latency_ns"] = coverage["latency_cycles"]
    blocked = np.array([bool(query.blockers) or not query.layers for query in queries], bool)
    if blocked.any():
        for bound in (value, low, high):
            for metric in bound:
                bound[metric] = np.where(blocked, np.nan, bound[metric])
    return Batch(table, value, low, high, coverage, layer, know, reasons, warnings)


def _sites(queries: Sequence[Query], names: Sequence[str], calibration: Calibration) -> list[str]:
    """Site of each design where the calibration has bands for single sites; else empty texts."""
    if not any(key.startswith("own|") for key in calibration.bands):
        return [""] * len(queries)
    return [site_of(query, name) for query, name in zip(queries, names, strict=True)]


def overflow(table: DesignTable, value: dict[str, FloatArray], reasons: list[list[str]]) -> None:
    """Say where a part runs out; after logic synthesis DSPs that are not there have become LUTs."""
    bits = table.total(table.layer["in_bits"] * table.layer["w_bits"]) / np.maximum(
        table.design["n_layers"], 1.0
    )
    for number, query in enumerate(table.queries):
        target = target_of(query.part)
        if target is None:
            continue
        excess = value["dsp"][number] - target.dsp
        if excess > 0 and query.stage != "csynth":
            value["lut"][number] += excess * bits[number] * OVERFLOW_LUT_PER_BIT2
            value["dsp"][number] = target.dsp
        for metric, held in (
            ("lut", target.lut),
            ("ff", target.ff),
            ("dsp", target.dsp),
            ("bram_18k", target.bram_18k),
        ):
            needed = value[metric][number] + (
                excess if metric == "dsp" and query.stage != "csynth" and excess > 0 else 0
            )
            if needed > held:
                reasons[number].append(f"{needed:,.0f} {metric} needed, {target.name} has {held:,}")


def predict(
    queries: Sequence[Query], calibration: Calibration | None = None, *, solve: bool = False
) -> list[Prediction]:
    """Predict designs, one :class:`Prediction` a query, in order.

    Args:
        queries: any number; they are evaluated together.
        calibration: ``None`` takes the one that ships.
        solve: ask da4ml, where it is installed, for implemented designs all of distributed arithmetic
            whose weights are known (about a second); the others take no longer. ``False`` keeps to the
            closed form.
    """
    calibration = calibration or read_calibration()
    if not queries:
        return []
    batch = predict_batch(queries, calibration)
    bounds = np.searchsorted(batch.table.owner, np.arange(len(queries) + 1))
    out = [
        _prediction(batch, number, int(bounds[number]), int(bounds[number + 1]), calibration.name)
        for number in range(len(queries))
    ]
    if solve:
        from hwnas_hls_plugins.hls_model.da_refinement import refined

        out = refined(out)
    return out


def _prediction(batch: Batch, number: int, first: int, last: int, name: str) -> Prediction:
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
                batch.coverage[metric][number],
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
                    int(batch.table.layer["legal_reuse"][row]),
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
    )


__all__ = [
    "PART_CLASSES",
    "Batch",
    "Costs",
    "Interval",
    "LayerShare",
    "Prediction",
    "predict",
    "predict_batch",
]
