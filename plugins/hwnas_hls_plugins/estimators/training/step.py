"""One step of a group of networks. This module imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from hwnas_hls_plugins.estimators.training.config import TrainingConfig
from hwnas_hls_plugins.estimators.training.graphs.layout import GraphLayout
from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.member import AnyMember
from hwnas_hls_plugins.estimators.training.schedule import Number, Pace


class AnyNetwork(Protocol):
    """A group of chains or of graphs; :class:`Network` describes the methods."""

    normalised: bool
    logits: Tensor

    @property
    def members(self) -> Sequence[AnyMember]: ...
    @property
    def layout(self) -> Layout | GraphLayout: ...
    @property
    def kernels(self) -> str: ...
    def state(self) -> list[Tensor]: ...
    def number_sources(self, numbers: Mapping[int, int]) -> None: ...
    def draw(self) -> None: ...
    def forward(self, inputs: Sequence[Tensor], *, training: bool = False, momentum: float = 0.0) -> None: ...
    def lose(self, targets: Tensor, *, classes: bool) -> None: ...
    def backward(self, inputs: Sequence[Tensor], leak: Number = 0.0) -> None: ...
    def update(self, beta1: float, beta2: float, left: Number, size: Number) -> None: ...
    def calibrate(self, inputs: Sequence[Tensor]) -> None: ...
    def settle(self) -> None: ...
    def prune(self, share: float) -> None: ...
    def save_members(self) -> None: ...


class AnyStep(Protocol):
    """Steps of one group."""

    def begin(self, paces: Sequence[Pace]) -> None:
        """Prepare the steps of an epoch."""
        ...

    def take(self, number: int, inputs: Sequence[Tensor], targets: Tensor) -> None:
        """Take step ``number`` of the epoch, from 0.

        Args:
            inputs: one (n_in + 1, batch rows) matrix a quantised copy.
            targets: (n_out, batch rows).
        """
        ...


class Step:
    """Steps that are computed as they are taken.

    Args:
        network: the group.
        classes: cross entropy, else squares.
    """

    def __init__(self, network: AnyNetwork, config: TrainingConfig, *, classes: bool) -> None:
        self.network, self.classes = network, classes
        self._betas = config.beta1, config.beta2
        self._paces: Sequence[Pace] = ()

    def begin(self, paces: Sequence[Pace]) -> None:
        self._paces = paces

    def take(self, number: int, inputs: Sequence[Tensor], targets: Tensor) -> None:
        self.network.draw()
        self.compute(inputs, targets, self._paces[number])

    def compute(self, inputs: Sequence[Tensor], targets: Tensor, pace: Pace) -> None:
        """A step, with what is dropped already drawn: launches only, nothing is waited for or read back."""
        network = self.network
        network.forward(inputs, training=True, momentum=pace.momentum)
        network.lose(targets, classes=self.classes)
        network.backward(inputs, pace.leak)
        network.update(*self._betas, pace.left, pace.size)
