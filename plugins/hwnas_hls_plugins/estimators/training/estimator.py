"""The estimator ``training`` and the full training of chosen architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from hwnas_hls.errors import ErrorKind, Unsupported, UserError
from hwnas_hls.evidence.scoring import scored
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.estimator import Context, Keep, Paused, Refinement, Refining, Resumable, keep_all
from hwnas_hls.protocols.task import REGRESSION, Dataset, joined
from hwnas_hls.spec.notation import percent
from hwnas_hls.values.candidate import Candidate, digest
from hwnas_hls.values.estimate import Estimate, Estimates, measured
from hwnas_hls_plugins.estimators.training.config import TrainingConfig
from hwnas_hls_plugins.estimators.training.routing import planned, refusal
from hwnas_hls_plugins.estimators.training.row_weights import check_class_weights, refinement_rows

if TYPE_CHECKING:
    from hwnas_hls.protocols.task import Split
    from hwnas_hls_plugins.estimators.training.loop import Training, TrainingResult
    from hwnas_hls_plugins.estimators.training.snapshots import Snapshot


#: Maximum number of rows for the refinement of single weights.
_REFINED_ROWS = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """One fully trained architecture.

    Args:
        architecture, seed: the trained architecture and its seed.
        design: the trained design.
        validation: the task's metric on the validation split, by the integer emulator. If that split
            was used for training, its source is ``trained`` and it is no evidence.
        progress: fraction of the training that was done; below 1 if ``keep`` stopped it.
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
    """Train a few architectures in full, each with every seed; the test split is not used.

    Args:
        architectures: what to train, in one batch.
        dataset: the task's data.
        seeds: seeds of the initial weights; the first one also determines the minibatches.
        epochs, batch_size, learning_rate, train_on: replace those of ``config`` unless ``None``.
        device: ``cpu``, ``cuda`` or ``auto``.
        keep: early stopping; its indices are those of the results.
        config: all other settings; the default uses all training rows.

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
    if not wanted:
        return []
    dense = [with_all_adders(architecture) for architecture, _ in wanted]
    training = _training(
        dense,
        [_trained_as(architecture) for architecture in dense],
        [seed for _, seed in wanted],
        dataset,
        config,
        seeds[0],
        device,
        [(architecture.kept_adders,) for architecture, _ in wanted],
    )
    return [
        Trained(architecture, seed, outcome.design, _scored(training, outcome.design), outcome.progress)
        for (architecture, seed), outcome in zip(wanted, training.run(keep), strict=True)
    ]


def with_all_adders(architecture: Architecture) -> Architecture:
    """The network at the start of training, with all its adders."""
    if architecture.kept_adders == 1:
        return architecture
    layers = tuple(replace(layer, sparsity=0.0) for layer in architecture.chain)
    return replace(architecture, layers=layers, kept_adders=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """One training and the candidates that it covers.

    Args:
        architecture: the architecture with all its adders.
        key: determines the initial weights.
        family: share of the adders -> candidate, for all covered candidates.
        places: indices of the requested candidates.
        kept: index -> the share of the adders of this candidate.
    """

    architecture: Architecture
    key: str
    family: dict[float, Candidate]
    places: list[int]
    kept: dict[int, float]


class TrainingEstimator(Resumable, Refining):
    """The task's metric after quantisation-aware training of many candidates at once.

    Every candidate is trained with the arithmetic of its ``ap_fixed`` types and scored on the validation
    split by the integer emulator, so the score is that of the hardware.
    """

    name: ClassVar[str] = "training"
    version: str = "14"
    cost: float = 0.1
    trains: bool = True
    #: Settings that change for full trainings of exported designs.
    full_training: ClassVar[Mapping[str, Any]] = {
        "epochs": 100,
        "max_rows": 131072,
        "rungs": (),
        "train_on": "train+validation",
    }
    #: Long trainings at the usual rate collapse for some networks of few bits, whatever the seed.
    after_failure: ClassVar[Mapping[str, float]] = {"learning_rate": 1 / 3}
    Config: ClassVar[type[TrainingConfig]] = TrainingConfig
    provides: Sequence[str] = ("accuracy",)

    def __init__(self, config: TrainingConfig | None = None, task: Dataset | None = None) -> None:
        self.config: TrainingConfig = config or self.Config()
        if task is not None:
            check_class_weights(self.config, task)

    @property
    def schedule(self) -> TrainingConfig:
        """The settings of the whole training."""
        return self.config

    @property
    def share(self) -> float:
        """The fraction of the schedule at which training ends."""
        return 1.0

    def run(self, training: Training, context: Context, keep: Keep) -> list[TrainingResult]:
        """Train the planned members; one outcome per member."""
        return training.run(keep)

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """See :class:`~hwnas_hls.protocols.estimator.Estimator`; designs are in ``Estimates.design``."""
        wanted, reasons = self._wanted(candidates, context)

        def keep(indices: Sequence[int], scores: Sequence[float], progress: float) -> Sequence[bool]:
            return context.keep([wanted[index].places[0] for index in indices], scores, progress)

        found = [_refused(reason) for reason in reasons]
        if wanted:
            training = self._training(wanted, context)
            training.progress = context.progress
            self._answer(found, wanted, training, self.run(training, context, keep))
        return found

    # In parts, see hwnas_hls.protocols.estimator.Resumable

    @property
    def rungs(self) -> Sequence[float]:
        """Fractions of the schedule at which ``keep`` is called."""
        epochs = self.schedule.epochs
        ends = sorted({max(1, round(rung * epochs)) for rung in self.schedule.rungs})
        return [end / epochs for end in ends if end < round(self.share * epochs)]

    def advance(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes | None], until: float
    ) -> list[Paused | Estimates]:
        """See :class:`~hwnas_hls.protocols.estimator.Resumable`."""
        wanted, reasons = self._wanted(candidates, context, alone=True)
        found: list[Paused | Estimates] = [_refused(reason) for reason in reasons]
        if wanted:
            from hwnas_hls_plugins.estimators.training import rungs

            training = self._training(wanted, context)
            end = round(min(until, self.share) * self.schedule.epochs)
            reached = rungs.advance(training, [states[one.places[0]] for one in wanted], end)
            for one, (state, score) in zip(wanted, reached, strict=True):
                found[one.places[0]] = Paused(state, score)
        return found

    def conclude(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes]
    ) -> list[Estimates]:
        """See :class:`~hwnas_hls.protocols.estimator.Resumable`."""
        if not candidates:
            return []
        from hwnas_hls_plugins.estimators.training import rungs

        wanted, reasons = self._wanted(candidates, context, alone=True)
        found = [_refused(reason) for reason in reasons]
        training = self._training(wanted, context)
        self._answer(
            found, wanted, training, rungs.conclude(training, [states[one.places[0]] for one in wanted])
        )
        return found

    def refined(
        self, designs: Sequence[Design], dataset: Dataset, split: Split, until: Sequence[float]
    ) -> list[list[Refinement]]:
        """See :class:`~hwnas_hls.protocols.estimator.Refining`.

        The loss is computed on at most 8,192 rows.
        """
        from hwnas_hls_plugins.estimators.refinement.ladders import ladders

        rows = refinement_rows(split, dataset, self.schedule, _REFINED_ROWS)
        labels = dataset.wanted(rows) if dataset.kind == REGRESSION else rows.y
        return ladders(designs, rows.x, labels, until)

    def _wanted(
        self, candidates: Sequence[Candidate], context: Context, *, alone: bool = False
    ) -> tuple[list[Wanted], list[str]]:
        """The trainings to run, and for each candidate why it cannot be trained, or an empty string.

        Args:
            alone: whether every candidate has its own training, even if one could cover several.
        """
        found: dict[object, Wanted] = {}
        reasons = []
        for place, candidate in enumerate(candidates):
            architecture = context.architecture(candidate)
            reasons.append(refusal(architecture))
            if reasons[-1]:
                continue
            family = {architecture.kept_adders: candidate}
            if self.share == 1:
                for sibling in context.siblings(candidate):
                    family.setdefault(context.architecture(sibling).kept_adders, sibling)
            dense = with_all_adders(architecture) if self.share == 1 else architecture
            # Equal architectures are trained equally, independent of their candidates.
            key = _trained_as(dense)
            one = found.setdefault((place if alone else 0, key), Wanted(dense, key, {}, [], {}))
            one.family.update(family)
            one.places.append(place)
            one.kept[place] = architecture.kept_adders
        return list(found.values()), reasons

    def _training(self, wanted: Sequence[Wanted], context: Context) -> Training:
        return _training(
            [one.architecture for one in wanted],
            [one.key for one in wanted],
            [context.seed] * len(wanted),
            context.dataset,
            self.schedule,
            context.seed,
            context.device,
            [tuple(sorted(one.family, reverse=True)) if self.share == 1 else (1.0,) for one in wanted],
            context.front,
        )

    def _answer(
        self,
        found: list[Estimates],
        wanted: Sequence[Wanted],
        training: Training,
        outcomes: Sequence[TrainingResult],
    ) -> None:
        """Assign the results of each training to its candidates."""
        for one, outcome in zip(wanted, outcomes, strict=True):
            if not outcome.snapshots:
                estimate = _scored(training, outcome.design)
                said = self._said(one.architecture, outcome.design, estimate, outcome.progress)
                for place in one.places:
                    found[place] = said
                continue
            by_share = self._by_share(
                one, training, outcome.snapshots, {one.kept[place] for place in one.places}
            )
            for place in one.places:
                own = by_share.get(one.kept[place])
                if own is None:
                    # The score of the last network is not that of the candidate, which has fewer adders.
                    reason = (
                        f"far behind the front with {percent(outcome.snapshots[-1].kept, 1)} of its adders"
                    )
                    own = Estimates(stopped=reason)
                rest = tuple(
                    (candidate, by_share[kept])
                    for kept, candidate in sorted(one.family.items(), reverse=True)
                    if kept != one.kept[place] and kept in by_share
                )
                found[place] = replace(own, siblings=rest)

    def _by_share(
        self, one: Wanted, training: Training, snapshots: Sequence[Snapshot], asked: set[float]
    ) -> dict[float, Estimates]:
        """The estimates for each share of the adders that a training reached.

        Dominated ones, and those far behind the known front or below its floor, are stopped. A requested
        one is stopped only below the floor of a known front.
        """
        from hwnas_hls_plugins.estimators.training.snapshots import worthwhile

        found = {}
        floor = training.floor(snapshots)
        for snapshot, is_worth in zip(snapshots, worthwhile(snapshots, training.front, floor), strict=True):
            cost = measured(
                "adder_bits", snapshot.adder_bits, "trained", "adders of one tree per neuron, without sharing"
            )
            said = Estimates(design=snapshot.design)
            if is_worth or snapshot.kept in asked or snapshot is snapshots[-1]:
                said = self._said(one.architecture, snapshot.design, _scored(training, snapshot.design), 1.0)
            stopped = ""
            if snapshot.score < floor and (snapshot.kept not in asked or training.front):
                stopped = "its score is too near to that of a constant output"
            elif not is_worth and snapshot.kept not in asked:
                stopped = "another design of the same training, or of the front, is better and smaller"
            found[snapshot.kept] = replace(said, values={**said.values, cost.metric: cost}, stopped=stopped)
        return found

    def _said(
        self, architecture: Architecture, design: Design, estimate: Estimate, progress: float
    ) -> Estimates:
        stopped = ""
        if progress < self.share:
            stopped = f"dominated after {percent(progress)} of its training"
            estimate = replace(estimate, source="trained", evidence=f"{estimate.evidence}, {stopped}")
        warnings: tuple[str, ...] = ()
        if getattr(architecture.layers[-1], "activation", "") == "softmax":
            warnings = ("the softmax at the end is omitted: it does not change the class",)
        return Estimates({estimate.metric: estimate}, stopped=stopped, design=design, warnings=warnings)


def _training(
    architectures: Sequence[Architecture],
    keys: Sequence[str],
    seeds: Sequence[int],
    dataset: Dataset,
    config: TrainingConfig,
    seed: int,
    device: str,
    kept: Sequence[Sequence[float]],
    front: Sequence[tuple[float, float]] = (),
) -> Training:
    from hwnas_hls_plugins.estimators.training.loop import Training

    plans = [
        planned(architecture, key, number, regression=dataset.kind == REGRESSION)
        for architecture, key, number in zip(architectures, keys, seeds, strict=True)
    ]
    seen = config.train_on == "train+validation"
    rows = joined(dataset) if seen else dataset.train
    return Training(plans, dataset, config, seed, device, rows, kept=kept, front=front)


def _scored(training: Training, design: Design) -> Estimate:
    """The task's metric of a design on the validation rows."""
    split = training.validation_split
    source, evidence = "emulated", f"integer emulation on {len(split)} validation rows"
    if training.config.train_on == "train+validation":
        source, evidence = "trained", "rows it was trained on: no evidence"
    return scored(design, training.dataset, split, source=source, evidence=evidence)


def _trained_as(architecture: Architecture) -> str:
    """The name and seed of a training; a softmax at the end changes neither."""
    from hwnas_hls_plugins.estimators.training.finished import as_emulated

    return digest(as_emulated(architecture).to_json())


def _refused(reason: str) -> Estimates:
    """A refused training; an empty reason means that it is not refused."""
    return Estimates(failure=reason, failure_kind=ErrorKind.UNSUPPORTED) if reason else Estimates()
