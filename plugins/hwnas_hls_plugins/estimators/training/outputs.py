"""The outputs of a group of networks and their loss. This module imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """The outputs of networks and the gradient at them, (networks, n_out, batch rows).

    Args:
        temperature: (networks, 1, 1), initial scale of a least significant bit in the loss.
        log_temperature: (networks,), trained: logarithm of a further factor on this scale.
    """

    logits: Tensor
    gradient: Tensor
    temperature: Tensor
    log_temperature: Tensor
    log_temperature_gradient: Tensor

    @property
    def scale(self) -> Tensor:
        """The scale of a least significant bit in the loss, (networks, 1, 1)."""
        # In double precision, as in Normalisation.measure: the same bits at any position.
        grown = self.log_temperature.double().exp().to(self.logits.dtype)
        return self.temperature * grown[:, None, None]

    def cross_entropy(self, targets: Tensor) -> None:
        """Gradient of the cross entropy with class probabilities, (n_out, batch rows).

        A further row of the targets holds the weights of the rows, if there are any.
        """
        answers = self.logits * self.scale
        targets, weights = self._weighted(targets)
        torch.sub(torch.softmax(answers, 1), targets, out=self.gradient)
        if weights is not None:
            self.gradient.mul_(weights)
        torch.sum(answers.mul_(self.gradient), (1, 2), out=self.log_temperature_gradient)

    def squares(self, targets: Tensor) -> None:
        """Gradient of the squared distance from standardised targets, (n_out, batch rows); see above."""
        targets, weights = self._weighted(targets)
        torch.sub(self.logits * self.temperature, targets, out=self.gradient)
        if weights is not None:
            self.gradient.mul_(weights)

    def _weighted(self, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Targets and the weights of the rows, if there are any."""
        n_out = self.logits.shape[1]
        return (targets[:n_out], targets[n_out]) if len(targets) > n_out else (targets, None)
