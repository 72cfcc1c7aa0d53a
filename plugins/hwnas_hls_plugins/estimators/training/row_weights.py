"""How much each training row counts: class weights, the weights of the data, and balanced minibatches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.training.config import TrainingConfig

#: Metrics for which the setting ``auto`` balances the classes.
BALANCED_FOR = ("auc", "balanced_accuracy", "efficiency_at_fpr")


def check_class_weights(config: TrainingConfig, dataset: Dataset) -> None:
    """Check that class weights are for classes of the task.

    Raises:
        UserError: a regression, or a class that the task does not have.
    """
    table = config.class_weights
    asked = config.balanced_batches or not isinstance(table, str) or table == "balanced"
    if asked and dataset.kind != CLASSIFICATION:
        raise UserError(
            "only the classes of a classification can be weighted",
            kind=ErrorKind.CONFLICT,
            where="estimators.training",
            found=f"a task of kind {dataset.kind}",
        )
    for label in () if isinstance(table, str) else table:
        if label not in dataset.labels:
            raise UserError(
                "a class weight for a class that the task does not have",
                where="estimators.training.class_weights",
                found=label,
                choices=dataset.labels,
            )


def row_weights(split: Split, dataset: Dataset, config: TrainingConfig) -> NDArray[np.float64] | None:
    """The weight of each row in the loss, float64 (rows,) with mean 1; ``None`` if all count the same.

    The product of the row's own weight and the weight of its class.

    Args:
        split: the training rows.
    """
    weights = None if split.weight is None else np.asarray(split.weight, np.float64)
    by_class = _class_weights(split, dataset, config)
    if by_class is not None:
        weights = by_class[split.y] if weights is None else weights * by_class[split.y]
    if weights is None:
        return None
    total = float(weights.sum())
    if not total > 0:
        raise UserError(
            "all training rows have weight 0", where="estimators.training", kind=ErrorKind.INVALID
        )
    return weights * (len(weights) / total)


def _class_weights(split: Split, dataset: Dataset, config: TrainingConfig) -> NDArray[np.float64] | None:
    """The weight of each class; ``None`` if all count the same."""
    table = config.class_weights
    if dataset.kind != CLASSIFICATION or table == "none" or config.balanced_batches:
        return None
    if isinstance(table, Mapping):
        return np.array([float(table.get(label, 1.0)) for label in dataset.labels])
    if table == "auto" and dataset.metric not in BALANCED_FOR:
        return None
    counts = np.bincount(split.y, minlength=dataset.n_out)
    found: NDArray[np.float64] = len(split) / (dataset.n_out * np.maximum(counts, 1.0))
    return found


def refinement_weights(split: Split, dataset: Dataset, config: TrainingConfig) -> NDArray[np.float64] | None:
    """As :func:`row_weights`, with balanced minibatches as balanced classes."""
    if config.balanced_batches:
        config = replace(config, balanced_batches=False, class_weights="balanced")
    return row_weights(split, dataset, config)


def refinement_rows(split: Split, dataset: Dataset, config: TrainingConfig, most: int) -> Split:
    """At most ``most`` rows for a refinement, drawn as their weights say; the seed is fixed."""
    weights = refinement_weights(split, dataset, config)
    return split.drawn(most, 0) if weights is None else weighted_rows(split, weights, most, 0)


def balanced_order(y: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of ``count`` rows with the classes in turn, so that every minibatch has as many of each.

    The rows of a class are drawn without repetition until all have been drawn, then again.

    Args:
        y: class numbers (rows,).
    """
    present = np.unique(y)
    order = np.empty(count, np.int64)
    for turn, number in enumerate(present):
        rows = np.flatnonzero(y == number)
        places = np.arange(turn, count, len(present))
        passes = -(-len(places) // len(rows))
        drawn = [rng.permutation(rows) for _ in range(passes)]
        order[places] = np.concatenate([rows[:0], *drawn])[: len(places)]
    return order


def weighted_rows(split: Split, weights: NDArray[np.float64], most: int, seed: int | Sequence[int]) -> Split:
    """At most ``most`` rows, drawn with a probability proportional to their weights, with repetition.

    For losses that count every row once: their mean over these rows is the weighted mean.
    """
    count = min(most, len(split)) if most else len(split)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(split), count, p=weights / weights.sum()))
    return Split(split.x[chosen], split.y[chosen])
