"""A group of networks in training, and one step of it. This module imports torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from hwnas_hls_plugins.estimators.training import adam
from hwnas_hls_plugins.estimators.training.config import TrainingConfig
from hwnas_hls_plugins.estimators.training.member import AnyMember
from hwnas_hls_plugins.estimators.training.outputs import Outputs
from hwnas_hls_plugins.estimators.training.schedule import Number, Pace
from hwnas_hls_plugins.estimators.training.vector import TrainedVector


class AnyNetwork(ABC):
    """A group of chains, or of graphs, in training: one vector of parameters, and the outputs of all.

    Attributes:
        layout: memory layout of the trained parameters.
        outputs: outputs of all members.
        kernels: implementation of the steps, ``native`` or ``torch``.
    """

    layout: TrainedVector[Any]
    outputs: Outputs
    kernels: str

    @property
    def members(self) -> Sequence[AnyMember]:
        return self.layout.members

    @property
    def normalised(self) -> bool:
        return self.layout.normalised

    @property
    def logits(self) -> Tensor:
        """(networks, n_out, batch rows), in least significant bits."""
        return self.outputs.logits

    def _answers(self, values: Tensor, gradient: Tensor, n_out: int, rows: int) -> Outputs:
        """The outputs of all members, stacked: (members x n_out, rows)."""
        layout, count = self.layout, len(self.members)
        temperatures = [member.plan.temperature for member in self.members]
        return Outputs(
            values.view(count, n_out, rows),
            gradient.view(count, n_out, rows),
            layout.tensor(temperatures).reshape(-1, 1, 1),
            layout.latent[-count:],
            layout.gradient[-count:],
        )

    @abstractmethod
    def running(self) -> list[Tensor]:
        """Batch normalisation's statistics, those of all layers."""

    def state(self) -> list[Tensor]:
        """The state that a step passes to the next one."""
        layout = self.layout
        held = [layout.latent, layout.mean, layout.square, layout.gradient, layout.integers, layout.weights]
        return [*held, *self.running()]

    @abstractmethod
    def number_sources(self, numbers: Mapping[int, int]) -> None:
        """Set which of the input copies passed to forward and backward each network reads."""

    @abstractmethod
    def quantise(self) -> None:
        """Convert latents to integers on the weights' grids, then to the operands of ``forward``."""

    @abstractmethod
    def draw(self) -> None:
        """Draw the dropout masks of the next step, from input to output."""

    @abstractmethod
    def forward(self, inputs: Sequence[Tensor], *, training: bool = False, momentum: float = 0.0) -> None:
        """Run one batch: ``inputs`` holds one (n_in + 1, rows) matrix per quantised copy.

        Args:
            training: whether to apply the dropout masks of :meth:`draw`.
            momentum: share of this batch in the running statistics; 0 leaves them unchanged.
        """

    @abstractmethod
    def lose(self, targets: Tensor, *, classes: bool) -> None:
        """Compute the gradient of the loss at the outputs, up to a factor per network, which Adam cancels.

        Args:
            targets: (n_out, rows): one-hot classes (cross entropy) or standardised values (squares).
        """

    @abstractmethod
    def backward(self, inputs: Sequence[Tensor], leak: Number = 0.0) -> None:
        """Compute the gradients of all trained parameters, straight through every rounding.

        ``leak`` is the share of the gradient that passes where a sum is out of bounds. Without it,
        a neuron whose sums are always out of bounds would stay dead. ``inputs`` are those of the last
        forward.
        """

    @abstractmethod
    def update(self, beta1: float, beta2: float, left: Number, size: Number) -> None:
        """Take one step of AdamW, see ``Arithmetic.update``."""

    @abstractmethod
    def calibrate(self, inputs: Sequence[Tensor]) -> None:
        """Start batch normalisation from the statistics of one batch, layer by layer."""

    def settle(self) -> None:
        """See :func:`~hwnas_hls_plugins.estimators.training.adam.settle`."""
        adam.settle(self.layout)

    def prune(self, share: float) -> None:
        """Zero the smallest weights of each layer, ``share`` of its sparsity."""
        if self.layout.prune(share):
            self.layout.refresh_kept()
            self.quantise()

    @abstractmethod
    def save_members(self) -> None:
        """Copy the trained parameters to the members."""


class AnyStep(Protocol):
    """Steps of one group."""

    def begin(self, paces: Sequence[Pace]) -> None:
        """Prepare the steps of an epoch."""
        ...

    def take(self, number: int, inputs: Sequence[Tensor], targets: Tensor) -> None:
        """Take step ``number`` of the epoch, from 0.

        Args:
            inputs: one (n_in + 1, batch rows) matrix per quantised copy.
            targets: (n_out, batch rows).
        """
        ...


class Step:
    """Steps that are computed directly, without graphs.

    Args:
        network: the group.
        classes: whether the loss is the cross entropy, else the squares.
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
        """Compute a step with dropout masks already drawn: only launches, no waiting, nothing read back."""
        network = self.network
        network.forward(inputs, training=True, momentum=pace.momentum)
        network.lose(targets, classes=self.classes)
        network.backward(inputs, pace.leak)
        network.update(*self._betas, pace.left, pace.size)
