"""Who is asked of contenders alone, and who is asked again because others' numbers have changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hwnas_hls import hookimpl
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.judging.contention import contend
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates, Metric, measured
from hwnas_hls.values.objective import Goal, Objective
from hwnas_hls.values.record import RecordState

MakeSpec = Callable[..., Spec]
ASKED: list[str] = []


def _lut(candidate: Candidate) -> float:
    """What the exact estimator says: up to a tenth off the cheap one's number."""
    return 1.0 + candidate.values["width"] * (1.0 + int(candidate.key, 16) % 100 / 1000)  # type: ignore[operator]


class Law(Estimator):
    """LUTs of trained designs, roughly."""

    name = "law"
    provides = ("lut",)
    version = "1"
    cost = 1e-5
    uses_weights = True

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        found = []
        for candidate in candidates:
            value = 1.0 + float(candidate.values["width"])  # type: ignore[arg-type]
            lut = Estimate("lut", value, 0.9 * value, 1.1 * value, "predicted", "law")
            found.append(Estimates({"lut": lut} if candidate.key in context.designs else {}))
        return found


class Solver(Estimator):
    """LUTs of trained designs, exactly; asked of contenders alone."""

    name = "solver"
    provides = ("lut",)
    version = "1"
    cost = 5.0
    uses_weights = True
    contends_by = "law"

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        ASKED.extend(candidate.key for candidate in candidates if candidate.key in context.designs)
        return [
            Estimates(
                {"lut": measured("lut", _lut(c), "predicted", "solved")} if c.key in context.designs else {}
            )
            for c in candidates
        ]


class Bargain(Estimator):
    """Accuracy a LUT; cheap, so that it is asked before the solver."""

    name = "bargain"
    provides = (Metric("bargain", "max", "bargain", best=1.0, worst=0.0),)
    version = "1"
    cost = 2.0
    uses_weights = True
    combines = True

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        out = []
        for candidate in candidates:
            known = context.known[candidate.key]
            if not {"accuracy", "lut"} <= set(known):
                out.append(Estimates())
                continue
            value = known["accuracy"].value / known["lut"].value
            out.append(Estimates({"bargain": measured("bargain", value, "predicted", "quotient")}))
        return out


class _Plugin:
    @staticmethod
    @hookimpl
    def hwnas_register_estimators() -> list[type]:
        return [Law, Solver, Bargain]


@pytest.fixture
def with_solver(registry: Registry) -> Registry:
    ASKED.clear()
    registry.register(_Plugin, "solver")
    return registry


ESTIMATORS = ["toy-cost", "toy-training", "law", "solver"]


def test_a_candidate_contends_unless_it_is_dominated_even_at_its_best() -> None:
    goal = Goal((Objective("accuracy", "max", 1.0, 0.0), Objective("lut", "min", 0.0, 1000.0)))

    def known(accuracy: float, lut: float) -> dict[str, Estimate]:
        return {
            "accuracy": measured("accuracy", accuracy, "emulated", ""),
            "lut": measured("lut", lut, "predicted", ""),
        }

    batch = [known(0.9, 100.0), known(0.9, 120.0), known(0.9, 130.0), known(0.95, 300.0), known(0.5, 99.0)]
    assert contend(goal, batch, {"lut"}, 1.25, []) == [True, True, False, True, True]
    assert contend(goal, batch, {"lut"}, 1.5, []) == [True, True, True, True, True]
    # Only numbers that are in doubt are given the benefit of it.
    assert contend(goal, batch, set(), 1.25, []) == [True, False, False, True, True]
    front = [goal.losses(known(0.96, 60.0)) or ()]
    assert contend(goal, batch, {"lut"}, 1.25, front) == [False, False, False, False, False]
    assert contend(goal, [{}], {"lut"}, 1.25, front) == [True]


def test_solver_runs_only_for_contenders(with_solver: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    spec = toy_spec(run={"estimators": ESTIMATORS})
    with Store(tmp_path) as store:
        search = Search.resume(resolve(spec, with_solver), store)
        search.run()
        records = [record for record in store.records() if record.state == RecordState.COMPLETE]
    solved = {record.key for record in records if record.estimates["lut"].evidence == "solved"}
    assert solved == set(ASKED)
    assert {record.key for record in search.front.records} <= solved
    assert 0 < len(solved) < len({record.key for record in records})
    for record in records:
        by_law = 1.0 + float(record.candidate.values["width"])
        assert record.estimates["lut"].value == (_lut(record.candidate) if record.key in solved else by_law)


def test_without_the_cheaper_estimator_the_solver_is_asked_of_all(
    with_solver: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = toy_spec(run={"estimators": ["toy-cost", "toy-training", "solver"]})
    with Store(tmp_path) as store:
        Search.resume(resolve(spec, with_solver), store).run()
        records = [record for record in store.records() if record.state == RecordState.COMPLETE]
    assert {record.estimates["lut"].evidence for record in records} == {"solved"}


def test_combining_estimator_runs_again_after_changes(
    with_solver: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = toy_spec(
        run={"estimators": [*ESTIMATORS, "bargain"]},
        export={"members": 1, "csim": False, "folds": 0},
    )
    outcome = runs.start(spec, with_solver, tmp_path / "run", runs.Observer())
    complete = [record for record in outcome.front.records if record.state == RecordState.COMPLETE]
    assert {record.estimates["lut"].evidence for record in complete} == {"law", "solved"}
    for record in complete:
        quotient = record.estimates["accuracy"].value / record.estimates["lut"].value
        assert record.estimates["bargain"].value == pytest.approx(quotient)
    (member,) = outcome.front.members
    # By the final numbers: the score on the test rows, which the search has not seen.
    assert member.estimates["accuracy"].value != member.record.estimates["accuracy"].value
    assert member.estimates["lut"].evidence == "solved"
    quotient = member.estimates["accuracy"].value / member.estimates["lut"].value
    assert member.estimates["bargain"].value == pytest.approx(quotient)


def test_resume_selects_same_contenders_after_syntheses(
    with_solver: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = toy_spec(
        run={"estimators": ESTIMATORS},
        synthesis={"synthesizer": "toy-synthesis", "budget": 30, "config": {"factor": 0.8}},
    )

    def facts(folder: Path, *stops: int) -> list[object]:
        folder.mkdir()
        for stop in (*stops, 0):
            batches: list[object] = []

            def interrupt(progress: object, seen: list[object] = batches, stop: int = stop) -> None:
                seen.append(progress)
                if len(seen) == stop:
                    raise KeyboardInterrupt

            with Store(folder) as store:
                search = Search.resume(resolve(spec, with_solver), store, on_progress=interrupt)
                with contextlib.suppress(KeyboardInterrupt):
                    search.run()
                search.close()
        with Store(folder) as store:
            return [(item.key, item.estimates["lut"].evidence, item.losses) for item in store.records()]

    whole = facts(tmp_path / "whole")
    assert facts(tmp_path / "parts", 1, 1) == whole
    assert any("syntheses of this run" in str(item) for item in whole)
