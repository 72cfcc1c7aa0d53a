"""Finds the designs of a front that differ from another one only by noise.

A difference in a score is noise if it is at most one standard error of the difference on the same
rows; a difference of one cycle is noise if the cycles of one of the two are only predicted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.objective import Goal, Mode
from hwnas_hls.values.record import Record

#: Metrics in cycles; ``latency_ns`` is cycles times the clock.
_CYCLES = ("latency_cycles", "ii_cycles")


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """One design with the evidence for its score.

    Args:
        key: names it in messages.
        estimates: its numbers.
        right: whether each row was classified correctly, bool (rows,); ``None`` unless the accuracy is
            an objective.
        resampled: other score -> its values on resampled rows, (resamples,), the same for every design.
    """

    key: str
    estimates: Mapping[str, Estimate]
    right: NDArray[np.bool_] | None = None
    resampled: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Record, right: NDArray[np.bool_] | None) -> Contender:
        return cls(record.key, record.estimates, right)


def distinct(goal: Goal, clock_ns: float, contenders: Sequence[Contender]) -> dict[int, int]:
    """Designs that another makes redundant: place -> place of the other, which is not redundant.

    A design is redundant if another is as good or better in every objective, up to the noise; of two
    that make each other redundant, the one with the smaller sum of losses remains.

    Args:
        goal: its objectives are compared; no design is redundant unless it asks for a front.
        clock_ns: duration of one cycle.
    """
    if goal.mode != Mode.PARETO:
        return {}
    losses = [goal.losses(each.estimates) for each in contenders]
    open_ = {place for place, found in enumerate(losses) if found is not None}
    order = {place: (sum(losses[place] or ()), place) for place in open_}

    def redundant(place: int, by: int) -> bool:
        if not _as_good(goal, clock_ns, contenders[by], contenders[place]):
            return False
        mutual = _as_good(goal, clock_ns, contenders[place], contenders[by])
        return not mutual or order[by] < order[place]

    edges = {place: {by for by in open_ if by != place and redundant(place, by)} for place in open_}
    out: dict[int, int] = {}
    while open_:
        # Noise allows cycles; the smallest sum of losses breaks them.
        free = {place for place in open_ if not edges[place] & open_} or {min(open_, key=order.__getitem__)}
        open_ -= free
        for place in sorted(open_):
            if kept := edges[place] & free:
                out[place] = min(kept, key=order.__getitem__)
        open_ -= out.keys()
    return out


def _as_good(goal: Goal, clock_ns: float, one: Contender, other: Contender) -> bool:
    """Whether ``one`` is as good as ``other`` in every objective, up to the noise."""
    for objective in goal.objectives:
        a, b = one.estimates[objective.metric], other.estimates[objective.metric]
        gain = b.value - a.value if objective.direction == "min" else a.value - b.value
        if gain < -noise(objective.metric, one, other, clock_ns):
            return False
    return True


def in_words(goal: Goal, rows: int) -> str:
    """The noise that counts for the objectives, as text; ``rows``: number of test rows."""
    cycles = any(objective.metric in (*_CYCLES, "latency_ns") for objective in goal.objectives)
    return f"the noise of {rows} test rows" + (" and of one predicted cycle" if cycles else "")


def noise(metric: str, one: Contender, other: Contender, clock_ns: float) -> float:
    """The largest difference of two designs in a metric that is noise; 0 for a metric without noise.

    For the accuracy: if the two disagree on ``b`` and ``c`` rows (only the first, only the second is
    right), it is ``sqrt(b + c)`` rows (McNemar). For other scores: the standard deviation of the
    difference over the resampled rows.
    """
    if metric == "accuracy" and one.right is not None and other.right is not None:
        return math.sqrt(np.count_nonzero(one.right != other.right)) / len(one.right)
    if metric in one.resampled and metric in other.resampled:
        difference = one.resampled[metric] - other.resampled[metric]
        return float(np.nanstd(difference))
    if metric in _CYCLES or metric == "latency_ns":
        counted = "latency_cycles" if metric == "latency_ns" else metric
        both = [each.estimates.get(counted) or each.estimates[metric] for each in (one, other)]
        guessed = any(found.is_predicted and found.low < found.high for found in both)
        return (clock_ns if metric == "latency_ns" else 1.0) if guessed else 0.0
    return 0.0
