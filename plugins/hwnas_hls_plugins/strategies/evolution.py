"""Regularised evolution: a population that ages, tournaments, mutation."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import ProposingStrategy
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls_plugins.strategies.optuna_study import finite_losses, total_violation


@dataclass(frozen=True, slots=True)
class EvolutionConfig:
    """Settings of regularised evolution.

    Args:
        population_size: number of the newest candidates that can become parents.
        tournament_size: number of candidates drawn to select one parent.
        crossover_chance: probability of a crossover before the mutation.
        front_share: probability that a parent comes from the best front so far.
    """

    population_size: int = 32
    tournament_size: int = 8
    crossover_chance: float = 0.2
    front_share: float = 0.25

    def __post_init__(self) -> None:
        if not 1 <= self.tournament_size <= self.population_size:
            raise ValueError(
                f"tournament_size ({self.tournament_size}) must be at least 1 and at most "
                f"population_size ({self.population_size})"
            )
        for name in ("crossover_chance", "front_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {getattr(self, name)}")


class EvolutionStrategy(ProposingStrategy):
    """Regularised (aging) evolution for several objectives and limits.

    The population consists of the newest candidates; the oldest is removed regardless of its quality.
    A parent is the best of a few random members: feasible before infeasible, then the smaller
    violation, then the earlier front, then the less crowded part of it. Its child is a mutant,
    sometimes after a crossover with a second parent. Because aging alone would forget the front, a
    share of the parents comes from the best front so far.

    Failed candidates do not enter the population.

    Source: Real et al., "Regularized evolution for image classifier architecture search", AAAI
    2019; constraint dominance and crowding as in Deb et al., IEEE Trans. Evol. Comp. 6(2), 2002.

    Args:
        config: settings.
        space: any space.
        goal: objectives and limits.
        seed: of the run.
    """

    name = "evolution"

    Config = EvolutionConfig
    config: EvolutionConfig

    def __init__(self, config: EvolutionConfig, space: Space, goal: Goal, seed: int) -> None:
        super().__init__(space, seed)
        self.config = config
        self.goal = goal
        self._population: deque[Individual] = deque(maxlen=config.population_size)
        self._front: list[Individual] = []
        self._order: list[Individual] = []

    def ask(self, n: int) -> list[Candidate]:
        rng = self.proposals.next_rng()
        asked: list[Candidate] = []
        while len(asked) < n:
            found: Candidate | None
            if len(self._population) < self.config.population_size or self.proposals.starting:
                found = self.proposals.sample(rng)
            else:
                found = self.proposals.variant(self._child(rng), rng)
            if found is None:
                break
            asked.append(found)
        return asked

    def tell(self, records: Sequence[Record]) -> None:
        super().tell(records)
        members = [
            Individual(record.candidate, finite_losses(self.goal, record), total_violation(record))
            for record in records
            if record.state != RecordState.FAILED
        ]
        self._population.extend(members)
        kept = [*self._front, *(member for member in members if member.violation == 0)]
        self._front = [kept[index] for index in non_dominated([member.losses for member in kept])]
        self._order = best_first(list(self._population))

    def _child(self, rng: np.random.Generator) -> Candidate:
        child = self._parent(rng)
        if rng.random() < self.config.crossover_chance:
            child = self.space.crossover(child, self._parent(rng), rng)
        return self.space.mutate(child, rng)

    def _parent(self, rng: np.random.Generator) -> Candidate:
        if self._front and rng.random() < self.config.front_share:
            return self._front[int(rng.integers(len(self._front)))].candidate
        # The population is sorted by merit, so the best of a draw has the smallest index.
        drawn = rng.choice(len(self._order), self.config.tournament_size, replace=False)
        return self._order[int(drawn.min())].candidate


@dataclass(frozen=True, slots=True)
class Individual:
    """One evaluated candidate with its losses and its total violation of the limits."""

    candidate: Candidate
    losses: tuple[float, ...]
    violation: float


def best_first(members: list[Individual]) -> list[Individual]:
    """Members in order of merit: feasible ones by front, the less crowded first; then the others by
    violation. Ties keep their order."""
    feasible = [member for member in members if member.violation == 0]
    rest = sorted((member for member in members if member.violation > 0), key=lambda member: member.violation)
    ordered: list[Individual] = []
    while feasible:
        front = non_dominated([member.losses for member in feasible])
        distance = crowding_distance(np.array([feasible[index].losses for index in front]))
        ordered += [feasible[front[place]] for place in np.argsort(-distance, kind="stable")]
        taken = set(front)
        feasible = [member for index, member in enumerate(feasible) if index not in taken]
    return ordered + rest


def crowding_distance(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The crowding distance of each point of a front: the sum over objectives of the gap between its
    neighbours, relative to the extent of the front; infinite at the ends.

    Args:
        losses: (points, objectives).

    Returns:
        (points,).
    """
    count = len(losses)
    distance = np.zeros(count)
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        extent = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if extent > 0 and count > 2:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return distance
