"""Full trainings of the chosen records: restarts, failures, and which of several is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from short_runs import SHORT

from hwnas_hls.network import emulator
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.task import Split, joined
from hwnas_hls.run import full_training
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.judging.judge import FullTraining
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec, spec_from_tables
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.record import Record

MakeSpec = Callable[..., Spec]


def test_of_several_full_trainings_the_best_on_their_own_rows_is_kept(tmp_path: Path) -> None:
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
    problem = resolve(toy_spec(export={"restarts": wanted}), registry)
    half = Split(np.zeros((rows // 2, 2)), np.zeros(rows // 2, np.int64))
    data = dataclasses.replace(problem.dataset, train=half, validation=half)
    assert full_training.restarts_of(dataclasses.replace(problem, dataset=data)) == count


def test_a_failed_full_training_is_repeated_more_slowly_until_one_succeeds(
    registry: Registry, toy_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outcome = runs.start(
        toy_spec(export={"members": 2, "restarts": 3}), registry, tmp_path / "run", runs.Observer()
    )
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
