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

import collections
import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, HwnasError, Unsupported
from hwnas_hls.network.design import Design
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.rebuild import build_args_of
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

#: Time limit for starting an interpreter and loading the plugins; on a busy machine this takes seconds.
_START_LIMIT_S = 120.0
_SAID_LINES = 20


class IsolationError(HwnasError):
    """An isolated plugin gave no answer; the message gives the reason."""

    kind = ErrorKind.PLUGIN_FAULT


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
            "start_limit_s": _START_LIMIT_S,
        }
        self._started = 0
        self._idle: list[_Process] = []
        self._alive: set[_Process] = set()
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
            worker = _Process(self._what, Path(self._folder.name) / f"worker-{number}", self._setup)
            self._alive.add(worker)
        try:
            yield worker
        except _Refused:
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

    def _end(self, worker: _Process) -> None:
        worker.end()
        self._alive.discard(worker)

    def _keep(self, worker: _Process) -> None:
        with self._lock:
            self._idle.append(worker)


class _Refused(IsolationError):
    """The plugin raised an exception; its worker can be used again."""


class _Process:
    """One worker process with its folder."""

    def __init__(self, what: str, folder: Path, setup: Mapping[str, Any]) -> None:
        self.folder = folder
        self._what = what
        self._number = 0
        self._said: collections.deque[str] = collections.deque(maxlen=_SAID_LINES)
        folder.mkdir()
        transfer.write_json(folder / "setup.json", setup)
        # -P: a file in the current folder must not shadow a module of the standard library.
        command = [sys.executable, "-P", "-m", "hwnas_hls.plugin.worker", str(folder)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self._exchange(_START_LIMIT_S)
        except BaseException:
            self.end()
            raise

    def ask(self, request: Mapping[str, Any], time_limit_s: float) -> Any:
        """The plugin's answer.

        Raises:
            IsolationError: there is no answer; :class:`_Refused` if the worker can continue.
        """
        self._number += 1
        transfer.write_json(self.folder / f"request-{self._number}.json", request)
        return self._exchange(time_limit_s)

    def answer_name(self, place: int) -> str:
        """The design file of entry ``place`` of the last answer."""
        return f"answer-{self._number}-{place}.npz"

    def end(self) -> None:
        """Kill the process and its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _exchange(self, time_limit_s: float) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise IsolationError(f"{self._what}: the worker has no pipes")
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{self._number}\n".encode())
            stdin.flush()
        deadline = time.monotonic() + time_limit_s
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stdout], [], [], left)[0]:
                raise IsolationError(
                    f"{self._what} took longer than {time_limit_s:g} s and was stopped",
                    kind=ErrorKind.TIME_LIMIT,
                )
            if os.read(stdout.fileno(), 1):
                break
            raise IsolationError(self._epitaph(), kind=ErrorKind.CRASHED)
        answer = transfer.read_json(self.folder / f"answer-{self._number}.json")
        if "error" in answer:
            fault = IsolationError if answer.get("over") else _Refused
            raise fault(f"{self._what}: {answer['error']}")
        return answer["result"]

    def _epitaph(self) -> str:
        """How the process ended, as text."""
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            how = f"was ended by signal {name}"
            if name == "SIGSEGV":
                how = f"crashed with a segmentation fault ({name})"
        else:
            how = f"ended its process with exit status {code}"
        said = " ".join(" ".join(self._said).split())[-300:]
        return f"{self._what} {how}" + (f"; its last output: {said}" if said else "")

    def _listen(self) -> None:
        """Keep only the last lines of standard error, so output of the plugin cannot fill the disk."""
        stream = self._process.stderr
        if stream is not None:
            with stream:
                while line := stream.readline(4096):
                    self._said.append(line.decode(errors="replace"))


def _request(worker: _Process, design: Design, target: Target) -> dict[str, Any]:
    path = worker.folder / "design.npz"
    path.write_bytes(design.to_bytes())
    return {"design": str(path), "target": target.to_json()}


def _close(alive: set[_Process], folder: tempfile.TemporaryDirectory[str]) -> None:
    while alive:
        alive.pop().end()
    folder.cleanup()
