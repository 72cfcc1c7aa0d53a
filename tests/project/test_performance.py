"""The speed benchmarks run, and what they compare is the same thing; small cases of each."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from places import ROOT

BENCHMARKS = ROOT / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="benchmarks come with the source only")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a benchmark by folder and name, with its neighbours on the path."""

    def one(folder: str, name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(BENCHMARKS / folder))
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return one


def test_engine_overhead_does_not_grow(load: Any) -> None:
    overhead = load("engine", "overhead")
    small = overhead.engine(100, "random", 100, 3)
    large = overhead.engine(500, "random", 100, 3)
    assert large["candidates"] == 500
    assert large["front"] > 5
    # Far from the mark of 1 ms: the machines of a suite are busy.
    assert large["last_tenth_cpu_ms"] < 4 * small["cpu_ms"]
    assert large["cpu_ms"] < 10
    parts = large["parts_cpu_ms"]
    assert set(parts) == {"ask", "judge", "store", "tell", "front"}
    assert parts["front"] < 0.5 * large["cpu_ms"]


def test_optunas_side_of_the_engine_benchmark(load: Any) -> None:
    overhead = load("engine", "overhead")
    found = overhead.optuna_study(6, "random", 5, 3, 60.0)
    assert found["candidates"] == 6
    assert found["front"] >= 1


def test_training_throughput(load: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    throughput = load("training", "throughput")
    arguments = ["--candidates", "3", "--rows", "512", "--epochs", "1", "--repeats", "1", "--inputs", "16"]
    throughput.main([*arguments, "--batch-sizes", "128", "--json"])
    (row,) = json.loads(capsys.readouterr().out)["table"]
    # One repeat, so the ratio is that of the two rates. Which is larger is for a quiet machine to say.
    assert min(row["plain"], row["batched"]) > 0
    assert row["ratio"] == pytest.approx(row["batched"] / row["plain"])


def test_one_search_against_one_by_one(load: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    load("training", "throughput")
    search = load("search", "against_optuna")
    out = tmp_path / "points.json"
    # A small table, so that the networks that a search begins with are small.
    arguments = ["--task", "magic-like", "--rows", "300", "--trials", "6", "--batch", "3", "--epochs", "1"]
    search.main([*arguments, "--most", "2", "--shares", "0.5", "--json", str(out)])
    (run,) = json.loads(out.read_text())
    assert run["ours"][-1]["trained"] == 6
    assert run["plain"][-1]["trained"] >= 1
    volumes = [point["hypervolume"] for point in run["plain"]]
    assert volumes == sorted(volumes)
    assert "| magic-like | 1 |" in capsys.readouterr().out


def test_the_magic_like_table_is_the_same_each_time(load: Any, tmp_path: Path) -> None:
    load("training", "throughput")
    search = load("search", "against_optuna")
    first = search.magic_like(tmp_path, 300).read_text()
    assert search.magic_like(tmp_path, 300).read_text() == first
    lines = first.splitlines()
    assert len(lines) == 301
    assert {line[-1] for line in lines[1:]} == {"g", "h"}


def test_predictor_speed(load: Any) -> None:
    ours = load("predictor_speed", "ours")
    networks = ours.networks(3, 0)
    assert all(len(item["widths"]) == len(item["activations"]) + 1 for item in networks)
    found = ours.measure(40, 1, 0)
    times = found["us"]
    assert times["arrays"] < 0.5 * times["single"]
    assert found["command_line_s"] > 0


def test_the_emulators_design_saturates_some_sums(load: Any) -> None:
    speed = load("emulator", "speed")
    from hwnas_hls.network.architecture import Architecture
    from hwnas_hls.network.design import Design
    from hwnas_hls.network.emulator import emulate, input_integers

    design = speed.design_of([16, 64, 32, 32, 5], 6, 0)
    architecture, rows = design.architecture, np.random.default_rng(0).normal(0, 1, (500, 16))
    shares = []
    for depth in (1, 2, 3):
        top = Architecture(architecture.input, architecture.layers[:depth])
        first = Design(top, design.weights[:depth], design.biases[:depth])
        result = top.layers[-1].result
        assert result is not None
        shares.append(np.mean(emulate(first, input_integers(first, rows)) == result.highest))
    assert 0.001 < shares[0] < shares[1] < shares[2] < 0.1
    answers = emulate(design, input_integers(design, rows))
    assert answers.shape == (500, 5)
    assert len(np.unique(answers, axis=0)) > 400


def test_memory_in_a_process_of_its_own(load: Any) -> None:
    peak = load("memory", "peak")
    found = peak.alone("finished", 60, "random")
    assert 20 < found["before_mb"] <= found["peak_mb"] < 2000
