"""The tasks of the benchmark, and the networks that are ranked on each."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.values.candidate import Candidate

#: name -> task plugin and its settings; a CSV of scikit-learn's bundled tables is written first.
TASKS = ("digits16", "digits", "breast_cancer", "diabetes")


def load(name: str, folder: Path) -> Dataset:
    """The data of a task, split by its plugin."""
    registry = Registry()
    if name in ("digits16", "digits"):
        offer = registry.offer("task", name, "benchmark")
        task = registry.build(offer, {}, "benchmark")
    else:
        path = folder / f"{name}.csv"
        _write_csv(name, path)
        settings = {"path": str(path), "label": "target"}
        task = registry.build(registry.offer("task", "file", "benchmark"), settings, "benchmark")
    dataset: Dataset = task.load()
    return dataset


def _write_csv(name: str, path: Path) -> None:
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    names = [str(feature).replace(" ", "_") for feature in data.feature_names]
    classes = getattr(data, "target_names", None)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "target"])
        for row, target in zip(data.data, data.target, strict=True):
            writer.writerow([*row, target if classes is None else str(classes[target])])


def networks(dataset: Dataset, count: int, seed: int = 20) -> tuple[Space, list[Candidate]]:
    """The default space for these data, and ``count`` different candidates that it draws."""
    registry = Registry()
    space: Space = registry.build(registry.offer("space", "mlp", "benchmark"), {}, "benchmark", task=dataset)
    rng = np.random.default_rng(seed)
    found: dict[str, Candidate] = {}
    while len(found) < count:
        candidate = space.sample(rng)
        found.setdefault(candidate.key, candidate)
    return space, list(found.values())
