"""External programs, each in its own process group, which ends with the call."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LONGEST_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program ended.

    Args:
        status: exit status; negative: the signal that ended it.
        timed_out: whether it was killed at its time limit.
        stopped: whether it was killed or not started because the caller's event was set or this process ends.
        wall_s: seconds from start to end.
        cpu_s: CPU seconds of the program and of the children that it waited for.
    """

    status: int
    timed_out: bool
    stopped: bool
    wall_s: float
    cpu_s: float


def run_program(
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    limit_s: float,
    environment: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
    grace_s: float = 0.0,
    append: bool = False,
) -> Ending:
    """Run a program until it ends, and then end its whole process group.

    Standard output and standard error go to ``log`` only, so memory does not grow with the output.
    Standard input is empty.

    Args:
        command: program and arguments, run without a shell.
        folder: working folder of the program.
        limit_s: seconds after which the process group is killed.
        environment: variables added to the environment of this process.
        stop: set by another thread to end the program early.
        grace_s: seconds between SIGTERM and SIGKILL; 0 kills at once.
        append: add to ``log`` instead of replacing it.

    Raises:
        OSError: the program cannot be started, or ``log`` cannot be written.
    """
    if stop is not None and stop.is_set():
        return Ending(-signal.SIGKILL, timed_out=False, stopped=True, wall_s=0.0, cpu_s=0.0)
    began = time.monotonic()
    with log.open("ab" if append else "wb") as sink:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        timed_out = stopped = False
        try:
            timed_out, stopped = _watch(process.pid, began + limit_s, stop)
        finally:
            # The leader is not reaped yet, so its group id cannot have been reused.
            # The group is ended after success too, because tools leave helper processes running.
            _end_group(process.pid, grace_s)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    return Ending(
        process.returncode, timed_out, stopped, time.monotonic() - began, usage.ru_utime + usage.ru_stime
    )


def _watch(pid: int, deadline: float, stop: threading.Event | None) -> tuple[bool, bool]:
    """Wait, without reaping, until the process ends; returns (timed out, stopped)."""
    pause_s = 0.002
    while not _has_ended(pid):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return True, False
        # A thread must not delay the end of this process.
        if (stop is not None and stop.is_set()) or not threading.main_thread().is_alive():
            return False, True
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
    return False, False


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _end_group(pid: int, grace_s: float) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if grace_s > 0 and not _has_ended(pid):
            os.killpg(pid, signal.SIGTERM)
            deadline = time.monotonic() + grace_s
            while not _has_ended(pid) and time.monotonic() < deadline:
                time.sleep(0.02)
        os.killpg(pid, signal.SIGKILL)
