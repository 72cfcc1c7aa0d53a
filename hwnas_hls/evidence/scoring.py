"""Scores of network outputs: metrics of predictions with their statistical intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.scores import OF_CLASS, measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design

COVERAGE = 0.9
_Z = 1.6448536269514722  # two-sided 90 % of the normal distribution
#: Number of resamples of a bootstrap.
RESAMPLES = 200
#: Ends the evidence of a score whose interval is a bootstrap's.
BOOTSTRAP = "; interval by bootstrap over rows"
#: Numbers of a bootstrap that are held at once.
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

    Accuracy, of all rows or of a class: Wilson's binomial interval. All other metrics: a bootstrap over
    rows with a fixed seed.

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
    low, high = _bootstrapped(metric, dataset, split, outputs)
    evidence = f"{evidence}{BOOTSTRAP}"
    return Estimate(metric, value, min(low, value), max(high, value), source, evidence, COVERAGE)


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


def _bootstrapped(
    metric: str, dataset: Dataset, split: Split, outputs: NDArray[np.floating]
) -> tuple[float, float]:
    """The ends of a percentile bootstrap over rows; resamples without a needed class are left out."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows, found = len(split), []
    at_once = max(1, _AT_ONCE // rows)
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        drawn = rng.integers(rows, size=(count, rows))
        drawn += rows * np.arange(count)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows)
        found.append(measure(metric, split.y, outputs, dataset.scoring, counts.astype(np.float64)))
    values = np.concatenate(found)
    values = values[np.isfinite(values)]
    if not len(values):
        return -math.inf, math.inf
    low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


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
