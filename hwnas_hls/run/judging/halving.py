"""Multi-objective successive halving: which candidates of a batch continue training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.protocols.estimator import Keep
from hwnas_hls.spec.notation import percent
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.objective import Goal


def halving(
    goal: Goal,
    metric: str,
    known: Sequence[Mapping[str, Estimate]],
    share: float = 0.5,
    fronts: Sequence[bool] = (),
) -> Keep:
    """A :data:`Keep` for one batch.

    At each rung, the candidates are sorted into non-dominated ranks by the goal's losses, with the
    interim score instead of the final one. The non-dominated ones continue; then whole ranks, and then
    the least crowded candidates, until ``share`` of the batch is kept.

    Args:
        metric: the task's metric; the scores are its interim values.
        known: per candidate of the batch, its estimates so far.
        share: minimum share kept at each rung.
        fronts: which candidates give a front of designs (they have siblings). They always continue and
            are not compared with the others, because their interim score is only that of their largest
            design. Their trainer stops them based on their whole front; see
            :attr:`~hwnas_hls.protocols.estimator.Context.front`.
    """
    families = {place for place, many in enumerate(fronts) if many}

    def keep(indices: Sequence[int], scores: Sequence[float], progress: float) -> list[bool]:
        if not families:
            return points(indices, scores, progress)
        pairs = [(i, s) for i, s in zip(indices, scores, strict=True) if i not in families]
        kept = points([i for i, _ in pairs], [s for _, s in pairs], progress) if pairs else []
        stays = dict(zip([i for i, _ in pairs], kept, strict=True))
        return [stays.get(index, True) for index in indices]

    def points(indices: Sequence[int], scores: Sequence[float], progress: float) -> list[bool]:
        losses = []
        for index, interim in zip(indices, scores, strict=True):
            # The interim score replaces the task's metric only; hardware estimates remain.
            stand_in = Estimate(
                metric, interim, interim, interim, "trained", f"after {percent(progress)} of training"
            )
            found = goal.losses({**known[index], metric: stand_in})
            if found is None:
                return [True] * len(indices)
            losses.append(found)
        order = rank(np.array(losses))
        wanted = max(math.ceil(share * len(indices)), len(non_dominated(losses)))
        kept = set(order[:wanted].tolist())
        return [place in kept for place in range(len(indices))]

    return keep


def rank(losses: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices from best to worst: by non-dominated rank, then by crowding distance.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II",
    IEEE Trans. Evol. Comp. 6(2), 2002.
    """
    left = list(range(len(losses)))
    order: list[int] = []
    while left:
        front = [left[place] for place in non_dominated(losses[left])]
        spread = crowding(losses[front])
        order.extend(front[place] for place in np.argsort(-spread, kind="stable"))
        chosen = set(front)
        left = [index for index in left if index not in chosen]
    return np.array(order, np.int64)


def crowding(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The crowding distance of each point of a front; infinite at the ends of each objective."""
    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        extent = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = math.inf
        if extent > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return distance
