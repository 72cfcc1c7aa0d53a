"""The worker processes of one run, as the main process sees them."""

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
    """There are no workers any more, or they cannot do the work; the run can be resumed."""

    kind = ErrorKind.MISSING


class TaskFailed(HwnasError):
    """A task raised; the text is that of its exception."""

    kind = ErrorKind.PLUGIN_FAULT


class WorkerKilled(TaskFailed):
    """Every worker that took the task was lost."""

    kind = ErrorKind.CRASHED


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


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSetup:
    """What worker processes are started from and given.

    Args:
        table: the spec's ``[cluster]``: where the workers are.
        where: that table's place in the user's files, for messages.
        registry: that built the plugins.
        space: with its configuration.
        estimators: of the search, and the one of the full training.
        synthesizer: with its configuration; ``None`` where no hardware is in the loop.
        dataset, target, seed, clock_ns: what plugins' constructors may ask for.
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
    """Connected on first use; close it, whatever happens.

    Args:
        setup: where the workers are and what they are given.

    Raises:
        ToolMissing: see :func:`require`.
    """

    def __init__(self, setup: ClusterSetup) -> None:
        require(setup.table)
        self.setup = setup
        self.table = setup.table
        #: For files of batch jobs; the run's own once it has one.
        self.folder = Path()
        self._parts = {self.part_name(part): part for part in self._dear()}
        self._connection: Connection | None = None
        self._key = ""
        self._training: Mapping[str, float] = {}
        self._designs: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._closing = False

    # -- what goes where -----------------------------------------------------------------

    def takes(self, part: ConfiguredPlugin) -> bool:
        """Whether an estimator is worth a task; what learns from all records stays here."""
        instance = part.instance
        dear = float(instance.cost) >= self.table.min_cost_s
        return dear and not instance.learns

    def _dear(self) -> list[ConfiguredPlugin]:
        return [part for part in self.setup.estimators if self.takes(part)]

    @staticmethod
    def part_name(part: ConfiguredPlugin) -> str:
        """Names an estimator with its configuration."""
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
            connection = connect(self.table, self.setup.where, self.folder)
            try:
                delivery = self._delivery()
                # Another run may ask the same scheduler for the same; each ends what is its own.
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
        return self.submit(function, request, *needed, resources=self._training)

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

    def results(
        self, futures: Sequence[Any], resources: Mapping[str, float] | None = None
    ) -> list[tuple[Any, dict[str, bytes]]]:
        """Wait for answers.

        Args:
            resources: what their tasks take of a worker; ``None`` is what an estimator's take.

        Returns:
            (JSON, binary parts) of each, in order.

        Raises:
            TaskFailed: one raised, or killed its workers.
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

    def _until(
        self,
        done: Callable[[], bool],
        client: Any,
        resources: Mapping[str, float],
        futures: Sequence[Any] = (),
    ) -> None:
        """Wait, as long as there are workers with the resources, or hope of some."""
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
        """Workers that offer at least so much, busy ones too."""
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
            return f"no worker has been there {patience}; `resume` goes on where the run stopped"
        wanted = " ".join(f"{name}={amount:g}" for name, amount in resources.items())
        return (
            f"no worker offers {wanted}, and none has {patience}: start one with `dask worker "
            f'{self.table.scheduler or "ADDRESS"} --resources "{wanted}"`, or correct synthesis_needs in '
            "[cluster]; `resume` goes on where the run stopped"
        )
