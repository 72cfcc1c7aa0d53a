"""Metrics of predictions against scikit-learn, with tied scores, and against direct resampling."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sklearn

from hwnas_hls.errors import UserError
from hwnas_hls.evidence.scoring import score
from hwnas_hls.network.emulator import margins
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.score_metrics import Scoring
from hwnas_hls.values.scores import auc_error, cells, measure, threshold

ROWS = 400


def outputs_of(classes: int, seed: int, steps: int = 6) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels of unequal classes, and outputs of few different values, so that many scores tie."""
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, ROWS, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    outputs = np.eye(classes)[y] * 2 + rng.integers(0, steps, (ROWS, classes))
    return y, outputs.astype(np.float64)


def value(metric: str, y: NDArray[np.int64], outputs: NDArray[np.float64], scoring: Scoring) -> float:
    return float(measure(metric, y, outputs, scoring)[0])


def scoring(classes: int, signal: int | None = None, rate: float = 0.05) -> Scoring:
    return Scoring("classification", tuple(f"c{n}" for n in range(classes)), signal, rate)


@pytest.mark.parametrize(("classes", "signal"), [(2, None), (2, 0), (4, None), (4, 2)])
@pytest.mark.parametrize("steps", [2, 6, 1000])
def test_metrics_of_classes_are_those_of_scikit_learn(classes: int, signal: int | None, steps: int) -> None:
    y, outputs = outputs_of(classes, seed=classes, steps=steps)
    settings, chosen = scoring(classes, signal), outputs.argmax(axis=1)
    positives = [signal] if signal is not None else [1] if classes == 2 else list(range(classes))
    auc = [sklearn.roc_auc_score(y == n, margins(outputs, n)) for n in positives]
    f1 = [sklearn.f1_score(y == n, chosen == n) for n in positives]
    efficiency = []
    for number in positives:
        wrong, right, _ = sklearn.roc_curve(y == number, margins(outputs, number), drop_intermediate=False)
        efficiency.append(right[wrong <= 0.05].max())
    wanted = {
        "accuracy": sklearn.accuracy_score(y, chosen),
        "balanced_accuracy": sklearn.balanced_accuracy_score(y, chosen),
        "auc": np.mean(auc),
        "f1": np.mean(f1),
        "efficiency_at_fpr": np.mean(efficiency),
        "accuracy_of_c1": sklearn.recall_score(y == 1, chosen == 1),
    }
    found = {name: value(name, y, outputs, settings) for name in wanted}
    assert found == pytest.approx(wanted, abs=1e-12)


def test_scores_that_are_all_equal_separate_nothing() -> None:
    y = np.array([0] * 90 + [1] * 10)
    outputs = np.zeros((100, 2))
    assert value("auc", y, outputs, scoring(2)) == 0.5
    assert value("efficiency_at_fpr", y, outputs, scoring(2)) == 0.0
    assert threshold(y == 1, margins(outputs, 1), 0.05).value == np.inf


def test_metrics_of_targets_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal([100.0, 1e-3], [30.0, 2e-4], (ROWS, 2))
    outputs = truth + rng.normal(0, [10.0, 1e-4], (ROWS, 2))
    settings = Scoring("regression")
    found = {name: float(measure(name, truth, outputs, settings)[0]) for name in ("r2", "rmse")}
    wanted = {
        "r2": sklearn.r2_score(truth, outputs),
        "rmse": sklearn.root_mean_squared_error(truth, outputs),
    }
    assert found == pytest.approx(wanted, rel=1e-10)
    # Squares of these overflow float64.
    huge = measure("rmse", truth * 1e170, outputs * 1e170, settings)[0]
    assert huge / 1e170 == pytest.approx(wanted["rmse"], rel=1e-9)


@pytest.mark.parametrize("metric", ["accuracy", "auc", "balanced_accuracy", "f1", "efficiency_at_fpr"])
def test_counts_are_repeated_rows(metric: str) -> None:
    y, outputs = outputs_of(3, seed=1)
    counts = np.random.default_rng(2).integers(0, 3, (2, ROWS))
    found = measure(metric, y, outputs, scoring(3), counts.astype(np.float64))
    for ways, one in zip(counts, found, strict=True):
        rows = np.repeat(np.arange(ROWS), ways)
        assert one == pytest.approx(value(metric, y[rows], outputs[rows], scoring(3)), abs=1e-12)


def test_a_threshold_keeps_the_rate_and_does_not_divide_ties() -> None:
    y, outputs = outputs_of(2, seed=5, steps=4)
    scores, truth = margins(outputs, 1), y == 1
    at = threshold(truth, scores, 0.1)
    accepted = scores >= at.value
    assert (
        at.efficiency
        == accepted[truth].mean()
        == value("efficiency_at_fpr", y, outputs, scoring(2, rate=0.1))
    )
    assert at.false_positive_rate == accepted[~truth].mean() <= 0.1
    lower = scores >= scores[scores < at.value].max()
    assert lower[~truth].mean() > 0.1


def of_outputs(y: NDArray[np.int64], metric: str, classes: int) -> tuple[Dataset, Split]:
    split = Split(np.zeros((len(y), 1)), y)
    labels = tuple(f"c{n}" for n in range(classes))
    data = Dataset(split, split, split, "classification", labels, ("f",), "made up", metric)
    return data, split


def test_the_interval_of_an_auc_is_as_wide_as_delong_says() -> None:
    y, outputs = outputs_of(2, seed=7, steps=1000)
    data, split = of_outputs(y, "auc", 2)
    found = score(data, split, outputs, source="emulated", evidence="made up")
    scores, truth = margins(outputs, 1), y == 1
    above = np.sign(scores[truth][:, None] - scores[~truth][None, :]) / 2 + 0.5
    # DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837.
    error = np.sqrt(above.mean(1).var(ddof=1) / truth.sum() + above.mean(0).var(ddof=1) / (~truth).sum())
    assert auc_error(y, outputs, data.scoring) == pytest.approx(error)
    assert (found.high - found.low) / 2 == pytest.approx(1.645 * error, rel=0.03)
    assert found.low < found.value < found.high
    assert "DeLong" in found.evidence
    perfect = score(data, split, np.eye(2)[y], source="emulated", evidence="made up")
    assert perfect.value == perfect.high == 1
    assert 0.9 < perfect.low < 1


def test_the_error_of_an_average_of_aucs_is_that_of_resampled_rows() -> None:
    y, outputs = outputs_of(3, seed=8, steps=20)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(ROWS, size=ROWS) for _ in range(500)]
    spread = np.std([value("auc", y[rows], outputs[rows], scoring(3)) for rows in drawn])
    assert auc_error(y, outputs, scoring(3)) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1", "efficiency_at_fpr"])
def test_a_bootstrap_over_groups_of_equal_rows_is_one_over_rows(metric: str) -> None:
    y, outputs = outputs_of(2, seed=9, steps=5)
    data, split = of_outputs(y, metric, 2)
    rows, counts = cells(metric, y, outputs, data.scoring)
    assert counts.sum() == ROWS > 4 * len(rows)
    grouped = measure(metric, y[rows], outputs[rows], data.scoring, counts[None, :].astype(np.float64))
    assert grouped[0] == pytest.approx(value(metric, y, outputs, data.scoring))
    found = score(data, split, outputs, source="emulated", evidence="made up")
    rng = np.random.default_rng(1)
    drawn = [rng.integers(ROWS, size=ROWS) for _ in range(400)]
    values = [value(metric, y[part], outputs[part], data.scoring) for part in drawn]
    assert found.high - found.low == pytest.approx(np.subtract(*np.quantile(values, [0.95, 0.05])), rel=0.3)
    assert "bootstrap" in found.evidence


def test_metric_without_needed_data_is_explained() -> None:
    with pytest.raises(UserError, match="not a metric of a regression") as caught:
        Scoring("regression").check("auc", "test")
    assert caught.value.choices
    with pytest.raises(UserError, match="needs rows of every class"):
        scoring(2).check_rows("auc", np.zeros(5, np.int64), "test")
