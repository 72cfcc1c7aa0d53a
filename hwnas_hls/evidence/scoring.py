"""Scores of network outputs: metrics of predictions with their statistical intervals."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.score_metrics import OF_CLASS, RATE_METRIC, Scoring
from hwnas_hls.values.scores import auc_error, cells, measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design

COVERAGE = 0.9
_Z = 1.6448536269514722  # two-sided 90 % of the normal distribution
#: Number of resamples of a bootstrap.
RESAMPLES = 200
#: Endings of the evidence of scores: the rate of a threshold, and the method of the interval.
RATE = "; false positive rate at most"
BOOTSTRAP = "; interval by bootstrap over rows"
DELONG = "; interval by DeLong"
_ENDING = re.compile(rf"({re.escape(RATE)} [^;]* %)?({re.escape(BOOTSTRAP)}|{re.escape(DELONG)})$")
#: Maximum number of rows for comparing two designs by resampling.
_PAIRED_ROWS = 10_000
#: Maximum number of values of a bootstrap in memory at once.
_AT_ONCE = 2**22


def score(
    dataset: Dataset,
    split: Split,
    outputs: NDArray[np.floating],
    *,
    source: str,
    evidence: str,
    metric: str = "",
) -> Estimate:
    """A metric of real-valued network outputs, with its interval.

    Accuracy, of all rows or of a class: Wilson's binomial interval. AUC: DeLong's. All other metrics: a
    bootstrap over rows with a fixed seed.

    Args:
        split: provides ``y``.
        outputs: (rows, n_out); in a regression, in the unit of the targets.
        source, evidence: as in :class:`Estimate`.
        metric: the task's metric, unless another is given.
    """
    metric = metric or dataset.metric
    value = float(measure(metric, split.y, outputs, dataset.scoring)[0])
    if metric == "accuracy" or metric.startswith(OF_CLASS):
        rows = len(split) if metric == "accuracy" else _rows_of_class(dataset, split, metric)
        low, high = wilson(round(value * rows), rows)
        return Estimate(metric, value, low, high, source, evidence, COVERAGE)
    if metric == "auc":
        low, high = _delong(value, dataset, split, outputs)
        evidence = f"{evidence}{DELONG}"
    else:
        low, high = _bootstrapped(metric, dataset, split, outputs)
        if metric == RATE_METRIC:
            evidence += f"{RATE} {100 * dataset.false_positive_rate:.3g} %"
        evidence = f"{evidence}{BOOTSTRAP}"
    return Estimate(metric, value, min(low, value), max(high, value), source, evidence, COVERAGE)


def method(estimate: Estimate) -> str:
    """The ending of the evidence of a score that names its rate and the method of its interval."""
    found = _ENDING.search(estimate.evidence)
    return "" if found is None else found[0]


def scores(
    dataset: Dataset,
    split: Split,
    outputs: NDArray[np.floating],
    metrics: Sequence[str],
    *,
    source: str,
    evidence: str,
) -> dict[str, Estimate]:
    """Several metrics of the same outputs, by name; see :func:`score`."""
    return {
        metric: score(dataset, split, outputs, source=source, evidence=evidence, metric=metric)
        for metric in metrics
    }


def scored(
    design: Design, dataset: Dataset, split: Split, *, source: str, evidence: str, metric: str = ""
) -> Estimate:
    """A metric of a design (the task's by default) on the rows of a split, by integer emulation."""
    found = real_outputs(design, split.x)
    return score(dataset, split, found, source=source, evidence=evidence, metric=metric)


def _rows_of_class(dataset: Dataset, split: Split, metric: str) -> int:
    number = dataset.labels.index(metric.removeprefix(OF_CLASS))
    return int((split.y == number).sum())


def _delong(
    value: float, dataset: Dataset, split: Split, outputs: NDArray[np.floating]
) -> tuple[float, float]:
    """The ends of DeLong's interval, symmetric in the logit, so it stays between 0 and 1.

    If the classes do not overlap, the error is zero; the interval is then Wilson's for the number of rows
    of the smaller class.
    """
    import numpy as np

    error = auc_error(split.y, outputs, dataset.scoring)
    if not error or not 0 < value < 1:
        rows = int(min(min(np.sum(split.y == k), np.sum(split.y != k)) for k in dataset.scoring.positives))
        return wilson(round(value * rows), rows)
    middle, half = math.log(value / (1 - value)), _Z * error / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-end)) for end in (middle - half, middle + half))
    return low, high


def _bootstrapped(
    metric: str, dataset: Dataset, split: Split, outputs: NDArray[np.floating]
) -> tuple[float, float]:
    """The ends of a percentile bootstrap over rows; resamples without a needed class are left out."""
    import numpy as np

    values = _resampled(metric, split.y, outputs, dataset.scoring)
    values = values[np.isfinite(values)]
    if not len(values):
        return -math.inf, math.inf
    low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def _resampled(
    metric: str, y: NDArray[Any], outputs: NDArray[np.floating], scoring: Scoring
) -> NDArray[np.float64]:
    """A metric on resamples of the rows, (:data:`RESAMPLES`,); NaN where a needed class is missing."""
    import numpy as np

    if metric == "efficiency_at_fpr" and len(scoring.positives) > 1:
        # Class by class, as if they were independent: only the thresholds depend on rows of other classes.
        each = [replace(scoring, signal=number) for number in scoring.positives]
        found: NDArray[np.float64] = np.mean([_resampled(metric, y, outputs, one) for one in each], axis=0)
        return found
    chosen, numbers = cells(metric, y, outputs, scoring)
    rows, groups = len(y), len(chosen)
    rng = np.random.default_rng([0, scoring.signal or 0])
    parts = []
    at_once = max(1, _AT_ONCE // groups)
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        if groups < rows:
            counts = rng.multinomial(rows, numbers / rows, size=count)
        else:
            drawn = rng.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows)
        parts.append(measure(metric, y[chosen], outputs[chosen], scoring, counts.astype(np.float64)))
    return np.concatenate(parts)


def paired_resamples(
    metric: str, dataset: Dataset, split: Split, outputs: NDArray[np.floating]
) -> NDArray[np.float64]:
    """A metric on resamples of the rows, (:data:`RESAMPLES`,), which are the same for every design.

    The spread of the difference of two designs is the noise of their comparison. For many rows it is
    computed on some of them, and scaled. NaN where a resample lacks a needed class.
    """
    import numpy as np

    rows = len(split)
    rng = np.random.default_rng(0)
    some = rng.permutation(rows)[:_PAIRED_ROWS]
    y, outputs = split.y[some], outputs[some]
    draws = [
        np.bincount(rng.integers(len(some), size=len(some)), minlength=len(some)) for _ in range(RESAMPLES)
    ]
    values = np.concatenate(
        [measure(metric, y, outputs, dataset.scoring, draw[None].astype(np.float64)) for draw in draws]
    )
    middle = float(measure(metric, y, outputs, dataset.scoring)[0])
    scaled: NDArray[np.float64] = middle + (values - middle) * math.sqrt(len(some) / rows)
    return scaled


def real_outputs(design: Design, features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Raw features (rows, n_in) -> outputs (rows, n_out) of a design; in a regression, in the unit of its
    targets."""
    return design.outputs(features)


def wilson(right: int, rows: int) -> tuple[float, float]:
    """Wilson's 90 % interval of the share ``right / rows``.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.
    """
    share, spread = right / rows, _Z * _Z / rows
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
