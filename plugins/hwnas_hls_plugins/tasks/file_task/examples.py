"""Selects the features, the label and the split of a table, and checks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls_plugins.tasks.file_task.table import Column, Table

#: Common names of a label column, in lower case; two of the first group are ambiguous. ``y`` comes last,
#: because it may also be a coordinate.
_NAME_GROUPS = (("label", "target", "class"), ("labels", "targets", "classes"), ("y",))
LABEL_NAMES = tuple(name for group in _NAME_GROUPS for name in group)
#: Beyond this magnitude, a sum of a few values overflows float64.
MAX_MAGNITUDE = 1e307
#: The last column of a table without a header is the label if it has at most this many integer values.
_MAX_GUESSED_CLASSES = 64
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Features and labels, row by row.

    Args:
        where: the file, for messages.
        x: float64 (rows, n_in), finite.
        y: label columns, each (rows,): numbers, bool, or objects that are ``str``.
        features, label_names: column names.
        parts: per row ``train``, ``validation`` or ``test``; ``None`` if the file has no split.
        remarks: decisions of the reader, for the report.
        warnings: what is probably wrong with the data, for the terminal and the report.
        weight: of each row in the loss, float64 (rows,); ``None``: all count the same.
    """

    where: str
    x: NDArray[np.float64]
    y: tuple[Column, ...]
    features: tuple[str, ...]
    label_names: tuple[str, ...]
    parts: NDArray[Any] | None = None
    remarks: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())
    weight: NDArray[np.float64] | None = None


def from_table(
    table: Table,
    label: Sequence[str],
    split_column: str,
    ignore: Sequence[str],
    features: Sequence[str] = (),
    weight: str = "",
) -> Examples:
    """Examples from a table.

    Args:
        label: label columns; empty means that one is detected.
        split_column: empty means a column called ``split`` that contains only names of splits.
        ignore: columns to skip.
        features: the required features, in order; empty means all other columns.
        weight: column of row weights; empty means none.

    Raises:
        UserError: a column that is not there, an ambiguous label, text or missing values among
            the features.
    """
    columns = {name: column for name, column in table.columns.items() if name not in ignore}
    remarks = list(table.remarks)
    for name in (*label, *features, *filter(None, (split_column, weight))):
        if name not in columns:
            raise _no_such_column(name, table)
    if not split_column and "split" in columns and "split" not in label and _are_splits(columns["split"]):
        split_column = "split"
        remarks.append("split column 'split'")
    if not label:
        rest = {name: column for name, column in columns.items() if name not in (split_column, weight)}
        label = (_find_label(rest, table),)
        remarks.append(f"label column {label[0]!r}")
    apart = (*label, split_column, weight)
    chosen = tuple(features) or tuple(n for n in columns if n not in apart)
    if split_column in label:
        raise UserError(
            "the label cannot be the split column",
            kind=ErrorKind.CONFLICT,
            where=table.where,
            found=split_column,
        )
    if not chosen:
        raise UserError(
            "the table has no feature columns besides its label",
            kind=ErrorKind.MISSING,
            where=table.where,
            found=", ".join(columns),
        )
    x = np.empty((table.n_rows, len(chosen)))
    for place, name in enumerate(chosen):
        x[:, place] = _feature(columns[name], name, table.where)
    warnings = sentinels(x, chosen)
    parts = _parts(columns[split_column], split_column, table.where) if split_column else None
    weights = _weights(columns[weight], weight, table.where) if weight else None
    return Examples(
        table.where,
        x,
        tuple(columns[n] for n in label),
        chosen,
        tuple(label),
        parts,
        tuple(remarks),
        weight=weights,
        warnings=warnings,
    )


def sentinels(x: NDArray[np.float64], features: Sequence[str]) -> tuple[str, ...]:
    """A warning if features hold values such as -999 that probably stand for a missing one.

    Such a value is the smallest or largest of its column and farther from the others than these are from
    each other.
    """
    found: list[str] = []
    for place, name in enumerate(features):
        column = x[:, place]
        for value in {float(column.min()), float(column.max())} & _SENTINELS:
            others = column[column != value]
            if not len(others):
                continue
            gap = min(abs(others.min() - value), abs(others.max() - value))
            if gap > max(others.max() - others.min(), 1.0):
                found.append(f"{name} ({value:g} in {int((column == value).sum())} rows)")
    if not found:
        return ()
    shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more features" if len(found) > 5 else "")
    return (
        f"values that look like missing ones are used as numbers: {shown}; they widen the range that the "
        "inputs' type must cover. Replace them, or drop those rows",
    )


#: Usual stand-ins for a missing value.
_SENTINELS = {sign * value for sign in (1.0, -1.0) for value in (99.0, 999.0, 9999.0, 99999.0, 999999.0)}


def check_features(x: NDArray[np.float64], features: Sequence[str], where: str) -> None:
    """Raises UserError where a matrix of features (rows, n_in) holds missing or infinite values."""
    for place, name in enumerate(features):
        _feature(x[:, place], name, where)


def _feature(column: Column, name: str, where: str) -> NDArray[np.float64]:
    """A feature column as finite numbers."""
    if column.dtype == object:
        texts = [(row, text) for row, text in enumerate(column) if text is not None and _not_number(text)]
        row, text = texts[0] if texts else (0, column[0])
        raise UserError(
            "a feature column contains text",
            where=f"{where}: column {name!r}",
            found=f"{text!r} in data row {row + 1}, {len(texts)} such rows of {len(column)}",
            remedy="features must be numbers: encode the column, skip it (ignore), make it the label, or "
            "set decimal = ',' if numbers are written with a comma",
        )
    values = column.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        missing = int(np.isnan(values).sum())
        raise UserError(
            "a feature column has missing or infinite values",
            where=f"{where}: column {name!r}",
            found=f"{missing} missing and {len(bad) - missing} infinite of {len(values)} rows, first in data "
            f"row {int(bad[0]) + 1}",
            remedy="fill or drop those rows, or skip the column (ignore)",
        )
    large = np.flatnonzero(np.abs(values) > MAX_MAGNITUDE)
    if len(large):
        raise UserError(
            f"a feature column has values beyond {MAX_MAGNITUDE:g}",
            where=f"{where}: column {name!r}",
            found=f"{values[large[0]]:g} in data row {int(large[0]) + 1}",
            remedy="change its unit",
        )
    return values


def _weights(column: Column, name: str, where: str) -> NDArray[np.float64]:
    """A column of row weights, 0 or more."""
    values = _feature(column, name, where)
    negative = np.flatnonzero(values < 0)
    if len(negative):
        raise UserError(
            "a row weight is negative, which the loss of a training cannot use",
            where=f"{where}: column {name!r}",
            found=f"{values[negative[0]]:g} in data row {int(negative[0]) + 1}, {len(negative)} such rows",
            remedy="take their absolute values, or merge these rows with others",
        )
    if not values.any():
        raise UserError("all row weights are 0", where=f"{where}: column {name!r}")
    return values


def _not_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return True
    return False


def _find_label(columns: dict[str, Column], table: Table) -> str:
    """The label column if none is given and it is unambiguous."""
    for group in _NAME_GROUPS:
        fitting = [name for name in columns if name.lower() in group]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise UserError(
                "several columns could be the label",
                kind=ErrorKind.AMBIGUOUS,
                where=table.where,
                found=_listed(fitting),
                remedy="name one of them, by --label or by label in the task's table; put the other into "
                "ignore if it is not a feature",
            )
    texts = [name for name, column in columns.items() if column.dtype == object]
    if len(texts) == 1:
        return texts[0]
    if not table.named and not texts and len(columns) > 1:
        last = list(columns)[-1]
        values = columns[last].astype(np.float64)
        whole = np.isfinite(values).all() and (values == np.round(values)).all()
        if whole and len(np.unique(values)) <= min(_MAX_GUESSED_CLASSES, len(values) // 3):
            return last
    raise UserError(
        "the label column is not given",
        kind=ErrorKind.AMBIGUOUS,
        where=table.where,
        found=f"columns {_listed(columns)}",
        remedy="name one of them, by --label or by label in the table of the task (a column called label, "
        "target, class or y is detected)",
    )


def _are_splits(column: Column) -> bool:
    return column.dtype == object and all(
        text is not None and text.strip().lower() in _SPLIT_NAMES for text in column
    )


def _parts(column: Column, name: str, where: str) -> NDArray[Any]:
    where = f"{where}: column {name!r}"
    texts = ["" if value is None else str(value).strip().lower() for value in column]
    for row, text in enumerate(texts):
        if text not in _SPLIT_NAMES:
            raise UserError(
                "a value of the split column is not a split",
                where=where,
                found=f"{str(column[row])!r} in data row {row + 1}",
                choices=_SPLIT_NAMES,
            )
    return np.array([_SPLIT_NAMES[text] for text in texts], dtype=object)


def _no_such_column(name: str, table: Table) -> UserError:
    remedy = (
        None if table.named else "the file has no header; set header = 'yes' if its first line names columns"
    )
    return UserError(
        "the table has no such column", where=table.where, found=name, choices=table.columns, remedy=remedy
    )


def _listed(names: Sequence[str] | dict[str, Column]) -> str:
    texts = [repr(name) for name in names]
    return ", ".join(texts) if len(texts) <= 40 else f"{', '.join(texts[:40])}, ... ({len(texts)} in all)"
