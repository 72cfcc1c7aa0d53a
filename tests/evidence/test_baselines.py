"""Baselines: usual models in floating point, scored on the test rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hwnas_hls.evidence import baselines as module
from hwnas_hls.evidence.baselines import baselines
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.run_facts import RunFacts


def classes(n_rows: int = 300) -> Dataset:
    """Two classes on rings: trees and an MLP separate them, a linear model does not."""
    rng = np.random.default_rng(0)

    def split() -> Split:
        x = rng.standard_normal((n_rows, 2))
        return Split(1e6 * x, ((x**2).sum(axis=1) > 1.4).astype(np.int64))

    return Dataset(split(), split(), split(), "classification", ("in", "out"), ("a", "b"), "rings")


def test_the_models_are_scored_on_the_test_rows() -> None:
    found = {item.name: item for item in baselines(classes(), 1)}
    scores = {name: item.estimate.value for name, item in found.items()}
    assert scores["linear"] < 0.7
    assert min(scores["mlp"], scores["trees"]) > 0.9
    assert {item.estimate.metric for item in found.values()} == {"accuracy"}
    assert "300 of 300 training rows, on all 300 test rows" in found["trees"].estimate.evidence
    again = RunFacts.from_json(RunFacts(baselines=tuple(found.values())).to_json())
    assert again.baselines == tuple(found.values())


def test_trees_do_not_diverge_on_a_rare_class() -> None:
    rng = np.random.default_rng(4)
    y = rng.choice(4, 6000, p=[0.332, 0.332, 0.332, 0.004])
    x = rng.normal(0, 1.5, (4, 6))[y] + rng.normal(0, 1.0, (6000, 6))
    train, test = Split(x[:3000], y[:3000]), Split(x[3000:], y[3000:])
    data = Dataset(train, test, test, "classification", tuple("abcdef"), tuple("wxyz"), "rare")
    scores = {item.name: item.estimate.value for item in baselines(data, 1)}
    assert scores["trees"] > scores["linear"] - 0.02  # 0.05 below it without regularisation of the leaves


def test_the_training_rows_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 100)
    assert all("100 of 300 training rows" in item.estimate.evidence for item in baselines(classes(), 1))


def test_a_regression_of_two_targets_in_other_units() -> None:
    data = classes()

    def targets(split: Split) -> Split:
        x = split.x / 1e6
        return Split(split.x, np.stack([1e3 * x[:, 0], 1e-3 * x[:, 0] * x[:, 1]], axis=1))

    splits = [targets(split) for split in (data.train, data.validation, data.test)]
    data = dataclasses.replace(
        data, train=splits[0], validation=splits[1], test=splits[2], kind="regression", labels=(), metric="r2"
    )
    scores = {item.name: item.estimate.value for item in baselines(data, 1)}
    assert scores["linear"] == pytest.approx(0.5, abs=0.1)  # one of the two targets is linear
    assert scores["trees"] > 0.8
