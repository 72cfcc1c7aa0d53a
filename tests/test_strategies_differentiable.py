"""The differentiable strategy: its contract, its supernets, what it refuses."""

from __future__ import annotations

import dataclasses
import json
import types
from typing import Any

import pytest

from hwnas_hls.errors import UserError
from hwnas_hls.objective import Goal
from hwnas_hls.space import Space
from hwnas_hls.strategy import Strategy
from hwnas_hls.target import Target
from hwnas_hls.testing import MixedSpace, StrategyContract, TinySpace, sample_dataset
from hwnas_hls.testing.samples import judge, sample_goal, sample_target
from hwnas_hls_plugins.differentiable import DifferentiableConfig, DifferentiableStrategy
from hwnas_hls_plugins.differentiable.relaxation import Relaxation
from hwnas_hls_plugins.mlp_space import MlpSpace

torch = pytest.importorskip("torch")

SMALL: dict[str, Any] = {
    "max_depth": 2,
    "widths": (4, 8, 16),
    "weight_bits": (2, 4, 6),
    "activation_bits": (3, 6),
    "activation_integer_bits": (1, 2),
}


def mlp_space(n_in: int = 6, n_out: int = 3, **settings: Any) -> MlpSpace:
    task: Any = types.SimpleNamespace(n_in=n_in, n_out=n_out)
    return MlpSpace(MlpSpace.Config(**{**SMALL, **settings}), task)


def part() -> Target:
    return dataclasses.replace(sample_target(), part="xcvu9p-flga2104-2-i")


def differentiable(
    space: Space, goal: Goal | None = None, seed: int = 0, **settings: Any
) -> DifferentiableStrategy:
    config = DifferentiableConfig(**{"tradeoffs": (0.3, 6.0), "epochs": 5, "draws": 1, **settings})
    return DifferentiableStrategy(config, space, goal or sample_goal(), seed, sample_dataset(), part())


class TestDifferentiable(StrategyContract):
    batches = 4
    batch_size = 5
    modes = ("pareto",)

    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return differentiable(space, goal, seed, epochs=2, population_size=8, tournament_size=3)

    def spaces(self) -> list[Space]:
        return [mlp_space(), TinySpace(), MixedSpace()]

    def supports(self, space: Space) -> bool:
        return isinstance(space, MlpSpace)
