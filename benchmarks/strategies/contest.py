"""One run of one strategy on one task, counted in epochs of training and scored by hypervolume."""

from __future__ import annotations

import csv
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from plain_optuna import PlainNsga2

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.values.front import hypervolume, non_dominated
from hwnas_hls.values.record import Record, RecordState

#: Candidates a batch: a run of this benchmark is shorter than a default one, and has as many batches.
BATCH = 25
#: Without any trained candidate a strategy has so many batches before it counts as stuck.
IDLE_BATCHES = 40

PLAIN = "optuna-nsga2"
#: Grid search cannot walk the whole space; this is a coarse one inside it.
COARSE_SPACE = {
    "max_depth": 2,
    "widths": [8, 16, 32],
    "use_bias": [True],
    "normalisations": ["none", "batch"],
    "input_bits": [6],
    "input_integer_bits": [3],
    "weight_bits": [4, 6],
    "weight_integer_bits": [1],
    "activation_bits": [4, 6],
    "activation_integer_bits": [1],
    "strategies": ["Latency"],
    "sparsities": [0.0, 0.5],
}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one run.

    Args:
        task, strategy, seed, epochs: what was run, and its budget of training epochs.
        hypervolume: below 1 in every loss, when the budget was spent.
        own_epochs: of the budget, what the strategy itself trained with (a supernet).
        judged, states: candidates, and how they ended.
        proposing_s, judging_s: wall seconds.
        trace: (epochs spent, candidates judged, hypervolume) after each batch.
        front: the losses of the non-dominated candidates.
        settings: of the strategy, where they are not its defaults.
    """

    task: str
    strategy: str
    seed: int
    epochs: int
    hypervolume: float
    own_epochs: float
    judged: int
    states: Mapping[str, int]
    proposing_s: float
    judging_s: float
    trace: list[tuple[float, int, float]] = field(default_factory=list)
    front: list[tuple[float, ...]] = field(default_factory=list)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run(
    task: str,
    strategy: str,
    seed: int,
    epochs: int,
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    tables: Mapping[str, Any] | None = None,
    counted: Callable[[Record], None] = lambda record: None,
) -> Result:
    """Ask, judge and tell until the budget of training epochs is spent.

    Candidates over a hard limit are never trained and cost nothing; those that early stopping ends
    cost what they were trained; one that was judged before costs nothing. The candidate at which
    the budget ends is the last that counts.

    Args:
        folder: where tables that tasks read are written.
        settings: of the strategy.
        tables: of the spec, in place of those that :func:`posed` fills.
        counted: receives every record that counts.
    """
    problem = posed(task, strategy, seed, folder, settings or {}, tables)
    searcher: Strategy = (
        PlainNsga2(problem.space, problem.goal, seed) if strategy == PLAIN else problem.make_strategy()
    )
    full = next(part.config["epochs"] for part in problem.estimators if part.name == "training")
    states: dict[str, int] = {}
    trace: list[tuple[float, int, float]] = []
    losses: list[tuple[float, ...]] = []
    seen: set[str] = set()
    spent, judged, idle = 0.0, 0, 0
    proposing = judging = 0.0
    with tempfile.TemporaryDirectory() as place:
        store = Store(Path(place))
        judge = Judge(problem, store)
        batch = 0
        while spent < epochs and idle < IDLE_BATCHES:
            before = _own_epochs(searcher)
            (asked, seconds) = _timed(lambda: searcher.ask(BATCH))
            proposing += seconds
            spent += _own_epochs(searcher) - before
            if not asked:
                break
            records, seconds = _timed(lambda: judge.records(asked, batch, judged))  # noqa: B023
            judging += seconds
            judge.take(records)
            _, seconds = _timed(lambda: searcher.tell(records))  # noqa: B023
            proposing += seconds
            cost = 0.0
            for record in records:
                if spent + cost >= epochs:
                    break
                cost += 0.0 if record.key in seen else trained_share(record) * full
                seen.add(record.key)
                states[record.state] = states.get(record.state, 0) + 1
                judged += 1
                counted(record)
                if record.state == RecordState.COMPLETE and record.losses is not None:
                    losses.append(record.losses)
            losses = [losses[index] for index in non_dominated(losses)]
            spent += cost
            idle = 0 if cost else idle + 1
            trace.append((round(spent, 1), judged, volume(losses)))
            batch += 1
        judge.close()
        store.close()
    return Result(
        task,
        strategy,
        seed,
        epochs,
        volume(losses),
        round(_own_epochs(searcher), 1),
        judged,
        states,
        round(proposing, 2),
        round(judging, 2),
        trace,
        losses,
        dict(settings or {}),
    )


def posed(
    task: str,
    strategy: str,
    seed: int,
    folder: Path,
    settings: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> Problem:
    """The problem as ``hwnas-hls run --target xcvu9p`` poses it, with this task, strategy and seed.

    Args:
        more: tables of the spec that take the place of these.
    """
    tables: dict[str, Any] = {
        "target": {"name": "xcvu9p"},
        "task": {"name": task},
        "strategy": {"name": "random" if strategy == PLAIN else strategy, **settings},
        "run": {"seed": seed, "device": "cpu", "batch": BATCH},
    }
    if task == "showers":
        tables["task"] = {"name": "file", "path": str(showers(folder)), "label": "particle"}
    if strategy == "grid":
        tables["space"] = {"name": "mlp", **COARSE_SPACE}
    return resolve(spec_from_tables({**tables, **(more or {})}, "benchmarks/strategies"), Registry())


def showers(folder: Path) -> Path:
    """An invented table in the manner of the MAGIC telescope's: which of three particles made a shower.

    2000 rows of ten features drawn from a fixed seed; the classes overlap, and a linear model gets
    about 88 % of them.
    """
    path = folder / "showers.csv"
    if not path.exists():
        columns, classes = _showers(2000, 0)
        # In one step, since several processes may share the folder.
        with tempfile.NamedTemporaryFile("w", newline="", dir=folder, delete=False) as file:
            writer = csv.writer(file)
            writer.writerow([*columns, "particle"])
            for row in zip(*columns.values(), classes, strict=True):
                writer.writerow([*(f"{float(value):.6g}" for value in row[:-1]), row[-1]])
        Path(file.name).replace(path)
    return path


def _showers(rows: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    rng = np.random.default_rng(seed)
    kind = np.arange(rows) % 3
    names = ("gamma", "hadron", "muon")

    def by_kind(*values: float) -> Any:
        return np.array(values)[kind]

    def noise(spread: Any) -> Any:
        return rng.normal(0.0, spread, rows)

    energy = noise(0.5)
    distance = rng.uniform(0.3, 1.3, rows)
    columns = {
        "length": 0.3
        + by_kind(0.10, 0.22, 0.02) * energy
        + by_kind(0, 0.07, -0.06)
        + 0.05 * distance
        + noise(0.045),
        "width": 0.12 + by_kind(0.02, 0.09, -0.03) * (1 + 0.6 * energy) + noise(0.035),
        "size": 2.5 + energy - 0.4 * distance**2 + noise(0.1),
        "miss": np.abs(noise(by_kind(0.12, 0.6, 0.3) * distance)),
        "asymmetry": by_kind(0.2, 0, 0) * distance + noise(0.15),
        "concentration": 0.4 - 0.08 * energy + by_kind(0, -0.03, 0.05) + noise(0.06),
        "distance": distance,
        "islands": rng.poisson(by_kind(0.2, 0.9, 0.2)),
        "angle": np.where(kind == 0, noise(0.35), rng.uniform(-1.57, 1.57, rows)),
        "spread": np.abs(noise(0.06)) + by_kind(0.07, 0.10, 0.08),
    }
    return columns, [names[place] for place in kind]


def trained_share(record: Record) -> float:
    """Share of a full search training that a record cost."""
    if record.state == RecordState.STOPPED:
        found = re.search(r"after (\d+)% of its training", record.reason)
        if found is None:
            raise ValueError(f"how far was it trained? {record.reason}")
        return int(found[1]) / 100
    if record.state == RecordState.FAILED:
        return 1.0
    return 1.0 if record.state == RecordState.COMPLETE or "accuracy" in record.estimates else 0.0


def volume(losses: list[tuple[float, ...]]) -> float:
    return hypervolume(losses, [1.0] * len(losses[0])) if losses else 0.0


def _own_epochs(strategy: Strategy) -> float:
    return float(getattr(strategy, "training_epochs", 0.0))


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    found = call()
    return found, time.perf_counter() - began
