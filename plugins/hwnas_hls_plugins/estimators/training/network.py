"""Many small networks as one: shared buffers, few calls, a hand-written backward pass.

The activations of one depth (counted from the output) of all networks are stacked in one matrix, features x
rows, without padding.

The results of a network do not depend on its neighbours: in any group, its products are computed in the
same order. This module imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training import dropout, native
from hwnas_hls_plugins.estimators.training.arithmetic import Arithmetic, TorchArithmetic
from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.level import make_levels
from hwnas_hls_plugins.estimators.training.member import ChainMember
from hwnas_hls_plugins.estimators.training.normalisation import CALIBRATIONS
from hwnas_hls_plugins.estimators.training.schedule import Number
from hwnas_hls_plugins.estimators.training.step import AnyNetwork


class Network(AnyNetwork):
    """A group of networks in training.

    Args:
        members: started or resumed; kept in the order of ``Plan.order``.
        rows: batch rows.
        n_out: outputs, the same for all.
        dtype, device: of every tensor.
        kernels: ``auto``, ``native`` or ``torch``, see
            :class:`~hwnas_hls_plugins.estimators.training.config.TrainingConfig`.
    """

    def __init__(
        self,
        members: Sequence[ChainMember],
        rows: int,
        n_out: int,
        dtype: torch.dtype,
        device: torch.device,
        kernels: str = "auto",
    ) -> None:
        self.layout: Layout = Layout(members, dtype, device)
        self.rows = rows
        self.levels = make_levels(self.layout, rows)
        self.outputs = self._answers(self.levels[0].values, self.levels[0].gradient, n_out, rows)
        self.arithmetic: Arithmetic
        if native.serves(self.layout, rows, kernels):
            self.kernels, self.arithmetic = "native", native.NativeArithmetic(self.layout, self.levels, rows)
        else:
            self.kernels, self.arithmetic = "torch", TorchArithmetic(self.layout, self.levels)
        self.quantise()

    def quantise(self) -> None:
        self.arithmetic.quantise()

    def running(self) -> list[Tensor]:
        return [level.norm.running for level in self.levels if level.norm is not None]

    def number_sources(self, numbers: Mapping[int, int]) -> None:
        for level in self.levels:
            for run in level.runs:
                run.input = numbers[run.source]
        if isinstance(self.arithmetic, native.NativeArithmetic):
            self.arithmetic.number_sources(numbers)

    def forward(self, inputs: Sequence[Tensor], *, training: bool = False, momentum: float = 0.0) -> None:
        top = len(self.levels) - 1
        if training:
            for k in range(top, -1, -1):
                mask = self.levels[k].dropout
                if mask is not None:
                    self.arithmetic.forward(top, k, inputs, momentum)
                    self.levels[k].values.mul_(mask)
                    top = k - 1
        self.arithmetic.forward(top, 0, inputs, momentum)

    def draw(self) -> None:
        for level in reversed(self.levels):
            if level.dropout is not None:
                for j, plan in enumerate(level.layers):
                    if plan.layer.dropout > 0:
                        own = level.dropout[level.slice(j)][: plan.layer.n_out]
                        dropout.draw(own, plan.layer.dropout, self.members[j].generator)

    def lose(self, targets: Tensor, *, classes: bool) -> None:
        if classes:
            self.arithmetic.cross_entropy(self.outputs, targets)
        else:
            self.outputs.squares(targets)

    def backward(self, inputs: Sequence[Tensor], leak: Number = 0.0) -> None:
        bottom = len(self.levels) - 1
        start = 0
        for k in range(bottom + 1):
            mask = self.levels[k].dropout
            if mask is not None:
                if k > start:
                    self.arithmetic.backward(start, k - 1, inputs, leak)
                self.levels[k].gradient.mul_(mask)
                start = k
        self.arithmetic.backward(start, bottom, inputs, leak)

    def calibrate(self, inputs: Sequence[Tensor]) -> None:
        for k in range(len(self.levels) - 1, -1, -1):
            if self.levels[k].norm is not None:
                for _ in range(CALIBRATIONS):
                    self.arithmetic.forward(k, k, inputs, 1.0)
                    self.quantise()
            self.arithmetic.forward(k, k, inputs, 0.0)

    def update(self, beta1: float, beta2: float, left: Number, size: Number) -> None:
        self.arithmetic.update(beta1, beta2, left, size)
        self.quantise()

    def freeze_removed(self) -> None:
        """Train only the weights that are not removed, until :meth:`thaw`."""
        self.arithmetic.freeze(self.layout.forget_removed())
        self.quantise()

    def thaw(self) -> None:
        """Train all weights again; the layout is up to date."""
        self.arithmetic.thaw()

    def save_members(self) -> None:
        self.layout.save_members()
        for j, member in enumerate(self.members):
            for k, _ in enumerate(member.running):
                level = self.levels[k]
                if level.norm is not None:
                    member.running[k] = level.norm.running[level.slice(j)].cpu().clone()
