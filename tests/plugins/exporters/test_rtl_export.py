"""The RTL folder: its testbenches in real simulators, mutations of its sources, its host code."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parts import XCVU9P
from raw_words import raw_design, raw_rows
from refusal import raises_naming, refused
from synthetic_front import make_dataset, make_front

from hwnas_hls.errors import ErrorKind, ToolMissing, Unsupported
from hwnas_hls.evidence.circuits import exported_circuit
from hwnas_hls.evidence.operating_point import Accepted, OperatingPoint
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.emulator import emulate, input_integers, outputs
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.exporter import Front, Member
from hwnas_hls_plugins.exporters.rtl_export import VerilogConfig, VerilogExporter, VhdlConfig, VhdlExporter
from hwnas_hls_plugins.exporters.rtl_export.rows import RANDOM_ROWS
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenConfig, OpenSynthesizer, synthesizer
from hwnas_hls_plugins.synthesizers.open_synthesis.circuit import circuit_hash
from hwnas_hls_plugins.synthesizers.open_synthesis.streaming import random_inputs

pytestmark = pytest.mark.skipif(importlib.util.find_spec("alkaid") is None, reason="alkaid is not installed")
ROWS = 30
FEATURES = ("energy", "pt, leading", "eta | phi", "`mass`")


def needs(program: str) -> pytest.MarkDecorator:
    """Skips where a simulator is missing, but never where CI has installed them all."""
    missing = shutil.which(program) is None and not os.environ.get("CI")
    return pytest.mark.skipif(missing, reason=f"{program} is not installed")


def make_design(
    seed: int,
    shape: tuple[int, ...] = (4, 5, 3),
    clock_ns: float = 1.7,
    *,
    regression: bool = False,
    hidden: str = "ufixed<5,2,RND,SAT>",
) -> Design:
    rng = np.random.default_rng(seed)
    weight, bias = FixedType.parse("fixed<5,1>"), FixedType.parse("fixed<7,2>")
    layers, weights, biases = [], [], []
    for number, (n_in, n_out) in enumerate(itertools.pairwise(shape)):
        last = number == len(shape) - 2
        activation, result = ("linear", None) if last else ("relu", FixedType.parse(hidden))
        layer = Dense(n_in, n_out, activation, weight, bias, None, result, strategy="distributed_arithmetic")
        layers.append(layer)
        weights.append(rng.integers(-15, 16, (n_in, n_out)) * (rng.random((n_in, n_out)) < 0.7))
        biases.append(rng.integers(-20, 20, n_out))
    n_in, n_out = shape[0], shape[-1]
    given = Preprocessing(rng.normal(size=n_in), rng.uniform(0.5, 2, n_in), FEATURES[:n_in])
    meta: dict[str, Any] = {}
    if regression:
        meta = {"target_mean": [0.1, -3.0, 7.5][:n_out], "target_scale": [1.5, 0.3, 2.0][:n_out]}
    architecture = Architecture(FixedType.parse("fixed<6,3>"), tuple(layers), clock_ns=clock_ns)
    return Design(architecture, tuple(weights), tuple(biases), given, ("a", "b", "c")[:n_out], meta)


def make_own_front(design: Design, tmp_path: Path) -> Front:
    """A front of one design, its rows on four features, its cache in a folder of its own."""
    base = make_front(candidates=8, members=1)
    rng = np.random.default_rng(1)
    dataset = make_dataset()
    for split in (dataset.train, dataset.validation, dataset.test):
        object.__setattr__(split, "x", rng.normal(0, 3, (len(split.x), design.architecture.n_in)))
    spec = f'[synthesis]\nsynthesizer = "open"\n[synthesis.config]\ncache_dir = "{tmp_path / "cache"}"\n'
    member = dataclasses.replace(base.members[0], design=design)
    return dataclasses.replace(base, dataset=dataset, spec=spec, members=[member], target=XCVU9P)


def exported(
    design: Design, tmp_path: Path, config: VerilogConfig | None = None, measured: bool = False
) -> tuple[Path, Member]:
    """The RTL folder of a design in both languages, and the member."""
    front = make_own_front(design, tmp_path)
    member = front.members[0]
    if measured:
        report = OpenSynthesizer(OpenConfig(cache_dir=str(tmp_path / "cache"), rows=100)).synthesize(
            design, XCVU9P
        )
        assert report.failure == ""
        member = dataclasses.replace(member, estimates={**member.estimates, **report.estimates})
        front = dataclasses.replace(front, members=[member])
    place = tmp_path / "designs" / member.key
    design.save(place)
    VhdlExporter().export(front, tmp_path)
    VerilogExporter(config or VerilogConfig()).export(front, tmp_path)
    return place / "rtl", member


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = VerilogConfig(axi_stream=True, argmax=True)
    return exported(make_design(3), tmp_path_factory.mktemp("rtl"), config, measured=True)[0]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def passed(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a testbench says so and exits 0; neither alone is enough."""
    said = "PASS:" in done.stdout
    assert said == (done.returncode == 0), done.stdout + done.stderr
    return said


def name_of(folder: Path) -> str:
    return str(json.loads((folder / "circuit.json").read_text())["top"])


def answers(folder: Path) -> list[str]:
    """The outputs of each row by the emulator alone, as the testbenches print them."""
    design = Design.load(folder.parent)
    stated = json.loads((folder / "circuit.json").read_text())
    given = input_integers(design, make_own_front(design, folder).dataset.test.x)
    integers = np.concatenate([given, random_inputs(design.architecture, RANDOM_ROWS, seed=0)])
    fraction = design.layer_types()[-1][2].fraction
    found = []
    for row in emulate(design, integers):
        word, start = 0, 0
        for value, output in zip(row, stated["outputs"], strict=True):
            word |= ((int(value) >> (fraction - output["fraction"])) % (1 << output["width"])) << start
            start += output["width"]
        found.append(f"{word:0{-(-start // 4)}x}")
    return found


def printed(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"^row \d+: outputs ([0-9a-fA-F]+)$", text, re.MULTILINE)]


@needs("iverilog")
@pytest.mark.parametrize("enable", [0, 1])
def test_icarus(folder: Path, enable: int) -> None:
    done = make(folder, "sim", "SIM=icarus", f"CLOCK_ENABLE={enable}", "PRINT=1")
    assert passed(done)
    assert f"PASS: {ROWS + RANDOM_ROWS} rows" in done.stdout
    assert printed(done.stdout) == answers(folder)


@needs("ghdl")
@pytest.mark.parametrize("enable", [0, 1])
def test_ghdl(folder: Path, enable: int) -> None:
    done = make(folder, "sim", "SIM=ghdl", f"CLOCK_ENABLE={enable}", "PRINT=1")
    assert passed(done), done.stderr
    assert printed(done.stdout) == answers(folder)


@needs("verilator")
def test_verilator_takes_the_comments_of_the_generator(tmp_path: Path) -> None:
    """alkaid's module of a negation names a warning that older Verilators refuse to know."""
    weight, result = FixedType.parse("fixed<5,1>"), FixedType.parse("ufixed<5,2,RND,SAT>")
    layers = tuple(
        Dense(3, 3, activation, weight, None, None, kind, strategy="distributed_arithmetic")
        for activation, kind in (("relu", result), ("linear", None))
    )
    negative = np.diag([-8, -8, -8])
    base = make_design(3)
    architecture = dataclasses.replace(base.architecture, layers=layers)
    assert base.preprocessing is not None
    given = Preprocessing(base.preprocessing.mean[:3], base.preprocessing.scale[:3], FEATURES[:3])
    folder, _ = exported(
        Design(architecture, (negative, negative), (None, None), given, ("a", "b", "c")), tmp_path
    )
    assert any("lint_off WIDTHTRUNC" in path.read_text() for path in (folder / "src" / "core").glob("*.v"))
    done = make(folder, "sim", "SIM=verilator")
    assert done.returncode == 0, done.stdout + done.stderr


@needs("verilator")
def test_verilator(folder: Path, tmp_path: Path) -> None:
    """With the same ends as those of the other simulators; one circuit compiles for many seconds."""
    other = tmp_path / "rtl"
    shutil.copytree(folder, other)
    arguments = ("SIM=verilator", "CLOCK_ENABLE=1")
    done = make(other, "sim", *arguments, "PRINT=1")
    assert passed(done)
    assert printed(done.stdout) == answers(folder)
    assert _script(other, "verilator", "CLOCK_ENABLE=1") == 0
    rows = other / "tb" / f"{name_of(folder)}_rows.hex"
    altered(folder, rows)
    assert _script(other, "verilator", "CLOCK_ENABLE=1") == 1
    assert make(other, "sim", *arguments).returncode == 2
    program = other / "build" / f"{name_of(folder)}_verilator" / "simulation"
    wrong = subprocess.run([program, f"+rows={rows}"], capture_output=True, text=True, check=False)
    assert wrong.returncode != 0
    assert f"FAIL: row {ROWS + RANDOM_ROWS - 1}" in wrong.stdout


@needs("iverilog")
def test_class_and_stream(folder: Path) -> None:
    done = make(folder, "sim-class", "SIM=icarus", "CLOCK_ENABLE=1", "PRINT=1")
    assert passed(done)
    classes = [int(word, 16) for word in printed(done.stdout)]
    design = Design.load(folder.parent)
    x = make_own_front(design, folder).dataset.test.x
    assert classes[:ROWS] == np.argmax(outputs(design, x), axis=1).tolist()
    assert len(set(classes)) > 1
    assert passed(make(folder, "sim-axis", "SIM=icarus"))


def test_vhdl_keeps_what_verilog_wrote(tmp_path: Path) -> None:
    design = make_design(3)
    front = make_own_front(design, tmp_path)
    place = tmp_path / "designs" / front.members[0].key
    design.save(place)
    VerilogExporter(VerilogConfig(rows=5, axi_stream=True, argmax=True)).export(front, tmp_path)
    written = {path.relative_to(place) for path in (place / "rtl").rglob("*.v")}
    VhdlExporter().export(front, tmp_path)
    assert {path.relative_to(place) for path in (place / "rtl").rglob("*.v")} == written
    rows = place / "rtl" / "tb" / f"{name_of(place / 'rtl')}_rows.hex"
    assert len(rows.read_text().split()) == 5 + RANDOM_ROWS
    VhdlExporter(VhdlConfig(rows=3)).export(front, tmp_path)
    assert len(rows.read_text().split()) == 3 + RANDOM_ROWS
    VerilogExporter().export(front, tmp_path)
    assert not list((place / "rtl").rglob("*_axis.v"))
    assert list((place / "rtl").rglob("*.vhd"))


@pytest.mark.parametrize(
    ("target", "setting"), [("sim-axis", "axi_stream"), ("sim-class", "argmax"), ("sim-accept", "accept")]
)
def test_a_testbench_that_was_not_exported_does_not_pass(tmp_path: Path, target: str, setting: str) -> None:
    plain = exported(make_design(3), tmp_path, VerilogConfig())[0]
    done = make(plain, target, "SIM=icarus")
    assert done.returncode == 2
    assert f"--set {setting}=true" in done.stderr


@pytest.mark.parametrize("goal", ["sim-axis", "sim-class"])
def test_ghdl_simulates_no_wrapper(folder: Path, goal: str) -> None:
    done = make(folder, goal, "SIM=ghdl")
    assert done.returncode == 2
    for name in (f"{goal}-ghdl", "icarus", "verilator", "xsim"):
        assert name in done.stderr


def test_the_testbench_leaves_the_range_of_the_task(tmp_path: Path) -> None:
    """Rows of the task are all 0 here; the rows behind them hold both ends of the input range, and more."""
    design = make_design(3)
    front = make_own_front(design, tmp_path)
    object.__setattr__(front.dataset.test, "x", np.zeros((ROWS, design.architecture.n_in)))
    place = tmp_path / "designs" / front.members[0].key
    design.save(place)
    VerilogExporter().export(front, tmp_path)
    rtl = place / "rtl"
    features = json.loads((rtl / "circuit.json").read_text())["features"]
    words = (rtl / "tb" / f"{name_of(rtl)}_rows.hex").read_text().split()
    assert len(words) == ROWS + RANDOM_ROWS
    assert len(set(words[:ROWS])) == 1
    assert len(set(words)) > RANDOM_ROWS // 2
    lowest, highest = (int(word, 16) for word in words[ROWS : ROWS + 2])
    start = 0
    for feature in features:
        width, sign = feature["width"], feature["sign"]
        ends = [word >> start & (1 << width) - 1 for word in (lowest, highest)]
        assert ends == ([1 << width - 1, (1 << width - 1) - 1] if sign else [0, (1 << width) - 1])
        start += width


def at_operating_point(design: Design, x: np.ndarray) -> Design:
    """The design with the threshold that accepts the upper third of the rows."""
    integers = emulate(design, input_integers(design, x))
    scores = integers[:, 1] - np.delete(integers, 1, axis=1).max(axis=1)
    least = int(np.quantile(scores, 2 / 3))
    unit = 2.0 ** -design.layer_types()[-1][2].fraction
    share = Accepted(0.5, 0.4, 0.6, len(x))
    point = OperatingPoint("b", "b - rest", 0.1, least * unit, least, unit, 9, 0.5, 0.1, share, share)
    return dataclasses.replace(design, meta={**design.meta, "operating_point": point.to_json()})


@needs("iverilog")
def test_the_decision_of_the_operating_point_is_one_bit(tmp_path: Path) -> None:
    plain = make_design(3)
    x = make_own_front(plain, tmp_path).dataset.test.x
    design = at_operating_point(plain, x)
    folder, _ = exported(design, tmp_path, VerilogConfig(accept=True))
    done = make(folder, "sim-accept", "SIM=icarus", "CLOCK_ENABLE=1", "PRINT=1")
    assert passed(done)
    decisions = [bool(int(word, 16)) for word in printed(done.stdout)]
    assert decisions[: len(x)] == design.accepts(x).tolist()
    assert 0.2 < np.mean(decisions[: len(x)]) < 0.5
    source = folder / "src" / f"{name_of(folder)}_accept.v"
    text = source.read_text()
    source.write_text(text.replace(">= THRESHOLD", "< THRESHOLD"))
    assert source.read_text() != text
    assert not passed(make(folder, "sim-accept", "SIM=icarus"))


def test_a_decision_needs_an_operating_point(tmp_path: Path) -> None:
    with refused(ErrorKind.CONFLICT, where="accept"):
        exported(make_design(3), tmp_path, VerilogConfig(accept=True))
    with refused(ErrorKind.MISSING):
        make_design(3).accepts(np.zeros((1, 4)))


@needs("iverilog")
def test_raw_words_are_scaled_in_the_circuit(tmp_path: Path) -> None:
    design = raw_design(unread=True)
    front = make_own_front(design, tmp_path)
    rows = raw_rows(ROWS, seed=9)
    object.__setattr__(front.dataset.test, "x", rows)
    place = tmp_path / "designs" / front.members[0].key
    design.save(place)
    VerilogExporter().export(front, tmp_path)
    assert passed(make(place / "rtl", "sim", "SIM=icarus"))
    stated = json.loads((place / "rtl" / "circuit.json").read_text())
    # The port has the bits of the words as they are, none of the unread and of the constant one.
    assert [feature["width"] for feature in stated["features"]] == [12, 16, 0, 1, 9, 0, 8]
    assert not any(feature["dropped"] for feature in stated["features"])
    name = name_of(place / "rtl")
    spec = importlib.util.spec_from_file_location("host", place / "rtl" / "host" / f"{name}_host.py")
    assert spec is not None
    assert spec.loader is not None
    host = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(host)
    # The numbers themselves, on the grids of the words; nothing for the feature that no neuron reads.
    counted = rows * [2.0 ** feature["fraction"] for feature in stated["features"]]
    counted[:, 2] = 0
    assert [host.quantise(row) for row in rows] == counted.astype(int).tolist()
    assert "| 0 | a | ap_ufixed<12,12> |" in (place / "rtl" / "README.md").read_text()


def _mutants(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(kind, file, text) of each change of one thing in the Verilog."""
    core = next((folder / "src" / "core").glob("*_core.v"))
    text = core.read_text()
    for register in re.findall(r"^ +(\w+)\[\d+:0\] <= ", text, re.MULTILINE):
        if register == "model_out":
            continue
        # A register less: its input takes its place, and all that follows comes a clock early.
        line = re.search(rf"^ +{register}(\[\d+:0\]) <= (.*);$", text, re.MULTILINE)
        assert line is not None
        shorter = text.replace(line[0], "").replace(
            f"reg {line[1]} {register};", f"wire {line[1]} {register};"
        )
        yield (
            "register",
            core.name,
            shorter.replace("endmodule", f"assign {register} = {line[2]};\nendmodule"),
        )
    for path in sorted((folder / "src" / "core").glob("*_logic*.v")):
        text = path.read_text()
        for found in re.finditer(r"#\((\d+(?:,-?\d+)+)\)", text):
            values = found[1].split(",")
            if len(values) > 4 and "ternary" not in text[: found.start()].rsplit("\n", 1)[-1]:
                # The fifth number is the width of a sum: one bit less loses its sign.
                narrow = [*values[:4], str(int(values[4]) - 1), *values[5:]]
                yield "width", path.name, text.replace(found[0], f"#({','.join(narrow)})", 1)
        for found in re.finditer(r"(\d+'b)([01])[01]*\b", text):
            flipped = found[1] + str(1 - int(found[2])) + found[0][len(found[1]) + 1 :]
            yield "constant", path.name, text[: found.start()] + flipped + text[found.end() :]


@needs("iverilog")
def test_every_mutation_fails(folder: Path, tmp_path: Path) -> None:
    kinds: dict[str, int] = {}
    for kind, name, text in _mutants(folder):
        if kinds.get(kind, 0) >= 4:
            continue
        other = tmp_path / f"mutant{sum(kinds.values())}"
        shutil.copytree(folder, other)
        assert (other / "src" / "core" / name).read_text() != text
        (other / "src" / "core" / name).write_text(text)
        done = make(other, "sim", "SIM=icarus")
        assert not passed(done), f"{kind} of {name}"
        assert "FAIL" in done.stdout, done.stdout + done.stderr  # the testbench, not the compiler
        assert done.returncode != 0
        kinds[kind] = kinds.get(kind, 0) + 1
    assert set(kinds) >= {"register", "width", "constant"}, kinds


def altered(folder: Path, path: Path) -> list[str]:
    """Write the rows with one output bit of the last one changed."""
    lines = (folder / "tb" / f"{name_of(folder)}_rows.hex").read_text().splitlines()
    stated = json.loads((folder / "circuit.json").read_text())
    bit = sum(feature["width"] for feature in stated["features"]) + stated["outputs"][0]["width"] - 1
    lines[-1] = f"{int(lines[-1], 16) ^ 1 << bit:0{len(lines[-1])}x}"
    path.write_text("\n".join(lines) + "\n")
    return lines


@needs("ghdl")
@needs("iverilog")
@pytest.mark.parametrize("simulator", ["icarus", "ghdl"])
def test_a_wrong_row_and_missing_rows_fail(folder: Path, tmp_path: Path, simulator: str) -> None:
    other = tmp_path / "rtl"
    shutil.copytree(folder, other)
    rows = other / "tb" / f"{name_of(folder)}_rows.hex"
    lines = altered(folder, rows)
    done = make(other, "sim", f"SIM={simulator}")
    assert not passed(done)
    assert f"FAIL: row {ROWS + RANDOM_ROWS - 1}" in done.stdout + done.stderr
    rows.write_text("\n".join(lines[:3]) + "\n")
    assert not passed(make(other, "sim", f"SIM={simulator}"))


@needs("iverilog")
@needs("ghdl")
@pytest.mark.parametrize("simulator", ["icarus", "ghdl"])
def test_the_script_ends_with_1_at_a_wrong_bit(folder: Path, tmp_path: Path, simulator: str) -> None:
    """Make itself ends with 2, whatever the reason."""
    other = tmp_path / "rtl"
    shutil.copytree(folder, other)
    assert _script(other, simulator) == 0
    rows = other / "tb" / f"{name_of(folder)}_rows.hex"
    altered(folder, rows)
    assert _script(other, simulator) == 1
    assert make(other, "sim", f"SIM={simulator}").returncode == 2


@needs("iverilog")
def test_the_script_ends_with_2_if_the_testbench_did_not_run(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "rtl"
    shutil.copytree(folder, other)
    assert _script(other, "icarus", "sim-class", "PRINT=1") == 0
    assert _script(other, "no-such-simulator") == 2
    # The compiler prints the lines around an error, among them those that print FAIL.
    bench = other / "tb" / f"{name_of(folder)}_tb.v"
    bench.write_text(bench.read_text().replace("$fatal(1)", "$fatal(1", 1))
    assert _script(other, "icarus") == 2


def _script(folder: Path, *arguments: str) -> int:
    return subprocess.run(
        [folder / "sim.sh", *arguments], capture_output=True, timeout=300, check=False, cwd="/"
    ).returncode


def test_a_missing_simulator_is_named(folder: Path) -> None:
    done = make(folder, "sim", "SIM=icarus", "PATH=/nowhere", "SHELL=/bin/sh")
    assert done.returncode != 0
    assert "iverilog is not installed: apt install iverilog" in done.stderr


def test_the_circuit_is_the_one_that_was_measured(folder: Path, tmp_path: Path) -> None:
    design = Design.load(folder.parent)
    stated = json.loads((folder / "circuit.json").read_text())
    report = OpenSynthesizer(OpenConfig(cache_dir=str(tmp_path), rows=100)).synthesize(
        design, XCVU9P, folder=tmp_path / "out"
    )
    assert report.estimates["lut"].circuit == stated["circuit"] == design.meta["circuit"]["sha256"]
    assert circuit_hash(folder / "src" / "core") == stated["circuit"]
    simulated = {path.name: path.read_bytes() for path in (tmp_path / "out" / "rtl" / "core").rglob("*.v")}
    assert simulated == {path.name: path.read_bytes() for path in (folder / "src" / "core").rglob("*.v")}
    script = "find . -name '*.v' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    said = subprocess.run(["sh", "-c", script], cwd=folder / "src" / "core", capture_output=True, check=True)
    assert said.stdout.split()[0].decode() == stated["circuit"]
    readme = (folder / "README.md").read_text()
    assert stated["circuit"] in readme
    assert f"| lut | {report.estimates['lut'].value:g} | open_synthesis |" in readme
    assert "equal the integer emulator bit for bit" in readme


def test_altered_sources_are_no_longer_the_proven_circuit(folder: Path, tmp_path: Path) -> None:
    assert exported_circuit(tmp_path) == ""
    shutil.copytree(folder, tmp_path / "rtl")
    stated = json.loads((folder / "circuit.json").read_text())["circuit"]
    assert exported_circuit(tmp_path) == stated
    core = next((tmp_path / "rtl" / "src" / "core").glob("*_core.v"))
    text = core.read_text()
    core.write_text(text + "\n")
    with refused(ErrorKind.MISMATCH, mentions=[core.name]):
        exported_circuit(tmp_path)
    core.write_text(text)
    assert exported_circuit(tmp_path) == stated
    (core.parent / "more.v").write_text("module more; endmodule\n")
    with refused(ErrorKind.MISMATCH, mentions=["more.v"]):
        exported_circuit(tmp_path)
    (core.parent / "more.v").unlink()
    (tmp_path / "rtl" / "circuit.json").write_text('{"circuit": ')
    with refused(ErrorKind.WRONG_FORMAT, mentions=["circuit.json"]):
        exported_circuit(tmp_path)


@needs("ghdl")
def test_tables_are_modules_of_the_design(tmp_path: Path) -> None:
    """alkaid writes functions of few bits as tables, all into one file that the logic needs first."""
    rtl, _ = exported(make_design(5, (4, 12, 3), hidden="ufixed<1,1,RND,SAT>"), tmp_path)
    sources = [path for path in (rtl / "src").rglob("*.v*") if path.is_file()]
    defined = re.findall(
        r"^\s*(?:module|entity) (\w+)", "\n".join(path.read_text() for path in sources), re.MULTILINE
    )
    name = name_of(rtl)
    assert any("table_" in module for module in defined), "this design has no table and shows nothing"
    assert [module for module in defined if not module.startswith(name)] == []
    done = make(rtl, "sim", "SIM=ghdl", "PRINT=1")
    assert passed(done), done.stderr
    assert printed(done.stdout) == answers(rtl)


def test_modules_of_two_designs_have_no_name_in_common(folder: Path, tmp_path: Path) -> None:
    other, _ = exported(make_design(4), tmp_path)

    def modules(place: Path) -> set[str]:
        texts = [path.read_text() for path in (place / "src").rglob("*.v")]
        assert texts
        return {name for text in texts for name in re.findall(r"^module (\w+)", text, re.MULTILINE)}

    assert not modules(folder) & modules(other)


@pytest.mark.parametrize("regression", [False, True])
def test_the_host_functions_equal_the_emulator(tmp_path: Path, regression: bool) -> None:
    design = make_design(5, regression=regression)
    rtl, _ = exported(design, tmp_path)
    name = name_of(rtl)
    spec = importlib.util.spec_from_file_location("host", rtl / "host" / f"{name}_host.py")
    assert spec is not None
    assert spec.loader is not None
    host = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(host)
    rng = np.random.default_rng(2)
    x = rng.normal(0, 5, (200, 4))
    x[0], x[1] = 1e300, -np.inf
    x[2:40] = np.round(x[2:40])  # many on the edges of the grid
    integers = input_integers(design, x)
    assert [host.quantise(list(row)) for row in x] == integers.tolist()
    words = [int(line, 16) for line in (rtl / "tb" / f"{name}_rows.hex").read_text().split()]
    test = make_own_front(design, tmp_path).dataset.test.x
    width = json.loads((rtl / "circuit.json").read_text())["features"]
    bits = sum(feature["width"] for feature in width)
    scale = np.array(design.meta.get("target_scale", [1.0] * 3))
    mean = np.array(design.meta.get("target_mean", [0.0] * 3))
    for word, row, wanted in zip(words[: len(test)], test, outputs(design, test) * scale + mean, strict=True):
        assert host.pack(host.quantise(list(row))) == word & ((1 << bits) - 1)
        assert host.unpack(word >> bits) == pytest.approx(wanted.tolist(), abs=1e-12)
    _c_equals_python(rtl, name, host, x, [word >> bits for word in words[: len(x)]], tmp_path)


def _c_equals_python(
    rtl: Path, name: str, host: Any, x: np.ndarray, words: list[int], tmp_path: Path
) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C compiler")
    main = tmp_path / "main.c"
    main.write_text(
        f"""
#include "{name}_host.h"
#include <inttypes.h>
#include <stdio.h>
int main(void) {{
  double x[4], y[3];
  int64_t q[4];
  uint32_t in[{name.upper()}_INPUT_WORDS], out[{name.upper()}_OUTPUT_WORDS];
  while (scanf("%la %la %la %la", x, x + 1, x + 2, x + 3) == 4) {{
    {name}_quantise(x, q);
    {name}_pack(q, in);
    for (int i = {name.upper()}_INPUT_WORDS - 1; i >= 0; i--) printf("%08" PRIx32, in[i]);
    for (int i = 0; i < {name.upper()}_OUTPUT_WORDS; i++) scanf("%" SCNx32, out + i);
    {name}_unpack(out, y);
    printf(" %a %a %a\\n", y[0], y[1], y[2]);
  }}
  return 0;
}}
"""
    )
    program = tmp_path / "host"
    sources = [str(main), str(rtl / "host" / f"{name}_host.c")]
    arguments = [compiler, *(["-x", "c"] if compiler.endswith("g++") else []), "-std=c99", "-Wall", "-Werror"]
    include = ["-I", str(rtl / "host"), "-o", str(program), "-lm"]
    subprocess.run([*arguments, *sources, *include], check=True, timeout=60)
    rows = x[: len(words)]
    count = -(-max(words).bit_length() // 32)
    given = "".join(
        " ".join(float(value).hex() if np.isfinite(value) else "-inf" for value in row)
        + " "
        + " ".join(f"{word >> (32 * place) & 0xFFFFFFFF:x}" for place in range(max(1, count)))
        + "\n"
        for row, word in zip(rows, words, strict=False)
    )
    said = subprocess.run([str(program)], input=given, capture_output=True, text=True, check=True, timeout=60)
    for line, row, word in zip(said.stdout.splitlines(), rows, words, strict=True):
        packed, *values = line.split()
        assert int(packed, 16) == host.pack(host.quantise(list(row)))
        assert [float.fromhex(value) for value in values] == pytest.approx(host.unpack(word), abs=1e-12)


def test_unsupported_designs_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    design = make_design(3)
    front = make_own_front(design, tmp_path)
    layers = tuple(dataclasses.replace(layer, strategy="Latency") for layer in design.architecture.layers)
    latency = dataclasses.replace(
        design, architecture=dataclasses.replace(design.architecture, layers=layers)
    )
    other = dataclasses.replace(front, members=[dataclasses.replace(front.members[0], design=latency)])
    mentions = [front.members[0].key, "Latency"]
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=mentions) as caught:
        VerilogExporter().export(other, tmp_path)
    assert isinstance(caught.value, Unsupported)
    assert "--hls-strategy distributed_arithmetic" in caught.value.remedy
    assert not (tmp_path / "designs").exists()
    regression = dataclasses.replace(front, dataset=make_dataset("mse"))
    with refused(ErrorKind.CONFLICT, where="argmax", found="regression"):
        VerilogExporter(VerilogConfig(argmax=True)).export(regression, tmp_path)
    # Before the search, without a front.
    with refused(ErrorKind.CONFLICT, where="argmax", found="regression"):
        VerilogExporter(VerilogConfig(argmax=True), make_dataset("mse"))
    with refused(ErrorKind.CONFLICT, where="accept", found="5 classes"):
        VerilogExporter(VerilogConfig(accept=True), make_dataset())
    VerilogExporter(VerilogConfig(accept=True), dataclasses.replace(make_dataset(), signal=1))
    with raises_naming("rows", -1):
        VerilogConfig(rows=-1)
    monkeypatch.setattr(synthesizer, "installed", lambda package: package == "pyosys")
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["hwnas-hls[open]"]):
        VerilogExporter().export(front, tmp_path)


def test_tcl_is_complete(folder: Path) -> None:
    """Braces, brackets and quotes close, as far as that can be seen without Vivado."""
    for script in (folder / "vivado").glob("*.tcl"):
        text = re.sub(r"^\s*#.*$", "", script.read_text(), flags=re.MULTILINE)
        assert text.count("{") == text.count("}")
        assert text.count("[") == text.count("]")
        assert text.count('"') % 2 == 0


def test_the_core_file_names_what_is_there(folder: Path) -> None:
    import yaml

    text = (folder / f"{name_of(folder)}.core").read_text()
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text)
    named = [
        next(iter(file)) if isinstance(file, dict) else file
        for part in core["filesets"].values()
        for file in part["files"]
    ]
    assert len(named) > 10
    assert [name for name in named if not (folder / name).is_file()] == []
    assert core["targets"]["sim"]["toplevel"] == f"{name_of(folder)}_tb"
