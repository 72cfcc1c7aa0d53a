"""Predictions of many designs as arrays: laws, scale factors and intervals of a calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import Query
from hwnas_hls.protocols.target import Target, Targets, shipped_targets
from hwnas_hls_plugins.estimators.hls_model.calibration import (
    METRICS,
    OF_WEIGHTS,
    OFFSETS,
    Calibration,
    half_widths,
    read_calibration,
)
from hwnas_hls_plugins.estimators.hls_model.domain import (
    UNMEASURED,
    Notes,
    design_reasons,
    design_warnings,
    novelty,
    unusual,
)
from hwnas_hls_plugins.estimators.hls_model.keys import SiteRegime
from hwnas_hls_plugins.estimators.hls_model.prior import HABITS, WeightPrior, prior_width
from hwnas_hls_plugins.estimators.hls_model.regimes import (
    costs_of,
    knowledge_of,
    log_factors_of,
    regime_codes,
    site_kinds,
    site_of,
)
from hwnas_hls_plugins.estimators.hls_model.resource import (
    LOOP_INTERVAL,
    fewer_copies_bram,
    slow_loops,
    undecided_brams,
    undecided_dsps,
)
from hwnas_hls_plugins.estimators.hls_model.table import KNOWLEDGE, RESOURCE, DesignTable, tabulate
from hwnas_hls_plugins.estimators.hls_model.unrolled import small_dsps

FloatArray = NDArray[np.float64]

#: LUTs that replace one DSP, per bit of input times bit of weight, where a part runs out of DSPs.
REPLACED_LUT_PER_BIT2 = 0.36
_SHARED_METRICS = ("lut", "ff", "dsp", "bram_18k")
#: If no part of a design can use a DSP or a block RAM, reports state none: 203 of 203 designs without DSPs
#: (three sources) and 100 of 100 without block RAM (five) in the rows of the calibration.
_NONE_IS_NONE = ("dsp", "bram_18k")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Predictions as arrays, one entry per design; designs without a prediction have NaN.

    Args:
        table: the designs.
        targets: figures of the part, one entry per condition of the table; ``None`` where no target file has
            them.
        value, low, high: metric -> array; without intervals only ``value`` is filled.
        coverage: metric -> array, NaN where an interval is not calibrated.
        layer: metric -> array over layers, scaled like the totals.
        earliest: cycles of the best case, the *min* column of a report; ``latency_cycles`` is the worst.
        knowledge: places in :data:`~hwnas_hls_plugins.estimators.hls_model.table.KNOWLEDGE`.
        reasons, warnings: of each design.
        reach: what :func:`reaches` adds to each interval; empty without intervals.
    """

    table: DesignTable
    targets: Sequence[Target | None]
    value: dict[str, FloatArray]
    low: dict[str, FloatArray]
    high: dict[str, FloatArray]
    coverage: dict[str, FloatArray]
    layer: dict[str, FloatArray]
    earliest: FloatArray
    knowledge: NDArray[np.int64]
    reasons: Notes
    warnings: Notes
    reach: Mapping[str, tuple[FloatArray, FloatArray]]


def predict_batch(
    queries: Sequence[Query], calibration: Calibration | None = None, targets: Targets | None = None
) -> Batch:
    """Predict many designs as arrays."""
    return predict_table(tabulate(queries), calibration, targets)


def predict_table(
    table: DesignTable,
    calibration: Calibration | None = None,
    targets: Targets | None = None,
    *,
    intervals: bool = True,
) -> Batch:
    """Predict the designs of a table.

    Args:
        calibration: ``None`` takes the one that ships.
        targets: resources of the parts; ``None`` takes the shipped target files.
        intervals: ``False`` omits them, which saves a tenth of the time.
    """
    calibration = calibration or read_calibration()
    codes = regime_codes(table)
    costs = costs_of(table, calibration, codes)
    value = {metric: costs.design[metric] for metric in METRICS}
    layer = {name: costs.layer[name] for name in _SHARED_METRICS}
    for metric, log_factors in log_factors_of(table, calibration, codes).items():
        factors = np.exp(log_factors)
        value[metric] = value[metric] * factors
        layer[metric] = layer[metric] * factors[table.owner]
    layer["cycles"] = costs.layer["cycles"] + costs.layer["activation_cycles"]
    known = targets or shipped_targets()
    parts = [known.of_part(each.part) for each in table.conditions]
    built = replaced_dsps(table, parts, value)
    full = shortages(table, parts, value | {"lut": built["lut"]})
    value |= built
    knowledge = knowledge_of(table)
    reasons = design_reasons(table, calibration, codes, full)
    reach: Mapping[str, tuple[FloatArray, FloatArray]] = {}
    low: dict[str, FloatArray] = {}
    high: dict[str, FloatArray] = {}
    coverage: dict[str, FloatArray] = {}
    if intervals:
        odd = unusual(table)
        reach = reaches(table, codes, knowledge, costs.design)
        sides, coverage = _sides(table, codes, knowledge, calibration, reach)
        for metric, (below, above) in sides.items():
            c = OFFSETS[metric]
            middle = np.rint(value[metric])
            raw = middle + c
            # The whole numbers inside: rounded outwards, eight cycles would cover 92 % where 80 % is stated.
            least = raw - fewer_copies_bram(table) if metric == "bram_18k" else raw
            low[metric] = np.clip(np.ceil(least * below - c - 1e-6), 0.0, middle)
            high[metric] = np.maximum(middle, np.floor(raw * above - c + 1e-6))
        # No tool goes below the interval that a pragma requests.
        low["ii_cycles"] = np.maximum(table.design.pipeline_ii, low["ii_cycles"])
        slow = slow_loops(table)
        for metric in ("latency_cycles", "ii_cycles"):
            high[metric] = np.where(slow, high[metric] * LOOP_INTERVAL, high[metric])
            coverage[metric] = np.where(slow, np.nan, coverage[metric])
        # Compilers may put narrow products into DSPs or not; then the lower end is 0.
        either = small_dsps(table) | undecided_dsps(table)
        doubtful = table.largest(either & (table.layer.to_dsp == 0)) > 0
        low["dsp"] = np.where(doubtful, 0.0, low["dsp"])
        low["bram_18k"] = np.where(table.largest(undecided_brams(table)) > 0, 0.0, low["bram_18k"])
        for metric in _NONE_IS_NONE:
            # Where the laws do not describe a design, they may be wrong about none, too.
            most = np.where(odd, np.maximum(high[metric], 1.0), 0.0)
            high[metric] = np.where(value[metric] == 0.0, most, high[metric])
        # A coverage is a statement about designs of the measured kinds.
        outside = reasons.without_after()
        coverage = {metric: np.where(outside, np.nan, stated) for metric, stated in coverage.items()}
        coverage["uram"] = np.full(table.count, np.nan)
        coverage["latency_ns"] = coverage["latency_cycles"]
    for metric in METRICS:
        value[metric] = np.rint(value[metric])
    bounds = (value, low, high) if intervals else (value,)
    clock = table.design.clock_ns
    for bound in bounds:
        bound["uram"] = np.zeros(table.count)
        bound["latency_ns"] = bound["latency_cycles"] * clock
    blocked = np.array([bool(query.blockers) or not query.layers for query in table.queries], bool)
    if blocked.any():
        for bound in bounds:
            for metric in bound:
                bound[metric] = np.where(blocked, np.nan, bound[metric])
    warnings = design_warnings(table, calibration, codes)
    earliest = np.where(blocked, np.nan, costs.design["latency_cycles_min"])
    return Batch(
        table, parts, value, low, high, coverage, layer, earliest, knowledge, reasons, warnings, reach
    )


def _sides(
    table: DesignTable,
    codes: NDArray[np.int64],
    knowledge: NDArray[np.int64],
    calibration: Calibration,
    reach: Mapping[str, tuple[FloatArray, FloatArray]],
) -> tuple[dict[str, tuple[FloatArray, FloatArray]], dict[str, FloatArray]]:
    """Factors of both ends of the interval, and coverage, of every metric of every design.

    The function looks up the band of each kind of design once.

    Args:
        reach: of :func:`reaches`.
    """
    distances, distance = np.unique(novelty(table, calibration, codes), return_inverse=True)
    sites, site = site_kinds(table, codes)
    key = ((site * 2 + unusual(table)) * len(KNOWLEDGE) + knowledge) * distances.size + distance
    keys, kinds = np.unique(key, return_inverse=True)
    own = any(isinstance(key, SiteRegime) for key in calibration.bands)
    found = np.empty((len(METRICS), 3, keys.size))
    for number, code in enumerate(keys.tolist()):
        code, place = divmod(code, distances.size)
        code, level = divmod(code, len(KNOWLEDGE))
        code, outside = divmod(code, 2)
        away, (each, regime) = float(distances[place]), sites[code]
        at = site_of(each, regime) if own else None
        name = "outside" if outside else regime
        for row, metric in enumerate(METRICS):
            band = calibration.stage_band(name, each.stage, level, away == 0, metric, at)
            # Widths of what was never measured so are guesses, which cover what they happen to.
            stated = np.nan if band.coverage is None or away >= UNMEASURED else band.coverage
            ends = half_widths(band, metric, away, each.clock_known)
            found[row, :, number] = (*ends, stated)
    coverage = {metric: found[row, 2][kinds] for row, metric in enumerate(METRICS)}
    sides = {}
    for row, metric in enumerate(METRICS):
        below, above = found[row, 0], found[row, 1]
        if metric in reach:
            # The two spreads are independent and add in quadrature.
            less, more = reach[metric]
            sides[metric] = np.exp(-np.hypot(below[kinds], less)), np.exp(np.hypot(above[kinds], more))
        else:
            sides[metric] = np.exp(-below)[kinds], np.exp(above)[kinds]
    return sides, coverage


def reaches(
    table: DesignTable,
    codes: NDArray[np.int64],
    knowledge: NDArray[np.int64],
    costs: Mapping[str, FloatArray],
    prior: WeightPrior | None = None,
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Half widths (natural logarithm) below and above that each design adds to the band of its kind.

    They come from unknown weights and, for registers, from pipeline cuts that slightly different delays
    would add or save.

    Args:
        costs: of the designs, by the laws.
        prior: of unknown weights; ``None`` takes the one that ships.

    Returns:
        metric -> two arrays (designs,).
    """
    less, more = prior_widths(table, codes, knowledge, prior)
    out = dict.fromkeys(OF_WEIGHTS, (less, more))
    few, ff, many = costs["ff"] - costs["ff_less"], costs["ff"], costs["ff"] + costs["ff_more"]
    few, ff, many = (np.log(values + OFFSETS["ff"]) for values in (few, ff, many))
    out["ff"] = np.hypot(less, ff - few), np.hypot(more, many - ff)
    return out


def prior_widths(
    table: DesignTable,
    codes: NDArray[np.int64],
    knowledge: NDArray[np.int64],
    prior: WeightPrior | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Half widths (natural logarithm) below and above that unknown weights add under Latency, (designs,)."""
    habit = table.largest(table.layer.habit).astype(np.int64)
    levels = range(len(KNOWLEDGE))
    known = np.array([[prior_width(row, level, prior) for level in levels] for row in range(len(HABITS))])
    sides = np.where((codes < 2)[:, None], known[habit, knowledge], 0.0)
    return sides[:, 0], sides[:, 1]


def replaced_dsps(
    table: DesignTable, targets: Sequence[Target | None], value: dict[str, FloatArray]
) -> dict[str, FloatArray]:
    """LUTs and DSPs after logic synthesis, which builds constant products from LUTs where DSPs run out.

    For a design under Latency that needs more DSPs than the part has, Vivado reported all DSPs of the part,
    and LUTs for the other products (one report). Under Resource the blocks are instantiated: synthesis out of
    context reports more DSPs than the part has (two reports).

    Args:
        targets: of the table's conditions.
        value: metric -> array (designs,).
    """
    held = np.array([np.inf if target is None else target.dsp for target in targets])[table.condition]
    layers = table.layer
    shared = table.largest((layers.strategy == RESOURCE) & (layers.legal_reuse > 1)) > 0
    replaced = (table.design.stage > 0) & (value["dsp"] > held) & ~shared
    bits = table.total(layers.in_bits * layers.w_bits) / np.maximum(table.design.n_layers, 1.0)
    excess = np.where(replaced, value["dsp"] - np.where(replaced, held, 0.0), 0.0)
    more = value["lut"] + excess * bits * REPLACED_LUT_PER_BIT2
    return {
        "lut": np.where(replaced, more, value["lut"]),
        "dsp": np.where(replaced, held, value["dsp"]),
    }


def shortages(
    table: DesignTable, targets: Sequence[Target | None], value: dict[str, FloatArray]
) -> dict[int, list[Note]]:
    """The resources of which designs need more than their parts have.

    Args:
        targets: of the table's conditions.
        value: metric -> array (designs,).

    Returns:
        design -> one note per resource.
    """
    out: dict[int, list[Note]] = {}
    for metric in _SHARED_METRICS:
        held = np.array([np.inf if target is None else getattr(target, metric) for target in targets])
        for number in np.flatnonzero(value[metric] > held[table.condition]).tolist():
            target = targets[table.condition[number]]
            if target is not None:
                amount, most = value[metric][number], getattr(target, metric)
                text = f"{amount:,.0f} {metric} needed, {target.name} has {most:,}"
                out.setdefault(number, []).append(Note(NoteKind.FULL, text, parts=(metric,)))
    return out
