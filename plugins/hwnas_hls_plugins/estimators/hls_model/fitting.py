"""Fits scale factors and intervals to reports, with equal weights for families of designs.

A *family* is one source of designs (a repository, a sweep). Its designs resemble each other: a thousand of
one family say less about the next design than five families of one each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import Query
from hwnas_hls_plugins.estimators.hls_model.calibration import METRICS, OF_WEIGHTS, OFFSETS, Band
from hwnas_hls_plugins.estimators.hls_model.keys import (
    Regime,
    band_regimes,
)

FloatArray = NDArray[np.float64]

#: Quantile of a side's residuals that is its scale, and the least share of the other side's it may have.
#: Unknown weights cover most residuals of :data:`OF_WEIGHTS`: at 0.7, nothing is left that could tell the
#: sides apart.
SIDE_QUANTILE, SIDE_QUANTILE_OF_WEIGHTS, SIDE_RATIO = 0.7, 0.8, 0.25
#: With fewer families, 90 % is not stated: the quantile would be the single worst design.
FAMILIES_FOR_90 = 12
#: Smallest half widths of a band across families: the form of the laws was chosen with these families in
#: view, and their held-out errors are therefore too small.
FLOORS = {"latency_cycles": 0.12, "ii_cycles": 0.1, "lut": 0.15, "ff": 0.45, "dsp": 0.1, "bram_18k": 0.35}


def log_residual(metric: str, truth: FloatArray, predicted: FloatArray) -> FloatArray:
    """``log((truth + c) / (predicted + c))``, the ``c`` of :data:`OFFSETS`."""
    c = OFFSETS[metric]
    out: FloatArray = np.log((truth + c) / (np.maximum(predicted, 0.0) + c))
    return out


def remaining(residual: FloatArray, reach: tuple[FloatArray, FloatArray] | None) -> FloatArray:
    """Log residuals, less the part that an interval covers without its band.

    A band of half width ``h`` and an addition ``a`` reach ``hypot(h, a)``, so that they hold a residual
    ``r`` where ``h`` holds ``sqrt(r**2 - a**2)``.

    Args:
        reach: ``a`` of each design, below and above; ``None`` for nothing.
    """
    if reach is None:
        return residual
    below, above = reach
    width = np.where(residual > 0, above, below)
    out: FloatArray = np.sign(residual) * np.sqrt(np.maximum(residual**2 - width**2, 0.0))
    return out


def family_quantile(scores: Iterable[float], families: Iterable[str], coverage: float) -> float | None:
    """Conformal quantile of scores in which every family weighs the same.

    One further family of infinite score represents the next design, as split conformal prediction
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
    families_for_90: float = FAMILIES_FOR_90,
) -> dict[Regime, dict[str, Band]]:
    """Bands of every regime from held-out log residuals (NaN where there is no truth).

    Families weigh the same. Where a regime has one family only, a sweep, its shapes stand for families:
    the band then holds for new shapes with the same tool.

    Args:
        families_for_90: families from which a band covers 90 % instead of 80 %; infinite for never.
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
            finite = np.isfinite(values)
            if not finite.any():
                continue
            names = [families[row] for row, is_finite in zip(rows, finite, strict=True) if is_finite]
            key_is_sweep = len(set(names)) == 1
            if key_is_sweep:
                names = [shapes[row] for row, is_finite in zip(rows, finite, strict=True) if is_finite]
            side = SIDE_QUANTILE_OF_WEIGHTS if metric in OF_WEIGHTS else SIDE_QUANTILE
            bands[metric] = _band(
                values[finite], names, 0.0 if key_is_sweep else FLOORS[metric], side, families_for_90
            )
        if bands:
            out[key] = bands
    return out


def _band(
    residuals: FloatArray, names: Sequence[str], floor: float, side_quantile: float, families_for_90: float
) -> Band:
    """Scales of both sides, and the quantile that stretches them over the families."""
    count = len(set(names))
    above, below = np.maximum(residuals, 0.0), np.maximum(-residuals, 0.0)
    sides = []
    for side in (above, below):
        scale = family_quantile(side.tolist(), names, side_quantile)
        sides.append(float(side.max()) if scale is None else scale)
    least = max(1e-6, floor / 2.0, SIDE_RATIO * max(sides))
    up, down = (max(side, least) for side in sides)
    scores = np.maximum(above / up, below / down).tolist()
    q90, q80 = family_quantile(scores, names, 0.9), family_quantile(scores, names, 0.8)
    if count < families_for_90:
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
