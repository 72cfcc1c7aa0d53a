"""Every built-in strategy under the contract, on the contract's spaces and on the MLP space."""

from __future__ import annotations

import types
from typing import Any

from hwnas_hls.objective import Goal
from hwnas_hls.space import Space
from hwnas_hls.strategy import Strategy
from hwnas_hls.testing import StrategyContract
from hwnas_hls.testing.samples import sample_target
from hwnas_hls_plugins.evolution import EvolutionStrategy
from hwnas_hls_plugins.mlp_space import MlpSpace
from hwnas_hls_plugins.optuna_strategies import (
    GeneticConfig,
    Nsga2Strategy,
    Nsga3Strategy,
    TpeConfig,
    TpeStrategy,
)
from hwnas_hls_plugins.random_strategy import RandomStrategy


def mlp_space(n_in: int = 16, n_out: int = 5, **settings: Any) -> MlpSpace:
    task: Any = types.SimpleNamespace(n_in=n_in, n_out=n_out)
    return MlpSpace(MlpSpace.Config(**settings), task, sample_target())


class BuiltIn(StrategyContract):
    def spaces(self) -> list[Space]:
        return [*super().spaces(), mlp_space()]


class TestRandom(BuiltIn):
    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return RandomStrategy(RandomStrategy.Config(), space, seed)


class TestEvolution(BuiltIn):
    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return EvolutionStrategy(EvolutionStrategy.Config(8, 3), space, goal, seed)


class TestNsga2(BuiltIn):
    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return Nsga2Strategy(GeneticConfig(8), space, goal, seed)


class TestNsga3(BuiltIn):
    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return Nsga3Strategy(GeneticConfig(8), space, goal, seed)


class TestTpe(BuiltIn):
    batches = 4
    batch_size = 4

    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return TpeStrategy(TpeConfig(startup=6, draws=6), space, goal, seed)
