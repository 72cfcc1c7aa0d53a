"""Work in forked processes: for Python code that would hold up other threads.

A forked process has a copy of everything that this one has in memory, so nothing is handed over; only
the result is, and the progress.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from hwnas_hls.errors import ErrorKind, HwnasError

T = TypeVar("T")
#: Called with what a process says of its progress.
Follow = Callable[..., None]
#: Of Linux' prctl.
_SET_PARENT_DEATH_SIGNAL = 1
_PROGRESS, _FAILED, _DONE = "progress", "failed", "done"


def can_fork() -> bool:
    """Whether this process may fork: on Linux, and unless it is itself a daemon, as cluster workers are."""
    return sys.platform == "linux" and not multiprocessing.current_process().daemon


def forked(work: Callable[[int, Follow], T], follows: Sequence[Follow]) -> list[T]:
    """The results of ``work(place, follow)`` for all places, each computed in a process of its own.

    Args:
        work: runs in the process; its result can be pickled. It calls ``follow`` with its progress.
        follows: one per place; called in this process with what the other passes to ``follow``.

    Raises:
        HwnasError: a process was killed. Whatever ``work`` raises is raised here; the other processes end.
    """
    context = multiprocessing.get_context("fork")
    ends = [context.Pipe(duplex=False) for _ in follows]
    processes = [
        context.Process(target=_child, args=(work, place, sender, os.getpid()), daemon=True)
        for place, (_, sender) in enumerate(ends)
    ]
    found: dict[int, T] = {}
    with contextlib.ExitStack() as stack:
        for process, (receiver, sender) in zip(processes, ends, strict=True):
            process.start()
            stack.callback(_end, process)
            stack.callback(receiver.close)
            # The end of the process is then the end of its pipe.
            sender.close()
        waiting: dict[Any, int] = {receiver: place for place, (receiver, _) in enumerate(ends)}
        while waiting:
            for ready in wait(list(waiting)):
                place = waiting[ready]
                try:
                    kind, said = ends[place][0].recv()
                except EOFError:
                    processes[place].join()
                    code = processes[place].exitcode
                    raise HwnasError(
                        f"a process of this run was killed (exit code {code}); "
                        "if memory is short, use fewer cores",
                        kind=ErrorKind.FAILED,
                    ) from None
                if kind == _PROGRESS:
                    follows[place](*said)
                elif kind == _FAILED:
                    raise said
                else:
                    found[place] = said
                    del waiting[ready]
    return [found[place] for place in range(len(follows))]


def _end(process: Any) -> None:
    if process.is_alive():
        process.terminate()
    process.join()


def _child(work: Callable[[int, Follow], T], place: int, sender: Connection, parent: int) -> None:
    # Ctrl-C reaches the parent too, which ends its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # It ends with its parent, whose open files, and thus locks, it holds too.
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)

    def follow(*said: object) -> None:
        sender.send((_PROGRESS, said))

    try:
        done = work(place, follow)
    except Exception as error:
        sender.send((_FAILED, error))
    else:
        sender.send((_DONE, done))
