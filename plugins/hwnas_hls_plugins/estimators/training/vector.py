"""Trained parameters of a group of networks in one vector. This module imports torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls_plugins.estimators.training.member import AnyMember

M = TypeVar("M", bound=AnyMember)


class TrainedVector(ABC, Generic[M]):
    """The trained parameters of all members, weights and biases first, with the state of their training.

    Chains and graphs differ only in the order of the parameters.

    Args:
        members: started or resumed; kept in the order of their plans.
        dtype, device: of every tensor.

    Attributes:
        latent, mean, square, gradient: trained parameters, Adam's two averages, the gradient.
        floor, ceiling: bounds of the latents.
        unit, low, high: constants that convert latents to integers, one per weight or bias.
        kept_factor: unit of the products, 0 for pruned weights.
        integers, weights: weights and biases as integers, and as operands of the products.
        n_weights: number of weights and biases.
        pieces: (member, piece) -> its place in the vectors.
    """

    latent: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, members: Sequence[M], dtype: torch.dtype, device: torch.device) -> None:
        self.members = sorted(members, key=lambda member: member.plan.order)
        self.dtype, self.device = dtype, device
        plans = [member.plan for member in self.members]
        self.fast = all(plan.fast for plan in plans)
        self.normalised = any(plan.normalised for plan in plans)

    def tensor(self, data: object) -> Tensor:
        return torch.as_tensor(data, dtype=self.dtype, device=self.device)

    def _hold(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Concatenate these pieces of the members."""
        self.pieces: dict[tuple[int, int], slice] = {}
        at = 0
        for j, piece in pieces:
            size = self.members[j].latent[piece].numel()
            self.pieces[j, piece] = slice(at, at + size)
            at += size
        for name in ("latent", "mean", "square"):
            held = [getattr(self.members[j], name)[piece] for j, piece in pieces]
            setattr(self, name, torch.cat(held).to(self.device))
        self.gradient = torch.zeros_like(self.latent)

    def _bound(self, flat: Mapping[str, NDArray[np.float64]]) -> None:
        """Copy the constants of all weights and biases; other parameters have no bounds."""
        self.unit, self.low, self.high = (self.tensor(flat[name]) for name in ("unit", "low", "high"))
        self._factor = self.tensor(flat["factor"])
        self.n_weights = self.unit.numel()
        extra = np.full(self.latent.numel() - self.n_weights, np.inf)
        self.floor = self.tensor(np.concatenate([flat["floor"], -extra]))
        self.ceiling = self.tensor(np.concatenate([flat["ceiling"], extra]))
        self.integers, self.weights = torch.empty_like(self.unit), torch.empty_like(self.unit)
        self.kept_factor = torch.empty_like(self._factor)

    @abstractmethod
    def refresh_kept(self) -> None:
        """Copy the members' pruning masks."""

    @abstractmethod
    def prune(self, share: float) -> bool:
        """Prune the smallest weights of each layer, ``share`` of its sparsity; whether there are any."""

    @abstractmethod
    def exported(
        self, j: int
    ) -> tuple[Sequence[NDArray[np.int64] | None], Sequence[NDArray[np.int64] | None]]:
        """(weights, biases) of member ``j`` from input to output, int64, as used in the last products."""

    def save_members(self) -> None:
        """Copy the trained parameters to the members."""
        for (j, piece), here in self.pieces.items():
            for name in ("latent", "mean", "square"):
                getattr(self.members[j], name)[piece] = getattr(self, name)[here].cpu().clone()
