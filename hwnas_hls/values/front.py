"""Pareto fronts and hypervolume; every loss is minimised."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Losses = Sequence[Sequence[float]] | NDArray[np.float64]


def non_dominated(losses: Losses) -> list[int]:
    """Indices of the non-dominated points, in their given order.

    Of points with equal losses, the first is kept.

    Args:
        losses: (points, objectives).
    """
    points = np.asarray(losses, np.float64)
    if len(points) == 0:
        return []
    # In lexicographic order, only an earlier point can dominate a point.
    order = np.lexsort(points.T[::-1])
    if points.shape[1] <= 3:
        return sorted(_staircase(points, order))
    kept: list[int] = []
    for index in order:
        if not kept or not np.any(np.all(points[kept] <= points[index], axis=1)):
            kept.append(int(index))
    return sorted(kept)


def dominates(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether a point is at least as good in every loss and better in one."""
    pairs = list(zip(ours, theirs, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _staircase(points: NDArray[np.float64], order: NDArray[np.int64]) -> list[int]:
    """The non-dominated points for up to three objectives; a staircase of the last two is kept sorted."""
    places: list[int] = order.tolist()
    if points.shape[1] == 1:
        return places[:1]
    kept = []
    # Ascending; the other objective descends.
    ys: list[float] = [-np.inf]
    zs: list[float] = [np.inf]
    pairs = points[order][:, 1:]
    if points.shape[1] == 2:
        pairs = np.column_stack([np.zeros(len(pairs)), pairs])
    for place, (y, z) in zip(places, pairs.tolist(), strict=True):
        step = bisect.bisect_right(ys, y)
        # The first step is a sentinel, not a point, and dominates nothing.
        if zs[step - 1] <= z and step > 1:
            continue
        kept.append(place)
        end = step
        while end < len(zs) and zs[end] >= z:
            end += 1
        ys[step:end], zs[step:end] = [y], [z]
    return kept


def hypervolume(losses: Losses, reference: Sequence[float]) -> float:
    """The exact volume that the points dominate below ``reference``.

    Computed by a sweep for up to three objectives, by the WFG recursion for more. Points at or beyond
    the reference in any objective contribute nothing.

    Source: While, Bradstreet, Barone, "A Fast Way of Calculating Exact Hypervolumes",
    IEEE Trans. Evol. Comp. 16(1), 2012.

    Args:
        losses: (points, objectives).
        reference: (objectives,).
    """
    corner = np.asarray(reference, np.float64)
    points = np.asarray(losses, np.float64).reshape(-1, len(corner))
    points = points[np.all(points < corner, axis=1)]
    return _volume(points[non_dominated(points)], corner)


def _volume(points: NDArray[np.float64], corner: NDArray[np.float64]) -> float:
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(corner[0] - points.min())
    if points.shape[1] == 2:
        return _area(points, corner)
    if points.shape[1] == 3:
        return _solid(points, corner)
    # Worst first in the last objective keeps the limited sets small.
    points = points[np.argsort(-points[:, -1], kind="stable")]
    total = 0.0
    for place, point in enumerate(points):
        limited = np.maximum(points[place + 1 :], point)
        inside = float(np.prod(corner - point))
        total += inside - _volume(limited[non_dominated(limited)], corner)
    return total


def _solid(points: NDArray[np.float64], corner: NDArray[np.float64]) -> float:
    """Three objectives: a sweep along the third, with the staircase of the first two kept sorted."""
    top_x, top_y, top_z = (float(end) for end in corner)
    order = points[np.argsort(points[:, 2], kind="stable")].tolist()
    xs: list[float] = [top_x]  # ascending; ys descend
    ys: list[float] = [-np.inf]
    area = volume = 0.0
    for place, (x, y, z) in enumerate(order):
        start = bisect.bisect_left(xs, x)
        ceiling = ys[start - 1] if start > 0 else top_y
        if y < ceiling:
            # The new step adds the area between it and the old steps, up to the next lower one.
            end, left, below = start, x, ceiling
            while end < len(xs) and ys[end] >= y:
                area += (xs[end] - left) * (below - y)
                left, below = xs[end], ys[end]
                end += 1
            area += (xs[end] - left) * (below - y)
            xs[start:end], ys[start:end] = [x], [y]
        following = order[place + 1][2] if place + 1 < len(order) else top_z
        volume += area * (following - z)
    return volume


def _area(points: NDArray[np.float64], corner: NDArray[np.float64]) -> float:
    points = points[np.argsort(points[:, 0], kind="stable")]
    ceilings = np.minimum.accumulate(np.concatenate(([corner[1]], points[:, 1])))
    return float(np.sum((corner[0] - points[:, 0]) * (ceilings[:-1] - ceilings[1:])))
