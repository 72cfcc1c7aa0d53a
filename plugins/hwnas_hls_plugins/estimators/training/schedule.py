"""The schedule of a training: rates, pruning and statistics per step. This module imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from hwnas_hls_plugins.estimators.training import adam
from hwnas_hls_plugins.estimators.training.config import TrainingConfig
from hwnas_hls_plugins.estimators.training.normalisation import MOMENTUM

#: Removed weights may come back from this share of the adders on.
_REGROWN_BELOW = 0.5
#: A Python number, or one in double precision on a device: arithmetic rounds both to the same bits.
Number = float | Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Pace:
    """The settings of one step.

    Args:
        momentum: share of its batch in the running statistics; 0 leaves them unchanged.
        leak: share of the gradient that passes where a sum is out of bounds; 0.0 for none.
        left: factor of weight decay on each weight.
        size: size of Adam's step, see :func:`~hwnas_hls_plugins.estimators.training.adam.step_size`.
    """

    momentum: float
    leak: Number
    left: Number
    size: Number


class Schedule:
    """The steps of a whole training.

    Args:
        epoch_steps: steps of one epoch.
        batch_rows: rows of one step.
        n_out: outputs of the networks.
    """

    def __init__(self, config: TrainingConfig, epoch_steps: int, batch_rows: int, n_out: int) -> None:
        self.config, self.epoch_steps = config, epoch_steps
        self.steps = epoch_steps * config.epochs
        epoch_rows = epoch_steps * batch_rows
        #: Epochs of each round of a descent, and of its beginning with all adders.
        round_rows = max(config.descent_rows, n_out * config.descent_rows_per_output)
        self.descent_epochs = min(config.descent_epochs, max(1, round_rows // epoch_rows))
        self.dense_epochs = config.dense_rows // epoch_rows
        #: Rounds of a descent that take several steps at once, and how many steps these are.
        self._coarse_rounds = int(math.log(config.descent_fine, config.descent_step) / config.descent_coarse)
        self._coarse_steps = self._coarse_rounds * config.descent_coarse

    def paces(self, epoch: int) -> list[Pace]:
        """One pace per step of ``epoch``, counted from 0."""
        config, first = self.config, epoch * self.epoch_steps + 1
        leak = config.leak * max(0.0, 1 - 2 * epoch / config.epochs)
        found = []
        for step in range(first, first + self.epoch_steps):
            rate = self.rate(step)
            size = adam.step_size(rate, config.beta1, config.beta2, step)
            found.append(Pace(_momentum(step), leak, 1 - rate * config.decay, size))
        return found

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 1: a short linear warm-up, then cosine decay to 0."""
        warm = max(1, round(self.config.warmup * self.steps))
        if step <= warm:
            return self.config.learning_rate * step / warm
        done = (step - warm) / max(1, self.steps - warm)
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def share_after(self, round_: int) -> float:
        """The share of the adders that remain after a round of removal; all before round 1."""
        coarse = min(round_, self._coarse_rounds)
        steps = coarse * self.config.descent_coarse + round_ - coarse
        return self.config.descent_step**steps

    def regrown(self, round_: int) -> float:
        """The share of the adders that a round gives back to removed weights."""
        return self.config.descent_regrown if self.share_after(round_) <= _REGROWN_BELOW else 0.0

    def round_of(self, kept: float) -> int:
        """The round that leaves about the share ``kept`` of the adders."""
        if kept >= 1:
            return 0
        steps = round(math.log(kept, self.config.descent_step))
        if steps > self._coarse_steps:
            return self._coarse_rounds + steps - self._coarse_steps
        return max(1, round(steps / self.config.descent_coarse))

    def round_epochs(self, round_: int) -> int:
        """Epochs after a round of removal; round 0 removes nothing."""
        return self.descent_epochs if round_ else self.dense_epochs

    def epochs_before(self, round_: int) -> int:
        """Epochs of a network before round ``round_`` of its descent."""
        return self.config.epochs + (self.dense_epochs + (round_ - 1) * self.descent_epochs if round_ else 0)

    def descent_paces(self, round_: int, epoch: int) -> list[Pace]:
        """One pace per step of an epoch, counted from 0, after a round of removal; see ``descent_rate``."""
        config = self.config
        steps = self.round_epochs(round_) * self.epoch_steps
        before = self.epochs_before(round_) * self.epoch_steps
        found = []
        for number in range(epoch * self.epoch_steps, (epoch + 1) * self.epoch_steps):
            rate = config.descent_rate * 0.5 * (1 + math.cos(math.pi * number / steps))
            step = before + number + 1
            size = adam.step_size(rate, config.beta1, config.beta2, step)
            found.append(Pace(_momentum(step), 0.0, 1 - rate * config.decay, size))
        return found

    def zeros(self, epoch: int) -> float | None:
        """The share of a layer's sparsity reached from ``epoch`` on; ``None`` once all of it is reached.

        The number of zeros follows a cubic (Zhu and Gupta, 2017).
        """
        until = max(1, round(self.config.pruned_by * self.config.epochs))
        return None if epoch >= until else 1 - (1 - (epoch + 1) / until) ** 3


def _momentum(step: int) -> float:
    """Batch statistics cost an extra product: measured in every step at first, then in every fourth."""
    if step <= 32:
        return MOMENTUM
    return 0.0 if step % 4 else 1 - (1 - MOMENTUM) ** 4
