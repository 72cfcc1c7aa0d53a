"""The worker process of an isolated plugin: ``python -m hwnas_hls.plugin.worker FOLDER``.

It reads request numbers from standard input, one per line. For each number N it reads
``request-N.json`` in FOLDER, writes ``answer-N.json`` and then a line to its original standard output.
The plugin itself has an empty standard input, and its output goes to standard error.
"""

from __future__ import annotations

import os
import queue
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas_hls.network.design import Design
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.rebuild import BuildArgs

#: The tool ends this process at the time limit; if that fails, the process ends itself this much later.
_GRACE_S = 10.0


class Worker:
    """One plugin, built from its setup.

    Args:
        folder: folder of the requests and answers.
        setup: written by :class:`hwnas_hls.plugin.isolation.Isolated`.
    """

    def __init__(self, folder: Path, setup: Mapping[str, Any]) -> None:
        self.folder = folder
        self.build_args = BuildArgs.load(
            setup["build_args"], transfer.Folder(folder.parent), "the worker process"
        )
        self.plugin = self.build_args.build("plugin")

    def answer(self, request: Mapping[str, Any], number: int) -> Any:
        """The JSON-able answer; exceptions of the plugin pass through."""
        if request["call"] == "estimate":
            parts = transfer.Folder(self.folder)
            candidates, context = transfer.batch_from_json(
                request["batch"], parts, self.build_args.facts["task"], self.build_args.facts["target"]
            )
            found = list(self.plugin.estimate(candidates, context))
            return [
                transfer.estimates_to_json(item, f"answer-{number}-{place}.npz", parts)
                for place, item in enumerate(found)
            ]
        target = transfer.target_from_json(request["target"])
        if request["call"] == "available":
            return str(self.plugin.available(target))
        design = Design.from_bytes(Path(request["design"]).read_bytes())
        if request["call"] == "clocked":
            name = f"answer-{number}.npz"
            (self.folder / name).write_bytes(self.plugin.clocked(design, target).to_bytes())
            return name
        return transfer.report_to_json(self.plugin.synthesize(design, target, request["stage"]))


def main(folder: Path) -> None:
    """Serve until standard input ends."""
    requests, answers = _take_channels(folder)
    setup = transfer.read_json(folder / "setup.json")
    _limit(setup["memory_limit_mb"])
    # Restore the order of the main process; -P and -m change it.
    sys.path[:] = setup["build_args"]["sys_path"]
    worker: Worker | None = None
    while True:
        number = requests.get()
        limit_s = setup["start_limit_s" if worker is None else "time_limit_s"]
        signal.setitimer(signal.ITIMER_REAL, limit_s + _GRACE_S)
        answer: dict[str, Any]
        try:
            if worker is None:
                worker = Worker(folder, setup)
                answer = {"result": None}
            else:
                request = transfer.read_json(folder / f"request-{number}.json")
                answer = {"result": worker.answer(request, number)}
        except MemoryError:
            answer = {"error": f"out of memory (the limit is {setup['memory_limit_mb']} MB)", "over": True}
        except SystemExit as error:
            answer = {"error": f"sys.exit({error.code!r}) was called"}
        except BaseException as error:
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:1000]}
        signal.setitimer(signal.ITIMER_REAL, 0)
        transfer.write_json(folder / f"answer-{number}.json", answer)
        os.write(answers, b"\n")


def _take_channels(folder: Path) -> tuple[queue.Queue[int], int]:
    """The queue of requests and the descriptor for answers, both out of the plugin's reach."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    requests: queue.Queue[int] = queue.Queue()

    def listen() -> None:
        with os.fdopen(incoming) as lines:
            for line in lines:
                requests.put(int(line))
        # The tool has ended, for whatever reason: remove the files and end this process group.
        if folder.parent.name.startswith(transfer.FOLDER_PREFIX):
            shutil.rmtree(folder.parent, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=listen, daemon=True).start()
    return requests, outgoing


def _limit(memory_mb: int) -> None:
    size = memory_mb * 2**20
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
