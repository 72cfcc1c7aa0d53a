"""Which classes a design confuses: its confusion matrix, or its ROC curve for two classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.evidence.scoring import real_outputs
from hwnas_hls.protocols.task import CLASSIFICATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.task import Dataset

#: Test rows that are drawn at most; a card is drawn in a fraction of a second.
MAX_ROWS = 20_000
#: A larger matrix is not readable in a card.
MAX_CLASSES = 12
ROC_PX = 200
_MAX_POINTS = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a confusion matrix: rows, and their share of the true class in percent."""

    rows: int
    percent: int


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The mistakes of a design on test rows, for the template.

    Args:
        n_rows: number of rows.
        labels: class names; empty if there are too many for a matrix.
        matrix: per true class, one cell per predicted class.
        roc: SVG path in a square of :data:`ROC_PX`, from (0, 0) at the lower left; empty unless there
            are two classes.
        signal: the class that the curve selects.
    """

    n_rows: int
    labels: tuple[str, ...]
    matrix: tuple[tuple[Cell, ...], ...]
    roc: str
    signal: str


def mistakes(design: Design, dataset: Dataset) -> Mistakes | None:
    """The mistakes of a design, by integer emulation; ``None`` for a regression or too many classes."""
    if dataset.kind != CLASSIFICATION or dataset.n_out > MAX_CLASSES:
        return None
    split = dataset.test.drawn(MAX_ROWS, 0)
    outputs = real_outputs(design, split.x)
    counts = np.zeros((dataset.n_out, dataset.n_out), np.int64)
    np.add.at(counts, (split.y, outputs.argmax(axis=1)), 1)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    percent = np.rint(100 * counts / totals).astype(int)
    signal = 1 if dataset.signal is None else dataset.signal
    return Mistakes(
        len(split),
        dataset.labels,
        tuple(
            tuple(Cell(int(rows), int(share)) for rows, share in zip(*row, strict=True))
            for row in zip(counts, percent, strict=True)
        ),
        _path(split.y == signal, outputs[:, signal] - outputs[:, 1 - signal]) if dataset.n_out == 2 else "",
        dataset.labels[signal] if dataset.n_out == 2 else "",
    )


def _path(is_signal: NDArray[np.bool_], score: NDArray[np.float64]) -> str:
    """The ROC curve; rows of equal score are accepted together."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    true = np.cumsum(is_signal[order])[ends]
    false = np.cumsum(~is_signal[order])[ends]
    if true[-1] == 0 or false[-1] == 0:
        return ""
    kept = np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _MAX_POINTS)).astype(int))
    x, y = ROC_PX * false[kept] / false[-1], ROC_PX * (1 - true[kept] / true[-1])
    return f"M0 {ROC_PX}" + "".join(f"L{a:.4g} {b:.4g}" for a, b in zip(x, y, strict=True))
