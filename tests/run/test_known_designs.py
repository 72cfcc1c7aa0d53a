"""Earlier runs as a source: taken up without training again, and refused where the data differ."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.search import Progress
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls.values.run_facts import LeftOutKind

MakeSpec = Callable[..., Spec]


def start(spec: Spec, registry: Registry, folder: Path, **observer: Any) -> runs.Outcome:
    return runs.start(spec, registry, folder, runs.Observer(**observer))


def records_of(folder: Path) -> list[Record]:
    with Store(folder, reading=True) as store:
        return store.records()


def calls_in(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


@pytest.fixture
def earlier(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> runs.Outcome:
    return start(toy_spec(), registry, tmp_path / "earlier")


def test_nothing_is_trained_twice_and_the_front_is_at_least_that_of_both(
    registry: Registry,
    toy_spec: MakeSpec,
    tmp_path: Path,
    earlier: runs.Outcome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOY_CALLS", str(tmp_path / "calls"))
    again = toy_spec(
        run={"from": [str(earlier.folder)], "trials": 20, "seed": 2},
        objectives={"metrics": ["accuracy", "lut"]},
        limits={"max": {"lut": 3000.0}},
    )
    outcome = start(again, registry, tmp_path / "again")
    records = outcome.front.records
    known = [record for record in records if record.batch < 0]
    before = {r.key: r for r in earlier.front.records if r.state == RecordState.COMPLETE}
    assert {record.key for record in known} == set(before)
    assert {record.origin for record in known} == {f"from {earlier.folder}"}
    assert [record.number for record in records] == list(range(len(records)))
    for record in known:
        assert (record.state == RecordState.INFEASIBLE) == (record.estimates["lut"].high > 3000)
        if record.feasible:
            assert record.estimates["accuracy"] == before[record.key].estimates["accuracy"]
    # The search proposes 20 more; what was known is not trained, neither in the search nor in full.
    assert sum(record.batch >= 0 for record in records) == 20
    left_out = {k for k, why in earlier.front.run.left_out.items() if why.kind is not LeftOutKind.USELESS}
    assert left_out
    final = {member.key for member in earlier.front.members} | left_out
    assert not set(calls_in(tmp_path / "calls")) & final
    goal = outcome.front.goal
    losses = [goal.losses(member.estimates) or () for member in outcome.front.members]
    for member in earlier.front.members:
        own = goal.losses(member.estimates) or ()
        if not goal.violations(member.estimates):
            assert any(all(a <= b + 1e-12 for a, b in zip(found, own, strict=True)) for found in losses)


def test_strategy_learns_from_known_designs(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, earlier: runs.Outcome
) -> None:
    spec = toy_spec(run={"from": [str(earlier.folder)], "trials": 1, "batch": 1})
    found = start(spec, registry, tmp_path / "again").front
    assert found.hypervolume >= earlier.front.hypervolume
    assert len(found.records) == len({r.key for r in earlier.front.records if r.feasible}) + 1


@pytest.mark.parametrize("when", ["known", "later"])
def test_interrupted_run_resumes_without_earlier_run(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, earlier: runs.Outcome, when: str
) -> None:
    stop_at = 0 if when == "known" else 20

    def stop(progress: Progress) -> None:
        if progress.judged == stop_at:
            raise KeyboardInterrupt

    spec = toy_spec(run={"from": [str(earlier.folder)], "trials": 40})
    whole = start(spec, registry, tmp_path / "whole")
    broken = start(spec, registry, tmp_path / "broken", on_progress=stop)
    assert broken.interrupted
    shutil.rmtree(earlier.folder)
    done = runs.resume(tmp_path / "broken", registry, runs.Observer())
    assert not done.interrupted

    def records_of(outcome: runs.Outcome) -> list[object]:
        return [(r.number, r.batch, r.key, r.state, r.losses, r.origin) for r in outcome.front.records]

    assert records_of(done) == records_of(whole)
    assert [m.key for m in done.front.members] == [m.key for m in whole.front.members]


def test_kill_during_known_designs_stores_them_once(
    registry: Registry,
    toy_spec: MakeSpec,
    tmp_path: Path,
    earlier: runs.Outcome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    spec = toy_spec(run={"from": [str(earlier.folder)], "trials": 20})
    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish_batch", killed)
        assert start(spec, registry, tmp_path / "run").interrupted
    assert records_of(tmp_path / "run") == []
    shutil.rmtree(earlier.folder)
    runs.resume(tmp_path / "run", registry, runs.Observer())
    keys = [record.key for record in records_of(tmp_path / "run") if record.batch < 0]
    assert keys
    assert len(keys) == len(set(keys))


def test_designs_outside_the_space_are_in_the_table(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, earlier: runs.Outcome
) -> None:
    narrow = toy_spec(run={"from": [str(earlier.folder)], "trials": 20}, space={"max_width": 8})
    outcome = start(narrow, registry, tmp_path / "run")
    outside = [record for record in outcome.front.records if record.candidate.space == "given"]
    assert outside
    assert {record.origin for record in outside} == {f"from {earlier.folder}"}
    best = max(member.estimates["accuracy"].value for member in outcome.front.members)
    assert best >= max(member.estimates["accuracy"].value for member in earlier.front.members)


def test_other_data_are_refused_with_both_hashes(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, earlier: runs.Outcome
) -> None:
    with Store(earlier.folder) as store:
        facts = store.meta()["run"]
        store.set_meta(run=facts | {"data_fingerprint": "0123456789abcdef"})
    spec = toy_spec(run={"from": [str(earlier.folder)]})
    with refused(
        ErrorKind.MISMATCH, mentions=["0123456789abcdef", facts["data_fingerprint"], earlier.folder]
    ):
        start(spec, registry, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folder_without_run_is_refused(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    with refused(ErrorKind.MISSING, where=str(tmp_path)):
        start(toy_spec(run={"from": [str(tmp_path)]}), registry, tmp_path / "run")
