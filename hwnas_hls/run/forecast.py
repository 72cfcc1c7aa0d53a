"""Forecasts of the task's metric: which candidates are not worth training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hwnas_hls.run.halving import rank
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record

#: Share of a batch that is trained whatever is forecast: a wrong forecast is noticed.
TRAINED_SHARE = 0.1


def spared(
    goal: Goal,
    metric: str,
    forecast: str,
    known: Sequence[Mapping[str, Estimate]],
    records: Sequence[Record],
) -> list[str]:
    """Why each candidate of a batch need not be trained; empty for those that should be.

    A candidate is spared if a finished one is at least as good in every objective, and better in
    one, than it would be with its task metric at the good end of the forecast's interval. Hardware
    counts with its best guess: the same estimator judged both, and what it errs by is largely common
    to them. (Before training it knows no weights; on the default run the LUTs known afterwards were
    0.92 to 1.54 times as many, 5 % to 95 %, the latency 1.0 to 1.33 times as long, so the candidate
    is rather flattered.)

    Args:
        metric: the task's.
        forecast: the metric that forecasts it.
        known: per candidate, all its estimates so far; one without a forecast is trained.
        records: finished candidates of the run.
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
    # Those that look best are trained anyway.
    safe = set(rank(np.array(hopes))[: math.ceil(TRAINED_SHARE * len(hopes))].tolist())
    for number, (place, hope) in enumerate(zip(places, hopes, strict=True)):
        rival = next((key for key, losses in front if _dominates(losses, hope)), None)
        if rival is not None and number not in safe:
            found = known[place][forecast]
            reasons[place] = (
                f"not trained: {forecast} is {found.value:.3g} ({found.low:.3g} to {found.high:.3g}), "
                f"and even at its best the candidate would be dominated by {rival}"
            )
    return reasons


def hopeful(goal: Goal, metric: str, forecast: Estimate) -> Estimate:
    """A forecast at the good end of its interval, as the goal sees the task's ``metric``."""
    direction = next((o.direction for o in goal.objectives if o.metric == metric), "max")
    best = forecast.high if direction == "max" else forecast.low
    return replace(forecast, value=best if math.isfinite(best) else forecast.value)


def _dominates(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    pairs = list(zip(ours, theirs, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
