"""A persistent child process for a module of this package, which imports its packages once."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from hwnas_hls_plugins.synthesizers.open_synthesis.process import (
    Deadline,
    TimeLimitError,
    ToolFailureError,
    child_environment,
    first_error,
    module_command,
)

_DONE = b"done\n"


class WarmProcess:
    """A child process that reads one line per request on standard input and answers ``done``.

    It starts with the first request, ends with this process, and restarts after a time limit or a crash.
    Requests of several threads are processed one after the other.

    Args:
        module: module of this package; its ``main`` reads lines until standard input ends.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None

    def ask(self, line: str, deadline: Deadline) -> None:
        """Send one request and wait for its answer.

        Raises:
            TimeLimitError: it was stopped for running too long.
            ToolFailureError: the process ended.
        """
        with self._lock:
            process = self._running()
            answer = b""
            # Reading the answer detects a child that has ended.
            with contextlib.suppress(BrokenPipeError):
                if process.stdin is not None:
                    process.stdin.write(line.encode() + b"\n")
                    process.stdin.flush()
            try:
                answer = self._answer(process, deadline)
            finally:
                if answer != _DONE:
                    self._stop()

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._stop()

    def _answer(self, process: subprocess.Popen[bytes], deadline: Deadline) -> bytes:
        stdout = process.stdout
        if stdout is None:
            raise ToolFailureError(f"{self._module} has no standard output")
        answer = b""
        while not answer.endswith(b"\n"):
            if not threading.main_thread().is_alive():
                raise ToolFailureError("stopped: the program is ending")
            if deadline.left_s() <= 0:
                raise TimeLimitError(
                    f"{self._module} was killed: the time limit of {deadline.limit_s:g} s was reached"
                )
            ready, _, _ = select.select([stdout], [], [], min(0.2, max(deadline.left_s(), 0.001)))
            if not ready:
                continue
            part = os.read(stdout.fileno(), 4096)
            if not part:
                status = process.wait()
                text = first_error(self._log) if self._log is not None else ""
                raise ToolFailureError(f"{self._module} ended with status {status}: {text}")
            answer += part
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        # The child redirects standard output, because output of a tool must not be read as an answer.
        handle, name = tempfile.mkstemp(prefix="hwnas-hls-", suffix=".log")
        self._log = Path(name)
        with os.fdopen(handle, "wb") as log:
            self._process = subprocess.Popen(
                module_command(self._module),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **child_environment()},
                start_new_session=True,
            )
        atexit.register(self.close)
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            # Until the child is reaped, no other process group can have its number.
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()
        if self._log is not None:
            self._log.unlink(missing_ok=True)
            self._log = None
