"""Settings of full and of partial training."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls_plugins.estimators.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class FullTrainingConfig(TrainingConfig):
    """How candidates are trained in full; every other setting is that of ``training``.

    Args:
        epochs: passes over the training rows.
        rungs: shares of the training after which successive halving may stop candidates.
    """

    epochs: int = 100
    rungs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PartialTrainingConfig(TrainingConfig):
    """How far candidates are trained; every other setting is that of ``training``.

    Args:
        epochs: passes over the training rows: the fidelity.
        rungs: shares of these epochs after which successive halving may stop candidates.
        schedule_epochs: of the training that these epochs are the beginning of; a later full
            training with as many (and otherwise equal settings) goes on from here. 0 brings the
            learning rate down to nothing within ``epochs``: a better score, but nobody can go on.
    """

    epochs: int = 16
    rungs: tuple[float, ...] = ()
    schedule_epochs: int = 100

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)
        if self.schedule_epochs and self.schedule_epochs < self.epochs:
            raise UserError(
                "a partial training is the beginning of its schedule",
                found=f"epochs {self.epochs}, schedule_epochs {self.schedule_epochs}",
                remedy="set schedule_epochs to 0 or to at least epochs",
                kind=ErrorKind.CONFLICT,
            )

    @property
    def schedule(self) -> TrainingConfig:
        """The whole training; rungs as shares of it."""
        whole = self.schedule_epochs or self.epochs
        rungs = tuple(rung * self.epochs / whole for rung in self.rungs)
        return replace(self, epochs=whole, rungs=rungs)
