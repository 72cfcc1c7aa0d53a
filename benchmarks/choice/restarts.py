"""How much the seed of a full training matters, and what the best of several is worth.

Takes designs of the front of a run (every second one above a score), trains each in full on the training rows
alone under several schedules and seeds, and scores them on the validation rows; the test rows are not read::

    python benchmarks/choice/restarts.py RUN_FOLDER [--seeds 6] [--above 0.75]

Prints of each schedule the mean scores on both sets of rows, their spread between seeds, and the mean of the
best of the seeds by the training rows. LUTs are those of the closed form ``da-law``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls.evidence.scoring import scored
from hwnas_hls.network.design import Design
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.storage.store import Store
from hwnas_hls_plugins.estimators.da_law import lut_of, sums_of
from hwnas_hls_plugins.estimators.training.config import TrainingConfig
from hwnas_hls_plugins.estimators.training.estimator import train

SCHEDULES: dict[str, dict[str, Any]] = {
    "4 epochs a round": {"descent_epochs": 4},
    "8 epochs a round": {"descent_epochs": 8},
    "16 epochs a round": {"descent_epochs": 16},
    "8 epochs, half the step": {"descent_epochs": 8, "descent_step": 0.965},
    "200 epochs, then 4 a round": {"epochs": 200, "descent_epochs": 4},
}


def metric_of(design: Design, dataset: Dataset, rows: Split) -> float:
    """The task's metric."""
    return scored(design, dataset, rows, source="emulated", evidence="benchmark").value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--above", type=float, default=0.75)
    options = parser.parse_args()
    problem = resolve(run_spec(options.folder), Registry())
    with Store(options.folder, reading=True) as store:
        front = Search.view(problem, store).front.records
    dataset = problem.dataset
    good = [record for record in front if record.estimates[dataset.metric].value > options.above]
    chosen = sorted(good, key=lambda record: record.estimates["lut"].value)[::2]
    architectures = [problem.architecture(record.candidate) for record in chosen]
    print(f"{len(chosen)} designs, {options.seeds} seeds, {len(dataset.validation)} validation rows")
    for name, changes in SCHEDULES.items():
        settings = dict(changes)
        epochs = settings.pop("epochs", 100)
        config = TrainingConfig(max_rows=131_072, rungs=(), **settings)
        seeds = tuple(range(1, options.seeds + 1))
        designs = [
            item.design for item in train(architectures, dataset, seeds=seeds, epochs=epochs, config=config)
        ]
        shape = (len(chosen), options.seeds)
        fit = np.array([metric_of(design, dataset, dataset.train) for design in designs]).reshape(shape)
        unseen = np.array([metric_of(design, dataset, dataset.validation) for design in designs]).reshape(
            shape
        )
        luts = np.array([lut_of(sums_of(design)) for design in designs]).reshape(shape)
        best = fit.argmax(axis=1)
        rows = np.arange(len(chosen))
        more = np.exp(np.mean(np.log(luts[rows, best]) - np.log(luts).mean(axis=1)))
        print(
            f"{name}: training rows {fit.mean():.4f}, validation {unseen.mean():.4f}, between seeds "
            f"{unseen.std(axis=1).mean():.4f}; best by the training rows {unseen[rows, best].mean():.4f} "
            f"at {more:.3f} of the LUTs"
        )


if __name__ == "__main__":
    main()
