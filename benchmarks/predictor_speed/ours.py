"""Designs a second of the hardware model, batched and one at a time.

The networks are those of a search's random phase (space `mlp` on 16 inputs and 5 classes). Times count
from the architectures in memory to numbers with intervals; ``columns`` is the part that is vectorised
(the laws on a finished table), ``arrays`` what the search's batches are made of, ``estimates`` whole
``Prediction`` objects with their texts.

    python benchmarks/predictor_speed/ours.py --designs 2000 --json ours.json

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

from hwnas_hls.plugins import Registry
from hwnas_hls.problem import pose
from hwnas_hls.spec import spec_from_tables
from hwnas_hls_plugins.hls_model.calibration import read_calibration
from hwnas_hls_plugins.hls_model.laws import evaluate
from hwnas_hls_plugins.hls_model.prediction import predict, predict_batch
from hwnas_hls_plugins.hls_model.query import Query, query_of
from hwnas_hls_plugins.hls_model.table import tabulate


def queries_of(count: int, seed: int) -> list[Query]:
    tables = {"target": {"name": "xcvu9p"}, "task": {"name": "digits16"}, "space": {"name": "mlp"}}
    problem = pose(spec_from_tables(tables, "benchmark"), Registry())
    rng = np.random.default_rng(seed)
    return [
        query_of(problem.architecture(problem.space.sample(rng)), problem.target.part, problem.clock_ns)
        for _ in range(count)
    ]


def seconds(action: Callable[[], object], repeats: int) -> float:
    """Median of the processor time."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        action()
        found.append(time.process_time() - began)
    return statistics.median(found)


def measure(designs: int, repeats: int, seed: int) -> dict[str, Any]:
    queries = queries_of(designs, seed)
    calibration = read_calibration()
    table = tabulate(queries)
    predict_batch(queries[:10], calibration)
    single = queries[: min(50, designs)]
    times = {
        "columns": seconds(lambda: evaluate(table, calibration.coefficients), repeats) / designs,
        "table": seconds(lambda: tabulate(queries), repeats) / designs,
        "arrays": seconds(lambda: predict_batch(queries, calibration), repeats) / designs,
        "estimates": seconds(lambda: predict(queries, calibration), repeats) / designs,
        "single": seconds(lambda: [predict([query], calibration) for query in single], repeats) / len(single),
    }
    command = [sys.executable, "-m", "hwnas_hls", "predict", "--layers", "16-64-32-32-5", "--json"]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return {
        "designs": designs,
        "layers": len(table.owner) / designs,
        "us": {name: 1e6 * value for name, value in times.items()},
        "command_line_s": time.perf_counter() - began,
    }


def networks(count: int, seed: int) -> list[dict[str, Any]]:
    """The same networks as rule4ml can take them: widths, activations, one precision, one reuse factor."""
    found = []
    for query in queries_of(count, seed):
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
    print(
        "| designs at once | laws alone | table | arrays with intervals | predictions with texts "
        "| one at a time | command line, s |\n|--:|" + "--:|" * 6
    )
    for row in rows:
        us = row["us"]
        cells = " | ".join(
            f"{us[name]:.1f}" for name in ("columns", "table", "arrays", "estimates", "single")
        )
        print(f"| {row['designs']} | {cells} | {row['command_line_s']:.2f} |")


if __name__ == "__main__":
    main()
