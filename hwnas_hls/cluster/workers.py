"""The worker processes of one run, as the main process sees them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import importlib.util
import itertools
import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls import __version__, transfer
from hwnas_hls.candidate import digest
from hwnas_hls.cluster_table import ClusterTable
from hwnas_hls.errors import HwnasError, ToolMissing
from hwnas_hls.isolation import qualified

if TYPE_CHECKING:
    from hwnas_hls.cluster.connection import Connection
    from hwnas_hls.problem import Part, Problem

log = logging.getLogger(__name__)
_POLL_S = 1.0
_PACKAGES = {
    "distributed": "dask.distributed",
    "cryptography": "cryptography",
    "dask_jobqueue": "dask-jobqueue",
}


class ClusterLost(HwnasError):
    """There are no workers any more, or they cannot do the work; the run can be resumed."""


class TaskFailed(HwnasError):
    """A task raised; the text is that of its exception."""


class WorkerKilled(TaskFailed):
    """Every worker that took the task was lost."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one task took.

    Args:
        task: name of the function.
        candidates: how many it was about.
        seconds: on the worker.
        worker: host and process.
    """

    task: str
    candidates: int
    seconds: float
    worker: str


def require(table: ClusterTable) -> None:
    """Raise where a package is missing that the table needs.

    Raises:
        ToolMissing: with the command that installs it.
    """
    needed = ["distributed"]
    if table.tls and not table.scheduler:
        needed.append("cryptography")
    if table.system != "local":
        needed.append("dask_jobqueue")
    missing = [_PACKAGES[name] for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolMissing(
            f"--workers, --scheduler and [cluster] need {' and '.join(missing)}: "
            "pip install 'hwnas-hls[cluster]'"
        )


class Workers:
    """Connected on first use; close it, whatever happens.

    Args:
        problem: its spec's ``[cluster]`` says where the workers are.

    Raises:
        ToolMissing: see :func:`require`.
    """

    def __init__(self, problem: Problem) -> None:
        require(problem.spec.cluster)
        self.problem = problem
        self.table = problem.spec.cluster
        self.timings: list[Timing] = []
        #: For files of batch jobs; the run's own once it has one.
        self.folder = Path()
        self._parts = {self.part_name(part): part for part in self._dear()}
        self._connection: Connection | None = None
        self._key = ""
        self._slot = ""
        self._designs: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._closing = False

    # -- what goes where -----------------------------------------------------------------

    def takes(self, part: Part) -> bool:
        """Whether an estimator is worth a task; what learns from all records stays here."""
        instance = part.instance
        dear = float(instance.cost) >= self.table.min_cost_s
        return dear and not getattr(instance, "learns", False)

    def _dear(self) -> list[Part]:
        parts = [*self.problem.estimators]
        if self.problem.trainer is not None:
            parts.append(self.problem.trainer)
        return [part for part in parts if self.takes(part)]

    @staticmethod
    def part_name(part: Part) -> str:
        """Names an estimator with its configuration."""
        return f"{part.name}-{digest([part.provider, dict(part.config)])}"

    def _delivery(self) -> bytes:
        """See :mod:`hwnas_hls.cluster.tasks`."""
        problem, registry = self.problem, self.problem.registry
        parts: dict[str, bytes] = {}
        tables: dict[str, tuple[str, Any, Mapping[str, Any]]] = {
            "space": ("space", problem.space, problem.spec.space.config)
        }
        for name, part in self._parts.items():
            tables[name] = ("estimator", part.instance, part.config)
        if problem.synthesizer is not None:
            tables["synthesizer"] = ("synthesizer", problem.synthesizer, problem.spec.synthesis.config)
        data = {
            "version": __version__,
            "sys_path": [str(Path(path or ".").absolute()) for path in sys.path],
            "modules": registry.modules(),
            "seed": problem.spec.run.seed,
            "clock_ns": problem.clock_ns,
            "target": problem.target.to_json(),
            "dataset": transfer.dataset_to_json(problem.dataset, parts),
            "parts": {
                name: {"kind": kind, "offer": qualified(registry, kind, instance), "table": dict(table)}
                for name, (kind, instance, table) in tables.items()
            },
        }
        return transfer.pack(data, parts)

    # -- connection ----------------------------------------------------------------------

    def connect(self) -> Any:
        """The dask client; starts the workers, hands them the data and waits for the first of them.

        Raises:
            UserError, ToolMissing, HwnasError: see :func:`hwnas_hls.cluster.connection.connect`.
            ClusterLost: no worker came in time.
        """
        with self._lock:
            if self._connection is not None:
                return self._connection.client
            from hwnas_hls.cluster.connection import SLOT, connect
            from hwnas_hls.cluster.delivery import Delivery

            began = time.monotonic()
            connection = connect(self.table, self.problem.spec.where("cluster"), self.folder)
            try:
                delivery = self._delivery()
                # Another run may ask the same scheduler for the same; each ends what is its own.
                self._key = f"{hashlib.sha256(delivery).hexdigest()[:16]}-{uuid.uuid4().hex[:8]}"
                connection.client.register_plugin(Delivery(self._key, delivery))
                self._connection = connection
                self._until(lambda: self._count() > 0, connection.client)
                found = self._workers(connection.client)
            except BaseException:
                self._connection = None
                connection.close()
                raise
            if all(SLOT in worker["resources"] for worker in found.values()):
                self._slot = SLOT
            log.info(
                "%d workers after %.1f s; %d bytes of data for each",
                len(found),
                time.monotonic() - began,
                len(delivery),
            )
            return connection.client

    def close(self) -> None:
        """End the workers that were started here; those of a scheduler forget this run."""
        self._closing = True
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.table.scheduler:
            try:
                connection.client.unregister_worker_plugin(f"hwnas-hls-{self._key}")
            except Exception as error:
                log.debug("the scheduler is gone: %s", error)
        connection.close()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def slots(self) -> int:
        """Chunks that can be computed at once."""
        client = self.connect()
        return self.table.workers or max(1, len(self._workers(client)))

    @staticmethod
    def _workers(client: Any) -> dict[str, Any]:
        found: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
        return found

    def _count(self) -> int:
        connection = self._connection
        return 0 if connection is None else len(self._workers(connection.client))

    # -- tasks ---------------------------------------------------------------------------

    def submit(
        self, function: Callable[..., bytes], request: bytes, *needed: Any, resources: Mapping[str, float]
    ) -> Any:
        """A future of ``function(delivery, request, *needed)``; a lost one is computed again elsewhere."""
        client = self.connect()
        name = f"hwnas-{function.__name__}-{self._key}-{next(self._numbers)}"
        return client.submit(
            function, self._key, request, *needed, key=name, pure=False, resources=dict(resources) or None
        )

    def estimate(self, function: Callable[..., bytes], request: bytes, *needed: Any) -> Any:
        """As :meth:`submit`, of an estimator's task."""
        self.connect()
        return self.submit(function, request, *needed, resources={self._slot: 1.0} if self._slot else {})

    def remember(self, designs: Mapping[str, Any]) -> None:
        """Note on which answers designs lie (digest -> future), until those of the next training come."""
        self._designs = dict(designs)

    def holder(self, digest: str) -> Any:
        """The future of the answer that holds a design, so that it need not be sent again; or ``None``."""
        return self._designs.get(digest)

    def headline(self, answer: Any) -> Any:
        """A future of an answer without its binary parts."""
        from hwnas_hls.cluster import tasks

        client = self.connect()
        return client.submit(tasks.headline, answer, key=f"hwnas-headline-{answer.key}", pure=False)

    def results(self, futures: Sequence[Any], counts: Sequence[int]) -> list[tuple[Any, dict[str, bytes]]]:
        """Wait for answers.

        Args:
            counts: candidates of each, for :attr:`timings`.

        Returns:
            (JSON, binary parts) of each, in order.

        Raises:
            TaskFailed: one raised, or killed its workers.
            ClusterLost: there are no workers, or they cannot do the work.
        """
        client = self.connect()
        self._until(lambda: all(future.done() for future in futures), client, futures)
        found = []
        for future, count in zip(futures, counts, strict=True):
            data, parts = transfer.unpack(self._message(future))
            if "unfit" in data:
                raise ClusterLost(f"{data['worker']} cannot do the work: {data['unfit']}")
            self.timings.append(Timing(data["task"], count, data["seconds"], data["worker"]))
            if "error" in data:
                raise TaskFailed(data["error"])
            found.append((data["result"], parts))
        return found

    @staticmethod
    def _message(future: Any) -> bytes:
        if future.status in ("cancelled", "lost"):
            raise ClusterLost("the connection to the scheduler was lost")
        try:
            # A result that was there may go down with its worker, and is computed again.
            message: bytes = future.result()
            return message
        except (asyncio.CancelledError, concurrent.futures.CancelledError) as error:
            raise ClusterLost("the connection to the scheduler was lost") from error
        except Exception as error:
            words = " ".join(f"{type(error).__name__}: {error}".split())
            if type(error).__name__ == "KilledWorker":
                words = f"KilledWorker: every process that worked on it was lost ({words})"
                raise WorkerKilled(words) from error
            raise TaskFailed(words) from error

    def _until(self, done: Callable[[], bool], client: Any, futures: Sequence[Any] = ()) -> None:
        """Wait, as long as there are workers or hope of some."""
        from distributed import wait

        alone_since = None
        while not done():
            if self._closing or client.status != "running":
                raise ClusterLost("the connection to the scheduler was lost")
            try:
                if futures:
                    with client.as_current():
                        wait(futures, timeout=_POLL_S)
                    return
                time.sleep(_POLL_S / 20)
            except TimeoutError:
                pass
            except (asyncio.CancelledError, concurrent.futures.CancelledError) as error:
                raise ClusterLost("the connection to the scheduler was lost") from error
            if self._count():
                alone_since = None
                continue
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > self.table.patience_s:
                raise ClusterLost(
                    f"no worker has been there for {self.table.patience_s:g} s (wait_s in [cluster]); "
                    "`resume` goes on where the run stopped"
                )
