"""Picking one design of a run: the knee of its front, or the best by a given rule.

Among the exported *designs*, the final numbers decide: costs predicted with the trained weights or
measured, and the score on the test rows. Picking by that score biases it slightly upwards. Among all
complete candidates of the *search*, the numbers of the search decide: accuracies on the validation
rows, and costs as known then. Such a candidate still has to be exported.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.exporter import Front, Member
from hwnas_hls.protocols.target import Target
from hwnas_hls.spec.bounds import parse_bound
from hwnas_hls.values.estimate import METRICS
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.objective import Goal, Limit, Objective, direction_of
from hwnas_hls.values.record import Record
from hwnas_hls.values.score_metrics import BY_KIND

KNEE = "knee"
DESIGNS = "designs"
SEARCH = "search"
AMONG = (DESIGNS, SEARCH)
_RULE = re.compile(r"(min|max)\s+([A-Za-z_]\w*)(?:\s+where\s+(.+))?", re.DOTALL)
_CONDITION = re.compile(r"([A-Za-z_]\w*)\s*(<=|>=)\s*(.+)", re.DOTALL)
#: Metrics of the hardware.
_COSTS = frozenset(METRICS) - {name for names in BY_KIND.values() for name in names}
#: Weight of the scores in the knee, that of the costs being 1; it decides where fronts bend little.
SCORE_WEIGHT = 1.25
_EXAMPLES = "write knee, or a rule such as 'min lut where accuracy>=0.93 and latency_ns<=100ns'"


@dataclass(frozen=True, slots=True)
class Rule:
    """``min METRIC where ...``: the candidate with the lowest (or highest) metric under conditions.

    Args:
        direction: ``min`` or ``max``.
        metric: the metric to minimise or maximise.
        conditions: checked at the pessimistic end of the interval, like the limits of a search.
    """

    direction: str
    metric: str
    conditions: tuple[Limit, ...] = ()

    def __str__(self) -> str:
        where = " and ".join(map(str, self.conditions))
        return f"{self.direction} {self.metric}" + (f" where {where}" if where else "")


@dataclass(frozen=True, slots=True)
class Picked:
    """The result of a rule.

    Args:
        record: with the numbers that decided.
        member: the exported design, if the rule picked among designs.
        by_test_rows: whether the score on the test rows influenced the choice.
        metrics: the metrics of the run and of the rule, the task's metric first.
    """

    record: Record
    member: Member | None = None
    by_test_rows: bool = False
    metrics: tuple[str, ...] = ()


def pick(front: Front, text: str, among: str | None, where: str) -> Picked:
    """The design or candidate of a run that a rule picks.

    Args:
        text: ``knee``, or a rule such as ``min lut where accuracy>=0.93``.
        among: ``designs`` or ``search``; ``None`` means the designs, if there are any.

    Raises:
        UserError: the rule cannot be read, or nothing meets its conditions.
    """
    rule = parse_rule(text, "the rule to pick by", front.target)
    if among not in (None, *AMONG):
        raise UserError("a design is picked among designs or search", where=where, found=among, choices=AMONG)
    wanted = [objective.metric for objective in front.goal.objectives]
    metrics = tuple(dict.fromkeys([front.dataset.metric, *wanted, *sorted(_named(front.goal, rule))]))
    sound = {member.key: member for member in front.members if not member.unproven}
    if among == SEARCH or (among is None and not sound):
        return Picked(select(front.records, front.goal, rule, where), metrics=metrics)
    final = [dataclasses.replace(m.record, estimates=m.estimates) for m in sound.values()]
    record = select(final, front.goal, rule, where)
    named = _named(front.goal, rule)
    return Picked(record, sound[record.key], front.dataset.metric in named, metrics)


def _named(goal: Goal, rule: Rule | None) -> set[str]:
    """The metrics in a rule."""
    if rule is None:
        return {objective.metric for objective in goal.objectives}
    return {rule.metric, *(limit.metric for limit in rule.conditions)}


def parse_rule(text: str, where: str, part: Target | None = None) -> Rule | None:
    """``knee`` -> ``None``; ``min lut where accuracy>=0.93 and dsp<=0`` -> a rule.

    Raises:
        UserError: it is neither.
    """
    text = text.strip()
    if text == KNEE:
        return None
    match = _RULE.fullmatch(text)
    if match is None:
        raise UserError("not a rule to pick a design", where=where, found=text, remedy=_EXAMPLES)
    conditions = []
    for clause in re.split(r"\s+and\s+", match[3].strip()) if match[3] else ():
        found = _CONDITION.fullmatch(clause.strip())
        if found is None:
            raise UserError(
                "a condition is METRIC<=VALUE or METRIC>=VALUE", where=where, found=clause, remedy=_EXAMPLES
            )
        metric, bound = parse_bound(f"{found[1]}={found[3].strip()}", where, part)
        conditions.append(Limit(metric, "max" if found[2] == "<=" else "min", bound))
    return Rule(match[1], match[2], tuple(conditions))


def select(records: Sequence[Record], goal: Goal, rule: Rule | None, where: str) -> Record:
    """The record that the rule picks; the earlier one of equals.

    Args:
        records: of a search; only complete ones are considered.
        rule: ``None`` takes the :func:`knee` of the objectives' front.

    Raises:
        UserError: there is no complete candidate, none has the metric, the rule asks for the worse
            end of a metric, or none meets the conditions (the message names the nearest).
    """
    complete = [record for record in records if record.feasible]
    if not complete:
        raise UserError(
            "no candidate is complete, so none can be picked",
            kind=ErrorKind.NOTHING_FITS,
            where=where,
            remedy="loosen a limit, or search longer with `hwnas-hls resume`",
        )
    return knee(complete, goal) if rule is None else _best(complete, goal, rule, where)


def knee(records: Sequence[Record], goal: Goal) -> Record:
    """The knee of the front: beyond it, a small gain in one objective costs much in the others.

    Each objective's loss is rescaled to 0 at its best and 1 at its worst on the front. All hardware
    costs (LUT, latency, ...) together count as one objective, their mean, and so do all scores
    (accuracy, AUC, ...): they are correlated, and counting costs separately would trade away too much
    accuracy. The record with the smallest sum, in which scores weigh :data:`SCORE_WEIGHT` times as
    much as costs, is the knee. A front without a bend gives its most accurate record, never its least
    accurate. Objectives in which all records are equal are ignored, as are designs at or beyond an
    objective's ``worst`` if there are others.

    Source: with equal weights and two objectives this is the construction of I. Das, "On characterizing
    the 'knee' of the Pareto curve based on Normal-Boundary Intersection", Structural Optimization 18
    (1999): the record farthest below the line through both ends.

    Args:
        records: at least one, all complete.
    """
    losses = np.array(
        [
            [objective.loss(record.estimates[objective.metric].value) for objective in goal.objectives]
            for record in records
        ]
    )
    useful = np.flatnonzero(losses.max(axis=1) < 1.0)
    places = useful if len(useful) else np.arange(len(records))
    front = places[non_dominated(losses[places])]
    low, high = losses[front].min(axis=0), losses[front].max(axis=0)
    spread = high > low
    scaled = (losses[front][:, spread] - low[spread]) / (high - low)[spread]
    cost = np.array([_is_cost(objective) for objective in goal.objectives], bool)[spread]
    scores, costs = (
        scaled[:, group].mean(axis=1) if group.any() else np.zeros(len(front)) for group in (~cost, cost)
    )
    # Rounded: equal designs must tie independently of the order of summation.
    order = np.lexsort((np.round(scores, 12), np.round(SCORE_WEIGHT * scores + costs, 12)))
    return records[int(front[order[0]])]


def _is_cost(objective: Objective) -> bool:
    """Whether an objective is of the hardware; a plugin's metric is if less of it is better."""
    if objective.metric in METRICS:
        return objective.metric in _COSTS
    return objective.direction == "min"


def _best(complete: Sequence[Record], goal: Goal, rule: Rule, where: str) -> Record:
    named = _named(goal, rule)
    known = sorted(set.intersection(*(set(record.estimates) for record in complete)))
    for metric in sorted(named):
        if metric not in known:
            raise UserError("the candidates lack this metric", where=where, found=metric, choices=known)
    wanted = _direction(rule.metric, goal)
    if wanted and wanted != rule.direction:
        raise UserError(
            f"{rule.direction} {rule.metric} picks the worst design",
            where=where,
            found=str(rule),
            remedy=f"write {wanted} {rule.metric}",
        )
    keeping = [record for record in complete if not _excess(record, rule)]
    if not keeping:
        nearest = min(complete, key=lambda record: (_excess(record, rule), record.number))
        said = ", ".join(
            f"{name} {e.value:.4g} ({e.low:.4g} to {e.high:.4g})"
            for name, e in sorted(nearest.estimates.items())
            if name in named
        )
        raise UserError(
            "no complete candidate meets the conditions with its whole interval",
            kind=ErrorKind.NOTHING_FITS,
            where=where,
            found=str(rule),
            remedy=f"loosen one: {nearest.key} comes nearest, with {said}",
        )
    sign = 1.0 if rule.direction == "min" else -1.0

    def order(record: Record) -> tuple[float, float, int]:
        losses = [objective.loss(record.estimates[objective.metric].value) for objective in goal.objectives]
        return sign * record.estimates[rule.metric].value, sum(losses), record.number

    return min(keeping, key=order)


def _excess(record: Record, rule: Rule) -> float:
    return sum(limit.violation(record.estimates[limit.metric]) for limit in rule.conditions)


def _direction(metric: str, goal: Goal) -> str:
    """``min`` or ``max``, whichever is better; empty if unknown (a plugin's metric, not an objective)."""
    known = {objective.metric: objective.direction for objective in goal.objectives}
    try:
        return direction_of(metric, known)
    except UserError:
        return ""
