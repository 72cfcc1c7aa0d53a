"""Own designs predicted by a base calibration, at every level of knowledge of their weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import Query
from hwnas_hls_plugins.estimators.hls_model.batch import predict_batch
from hwnas_hls_plugins.estimators.hls_model.calibration import METRICS, Calibration
from hwnas_hls_plugins.estimators.hls_model.domain import unusual
from hwnas_hls_plugins.estimators.hls_model.fitting import log_residual, remaining
from hwnas_hls_plugins.estimators.hls_model.keys import Group
from hwnas_hls_plugins.estimators.hls_model.own_designs import OwnDesign, at_level
from hwnas_hls_plugins.estimators.hls_model.regimes import regimes, site_of

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """All designs with this knowledge of their weights, as arrays over the designs.

    Args:
        knowledge: 0 architecture only, 1 non-zeros, 2 weights.
        places: indices of these designs among all.
        queries, sites, bands: per design: the query with this knowledge, the finest factor group, the regime
            of its band.
        value: metric -> prediction of the base.
        truth: metric -> reported number, NaN if the report lacks it.
        base_residual: metric -> log residual of the base.
        reach: metric -> half widths below and above that each design adds to its band.
    """

    knowledge: int
    places: list[int]
    queries: list[Query]
    sites: list[Group]
    bands: list[str]
    value: Mapping[str, FloatArray]
    truth: Mapping[str, FloatArray]
    base_residual: Mapping[str, FloatArray]
    reach: Mapping[str, tuple[FloatArray, FloatArray]]

    def residual(self, metric: str, shift: FloatArray) -> FloatArray:
        """Log residuals under predictions changed by ``exp(shift)``."""
        return log_residual(metric, self.truth[metric], self.value[metric] * np.exp(shift))

    def left_over(self, metric: str, residual: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
        """Residuals of some rows, less the part that their intervals cover without a band."""
        reach = self.reach.get(metric)
        return remaining(residual, None if reach is None else (reach[0][rows], reach[1][rows]))


def level_of(designs: Sequence[OwnDesign], base: Calibration, knowledge: int) -> Level:
    """The designs with at least this knowledge of their weights, predicted with exactly this knowledge."""
    places, queries = [], []
    for place, design in enumerate(designs):
        query = at_level(design.query, knowledge)
        if query is not None:
            places.append(place)
            queries.append(query)
    if not queries:
        return Level(knowledge, [], [], [], [], {}, {}, {}, {})
    batch = predict_batch(queries, base)
    names = regimes(batch.table)
    odd = unusual(batch.table)
    truth = {
        metric: np.array([designs[place].truth.get(metric, math.nan) for place in places])
        for metric in METRICS
    }
    return Level(
        knowledge,
        places,
        queries,
        [site_of(query, regime) for query, regime in zip(queries, names, strict=True)],
        ["outside" if o else regime for o, regime in zip(odd, names, strict=True)],
        {metric: batch.value[metric] for metric in METRICS},
        truth,
        {metric: log_residual(metric, truth[metric], batch.value[metric]) for metric in METRICS},
        batch.reach,
    )


def best_levels(levels: Sequence[Level], count: int) -> list[tuple[Level, int]]:
    """For each design the level at which most is known of it, and its row there."""
    out: list[tuple[Level, int] | None] = [None] * count
    for level in levels:
        for row, place in enumerate(level.places):
            out[place] = (level, row)
    return [found for found in out if found is not None]
