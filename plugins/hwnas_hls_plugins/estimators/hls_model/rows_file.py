"""Predictions for a CSV of designs: one line per row, also for rows that cannot be predicted."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.hls4ml.query import Query
from hwnas_hls.protocols.target import Targets
from hwnas_hls_plugins.estimators.hls_model.batch import predict_batch
from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration, read_calibration
from hwnas_hls_plugins.estimators.hls_model.foreign_rows import delimiter_of, own_columns, own_row
from hwnas_hls_plugins.estimators.hls_model.prediction import Prediction
from hwnas_hls_plugins.estimators.hls_model.predictor import predict
from hwnas_hls_plugins.estimators.hls_model.rows import COLUMNS, query_of_row

#: Bytes of a rows file, and characters of one cell, that are read at most.
MAX_FILE_BYTES, MAX_CELL = 256 * 2**20, 1 << 20
CHUNK = 5000
#: The first line in which Excel says how a file is separated.
_SEPARATOR = re.compile(r"sep=([,;\t])\r?\n", re.IGNORECASE)
_METRICS = (
    ("latency_cycles", "latency_cycles"),
    ("ii", "ii_cycles"),
    ("lut", "lut"),
    ("ff", "ff"),
    ("dsp", "dsp"),
    ("bram18", "bram_18k"),
)
HEADER = (
    "row_id",
    *(f"{column}{end}" for column, _ in _METRICS for end in ("", "_low", "_high")),
    "latency_cycles_min",
    "read_as",
    "not_calibrated",
    "in_domain",
    "warnings",
)


def read_rows(path: Path, columns: Sequence[str] = COLUMNS) -> Iterator[dict[str, str]]:
    """Rows of a CSV file as column -> text; short rows lack their last columns.

    Args:
        columns: those that are read; the others are passed over.

    Cells are returned in the documented spelling.

    Raises:
        UserError: not readable, not text, no column that is known, too large.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UserError(
                f"a rows file of more than {MAX_FILE_BYTES >> 20} MiB",
                where=str(path),
                found=f"{size >> 20} MiB",
                remedy="split it",
                kind=ErrorKind.TOO_LARGE,
            )
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(
            "cannot read the rows file", where=str(path), found=error, kind=ErrorKind.NOT_ACCESSIBLE
        ) from error
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            "the rows file is not UTF-8 text",
            where=f"{path}, byte {error.start}",
            remedy="save it as UTF-8",
            kind=ErrorKind.WRONG_FORMAT,
        ) from error
    del raw
    if "\0" in text:
        raise UserError(
            "the rows file holds NUL characters",
            where=str(path),
            remedy="save it as plain CSV",
            kind=ErrorKind.WRONG_FORMAT,
        )
    csv.field_size_limit(MAX_CELL)
    stated = _SEPARATOR.match(text)
    delimiter = stated[1] if stated else delimiter_of(text[:MAX_CELL].partition("\n")[0])
    file = io.StringIO(text[stated.end() :] if stated else text, newline="")
    lines = csv.reader(file, delimiter=delimiter)
    try:
        header = own_columns(next(lines, []))
        if not any(name in COLUMNS for name in header):
            raise UserError(
                "the first line of the rows file names no known column",
                where=str(path),
                found=", ".join(header)[:80] or "nothing",
                choices=COLUMNS,
                kind=ErrorKind.WRONG_FORMAT,
            )
        twice = [
            name
            for name in dict.fromkeys(header)
            if name in columns and name != "row_id" and header.count(name) > 1
        ]
        if twice:
            raise UserError(
                "the rows file holds a column twice",
                where=str(path),
                found=", ".join(twice),
                remedy="keep one of each; other names of a column count as it",
                kind=ErrorKind.CONFLICT,
            )
        if "layers" not in header:
            raise UserError(
                "the rows file has no column of widths",
                where=str(path),
                found=", ".join(header)[:200],
                remedy="add a column layers with the widths of each design, for example 16-64-32-32-5",
                kind=ErrorKind.MISSING,
            )
        places = [(name, place) for place, name in enumerate(header) if name in (*columns, "notes")]
        for cells in lines:
            if cells:
                count = len(cells)
                yield own_row({name: cells[place] for name, place in places if place < count})
    except csv.Error as error:
        raise UserError(
            "the rows file is not a CSV file",
            where=f"{path}, line {lines.line_num}",
            found=error,
            kind=ErrorKind.WRONG_FORMAT,
        ) from error


def write_predictions(
    rows: Iterable[dict[str, str]],
    output: TextIO,
    weights: Path | None = None,
    calibration: Calibration | None = None,
    targets: Targets | None = None,
    unpredicted: list[str] | None = None,
    *,
    as_json: bool = False,
) -> int:
    """Predict rows and write :data:`HEADER` and a line each.

    Args:
        weights: folder that may hold ``<row_id>.npz``.
        targets: names and figures of parts; ``None`` takes the shipped target files.
        unpredicted: takes, for each row without a prediction, its number, name and reason.
        as_json: write a list with an object a row instead; what is not known is then ``null``.

    Returns:
        number of rows written.
    """
    lines = _predicted(rows, weights, calibration or read_calibration(), targets)
    # What is no table of designs is refused before anything is written.
    first = list(itertools.islice(lines, 1))
    noted = _noted(itertools.chain(first, lines), unpredicted)
    return _write_json(noted, output) if as_json else _write_csv(noted, output)


def _write_csv(lines: Iterable[list[object]], output: TextIO) -> int:
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(HEADER)
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007 (the last is the count)
        writer.writerow(line)
    return count


def _write_json(lines: Iterable[list[object]], output: TextIO) -> int:
    count = 0
    for count, line in enumerate(lines, 1):
        row = dict(zip(HEADER, (None if cell == "" else cell for cell in line), strict=True))
        row |= {"row_id": line[0], "in_domain": line[-2] == "true", "warnings": line[-1]}
        output.write(f"{',' if count > 1 else '['}\n  {json.dumps(row)}")
    output.write("\n]\n" if count else "[]\n")
    return count


def _predicted(
    rows: Iterable[dict[str, str]], weights: Path | None, calibration: Calibration, targets: Targets | None
) -> Iterator[list[object]]:
    """One line per row; thousands of rows are evaluated at once."""
    known = frozenset(path.stem for path in weights.glob("*.npz")) if weights is not None else frozenset()
    coming = iter(rows)
    while chunk := list(itertools.islice(coming, CHUNK)):
        queries = [
            query_of_row(row, weights if known and row.get("row_id", "").strip() in known else None, targets)
            for row in chunk
        ]
        yield from _lines(queries, calibration, targets)


def _noted(lines: Iterable[list[object]], unpredicted: list[str] | None) -> Iterator[list[object]]:
    """The lines, those without numbers noted."""
    for number, line in enumerate(lines, 1):
        if unpredicted is not None and line[1] == "":
            unpredicted.append(f"row {number}{f' ({line[0]})' if line[0] else ''}: {line[-1]}")
        yield line


def _lines(queries: list[Query], calibration: Calibration, targets: Targets | None) -> Iterator[list[object]]:
    batch = predict_batch(queries, calibration, targets)
    blocked = np.isnan(batch.value["lut"])
    columns = [
        np.where(blocked, 0.0, values[metric]).astype(np.int64).tolist()
        for _, metric in _METRICS
        for values in (batch.value, batch.low, batch.high)
    ]
    columns.append(np.where(blocked, 0.0, batch.earliest).astype(np.int64).tolist())
    gaps = {column: np.isnan(batch.coverage[metric]).tolist() for column, metric in _METRICS}
    solved = _solved(queries, calibration, targets)
    for number, (query, numbers) in enumerate(zip(queries, zip(*columns, strict=True), strict=True)):
        reasons = [*query.blockers, *batch.reasons[number]]
        notes = batch.warnings[number]
        bare = [column for column, gap in gaps.items() if gap[number]]
        if number in solved:
            better = solved[number]
            ranges = [better.metrics[metric] for _, metric in _METRICS]
            numbers = tuple(round(n) for r in ranges for n in (r.value, r.low, r.high))
            numbers = (*numbers, round(better.earliest_cycles or 0.0))
            reasons, notes = list(better.reasons), list(better.warnings)
            bare = [column for column, metric in _METRICS if better.metrics[metric].coverage is None]
        messages = dict.fromkeys([*reasons, *notes])
        yield [
            " ".join(query.name.split()),
            *([""] * len(numbers) if blocked[number] else numbers),
            read_as(query),
            "" if blocked[number] else " ".join(bare),
            "false" if reasons else "true",
            " ".join("; ".join(map(str, messages)).split()),  # a stray line break would be two rows
        ]


def read_as(query: Query) -> str:
    """A row's layers as they were read: widths, activations, weight types, reuse factors, strategies."""
    if not query.layers:
        return ""
    columns = (
        [layer.activation for layer in query.layers],
        [str(layer.weight) for layer in query.layers],
        [f"RF {layer.reuse_factor}" for layer in query.layers],
        [layer.strategy.lower() for layer in query.layers],
    )
    parts = [
        each[0] if len(set(each)) == 1 else ("-" if column == 0 else "; ").join(each)
        for column, each in enumerate(columns)
    ]
    return ", ".join([query.shape, *parts])


def _solved(queries: list[Query], calibration: Calibration, targets: Targets | None) -> dict[int, Prediction]:
    """Place -> prediction of the few designs that da4ml itself can judge; costs nothing without any."""
    from hwnas_hls_plugins.estimators.hls_model.da_refinement import TIME_LIMIT_S, refinable, refined

    places = [number for number, query in enumerate(queries) if refinable(query)]
    if not places:
        return {}
    first = predict([queries[number] for number in places], calibration, targets=targets)
    limit_s = max(TIME_LIMIT_S, 3.0 * len(places))
    return dict(zip(places, refined(first, limit_s), strict=True))
