"""Tasks: the data a network is searched for."""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.plugin import Plugin

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

    def drawn(self, most: int, seed: int | Sequence[int]) -> Split:
        """``most`` rows, in their order, the same for the same seed; 0 takes all."""
        import numpy as np

        if most == 0 or len(self) <= most:
            return self
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:most])
        return Split(self.x[chosen], self.y[chosen])


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
        input_shape: (height, width, channels) where a row is an image, channels last; a series has
            height 1. ``None`` where it is a plain table.

    Raises:
        UserError: the shape does not have as many values as a row.
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
    input_shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        shape = self.input_shape
        if shape is not None and (min(shape) < 1 or math.prod(shape) != self.n_in):
            raise UserError(
                "the image does not have as many values as a row has features",
                where="task: image",
                found=f"{' x '.join(map(str, shape))} = {math.prod(shape)}, {self.n_in} features",
                kind=ErrorKind.MISMATCH,
            )

    @property
    def n_in(self) -> int:
        return int(self.train.x.shape[1])

    @property
    def n_out(self) -> int:
        return len(self.labels) if self.kind == CLASSIFICATION else int(self.train.y.shape[1])

    @cached_property
    def standardisation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(mean, scale), each (n_in,), fitted on the training split; constant columns get scale 1."""
        return _mean_and_scale(self.train.x)

    @cached_property
    def target_standardisation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(mean, scale), each (n_out,), of the training targets of a regression task.

        A trainer that fits ``(y - mean) / scale`` keeps targets of any range inside the types of
        the network; ``r2`` is the same for scaled and raw targets.
        """
        if self.kind != REGRESSION:
            raise ValueError("only the targets of a regression task are standardised")
        return _mean_and_scale(self.train.y)

    def standardised(self, split: Split) -> NDArray[np.float64]:
        """The features of ``split`` as networks take them, (rows, n_in): see :attr:`standardisation`."""
        mean, scale = self.standardisation
        found: NDArray[np.float64] = (split.x - mean) / scale
        return found

    def wanted(self, split: Split) -> NDArray[np.float64]:
        """What networks are to answer for ``split``, float64 (rows, n_out).

        One-hot classes, or targets by :attr:`target_standardisation`.
        """
        import numpy as np

        if self.kind == CLASSIFICATION:
            return np.asarray(split.y[:, None] == np.arange(self.n_out), np.float64)
        mean, scale = self.target_standardisation
        return np.asarray((split.y - mean) / scale, np.float64)

    @cached_property
    def fingerprint(self) -> str:
        """Content address of the training and validation rows: part of every evaluation's key."""
        state = hashlib.sha256()
        for split in (self.train, self.validation):
            state.update(split.x.tobytes())
            state.update(split.y.tobytes())
        return state.hexdigest()[:16]


def joined(dataset: Dataset) -> Split:
    """The training and validation rows together."""
    import numpy as np

    parts = (dataset.train, dataset.validation)
    return Split(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))


def _mean_and_scale(columns: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column, finite for every finite column.

    Args:
        columns: float64 (rows, n), at least one row.
    """
    import numpy as np

    # Sums and squares of values like 1e300 or 1e-300 leave the range of float64, so each column is
    # first divided by a power of two near its largest value, which costs no bit.
    peak = np.abs(columns).max(axis=0)
    exponent = np.frexp(peak)[1]
    near_one = np.ldexp(columns, -exponent)
    constant = columns.max(axis=0) == columns.min(axis=0)
    mean = np.where(constant, columns[0], np.ldexp(near_one.mean(axis=0), exponent))
    scale = np.ldexp(near_one.std(axis=0), exponent)
    # What differs only by rounding noise is not blown up to full size: it stays below one.
    noise = scale <= np.maximum(1e-12 * np.abs(mean), np.finfo(np.float64).tiny)
    scale = np.where(noise, np.maximum(1.0, np.abs(mean)), scale)
    return mean, np.where(constant, 1.0, scale)


class Task(Plugin):
    """The data that a network is searched for. The constructor may ask for ``config``."""

    @abstractmethod
    def load(self) -> Dataset:
        """The data, split; the same split at every call.

        Raises:
            UserError: the data are not there, not readable or not usable as they are.
        """
