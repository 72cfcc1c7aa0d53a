"""Many designs at once, as arrays: the laws, the scale factors and the intervals of a calibration."""

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
from hwnas_hls_plugins.hls_model.laws import evaluate
from hwnas_hls_plugins.hls_model.query import Query
from hwnas_hls_plugins.hls_model.regimes import (
    factor_group,
    knowledge_of,
    log_factors_of,
    regimes,
    site_of,
)
from hwnas_hls_plugins.hls_model.table import DesignTable, tabulate

FloatArray = NDArray[np.float64]

#: LUTs that replace one DSP, per bit of input times bit of weight, where a part runs out of DSPs.
OVERFLOW_LUT_PER_BIT2 = 0.36
_SHARED_METRICS = ("lut", "ff", "dsp", "bram_18k")


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
    sides, coverage = _sides(queries, names, know, distance, sites, calibration)
    low: dict[str, FloatArray] = {}
    high: dict[str, FloatArray] = {}
    for metric, (below, above) in sides.items():
        c = OFFSETS[metric]
        value[metric] = np.rint(value[metric])
        low[metric] = np.maximum(0.0, np.floor((value[metric] + c) * np.exp(-below) - c + 1e-6))
        high[metric] = np.ceil((value[metric] + c) * np.exp(above) - c - 1e-6)
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


def _sides(
    queries: Sequence[Query],
    names: Sequence[str],
    knowledge: NDArray[np.int64],
    distance: FloatArray,
    sites: Sequence[str],
    calibration: Calibration,
) -> tuple[dict[str, tuple[FloatArray, FloatArray]], dict[str, list[float | None]]]:
    """Half widths below and above, and coverage, of every metric of every design.

    Designs of one kind share theirs, so that each is looked up once.
    """
    cache: dict[tuple[str, str, int, float, str, bool], int] = {}
    bands: list[list[tuple[tuple[float, float], float | None]]] = []
    kinds = np.zeros(len(queries), np.int64)
    for number, (query, name, level, away, site) in enumerate(
        zip(queries, names, knowledge.tolist(), distance.tolist(), sites, strict=True)
    ):
        key = (name, query.stage, level, away, site, query.clock_known)
        kind = cache.get(key)
        if kind is None:
            kind = cache[key] = len(bands)
            found = (
                (metric, calibration.stage_band(name, query.stage, level, away == 0, metric, site))
                for metric in METRICS
            )
            bands.append(
                [
                    (half_widths(band, metric, away, query.clock_known), band.coverage)
                    for metric, band in found
                ]
            )
        kinds[number] = kind
    sides: dict[str, tuple[FloatArray, FloatArray]] = {}
    coverage: dict[str, list[float | None]] = {}
    for place, metric in enumerate(METRICS):
        both = np.array([band[place][0] for band in bands] or [(0.0, 0.0)])[kinds]
        sides[metric] = (both[:, 0], both[:, 1])
        coverage[metric] = [bands[kind][place][1] for kind in kinds.tolist()]
    return sides, coverage


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
