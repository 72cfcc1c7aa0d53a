"""Rank correlation: Kendall's tau with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.run.goal import metrics_of
from hwnas_hls.values.record import Record

COVERAGE = 0.95
#: Minimum number of candidates for a rank correlation.
_FEW = 20
_RESAMPLES = 200
#: Maximum number of candidates, the most recent ones: the number of pairs grows with the square.
_MANY = 400


@dataclass(frozen=True, slots=True)
class Tau:
    """Kendall's tau-b (1: same order, 0: no correlation, -1: reverse order) with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def tau(
    scores: NDArray[np.float64] | Sequence[float],
    truth: NDArray[np.float64] | Sequence[float],
    resamples: int = 1000,
) -> Tau:
    """Tau-b of two rankings of the same items, with a 95 % bootstrap interval.

    Source: M. G. Kendall, Biometrika 33 (1945) 239; percentile bootstrap.

    Args:
        scores, truth: (items,), larger is better in both.
        resamples: number of bootstrap samples; their random numbers are fixed.
    """
    ours, theirs = _signs(np.asarray(scores)), _signs(np.asarray(truth))
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(resamples):
        rows = rng.integers(len(ours), size=len(ours))
        draws.append(_tau_b(ours[np.ix_(rows, rows)], theirs[np.ix_(rows, rows)]))
    low, high = np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Tau(_tau_b(ours, theirs), float(low), float(high))


def of_run(
    estimators: Sequence[Estimator], metric: str, direction: str, records: Sequence[Record]
) -> Iterator[str]:
    """How well the proxies of a run ranked the candidates that were trained, as text.

    Args:
        estimators: of these, the ones with ``proxies = True`` are used.
        metric, direction: the task's metric.
        records: records of the run.
    """
    trained = [r for r in records if r.feasible and metric in r.estimates][-_MANY:]
    for estimator in estimators:
        if not estimator.proxies:
            continue
        for name, stated in metrics_of(estimator).items():
            both = [record.estimates for record in trained if name in record.estimates]
            if len(both) < _FEW:
                continue
            sign = 1.0 if stated is None or stated.direction == direction else -1.0
            found = tau(
                [sign * estimates[name].value for estimates in both],
                [estimates[metric].value for estimates in both],
                _RESAMPLES,
            )
            yield f"{name} ranked {len(both)} trained candidates by {metric} with Kendall's tau {found}"


def _signs(values: NDArray[np.float64]) -> NDArray[np.int8]:
    return np.sign(values[:, None] - values[None, :]).astype(np.int8)


def _tau_b(ours: NDArray[np.int8], theirs: NDArray[np.int8]) -> float:
    agreed = float(np.sum(ours * theirs, dtype=np.int64))
    size = float(np.count_nonzero(ours)) * float(np.count_nonzero(theirs))
    return agreed / size**0.5 if size else 0.0
