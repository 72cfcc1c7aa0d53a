"""One network in training. Loaded only when something is trained, hence torch at the top."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hwnas_hls_plugins.training.plan import LayerPlan, Plan


@dataclass(slots=True, eq=False)
class Member:
    """One network in training: what it is and how far it has come.

    Args:
        plan: what it is.
        index: its place among the candidates.
        source: which quantised copy of the inputs it reads.
        latent, mean, square: trained numbers and Adam's two averages, in pieces (see ``Layout``).
        kept: 1 for weights, 0 for pruned ones, one (rows, cols) tensor a level.
        running: batch normalisation's mean and deviation, one (rows, 2) tensor a level.
        steps: updates made so far.
    """

    plan: Plan
    index: int
    source: int
    latent: list[Tensor] = field(default_factory=list)
    mean: list[Tensor] = field(default_factory=list)
    square: list[Tensor] = field(default_factory=list)
    kept: list[Tensor] = field(default_factory=list)
    running: list[Tensor] = field(default_factory=list)
    generator: torch.Generator = field(default_factory=torch.Generator)

    @property
    def levels(self) -> tuple[LayerPlan, ...]:
        """Layers from output to input."""
        return self.plan.layers[::-1]

    def start(self, dtype: torch.dtype) -> None:
        """Draw the starting weights."""
        self.generator.manual_seed(self.plan.seed)
        blocks = [
            torch.tensor(layer.block(latent, fast=self.plan.fast)["latent"], dtype=dtype)
            for layer, latent in zip(self.levels, self.plan.latents()[::-1], strict=True)
        ]
        self.latent = [block.reshape(-1) for block in blocks]
        self.kept = [torch.ones_like(block) for block in blocks]
        if self.plan.normalised:
            for layer in self.levels:
                self.latent.append(torch.ones(layer.rows, dtype=dtype))  # gamma
                self.latent.append(torch.zeros(layer.rows, dtype=dtype))  # beta
                start = [[0.0, 2.0**layer.out_fraction]]  # sums of unit deviation
                self.running.append(torch.tensor(start, dtype=dtype).repeat(layer.rows, 1))
        self.latent.append(torch.zeros(1, dtype=dtype))  # logarithm of the temperature
        self.mean = [torch.zeros_like(piece) for piece in self.latent]
        self.square = [torch.zeros_like(piece) for piece in self.latent]
