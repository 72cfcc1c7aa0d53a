"""Choosing one design of a run: the knee of its front, or the best by a stated rule.

Among the *designs* that were handed over final numbers count: costs with the trained weights known,
the score on the test rows. Choosing by that score flatters it a little. Among all complete
candidates of the *search* the test rows take no part: accuracies are those of the validation rows
after a short training, costs as known then; what is chosen is yet to be trained in full.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.exporter import Front, Member
from hwnas_hls.spec.spec import parse_bound
from hwnas_hls.values.estimate import METRICS
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.objective import Goal, Limit, direction_of
from hwnas_hls.values.record import Record

KNEE = "knee"
DESIGNS = "designs"
SEARCH = "search"
AMONG = (DESIGNS, SEARCH)
_RULE = re.compile(r"(min|max)\s+([A-Za-z_]\w*)(?:\s+where\s+(.+))?", re.DOTALL)
_CONDITION = re.compile(r"([A-Za-z_]\w*)\s*(<=|>=)\s*(.+)", re.DOTALL)
#: Metrics of the hardware.
_COSTS = frozenset(name for name, metric in METRICS.items() if metric.direction == "min") | {"fmax_mhz"}
_EXAMPLES = "write knee, or a rule such as 'min lut where accuracy>=0.93 and latency_ns<=100ns'"


@dataclass(frozen=True, slots=True)
class Rule:
    """``min METRIC where ...``: the candidate with the least (or most) of a metric under conditions.

    Args:
        direction: ``min`` or ``max``.
        metric: whose value decides.
        conditions: each is held against the interval's bad end, as the limits of a search are.
    """

    direction: str
    metric: str
    conditions: tuple[Limit, ...] = ()

    def __str__(self) -> str:
        where = " and ".join(map(str, self.conditions))
        return f"{self.direction} {self.metric}" + (f" where {where}" if where else "")


@dataclass(frozen=True, slots=True)
class Picked:
    """What a rule chose.

    Args:
        record: with the numbers that it was chosen by.
        member: of the front, where the choice was among designs.
        by_test_rows: whether the score on the test rows had a say.
        metrics: what the run and the rule look at, the task's own first.
    """

    record: Record
    member: Member | None = None
    by_test_rows: bool = False
    metrics: tuple[str, ...] = ()


def pick(front: Front, text: str, among: str | None, where: str) -> Picked:
    """The design or candidate of a run that a rule means.

    Args:
        text: ``knee``, or such as ``min lut where accuracy>=0.93``.
        among: ``designs`` or ``search``; ``None`` takes the designs where there are any.

    Raises:
        UserError: it is no rule, or nothing keeps its conditions.
    """
    rule = parse_rule(text, "the rule to pick by")
    if among not in (None, *AMONG):
        raise UserError("a design is chosen among designs or search", where=where, found=among, choices=AMONG)
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
    """The metrics that a rule looks at."""
    if rule is None:
        return {objective.metric for objective in goal.objectives}
    return {rule.metric, *(limit.metric for limit in rule.conditions)}


def parse_rule(text: str, where: str) -> Rule | None:
    """``knee`` -> ``None``; ``min lut where accuracy>=0.93 and dsp<=0`` -> a rule.

    Raises:
        UserError: it is neither, or wants the worse end of a metric that is known.
    """
    text = text.strip()
    if text == KNEE:
        return None
    match = _RULE.fullmatch(text)
    if match is None:
        raise UserError("not a rule to choose a design by", where=where, found=text, remedy=_EXAMPLES)
    conditions = []
    for part in re.split(r"\s+and\s+", match[3].strip()) if match[3] else ():
        found = _CONDITION.fullmatch(part.strip())
        if found is None:
            raise UserError(
                "a condition is METRIC<=VALUE or METRIC>=VALUE", where=where, found=part, remedy=_EXAMPLES
            )
        metric, bound = parse_bound(f"{found[1]}={found[3].strip()}", where)
        conditions.append(Limit(metric, "max" if found[2] == "<=" else "min", bound))
    return Rule(match[1], match[2], tuple(conditions))


def select(records: Sequence[Record], goal: Goal, rule: Rule | None, where: str) -> Record:
    """The record that the rule means; of equals the earlier one.

    Args:
        records: of a search; only complete ones are looked at.
        rule: ``None`` takes the :func:`knee` of the objectives' front.

    Raises:
        UserError: there is no complete candidate, none has such a metric, or none keeps the
            conditions (the nearest is then named).
    """
    complete = [record for record in records if record.feasible]
    if not complete:
        raise UserError(
            "no candidate is complete: there is nothing to choose from",
            kind=ErrorKind.NOTHING_FITS,
            where=where,
            remedy="loosen a limit, or search longer with `hwnas-hls resume`",
        )
    return knee(complete, goal) if rule is None else _best(complete, goal, rule, where)


def knee(records: Sequence[Record], goal: Goal) -> Record:
    """Where the front bends most: beyond it, a little more of one objective costs much of the others.

    Each objective's loss is rescaled to 0 at its best and 1 at its worst on the front. What the
    hardware costs (LUT, latency, ...) counts once, as the mean of its objectives: they go together,
    and two of them are no reason to give up twice as much accuracy. The record with the smallest sum
    is farthest below the plane through the ends. An objective in which all are equal does not count,
    and neither do designs at or beyond an objective's ``worst`` where others are there.

    Source: for two objectives this is the construction of I. Das, "On characterizing the 'knee' of
    the Pareto curve based on Normal-Boundary Intersection", Structural Optimization 18 (1999).

    Args:
        records: complete ones, one or more.
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
    cost = np.array([objective.metric in _COSTS for objective in goal.objectives], bool)[spread]
    summed = scaled[:, ~cost].sum(axis=1)
    if cost.any():
        summed = summed + scaled[:, cost].mean(axis=1)
    # Rounded, so that equal designs tie whatever the order in which the sum was taken.
    return records[int(front[np.argmin(np.round(summed, 12))])]


def _best(complete: Sequence[Record], goal: Goal, rule: Rule, where: str) -> Record:
    named = _named(goal, rule)
    known = sorted(set.intersection(*(set(record.estimates) for record in complete)))
    for metric in sorted(named):
        if metric not in known:
            raise UserError("the candidates have no such metric", where=where, found=metric, choices=known)
    wanted = _direction(rule.metric, goal)
    if wanted and wanted != rule.direction:
        raise UserError(
            f"{rule.direction} {rule.metric} is the worse end",
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
            "no complete candidate keeps the conditions with its whole interval",
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
    """Which way is better; empty where nobody says (a plugin's metric that is no objective)."""
    known = {objective.metric: objective.direction for objective in goal.objectives}
    try:
        return direction_of(metric, known)
    except UserError:
        return ""
