"""Overhead of the engine: what a candidate costs besides its estimators, by number of candidates.

One search of the space `mlp` (every candidate is built, keyed, judged by a formula that takes
microseconds, stored, passed to the strategy and merged into the front), beside an Optuna study of the
same number of trials with as many parameters and the same number of objectives in a SQLite file.
Both commit their results to disk. Figures are milliseconds of processor time and of wall time.

    python benchmarks/engine/overhead.py --candidates 100 1000 10000 100000 --optuna 100 1000 10000

Each of Optuna's counts that takes longer than ``--most-minutes`` is stopped there, and the table says at
which trial; nothing is extrapolated.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import formula

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.live_front import LiveFront
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import spec_from_tables


def spec(trials: int, strategy: str, batch: int, objectives: int) -> dict[str, Any]:
    return {
        "target": {"name": "xcvu9p"},
        "run": {
            "trials": trials,
            "batch": batch,
            "estimators": ["formula"],
            "exporters": [],
            "early_stop": False,
        },
        "task": {"name": "digits16"},
        "space": {"name": "mlp"},
        "strategy": {"name": strategy},
        "objectives": {"metrics": list(("accuracy", "lut", "latency_ns")[:objectives])},
    }


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of one part of the loop, all calls together."""

    cpu: defaultdict[str, float]

    def wrap(self, owner: type, name: str, label: str) -> Callable[[], None]:
        """Count what a method takes; returns what undoes it."""
        plain = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return plain(*args, **kwargs)
            finally:
                self.cpu[label] += time.process_time() - began

        setattr(owner, name, timed)
        return lambda: setattr(owner, name, plain)


def engine(trials: int, strategy: str, batch: int, objectives: int) -> dict[str, Any]:
    """One search; milliseconds a candidate of its parts, of its last tenth, and of reading it back."""
    registry = Registry()
    registry.register(formula, "formula")
    problem = resolve(spec_from_tables(spec(trials, strategy, batch, objectives), "benchmark"), registry)
    parts = Timed(defaultdict(float))
    undo = [
        parts.wrap(Search, "_ask", "ask"),
        parts.wrap(Judge, "records", "judge"),
        parts.wrap(LiveFront, "add", "front"),
        parts.wrap(Store, "begin_batch", "store"),
        parts.wrap(Store, "finish_batch", "store"),
        parts.wrap(type(problem.make_strategy()), "tell", "tell"),
    ]
    marks: list[tuple[int, float, float]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with Store(folder) as store:
            search = Search.resume(
                problem,
                store,
                on_progress=lambda progress: marks.append(
                    (progress.judged, time.process_time(), time.perf_counter())
                ),
            )
            began = (0, time.process_time(), time.perf_counter())
            search.run()
            search.close()
            judged = search.judged
            front, volume = len(search.front.records), search.front.hypervolume
        for action in undo:
            action()
        last = next(mark for mark in reversed([began, *marks]) if mark[0] <= 0.9 * judged)
        done = marks[-1]
        reloading = time.process_time()
        with Store(folder) as store:
            again = Search.resume(problem, store)
            again.close()
        reloaded = time.process_time() - reloading
        assert again.judged == judged
        assert abs(again.front.hypervolume - volume) < 1e-12
        size = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "candidates": judged,
        "strategy": strategy,
        "cpu_ms": 1e3 * (done[1] - began[1]) / judged,
        "wall_ms": 1e3 * (done[2] - began[2]) / judged,
        "last_tenth_cpu_ms": 1e3 * (done[1] - last[1]) / (done[0] - last[0]),
        "parts_cpu_ms": {name: 1e3 * value / judged for name, value in sorted(parts.cpu.items())},
        "front": front,
        "reload_s": reloaded,
        "store_mb": size / 1e6,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def run(trials: int, strategy: str, batch: int, objectives: int) -> None:
    """One search and nothing kept of it, for measurements of memory."""
    registry = Registry()
    registry.register(formula, "formula")
    problem = resolve(spec_from_tables(spec(trials, strategy, batch, objectives), "benchmark"), registry)
    with tempfile.TemporaryDirectory() as place, Store(Path(place)) as store:
        search = Search.resume(problem, store)
        search.run()
        search.close()


def optuna_study(trials: int, sampler: str, batch: int, objectives: int, most_s: float) -> dict[str, Any]:
    """The same in Optuna: ask, suggest as many parameters as a candidate has, tell."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = {f"knob_{number}": list(range(6)) for number in range(formula.KNOBS)}
    chosen: Any = {
        "random": lambda: optuna.samplers.RandomSampler(seed=0),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=0, population_size=batch),
    }[sampler]()
    with tempfile.TemporaryDirectory() as place:
        storage = optuna.storages.RDBStorage(f"sqlite:///{place}/study.db")
        study = optuna.create_study(storage=storage, sampler=chosen, directions=["minimize"] * objectives)
        began = (time.process_time(), time.perf_counter())
        marks = [(0, *began)]
        done = 0
        while done < trials and time.perf_counter() - began[1] < most_s:
            trial = study.ask()
            values = [trial.suggest_categorical(name, choices) for name, choices in names.items()]
            study.tell(trial, [sum(values[place::objectives]) for place in range(objectives)])
            done += 1
            if done % max(1, trials // 20) == 0:
                marks.append((done, time.process_time(), time.perf_counter()))
        end = (time.process_time(), time.perf_counter())
        front_began = time.process_time()
        front = len(study.best_trials)
        reading = time.process_time() - front_began
        last = next(mark for mark in reversed(marks) if mark[0] <= 0.9 * done)
        reloading = time.process_time()
        again = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{place}/study.db")
        assert len(again.trials) == done
        reloaded = time.process_time() - reloading
    return {
        "candidates": done,
        "asked": trials,
        "sampler": sampler,
        "cpu_ms": 1e3 * (end[0] - began[0]) / done,
        "wall_ms": 1e3 * (end[1] - began[1]) / done,
        "last_tenth_cpu_ms": 1e3 * (end[0] - last[1]) / max(1, done - last[0]),
        "front": front,
        "front_s": reading,
        "reload_s": reloaded,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--optuna", type=int, nargs="*", default=[100, 1000], help="numbers of trials")
    parser.add_argument("--strategies", nargs="+", default=["random", "evolution"])
    parser.add_argument("--samplers", nargs="+", default=["random", "nsga2"])
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--objectives", type=int, choices=(2, 3), default=3)
    parser.add_argument("--most-minutes", type=float, default=5.0, help="for each of Optuna's counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    ours, theirs = [], []
    for strategy in options.strategies:
        for trials in options.candidates:
            ours.append(engine(trials, strategy, options.batch, options.objectives))
            print(f"{strategy} {trials}", file=sys.stderr)
    for sampler in options.samplers:
        for trials in options.optuna:
            most = 60 * options.most_minutes
            theirs.append(optuna_study(trials, sampler, options.batch, options.objectives, most))
            print(f"optuna {sampler} {trials}", file=sys.stderr)
    if options.json:
        print(json.dumps({"engine": ours, "optuna": theirs}))
        return
    print(
        "| strategy | candidates | ms each (CPU) | wall | last tenth (CPU) | ask | judge | store | tell "
        "| front | front size | read back, s | store, MB |\n|---|" + "--:|" * 12
    )
    for row in ours:
        parts = row["parts_cpu_ms"]
        cells = " | ".join(f"{parts.get(name, 0):.3f}" for name in ("ask", "judge", "store", "tell", "front"))
        print(
            f"| {row['strategy']} | {row['candidates']} | {row['cpu_ms']:.2f} | {row['wall_ms']:.2f} "
            f"| {row['last_tenth_cpu_ms']:.2f} | {cells} | {row['front']} | {row['reload_s']:.1f} "
            f"| {row['store_mb']:.0f} |"
        )
    if theirs:
        print(
            "\n| Optuna sampler | trials done of asked | ms each (CPU) | wall | last tenth (CPU) | front, s "
            "| read back, s |\n|---|" + "--:|" * 6
        )
    for row in theirs:
        print(
            f"| {row['sampler']} | {row['candidates']} of {row['asked']} | {row['cpu_ms']:.2f} "
            f"| {row['wall_ms']:.2f} | {row['last_tenth_cpu_ms']:.2f} | {row['front_s']:.1f} "
            f"| {row['reload_s']:.1f} |"
        )


if __name__ == "__main__":
    main()
