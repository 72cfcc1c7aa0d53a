"""Settings of full and of partial training."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls_plugins.estimators.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class FullTrainingConfig(TrainingConfig):
    """Settings of ``full-training``; the others are those of ``training``.

    Args:
        epochs: passes over the training rows.
        rungs: fractions of the training at which successive halving may stop candidates.
    """

    epochs: int = 100
    rungs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PartialTrainingConfig(TrainingConfig):
    """Settings of ``partial-training``; the others are those of ``training``.

    Args:
        epochs: passes over the training rows: the fidelity.
        rungs: fractions of these epochs at which successive halving may stop candidates.
        schedule_epochs: length of the whole training, of which this is the beginning; a later full
            training with as many epochs (and otherwise equal settings) continues it. 0 reduces the
            learning rate to zero within ``epochs``, which gives a better score but cannot be continued.
    """

    epochs: int = 16
    rungs: tuple[float, ...] = ()
    schedule_epochs: int = 100

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)
        if self.schedule_epochs and self.schedule_epochs < self.epochs:
            raise UserError(
                "schedule_epochs is shorter than epochs",
                found=f"epochs {self.epochs}, schedule_epochs {self.schedule_epochs}",
                remedy="set schedule_epochs to 0 or to at least epochs",
                kind=ErrorKind.CONFLICT,
            )

    @property
    def schedule(self) -> TrainingConfig:
        """The whole training, with rungs as fractions of it."""
        whole = self.schedule_epochs or self.epochs
        rungs = tuple(rung * self.epochs / whole for rung in self.rungs)
        return replace(self, epochs=whole, rungs=rungs)
