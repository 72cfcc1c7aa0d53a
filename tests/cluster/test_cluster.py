"""Workers: the same run however many there are and whatever happens to them."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cluster_plugin
import pytest
import toy
from cluster_plugin import Line, read_log, workers_of
from hypothesis import given
from hypothesis import strategies as st
from places import TESTS
from refusal import expect_mentioned, refused

from hwnas_hls.cli import flags as spec_flags
from hwnas_hls.cli.main import invoke
from hwnas_hls.cluster import ClusterLost, Workers, tasks
from hwnas_hls.cluster import connection as connections
from hwnas_hls.cluster.cache import BoundedCache
from hwnas_hls.cluster.chunks import chunks
from hwnas_hls.errors import ErrorKind, ToolMissing, UserError
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.lifecycle import Observer, Outcome, resume, start
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.stored_run import export_one
from hwnas_hls.spec.cluster import ClusterTable
from hwnas_hls.spec.spec import Spec, spec_from_tables

Specs = Callable[..., Spec]
distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
#: Patience with processes on a machine that is busy with other things.
LONG_S = 120.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler with two workers, as an administrator may have started it."""
    import logging

    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=3,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        resources={"hwnas_slot": 1, "vivado_license": 1},
        silence_logs=logging.CRITICAL,
    ) as found:
        found.adapt(minimum=2, maximum=2)  # others in the place of killed ones
        yield found


@pytest.fixture
def scheduler(cluster: Any) -> str:
    cluster.wait_for_workers(2, timeout=LONG_S)  # one may have been killed by the test before
    address: str = cluster.scheduler_address
    return address


def halving_spec(toy_spec: Specs, log: Path, **changes: Any) -> Spec:
    """60 candidates in three batches, halved at two rungs."""
    training = {"log": str(log), **changes.pop("training", {})}
    run = {"estimators": ["toy-cost", "rung-training", "weight-reader"], **changes.pop("run", {})}
    estimators = {"rung-training": training, "weight-reader": {"log": str(log)}}
    return toy_spec(run=run, estimators=estimators, **changes)


def content(outcome: Outcome) -> list[Any]:
    """All that a run found: records without their times, and designs to the bit."""
    records = [{**record.to_json(), "seconds": 0} for record in outcome.front.records]
    for record in records:
        record["estimates"] = json.loads(json.dumps(record["estimates"]))
    members = [(member.key, member.design.digest()) for member in outcome.front.members]
    return [records, members, outcome.front.hypervolume]


def done(log: Path, what: str) -> list[str]:
    return sorted(key for line in read_log(log) if line.what == what for key in line.keys)


# -- the table -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"workers": -1}, ["workers", -1]),
        ({"workers": "many"}, ["[cluster].workers", "'many'"]),
        ({"system": "pbs", "workers": 1}, ["local, slurm, htcondor", "pbs"]),
        ({"system": "slurm"}, ["slurm", "workers"]),
        ({"scheduler": "tcp://a:1", "workers": 2}, ["workers", "scheduler"]),
        ({"scheduler": "head-node"}, ["tcp://host:8786", "head-node"]),
        ({"scheduler": "tls://a:1", "tls_ca": "ca.pem"}, ["tls_certificate, tls_key"]),
        ({"workers": 1, "tls_key": "key.pem"}, ["tls_key", "tls://"]),
        ({"workers": 1, "memory": "lots"}, ["memory", "8 GB", "lots"]),
        ({"workers": 1, "resources": {"vivado_license": 0.0}}, ["vivado_license", 0]),
        ({"workers": 1, "resources": {"two words": 1.0}}, ["two words"]),
        ({"workers": 1, "synthesis_needs": {"vivado_license": 1.0}}, ["1 vivado_license", 0]),
        ({"worker": 1}, ["worker", "workers"]),
    ],
)
def test_an_invalid_cluster_table_is_an_error(table: dict[str, Any], named: list[object]) -> None:
    with refused(ErrorKind.UNKNOWN_NAME if "worker" in table else ErrorKind.INVALID, mentions=named):
        spec_from_tables({"target": {"name": "xcvu9p"}, "cluster": table}, "test.toml")


def test_resources_say_how_many_syntheses_a_worker_runs() -> None:
    assert ClusterTable(workers=1).syntheses == 0
    assert ClusterTable(workers=1, resources={"vivado_license": 2.0}).syntheses == 2
    needs = {"vivado_license": 1.0, "memory_gb": 8.0}
    table = ClusterTable(
        workers=1, resources={"vivado_license": 4.0, "memory_gb": 20.0}, synthesis_needs=needs
    )
    assert table.syntheses == 2
    assert table.needs == needs
    assert ClusterTable(workers=1, resources={"lic": 2.0}).needs == {"lic": 1.0}


def test_with_a_scheduler_resources_are_ignored() -> None:
    table = ClusterTable(scheduler="tcp://a:1", resources={"lic": 2.0})
    assert table.needs == {}
    assert table.syntheses == 0
    assert ClusterTable(scheduler="tcp://a:1", synthesis_needs={"lic": 1.0}).needs == {"lic": 1.0}


@given(st.lists(st.integers(1, 200), max_size=40), st.integers(1, 9), st.integers(0, 5))
def test_chunks_hold_everyone_once(widths: list[int], slots: int, most: int) -> None:
    kind = FixedType(8, 3)
    nets = [Architecture(kind, (Dense(4, width, "relu", kind, None),)) for width in widths]
    found = chunks(nets, slots, most)
    assert sorted(place for chunk in found for place in chunk) == list(range(len(widths)))
    assert all(found)
    if most:
        assert max((len(chunk) for chunk in found), default=0) <= most
    else:
        assert len(found) <= slots
        cost = [sum(500 + 4 * widths[place] for place in chunk) for chunk in found]
        # Nobody is more than two of the largest candidates away from an even share.
        assert not cost or max(cost) <= sum(cost) / min(slots, len(widths)) + 2 * (500 + 4 * max(widths))


def test_messages_keep_their_parts() -> None:
    data, parts = {"a": [1, None, "é"]}, {"x": b"\x00\xff", "empty": b"", "y": b"123"}
    assert transfer.unpack(transfer.pack(data, parts)) == (data, parts)


# -- mistakes ------------------------------------------------------------------------------


TLS = {"tls_ca": "ca.pem", "tls_certificate": "crt.pem", "tls_key": "key.pem"}


@pytest.mark.parametrize(
    ("held", "flags", "becomes"),
    [
        ({"scheduler": "tls://a:1", **TLS}, {"workers": 0}, {}),
        ({"scheduler": "tcp://a:1", "synthesis_needs": {"lic": 1.0}}, {"workers": 0}, {}),
        ({"system": "slurm", "workers": 4, "resources": {"lic": 1.0}}, {"workers": 0}, {}),
        ({"system": "slurm", "workers": 4}, {"workers": 8}, {"system": "slurm", "workers": 8}),
        (
            {"workers": 4, "resources": {"lic": 2.0}, "synthesis_needs": {"lic": 2.0}},
            {"workers": 8},
            {"workers": 8, "resources": {"lic": 2.0}, "synthesis_needs": {"lic": 2.0}},
        ),
        (
            {"scheduler": "tls://a:1", **TLS, "synthesis_needs": {"lic": 1.0}, "chunk": 3},
            {"workers": 2},
            {"workers": 2, "chunk": 3},
        ),
        (
            {"scheduler": "tls://a:1", **TLS, "synthesis_needs": {"lic": 1.0}},
            {"scheduler": "tcp://b:2"},
            {"scheduler": "tcp://b:2", "synthesis_needs": {"lic": 1.0}},
        ),
        # Another address of the same site: its certificates are those of before.
        (
            {"scheduler": "tls://a:1", **TLS},
            {"scheduler": "tls://b:2"},
            {"scheduler": "tls://b:2", **TLS},
        ),
        ({"system": "slurm", "workers": 4}, {"scheduler": "tcp://b:2"}, {"scheduler": "tcp://b:2"}),
        (
            {"system": "slurm", "workers": 4},
            {"scheduler": "tcp://b:2", "workers": 0},
            {"scheduler": "tcp://b:2"},
        ),
        ({"workers": 4}, {}, {"workers": 4}),
    ],
)
def test_flags_take_the_place_of_a_files_workers(
    held: dict[str, Any], flags: dict[str, Any], becomes: dict[str, Any], tmp_path: Path
) -> None:
    begun = spec_from_tables({"target": {"name": "xcvu9p"}, "cluster": held}, "test.toml")
    (tmp_path / "spec.toml").write_text(begun.to_toml())
    given = {"workers": None, "scheduler": None, **flags}
    # Of a file as it was written, and of a run, whose spec holds every key.
    tables = {"target": {"name": "xcvu9p"}, "cluster": dict(held)}
    spec_flags._cluster(tables, given["workers"], given["scheduler"])
    assert spec_from_tables(tables, "test.toml").cluster == ClusterTable(**becomes)
    found = spec_flags.session_cluster(tmp_path, given["workers"], given["scheduler"])
    assert found == (ClusterTable(**becomes) if flags else None)


def test_without_the_extra_the_error_names_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "distributed" else find(name)
    )
    code = invoke(["run", "--target", "xcvu9p", "--workers", "2", "--output", str(tmp_path / "run")])
    assert code == ToolMissing.exit_code
    expect_mentioned(capsys.readouterr().err, ["--workers", "hwnas-hls[cluster]"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "gopher://127.0.0.1:1"])
def test_missing_scheduler_is_user_error(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connections, "_CONNECT_S", 1.0)
    began = time.monotonic()
    code = invoke(["run", "--target", "xcvu9p", "--scheduler", address, "--output", str(tmp_path / "run")])
    assert code == UserError.exit_code
    expect_mentioned(capsys.readouterr().err, ["[cluster]", address])
    assert time.monotonic() - began < LONG_S
    assert not (tmp_path / "run").exists()


def test_worker_cache_drops_least_recently_used() -> None:
    cache = BoundedCache(10)
    cache["a"], cache["b"] = b"1234", b"5678"
    assert cache["a"] == b"1234"
    cache["c"] = b"9abc"  # 12 bytes: the one not asked for since goes
    assert dict(cache) == {"a": b"1234", "c": b"9abc"}
    cache["a"] = b"12"
    cache["d"] = b"defg"  # 10 bytes again: overwritten ones are counted once
    assert dict(cache) == {"a": b"12", "c": b"9abc", "d": b"defg"}
    del cache["c"]
    cache["e"] = b"hijk"
    assert set(cache) == {"a", "d", "e"}
    cache["huge"] = bytes(99)
    assert list(cache) == ["huge"]
    assert cache.get("a") is None


def test_concurrent_threads_share_one_tool(
    registry: Registry, toy_spec: Specs, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_spec(synthesis={"synthesizer": "slow-synthesis", "budget": 1}, cluster={"workers": 1})
    workers = Workers(resolve(spec, registry).cluster_setup())
    bench = tasks.Bench(workers._delivery())
    made = []
    plain = cluster_plugin.SlowSynthesizer.__init__

    def slow(self: Any, config: Any) -> None:
        made.append(self)
        time.sleep(0.1)
        plain(self, config)

    monkeypatch.setattr(cluster_plugin.SlowSynthesizer, "__init__", slow)
    with ThreadPoolExecutor(3) as pool:
        tools = list(pool.map(bench.tool, ["synthesizer"] * 3))
    bench.close()
    assert made == tools[:1] == tools[1:2] == tools[2:]


def test_started_workers_compute_on_one_core_and_keep_freed_memory(
    registry: Registry, toy_spec: Specs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.setenv(name, "")  # to be as before afterwards: dask sets them here too
        monkeypatch.delenv(name)
    with Workers(resolve(toy_spec(cluster={"workers": 1}), registry).cluster_setup()) as workers:
        (found,) = workers.connect().run(lambda: dict(os.environ)).values()
    assert found["OMP_NUM_THREADS"] == "1"
    # Dask's own setting gives all of it back: every array of a training then costs page faults.
    assert int(found["MALLOC_TRIM_THRESHOLD_"]) > int(found["MALLOC_MMAP_THRESHOLD_"]) >= 2**25


@pytest.mark.parametrize("amount", [1.0, 3.0])
def test_resources_that_no_worker_has_are_given_up(
    amount: float, registry: Registry, toy_spec: Specs, tmp_path: Path, scheduler: str
) -> None:
    name = "vivado_license" if amount > 1 else "vivado_licence"  # too much of it, and a typo
    cluster = {"scheduler": scheduler, "wait_s": 0.2, "synthesis_needs": {name: amount}}
    spec = toy_spec(synthesis={"synthesizer": "slow-synthesis", "budget": 2}, cluster=cluster)
    with refused(ErrorKind.MISSING, ClusterLost, mentions=[f"{name}={amount:g}", "0.2 s", "--resources"]):
        start(spec, registry, tmp_path / "run", Observer())


def test_a_scheduler_without_workers_is_given_up(registry: Registry, toy_spec: Specs) -> None:
    with distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty:
        cluster = {"scheduler": empty.scheduler_address, "wait_s": 0.2}
        problem = resolve(toy_spec(cluster=cluster), registry)
        with (
            Workers(problem.cluster_setup()) as workers,
            refused(ErrorKind.MISSING, ClusterLost, mentions=["0.2 s"]),
        ):
            workers.connect()


# -- the same run --------------------------------------------------------------------------


def run_alone(toy_spec: Specs, folder: Path) -> tuple[list[Any], Path]:
    """What the run without workers found, and its log."""
    registry = toy.toy_registry()
    registry.register(cluster_plugin, "cluster-plugin")
    log = folder / "log"
    return content(start(halving_spec(toy_spec, log), registry, folder / "run", Observer())), log


@pytest.fixture(scope="module")
def alone_and_log(toy_spec: Specs, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Path]:
    return run_alone(toy_spec, tmp_path_factory.mktemp("alone"))


@pytest.fixture
def alone(alone_and_log: tuple[list[Any], Path]) -> list[Any]:
    return copy.deepcopy(alone_and_log[0])


def test_any_number_of_workers_finds_the_same(
    registry: Registry,
    toy_spec: Specs,
    tmp_path: Path,
    scheduler: str,
    alone_and_log: tuple[list[Any], Path],
) -> None:
    alone, log_alone = alone_and_log
    states = {record["state"] for record in alone[0]}
    assert {"complete", "stopped"} <= states
    for name, cluster in (
        ("one", {"workers": 1}),
        ("two", {"scheduler": scheduler}),
        ("small", {"scheduler": scheduler, "chunk": 3}),
    ):
        log = tmp_path / f"log-{name}"
        spec = halving_spec(toy_spec, log, cluster=cluster)
        outcome = start(spec, registry, tmp_path / name, Observer())
        # The log's path is part of the estimators' configuration, and of nothing that is compared.
        assert content(outcome) == alone, name
        pids = workers_of(read_log(log))
        assert os.getpid() not in pids
        assert len(pids) == (1 if name == "one" else 2)
        for what in ("advance-0.25", "advance-0.5", "advance-1", "conclude"):
            assert done(log, what) == done(log_alone, what), (name, what)
        # With weights, not without them: those of the trained ones came along.
        read = [record["estimates"].get("parameters") for record in alone[0] if record["state"] == "complete"]
        assert all(item["value"] > 0 for item in read)


def test_estimator_without_rungs_runs_in_main_process(
    registry: Registry, toy_spec: Specs, tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = content(start(toy_spec(), registry, tmp_path / "run0", Observer()))
    calls = tmp_path / "calls"
    monkeypatch.setenv("TOY_CALLS", str(calls))
    outcome = start(toy_spec(cluster={"scheduler": scheduler}), registry, tmp_path / "run1", Observer())
    assert content(outcome) == plain
    assert calls.exists()  # in this process: workers do not have the variable
    expect_mentioned((tmp_path / "run1" / "log.txt").read_text(), ["toy-training"])
    calls.unlink()
    spec = toy_spec(cluster={"scheduler": scheduler}, run={"early_stop": False})
    outcome = start(spec, registry, tmp_path / "run2", Observer())
    assert content(outcome) == plain  # nobody is stopped by the toy training either way
    assert not calls.exists()


def test_failures_are_those_of_one_process(
    registry: Registry, toy_spec: Specs, tmp_path: Path, scheduler: str, alone: list[Any]
) -> None:
    raising, failing = [record["candidate"]["values"]["width"] for record in alone[0][:2]]
    training = {"raise_width": raising, "fail_width": failing}
    found = []
    for name, cluster in (("none", {}), ("two", {"scheduler": scheduler})):
        spec = halving_spec(toy_spec, tmp_path / f"log-{name}", training=training, cluster=cluster)
        found.append(content(start(spec, registry, tmp_path / name, Observer())))
    assert found[0] == found[1]
    reasons = {record["reason"] for record in found[0][0] if record["state"] == "failed"}
    assert any("RuntimeError: this width breaks the trainer" in reason for reason in reasons)
    assert any("loss is not a number" in reason for reason in reasons)


def test_real_training_is_the_same_to_the_bit(tmp_path: Path, scheduler: str) -> None:
    tables = {
        "target": {"name": "xcvu9p"},
        "synthesis": {"synthesizer": "none"},
        "run": {"trials": 12, "batch": 12, "estimators": ["hls-model", "training"], "exporters": []},
        "strategy": {"name": "random"},
        "estimators": {"training": {"epochs": 6, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.8}},
        "export": {"members": 2, "restarts": 2, "csim": False, "training": {"epochs": 4}},
    }
    found = []
    for name, cluster in (("none", {}), ("two", {"scheduler": scheduler})):
        spec = spec_from_tables({**tables, "cluster": cluster}, "test.toml")
        found.append(content(start(spec, Registry(), tmp_path / name, Observer())))
    assert found[0] == found[1]
    assert {"complete", "stopped"} <= {record["state"] for record in found[0][0]}
    assert found[0][1]


def test_exporting_one_candidate_gives_the_same_design_with_and_without_workers(
    registry: Registry, toy_spec: Specs, tmp_path: Path, scheduler: str
) -> None:
    log, folder = tmp_path / "log", tmp_path / "run"
    spec = halving_spec(toy_spec, log, run={"trials": 20}, cluster={"scheduler": scheduler})
    outcome = start(spec, registry, folder, Observer())
    handed = {member.key for member in outcome.front.members}
    key = next(r.key for r in outcome.front.records if r.feasible and r.key not in handed)
    other = shutil.copytree(folder, tmp_path / "other")  # a store holds what was trained
    found = []
    for place, cluster in ((folder, None), (other, ClusterTable())):
        seen = len(read_log(log))
        found.append(export_one(place, key, registry, Observer(), cluster=cluster).design.digest())
        pids = workers_of(read_log(log)[seen:])
        assert pids
        assert (os.getpid() in pids) == (cluster is not None)
    assert found[0] == found[1]


# -- lost workers --------------------------------------------------------------------------


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def number_in(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(path.read_text())
    return 0


def test_a_killed_workers_chunk_is_done_again(
    registry: Registry,
    toy_spec: Specs,
    tmp_path: Path,
    scheduler: str,
    alone_and_log: tuple[list[Any], Path],
) -> None:
    alone, log_alone = alone_and_log
    marker, log = tmp_path / "marker", tmp_path / "log"
    killed = []

    def kill() -> None:
        killed.append(wait_for(lambda: number_in(marker), "a worker in the middle of a chunk"))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    spec = halving_spec(toy_spec, log, training={"marker": str(marker)}, cluster={"scheduler": scheduler})
    outcome = start(spec, registry, tmp_path / "run", Observer())
    thread.join()
    assert content(outcome) == alone
    assert killed[0] not in {line.pid for line in read_log(log)}
    numbers = [record.number for record in outcome.front.records]
    assert numbers == list(range(60))
    assert done(log, "conclude") == done(log_alone, "conclude")


def test_a_candidate_that_kills_its_workers_fails_and_the_others_do_not(
    registry: Registry,
    toy_spec: Specs,
    tmp_path: Path,
    cluster: Any,
    scheduler: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One loss is enough: a worker takes seconds to come back.
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    log = tmp_path / "log"
    run = {"trials": 6, "early_stop": False, "estimators": ["toy-cost", "rung-training"]}
    probe = start(toy_spec(run=run), registry, tmp_path / "probe", Observer())
    fatal = probe.front.records[2]
    tables = toy_spec(run=run, cluster={"scheduler": scheduler}).to_tables()
    tables["estimators"] = {"rung-training": {"log": str(log), "die_width": fatal.candidate.values["width"]}}
    outcome = start(spec_from_tables(tables, "test.toml"), registry, tmp_path / "run", Observer())
    for record in outcome.front.records:
        if record.candidate.values["width"] == fatal.candidate.values["width"]:
            assert record.state == "failed"
            assert "KilledWorker" in record.reason
        else:
            assert record.state == "complete"


# -- synthesis -----------------------------------------------------------------------------


def most_at_once(lines: list[Line]) -> int:
    return max(sum(other.begin <= line.begin < other.end for other in lines) for line in lines)


def test_syntheses_keep_to_the_resources(
    registry: Registry, toy_spec: Specs, tmp_path: Path, scheduler: str
) -> None:
    log = tmp_path / "log"
    synthesis = {"synthesizer": "slow-synthesis", "budget": 15, "workers": 5}
    found = []
    for name, cluster in (
        ("none", {}),
        ("two", {"scheduler": scheduler, "synthesis_needs": {"vivado_license": 1.0}}),
    ):
        config = {"log": str(log), "seconds": 0.15} if cluster else {}
        spec = toy_spec(cluster=cluster, synthesis={**synthesis, "config": config})
        found.append(content(start(spec, registry, tmp_path / name, Observer())))
    assert found[0] == found[1]
    assert os.getpid() not in {line.pid for line in read_log(log) if line.what == "clocked"}
    lines = [line for line in read_log(log) if line.what == "synthesize"]
    assert len(lines) >= 5
    assert os.getpid() not in {line.pid for line in lines}
    for pid in {line.pid for line in lines}:
        # Each worker has three threads and one licence.
        assert most_at_once([line for line in lines if line.pid == pid]) == 1
    assert most_at_once(lines) == 2


# -- the main process ends -----------------------------------------------------------------

_SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
import cluster_plugin, toy
from pathlib import Path
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.lifecycle import Observer, start
from hwnas_hls.spec.spec import spec_from_tables

if __name__ == "__main__":
    registry = toy.toy_registry()
    registry.register(cluster_plugin, "cluster-plugin")
    tables = json.loads(Path({tables!r}).read_text())
    start(spec_from_tables(tables, "test.toml"), registry, Path({folder!r}), Observer())
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended; who started it has not asked yet.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_the_main_process(
    how: signal.Signals, registry: Registry, toy_spec: Specs, tmp_path: Path, alone: list[Any]
) -> None:
    log, folder, marker = tmp_path / "log", tmp_path / "run", tmp_path / "marker"
    marker_of = {"marker": str(marker)} if how == signal.SIGINT else {}
    training = {"sleep_s": 0.3, **marker_of}
    spec = halving_spec(toy_spec, log, training=training, cluster={"workers": 2})
    (tmp_path / "tables.json").write_text(json.dumps(spec.to_tables()))
    script = tmp_path / "script.py"
    tests = str(TESTS)
    script.write_text(_SCRIPT.format(tests=tests, tables=str(tmp_path / "tables.json"), folder=str(folder)))
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    try:
        # Ctrl-C reaches workers in the middle of a chunk too.
        wait_for(lambda: len(read_log(log)) >= 3 or number_in(marker), "workers at work")
        pids = {line.pid for line in read_log(log)} | ({number_in(marker)} - {0})
        if how == signal.SIGKILL:
            process.kill()
        else:
            os.killpg(process.pid, how)
        process.wait(LONG_S)
    finally:
        if process.poll() is None:
            process.kill()
    assert pids
    wait_for(lambda: not any(alive(pid) for pid in pids), "the workers to end")
    if how == signal.SIGKILL:
        # Half a run; another number of workers (none) finishes it.
        outcome = resume(folder, registry, Observer(), cluster=ClusterTable())
        assert content(outcome) == alone
