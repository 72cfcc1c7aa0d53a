"""The loop: limits before training, failures as records, resume identical to never stopping."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import TESTS
from refusal import refused
from toy import ToySpace

from hwnas_hls.errors import ErrorKind
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.live_front import LiveFront
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search, choose
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls.values.run_facts import RunFacts

MakeSpec = Callable[..., Spec]


def searched(spec: Spec, registry: Registry, folder: Path) -> Search:
    folder.mkdir(parents=True, exist_ok=True)
    with Store(folder) as store:
        search = Search.resume(resolve(spec, registry), store)
        search.run()
        return search


def front_of(search: Search) -> list[tuple[str, Any]]:
    return [(record.key, record.losses) for record in search.front.records]


def records_of(folder: Path) -> list[Record]:
    with Store(folder) as store:
        return store.records()


def test_a_search_judges_its_budget_and_finds_a_front(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    search = searched(toy_spec(), registry, tmp_path)
    assert search.judged == 60
    assert sum(search.states.values()) == 60
    assert len(search.front.records) > 5
    assert 0 < search.front.hypervolume < 1
    volumes = [volume for _, _, volume in search.trace]
    assert volumes == sorted(volumes)


def test_the_same_seed_gives_the_same_front_and_another_seed_another(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    first = front_of(searched(toy_spec(), registry, tmp_path / "a"))
    assert front_of(searched(toy_spec(), registry, tmp_path / "b")) == first
    assert front_of(searched(toy_spec(run={"seed": 2}), registry, tmp_path / "c")) != first


def test_batches_fit_into_the_time_that_is_left(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They begin with one candidate per core, and none is larger than all before it together."""
    monkeypatch.setattr(Search, "seconds", lambda search: 10.0 * search.asked)
    for cores, sizes in ((1, [2, 2, 4, 8, 10, 4]), (3, [3, 3, 6, 10, 8])):
        monkeypatch.setattr("hwnas_hls.run.search.available_cores", lambda cores=cores: cores)
        folder = tmp_path / str(cores)
        searched(toy_spec(run={"trials": 1000, "batch": 10, "minutes": 5}), registry, folder)
        with Store(folder) as store:
            assert [len(batch.candidates) for batch in store.batches()] == sizes


def test_the_first_batch_is_small_if_the_space_has_starts(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sizes(name: str) -> list[int]:
        searched(toy_spec(run={"trials": 60, "batch": 25}), registry, tmp_path / name)
        with Store(tmp_path / name) as store:
            return [len(batch.candidates) for batch in store.batches()]

    assert sizes("without") == [25, 25, 10]
    monkeypatch.setattr(ToySpace, "starts", lambda space: [space.sample(np.random.default_rng(5))])
    assert sizes("with") == [5, 25, 25, 5]


def test_candidate_over_hard_limit_is_never_trained(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_CALLS", str(tmp_path / "calls"))
    searched(toy_spec(limits={"max": {"lut": 500.0}}), registry, tmp_path / "run")
    trained = set((tmp_path / "calls").read_text().split())
    records = records_of(tmp_path / "run")
    over = [record for record in records if record.state == RecordState.INFEASIBLE]
    assert over
    assert trained.isdisjoint(record.key for record in over)
    for record in records:
        # The interval's upper end is held against the limit, not its value.
        assert (record.estimates["lut"].high > 500) == (record.state == RecordState.INFEASIBLE)
        if record.state == RecordState.INFEASIBLE:
            assert record.violations["lut <= 500"] == pytest.approx(record.estimates["lut"].high / 500 - 1)
            assert "lut <= 500" in record.reason


def test_nothing_feasible_shows_the_nearest(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    spec = toy_spec(limits={"max": {"lut": 1.0}})
    outcome = runs.start(spec, registry, tmp_path / "run", runs.Observer())
    assert outcome.front.members == []
    nearest = outcome.front.least_infeasible
    assert nearest[0].estimates["lut"].high == min(r.estimates["lut"].high for r in outcome.front.records)


def test_failed_and_raising_candidates_are_records_with_a_reason(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    searched(toy_spec(), registry, tmp_path / "plain")
    records = records_of(tmp_path / "plain")
    widths = [record.candidate.values["width"] for record in records]
    spec = toy_spec(estimators={"toy-training": {"fail_width": widths[0], "raise_width": widths[25]}})
    search = searched(spec, registry, tmp_path / "run")
    failed = {r.number: r for r in records_of(tmp_path / "run") if r.state == RecordState.FAILED}
    assert failed[0].reason == "toy-training: loss is not a number"
    assert failed[25].reason == "toy-training: RuntimeError: this width breaks the trainer"
    assert search.states[RecordState.COMPLETE] == 60 - len(failed)
    assert all(r.candidate.values["width"] in (widths[0], widths[25]) for r in failed.values())


def test_a_candidate_seen_again_is_not_trained_again(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_CALLS", str(tmp_path / "calls"))
    searched(toy_spec(space={"max_width": 2}), registry, tmp_path / "run")
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) == len(set(calls)) < 60


def test_modes_give_one_loss_each(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    for mode in ("weighted", "constrained"):
        search = searched(toy_spec(objectives={"mode": mode}), registry, tmp_path / mode)
        assert len(search.front.records) == 1
        (best,) = search.front.records
        complete = [r for r in records_of(tmp_path / mode) if r.state == RecordState.COMPLETE]
        assert best.losses == min(r.losses for r in complete if r.losses)
    best_accuracy = max(r.estimates["accuracy"].value for r in complete)
    assert best.estimates["accuracy"].value == best_accuracy


def test_objective_weights_change_best_design(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    def best(lut: float) -> float:
        objectives = {
            "mode": "weighted",
            "metrics": ["accuracy", "lut"],
            "weights": {"accuracy": 1.0, "lut": lut},
        }
        search = searched(toy_spec(objectives=objectives), registry, tmp_path / f"w{lut}")
        return search.front.records[0].estimates["lut"].value

    assert best(0.01) > best(50.0)


def test_early_stopping_asks_the_goal(registry: Registry, toy_spec: MakeSpec) -> None:
    from hwnas_hls.run.judging.halving import halving
    from hwnas_hls.values.estimate import Estimate

    goal = resolve(toy_spec(), registry).goal

    def known(lut: float) -> dict[str, Estimate]:
        return {
            "lut": Estimate("lut", lut, lut, lut, "predicted", ""),
            "latency_ns": Estimate("latency_ns", 10, 10, 10, "predicted", ""),
        }

    keep = halving(goal, "accuracy", [known(100), known(200), known(300), known(400)], share=0.5)
    # 1 is better and dearer than 0; 2 and 3 are dominated by 1.
    assert keep([0, 1, 2, 3], [0.5, 0.9, 0.8, 0.7], 0.25) == [True, True, False, False]
    assert keep([2, 3], [0.8, 0.7], 0.5) == [True, False]
    assert all(keep([0, 1, 2, 3], [0.5, 0.6, 0.7, 0.8], 0.25))


def test_choose_keeps_the_extremes_and_the_budget(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    front = searched(toy_spec(), registry, tmp_path).front.records
    useful = [record for record in front if max(record.losses) < 1]
    assert 4 < len(useful) < len(front), "some designs are worse than the reference"
    chosen = choose(front, 4)
    assert len(chosen) == 4
    for objective in range(3):
        best = min(record.losses[objective] for record in useful)
        assert any(record.losses[objective] == best for record in chosen)
    assert choose(front, 1000) == useful


def test_live_front_equals_front_of_all_records(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    search = searched(toy_spec(), registry, tmp_path)
    records = records_of(tmp_path)
    whole = LiveFront(3)
    whole.add(records)
    assert {r.key for r in whole.records} == {r.key for r in search.front.records}
    assert math.isclose(whole.hypervolume, search.front.hypervolume)


# -- nothing lost ------------------------------------------------------------------------

RUNNER = """
import sys, toy
from pathlib import Path
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.spec.spec import read_tables, spec_from_tables
registry = Registry(entry_points=[]); registry.register(toy, "toy")
folder = Path(sys.argv[1])
if (folder / "spec.toml").exists():
    outcome = runs.resume(folder, registry, runs.Observer())
else:
    spec = spec_from_tables(read_tables(Path(sys.argv[2])), "x")
    outcome = runs.start(spec, registry, folder, runs.Observer())
"""


def run_process(folder: Path, spec: Path, calls: Path, hash_seed: str = "0") -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "TOY_CALLS": str(calls),
        "PYTHONHASHSEED": hash_seed,
    }
    return subprocess.Popen([sys.executable, "-c", RUNNER, str(folder), str(spec)], env=environment)


def stored(folder: Path) -> list[Any]:
    """What a run came to, without its times."""
    return [dataclasses.replace(record, seconds=0.0).to_json() for record in records_of(folder)]


def test_run_killed_at_any_moment_loses_and_repeats_nothing(toy_spec: MakeSpec, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(
        toy_spec(run={"trials": 100, "batch": 10}, estimators={"toy-training": {"sleep_s": 0.02}}).to_toml()
    )
    whole = tmp_path / "whole"
    began = time.monotonic()
    assert run_process(whole, spec, tmp_path / "whole-calls").wait() == 0
    whole_s = time.monotonic() - began
    rng = random.Random(3)
    killed = tmp_path / "killed"
    kills = 0
    for attempt in range(40):
        process = run_process(killed, spec, tmp_path / "calls", hash_seed=str(attempt))
        # Early kills hit the search; the export, which imports hls4ml, takes longer.
        deadline = time.monotonic() + rng.uniform(0.25, 0.9 if kills < 8 else max(20.0, 4 * whole_s))
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if process.poll() is not None:
            assert process.returncode == 0
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    else:
        pytest.fail("the run never ended")
    assert kills >= 1
    assert stored(killed) == stored(whole)
    # Each call that was in flight at a kill may be made once more; no stored one is.
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) <= len(set(calls)) + 10 * kills


def test_a_second_process_on_one_run_is_refused(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    with Store(tmp_path):
        code = (
            "from pathlib import Path; from hwnas_hls.errors import HwnasError\n"
            "from hwnas_hls.run.storage.store import Store\n"
            f"try: Store(Path({str(tmp_path)!r}))\n"
            "except HwnasError as error: print(error.kind)"
        )
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert other.stdout.strip() == ErrorKind.TAKEN, other.stderr
    Store(tmp_path).close()


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    import sqlite3

    Store(tmp_path).close()
    database = sqlite3.connect(tmp_path / "run.sqlite")
    database.execute("pragma user_version = 99")
    database.close()
    with refused(ErrorKind.NEWER_VERSION):
        Store(tmp_path)


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.sqlite").write_bytes(b"garbage" * 1000)
    with refused(ErrorKind.DAMAGED):
        Store(tmp_path)


def test_interrupt_leaves_a_folder_that_resumes(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    def interrupt(progress: Any) -> None:
        if progress.judged == 40:
            raise KeyboardInterrupt

    spec = toy_spec()
    outcome = runs.start(spec, registry, tmp_path / "run", runs.Observer(on_progress=interrupt))
    assert outcome.interrupted
    assert len(outcome.front.records) == 40
    again = runs.resume(tmp_path / "run", registry, runs.Observer())
    assert not again.interrupted
    runs.start(spec, registry, tmp_path / "whole", runs.Observer())
    assert stored(tmp_path / "run") == stored(tmp_path / "whole")


def test_the_output_folder_in_use_is_refused(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with refused(ErrorKind.TAKEN, where=str(tmp_path)):
        runs.start(toy_spec(), registry, tmp_path, runs.Observer())
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_run_folder_contains_its_facts(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    outcome = runs.start(toy_spec(), registry, tmp_path / "run", runs.Observer())
    with Store(outcome.folder) as store:
        facts = store.run_facts()
    assert facts is not None
    assert facts.seed == 1
    assert facts.versions["hwnas-hls"]
    assert RunFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
    again = run_spec(outcome.folder)
    stated = again.to_tables()
    assert stated["space"] == {"name": "toy"}
    assert stated["task"] == {"name": "toy-task", "n_in": 6}
    assert stated["run"] == toy_spec().to_tables()["run"]


def test_a_full_training_that_fails_does_not_replace_the_searchs_design(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import toy

    spec = toy_spec()
    plain = runs.start(spec, registry, tmp_path / "plain", runs.Observer())
    first = toy.ToyTraining._one

    def worse(self: Any, candidate: Any, context: Any) -> Any:
        found = first(self, candidate, context)
        if self.config.sleep_s:  # the full training, as configured below
            low = dataclasses.replace(found.values["accuracy"], value=0.1, low=0.1, high=0.1)
            weights = tuple(0 * weight for weight in found.design.weights)
            design = dataclasses.replace(found.design, weights=weights)
            found = dataclasses.replace(found, values={"accuracy": low}, design=design)
        return found

    monkeypatch.setattr(toy.ToyTraining, "_one", worse)
    spec = toy_spec(export={"training": {"sleep_s": 0.001}})
    outcome = runs.start(spec, registry, tmp_path / "run", runs.Observer())
    kept = {member.key: member.design.digest() for member in outcome.front.members}
    assert kept == {member.key: member.design.digest() for member in plain.front.members}
    assert all(member.warnings for member in outcome.front.members)
    assert not any(member.warnings for member in plain.front.members)
    # Shares by layer that were estimated of the design that was thrown away would mislead.
    assert all(member.layer_estimates == () for member in outcome.front.members)
