"""Hardware in the loop: the budget is kept, measured beats predicted, predictions improve."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusal import refused
from toy import ToySynthesizer

from hwnas_hls.errors import ErrorKind, ToolMissing
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import STRATEGIES
from hwnas_hls.plugin.faults import PluginError
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import hardware_loop, resolution, stored_run
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.correction import Observation, corrected, corrections, revise
from hwnas_hls.run.resolution import resolve
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.estimate import Estimate, measured

MakeSpec = Callable[..., Spec]


def with_synthesis(toy_spec: MakeSpec, budget: int = 9, **config: Any) -> Spec:
    return toy_spec(
        run={"trials": 100, "batch": 20},
        synthesis={"synthesizer": "toy-synthesis", "budget": budget, "config": config},
        export={"members": 6},
    )


def go(spec: Spec, registry: Registry, folder: Path, **observer: Any) -> runs.Outcome:
    return runs.start(spec, registry, folder, runs.Observer(**observer))


def test_every_member_is_measured_within_the_budget(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_CALLS", str(tmp_path / "calls"))
    outcome = go(with_synthesis(toy_spec), registry, tmp_path / "run")
    members = outcome.front.members
    assert members
    assert len(members) + len(outcome.front.run.left_out) == 6
    assert all(member.estimates["lut"].source == "logic_synthesis" for member in members)
    calls = (tmp_path / "calls.synthesis").read_text().split()
    # The toy trainer makes the same weights in the search and in the end: those are measured once.
    assert len(calls) == len(set(calls)) <= 9
    assert len(outcome.front.syntheses) == 9
    assert {c.key for c in outcome.front.syntheses} >= {member.key for member in members}


def test_auto_selects_no_synthesizer_that_builds_none_of_the_space(
    registry: Registry, toy_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "usual_synthesizers", lambda target: ("toy-synthesis",))
    monkeypatch.setattr(ToySynthesizer, "hls_strategies", STRATEGIES)
    spec = toy_spec(synthesis={"synthesizer": "auto"})
    assert resolve(spec, registry).spec.synthesis.synthesizer == "toy-synthesis"
    monkeypatch.setattr(ToySynthesizer, "unbuilt", lambda self, architecture: "rounds by RND_CONV")
    problem = resolve(spec, registry)
    assert problem.synthesizer is None
    assert "rounds by RND_CONV" in problem.lacking


def test_a_resumed_run_still_says_why_it_has_no_synthesizer(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "usual_synthesizers", lambda target: ("toy-synthesis",))
    config = {"missing": "yosys is not installed"}
    go(toy_spec(synthesis={"synthesizer": "auto", "config": config}), registry, tmp_path / "run")
    shown: list[str] = []
    observer = runs.Observer(on_problem=lambda problem, folder: shown.append(problem.lacking))
    resumed = runs.resume(tmp_path / "run", registry, observer)
    assert [*shown, resumed.front.run.lacking] == ["yosys is not installed"] * 2


def test_a_synthesizer_that_builds_none_of_the_space_is_refused_before_the_search(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToySynthesizer, "unbuilt", lambda self, architecture: "rounds by RND_CONV")
    with refused(ErrorKind.UNSUPPORTED, mentions=["toy-synthesis", "rounds by RND_CONV"]):
        go(with_synthesis(toy_spec), registry, tmp_path / "run")
    assert not (tmp_path / "run").exists()

    def raising(self: ToySynthesizer, architecture: object) -> str:
        raise ArithmeticError("an odd layer")

    monkeypatch.setattr(ToySynthesizer, "unbuilt", raising)
    with refused(ErrorKind.PLUGIN_FAULT, PluginError, mentions=["toy-synthesis", "an odd layer"]):
        go(with_synthesis(toy_spec), registry, tmp_path / "run")


def test_the_search_measures_at_the_clock_of_an_export(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the synthesizer finds the clock, candidates and exported designs are compared at such clocks."""
    clocks: list[float | None] = []
    synthesize = ToySynthesizer.synthesize

    def clocked(self: ToySynthesizer, design: Design, target: Any, rows: Any = None) -> Design:
        return dataclasses.replace(
            design, architecture=dataclasses.replace(design.architecture, clock_ns=3.25)
        )

    def seen(self: ToySynthesizer, design: Design, target: Any, stage: str) -> Any:
        clocks.append(design.architecture.clock_ns)
        return synthesize(self, design, target, stage)

    monkeypatch.setattr(ToySynthesizer, "clocked", clocked)
    monkeypatch.setattr(ToySynthesizer, "synthesize", seen)
    outcome = go(with_synthesis(toy_spec), registry, tmp_path / "run")
    assert len(outcome.front.syntheses) == 9
    assert set(clocks) == {3.25}
    clocks.clear()
    stated = dataclasses.replace(with_synthesis(toy_spec), clock_ns=4.0)
    go(stated, registry, tmp_path / "stated")
    assert set(clocks) == {4.0}


def test_the_largest_designs_are_measured_first(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take longest, and at the end one of them would run alone."""
    sizes: list[int] = []
    synthesize = ToySynthesizer.synthesize

    def seen(self: ToySynthesizer, design: Design, target: Any, stage: str) -> Any:
        sizes.append(sum(int((weight != 0).sum()) for weight in design.weights if weight is not None))
        return synthesize(self, design, target, stage)

    monkeypatch.setattr(ToySynthesizer, "synthesize", seen)
    spec = toy_spec(
        run={"trials": 100, "batch": 20},
        synthesis={"synthesizer": "toy-synthesis", "workers": 1},
        export={"members": 6},
    )
    steps: list[str] = []
    go(spec, registry, tmp_path / "run", on_step=steps.append)
    assert len(set(sizes)) > 2
    assert sizes == sorted(sizes, reverse=True)
    assert sum(step.startswith("synthesis ") and " of 6: " in step for step in steps) == 6


def test_predictions_improve_from_synthesis_to_synthesis(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    outcome = go(with_synthesis(toy_spec, budget=12), registry, tmp_path / "run")
    luts = [c for c in outcome.front.syntheses if c.measured.metric == "lut"]
    errors = [abs(c.predicted.value / c.measured.value - 1) for c in luts]
    assert errors[0] == pytest.approx(1.0, abs=0.05), "the formula is off by a factor of two"
    assert errors[-1] < 0.3 * errors[0]
    again = stored_run.redraw(tmp_path / "run", registry)
    assert again.front.syntheses == outcome.front.syntheses, "the report can be drawn again with all of them"


def test_the_population_is_judged_again(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    """A limit that predictions keep and hardware breaks: measured designs leave the front."""
    spec = with_synthesis(toy_spec, factor=3.0)
    tables = spec.to_tables()
    tables["limits"]["max"] = {"lut": 3000.0}
    from hwnas_hls.spec.spec import spec_from_tables

    outcome = go(spec_from_tables(tables, "t"), registry, tmp_path / "run")
    revised = [r for r in outcome.front.records if "according to the syntheses of this run" in r.reason]
    assert revised
    assert all(record.state == "infeasible" and record.losses is None for record in revised)
    assert {member.key for member in outcome.front.members}.isdisjoint(record.key for record in revised)


def test_estimates_are_revised_only_when_a_synthesis_changes_them(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revised, times = [], []

    def counted(*arguments: Any) -> Any:
        revised.append(arguments)
        return revise(*arguments)

    monkeypatch.setattr(hardware_loop, "revise", counted)

    def note(progress: Any) -> None:
        times.append(len(revised))

    # The default budget is reserved for the exported designs: the search itself synthesises nothing.
    spec = toy_spec(
        run={"trials": 100, "batch": 20},
        synthesis={"synthesizer": "toy-synthesis"},
        export={"members": 6},
    )
    outcome = go(spec, registry, tmp_path / "run", on_progress=note)
    records = outcome.front.records
    repeated = len(records) - len({record.key for record in records})
    assert len(times) == 5
    assert times[-1] <= repeated < 10
    assert len(revised) > repeated, "by the syntheses of the exported designs"


def test_resumed_run_with_syntheses_equals_uninterrupted_run(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    def interrupt(progress: Any) -> None:
        if progress.judged == 60:
            raise KeyboardInterrupt

    whole = go(with_synthesis(toy_spec), registry, tmp_path / "whole")
    go(with_synthesis(toy_spec), registry, tmp_path / "run", on_progress=interrupt)
    again = runs.resume(tmp_path / "run", registry, runs.Observer())

    def came_to(outcome: runs.Outcome) -> Any:
        return (
            [dataclasses.replace(record, seconds=0.0).to_json() for record in outcome.front.records],
            [(member.key, member.estimates["lut"]) for member in outcome.front.members],
            [(c.key, c.predicted, c.measured) for c in outcome.front.syntheses],
        )

    assert came_to(again) == came_to(whole)


@pytest.mark.parametrize("config", [{"fail_every": 2}, {"raises": True}])
def test_failed_syntheses_do_not_stop_a_run(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, config: dict[str, Any]
) -> None:
    outcome = go(with_synthesis(toy_spec, **config), registry, tmp_path / "run")
    assert len(outcome.front.members) + len(outcome.front.run.left_out) == 6
    sources = {member.estimates["lut"].source for member in outcome.front.members}
    assert "predicted" in sources
    # The toy synthesizer's own words.
    words = "the tool fell over" if "raises" in config else "out of registers"
    assert words in (tmp_path / "run" / "log.txt").read_text()


def test_a_missing_tool_is_reported_before_the_search(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["buy a licence"]):
        go(with_synthesis(toy_spec, missing="buy a licence"), registry, tmp_path / "run")


def test_finished_run_works_without_synthesizer_tool(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import toy

    outcome = go(with_synthesis(toy_spec), registry, tmp_path / "run")
    monkeypatch.setattr(toy.ToySynthesizer, "available", lambda self, target: "it is on the cluster")
    again = stored_run.redraw(tmp_path / "run", registry, ())
    assert [m.estimates for m in again.front.members] == [m.estimates for m in outcome.front.members]
    assert stored_run.pick(tmp_path / "run", "min lut", registry).record.key
    assert runs.resume(tmp_path / "run", registry, runs.Observer()).front.members


def test_budget_requires_synthesizer(toy_spec: MakeSpec) -> None:
    with refused(ErrorKind.INVALID, mentions=["budget", "synthesizer"]):
        toy_spec(synthesis={"budget": 3, "synthesizer": "none"})


# -- the arithmetic of corrections ---------------------------------------------------------


def predicted(value: float) -> Estimate:
    return Estimate("lut", value, 0.5 * value, 2 * value, "predicted", "a model", 0.8)


def seen(ratio: float, value: float = 100.0, regime: str = "Latency") -> Observation:
    truth = measured("lut", value * ratio, "logic_synthesis", "report")
    return Observation("k", regime, predicted(value), truth, predicted(value))


def test_factors_are_shrunk_and_approach_the_ratio() -> None:
    one = corrections([seen(0.5)])["lut", "Latency"]
    many = corrections([seen(0.5)] * 50)["lut", "Latency"]
    assert one.factor == pytest.approx(0.5 ** (1 / 3))
    assert many.factor == pytest.approx(0.5, rel=0.03)
    assert corrections([seen(0.5)]).keys() == {("lut", "Latency")}


def test_intervals_move_with_the_value_and_narrow() -> None:
    before = predicted(1000.0)
    after = corrected(before, corrections([seen(0.5)] * 20)["lut", "Latency"])
    assert after.value == pytest.approx(1000 * 0.5 ** (20 / 22))
    assert after.low < after.value < after.high
    assert after.high / after.low < before.high / before.low
    assert after.coverage is None


def test_nanoseconds_follow_cycles_and_cycles_are_whole() -> None:
    cycles = Estimate("latency_cycles", 5, 4, 7, "predicted", "a model", 0.8)
    ns = Estimate("latency_ns", 25, 20, 35, "predicted", "a model", 0.8)
    truth = measured("latency_cycles", 3, "simulated_rtl", "RTL")
    factors = corrections([Observation("k", "Latency", cycles, truth, cycles)] * 3)
    moved = revise({"latency_cycles": cycles, "latency_ns": ns}, "Latency", factors, {}, 5.0)
    assert moved["latency_cycles"].value == 4
    assert moved["latency_ns"].value == 20
    known = revise(
        {"latency_cycles": cycles, "latency_ns": ns}, "Latency", factors, {truth.metric: truth}, 5.0
    )
    assert (known["latency_ns"].value, known["latency_ns"].source) == (15, "predicted")


def test_a_predicted_period_stays_when_cycles_are_corrected() -> None:
    """12 ns where the clock asks for 10: correct cycles must not make such a circuit meet its clock."""
    cycles = Estimate("latency_cycles", 5, 5, 5, "predicted", "a model", 0.9)
    ns = Estimate("latency_ns", 60, 50, 75, "predicted", "a law", 0.8)
    before = {"latency_cycles": cycles, "latency_ns": ns}
    right = measured("latency_cycles", 5, "simulated_rtl", "RTL")
    factors = corrections([Observation("k", "Latency", cycles, right, cycles)])
    kept = revise(before, "Latency", factors, {}, 10.0)["latency_ns"]
    assert (kept.value, kept.high) == (60, 75)
    fewer = revise(
        before, "Latency", {}, {"latency_cycles": measured("latency_cycles", 4, "csynth", "")}, 10.0
    )
    assert (fewer["latency_ns"].value, fewer["latency_ns"].high) == (48, 60)


def test_a_period_shorter_than_the_default_clock_stays() -> None:
    """8 ns where the default is 10, since the clock of each design is found."""
    cycles = Estimate("latency_cycles", 5, 5, 5, "predicted", "a model", 0.9)
    ns = Estimate("latency_ns", 40, 30, 50, "predicted", "a law", 0.8)
    fewer = measured("latency_cycles", 4, "csynth", "")
    found = revise({"latency_cycles": cycles, "latency_ns": ns}, "DA", {}, {"latency_cycles": fewer}, 10.0)
    assert (found["latency_ns"].value, found["latency_ns"].high) == (32, 40)


def test_routed_designs_correct_nanoseconds() -> None:
    cycles = Estimate("latency_cycles", 5, 5, 5, "predicted", "a model", 0.9)
    ns = Estimate("latency_ns", 60, 50, 75, "predicted", "a law", 0.8)
    routed = measured("latency_ns", 78, "post_route", "routed")
    right = measured("latency_cycles", 5, "simulated_rtl", "RTL")
    seen = [Observation("k", "Latency", ns, routed, ns), Observation("k", "Latency", cycles, right, cycles)]
    moved = revise({"latency_cycles": cycles, "latency_ns": ns}, "Latency", corrections(seen), {}, 10.0)
    assert moved["latency_ns"].value == pytest.approx(60 * 1.3 ** (1 / 3))
    assert moved["latency_ns"].is_predicted


def test_measured_and_foreign_numbers_are_not_corrected() -> None:
    factors = corrections([seen(0.5)] * 5)
    truth = measured("lut", 700.0, "post_route", "util.rpt")
    assert revise({"lut": truth}, "Latency", factors, {}, 5.0)["lut"] == truth
    other = dataclasses.replace(truth, in_domain=False)
    assert revise({"lut": predicted(10)}, "Resource", factors, {"lut": other}, 5.0)["lut"] == predicted(10)
    assert revise({"lut": predicted(10)}, "Latency", factors, {"lut": truth}, 5.0)["lut"] == truth
