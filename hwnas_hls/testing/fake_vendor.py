"""A mock of vitis-run, vitis_hls, vivado_hls and vivado: checks its inputs and writes reports.

:meth:`hwnas_hls.testing.FakeTools.vendor` copies this file under the name of each tool, so it uses
the standard library only. ``FAKE_VENDOR_MODE`` selects the behaviour: ``ok``, ``licence`` (refused),
``hang``, ``megabytes`` (of log output, then an error), ``crash``, ``no_report`` or ``half`` (a
truncated report).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

MODE = os.environ.get("FAKE_VENDOR_MODE", "ok")
NAME = Path(sys.argv[0]).name
HERE = Path.cwd()
#: Holds the process ids of a hanging tool and its child, so tests can check that both were ended.
PIDS = Path(sys.argv[0]).with_name("pids")


def need(condition: object, what: str) -> None:
    """Exit with an error, as the real tool would, unless ``condition`` is true."""
    if not condition:
        print(f"ERROR: fake {NAME}: {what}")
        sys.exit(9)


def tcl_value(text: str, name: str) -> str:
    """The value of ``set NAME VALUE`` in a Tcl script."""
    found = re.search(rf"set\s+{name}\s+\"?([^\"\n]+)\"?", text)
    need(found, f"project.tcl does not set {name}")
    return found[1].strip() if found else ""


CSYNTH = """<?xml version="1.0"?>
<profile>
<section name="Vitis HLS Report" level="0"/>
<ReportVersion><Version>2023.2</Version></ReportVersion>
<UserAssignments><unit>ns</unit><ProductFamily>virtexuplus</ProductFamily><Part>{part}</Part>
<TopModelName>{top}</TopModelName><TargetClockPeriod>{clock}</TargetClockPeriod>
<ClockUncertainty>1.35</ClockUncertainty></UserAssignments>
<PerformanceEstimates>
<SummaryOfTimingAnalysis><unit>ns</unit><EstimatedClockPeriod>3.640</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency><unit>clock cycles</unit><Best-caseLatency>7</Best-caseLatency>
<Average-caseLatency>7</Average-caseLatency><Worst-caseLatency>7</Worst-caseLatency>
<PipelineInitiationInterval>1</PipelineInitiationInterval>
<Interval-min>1</Interval-min><Interval-max>1</Interval-max></SummaryOfOverallLatency>
</PerformanceEstimates>
<AreaEstimates><Resources><BRAM_18K>0</BRAM_18K><DSP>3</DSP><FF>210</FF><LUT>432</LUT><URAM>0</URAM></Resources>
<AvailableResources><BRAM_18K>4320</BRAM_18K><DSP>6840</DSP><FF>2364480</FF><LUT>1182240</LUT>
<URAM>960</URAM></AvailableResources></AreaEstimates>
</profile>
"""
COSIM = """+----------+----------+-----------------------+-----------------------+----------------------+
|          |          | Latency(Clock Cycles) | Interval(Clock Cycles)| Total Execution Time |
+   RTL    +  Status  +-----------------------+-----------------------+    (Clock Cycles)    +
|          |          |  min  |  avg  |  max  |  min  |  avg  |  max  |                      |
+----------+----------+-------+-------+-------+-------+-------+-------+----------------------+
|      VHDL|        NA|     NA|     NA|     NA|     NA|     NA|     NA|                    NA|
|   Verilog|      Pass|      7|      7|      7|      1|      1|      1|                    70|
+----------+----------+-------+-------+-------+-------+-------+-------+----------------------+
"""
UTILISATION = """| Tool Version : Vivado v.2023.2 (lin64) Build 4029153 Fri Oct 13 20:13:54 MDT 2023
| Command      : report_utilization -file {file}
| Design       : {top}
| Device       : {part}
| Design State : {state}

Utilization Design Information

+----------------------------+-------+-------+-----------+-------+
|          Site Type         |  Used | Fixed | Available | Util% |
+----------------------------+-------+-------+-----------+-------+
| CLB LUTs                   |   199 |     0 |   1182240 |  0.02 |
| CLB Registers              |   180 |     0 |   2364480 |  0.01 |
+----------------------------+-------+-------+-----------+-------+

+-------------------+------+-------+-----------+-------+
|     Site Type     | Used | Fixed | Available | Util% |
+-------------------+------+-------+-----------+-------+
| Block RAM Tile    |    0 |     0 |      2160 |  0.00 |
|   RAMB36/FIFO*    |    0 |     0 |      2160 |  0.00 |
|   RAMB18          |    0 |     0 |      4320 |  0.00 |
+-------------------+------+-------+-----------+-------+

+----------------+------+-------+-----------+-------+
|    Site Type   | Used | Fixed | Available | Util% |
+----------------+------+-------+-----------+-------+
| DSPs           |    3 |     0 |      6840 |  0.04 |
+----------------+------+-------+-----------+-------+
"""
TIMING = """| Tool Version : Vivado v.2023.2 (lin64) Build 4029153 Fri Oct 13 20:13:54 MDT 2023
| Command      : report_timing_summary -file {top}_timing_summary_routed.rpt
| Design       : {top}
| Device       : {part}

Timing Summary Report

| Design Timing Summary
| ---------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints
    -------      -------  ---------------------  -------------------
      1.000        0.000                      0                 4000

| Clock Summary
| -------------

Clock   Waveform(ns)       Period(ns)      Frequency(MHz)
-----   ------------       ----------      --------------
ap_clk  {{0.000 2.500}}      {clock}          200.000
"""


def main() -> int:
    """Run the steps in the arguments and the script, as the real tool would."""
    if MODE == "licence":
        print("ERROR: [Common 17-345] A valid license was not found for feature 'HLS'")
        return 1
    if MODE == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        PIDS.write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    if MODE == "megabytes":
        for _ in range(64):
            sys.stdout.write("INFO: [HLS 200-10] chatter\n" * 20000)
        print("ERROR: [HLS 200-70] out of patience")
        return 1
    if MODE == "crash":
        os.abort()
    project = (HERE / "project.tcl").read_text()
    top, part = tcl_value(project, "project_name"), tcl_value(project, "part")
    clock = tcl_value(project, "clock_period")
    if NAME == "vivado":
        need(sys.argv[1:3] == ["-mode", "batch"], "not started in batch mode")
        script = (HERE / "implement.tcl").read_text()
        for step in (
            "synth_design",
            "out_of_context",
            "create_clock",
            "route_design",
            "report_timing_summary",
        ):
            need(step in script, f"the script has no {step}")
        need(f"-part {part}" in script, "the part differs from the project's")
        (HERE / f"{top}_utilization_routed.rpt").write_text(
            UTILISATION.format(top=top, part=part, state="Fully Routed", file="x.rpt")
        )
        (HERE / f"{top}_timing_summary_routed.rpt").write_text(
            TIMING.format(top=top, part=part, clock="5.000")
        )
        return 0
    if NAME == "vitis-run":
        need(sys.argv[1:] == ["--tcl", "build_prj.tcl", "--mode", "hls"], f"arguments {sys.argv[1:]}")
        options = (HERE / "build_opt.tcl").read_text()
    else:
        need(sys.argv[1:3] == ["-f", "build_prj.tcl"], f"arguments {sys.argv[1:]}")
        options = (
            sys.argv[3].replace("=", " ") if NAME == "vivado_hls" else (HERE / "build_opt.tcl").read_text()
        )
    need(re.search(r"synth\s+1", options), "C synthesis was not requested")
    need((HERE / "firmware" / f"{top}.cpp").is_file(), "no firmware")
    report = HERE / f"{top}_prj" / "solution1" / "syn" / "report"
    report.mkdir(parents=True)
    text = CSYNTH.format(part=part, top=top, clock=clock)
    if MODE == "no_report":
        return 0
    (report / f"{top}_csynth.xml").write_text(text[: len(text) // 2] if MODE == "half" else text)
    if re.search(r"cosim\s+1", options):
        vectors = HERE / "tb_data" / "tb_input_features.dat"
        need(vectors.is_file() and vectors.read_text().strip(), "no test vectors")
        place = report.parent.parent / "sim" / "report"
        place.mkdir(parents=True)
        (place / f"{top}_cosim.rpt").write_text(COSIM)
    if re.search(r"vsynth\s+1", options):
        (HERE / "vivado_synth.rpt").write_text(
            UTILISATION.format(top=top, part=part, state="Synthesized", file="vivado_synth.rpt")
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
