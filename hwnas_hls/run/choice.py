"""Which records of a search are handed over: a floor, and scores that thousands of looks have not flattered.

A search looks at the same validation rows once a candidate, and the best of many looks is partly luck.
So the shortlist of a front is scored anew by cross-fitting: the training and validation rows are cut
into folds, each candidate is trained in full on all folds but one and scored on that one, in turn.
Every row is then scored by a network that has not seen it, and no row was looked at while searching
with the weights that score it.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas_hls.evidence.scoring import score
from hwnas_hls.evidence.usefulness import chance_of
from hwnas_hls.network import emulator
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls.run.halving import rank
from hwnas_hls.run.judge import Judge
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.search import choose
from hwnas_hls.run.store import Store
from hwnas_hls.spec.notation import counted
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.record import Record

log = logging.getLogger(__name__)

#: Candidates of a shortlist, for each design that is handed over.
_SHORTLIST = 3
#: Validation rows from which their own noise is smaller than what cross-fitting would add.
_MANY_ROWS = 4000


@dataclass(frozen=True, slots=True)
class Choice:
    """The records to hand over, and how they were chosen.

    Args:
        records: chosen, as the search saw them.
        scores: key -> score by cross-fitting; empty where the search's own scores decided.
        folds: of the cross-fitting; 0 without.
        words: how it was done, for people.
    """

    records: Sequence[Record]
    scores: Mapping[str, Estimate]
    folds: int
    words: str

    def to_json(self) -> dict[str, Any]:
        return {
            "method": "cross-fitting" if self.folds else "validation rows",
            "folds": self.folds,
            "words": self.words,
            "scores": {key: estimate.to_json() for key, estimate in self.scores.items()},
        }


def chosen(
    problem: Problem,
    store: Store,
    front: Sequence[Record],
    population: Sequence[Record],
    on_step: Callable[[str], None] = lambda step: None,
) -> Choice:
    """The records of a search that are worth handing over.

    Args:
        store: keeps the trainings, so that none is done twice.
        front: the non-dominated records of the search.
        population: all its complete records.
        on_step: told in words what goes on.
    """
    members, dataset = problem.spec.members, problem.dataset
    useful = above_floor(problem, front)
    folds = problem.spec.handover.folds
    plain = f"the score on {len(dataset.validation)} validation rows, which the search has looked at"
    if problem.trainer is None or not useful or problem.dataset.metric not in _wanted(problem):
        return Choice(choose(useful, members), {}, 0, plain)
    if folds < 2 or len(dataset.validation) >= _MANY_ROWS or "train_on" not in problem.trainer.config:
        return Choice(choose(useful, members), {}, 0, plain)
    shortlist = _shortlist(above_floor(problem, population), _SHORTLIST * members)
    on_step(f"cross-fitting of {counted(len(shortlist), 'candidate')}, {folds} folds")
    scores = cross_fitted(problem, store, shortlist, folds, on_step)
    rows = len(dataset.train) + len(dataset.validation)
    words = (
        f"{folds} folds of {rows} training and validation rows; each row scores networks not trained on it"
    )
    seen = {record.key: record for record in shortlist}
    picked = choose(_rescored(problem, shortlist, scores), members)
    return Choice([seen[record.key] for record in picked], scores, folds, words)


def above_floor(problem: Problem, records: Sequence[Record]) -> list[Record]:
    """Records whose score is at least the floor's share of the way from chance to the best of them.

    All of them where nothing is known of chance, or the run does not want the task's metric.
    """
    metric = problem.dataset.metric
    chance = chance_of(problem.dataset, problem.dataset.validation)
    scored = [record for record in records if record.feasible and metric in record.estimates]
    if chance is None or not scored or metric not in _wanted(problem):
        return [record for record in records if record.feasible]
    best = max(record.estimates[metric].value for record in scored)
    floor = chance.value + problem.spec.handover.floor * max(best - chance.value, 0.0)
    return [
        record
        for record in scored
        if record.estimates[metric].value >= floor and not chance.reached(record.estimates[metric])
    ]


def cross_fitted(
    problem: Problem,
    store: Store,
    records: Sequence[Record],
    folds: int,
    on_step: Callable[[str], None] = lambda step: None,
) -> dict[str, Estimate]:
    """key -> the task's metric on every training and validation row, by networks that had not seen it.

    A candidate whose training failed in a fold has no score.
    """
    outputs: dict[str, list[np.ndarray]] = {record.key: [] for record in records}
    truth = []
    for number, dataset in enumerate(_folds(problem.dataset, folds, problem.spec.run.seed)):
        found = _trained(problem, store, dataset, records)
        for record, design in zip(records, found, strict=True):
            if design is not None:
                outputs[record.key].append(_real_outputs(dataset, design))
        truth.append(dataset.validation.y)
        on_step(f"cross-fitting: fold {number + 1} of {folds}")
    y = np.concatenate(truth)
    whole = Split(np.zeros((len(y), problem.dataset.n_in)), y)
    return {
        key: _scored(problem.dataset, whole, np.concatenate(parts), folds)
        for key, parts in outputs.items()
        if len(parts) == folds
    }


def _scored(dataset: Dataset, whole: Split, outputs: np.ndarray, folds: int) -> Estimate:
    evidence = (
        f"integer emulation, each of {len(whole)} rows by a network that {folds - 1} other folds trained"
    )
    return score(dataset, whole, outputs, source="emulated", evidence=evidence)


def _real_outputs(dataset: Dataset, design: Design) -> np.ndarray:
    """Of the fold's held-out rows; of a regression in the unit of its targets."""
    found: np.ndarray = emulator.outputs(design, dataset.validation.x)
    if dataset.kind == CLASSIFICATION:
        return found
    scale, mean = (np.asarray(design.meta[name], np.float64) for name in ("target_scale", "target_mean"))
    scaled: np.ndarray = found * scale + mean
    return scaled


def _folds(dataset: Dataset, folds: int, seed: int) -> list[Dataset]:
    """The dataset once a fold: ``validation`` is the fold, ``train`` everything else but the test rows."""
    x = np.concatenate([dataset.train.x, dataset.validation.x])
    y = np.concatenate([dataset.train.y, dataset.validation.y])
    order = np.random.default_rng([seed, 0x0F01D5]).permutation(len(y))
    if dataset.kind == CLASSIFICATION:
        # Each class goes round the folds, so that a rare one is in all of them.
        order = order[np.argsort(y[order], kind="stable")]
    place = np.empty(len(y), np.int64)
    place[order] = np.arange(len(y)) % folds
    return [
        dataclasses.replace(
            dataset,
            train=Split(x[place != number], y[place != number]),
            validation=Split(x[place == number], y[place == number]),
        )
        for number in range(folds)
    ]


def _trained(
    problem: Problem, store: Store, dataset: Dataset, records: Sequence[Record]
) -> list[Design | None]:
    """The full training of each on the fold's training rows alone."""
    fold = problem.trained_on(dataset)
    judge = Judge(fold, store)
    try:
        return [item.design for item in judge.designs([record.candidate for record in records])]
    finally:
        judge.close()


def _shortlist(records: Sequence[Record], count: int) -> list[Record]:
    """At most ``count``: by non-dominated rank, the least crowded first; once each."""
    unique = list({record.key: record for record in records if record.losses is not None}.values())
    if not unique:
        return []
    order = rank(np.array([record.losses for record in unique]))[:count]
    return [unique[place] for place in sorted(order.tolist())]


def _rescored(problem: Problem, records: Sequence[Record], scores: Mapping[str, Estimate]) -> list[Record]:
    """The non-dominated ones of those that have a score, by that score; as the search saw them."""
    metric = problem.dataset.metric
    found = []
    for record in records:
        if record.key in scores:
            estimates = {**record.estimates, metric: scores[record.key]}
            losses = problem.goal.losses(estimates)
            found.append((record, dataclasses.replace(record, estimates=estimates, losses=losses)))
    if not found:
        return list(records)
    again = [item for _, item in found]
    useful = {record.key for record in above_floor(problem, again)}
    again = [item for item in again if item.key in useful] or again
    places = non_dominated([item.losses or () for item in again])
    return [again[place] for place in places]


def _wanted(problem: Problem) -> set[str]:
    return {objective.metric for objective in problem.goal.objectives}
