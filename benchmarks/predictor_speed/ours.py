"""Designs a second of the hardware model, batched and one at a time.

The networks are those of a search's random phase (space `mlp` on 16 inputs and 10 classes). What is timed,
each from where it starts to numbers with intervals:

- ``laws``: the laws on a finished table, no intervals,
- ``points``: from a finished table to numbers without intervals,
- ``candidates``: from candidates through architectures and queries to arrays with intervals,
- ``table``, ``arrays``, ``estimates``: from queries in memory to their table, to arrays, to whole
  ``Prediction`` objects with their texts,
- ``estimator``: from candidates to the estimates that a search stores,
- ``single``: one query at a time.

    python benchmarks/predictor_speed/ours.py --designs 100 2000 20000 --json ours.json

``rule4ml_speed.py`` gives rule4ml the same networks in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls.hls4ml.query import Query, query_of
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.resolution import resolve
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.values.candidate import Candidate
from hwnas_hls_plugins.estimators.hls_model.batch import predict_batch, predict_table
from hwnas_hls_plugins.estimators.hls_model.calibration import read_calibration
from hwnas_hls_plugins.estimators.hls_model.estimator import HlsModelEstimator
from hwnas_hls_plugins.estimators.hls_model.predictor import predict
from hwnas_hls_plugins.estimators.hls_model.regimes import costs_of, regime_codes
from hwnas_hls_plugins.estimators.hls_model.table import tabulate

TABLES = {"target": {"name": "xcvu9p"}, "task": {"name": "digits16"}, "space": {"name": "mlp"}}
NAMES = ("laws", "points", "candidates", "table", "arrays", "estimates", "estimator", "single")


def problem_of() -> Problem:
    return resolve(spec_from_tables(TABLES, "benchmark"), Registry())


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
    calibration = read_calibration()
    table = tabulate(queries)
    estimator = HlsModelEstimator()
    context = Context(
        problem.architecture, problem.dataset, problem.target, problem.clock_ns, 0, space=problem.space
    )
    few = queries[: min(50, designs)]
    return {
        "laws": (lambda: costs_of(table, calibration, regime_codes(table)), designs),
        "points": (lambda: predict_table(table, calibration, intervals=False), designs),
        "candidates": (lambda: predict_batch(queries_of(problem, candidates[:2000])), min(2000, designs)),
        "table": (lambda: tabulate(queries), designs),
        "arrays": (lambda: predict_batch(queries, calibration), designs),
        "estimates": (lambda: predict(queries, calibration), designs),
        "estimator": (lambda: estimator.estimate(candidates[:2000], context), min(2000, designs)),
        "single": (lambda: [predict([query], calibration) for query in few], len(few)),
    }


def measure(designs: int, repeats: int, seed: int) -> dict[str, Any]:
    actions = actions_of(designs, seed)
    actions["arrays"][0]()
    found = {name: seconds(action, repeats) / count for name, (action, count) in actions.items()}
    command = [sys.executable, "-m", "hwnas_hls", "predict", "--layers", "16-64-32-32-5", "--json"]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return {
        "designs": designs,
        "us": {name: 1e6 * value for name, value in found.items()},
        "command_line_s": time.perf_counter() - began,
    }


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
    options = parser.parse_args(arguments)
    if options.write_networks:
        options.write_networks.write_text(json.dumps(networks(options.networks, options.seed)))
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
