"""Objectives, hard limits, and the three ways to combine them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.values.estimate import METRICS, Estimate


class Mode(StrEnum):
    """How several objectives combine."""

    #: A front: no objective is given up for another.
    PARETO = "pareto"
    #: The weighted sum of the scaled objectives.
    WEIGHTED = "weighted"
    #: The first objective alone, under the limits.
    CONSTRAINED = "constrained"


MODES = tuple(Mode)
#: Share of the scale below which a shortfall counts linearly: its logarithm would have no end.
_SHORTFALL_UNIT = 0.01


@dataclass(frozen=True, slots=True)
class Objective:
    """One metric to optimise.

    Args:
        metric: name with unit.
        direction: ``max`` or ``min``.
        best, worst: the ends between which progress is measured; ``worst`` is the reference
            point of the hypervolume and the normalisation of the weighted sum.
        weight: its share in a weighted sum.
        log: measured in its logarithm (costs that span orders of magnitude); for a ``max`` metric,
            in the logarithm of its shortfall from ``best``, so that from 92 % to 94 % counts more
            than from 70 % to 72 %.
    """

    metric: str
    direction: str
    best: float
    worst: float
    weight: float = 1.0
    log: bool = False

    def loss(self, value: float) -> float:
        """``value`` scaled so that 0 is ``best`` and 1 is ``worst``; smaller is better."""
        if self.log and self.direction == "max":
            scale = (self.best - self.worst) * _SHORTFALL_UNIT
            shortfall = max(self.best - value, 0.0)
            return math.log1p(shortfall / scale) / math.log1p(1 / _SHORTFALL_UNIT)
        if self.log:
            floor = min(self.best, self.worst)
            value = max(value, floor)
            return (math.log(value) - math.log(self.best)) / (math.log(self.worst) - math.log(self.best))
        return (value - self.best) / (self.worst - self.best)


@dataclass(frozen=True, slots=True)
class Limit:
    """A hard limit: ``metric`` at most (``max``) or at least (``min``) ``bound``."""

    metric: str
    kind: str
    bound: float

    def violation(self, estimate: Estimate) -> float:
        """0 where the limit holds for the whole interval, else how far beyond, relative to the bound.

        The interval's bad end counts: a design is inside a limit only if its prediction's
        upper end is (its lower end for ``min``). Beyond a bound of zero it is the amount itself.
        """
        excess = estimate.high - self.bound if self.kind == "max" else self.bound - estimate.low
        return max(0.0, excess) / (abs(self.bound) or 1.0)

    def __str__(self) -> str:
        sign = "<=" if self.kind == "max" else ">="
        return f"{self.metric} {sign} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Goal:
    """Objectives, limits and how they are combined.

    Args:
        mode: ``pareto`` (a front), ``weighted`` (one sum) or ``constrained`` (the first
            objective alone, under the limits).
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    mode: str = Mode.PARETO

    def losses(self, estimates: Mapping[str, Estimate]) -> tuple[float, ...] | None:
        """The minimised vector (one entry in the scalar modes); ``None`` where a metric is missing."""
        if any(objective.metric not in estimates for objective in self.objectives):
            return None
        each = [objective.loss(estimates[objective.metric].value) for objective in self.objectives]
        if self.mode == Mode.PARETO:
            return tuple(each)
        if self.mode == Mode.CONSTRAINED:
            return (each[0],)
        total = sum(objective.weight for objective in self.objectives)
        weighted = sum(o.weight * loss for o, loss in zip(self.objectives, each, strict=True))
        return (weighted / total,)

    @property
    def n_losses(self) -> int:
        return len(self.objectives) if self.mode == Mode.PARETO else 1

    def violations(self, estimates: Mapping[str, Estimate]) -> dict[str, float]:
        """Broken limits -> relative excess; limits whose metric is not estimated yet are left out."""
        found = {
            str(limit): limit.violation(estimates[limit.metric])
            for limit in self.limits
            if limit.metric in estimates
        }
        return {name: amount for name, amount in found.items() if amount > 0}

    def to_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "objectives": [
                {name: getattr(objective, name) for name in Objective.__dataclass_fields__}
                for objective in self.objectives
            ],
            "limits": [{"metric": x.metric, "kind": x.kind, "bound": x.bound} for x in self.limits],
        }


def direction_of(metric: str, known: Mapping[str, str] | None = None) -> str:
    """``max`` or ``min`` for a metric's name; ``known`` adds the task's own metrics.

    Raises:
        UserError: unknown metric.
    """
    known = dict(known or {})
    if metric in known:
        return known[metric]
    if metric in METRICS:
        return METRICS[metric].direction
    raise UserError("unknown metric", found=metric, choices=sorted({*METRICS, *known}))
