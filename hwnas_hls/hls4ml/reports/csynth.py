"""C-synthesis reports: ``*_csynth.xml``, ``csynth.xml``, ``*_csynth.rpt``, ``csynth.rpt``.

Formats as written by Vivado HLS 2016.4 to 2020.1 and Vitis HLS 2020.1 to 2025.2.
"""

from __future__ import annotations

import re
from pathlib import Path

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.reports.csynth_text import csynth_from_lines
from hwnas_hls.hls4ml.reports.elements import Element, read_elements
from hwnas_hls.hls4ml.reports.files import count, is_width, nanoseconds, read_lines, required
from hwnas_hls.hls4ml.reports.reports import Csynth, Module, Port, Resources

_VERSION = re.compile(r"(\d{4})\.(\d)")


def read_csynth(path: Path | str) -> Csynth:
    """Read a C-synthesis report (XML or text) of a design or a single module.

    Raises:
        ReportError: not readable or not a C-synthesis report; the message names the file and the problem.
    """
    path = Path(path)
    if path.suffix.lower() == ".xml":
        return _from_elements(read_elements(path), path)
    return csynth_from_lines(read_lines(path), path)


def _from_elements(root: Element, path: Path) -> Csynth:
    assigned = root.find("UserAssignments")
    performance = root.find("PerformanceEstimates")
    area = root.find("AreaEstimates")
    if assigned is None or performance is None or area is None:
        missing = [
            tag
            for tag, found in (
                ("UserAssignments", assigned),
                ("PerformanceEstimates", performance),
                ("AreaEstimates", area),
            )
            if found is None
        ]
        raise ReportError(
            f"{path}: not a C-synthesis report: has no {' and no '.join(missing)}",
            kind=ErrorKind.WRONG_FORMAT,
        )
    version = _version(root.value("ReportVersion", "Version") or "")
    overall = required(performance.find("SummaryOfOverallLatency"), "SummaryOfOverallLatency", path)
    resources = required(area.find("Resources"), "AreaEstimates/Resources", path)
    used = _resources(resources, path)
    for name in ("lut", "ff", "dsp", "bram_18k"):
        required(getattr(used, name), f"{name} in AreaEstimates/Resources", path)
    available = area.find("AvailableResources")
    unit = assigned.value("unit") or "ns"
    timing = performance.find("SummaryOfTimingAnalysis")
    timing_unit = (timing.value("unit") if timing else None) or unit
    return Csynth(
        path=path,
        tool=_tool(version, assigned, resources),
        version=version,
        part=required(assigned.value("Part") or None, "UserAssignments/Part", path),
        family=assigned.value("ProductFamily") or "",
        top=assigned.value("TopModelName") or _name_of(path),
        clock_target_ns=required(
            _time(assigned.value("TargetClockPeriod"), unit, f"{path}: TargetClockPeriod"),
            "UserAssignments/TargetClockPeriod",
            path,
        ),
        clock_estimated_ns=_time(
            timing.value("EstimatedClockPeriod") if timing else None,
            timing_unit,
            f"{path}: EstimatedClockPeriod",
        ),
        clock_uncertainty_ns=_time(assigned.value("ClockUncertainty"), unit, f"{path}: ClockUncertainty"),
        pipeline=performance.value("PipelineType") or "",
        used=used,
        available=_resources(available, path) if available is not None else Resources(),
        modules=_modules(root, path),
        ports=_ports(root),
        **_cycles(overall, path),
    )


def _tool(version: str, assigned: Element, resources: Element) -> str:
    """The tool of an XML report, from its version; 2020.1 exists for both tools."""
    match = _VERSION.match(version)
    if match is not None and match[0] != "2020.1":
        return "vitis_hls" if (int(match[1]), int(match[2])) > (2020, 1) else "vivado_hls"
    # Vitis HLS has a FlowTarget and counts DSP; Vivado HLS counts DSP48E.
    return "vitis_hls" if assigned.find("FlowTarget") or resources.find("DSP") else "vivado_hls"


def _version(text: str) -> str:
    match = _VERSION.search(text)
    return match[0] if match else text[:20]


def _name_of(path: Path) -> str:
    return path.stem.removesuffix("_csynth")


def _time(text: str | None, unit: str, where: str) -> float | None:
    if text is None:
        return None
    return nanoseconds(text if " " in text.strip() else f"{text.strip()} {unit.strip()}", where)


def _resources(element: Element, path: Path) -> Resources:
    def of(*tags: str) -> int | None:
        for tag in tags:
            found = element.find(tag)
            if found is not None:
                return count(found.text, f"{path}: {element.tag}/{tag}")
        return None

    return Resources(
        lut=of("LUT"),
        ff=of("FF"),
        dsp=of("DSP", "DSP48E", "DSP48", "DSP58"),
        bram_18k=of("BRAM_18K"),
        uram=of("URAM"),
    )


def _cycles(overall: Element, path: Path) -> dict[str, int | None]:
    def of(tag: str) -> int | None:
        text = overall.value(tag)
        # "1 ~ 4": an interval that depends on the data; -min and -max contain its ends
        return count(text, f"{path}: {tag}") if text is None or "~" not in text else None

    both = of("PipelineInitiationInterval")
    return {
        "latency_min": of("Best-caseLatency"),
        "latency_max": of("Worst-caseLatency"),
        "ii_min": of("Interval-min") if overall.find("Interval-min") else both,
        "ii_max": of("Interval-max") if overall.find("Interval-max") else both,
    }


def _ports(root: Element) -> tuple[Port, ...]:
    summary = root.find("InterfaceSummary")
    children = summary.children if summary is not None else ()
    found = [
        (each.value("name"), each.value("Bits") or "", each.value("IOProtocol"))
        for each in children
        if each.tag == "RtlPorts"
    ]
    return tuple(
        Port(name, int(bits), protocol or "") for name, bits, protocol in found if name and is_width(bits)
    )


def _modules(root: Element, path: Path) -> tuple[Module, ...]:
    information = root.find("ModuleInformation")
    if information is None:
        return ()
    modules = []
    for element in information.children:
        name = element.value("Name")
        area = element.find("AreaEstimates", "Resources")
        if element.tag != "Module" or not name or area is None:
            continue
        performance = element.find("PerformanceEstimates") or Element("PerformanceEstimates")
        overall = performance.find("SummaryOfOverallLatency") or Element("SummaryOfOverallLatency")
        estimated = performance.value("SummaryOfTimingAnalysis", "EstimatedClockPeriod")
        modules.append(
            Module(
                name=name,
                used=_resources(area, path),
                pipeline=overall.value("PipelineType") or performance.value("PipelineType") or "",
                clock_estimated_ns=nanoseconds(estimated, f"{path}: {name}: EstimatedClockPeriod"),
                **_cycles(overall, path),  # type: ignore[arg-type]
            )
        )
    return tuple(modules)
