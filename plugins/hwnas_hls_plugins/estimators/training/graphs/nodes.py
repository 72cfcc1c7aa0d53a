"""Forward and backward computation of the layers of a graph, on shared buffers.

Matrices are features x batch rows; images are stored channels last, as everywhere else.
Sums of products are exact in any order, as long as they have fewer bits than the float's significand.
This module imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hwnas_hls.network.architecture import Conv2D, Pool2D
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.training.graphs.plan import NodePlan
from hwnas_hls_plugins.estimators.training.quantiser import on_grid


@dataclass(slots=True, eq=False)
class Port:
    """One end of an edge: the values that a layer produces, and the sum of their gradients.

    Args:
        values: (features, rows).
        gradient: of the same shape; every layer that reads the values adds to it. ``None`` at the
            network's input.
    """

    values: Tensor
    gradient: Tensor | None


@dataclass(slots=True, eq=False)
class Parameters:
    """A layer's parameters as operands of its products, all views of the group's buffers.

    Args:
        weights, weight_gradient: (outputs of one position, products of one output).
        bias: (outputs of one position, 1).
    """

    weights: Tensor
    weight_gradient: Tensor
    bias: Tensor


class Node(Protocol):
    """The computation of one layer."""

    def forward(self) -> None:
        """Compute the sums from the values of the sources."""
        ...

    def backward(self) -> None:
        """Compute the gradients of weights and sources from the gradient of the sums."""
        ...


class DenseNode:
    """A matrix product.

    Args:
        source: its input.
        sums, gradient: (n_out, rows), its output before the activation, and the gradient there.
    """

    def __init__(self, source: Port, parameters: Parameters, sums: Tensor, gradient: Tensor) -> None:
        self.source, self.parameters, self.sums, self.gradient = source, parameters, sums, gradient
        self._turned_values = source.values.t()
        self._turned_weights = parameters.weights.t()

    def forward(self) -> None:
        parameters = self.parameters
        torch.addmm(parameters.bias, parameters.weights, self.source.values, out=self.sums)

    def backward(self) -> None:
        torch.mm(self.gradient, self._turned_values, out=self.parameters.weight_gradient)
        if self.source.gradient is not None:
            self.source.gradient.addmm_(self._turned_weights, self.gradient)

    def lossy(self, step: float, accum: FixedType) -> Tensor:
        """The sums with every product cast to an accumulator, not yet limited to its range.

        Args:
            step: value of its least significant bit in the unit of the sums.
        """
        parameters, values = self.parameters, self.source.values
        total = on_grid(parameters.bias / step, accum).expand(-1, values.shape[1]).clone()
        for column in range(values.shape[0]):
            total += on_grid(parameters.weights[:, column, None] * values[column] / step, accum)
        return total


class ConvNode:
    """A convolution, as a product with the windows of the image as columns."""

    def __init__(
        self, layer: Conv2D, source: Port, parameters: Parameters, sums: Tensor, gradient: Tensor
    ) -> None:
        self.layer, self.parameters = layer, parameters
        rows = sums.shape[1]
        same = layer.padding == "same"
        above, left = (layer.kernel_height // 2, layer.kernel_width // 2) if same else (0, 0)
        height, width, channels = layer.in_height, layer.in_width, layer.in_channels
        padded = (height + 2 * above, width + 2 * left, channels, rows)
        inside = (slice(above, above + height), slice(left, left + width))
        self._image, self._image_gradient = (sums.new_zeros(padded) for _ in range(2))
        self._interior = self._image[inside]
        self._given = source.values.view(height, width, channels, rows)
        self._wanted = (
            None if source.gradient is None else source.gradient.view(height, width, channels, rows)
        )
        self._interior_gradient = self._image_gradient[inside]
        kernel = (layer.kernel_height, layer.kernel_width)
        here = (layer.out_height, layer.out_width)
        self._corners = [
            (slice(row, row + here[0]), slice(column, column + here[1]))
            for row in range(kernel[0])
            for column in range(kernel[1])
        ]
        places = len(self._corners)
        # (place in the window, channel, position, batch row)
        self._windows, self._windows_gradient = (
            sums.new_empty((places, channels, *here, rows)) for _ in range(2)
        )
        positions = here[0] * here[1]
        self._sums = sums.view(positions, layer.filters, rows).transpose(0, 1)
        self._gradient = gradient.view(positions, layer.filters, rows).transpose(0, 1)
        self._columns = self._windows.view(places * channels, positions * rows)
        self._by_channel = self._windows.view(places, channels, positions * rows).transpose(0, 1)
        self._columns_gradient = self._windows_gradient.view(places * channels, positions * rows)
        self._by_channel_gradient = self._windows_gradient.view(places, channels, -1).transpose(0, 1)
        self._flat = (layer.filters, positions * rows)

    def forward(self) -> None:
        self._interior.copy_(self._given)
        for window, (rows, columns) in zip(self._windows, self._corners, strict=True):
            window.copy_(self._image[rows, columns].permute(2, 0, 1, 3))
        parameters = self.parameters
        if self.layer.depthwise:
            out = torch.bmm(parameters.weights[:, None], self._by_channel)[:, 0].add_(parameters.bias)
        else:
            out = torch.addmm(parameters.bias, parameters.weights, self._columns)
        self._sums.copy_(out.view(self._sums.shape))

    def backward(self) -> None:
        gradient = self._gradient.reshape(self._flat)
        parameters = self.parameters
        if self.layer.depthwise:
            product = torch.bmm(gradient[:, None], self._by_channel.transpose(1, 2))
            parameters.weight_gradient.copy_(product[:, 0])
        else:
            torch.mm(gradient, self._columns.t(), out=parameters.weight_gradient)
        if self._wanted is None:
            return
        if self.layer.depthwise:
            torch.mul(parameters.weights[:, :, None], gradient[:, None], out=self._by_channel_gradient)
        else:
            torch.mm(parameters.weights.t(), gradient, out=self._columns_gradient)
        self._image_gradient.zero_()
        for window, (rows, columns) in zip(self._windows_gradient, self._corners, strict=True):
            self._image_gradient[rows, columns].add_(window.permute(1, 2, 0, 3))
        self._wanted.add_(self._interior_gradient)

    def lossy(self, step: float, accum: FixedType) -> Tensor:
        """See :meth:`DenseNode.lossy`."""
        parameters = self.parameters
        total = on_grid(parameters.bias / step, accum).expand(self._flat).clone()
        for column in range(parameters.weights.shape[1]):
            weights = parameters.weights[:, column, None]
            values = self._by_channel[:, column] if self.layer.depthwise else self._columns[column]
            total += on_grid(weights * values / step, accum)
        return total.view(self._sums.shape).transpose(0, 1).reshape(-1, self._sums.shape[2])


class PoolNode:
    """The largest value of each window, or their average, on the grid of the sums.

    Args:
        factor: from least significant bits of the source to those of the sums.
    """

    def __init__(self, layer: Pool2D, source: Port, factor: float, sums: Tensor, gradient: Tensor) -> None:
        rows = sums.shape[1]
        self.layer = layer
        self.factor = factor / layer.window if layer.pooling == "average" else factor
        image = (layer.in_height, layer.in_width, layer.in_channels, rows)
        here = (layer.out_height, layer.out_width, layer.in_channels, rows)
        self._sums, self._gradient = sums.view(here), gradient.view(here)
        self._windows = self._places(source.values.view(image))
        self._wanted = [] if source.gradient is None else self._places(source.gradient.view(image))
        self._left = torch.empty_like(self._sums)

    def _places(self, image: Tensor) -> list[Tensor]:
        """One view per place in the window: the values at that place of every window."""
        layer = self.layer
        height, width = layer.out_height * layer.pool_height, layer.out_width * layer.pool_width
        return [
            image[row : height : layer.pool_height, column : width : layer.pool_width]
            for row in range(layer.pool_height)
            for column in range(layer.pool_width)
        ]

    def forward(self) -> None:
        first, *others = self._windows
        self._sums.copy_(first)
        for other in others:
            if self.layer.pooling == "max":
                torch.maximum(self._sums, other, out=self._sums)
            else:
                self._sums.add_(other)
        self._sums.mul_(self.factor)

    def backward(self) -> None:
        if self.layer.pooling == "average":
            for wanted in self._wanted:
                wanted.add_(self._gradient, alpha=self.factor)
            return
        if not self._wanted:
            return
        # The first of equal values receives the whole gradient.
        left = torch.mul(self._gradient, self.factor, out=self._left)
        for values, wanted in zip(self._windows, self._wanted, strict=True):
            taken = left * (values * self.factor == self._sums)
            wanted.add_(taken)
            left.sub_(taken)


class MergeNode:
    """Two tensors added or concatenated.

    Args:
        sources: the inputs, each with the factor from its least significant bits to those of the sums.
    """

    def __init__(
        self, plan: NodePlan, sources: list[tuple[Port, float]], sums: Tensor, gradient: Tensor
    ) -> None:
        self.sources = sources
        layer = plan.layer
        channels = getattr(layer, "channels", None)
        self.added = getattr(layer, "merge", "") == "add"
        self.sums, self.gradient = sums, gradient
        rows = sums.shape[1]
        self._parts: list[tuple[Tensor, Tensor, Tensor, Tensor | None, float]] = []
        if self.added:
            return
        # Images are concatenated along the last axis; a plain vector is an image of one position.
        widths = channels or tuple(port.values.shape[0] for port, _ in sources)
        whole = (-1, sum(widths), rows)
        start = 0
        for (port, factor), width in zip(sources, widths, strict=True):
            here = slice(start, start + width)
            own = (-1, width, rows)
            self._parts.append(
                (
                    sums.view(whole)[:, here],
                    gradient.view(whole)[:, here],
                    port.values.view(own),
                    None if port.gradient is None else port.gradient.view(own),
                    factor,
                )
            )
            start += width

    def forward(self) -> None:
        if self.added:
            (first, factor), (second, other) = self.sources
            torch.mul(first.values, factor, out=self.sums)
            self.sums.add_(second.values, alpha=other)
        for sums, _, values, _, factor in self._parts:
            torch.mul(values, factor, out=sums)

    def backward(self) -> None:
        if self.added:
            for port, factor in self.sources:
                if port.gradient is not None:
                    port.gradient.add_(self.gradient, alpha=factor)
        for _, gradient, _, wanted, factor in self._parts:
            if wanted is not None:
                wanted.add_(gradient, alpha=factor)
