"""One step of a group of networks with torch operations, on any device. Requires torch.

Elementwise operations take one call per level for all networks; matrix products take one call per run of
adjacent layers of equal shape. Buffers are allocated once, and every call writes into them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training import adam
from hwnas_hls_plugins.estimators.training.digits import keep_digits
from hwnas_hls_plugins.estimators.training.exactly import activate_exactly
from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.level import Level
from hwnas_hls_plugins.estimators.training.outputs import Outputs
from hwnas_hls_plugins.estimators.training.quantiser import push_back
from hwnas_hls_plugins.estimators.training.schedule import Number


class Arithmetic(Protocol):
    """The operations of a step; levels are counted from the output.

    ``inputs`` holds one (n_in + 1, batch rows) matrix per input copy.
    """

    def quantise(self) -> None:
        """Convert latents to integers on the weights' grids, then to the operands of the products."""
        ...

    def forward(self, top: int, bottom: int, inputs: Sequence[Tensor], momentum: float) -> None:
        """Compute levels ``top`` down to ``bottom``; a ``momentum`` above 0 updates batch statistics."""
        ...

    def backward(self, top: int, bottom: int, inputs: Sequence[Tensor], leak: Number) -> None:
        """Compute the gradients of levels ``top`` up to ``bottom``, straight through every rounding.

        ``leak`` is the share of the gradient that passes where a sum is out of bounds. Without it,
        a neuron whose sums are always out of bounds would stay dead.
        """
        ...

    def cross_entropy(self, outputs: Outputs, targets: Tensor) -> None:
        """See :meth:`~hwnas_hls_plugins.estimators.training.outputs.Outputs.cross_entropy`."""
        ...

    def update(self, beta1: float, beta2: float, left: Number, size: Number) -> None:
        """Take one step of AdamW, then clip the latents to their grids.

        Args:
            left: factor of weight decay on each weight.
            size: size of the step, including Adam's bias correction.
        """
        ...

    def freeze(self, stored: Tensor) -> None:
        """Update only some weights until :meth:`thaw`; the layout's may be out of date until then.

        Args:
            stored: bool, one per weight and bias; the others are zero for good, see
                :meth:`~hwnas_hls_plugins.estimators.training.layout.Layout.forget_removed`.
        """
        ...

    def thaw(self) -> None:
        """End :meth:`freeze`."""
        ...


class TorchArithmetic:
    """:class:`Arithmetic` with torch operations, for any type, device and rounding."""

    def __init__(self, layout: Layout, levels: Sequence[Level]) -> None:
        self.layout, self.levels = layout, levels
        self.scratch = torch.empty_like(layout.latent).repeat(2)
        # Where the gradient passes. The mask may overwrite the sums, which are no longer needed.
        self.masks = [
            level.sums
            if layout.fast and level.norm is None
            else layout.zeros((level.sums.shape[0], level.sums.shape[1]))
            for level in levels
        ]
        self._frozen: Tensor | None = None

    def quantise(self) -> None:
        layout = self.layout
        whole = layout.integers
        torch.mul(layout.latent[: layout.n_weights], layout.unit, out=whole)
        for level in self.levels:
            if level.norm is not None:
                level.norm.fold(whole[slice(*level.span)])
        whole.add_(0.5).floor_()
        torch.maximum(whole, layout.low, out=whole)
        torch.minimum(whole, layout.high, out=whole)
        if layout.most_digits > 0:
            keep_digits(whole, layout.digits, layout.most_digits)
        torch.addcmul(layout.offset, whole, layout.kept_factor, out=layout.weights)

    def forward(self, top: int, bottom: int, inputs: Sequence[Tensor], momentum: float) -> None:
        for k in range(top, bottom - 1, -1):
            level = self.levels[k]
            for run in level.runs:
                if run.inner is None:
                    torch.mm(run.weights, inputs[run.input], out=run.sums)
                else:
                    torch.bmm(run.weights, run.inner.values, out=run.sums)
            if momentum > 0 and level.norm is not None:
                level.norm.measure(level.sums, self._counted(level), momentum)
            if not self.layout.fast:
                for j in range(len(level.layers)):
                    activate_exactly(self.layout, self.levels, k, j, inputs, self.masks[k])
            elif level.bounded:
                torch.minimum(level.sums, level.high, out=level.values)
                torch.maximum(level.values, level.low, out=level.values)
                torch.eq(level.sums, level.values, out=self.masks[k])
                level.values.floor_()

    def _counted(self, level: Level) -> Tensor:
        """Weights of a level in least significant bits, before folding and rounding."""
        span = slice(*level.span)
        return self.layout.latent[span] * self.layout.unit[span]

    def backward(self, top: int, bottom: int, inputs: Sequence[Tensor], leak: Number) -> None:
        for k in range(top, bottom + 1):
            level, mask = self.levels[k], self.masks[k]
            if level.bounded:
                if isinstance(leak, Tensor) or leak > 0:
                    mask.mul_(1 - leak).add_(leak)
                level.gradient.mul_(mask)
            if level.push is not None:
                push_back(level.gradient, level.push, map(level.slice, range(len(level.layers))))
            if level.norm is not None:
                level.norm.backward(level.gradient, level.sums)
            for run in level.runs:
                if run.inner is None:
                    torch.mm(run.gradient, inputs[run.input][:-1].t(), out=run.weight_gradient)
                else:
                    torch.bmm(run.gradient, run.inner.turned_values, out=run.weight_gradient)
                    torch.bmm(run.inner.turned_weights, run.inner.all_gradient, out=run.inner.values_gradient)
        if bottom == len(self.levels) - 1:
            # Biases multiply a constant 1, so their gradients are sums. (A further column would make the
            # dimensions of the product odd, which the matrix library computes up to 1.5 times as slowly.)
            sums = torch.cat([level.gradient.sum(1) for level in self.levels])
            self.layout.gradient.index_copy_(0, self.layout.bias_places, sums)

    def cross_entropy(self, outputs: Outputs, targets: Tensor) -> None:
        outputs.cross_entropy(targets)

    def update(self, beta1: float, beta2: float, left: Number, size: Number) -> None:
        if self._frozen is not None:
            self.layout.gradient[: self.layout.n_weights].mul_(self._frozen)
        adam.update(self.layout, self.scratch, beta1, beta2, left, size)

    def freeze(self, stored: Tensor) -> None:
        self._frozen = stored.to(self.layout.dtype)

    def thaw(self) -> None:
        self._frozen = None
