"""Checks of usefulness: the chance level of a task, and outputs that do not depend on the input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.run_facts import Chance
from hwnas_hls.values.scores import measure

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design

#: Number of random rows over the whole input type.
_ROWS = 4096


def chance_of(dataset: Dataset, split: Split, metric: str = "") -> Chance | None:
    """The chance level of a metric on the rows of ``split``; ``None`` if it is unknown.

    A network that ignores its input can learn the most frequent class, or the mean, of the *training*
    rows.

    Args:
        metric: the task's metric, unless another is given.
    """
    metric = metric or dataset.metric
    if dataset.kind == CLASSIFICATION:
        return _chance_of_classes(dataset, split, metric)
    if metric == "r2":
        # The mean has R2 = 0. The standard error of R2 near 0 is at most about sqrt(2 / rows).
        return Chance("r2", 0.0, math.sqrt(2.0 / max(len(split), 1)) / 2, "always the mean")
    if metric == "rmse":
        mean = dataset.target_standardisation[0][None, :].repeat(len(split), axis=0)
        value = float(measure("rmse", split.y, mean, dataset.scoring)[0])
        # R2 = 1 - rmse**2 / variance, so the relative error is half that of R2.
        error = value * math.sqrt(2.0 / max(len(split), 1)) / 4
        return Chance("rmse", value, error, "always the mean", "min")
    return None


def chances_of(dataset: Dataset, split: Split, metrics: Sequence[str]) -> tuple[Chance, ...]:
    """The known chance levels of several metrics."""
    found = [chance_of(dataset, split, metric) for metric in metrics]
    return tuple(chance for chance in found if chance is not None)


def _chance_of_classes(dataset: Dataset, split: Split, metric: str) -> Chance | None:
    import numpy as np

    scoring = dataset.scoring
    counts = np.maximum(np.bincount(split.y, minlength=dataset.n_out), 1)
    majority = int(np.argmax(np.bincount(dataset.train.y, minlength=dataset.n_out)))
    always = f"always {dataset.labels[majority]}, the most frequent class"
    positives = list(scoring.positives)
    rest = np.maximum(len(split) - counts, 1)
    if metric == "auc":
        # Of equal distributions: Mann and Whitney, Ann. Math. Statist. 18 (1947) 50.
        variances = (len(split) + 1) / (12 * counts * rest)
        error = float(np.sqrt(variances[positives].mean()))
        return Chance(metric, 0.5, error, "scores that do not depend on the class")
    if metric == "efficiency_at_fpr":
        rate = scoring.false_positive_rate
        error = float(np.sqrt((rate * (1 - rate) / counts)[positives].mean()))
        return Chance(metric, rate, error, "scores that do not depend on the class")
    if metric == "f1" and len(positives) == 1:
        # Accepting every row; a constant output that accepts none has F1 = 0.
        share = float(counts[positives[0]] / len(split))
        error = math.sqrt(share * (1 - share) / len(split))
        return Chance(metric, 2 * share / (1 + share), error, f"always {dataset.labels[positives[0]]}")
    if metric in ("accuracy", "balanced_accuracy", "f1"):
        outputs = np.zeros((len(split), dataset.n_out))
        outputs[:, majority] = 1.0
        value = float(measure(metric, split.y, outputs, scoring)[0])
        rows = len(split) if metric == "accuracy" else int(counts.min())
        return Chance(metric, value, _error(metric, value, rows, dataset.n_out), always)
    return None


def _error(metric: str, value: float, rows: int, classes: int) -> float:
    """The standard error of the score of a constant output."""
    if metric == "accuracy":
        return math.sqrt(value * (1 - value) / rows)
    # A mean over classes, of which the smallest dominates the error; at worst a share of one half.
    return 0.5 / math.sqrt(rows) / classes


def constant(design: Design, split: Split | None = None) -> str:
    """Why the outputs of a design do not depend on its input; empty if they do.

    Args:
        split: rows to test, in addition to random ones over the whole input type.
    """
    import numpy as np

    from hwnas_hls.network import emulator

    kind = design.architecture.input
    rng = np.random.default_rng(0)
    drawn = rng.integers(kind.lowest, kind.highest + 1, size=(_ROWS, design.architecture.n_in))
    seen = [emulator.emulate(design, drawn)]
    if split is not None and len(split):
        seen.append(emulator.emulate(design, emulator.input_integers(design, split.x)))
    outputs = np.concatenate(seen)
    if np.any(outputs != outputs[0]):
        return ""
    empty = [
        number for number, weight in enumerate(design.weights) if weight is not None and not weight.any()
    ]
    where = f": every weight of layer {empty[0]} is zero" if empty else ""
    return f"its outputs are the same for all of {len(outputs)} inputs{where}"


def useless(design: Design, dataset: Dataset, split: Split, estimate: Estimate) -> str:
    """Why a design is useless; empty if it is not.

    Args:
        split, estimate: unseen rows, and the score on them.
    """
    if words := constant(design, split):
        return words
    chance = chance_of(dataset, split)
    if chance is None or chance.metric != estimate.metric or not chance.reached(estimate):
        return ""
    better = "above" if chance.direction == "max" else "below"
    return (
        f"{estimate.metric} {estimate.value:.4g} on {len(split)} rows is not {better} {chance.value:.4g} "
        f"({chance.words}) by more than one standard error ({chance.error:.2g})"
    )
