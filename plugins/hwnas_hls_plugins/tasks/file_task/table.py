"""A table read from a file: named columns of equal length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, UserError

#: Values (rows times columns) that a table may hold. Reading takes about 40 bytes a value (measured:
#: 17 million values from CSV took 0.7 GB), so some 4 GB at this limit.
MAX_VALUES = 100_000_000
#: Maximum file size in bytes.
MAX_FILE_BYTES = 2_000_000_000

Column = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns by name.

    Args:
        where: the file, for messages.
        columns: name -> array (rows,): float64 (missing values are NaN), bool, or objects that
            are ``str`` (a missing text is ``None``).
        named: whether the names come from the file.
        remarks: decisions of the reader, for the report.
    """

    where: str
    columns: dict[str, Column]
    named: bool = True
    remarks: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0


#: What downloads leave in the place of a file: what it is, how it begins, what to do.
_NO_DATA = (
    ("a pointer of Git LFS", b"version https://git-lfs", "get the data by git lfs pull"),
    ("a web page", b"<!doctype html", "download the file itself"),
    ("a web page", b"<html", "download the file itself"),
)


def check_file(path: Path) -> None:
    """Check that a path is a data file.

    Raises:
        UserError: missing, a folder, not a plain file, empty, not readable, no data, or too large.
    """
    where = str(path)
    try:
        status = path.stat()
        if path.is_dir():
            raise UserError("the data file is a folder", kind=ErrorKind.NOT_ACCESSIBLE, where=where)
        if not path.is_file():
            raise UserError("the data file is a special file", kind=ErrorKind.NOT_ACCESSIBLE, where=where)
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError as error:
        raise UserError(
            "there is no such data file",
            kind=ErrorKind.MISSING,
            where=where,
            remedy="name an existing data file",
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(
            "the data file cannot be read", kind=ErrorKind.NOT_ACCESSIBLE, where=where, found=error
        ) from error
    if status.st_size == 0:
        raise UserError(
            "the data file is empty",
            kind=ErrorKind.MISSING,
            where=where,
            remedy="give a file with a row for each example",
        )
    for what, mark, remedy in _NO_DATA:
        if head.lstrip().lower().startswith(mark):
            raise UserError(
                f"the data file holds {what}, not data",
                kind=ErrorKind.WRONG_FORMAT,
                where=where,
                found=head.split(b"\n", 1)[0].decode("latin-1"),
                remedy=remedy,
            )
    if status.st_size > MAX_FILE_BYTES:
        raise UserError(
            f"the data file is larger than {MAX_FILE_BYTES / 1e9:.0f} GB, the maximum size",
            kind=ErrorKind.TOO_LARGE,
            where=where,
            found=f"{status.st_size / 1e9:.1f} GB",
            remedy="give a sample of the rows",
        )


def check_size(n_rows: int, n_columns: int, where: str) -> None:
    """Raise UserError if a table has no rows or more values than :data:`MAX_VALUES`."""
    if n_rows == 0:
        raise UserError(
            "the table has no rows",
            kind=ErrorKind.MISSING,
            where=where,
            remedy="give a table with a row for each example",
        )
    if n_rows * n_columns > MAX_VALUES:
        raise UserError(
            f"the table has more than {MAX_VALUES:,} values, the maximum size",
            kind=ErrorKind.TOO_LARGE,
            where=where,
            found=f"{n_rows:,} rows of {n_columns:,} columns",
            remedy="give a sample of the rows",
        )


def check_names(names: Sequence[str], where: str) -> None:
    """Raise UserError if two columns have the same name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(
            "two columns have the same name",
            kind=ErrorKind.AMBIGUOUS,
            where=where,
            found=", ".join(repr(name) for name in twice[:10]),
            remedy="rename one of them",
        )


def plain_column(name: str, values: NDArray[Any], where: str) -> Column:
    """A numpy array as a column of a :class:`Table`: float64, bool, or objects that are ``str``.

    Raises:
        UserError: not one number or text per row.
    """
    if values.ndim == 1 and values.dtype.kind == "b":
        return np.asarray(values, np.bool_)
    if values.ndim == 1 and values.dtype.kind in "iuf":
        return np.asarray(values, np.float64)
    if values.ndim == 1 and values.dtype.kind in "US":
        texts = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
        return np.asarray(texts.tolist(), dtype=object)
    if values.ndim == 1 and values.dtype.kind == "O" and all(isinstance(value, str) for value in values):
        return values
    raise UserError(
        "a column contains neither numbers nor text",
        where=f"{where}: column {name!r}",
        found=f"shape {values.shape}, dtype {values.dtype}",
        remedy="give one number per row and column, or skip the column (ignore)",
    )


def unreadable(what: str, where: str, error: BaseException) -> UserError:
    """The error of a file that is no readable ``what``, with the first line of the reader's error."""
    words = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return UserError(f"not a readable {what}", kind=ErrorKind.WRONG_FORMAT, where=where, found=words)


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names for a message."""
    texts = list(names)
    return ", ".join(texts[:most]) + (f", ... ({len(texts)} in all)" if len(texts) > most else "")
