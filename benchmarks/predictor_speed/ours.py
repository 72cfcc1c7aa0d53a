"""Designs a second of the hardware model, batched and one at a time.

The networks are those of a search's random phase (space `mlp` on 16 inputs and 10 classes). What is timed,
each from where it starts to numbers with intervals:

- ``laws``: the laws on a finished table, no intervals,
- ``columns``: from the space's columns of layers; ``points`` the same without intervals,
- ``candidates``: from candidates through those columns,
- ``objects``: from candidates through architectures and queries, as spaces without columns go,
- ``table``, ``arrays``, ``estimates``: from queries in memory to their table, to arrays, to whole
  ``Prediction`` objects with their texts,
- ``estimator``: from candidates to the estimates that a search stores,
- ``single``: one query at a time.

    python benchmarks/predictor_speed/ours.py --designs 100 2000 20000 --json ours.json
    python benchmarks/predictor_speed/ours.py --designs 20000 --processes 2

With ``--processes`` each process does all designs at the same time as the others, and what is printed is
designs a second of all together, by the clock on the wall.

``rule4ml_speed.py`` gives rule4ml the same networks in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls.hls4ml.query import DEFAULT_TOOL, Query, query_of
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.protocols.layer_columns import Columnar
from hwnas_hls.run.problem import Problem, pose
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.values.candidate import Candidate
from hwnas_hls_plugins.estimators.hls_model.batch import predict_batch, predict_table
from hwnas_hls_plugins.estimators.hls_model.calibration import read_calibration
from hwnas_hls_plugins.estimators.hls_model.columns import table_of_columns
from hwnas_hls_plugins.estimators.hls_model.conditions import Conditions
from hwnas_hls_plugins.estimators.hls_model.estimator import HlsModelEstimator
from hwnas_hls_plugins.estimators.hls_model.laws import evaluate
from hwnas_hls_plugins.estimators.hls_model.predictor import predict
from hwnas_hls_plugins.estimators.hls_model.table import tabulate

TABLES = {"target": {"name": "xcvu9p"}, "task": {"name": "digits16"}, "space": {"name": "mlp"}}
NAMES = (
    "laws",
    "columns",
    "points",
    "candidates",
    "objects",
    "table",
    "arrays",
    "estimates",
    "estimator",
    "single",
)


def problem_of() -> Problem:
    return pose(spec_from_tables(TABLES, "benchmark"), Registry())


def queries_of(problem: Problem, candidates: Sequence[Candidate]) -> list[Query]:
    return [
        query_of(problem.architecture(candidate), problem.target.part, problem.clock_ns)
        for candidate in candidates
    ]


def seconds(action: Callable[[], object], repeats: int) -> float:
    """Median of the processor time."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        action()
        found.append(time.process_time() - began)
    return statistics.median(found)


def actions_of(designs: int, seed: int) -> dict[str, tuple[Callable[[], object], int]]:
    """Name -> what is timed, and how many designs it does."""
    problem = problem_of()
    rng = np.random.default_rng(seed)
    candidates = [problem.space.sample(rng) for _ in range(designs)]
    queries = queries_of(problem, candidates)
    space = problem.space
    if not isinstance(space, Columnar):
        raise SystemExit("the space gives no columns")
    calibration = read_calibration()
    conditions = Conditions(problem.target.part, problem.clock_ns, DEFAULT_TOOL, "csynth")
    columns = space.layer_columns(candidates)
    if columns is None:
        raise SystemExit("the space gives no columns of these candidates")
    table = tabulate(queries)
    estimator = HlsModelEstimator()
    context = Context(problem.architecture, problem.dataset, problem.target, problem.clock_ns, 0, space=space)
    few = queries[: min(50, designs)]

    def from_candidates() -> object:
        found = space.layer_columns(candidates)
        return predict_table(table_of_columns(found, conditions), calibration) if found else None

    return {
        "laws": (lambda: evaluate(table, calibration.coefficients), designs),
        "columns": (lambda: predict_table(table_of_columns(columns, conditions), calibration), designs),
        "points": (
            lambda: predict_table(table_of_columns(columns, conditions), calibration, intervals=False),
            designs,
        ),
        "candidates": (from_candidates, designs),
        "objects": (lambda: predict_batch(queries_of(problem, candidates[:2000])), min(2000, designs)),
        "table": (lambda: tabulate(queries), designs),
        "arrays": (lambda: predict_batch(queries, calibration), designs),
        "estimates": (lambda: predict(queries, calibration), designs),
        "estimator": (lambda: estimator.estimate(candidates[:2000], context), min(2000, designs)),
        "single": (lambda: [predict([query], calibration) for query in few], len(few)),
    }


def measure(designs: int, repeats: int, seed: int) -> dict[str, Any]:
    actions = actions_of(designs, seed)
    actions["columns"][0]()
    found = {name: seconds(action, repeats) / count for name, (action, count) in actions.items()}
    command = [sys.executable, "-m", "hwnas_hls", "predict", "--layers", "16-64-32-32-5", "--json"]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return {
        "designs": designs,
        "us": {name: 1e6 * value for name, value in found.items()},
        "command_line_s": time.perf_counter() - began,
    }


def _rates(
    designs: int, seed: int, repeats: int, gate: threading.Barrier, answers: multiprocessing.Queue[Any]
) -> None:
    actions = {name: actions_of(designs, seed)[name] for name in ("columns", "points", "candidates")}
    for name, (action, count) in actions.items():
        action()
        for _ in range(repeats):
            gate.wait()
            began = time.perf_counter()
            action()
            answers.put((name, count / (time.perf_counter() - began)))


def together(designs: int, seed: int, repeats: int, processes: int) -> dict[str, float]:
    """Designs a second of all processes together, medians."""
    spawn = multiprocessing.get_context("spawn")
    gate, answers = spawn.Barrier(processes), spawn.Queue()
    workers = [
        spawn.Process(target=_rates, args=(designs, seed + place, repeats, gate, answers))
        for place in range(processes)
    ]
    for worker in workers:
        worker.start()
    rates: dict[str, list[float]] = {}
    for _ in range(3 * repeats * processes):
        name, rate = answers.get()
        rates.setdefault(name, []).append(rate)
    for worker in workers:
        worker.join()
    return {name: processes * statistics.median(found) for name, found in rates.items()}


def networks(count: int, seed: int) -> list[dict[str, Any]]:
    """The same networks as rule4ml can take them: widths, activations, one precision, one reuse factor."""
    found = []
    problem = problem_of()
    rng = np.random.default_rng(seed)
    for query in queries_of(problem, [problem.space.sample(rng) for _ in range(count)]):
        weight = query.layers[0].weight
        found.append(
            {
                "widths": [query.layers[0].n_in, *(layer.n_out for layer in query.layers)],
                "activations": [layer.activation for layer in query.layers],
                "precision": f"ap_fixed<{weight.width},{weight.integer}>",
                "reuse_factor": max(layer.reuse_factor for layer in query.layers),
                "strategy": query.layers[0].strategy,
            }
        )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--designs", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", type=int, default=20, help="how many for rule4ml")
    parser.add_argument("--write-networks", type=Path, help="file for rule4ml_speed.py")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--processes", type=int, default=0, help="so many at the same time")
    options = parser.parse_args(arguments)
    if options.write_networks:
        options.write_networks.write_text(json.dumps(networks(options.networks, options.seed)))
    if options.processes:
        for designs in options.designs:
            for name, rate in together(designs, options.seed, options.repeats, options.processes).items():
                print(f"| {name} | {designs} | {options.processes} | {rate:,.0f} |")
        return
    rows = [measure(designs, options.repeats, options.seed) for designs in options.designs]
    if options.json:
        options.json.write_text(json.dumps(rows))
    print("| from | " + " | ".join(f"{row['designs']:,} at once" for row in rows) + " |")
    print("|---|" + "--:|" * len(rows))
    for name in NAMES:
        print(f"| {name} | " + " | ".join(f"{row['us'][name]:,.1f}" for row in rows) + " |")
    print("| command line, s | " + " | ".join(f"{row['command_line_s']:.2f}" for row in rows) + " |")


if __name__ == "__main__":
    main()
