"""Removal of adders during training: the least salient signed digits, some per round.

A network is first trained with all its digits. Each round then removes a share of them, those with the
smallest expected increase of the loss per adder bit, and continues training. A weight whose digits
are not limited may regain one in training; the next round removes it again if its saliency is low.

This module imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from hwnas_hls.network.features import FeatureTypes
from hwnas_hls_plugins.estimators.feature_bits import HIGH_BIT, LOW_BIT, UNREAD, changed, digit_price
from hwnas_hls_plugins.estimators.training.digits import count_digits, keep_digits
from hwnas_hls_plugins.estimators.training.finished import finished
from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.member import AnyMember, ChainMember
from hwnas_hls_plugins.estimators.training.network import Network
from hwnas_hls_plugins.estimators.training.regrowth import regrow, removed_weights
from hwnas_hls_plugins.estimators.training.snapshots import (
    Snapshot,
    SnapshotRefinement,
    is_behind,
    worthwhile,
)

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.task import Dataset, Split
    from hwnas_hls_plugins.estimators.training.config import TrainingConfig
    from hwnas_hls_plugins.estimators.training.plan import Plan
    from hwnas_hls_plugins.estimators.training.regrowth import Gradients
    from hwnas_hls_plugins.estimators.training.schedule import Schedule
    from hwnas_hls_plugins.estimators.training.step import AnyNetwork

#: A removal ends after this many designs in a row that are far behind the known front or below the floor.
PATIENCE = 3
#: A network is compared with the front as if it kept its score down to this share of its adders. A large
#: network is always behind at first, because it still has adders that it does not need.
HOPE = 0.15


def digit_bits(plan: Plan, features: FeatureTypes = ()) -> list[Tensor]:
    """The adder width per weight digit of each layer, in bits (about one LUT each).

    0 for layers with shared multipliers, where a digit saves nothing.

    Args:
        features: types of the input features, if each has its own.

    Returns:
        one tensor per layer: (n_in + 1,) with the bias last, or one number for all of them.
    """
    prices = [
        torch.tensor(0.0 if layer.strategy == "Resource" else source.width + 1.0)
        for source, layer in plan.architecture.layer_inputs()
    ]
    if features and prices[0] > 0:
        own = [digit_price(kind, plan.architecture.input) for kind in features]
        prices[0] = torch.tensor([*own, max(own)])
    return prices


def adder_bits(layout: Layout, j: int) -> float:
    """The total adder bits of member ``j``, one adder per weight digit and per bias."""
    prices = digit_bits(layout.members[j].plan, layout.members[j].features)[::-1]
    blocks = [_block(layout, j, k) for k in range(len(prices))]
    return sum(float((price * _digits(block)).sum()) for price, block in zip(prices, blocks, strict=True))


def take(layout: Layout, j: int, target: float, feature_harm: Tensor | None = None) -> None:
    """Remove the least salient digits of member ``j`` until ``target`` adder bits remain.

    Saliency is Adam's average of the squared gradient times the squared change of the weight: the
    diagonal of the empirical Fisher matrix instead of the Hessian (optimal brain damage, LeCun et al.,
    1990). Digits are ranked by saliency per adder bit. Bits of input features compete with the digits.

    Args:
        feature_harm: see :func:`~hwnas_hls_plugins.estimators.training.feature_harm.harms`.
    """
    member = layout.members[j]
    prices = digit_bits(member.plan, member.features)[::-1]
    blocks = [_block(layout, j, k) for k in range(len(prices))]
    used = [None, *((block[:, :-1] != 0).any(0) for block in blocks)]
    layers = [
        _Removals.of(layout, (j, k), *parts)
        for k, parts in enumerate(zip(blocks, prices, used, strict=False))
    ]
    total = sum(float((layer.digits * layer.price).sum()) for layer in layers)
    if total <= target:
        return
    flat_saved = torch.cat([layer.saved for layer in layers])
    flat_harm = torch.cat([layer.harm for layer in layers])
    if feature_harm is not None:
        count = layers[-1].digits_of_inputs()
        widths = torch.tensor([0.0 if kind is None else float(kind.width) for kind in member.features])
        price = prices[-1][:-1]
        gone = count * price
        feature_saved = torch.stack(
            [*(torch.where(widths > 1, count * bit, gone) for bit in (LOW_BIT, HIGH_BIT)), gone]
        )
        flat_saved = torch.cat([flat_saved, feature_saved.reshape(-1)])
        flat_harm = torch.cat([flat_harm, feature_harm.to(flat_harm.dtype).reshape(-1)])
    rate = torch.where(flat_saved > 0, flat_harm / flat_saved.clamp_min(1e-9), torch.inf)
    order = torch.sort(rate, stable=True).indices
    gone = torch.cumsum(flat_saved[order].double(), 0)
    taken = torch.zeros_like(flat_saved, dtype=torch.bool)
    taken[order[: int((gone < total - target).sum()) + 1]] = True
    taken &= flat_saved > 0
    n_digits = sum(len(layer.places) for layer in layers)
    pieces = torch.split(taken[:n_digits], [len(layer.places) for layer in layers])
    for k, (here, layer) in enumerate(zip(pieces, layers, strict=True)):
        own = member.digits[k].view(-1)
        own[layer.places[here]] = layer.left[here]
        member.limited = True
    # After the digits, because the weights of an unread feature keep no digits.
    if feature_harm is not None:
        _narrow(member, rate[n_digits:].view(feature_harm.shape), taken[n_digits:].view(feature_harm.shape))


def _narrow(member: ChainMember, rate: Tensor, taken: Tensor) -> None:
    """Remove bits of features: of each, by its cheapest selected change, or all bits if that is selected.

    Args:
        rate, taken: (changes, n_in), the saliency per adder bit, and whether a change is selected.
    """
    features = list(member.features)
    for number, kind in enumerate(features):
        chosen = torch.nonzero(taken[:, number]).flatten().tolist()
        if kind is None or not chosen:
            continue
        best = UNREAD if UNREAD in chosen else min(chosen, key=lambda place: float(rate[place, number]))
        features[number] = changed(kind, best)
        if features[number] is None:
            member.digits[-1][:, number] = 0.0
            member.limited = True
    member.features = tuple(features)


@dataclass(frozen=True, slots=True, eq=False)
class _Removals:
    """The possible removals of one digit from each weight of a layer that is not zero.

    Args:
        places: places of the weights in the layer's matrix, row by row.
        column: column of each; that of the biases is the last.
        read: whether the next layer reads its neuron.
        digits: their digits; a bias counts as one.
        price: adder bits of a digit of each weight.
        left: digits left after a removal.
        saved: adder bits saved by a removal.
        harm: its saliency.
        n_in: inputs of the layer.
    """

    places: Tensor
    column: Tensor
    read: Tensor
    digits: Tensor
    price: Tensor
    left: Tensor
    saved: Tensor
    harm: Tensor
    n_in: int

    @classmethod
    def of(
        cls, layout: Layout, level: tuple[int, int], block: Tensor, price: Tensor, used: Tensor | None
    ) -> _Removals:
        """The removals of a layer.

        Args:
            level: (member, level from the output).
            block: integers of the layer, (n_out, n_in + 1).
            price: adder bits per digit, one per column, or one for all.
            used: which of its neurons the next layer reads; ``None`` for the last layer.
        """
        columns = block.shape[1]
        flat = block.reshape(-1)
        places = torch.nonzero(flat).flatten()
        row, column = places // columns, places % columns
        is_bias = column == columns - 1
        whole = flat[places]
        digits = torch.where(is_bias, 1.0, count_digits(whole).to(whole.dtype))
        fewer = digits - 1
        left = whole.clone()
        keep_digits(left, fewer, int(fewer.max()) if len(fewer) else 0)
        left[is_bias] = 0.0
        here = slice(*layout.places[level])
        square, factor = (vector[here].cpu()[places] for vector in (layout.square, layout.kept_factor))
        harm = square * ((whole - left) * factor) ** 2
        read = torch.ones_like(is_bias) if used is None else used[row]
        # An unused neuron needs no adders.
        harm[~read] = 0.0
        prices = price.expand(columns)[column] if price.ndim else price.expand(len(places))
        # A number with fewer digits kept may have fewer still.
        kept = torch.where(is_bias, 0.0, count_digits(left).to(whole.dtype))
        saved = (digits - kept) * prices
        return cls(places, column, read, digits, prices, fewer, saved, harm, columns - 1)

    def digits_of_inputs(self) -> Tensor:
        """The digits that read each input, (n_in,)."""
        counted = self.read & (self.column < self.n_in)
        none = torch.zeros(self.n_in, dtype=self.digits.dtype)
        return none.index_add_(0, self.column[counted], self.digits[counted])


def _digits(block: Tensor) -> Tensor:
    """The number of digits of each weight; a constant counts as one."""
    digits = count_digits(block).to(block.dtype)
    digits[:, -1] = (block[:, -1] != 0).to(block.dtype)
    return digits


def _block(layout: Layout, j: int, k: int) -> Tensor:
    """The integers of a layer as used in its products, (n_out, n_in + 1), the constants last.

    These are biases with the offsets that round the results.
    """
    member, plan = layout.members[j], layout.members[j].levels[k]
    whole = layout.integers[slice(*layout.places[j, k])].view(plan.rows, plan.cols).cpu()
    block = (whole * member.kept[k])[: plan.layer.n_out]
    block[:, -1] = layout.added(j, k)
    return block


class Trainer(Protocol):
    """The part of :class:`~hwnas_hls_plugins.estimators.training.loop.Training` that a descent uses."""

    config: TrainingConfig
    schedule: Schedule
    dataset: Dataset
    train_split: Split
    sign: float
    seed: int
    kept: Sequence[Sequence[float]]
    front: Sequence[tuple[float, float]]

    def signed_score(self, design: Design) -> float: ...
    def floor(self, snapshots: Sequence[Snapshot]) -> float: ...
    def groups(self, members: Sequence[AnyMember]) -> list[list[AnyMember]]: ...
    def chains(self, members: Sequence[ChainMember]) -> Network: ...
    def descend(self, network: Network, round_: int) -> None: ...
    def scores(self, network: AnyNetwork) -> dict[int, float]: ...
    def give_inputs(self, member: ChainMember) -> None: ...
    def feature_harms(self, network: Network) -> list[Tensor]: ...
    def gradients(self, network: Network, round_: int) -> Gradients: ...


class Descent:
    """The removal of adders from trained networks.

    Args:
        training: the training of the networks.
        members: networks trained with all their adders; each gives a snapshot at every requested share.
        progress: called after each round with the number of networks left and the share of their adders.
    """

    def __init__(
        self, training: Trainer, members: Sequence[ChainMember], progress: Callable[[int, float], None]
    ) -> None:
        self.training, self._progress = training, progress
        self.alive = sorted(members, key=lambda member: member.index)
        self.found: dict[int, list[Snapshot]] = {member.index: [] for member in members}
        self._dense: dict[int, float] = {}
        self._refinement = SnapshotRefinement(
            training.dataset, training.train_split, training.config, training.signed_score
        )
        for member in self.alive:
            architecture = member.plan.architecture
            if architecture.narrow_features and architecture.allows_feature_types:
                member.features = (architecture.input.plain,) * architecture.n_in
                training.give_inputs(member)
        self._wanted = {
            member.index: {training.schedule.round_of(kept): kept for kept in training.kept[member.index]}
            for member in members
        }

    def run(self) -> dict[int, list[Snapshot]]:
        """Remove adders from all networks; returns index -> snapshots, in the order of the shares."""
        done = 0
        while self.alive:
            # To the next round with a requested snapshot.
            end = min(number for m in self.alive for number in self._wanted[m.index] if number >= done)
            for group in self.training.groups(self.alive):
                network = self.training.chains([m for m in group if isinstance(m, ChainMember)])
                self._take_down(network, done, end)
                self._snap(network, end)
                network.save_members()
            done = end + 1
            self.alive = [member for member in self.alive if self._goes_on(member, end)]
        self._progress(0, 0.0)
        return {index: self._widened(snapshots) for index, snapshots in self.found.items()}

    def _widened(self, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        """All snapshots of a network; those that are worth a record have wider types."""
        worth = worthwhile(snapshots, self.training.front, self.training.floor(snapshots))
        return [
            self._refinement.widened(one) if is_worth else one
            for one, is_worth in zip(snapshots, worth, strict=True)
        ]

    def _take_down(self, network: Network, done: int, end: int) -> None:
        """Run the rounds up to number ``end``; round 0 is the network with all its adders."""
        training, layout = self.training, network.layout
        if done == 0:
            training.descend(network, 0)
            for j, member in enumerate(network.members):
                self._dense[member.index] = adder_bits(layout, j)
        for number in range(max(done, 1), end + 1):
            featured = any(member.features for member in network.members)
            harms = training.feature_harms(network) if featured else [None] * len(network.members)
            regrown = training.schedule.regrown(number)
            gradients = training.gradients(network, number) if regrown else None
            for j, member in enumerate(layout.members):
                target = self._dense[member.index] * training.schedule.share_after(number)
                removed = removed_weights(member)
                take(layout, j, target * (1 - regrown), harms[j] if member.features else None)
                if gradients is not None:
                    prices = digit_bits(member.plan, member.features)[::-1]
                    regrow(layout, j, target * regrown, gradients, prices, removed)
                if member.features:
                    training.give_inputs(member)
            layout.refresh_kept()
            network.arithmetic.quantise()
            training.descend(network, number)
            self._progress(len(self.alive), training.schedule.share_after(number))

    def _snap(self, network: Network, number: int) -> None:
        training = self.training
        wanted = [j for j, m in enumerate(network.members) if number in self._wanted[m.index]]
        scores = training.scores(network) if wanted else {}
        epochs = training.schedule.epochs_before(number + 1)
        snapshots = []
        for j in wanted:
            index = network.members[j].index
            design = finished(network.layout, j, training.dataset, training.seed, epochs)
            bits = adder_bits(network.layout, j)
            score = training.sign * scores[index]
            snapshots.append(Snapshot(self._wanted[index][number], design, score, bits))
        for j, snapshot in zip(wanted, self._refinement.refined(snapshots, training.front), strict=True):
            self.found[network.members[j].index].append(snapshot)

    def _goes_on(self, member: ChainMember, end: int) -> bool:
        if not any(number > end for number in self._wanted[member.index]):
            return False
        found = self.found[member.index]
        last = found[-PATIENCE:]
        if len(last) < PATIENCE:
            return True
        floor = self.training.floor(found)
        hope = HOPE * self._dense[member.index]
        hopes = [replace(one, adder_bits=min(one.adder_bits, hope)) for one in last]
        return not all(one.score < floor or is_behind(one, self.training.front) for one in hopes)
