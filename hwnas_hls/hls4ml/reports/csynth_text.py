"""The text form of a C-synthesis report: ``*_csynth.rpt`` and the overview ``csynth.rpt``."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from pathlib import Path

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.reports.files import count, is_width, nanoseconds, required
from hwnas_hls.hls4ml.reports.reports import Csynth, Module, Port, Resources
from hwnas_hls.hls4ml.reports.tables import Table, tables

_TITLE = re.compile(r"==\s*(Vivado HLS|Vitis HLS|Synthesis Summary) Report (?:for|of) '([^']*)'")
_FIELD = re.compile(r"\*\s*(Version|Target device|Product family|Solution)\s*:\s*(.*)")
_CELL_COUNT = re.compile(r"(\d+)\s*(?:\(.*\))?")
_COLUMNS = {
    "lut": ("LUT", "LUTs"),
    "ff": ("FF", "FFs"),
    "dsp": ("DSP", "DSP48E", "DSPs", "DSP58"),
    "bram_18k": ("BRAM_18K", "BRAM"),
    "uram": ("URAM",),
}
#: Columns of name, width and protocol, in the report of a function and in the overview.
_PORT_COLUMNS = (("RTL Ports", "Bits", "Protocol"), ("Interface", "Bitwidth", "Mode"))


def csynth_from_lines(lines: list[str], path: Path) -> Csynth:
    """See :func:`hwnas_hls.hls4ml.reports.csynth.read_csynth`."""
    title = next((found for line in lines[:60] if (found := _TITLE.search(line))), None)
    if title is None:
        raise ReportError(
            f"{path}: not a C-synthesis report: has no title line of Vivado HLS or Vitis HLS",
            kind=ErrorKind.WRONG_FORMAT,
        )
    fields = _fields(lines)
    drawn = list(tables(lines))
    version = re.match(r"\d{4}\.\d", fields.get("Version", ""))
    common = {
        "path": path,
        "version": version[0] if version else "",
        "part": required(fields.get("Target device") or None, "'Target device'", path),
        "family": fields.get("Product family", ""),
        "top": title[2],
    }
    if title[1] == "Synthesis Summary":
        return _overview(common, drawn, path)
    clock = _table(drawn, ("Clock", "Target", "Estimated"), "table of timing", path)
    clocks = _row(clock, path)
    latency = next((table for table in drawn if _is_latency(table)), None)
    latency = required(latency, "table of latency", path)
    cycles = _latency_cycles(latency, path)
    area = next((table for table in drawn if _is_area(table) and _names(table)[0] == "Name"), None)
    area = required(area, "table of utilisation estimates", path)
    used = _resources(area, _named(area, "Total", path), path)
    for name in ("lut", "ff", "dsp", "bram_18k"):
        required(getattr(used, name), f"column of {name} in the utilisation estimates", path)
    available = next((row for row in area.rows if row and row[0].strip() == "Available"), None)
    return Csynth(
        tool="vitis_hls" if title[1] == "Vitis HLS" else "vivado_hls",
        clock_target_ns=required(
            nanoseconds(clocks.get("Target"), f"{path}: Target"), "target clock period", path
        ),
        clock_estimated_ns=nanoseconds(clocks.get("Estimated"), f"{path}: Estimated"),
        clock_uncertainty_ns=nanoseconds(clocks.get("Uncertainty"), f"{path}: Uncertainty"),
        used=used,
        available=_resources(area, available, path) if available else Resources(),
        modules=_instances(drawn, path),
        ports=_ports(drawn),
        **common,  # type: ignore[arg-type]
        **cycles,  # type: ignore[arg-type]
    )


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines[:80]:
        match = _FIELD.search(line)
        if match is not None:
            fields.setdefault(match[1], match[2].strip()[:200])
    return fields


def _names(table: Table) -> tuple[str, ...]:
    return table.header or ("",)


def _table(drawn: list[Table], columns: tuple[str, ...], what: str, path: Path) -> Table:
    found = next((table for table in drawn if set(columns) <= set(_names(table))), None)
    return required(found, what, path)


def _row(table: Table, path: Path) -> dict[str, str]:
    if not table.rows:
        raise ReportError(f"{path}: the table with {', '.join(table.header)} has no row")
    return dict(zip(table.header, table.rows[0], strict=False))


def _is_latency(table: Table) -> bool:
    top = " ".join(table.blocks[0][0]) if table.blocks and table.blocks[0] else ""
    names = _names(table)
    return "Latency" in top and "Interval" in top and names.count("min") >= 2 and "Instance" not in names


def _is_area(table: Table) -> bool:
    names = set(_names(table))
    return bool(names & set(_COLUMNS["lut"])) and bool(names & set(_COLUMNS["ff"]))


def _latency_cycles(table: Table, path: Path) -> dict[str, object]:
    if not table.rows:
        raise ReportError(f"{path}: the table of latency has no row")
    return _cycles_of(table, table.rows[0], path)


def _cycles_of(table: Table, row: tuple[str, ...], path: Path) -> dict[str, object]:
    """The min and max columns: latency (cycles), optionally latency (time), interval."""
    lows = [number for number, name in enumerate(table.header) if name == "min"]
    if len(lows) < 2 or len(row) < len(table.header):
        raise ReportError(f"{path}: a row of the table of latency lacks cells")

    def of(column: int, what: str) -> int | None:
        return count(row[column], f"{path}: {what}")

    return {
        "latency_min": of(lows[0], "latency min"),
        "latency_max": of(lows[0] + 1, "latency max"),
        "ii_min": of(lows[-1], "interval min"),
        "ii_max": of(lows[-1] + 1, "interval max"),
        "pipeline": row[lows[-1] + 2].strip() if len(row) > lows[-1] + 2 else "",
    }


def _named(table: Table, name: str, path: Path) -> tuple[str, ...]:
    row = next((row for row in table.rows if row and row[0].strip() == name), None)
    return required(row, f"row {name} in the utilisation estimates", path)


def _resources(table: Table, row: tuple[str, ...], path: Path) -> Resources:
    values: dict[str, int | None] = {}
    cells = dict(zip(table.header, row, strict=False))
    for name, columns in _COLUMNS.items():
        cell = next((cells[column] for column in columns if column in cells), None)
        values[name] = _cell(cell, f"{path}: {name}")
    return Resources(**values)


def _cell(text: str | None, where: str) -> int | None:
    """``123``, ``-``, ``123 (4%)`` -> count."""
    if text is None:
        return None
    match = _CELL_COUNT.fullmatch(text.strip())
    return count(match[1] if match else text, where)


def _instances(drawn: list[Table], path: Path) -> tuple[Module, ...]:
    """The instances: cycles from one table, resources from another, joined by instance."""
    cycles: dict[str, dict[str, object]] = {}
    modules: list[Module] = []
    for table in drawn:
        names = _names(table)
        if not {"Instance", "Module"} <= set(names):
            continue
        instance, module = names.index("Instance"), names.index("Module")
        for row in table.rows:
            if len(row) <= max(instance, module) or row[instance].strip() in ("Total", ""):
                continue
            if names.count("min") >= 2:
                cycles[row[instance].strip()] = _cycles_of(table, row, path)
            elif _is_area(table) and row[module].strip():
                key = row[instance].strip()
                modules.append(
                    Module(
                        name=row[module].strip(),
                        instance=key,
                        used=_resources(table, row, path),
                        **cycles.get(key, {}),  # type: ignore[arg-type]
                    )
                )
    return tuple(modules)


def _ports(drawn: list[Table]) -> tuple[Port, ...]:
    """The rows of the table of ports."""
    for columns in _PORT_COLUMNS:
        for table in drawn:
            if not set(columns) <= set(table.header):
                continue
            places = [table.header.index(column) for column in columns]
            rows = [[row[at].strip() for at in places] for row in table.rows if len(row) > max(places)]
            return tuple(Port(name, int(bits), kind) for name, bits, kind in rows if name and is_width(bits))
    return ()


def _overview(common: dict[str, object], drawn: list[Table], path: Path) -> Csynth:
    """Vitis HLS's ``csynth.rpt``: one table of all modules and loops, usually without the clock."""
    table = next((t for t in drawn if _is_area(t) and "& Loops" in " ".join(t.header)), None)
    table = required(table, "table of modules and loops", path)
    rows = []
    for row in table.rows:
        cells = dict(zip(table.header, row, strict=False))
        label = row[0].strip() if row else ""
        if not label.startswith(("+", "*")):
            continue
        latency = _overview_count(cells.get("(cycles)"), path)
        interval = _overview_count(cells.get("Interval"), path)
        rows.append(
            Module(
                name=label.lstrip("+* ").strip(),
                used=_without_dashes(table, _resources(table, row, path)),
                latency_min=latency,
                latency_max=latency,
                ii_min=interval,
                ii_max=interval,
                pipeline=cells.get("Pipelined", "").strip(),
            )
        )
    if not rows:
        raise ReportError(f"{path}: the table of modules and loops has no module")
    clock = next((t for t in drawn if {"Clock", "Target"} <= set(t.header)), None)
    clocks = _row(clock, path) if clock else {}
    target = nanoseconds(clocks.get("Target"), f"{path}: Target") if clock else _period_ns(table, path)
    if target is None:
        raise ReportError(
            f"{path}: this overview has no clock period; read the report of the top function instead",
            kind=ErrorKind.MISSING,
        )
    top = rows[0]
    return Csynth(
        tool="vitis_hls",
        clock_target_ns=target,
        clock_estimated_ns=nanoseconds(clocks.get("Estimated"), f"{path}: Estimated"),
        clock_uncertainty_ns=nanoseconds(clocks.get("Uncertainty"), f"{path}: Uncertainty"),
        latency_min=top.latency_min,
        latency_max=top.latency_max,
        ii_min=top.ii_min,
        ii_max=top.ii_max,
        pipeline=top.pipeline,
        used=top.used,
        available=Resources(),
        modules=tuple(rows[1:]),
        ports=_ports(drawn),
        **common,  # type: ignore[arg-type]
    )


def _period_ns(table: Table, path: Path) -> float | None:
    """The clock period, computed from the first row's latency in cycles and in ns.

    If the estimated period is above the target (negative slack), it is unclear which of the two it is.
    """
    cells = {name: cell.strip() for name, cell in zip(table.header, table.rows[0], strict=False)}
    cycles = _overview_count(cells.get("(cycles)"), path)
    try:
        latency_ns, slack_ns = float(cells["(ns)"]), float(cells["Slack"])
        last_digit_ns = 10.0 ** int(Decimal(cells["(ns)"]).as_tuple().exponent)
    except (KeyError, ValueError, ArithmeticError):
        return None
    if not cycles or slack_ns < 0 or not 0 < latency_ns < math.inf:
        return None
    # At least four digits are printed; use the period with the fewest digits that rounds to them.
    periods = [float(f"{latency_ns / cycles:.{digits}g}") for digits in range(1, 5)]
    good = (period for period in periods if abs(period * cycles - latency_ns) < 0.501 * last_digit_ns)
    return next(good, periods[-1])


def _without_dashes(table: Table, used: Resources) -> Resources:
    """Replace missing counts by 0: the overview prints ``-`` for zero."""
    there = {name for name, columns in _COLUMNS.items() if set(columns) & set(table.header)}
    return Resources(**{name: getattr(used, name) or (0 if name in there else None) for name in _COLUMNS})


def _overview_count(text: str | None, path: Path) -> int | None:
    if text is None or "~" in text:
        return None
    return count(text, f"{path}: table of modules")
