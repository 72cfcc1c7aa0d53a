"""Cross-fitting of a shortlist.

The training and validation rows are split into folds. Each candidate is trained in full on all folds but
one and scored on the remaining one, in turn. Every row is scored by a network that was not trained on it,
with weights that the search has not used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from hwnas_hls.network.design import Design
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, joined
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.storage.store import Store
from hwnas_hls.values.record import Record


def cross_fitted(
    problem: Problem,
    store: Store,
    records: Sequence[Record],
    folds: int,
    on_step: Callable[[str], None],
) -> list[tuple[Dataset, Sequence[Design | None]]]:
    """For each fold: the dataset whose ``train`` lacks it, and the design of each record trained on that."""
    held: list[tuple[Dataset, Sequence[Design | None]]] = []
    for number, dataset in enumerate(folds_of(problem.dataset, folds, problem.spec.run.seed)):
        held.append((dataset, _trained(problem, store, dataset, records)))
        on_step(f"cross-fitting: fold {number + 1} of {folds}")
    return held


def folds_of(dataset: Dataset, folds: int, seed: int) -> list[Dataset]:
    """One dataset per fold: ``validation`` is the fold, ``train`` all other rows except the test rows."""
    every = joined(dataset)
    y = every.y
    order = np.random.default_rng([seed, 0x0F01D5]).permutation(len(y))
    if dataset.kind == CLASSIFICATION:
        # Each class is dealt over the folds, so even a rare one is in all of them.
        order = order[np.argsort(y[order], kind="stable")]
    place = np.empty(len(y), np.int64)
    place[order] = np.arange(len(y)) % folds
    return [
        dataclasses.replace(
            dataset,
            train=every.rows(place != number),
            validation=every.rows(place == number),
        )
        for number in range(folds)
    ]


def _trained(
    problem: Problem, store: Store, dataset: Dataset, records: Sequence[Record]
) -> list[Design | None]:
    """The designs of a full training on the fold's training rows only."""
    fold = problem.trained_on(dataset)
    judge = Judge(fold, store)
    try:
        return [item.design for item in judge.designs([record.candidate for record in records])]
    finally:
        judge.close()
