"""A whole search against Optuna's NSGA-II that trains one model after another: time to a hypervolume.

Both search the same space (`mlp` without what the plain trainer cannot do: batch normalisation folded
into quantised weights, and pruning), are judged by the same hardware model, train for the same number of
epochs with the same batch size and arithmetic, and maximise accuracy against LUTs and latency. One side
is this tool's default strategy with its batched training and early stopping; the other Optuna's
``NSGAIISampler`` with its default settings, each trial a torch model trained to the end (the loop of
``benchmarks/training``). The hypervolume to reach is a share of what this tool has at its end.

    python benchmarks/search/against_optuna.py --task digits16 --trials 300
    python benchmarks/search/against_optuna.py --task magic-like --trials 300

Times are processor seconds of one process with one thread, the time Optuna itself takes included; the
plain side is stopped at ``--most`` times this tool's time, and what it had then is reported.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import hypervolume

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("training", "strategies")]

import torch  # noqa: E402
from throughput import Plain, plain_loop  # noqa: E402

from hwnas_hls_plugins.estimators.training import TrainingConfig  # noqa: E402

#: Generator of the table: 19,020 rows of 10 inputs and two classes, as the MAGIC telescope's data has.
MAGIC_ROWS, MAGIC_SEED = 19_020, 7


def magic_like(folder: Path, rows: int) -> Path:
    """A table like that of the MAGIC telescope (which is not in this package): classes that overlap."""
    from sklearn.datasets import make_classification

    x, y = make_classification(
        rows,
        10,
        n_informative=7,
        n_redundant=2,
        n_clusters_per_class=3,
        weights=[0.65],
        class_sep=0.8,
        flip_y=0.06,
        random_state=MAGIC_SEED,
    )
    path = folder / "magic_like.csv"
    names = [f"f{number}" for number in range(10)]
    lines = [",".join([*names, "class"])]
    lines += [
        ",".join([*(f"{value:.6g}" for value in row), "gh"[label]]) for row, label in zip(x, y, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass(frozen=True, slots=True)
class Point:
    """Where a search stood."""

    cpu_s: float
    wall_s: float
    trained: int
    hypervolume: float


def problem_of(task: str, trials: int, batch: int, epochs: int, seed: int) -> Problem:
    tables: dict[str, Any] = {
        "target": {"name": "xcvu9p"},
        "task": {"name": task},
        "space": {"name": "mlp", "normalisations": ["none"], "sparsities": [0.0]},
        "run": {"trials": trials, "batch": batch, "seed": seed, "estimators": ["hls-model", "training"]},
        "objectives": {"metrics": ["accuracy", "lut", "latency_ns"]},
        "estimators": {"training": {"epochs": epochs}},
    }
    return resolve(spec_from_tables(tables, "benchmark"), Registry())


def ours(problem: Problem) -> list[Point]:
    found: list[Point] = []
    cpu, wall = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as place, Store(Path(place)) as store:

        def note(progress: Any) -> None:
            times = (time.process_time() - cpu, time.perf_counter() - wall)
            found.append(Point(*times, progress.judged, progress.hypervolume))

        search = Search.resume(problem, store, on_progress=note)
        search.run()
        search.close()
    return found


def one_by_one(problem: Problem, epochs: int, wanted: float, most_s: float, seed: int) -> list[Point]:
    """Optuna's loop: suggest, predict the hardware, train, score, tell."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.NSGAIISampler(seed=seed)
    goal, dataset = problem.goal, problem.dataset
    study = optuna.create_study(directions=["minimize"] * goal.n_losses, sampler=sampler)
    costs = next(part.instance for part in problem.estimators if part.name == "hls-model")
    context = Context(problem.architecture, dataset, problem.target, problem.clock_ns, seed)
    losses: list[tuple[float, ...]] = []
    found: list[Point] = []
    cpu, wall = time.process_time(), time.perf_counter()
    while time.process_time() - cpu < most_s:
        trial = study.ask()
        candidate = suggest(trial, problem)
        known = costs.estimate([candidate], context)[0]
        if known.failure:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        accuracy = trained(problem, candidate, epochs)
        estimate = Estimate("accuracy", accuracy, accuracy, accuracy, "trained", "one by one")
        loss = goal.losses({**known.values, "accuracy": estimate})
        assert loss is not None
        study.tell(trial, loss)
        losses.append(loss)
        volume = hypervolume(losses, [1.0] * goal.n_losses)
        found.append(Point(time.process_time() - cpu, time.perf_counter() - wall, len(losses), volume))
        if volume >= wanted:
            break
    return found


def suggest(trial: Any, problem: Problem) -> Candidate:
    values: dict[str, Any] = {}
    for knob in problem.space.knobs:
        if not knob.active(values):
            continue
        if knob.ordered:
            values[knob.name] = knob.choices[trial.suggest_int(knob.name, 0, len(knob.choices) - 1)]
        else:
            values[knob.name] = trial.suggest_categorical(knob.name, knob.choices)
    candidate: Candidate = problem.space.candidate(values)
    return candidate


def trained(problem: Problem, candidate: Candidate, epochs: int) -> float:
    """Accuracy on the validation rows after the plain loop."""
    dataset = problem.dataset
    architecture = problem.architecture(candidate)
    from hwnas_hls_plugins.estimators.training.grouping import automatic_batch_size

    rows = min(TrainingConfig().max_rows, len(dataset.train))
    config = TrainingConfig(epochs=epochs, batch_size=automatic_batch_size(rows))
    (model,) = plain_loop([architecture], dataset, config, {"fused": True})
    return accuracy_of(model, dataset)


def accuracy_of(model: Plain, dataset: Any) -> float:
    mean, scale = dataset.standardisation
    kind = model.architecture.input
    rows = torch.as_tensor((dataset.validation.x - mean) / scale, dtype=torch.float32)
    inputs = torch.clamp(torch.floor(rows * 2.0**kind.fraction + 0.5), kind.lowest, kind.highest)
    with torch.no_grad():
        answers = model.eval()(inputs * 2.0**-kind.fraction).numpy()
    return float(np.mean(answers.argmax(axis=1) == dataset.validation.y))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="digits16", help="a task's name, or magic-like")
    parser.add_argument("--rows", type=int, default=MAGIC_ROWS, help="of magic-like")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--shares", type=float, nargs="+", default=[0.9, 0.95], help="of the final hypervolume"
    )
    parser.add_argument("--most", type=float, default=20.0, help="times this tool's time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    found = []
    print(
        "| task | seed | hypervolume | share of the final one | this tool, CPU s (candidates) "
        "| NSGA-II one by one, CPU s (trials) | ratio |\n|---|--:|--:|--:|--:|--:|--:|"
    )
    with tempfile.TemporaryDirectory() as place:
        task = options.task
        if task == "magic-like":
            task = str(magic_like(Path(place), options.rows))
        for seed in options.seeds:
            problem = problem_of(task, options.trials, options.batch, options.epochs, seed)
            mine = ours(problem)
            final = mine[-1].hypervolume
            wanted = max(options.shares) * final
            theirs = one_by_one(problem, options.epochs, wanted, options.most * mine[-1].cpu_s, seed)
            found.append(
                {"seed": seed, "ours": [asdict(p) for p in mine], "plain": [asdict(p) for p in theirs]}
            )
            for share in options.shares:
                print(line(options.task, seed, share, share * final, mine, theirs), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found))


def line(
    task: str, seed: int, share: float, wanted: float, mine: Sequence[Point], theirs: Sequence[Point]
) -> str:
    first = next(point for point in mine if point.hypervolume >= wanted)
    other = next((point for point in theirs if point.hypervolume >= wanted), None)
    head = f"| {task} | {seed} | {wanted:.4f} | {share:.0%} | {first.cpu_s:.1f} ({first.trained}) |"
    if other is None:
        last = theirs[-1]
        reached = f"not in {last.cpu_s:.0f} ({last.trained}), reached {last.hypervolume:.4f}"
        return f"{head} {reached} | > {last.cpu_s / first.cpu_s:.1f} |"
    return f"{head} {other.cpu_s:.1f} ({other.trained}) | {other.cpu_s / first.cpu_s:.1f} |"


if __name__ == "__main__":
    main()
