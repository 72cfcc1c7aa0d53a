"""Designs whose numbers differ by no more than their noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refusal import expect_mentioned

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.noise import Contender, distinct, noise
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.objective import Goal, Objective
from hwnas_hls.values.run_facts import LeftOutKind

MakeSpec = Callable[..., Spec]


def scored(value: float) -> Estimate:
    return Estimate("accuracy", value, value, value, "emulated", "invented")


def contender(key: str, right: int, lut: float, cycles: float, *, spread: float = 1.0) -> Contender:
    """A design that classifies the first ``right`` of 400 rows correctly."""
    estimates = {
        "accuracy": scored(right / 400),
        "lut": Estimate("lut", lut, lut, lut, "open_synthesis", "invented"),
        "latency_cycles": Estimate(
            "latency_cycles", cycles, cycles - spread, cycles + spread, "predicted", "invented"
        ),
        "latency_ns": Estimate("latency_ns", 5 * cycles, 5 * cycles, 5 * cycles, "predicted", "invented"),
    }
    return Contender(key, estimates, np.arange(400) < right)


def test_one_predicted_cycle_and_the_noise_of_the_rows_take_no_slot() -> None:
    """README's table of a first hour: 93.9 % at 190 ns beside 93.6 % at 20 ns, 359 rows."""
    goal = Goal(
        (
            Objective("accuracy", "max", 1.0, 0.55, log=True),
            Objective("lut", "min", 10.0, 1e6, log=True),
            Objective("latency_ns", "min", 5.0, 1000.0, log=True),
        )
    )
    # One more row right is noise, ten more are not.
    cheap, alike, better = (
        contender("a", 370, 1000, 4),
        contender("b", 371, 2000, 38),
        contender("c", 380, 3000, 9),
    )
    assert distinct(goal, 5.0, [better, alike, cheap]) == {1: 2}
    # One predicted cycle fewer at more LUTs and the same score; simulated, it counts.
    faster = contender("d", 370, 1100, 3)
    assert distinct(goal, 5.0, [cheap, faster]) == {1: 0}
    known = [contender("a", 370, 1000, 4, spread=0), contender("d", 370, 1100, 3, spread=0)]
    assert distinct(goal, 5.0, known) == {}
    # In a chain, each redundant by the one before, the third is not redundant by the first.
    chain = [contender(str(n), 370, 1000 - 100 * n, 4 + n) for n in range(3)]
    assert distinct(goal, 5.0, chain) == {1: 2}
    assert distinct(dataclasses.replace(goal, mode="constrained"), 5.0, [better, alike, cheap]) == {}


def test_scores_other_than_the_accuracy_have_noise_by_resampling() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.05, 200)
    one, other = (
        Contender(key, {}, None, {"auc": 0.9 + shift + shared + rng.normal(0, 0.001, 200)})
        for key, shift in (("a", 0.0), ("b", 0.01))
    )
    # The rows are the same, so that what is common to both cancels.
    assert 0.001 < noise("auc", one, other, 5.0) < 0.002


def test_design_within_noise_of_another_is_left_out_and_named(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwnas_hls.run.export.distinct", lambda goal, clock_ns, found: {len(found) - 1: 0})
    outcome = runs.start(toy_spec(export={"members": 20}), registry, tmp_path / "run", runs.Observer())
    alike = {k: item for k, item in outcome.front.run.left_out.items() if item.kind is LeftOutKind.ALIKE}
    (item,) = alike.values()
    assert not alike.keys() & {member.key for member in outcome.front.members}
    expect_mentioned(item.reason, [f"{len(outcome.front.dataset.test)} test rows"])
    spec = toy_spec(export={"members": 20, "noise_filter": False})
    unfiltered = runs.start(spec, registry, tmp_path / "unfiltered", runs.Observer())
    kinds = {item.kind for item in unfiltered.front.run.left_out.values()}
    assert LeftOutKind.ALIKE not in kinds
