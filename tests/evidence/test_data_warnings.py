"""Warnings about few rows and about a metric that rewards a constant output."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hwnas_hls.evidence.data_warnings import data_warnings
from hwnas_hls.evidence.usefulness import chance_of
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.estimate import Estimate


def classes(rows: int, share: float, metric: str = "accuracy") -> Dataset:
    y = (np.arange(rows) < share * rows).astype(np.int64)
    split = Split(np.zeros((rows, 1)), y)
    return Dataset(split, split, split, "classification", ("no", "yes"), ("f",), "made up", metric)


def test_plenty_of_rows_of_even_classes_give_no_warning() -> None:
    assert data_warnings(classes(1000, 0.5)) == ()


def test_few_rows_and_rare_classes_are_warned_of() -> None:
    (few,) = data_warnings(classes(40, 0.5))
    assert "40 test rows" in few
    rare, constant = data_warnings(classes(4000, 0.002))
    assert "'yes' (8)" in rare
    assert "99.8 %" in constant
    assert "--metric auc" in constant
    # A metric that does not reward the constant output.
    assert not any("--metric" in words for words in data_warnings(classes(4000, 0.01, "auc")))


def test_a_rate_that_few_background_rows_set_is_warned_of() -> None:
    data = classes(4000, 0.1, "efficiency_at_fpr")
    assert data_warnings(data) == ()  # 1 % of 3600 rows
    (words,) = data_warnings(dataclasses.replace(data, false_positive_rate=0.0025))
    assert "0.25 % is 9.0 of the 3600 validation rows" in words
    # A run that does not use the rate.
    other = dataclasses.replace(data, metric="auc", false_positive_rate=0.0025)
    assert data_warnings(other) == ()


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("auc", 0.5),
        ("balanced_accuracy", 0.5),
        ("efficiency_at_fpr", 0.01),
        ("f1", 2 * 0.1 / 1.1),
        ("accuracy", 0.9),
    ],
)
def test_the_chance_level_of_each_metric(metric: str, value: float) -> None:
    data = classes(2000, 0.1, metric)
    chance = chance_of(data, data.test)
    assert chance is not None
    assert chance.value == pytest.approx(value)
    assert 0 < chance.error < 0.1


def test_the_chance_level_of_an_error_is_that_of_the_mean() -> None:
    y = np.random.default_rng(0).normal(5.0, 3.0, (5000, 1))
    split = Split(np.zeros((5000, 1)), y)
    data = Dataset(split, split, split, "regression", (), ("f",), "made up", "rmse", "min")
    chance = chance_of(data, data.test)
    assert chance is not None
    assert chance.value == pytest.approx(y.std())
    better = chance.value - 2 * chance.error
    for value, reached in ((chance.value + 1, True), (chance.value, True), (better, False)):
        assert chance.reached(Estimate("rmse", value, value, value, "emulated", "made up")) == reached
    assert data_warnings(dataclasses.replace(data, metric="r2", direction="max")) == ()
