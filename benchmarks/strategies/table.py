"""The table of ``run.py``'s results as Markdown, to standard output.

``python benchmarks/strategies/table.py RESULTS.jsonl [RESULTS.jsonl ...] [--at EPOCHS]``

``--at`` shows all runs as they stood when they had spent so many epochs (after the last whole batch).

Hypervolumes are means over seeds with 90 % intervals of the mean by Student's t; the reference is the
point 1 in every loss, so all runs of a task share it. A strategy is marked + where its interval lies
above random's, * where it overlaps the highest mean's.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASELINE = "random"
COVERAGE = 0.9
#: What an epoch of a supernet costs in processor time, in epochs of an average candidate (see README.md).
SUPERNET_EPOCH = 20
CHARGED = "differentiable, by processor time"


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds and the half width of its interval."""

    value: float
    half: float
    count: int

    @property
    def low(self) -> float:
        return self.value - self.half

    @property
    def high(self) -> float:
        return self.value + self.half


def mean_of(values: Sequence[float]) -> Mean:
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return Mean(values[0], math.inf, count)
    half = float(t.ppf((1 + COVERAGE) / 2, count - 1)) * statistics.stdev(values) / math.sqrt(count)
    return Mean(statistics.fmean(values), half, count)


def volume_at(run: dict[str, Any], epochs: float) -> float:
    """Hypervolume when so many epochs were spent, after the last whole batch."""
    return max((volume for spent, _, volume in run["trace"] if spent <= epochs), default=0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--at", type=int, help="training epochs, instead of each run's whole budget")
    options = parser.parse_args()
    runs = [json.loads(line) for path in options.results for line in path.read_text().splitlines()]
    for run in runs:
        changed = [f"{name} {value}".replace("_", " ") for name, value in run["settings"].items()]
        run["strategy"] = ", ".join([run["strategy"], *changed])
    if options.at:
        runs = [run for run in runs if run["epochs"] >= options.at]
        for run in runs:
            run["hypervolume"], run["epochs"] = volume_at(run, options.at), options.at
    for epochs in sorted({run["epochs"] for run in runs}):
        print(f"\n{epochs} training epochs a run\n")
        print(table([run for run in runs if run["epochs"] == epochs]))
    return 0


def table(runs: Sequence[dict[str, Any]]) -> str:
    tasks = list(dict.fromkeys(run["task"] for run in runs))
    strategies = list(dict.fromkeys(run["strategy"] for run in runs))
    volumes: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        volumes.setdefault((run["task"], run["strategy"]), []).append(run["hypervolume"])
        if run["strategy"] == "differentiable":
            extra = (SUPERNET_EPOCH - 1) * run["own_epochs"]
            if run["epochs"] <= extra:
                continue
            volumes.setdefault((run["task"], CHARGED), []).append(volume_at(run, run["epochs"] - extra))
    if any(strategy == CHARGED for _, strategy in volumes):
        strategies.insert(strategies.index("differentiable") + 1, CHARGED)
    means = {place: mean_of(values) for place, values in volumes.items()}
    best = {task: _best([mean for (t, _), mean in means.items() if t == task]) for task in tasks}
    lines = [
        f"| strategy | {' | '.join(tasks)} | seeds | candidates a run | proposing, ms a candidate |",
        "|---|" + "---|" * (len(tasks) + 3),
    ]
    ordered = sorted(
        strategies, key=lambda s: -statistics.fmean([means[t, s].value for t in tasks if (t, s) in means])
    )
    for strategy in ordered:
        own = [run for run in runs if run["strategy"] == strategy]
        cells = [_cell(means, task, strategy, best[task]) for task in tasks]
        seeds = [means[task, strategy].count for task in tasks if (task, strategy) in means]
        judged = f"{statistics.fmean([run['judged'] for run in own]):.0f}" if own else ""
        cost = [1000 * run["proposing_s"] / max(run["judged"], 1) for run in own]
        spent = f"{statistics.median(cost):.1f}" if cost else ""
        count = f"{min(seeds)}" if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"
        lines.append(f"| {strategy} | {' | '.join(cells)} | {count} | {judged} | {spent} |")
    return "\n".join(lines)


def _best(means: Sequence[Mean]) -> Mean:
    """The highest mean; one run alone has no interval and is the best of nothing."""
    several = [mean for mean in means if mean.count > 1]
    return max(several or means, key=lambda mean: mean.value)


def _cell(means: dict[tuple[str, str], Mean], task: str, strategy: str, best: Mean) -> str:
    mean = means.get((task, strategy))
    if mean is None:
        return "not run"
    base = means.get((task, BASELINE))
    marks = " +" if base is not None and mean.low > base.high else ""
    marks += " *" if mean.high >= best.low else ""
    half = "" if math.isinf(mean.half) else f" ± {mean.half:.4f}"
    return f"{mean.value:.4f}{half}{marks}"


if __name__ == "__main__":
    sys.exit(main())
