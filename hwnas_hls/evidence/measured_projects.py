"""Designs with measured numbers, read from folders of projects with reports, for calibration.

The numbers mean the same as in the calibration CSV: ``latency_cycles`` and ``ii_cycles`` are the best
case, ``bram_18k`` counts units of 18 kbit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hwnas_hls.errors import HwnasError
from hwnas_hls.hls4ml.belonging import contradictions, foreign_modules, same_device, same_top
from hwnas_hls.hls4ml.folder import Project, find_projects, read_whole
from hwnas_hls.hls4ml.query import Query
from hwnas_hls.hls4ml.reports.reports import Csynth, Resources, Solution


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredDesign:
    """One design at one stage.

    Args:
        query: the design with the report's tool, part, clock and stage.
        truth: metric -> measured number, for the metrics in the report.
        family: group of similar designs: its tree of projects.
        report: path of the report.
    """

    query: Query
    truth: Mapping[str, float]
    family: str
    report: Path


class SkipReason(StrEnum):
    """Why a project or report was left out."""

    UNREAD = "unread"
    NO_REPORT = "no_report"
    OTHER_DESIGN = "other_design"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A project or report that was left out.

    Args:
        source: folder of the project, or file of the report.
        kind: the reason, for programs.
        reason: the reason, as text.
    """

    source: Path
    kind: SkipReason
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


def measured_projects(
    roots: Iterable[Path | str], family: str | None = None
) -> tuple[list[MeasuredDesign], list[Skipped]]:
    """All designs with reports in some trees of projects, one per stage and solution.

    A project that cannot be read, or whose report belongs to another firmware, is skipped and listed
    in the second value.

    Args:
        roots: projects or folders of projects.
        family: name for all of them; default: the name of each root.

    Raises:
        UserError: a root is not a folder.
    """
    out: list[MeasuredDesign] = []
    problems: list[Skipped] = []
    for root in map(Path, roots):
        for folder in find_projects(root):
            try:
                project = read_whole(folder)
            except HwnasError as error:
                reason = str(error).removeprefix(f"{folder}: ")
                problems.append(Skipped(folder, SkipReason.UNREAD, reason))
                continue
            if project.reports is None:
                problems.append(Skipped(folder, SkipReason.NO_REPORT, "no readable report"))
                continue
            problems += [Skipped(folder, SkipReason.UNREAD, text) for text in project.reports.problems]
            out += _designs(project, family or root.resolve().name, problems)
    return out, problems


def _designs(project: Project, family: str, problems: list[Skipped]) -> Iterable[MeasuredDesign]:
    reports = project.reports
    if reports is None:
        return
    whole: Csynth | None = None
    foreign: Csynth | None = None
    for solution in reports.solutions:
        if solution.csynth is None:
            continue
        wrong = contradictions(project, solution) or _other_part(project, solution.csynth)
        if wrong:
            reason = f"does not belong to this project: {wrong[0]}"
            problems.append(Skipped(solution.csynth.path, SkipReason.OTHER_DESIGN, reason))
            foreign = solution.csynth
            continue
        whole = whole or solution.csynth
        yield _of_csynth(project, solution, solution.csynth, family)
    for report in reports.utilisations:
        top = project.top if whole is None else whole.top
        if not same_top(report.top, top):
            reason = f"top function {report.top}, not {top}"
            problems.append(Skipped(report.path, SkipReason.OTHER_DESIGN, reason))
            continue
        wrong = foreign_modules(project, [module.name for module in report.modules])
        if wrong:
            reason = f"does not belong to this firmware: {wrong[0]}"
            problems.append(Skipped(report.path, SkipReason.OTHER_DESIGN, reason))
            continue
        if whole is None and foreign is not None:
            # It names no module that could tell, and the C synthesis before it built another network.
            reason = f"beside a C synthesis of another firmware ({foreign.path.name})"
            problems.append(Skipped(report.path, SkipReason.OTHER_DESIGN, reason))
            continue
        if not same_device(report.part, whole.part if whole is not None else project.query.part):
            reason = f"part {report.part} differs from the project's"
            problems.append(Skipped(report.path, SkipReason.OTHER_DESIGN, reason))
            continue
        truth = _resources(report.used)
        if whole is not None:
            truth |= _cycles(whole)
        tool = whole.tool_version if whole is not None else project.query.tool
        query = dataclasses.replace(project.query, stage=report.stage, tool=tool)
        if whole is not None:
            query = dataclasses.replace(query, part=whole.part, clock_ns=whole.clock_target_ns)
        yield MeasuredDesign(query, truth, family, report.path)


def _other_part(project: Project, report: Csynth) -> list[str]:
    """A part that the project's script does not name: it was exported again since, perhaps changed."""
    part = project.query.part
    if any(note.about == "part" for note in (*project.query.warnings, *project.query.reasons)):
        return []  # not known, or named twice
    if same_device(report.part, part) or same_device(part, report.part):
        return []
    return [f"its part is {report.part}, not {part}"]


def _of_csynth(project: Project, solution: Solution, report: Csynth, family: str) -> MeasuredDesign:
    uncertainty = project.query.clock_uncertainty
    if report.clock_uncertainty_ns is not None and report.clock_target_ns > 0:
        share = report.clock_uncertainty_ns / report.clock_target_ns
        # the report rounds to two decimals; use the script's exact share if it agrees
        if uncertainty is None or abs(share - uncertainty) * report.clock_target_ns > 0.006:
            uncertainty = share if share < 1 else None
    query = dataclasses.replace(
        project.query,
        stage="csynth",
        tool=report.tool_version,
        part=report.part,
        clock_ns=report.clock_target_ns,
        clock_uncertainty=uncertainty,
        name=f"{project.query.name} {solution.name}",
        scope="core+AXI wrapper" if report.top.endswith("_axi") else "core",
    )
    return MeasuredDesign(query, _resources(report.used) | _cycles(report), family, report.path)


def _resources(used: Resources) -> dict[str, float]:
    names = ("lut", "ff", "dsp", "bram_18k")
    return {name: float(value) for name in names if (value := getattr(used, name)) is not None}


def _cycles(report: Csynth) -> dict[str, float]:
    latest = report.latency_min if report.latency_max is None else report.latency_max
    values = {"latency_cycles": latest, "ii_cycles": report.ii_min}
    return {name: float(value) for name, value in values.items() if value is not None}
