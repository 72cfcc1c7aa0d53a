"""The Gaussian-process strategy under the contract; apart, since a proposal takes a second."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.testing import MixedSpace, StrategyContract, TinySpace
from hwnas_hls.testing.samples import judge, sample_goal
from hwnas_hls.values.objective import Goal, Limit
from hwnas_hls.values.record import RecordState
from hwnas_hls_plugins.strategies.bayesian import BayesianStrategy


def bayesian(space: Space, goal: Goal, seed: int, startup: int = 2) -> BayesianStrategy:
    return BayesianStrategy(BayesianStrategy.Config(startup=startup), space, goal, seed)


class BriefBayesian(BayesianStrategy):
    """Optimises the acquisition from fewer points; what the contract asks for does not depend on it."""

    def _sampler(self, seed: int) -> Any:
        sampler = super()._sampler(seed)
        for name, value in (("_n_preliminary_samples", 64), ("_n_local_search", 2)):
            assert hasattr(sampler, name)
            setattr(sampler, name, value)
        return sampler


class TestBayesian(StrategyContract):
    batches = 2
    batch_size = 2
    modes = ("pareto",)

    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return BriefBayesian(BriefBayesian.Config(startup=2), space, goal, seed)

    def spaces(self) -> list[Space]:
        return [MixedSpace()]


def test_limits_are_modelled_with_their_sign() -> None:
    space, goal = TinySpace(), sample_goal()
    strategy = bayesian(space, goal, 0, startup=4)
    states = (RecordState.COMPLETE, RecordState.INFEASIBLE, RecordState.FAILED)
    for candidate, state in zip(strategy.ask(3), states, strict=True):
        strategy.tell(judge([candidate], space, goal, 0, 0, (state,)))
    constraints = [strategy._trial(record).constraints["lut <= 20000"] for record in strategy._history()]
    assert -1 < constraints[0] < 0
    assert 1 < constraints[1] < 10
    assert constraints[2] == 10


def test_a_limit_that_no_candidate_approaches_has_no_process() -> None:
    space, goal = TinySpace(), sample_goal()
    far = dataclasses.replace(goal, limits=(*goal.limits, Limit("lut", "max", 1e9)))
    strategy = bayesian(space, far, 0, startup=4)
    strategy.tell(judge(strategy.ask(3), space, far, 0, 0, (RecordState.INFEASIBLE,)))
    assert list(strategy._trial(strategy._records[0]).constraints) == ["lut <= 20000"]


def test_gaussian_process_history_keeps_best_and_newest() -> None:
    space, goal = MixedSpace(), sample_goal("constrained")
    strategy = BayesianStrategy(BayesianStrategy.Config(startup=30, history=30), space, goal, 0)
    records = judge(strategy.ask(30), space, goal, 0, 0, (RecordState.COMPLETE,))
    strategy.tell(records)
    assert strategy._history() == records
    more = judge(
        [space.sample(np.random.default_rng(n)) for n in range(20)],
        space,
        goal,
        1,
        30,
        (RecordState.COMPLETE,),
    )
    strategy.tell(more)
    kept = strategy._history()
    assert len(kept) == 30
    every = [*records, *more]
    best = sorted(every, key=lambda record: record.losses or ())[:15]
    newest = [record for record in every if record not in best][-15:]
    assert {record.key for record in kept} == {record.key for record in (*best, *newest)}
    assert [record.number for record in kept] == sorted(record.number for record in kept)


def test_failed_gaussian_process_fit_gives_random_proposal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    space, goal = MixedSpace(), sample_goal()
    strategy = bayesian(space, goal, 0)
    strategy.tell(judge(strategy.ask(2), space, goal, 0, 0))

    def fail(sampler: object) -> None:
        raise ValueError("probabilities contain NaN")

    monkeypatch.setattr(strategy._study, "ask", fail)
    assert len({candidate.key for candidate in strategy.ask(3)}) == 3
    assert caplog.text.count("probabilities contain NaN") == 3
