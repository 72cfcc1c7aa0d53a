"""Many graphs as one: shared buffers, few calls, a hand-written backward pass.

The layers of one depth (the longest path from the input) of all graphs are stacked in one matrix, features x
rows. Elementwise operations take one call for all of them; each product, pooling and merge is a separate
call. The results of a graph do not depend on its neighbours. This module imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hwnas_hls.network.architecture import INPUT, Conv2D, Dense, Pool2D
from hwnas_hls_plugins.estimators.training import adam
from hwnas_hls_plugins.estimators.training.graphs.depth import Buffers, Depth, make_depth
from hwnas_hls_plugins.estimators.training.graphs.layout import GraphLayout, Place
from hwnas_hls_plugins.estimators.training.graphs.member import GraphMember
from hwnas_hls_plugins.estimators.training.graphs.nodes import (
    ConvNode,
    DenseNode,
    MergeNode,
    Node,
    Parameters,
    PoolNode,
    Port,
)
from hwnas_hls_plugins.estimators.training.normalisation import CALIBRATIONS
from hwnas_hls_plugins.estimators.training.schedule import Number
from hwnas_hls_plugins.estimators.training.step import AnyNetwork


class GraphNetwork(AnyNetwork):
    """A group of graphs in training, with the interface of ``Network`` for the loop.

    Args:
        members: started or resumed.
        rows: batch rows.
        n_out: outputs, the same for all.
        dtype, device: of every tensor.
    """

    kernels = "torch"

    def __init__(
        self, members: Sequence[GraphMember], rows: int, n_out: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.layout: GraphLayout = GraphLayout(members, dtype, device)

        def zeros(features: int) -> Tensor:
            return torch.zeros((features, rows), dtype=dtype, device=device)

        self.buffers = Buffers(*(zeros(self.layout.n_features) for _ in range(4)))
        self.inputs = {member.source: zeros(member.plan.architecture.n_in) for member in self.layout.members}
        self.numbers: Mapping[int, int] = {}
        self.depths = [
            make_depth(self.layout, number, self.buffers) for number in range(len(self.layout.by_depth))
        ]
        for depth in self.depths:
            depth.nodes = [self._node(place) for place in depth.places]
        self.outputs = self._answers(self.depths[-1].values, self.depths[-1].gradient, n_out, rows)
        self.scratch = torch.empty_like(self.layout.latent).repeat(2)
        self.quantise()

    def save_members(self) -> None:
        self.layout.save_members()
        for depth in self.depths:
            if depth.norm is None:
                continue
            start = 0
            for place in depth.places:
                if place.plan.normalised:
                    stop = start + place.plan.matrix[0]
                    running = depth.norm.running[start:stop].cpu().clone()
                    self.members[place.member].running[place.which] = running
                    start = stop

    def _port(self, place: Place, source: int) -> Port:
        if source == INPUT:
            return Port(self.inputs[self.members[place.member].source], None)
        rows = self.layout.places[place.member, source].rows
        return Port(self.buffers.values[rows], self.buffers.gradients[rows])

    def _node(self, place: Place) -> Node:
        plan, layer = place.plan, place.plan.layer
        layout = self.layout
        sums, gradient = self.buffers.sums[place.rows], self.buffers.gradients[place.rows]
        ports = [self._port(place, source) for source in plan.sources]
        factors = [2.0 ** (plan.out_fraction - given.fraction) for given in plan.given]
        if isinstance(layer, Dense | Conv2D):
            shape = plan.matrix
            parameters = Parameters(
                layout.weights[place.weights].view(shape),
                layout.gradient[place.weights].view(shape),
                layout.weights[place.biases][:, None],
            )
            if isinstance(layer, Conv2D):
                return ConvNode(layer, ports[0], parameters, sums, gradient)
            return DenseNode(ports[0], parameters, sums, gradient)
        if isinstance(layer, Pool2D):
            return PoolNode(layer, ports[0], factors[0], sums, gradient)
        return MergeNode(plan, list(zip(ports, factors, strict=True)), sums, gradient)

    # One step

    def number_sources(self, numbers: Mapping[int, int]) -> None:
        self.numbers = numbers

    def quantise(self) -> None:
        layout = self.layout
        torch.mul(layout.latent[: layout.n_weights], layout.unit, out=layout.integers)
        for depth in self.depths:
            if depth.norm is not None:
                depth.norm.fold(layout.integers, depth.span)
        layout.integers.add_(0.5).floor_()
        torch.maximum(layout.integers, layout.low, out=layout.integers)
        torch.minimum(layout.integers, layout.high, out=layout.integers)
        torch.mul(layout.integers, layout.kept_factor, out=layout.weights)

    def running(self) -> list[Tensor]:
        return [depth.norm.running for depth in self.depths if depth.norm is not None]

    def _take(self, inputs: Sequence[Tensor]) -> None:
        for source, held in self.inputs.items():
            held.copy_(inputs[self.numbers[source]][:-1])

    def forward(self, inputs: Sequence[Tensor], *, training: bool = False, momentum: float = 0.0) -> None:
        self._take(inputs)
        for depth in self.depths:
            for node in depth.nodes:
                node.forward()
            if momentum > 0 and depth.norm is not None:
                depth.norm.measure(depth.sums, self._counted(depth), momentum)
            depth.activate(exactly=not self.layout.fast)
            if training:
                depth.drop()

    def draw(self) -> None:
        generators = [member.generator for member in self.members]
        for depth in self.depths:
            depth.draw(generators)

    def _counted(self, depth: Depth) -> Tensor:
        """Weights of a depth in least significant bits, before folding and rounding."""
        return self.layout.latent[depth.span] * self.layout.unit[depth.span]

    def lose(self, targets: Tensor, *, classes: bool) -> None:
        self.buffers.gradients.zero_()
        if classes:
            self.outputs.cross_entropy(targets)
        else:
            self.outputs.squares(targets)

    def backward(self, inputs: Sequence[Tensor], leak: Number = 0.0) -> None:
        for depth in reversed(self.depths):
            depth.pass_back(leak)
            if depth.norm is not None:
                depth.norm.backward(depth.gradient, depth.sums)
            for node in depth.nodes:
                node.backward()
        self.layout.collect_biases(torch.sum(self.buffers.gradients, 1))

    def calibrate(self, inputs: Sequence[Tensor]) -> None:
        self._take(inputs)
        for depth in self.depths:
            if depth.norm is not None:
                for _ in range(CALIBRATIONS):
                    for node in depth.nodes:
                        node.forward()
                    depth.norm.measure(depth.sums, self._counted(depth), 1.0)
                    self.quantise()
            for node in depth.nodes:
                node.forward()
            depth.activate(exactly=not self.layout.fast)

    def update(self, beta1: float, beta2: float, left: Number, size: Number) -> None:
        adam.update(self.layout, self.scratch, beta1, beta2, left, size)
        self.quantise()
