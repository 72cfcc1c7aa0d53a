"""Tasks: the data a network is searched for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLASSIFICATION = "classification"
REGRESSION = "regression"


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of one split.

    Args:
        x: float64 (rows, n_in), raw features.
        y: int64 (rows,) class numbers, or float64 (rows, n_out) for regression.
    """

    x: NDArray[np.float64]
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A loaded task.

    Args:
        train, validation, test: the splits; the test split is for the final front only.
        kind: ``classification`` or ``regression``.
        labels: class names in output order; empty for regression.
        features: feature names in column order.
        metric: name of the task's metric, ``accuracy`` or for example ``r2``.
        direction: ``max`` or ``min`` for that metric.
        source: where the data come from, for the report.
    """

    train: Split
    validation: Split
    test: Split
    kind: str
    labels: tuple[str, ...]
    features: tuple[str, ...]
    source: str
    metric: str = "accuracy"
    direction: str = "max"

    @property
    def n_in(self) -> int:
        return int(self.train.x.shape[1])

    @property
    def n_out(self) -> int:
        return len(self.labels) if self.kind == CLASSIFICATION else int(self.train.y.shape[1])

    @cached_property
    def standardisation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(mean, scale), each (n_in,), fitted on the training split; constant columns get scale 1."""
        import numpy as np

        mean = self.train.x.mean(axis=0)
        scale = self.train.x.std(axis=0)
        # A constant column has a standard deviation of rounding noise rather than of zero.
        constant = scale <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
        return mean, np.where(constant, 1.0, scale)

    @cached_property
    def fingerprint(self) -> str:
        """Content address of the training and validation rows: part of every evaluation's key."""
        state = hashlib.sha256()
        for split in (self.train, self.validation):
            state.update(split.x.tobytes())
            state.update(split.y.tobytes())
        return state.hexdigest()[:16]


@runtime_checkable
class Task(Protocol):
    """What a task plugin offers; ``name`` and a frozen ``Config`` dataclass stand on the class."""

    name: str

    def load(self) -> Dataset:
        """The data, split; the same split at every call.

        Raises:
            UserError: the data are not there, not readable or not usable as they are.
        """
        ...
