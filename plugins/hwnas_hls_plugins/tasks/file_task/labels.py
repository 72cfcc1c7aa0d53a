"""Converts label columns to class indices or regression targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.task import CLASSIFICATION, REGRESSION
from hwnas_hls_plugins.tasks.file_task.table import Column

#: Integers with more different values than this are a quantity, not classes, unless kind is set.
MAX_CLASSES_BY_ITSELF = 64
#: R2 squares targets and their differences.
MAX_TARGET = 1e150
#: Texts that stand for a missing value, as pyarrow's reader of CSV takes them in columns of numbers
#: (``ConvertOptions.null_values``), in the same case; but ``NA`` is a class (a region, say).
MISSING_TEXTS = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "N/A", "NULL", "NaN", "-NaN", "n/a", "nan", "-nan", "null")
) | {"-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN"}
#: Maximum number of outputs.
MAX_CLASSES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Encoded labels.

    Args:
        kind: ``classification`` or ``regression``.
        y: int64 (rows,) class numbers, or float64 (rows, n_out).
        classes: class names in output order; empty for regression.
    """

    kind: str
    y: NDArray[Any]
    classes: tuple[str, ...] = ()


def encode(columns: tuple[Column, ...], names: tuple[str, ...], kind: str, where: str) -> Labels:
    """Encode label columns as class indices or targets.

    Args:
        columns: label columns, each (rows,).
        names: of the columns, for messages.
        kind: ``classification``, ``regression`` or ``auto``: text, truth values, one-hot columns
            and whole numbers of few different values, each in two rows or more on average, are
            classes, other numbers are targets.
        where: the file, for messages.

    Raises:
        UserError: missing or infinite labels, one class only, too many classes, text targets.
    """
    for name, column in zip(names, columns, strict=True):
        _check_missing(column, f"{where}: label column {name!r}")
    if kind == "auto":
        kind = _kind(columns)
    if kind == REGRESSION:
        return Labels(
            kind,
            np.stack(
                [_target(c, f"{where}: label column {n!r}") for n, c in zip(names, columns, strict=True)],
                axis=1,
            ),
        )
    if len(columns) > 1:
        if not _one_hot(columns):
            raise UserError(
                "several label columns are classes only if each row has exactly one 1 and otherwise zeros",
                where=where,
                found=", ".join(names),
                remedy="give one label column, or set kind = 'regression'",
            )
        return Labels(kind, np.stack([c.astype(np.float64) for c in columns], 1).argmax(1), names)
    return _classes(columns[0], f"{where}: label column {names[0]!r}")


def _classes(column: Column, where: str) -> Labels:
    if column.dtype == object:
        column = np.array([text.strip() for text in column], dtype=np.str_)
    values, y = np.unique(column, return_inverse=True)
    names = [_class_name(value) for value in values]
    if len(values) < 2:
        raise UserError(
            "all rows have the same class",
            kind=ErrorKind.TOO_FEW,
            where=where,
            found=names[0],
            remedy="add rows of other classes, or give another label column (--label)",
        )
    if len(values) > MAX_CLASSES or (column.dtype.kind == "U" and 2 * len(values) > len(column)):
        raise UserError(
            "there are too many classes for a classification",
            kind=ErrorKind.TOO_LARGE,
            where=where,
            found=f"{len(values)} different values in {len(column)} rows, among them {', '.join(names[:3])}",
            remedy="name another label column, or set kind = 'regression' if it is a number to predict",
        )
    return Labels(CLASSIFICATION, y.reshape(-1).astype(np.int64), tuple(names))


def _class_name(value: Any) -> str:
    if isinstance(value, np.floating) and value == round(float(value)) and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def _kind(columns: tuple[Column, ...]) -> str:
    if len(columns) > 1:
        return CLASSIFICATION if _one_hot(columns) else REGRESSION
    column = columns[0]
    if column.dtype.kind != "f" and column.dtype.kind not in "iu":
        return CLASSIFICATION
    values = column.astype(np.float64)
    whole = bool((values == np.round(values)).all() and np.abs(values).max() < 2**53)
    n_values = len(np.unique(values))
    few = n_values <= MAX_CLASSES_BY_ITSELF and 2 * n_values <= len(values)
    return CLASSIFICATION if whole and few else REGRESSION


def _one_hot(columns: tuple[Column, ...]) -> bool:
    if any(column.dtype.kind not in "biuf" for column in columns):
        return False
    matrix = np.stack([column.astype(np.float64) for column in columns], axis=1)
    return bool(np.isin(matrix, (0.0, 1.0)).all() and (matrix.sum(axis=1) == 1).all())


def _target(column: Column, where: str) -> NDArray[np.float64]:
    if column.dtype.kind not in "biuf":
        raise UserError(
            "the target of a regression must be a number",
            where=where,
            found=f"text such as {column[0]!r}",
            remedy="name another label column, or set kind = 'classification'",
        )
    values = column.astype(np.float64)
    if values.min() == values.max():
        raise UserError(
            "all rows have the same target",
            kind=ErrorKind.TOO_FEW,
            where=where,
            found=values[0],
            remedy="add rows with other targets, or give another label column (--label)",
        )
    peak, spread = np.abs(values).max(), values.max() - values.min()
    if peak > MAX_TARGET or spread < 1 / MAX_TARGET:
        raise UserError(
            f"the squares of a target overflow or underflow (values up to {MAX_TARGET:g}, differences "
            f"from {1 / MAX_TARGET:g})",
            where=where,
            found=f"values up to {peak:g}, largest difference {spread:g}",
            remedy="change its unit",
        )
    return values


def _check_missing(column: Column, where: str) -> None:
    found = ""
    if column.dtype.kind in "OU":
        bad = [row for row, text in enumerate(column) if text is None or text.strip() in MISSING_TEXTS]
        texts = sorted({column[row].strip() for row in bad if column[row] is not None} - {""})
        found = f" ({', '.join(map(repr, texts))} stands for a missing value)" if texts else ""
    elif column.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(column)).tolist()
    else:
        bad = []
    if bad:
        raise UserError(
            "labels are missing or infinite",
            where=where,
            found=f"{len(bad)} of {len(column)} rows, first in data row {bad[0] + 1}{found}",
            remedy="drop those rows, or rename the class if it is one" if found else "drop those rows",
        )
