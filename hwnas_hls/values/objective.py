"""Objectives, hard limits, and the three modes that combine them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.values.estimate import METRICS, Estimate


class Mode(StrEnum):
    """How several objectives are combined."""

    #: The Pareto front of all objectives.
    PARETO = "pareto"
    #: The weighted sum of the scaled objectives.
    WEIGHTED = "weighted"
    #: The first objective only, under the limits.
    CONSTRAINED = "constrained"


MODES = tuple(Mode)
#: Share of the scale below which the shortfall is linear; its logarithm diverges at zero.
_SHORTFALL_UNIT = 0.01


@dataclass(frozen=True, slots=True)
class Objective:
    """One metric to optimise.

    Args:
        metric: name with unit.
        direction: ``max`` or ``min``.
        best, worst: ends of the scale; ``worst`` is the reference point of the hypervolume, and both
            normalise the weighted sum.
        weight: its weight in a weighted sum.
        log: whether the scale is logarithmic (for costs that span orders of magnitude). A ``max``
            metric uses the logarithm of its shortfall from ``best``: the step from 92 % to 94 % then
            counts more than that from 70 % to 72 %.
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
        """0 if the limit holds for the whole interval, else the excess relative to the bound.

        The pessimistic end of the interval counts: the upper end for ``max``, the lower end for
        ``min``. If the bound is zero, the excess is absolute.
        """
        excess = estimate.high - self.bound if self.kind == "max" else self.bound - estimate.low
        return max(0.0, excess) / (abs(self.bound) or 1.0)

    @property
    def exact_bound(self) -> str:
        """The bound with all its digits, as a command takes it: ``1234567``, not ``1.23457e+06``."""
        return repr(float(self.bound)).removesuffix(".0")

    @property
    def requirement(self) -> str:
        """Like ``str``, with the exact bound. Stores of runs name their limits by ``str``."""
        return f"{self.metric} {'<=' if self.kind == 'max' else '>='} {self.exact_bound}"

    def __str__(self) -> str:
        sign = "<=" if self.kind == "max" else ">="
        return f"{self.metric} {sign} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Goal:
    """Objectives, limits and how they are combined.

    Args:
        mode: ``pareto`` (front), ``weighted`` (weighted sum) or ``constrained`` (the first objective
            only, under the limits).
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    mode: str = Mode.PARETO

    def losses(self, estimates: Mapping[str, Estimate]) -> tuple[float, ...] | None:
        """The losses to minimise (one in the scalar modes); ``None`` if a metric is missing."""
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
        """Broken limit -> relative excess; limits whose metric has no estimate yet are skipped."""
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
    """The direction of a metric, ``max`` or ``min``; ``known`` adds the metrics of the task.

    Raises:
        UserError: unknown metric.
    """
    known = dict(known or {})
    if metric in known:
        return known[metric]
    if metric in METRICS:
        return METRICS[metric].direction
    raise UserError("unknown metric", found=metric, choices=sorted({*METRICS, *known}))
