"""Timing summaries of Vivado (``report_timing_summary``) and the export summary of HLS."""

from __future__ import annotations

import re
from pathlib import Path

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.reports.files import count, number, read_lines, read_text, required
from hwnas_hls.hls4ml.reports.reports import Export, Resources, Timing
from hwnas_hls.hls4ml.reports.vivado import read_head

_CLOCK = re.compile(r"\s*(\S+)\s+\{([\d.\s]+)\}\s+([\d.]+)\s+([\d.]+)\s*")
_EXPORT = re.compile(r"\s*(SLICE|CLB|LUT|FF|DSP|BRAM|URAM)\s*:\s*(\d+)\s*")


def read_timing(path: Path | str) -> Timing:
    """Read a timing summary: the worst slack, its clock, and the achievable period.

    Raises:
        ReportError: not readable, or the summary row is missing.
    """
    path = Path(path)
    lines = read_lines(path)
    head = read_head(lines)
    columns = _slack_row(lines, "WNS(ns)", path)
    if columns is None:
        raise ReportError(
            f"{path}: not a timing summary: has no row under WNS(ns)", kind=ErrorKind.WRONG_FORMAT
        )
    wns, tns, whs = (number(columns.get(name), f"{path}: {name}", least=None) for name in _SLACKS)
    clock, period = _worst_clock(lines, wns, path)
    achieved = None if wns is None or period is None else period - wns
    if achieved is not None and achieved <= 0:
        raise ReportError(
            f"{path}: a slack of {wns} ns is impossible at a period of {period} ns", kind=ErrorKind.INVALID
        )
    return Timing(
        path=path,
        tool="vivado",
        version=head.version,
        part=head.device,
        top=head.design,
        # the header of a timing summary has the state of the design only since 2021
        state=head.state or ("Routed" if "route" in f"{path.name} {head.command}".lower() else ""),
        stage="post_route" if "rout" in f"{head.state} {path.name} {head.command}".lower() else "logic_synth",
        wns_ns=wns,
        tns_ns=tns,
        whs_ns=whs,
        clock=clock,
        period_ns=period,
        achieved_ns=achieved,
    )


_SLACKS = ("WNS(ns)", "TNS(ns)", "WHS(ns)")


def _slack_row(lines: list[str], first: str, path: Path) -> dict[str, str] | None:
    """The row of the design, after a header line that begins with ``first`` and a line of dashes."""
    for position, line in enumerate(lines):
        if not line.strip().startswith(first):
            continue
        below = [other for other in lines[position + 1 : position + 5] if other.strip()]
        if len(below) < 2 or set(below[0].strip()) > {"-", " "}:
            continue
        names = re.split(r"\s{2,}", line.strip())
        cells = below[1].split()
        if len(cells) < len(names):
            raise ReportError(f"{path}: the row under {first} is truncated")
        return dict(zip(names, cells, strict=False))
    return None


def _worst_clock(lines: list[str], wns: float | None, path: Path) -> tuple[str, float | None]:
    periods: dict[str, float] = {}
    for line in lines:
        match = _CLOCK.fullmatch(line[:400])
        if match is not None:
            period = number(match[3], f"{path}: period of {match[1]}")
            if period:
                periods.setdefault(match[1], period)
    if not periods:
        return "", None
    if len(periods) == 1:
        return next(iter(periods.items()))
    # several clocks: the one whose slack (table of intra-clock paths) equals the design's
    start = next((at for at, line in enumerate(lines) if "Intra Clock Table" in line), len(lines))
    for line in lines[start : start + 200]:
        cells = line.split()
        if len(cells) > 1 and cells[0] in periods:
            slack = (
                number(cells[1], f"{path}: slack of {cells[0]}", least=None) if _numeric(cells[1]) else None
            )
            if slack is not None and slack == wns:
                return cells[0], periods[cells[0]]
    return "", None


def _numeric(text: str) -> bool:
    return re.fullmatch(r"-?\d+\.?\d*", text) is not None


def read_export(path: Path | str) -> Export:
    """Read the summary that HLS writes after running Vivado: ``*_export.rpt`` (``export_design -flow``).

    Its BRAM is in units of 18 kbit: 2 x RAMB36 + RAMB18.

    Raises:
        ReportError: not readable, or the resources are missing.
    """
    path = Path(path)
    text = read_text(path)
    title = re.search(r"Post-(Implementation|Synthesis) Resource usage", text, re.IGNORECASE)
    if title is None:
        raise ReportError(
            f"{path}: not an export summary: has no 'Resource usage'", kind=ErrorKind.WRONG_FORMAT
        )
    version = re.search(r"Implementation tool:\s*Xilinx Vivado v\.(\d{4}\.\d)", text)
    part = re.search(r"Device target:\s*(\S{1,60})", text)
    counts: dict[str, int | None] = {}
    for line in text[title.end() :].splitlines()[1:30]:
        if line.startswith("#==="):
            break
        match = _EXPORT.fullmatch(line[:200])
        if match is not None:
            counts[match[1]] = count(match[2], f"{path}: {match[1]}")
    for name in ("LUT", "FF", "DSP"):
        required(counts.get(name), f"{name} in its resource usage", path)
    post = title[1].lower().startswith("impl")

    def period(name: str) -> float | None:
        match = re.search(rf"CP {name}\s*:\s*(\S{{1,30}})", text)
        return number(match[1], f"{path}: CP {name}") if match else None

    return Export(
        path=path,
        tool="vivado",
        version=version[1] if version else "",
        part=part[1] if part else "",
        stage="post_route" if post else "logic_synth",
        used=Resources(counts["LUT"], counts["FF"], counts["DSP"], counts.get("BRAM"), counts.get("URAM")),
        clock_target_ns=period("required"),
        achieved_ns=period("achieved post-implementation") if post else period("achieved post-synthesis"),
    )
