"""Reports of Vitis HLS, Vivado HLS and Vivado: every format, every stage, one set of units."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from places import TESTS
from refusal import refused

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.reports import (
    Resources,
    cosim_estimates,
    csynth_estimates,
    elements,
    export_estimates,
    files,
    project_estimates,
    read_cosim,
    read_csynth,
    read_export,
    read_project,
    read_timing,
    read_utilisation,
    report_paths,
    timing_estimates,
    utilisation_estimates,
)

DATA = TESTS / "data" / "vendor_reports"


def test_vitis_xml_gives_design_and_modules() -> None:
    report = read_csynth(DATA / "vitis_2023_csynth.xml")
    assert (report.tool_version, report.part, report.top) == (
        "vitis_hls 2023.2",
        "xcvu9p-flga2104-2L-e",
        "tagger",
    )
    assert (report.clock_target_ns, report.clock_estimated_ns, report.clock_uncertainty_ns) == (
        5.0,
        3.64,
        1.35,
    )
    assert (report.latency_min, report.latency_max, report.ii_min, report.ii_max) == (11, 12, 1, 1)
    assert report.used == Resources(lut=23456, ff=4321, dsp=77, bram_18k=6, uram=0)
    assert report.available == Resources(lut=1182240, ff=2364480, dsp=6840, bram_18k=4320, uram=960)
    dense, relu = report.modules
    assert (dense.name, dense.latency_max, dense.ii_max) == ("dense_latency_ap_fixed_9_4_config2_s", 4, 1)
    assert dense.used == Resources(20000, 3000, 70, 0, 0)
    assert dense.clock_estimated_ns == 3.501
    assert relu.used.dsp is None  # this report leaves out what a module does not use
    assert relu.ii_min is None  # "1 ~ 2"


def test_vivado_xml_has_other_names_and_undefined_latency() -> None:
    report = read_csynth(DATA / "vivado_2019_csynth.xml")
    assert report.tool_version == "vivado_hls 2019.2"
    assert report.used == Resources(55555, 22222, 1010, 3, 0)
    assert (report.latency_min, report.latency_max, report.ii_max) == (9, None, 2)


@pytest.mark.parametrize(
    ("flow", "counter", "tool"),
    [("<FlowTarget>vivado</FlowTarget>", "DSP", "vitis_hls"), ("", "DSP48E", "vivado_hls")],
)
def test_version_2020_1_was_both_tools(tmp_path: Path, flow: str, counter: str, tool: str) -> None:
    text = (
        (DATA / "vivado_2019_csynth.xml").read_text().replace("2019.2", "2020.1").replace("DSP48E", counter)
    )
    path = tmp_path / "x_csynth.xml"
    path.write_text(text.replace("</UserAssignments>", f"{flow}</UserAssignments>"))
    assert read_csynth(path).tool == tool


def test_text_report_of_2016() -> None:
    report = read_csynth(DATA / "vivado_2016_csynth.rpt")
    assert (report.tool_version, report.family, report.part) == (
        "vivado_hls 2016.4",
        "virtex7",
        "xc7vx690tffg1927-2",
    )
    assert (report.clock_target_ns, report.clock_estimated_ns, report.clock_uncertainty_ns) == (
        5.0,
        4.21,
        0.63,
    )
    assert (report.latency_min, report.latency_max, report.ii_min, report.ii_max) == (14, 15, 3, 4)
    assert report.pipeline == "function"
    assert report.used == Resources(12057, 7890, 321, 2, None)
    assert report.available == Resources(433200, 866400, 3600, 2940, None)
    layer, relu = report.modules
    assert (layer.instance, layer.name, layer.latency_min) == ("grp_compute_layer_1", "compute_layer_0_s", 6)
    assert layer.used == Resources(11500, 6900, 321, 2, None)
    assert (relu.latency_min, relu.used.lut) == (None, 500)


def test_text_report_with_absolute_latency_keeps_the_cycles() -> None:
    report = read_csynth(DATA / "vitis_2021_csynth.rpt")
    assert report.tool_version == "vitis_hls 2021.2"
    assert (report.clock_target_ns, report.clock_uncertainty_ns) == (10.0, 2.7)
    assert (report.latency_min, report.latency_max, report.ii_min, report.ii_max) == (21, 23, 8, 9)
    assert (report.pipeline, report.used) == ("dataflow", Resources(4000, 1600, 40, 9, 0))


def test_overview_without_a_clock_prints_cycles_and_ns() -> None:
    report = read_csynth(DATA / "vitis_2024_overview.rpt")
    assert (report.clock_target_ns, report.clock_estimated_ns, report.latency_max) == (5.0, None, 7)


@pytest.mark.parametrize(
    ("cycles", "latency", "period_ns"),
    [
        ("2469", "1.234e+04", 5.0),  # 12,345 ns: four digits divided by the cycles are 4.998
        (" 777", "1.942e+03", 2.5),
        (" 333", "2.081e+03", 6.25),
        ("   7", "   23.331", 3.333),
        ("   3", "    7.500", 2.5),
    ],
)
def test_the_clock_of_an_overview_is_the_plainest_that_its_latency_rounds_from(
    cycles: str, latency: str, period_ns: float, tmp_path: Path
) -> None:
    path = tmp_path / "csynth.rpt"
    text = (DATA / "vitis_2024_overview.rpt").read_text()
    assert "        7|  35.000|" in text
    path.write_text(text.replace("        7|  35.000|", f"     {cycles}|{latency}|", 1))
    assert read_csynth(path).clock_target_ns == period_ns


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("|  0.03|        7|", "| -0.41|        7|"),
        ("        7|  35.000|", "        0|   0.000|"),
        ("35.000", "     -"),
    ],
)
def test_an_overview_with_an_ambiguous_clock_is_reported(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "csynth.rpt"
    path.write_text((DATA / "vitis_2024_overview.rpt").read_text().replace(old, new, 1))
    with refused(ErrorKind.MISSING, ReportError, mentions=[path]):
        read_csynth(path)


def test_overview_with_a_clock(tmp_path: Path) -> None:
    rule = "+--------+---------+\n"
    clock = f"\n{rule}|  Clock | Target  |\n{rule}|ap_clk  | 5.00 ns |\n{rule}"
    path = tmp_path / "csynth.rpt"
    path.write_text((DATA / "vitis_2024_overview.rpt").read_text() + clock)
    report = read_csynth(path)
    assert (report.latency_max, report.ii_max, report.used) == (7, 1, Resources(3100, 900, 12, 0, 0))
    assert [module.name for module in report.modules] == ["dense_latency_0_s"]


def test_cosim_rows() -> None:
    old = read_cosim(DATA / "vivado_2019_cosim.rpt")
    assert (old.rtl, old.status, old.passed, old.top) == ("Verilog", "Pass", True, "tagger")
    assert (old.latency_min, old.latency_avg, old.latency_max) == (10, 11, 12)
    assert (old.ii_min, old.ii_avg, old.ii_max) == (1, 1, 2)
    new = read_cosim(DATA / "vitis_2022_cosim.rpt")
    assert (new.latency_max, new.ii_max) == (8, None)
    assert "ii_cycles" not in cosim_estimates(new)


def test_cosim_with_only_na_rows_and_with_a_failure(tmp_path: Path) -> None:
    text = (DATA / "vivado_2019_cosim.rpt").read_text()
    path = tmp_path / "tagger_cosim.rpt"
    path.write_text("\n".join(line for line in text.splitlines() if "Verilog" not in line))
    nothing = read_cosim(path)
    assert (nothing.rtl, nothing.status, nothing.latency_max) == ("", "NA", None)
    assert cosim_estimates(nothing) == {}
    path.write_text(text.replace("Pass", "Fail"))
    failed = read_cosim(path)
    assert failed.rtl == "Verilog"
    assert cosim_estimates(failed, 5.0) == {}


def test_flat_utilisation_counts_halves() -> None:
    report = read_utilisation(DATA / "ultrascale_synth.rpt")
    assert (report.tool_version, report.part, report.top) == ("vivado 2019.2", "xcku115flvb2104-2", "tagger")
    assert (report.state, report.stage) == ("Synthesized", "logic_synth")
    assert report.used == Resources(24680, 13579, 954, 2 * 2 + 3, None)
    assert report.available == Resources(663360, 1326720, 5520, 2 * 2160, None)
    assert (report.lutram, report.srl, report.carry, report.ramb36, report.ramb18) == (600, 80, 2468, 2, 3)


def test_tiles_alone_are_halved(tmp_path: Path) -> None:
    lines = (DATA / "ultrascale_synth.rpt").read_text().splitlines()
    path = tmp_path / "vivado_synth.rpt"
    path.write_text("\n".join(line for line in lines if "RAMB" not in line))
    assert read_utilisation(path).used.bram_18k == 7


def test_series7_routed_with_a_column_more() -> None:
    report = read_utilisation(DATA / "series7_routed.rpt")
    assert (report.stage, report.tool_version) == ("post_route", "vivado 2023.1")
    assert report.used == Resources(1234, 2345, 21, 9, None)
    assert report.available.lut == 53200
    assert utilisation_estimates(report)["lut"].source == "post_route"


def test_hierarchical_utilisation() -> None:
    report = read_utilisation(DATA / "hierarchical.rpt")
    assert report.used == Resources(8000, 5000, 33, 2 * 3 + 5, 0)
    assert (report.lutram, report.srl) == (60, 40)
    assert [(m.instance, m.used.lut) for m in report.modules] == [("(tagger)", 10), ("dense_U0", 7990)]


def test_hierarchical_report_is_read_from_first_row(tmp_path: Path) -> None:
    """Of one instance (``-cells``), its head still names the whole design."""
    text = (DATA / "hierarchical.rpt").read_text()
    path = tmp_path / "util.rpt"
    whole = next(line for line in text.splitlines(keepends=True) if line.startswith("| tagger "))
    path.write_text(text.replace(whole, "").replace("|   (tagger) ", "|   dense_U0 "))
    assert read_utilisation(path).top == "dense_U0"
    assert read_utilisation(DATA / "hierarchical.rpt").top == "tagger"


def test_timing_takes_the_clock_with_the_worst_slack() -> None:
    report = read_timing(DATA / "timing_routed.rpt")
    assert (report.wns_ns, report.tns_ns, report.whs_ns) == (-0.25, -1.5, 0.021)
    assert (report.clock, report.period_ns, report.achieved_ns) == ("ap_clk", 2.5, 2.75)
    assert report.met is False
    fmax = timing_estimates(report)["fmax_mhz"]
    assert fmax.value == pytest.approx(1000 / 2.75)
    assert (fmax.source, report.stage) == ("post_route", "post_route")


def test_timing_without_constraints(tmp_path: Path) -> None:
    text = (DATA / "timing_routed.rpt").read_text()
    path = tmp_path / "timing.rpt"
    path.write_text(
        text[: text.index("| Clock Summary")].replace("-0.250", "    NA").replace("-1.500", "    NA")
    )
    report = read_timing(path)
    assert (report.wns_ns, report.achieved_ns, report.met) == (None, None, None)
    assert timing_estimates(report) == {}


def test_a_slack_beyond_the_period_is_refused(tmp_path: Path) -> None:
    lines = (DATA / "timing_routed.rpt").read_text().replace("-0.250", " 2.600").splitlines()
    path = tmp_path / "timing.rpt"
    path.write_text("\n".join(line for line in lines if "slow_clk" not in line))
    with refused(ErrorKind.INVALID, ReportError, mentions=[path, "2.6 ns"]):
        read_timing(path)


def test_export_summary() -> None:
    report = read_export(DATA / "vivado_export.rpt")
    assert (report.stage, report.part, report.achieved_ns) == ("post_route", "xcku115-flvb2104-2-i", 4.25)
    assert report.used == Resources(1500, 1600, 17, 2, None)
    values = export_estimates(report)
    assert (values["fmax_mhz"].value, values["lut"].source) == (pytest.approx(1000 / 4.25), "post_route")


def test_estimates_name_tool_and_file() -> None:
    values = csynth_estimates(read_csynth(DATA / "vitis_2023_csynth.xml"))
    assert values["latency_ns"].value == 60.0
    assert "lut" not in values
    lut = values["lut_csynth"]
    assert (lut.metric, lut.low, lut.value, lut.high) == ("lut_csynth", 23456, 23456, 23456)
    assert lut.source == "csynth"
    assert values["latency_ns"].source == "predicted"
    assert "vitis_hls 2023.2" in lut.evidence
    assert "vitis_2023_csynth.xml" in lut.evidence
    assert values["fmax_mhz"].value == pytest.approx(1000 / 3.64)


def _project(folder: Path) -> Path:
    """A project as hls4ml leaves it after every stage, with two solutions."""
    places = {
        "vitis_2023_csynth.xml": "tagger_prj/solution1/syn/report/tagger_csynth.xml",
        "vivado_2019_csynth.xml": "tagger_prj/solution2/syn/report/tagger_csynth.xml",
        "vitis_2022_cosim.rpt": "tagger_prj/solution1/sim/report/tagger_cosim.rpt",
        "vivado_export.rpt": "tagger_prj/solution1/impl/report/verilog/tagger_export.rpt",
        "ultrascale_synth.rpt": "vivado_synth.rpt",
        "hierarchical.rpt": "util.rpt",
        "timing_routed.rpt": "tagger_accelerator/project_1.runs/impl_1/top_timing_summary_routed.rpt",
    }
    for source, place in places.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / source, folder / place)
    module = (
        (DATA / "vitis_2023_csynth.xml").read_text().replace(">tagger<", ">dense_0_s<").replace("23456", "99")
    )
    (folder / "tagger_prj/solution1/syn/report/dense_0_s_csynth.xml").write_text(module)
    (folder / "project.tcl").write_text('variable project_name\nset project_name "tagger"\n')
    return folder


def test_project_finds_every_solution_and_stage(tmp_path: Path) -> None:
    reports = read_project(_project(tmp_path))
    assert [solution.name for solution in reports.solutions] == [
        "tagger_prj/solution1",
        "tagger_prj/solution2",
    ]
    assert reports.problems == ()
    assert reports.csynth is not None
    assert reports.csynth.used.lut == 23456
    assert [module.top for module in reports.solutions[0].modules] == ["dense_0_s"]
    assert reports.solutions[1].csynth is not None
    assert reports.solutions[1].csynth.used.lut == 55555
    assert reports.solutions[0].export is not None
    assert reports.solutions[0].export.used.lut == 1500
    assert project_estimates(reports, "csynth")["dsp_csynth"].value == 77
    assert project_estimates(reports, "cosim")["latency_ns"].value == 40.0
    assert project_estimates(reports, "cosim")["latency_ns"].source == "predicted"
    assert project_estimates(reports, "logic_synth")["bram_18k"].value == 7
    routed = project_estimates(reports, "post_route")
    assert (routed["lut"].value, round(routed["fmax_mhz"].value)) == (8000, 364)
    assert len(report_paths(reports)) == 8


def test_reports_of_a_project_inside_are_its_own(tmp_path: Path) -> None:
    folder = _project(tmp_path)
    ours = report_paths(read_project(folder))
    shutil.copytree(folder, tmp_path / "copy")
    shutil.move(tmp_path / "copy", folder / "backup")
    parameters = folder / "backup" / "firmware" / "parameters.h"
    parameters.parent.mkdir(exist_ok=True)
    parameters.write_text("#define N 1\n")
    assert report_paths(read_project(folder)) == ours
    assert len(report_paths(read_project(folder / "backup"))) == len(ours)


def test_one_broken_report_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = _project(tmp_path)
    broken = folder / "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    broken.write_text(broken.read_text()[:900])
    reports = read_project(folder)
    assert len(reports.problems) == 1
    assert str(broken) in reports.problems[0]
    assert reports.utilisation("logic_synth") is not None


def test_project_without_a_script_finds_the_outermost_module(tmp_path: Path) -> None:
    for name, top in (("tagger", "tagger"), ("dense_latency_ap_fixed_9_4_config2_s", None)):
        text = (DATA / "vitis_2023_csynth.xml").read_text()
        if top is None:
            text = text.replace("<TopModelName>tagger", f"<TopModelName>{name}")
            text = text[: text.index("<ModuleInformation>")] + "</profile>"
        (tmp_path / f"{name}_csynth.xml").write_text(text)
    csynth = read_project(tmp_path).csynth
    assert csynth is not None
    assert csynth.top == "tagger"


def test_text_and_xml_of_one_report_count_once(tmp_path: Path) -> None:
    shutil.copy(DATA / "vitis_2023_csynth.xml", tmp_path / "tagger_csynth.xml")
    shutil.copy(DATA / "vitis_2021_csynth.rpt", tmp_path / "tagger_csynth.rpt")
    csynth = read_project(tmp_path).csynth
    assert csynth is not None
    assert csynth.path.suffix == ".xml"


def test_links_out_of_the_project_are_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(DATA / "ultrascale_synth.rpt", tmp_path / "elsewhere.rpt")
    (folder / "vivado_synth.rpt").symlink_to(tmp_path / "elsewhere.rpt")
    with refused(ErrorKind.MISSING, ReportError, mentions=[folder]):
        read_project(folder)


@pytest.mark.parametrize(
    ("name", "old", "new", "missing"),
    [
        ("vitis_2023_csynth.xml", "<LUT>23456</LUT>", "", "AreaEstimates"),
        ("vitis_2023_csynth.xml", "<LUT>23456</LUT>", "<LUT>-5</LUT>", "LUT"),
        ("vitis_2023_csynth.xml", "<LUT>23456</LUT>", "<LUT>nan</LUT>", "Resources/LUT"),
        ("vitis_2023_csynth.xml", "<Part>xcvu9p-flga2104-2L-e</Part>", "", "Part"),
        ("vitis_2023_csynth.xml", "<TargetClockPeriod>5.00", "<TargetClockPeriod>-5.00", "TargetClockPeriod"),
        ("vitis_2023_csynth.xml", ">23456<", ">" + "9" * 4000 + "<", "Resources/LUT"),
        ("vivado_2016_csynth.rpt", "Target device", "Device aimed at", "Target device"),
        ("vivado_2016_csynth.rpt", "|Total            |", "|Sum              |", "Total"),
        ("vivado_2016_csynth.rpt", "|   14|   15|", "|   -3|   15|", "latency"),
        ("ultrascale_synth.rpt", "| DSPs ", "| xxxx ", "DSPs"),
        ("ultrascale_synth.rpt", " 24680 ", " 24680.3 ", "CLB LUTs"),
        ("ultrascale_synth.rpt", " 3.5 ", " -3.5 ", "Block RAM Tile"),
        ("hierarchical.rpt", " RAMB18 ", " RAMB19 ", "bram_18k"),
        ("timing_routed.rpt", "-0.250       -1.500 ", "   inf ", "WNS(ns)"),
        ("vivado_2019_cosim.rpt", "|             10|             11|", "|             1e9|", "Verilog"),
        ("vivado_export.rpt", "LUT:           1500", "LUT:           many", "LUT"),
    ],
)
def test_missing_or_absurd_values_are_named(
    tmp_path: Path, name: str, old: str, new: str, missing: str
) -> None:
    text = (DATA / name).read_text()
    assert old in text
    path = tmp_path / name
    path.write_text(text.replace(old, new))
    read = {
        "c": read_csynth,
        "u": read_utilisation,
        "h": read_utilisation,
        "t": read_timing,
        "e": read_export,
    }
    kind = "c" if "csynth" in name else "e" if "export" in name else name[0]
    reader = read_cosim if "cosim" in name else read[kind]
    with refused(ErrorKind.UNREADABLE_REPORT, ReportError, mentions=[path, missing]):
        reader(path)


def test_xml_bombs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a_csynth.xml"
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "aaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><p>&b;</p>'
    )
    with refused(ErrorKind.WRONG_FORMAT, ReportError, mentions=[path]):
        read_csynth(path)
    path.write_text('<!DOCTYPE p SYSTEM "file:///etc/passwd"><p/>')
    with refused(ErrorKind.WRONG_FORMAT, ReportError, mentions=[path]):
        read_csynth(path)
    path.write_text("<p>" * 5000)
    with refused(ErrorKind.TOO_LARGE, ReportError, mentions=[path, elements.MAX_DEPTH]):
        read_csynth(path)
    path.write_text("<p>" + "<q/>" * 500_000 + "</p>")
    with refused(ErrorKind.TOO_LARGE, ReportError, mentions=[path, elements.MAX_ELEMENTS]):
        read_csynth(path)


def test_non_files_are_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "x_csynth.rpt"
    os.mkfifo(fifo)
    with refused(ErrorKind.NOT_ACCESSIBLE, ReportError, mentions=[fifo]):
        read_csynth(fifo)
    with refused(ErrorKind.NOT_ACCESSIBLE, ReportError, mentions=[tmp_path / "absent.rpt"]):
        read_utilisation(tmp_path / "absent.rpt")
    with refused(ErrorKind.NOT_ACCESSIBLE, ReportError, mentions=[tmp_path]):
        read_timing(tmp_path)
    huge = tmp_path / "huge.rpt"
    with huge.open("wb") as file:
        file.truncate(3 * 2**30)
    with refused(ErrorKind.TOO_LARGE, ReportError, mentions=[huge, "32 MiB"]):
        read_cosim(huge)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1", "cp1252"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "tagger_csynth.rpt"
    text = (DATA / "vivado_2016_csynth.rpt").read_text().replace("Mon Jan", "Mon Jän")
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert read_csynth(path).used.lut == 12057


def test_too_many_lines_are_refused_before_they_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "vivado_synth.rpt"
    path.write_text("||\n" * 400_000)
    with refused(ErrorKind.TOO_LARGE, ReportError, mentions=[path, files.MAX_LINES]):
        read_utilisation(path)


def test_reports_of_the_implementation_that_hls_runs(tmp_path: Path) -> None:
    place = tmp_path / "tagger_prj/solution1/impl/verilog/report"
    place.mkdir(parents=True)
    shutil.copy(DATA / "series7_routed.rpt", place / "tagger_utilization_routed.rpt")
    generated = tmp_path / "tagger_prj/solution1/syn/verilog/report"
    generated.mkdir(parents=True)
    shutil.copy(DATA / "ultrascale_synth.rpt", generated / "vivado_synth.rpt")
    reports = read_project(tmp_path)
    assert [report.path.name for report in reports.utilisations] == ["tagger_utilization_routed.rpt"]


def test_the_overview_as_text_is_read_only_where_nothing_else_is(tmp_path: Path) -> None:
    shutil.copy(DATA / "vitis_2024_overview.rpt", tmp_path / "csynth.rpt")
    alone = read_project(tmp_path).csynth
    assert alone is not None
    assert alone.used.lut == 3100
    shutil.copy(DATA / "vitis_2021_csynth.rpt", tmp_path / "tagger_csynth.rpt")
    reports = read_project(tmp_path)
    assert reports.problems == ()
    assert reports.csynth is not None
    assert reports.csynth.used.lut == 4000
