"""Plugins in separate processes: a crash, a hang or excessive memory use becomes a failure with a reason.

An estimator or synthesizer requests isolation by class attributes::

    isolated = True
    memory_limit_mb = 4096   # address space of each worker process
    time_limit_s = 600.0     # per call

The class is also built in the main process, which needs its name and version; ``estimate``,
``available``, ``clocked`` and ``synthesize`` run in a worker process only. Nothing is pickled: candidates,
architectures and numbers are sent as JSON, arrays as npz.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, HwnasError, Unsupported
from hwnas_hls.network.design import Design
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.rebuild import build_args_of
from hwnas_hls.plugin.worker_process import START_LIMIT_S, IsolationError, PluginRaised, WorkerProcess
from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas_hls.plugin.registry import Registry
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.protocols.plugin import Isolatable
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.protocols.task import Dataset
    from hwnas_hls.values.candidate import Candidate
    from hwnas_hls.values.estimate import Estimates


def guarded(
    registry: Registry, kind: str, instance: Isolatable, table: Mapping[str, Any], **facts: Any
) -> Any:
    """``instance``, or if it is ``isolated``, a proxy that calls it in a worker process.

    Args:
        registry: the registry that built it.
        kind: ``estimator`` or ``synthesizer``.
        table: its configuration.
        facts: arguments for constructors: ``task target seed clock_ns``.
    """
    if not instance.isolated:
        return instance
    return Isolated(registry, kind, instance, table, **facts)


def release(instance: Any) -> None:
    """End the workers of a plugin returned by :func:`guarded`."""
    if isinstance(instance, Isolated):
        instance.close()


class Isolated:
    """An estimator or synthesizer that runs in worker processes.

    A worker handles one call at a time and is kept for the next; calls from several threads use one
    worker each. A worker that crashed, hung or ran out of memory is replaced at the next call.
    """

    def __init__(
        self,
        registry: Registry,
        kind: str,
        instance: Isolatable,
        table: Mapping[str, Any],
        *,
        task: Dataset | None = None,
        target: Target | None = None,
        **facts: Any,
    ) -> None:
        if os.name != "posix":
            raise Unsupported(f"{kind} {instance.name} runs isolated, which needs Linux or macOS")
        self.name: str = instance.name
        self.takes_rows = False
        if isinstance(instance, Synthesizer):
            self.default_stage = instance.default_stage
        self.memory_limit_mb = instance.memory_limit_mb
        self.time_limit_s = instance.time_limit_s
        self._what = f"{kind} {instance.name}"
        self._folder = tempfile.TemporaryDirectory(prefix=transfer.FOLDER_PREFIX)
        folder = Path(self._folder.name)
        built = {"plugin": (kind, instance, table)}
        self._setup = {
            "build_args": build_args_of(
                registry, built, transfer.Folder(folder), task=task, target=target, **facts
            ),
            "memory_limit_mb": self.memory_limit_mb,
            "time_limit_s": self.time_limit_s,
            "start_limit_s": START_LIMIT_S,
        }
        self._started = 0
        self._idle: list[WorkerProcess] = []
        self._alive: set[WorkerProcess] = set()
        self._lock = threading.Lock()
        self._close = weakref.finalize(self, _close, self._alive, self._folder)

    def close(self) -> None:
        """End the workers, including busy ones, and remove their files; also called automatically at exit."""
        self._close()

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """Like :meth:`hwnas_hls.protocols.estimator.Estimator.estimate`, but without early stopping.

        Raises:
            IsolationError: the plugin raised an exception, crashed or exceeded a limit.
        """
        with self._worker() as worker:
            parts = transfer.Folder(worker.folder)
            batch = transfer.batch_to_json(candidates, context, parts)
            answers = worker.ask({"call": "estimate", "batch": batch}, self.time_limit_s)
            return [
                transfer.estimates_from_json(answer, worker.answer_name(place), parts)
                for place, answer in enumerate(answers)
            ]

    def available(self, target: Target) -> str:
        """Like ``Synthesizer.available``; a crash is returned as the reason."""
        try:
            with self._worker() as worker:
                return str(worker.ask({"call": "available", "target": target.to_json()}, self.time_limit_s))
        except IsolationError as error:
            return str(error)

    def synthesize(self, design: Design, target: Target, stage: str) -> SynthesisReport:
        """Like ``Synthesizer.synthesize``; a crash gives a report with a failure."""
        try:
            with self._worker() as worker:
                request = {"call": "synthesize", "stage": stage, **_request(worker, design, target)}
                return transfer.report_from_json(worker.ask(request, self.time_limit_s))
        except IsolationError as error:
            return SynthesisReport(self.name, stage, failure=str(error), failure_kind=error.kind)

    def clocked(self, design: Design, target: Target, rows: NDArray[np.int64] | None = None) -> Design:
        """Like ``Synthesizer.clocked``, without rows.

        Raises:
            IsolationError: the plugin raised an exception, crashed or exceeded a limit.
        """
        with self._worker() as worker:
            name = worker.ask({"call": "clocked", **_request(worker, design, target)}, self.time_limit_s)
            return Design.from_bytes((worker.folder / name).read_bytes())

    @contextlib.contextmanager
    def _worker(self) -> Any:
        """A worker for one call; kept for the next call unless something went wrong."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
            self._started += worker is None
            number = self._started
        if worker is None:
            worker = WorkerProcess(self._what, Path(self._folder.name) / f"worker-{number}", self._setup)
            self._alive.add(worker)
        try:
            yield worker
        except PluginRaised:
            self._keep(worker)
            raise
        except HwnasError:
            self._end(worker)
            raise
        except Exception as error:
            self._end(worker)
            raise IsolationError(
                f"{self._what} returned an unreadable answer: {error}", kind=ErrorKind.DAMAGED
            ) from error
        except BaseException:
            self._end(worker)
            raise
        else:
            self._keep(worker)

    def _end(self, worker: WorkerProcess) -> None:
        worker.end()
        self._alive.discard(worker)

    def _keep(self, worker: WorkerProcess) -> None:
        with self._lock:
            self._idle.append(worker)


def _request(worker: WorkerProcess, design: Design, target: Target) -> dict[str, Any]:
    path = worker.folder / "design.npz"
    path.write_bytes(design.to_bytes())
    return {"design": str(path), "target": target.to_json()}


def _close(alive: set[WorkerProcess], folder: tempfile.TemporaryDirectory[str]) -> None:
    while alive:
        alive.pop().end()
    folder.cleanup()
