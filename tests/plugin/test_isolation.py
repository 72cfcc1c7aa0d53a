"""Isolated plugins: what would end the process ends as a record with its reason."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harmful
import numpy as np
import pytest
from places import TESTS
from refusal import expect_mentioned, refused
from toy import ToySpace

from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import ErrorKind
from hwnas_hls.plugin.isolation import Isolated, guarded
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.plugin.worker_process import IsolationError
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.lifecycle import Observer, start
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec
from hwnas_hls.testing import sample_context, sample_dataset, sample_design
from hwnas_hls.values.record import RecordState

Specs = Callable[..., Spec]


@pytest.fixture
def registry(registry: Registry) -> Registry:
    registry.register(harmful, "harmful")
    return registry


def isolated(registry: Registry, kind: str, name: str, **config: Any) -> Isolated:
    facts: dict[str, Any] = {}
    if kind == "estimator":
        facts = {"task": sample_dataset(), "target": registry.target("xcvu9p"), "seed": 3, "clock_ns": 5.0}
    offer = registry.offer(kind, name, "test")
    instance = registry.build(offer, config, "test", **facts)
    found = guarded(registry, kind, instance, config, **facts)
    assert isinstance(found, Isolated)
    return found


@pytest.fixture
def batch(registry: Registry) -> tuple[list[Any], Context]:
    space = ToySpace(ToySpace.Config(), sample_dataset())
    candidates = [
        space.candidate({"width": width, "bits": 4, "layers": 2, "activation": "relu"}) for width in (2, 3, 5)
    ]
    context = sample_context(space, seed=3)
    return candidates, dataclasses.replace(context, target=registry.target("xcvu9p"))


def test_isolated_numbers_are_equal_to_the_bit(registry: Registry, batch: Any) -> None:
    candidates, context = batch
    design = sample_design()
    context = dataclasses.replace(context, designs={candidates[0].key: design})
    estimator = isolated(registry, "estimator", "harmful")
    found = estimator.estimate(candidates, context)
    assert [item.values["lut"].value for item in found] == [2 * 6 * width / 3 for width in (2, 3, 5)]
    assert found[0].values["parameters"].high == float("inf")
    assert found[0].warnings == ("from elsewhere",)
    assert found[0].design is not None
    assert found[0].design.digest() == design.digest()
    assert found[1].design is None
    evidence = found[0].values["lut"].evidence
    assert evidence.endswith("seed 3, 144 rows")
    assert f"process {os.getpid()}," not in evidence
    # The worker stays for the next call.
    assert estimator.estimate(candidates[:1], context)[0].values["lut"].evidence == evidence
    estimator.close()


HARMS = {
    "segfault": "crashed with a segmentation fault (SIGSEGV)",
    "hang": "took longer than 4 s and was stopped",
    "exit": "sys.exit('I have had enough') was called",
    "leave": "ended its process with exit status 0",
    "bomb": f"out of memory (the limit is {harmful.MEMORY_LIMIT_MB} MB)",
    "raise": "RuntimeError: no such luck",
}


@pytest.mark.parametrize("how", HARMS)
def test_isolated_crash_becomes_failed_record(
    how: str, registry: Registry, toy_spec: Specs, tmp_path: Path
) -> None:
    spec = toy_spec(run={"estimators": ["harmful", "toy-training"]}, estimators={"harmful": {"how": how}})
    problem = resolve(spec, registry)
    space = problem.space
    candidates = [
        space.candidate({"width": width, "bits": 4, "layers": 1})  # type: ignore[attr-defined]
        for width in (2, 3, 5)
    ]
    began = time.monotonic()
    with Store(tmp_path) as store:
        records = Judge(problem, store).records(candidates, 0, 0)
    assert [record.state for record in records] == [
        RecordState.COMPLETE,
        RecordState.FAILED,
        RecordState.COMPLETE,
    ]
    assert records[1].reason.startswith("harmful: ")
    assert HARMS[how] in records[1].reason
    if how == "segfault":
        assert "about to fall" in records[1].reason
    assert time.monotonic() - began < 60


def test_hung_plugin_leaves_no_child_process(registry: Registry, batch: Any) -> None:
    candidates, context = batch
    estimator = isolated(registry, "estimator", "harmful", how="hang")
    with refused(ErrorKind.TIME_LIMIT, IsolationError):
        estimator.estimate(candidates, context)
    assert _none_sleeps()


def _none_sleeps() -> bool:
    """Whether all are gone; the system takes a moment to end a killed process."""
    deadline = time.monotonic() + 20
    while _sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _sleepers()


def _sleepers() -> list[str]:
    """Command lines of living processes that the hang has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if f"time.sleep(600) or {os.getpid()}".encode() in line:
            found.append(line.decode())
    return found


def test_plugin_output_is_not_read_as_answer(registry: Registry, batch: Any) -> None:
    candidates, context = batch
    estimator = isolated(registry, "estimator", "harmful", how="babble")
    assert [item.values["lut"].value for item in estimator.estimate(candidates, context)] == [8.0, 12.0, 20.0]


def test_the_worker_ends_with_the_tool(tmp_path: Path) -> None:
    """Killed without a chance to clean up, the tool leaves no process behind."""
    code = f"""
import sys, time
sys.path.insert(0, {str(TESTS)!r})
import harmful
from hwnas_hls.plugin.isolation import guarded
from hwnas_hls.plugin.registry import Registry
registry = Registry(entry_points=[])
registry.register(harmful, "harmful")
synthesizer = harmful.HarmfulSynthesis(harmful.HarmfulSynthesis.Config())
stand_in = guarded(registry, "synthesizer", synthesizer, {{}})
answer = stand_in.available(registry.target("xcvu9p"))
print(repr(answer), stand_in._idle[0]._process.pid, stand_in._folder.name, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as tool:
        assert tool.stdout is not None
        answer, pid, folder = tool.stdout.readline().split()
        assert answer == "''"
        assert _alive(int(pid))
        assert Path(folder).is_dir()
        tool.kill()
    deadline = time.monotonic() + 20
    while _alive(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(int(pid))
    assert not Path(folder).exists()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_synthesizer(registry: Registry) -> None:
    target, design = registry.target("xcvu9p"), sample_design()
    synthesizer = isolated(registry, "synthesizer", "harmful-synthesis")
    assert synthesizer.available(target) == ""
    assert synthesizer.available(registry.target("pynq-z2")) == "only for the VU9P"
    clocked = synthesizer.clocked(design, target)
    assert clocked.architecture.clock_ns == 3.25
    assert clocked.weights[0].tolist() == design.weights[0].tolist()
    report = synthesizer.synthesize(design, target, "csynth")
    assert (report.tool, report.stage, report.failure) == ("harmful 1", "csynth", "")
    assert report.estimates["lut"].value == float(np.abs(design.weights[0]).sum())
    assert (report.files, report.counts) == ({"log": Path("a.log")}, {"bits": 3})


def test_a_crashing_isolated_synthesizer_fails_one_design(registry: Registry) -> None:
    target = registry.target("xcvu9p")
    falling = isolated(registry, "synthesizer", "harmful-synthesis", how="segfault", available_how="exit")
    assert "sys.exit" in falling.available(target)
    report = falling.synthesize(sample_design(), target, "csynth")
    assert report.failure_kind is ErrorKind.CRASHED
    expect_mentioned(report.failure, ["SIGSEGV"])
    assert report.estimates == {}


def test_a_run_with_isolated_synthesis_ends_whatever_happens(
    registry: Registry, toy_spec: Specs, tmp_path: Path
) -> None:
    counted = {}
    for how in ("", "leave"):
        table = {"synthesizer": "harmful-synthesis", "budget": 3, "config": {"how": how}}
        spec = toy_spec(synthesis=table, run={"trials": 20, "batch": 10}, export={"members": 2})
        outcome = start(spec, registry, tmp_path / f"run{how}", Observer())
        assert not outcome.interrupted
        # A design whose synthesis fails is not exported; the log gives the reason.
        assert outcome.front.run.left_out if how else outcome.front.members
        counted[how] = len(outcome.front.comparisons())
    assert counted[""] >= 1
    assert counted["leave"] == 0
    expect_mentioned((tmp_path / "runleave" / "log.txt").read_text(), ["harmful-synthesis"])


def test_the_synth_command(registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample_design().save(tmp_path)
    arguments = ["synth", str(tmp_path), "--target", "xcvu9p", "--synthesizer", "harmful-synthesis"]
    assert invoke([*arguments, "--json"], lambda: registry) == 0
    said = json.loads(capsys.readouterr().out)
    assert f"process {os.getpid()}" != said["estimates"]["lut"]["evidence"]
    assert said["estimates"]["lut"]["evidence"].startswith("process ")


def test_a_busy_worker_is_ended(registry: Registry, batch: Any) -> None:
    candidates, context = batch
    estimator = isolated(registry, "estimator", "harmful", how="hang")
    estimator.estimate(candidates[:1], context)
    failures: list[IsolationError] = []

    def ask() -> None:
        try:
            estimator.estimate(candidates, context)
        except IsolationError as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive() and not _sleepers():
        time.sleep(0.05)
    estimator.close()
    thread.join(20)
    assert not thread.is_alive()
    assert len(failures) == 1
    assert failures[0].kind in (ErrorKind.CRASHED, ErrorKind.DAMAGED)
    assert _none_sleeps()


def test_a_plugin_that_no_process_can_load_is_refused(registry: Registry, batch: Any) -> None:
    # An object, not a module: no other process can import it.
    alone = Registry(entry_points=[])
    holder = type("Holder", (), {"hwnas_register_estimators": harmful.hwnas_register_estimators})
    alone.register(holder, "holder")
    candidates, context = batch
    estimator = isolated(alone, "estimator", "harmful")
    with refused(ErrorKind.PLUGIN_FAULT, IsolationError):
        estimator.estimate(candidates, context)


def test_plugins_without_isolation_stay_in_process(registry: Registry) -> None:
    import toy

    instance = toy.ToyCost()
    assert guarded(registry, "estimator", instance, {}) is instance


def test_dataset_transfer_keeps_weights_and_metrics() -> None:
    from hwnas_hls.plugin.transfer import dataset_from_json, dataset_to_json
    from hwnas_hls.testing.samples import sample_dataset

    data = sample_dataset()
    weights = np.arange(len(data.train), dtype=np.float64)
    data = dataclasses.replace(
        data,
        train=dataclasses.replace(data.train, weight=weights),
        metric="auc",
        further_metrics=("f1",),
        signal=2,
        false_positive_rate=0.1,
    )
    parts: dict[str, bytes] = {}
    found = dataset_from_json(json.loads(json.dumps(dataset_to_json(data, parts))), parts)
    assert found.metrics == ("auc", "f1")
    assert found.scoring == data.scoring
    assert found.fingerprint == data.fingerprint
    assert found.train.weight is not None
    assert np.array_equal(found.train.weight, weights)
    assert found.validation.weight is None
