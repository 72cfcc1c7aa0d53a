"""Fit scale factors and intervals to real reports, families of designs weighted equally.

A *family* is one source of designs (a repository, a sweep). Its designs resemble each other, so that a
thousand of one family say less about the next design than five families of one each.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import Query
from hwnas_hls_plugins.estimators.hls_model.calibration import METRICS, OFFSETS, Band
from hwnas_hls_plugins.estimators.hls_model.keys import (
    FactorKey,
    Flow,
    Group,
    Regime,
    band_regimes,
    groups,
)
from hwnas_hls_plugins.estimators.hls_model.silicon import part_class, tool_of

FloatArray = NDArray[np.float64]

#: Quantile of a side's residuals that is its scale, and the least share of the other side's it may have.
SIDE_QUANTILE, SIDE_RATIO = 0.7, 0.25
#: Families below which 90 % is not stated: the quantile would be the single worst design.
FAMILIES_FOR_90 = 12
#: Half widths that no band goes below across families: the laws' structure was chosen with these families
#: in view, so that their held-out errors flatter it.
FLOORS = {"latency_cycles": 0.25, "ii_cycles": 0.0, "lut": 0.3, "ff": 0.6, "dsp": 0.1, "bram_18k": 0.35}
#: Families that the group above counts as: at four levels a lone family keeps 94 % of its FF residual and
#: 59 % of its LUT residual. The LUT law holds across tools; registers are placed by each in its own way.
SHRINKAGE = {"lut": 4.0, "ff": 1.0}
#: What C synthesis overstates, before any data: logarithms over C synthesis (LUTs under Latency over the
#: laws of logic synthesis, which hold it already), and how many families the figures count as. They stand on
#: reports that are not among the rows, and the two families that are pull apart; the finer groups of
#: implemented designs are held as closely.
STAGE_PRIOR: dict[Group, dict[str, float]] = {
    Group(Flow.IMPLEMENTED, "latency"): {"lut": 0.0, "ff": math.log(0.5)},
    Group(Flow.IMPLEMENTED, "resource-one"): {"lut": math.log(0.75), "ff": math.log(0.85)},
    Group(Flow.IMPLEMENTED, "resource-several"): {"lut": math.log(0.75), "ff": math.log(0.85)},
    Group(Flow.CSYNTH, "distributed"): {"lut": math.log(1.5), "ff": math.log(1.5)},
    Group(Flow.IMPLEMENTED, "distributed"): {"lut": math.log(1.05), "ff": math.log(0.8)},
}
PRIOR_FAMILIES = {"lut": 10.0, "ff": 3.0}


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Designs with their reports.

    Args:
        queries: the designs.
        families: source of each.
        truth: metric -> array, NaN where the report does not say.
    """

    queries: Sequence[Query]
    families: Sequence[str]
    truth: Mapping[str, FloatArray]


def log_residual(metric: str, truth: FloatArray, predicted: FloatArray) -> FloatArray:
    """``log((truth + c) / (predicted + c))``, the ``c`` of :data:`OFFSETS`."""
    c = OFFSETS[metric]
    out: FloatArray = np.log((truth + c) / (np.maximum(predicted, 0.0) + c))
    return out


def fit_factors(
    queries: Sequence[Query],
    families: Sequence[str],
    groups_of: Sequence[str],
    residuals: Mapping[str, FloatArray],
    usable: NDArray[np.bool_],
    shrinkage: Mapping[str, float] = SHRINKAGE,
) -> dict[FactorKey, dict[str, float]]:
    """Shrunken log factors by group, coarse groups first.

    Args:
        groups_of: factor group of each design (:func:`prediction.factor_group`).
        residuals: ``lut`` and ``ff`` -> log residual of the laws without any factor, NaN where unknown.
        usable: designs that may be used (in domain, not held out).
        shrinkage: metric -> families that the group above counts as.
    """
    keys = [
        groups(
            query.stage,
            group_of,
            tool_of(query.tool).family,
            part_class(query.part),
            tool_of(query.tool).version,
        )
        for query, group_of in zip(queries, groups_of, strict=True)
    ]
    factors: dict[FactorKey, dict[str, float]] = {key: dict(values) for key, values in STAGE_PRIOR.items()}
    for metric, values in residuals.items():
        left = values.copy()
        for number, key in enumerate(keys):
            left[number] -= factors.get(key[0], {}).get(metric, 0.0) if key[0] in STAGE_PRIOR else 0.0
        for depth in range(4):
            by_group: dict[Group, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            for row in np.flatnonzero(usable & np.isfinite(left)).tolist():
                by_group[keys[row][depth]][families[row]].append(float(left[row]))
            found: dict[Group, float] = {}
            for group, members in by_group.items():
                # The median of a family: one odd design does not move it.
                centres = [float(np.median(values)) for values in members.values()]
                known = (depth == 0 and group in STAGE_PRIOR) or group.flow is Flow.IMPLEMENTED
                prior = PRIOR_FAMILIES[metric] if known else shrinkage[metric]
                found[group] = float(np.sum(centres)) / (len(centres) + prior)
            for number, key in enumerate(keys):
                left[number] -= found.get(key[depth], 0.0)
            for group, value in found.items():
                entry = factors.setdefault(group, {})
                entry[metric] = entry.get(metric, 0.0) + value
    return factors


def family_quantile(scores: Iterable[float], families: Iterable[str], coverage: float) -> float | None:
    """Conformal quantile of scores in which every family weighs the same.

    One further family of infinite score stands for the design to come, as split conformal prediction
    demands; ``None`` where that makes the quantile infinite.
    """
    by_family: dict[str, list[float]] = defaultdict(list)
    for score, family in zip(scores, families, strict=True):
        by_family[family].append(score)
    count = len(by_family)
    pairs = sorted(
        (score, 1.0 / (len(values) * (count + 1))) for values in by_family.values() for score in values
    )
    total = 0.0
    for score, weight in pairs:
        total += weight
        if total >= coverage - 1e-12:
            return score
    return None


def fit_bands(
    queries: Sequence[Query],
    families: Sequence[str],
    shapes: Sequence[str],
    regime: Sequence[str],
    knowledge: Sequence[int],
    known: Sequence[bool],
    residuals: Mapping[str, FloatArray],
) -> dict[Regime, dict[str, Band]]:
    """Bands of every regime from held-out log residuals (NaN where there is no truth).

    Families weigh the same. Where a regime has one family only, a sweep, its shapes stand for families:
    the band then holds for new shapes with the same tool.
    """
    by_regime: dict[Regime, list[int]] = defaultdict(list)
    for number, query in enumerate(queries):
        for key in band_regimes(regime[number], query.stage, knowledge[number], known[number]):
            by_regime[key].append(number)
    out: dict[Regime, dict[str, Band]] = {}
    for key, rows in sorted(by_regime.items(), key=lambda item: str(item[0])):
        bands = {}
        for metric in METRICS:
            values = residuals[metric][rows]
            told = np.isfinite(values)
            if not told.any():
                continue
            names = [families[row] for row, tell in zip(rows, told, strict=True) if tell]
            key_is_sweep = len(set(names)) == 1
            if key_is_sweep:
                names = [shapes[row] for row, tell in zip(rows, told, strict=True) if tell]
            bands[metric] = _band(values[told], names, 0.0 if key_is_sweep else FLOORS[metric])
        if bands:
            out[key] = bands
    return out


def _band(residuals: FloatArray, names: Sequence[str], floor: float) -> Band:
    """Scales of both sides, and the quantile that stretches them over the families."""
    count = len(set(names))
    above, below = np.maximum(residuals, 0.0), np.maximum(-residuals, 0.0)
    sides = []
    for side in (above, below):
        scale = family_quantile(side.tolist(), names, SIDE_QUANTILE)
        sides.append(float(side.max()) if scale is None else scale)
    least = max(1e-6, floor / 2.0, SIDE_RATIO * max(sides))
    up, down = (max(side, least) for side in sides)
    scores = np.maximum(above / up, below / down).tolist()
    q90, q80 = family_quantile(scores, names, 0.9), family_quantile(scores, names, 0.8)
    if count < FAMILIES_FOR_90:
        q90 = None  # it would be the worst design of all
    stretch = q90 if q90 is not None else q80
    if stretch is None:
        return Band(None, None, count)
    stretch = max(stretch, 1e-6)
    # Widths below the floor are lifted to it, side by side.
    up, down = max(up, floor / stretch), max(down, floor / stretch)
    return Band(
        None if q90 is None else round(stretch, 6),
        None if q80 is None else round(max(q80, 1e-6), 6),
        count,
        round(up, 6),
        round(down, 6),
    )
