"""How much the search flatters what it chooses: its score minus the test score of the designs.

Of the same searches it chooses and trains the designs in three ways: by the search's own validation scores
(``plain``), by cross-fitting (``folds``), and by cross-fitting with single weights refined (``refine``)::

    python benchmarks/choice/optimism.py OUTPUT [--task digits16] [--seeds 3] [--trials 300]

Prints one row a seed and a way: designs, mean of (search accuracy - test accuracy), mean of (accuracy that
chose them - test accuracy), the hypervolume of the designs on the test rows, and the fewest LUTs at which
88, 92 and 95 % are reached there. Nothing is synthesised: LUTs are those of ``da-cost`` throughout.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.choice import chosen
from hwnas_hls.run.export import export_designs
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.values.front import hypervolume, non_dominated

#: Way of choosing -> keys of ``[export]``.
WAYS: dict[str, dict[str, Any]] = {
    "plain": {"folds": 0, "refine": False},
    "folds": {"folds": 4, "refine": False},
    "refine": {"folds": 4, "refine": True},
}


def spec_of(task: str, label: str, seed: int, trials: int, way: str, objectives: Sequence[str]) -> Any:
    return spec_from_tables(
        {
            "target": {"name": "xcvu9p"},
            "task": {"name": task, **({"label": label} if label else {})},
            "run": {"seed": seed, "trials": trials, "exporters": []},
            "objectives": {"metrics": list(objectives)},
            "space": {"strategies": ["distributed_arithmetic"]},
            "synthesis": {"synthesizer": "none"},
            "export": {**WAYS[way], "csim": False},
        },
        "benchmark",
    )


def measured(
    folder: Path, task: str, label: str, seed: int, trials: int, way: str, objectives: Sequence[str]
) -> dict[str, Any]:
    """One search (from the store where it was done before), then a choice and its full training."""
    problem = resolve(spec_of(task, label, seed, trials, way, objectives), Registry())
    metric = problem.dataset.metric
    folder.mkdir(parents=True, exist_ok=True)
    with Store(folder) as store:
        search = Search.resume(problem, store)
        search.run()
        choice = chosen(problem, search.judge, store, search.front.records, search.population())
        done = export_designs(
            problem,
            search.judge,
            choice.records,
            folder / way,
            scores=choice.scores,
            prices=choice.prices,
            every=True,
        )
        search.close()
    rows = []
    for member in done.members:
        score = choice.scores.get(member.key, member.record.estimates[metric])
        rows.append(
            {
                "search": member.record.estimates[metric].value,
                "choice": score.value,
                "test": member.estimates[metric].value,
                "lut": member.estimates["lut"].value,
            }
        )
    return {"seed": seed, "way": way, "designs": rows}


def summary(found: dict[str, Any]) -> str:
    rows = found["designs"]
    flattered = np.mean([row["search"] - row["test"] for row in rows])
    chosen_by = np.mean([row["choice"] - row["test"] for row in rows])
    # Error in its logarithm against LUT in its logarithm, each between sensible ends: larger is better.
    losses = np.array(
        [
            [np.log(max(1 - row["test"], 1e-3) / 1e-2) / np.log(50), np.log(row["lut"] / 100) / np.log(1000)]
            for row in rows
        ]
    )
    losses = np.clip(losses, 0, 1)
    volume = hypervolume(losses[non_dominated(losses)], [1.0, 1.0])
    marks = [
        min((row["lut"] for row in rows if row["test"] >= mark), default=float("nan"))
        for mark in (0.88, 0.92, 0.95)
    ]
    return (
        f"{found['seed']:>4} {found['way']:<7}{len(rows):>7} {100 * flattered:>15.2f} "
        f"{100 * chosen_by:>15.2f} "
        f"{volume:>12.4f}  " + " ".join(f"{lut:>7.0f}" for lut in marks)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--task", default="digits16")
    parser.add_argument("--label", default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--objectives", nargs="+", default=["accuracy", "lut"])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    arguments = parser.parse_args()
    print(
        "seed way    designs search - test % choice - test %  hypervolume  LUT at 88 %, 92 %, 95 %",
        flush=True,
    )
    results = []
    for seed in range(1, arguments.seeds + 1):
        for way in arguments.ways:
            place = arguments.output / f"seed{seed}"
            found = measured(
                place, arguments.task, arguments.label, seed, arguments.trials, way, arguments.objectives
            )
            results.append(found)
            print(summary(found), flush=True)
    (arguments.output / "optimism.json").write_text(json.dumps(results, indent=1))
    sys.exit(0)


if __name__ == "__main__":
    main()
