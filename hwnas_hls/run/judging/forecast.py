"""Forecasts of the task's metric: candidates that would be dominated are not trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hwnas_hls.run.judging.halving import rank
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import dominates, non_dominated
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record

#: Share of a batch that is always trained, so the forecast can be checked.
TRAINED_SHARE = 0.1


def spared(
    goal: Goal,
    metric: str,
    forecast: str,
    known: Sequence[Mapping[str, Estimate]],
    records: Sequence[Record],
) -> list[str]:
    """Why each candidate of a batch is not trained; empty for those that are trained.

    A candidate is skipped if a complete one dominates it even with its task metric at the optimistic
    end of the forecast. Hardware costs are compared by their best estimates: the same estimator made
    both, so most of its error is common to both. Before training it does not know the weights; in the
    default run, the LUT estimates after training were 0.92 to 1.54 times (5 % to 95 %) and the
    latencies 1.0 to 1.33 times those before, so the comparison favours the untrained candidate.

    Args:
        metric: the task's metric.
        forecast: the metric that forecasts it.
        known: per candidate, its estimates so far; candidates without a forecast are trained.
        records: earlier records of the run.
    """
    reasons = [""] * len(known)
    judged = [(record.key, record.losses) for record in records if record.feasible and record.losses]
    if not judged:
        return reasons
    front = [judged[place] for place in non_dominated([losses for _, losses in judged])]
    places, hopes = [], []
    for place, estimates in enumerate(known):
        if forecast not in estimates:
            continue
        losses = goal.losses({**estimates, metric: hopeful(goal, metric, estimates[forecast])})
        if losses is not None:
            places.append(place)
            hopes.append(losses)
    if not hopes:
        return reasons
    # The best by their forecast are trained anyway.
    safe = set(rank(np.array(hopes))[: math.ceil(TRAINED_SHARE * len(hopes))].tolist())
    for number, (place, hope) in enumerate(zip(places, hopes, strict=True)):
        rival = next((key for key, losses in front if dominates(losses, hope)), None)
        if rival is not None and number not in safe:
            found = known[place][forecast]
            reasons[place] = (
                f"not trained: {forecast} is {found.value:.3g} ({found.low:.3g} to {found.high:.3g}), "
                f"and even at its best the candidate would be dominated by {rival}"
            )
    return reasons


def hopeful(goal: Goal, metric: str, forecast: Estimate) -> Estimate:
    """A forecast as an estimate of the task's ``metric``, at the optimistic end of its interval."""
    direction = next((o.direction for o in goal.objectives if o.metric == metric), "max")
    best = forecast.high if direction == "max" else forecast.low
    return replace(forecast, value=best if math.isfinite(best) else forecast.value)
