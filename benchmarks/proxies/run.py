"""Kendall's tau of every cheap estimator of accuracy against full training.

    python benchmarks/proxies/run.py --folder DIR            # measures what DIR does not hold yet
    python benchmarks/proxies/run.py --folder DIR --tasks digits16 --networks 120

The truth is the mean validation score of three full trainings (100 epochs, seeds 2 to 4); the row
``full training again`` (seed 1) says how well a training agrees with it, which bounds what any
estimator can reach. ``top half`` ranks only the half of the networks that the truth says is better.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tasks import TASKS, load, networks

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.run.rank_correlation import tau
from hwnas_hls.testing import sample_context
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls.values.record import Record, RecordState

TRUTH_SEEDS = (2, 3, 4)
#: (epochs, of a schedule of)
CONTINUED = ((4, 30), (8, 30), (15, 30), (1, 100), (2, 100), (4, 100), (8, 100), (16, 100), (30, 100))
ANNEALED = (2, 4, 8, 16, 30)
SCORES = ("synflow", "snip", "grad_norm", "jacob_cov", "ntk_condition", "linear_regions")
FOLDS = 6


class Bench:
    """One task: its networks, and every estimator's numbers of them, kept in a folder.

    Args:
        name: of the task.
        folder: holds ``NAME/ESTIMATOR.json``.
        count: networks.
    """

    def __init__(self, name: str, folder: Path, count: int) -> None:
        self.name, self.folder = name, folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.dataset: Dataset = load(name, folder)
        self.space: Space
        self.candidates: list[Candidate]
        self.space, self.candidates = networks(self.dataset, count)

    def context(self, seed: int) -> Context:
        return replace(sample_context(self.space, self.dataset, seed), space=self.space)

    def ask(self, estimator: str, table: dict[str, Any], seed: int, metrics: Sequence[str]) -> dict[str, Any]:
        """An estimator's numbers of all networks, and its seconds of processor time a network."""
        registry = Registry()
        offer = registry.offer("estimator", estimator, "benchmark")
        built = registry.build(offer, table, "benchmark", task=self.dataset, space=self.space)
        began = time.process_time()
        found: list[Estimates] = built.estimate(self.candidates, self.context(seed))
        seconds = (time.process_time() - began) / len(self.candidates)
        numbers = {name: [item.values[name].value for item in found] for name in metrics}
        return {"seconds": seconds, "numbers": numbers}

    def measured(self, label: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``make`` finds, made once; ``label`` names it in the folder."""
        path = self.folder / f"{label}.json"
        if path.is_file():
            held: dict[str, Any] = json.loads(path.read_text())
            if len(next(iter(held["numbers"].values()))) == len(self.candidates):
                return held
        print(f"{self.name}: {label}", flush=True)
        made = make()
        path.write_text(json.dumps(made))
        return made

    def rows(self) -> list[dict[str, Any]]:
        """Every estimator: its label, numbers, whether larger is better, and seconds a network."""
        metric = self.dataset.metric
        rows: list[dict[str, Any]] = []

        def add(label: str, held: dict[str, Any], name: str, seconds: float, sign: float = 1.0) -> None:
            rows.append(
                {"label": label, "scores": sign * np.array(held["numbers"][name]), "seconds": seconds}
            )

        again = self.full(1)
        add("full training again", again, metric, again["seconds"])
        for epochs in ANNEALED:
            table = {"epochs": epochs, "rungs": []}
            held = self.measured(f"training-{epochs}", lambda t=table: self.ask("training", t, 1, [metric]))
            add(f"training of {epochs} epochs", held, metric, held["seconds"])
        for epochs, whole in CONTINUED:
            table = {"epochs": epochs, "schedule_epochs": whole}
            held = self.measured(
                f"partial-{epochs}-{whole}", lambda t=table: self.ask("partial-training", t, 1, [metric])
            )
            add(f"partial training, {epochs} of {whole} epochs", held, metric, held["seconds"])
        shared = f"supernet_{metric}"
        held = self.measured("weight-sharing", lambda: self.ask("weight-sharing", {}, 1, [shared]))
        add("weight sharing", held, shared, held["seconds"])
        every = {"scores": list(SCORES)}
        scored = self.measured("zero-cost", lambda: self.ask("zero-cost", every, 1, SCORES))
        for name in SCORES:
            sign = -1.0 if name == "ntk_condition" else 1.0
            add(name, scored, name, scored["seconds"] / len(SCORES), sign)
        counted = self.measured("static", lambda: self.ask("static", {}, 1, ["parameters", "bit_operations"]))
        for name in ("parameters", "bit_operations"):
            add(name, counted, name, counted["seconds"])
        extras = {name: scored["numbers"][name] for name in SCORES}
        for label, known in (
            ("", {}),
            (" and zero-cost", extras),
            (" and weight sharing", {shared: held["numbers"][shared]}),
        ):
            made = self.measured(
                f"predictor{label.replace(' ', '-')}", lambda known=known: self.predicted(known)
            )
            add(f"performance predictor{label}", made, f"predicted_{metric}", made["seconds"])
            rows[-1]["covered"] = made["covered"]
        return rows

    def full(self, seed: int) -> dict[str, Any]:
        metric = self.dataset.metric
        return self.measured(f"full-{seed}", lambda: self.ask("full-training", {}, seed, [metric]))

    def truth(self) -> NDArray[np.float64]:
        metric = self.dataset.metric
        return np.mean([self.full(seed)["numbers"][metric] for seed in TRUTH_SEEDS], axis=0)

    def predicted(self, known: dict[str, list[float]]) -> dict[str, Any]:
        """The performance predictor's forecast of each network by the others' training of 30 epochs."""
        metric = self.dataset.metric
        taught = self.measured("training-30", dict)["numbers"][metric]
        registry = Registry()
        offer = registry.offer("estimator", "performance-predictor", "benchmark")
        order = np.random.default_rng(0).permutation(len(self.candidates))
        values = np.zeros(len(order))
        covered = 0
        began = time.process_time()
        for fold in range(FOLDS):
            held_out = order[fold::FOLDS]
            records = [
                self._record(int(place), metric, taught[place], known)
                for place in sorted(set(order.tolist()) - set(held_out.tolist()))
            ]
            table = {"features": list(known)}
            built = registry.build(offer, table, "benchmark", task=self.dataset, space=self.space)
            context = replace(
                self.context(1),
                records=records,
                known={
                    self.candidates[place].key: {name: _exact(name, known[name][place]) for name in known}
                    for place in held_out
                },
            )
            found = built.estimate([self.candidates[place] for place in held_out], context)
            for place, item in zip(held_out, found, strict=True):
                estimate = item.values[f"predicted_{metric}"]
                values[place] = estimate.value
                covered += estimate.low <= taught[place] <= estimate.high
        seconds = (time.process_time() - began) / len(order)
        numbers = {f"predicted_{metric}": values.tolist()}
        return {"seconds": seconds, "numbers": numbers, "covered": covered / len(order)}

    def _record(self, place: int, metric: str, value: float, known: dict[str, list[float]]) -> Record:
        estimates = {name: _exact(name, known[name][place]) for name in known}
        estimates[metric] = Estimate(metric, value, value, value, "emulated", "benchmark")
        return Record(place, 0, self.candidates[place], RecordState.COMPLETE, estimates, (0.0,))


def _exact(name: str, value: float) -> Estimate:
    return Estimate(name, value, value, value, "predicted", "benchmark")


def table(benches: Sequence[Bench]) -> str:
    """Markdown: one row an estimator, tau over all networks and over the top half for each task."""
    cells: dict[str, list[str]] = {}
    seconds: dict[str, list[float]] = {}
    covered: dict[str, list[str]] = {}
    for bench in benches:
        truth = bench.truth()
        top = truth >= np.median(truth)
        for row in bench.rows():
            label = row["label"]
            whole, half = tau(row["scores"], truth), tau(row["scores"][top], truth[top])
            cells.setdefault(label, []).extend([str(whole), str(half)])
            seconds.setdefault(label, []).append(row["seconds"])
            if "covered" in row:
                covered.setdefault(label, []).append(f"{row['covered']:.0%}")
    names = [f"{bench.name}, {part}" for bench in benches for part in ("all", "top half")]
    lines = [f"| estimator | {' | '.join(names)} | s a network |", f"|---|{'---|' * (len(names) + 1)}"]
    for label, each in cells.items():
        spent = seconds[label]
        lines.append(f"| {label} | {' | '.join(each)} | {min(spent):.2g} to {max(spent):.2g} |")
    lines += ["", "Held-out networks inside the predictor's interval of 90 %, task by task:", ""]
    lines += [f"- {label}: {', '.join(shares)}" for label, shares in covered.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--networks", type=int, default=120)
    arguments = parser.parse_args()
    benches = [Bench(name, arguments.folder, arguments.networks) for name in arguments.tasks]
    text = table(benches)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "numpy", "scikit-learn"))
    print(f"\n{datetime.date.today()}, Python {platform.python_version()}, {versions}\n\n{text}")


if __name__ == "__main__":
    main()
