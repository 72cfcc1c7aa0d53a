"""One worker process, seen from the main process: it starts, answers requests within a time limit, ends."""

from __future__ import annotations

import collections
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.plugin import transfer

#: Time limit for starting an interpreter and loading the plugins; on a busy machine this takes seconds.
START_LIMIT_S = 120.0
_LAST_LINES = 20


class IsolationError(HwnasError):
    """An isolated plugin gave no answer; the message gives the reason."""

    kind = ErrorKind.PLUGIN_FAULT


class PluginRaised(IsolationError):
    """The plugin raised an exception; its worker can be used again."""


class WorkerProcess:
    """One worker process with its folder."""

    def __init__(self, what: str, folder: Path, setup: Mapping[str, Any]) -> None:
        self.folder = folder
        self._what = what
        self._number = 0
        self._last_lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
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
            self._exchange(START_LIMIT_S)
        except BaseException:
            self.end()
            raise

    def ask(self, request: Mapping[str, Any], time_limit_s: float) -> Any:
        """The plugin's answer.

        Raises:
            IsolationError: there is no answer; :class:`PluginRaised` if the worker can continue.
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
            raise IsolationError(self._how_it_ended(), kind=ErrorKind.CRASHED)
        answer = transfer.read_json(self.folder / f"answer-{self._number}.json")
        if "error" in answer:
            fault = IsolationError if answer.get("over") else PluginRaised
            raise fault(f"{self._what}: {answer['error']}")
        return answer["result"]

    def _how_it_ended(self) -> str:
        """How the process ended, as text."""
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            how = f"was ended by signal {name}"
            if name == "SIGSEGV":
                how = f"crashed with a segmentation fault ({name})"
        else:
            how = f"ended its process with exit status {code}"
        output = " ".join(" ".join(self._last_lines).split())[-300:]
        return f"{self._what} {how}" + (f"; its last output: {output}" if output else "")

    def _listen(self) -> None:
        """Keep only the last lines of standard error, so output of the plugin cannot fill the disk."""
        stream = self._process.stderr
        if stream is not None:
            with stream:
                while line := stream.readline(4096):
                    self._last_lines.append(line.decode(errors="replace"))
