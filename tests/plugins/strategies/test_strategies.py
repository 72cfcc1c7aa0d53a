"""Every built-in strategy under the contract, on the contract's spaces and on the MLP space."""

from __future__ import annotations

import dataclasses
import logging
import math
import types
from typing import Any

import numpy as np
import pytest
from refusal import raises_naming, refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.protocols.space import Space, lattice
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.testing import StrategyContract, TinySpace
from hwnas_hls.testing.samples import judge, sample_goal
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls_plugins.spaces.mlp import MlpSpace
from hwnas_hls_plugins.strategies.evolution import (
    EvolutionStrategy,
    Individual,
    best_first,
    crowding_distance,
)
from hwnas_hls_plugins.strategies.grid import GridStrategy
from hwnas_hls_plugins.strategies.optuna_samplers import (
    GeneticConfig,
    Nsga2Strategy,
    Nsga3Strategy,
    TpeConfig,
    TpeStrategy,
)
from hwnas_hls_plugins.strategies.optuna_study import (
    FAILED_VIOLATION,
    MISSING_LOSS,
    finite_losses,
    total_violation,
)
from hwnas_hls_plugins.strategies.random_search import RandomStrategy
from hwnas_hls_plugins.strategies.reinforce import Policy, ReinforceStrategy


def mlp_space(n_in: int = 16, n_out: int = 5, **settings: Any) -> MlpSpace:
    task: Any = types.SimpleNamespace(n_in=n_in, n_out=n_out, train=range(9000))
    return MlpSpace(MlpSpace.Config(**settings), task)


def narrow_space() -> MlpSpace:
    """Few enough settings to be walked, conditional knobs and repaired twins among them."""
    return mlp_space(
        max_depth=2,
        widths=(4, 8),
        use_bias=(True,),
        normalisations=("none",),
        input_bits=(8,),
        input_integer_bits=(3,),
        weight_bits=(4,),
        weight_integer_bits=(1,),
        activation_bits=(6,),
        activation_integer_bits=(2,),
        strategies=("Latency", "Resource"),
        reuse_factors=(2, 3, 4),
        sparsities=(0.0,),
    )


class BuiltIn(StrategyContract):
    batch_size = 5

    def spaces(self) -> list[Space]:
        return [*super().spaces(), mlp_space()]


class TestRandom(BuiltIn):
    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return RandomStrategy(space, seed)


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


class TestReinforce(BuiltIn):
    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return ReinforceStrategy(ReinforceStrategy.Config(), space, goal, seed)


class TestGrid(BuiltIn):
    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return GridStrategy(GridStrategy.Config(max_settings=2000), space, seed)

    def spaces(self) -> list[Space]:
        return [*super().spaces(), narrow_space()]

    def supports(self, space: Space) -> bool:
        return isinstance(space, TinySpace) or space.knobs == narrow_space().knobs


@pytest.mark.parametrize("name", ["random", "evolution", "nsga2", "tpe"])
def test_proposals_begin_with_the_starts_of_the_space(name: str) -> None:
    """Also where the first records fill the population, because one training gives several."""
    task: Any = types.SimpleNamespace(n_in=16, n_out=5, train=range(9000))
    space, goal = MlpSpace(MlpSpace.Config(strategies=("distributed_arithmetic",)), task), sample_goal()
    strategy: Strategy = {
        "random": lambda: RandomStrategy(space, 1),
        "evolution": lambda: EvolutionStrategy(EvolutionStrategy.Config(8, 3), space, goal, 1),
        "nsga2": lambda: Nsga2Strategy(GeneticConfig(8), space, goal, 1),
        "tpe": lambda: TpeStrategy(TpeConfig(startup=16), space, goal, 1),
    }[name]()
    starts = space.starts()
    asked = list(strategy.ask(2))
    family = [*asked, *(space.sample(np.random.default_rng(seed)) for seed in range(20))]
    strategy.tell(judge(family, space, goal, 0, 0))
    asked += strategy.ask(3)
    strategy.tell(judge(asked[2:], space, goal, 1, len(family)))
    asked += strategy.ask(len(starts))
    assert asked[: len(starts)] == starts
    assert not set(asked[len(starts) :]) & set(starts)


def drive(
    strategy: Strategy,
    space: Space,
    goal: Goal,
    batches: int,
    size: int,
    states: tuple[RecordState, ...] = (RecordState.COMPLETE,),
) -> list[Record]:
    records: list[Record] = []
    for batch in range(batches):
        judged = judge(strategy.ask(size), space, goal, batch, len(records), states)
        strategy.tell(judged)
        records += judged
    return records


@pytest.mark.parametrize("config", [GridStrategy.Config(), GridStrategy.Config(scattered=False)])
def test_grid_walks_every_candidate_once(config: GridStrategy.Config) -> None:
    space = narrow_space()
    strategy = GridStrategy(config, space, 0)
    asked = [candidate for _ in range(200) for candidate in strategy.ask(7)]
    assert len({candidate.key for candidate in asked}) == len(asked)
    assert {candidate.key for candidate in asked} == {candidate.key for candidate in lattice(space)}
    assert strategy.ask(7) == []


def test_grid_names_the_space_that_is_too_large_and_what_would_do() -> None:
    with refused(ErrorKind.TOO_LARGE, where="space mlp", mentions=["grid", 1000, "max_settings"]):
        GridStrategy(GridStrategy.Config(max_settings=1000), mlp_space(), 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda space, goal: RandomStrategy(space, 1),
        lambda space, goal: EvolutionStrategy(EvolutionStrategy.Config(4, 2), space, goal, 1),
        lambda space, goal: Nsga2Strategy(GeneticConfig(4), space, goal, 1),
        lambda space, goal: TpeStrategy(TpeConfig(startup=4, draws=4), space, goal, 1),
        lambda space, goal: ReinforceStrategy(ReinforceStrategy.Config(), space, goal, 1),
    ],
    ids=["random", "evolution", "nsga2", "tpe", "reinforce"],
)
def test_a_finite_space_is_exhausted_without_duplicates(make: Any) -> None:
    space, goal = TinySpace(), sample_goal()
    strategy = make(space, goal)
    records = drive(strategy, space, goal, 4, 5)
    assert sorted(record.key for record in records) == sorted(candidate.key for candidate in lattice(space))
    assert strategy.ask(5) == []


def test_immigrants_are_samples_of_the_space() -> None:
    """With immigrants alone, later batches are samples of the space; by default, a share of them is."""
    space, goal = mlp_space(), sample_goal("constrained")

    def repeated(immigrants: float) -> float:
        """The mean share of values that a later candidate has in common with the nearest earlier one."""
        searcher = Nsga2Strategy(GeneticConfig(8, immigrants=immigrants), space, goal, 0)
        judged = drive(searcher, space, goal, 4, 16)
        later = searcher.ask(32)
        nearest = [max(shared(record.candidate, child) for record in judged) for child in later]
        return float(
            np.mean([count / len(child.values) for count, child in zip(nearest, later, strict=True)])
        )

    assert repeated(1.0) < repeated(0.3) < repeated(0.0)


def test_a_space_without_knobs_is_refused_by_name() -> None:
    class Opaque(TinySpace):
        name = "opaque"

        def __init__(self) -> None:
            super().__init__()
            self.knobs = ()

    for strategy in (Nsga2Strategy, TpeStrategy, ReinforceStrategy):
        with refused(ErrorKind.UNSUPPORTED, found="space opaque", mentions=[strategy.name]):
            strategy(strategy.Config(), Opaque(), sample_goal(), 0)


@pytest.mark.parametrize("strategy", [Nsga2Strategy, Nsga3Strategy])
def test_children_of_a_genetic_strategy_descend_from_the_better_half(strategy: type[Nsga2Strategy]) -> None:
    """Without crossover and mutation a child is one of its parents, moved by the space to something
    new, so that its ancestor shows; after two generations it is one of the better half."""
    space, goal = mlp_space(), sample_goal("constrained")
    config = GeneticConfig(8, crossover_chance=0.0, mutation_chance=1e-9, immigrants=0.0)
    searcher = strategy(config, space, goal, 0)
    judged = drive(searcher, space, goal, 2, 8)
    best = sorted(judged, key=lambda record: record.losses or ())[:8]
    for child in searcher.ask(8):
        ancestor = max(judged, key=lambda record: shared(record.candidate, child))
        assert ancestor in best
        assert shared(ancestor.candidate, child) > 0.6 * len(child.values)


@pytest.mark.parametrize("strategy", [Nsga2Strategy, Nsga3Strategy])
def test_a_genetic_study_stays_small(strategy: type[Nsga2Strategy]) -> None:
    """What a proposal costs grows with the trials of the study, so only parents and a generation stay."""
    space, goal = mlp_space(), sample_goal()
    searcher = strategy(GeneticConfig(8), space, goal, 0)
    drive(searcher, space, goal, 12, 10)
    assert len(searcher._study.study.get_trials(deepcopy=False)) <= 8 + 10


def shared(a: Candidate, b: Candidate) -> int:
    return len(a.values.items() & b.values.items())


@pytest.mark.parametrize(
    "make",
    [
        lambda space, goal: EvolutionStrategy(EvolutionStrategy.Config(16, 6), space, goal, 2),
        lambda space, goal: Nsga2Strategy(GeneticConfig(16), space, goal, 2),
        lambda space, goal: Nsga3Strategy(GeneticConfig(16), space, goal, 2),
        lambda space, goal: TpeStrategy(TpeConfig(startup=16, draws=8), space, goal, 2),
        lambda space, goal: ReinforceStrategy(ReinforceStrategy.Config(), space, goal, 2),
    ],
    ids=["evolution", "nsga2", "nsga3", "tpe", "reinforce"],
)
def test_every_learner_ends_better_than_it_began(make: Any) -> None:
    space, goal = mlp_space(max_depth=2), sample_goal("weighted")
    records = drive(make(space, goal), space, goal, 10, 16)
    losses = [record.losses[0] for record in records if record.losses is not None]
    assert len(losses) == 160
    # In spreads of the first batch: random search gets -0.6 and -0.3 with seeds 2 and 3.
    assert (np.mean(losses[:16]) - np.mean(losses[-32:])) / np.std(losses[:16]) > 0.6


def test_policy_learns_rewarded_choices() -> None:
    space = TinySpace()
    policy = Policy(space.knobs, bins=4)
    candidates = list(lattice(space))
    pays = [1.0 if candidate.values["shape"] == "wide" else -0.5 for candidate in candidates]
    for _ in range(50):
        policy.learn(candidates, pays, learning_rate=0.1, entropy_weight=0.0)
    assert policy.probabilities("shape")[2] > 0.9
    assert policy.probabilities("use_bias") == pytest.approx([0.5, 0.5], abs=0.05)
    policy = Policy(space.knobs, bins=4)
    for _ in range(5):
        policy.learn(candidates, pays, learning_rate=0.1, entropy_weight=0.0)
    assert policy.probabilities("shape")[2] > 0.4
    for _ in range(100):
        policy.learn(candidates, [0.0] * len(candidates), learning_rate=0.1, entropy_weight=1.0)
    assert policy.probabilities("shape") == pytest.approx([1 / 3] * 3, abs=0.05)


def test_evolution_ranks_feasible_before_infeasible_and_fronts_before_the_rest() -> None:
    (candidate,) = RandomStrategy(TinySpace(), 0).ask(1)
    members = {
        "far over": Individual(candidate, (0.0, 0.0), 2.0),
        "dominated": Individual(candidate, (0.6, 0.6), 0.0),
        "crowded": Individual(candidate, (0.45, 0.5), 0.0),
        "end": Individual(candidate, (0.1, 0.9), 0.0),
        "other end": Individual(candidate, (0.9, 0.1), 0.0),
        "just over": Individual(candidate, (0.0, 0.0), 0.1),
        "middle": Individual(candidate, (0.4, 0.55), 0.0),
    }
    order = [
        name for member in best_first(list(members.values())) for name in members if members[name] is member
    ]
    assert set(order[:2]) == {"end", "other end"}
    assert order[4:] == ["dominated", "just over", "far over"]


def test_crowding_distance_of_a_known_front() -> None:
    front = np.array([[0.0, 4.0], [1.0, 2.0], [2.0, 1.0], [4.0, 0.0]])
    # (2 - 0)/4 + (4 - 1)/4 and (4 - 1)/4 + (2 - 0)/4, after Deb et al. 2002.
    assert crowding_distance(front) == pytest.approx([np.inf, 1.25, 1.25, np.inf])


def test_losses_and_violations_of_incomplete_records_for_samplers() -> None:
    space, goal = TinySpace(), sample_goal()
    candidate = space.sample(np.random.default_rng(0))
    (over,) = judge([candidate], space, goal, 0, 0, (RecordState.INFEASIBLE,))
    assert finite_losses(goal, over)[0] == MISSING_LOSS
    assert finite_losses(goal, over)[1] == pytest.approx(goal.objectives[1].loss(over.estimates["lut"].value))
    assert total_violation(over) == pytest.approx(over.estimates["lut"].high / 20_000 - 1)
    (broken,) = judge([candidate], space, goal, 0, 0, (RecordState.FAILED,))
    assert finite_losses(goal, broken) == (MISSING_LOSS, MISSING_LOSS)
    assert total_violation(broken) == FAILED_VIOLATION
    (fine,) = judge([candidate], space, goal, 0, 0, (RecordState.COMPLETE,))
    assert finite_losses(goal, fine) == fine.losses
    assert total_violation(fine) == 0
    # Its predicted LUTs alone would be the best of all.
    stopped = dataclasses.replace(over, state=RecordState.STOPPED, violations={})
    assert finite_losses(goal, stopped) == (MISSING_LOSS, MISSING_LOSS)
    trained = dataclasses.replace(fine, state=RecordState.STOPPED, losses=None)
    assert finite_losses(goal, trained) == fine.losses
    hopeless = dataclasses.replace(fine, losses=(math.inf, math.nan))
    assert all(math.isfinite(loss) for loss in finite_losses(goal, hopeless))


def test_a_state_of_another_kind_is_refused() -> None:
    strategy = RandomStrategy(TinySpace(), 0)
    for state in (None, {}, {"batch": "many", "pending": []}):
        with refused(ErrorKind.WRONG_FORMAT, where="random", found=state):
            strategy.restore(state)


def test_optuna_is_quiet_and_keeps_the_users_log_level(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("optuna")
    before = logger.level
    drive(Nsga3Strategy(GeneticConfig(4), TinySpace(), sample_goal(), 0), TinySpace(), sample_goal(), 2, 4)
    assert logger.level == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (GeneticConfig, {"population_size": 1}),
        (GeneticConfig, {"swap_chance": 1.5}),
        (TpeConfig, {"startup": 0}),
        (EvolutionStrategy.Config, {"tournament_size": 100}),
        (EvolutionStrategy.Config, {"front_share": -0.1}),
        (ReinforceStrategy.Config, {"learning_rate": 0.0}),
        (ReinforceStrategy.Config, {"bins": 1}),
        (GridStrategy.Config, {"max_settings": 0}),
    ],
)
def test_settings_out_of_range_are_refused(config: Any, settings: dict[str, Any]) -> None:
    with raises_naming(next(iter(settings))):
        config(**settings)
