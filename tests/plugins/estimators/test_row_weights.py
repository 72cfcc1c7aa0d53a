"""Class weights, row weights and balanced minibatches of the training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.testing.samples import sample_dataset
from hwnas_hls_plugins.estimators.training import TrainingConfig, TrainingEstimator, train
from hwnas_hls_plugins.estimators.training.row_weights import balanced_order, row_weights, weighted_rows

pytest.importorskip("torch")


def rare(rows: int = 600) -> Dataset:
    """Two overlapping clouds, one with a tenth of the rows."""
    rng = np.random.default_rng(0)
    y = (np.arange(rows) % 10 == 0).astype(np.int64)
    x = rng.normal(size=(rows, 4)) + 1.2 * y[:, None]
    parts = [Split(x[n::3], y[n::3]) for n in range(3)]
    return Dataset(*parts, "classification", ("no", "yes"), tuple("abcd"), "two clouds")


def network(width: int) -> Architecture:
    hidden = FixedType(8, 3, False, "RND", "SAT")
    kind = FixedType(6, 2)
    layers = (Dense(4, width, "relu", kind, kind, result=hidden), Dense(width, 2, "linear", kind, kind))
    return Architecture(FixedType(8, 3), layers)


def recall(dataset: Dataset, config: TrainingConfig) -> float:
    """The accuracy of the rare class on the validation rows."""
    from hwnas_hls.evidence.scoring import real_outputs

    (found,) = train([network(8)], dataset, config=config, epochs=15, device="cpu")
    chosen = real_outputs(found.design, dataset.validation.x).argmax(axis=1)
    return float((chosen == 1)[dataset.validation.y == 1].mean())


def test_the_weight_of_a_class_is_what_is_asked_for() -> None:
    data = rare()
    split, counts = data.train, np.bincount(data.train.y)
    assert row_weights(split, data, TrainingConfig()) is None
    weights = row_weights(split, data, TrainingConfig(class_weights="balanced"))
    assert weights is not None
    assert weights[split.y == 0].sum() == pytest.approx(weights[split.y == 1].sum())
    assert weights.mean() == pytest.approx(1.0)
    by_name = row_weights(split, data, TrainingConfig(class_weights={"yes": 3.0}))
    assert by_name is not None
    ratio = by_name[split.y == 1][0] / by_name[split.y == 0][0]
    assert ratio == pytest.approx(3.0)
    assert row_weights(split, replace(data, metric="balanced_accuracy"), TrainingConfig()) is not None
    own = replace(split, weight=np.arange(len(split), dtype=np.float64))
    both = row_weights(own, data, TrainingConfig(class_weights="balanced"))
    assert both is not None
    assert both == pytest.approx(own.weight * weights / np.mean(own.weight * weights))
    assert counts[1] < counts[0]


def test_balanced_batches_have_as_many_rows_of_each_class() -> None:
    y = rare().train.y
    order = balanced_order(y, 160, np.random.default_rng(1))
    for batch in order.reshape(-1, 16):
        assert np.bincount(y[batch]).tolist() == [8, 8]
    signal = order[y[order] == 1]
    # Every row of a class is drawn before one is drawn again.
    assert set(signal[: np.sum(y == 1)]) == set(np.flatnonzero(y == 1))


def test_weighted_rows_are_drawn_by_their_weight() -> None:
    split = rare().train
    drawn = weighted_rows(split, np.where(split.y == 1, 1.0, 0.0), 50, 0)
    assert len(drawn) == 50
    assert (drawn.y == 1).all()


@pytest.mark.parametrize("kernels", ["native", "torch"])
def test_row_weights_of_one_change_nothing_and_larger_find_rare_class(kernels: str) -> None:
    data = rare()
    config = TrainingConfig(max_rows=0, kernels=kernels)
    ones = replace(data, train=replace(data.train, weight=np.full(len(data.train), 2.0)))
    plain, same = (
        train([network(8)], each, config=config, epochs=3, device="cpu")[0].design for each in (data, ones)
    )
    assert plain.digest() == same.digest()
    before = recall(data, config)
    assert recall(data, replace(config, class_weights="balanced")) > before + 0.1
    assert recall(data, replace(config, balanced_batches=True)) > before + 0.1
    assert recall(data, replace(config, class_weights={"yes": 0.0})) == 0.0


def test_row_weights_keep_networks_independent() -> None:
    data, config = rare(), TrainingConfig(max_rows=0, class_weights="balanced")
    architectures = [network(4), network(8), network(12)]
    together = train(architectures, data, config=config, epochs=3, device="cpu")
    alone = train(architectures[1:2], data, config=config, epochs=3, device="cpu")
    assert together[1].design.digest() == alone[0].design.digest()


def test_row_weights_of_a_regression_are_taken() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 4))
    # Two targets that contradict each other: the weights decide.
    y = np.where(np.arange(300) % 2, x[:, 0], -x[:, 0])[:, None]
    split = Split(x, y, np.where(np.arange(300) % 2, 1.0, 0.0))
    data = Dataset(split, split, split, "regression", (), tuple("abcd"), "two lines", "r2")
    kind = FixedType(8, 3)
    layers = (Dense(4, 1, "linear", kind, kind),)
    (found,) = train(
        [Architecture(FixedType(8, 3), layers)],
        data,
        config=TrainingConfig(max_rows=0),
        epochs=20,
        device="cpu",
    )
    weights = found.design.weights[0]
    assert weights is not None
    assert weights[0, 0] > 3 * np.abs(weights[1:, 0]).max()


def test_settings_that_fit_no_task_are_refused() -> None:
    with refused(ErrorKind.UNKNOWN_NAME):
        TrainingEstimator(TrainingConfig(class_weights={"maybe": 2.0}), rare())
    with refused(ErrorKind.UNKNOWN_NAME):
        TrainingConfig(class_weights="heavy")
    with refused(ErrorKind.CONFLICT):
        TrainingConfig(class_weights="balanced", balanced_batches=True)
    regression = replace(sample_dataset(), kind="regression", metric="r2")
    with refused(ErrorKind.CONFLICT):
        TrainingEstimator(TrainingConfig(class_weights="balanced"), regression)
