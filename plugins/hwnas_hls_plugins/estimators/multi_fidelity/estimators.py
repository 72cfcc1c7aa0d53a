"""The estimators ``full-training`` and ``partial-training``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from hwnas_hls.protocols.estimator import Context, Keep
from hwnas_hls.values.estimate import Estimates
from hwnas_hls_plugins.estimators.multi_fidelity.config import FullTrainingConfig, PartialTrainingConfig
from hwnas_hls_plugins.estimators.training import TrainingConfig, TrainingEstimator

if TYPE_CHECKING:
    from hwnas_hls.protocols.task import Dataset
    from hwnas_hls.values.candidate import Candidate
    from hwnas_hls_plugins.estimators.training.loop import Training, TrainingResult


class FullTrainingEstimator(TrainingEstimator):
    """The task's metric after a complete quantisation-aware training that continues a partial one.

    It continues the state of ``partial-training`` in the same run and schedule (weights, optimiser and
    random numbers); without such a state, training starts from the beginning.
    """

    name: ClassVar[str] = "full-training"
    cost: float = 0.4
    Config: ClassVar[type[TrainingConfig]] = FullTrainingConfig

    def run(self, training: Training, context: Context, keep: Keep) -> list[TrainingResult]:
        from hwnas_hls_plugins.estimators.multi_fidelity.checkpoint import checkpoint_name, restore

        starts: dict[int, list[Any]] = {}
        for member in training.members:
            name = checkpoint_name(member.plan, self.config, context.dataset.fingerprint, self.version)
            starts.setdefault(restore(member, context.cache, name), []).append(member)
        outcomes: dict[int, TrainingResult] = {}
        everyone = training.members
        for begin, members in sorted(starts.items()):
            training.members = members
            found = training.run(keep, begin)
            outcomes |= {member.index: outcome for member, outcome in zip(members, found, strict=True)}
        training.members = everyone
        return [outcomes[member.index] for member in everyone]


class PartialTrainingEstimator(TrainingEstimator):
    """The task's metric after the first epochs of a training, which ``full-training`` continues.

    In a run with both, successive halving selects the candidates that continue.
    """

    name: ClassVar[str] = "partial-training"
    cost: float = 0.08
    Config: ClassVar[type[TrainingConfig]] = PartialTrainingConfig
    full_training: ClassVar[Mapping[str, Any]] = {**TrainingEstimator.full_training, "schedule_epochs": 0}

    def __init__(self, config: PartialTrainingConfig | None = None, task: Dataset | None = None) -> None:
        self.settings = config or PartialTrainingConfig()
        super().__init__(self.settings, task)

    @property
    def schedule(self) -> TrainingConfig:
        return self.settings.schedule

    @property
    def share(self) -> float:
        return self.settings.epochs / self.schedule.epochs

    def run(self, training: Training, context: Context, keep: Keep) -> list[TrainingResult]:
        from hwnas_hls_plugins.estimators.multi_fidelity.checkpoint import checkpoint_name, save

        found = training.run(keep, until=self.settings.epochs)
        if self.share < 1:
            for member, outcome in zip(training.members, found, strict=True):
                if outcome.progress == self.share:
                    fingerprint = context.dataset.fingerprint
                    name = checkpoint_name(member.plan, self.schedule, fingerprint, self.version)
                    save(member, self.settings.epochs, context.cache, name)
        return found

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        done = f"after {self.settings.epochs} of {self.schedule.epochs} epochs"
        return [self._dated(estimates, done) for estimates in super().estimate(candidates, context)]

    def conclude(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes]
    ) -> list[Estimates]:
        done = f"after {self.settings.epochs} of {self.schedule.epochs} epochs"
        return [self._dated(estimates, done) for estimates in super().conclude(candidates, context, states)]

    @staticmethod
    def _dated(estimates: Estimates, done: str) -> Estimates:
        if estimates.stopped:
            return estimates
        values = {n: replace(e, evidence=f"{e.evidence}, {done}") for n, e in estimates.values.items()}
        return replace(estimates, values=values)
