"""The exporter ``csv``: the whole search as a table for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.system.files import write_text
from hwnas_hls.views import frames

if TYPE_CHECKING:
    from hwnas_hls.protocols.exporter import Front

#: A spreadsheet takes a text that begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class CsvExporter(Exporter):
    """Writes ``candidates.csv`` (every candidate judged) and ``designs.csv`` (the front's designs).

    Each metric has five columns: its value, the ends of its interval, its source and what it rests
    on. What is not known is empty; an open end of an interval is ``inf`` or ``-inf``. Texts that a
    spreadsheet would take for a formula begin with an apostrophe.
    """

    name = "csv"

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write both files, each whole or not at all."""
        return [
            write_text(folder / "candidates.csv", _text(*frames.record_rows(front))),
            write_text(folder / "designs.csv", _text(*frames.member_rows(front))),
        ]


def _text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(column) for column in columns])
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """``repr`` of numbers, so that reading gives the same bits back."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        text = value.replace("\x00", "")
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value
