"""Reads ``report_utilization``, flat and hierarchical, for 7-series, UltraScale(+) and Versal."""

from __future__ import annotations

import re
from pathlib import Path

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.reports.files import count, read_lines, required
from hwnas_hls.hls4ml.reports.reports import Module, Resources, Utilisation
from hwnas_hls.hls4ml.reports.tables import Table, tables
from hwnas_hls.hls4ml.reports.vivado import Head, read_head

#: Rows of the flat report; the asterisk of a footnote is removed.
_LUT = ("CLB LUTs", "Slice LUTs", "LUTs")
_FF = ("CLB Registers", "Slice Registers", "Registers")
_DSP = ("DSPs", "DSP Slices", "DSP48E1", "DSP48E2")
_HALVES = re.compile(r"(\d+)(?:\.(\d))?")
_SHARE = re.compile(r"(\d+(?:\.\d)?)\s*(?:\(\s*<?\s*\d*\.?\d*\s*%\s*\))?")


def read_utilisation(path: Path | str) -> Utilisation:
    """Read a utilisation report of Vivado, for example hls4ml's ``vivado_synth.rpt`` and ``util.rpt``.

    Block RAM is counted in units of 18 kbit: 2 x RAMB36 + RAMB18; if only tiles are given, 2 x tiles (a
    single RAMB18 is half a tile).

    Raises:
        ReportError: not readable, or LUTs, registers, block RAM or DSPs are missing.
    """
    path = Path(path)
    lines = read_lines(path)
    head = read_head(lines)
    drawn = list(tables(lines))
    hierarchy = next((table for table in drawn if _is_hierarchy(table)), None)
    sites = {} if hierarchy is not None and len(drawn) == 1 else _sites(drawn, path)
    if _first(sites, _LUT) is not None:
        return _flat(path, head, sites, hierarchy)
    if hierarchy is not None:
        return _hierarchical(path, head, hierarchy)
    raise ReportError(
        f"{path}: not a utilisation report: has no row {' or '.join(_LUT[:2])}", kind=ErrorKind.WRONG_FORMAT
    )


def _sites(drawn: list[Table], path: Path) -> dict[str, tuple[int | None, int | None]]:
    """Row name -> (twice the used count, twice the available count); the first row of a name counts."""
    sites: dict[str, tuple[int | None, int | None]] = {}
    for table in drawn:
        names = table.header
        kind = next((name for name in ("Site Type", "Ref Name") if name in names), None)
        if kind != "Site Type" or "Used" not in names:
            continue
        used = names.index("Used")
        available = names.index("Available") if "Available" in names else None
        for row in table.rows:
            if len(row) <= used:
                raise ReportError(f"{path}: a row of the site table is truncated")
            name = row[0].strip().rstrip("*").strip()
            there = row[available] if available is not None and len(row) > available else None
            sites.setdefault(name, (_halves(row[used], f"{path}: {name}"), _halves(there, f"{path}: {name}")))
    return sites


def _halves(text: str | None, where: str) -> int | None:
    """Twice the value of a count, which may end in ``.5``."""
    if text is None:
        return None
    match = _HALVES.fullmatch(text.strip())
    if match is None:
        whole = count(text, where)
        return None if whole is None else 2 * whole
    if match[2] not in (None, "0", "5"):
        raise ReportError(f"{where}: not a count of whole or half blocks: {text.strip()[:40]!r}")
    whole = count(match[1], where)
    return None if whole is None else 2 * whole + (match[2] == "5")


def _first(sites: dict[str, tuple[int | None, int | None]], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in sites), None)


def _flat(
    path: Path, head: Head, sites: dict[str, tuple[int | None, int | None]], hierarchy: Table | None
) -> Utilisation:
    def whole(names: tuple[str, ...], column: int) -> int | None:
        name = _first(sites, names)
        value = None if name is None else sites[name][column]
        if value is not None and value % 2:
            raise ReportError(f"{path}: {name}: not an integer")
        return None if value is None else value // 2

    lut = required(whole(_LUT, 0), "row of LUTs", path)
    ff = required(whole(_FF, 0), f"row {' or '.join(_FF[:2])}", path)
    dsp = required(whole(_DSP, 0), "row DSPs", path)
    ramb36 = whole(("RAMB36/FIFO", "RAMB36"), 0)
    ramb18 = whole(("RAMB18",), 0)
    tiles, tiles_there = sites.get("Block RAM Tile", (None, None))
    if ramb36 is not None and ramb18 is not None:
        bram = 2 * ramb36 + ramb18
    else:
        bram = required(tiles, "row 'Block RAM Tile' nor RAMB36 and RAMB18", path)
    rows = _hierarchy_rows(hierarchy, path)[1:] if hierarchy is not None else []
    return Utilisation(
        path=path,
        tool="vivado",
        version=head.version,
        part=head.device,
        top=head.design,
        state=head.state,
        stage=head.stage,
        used=Resources(lut, ff, dsp, bram, whole(("URAM",), 0)),
        available=Resources(whole(_LUT, 1), whole(_FF, 1), whole(_DSP, 1), tiles_there, whole(("URAM",), 1)),
        lutram=whole(("LUT as Distributed RAM",), 0),
        srl=whole(("LUT as Shift Register",), 0),
        carry=whole(("CARRY8", "CARRY4", "LOOKAHEAD8"), 0),
        ramb36=ramb36,
        ramb18=ramb18,
        modules=tuple(rows),
    )


def _is_hierarchy(table: Table) -> bool:
    return {"Instance", "Module", "FFs"} <= set(table.header)


def _hierarchy_rows(table: Table, path: Path) -> list[Module]:
    return [module for module, _ in _hierarchy_cells(table, path)]


def _hierarchy_cells(table: Table, path: Path) -> list[tuple[Module, dict[str, int | None]]]:
    out = []
    for row in table.rows:
        if len(row) < len(table.header):
            raise ReportError(f"{path}: a row of the hierarchy is truncated")
        cells = dict(zip(table.header, row, strict=False))

        def of(*names: str, cells: dict[str, str] = cells) -> int | None:
            name = next((name for name in names if name in cells), None)
            if name is None:
                return None
            match = _SHARE.fullmatch(cells[name].strip())
            return count(match[1] if match else cells[name], f"{path}: {name}")

        ramb36, ramb18 = of("RAMB36"), of("RAMB18")
        bram = None if ramb36 is None or ramb18 is None else 2 * ramb36 + ramb18
        used = Resources(
            of("Total LUTs", "LUTs"),
            of("FFs"),
            of("DSP Blocks", "DSP48 Blocks", "DSP Slices"),
            bram,
            of("URAM"),
        )
        module = Module(cells["Module"].strip(), used, instance=cells["Instance"].strip())
        rest = {"lutram": of("LUTRAMs"), "srl": of("SRLs"), "ramb36": ramb36, "ramb18": ramb18}
        out.append((module, rest))
    return out


def _hierarchical(path: Path, head: Head, table: Table) -> Utilisation:
    rows = _hierarchy_cells(table, path)
    if not rows:
        raise ReportError(f"{path}: the hierarchy has no row")
    top, rest = rows[0]
    for name in ("lut", "ff", "dsp", "bram_18k"):
        required(getattr(top.used, name), f"column of {name} in the hierarchy", path)
    return Utilisation(
        path=path,
        tool="vivado",
        version=head.version,
        part=head.device,
        # Of a part of the design (``-cells``), the head still names the whole.
        top=top.instance or head.design,
        state=head.state,
        stage=head.stage,
        used=top.used,
        available=Resources(),
        modules=tuple(module for module, _ in rows[1:]),
        **rest,
    )
