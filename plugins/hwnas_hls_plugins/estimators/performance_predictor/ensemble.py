"""An ensemble of trees with intervals from out-of-bag errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Ensemble:
    """Extremely randomised trees on bootstrap samples.

    The interval of a prediction is the spread of the trees times a quantile of the out-of-bag errors
    of the examples, in units of the same spread.

    Sources: P. Geurts et al., Mach. Learn. 63 (2006) 3; B. Kim et al., "Predictive inference is free
    with the jackknife+-after-bootstrap", NeurIPS 2020; J. Lei et al., JASA 113 (2018) 1094 (errors in
    units of a spread).

    Args:
        x: (examples, features), at least 10 examples.
        y: (examples,).
        trees: number of trees.
        coverage: of the intervals.
        seed: of the trees.
    """

    def __init__(
        self, x: NDArray[np.float64], y: NDArray[np.float64], trees: int, coverage: float, seed: int
    ) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        self._trees: Any = ExtraTreesRegressor(
            trees,
            min_samples_leaf=2,
            max_features=0.5,
            bootstrap=True,
            random_state=seed % 2**32,
        ).fit(x, y)
        unseen = np.ones((len(y), trees), bool)
        for number, rows in enumerate(self._trees.estimators_samples_):
            unseen[rows, number] = False
        # An example in all samples (very rare) is predicted by all trees.
        unseen[~unseen.any(axis=1)] = True
        votes = np.where(unseen, self._votes(x), np.nan)
        #: out-of-bag predictions of the examples
        self.fitted: NDArray[np.float64] = np.nanmean(votes, axis=1)
        spread = np.nanstd(votes, axis=1)
        self._least = max(float(np.median(spread)), 1e-9)
        errors = np.sort((y - self.fitted) / (spread + self._least))
        tail = (len(y) + 1) * (1 - coverage) / 2
        low = max(0, math.floor(tail) - 1)
        high = min(len(y) - 1, math.ceil(len(y) + 1 - tail) - 1)
        self._low, self._high = min(float(errors[low]), 0.0), max(float(errors[high]), 0.0)

    def _votes(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(rows, trees), contiguous by row: each row is summed in the same way in any batch."""
        votes = np.stack([tree.predict(x) for tree in self._trees.estimators_])
        return np.ascontiguousarray(votes.T, np.float64)

    def predict(
        self, x: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(value, low, high), each (rows,)."""
        votes = self._votes(x)
        value, spread = votes.mean(axis=1), votes.std(axis=1) + self._least
        return value, value + self._low * spread, value + self._high * spread
