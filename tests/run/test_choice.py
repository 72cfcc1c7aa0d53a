"""Which candidates of a search are exported: above the floor, alive, not dominated, chosen by unseen rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from refusal import expect_mentioned, refused
from short_runs import SHORT

from hwnas_hls.errors import ErrorKind
from hwnas_hls.evidence.usefulness import chance_of, constant, useless
from hwnas_hls.network import emulator
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.task import Dataset, Split, joined
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run import stored_run
from hwnas_hls.run.choice import above_floor
from hwnas_hls.run.options import Option, _beyond_noise
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec, spec_from_tables
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate
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


def test_refined_designs_are_smaller_and_marked_as_refined(tmp_path: Path) -> None:
    tables = {
        **SHORT,
        # The C simulation of a wider network compiles for half a minute.
        "space": {**SHORT["space"], "widths": [2], "strategies": ["distributed_arithmetic"]},
        "estimators": {"training": {"epochs": 10, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.7}},
        "export": {"members": 1, "restarts": 2, "folds": 2, "csim": True, "training": {"epochs": 10}},
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
