"""Contention: which trained candidates may enter the front, given inaccurate numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import dominates, non_dominated
from hwnas_hls.values.objective import Goal


def contend(
    goal: Goal,
    known: Sequence[Mapping[str, Estimate]],
    doubtful: Collection[str],
    within: float,
    front: Sequence[Sequence[float]],
) -> list[bool]:
    """Which candidates would not be dominated if their inaccurate numbers were better by a factor.

    Args:
        known: per candidate of a batch, its estimates. Candidates without all objectives contend.
        doubtful: metrics with inaccurate values.
        within: the factor, for example 1.25.
        front: losses of the non-dominated candidates of earlier batches.
    """
    own = [goal.losses(estimates) for estimates in known]
    rivals = [tuple(losses) for losses in front] + [losses for losses in own if losses is not None]
    best = [rivals[place] for place in non_dominated(rivals)]
    hopes = [goal.losses(_hopeful(goal, estimates, doubtful, within)) for estimates in known]
    return [hope is None or not any(dominates(rival, hope) for rival in best) for hope in hopes]


def _hopeful(
    goal: Goal, estimates: Mapping[str, Estimate], doubtful: Collection[str], within: float
) -> dict[str, Estimate]:
    changed = dict(estimates)
    for objective in goal.objectives:
        estimate = estimates.get(objective.metric)
        if estimate is not None and objective.metric in doubtful:
            factor = 1 / within if objective.direction == "min" else within
            changed[objective.metric] = replace(estimate, value=estimate.value * factor)
    return changed
