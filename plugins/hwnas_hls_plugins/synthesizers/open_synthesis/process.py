"""Child processes with a time limit and a log, and clean-up of their process groups."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.system.programs import run_program

_LAST_LINES = 3
_PR_SET_PDEATHSIG = 1


class TimeLimitError(HwnasError):
    """A step exceeded its time limit."""

    kind = ErrorKind.TIME_LIMIT


class ToolFailureError(HwnasError):
    """A tool failed; the message quotes its first error."""

    kind = ErrorKind.TOOL_FAILED


@dataclass(slots=True)
class Deadline:
    """The deadline for all steps of one synthesis.

    Args:
        at_s: on the monotonic clock.
        limit_s: the whole limit, for messages.
        children_cpu_s: CPU seconds of the children that have ended.
    """

    at_s: float
    limit_s: float
    children_cpu_s: float = 0.0

    @classmethod
    def after(cls, limit_s: float) -> Deadline:
        return cls(time.monotonic() + limit_s, limit_s)

    def left_s(self) -> float:
        return self.at_s - time.monotonic()

    def check(self, step: str) -> None:
        """Raises: TimeLimitError: it has passed."""
        if self.left_s() <= 0:
            raise TimeLimitError(f"{step} was stopped: the time limit of {self.limit_s:g} s was reached")


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    log: Path,
    deadline: Deadline,
    environment: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Run a program until it ends, and then end its whole process group.

    Args:
        arguments: program and arguments, no shell.
        folder: its working folder.
        log: receives standard output and standard error.
        deadline: after which the group is killed.
        environment: added to this process's own.
        stop: set by another thread to end the program early.

    Raises:
        TimeLimitError: it was killed for running too long.
        ToolFailureError: its exit status is not 0, or it was stopped.
    """
    ending = run_program(
        arguments,
        folder=folder,
        log=log,
        limit_s=max(deadline.left_s(), 0.0),
        environment=environment,
        stop=stop,
    )
    deadline.children_cpu_s += ending.cpu_s
    name = Path(arguments[0]).name
    if ending.timed_out:
        raise TimeLimitError(
            f"{name} was killed: the time limit of {deadline.limit_s:g} s was reached; log: {log}"
        )
    if ending.stopped:
        raise ToolFailureError(f"{name} was stopped before its end; log: {log}")
    if ending.status:
        raise ToolFailureError(f"{name} ended with status {ending.status}: {first_error(log)}; log: {log}")


def run_module(module: str, arguments: Sequence[str], *, folder: Path, log: Path, deadline: Deadline) -> None:
    """Run a module of this package in a fresh interpreter, as :func:`run` does.

    A child process is needed because Yosys ends the interpreter on an error, and because neither Yosys nor
    da4ml has a time limit.
    """
    run(
        module_command(module, *arguments),
        folder=folder,
        log=log,
        deadline=deadline,
        environment=child_environment(),
    )


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package in a new interpreter."""
    return [sys.executable, "-m", f"{__package__}.{module}", *arguments]


def child_environment() -> dict[str, str]:
    """The environment in which a new interpreter finds the same packages."""
    import hwnas_hls

    roots = [str(Path(__file__).resolve().parents[3]), str(Path(hwnas_hls.__file__).resolve().parents[1])]
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH", "")]), *roots])
    return {
        "PYTHONPATH": path,
        # One thread, so several syntheses can share a machine.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }


def die_with_parent() -> None:
    """Make the system kill this child process when its parent ends (Linux only)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def first_error(log: Path) -> str:
    """The first line of a log that reports an error, else its last lines."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        if "ERROR" in line or " error:" in line or line.startswith(("Unsupported", "hwnas_hls.errors")):
            return line.strip()
    last = [line.strip() for line in lines if line.strip()][-_LAST_LINES:]
    return " | ".join(last) or "it printed nothing"
