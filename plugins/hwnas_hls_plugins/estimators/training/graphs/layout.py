"""The memory layout of a group of graphs. This module imports torch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls_plugins.estimators.training.graphs.member import GraphMember
from hwnas_hls_plugins.estimators.training.graphs.plan import NodePlan
from hwnas_hls_plugins.estimators.training.layout import smallest_dropped
from hwnas_hls_plugins.estimators.training.totals import Totals
from hwnas_hls_plugins.estimators.training.vector import TrainedVector

_CONSTANTS = ("unit", "low", "high", "factor", "floor", "ceiling")


def _nothing() -> slice:
    return slice(0)


@dataclass(slots=True, eq=False)
class Place:
    """The place of one layer of one graph in the group's buffers.

    Args:
        member, number: the graph, and the number of the layer in it.
        plan: plan of the layer.
        rows: slice of its features among those of the group.
        weights, biases: slices of its parameters among those of the group; empty if it has none.
        which: its number among the layers with weights of its graph.
    """

    member: int
    number: int
    plan: NodePlan
    rows: slice
    weights: slice = field(default_factory=_nothing)
    biases: slice = field(default_factory=_nothing)
    which: int = -1


class GraphLayout(TrainedVector[GraphMember]):
    """The trained parameters of graphs: weights and biases by depth, then gains, shifts, temperatures.

    Args:
        members: started or resumed.
        dtype, device: of every tensor.

    Attributes:
        by_depth: the layers of each depth, in stacking order.
        places: (member, number of the layer) -> its place.
        spans: per depth, the span of its parameters among those of the group.
    """

    def __init__(self, members: Sequence[GraphMember], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(members, dtype, device)
        self._stand()
        self._lay_out()
        rows, owner = self._biases()
        at, which = np.unique(owner, return_inverse=True)
        self._bias_rows, self._bias_at = self.index(rows), self.index(at)
        self._by_bias = Totals(which, len(at), device)

    def index(self, numbers: NDArray[np.int64]) -> Tensor:
        return torch.as_tensor(numbers, device=self.device)

    @property
    def n_features(self) -> int:
        return int(self.by_depth[-1][-1].rows.stop)

    def _stand(self) -> None:
        """Assign features to every layer; the outputs of all graphs are at the greatest depth."""
        self.places: dict[tuple[int, int], Place] = {}
        most = max(layer.depth for member in self.members for layer in member.plan.layers)
        by_depth: list[list[Place]] = [[] for _ in range(most + 2)]
        for j, member in enumerate(self.members):
            last = len(member.plan.layers) - 1
            which = 0
            for number, plan in enumerate(member.plan.layers):
                place = Place(j, number, plan, slice(0))
                if plan.has_weights:
                    place.which, which = which, which + 1
                by_depth[most + 1 if number == last else plan.depth].append(place)
                self.places[j, number] = place
        start = 0
        found = [places for places in by_depth if places]
        for place in itertools.chain(*found):
            place.rows = slice(start, start + place.plan.layer.n_out)
            start = place.rows.stop
        self.by_depth = found

    def _lay_out(self) -> None:
        """Pieces of all members in one vector: weights and biases by depth, gains, shifts, temperatures."""
        pieces: list[tuple[int, int]] = []
        parts: list[dict[str, NDArray[np.float64]]] = []
        at = 0
        self.spans: list[slice] = []
        for places in self.by_depth:
            begin = at
            for place in places:
                if not place.plan.has_weights:
                    continue
                rows, cols = place.plan.matrix
                pieces += [(place.member, 2 * place.which), (place.member, 2 * place.which + 1)]
                place.weights = slice(at, at + rows * cols)
                place.biases = slice(place.weights.stop, place.weights.stop + rows)
                at = place.biases.stop
                parts.append(place.plan.constants())
            self.spans.append(slice(begin, at))
        if self.normalised:
            for places, kind in itertools.product(self.by_depth, (0, 1)):
                for place in places:
                    if place.plan.normalised:
                        base = 2 * len(self.members[place.member].weighted)
                        pieces.append((place.member, base + 2 * place.which + kind))
        pieces += [(j, len(member.latent) - 1) for j, member in enumerate(self.members)]
        self._hold(pieces)
        self._bound({name: np.concatenate([part[name] for part in parts]) for name in _CONSTANTS})
        self.kept_factor.copy_(self._factor)
        self.refresh_kept()

    def refresh_kept(self) -> None:
        """Copy the members' pruning masks."""
        for place in self.weighted():
            kept = self.members[place.member].kept[place.which].reshape(-1).to(self.device)
            torch.mul(self._factor[place.weights], kept, out=self.kept_factor[place.weights])

    def _biases(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The features that have a bias, and the position of each bias."""
        rows, at = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for place in self.weighted():
            if place.plan.weighted.bias is not None:
                rows.append(np.arange(place.rows.start, place.rows.stop))
                own = np.arange(place.biases.start, place.biases.stop)
                at.append(np.tile(own, place.plan.positions))
        return np.concatenate(rows), np.concatenate(at)

    def weighted(self) -> list[Place]:
        return [place for place in itertools.chain(*self.by_depth) if place.plan.has_weights]

    def prune(self, share: float) -> bool:
        """Prune the smallest weights of each layer, ``share`` of its sparsity; whether there are any."""
        touched = False
        for place in self.weighted():
            sparsity = place.plan.sparsity
            if sparsity <= 0:
                continue
            touched = True
            body = self.latent[place.weights].abs().cpu()
            kept = smallest_dropped(body, sparsity * share)
            self.members[place.member].kept[place.which] = kept.view(place.plan.matrix)
        return touched

    def collect_biases(self, sums: Tensor) -> None:
        """Compute the gradients of the biases: those of their features, summed over the batch."""
        totals = self._by_bias(sums.index_select(0, self._bias_rows))
        self.gradient.index_copy_(0, self._bias_at, totals)

    def exported(self, j: int) -> tuple[list[NDArray[np.int64] | None], list[NDArray[np.int64] | None]]:
        """(weights, biases) of member ``j``, one per layer, int64, as used in forward."""
        weights: list[NDArray[np.int64] | None] = []
        biases: list[NDArray[np.int64] | None] = []
        for number, plan in enumerate(self.members[j].plan.layers):
            place = self.places[j, number]
            if not plan.has_weights:
                weights.append(None)
                biases.append(None)
                continue
            whole = self.integers[place.weights].view(plan.matrix).cpu() * self.members[j].kept[place.which]
            shaped = whole.t().reshape(plan.weighted.weight_shape)
            weights.append(np.ascontiguousarray(shaped.numpy().astype(np.int64)))
            bias = self.integers[place.biases].cpu().numpy().astype(np.int64)
            biases.append(None if plan.weighted.bias is None else bias)
        return weights, biases
