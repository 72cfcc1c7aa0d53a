"""The worker processes of one run, seen from the main process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import importlib.util
import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls import __version__
from hwnas_hls.errors import ErrorKind, HwnasError, ToolMissing
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.configured import ConfiguredPlugin
from hwnas_hls.plugin.rebuild import build_args_of
from hwnas_hls.spec.cluster import ClusterTable
from hwnas_hls.values.candidate import digest

if TYPE_CHECKING:
    from hwnas_hls.cluster.connection import Connection
    from hwnas_hls.plugin.registry import Registry
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.protocols.task import Dataset

log = logging.getLogger(__name__)
_POLL_S = 1.0
_PACKAGES = {
    "distributed": "dask.distributed",
    "cryptography": "cryptography",
    "dask_jobqueue": "dask-jobqueue",
}


class ClusterLost(HwnasError):
    """There are no workers left, or they cannot do the work; the run can be resumed."""

    kind = ErrorKind.MISSING


class TaskFailed(HwnasError):
    """A task raised an exception, whose message this has."""

    kind = ErrorKind.PLUGIN_FAULT


class WorkerKilled(TaskFailed):
    """Every worker that took the task was lost."""

    kind = ErrorKind.CRASHED


def require(table: ClusterTable) -> None:
    """Check that the packages required by the table are installed.

    Raises:
        ToolMissing: a package is missing; the message gives the command that installs it.
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


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSetup:
    """The configuration of worker processes and the data that they receive.

    Args:
        table: the table ``[cluster]`` of the spec.
        where: file and table, for messages.
        registry: the registry that built the plugins.
        space: with its configuration.
        estimators: those of the search, and the trainer of the full training.
        synthesizer: with its configuration, or ``None``.
        dataset, target, seed, clock_ns: arguments for constructors of plugins.
    """

    table: ClusterTable
    where: str
    registry: Registry
    space: tuple[Any, Mapping[str, Any]]
    estimators: Sequence[ConfiguredPlugin]
    synthesizer: tuple[Any, Mapping[str, Any]] | None
    dataset: Dataset
    target: Target
    seed: int
    clock_ns: float


class Workers:
    """The workers of a run, connected on first use; must be closed.

    Args:
        setup: the configuration of the workers.

    Raises:
        ToolMissing: see :func:`require`.
    """

    def __init__(self, setup: ClusterSetup) -> None:
        require(setup.table)
        self.setup = setup
        self.table = setup.table
        #: For files of batch jobs; the run folder once it exists.
        self.folder = Path()
        self._parts = {self.part_name(part): part for part in self._expensive()}
        self._connection: Connection | None = None
        self._key = ""
        self._training: Mapping[str, float] = {}
        self._designs: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._closing = False

    # -- division of work ----------------------------------------------------------------

    def takes(self, part: ConfiguredPlugin) -> bool:
        """Whether an estimator runs on workers; one that learns from all records runs here."""
        instance = part.instance
        expensive = float(instance.cost) >= self.table.min_cost_s
        return expensive and not instance.learns

    def _expensive(self) -> list[ConfiguredPlugin]:
        return [part for part in self.setup.estimators if self.takes(part)]

    @staticmethod
    def part_name(part: ConfiguredPlugin) -> str:
        """The name of an estimator with its configuration."""
        return f"{part.name}-{digest([part.provider, dict(part.config)])}"

    def _delivery(self) -> bytes:
        """See :mod:`hwnas_hls.cluster.tasks`."""
        setup = self.setup
        built: dict[str, tuple[str, Any, Mapping[str, Any]]] = {"space": ("space", *setup.space)}
        for name, part in self._parts.items():
            built[name] = ("estimator", part.instance, part.config)
        if setup.synthesizer is not None:
            built["synthesizer"] = ("synthesizer", *setup.synthesizer)
        facts = {"seed": setup.seed, "clock_ns": setup.clock_ns}
        parts: dict[str, bytes] = {}
        build_args = build_args_of(
            setup.registry, built, parts, task=setup.dataset, target=setup.target, **facts
        )
        return transfer.pack({"version": __version__, "build_args": build_args}, parts)

    # -- connection ----------------------------------------------------------------------

    def connect(self) -> Any:
        """The dask client; starts the workers, sends them the data and waits for the first one.

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
            connection = connect(self.table, self.setup.where, self.folder)
            try:
                delivery = self._delivery()
                # Another run may use the same scheduler and data; each run removes only its own.
                self._key = f"{hashlib.sha256(delivery).hexdigest()[:16]}-{uuid.uuid4().hex[:8]}"
                connection.client.register_plugin(Delivery(self._key, delivery))
                self._connection = connection
                self._until(lambda: self._able({}) > 0, connection.client, {})
                found = self._workers(connection.client)
            except BaseException:
                self._connection = None
                connection.close()
                raise
            if all(SLOT in worker["resources"] for worker in found.values()):
                self._training = {SLOT: 1.0}
            log.info(
                "%d workers after %.1f s; %d bytes of data for each",
                len(found),
                time.monotonic() - began,
                len(delivery),
            )
            return connection.client

    def close(self) -> None:
        """End the workers that were started here; those of a scheduler delete the data of this run."""
        self._closing = True
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.table.scheduler:
            try:
                connection.client.unregister_worker_plugin(f"hwnas-hls-{self._key}")
            except Exception as error:
                log.debug("the scheduler is no longer available: %s", error)
        connection.close()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def slots(self) -> int:
        """The number of chunks that can be computed in parallel."""
        client = self.connect()
        return self.table.workers or max(1, len(self._workers(client)))

    @staticmethod
    def _workers(client: Any) -> dict[str, Any]:
        found: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
        return found

    # -- tasks ---------------------------------------------------------------------------

    def submit(
        self, function: Callable[..., bytes], request: bytes, *needed: Any, resources: Mapping[str, float]
    ) -> Any:
        """A future of ``function(delivery, request, *needed)``; if lost, it is computed again elsewhere."""
        client = self.connect()
        name = f"hwnas-{function.__name__}-{self._key}-{next(self._numbers)}"
        return client.submit(
            function, self._key, request, *needed, key=name, pure=False, resources=dict(resources) or None
        )

    def estimate(self, function: Callable[..., bytes], request: bytes, *needed: Any) -> Any:
        """Like :meth:`submit`, for a task of an estimator."""
        self.connect()
        return self.submit(function, request, *needed, resources=self._training)

    def remember(self, designs: Mapping[str, Any]) -> None:
        """Remember which answers contain designs (digest -> future), until the next training."""
        self._designs = dict(designs)

    def holder(self, digest: str) -> Any:
        """The future of the answer that contains a design, or ``None``; avoids sending it again."""
        return self._designs.get(digest)

    def headline(self, answer: Any) -> Any:
        """A future of an answer without its binary parts."""
        from hwnas_hls.cluster import tasks

        client = self.connect()
        return client.submit(tasks.headline, answer, key=f"hwnas-headline-{answer.key}", pure=False)

    def results(
        self, futures: Sequence[Any], resources: Mapping[str, float] | None = None
    ) -> list[tuple[Any, dict[str, bytes]]]:
        """Wait for answers.

        Args:
            resources: resources of the tasks; ``None`` means those of an estimator's task.

        Returns:
            (JSON, binary parts) of each, in order.

        Raises:
            TaskFailed: a task raised an exception, or its workers died.
            ClusterLost: no worker has the resources, or they cannot do the work.
        """
        client = self.connect()
        needed = self._training if resources is None else resources
        self._until(lambda: all(future.done() for future in futures), client, needed, futures)
        found = []
        for future in futures:
            data, parts = transfer.unpack(self._message(future))
            if "unfit" in data:
                raise ClusterLost(f"{data['worker']} cannot do the work: {data['unfit']}")
            if "error" in data:
                raise TaskFailed(data["error"])
            found.append((data["result"], parts))
        return found

    @staticmethod
    def _message(future: Any) -> bytes:
        if future.status in ("cancelled", "lost"):
            raise ClusterLost("the connection to the scheduler was lost")
        try:
            # A finished result may be lost with its worker; it is then computed again.
            message: bytes = future.result()
            return message
        except (asyncio.CancelledError, concurrent.futures.CancelledError) as error:
            raise ClusterLost("the connection to the scheduler was lost") from error
        except Exception as error:
            words = " ".join(f"{type(error).__name__}: {error}".split())
            if type(error).__name__ == "KilledWorker":
                words = f"KilledWorker: all processes that ran the task died ({words})"
                raise WorkerKilled(words) from error
            raise TaskFailed(words) from error

    def _until(
        self,
        done: Callable[[], bool],
        client: Any,
        resources: Mapping[str, float],
        futures: Sequence[Any] = (),
    ) -> None:
        """Wait while workers with the resources exist or may still appear."""
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
            if self._able(resources):
                alone_since = None
                continue
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > self.table.patience_s:
                raise ClusterLost(self._lack(resources))

    def _able(self, resources: Mapping[str, float]) -> int:
        """The workers that offer at least these resources, including busy ones."""
        connection = self._connection
        if connection is None:
            return 0
        offers = [worker.get("resources") or {} for worker in self._workers(connection.client).values()]
        return sum(
            all(offer.get(name, 0.0) >= amount for name, amount in resources.items()) for offer in offers
        )

    def _lack(self, resources: Mapping[str, float]) -> str:
        patience = f"for {self.table.patience_s:g} s (wait_s in [cluster])"
        if not resources or not self._able({}):
            return f"no worker was available {patience}; `resume` continues the run"
        wanted = " ".join(f"{name}={amount:g}" for name, amount in resources.items())
        return (
            f"no worker offered {wanted} {patience}: start one with `dask worker "
            f'{self.table.scheduler or "ADDRESS"} --resources "{wanted}"`, or correct synthesis_needs in '
            "[cluster]; `resume` continues the run"
        )
