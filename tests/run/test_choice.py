"""Which candidates of a search are exported: above the floor, alive, not dominated, chosen by unseen rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import toy
from refusal import expect_mentioned, refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.evidence.usefulness import chance_of, constant, useless
from hwnas_hls.network import emulator
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.task import Dataset, Split, joined
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run import stored_run
from hwnas_hls.run.choice import Option, _beyond_noise, _folds, above_floor
from hwnas_hls.run.noise import Contender, distinct, noise
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.selection import knee
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec, spec_from_tables
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.objective import Goal, Objective
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls.values.run_facts import LeftOutKind

MakeSpec = Callable[..., Spec]


def classes(y: list[int]) -> Dataset:
    labels = np.array(y)
    split = Split(np.arange(len(y), dtype=np.float64)[:, None], labels)
    return Dataset(split, split, split, "classification", ("no", "yes"), ("f",), "invented")


def scored(value: float) -> Estimate:
    return Estimate("accuracy", value, value, value, "emulated", "invented")


def test_chance_is_the_most_frequent_class_of_the_training_rows() -> None:
    chance = chance_of(classes([0] * 90 + [1] * 10), classes([0] * 30 + [1] * 70).test)
    assert chance is not None
    assert chance.value == 0.3
    assert chance.error == pytest.approx((0.3 * 0.7 / 100) ** 0.5)
    assert chance.reached(scored(0.3 + 0.99 * chance.error))
    assert not chance.reached(scored(0.3 + 1.01 * chance.error))
    assert "always no" in chance.words


def members_of(registry: Registry, spec: Spec, folder: Path) -> runs.Outcome:
    return runs.start(spec, registry, folder, runs.Observer())


def test_constant_design_is_useless(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    outcome = members_of(registry, toy_spec(), tmp_path / "run")
    design = outcome.front.members[0].design
    assert not constant(design, outcome.front.dataset.test)
    dead = dataclasses.replace(design, weights=tuple(0 * weight for weight in design.weights))
    assert "every weight of layer 0 is zero" in constant(dead)
    assert useless(dead, outcome.front.dataset, outcome.front.dataset.test, scored(0.99))
    assert "most frequent class" in useless(
        design, outcome.front.dataset, outcome.front.dataset.test, scored(0.5)
    )


def test_a_constant_design_is_left_out_and_reported(
    registry: Registry,
    toy_spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from hwnas_hls.cli.terminal import print_outcome

    first = toy.ToyTraining._one

    def dead(self: Any, candidate: Any, context: Any) -> Any:
        found = first(self, candidate, context)
        if candidate.values["bits"] > 4 or found.design is None:
            return found
        weights = tuple(0 * weight for weight in found.design.weights)
        return dataclasses.replace(found, design=dataclasses.replace(found.design, weights=weights))

    monkeypatch.setattr(toy.ToyTraining, "_one", dead)
    outcome = members_of(registry, toy_spec(export={"members": 20}), tmp_path / "run")
    left_out = outcome.front.run.left_out
    left = {key: item for key, item in left_out.items() if item.kind is LeftOutKind.USELESS}
    assert left
    assert all(member.candidate.values["bits"] > 4 for member in outcome.front.members)
    assert all(member.checks["alive"].ok for member in outcome.front.members)
    print_outcome(outcome, (), plain=True)
    said = " ".join(capsys.readouterr().out.split())
    expect_mentioned(
        said, [next(iter(left))[:8], " ".join(next(iter(left.values())).reason.split()), "50.0 %"]
    )
    # Drawn again from the store, the same is said.
    assert stored_run.redraw(tmp_path / "run", registry, ()).front.run.left_out == left_out


def test_members_are_not_dominated_in_their_final_numbers(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    outcome = members_of(registry, toy_spec(export={"members": 20}), tmp_path / "run")
    goal = outcome.front.goal
    losses = [goal.losses(member.estimates) for member in outcome.front.members]
    for one in losses:
        assert not any(
            other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in losses
        )
    assert LeftOutKind.DOMINATED in {item.kind for item in outcome.front.run.left_out.values()}


def test_the_floor_lies_between_chance_and_the_best(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = toy_spec(export={"floor": 0.7})
    outcome = members_of(registry, spec, tmp_path / "run")
    problem = resolve(spec, registry)
    with Store(tmp_path / "run", reading=True) as store:
        records = [record for record in store.records() if record.feasible]
    scores = [record.estimates["accuracy"].value for record in records]
    kept = {record.key for record in above_floor(problem, records)}
    floor = 0.5 + 0.7 * (max(scores) - 0.5)
    assert kept == {r.key for r in records if r.estimates["accuracy"].value >= floor}
    assert 0 < len(kept) < len({record.key for record in records})
    assert {member.key for member in outcome.front.members} <= kept


@pytest.mark.parametrize("floor", [-0.1, 1.0])
def test_impossible_floor_is_refused(toy_spec: MakeSpec, floor: float) -> None:
    with refused(ErrorKind.INVALID, mentions=["floor", floor]):
        toy_spec(export={"floor": floor})


def test_folds_share_every_row_and_every_class_once() -> None:
    dataset = classes([0] * 17 + [1] * 5)
    folds = _folds(dataset, 4, 1)
    rows = np.concatenate([fold.validation.x[:, 0] for fold in folds])
    assert sorted(rows) == sorted(np.concatenate([dataset.train.x, dataset.validation.x])[:, 0])
    for fold in folds:
        assert len(fold.train) + len(fold.validation) == 44
        assert set(fold.validation.y) == {0, 1}
        assert fold.test is dataset.test
    assert len({fold.fingerprint for fold in folds}) == 4


SHORT: dict[str, Any] = {
    "target": {"name": "xcvu9p"},
    "run": {"trials": 30, "batch": 15, "exporters": [], "estimators": ["static", "hls-model", "training"]},
    "export": {"members": 3, "restarts": 2, "csim": False, "training": {"epochs": 10}},
    "estimators": {"training": {"epochs": 10, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.8}},
    "synthesis": {"synthesizer": "none"},
    "space": {"widths": [8, 16], "max_depth": 1},
}


def test_a_shortlist_is_scored_by_networks_that_have_not_seen_the_rows(tmp_path: Path) -> None:
    registry = Registry()
    outcome = runs.start(spec_from_tables(SHORT, "test"), registry, tmp_path / "run", runs.Observer())
    choice = outcome.front.run.choice
    assert choice is not None
    assert (choice.method, choice.folds) == ("cross-fitting", 4)
    scores = choice.scores
    assert {member.key for member in outcome.front.members} <= scores.keys()
    rows = len(outcome.front.dataset.train) + len(outcome.front.dataset.validation)
    for item in scores.values():
        # A share of all those rows.
        assert item.value * rows == pytest.approx(round(item.value * rows))
    # Interrupted and done again, the trainings of the folds come from the store.
    again = runs.resume(tmp_path / "run", registry, runs.Observer(), export_again=True)
    assert again.front.run.choice == choice
    assert [m.design.digest() for m in again.front.members] == [
        m.design.digest() for m in outcome.front.members
    ]


def test_without_folds_the_searchs_own_scores_choose(tmp_path: Path) -> None:
    tables = {**SHORT, "export": {**SHORT["export"], "folds": 0, "refine": False}}
    outcome = runs.start(spec_from_tables(tables, "test"), Registry(), tmp_path / "run", runs.Observer())
    choice = outcome.front.run.choice
    assert choice is not None
    assert (choice.method, choice.scores) == ("validation rows", {})


def test_validate_refutes_a_design_that_does_nothing(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hwnas_hls.cli import main as cli

    outcome = members_of(registry, toy_spec(), tmp_path / "run")
    member = outcome.front.members[0]
    place = tmp_path / "run" / "designs" / member.key
    assert cli.invoke(["validate", str(place), "--max", "parameters=1e9"]) != 1
    dead = dataclasses.replace(member.design, weights=tuple(0 * weight for weight in member.design.weights))
    dead.save(tmp_path / "dead")
    capsys.readouterr()
    assert cli.invoke(["validate", str(tmp_path / "dead"), "--max", "parameters=1e9"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    expect_mentioned(said, ["REFUTED", "layer 0"])
    chances = [{**item, "value": 1.0} for item in member.design.meta["chances"]]
    meta = {**member.design.meta, "chances": chances}
    dataclasses.replace(member.design, meta=meta).save(place)
    assert cli.invoke(["validate", str(place), "--max", "parameters=1e9"]) == 3
    from hwnas_hls.evidence import files as evidence

    csim = dataclasses.replace(member.estimates["accuracy"], source="csim")
    piece = evidence.Piece("export", "test", member.design.digest(), {"accuracy": csim})
    evidence.write(place, piece)
    assert cli.invoke(["validate", str(place), "--min", "accuracy=0.1"]) == 1
    expect_mentioned(" ".join(capsys.readouterr().out.split()), ["REFUTED accuracy"])
    # The accuracy of a design of another metric counts only where a requirement names it.
    other = {"metric": "auc", "value": 0.5, "error": 0.01, "words": "made up"}
    meta = {**meta, "chances": [other, *chances]}
    dataclasses.replace(member.design, meta=meta).save(place)
    assert cli.invoke(["validate", str(place), "--min", "accuracy=0.1"]) == 1
    assert cli.invoke(["validate", str(place), "--max", "parameters=1e9"]) == 3


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


def test_designs_within_noise_take_no_slot(registry: Registry, toy_spec: MakeSpec) -> None:
    problem = resolve(toy_spec(objectives={"metrics": ["accuracy", "lut"]}), registry)

    def option(number: int, lut: float, right: list[int]) -> Option:
        share = sum(right) / len(right)
        estimates = {
            "accuracy": scored(share),
            "lut": Estimate("lut", lut, lut, lut, "predicted", "invented"),
        }
        losses = problem.goal.losses(estimates)
        record = Record(number, 0, Candidate("toy", {"n": number}), RecordState.COMPLETE, estimates, losses)
        return Option(record, 0.0, np.array(right, bool))

    cheap = option(0, 100, [1] * 80 + [0] * 20)
    # Two rows more, and four that differ: within one standard error.
    noise = option(1, 200, [1] * 79 + [0] + [1] * 3 + [0] * 17)
    better = option(2, 400, [1] * 95 + [0] * 5)
    kept = _beyond_noise(problem, [better, noise, cheap])
    assert sorted(item.record.number for item in kept) == [0, 2]
    everything = resolve(
        toy_spec(objectives={"metrics": ["accuracy", "lut"]}, export={"noise_filter": False}), registry
    )
    assert _beyond_noise(everything, [better, noise, cheap]) == [better, noise, cheap]


def contender(key: str, right: int, lut: float, cycles: float, *, spread: float = 1.0) -> Contender:
    """A design that classifies the first ``right`` of 400 rows correctly."""
    estimates = {
        "accuracy": scored(right / 400),
        "lut": Estimate("lut", lut, lut, lut, "open_synthesis", "invented"),
        "latency_cycles": Estimate(
            "latency_cycles", cycles, cycles - spread, cycles + spread, "predicted", "invented"
        ),
        "latency_ns": Estimate("latency_ns", 5 * cycles, 5 * cycles, 5 * cycles, "predicted", "invented"),
    }
    return Contender(key, estimates, np.arange(400) < right)


def test_one_predicted_cycle_and_the_noise_of_the_rows_take_no_slot() -> None:
    """README's table of a first hour: 93.9 % at 190 ns beside 93.6 % at 20 ns, 359 rows."""
    goal = Goal(
        (
            Objective("accuracy", "max", 1.0, 0.55, log=True),
            Objective("lut", "min", 10.0, 1e6, log=True),
            Objective("latency_ns", "min", 5.0, 1000.0, log=True),
        )
    )
    # One more row right is noise, ten more are not.
    cheap, alike, better = (
        contender("a", 370, 1000, 4),
        contender("b", 371, 2000, 38),
        contender("c", 380, 3000, 9),
    )
    assert distinct(goal, 5.0, [better, alike, cheap]) == {1: 2}
    # One predicted cycle fewer at more LUTs and the same score; simulated, it counts.
    faster = contender("d", 370, 1100, 3)
    assert distinct(goal, 5.0, [cheap, faster]) == {1: 0}
    known = [contender("a", 370, 1000, 4, spread=0), contender("d", 370, 1100, 3, spread=0)]
    assert distinct(goal, 5.0, known) == {}
    # In a chain, each redundant by the one before, the third is not redundant by the first.
    chain = [contender(str(n), 370, 1000 - 100 * n, 4 + n) for n in range(3)]
    assert distinct(goal, 5.0, chain) == {1: 2}
    assert distinct(dataclasses.replace(goal, mode="constrained"), 5.0, [better, alike, cheap]) == {}


def test_scores_other_than_the_accuracy_have_noise_by_resampling() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.05, 200)
    one, other = (
        Contender(key, {}, None, {"auc": 0.9 + shift + shared + rng.normal(0, 0.001, 200)})
        for key, shift in (("a", 0.0), ("b", 0.01))
    )
    # The rows are the same, so that what is common to both cancels.
    assert 0.001 < noise("auc", one, other, 5.0) < 0.002


def test_design_within_noise_of_another_is_left_out_and_named(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwnas_hls.run.export.distinct", lambda goal, clock_ns, found: {len(found) - 1: 0})
    outcome = members_of(registry, toy_spec(export={"members": 20}), tmp_path / "run")
    alike = {k: item for k, item in outcome.front.run.left_out.items() if item.kind is LeftOutKind.ALIKE}
    (item,) = alike.values()
    assert not alike.keys() & {member.key for member in outcome.front.members}
    expect_mentioned(item.reason, [f"{len(outcome.front.dataset.test)} test rows"])
    spec = toy_spec(export={"members": 20, "noise_filter": False})
    unfiltered = members_of(registry, spec, tmp_path / "unfiltered")
    kinds = {item.kind for item in unfiltered.front.run.left_out.values()}
    assert LeftOutKind.ALIKE not in kinds


def test_refined_designs_are_smaller_and_marked_as_refined(tmp_path: Path) -> None:
    tables = {
        **SHORT,
        "space": {**SHORT["space"], "strategies": ["distributed_arithmetic"]},
        "estimators": {"training": {"epochs": 10, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.7}},
        "export": {"members": 2, "restarts": 2, "folds": 2, "csim": True, "training": {"epochs": 10}},
    }
    outcome = runs.start(spec_from_tables(tables, "test"), Registry(), tmp_path / "run", runs.Observer())
    assert outcome.front.run.choice is not None
    prices = outcome.front.run.choice.prices
    refined = [member for member in outcome.front.members if "refined" in member.design.meta]
    assert refined
    for member in refined:
        assert member.design.meta["refined"]["price"] == prices[member.key]
        assert 0 < member.design.meta["refined"]["kept"] < 1
        assert member.checks["csim"].ok


@pytest.mark.parametrize("restarts", [0, 1])
def test_designs_of_long_trainings_are_chosen_on_training_and_validation_rows(
    tmp_path: Path, restarts: int
) -> None:
    """No full training is made by default. Those asked for are hopeless here, and the search's win."""
    tables = {
        **SHORT,
        "space": {**SHORT["space"], "strategies": ["distributed_arithmetic"]},
        "estimators": {"training": {"epochs": 10, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.7}},
        "export": {
            **{"members": 3, "csim": False, "restarts": restarts},
            "training": {"epochs": 1, "descent_rate": 1e-6},
        },
    }
    steps: list[str] = []
    observer = runs.Observer(on_step=steps.append)
    outcome = runs.start(spec_from_tables(tables, "test"), Registry(), tmp_path / "run", observer)
    front = outcome.front
    choice = front.run.choice
    assert choice is not None
    rows = len(front.dataset.train) + len(front.dataset.validation)
    assert (choice.method, choice.folds) == ("training and validation rows", 0)
    assert str(rows) in choice.words
    for item in choice.scores.values():
        assert item.value * rows == pytest.approx(round(item.value * rows))
        # Rows that a design was trained on prove nothing about others.
        assert item.source == "trained"
    assert front.members
    assert any("full training" in step for step in steps) == bool(restarts)
    assert {member.design.meta.get("weights_of") for member in front.members} == (
        {"search"} if restarts else {None}
    )
    # What was scored is what is exported.
    for member in front.members:
        right = emulator.outputs(member.design, joined(front.dataset).x).argmax(axis=1)
        score = float(np.mean(right == joined(front.dataset).y))
        assert restarts or choice.scores[member.key].value == pytest.approx(score)


def test_of_several_full_trainings_the_best_on_their_own_rows_is_kept(tmp_path: Path) -> None:
    from hwnas_hls.protocols.task import joined
    from hwnas_hls.run import full_training
    from hwnas_hls.run.search import Search

    spec = spec_from_tables(SHORT, "test")
    problem = resolve(spec, Registry())
    with Store(tmp_path) as store:
        search = Search.resume(problem, store)
        search.run()
        (record,) = sorted(search.front.records, key=lambda item: -item.estimates["accuracy"].value)[:1]
        rows = joined(problem.dataset)

        def fit(seed: int) -> float:
            judge = search.judge
            found = judge.again([record.candidate], seed) if seed else judge.designs([record.candidate])
            assert found[0].design is not None
            right = emulator.outputs(found[0].design, rows.x).argmax(axis=1) == rows.y
            return float(right.mean())

        alone = [fit(seed) for seed in range(4)]
        assert len(set(alone)) > 1
        for count in (1, 2, 4):
            table = dataclasses.replace(spec.export, restarts=count)
            several = dataclasses.replace(problem, spec=dataclasses.replace(spec, export=table))
            (made,) = full_training.trained(several, search.judge, [record], {}, {})
            right = emulator.outputs(made.design, rows.x).argmax(axis=1) == rows.y
            # LUTs weigh nothing where one record alone says nothing of their worth.
            assert float(right.mean()) == max(alone[:count])
        search.close()


@pytest.mark.parametrize(
    ("rows", "wanted", "count"), [(1438, 0, 6), (6000, 0, 4), (800_000, 0, 1), (1438, 2, 2)]
)
def test_large_tables_get_fewer_full_trainings(
    registry: Registry, toy_spec: MakeSpec, rows: int, wanted: int, count: int
) -> None:
    from hwnas_hls.run.full_training import restarts_of

    problem = resolve(toy_spec(export={"restarts": wanted}), registry)
    half = Split(np.zeros((rows // 2, 2)), np.zeros(rows // 2, np.int64))
    data = dataclasses.replace(problem.dataset, train=half, validation=half)
    assert restarts_of(dataclasses.replace(problem, dataset=data)) == count


def test_a_failed_full_training_is_repeated_more_slowly_until_one_succeeds(
    registry: Registry, toy_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from hwnas_hls.run import full_training
    from hwnas_hls.run.judging.judge import FullTraining

    outcome = members_of(registry, toy_spec(export={"members": 2, "restarts": 3}), tmp_path / "run")
    good, bad = list({record.key: record for record in outcome.front.records}.values())[:2]
    design = outcome.front.members[0].design
    calls: list[tuple[int, list[str], bool]] = []

    def trained(
        candidates: list[Candidate], number: int = 0, *, recovering: bool = False
    ) -> list[FullTraining]:
        calls.append((number, [candidate.key for candidate in candidates], recovering))
        return [FullTraining({}, design, (), "slow" if recovering else "") for _ in candidates]

    def failed(problem: object, item: FullTraining, record: Record, scores: object) -> str:
        return "collapsed" if record.key == bad.key and item.reason != "slow" else ""

    monkeypatch.setattr(full_training, "_failed", failed)
    problem = resolve(toy_spec(export={"restarts": 3}), registry)
    judge: Any = SimpleNamespace(
        designs=trained, again=trained, with_designs=lambda *_: [], design=lambda record: None
    )
    made = full_training.trained(problem, judge, [good, bad], {}, {})
    assert [item.record.key for item in made] == [good.key, bad.key]
    assert not any(item.warnings for item in made)
    both = [good.key, bad.key]
    # In the second round the failed one trains more slowly; once that succeeds, all train as usual.
    assert calls == [(0, both, False), (1, [good.key], False), (1, [bad.key], True), (2, both, False)]


def test_the_training_after_a_failure_has_a_lower_rate() -> None:
    problem = resolve(spec_from_tables(SHORT, "test"), Registry())
    again = problem.recovering()
    assert problem.trainer is not None
    assert again.trainer is not None
    assert again.trainer.config["learning_rate"] == pytest.approx(problem.trainer.config["learning_rate"] / 3)
    assert again.trainer.config["epochs"] == problem.trainer.config["epochs"]
