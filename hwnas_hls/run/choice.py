"""The records of a search that are exported: those above a floor, rescored.

A search scores every candidate on the same validation rows, so the best of many scores is partly luck.
Where one long training gives the designs of many candidates, a shortlist of the front is rescored on the
training and validation rows together. Otherwise it is rescored by
:mod:`cross-fitting <hwnas_hls.run.cross_fitting>`.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hwnas_hls.evidence.scoring import real_outputs, scores
from hwnas_hls.evidence.usefulness import chance_of
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.estimator import Refining
from hwnas_hls.protocols.task import Dataset, Split, joined
from hwnas_hls.run.cross_fitting import cross_fitted
from hwnas_hls.run.judging.family import shares_trainings
from hwnas_hls.run.judging.halving import rank
from hwnas_hls.run.judging.judge import Judge
from hwnas_hls.run.options import Option, picked
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.refining import marked, refined
from hwnas_hls.run.search import choose
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.notation import counted
from hwnas_hls.values.estimate import Estimate, Source
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import ChoiceFacts

log = logging.getLogger(__name__)

#: Length of the shortlist: per exported design, and further ones.
_PER_MEMBER, _FURTHER = 2, 10
_FOLDS = 4
#: From this number of validation rows, their noise is below the noise that cross-fitting would add.
_MANY_ROWS = 4000


@dataclass(frozen=True, slots=True)
class Choice:
    """The records to export, and how they were chosen.

    Args:
        records: the chosen ones, with the estimates of the search.
        scores: key -> score by which the design was chosen; empty if the scores of the search were used.
        prices: key -> price at which the weights of a chosen design are refined; no entry: not refined.
        designs: key -> design that was scored, refined at its price. Empty if designs of other trainings were
            scored (cross-fitting), or the records were not rescored.
        folds: number of folds of the cross-fitting; 0 without it.
        words: the method in detail, as text for the report.
        method: how the designs were chosen, see :class:`~hwnas_hls.values.run_facts.ChoiceFacts`.
    """

    records: Sequence[Record]
    scores: Mapping[str, Estimate]
    prices: Mapping[str, float]
    folds: int
    words: str
    method: str = "validation rows"
    designs: Mapping[str, Design] = field(default_factory=dict)

    def facts(self, metric: str) -> ChoiceFacts:
        """What the run records about the choice; ``metric`` is the metric of the task."""
        return ChoiceFacts(self.method, self.folds, self.words, metric, self.scores, self.prices)


def chosen(
    problem: Problem,
    judge: Judge,
    store: Store,
    front: Sequence[Record],
    population: Sequence[Record],
    on_step: Callable[[str], None] = lambda step: None,
) -> Choice:
    """The records of a search to export, and how far each is refined.

    Args:
        judge: of the search.
        store: keeps the trainings, so none is repeated.
        front: the non-dominated records of the search.
        population: all complete records of the search.
        on_step: called with a description of each step.
    """
    members, dataset = problem.spec.members, problem.dataset
    useful = above_floor(problem, front)
    if not useful and any(record.feasible for record in front):
        log.warning(
            "no candidate has a better %s than a constant output, so nothing is exported: check the label "
            "and the features, or train longer",
            dataset.metric,
        )
    folds = _folds_of(problem, useful)
    plain = f"the score on {len(dataset.validation)} validation rows, which the search has used"
    if problem.trainer is None or not useful or dataset.metric not in _wanted(problem):
        return Choice(choose(useful, members), {}, {}, 0, plain)
    many = folds < 2 or len(dataset.validation) >= _MANY_ROWS or "train_on" not in problem.trainer.config
    refining = _refining(problem)
    if many and refining is None:
        return Choice(choose(useful, members), {}, {}, 0, plain)
    shortlist = _shortlist(above_floor(problem, population), _PER_MEMBER * members + _FURTHER)
    how = (
        _on_rows(problem, judge, shortlist) if many else _in_folds(problem, store, shortlist, folds, on_step)
    )
    options = _options(problem, shortlist, how, refining, on_step)
    if not options:
        return Choice(choose(useful, members), {}, {}, 0, plain)
    useful_ids = {id(record) for record in above_floor(problem, [option.record for option in options])}
    above = [option for option in options if id(option.record) in useful_ids]
    taken = picked(problem, judge, above or options, on_step)
    seen = {record.key: record for record in shortlist}
    return Choice(
        [seen[option.record.key] for option in taken],
        {option.record.key: option.record.estimates[dataset.metric] for option in taken},
        {option.record.key: option.price for option in taken if option.price},
        0 if many else folds,
        how.words,
        how.method,
        {option.record.key: option.design for option in taken if option.design is not None},
    )


@dataclass(frozen=True, slots=True)
class _Rescoring:
    """How a shortlist is rescored.

    Args:
        held: per fold, the dataset whose ``validation`` rows score, and the design of each record.
        source, evidence: of the scores.
        method, words: as in :class:`Choice`.
    """

    held: Sequence[tuple[Dataset, Sequence[Design | None]]]
    source: Source
    evidence: str
    method: str
    words: str


def _on_rows(problem: Problem, judge: Judge, shortlist: Sequence[Record]) -> _Rescoring:
    """The designs of the search, on the validation rows, or on the training rows too.

    Small networks fit their training rows little better than unseen ones, and few validation rows alone
    choose more by chance.
    """
    dataset = problem.dataset
    rows, method, source, known = dataset.validation, "validation rows", Source.EMULATED, ""
    if len(rows) < _MANY_ROWS and shares_trainings(problem.space, shortlist):
        rows, method, source = joined(dataset), "training and validation rows", Source.TRAINED
        known = ", most of which it was trained on: no evidence for unseen rows"
    designs = [judge.design(record) for record in shortlist]
    return _Rescoring(
        [(dataclasses.replace(dataset, validation=rows), designs)],
        source,
        f"integer emulation on {len(rows)} {method}{known}",
        method,
        f"the score on all {len(rows)} of them",
    )


def _in_folds(
    problem: Problem,
    store: Store,
    shortlist: Sequence[Record],
    folds: int,
    on_step: Callable[[str], None],
) -> _Rescoring:
    """Cross-fitting: new designs, each on rows that it was not trained on."""
    on_step(f"cross-fitting of {counted(len(shortlist), 'candidate')}, {folds} folds")
    held = cross_fitted(problem, store, shortlist, folds, on_step)
    count = len(problem.dataset.train) + len(problem.dataset.validation)
    return _Rescoring(
        held,
        Source.EMULATED,
        f"integer emulation, each of {count} rows by a network that was not trained on it",
        "cross-fitting",
        f"{folds} folds of {count} training and validation rows; each network is scored on its unseen fold",
    )


def _folds_of(problem: Problem, records: Sequence[Record]) -> int:
    """The folds of the cross-fitting; none for candidates that share a long training.

    The designs of the search are exported, and the scores of newly trained networks are not theirs.
    """
    wanted = problem.spec.export.folds
    if wanted is not None:
        return wanted
    return 0 if shares_trainings(problem.space, records) else _FOLDS


def _refining(problem: Problem) -> Refining | None:
    """The trainer, if it can refine designs and LUTs are an objective or a limit of the run."""
    part = problem.trainer
    wanted = _wanted(problem) | {limit.metric for limit in problem.goal.limits}
    if part is None or not isinstance(part.instance, Refining) or "lut" not in wanted:
        return None
    return part.instance if problem.spec.export.refine else None


def _options(
    problem: Problem,
    records: Sequence[Record],
    how: _Rescoring,
    refining: Refining | None,
    on_step: Callable[[str], None],
) -> list[Option]:
    """Each record at each price: its score on the held-out rows, and its LUTs scaled by the share kept."""
    metric, held = problem.dataset.metric, how.held
    # record -> price -> the outputs and the share of the LUTs kept in each fold.
    outputs: list[dict[float, list[np.ndarray]]] = [{} for _ in records]
    kept: list[dict[float, list[float]]] = [{} for _ in records]
    # record -> price -> the design of the last fold.
    made: list[dict[float, Design]] = [{} for _ in records]
    for number, (dataset, designs) in enumerate(held):
        if refining is not None:
            fold = f", fold {number + 1} of {len(held)}" if len(held) > 1 else ""
            on_step(f"refinement of single weights, {counted(len(records), 'candidate')}{fold}")
        there = [(place, design) for place, design in enumerate(designs) if design is not None]
        stops = [(place, 0.0, 1.0, design) for place, design in there]
        if refining is not None:
            ends = [math.inf] * len(there)
            ladders = refined(refining, [design for _, design in there], dataset, dataset.train, ends)
            for (place, _), ladder in zip(there, ladders, strict=True):
                stops += [(place, stop.price, stop.kept, marked(stop)) for stop in ladder]
        for place, price, share, design in stops:
            outputs[place].setdefault(price, []).append(real_outputs(design, dataset.validation.x))
            kept[place].setdefault(price, []).append(share)
            made[place][price] = design
    y = np.concatenate([dataset.validation.y for dataset, _ in held])
    whole = Split(np.zeros((len(y), problem.dataset.n_in)), y)
    options = []
    for record, by_price, shares, designs_at in zip(records, outputs, kept, made, strict=True):
        for price, parts in by_price.items():
            if len(parts) < len(held):
                continue
            found = np.concatenate(parts)
            estimates = _rescored(problem, record, whole, found, how, float(np.mean(shares[price])))
            right = np.argmax(found, axis=1) == y if metric == "accuracy" else None
            scored = dataclasses.replace(record, estimates=estimates, losses=problem.goal.losses(estimates))
            options.append(Option(scored, price, right, designs_at[price] if len(held) == 1 else None))
    return options


def _rescored(
    problem: Problem, record: Record, rows: Split, outputs: np.ndarray, how: _Rescoring, share: float
) -> Mapping[str, Estimate]:
    """The estimates of a record with new scores, and its LUTs scaled by the share kept."""
    dataset = problem.dataset
    metrics = (dataset.metric, *dataset.further_metrics)
    found = scores(dataset, rows, outputs, metrics, source=how.source, evidence=how.evidence)
    estimates = {**record.estimates, **found}
    if share != 1.0 and "lut" in estimates:
        lut = estimates["lut"]
        estimates["lut"] = dataclasses.replace(
            lut, value=share * lut.value, low=share * lut.low, high=share * lut.high
        )
    return estimates


def above_floor(problem: Problem, records: Sequence[Record]) -> list[Record]:
    """Records whose score is at least the floor: a share of the way from chance to the best score.

    All feasible records if the chance level is unknown or the task's metric is not an objective.
    """
    metric = problem.dataset.metric
    chance = chance_of(problem.dataset, problem.dataset.validation)
    scored = [record for record in records if record.feasible and metric in record.estimates]
    if chance is None or not scored or metric not in _wanted(problem):
        return [record for record in records if record.feasible]
    sign = 1.0 if problem.dataset.direction == "max" else -1.0
    base, best = sign * chance.value, max(sign * record.estimates[metric].value for record in scored)
    floor = base + problem.spec.export.floor * max(best - base, 0.0)
    return [
        record
        for record in scored
        if sign * record.estimates[metric].value >= floor and not chance.reached(record.estimates[metric])
    ]


def _shortlist(records: Sequence[Record], count: int) -> list[Record]:
    """At most ``count`` different records, the best first: by non-dominated rank, then the least crowded."""
    unique = list({record.key: record for record in records if record.losses is not None}.values())
    if not unique:
        return []
    order = rank(np.array([record.losses for record in unique]))[:count]
    return [unique[place] for place in order.tolist()]


def _wanted(problem: Problem) -> set[str]:
    return {objective.metric for objective in problem.goal.objectives}
