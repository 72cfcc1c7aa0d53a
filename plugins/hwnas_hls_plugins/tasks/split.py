"""Reproducible splits of rows into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, UserError

#: Shares of the rows for validation and for test; the rest is for training.
VALIDATION_SHARE = 0.2
TEST_SHARE = 0.2

Rows = NDArray[np.int64]


def stratified(
    y: NDArray[np.int64],
    labels: Sequence[str],
    seed: int,
    where: str,
    shares: Sequence[float] = (VALIDATION_SHARE, TEST_SHARE),
) -> tuple[Rows, ...]:
    """Row indices of (training, held out...), with the same proportions for every class.

    Args:
        y: int64 (rows,), class numbers.
        labels: class names, by number; for the message only.
        seed: the split depends only on it and on ``y``.
        where: name of the table, for messages.
        shares: share of each held-out split, which gets at least one row of each class.

    Raises:
        UserError: a class has too few rows to be in every split.
    """
    needed = len(shares) + 1
    counts = np.bincount(y, minlength=len(labels))
    small = [f"{labels[int(number)]!r} ({counts[number]})" for number in np.flatnonzero(counts < needed)]
    if small:
        raise UserError(
            f"a class needs at least {needed} rows, one for every split",
            kind=ErrorKind.TOO_FEW,
            where=where,
            found=f"{len(small)} too small: {', '.join(small[:5])}{', ...' if len(small) > 5 else ''}",
            remedy="add rows, drop or merge those classes; or, if the label is a number to predict and not "
            "a class, set kind = 'regression'",
        )
    order = _permutation(len(y), seed)
    part = np.zeros(len(y), np.int64)
    for number in range(len(labels)):
        rows = order[y[order] == number]
        start = 0
        for held_out, share in enumerate(shares, start=1):
            count = max(1, round(share * len(rows)))
            part[rows[start : start + count]] = held_out
            start += count
    return tuple(order[part[order] == number] for number in range(needed))


def shuffled(
    n_rows: int, seed: int, where: str, shares: Sequence[float] = (VALIDATION_SHARE, TEST_SHARE)
) -> tuple[Rows, ...]:
    """Row indices of (training, held out...), independent of the label (for a regression).

    Raises:
        UserError: fewer rows than splits.
    """
    if n_rows < len(shares) + 1:
        raise UserError(
            f"a table needs at least {len(shares) + 1} rows for the split",
            kind=ErrorKind.TOO_FEW,
            where=where,
            found=f"{n_rows} rows",
            remedy="add rows",
        )
    return stratified(np.zeros(n_rows, np.int64), ("rows",), seed, where, shares)


def _permutation(n_rows: int, seed: int) -> Rows:
    # NumPy keeps the streams of RandomState stable (NEP 19), but not those of Generator.
    return np.random.RandomState(seed).permutation(n_rows).astype(np.int64)
