"""Metrics of predictions: AUC, efficiency at a rate, F1, R2 and others, of network outputs and true labels.

Every metric also accepts how often each row counts, so a bootstrap over rows is one call. Ties between
scores, which are frequent in networks of few bits, count as half a correct order in the AUC; a threshold
never divides rows of the same score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.emulator import margins
from hwnas_hls.values.score_metrics import OF_CLASS, REGRESSION, Scoring

Counts = NDArray[np.float64]


def measure(
    metric: str,
    y: NDArray[Any],
    outputs: NDArray[np.floating],
    scoring: Scoring,
    counts: Counts | None = None,
) -> NDArray[np.float64]:
    """A metric, once for each way of counting the rows; NaN where it is undefined.

    Args:
        y: class numbers (rows,), or targets (rows, n_out).
        outputs: (rows, n_out); in a regression, in the unit of the targets.
        counts: float64 (ways, rows), how often each row counts; ``None``: each once.

    Returns:
        float64 (ways,).
    """
    if counts is None:
        counts = np.ones((1, len(y)))
    if scoring.kind == REGRESSION:
        return _r2(y, outputs, counts) if metric == "r2" else _rmse(y, outputs, counts)
    if metric == "auc":
        parts = [_auc(y == number, margins(outputs, number), counts) for number in scoring.positives]
        return _mean(parts)
    if metric == "efficiency_at_fpr":
        rate = scoring.false_positive_rate
        parts = [_efficiency(y == n, margins(outputs, n), counts, rate) for n in scoring.positives]
        return _mean(parts)
    chosen = outputs.argmax(axis=1)
    if metric == "accuracy":
        return _divided(counts @ (chosen == y).astype(np.float64), counts.sum(axis=1))
    if metric.startswith(OF_CLASS):
        return _recall(y, chosen, scoring.labels.index(metric.removeprefix(OF_CLASS)), counts)
    if metric == "balanced_accuracy":
        return _mean([_recall(y, chosen, number, counts) for number in range(len(scoring.labels))])
    return _mean([_f1(y == number, chosen == number, counts) for number in scoring.positives])


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold on the score of a class, and what it accepts.

    Args:
        value: a row is accepted if its score is at least this; infinite if no row may be accepted.
        efficiency: accepted share of the rows of the class.
        false_positive_rate: accepted share of the other rows.
    """

    value: float
    efficiency: float
    false_positive_rate: float


def threshold(truth: NDArray[np.bool_], scores: NDArray[Any], rate: float) -> Threshold:
    """The lowest threshold that accepts at most the share ``rate`` of the rows of other classes.

    Rows of the same score are accepted together, so the share reached may be below ``rate``.

    Args:
        truth: bool (rows,), whether a row is of the class.
        scores: (rows,).
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan))
    right = np.cumsum(truth[order])[ends] / max(int(truth.sum()), 1)
    wrong = np.cumsum(~truth[order])[ends] / max(int((~truth).sum()), 1)
    allowed = np.flatnonzero(wrong <= rate)
    if not len(allowed):
        return Threshold(float("inf"), 0.0, 0.0)
    last = allowed[-1]
    return Threshold(float(scores[order][ends[last]]), float(right[last]), float(wrong[last]))


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ratio, NaN where the denominator is zero."""
    found: NDArray[np.float64] = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return found


def _mean(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean over classes, NaN if it is undefined for one of them."""
    found: NDArray[np.float64] = np.mean(parts, axis=0)
    return found


def _groups(
    truth: NDArray[np.bool_], scores: NDArray[Any], counts: Counts
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of the class, and other rows, at each different score, ascending: (ways, scores) each."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan))
    all_rows = counts[:, order]
    own = np.add.reduceat(all_rows * truth[order], starts, axis=1)
    return own, np.add.reduceat(all_rows, starts, axis=1) - own


def _auc(truth: NDArray[np.bool_], scores: NDArray[Any], counts: Counts) -> NDArray[np.float64]:
    """The probability that a row of the class scores above another one; a tie is one half."""
    own, other = _groups(truth, scores, counts)
    below = np.cumsum(other, axis=1) - other / 2
    return _divided((own * below).sum(axis=1), own.sum(axis=1) * other.sum(axis=1))


def auc_error(y: NDArray[Any], outputs: NDArray[np.floating], scoring: Scoring) -> float:
    """The standard error of ``auc``, also of its average over classes.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837; the average over classes by the
    sum of their influence functions (LeDell et al., Electron. J. Stat. 9 (2015) 1583).
    """
    influence = np.zeros(len(y))
    for number in scoring.positives:
        truth, scores = y == number, margins(outputs, number)
        counts = np.array([truth.sum(), (~truth).sum()], np.float64)
        own, other = _groups(truth, scores, np.ones((1, len(y))))
        place = np.unique(scores, return_inverse=True)[1].reshape(-1)
        # For a row of the class: the share of other rows below it; for another: that of the class above it.
        below = ((np.cumsum(other, axis=1) - other / 2) / counts[1])[0]
        above = 1 - ((np.cumsum(own, axis=1) - own / 2) / counts[0])[0]
        for rows, share, count in ((truth, below, counts[0]), (~truth, above, counts[1])):
            found = share[place[rows]]
            influence[rows] += (found - found.mean()) / np.sqrt(count * max(count - 1, 1))
    return float(np.sqrt((influence**2).sum())) / len(scoring.positives)


def cells(
    metric: str, y: NDArray[Any], outputs: NDArray[np.floating], scoring: Scoring
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Groups of rows that are equivalent for a metric: one row of each group, and the size of the group.

    A bootstrap over these groups is one over the rows, with fewer numbers.
    """
    positives = scoring.positives
    if scoring.kind == REGRESSION or (metric in ("auc", "efficiency_at_fpr") and len(positives) > 1):
        return np.arange(len(y)), np.ones(len(y), np.int64)
    if metric in ("auc", "efficiency_at_fpr"):
        scores = np.unique(margins(outputs, positives[0]), return_inverse=True)[1].reshape(-1)
        group = 2 * scores + (y == positives[0])
    else:
        group = y * len(scoring.labels) + outputs.argmax(axis=1)
    _, rows, counts = np.unique(group, return_index=True, return_counts=True)
    return rows, counts


def _efficiency(
    truth: NDArray[np.bool_], scores: NDArray[Any], counts: Counts, rate: float
) -> NDArray[np.float64]:
    """See :func:`threshold`; the share of the class that is accepted."""
    own, other = _groups(truth, scores, counts)
    right = np.cumsum(own[:, ::-1], axis=1)
    wrong = np.cumsum(other[:, ::-1], axis=1)
    total_own, total_other = right[:, -1], wrong[:, -1]
    # Divided, not multiplied, so that equality is decided as in :func:`threshold`.
    allowed = wrong / np.maximum(total_other, 1.0)[:, None] <= rate
    accepted = np.where(allowed, right, 0.0).max(axis=1)
    return _divided(np.where(total_other > 0, accepted, np.nan), total_own)


def _recall(y: NDArray[Any], chosen: NDArray[Any], number: int, counts: Counts) -> NDArray[np.float64]:
    of_class = y == number
    right = counts @ (of_class & (chosen == number)).astype(np.float64)
    return _divided(right, counts @ of_class.astype(np.float64))


def _f1(truth: NDArray[np.bool_], chosen: NDArray[np.bool_], counts: Counts) -> NDArray[np.float64]:
    right = counts @ (truth & chosen).astype(np.float64)
    both = counts @ (truth.astype(np.float64) + chosen)
    # As in scikit-learn: 0 if the class neither occurs nor is chosen.
    return np.nan_to_num(_divided(2 * right, both))


def near_one(
    truth: NDArray[Any], outputs: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.integer]]:
    """Both arrays divided by a power of two per column, which brings the truth below one; its exponents.

    Squares of values like 1e200 or 1e-200 would overflow or underflow float64; ratios stay exact.

    Args:
        truth, outputs: (rows, n) each.
    """
    exponent = np.frexp(np.abs(truth).max(axis=0))[1]
    return np.ldexp(truth, -exponent), np.ldexp(outputs, -exponent), exponent


def _r2(truth: NDArray[Any], outputs: NDArray[np.floating], counts: Counts) -> NDArray[np.float64]:
    """The explained share of the variance, averaged over the targets."""
    truth, outputs, _ = near_one(truth, outputs)
    # Centred, so that the variance is no difference of large numbers.
    centred = truth - truth.mean(axis=0)
    rows = counts.sum(axis=1)[:, None]
    residual = counts @ (truth - outputs) ** 2
    total = np.maximum(counts @ centred**2 - (counts @ centred) ** 2 / np.maximum(rows, 1e-300), 0.0)
    # A target that is constant in these rows has no variance to explain.
    explained = np.where(total > 0, 1 - residual / np.where(total > 0, total, 1.0), residual == 0)
    found: NDArray[np.float64] = explained.mean(axis=1)
    return found


def _rmse(truth: NDArray[Any], outputs: NDArray[np.floating], counts: Counts) -> NDArray[np.float64]:
    """The root of the mean square error in the unit of the targets, averaged over the targets."""
    truth, outputs, exponent = near_one(truth, outputs)
    rows = np.maximum(counts.sum(axis=1)[:, None], 1e-300)
    found: NDArray[np.float64] = np.ldexp(np.sqrt(counts @ (truth - outputs) ** 2 / rows), exponent).mean(1)
    return found
