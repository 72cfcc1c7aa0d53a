"""Choosing one design: the knee, a stated rule, and what neither can mean."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import refused

from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import ErrorKind
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run import stored_run
from hwnas_hls.run.selection import SCORE_WEIGHT, knee, parse_rule, pick, select
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.check import failure
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.objective import Goal, Objective
from hwnas_hls.values.record import Record, RecordState

GOAL = Goal((Objective("accuracy", "max", 1.0, 0.0), Objective("lut", "min", 0.0, 1000.0)))


def record(
    number: int, accuracy: float, lut: float, state: RecordState = RecordState.COMPLETE, **more: float
) -> Record:
    values = {"accuracy": accuracy, "lut": lut, **more}
    estimates = {n: Estimate(n, v, 0.9 * v, 1.1 * v, "predicted", "invented") for n, v in values.items()}
    losses = GOAL.losses(estimates) if state == RecordState.COMPLETE else None
    return Record(number, 0, Candidate("invented", {"n": number}), state, estimates, losses)


def chosen(records: list[Record], rule: str) -> int:
    return select(records, GOAL, parse_rule(rule, "test"), "test").number


BENT = [record(0, 0.5, 100), record(1, 0.9, 200), record(2, 0.92, 800), record(3, 0.4, 900)]


def test_the_knee_is_where_the_front_bends() -> None:
    assert chosen(BENT, "knee") == 1


def test_the_knee_has_the_smallest_weighted_sum_of_rescaled_losses() -> None:
    """Against the definition itself, for two objectives."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        x = np.sort(rng.uniform(0.05, 0.95, 7))
        y = np.sort(rng.uniform(0.05, 0.95, 7))[::-1]
        records = [record(n, 1 - b, 1000 * a) for n, (a, b) in enumerate(zip(x, y, strict=True))]
        u, v = (x - x[0]) / (x[-1] - x[0]), (y - y[-1]) / (y[0] - y[-1])
        assert knee(records, GOAL).number == int(np.argmin(u + SCORE_WEIGHT * v))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.permutations(range(4)), st.floats(0.1, 10), st.floats(1.0, 3.0))
def test_knee_is_independent_of_order_and_unit(order: list[int], factor: float, shift: float) -> None:
    moved = [
        dataclasses.replace(
            item,
            estimates={
                **item.estimates,
                "lut": dataclasses.replace(item.estimates["lut"], value=factor * item.estimates["lut"].value),
            },
        )
        for item in (BENT[place] for place in order)
    ]
    goal = Goal((GOAL.objectives[0], Objective("lut", "min", 0.0, 1000.0 * factor * shift)))
    assert knee(moved, goal).number == 1


def test_knee_is_never_dominated_or_beyond_worst() -> None:
    assert chosen([record(0, 0.6, 300), record(1, 0.99, 5000)], "knee") == 0
    assert chosen([record(0, 0.6, 5000), record(1, 0.7, 6000)], "knee") == 1
    assert chosen([record(0, 0.6, 300), record(1, 0.6, 300)], "knee") == 0


@pytest.mark.parametrize(
    ("rule", "number"),
    [
        ("min lut", 0),
        ("max accuracy", 2),
        ("min lut where accuracy>=0.8", 1),
        # 0.9 x 0.92 = 0.828: the interval's bad end keeps it, that of 0.9 does not.
        ("min lut where accuracy >= 82%", 2),
        ("max accuracy where lut <= 221", 1),
        ("max accuracy where lut<=219 and accuracy>=0.1", 0),
        ("  knee ", 1),
    ],
)
def test_rule_picks_best_design_within_conditions(rule: str, number: int) -> None:
    assert chosen(BENT, rule) == number


def test_metrics_that_are_no_objectives_and_times_with_units() -> None:
    records = [record(0, 0.9, 100, dsp=4.0, latency_ns=200.0), record(1, 0.8, 90, dsp=0.0, latency_ns=800.0)]
    assert chosen(records, "min dsp") == 1
    assert chosen(records, "max accuracy where latency_ns<=1us and dsp<=0") == 1
    assert chosen(records, "min latency_ns where lut <= 200") == 0


def test_only_complete_candidates_are_chosen() -> None:
    cheap = record(7, 0.9, 1, RecordState.INFEASIBLE)
    assert chosen([cheap, *BENT], "min lut") == 0
    with refused(ErrorKind.NOTHING_FITS):
        chosen([cheap], "knee")


@pytest.mark.parametrize(
    ("rule", "kind", "values"),
    [
        ("best", ErrorKind.INVALID, {"found": "best", "mentions": ["knee"]}),
        ("min", ErrorKind.INVALID, {"found": "min"}),
        ("min lut accuracy>=0.9", ErrorKind.INVALID, {"found": "min lut accuracy>=0.9"}),
        ("min lut where accuracy=0.9", ErrorKind.INVALID, {"found": "accuracy=0.9"}),
        ("min lut where accuracy>=0.9 and", ErrorKind.INVALID, {}),
        ("min lut where accuracy>=93", ErrorKind.INVALID, {"found": "accuracy=93", "mentions": [0.93]}),
        ("min lut where accuracy>=much", ErrorKind.INVALID, {"found": "accuracy=much"}),
        ("min luts", ErrorKind.UNKNOWN_NAME, {"found": "luts", "near": "lut"}),
        ("min lut where dps<=0", ErrorKind.UNKNOWN_NAME, {"found": "dps"}),
        ("max lut", ErrorKind.INVALID, {"found": "max lut", "mentions": ["min lut"]}),
        ("min lut where accuracy>=0.99", ErrorKind.NOTHING_FITS, {"mentions": [BENT[2].key]}),
    ],
)
def test_an_invalid_rule_is_an_error(rule: str, kind: ErrorKind, values: dict[str, Any]) -> None:
    with refused(kind, **values):
        chosen(BENT, rule)


def test_the_nearest_is_named_with_its_numbers() -> None:
    with refused(ErrorKind.NOTHING_FITS, mentions=[BENT[1].key, "accuracy 0.9 (0.81 to 0.99)"]):
        chosen(BENT, "min lut where accuracy>=0.95 and lut<=700")


@pytest.fixture(scope="module")
def finished(toy_spec: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the toy plugin with two designs."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    spec = toy_spec(export={"members": 2, "csim": False})
    return runs.start(spec, toy.toy_registry(), folder, runs.Observer()).folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it for each test."""
    return shutil.copytree(finished, tmp_path / "run")


def test_export_picks_among_the_designs(
    run: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    members = {member.key: member for member in stored_run.redraw(run, registry, ()).front.members}
    cheapest = min(members.values(), key=lambda member: member.estimates["lut"].value)
    stamps = {path: path.stat().st_mtime_ns for path in (run / "designs").rglob("*")}
    assert invoke(["export", str(run), "--pick", "min lut", "--json"], lambda: registry) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["key"] == cheapest.key
    assert said["metrics"]["lut"]["value"] == cheapest.estimates["lut"].value
    assert said["search"]["accuracy"]["value"] == cheapest.record.estimates["accuracy"].value
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, "nothing is trained again"
    assert invoke(["export", str(run), "--pick", "max accuracy"], lambda: registry) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == str(run / "designs" / next(iter(members)))
    assert out[1].split() == ["in", "the", "search", "exported"]
    assert [line.split()[0] for line in out[2:5]] == ["accuracy", "lut", "latency_ns"]
    assert max(map(len, out[1:])) <= 80
    assert "selected by the score on the test rows" in "".join(out)


def test_export_trains_a_candidate_picked_among_the_search(
    run: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = "min lut where accuracy>=0.5"
    wanted = stored_run.pick(run, rule, registry, "search")
    assert wanted.member is None
    assert not wanted.by_test_rows
    place = run / "designs" / wanted.record.key
    assert not place.exists()
    assert invoke(["export", str(run), "--pick", rule, "--among", "search", "--plain"], lambda: registry) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == str(place)
    assert "test rows" not in out
    assert (place / "design.json").is_file()


def test_design_with_failed_check_is_not_picked(run: Path, registry: Registry) -> None:
    front = stored_run.redraw(run, registry, ()).front
    rule = "min lut"
    best = pick(front, rule, None, "test")
    assert best.member is not None
    broken = dataclasses.replace(best.member, checks={"csim": failure("NOT BIT-EXACT")})
    others = [broken if member.key == broken.key else member for member in front.members]
    assert pick(dataclasses.replace(front, members=others), rule, None, "test").record.key != broken.key
    searched = pick(dataclasses.replace(front, members=[]), rule, None, "test")
    assert searched.member is None
    with refused(ErrorKind.NOTHING_FITS):
        pick(dataclasses.replace(front, members=[]), rule, "designs", "test")
    with refused(ErrorKind.UNKNOWN_NAME, choices=["designs", "search"]):
        pick(front, rule, "all", "test")


@pytest.mark.parametrize(
    "more",
    [
        ["--pick", "knee", "0123"],
        ["--pick", "knee", "--format", "csv"],
        ["--pick", "nicest"],
        ["--among", "search"],
        ["--pick", "knee", "--among", "all"],
    ],
)
def test_contradicting_flags_are_user_error(more: list[str], run: Path, registry: Registry) -> None:
    assert invoke(["export", str(run), *more], lambda: registry) == 2


#: Fronts shaped like those of a user's first hour (accuracy, LUT, latency in ns), where the knee was the
#: least accurate or a dominated design; and the places of the designs that an expert would take.
FRONTS = {
    "jets by open synthesis": (
        [
            (0.695, 70, 3),
            (0.74, 120, 6),
            (0.79, 230, 6),
            (0.832, 527, 9),
            (0.839, 900, 13),
            (0.845, 2253, 19),
        ],
        {2, 3},
    ),
    "jets, adders": (
        [
            (0.695, 76, 3),
            (0.76, 180, 6),
            (0.795, 300, 6),
            (0.834, 820, 9),
            (0.839, 1328, 13),
            (0.838, 2714, 19),
        ],
        {2, 3},
    ),
    "digits": (
        [(0.602, 482, 5), (0.847, 470, 10), (0.925, 1223, 15), (0.936, 2463, 15), (0.95, 6000, 25)],
        {1, 2, 3},
    ),
    "jets predicted": ([(0.722, 415, 6), (0.81, 1200, 13), (0.838, 2048, 19), (0.845, 4356, 25)], {2}),
    "two of three dominate the third": ([(0.929, 60, 5), (0.973, 143, 10), (0.929, 71, 5)], {1}),
    # Each step costs more than the one before gained: no bend, so the most accurate.
    "no bend": ([(0.60, 100, 5), (0.61, 3000, 50), (0.95, 6000, 100)], {2}),
}


@pytest.mark.parametrize("name", FRONTS)
@pytest.mark.parametrize("timed", [True, False])
def test_the_knee_is_where_an_expert_puts_it(name: str, *, timed: bool) -> None:
    numbers, good = FRONTS[name]
    objectives = (
        Objective("accuracy", "max", 1.0, 0.55, log=True),
        Objective("lut", "min", 10.0, 1e6, log=True),
        Objective("latency_ns", "min", 3.0, 1000.0, log=True),
    )
    goal = Goal(objectives if timed else objectives[:2])
    records = []
    for place, values in enumerate(numbers):
        names = zip(("accuracy", "lut", "latency_ns"), values, strict=True)
        estimates = {name: Estimate(name, v, v, v, "predicted", "invented") for name, v in names}
        candidate = Candidate("invented", {"n": place})
        records.append(Record(place, 0, candidate, RecordState.COMPLETE, estimates, goal.losses(estimates)))
    assert knee(records, goal).number in good
