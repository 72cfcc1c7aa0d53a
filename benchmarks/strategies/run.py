"""Every strategy on three tasks and five seeds under equal budgets of training epochs.

``OMP_NUM_THREADS=1 python benchmarks/strategies/run.py --results RESULTS.jsonl [--epochs 3000]
[--tasks ...] [--strategies ...] [--seeds ...]``

Appends a line a run; runs that the file holds already are not repeated, so an interrupted benchmark
goes on where it was. ``table.py`` makes the table of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from contest import PLAIN, run

TASKS = ("digits16", "digits", "showers")
STRATEGIES = (
    "random",
    PLAIN,
    "nsga2",
    "evolution",
    "differentiable",
    "nsga3",
    "tpe",
    "reinforce",
    "grid",
    "bayesian",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3000, help="training epochs a run")
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--strategies", nargs="*", default=STRATEGIES)
    parser.add_argument("--seeds", type=int, nargs="*", default=range(1, 6))
    parser.add_argument("--settings", default="{}", help="of the strategies, as JSON (for experiments)")
    options = parser.parse_args()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    settings = json.loads(options.settings)
    done = set()
    if options.results.exists():
        for line in options.results.read_text().splitlines():
            held = json.loads(line)
            done.add(key_of(held["task"], held["strategy"], held["seed"], held["epochs"], held["settings"]))
    # Seeds outermost: whatever is there after an interruption is a whole comparison.
    for seed in options.seeds:
        for task in options.tasks:
            for strategy in options.strategies:
                if key_of(task, strategy, seed, options.epochs, settings) in done:
                    continue
                began = time.perf_counter()
                result = run(
                    task,
                    strategy,
                    seed,
                    options.epochs,
                    options.results.parent,
                    settings,
                )
                with options.results.open("a") as file:
                    file.write(json.dumps(result.to_json()) + "\n")
                print(
                    f"{task} {strategy} seed {seed}: {result.hypervolume:.4f} "
                    f"{result.judged} judged {result.states} "
                    f"proposing {result.proposing_s:.0f} s of {time.perf_counter() - began:.0f} s",
                    flush=True,
                )
    return 0


def key_of(*parts: object) -> str:
    return json.dumps(parts, sort_keys=True)


if __name__ == "__main__":
    sys.exit(main())
