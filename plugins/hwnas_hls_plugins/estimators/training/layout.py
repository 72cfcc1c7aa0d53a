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
    """The trained parameters of chains: weights by level, then all other parameters.

    Levels are counted from the output. Members are ordered by depth, deepest first, so the first members
    are those that reach a level.

    Args:
        members: started or resumed; kept in the order of ``Plan.order``.
        dtype, device: of every tensor.

    Attributes:
        offset: constant added to each weight; see
            :meth:`~hwnas_hls_plugins.estimators.training.plan.LayerPlan.block`. A bias without digits cancels
            it, if its type can.
        digits: maximum number of signed digits of each weight and bias; most_digits: the largest limit, at
            least 1; 0 if nothing is limited.
        places: (member, piece) -> its start and end in the vectors.
        bias_places: places of the biases and of the constants, the last column of every matrix.
        reach: number of members that reach each level.
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
        self._offset = self.tensor(flat["offset"])
        self.offset = self._offset.clone()
        self._highest = self.high.clone()
        self.digits, self.most_digits = torch.empty_like(self.unit), 0
        ends = [
            torch.arange(self.places[j, k][0] + layer.cols - 1, self.places[j, k][1], layer.cols)
            for k in range(self.depth)
            for j, layer in enumerate(self.layers(k))
        ]
        self.bias_places = torch.cat(ends).to(device)
        cancels = [
            self.fast and layer.cancelling_bias != 0 for k in range(self.depth) for layer in self.layers(k)
        ]
        cancelling = [here for here, cancelled in zip(ends, cancels, strict=True) if cancelled]
        self._cancelling = torch.cat(cancelling).to(device) if cancelling else self.bias_places[:0]
        self.refresh_kept()

    def zeros(self, shape: tuple[int, int]) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def layers(self, k: int) -> list[LayerPlan]:
        """The layers of level ``k``, one per member that reaches it."""
        return [member.levels[k] for member in self.members[: self.reach[k]]]

    def span(self, k: int) -> tuple[int, int]:
        """Start and end of the weights of level ``k``."""
        return self.places[0, k][0], self.places[self.reach[k] - 1, k][1]

    def norm_span(self, k: int, which: int) -> slice:
        """The slice of the gains (0) or shifts (1) of the normalisation of level ``k``."""
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
        places = self._cancelling
        self.offset[places] = torch.where(digits[places] > 0, self._offset[places], 0.0)
        self.most_digits = 0
        # Only in this case are numbers read back from a device.
        if any(member.limited for member in self.members):
            limited = digits[digits < UNLIMITED]
            # At least 1 if anything is limited, even to no digits.
            self.most_digits = max(1, int(limited.max())) if limited.numel() else 0
        # A weight of one digit is a power of two; the one nearest to a type's maximum would exceed it.
        self.high.copy_(torch.where(digits == 1, largest_power(self._highest), self._highest))

    def forget_removed(self) -> Tensor:
        """Zero the latents and averages of weights that can no longer change; returns those that can.

        A weight without digits stays at zero. It counts neither for its neuron's normalisation nor for
        anything else.

        Returns:
            bool, one per weight and bias; the biases and the constants are always among them.
        """
        stored = (self.digits > 0) & (self.kept_factor != 0)
        stored[self.bias_places] = True
        for vector in (self.latent, self.mean, self.square):
            vector[: self.n_weights].masked_fill_(~stored, 0.0)
        return stored

    def prune(self, share: float) -> bool:
        """Prune the smallest weights of each layer, ``share`` of its sparsity; whether there are any."""
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
        """(weights, biases) of member ``j`` from input to output, int64, as used in the last products."""
        weights, biases = [], []
        member = self.members[j]
        for k in range(len(member.levels) - 1, -1, -1):
            plan = member.levels[k]
            whole = self.integers[slice(*self.places[j, k])].view(plan.rows, plan.cols).cpu()
            block = (whole * member.kept[k])[: plan.layer.n_out].numpy().astype(np.int64)
            weights.append(np.ascontiguousarray(block[:, :-1].T))
            removed = (member.digits[k][: plan.layer.n_out, -1] == 0).numpy()
            biases.append(np.where(removed, plan.cancelling_bias if self.fast else 0, block[:, -1]))
        return weights, biases

    def added(self, j: int, k: int) -> Tensor:
        """What each neuron adds to its products, (n_out,), in least significant bits of its bias.

        The bias and the offset that rounds the result, unless no bias can cancel that offset.
        """
        plan = self.members[j].levels[k]
        here = slice(*self.places[j, k])
        added, offset, factor = (
            vector[here].view(plan.rows, plan.cols)[: plan.layer.n_out, -1].cpu()
            for vector in (self.weights, self.offset, self._factor)
        )
        if not (self.fast and plan.cancelling_bias):
            added = added - offset
        return torch.where(factor > 0, added / factor, 0.0)

    def _pieces(self) -> list[tuple[int, int]]:
        """(member, piece) of every piece, in the order of the vectors."""
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
    """A mask of a vector: 0 for the ``share`` of smallest numbers (the first of equals), 1 for the rest."""
    kept = torch.ones_like(sizes)
    kept[torch.sort(sizes, stable=True).indices[: int(share * sizes.numel())]] = 0
    return kept
