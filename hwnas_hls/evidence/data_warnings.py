"""Warnings about data: too few rows for a score, and metrics that reward a constant output."""

from __future__ import annotations

import math

from hwnas_hls.evidence.usefulness import chance_of
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset
from hwnas_hls.values.score_metrics import RATE_METRIC

#: Standard error of the score above which the rows are called few.
_FEW = 0.03
#: Fewer test rows of a class than this make its scores uncertain.
_FEW_OF_CLASS = 20
#: Share of the most frequent class from which accuracy is a poor metric.
_IMBALANCED = 0.8
_MOST_NAMED = 3
#: Fewer accepted background rows than this set a threshold unreliably.
_FEW_ACCEPTED = 10


def data_warnings(dataset: Dataset) -> tuple[str, ...]:
    """What the data do not support, in sentences without a full stop."""
    import numpy as np

    test, found = dataset.test, list(dataset.warnings)
    if dataset.kind != CLASSIFICATION:
        rows = math.sqrt(2.0 / max(len(test), 1)) / 2
        if dataset.metric == "r2" and rows > _FEW:
            found.append(f"few rows: on {len(test)} test rows, r2 is uncertain by about {rows:.2f}")
        return tuple(found)
    error = math.sqrt(0.25 / max(len(test), 1))
    if error > _FEW:
        found.append(
            f"few rows: on {len(test)} test rows, an accuracy is uncertain by up to "
            f"{100 * error:.0f} percentage points"
        )
    counts = np.bincount(test.y, minlength=dataset.n_out)
    rare = [number for number in np.argsort(counts, kind="stable") if counts[number] < _FEW_OF_CLASS]
    if rare and error <= _FEW:
        named = ", ".join(f"{dataset.labels[number]!r} ({counts[number]})" for number in rare[:_MOST_NAMED])
        more = f" and {len(rare) - _MOST_NAMED} more" if len(rare) > _MOST_NAMED else ""
        found.append(f"few test rows of the classes {named}{more}")
    chance = chance_of(dataset, test, "accuracy")
    if dataset.metric == "accuracy" and chance is not None and chance.value >= _IMBALANCED:
        level = f"{100 * chance.value:.1f} %"
        found.append(
            f"{chance.words}, has an accuracy of {level}; metrics such as auc do not reward that "
            "(--metric auc)"
        )
    return (*found, *_rate_warning(dataset))


def _rate_warning(dataset: Dataset) -> tuple[str, ...]:
    """Whether the background rows set a threshold for the false positive rate of a metric of the run."""
    import numpy as np

    if RATE_METRIC not in dataset.metrics:
        return ()
    rate, y = dataset.false_positive_rate, dataset.validation.y
    rows = min(int(np.sum(y != number)) for number in dataset.scoring.positives)
    if rate * rows >= _FEW_ACCEPTED:
        return ()
    return (
        f"a false positive rate of {100 * rate:.3g} % is {rate * rows:.1f} of the {rows} validation rows of "
        f"background: fewer than {_FEW_ACCEPTED} set its threshold unreliably",
    )
