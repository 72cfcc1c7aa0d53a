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
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas_hls.evidence.scoring import score
from hwnas_hls.evidence.usefulness import chance_of
from hwnas_hls.network import emulator
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.estimator import Refining
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls.run.halving import rank
from hwnas_hls.run.judge import Judge
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.search import choose
from hwnas_hls.run.store import Store
from hwnas_hls.spec.notation import counted
from hwnas_hls.values.estimate import Estimate, Source
from hwnas_hls.values.front import hypervolume, non_dominated
from hwnas_hls.values.objective import Mode
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import ChoiceFacts

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
        scores: key -> score of a record by rows that its networks had not seen; empty where the
            search's own scores decided.
        prices: key -> price at which the weights of a chosen design are refined; missing without.
        folds: of the cross-fitting; 0 without.
        words: how it was done, for people.
    """

    records: Sequence[Record]
    scores: Mapping[str, Estimate]
    prices: Mapping[str, float]
    folds: int
    words: str

    def facts(self, metric: str) -> ChoiceFacts:
        """What the run says of it; ``metric`` is the task's."""
        method = "cross-fitting" if self.folds else "validation rows"
        return ChoiceFacts(method, self.folds, self.words, metric, self.scores, self.prices)


@dataclass(frozen=True, slots=True)
class Option:
    """A record at one price of refinement, with the numbers that choose.

    Args:
        record: its score and its LUTs are those at this price.
        price: 0 without refinement.
        right: of each row whether it was classified rightly; ``None`` in a regression.
    """

    record: Record
    price: float
    right: np.ndarray | None = None


def chosen(
    problem: Problem,
    judge: Judge,
    store: Store,
    front: Sequence[Record],
    population: Sequence[Record],
    on_step: Callable[[str], None] = lambda step: None,
) -> Choice:
    """The records of a search that are worth handing over, and how far each is refined.

    Args:
        judge: of the search.
        store: keeps the trainings, so that none is done twice.
        front: the non-dominated records of the search.
        population: all its complete records.
        on_step: called with a description of each step.
    """
    members, dataset = problem.spec.members, problem.dataset
    useful = above_floor(problem, front)
    folds = problem.spec.handover.folds
    plain = f"the score on {len(dataset.validation)} validation rows, which the search has looked at"
    if problem.trainer is None or not useful or dataset.metric not in _wanted(problem):
        return Choice(choose(useful, members), {}, {}, 0, plain)
    many = folds < 2 or len(dataset.validation) >= _MANY_ROWS or "train_on" not in problem.trainer.config
    refining = _refining(problem)
    if many and refining is None:
        return Choice(choose(useful, members), {}, {}, 0, plain)
    shortlist = _shortlist(above_floor(problem, population), _SHORTLIST * members)
    if many:
        on_step(f"refinement of {counted(len(shortlist), 'candidate')}")
        held: list[tuple[Dataset, Sequence[Design | None]]] = [
            (dataset, [judge.design(record) for record in shortlist])
        ]
        words = f"the score on {len(dataset.validation)} validation rows"
    else:
        on_step(f"cross-fitting of {counted(len(shortlist), 'candidate')}, {folds} folds")
        held = _cross_fitted(problem, store, shortlist, folds, on_step)
        rows = len(dataset.train) + len(dataset.validation)
        words = (
            f"{folds} folds of {rows} rows of training and validation; each scores networks it did not train"
        )
    options = _options(problem, shortlist, held, refining, on_step)
    if not options:
        return Choice(choose(useful, members), {}, {}, 0, plain)
    picked = _distinct(_useful_front(problem, options), members)
    seen = {record.key: record for record in shortlist}
    return Choice(
        [seen[option.record.key] for option in picked],
        {option.record.key: option.record.estimates[dataset.metric] for option in picked},
        {option.record.key: option.price for option in picked if option.price},
        0 if many else folds,
        words,
    )


def _refining(problem: Problem) -> Refining | None:
    """The full training's own means to make circuits smaller, where LUTs matter to the run."""
    part = problem.trainer
    wanted = _wanted(problem) | {limit.metric for limit in problem.goal.limits}
    if part is None or not isinstance(part.instance, Refining) or "lut" not in wanted:
        return None
    return part.instance if problem.spec.handover.refine else None


def _options(
    problem: Problem,
    records: Sequence[Record],
    held: Sequence[tuple[Dataset, Sequence[Design | None]]],
    refining: Refining | None,
    on_step: Callable[[str], None],
) -> list[Option]:
    """Each record at each price: scored on the rows that were held back, its LUTs as they shrink there."""
    metric = problem.dataset.metric
    # record -> price -> the outputs of each fold, and the share of the LUTs that is kept.
    outputs: list[dict[float, list[np.ndarray]]] = [{} for _ in records]
    kept: list[dict[float, list[float]]] = [{} for _ in records]
    for number, (dataset, designs) in enumerate(held):
        if refining is not None:
            fold = f", fold {number + 1} of {len(held)}" if len(held) > 1 else ""
            on_step(f"refinement of single weights{fold}")
        there = [(place, design) for place, design in enumerate(designs) if design is not None]
        stops = [(place, 0.0, 1.0, design) for place, design in there]
        if refining is not None:
            ends = [math.inf] * len(there)
            ladders = refining.refined([design for _, design in there], dataset, dataset.train, ends)
            for (place, _), ladder in zip(there, ladders, strict=True):
                stops += [(place, stop.price, stop.kept, stop.design) for stop in ladder]
        for place, price, share, design in stops:
            outputs[place].setdefault(price, []).append(_real_outputs(dataset, design))
            kept[place].setdefault(price, []).append(share)
    y = np.concatenate([dataset.validation.y for dataset, _ in held])
    whole = Split(np.zeros((len(y), problem.dataset.n_in)), y)
    words = f"integer emulation, each of {len(y)} rows by a network that was not trained on it"
    options = []
    for record, by_price, shares in zip(records, outputs, kept, strict=True):
        for price, parts in by_price.items():
            if len(parts) < len(held):
                continue
            found = np.concatenate(parts)
            estimate = score(problem.dataset, whole, found, source=Source.EMULATED, evidence=words)
            estimates = {**record.estimates, metric: estimate}
            if price and "lut" in estimates:
                share = float(np.mean(shares[price]))
                lut = estimates["lut"]
                estimates["lut"] = dataclasses.replace(
                    lut, value=share * lut.value, low=share * lut.low, high=share * lut.high
                )
            losses = problem.goal.losses(estimates)
            right = np.argmax(found, axis=1) == y if problem.dataset.kind == CLASSIFICATION else None
            scored = dataclasses.replace(record, estimates=estimates, losses=losses)
            options.append(Option(scored, price, right))
    return options


def _useful_front(problem: Problem, options: Sequence[Option]) -> list[Option]:
    """The options above the floor that no other one dominates."""
    useful = above_floor(problem, [option.record for option in options])
    ids = {id(record) for record in useful}
    found = [option for option in options if id(option.record) in ids] or list(options)
    front = [found[place] for place in non_dominated([option.record.losses or () for option in found])]
    return _beyond_noise(problem, front)


def _beyond_noise(problem: Problem, front: Sequence[Option]) -> list[Option]:
    """The options that are better than every cheaper one by more than the noise of the rows.

    Two networks that are right on the same rows but for ``b`` and ``c`` differ by ``b - c`` rows, with
    a standard error of ``sqrt(b + c)`` (McNemar). A dearer design that gains less takes no slot.
    """
    metrics = [objective.metric for objective in problem.goal.objectives]
    if problem.goal.mode != Mode.PARETO or any(option.right is None for option in front):
        return list(front)
    costs = [place for place, metric in enumerate(metrics) if metric != problem.dataset.metric]
    kept: list[tuple[np.ndarray, np.ndarray, Option]] = []
    for option in sorted(front, key=lambda item: sum((item.record.losses or ())[place] for place in costs)):
        own, right = np.array(option.record.losses)[costs], np.asarray(option.right)
        gains = [
            int(right.sum()) - int(other.sum()) > math.sqrt(np.count_nonzero(right != other))
            for cost, other, _ in kept
            if np.all(cost <= own)
        ]
        if all(gains):
            kept.append((own, right, option))
    return [option for _, _, option in kept]


def _distinct(options: Sequence[Option], count: int) -> list[Option]:
    """At most ``count`` options of as many records: the ends, then greedily what dominates the most."""
    losses = np.array([option.record.losses for option in options])
    reference = np.maximum(losses.max(axis=0), 1.0) + 1e-9
    taken: list[int] = []
    open_ = list(range(len(options)))

    def take(place: int) -> None:
        taken.append(place)
        key = options[place].record.key
        open_[:] = [other for other in open_ if options[other].record.key != key]

    for column in losses.T:
        if open_ and len(taken) < count:
            take(min(open_, key=lambda place: (column[place], place)))
    while open_ and len(taken) < count:
        take(max(open_, key=lambda place: (hypervolume(losses[[*taken, place]], reference.tolist()), -place)))
    return [options[place] for place in sorted(taken)]


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


def _cross_fitted(
    problem: Problem,
    store: Store,
    records: Sequence[Record],
    folds: int,
    on_step: Callable[[str], None],
) -> list[tuple[Dataset, Sequence[Design | None]]]:
    """Of each fold: the data without its rows in ``train``, and the design of each record trained on them."""
    held: list[tuple[Dataset, Sequence[Design | None]]] = []
    for number, dataset in enumerate(_folds(problem.dataset, folds, problem.spec.run.seed)):
        held.append((dataset, _trained(problem, store, dataset, records)))
        on_step(f"cross-fitting: fold {number + 1} of {folds}")
    return held


def _real_outputs(dataset: Dataset, design: Design) -> np.ndarray:
    """Of the validation rows; of a regression in the unit of its targets."""
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


def _wanted(problem: Problem) -> set[str]:
    return {objective.metric for objective in problem.goal.objectives}
