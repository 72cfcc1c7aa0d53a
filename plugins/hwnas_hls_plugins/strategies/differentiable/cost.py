"""The expected hardware cost of a supernet as losses of the goal. Requires torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from hwnas_hls.protocols.target import Target
from hwnas_hls.values.objective import Goal, Limit, Objective
from hwnas_hls_plugins.estimators.hls_model.differentiable import SmoothCost, smooth_cost
from hwnas_hls_plugins.strategies.differentiable.supernet import FORGOTTEN, Supernet

#: Metrics of the differentiable cost model.
METRICS = ("lut", "dsp", "latency_cycles", "latency_ns")
#: Weight of the logarithm of the excess over a limit relative to an objective, chosen by hand: an excess
#: of 10 % counts like the whole scale of an objective.
_LIMIT_WEIGHT = 10.0


class HardwareLoss:
    """The goal's hardware objectives and limits as a differentiable function of the choice probabilities.

    Args:
        supernet: provides the choices.
        goal: objectives and limits with a metric in :data:`METRICS` are used.
        target: the part.
        clock_ns: clock period.
    """

    def __init__(self, supernet: Supernet, goal: Goal, target: Target, clock_ns: float) -> None:
        self.supernet, self.target, self.clock_ns = supernet, target, clock_ns
        self.objectives = [objective for objective in goal.objectives if objective.metric in METRICS]
        self.limits = [limit for limit in goal.limits if limit.metric in METRICS and limit.kind == "max"]

    def of(self, chances: Mapping[str, Tensor]) -> Tensor:
        """Mean weighted loss of the objectives, and a penalty for broken limits: (nets,)."""
        total = torch.zeros(self.supernet.count)
        if not self.objectives and not self.limits:
            return total
        cost = self.cost(chances)
        weights = sum(objective.weight for objective in self.objectives)
        for objective in self.objectives:
            total = total + objective.weight / weights * _loss(objective, getattr(cost, objective.metric))
        for limit in self.limits:
            total = total + _LIMIT_WEIGHT * _excess(limit, getattr(cost, limit.metric))
        return total

    def cost(self, chances: Mapping[str, Tensor]) -> SmoothCost:
        """Expected LUTs, DSPs and latency, (nets,) each: the mean over depths, weighted by probability."""
        net, numbers = self.supernet, self.supernet.numbers
        mean = {name: chances[name] @ numbers[name] for name in chances}
        one = torch.ones(net.count)
        parts: list[tuple[Tensor, SmoothCost]] = []
        for place, (depth,) in enumerate(numbers["depth"].tolist()):
            if bool((chances["depth"][:, place] < FORGOTTEN).all()):
                continue
            tags = [*net.tags[: int(depth)], "out"]
            widths = torch.stack(
                [
                    one * net.relaxation.n_in,
                    *(mean[f"width_{tag}"][:, 0] for tag in tags[:-1]),
                    one * net.relaxation.n_out,
                ],
                1,
            )
            weights = torch.stack([mean[f"weight_{tag}"] for tag in tags], 1)
            inputs = torch.stack(
                [mean["input"][:, 0], *(mean[f"activation_{tag}"][:, 0] for tag in tags[:-1])], 1
            )
            density = 1 - torch.stack([mean[f"sparsity_{tag}"][:, 0] for tag in tags], 1)
            sums = weights[..., 0] + inputs + torch.log2(widths[:, :-1])
            cost = smooth_cost(
                widths,
                weights[..., 0],
                weights[..., 1],
                inputs,
                sums,
                density,
                part=self.target.part,
                clock_ns=self.clock_ns,
                relu=net.relaxation.rectified,
            )
            parts.append((chances["depth"][:, place], cost))
        return SmoothCost(
            *(
                torch.stack([chance * getattr(cost, metric) for chance, cost in parts]).sum(0)
                for metric in ("lut", "dsp", "latency_cycles", "latency_ns")
            )
        )


def _loss(objective: Objective, value: Tensor) -> Tensor:
    """:meth:`hwnas_hls.values.objective.Objective.loss` on tensors."""
    if not objective.log:
        return (value - objective.best) / (objective.worst - objective.best)
    value = value.clamp(min=min(objective.best, objective.worst) * 0.1)
    return (torch.log(value) - math.log(objective.best)) / (
        math.log(objective.worst) - math.log(objective.best)
    )


def _excess(limit: Limit, value: Tensor) -> Tensor:
    return torch.relu(torch.log(value.clamp(min=1e-9) / max(limit.bound, 1e-9)))
