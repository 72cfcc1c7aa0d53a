"""Reads CSV files and detects delimiter, header, decimal sign and encoding; every decision is reported."""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls_plugins.tasks.file_task.arrow import to_column
from hwnas_hls_plugins.tasks.file_task.examples import LABEL_NAMES
from hwnas_hls_plugins.tasks.file_task.table import (
    MAX_FILE_BYTES,
    Column,
    Table,
    check_file,
    check_names,
    check_size,
)

#: Delimiters to detect, the most likely first; a comma may also be a decimal sign.
DELIMITERS = ("\t", ";", "|", ",", " ")
#: Fields that mean a missing number, and therefore are not column names.
_MISSING = ("", "?", "-", ".", "na", "n/a", "nan", "null", "none")
_SAMPLE_BYTES = 1 << 18
_SAMPLE_LINES = 60
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*")


def read_csv(
    path: Path,
    delimiter: str = "",
    header: str = "auto",
    decimal: str = "auto",
    encoding: str = "",
    ignore: Sequence[str] = (),
) -> Table:
    """All columns of a CSV file, except a row index written by pandas.

    Args:
        delimiter: one character; empty means that tab, semicolon, bar, comma or space is detected.
        header: ``yes``, ``no``, or ``auto``: the first line is a header unless it looks like data.
        decimal: ``.`` or ``,``; ``auto`` takes a comma if numbers are written with one.
        encoding: of the text; empty means UTF-8, or UTF-16 if the file begins with its byte order mark.
        ignore: columns to skip.

    Raises:
        UserError: not a readable table; the message names the line or column.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    check_file(path)
    where = str(path)
    text, encoding = _sample(path, where, encoding)
    lines = text.splitlines()
    filled = [number for number, line in enumerate(lines) if line.strip()]
    comments, filled = _without_comments(lines, filled)
    if not filled:
        raise UserError("the data file contains only white space", kind=ErrorKind.MISSING, where=where)
    if len(text) >= _SAMPLE_BYTES // 4 and len(filled) == 1:
        raise UserError("not a table: its first line does not end", kind=ErrorKind.WRONG_FORMAT, where=where)
    sample = [lines[number] for number in filled[:_SAMPLE_LINES]]
    delimiter = delimiter or _delimiter(sample, where)
    rows = list(csv.reader(sample, delimiter=delimiter))
    if max(map(len, rows), default=0) == 1:
        raise _one_column(sample, where)
    remarks = []
    if decimal == "auto":
        decimal = _decimal(rows, delimiter)
        remarks += ["numbers with a decimal comma"] if decimal == "," else []
    heading = None if header == "no" else _heading(comments, delimiter, len(rows[0]))
    if heading is not None:
        remarks.append("header from a line of comment (#)")
    elif comments:
        remarks.append(f"{len(comments)} lines of comment (#) skipped")
    named = heading is None and (header == "yes" or (header == "auto" and _has_header(rows, decimal)))
    names = [name.strip() for name in rows[0]] if named else [f"column_{n}" for n in range(len(rows[0]))]
    names = heading or names
    unnamed = {place for place, name in enumerate(names) if not name}
    names = [name or f"column_{place}" for place, name in enumerate(names)]
    check_names(names, where)
    try:
        table = pc.read_csv(
            path,
            # One thread, because only then does the message for a bad row contain its number.
            pc.ReadOptions(
                use_threads=False,
                encoding=encoding,
                column_names=names,
                skip_rows=filled[0] + named,
            ),
            pc.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pc.ConvertOptions(
                decimal_point=decimal, include_columns=[name for name in names if name not in ignore]
            ),
        )
    except (pa.ArrowException, OSError, UnicodeError, MemoryError) as error:
        raise UserError(
            "not a readable CSV table",
            kind=ErrorKind.WRONG_FORMAT,
            where=where,
            found=(str(error).splitlines() or [type(error).__name__])[0][:300],
            remedy=f"fields are separated by {delimiter!r}; set delimiter if that is wrong",
        ) from error
    check_size(table.num_rows, max(1, table.num_columns), where)
    columns = {name: to_column(name, table.column(name), where) for name in table.column_names}
    for place in sorted(unnamed):
        values = columns.get(names[place])
        if values is not None and values.dtype == np.float64 and _is_no_data(values):
            del columns[names[place]]
            remarks.append(f"unnamed column {place} skipped (a row index, or empty)")
    return Table(where, columns, named or heading is not None, tuple(remarks))


def _without_comments(lines: Sequence[str], filled: Sequence[int]) -> tuple[list[str], list[int]]:
    """(Lines of comment at the top without ``#``, numbers of the other filled lines).

    A single line that begins with ``#`` directly above data may be a header of that name, such as ``#``
    for a row index; :func:`_heading` decides.
    """
    comments: list[str] = []
    for place, number in enumerate(filled):
        if not lines[number].lstrip().startswith("#"):
            return comments, list(filled[place:])
        comments.append(lines[number].lstrip().lstrip("#").strip())
    return comments, []


def _heading(comments: Sequence[str], delimiter: str, width: int) -> list[str] | None:
    """Column names in the last line of comment, as ``numpy.savetxt`` writes them."""
    if not comments:
        return None
    for sign in (delimiter, ",", None):
        row = comments[-1].split(sign) if sign is None else next(csv.reader([comments[-1]], delimiter=sign))
        names = [name.strip() for name in row]
        names[:1] = [names[0] or "#"] if names else []  # a column of that name
        if len(names) == width and all(names) and not any(_number(name, ".") is not None for name in names):
            return names
    return None


def _decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    """``,`` if some numbers are written with a decimal comma and none with a point."""
    if delimiter == ",":
        return "."
    fields = [field for row in rows for field in row]
    commas = any(_DECIMAL_COMMA.fullmatch(field) for field in fields)
    points = any("." in field and _number(field, ".") is not None for field in fields)
    return "," if commas and not points else "."


def _sample(path: Path, where: str, encoding: str) -> tuple[str, str]:
    """(The first lines as text, the encoding of the file)."""
    try:
        if path.suffix.lower() == ".gz":
            _check_unpacked(path, where)
            with gzip.open(path, "rb") as packed:
                raw = packed.read(_SAMPLE_BYTES)
        else:
            with path.open("rb") as file:
                raw = file.read(_SAMPLE_BYTES)
    except (EOFError, zlib.error) as error:
        raise UserError(
            "the gzip file is damaged or incomplete",
            kind=ErrorKind.DAMAGED,
            where=where,
            found=str(error)[:300],
        ) from error
    except gzip.BadGzipFile as error:
        raise UserError(
            "not a gzip file", kind=ErrorKind.WRONG_FORMAT, where=where, found=str(error)[:300]
        ) from error
    if not encoding:
        utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "utf-16" if utf16 else "utf8"
    if encoding == "utf8" and b"\0" in raw:
        raise UserError(
            "not a CSV table: the file is binary",
            kind=ErrorKind.WRONG_FORMAT,
            where=where,
            remedy="give a .csv, .npz or .parquet file; a CSV file in UTF-16 needs encoding = 'utf-16'",
        )
    try:
        decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf8" else encoding)()
        return decoder.decode(raw, final=len(raw) < _SAMPLE_BYTES), encoding
    except LookupError as error:
        raise UserError(
            "unknown text encoding", where=where, found=encoding, choices=["utf-8", "latin-1", "utf-16"]
        ) from error
    except UnicodeError as error:
        raise UserError(
            f"the file is not text in {encoding}",
            kind=ErrorKind.WRONG_FORMAT,
            where=where,
            found=error,
            remedy="save it as UTF-8, or name its encoding: encoding = 'latin-1'",
        ) from error


def _check_unpacked(path: Path, where: str) -> None:
    """Raise UserError if a gzip file unpacks to more than :data:`MAX_FILE_BYTES`."""
    size = 0
    with gzip.open(path, "rb") as packed:
        while block := packed.read(1 << 22):
            size += len(block)
            if size > MAX_FILE_BYTES:
                raise UserError(
                    f"the data file unpacks to more than {MAX_FILE_BYTES / 1e9:.0f} GB, the maximum size",
                    kind=ErrorKind.TOO_LARGE,
                    where=where,
                    remedy="give a sample of the rows",
                )


def _one_column(lines: Sequence[str], where: str) -> UserError:
    return UserError(
        "the table has only one column; features and a label are required",
        kind=ErrorKind.TOO_FEW,
        where=where,
        found=f"first line {lines[0][:80]!r}",
    )


def _delimiter(lines: Sequence[str], where: str) -> str:
    """The delimiter that splits every line, or at least most, into the same number of fields."""
    found = []
    likely = ""
    for delimiter in DELIMITERS:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        if widths and min(widths) == max(widths) > 1:
            return delimiter
        usual, count = Counter(widths).most_common(1)[0] if widths else (0, 0)
        if usual > 1 and 2 * count > len(widths) and not likely:
            likely = delimiter  # a few lines are off: the reader will name the first of them
        found.append(f"{delimiter!r}: {min(widths, default=0)} to {max(widths, default=0)}")
    if all(len(line.split()) == 1 for line in lines) and all("," not in line for line in lines):
        raise _one_column(lines, where)
    if likely:
        return likely
    raise UserError(
        "no delimiter splits every line into the same number of fields",
        kind=ErrorKind.WRONG_FORMAT,
        where=where,
        found=f"fields per line by delimiter: {', '.join(found)}",
        remedy="every line needs the same number of fields; if they are separated by something else, set "
        "delimiter",
    )


def _number(field: str, decimal: str) -> float | None:
    try:
        return float(field.strip().replace(decimal, "."))
    except ValueError:
        return None


def _has_header(rows: Sequence[Sequence[str]], decimal: str) -> bool:
    """Whether the first row names columns.

    It does if none of its fields is a number, if one is a common name of a label, if a text field is
    above numbers, or if its numbers only count the columns (0, 1, 2, ... or 1, 2, 3, ...).
    """
    first = [_number(field, decimal) for field in rows[0]]
    numbers = [number for number in first if number is not None]
    if not numbers or any(field.strip().lower() in LABEL_NAMES for field in rows[0]):
        return True
    if any(number != round(number) for number in numbers if np.isfinite(number)):
        return False  # no column is called 5.1
    if len(numbers) > 3 and numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1))):
        return len(rows) < 2 or [_number(field, decimal) for field in rows[1]] != first
    for place, number in enumerate(first):
        below = [row[place] for row in rows[1:] if place < len(row) and row[place].strip()]
        texts = number is None and rows[0][place].strip().lower() not in _MISSING
        if texts and below and all(_number(field, decimal) is not None for field in below):
            return True
    return False


def _is_no_data(values: Column) -> bool:
    """Whether an unnamed column is empty or only counts the rows."""
    counts = np.arange(len(values))
    return bool(np.isnan(values).all() or (values == counts).all() or (values == counts + 1).all())
