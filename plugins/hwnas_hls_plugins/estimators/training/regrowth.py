"""Weights that a removal of adders gives back: removed ones whose gradient is consistent.

A round of removal takes a few more adders than it has to, and spends them on new connections. This module
imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.digits import largest_power
from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.member import ChainMember
from hwnas_hls_plugins.estimators.training.rows import InputKind, Rows

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.training.network import Network

#: Batches of rows whose gradients are compared.
_BATCHES = 16
#: Least consistency of the gradient: the squared mean over the mean square of the batches. That of a gradient
#: with an expectation of zero is a sixteenth.
_LEAST = 0.3
#: Separates its random numbers from others of a round.
_SEED = 1
#: A new weight, over the median of its neuron's weights.
_SIZE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """Gradients at all weights of a group, also at removed ones, (n_weights,).

    Args:
        mean, square: of the gradients of several batches, and of their squares.
    """

    mean: Tensor
    square: Tensor

    @classmethod
    def of(
        cls,
        network: Network,
        rows: Rows,
        kinds: Sequence[InputKind],
        seeds: tuple[int, int],
        wanted: Callable[[Tensor], Tensor],
        *,
        classes: bool,
    ) -> Gradients:
        """Compute the gradients.

        Args:
            kinds: input kinds that the group reads.
            seeds: of the rows, the same for all networks of a run.
            wanted: targets in the form that the loss expects.
        """
        rng = np.random.default_rng([*seeds, _SEED])
        count = _BATCHES * network.rows
        # A small table is read several times.
        passes = -(-count // len(rows))
        order = np.concatenate([rng.permutation(len(rows)) for _ in range(passes)])[:count]
        inputs, targets = rows.read(kinds, torch.as_tensor(order, device=rows.features.device))
        targets = wanted(targets)
        layout = network.layout
        mean = torch.zeros_like(layout.gradient[: layout.n_weights])
        square = torch.zeros_like(mean)
        for number in range(_BATCHES):
            here = slice(number * network.rows, (number + 1) * network.rows)
            batch = [copy[:, here] for copy in inputs]
            network.forward(batch)
            network.lose(targets[:, here], classes=classes)
            network.backward(batch)
            gradient = layout.gradient[: layout.n_weights]
            mean += gradient / _BATCHES
            square += gradient.square() / _BATCHES
        return cls(mean, square)


def removed_weights(member: ChainMember) -> list[Tensor]:
    """The weights that have no digits left, bool, one tensor per level like ``ChainMember.digits``."""
    return [digits == 0 for digits in member.digits]


def regrow(
    layout: Layout,
    j: int,
    room: float,
    gradients: Gradients,
    prices: Sequence[Tensor],
    removed: Sequence[Tensor],
) -> None:
    """Give removed weights of member ``j`` one digit each, as many as ``room`` pays for.

    The most consistent gradients per adder bit come first, of weights from live neurons or features that are
    read. A new weight has half of the size that is usual for its neuron, against the gradient.

    Args:
        room: adder bits.
        prices: adder bits of a digit, one tensor per level (from the output): one number, or one per column.
        removed: the weights that may come back, see :func:`removed_weights`.
    """
    member = layout.members[j]
    opens = [
        _Open.of(layout, (j, k), gradients, price, gone[: member.levels[k].layer.n_out, :-1])
        for k, (price, gone) in enumerate(zip(prices, removed, strict=True))
        # The unit of a normalised weight changes with its neuron; a digit of shared multipliers is free.
        if not member.levels[k].normalised and float(price.max()) > 0.0
    ]
    if not opens:
        return
    rate = torch.cat([one.consistency / one.price for one in opens])
    price = torch.cat([one.price for one in opens])
    order = torch.argsort(rate, descending=True, stable=True)
    affordable = int((torch.cumsum(price[order].double(), 0) <= room).sum())
    taken = torch.zeros_like(rate, dtype=torch.bool)
    taken[order[:affordable]] = True
    for one, here in zip(opens, torch.split(taken, [len(one.price) for one in opens]), strict=True):
        one.give_back(layout, here, gradients)


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """The weights of one level that may come back.

    Args:
        level: (member, level from the output).
        row, column: their places in the matrix.
        consistency: of the gradient of each.
        price: adder bits of a digit of each.
        size: what a new weight has, a power of two.
    """

    level: tuple[int, int]
    row: Tensor
    column: Tensor
    consistency: Tensor
    price: Tensor
    size: Tensor

    @classmethod
    def of(
        cls, layout: Layout, level: tuple[int, int], gradients: Gradients, price: Tensor, gone: Tensor
    ) -> _Open:
        """The weights of a level; ``gone``: bool (n_out, n_in)."""
        j, k = level
        member, plan = layout.members[j], layout.members[j].levels[k]
        n_out, n_in = gone.shape
        mean, square, own = (
            vector[slice(*layout.places[level])].view(plan.rows, plan.cols)[:n_out, :n_in].cpu()
            for vector in (gradients.mean, gradients.square, layout.integers)
        )
        open_ = gone & (member.kept[k][:n_out, :n_in] != 0)
        if k + 1 < len(member.levels):
            before = member.levels[k + 1]
            weights = layout.integers[slice(*layout.places[j, k + 1])].view(before.rows, before.cols).cpu()
            open_ &= (weights[:n_in, :-1] != 0).any(1)
        elif member.features:
            open_ &= torch.tensor([kind is not None for kind in member.features])
        consistency = torch.where(square > 0, mean.square() / square, 0.0)
        row, column = torch.nonzero(open_ & (consistency > _LEAST), as_tuple=True)
        prices = price.expand(plan.cols)[column] if price.ndim else price.expand(len(column))
        return cls(level, row, column, consistency[row, column], prices, _usual(own)[row])

    def give_back(self, layout: Layout, taken: Tensor, gradients: Gradients) -> None:
        """Give the weights in ``taken``, bool, a digit and their first value."""
        j, k = self.level
        member = layout.members[j]
        row, column = self.row[taken], self.column[taken]
        if not len(row):
            return
        member.digits[k][row, column] = 1.0
        member.limited = True
        places = (layout.places[self.level][0] + row * member.levels[k].cols + column).to(layout.device)
        size = self.size[taken].to(layout.device)
        layout.latent[places] = -torch.copysign(size, gradients.mean[places]) / layout.unit[places]
        layout.mean[places] = 0.0
        layout.square[places] = gradients.square[places]


def _usual(weights: Tensor) -> Tensor:
    """The power of two up to half of the median size of each neuron's weights, at least 1, (n_out,)."""
    sizes = torch.where(weights != 0, weights.abs(), torch.nan).nanmedian(1).values
    halved = (_SIZE * torch.nan_to_num(sizes, nan=1.0)).clamp_min(1.0)
    return largest_power(halved)
