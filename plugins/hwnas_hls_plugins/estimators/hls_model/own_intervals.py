"""Intervals of one site from its held-out designs, or the general ones if there are too few."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import Query
from hwnas_hls_plugins.estimators.hls_model.calibration import METRICS, Band, Calibration
from hwnas_hls_plugins.estimators.hls_model.fitting import FAMILIES_FOR_90, fit_bands
from hwnas_hls_plugins.estimators.hls_model.keys import Flow, Group, Regime, SiteRegime

FloatArray = NDArray[np.float64]

#: With fewer networks, a site gets no interval from its own residuals.
NETWORKS_FOR_BAND = 5
#: A coverage is no longer stated if the observed number of designs outside is less likely than this ...
CHANCE = 0.05
#: ... or if one design lies this many half widths away.
FAR = 2.0


def own_bands(
    site: Group,
    knowledge: int,
    residuals: Mapping[str, FloatArray],
    networks: Sequence[str],
    kinds: Sequence[tuple[str, str]],
    base: Calibration,
) -> tuple[dict[SiteRegime, dict[str, Band]], dict[str, float | None], tuple[str, ...]]:
    """Bands of a site from held-out residuals.

    From :data:`NETWORKS_FOR_BAND` networks on, these are their conformal quantiles. With fewer, the general
    band is widened until it contains all of them; if so many designs outside it are unlikely, its coverage is
    no longer stated.

    Args:
        site: finest factor group.
        knowledge: level at which the designs were predicted.
        residuals: metric -> log residuals, one per design, NaN if its report lacks the metric.
        networks: of the designs; all designs of one network together have the weight of one.
        kinds: regime and stage of each design.
        base: its bands are kept where nothing is added.

    Returns:
        bands by their keys; metric -> stated coverage; metrics with bands of their own.
    """
    bands: dict[SiteRegime, dict[str, Band]] = {}
    stated: dict[str, list[float | None]] = {}
    own: set[str] = set()
    for regime, stage in sorted(set(kinds)):
        members = [row for row, kind in enumerate(kinds) if kind == (regime, stage)]
        names = [networks[row] for row in members]
        chosen = {metric: values[members] for metric, values in residuals.items()}
        fitted = _fitted(chosen, names, regime, stage, knowledge)
        found: dict[str, Band] = {}
        for metric in METRICS:
            values = {name: chosen[metric][[n == name for n in names]] for name in names}
            values = {name: known[np.isfinite(known)] for name, known in values.items()}
            values = {name: known for name, known in values.items() if known.size}
            if not values:
                continue
            general = base.stage_band(regime, stage, knowledge, True, metric, site)
            if len(values) >= NETWORKS_FOR_BAND and metric in fitted:
                found[metric] = fitted[metric]
                own.add(metric)
            elif any(not general.holds(float(value)) for known in values.values() for value in known):
                found[metric] = _widened(general, list(values.values()))
            stated.setdefault(metric, []).append(found.get(metric, general).coverage)
        if found:
            bands[SiteRegime(site, stage, regime, knowledge)] = found
    coverage = {
        metric: None if None in values else min(value for value in values if value is not None)
        for metric, values in stated.items()
    }
    return bands, coverage, tuple(metric for metric in METRICS if metric in own)


def _fitted(
    residuals: Mapping[str, FloatArray], names: Sequence[str], regime: str, stage: str, knowledge: int
) -> Mapping[str, Band]:
    # One family, whose networks count as families: the band holds for the next network of this site.
    count = len(names)
    queries = [Query((), stage=stage)] * count
    found = fit_bands(
        queries, ["own"] * count, names, [regime] * count, [knowledge] * count, [True] * count, residuals
    )
    key = Regime(Flow.of(stage), regime, knowledge, True)
    out = {}
    for metric, band in found.get(key, {}).items():
        # A handful of networks cannot tell that one side is shorter: it may only not have been met yet.
        side = max(band.up, band.down)
        few = band.families < FAMILIES_FOR_90
        out[metric] = Band(band.q90, band.q80, band.families, side, side) if few else band
    return out


def _widened(general: Band, networks: Sequence[FloatArray]) -> Band:
    """The general band with sides that reach all residuals."""
    values = np.concatenate(networks)
    up = max(general.stretch * general.up, float(values.max()))
    down = max(general.stretch * general.down, float(-values.min()))
    count = len(networks)
    outside = sum(any(not general.holds(float(value)) for value in known) for known in networks)
    coverage = general.coverage
    if up > FAR * general.stretch * general.up or down > FAR * general.stretch * general.down:
        coverage = None
    if coverage is None or _at_least(outside, count, 1.0 - coverage) < CHANCE:
        stretch = Band(None, None, count).stretch
        return Band(None, None, count, round(up / stretch, 6), round(down / stretch, 6))
    q90 = None if general.q90 is None else 1.0
    q80 = None if general.q80 is None else 1.0
    return Band(q90, q80, count, round(up, 6), round(down, 6))


def _at_least(hits: int, count: int, chance: float) -> float:
    """Probability of ``hits`` or more of ``count`` independent events."""
    return math.fsum(
        math.comb(count, k) * chance**k * (1.0 - chance) ** (count - k) for k in range(hits, count + 1)
    )
