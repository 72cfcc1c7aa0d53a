"""The estimator ``training`` and the full training of chosen architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from hwnas_hls.errors import Unsupported, UserError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.estimator import Context, Keep, Paused, Resumable, keep_all
from hwnas_hls.protocols.task import REGRESSION, Dataset
from hwnas_hls.values.candidate import Candidate, digest
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls_plugins.estimators.training.config import TrainingConfig
from hwnas_hls_plugins.estimators.training.judging import joined, judged
from hwnas_hls_plugins.estimators.training.routing import planned, refusal

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.training.loop import Outcome, Training


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """One fully trained architecture.

    Args:
        architecture, seed: what was trained, from which seed.
        design: its integers.
        validation: the task's metric on the validation split, by the integer emulator. Where
            that split was trained on, its source is ``trained`` and it proves nothing.
        progress: share of the training it was given; below 1 where ``keep`` stopped it.
    """

    architecture: Architecture
    seed: int
    design: Design
    validation: Estimate
    progress: float


def train(
    architectures: Sequence[Architecture],
    dataset: Dataset,
    *,
    seeds: Sequence[int] = (0,),
    epochs: int = 100,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    device: str = "auto",
    keep: Keep = keep_all,
    train_on: str | None = None,
    config: TrainingConfig | None = None,
) -> list[Trained]:
    """Train a few architectures in full, each from every seed; the test split is never touched.

    Args:
        architectures: what to train, in one batch.
        dataset: the task's data.
        seeds: of the starting weights; the minibatches are those of the first one.
        epochs, batch_size, learning_rate, train_on: replace those of ``config``; ``None`` leaves
            its own.
        device: ``cpu``, ``cuda`` or ``auto``.
        keep: early stopping; its indices count the results below.
        config: everything else; the default takes all training rows.

    Returns:
        ``len(architectures) * len(seeds)`` results, all seeds of the first architecture first.

    Raises:
        Unsupported: an architecture or metric that cannot be trained bit-exactly.
    """
    if not seeds:
        raise UserError("training needs at least one seed")
    config = config or TrainingConfig(max_rows=0)
    config = replace(config, epochs=epochs)
    if batch_size is not None:
        config = replace(config, batch_size=batch_size)
    if learning_rate is not None:
        config = replace(config, learning_rate=learning_rate)
    if train_on is not None:
        config = replace(config, train_on=train_on)
    for architecture in architectures:
        if reason := refusal(architecture):
            raise Unsupported(reason)
    wanted = [(architecture, seed) for architecture in architectures for seed in seeds]
    keys = [digest(architecture.to_json()) for architecture, _ in wanted]
    results = _train(
        [architecture for architecture, _ in wanted],
        keys,
        [seed for _, seed in wanted],
        dataset,
        config,
        seeds[0],
        device,
        lambda training: training.run(keep),
    )
    out = []
    for (architecture, seed), (design, estimate, progress) in zip(wanted, results, strict=True):
        out.append(Trained(architecture, seed, design, estimate, progress))
    return out


class TrainingEstimator(Resumable):
    """The task's metric after a short quantisation-aware training of many candidates at once.

    Every candidate is trained with the arithmetic of its ``ap_fixed`` types and scored on the
    validation split by the integer emulator, so the number is that of the hardware.
    """

    name: ClassVar[str] = "training"
    version: str = "4"
    cost: float = 0.1
    trains: bool = True
    #: What the final training of the front changes.
    full_training: ClassVar[Mapping[str, Any]] = {
        "epochs": 100,
        "max_rows": 131072,
        "rungs": (),
        "train_on": "train+validation",
    }
    Config: ClassVar[type[TrainingConfig]] = TrainingConfig
    provides: Sequence[str] = ("accuracy",)

    def __init__(self, config: TrainingConfig | None = None) -> None:
        self.config: TrainingConfig = config or self.Config()

    @property
    def schedule(self) -> TrainingConfig:
        """The settings of the whole training."""
        return self.config

    @property
    def share(self) -> float:
        """Share of its schedule after which a candidate is trained."""
        return 1.0

    def run(self, training: Training, context: Context, keep: Keep) -> list[Outcome]:
        """Train what is planned; one outcome a member."""
        return training.run(keep)

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """See ``Estimator``; designs come along in ``Estimates.design``."""
        architectures = [context.architecture(candidate) for candidate in candidates]
        reasons = [refusal(architecture) for architecture in architectures]
        places = [place for place, reason in enumerate(reasons) if not reason]

        def keep(indices: Sequence[int], scores: Sequence[float], progress: float) -> Sequence[bool]:
            return context.keep([places[index] for index in indices], scores, progress)

        results = _train(
            [architectures[place] for place in places],
            [candidates[place].key for place in places],
            [context.seed] * len(places),
            context.dataset,
            self.schedule,
            context.seed,
            context.device,
            lambda training: self.run(training, context, keep),
        )
        out = [Estimates(failure=reason) for reason in reasons]
        for place, result in zip(places, results, strict=True):
            out[place] = self._said(architectures[place], *result)
        return out

    # In stretches, see hwnas_hls.protocols.estimator.Resumable

    @property
    def rungs(self) -> Sequence[float]:
        """Shares of the schedule at which ``keep`` is asked."""
        epochs = self.schedule.epochs
        ends = sorted({max(1, round(rung * epochs)) for rung in self.schedule.rungs})
        return [end / epochs for end in ends if end < round(self.share * epochs)]

    def advance(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes | None], until: float
    ) -> list[Paused | Estimates]:
        """See :class:`~hwnas_hls.protocols.estimator.Resumable`."""
        reasons = [refusal(context.architecture(candidate)) for candidate in candidates]
        places = [place for place, reason in enumerate(reasons) if not reason]
        found: list[Paused | Estimates] = [Estimates(failure=reason) for reason in reasons]
        if places:
            from hwnas_hls_plugins.estimators.training import rungs

            training = self._training([candidates[place] for place in places], context)
            end = round(min(until, self.share) * self.schedule.epochs)
            reached = rungs.advance(training, [states[place] for place in places], end)
            for place, (state, score) in zip(places, reached, strict=True):
                found[place] = Paused(state, score)
        return found

    def conclude(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes]
    ) -> list[Estimates]:
        """See :class:`~hwnas_hls.protocols.estimator.Resumable`."""
        if not candidates:
            return []
        from hwnas_hls_plugins.estimators.training import rungs

        training = self._training(candidates, context)
        results = _judged(training, rungs.conclude(training, states))
        architectures = [context.architecture(candidate) for candidate in candidates]
        return [self._said(a, *result) for a, result in zip(architectures, results, strict=True)]

    def _training(self, candidates: Sequence[Candidate], context: Context) -> Training:
        return _training(
            [context.architecture(candidate) for candidate in candidates],
            [candidate.key for candidate in candidates],
            [context.seed] * len(candidates),
            context.dataset,
            self.schedule,
            context.seed,
            context.device,
        )

    def _said(
        self, architecture: Architecture, design: Design, estimate: Estimate, progress: float
    ) -> Estimates:
        stopped = ""
        if progress < self.share:
            stopped = f"dominated after {progress:.0%} of its training"
            estimate = replace(estimate, source="trained", evidence=f"{estimate.evidence}, {stopped}")
        warnings: tuple[str, ...] = ()
        if getattr(architecture.layers[-1], "activation", "") == "softmax":
            warnings = ("the softmax at the end is left out: it changes no class",)
        return Estimates({estimate.metric: estimate}, stopped=stopped, design=design, warnings=warnings)


def _train(
    architectures: Sequence[Architecture],
    keys: Sequence[str],
    seeds: Sequence[int],
    dataset: Dataset,
    config: TrainingConfig,
    seed: int,
    device: str,
    run: Callable[[Training], list[Outcome]],
) -> list[tuple[Design, Estimate, float]]:
    """(design, validation estimate, progress) of each architecture."""
    if not architectures:
        return []
    training = _training(architectures, keys, seeds, dataset, config, seed, device)
    return _judged(training, run(training))


def _training(
    architectures: Sequence[Architecture],
    keys: Sequence[str],
    seeds: Sequence[int],
    dataset: Dataset,
    config: TrainingConfig,
    seed: int,
    device: str,
) -> Training:
    from hwnas_hls_plugins.estimators.training.loop import Training

    plans = [
        planned(architecture, key, number, regression=dataset.kind == REGRESSION)
        for architecture, key, number in zip(architectures, keys, seeds, strict=True)
    ]
    seen = config.train_on == "train+validation"
    return Training(plans, dataset, config, seed, device, joined(dataset) if seen else dataset.train)


def _judged(training: Training, outcomes: Sequence[Outcome]) -> list[tuple[Design, Estimate, float]]:
    """Outcomes with the validation estimate of each."""
    found = []
    for outcome in outcomes:
        estimate = judged(outcome.design, training.dataset, training.validation_split, "validation")
        if training.config.train_on == "train+validation":
            estimate = replace(estimate, source="trained", evidence="rows it was trained on: no evidence")
        found.append((outcome.design, estimate, outcome.progress))
    return found
