"""The memory layout of the parameters of a group of networks. This module imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls_plugins.estimators.training.digits import UNLIMITED, largest_power
from hwnas_hls_plugins.estimators.training.member import ChainMember
from hwnas_hls_plugins.estimators.training.plan import LayerPlan
from hwnas_hls_plugins.estimators.training.vector import TrainedVector

_CONSTANTS = ("unit", "low", "high", "factor", "offset", "floor", "ceiling")


class Layout(TrainedVector[ChainMember]):
    """The trained numbers of chains: weights by level, then what is no weight.

    Levels are counted from the output. Of a level, the members that reach it are the first ones,
    for the deepest come first.

    Args:
        members: started or resumed; kept in the order of ``Plan.order``.
        dtype, device: of every tensor.

    Attributes:
        offset: what is added to each weight; see
            :meth:`~hwnas_hls_plugins.estimators.training.plan.LayerPlan.block`.
        digits: most signed digits that each weight and bias may have; most_digits: the most of those
            that are limited, at least 1; 0 where none are.
        places: (member, piece) -> where it begins and ends in the vectors.
        reach: how many members reach each level.
    """

    def __init__(self, members: Sequence[ChainMember], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(members, dtype, device)
        plans = [member.plan for member in self.members]
        self.depth = len(plans[0].layers)
        self.reach = [sum(len(plan.layers) > k for plan in plans) for k in range(self.depth)]
        self._hold(self._pieces())
        self.places = {key: (place.start, place.stop) for key, place in self.pieces.items()}
        flat = self._constants()
        self._bound(flat)
        self.offset = self.tensor(flat["offset"])
        self._highest = self.high.clone()
        self.digits, self.most_digits = torch.empty_like(self.unit), 0
        self.refresh_kept()

    def zeros(self, shape: tuple[int, int]) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def layers(self, k: int) -> list[LayerPlan]:
        """One a member that reaches level ``k``."""
        return [member.levels[k] for member in self.members[: self.reach[k]]]

    def span(self, k: int) -> tuple[int, int]:
        """Where the weights of level ``k`` stand."""
        return self.places[0, k][0], self.places[self.reach[k] - 1, k][1]

    def norm_span(self, k: int, which: int) -> slice:
        """Where the gains (0) or shifts (1) of normalisation of level ``k`` stand."""
        last = self.reach[k] - 1
        first_piece, last_piece = (len(self.members[j].levels) + 2 * k + which for j in (0, last))
        return slice(self.places[0, first_piece][0], self.places[last, last_piece][1])

    def refresh_kept(self) -> None:
        """Copy the members' pruning masks and limits of digits."""
        kept, digits = (
            torch.cat(
                [
                    getattr(self.members[j], name)[k].reshape(-1)
                    for k in range(self.depth)
                    for j in range(self.reach[k])
                ]
            ).to(self.device)
            for name in ("kept", "digits")
        )
        torch.mul(self._factor, kept, out=self.kept_factor)
        self.digits.copy_(digits)
        self.most_digits = 0
        # Only then are numbers read back from a device.
        if any(member.limited for member in self.members):
            limited = digits[digits < UNLIMITED]
            # At least 1 where anything is limited, be it to no digit at all.
            self.most_digits = max(1, int(limited.max())) if limited.numel() else 0
        # A number of one digit is a power of two; the nearest to a type's largest number lies beyond it.
        self.high.copy_(torch.where(digits == 1, largest_power(self._highest), self._highest))

    def prune(self, share: float) -> bool:
        """Mark the smallest weights of each layer, ``share`` of its sparsity; whether there were any."""
        touched = False
        for j, member in enumerate(self.members):
            for k, plan in enumerate(member.levels):
                if plan.layer.sparsity <= 0:
                    continue
                touched = True
                block = self.latent[slice(*self.places[j, k])].view(plan.rows, plan.cols)
                body = block[: plan.layer.n_out, : plan.layer.n_in].abs().reshape(-1).cpu()
                kept = smallest_dropped(body, plan.layer.sparsity * share)
                member.kept[k][: plan.layer.n_out, : plan.layer.n_in] = kept.view(plan.layer.n_out, -1)
        return touched

    def exported(self, j: int) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """(weights, biases) of member ``j`` from input to output, int64, as products took them."""
        weights, biases = [], []
        member = self.members[j]
        for k in range(len(member.levels) - 1, -1, -1):
            plan = member.levels[k]
            whole = self.integers[slice(*self.places[j, k])].view(plan.rows, plan.cols).cpu()
            block = (whole * member.kept[k])[: plan.layer.n_out].numpy().astype(np.int64)
            weights.append(np.ascontiguousarray(block[:, :-1].T))
            biases.append(block[:, -1].copy())
        return weights, biases

    def _pieces(self) -> list[tuple[int, int]]:
        """(member, piece) of every piece, in the order in which they stand."""
        pieces = [(j, k) for k in range(self.depth) for j in range(self.reach[k])]
        if self.normalised:
            for k in range(self.depth):
                depths = [len(member.levels) for member in self.members[: self.reach[k]]]
                pieces += [(j, depth + 2 * k) for j, depth in enumerate(depths)]
                pieces += [(j, depth + 2 * k + 1) for j, depth in enumerate(depths)]
        return pieces + [(j, len(member.latent) - 1) for j, member in enumerate(self.members)]

    def _constants(self) -> dict[str, NDArray[np.float64]]:
        blocks = [
            layer.block(np.zeros((layer.rows, layer.cols)), fast=self.fast)
            for k in range(self.depth)
            for layer in self.layers(k)
        ]
        return {name: np.concatenate([block[name].reshape(-1) for block in blocks]) for name in _CONSTANTS}


def smallest_dropped(sizes: Tensor, share: float) -> Tensor:
    """1 for what is kept of a vector, 0 for this share of its numbers, the smallest; of equals the first."""
    kept = torch.ones_like(sizes)
    kept[torch.sort(sizes, stable=True).indices[: int(share * sizes.numel())]] = 0
    return kept
