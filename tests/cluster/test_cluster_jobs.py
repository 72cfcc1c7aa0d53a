"""Workers as jobs of SLURM and HTCondor, through dask-jobqueue, with tools that behave like theirs."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_plugin import read_log, workers_of
from places import TESTS
from refusal import refused
from test_cluster import alive, content, halving_spec, number_in, run_alone, wait_for

from hwnas_hls.errors import ErrorKind, ToolMissing
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.lifecycle import Observer, start
from hwnas_hls.spec.spec import Spec

Specs = Callable[..., Spec]
# Not imported here: it would replace the handler of Ctrl-C of the process that runs the tests.
if importlib.util.find_spec("dask_jobqueue") is None:
    pytest.skip("the extra `cluster` is not installed", allow_module_level=True)
TOOLS = ("sbatch", "scancel", "condor_submit", "condor_rm")


@pytest.fixture
def batch_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Puts the fake tools on PATH; the folder where they keep their jobs."""
    tools, jobs = tmp_path / "tools", tmp_path / "batch"
    tools.mkdir()
    jobs.mkdir()
    source = (TESTS / "fake_batch_system.py").read_text()
    for name in TOOLS:
        tool = tools / name
        tool.write_text(source.replace("#!/usr/bin/env python3", f"#!{sys.executable}", 1))
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_BATCH", str(jobs))
    yield jobs
    for path in jobs.glob("job-*.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(number_in(path), signal.SIGKILL)


@pytest.fixture(scope="module")
def alone(toy_spec: Specs, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return run_alone(toy_spec, tmp_path_factory.mktemp("alone"))[0]


def jobs_of(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("job-*.txt"))]


def test_slurm_jobs_do_the_work_and_end_with_the_run(
    registry: Registry, toy_spec: Specs, tmp_path: Path, batch_system: Path, alone: list[Any]
) -> None:
    cluster = {
        "system": "slurm",
        "workers": 2,
        "queue": "short",
        "account": "trigger",
        "walltime": "00:20:00",
        "memory": "1 GB",
        "directives": ["--gres=gpu:1"],
        "prologue": ["export FROM_PROLOGUE=1"],
        "resources": {"vivado_license": 1.0},
        "interface": "lo",
    }
    log = tmp_path / "log"
    outcome = start(halving_spec(toy_spec, log, cluster=cluster), registry, tmp_path / "b", Observer())
    assert content(outcome) == alone
    pids = workers_of(read_log(log))
    assert os.getpid() not in pids
    scripts = jobs_of(batch_system)
    assert len(scripts) == 2
    for line in (
        "#SBATCH -p short",
        "#SBATCH -A trigger",
        "#SBATCH -t 00:20:00",
        "#SBATCH --mem=954M",
        "#SBATCH --cpus-per-task=2",  # one trains, one synthesises
        "#SBATCH --gres=gpu:1",
        "export FROM_PROLOGUE=1",
        "export OMP_NUM_THREADS=1",
        "export MALLOC_TRIM_THRESHOLD_=67108864",
    ):
        assert line in scripts[0].splitlines(), line
    assert re.search(r"--resources 'hwnas_slot=1 vivado_license=1'", scripts[0])
    assert "tls://" in scripts[0]
    groups = [number_in(path) for path in batch_system.glob("job-*.pid")]
    wait_for(lambda: not any(alive(pid) for pid in (*groups, *pids)), "the jobs to be cancelled")
    # The certificate of this run is gone with it.
    assert not list((tmp_path / "b" / "jobs").glob(".dask-jobqueue*"))


def test_a_job_that_ends_is_submitted_again(
    registry: Registry, toy_spec: Specs, tmp_path: Path, batch_system: Path, alone: list[Any]
) -> None:
    import threading

    marker, log = tmp_path / "marker", tmp_path / "log"
    cluster = {"system": "slurm", "workers": 1, "memory": "1 GB", "interface": "lo", "tls": False}

    def end_the_job() -> None:
        wait_for(lambda: number_in(marker), "the job at work")
        os.killpg(number_in(batch_system / "job-1.pid"), signal.SIGKILL)

    thread = threading.Thread(target=end_the_job)
    thread.start()
    spec = halving_spec(toy_spec, log, training={"marker": str(marker)}, cluster=cluster)
    outcome = start(spec, registry, tmp_path / "b", Observer())
    thread.join()
    assert content(outcome) == alone
    assert len(jobs_of(batch_system)) == 2


def test_htcondor_jobs_do_the_work(
    registry: Registry, toy_spec: Specs, tmp_path: Path, batch_system: Path
) -> None:
    cluster = {
        "system": "htcondor",
        "workers": 1,
        "memory": "1 GB",
        "disk": "3 GB",
        "directives": ["accounting_group = trigger"],
        "interface": "lo",
    }
    log = tmp_path / "log"
    run = {"trials": 20}
    alone = start(halving_spec(toy_spec, tmp_path / "log0", run=run), registry, tmp_path / "a", Observer())
    spec = halving_spec(toy_spec, log, run=run, cluster=cluster)
    assert content(start(spec, registry, tmp_path / "b", Observer())) == content(alone)
    script = jobs_of(batch_system)[0]
    assert "accounting_group = trigger" in script
    assert "RequestDisk" in script
    pids = workers_of(read_log(log))
    assert os.getpid() not in pids
    wait_for(lambda: not any(alive(pid) for pid in pids), "the job to be removed")


def test_a_missing_batch_system_is_an_error(
    registry: Registry, toy_spec: Specs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    spec = halving_spec(toy_spec, tmp_path / "log", cluster={"system": "slurm", "workers": 1})
    with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["slurm", "sbatch"]):
        start(spec, registry, tmp_path / "run", Observer())


def test_a_directive_of_htcondor_has_a_key(
    registry: Registry, toy_spec: Specs, tmp_path: Path, batch_system: Path
) -> None:
    cluster: dict[str, Any] = {"system": "htcondor", "workers": 1, "directives": ["no sign"]}
    spec = halving_spec(toy_spec, tmp_path / "log", cluster=cluster)
    with refused(ErrorKind.INVALID, found="no sign", mentions=["directives"]):
        start(spec, registry, tmp_path / "run", Observer())


def test_job_queues_leave_ctrl_c_to_the_run() -> None:
    """The import of dask-jobqueue replaces its handler by one that ends the process without a word."""
    code = (
        "import signal; from hwnas_hls.cluster import connection; connection._job_queues(); "
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
