"""Reads designs with reports from CSV files and project folders, for recalibrating the model."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import DEFAULT_TYPE, Query
from hwnas_hls.protocols.target import Targets, device_of
from hwnas_hls_plugins.estimators.hls_model.rows import COLUMNS, query_of_row
from hwnas_hls_plugins.estimators.hls_model.rows_file import read_rows
from hwnas_hls_plugins.estimators.hls_model.silicon import part_class, tool_of

#: Metric -> columns that may hold its measured value, the calibration's own name first.
MEASURED = {
    "latency_cycles": ("latency_cycles_max", "latency_cycles", "latency_cycles_min"),
    "ii_cycles": ("ii_min", "ii", "ii_cycles"),
    "lut": ("lut",),
    "ff": ("ff",),
    "dsp": ("dsp",),
    "bram_18k": ("bram18", "bram_18k"),
}
#: No part has more of any resource, and no design takes more cycles.
MOST = 1e9
#: Bits of the narrower port of a DSP48 without the sign, and of a BRAM of 18 kbit.
DSP_PORT, BRAM_PORT = 17, 18
#: DSPs and BRAMs that an AXI wrapper or a scaling of the inputs can add; a generous guess.
_OTHER_BLOCKS = 256
#: Columns of which a cell that cannot be read leaves open what was built, or by what.
_GUESSED = frozenset({"precision", "reuse_factor", "strategy", "tool", "stage"})
#: A count as reports print it: ``26,345 (2%)``.
_COUNTED = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)\s*(?:\([^()]*\))?")


@dataclass(frozen=True, slots=True, eq=False)
class OwnDesign:
    """One measured design at one stage.

    Args:
        query: with the tool, part, clock and stage of its report.
        truth: metric -> measured number.
        family: which designs resemble it: the row's family, the file's or folder's name.
        source: file and row, or report.
    """

    query: Query
    truth: Mapping[str, float]
    family: str
    source: str

    @property
    def network(self) -> str:
        """Designs that count as one: the same layers and weight types of one family.

        Reuse factors, clocks and trainings of one network move LUTs by a few per cent only.
        """
        types = ",".join(str(layer.weight) for layer in self.query.layers)
        return f"{self.family}|{self.query.shape}|{types}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row or project that could not be used, or a cell of it.

    Args:
        source: file and row, or report.
        note: the reason, as text and for programs.
    """

    source: str
    note: Note

    @property
    def reason(self) -> str:
        """The reason, as text."""
        return str(self.note)

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


def read_designs(
    paths: Iterable[Path],
    weights: Path | None = None,
    part: str | None = None,
    targets: Targets | None = None,
) -> tuple[list[OwnDesign], list[LeftOut]]:
    """Every usable design of CSV files and folders, and what was left out and why.

    Args:
        paths: CSV files of rows (columns of the calibration's format) or folders of hls4ml projects.
        weights: folder of ``<row_id>.npz``; the folder ``weights`` beside each CSV where not given.
        part: designs on other devices are left out; rows that name no part are taken to be on it.
        targets: what rows may call their part; ``None`` takes the shipped target files.

    Raises:
        UserError: a path that is neither, a file that is no CSV, one without measured columns, or
            not one usable design in all of them.
    """
    designs: list[OwnDesign] = []
    left: list[LeftOut] = []
    for path in paths:
        if path.is_dir():
            found, problems = _of_folder(path)
        elif path.suffix.lower() == ".csv":
            folder = weights if weights is not None else path.parent / "weights"
            found, problems = _of_csv(path, folder if folder.is_dir() else None, part, targets)
        else:
            raise UserError(
                "not something to calibrate on" if path.exists() else "no such file or folder",
                kind=ErrorKind.WRONG_FORMAT if path.exists() else ErrorKind.MISSING,
                found=path,
                remedy="give a CSV of rows (.csv) or a folder of hls4ml projects with their reports",
            )
        designs += found
        left += problems
    if part is not None:
        wanted = device_of(part)
        for design in designs:
            if device_of(design.query.part) != wanted:
                note = Note(NoteKind.CONFLICT, f"on {design.query.part}, not on {part}", "part")
                left.append(LeftOut(design.source, note))
        designs = [design for design in designs if device_of(design.query.part) == wanted]
    if not designs:
        raise UserError(
            "not one design to calibrate on",
            found=summary(left) or "no row and no project",
            remedy="a row needs layers, precision, tool, part and lut or ff of its report; a project "
            "needs its firmware and a report of Vitis HLS, Vivado HLS or Vivado",
            kind=ErrorKind.NOTHING_FITS,
        )
    return designs, left


def summary(left: Sequence[LeftOut], most: int = 10) -> str:
    """One line per skipped item; equal reasons are counted."""
    by_reason: dict[str, list[str]] = {}
    for entry in left:
        by_reason.setdefault(entry.reason, []).append(entry.source)
    lines = [
        f"{sources[0]}{f' and {len(sources) - 1} more' if len(sources) > 1 else ''}: {reason}"
        for reason, sources in by_reason.items()
    ]
    if len(lines) > most:
        lines = [*lines[:most], f"and {len(lines) - most} other reasons"]
    return "\n    ".join(lines)


def _of_folder(path: Path) -> tuple[list[OwnDesign], list[LeftOut]]:
    from hwnas_hls.evidence.measured_projects import measured_projects

    found, problems = measured_projects([path])
    designs: list[OwnDesign] = []
    left = [LeftOut(str(problem.source), Note(NoteKind.UNREAD, problem.reason)) for problem in problems]
    for measured in found:
        source = str(measured.report)
        truth, bad = _checked(measured.truth)
        reason = _failed(truth, bad) or _unfit(measured.query) or _impossible(measured.query, truth)
        if not reason and not truth.keys() & {"lut", "ff"}:
            reason = Note(NoteKind.NO_DATA, "its report has neither LUT nor FF")
        if reason:
            left.append(LeftOut(source, reason))
        else:
            left += [LeftOut(source, text) for text in bad]
            designs.append(OwnDesign(measured.query, truth, measured.family, source))
    if not found and not problems:
        left.append(LeftOut(str(path), Note(NoteKind.NO_DATA, "no hls4ml project in it")))
    return designs, left


def _of_csv(
    path: Path, weights: Path | None, part: str | None, targets: Targets | None
) -> tuple[list[OwnDesign], list[LeftOut]]:
    measured = tuple(name for names in MEASURED.values() for name in names)
    _need_measured(path, measured)
    designs: list[OwnDesign] = []
    left: list[LeftOut] = []
    for number, row in enumerate(read_rows(path, (*COLUMNS, "family", *measured)), start=2):
        name = row.get("row_id", "").strip()
        source = f"{path.name} line {number}{f' ({name[:40]})' if name else ''}"
        if part is not None and not row.get("part", "").strip():
            row["part"] = part
        truth, problems = _truth(row)
        empty = (column for column in ("tool", "part") if not row.get(column))
        reason = next(
            (Note(NoteKind.NO_DATA, "empty, and its report tells", column) for column in empty), None
        )
        query = query_of_row(row, weights, targets)
        reason = _failed(truth, problems) or reason or _unfit(query) or _impossible(query, truth)
        if not reason and not truth.keys() & {"lut", "ff"}:
            reason = Note(NoteKind.NO_DATA, "neither lut nor ff was measured")
        if reason:
            left.append(LeftOut(source, reason))
        else:
            left += [LeftOut(source, problem) for problem in problems]
            family = row.get("family", "").strip() or path.stem
            designs.append(OwnDesign(query, truth, family, source))
    return designs, left


def _failed(truth: Mapping[str, float], problems: Sequence[Note]) -> Note | None:
    """Why a row is no report of a synthesis that ended, or nothing: every circuit has a LUT."""
    if truth.get("ff") == 0.0 and truth.get("latency_cycles", math.inf) >= 1.0:
        cycles = f" with {truth['latency_cycles']:g} cycles" if "latency_cycles" in truth else ""
        return Note(NoteKind.UNREAD, f"0{cycles}; a synthesis that failed teaches nothing", "ff")
    lut = next((problem for problem in problems if problem.about == "lut"), None)
    if lut is None or "lut" in truth:
        return None
    return dataclasses.replace(lut, text=f"{lut.text.removesuffix(', ignored')}; such a row teaches nothing")


def _need_measured(path: Path, measured: Sequence[str]) -> None:
    """Refuse a file without the columns that calibration is about, before reading its rows."""
    try:
        with path.open("rb") as file:
            raw = file.readline(1 << 20)
    except OSError as error:
        raise UserError(
            "cannot read the rows file", where=str(path), found=error, kind=ErrorKind.NOT_ACCESSIBLE
        ) from error
    text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
    header = [name.strip().lower() for name in next(csv.reader([text.replace("\0", "")]), [])]
    if not {"lut", "ff"} & set(header) and set(header) & set(COLUMNS):
        raise UserError(
            "the rows file has no measured columns",
            where=str(path),
            found=", ".join(header)[:200],
            choices=measured,
            remedy="add what the reports say, at least lut or ff",
            kind=ErrorKind.MISSING,
        )


def _truth(row: Mapping[str, str]) -> tuple[dict[str, float], list[Note]]:
    values: dict[str, float] = {}
    problems: list[Note] = []
    for metric, names in MEASURED.items():
        name, text = next(((n, t) for n in names if (t := row.get(n, "").strip())), ("", ""))
        if not text:
            continue
        written = _COUNTED.fullmatch(text)
        try:
            values[metric] = float(text if written is None else written[1].replace(",", ""))
        except ValueError:
            problems.append(Note(NoteKind.UNREAD, f"{text[:20]!r} is not a number, ignored", name))
    checked, bad = _checked(values)
    return checked, problems + bad


def _checked(values: Mapping[str, float]) -> tuple[dict[str, float], list[Note]]:
    good: dict[str, float] = {}
    bad: list[Note] = []
    for metric, value in values.items():
        least = 1.0 if metric in ("lut", "ii_cycles") else 0.0
        if math.isfinite(value) and least <= value <= MOST:
            good[metric] = value
        else:
            bad.append(Note(NoteKind.UNREAD, f"{value:g} cannot have been measured, ignored", metric))
    return good, bad


def _impossible(query: Query, truth: Mapping[str, float]) -> Note | None:
    """A count of DSPs or BRAMs that no synthesis of the design can give; ``None`` if there is none.

    It shows that the row's numbers belong to something else, or to no report at all.
    """
    most = {"dsp": _OTHER_BLOCKS, "bram_18k": _OTHER_BLOCKS}
    for layer in query.layers:
        source, weight = layer.input or DEFAULT_TYPE, layer.weight
        pieces = math.ceil(source.width / DSP_PORT) * math.ceil(weight.width / DSP_PORT)
        products = layer.n_in * layer.n_out
        # Normalisations and activations multiply, and look up tables, once or twice an output.
        most["dsp"] += products * pieces + 4 * pieces * layer.n_out
        # Every weight in a memory of its own, and the tables and FIFOs of the outputs.
        most["bram_18k"] += products * math.ceil(weight.width / BRAM_PORT) + 8 * layer.n_out
    for metric, bound in most.items():
        if truth.get(metric, 0.0) > bound:
            text = (
                f"{truth[metric]:g} cannot have been measured, {query.shape} has work for at most {bound}; "
                "such a row teaches nothing"
            )
            return Note(NoteKind.UNREAD, text, metric)
    return None


def _unfit(query: Query) -> Note | None:
    """Why a design cannot be used; ``None`` if it can."""
    if query.blockers:
        return query.blockers[0]
    other = next((n for n in query.reasons if n.kind is NoteKind.NO_DATA and n.about == "tool"), None)
    if other is not None:
        return other
    if not tool_of(query.tool).version:
        return Note(NoteKind.NO_DATA, f"{query.tool[:40]!r} names no version", "tool")
    if part_class(query.part) == "unknown":
        return Note(NoteKind.NO_DATA, f"{query.part[:40]!r} is of no known silicon", "part")
    for note in (*query.warnings, *query.reasons):
        assumed = note.kind is NoteKind.ASSUMED and _decisive(note, query)
        if assumed or (note.kind is NoteKind.UNREAD and note.about in _GUESSED):
            return dataclasses.replace(note, text=f"{note.text}; nothing is learnt from a guess", taken="")
    return None


def _decisive(note: Note, query: Query) -> bool:
    """Whether an assumption decides the numbers."""
    if note.about == "precision":
        return "w" in note.parts  # an accumulator that is not given matters little
    if note.about == "strategy":
        return any(layer.reuse_factor > 1 for layer in query.layers)  # unrolled either way at 1
    return note.about == "reuse_factor"


def at_level(query: Query, knowledge: int) -> Query | None:
    """The query with its knowledge of the weights reduced to ``knowledge``; ``None`` if less is known.

    Args:
        knowledge: 0 architecture only, 1 non-zeros, 2 the weights themselves.
    """
    layers = query.layers
    if knowledge == 2:
        return query if all(layer.weights is not None for layer in layers) else None
    kept = []
    for layer in layers:
        count = layer.n_nonzeros if layer.weights is None else int((layer.weights != 0).sum())
        if knowledge == 1 and count is None:
            return None
        kept.append(
            dataclasses.replace(
                layer, weights=None, biases=None, n_nonzeros=count if knowledge == 1 else None
            )
        )
    return dataclasses.replace(query, layers=tuple(kept))
