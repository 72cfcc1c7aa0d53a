"""The synthesizer ``reports``: reads results from existing projects and reports."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind, HwnasError, ToolMissing, Unsupported, UserError
from hwnas_hls.protocols.synthesizer import STAGES, Stage, SynthesisReport, Synthesizer

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.folder import Project
    from hwnas_hls.hls4ml.reports.reports import ProjectReports, Solution, Timing, Utilisation
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.target import Target

#: Environment variable with the default folders to search, separated as in PATH.
FOLDERS_VARIABLE = "HWNAS_REPORTS"


@dataclass(frozen=True, slots=True)
class ReportsConfig:
    """Settings of the synthesizer ``reports``.

    Args:
        folders: projects or trees of projects; empty means those in the environment variable
            ``HWNAS_REPORTS``.
    """

    folders: tuple[str, ...] = ()


class ReportsSynthesizer(Synthesizer):
    """Finds the design among existing hls4ml projects with reports, by its content.

    A project matches a design if layers, types, weights, biases, strategies, reuse factors, part and
    clock are the same; its name and location do not matter.
    """

    name = "reports"
    default_stage = Stage.CSYNTH
    Config = ReportsConfig
    config: ReportsConfig

    def available(self, target: Target) -> str:
        """Empty if a folder of projects is configured, else how to configure one."""
        folders = self._folders()
        if not folders:
            return f"no folder of projects is given; set {FOLDERS_VARIABLE} or folders in the configuration"
        missing = [str(folder) for folder in folders if not folder.is_dir()]
        return f"no such folder: {', '.join(missing)}" if missing else ""

    def synthesize(self, design: Design, target: Target, stage: str) -> SynthesisReport:
        """The results in the report of exactly this design at ``stage``.

        If no project matches, the report has a ``failure`` that names the nearest project and its
        differences.

        Raises:
            UserError: no such stage.
            ToolMissing: no folder of projects is known.
            Unsupported: the design is not a chain of dense layers. Projects are compared layer by layer,
                which does not distinguish graphs with the same layers.
        """
        from hwnas_hls.evidence.matching import differences
        from hwnas_hls.hls4ml.query import query_of

        if stage not in STAGES:
            raise UserError("unknown stage of a synthesis", where="--stage", found=stage, choices=STAGES)
        missing = self.available(target)
        if missing:
            raise ToolMissing(f"{self.name} cannot answer: {missing}")
        if not design.architecture.is_chain:
            raise Unsupported(f"only chains of dense layers are supported, not {design.architecture.shape}")
        clock_ns = design.architecture.clock_ns or target.clock_ns
        asked = query_of(design.architecture, target.part, clock_ns, design=design)
        nearest: tuple[int, str] | None = None
        unread = seen = 0
        without: list[str] = []
        for project in self._projects():
            if project is None:
                unread += 1
                continue
            seen += 1
            wrong = differences(asked, project.query)
            if wrong:
                if nearest is None or len(wrong) < nearest[0]:
                    nearest = (len(wrong), f"{project.folder}: {'; '.join(wrong[:4])}")
                continue
            report = self._report(project, stage)
            if report is not None:
                return report
            without.append(f"{project.folder}{_refused(project)}")
        if without:
            kind = ErrorKind.MISSING
            text = f"{', '.join(without[:3])}: matches the design, but has no {stage} report of it"
        elif nearest is not None:
            kind = ErrorKind.MISMATCH
            text = f"none of {seen} projects matches the design; the nearest is {nearest[1]}"
        else:
            kind = ErrorKind.MISSING
            text = f"no readable hls4ml project in {', '.join(map(str, self._folders()))}"
        if unread:
            text += f" ({unread} projects could not be read)"
        return SynthesisReport(self.name, stage, failure=text, failure_kind=kind)

    def _folders(self) -> list[Path]:
        named = self.config.folders or tuple(os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep))
        return [Path(folder).expanduser() for folder in named if folder.strip()]

    def _projects(self) -> Iterator[Project | None]:
        """All projects in order of folders and paths; ``None`` for an unreadable one."""
        from hwnas_hls.hls4ml.folder import find_projects, read_whole

        for folder in self._folders():
            for place in find_projects(folder):
                try:
                    yield read_whole(place)
                except HwnasError:
                    yield None

    def _report(self, project: Project, stage: str) -> SynthesisReport | None:
        """The results of the stage from the first solution whose report belongs to this firmware."""
        from hwnas_hls.hls4ml.reports.estimates import project_estimates, report_paths

        if project.reports is None:
            return None
        reports = _of_this_firmware(project, project.reports)
        estimates = project_estimates(reports, stage)
        if not estimates:
            return None
        if stage != "csynth":
            # C synthesis determines the cycles for all later stages
            for metric, estimate in project_estimates(reports, "csynth").items():
                if metric in ("latency_cycles", "latency_ns", "ii_cycles"):
                    estimates.setdefault(metric, estimate)
        tool = reports.csynth.tool_version if reports.csynth else "vivado"
        files = {f"report {number}": path for number, path in enumerate(report_paths(reports))}
        return SynthesisReport(tool, stage, estimates, {"project": project.folder, **files})


def _refused(project: Project) -> str:
    """The first reason why a C synthesis report beside a matching project is not one of its firmware."""
    from hwnas_hls.hls4ml.belonging import contradictions, unnamed_layers

    for solution in project.reports.solutions if project.reports else ():
        unnamed = [f"no module of it is {layer}" for layer in unnamed_layers(project, solution)]
        wrong = contradictions(project, solution) or unnamed
        if wrong and solution.csynth is not None:
            return f" ({solution.csynth.path.name} is of another firmware: {wrong[0]})"
    return ""


def _of_this_firmware(project: Project, reports: ProjectReports) -> ProjectReports:
    """The reports without those of another firmware, top function, part or clock.

    A report that names no top function and part is not used: it may be incomplete.
    """
    from hwnas_hls.hls4ml.belonging import (
        contradictions,
        foreign_modules,
        plain_part,
        same_device,
        same_top,
        unnamed_layers,
    )

    def fits(solution: Solution) -> bool:
        report = solution.csynth
        if report is not None:
            # reports round the period to two decimals
            clock = abs(report.clock_target_ns - project.query.clock_ns) < 0.006
            if not clock or plain_part(report.part) != plain_part(project.query.part):
                return False
        return not contradictions(project, solution) and not unnamed_layers(project, solution)

    solutions = tuple(solution for solution in reports.solutions if fits(solution))
    tops = {solution.csynth.top for solution in solutions if solution.csynth is not None}
    # What Vivado built behind a C synthesis of another firmware is of that firmware.
    foreign = not tops and any(
        solution.csynth is not None and contradictions(project, solution) for solution in reports.solutions
    )

    def kept(report: Utilisation | Timing) -> bool:
        names = [module.name for module in getattr(report, "modules", ())]  # of a timing report, none
        if foreign or foreign_modules(project, names):
            return False
        # Without a C synthesis of this firmware, the wrapper that HLS generates may contain any network.
        network = any(same_top(report.top, top) for top in tops) if tops else report.top == project.top
        stated = bool(report.top and report.part)
        return stated and network and same_device(report.part, project.query.part)

    return dataclasses.replace(
        reports,
        solutions=solutions,
        utilisations=tuple(report for report in reports.utilisations if kept(report)),
        timings=tuple(report for report in reports.timings if kept(report)),
    )
