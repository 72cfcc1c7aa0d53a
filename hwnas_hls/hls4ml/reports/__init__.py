"""Readers of the reports of Vitis HLS, Vivado HLS and Vivado.

There is one reader per kind of report (:func:`read_csynth`, :func:`read_cosim`,
:func:`read_utilisation`, :func:`read_timing`, :func:`read_export`), and one for whole projects
(:func:`read_project`). Block RAM is counted in units of 18 kbit, times are in ns, latencies in clock
cycles. A faulty file raises :class:`hwnas_hls.errors.ReportError`, which names the file and the
problem; at most ``files.MAX_BYTES`` of a file are read.
"""

from __future__ import annotations

from hwnas_hls.hls4ml.reports.cosim import read_cosim
from hwnas_hls.hls4ml.reports.csynth import read_csynth
from hwnas_hls.hls4ml.reports.estimates import (
    cosim_estimates,
    csynth_estimates,
    export_estimates,
    project_estimates,
    report_paths,
    timing_estimates,
    utilisation_estimates,
)
from hwnas_hls.hls4ml.reports.project import NoReports, read_project
from hwnas_hls.hls4ml.reports.reports import (
    Cosim,
    Csynth,
    Export,
    Module,
    ProjectReports,
    Resources,
    Solution,
    Timing,
    Utilisation,
)
from hwnas_hls.hls4ml.reports.timing import read_export, read_timing
from hwnas_hls.hls4ml.reports.utilisation import read_utilisation

__all__ = [
    "Cosim",
    "Csynth",
    "Export",
    "Module",
    "NoReports",
    "ProjectReports",
    "Resources",
    "Solution",
    "Timing",
    "Utilisation",
    "cosim_estimates",
    "csynth_estimates",
    "export_estimates",
    "project_estimates",
    "read_cosim",
    "read_csynth",
    "read_export",
    "read_project",
    "read_timing",
    "read_utilisation",
    "report_paths",
    "timing_estimates",
    "utilisation_estimates",
]
