"""Finds and reads all reports of a project folder: all solutions and stages, in any location."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.reports.cosim import read_cosim
from hwnas_hls.hls4ml.reports.csynth import read_csynth
from hwnas_hls.hls4ml.reports.files import read_text
from hwnas_hls.hls4ml.reports.reports import (
    Cosim,
    Csynth,
    Export,
    ProjectReports,
    Solution,
    Timing,
    Utilisation,
)
from hwnas_hls.hls4ml.reports.timing import read_export, read_timing
from hwnas_hls.hls4ml.reports.utilisation import read_utilisation

MAX_DEPTH = 10
MAX_ENTRIES = 50_000
MAX_REPORTS = 2_000
#: Scratch folders of the tools and hls4ml's headers, which contain no reports.
_SCRATCH = frozenset(
    {".autopilot", ".git", "ap_types", "nnet_utils", "autowrap", "tb_data", "wrapc", "wrapc_pc"}
)
#: Folders of generated RTL and simulations; only their subfolder ``report`` contains reports.
_GENERATED = frozenset({"syn", "sim"})
_KINDS = ("csynth", "cosim", "export", "utilisation", "timing")
T = TypeVar("T")


class NoReports(ReportError):
    """The folder has no report of Vitis HLS, Vivado HLS or Vivado."""

    kind = ErrorKind.MISSING


def read_project(folder: Path | str, top: str | None = None) -> ProjectReports:
    """Read every report of a project (a tree of hls4ml, HLS or Vivado, or a folder of bare reports).

    Links to outside the folder are not followed. A broken report is listed in ``problems``; the others
    are still read.

    Args:
        folder: the project.
        top: name of the top function; default: read from the project's files.

    Raises:
        ReportError: the folder is missing, has no report, has too many entries for a project, or none of
            its reports is readable.
    """
    folder = Path(folder)
    files = _classified(folder)
    if not any(files.values()):
        raise NoReports(f"{folder}: no report of Vitis HLS, Vivado HLS or Vivado in it")
    problems: list[str] = []
    top = top or _top_of(folder)
    solutions = _solutions(folder, files, top, problems)
    utilisations: list[Utilisation] = _all(read_utilisation, files["utilisation"], problems)
    timings: list[Timing] = _all(read_timing, files["timing"], problems)
    if not solutions and not utilisations and not timings:
        raise ReportError("\n".join(problems) or f"{folder}: no readable report")
    return ProjectReports(folder, solutions, tuple(utilisations), tuple(timings), tuple(problems))


def _classified(folder: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise ReportError(f"{folder}: no such folder", kind=ErrorKind.MISSING)
    files: dict[str, list[Path]] = {kind: [] for kind in _KINDS}
    for path in _report_files(folder):
        kind = _kind(path)
        if kind:
            files[kind].append(path)
    if sum(len(paths) for paths in files.values()) > MAX_REPORTS:
        raise ReportError(
            f"{folder}: more than {MAX_REPORTS} reports; give a single project", kind=ErrorKind.TOO_LARGE
        )
    return files


def _report_files(folder: Path) -> Iterator[Path]:
    """The files ``*.rpt`` and ``*.xml`` in the folder, sorted, without links to outside.

    The reports of another project of hls4ml in it, such as a copy of an older one, are that project's.
    """
    root = folder.resolve()
    seen = 0
    for here, folders, names in os.walk(folder, followlinks=False):
        depth = len(Path(here).relative_to(folder).parts)
        shallow = depth < MAX_DEPTH
        generated = Path(here).name in _GENERATED
        folders[:] = sorted(
            name
            for name in folders
            if shallow and name not in _SCRATCH and (not generated or name == "report")
            if not (Path(here) / name / "firmware" / "parameters.h").is_file()
        )
        seen += len(names) + len(folders)
        if seen > MAX_ENTRIES:
            raise ReportError(
                f"{folder}: more than {MAX_ENTRIES} files; give a single project", kind=ErrorKind.TOO_LARGE
            )
        for name in sorted(names):
            path = Path(here) / name
            if path.suffix.lower() not in (".rpt", ".xml"):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                continue
            yield path


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name in ("csynth.xml", "csynth.rpt") or name.endswith(("_csynth.xml", "_csynth.rpt")):
        return "csynth"
    if not name.endswith(".rpt"):
        return ""
    if name.endswith("_cosim.rpt"):
        return "cosim"
    if name.endswith("_export.rpt") or name in ("export_impl.rpt", "export_syn.rpt"):
        return "export"
    try:
        head = _start(path)
    except ReportError:
        return "utilisation" if name in ("vivado_synth.rpt", "util.rpt") else ""
    if "report_timing_summary" in head or "Timing Summary Report" in head:
        return "timing"
    if "report_utilization" in head or re.search(r"Utilization (Design Information|by Hierarchy)", head):
        return "utilisation"
    if re.search(r"== (Vivado|Vitis) HLS Report for", head):
        return "csynth" if "Performance Estimates" in head else ""
    return "utilisation" if name == "vivado_synth.rpt" else ""


def _start(path: Path) -> str:
    try:
        if not path.is_file():
            raise ReportError(f"{path}: not a plain file", kind=ErrorKind.NOT_ACCESSIBLE)
        with path.open("rb") as file:
            return file.read(4096).decode("latin-1")
    except OSError as error:
        raise ReportError(
            f"{path}: cannot be read: {error.strerror}", kind=ErrorKind.NOT_ACCESSIBLE
        ) from error


def _all(read: Callable[[Path], T], paths: list[Path], problems: list[str]) -> list[T]:
    out = []
    for path in paths:
        try:
            out.append(read(path))
        except ReportError as error:
            problems.append(str(error))
    return out


def _top_of(folder: Path) -> str:
    """The name of the top function from the project's scripts; empty if unknown."""
    patterns = (
        ("project.tcl", r'set\s+project_name\s+"?([A-Za-z_]\w*)"?'),
        ("build_prj.tcl", r"set_top\s+([A-Za-z_]\w*)"),
        ("hls4ml_config.yml", r"(?m)^ProjectName:\s*['\"]?([A-Za-z_]\w*)"),
    )
    for name, pattern in patterns:
        path = folder / name
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            continue
        try:
            match = re.search(pattern, read_text(path))
        except ReportError:
            continue
        if match is not None:
            return match[1]
    return ""


def _solution_of(path: Path, folder: Path) -> Path:
    """The solution folder of a report: the parent of ``syn``, ``sim`` or ``impl``."""
    for parent in path.parents:
        if parent.name in ("syn", "sim", "impl"):
            return parent.parent
        if parent == folder:
            break
    return path.parent


def _solutions(
    folder: Path, files: dict[str, list[Path]], top: str, problems: list[str]
) -> tuple[Solution, ...]:
    grouped: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for kind in ("csynth", "cosim", "export"):
        for path in files[kind]:
            grouped[_solution_of(path, folder)][kind].append(path)
    out = []
    for place in sorted(grouped):
        kinds = grouped[place]
        csynths = _all(read_csynth, _preferred(kinds["csynth"]), problems)
        cosims: list[Cosim] = _all(read_cosim, kinds["cosim"], problems)
        exports: list[Export] = _all(read_export, kinds["export"], problems)
        if not csynths and not cosims and not exports:
            continue
        whole = _top_report(csynths, cosims, top, place, problems)
        name = place.relative_to(folder).as_posix() if place != folder else "."
        out.append(
            Solution(
                name=name,
                csynth=whole,
                cosim=next((c for c in cosims if c.rtl), cosims[0] if cosims else None),
                export=max(exports, key=lambda report: report.stage == "post_route", default=None),
                modules=tuple(report for report in csynths if report is not whole),
            )
        )
    return tuple(out)


def _preferred(paths: list[Path]) -> list[Path]:
    """Prefer ``x_csynth.xml`` to ``x_csynth.rpt``, whose columns truncate names."""
    stems = {path.with_suffix("") for path in paths if path.suffix.lower() == ".xml"}
    kept = [p for p in paths if p.suffix.lower() == ".xml" or p.with_suffix("") not in stems]
    # the text overview has no clock: use it only if there is nothing else
    return [p for p in kept if p.name.lower() != "csynth.rpt"] or kept


def _top_report(
    csynths: list[Csynth], cosims: list[Cosim], top: str, place: Path, problems: list[str]
) -> Csynth | None:
    """The report of the whole design among those of its modules."""
    if not csynths:
        return None
    overview = next((report for report in csynths if report.path.name.lower() == "csynth.xml"), None)
    names = [top, f"{top}_axi" if top else "", *(c.top for c in cosims), overview.top if overview else ""]
    for name in filter(None, names):
        named = [report for report in csynths if report.top == name]
        if named:
            # the overview has the modules, the report of the top function the ports
            return max(named, key=lambda report: (len(report.modules), report.path.name != "csynth.xml"))
    if len(csynths) == 1:
        return csynths[0]
    inner = {module.name for report in csynths for module in report.modules}
    outer = [report for report in csynths if report.top not in inner]
    if len(outer) == 1 and inner:
        return outer[0]
    problems.append(
        f"{place}: {len(csynths)} C-synthesis reports, and it is unclear which one is of the top function"
    )
    return None
