"""Tasks: the data sets that networks are searched for."""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.input_words import InputScaling
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.values.score_metrics import CLASSIFICATION, DEFAULT_FALSE_POSITIVE_RATE, REGRESSION, Scoring

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CLASSIFICATION", "REGRESSION", "Dataset", "Split", "Task", "joined"]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The rows of one split.

    Args:
        x: float64 (rows, n_in), raw features.
        y: class indices, int64 (rows,); for regression float64 (rows, n_out).
        weight: how much each row counts in the loss of training, float64 (rows,), 0 or more; ``None``:
            all rows count the same. Metrics count every row once.
    """

    x: NDArray[np.float64]
    y: NDArray[Any]
    weight: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def drawn(self, most: int, seed: int | Sequence[int]) -> Split:
        """At most ``most`` random rows in their original order, the same for the same seed; 0 means all."""
        import numpy as np

        if most == 0 or len(self) <= most:
            return self
        return self.rows(np.sort(np.random.default_rng(seed).permutation(len(self))[:most]))

    def rows(self, chosen: NDArray[Any]) -> Split:
        """The rows at these indices, or where a mask is true."""
        weight = None if self.weight is None else self.weight[chosen]
        return Split(self.x[chosen], self.y[chosen], weight)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The loaded data of a task.

    Args:
        train, validation, test: the splits; the test split is used for exported designs only.
        kind: ``classification`` or ``regression``.
        labels: class names in output order; empty for regression.
        features: feature names in column order.
        metric: name of the task's metric, for example ``accuracy`` or ``r2``.
        direction: ``max`` or ``min``, whichever is better for that metric.
        source: origin of the data, for the report.
        input_shape: (height, width, channels) if a row is an image; height 1 for a time series.
            ``None`` for a plain table.
        further_metrics: metrics of predictions that are measured in addition to ``metric``.
        signal: number of the signal class, for ``auc``, ``f1`` and ``efficiency_at_fpr``; ``None`` means
            the second of two classes and, of more, the average over each one against the rest.
        false_positive_rate: of ``efficiency_at_fpr``.
        warnings: what is probably wrong with the data, for the terminal and the report.
        scaling: of features that are raw words, computed by the circuit; ``None``: the host standardises
            them.

    Raises:
        UserError: the product of the shape is not the number of features.
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
    further_metrics: tuple[str, ...] = ()
    signal: int | None = None
    false_positive_rate: float = DEFAULT_FALSE_POSITIVE_RATE
    warnings: tuple[str, ...] = ()
    scaling: InputScaling | None = None

    def __post_init__(self) -> None:
        shape = self.input_shape
        if shape is not None and (min(shape) < 1 or math.prod(shape) != self.n_in):
            raise UserError(
                "the image shape does not match the number of features",
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

    @property
    def scoring(self) -> Scoring:
        """The settings of the metrics of predictions."""
        labels = self.labels if self.kind == CLASSIFICATION else ()
        return Scoring(self.kind, labels, self.signal, self.false_positive_rate)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of predictions that are measured, the task's metric first."""
        return tuple(dict.fromkeys((self.metric, *self.further_metrics)))

    @cached_property
    def standardisation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(mean, scale), each (n_in,), fitted on the training split; constant columns get scale 1.

        Of raw words: the offset and the power of two that the circuit computes with.
        """
        if self.scaling is not None:
            return self.scaling.standardisation
        return _mean_and_scale(self.train.x)

    @cached_property
    def target_standardisation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(mean, scale), each (n_out,), of the training targets of a regression task.

        Fitting ``(y - mean) / scale`` keeps targets of any range inside the types of the network;
        ``r2`` is the same for scaled and raw targets.
        """
        if self.kind != REGRESSION:
            raise ValueError("only the targets of a regression task are standardised")
        return _mean_and_scale(self.train.y)

    def standardised(self, split: Split) -> NDArray[np.float64]:
        """The standardised features of ``split``, the inputs of networks, (rows, n_in)."""
        mean, scale = self.standardisation
        found: NDArray[np.float64] = (split.x - mean) / scale
        return found

    def wanted(self, split: Split) -> NDArray[np.float64]:
        """The target outputs of networks for ``split``, float64 (rows, n_out).

        One-hot classes, or targets standardised by :attr:`target_standardisation`.
        """
        import numpy as np

        if self.kind == CLASSIFICATION:
            return np.asarray(split.y[:, None] == np.arange(self.n_out), np.float64)
        mean, scale = self.target_standardisation
        return np.asarray((split.y - mean) / scale, np.float64)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the training and validation rows; part of the key of every evaluation."""
        state = hashlib.sha256()
        for split in (self.train, self.validation):
            state.update(split.x.tobytes())
            state.update(split.y.tobytes())
            if split.weight is not None:
                state.update(split.weight.tobytes())
        return state.hexdigest()[:16]


def joined(dataset: Dataset) -> Split:
    """The training and validation rows together."""
    import numpy as np

    parts = (dataset.train, dataset.validation)
    weights = [part.weight if part.weight is not None else np.ones(len(part)) for part in parts]
    return Split(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        None if all(part.weight is None for part in parts) else np.concatenate(weights),
    )


def _mean_and_scale(columns: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column, finite for every finite column.

    Args:
        columns: float64 (rows, n), at least one row.
    """
    import numpy as np

    # Squares of values like 1e300 or 1e-300 overflow or underflow float64, so each column is first
    # divided by a power of two near its largest value, which is exact.
    peak = np.abs(columns).max(axis=0)
    exponent = np.frexp(peak)[1]
    near_one = np.ldexp(columns, -exponent)
    constant = columns.max(axis=0) == columns.min(axis=0)
    mean = np.where(constant, columns[0], np.ldexp(near_one.mean(axis=0), exponent))
    scale = np.ldexp(near_one.std(axis=0), exponent)
    # Columns that vary only by rounding noise are not scaled up to unit variance.
    noise = scale <= np.maximum(1e-12 * np.abs(mean), np.finfo(np.float64).tiny)
    scale = np.where(noise, np.maximum(1.0, np.abs(mean)), scale)
    return mean, np.where(constant, 1.0, scale)


class Task(Plugin):
    """A data set that networks are searched for. The constructor may take ``config``."""

    @abstractmethod
    def load(self) -> Dataset:
        """The data in three splits, the same at every call.

        Raises:
            UserError: the data are missing, unreadable or unusable.
        """
