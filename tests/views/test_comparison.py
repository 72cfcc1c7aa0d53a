"""Runs compared: attainment surfaces, and the page that shows them."""

# ruff: noqa: E501 (lines of JavaScript)
from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import needs_browser, visit
from hypothesis import given
from hypothesis import strategies as st
from refusal import refused

from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import ErrorKind
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.lifecycle import Observer, start
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.attainment import staircase, surface
from hwnas_hls.values.objective import Goal, Objective
from hwnas_hls.views.comparison import RunRow, compare_runs, grouped, hardware_of, kinds
from hwnas_hls.views.comparison_page import comparison_page, volume_in_words

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)
GOAL = Goal(
    (
        Objective("accuracy", "max", best=1.0, worst=0.5),
        Objective("lut", "min", best=0.0, worst=1000.0),
    )
)


def reached(points: list[tuple[float, float]], at: tuple[float, float]) -> bool:
    return any(first <= at[0] and second <= at[1] for first, second in points)


@given(st.lists(POINTS, min_size=1, max_size=5), st.data())
def test_attainment_surface_bounds_region_attained_by_k_runs(
    runs: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    least = data.draw(st.integers(1, len(runs)))
    corners = surface(runs, least)
    for at in [(x, y) for x in range(10) for y in range(10)]:
        attained = sum(reached(points, at) for points in runs) >= least
        assert reached(corners, at) == attained


def test_a_staircase_keeps_what_nothing_beats() -> None:
    assert staircase([(2, 5), (1, 7), (3, 5), (1, 8), (4, 1)]) == [(1, 7), (2, 5), (4, 1)]
    assert surface([[(1, 7)], []], 2) == []


def test_an_interval_needs_two_runs() -> None:
    assert volume_in_words([0.25]) == "0.2500 (one run: no interval)"
    half = 12.706 * 0.1 / math.sqrt(2) / math.sqrt(2) * 2  # t of one degree, two runs 0.2 apart
    assert volume_in_words([0.1, 0.3]) == f"0.2000 ± {half:.4f}"


def rows() -> list[RunRow]:
    made = []
    for strategy, shift in (("random", 0.0), ("<script>alert(1)</script>", 0.02)):
        for seed in range(3):
            designs = tuple(
                {"accuracy": 0.6 + 0.1 * k + shift + 0.005 * seed, "lut": 100.0 * (k + 1) ** 2 + 5 * seed}
                for k in range(3)
            )
            trace = ((10, 1.0, 0.1), (20, 2.5, 0.2 + shift))
            made.append(
                RunRow(f"{strategy}-{seed}", 20, 2.5, 3, trace[-1][2], designs[-1], strategy, trace, designs)
            )
    return made


@needs_browser
def test_the_page_draws_and_escapes(tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    page.write_text(comparison_page(rows(), GOAL))
    found = visit(
        page,
        tmp_path / "browser",
        """
        note.lines = byId("plot-attainment").data.length;
        click(byId("each-run")); byId("each-run").dispatchEvent(new Event("change"));
        note.with_runs = byId("plot-attainment").data.length;
        const median = byId("plot-attainment").data[0];
        note.median = median.x.map((x, i) => [x, median.y[i]]);
        byId("log-x").checked = true; byId("log-x").dispatchEvent(new Event("change"));
        note.ticks = [...byId("plot-attainment").querySelectorAll(".xtick text")].map((text) => text.textContent);
        note.rising = [...byId("plot-attainment").querySelectorAll(".ytick text")].map((text) => text.textContent);
        note.traces = byId("plot-candidates").data.length;
        const table = byId("all-runs"), lut = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === "best LUT");
        table.tHead.rows[0].cells[lut].querySelector("button").click();
        note.sorted = [...table.tBodies[0].rows].map((row) => row.cells[lut].textContent);
        note.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
        note.heading = document.querySelector("dl.facts").textContent;
        """,
    ).note
    assert found["drawn"] == 1
    assert found["errors"] == ""
    assert found["fetched"] == []
    assert "probe_error" not in found
    assert found["overflow"] <= 0
    assert {"200", "500"} <= set(found["ticks"])
    assert found["rising"]
    assert all(text.endswith("%") for text in found["rising"])
    assert found["sorted"] == ["900"] * 2 + ["905"] * 2 + ["910"] * 2
    assert (found["lines"], found["with_runs"], found["traces"]) == (6, 12, 6)
    # By hand: two of the three runs have a design of so few LUTs that is at least so accurate.
    by_hand = [
        (105, 0.6),
        (110, 0.605),
        (400, 0.61),
        (405, 0.7),
        (410, 0.705),
        (900, 0.71),
        (905, 0.8),
        (910, 0.805),
    ]
    assert [tuple(corner) for corner in found["median"]] == [pytest.approx(corner) for corner in by_hand]
    assert "<script>alert(1)</script>" in found["heading"]


def test_runs_are_read_with_their_traces_and_fronts(
    tmp_path: Path, registry: Registry, toy_spec: Callable[..., Spec]
) -> None:
    folders = [tmp_path / f"seed{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(folders):
        start(toy_spec(run={"seed": seed}), registry, folder, Observer())
    found = compare_runs(folders, registry)
    for row in found:
        assert [judged for judged, _, _ in row.trace] == [20, 40, 60]
        assert row.trace[-1][2] == pytest.approx(row.hypervolume)
        assert len(row.designs) == row.front
        assert row.strategy == "toy-random"
    assert len({row.settings for row in found}) == 1  # they differ in their seed alone
    page = comparison_page(found, resolve(run_spec(folders[0]), registry).goal)
    assert all(str(folder) in page for folder in folders)


def test_a_long_trace_is_thinned_out_and_keeps_its_end(
    tmp_path: Path, registry: Registry, toy_spec: Callable[..., Spec]
) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder, trials in zip(folders, (799, 10), strict=True):
        start(toy_spec(run={"trials": trials, "batch": 1}), registry, folder, Observer())
    trace = compare_runs(folders, registry)[0].trace
    assert 200 <= len(trace) <= 401
    assert trace[-1][0] == 799


def test_a_run_given_twice_is_refused(
    tmp_path: Path, registry: Registry, toy_spec: Callable[..., Spec]
) -> None:
    start(toy_spec(), registry, tmp_path / "run", Observer())
    with refused(ErrorKind.AMBIGUOUS, found=tmp_path / "run"):
        compare_runs([tmp_path / "run", tmp_path / "other" / ".." / "run"], registry)


def test_runs_whose_resources_are_of_another_stage_are_refused(
    tmp_path: Path, registry: Registry, toy_spec: Callable[..., Spec]
) -> None:
    folders = [tmp_path / name for name in ("new", "old")]
    for folder in folders:
        start(toy_spec(objectives={"metrics": ["accuracy", "lut"]}), registry, folder, Observer())
    (first, _) = compare_runs(folders, registry)
    assert first.sources == {"lut": {"predicted": first.front}}
    assert kinds([first]) == ["LUT: after logic synthesis, predicted"]
    with Store(folders[1]) as store:
        facts = store.run_facts()
        assert facts is not None
        store.set_meta(run={**facts.to_json(), "resources": ""})
    with refused(ErrorKind.MISMATCH, where=str(folders[1])):
        compare_runs(folders, registry)


def test_the_kind_of_each_run_is_said_where_they_differ() -> None:
    first, second = (dataclasses.replace(row, run=name) for row, name in zip(rows(), "ab", strict=False))
    mixed = [
        dataclasses.replace(first, sources={"lut": {"predicted": 3}}),
        dataclasses.replace(second, sources={"lut": {"predicted": 1, "open_synthesis": 2}}),
    ]
    said = "LUT: after logic synthesis, a: predicted; b: 2 open_synthesis, 1 predicted"
    assert kinds(mixed) == [said]


def test_runs_of_other_circuits_are_named(
    tmp_path: Path, registry: Registry, toy_spec: Callable[..., Spec]
) -> None:
    """Another part, or raw words that the circuit scales: their LUTs are not of the same things."""
    folders = [tmp_path / name for name in ("here", "there")]
    start(toy_spec(), registry, folders[0], Observer())
    start(toy_spec(target={"name": "pynq-z2"}), registry, folders[1], Observer())
    found = compare_runs(folders, registry)
    assert kinds(found)[-1] == f"the circuits differ: here: {found[0].hardware}; there: xc7z020"
    assert found[0].hardware != "xc7z020"
    assert not any("differ" in words for words in kinds([found[0], found[0]]))
    scaled = dataclasses.replace(
        run_spec(folders[0]),
        task=dataclasses.replace(run_spec(folders[0]).task, config={"input_words": "integers"}),
    )
    assert hardware_of(scaled, registry) == f"{found[0].hardware} with the scaling of raw words"


def test_runs_of_other_settings_are_groups_of_their_own() -> None:
    same = [
        dataclasses.replace(row, run=f"runs/s{n}", strategy="nsga2", settings="x")
        for n, row in enumerate(rows()[:2])
    ]
    assert list(grouped(same)) == ["nsga2"]
    other = dataclasses.replace(same[0], run="runs/wide", settings="y")
    assert {name: len(found) for name, found in grouped([*same, other]).items()} == {
        "s0, s1 (nsga2)": 2,
        "wide (nsga2)": 1,
    }


def test_one_run_is_refused_and_nothing_written(tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    assert invoke(["compare", str(tmp_path), "--html", str(page)]) == 2
    assert not page.exists()


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_compare_prints_the_path_of_the_page(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hwnas_hls.views.comparison.compared", lambda folders, registry: (rows(), GOAL))
    page = tmp_path / "compare.html"
    assert invoke(["compare", "a", "b", "--html", str(page), *more]) == 0
    printed = capsys.readouterr()
    assert f"plots: {page}" in (printed.err if more else printed.out)
    assert page.exists()
    if more:
        assert len(json.loads(printed.out)) == len(rows())
