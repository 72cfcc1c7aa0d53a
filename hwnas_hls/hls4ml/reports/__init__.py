"""What Vitis HLS, Vivado HLS and Vivado leave behind, read into one set of typed values.

One reader a kind of report (:func:`read_csynth`, :func:`read_cosim`, :func:`read_utilisation`,
:func:`read_timing`, :func:`read_export`) and one for whole projects (:func:`read_project`).
Counts of block RAM are in 18 kbit halves, times in ns, latencies in clock cycles. Whatever is
wrong with a file raises :class:`hwnas_hls.errors.ReportError`, which names the file and what it
lacks; no more than ``files.MAX_BYTES`` of any file is read.
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
