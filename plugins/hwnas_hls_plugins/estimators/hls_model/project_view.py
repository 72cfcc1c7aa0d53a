"""Lint findings of a project folder, and the comparison of its reports with predictions."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import HwnasError
from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration
from hwnas_hls_plugins.estimators.hls_model.prediction import Interval
from hwnas_hls_plugins.estimators.hls_model.predictor import predict
from hwnas_hls_plugins.estimators.hls_model.silicon import tool_of

WIDTH = 80
LABELS = {
    "latency_cycles": "latency, cycles",
    "ii_cycles": "II, cycles",
    "lut": "LUT",
    "ff": "FF",
    "dsp": "DSP",
    "bram_18k": "BRAM 18K",
}


@dataclass(frozen=True, slots=True)
class Reported:
    """One number of one report beside its prediction, both for the report's own tool, part and clock."""

    metric: str
    reported: float
    predicted: Interval

    @property
    def inside(self) -> bool:
        return self.predicted.low <= self.reported <= self.predicted.high


@dataclass(frozen=True, slots=True)
class ComparedReport:
    """One report of a project with its numbers.

    Args:
        file: of the report, relative to the project where it lies inside.
        title: tool, part and stage.
        numbers: in the order of :data:`LABELS`; metrics that the report lacks are left out.
    """

    file: str
    title: str
    numbers: tuple[Reported, ...]


@dataclass(frozen=True, slots=True)
class ProjectView:
    """Lint findings and compared reports of one project.

    Args:
        findings: one text a pitfall.
        reports: one entry per report of the whole design.
        problems: what could not be read or compared, and why.
    """

    findings: tuple[str, ...]
    reports: tuple[ComparedReport, ...]
    problems: tuple[str, ...]

    @property
    def text(self) -> str:
        """For a terminal of 80 columns; empty where there is nothing to say."""
        lines: list[str] = []
        for label, texts in (("lint", self.findings), ("reports", self.problems)):
            for text in texts:
                lines += textwrap.wrap(f"{label}: {text}", WIDTH, subsequent_indent="  ")
        for report in self.reports:
            lines += ["", *textwrap.wrap(f"predicted against {report.file} ({report.title})", WIDTH)]
            lines.append(f"{'':18}{'reported':>12}{'predicted':>12}{'off':>9}  {'inside the interval':>19}")
            for number in report.numbers:
                off = "exact" if number.predicted.value == number.reported else ""
                if not off and number.reported:
                    off = f"{100 * (number.predicted.value / number.reported - 1):+.0f} %"
                lines.append(
                    f"{LABELS[number.metric]:18}{number.reported:>12,.0f}{number.predicted.value:>12,.0f}"
                    f"{off:>9}  {'yes' if number.inside else 'no':>19}"
                )
        return "\n".join(lines).strip("\n")

    def to_json(self) -> dict[str, Any]:
        return {
            "lint": list(self.findings),
            "reports": [
                {
                    "file": report.file,
                    "title": report.title,
                    "metrics": {
                        number.metric: {
                            "reported": number.reported,
                            "value": number.predicted.value,
                            "low": number.predicted.low,
                            "high": number.predicted.high,
                            "coverage": number.predicted.coverage,
                            "inside": number.inside,
                        }
                        for number in report.numbers
                    },
                }
                for report in self.reports
            ],
            "report_problems": list(self.problems),
        }


def view_project(path: Path | str, calibration: Calibration) -> ProjectView:
    """Lint a project and compare its own reports with what the model says of it.

    A report is compared at its own tool, version, part, clock and stage, whatever the prediction
    beside it was asked for. What cannot be read becomes a line of ``problems``.

    Args:
        path: the folder that hls4ml wrote, or its configuration, which is looked at alone only where no
            firmware lies beside it.
        calibration: of the predictions.
    """
    from hwnas_hls.evidence.measured_projects import SkipReason, measured_projects
    from hwnas_hls.hls4ml.folder import find_project
    from hwnas_hls.hls4ml.lint import lint_config, lint_folder

    findings: list[str] = []
    problems: list[str] = []
    path = Path(path)
    try:
        if path.is_file():
            if not (path.parent / "firmware" / "parameters.h").is_file():
                return ProjectView(tuple(map(str, lint_config(path))), (), ())
            path = path.parent
        folder = find_project(path)
        findings = [str(finding) for finding in lint_folder(folder)]
    except HwnasError as error:
        return ProjectView((), (), (f"the project was not looked through: {error}",))
    designs, trouble = measured_projects([folder])
    problems += [
        _within(folder, str(problem)) for problem in trouble if problem.kind is not SkipReason.NO_REPORT
    ]
    predictions = predict([design.query for design in designs], calibration)
    reports = []
    for design, prediction in zip(designs, predictions, strict=True):
        if not prediction.metrics:
            problems.append(
                f"{_within(folder, str(design.report))}: {'; '.join(map(str, prediction.reasons))}"
            )
            continue
        numbers = tuple(
            Reported(metric, design.truth[metric], prediction.metrics[metric])
            for metric in LABELS
            if metric in design.truth and (design.query.stage == "csynth" or "cycles" not in metric)
        )
        query = design.query
        title = f"{tool_of(query.tool).text}, {query.part}, {query.clock_ns:g} ns, {query.stage}"
        reports.append(ComparedReport(_within(folder, str(design.report)), title, numbers))
    return ProjectView(tuple(findings), tuple(reports), tuple(problems))


def _within(folder: Path, text: str) -> str:
    """The text with paths of the project's files relative to it."""
    return text.replace(f"{folder}/", "").replace(f"{folder}: ", "")
