"""Every space on two tasks under equal budgets of training epochs, with one strategy.

``OMP_NUM_THREADS=1 python benchmarks/spaces/run.py --results RESULTS.jsonl [--epochs 900] [--strategy nsga2]
[--tasks ...] [--spaces ...] [--seeds ...]``, then the same with ``--table`` prints the table of what the
file holds of this strategy and budget.

Appends a line a run; runs that the file holds already are not repeated. All spaces have the same
part, clock, objectives and limits: 5 us of latency, which convolutions of an 8x8 image need. The
costs of graphs are predictions outside the calibrated domain, so hypervolumes across spaces
compare what the search believes; accuracies are those of the integer emulator on validation rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "strategies"))

from contest import run as contest

from hwnas_hls.values.record import Record, RecordState

TASKS = ("digits16", "digits")
SPACES = ("mlp", "cell", "hierarchical", "conv-cell")
LATENCY_NS = 5000


def run(task: str, space: str, strategy: str, seed: int, epochs: int) -> dict[str, Any]:
    """One run of :func:`contest.run` in ``space``, as a line of the results."""
    complete: list[dict[str, float]] = []

    def counted(record: Record) -> None:
        if record.state == RecordState.COMPLETE and record.losses is not None:
            names = ("accuracy", "lut", "latency_ns")
            complete.append({name: record.estimates[name].value for name in names})

    tables = {"space": {"name": space}, "limits": {"max": {"latency_ns": LATENCY_NS}}}
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = contest(task, strategy, seed, epochs, Path(folder), tables=tables, counted=counted)
    return {
        "task": task,
        "space": space,
        "strategy": strategy,
        "seed": seed,
        "epochs": epochs,
        "hypervolume": found.hypervolume,
        "judged": found.judged,
        "complete": complete,
        "cpu_s": round(time.process_time() - began, 1),
    }


def table(results: list[dict[str, Any]]) -> str:
    """The table of all runs, as Markdown: medians over the seeds."""
    lines = [
        "| task | space | seeds | hypervolume | best accuracy | fewest LUT at 90 % | judged | CPU s |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for task in TASKS:
        for space in SPACES:
            held = [one for one in results if (one["task"], one["space"]) == (task, space)]
            if not held:
                continue
            volumes = [one["hypervolume"] for one in held]
            best = [max((c["accuracy"] for c in one["complete"]), default=0.0) for one in held]
            small = [
                min((c["lut"] for c in one["complete"] if c["accuracy"] >= 0.9), default=float("inf"))
                for one in held
            ]
            lines.append(
                f"| {task} | `{space}` | {len(held)} | {statistics.median(volumes):.3f} "
                f"({min(volumes):.3f}-{max(volumes):.3f}) | {statistics.median(best):.1%} | "
                f"{statistics.median(small):,.0f} | {statistics.median(one['judged'] for one in held):.0f} | "
                f"{statistics.median(one['cpu_s'] for one in held):.0f} |"
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=900, help="training epochs a run")
    parser.add_argument("--strategy", default="nsga2")
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--spaces", nargs="*", default=SPACES)
    parser.add_argument("--seeds", type=int, nargs="*", default=(1, 2, 3))
    parser.add_argument("--table", action="store_true", help="print the table and run nothing")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    if options.results.exists():
        results = [json.loads(line) for line in options.results.read_text().splitlines()]
    if options.table:
        asked = (options.strategy, options.epochs)
        print(table([one for one in results if (one["strategy"], one["epochs"]) == asked]))
        return 0
    done = {(one["task"], one["space"], one["strategy"], one["seed"], one["epochs"]) for one in results}
    for seed in options.seeds:
        for task in options.tasks:
            for space in options.spaces:
                if (task, space, options.strategy, seed, options.epochs) in done:
                    continue
                result = run(task, space, options.strategy, seed, options.epochs)
                with options.results.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                print(
                    f"{task} {space} seed {seed}: {result['hypervolume']:.4f} of {result['judged']} "
                    f"in {result['cpu_s']} s of processor time",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
