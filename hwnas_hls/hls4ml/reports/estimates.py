"""Measured estimates from reports, each with its file and tool as evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from hwnas_hls.hls4ml.reports.reports import (
    RESOURCES,
    Cosim,
    Csynth,
    Export,
    ProjectReports,
    Resources,
    Timing,
    Utilisation,
)
from hwnas_hls.values.estimate import CSYNTH_OF, Estimate, in_ns, measured

#: Stage of a synthesizer -> source of an estimate.
STAGE_SOURCES = {
    "csynth": "csynth",
    "cosim": "simulated_rtl",
    "logic_synth": "logic_synthesis",
    "post_route": "post_route",
}


def csynth_estimates(report: Csynth) -> dict[str, Estimate]:
    """Latency, II and resources of C synthesis, source ``csynth``.

    LUT, FF and DSP have names of their own (``lut_csynth``), because logic synthesis finds other numbers.
    Latency is the worst case; nanoseconds are cycles times the target clock period, ``predicted``. The
    estimated clock of C synthesis becomes ``fmax_mhz``.
    """
    evidence = f"C synthesis by {report.tool_version} for {report.part}: {report.path.name}"
    found = _resources(report.used, "csynth", evidence)
    out = {CSYNTH_OF.get(name, name): estimate for name, estimate in found.items()}
    out = {name: dataclasses.replace(estimate, metric=name) for name, estimate in out.items()}
    _cycles(out, report.latency_max, report.ii_max, report.clock_target_ns, "csynth", evidence)
    if report.clock_estimated_ns:
        value = 1000.0 / report.clock_estimated_ns
        out["fmax_mhz"] = measured("fmax_mhz", value, "csynth", f"{evidence}, estimated clock period")
    return out


def cosim_estimates(report: Cosim, clock_ns: float | None = None) -> dict[str, Estimate]:
    """Latency and II of co-simulation, source ``simulated_rtl``; nothing unless it passed.

    Args:
        report: the report.
        clock_ns: clock period, for the latency in ns.
    """
    out: dict[str, Estimate] = {}
    if report.passed:
        tool = f" by {report.tool}" if report.tool else ""
        evidence = f"{report.rtl} co-simulation{tool}: {report.path.name}"
        _cycles(out, report.latency_max, report.ii_max, clock_ns, "simulated_rtl", evidence)
    return out


def utilisation_estimates(report: Utilisation) -> dict[str, Estimate]:
    """Resources after logic synthesis or routing."""
    state = f" ({report.state})" if report.state else ""
    evidence = f"utilisation by {report.tool_version} for {report.part}{state}: {report.path.name}"
    return _resources(report.used, STAGE_SOURCES[report.stage], evidence)


def timing_estimates(report: Timing) -> dict[str, Estimate]:
    """Fmax from the worst setup slack; empty if no clock was constrained."""
    if report.fmax_mhz is None:
        return {}
    evidence = (
        f"slack {report.wns_ns} ns at {report.period_ns} ns by {report.tool_version} for {report.part}: "
        f"{report.path.name}"
    )
    return {"fmax_mhz": measured("fmax_mhz", report.fmax_mhz, STAGE_SOURCES[report.stage], evidence)}


def export_estimates(report: Export) -> dict[str, Estimate]:
    """Resources and Fmax from the summary that HLS writes after running Vivado out of context."""
    source = STAGE_SOURCES[report.stage]
    evidence = f"export by {report.tool_version} for {report.part}: {report.path.name}"
    out = _resources(report.used, source, evidence)
    if report.achieved_ns:
        out["fmax_mhz"] = measured("fmax_mhz", 1000.0 / report.achieved_ns, source, evidence)
    return out


def project_estimates(reports: ProjectReports, stage: str) -> dict[str, Estimate]:
    """The estimates from a project's reports of one stage; empty without such reports.

    Args:
        reports: all reports of the project.
        stage: ``csynth``, ``cosim``, ``logic_synth`` or ``post_route``.
    """
    out: dict[str, Estimate] = {}
    if stage == "csynth" and reports.csynth is not None:
        out = csynth_estimates(reports.csynth)
    elif stage == "cosim" and reports.cosim is not None:
        clock = reports.csynth.clock_target_ns if reports.csynth else None
        out = cosim_estimates(reports.cosim, clock)
    elif stage in ("logic_synth", "post_route"):
        utilisation, timing = reports.utilisation(stage), reports.timing(stage)
        exports = [s.export for s in reports.solutions if s.export is not None and s.export.stage == stage]
        if exports:
            out |= export_estimates(exports[0])
        if utilisation is not None:
            out |= utilisation_estimates(utilisation)
        if timing is not None:
            out |= timing_estimates(timing)
    return out


def report_paths(reports: ProjectReports) -> list[Path]:
    """All files that were read, in order."""
    found: Iterable[Csynth | Cosim | Utilisation | Timing | None] = (
        *(report for s in reports.solutions for report in (s.csynth, s.cosim, *s.modules)),
        *reports.utilisations,
        *reports.timings,
    )
    exports = [s.export.path for s in reports.solutions if s.export is not None]
    return [report.path for report in found if report is not None] + exports


def _resources(used: Resources, source: str, evidence: str) -> dict[str, Estimate]:
    values = {name: getattr(used, name) for name in RESOURCES}
    return {
        name: measured(name, float(value), source, evidence)
        for name, value in values.items()
        if value is not None
    }


def _cycles(
    out: dict[str, Estimate],
    latency: int | None,
    interval: int | None,
    clock_ns: float | None,
    source: str,
    evidence: str,
) -> None:
    if latency is not None:
        out["latency_cycles"] = measured("latency_cycles", float(latency), source, evidence)
        if clock_ns:
            out["latency_ns"] = in_ns(out["latency_cycles"], clock_ns)
    if interval is not None:
        out["ii_cycles"] = measured("ii_cycles", float(interval), source, evidence)
