"""Verdicts: by one cycle, one LUT, 0.1 % accuracy; without evidence; against the prediction."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from refusal import expect_mentioned, refused

from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import ErrorKind
from hwnas_hls.evidence import files as evidence
from hwnas_hls.evidence.circuits import firmware_hash
from hwnas_hls.evidence.verdict import NOT_PROVEN, PROVEN, REFUTED, judge, overall
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.run.storage.database import run_lock
from hwnas_hls.values.estimate import Estimate, measured
from hwnas_hls.values.objective import Limit
from hwnas_hls_plugins.estimators.hls_model.calibration import read_calibration
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenSynthesizer
from hwnas_hls_plugins.synthesizers.vendor_reports import ReportsSynthesizer

PART = "xcvu9p-flga2104-2L-e"


def predicted(metric: str, value: float, low: float, high: float) -> Estimate:
    return Estimate(metric, value, low, high, "predicted", "a model", 0.9)


def verdict_of(limit: Limit, *known: Estimate, clock_ns: float = 5.0) -> tuple[str, str]:
    (finding,) = judge([limit], known, clock_ns)
    return finding.verdict, finding.why


def test_by_one_cycle() -> None:
    cycles = measured("latency_cycles", 10, "simulated_rtl", "RTL simulation")
    assert verdict_of(Limit("latency_cycles", "max", 10), cycles)[0] == PROVEN
    assert verdict_of(Limit("latency_cycles", "max", 9), cycles)[0] == REFUTED


def test_by_one_lut() -> None:
    lut = measured("lut", 5000, "post_route", "util.rpt")
    assert verdict_of(Limit("lut", "max", 5000), lut)[0] == PROVEN
    assert verdict_of(Limit("lut", "max", 4999), lut)[0] == REFUTED


def test_by_a_tenth_of_a_percent_of_accuracy() -> None:
    accuracy = Estimate("accuracy", 0.9395, 0.92, 0.955, "csim", "all test rows", 0.9)
    assert verdict_of(Limit("accuracy", "min", 0.9395), accuracy)[0] == PROVEN
    assert verdict_of(Limit("accuracy", "min", 0.9405), accuracy)[0] == REFUTED


def test_a_score_at_the_bound_states_the_interval_of_other_rows() -> None:
    accuracy = Estimate("accuracy", 0.9395, 0.92, 0.955, "csim", "all test rows", 0.9)
    for bound, mentioned in ((0.93, True), (0.95, True), (0.91, False), (0.96, False)):
        assert ("0.92 to 0.955" in verdict_of(Limit("accuracy", "min", bound), accuracy)[1]) == mentioned


def test_interval_across_bound_is_not_proven() -> None:
    lut = Estimate("lut", 5000, 4800, 5200, "open_synthesis", "Yosys", 0.9)
    assert verdict_of(Limit("lut", "max", 5200), lut)[0] == PROVEN
    assert verdict_of(Limit("lut", "max", 5100), lut)[0] == NOT_PROVEN
    assert verdict_of(Limit("lut", "max", 4799), lut)[0] == REFUTED


def test_missing_evidence_is_named() -> None:
    verdict, why = verdict_of(Limit("lut", "max", 5000))
    assert verdict == NOT_PROVEN
    assert "logic synthesis" in why
    verdict, why = verdict_of(Limit("lut", "max", 5000), predicted("lut", 100, 50, 200))
    assert verdict == NOT_PROVEN
    assert "predicted" in why
    verdict, why = verdict_of(Limit("lut", "max", 5000), measured("lut_csynth", 100, "csynth", "csynth.xml"))
    assert verdict == NOT_PROVEN, "C synthesis is no ground truth for LUTs"
    assert "lut_csynth 100" in why


def test_report_overrides_contradicting_prediction() -> None:
    known = (predicted("lut", 100, 90, 110), measured("lut", 6000, "logic_synthesis", "vivado_synth.rpt"))
    verdict, why = verdict_of(Limit("lut", "max", 5000), *known)
    assert verdict == REFUTED
    assert "vivado_synth.rpt" in why


def test_the_strongest_source_decides() -> None:
    known = (measured("lut", 4000, "open_synthesis", "Yosys"), measured("lut", 6000, "post_route", "util"))
    assert verdict_of(Limit("lut", "max", 5000), *known)[0] == REFUTED
    assert verdict_of(Limit("lut", "max", 5000), *reversed(known))[0] == REFUTED


def test_nanoseconds_need_cycles_and_timing() -> None:
    limit = Limit("latency_ns", "max", 50.0)
    cycles = measured("latency_cycles", 10, "simulated_rtl", "RTL simulation")
    assert verdict_of(limit)[0] == NOT_PROVEN
    verdict, why = verdict_of(limit, cycles)
    assert verdict == NOT_PROVEN
    assert "5 ns has no timing evidence" in why
    assert verdict_of(limit, cycles, measured("fmax_mhz", 210, "post_route", "timing.rpt"))[0] == PROVEN
    assert verdict_of(limit, cycles, measured("fmax_mhz", 190, "post_route", "timing.rpt"))[0] == REFUTED
    # A design that misses its clock is refuted under a loose limit as well, and the reason is the clock.
    verdict, why = verdict_of(
        Limit("latency_ns", "max", 1000.0), cycles, measured("fmax_mhz", 160, "post_route", "timing.rpt")
    )
    assert verdict == REFUTED
    expect_mentioned(why, ["misses this clock", "6.25 ns", "62.5 ns"])
    # One cycle too many is refuted whatever the timing says.
    assert verdict_of(limit, measured("latency_cycles", 11, "csynth", "csynth.xml"))[0] == REFUTED
    # A predicted clock frequency is no timing evidence.
    assert verdict_of(limit, cycles, predicted("fmax_mhz", 400, 300, 500))[0] == NOT_PROVEN


def test_numbers_of_another_circuit_are_set_aside() -> None:
    counted = dataclasses.replace(measured("lut", 400, "open_synthesis", "Yosys"), circuit="a" * 64)
    limit = [Limit("lut", "max", 500)]
    assert judge(limit, [counted], 5.0, "a" * 64)[0].verdict == PROVEN
    assert judge(limit, [counted], 5.0)[0].verdict == PROVEN
    finding = judge(limit, [counted], 5.0, "b" * 64)[0]
    assert finding.verdict == NOT_PROVEN
    assert "lut 400 of circuit aaaaaaaaaaaa" in finding.why


def test_cycles_and_clock_are_of_one_circuit() -> None:
    limit = Limit("latency_ns", "max", 50.0)

    def of(circuit: str, estimate: Estimate) -> Estimate:
        return dataclasses.replace(estimate, circuit=circuit)

    rtl = of("a" * 64, measured("latency_cycles", 4, "simulated_rtl", "RTL simulation"))
    scheduled = measured("latency_cycles", 9, "csynth", "csynth.xml")
    fmax = measured("fmax_mhz", 250, "post_route", "a timing report")
    assert verdict_of(limit, rtl, of("a" * 64, fmax))[0] == PROVEN
    verdict, why = verdict_of(limit, rtl, fmax)
    assert verdict == NOT_PROVEN
    assert "another circuit" in why
    # The routed project's own cycles, though the RTL's evidence is stronger.
    verdict, why = verdict_of(limit, rtl, scheduled, fmax)
    assert (verdict, "9 cycles" in why) == (PROVEN, True)
    assert verdict_of(Limit("latency_ns", "max", 40.0), rtl, scheduled, fmax)[0] == REFUTED


@pytest.mark.parametrize("circuit", ["", "a" * 64])
def test_bounds_are_proven_of_one_circuit(circuit: str) -> None:
    """The RTL was simulated and counted; C synthesis scheduled another circuit, which is faster."""
    rtl = [
        dataclasses.replace(
            measured("latency_cycles", 1, "simulated_rtl", "RTL simulation"), circuit="a" * 64
        ),
        dataclasses.replace(measured("lut", 160, "open_synthesis", "Yosys"), circuit="a" * 64),
    ]
    built = measured("latency_cycles", 0, "csynth", "csynth.xml")
    small = Limit("lut", "max", 1000)
    at_once, soon = Limit("latency_cycles", "max", 0), Limit("latency_cycles", "max", 1)

    def verdicts(*limits: Limit, more: tuple[Estimate, ...] = ()) -> list[str]:
        return [finding.verdict for finding in judge(limits, [*rtl, built, *more], 5.0, circuit)]

    assert verdicts(at_once) == [PROVEN]
    assert verdicts(small) == [PROVEN]
    assert sorted(verdicts(at_once, small)) == [NOT_PROVEN, PROVEN]
    assert verdicts(soon, small) == [PROVEN, PROVEN]
    # Logic synthesis of the circuit that C synthesis scheduled completes its proof.
    implemented = measured("lut", 900, "post_route", "util.rpt")
    assert verdicts(at_once, small, more=(implemented,)) == [PROVEN, PROVEN]
    # A score does not depend on the circuit.
    score = Estimate("accuracy", 0.9, 0.88, 0.92, "csim", "all test rows", 0.9)
    assert verdicts(Limit("accuracy", "min", 0.85), soon, small, more=(score,)) == [PROVEN] * 3
    assert verdicts(Limit("latency_cycles", "min", 1), small) == [REFUTED, PROVEN]


def test_overall_is_the_worst() -> None:
    lut = measured("lut", 5000, "post_route", "util.rpt")
    limits = [Limit("lut", "max", 6000), Limit("dsp", "max", 3)]
    assert overall(judge(limits, [lut], 5.0)) == NOT_PROVEN
    assert overall(judge([*limits, Limit("lut", "max", 4000)], [lut], 5.0)) == REFUTED
    assert overall(judge(limits[:1], [lut], 5.0)) == PROVEN


@pytest.fixture
def design_folder(tmp_path: Path) -> Path:
    layer = Dense(3, 2, "linear", FixedType(4, 2), None)
    weights = np.array([[1, -2], [3, 0], [7, -8]])
    design = Design(Architecture(FixedType(8, 3), (layer,), 5.0), (weights,), (None,), meta={"target": PART})
    design.save(tmp_path / "designs" / "abc")
    return tmp_path / "designs" / "abc"


def add(folder: Path, origin: str, *estimates: Estimate, clock_ns: float = 5.0) -> None:
    digest = Design.load(folder).digest()
    found = {estimate.metric: estimate for estimate in estimates}
    evidence.write(folder, evidence.Piece(origin, "a tool 1.0", digest, found, PART, clock_ns))


def test_validate_exits_with_the_verdict(design_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["validate", str(design_folder), "--max-latency", "1us", "--max", "lut=100", "--json"]
    assert invoke(command) == 3
    add(design_folder, "open-rtl", measured("latency_cycles", 3, "simulated_rtl", "RTL simulation"))
    assert invoke(command) == 3
    routed = (
        measured("lut", 90, "post_route", "util.rpt"),
        measured("fmax_mhz", 300, "post_route", "timing.rpt"),
    )
    add(design_folder, "vivado-post_route", *routed)
    capsys.readouterr()
    assert invoke(command) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report == json.loads((design_folder / "validation.json").read_text())
    assert report["verdict"] == PROVEN
    page = (design_folder / "validation.html").read_text()
    assert "util.rpt" in page
    assert report["files_sha256"]["design.json"] in page
    assert set(report["files_sha256"]) == {"design.json", "weights.npz"}
    assert report["repeat"][0].startswith("hwnas-hls validate")
    assert invoke(["validate", str(design_folder.parent.parent), "--max", "lut=89"]) == 1


def test_evidence_of_another_clock_is_not_used(
    design_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(design_folder, "vivado-post_route", measured("lut", 90, "post_route", "util.rpt"), clock_ns=2.0)
    assert invoke(["validate", str(design_folder), "--max", "lut=100"]) == 3
    expect_mentioned(" ".join(capsys.readouterr().out.split()), ["vivado-post_route", PART, "2 ns"])


def test_a_bound_is_repeated_with_all_its_digits(
    design_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = design_folder.rename(design_folder.with_name("a design"))
    add(moved, "vivado-post_route", measured("lut", 1234567, "post_route", "util.rpt"))
    command = ["validate", str(moved), "--max", "lut=1234567", "--json"]
    assert invoke(command) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["findings"][-1]["requirement"] == "lut <= 1234567"
    assert shlex.split(report["repeat"][-1])[1:] == command[:-1]


def test_a_failed_attempt_leaves_the_numbers_of_an_earlier_one(
    design_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(design_folder, "vivado-post_route", measured("lut", 90, "post_route", "util.rpt"))
    digest = Design.load(design_folder).digest()
    failed = evidence.Piece("vivado-post_route", "vivado", digest, {}, PART, 5.0, "no licence left")
    kept = evidence.write(design_folder, failed)
    command = ["validate", str(design_folder), "--max", "lut=100"]
    assert invoke(command) == 0
    assert "no licence left" in " ".join(capsys.readouterr().out.split())
    add(design_folder, "vivado-post_route", measured("lut", 101, "post_route", "util.rpt"))
    assert not kept.exists()
    assert invoke(command) == 1


def test_unstorable_verdict_is_printed(design_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(design_folder, "vivado-post_route", measured("lut", 90, "post_route", "util.rpt"))
    (design_folder / "validation.json").mkdir()
    for bound, code in (("100", 0), ("89", 1)):
        assert invoke(["validate", str(design_folder), "--max", f"lut={bound}"]) == code
        said = capsys.readouterr()
        assert f"lut <= {bound}" in said.out
        assert "validation.html" not in said.out
        assert str(design_folder / "validation.json") in said.err


def test_unwritable_folder_is_refused_before_synthesis(
    design_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = []
    monkeypatch.setattr(ReportsSynthesizer, "available", lambda *_: started.append(1) or "nothing to read")
    command = ["synth", str(design_folder), "--synthesizer", "reports"]
    assert invoke(command) == 1
    assert started
    started.clear()
    (design_folder / "evidence").write_text("")
    assert invoke(command) == 2
    assert not started
    assert str(design_folder / "evidence") in capsys.readouterr().err


def test_numbers_for_another_part_do_not_replace_those_for_the_own(design_folder: Path) -> None:
    add(design_folder, "vivado-post_route", measured("lut", 90, "post_route", "util.rpt"))
    digest = Design.load(design_folder).digest()
    for lut in (101, 102):
        found = {"lut": measured("lut", lut, "post_route", "util.rpt")}
        other = evidence.Piece("vivado-post_route", "vivado", digest, found, "xcku115-flvb2104-2-i", 5.0)
        assert (
            json.loads(evidence.write(design_folder, other).read_text())["estimates"]["lut"]["value"] == lut
        )
    assert invoke(["validate", str(design_folder), "--max", "lut=100"]) == 0
    assert len(evidence.read(design_folder, Design.load(design_folder))) == 2


def test_evidence_of_another_design_is_refused(design_folder: Path) -> None:
    add(design_folder, "vivado-post_route", measured("lut", 90, "post_route", "util.rpt"))
    path = design_folder / "evidence" / "vivado-post_route.json"
    path.write_text(path.read_text().replace(Design.load(design_folder).digest(), "0" * 16))
    assert invoke(["validate", str(design_folder), "--max", "lut=100"]) == 2
    path.write_text("{")
    with refused(ErrorKind.WRONG_FORMAT, where=str(path)):
        evidence.read(design_folder, Design.load(design_folder))


@pytest.mark.parametrize("damage", [{"value": -1, "low": -1}, {"low": 300}, {"high": 50}])
def test_a_count_outside_its_interval_is_no_evidence(design_folder: Path, damage: dict[str, int]) -> None:
    add(design_folder, "vivado-post_route", measured("lut", 90, "post_route", "util.rpt"))
    path = design_folder / "evidence" / "vivado-post_route.json"
    assert invoke(["validate", str(design_folder), "--max", "lut=100"]) == 0
    data = json.loads(path.read_text())
    data["estimates"]["lut"] |= damage
    path.write_text(json.dumps(data))
    with refused(ErrorKind.WRONG_FORMAT, where=str(path)):
        evidence.read(design_folder, Design.load(design_folder))


@pytest.mark.parametrize("other", ["another part", "another circuit", "another clock", "not routed"])
def test_routed_evidence_of_something_else_is_not_used(design_folder: Path, other: str) -> None:
    """As a run on an ECP5 part writes it, planted beside another part, circuit or clock."""
    rtl = design_folder / "rtl" / "src" / "core"
    rtl.mkdir(parents=True)
    (rtl / "m.v").write_text("module m; endmodule")
    line = f"{hashlib.sha256((rtl / 'm.v').read_bytes()).hexdigest()}"
    circuit = hashlib.sha256(f"{line}  ./m.v\n".encode()).hexdigest()
    statement = {"circuit": circuit, "files_sha256": {"src/core/m.v": line}}
    (design_folder / "rtl" / "circuit.json").write_text(json.dumps(statement))
    found = {
        "latency_cycles": measured("latency_cycles", 3, "simulated_rtl", "RTL simulation"),
        "fmax_mhz": measured("fmax_mhz", 300, "post_route", "nextpnr"),
    }
    command = ["validate", str(design_folder), "--max-latency", "1us"]
    digest = Design.load(design_folder).digest()

    def plant(circuit: str, part: str, clock_ns: float) -> None:
        estimates = {name: dataclasses.replace(one, circuit=circuit) for name, one in found.items()}
        evidence.write(
            design_folder, evidence.Piece("ecp5-post_route", "ecp5", digest, estimates, part, clock_ns)
        )

    plant(circuit, PART, 5.0)
    assert invoke(command) == 0
    (design_folder / "evidence" / "ecp5-post_route.json").unlink()
    if other == "not routed":
        found["fmax_mhz"] = predicted("fmax_mhz", 300, 290, 310)
    plant(
        "b" * 64 if other == "another circuit" else circuit,
        "LFE5U-12F-6BG381C" if other == "another part" else PART,
        4.9 if other == "another clock" else 5.0,
    )
    assert invoke(command) == 3


@pytest.mark.parametrize("change", ["", "sources", "weights", "a build", "gone"])
def test_a_c_simulation_is_evidence_of_the_firmware_that_ran(design_folder: Path, change: str) -> None:
    firmware = design_folder / "hls4ml" / "firmware"
    (firmware / "weights").mkdir(parents=True)
    (firmware / "nn.cpp").write_text("void nn() {}")
    (firmware / "weights" / "w2.txt").write_text("1, -2")
    score = Estimate("accuracy", 0.9, 0.88, 0.92, "csim", "all test rows", 0.9)
    digest = Design.load(design_folder).digest()
    command = ["validate", str(design_folder), "--min", "accuracy=0.85"]

    def store(stated: str) -> None:
        found = evidence.Piece("export", "hwnas-hls", digest, {"accuracy": score}, PART, 5.0, firmware=stated)
        evidence.write(design_folder, found)

    store(firmware_hash(design_folder))
    if change == "sources":
        (firmware / "nn.cpp").write_text("void nn() { return; }")
    elif change == "weights":
        (firmware / "weights" / "w2.txt").write_text("1, -3")
    elif change == "a build":
        (firmware / "nn.so").write_bytes(b"ELF")
    elif change == "gone":
        shutil.rmtree(firmware)
    assert invoke(command) == (0 if change in ("", "a build") else 3)
    store("")  # as evidence of before the hash was stored
    assert invoke(command) == 0


def test_an_altered_design_is_refused(design_folder: Path) -> None:
    path = design_folder / "design.json"
    path.write_text(path.read_text().replace("ap_fixed<4,2>", "ap_fixed<5,2>"))
    assert invoke(["validate", str(design_folder), "--max", "lut=100"]) == 2


def test_folder_without_design_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["validate", str(tmp_path)]) == 2
    expect_mentioned(capsys.readouterr().err, [tmp_path])


def test_run_locked_by_other_process_is_not_validated(
    design_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = design_folder.parent.parent
    (run / "spec.toml").touch()
    with run_lock(run):
        assert invoke(["validate", str(run)]) == 2
        expect_mentioned(capsys.readouterr().err, [run])
    assert not (design_folder / "validation.json").exists()
    assert invoke(["validate", str(run)]) == 3


def test_a_run_in_place_of_a_design_names_a_design(
    design_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["synth", str(design_folder.parent.parent)]) == 2
    printed = capsys.readouterr().err
    assert "Errno" not in printed
    assert "expected a design" in printed
    assert str(design_folder) in "".join(printed.split())


def test_warnings_of_a_synthesis_are_printed_and_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hwnas_hls.cli import synth_command
    from hwnas_hls.evidence import files
    from hwnas_hls.protocols.synthesizer import SynthesisReport
    from hwnas_hls.testing.samples import sample_design

    design = sample_design()
    design.save(tmp_path)
    found = {"lut": measured("lut", 1514, "open_synthesis", "yosys")}
    report = SynthesisReport("tool 1", "logic_synth", found, warnings=("not the circuit that Vitis builds",))
    piece = files.of_report(report, design, "open", "xcvu9p", 5.0)
    monkeypatch.setattr(synth_command, "synthesise", lambda *_: (piece, files.write(tmp_path, piece), report))
    assert invoke(["synth", str(tmp_path), "--target", "xcvu9p"]) == 0
    assert "warning: not the circuit that Vitis builds" in capsys.readouterr().err
    assert files.read(tmp_path, design)[0].warnings == report.warnings


def test_a_failed_synthesis_names_the_design_and_what_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hwnas_hls.cli import synth_command
    from hwnas_hls.evidence import files
    from hwnas_hls.protocols.synthesizer import SynthesisReport
    from hwnas_hls.testing.samples import sample_design

    design = sample_design()
    design.save(tmp_path)
    log = tmp_path / "yosys.log"
    for kind, named in ((ErrorKind.UNSUPPORTED, "--synthesizer"), (ErrorKind.TOOL_FAILED, str(log))):
        report = SynthesisReport(
            "tool 1", "logic_synth", failure="layer 3 of it", failure_kind=kind, files={"log": log}
        )
        piece = files.of_report(report, design, "open", "xcvu9p", 5.0)
        found = (piece, files.write(tmp_path, piece), report)
        monkeypatch.setattr(synth_command, "synthesise", lambda *_, found=found: found)
        assert invoke(["synth", str(tmp_path), "--target", "xcvu9p"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        expect_mentioned(said, [f"where: {tmp_path}", "found: layer 3 of it", "remedy: ", named])


@pytest.mark.parametrize(
    ("strategy", "missing", "run", "named"),
    [
        ("distributed_arithmetic", "", False, "open"),
        ("distributed_arithmetic", "", True, "NAME"),  # another run would give the same
        ("distributed_arithmetic", "yosys", False, "NAME"),
        ("Latency", "", False, "NAME"),  # `open` would measure another circuit
    ],
)
def test_more_evidence_is_proposed_of_a_synthesizer_that_can_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    strategy: str,
    missing: str,
    run: bool,
    named: str,
) -> None:
    from hwnas_hls.evidence import files
    from hwnas_hls.protocols.synthesizer import SynthesisReport

    monkeypatch.setattr(OpenSynthesizer, "available", lambda self, target: missing)
    layer = Dense(3, 2, "linear", FixedType(4, 2), None, strategy=strategy)
    weights = np.array([[1, -2], [3, 0], [7, -8]])
    architecture = Architecture(FixedType(8, 3), (layer,))
    design = Design(architecture, (weights,), (None,), meta={"target": PART})
    design.save(tmp_path)
    if run:
        found = {"ff": measured("ff", 15, "open_synthesis", "yosys")}
        report = SynthesisReport("tool 1", "logic_synth", found)
        files.write(tmp_path, files.of_report(report, design, "open", PART, 5.0))
    assert invoke(["validate", str(tmp_path), "--max", "lut=100"]) == 3
    assert f"hwnas-hls synth {tmp_path} --synthesizer {named}" in capsys.readouterr().out


def test_files_of_the_tools_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hwnas_hls.protocols.synthesizer import SynthesisReport
    from hwnas_hls.testing.samples import sample_design

    made = tmp_path / "made"
    (made / "rtl").mkdir(parents=True)
    (made / "rtl" / "m.v").write_text("module m; endmodule\n")
    (made / "route-1.json").write_text("{}")
    found = {"lut": measured("lut", 1514, "post_route", "routed")}
    report = SynthesisReport(
        "tool 1", "post_route", found, {"rtl": made / "rtl", "route_1_report": made / "route-1.json"}
    )
    monkeypatch.setattr(ReportsSynthesizer, "available", lambda *_: "")
    monkeypatch.setattr(ReportsSynthesizer, "synthesize", lambda *_: report)
    sample_design().save(tmp_path / "design")
    command = ["synth", str(tmp_path / "design"), "--target", "xcvu9p", "--synthesizer", "reports", "--files"]
    for _ in range(2):  # also into a folder that has them
        assert invoke([*command, str(tmp_path / "copies")]) == 0
        assert "route-1.json, rtl" in capsys.readouterr().out
    assert (tmp_path / "copies" / "rtl" / "m.v").read_text() == (made / "rtl" / "m.v").read_text()
    assert (tmp_path / "copies" / "route-1.json").read_text() == "{}"
    assert invoke([*command, str(made / "route-1.json")]) == 2
    assert "route-1.json" in capsys.readouterr().err


def test_deeply_nested_evidence_is_refused(design_folder: Path) -> None:
    path = design_folder / "evidence" / "vivado-post_route.json"
    path.parent.mkdir()
    path.write_text("[" * 100_000)
    with refused(ErrorKind.WRONG_FORMAT, where=str(path)):
        evidence.read(design_folder, Design.load(design_folder))
    with refused(ErrorKind.WRONG_FORMAT, where=str(path)):
        read_calibration(path)
