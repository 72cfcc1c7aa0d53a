"""How a search gets faster with workers: measured with 0, 1 and 2, simulated with more.

    python benchmarks/workers/run.py            # simulated, from processor times: any machine will do
    python benchmarks/workers/run.py measure    # wall clock; wants a machine with nothing else to do

Both run the default search (space ``mlp``, trainings that remove adders) with random candidates, without
the export. The trainings are shortened to half a second of processor time (``SHORT``): those of the defaults
take several seconds each. *Measured* is the time from the end of the first batch to the end of the last one:
workers have started by then. The default sizes are meant for two to three minutes on two idle cores, and
each line is printed as soon as it is known; larger batches and more repeats give steadier numbers.

*Simulated* means: every task of a batch is really computed, one after the other and divided just as
for so many workers; its processor time is taken, and the times are laid out on that many virtual
workers in the order in which the main process submits and awaits them. What the main process does in
between counts as it is, and every task is charged what dask.distributed was measured to cost.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls.cluster import Workers, tasks
from hwnas_hls.plugin import transfer
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.lifecycle import Observer, start
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.cluster import ClusterTable
from hwnas_hls.spec.spec import Spec, spec_from_tables

#: Settings of the trainings: no further rows before the removal, and few short rounds of it.
SHORT = {"dense_rows": 0, "descent_epochs": 1, "descent_step": 0.5}
#: Where the made data lie, if any were asked for.
_data: list[str] = []


def make_data(rows: int, folder: Path) -> None:
    """Five overlapping classes in 16 features, as a file that the task ``file`` reads."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, rows)
    centres = rng.normal(size=(5, 16))
    np.savez(folder / "made.npz", x=centres[y] + 1.5 * rng.normal(size=(rows, 16)), y=y)
    _data.append(str(folder / "made.npz"))


def spec(trials: int, batch: int, **cluster: Any) -> Spec:
    tables = {
        "target": {"name": "xcvu9p"},
        "task": {"name": _data[-1] if _data else "digits16"},
        "run": {"trials": trials, "batch": batch, "exporters": []},
        "strategy": {"name": "random"},
        "estimators": {"training": SHORT},
        "export": {"members": 1, "csim": False, "refine": False, "baselines": False},
        "cluster": cluster,
    }
    return spec_from_tables(tables, "benchmark")


def processor_s() -> float:
    """Processor time of this process and of those that it waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


# -- what dask costs ------------------------------------------------------------------------


def nothing(key: str, request: bytes) -> bytes:
    return request


def overheads(problem: Problem) -> tuple[float, float]:
    """(seconds until one empty task is back, processor seconds of the main process a task)."""
    request = bytes(20_000)
    with Workers(problem.cluster_setup()) as workers:
        client = workers.connect()
        single, many = [], []
        for _ in range(60):
            began = time.perf_counter()
            client.submit(nothing, "", request, pure=False).result()
            single.append(time.perf_counter() - began)
        for _ in range(5):
            began = processor_s()
            client.gather([client.submit(nothing, "", request, pure=False) for _ in range(100)])
            many.append((processor_s() - began) / 100)
    # Other work on the machine only ever adds to the first; the second does not see it.
    return min(single), statistics.median(many)


# -- virtual workers ------------------------------------------------------------------------


@dataclass
class Done:
    """A task that was computed, and when it would have ended."""

    answer: bytes
    end_s: float


class VirtualWorkers(Workers):
    """Computes every task at once, in this process, and keeps the clock of a cluster.

    Args:
        count: virtual workers.
        latency_s, task_s: what dask costs, see :func:`overheads`.
    """

    def __init__(self, problem: Problem, count: int, latency_s: float, task_s: float) -> None:
        super().__init__(problem.cluster_setup())
        self.latency_s, self.task_s = latency_s, task_s
        self.now_s = 0.0
        self.busy_s = 0.0
        self.tasks: list[float] = []
        self._free = [0.0] * count
        self._seen = processor_s()

    def connect(self) -> Any:
        if not self._key:
            self._key = "benchmark"
            tasks.receive(self._key, self._delivery())
        return None

    def slots(self) -> int:
        return len(self._free)

    def lap(self) -> None:
        """Count what the main process has done since the last task."""
        spent = processor_s()
        self.now_s += spent - self._seen
        self._seen = spent

    def submit(
        self, function: Callable[..., bytes], request: bytes, *needed: Any, resources: Mapping[str, float]
    ) -> Any:
        self.connect()
        self.lap()
        answer = function(self._key, request, *(done.answer for done in needed))
        spent = processor_s() - self._seen
        self._seen += spent
        self.now_s += self.task_s
        which = min(range(len(self._free)), key=self._free.__getitem__)
        begin = max(self._free[which], self.now_s + self.latency_s / 2)
        self._free[which] = begin + spent
        self.busy_s += spent
        self.tasks.append(spent)
        return Done(answer, begin + spent)

    def headline(self, answer: Any) -> Any:
        done = Done(tasks.headline(answer.answer), answer.end_s)
        self.now_s += self.task_s
        return done

    def results(
        self, futures: Sequence[Any], resources: Mapping[str, float] | None = None
    ) -> list[tuple[Any, dict[str, bytes]]]:
        self.lap()
        self.now_s = max(self.now_s, max((f.end_s for f in futures), default=0.0) + self.latency_s / 2)
        found = []
        for future in futures:
            data, parts = transfer.unpack(future.answer)
            found.append((data["result"], parts))
        return found


def judge(problem: Problem, workers: Workers | None, size: int) -> float:
    """Judge one batch; the processor time it took."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        judging = Judge(problem, store, workers)
        candidates = problem.make_strategy().ask(size)
        if isinstance(workers, VirtualWorkers):
            workers.connect()
            workers.lap()
            workers.now_s = 0.0
        began = processor_s()
        judging.records(candidates, 0, 0)
        spent = processor_s() - began
        if isinstance(workers, VirtualWorkers):
            workers.lap()
        judging.close()
    return spent


def simulate(batches: Sequence[int], counts: Sequence[int], repeats: int) -> None:
    registry = Registry()
    plain = resolve(spec(1, 1), registry)
    one = dataclasses.replace(plain, spec=dataclasses.replace(plain.spec, cluster=ClusterTable(workers=1)))
    latency, each = overheads(one)
    print(f"dask: an empty task is back after {1e3 * latency:.1f} ms and costs {1e3 * each:.2f} ms here")
    judge(plain, None, 8)  # imports and caches
    print("| batch | workers | tasks | candidates a task | seconds | speed-up | efficiency | busy | main |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for batch in batches:
        rows: dict[int, list[tuple[float, ...]]] = {count: [] for count in (0, *counts)}
        for _ in range(repeats):
            for count in rows:
                if count == 0:
                    spent = judge(plain, None, batch)
                    rows[0].append((spent, 0.0, 0.0, 0.0))
                    continue
                workers = VirtualWorkers(one, count, latency, each)
                spent = judge(one, workers, batch)
                main = spent - workers.busy_s
                rows[count].append((workers.now_s, float(len(workers.tasks)), workers.busy_s, main))
        alone = statistics.median(row[0] for row in rows[0])
        print(f"| {batch} | none | | | {alone:.2f} | 1 | | | |", flush=True)
        for count in counts:
            seconds, number, busy, main = (
                statistics.median(row[place] for row in rows[count]) for place in range(4)
            )
            print(
                f"| {batch} | {count} | {number:.0f} | {batch / min(count, batch):.1f} | {seconds:.2f} "
                f"| {alone / seconds:.2f} | {alone / seconds / count:.0%} "
                f"| {busy / seconds / count:.0%} | {main:.2f} |",
                flush=True,
            )


def measure(trials: int, batch: int, repeats: int) -> None:
    registry = Registry()
    times: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for number in range(repeats):
        for count, found in times.items():
            with tempfile.TemporaryDirectory() as folder:
                seen: list[float] = []
                watch = Observer(on_progress=lambda progress, seen=seen: seen.append(progress.seconds))
                start(spec(trials, batch, workers=count), registry, Path(folder) / "run", watch)
                # From the first batch on: starting workers and importing torch is done by then.
                found.append(seen[-1] - seen[0])
            load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            print(f"repeat {number + 1}, {count} workers: {found[-1]:.1f} s ({load})", flush=True)
    alone = statistics.median(times[0])
    print(f"| workers | seconds for {trials - batch} candidates in batches of {batch} | speed-up |")
    print("|---:|---:|---:|")
    for count, found in times.items():
        middle = statistics.median(found)
        ends = f"{min(found):.1f} to {max(found):.1f}"
        print(f"| {count or 'none'} | {middle:.1f} ({ends}) | {alone / middle:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=("simulate", "measure"), nargs="?", default="simulate")
    parser.add_argument("--batches", type=int, nargs="+", default=[20], help="sizes; measure takes the first")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 8], help="of the simulation")
    parser.add_argument("--trials", type=int, default=80, help="of measure, the first batch included")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--rows", type=int, default=0, help="of made data; 0 takes digits16")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.rows:
            make_data(chosen.rows, Path(folder))
        if chosen.what == "simulate":
            simulate(chosen.batches, chosen.workers, chosen.repeats)
        else:
            measure(chosen.trials, chosen.batches[0], chosen.repeats)


if __name__ == "__main__":
    main()
