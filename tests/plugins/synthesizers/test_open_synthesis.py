"""Open synthesis with the real tools: da4ml, Yosys, a C++ compiler."""

from __future__ import annotations

import importlib.util
import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from feature_types import RESULTS, SOURCES, featured
from refusal import expect_mentioned, refused

from hwnas_hls.errors import ErrorKind, ToolMissing
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, output_fraction
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.synthesizer import Synthesizer
from hwnas_hls.protocols.target import Target, find_target
from hwnas_hls.resources import data_folder
from hwnas_hls.testing.synthesizer import SynthesizerContract
from hwnas_hls_plugins.synthesizers.open_synthesis import (
    OpenConfig,
    OpenMultiplierSynthesizer,
    OpenSynthesizer,
    alkaid_rtl,
    multiplier_rtl,
)
from hwnas_hls_plugins.synthesizers.open_synthesis.cxxrtl import compiler

needs_yosys = pytest.mark.skipif(importlib.util.find_spec("pyosys") is None, reason="pyosys is not installed")
needs_da4ml = pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed")
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler")

SOURCE_OF = {"da4ml": "da_rtl", "alkaid": "alkaid_rtl"}


@pytest.fixture(scope="module")
def target() -> Target:
    return find_target("xcvu9p", [data_folder("hw_targets")])


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


def _design(
    *,
    shape: tuple[int, ...] = (4, 4, 2),
    weight: str = "fixed<5,1>",
    result: str = "ufixed<5,2,RND,SAT>",
    accum: str | None = None,
    source: str = "fixed<5,3>",
    last: str | None = None,
    bias: bool = True,
    sparsity: float = 0.3,
    strategy: str = "distributed_arithmetic",
    seed: int = 0,
) -> Design:
    rng = np.random.default_rng(seed)
    layers, weights, biases = [], [], []
    kind, wide = FixedType.parse(weight), FixedType.parse("fixed<7,2>")
    for number, (n_in, n_out) in enumerate(itertools.pairwise(shape)):
        final = number == len(shape) - 2
        out = last if final else result
        layers.append(
            Dense(
                n_in,
                n_out,
                "linear" if final else "relu",
                kind,
                wide if bias else None,
                None if accum is None else FixedType.parse(accum),
                None if out is None else FixedType.parse(out),
                strategy=strategy,
            )
        )
        values = rng.integers(kind.lowest, kind.highest, (n_in, n_out), endpoint=True)
        weights.append(values * (rng.random((n_in, n_out)) >= sparsity))
        biases.append(rng.integers(-20, 20, n_out) if bias else None)
    return Design(Architecture(FixedType.parse(source), tuple(layers)), tuple(weights), tuple(biases))


DESIGNS = {
    "round and saturate": _design(),
    "truncate and wrap": _design(result="fixed<4,2,TRN,WRAP>", last="fixed<5,3>", seed=1),
    "symmetric, no biases": _design(result="fixed<4,2,RND,SAT_SYM>", last="fixed<6,4,RND,SAT>", bias=False),
    "unsigned inputs, finer results": _design(source="ufixed<4,0>", result="ufixed<12,3,RND,SAT>", seed=2),
    "exact hidden layers": _design(result="ufixed<20,8>", shape=(3, 3, 2), seed=3),
    "short accumulators that wrap": _design(accum="fixed<9,2>", seed=4),
    "short accumulators that saturate": _design(accum="fixed<10,3,TRN,SAT>", seed=5),
}


class TestContract(SynthesizerContract):
    """What every synthesizer owes, here with or without the tools."""

    @pytest.fixture(autouse=True)
    def _cache(self, cache_dir: str) -> None:
        self._cache_dir = cache_dir

    def synthesizer(self) -> Synthesizer:
        return OpenSynthesizer(OpenConfig(rows=300, cache_dir=self._cache_dir))


@needs_yosys
@needs_da4ml
@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize(("generator", "operands"), [("da4ml", 2), ("alkaid", 3)])
def test_distributed_arithmetic_equals_the_emulator(
    name: str, generator: Literal["alkaid", "da4ml"], operands: Literal[2, 3], target: Target, cache_dir: str
) -> None:
    pytest.importorskip(generator)
    config = OpenConfig(rows=600, cache_dir=cache_dir, generator=generator, operands=operands)
    report = OpenSynthesizer(config).synthesize(DESIGNS[name], target)
    assert report.failure == ""
    stages = json.loads(report.files["result"].read_text())["measurement"]["stages"]
    assert report.estimates["latency_cycles"].value == stages
    assert report.estimates["latency_cycles"].source == "simulated_rtl"
    assert report.estimates["ii_cycles"].value == 1
    lut = report.estimates["lut"]
    assert lut.source == "open_synthesis"
    assert lut.low == report.counts["lut"] <= lut.value == lut.high
    # Small nets scatter more than large ones.
    assert 0.6 * report.counts["cost_lut"] < lut.value < 1.5 * report.counts["cost_lut"]
    assert 0 < report.estimates["ff"].value <= report.counts["register_bits"]
    assert report.estimates["dsp"].value == 0


@needs_yosys
@needs_da4ml
@pytest.mark.parametrize(("generator", "operands"), [("da4ml", 2), ("alkaid", 3)])
def test_types_of_single_features_equal_the_emulator_and_save(
    generator: Literal["alkaid", "da4ml"], operands: Literal[2, 3], target: Target, cache_dir: str
) -> None:
    """Random rows over the whole input type, so bits that are not read are set, too."""
    pytest.importorskip(generator)
    writer = importlib.import_module(f"hwnas_hls_plugins.synthesizers.open_synthesis.{SOURCE_OF[generator]}")
    config = OpenConfig(rows=600, cache_dir=cache_dir, generator=generator, operands=operands)
    for number, source in enumerate(SOURCES[:3]):
        design = featured(source, (4, 4, 2), seed=6)
        whole = replace(design, features=())
        report = OpenSynthesizer(config).synthesize(design, target)
        assert report.failure == ""
        assert report.estimates["latency_cycles"].source == "simulated_rtl"
        assert writer.adder_graph(design).cost < writer.adder_graph(whole).cost
        if number == 0:  # a synthesis takes seconds
            assert report.counts["lut"] < OpenSynthesizer(config).synthesize(whole, target).counts["lut"]


@pytest.mark.parametrize("generator", ["da4ml", "alkaid"])
@pytest.mark.parametrize(("results", "activation"), RESULTS)
def test_adder_graphs_of_narrow_neurons_equal_the_emulator(
    results: str, activation: str, generator: str
) -> None:
    writer = pytest.importorskip(f"hwnas_hls_plugins.synthesizers.open_synthesis.{SOURCE_OF[generator]}")
    pytest.importorskip(generator)
    for seed in range(3):
        design = featured(results=results, activation=activation, seed=seed, neurons=True)
        kind = design.architecture.input
        rows = np.random.default_rng(seed).integers(kind.lowest, kind.highest + 1, (400, 7))
        graph = writer.adder_graph(design)
        found = graph.predict(rows * 2.0**-kind.fraction).reshape(400, -1)
        assert np.array_equal(found, emulate(design, rows) * 2.0 ** -output_fraction(design))
        assert graph.cost < writer.adder_graph(replace(design, neurons=())).cost


@needs_yosys
@needs_compiler
@pytest.mark.parametrize("generator", ["da4ml", "alkaid"])
def test_circuits_of_narrow_neurons_equal_the_emulator(
    generator: str, target: Target, cache_dir: str
) -> None:
    pytest.importorskip(generator)
    config = OpenConfig(rows=600, cache_dir=cache_dir, generator=generator)
    design = featured(seed=6, neurons=True)
    report = OpenSynthesizer(config).synthesize(design, target)
    assert report.failure == ""
    assert report.estimates["latency_cycles"].source == "simulated_rtl"
    whole = OpenSynthesizer(config).synthesize(replace(design, neurons=()), target)
    assert report.counts["lut"] < whole.counts["lut"]


def test_multipliers_refuse_types_of_single_values(target: Target, cache_dir: str) -> None:
    config = OpenConfig(rows=50, cache_dir=cache_dir)
    for design in (featured(), replace(featured(neurons=True), features=())):
        report = OpenMultiplierSynthesizer(config).synthesize(design, target)
        assert "single input features" in report.failure


@needs_yosys
@pytest.mark.parametrize("part", ["xcvu9p", "lfe5u-45f"])
def test_tables_of_few_bits_become_luts(part: str, cache_dir: str) -> None:
    """alkaid writes functions of a few bits as tables, which Yosys would turn into memories."""
    pytest.importorskip("alkaid")
    design = _design(shape=(16, 8, 4), source="fixed<3,2>", result="ufixed<1,0,RND,SAT>", seed=2)
    given = find_target(part, [data_folder("hw_targets")])
    report = OpenSynthesizer(OpenConfig(rows=300, cache_dir=cache_dir, generator="alkaid")).synthesize(
        design, given
    )
    assert report.failure == ""
    tables = list(Path(report.files["result"]).parent.rglob("*tables*.v"))
    assert tables, "this design has no table and shows nothing"
    assert report.estimates["lut"].value > 0


@needs_yosys
@needs_compiler
@pytest.mark.parametrize("name", ["truncate and wrap", "short accumulators that saturate"])
def test_plain_multipliers_equal_the_emulator(name: str, target: Target, cache_dir: str) -> None:
    config = OpenConfig(rows=600, cache_dir=cache_dir)
    report = OpenMultiplierSynthesizer(config).synthesize(DESIGNS[name], target)
    assert report.failure == ""
    assert report.estimates["latency_cycles"].value == 2  # one register rank a layer
    assert not report.estimates["lut"].in_domain
    assert len(report.warnings) == 1


@needs_yosys
@needs_compiler
def test_wide_products_become_dsp_blocks(target: Target, cache_dir: str) -> None:
    wide = _design(
        shape=(3, 2, 1), weight="fixed<12,1>", source="fixed<12,4>", result="fixed<12,4>", sparsity=0
    )
    config = OpenConfig(rows=300, cache_dir=cache_dir)
    report = OpenMultiplierSynthesizer(config).synthesize(wide, target)
    assert report.failure == ""
    assert report.counts["products"] == 8
    assert 6 <= report.estimates["dsp"].value <= 8
    assert "CXXRTL" in report.estimates["latency_cycles"].evidence


@needs_yosys
@needs_da4ml
@needs_compiler
def test_rtl_and_mapped_netlist_show_the_same_cycles(target: Target, tmp_path: Path) -> None:
    design = DESIGNS["round and saturate"]
    config = OpenConfig(rows=600, cache_dir=str(tmp_path))
    rtl = OpenSynthesizer(config).synthesize(design, target, "cosim")
    mapped = OpenSynthesizer(config).synthesize(design, target, "logic_synth")
    assert rtl.failure == mapped.failure == ""
    assert "CXXRTL" in rtl.estimates["latency_cycles"].evidence
    assert "netlist" in mapped.estimates["latency_cycles"].evidence
    assert rtl.estimates["latency_cycles"].value == mapped.estimates["latency_cycles"].value
    assert "lut" not in rtl.estimates
    assert rtl.estimates["fmax_mhz"].value == pytest.approx(mapped.estimates["fmax_mhz"].value, rel=0.01)


@needs_yosys
@needs_da4ml
def test_two_runs_are_identical_and_the_third_comes_from_the_cache(target: Target, tmp_path: Path) -> None:
    design = DESIGNS["round and saturate"]
    reports = [
        OpenSynthesizer(OpenConfig(rows=300, cache_dir=str(tmp_path / place))).synthesize(design, target)
        for place in ("a", "b", "a")
    ]
    assert [report.cached for report in reports] == [False, False, True]
    assert reports[0].estimates == reports[1].estimates == reports[2].estimates
    assert reports[0].counts == reports[1].counts == reports[2].counts
    sources = [
        {path.name: path.read_bytes() for path in sorted((report.files["rtl"] / "core").rglob("*.v"))}
        for report in reports[:2]
    ]
    assert sources[0] == sources[1]
    statistics = [report.files["statistics"].read_text() for report in reports[:2]]
    assert [json.loads(text)["design"] for text in statistics] == [json.loads(statistics[0])["design"]] * 2


@needs_yosys
@needs_da4ml
def test_a_pipeline_follows_the_clock_and_the_cutoff(target: Target, cache_dir: str) -> None:
    design = _design(shape=(6, 4, 2), seed=7)
    config = OpenConfig(rows=300, cache_dir=cache_dir)
    slow = OpenSynthesizer(config).synthesize(design, target)
    fast = OpenSynthesizer(OpenConfig(rows=300, cache_dir=cache_dir, latency_cutoff=1)).synthesize(
        design, target
    )
    assert slow.failure == fast.failure == ""
    assert fast.estimates["latency_cycles"].value > slow.estimates["latency_cycles"].value
    assert fast.estimates["fmax_mhz"].value > slow.estimates["fmax_mhz"].value
    # Cycles are proven, the clock is not.
    latency = slow.estimates["latency_ns"]
    assert latency.source == "predicted"
    assert latency.value == slow.estimates["latency_cycles"].value * 5.0 <= latency.high


@needs_yosys
@needs_da4ml
@pytest.mark.parametrize("part", ["xc7z020", "xcku115"])
def test_other_families(part: str, target: Target, cache_dir: str) -> None:
    config = OpenConfig(rows=300, cache_dir=cache_dir)
    design = DESIGNS["symmetric, no biases"]
    other = find_target(part, [data_folder("hw_targets")])
    here = OpenSynthesizer(config).synthesize(design, target)
    there = OpenSynthesizer(config).synthesize(design, other)
    assert here.failure == there.failure == ""
    assert there.counts["lut"] == here.counts["lut"]
    assert "fmax_mhz" not in there.estimates  # the period model knows UltraScale+ only
    assert there.estimates["latency_ns"].high == float("inf")


@needs_yosys
@needs_da4ml
def test_constant_and_dead_parts(target: Target, cache_dir: str) -> None:
    # Three stages that da4ml retimes, and then the dead input has no bits in the port.
    design = _design(shape=(6, 3, 3, 3, 2), seed=8)
    first, *_, out = weights = [weight.copy() for weight in design.weights]
    first[1] = 0  # an input that nothing reads
    partly = Design(design.architecture, tuple(weights), design.biases)
    config = OpenConfig(rows=300, cache_dir=cache_dir, latency_cutoff=5)
    report = OpenSynthesizer(config).synthesize(partly, target)
    assert report.failure == ""
    assert report.estimates["latency_cycles"].source == "simulated_rtl"
    widths = json.loads((report.files["rtl"] / "rtl.json").read_text())["input"]
    assert [place for place, width in enumerate(widths) if sum(width) == 0] == [1]
    out[:, 1] = 0  # an output that never changes
    partly = Design(design.architecture, tuple(weights), design.biases)
    report = OpenSynthesizer(config).synthesize(partly, target)
    assert report.failure == ""
    assert report.estimates["latency_cycles"].source == "simulated_rtl"
    nothing = Design(design.architecture, tuple(weight * 0 for weight in weights), design.biases)
    report = OpenSynthesizer(config).synthesize(nothing, target)
    assert report.failure == ""
    latency = report.estimates["latency_cycles"]
    assert latency.source == "predicted"  # a constant shows no latency
    assert latency.low == 0


@needs_yosys
@needs_compiler
def test_rtl_of_another_design_is_found_out(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = DESIGNS["round and saturate"]
    altered = design.weights[1].copy()
    altered[0, 0] += 1 if altered[0, 0] < 0 else -1
    other = Design(design.architecture, (design.weights[0], altered), design.biases)
    write = multiplier_rtl.write
    monkeypatch.setattr(multiplier_rtl, "write", lambda _, folder: write(other, folder))
    config = OpenConfig(rows=300, cache_dir=str(tmp_path))
    report = OpenMultiplierSynthesizer(config).synthesize(design, target, "cosim")
    assert report.failure_kind is ErrorKind.MISMATCH
    assert not report.estimates
    assert report.files["rtl"].is_dir()  # kept for whoever looks into it


@needs_yosys
@needs_da4ml
def test_given_rows_are_compared_and_files_returned(target: Target, tmp_path: Path) -> None:
    design = DESIGNS["round and saturate"]
    rows = np.zeros((5, 4), np.int64)  # alone, they would show no latency
    config = OpenConfig(cache_dir=str(tmp_path / "cache"))
    synthesizer = OpenSynthesizer(config)
    report = synthesizer.synthesize(design, target, rows=rows, folder=tmp_path / "out")
    assert report.failure == ""
    assert report.estimates["latency_cycles"].source == "simulated_rtl"
    assert "261 inputs" in report.estimates["latency_cycles"].evidence
    assert report.files["rtl"] == tmp_path / "out" / "rtl"
    assert (tmp_path / "out" / "rtl" / "core" / f"{design.hardware_name}_core.v").is_file()
    assert np.array_equal(emulate(Design.load(report.files["design"]), rows), emulate(design, rows))
    with refused(ErrorKind.MISMATCH, found=f"int64 {rows[:, :3].shape}"):
        synthesizer.synthesize(design, target, rows=rows[:, :3])
    with refused(ErrorKind.INVALID, found=f"{rows.min() + 99} .. {rows.max() + 99}"):
        synthesizer.synthesize(design, target, rows=rows + 99)


@needs_yosys
@needs_da4ml
def test_failed_design_gives_report_with_failure(target: Target, tmp_path: Path) -> None:
    config = OpenConfig(cache_dir=str(tmp_path), time_limit_s=0.05)
    late = OpenSynthesizer(config).synthesize(DESIGNS["round and saturate"], target)
    assert late.failure_kind is ErrorKind.TIME_LIMIT
    expect_mentioned(late.failure, ["0.05 s", tmp_path / "failed-"])  # where the log is
    assert late.files["rtl_log"].is_file()
    unbuilt = OpenSynthesizer(config).synthesize(_design(result="ufixed<5,2,RND_CONV,SAT>"), target)
    assert unbuilt.failure_kind is ErrorKind.UNSUPPORTED
    expect_mentioned(unbuilt.failure, ["RND_CONV"])
    wide = _design(weight="fixed<30,2>", shape=(2, 1), sparsity=0)
    unbuilt = OpenSynthesizer(OpenConfig(cache_dir=str(tmp_path))).synthesize(wide, target)
    assert unbuilt.failure_kind is ErrorKind.TOO_LARGE
    expect_mentioned(unbuilt.failure, ["24 bits"])
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("work-")]


@needs_yosys
@needs_da4ml
def test_another_strategy_is_outside_the_domain(target: Target, cache_dir: str) -> None:
    config = OpenConfig(rows=300, cache_dir=cache_dir)
    report = OpenSynthesizer(config).synthesize(_design(strategy="Latency"), target)
    assert report.failure == ""
    expect_mentioned(report.warnings[0], ["Latency"])
    assert not report.estimates["lut"].in_domain
    assert not report.estimates["latency_cycles"].in_domain


def test_it_is_a_synthesizer_and_knows_its_stages(target: Target, tmp_path: Path) -> None:
    synthesizer = OpenSynthesizer(OpenConfig(cache_dir=str(tmp_path)))
    assert isinstance(synthesizer, Synthesizer)
    with refused(ErrorKind.UNKNOWN_NAME, found="post_route"):
        synthesizer.synthesize(DESIGNS["round and saturate"], target, "post_route")


def test_a_missing_compiler_is_a_missing_tool(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert shutil.which("g++") is None
    synthesizer = OpenSynthesizer(OpenConfig(cache_dir=str(tmp_path), simulator="cxxrtl"))
    assert "C++ compiler" in synthesizer.available(target)
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["g++"]):
        synthesizer.synthesize(DESIGNS["round and saturate"], target)


_RUN_PASSES = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in open(sys.argv[1]).read().splitlines():
    libyosys.run_pass(line, design)
"""


@needs_yosys
def test_three_operand_adder_equals_alkaid(tmp_path: Path) -> None:
    """By SAT, for every input: widths, signs, negations, shifts and dropped bits drawn at random."""
    alkaid = pytest.importorskip("alkaid")
    sources = {
        "gate": Path(alkaid_rtl.__file__).with_name("ternary_adder.v"),
        "gold": Path(alkaid.__file__).parent / "codegen/rtl/verilog/source/ternary_adder.v",
    }
    rng = np.random.default_rng(3)
    lines = []
    for number in range(16):
        settings = {"BW_OUT": int(rng.integers(2, 10)), "DROP_LSBS": int(rng.integers(0, 3))}
        negated = rng.choice(3, number % 3, replace=False)  # alkaid never negates all three
        for place in range(3):
            settings |= {f"BW_INPUT{place}": int(rng.integers(1, 6)), f"PAD{place}": int(rng.integers(0, 5))}
            settings |= {f"SIGNED{place}": int(rng.integers(0, 2)), f"NEGATE{place}": int(place in negated)}
        chosen = " ".join(f"-set {name} {value}" for name, value in settings.items())
        lines.append("design -reset")
        for name, source in sources.items():
            lines += [
                "read_verilog +/xilinx/cells_sim.v",
                f"read_verilog -sv {source}",
                f"chparam {chosen} ternary_adder",
                f"rename ternary_adder {name}",
                f"hierarchy -top {name}",
                "proc",
                "flatten",
                "opt_clean",
                f"design -stash {name}",
            ]
        lines += [
            *(f"design -copy-from {name} -as {name} {name}" for name in sources),
            "miter -equiv -flatten -make_outputs gold gate miter",
            "sat -verify -prove trigger 0 miter",
        ]
    script = tmp_path / "prove.ys"
    script.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-c", _RUN_PASSES, str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert done.stdout.count("no model found: SUCCESS") == 16
