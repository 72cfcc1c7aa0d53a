"""Part, clock, tool and backend of a project, from its scripts, reports and configuration."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ReportError
from hwnas_hls.hls4ml.folder.config import text_of
from hwnas_hls.hls4ml.folder.files import optional_source
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import DEFAULT_CLOCK_NS, DEFAULT_PART, DEFAULT_TOOL
from hwnas_hls.hls4ml.reports import Csynth, NoReports, ProjectReports, read_project
from hwnas_hls.protocols.target import shipped_targets

#: Assumed tool if the version of Vivado HLS is unknown.
DEFAULT_VIVADO = "vivado_hls 2020.1"
BACKENDS = {
    "vivado": "Vivado",
    "vitis": "Vitis",
    "vivadoaccelerator": "VivadoAccelerator",
    "vitisaccelerator": "VitisAccelerator",
    "vitisunified": "VitisUnified",
}
#: What a refusal of another backend says.
READ_BACKENDS = f"the backends that can be read are {', '.join(BACKENDS.values())}"
#: The name of a part, known or not; unknown ones are reported.
_PART = r"[\"{]?([A-Za-z0-9][A-Za-z0-9_-]{0,60})[\"}]?"
_PERIOD = re.compile(r"\d{1,4}(?:\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Settings:
    """See the module.

    Args:
        name, part, backend, tool: as in :class:`~hwnas_hls.hls4ml.query.Query`.
        clock_ns: target period.
        clock_uncertainty: share of the period, or ``None``.
        top: name of the top function, empty if unknown.
        warnings: missing or contradicting sources.
    """

    name: str
    part: str
    clock_ns: float
    clock_uncertainty: float | None
    backend: str
    tool: str
    top: str
    warnings: tuple[Note, ...]


def project_reports(folder: Path) -> tuple[ProjectReports | None, list[Note]]:
    """The readable reports of a project, if any, and the errors of the others."""
    try:
        reports = read_project(folder)
    except NoReports:
        return None, []
    except ReportError as error:
        return None, [Note(NoteKind.UNREAD, line) for line in str(error).splitlines()[:20]]
    return reports, [Note(NoteKind.UNREAD, problem) for problem in reports.problems[:20]]


def read_settings(
    folder: Path, config: dict[str, Any], csynth: Csynth | None, foreign: Csynth | None = None
) -> Settings:
    """Read the settings from scripts, then a report, then the configuration, which may be stale.

    A value in ``build_prj.tcl`` wins over ``project.tcl``: the tool runs the former, which asks the latter
    only where it says so (``set_part $part``).

    Args:
        folder: the project.
        config: content of ``hls4ml_config.yml``; may be empty.
        csynth: a report of this design, if any.
        foreign: without one, a report of another design in the folder, which can only suggest the tool.
    """
    scripts = {
        name: optional_source(folder, name) for name in ("project.tcl", "build_prj.tcl", "vivado_synth.tcl")
    }
    warnings: list[Note] = []
    part = _choose(
        "part",
        [
            ("build_prj.tcl", _find(scripts["build_prj.tcl"], rf"(?m)^[ \t]*set_part[ \t]+{_PART}")),
            ("project.tcl", _find(scripts["project.tcl"], rf"(?m)^[ \t]*set[ \t]+part[ \t]+{_PART}")),
            ("vivado_synth.tcl", _find(scripts["vivado_synth.tcl"], rf"-part\s+{_PART}")),
            ("the report", csynth.part if csynth else ""),
            ("hls4ml_config.yml", text_of(config, "Part", "XilinxPart", "Device") or _part_of_board(config)),
        ],
        DEFAULT_PART,
        warnings,
    )
    period = _choose(
        "clock period",
        [
            (
                "build_prj.tcl",
                _find(scripts["build_prj.tcl"], r"(?m)^[ \t]*create_clock[ \t]+-period[ \t]+[\"{]?([\d.]+)"),
            ),
            (
                "project.tcl",
                _find(scripts["project.tcl"], r"(?m)^[ \t]*set[ \t]+clock_period[ \t]+\"?([\d.]+)"),
            ),
            ("the report", f"{csynth.clock_target_ns:g}" if csynth else ""),
            ("hls4ml_config.yml", text_of(config, "ClockPeriod")),
        ],
        f"{DEFAULT_CLOCK_NS:g}",
        warnings,
    )
    if not _PERIOD.fullmatch(period) or float(period) <= 0:
        warnings.append(
            Note(NoteKind.ASSUMED, f"clock period {period!r} is invalid; {DEFAULT_CLOCK_NS:g} ns is assumed")
        )
        period = f"{DEFAULT_CLOCK_NS:g}"
    clock_ns = float(period)
    uncertainties = {
        "build_prj.tcl": _find(
            scripts["build_prj.tcl"],
            r"(?m)^[ \t]*set_clock_uncertainty[ \t]+[\"{]?([\d.]+[ \t]*(?:%|ns)?)",
        ),
        "project.tcl": _find(
            scripts["project.tcl"],
            r"(?m)^[ \t]*set[ \t]+clock_uncertainty[ \t]+[\"{]?([\d.]+[ \t]*(?:%|ns)?)",
        ),
        "hls4ml_config.yml": text_of(config, "ClockUncertainty"),
    }
    uncertainty = _uncertainty(uncertainties, clock_ns, warnings)
    backend = _backend(scripts["project.tcl"], scripts["build_prj.tcl"], config)
    return Settings(
        name=_find(scripts["project.tcl"], r"(?m)^[ \t]*set[ \t]+project_name[ \t]+\"?(\w+)")
        or text_of(config, "ProjectName")
        or folder.resolve().name,
        part=part,
        clock_ns=clock_ns,
        clock_uncertainty=uncertainty,
        backend=backend,
        tool=_tool(csynth, foreign, backend, warnings),
        top=_find(scripts["project.tcl"], r"(?m)^[ \t]*set[ \t]+project_name[ \t]+\"?(\w+)")
        or _find(scripts["build_prj.tcl"], r"(?m)^[ \t]*set_top[ \t]+\"?([A-Za-z_]\w*)")
        or text_of(config, "ProjectName"),
        warnings=tuple(warnings),
    )


def _part_of_board(config: dict[str, Any]) -> str:
    """The part on the configuration's board, if that is one with a target file."""
    board = text_of(config, "Board")
    target = shipped_targets().named(board) if board else None
    return "" if target is None else target.part


def _backend(project: str, build: str, config: dict[str, Any]) -> str:
    """The backend that wrote the project.

    Releases before 1.1 wrote ``vivado`` into the script of Vitis' projects, too; their build script does not
    ask for that name.
    """
    stated = _find(project, r"(?m)^[ \t]*set[ \t]+backend[ \t]+\"?(\w+)")
    configured = text_of(config, "Backend")
    older = stated.lower() == "vivado" and not re.search(r"equal\s+\"?\$backend\"?\s+\"vivado\"", build)
    written = configured if older and configured.lower() == "vitis" else stated or configured
    return BACKENDS.get(written.lower(), written)


def _find(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return match[1].strip() if match else ""


def _choose(what: str, found: list[tuple[str, str]], default: str, warnings: list[Note]) -> str:
    stated = [(source, value) for source, value in found if value]
    if not stated:
        warnings.append(Note(NoteKind.ASSUMED, f"{what} is not given; {default} is assumed"))
        return default
    source, value = stated[0]
    for other, different in stated[1:]:
        if _plain(different) != _plain(value):
            warnings.append(
                Note(
                    NoteKind.CONFLICT,
                    f"{what} is {value} in {source} but {different} in {other}; {value} is taken",
                )
            )
    return value


def _uncertainty(stated: dict[str, str], clock_ns: float, warnings: list[Note]) -> float | None:
    """The share of the period in the first source that states one; notes on others that differ.

    Args:
        stated: source -> what it states; empty where it states none.
    """
    shares = {source: share_of_period(text, clock_ns) for source, text in stated.items() if text}
    if not shares:
        return None
    source, share = next(iter(shares.items()))
    for other, different in shares.items():
        if not math.isclose(different or 0.0, share or 0.0):
            text = f"clock uncertainty is {stated[source]} in {source} but {stated[other]} in {other}"
            warnings.append(Note(NoteKind.CONFLICT, f"{text}; {stated[source]} is taken"))
    return share


def _plain(text: str) -> str:
    """A canonical form: ``5.0`` equals ``5``, ``xc7z020clg400-1`` equals ``xc7z020-clg400-1``."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text.lower().replace("-", "")


def share_of_period(text: str, clock_ns: float) -> float | None:
    """The share of the period given by ``27%``, ``12.5 %`` or nanoseconds."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,4})?)\s*(%|ns)?", text.strip())
    if match is None:
        return None
    share = float(match[1]) / 100.0 if match[2] == "%" else float(match[1]) / clock_ns
    return share if share < 1.0 else None


def _tool(csynth: Csynth | None, foreign: Csynth | None, backend: str, warnings: list[Note]) -> str:
    if csynth is not None and " " in csynth.tool_version:
        return csynth.tool_version
    if foreign is not None and " " in foreign.tool_version:
        tool, source = foreign.tool_version, f"a report of another design ({foreign.path.name}) names it"
        if backend.startswith("Vitis") == tool.startswith("vitis") or not backend:
            warnings.append(Note(NoteKind.ASSUMED, f"{tool} is assumed; {source}"))
            return tool
    tool = DEFAULT_TOOL if backend.startswith("Vitis") else DEFAULT_VIVADO
    if not backend:
        warnings.append(Note(NoteKind.ASSUMED, f"neither backend nor tool is given; {tool} is assumed"))
    else:
        warnings.append(
            Note(
                NoteKind.ASSUMED,
                f"no report gives the version of the tool; {tool} is assumed for backend {backend}",
            )
        )
    return tool
