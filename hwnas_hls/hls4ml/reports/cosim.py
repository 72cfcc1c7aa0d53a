"""Co-simulation reports: ``*_cosim.rpt``."""

from __future__ import annotations

import re
from pathlib import Path

from hwnas_hls.errors import ReportError
from hwnas_hls.hls4ml.reports.files import count, read_lines
from hwnas_hls.hls4ml.reports.reports import Cosim

_TITLE = re.compile(r"==\s*(Vivado HLS|Vitis HLS|Vitis_HLS|Cosim\w*)[^']*'([^']*)'")
_ROW = re.compile(r"\s*\|\s*(VHDL|Verilog|SystemC)\s*\|(.*)\|\s*", re.IGNORECASE)


def read_cosim(path: Path | str) -> Cosim:
    """Read a co-simulation report.

    The row of a simulated language is used, preferably one that passed. If all rows are NA, ``rtl`` is
    empty and ``status`` is NA.

    Raises:
        ReportError: not readable, or no row for Verilog or VHDL.
    """
    path = Path(path)
    lines = read_lines(path)
    title = next((found for line in lines[:30] if (found := _TITLE.search(line))), None)
    rows = []
    for line in lines:
        match = _ROW.fullmatch(line[:2000])
        if match is not None:
            rows.append((match[1], [cell.strip() for cell in match[2].split("|")]))
    if not rows:
        raise ReportError(f"{path}: not a co-simulation report: has no row for Verilog or VHDL")
    simulated = [row for row in rows if row[1][0].upper() not in ("NA", "")]
    passed = [row for row in simulated if row[1][0].lower() == "pass"]
    top = title[2] if title else path.stem.removesuffix("_cosim")
    tool = "vivado_hls" if title and title[1] == "Vivado HLS" else "vitis_hls" if title else ""
    if not simulated:
        return Cosim(path, "", "NA", top, tool, None, None, None, None, None, None)
    rtl, (status, *cells) = (passed or simulated)[0]
    # 2016.4 to 2025.2: latency min avg max, interval min avg max; from 2021 the total time too
    if len(cells) < 6:
        raise ReportError(
            f"{path}: the row of {rtl} has {len(cells)} numbers, not the 6 of latency and interval"
        )
    names = ("latency min", "latency avg", "latency max", "interval min", "interval avg", "interval max")
    numbers = [count(cell, f"{path}: {rtl} {name}") for cell, name in zip(cells, names, strict=False)]
    return Cosim(path, "VHDL" if rtl.lower() == "vhdl" else rtl, status, top, tool, *numbers)
