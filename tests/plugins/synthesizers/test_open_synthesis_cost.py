"""The estimator da-cost: what da4ml's solver says of trained designs, against synthesis."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.testing.estimator import EstimatorContract
from hwnas_hls.testing.samples import MixedSpace, sample_context, sample_design
from hwnas_hls.values.candidate import Candidate
from hwnas_hls_plugins.estimators import da_cost as module
from hwnas_hls_plugins.estimators.da_cost import DaCostConfig, DaCostEstimator
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenConfig, OpenSynthesizer

needs_da4ml = pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed")
needs_yosys = pytest.mark.skipif(importlib.util.find_spec("pyosys") is None, reason="pyosys is not installed")


class TestContract(EstimatorContract):
    """What every estimator owes."""

    def estimator(self) -> DaCostEstimator:
        return DaCostEstimator()


def _distributed(design: Design, **changes: object) -> Design:
    layers = tuple(
        dataclasses.replace(layer, strategy="distributed_arithmetic", **changes)  # type: ignore[arg-type]
        for layer in design.architecture.layers
    )
    return dataclasses.replace(design, architecture=dataclasses.replace(design.architecture, layers=layers))


def _context(*designs: Design) -> tuple[list[Candidate], Context]:
    candidates = [Candidate("mixed", {"depth": 1 + number}) for number in range(len(designs))]
    held = {candidate.key: design for candidate, design in zip(candidates, designs, strict=True)}
    return candidates, dataclasses.replace(sample_context(MixedSpace()), designs=held)


@needs_da4ml
@needs_yosys
def test_the_cost_agrees_with_synthesis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    design = _distributed(sample_design())
    candidates, context = _context(design)
    monkeypatch.setattr(module, "installed", lambda name: name != "alkaid")
    estimates = DaCostEstimator().estimate(candidates, context)[0].values
    config = OpenConfig(rows=300, cache_dir=str(tmp_path), generator="da4ml")
    report = OpenSynthesizer(config).synthesize(design, context.target)
    assert report.failure == ""
    assert estimates["lut"].value == report.counts["cost_lut"]
    assert estimates["latency_cycles"].value == report.estimates["latency_cycles"].value
    assert estimates["ff"].low <= report.estimates["ff"].value <= estimates["ff"].high
    assert estimates["lut"].low / 1.1 <= report.estimates["lut"].value <= estimates["lut"].high * 1.1
    assert all(estimate.source == "predicted" for estimate in estimates.values())


@needs_da4ml
def test_a_design_is_solved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    design = _distributed(sample_design())
    candidates, context = _context(design)
    estimator = DaCostEstimator()
    first = estimator.estimate(candidates, context)
    solved: list[int] = []
    solve = module.costs
    monkeypatch.setattr(
        module,
        "costs",
        lambda designs, *rest, **how: solved.append(len(designs)) or solve(designs, *rest, **how),
    )
    assert estimator.estimate(candidates, context) == first
    assert solved == []
    slower = dataclasses.replace(context, clock_ns=2 * context.clock_ns)
    estimator.estimate(candidates, slower)
    assert solved == [1]


@needs_da4ml
@needs_yosys
def test_with_alkaid_the_cost_is_that_of_three_operand_adders(tmp_path: Path) -> None:
    pytest.importorskip("alkaid")
    design = _distributed(sample_design())
    candidates, context = _context(design)
    lut = DaCostEstimator().estimate(candidates, context)[0].values["lut"]
    report = OpenSynthesizer(OpenConfig(rows=300, cache_dir=str(tmp_path))).synthesize(design, context.target)
    assert report.failure == ""
    assert "alkaid" in report.tool
    assert "alkaid" in lut.evidence
    cycles = DaCostEstimator().estimate(candidates, context)[0].values["latency_cycles"]
    # alkaid's graph may be deeper or less deep than da4ml's.
    assert cycles.low <= report.estimates["latency_cycles"].value <= cycles.high
    assert (cycles.low, cycles.high) == (max(1, cycles.value - 1), cycles.value + 1)
    # Small networks scatter more than the twenty of the documentation.
    assert lut.low / 1.15 <= report.estimates["lut"].value <= lut.high * 1.15


@needs_da4ml
def test_a_batch_keeps_its_order_and_passes_over_the_rest() -> None:
    plain = sample_design()
    fewer = [weight * (np.arange(weight.shape[0]) % 2)[:, None] for weight in plain.weights]
    first, sparse = _distributed(plain), _distributed(dataclasses.replace(plain, weights=tuple(fewer)))
    refused = _distributed(plain, result=FixedType(6, 3, True, "RND_CONV", "SAT"))
    candidates, context = _context(sparse, plain, first, refused)
    untrained = Candidate("mixed", {"depth": 99})
    answers = DaCostEstimator().estimate([*candidates, untrained], context)
    assert [bool(answer.values) for answer in answers] == [True, False, True, False, False]
    assert not any(answer.failure for answer in answers)
    assert answers[0].values["lut"].value < answers[2].values["lut"].value


@needs_da4ml
def test_designs_of_many_weights_keep_the_estimates_of_the_law() -> None:
    plain = _distributed(sample_design())
    count = sum(np.count_nonzero(weight) for weight in plain.weights)
    candidates, context = _context(plain)

    def answered(most: int) -> bool:
        config = DaCostConfig(most_weights=most)
        return bool(DaCostEstimator(config).estimate(candidates, context)[0].values)

    assert [answered(most) for most in (count - 1, count, 0)] == [False, True, True]


@needs_da4ml
def test_more_register_ranks_take_more_cycles() -> None:
    candidates, context = _context(_distributed(sample_design()))
    slow, fast = (
        DaCostEstimator(DaCostConfig(latency_cutoff=levels)).estimate(candidates, context)[0].values
        for levels in (5, 1)
    )
    assert fast["latency_cycles"].value > slow["latency_cycles"].value
    assert fast["lut"].value == slow["lut"].value


def test_without_da4ml_there_are_no_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed", lambda name: False)
    candidates, context = _context(_distributed(sample_design()))
    assert not DaCostEstimator().estimate(candidates, context)[0].values


@needs_da4ml
def test_stages_and_registers_are_those_of_the_pipeline() -> None:
    """Without cutting the graph: the same stages, and register bits of da4ml's own retiming."""
    from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import cost
    from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import pipelined

    design = _distributed(sample_design())
    for levels in (1, 2, 3, 5):
        comb, model, _ = pipelined(design, Path(), 5.0, levels, "", "ultrascale+")
        found = cost(design, 5.0, levels)
        assert (found.cost_lut, found.stages) == (comb.cost, len(model._pipe.solutions))
        assert found.register_bits == pytest.approx(model._pipe.reg_bits, rel=0.1)


@needs_da4ml
def test_a_quick_cost_is_that_of_one_decomposition_and_only_of_large_designs() -> None:
    from hwnas_hls_plugins.synthesizers.open_synthesis import da_costs
    from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline

    rng = np.random.default_rng(4)
    layers = tuple(
        Dense(n_in, 24, "relu", FixedType(8, 1), None, None, FixedType.parse("ufixed<6,3>"))
        for n_in in (24, 24)
    )
    weights = tuple(rng.integers(-128, 128, (24, 24)) for _ in layers)
    design = _distributed(Design(Architecture(FixedType(6, 3), layers), weights, (None, None)))
    best = da_costs.cost(design, 5.0, None)
    quick = da_costs.cost(design, 5.0, None, quick=True)
    assert best.cost_lut < quick.cost_lut < 1.1 * best.cost_lut
    assert da_costs.costs([design], 5.0, None, Deadline.after(120), quick=True) == [quick]
    assert da_costs.costs([design], 5.0, None, Deadline.after(120)) == [best]
    small = _distributed(sample_design())
    assert da_costs.cost(small, 5.0, None, quick=True) == da_costs.cost(small, 5.0, None)


@needs_da4ml
def test_one_process_serves_all_batches_and_is_replaced_after_a_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hwnas_hls_plugins.synthesizers.open_synthesis import da_costs
    from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline, TimeLimitError

    monkeypatch.setattr(da_costs, "available_cores", lambda: 1)
    designs = [_distributed(sample_design())]
    solver = da_costs._solver(0)
    first = da_costs.costs(designs, 5.0, None, Deadline.after(60))
    process = solver._process
    assert process is not None
    assert da_costs.costs(designs * 2, 5.0, None, Deadline.after(60)) == first * 2
    assert solver._process is process
    with refused(ErrorKind.TIME_LIMIT, TimeLimitError, mentions=["0.01 s"]):
        da_costs.costs(designs * 40, 5.0, None, Deadline.after(0.01))
    assert process.poll() is not None
    assert da_costs.costs(designs, 5.0, None, Deadline.after(60)) == first
    solver.close()


@needs_da4ml
def test_the_failure_of_a_child_process_is_reported() -> None:
    from hwnas_hls_plugins.synthesizers.open_synthesis import da_costs
    from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline, ToolFailureError

    solver = da_costs._solver(0)
    with refused(ErrorKind.TOOL_FAILED, ToolFailureError, mentions=[1, "ValueError"]):
        solver.ask("nonsense", Deadline.after(60))
    assert da_costs.costs([_distributed(sample_design())], 5.0, None, Deadline.after(60))[0].cost_lut > 0
    solver.close()


@needs_da4ml
def test_several_processes_keep_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas_hls_plugins.synthesizers.open_synthesis import da_costs
    from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline

    plain = _distributed(sample_design())
    designs = [
        dataclasses.replace(plain, weights=tuple(weight * (number < 4) for weight in plain.weights))
        if number % 2
        else dataclasses.replace(plain, weights=tuple(weight // (number + 1) for weight in plain.weights))
        for number in range(7)
    ]
    monkeypatch.setattr(da_costs, "available_cores", lambda: 3)
    found = da_costs.costs(designs, 5.0, None, Deadline.after(120))
    assert found == [da_costs.cost(design, 5.0, None) for design in designs]
    for number in range(3):
        da_costs._solver(number).close()
