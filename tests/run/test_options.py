"""Which options of an export are taken: with the costs of their designs, and as many as are wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.judging.judge import FullTraining
from hwnas_hls.run.options import Option, picked
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.resolution import resolve
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.record import Record, RecordState

MakeSpec = Callable[..., Spec]
OBJECTIVES = {"metrics": ["accuracy", "lut"]}


def lut(value: float) -> Estimate:
    return Estimate("lut", value, value, value, "predicted", "invented")


def design(cost: int) -> Design:
    """A network whose bias is its cost."""
    layer = Dense(1, 1, "linear", FixedType(4, 1), FixedType(20, 20), strategy="distributed_arithmetic")
    return Design(Architecture(FixedType(5, 2), (layer,)), (np.ones((1, 1), int),), (np.array([cost]),))


class Costs:
    """Stands for the judge: the costs of given designs, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def with_designs(self, candidates: Sequence[Candidate], designs: Sequence[Design]) -> list[FullTraining]:
        self.asked.append([candidate.key for candidate in candidates])
        return [FullTraining({"lut": lut(float(one.biases[0][0]))}, one, (), "") for one in designs]  # type: ignore[index]


def option(
    problem: Problem, number: int, score: float, expected: float, true: int, price: float = 0.0
) -> Option:
    estimates = {
        "accuracy": Estimate("accuracy", score, score, score, "emulated", "invented"),
        "lut": lut(expected),
    }
    record = Record(
        number,
        0,
        Candidate("toy", {"n": number}),
        RecordState.COMPLETE,
        estimates,
        problem.goal.losses(estimates),
    )
    return Option(record, price, None, design(true))


def taken(problem: Problem, options: Sequence[Option]) -> tuple[list[tuple[int, float]], Costs]:
    judge: Any = Costs()
    found = picked(problem, judge, options, lambda step: None)
    return sorted((one.record.number, one.record.estimates["lut"].value) for one in found), judge


def test_costs_of_designs_decide(registry: Registry, toy_spec: MakeSpec) -> None:
    problem = resolve(toy_spec(objectives=OBJECTIVES), registry)
    options = [
        option(problem, 0, 0.9, 100, 110),
        # It seems to be cheaper, and is not: the one that it hid takes its place.
        option(problem, 1, 0.9, 90, 300),
        option(problem, 2, 0.7, 50, 40),
        option(problem, 3, 0.6, 80, 20),
    ]
    found, judge = taken(problem, options)
    assert found == [(0, 110), (2, 40)]
    # What the front never reached was not solved.
    assert options[3].record.key not in {key for asked in judge.asked for key in asked}


def test_one_of_several_designs_of_a_record_is_solved_and_exported(
    registry: Registry, toy_spec: MakeSpec
) -> None:
    problem = resolve(toy_spec(objectives=OBJECTIVES), registry)
    options = [
        option(problem, 0, 0.9, 100, 100),
        option(problem, 0, 0.8, 60, 70, 1e-4),
        option(problem, 1, 0.7, 50, 30),
    ]
    found, judge = taken(problem, options)
    assert all(len(set(asked)) == len(asked) for asked in judge.asked)
    assert sum(map(len, judge.asked)) == 2
    assert found == [(0, 100), (1, 30)]


def test_designs_hidden_by_a_record_that_is_taken_once_fill_its_gap(
    registry: Registry, toy_spec: MakeSpec
) -> None:
    problem = resolve(toy_spec(objectives=OBJECTIVES), registry)
    options = [
        option(problem, 0, 0.95, 300, 300),
        option(problem, 0, 0.5, 20, 20, 1e-4),
        # The second design of record 0 dominates it, and only one of them is exported.
        option(problem, 1, 0.49, 25, 25),
        option(problem, 2, 0.4, 10, 10),
    ]
    assert taken(problem, options)[0] == [(0, 300), (1, 25), (2, 10)]


def test_without_the_noise_filter_the_designs_behind_the_front_follow(
    registry: Registry, toy_spec: MakeSpec
) -> None:
    export = {"noise_filter": False, "members": 3}
    problem = resolve(toy_spec(objectives=OBJECTIVES, export=export), registry)
    options = [
        option(problem, 0, 0.9, 100, 100),
        option(problem, 1, 0.89, 110, 110),
        option(problem, 2, 0.5, 400, 400),
        option(problem, 3, 0.88, 120, 120),
    ]
    assert taken(problem, options)[0] == [(0, 100), (1, 110), (3, 120)]
    filtered = resolve(toy_spec(objectives=OBJECTIVES, export={"members": 3}), registry)
    assert taken(filtered, options)[0] == [(0, 100)]


def test_options_without_a_design_keep_the_costs_of_the_search(
    registry: Registry, toy_spec: MakeSpec
) -> None:
    problem = resolve(toy_spec(objectives=OBJECTIVES), registry)
    options = [dataclasses.replace(option(problem, 0, 0.9, 100, 300), design=None)]
    found, judge = taken(problem, options)
    assert found == [(0, 100)]
    assert judge.asked == []
