"""One network in training. This module imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hwnas_hls.network.features import FeatureTypes
from hwnas_hls_plugins.estimators.training.digits import UNLIMITED
from hwnas_hls_plugins.estimators.training.plan import AnyPlan, LayerPlan, Plan


@dataclass(slots=True, eq=False)
class AnyMember:
    """One network in training, a chain or a graph: its plan and the state of its training.

    Args:
        plan: plan of the network.
        index: its place among the candidates.
        source: number of the quantised input copy that it reads.
        latent, mean, square: trained parameters and Adam's two averages, in pieces (see the layouts);
            the last is the logarithm of the temperature.
        kept: 1 for weights, 0 for pruned ones; one (rows, cols) tensor per layer with weights.
        digits: maximum number of signed digits of each weight and bias, shaped as ``kept``; empty if they
            are never limited.
        limited: whether any of them has been limited.
        features: types of the input features, if each has its own.
        running: batch normalisation's mean and deviation, one (rows, 2) tensor per such layer.
        generator: random numbers of the dropout.
        kernels: implementation of its steps so far: ``native``, ``torch``, or one after the other.
    """

    plan: AnyPlan
    index: int
    source: int
    latent: list[Tensor] = field(default_factory=list)
    mean: list[Tensor] = field(default_factory=list)
    square: list[Tensor] = field(default_factory=list)
    kept: list[Tensor] = field(default_factory=list)
    digits: list[Tensor] = field(default_factory=list)
    limited: bool = False
    features: FeatureTypes = ()
    running: list[Tensor] = field(default_factory=list)
    generator: torch.Generator = field(default_factory=torch.Generator)
    kernels: list[str] = field(default_factory=list)

    def start(self, dtype: torch.dtype) -> None:
        """Draw the initial weights."""
        self.generator.manual_seed(self.plan.seed)
        self._draw(dtype)
        if self.plan.normalised:
            for rows, out_fraction in self._normalised_layers():
                self.latent.append(torch.ones(rows, dtype=dtype))  # gain
                self.latent.append(torch.zeros(rows, dtype=dtype))  # shift
                start = [[0.0, 2.0**out_fraction]]  # sums of unit deviation
                self.running.append(torch.tensor(start, dtype=dtype).repeat(rows, 1))
        self.latent.append(torch.zeros(1, dtype=dtype))
        self.mean = [torch.zeros_like(piece) for piece in self.latent]
        self.square = [torch.zeros_like(piece) for piece in self.latent]

    def _draw(self, dtype: torch.dtype) -> None:
        """Fill ``latent`` with the initial weights and biases, and ``kept`` with their masks."""
        raise NotImplementedError

    def _normalised_layers(self) -> list[tuple[int, int]]:
        """(rows, fractional bits of the sums) of the layers with weights, in the order of the pieces."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class ChainMember(AnyMember):
    """One chain in training; its pieces, levels and masks are counted from the output."""

    plan: Plan

    @property
    def levels(self) -> tuple[LayerPlan, ...]:
        """Layers from output to input."""
        return self.plan.layers[::-1]

    def _draw(self, dtype: torch.dtype) -> None:
        blocks = [
            torch.tensor(layer.block(latent, fast=self.plan.fast)["latent"], dtype=dtype)
            for layer, latent in zip(self.levels, self.plan.latents()[::-1], strict=True)
        ]
        self.latent = [block.reshape(-1) for block in blocks]
        self.kept = [torch.ones_like(block) for block in blocks]
        self.digits = [torch.full_like(block, UNLIMITED) for block in blocks]

    def _normalised_layers(self) -> list[tuple[int, int]]:
        return [(layer.rows, layer.out_fraction) for layer in self.levels]
