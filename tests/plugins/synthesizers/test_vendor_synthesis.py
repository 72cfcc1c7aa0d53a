"""Vitis and Vivado driven, against a fake tool first on PATH (there is no licence to test with)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refusal import expect_mentioned, refused

from hwnas_hls.errors import ErrorKind, ToolMissing
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.synthesizer import SynthesisReport
from hwnas_hls.protocols.target import Target
from hwnas_hls.testing import FakeTools
from hwnas_hls_plugins.synthesizers.vendor_tools import VitisSynthesizer, VivadoSynthesizer

Run = Callable[..., SynthesisReport]


@pytest.fixture(scope="module")
def design() -> Design:
    layer = Dense(3, 2, "linear", FixedType(4, 2), None)
    weights = np.array([[1, -2], [3, 0], [7, -8]])
    return Design(Architecture(FixedType(8, 3), (layer,), 5.0), (weights,), (None,))


@pytest.fixture(scope="module")
def target() -> Target:
    return Registry().target("xcvu9p")


@pytest.fixture
def tools(fake_tools: FakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    """No tool is on PATH before a test puts a fake one there; licences are counted apart."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return fake_tools


@pytest.fixture
def run(tools: FakeTools, tmp_path: Path, design: Design, target: Target) -> Run:
    def go(stage: str = "csynth", tool: type = VitisSynthesizer, timeout_s: float = 60.0) -> SynthesisReport:
        config = tool.Config(folder=str(tmp_path / "work"), timeout_s=timeout_s)
        return tool(config).synthesize(design, target, stage)

    return go


def test_c_synthesis_by_vitis_run(tools: FakeTools, run: Run, tmp_path: Path) -> None:
    tools.vendor("vitis-run")
    report = run()
    assert report.failure == ""
    assert report.tool == "vitis_hls 2023.2"
    assert {n: e.value for n, e in report.estimates.items()} == {
        "latency_cycles": 7,
        "latency_ns": 35,
        "ii_cycles": 1,
        "lut_csynth": 432,
        "ff_csynth": 210,
        "dsp_csynth": 3,
        "bram_18k": 0,
        "uram": 0,
        "fmax_mhz": pytest.approx(1000 / 3.64),
    }
    predicted = [name for name, estimate in report.estimates.items() if estimate.source != "csynth"]
    assert predicted == ["latency_ns"]  # cycles are reported, the clock is only asked for
    assert tools.calls() == [["vitis-run", "--tcl", "build_prj.tcl", "--mode", "hls"]]


def test_older_vitis_is_driven_by_its_own_command(tools: FakeTools, run: Run, tmp_path: Path) -> None:
    tools.vendor("vitis_hls")
    assert run().failure == ""
    assert tools.calls()[0][:3] == ["vitis_hls", "-f", "build_prj.tcl"]


def test_vivado_hls_gets_its_options_as_arguments(tools: FakeTools, run: Run, tmp_path: Path) -> None:
    tools.vendor("vivado_hls")
    assert run(tool=VivadoSynthesizer).failure == ""
    assert "synth=1" in tools.calls()[0][3]
    assert "cosim=0" in tools.calls()[0][3]


def test_co_simulation(tools: FakeTools, run: Run, tmp_path: Path) -> None:
    tools.vendor("vitis-run")
    report = run("cosim")
    assert report.failure == ""
    (vectors,) = (tmp_path / "work").rglob("tb_input_features.dat")
    assert len(vectors.read_text().splitlines()) == 64
    assert report.estimates["latency_cycles"].source == "simulated_rtl"


def test_logic_synthesis_keeps_the_schedule_of_c_synthesis(tools: FakeTools, run: Run) -> None:
    tools.vendor("vitis-run")
    report = run("logic_synth")
    assert report.failure == ""
    assert (report.estimates["lut"].value, report.estimates["lut"].source) == (199, "logic_synthesis")
    assert report.estimates["latency_cycles"].source == "csynth"


def test_routing_gives_fmax(tools: FakeTools, run: Run, tmp_path: Path) -> None:
    tools.vendor("vitis-run", "vivado")
    report = run("post_route")
    assert report.failure == ""
    assert report.estimates["fmax_mhz"].value == pytest.approx(250.0)
    assert report.estimates["fmax_mhz"].source == "post_route"
    assert [call[0] for call in tools.calls()] == ["vitis-run", "vivado"]


def test_tools_below_their_home(
    tools: FakeTools, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "Vitis" / "2023.2"
    (home / "bin").mkdir(parents=True)
    tools.vendor("vitis-run", folder=home / "bin")
    monkeypatch.setenv("XILINX_VITIS", str(home))
    assert run().failure == ""


def test_without_the_tool(tools: FakeTools, run: Run, target: Target) -> None:
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["vitis-run", "vitis_hls", "XILINX_VITIS"]):
        run()
    assert "settings64.sh" in VitisSynthesizer(VitisSynthesizer.Config()).available(target)
    tools.vendor("vitis-run")
    assert VitisSynthesizer(VitisSynthesizer.Config()).available(target) == ""
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["vivado"]):
        run("post_route")
    with refused(ErrorKind.UNKNOWN_NAME, near="logic_synth"):
        run("logic_syn")


@pytest.mark.parametrize(
    ("mode", "kind", "named"),
    [
        ("licence", ErrorKind.NO_LICENCE, ["17-345"]),
        ("no_report", ErrorKind.MISSING, []),
        ("half", ErrorKind.UNREADABLE_REPORT, ["csynth.xml"]),
        ("megabytes", ErrorKind.TOOL_FAILED, [1, "out of patience"]),
        ("crash", ErrorKind.CRASHED, [-6]),
    ],
)
def test_failures_of_vendor_tools_are_classified(
    tools: FakeTools,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    kind: ErrorKind,
    named: list[object],
) -> None:
    tools.vendor("vitis-run")
    monkeypatch.setenv("FAKE_VENDOR_MODE", mode)
    report = run()
    assert report.failure_kind is kind
    assert report.estimates == {}
    expect_mentioned(report.failure, named)
    assert len(report.failure) < 1000
    assert report.files["log"].is_file()


def test_a_hanging_tool_is_ended_with_all_it_started(
    tools: FakeTools, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.vendor("vitis-run")
    monkeypatch.setenv("FAKE_VENDOR_MODE", "hang")
    began = time.monotonic()
    report = run(timeout_s=2.0)
    assert report.failure_kind is ErrorKind.TIME_LIMIT
    expect_mentioned(report.failure, ["2 s"])
    assert time.monotonic() - began < 30
    time.sleep(0.2)
    for number in (tools.folder / "pids").read_text().split():
        state = Path(f"/proc/{number}/stat")
        assert not state.exists() or state.read_text().split()[2] == "Z"


def test_licences_are_counted_over_processes(tools: FakeTools, tmp_path: Path) -> None:
    synthesizer = VitisSynthesizer(VitisSynthesizer.Config(licences=2))
    with synthesizer._licence(), synthesizer._licence():
        held = sorted(path.name for path in (tmp_path / "state").rglob("*.lock"))
    assert held == ["vitis-0.lock", "vitis-1.lock"]
