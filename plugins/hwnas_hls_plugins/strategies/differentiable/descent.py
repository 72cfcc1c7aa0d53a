"""The training of the supernets: weights and choices, at a decreasing temperature. Requires torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset
from hwnas_hls.spec.notation import counted
from hwnas_hls.values.objective import Goal
from hwnas_hls_plugins.estimators.training.threads import threads
from hwnas_hls_plugins.strategies.differentiable.config import DifferentiableConfig
from hwnas_hls_plugins.strategies.differentiable.cost import HardwareLoss
from hwnas_hls_plugins.strategies.differentiable.relaxation import Relaxation
from hwnas_hls_plugins.strategies.differentiable.supernet import Supernet

_SMOOTHING = 0.05
_CLIP = 5.0


@dataclass(frozen=True, slots=True)
class Distribution:
    """The result of one supernet.

    Args:
        tradeoff: weight of its hardware loss.
        chances: site -> probability of each option.
    """

    tradeoff: float
    chances: Mapping[str, tuple[float, ...]]


def descend(
    relaxation: Relaxation,
    dataset: Dataset,
    goal: Goal,
    target: Target,
    clock_ns: float,
    config: DifferentiableConfig,
    seed: int,
    progress: Callable[[str], None],
) -> list[Distribution]:
    """Train one supernet per trade-off and return the final distributions of their choices.

    Only training rows are used. The same seed gives the same numbers on the same machine.

    Args:
        seed: seed of all random numbers; global random states are not used.
        progress: called at the start of each epoch.
    """
    with threads(1):
        generator = torch.Generator().manual_seed(seed)
        net = Supernet(relaxation, len(config.tradeoffs), generator)
        hardware = HardwareLoss(net, goal, target, clock_ns)
        tradeoffs = torch.tensor(config.tradeoffs)
        rows = _Rows(dataset, config.max_rows)
        weights = torch.optim.Adam(net.parameters, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
        choices = torch.optim.Adam([net.logits], lr=config.choice_rate, betas=(0.5, 0.99))
        warm = round(config.warmup * config.epochs)
        for epoch in range(config.epochs):
            searching = epoch >= warm
            done = max(epoch - warm, 0) / max(config.epochs - warm - 1, 1)
            temperature = config.hot * (config.cold / config.hot) ** done
            rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
            weights.param_groups[0]["lr"] = rate
            net.rank_weights()
            progress(f"{counted(net.count, 'supernet')}, epoch {epoch + 1} of {config.epochs}")
            for step, (features, targets) in enumerate(rows.batches(np.random.default_rng([seed, epoch]))):
                # Only every second step updates the choices, because their gradients are expensive.
                moving = searching and step % 2 == 0
                chosen = net.draw(temperature, even=not searching)
                if not moving:
                    chosen = {name: choice.detach() for name, choice in chosen.items()}
                loss = rows.loss(net.outputs(features, chosen), targets).sum()
                if moving:
                    loss = loss + (tradeoffs * hardware.of(net.chances())).sum()
                weights.zero_grad(set_to_none=True)
                choices.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(net.parameters, _CLIP * net.count)
                weights.step()
                if moving:
                    choices.step()
        with torch.no_grad():
            chances = {name: found.tolist() for name, found in net.chances().items()}
    return [
        Distribution(weight, {name: tuple(found[place]) for name, found in chances.items()})
        for place, weight in enumerate(config.tradeoffs)
    ]


class _Rows:
    """Standardised training rows in shuffled minibatches of 16 to 128 rows, at least 16 per pass."""

    def __init__(self, dataset: Dataset, most: int) -> None:
        self.classes = dataset.kind == CLASSIFICATION
        self.features = torch.tensor(dataset.standardised(dataset.train).T, dtype=torch.float32)
        if self.classes:
            self.targets = torch.tensor(dataset.train.y)
        else:
            self.targets = torch.tensor(dataset.wanted(dataset.train).T, dtype=torch.float32)
        count = len(dataset.train)
        self.count = min(most, count) if most else count
        self.size = min(128, max(16, 2 ** int(math.log2(max(self.count / 16, 1)))))

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.as_tensor(rng.permutation(self.features.shape[1])[: self.count])
        for begin in range(0, max(self.count - self.size, 0) + 1, self.size):
            chosen = order[begin : begin + self.size]
            yield self.features[:, chosen], self.targets[..., chosen]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of every net, (nets,): cross entropy, or mean squared error of standardised targets."""
        if not self.classes:
            return ((outputs - targets) ** 2).mean((1, 2))
        nets = outputs.shape[0]
        each = functional.cross_entropy(
            outputs, targets.expand(nets, -1), reduction="none", label_smoothing=_SMOOTHING
        )
        return each.mean(1)
