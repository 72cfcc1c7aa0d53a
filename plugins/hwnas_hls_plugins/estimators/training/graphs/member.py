"""One graph in training. This module imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hwnas_hls_plugins.estimators.training.graphs.plan import GraphPlan, NodePlan
from hwnas_hls_plugins.estimators.training.member import AnyMember


@dataclass(slots=True, eq=False)
class GraphMember(AnyMember):
    """One graph in training.

    Its pieces are, for each layer with weights: weights, biases, and (with normalisation in the plan)
    gains and shifts.
    """

    plan: GraphPlan

    @property
    def weighted(self) -> list[NodePlan]:
        """Layers with weights, from input to output."""
        return [layer for layer in self.plan.layers if layer.has_weights]

    def _draw(self, dtype: torch.dtype) -> None:
        for layer, drawn in zip(self.weighted, self.plan.latents(), strict=True):
            constants = layer.constants()
            floor, ceiling = (
                torch.as_tensor(constants[name], dtype=dtype)[: drawn.size] for name in ("floor", "ceiling")
            )
            latent = torch.as_tensor(drawn, dtype=dtype).reshape(-1)
            self.latent.append(torch.minimum(torch.maximum(latent, floor), ceiling))
            self.latent.append(torch.zeros(layer.matrix[0], dtype=dtype))
            self.kept.append(torch.ones(layer.matrix, dtype=dtype))

    def _normalised_layers(self) -> list[tuple[int, int]]:
        return [(layer.matrix[0], layer.out_fraction) for layer in self.weighted]
