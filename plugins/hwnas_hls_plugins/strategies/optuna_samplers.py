"""Optuna's samplers as strategies: NSGA-II, NSGA-III and TPE, with constraints."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import ProposingStrategy, batch_seed
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record
from hwnas_hls_plugins.strategies.optuna_study import Coding, KnobStudy, finite_losses, quiet, total_violation

if TYPE_CHECKING:
    import numpy as np


class OptunaStrategy(ProposingStrategy):
    """A sampler of Optuna that continues after a resume exactly as without the interruption.

    The study contains only evaluated records, and each batch uses a new sampler seeded by the run's
    seed and the batch number. The first candidates are samples of the space, because samplers do not
    know the distribution of its samples.

    :func:`~hwnas_hls_plugins.strategies.optuna_study.finite_losses` and
    :func:`~hwnas_hls_plugins.strategies.optuna_study.total_violation` convert records for the sampler.
    Known candidates are mutated until they are new.
    """

    #: The coding of knobs as Optuna's parameters.
    _coding: type[Coding] = Coding

    def __init__(self, space: Space, goal: Goal, seed: int, startup: int) -> None:
        super().__init__(space, seed)
        self.goal = goal
        self.startup = startup
        self._study = KnobStudy(self.name, space, goal, self._coding)

    @abstractmethod
    def _sampler(self, seed: int) -> Any:
        """A new sampler."""

    def ask(self, n: int) -> list[Candidate]:
        batch = self.proposals.batch
        rng = self.proposals.next_rng()
        sampler = None
        asked: list[Candidate] = []
        while len(asked) < n:
            first = self._study.n_records < self.startup or self.proposals.starting
            if first or self._immigrates(rng):
                found = self.proposals.sample(rng)
            else:
                if sampler is None:
                    with quiet():
                        sampler = self._sampler(batch_seed(self.name, self.seed, batch, "sampler"))
                found = self.proposals.variant(self._propose(sampler, rng), rng)
            if found is None:
                break
            asked.append(found)
        self._study.end_batch()
        return asked

    def _immigrates(self, rng: np.random.Generator) -> bool:
        """Whether the next candidate is a sample of the space instead of a proposal."""
        return False

    def _propose(self, sampler: Any, rng: np.random.Generator) -> Candidate:
        return self._study.ask(sampler)

    def tell(self, records: Sequence[Record]) -> None:
        super().tell(records)
        for record in records:
            self._study.tell(
                record.candidate,
                finite_losses(self.goal, record),
                {"violation": total_violation(record)},
            )


@dataclass(frozen=True, slots=True)
class GeneticConfig:
    """Settings of the genetic samplers.

    Args:
        population_size: number of parents per generation.
        crossover_chance: probability that a child has two parents.
        swap_chance: probability per knob that its value comes from the second parent.
        mutation_chance: probability per knob that a new value is drawn; 0 means one knob per child
            on average.
        immigrants: share of the candidates after the first generation that are samples of the space. They
            keep a population diverse in which the designs of one training are many.
    """

    population_size: int = 16
    crossover_chance: float = 0.9
    swap_chance: float = 0.5
    mutation_chance: float = 0.0
    immigrants: float = 0.3

    def __post_init__(self) -> None:
        if self.population_size < 2:
            raise ValueError(f"population_size must be at least 2, not {self.population_size}")
        for name in ("crossover_chance", "swap_chance", "mutation_chance", "immigrants"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {getattr(self, name)}")

    def arguments(self) -> dict[str, Any]:
        """The arguments of Optuna's sampler."""
        return {
            "population_size": self.population_size,
            "crossover_prob": self.crossover_chance,
            "swapping_prob": self.swap_chance,
            "mutation_prob": self.mutation_chance or None,
        }


class GeneticStrategy(OptunaStrategy):
    """A genetic sampler: whole batches are added to a generation until it has the population's size.

    A generation may therefore be larger than the population. Its parents are selected once, by a
    sampler seeded for that generation, from the previous generation and its parents.

    The study contains only these, because the time per proposal is proportional to the number of
    trials in the study, and the sampler uses only the parents.
    """

    Config = GeneticConfig
    config: GeneticConfig

    def __init__(self, config: GeneticConfig, space: Space, goal: Goal, seed: int) -> None:
        super().__init__(space, goal, seed, config.population_size)
        self.config = config
        with quiet():
            self._generation_key = f"{type(self._sampler(0)).__name__}:generation"
        self._generation = 0
        self._members: list[Any] = []
        self._size = 0
        self._last_batch = -1

    def ask(self, n: int) -> list[Candidate]:
        if self._size >= self.startup:
            self._breed()
        return super().ask(n)

    def tell(self, records: Sequence[Record]) -> None:
        self.proposals.tell(records)
        for record in records:
            if record.batch != self._last_batch and self._size >= self.startup:
                # Already done if this instance proposed the batch, but not after a resume.
                self._breed()
            self._last_batch = record.batch
            self._members.append(
                self._study.trial(
                    record.candidate,
                    finite_losses(self.goal, record),
                    {"violation": total_violation(record)},
                    {self._generation_key: 0},
                )
            )
            self._study.n_records += 1
            self._size += 1

    def _immigrates(self, rng: np.random.Generator) -> bool:
        # No number is drawn if there are none.
        return self.config.immigrants > 0 and rng.random() < self.config.immigrants

    def _propose(self, sampler: Any, rng: np.random.Generator) -> Candidate:
        return self._study.draw(sampler, {self._generation_key: 1})

    def _breed(self) -> None:
        """Begin a generation; its parents are the best of the last one and of that one's parents."""
        self._study.renew(self._members)
        with quiet():
            sampler = self._sampler(batch_seed(self.name, self.seed, self._generation, "parents"))
            self._members = sampler.get_parent_population(self._study.study, 1)
        self._generation += 1
        self._size = 0


class Nsga2Strategy(GeneticStrategy):
    """NSGA-II: non-dominated sorting and crowding distance, broken limits last.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
    Trans. Evol. Comp. 6(2), 2002; as in Optuna.
    """

    name = "nsga2"

    def _sampler(self, seed: int) -> Any:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(seed=seed, **self.config.arguments())


class Nsga3Strategy(GeneticStrategy):
    """NSGA-III: non-dominated sorting and reference points, for three objectives and more.

    Source: Deb and Jain, "An evolutionary many-objective optimization algorithm using
    reference-point-based nondominated sorting approach", IEEE Trans. Evol. Comp. 18(4), 2014;
    as in Optuna.
    """

    name = "nsga3"

    def _sampler(self, seed: int) -> Any:
        from optuna.samplers import NSGAIIISampler

        return NSGAIIISampler(seed=seed, **self.config.arguments())


@dataclass(frozen=True, slots=True)
class TpeConfig:
    """Settings of TPE.

    Args:
        startup: number of random candidates before the model is used.
        draws: number of candidates drawn from the model to propose the best one.
        multivariate: use one model for all knobs (much faster here) instead of one per knob.
    """

    startup: int = 32
    draws: int = 24
    multivariate: bool = True

    def __post_init__(self) -> None:
        if self.startup < 1 or self.draws < 1:
            raise ValueError(f"startup ({self.startup}) and draws ({self.draws}) must be at least 1")


class TpeStrategy(OptunaStrategy):
    """Tree-structured Parzen estimators, multi-objective and with constraints.

    Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011; Ozaki
    et al., "Multiobjective tree-structured Parzen estimator", JAIR 73, 2022; as in Optuna.
    """

    name = "tpe"
    Config = TpeConfig
    config: TpeConfig

    def __init__(self, config: TpeConfig, space: Space, goal: Goal, seed: int) -> None:
        self.config = config
        super().__init__(space, goal, seed, config.startup)

    def _sampler(self, seed: int) -> Any:
        from optuna.samplers import TPESampler

        return TPESampler(
            seed=seed,
            n_startup_trials=self.config.startup,
            n_ei_candidates=self.config.draws,
            multivariate=self.config.multivariate,
        )
