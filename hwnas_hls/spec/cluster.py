"""The table ``[cluster]`` of a spec: how worker processes are started."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

SYSTEMS = ("local", "slurm", "htcondor")
_MEMORY = re.compile(r"[0-9]+(\.[0-9]+)? ?[kMGT]i?B")
TLS_FILES = ("tls_ca", "tls_certificate", "tls_key")


@dataclass(frozen=True)
class ClusterTable:
    """``[cluster]``: worker processes for training and synthesis; without them, one process does everything.

    Args:
        workers: number of worker processes; 0 for none. With a batch system, the total over its jobs.
        system: how they are started: ``local`` (this machine), ``slurm`` or ``htcondor``.
        scheduler: address of an existing dask scheduler, such as ``tcp://host:8786``; its
            workers are used, and none are started.
        wait_s: maximum time without a worker (a queue, a reservation that ended), or without one that
            offers the needs of a synthesis, before the run ends; ``resume`` continues it. 0 means a
            minute on this machine and for a scheduler, an hour for a batch system.
        min_cost_s: estimators that cost fewer seconds per candidate stay in the main process.
        chunk: maximum number of candidates per task; 0 divides each batch evenly among the workers.
        resources: named resources of each worker process, such as ``vivado_license = 2``. Ignored
            with ``scheduler``, whose workers use ``dask worker --resources``.
        synthesis_needs: resources of one synthesis; by default one of each of ``resources``.
        tls: encrypt, and accept only connections with the certificate of this run (for workers that
            the run starts).
        tls_ca: PEM file of the authority that signed the certificate of a scheduler at ``tls://``.
        tls_certificate: PEM file of the certificate that this run shows to that scheduler.
        tls_key: PEM file of the certificate's private key.
        processes: worker processes per job.
        memory: memory per job, such as ``8 GB``.
        disk: disk space per job, for HTCondor.
        walltime: time limit per job (hours, minutes, seconds), for SLURM.
        queue: partition of the jobs, for SLURM.
        account: account that the jobs are charged to, for SLURM.
        directives: additional lines of the job header: ``--gres=gpu:1`` (SLURM), ``key = value``
            (HTCondor).
        prologue: shell commands before the worker starts, such as ``module load python``.
        python: interpreter on the nodes; empty for the current one.
        interface: network interface that the nodes can reach, such as ``ib0``.
        log_folder: where jobs write their output; empty for the run folder.
    """

    workers: int = 0
    system: str = "local"
    scheduler: str = ""
    wait_s: float = 0.0
    min_cost_s: float = 0.01
    chunk: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    synthesis_needs: Mapping[str, float] = field(default_factory=dict)
    tls: bool = True
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    processes: int = 1
    memory: str = "4 GB"
    disk: str = "2 GB"
    walltime: str = "01:00:00"
    queue: str = ""
    account: str = ""
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    python: str = ""
    interface: str = ""
    log_folder: str = ""

    def __post_init__(self) -> None:
        self._check_workers()
        self._check_scheduler()
        self._check_tls()
        self._check_amounts()
        self._check_resources()

    def _check_workers(self) -> None:
        if self.system not in SYSTEMS:
            raise ValueError(f"system must be one of {', '.join(SYSTEMS)}, not {self.system}")
        if self.workers < 0:
            raise ValueError(f"workers must be 0 or more, not {self.workers}")
        if self.system != "local" and self.workers == 0:
            raise ValueError(f"system {self.system} requires workers to be set")

    def _check_scheduler(self) -> None:
        if not self.scheduler:
            return
        if self.workers or self.system != "local":
            raise ValueError("a scheduler has its own workers; leave out workers and system")
        if "://" not in self.scheduler:
            raise ValueError(
                f"scheduler must be an address, tcp://host:8786 or tls://host:8786, not {self.scheduler}"
            )

    def _check_amounts(self) -> None:
        for name in ("wait_s", "min_cost_s", "chunk"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.processes < 1:
            raise ValueError(f"processes must be at least 1, not {self.processes}")
        for name in ("memory", "disk"):
            if not _MEMORY.fullmatch(getattr(self, name)):
                raise ValueError(f"{name} must be a size such as 8 GB, not {getattr(self, name)}")

    def _check_resources(self) -> None:
        for table in ("resources", "synthesis_needs"):
            for name, amount in getattr(self, table).items():
                if not (math.isfinite(amount) and amount > 0):
                    raise ValueError(f"{table}.{name} must be above 0, not {amount:g}")
                if re.search(r"[\s=,]", name):
                    raise ValueError(
                        f"{table} names {name!r}: a name must not contain a space, comma or equals sign"
                    )
        if self.scheduler:
            return
        for name, amount in self.synthesis_needs.items():
            held = self.resources.get(name, 0)
            if amount > held:
                raise ValueError(f"a synthesis needs {amount:g} {name}, but a worker has {held:g}")

    def _check_tls(self) -> None:
        given = [name for name in TLS_FILES if getattr(self, name)]
        if self.scheduler.startswith("tls://") and len(given) < len(TLS_FILES):
            missing = [name for name in TLS_FILES if name not in given]
            raise ValueError(f"a scheduler at tls:// also needs the PEM files {', '.join(missing)}")
        if given and not self.scheduler.startswith("tls://"):
            raise ValueError(f"{given[0]} requires a scheduler with an address tls://")

    @property
    def wanted(self) -> bool:
        """Whether the run uses workers."""
        return bool(self.workers or self.scheduler)

    @property
    def needs(self) -> Mapping[str, float]:
        """Resources of a worker that a synthesis takes; with a scheduler, only those that the table names."""
        if self.scheduler:
            return self.synthesis_needs
        return self.synthesis_needs or dict.fromkeys(self.resources, 1.0)

    @property
    def syntheses(self) -> int:
        """Number of syntheses that a worker of the run executes beside training; 0 without resources."""
        if self.scheduler or not self.resources:
            return 0
        return int(min(self.resources[name] / amount for name, amount in self.needs.items()))

    @property
    def patience_s(self) -> float:
        """See ``wait_s``."""
        return self.wait_s or (60.0 if self.system == "local" else 3600.0)
