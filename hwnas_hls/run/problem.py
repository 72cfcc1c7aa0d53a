"""The problem of a search: everything that a spec names, found, loaded and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hwnas_hls.cluster import ClusterSetup
from hwnas_hls.network.architecture import Architecture, as_architecture
from hwnas_hls.network.scaling import scaled
from hwnas_hls.plugin.configured import ConfiguredPlugin
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.protocols.synthesizer import Synthesizer
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.run.estimators import configured_estimator
from hwnas_hls.run.given import given_architecture
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.candidate import GIVEN, Candidate
from hwnas_hls.values.objective import Goal


class MakeStrategy(Protocol):
    """Builds the strategy; ``progress`` gets its words, as in ``protocols.strategy.Strategy``."""

    def __call__(self, progress: Callable[[str], None] = ...) -> Strategy: ...


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything that a search needs; immutable.

    Args:
        spec: the resolved spec (the name of a built-in is qualified if another plugin uses it too).
        estimators: cheapest first.
        synthesizer: for hardware in the loop, or ``None``.
        trainer: the estimator whose designs are exported, with the configuration for the
            full training; ``None`` if no estimator trains.
        lacking: why ``auto`` selected no synthesizer; otherwise empty.
    """

    spec: Spec
    registry: Registry
    target: Target
    clock_ns: float
    dataset: Dataset
    space: Space
    goal: Goal
    estimators: Sequence[ConfiguredPlugin]
    trainer: ConfiguredPlugin | None
    synthesizer: Synthesizer | None
    make_strategy: MakeStrategy
    lacking: str = ""

    def architecture(self, candidate: Candidate) -> Architecture:
        """The architecture of a candidate; without a clock of its own, it gets that of the run.

        If the task gives raw words, their scaling is its first layer.
        """
        given = given_architecture(candidate)
        architecture = given or scaled(
            as_architecture(self.space.architecture(candidate)), self.dataset.scaling
        )
        if architecture.clock_ns is None:
            architecture = dataclasses.replace(architecture, clock_ns=self.clock_ns)
        return architecture

    @property
    def finds_clock(self) -> bool:
        """Whether the synthesizer finds a clock for each exported design, because the user states none."""
        if self.synthesizer is None or self.spec.clock_ns is not None:
            return False
        return type(self.synthesizer).clocked is not Synthesizer.clocked

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        """The candidates that one training covers together with this one."""
        return () if candidate.space == GIVEN else self.space.siblings(candidate)

    def with_seed(self, seed: int) -> Problem:
        """The same problem with another seed of its trainings."""
        spec = dataclasses.replace(self.spec, run=dataclasses.replace(self.spec.run, seed=seed))
        return dataclasses.replace(self, spec=spec)

    def recovering(self) -> Problem:
        """The same problem with the trainer's settings for designs whose full training failed."""
        part = self.trainer
        if part is None or not part.instance.after_failure:
            return self
        factors = part.instance.after_failure
        changed = {name: factor * part.config[name] for name, factor in factors.items()}
        return dataclasses.replace(self, trainer=self._rebuilt(part, changed, self.dataset))

    def _rebuilt(
        self, part: ConfiguredPlugin, changes: Mapping[str, Any], dataset: Dataset
    ) -> ConfiguredPlugin:
        """An estimator with other settings or data."""
        common = {
            "task": dataset,
            "target": self.target,
            "seed": self.spec.run.seed,
            "clock_ns": self.clock_ns,
            "space": self.space,
            "goal": self.goal,
        }
        return configured_estimator(
            self.spec, self.registry, part.name, {**part.config, **changes}, True, common
        )

    def trained_on(self, dataset: Dataset) -> Problem:
        """The same problem reduced to its full training, on the training rows of ``dataset``.

        Args:
            dataset: its validation rows are not used for training.
        """
        if self.trainer is None:
            raise ValueError("no estimator of this run trains")
        trainer = self._rebuilt(self.trainer, {"train_on": "train"}, dataset)
        return dataclasses.replace(self, dataset=dataset, estimators=(), trainer=trainer)

    def tested(self, names: Collection[str]) -> Problem:
        """The same problem with the test rows as validation rows, and only these of its estimators.

        They are built again, because an estimator may hold the data passed to its constructor.
        """
        dataset = dataclasses.replace(self.dataset, validation=self.dataset.test)
        estimators = [self._rebuilt(part, {}, dataset) for part in self.estimators if part.name in names]
        return dataclasses.replace(self, dataset=dataset, estimators=estimators, trainer=None)

    def cluster_setup(self) -> ClusterSetup:
        """The setup of worker processes for this problem."""
        spec = self.spec
        return ClusterSetup(
            table=spec.cluster,
            where=spec.where("cluster"),
            registry=self.registry,
            space=(self.space, spec.space.config),
            estimators=(*self.estimators, *([self.trainer] if self.trainer is not None else [])),
            synthesizer=None if self.synthesizer is None else (self.synthesizer, spec.synthesis.config),
            dataset=self.dataset,
            target=self.target,
            seed=spec.run.seed,
            clock_ns=self.clock_ns,
        )
