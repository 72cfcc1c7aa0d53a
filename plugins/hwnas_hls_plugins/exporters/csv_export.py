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

#: Spreadsheets interpret text with these first characters as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class CsvExporter(Exporter):
    """Writes ``candidates.csv`` (all evaluated candidates) and ``designs.csv`` (the exported designs).

    Each metric has five columns: its value, the ends of its interval, its source and its evidence.
    Unknown values are empty; an open end of an interval is ``inf`` or ``-inf``. Text that a spreadsheet
    would interpret as a formula gets a leading apostrophe.
    """

    name = "csv"

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write both files atomically."""
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
    """A cell; numbers by ``repr``, which preserves all bits."""
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
