"""Start workers, or connect to those of a scheduler. This module requires dask at import."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.security import Security

from hwnas_hls.errors import ErrorKind, HwnasError, ToolMissing, UserError
from hwnas_hls.spec.cluster import ClusterTable

#: Number of parallel estimator tasks of a worker started here; its other threads run syntheses.
SLOT = "hwnas_slot"
_CONNECT_S = 10.0
#: Dask's status page cannot be disabled; restrict it to this machine, on any free port.
_STATUS = "127.0.0.1:0"
_CLOSE_S = 10.0
#: One arithmetic thread per worker, independent of the number of cores. Freed memory is kept for the next
#: array, by glibc's defaults: Dask's nannies configure glibc to return all of it, and the page faults then
#: make training take half as long again.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MALLOC_MMAP_THRESHOLD_": 2**25,
    "MALLOC_TRIM_THRESHOLD_": 2**26,
}


@dataclass(frozen=True, slots=True)
class Connection:
    """A dask client, its clean-up functions, and the workers started for it."""

    client: Any
    close: Callable[[], None]


def connect(table: ClusterTable, where: str, folder: Path) -> Connection:
    """Start the workers of ``table``, or connect to its scheduler.

    Args:
        where: file and table, for messages.
        folder: for files of batch jobs, on a disk shared with the nodes.

    Raises:
        UserError: no scheduler answers at the address, or the batch system rejects the job settings.
        ToolMissing: the batch system is not installed.
        HwnasError: the workers did not start.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if table.scheduler:
        return _running(table, where)
    if table.system == "local":
        return _local(table)
    return _jobs(table, where, folder)


def _running(table: ClusterTable, where: str) -> Connection:
    security = None
    if table.scheduler.startswith("tls://"):
        for path in (table.tls_ca, table.tls_certificate, table.tls_key):
            if not Path(path).is_file():
                raise UserError("no such PEM file", where=where, found=path, kind=ErrorKind.MISSING)
        security = Security(
            tls_ca_file=table.tls_ca,
            tls_client_cert=table.tls_certificate,
            tls_client_key=table.tls_key,
            require_encryption=True,
        )
    try:
        client = Client(
            table.scheduler, timeout=_CONNECT_S, security=security, set_as_default=False, name="hwnas-hls"
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(
            "no dask scheduler answers",
            where=f"{where}: scheduler",
            found=f"{table.scheduler} ({' '.join(str(error).split()) or type(error).__name__})",
            remedy="start one (`dask scheduler`) and its workers (`dask worker ADDRESS`), or omit the "
            "address and use --workers N",
            kind=ErrorKind.NOT_ACCESSIBLE,
        ) from error
    return Connection(client, client.close)


def _local(table: ClusterTable) -> Connection:
    security = Security.temporary() if table.tls else None
    with contextlib.ExitStack() as held:
        folder = held.enter_context(
            tempfile.TemporaryDirectory(prefix="hwnas-workers-", ignore_cleanup_errors=True)
        )
        # As long as there are workers, a lost one is restarted.
        held.enter_context(
            dask.config.set(
                {
                    "distributed.nanny.pre-spawn-environ": _ENVIRONMENT,
                    "distributed.worker.profile.enabled": False,
                }
            )
        )
        try:
            cluster = LocalCluster(
                n_workers=table.workers,
                threads_per_worker=1 + table.syntheses,
                processes=True,
                host="127.0.0.1",
                protocol="tls://" if security else "tcp://",
                security=security or False,
                dashboard_address=_STATUS,
                worker_dashboard_address=_STATUS,
                resources={SLOT: 1, **table.resources},
                local_directory=folder,
                silence_logs=logging.CRITICAL,
                name="hwnas-hls",
            )
        except (RuntimeError, OSError, TimeoutError) as error:
            raise HwnasError(
                f"{table.workers} worker processes did not start: {error}. A Python script that uses "
                'workers must make its calls below `if __name__ == "__main__":`',
                kind=ErrorKind.CRASHED,
            ) from error
        held.callback(_closed, cluster)
        # If a worker dies during its start, its supervisor ends too; this starts a new pair.
        cluster.adapt(minimum=table.workers, maximum=table.workers)
        client = Client(cluster, set_as_default=False, name="hwnas-hls")
        held.callback(_closed, client)
        return Connection(client, held.pop_all().close)


def _closed(what: Any) -> None:
    """Close a client or cluster that may already be closed."""
    with contextlib.suppress(Exception):
        what.close(timeout=_CLOSE_S)


def _job_queues() -> tuple[Any, Any]:
    """The clusters of dask-jobqueue. Its import makes Ctrl-C end the process; here it interrupts a run."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import HTCondorCluster, SLURMCluster
    finally:
        signal.signal(signal.SIGINT, handler)
    return HTCondorCluster, SLURMCluster


def _jobs(table: ClusterTable, where: str, folder: Path) -> Connection:
    condor_cluster, slurm_cluster = _job_queues()

    command = {"slurm": "sbatch", "htcondor": "condor_submit"}[table.system]
    if shutil.which(command) is None:
        raise ToolMissing(f'system = "{table.system}" in [cluster] needs {command}, which is not on PATH')
    logs = Path(table.log_folder).expanduser() if table.log_folder else folder / "jobs"
    logs.mkdir(parents=True, exist_ok=True)
    threads = 1 + table.syntheses
    resources = " ".join(f"{name}={amount:g}" for name, amount in {SLOT: 1, **table.resources}.items())
    common: dict[str, Any] = {
        "cores": table.processes * threads,
        "processes": table.processes,
        "memory": table.memory,
        "interface": table.interface or None,
        "python": table.python or None,
        "log_directory": str(logs),
        "job_name": "hwnas-hls",
        "job_script_prologue": [
            *(f"export {name}={value}" for name, value in _ENVIRONMENT.items()),
            *table.prologue,
        ],
        "worker_extra_args": ["--resources", f"'{resources}'", "--no-dashboard"],
        "scheduler_options": {"dashboard_address": _STATUS},
        "security": Security.temporary() if table.tls else None,
        "shared_temp_directory": str(logs),
        "silence_logs": logging.CRITICAL,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if table.system == "slurm":
                cluster = slurm_cluster(
                    queue=table.queue or None,
                    account=table.account or None,
                    walltime=table.walltime,
                    job_extra_directives=list(table.directives),
                    **common,
                )
            else:
                directives = dict(_directive(line, where) for line in table.directives)
                cluster = condor_cluster(disk=table.disk, job_extra_directives=directives, **common)
    except (ValueError, OSError) as error:
        raise UserError(
            f"dask-jobqueue rejects the settings for {table.system}", where=where, found=error
        ) from error
    jobs = -(-table.workers // table.processes)
    # Adaptive scaling with equal bounds: a job that reached its wall time is submitted again.
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
    client = Client(cluster, set_as_default=False, name="hwnas-hls")

    def close() -> None:
        _closed(client)
        _closed(cluster)
        # The certificate files are deleted when closed, or with the last reference.
        for held in vars(cluster).values():
            if isinstance(held, tempfile._TemporaryFileWrapper):
                held.close()

    return Connection(client, close)


def _directive(line: str, where: str) -> tuple[str, str]:
    name, sign, value = line.partition("=")
    if not sign:
        raise UserError(
            "a directive for HTCondor must be `key = value`", where=f"{where}: directives", found=line
        )
    return name.strip(), value.strip()
