"""Attainment surfaces: the results that at least one, half or all of several runs attain.

A run attains a point if one of its designs is at least as good in both of two metrics. The k-of-n
surface bounds the region that at least k of n runs attain; the median surface is the typical result
of a run. Source: Grunert da Fonseca, Fonseca and Hall, "Inferential performance assessment of
stochastic optimisers and the attainment function", EMO 2001.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]


def staircase(points: Sequence[Point]) -> list[Point]:
    """The non-dominated points (lower is better in both numbers), in the order of the first number."""
    kept: list[Point] = []
    for first, second in sorted(set(points)):
        if not kept or second < kept[-1][1]:
            kept.append((first, second))
    return kept


def surface(runs: Sequence[Sequence[Point]], least: int) -> list[Point]:
    """The corners of the region that at least ``least`` of ``runs`` attain (lower is better in both numbers).

    Args:
        runs: the points of each run, in any order.
        least: from 1 (attained by any run) to the number of runs (attained by every run).
    """
    stairs = [staircase(points) for points in runs]
    heights = [math.inf] * len(stairs)
    at = [0] * len(stairs)
    corners: list[Point] = []
    for first in sorted({point[0] for stair in stairs for point in stair}):
        for run, stair in enumerate(stairs):
            while at[run] < len(stair) and stair[at[run]][0] <= first:
                heights[run] = stair[at[run]][1]
                at[run] += 1
        second = sorted(heights)[least - 1]
        if math.isfinite(second):
            corners.append((first, second))
    return staircase(corners)
