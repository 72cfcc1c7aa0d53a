"""Final weights of chosen records: those of the search, or of the best full training, refined."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from hwnas_hls.evidence.scoring import real_outputs, scored
from hwnas_hls.evidence.scoring import scores as scores_of
from hwnas_hls.evidence.usefulness import constant
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.estimator import Refining
from hwnas_hls.protocols.task import Split, joined
from hwnas_hls.run.judging.family import shares_trainings
from hwnas_hls.run.judging.judge import FullTraining, Judge
from hwnas_hls.run.problem import Problem
from hwnas_hls.run.refining import marked, refined
from hwnas_hls.spec.notation import counted
from hwnas_hls.values.estimate import SCORED, Estimate, Source
from hwnas_hls.values.record import Record

log = logging.getLogger(__name__)

#: Maximum number of rows per epoch for all trainings of a design together.
_ROWS = 24_000
_MOST_RESTARTS = 6
#: Maximum number of rows for comparing the trainings of a design.
_COMPARED_ROWS = 20_000
_TRAINED_ON = "rows it was trained on: no evidence"


@dataclass(frozen=True, slots=True)
class Made:
    """A design between its training and its score on the test rows."""

    record: Record
    design: Design
    estimates: Mapping[str, Estimate]
    layers: tuple[Mapping[str, Estimate], ...] = ()
    warnings: tuple[str, ...] = ()


def restarts_of(problem: Problem) -> int:
    """The number of full trainings per design: that of the spec, or as many as the rows allow."""
    rows = len(problem.dataset.train) + len(problem.dataset.validation)
    return problem.spec.export.restarts or min(max(_ROWS // max(rows, 1), 1), _MOST_RESTARTS)


def trained(
    problem: Problem,
    judge: Judge,
    records: Sequence[Record],
    scores: Mapping[str, Estimate],
    prices: Mapping[str, float],
    on_step: Callable[[str], None] = lambda step: None,
    finals: Mapping[str, Design] = MappingProxyType({}),
    searched: Mapping[str, Design] = MappingProxyType({}),
) -> list[Made]:
    """One design per record: that of the search, or the best of several full trainings, refined at its price.

    If one training covers several candidates, the search has trained as long as a full training does: its
    designs are exported, or compared with the full trainings that the spec asks for. The designs of a record
    are compared by their LUTs and their scores on the rows of the full training: small networks underfit
    these rows, so a better fit is a better network. Once a training of a record fails, the others of this
    record use the trainer's settings for that case, until one succeeds. If all trainings and one more fail,
    the design of the search is used instead, with a warning.

    Args:
        scores: key -> score by which the record was chosen, if known.
        prices: key -> price at which single weights are refined; no entry: not refined.
        on_step: called with a description of each step.
        finals: key -> known design, which is not trained again.
        searched: key -> design of the search, refined at its price; the others are refined here.
    """
    given = _given(judge, [record for record in records if record.key in finals], finals)
    records = [record for record in records if record.key not in finals]
    shared = shares_trainings(problem.space, records)
    rivals = _searched(problem, judge, records, scores, prices, searched) if shared else {}
    if not problem.spec.export.restarts:
        given += [rivals.pop(record.key) for record in records if record.key in rivals]
        ready = {item.record.key for item in given}
        records = [record for record in records if record.key not in ready]
    count = 1 if shared and not problem.spec.export.restarts else restarts_of(problem)
    found, reasons = _full_trainings(problem, judge, records, scores, prices, count, on_step)
    for options, record in zip(found, records, strict=True):
        if record.key in rivals:
            options.append(_of_search(rivals[record.key]))
    exchange = _exchange(problem, records, scores)
    rows = _rows_of(problem).drawn(_COMPARED_ROWS, 0)
    out = []
    for record, options, reason in zip(records, found, reasons, strict=True):
        if options:
            if reason:
                log.info("%s: a full training failed: %s", record.key, reason)
            out.append(max(options, key=lambda item: _merit(problem, item, rows, exchange)))
            continue
        kept = judge.design(record)
        if kept is None:
            log.error("%s is not exported: %s", record.key, reason)
            continue
        words = f"all {count + 1} full trainings failed ({reason}); this is the design of the search"
        log.warning("%s: %s", record.key, words)
        out.append(_of_search(Made(record, kept, record.estimates, (), (words,))))
    return [*given, *out]


def _full_trainings(
    problem: Problem,
    judge: Judge,
    records: Sequence[Record],
    scores: Mapping[str, Estimate],
    prices: Mapping[str, float],
    count: int,
    on_step: Callable[[str], None],
) -> tuple[list[list[Made]], list[str]]:
    """Of each record, its successful full trainings, refined, and the reason of the first failure."""
    found: list[list[Made]] = [[] for _ in records]
    reasons = [""] * len(records)
    for number in range(count + 1):
        # One more training for records without a successful one.
        places = [place for place in range(len(records)) if number < count or not found[place]]
        if not places:
            break
        turn = f", seed {number + 1} of {count}" if 1 < count > number else ""
        turn = ", again at a lower rate: worse than in the search" if number == count else turn
        on_step(f"full training of {counted(len(places), 'design')}{turn}")
        for failed in (False, True):
            which = [place for place in places if (not found[place] and number > 0) is failed]
            some = [records[place] for place in which]
            made, failures = _once(problem, judge, some, scores, number, recovering=failed)
            made = _refined(problem, judge, made, scores, prices)
            by_key = {item.record.key: item for item in made}
            for place, reason in zip(which, failures, strict=True):
                if not reason:
                    found[place].append(by_key[records[place].key])
                reasons[place] = reasons[place] or reason
    return found, reasons


def _given(judge: Judge, records: Sequence[Record], finals: Mapping[str, Design]) -> list[Made]:
    """Known designs with the numbers of the estimators that do not train."""
    designs = [finals[record.key] for record in records]
    found = judge.with_designs([record.candidate for record in records], designs)
    return [
        Made(record, design, {**record.estimates, **item.estimates}, item.layers)
        for record, design, item in zip(records, designs, found, strict=True)
    ]


def _searched(
    problem: Problem,
    judge: Judge,
    records: Sequence[Record],
    scores: Mapping[str, Estimate],
    prices: Mapping[str, float],
    refined_before: Mapping[str, Design],
) -> dict[str, Made]:
    """key -> the stored design of the search, refined at its price."""
    stored = {record.key: judge.design(record) for record in records}
    designs = {key: design for key, design in stored.items() if design is not None}
    known = {key: design for key, design in refined_before.items() if key in designs}
    made = [_on_validation_rows(problem, item) for item in _given(judge, _among(records, known), known)]
    others = {key: design for key, design in designs.items() if key not in known}
    made += _refined(problem, judge, _given(judge, _among(records, others), others), scores, prices)
    return {item.record.key: item for item in made}


def _among(records: Sequence[Record], designs: Mapping[str, Design]) -> list[Record]:
    return [record for record in records if record.key in designs]


def _on_validation_rows(problem: Problem, made: Made) -> Made:
    """A design of the search with its scores on the validation rows."""
    dataset = problem.dataset
    again = scores_of(
        dataset,
        dataset.validation,
        real_outputs(made.design, dataset.validation.x),
        dataset.metrics,
        source=Source.EMULATED,
        evidence=f"integer emulation on {len(dataset.validation)} validation rows, which the search has used",
    )
    return dataclasses.replace(made, estimates={**made.estimates, **again})


def _of_search(made: Made) -> Made:
    """The design states that its weights are those of the search, although full trainings took place."""
    meta = {**made.design.meta, "weights_of": "search"}
    return dataclasses.replace(made, design=dataclasses.replace(made.design, meta=meta))


def _once(
    problem: Problem,
    judge: Judge,
    records: Sequence[Record],
    scores: Mapping[str, Estimate],
    number: int,
    *,
    recovering: bool,
) -> tuple[list[Made], list[str]]:
    """One full training per record: the successful designs, and the reasons of the failures."""
    if not records:
        return [], []
    candidates = [record.candidate for record in records]
    items = (
        judge.designs(candidates) if number == 0 else judge.again(candidates, number, recovering=recovering)
    )
    made, failures = [], []
    for record, item in zip(records, items, strict=True):
        if item.design is None:
            failures.append(item.reason or "training gave no design")
            continue
        failures.append(_failed(problem, item, record, scores))
        if not failures[-1]:
            made.append(Made(record, item.design, item.estimates, item.layers))
    return made, failures


def _refined(
    problem: Problem,
    judge: Judge,
    made: Sequence[Made],
    scores: Mapping[str, Estimate],
    prices: Mapping[str, float],
) -> list[Made]:
    """Each design with single weights refined at its price, if its score stays as good as expected."""
    part = problem.trainer
    if part is None or not isinstance(part.instance, Refining) or not prices:
        return list(made)
    dataset = problem.dataset
    until = [prices.get(item.record.key, 0.0) for item in made]
    ladders = refined(part.instance, [item.design for item in made], dataset, _rows_of(problem), until)
    places = [place for place, ladder in enumerate(ladders) if ladder]
    candidates = [made[place].record.candidate for place in places]
    smaller = judge.with_designs(candidates, [ladders[place][-1].design for place in places])
    out = list(made)
    for place, item in zip(places, smaller, strict=True):
        before, stop = made[place], ladders[place][-1]
        if item.design is None:
            continue
        outputs = real_outputs(item.design, dataset.validation.x)
        again = scores_of(
            dataset,
            dataset.validation,
            outputs,
            dataset.metrics,
            source=Source.TRAINED,
            evidence=_TRAINED_ON,
        )
        found = dataclasses.replace(item, estimates={**item.estimates, **again})
        if words := _failed(problem, found, before.record, scores):
            log.info("%s is not refined: %s", before.record.key, words)
            continue
        design = marked(dataclasses.replace(stop, design=item.design))
        out[place] = dataclasses.replace(before, design=design, estimates=found.estimates, layers=item.layers)
    return out


def _rows_of(problem: Problem) -> Split:
    """The rows of the full training."""
    part, dataset = problem.trainer, problem.dataset
    seen = part is not None and part.config.get("train_on") == "train+validation"
    return joined(dataset) if seen else dataset.train


def _merit(problem: Problem, made: Made, rows: Split, exchange: float) -> float:
    """The score on the training rows minus the price of the LUTs."""
    found = scored(made.design, problem.dataset, rows, source=Source.TRAINED, evidence=_TRAINED_ON)
    value = found.value if problem.dataset.direction == "max" else -found.value
    if not np.isfinite(value):
        return -math.inf
    lut = made.estimates.get("lut")
    return value - exchange * math.log(max(lut.value, 1.0)) if lut is not None else value


def _exchange(problem: Problem, records: Sequence[Record], scores: Mapping[str, Estimate]) -> float:
    """The score equivalent to a factor of e in LUTs: the mean slope of the front."""
    metric = problem.dataset.metric
    if "lut" not in {objective.metric for objective in problem.goal.objectives}:
        return 0.0
    known = [
        (scores.get(record.key, record.estimates[metric]).value, record.estimates["lut"].value)
        for record in records
        if metric in record.estimates and "lut" in record.estimates
    ]
    if not known:
        return 0.0
    values, luts = [pair[0] for pair in known], [max(pair[1], 1.0) for pair in known]
    span = math.log(max(luts) / min(luts))
    return (max(values) - min(values)) / span if span > 0.1 else 0.0


def _failed(problem: Problem, item: FullTraining, record: Record, scores: Mapping[str, Estimate]) -> str:
    """Why a full training failed; empty if it did not.

    It failed if the outputs are constant, or if a score of the objectives on the validation rows, on which
    it was trained, is worse than the interval of the score that chose it. The score of the search is the
    best of many and partly luck, so it is compared at the pessimistic end of its interval.
    """
    if item.design is not None and (words := constant(item.design, problem.dataset.validation)):
        return words
    for metric, direction in _guarded(problem, record).items():
        before = record.estimates.get(metric)
        if metric == problem.dataset.metric:
            before = scores.get(record.key) or before
        if metric not in item.estimates or before is None:
            continue
        value = item.estimates[metric].value
        if value < before.low if direction == "max" else value > before.high:
            return f"{metric} {value:.4g} on rows it was trained on, {before.value:.4g} when it was chosen"
    return ""


def _guarded(problem: Problem, record: Record) -> dict[str, str]:
    """The scores that a full training must keep, with their directions: the task's metric, and the objectives
    that are computed from outputs."""
    found = {problem.dataset.metric: problem.dataset.direction}
    for objective in problem.goal.objectives:
        known = record.estimates.get(objective.metric)
        # Costs of a training, such as adder bits, are no scores.
        is_score = objective.direction == "max" or objective.metric in problem.dataset.scoring.names
        if is_score and known is not None and known.source in SCORED:
            found[objective.metric] = objective.direction
    return found
