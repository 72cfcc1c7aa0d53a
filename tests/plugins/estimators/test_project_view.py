"""``predict`` of a project folder: pitfalls and own reports beside the prediction; calibrating on folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from parts import XCKU115
from places import TESTS
from refusal import expect_mentioned

from hwnas_hls.hls4ml.project import write_project
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.hls_model import read_calibration
from hwnas_hls_plugins.estimators.hls_model.calibrate_command import calibrate_command
from hwnas_hls_plugins.estimators.hls_model.command import predict_command
from hwnas_hls_plugins.estimators.hls_model.project_view import view_project

DATA = TESTS / "data" / "vendor_reports"
TARGET = XCKU115


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Latency project with a C-synthesis and a Vivado report; its configuration says Resource."""
    folder = tmp_path_factory.mktemp("projects") / "tagger"
    kind = FixedType(6, 2)
    layer = Dense(6, 3, "linear", kind, kind, None, FixedType(12, 6))
    rng = np.random.default_rng(0)
    design = Design(
        Architecture(FixedType(8, 3), (layer,), clock_ns=5.0),
        (rng.integers(-31, 32, (6, 3)),),
        (rng.integers(-31, 32, 3),),
    )
    write_project(design, TARGET, folder, clock_ns=5.0, name="tagger", backend="Vivado")
    # Figures of the size of this net, so that the report is one that it could have.
    text = (
        (DATA / "vivado_2019_csynth.xml")
        .read_text()
        .replace("<Worst-caseLatency>undef", "<Worst-caseLatency>4")
    )
    for old, new in (("55555", "900"), ("22222", "210"), ("1010", "0")):
        assert old in text
        text = text.replace(old, new)
    report = folder / "tagger_prj" / "solution1" / "syn" / "report" / "tagger_csynth.xml"
    report.parent.mkdir(parents=True)
    report.write_text(text)
    routed = (DATA / "ultrascale_synth.rpt").read_text()
    assert "|  954 |" in routed  # more DSPs than 18 products could take
    (folder / "vivado_synth.rpt").write_text(routed.replace("|  954 |", "|    0 |"))
    config = folder / "hls4ml_config.yml"
    assert "Strategy: Latency" in config.read_text()
    config.write_text(config.read_text().replace("Strategy: Latency", "Strategy: Resource"))
    return folder


def test_own_reports_are_shown_beside_prediction(project: Path) -> None:
    view = view_project(project, read_calibration())
    csynth, synth = view.reports
    assert csynth.file == "tagger_prj/solution1/syn/report/tagger_csynth.xml"
    assert "vivado_hls 2019.2" in csynth.title
    numbers = {number.metric: number for number in csynth.numbers}
    assert (numbers["lut"].reported, numbers["ff"].reported) == (900, 210)
    lut = numbers["lut"].predicted
    assert numbers["lut"].inside == (lut.low <= 900 <= lut.high)
    assert synth.file == "vivado_synth.rpt"
    assert {number.metric for number in synth.numbers} == {"lut", "ff", "dsp", "bram_18k"}
    assert not next(number for number in synth.numbers if number.metric == "lut").inside


def test_lint_findings_are_printed_with_the_prediction(project: Path) -> None:
    result = CliRunner().invoke(predict_command, [str(project)])
    assert result.exit_code == 0, result.output
    assert "stale-config" in result.output
    expect_mentioned(result.output, ["vivado_synth.rpt"])
    assert all(len(line) <= 80 for line in result.output.splitlines())
    data = json.loads(CliRunner().invoke(predict_command, [str(project), "--json"]).stdout)
    assert any("stale-config" in finding for finding in data["lint"])
    assert data["reports"][0]["metrics"]["lut"]["reported"] == 900
    of_report = data["reports"][0]["metrics"]["lut"]
    assert data["metrics"]["lut_csynth"]["value"] == of_report["value"]


def test_a_broken_report_is_named_and_hides_nothing(project: Path) -> None:
    broken = project / "tagger_prj" / "solution2" / "syn" / "report" / "tagger_csynth.xml"
    broken.parent.mkdir(parents=True)
    broken.write_text("<profile><cut")
    try:
        view = view_project(project, read_calibration())
        assert len(view.reports) == 2
        assert any("solution2" in problem for problem in view.problems)
        assert "reports: " in view.text
    finally:
        broken.unlink()


def test_a_folder_of_projects_calibrates(project: Path, tmp_path: Path) -> None:
    output = tmp_path / "own.json"
    (project.parent / "junk" / "firmware").mkdir(parents=True, exist_ok=True)
    (project.parent / "junk" / "firmware" / "parameters.h").write_text("// nothing")
    arguments = [str(project.parent), "--output", str(output), "--json"]
    # The report of Vivado is of a much larger network: used only on request.
    careful = CliRunner().invoke(calibrate_command, arguments)
    assert careful.exit_code == 0, careful.output
    assert any("doubtful" in entry["reason"] for entry in json.loads(careful.stdout)["left_out"])
    result = CliRunner().invoke(calibrate_command, [*arguments, "--doubtful", "--force"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["designs"] == 2
    assert any("junk" in entry["source"] for entry in data["left_out"])
    (site,) = [site for site in data["sites"] if site["site"].startswith("csynth")]
    assert site["site"] == "csynth|latency|vivado|ultrascale|2019.2"
    assert site["errors"][0]["known"] == "weights known"
    before, after = (
        view_project(project, used).reports[0].numbers
        for used in (read_calibration(), read_calibration(output))
    )
    off = [
        abs(number.predicted.value / number.reported - 1)
        for numbers in (before, after)
        for number in numbers
        if number.metric == "lut"
    ]
    assert off[1] < off[0]


def test_a_lone_configuration_is_linted(tmp_path: Path) -> None:
    config = tmp_path / "hls4ml_config.yml"
    config.write_text(
        "Part: xcvu9p-flga2104-2L-e\nClockPeriod: 5\nBackend: Vitis\nIOType: io_parallel\n"
        "HLSConfig:\n  Model: {Precision: 'fixed<16,6>', ReuseFactor: 1, Strategy: Latncy}\n"
    )
    view = view_project(config, read_calibration())
    assert any("strategy-spelling" in finding and finding.startswith("warning") for finding in view.findings)
    assert view.reports == ()


def test_the_configuration_file_of_a_project_shows_findings_and_reports(project: Path) -> None:
    result = CliRunner().invoke(predict_command, [str(project / "hls4ml_config.yml")])
    assert result.exit_code == 0, result.output
    assert "stale-config" in result.output
    expect_mentioned(result.output, ["vivado_synth.rpt"])
