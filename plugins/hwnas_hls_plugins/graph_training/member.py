"""One graph in training. Loaded only when something is trained, hence torch at the top."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hwnas_hls_plugins.graph_training.plan import GraphPlan, NodePlan


@dataclass(slots=True, eq=False)
class GraphMember:
    """One graph in training: what it is and how far it has come.

    Args:
        plan: what it is.
        index: its place among the candidates.
        source: which quantised copy of the inputs it reads.
        latent, mean, square: trained numbers and Adam's two averages, in pieces: of each layer with
            weights these and its biases, then (of a plan with normalisation) its gains and shifts;
            last the logarithm of the temperature.
        kept: 1 for weights, 0 for pruned ones, one (rows, cols) tensor each layer with weights.
        running: batch normalisation's mean and deviation, one (rows, 2) tensor each such layer.
    """

    plan: GraphPlan
    index: int
    source: int
    latent: list[Tensor] = field(default_factory=list)
    mean: list[Tensor] = field(default_factory=list)
    square: list[Tensor] = field(default_factory=list)
    kept: list[Tensor] = field(default_factory=list)
    running: list[Tensor] = field(default_factory=list)
    generator: torch.Generator = field(default_factory=torch.Generator)

    @property
    def weighted(self) -> list[NodePlan]:
        """Layers with weights, from input to output."""
        return [layer for layer in self.plan.layers if layer.has_weights]

    def start(self, dtype: torch.dtype) -> None:
        """Draw the starting weights."""
        self.generator.manual_seed(self.plan.seed)
        for layer, drawn in zip(self.weighted, self.plan.latents(), strict=True):
            constants = layer.constants()
            floor, ceiling = (
                torch.as_tensor(constants[name], dtype=dtype)[: drawn.size] for name in ("floor", "ceiling")
            )
            latent = torch.as_tensor(drawn, dtype=dtype).reshape(-1)
            self.latent.append(torch.minimum(torch.maximum(latent, floor), ceiling))
            self.latent.append(torch.zeros(layer.matrix[0], dtype=dtype))
            self.kept.append(torch.ones(layer.matrix, dtype=dtype))
        if self.plan.normalised:
            for layer in self.weighted:
                rows = layer.matrix[0]
                self.latent.append(torch.ones(rows, dtype=dtype))
                self.latent.append(torch.zeros(rows, dtype=dtype))
                start = [[0.0, 2.0**layer.out_fraction]]  # sums of unit deviation
                self.running.append(torch.tensor(start, dtype=dtype).repeat(rows, 1))
        self.latent.append(torch.zeros(1, dtype=dtype))
        self.mean = [torch.zeros_like(piece) for piece in self.latent]
        self.square = [torch.zeros_like(piece) for piece in self.latent]
