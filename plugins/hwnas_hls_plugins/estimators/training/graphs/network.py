"""Many graphs as one: shared buffers, few calls, a hand-written backward pass.

Layers of one depth (the longest way from the input) of all graphs stand one below the other in
one matrix, features x rows. Whatever is done element by element covers them all in one call;
products, pooling and merges are calls of their own each. A graph's numbers depend on nothing but
itself. Loaded only when something is trained, hence torch at the top.
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
from hwnas_hls_plugins.estimators.training.outputs import Outputs
from hwnas_hls_plugins.estimators.training.schedule import Number


class GraphNetwork:
    """A group of graphs in training; to the loop it is what ``Network`` is.

    Args:
        members: started or resumed.
        rows: batch rows.
        n_out: outputs, the same for all.
        dtype, device: of every tensor.
    """

    #: What computes the steps.
    kernels = "torch"

    def __init__(
        self, members: Sequence[GraphMember], rows: int, n_out: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.layout = GraphLayout(members, dtype, device)
        self.members, self.normalised = self.layout.members, self.layout.normalised

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
        final, count = self.depths[-1], len(self.members)
        shape = (count, n_out, rows)
        self.outputs = Outputs(
            final.values.view(shape),
            final.gradient.view(shape),
            self.layout.tensor([m.plan.temperature for m in self.members]).reshape(-1, 1, 1),
            self.layout.latent[-count:],
            self.layout.gradient[-count:],
        )
        self.logits = self.outputs.logits
        self.scratch = torch.empty_like(self.layout.latent).repeat(2)
        self.quantise()

    def save_members(self) -> None:
        """Copy the trained parameters to the members."""
        for (j, piece), here in self.layout.pieces.items():
            for name in ("latent", "mean", "square"):
                getattr(self.members[j], name)[piece] = getattr(self.layout, name)[here].cpu().clone()
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
        """Which of the input copies handed to forward and backward each graph reads."""
        self.numbers = numbers

    def quantise(self) -> None:
        """Latents -> integers on the weights' grids -> the numbers that forward multiplies with."""
        layout = self.layout
        torch.mul(layout.latent[: layout.n_weights], layout.unit, out=layout.integers)
        for depth in self.depths:
            if depth.norm is not None:
                depth.norm.fold(layout.integers, depth.span)
        layout.integers.add_(0.5).floor_()
        torch.maximum(layout.integers, layout.low, out=layout.integers)
        torch.minimum(layout.integers, layout.high, out=layout.integers)
        torch.mul(layout.integers, layout.kept_factor, out=layout.weights)

    def _take(self, inputs: Sequence[Tensor]) -> None:
        for source, held in self.inputs.items():
            held.copy_(inputs[self.numbers[source]][:-1])

    def forward(self, inputs: Sequence[Tensor], *, training: bool = False, momentum: float = 0.0) -> None:
        """Run one batch: ``inputs`` holds one (n_in + 1, rows) matrix a quantised copy.

        Args:
            training: drop what :meth:`draw` has drawn.
            momentum: share of this batch in the running statistics; 0 leaves them alone.
        """
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
        """Draw what the next step drops, from input to output."""
        generators = [member.generator for member in self.members]
        for depth in self.depths:
            depth.draw(generators)

    def _counted(self, depth: Depth) -> Tensor:
        """Weights of a depth in their least significant bits, neither folded nor rounded."""
        return self.layout.latent[depth.span] * self.layout.unit[depth.span]

    def lose(self, targets: Tensor, *, classes: bool) -> None:
        """Gradient of the loss at the outputs, up to a factor a graph (Adam sees none).

        Args:
            targets: (n_out, rows): one-hot classes (cross entropy) or standardised values (squares).
        """
        self.buffers.gradients.zero_()
        if classes:
            self.outputs.cross_entropy(targets)
        else:
            self.outputs.squares(targets)

    def backward(self, inputs: Sequence[Tensor], leak: Number = 0.0) -> None:
        """Gradients of all trained numbers, straight through every rounding.

        ``leak`` is the share of the gradient that passes where a sum is out of bounds: without it
        a neuron that is never in them stays dead. ``inputs`` are those of the last forward.
        """
        for depth in reversed(self.depths):
            depth.pass_back(leak)
            if depth.norm is not None:
                depth.norm.backward(depth.gradient, depth.sums)
            for node in depth.nodes:
                node.backward()
        self.layout.collect_biases(torch.sum(self.buffers.gradients, 1))

    def calibrate(self, inputs: Sequence[Tensor]) -> None:
        """Start batch normalisation from the statistics of one batch, depth by depth."""
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
        """One step of AdamW, see ``Arithmetic.update``."""
        adam.update(self.layout, self.scratch, beta1, beta2, left, size)
        self.quantise()

    def state(self) -> list[Tensor]:
        """All that a step leaves to the next one."""
        layout = self.layout
        norms = [depth.norm.running for depth in self.depths if depth.norm is not None]
        held = [layout.latent, layout.mean, layout.square, layout.gradient, layout.integers, layout.weights]
        return [*held, *norms]

    def settle(self) -> None:
        """See :func:`~hwnas_hls_plugins.estimators.training.adam.settle`."""
        adam.settle(self.layout)

    def prune(self, share: float) -> None:
        """Zero the smallest weights of each layer, ``share`` of its sparsity."""
        if self.layout.prune(share):
            self.layout.refresh_kept()
            self.quantise()
